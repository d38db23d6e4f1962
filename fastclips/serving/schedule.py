"""What `fastclips.serving.batches` serves: a schedule of planned batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from fastclips.serving.state import Identity

__all__ = ["Planned", "Schedule", "SlotPlan", "TicketSchedule"]


class Planned(NamedTuple):
    """A batch before it is rendered.

    Parameters
    ----------
    tickets : ndarray of void, (rows,)
        For the engine.
    known : dict of str to ndarray
        Arrays that need no rendering, such as labels.
    """

    tickets: NDArray[np.void]
    known: dict[str, NDArray[Any]]


class Schedule(Protocol):
    """The contents of each batch of each epoch: a pure function."""

    @property
    def identity(self) -> Identity:
        """What decides the batches; made when it is first asked for."""

    @property
    def time_steps(self) -> int:
        """Frames in a clip."""

    def batches_in(self, epoch: int) -> int:
        """Return the number of batches in an epoch; a resumed one has fewer."""

    def position(self, epoch: int, batch: int) -> int:
        """Return the number of clips of an epoch that all ranks have served before a batch."""

    def resume(self, epoch: int, position: int) -> None:
        """Begin the batches of an epoch at a position, and those of all other epochs at 0."""

    def run(self, epoch: int, batch: int, most: int) -> Iterator[Planned]:
        """Yield up to `most` consecutive batches, fewer if the epoch ends."""

    def assemble(self, arrays: Mapping[str, NDArray[Any]]) -> Any:  # noqa: ANN401 - the user's choice
        """Return a batch as it is served, from known and rendered arrays."""


class TicketSchedule(Schedule, Protocol):
    """A schedule that tells tickets without the other arrays of a batch."""

    def tickets(self, epoch: int, batch: int, most: int) -> NDArray[np.void]:
        """Return the tickets of up to `most` consecutive batches, fewer if the epoch ends."""


class SlotPlan(Protocol):
    """Gives frame slots to the frames of tickets.

    Attributes
    ----------
    nbytes : int
        Memory of the frames in slots.
    evictions : int
        Frames that gave up their slot to another one.
    lost : int
        Frames that more memory would keep until they are shown again.
    advice : str
        As of `Stats.cache_advice`.
    """

    @property
    def nbytes(self) -> int:
        """See above."""

    @property
    def evictions(self) -> int:
        """See above."""

    @property
    def lost(self) -> int:
        """See above."""

    @property
    def advice(self) -> str:
        """See above."""

    def restart(self) -> None:
        """Take the next batch for one that does not follow the last one, whatever its number."""

    def assign(self, epoch: int, batch: int, tickets: NDArray[np.void]) -> None:
        """Write the slots of a batch's frames into its tickets."""
