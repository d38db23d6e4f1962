"""Loops over one epoch, as over a `tf.data.Dataset` or Keras's `Sequence`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastclips.compat._base.iterator import Iterator
from fastclips.errors import OptionError
from fastclips.options import checked_int

if TYPE_CHECKING:
    from collections.abc import Iterator as AnyIterator

    import tensorflow as tf

__all__ = ["Epochs", "checked_batch"]


class Epochs(Iterator):
    """An `Iterator` whose loops serve one epoch each."""

    def __iter__(self) -> AnyIterator[Any]:  # type: ignore[override] # Iterator's is endless
        """Serve the next epoch, from its start."""
        self.reset()
        for _ in range(len(self)):
            yield next(self)

    def batch(self, epoch: int, batch: int) -> Any:  # noqa: ANN401 - as Iterator.assemble()
        """Return any batch of any epoch, both from 0; loops and ``next()`` are not affected."""
        return self._serving().batch(epoch, batch)

    def to_tf_dataset(self) -> tf.data.Dataset:
        """Return a `tf.data.Dataset`; each of its iterations serves one epoch."""
        from fastclips.adapters.tf import to_tf_dataset  # noqa: PLC0415 - TensorFlow is an extra

        return to_tf_dataset(self)  # type: ignore[arg-type] # it needs only the epochs of a loader


def checked_batch(batch_size: int | None) -> int:
    """Return a batch size; None, with which Keras serves samples without batches, is refused."""
    if batch_size is None:
        raise OptionError("batch_size=None: must be an integer from 1; give batch_size=1 for single samples")
    return checked_int(batch_size, "batch_size", 1)
