"""torch: a map-style `Dataset` and `DataLoader`, as its tutorial says; simplejpeg decodes whole frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from peers.common import Clips
from peers.decoding import read_clip
from peers.torch_loading import torch_batches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.common import Task

VERSION = torch.__version__


def batches(task: Task, form: str, *, pin_memory: bool = False) -> Iterator[tuple[Any, ...]]:
    """Serve the task's batches."""
    assert form == "folder"
    return torch_batches(Clips(task), read_clip, pin_memory=pin_memory)
