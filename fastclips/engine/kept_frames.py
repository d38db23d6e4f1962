"""Where a loader's decoded frames are kept beside those of other loaders: frame slots of a `FrameCache`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips._native import FrameSlots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastclips.spec import FrameLayout

__all__ = ["KeptFrames", "Segment", "find_held"]


class Segment(NamedTuple):
    """Frame slots of one layout.

    Parameters
    ----------
    slots : FrameSlots
        Their memory.
    layout : FrameLayout
        What is in each.
    first : int
        The number of the first slot in tickets.
    """

    slots: FrameSlots
    layout: FrameLayout
    first: int = 0


@dataclass(frozen=True)
class KeptFrames:
    """A loader's part of a `FrameCache`: a worker is started with it.

    Parameters
    ----------
    loader : int
        The loader's number, which no other loader of the cache ever had.
    segments : tuple of Segment
        In the order of their first slots.
    """

    loader: int
    segments: tuple[Segment, ...]

    @property
    def fds(self) -> list[int]:
        """The descriptors that a process needs which unpickles this."""
        return [slots.fd for slots, _, _ in self.segments]

    def free(self, worker: int | None = None) -> None:
        """Free what a dead worker was filling; without a number, all workers of the loader are dead."""
        for slots, _, _ in self.segments:
            slots.free(worker, self.loader)

    def __reduce__(self) -> tuple[Any, ...]:
        return _attached, (self.loader, self.fds, [segment[1:] for segment in self.segments])


def _attached(loader: int, fds: list[int], rest: list[Any]) -> KeptFrames:
    segments = (Segment(FrameSlots.attach(fd), *of_fd) for fd, of_fd in zip(fds, rest, strict=True))
    return KeptFrames(loader, tuple(segments))


def find_held(
    segments: Sequence[Segment],
    videos: NDArray[np.int64],
    frames: NDArray[np.int32],
    slots: NDArray[np.int32],
) -> NDArray[np.bool_]:
    """Return which frames are in their slots by now, in all streams.

    Parameters
    ----------
    segments : sequence of Segment
        The frame slots.
    videos : ndarray of int64, (tickets,)
        The storage's numbers.
    frames, slots : ndarray of int32, (tickets, time steps)
        Frames, and their slots, -1 for none.
    """
    videos, frames, slots = map(np.ascontiguousarray, (videos, frames, slots))
    held = np.zeros(frames.shape, np.bool_)
    for memory, _, first in segments:
        memory.mark_held(videos, frames, slots, first, held)
    return held
