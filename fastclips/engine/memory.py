"""How large an arena is: slots for batches, then frame slots in what they leave of a loader's memory.

Byte slots come with the slots, one for each ticket. If memory does not hold three slots with them, there are
none.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from fastclips._native import PAGE
from fastclips.engine.arena import Arena
from fastclips.engine.fetcher import reading_for
from fastclips.errors import EngineError, OptionError, why_failed
from fastclips.processes import fill_standard_streams

if TYPE_CHECKING:
    from fastclips.spec import FrameLayout, RenderSpec

__all__ = ["new_arena"]

_LEAST_SLOTS = 3  # a batch with the consumer, a batch that is ready, a batch that is written


def new_arena(
    spec: RenderSpec, workers: int, memory: int, wanted: int, cache: int | None, most_frames: int
) -> Arena:
    """Make the arena of a pool.

    Parameters
    ----------
    spec : RenderSpec
        Describes a batch, a frame where it has `shared`, and byte slots where it has `ahead_bytes`.
    workers : int
        Number of workers.
    memory : int
        Most bytes of the arena.
    wanted : int
        So many slots are enough.
    cache : int or None
        Bytes for frame slots; None for what the slots leave.
    most_frames : int
        No more frame slots than this.

    Raises
    ------
    OptionError
        If three batches do not fit into `memory` beside `cache`, or no frame into `cache`.
    EngineError
        If a limit of the process does not allow the arena.
    """
    geometry = {
        "rows": spec.layout.tickets,
        "workers": workers,
        "ticket_bytes": spec.ticket_dtype.itemsize,
        "slot_bytes": spec.layout.nbytes,
    }
    shared: FrameLayout | None = getattr(spec, "shared", None)
    if ahead_bytes := getattr(spec, "ahead_bytes", 0):
        fetchers = reading_for(workers, ahead_bytes).fetchers
        ahead = geometry | {"ahead_bytes": ahead_bytes, "workers": workers + fetchers}
        needed = Arena.nbytes_of(slots=_LEAST_SLOTS, **ahead) + (cache or 0)
        if needed <= memory:
            geometry = ahead
        else:
            warnings.warn(
                f"memory={memory}: does not hold {_LEAST_SLOTS} batches with the bytes of their clips, up to "
                f"{ahead_bytes} each, so this remote pack is not read ahead, and workers wait for each clip; "
                f'give memory="{-(-needed // 2**20)}MiB" or more, or a smaller batch_size',
                stacklevel=6,  # where a loader is made
            )
    slots = _slots(geometry, memory, wanted, cache if shared else None)
    if shared is not None:
        geometry |= _frames(geometry, slots, memory, shared, cache, most_frames)
    try:
        fill_standard_streams()
        return Arena(slots=slots, **geometry)
    except OSError as error:
        raise EngineError(f"cannot make the shared memory of batches: {why_failed(error)}") from error


def _slots(geometry: dict[str, int], memory: int, wanted: int, cache: int | None) -> int:
    least = Arena.nbytes_of(slots=_LEAST_SLOTS, **geometry)
    if cache and least <= memory < cache + least:
        raise OptionError(
            f"cache={cache}: leaves {max(memory - cache, 0)} bytes of memory={memory} to batches, but "
            f'{_LEAST_SLOTS} batches take {least} bytes; give memory="{-(-(cache + least) // 2**20)}MiB" or '
            "more, or a smaller cache"
        )
    memory -= cache or 0
    if memory < least:
        raise OptionError(
            f"memory={memory}: must be at least {least} bytes, the room of {_LEAST_SLOTS} batches of "
            f'{geometry["slot_bytes"]} bytes; give memory="{-(-least // 2**20)}MiB" or more, or a smaller '
            "batch_size"
        )
    more = Arena.nbytes_of(slots=_LEAST_SLOTS + 1, **geometry) - least
    per_slot = more + PAGE  # the cells of another slot may begin a page
    return min(_LEAST_SLOTS + (memory - least) // per_slot, max(wanted, _LEAST_SLOTS))


def _frames(
    geometry: dict[str, int],
    slots: int,
    memory: int,
    shared: FrameLayout,
    cache: int | None,
    most: int,
) -> dict[str, int]:
    """Return the part of an arena's geometry that gives it frame slots."""
    parts = {"areas": len(shared.areas), "frame_bytes": shared.nbytes}
    several = Arena.nbytes_of(slots=slots, frames=PAGE, **parts, **geometry)
    per_frame = -(-(several - Arena.nbytes_of(slots=slots, **geometry)) // PAGE)
    left = memory - Arena.nbytes_of(slots=slots, **geometry) - PAGE  # the heads may begin a page
    if cache and cache < per_frame + PAGE:
        raise OptionError(
            f"cache={cache}: must be 0, or at least {per_frame + PAGE} bytes, the room of one decoded frame"
        )
    frames = min((left if cache is None else min(cache - PAGE, left)) // per_frame, most)
    return parts | {"frames": max(frames, 0)}
