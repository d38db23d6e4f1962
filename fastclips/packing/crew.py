"""Worker processes that make parts of a pack; their results come in the order of the tasks.

A worker is a fresh interpreter, neither forked from the caller, who may have threads, nor spawned with the
caller's script. It reads tasks from its standard input and writes results to a pipe, each a length and a
pickle. It has two tasks at a time, so that it never waits for the caller, who writes the shards meanwhile.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import struct
import subprocess
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fastclips._native import die_with_parent
from fastclips.data.columns import dump, load
from fastclips.errors import EngineError, FastclipsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fastclips.packing.parts import Job, Part, Task

__all__ = ["main", "make_parts"]

_LENGTH = struct.Struct("<Q")
_TASKS_EACH = 2
_AHEAD = 8  # tasks for each worker that may be under way or done before the oldest one is
_STOP_S = 5.0


def make_parts(job: Job, tasks: Iterable[Task], workers: int) -> Iterator[Part]:
    """Do tasks in worker processes.

    Parameters
    ----------
    job : Job
        What they have in common.
    tasks : iterable of Task
        In order.
    workers : int
        Processes; 0 does the work in the caller.

    Yields
    ------
    Part
        In the order of the tasks.

    Raises
    ------
    EngineError
        A worker died, or could not be started.
    OSError
        A part cannot be written.
    """
    if not workers:
        from fastclips.packing.parts import Maker  # noqa: PLC0415 - its imports are the workers'

        yield from map(Maker(job).make, tasks)
        return
    crew: list[_Worker] = []
    try:
        crew += (_Worker(job) for _ in range(workers))
        yield from _in_order(crew, iter(tasks))
    finally:
        for worker in crew:
            worker.stop()


def _in_order(crew: list[_Worker], left: Iterator[Task]) -> Iterator[Part]:
    under_way: deque[int] = deque()  # numbers of tasks whose parts were not handed on
    done: dict[int, Part] = {}
    poll = select.poll()
    by_fd = {worker.results: worker for worker in crew}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    while True:
        for worker in sorted(crew, key=lambda one: len(one.tasks)):
            while len(worker.tasks) < _TASKS_EACH and len(under_way) < _AHEAD * len(crew):
                task = next(left, None)
                if task is None:
                    break
                under_way.append(task.number)
                worker.give(task)
        if not under_way:
            return
        for fd, _ in poll.poll():
            part = by_fd[fd].take()
            done[part.task.number] = part
        while under_way and under_way[0] in done:
            yield done.pop(under_way.popleft())


class _Worker:
    """The caller's side of a worker process."""

    def __init__(self, job: Job) -> None:
        self.tasks: deque[Task] = deque()
        self._names = job.names
        self.results, theirs = os.pipe()
        job_fd = os.memfd_create("fastclips-job")
        try:
            with os.fdopen(job_fd, "wb", closefd=False) as file:
                blocks = [block.fd for block in dump(job, file)]
            os.lseek(job_fd, 0, os.SEEK_SET)
            fds = (job_fd, theirs, *blocks)
            code = (
                f"import sys; argv = sys.argv[1:]; sys.path[:] = argv[{len(fds)}:]; "
                f"from fastclips.packing.crew import main; main(*map(int, argv[:{len(fds)}]))"
            )
            path = [entry or str(Path.cwd()) for entry in sys.path if isinstance(entry, str)]
            self._process = subprocess.Popen(
                [sys.executable, "-c", code, *map(str, fds), *path],
                stdin=subprocess.PIPE,
                stdout=2,
                pass_fds=fds,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        except BaseException as error:
            os.close(self.results)
            if isinstance(error, OSError):
                raise EngineError(f"cannot start a process that packs: {error}") from error
            raise
        finally:
            os.close(job_fd)
            os.close(theirs)

    def give(self, task: Task) -> None:
        """Hand over a task."""
        self.tasks.append(task)
        assert self._process.stdin is not None  # noqa: S101 - for mypy
        try:
            _send(self._process.stdin, task)
        except OSError:
            self._died()

    def take(self) -> Part:
        """Return the part of its oldest task, waiting for it."""
        result = _receive(self.results)
        if result is None:
            self._died()
        self.tasks.popleft()
        if isinstance(result, BaseException):
            raise result
        part: Part = result
        return part

    def _died(self) -> None:
        code = self._process.wait()
        why = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        hint = " (out of memory? Try fewer workers)" if code == -signal.SIGKILL else ""
        at = f", at {self._names[self.tasks[0].video]!r}" if self.tasks else ""
        raise EngineError(f"a process that packs {why}{hint}{at}; what it printed is on standard error")

    def stop(self) -> None:
        """End the process."""
        os.close(self.results)
        self._process.kill()
        assert self._process.stdin is not None  # noqa: S101 - for mypy
        self._process.wait(_STOP_S)
        with suppress(OSError):  # a task was on its way
            self._process.stdin.close()


def _is_alone() -> bool:
    """Whether whoever gave the tasks is gone: it may have been before this process could ask to go too."""
    poll = select.poll()
    poll.register(0, 0)
    return bool(poll.poll(0))


def _send(file: IO[bytes], value: object) -> None:
    data = pickle.dumps(value)
    file.write(_LENGTH.pack(len(data)) + data)
    file.flush()


def _receive(fd: int) -> Any:  # noqa: ANN401 - a part, or an error
    head = _read(fd, _LENGTH.size)
    if head is None:
        return None
    data = _read(fd, _LENGTH.unpack(head)[0])
    return None if data is None else pickle.loads(data)  # noqa: S301 - of our own process


def _read(fd: int, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        more = os.read(fd, size - len(data))
        if not more:
            return None
        data += more
    return data


def main(job_fd: int, results: int, *blocks: int) -> None:
    """Be a worker: do tasks until there are no more.

    Parameters
    ----------
    job_fd : int
        The pickled job.
    results : int
        The pipe for what comes of them.
    *blocks : int
        Descriptors of what the job's pickle leaves out.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt at the terminal is for the caller
    die_with_parent(signal.SIGKILL)
    from fastclips.packing.parts import Maker  # noqa: PLC0415 - after the signals are as they should be

    with os.fdopen(job_fd, "rb") as file:
        make = Maker(load(file, blocks)).make
    with os.fdopen(results, "wb") as out:
        while (task := _receive(0)) is not None and not _is_alone():
            try:
                result: Part | Exception = make(task)
            except (OSError, FastclipsError) as error:
                result = error
            _send(out, result)
