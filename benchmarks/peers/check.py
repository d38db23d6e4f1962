"""Compares a batch with the clips that it must show, before a loader is timed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from peers.common import TIME_STEPS, Box
from peers.decoding import png_mask, read, rgb_file

if TYPE_CHECKING:
    from peers.common import Clips, Task

COARSE = 4  # clips are searched at a fourth of the size
CANDIDATES = 4  # what was found is looked at more closely
REACH = 6  # pixels around what was found there
TOLERANCE = 7.0  # mean difference in levels: fast DCT, other resampling, H.264
TIE = 0.5  # levels: where nothing moves, H.264 leaves no noise that tells frames apart


def problem(clips: Clips, batch: tuple[np.ndarray, ...]) -> str | None:
    """Return what is wrong with a batch: shapes, a clip, its label, its box, its mask, or the order."""
    task = clips.task
    x, *masks, labels = batch
    shape = (task.batch, TIME_STEPS, task.size, task.size)
    if x.shape != (*shape, 3) or x.dtype != np.uint8:
        return f"frames are {x.dtype} {x.shape}"
    if len(masks) != task.masks or any(mask.shape != shape for mask in masks):
        return f"masks are {[mask.shape for mask in masks]}"
    for row in (0, task.batch // 2, task.batch - 1):
        wrong = row_problem(clips, x[row], masks[0][row] if masks else None, int(labels[row]))
        if wrong:
            return f"row {row}: {wrong}"
    return None


def row_problem(clips: Clips, x: np.ndarray, mask: np.ndarray | None, label: int) -> str | None:
    """Return what is wrong with a row."""
    found = [find_box(clips, number, x[0], flip) for number, flip in most_alike(clips, x[0], label)]
    _, number, box = min(found)
    flip = box.flip
    shown = [frame[:, ::-1] if flip else frame for frame in x]
    sources = [cut(rgb_file(path), box, clips.task) for path in clips.files(number)]
    for time_step, frame in enumerate(shown):
        differences = [difference(frame, source) for source in sources]
        if differences[time_step] > TOLERANCE:
            return (
                f"clip {number} of class {label}, frame {time_step}: differs by {differences[time_step]:.1f}"
            )
        if differences[time_step] > min(differences) + TIE:
            return f"clip {number}: frame {time_step} is more like frame {np.argmin(differences)}"
    if mask is not None:
        for time_step, path in enumerate(clips.masks(number)):
            expected = cut(png_mask(read(path)), box, clips.task)
            if not np.array_equal(mask[time_step][:, ::-1] if flip else mask[time_step], expected):
                return f"clip {number}: mask {time_step} is not that of the frame"
    return None


def most_alike(clips: Clips, frame: np.ndarray, label: int) -> list[tuple[int, bool]]:
    """Return clips of a class whose first frame seems to hold a frame, and whether it is mirrored there."""
    scale = clips.task.size / clips.task.crop / COARSE
    small = cv2.resize(frame, None, fx=1 / COARSE, fy=1 / COARSE, interpolation=cv2.INTER_AREA)
    mirrored = np.ascontiguousarray(small[:, ::-1])
    found = []
    for number in range(len(clips)):
        if clips.label(number) == label:
            source = rgb_file(clips.files(number)[0])
            source = cv2.resize(source, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            for flip, wanted in ((False, small), (True, mirrored)):
                found.append((cv2.matchTemplate(source, wanted, cv2.TM_SQDIFF).min(), number, flip))
    return [(number, flip) for _, number, flip in sorted(found)[:CANDIDATES]]


def find_box(clips: Clips, number: int, frame: np.ndarray, flip: bool) -> tuple[float, int, Box]:
    """Return the box of a clip's first frame that looks most like a frame; before it, how much it differs."""
    task = clips.task
    frame = frame[:, ::-1] if flip else frame
    source = rgb_file(clips.files(number)[0])
    scale = task.size / task.crop
    scaled = cv2.resize(source, None, fx=scale, fy=scale)
    match = cv2.matchTemplate(scaled, np.ascontiguousarray(frame), cv2.TM_SQDIFF)
    left, top = (round(place / scale) for place in cv2.minMaxLoc(match)[2])
    height, width = clips.shape
    reach = REACH if task.size != task.crop else 0
    boxes = [
        Box(y, x, flip)
        for y in range(max(top - reach, 0), min(top + reach, height - task.crop) + 1)
        for x in range(max(left - reach, 0), min(left + reach, width - task.crop) + 1)
    ]
    return min((difference(frame, cut(source, box, task)), number, box) for box in boxes)


def cut(source: np.ndarray, box: Box, task: Task) -> np.ndarray:
    """Return a box of a frame, resized, not mirrored."""
    part = source[box.top : box.top + task.crop, box.left : box.left + task.crop]
    return part if task.size == task.crop else cv2.resize(part, (task.size, task.size))


def difference(frame: np.ndarray, other: np.ndarray) -> float:
    """Return the mean difference of two frames, in levels."""
    return float(np.mean(cv2.absdiff(np.ascontiguousarray(frame), np.ascontiguousarray(other))))
