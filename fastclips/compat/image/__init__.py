"""Keras's ``ImageDataGenerator``, whose batches come from worker processes.

::

    from keras.src.legacy.preprocessing.image import ImageDataGenerator    # before
    from tensorflow.keras.preprocessing.image import ImageDataGenerator    # before, Keras 2
    from fastclips.compat import ImageDataGenerator                        # after

The iterators are there too, for ``isinstance``, and so are ``load_img``, ``img_to_array`` and
``array_to_img``, which give the same pictures as Keras's.

The same arguments give the same batches: files, classes, order, draws and pixels. With ``time_steps=``,
batches are clips (B, T, H, W, C) of consecutive frames of one video, and one draw augments all frames of a
clip.

What you may notice:

==================================  ========================================================================
here                                in Keras
==================================  ========================================================================
each iterator has its own random    NumPy's global generator is seeded, which changes all other uses of it
numbers
the seed alone sets the order of    under ``fit``, the order of later epochs depends on the global generator
each epoch
without ``seed=``, each iterator    `numpy.random.seed` sets the order
draws a seed
affine maps by a kernel, within     SciPy computes them
1e-4 of 255; orders above 1 by
SciPy
the folder of a class must exist    a missing folder gives no images
a file extension includes its dot   ``picturejpg`` is a picture, too
``it[-1]`` is the last batch        an empty batch
an error for a damaged file has     Pillow's error without the path
its path
decoded frames are kept, as many    each frame is decoded in each epoch
as fit into ``cache=``; later
changes of files are not seen
settings changed after a flow has   changed settings apply at once, at no cost
begun apply from the next batch
on, and restart the workers
overrides of ``standardize``,       called for each frame
``apply_transform`` or
``get_random_transform`` are
refused: give the change as
``preprocessing_function``
attributes of an iterator, such as  changed ones apply at once, some of them in part
``batch_size``, cannot be changed
several inputs are a tuple          a list, which ``fit`` refuses on TensorFlow
several targets are a tuple         a list
``preprocessing_function`` may      the shape must stay
change the frame's shape
``workers=`` starts processes       ``fit(workers=...)`` starts threads, or processes that copy batches
``validation_split`` with           by files
``time_steps=`` takes whole
videos: of each class its
fraction, rounded, but at least
one and never all (of two videos,
0.25 takes one)
a subset without pictures is an     an iterator of length 0
error
==================================  ========================================================================
"""

from fastclips.compat._base.iterator import Iterator
from fastclips.compat.image.flows import DataFrameIterator, DirectoryIterator, NumpyArrayIterator
from fastclips.compat.image.generator import ImageDataGenerator
from fastclips.compat.image.pictures import PictureError, array_to_img, img_to_array, load_img

__all__ = [
    "DataFrameIterator",
    "DirectoryIterator",
    "ImageDataGenerator",
    "Iterator",
    "NumpyArrayIterator",
    "PictureError",
    "array_to_img",
    "img_to_array",
    "load_img",
]
