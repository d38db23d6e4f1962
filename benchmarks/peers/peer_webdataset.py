"""WebDataset: tar shards of whole videos, split into windows and shuffled; `WebLoader`; simplejpeg."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import webdataset

from peers.common import TIME_STEPS, Clips
from peers.decoding import decode_clip, read
from peers.torch_loading import flat_draws

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from peers.common import Task

VERSION = webdataset.__version__
SHARDS, BUFFER = 8, 200


def write(task: Task, form: str) -> None:
    """Write the shards: a sample is a video, with the files of its frames and its class."""
    folder = task.packed(form)
    folder.mkdir()
    clips = Clips(task)
    for shard in range(SHARDS):
        with webdataset.TarWriter(str(folder / f"{shard:04d}.tar")) as tar:
            for video in clips.videos[shard::SHARDS]:
                sample: dict[str, Any] = {"__key__": video.name.replace("/", "-"), "cls": video.label}
                for number, path in enumerate(video.files):
                    sample[f"{number:05d}.jpg"] = read(path)
                    if task.masks:
                        sample[f"{number:05d}.png"] = read(clips.mask_of(path))
                tar.write(sample)


def windows(samples: Iterable[dict[str, Any]], step: int) -> Iterator[tuple[list[bytes], list[bytes], int]]:
    """Yield the windows of videos, still as bytes."""
    for sample in samples:
        jpegs, pngs = (
            [sample[key] for key in sorted(sample) if key.endswith(kind)] for kind in (".jpg", ".png")
        )
        for start in range(0, len(jpegs) - TIME_STEPS + 1, step):
            shown = slice(start, start + TIME_STEPS)
            yield jpegs[shown], pngs[shown], int(sample["cls"])


def decoded(clips: Clips, clip: tuple[list[bytes], list[bytes], int]) -> tuple[Any, ...]:
    """Return a clip as tensors."""
    jpegs, pngs, label = clip
    draws = clips.task.draws
    labels = torch.full((draws,), label) if draws > 1 else torch.tensor(label)
    return (*map(torch.from_numpy, decode_clip(clips, jpegs, pngs)), labels)


def batches(task: Task, form: str) -> Iterator[tuple[Any, ...]]:
    """Serve the task's batches."""
    clips = Clips(task)
    shards = sorted(map(str, task.packed(form).glob("*.tar")))
    dataset = (
        webdataset.WebDataset(shards, resampled=True)
        .compose(partial(windows, step=task.step))
        .shuffle(BUFFER, initial=BUFFER // 2)
        .map(partial(decoded, clips))
        .batched(task.clips, partial=False)
    )
    loader = webdataset.WebLoader(dataset, batch_size=None, num_workers=task.workers, persistent_workers=True)
    return map(flat_draws(task), iter(loader))
