"""Transforms of geometry that stay within the frame: crops, views, resizing.

Each moves the ends of the map's two axes and never mixes the axes. Boxes are whole pixels of the transform's
input, and in the end of the frame: a crop alone is a copy, anything else one stretched view of the frame
(`Recipe.geometry`), unless a transform of the list rotates, shears or leaves the frame (`warps`, or a
`Resize` that pads).
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, ClassVar, cast

from fastclips.errors import OptionError
from fastclips.options import (
    ADDED,
    check_per,
    checked_choice,
    checked_int,
    checked_number,
    checked_range,
    checked_size,
)
from fastclips.pixels.geometry.affine import checked_fill_value
from fastclips.pixels.ranges import pick, pick_power

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastclips.pixels.geometry.affine import Axis, Geometry

__all__ = [
    "CenterCrop",
    "MultiScaleCrop",
    "RandomCrop",
    "RandomResizedCrop",
    "Resize",
    "TenCrop",
    "ThreeCrop",
]


@dataclass(frozen=True)
class RandomCrop:
    """Crop a box at a random position, the same in every stream.

    Parameters
    ----------
    size : int or (int, int)
        Side, or (height, width), of the box in pixels.
    per : {"clip", "frame", "video"}
        How often the position is drawn: once for all frames of a clip, for each frame, or once for all clips
        of a video, in each epoch anew.

    Raises
    ------
    OptionError
        If an option is out of range; once frames are known, if the box is larger than a frame.

    Examples
    --------
    >>> loader = fc.ClipLoader(
    ...     fc.open("frames/"), fc.Windows(4), [fc.RandomCrop(32)], batch_size=2, workers=0
    ... )
    >>> x, y = next(iter(loader))
    >>> x.shape, x.dtype
    ((2, 4, 32, 32, 3), dtype('uint8'))
    """

    size: int | tuple[int, int]
    _: KW_ONLY
    per: str = "clip"
    draws: ClassVar[int] = 2  # top, left
    fixes_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", checked_size(self.size, "RandomCrop's size"))
        check_per(self)

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of this transform after `geometry`."""
        height, width = size = _pair(self.size)
        _check_fits(size, geometry, "RandomCrop")
        return geometry.crop(self.corner(geometry.y.size - height, geometry.x.size - width, draws), size)

    def corner(self, down: int, across: int, draws: Sequence[float]) -> tuple[int, int]:
        """Return the top and left of the box, in a frame that is so many pixels higher and wider."""
        return _pick(draws[0], down + 1), _pick(draws[1], across + 1)


@dataclass(frozen=True)
class CenterCrop:
    """Crop the box in the middle; an odd pixel is left over below and to the right.

    Parameters
    ----------
    size : int or (int, int)
        Side, or (height, width), of the box in pixels.

    Raises
    ------
    OptionError
        If `size` is out of range; once frames are known, if the box is larger than a frame.

    Examples
    --------
    >>> loader = fc.ClipLoader(
    ...     fc.open("frames/"), fc.Windows(4), [fc.CenterCrop((32, 48))], batch_size=2, workers=0
    ... )
    >>> next(iter(loader))[0].shape
    (2, 4, 32, 48, 3)
    """

    size: int | tuple[int, int]
    draws: ClassVar[int] = 0
    fixes_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", checked_size(self.size, "CenterCrop's size"))

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of this transform after `geometry`."""
        height, width = size = _pair(self.size)
        _check_fits(size, geometry, "CenterCrop")
        return geometry.crop(self.corner(geometry.y.size - height, geometry.x.size - width, draws), size)

    def corner(self, down: int, across: int, draws: Sequence[float]) -> tuple[int, int]:  # noqa: ARG002 - as RandomCrop
        """Return the top and left of the box, in a frame that is so many pixels higher and wider."""
        return down // 2, across // 2


@dataclass(frozen=True)
class ThreeCrop:
    """Crop three boxes: at the start, in the middle and at the end of the frame's longer side.

    Each clip comes once for each box. Along the shorter side the boxes lie in the middle, as in `CenterCrop`;
    the longer side of a square frame is its width.

    Parameters
    ----------
    size : int or (int, int)
        Side, or (height, width), of the boxes in pixels.

    Raises
    ------
    OptionError
        If `size` is out of range; once frames are known, if the boxes are larger than a frame.

    Examples
    --------
    >>> data, windows = fc.open("frames/"), fc.Windows(4)
    >>> loader = fc.ClipLoader(data, windows, [fc.ThreeCrop(32)], batch_size=6, shuffle=False, workers=0)
    >>> next(iter(loader))[0].shape  # two clips, three views of each
    (6, 4, 32, 32, 3)
    """

    size: int | tuple[int, int]
    views: ClassVar[int] = 3
    fixes_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", checked_size(self.size, "ThreeCrop's size"))

    def compose_view(self, geometry: Geometry, number: int) -> Geometry:
        """Return the map of view `number`, from 0, after `geometry`."""
        height, width = size = _pair(self.size)
        _check_fits(size, geometry, "ThreeCrop")
        down, across = geometry.y.size - height, geometry.x.size - width
        top, left = down // 2, across // 2
        if geometry.y.size > geometry.x.size:
            top = (0, top, down)[number]
        else:
            left = (0, left, across)[number]
        return geometry.crop((top, left), size)


@dataclass(frozen=True)
class TenCrop:
    """Crop five boxes, and mirror each: ten views.

    Each clip comes once for each view. Views 0 to 4 are the boxes at the top left, top right, bottom left,
    bottom right and in the middle, as in `CenterCrop`; views 5 to 9 are the same boxes, mirrored.

    Parameters
    ----------
    size : int or (int, int)
        Side, or (height, width), of the boxes in pixels.

    Raises
    ------
    OptionError
        If `size` is out of range; once frames are known, if the boxes are larger than a frame.

    Examples
    --------
    >>> data, windows = fc.open("frames/"), fc.Windows(4)
    >>> loader = fc.ClipLoader(data, windows, [fc.TenCrop(32)], batch_size=10, shuffle=False, workers=0)
    >>> x, y = next(iter(loader))
    >>> np.array_equal(x[5], x[0, :, :, ::-1])
    True
    """

    size: int | tuple[int, int]
    views: ClassVar[int] = 10
    fixes_size: ClassVar[bool] = True
    may_mirror: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", checked_size(self.size, "TenCrop's size"))

    def compose_view(self, geometry: Geometry, number: int) -> Geometry:
        """Return the map of view `number`, from 0, after `geometry`."""
        height, width = size = _pair(self.size)
        _check_fits(size, geometry, "TenCrop")
        mirrored, box = divmod(number, 5)
        down, across = geometry.y.size - height, geometry.x.size - width
        corners = ((0, 0), (0, across), (down, 0), (down, across), (down // 2, across // 2))
        geometry = geometry.crop(corners[box], size)
        return geometry._replace(x=geometry.x.mirror()) if mirrored else geometry


@dataclass(frozen=True)
class RandomResizedCrop:
    """Crop a box of random area, aspect and position, and scale it to a size.

    A side of the box that is longer than the frame's is cut to the frame's.

    Parameters
    ----------
    size : int or (int, int)
        Side, or (height, width), of the output in pixels.
    area : float or (float, float)
        Area of the box as a share of the frame, above 0 and at most 1; from a pair, drawn uniformly.
    aspect : float or (float, float)
        Width of the box over its height, 0.01 to 100; from a pair, drawn so that its logarithm is uniform.
    per : {"clip", "frame", "video"}
        How often the box is drawn: once for all frames of a clip, for each frame, or once for all clips
        of a video, in each epoch anew.

    Raises
    ------
    OptionError
        If an option is out of range.

    Examples
    --------
    >>> crop = fc.RandomResizedCrop(32, area=(0.5, 1.0))
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), [crop], batch_size=2, workers=0)
    >>> next(iter(loader))[0].shape
    (2, 4, 32, 32, 3)
    """

    size: int | tuple[int, int]
    area: float | tuple[float, float] = (0.08, 1.0)
    aspect: float | tuple[float, float] = (3 / 4, 4 / 3)
    _: KW_ONLY
    per: str = "clip"
    draws: ClassVar[int] = 4  # area, aspect, top, left
    fixes_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", checked_size(self.size, "RandomResizedCrop's size"))
        area = checked_range(self.area, "RandomResizedCrop's area", 0, 1)
        if area[0] == 0:
            raise OptionError(f"RandomResizedCrop's area={self.area!r}: must be above 0")
        object.__setattr__(self, "area", area)
        aspect = checked_range(self.aspect, "RandomResizedCrop's aspect", 0.01, 100)
        object.__setattr__(self, "aspect", aspect)
        check_per(self)

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of this transform after `geometry`."""
        height, width = geometry.y.size, geometry.x.size
        low, high = self.area  # type: ignore[misc]  # a pair
        area = pick(low, high, draws[0]) * height * width
        low, high = self.aspect  # type: ignore[misc]  # a pair
        aspect = pick_power(low, high, draws[1])
        tall = min(max(_round(math.sqrt(area / aspect)), 1), height)
        wide = min(max(_round(math.sqrt(area * aspect)), 1), width)
        return _crop_and_resize(geometry, (tall, wide), draws[2:], _pair(self.size))


@dataclass(frozen=True)
class MultiScaleCrop:
    """Crop a square of random scale and position, and scale it to a size.

    Parameters
    ----------
    size : int or (int, int)
        Side, or (height, width), of the output in pixels.
    scales : sequence of float
        Sides of the square to draw from, as shares of the frame's shorter side: above 0 and at most 1, each
        as likely as the others. The side is rounded to the nearest pixel.
    per : {"clip", "frame", "video"}
        How often the square is drawn: once for all frames of a clip, for each frame, or once for all clips
        of a video, in each epoch anew.

    Raises
    ------
    OptionError
        If an option is out of range.

    Examples
    --------
    >>> crop = fc.MultiScaleCrop(32, scales=[1.0, 0.75])
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), [crop], batch_size=2, workers=0)
    >>> next(iter(loader))[0].shape
    (2, 4, 32, 32, 3)
    """

    size: int | tuple[int, int]
    scales: Sequence[float] = (1.0, 0.875, 0.75, 0.66)
    _: KW_ONLY
    per: str = "clip"
    draws: ClassVar[int] = 3  # scale, top, left
    fixes_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", checked_size(self.size, "MultiScaleCrop's size"))
        given = self.scales
        try:
            scales = tuple(checked_number(scale, "", 0, 1) for scale in given)
        except (OptionError, TypeError):
            scales = ()
        if not scales or min(scales) == 0:
            raise OptionError(
                f"MultiScaleCrop's scales={given!r}: must be a list of numbers above 0 and at most 1"
            )
        object.__setattr__(self, "scales", scales)
        check_per(self)

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of this transform after `geometry`."""
        scale = self.scales[_pick(draws[0], len(self.scales))]
        side = max(_round(min(geometry.y.size, geometry.x.size) * scale), 1)
        return _crop_and_resize(geometry, (side, side), draws[1:], _pair(self.size))


@dataclass(frozen=True)
class Resize:
    """Scale to a size; give exactly one of `size`, `short_side` and `long_side`.

    Pictures and flow are interpolated bilinearly, masks and depth take the nearest pixel. None is smoothed
    before it shrinks, except JPEGs that shrink by 2 or more: see `dct_scaling` of `ClipLoader`.

    Parameters
    ----------
    size : int or (int, int), optional
        Side, or (height, width), of the output in pixels; the aspect may change.
    short_side, long_side : int, optional
        Length of the shorter or the longer side in pixels; the aspect is kept, and the other side rounded to
        the nearest pixel.
    pad : int, (int, int, int) or str, optional
        With `size`: keep the aspect, scale the whole frame to fit, in the middle of the output, and fill the
        rest (letterbox). A byte, or one each for red, green and blue, is the value of the rest, set after all
        pixel steps, as ``fill="constant"`` of `RandomRotation`, and `ignore` in masks. ``"nearest"``,
        ``"reflect"`` and ``"wrap"`` are its other rules.

    Raises
    ------
    OptionError
        If not exactly one size is given, it is out of range, or `pad` is given without `size`.

    Examples
    --------
    >>> resize = [fc.Resize(short_side=24)]  # of frames of 48 x 64 pixels
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), resize, batch_size=2, workers=0)
    >>> next(iter(loader))[0].shape
    (2, 4, 24, 32, 3)
    >>> square = [fc.Resize(64, pad=0)]  # 48 rows of the frame between 8 and 8 black ones
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), square, batch_size=2, workers=0)
    >>> x, y = next(iter(loader))
    >>> x.shape, x[:, :, :8].max(), x[:, :, 56:].max()
    ((2, 4, 64, 64, 3), np.uint8(0), np.uint8(0))
    """

    size: int | tuple[int, int] | None = None
    short_side: int | None = None
    long_side: int | None = None
    pad: int | tuple[int, int, int] | str | None = field(default=None, metadata=ADDED)
    draws: ClassVar[int] = 0

    def __post_init__(self) -> None:
        given = [name for name in ("size", "short_side", "long_side") if getattr(self, name) is not None]
        if len(given) != 1:
            raise OptionError(
                f"Resize's size={self.size!r}, short_side={self.short_side!r} and "
                f"long_side={self.long_side!r}: must be exactly one of the three"
            )
        (name,) = given
        value = getattr(self, name)
        if name == "size":
            object.__setattr__(self, "size", checked_size(value, "Resize's size"))
        else:
            object.__setattr__(self, name, checked_int(value, f"Resize's {name}", 1))
        self._check_pad()

    def _check_pad(self) -> None:
        if self.pad is None:
            return
        if self.size is None:
            raise OptionError(f"Resize's pad={self.pad!r}: needs size=, such as Resize(224, pad=0)")
        if isinstance(self.pad, str):
            checked_choice(self.pad, "Resize's pad", ("nearest", "reflect", "wrap"))
        else:
            object.__setattr__(self, "pad", checked_fill_value(self.pad, "Resize's pad"))

    @property
    def fixes_size(self) -> bool:
        """Whether the output's size is the same for frames of any size."""
        return self.size is not None

    @property
    def fill(self) -> str | None:
        """The border rule, with `pad`."""
        return self.pad if self.pad is None or isinstance(self.pad, str) else "constant"

    @property
    def fill_value(self) -> int | tuple[int, int, int]:
        """The value of the rest, with `pad`."""
        return 0 if self.pad is None or isinstance(self.pad, str) else self.pad

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:  # noqa: ARG002 - protocol
        """Return the map of this transform after `geometry`."""
        sizes = geometry.y.size, geometry.x.size
        if self.pad is not None:
            return _letterbox(geometry, _pair(self.size))  # type: ignore[arg-type]
        if self.size is not None:
            height, width = _pair(self.size)
        elif self.short_side is not None:
            height, width = (_round(size * (self.short_side / min(sizes))) for size in sizes)
        else:
            height, width = (max(_round(size * (self.long_side / max(sizes))), 1) for size in sizes)  # type: ignore[operator]
        return geometry._replace(y=geometry.y.resize(height), x=geometry.x.resize(width))


def _letterbox(geometry: Geometry, size: tuple[int, int]) -> Geometry:
    """Scale the whole input into the middle of an output, by whole pixels, and keep its aspect."""
    axes, scale = (geometry.y, geometry.x), min(size[0] / geometry.y.size, size[1] / geometry.x.size)
    boxed = []
    for axis, length in zip(axes, size, strict=True):
        part = min(max(_round(axis.size * scale), 1), length)
        before = (length - part) // 2
        boxed.append(axis.spread(-before * axis.size / part, length * axis.size / part).resize(length))
    return geometry._replace(y=boxed[0], x=boxed[1])


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return a transform's size, which `__post_init__` has made a pair."""
    return cast("tuple[int, int]", size)


def _check_fits(size: tuple[int, int], geometry: Geometry, owner: str) -> None:
    height, width = geometry.y.size, geometry.x.size
    if size[0] > height or size[1] > width:
        raise OptionError(
            f"{owner}'s size={size!r}: must be at most the frame's {height}x{width} (height x width) at that "
            f"point; make it smaller, or put Resize(short_side={max(size)}) before the crop"
        )


def _pick(draw: float, choices: int) -> int:
    """Return the choice, below `choices`, that a draw in [0, 1) means."""
    return min(int(draw * choices), choices - 1)


def _round(number: float) -> int:
    return math.floor(number + 0.5)


def _crop_and_resize(
    geometry: Geometry, box: tuple[int, int], draws: Sequence[float], size: tuple[int, int]
) -> Geometry:
    """Crop a box of whole pixels at the position that two draws mean, and stretch it to a size."""

    def crop(axis: Axis, part: int, draw: float, size: int) -> Axis:
        return axis.crop(_pick(draw, axis.size - part + 1), part).resize(size)

    y = crop(geometry.y, box[0], draws[0], size[0])
    return geometry._replace(y=y, x=crop(geometry.x, box[1], draws[1], size[1]))
