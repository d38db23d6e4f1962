"""Which decoded frames clips share, and in which frame slots: the plan is known ahead.

`find_sharing` looks what sharing would save: decoding a box of a frame for each clip that shows it, against
decoding the frame whole once and copying the box. A `FramePlan` looks ahead in the schedule, over the end of
the epoch, and writes into each ticket the slots of its frames (`native/planner.h`). It decides nothing about
pixels: a worker that does not find what the plan says decodes for itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastclips._native import FramePlanner
from fastclips.pixels.geometry.regions import find_source
from fastclips.spec import FrameLayout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.pixels.recipe import Recipe
    from fastclips.serving.clip_schedule import ClipSchedule
    from fastclips.serving.frame_check import Looked
    from fastclips.spec import StreamSpec

__all__ = ["FramePlan", "Sharing", "find_sharing"]

_SAMPLES = 16  # clips whose maps are looked at
_COPY = 0.12  # time of copying a pixel, by that of decoding it from a JPEG
_PNG = 4.0  # time of decoding a pixel from a PNG, by the same
_ROOM = 2**20  # uses of frames to look ahead: 64 MiB
_FIRST = 2**18  # uses to look ahead before the first batch
_FASTER = 8  # batches to look ahead further for each batch
_EPOCHS = 2  # to look ahead beyond this one
_RESTS = 4  # tickets for each worker, before a slot that was used is given to another frame
_BATCHES = 64  # of the schedule at a time


class Sharing(NamedTuple):
    """What clips can share.

    Parameters
    ----------
    layout : FrameLayout
        The streams, and the room of a frame of each.
    least_uses : int
        So many clips must show a frame, or it costs more to share it than to decode its parts.
    scales : callable, optional
        Returns a number for the scales at which a ticket's frames are decoded, 0 to 3 for each stream, where
        these differ from clip to clip.
    """

    layout: FrameLayout
    least_uses: int
    scales: Callable[[np.void], int] | None


def find_sharing(
    streams: Sequence[StreamSpec],
    recipe: Recipe,
    looked: Mapping[str, Sequence[Looked]],
) -> Sharing | None:
    """Find the streams whose decoded frames clips can share.

    Parameters
    ----------
    streams : sequence of StreamSpec
        The streams that are rendered.
    recipe : Recipe
        What is done to each clip.
    looked : mapping of str to sequence of Looked
        A few frames of each stream. Pixels that need no decoding are not shared, nor are frames of storages
        where nothing was looked at.

    Returns
    -------
    Sharing or None
        None if nothing can be shared, or each time step has a scale of its own.
    """
    draws = np.random.default_rng(0).random((_SAMPLES, recipe.draws)).tolist()
    areas, parts, whole, copied = [], 0.0, 0.0, 0.0
    scaled: list[tuple[Recipe, tuple[int, int]]] = []
    for stream in streams:
        sizes = {one.size for one in looked.get(stream.name, ()) if one.nbytes is not None and one.size}
        if not sizes:
            continue
        own = recipe.of(stream)
        cost = 1.0 if stream.kind == "image" else _PNG
        found: set[int] = set()
        nbytes, box, full = 0, 0.0, 0.0
        for height, width in sizes:
            for number, sample in enumerate(draws):
                geometry = own.geometry(
                    height, width, own.own_draws(sample), number % recipe.views, number % recipe.time_steps
                )
                scale = geometry.scale if stream.kind == "image" else 1
                found.add(scale)
                nbytes = max(nbytes, -(-height // scale) * -(-width // scale))
                full += height * width
                box += height * width
                if stream.kind == "image":
                    source = find_source(geometry, height, width, own.border.fill)
                    box += (source.bottom - source.top) * (source.right - source.left) - height * width
        if len(found) > 1:
            if own.by_frame:
                return None
            scaled.append((own, next(iter(sizes))))
        pixel = stream.frame_channels * np.dtype(stream.decoded_dtype).itemsize
        areas.append((stream.name, nbytes * pixel))
        shown = full / len(sizes) / _SAMPLES
        parts += cost * box / len(sizes) / _SAMPLES
        whole += cost * shown
        copied += _COPY * box / len(sizes) / _SAMPLES
    if not areas:
        return None
    least = math.floor(whole / (parts - copied)) + 1
    return Sharing(FrameLayout(tuple(areas)), least, _scales(scaled))


def _scales(scaled: list[tuple[Recipe, tuple[int, int]]]) -> Callable[[np.void], int] | None:
    """Return the function `Sharing.scales` for recipes of streams, and the sizes of their frames."""
    if not scaled:
        return None

    def scales(ticket: np.void) -> int:
        draws, view, number = ticket["draws"].tolist(), int(ticket["view"]), 0
        for recipe, size in scaled:
            scale = recipe.geometry(*size, recipe.own_draws(draws), view).scale
            number = 4 * number + scale.bit_length() - 1
        return number % 256

    return scales


class FramePlan:
    """Gives frame slots to the frames of tickets.

    Parameters
    ----------
    schedule : ClipSchedule
        The batches.
    sharing : Sharing
        What clips share.
    slots : int
        Number of frame slots.
    workers : int
        Number of workers.
    """

    def __init__(self, schedule: ClipSchedule, sharing: Sharing, slots: int, workers: int) -> None:
        self._schedule, self._sharing, self._slots = schedule, sharing, slots
        steps = schedule.time_steps
        self._rest = max(min(_RESTS * workers, slots // (4 * steps)), 1)
        self._next: tuple[int, int] | None = None  # the batch to assign next
        self._ahead = (0, 0)  # the batch to look at next
        self._seen = schedule.tickets(0, 0, 1)[:0]  # tickets before it for which there was no room yet
        self._planner: FramePlanner
        self._totals = np.zeros(4, np.int64)  # of planners before this one

    def assign(self, epoch: int, batch: int, tickets: NDArray[np.void]) -> None:
        """Write the frame slots of a batch's frames into its tickets.

        Batches may come in any order, but only those that follow each other share frames.
        """
        if (epoch, batch) != self._next:
            self._begin(epoch, batch)
        self._look_ahead(epoch)
        steps = self._schedule.time_steps
        slots = np.empty((len(tickets), steps), np.int32)
        if self._planner.assign(*self._columns(tickets), slots):
            tickets["slots"][:, :steps] = slots
            self._next = (epoch, batch + 1) if batch + 1 < len(self._schedule) else (epoch + 1, 0)
        else:  # there was no room to look even at these
            self._next = None

    @property
    def counts(self) -> dict[str, int]:
        """Planned so far: uses of frames, hits, fills; and frames lost that another slot would have kept."""
        totals = self._totals.copy()
        if self._next is not None:
            totals += self._planner.counts
        return dict(zip(("uses", "hits", "fills", "lost"), totals.tolist(), strict=True))

    @property
    def used(self) -> int:
        """How many slots hold a frame."""
        return 0 if self._next is None else self._planner.used

    def _begin(self, epoch: int, batch: int) -> None:
        """Begin a plan at a batch. Frames that are in slots by now count as unknown."""
        if self._next is not None:
            self._totals += self._planner.counts
        self._planner = FramePlanner(
            slots=self._slots, least_uses=self._sharing.least_uses, rest=self._rest, room=_ROOM
        )
        self._next = self._ahead = epoch, batch
        self._seen = self._seen[:0]
        while self._ahead[0] < epoch + _EPOCHS and self._planner.ahead < _FIRST and self._extend(_BATCHES):
            pass

    def _look_ahead(self, epoch: int) -> None:
        """Look at some more batches, at most to the end of the epoch after the next."""
        if self._ahead[0] <= epoch + _EPOCHS:
            self._extend(_FASTER)

    def _extend(self, batches: int) -> bool:
        """Look at up to so many batches; return whether there was room."""
        if not len(self._seen):
            epoch, batch = self._ahead
            batches = min(batches, len(self._schedule) - batch)
            self._seen = self._schedule.tickets(epoch, batch, batches)
            ends = batch + batches == len(self._schedule)
            self._ahead = (epoch + 1, 0) if ends else (epoch, batch + batches)
        added = self._planner.extend(*self._columns(self._seen))
        self._seen = self._seen[added:]
        return not len(self._seen)

    def _columns(
        self, tickets: NDArray[np.void]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint8]]:
        """Return videos, frames and scales of tickets."""
        scales = np.zeros(len(tickets), np.uint8)
        if self._sharing.scales is not None:
            scales[:] = [self._sharing.scales(ticket) for ticket in tickets]
        frames = np.ascontiguousarray(tickets["frames"][:, : self._schedule.time_steps])
        return np.ascontiguousarray(tickets["video"]), frames, scales
