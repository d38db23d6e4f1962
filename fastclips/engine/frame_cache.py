"""`FrameCache`: decoded frames that several loaders share, each in a place of its own.

Nothing is evicted, so there is no plan: the first loader that needs frames of a video gives each of them a
place, as long as there is room, and any worker of any loader fills it (`fastclips.engine.shared_frames`).
Loaders share what they decode in the same way from the same storage. What has no place is decoded as without
a cache.
"""

from __future__ import annotations

import os
import threading
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from fastclips._native import CACHE_LINE, PAGE, FrameSlots
from fastclips.data.index import find_runs
from fastclips.engine.kept_frames import KeptFrames, Segment
from fastclips.errors import EngineError, OptionError, why_failed
from fastclips.options import checked_bytes

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastclips.spec import FrameLayout

__all__ = ["FrameCache", "Places", "Wanted"]

_START = 2 * PAGE  # of memory before its frames: a page, and less than a page of rounding
_MOST = 2**30  # slots of a key: tickets have 32 bits for their numbers
_HEAD = CACHE_LINE  # bytes before a frame's pixels, for each stream


class Wanted(NamedTuple):
    """Frames of one layout that a loader would like to keep.

    Parameters
    ----------
    source : object
        Where they come from, the same object for all loaders that share them.
    key : hashable
        What they are and how they are decoded: loaders with equal keys share places.
    layout : FrameLayout
        The room of a frame.
    """

    source: object
    key: Hashable
    layout: FrameLayout


class Places(NamedTuple):
    """The slots of frames of one layout, one entry for each run of frames of a video.

    Parameters
    ----------
    videos, starts : ndarray of int64
        The storage's numbers of videos, ascending, and of the first frame of each run, ascending in a video.
    counts : ndarray of int64
        The number of frames of each run.
    slots : ndarray of int64
        The number of the slot of the first one, in tickets.
    missing : int
        How many of the frames that were wanted have no place.
    """

    videos: NDArray[np.int64]
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]
    slots: NDArray[np.int64]
    missing: int


class _Shelf:
    """All frames of one key."""

    def __init__(self, source: object) -> None:
        self.source = source  # lives as long, since its `id` is in the key
        self.slots: list[FrameSlots] = []
        # video -> its runs: the first frame, the one after the last, which of `slots`, the first slot there
        self.runs: dict[int, list[tuple[int, int, int, int]]] = {}


class FrameCache:
    """Memory for decoded frames that the loaders of a process share.

    Loaders over the same dataset, or parts of it as of `Dataset.split`, decode each frame once between them,
    where they decode it in the same way: the same streams, at the same scale of JPEGs. A loader with other
    streams or another scale has frames of its own in the cache. Nothing is evicted: frames that come when
    the cache is full are decoded for each clip, as without a cache. Batches are the same bits in any case.

    Loaders share the frames of one dataset object: open it once. A frame that is in the cache stays as it was
    decoded, even if its file changes.

    Memory is taken when a frame is first decoded. It is free again when the cache and all its loaders are
    gone; a closed loader leaves its frames to the others.

    Parameters
    ----------
    memory : str or int
        Most memory for frames, such as ``"8GiB"``, or bytes. This is beside the ``memory=`` of loaders, which
        is then for batches alone.

    Raises
    ------
    OptionError
        If `memory` is no amount of memory.

    Examples
    --------
    >>> cache = fc.FrameCache("1GiB")
    >>> dataset = fc.open("frames/")
    >>> for crop in (fc.RandomCrop(32), fc.CenterCrop(32)):
    ...     with fc.ClipLoader(
    ...         dataset, fc.Windows(4), [crop], batch_size=2, workers=0, cache=cache
    ...     ) as loader:
    ...         batches = list(loader)
    ...         print(loader.stats().frames_served, loader.stats().decoded_frames)
    72 72
    72 0
    """

    def __init__(self, memory: str | int) -> None:
        self._nbytes = self._left = checked_bytes(memory, "memory")
        self._given, self._shelves = memory, dict[Any, _Shelf]()
        self._loaders = count(1)
        self._lock, self._owner = threading.Lock(), os.getpid()

    @property
    def nbytes(self) -> int:
        """Most bytes for frames."""
        return self._nbytes

    @property
    def used(self) -> int:
        """Bytes of the frames that are in the cache."""
        with self._lock:
            slots = [each for shelf in self._shelves.values() for each in shelf.slots]
        return sum(each.used * each.stride for each in slots)

    def keep(
        self,
        wanted: Sequence[Wanted],
        videos: NDArray[np.int64],
        starts: NDArray[np.int64],
        counts: NDArray[np.int64],
    ) -> tuple[KeptFrames, list[Places]]:
        """Give frames of videos places, as long as there is room.

        Parameters
        ----------
        wanted : sequence of Wanted
            The most important first.
        videos, starts, counts : ndarray of int64
            Numbers of videos, and the frames of each that are wanted; a video may come several times.

        Returns
        -------
        KeptFrames
            For the workers.
        list of Places
            One for each of `wanted`, in the same order.

        Raises
        ------
        OptionError
            If there is no room for a single frame of the first of `wanted` even in an empty cache.
        EngineError
            In a forked process: it would give its loaders the numbers of the parent's loaders, and free what
            those are filling.
        """
        if os.getpid() != self._owner:
            raise EngineError(
                f"cache={self!r}: belongs to the parent process; make a FrameCache in this process"
            )
        if (least := _bytes_of(wanted[0].layout)) > self.nbytes:
            raise OptionError(
                f"cache={self!r}: must have at least {least} bytes, the room of one decoded frame"
            )
        segments: list[Segment] = []
        found, first = [], 0
        with self._lock:
            for source, key, layout in wanted:
                shelf = self._shelves.setdefault((id(source), key, layout), _Shelf(source))
                missing = self._add(shelf, layout, find_runs(videos, starts, counts))
                firsts = []
                for slots in shelf.slots:
                    segments.append(Segment(slots, layout, first))
                    firsts.append(first)
                    first += len(slots)
                rows = [
                    (video, start, end - start, firsts[which] + at)
                    for video, runs in sorted(shelf.runs.items())
                    for start, end, which, at in sorted(runs)
                ]
                numbers, firsts_of, lengths, places = np.array(rows, np.int64).reshape(-1, 4).T.copy()
                found.append(Places(numbers, firsts_of, lengths, places, missing))
            return KeptFrames(next(self._loaders), tuple(segments)), found

    def _add(self, shelf: _Shelf, layout: FrameLayout, wanted: NDArray[np.int64]) -> int:
        """Give frames places that have none yet; return for how many there is no room."""
        one = _bytes_of(layout)
        room = (self._left - one) // (one - _START) + 1 if self._left >= one else 0
        room = min(room, _MOST - sum(map(len, shelf.slots)))
        added: dict[int, list[tuple[int, int, int, int]]] = {}
        used = missing = 0
        for video, first, last in wanted.tolist():
            for start, end in _without(first, last, shelf.runs.get(video, ())):
                end_there = min(end, start + room - used)
                if end_there > start:
                    added.setdefault(video, []).append((start, end_there, len(shelf.slots), used))
                    used += end_there - start
                missing += end - max(end_there, start)
        if used:
            try:
                slots = FrameSlots(frames=used, areas=len(layout.areas), frame_bytes=layout.nbytes)
            except OSError as error:
                raise EngineError(f"cannot make the memory of {self!r}: {why_failed(error)}") from error
            shelf.slots.append(slots)
            for video, runs in added.items():
                shelf.runs.setdefault(video, []).extend(runs)
            self._left -= _START + used * (one - _START)
        return missing

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} cannot be pickled or copied: it is shared by the loaders of one process")

    def __repr__(self) -> str:
        return f"FrameCache({self._given!r})"


def _bytes_of(layout: FrameLayout) -> int:
    """Return the most bytes that memory for one frame takes; each more takes `_START` less."""
    return _START + layout.nbytes + _HEAD * len(layout.areas)


def _without(start: int, end: int, runs: Sequence[tuple[int, int, int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the parts of a run of frames that are in no other run."""
    for first, last, *_ in sorted(runs):
        if start < min(first, end):
            yield start, min(first, end)
        start = max(start, last)
    if start < end:
        yield start, end
