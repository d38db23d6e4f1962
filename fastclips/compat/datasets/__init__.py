"""Keras's `timeseries_dataset_from_array` and `image_dataset_from_directory`, for clips.

The arguments are those of Keras 3, and a few more. What you may notice:

======================================  ===============================================================
Keras                                   here
======================================  ===============================================================
returns a `tf.data.Dataset`             returns an iterator for ``fit``, ``evaluate`` and ``predict`` on every
                                        backend. A loop over it serves one epoch of NumPy arrays, and
                                        ``len()`` is its number of batches. Loops at the same time are
                                        independent, and each has an epoch of its own. It reads ahead by
                                        itself
``map``, ``cache``, ``prefetch``, ...   the same, on TensorFlow: each returns what ``to_tf_dataset()``, a
                                        `tf.data.Dataset`, returns
``batch``                               ``batch(epoch, number)`` is any batch; ``to_tf_dataset().batch(8)``
                                        puts batches together
serves images only                      ``time_steps=8`` serves clips (B, T, H, W, C) of the frames of a
                                        folder, split by video; without it, images as in Keras
``shuffle`` within 8 batches            over all samples, in an order of each epoch
copies arrays into a constant           an array in memory is used as it is, a .npy file stays on disk
shuffles a list of labels in place      the caller's list stays as it is
``start_index`` reads past targets      windows end with the data or the targets
refuses ``end_index=len(data)``         it is the end
trains on no file, by a small split     raises an error
takes ``batch_size=None``               raises an error: a batch of 1 is ``batch_size=1``
``format="grain"``                      makes no difference
uint8 with ``"nearest"``                float32 with every interpolation
gray of a PNG by libpng's formula       by Pillow's; of a JPEG its own luma, as in Keras
refuses JPEG with ``"rgba"``            its alpha is 255
raises TensorFlow's error for a file    raises `fastclips.FrameError` with the path of the file
======================================  ===============================================================

Pixels of `image_dataset_from_directory` agree with those of Keras to 0.01, of 0 to 255, for every
interpolation. `fastclips.compat.datasets.sequence` describes `DataGenerator`, which is also here.
"""

from fastclips.compat.datasets.folder import FolderDataset, image_dataset_from_directory
from fastclips.compat.datasets.sequence import DataGenerator
from fastclips.compat.datasets.series import SeriesDataset, timeseries_dataset_from_array

__all__ = [
    "DataGenerator",
    "FolderDataset",
    "SeriesDataset",
    "image_dataset_from_directory",
    "timeseries_dataset_from_array",
]
