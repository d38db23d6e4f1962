"""fastclips: a folder, packs of JPEGs and of dct frames, and video files.

Frames that several clips show are kept where windows overlap, in a quarter of the memory that all decoded
frames would take: real data sets do not fit. Otherwise nothing is kept, for the same reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fastclips as fc
from peers.common import TIME_STEPS, jpeg_shape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from peers.common import Task

VERSION = fc.__version__
SHARE = 4


def write(task: Task, form: str) -> None:
    """Write a pack."""
    frames = {"image": task.frames, "mask": task.mask_folder} if task.masks else task.frames
    fc.pack(fc.open(frames), task.packed(form), codec=form)


def loader(task: Task, form: str) -> fc.ClipLoader:
    """Return the loader."""
    source: Any = task.frames if form == "folder" else task.packed(form)
    if task.masks and form == "folder":
        source = {"image": task.frames, "mask": task.mask_folder}
    dataset = fc.open(source)
    resize = [fc.Resize((task.size, task.size))] if task.size != task.crop else []
    return fc.ClipLoader(
        dataset,
        fc.Windows(TIME_STEPS, step=task.step),
        [fc.RandomCrop(task.crop), *resize, fc.RandomFlip()],
        batch_size=task.batch,
        draws_per_clip=task.draws,
        shuffle=True,
        drop_last=True,
        repeat=True,
        workers=task.workers,
        cache=decoded_bytes(task.frames) // SHARE if task.step < TIME_STEPS else 0,
        targets=("mask", "label") if task.masks else "auto",
    )


def decoded_bytes(folder: Path) -> int:
    """Return what all frames take once they are decoded."""
    files = list(folder.glob("*/*/*.jpg"))
    height, width = jpeg_shape(files[0].read_bytes())
    return len(files) * height * width * 3


def batches(task: Task, form: str) -> Iterator[tuple[Any, ...]]:
    """Serve the task's batches."""
    for x, y in loader(task, form):
        yield (x, y["mask"], y["label"]) if task.masks else (x, y)
