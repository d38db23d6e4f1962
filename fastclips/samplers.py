"""Which clips a set of videos gives, and the numbers that are drawn for them.

A sampler is pure: frame counts and `Draws` in, one row per clip out. It looks at all videos at once, with no
Python loop over them, since there may be millions; the frames of a clip are worked out per batch.

Draws are counter-based: a word is a function of (seed, purpose, epoch, item, column) and of nothing else, so
it is the same in any process, in any order, for any batch size. The generator is Philox4x64-10, of which
NumPy promises the raw words; it promises no stream for the methods of ``Generator``, so the mapping to
numbers is ours. One block of Philox is 4 words::

    key      seed, purpose
    counter  item, column // 4, epoch, 0        columns 0-3 of neighbouring items are neighbouring blocks

``item`` is a video or a position in the plan, as the purpose says. How many columns are asked for changes
none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from fastclips.options import checked_int

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "ClipSampler",
    "Clips",
    "Draws",
    "Purpose",
    "RandomWindow",
    "Windows",
]


class Purpose(IntEnum):
    """What words are drawn for. The values are part of the stream: never change or reuse one."""

    ORDER = 0  # item: a clip of the sampler's table
    WINDOW = 1  # item: a video
    RECIPE = 2  # item: a position in the plan


@dataclass(frozen=True)
class Draws:
    """The random words of one epoch.

    Parameters
    ----------
    seed : int
        At least 0 and below 2**64.
    epoch : int
        At least 0 and below 2**63.
    """

    seed: int
    epoch: int

    def words(self, purpose: Purpose, first: int, items: int, columns: int) -> NDArray[np.uint64]:
        """Draw for consecutive items.

        Parameters
        ----------
        purpose : Purpose
            What for.
        first : int
            The first item.
        items, columns : int
            How many items, and words for each.

        Returns
        -------
        ndarray of uint64, (items, columns)
            Raw words.
        """
        blocks = -(-columns // 4)
        out = np.empty((items, blocks, 4), np.uint64)
        # NumPy counts up before it makes a block: start one earlier, so that the blocks are Random123's.
        counter = ((self.epoch << 128) + first - 1) % 2**256
        philox = np.random.Philox(key=self.seed | purpose << 64, counter=counter)
        for block in range(blocks):
            out[:, block] = philox.random_raw(4 * items).reshape(items, 4)
            philox.advance(2**64 - items)  # the same items in the next block
        return out.reshape(items, 4 * blocks)[:, :columns]

    def units(self, purpose: Purpose, first: int, items: int, columns: int) -> NDArray[np.float64]:
        """Draw numbers in [0, 1): the upper 53 bits of each of `words`, so each is exact.

        Parameters
        ----------
        purpose, first, items, columns
            As for `words`.

        Returns
        -------
        ndarray of float64, (items, columns)
            Uniform numbers.
        """
        words = self.words(purpose, first, items, columns)
        units: NDArray[np.float64] = (words >> np.uint64(11)) * 2.0**-53
        return units


@dataclass(frozen=True, eq=False)
class Clips:
    """Clips as columns, one row each.

    A sampler that has to remember more of a clip adds columns in a subclass, with its own `rows`.

    Parameters
    ----------
    video : ndarray of int64, (N,)
        Index into the frame counts.
    start : ndarray of int64, (N,)
        The first frame.
    """

    video: NDArray[np.int64]
    start: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.video)

    def rows(self, which: NDArray[np.int64]) -> Clips:
        """Take rows by number.

        Parameters
        ----------
        which : ndarray of int64, (n,)
            Row numbers.

        Returns
        -------
        Clips
            The n rows.
        """
        return Clips(self.video[which], self.start[which])


@runtime_checkable
class ClipSampler(Protocol):
    """Cuts videos into clips.

    Its ``repr`` goes into `Plan.fingerprint` and has to name every option, as a dataclass's does.
    """

    @property
    def time_steps(self) -> int:
        """Frames in a clip."""

    @property
    def span(self) -> int:
        """Frames a video needs to give a clip."""

    @property
    def varies(self) -> bool:
        """Whether the clips of one epoch differ from those of another."""

    def clips(self, frame_counts: NDArray[np.int64], draws: Draws) -> Clips:
        """Cut all videos.

        Parameters
        ----------
        frame_counts : ndarray of int64, (V,)
            Frames of each video; those shorter than `span` give no clip.
        draws : Draws
            The epoch's random words.

        Returns
        -------
        Clips
            As many rows in every epoch, none spanning two videos.
        """

    def frames(self, clips: Clips) -> NDArray[np.int32]:
        """List the frames of some clips.

        Parameters
        ----------
        clips : Clips
            n rows of what `clips` returned.

        Returns
        -------
        ndarray of int32, (n, time_steps)
            Frame numbers, each within its video.
        """


class _Dilated:
    """What clips of evenly spaced frames have in common."""

    time_steps: int
    dilation: int

    def _check(self, *knobs: str) -> None:
        for knob in knobs:
            # A plain int, so that the repr and with it the plan's fingerprint is one.
            object.__setattr__(self, knob, checked_int(getattr(self, knob), knob, 1))

    @property
    def span(self) -> int:
        """Frames from the first frame of a clip to its last, both included."""
        return self.dilation * (self.time_steps - 1) + 1

    def frames(self, clips: Clips) -> NDArray[np.int32]:
        """List the frames of some clips: see `ClipSampler.frames`."""
        steps = np.arange(0, self.span, self.dilation, dtype=np.int32)
        return clips.start.astype(np.int32)[:, None] + steps


@dataclass(frozen=True)
class Windows(_Dilated):
    """Every window of each video, at a fixed distance.

    Parameters
    ----------
    time_steps : int
        Frames in a clip.
    step : int, optional
        Frames from the start of one window to the start of the next; by default the span, so that windows
        neither overlap nor leave gaps.
    dilation : int
        Frames from one frame of a clip to the next.

    Raises
    ------
    OptionError
        If one of them is not a positive integer.
    """

    time_steps: int
    step: int | None = None
    dilation: int = 1

    def __post_init__(self) -> None:
        self._check("time_steps", "dilation")
        if self.step is None:
            object.__setattr__(self, "step", self.span)
        else:
            self._check("step")

    @property
    def varies(self) -> bool:
        """Never: the windows are the same in every epoch."""
        return False

    def clips(self, frame_counts: NDArray[np.int64], draws: Draws) -> Clips:  # noqa: ARG002 - draws nothing
        """Cut all videos, in order: see `ClipSampler.clips`."""
        step = self.step or self.span
        windows = np.maximum((frame_counts - self.span) // step + 1, 0)
        video = np.repeat(np.arange(len(frame_counts)), windows)
        earlier = np.cumsum(windows) - windows
        start = (np.arange(len(video)) - earlier[video]) * step
        return Clips(video, start)


@dataclass(frozen=True)
class RandomWindow(_Dilated):
    """One window of each video, drawn anew in each epoch; all places are equally likely.

    Parameters
    ----------
    time_steps : int
        Frames in a clip.
    dilation : int
        Frames from one frame of a clip to the next.

    Raises
    ------
    OptionError
        If one of them is not a positive integer.
    """

    time_steps: int
    dilation: int = 1

    def __post_init__(self) -> None:
        self._check("time_steps", "dilation")

    @property
    def varies(self) -> bool:
        """Always."""
        return True

    def clips(self, frame_counts: NDArray[np.int64], draws: Draws) -> Clips:
        """Cut all videos, in order: see `ClipSampler.clips`."""
        video = np.flatnonzero(frame_counts >= self.span)
        places = frame_counts[video] - (self.span - 1)
        units = draws.units(Purpose.WINDOW, 0, len(frame_counts), 1)[video, 0]
        return Clips(video, (units * places).astype(np.int64))
