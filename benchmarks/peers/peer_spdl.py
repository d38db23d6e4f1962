"""SPDL: a pipeline of threads that decode by its FFmpeg, whose filters crop, resize and mirror."""

from __future__ import annotations

import random
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import spdl.io
from spdl.pipeline import PipelineBuilder

from peers.common import Box, Clips

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from peers.common import Task

VERSION = version("spdl")


def filters(task: Task, box: Box, pixels: str) -> str:
    """Return the filters that cut a box."""
    steps = [f"crop={task.crop}:{task.crop}:{box.left}:{box.top}:exact=1"]
    if task.size != task.crop:
        steps.append(f"scale={task.size}:{task.size}:flags=bilinear")
    if box.flip:
        steps.append("hflip")
    return ",".join([*steps, f"format=pix_fmts={pixels}"])


def pictures(files: Sequence[str], filter_desc: str) -> np.ndarray:
    """Decode files to an array, (T, S, S, ...)."""
    frames = [spdl.io.decode_packets(spdl.io.demux_image(path), filter_desc=filter_desc) for path in files]
    return spdl.io.to_numpy(spdl.io.convert_frames(frames))


def load(clips: Clips, number: int) -> tuple[Any, ...]:
    """Return the parts of a clip, and its labels."""
    task = clips.task
    boxes = [clips.draw() for _ in range(task.draws)]
    label = np.array([clips.label(number)] * task.draws)
    if task.draws > 1:
        whole = pictures(clips.files(number), "format=pix_fmts=rgb24")
        return np.stack([cut(whole, box, task.crop) for box in boxes]), label
    x = pictures(clips.files(number), filters(task, boxes[0], "rgb24"))
    if not task.masks:
        return x, label
    return x, pictures(clips.masks(number), filters(task, boxes[0], "gray")).reshape(x.shape[:3]), label


def cut(frames: np.ndarray, box: Box, side: int) -> np.ndarray:
    """Cut a box out of whole frames."""
    part = frames[:, box.top : box.top + side, box.left : box.left + side]
    return part[:, :, ::-1] if box.flip else part


def batches(task: Task, form: str) -> Iterator[tuple[Any, ...]]:
    """Serve the task's batches."""
    assert form == "folder"
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
        .pipe(partial(load, clips), concurrency=task.workers, output_order="completion")
        .aggregate(task.clips)
        .pipe(joined)
        .add_sink(3)
        .build(num_threads=task.workers)
    )
    with pipeline.auto_stop():
        yield from pipeline
