"""Shared memory of one loader: slots, tickets, leases.

The native arena (see native/README.md) holds ``slots`` batches of ``rows`` clips. Every row has a *cell*:
a ticket and one atomic word that says how far it is. ::

    EMPTY ──publish──> READY ──claim──> CLAIMED ──finish──> DONE | FAILED
      ^                 │ ^               │
      └─────cancel──────┘ └────reissue────┘     (reissue: only once the worker is known to be dead)

A slot is *settled* when none of its cells is READY or CLAIMED: only then may the trainer read it, or
publish into it again. Workers know nothing of slots beyond that: which are in flight, draining or leased is
the trainer's own business, and a slot that is none of these is free.

A batch's arrays hold a `Lease`. NumPy collapses chains of bases, so a view can die while slices of it live;
an object that exposes ``__array_interface__`` stays the base of every slice, reshape and DLPack export of it,
so the lease lives exactly as long as the last of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips._native import NOTE_BYTES, Arena, Rung, State, die_with_parent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.spec import SlotLayout

__all__ = [
    "COUNTERS",
    "Arena",
    "Damage",
    "Lease",
    "State",
    "damage_to_note",
    "die_with_parent",
    "from_note",
    "leased_arrays",
    "note_to_damage",
    "slot_views",
    "ticket_view",
    "to_note",
]

COUNTERS = (
    *("read_s", "decode_s", "kernel_s", "wait_s", "clips", "frames", "bytes", "pid"),
    *(rung.name.lower() for rung in Rung),  # frames decoded that way
    *("pixels", "decoded_pixels"),  # of those frames, at the scale at which they were decoded
)
"""Columns of `Arena.counters`: what each worker has spent and done since the loader began."""

_REST_BYTES = 16  # of a note: how many more there were


class Damage(NamedTuple):
    """A frame that could not be read or decoded, and was replaced in its row.

    Parameters
    ----------
    stream : int
        Place of its stream among those that are rendered.
    frame : int
        The storage's number.
    why : str
        What is wrong with it.
    """

    stream: int
    frame: int
    why: str


def ticket_view(arena: Arena, dtype: np.dtype[np.void]) -> NDArray[np.void]:
    """View every cell's ticket.

    Parameters
    ----------
    arena : Arena
        Made with ``ticket_bytes=dtype.itemsize``.
    dtype : numpy.dtype
        From `fastclips.spec.ticket_dtype`.

    Returns
    -------
    ndarray of void
        (cells,) tickets, sharing the arena's memory.
    """
    tickets: NDArray[np.void] = arena.tickets().view(dtype)[:, 0]
    return tickets


class Lease:
    """The consumer's hold on a slot, for as long as this object lives: refer to it weakly.

    It has no finalizer, which could run in any thread, or in a forked child that only holds a copy.
    """

    __slots__ = ("__weakref__",)


class _LeasedMemory:
    """What a leased array has as its base: its place, and what must live as long."""

    __slots__ = ("__array_interface__", "_keep")

    def __init__(self, view: NDArray[Any], lease: Lease) -> None:
        self.__array_interface__ = view.__array_interface__
        self._keep = (view, lease)


def leased_arrays(views: Mapping[str, NDArray[Any]], rows: int, lease: Lease) -> dict[str, NDArray[Any]]:
    """Return the first rows of a slot's arrays as arrays that hold the lease.

    Parameters
    ----------
    views : mapping of str to ndarray
        The slot's arrays, from `SlotLayout.arrays`.
    rows : int
        How many rows the batch has.
    lease : Lease
        Dies with the last of the arrays and all that is made over them.

    Returns
    -------
    dict of str to ndarray
        The same memory, leased.
    """
    return {name: np.asarray(_LeasedMemory(view[:rows], lease)) for name, view in views.items()}


def to_note(text: str) -> bytes:
    """Encode text, which may hold a path of any bytes, for `Arena.set_note`."""
    return text.encode("utf-8", "surrogateescape")


def from_note(note: bytes) -> str:
    """Decode what `to_note` encoded, even if it was cut."""
    return note.decode("utf-8", "surrogateescape")


def damage_to_note(damage: Sequence[Damage]) -> bytes:
    """Encode what is damaged in a clip, as much as a cell's note holds.

    Parameters
    ----------
    damage : sequence of Damage
        One at least.

    Returns
    -------
    bytes
        All of it, reasons cut to what room there is; or the first ones and how many there are beside.
    """
    heads = [b"%d %d " % (stream, frame) for stream, frame, _ in damage]
    room, kept = NOTE_BYTES - _REST_BYTES, len(heads)
    while (left := room - sum(map(len, heads[:kept])) - kept) < 0:  # a byte each: the end of a line
        kept -= 1
    share = left // kept
    lines = [
        head + _cut(to_note(" ".join(one.why.split())), share)
        for head, one in zip(heads[:kept], damage, strict=False)
    ]
    return b"\n".join([*lines, b"%d" % (len(heads) - kept)])


def note_to_damage(note: bytes) -> tuple[list[Damage], int]:
    """Decode what `damage_to_note` encoded.

    Returns
    -------
    list of Damage
        Those that the note had room for.
    int
        How many more there are.
    """
    *lines, rest = from_note(note).split("\n")
    parts = (line.split(" ", 2) for line in lines)
    return [Damage(int(stream), int(frame), why) for stream, frame, why in parts], int(rest)


def _cut(text: bytes, most: int) -> bytes:
    """Cut UTF-8 between two characters."""
    if len(text) > most:
        while most and text[most] & 0xC0 == 0x80:  # noqa: PLR2004 - not the first byte of a character
            most -= 1
    return text[:most]


def slot_views(arena: Arena, layout: SlotLayout) -> list[dict[str, NDArray[Any]]]:
    """Return every slot's arrays."""
    return [layout.arrays(arena.slot(slot)) for slot in range(arena.slots)]
