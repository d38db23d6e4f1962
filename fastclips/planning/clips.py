"""Videos and clips: what samplers take and what they give.

A sampler is pure: `Videos` and `Draws` in, `Clips` out, one row each. It looks at all videos at once, with no
Python loop over them, since there may be millions; the frames of a clip are worked out per batch. The clips
of a video are as many in every epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from fastclips.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from fastclips.planning.draws import Draws

__all__ = ["ClipSampler", "Clips", "Videos"]


@dataclass(frozen=True, eq=False)
class Videos:
    """What samplers cut.

    Parameters
    ----------
    frame_counts : ndarray of int64, (V,)
        Frames of each video.
    fps : ndarray of float64, (V,), optional
        Frames per second of each, NaN where unknown; needed by samplers with ``fps=`` alone.
    names : sequence of str, optional
        Names for messages; by default videos are called by their numbers.

    Raises
    ------
    OptionError
        If the columns are not of one length, or not of numbers.
    """

    frame_counts: NDArray[np.int64]
    fps: NDArray[np.float64] | None = None
    names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        counts = _kept(self.frame_counts)
        if counts.ndim != 1 or len(counts) == 0 or counts.dtype.kind not in "iu":
            raise OptionError(
                f"frame_counts of shape {counts.shape} and type {counts.dtype}: "
                "must be integers, one per video"
            )
        wrong = np.flatnonzero((counts < 0) | (counts >= 2**31))
        if len(wrong):
            raise OptionError(
                f"frame_counts[{wrong[0]}]={counts[wrong[0]]}: must be a number of frames, "
                f"from 0 to {2**31 - 1}"
            )
        object.__setattr__(self, "frame_counts", counts.astype(np.int64, copy=False))
        if self.fps is not None:
            fps = _kept(self.fps)
            if fps.shape != counts.shape or fps.dtype.kind not in "iuf":
                raise OptionError(
                    f"fps of shape {fps.shape} and type {fps.dtype}: must be numbers, one for each of "
                    f"{len(counts)} videos"
                )
            object.__setattr__(self, "fps", fps.astype(np.float64, copy=False))
        if self.names is not None and len(self.names) != len(counts):
            raise OptionError(f"{len(self.names)} names: must be one for each of {len(counts)} videos")

    def __len__(self) -> int:
        return len(self.frame_counts)

    def called(self, video: int) -> str | int:
        """Return what a message calls a video.

        Parameters
        ----------
        video : int
            Its number.

        Returns
        -------
        str or int
            Its name; its number where there are no names.
        """
        return video if self.names is None else self.names[video]


def _kept(column: NDArray[Any]) -> NDArray[Any]:
    """Return an array that nobody else writes to; one that is read-only, as shared columns are, as it is."""
    array = np.asarray(column)
    return array.copy() if array.flags.writeable else array


@dataclass(frozen=True, eq=False)
class Clips:
    """Clips as columns, one row each.

    A sampler that has to remember more of a clip adds columns in a subclass, with its own `rows`.

    Parameters
    ----------
    video : ndarray of int64, (N,)
        Row of the videos.
    start : ndarray of int64, (N,)
        The first position, as the sampler counts.
    view : ndarray of int64, (N,)
        Which of the sampler's views of the video it is; 0 where there is only one.
    """

    video: NDArray[np.int64]
    start: NDArray[np.int64]
    view: NDArray[np.int64]

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
        return Clips(self.video[which], self.start[which], self.view[which])


class EvenClips(Clips):
    """Windows at a fixed distance, worked out when they are asked for: 8 bytes for a video, none for a clip.

    Parameters
    ----------
    windows : ndarray of int64, (V,)
        How many each video gives.
    step : int
        Positions from one to the next.
    """

    def __init__(self, windows: NDArray[np.int64], step: int) -> None:
        object.__setattr__(self, "_ends", np.cumsum(windows))
        object.__setattr__(self, "_step", step)

    _ends: NDArray[np.int64]
    _step: int

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def rows(self, which: NDArray[np.int64]) -> Clips:
        """Take rows by number: see `Clips.rows`."""
        video = np.searchsorted(self._ends, which, side="right")
        before = np.where(video > 0, self._ends[video - 1], 0)
        return Clips(video, (which - before) * self._step, np.zeros(len(video), np.int64))

    @property
    def _all(self) -> Clips:
        return self.rows(np.arange(len(self)))

    @property
    def video(self) -> NDArray[np.int64]:  # made anew, not kept
        """Row of the videos."""
        return np.repeat(np.arange(len(self._ends)), np.diff(self._ends, prepend=0))

    @property
    def start(self) -> NDArray[np.int64]:
        """The first position."""
        return self._all.start

    @property
    def view(self) -> NDArray[np.int64]:
        """0: there is one."""
        return np.zeros(len(self), np.int64)


@runtime_checkable
class ClipSampler(Protocol):
    """Cuts videos into clips.

    Its ``repr`` goes into `Plan.fingerprint` and has to name every option, as a dataclass's does.
    """

    @property
    def time_steps(self) -> int:
        """Frames in a clip."""

    @property
    def varies(self) -> bool:
        """Whether the clips of one epoch differ from those of another."""

    @property
    def pads(self) -> bool:
        """Whether a clip may hold frames that are there only as padding."""

    def clips(self, videos: Videos, draws: Draws) -> Clips:
        """Cut all videos.

        Parameters
        ----------
        videos : Videos
            What to cut.
        draws : Draws
            The epoch's random words.

        Returns
        -------
        Clips
            None spanning two videos. `Clips.video` is the same in every epoch.

        Raises
        ------
        OptionError
            If these videos cannot be cut so.
        """

    def frames(self, clips: Clips, videos: Videos) -> NDArray[np.int32]:
        """List the frames of some clips.

        Parameters
        ----------
        clips : Clips
            n rows of what `clips` returned.
        videos : Videos
            What was cut.

        Returns
        -------
        ndarray of int32, (n, time_steps)
            Frame numbers, each within its video; ``~frame`` where that frame is repeated as padding.
        """

    def shortage(self, videos: Videos) -> str:
        """Say how many videos are too short for a clip of their own frames, and what becomes of them.

        Parameters
        ----------
        videos : Videos
            What is cut.

        Returns
        -------
        str
            For the log; empty if there are none.
        """
