"""The engine whose workers are on other hosts: tickets go out, and batches come back.

::

    submit    makes a request: `requests.py`
    Ray       writes a batch to the object store of its host, and copies it to that of the trainer's node
    collect   waits for the answer; its arrays are over the object store's memory, read-only

Bytes in the object store are bounded: a request counts from the moment it is made until the last array over
its batch is gone. If the consumer keeps half of the bound, further batches are copies in ordinary memory.
"""

from __future__ import annotations

import math
import weakref
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.adapters.ray.requests import Requests
from fastclips.engine.arena import COUNTERS, Lease, drop_ended, leased_arrays
from fastclips.engine.contract import Batch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastclips.adapters.ray.decoding import Rendered
    from fastclips.adapters.ray.hosts import Hosts
    from fastclips.engine.arena import Death
    from fastclips.spec import RenderSpec

__all__ = ["RayEngine", "ahead_of"]

_AHEAD = 3  # batches that a host is asked for beyond those that its workers write
_KEPT_DEATHS = 1000


def ahead_of(workers: int, tickets: int) -> int:
    """Return how many batches of so many tickets a host with so many workers is asked for at a time."""
    return math.ceil(workers / tickets) + _AHEAD


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
        self.hosts, self._slots = hosts, slots
        self._requests = Requests(hosts, each=each, slow_s=slow_s, what=("batch", "batches"))
        self._leases: list[weakref.ref[Lease]] = []
        self.notes: list[tuple[np.void, bytes]] = []
        self.waited_s = 0.0
        self.waits = self._requests.waits
        self.frames = self.frame_nbytes = self.wanted_nbytes = 0
        self.pids: list[int] = []
        self.fetcher_counters = np.zeros((0, len(COUNTERS)))  # those of hosts stay there

    @property
    def counters(self) -> NDArray[np.float64]:
        """A row of `COUNTERS` for each host that there ever was."""
        rows = [host.counters for host in self.hosts.every]
        return np.stack(rows) if rows else np.zeros((1, len(COUNTERS)))

    @property
    def states(self) -> list[str]:
        """What each host does, in words."""
        return self._requests.states

    def deaths(self) -> list[Death]:
        """Return the deaths of workers on all hosts, at most 1,000."""
        return [death for host in self.hosts.every for death in host.deaths][:_KEPT_DEATHS]

    def has_room(self, *, beside: bool = False) -> bool:
        """Whether the hosts and the object store have room for another batch."""
        return beside or (self._requests.room and len(self._requests) + self._leased() < self._slots)

    def _leased(self) -> int:
        drop_ended()
        self._leases = [lease for lease in self._leases if lease() is not None]
        return len(self._leases)

    def slot_memory(self) -> list[NDArray[np.uint8]]:
        """Return nothing: batches lie in the object store."""
        return []

    def submit(self, tickets: NDArray[np.void]) -> Batch:
        """Ask a host for a batch."""
        return Batch(self._requests.make(tickets), tickets)

    def collect(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Wait for a batch and return its arrays.

        Raises
        ------
        FrameError
            If a frame is missing, damaged or does not fit, or from an error of the user's code.
        EngineError
            If no host is left.
        """
        began = perf_counter()
        rendered: Rendered = self._requests.take(batch.slot)
        self.waited_s += perf_counter() - began
        for ticket, note in rendered.notes:
            self.notes.append((np.frombuffer(ticket, self._dtype)[0], note))
        rows = len(batch.tickets) * self._ticket_rows
        if self._leased() >= self._slots // 2:
            return {name: array.copy() for name, array in rendered.arrays.items()}
        lease = Lease()
        self._leases.append(weakref.ref(lease))
        return leased_arrays(rendered.arrays, rows, lease)

    def forget(self) -> None:
        """Withdraw all batches that were submitted and not collected."""
        self._requests.forget()

    def close(self) -> None:
        """End all actors."""
        self._requests.close()

    def release(self) -> None:
        """Do nothing: Ray frees the memory of batches."""
