"""Frame choices: transforms that change which frames a clip shows, and in which order.

A frame choice reads frame numbers and no pixels, so it belongs to the plan: tickets, tables and labels of
frames all follow it. It is pure and works on many clips at once. Its draws are keyed by the clip's position,
like a recipe's.

Frames that a sampler marks as padding (``~frame``) keep their mark when they move.
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
    """Changes the frames of clips. Its repr must name every option: states are compared by it."""

    def choice_draws(self, time_steps: int) -> int:
        """Return how many draws it uses per clip."""

    def choose(
        self, frames: NDArray[np.int32], units: NDArray[np.float64], counts: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Return the changed frames of clips.

        Parameters
        ----------
        frames : ndarray of int32, (n, time_steps)
            Frames of each clip, ``~frame`` where a frame is repeated as padding.
        units : ndarray of float64, (n, draws)
            Draws of each clip, in [0, 1).
        counts : ndarray of int64, (n,)
            Number of frames of each clip's video.

        Returns
        -------
        ndarray of int32, (n, time_steps)
            A new array: frames of the same videos, marked as padding in the same way.
        """


def split_choices(transforms: Iterable[Any]) -> tuple[tuple[FrameChoice, ...], tuple[Any, ...]]:
    """Return the frame choices among some transforms, and the other transforms, each in order."""
    if not isinstance(transforms, Iterable):
        raise OptionError(f"transforms={transforms!r}: must be a list, as in [RandomCrop(224)]")
    everything = tuple(transforms)
    chosen = [item for item in everything if isinstance(item, FrameChoice) and not isinstance(item, type)]
    return tuple(chosen), tuple(item for item in everything if not any(item is choice for choice in chosen))


@dataclass(frozen=True)
class Reverse:
    """Reverse the frames of random clips.

    Parameters
    ----------
    p : float
        Probability that a clip is reversed, from 0 to 1.

    Raises
    ------
    OptionError
        If `p` is not from 0 to 1.

    Examples
    --------
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), [fc.Reverse(p=1)], batch_size=8, workers=0)
    >>> loader.plan_table(0)["frames"][0]
    array([3, 2, 1, 0], dtype=int32)
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", checked_number(self.p, "Reverse's p", 0, 1))

    def choice_draws(self, time_steps: int) -> int:  # noqa: ARG002 - of any length
        """Return how many draws it uses per clip: 1."""
        return 1

    def choose(
        self,
        frames: NDArray[np.int32],
        units: NDArray[np.float64],
        counts: NDArray[np.int64],  # noqa: ARG002 - of any video
    ) -> NDArray[np.int32]:
        """Return the changed frames: see `FrameChoice.choose`."""
        return np.where(units[:, :1] < self.p, frames[:, ::-1], frames)


@dataclass(frozen=True)
class FrameDrop:
    """Replace random frames by the frame before them, as a bad connection does. The first frame stays.

    A repeated frame is not padding: masks and labels of frames are those of the frame shown.

    Parameters
    ----------
    p : float
        Probability that a frame is replaced, from 0 to 1.

    Raises
    ------
    OptionError
        If `p` is not from 0 to 1.

    Examples
    --------
    >>> transforms = [fc.FrameDrop(0.5)]
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(6), transforms, batch_size=8, workers=0)
    >>> loader.plan_table(0)["frames"][0]
    array([0, 1, 2, 2, 2, 2], dtype=int32)
    """

    p: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", checked_number(self.p, "FrameDrop's p", 0, 1))

    def choice_draws(self, time_steps: int) -> int:
        """Return how many draws it uses per clip: one for each frame but the first."""
        return time_steps - 1

    def choose(
        self,
        frames: NDArray[np.int32],
        units: NDArray[np.float64],
        counts: NDArray[np.int64],  # noqa: ARG002 - of any video
    ) -> NDArray[np.int32]:
        """Return the changed frames: see `FrameChoice.choose`."""
        steps = np.arange(frames.shape[1])
        kept = np.zeros(frames.shape, np.int64)
        kept[:, 1:] = np.where(units < self.p, 0, steps[1:])
        return np.take_along_axis(frames, np.maximum.accumulate(kept, axis=1), axis=1)


@dataclass(frozen=True)
class SpeedJitter:
    """Play clips faster or slower, by a random factor for each clip: frames are farther apart or closer.

    A clip that would leave its video is shifted until it fits. If the video is too short, its first or last
    frame is repeated, which is not padding.

    Parameters
    ----------
    low, high : float
        Range of the factor, from 1/64 to 64, drawn log-uniformly; above 1 is faster.

    Raises
    ------
    OptionError
        If a factor is out of range, or `low` is above `high`.

    Examples
    --------
    >>> transforms = [fc.SpeedJitter(2, 2)]
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), transforms, batch_size=8, workers=0)
    >>> loader.plan_table(0)["frames"][:2]
    array([[ 0,  2,  4,  6],
           [ 4,  6,  8, 10]], dtype=int32)
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            number = checked_number(getattr(self, name), f"SpeedJitter's {name}", _SLOWEST, _FASTEST)
            object.__setattr__(self, name, number)
        if self.low > self.high:
            raise OptionError(f"SpeedJitter's low={self.low}: must not be above high={self.high}")

    def choice_draws(self, time_steps: int) -> int:  # noqa: ARG002 - of any length
        """Return how many draws it uses per clip: 1."""
        return 1

    def choose(
        self, frames: NDArray[np.int32], units: NDArray[np.float64], counts: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Return the changed frames: see `FrameChoice.choose`."""
        padded = frames < 0
        shown = np.where(padded, ~frames, frames).astype(np.int64)
        span = math.log(self.high / self.low)
        # Not NumPy's exponential, which is another one on CPUs with AVX-512.
        factor = self.low * np.array([[math.exp(unit * span)] for unit in units[:, 0].tolist()])
        first = shown[:, :1]
        jittered = first + np.floor((shown - first) * factor + 0.5).astype(np.int64)
        last = counts[:, None] - 1
        above = np.maximum(jittered.max(axis=1, keepdims=True) - last, 0)
        below = np.maximum(-jittered.min(axis=1, keepdims=True), 0)  # of a clip that runs backwards
        jittered = np.clip(jittered - np.where(above > 0, above, -below), 0, last).astype(np.int32)
        return np.asarray(np.where(padded, ~jittered, jittered))
