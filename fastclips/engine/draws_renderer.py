"""Tickets of several rows: one clip, with draws of its own for each row.

Each frame is read once for all rows. It is decoded once at each scale that the rows need, and placed in all
of them.

Rows are what tickets of one row would give, bit for bit. If anything is damaged or wrong, each row is
rendered by itself, by `Renderer`, since which damage is found depends on what a row needs of a frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.engine.clip_placer import ClipPlacer
from fastclips.engine.renderer import Renderer
from fastclips.engine.rendering import DECODE, FILLED, HELD, KERNEL, READ, STEPS, Meter
from fastclips.errors import DamageError, FastclipsError
from fastclips.pixels.decoding.decoder import Decoded
from fastclips.pixels.geometry.regions import Source
from fastclips.reserved import WEIGHT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.engine.arena import Damage
    from fastclips.engine.clip_placer import Clip, StreamSetup
    from fastclips.engine.clip_spec import ClipSpec
    from fastclips.engine.shared_frames import StreamFrames
    from fastclips.pixels.decoding.decoder import Decoder

__all__ = ["DrawsRenderer"]

_OF_ROW = ("draws", "weight")  # what a ticket has for each row


class DrawsRenderer(Renderer):
    """Turns a ticket of several rows into these rows.

    Parameters
    ----------
    spec : ClipSpec
        What to read, how to decode it, and where to write it; ``spec.layout.ticket_rows`` is above 1.
    single_threaded : bool
        As for `Renderer`.
    """

    def __init__(self, spec: ClipSpec, *, single_threaded: bool = False) -> None:
        super().__init__(spec, single_threaded=single_threaded)
        self._rows_scratch: dict[str, NDArray[Any]] = {}  # by stream
        self._row_dtype = _without_rows(spec.ticket_dtype)

    def _render(
        self,
        ticket: np.void,
        row: Mapping[str, NDArray[Any]],
        counters: NDArray[np.float64],
        lost: str = "",
    ) -> list[Damage]:
        """Write all rows of a clip; `row` has arrays (rows, T, ...)."""
        each = range(self._spec.layout.ticket_rows)
        rows = [{name: array[at, ...] for name, array in row.items()} for at in each]
        if not lost and self._render_together(ticket, rows, counters):
            return []
        damage: list[Damage] = []
        for at in each:
            damage += super()._render(self._ticket_of(ticket, at), rows[at], counters, lost)
        return damage

    def _ticket_of(self, ticket: np.void, at: int) -> np.void:
        """Return the ticket of one row."""
        single = np.zeros(1, self._row_dtype)
        for name in self._row_dtype.names or ():
            single[name] = ticket[name][at] if name in _OF_ROW else ticket[name]
        of_row: np.void = single[0]
        return of_row

    def _render_together(
        self, ticket: np.void, rows: Sequence[Mapping[str, NDArray[Any]]], counters: NDArray[np.float64]
    ) -> bool:
        """Write all rows from frames that are decoded once; return False if anything is damaged or wrong."""
        frames, first = self._clip(ticket, [])
        clips = [first._replace(draws=draws) for draws in ticket["draws"].tolist()]
        with Meter(counters) as meter:
            try:
                for setup in self._setups:
                    self._render_rows(setup, clips, [row[setup.stream.name] for row in rows], meter)
            except FastclipsError:
                return False
            weighting = self._spec.weighting
            for row, weight in zip(rows, ticket["weight"].tolist(), strict=True):
                if weighting is not None:
                    table = self._weights * np.float32(weight)
                    self._weigh(row[weighting.stream], table, first.unlabelled(weighting.stream), row[WEIGHT])
                    meter.lap(KERNEL)
                meter.add_clip(len(frames))
        return True

    def _render_rows(
        self, setup: StreamSetup, clips: Sequence[Clip], outputs: Sequence[NDArray[Any]], meter: Meter
    ) -> None:
        """Write one stream of all rows, whose clips differ in their draws alone."""
        stream, clip = setup.stream, clips[0]
        unlabelled = {*clip.unlabelled(stream.name)} if stream.marks_ignored else set()
        steps = {frame: [at for at in at_all if at not in unlabelled] for frame, at_all in clip.shown.items()}
        shown = {frame: shown_at for frame, shown_at in steps.items() if shown_at}
        if not shown:
            for output in outputs:
                output[...] = stream.ignored
            return
        frames = None if self.shared is None else self.shared.of_stream(stream.name)
        scratch = self._scratch_of_rows(setup)
        placers = [
            ClipPlacer(setup, of_row, output, own, bypass_cache=self._bypass_cache)
            for of_row, output, own in zip(clips, outputs, scratch, strict=True)
        ]
        kept = None if frames is None or not clip.slots else _SlotsOfRows(frames, setup, clip, placers)
        meter.begin(READ)
        if kept is not None:
            meter.begin(KERNEL)
            shown = {
                frame: shown_at for frame, shown_at in shown.items() if not kept.place(frame, shown_at, meter)
            }
        if shown:
            self._decode_rows(setup, clip, shown, placers, kept, meter)
        meter.begin(STEPS)
        for placer in placers:
            placer.finish()
        meter.lap(KERNEL)

    def _decode_rows(
        self,
        setup: StreamSetup,
        clip: Clip,
        shown: dict[int, list[int]],
        placers: Sequence[ClipPlacer],
        kept: _SlotsOfRows | None,
        meter: Meter,
    ) -> None:
        """Read, decode and place frames of all rows."""
        meter.begin(READ)
        shown, files, damage = self._read(setup.stream, clip, shown)
        if damage:
            raise DamageError(next(iter(damage.values())))
        self._count_read(files, clip.video, meter)
        meter.begin(DECODE)
        for (frame, shown_at), data in zip(shown.items(), files, strict=True):
            size = setup.decoder.size(data)
            _note_size(setup, clip, frame, size)
            if kept is None or not kept.fill(frame, data, size, shown_at, meter):
                _place_in_all(setup.decoder, placers, data, size, shown_at, meter)
        meter.lap(DECODE)

    def _scratch_of_rows(self, setup: StreamSetup) -> Sequence[NDArray[Any] | None]:
        """Return memory for each row before its pixel steps; Nones if they are no more than a table."""
        rows, name = self._spec.layout.ticket_rows, setup.stream.name
        first = self._scratch_for(setup)
        if first is None:
            return [None] * rows
        if name not in self._rows_scratch:
            self._rows_scratch[name] = np.empty((rows, *first.shape), first.dtype)
        return list(self._rows_scratch[name])


class _SlotsOfRows:
    """Frames of a stream of a clip in frame slots, for all rows."""

    def __init__(
        self, frames: StreamFrames, setup: StreamSetup, clip: Clip, placers: Sequence[ClipPlacer]
    ) -> None:
        self._frames, self._setup, self._clip, self._placers = frames, setup, clip, placers

    def place(self, frame: int, shown_at: list[int], meter: Meter) -> bool:
        """Place a frame from its slot, if it is there and stays there."""
        slot = self._clip.slots.get(frame)
        kept = None if slot is None else self._frames.look(slot, self._clip.video, frame)
        if slot is None or kept is None or self._scale(kept.size, shown_at) != kept.scale:
            return False
        for placer in self._placers:
            placer.place_whole(kept.frame, kept.scale, kept.size, shown_at, meter)
        if not self._frames.unchanged(slot, kept):
            return False
        _note_size(self._setup, self._clip, frame, kept.size)
        meter.add(HELD, 1)
        return True

    def fill(self, frame: int, data: Any, size: tuple[int, int], shown_at: list[int], meter: Meter) -> bool:  # noqa: ANN401 - as stored
        """Place a frame that is decoded whole into its slot, by this worker or by another one meanwhile."""
        slot = self._clip.slots.get(frame)
        scale = self._scale(size, shown_at)
        if slot is None or scale is None or not self._frames.area.fits(*size, scale):
            return False

        def decode() -> Decoded:
            return self._setup.decoder.decode(data, None, scale)

        found = self._frames.fill(slot, self._clip.video, frame, size, scale, decode, waits=True)
        if not isinstance(found, Decoded):
            return bool(found) and self.place(frame, shown_at, meter)
        ClipPlacer.count(found, size, meter)
        meter.add(FILLED, 1)
        meter.lap(DECODE)
        for placer in self._placers:
            placer.place_whole(found, scale, size, shown_at, meter)
        return True

    def _scale(self, size: tuple[int, int], shown_at: list[int]) -> int | None:
        """Return the scale at which all rows need a frame; None if they need several."""
        scales = {scale for placer in self._placers for scale in placer.scales(size, shown_at)}
        return scales.pop() if len(scales) == 1 else None


def _note_size(setup: StreamSetup, clip: Clip, frame: int, size: tuple[int, int]) -> None:
    """Note the size of a frame; raise DamageError if it does not fit the clip's other streams."""
    joint, place = setup.joint(size), (setup.group, frame)
    if joint is not None and clip.sizes.setdefault(place, (joint, setup.stream.name))[0] != joint:
        raise DamageError("does not fit the clip's other streams")


def _place_in_all(
    decoder: Decoder,
    placers: Sequence[ClipPlacer],
    data: Any,  # noqa: ANN401 - as stored
    size: tuple[int, int],
    shown_at: list[int],
    meter: Meter,
) -> None:
    """Place a frame in several rows that show it at the same time steps, the same bytes as by `place_frame`.

    It is decoded once at each scale: the smallest part that holds the boxes of all rows. If this has more
    pixels than the boxes have together, each box is decoded by itself.
    """
    if isinstance(data, np.ndarray):
        for placer in placers:
            placer.place_frame(data, size, shown_at, meter)
        return
    by_scale: dict[int, list[Source]] = {}
    for placer in placers:
        for scale, box in placer.boxes(size, shown_at):
            by_scale.setdefault(scale, []).append(box)
    parts = {scale: _hull(boxes) for scale, boxes in by_scale.items()}
    if decoder.reads_boxes(data):
        together = sum(_area(part) / scale**2 for scale, part in parts.items())
        alone = sum(_area(box) / scale**2 for scale, boxes in by_scale.items() for box in boxes)
        if alone < together:
            for placer in placers:
                placer.place_frame(data, size, shown_at, meter)
            return
    for scale, box in parts.items():
        part = decoder.decode(data, box, scale)
        ClipPlacer.count(part, size, meter)
        meter.lap(DECODE)
        for placer in placers:
            placer.place_whole(part, scale, size, shown_at, meter)


def _hull(boxes: Sequence[Source]) -> Source:
    """Return the smallest box that holds all boxes."""
    tops, lefts, bottoms, rights = zip(*boxes, strict=True)
    return Source(min(tops), min(lefts), max(bottoms), max(rights))


def _area(box: Source) -> int:
    return (box.bottom - box.top) * (box.right - box.left)


def _without_rows(dtype: np.dtype[np.void]) -> np.dtype[np.void]:
    """Return the dtype of the ticket of one row."""
    fields = []
    for name in dtype.names or ():
        column = dtype[name]
        shape = column.shape[1:] if name in _OF_ROW else column.shape
        fields.append((name, column.base, shape) if shape else (name, column.base))
    return np.dtype(fields)
