"""LitData: `optimize` writes chunks of clips, the bytes of 16 frames; `StreamingDataLoader`; simplejpeg.

A sample is what is shuffled and loaded, so windows that overlap would have to be stored several times.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import litdata
import torch

from peers.common import Clips
from peers.decoding import decode_clip, read
from peers.torch_loading import flat_draws

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.common import Task

VERSION = litdata.__version__


def sample(clips: Clips, number: int) -> dict[str, Any]:
    """Return a clip as it is stored."""
    files = {f"{step:02d}.jpg": read(path) for step, path in enumerate(clips.files(number))}
    masks = {f"{step:02d}.png": read(path) for step, path in enumerate(clips.masks(number))}
    return {**files, **masks, "label": clips.label(number)}


def write(task: Task, form: str) -> None:
    """Write the chunks."""
    clips = Clips(task)
    litdata.optimize(
        fn=partial(sample, clips),
        inputs=list(range(len(clips))),
        output_dir=str(task.packed(form)),
        num_workers=1,
        chunk_bytes="64MB",
    )


class ClipDataset(litdata.StreamingDataset):
    """Clips that are decoded as they are read."""

    def __init__(self, clips: Clips, folder: str) -> None:
        super().__init__(folder, shuffle=True, drop_last=True)
        self.clips = clips

    def __getitem__(self, index: Any) -> tuple[Any, ...]:  # noqa: ANN401 - theirs
        stored = super().__getitem__(index)
        draws = self.clips.task.draws
        labels = torch.full((draws,), stored["label"]) if draws > 1 else torch.tensor(stored["label"])
        jpegs, pngs = (
            [stored[key] for key in sorted(stored) if key.endswith(kind)] for kind in (".jpg", ".png")
        )
        parts = decode_clip(self.clips, jpegs, pngs)
        return (*map(torch.from_numpy, parts), labels)


def batches(task: Task, form: str) -> Iterator[tuple[Any, ...]]:
    """Serve the task's batches."""
    endless = litdata.ParallelStreamingDataset(
        [ClipDataset(Clips(task), str(task.packed(form)))],
        length=float("inf"),
        transform=lambda samples: samples[0],
    )
    loader = litdata.StreamingDataLoader(
        endless, batch_size=task.clips, num_workers=task.workers, persistent_workers=True, drop_last=True
    )
    return map(flat_draws(task), iter(loader))
