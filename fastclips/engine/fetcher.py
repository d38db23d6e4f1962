"""A fetcher: it reads the bytes of published tickets into byte slots, before workers claim these tickets.

::

    READY ticket ──claim_read──> its frames ──> ranges ──read──> byte slot ──finish_read──> a worker decodes

A worker would wait for each clip of a remote storage, one after the other. A fetcher has many reads in
flight, in threads of its own, for the oldest tickets that nobody reads for. Each thread reads for one ticket
at a time, so the number of threads bounds the bytes in flight. Frames are left out that frame slots hold, or
will hold by then.

A byte slot holds ranges, each with its place in the storage. So what a fetcher reads, and whether it dies or
stops, decides nothing: a worker that does not find a range reads it itself. If a read fails, the worker reads
again, and reports it.
"""

from __future__ import annotations

import math
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from fastclips.data.ranges import RangeStorage, places, write_table
from fastclips.data.storage import opened
from fastclips.engine.arena import COUNTERS, ticket_view

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastclips.engine.arena import Arena
    from fastclips.engine.clip_spec import ClipSpec

__all__ = ["ComingFrames", "Reading", "fetch", "reading_for"]

_EACH = 24  # reads in flight for each worker
_MOST_THREADS = 64
_WORKERS = 8  # for each fetcher
_IN_FLIGHT = 2**26  # bytes in flight of a fetcher
_RESTS = 4  # tickets that workers render at a time, for each worker
_CLAIM_MS = 1000
_NAME = "reads ahead"  # of the threads, for debuggers
_CLIPS, _BYTES = map(COUNTERS.index, ("clips", "bytes"))


class Reading(NamedTuple):
    """How many processes read ahead, with how many threads each."""

    fetchers: int
    threads: int


def reading_for(workers: int, ahead_bytes: int) -> Reading:
    """Return how much is read at a time.

    Parameters
    ----------
    workers : int
        Number of workers.
    ahead_bytes : int
        Bytes of a byte slot; 0 if there are none.
    """
    if not ahead_bytes:
        return Reading(0, 0)
    fetchers = math.ceil(workers / _WORKERS)
    threads = min(_EACH * math.ceil(workers / fetchers), _MOST_THREADS, _IN_FLIGHT // ahead_bytes)
    return Reading(fetchers, max(threads, 1))


def fetch(arena: Arena, spec: ClipSpec, fetcher: int, index: int, threads: int, workers: int) -> None:
    """Read ahead, without an end.

    Parameters
    ----------
    arena : Arena
        The arena, shared with trainer and workers.
    spec : ClipSpec
        Describes the tickets; its storage is a `RangeStorage`.
    fetcher : int
        Number of this process, which no other process of the arena ever had.
    index : int
        Row of counters, which a replacement of this fetcher takes over.
    threads : int
        Tickets for which this process reads at a time.
    workers : int
        Number of workers.
    """
    fetching = _Fetching(arena, spec, fetcher, arena.counters()[index], _RESTS * workers)
    threading.current_thread().name = _NAME
    fetching.run_once()  # the modules and connections of the storage are made by one thread
    for _ in range(threads - 1):
        threading.Thread(target=fetching.run, name=_NAME, daemon=True).start()
    fetching.run()


class _Fetching:
    """What the threads of a fetcher share."""

    def __init__(
        self, arena: Arena, spec: ClipSpec, fetcher: int, counters: NDArray[np.float64], apart: int
    ) -> None:
        storage = opened(spec.storage)
        assert isinstance(storage, RangeStorage)  # noqa: S101 - else there are no byte slots
        self._arena, self._spec, self._storage = arena, spec, storage
        self._fetcher, self._counters = fetcher, counters
        self._tickets = ticket_view(arena, spec.ticket_dtype)
        self._frame_slots, self._names = arena.frame_slots, [stream.name for stream in spec.streams]
        self._coming = ComingFrames(apart)
        self._lock = threading.Lock()

    def run(self) -> None:
        """Read for one ticket after the other."""
        while True:
            self.run_once()

    def run_once(self) -> None:
        """Read for one ticket, after waiting for it."""
        while (claim := self._arena.claim_read(self._fetcher, _CLAIM_MS)) is None:
            pass
        cell, done = claim[0], False
        with suppress(Exception):  # the worker reads again, and tells the trainer
            done = self._read(*claim)
        self._arena.finish_read(cell, self._fetcher, done)

    def _read(self, cell: int, number: int) -> bool:
        """Read the bytes of a ticket into its byte slot; return False if they do not fit.

        The ticket may be replaced meanwhile: then nobody looks at the byte slot.
        """
        ranges = self._ranges(self._tickets[cell : cell + 1].copy(), number)
        memory = self._arena.byte_slot(cell)
        *starts, total = places(ranges)
        if total > len(memory):
            return False
        view = memory.data
        for (start, end), at in zip(ranges, starts, strict=True):
            view[at : at + end - start] = self._storage.read_range(start, end)
        write_table(memory, ranges)
        with self._lock:
            self._counters[_CLIPS] += 1
            self._counters[_BYTES] += sum(end - start for start, end in ranges)
        return True

    def _ranges(self, ticket: NDArray[np.void], number: int) -> list[tuple[int, int]]:
        """Return the ranges that the worker of a ticket needs, for frames that are in no frame slot."""
        frames, unread = self._spec.to_read(ticket, self._frame_slots)
        video, wanted = int(ticket["video"][0]), frames[0][unread[0]].tolist()
        if self._spec.shares:
            slots = ticket["slots"][0, : frames.shape[1]][unread[0]].tolist()
            with self._lock:
                wanted = self._coming.without(number, video, wanted, slots)
        if not wanted:
            return []
        wanted = [*dict.fromkeys(wanted)]
        return self._storage.clip_ranges(video, dict.fromkeys(self._names, wanted))


class ComingFrames:
    """Which frames earlier tickets bring into frame slots.

    When a ticket is read for, those before it are not rendered yet, and may bring frames that it shows. It is
    a guess: another process may read for a ticket that gives the slot to another frame.

    Parameters
    ----------
    apart : int
        Two tickets are rendered one after the other if their numbers differ by this.
    """

    def __init__(self, apart: int) -> None:
        self._apart = apart
        self._by_slot: dict[int, tuple[int, int, int]] = {}  # number of the ticket, video, frame

    def without(self, number: int, video: int, frames: list[int], slots: list[int]) -> list[int]:
        """Return the frames of a ticket that no earlier one brings; `slots` has their slots, -1 for none."""
        left = []
        for frame, slot in zip(frames, slots, strict=True):
            brought, *place = self._by_slot.get(slot, (number, -1, -1))
            if slot < 0 or place != [video, frame]:
                left.append(frame)
                if slot >= 0 and brought <= number:
                    self._by_slot[slot] = number, video, frame
            elif brought > number - self._apart:
                left.append(frame)
        return left
