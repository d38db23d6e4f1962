"""The storage's videos that an index names: each once, although several rows may be parts of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fastclips.data.index import Index
    from fastclips.data.names import Names

__all__ = ["Run", "StoredVideos"]


class Run(NamedTuple):
    """Consecutive frames of one video.

    Parameters
    ----------
    video : int
        The video's place in `StoredVideos`.
    key : int
        The storage's number of the video.
    first : int
        The first frame's number.
    frames : int
        Number of frames; -1 for all frames of a video file from the first on.
    last : bool
        Whether the run ends at the last frame of the video.
    """

    video: int
    key: int
    first: int
    frames: int
    last: bool


class StoredVideos(NamedTuple):
    """Videos of a storage, in the order of their first rows in an index.

    Parameters
    ----------
    names : Names
        Name of each video.
    keys : ndarray of int64, shape (videos,)
        The storage's number of each video.
    firsts : ndarray of int64, shape (videos,)
        First frame that a row has.
    counts : ndarray of int64, shape (videos,)
        Frames from there to the last frame that a row has; -1 for all frames of a video file.
    of_row : ndarray of int64, shape (rows,)
        The place of each row's video in these arrays.
    """

    names: Names
    keys: NDArray[np.int64]
    firsts: NDArray[np.int64]
    counts: NDArray[np.int64]
    of_row: NDArray[np.int64]

    @classmethod
    def of(cls, index: Index) -> StoredVideos:
        """Return the videos that an index names."""
        _, rows, of_row = np.unique(index.keys, return_index=True, return_inverse=True)
        order = np.argsort(rows)
        numbers = np.empty(len(order), np.int64)
        numbers[order] = np.arange(len(order))
        of_row = numbers[of_row]
        firsts = np.full(len(order), np.iinfo(np.int64).max)
        ends = np.zeros(len(order), np.int64)
        np.minimum.at(firsts, of_row, index.starts)
        np.maximum.at(ends, of_row, index.starts + index.frame_counts)
        counts = ends - firsts
        counts[of_row[index.frame_counts < 0]] = -1
        rows = rows[order]
        return cls(index.names.take(rows), index.keys[rows], firsts, counts, of_row)

    def runs(self, most: int, start: int = 0) -> Iterator[Run]:
        """Yield all frames of the videos from number `start` on, in runs of at most `most` frames."""
        for video in range(start, len(self.keys)):
            key, first, left = (int(column[video]) for column in (self.keys, self.firsts, self.counts))
            while left:
                frames = min(left, most)
                left = max(left - frames, 0)
                yield Run(video, key, first, frames, last=not left)
                first += frames
