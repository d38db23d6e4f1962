"""Replacements for generators of other libraries, by changing an import.

===============================================  ===================================
before                                           import from here
===============================================  ===================================
Keras's ``ImageDataGenerator``                   `ImageDataGenerator`
its iterators, for ``isinstance``                `DirectoryIterator`, `DataFrameIterator`,
                                                 `NumpyArrayIterator`, `Iterator`
Keras's functions for one picture                `load_img`, `img_to_array`, `array_to_img`
``TimeDistributedImageDataGenerator`` (0.4)      `TimeDistributedImageDataGenerator`
``keras_video`` (keras-video-generators)         `keras_video`
a generator with a paired random crop            `paired_random_crop`
a ``Sequence`` over images and masks             `DataGenerator`
Keras's ``timeseries_dataset_from_array``        `timeseries_dataset_from_array`
Keras's ``image_dataset_from_directory``         `image_dataset_from_directory`
===============================================  ===================================

`TimeDistributedImageDataGenerator` is the class, and has its own name as an attribute, as the original's
module does. Each module lists in a table what you may notice. Each generator returns an endless iterator
that is also a dataset of Keras, so it works with ``next()`` and ``fit``.
Keras, if it is installed, is imported when an iterator is made, and never in workers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastclips.compat import keras_video
    from fastclips.compat.arrays import paired_random_crop
    from fastclips.compat.datasets import (
        DataGenerator,
        image_dataset_from_directory,
        timeseries_dataset_from_array,
    )
    from fastclips.compat.image import (
        DataFrameIterator,
        DirectoryIterator,
        ImageDataGenerator,
        Iterator,
        NumpyArrayIterator,
        array_to_img,
        img_to_array,
        load_img,
    )
    from fastclips.compat.time_distributed import TimeDistributedImageDataGenerator

__all__ = [
    "DataFrameIterator",
    "DataGenerator",
    "DirectoryIterator",
    "ImageDataGenerator",
    "Iterator",
    "NumpyArrayIterator",
    "TimeDistributedImageDataGenerator",
    "array_to_img",
    "image_dataset_from_directory",
    "img_to_array",
    "keras_video",
    "load_img",
    "paired_random_crop",
    "timeseries_dataset_from_array",
]

_HOMES = {
    "DataFrameIterator": "image",
    "DataGenerator": "datasets",
    "DirectoryIterator": "image",
    "ImageDataGenerator": "image",
    "Iterator": "image",
    "NumpyArrayIterator": "image",
    "array_to_img": "image",
    "image_dataset_from_directory": "datasets",
    "img_to_array": "image",
    "load_img": "image",
    "paired_random_crop": "arrays",
    "timeseries_dataset_from_array": "datasets",
}
_MODULES = ("TimeDistributedImageDataGenerator", "keras_video")


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whichever
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
