"""Which frames of a clip are shown, and in which order: what is done to a clip before any pixel is.

A choice is a transform that knows frame numbers alone, so it belongs to the plan: tickets, tables and labels
of frames all follow it. It is pure, for many clips at once; what it draws is keyed by the clip's position, as
a recipe's draws are.

Frames that a sampler marks as padding (``~frame``) stay marked wherever they go.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import checked_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FrameChoice", "FrameDrop", "Reverse", "SpeedJitter", "split_choices"]

_SLOWEST, _FASTEST = 1 / 64, 64.0


@runtime_checkable
class FrameChoice(Protocol):
    """Changes the frames of clips. Its ``repr`` names every option: it enters the plan's fingerprint."""

    def choice_draws(self, time_steps: int) -> int:
        """Return how many numbers in [0, 1) it uses up per clip."""

    def choose(
        self, frames: NDArray[np.int32], units: NDArray[np.float64], counts: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Return other frames of the same videos.

        Parameters
        ----------
        frames : ndarray of int32, (n, time_steps)
            Frames of each clip, ``~frame`` where one is repeated as padding.
        units : ndarray of float64, (n, draws)
            The clips' numbers in [0, 1).
        counts : ndarray of int64, (n,)
            Frames of each clip's video.

        Returns
        -------
        ndarray of int32, (n, time_steps)
            A new array.
        """


def split_choices(transforms: Iterable[Any]) -> tuple[tuple[FrameChoice, ...], tuple[Any, ...]]:
    """Tell frame choices from other transforms.

    Parameters
    ----------
    transforms : iterable
        Both, in any order.

    Returns
    -------
    choices, others : tuple
        Each in its order.

    Raises
    ------
    OptionError
        If it is no iterable.
    """
    if not isinstance(transforms, Iterable):
        raise OptionError(f"transforms={transforms!r}: must be a list, as in [RandomCrop(224)]")
    everything = tuple(transforms)
    chosen = [one for one in everything if isinstance(one, FrameChoice) and not isinstance(one, type)]
    return tuple(chosen), tuple(one for one in everything if not any(one is choice for choice in chosen))


@dataclass(frozen=True)
class Reverse:
    """Show clips backwards.

    Parameters
    ----------
    p : float
        Share of clips that are reversed.

    Raises
    ------
    OptionError
        If `p` is no share.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", checked_number(self.p, "Reverse's p", 0, 1))

    def choice_draws(self, time_steps: int) -> int:  # noqa: ARG002 - of any clip
        """Return how many numbers it uses up per clip: one."""
        return 1

    def choose(
        self,
        frames: NDArray[np.int32],
        units: NDArray[np.float64],
        counts: NDArray[np.int64],  # noqa: ARG002 - of any video
    ) -> NDArray[np.int32]:
        """Return other frames: see `FrameChoice.choose`."""
        return np.where(units[:, :1] < self.p, frames[:, ::-1], frames)


@dataclass(frozen=True)
class FrameDrop:
    """Lose frames, as a bad connection does: the one before is shown again. The first one stays.

    What is shown again is no padding: masks and labels of frames are those of the frame that is shown.

    Parameters
    ----------
    p : float
        Share of frames that are lost.

    Raises
    ------
    OptionError
        If `p` is no share.
    """

    p: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", checked_number(self.p, "FrameDrop's p", 0, 1))

    def choice_draws(self, time_steps: int) -> int:
        """Return how many numbers it uses up per clip: one for each frame but the first."""
        return time_steps - 1

    def choose(
        self,
        frames: NDArray[np.int32],
        units: NDArray[np.float64],
        counts: NDArray[np.int64],  # noqa: ARG002 - of any video
    ) -> NDArray[np.int32]:
        """Return other frames: see `FrameChoice.choose`."""
        steps = np.arange(frames.shape[1])
        kept = np.zeros(frames.shape, np.int64)
        kept[:, 1:] = np.where(units < self.p, 0, steps[1:])
        return np.take_along_axis(frames, np.maximum.accumulate(kept, axis=1), axis=1)


@dataclass(frozen=True)
class SpeedJitter:
    """Play clips faster or slower: frames lie farther apart or closer together, by one factor for a clip.

    A clip that would leave its video is moved until it fits; where the whole video is too short, its first
    or last frame is shown as long as it takes, which is no padding.

    Parameters
    ----------
    low, high : float
        The factor is drawn log-uniformly from `low` to `high`, within 1/64 to 64; above 1 is faster.

    Raises
    ------
    OptionError
        If the range is none.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            number = checked_number(getattr(self, name), f"SpeedJitter's {name}", _SLOWEST, _FASTEST)
            object.__setattr__(self, name, number)
        if self.low > self.high:
            raise OptionError(f"SpeedJitter's low={self.low} is above high={self.high}")

    def choice_draws(self, time_steps: int) -> int:  # noqa: ARG002 - of any clip
        """Return how many numbers it uses up per clip: one."""
        return 1

    def choose(
        self, frames: NDArray[np.int32], units: NDArray[np.float64], counts: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Return other frames: see `FrameChoice.choose`."""
        padded = frames < 0
        shown = np.where(padded, ~frames, frames).astype(np.int64)
        factor = self.low * np.exp(units[:, :1] * math.log(self.high / self.low))
        first = shown[:, :1]
        jittered = first + np.floor((shown - first) * factor + 0.5).astype(np.int64)
        last = counts[:, None] - 1
        above = np.maximum(jittered.max(axis=1, keepdims=True) - last, 0)
        below = np.maximum(-jittered.min(axis=1, keepdims=True), 0)  # of a clip that runs backwards
        jittered = np.clip(jittered - np.where(above > 0, above, -below), 0, last).astype(np.int32)
        return np.asarray(np.where(padded, ~jittered, jittered))
