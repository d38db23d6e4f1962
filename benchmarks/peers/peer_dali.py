"""DALI on the CPU: `readers.file` over a shuffled list of frames; `decoders.image_crop` decodes a part.

A batch of its pipeline is the frames of 8 clips; `permute_batch` gives the frames of a clip the draw of its
first frame. With several draws of a clip, frames are decoded whole, once.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
from nvidia import dali
from nvidia.dali import fn, types

from peers.common import TIME_STEPS, Clips

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.common import Task

VERSION = dali.__version__
PASSES = 20  # over the set, each shuffled anew, before the list begins again


def batches(task: Task, form: str) -> Iterator[tuple[Any, ...]]:
    """Serve the task's batches."""
    assert form == "folder"
    clips = Clips(task)
    order = [clip for _ in range(PASSES) for clip in random.sample(range(len(clips)), len(clips))]
    labels = [clips.label(clip) for clip in order for _ in range(TIME_STEPS)]
    files = [path for clip in order for path in clips.files(clip)]
    masks = [path for clip in order for path in clips.masks(clip)]
    frames = task.clips * TIME_STEPS
    firsts = [frame - frame % TIME_STEPS for frame in range(frames)]

    def draw() -> tuple[Any, Any, Any]:
        drawn = fn.random.uniform(range=[0, 1]), fn.random.uniform(range=[0, 1]), fn.random.coin_flip()
        x, y, flip = (fn.permute_batch(value, indices=firsts) for value in drawn)
        return x, y, flip

    def finished(box: Any, flip: Any) -> Any:  # noqa: ANN401 - data nodes
        if task.size != task.crop:
            size = (task.size, task.size)
            box = fn.resize(box, size=size, interp_type=types.INTERP_LINEAR, antialias=False)
        return fn.flip(box, horizontal=flip, vertical=0)

    @dali.pipeline_def(batch_size=frames, num_threads=task.workers, device_id=None)
    def pipeline() -> tuple[Any, ...]:
        jpegs, label = fn.readers.file(files=files, labels=labels, name="frames")
        exactness = {"output_type": types.RGB, "use_fast_idct": True}
        if task.draws > 1:
            whole = fn.decoders.image(jpegs, **exactness)
            parts = []
            for _ in range(task.draws):
                x, y, flip = draw()
                cut = fn.crop(whole, crop=(task.crop, task.crop), crop_pos_x=x, crop_pos_y=y)
                parts.append(finished(cut, flip))
            return (*parts, label)
        x, y, flip = draw()
        place = {"crop": (task.crop, task.crop), "crop_pos_x": x, "crop_pos_y": y}
        parts = [finished(fn.decoders.image_crop(jpegs, **place, **exactness), flip)]
        if task.masks:
            pngs, _ = fn.readers.file(files=masks, labels=labels, name="masks")
            grey = fn.decoders.image_crop(pngs, **place, output_type=types.GRAY)
            parts.append(fn.flip(grey, horizontal=flip, vertical=0))
        return (*parts, label)

    running = pipeline()
    running.build()
    shape = (task.clips, TIME_STEPS, task.size, task.size)
    while True:
        *parts, label = (np.asarray(part.as_tensor()) for part in running.run())
        labels_of = label.reshape(-1)[::TIME_STEPS]
        if task.draws > 1:
            x = np.concatenate([part.reshape(*shape, 3) for part in parts])
            yield x, np.tile(labels_of, task.draws)
        else:
            x, *mask = parts
            yield (x.reshape(*shape, 3), *(part.reshape(shape) for part in mask), labels_of)
