"""Which part of its video each row of a list takes: columns start and length, or start_time and end_time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fastclips.data.frame_times import covered
from fastclips.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastclips.data.frame_times import FrameTimes
    from fastclips.data.records import Records

__all__ = ["find_parts"]


def find_parts(
    records: Records,
    kept: list[int],
    available: NDArray[np.int64],
    keys: NDArray[np.int64],
    times: FrameTimes | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the frames of rows.

    Parameters
    ----------
    records : Records
        The list.
    kept : list of int
        Numbers of rows of the list.
    available : ndarray of int64, (rows,)
        Frames of each row's video; -1 if the video cannot be read, so that its rows are not checked.
    keys : ndarray of int64, (rows,)
        Number of each row's video in `times`.
    times : FrameTimes or None
        Times of the frames, if they are known without a column fps.

    Returns
    -------
    starts, counts : ndarray of int64, (rows,)
        The first frame of each row in its video, and its number of frames; -1 if unknown.

    Raises
    ------
    DataError
        A row exceeds its video, has no frame, or the times of its frames are unknown.
    """
    if records.start_time is not None or records.end_time is not None:
        return _in_seconds(records, kept, available, keys, times)
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
            f"{records.paths[kept[at]]!r}. start counts frames from 0, whatever the numbers of the files."
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
    for number, (row, key) in enumerate(zip(kept, keys.tolist(), strict=True)):
        start = 0.0 if records.start_time is None else records.start_time[row]
        end = math.inf if records.end_time is None else records.end_time[row]
        count = available.item(number)
        if count < 0:
            parts[number] = 0, -1
            continue
        if times is not None and known[number]:
            first, beyond = times.covered(key, count, start, end)
        elif records.fps is not None:
            first, beyond = covered(records.fps[row], count, start, end)
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
    return parts[:, 0].copy(), parts[:, 1].copy()
