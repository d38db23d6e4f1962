"""The shared memory of one loader: slots, tickets, leases.

The native arena (see native/README.md) holds ``slots`` batches of ``rows`` clips. Each row has a *cell*: a
ticket, and one atomic word with its state. ::

    EMPTY ──publish──> READY ──claim──> CLAIMED ──finish──> DONE | FAILED
      ^                 │ ^               │
      └─────cancel──────┘ └────reissue────┘     (reissue: only after the worker was reaped)

A slot is *settled* if none of its cells is READY or CLAIMED: only then may the trainer read it, or publish
into it again. Only the trainer knows which slots are in flight, draining or leased; all others are free.

The arrays of a batch hold a `Lease`. NumPy shortens chains of bases, so a view can die while its slices live
on. But an object with ``__array_interface__`` stays the base of every slice, reshape and DLPack export of its
array, so the lease lives exactly as long as the last of them.

A tensor of another framework holds an array by the capsule of `hand_over`. It may die in any thread, without
the GIL. So its array only dies with the next `drop_ended`, which the pool calls before it looks at leases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips._native import NOTE_BYTES, Arena, Rung, State, die_with_parent, drop_ended, hand_over

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.spec import SlotLayout

__all__ = [
    "COUNTERS",
    "DEATHS",
    "RAISED",
    "STAGES",
    "STUCK",
    "Arena",
    "Damage",
    "Death",
    "Lease",
    "State",
    "damage_to_note",
    "die_with_parent",
    "drop_ended",
    "from_note",
    "hand_over",
    "leased_arrays",
    "note_to_damage",
    "slot_views",
    "ticket_view",
    "to_note",
]

COUNTERS = (
    *("read_s", "decode_s", "kernel_s", "wait_s", "clips", "frames", "bytes", "pid"),
    *(rung.name.lower() for rung in Rung),  # frames decoded on each rung
    *("pixels", "decoded_pixels"),  # of those frames at their scale: all, and those that were decoded
    "movie_frames",  # decoded from video files
    *("worker", "since", "stage"),  # its number; the time of its last claim, or look for one; `STAGES`
    *("death_code", "death_video", "death_frame"),  # of the last worker of this row that died: see `Death`
    *("deaths", "reissued"),  # workers of this row that died; clips that are rendered again for it
    *("held", "filled"),  # frames that were taken from frame slots; that were decoded into them
    "ahead",  # clips whose bytes were in their byte slots
)
"""Columns of `Arena.counters`: each worker's totals since the loader began, and what it does now.

Rows of fetchers come after those of workers. They have the clips and bytes that were read ahead, pid, worker
and deaths.
"""

STAGES = ("is starting", "waits for work", "reads", "decodes", "runs the pixel steps of")
"""What a worker does, in words before the name of its clip. Times are those of `time.monotonic`."""

DEATHS = b"\0"  # begins a note of the nursery about workers that died over a clip
RAISED = b"\1"  # begins a note of a worker about an error of the user's code

STUCK = 1000
"""The `Death.code` of a worker that was killed over a clip for which it took too long."""

_REST_BYTES = 16  # of a note, for the number of frames left out


class Death(NamedTuple):
    """The end of a worker that was replaced. The nursery writes it before it counts it in ``"deaths"``.

    Parameters
    ----------
    code : int
        Exit code, or minus the signal; `STUCK` after the loader's timeout.
    video, frame : int
        The storage's numbers of the video and the first frame of its clip; -1 without a clip.
    """

    code: int
    video: int
    frame: int


class Damage(NamedTuple):
    """A frame that could not be read or decoded, and was replaced in its row.

    Parameters
    ----------
    stream : int
        Index of its stream among those that are rendered.
    frame : int
        The frame's number in the storage.
    why : str
        The reason.
    """

    stream: int
    frame: int
    why: str


def ticket_view(arena: Arena, dtype: np.dtype[np.void]) -> NDArray[np.void]:
    """Return the tickets of all cells, (cells,), as a view of the arena's memory.

    The arena was made with ``ticket_bytes=dtype.itemsize``; `dtype` is from `fastclips.spec.ticket_dtype`.
    """
    tickets: NDArray[np.void] = arena.tickets().view(dtype)[:, 0]
    return tickets


class Lease:
    """The consumer's hold on a slot, as long as this object lives. The engine refers to it weakly.

    It has no finalizer, since that could run in any thread, or in a forked child that holds a copy.
    """

    __slots__ = ("__weakref__",)


class _LeasedMemory:
    """The base of a leased array: its memory, and the objects that must live as long."""

    __slots__ = ("__array_interface__", "_keep")

    def __init__(self, view: NDArray[Any], lease: Lease) -> None:
        self.__array_interface__ = view.__array_interface__
        self._keep = (view, lease)


def leased_arrays(views: Mapping[str, NDArray[Any]], rows: int, lease: Lease) -> dict[str, NDArray[Any]]:
    """Return the first `rows` rows of a slot's arrays, over the same memory, as arrays that hold the lease.

    The lease dies with the last of these arrays and of the views made of them.
    """
    return {name: np.asarray(_LeasedMemory(view[:rows], lease)) for name, view in views.items()}


def to_note(text: str) -> bytes:
    """Encode text, which may hold a path of any bytes, for `Arena.set_note`."""
    return text.encode("utf-8", "surrogateescape")


def from_note(note: bytes) -> str:
    """Decode what `to_note` encoded, even if it was cut."""
    return note.decode("utf-8", "surrogateescape")


def damage_to_note(damage: Sequence[Damage]) -> bytes:
    """Encode the damaged frames of a clip, at least one, as a cell's note.

    The note has a line for each frame, its reason cut to its share of the room. If there is no room for all
    frames, the first ones are kept. The last line is the number of frames left out.
    """
    heads = [b"%d %d " % (stream, frame) for stream, frame, _ in damage]
    room, kept = NOTE_BYTES - _REST_BYTES, len(heads)
    while (left := room - sum(map(len, heads[:kept])) - kept) < 0:  # one byte each ends a line
        kept -= 1
    share = left // kept
    lines = [
        head + _cut(to_note(" ".join(why.split())), share)
        for head, (_, _, why) in zip(heads[:kept], damage, strict=False)
    ]
    return b"\n".join([*lines, b"%d" % (len(heads) - kept)])


def note_to_damage(note: bytes) -> tuple[list[Damage], int]:
    """Decode what `damage_to_note` encoded: the frames in the note, and the number of frames left out."""
    *lines, rest = from_note(note).split("\n")
    parts = (line.split(" ", 2) for line in lines)
    return [Damage(int(stream), int(frame), why) for stream, frame, why in parts], int(rest)


def _cut(text: bytes, most: int) -> bytes:
    """Cut UTF-8 to at most `most` bytes, between two characters."""
    if len(text) > most:
        while most and text[most] & 0xC0 == 0x80:  # noqa: PLR2004 - not the first byte of a character
            most -= 1
    return text[:most]


def slot_views(arena: Arena, layout: SlotLayout) -> list[dict[str, NDArray[Any]]]:
    """Return the arrays of each slot."""
    return [layout.arrays(arena.slot(slot)) for slot in range(arena.slots)]
