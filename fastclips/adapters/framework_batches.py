"""What the batches of every framework do besides turning arrays into tensors: epochs, and states.

A framework may ask for the next batch before the last one is used, and a batch may be on its way to a device.
So the state counts the batches that were handed out.
"""

# ruff: noqa: SLF001 - an adapter is a friend of the loader

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastclips.adapters.batch_map import checked_map, mapped
from fastclips.options import checked_int

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from fastclips.serving.batches import Batches
    from fastclips.serving.progress import BatchId

__all__ = ["FrameworkBatches"]


class FrameworkBatches:
    """Epochs of a loader, one in each iteration.

    Parameters
    ----------
    loader : ClipLoader
        The loader.
    map : callable, optional
        Function of the NumPy arrays of each batch.
    """

    def __init__(self, loader: Batches, map: Callable[..., Any] | None) -> None:  # noqa: A002 - as in all adapters
        self._loader, self._map = loader, checked_map(map)
        self._place: BatchId = (0, 0)  # after the batches that were handed out
        self._iteration: object = None  # of the loader, to which the place belongs
        self._asked: int | None = None  # the epoch of `set_epoch`

    def __len__(self) -> int:
        """Batches in the epoch that is being served or comes next."""
        if self._asked is None or self._asked == self._loader._progress.begin[0]:
            return len(self._loader)
        return self._loader.schedule.batches_in(self._asked)

    @property
    def _begin(self) -> BatchId:
        """Where the next iteration begins."""
        begin = self._loader._progress.begin
        return begin if self._asked is None or self._asked == begin[0] else (self._asked, 0)

    def _arrays(self) -> Iterator[tuple[BatchId, Any]]:
        """Serve the next epoch as arrays; with each batch, the place after it."""
        batches, self._asked = self._loader.epoch(*self._begin), None
        progress = self._loader._progress
        self._place, self._iteration = progress.next, progress.iteration
        for batch in batches:
            yield self._loader._progress.next, mapped(self._map, batch)

    def _hand_out(self, batches: Iterable[tuple[BatchId, Any]]) -> Iterator[Any]:
        """Yield batches, and count them."""
        for place, batch in batches:
            self._place = place
            yield batch

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration serve an epoch, as frameworks ask for before each epoch.

        The rest of an epoch after `load_state_dict` is left as it is, if it is of this epoch.

        Parameters
        ----------
        epoch : int
            The epoch, from 0.
        """
        self._asked = checked_int(epoch, "epoch", 0, 2**62)

    def state_dict(self) -> dict[str, Any]:
        """Return the state after the batches that were handed out, as `ClipLoader.state_dict`."""
        if self._asked is not None:
            return self._loader.state_dict(*self._begin)
        runs = self._loader._progress.iteration is self._iteration  # nobody has moved the loader since
        return self._loader.state_dict(*self._place) if runs else self._loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state of `state_dict`, or of the loader: the next iteration begins there."""
        self._loader.load_state_dict(state)
        self._asked = None
