"""DALI on the CPU: `decoders.image_crop` decodes the part of a crop.

From a folder, `readers.file` reads a shuffled list of frames. A batch of the pipeline is the frames of 8
clips; `permute_batch` gives the frames of a clip the draw of its first frame. Packed, `readers.webdataset`
reads a tar whose samples are clips of 16 frames; a batch is 8 of them. With several draws of a clip, frames
are decoded whole, once.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
from nvidia import dali
from nvidia.dali import fn, types

from peers.common import TIME_STEPS, Clips
from peers.tars import KEYS, write_clip_tar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peers.common import Task

    Node = Any  # of the graph

VERSION = dali.__version__
PASSES = 20  # over the set, each shuffled anew, before the list of files begins again
BUFFER = 200  # clips among which a tar's are shuffled


def write(task: Task, form: str) -> None:
    """Write a tar of clips."""
    write_clip_tar(task, task.packed(form))


def drawn(arrange: Callable[[Node], Node]) -> dict[str, Node]:
    """Draw a place and a flip for each sample; `arrange` gives frames of a clip the same."""
    return {
        "crop_pos_x": arrange(fn.random.uniform(range=[0, 1])),
        "crop_pos_y": arrange(fn.random.uniform(range=[0, 1])),
        "flip": arrange(fn.random.coin_flip()),
    }


def cut(task: Task, data: Node, draw: dict[str, Node], decoded: Node = None, kind: Node = types.RGB) -> Node:
    """Cut the crop of a frame, from its file or decoded, and resize and mirror it."""
    place = {key: value for key, value in draw.items() if key != "flip"}
    place["crop"] = (task.crop, task.crop)
    if decoded is None:
        box = fn.decoders.image_crop(data, **place, output_type=kind, use_fast_idct=True)
    else:
        box = fn.crop(decoded, **place)
    if task.size != task.crop:
        size = (task.size, task.size)
        box = fn.resize(box, size=size, interp_type=types.INTERP_LINEAR, antialias=False)
    return fn.flip(box, horizontal=draw["flip"], vertical=0)


def from_files(clips: Clips) -> tuple[int, Callable[[], tuple[Node, ...]]]:
    """Return the samples of a batch, each a frame, and the pipeline: draws, or frames and masks; labels."""
    task = clips.task
    order = [clip for _ in range(PASSES) for clip in random.sample(range(len(clips)), len(clips))]
    labels = [clips.label(clip) for clip in order for _ in range(TIME_STEPS)]
    files = [path for clip in order for path in clips.files(clip)]
    masks = [path for clip in order for path in clips.masks(clip)]
    frames = task.clips * TIME_STEPS
    firsts = [frame - frame % TIME_STEPS for frame in range(frames)]

    def same(values: Node) -> Node:
        return fn.permute_batch(values, indices=firsts)

    def parts() -> tuple[Node, ...]:
        jpegs, label = fn.readers.file(files=files, labels=labels, name="frames")
        if task.draws > 1:
            whole = fn.decoders.image(jpegs, output_type=types.RGB, use_fast_idct=True)
            return *(cut(task, None, drawn(same), whole) for _ in range(task.draws)), label
        draw = drawn(same)
        x = cut(task, jpegs, draw)
        if not task.masks:
            return x, label
        pngs, _ = fn.readers.file(files=masks, labels=labels, name="masks")
        return x, cut(task, pngs, draw, kind=types.GRAY), label

    return frames, parts


def from_tar(clips: Clips) -> tuple[int, Callable[[], tuple[Node, ...]]]:
    """Return the samples of a batch, each a clip, and the pipeline."""
    task = clips.task

    def parts() -> tuple[Node, ...]:
        kinds = [".jpg", ".png"] if task.masks else [".jpg"]
        names = [f"{key}{kind}" for kind in kinds for key in KEYS]
        *files, label = fn.readers.webdataset(
            paths=[str(task.packed("clips.tar"))],
            ext=[*names, "cls"],
            dtypes=[types.UINT8] * len(names) + [types.INT32],
            random_shuffle=True,
            initial_fill=BUFFER,
        )
        jpegs, pngs = files[:TIME_STEPS], files[TIME_STEPS:]
        if task.draws > 1:
            whole = [fn.decoders.image(jpeg, output_type=types.RGB, use_fast_idct=True) for jpeg in jpegs]
            draws = [drawn(lambda values: values) for _ in range(task.draws)]
            return *(fn.stack(*(cut(task, None, draw, frame) for frame in whole)) for draw in draws), label
        draw = drawn(lambda values: values)
        x = fn.stack(*(cut(task, jpeg, draw) for jpeg in jpegs))
        if not task.masks:
            return x, label
        return x, fn.stack(*(cut(task, png, draw, kind=types.GRAY) for png in pngs)), label

    return task.clips, parts


def batches(task: Task, form: str) -> Iterator[tuple[Any, ...]]:
    """Serve the task's batches."""
    samples, parts = {"folder": from_files, "clips.tar": from_tar}[form](Clips(task))
    pipeline = dali.pipeline_def(batch_size=samples, num_threads=task.workers, device_id=None)(parts)()
    pipeline.build()
    shape = (task.clips, TIME_STEPS, task.size, task.size)
    while True:
        x, *others, label = (np.asarray(part.as_tensor()) for part in pipeline.run())
        labels = label.reshape(task.clips, -1)[:, 0]
        if task.draws > 1:
            draws = [part.reshape(*shape, 3) for part in (x, *others)]
            yield np.concatenate(draws), np.tile(labels, task.draws)
        else:
            yield (x.reshape(*shape, 3), *(mask.reshape(shape) for mask in others), labels)
