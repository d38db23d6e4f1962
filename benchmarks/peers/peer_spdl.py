"""SPDL: a pipeline of threads that decode by its FFmpeg, which crops, resizes and mirrors as a filter.

From video files, it reads the packets of a window by their times.
"""

from __future__ import annotations

import random
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import spdl.io
from spdl.pipeline import PipelineBuilder

from peers.common import TIME_STEPS, Box, Clips
from peers.videos_of import RATE, movie

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from peers.common import Task

VERSION = version("spdl")


def filters(task: Task, box: Box, *, resize: bool, pixels: str) -> str:
    """Return the filters that cut a box."""
    steps = [f"crop={task.crop}:{task.crop}:{box.left}:{box.top}:exact=1"]
    if resize:
        steps.append(f"scale={task.size}:{task.size}:flags=bilinear")
    if box.flip:
        steps.append("hflip")
    return ",".join([*steps, f"format=pix_fmts={pixels}"])


def pictures(files: Sequence[str], filter_desc: str) -> np.ndarray:
    """Decode files to an array, (T, S, S, ...)."""
    frames = [spdl.io.decode_packets(spdl.io.demux_image(path), filter_desc=filter_desc) for path in files]
    return spdl.io.to_numpy(spdl.io.convert_frames(frames))


class Load:
    """Loads a clip."""

    def __init__(self, clips: Clips, form: str) -> None:
        self.clips = clips
        self.form = form

    def __call__(self, number: int) -> tuple[Any, ...]:
        """Return the parts of a clip, and its labels."""
        clips, task = self.clips, self.clips.task
        boxes = [clips.draw() for _ in range(task.draws)]
        whole = "format=pix_fmts=rgb24"
        wanted = filters(task, boxes[0], resize=task.size != task.crop, pixels="rgb24")
        x = self.frames(number, whole if task.draws > 1 else wanted)
        if task.draws > 1:
            x = np.stack([cut(x, box, task.crop) for box in boxes])
        label = np.array([clips.label(number)] * task.draws)
        if not task.masks:
            return x, label
        grey = filters(task, boxes[0], resize=False, pixels="gray")
        return x, pictures(clips.masks(number), grey).reshape(x.shape[:3]), label

    def frames(self, number: int, filter_desc: str) -> np.ndarray:
        """Decode the frames of a clip."""
        clips = self.clips
        if self.form == "folder":
            return pictures(clips.files(number), filter_desc)
        video, start = clips.windows[number]
        path = movie(clips.task, clips.videos[video].name)
        window = (start - 0.5) / RATE, (start + TIME_STEPS - 0.5) / RATE
        packets = spdl.io.demux_video(str(path), timestamp=window)
        return spdl.io.to_numpy(
            spdl.io.convert_frames(spdl.io.decode_packets(packets, filter_desc=filter_desc))
        )


def cut(frames: np.ndarray, box: Box, side: int) -> np.ndarray:
    """Cut a box out of whole frames."""
    part = frames[:, box.top : box.top + side, box.left : box.left + side]
    return part[:, :, ::-1] if box.flip else part


def batches(task: Task, form: str) -> Iterator[tuple[Any, ...]]:
    """Serve the task's batches."""
    clips = Clips(task)
    join = np.concatenate if task.draws > 1 else np.stack

    def numbers() -> Iterator[int]:
        while True:
            yield from random.sample(range(len(clips)), len(clips))

    def joined(samples: list[tuple[Any, ...]]) -> tuple[Any, ...]:
        *parts, labels = zip(*samples, strict=True)
        return (*map(join, parts), np.concatenate(labels))

    pipeline = (
        PipelineBuilder()
        .add_source(numbers())
        .pipe(Load(clips, form), concurrency=task.workers, output_order="completion")
        .aggregate(task.clips)
        .pipe(joined)
        .add_sink(3)
        .build(num_threads=task.workers)
    )
    with pipeline.auto_stop():
        yield from pipeline
