"""tf.data: one `map` per clip with `decode_and_crop_jpeg`, AUTOTUNE, as its performance guide says.

With several draws of a clip, frames are decoded whole, once.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from peers.common import TIME_STEPS, Clips

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.common import Task

VERSION = tf.__version__


def batches(task: Task, form: str) -> Iterator[tuple[Any, ...]]:
    """Serve the task's batches."""
    assert form == "folder"
    clips = Clips(task)
    height, width = clips.shape
    side, size = task.crop, task.size

    def draw() -> tuple[Any, Any, Any]:
        top = tf.random.uniform((), 0, height - side + 1, tf.int32)
        left = tf.random.uniform((), 0, width - side + 1, tf.int32)
        return top, left, tf.random.uniform(()) < 0.5

    def finished(frames: Any, flip: Any) -> Any:  # noqa: ANN401 - tensors
        if size != side:
            frames = tf.cast(tf.round(tf.image.resize(frames, (size, size))), tf.uint8)
        frames = tf.cond(flip, lambda: tf.reverse(frames, [2]), lambda: frames)
        return tf.ensure_shape(frames, (TIME_STEPS, size, size, None))

    def load(files: Any, masks: Any, label: Any) -> tuple[Any, ...]:  # noqa: ANN401
        data = [tf.io.read_file(files[time_step]) for time_step in range(TIME_STEPS)]
        if task.draws > 1:
            whole = tf.stack([tf.io.decode_jpeg(frame, channels=3) for frame in data])
            return tf.stack([several(whole) for _ in range(task.draws)]), tf.repeat(label, task.draws)
        top, left, flip = draw()
        box = tf.stack([top, left, side, side])
        x = finished(tf.stack([tf.io.decode_and_crop_jpeg(frame, box, channels=3) for frame in data]), flip)
        if not task.masks:
            return x, label
        pngs = [tf.io.read_file(masks[time_step]) for time_step in range(TIME_STEPS)]
        whole = tf.stack([tf.io.decode_png(png, channels=1) for png in pngs])
        return x, finished(whole[:, top : top + side, left : left + side], flip)[..., 0], label

    def several(whole: Any) -> Any:  # noqa: ANN401
        top, left, flip = draw()
        return finished(whole[:, top : top + side, left : left + side], flip)

    def flat(*parts: Any) -> tuple[Any, ...]:  # noqa: ANN401
        return tuple(tf.reshape(part, (task.batch, *part.shape[2:])) for part in parts)

    numbers = range(len(clips))
    columns = ([call(n) for n in numbers] for call in (clips.files, clips.masks, clips.label))
    options = tf.data.Options()
    options.threading.private_threadpool_size = task.workers
    served = (
        tf.data.Dataset.from_tensor_slices(tuple(columns))
        .shuffle(len(clips))
        .repeat()
        .map(load, tf.data.AUTOTUNE, deterministic=False)
        .batch(task.clips, drop_remainder=True)
    )
    if task.draws > 1:
        served = served.map(flat)
    return iter(served.prefetch(tf.data.AUTOTUNE).with_options(options))
