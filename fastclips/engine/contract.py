"""What every engine does: the tickets of a batch go in, its arrays come out.

Two engines keep one contract, `Engine`, and give equal bytes: `fastclips.engine.pool.Pool`, whose workers
write into an arena, and `fastclips.engine.inline.Inline`, which renders in the caller. The loader gives them
batches in the order of the plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastclips.engine.arena import Death

__all__ = ["Batch", "Engine"]


class Batch(NamedTuple):
    """A batch that was submitted.

    Parameters
    ----------
    slot : int
        The slot that it is written into.
    tickets : ndarray of void, (rows,)
        Its tickets.
    """

    slot: int
    tickets: NDArray[np.void]


class Engine(Protocol):
    """Turns tickets into arrays.

    Attributes
    ----------
    counters : ndarray of float64
        A row of `COUNTERS` for each worker.
    fetcher_counters : ndarray of float64
        A row of `COUNTERS` for each fetcher, if there are any.
    notes : list of (numpy.void, bytes)
        Tickets of collected batches whose clips had damaged frames, each with a note of the damage
        (`fastclips.engine.arena.note_to_damage`). The reader of the list empties it.
    waited_s : float
        Total time of `collect` in seconds.
    waits : list of (float, str)
        The first 1,000 long waits: their seconds, and what the workers did.
    frames, frame_nbytes : int
        Number of frame slots that a plan may give to frames, and bytes of each.
    wanted_nbytes : int
        Bytes of the slots for which there was no memory.
    pids : list of int
        Processes of this machine that work for the engine.
    states : list of str
        What each worker does, in words.
    """

    notes: list[tuple[np.void, bytes]]
    waited_s: float
    waits: list[tuple[float, str]]

    @property
    def fetcher_counters(self) -> NDArray[np.float64]:
        """See above."""

    @property
    def counters(self) -> NDArray[np.float64]:
        """See above."""

    @property
    def frames(self) -> int:
        """See above."""

    @property
    def frame_nbytes(self) -> int:
        """See above."""

    @property
    def wanted_nbytes(self) -> int:
        """See above."""

    @property
    def pids(self) -> list[int]:
        """See above."""

    @property
    def states(self) -> list[str]:
        """See above."""

    def slot_memory(self) -> list[NDArray[np.uint8]]:
        """Return the memory of each slot, if there are any in this process."""

    def deaths(self) -> list[Death]:
        """Return the deaths of workers that were replaced, as far as they are known, at most 1,000."""

    def has_room(self, *, beside: bool = False) -> bool:
        """Whether a batch can be submitted without waiting; `beside`: a batch beside the plan's order."""

    def submit(self, tickets: NDArray[np.void]) -> Batch:
        """Accept a batch."""

    def collect(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Wait for a batch and return its arrays; call this once per batch."""

    def forget(self) -> None:
        """Withdraw all batches that were submitted and not collected."""

    def close(self) -> None:
        """End all processes, in any state; arrays that were collected stay valid."""

    def release(self) -> None:
        """Free the memory, after `close` and with no call in progress."""
