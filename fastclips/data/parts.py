"""Rows of a list -> parts of videos: the first frame of each row, and its number of frames.

::

    start, length           frames, counted from 0 whatever the numbers of the files
    first, last             numbers in the names of the files, both included
    start_time, end_time    seconds, the end not included
"""

from __future__ import annotations

import logging
import math
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

import numpy as np

from fastclips.data.frame_times import covered
from fastclips.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastclips.data.frame_times import FrameTimes
    from fastclips.data.names import FileNames
    from fastclips.data.records import Records

__all__ = ["find_parts", "least_frames"]

_log = logging.getLogger(__name__)
_SLACK = 0.1  # seconds that end_time may exceed a video without a warning; a frame, if that is longer


def least_frames(records: Records) -> dict[str, int] | None:
    """Return the least number of frames of each path, or None if the list has no lengths."""
    if records.length is None:
        return None
    ends: dict[str, int] = {}
    for row, (path, length) in enumerate(zip(records.paths, records.length, strict=True)):
        end = length + (0 if records.start is None else records.start[row])
        ends[path] = max(end, ends.get(path, 0))
    return ends


def find_parts(
    records: Records,
    kept: list[int],
    available: NDArray[np.int64],
    keys: NDArray[np.int64],
    times: FrameTimes | None,
    files: list[FileNames] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the frames of some rows.

    Parameters
    ----------
    records : Records
        The list.
    kept : list of int
        The rows.
    available : ndarray of int64, (rows,)
        Frames of each row's video; -1 if the video cannot be read, so that its rows are not checked.
    keys : ndarray of int64, (rows,)
        Number of each row's video in `times`.
    times : FrameTimes or None
        Times of the frames, if they are known without a column fps.
    files : list of FileNames, optional
        The frames of each row's video, unless they are video files.

    Returns
    -------
    starts, counts : ndarray of int64, (rows,)
        The first frame of each row in its video, and its number of frames; -1 if unknown.

    Raises
    ------
    DataError
        A row exceeds its video, has no frame, or the times or numbers of its frames are unknown.
    """
    if records.start_time is not None or records.end_time is not None:
        return _in_seconds(records, kept, available, keys, times)
    if records.first is None and records.last is None:
        return _counted(records, kept, available)
    if files is None:
        raise DataError(
            "first and last are numbers in the names of frames, which video files do not have: use start and "
            "length, which count frames from 0"
        )
    return _numbered(records, kept, files)


def _counted(
    records: Records, kept: list[int], available: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the parts of rows that count frames."""
    starts = np.zeros(len(kept), np.int64)
    if records.start is not None:
        starts = np.array([records.start[row] for row in kept], np.int64)
    counts = np.where(available < 0, -1, available - starts)
    if records.length is not None:
        counts = np.array([records.length[row] for row in kept], np.int64)
    wrong = np.flatnonzero((available >= 0) & ((counts < 1) | (starts + counts > available)))
    if len(wrong):
        at = int(wrong[0])
        part = f"start={starts[at]}" + ("" if records.length is None else f" and length={counts[at]}")
        raise DataError(
            f"{records.where(kept[at])}: {part} exceed the {available[at]} frames of "
            f"{records.paths[kept[at]]!r}. start counts frames from 0, whatever the numbers of the files; "
            "first and last are numbers of files."
        )
    return starts, counts


def _in_seconds(
    records: Records,
    kept: list[int],
    available: NDArray[np.int64],
    keys: NDArray[np.int64],
    times: FrameTimes | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the same as `find_parts` for parts in seconds."""
    known = np.zeros(len(keys), bool) if times is None else times.known(keys)
    parts = np.zeros((len(kept), 2), np.int64)
    late = []
    for number, (row, key) in enumerate(zip(kept, keys.tolist(), strict=True)):
        start = 0.0 if records.start_time is None else records.start_time[row]
        end = math.inf if records.end_time is None else records.end_time[row]
        count = available.item(number)
        if count < 0:
            parts[number] = 0, -1
            continue
        if times is not None and known[number]:
            first, beyond = times.covered(key, count, start, end)
            duration = times.duration(key, count)
        elif records.fps is not None:
            first, beyond = covered(records.fps[row], count, start, end)
            duration = count / records.fps[row]
        else:
            raise DataError(
                f"{records.where(row)}: start_time and end_time need the times of the frames of "
                f"{records.paths[row]!r}: add the column fps, frames per second, or give start and length "
                "in frames"
            )
        if beyond <= first:
            raise DataError(
                f"{records.where(row)}: {records.paths[row]!r} shows no frame from start_time={start:g} "
                f"up to end_time={end:g} seconds. It has {count} frames; seconds count from the first."
            )
        parts[number] = first, beyond - first
        if duration + max(duration / count, _SLACK) < end < math.inf:
            late.append(f"{records.where(row)}: end_time={end:g} of {duration:g} seconds")
    _warn_of_rows_beyond(late, len(kept))
    return parts[:, 0].copy(), parts[:, 1].copy()


def _numbered(
    records: Records, kept: list[int], files: list[FileNames]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the parts of rows that give the numbers of frames."""
    known: dict[int, Sequence[int]] = {}
    parts = np.empty((2, len(kept)), np.int64)
    beyond = []
    for at, (row, of_video) in enumerate(zip(kept, files, strict=True)):
        numbers = known.get(id(of_video))
        if numbers is None:
            numbers = known[id(of_video)] = _numbers(records, row, of_video)
        low = numbers[0] if records.first is None else records.first[row]
        high = numbers[-1] if records.last is None else records.last[row]
        begin, end = bisect_left(numbers, low), bisect_right(numbers, high)
        if begin >= end:
            gap = ""
            if 0 < end < len(numbers):
                gap = f", and none between {numbers[end - 1]} and {numbers[end]}"
            raise DataError(
                f"{records.where(row)}: no frame of {records.paths[row]!r} has a number from first={low} to "
                f"last={high}. Its frames have the numbers {numbers[0]} to {numbers[-1]}{gap}."
            )
        if low < numbers[0] or high > numbers[-1]:
            beyond.append(f"{records.where(row)}: {low} to {high} of {numbers[0]} to {numbers[-1]}")
        parts[:, at] = begin, end - begin
    _warn_of_rows_beyond(beyond, len(kept))
    return parts[0], parts[1]


def _warn_of_rows_beyond(rows: Sequence[str], count: int) -> None:
    """Warn once of rows, each as a text, that exceed their videos, of so many rows."""
    if rows:
        _log.warning(
            "%d of %d rows begin before the first frame or end after the last frame of their videos, such as "
            "%s. Frames that do not exist are left out.",
            len(rows),
            count,
            rows[0],
        )


def _numbers(records: Records, row: int, files: FileNames) -> Sequence[int]:
    """Return the numbers of the frames of a row's video."""
    numbers = files.frame_numbers()
    if numbers is None:
        raise DataError(
            f"{records.where(row)}: first and last are whole numbers in the names of frames, but names in "
            f"{records.paths[row]!r}, such as {files.names()[0]!r}, do not have a single one, or it may be a "
            "part of a second: use start and length, which count frames from 0."
        )
    return numbers
