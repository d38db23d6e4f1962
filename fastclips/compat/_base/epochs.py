"""Iterators over one epoch, as `tf.data.Dataset` and Keras's `Sequence` have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastclips.compat._base.iterator import Iterator

if TYPE_CHECKING:
    from collections.abc import Iterator as AnyIterator

    import tensorflow as tf

__all__ = ["Epochs"]


class Epochs(Iterator):
    """An `Iterator` of which a loop shows one epoch, and the next loop the next one."""

    def __iter__(self) -> AnyIterator[Any]:  # type: ignore[override] # Iterator's is endless
        """Serve an epoch, from its start."""
        self.reset()
        for _ in range(len(self)):
            yield next(self)

    def batch(self, epoch: int, batch: int) -> Any:  # noqa: ANN401 - as Iterator.assemble()
        """Return any batch of any epoch; nothing is moved on.

        Parameters
        ----------
        epoch, batch : int
            Which, from 0.

        Returns
        -------
        array or tuple
            As a loop gives it.
        """
        return self._serving().batch(epoch, batch)

    def to_tf_dataset(self) -> tf.data.Dataset:
        """Return a `tf.data.Dataset`, for ``map`` and the like; each iteration serves one epoch."""
        from fastclips.adapters.tf import to_tf_dataset  # noqa: PLC0415 - TensorFlow is an extra

        return to_tf_dataset(self)  # type: ignore[arg-type] # it asks for no more than a loader's epochs
