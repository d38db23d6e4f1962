"""Keras's `timeseries_dataset_from_array` and `image_dataset_from_directory`, and `DataGenerator`."""

from fastclips.compat.datasets.functions import image_dataset_from_directory, timeseries_dataset_from_array
from fastclips.compat.datasets.iterators import FolderDataset, SeriesDataset
from fastclips.compat.datasets.sequence import DataGenerator

__all__ = [
    "DataGenerator",
    "FolderDataset",
    "SeriesDataset",
    "image_dataset_from_directory",
    "timeseries_dataset_from_array",
]
