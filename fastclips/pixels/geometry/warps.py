"""Geometry that may leave the frame: rotation, shift, shear, zoom.

All keep the size of what they get. Drawn per frame, they show a camera that shakes. Positions are real
numbers; nothing is rounded to whole pixels before the whole map is known (`Recipe.geometry`).

What lies beyond the frame is the recipe's one border rule, which every transform here repeats, since the
frame is left by the map as a whole and not by one transform::

    fill          beyond a frame of abcd      masks
    "nearest"     aa|abcd|dd                  the same
    "reflect"     ba|abcd|dc                  the same
    "wrap"        cd|abcd|ab                  the same
    "constant"    fill_value                  the stream's `ignore`

`fill_value` is what the batch holds there, after the pixel steps: with ``Normalize()``, a `fill_value` of 0
is a 0.0, whatever becomes of black.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fastclips.errors import OptionError
from fastclips.options import check_per, checked_choice, checked_int, checked_number, checked_range
from fastclips.pixels.geometry.affine import FILLS
from fastclips.pixels.ranges import pick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastclips.pixels.geometry.affine import Geometry

__all__ = ["RandomRotation", "RandomShear", "RandomShift", "RandomZoom"]

_STEEPEST = 80  # degrees of a shear: beyond, a frame is a thread
_FARTHEST = 10_000  # pixels of a shift
_FACTORS = (0.1, 10.0)


@dataclass(frozen=True)
class RandomRotation:
    """Turn about the centre.

    Parameters
    ----------
    degrees : float or (float, float)
        Drawn uniformly from -`degrees` to `degrees`, or from the first to the second, within 360;
        counterclockwise above 0.
    fill : {"nearest", "constant", "reflect", "wrap"}
        What lies beyond the frame; the same in all transforms of a list.
    fill_value : int or (int, int, int)
        What ``fill="constant"`` puts there in pictures, after all pixel steps: a byte, or one each for red,
        green and blue. Behind `Rescale`, too, 255 is 255.0.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip share it, or each has its own.
    """

    degrees: float | tuple[float, float]
    _: KW_ONLY
    fill: str = "nearest"
    fill_value: int | tuple[int, int, int] = 0
    per: str = "clip"
    draws: ClassVar[int] = 1
    fixes_size: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "degrees", _degrees(self.degrees, "RandomRotation's degrees", 360))
        _check_border(self)
        check_per(self)

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of this transform after `geometry`."""
        low, high = self.degrees  # type: ignore[misc]  # a pair
        degrees = pick(low, high, draws[0])
        if degrees == 0:
            return geometry
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        return geometry.turn(((cos, sin), (-sin, cos)))


@dataclass(frozen=True)
class RandomShift:
    """Move down or up, and right or left.

    Parameters
    ----------
    height, width : float
        How far at most, each way: a share of the height or the width if below 1, otherwise pixels, at most
        10,000. Both are drawn uniformly.
    fill : {"nearest", "constant", "reflect", "wrap"}
        What lies beyond the frame; the same in all transforms of a list.
    fill_value : int or (int, int, int)
        What ``fill="constant"`` puts there in pictures, after all pixel steps: a byte, or one each for red,
        green and blue. Behind `Rescale`, too, 255 is 255.0.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip share it, or each has its own.
    """

    height: float = 0.0
    width: float = 0.0
    _: KW_ONLY
    fill: str = "nearest"
    fill_value: int | tuple[int, int, int] = 0
    per: str = "clip"
    draws: ClassVar[int] = 2  # down, right
    fixes_size: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            value = checked_number(getattr(self, name), f"RandomShift's {name}", 0, _FARTHEST)
            object.__setattr__(self, name, value)
        _check_border(self)
        check_per(self)

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of this transform after `geometry`."""
        axes = []
        for axis, most, draw in zip((geometry.y, geometry.x), (self.height, self.width), draws, strict=True):
            pixels = most * axis.size if most < 1 else most
            axes.append(axis.window(-pick(-pixels, pixels, draw), axis.size))
        return geometry._replace(y=axes[0], x=axes[1])


@dataclass(frozen=True)
class RandomShear:
    """Shift each row by its distance from the middle row: verticals lean, horizontals stay.

    Parameters
    ----------
    degrees : float or (float, float)
        By how much verticals lean, to the right above 0: drawn uniformly from -`degrees` to `degrees`, or
        from the first to the second, within 80.
    fill : {"nearest", "constant", "reflect", "wrap"}
        What lies beyond the frame; the same in all transforms of a list.
    fill_value : int or (int, int, int)
        What ``fill="constant"`` puts there in pictures, after all pixel steps: a byte, or one each for red,
        green and blue. Behind `Rescale`, too, 255 is 255.0.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip share it, or each has its own.
    """

    degrees: float | tuple[float, float]
    _: KW_ONLY
    fill: str = "nearest"
    fill_value: int | tuple[int, int, int] = 0
    per: str = "clip"
    draws: ClassVar[int] = 1
    fixes_size: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "degrees", _degrees(self.degrees, "RandomShear's degrees", _STEEPEST))
        _check_border(self)
        check_per(self)

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of this transform after `geometry`."""
        low, high = self.degrees  # type: ignore[misc]  # a pair
        degrees = pick(low, high, draws[0])
        if degrees == 0:
            return geometry
        return geometry.turn(((1.0, 0.0), (math.tan(math.radians(degrees)), 1.0)))


@dataclass(frozen=True)
class RandomZoom:
    """Enlarge or shrink about the centre: a factor above 1 enlarges.

    Parameters
    ----------
    low, high : float, optional
        The factor of both axes is drawn uniformly from `low` to `high`, within 0.1 to 10. Given alone, `low`
        is how far it may lie from 1: ``RandomZoom(0.2)`` is ``RandomZoom(0.8, 1.2)``.
    height, width : float or (float, float), optional
        In place of `low` and `high`: the factor of each axis, drawn by itself if a pair. What is left out
        keeps its scale.
    fill : {"nearest", "constant", "reflect", "wrap"}
        What lies beyond the frame; the same in all transforms of a list.
    fill_value : int or (int, int, int)
        What ``fill="constant"`` puts there in pictures, after all pixel steps: a byte, or one each for red,
        green and blue. Behind `Rescale`, too, 255 is 255.0.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip share it, or each has its own.
    """

    low: float | None = None
    high: float | None = None
    _: KW_ONLY
    height: float | tuple[float, float] | None = None
    width: float | tuple[float, float] | None = None
    fill: str = "nearest"
    fill_value: int | tuple[int, int, int] = 0
    per: str = "clip"
    fixes_size: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self._by_axis:
            if not (self.low is None and self.high is None):
                raise OptionError(
                    f"RandomZoom takes either low and high, one factor for both axes, or height and width, "
                    f"not low={self.low!r}, high={self.high!r}, height={self.height!r} and "
                    f"width={self.width!r}"
                )
            for name in ("height", "width"):
                given = getattr(self, name)
                factors = checked_range(1 if given is None else given, f"RandomZoom's {name}", *_FACTORS)
                object.__setattr__(self, name, factors)
        else:
            low, high = _factors(self.low, self.high)
            object.__setattr__(self, "low", low)
            object.__setattr__(self, "high", high)
        _check_border(self)
        check_per(self)

    @property
    def _by_axis(self) -> bool:
        return not (self.height is None and self.width is None)

    @property
    def draws(self) -> int:
        """Numbers in [0, 1) used up: one, or one for each axis."""
        return 2 if self._by_axis else 1

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of this transform after `geometry`."""
        if self._by_axis:
            pairs: Any = self.height, self.width
            down, across = (pick(low, high, draw) for (low, high), draw in zip(pairs, draws, strict=True))
        else:
            down = across = pick(self.low, self.high, draws[0])  # type: ignore[arg-type]  # numbers by now
        axes = []
        for axis, factor in ((geometry.y, down), (geometry.x, across)):
            extent = axis.size / factor
            axes.append(axis.window((axis.size - extent) / 2, extent))
        return geometry._replace(y=axes[0], x=axes[1])


def _degrees(value: object, knob: str, most: float) -> tuple[float, float]:
    if isinstance(value, (tuple, list)):
        return checked_range(value, knob, -most, most)
    degrees = checked_number(value, knob, 0, most)
    return -degrees, degrees


def _factors(low: object, high: object) -> tuple[float, float]:
    if high is not None:
        return checked_range((low, high), "RandomZoom's (low, high)", *_FACTORS)
    try:
        spread = checked_number(low, "", 0, 1 - _FACTORS[0])
    except OptionError:
        raise OptionError(
            f"RandomZoom's low={low!r}: without high, it is the largest distance of the factor from 1 and "
            f"must be a number from 0 to {1 - _FACTORS[0]:g}; or give low and high, or height and width"
        ) from None
    return 1 - spread, 1 + spread


def _check_border(transform: Any) -> None:  # noqa: ANN401 - any transform that has both
    """Check a frozen transform's `fill` and `fill_value`."""
    name, value = type(transform).__name__, transform.fill_value
    checked_choice(transform.fill, f"{name}'s fill", FILLS)
    parts = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    try:
        parts = tuple(checked_int(part, "", 0, 256) for part in parts)
    except OptionError:
        parts = ()
    if len(parts) not in (1, 3):
        raise OptionError(f"{name}'s fill_value={value!r}: must be a byte, 0 to 255, or three")
    if any(parts) and transform.fill != "constant":
        raise OptionError(
            f"{name} has fill_value={value!r} and fill={transform.fill!r}, which makes no use of it: give "
            "fill='constant'"
        )
    object.__setattr__(transform, "fill_value", parts[0] if len(parts) == 1 else parts)
