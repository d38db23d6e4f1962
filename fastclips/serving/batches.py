"""Batches of a schedule, rendered ahead of time and served in the schedule's order.

A few batches are in flight: the next ones of the schedule, on into the next epoch. A request for any other
batch (a new epoch begun early, a resume) discards them and starts there. A batch is a function of
(epoch, batch) alone, so batches in flight have no influence on what is served.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol, TypeAlias

from fastclips.engine.arena import COUNTERS, note_to_damage
from fastclips.engine.pool import Inline, Pool
from fastclips.errors import ClosedError, EngineError, FrameError, OptionError
from fastclips.options import checked_bool, checked_bytes, checked_int, checked_number, checked_workers
from fastclips.serving.at_exit import close_at_exit, leave_ended_thread
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
_PLANNED = 8  # batches planned at a time
_CLOSE_S = 1.0  # how long a thread that waits for a batch may take to give up

BatchId: TypeAlias = "tuple[int, int]"  # epoch, batch


class Planned(NamedTuple):
    """A batch before it is rendered.

    Parameters
    ----------
    tickets : ndarray of void, (rows,)
        For the engine.
    known : dict of str to ndarray
        Arrays that need no rendering, such as labels.
    """

    tickets: NDArray[np.void]
    known: dict[str, NDArray[Any]]


class Schedule(Protocol):
    """The contents of each batch of each epoch: a pure function."""

    @property
    def fingerprint(self) -> str:
        """Equal for schedules of equal batches."""

    @property
    def time_steps(self) -> int:
        """Frames in a clip."""

    def __len__(self) -> int:
        """Batches per epoch."""

    def run(self, epoch: int, batch: int, most: int) -> Iterator[Planned]:
        """Yield up to `most` consecutive batches, fewer if the epoch ends."""

    def assemble(self, arrays: Mapping[str, NDArray[Any]]) -> Any:  # noqa: ANN401 - the user's choice
        """Return a batch as it is served, from known and rendered arrays."""


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
        Worker processes; by default one per core; 0 renders in the calling process.
    memory : str or int
        Ceiling for the workers' batches in shared memory, such as ``"1GiB"``, or in bytes.
    repeat : bool
        Whether iterating continues with the next epoch, without end.
    where : callable, optional
        Returns the path of a damaged frame from the number of its stream, video and frame. Needed if the
        renderer replaces damaged frames.
    file_of : callable, optional
        Returns the path of a video's file from its number, if the frames of a video are in one file: its
        damage is then logged once.
    timeout : float, optional
        Seconds that a worker may work on a clip before it is replaced.
    max_deaths : int
        So many workers may die over a clip, and as many for each worker without a finished clip.

    Attributes
    ----------
    schedule : Schedule
        As given.
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
        repeat: bool = False,
        where: Callable[[int, int, int], str] | None = None,
        file_of: Callable[[int], str] | None = None,
        timeout: float | None = None,
        max_deaths: int = 3,
    ) -> None:
        self.workers = checked_workers(workers)
        self.schedule = schedule
        self._layout = spec.layout
        self.repeat = checked_bool(repeat, "repeat")
        memory = checked_bytes(memory, "memory")
        timeout = None if timeout is None else checked_number(timeout, "timeout", 1e-3, 1e6)
        max_deaths = checked_int(max_deaths, "max_deaths", 1, 10_000)
        self._where = where
        self._engine: Engine = (
            Pool(
                spec,
                workers=self.workers,
                memory=memory,
                describe=None if where is None else partial(_describe, where, schedule.time_steps),
                timeout=timeout,
                most_deaths=max_deaths,
            )
            if self.workers
            else Inline(spec)
        )
        self._damaged: dict[str, str] = {}  # reason by path
        self._file_of = file_of
        self._damaged_files: set[str] = set()  # video files that were logged
        self._owner = os.getpid()
        self._closed = False
        self._lock = threading.Lock()
        self._pending: deque[_Pending] = deque()
        self._planned: deque[Planned] = deque()  # from `_to_submit` on
        self._to_submit: BatchId = (0, 0)
        self._to_serve: BatchId = (0, 0)
        self._resumes = True  # whether iterating starts at `_to_serve`, or at the epoch after it
        self._iteration = object()  # token of the only iteration that may continue
        self._began: float | None = None
        self._ended = 0.0
        self._served = 0
        close_at_exit(self)

    def __len__(self) -> int:
        """Batches per epoch."""
        return len(self.schedule)

    def __iter__(self) -> Iterator[Any]:
        """Serve the next epoch, or the rest of an epoch after `load_state_dict`."""
        epoch, batch = self._to_serve
        if batch and not self._resumes:
            epoch, batch = epoch + 1, 0
        return self.epoch(epoch, batch)

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
        epoch, start = checked_int(epoch, "epoch", 0, 2**62), checked_int(start, "start", 0, len(self) + 1)
        return self._run(epoch, start, self._go_to((epoch, start)))

    def _run(self, epoch: int, start: int, iteration: object) -> Iterator[Any]:
        while True:
            for batch in range(start, len(self)):
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
            return self._collect(self._submit((epoch, batch), next(self.schedule.run(epoch, batch, 1))))

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the iteration: the batch that comes next.

        Returns
        -------
        dict
            JSON-ready: ``epoch`` and ``batch``, and ``plan``, a fingerprint of data and options.

        Examples
        --------
        >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=8, workers=0)
        >>> x, y = next(iter(loader))
        >>> state = loader.state_dict()
        >>> state["epoch"], state["batch"]
        (0, 1)
        >>> resumed = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=8, workers=0)
        >>> resumed.load_state_dict(state)
        >>> len(list(resumed)), len(loader)
        (2, 3)
        """
        epoch, batch = self._to_serve
        return {"epoch": epoch, "batch": batch, "plan": self.schedule.fingerprint}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state: the next iteration begins there.

        Parameters
        ----------
        state : mapping
            From `state_dict` of a loader with the same data, clips, frame choices, batches, seed and world.
            Other transforms are not compared.

        Raises
        ------
        OptionError
            If the state is of another plan.
        """
        try:
            epoch, batch, plan = (state[name] for name in ("epoch", "batch", "plan"))
        except (KeyError, TypeError):
            raise OptionError(
                f"state={state!r}: must be the state of a loader, as state_dict() returns it"
            ) from None
        if plan != self.schedule.fingerprint:
            raise OptionError(
                "the state is of another plan: data, clips, frame choices, batch_size, weights, shuffle, "
                "drop_last, seed, world and the transforms' views must be the same as when it was saved "
                f"(saved plan {plan}, this plan {self.schedule.fingerprint})"
            )
        epoch = checked_int(epoch, "epoch", 0, 2**62)
        batch = checked_int(batch, "batch", 0, len(self) + 1)
        self._go_to((epoch, batch))

    def _go_to(self, batch_id: BatchId) -> object:
        """Let the next iteration start at a batch, end all earlier ones, and return its token."""
        epoch, batch = batch_id
        with self._lock:
            self._to_serve = batch_id if batch < len(self) else (epoch + 1, 0)
            self._resumes, self._iteration = True, object()
            return self._iteration

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
        return Stats.of(
            total,
            seconds=0.0 if self._began is None else self._ended - self._began,
            frames_served=self._served * self.schedule.time_steps,
            waited_s=self._engine.waited_s,
            worker_states=tuple(self._engine.states) if isinstance(self._engine, Pool) and self.pids else (),
            damaged_frames=len(self._damaged),
            workers=self.workers,
            resident_bytes=resident_bytes([os.getpid(), *self.pids]),
        )

    @property
    def damaged(self) -> list[tuple[str, str]]:
        """(path, reason) of each damaged frame that was replaced in served batches, in order of discovery."""
        return list(self._damaged.items())

    @property
    def pids(self) -> list[int]:
        """Process ids of the nursery and the workers, if there are any."""
        return self._engine.pids if isinstance(self._engine, Pool) and not self._closed else []

    def close(self) -> None:
        """End the worker processes. Served batches stay valid; closing again does nothing."""
        self._closed = True
        self._engine.close()
        if self._lock.acquire(timeout=_CLOSE_S):  # a thread that waits for a batch has given up by then
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
            if iteration is not self._iteration:
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
            served = self._collect(pending)
            self._fill()
            self._served += len(pending.batch.tickets)
            self._to_serve, self._resumes = self._after(batch_id), False
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
            self._pending.append(self._submit(self._to_submit, self._planned.popleft()))
            self._to_submit = self._after(self._to_submit)

    def _forget(self) -> None:
        """Discard batches in flight; those still wanted will be submitted again."""
        if self._pending:
            self._to_submit = self._pending[0].batch_id
        self._pending.clear()
        self._planned.clear()
        self._engine.forget()

    def _after(self, batch_id: BatchId) -> BatchId:
        epoch, batch = batch_id
        return (epoch, batch + 1) if batch + 1 < len(self) else (epoch + 1, 0)

    def _submit(self, batch_id: BatchId, planned: Planned) -> _Pending:
        return _Pending(batch_id, self._engine.submit(planned.tickets), planned.known)

    def _collect(self, pending: _Pending) -> Any:  # noqa: ANN401 - as batch()
        arrays = self._engine.collect(pending.batch)
        if self._where is not None and self._engine.notes:
            self._note_damage(self._where)
        return self.schedule.assemble({**pending.known, **arrays})

    def _note_damage(self, where: Callable[[int, int, int], str]) -> None:
        """Record and log the damaged frames that the engine noted."""
        of_files: dict[str, dict[str, str]] = {}  # frames of video files that were not logged before
        for ticket, note in self._engine.notes:
            damage, rest = note_to_damage(note)
            video = int(ticket["video"])
            file = None if self._file_of is None else self._file_of(video)
            for stream, frame, reason in damage:
                path = where(stream, video, frame)
                more = f"; {rest} more of its clip are not listed" if rest else ""
                if file is not None and file not in self._damaged_files:
                    of_files.setdefault(file, {})[path] = f"{reason}{more}"
                elif file is None and path not in self._damaged:
                    _log.warning("Damaged frame %r is replaced: %s%s", path, reason, more)
                self._damaged.setdefault(path, reason)
        for file, frames in of_files.items():
            path, why = next(iter(frames.items()))
            text = "Damaged frames of %r are replaced, %d in this batch, such as %r: %s (logged once)."
            _log.warning(text, file, len(frames), path, why)
            self._damaged_files.add(file)
        self._engine.notes.clear()  # at the end: after an interrupt all notes are read again


def _describe(where: Callable[[int, int, int], str], time_steps: int, ticket: np.void) -> str:
    """Return the name of a ticket's clip in messages."""
    frames = [frame if frame >= 0 else ~frame for frame in ticket["frames"][:time_steps].tolist()]
    video = int(ticket["video"])
    shown = f"frames {min(frames)} to {max(frames)}" if len(frames) > 1 else f"frame {frames[0]}"
    return f"the clip of {where(0, video, frames[0])!r} (video {video}, {shown})"
