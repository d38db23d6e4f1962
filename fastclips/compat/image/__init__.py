"""Keras's `ImageDataGenerator` and its iterators."""

from fastclips.compat.image.flows import DataFrameIterator, DirectoryIterator, NumpyArrayIterator
from fastclips.compat.image.generator import ImageDataGenerator

__all__ = ["DataFrameIterator", "DirectoryIterator", "ImageDataGenerator", "NumpyArrayIterator"]
