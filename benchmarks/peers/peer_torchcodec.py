"""torchcodec: `VideoDecoder.get_frames_in_range` in torch's DataLoader; the file is opened for each clip.

``seek_mode="approximate"`` is what its guide recommends for files with a constant frame rate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torchcodec
from torchcodec.decoders import VideoDecoder

from peers.common import TIME_STEPS, Clips
from peers.torch_loading import torch_batches
from peers.videos_of import clip_reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from peers.common import Task

VERSION = torchcodec.__version__


def decode(path: str, start: int) -> np.ndarray:
    """Return frames of a file."""
    decoder = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="approximate")
    return decoder.get_frames_in_range(start, start + TIME_STEPS).data.numpy()


def batches(task: Task, form: str) -> Iterator[tuple[Any, ...]]:
    """Serve the task's batches."""
    assert form == "mp4"
    return torch_batches(Clips(task), clip_reader(decode))
