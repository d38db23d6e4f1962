"""decord: `VideoReader.get_batch` in torch's DataLoader; the file is opened for each clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import decord

from peers.common import TIME_STEPS, Clips
from peers.torch_loading import torch_batches
from peers.videos_of import clip_reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from peers.common import Task

VERSION = decord.__version__


def decode(path: str, start: int) -> np.ndarray:
    """Return frames of a file."""
    reader = decord.VideoReader(path, num_threads=1)
    return reader.get_batch(range(start, start + TIME_STEPS)).asnumpy()


def batches(task: Task, form: str) -> Iterator[tuple[Any, ...]]:
    """Serve the task's batches."""
    assert form == "mp4"
    return torch_batches(Clips(task), clip_reader(decode))
