"""The contract of samplers: `Videos` in, `Clips` out.

A sampler cuts all videos of a dataset at once, by array operations, since there may be millions. The frames
of a clip are computed later, batch by batch. A sampler is pure: its results depend on its options, the videos
and the draws of the epoch, and on nothing else. Each video gives equally many clips in every epoch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastclips.planning.draws import Draws

__all__ = ["ClipSampler", "Clips", "EvenClips", "Videos", "cut_videos", "list_frames"]


@dataclass(frozen=True, eq=False)
class Videos:
    """The videos of a dataset, as columns.

    Parameters
    ----------
    frame_counts : ndarray of int64, (V,)
        Frames of each video; may be 0.
    fps : ndarray of float64, (V,), optional
        Frames per second of each video, NaN where unknown.
    names : sequence of str, optional
        Names for messages; by default the numbers of the videos.

    Raises
    ------
    OptionError
        If a column has another length than the others, or does not hold numbers.
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
        """Return the name of a video for messages, or its number if there are no names."""
        return video if self.names is None else self.names[video]

    def part(self, first: int, end: int) -> Videos:
        """Return the videos from a number on and below another, numbered from 0."""
        return Videos(
            self.frame_counts[first:end],
            None if self.fps is None else self.fps[first:end],
            None if self.names is None else _Part(self.names, range(first, end)),
        )


class _Part(Sequence[str]):
    """Some consecutive names, looked up when they are asked for."""

    def __init__(self, names: Sequence[str], numbers: range) -> None:
        self._names, self._numbers = names, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, number: Any) -> Any:  # noqa: ANN401 - as of every sequence
        found = self._numbers[number]
        return [self._names[at] for at in found] if isinstance(found, range) else self._names[found]


def _kept(column: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of a writable array; a read-only array, such as a shared column, is returned as it is."""
    array = np.asarray(column)
    return array.copy() if array.flags.writeable else array


@dataclass(frozen=True, eq=False)
class Clips:
    """Clips that a sampler has cut, as columns with one row per clip.

    A subclass may add columns that its sampler needs to list frames; it must then override `rows`.

    Parameters
    ----------
    video : ndarray of int64, (N,)
        The clip's video, as a row of `Videos`.
    start : ndarray of int64, (N,)
        Start of the clip in its video. Only the sampler reads it: in frames, or in a unit of its own.
    view : ndarray of int64, (N,)
        Number of the clip among the sampler's views of one video, from 0; 0 if there is one view.

    Examples
    --------
    Two clips of video 0 and one of video 3:

    >>> clips = fc.Clips(video=np.array([0, 0, 3]), start=np.array([0, 8, 0]), view=np.zeros(3, np.int64))
    >>> len(clips), clips.rows(np.array([1])).start
    (3, array([8]))
    """

    video: NDArray[np.int64]
    start: NDArray[np.int64]
    view: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.video)

    def rows(self, which: NDArray[np.int64]) -> Clips:
        """Return some of the clips.

        Parameters
        ----------
        which : ndarray of int64, (n,)
            Row numbers, in any order.

        Returns
        -------
        Clips
            The n clips, in the order of `which`.
        """
        return Clips(self.video[which], self.start[which], self.view[which])


class EvenClips(Clips):
    """Windows at a fixed distance, computed on request: 8 bytes of memory per video, none per clip.

    Parameters
    ----------
    windows : ndarray of int64, (V,)
        Windows of each video.
    step : int
        Positions from the start of one window to the start of the next.
    """

    def __init__(self, windows: NDArray[np.int64], step: int) -> None:
        object.__setattr__(self, "_ends", np.cumsum(windows))
        object.__setattr__(self, "_step", step)

    _ends: NDArray[np.int64]
    _step: int

    @property
    def windows(self) -> NDArray[np.int64]:
        """Windows of each video."""
        return np.diff(self._ends, prepend=0)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def rows(self, which: NDArray[np.int64]) -> Clips:
        """Return some of the clips: see `Clips.rows`."""
        video = np.searchsorted(self._ends, which, side="right")
        before = np.where(video > 0, self._ends[video - 1], 0)
        return Clips(video, (which - before) * self._step, np.zeros(len(video), np.int64))

    @property
    def _all(self) -> Clips:
        return self.rows(np.arange(len(self)))

    @property
    def video(self) -> NDArray[np.int64]:  # computed on each access
        """Row of the videos."""
        return np.repeat(np.arange(len(self._ends)), self.windows)

    @property
    def start(self) -> NDArray[np.int64]:
        """Start of each window, in positions."""
        return self._all.start

    @property
    def view(self) -> NDArray[np.int64]:
        """Zeros: each window is one view."""
        return np.zeros(len(self), np.int64)


class ClipSampler(ABC):
    """Base class of samplers, which cut videos into clips.

    .. note:: The contract is provisional: it may change in a minor version.

    A sampler of your own inherits it, implements `clips` and `frames`, and has an attribute, a property or a
    dataclass's field `time_steps`. `varies`, `pads` and `shortage` have defaults that are right for samplers
    that draw nothing and repeat nothing. A frozen dataclass is the simplest form. `check_sampler` of
    `fastclips.testing` checks the whole contract.

    **Pure.** Results depend on the sampler's options and the arguments alone. All randomness comes from
    `draws`, so that an epoch is the same in every process and after a resume.

    **The repr** must name every option, as a dataclass's does: saved states are compared by it.

    Attributes
    ----------
    time_steps : int
        Frames in a clip, at least 1.

    Examples
    --------
    One clip from the middle of each video that is long enough:

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Middle(fc.ClipSampler):
    ...     time_steps: int
    ...
    ...     def clips(self, videos, draws):
    ...         video = np.flatnonzero(videos.frame_counts >= self.time_steps)
    ...         start = (videos.frame_counts[video] - self.time_steps) // 2
    ...         return fc.Clips(video, start, np.zeros_like(video))
    ...
    ...     def frames(self, clips, videos):
    ...         return (clips.start[:, None] + np.arange(self.time_steps)).astype(np.int32)
    >>> from fastclips.testing import check_sampler
    >>> check_sampler(Middle(4))
    >>> with fc.ClipLoader(fc.open("frames/"), Middle(4), batch_size=6, workers=0) as loader:
    ...     x, y = next(iter(loader))
    ...     loader.plan_table(0)["frames"][0]
    array([4, 5, 6, 7], dtype=int32)
    >>> x.shape
    (6, 4, 48, 64, 3)
    """

    if TYPE_CHECKING:
        # At run time a property here would become the default of a dataclass's field `time_steps`.
        @property
        def time_steps(self) -> int:
            """Frames in a clip."""

    @property
    def varies(self) -> bool:
        """Whether the clips of one epoch may differ from those of another; by default False."""
        return False

    @property
    def pads(self) -> bool:
        """Whether a clip may repeat a frame as padding; by default False."""
        return False

    @abstractmethod
    def clips(self, videos: Videos, draws: Draws) -> Clips:
        """Cut all videos into clips.

        Parameters
        ----------
        videos : Videos
            All videos of the dataset, or of one set of a mix.
        draws : Draws
            Random numbers of the epoch: ``draws.of_videos(len(videos), n)`` gives n numbers in [0, 1) for
            each video.

        Returns
        -------
        Clips
            Clips in the order that is served without shuffling, each of one video. `Clips.video` must be the
            same in every epoch. A video may give no clip.

        Raises
        ------
        OptionError
            If the videos cannot be cut with these options.
        """

    @abstractmethod
    def frames(self, clips: Clips, videos: Videos) -> NDArray[np.int32]:
        """Return the frames of some clips.

        Parameters
        ----------
        clips : Clips
            Any n rows of the result of `clips`.
        videos : Videos
            The same videos.

        Returns
        -------
        ndarray of int32, (n, time_steps)
            Frame numbers from 0, each within the clip's video; ``~frame`` (below 0) at a time step that
            repeats this frame as padding.
        """

    def shortage(self, videos: Videos) -> str:  # noqa: ARG002 - nothing to say by default
        """Return a message on videos that are too short for a full clip; by default empty.

        Parameters
        ----------
        videos : Videos
            All videos of the dataset.

        Returns
        -------
        str
            How many videos are too short, and whether they are left out or padded; empty if none is. It is
            logged as a warning.
        """
        return ""


def cut_videos(sampler: ClipSampler, videos: Videos, draws: Draws) -> Clips:
    """Return what a sampler's `clips` returns; raise OptionError if that is something else."""
    clips: object = sampler.clips(videos, draws)
    if not isinstance(clips, Clips):
        name = type(sampler).__name__
        raise OptionError(f"{name}.clips() returned {type(clips).__name__}: must return fastclips.Clips")
    return clips


def list_frames(sampler: ClipSampler, clips: Clips, videos: Videos) -> NDArray[np.int32]:
    """Return what a sampler's `frames` returns; raise OptionError if that has another shape or dtype."""
    frames = sampler.frames(clips, videos)
    shape = (len(clips), sampler.time_steps)
    if frames.dtype != np.int32 or frames.shape != shape:
        raise OptionError(
            f"{type(sampler).__name__}.frames() returned {frames.dtype} {frames.shape}: must return "
            f"int32 {shape}"
        )
    return frames
