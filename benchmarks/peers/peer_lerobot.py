"""LeRobot: its format (AV1, a key frame every 2 frames), `delta_timestamps` of 16 frames, torch's DataLoader.

Its frames are float32, (T, C, H, W). They are cut, and rounded to uint8 before DataLoader copies them: so
it has less to copy.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torchvision.transforms.v2 import functional

from peers.common import TIME_STEPS, Clips
from peers.torch_loading import torch_batches
from peers.videos_of import RATE

os.environ.setdefault("HF_HUB_OFFLINE", "1")
from lerobot.datasets.lerobot_dataset import LeRobotDataset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.common import Box, Task

VERSION = version("lerobot")
NAME, CAMERA = "peers/film", "observation.image"


def write(task: Task, form: str) -> None:
    """Write an episode for each video, encoded as LeRobot does by default."""
    from torchvision.io import decode_jpeg, read_file  # noqa: PLC0415

    clips = Clips(task)
    camera = {"dtype": "video", "shape": (*clips.shape, 3), "names": ["height", "width", "channels"]}
    dataset = LeRobotDataset.create(NAME, RATE, {CAMERA: camera}, root=task.packed(form))
    for video in clips.videos:
        for path in video.files:
            picture = decode_jpeg(read_file(path)).permute(1, 2, 0).numpy()
            dataset.add_frame({CAMERA: picture, "task": f"class {video.label}"})
        dataset.save_episode()
    dataset.finalize()


def cut(frames: torch.Tensor, box: Box, task: Task) -> torch.Tensor:
    """Cut a box: (T, S, S, C) uint8."""
    part = frames[:, :, box.top : box.top + task.crop, box.left : box.left + task.crop]
    if task.size != task.crop:
        part = functional.resize(part, [task.size, task.size])
    part = part.flip(3) if box.flip else part
    return (part * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def read(dataset: LeRobotDataset, firsts: list[int], clips: Clips, number: int) -> tuple[np.ndarray, ...]:
    """Load a clip."""
    video, start = clips.windows[number]
    frames = dataset[firsts[video] + start][CAMERA]
    parts = [cut(frames, clips.draw(), clips.task).numpy() for _ in range(clips.task.draws)]
    return (np.stack(parts) if clips.task.draws > 1 else np.ascontiguousarray(parts[0]),)


def batches(task: Task, form: str) -> Iterator[tuple[Any, ...]]:
    """Serve the task's batches."""
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    clips = Clips(task)
    firsts = np.cumsum([0, *(len(video.files) for video in clips.videos)]).tolist()
    times = {CAMERA: [step / RATE for step in range(TIME_STEPS)]}
    dataset = LeRobotDataset(NAME, root=task.packed(form), delta_timestamps=times)
    return torch_batches(clips, partial(read, dataset, firsts))
