"""The process that forks the workers: it imports everything once, forks workers and replaces dead ones.

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
from typing import TYPE_CHECKING

from fastclips.engine.arena import COUNTERS, Arena, die_with_parent, from_note, to_note
from fastclips.engine.worker import work
from fastclips.processes import cause_of_death

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastclips.spec import RenderSpec

__all__ = ["main"]

DEATHS_PER_CLIP = 3  # workers that die over a clip before the clip is an error
DEATHS_PER_WORKER = 3  # deaths without a finished clip between them before the nursery gives up
_CLIPS, _PID = COUNTERS.index("clips"), COUNTERS.index("pid")


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
    """

    def __init__(self, arena: Arena, spec: RenderSpec, workers: int) -> None:
        resolve_name(spec.renderer)  # imports it, which takes most of a second, once for all workers
        self._arena = arena
        self._spec = spec
        self._workers = workers
        self._numbers = count(1)
        self._alive: dict[int, tuple[int, int, int]] = {}  # pidfd -> pid, worker, index
        self._deaths = 0
        self._clips = 0.0

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
            for index in range(self._workers):
                poll.register(self._fork(index), select.POLLIN)
            while not (ready := {fd for fd, _ in poll.poll()}) & {trainer, control}:
                for pidfd in ready:
                    poll.unregister(pidfd)
                    poll.register(self._replace(pidfd), select.POLLIN)
        finally:
            for pid, _, _ in self._alive.values():
                os.kill(pid, signal.SIGKILL)
            for pid, _, _ in self._alive.values():
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
                    work(self._arena, self._spec, worker, index)
            except BaseException:  # noqa: BLE001 - a forked process must not return into its parent's code
                traceback.print_exc()
            finally:
                os._exit(1)
        self._arena.counters()[index, _PID] = pid
        pidfd = os.pidfd_open(pid)
        self._alive[pidfd] = pid, worker, index
        return pidfd

    def _replace(self, pidfd: int) -> int:
        """Reap a dead worker, issue its ticket again and fork a new worker; return the new pidfd."""
        pid, worker, index = self._alive.pop(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        cause = cause_of_death(os.waitstatus_to_exitcode(status))
        clips = self._arena.counters()[:, _CLIPS].sum()
        self._deaths = self._deaths + 1 if clips == self._clips else 1
        self._clips = clips
        for cell in self._arena.claimed_by(worker):
            if self._arena.count_death(cell) < DEATHS_PER_CLIP:
                self._arena.reissue(cell, worker)
            else:
                text = f"{DEATHS_PER_CLIP} workers died over this clip, the last worker {cause}"
                self._arena.set_note(cell, to_note(text))
                self._arena.finish(cell, worker, False)
        if self._deaths > DEATHS_PER_WORKER * self._workers:
            words = from_note(self._arena.last_words)
            raise RuntimeError(
                f"{self._deaths} workers died without finishing a clip, the last worker {cause}"
                + (f"; a worker raised {words}" if words else "")
            )
        return self._fork(index)


def main(load: Callable[[], RenderSpec], workers: int, arena_fd: int, trainer: int) -> None:
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
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a trainer may ignore it; then no worker could be reaped
    arena = Arena.attach(arena_fd)
    os.close(arena_fd)
    try:
        nursery = Nursery(arena, load(), workers)
        gc.freeze()  # a collection in a worker would copy the pages it shares
        nursery.run(trainer, sys.stdin.fileno())
    except Exception as error:
        arena.last_words = to_note(f"{type(error).__name__}: {error}")
        raise
