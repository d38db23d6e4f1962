"""Geometry whose box lies within what it gets: crops, views, mirroring, resizing.

All these move the ends of the map's two axes and never mix them. Their boxes are whole pixels of what they
get, and in the end of the frame: a crop alone is a copy, and anything else one stretched view of the frame
(`Recipe.geometry`), unless something in the list turns, or leaves the frame (`warps`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import check_per, checked_int, checked_number, checked_range
from fastclips.pixels.ranges import pick, pick_power

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from fastclips.pixels.geometry.affine import Axis, Geometry

__all__ = [
    "CenterCrop",
    "MultiScaleCrop",
    "RandomCrop",
    "RandomFlip",
    "RandomResizedCrop",
    "Resize",
    "TenCrop",
    "ThreeCrop",
    "swap_table",
]


_PAIR = 2


def _size(value: int | tuple[int, int], name: str) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or any(  # noqa: PLR2004 - height and width
        isinstance(v, bool) or not isinstance(v, (int, np.integer)) or v < 1 for v in pair
    ):
        raise OptionError(f"{name}={value!r}: must be a positive int or (height, width)")
    return int(pair[0]), int(pair[1])


def _given(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return a transform's size, which is a pair once the transform is made."""
    return cast("tuple[int, int]", size)


def _check_fits(size: tuple[int, int], geometry: Geometry, name: str) -> None:
    height, width = geometry.y.size, geometry.x.size
    if size[0] > height or size[1] > width:
        raise OptionError(
            f"{name} of {size[0]}x{size[1]} (height x width) is larger than the frame's {height}x{width} "
            f"at that point; make the crop smaller or put Resize(short_side={max(size)}) before it"
        )


def _pick(draw: float, choices: int) -> int:
    return min(int(draw * choices), choices - 1)


def _round(number: float) -> int:
    return math.floor(number + 0.5)


@dataclass(frozen=True)
class RandomCrop:
    """Cut out a box at random, of every stream the same.

    Parameters
    ----------
    size : int or (int, int)
        Side, or (height, width), of the box in pixels.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip share it, or each has its own.
    """

    size: int | tuple[int, int]
    _: KW_ONLY
    per: str = "clip"
    draws: ClassVar[int] = 2
    fixes_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _size(self.size, "RandomCrop's size"))
        check_per(self)

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of this transform after `geometry`."""
        height, width = size = _given(self.size)
        _check_fits(size, geometry, "RandomCrop")
        top = _pick(draws[0], geometry.y.size - height + 1)
        left = _pick(draws[1], geometry.x.size - width + 1)
        return geometry.crop((top, left), size)


@dataclass(frozen=True)
class CenterCrop:
    """Cut out the box in the middle (where a pixel is left over, it lies below and to the right).

    Parameters
    ----------
    size : int or (int, int)
        Side, or (height, width), of the box in pixels.
    """

    size: int | tuple[int, int]
    draws: ClassVar[int] = 0
    fixes_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _size(self.size, "CenterCrop's size"))

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:  # noqa: ARG002 - protocol
        """Return the map of this transform after `geometry`."""
        height, width = size = _given(self.size)
        _check_fits(size, geometry, "CenterCrop")
        top, left = (geometry.y.size - height) // 2, (geometry.x.size - width) // 2
        return geometry.crop((top, left), size)


@dataclass(frozen=True)
class ThreeCrop:
    """Cut out three boxes, each clip once for each: start, middle and end of the frame's longer side.

    On the other side they lie in the middle, as in `CenterCrop`; of a square frame, the width is cut up.

    Parameters
    ----------
    size : int or (int, int)
        Side, or (height, width), of the boxes in pixels.
    """

    size: int | tuple[int, int]
    views: ClassVar[int] = 3
    fixes_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _size(self.size, "ThreeCrop's size"))

    def compose_view(self, geometry: Geometry, number: int) -> Geometry:
        """Return the map of view `number`, from 0, after `geometry`."""
        height, width = size = _given(self.size)
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
    """Cut out five boxes, each clip once for each and once more mirrored.

    Views 0 to 4 are the box at the top left, top right, bottom left, bottom right and in the middle, as in
    `CenterCrop`; views 5 to 9 are the same boxes in that order, left and right changing places within each.

    Parameters
    ----------
    size : int or (int, int)
        Side, or (height, width), of the boxes in pixels.
    """

    size: int | tuple[int, int]
    views: ClassVar[int] = 10
    fixes_size: ClassVar[bool] = True
    may_mirror: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _size(self.size, "TenCrop's size"))

    def compose_view(self, geometry: Geometry, number: int) -> Geometry:
        """Return the map of view `number`, from 0, after `geometry`."""
        height, width = size = _given(self.size)
        _check_fits(size, geometry, "TenCrop")
        mirrored, place = divmod(number, 5)
        down, across = geometry.y.size - height, geometry.x.size - width
        corners = ((0, 0), (0, across), (down, 0), (down, across), (down // 2, across // 2))
        top, left = corners[place]
        geometry = geometry.crop((top, left), size)
        return geometry._replace(x=geometry.x.mirror()) if mirrored else geometry


@dataclass(frozen=True)
class RandomResizedCrop:
    """Cut out a box of random area, aspect and place, and scale it to a size.

    A side of the box that is longer than the frame's is cut to it.

    Parameters
    ----------
    size : int or (int, int)
        Side, or (height, width), of the result in pixels.
    area : float or (float, float)
        The box's share of the frame, above 0 and at most 1; of a pair, drawn uniformly from the first to the
        second.
    aspect : float or (float, float)
        The box's width over its height, 0.01 to 100; of a pair, drawn from the first to the second, its
        logarithm uniformly.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip share it, or each has its own.
    """

    size: int | tuple[int, int]
    area: float | tuple[float, float] = (0.08, 1.0)
    aspect: float | tuple[float, float] = (3 / 4, 4 / 3)
    _: KW_ONLY
    per: str = "clip"
    draws: ClassVar[int] = 4  # area, aspect, top, left
    fixes_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _size(self.size, "RandomResizedCrop's size"))
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
        return _cut_and_resize(geometry, (tall, wide), draws[2:], _given(self.size))


@dataclass(frozen=True)
class MultiScaleCrop:
    """Cut out a square of random scale and place, and scale it to a size.

    Parameters
    ----------
    size : int or (int, int)
        Side, or (height, width), of the result in pixels.
    scales : sequence of float
        The square's side as a share of the frame's shorter side, above 0 and at most 1; each is drawn as
        often. The side is rounded to the nearest pixel.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip share it, or each has its own.
    """

    size: int | tuple[int, int]
    scales: Sequence[float] = (1.0, 0.875, 0.75, 0.66)
    _: KW_ONLY
    per: str = "clip"
    draws: ClassVar[int] = 3  # scale, top, left
    fixes_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _size(self.size, "MultiScaleCrop's size"))
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
        return _cut_and_resize(geometry, (side, side), draws[1:], _given(self.size))


@dataclass(frozen=True)
class RandomFlip:
    """Mirror left and right, or top and bottom.

    Where left and right change places, what a label or a mask calls left may be right: `label_map` and
    `mask_map` say so. No other transform of a list with one of them may mirror left and right, too.

    Parameters
    ----------
    p : float
        Share of clips (of frames, with ``per="frame"``) whose left and right change places.
    vertical : float
        Share of those whose top and bottom change places, whether or not left and right do.
    label_map : mapping, optional
        Classes that change places with left and right, by name or number, each pair once:
        ``{"turn left": "turn right"}``. Holds for the label of a clip, for labels of its frames and for
        several labels (their columns), in batches, weights by class and `plan_table` alike; a frame of its
        own cannot turn it around, so not with ``per="frame"``.
    mask_map : mapping of int to int, optional
        Values of masks that change places with left and right, each pair once: ``{3: 4}``. They are those
        of the batch: after the `values` or `colors` of `fastclips.open`.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip share it, or each has its own.
    """

    p: float = 0.5
    vertical: float = 0.0
    _: KW_ONLY
    label_map: Mapping[str | int, str | int] | tuple[tuple[str | int, str | int], ...] | None = None
    mask_map: Mapping[int, int] | tuple[tuple[int, int], ...] | None = None
    per: str = "clip"
    fixes_size: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("p", "vertical"):
            value = getattr(self, name)
            if not isinstance(value, Real) or not 0 <= float(value) <= 1:
                raise OptionError(f"RandomFlip's {name}={value!r}: must lie between 0 and 1")
            object.__setattr__(self, name, float(value))  # compared in two processes, and for arrays
        object.__setattr__(self, "label_map", _pairs(self.label_map, "label_map", _checked_class))
        object.__setattr__(self, "mask_map", _pairs(self.mask_map, "mask_map", _checked_value))
        check_per(self)
        if self.label_map is not None and self.per == "frame":
            raise OptionError(
                "RandomFlip has label_map=, which swaps the label of a clip, and per='frame', which mirrors "
                "only some of its frames: choose one"
            )

    @property
    def draws(self) -> int:
        """Numbers in [0, 1) used up: a second one only where it may mirror top and bottom."""
        return 1 + (self.vertical > 0)

    @property
    def label_pairs(self) -> tuple[tuple[str | int, str | int], ...]:
        """Classes that change places with left and right."""
        return self.label_map or ()  # type: ignore[return-value]  # pairs by now

    @property
    def mask_pairs(self) -> tuple[tuple[int, int], ...]:
        """Values of masks that change places with left and right."""
        return self.mask_map or ()  # type: ignore[return-value]  # pairs by now

    @property
    def may_mirror(self) -> bool:
        """Whether left and right change places somewhere."""
        return self.p > 0

    def mirrors(self, draw: Any) -> Any:  # noqa: ANN401 - a number, or an array of them
        """Say whether left and right change places, by the first of the transform's draws."""
        return draw < self.p

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of this transform after `geometry`."""
        if self.mirrors(draws[0]):
            geometry = geometry._replace(x=geometry.x.mirror())
        if self.vertical > 0 and draws[1] < self.vertical:
            geometry = geometry._replace(y=geometry.y.mirror())
        return geometry


@dataclass(frozen=True)
class Resize:
    """Scale to a size; exactly one of the parameters is given.

    Pictures are interpolated bilinearly, masks take the nearest pixel. Nothing is smoothed before, but JPEGs
    that shrink by 2 or more: see `dct_scaling` of `ClipLoader`.

    Parameters
    ----------
    size : int or (int, int), optional
        Side, or (height, width), of the result in pixels; the aspect may change.
    short_side, long_side : int, optional
        Pixels of the shorter or the longer side; the aspect is kept, the other side rounded to the nearest
        pixel.
    """

    size: int | tuple[int, int] | None = None
    short_side: int | None = None
    long_side: int | None = None
    draws: ClassVar[int] = 0

    def __post_init__(self) -> None:
        given = [name for name in ("size", "short_side", "long_side") if getattr(self, name) is not None]
        if len(given) != 1:
            raise OptionError(
                f"Resize needs either a size or short_side or long_side, not size={self.size!r}, "
                f"short_side={self.short_side!r} and long_side={self.long_side!r}"
            )
        (name,) = given
        value = getattr(self, name)
        if name == "size":
            object.__setattr__(self, "size", _size(value, "Resize's size"))
        elif isinstance(value, (tuple, list)):
            raise OptionError(f"Resize's {name}={value!r}: must be a positive int")
        else:
            object.__setattr__(self, name, _size(value, f"Resize's {name}")[0])

    @property
    def fixes_size(self) -> bool:
        """Whether the output's size is the same for frames of any size."""
        return self.size is not None

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:  # noqa: ARG002 - protocol
        """Return the map of this transform after `geometry`."""
        sizes = geometry.y.size, geometry.x.size
        if self.size is not None:
            height, width = _given(self.size)
        elif self.short_side is not None:
            height, width = (_round(size * (self.short_side / min(sizes))) for size in sizes)
        else:
            height, width = (max(_round(size * (self.long_side / max(sizes))), 1) for size in sizes)  # type: ignore[operator]
        return geometry._replace(y=geometry.y.resize(height), x=geometry.x.resize(width))


def swap_table(pairs: Iterable[tuple[int, int]], size: int) -> NDArray[np.intp]:
    """Return what each of `size` numbers becomes where those of each pair change places."""
    table = np.arange(size)
    for one, other in pairs:
        table[[one, other]] = other, one
    return table


def _pairs(value: object, knob: str, checked: Callable[[object], Any]) -> tuple[tuple[Any, Any], ...] | None:
    """Return what changes places as pairs, each once; None where there are none."""
    if value is None:
        return None
    given = tuple(value.items()) if isinstance(value, Mapping) else value
    pairs = given if isinstance(given, tuple) else (None,)
    if not all(isinstance(pair, tuple) and len(pair) == _PAIR for pair in pairs):
        raise OptionError(f"RandomFlip's {knob}={value!r}: must be a mapping, as in {{3: 4}}")
    partners: dict[object, object] = {}
    for pair in pairs:
        for one, other in (pair, pair[::-1]):
            checked(one)
            if one == other or partners.setdefault(one, other) != other:
                raise OptionError(
                    f"RandomFlip's {knob} has {one!r} in two places of {value!r}: each may change "
                    "places with one other"
                )
    return tuple(pair for place, pair in enumerate(pairs) if pair[::-1] not in pairs[:place]) or None


def _checked_class(value: object) -> None:
    if not isinstance(value, str):
        checked_int(value, "a class in RandomFlip's label_map", 0)


def _checked_value(value: object) -> None:
    checked_int(value, "a value in RandomFlip's mask_map", 0, 256)


def _cut_and_resize(
    geometry: Geometry, box: tuple[int, int], draws: Sequence[float], size: tuple[int, int]
) -> Geometry:
    """Place a box of whole pixels by two draws and stretch it to a size."""

    def cut(axis: Axis, part: int, draw: float, size: int) -> Axis:
        return axis.crop(_pick(draw, axis.size - part + 1), part).resize(size)

    y = cut(geometry.y, box[0], draws[0], size[0])
    return geometry._replace(y=y, x=cut(geometry.x, box[1], draws[1], size[1]))
