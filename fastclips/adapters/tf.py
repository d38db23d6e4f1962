"""A loader as a `tf.data.Dataset` whose tensors share the loader's memory.

``Dataset.from_generator`` does not copy a NumPy array that starts at a multiple of 64 bytes, as batches do.
It holds the array until its tensor dies; only then is the slot free again. The loader decodes ahead in
its own processes, so the dataset prefetches just enough to hide the change of threads.

TensorFlow keeps the generator function until the process ends. So the function holds the loader by a weak
reference, and the dataset holds the loader for all datasets and iterators made from it.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from fastclips.errors import ClosedError

try:
    import tensorflow as tf
except ImportError as error:
    raise ImportError(f'this needs TensorFlow: pip install "fastclips[tensorflow]" ({error})') from error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fastclips.serving.batches import Batches

__all__ = ["to_tf_dataset"]

_PREFETCHED = 2  # batches; each occupies a slot


def to_tf_dataset(loader: Batches) -> tf.data.Dataset:
    """Return a loader as a `tf.data.Dataset`, which serves one epoch in each iteration.

    The first and the last batch of epoch 0 are decoded right away, for their shapes. The dataset has no known
    number of batches, since the first iteration may serve the rest of an epoch after `load_state_dict`.

    Parameters
    ----------
    loader : ClipLoader or Batches
        The loader. Each iteration over the dataset is an iteration over the loader.

    Returns
    -------
    tf.data.Dataset
        Batches as the loader serves them, as tensors. The first dimension is None if the last batch is
        smaller.

    Examples
    --------
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=9, workers=0)
    >>> dataset = loader.to_tf_dataset()
    >>> dataset.element_spec[0]
    TensorSpec(shape=(9, 4, 48, 64, 3), dtype=tf.uint8, name=None)
    >>> sum(1 for x, y in dataset)
    2
    """
    first, last = loader.batch(0, 0), loader.batch(0, len(loader) - 1)
    signature = tf.nest.map_structure(_spec, first, last)
    alive = weakref.ref(loader)

    def batches() -> Iterator[Any]:
        loader = alive()
        if loader is None:
            raise ClosedError(
                "the dataset's loader was deleted; keep a reference to the dataset, or to an iterator over it"
            )
        return iter(loader)

    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    dataset.loader = loader
    return dataset.prefetch(_PREFETCHED)


def _spec(first: NDArray[Any], last: NDArray[Any]) -> tf.TensorSpec:
    rows = len(first) if len(first) == len(last) else None
    return tf.TensorSpec((rows, *first.shape[1:]), first.dtype)
