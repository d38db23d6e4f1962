"""The process that forks workers and fetchers: it imports everything once, and replaces those that die.

Workers are not forked from the trainer, whose libraries have threads and locks, and not spawned, which would
import the user's script again. The nursery is a fresh, single-threaded interpreter (`fastclips.processes`). A
worker that it forks inherits no locks, is ready in milliseconds, and shares the nursery's memory.

The nursery ends, and its workers with it, when the trainer asks (by standard input), when the trainer dies
(by its pidfd), or when workers die faster than they finish clips. Workers ask the kernel to kill them when
the nursery dies. So no process is left behind, whichever process is killed.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import traceback
from itertools import count
from pkgutil import resolve_name
from time import monotonic
from typing import TYPE_CHECKING

from fastclips.engine.arena import (
    COUNTERS,
    DEATHS,
    STAGES,
    STUCK,
    Arena,
    die_with_parent,
    from_note,
    ticket_view,
    to_note,
)
from fastclips.engine.fetcher import fetch, reading_for
from fastclips.engine.worker import CLAIM_MS, work
from fastclips.processes import cause_of_death

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastclips.engine.kept_frames import KeptFrames
    from fastclips.spec import RenderSpec

__all__ = ["main"]

_CLIPS, _PID, _WORKER, _SINCE, _STAGE = map(COUNTERS.index, ("clips", "pid", "worker", "since", "stage"))
_DEATH = [COUNTERS.index(name) for name in ("death_code", "death_video", "death_frame")]
_DEATHS, _REISSUED = map(COUNTERS.index, ("deaths", "reissued"))
_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE}
_PATIENCE_S = 10.0  # without a finished clip before workers that were killed from outside are no accident
_END_S = 5.0  # how long a process may take to end after SIGKILL
_START_S = 60.0  # how long a worker may take to start
_LOOKS = 4  # for stuck workers, within the time that a clip may take


class Nursery:
    """The workers of one loader.

    Parameters
    ----------
    arena : Arena
        The arena, shared with the trainer.
    spec : RenderSpec
        Describes the workers' renderer.
    workers : int
        Number of workers at a time.
    most_deaths : int
        So many workers may die over a clip before the clip is an error, or damaged; and as many for each
        worker without a finished clip between them before the nursery gives up.
    timeout_s : float
        Seconds after which a worker is killed over a clip; 0 for no limit.
    """

    def __init__(
        self, arena: Arena, spec: RenderSpec, workers: int, most_deaths: int, timeout_s: float
    ) -> None:
        resolve_name(spec.renderer)  # imports it, which takes most of a second, once for all workers
        self._arena = arena
        self._spec = spec
        self._workers = workers
        self._reading = reading_for(workers, arena.ahead_bytes)
        self._fruitless: dict[int, tuple[float, int]] = {}  # by index of a fetcher: clips, deaths since then
        self._numbers = count(1)
        self._alive: dict[int, tuple[int, int, int]] = {}  # pidfd -> pid, worker, index
        self._most_deaths, self._timeout_s = most_deaths, timeout_s
        self._repeats_damaged: bool = getattr(spec, "repeats_damaged", False)
        self._kept: KeptFrames | None = getattr(spec, "kept", None)
        self._killed: dict[int, float] = {}  # pidfd of a worker that was stuck -> when it was killed
        self._causes: dict[int, list[str]] = {}  # of deaths, by the number of the ticket
        self._deaths = 0
        self._clips, self._progress = 0.0, monotonic()

    def run(self, trainer: int, control: int) -> None:
        """Replace dead workers until the trainer dies or asks for the end.

        Parameters
        ----------
        trainer : int
            A pidfd of the trainer.
        control : int
            A pipe; the nursery stops when something is written to it or its other end is closed.
        """
        poll = select.poll()
        poll.register(trainer, select.POLLIN)
        poll.register(control, select.POLLIN)
        try:
            for index in range(self._workers + self._reading.fetchers):
                poll.register(self._fork(index), select.POLLIN)
            look_ms = 1000 * self._timeout_s / _LOOKS if self._timeout_s else None
            while not (ready := {fd for fd, _ in poll.poll(look_ms)}) & {trainer, control}:
                for pidfd in ready:
                    poll.unregister(pidfd)
                    replacement = self._replace(pidfd)
                    if replacement is not None:
                        poll.register(replacement, select.POLLIN)
                if self._timeout_s:
                    self._kill_stuck()
        finally:
            for pid, _, _ in self._alive.values():
                os.kill(pid, signal.SIGKILL)
            deadline = monotonic() + _END_S
            for pidfd, (pid, _, _) in self._alive.items():
                if _ends(pidfd, deadline - monotonic()):
                    os.waitpid(pid, 0)
        if trainer in ready:
            self._arena.discard()  # a forked child of the trainer may still map the arena

    def _fork(self, index: int) -> int:
        worker, nursery = next(self._numbers), os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                die_with_parent(signal.SIGKILL)
                if os.getppid() == nursery:  # the nursery may have died before the line above
                    self._be(worker, index)
            except BaseException:  # noqa: BLE001 - a forked process must not return into its parent's code
                traceback.print_exc()
            finally:
                os._exit(1)
        self._arena.counters()[index, [_PID, _WORKER, _SINCE, _STAGE]] = pid, worker, monotonic(), 0
        pidfd = os.pidfd_open(pid)
        self._alive[pidfd] = pid, worker, index
        return pidfd

    def _be(self, worker: int, index: int) -> None:
        """Work or fetch, without an end."""
        if index >= self._workers:
            threads, workers = self._reading.threads, self._workers
            fetch(self._arena, self._spec, worker, index, threads, workers)  # type: ignore[arg-type]
        most_crashes = self._most_deaths if self._repeats_damaged else 0
        work(self._arena, self._spec, worker, index, most_crashes)

    def _replace(self, pidfd: int) -> int | None:
        """Reap a dead worker, issue its ticket again and fork a new worker; return the new pidfd."""
        pid, worker, index = self._alive.pop(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if index >= self._workers:
            return self._replace_fetcher(worker, index, code)
        stuck = self._killed.pop(pidfd, 0.0)
        cause = f"after timeout={self._timeout_s:g} seconds" if stuck else cause_of_death(code)
        counters = self._arena.counters()
        clips = counters[: self._workers, _CLIPS].sum()
        if clips != self._clips:
            self._clips, self._progress, self._deaths = clips, monotonic(), 0
        self._deaths += 1
        self._arena.frame_slots.free(worker)
        if self._kept is not None:
            self._kept.free(worker)
        cells = self._arena.claimed_by(worker)
        counters[index, _DEATH] = STUCK if stuck else code, *self._clip(cells)
        counters[index, _DEATHS] += 1
        for cell in cells:
            self._give_up_or_reissue(cell, worker, index, cause, crashed=-code in _CRASHES)
        killed = code == -signal.SIGKILL and not stuck
        patient = killed and monotonic() < self._progress + _PATIENCE_S
        if self._deaths > self._most_deaths * self._workers and not patient:
            words = from_note(self._arena.last_words)
            raise RuntimeError(
                f"{_workers(self._deaths)} died without finishing a clip, the last {cause}"
                + (f"; a worker raised {words}" if words else "")
            )
        return self._fork(index)

    def _replace_fetcher(self, fetcher: int, index: int, code: int) -> int | None:
        """Free what a dead fetcher was filling and fork a new one, unless that dies again and again.

        Without it, the workers read for themselves. What it wrote on standard error says why it died.
        """
        counters = self._arena.counters()[index]
        self._arena.free_reads(fetcher)
        counters[_DEATHS] += 1
        clips, deaths = self._fruitless.get(index, (0.0, 0))
        deaths = deaths + 1 if counters[_CLIPS] == clips and code != -signal.SIGKILL else 1
        self._fruitless[index] = counters.item(_CLIPS), deaths
        counters[_PID] = 0
        return None if deaths > self._most_deaths else self._fork(index)

    def _clip(self, cells: list[int]) -> tuple[int, int]:
        """Return the video and the first frame of the clip that a dead worker had; -1, -1 without one."""
        if not cells:
            return -1, -1
        ticket = ticket_view(self._arena, self._spec.ticket_dtype)[cells[0]]
        frame = int(ticket["frames"][0])
        return int(ticket["video"]), max(frame, ~frame)

    def _give_up_or_reissue(self, cell: int, worker: int, index: int, cause: str, *, crashed: bool) -> None:
        """Issue the ticket of a dead worker again, unless too many workers have died over it."""
        number, _, _ = self._arena.word(cell)
        causes = self._causes.setdefault(number, [])
        causes.append(cause)
        crashes = self._arena.count_death(cell) if crashed else self._arena.deaths(cell)
        damaged = self._repeats_damaged and crashes == self._most_deaths
        if len(causes) < self._most_deaths or damaged:
            self._arena.counters()[index, _REISSUED] += 1  # before the clip can be served
            self._arena.reissue(cell, worker)
            return
        seen = ", ".join(f"{causes.count(cause)} {cause}" for cause in dict.fromkeys(causes))
        self._arena.set_note(cell, DEATHS + to_note(f"{_workers(len(causes))} died over this clip: {seen}"))
        self._arena.finish(cell, worker, False)

    def _kill_stuck(self) -> None:
        """Kill workers that have worked on one clip for too long.

        Raises
        ------
        RuntimeError
            If one does not end.
        """
        now, counters = monotonic(), self._arena.counters()
        for pidfd, (pid, _, index) in self._alive.items():
            if index >= self._workers:
                continue
            since, stage = counters[index, [_SINCE, _STAGE]]
            starts, waits = stage == 0, stage == STAGES.index("waits for work")
            most = max(self._timeout_s, _START_S) if starts else self._timeout_s + waits * 2 * CLAIM_MS / 1000
            if pidfd not in self._killed and now - since > most:
                os.kill(pid, signal.SIGKILL)
                self._killed[pidfd] = now
            if now - self._killed.get(pidfd, now) > _END_S and not _ends(pidfd, 0):
                raise RuntimeError(
                    f"worker {pid} has not ended {_END_S:g} s after SIGKILL: it waits in the kernel, as for "
                    "a file system that does not answer"
                )


def _ends(pidfd: int, seconds: float) -> bool:
    """Return whether a process has ended, after waiting for at most `seconds`."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(max(int(seconds * 1000), 0)))


def _workers(number: int) -> str:
    return "1 worker" if number == 1 else f"{number} workers"


def main(
    load: Callable[[], RenderSpec],
    workers: int,
    arena_fd: int,
    trainer: int,
    most_deaths: int,
    timeout_ms: int,
) -> None:
    """Run a nursery.

    Parameters
    ----------
    load : callable
        Returns the spec. Its errors become the arena's `last_words`, as do all errors of the nursery.
    workers : int
        Number of workers.
    arena_fd : int
        Descriptor of the arena.
    trainer : int
        A pidfd of the trainer.
    most_deaths, timeout_ms : int
        As of `Nursery`, in milliseconds.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a trainer may ignore it; then no worker could be reaped
    arena = Arena.attach(arena_fd)
    os.close(arena_fd)
    try:
        nursery = Nursery(arena, load(), workers, most_deaths, timeout_ms / 1000)
        gc.freeze()  # a collection in a worker would copy the pages it shares
        nursery.run(trainer, sys.stdin.fileno())
    except Exception as error:
        arena.last_words = to_note(f"{type(error).__name__}: {error}")
        raise
