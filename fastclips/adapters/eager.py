"""Batches as eager tensors, straight from Python, without the threads and functions of tf.data.

A dataset of `Dataset.from_generator` costs several times as much as the batch: a function is called in
another thread, and its results change threads twice more. Eager code needs none of this. So `EagerDataset` is
such a dataset, whose eager iterators make tensors of a batch's arrays themselves. An array that starts at a
multiple of 64 bytes is not copied: the tensor holds it, by DLPack. Graphs and transformations of the dataset
read it as before.

A tensor dies in any thread. Its array, and with it the lease of a slot, is then let go by the next look for a
free slot or the next batch: see native/handed.h.

Keras's `fit` and `evaluate` take tensors in eager code, too, and call a `tf.function` with them. Such a
function is traced again for another number of rows. So it is given `_AnyRows`, whose type leaves the number
open, as the type of the dataset's elements does.
"""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from fastclips.engine.arena import drop_ended, hand_over
from fastclips.errors import ClosedError, OptionError
from fastclips.spec import ALIGNMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from numpy.typing import NDArray

__all__ = ["PREFETCHED", "EagerDataset"]

PREFETCHED = 2  # batches; each occupies a slot
_SMALL = 4096  # bytes: copying them costs less than holding the array
_KINDS = "iuf"  # integers and floats, which DLPack and TensorFlow name alike
_TRAINER = "keras.src.backend.tensorflow.trainer"


class EagerDataset(tf.data.Dataset):  # type: ignore[misc] # TensorFlow has no types
    """A dataset of a generator, whose eager iterators take batches from the generator themselves.

    Parameters
    ----------
    dataset : tf.data.Dataset
        Of the same batches, for all but eager iterators.
    begin : callable
        Returns an iterator over batches of arrays, of the structure of ``dataset.element_spec``.
    """

    def __init__(self, dataset: tf.data.Dataset, begin: Callable[[], Iterator[Any]]) -> None:
        self._dataset, self._begin = dataset, begin
        self.kinds = tf.nest.map_structure(_Kind, dataset.element_spec)
        super().__init__(dataset._variant_tensor)  # noqa: SLF001 - as every dataset of TensorFlow does

    @classmethod
    def of(cls, dataset: tf.data.Dataset, begin: Callable[[], Iterator[Any]]) -> tf.data.Dataset:
        """Return such a dataset; the given one if its elements are not dense tensors, in tuples and dicts."""
        return cls(dataset, begin) if _is_plain(dataset.element_spec) else dataset

    def _inputs(self) -> list[tf.data.Dataset]:
        return [self._dataset]

    @property
    def element_spec(self) -> Any:  # noqa: ANN401 - a structure
        """The types of the tensors."""
        return self._dataset.element_spec

    def __iter__(self) -> Iterator[Any]:
        """Return an iterator over one epoch."""
        if not tf.executing_eagerly():
            return super().__iter__()  # type: ignore[no-any-return]
        asker = sys._getframe(1)  # noqa: SLF001 - Keras has no other way to say what it wants
        if not _is_of_keras(asker):
            return _EagerIterator(self, _Kind.tensor)
        make = _made_for_keras(asker)
        return super().__iter__() if make is None else _KerasIterator(self, make)


class _EagerIterator:
    """An iterator that becomes one of tf.data when a graph first takes from it, and goes on there."""

    def __init__(self, dataset: EagerDataset, make: Callable[[_Kind, Any], Any]) -> None:
        self._dataset, self._make = dataset, make  # the dataset holds the loader
        self._arrays: Iterator[Any] | None = None
        self._graph: tf.data.Iterator | None = None

    @property
    def element_spec(self) -> Any:  # noqa: ANN401 - a structure
        """The types of the tensors."""
        return self._dataset.element_spec

    def __iter__(self) -> Iterator[Any]:
        """Return this iterator."""
        if not tf.executing_eagerly():
            raise OptionError(
                "a tf.function loops over an iterator that it did not get as an argument: loop over the "
                "dataset there, or give the iterator to the function"
            )
        return self

    def __next__(self) -> Any:  # noqa: ANN401 - a structure
        """Return the next batch."""
        return next(self._in_graph()) if self._is_in_graph() else self._take()

    def get_next(self) -> Any:  # noqa: ANN401 - a structure
        """Return the next batch, as a `tf.data.Iterator` does."""
        if self._is_in_graph():
            return self._in_graph().get_next()
        try:
            return self._take()
        except StopIteration:
            raise tf.errors.OutOfRangeError(None, None, "End of sequence") from None

    def get_next_as_optional(self) -> tf.experimental.Optional:
        """Return the next batch or nothing, as a `tf.data.Iterator` does."""
        return self._in_graph().get_next_as_optional()

    def _take(self) -> Any:  # noqa: ANN401 - a structure
        drop_ended()
        return _with_kinds(self._make, next(self._begun()), self._dataset.kinds)

    def _is_in_graph(self) -> bool:
        return self._graph is not None or not tf.executing_eagerly()

    def _begun(self) -> Iterator[Any]:
        if self._arrays is None:
            self._arrays = iter(self._dataset._begin())  # noqa: SLF001 - the two classes belong together
        return self._arrays

    def _in_graph(self) -> tf.data.Iterator:
        if self._graph is None:
            alive = weakref.ref(self)  # TensorFlow keeps the function until the process ends

            def rest() -> Iterator[Any]:
                iterator = alive()
                if iterator is None:
                    raise ClosedError("the iterator over the dataset was deleted; keep a reference to it")
                return iterator._begun()  # noqa: SLF001 - this class

            with tf.init_scope():
                dataset = tf.data.Dataset.from_generator(rest, output_signature=self.element_spec)
                self._graph = iter(dataset.prefetch(PREFETCHED))
        return self._graph

    # What a tf.function asks of an argument that is an iterator of tf.data.

    def __tf_tracing_type__(self, context: Any) -> Any:  # noqa: ANN401 - TensorFlow's
        return self._in_graph().__tf_tracing_type__(context)

    @property
    def _type_spec(self) -> Any:  # noqa: ANN401 - TensorFlow's
        return self._in_graph()._type_spec  # noqa: SLF001 - as above

    @property
    def _iterator_resource(self) -> tf.Tensor:
        return self._in_graph()._iterator_resource  # noqa: SLF001 - as above


class _KerasIterator(_EagerIterator):
    """An iterator for Keras, which expects TensorFlow's error at the end, as of an iterator of tf.data."""

    def __next__(self) -> Any:  # noqa: ANN401 - a structure
        """Return the next batch."""
        return self.get_next()


class _AnyRows:
    """A tensor as the argument of a tf.function that is traced for any number of rows."""

    __slots__ = ("_spec", "_tensor")

    def __init__(self, tensor: tf.Tensor, spec: tf.TensorSpec) -> None:
        self._tensor, self._spec = tensor, spec

    def __tf_tracing_type__(self, context: Any) -> Any:  # noqa: ANN401 - TensorFlow's
        return self._spec.__tf_tracing_type__(context)

    def __tf_tensor__(self, dtype: tf.DType | None = None, name: str | None = None) -> tf.Tensor:
        return self._tensor


class _Kind:
    """The type of a tensor, and how to make one."""

    def __init__(self, spec: tf.TensorSpec) -> None:
        self.spec = spec
        self._dtype, self._shape = np.dtype(spec.dtype.as_numpy_dtype), spec.shape.as_list()
        self._shares = self._dtype.kind in _KINDS

    def tensor(self, array: Any) -> tf.Tensor:  # noqa: ANN401 - an array, or what becomes one
        """Return a tensor over an array's memory, or of a copy if it is small or not aligned."""
        array = np.asarray(array, self._dtype)
        if len(array.shape) != len(self._shape) or any(
            wanted not in {None, length} for length, wanted in zip(array.shape, self._shape, strict=True)
        ):
            raise TypeError(
                f"an array of a batch has shape {array.shape}, where {self.spec.shape} was expected"
            )
        if self._shares and array.nbytes >= _SMALL and _is_aligned(array):
            return tf.experimental.dlpack.from_dlpack(hand_over(array))
        return tf.convert_to_tensor(array)

    def any_rows(self, array: Any) -> _AnyRows:  # noqa: ANN401 - as above
        """Return a tensor as an argument whose number of rows the function is not traced for."""
        return _AnyRows(self.tensor(array), self.spec)


def _is_aligned(array: NDArray[Any]) -> bool:
    return array.flags.c_contiguous and array.ctypes.data % ALIGNMENT == 0


def _with_kinds(make: Callable[[_Kind, Any], Any], batch: Any, kinds: Any) -> Any:  # noqa: ANN401 - structures
    """Make tensors of a structure of arrays."""
    if isinstance(kinds, _Kind):
        return make(kinds, batch)
    if isinstance(kinds, dict):
        if isinstance(batch, dict) and batch.keys() == kinds.keys():
            return {name: _with_kinds(make, batch[name], kind) for name, kind in kinds.items()}
    elif isinstance(batch, tuple) and len(batch) == len(kinds):
        return tuple(_with_kinds(make, part, kind) for part, kind in zip(batch, kinds, strict=True))
    wanted = tf.nest.map_structure(lambda kind: kind.spec, kinds)
    raise TypeError(f"a batch is {batch!r}, where the structure {wanted} was expected")


def _is_plain(spec: Any) -> bool:  # noqa: ANN401 - a structure
    """Whether a structure is of dense tensors, in tuples and dicts."""
    if type(spec) is dict:
        return all(map(_is_plain, spec.values()))
    return all(map(_is_plain, spec)) if type(spec) is tuple else isinstance(spec, tf.TensorSpec)


def _is_of_keras(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in {"keras", "tf_keras"}


def _made_for_keras(asker: FrameType | None) -> Callable[[_Kind, Any], Any] | None:
    """Return what makes a tensor for the code of Keras that iterates; None if it needs a graph.

    Keras's trainer calls its function with each batch where an iterator is not one of tf.data, as it does for
    `train_on_batch`. It needs a graph for several steps in one call of the function. Functions that are not
    Keras's own may need one.
    """
    while asker is not None and asker.f_code.co_name not in {"fit", "evaluate", "predict"}:
        asker = asker.f_back
    trainer = None if asker is None else asker.f_locals.get("self")
    names = ("_make_function", "make_train_function", "make_test_function", "make_predict_function")
    if {getattr(getattr(type(trainer), name, None), "__module__", None) for name in names} != {_TRAINER}:
        return None
    if trainer.run_eagerly or asker.f_code.co_name == "predict":  # type: ignore[union-attr] # it is a trainer's
        return _Kind.tensor
    return _Kind.any_rows if trainer.steps_per_execution == 1 else None  # type: ignore[union-attr] # as above
