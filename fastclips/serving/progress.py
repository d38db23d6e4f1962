"""Where the iteration over a loader is, and which iteration it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from fastclips.errors import OptionError
from fastclips.options import checked_int

if TYPE_CHECKING:
    from fastclips.serving.schedule import Schedule

__all__ = ["BatchId", "Progress"]

BatchId: TypeAlias = "tuple[int, int]"
"""An epoch, and a batch of it."""


class Progress:
    """The batch that is served next, and where the batches of a resumed epoch begin.

    Parameters
    ----------
    schedule : Schedule
        The batches.

    Attributes
    ----------
    next : (int, int)
        Epoch and batch that are served next.
    iteration : object
        Token of the only iteration that may continue.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self.next: BatchId = (0, 0)
        self.iteration = object()
        self._began = True  # whether iterating starts at `next`, or at the epoch after it
        self._resumed: BatchId = (0, 0)  # an epoch, and the position that its batches begin with

    @property
    def begin(self) -> BatchId:
        """Where the next iteration starts: in the middle of an epoch only after `go_to`."""
        epoch, batch = self.next
        return (epoch + 1, 0) if batch and not self._began else (epoch, batch)

    def checked(self, epoch: object, batch: object) -> BatchId:
        """Return the place of a batch that exists; after the last batch, the next epoch."""
        epoch = checked_int(epoch, "epoch", 0, 2**62)
        return self._normal((epoch, checked_int(batch, "batch", 0, self._schedule.batches_in(epoch) + 1)))

    def after(self, batch_id: BatchId) -> BatchId:
        """Return the batch that follows a batch."""
        epoch, batch = batch_id
        return self._normal((epoch, batch + 1))

    def go_to(self, batch_id: BatchId) -> object:
        """Let the next iteration start at a batch, end all earlier ones, and return its token."""
        self.next = self._normal(batch_id)
        self._began, self.iteration = True, object()
        return self.iteration

    def pass_over(self, batch_id: BatchId) -> None:
        """Note that a batch was served."""
        self.next, self._began = self.after(batch_id), False

    def leave(self, epoch: int) -> set[int]:
        """Let all epochs but this one begin at 0; return the epochs whose batches change by that."""
        resumed, start = self._resumed
        return self.resume(epoch, 0) if start and epoch != resumed else set()

    def resume(self, epoch: int, position: int, batch: int = 0) -> set[int]:
        """Begin the batches of an epoch at a position, and go to one; return the epochs that change by that.

        Raises
        ------
        OptionError
            If there is no such place. Nothing has changed then.
        """
        before, now = self._resumed, (epoch, position)
        self._schedule.resume(*now)
        try:
            place = self.checked(epoch, batch)
        except OptionError:
            self._schedule.resume(*before)
            raise
        self._resumed = now
        self.go_to(place)
        return {number for number, start in (before, now) if start} if before != now else set()

    def _normal(self, batch_id: BatchId) -> BatchId:
        epoch, batch = batch_id
        return batch_id if batch < self._schedule.batches_in(epoch) else (epoch + 1, 0)
