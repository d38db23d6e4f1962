"""The trainer's side of its hosts: actors are started, watched, given up and replaced.

All answers arrive in an `Inbox`, which the trainer's thread reads. Ray's own thread only writes to it.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import Counter, deque
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import cloudpickle
import numpy as np
import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from fastclips.adapters.ray.cluster import asked_text, capacity, cluster_text, fitting_nodes, nodes
from fastclips.adapters.ray.host import Hello
from fastclips.engine.arena import COUNTERS
from fastclips.errors import DataError, EngineError, OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from fastclips.adapters.ray.host import Host, Place
    from fastclips.engine.arena import Death

__all__ = ["Hosts", "Inbox", "Order", "RemoteHost"]

_LOOK_S = 2.0  # between looks for nodes
_LATE_S = 3.0  # that hosts may start later than the first one, beside as long as that took
_WEIGHT = 0.2  # of the last answer in a host's pace
_MOST_LOSSES = 3  # of a node's actors, without an answer between them
_RAISED = re.compile(r"(\w+\.)*\w*(Error|Exception): ").match  # the last line of a traceback
_log = logging.getLogger("fastclips.adapters.ray")


class Inbox:
    """What hosts have answered: (host, number of the request, answer or error, time of arrival)."""

    def __init__(self) -> None:
        self._items: deque[tuple[RemoteHost, int | None, Any, float]] = deque()
        self._changed = threading.Condition()

    def expect(self, host: RemoteHost, number: int | None, reference: Any) -> None:  # noqa: ANN401 - of Ray
        """Let the answer behind an object reference arrive here."""
        reference.future().add_done_callback(partial(self._arrived, host, number))

    def _arrived(self, host: RemoteHost, number: int | None, future: Future[Any]) -> None:
        try:
            answer = future.result()
        except BaseException as error:  # noqa: BLE001 - the trainer's thread decides
            answer = error
        with self._changed:
            self._items.append((host, number, answer, monotonic()))
            self._changed.notify_all()

    def take(self, seconds: float = 0.0) -> list[tuple[RemoteHost, int | None, Any, float]]:
        """Return what has arrived, after waiting for it for at most so long."""
        with self._changed:
            if not self._items and seconds:
                self._changed.wait(seconds)
            items = [*self._items]
            self._items.clear()
        return items

    def wake(self) -> None:
        """End a wait."""
        with self._changed:
            self._changed.notify_all()


class RemoteHost:
    """An actor, as the trainer sees it.

    Attributes
    ----------
    actor : actor handle
        The actor.
    node : str or None
        Ray's id of its node, if it is known.
    name : str
        For messages.
    pid : int
        Of the actor's process, on its machine.
    state : {"starts", "ready", "slow", "lost"}
        Slow hosts are asked if there are no others, until they answer.
    asked : set of int
        Numbers of the requests that it was asked and has not answered.
    answers : int
        Number of its answers.
    pace : float
        Seconds from answer to answer, of late.
    last : float
        Time of its last answer, or when it was asked after a rest.
    counters : ndarray of float64
        Totals of its workers.
    deaths : tuple of Death
        Of its workers.
    """

    def __init__(self, actor: Any, node: str | None, name: str) -> None:  # noqa: ANN401 - of Ray
        self.actor, self.node, self.name, self.pid = actor, node, name, 0
        self.state, self.began = "starts", monotonic()
        self.asked: set[int] = set()
        self.answers, self.pace, self.last = 0, 0.0, monotonic()
        self.counters: NDArray[np.float64] = np.zeros(len(COUNTERS))
        self.deaths: tuple[Death, ...] = ()


class Order(NamedTuple):
    """What is asked of a cluster.

    Parameters
    ----------
    kind : type
        Class of the actors.
    actors : int or None
        How many; None for one on each node that has the resources, or, with `fills`, for as many as it has
        room for.
    options : dict
        Of the actors.
    start_s : float
        How long an actor may take to start.
    places : sequence of Place
        Frames to compare.
    contents : sequence of str
        What they hold here.
    fills : bool
        As above.
    """

    kind: type[Host]
    actors: int | None
    options: Mapping[str, Any]
    start_s: float
    places: Sequence[Place]
    contents: Sequence[str]
    fills: bool = False


class Hosts:
    """The actors of a loader.

    Parameters
    ----------
    order : Order
        What is asked.
    value : object
        What hosts work with: it is pickled, and has a ``storage``.
    options : dict
        Options of the hosts' class.
    concurrency : int
        Methods that may run in an actor at a time.

    Attributes
    ----------
    every : list of RemoteHost
        All that were ever ready.
    inbox : Inbox
        Their answers.

    Raises
    ------
    OptionError
        The cluster does not have what is asked.
    DataError
        A host has other data.
    EngineError
        No actor could be started in time.
    """

    def __init__(
        self, order: Order, value: object, options: dict[str, Any] | None = None, *, concurrency: int = 1
    ) -> None:
        self._order = order
        self._actor_options = {
            **order.options,
            "max_concurrency": concurrency,
            "max_restarts": 0,
            "max_task_retries": 0,
        }
        self.inbox = Inbox()
        self.every: list[RemoteHost] = []
        self._alive: list[RemoteHost] = []
        self._losses: Counter[str | None] = Counter()
        self._barred: dict[str | None, str] = {}  # nodes that get no actor any more: why
        self._why = ""  # the last host was lost
        self._looked = self._left = monotonic()
        self._job = ray.get_runtime_context().get_job_id()
        self._check_room()
        pickled = np.frombuffer(cloudpickle.dumps(value), np.uint8)
        self._given = ray.put(pickled), options or {}
        try:
            self._start_all()
        except BaseException:
            self.close()
            raise

    @property
    def ready(self) -> list[RemoteHost]:
        """Hosts that can be asked."""
        return [host for host in self._alive if host.state in ("ready", "slow")]

    def _check_room(self) -> None:
        order = self._order
        room = sum(capacity(node, order.options) for node in fitting_nodes(order.options))
        if order.actors is not None and order.actors > room:
            raise OptionError(
                f"num_actors={order.actors}: the cluster has room for {room}, each of "
                f"{asked_text(order.options)}. It has {cluster_text(nodes(), order.options)}; lower "
                "num_actors, or ask for less in ray_actor_options"
            )

    def _start_all(self) -> None:
        self._place()
        began = monotonic()
        end = began + self._order.start_s
        while any(host.state == "starts" for host in self._alive) and monotonic() < end:
            for host, _, answer, _ in self.inbox.take(0.1):
                if isinstance(answer, Hello) and not self.ready:  # the others have as much time again
                    end = min(end, 2 * monotonic() - began + _LATE_S)
                self.greeted(host, answer, first=True)
        waiting = [host for host in self._alive if host.state == "starts"]
        if not self.ready:
            asked, free = asked_text(self._order.options), ray.available_resources()
            why = self._why or (
                f"none did within {self._order.start_s:g} s. Each asks for {asked}. Free in the cluster are "
                f"CPU {free.get('CPU', 0):g} and GPU {free.get('GPU', 0):g}; it has "
                f"{cluster_text(nodes(), self._order.options)}. Ask for less in ray_actor_options, or end "
                "other jobs"
            )
            raise EngineError(f"no actor could be started: {why}")
        for host in waiting:
            _log.warning("The actor on %s has not started yet; the others begin.", host.name)

    def _place(self) -> None:
        """Start actors where there is room, until there are as many as asked for."""
        order = self._order
        fitting = [node for node in fitting_nodes(order.options) if node.id not in self._barred]
        on = Counter(host.node for host in self._alive)
        each = {node.id: capacity(node, order.options) for node in fitting}
        if order.actors is None and not order.fills:
            each = dict.fromkeys(each, 1)
        while order.actors is None or len(self._alive) < order.actors:
            chosen = [node for node in fitting if on[node.id] < each[node.id]]
            if not chosen:
                return
            node = min(chosen, key=lambda node: on[node.id])
            on[node.id] += 1
            self._start(node.id, node.address)

    def _start(self, node: str, address: str) -> None:
        here = {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}
        kind = ray.remote(self._order.kind).options(**here | self._actor_options)
        host = RemoteHost(kind.remote(*self._given), node, address)
        self._alive.append(host)
        told = host.actor.start.remote(version("fastclips"), self._order.places, self._order.contents)
        self.inbox.expect(host, None, told)

    def greeted(self, host: RemoteHost, answer: object, *, first: bool = False) -> None:
        """Take the answer of an actor to its start.

        Raises
        ------
        DataError
            The data of one of the first hosts are other data.
        """
        if host.state == "lost":
            return
        if not isinstance(answer, Hello):
            self.lose(host, answer)
            return
        host.name, host.node, host.pid = answer.name, answer.node, answer.pid
        if answer.wrong:
            why = f"host {answer.name}: {answer.wrong}"
            self._barred[host.node] = why
            self.lose(host, why)
            if first:
                raise DataError(
                    f"{why}. All hosts must have the trainer's data at the same path: copy them there, or "
                    "keep this host out by ray_actor_options={'resources': ...}"
                )
            return
        host.state = "ready"
        self.every.append(host)
        _log.info("Host %s is ready.", host.name)

    def lose(self, host: RemoteHost, why: object) -> None:
        """Give an actor up."""
        if host.state == "lost":
            return
        host.state = "lost"
        self._why = f"{host.name}: {_text(why)}"
        self._alive.remove(host)
        with suppress(Exception):  # it may be gone
            ray.kill(host.actor)
        self._losses[host.node] += 1
        if self._losses[host.node] >= _MOST_LOSSES:
            self._barred.setdefault(host.node, self._why)
        _log.warning("Lost host %s, with %d requests to ask again.", self._why, len(host.asked))
        self._looked = 0.0
        self._left = monotonic()

    def praise(self, host: RemoteHost, arrived: float) -> None:
        """Note that an actor has answered, and when."""
        took, host.last = arrived - host.last, arrived
        host.pace = took if not host.answers else host.pace + _WEIGHT * (took - host.pace)
        host.answers += 1
        self._losses[host.node] = 0
        if host.state == "slow":
            host.state = "ready"

    def tend(self) -> None:
        """Start actors on new nodes and in place of lost ones; give up those that do not start.

        Raises
        ------
        EngineError
            No host is left, and none could be started for a while.
        """
        now = monotonic()
        if now - self._looked < _LOOK_S:
            return
        self._looked = now
        for host in [*self._alive]:
            if host.state == "starts" and now - host.began > self._order.start_s:
                self.lose(host, f"did not start within {self._order.start_s:g} s")
        with suppress(OptionError):  # no node has the resources at this moment
            self._place()
        self._looked = now
        if not self._alive and now - self._left > self._order.start_s:
            raise EngineError(
                "no host is left, and no node that could have one has joined for "
                f"{self._order.start_s:g} s. The last was {self._why}. The cluster has "
                f"{cluster_text(nodes(), self._order.options)}"
            )

    @property
    def connected(self) -> bool:
        """Whether this process is still connected to the cluster: otherwise Ray would connect to another."""
        return bool(ray.is_initialized() and ray.get_runtime_context().get_job_id() == self._job)

    def close(self) -> None:
        """End all actors; they have ended already if Ray was shut down."""
        for host in self._alive if self.connected else ():
            with suppress(Exception):  # it may be gone
                ray.kill(host.actor)
        self._alive.clear()


def _text(why: object) -> str:
    """Return an error of Ray in short: it may hold a log, or a traceback whose last line is the reason."""
    if isinstance(why, RayTaskError):
        return f"{type(why.cause).__name__}: {why.cause}"
    lines = [line.strip() for line in str(why).splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("class_name:", "actor_id:", "namespace:", "pid:"))]
    raised = next((line for line in reversed(kept) if _RAISED(line)), None)
    if raised is not None and isinstance(why, RayError):
        return raised[:400]
    if any("all references to the actor were removed" in line for line in kept):  # ours are still there
        kept.append(
            "Ray says this, too, if this process and the cluster differ in RAY_AUTH_MODE (token or disabled)."
        )
    return " ".join(kept).partition(" Some common causes")[0][:500] or type(why).__name__
