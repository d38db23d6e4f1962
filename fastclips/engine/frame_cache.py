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
from fastclips.engine.kept_frames import KeptFrames, Segment
from fastclips.errors import EngineError, OptionError, why_failed
from fastclips.options import checked_bytes

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastclips.spec import FrameLayout

__all__ = ["FrameCache", "Places", "Wanted"]

_START = 2 * PAGE  # of memory before its frames: a page, and less than a page of rounding
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
    """The slots of one layout's frames, one entry for each video that has any, by the video's number.

    Parameters
    ----------
    videos : ndarray of int64
        The storage's numbers, ascending.
    starts, counts : ndarray of int64
        The first frame that has a slot, and how many have one.
    slots : ndarray of int64
        The number of the slot of the first one, in tickets.
    """

    videos: NDArray[np.int64]
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]
    slots: NDArray[np.int64]


class _Shelf:
    """All frames of one key."""

    def __init__(self, source: object) -> None:
        self.source = source  # lives as long, since its `id` is in the key
        self.slots: list[FrameSlots] = []
        self.places: dict[
            int, tuple[int, int, int, int]
        ] = {}  # video -> start, count, of `slots`, first slot


class FrameCache:
    """Memory for decoded frames that the loaders of a process share.

    Loaders over the same dataset, or parts of it as of `Dataset.split`, decode each frame once between them,
    where they decode it in the same way: the same streams, at the same scale of JPEGs. A loader with other
    streams or another scale has frames of its own in the cache. Nothing is evicted: frames that come when
    the cache is full are decoded for each clip, as without a cache. Batches are the same bits in any case.

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
        self.nbytes = self._left = checked_bytes(memory, "memory")
        self._given, self._shelves = memory, dict[Any, _Shelf]()
        self._loaders = count(1)
        self._lock, self._owner = threading.Lock(), os.getpid()

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
                self._add(shelf, layout, _spans(videos, starts, counts))
                firsts = []
                for slots in shelf.slots:
                    segments.append(Segment(slots, layout, first))
                    firsts.append(first)
                    first += len(slots)
                rows = [
                    (video, start, number, firsts[which] + at)
                    for video, (start, number, which, at) in sorted(shelf.places.items())
                ]
                found.append(Places(*np.array(rows, np.int64).reshape(-1, 4).T.copy()))
            return KeptFrames(next(self._loaders), tuple(segments)), found

    def _add(self, shelf: _Shelf, layout: FrameLayout, spans: Iterator[tuple[int, int, int]]) -> None:
        """Give videos places that have none yet."""
        one = _bytes_of(layout)
        room = (self._left - one) // (one - _START) + 1 if self._left >= one else 0
        places, added = {}, 0
        for video, first, end in spans:
            start, number, *_ = shelf.places.get(video, (first, 0))
            if start <= first and end <= start + number:
                continue
            if added == room:
                break
            first, end = min(start, first), max(start + number, end)  # noqa: PLW2901 - the frames of both
            had, number = number, min(end - first, room - added)
            if number <= had:  # there is no room for more of them than have places
                continue
            places[video] = first, number, len(shelf.slots), added
            added += number
        if not added:
            return
        try:
            slots = FrameSlots(frames=added, areas=len(layout.areas), frame_bytes=layout.nbytes)
        except OSError as error:
            raise EngineError(f"cannot make the memory of {self!r}: {why_failed(error)}") from error
        shelf.slots.append(slots)
        shelf.places |= places
        self._left -= _START + added * (one - _START)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} cannot be pickled or copied: it is shared by the loaders of one process")

    def __repr__(self) -> str:
        return f"FrameCache({self._given!r})"


def _bytes_of(layout: FrameLayout) -> int:
    """Return the most bytes that memory for one frame takes; each more takes `_START` less."""
    return _START + layout.nbytes + _HEAD * len(layout.areas)


def _spans(
    videos: NDArray[np.int64], starts: NDArray[np.int64], counts: NDArray[np.int64]
) -> Iterator[tuple[int, int, int]]:
    """Return each video, its first frame, and the one after its last."""
    order = np.argsort(videos, kind="stable")
    numbers, rows = np.unique(videos[order], return_index=True)
    firsts = np.minimum.reduceat(starts[order], rows)
    ends = np.maximum.reduceat((starts + counts)[order], rows)
    return zip(numbers.tolist(), firsts.tolist(), ends.tolist(), strict=True)
