"""The geometry map of a clip: from each pixel of the output to its position in the frame.

The map has two axes that do not mix, each an even run from one edge of a plane to another, so that crops,
scales, shifts and mirrors compose in closed form. The plane is the frame, or, after a rotation or shear, the
input of an affine *warp* into the frame::

    output pixel --(axes)--> plane --(warp, if any)--> frame

However many transforms are composed, there is one map, and a pixel is resampled at most once. At the end the
map is settled: if it has no warp and stays within the frame, its axes move to whole pixels of the frame; any
other map becomes a warp alone.

A recipe's one `Border` sets the pixels outside the frame. A pixel of the output is *outside* if its centre
lies outside the frame.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import checked_choice, checked_int

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = [
    "FILLS",
    "SCALES",
    "Axis",
    "Border",
    "Geometry",
    "Warp",
    "agreed_border",
    "check_border",
    "checked_fill_value",
]

FILLS = ("nearest", "constant", "reflect", "wrap")
SCALES = (8, 4, 2)  # JPEGs decode at these parts of their size, by inverse transforms of fewer points
_LAST_BIT = 2.0**40
_SLACK = 1e-6  # pixels by which rounding may move an edge off the frame's edge

Warp: TypeAlias = tuple[tuple[float, float, float], tuple[float, float, float]]


def exact(value: float) -> float:
    """Return a sine, cosine or tangent to 40 bits behind the point, so that it is the same on every CPU.

    Mathematical libraries have several ways to compute them, whose last bits may differ.
    """
    return round(value * _LAST_BIT) / _LAST_BIT


def _least_stretch(a: float, b: float, c: float, d: float) -> float:
    """Return the smaller singular value of ((a, b), (c, d)): the least length that a unit vector gets."""
    both = math.sqrt((a + d) ** 2 + (c - b) ** 2), math.sqrt((a - d) ** 2 + (c + b) ** 2)
    return abs(both[0] - both[1]) / 2


class Border(NamedTuple):
    """Pixels outside the frame.

    Parameters
    ----------
    fill : {"nearest", "constant", "reflect", "wrap"}
        Around a frame ``abcd``: ``aa|abcd|dd``, `value`, ``ba|abcd|dc``, ``cd|abcd|ab``.
    value : float or (int, int, int)
        For ``"constant"``: a byte, or one each for red, green and blue.
    """

    fill: str = "nearest"
    value: float | tuple[int, int, int] = 0


class Axis(NamedTuple):
    """One axis of a map: `size` output pixels, spread evenly from one source edge to another.

    Positions are edges, not centres, since edges are whole numbers if nothing is resampled. An axis with
    ``stop < start`` mirrors.
    """

    size: int
    start: float
    stop: float

    @classmethod
    def whole(cls, size: int) -> Axis:
        """Return the map of a frame onto itself."""
        return cls(size, 0.0, float(size))

    @property
    def scale(self) -> float:
        """Source pixels per output pixel; negative if mirrored."""
        return (self.stop - self.start) / self.size

    @property
    def box(self) -> tuple[float, float]:
        """First and last source edge that the output covers."""
        return (self.start, self.stop) if self.start < self.stop else (self.stop, self.start)

    def lies_within(self, size: int) -> bool:
        """Whether the output covers nothing outside a source of `size` pixels."""
        low, high = self.box
        return low > -_SLACK and high < size + _SLACK

    @property
    def is_exact(self) -> bool:
        """Whether every output pixel is one source pixel."""
        return abs(self.stop - self.start) == self.size and self.start.is_integer()

    def crop(self, first: int, size: int) -> Axis:
        """Keep `size` output pixels, from `first` on."""
        scale = self.scale
        return Axis(size, self.start + scale * first, self.start + scale * (first + size))

    def spread(self, first: float, extent: float) -> Axis:
        """Keep the size, but show the positions from `first` to ``first + extent``, which may lie outside."""
        return Axis(self.size, self.start + self.scale * first, self.start + self.scale * (first + extent))

    def resize(self, size: int) -> Axis:
        """Stretch or shrink to `size` output pixels."""
        return self._replace(size=size)

    def mirror(self) -> Axis:
        """Run in the opposite direction."""
        return Axis(self.size, self.stop, self.start)

    def snap(self) -> Axis:
        """Move the edges to the nearest whole pixels, at least one pixel apart."""
        low, high = (math.floor(edge + 0.5) for edge in self.box)
        if low == high:
            low = math.floor(sum(self.box) / 2)  # the middle lies within the frame
            high = low + 1
        return self._between(low, high)

    def snap_to(self, unit: int, length: int) -> Axis | None:
        """Move the edges to multiples of `unit` within `length`; None if too few units are left."""
        if abs(self.stop - self.start) <= (self.size - 1) * unit:  # most maps: too few, however rounded
            return None
        low, high = (min(math.floor(edge / unit + 0.5), length // unit) for edge in self.box)
        return self._between(low * unit, high * unit) if high - low >= self.size else None

    def _between(self, low: int, high: int) -> Axis:
        edges = (float(low), float(high)) if self.start < self.stop else (float(high), float(low))
        return Axis(self.size, *edges)


class Geometry(NamedTuple):
    """The map of one clip, from output pixels to the pixels of a frame.

    Parameters
    ----------
    y, x : Axis
        The two axes, down and across. Transforms that neither rotate nor shear change the axes alone.
    warp : tuple of two tuples of 3 float, optional
        For the row and for the column in the frame: the factor of the row on the plane, the factor of the
        column on the plane, and the offset, in edge coordinates: pixel i covers i to i + 1. Without a warp,
        the plane is the frame.
    scale : int
        A JPEG is decoded at 1 / `scale` of its size: 1, 2, 4 or 8.
    """

    y: Axis
    x: Axis
    warp: Warp | None = None
    scale: int = 1

    @property
    def is_crop(self) -> bool:
        """Whether the map is a crop, mirrored or not, without resampling."""
        return self.warp is None and self.y.is_exact and self.x.is_exact

    @property
    def flip(self) -> bool:
        """Whether left and right are mirrored."""
        return self.x.start > self.x.stop

    @property
    def flip_vertical(self) -> bool:
        """Whether top and bottom are mirrored."""
        return self.y.start > self.y.stop

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The whole map, (2, 3) float64: (row, column, 1) of the output to (row, column) of the frame."""
        y, x = self.y, self.x
        if self.warp is None:
            return np.array([[y.scale, 0, y.start], [0, x.scale, x.start]])
        return np.array(
            [
                (down * y.scale, across * x.scale, down * y.start + across * x.start + offset)
                for down, across, offset in self.warp
            ]
        )

    def crop(self, corner: tuple[int, int], size: tuple[int, int]) -> Geometry:
        """Keep a box of the output: `size` pixels from `corner` on, down and across."""
        y, x = self.y.crop(corner[0], size[0]), self.x.crop(corner[1], size[1])
        return Geometry(y, x, self.warp, self.scale)

    def map_about_center(self, linear: tuple[tuple[float, float], tuple[float, float]]) -> Geometry:
        """Compose a linear map about the centre, such as a rotation or a shear; the size stays.

        `linear` maps (row, column) of the new output to that of the old, both counted from the centre. The
        result has a warp.
        """
        (a, b), (c, d) = ((exact(first), exact(second)) for first, second in linear)
        middle_y, middle_x = self.y.size / 2, self.x.size / 2
        start_y = middle_y - (a * middle_y + b * middle_x)
        start_x = middle_x - (c * middle_y + d * middle_x)
        return self._warped(
            (
                (down * a + across * c, down * b + across * d, down * start_y + across * start_x + offset)
                for down, across, offset in self.matrix.tolist()
            )
        )

    def settle(self, height: int, width: int, *, dct_scaling: bool = False, snaps: bool = True) -> Geometry:
        """Return the final map, which is carried out.

        Parameters
        ----------
        height, width : int
            Size of the frame in pixels.
        dct_scaling : bool
            Whether a map that shrinks by 2 or more may have JPEGs decoded at a part of their size. The edges
            of its box then move to pixels of the scaled frame, by at most half an output pixel; at the far
            edges of a frame whose size is no multiple of the scale, by less than one output pixel. For a
            warp, both sides of the frame must be multiples of the scale.
        snaps : bool
            Whether the box of a map within the frame moves to whole pixels. Without, such a map becomes a
            warp unless it is a crop.

        Returns
        -------
        Geometry
            If this map has no warp and stays within the frame: axes alone, whose boxes are whole pixels of
            the frame. Otherwise a warp, with axes that cover the output.
        """
        scales = SCALES if dct_scaling else ()
        if self.warp is None and self.y.lies_within(height) and self.x.lies_within(width):
            if self.is_crop:  # the common case first
                return Geometry(self.y, self.x)
            if not snaps:
                return self._warped(self.matrix)
            for scale in scales:
                y, x = self.y.snap_to(scale, height), self.x.snap_to(scale, width)
                if y is not None and x is not None:
                    return Geometry(y, x, None, scale)
            return Geometry(self.y.snap(), self.x.snap())
        rows = self.matrix.tolist()
        if scales:
            shrinks = _least_stretch(*rows[0][:2], *rows[1][:2]) + _SLACK
            divisor = math.gcd(height, width)  # the scaled frame ends where the frame does
            scale = next((scale for scale in scales if scale <= shrinks and divisor % scale == 0), 1)
            return self._warped(rows)._replace(scale=scale)
        return self._warped(rows)

    def _warped(self, matrix: Iterable[Iterable[float]]) -> Geometry:
        (a, b, c), (d, e, f) = matrix
        return Geometry(Axis.whole(self.y.size), Axis.whole(self.x.size), ((a, b, c), (d, e, f)))


def check_border(transform: Any) -> None:  # noqa: ANN401 - any transform that has both
    """Check a frozen transform's `fill` and `fill_value`."""
    name, value = (
        type(transform).__name__,
        checked_fill_value(transform.fill_value, f"{type(transform).__name__}'s fill_value"),
    )
    checked_choice(transform.fill, f"{name}'s fill", FILLS)
    if np.any(value) and transform.fill != "constant":
        raise OptionError(
            f"{name}'s fill={transform.fill!r}: must be 'constant' with fill_value={transform.fill_value!r}"
        )
    object.__setattr__(transform, "fill_value", value)


def checked_fill_value(value: object, name: str) -> int | tuple[int, int, int]:
    """Return the value of pixels outside the frame: a byte, or one each for red, green and blue."""
    parts = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    try:
        parts = tuple(checked_int(part, "", 0, 256) for part in parts)
    except OptionError:
        parts = ()
    if len(parts) not in (1, 3):
        raise OptionError(f"{name}={value!r}: must be a byte, 0 to 255, or three")
    return parts[0] if len(parts) == 1 else parts


def agreed_border(transforms: Sequence[Any]) -> Border:
    """Return the border rule, on which all transforms that have one must agree."""
    filling: list[Any] = [transform for transform in transforms if getattr(transform, "fill", None)]
    borders = [Border(transform.fill, transform.fill_value) for transform in filling]
    for transform, border in zip(filling, borders, strict=True):
        if border != borders[0]:
            raise OptionError(
                f"{filling[0]!r} and {transform!r} fill the pixels outside the frame by different rules, but "
                "share one map: give them the same fill and fill_value (pad= of Resize is either)"
            )
    return borders[0] if borders else Border()
