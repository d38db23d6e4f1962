"""Keras: a `PyDataset` with two threads that decodes a batch by OpenCV, as its guides and tutorials do.

Its batches are those that `fit` reads: the adapter of Keras runs the threads.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import numpy as np

from peers.common import Clips
from peers.decoding import cut_clip, png_mask, read, rgb_file

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1", KERAS_BACKEND="tensorflow")
import keras
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.common import Task

VERSION = keras.__version__


class ClipDataset(keras.utils.PyDataset):
    """Batches of clips, without an end."""

    def __init__(self, clips: Clips, **options: Any) -> None:  # noqa: ANN401 - theirs
        super().__init__(**options)
        self.clips = clips

    @property
    def num_batches(self) -> None:
        """No end."""

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        clips = self.clips
        chosen = random.sample(range(len(clips)), clips.task.clips)
        parts = list(zip(*map(self.clip, chosen), strict=True))
        join = np.concatenate if clips.task.draws > 1 else np.stack
        labels = np.repeat([clips.label(number) for number in chosen], clips.task.draws)
        return (*map(join, parts), labels)

    def clip(self, number: int) -> tuple[np.ndarray, ...]:
        """Return the parts of a clip."""
        frames = map(rgb_file, self.clips.files(number))
        return cut_clip(self.clips, frames, (png_mask(read(path)) for path in self.clips.masks(number)))


def batches(task: Task, form: str) -> Iterator[tuple[Any, ...]]:
    """Serve the task's batches."""
    assert form == "folder"
    return iter(PyDatasetAdapter(ClipDataset(Clips(task), workers=task.workers)).get_numpy_iterator())
