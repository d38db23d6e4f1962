"""Ranges of a storage's bytes that are read before they are needed.

A range is (start, end): offsets that count through all shards. Ranges that were read lie in memory one after
the other, behind a table::

    int64                 number of ranges
    int64 (ranges, 3)     start, end, and the place of the bytes in the memory
    bytes of each range

What is in the memory decides nothing: whoever needs a range that the table does not hold reads it from the
storage.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Range = tuple[int, int]

__all__ = ["Held", "RangeStorage", "join", "places", "read_table", "write_table"]

_GAP = 2**16  # bytes between two ranges that are read rather than asked for separately
_ALIGNED = 8


class Held(NamedTuple):
    """A range that was read.

    Parameters
    ----------
    start, end : int
        The range.
    data : memoryview
        Its bytes.
    """

    start: int
    end: int
    data: memoryview


@runtime_checkable
class RangeStorage(Protocol):
    """A storage whose frames lie in ranges of bytes, which may be read ahead if it `is_remote`."""

    @property
    def is_remote(self) -> bool:
        """Whether a read takes long, however few bytes it is of."""

    def clip_ranges(self, video: int, wanted: Mapping[str, Collection[int]]) -> list[Range]:
        """Return the ranges to read for frames of some streams of a video, in order and joined."""

    def clip_bytes(self, streams: Iterable[str], time_steps: int) -> int:
        """Return the most bytes that so many consecutive frames of some streams take."""

    def read_range(self, start: int, end: int) -> bytes | memoryview:
        """Read a range."""

    def lend(self, held: Sequence[Held]) -> None:
        """Take the next reads from these ranges where they hold them, until others are lent."""


def join(ranges: Iterable[Range], ends: Sequence[int], gap: int = _GAP) -> list[Range]:
    """Return ranges in order, joined where they overlap or lie close together.

    Parameters
    ----------
    ranges : iterable of (int, int)
        Each within a shard.
    ends : sequence of int
        End of each shard; ranges of several shards are not joined.
    gap : int
        Most bytes between two ranges that are joined.
    """
    joined: list[Range] = []
    for start, end in sorted(ranges):
        if joined:
            first, last = joined[-1]
            if start <= last + gap and bisect_right(ends, first) == bisect_right(ends, start):
                joined[-1] = first, max(last, end)
                continue
        joined.append((start, end))
    return joined


def places(ranges: Sequence[Range]) -> list[int]:
    """Return the place of each range in a memory, and the bytes that all take with their table."""
    found = [8 * (1 + 3 * len(ranges))]
    for start, end in ranges:
        found.append(found[-1] + -(-(end - start) // _ALIGNED) * _ALIGNED)
    return found


def write_table(memory: NDArray[np.uint8], ranges: Sequence[Range]) -> None:
    """Write the table of ranges whose bytes are at their `places`."""
    table = np.array([(*both, at) for both, at in zip(ranges, places(ranges), strict=False)], np.int64)
    numbers = memory[: 8 * (1 + table.size)].view(np.int64)
    numbers[0] = len(ranges)
    numbers[1:] = table.reshape(-1)


def read_table(memory: NDArray[np.uint8]) -> list[Held]:
    """Return the ranges in a memory, without a copy."""
    data = memory.data.toreadonly()
    count = memory[:8].view(np.int64).item()
    rows = memory[8 : 8 * (1 + 3 * count)].view(np.int64).reshape(count, 3).tolist()
    return [Held(start, end, data[at : at + end - start]) for start, end, at in rows]
