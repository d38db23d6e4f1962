"""Datasets: an `Iterator` whose loops serve one epoch each, as those over a `tf.data.Dataset` do.

**Loops are independent.** Each loop has an epoch of its own, also if several run at a time: ``zip(ds, ds)``
pairs two epochs, which differ if the dataset is shuffled. ``next(ds)`` is one more loop, without end. ::

    for x in ds: ...       epoch 0
    for x in ds:           epoch 1
        for x in ds: ...   epochs 2, 3, ...
    next(ds)               the epoch after all that have begun

An epoch is taken with its first batch, so an iterator that is never read takes none. All loops share one
engine (`fastclips.compat._base.iterator`): a loop that is left has nothing to free.

**Methods of tf.data.** `TensorFlowMethods` adds them to the datasets that replace a `tf.data.Dataset`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastclips.compat._base.iterator import Iterator, Reader
from fastclips.errors import FrameError, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Iterator as AnyIterator
    from typing import Self

    import tensorflow as tf

__all__ = ["Epochs", "TensorFlowMethods"]


class Epochs(Iterator):
    """An `Iterator` whose loops serve one epoch each; see the module's documentation."""

    _begun = -1  # `epoch`, if a loop is within it
    _stream: _Place | None = None  # of next()

    def __iter__(self) -> AnyIterator[Any]:  # type: ignore[override] # Iterator's is endless
        """Serve an epoch that has not begun, from its start."""
        return _Loop(self)

    def __next__(self) -> Any:  # noqa: ANN401 - as Iterator.assemble()
        """Serve the next batch, without end; loops are not affected."""
        with self._lock:
            if self._stream is None or (self._stream.number and not self._batch_index):
                self._stream = _Place()
            try:
                return self._serve(self._stream)
            finally:
                self._batch_index = self._stream.number % len(self)

    def reset(self) -> None:
        """Begin a new epoch with the next batch, unless it would be one anyway."""
        with self._lock:
            self._served = None
            if self._batch_index:
                self.epoch, self._batch_index = self._fresh(), 0

    def _fresh(self) -> int:
        """Return the first epoch that has not begun."""
        return self.epoch + (self.epoch == self._begun)

    def _serve(self, loop: _Place) -> Any:  # noqa: ANN401 - as Iterator.assemble()
        """Serve the next batch of a loop, or after a damaged frame the batch after it."""
        with self._lock:
            if loop.number == len(self):
                raise StopIteration
            if loop.epoch < 0:
                loop.epoch = self.epoch = self._begun = self._fresh()
            try:
                batch = self._in_turn(loop, loop.epoch, loop.number)
            except FrameError:
                self._advance(loop)
                raise
            self._advance(loop)
            return batch

    def _advance(self, loop: _Place) -> None:
        """Move a loop on by a batch."""
        loop.number, self._served = loop.number + 1, loop.epoch
        if loop.number == len(self):
            self._leave(loop)
            if loop.epoch == self.epoch == self._begun:
                self.epoch, self._begun = loop.epoch + 1, -1

    def batch(self, epoch: int, batch: int | None = None, **options: object) -> Any:  # noqa: ANN401 - as Iterator.assemble()
        """Return any batch of any epoch, both from 0; loops and ``next()`` are not affected."""
        if batch is None or isinstance(batch, bool) or options:
            raise OptionError(
                f"batch({epoch!r}): needs an epoch and the number of a batch; for the batch() of tf.data, "
                f"call to_tf_dataset().batch({epoch!r})"
            )
        with self._lock:
            return self._serving().batch(epoch, batch)

    def to_tf_dataset(self) -> tf.data.Dataset:
        """Return a `tf.data.Dataset` of known length; each of its iterations serves one epoch.

        Iterations are independent, as loops are.
        """
        from fastclips.adapters.tf import to_tf_dataset  # noqa: PLC0415 - TensorFlow is an extra

        dataset = to_tf_dataset(self)  # type: ignore[arg-type] # it needs only the epochs of a loader
        import tensorflow as tf  # noqa: PLC0415 - after the adapter, which says how to install it

        return dataset.apply(tf.data.experimental.assert_cardinality(len(self)))


def _of_tf(name: str) -> Callable[..., Any]:
    """Return a method of a dataset that calls the method of its `tf.data.Dataset`."""

    def method(self: Epochs, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - that method's
        return getattr(self.to_tf_dataset(), name)(*arguments, **options)

    method.__name__, method.__qualname__ = name, f"TensorFlowMethods.{name}"
    method.__doc__ = f"Return ``to_tf_dataset().{name}(...)``; see `tf.data.Dataset.{name}`."
    return method


class TensorFlowMethods(Epochs):
    """`Epochs` with the methods of a `tf.data.Dataset`, by way of `to_tf_dataset`.

    ``batch`` is missing, since it is a method of `Epochs` and since batches of batches are rare.
    """

    apply = _of_tf("apply")
    as_numpy_iterator = _of_tf("as_numpy_iterator")
    bucket_by_sequence_length = _of_tf("bucket_by_sequence_length")
    cache = _of_tf("cache")
    cardinality = _of_tf("cardinality")
    concatenate = _of_tf("concatenate")
    enumerate = _of_tf("enumerate")
    filter = _of_tf("filter")
    flat_map = _of_tf("flat_map")
    group_by_window = _of_tf("group_by_window")
    ignore_errors = _of_tf("ignore_errors")
    interleave = _of_tf("interleave")
    map = _of_tf("map")
    options = _of_tf("options")
    padded_batch = _of_tf("padded_batch")
    prefetch = _of_tf("prefetch")
    ragged_batch = _of_tf("ragged_batch")
    rebatch = _of_tf("rebatch")
    reduce = _of_tf("reduce")
    rejection_resample = _of_tf("rejection_resample")
    repeat = _of_tf("repeat")
    save = _of_tf("save")
    scan = _of_tf("scan")
    shard = _of_tf("shard")
    shuffle = _of_tf("shuffle")  # type: ignore[assignment] # a bool of other iterators, as in Keras
    skip = _of_tf("skip")
    snapshot = _of_tf("snapshot")
    take = _of_tf("take")
    take_while = _of_tf("take_while")
    unbatch = _of_tf("unbatch")
    unique = _of_tf("unique")
    window = _of_tf("window")
    with_options = _of_tf("with_options")

    @property
    def element_spec(self) -> Any:  # noqa: ANN401 - of the batches' structure
        """The shapes and dtypes of batches, as of a `tf.data.Dataset`."""
        return self.to_tf_dataset().element_spec


class _Place(Reader):
    """Where a loop is: its epoch, which it takes with the first batch, and the batch that comes next."""

    __slots__ = ("epoch", "number")

    def __init__(self) -> None:
        self.epoch, self.number = -1, 0


class _Loop:
    """One epoch of a dataset, batch after batch."""

    __slots__ = ("_dataset", "_place")

    def __init__(self, dataset: Epochs) -> None:
        self._dataset, self._place = dataset, _Place()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:  # noqa: ANN401 - as Iterator.assemble()
        return self._dataset._serve(self._place)  # noqa: SLF001 - a part of it
