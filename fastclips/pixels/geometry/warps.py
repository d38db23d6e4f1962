"""Transforms of geometry that may leave the frame: rotation, shift, shear, zoom.

Each keeps the size of its input. Drawn per frame, they look like a camera that shakes. Positions are real
numbers; nothing is rounded to whole pixels before the whole map is known (`Recipe.geometry`).

A recipe has one border rule, which sets the pixels outside the frame. Every transform here repeats the rule,
since it is the composed map that leaves the frame, not one transform::

    fill          beyond a frame of abcd      masks
    "nearest"     aa|abcd|dd                  the same
    "reflect"     ba|abcd|dc                  the same
    "wrap"        cd|abcd|ab                  the same
    "constant"    fill_value                  the stream's `ignore`

`fill_value` is a value of the batch, set after the pixel steps: with ``Normalize()``, a `fill_value` of 0 is
0.0, not a normalized black.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fastclips.errors import OptionError
from fastclips.options import (
    check_per,
    checked_factors,
    checked_number,
    checked_range,
)
from fastclips.pixels.geometry.affine import check_border
from fastclips.pixels.ranges import pick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastclips.pixels.geometry.affine import Geometry

__all__ = ["RandomRotation", "RandomShear", "RandomShift", "RandomZoom", "rotate"]

_STEEPEST = 80  # degrees of a shear: beyond, a frame becomes a thin line
_FARTHEST = 10_000  # pixels of a shift
_FACTORS = (0.1, 10.0)


@dataclass(frozen=True)
class RandomRotation:
    """Rotate about the centre.

    Parameters
    ----------
    degrees : float or (float, float)
        The angle is drawn uniformly from -`degrees` to `degrees`, or between the two of a pair, within 360.
        Positive angles turn counterclockwise.
    fill : {"nearest", "constant", "reflect", "wrap"}
        Pixels outside a frame ``abcd``: ``aa|abcd|dd``, `fill_value`, ``ba|abcd|dc`` or ``cd|abcd|ab``; the
        same in all transforms of a list.
    fill_value : int or (int, int, int)
        With ``fill="constant"``, the value of those pixels in pictures, set after all pixel steps: a byte, or
        one each for red, green and blue. After `Rescale`, too, 255 is 255.0.
    per : {"clip", "frame", "video"}
        How often the angle is drawn: once for all frames of a clip, for each frame, or once for all clips
        of a video, in each epoch anew.

    Raises
    ------
    OptionError
        If an option is out of range, or `fill_value` is given without ``fill="constant"``.

    Examples
    --------
    >>> rotation = fc.RandomRotation(10, fill="reflect")
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), [rotation], batch_size=2, workers=0)
    >>> next(iter(loader))[0].shape
    (2, 4, 48, 64, 3)
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
        check_border(self)
        check_per(self)

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of this transform after `geometry`."""
        low, high = self.degrees  # type: ignore[misc]  # a pair
        return rotate(geometry, pick(low, high, draws[0]))


@dataclass(frozen=True)
class RandomShift:
    """Shift down or up, and right or left.

    Parameters
    ----------
    height, width : float
        Largest shift in both directions: a share of the frame's height or width if below 1, otherwise pixels,
        at most 10,000. Each is drawn uniformly.
    fill : {"nearest", "constant", "reflect", "wrap"}
        Pixels outside a frame ``abcd``: ``aa|abcd|dd``, `fill_value`, ``ba|abcd|dc`` or ``cd|abcd|ab``; the
        same in all transforms of a list.
    fill_value : int or (int, int, int)
        With ``fill="constant"``, the value of those pixels in pictures, set after all pixel steps: a byte, or
        one each for red, green and blue. After `Rescale`, too, 255 is 255.0.
    per : {"clip", "frame", "video"}
        How often the shift is drawn: once for all frames of a clip, for each frame, or once for all clips
        of a video, in each epoch anew.

    Raises
    ------
    OptionError
        If an option is out of range, or `fill_value` is given without ``fill="constant"``.

    Examples
    --------
    >>> shift = fc.RandomShift(0.1, 0.1, per="frame")
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), [shift], batch_size=2, workers=0)
    >>> next(iter(loader))[0].shape
    (2, 4, 48, 64, 3)
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
        check_border(self)
        check_per(self)

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of this transform after `geometry`."""
        axes = []
        for axis, most, draw in zip((geometry.y, geometry.x), (self.height, self.width), draws, strict=True):
            pixels = most * axis.size if most < 1 else most
            axes.append(axis.spread(-pick(-pixels, pixels, draw), axis.size))
        return geometry._replace(y=axes[0], x=axes[1])


@dataclass(frozen=True)
class RandomShear:
    """Shear: each row is shifted by its distance from the middle row, so that vertical lines lean.

    Parameters
    ----------
    degrees : float or (float, float)
        The angle of vertical lines is drawn uniformly from -`degrees` to `degrees`, or between the two of a
        pair, within 80. Positive angles lean to the right.
    fill : {"nearest", "constant", "reflect", "wrap"}
        Pixels outside a frame ``abcd``: ``aa|abcd|dd``, `fill_value`, ``ba|abcd|dc`` or ``cd|abcd|ab``; the
        same in all transforms of a list.
    fill_value : int or (int, int, int)
        With ``fill="constant"``, the value of those pixels in pictures, set after all pixel steps: a byte, or
        one each for red, green and blue. After `Rescale`, too, 255 is 255.0.
    per : {"clip", "frame", "video"}
        How often the angle is drawn: once for all frames of a clip, for each frame, or once for all clips
        of a video, in each epoch anew.

    Raises
    ------
    OptionError
        If an option is out of range, or `fill_value` is given without ``fill="constant"``.

    Examples
    --------
    >>> shear = fc.RandomShear((0, 20))
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), [shear], batch_size=2, workers=0)
    >>> next(iter(loader))[0].shape
    (2, 4, 48, 64, 3)
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
        check_border(self)
        check_per(self)

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of this transform after `geometry`."""
        low, high = self.degrees  # type: ignore[misc]  # a pair
        degrees = pick(low, high, draws[0])
        if degrees == 0:
            return geometry
        return geometry.map_about_center(((1.0, 0.0), (math.tan(math.radians(degrees)), 1.0)))


@dataclass(frozen=True)
class RandomZoom:
    """Enlarge or shrink about the centre: a factor above 1 enlarges.

    Parameters
    ----------
    low, high : float, optional
        The factor of both axes is drawn uniformly from `low` to `high`, within 0.1 to 10. Without `high`,
        `low` is the largest distance of the factor from 1: ``RandomZoom(0.2)`` is ``RandomZoom(0.8, 1.2)``.
    height, width : float or (float, float), optional
        Instead of `low` and `high`: the factor of one axis; from a pair, drawn uniformly. An axis without a
        factor keeps its scale.
    fill : {"nearest", "constant", "reflect", "wrap"}
        Pixels outside a frame ``abcd``: ``aa|abcd|dd``, `fill_value`, ``ba|abcd|dc`` or ``cd|abcd|ab``; the
        same in all transforms of a list.
    fill_value : int or (int, int, int)
        With ``fill="constant"``, the value of those pixels in pictures, set after all pixel steps: a byte, or
        one each for red, green and blue. After `Rescale`, too, 255 is 255.0.
    per : {"clip", "frame", "video"}
        How often the factors are drawn: once for all frames of a clip, for each frame, or once for all clips
        of a video, in each epoch anew.

    Raises
    ------
    OptionError
        If an option is out of range, `low` is given beside `height` or `width`, or `fill_value` without
        ``fill="constant"``.

    Examples
    --------
    >>> zoom = fc.RandomZoom(0.2, fill="constant", fill_value=127)
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), [zoom], batch_size=2, workers=0)
    >>> next(iter(loader))[0].shape
    (2, 4, 48, 64, 3)
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
                    f"RandomZoom's low={self.low!r}, high={self.high!r}, height={self.height!r} and "
                    f"width={self.width!r}: must be either low and high, one factor for both axes, or height "
                    "and width"
                )
            for name in ("height", "width"):
                given = getattr(self, name)
                factors = checked_range(1 if given is None else given, f"RandomZoom's {name}", *_FACTORS)
                object.__setattr__(self, name, factors)
        else:
            instead = "give low and high, or height and width"
            low, high = checked_factors("RandomZoom", self.low, self.high, *_FACTORS, instead)
            object.__setattr__(self, "low", low)
            object.__setattr__(self, "high", high)
        check_border(self)
        check_per(self)

    @property
    def _by_axis(self) -> bool:
        return not (self.height is None and self.width is None)

    @property
    def draws(self) -> int:
        """Numbers in [0, 1) used up: one for both axes, or one for each."""
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
            axes.append(axis.spread((axis.size - extent) / 2, extent))
        return geometry._replace(y=axes[0], x=axes[1])


def rotate(geometry: Geometry, degrees: float) -> Geometry:
    """Return the map of a rotation about the centre, counterclockwise, after `geometry`."""
    if degrees == 0:
        return geometry
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return geometry.map_about_center(((cos, sin), (-sin, cos)))


def _degrees(value: object, name: str, most: float) -> tuple[float, float]:
    if isinstance(value, (tuple, list)):
        return checked_range(value, name, -most, most)
    degrees = checked_number(value, name, 0, most)
    return -degrees, degrees
