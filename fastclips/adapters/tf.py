"""tf.data: a loader as a `tf.data.Dataset` whose tensors lie in the loader's own memory.

``Dataset.from_generator`` takes a NumPy array over as it is if it starts at a multiple of 64 bytes, as
batches do, and holds it until its tensor dies; only then is the slot free again. The loader decodes ahead in
its own processes, so the dataset prefetches no more than hides the change of threads.

TensorFlow keeps the function that it was given for as long as the process lives. So the function holds the
loader weakly, and the dataset holds it for all datasets and iterators made from it.
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

_PREFETCHED = 2  # batches, each of which keeps a slot from the workers


def to_tf_dataset(loader: Batches) -> tf.data.Dataset:
    """Serve a loader through tf.data: see `ClipLoader.to_tf_dataset`.

    Two batches are decoded at once, to learn their shapes. TensorFlow is not told how many there are, since
    the first iteration may serve what a loaded state left of an epoch.

    Parameters
    ----------
    loader : Batches
        Each iteration over the dataset is one over the loader.

    Returns
    -------
    tf.data.Dataset
        Of elements as the loader gives them. The first dimension is None if the last batch is smaller.
    """
    first, last = loader.batch(0, 0), loader.batch(0, len(loader) - 1)
    signature = tf.nest.map_structure(_spec, first, last)
    alive = weakref.ref(loader)

    def batches() -> Iterator[Any]:
        loader = alive()
        if loader is None:
            raise ClosedError("the dataset's loader is gone; keep the dataset, or an iterator over it")
        return iter(loader)

    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    dataset.loader = loader
    return dataset.prefetch(_PREFETCHED)


def _spec(first: NDArray[Any], last: NDArray[Any]) -> tf.TensorSpec:
    rows = len(first) if len(first) == len(last) else None
    return tf.TensorSpec((rows, *first.shape[1:]), first.dtype)
