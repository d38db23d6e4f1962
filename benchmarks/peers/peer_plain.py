"""No loader: a Python loop in one process; simplejpeg decodes whole frames."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg

from peers.common import Clips
from peers.decoding import read_clip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.common import Task

VERSION = f"simplejpeg {simplejpeg.__version__}"


def batches(task: Task, form: str) -> Iterator[tuple[Any, ...]]:
    """Serve the task's batches."""
    assert form == "folder"
    clips = Clips(task)
    join = np.concatenate if task.draws > 1 else np.stack
    while True:
        chosen = random.sample(range(len(clips)), task.clips)
        parts = zip(*(read_clip(clips, number) for number in chosen), strict=True)
        labels = np.repeat([clips.label(number) for number in chosen], task.draws)
        yield (*map(join, parts), labels)
