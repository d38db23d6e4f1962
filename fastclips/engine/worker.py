"""One worker's loop: a ticket becomes bytes, pixels, the row of a slot.

`Renderer` is that way for one clip and knows nothing of processes; the loader without workers calls it in
the caller. `work` is the loop around it that claims tickets until the process is killed. Everything a
worker does may be done twice or stop at any instruction: it owns the row that it claimed and nothing else.
"""

from __future__ import annotations

import traceback
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips.engine.arena import COUNTERS, slot_views, ticket_view, to_note
from fastclips.errors import FastclipsError, FrameError
from fastclips.pixels import kernels
from fastclips.pixels.decode import Decoder
from fastclips.pixels.placing import Hole, find_hole, make_placer
from fastclips.pixels.resample import use_one_thread
from fastclips.spec import WEIGHT, ticket_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fastclips.engine.arena import Arena
    from fastclips.pixels.geometry import Geometry
    from fastclips.pixels.steps import CompiledSteps
    from fastclips.spec import ClipSpec, Stream

__all__ = ["Renderer", "work"]

READ, DECODE, KERNEL, WAIT, CLIPS, FRAMES, BYTES, _, PILLOW = range(len(COUNTERS))
_CACHED = 2**20  # bytes: a larger batch is not in any cache when it is read
_CLAIM_MS = 1000  # how long a wait for tickets may last before it looks again


class _Lane(NamedTuple):
    """What a renderer keeps for one stream."""

    stream: Stream
    decoder: Decoder
    steps: CompiledSteps | None
    table: NDArray[Any] | None  # what becomes of each byte, where it is the same for all clips
    channels_first: bool


class _Clip(NamedTuple):
    """What all streams of a ticket share."""

    video: int
    view: int
    draws: list[float]
    shown: dict[int, list[int]]  # the steps at which each frame is shown, padded ones included
    padded: list[int]  # steps
    sizes: dict[int, tuple[tuple[int, ...], str]]  # of each frame, and the stream where that was seen


class Renderer:
    """Turns a ticket into the row of a slot.

    A clip's files are all read before its first frame is decoded, so that reading is timed once per clip. A
    frame that is shown at several steps is read and decoded for the first of them and copied to the others;
    so is padding, but for masks, where it is the stream's `ignore`. With ``fill="constant"``, what lies
    outside the frame is filled last: in pictures after their pixel steps, in masks with `ignore`.

    Parameters
    ----------
    spec : ClipSpec
        What to read, how to decode it, what to do with it and where it goes.
    single_threaded : bool
        Whether no other thread of this process renders, so that kernels may use a buffer of theirs.

    Raises
    ------
    OptionError
        If the recipe does not suit the streams.
    """

    def __init__(self, spec: ClipSpec, *, single_threaded: bool = False) -> None:
        self._spec = spec
        self._lanes = [self._lane(stream) for stream in spec.streams]
        self._scratch: dict[str, NDArray[np.uint8]] = {}  # of pictures before their pixel steps
        self._weights = np.array([spec.weighting.table if spec.weighting else ()], np.float32)
        self._past_caches = single_threaded and spec.layout.nbytes > _CACHED

    def _lane(self, stream: Stream) -> _Lane:
        spec, decoder = self._spec, Decoder(stream, fast_dct=self._spec.fast_dct)
        if stream.mask:
            return _Lane(stream, decoder, None, _values(stream), False)
        steps = spec.recipe.compiled(stream.channels)
        fixed = steps is not None and steps.draws(spec.time_steps) == 0
        table = steps.table(()) if steps is not None and fixed else None
        return _Lane(stream, decoder, steps, table, spec.recipe.channels_first)

    def render(self, ticket: np.void, row: Mapping[str, NDArray[Any]], counters: NDArray[np.float64]) -> None:
        """Write a clip.

        Parameters
        ----------
        ticket : numpy.void
            Of `fastclips.spec.ticket_dtype`.
        row : mapping of str to ndarray
            The row's arrays, (T, ...) each, by stream; and `WEIGHT`, where the spec has a weighting.
        counters : ndarray of float64
            One per name in `COUNTERS`; what this clip took is added to them.

        Raises
        ------
        FrameError
            If a frame is missing, damaged or does not fit; the message holds its path.
        """
        frames = ticket["frames"][: self._spec.time_steps].tolist()
        shown: dict[int, list[int]] = {}
        for step, frame in enumerate(frames):
            shown.setdefault(frame if frame >= 0 else ~frame, []).append(step)
        padded = [step for step, frame in enumerate(frames) if frame < 0]
        clip = _Clip(int(ticket["video"]), int(ticket["view"]), ticket["draws"].tolist(), shown, padded, {})
        for lane in self._lanes:
            self._render_stream(lane, clip, row[lane.stream.name], counters)
        weighting = self._spec.weighting
        if weighting is not None:
            began = perf_counter()
            table = self._weights * np.float32(ticket["weight"])
            self._weigh(row[weighting.stream], table, padded, row[WEIGHT])
            counters[KERNEL] += perf_counter() - began
        counters[FRAMES] += len(frames)
        counters[CLIPS] += 1

    def _render_stream(
        self, lane: _Lane, clip: _Clip, output: NDArray[Any], counters: NDArray[np.float64]
    ) -> None:
        began = perf_counter()
        stream, decoder, storage = lane.stream, lane.decoder, self._spec.storage
        batch = output
        lane, output = self._before_steps(lane, clip, batch)
        shown = _labelled(clip) if stream.mask and clip.padded else clip.shown
        files = [storage.read(stream.name, clip.video, frame) for frame in shown]
        counters[BYTES] += sum(data.nbytes if isinstance(data, np.ndarray) else len(data) for data in files)
        ended = perf_counter()
        counters[READ] += ended - began
        through_pillow = decoder.pillow_frames
        shape: tuple[int, ...] | None = None
        holes: dict[int, Hole] = {}  # by step
        decoding = placing = 0.0
        for (frame, (step, *repeats)), data in zip(shown.items(), files, strict=True):
            began = ended
            try:
                pixels = decoder.decode(data).pixels
                size, other = clip.sizes.setdefault(frame, (pixels.shape[:2], stream.name))
                if size != pixels.shape[:2]:
                    raise FrameError(
                        f"is {_by(pixels.shape)} while its {other} is {_by(size)}; "
                        "the frames of aligned streams must have one size"
                    )
                if pixels.shape != shape:
                    shape = pixels.shape
                    geometry = self._geometry(lane, shape, clip, output.shape)
                    place = make_placer(
                        geometry,
                        shape,
                        self._spec.recipe.border.fill,
                        lane.table,
                        nearest=stream.mask,
                        channels_first=lane.channels_first,
                        stream=self._past_caches,
                    )
                    hole = self._hole(lane, shape, geometry, batch)
                decoded = perf_counter()
                place(pixels, output[step])
            except FastclipsError as error:
                where = storage.where(stream.name, clip.video, frame)
                raise FrameError(f"{where}: {error}") from None
            for repeat in repeats:
                output[repeat] = output[step]
            if hole is not None:
                holes.update(dict.fromkeys((step, *repeats), hole))
            ended = perf_counter()
            decoding += decoded - began
            placing += ended - decoded
        began = ended
        self._finish(lane, clip, output, batch, holes)
        placing += perf_counter() - began
        counters[DECODE] += decoding
        counters[KERNEL] += placing
        counters[PILLOW] += decoder.pillow_frames - through_pillow

    def _before_steps(self, lane: _Lane, clip: _Clip, batch: NDArray[Any]) -> tuple[_Lane, NDArray[Any]]:
        """Return how and where a clip is placed before its steps: in the batch if a table does them."""
        if lane.steps is None:
            return lane, batch
        if not lane.steps.one_table:
            shape = _channels_last(batch, lane.channels_first).shape
            if lane.stream.name not in self._scratch:
                self._scratch[lane.stream.name] = np.empty(shape, np.uint8)
            return lane._replace(channels_first=False), self._scratch[lane.stream.name]
        if lane.table is None:
            lane = lane._replace(table=lane.steps.table(clip.draws[self._spec.recipe.geometry_draws :]))
        return lane, batch

    def _finish(
        self,
        lane: _Lane,
        clip: _Clip,
        placed: NDArray[Any],
        batch: NDArray[Any],
        holes: dict[int, Hole],
    ) -> None:
        """Do what is left once all frames of a clip are placed."""
        if lane.stream.mask and clip.padded:
            batch[clip.padded] = lane.stream.ignore
        if lane.steps is not None and placed is not batch:
            recipe = self._spec.recipe
            draws = clip.draws[recipe.geometry_draws :]
            lane.steps.run(placed, draws, _channels_last(batch, recipe.channels_first))
        for step, hole in holes.items():
            hole.fill(batch[step])

    def _geometry(
        self, lane: _Lane, shape: tuple[int, ...], clip: _Clip, output: tuple[int, ...]
    ) -> Geometry:
        """Return the geometry map of frames of a shape."""
        geometry = self._spec.recipe.geometry(shape[0], shape[1], clip.draws, clip.view)
        size = output[2:] if lane.channels_first else output[1:3]
        if size != (geometry.y.size, geometry.x.size):
            raise FrameError(
                f"is {_by(shape)} and would come out as {geometry.y.size}x{geometry.x.size} (height x width) "
                f"in a batch of {_by(size)}; frames of mixed sizes need a transform that fixes the size, "
                "such as RandomCrop(224) or Resize((256, 340))"
            )
        return geometry

    def _hole(
        self, lane: _Lane, shape: tuple[int, ...], geometry: Geometry, batch: NDArray[Any]
    ) -> Hole | None:
        """Return what of the batch's frames is to be filled, if anything."""
        recipe, mask = self._spec.recipe, lane.stream.mask
        if recipe.border.fill != "constant":
            return None
        value = lane.stream.ignore if mask else recipe.border.value
        channels_first = recipe.channels_first and not mask
        return find_hole(geometry, (shape[0], shape[1]), batch[0], value, channels_first=channels_first)

    def _weigh(
        self, mask: NDArray[np.uint8], table: NDArray[np.float32], padded: list[int], out: NDArray[np.float32]
    ) -> None:
        """Write the weight of each pixel of a clip's mask; nothing where it is padding."""
        flat = mask.reshape(-1, mask.shape[-1])
        kernels.crop_table(flat, 0, 0, False, table, out.reshape(flat.shape), stream=self._past_caches)
        out[padded] = 0


def _labelled(clip: _Clip) -> dict[int, list[int]]:
    """Return `clip.shown` without the padded steps."""
    steps = {frame: [step for step in at if step not in clip.padded] for frame, at in clip.shown.items()}
    return {frame: at for frame, at in steps.items() if at}


def _channels_last(frames: NDArray[Any], channels_first: bool) -> NDArray[Any]:
    return np.moveaxis(frames, 1, -1) if channels_first else frames


def _values(stream: Stream) -> NDArray[np.uint8] | None:
    return None if stream.values is None else np.array([stream.values], np.uint8)


def _by(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"


def work(arena: Arena, spec: ClipSpec, worker: int, index: int) -> None:
    """Claim tickets and render them, forever.

    Parameters
    ----------
    arena : Arena
        Shared with the trainer.
    spec : ClipSpec
        As for `Renderer`.
    worker : int
        This process's number, which no other worker of the arena ever had.
    index : int
        Its row of counters, which a replacement takes over.
    """
    use_one_thread()
    renderer = Renderer(spec, single_threaded=True)
    slots = slot_views(arena, spec.layout)
    tickets = ticket_view(arena, ticket_dtype(spec.time_steps, spec.recipe.draws))
    counters = arena.counters()[index]
    rows = arena.rows
    while True:
        began = perf_counter()
        claim = arena.claim(worker, _CLAIM_MS)
        counters[WAIT] += perf_counter() - began
        if claim is None:
            continue
        cell = claim[0]
        slot, row = divmod(cell, rows)
        try:
            renderer.render(tickets[cell], {name: view[row] for name, view in slots[slot].items()}, counters)
        except FastclipsError as error:
            arena.set_note(cell, to_note(str(error)))
            arena.finish(cell, worker, False)
        except Exception as error:  # noqa: BLE001 - whatever it is, the trainer must hear of it
            traceback.print_exc()
            ticket = tickets[cell]
            arena.set_note(
                cell,
                to_note(
                    f"{type(error).__name__}: {error} (video {ticket['video']}, frames from "
                    f"{ticket['frames'][0]}; the traceback is on standard error)"
                ),
            )
            arena.finish(cell, worker, False)
        else:
            arena.finish(cell, worker, True)
