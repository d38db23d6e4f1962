"""Pixel steps that change colours and brightness: what becomes of a pixel depends on that pixel alone.

`Brightness`, `Contrast`, `ChannelShift` and `Gamma` are table steps: they look at one channel at a time and
cost nothing where they come first, since they melt into one table per clip. The others mix channels: each is
a pass over the frame in float32, which must be in colour. Values are on the scale of bytes, 0 to 255; who
runs the steps clips what comes out (`fastclips.pixels.steps.compiled`).
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.options import check_chance, checked_factors, checked_number, checked_powers
from fastclips.pixels.ranges import pick, pick_power
from fastclips.pixels.steps.base import PixelStep

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

_MIDDLE = 127.5
_SPECK = 1e-4  # a value below this is the rounding of an earlier step, which a power would lift into sight
_LUMA = np.tile([0.299, 0.587, 0.114], (3, 1))  # Rec. 601


@dataclass(frozen=True)
class Brightness(PixelStep):
    """Multiply by a factor.

    Parameters
    ----------
    low, high : float
        The factor is drawn uniformly from `low` to `high`, within 0 to 255. Given alone, `low` is how far it
        may lie from 1: ``Brightness(0.2)`` is ``Brightness(0.8, 1.2)``.
    p : float
        Share of clips (of frames, with ``per="frame"``) on which it acts.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip share it, or each has its own.
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
        """Apply to a (C, n) table of values on the scale of bytes."""
        return values * _factor(self, draws[0])


@dataclass(frozen=True)
class Contrast(PixelStep):
    """Multiply the distance from 127.5, the middle of all values, by a factor.

    About the middle rather than the frame's own mean, so that it needs no look at the frame.

    Parameters
    ----------
    low, high : float
        The factor is drawn uniformly from `low` to `high`, within 0 to 255. Given alone, `low` is how far it
        may lie from 1: ``Contrast(0.2)`` is ``Contrast(0.8, 1.2)``.
    p : float
        Share of clips (of frames, with ``per="frame"``) on which it acts.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip share it, or each has its own.
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
        """Apply to a (C, n) table of values on the scale of bytes."""
        return _MIDDLE + (values - _MIDDLE) * _factor(self, draws[0])


@dataclass(frozen=True)
class ChannelShift(PixelStep):
    """Add a number, another one to each channel.

    Parameters
    ----------
    levels : float
        The numbers are drawn uniformly from -`levels` to `levels`, at most 255.
    p : float
        Share of clips (of frames, with ``per="frame"``) on which it acts.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip share it, or each has its own.
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
        """Apply to a (C, n) table of values on the scale of bytes."""
        shifts = [[pick(-self.levels, self.levels, draw)] for draw in draws[: len(values)]]
        return np.asarray(values + np.array(shifts, values.dtype))


@dataclass(frozen=True)
class Gamma(PixelStep):
    """Raise values, scaled to [0, 1], to a power: above 1 darkens, below 1 lightens.

    Parameters
    ----------
    low, high : float
        The power is drawn from `low` to `high`, within 0.25 to 4, its logarithm uniformly: of 0.5 to 2, half
        of the clips get darker. What lies below 0.0001, as no byte does, becomes 0.
    p : float
        Share of clips (of frames, with ``per="frame"``) on which it acts.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip share it, or each has its own.
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
        """Apply to a (C, n) table of values on the scale of bytes."""
        power = pick_power(self.low, self.high, draws[0])
        return np.asarray((values / 255) ** power * 255 * (values >= _SPECK))


@dataclass(frozen=True)
class Saturation(PixelStep):
    """Blend with gray: a factor of 0 leaves the luma of Rec. 601, above 1 colours get stronger.

    Parameters
    ----------
    low, high : float
        The factor is drawn uniformly from `low` to `high`, within 0 to 255. Given alone, `low` is how far it
        may lie from 1: ``Saturation(0.2)`` is ``Saturation(0.8, 1.2)``.
    p : float
        Share of clips (of frames, with ``per="frame"``) on which it acts.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip share it, or each has its own.
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
        number: int,  # noqa: ARG002 - protocol
    ) -> NDArray[np.float32]:
        """Apply to a frame, (H, W, 3) on the scale of bytes."""
        from fastclips.pixels.steps.filters import mix_channels  # noqa: PLC0415 - OpenCV is the workers'

        factor = _factor(self, draws[0])
        return mix_channels(frame, factor * np.eye(3) + (1 - factor) * _LUMA)


@dataclass(frozen=True)
class SaturationValue(PixelStep):
    """Raise saturation and value of HSV, both scaled to [0, 1], to a power each; the hue stays.

    Parameters
    ----------
    low, high : float
        Each power is drawn from `low` to `high`, within 0.25 to 4, its logarithm uniformly. Saturations below
        0.00001, which no bytes have, become 0.
    p : float
        Share of clips (of frames, with ``per="frame"``) on which it acts.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip share it, or each has its own.
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
        number: int,  # noqa: ARG002 - protocol
    ) -> NDArray[np.float32]:
        """Apply to a frame, (H, W, 3) on the scale of bytes."""
        from fastclips.pixels.steps.filters import power_saturation_value  # noqa: PLC0415 - OpenCV is the workers'

        saturation, value = (pick_power(self.low, self.high, draw) for draw in draws)
        return power_saturation_value(frame, saturation, value)


@dataclass(frozen=True)
class Hue(PixelStep):
    """Turn the hue of HSV; saturation and value stay.

    Parameters
    ----------
    degrees : float
        The angle is drawn uniformly from -`degrees` to `degrees`, at most 180.
    p : float
        Share of clips (of frames, with ``per="frame"``) on which it acts.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip share it, or each has its own.
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
        number: int,  # noqa: ARG002 - protocol
    ) -> NDArray[np.float32]:
        """Apply to a frame, (H, W, 3) on the scale of bytes."""
        from fastclips.pixels.steps.filters import rotate_hue  # noqa: PLC0415 - OpenCV is the workers'

        return rotate_hue(frame, pick(-self.degrees, self.degrees, draws[0]))


@dataclass(frozen=True)
class Grayscale(PixelStep):
    """Replace all three channels by the luma of Rec. 601.

    Parameters
    ----------
    p : float
        Share of clips (of frames, with ``per="frame"``) on which it acts.
    per : {"clip", "frame"}
        Whether it acts on all frames of a clip or none, or on each by itself.
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
        draws: Sequence[float],  # noqa: ARG002 - protocol
        number: int,  # noqa: ARG002 - protocol
    ) -> NDArray[np.float32]:
        """Apply to a frame, (H, W, 3) on the scale of bytes."""
        from fastclips.pixels.steps.filters import mix_channels  # noqa: PLC0415 - OpenCV is the workers'

        return mix_channels(frame, _LUMA)


def _set_factors(step: Brightness | Contrast | Saturation) -> None:
    low, high = checked_factors(type(step).__name__, step.low, step.high)
    object.__setattr__(step, "low", low)
    object.__setattr__(step, "high", high)
    check_chance(step)


def _set_powers(step: Gamma | SaturationValue) -> None:
    low, high = checked_powers(type(step).__name__, step.low, step.high)
    object.__setattr__(step, "low", low)
    object.__setattr__(step, "high", high)
    check_chance(step)


def _factor(step: Brightness | Contrast | Saturation, draw: float) -> float:
    return pick(step.low, step.high, draw)  # type: ignore[arg-type]  # high is set
