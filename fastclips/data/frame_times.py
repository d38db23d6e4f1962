"""When each frame of a video is shown, in columns.

A video's times are whole numbers of a unit, the ticks, counted from its first frame. A constant rate is one
number, the step from frame to frame; only other videos have a number per frame. ::

    seconds = ticks * numerator / denominator      exactly rounded
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["FrameTimes", "Timing", "covered", "frames_of_rows", "seconds_of"]

_NEAR = 1e-6  # seconds: times closer than this are equal


class Timing(NamedTuple):
    """The times of one video.

    Parameters
    ----------
    ticks : ndarray of int64, (frames,), or int
        Time of each frame, ascending from 0; or the step from frame to frame, above 0.
    unit : (int, int)
        Numerator and denominator of a tick, in seconds. (0, 1) if the times are unknown.
    """

    ticks: NDArray[np.int64] | int
    unit: tuple[int, int]

    @classmethod
    def of(cls, shown: NDArray[np.int64] | None, unit: tuple[int, int], rate: tuple[int, int]) -> Timing:
        """Return the times of a video from the times of its frames in some unit, or from its rate."""
        if shown is None:
            return cls(1, (rate[1], rate[0]) if rate[0] > 0 else (0, 1))
        steps = np.diff(shown)
        if len(steps) and (steps == steps[0]).all():
            return cls(int(steps[0]), unit)
        return cls(shown - shown[0], unit)


class FrameTimes:
    """The times of all frames of all videos of a storage.

    Parameters
    ----------
    columns : mapping of str to ndarray
        As `pack` returns them; it may hold others.
    """

    __slots__ = ("_begins", "_steps", "_ticks", "_units")

    NAMES = ("times.steps", "times.units", "times.begins", "times.ticks")

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        self._steps, self._units, self._begins, self._ticks = (columns[name] for name in self.NAMES)

    def __reduce__(self) -> tuple[Any, ...]:
        return FrameTimes, (self.columns(),)

    @staticmethod
    def pack(videos: Sequence[Timing]) -> dict[str, NDArray[Any]]:
        """Return the columns of the times of some videos, in their order."""
        steps = np.zeros(len(videos), np.int64)
        listed: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
        begins = np.zeros(len(videos) + 1, np.int64)
        for number, timing in enumerate(videos):
            begins[number + 1] = begins[number]
            if isinstance(timing.ticks, int):
                steps[number] = timing.ticks
            else:
                listed.append(timing.ticks)
                begins[number + 1] += len(timing.ticks)
        ticks = np.concatenate(listed)
        if ticks.max(initial=0) <= np.iinfo(np.uint32).max:
            ticks = ticks.astype(np.uint32)
        units = np.array([timing.unit for timing in videos], np.int64).reshape(-1, 2)
        return dict(zip(FrameTimes.NAMES, (steps, units, begins, ticks), strict=True))

    @classmethod
    def of(cls, columns: Mapping[str, NDArray[Any]]) -> FrameTimes | None:
        """Return the times in some columns, or None if there are none."""
        return cls(columns) if cls.NAMES[0] in columns else None

    @classmethod
    def joined(cls, several: Sequence[tuple[FrameTimes | None, int]]) -> FrameTimes | None:
        """Return the times of the videos of several storages, which are then numbered over all of them.

        Parameters
        ----------
        several : sequence of (FrameTimes or None, int)
            The times of each storage, None if they are unknown; and its number of videos, at least as many as
            have times.
        """
        if all(times is None for times, _ in several):
            return None
        found = []
        listed = 0
        for times, count in several:
            steps, units, begins, ticks = cls.pack([]).values() if times is None else times.columns().values()
            unknown = count - len(steps)
            found.append(
                (
                    np.concatenate([steps, np.ones(unknown, np.int64)]),
                    np.concatenate([units, np.tile([0, 1], (unknown, 1))]),
                    listed + np.concatenate([begins[1:], np.full(unknown, len(ticks))]),
                    np.asarray(ticks),
                )
            )
            listed += len(ticks)
        columns = dict(zip(cls.NAMES, map(np.concatenate, zip(*found, strict=True)), strict=True))
        columns[cls.NAMES[2]] = np.concatenate([np.zeros(1, np.int64), columns[cls.NAMES[2]]])
        return cls(columns)

    def __len__(self) -> int:
        return len(self._steps)

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns."""
        return dict(zip(self.NAMES, (self._steps, self._units, self._begins, self._ticks), strict=True))

    def take(self, videos: NDArray[np.int64]) -> FrameTimes:
        """Return the times of some videos, which are then numbered from 0."""
        return FrameTimes(self.pack([self._timing(int(video)) for video in videos]))

    def _timing(self, video: int) -> Timing:
        begin, end = self._begins[video : video + 2].tolist()
        numerator, denominator = self._units[video].tolist()
        step = self._steps.item(video)
        ticks = step or self._ticks[begin:end].astype(np.int64)
        return Timing(ticks, (numerator, denominator))

    def unit(self, video: int) -> tuple[int, int]:
        """Return numerator and denominator of a video's tick, in seconds."""
        return self._timing(video).unit

    def known(self, videos: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether the times of each video are known."""
        return np.asarray(self._units[videos, 0] > 0)

    def ticks(self, video: int, count: int) -> NDArray[np.int64]:
        """Return the ticks of a video's first frames, (count,)."""
        ticks = self._timing(video).ticks
        return np.arange(count) * ticks if isinstance(ticks, int) else ticks[:count]

    def seconds(self, videos: NDArray[np.int64], frames: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the time of each frame in seconds from the first frame of its video.

        Parameters
        ----------
        videos, frames : ndarray of int64
            Numbers of videos whose times are known, and of their frames. Both have one shape.

        Returns
        -------
        ndarray of float64
        """
        steps = self._steps[videos]
        ticks = frames * steps
        listed = steps == 0
        if listed.any():
            ticks[listed] = self._ticks[self._begins[videos[listed]] + frames[listed]]
        return np.asarray(ticks * self._units[videos, 0] / self._units[videos, 1])

    def covered(self, video: int, count: int, start: float, end: float) -> tuple[int, int]:
        """Return the first of a video's `count` frames in [start, end) seconds, and the first after."""
        numerator, denominator = self._units[video].tolist()
        times = self.ticks(video, count) * numerator / denominator
        first, beyond = np.searchsorted(times, (start - _NEAR, end - _NEAR)).tolist()
        return first, beyond

    def duration(self, video: int, count: int) -> float:
        """Return how long a video's `count` frames are shown, in seconds.

        The last frame counts as the average of the others. A single frame without a rate has no end: inf.
        """
        ticks, (numerator, denominator) = self._timing(video)
        if isinstance(ticks, int):
            return count * ticks * numerator / denominator
        if count == 1:
            return math.inf
        return ticks.item(count - 1) * count / (count - 1) * numerator / denominator


def covered(rate: float, count: int, start: float, end: float) -> tuple[int, int]:
    """Return the same as `FrameTimes.covered` for a video whose frame f is shown at f / rate."""
    first, beyond = np.searchsorted(np.arange(count) / rate, (start - _NEAR, end - _NEAR)).tolist()
    return first, beyond


def frames_of_rows(
    rows: ArrayLike, frames: ArrayLike, counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Check the arguments of `fastclips.data.index.Index.seconds`.

    Parameters
    ----------
    rows, frames : array_like of int
        As given.
    counts : ndarray of int64
        Frames of each row of the index.

    Returns
    -------
    rows, frames : ndarray of int64
        Both of the shape of `frames`, and without the marks of padding.

    Raises
    ------
    OptionError
        A row or a frame does not exist, or `rows` has another shape.
    """
    shown, of = np.asarray(frames, np.int64), np.asarray(rows, np.int64)
    shown = np.where(shown < 0, ~shown, shown)
    if of.shape != shown.shape[: of.ndim]:
        raise OptionError(f"rows of shape {of.shape}: must be the first dimensions of frames, {shown.shape}")
    of = np.broadcast_to(of.reshape(of.shape + (1,) * (shown.ndim - of.ndim)), shown.shape)
    if (wrong := (of < 0) | (of >= len(counts))).any():
        raise OptionError(f"rows: {of[wrong][0]} is not a row of an index of {len(counts)} videos")
    if (wrong := shown >= counts[of]).any():
        row = of[wrong][0]
        raise OptionError(
            f"frames: {shown[wrong][0]} is not a frame of row {row}, which has {counts[row]} frames"
        )
    return of, shown


def seconds_of(
    times: FrameTimes | None,
    fps: NDArray[np.float64] | None,
    names: Sequence[str],
    rows: NDArray[np.int64],
    videos: NDArray[np.int64],
    frames: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the time of each frame: as it is known, else by the rate.

    Parameters
    ----------
    times : FrameTimes or None
        Known times.
    fps : ndarray of float64, or None
        Frames per second of each row of the index.
    names : sequence of str
        Name of each row, for messages.
    rows, videos, frames : ndarray of int64, all of one shape
        Rows of the index, and the storage's numbers of videos and frames.

    Raises
    ------
    OptionError
        Neither is known.
    """
    known = np.zeros(frames.shape, bool) if times is None else times.known(videos)
    found = np.zeros(frames.shape)
    if times is not None:
        found[known] = times.seconds(videos[known], frames[known])
    if not known.all():
        untimed = rows[~known] if fps is None else rows[~known][np.isnan(fps[rows[~known]])]
        if fps is None or len(untimed):
            raise OptionError(
                f"the times of the frames of {names[int(untimed[0])]!r} are unknown: add the column "
                "fps to the list of videos, or give fps= to Dataset.of"
            )
        found[~known] = frames[~known] / fps[rows[~known]]
    return found
