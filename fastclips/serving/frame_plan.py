"""Which decoded frames clips share, and in which frame slots: the plan is known ahead.

`find_sharing` looks what sharing would save: decoding a box of a frame for each clip that shows it, against
decoding the frame whole once and copying the box. A `FramePlan` looks ahead in the schedule, over the end of
the epoch, and writes into each ticket the slots of its frames (`native/planner.h`). It decides nothing about
pixels: a worker that does not find what the plan says decodes for itself.
"""

from __future__ import annotations

import math
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastclips._native import FramePlanner
from fastclips.data.mixed_storage import are_decoded
from fastclips.data.storage import opened
from fastclips.errors import FrameError
from fastclips.pixels.decoding.decoder import Decoder, Rung, frame_size
from fastclips.pixels.geometry.regions import find_source
from fastclips.serving.frame_check import Looked
from fastclips.serving.stats import MUCH
from fastclips.spec import FrameLayout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.data.dataset import Dataset
    from fastclips.engine.contract import Engine
    from fastclips.pixels.recipe import Recipe
    from fastclips.serving.schedule import TicketSchedule
    from fastclips.spec import StreamSpec

__all__ = ["FramePlan", "Room", "Sharing", "find_sharing"]

_SAMPLES = 16  # clips whose maps are looked at
# Times by that of a pixel of a JPEG, from its code to its colour:
_CODES = 0.5  # reading its code, also where it is passed on the way to a box
_COPY = 0.12  # copying it, from a slot or to a slot
_PNG = 0.5  # decoding a pixel of a mask, a PNG
_VIDEO = 2.0  # decoding a pixel of a video, with frames on the way to it
_VIDEOS = 4  # video files that are looked at
_ROOM = 2**20  # uses of frames to look ahead: 64 MiB
_FIRST = 2**18  # uses to look ahead before the first batch
_FASTER = 4  # batches to look ahead further for each batch
_FIRST_SCALED, _FASTER_SCALED = 2**16, 2  # the same where each ticket's scale must be found
_EPOCHS = 2  # to look ahead beyond this one, if each clip is shown in every epoch
_MOST_EPOCHS = 256  # that take to show each clip once
_MARGIN = 4.0  # least of `Sharing.margin`
_RESTS = 4  # tickets for each worker, before a slot that was used is given to another frame
_BATCHES = 64  # of the schedule at a time


class Scaled(NamedTuple):
    """Frames at some scales.

    Parameters
    ----------
    scales : tuple of int
        The scale of each stream.
    layout : FrameLayout
        The room of a frame.
    """

    scales: tuple[int, ...]
    layout: FrameLayout


class Sharing(NamedTuple):
    """What clips can share.

    Parameters
    ----------
    layout : FrameLayout
        The streams, and the room of a frame of each.
    least_uses : int
        So many clips must show a frame, or it costs more to share it than to decode its parts.
    margin : float
        A frame gives its slot to another one if that is shown so many times sooner. Each such change costs
        a whole frame. By simulation of shuffled windows, this many times is near the best for every cost.
    scales : callable, optional
        Returns a number for the scales at which a ticket's frames are decoded, 0 to 3 for each stream, where
        these differ from clip to clip.
    by_scales : mapping of int to Scaled
        What such a number stands for, the most frequent one first; number 0 without `scales`.
    """

    layout: FrameLayout
    least_uses: int
    margin: float
    scales: Callable[[np.void], int] | None
    by_scales: Mapping[int, Scaled]


def find_sharing(
    dataset: Dataset,
    streams: Sequence[StreamSpec],
    recipe: Recipe,
    looked: Mapping[str, Sequence[Looked]],
    rows: int = 1,
) -> Sharing | None:
    """Find the streams whose decoded frames clips can share.

    Parameters
    ----------
    dataset : Dataset
        The frames.
    streams : sequence of StreamSpec
        The streams that are rendered.
    recipe : Recipe
        What is done to each clip.
    looked : mapping of str to sequence of Looked
        A few frames of each stream. Pixels that need no decoding are not shared. Of videos, the sizes of a
        few are looked at here.
    rows : int
        Rows of a ticket, each with draws of its own, for which a frame is decoded once.

    Returns
    -------
    Sharing or None
        None if nothing can be shared, or each time step or row has a scale of its own.
    """
    draws = np.random.default_rng(0).random((_SAMPLES, recipe.draws)).tolist()
    decoded = np.flatnonzero(are_decoded(dataset.storage, dataset.index.keys))  # rows of video files
    areas, costs, rooms, scales = [], [], [], []
    numbers = np.zeros(_SAMPLES, np.int64)  # for the scales of each sample
    scaled: list[tuple[Recipe, tuple[int, int]]] = []
    for stream in streams:
        frames = looked.get(stream.name, ())
        found = {(one.size, False) for one in frames if one.size and one.nbytes is not None}
        found |= {(one.size, True) for one in _look_at_videos(dataset, stream, decoded) if one.size}
        if not found:
            continue
        own, sizes = recipe.of(stream), [size for size, _ in found]
        slices = stream.kind == "image" and not len(decoded) and _has_markers(dataset, stream)
        by_size = [
            [
                _look(own, stream, size, sample, number, slices=slices, video=video)
                for number, sample in enumerate(draws)
            ]
            for size, video in sorted(found)
        ]
        seen = [one for of_size in by_size for one in of_size]
        if len({one.scale for one in seen}) > 1:
            if own.by_frame or rows > 1:
                return None
            scaled.append((own, min(sizes)))
            numbers = _with_scale(numbers, np.array([one.scale for one in by_size[0]]))
        scales.append([one.scale for one in by_size[0]])
        pixel = stream.frame_channels * np.dtype(stream.decoded_dtype).itemsize
        rooms.append([max(one.pixels for one in at) * pixel for at in zip(*by_size, strict=True)])
        areas.append((stream.name, max(rooms[-1])))
        costs.append(np.mean([(one.part, one.whole, one.copy) for one in seen], axis=0))
    if not areas:
        return None
    part, whole, copy = np.sum(costs, axis=0).tolist()
    if rows > 1:  # without slots, too, the frame is copied to each row
        part, copy = min(rows * part, whole), 0.0
    saved = part - copy
    margin = max(_MARGIN, 2 * _MARGIN * (whole - part) / saved)
    by_scales = {}
    for number, _ in Counter(numbers.tolist()).most_common():
        samples = numbers == number
        most = np.array(rooms)[:, samples].max(axis=1).tolist()
        room = FrameLayout(tuple((name, nbytes) for (name, _), nbytes in zip(areas, most, strict=True)))
        by_scales[number] = Scaled(tuple(np.array(scales)[:, samples][:, 0].tolist()), room)
    layout = FrameLayout(tuple(areas))
    return Sharing(layout, math.floor(whole / saved) + 1, margin, _scales(scaled), by_scales)


def _with_scale(number: NDArray[np.int64], scale: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of scales, as in `_scales`, with those of one more stream."""
    return (4 * number + np.log2(scale).astype(np.int64)) % 256


class _Seen(NamedTuple):
    """A clip's map of frames of a size."""

    scale: int
    pixels: int  # of the whole frame at this scale
    part: float  # costs of decoding the part that the clip needs,
    whole: float  # and the whole frame, into a slot,
    copy: float  # and of copying the part


def _look(
    recipe: Recipe,
    stream: StreamSpec,
    size: tuple[int, int],
    draws: list[float],
    number: int,
    *,
    slices: bool,
    video: bool,
) -> _Seen:
    """Return what one clip does to a frame of a size."""
    height, width = size
    geometry = recipe.geometry(
        height, width, recipe.own_draws(draws), number % recipe.views, number % recipe.time_steps
    )
    if video or stream.kind != "image":
        pixels, cost = height * width, _VIDEO if video else _PNG
        return _Seen(1, pixels, cost * pixels, (cost + _COPY) * pixels, _COPY * pixels)
    scale, source = geometry.scale, find_source(geometry, height, width, recipe.border.fill)
    box = (source.bottom - source.top) * (source.right - source.left)
    part = box if slices else _CODES * source.bottom * width + (1 - _CODES) * box
    pixels = -(-height // scale) * -(-width // scale)
    return _Seen(scale, pixels, part, (1 + _COPY) * height * width, _COPY * box)


def _look_at_videos(dataset: Dataset, stream: StreamSpec, rows: NDArray[np.int64]) -> list[Looked]:
    """Return the sizes of the first frames of a few videos, of some rows."""
    index, found = dataset.index, []
    some = np.unique(np.linspace(0, len(rows) - 1, _VIDEOS).astype(np.int64)) if len(rows) else rows
    for row in rows[some].tolist():
        with suppress(FrameError):
            data = opened(dataset.storage).read(stream.name, index.keys.item(row), index.starts.item(row))
            found.append(Looked(frame_size(data)))  # type: ignore[arg-type]
    return found


def _has_markers(dataset: Dataset, stream: StreamSpec) -> bool:
    """Whether the first frame is a JPEG with restart markers, so that only a part of it need be read."""
    index = dataset.index
    try:
        data = opened(dataset.storage).read(stream.name, index.keys.item(0), index.starts.item(0))
        decoder = Decoder(stream)
        height, _ = decoder.size(data)  # type: ignore[arg-type]
        return decoder.decode(data, (height // 2, 0, height // 2 + 1, 1)).rung == Rung.SLICED  # type: ignore[arg-type]
    except (FrameError, TypeError):  # damaged or missing
        return False


def _scales(scaled: list[tuple[Recipe, tuple[int, int]]]) -> Callable[[np.void], int] | None:
    """Return the function `Sharing.scales` for recipes of streams, and the sizes of their frames."""
    if not scaled:
        return None

    def scales(ticket: np.void) -> int:
        draws, view, number = ticket["draws"].tolist(), int(ticket["view"]), 0
        for recipe, size in scaled:
            scale = recipe.geometry(*size, recipe.own_draws(draws), view).scale
            number = (4 * number + scale.bit_length() - 1) % 256
        return number

    return scales


class Room(NamedTuple):
    """What a loader could have.

    Parameters
    ----------
    frames : int
        All frames of the dataset.
    knob : str
        What bounds the frame slots: ``"memory"`` or ``"cache"``.
    nbytes : int
        Its value.
    lanes : int
        An `interleave` that would bring clips which overlap near each other; 0 if none would.
    """

    frames: int
    knob: str
    nbytes: int
    lanes: int


class FramePlan:
    """Gives frame slots to the frames of tickets.

    Parameters
    ----------
    schedule : TicketSchedule
        The batches.
    sharing : Sharing
        What clips share.
    engine : Engine
        What has frame slots.
    workers : int
        Number of workers.
    more : Room
        What would help if there are too few slots.
    epochs : int
        In so many epochs, every clip that is shown at all is shown once.
    """

    def __init__(
        self,
        schedule: TicketSchedule,
        sharing: Sharing,
        engine: Engine,
        workers: int,
        more: Room,
        epochs: int = 1,
    ) -> None:
        self._epochs = _EPOCHS * min(epochs, _MOST_EPOCHS)
        self._engine, self._more, slots = engine, more, engine.frames
        self._schedule, self._sharing = schedule, sharing
        steps = schedule.time_steps
        rest = max(min(_RESTS * workers, slots // (4 * steps)), 1)
        self._next: tuple[int, int] | None = None  # the batch to assign next
        self._ahead = (0, 0)  # the batch to look at next
        self._seen = schedule.tickets(0, 0, 1)[:0]  # tickets before it for which there was no room yet
        self._scales = np.zeros(0, np.uint8)  # of these
        scaled = sharing.scales is not None
        self._first, self._faster = (_FIRST_SCALED, _FASTER_SCALED) if scaled else (_FIRST, _FASTER)
        self._planner = FramePlanner(
            slots=slots,
            least_uses=sharing.least_uses,
            margin=sharing.margin,
            rest=rest,
            room=_ROOM,
        )

    def restart(self) -> None:
        """Take the next batch for one that does not follow the last one, whatever its number."""
        self._next = None

    def assign(self, epoch: int, batch: int, tickets: NDArray[np.void]) -> None:
        """Write the frame slots of a batch's frames into its tickets.

        Batches may come in any order. Where they do not follow each other, a new plan begins, with the frames
        that are in slots by then.
        """
        if (epoch, batch) != self._next:
            self._begin(epoch, batch)
        self._look_ahead(epoch)
        steps = self._schedule.time_steps
        slots = np.empty((len(tickets), steps), np.int32)
        if self._planner.assign(*self._columns(tickets), slots):
            tickets["slots"][:, :steps] = slots
            self._next = (
                (epoch, batch + 1) if batch + 1 < self._schedule.batches_in(epoch) else (epoch + 1, 0)
            )
        else:  # there was no room to look even at these
            self._next = None

    @property
    def counts(self) -> dict[str, int]:
        """Planned so far: uses of frames, hits, fills; and frames lost that another slot would have kept."""
        return dict(zip(("uses", "hits", "fills", "lost"), self._planner.counts, strict=True))

    @property
    def nbytes(self) -> int:
        """Bytes of the slots that hold a frame."""
        return self._engine.frame_nbytes * self.used

    @property
    def evictions(self) -> int:
        """Frames that gave up their slot to another one."""
        return self.counts["fills"] - self.used

    @property
    def lost(self) -> int:
        """Frames lost that another slot would have kept."""
        return self.counts["lost"]

    @property
    def advice(self) -> str:
        """As of `Stats.cache_advice`."""
        counts, more = self.counts, self._more
        share = counts["lost"] / max(counts["uses"] - counts["hits"], 1)
        missing = (more.frames - self._engine.frames) * self._engine.frame_nbytes
        if share < MUCH or missing <= 0:
            return ""
        enough = more.nbytes + missing + (self._engine.wanted_nbytes if more.knob == "memory" else 0)
        lanes = ""
        if more.lanes:
            lanes = f"; interleave={more.lanes} needs less, as it shows clips that overlap near each other"
        return (
            f'{more.knob}="{enough // 2**20 + 1}MiB" would save {share:.0%} of decoding, as it holds all '
            f"frames{lanes}."
        )

    @property
    def used(self) -> int:
        """How many slots hold a frame."""
        return self._planner.used

    def _begin(self, epoch: int, batch: int) -> None:
        """Begin a plan at a batch, with the frames that slots hold by the plan before."""
        self._planner.restart()
        self._next = self._ahead = epoch, batch
        self._seen = self._seen[:0]
        last = epoch + self._epochs - 1
        while self._ahead[0] <= last and self._planner.ahead < self._first and self._extend(_BATCHES):
            pass

    def _look_ahead(self, epoch: int) -> None:
        """Look at some more batches, at most so far that each clip is seen twice after this epoch."""
        if self._ahead[0] <= epoch + self._epochs:
            self._extend(self._faster)

    def _extend(self, batches: int) -> bool:
        """Look at up to so many batches; return whether there was room."""
        if not len(self._seen):
            epoch, batch = self._ahead
            batches = min(batches, self._schedule.batches_in(epoch) - batch)
            self._seen = self._schedule.tickets(epoch, batch, batches)
            ends = batch + batches == self._schedule.batches_in(epoch)
            self._ahead = (epoch + 1, 0) if ends else (epoch, batch + batches)
            self._scales = np.zeros(len(self._seen), np.uint8)
            if self._sharing.scales is not None:
                self._scales[:] = [self._sharing.scales(ticket) for ticket in self._seen]
        added = self._planner.extend(*self._columns(self._seen), self._scales)
        self._seen, self._scales = self._seen[added:], self._scales[added:]
        return not len(self._seen)

    def _columns(self, tickets: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return videos and frames of tickets."""
        frames = np.ascontiguousarray(tickets["frames"][:, : self._schedule.time_steps])
        return np.ascontiguousarray(tickets["video"]), frames
