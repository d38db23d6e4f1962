"""Replacements for generators of other libraries, by changing an import.

===============================================  ===================================
before                                           import from here
===============================================  ===================================
Keras's ``ImageDataGenerator``                   `ImageDataGenerator`
``TimeDistributedImageDataGenerator`` (0.4)      `TimeDistributedImageDataGenerator`
``keras_video`` (keras-video-generators)         `keras_video`
a generator with a paired random crop            `paired_random_crop`
a ``Sequence`` over images and masks             `DataGenerator`
Keras's ``timeseries_dataset_from_array``        `timeseries_dataset_from_array`
Keras's ``image_dataset_from_directory``         `image_dataset_from_directory`
===============================================  ===================================

The second and third are modules, as the originals are. Each module lists in a table what you may notice. Each
returns an endless iterator that is also a dataset of Keras, so it works with ``next()`` and ``fit``.
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
    from fastclips.compat.image import ImageDataGenerator
    from fastclips.compat.time_distributed import TimeDistributedImageDataGenerator

__all__ = [
    "DataGenerator",
    "ImageDataGenerator",
    "TimeDistributedImageDataGenerator",
    "image_dataset_from_directory",
    "keras_video",
    "paired_random_crop",
    "timeseries_dataset_from_array",
]

_HOMES = {
    "DataGenerator": "datasets",
    "ImageDataGenerator": "image",
    "image_dataset_from_directory": "datasets",
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
