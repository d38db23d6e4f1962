"""How many bytes of a ticket are read ahead at most: the room of a byte slot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastclips.data.ranges import RangeStorage, places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastclips.data.storage import Storage
    from fastclips.serving.schedule import TicketSchedule

__all__ = ["find_byte_room"]

_TICKETS = 256  # that are looked at
_TAKEN_APART = 16  # tickets of which each frame is looked at
_TABLE = 4096  # bytes for the table of ranges
_MOST = 4  # times the largest of these
_LARGEST = 2**26  # bytes


def find_byte_room(storage: Storage, streams: Sequence[str], schedule: TicketSchedule) -> int:
    """Return the bytes of a byte slot; 0 if the storage is not remote, so that nothing is read ahead.

    The largest clip that the index allows fits, unless it is much larger than the first clips. Workers read
    larger clips themselves.

    Parameters
    ----------
    storage : Storage
        Has the frames.
    streams : sequence of str
        Names of the streams that are rendered.
    schedule : TicketSchedule
        The clips.
    """
    if not (isinstance(storage, RangeStorage) and storage.is_remote):
        return 0
    tickets = schedule.tickets(0, 0, 1)
    if 0 < len(tickets) < _TICKETS:
        tickets = schedule.tickets(0, 0, -(-_TICKETS // len(tickets)))
    steps, largest, spread = schedule.time_steps, 0, 1.0
    frames = tickets["frames"][:_TICKETS, :steps].tolist()
    for number, (video, shown) in enumerate(zip(tickets["video"].tolist(), frames, strict=False)):
        together = _room(storage, streams, video, [max(frame, ~frame) for frame in shown])
        if together is None:
            continue
        largest = max(largest, together)
        if number < _TAKEN_APART:
            rooms = (_room(storage, streams, video, [frame]) for frame in {max(at, ~at) for at in shown})
            spread = max(spread, together / sum(filter(None, rooms)))
    room = max(int(spread * storage.clip_bytes(streams, steps)) + _TABLE, largest)
    return min(room, _MOST * largest if largest else room, _LARGEST)


def _room(storage: RangeStorage, streams: Sequence[str], video: int, frames: Sequence[int]) -> int | None:
    """Return the bytes in which some frames of a video are read; None if none are, as of local files."""
    ranges = storage.clip_ranges(video, dict.fromkeys(streams, frames))
    return places(ranges)[-1] if ranges else None
