"""Where each pixel of the output lies in the frame: the map that a recipe composes.

Two axes that do not mix, each an even run from one edge of a plane to another, so that crops, scales, shifts
and mirrors compose in closed form. The plane is the frame, or, once something has turned or sheared it, what
an affine *warp* takes to the frame::

    output pixel --(axes)--> plane --(warp, if any)--> frame

Whatever is composed, it stays one map, and a pixel is resampled at most once. At the end the map is settled:
one of axes alone that stays within the frame covers whole pixels of it, and every other is a warp alone.

Where a map leaves the frame, a recipe's one `Border` says what is there. A pixel of the output is *outside*
if its centre lies outside the frame.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FILLS", "SCALES", "Axis", "Border", "Geometry", "Warp"]

FILLS = ("nearest", "constant", "reflect", "wrap")
SCALES = (8, 4, 2)  # of libjpeg's inverse transforms with fewer points
_SLACK = 1e-6  # pixels by which rounding may have moved an edge that lies on the frame's

Warp: TypeAlias = tuple[tuple[float, float, float], tuple[float, float, float]]


class Border(NamedTuple):
    """What lies beyond the frame.

    Parameters
    ----------
    fill : {"nearest", "constant", "reflect", "wrap"}
        With a frame of ``abcd``: ``aa|abcd|dd``, `value`, ``ba|abcd|dc``, ``cd|abcd|ab``.
    value : int or (int, int, int)
        A byte, or one each for red, green and blue; for ``"constant"``.
    """

    fill: str = "nearest"
    value: int | tuple[int, int, int] = 0


class Axis(NamedTuple):
    """One axis of a map: `size` output pixels that run from one source edge to another, evenly.

    Edges, unlike centres, are whole numbers where nothing is resampled. Running backwards mirrors.
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
        """First and last edge of the source that the output covers."""
        return min(self.start, self.stop), max(self.start, self.stop)

    def lies_within(self, size: int) -> bool:
        """Whether the output covers nothing beyond a source of so many pixels."""
        low, high = self.box
        return low > -_SLACK and high < size + _SLACK

    @property
    def is_exact(self) -> bool:
        """Whether every output pixel is one source pixel."""
        return abs(self.stop - self.start) == self.size and self.start.is_integer()

    def crop(self, first: int, size: int) -> Axis:
        """Keep `size` output pixels from `first` on."""
        scale = self.scale
        return Axis(size, self.start + scale * first, self.start + scale * (first + size))

    def window(self, first: float, extent: float) -> Axis:
        """Spread the output over `extent` of its pixels, from edge `first` on; these may lie beyond it."""
        return Axis(self.size, self.start + self.scale * first, self.start + self.scale * (first + extent))

    def resize(self, size: int) -> Axis:
        """Stretch to `size` output pixels."""
        return self._replace(size=size)

    def mirror(self) -> Axis:
        """Run the other way."""
        return Axis(self.size, self.stop, self.start)

    def snap(self) -> Axis:
        """Move the edges to the nearest whole pixels, one apart at least."""
        low, high = (math.floor(edge + 0.5) for edge in self.box)
        if low == high:
            low = math.floor(sum(self.box) / 2)  # within the frame, as its middle is
            high = low + 1
        return self._between(low, high)

    def snap_to(self, step: int, length: int) -> Axis | None:
        """Move the edges to multiples of `step` within `length`; None if too few steps are between them."""
        if abs(self.stop - self.start) <= (self.size - 1) * step:  # as of most maps: no rounding helps
            return None
        low, high = (min(math.floor(edge / step + 0.5), length // step) for edge in self.box)
        return self._between(low * step, high * step) if high - low >= self.size else None

    def _between(self, low: int, high: int) -> Axis:
        edges = (float(low), float(high)) if self.start < self.stop else (float(high), float(low))
        return Axis(self.size, *edges)


class Geometry(NamedTuple):
    """The map of one clip from output pixels to a frame's.

    Parameters
    ----------
    y, x : Axis
        The two axes, down and across; what composes without turning changes these alone.
    warp : tuple of two tuples of 3 float, optional
        Row and column of the frame, each as its share of a position's row on the plane, its share of the
        column, and an offset; all in edge coordinates, where pixel i covers i to i + 1. Without it, the plane
        is the frame.
    scale : int
        At which part of its size a JPEG is decoded for it: 1 / 1, 2, 4 or 8.
    """

    y: Axis
    x: Axis
    warp: Warp | None = None
    scale: int = 1

    @property
    def is_crop(self) -> bool:
        """Whether the map is a crop, mirrored or not, that needs no resampling."""
        return self.warp is None and self.y.is_exact and self.x.is_exact

    @property
    def flip(self) -> bool:
        """Whether left and right change places."""
        return self.x.start > self.x.stop

    @property
    def flip_vertical(self) -> bool:
        """Whether top and bottom change places."""
        return self.y.start > self.y.stop

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The whole map, (2, 3) float64: from an output (row, column, 1) to the frame's (row, column)."""
        axes = np.array([[self.y.scale, 0, self.y.start], [0, self.x.scale, self.x.start], [0, 0, 1]])
        return axes[:2] if self.warp is None else np.array(self.warp) @ axes

    def crop(self, corner: tuple[int, int], size: tuple[int, int]) -> Geometry:
        """Keep a box of the output: `size` pixels from `corner` on, down and across."""
        y, x = self.y.crop(corner[0], size[0]), self.x.crop(corner[1], size[1])
        return Geometry(y, x, self.warp, self.scale)

    def turn(self, linear: tuple[tuple[float, float], tuple[float, float]]) -> Geometry:
        """Turn or shear about the centre of the output, whose size stays.

        Parameters
        ----------
        linear : tuple of two tuples of 2 float
            From the (row, column) of an output position to that of what it shows, both from the centre.

        Returns
        -------
        Geometry
            With a warp.
        """
        center = np.array([self.y.size / 2, self.x.size / 2])
        about = np.vstack([np.column_stack([linear, center - np.array(linear) @ center]), [0, 0, 1]])
        return self._warped(self.matrix @ about)

    def settle(self, height: int, width: int, *, dct_scaling: bool = False) -> Geometry:
        """Return the map as it is carried out.

        Parameters
        ----------
        height, width : int
            Size of the frame in pixels.
        dct_scaling : bool
            Whether a map that shrinks by 2 or more may ask for JPEGs at a part of their size. Its box then
            begins and ends with a pixel of the smaller frame, half of one of the output away at most; at the
            frame's far edges, where the last pixel of the smaller frame is not a whole one, by less than one
            of the output. A warp needs both sides to divide by the scale.

        Returns
        -------
        Geometry
            Axes alone, whose boxes are whole pixels of the frame, if this map does not turn and stays within
            the frame; otherwise a warp of the whole output.
        """
        scales = SCALES if dct_scaling else ()
        if self.warp is None and self.y.lies_within(height) and self.x.lies_within(width):
            if self.is_crop:  # the common case, and so the shortest way
                return Geometry(self.y, self.x)
            for scale in scales:
                y, x = self.y.snap_to(scale, height), self.x.snap_to(scale, width)
                if y is not None and x is not None:
                    return Geometry(y, x, None, scale)
            return Geometry(self.y.snap(), self.x.snap())
        matrix = self.matrix
        if scales:  # the frame's far edges stay where they are only if they are whole
            shrinks = np.linalg.svd(matrix[:, :2], compute_uv=False).min()
            whole = math.gcd(height, width)
            scale = next((one for one in scales if one <= shrinks and whole % one == 0), 1)
            return self._warped(matrix)._replace(scale=scale)
        return self._warped(matrix)

    def _warped(self, matrix: NDArray[np.float64]) -> Geometry:
        rows, columns = (tuple(row) for row in matrix.tolist())
        return Geometry(Axis.whole(self.y.size), Axis.whole(self.x.size), (rows, columns))
