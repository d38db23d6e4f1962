"""The places of a loader's frames in a `FrameCache`, which a ticket names in place of planned slots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastclips.engine.frame_cache import Wanted
from fastclips.serving.stats import MUCH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fastclips.data.dataset import Dataset
    from fastclips.engine.frame_cache import FrameCache, Places
    from fastclips.engine.kept_frames import KeptFrames
    from fastclips.serving.frame_plan import Sharing
    from fastclips.spec import StreamSpec

__all__ = ["FramePlaces", "find_slots", "keep_frames", "keys_of"]

_BITS = 32  # of a frame's number, below the video's


def keep_frames(
    cache: FrameCache,
    dataset: Dataset,
    streams: Sequence[StreamSpec],
    sharing: Sharing,
    *,
    time_steps: int,
    fast_dct: bool,
    max_pixels: int,
) -> tuple[KeptFrames, FramePlaces]:
    """Give the frames of a loader places in a cache.

    Parameters
    ----------
    cache : FrameCache
        Where they are kept.
    dataset : Dataset
        Whose frames.
    streams : sequence of StreamSpec
        The streams that are rendered.
    sharing : Sharing
        What clips can share.
    time_steps : int
        Frames in a clip.
    fast_dct : bool
        Whether JPEGs are decoded with the faster inverse DCT.
    max_pixels : int
        Larger frames are an error, also if another loader has decoded them.

    Returns
    -------
    KeptFrames
        For the workers.
    FramePlaces
        For the tickets.
    """
    index = dataset.index
    shared = tuple(stream for stream in streams if stream.name in dict(sharing.layout.areas))
    wanted = [
        Wanted(dataset.storage, (shared, scaled.scales, fast_dct, max_pixels), scaled.layout)
        for scaled in sharing.by_scales.values()
    ]
    kept, found = cache.keep(wanted, index.keys, index.starts, index.frame_counts)
    by_scales = dict(zip(sharing.by_scales, found, strict=True))
    missing = sum(
        places.missing * scaled.layout.nbytes
        for scaled, places in zip(sharing.by_scales.values(), found, strict=True)
    )
    return kept, FramePlaces(cache, by_scales, sharing.scales, time_steps, -(-missing // 2**20))


class FramePlaces:
    """Writes the places of frames into tickets.

    Parameters
    ----------
    cache : FrameCache
        Where they are.
    by_scales : dict of int to Places
        The places of frames that are decoded at the scales of a number.
    scales : callable, optional
        As of `Sharing`.
    time_steps : int
        Frames in a clip.
    missing : int
        So many MiB more would hold all frames.
    """

    def __init__(
        self,
        cache: FrameCache,
        by_scales: dict[int, Places],
        scales: Callable[[np.void], int] | None,
        time_steps: int,
        missing: int,
    ) -> None:
        self._cache, self._by_scales, self._scales, self._steps = cache, by_scales, scales, time_steps
        self._missing = missing
        self.evictions = 0  # a frame keeps its place
        self._keys = {number: keys_of(places) for number, places in by_scales.items()}
        self._uses = self._lost = 0

    def restart(self) -> None:
        """Do nothing: a frame's place does not depend on the batches before."""

    def assign(self, epoch: int, batch: int, tickets: NDArray[np.void]) -> None:  # noqa: ARG002 - as of `FramePlan`
        """Write the slots of a batch's frames into its tickets."""
        frames = tickets["frames"][:, : self._steps]
        frames = np.where(frames < 0, ~frames, frames)
        numbers = np.zeros(len(tickets), np.int64)
        if self._scales is not None:
            numbers[:] = [self._scales(ticket) for ticket in tickets]
        slots = np.full(frames.shape, -1, np.int64)
        for number, places in self._by_scales.items():
            rows = np.flatnonzero(numbers == number)
            if len(rows) and len(places.videos):
                slots[rows] = find_slots(places, self._keys[number], tickets["video"][rows], frames[rows])
        tickets["slots"][:, : self._steps] = slots
        self._uses += slots.size
        self._lost += int((slots < 0).sum())

    @property
    def lost(self) -> int:
        """How many of the frames of tickets have no place."""
        return self._lost

    @property
    def advice(self) -> str:
        """As of `Stats.cache_advice`."""
        share = self._lost / self._uses if self._uses else 0.0
        if share < MUCH or not self._missing:
            return ""
        return (
            f"{share:.0%} of the frames shown are not kept, as the FrameCache is full: with "
            f"{self._missing:,} MiB more it would hold them all."
        )

    @property
    def nbytes(self) -> int:
        """Bytes of the frames in the cache, those of other loaders included."""
        return self._cache.used


def keys_of(places: Places) -> NDArray[np.int64]:
    """Return a number for the begin of each run, ascending: it takes as long as there are runs."""
    return (places.videos << _BITS) + places.starts


def find_slots(
    places: Places, keys: NDArray[np.int64], videos: NDArray[np.int64], frames: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Return the slots of frames, (clips, time steps); -1 for none. `keys` are those of the places."""
    at = np.searchsorted(keys, (videos[:, None] << _BITS) + frames, side="right") - 1
    offset = frames - places.starts[at]
    there = (at >= 0) & (places.videos[at] == videos[:, None]) & (offset < places.counts[at])
    return np.where(there, places.slots[at] + offset, -1)
