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

from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips._native import Arena, State, die_with_parent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fastclips.spec import SlotLayout

__all__ = [
    "COUNTERS",
    "Arena",
    "Lease",
    "State",
    "die_with_parent",
    "from_note",
    "leased_arrays",
    "slot_views",
    "ticket_view",
    "to_note",
]

COUNTERS = (
    *("read_s", "decode_s", "kernel_s", "wait_s", "clips", "frames", "bytes", "pid"),
    *("sliced", "cropped", "whole", "pillow", "arrays"),  # frames, by `fastclips.pixels.decode.Rung`
    *("pixels", "decoded_pixels"),  # of those frames, at the scale at which they were decoded
)
"""Columns of `Arena.counters`: what each worker has spent and done since the loader began."""


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


def slot_views(arena: Arena, layout: SlotLayout) -> list[dict[str, NDArray[Any]]]:
    """Return every slot's arrays."""
    return [layout.arrays(arena.slot(slot)) for slot in range(arena.slots)]
