"""Which frames of a video file a clip shows: windows as keras-video-generators lists them, or an even spread.

In a video of n frames, of which a clip of T frames covers S (all n, or so many seconds), a window is ``S -
T`` frames long, at least T. The T frames are ``ceil(S / T) - 1`` apart, or closer if they would not fit.
Windows begin at every frame from which a window fits. A video shorter than T has one window, with repeated
frames.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from fastclips.data.video_storage import VideoStorage, scan_movies
from fastclips.errors import DataError
from fastclips.planning.clips import EvenClips

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["EVENLY", "Windows", "file_list", "look_up", "spread"]

EVENLY = -1  # in place of the numbers of frames: spread over the video


def spread(counts: int | NDArray[np.int64], frames: int) -> NDArray[np.int64]:
    """Choose frames evenly from the first of so many to the last; if there are fewer, some repeatedly."""
    return np.arange(frames) * (counts - 1) // max(frames - 1, 1)


class Windows:
    """Windows by number, video after video.

    Parameters
    ----------
    counts : ndarray of int64, (videos,)
        Frames of each video.
    covered : ndarray of int64, (videos,)
        Frames that a clip covers.
    time_steps : int
        Frames of a clip.
    """

    def __init__(self, counts: NDArray[np.int64], covered: NDArray[np.int64], time_steps: int) -> None:
        self.time_steps = time_steps
        covered = np.clip(covered, 1, counts)
        lengths = np.maximum(covered - time_steps, time_steps)
        fitting = (lengths - 1) // max(time_steps - 1, 1)
        self._counts, self._places = counts, np.arange(time_steps)
        self._steps = np.maximum(np.minimum(-(-covered // time_steps) - 1, fitting), 1)
        self._windows = EvenClips(np.maximum(counts - lengths, 0) + 1, 1)

    def __len__(self) -> int:
        return len(self._windows)

    def videos(self, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the video of each window."""
        return self._windows.rows(windows).video

    def frames(self, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the frames of each window, (windows, T)."""
        found = self._windows.rows(windows)
        counts, places = self._counts[found.video, None], self._places
        frames = found.start[:, None] + self._steps[found.video, None] * places
        return np.where(counts < len(places), spread(counts, len(places)), frames)


def file_list(files: Sequence[str]) -> VideoStorage:
    """Return a storage of files, which are scanned where they are read."""
    paths = list(map(os.path.abspath, files))
    return VideoStorage.of("", paths, names=paths)


def look_up(files: Sequence[str], *, timed: bool) -> VideoStorage:
    """Return a storage of files with the exact number of frames of each.

    Raises
    ------
    FrameError
        If a video cannot be read.
    DataError
        If `timed` and the frames per second of a video are unknown.
    """
    paths = list(map(os.path.abspath, files))
    scanned = scan_movies("", paths)
    for movie in scanned:
        if movie.error is not None:
            raise movie.error
    storage = VideoStorage.of("", paths, scanned, paths)
    unknown = np.flatnonzero(storage.rates == 0)
    if timed and len(unknown):
        raise DataError(
            f"{files[unknown[0]]!r} has no frame rate in its header, which sequence_time= needs: convert it"
        )
    return storage
