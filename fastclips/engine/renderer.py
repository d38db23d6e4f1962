"""A ticket -> bytes -> pixels -> the row of a slot.

A `Renderer` writes one clip at a time and knows nothing of processes: workers call it in their loop, and a
loader without workers calls it in the trainer.
"""

from __future__ import annotations

from bisect import bisect_right
from errno import EMFILE, ENFILE, ENOMEM
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips._native import Files
from fastclips.data.mixed_storage import part_of
from fastclips.data.storage import absent_picture, count_bytes, opened
from fastclips.engine.arena import Damage
from fastclips.engine.clip_placer import Clip, ClipPlacer, StreamSetup, size_text
from fastclips.engine.plain_clips import PlainClips
from fastclips.engine.rendering import BYTES, DECODE, KERNEL, MOVIE_FRAMES, READ, STEPS, Meter, at_path
from fastclips.errors import DamageError, FastclipsError, FrameError, OptionError
from fastclips.pixels.decoding.decoder import Decoder
from fastclips.pixels.geometry import kernels
from fastclips.pixels.geometry.flips import swap_table
from fastclips.reserved import WEIGHT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.engine.clip_spec import ClipSpec
    from fastclips.engine.shared_frames import SharedFrames
    from fastclips.pixels.recipe import Swapping
    from fastclips.spec import StreamSpec

__all__ = ["Renderer"]

_SHORTAGES = (EMFILE, ENFILE, ENOMEM)  # of the machine, whatever the file
_CACHED = 2**20  # bytes: a larger batch is in no cache when it is read


class Renderer:
    """Turns a ticket into the row of a slot.

    All files of a stream of a clip are read before its first frame is decoded. A frame that is shown at
    several time steps is read and decoded once; it is placed at the first of them and copied to the others,
    unless each time step has a map of its own. Padding repeats a frame in pictures; masks are the stream's
    `ignore` there, and where a frame has no mask. With ``fill="constant"``, pixels outside the frame are
    filled last: in pictures after the pixel steps, in masks with `ignore`. Depth is treated as a mask if it
    has a value for what is unknown, else as a picture; flow is treated as a picture. Both are 0 outside the
    frame.

    With ``spec.repeats_damaged``, a clip with damaged frames is written again as if the ticket had named
    other frames: where a picture is damaged in any stream, all pictures show the nearest intact frame before
    it, else after it, or zeros if there is none. Masks are `ignore` there, and where they are damaged
    themselves. The replacement depends on the clip alone.

    Parameters
    ----------
    spec : ClipSpec
        What to read, how to decode it, and where to write it.
    single_threaded : bool
        Whether no other thread of this process renders, so that kernels may use a buffer of their own.

    Attributes
    ----------
    shared : SharedFrames, optional
        Decoded frames of other clips, which a worker sets.
    """

    def __init__(self, spec: ClipSpec, *, single_threaded: bool = False) -> None:
        self._spec = spec
        self._storage = spec.storage  # in a worker: unpickled here
        self._setups = [self._set_up(stream) for stream in spec.streams]
        self._steps = [[at] for at in range(spec.time_steps)]
        self._scratch: dict[str, NDArray[Any]] = {}  # pictures before their pixel steps, by stream
        self._weights = np.array([spec.weighting.table if spec.weighting else ()], np.float32)
        self._bypass_cache = single_threaded and spec.layout.nbytes > _CACHED
        self._plain = PlainClips.of(spec, self._setups, bypass_cache=self._bypass_cache)
        self.shared: SharedFrames | None = None

    def _set_up(self, stream: StreamSpec) -> StreamSetup:
        spec, recipe = self._spec, self._spec.recipe.of(stream)
        size, group = spec.sizes[stream.name], spec.groups.get(stream.name, "")
        decoder = Decoder(stream, fast_dct=self._spec.fast_dct, max_pixels=spec.max_pixels)
        steps, table, mirrored, moves_channels = None, None, None, False
        if stream.mask:
            table, mirrored = _mask_tables(stream, recipe.swapping)
        else:
            steps = spec.pixel_steps.get(stream.name)
            given: tuple[int, ...] = (spec.time_steps, *size, stream.frame_channels)
            shape = given
            if steps is not None:
                shape = steps.shape(shape)
                if stream.kind == "image" and steps.draws(spec.time_steps) == 0:
                    table = steps.table(())
            moves_channels = recipe.moves_channels(shape, given)
        joints: dict[tuple[int, int], Any] | None = {} if spec.recipe.divides_geometry else None
        return StreamSetup(
            stream,
            recipe,
            size,
            group,
            decoder,
            steps,
            table,
            mirrored,
            moves_channels,
            joints,
            stream.kind == "image" and not spec.storage.decodes,
            [spec.groups.get(other.name, "") for other in spec.streams].count(group) == 1,
        )

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
            One entry per name in `COUNTERS`; the time and work of this clip are added.

        Returns
        -------
        list of Damage
            The frames that were replaced.

        Raises
        ------
        FrameError
            If a frame is missing or damaged and not to be replaced, or does not fit.
        """
        return self._render(ticket, row, counters)

    def render_lost(
        self, ticket: np.void, row: Mapping[str, NDArray[Any]], counters: NDArray[np.float64], why: str
    ) -> list[Damage]:
        """Write a clip as `render` does if all its frames are damaged, without reading them."""
        return self._render(ticket, row, counters, why)

    def _render(
        self,
        ticket: np.void,
        row: Mapping[str, NDArray[Any]],
        counters: NDArray[np.float64],
        lost: str = "",
    ) -> list[Damage]:
        if self._plain is not None and self.shared is None and not lost:
            with Meter(counters) as meter:
                if self._plain.render(ticket, row, meter):
                    return []
        frames, clip = self._clip(ticket, ticket["draws"].tolist())
        damage: list[Damage] = []
        if lost:
            damage = [
                Damage(number, frame, lost) for number in range(len(self._setups)) for frame in clip.shown
            ]
            clip = self._replace_damaged(clip, frames, damage)
        with Meter(counters) as meter:
            while found := self._render_streams(clip, row, meter):
                damage += found
                if len(damage) > len(self._setups) * len(frames):
                    raise RuntimeError(f"a frame is damaged that was replaced: {found[0]}")
                clip = self._replace_damaged(clip, frames, damage)
            weighting = self._spec.weighting
            if weighting is not None:
                table = self._weights * np.float32(ticket["weight"])
                self._weigh(row[weighting.stream], table, clip.unlabelled(weighting.stream), row[WEIGHT])
                meter.lap(KERNEL)
            meter.add_clip(len(frames))
        return damage

    def _clip(self, ticket: np.void, draws: list[float]) -> tuple[list[int], Clip]:
        """Return the frames of a ticket, and its clip with these draws."""
        frames = ticket["frames"][: self._spec.time_steps].tolist()
        shown: dict[int, list[int]] = dict(zip(frames, self._steps, strict=True))
        padded: list[int] = []
        if len(shown) < len(frames) or min(frames) < 0:  # some are shown again, or padding
            shown = {}
            for at, frame in enumerate(frames):
                shown.setdefault(frame if frame >= 0 else ~frame, []).append(at)
            padded = [at for at, frame in enumerate(frames) if frame < 0]
        slots = self._slots(ticket, shown)
        return frames, Clip(int(ticket["video"]), int(ticket["view"]), draws, shown, padded, {}, {}, slots)

    def _slots(self, ticket: np.void, shown: dict[int, list[int]]) -> dict[int, int]:
        """Return the frame slots of a clip's frames, where they have one."""
        if self.shared is None:
            return {}
        slots = self.shared.enter(ticket["slots"].tolist())
        return {frame: slots[first] for frame, (first, *_) in shown.items() if first in slots}

    def _render_streams(self, clip: Clip, row: Mapping[str, NDArray[Any]], meter: Meter) -> list[Damage]:
        """Write all streams of a clip; return its damaged frames, if any, which are to be replaced."""
        damage: list[Damage] = []
        for number, setup in enumerate(self._setups):
            found = self._render_stream(setup, clip, row[setup.stream.name], meter)
            if found:
                damage += [Damage(number, frame, why) for frame, why in found.items()]
        return damage

    def _replace_damaged(self, clip: Clip, frames: list[int], damage: list[Damage]) -> Clip:
        """Return a clip that shows other frames instead of the damaged ones."""
        frames = [frame if frame >= 0 else ~frame for frame in frames]
        streams = enumerate(setup.stream for setup in self._setups)
        masks = {number: stream.name for number, stream in streams if stream.marks_ignored}
        lost = {frame for stream, frame, _ in damage if stream not in masks}
        intact = [at for at, frame in enumerate(frames) if frame not in lost]
        shown: dict[int, list[int]] = {}
        for at in range(len(frames)) if intact else ():
            nearest = intact[max(bisect_right(intact, at) - 1, 0)]
            shown.setdefault(frames[nearest], []).append(at)
        ignored = {}
        for number, name in masks.items():
            gone = lost.union(frame for stream, frame, _ in damage if stream == number)
            ignored[name] = [at for at, frame in enumerate(frames) if frame in gone or at in clip.padded]
        return clip._replace(shown=shown, sizes={}, ignored=ignored)

    def _render_stream(
        self, setup: StreamSetup, clip: Clip, output: NDArray[Any], meter: Meter
    ) -> dict[int, str]:
        """Write one stream of a clip; return its damaged frames that are to be replaced, and the reasons."""
        stream = setup.stream
        unlabelled = clip.unlabelled(stream.name) if stream.marks_ignored else ()
        shown = _without(clip.shown, unlabelled) if unlabelled else clip.shown
        if not shown:
            output[...] = stream.ignored
            return {}
        meter.begin(READ)
        frames = None if self.shared is None else self.shared.of_stream(stream.name)
        scratch = self._scratch_for(setup)
        placer = ClipPlacer(setup, clip, output, scratch, bypass_cache=self._bypass_cache, frames=frames)
        if frames is not None and (held := placer.place_held(shown, meter)):
            shown = {frame: shown_at for frame, shown_at in shown.items() if frame not in held}
        damage = self._decode(setup, clip, shown, placer, meter) if shown else {}
        if damage:
            return damage
        meter.begin(STEPS)
        try:
            placer.finish()
        except (FrameError, OptionError) as error:
            raise self._at_frame(error, stream, clip.video, next(iter(clip.shown))) from error.__cause__
        meter.lap(KERNEL)
        return damage

    def _decode(
        self, setup: StreamSetup, clip: Clip, shown: dict[int, list[int]], placer: ClipPlacer, meter: Meter
    ) -> dict[int, str]:
        """Read, decode and place frames of a stream; return those that are to be replaced, with reasons."""
        shown, files, damage = self._read(setup.stream, clip, shown)
        mixed = self._count_read(files, clip.video, meter)
        meter.begin(DECODE)
        decoding = _Decoding(setup, clip, shown, files, placer, meter, () if mixed else None)
        for frame, error in decoding.run():
            damage[frame] = self._damage(error, setup, clip, frame)
        meter.lap(DECODE)
        return damage

    def _count_read(self, files: Files | Sequence[Any], video: int, meter: Meter) -> bool:
        """Count what was read of a video and the time, which is that of decoding for video files.

        Returns
        -------
        bool
            Whether some are pixels and others are files.
        """
        if isinstance(files, Files):
            meter.add(BYTES, files.nbytes)
            meter.lap(READ)
            return False
        kinds = set(map(type, files))
        arrays = np.ndarray in kinds
        meter.add(BYTES, sum(map(count_bytes if arrays else len, files)))
        decodes = part_of(self._storage, video)[0].decodes
        meter.lap(DECODE if decodes else READ)
        meter.add(MOVIE_FRAMES, len(files) if decodes else 0)
        return arrays and len(kinds) > 1

    def _damage(self, error: FastclipsError, setup: StreamSetup, clip: Clip, frame: int) -> str:
        """Return the reason why a frame is to be replaced; raise an error if it is not."""
        if not (self._spec.repeats_damaged and isinstance(error, DamageError)):
            raise self._at_frame(error, setup.stream, clip.video, frame) from error.__cause__
        clip.sizes.pop((setup.group, frame), None)
        return str(error)

    def _at_frame(self, error: FastclipsError, stream: StreamSpec, video: int, frame: int) -> FrameError:
        path = self._spec.storage.where(stream.name, video, frame)
        return at_path(error, path, video=video, frame=frame)

    def _read(
        self, stream: StreamSpec, clip: Clip, shown: dict[int, list[int]]
    ) -> tuple[dict[int, list[int]], Files | Sequence[Any], dict[int, str]]:
        """Read frames; return those that can be read, their data, and why others cannot.

        Frames without a mask are left out, and noted in the clip.
        """
        try:
            data = opened(self._storage).read_many(stream.name, clip.video, shown)
            return *self._present(stream, clip, shown, data), {}
        except FrameError:
            if not self._spec.repeats_damaged:
                raise
        files: dict[int, Any] = {}
        damage = {}
        for frame in shown:
            try:
                files[frame] = self._spec.storage.read(stream.name, clip.video, frame)
            except FrameError as error:
                cause = error.__cause__
                if isinstance(cause, OSError) and cause.errno in _SHORTAGES:
                    raise
                damage[frame] = error.reason
        readable = {frame: shown[frame] for frame in files}
        return *self._present(stream, clip, readable, list(files.values())), damage

    def _present(
        self, stream: StreamSpec, clip: Clip, shown: dict[int, list[int]], files: Files | Sequence[Any]
    ) -> tuple[dict[int, list[int]], Files | Sequence[Any]]:
        """Return frames and data without those that have no mask, whose time steps become unlabelled."""
        if isinstance(files, Files):
            return shown, files
        missing = [frame for frame, data in zip(shown, files, strict=True) if data is None]
        if not missing:
            return shown, files
        if not stream.mask:
            raise absent_picture(self._spec.storage, stream.name, clip.video, missing[0])
        steps = {at for frame in missing for at in shown[frame]}
        clip.ignored[stream.name] = sorted(steps.union(clip.unlabelled(stream.name)))
        there = {frame: at for frame, at in shown.items() if frame not in missing}
        return there, [data for data in files if data is not None]

    def _scratch_for(self, setup: StreamSetup) -> NDArray[Any] | None:
        """Return memory for a clip before its pixel steps; None if they are no more than a table."""
        stream, steps = setup.stream, setup.pixel_steps
        if steps is None or (steps.one_table and stream.kind == "image"):
            return None
        if stream.name not in self._scratch:
            shape = (self._spec.time_steps, *setup.size, stream.frame_channels)
            self._scratch[stream.name] = np.empty(shape, stream.decoded_dtype)
        return self._scratch[stream.name]

    def _weigh(
        self,
        mask: NDArray[np.uint8],
        table: NDArray[np.float32],
        unlabelled: list[int],
        out: NDArray[np.float32],
    ) -> None:
        """Write the weight of each pixel of a clip's mask; 0 at time steps without labels."""
        flat = mask.reshape(-1, mask.shape[-1])
        kernels.crop_table(flat, 0, 0, False, table, out.reshape(flat.shape), bypass_cache=self._bypass_cache)
        out[unlabelled] = 0


class _Decoding:
    """Decodes and places the frames of one stream of a clip.

    Frames that other workers decode at this moment come last, so that workers whose clips overlap divide
    their frames. But errors come in the order of the frames.
    """

    def __init__(
        self,
        setup: StreamSetup,
        clip: Clip,
        shown: dict[int, list[int]],
        files: Files | Sequence[Any],
        placer: ClipPlacer,
        meter: Meter,
        placed: Collection[int] | None,
    ) -> None:
        self._setup, self._clip, self._shown, self._files = setup, clip, shown, files
        self._placer, self._meter = placer, meter
        self._placed = placed  # by one call for all frames; None before it
        self._busy: list[tuple[int, Any]] = []  # frames that other workers decode, and their data

    def run(self) -> Iterator[tuple[int, FastclipsError]]:
        """Place all frames; yield those that cannot be decoded, or do not fit."""
        for number, frame in enumerate(self._shown):
            if self._placed is not None and len(self._placed) == len(self._files):
                return  # so all have one size
            if not (self._placed and frame in self._placed):
                yield from self._try(frame, self._files[number], waits=False)
        yield from self._run_busy()

    def _run_busy(self) -> Iterator[tuple[int, FastclipsError]]:
        while self._busy:
            yield from self._try(*self._busy.pop(0), waits=True)

    def _try(
        self,
        frame: int,
        data: Any,  # noqa: ANN401 - as stored
        *,
        waits: bool,
    ) -> Iterator[tuple[int, FastclipsError]]:
        try:
            self._place(frame, data, waits=waits)
        except FastclipsError as error:
            yield from self._run_busy()  # these are earlier frames
            yield frame, error

    def _place(self, frame: int, data: Any, *, waits: bool) -> None:  # noqa: ANN401 - likewise
        shown_at, placer, meter = self._shown[frame], self._placer, self._meter
        size = _check_size(self._setup, self._clip, frame, data)
        if self._placed is None:
            self._placed = placer.place_crops(size, self._shown, self._files, meter)
        if frame in self._placed:
            return
        done = placer.share_frame(frame, data, size, shown_at, meter, waits=waits)
        if done is None:
            self._busy.append((frame, data))
        elif not done:
            placer.place_frame(data, size, shown_at, meter)


def _check_size(setup: StreamSetup, clip: Clip, frame: int, data: Any) -> tuple[int, int]:  # noqa: ANN401 - as stored
    """Return a frame's size, which must fit that of the clip's other streams of its group."""
    size, name = setup.decoder.size(data), setup.stream.name
    joint = setup.joint(size)
    if joint is None:
        return size
    known, other = clip.sizes.setdefault((setup.group, frame), (joint, name))
    if joint != known and setup.joints is None:
        raise FrameError(
            f"is {size_text(size)} while its {other} is {size_text(known)}; the frames of aligned streams "
            f"must have one size: bring {name!r} to the other size by On({name!r}, Resize((height, width))) "
            "before the other transforms or, if it is another camera, open it as Stream(path)"
        )
    if joint != known:
        first, second = next(pair for pair in zip(joint, known, strict=False) if pair[0] != pair[1])
        raise FrameError(
            f"of {size_text(size)} is {size_text(first)} at a transform that acts on all streams, while its "
            f"{other} is {size_text(second)} there; the frames of aligned streams must have one size there: "
            f"resize both, by On(({other!r}, {name!r}), Resize((height, width)))"
        )
    return size


def _without(shown: dict[int, list[int]], left_out: Collection[int]) -> dict[int, list[int]]:
    """Return `Clip.shown` without some time steps."""
    kept = {frame: [at for at in shown_at if at not in left_out] for frame, shown_at in shown.items()}
    return {frame: shown_at for frame, shown_at in kept.items() if shown_at}


def _mask_tables(
    stream: StreamSpec, swapping: Swapping | None
) -> tuple[NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
    """Return the tables of a mask's values and of a mirrored mask's values, where they change any."""
    table = None if stream.values is None else np.array([stream.values], np.uint8)
    if swapping is None or not swapping.flip.mask_pairs:
        return table, None
    swapped = swap_table(swapping.flip.mask_pairs, 256).astype(np.uint8)
    return table, swapped[None] if table is None else swapped[table]
