"""How a ticket becomes bytes, pixels, the row of a slot.

`Renderer` is that way for one clip and knows nothing of processes: workers call it in their loop, and the
loader without workers in the caller.
"""

from __future__ import annotations

from bisect import bisect_right
from errno import EMFILE, ENFILE, ENOMEM
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips.data.storage import read_many
from fastclips.engine.arena import COUNTERS, Damage
from fastclips.errors import DamageError, FastclipsError, FrameError, OptionError
from fastclips.pixels import kernels
from fastclips.pixels.crops import swap_table
from fastclips.pixels.decode import Decoded, Decoder, Rung
from fastclips.pixels.placing import Hole, find_hole, make_placer
from fastclips.pixels.sources import Source, find_source, localize
from fastclips.spec import WEIGHT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.pixels.geometry import Geometry
    from fastclips.pixels.steps import CompiledSteps
    from fastclips.pixels.transforms import Swapping
    from fastclips.spec import ClipSpec, Stream

__all__ = ["Renderer"]

READ, DECODE, KERNEL, CLIPS, FRAMES, BYTES, SLICED, PIXELS, DECODED = map(
    COUNTERS.index,
    ("read_s", "decode_s", "kernel_s", "clips", "frames", "bytes", "sliced", "pixels", "decoded_pixels"),
)
_SHORTAGES = (EMFILE, ENFILE, ENOMEM)  # of the machine, whatever the file
_CACHED = 2**20  # bytes: a larger batch is not in any cache when it is read


class _Lane(NamedTuple):
    """What a renderer keeps for one stream."""

    stream: Stream
    decoder: Decoder
    size: tuple[int, ...]  # height and width that the geometry has to give
    steps: CompiledSteps | None
    table: NDArray[Any] | None  # what becomes of each byte, where it is the same for all clips
    mirrored: NDArray[np.uint8] | None  # the same of a mask, where left and right change places
    channels_first: bool


class _Part(NamedTuple):
    """What was decoded of a frame, in pixels of the frame at that scale."""

    top: int
    left: int
    scale: int
    shape: tuple[int, ...]


class _Clip(NamedTuple):
    """What all streams of a ticket share."""

    video: int
    view: int
    draws: list[float]
    shown: dict[int, list[int]]  # the steps at which each frame is shown, padded ones included
    padded: list[int]  # steps
    sizes: dict[int, tuple[tuple[int, ...], str]]  # of each frame, and the stream where that was seen
    ignored: dict[str, list[int]]  # steps at which a mask tells nothing, where there are more than the padded

    def unlabelled(self, mask: str) -> list[int]:
        """Return the steps at which a mask tells nothing."""
        return self.ignored.get(mask, self.padded)


class Renderer:
    """Turns a ticket into the row of a slot.

    A clip's files are all read before its first frame is decoded, so that reading is timed once per clip. A
    frame that is shown at several steps is read and decoded once; it is placed at the first of them and
    copied to the others, unless each step has a map of its own. So is padding, but for masks, where it is the
    stream's `ignore`. With ``fill="constant"``, what lies outside the frame is filled last: in pictures after
    their pixel steps, in masks with `ignore`.

    With ``spec.repeats_damaged``, a clip in which frames turn out to be damaged is written again as if the
    ticket had named others in their places: of each step whose picture is damaged in any stream, the nearest
    intact one before it, else after it, in all pictures alike; zeros if there is none. Masks are `ignore`
    there, and where they are damaged themselves. What is damaged depends on the clip alone.

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
        field = next(field for field in spec.layout.fields if field.name == stream.name)
        if stream.mask:
            return _Lane(
                stream, decoder, field.shape[1:], None, *_mask_tables(stream, spec.recipe.swapping), False
            )
        steps = spec.recipe.compiled(stream.channels, field.trials)
        fixed = steps is not None and steps.draws(spec.time_steps) == 0
        table = steps.table(()) if steps is not None and fixed else None
        channels_first = spec.recipe.channels_first
        size = field.shape[2:] if channels_first else field.shape[1:3]
        if field.trials:
            size = field.trials[0].given[1:3]
            channels_first = spec.recipe.moves_channels(field.trials[-1].returned)
        return _Lane(stream, decoder, size, steps, table, None, channels_first)

    def render(
        self, ticket: np.void, row: Mapping[str, NDArray[Any]], counters: NDArray[np.float64]
    ) -> list[Damage]:
        """Write a clip.

        Parameters
        ----------
        ticket : numpy.void
            Of `fastclips.spec.ticket_dtype`.
        row : mapping of str to ndarray
            The row's arrays, (T, ...) each, by stream; and `WEIGHT`, where the spec has a weighting.
        counters : ndarray of float64
            One per name in `COUNTERS`; what this clip took is added to them.

        Returns
        -------
        list of Damage
            The frames that were replaced.

        Raises
        ------
        FrameError
            If a frame is missing or damaged and not to be replaced, or does not fit; the message holds its
            path.
        """
        frames = ticket["frames"][: self._spec.time_steps].tolist()
        shown: dict[int, list[int]] = {}
        for step, frame in enumerate(frames):
            shown.setdefault(frame if frame >= 0 else ~frame, []).append(step)
        padded = [step for step, frame in enumerate(frames) if frame < 0]
        draws = ticket["draws"].tolist()
        clip = _Clip(int(ticket["video"]), int(ticket["view"]), draws, shown, padded, {}, {})
        damage: list[Damage] = []
        while found := self._render_streams(clip, row, counters):
            damage += found
            clip = self._mended(clip, frames, damage)
        weighting = self._spec.weighting
        if weighting is not None:
            began = perf_counter()
            table = self._weights * np.float32(ticket["weight"])
            self._weigh(row[weighting.stream], table, clip.unlabelled(weighting.stream), row[WEIGHT])
            counters[KERNEL] += perf_counter() - began
        counters[FRAMES] += len(frames)
        counters[CLIPS] += 1
        return damage

    def _render_streams(
        self, clip: _Clip, row: Mapping[str, NDArray[Any]], counters: NDArray[np.float64]
    ) -> list[Damage]:
        """Write all streams of a clip, unless frames are damaged: return those that are to be replaced."""
        damage: list[Damage] = []
        for number, lane in enumerate(self._lanes):
            found = self._render_stream(lane, clip, row[lane.stream.name], counters)
            if found:
                damage += [Damage(number, frame, why) for frame, why in found.items()]
        return damage

    def _mended(self, clip: _Clip, frames: list[int], damage: list[Damage]) -> _Clip:
        """Return a clip of other frames in place of those that are damaged."""
        frames = [frame if frame >= 0 else ~frame for frame in frames]
        masks = {number: lane.stream.name for number, lane in enumerate(self._lanes) if lane.stream.mask}
        lost = {frame for stream, frame, _ in damage if stream not in masks}
        intact = [step for step, frame in enumerate(frames) if frame not in lost]
        shown: dict[int, list[int]] = {}
        for step in range(len(frames)) if intact else ():
            instead = intact[max(bisect_right(intact, step) - 1, 0)]
            shown.setdefault(frames[instead], []).append(step)
        ignored = {}
        for number, name in masks.items():
            gone = lost.union(frame for stream, frame, _ in damage if stream == number)
            ignored[name] = [
                step for step, frame in enumerate(frames) if frame in gone or step in clip.padded
            ]
        return clip._replace(shown=shown, sizes={}, ignored=ignored)

    def _render_stream(
        self, lane: _Lane, clip: _Clip, output: NDArray[Any], counters: NDArray[np.float64]
    ) -> dict[int, str]:
        """Write a stream of a clip, unless frames are damaged: return which are to be replaced, and why."""
        began = perf_counter()
        stream, decoder, storage = lane.stream, lane.decoder, self._spec.storage
        unlabelled = clip.unlabelled(stream.name) if stream.mask else ()
        shown = _without(clip.shown, unlabelled) if unlabelled else clip.shown
        if not shown:
            output[...] = stream.ignore if stream.mask else 0
            return {}
        shown, files, damage = self._read(stream.name, clip.video, shown)
        counters[BYTES] += sum(data.nbytes if isinstance(data, np.ndarray) else len(data) for data in files)
        ended = perf_counter()
        counters[READ] += ended - began
        way = _Way(self._spec, lane, clip, output, self._room(lane), stream=self._past_caches)
        decoding = placing = 0.0
        done: Collection[int] | None = None  # frames that were placed with the first one
        for (frame, steps), data in zip(shown.items(), files, strict=True):
            if done and frame in done:
                continue
            began = ended
            try:
                size = decoder.size(data)
                known, other = clip.sizes.setdefault(frame, (size, stream.name))
                if size != known:
                    raise FrameError(
                        f"is {_by(size)} while its {other} is {_by(known)}; "
                        "the frames of aligned streams must have one size"
                    )
                if done is None:
                    done = way.place_crops(decoder, size, shown, files, counters)
                    ended = perf_counter()
                    decoding += ended - began
                    if frame in done:
                        continue
                    began = ended
                for turn in way.turns(steps):
                    source = way.source(size, turn[0])
                    part = decoder.decode(data, source, way.scale)
                    counters[SLICED + part.rung] += 1
                    counters[PIXELS] += size[0] * size[1] / part.scale**2
                    counters[DECODED] += part.pixels.shape[0] * part.pixels.shape[1]
                    decoded = perf_counter()
                    decoding += decoded - began
                    way.place(part, turn)
                    began = perf_counter()
                    placing += began - decoded
            except FastclipsError as error:
                if not (self._spec.repeats_damaged and isinstance(error, DamageError)):
                    where = storage.where(stream.name, clip.video, frame)
                    raise FrameError(f"{where}: {error}") from None
                damage[frame] = str(error)
                clip.sizes.pop(frame, None)
                continue
            ended = began
        if damage:
            counters[DECODE] += decoding
            return damage
        try:
            way.finish()
        except (FrameError, OptionError) as error:
            where = storage.where(stream.name, clip.video, next(iter(clip.shown)))
            raise FrameError(f"{where}: {error}") from error.__cause__
        placing += perf_counter() - began
        counters[DECODE] += decoding
        counters[KERNEL] += placing
        return damage

    def _read(
        self, stream: str, video: int, shown: dict[int, list[int]]
    ) -> tuple[dict[int, list[int]], Sequence[Any], dict[int, str]]:
        """Read frames: return those that can be read, their data, and why the others cannot."""
        try:
            return shown, read_many(self._spec.storage, stream, video, shown), {}
        except FrameError:
            if not self._spec.repeats_damaged:
                raise
        files, damage = {}, {}
        for frame in shown:
            try:
                files[frame] = self._spec.storage.read(stream, video, frame)
            except FrameError as error:  # noqa: PERF203 - the way of few clips
                cause = error.__cause__
                if isinstance(cause, OSError) and cause.errno in _SHORTAGES:
                    raise
                where = self._spec.storage.where(stream, video, frame)
                said = cause.strerror if isinstance(cause, OSError) else cause and str(cause)
                damage[frame] = said or str(error).replace(f" {where!r}", "")
        return {frame: shown[frame] for frame in files}, list(files.values()), damage

    def _room(self, lane: _Lane) -> NDArray[np.uint8] | None:
        """Return where a clip is placed before its pixel steps, if they are more than a table."""
        if lane.steps is None or lane.steps.one_table:
            return None
        name = lane.stream.name
        if name not in self._scratch:
            shape = (self._spec.time_steps, *lane.size, lane.stream.channels)
            self._scratch[name] = np.empty(shape, np.uint8)
        return self._scratch[name]

    def _weigh(
        self, mask: NDArray[np.uint8], table: NDArray[np.float32], none: list[int], out: NDArray[np.float32]
    ) -> None:
        """Write the weight of each pixel of a clip's mask; 0 at the steps of which it tells nothing."""
        flat = mask.reshape(-1, mask.shape[-1])
        kernels.crop_table(flat, 0, 0, False, table, out.reshape(flat.shape), stream=self._past_caches)
        out[none] = 0


class _Way:
    """The way of a clip's decoded frames of one stream into the batch.

    Parameters
    ----------
    spec : ClipSpec
        What to do.
    lane : _Lane
        The stream.
    clip : _Clip
        The clip.
    batch : ndarray
        The row's array of the stream.
    room : ndarray of uint8, optional
        Where frames are placed before they go through the pixel steps into the batch.
    stream : bool
        As for `fastclips.pixels.kernels.crop`.
    """

    def __init__(
        self,
        spec: ClipSpec,
        lane: _Lane,
        clip: _Clip,
        batch: NDArray[Any],
        room: NDArray[np.uint8] | None,
        *,
        stream: bool,
    ) -> None:
        self._spec, self._recipe, self._lane, self._clip = spec, spec.recipe, lane, clip
        self._batch, self._room, self._past_caches = batch, room, stream and room is None
        self._output = batch if room is None else room
        self._table = lane.table
        if room is None and lane.steps is not None and lane.table is None:
            self._table = lane.steps.table(clip.draws[spec.recipe.geometry_draws :])
        self._resolved: tuple[tuple[int, int], int] | None = None  # size of a frame, and its step
        self._geometry: Geometry
        self._source: Source | None = None
        self._placer: tuple[_Part, Callable[[NDArray[np.uint8], NDArray[Any]], None]] | None = None
        self._hole: Hole | None = None
        self._holes: dict[int, Hole] = {}  # by step

    def turns(self, steps: list[int]) -> list[list[int]]:
        """Return the steps that show a frame, those together that have one map."""
        return [[step] for step in steps] if self._recipe.by_frame else [steps]

    @property
    def scale(self) -> int:
        """At which part of its size a frame is decoded, as `source` has found."""
        return 1 if self._lane.stream.mask else self._geometry.scale

    def source(self, size: tuple[int, int], step: int) -> Source | None:
        """Return what is needed of a frame of a size at a step; None for all of it."""
        step = step if self._recipe.by_frame else 0
        if self._resolved != (size, step):
            self._resolve(size, step)
            self._resolved = size, step
        return self._source

    def place_crops(
        self,
        decoder: Decoder,
        size: tuple[int, int],
        shown: Mapping[int, list[int]],
        files: Sequence[Any],
        counters: NDArray[np.float64],
    ) -> Collection[int]:
        """Decode frames of a size and place them, all in one go, where that is nothing but a crop.

        Returns
        -------
        collection of int
            The frames that were placed; the others are for `place`, or are none of that size.
        """
        if self._recipe.by_frame or (source := self.source(size, 0)) is None:
            return ()
        geometry, output = self._geometry, self._output
        plain = localize(geometry, 0, 0, geometry.scale).is_crop and not geometry.flip_vertical
        if not plain or self._table is not None or (self._lane.channels_first and self._room is None):
            return ()
        sizes, name = self._clip.sizes, self._lane.stream.name
        if any(sizes.get(frame, (size,))[0] != size for frame in shown):
            return ()
        if any(isinstance(data, np.ndarray) for data in files):
            return ()
        rungs = decoder.decode_crops(
            files,
            [steps[0] for steps in shown.values()],
            size,
            source,
            geometry.scale,
            output,
            mirrored=geometry.flip,
            stream=self._past_caches,
        )
        done = [frame for frame, rung in zip(shown, rungs, strict=True) if rung <= Rung.CROPPED]
        for frame in done:
            sizes[frame] = size, name
            first, *others = shown[frame]
            if others:
                output[others] = output[first]
        counters[SLICED + Rung.SLICED] += rungs.count(Rung.SLICED)
        counters[SLICED + Rung.CROPPED] += rungs.count(Rung.CROPPED)
        counters[PIXELS] += len(done) * size[0] * size[1] / geometry.scale**2
        counters[DECODED] += len(done) * geometry.y.size * geometry.x.size
        return set(done)

    def place(self, part: Decoded, steps: list[int]) -> None:
        """Place what was decoded of the source at all of some steps."""
        which = _Part(part.top, part.left, part.scale, part.pixels.shape)
        if self._placer is None or self._placer[0] != which:
            self._placer = which, self._make_placer(which, steps[0])
        first = self._output[steps[0]]
        self._placer[1](part.pixels, first)
        for step in steps[1:]:
            self._output[step] = first
        if self._hole is not None:
            self._holes.update(dict.fromkeys(steps, self._hole))

    def finish(self) -> None:
        """Do what is left once all frames are placed."""
        lane, clip = self._lane, self._clip
        if lane.stream.mask and (unlabelled := clip.unlabelled(lane.stream.name)):
            self._batch[unlabelled] = lane.stream.ignore
        if lane.steps is not None and self._room is not None:
            draws = clip.draws[self._recipe.geometry_draws :]
            lane.steps.run(self._room, draws, _channels_last(self._batch, lane.channels_first))
        for step, hole in self._holes.items():
            hole.fill(self._batch[step])

    def _resolve(self, size: tuple[int, int], step: int) -> None:
        """Find out what frames of a size are mapped to at a step, and from where."""
        lane, border = self._lane, self._recipe.border
        self._geometry = geometry = self._map(size, step)
        self._source = None if lane.stream.mask else find_source(geometry, *size, border.fill)
        self._placer = None
        if border.fill == "constant":
            value = lane.stream.ignore if lane.stream.mask else border.value
            self._hole = find_hole(geometry, size, self._batch[0], value, channels_first=lane.channels_first)

    def _make_placer(self, part: _Part, step: int) -> Callable[[NDArray[np.uint8], NDArray[Any]], None]:
        """Return what places parts like this one, of frames that were resolved, at a step."""
        lane, geometry, source = self._lane, self._geometry, self._source
        top, left, shape, inner = part.top, part.left, part.shape, None
        if source is not None and geometry.warp is not None:
            top, left = source.top // part.scale, source.left // part.scale
            bottom, right = (-(-edge // part.scale) for edge in (source.bottom, source.right))
            inner = np.s_[top - part.top : bottom - part.top, left - part.left : right - part.left]
            shape = (bottom - top, right - left, *shape[2:])
        put = make_placer(
            localize(geometry, top, left, part.scale),
            shape,
            self._recipe.border.fill,
            self._mirrored_table(step),
            nearest=lane.stream.mask,
            channels_first=lane.channels_first and self._room is None,
            stream=self._past_caches,
        )
        return put if inner is None else lambda pixels, output: put(pixels[inner], output)

    def _map(self, shape: tuple[int, int], step: int) -> Geometry:
        """Return the geometry map of frames of a size at a step."""
        clip, size = self._clip, self._lane.size
        geometry = self._recipe.geometry(*shape, clip.draws, clip.view, step)
        if size != (geometry.y.size, geometry.x.size):
            raise FrameError(
                f"is {_by(shape)} and would come out as {geometry.y.size}x{geometry.x.size} (height x width) "
                f"in a batch of {_by(size)}; frames of mixed sizes need a transform that fixes the size, "
                "such as RandomCrop(224) or Resize((256, 340))"
            )
        return geometry

    def _mirrored_table(self, step: int) -> NDArray[Any] | None:
        """Return what becomes of each byte at a step: of a mask's, another thing where it is mirrored."""
        swapping = self._recipe.swapping
        if self._lane.mirrored is None or swapping is None:
            return self._table
        mirrored = swapping.flip.mirrors(self._clip.draws[swapping.column(step)])
        return self._lane.mirrored if mirrored else self._table


def _without(shown: dict[int, list[int]], left_out: Collection[int]) -> dict[int, list[int]]:
    """Return `_Clip.shown` without some steps."""
    steps = {frame: [step for step in at if step not in left_out] for frame, at in shown.items()}
    return {frame: at for frame, at in steps.items() if at}


def _channels_last(frames: NDArray[Any], channels_first: bool) -> NDArray[Any]:
    return np.moveaxis(frames, 1, -1) if channels_first else frames


def _mask_tables(
    stream: Stream, swapping: Swapping | None
) -> tuple[NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
    """Return what becomes of each value of a mask, and of each of a mirrored one, where anything does."""
    table = None if stream.values is None else np.array([stream.values], np.uint8)
    if swapping is None or not swapping.flip.mask_pairs:
        return table, None
    swapped = swap_table(swapping.flip.mask_pairs, 256).astype(np.uint8)
    return table, swapped[None] if table is None else swapped[table]


def _by(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"
