"""The engine with workers: processes that write into an arena.

A slot of the pool is in flight while its batch is submitted; leased from the batch's collection until the
last array over it dies; draining after its batch is forgotten until no worker writes into it. Any other slot
is free. Free slots are derived and not stored, so an interrupt cannot lose a slot. A lease may end in any
thread: no code runs then, but the weak reference to the lease is empty. At most ``slots - 2`` slots are
leased; batches beyond that are copied, so the workers go on, however many batches the user keeps.
"""

from __future__ import annotations

import logging
import math
import os
import weakref
from functools import partial
from pathlib import Path
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.engine.arena import (
    COUNTERS,
    DEATHS,
    RAISED,
    STAGES,
    Arena,
    Death,
    Lease,
    drop_ended,
    from_note,
    leased_arrays,
    slot_views,
    ticket_view,
)
from fastclips.engine.contract import Batch
from fastclips.engine.memory import new_arena
from fastclips.engine.rendering import clip_name, of_clip
from fastclips.errors import ClosedError, EngineError, FrameError, why_failed
from fastclips.processes import Process

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastclips._native import FrameSlots
    from fastclips.engine.kept_frames import KeptFrames
    from fastclips.spec import RenderSpec

__all__ = ["Pool"]

_KEPT = 8  # batches that consumers hold at a time: TensorFlow 4, JAX with its dispatch up to 11
_AHEAD = 3  # batches in flight beyond those that the workers write
_READ_AHEAD = 48  # tickets in flight for each worker, if fetchers read their bytes ahead
_WAIT_MS = 100  # between checks that the nursery lives
_STOP_S = 5.0  # how long the nursery may take to end its workers
_WORD_S = 30.0  # of waiting before the first word about it; the next one comes after twice the time
_SHOWN = 3  # workers in such a message
_PID, _WORKER, _SINCE, _STAGE = map(COUNTERS.index, ("pid", "worker", "since", "stage"))
_DEATH = [COUNTERS.index(name) for name in ("death_code", "death_video", "death_frame")]
_DEATHS = COUNTERS.index("deaths")
_KEPT_NOTES = 1000  # deaths and waits that are kept
_STATES = {"T": ", stopped by a signal", "t": ", stopped by a debugger", "D": ", waiting in the kernel"}
_log = logging.getLogger(__name__)


class Pool:
    """Worker processes that write into an arena.

    Parameters
    ----------
    spec : RenderSpec
        Describes the workers' renderer.
    workers : int
        Number of workers.
    memory : int
        Ceiling for the arena, in bytes.
    name : callable, optional
        Returns the name of the clip of a ticket in messages.
    cache : int, optional
        Bytes of the arena for frame slots, if the spec has `shared`; by default what `memory` leaves beside
        the batches.
    most_frames : int
        No more frame slots than this.
    timeout : float, optional
        Seconds that a worker may work on a clip before it is killed and the clip is rendered again.
    most_deaths : int
        So many workers may die over a clip, and as many for each worker without a finished clip.

    Raises
    ------
    OptionError
        If three batches do not fit into `memory` beside `cache`, or no frame into `cache`.
    EngineError
        If the nursery cannot be started, or a limit of the process does not allow the arena.
    """

    def __init__(
        self,
        spec: RenderSpec,
        *,
        workers: int,
        memory: int,
        cache: int | None = None,
        most_frames: int = 2**31 - 1,
        name: Callable[[np.void], str] | None = None,
        timeout: float | None = None,
        most_deaths: int = 3,
    ) -> None:
        self._ticket_rows, self._slot_nbytes = spec.layout.ticket_rows, spec.layout.nbytes
        self._ahead = math.ceil(workers / spec.layout.tickets) + _AHEAD
        if getattr(spec, "ahead_bytes", 0):
            self._ahead = max(self._ahead, math.ceil(_READ_AHEAD * workers / spec.layout.tickets))
        self._arena = new_arena(spec, workers, memory, self._ahead + _KEPT, cache, most_frames)
        self._views = slot_views(self._arena, spec.layout)
        self._in_flight: set[int] = set()
        self._draining: set[int] = set()
        self._leases: dict[int, weakref.ref[Lease]] = {}
        self._number = 1
        self.counters, self.fetcher_counters = np.split(self._arena.counters()[:, : len(COUNTERS)], [workers])
        self.notes: list[tuple[np.void, bytes]] = []
        self.waited_s = 0.0
        self.waits: list[tuple[float, str]] = []
        self._deaths: list[Death] = []
        self._known_deaths = np.zeros(workers)
        self._advise = getattr(spec, "advise", _no_advice)
        self._name = name or partial(clip_name, None)
        self._tickets = ticket_view(self._arena, spec.ticket_dtype)
        self._timeout = timeout
        limits = [most_deaths, 0 if timeout is None else max(round(timeout * 1000), 1)]
        self._nursery = _start_nursery(self._arena, spec, workers, limits)
        pids = self.counters[:, COUNTERS.index("pid")]
        self._stop = weakref.finalize(self, _stop_nursery, self._nursery, pids, getattr(spec, "kept", None))

    @property
    def slots(self) -> int:
        """Number of batches that the arena has room for."""
        return self._arena.slots

    @property
    def frames(self) -> int:
        """Number of frames that the arena has room for."""
        return len(self._arena.frame_slots)

    @property
    def frame_nbytes(self) -> int:
        """Bytes of the room of a frame."""
        return self._arena.frame_slots.stride

    @property
    def wanted_nbytes(self) -> int:
        """Bytes of the slots for which there was no memory."""
        return max(self._ahead + _KEPT - self._arena.slots, 0) * self._slot_nbytes

    @property
    def nbytes(self) -> int:
        """Bytes of the arena; the kernel gives most of its pages only when they are used."""
        return self._arena.nbytes

    @property
    def pids(self) -> list[int]:
        """Process ids of the nursery, then of the workers, then of the fetchers."""
        pids = [*self.counters[:, _PID].astype(int), *self.fetcher_counters[:, _PID].astype(int)]
        return [self._nursery.pid, *filter(None, map(int, pids))]

    def has_room(self, *, beside: bool = False) -> bool:
        """Whether a slot is free and fewer batches are in flight than the pool keeps ahead."""
        return (beside or len(self._in_flight) < self._ahead) and self._free() is not None

    def slot_memory(self) -> list[NDArray[np.uint8]]:
        """Return the memory of each slot."""
        return [self._arena.slot(slot) for slot in range(self._arena.slots)]

    def submit(self, tickets: NDArray[np.void]) -> Batch:
        """Give a batch to the workers; if no slot is free, wait until a slot has drained."""
        while (slot := self._free()) is None:
            self._wait(next(iter(self._draining)))
        self._in_flight.add(slot)
        number, self._number = self._number, self._number + len(tickets)
        self._arena.publish(slot, number, tickets.tobytes())
        self._advise(tickets, self._arena.frame_slots)
        return Batch(slot, tickets)

    def collect(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Wait for a batch.

        Returns
        -------
        dict of str to ndarray
            One array per stream. They lease the slot, which is free again when the last of them dies. If all
            but two slots are leased already, the arrays are copies.

        Raises
        ------
        FrameError
            If a frame is missing, damaged or does not fit, or from an error of the user's code.
        EngineError
            If the worker processes have failed.
        """
        began = perf_counter()
        self._wait(batch.slot)
        self._note_deaths()
        self.waited_s += perf_counter() - began
        failed = self._arena.failed(batch.slot)
        if failed is not None:  # there is no lease yet, which the error's traceback would keep
            self._in_flight.discard(batch.slot)
            raise self._error(self._tickets[failed].copy(), self._arena.note(failed))
        rows = len(batch.tickets) * self._ticket_rows
        lease = Lease()
        self._leases[batch.slot] = weakref.ref(lease)
        self._in_flight.discard(batch.slot)
        first = batch.slot * self._arena.rows
        for cell in self._arena.noted(batch.slot):
            self.notes.append((batch.tickets[cell - first], self._arena.note(cell)))
        drop_ended()
        if sum(map(self._is_leased, self._leases)) > self._arena.slots - 2:
            return {name: view[:rows].copy() for name, view in self._views[batch.slot].items()}
        return leased_arrays(self._views[batch.slot], rows, lease)

    def _error(self, ticket: np.void, note: bytes) -> FrameError:
        """Return the error that a worker or the nursery noted."""
        if note.startswith((DEATHS, RAISED)):
            return of_clip(self._name(ticket), from_note(note[1:]), ticket)
        return FrameError(from_note(note))

    def forget(self) -> None:
        """Withdraw the batches in flight; each slot is free once no worker writes into it."""
        while self._in_flight:
            slot = min(self._in_flight)
            self._draining.add(slot)
            self._arena.cancel(slot)
            self._in_flight.discard(slot)

    def close(self) -> None:
        """End the processes; arrays that were collected stay valid."""
        self._stop()

    def release(self) -> None:
        """Free the memory, even if something still refers to this pool."""
        drop_ended()
        if not any(map(self._is_leased, range(self._arena.slots))):
            self.counters, self.fetcher_counters = self.counters.copy(), self.fetcher_counters.copy()
            self._arena.discard()

    def _free(self) -> int | None:
        """Return the first free slot, whose pages have most likely been used before."""
        drop_ended()
        for slot in range(self._arena.slots):
            if slot in self._draining and self._arena.settled(slot):
                self._draining.discard(slot)
            if not (slot in self._in_flight or slot in self._draining or self._is_leased(slot)):
                return slot
        return None

    def _is_leased(self, slot: int) -> bool:
        return slot in self._leases and self._leases[slot]() is not None

    def deaths(self) -> list[Death]:
        """Return the deaths of workers that were replaced.

        If workers of one row die faster than batches are collected, only the last of them is known.
        """
        self._note_deaths()
        return self._deaths

    def _note_deaths(self) -> None:
        """Read the last death of each row of counters that has a new one."""
        counts = self.counters[:, _DEATHS].copy()  # before the deaths themselves: the nursery counts last
        if counts.tobytes() == self._known_deaths.tobytes():  # as for nearly every batch
            return
        for row in np.flatnonzero(counts != self._known_deaths):
            if len(self._deaths) < _KEPT_NOTES:
                self._deaths.append(Death(*map(int, self.counters[row, _DEATH])))
        self._known_deaths = counts

    @property
    def states(self) -> list[str]:
        """What each worker does, in words."""
        return [self._state(row) for row in self.counters]

    def _state(self, row: NDArray[np.float64]) -> str:
        stage = STAGES[int(row[_STAGE])]
        cells = self._arena.claimed_by(int(row[_WORKER]))
        if cells:
            stage += f" {self._name(self._tickets[cells[0]])} for {monotonic() - row[_SINCE]:.0f} s"
        return stage + _STATES.get(_kernel_state(int(row[_PID])), "")

    def _wait(self, slot: int) -> None:
        """Wait until a slot has settled; say so if that takes long."""
        began, word_s, place = monotonic(), _WORD_S, len(self.waits)
        while not self._arena.wait(slot, _WAIT_MS):
            self._check_alive()
            self._note_deaths()
            if monotonic() - began >= word_s:
                self._keep_wait(place, monotonic() - began, self._tell(monotonic() - began))
                word_s *= 2
        if len(self.waits) > place:
            self._keep_wait(place, monotonic() - began, self.waits[place][1])

    def _keep_wait(self, place: int, seconds: float, doing: str) -> None:
        """Record a long wait, or that it has become longer."""
        if place < _KEPT_NOTES:
            self.waits[place:] = [(seconds, doing)]

    def _tell(self, seconds: float) -> str:
        """Log that the workers take long, and return what they do."""
        longest_first = sorted(self.counters, key=lambda row: float(row[_SINCE]))
        doing = "; ".join(f"worker {int(row[_PID])} {self._state(row)}" for row in longest_first[:_SHOWN])
        _log.warning("Waiting for a batch for %.0f s: %s. %s", seconds, doing, self._advice())
        return doing

    def _advice(self) -> str:
        """Return what ends a wait for workers."""
        stopped = _STATES.get(_kernel_state(self._nursery.pid))
        if stopped is not None:
            return f"The process that replaces workers, {self._nursery.pid}, is{stopped[1:]}."
        if self._timeout is not None:
            return f"Workers are replaced over a clip after timeout={self._timeout:g} seconds."
        return (
            "If a worker will never finish, set timeout= seconds: it is then replaced, and its clip rendered "
            "again."
        )

    def _check_alive(self) -> None:
        if not self._stop.alive:
            raise ClosedError("the loader was closed")
        if self._nursery.ended(0.0):
            words = from_note(self._arena.last_words)
            cause = words or f"the process that starts them died {self._nursery.cause_of_death()}"
            raise EngineError(
                f"the worker processes are gone: {cause}. What they printed is on standard error; "
                "workers=0 does the same work in this process, where a debugger can follow it"
            )


def _no_advice(tickets: NDArray[np.void], slots: FrameSlots) -> None:
    """Do nothing: the storage takes no advice on what will be read."""


def _kernel_state(pid: int) -> str:
    """Return the letter of a process's state, such as "D"; "" if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(") ")[2][:1]
    except OSError:
        return ""


def _start_nursery(arena: Arena, spec: RenderSpec, workers: int, limits: list[int]) -> Process:
    kept: KeptFrames | None = getattr(spec, "kept", None)
    try:
        trainer = os.pidfd_open(os.getpid())
    except OSError as error:
        raise EngineError(f"cannot start a worker process: {why_failed(error)}") from error
    try:
        return Process(
            "fastclips.engine.nursery:main",
            spec,
            [workers, arena.fd, trainer, *limits],
            fds=[arena.fd, trainer, *(kept.fds if kept else ())],
            bound=False,  # the thread that makes a loader may end before the loader does
        )
    finally:
        os.close(trainer)


def _stop_nursery(nursery: Process, pids: NDArray[np.float64], kept: KeptFrames | None) -> None:
    """End the nursery; it is given time only if it has workers to end."""
    nursery.stop(_STOP_S if pids.any() else 0.0)
    if kept is not None:
        kept.free()
