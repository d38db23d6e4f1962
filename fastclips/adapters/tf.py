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
from fastclips.serving.batches import Batches

try:
    import tensorflow as tf
except ImportError as error:
    raise ImportError(f'this needs TensorFlow: pip install "fastclips[tensorflow]" ({error})') from error

from fastclips.adapters.eager import PREFETCHED, EagerDataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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

    An epoch's first and last batch are decoded right away, for their shapes. The dataset has no known number
    of batches, since the first iteration may serve the rest of an epoch after `load_state_dict`. Keras warns
    at the end of each epoch that the input ran out of data, which does no harm; with `ClipSequence`, it does
    not.

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
        if the last batch is smaller, also that of the rest of an epoch: make the dataset after
        `load_state_dict`.

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
    signature = tf.nest.map_structure(
        _spec, *(mapped(source.map, loader.batch(*place)) for place in _ends(loader))
    )
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


def _ends(loader: Batches) -> list[tuple[int, int]]:
    """Return an epoch's first and last batch, and the last one of the rest of an epoch: epoch and number."""
    if not isinstance(loader, Batches):  # of `fastclips.compat`, which resumes no epoch
        return [(0, 0), (0, len(loader) - 1)]
    begun = loader._progress.next[0]  # noqa: SLF001 - what the first iteration serves
    is_rest = loader.schedule.position(begun, 0) > 0
    whole = begun + 1 if is_rest else begun
    last = [(epoch, loader.schedule.batches_in(epoch) - 1) for epoch in dict.fromkeys((whole, begun))]
    return [(whole, 0), *last]


def _spec(*arrays: Any) -> tf.TensorSpec:  # noqa: ANN401 - arrays, or what `map` makes of them
    first, *others = map(tf.type_spec_from_value, arrays)
    for other in others:
        if first.dtype != other.dtype or first.shape.rank != other.shape.rank:
            raise OptionError(
                f"map= returned {first.dtype.name} {first.shape} and, for the last batch, {other.dtype.name} "
                f"{other.shape}: must have the same dtype and axes"
            )
    return first.most_specific_common_supertype(others)
