"""How a ticket becomes bytes, pixels, the row of a slot.

`Renderer` is that way for one clip and knows nothing of processes: workers call it in their loop, and the
loader without workers in the caller.
"""

from __future__ import annotations

from bisect import bisect_right
from errno import EMFILE, ENFILE, ENOMEM
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.storage import count_bytes
from fastclips.engine.arena import COUNTERS, Damage
from fastclips.engine.clip_placer import Clip, Lane, Way, by
from fastclips.errors import DamageError, FastclipsError, FrameError, OptionError
from fastclips.pixels.decoding.decoder import Decoder
from fastclips.pixels.geometry import kernels
from fastclips.pixels.geometry.crops import swap_table
from fastclips.spec import WEIGHT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.engine.clip_spec import ClipSpec
    from fastclips.pixels.recipe import Swapping
    from fastclips.spec import Stream

__all__ = ["Renderer"]

READ, DECODE, KERNEL, CLIPS, FRAMES, BYTES, SLICED, PIXELS, DECODED = map(
    COUNTERS.index,
    ("read_s", "decode_s", "kernel_s", "clips", "frames", "bytes", "sliced", "pixels", "decoded_pixels"),
)
_SHORTAGES = (EMFILE, ENFILE, ENOMEM)  # of the machine, whatever the file
_CACHED = 2**20  # bytes: a larger batch is not in any cache when it is read


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
        self._bypass_cache = single_threaded and spec.layout.nbytes > _CACHED

    def _lane(self, stream: Stream) -> Lane:
        spec, decoder = self._spec, Decoder(stream, fast_dct=self._spec.fast_dct)
        field = next(field for field in spec.layout.fields if field.name == stream.name)
        if stream.mask:
            return Lane(
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
        return Lane(stream, decoder, size, steps, table, None, channels_first)

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
        clip = Clip(int(ticket["video"]), int(ticket["view"]), draws, shown, padded, {}, {})
        damage: list[Damage] = []
        while found := self._render_streams(clip, row, counters):
            damage += found
            if len(damage) > len(self._lanes) * len(frames):
                raise RuntimeError(f"a frame is damaged that was replaced: {found[0]}")
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
        self, clip: Clip, row: Mapping[str, NDArray[Any]], counters: NDArray[np.float64]
    ) -> list[Damage]:
        """Write all streams of a clip, unless frames are damaged: return those that are to be replaced."""
        damage: list[Damage] = []
        for number, lane in enumerate(self._lanes):
            found = self._render_stream(lane, clip, row[lane.stream.name], counters)
            if found:
                damage += [Damage(number, frame, why) for frame, why in found.items()]
        return damage

    def _mended(self, clip: Clip, frames: list[int], damage: list[Damage]) -> Clip:
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
        self, lane: Lane, clip: Clip, output: NDArray[Any], counters: NDArray[np.float64]
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
        arrays = np.ndarray in set(map(type, files))
        counters[BYTES] += sum(map(count_bytes if arrays else len, files))
        ended = perf_counter()
        counters[READ] += ended - began
        way = Way(self._spec, lane, clip, output, self._room(lane), bypass_cache=self._bypass_cache)
        placing = 0.0
        placed: Collection[int] | None = () if arrays else None
        for (frame, steps), data in zip(shown.items(), files, strict=True):
            if placed and frame in placed:
                continue
            try:
                size = self._size(lane, clip, frame, data)
                if placed is None:
                    placed = way.place_crops(decoder, size, shown, files, counters)
                    if len(placed) == len(shown):  # so all have the size of this one
                        break
                if frame not in placed:
                    placing += _place(way, decoder, data, size, steps, counters)
            except FastclipsError as error:
                damage[frame] = self._damage(stream, clip, frame, error)
        began = ended
        ended = perf_counter()
        counters[DECODE] += ended - began - placing
        counters[KERNEL] += placing
        if damage:
            return damage
        try:
            way.finish()
        except (FrameError, OptionError) as error:
            where = storage.where(stream.name, clip.video, next(iter(clip.shown)))
            raise FrameError(f"{where}: {error}") from error.__cause__
        counters[KERNEL] += perf_counter() - ended
        return damage

    def _damage(self, stream: Stream, clip: Clip, frame: int, error: FastclipsError) -> str:
        """Return why a frame is to be replaced, if it is."""
        if not (self._spec.repeats_damaged and isinstance(error, DamageError)):
            where = self._spec.storage.where(stream.name, clip.video, frame)
            raise FrameError(f"{where}: {error}") from None
        clip.sizes.pop(frame, None)
        return str(error)

    def _size(self, lane: Lane, clip: Clip, frame: int, data: Any) -> tuple[int, int]:  # noqa: ANN401 - as stored
        """Return a frame's size, which is that of the clip's other streams."""
        size = lane.decoder.size(data)
        known, other = clip.sizes.setdefault(frame, (size, lane.stream.name))
        if size != known:
            raise FrameError(
                f"is {by(size)} while its {other} is {by(known)}; "
                "the frames of aligned streams must have one size"
            )
        return size

    def _read(
        self, stream: str, video: int, shown: dict[int, list[int]]
    ) -> tuple[dict[int, list[int]], Sequence[Any], dict[int, str]]:
        """Read frames: return those that can be read, their data, and why the others cannot."""
        try:
            return shown, self._spec.storage.read_many(stream, video, shown), {}
        except FrameError:
            if not self._spec.repeats_damaged:
                raise
        files, damage = {}, {}
        for frame in shown:
            try:
                files[frame] = self._spec.storage.read(stream, video, frame)
            except FrameError as error:
                cause = error.__cause__
                if isinstance(cause, OSError) and cause.errno in _SHORTAGES:
                    raise
                where = self._spec.storage.where(stream, video, frame)
                said = cause.strerror if isinstance(cause, OSError) else cause and str(cause)
                damage[frame] = said or str(error).replace(f" {where!r}", "")
        return {frame: shown[frame] for frame in files}, list(files.values()), damage

    def _room(self, lane: Lane) -> NDArray[np.uint8] | None:
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
        kernels.crop_table(flat, 0, 0, False, table, out.reshape(flat.shape), bypass_cache=self._bypass_cache)
        out[none] = 0


def _place(
    way: Way,
    decoder: Decoder,
    data: Any,  # noqa: ANN401 - as stored
    size: tuple[int, int],
    steps: list[int],
    counters: NDArray[np.float64],
) -> float:
    """Decode what is needed of a frame and place it; return the seconds that placing took."""
    seconds = 0.0
    for turn in way.turns(steps):
        part = decoder.decode(data, way.source(size, turn[0]), way.scale)
        counters[SLICED + part.rung] += 1
        counters[PIXELS] += size[0] * size[1] / part.scale**2
        counters[DECODED] += part.pixels.shape[0] * part.pixels.shape[1]
        began = perf_counter()
        way.place(part, turn)
        seconds += perf_counter() - began
    return seconds


def _without(shown: dict[int, list[int]], left_out: Collection[int]) -> dict[int, list[int]]:
    """Return `_Clip.shown` without some steps."""
    steps = {frame: [step for step in at if step not in left_out] for frame, at in shown.items()}
    return {frame: at for frame, at in steps.items() if at}


def _mask_tables(
    stream: Stream, swapping: Swapping | None
) -> tuple[NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
    """Return what becomes of each value of a mask, and of each of a mirrored one, where anything does."""
    table = None if stream.values is None else np.array([stream.values], np.uint8)
    if swapping is None or not swapping.flip.mask_pairs:
        return table, None
    swapped = swap_table(swapping.flip.mask_pairs, 256).astype(np.uint8)
    return table, swapped[None] if table is None else swapped[table]
