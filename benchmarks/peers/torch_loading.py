"""torch's DataLoader over clips that a function reads: 2 worker processes, shuffled, without an end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peers.common import Clips, Task

MANY = 10**9  # clips of an epoch, so that no worker waits at the end of one


class ClipDataset(Dataset):
    """Clips as tensors.

    Parameters
    ----------
    clips : Clips
        What there is.
    read : callable
        Returns the parts of a clip, as `decoding.decode_clip`.
    """

    def __init__(self, clips: Clips, read: Callable[[Clips, int], tuple[Any, ...]]) -> None:
        self.clips = clips
        self.read = read

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        parts = self.read(self.clips, number)
        label = torch.tensor([self.clips.label(number)] * self.clips.task.draws)
        return (*map(torch.from_numpy, parts), label if self.clips.task.draws > 1 else label[0])


def torch_batches(
    clips: Clips, read: Callable[[Clips, int], tuple[Any, ...]], *, pin_memory: bool = False
) -> Iterator[tuple[Any, ...]]:
    """Serve the batches of a `ClipDataset`."""
    dataset, task = ClipDataset(clips, read), clips.task
    served = DataLoader(
        dataset,
        task.clips,
        sampler=RandomSampler(dataset, num_samples=MANY),
        drop_last=True,
        num_workers=task.workers,
        persistent_workers=True,
        pin_memory=pin_memory,
    )
    return map(flat_draws(task), served)


def flat_draws(task: Task) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that makes rows of the draws of a batch's clips, without a copy."""

    def flat(parts: Any) -> tuple[Any, ...]:  # noqa: ANN401 - tensors
        return tuple(part.flatten(0, 1) for part in parts) if task.draws > 1 else tuple(parts)

    return flat
