"""Grain: `MapDataset`, shuffled, a map that decodes by simplejpeg, and the threads of `ReadOptions`.

simplejpeg releases the interpreter's lock, so threads are faster here than the processes of `mp_prefetch`.
Packed, a record of ArrayRecord is a frame.
"""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import grain
import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter

from peers.common import Clips
from peers.decoding import decode_clip, read, read_clip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.common import Task

VERSION = version("grain")


def write(task: Task, form: str) -> None:
    """Write the frames of all videos, one after the other; masks to a file of their own."""
    clips = Clips(task)
    task.packed(form).mkdir()
    for kind in ("frames", "masks") if task.masks else ("frames",):
        writer = ArrayRecordWriter(str(task.packed(form) / kind), "group_size:1")
        for video in clips.videos:
            for path in video.files:
                writer.write(read(clips.mask_of(path) if kind == "masks" else path))
        writer.close()


class Load(grain.transforms.Map):
    """Loads a clip from files or records."""

    def __init__(self, clips: Clips, form: str) -> None:
        self.clips = clips
        self.sources = []
        self.firsts = np.cumsum([0, *(len(video.files) for video in clips.videos)])
        if form == "arrayrecord":
            kinds = ("frames", "masks") if clips.task.masks else ("frames",)
            folder = clips.task.packed(form)
            self.sources = [grain.sources.ArrayRecordDataSource(str(folder / kind)) for kind in kinds]

    def map(self, number: int) -> tuple[Any, ...]:
        """Return the parts of a clip, and its label."""
        clips = self.clips
        labels = np.array([clips.label(number)] * clips.task.draws)
        if not self.sources:
            parts = read_clip(clips, number)
        else:
            video, start = clips.windows[number]
            first = int(self.firsts[video]) + start
            records = range(first, first + len(clips.files(number)))
            parts = decode_clip(clips, *(source.__getitems__(records) for source in self.sources))
        return (*parts, labels if clips.task.draws > 1 else labels[0])


def batches(task: Task, form: str) -> Iterator[tuple[Any, ...]]:
    """Serve the task's batches."""
    logging.disable(logging.WARNING)
    clips = Clips(task)
    options = grain.ReadOptions(num_threads=task.workers, prefetch_buffer_size=2 * task.batch)
    dataset = (
        grain.MapDataset.source(range(len(clips)))
        .seed(1)
        .shuffle()
        .repeat()
        .map(Load(clips, form))
        .to_iter_dataset(options)
        .batch(task.clips, drop_remainder=True)
    )
    for parts in dataset:
        yield tuple(part.reshape(task.batch, *part.shape[2:]) for part in parts) if task.draws > 1 else parts
