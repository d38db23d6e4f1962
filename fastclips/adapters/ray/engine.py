"""The engine whose workers are on other hosts: tickets go out, and batches come back.

::

    submit    a request is asked of the host that has the fewest
    inbox     Ray's thread writes answers to it; their large arrays are then in this node's object store
    collect   reads the inbox until the request has its answer

The first answer to a request counts. A request is asked again, of another host, if its host is lost, if its
answer is lost with a node, or if the trainer has waited for it for `slow_s` seconds. All answers are the same
bits, so none of this shows in a batch.

Bytes in the object store are bounded: a request counts from the moment it is made until the last array over
its batch is gone. If the consumer keeps half of the bound, further batches are copies in ordinary memory.
"""

from __future__ import annotations

import logging
import math
import weakref
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from ray.exceptions import RayActorError, RayError, RayTaskError

from fastclips.adapters.ray.host import Answer
from fastclips.engine.arena import COUNTERS, Lease, drop_ended, leased_arrays
from fastclips.engine.contract import Batch
from fastclips.errors import ClosedError, EngineError, FrameError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastclips.adapters.ray.hosts import Hosts, RemoteHost
    from fastclips.engine.arena import Death
    from fastclips.spec import RenderSpec

__all__ = ["RayEngine", "ahead_of"]

_AHEAD = 3  # batches that a host is asked for beyond those that its workers write
_POLL_S = 0.1  # between checks while the trainer waits
_WORD_S = 30.0  # of waiting before the first word about it; the next one comes after twice the time
_MOST_ASKED = 20  # times that a request may be asked
_KEPT_NOTES = 1000  # deaths and waits that are kept
_log = logging.getLogger("fastclips.adapters.ray")


def ahead_of(workers: int, tickets: int) -> int:
    """Return how many batches of so many tickets a host with so many workers is asked for at a time."""
    return math.ceil(workers / tickets) + _AHEAD


class _Request:
    """A batch that was submitted and not collected."""

    def __init__(self, tickets: NDArray[np.void]) -> None:
        self.tickets = tickets
        self.asked: set[RemoteHost] = set()  # hosts that may still answer
        self.times = 0  # that it was asked
        self.answer: Answer | None = None


class RayEngine:
    """Renders batches on the hosts of a cluster.

    Parameters
    ----------
    spec : RenderSpec
        Describes a batch.
    hosts : Hosts
        The hosts.
    each : int
        Batches that a host is asked for at a time.
    slots : int
        Batches that may be in the object store.
    slow_s : float
        How long the trainer waits for a batch before it asks a second host.
    """

    def __init__(self, spec: RenderSpec, hosts: Hosts, *, each: int, slots: int, slow_s: float) -> None:
        self._ticket_rows, self._dtype = spec.layout.ticket_rows, spec.ticket_dtype
        self.hosts, self._each, self._slots, self._slow_s = hosts, each, slots, slow_s
        self._requests: dict[int, _Request] = {}
        self._number = self._round = 0
        self._leases: list[weakref.ref[Lease]] = []
        self._closed = False
        self.notes: list[tuple[np.void, bytes]] = []
        self.waited_s = 0.0
        self.waits: list[tuple[float, str]] = []
        self.frames = self.frame_nbytes = self.wanted_nbytes = 0
        self.pids: list[int] = []

    @property
    def counters(self) -> NDArray[np.float64]:
        """A row of `COUNTERS` for each host that there ever was."""
        rows = [host.counters for host in self.hosts.every]
        return np.stack(rows) if rows else np.zeros((1, len(COUNTERS)))

    @property
    def states(self) -> list[str]:
        """What each host does, in words."""
        return [
            f"{host.name} is {host.state}, asked for {len(host.asked)} batches, after {host.batches}"
            for host in self.hosts.ready
        ]

    def deaths(self) -> list[Death]:
        """Return the deaths of workers on all hosts, at most 1,000."""
        return [death for host in self.hosts.every for death in host.deaths][:_KEPT_NOTES]

    def has_room(self, *, beside: bool = False) -> bool:
        """Whether the hosts and the object store have room for another batch."""
        if beside:
            return True
        asked = len(self._requests)
        return asked < self._each * max(len(self.hosts.ready), 1) and asked + self._leased() < self._slots

    def _leased(self) -> int:
        drop_ended()
        self._leases = [lease for lease in self._leases if lease() is not None]
        return len(self._leases)

    def submit(self, tickets: NDArray[np.void]) -> Batch:
        """Ask a host for a batch."""
        self._check_open()
        self._number += 1
        self._requests[self._number] = _Request(tickets)
        self._read_inbox()  # which asks for what nobody was asked for
        return Batch(self._number, tickets)

    def _ask(self, number: int) -> None:
        """Ask a host that was not asked for this batch; none if there is no such host now."""
        request = self._requests[number]
        hosts = [host for host in self.hosts.ready if host not in request.asked]
        if not hosts:
            return
        if request.times >= _MOST_ASKED:
            raise EngineError(
                f"a batch was asked for {_MOST_ASKED} times, and each host was lost before it answered; "
                "Ray's dashboard and logs tell why"
            )
        host = min(hosts, key=lambda host: (host.state == "slow", len(host.asked)))
        request.times += 1
        request.asked.add(host)
        host.asked.add(number)
        self.hosts.inbox.expect(host, number, host.actor.render.remote(number, self._round, request.tickets))

    def _read_inbox(self, seconds: float = 0.0) -> None:
        """Take what has arrived, and ask again for what was lost."""
        items = self.hosts.inbox.take(seconds)
        for host, number, answer in items:
            if number is None:
                self.hosts.greeted(host, answer)
                continue
            host.asked.discard(number)
            request = self._requests.get(number)
            if request is not None:
                request.asked.discard(host)
            if isinstance(answer, Answer):
                self._answered(host, request, answer)
            elif isinstance(answer, (RayActorError, RayTaskError)) or not isinstance(answer, RayError | None):
                self.hosts.lose(host, answer)  # otherwise a batch was withdrawn, or lost with its node
            if host.state == "lost":
                for lost in host.asked & self._requests.keys():
                    self._requests[lost].asked.discard(host)
                host.asked.clear()
        self.hosts.tend()
        for number, request in self._requests.items():
            if request.answer is None and not request.asked:
                self._ask(number)

    def _answered(self, host: RemoteHost, request: _Request | None, answer: Answer) -> None:
        host.counters = answer.counters
        host.deaths = answer.deaths or host.deaths
        if isinstance(answer.error, FrameError) or answer.error is None:
            self.hosts.praise(host)
            if request is not None and request.answer is None:
                request.answer = answer
        else:
            self.hosts.lose(host, answer.error)

    def collect(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Wait for a batch and return its arrays, read-only, over the object store's memory.

        Raises
        ------
        FrameError
            If a frame is missing, damaged or does not fit, or from an error of the user's code.
        EngineError
            If no host is left.
        """
        began = perf_counter()
        answer = self._wait(batch.slot)
        self.waited_s += perf_counter() - began
        del self._requests[batch.slot]
        if answer.error is not None:
            raise answer.error
        for ticket, note in answer.notes:
            self.notes.append((np.frombuffer(ticket, self._dtype)[0], note))
        rows = len(batch.tickets) * self._ticket_rows
        if self._leased() >= self._slots // 2:
            return {name: array.copy() for name, array in answer.arrays.items()}
        lease = Lease()
        self._leases.append(weakref.ref(lease))
        return leased_arrays(answer.arrays, rows, lease)

    def _wait(self, number: int) -> Answer:
        request = self._requests[number]
        self._read_inbox()
        began, word_s, slow_s, place = monotonic(), _WORD_S, self._slow_s, len(self.waits)
        while request.answer is None:
            self._check_open()
            self._read_inbox(_POLL_S)
            waited = monotonic() - began
            if request.answer is None and waited > slow_s:
                self._ask_others(number)
                slow_s = waited + self._slow_s
            if waited >= word_s:
                doing = "; ".join(self.states) or "no host is ready"
                _log.warning("Waiting for a batch for %.0f s: %s.", waited, doing)
                if place < _KEPT_NOTES:
                    self.waits[place:] = [(waited, doing)]
                word_s *= 2
        return request.answer

    def _ask_others(self, number: int) -> None:
        """Ask second hosts for all that the hosts of a late batch have not answered."""
        late = self._requests[number].asked
        others = [host for host in self.hosts.ready if host not in late]
        if not others:
            return
        for host in [*late]:
            _log.warning("Host %s is slow: %d batches are asked of others, too.", host.name, len(host.asked))
            host.state = "slow" if host.state == "ready" else host.state
            for asked in sorted(host.asked & self._requests.keys()):
                if len(self._requests[asked].asked) == 1:
                    self._ask(asked)

    def forget(self) -> None:
        """Withdraw all batches that were submitted and not collected."""
        if not self._requests:
            return
        self._requests.clear()
        self._round += 1
        for host in self.hosts.ready:
            host.actor.forget.remote(self._round)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the loader was closed")

    def close(self) -> None:
        """End all actors."""
        self._closed = True
        self.hosts.close()
        self.hosts.inbox.wake()

    def release(self) -> None:
        """Do nothing: Ray frees the memory of batches."""
