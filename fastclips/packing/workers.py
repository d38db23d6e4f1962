"""Worker processes that make the parts of a pack; the parts come in the order of the tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastclips.processes import answer, in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fastclips.packing.parts import Job, Part, Task

__all__ = ["main", "make_parts"]


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
    yield from in_order(
        f"{__name__}:main",
        job,
        tasks,
        workers,
        doing="packing",
        place=lambda task: job.names[task.video],
    )


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

    answer(PartMaker(load()).make, answers)
