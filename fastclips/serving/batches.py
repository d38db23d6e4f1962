"""Batches of a schedule, rendered ahead, in its order.

A few batches are kept in flight, always the schedule's next ones, on into the next epoch. Whoever asks for
another place (a new epoch begun early, a resume) makes it forget these and begin there: since a batch is a
function of (epoch, batch) alone, nothing depends on what was in flight.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol

from fastclips.engine.arena import COUNTERS, note_to_damage
from fastclips.engine.pool import Inline, Pool
from fastclips.errors import ClosedError, EngineError, FrameError, OptionError
from fastclips.options import checked_bool, checked_bytes, checked_int, checked_workers
from fastclips.serving.stats import Stats, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from fastclips.engine.pool import Batch, Engine
    from fastclips.spec import RenderSpec

__all__ = ["Batches", "Planned", "Schedule"]

_log = logging.getLogger(__name__)
_PLANNED = 8  # batches whose tickets are written in one go


class Planned(NamedTuple):
    """A batch before it is rendered.

    Parameters
    ----------
    tickets : ndarray of void
        (rows,) for the engine.
    known : dict of str to ndarray
        What the schedule itself tells of the batch.
    """

    tickets: NDArray[np.void]
    known: dict[str, NDArray[Any]]


class Schedule(Protocol):
    """What each batch of each epoch holds: a pure function."""

    @property
    def fingerprint(self) -> str:
        """Equal for schedules of the same batches."""

    @property
    def time_steps(self) -> int:
        """Frames in a clip."""

    def __len__(self) -> int:
        """Batches per epoch."""

    def run(self, epoch: int, batch: int, most: int) -> Iterator[Planned]:
        """Plan up to `most` batches in a row, fewer where the epoch ends."""

    def assemble(self, arrays: Mapping[str, NDArray[Any]]) -> Any:  # noqa: ANN401 - the user's choice
        """Make what is served of what is known and what was rendered."""


class _Pending(NamedTuple):
    place: tuple[int, int]  # epoch, batch
    batch: Batch
    known: dict[str, NDArray[Any]]


class Batches:
    """Batches of a schedule, rendered ahead by an engine.

    Iterating serves one epoch and moves on to the next.

    Parameters
    ----------
    schedule : Schedule
        What to serve.
    spec : RenderSpec
        How it is rendered.
    workers : int or None
        Worker processes; as many as there are cores by default; 0 does the work in the caller.
    memory : str or int
        Ceiling for the workers' batches in shared memory, such as ``"1GiB"``, or in bytes.
    repeat : bool
        Whether iterating goes on with the next epoch, without end.
    where : callable, optional
        Gives the path of a frame that was replaced, by its stream's place, video and frame; for renderers
        that replace some.

    Attributes
    ----------
    schedule : Schedule
        As given.
    workers : int
        Worker processes.

    Raises
    ------
    OptionError
        If an argument is out of range, or `memory` too little.
    """

    def __init__(
        self,
        schedule: Schedule,
        spec: RenderSpec,
        *,
        workers: int | None = None,
        memory: str | int = "1GiB",
        repeat: bool = False,
        where: Callable[[int, int, int], str] | None = None,
    ) -> None:
        self.workers = checked_workers(workers)
        self.schedule = schedule
        self._layout = spec.layout
        self._repeat = checked_bool(repeat, "repeat")
        self._engine: Engine = (
            Pool(spec, workers=self.workers, memory=checked_bytes(memory, "memory"))
            if self.workers
            else Inline(spec)
        )
        self._where = where
        self._damaged: dict[str, str] = {}  # why, by path
        self._owner = os.getpid()
        self._closed = False
        self._lock = threading.Lock()
        self._pending: deque[_Pending] = deque()
        self._planned: deque[Planned] = deque()  # from `_next` on
        self._next = (0, 0)  # to be submitted
        self._place = (0, 0)  # to be served
        self._resumed = True  # whether iterating goes on at that place, or at the epoch after it
        self._turn = object()  # the iteration that may go on
        self._began: float | None = None
        self._ended = 0.0
        self._served = 0

    def __len__(self) -> int:
        """Batches per epoch."""
        return len(self.schedule)

    def __iter__(self) -> Iterator[Any]:
        """Serve the next epoch, or what a loaded state left of one."""
        epoch, batch = self._place
        if batch and not self._resumed:
            epoch, batch = epoch + 1, 0
        return self.epoch(epoch, batch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Serve a chosen epoch.

        Parameters
        ----------
        epoch : int
            Which, from 0.
        start : int
            The first batch to serve.

        Returns
        -------
        iterator
            Its batches; with ``repeat=True``, those of the epochs after it too.
        """
        epoch, start = checked_int(epoch, "epoch", 0, 2**62), checked_int(start, "start", 0, len(self) + 1)
        turn = self._go_to((epoch, start))
        return self._run(epoch, start, turn)

    def _run(self, epoch: int, start: int, turn: object) -> Iterator[Any]:
        while True:
            for batch in range(start, len(self)):
                yield self._take((epoch, batch), turn)
            if not self._repeat:
                return
            epoch, start = epoch + 1, 0

    def batch(self, epoch: int, batch: int) -> Any:  # noqa: ANN401 - the structure is the user's choice
        """Return any batch; the iteration is not moved.

        Parameters
        ----------
        epoch, batch : int
            Which, from 0.

        Returns
        -------
        tuple or array or dict
            As iterating gives it.
        """
        self._check_usable()
        with self._lock, self._whole():
            if not self._engine.has_room(beside=True):
                self._forget()
            return self._collect(self._submit((epoch, batch), next(self.schedule.run(epoch, batch, 1))))

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the plan, after the batches that were served.

        Returns
        -------
        dict
            Small and JSON-ready: ``epoch``, ``batch``, and what the data and options must agree with.
        """
        epoch, batch = self._place
        return {"epoch": epoch, "batch": batch, "plan": self.schedule.fingerprint}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a place in the plan; the next iteration begins there.

        Parameters
        ----------
        state : mapping
            From `state_dict`, of a loader with the same data, clips, batches, seed and world.

        Raises
        ------
        OptionError
            If it is of another plan.
        """
        try:
            epoch, batch, plan = (state[name] for name in ("epoch", "batch", "plan"))
        except (KeyError, TypeError):
            raise OptionError(
                f"state={state!r} is no state of a loader; use what state_dict() gave"
            ) from None
        if plan != self.schedule.fingerprint:
            raise OptionError(
                "the state is of another plan: data, clips, batch_size, weights, shuffle, drop_last, seed, "
                "world and the transforms' views must be as they were when it was saved "
                f"(plan {plan}, here {self.schedule.fingerprint})"
            )
        epoch = checked_int(epoch, "epoch", 0, 2**62)
        batch = checked_int(batch, "batch", 0, len(self) + 1)
        self._go_to((epoch, batch))

    def _go_to(self, place: tuple[int, int]) -> object:
        """Begin anew at a place; return the turn without which nobody is served any more."""
        epoch, batch = place
        with self._lock:
            self._place = place if batch < len(self) else (epoch + 1, 0)
            self._resumed, self._turn = True, object()
            return self._turn

    def stats(self) -> Stats:
        """Return what was done so far and what it took.

        Returns
        -------
        Stats
            Print it for a table and a sentence of advice.
        """
        total = dict(zip(COUNTERS, self._engine.counters.sum(axis=0).tolist(), strict=True))
        return Stats.of(
            total,
            seconds=0.0 if self._began is None else self._ended - self._began,
            frames_served=self._served * self.schedule.time_steps,
            waited_s=self._engine.waited_s,
            damaged_frames=len(self._damaged),
            workers=self.workers,
            resident_bytes=resident_bytes([os.getpid(), *self.pids]),
        )

    @property
    def damaged(self) -> list[tuple[str, str]]:
        """Path of each frame that was replaced in batches served, and why, in the order they were met in."""
        return list(self._damaged.items())

    @property
    def pids(self) -> list[int]:
        """The nursery's process and the workers', if there are any."""
        return self._engine.pids if isinstance(self._engine, Pool) and not self._closed else []

    def close(self) -> None:
        """End the worker processes. Batches already served stay good; closing twice is fine."""
        self._closed = True
        self._engine.close()
        if self._lock.acquire(
            timeout=1.0
        ):  # whoever waits for a batch in another thread has given up by then
            try:
                self._engine.release()
            finally:
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a loader has processes of its own; pickle its dataset, and make a loader there")

    def __repr__(self) -> str:
        arrays = ", ".join(
            f"{f.name} {f.dtype} {(self._layout.batch_size, *f.shape)}" for f in self._layout.fields
        )
        return f"{type(self).__name__}({len(self)} batches of {arrays}; {self.workers} workers)"

    def _check_usable(self) -> None:
        if self._closed:
            raise ClosedError("the loader was closed; make another")
        if os.getpid() != self._owner:
            raise EngineError("this loader belongs to the process that forked this one; make another here")

    def _take(self, place: tuple[int, int], turn: object) -> Any:  # noqa: ANN401 - as batch()
        self._check_usable()
        with self._lock, self._whole():
            if turn is not self._turn:
                raise EngineError("a later iteration over this loader has begun; this one cannot go on")
            if self._began is None:
                self._began = self._ended = perf_counter()
            if not self._pending or place != self._pending[0].place:
                self._forget()
                self._next = place
            self._fill()
            pending = self._pending.popleft()
            served = self._collect(pending)
            self._fill()
            self._served += len(pending.batch.tickets)
            self._place, self._resumed = self._after(place), False
            self._ended = perf_counter()
            return served

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Forget what is in flight if anything but a bad frame, an interrupt above all, cuts work short."""
        try:
            yield
        except FrameError:
            raise
        except BaseException:
            self._forget()
            raise

    def _fill(self) -> None:
        """Submit the plan's next batches until the engine has enough; one at least."""
        while not self._pending or self._engine.has_room():
            if not self._planned:
                self._planned.extend(self.schedule.run(*self._next, _PLANNED))
            self._pending.append(self._submit(self._next, self._planned.popleft()))
            self._next = self._after(self._next)

    def _forget(self) -> None:
        """Give up what is in flight; it will be asked for again if it is wanted."""
        if self._pending:
            self._next = self._pending[0].place
        self._pending.clear()
        self._planned.clear()
        self._engine.forget()

    def _after(self, place: tuple[int, int]) -> tuple[int, int]:
        epoch, batch = place
        return (epoch, batch + 1) if batch + 1 < len(self) else (epoch + 1, 0)

    def _submit(self, place: tuple[int, int], planned: Planned) -> _Pending:
        return _Pending(place, self._engine.submit(planned.tickets), planned.known)

    def _collect(self, pending: _Pending) -> Any:  # noqa: ANN401 - as batch()
        arrays = self._engine.collect(pending.batch)
        if self._where is not None and self._engine.notes:
            self._note_damage(self._where)
        return self.schedule.assemble({**pending.known, **arrays})

    def _note_damage(self, where: Callable[[int, int, int], str]) -> None:
        """Read what the engine has noted, again from the start if that was cut short."""
        for ticket, note in self._engine.notes:
            damage, rest = note_to_damage(note)
            for stream, frame, why in damage:
                path = where(stream, int(ticket["video"]), frame)
                if path not in self._damaged:
                    self._damaged[path] = why
                    more = f"; {rest} more of its clip are not listed" if rest else ""
                    _log.warning("Damaged frame %r is replaced: %s%s", path, why, more)
        self._engine.notes.clear()
