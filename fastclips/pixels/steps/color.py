"""Pixel steps that change colours and brightness, pixel by pixel.

`Brightness`, `Contrast`, `ChannelShift` and `Gamma` are table steps: they map the values of one channel, and
fuse into one lookup table per clip, free if they come first. The others mix channels: each is a pass over
the frame in float32, and needs colour. Values are on the scale of bytes, 0 to 255; the engine clips the
results (`fastclips.pixels.steps.compiled`).
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.options import check_chance, checked_factors, checked_low_high, checked_number
from fastclips.pixels.ranges import pick, pick_power
from fastclips.pixels.steps.base import PixelStep
from fastclips.pixels.steps.filters import mix_channels, power, power_saturation_value, rotate_hue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "Brightness",
    "ChannelShift",
    "Contrast",
    "Gamma",
    "Grayscale",
    "Hue",
    "Saturation",
    "SaturationValue",
]

_MIDDLE = 127.5  # of the scale of bytes
_SPECK = 1e-4  # a smaller value is an earlier step's rounding, which a low power would make visible
_LUMA = np.tile([0.299, 0.587, 0.114], (3, 1))  # ITU-R BT.601


@dataclass(frozen=True)
class Brightness(PixelStep):
    """Multiply values by a factor.

    Computes ``value * f``, with f uniform in [low, high]. A table step: free if it comes first.

    Parameters
    ----------
    low, high : float
        Range of the factor, 0 to 255. With one number, 0 to 1, ``Brightness(d)`` is
        ``Brightness(1 - d, 1 + d)``.
    p : float
        Probability that the step acts on a clip (on a frame, with ``per="frame"``), 0 to 1.
    per : {"clip", "frame", "video"}
        Whether all frames of a clip share the factor, each frame draws its own, or all clips of a
        video share one draw in each epoch.

    Examples
    --------
    >>> step = fc.Brightness(0.2)
    >>> step
    Brightness(low=0.8, high=1.2, p=1.0, per='clip')
    >>> step.values(np.array([[0.0, 100.0]]), [0.75])
    array([[  0., 110.]])
    """

    kind = "table"
    low: float
    high: float | None = None
    _: KW_ONLY
    p: float = 1.0
    per: str = "clip"
    draws = 1

    def __post_init__(self) -> None:
        _set_factors(self)

    def values(self, values: NDArray[Any], draws: Sequence[float]) -> NDArray[Any]:
        """Map a (C, n) table of values on the scale of bytes."""
        return values * _factor(self, draws[0])


@dataclass(frozen=True)
class Contrast(PixelStep):
    """Multiply the distance of values from 127.5 by a factor.

    Computes ``127.5 + (value - 127.5) * f``, with f uniform in [low, high]. The middle of the scale of bytes
    stands for the mean of the frame, so the step needs no pass over the frame. A table step: free if it comes
    first.

    Parameters
    ----------
    low, high : float
        Range of the factor, 0 to 255. With one number, 0 to 1, ``Contrast(d)`` is
        ``Contrast(1 - d, 1 + d)``.
    p : float
        Probability that the step acts on a clip (on a frame, with ``per="frame"``), 0 to 1.
    per : {"clip", "frame", "video"}
        Whether all frames of a clip share the factor, each frame draws its own, or all clips of a
        video share one draw in each epoch.

    Examples
    --------
    >>> fc.Contrast(0.5, 1.5).values(np.array([[27.5, 127.5, 177.5]]), [0.0])
    array([[ 77.5, 127.5, 152.5]])
    """

    kind = "table"
    low: float
    high: float | None = None
    _: KW_ONLY
    p: float = 1.0
    per: str = "clip"
    draws = 1

    def __post_init__(self) -> None:
        _set_factors(self)

    def values(self, values: NDArray[Any], draws: Sequence[float]) -> NDArray[Any]:
        """Map a (C, n) table of values on the scale of bytes."""
        return _MIDDLE + (values - _MIDDLE) * _factor(self, draws[0])


@dataclass(frozen=True)
class ChannelShift(PixelStep):
    """Add a number to each channel.

    Computes ``value + s``, with s uniform in [-levels, levels], drawn for each channel. A table step: free if
    it comes first.

    Parameters
    ----------
    levels : float
        Largest shift in levels of a byte, 0 to 255.
    p : float
        Probability that the step acts on a clip (on a frame, with ``per="frame"``), 0 to 1.
    per : {"clip", "frame", "video"}
        Whether all frames of a clip share the shifts, each frame draws its own, or all clips of a
        video share one draw in each epoch.

    Examples
    --------
    >>> fc.ChannelShift(20).values(np.array([[100.0], [100.0], [100.0]]), [0.0, 0.5, 0.75])
    array([[ 80.],
           [100.],
           [110.]])
    """

    kind = "table"
    levels: float
    _: KW_ONLY
    p: float = 1.0
    per: str = "clip"
    draws = 3  # gray pictures use the first

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", checked_number(self.levels, "ChannelShift's levels", 0, 255))
        check_chance(self)

    def values(self, values: NDArray[Any], draws: Sequence[float]) -> NDArray[Any]:
        """Map a (C, n) table of values on the scale of bytes."""
        shifts = [[pick(-self.levels, self.levels, draw)] for draw in draws[: len(values)]]
        return np.asarray(values + np.array(shifts, values.dtype))


@dataclass(frozen=True)
class Gamma(PixelStep):
    """Raise values, scaled to [0, 1], to a power.

    Computes ``255 * (value / 255) ** g``, with log g uniform in [log low, log high]: of 0.5 to 2, half of the
    clips get darker (g above 1) and half lighter. Values below 0.0001 become 0: no byte is that small, and
    a low power would make the rounding of an earlier step visible. A table step: free if it comes first.

    Parameters
    ----------
    low, high : float
        Range of the power, 0.25 to 4.
    p : float
        Probability that the step acts on a clip (on a frame, with ``per="frame"``), 0 to 1.
    per : {"clip", "frame", "video"}
        Whether all frames of a clip share the power, each frame draws its own, or all clips of a
        video share one draw in each epoch.

    Examples
    --------
    >>> fc.Gamma(0.5, 2).values(np.array([[0.0, 51.0, 255.0]]), [0.0]).round(1)
    array([[  0., 114., 255.]])
    """

    kind = "table"
    low: float
    high: float
    _: KW_ONLY
    p: float = 1.0
    per: str = "clip"
    draws = 1

    def __post_init__(self) -> None:
        _set_powers(self)

    def values(self, values: NDArray[Any], draws: Sequence[float]) -> NDArray[Any]:
        """Map a (C, n) table of values on the scale of bytes."""
        raised = power(values / 255, pick_power(self.low, self.high, draws[0]))
        return np.asarray(raised * 255 * (values >= _SPECK))


@dataclass(frozen=True)
class Saturation(PixelStep):
    """Blend pixels with their gray.

    Computes ``gray + f * (value - gray)``, with f uniform in [low, high] and gray the luma of ITU-R BT.601,
    ``0.299 R + 0.587 G + 0.114 B``. A factor of 0 leaves gray, above 1 colours get stronger. A frame step.

    Parameters
    ----------
    low, high : float
        Range of the factor, 0 to 255. With one number, 0 to 1, ``Saturation(d)`` is
        ``Saturation(1 - d, 1 + d)``.
    p : float
        Probability that the step acts on a clip (on a frame, with ``per="frame"``), 0 to 1.
    per : {"clip", "frame", "video"}
        Whether all frames of a clip share the factor, each frame draws its own, or all clips of a
        video share one draw in each epoch.

    Examples
    --------
    >>> red = np.array([[[200, 100, 100]]], np.float32)
    >>> fc.Saturation(0, 1).apply(red, [0.0], 0)
    array([[[129.9, 129.9, 129.9]]], dtype=float32)
    """

    kind = "frame"
    low: float
    high: float | None = None
    _: KW_ONLY
    p: float = 1.0
    per: str = "clip"
    draws = 1
    needs_color = True

    def __post_init__(self) -> None:
        _set_factors(self)

    def apply(
        self,
        frame: NDArray[np.float32],
        draws: Sequence[float],
        number: int,  # noqa: ARG002 - PixelStep's
    ) -> NDArray[np.float32]:
        """Return the result for a frame, (H, W, 3) on the scale of bytes."""
        factor = _factor(self, draws[0])
        return mix_channels(frame, factor * np.eye(3) + (1 - factor) * _LUMA)


@dataclass(frozen=True)
class SaturationValue(PixelStep):
    """Raise saturation and value of HSV, both scaled to [0, 1], to a power each.

    Computes ``(h, s ** a, v ** b)``, with log a and log b uniform in [log low, log high]. Saturations below
    0.00001, which no bytes have, become 0. The default range is that of Dosovitskiy et al., "Discriminative
    Unsupervised Feature Learning with Exemplar Convolutional Neural Networks". A frame step.

    Parameters
    ----------
    low, high : float
        Range of both powers, 0.25 to 4.
    p : float
        Probability that the step acts on a clip (on a frame, with ``per="frame"``), 0 to 1.
    per : {"clip", "frame", "video"}
        Whether all frames of a clip share the powers, each frame draws its own, or all clips of a
        video share one draw in each epoch.

    Examples
    --------
    >>> red = np.array([[[200, 100, 100]]], np.float32)
    >>> fc.SaturationValue(0.5, 2).apply(red, [1.0, 0.5], 0).round()
    array([[[200., 150., 150.]]], dtype=float32)
    """

    kind = "frame"
    low: float = 0.25
    high: float = 4.0
    _: KW_ONLY
    p: float = 1.0
    per: str = "clip"
    draws = 2
    needs_color = True

    def __post_init__(self) -> None:
        _set_powers(self)

    def apply(
        self,
        frame: NDArray[np.float32],
        draws: Sequence[float],
        number: int,  # noqa: ARG002 - PixelStep's
    ) -> NDArray[np.float32]:
        """Return the result for a frame, (H, W, 3) on the scale of bytes."""
        saturation, value = (pick_power(self.low, self.high, draw) for draw in draws)
        return power_saturation_value(frame, saturation, value)


@dataclass(frozen=True)
class Hue(PixelStep):
    """Turn the hue of HSV.

    Computes ``((h + a) mod 360, s, v)``, with a uniform in [-degrees, degrees]. A frame step.

    Parameters
    ----------
    degrees : float
        Largest angle in degrees, 0 to 180.
    p : float
        Probability that the step acts on a clip (on a frame, with ``per="frame"``), 0 to 1.
    per : {"clip", "frame", "video"}
        Whether all frames of a clip share the angle, each frame draws its own, or all clips of a
        video share one draw in each epoch.

    Examples
    --------
    >>> red = np.array([[[200, 100, 100]]], np.float32)
    >>> fc.Hue(180).apply(red, [0.0], 0).round()
    array([[[100., 200., 200.]]], dtype=float32)
    """

    kind = "frame"
    degrees: float
    _: KW_ONLY
    p: float = 1.0
    per: str = "clip"
    draws = 1
    needs_color = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "degrees", checked_number(self.degrees, "Hue's degrees", 0, 180))
        check_chance(self)

    def apply(
        self,
        frame: NDArray[np.float32],
        draws: Sequence[float],
        number: int,  # noqa: ARG002 - PixelStep's
    ) -> NDArray[np.float32]:
        """Return the result for a frame, (H, W, 3) on the scale of bytes."""
        return rotate_hue(frame, pick(-self.degrees, self.degrees, draws[0]))


@dataclass(frozen=True)
class Grayscale(PixelStep):
    """Replace all three channels by the luma.

    Computes ``0.299 R + 0.587 G + 0.114 B``, the luma of ITU-R BT.601, in each channel. A frame step.

    Parameters
    ----------
    p : float
        Probability that the step acts on a clip (on a frame, with ``per="frame"``), 0 to 1.
    per : {"clip", "frame", "video"}
        Whether the step acts on all frames of a clip or none, on each frame by itself, or on all clips of a
        video or none.

    Examples
    --------
    >>> red = np.array([[[200, 100, 100]]], np.float32)
    >>> fc.Grayscale(p=0.2).apply(red, [], 0)
    array([[[129.9, 129.9, 129.9]]], dtype=float32)
    """

    kind = "frame"
    _: KW_ONLY
    p: float = 1.0
    per: str = "clip"
    draws = 0
    needs_color = True

    def __post_init__(self) -> None:
        check_chance(self)

    def apply(
        self,
        frame: NDArray[np.float32],
        draws: Sequence[float],  # noqa: ARG002 - PixelStep's
        number: int,  # noqa: ARG002 - PixelStep's
    ) -> NDArray[np.float32]:
        """Return the result for a frame, (H, W, 3) on the scale of bytes."""
        return mix_channels(frame, _LUMA)


def _set_factors(step: Brightness | Contrast | Saturation) -> None:
    low, high = checked_factors(type(step).__name__, step.low, step.high)
    object.__setattr__(step, "low", low)
    object.__setattr__(step, "high", high)
    check_chance(step)


def _set_powers(step: Gamma | SaturationValue) -> None:
    low, high = checked_low_high(type(step).__name__, step.low, step.high, 0.25, 4)
    object.__setattr__(step, "low", low)
    object.__setattr__(step, "high", high)
    check_chance(step)


def _factor(step: Brightness | Contrast | Saturation, draw: float) -> float:
    return pick(step.low, step.high, draw)  # type: ignore[arg-type]  # high is set
