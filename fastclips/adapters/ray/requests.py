"""Requests of the trainer to its hosts: the first answer counts, and what is lost is asked again.

A request is asked of the host that has the fewest. It is asked again, of another host, if its host is lost,
if its answer is lost with a node, or if the trainer has waited too long for it: `slow_s` seconds, or, if
that is longer, four times as long as hosts take from answer to answer. Hosts give equal answers, so none of
this shows.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Any

from ray.exceptions import RayActorError, RayError, RayTaskError

from fastclips.adapters.ray.host import Answer
from fastclips.errors import ClosedError, EngineError

if TYPE_CHECKING:
    from fastclips.adapters.ray.hosts import Hosts, RemoteHost

__all__ = ["Requests"]

_POLL_S = 0.1  # between checks while the trainer waits
_WORD_S = 30.0  # of waiting before the first word about it; the next one comes after twice the time
_MOST_ASKED = 20  # times that a request may be asked
_KEPT_WAITS = 1000
_PACES = 4.0  # times that hosts take for an answer, before one is late
_log = logging.getLogger("fastclips.adapters.ray")


class _Request:
    """A request that was made and not answered, or not taken."""

    def __init__(self, work: Any) -> None:  # noqa: ANN401 - of the hosts' class
        self.work = work
        self.asked: set[RemoteHost] = set()  # hosts that may still answer
        self.times = 0  # that it was asked
        self.answer: Answer | None = None


class Requests:
    """Requests to hosts.

    Parameters
    ----------
    hosts : Hosts
        The hosts.
    each : int
        Requests that a host is asked at a time.
    slow_s : float
        How long the trainer waits for an answer before it asks a second host.
    what : str
        What is asked for, in messages: such as "batch" for one of "batches".

    Attributes
    ----------
    waits : list of (float, str)
        The first 1,000 long waits: their seconds, and what the hosts did.
    """

    def __init__(self, hosts: Hosts, *, each: int, slow_s: float, what: tuple[str, str]) -> None:
        self.hosts, self._each, self._slow_s, self._what = hosts, each, slow_s, what
        self._open: dict[int, _Request] = {}
        self._number = self._round = 0
        self._closed = False
        self.waits: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._open)

    @property
    def room(self) -> bool:
        """Whether the hosts have room for another request."""
        return len(self._open) < self._each * max(len(self.hosts.ready), 1)

    @property
    def states(self) -> list[str]:
        """What each host does, in words."""
        return [
            f"{host.name} is {host.state}, asked for {len(host.asked)} {self._what[1]}, after {host.answers}"
            for host in self.hosts.ready
        ]

    @property
    def _pace(self) -> float:
        """Seconds from answer to answer of the host that takes longest; 0 if none has answered."""
        return max((host.pace for host in self.hosts.ready if host.state != "slow"), default=0.0)

    def make(self, work: Any) -> int:  # noqa: ANN401 - of the hosts' class
        """Make a request, and return its number: they count from 1."""
        self._check_open()
        self._number += 1
        self._open[self._number] = _Request(work)
        self._read_inbox()  # which asks for what nobody was asked for
        return self._number

    def take(self, number: int) -> Any:  # noqa: ANN401 - of the hosts' class
        """Wait for an answer, and return its result.

        Raises
        ------
        FastclipsError, OSError
            As from the host.
        EngineError
            No host is left.
        """
        self._check_open()
        request = self._open[number]
        self._read_inbox()
        began, word_s, place = monotonic(), _WORD_S, len(self.waits)
        late_s = self._slow_s
        while request.answer is None:
            self._check_open()
            self._read_inbox(_POLL_S)
            waited = monotonic() - began
            if request.answer is None and waited > max(late_s, _PACES * self._pace):
                self._ask_others(request)
                late_s = 2 * waited
            if waited >= word_s:
                doing = "; ".join(self.states) or "no host is ready"
                _log.warning("Waiting for a %s for %.0f s: %s.", self._what[0], waited, doing)
                if place < _KEPT_WAITS:
                    self.waits[place:] = [(waited, doing)]
                word_s *= 2
        del self._open[number]
        if request.answer.error is not None:
            raise request.answer.error
        return request.answer.result

    def _ask(self, number: int) -> None:
        """Ask a host that was not asked for this; none if there is no such host now."""
        request = self._open[number]
        hosts = [host for host in self.hosts.ready if host not in request.asked]
        if not hosts:
            return
        if request.times >= _MOST_ASKED:
            raise EngineError(
                f"a {self._what[0]} was asked for {_MOST_ASKED} times, and each host was lost before it "
                "answered; Ray's dashboard and logs tell why"
            )
        host = min(hosts, key=lambda host: (host.state == "slow", len(host.asked)))
        request.times += 1
        if not host.asked:
            host.last = monotonic()
        request.asked.add(host)
        host.asked.add(number)
        self.hosts.inbox.expect(host, number, host.actor.do.remote(number, self._round, request.work))

    def _read_inbox(self, seconds: float = 0.0) -> None:
        """Take what has arrived, and ask again for what was lost."""
        for host, number, answer, arrived in self.hosts.inbox.take(seconds):
            if number is None:
                self.hosts.greeted(host, answer)
                continue
            host.asked.discard(number)
            request = self._open.get(number)
            if request is not None:
                request.asked.discard(host)
            if isinstance(answer, Answer):
                self._answered(host, request, answer, arrived)
            elif isinstance(answer, (RayActorError, RayTaskError)) or not isinstance(answer, RayError | None):
                self.hosts.lose(host, answer)  # otherwise it was withdrawn, or lost with its node
            if host.state == "lost":
                for lost in host.asked & self._open.keys():
                    self._open[lost].asked.discard(host)
                host.asked.clear()
        self.hosts.tend()
        for number, request in self._open.items():
            if request.answer is None and not request.asked:
                self._ask(number)

    def _answered(self, host: RemoteHost, request: _Request | None, answer: Answer, arrived: float) -> None:
        if answer.counters is not None:
            host.counters, host.deaths = answer.counters, answer.deaths or host.deaths
        if answer.broken:
            self.hosts.lose(host, answer.error)
            return
        self.hosts.praise(host, arrived)
        if request is not None and request.answer is None:
            request.answer = answer

    def _ask_others(self, late: _Request) -> None:
        """Ask second hosts for all that the hosts of a late request have not answered."""
        if all(host in late.asked for host in self.hosts.ready):
            return
        for host in [*late.asked]:
            _log.warning(
                "Host %s is slow: others are asked for its %d %s, too.",
                host.name,
                len(host.asked),
                self._what[1],
            )
            host.state = "slow" if host.state == "ready" else host.state
            for number in sorted(host.asked & self._open.keys()):
                if len(self._open[number].asked) == 1:
                    self._ask(number)

    def forget(self) -> None:
        """Withdraw all requests."""
        if not self._open:
            return
        self._open.clear()
        self._round += 1
        for host in self.hosts.ready if self.hosts.connected else ():
            host.actor.forget.remote(self._round)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the loader was closed")
        if not self.hosts.connected:
            raise EngineError("Ray was shut down, and its actors with it: make a new loader after ray.init()")

    def close(self) -> None:
        """End all actors."""
        self._closed = True
        self.hosts.close()
        self.hosts.inbox.wake()
