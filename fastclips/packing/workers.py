"""Worker processes that make the parts of a pack; the parts come in the order of the tasks.

A worker has two tasks at a time, so that it never waits for the caller, which writes the shards meanwhile.
"""

from __future__ import annotations

import select
from collections import deque
from typing import TYPE_CHECKING

from fastclips.errors import EngineError, FastclipsError
from fastclips.processes import AnsweringProcess, answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fastclips.packing.parts import Job, Part, Task

__all__ = ["main", "make_parts"]

_TASKS_EACH = 2
_AHEAD = 8  # tasks per worker that may be given out or done before the oldest task is done


def make_parts(job: Job, tasks: Iterable[Task], workers: int) -> Iterator[Part]:
    """Do tasks in worker processes and yield their parts in the order of the tasks.

    Parameters
    ----------
    job : Job
        What the tasks have in common.
    tasks : iterable of Task
        In order.
    workers : int
        Processes; 0 does the work in the caller.

    Yields
    ------
    Part

    Raises
    ------
    EngineError
        A worker died, or could not be started.
    OSError
        A part cannot be written.
    """
    if not workers:
        from fastclips.packing.parts import PartMaker  # noqa: PLC0415 - the caller need not import OpenCV

        yield from map(PartMaker(job).make, tasks)
        return
    pool: list[_Worker] = []
    try:
        pool += (_Worker(job) for _ in range(workers))
        yield from _in_order(pool, iter(tasks))
    finally:
        for worker in pool:
            worker.process.stop()


def _in_order(pool: list[_Worker], tasks: Iterator[Task]) -> Iterator[Part]:
    given: deque[int] = deque()  # numbers of tasks whose parts were not yielded yet
    done: dict[int, Part] = {}
    poll = select.poll()
    by_fd = {worker.process.answers: worker for worker in pool}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    while True:
        for worker in sorted(pool, key=lambda worker: len(worker.tasks)):
            while len(worker.tasks) < _TASKS_EACH and len(given) < _AHEAD * len(pool):
                task = next(tasks, None)
                if task is None:
                    break
                given.append(task.number)
                worker.give(task)
        if not given:
            return
        for fd, _ in poll.poll():
            part = by_fd[fd].take()
            done[part.task.number] = part
        while given and given[0] in done:
            yield done.pop(given.popleft())


class _Worker:
    """The caller's side of a worker process."""

    def __init__(self, job: Job) -> None:
        self.tasks: deque[Task] = deque()
        self.process = AnsweringProcess("fastclips.packing.workers:main", job)
        self._names = job.names

    def give(self, task: Task) -> None:
        """Hand over a task."""
        self.tasks.append(task)
        self.process.send(task)

    def take(self) -> Part:
        """Wait for the oldest task's part and return it."""
        try:
            result = self.process.take()
        except EOFError:
            at = f", at {self._names[self.tasks[0].video]!r}" if self.tasks else ""
            raise EngineError(
                f"a packing process died {self.process.cause_of_death()}{at}; what it printed is on standard "
                "error"
            ) from None
        self.tasks.popleft()
        if isinstance(result, BaseException):
            raise result
        part: Part = result
        return part


def main(load: Callable[[], Job], answers: int) -> None:
    """Be a worker: make a part of each task, until there are no more.

    Parameters
    ----------
    load : callable
        Returns the job.
    answers : int
        Descriptor to which parts and errors are written.
    """
    from fastclips.packing.parts import PartMaker  # noqa: PLC0415 - the caller need not import OpenCV

    maker = PartMaker(load())

    def make(task: Task) -> Part | Exception:
        try:
            return maker.make(task)
        except (OSError, FastclipsError) as error:
            return error

    answer(make, answers)
