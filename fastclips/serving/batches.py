"""Batches of a schedule, rendered ahead of time and served in the schedule's order.

A few batches are in flight: the next ones of the schedule, on into the next epoch. A request for any other
batch (a new epoch begun early, a resume) discards them and starts there. A batch is a function of
(epoch, batch) alone, so batches in flight have no influence on what is served.
"""

from __future__ import annotations

import os
import warnings
from collections import deque
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from fastclips.engine.arena import COUNTERS
from fastclips.engine.engines import new_engine
from fastclips.engine.rendering import clip_name
from fastclips.errors import ClosedError, EngineError, FrameError, OptionError
from fastclips.options import checked_bool, checked_bytes, checked_int, checked_number, checked_workers
from fastclips.serving.at_exit import close_at_exit, leave_ended_thread
from fastclips.serving.one_call import OneCall
from fastclips.serving.progress import BatchId, Progress
from fastclips.serving.report import report_of
from fastclips.serving.stats import Stats, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from fastclips.engine.contract import Batch, Engine
    from fastclips.serving.damage import Damage
    from fastclips.serving.report import Report
    from fastclips.serving.schedule import Planned, Schedule, SlotPlan
    from fastclips.spec import RenderSpec

__all__ = ["Batches"]

_PLANNED = 32  # batches planned at a time
_CLOSE_S = 1.0  # how long a thread that waits for a batch may take to give up


class _Pending(NamedTuple):
    batch_id: BatchId
    batch: Batch
    known: dict[str, NDArray[Any]]


class Batches:
    """Batches of a schedule, rendered ahead by an engine.

    Iterating serves one epoch and moves on to the next.

    Parameters
    ----------
    schedule : Schedule
        The contents of batches.
    spec : RenderSpec
        What the engine renders tickets with.
    workers : int or None
        Worker processes; by default as many as can run at once; 0 renders in the calling process.
    memory : str or int
        Ceiling for the workers' batches in shared memory, such as ``"1GiB"``, or in bytes.
    cache : int or None
        Bytes of `memory` for decoded frames, if the spec has `shared`; None for what the batches leave.
    most_frames : int
        No more decoded frames than this.
    frame_plan : callable, optional
        Returns what gives frame slots to tickets, for the engine and the number of workers; None if nothing
        does.
    repeat : bool
        Whether iterating continues with the next epoch, without end.
    damage : Damage, optional
        Takes the damaged frames. Needed if the renderer replaces damaged frames.
    timeout : float, optional
        Seconds that a worker may work on a clip before it is replaced.
    max_deaths : int
        So many workers may die over a clip, and as many for each worker without a finished clip.
    make_engine : callable
        Returns the engine, with the parameters of `new_engine`.

    Attributes
    ----------
    schedule : Schedule
        As given.
    spec : RenderSpec
        As given.
    limits : dict
        `memory`, `timeout` and `max_deaths`.
    workers : int
        Number of worker processes.
    repeat : bool
        As given.

    Raises
    ------
    OptionError
        If an argument is out of range, or `memory` is too small.
    """

    def __init__(
        self,
        schedule: Schedule,
        spec: RenderSpec,
        *,
        workers: int | None = None,
        memory: str | int = "1GiB",
        cache: int | None = 0,
        most_frames: int = 2**31 - 1,
        frame_plan: Callable[[Engine, int], SlotPlan | None] | None = None,
        repeat: bool = False,
        damage: Damage | None = None,
        timeout: float | None = None,
        max_deaths: int = 3,
        make_engine: Callable[..., Engine] = new_engine,
    ) -> None:
        self.workers = checked_workers(workers, shared=True)
        self.schedule = schedule
        self.spec, self._layout = spec, spec.layout
        self.repeat = checked_bool(repeat, "repeat")
        self.limits: dict[str, Any] = {
            "memory": checked_bytes(memory, "memory"),
            "timeout": None if timeout is None else checked_number(timeout, "timeout", 1e-3, 1e6),
            "max_deaths": checked_int(max_deaths, "max_deaths", 1, 10_000),
        }
        self._damage = damage
        where = None if damage is None else damage.where
        self._engine = make_engine(
            spec,
            workers=self.workers,
            memory=self.limits["memory"],
            cache=cache,
            most_frames=most_frames,
            name=partial(clip_name, where, time_steps=schedule.time_steps),
            timeout=self.limits["timeout"],
            most_deaths=self.limits["max_deaths"],
        )
        self._frame_plan = frame_plan and frame_plan(self._engine, self.workers)
        self._owner = os.getpid()
        self._closed = False
        self._lock = OneCall()
        self._pending: deque[_Pending] = deque()
        self._planned: deque[Planned] = deque()  # from `_to_submit` on
        self._to_submit: BatchId = (0, 0)
        self._progress = Progress(schedule)
        self._began: float | None = None
        self._ended = 0.0
        self._served = 0
        self._start_s = 0.0
        close_at_exit(self)

    def __len__(self) -> int:
        """Batches in the epoch that is being served or comes next."""
        return self.schedule.batches_in(self._progress.next[0])

    def __iter__(self) -> Iterator[Any]:
        """Serve the next epoch, or the rest of an epoch after `load_state_dict`."""
        return self.epoch(*self._progress.begin)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Serve one epoch, from any of its batches on.

        An iteration that began earlier cannot continue.

        Parameters
        ----------
        epoch : int
            The epoch, from 0.
        start : int
            The first batch to serve.

        Returns
        -------
        iterator
            The batches; with ``repeat=True``, those of all later epochs too.

        Raises
        ------
        OptionError
            If there is no such epoch or batch.

        Examples
        --------
        >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=8, workers=0)
        >>> [x.shape[0] for x, y in loader.epoch(3, start=1)]
        [8, 2]
        """
        epoch = checked_int(epoch, "epoch", 0, 2**62)
        start = checked_int(start, "start", 0, self.schedule.batches_in(epoch) + 1)
        return self._run(epoch, start, self._go_to((epoch, start)))

    def _run(self, epoch: int, start: int, iteration: object) -> Iterator[Any]:
        while True:
            for batch in range(start, self.schedule.batches_in(epoch)):
                yield self._serve((epoch, batch), iteration)
            if not self.repeat:
                return
            epoch, start = epoch + 1, 0

    def batch(self, epoch: int, batch: int) -> Any:  # noqa: ANN401 - the structure is the user's choice
        """Return any batch, without effect on the iteration.

        Parameters
        ----------
        epoch, batch : int
            The epoch, and its batch, from 0.

        Returns
        -------
        tuple or array or dict
            The batch, as iterating gives it.

        Raises
        ------
        OptionError
            If there is no such epoch or batch.

        Examples
        --------
        >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=8, workers=0)
        >>> x, y = loader.batch(0, 2)
        >>> x.shape, y
        ((2, 4, 48, 64, 3), array([1, 1]))
        """
        self._check_usable()
        with self._lock, self._forget_on_error():
            if not self._engine.has_room(beside=True):
                self._forget()
            pending = self._submit((epoch, batch), next(self.schedule.run(epoch, batch, 1)))
            return self._collect(pending)[0]

    def state_dict(self, epoch: int | None = None, batch: int = 0) -> dict[str, Any]:
        """Return the state of the iteration: the batch that comes next.

        The state is the same on all ranks.

        Parameters
        ----------
        epoch, batch : int, optional
            Another place, both from 0, such as the number of batches trained on, if batches are fetched
            ahead.

        Returns
        -------
        dict
            JSON-ready: ``epoch`` and ``batch``, ``position`` (clips of all ranks before it in the epoch),
            ``batch_size``, ``world``, and ``parts``, which describe data and options.

        Raises
        ------
        OptionError
            If there is no such epoch or batch, or a batch is given without an epoch.

        Examples
        --------
        >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=8, workers=0)
        >>> x, y = next(iter(loader))
        >>> state = loader.state_dict()
        >>> state["epoch"], state["batch"], state["position"]
        (0, 1, 8)
        >>> resumed = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=8, workers=0)
        >>> resumed.load_state_dict(state)
        >>> len(list(resumed)), len(loader)
        (2, 3)
        """
        if epoch is None and batch:
            raise OptionError(f"batch={batch!r}: needs epoch=, the epoch that it is a batch of")
        place = self._progress.next if epoch is None else self._progress.checked(epoch, batch)
        return self.schedule.identity.state(*place, self.schedule.position(*place))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state: the next iteration begins there.

        Workers, memory, the kind of the storage, `batch_size`, `rank` and `world` may differ. A warning names
        other transforms, outputs and labels, and frames of other sizes: they change what batches hold, and
        not which clips.

        If the rest of an epoch is cut into other batches than before, they count from 0, and ``len(loader)``
        is the number of them, until another epoch is asked for.

        Parameters
        ----------
        state : mapping
            From `state_dict` of a loader with the same data, clips, frame choices, order and seed.

        Raises
        ------
        OptionError
            If the state is of other clips or of another order. The message names what differs.

        Examples
        --------
        >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=8, seed=1, workers=0)
        >>> other = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=8, seed=2, workers=0)
        >>> other.load_state_dict(loader.state_dict())
        Traceback (most recent call last):
            ...
        fastclips.errors.OptionError: the state is of another plan: order.seed was 1 and is 2. Make the loader
        with the saved options and data, or begin without the state
        """
        place = self.schedule.identity.place(state)
        if place.changed:
            warnings.warn(place.changed, stacklevel=2)
        with self._lock:
            self._cut_anew(self._progress.resume(place.epoch, place.position or 0, place.batch))

    def _go_to(self, batch_id: BatchId) -> object:
        """Let the next iteration start at a batch, end all earlier ones, and return its token."""
        with self._lock:
            self._cut_anew(self._progress.leave(batch_id[0]))
            return self._progress.go_to(batch_id)

    def _cut_anew(self, epochs: set[int]) -> None:
        """Discard batches in flight of epochs that have other batches now."""
        if not epochs.isdisjoint((self._to_submit[0], *(pending.batch_id[0] for pending in self._pending))):
            self._forget()
            if self._frame_plan is not None:
                self._frame_plan.restart()

    def stats(self) -> Stats:
        """Return counts and times since the first batch was asked for.

        Returns
        -------
        Stats
            Print it for a table and advice.

        Examples
        --------
        >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=8, workers=0)
        >>> for x, y in loader:
        ...     pass
        >>> loader.stats().frames_served
        72
        """
        total = dict(zip(COUNTERS, self._engine.counters.sum(axis=0).tolist(), strict=True))
        plan, cached = self._frame_plan, {}
        fetched = dict(zip(COUNTERS, self._engine.fetcher_counters.sum(axis=0).tolist(), strict=True))
        if plan is not None:
            cached = {
                "cache_bytes": plan.nbytes,
                "cache_evictions": plan.evictions,
                "cache_lost": plan.lost,
                "cache_advice": plan.advice,
            }
        return Stats.of(
            total,
            seconds=0.0 if self._began is None else self._ended - self._began,
            frames_served=self._served * self.schedule.time_steps,
            waited_s=self._engine.waited_s,
            start_s=self._start_s,
            worker_states=() if self._closed else tuple(self._engine.states),
            damaged_frames=len(self.damaged),
            workers=self.workers,
            ahead_bytes=int(fetched["bytes"]),
            fetcher_restarts=int(fetched["deaths"]),
            resident_bytes=resident_bytes([os.getpid(), *self.pids]),
            **cached,
        )

    def report(self) -> Report:
        """Return what went wrong since the loader was made: frames replaced, workers restarted, long waits.

        Returns
        -------
        Report
            Print it for a table.

        Examples
        --------
        >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=8, workers=0)
        >>> for x, y in loader:
        ...     pass
        >>> report = loader.report()
        >>> len(report.replaced), report.retried, report.restarts
        (0, 0, 0)
        """
        return report_of(self._engine, self._damage, self.limits["timeout"])

    @property
    def damaged(self) -> list[tuple[str, str]]:
        """(path, reason) of each damaged frame that was replaced in served batches, in order of discovery."""
        return [] if self._damage is None else list(self._damage.reasons.items())

    @property
    def pids(self) -> list[int]:
        """Process ids of the nursery, the workers and the fetchers, if there are any."""
        return [] if self._closed else self._engine.pids

    def close(self) -> None:
        """End the worker processes. Served batches stay valid; closing again does nothing."""
        self._closed = True
        self._engine.close()
        self._lock.if_free(self._engine.release, _CLOSE_S)  # a thread that waits for a batch has given up

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a loader has worker processes and cannot be pickled; pickle its dataset, and make a loader there"
        )

    def __repr__(self) -> str:
        arrays = ", ".join(
            f"{f.name} {f.dtype} {(self._layout.batch_size, *f.shape)}" for f in self._layout.fields
        )
        return f"{type(self).__name__}({len(self)} batches of {arrays}; {self.workers} workers)"

    def _check_usable(self) -> None:
        if self._closed:
            leave_ended_thread()
            raise ClosedError("the loader was closed; make a new one")
        if os.getpid() != self._owner:
            raise EngineError(
                "this loader belongs to the parent process; make a loader in this process, or leave out "
                "use_multiprocessing=True of Keras or num_workers= of torch, as loaders have workers"
            )

    def _serve(self, batch_id: BatchId, iteration: object) -> Any:  # noqa: ANN401 - as batch()
        self._check_usable()
        with self._lock, self._forget_on_error():
            if iteration is not self._progress.iteration:
                raise EngineError(
                    "a later iteration over this loader has begun, so this one cannot continue; "
                    "make a loader for each of two iterations at the same time"
                )
            if self._began is None:
                self._began = self._ended = perf_counter()
            if not self._pending or batch_id != self._pending[0].batch_id:
                self._forget()
                self._to_submit = batch_id
            self._fill()
            pending = self._pending.popleft()
            served, replaced = self._collect(pending)
            rows = len(pending.batch.tickets) * self._layout.ticket_rows
            if self._damage is not None:
                self._damage.count(batch_id[0], rows, replaced)
            self._fill()
            if not self._served and self.workers:
                self._start_s = self._engine.waited_s
            self._served += rows
            self._progress.pass_over(batch_id)
            self._ended = perf_counter()
            return served

    @contextmanager
    def _forget_on_error(self) -> Iterator[None]:
        """Discard batches in flight after an interrupt or any other error but that of a bad frame."""
        try:
            yield
        except FrameError:
            raise
        except ClosedError:
            leave_ended_thread()
            raise
        except BaseException:
            self._forget()
            raise

    def _fill(self) -> None:
        """Submit the next batches until the engine has enough, at least one."""
        while not self._pending or self._engine.has_room():
            if not self._planned:
                self._planned.extend(self.schedule.run(*self._to_submit, _PLANNED))
            planned = self._planned.popleft()
            if self._frame_plan is not None:
                self._frame_plan.assign(*self._to_submit, planned.tickets)
            self._pending.append(self._submit(self._to_submit, planned))
            self._to_submit = self._progress.after(self._to_submit)

    def _forget(self) -> None:
        """Discard batches in flight; those still wanted will be submitted again."""
        if self._pending:
            self._to_submit = self._pending[0].batch_id
        self._pending.clear()
        self._planned.clear()
        self._engine.forget()

    def _submit(self, batch_id: BatchId, planned: Planned) -> _Pending:
        return _Pending(batch_id, self._engine.submit(planned.tickets), planned.known)

    def _collect(self, pending: _Pending) -> tuple[Any, int]:
        """Return a batch as it is served, and the number of damaged frames that were replaced in it."""
        arrays = self._engine.collect(pending.batch)
        replaced = 0
        if self._damage is not None:
            replaced = self._damage.note(self._engine.notes)
            self._engine.notes.clear()  # at the end: after an interrupt all notes are read again
        return self.schedule.assemble({**pending.known, **arrays}), replaced
