"""A loader as a `tf.data.Dataset` whose tensors share the loader's memory.

Eager loops get tensors straight from the loader (`fastclips.adapters.eager`). For graphs,
``Dataset.from_generator`` does not copy a NumPy array that starts at a multiple of 64 bytes, as batches do.
It holds the array until its tensor dies; only then is the slot free again. The loader decodes ahead in
its own processes, so the dataset prefetches just enough to hide the change of threads.

TensorFlow keeps the generator function until the process ends. So the function holds the loader and `map` by
a weak reference, and the dataset holds them for all datasets and iterators made from it.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from fastclips.adapters.batch_map import checked_map, mapped
from fastclips.errors import ClosedError, OptionError

try:
    import tensorflow as tf
except ImportError as error:
    raise ImportError(f'this needs TensorFlow: pip install "fastclips[tensorflow]" ({error})') from error

from fastclips.adapters.eager import PREFETCHED, EagerDataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastclips.serving.batches import Batches

__all__ = ["to_tf_dataset"]


class _Source:
    """A loader and `map`, as a dataset reads them."""

    def __init__(self, loader: Batches, function: Callable[..., Any] | None) -> None:
        self.loader, self.map = loader, function

    def batches(self) -> Iterator[Any]:
        """Return the batches of the next epoch."""
        return map(partial(mapped, self.map), self.loader)


def to_tf_dataset(
    loader: Batches,
    map: Callable[..., Any] | None = None,  # noqa: A002 - as `tf.data.Dataset` and the builtin name it
) -> tf.data.Dataset:
    """Return a loader as a `tf.data.Dataset`, which serves one epoch in each iteration.

    The first and the last batch of epoch 0 are decoded right away, for their shapes. The dataset has no known
    number of batches, since the first iteration may serve the rest of an epoch after `load_state_dict`. Keras
    warns at the end of each epoch that the input ran out of data, which does no harm; with `ClipSequence`, it
    does not.

    Parameters
    ----------
    loader : ClipLoader or Batches
        The loader. Each iteration over the dataset is an iteration over the loader.
    map : callable, optional
        Function of the NumPy arrays of each batch, ``map(x)``, ``map(x, y)`` or ``map(x, y, weight)``, which
        returns x, (x, y) or (x, y, weight). ``dataset.map`` takes a function of tensors instead.

    Returns
    -------
    tf.data.Dataset
        Batches as the loader serves them, or as `map` returns them, as tensors. The first dimension is None
        if the last batch is smaller.

    Raises
    ------
    OptionError
        If `map` is not a function, or returns no batch, or arrays of other axes or dtypes for the last batch.

    Examples
    --------
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=9, workers=0)
    >>> dataset = loader.to_tf_dataset()
    >>> dataset.element_spec[0]
    TensorSpec(shape=(9, 4, 48, 64, 3), dtype=tf.uint8, name=None)
    >>> sum(1 for x, y in dataset)
    2
    """
    source = _Source(loader, checked_map(map))
    first, last = (mapped(source.map, loader.batch(0, number)) for number in (0, len(loader) - 1))
    signature = tf.nest.map_structure(_spec, first, last)
    alive = weakref.ref(source)

    def batches() -> Iterator[Any]:
        source = alive()
        if source is None:
            raise ClosedError(
                "the dataset's loader was deleted; keep a reference to the dataset, or to an iterator over it"
            )
        return source.batches()

    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    dataset.source = source
    return EagerDataset.of(dataset.prefetch(PREFETCHED), source.batches)


def _spec(first: Any, last: Any) -> tf.TensorSpec:  # noqa: ANN401 - arrays, or what `map` makes of them
    a, b = tf.type_spec_from_value(first), tf.type_spec_from_value(last)
    if a.dtype != b.dtype or a.shape.rank != b.shape.rank:
        raise OptionError(
            f"map= returned {a.dtype.name} {a.shape} and, for the last batch, {b.dtype.name} {b.shape}: must "
            "have the same dtype and axes"
        )
    return a.most_specific_common_supertype([b])
