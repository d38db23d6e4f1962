"""Packing over a cluster: actors make parts, and the caller appends them to shards.

An actor makes one part after the other, on one CPU, as a worker process of `pack` does. The part's bytes come
back through Ray's object store; the caller writes them where a worker would have written them. Only the
caller needs the pack's folder. A frame that an actor cannot read is read again by the caller: what a host
lacks is not left out of the pack.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import ray

from fastclips.adapters.ray.cluster import checked_options, connect, store_bytes
from fastclips.adapters.ray.host import Answer, Host, content_of
from fastclips.adapters.ray.hosts import Hosts, Order
from fastclips.adapters.ray.requests import Requests
from fastclips.data.scan import evenly
from fastclips.errors import FastclipsError
from fastclips.options import checked_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from fastclips.packing.parts import Job, Part, Task

__all__ = ["PackingHost", "RayWorkers"]

_EACH = 4  # tasks for each actor that may be asked for and not appended yet
_SLOW_S = 300.0  # a task may be a whole video file
_COMPARED = 16  # tasks whose first frames hosts compare
_SHARE = 3  # of this node's object store
_END_S = 5.0  # how long hosts may take to remove their folders


class _Made(NamedTuple):
    """A part, and the content of its file."""

    part: Part
    content: NDArray[np.uint8]


class PackingHost(Host):
    """Makes the parts of a `fastclips.packing.parts.Job`; it has no options."""

    def _begin(self, value: Job) -> None:
        self._folder = tempfile.mkdtemp(prefix="fastclips-parts-")
        self._make: Callable[[Task], Part] = replace(value, folder=self._folder).doer()

    def do(self, number: int, round_: int, work: Task) -> Answer | None:  # noqa: ARG002 - nothing is withdrawn
        """Return the part of a task, as `_Made`."""
        try:
            part = self._make(work)
            content = np.fromfile(part.path, np.uint8)
            Path(part.path).unlink()
        except (OSError, FastclipsError) as error:
            return Answer(error=error)
        return Answer(_Made(part, content))

    def forget(self, round_: int) -> None:  # noqa: ARG002 - there is one round
        """Remove the folder, after the last task."""
        shutil.rmtree(self._folder, ignore_errors=True)


class RayWorkers:
    """The workers of `fastclips.pack` on a Ray cluster: ``fc.pack(data, "packed/", workers=RayWorkers())``.

    The pack is the same, byte for byte, as one that was made without Ray. There is an actor for each CPU of
    the cluster, also of nodes that join; the parts of a node that is lost are made again. Hosts read the data
    at the same path as the caller; the caller alone writes the pack.

    Parameters
    ----------
    address : str, optional
        Address of the cluster, if ``ray.init`` was not called: by default ``RAY_ADDRESS``, or the cluster of
        this machine.
    ray_actor_options : mapping, optional
        Options of the actors, as for ``options`` of a class of Ray: by default ``{"num_cpus": 1}``.
    start_s : float
        Seconds that actors may take to start, and that packing waits for a new host if the last one is lost.

    Raises
    ------
    OptionError
        If an argument is out of range.

    Examples
    --------
    The cluster is needed when packing begins:

    >>> from fastclips.adapters.ray import RayWorkers
    >>> workers = RayWorkers("127.0.0.1:9")
    >>> fc.pack("frames/", "over_ray/", workers=workers)
    Traceback (most recent call last):
        ...
    fastclips.errors.EngineError: no Ray cluster can be reached at '127.0.0.1:9': Connection refused; start...
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        ray_actor_options: Mapping[str, Any] | None = None,
        start_s: float = 60.0,
    ) -> None:
        self._address = address
        self._options = {"num_cpus": 1, **checked_options(ray_actor_options)}
        self._start_s = checked_number(start_s, "start_s", 1.0, 1e6)

    def do_tasks(self, job: Job, tasks: Iterable[Task]) -> Iterator[Part]:
        """Make the parts of tasks, and yield them in order, each with its file in the job's folder."""
        connect(self._address)
        tasks = list(tasks)
        places = [
            (stream.name, task.key, task.first) for task in evenly(tasks, _COMPARED) for stream in job.streams
        ]
        contents = [content_of(job.storage, place) for place in places]
        order = Order(PackingHost, None, self._options, self._start_s, places, contents, fills=True)
        hosts = Hosts(order, job)
        requests = Requests(hosts, each=_EACH, slow_s=_SLOW_S, what=("part", "parts"))
        own: Callable[[Task], Part] | None = None
        given: deque[tuple[int, Task]] = deque()
        left, largest, room = iter(tasks), 1, store_bytes() // _SHARE
        try:
            while True:
                while not given or (requests.room and len(given) * largest < room):
                    task = next(left, None)
                    if task is None:
                        break
                    given.append((requests.make(task), task))
                if not given:
                    break
                number, task = given.popleft()
                made: _Made = requests.take(number)
                largest = max(largest, len(made.content))
                if made.part.problems:
                    own = own or job.doer()
                    yield own(task)
                    continue
                made.part.path = str(Path(job.folder, f"{task.number}.part"))
                made.content.tofile(made.part.path)
                yield made.part
            ray.wait(
                [host.actor.forget.remote(0) for host in hosts.ready],
                num_returns=len(hosts.ready),
                timeout=_END_S,
            )
        finally:
            requests.close()
