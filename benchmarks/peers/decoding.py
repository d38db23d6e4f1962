"""Clips decoded in Python, as a careful user of simplejpeg and OpenCV writes it; several peers share it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from peers.common import TIME_STEPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from peers.common import Box, Clips, Task

    Parts = tuple[np.ndarray, ...]

cv2.setNumThreads(1)


def jpeg_frame(data: bytes) -> np.ndarray:
    """Decode a whole JPEG by simplejpeg, with the fast inverse DCT: (H, W, 3)."""
    import simplejpeg  # noqa: PLC0415 - peers that decode videos do not install it

    return simplejpeg.decode_jpeg(data, "RGB", fastdct=True)


def png_mask(data: bytes) -> np.ndarray:
    """Decode a mask: (H, W)."""
    mask = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    return mask


def rgb_file(path: str) -> np.ndarray:
    """Read a JPEG by OpenCV: (H, W, 3)."""
    frame = cv2.imread(path)
    assert frame is not None, path
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def read_clip(clips: Clips, number: int) -> Parts:
    """Read the files of a clip and decode them; what is returned is as of `decode_clip`."""
    return decode_clip(clips, map(read, clips.files(number)), map(read, clips.masks(number)))


def read(path: str) -> bytes:
    """Return the bytes of a file."""
    return Path(path).read_bytes()


def decode_clip(clips: Clips, jpegs: Iterable[bytes], pngs: Iterable[bytes] = ()) -> Parts:
    """Decode a clip and cut its crops.

    Returns
    -------
    tuple of ndarray of uint8
        Frames, (T, S, S, 3), or (draws, T, S, S, 3) with several draws. Then masks, if the task has some.
    """
    return cut_clip(clips, map(jpeg_frame, jpegs), map(png_mask, pngs))


def cut_clip(clips: Clips, frames: Iterable[np.ndarray], masks: Iterable[np.ndarray] = ()) -> Parts:
    """Cut the crops of a clip out of decoded frames; what is returned is as of `decode_clip`."""
    task = clips.task
    boxes = [clips.draw() for _ in range(task.draws)]
    shape = (task.draws, TIME_STEPS, task.size, task.size)
    parts = [cut(task, frames, boxes, np.empty((*shape, 3), np.uint8))]
    if task.masks:
        parts.append(cut(task, masks, boxes, np.empty(shape, np.uint8)))
    return tuple(part if task.draws > 1 else part[0] for part in parts)


def cut(task: Task, frames: Iterable[np.ndarray], boxes: Sequence[Box], out: np.ndarray) -> np.ndarray:
    """Cut boxes of each frame, and write them to `out`, (draws, T, S, S, ...)."""
    for time_step, frame in enumerate(frames):
        for draw, (top, left, flip) in enumerate(boxes):
            box = frame[top : top + task.crop, left : left + task.crop]
            if task.size != task.crop:
                box = cv2.resize(box, (task.size, task.size))
            out[draw, time_step] = box[:, ::-1] if flip else box
    return out
