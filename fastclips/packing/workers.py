"""Worker processes that do the tasks of a job; the results come in the order of the tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from fastclips.processes import answer, in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Job", "OtherWorkers", "do_tasks", "main"]


class Job(Protocol):
    """What all tasks have in common: an immutable, picklable value."""

    def doer(self) -> Callable[[Any], Any]:
        """Return the function that does a task, in the process that calls it."""

    def name_of(self, task: Any) -> str:  # noqa: ANN401 - a task of the job
        """Return the name of a task's video, for messages."""


@runtime_checkable
class OtherWorkers(Protocol):
    """Workers that are no processes of this machine, such as those of `fastclips.adapters.ray`."""

    def do_tasks(self, job: Any, tasks: Iterable[Any]) -> Iterator[Any]:  # noqa: ANN401 - of a kind that they know
        """Do tasks and yield their results in order."""


def do_tasks(job: Job, tasks: Iterable[Any], workers: int | OtherWorkers, doing: str) -> Iterator[Any]:
    """Do tasks in worker processes and yield their results in the order of the tasks.

    Parameters
    ----------
    job : Job
        What the tasks have in common.
    tasks : iterable
        In order.
    workers : int or OtherWorkers
        Processes; 0 does the work in the caller.
    doing : str
        What the processes do, in messages, such as ``"packing"``.

    Yields
    ------
    object
        What the job's function returned.

    Raises
    ------
    EngineError
        A worker died, or could not be started.
    OSError, FastclipsError
        As from the function.
    """
    if not isinstance(workers, int):
        yield from workers.do_tasks(job, tasks)
        return
    if not workers:
        yield from map(job.doer(), tasks)
        return
    yield from in_order(f"{__name__}:main", job, tasks, workers, doing=doing, place=job.name_of)


def main(load: Callable[[], Job], answers: int) -> None:
    """Be a worker: do each task, until there are no more.

    Parameters
    ----------
    load : callable
        Returns the job.
    answers : int
        Descriptor to which results and errors are written.
    """
    answer(load().doer(), answers)
