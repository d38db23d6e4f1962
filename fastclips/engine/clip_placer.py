"""Decoded frames of one stream of a clip -> the batch.

A `ClipPlacer` knows the clip's geometry map. It tells which part of each frame to decode, and places the
decoded part in the batch, or in scratch memory where pixel steps follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips._native import Files
from fastclips.engine.clip_crops import (
    copy_held,
    count_marks,
    decode_or_share,
    make_crop,
    placed,
    write_arrays,
)
from fastclips.engine.rendering import DECODE, FILLED, HELD, KERNEL
from fastclips.errors import FastclipsError, FrameError
from fastclips.pixels.decoding.decoder import Decoded, Decoder, Rung
from fastclips.pixels.geometry.fields import make_field_placer
from fastclips.pixels.geometry.placing import Hole, find_hole, make_placer
from fastclips.pixels.geometry.regions import Source, find_source, localize

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips._native import Crop
    from fastclips.engine.rendering import Meter
    from fastclips.engine.shared_frames import StreamFrames
    from fastclips.pixels.geometry.affine import Geometry
    from fastclips.pixels.recipe import Recipe
    from fastclips.pixels.steps.compiled import CompiledSteps
    from fastclips.spec import StreamSpec

__all__ = ["Clip", "ClipPlacer", "StreamSetup", "size_text"]


class StreamSetup(NamedTuple):
    """What a renderer keeps for one stream, from clip to clip."""

    stream: StreamSpec
    recipe: Recipe  # of the stream
    size: tuple[int, int]  # that the geometry must give
    group: str  # of streams whose frames must fit each other
    decoder: Decoder
    pixel_steps: CompiledSteps | None
    table: NDArray[Any] | None  # the result for each byte, where it is the same for all clips
    mirrored_table: NDArray[np.uint8] | None  # the same for a mask, where left and right are swapped
    channels_first: bool
    joints: dict[tuple[int, int], Any] | None  # results of `joint`, where streams have geometry of their own
    scaled: bool  # whether frames are decoded at the scale of the map
    alone: bool  # whether no other stream is in its group

    def joint(self, size: tuple[int, int]) -> tuple[Any, ...] | None:
        """Return what must be equal in all streams of the group, for frames of a size; None if nothing."""
        if self.alone:
            return None
        if self.joints is None:
            return size
        if size not in self.joints:
            found = self.recipe.joints(*size)
            self.joints[size] = None if found is None else tuple(before for _, before in found)
        joint: tuple[Any, ...] | None = self.joints[size]
        return joint


class Clip(NamedTuple):
    """What all streams of a ticket share."""

    video: int
    view: int
    draws: list[float]
    shown: dict[int, list[int]]  # the time steps that show each frame, including padding
    padded: list[int]  # time steps
    sizes: dict[tuple[str, int], tuple[Any, str]]  # by group and frame, and the stream where it was read
    ignored: dict[str, list[int]]  # time steps without labels, by mask, where they are more than the padded
    slots: Mapping[int, int] = {}  # the frame slots of frames that other clips show, too

    def unlabelled(self, mask: str) -> list[int]:
        """Return the time steps at which a mask has no labels."""
        return self.ignored.get(mask, self.padded)


class _PartShape(NamedTuple):
    """Place and shape of the decoded part of a frame, in pixels of the frame at that scale."""

    top: int
    left: int
    scale: int
    shape: tuple[int, ...]


class ClipPlacer:
    """Places the decoded frames of one stream of a clip.

    Parameters
    ----------
    setup : StreamSetup
        The stream.
    clip : Clip
        The clip.
    batch : ndarray
        The row's array of the stream.
    scratch : ndarray of uint8, optional
        Where frames are placed before the pixel steps, which write to the batch.
    bypass_cache : bool
        As for `fastclips.pixels.geometry.kernels.crop`.
    frames : StreamFrames, optional
        The stream's frames in frame slots, which `Clip.slots` refers to.
    """

    def __init__(
        self,
        setup: StreamSetup,
        clip: Clip,
        batch: NDArray[Any],
        scratch: NDArray[np.uint8] | None,
        *,
        bypass_cache: bool,
        frames: StreamFrames | None = None,
    ) -> None:
        self._frames = frames
        self._recipe, self._setup, self._clip = setup.recipe, setup, clip
        self._draws = setup.recipe.own_draws(clip.draws)
        self._batch, self._scratch = batch, scratch
        self._bypass_cache = bypass_cache and scratch is None
        self._output = batch if scratch is None else scratch
        self._table = setup.table
        if scratch is None and setup.pixel_steps is not None and setup.table is None:
            self._table = setup.pixel_steps.table(self._draws[self._recipe.geometry_draws :])
        self._resolved: tuple[tuple[int, int], int] | None = None  # size of a frame, and its time step
        self._geometry: Geometry
        self._source: Source | None = None
        self._placer: tuple[_PartShape, Callable[[NDArray[np.uint8], NDArray[Any]], None]] | None = None
        self._hole: Hole | None = None
        self._holes: dict[int, Hole] = {}  # by time step

    def place_frame(self, data: Any, size: tuple[int, int], shown_at: list[int], meter: Meter) -> None:  # noqa: ANN401 - as stored
        """Decode the part of a frame that the map needs, and place it at some time steps."""
        for group in self._by_map(shown_at):
            source = self._resolve_source(size, group[0])
            part = self._setup.decoder.decode(data, source, self._scale)
            self.count(part, size, meter)
            meter.lap(DECODE)
            self._place(part, group)
            meter.lap(KERNEL)

    def scales(self, size: tuple[int, int], shown_at: list[int]) -> set[int]:
        """Return the scales at which a frame is decoded for some time steps: mostly one."""
        scales = set()
        for group in self._by_map(shown_at):
            self._resolve_source(size, group[0])
            scales.add(self._scale)
        return scales

    def boxes(self, size: tuple[int, int], shown_at: list[int]) -> list[tuple[int, Source]]:
        """Return the scale and the part of a frame that each map needs which shows it."""
        boxes = []
        for group in self._by_map(shown_at):
            source = self._resolve_source(size, group[0])
            boxes.append((self._scale, Source(0, 0, *size) if source is None else source))
        return boxes

    def place_whole(
        self, whole: Decoded, scale: int, size: tuple[int, int], shown_at: list[int], meter: Meter
    ) -> None:
        """Place a frame that is decoded already, the same bytes as `place_frame` places.

        Parameters
        ----------
        whole : Decoded
            From ``decoder.decode(data, None, scale)``: the whole frame; or a part that holds all boxes of
            this scale.
        scale : int
            The scale that was asked for, one of `scales`. Only time steps of this scale are placed.
        size : (int, int)
            Height and width of the frame at scale 1.
        shown_at : list of int
            The time steps that show the frame.
        meter : Meter
            Takes the time.
        """
        for group in self._by_map(shown_at):
            self._resolve_source(size, group[0])
            if self._scale == scale:
                self._place(whole, group)
        meter.lap(KERNEL)

    @staticmethod
    def count(part: Decoded, size: tuple[int, int], meter: Meter) -> None:
        """Count a frame of a size that was decoded, whole or in part."""
        decoded = part.pixels.shape
        meter.add_decoded(part.rung, size[0] * size[1] / part.scale**2, decoded[0] * decoded[1])

    def _by_map(self, shown_at: list[int]) -> list[list[int]]:
        """Return time steps in groups that share a map."""
        return [[at] for at in shown_at] if self._recipe.by_frame else [shown_at]

    @property
    def _scale(self) -> int:
        """The scale of the map that was resolved last."""
        return self._geometry.scale if self._setup.scaled else 1

    def place_crops(
        self,
        size: tuple[int, int],
        shown: Mapping[int, list[int]],
        files: Files | Sequence[Any],
        meter: Meter,
    ) -> Collection[int]:
        """Decode frames of a size and place them in one call, where all have one map.

        The files are all arrays of pixels, or none is.

        Returns
        -------
        collection of int
            The frames that were placed. The others are left to `place_frame`, or have another size.
        """
        frames, clip = self._frames, self._clip
        firsts = {frame: shown_at[0] for frame, shown_at in shown.items()}
        if not isinstance(files, Files) and isinstance(files[0], np.ndarray):
            return self._place_arrays(size, shown, firsts, files, meter)
        crop = self._crop(size, shown) if self._setup.scaled else None
        source = self._source
        if crop is None or source is None:
            return ()
        area = None if frames is None else frames.area
        marks = decode_or_share(
            self._setup.decoder, crop, clip.video, firsts, files, self._output, area, clip.slots
        )
        done = placed(marks)
        self._note_placed(size, shown, done)
        count_marks(bytes(marks.values()), size, source, self._scale, meter)
        return done

    def _place_arrays(
        self,
        size: tuple[int, int],
        shown: Mapping[int, list[int]],
        firsts: Mapping[int, int],
        arrays: Sequence[NDArray[Any]],
        meter: Meter,
    ) -> Collection[int]:
        """Place frames that are pixels, as `place_crops`, unless some are for frame slots."""
        shared = self._frames is not None and any(frame in self._clip.slots for frame in firsts)
        crop = None if shared else self._crop(size, shown, 1)
        if crop is None:
            return ()
        done = write_arrays(crop, firsts, arrays, self._output)
        self._note_placed(size, shown, done)
        meter.add_decoded(Rung.ARRAY, size[0] * size[1], size[0] * size[1], len(done))
        return done

    def place_held(self, shown: Mapping[int, list[int]], meter: Meter) -> Collection[int]:
        """Place the frames that are in frame slots.

        Returns
        -------
        collection of int
            The frames that were placed. The others must be read and decoded; so must frames that do not fit,
            which then raises an error.
        """
        frames, clip, done = self._frames, self._clip, set[int]()
        kept = [frame for frame in shown if frame in clip.slots]
        if frames is None or not kept:
            return done
        looks = (frames.look(clip.slots[frame], clip.video, frame) for frame in kept)
        first = next((found for found in looks if found is not None), None)
        if first is None:
            return done
        try:
            crop = self._crop(first.size, shown)
            if crop is not None:
                firsts = {frame: shown[frame][0] for frame in kept}
                done = copy_held(frames.area, crop, clip.video, firsts, self._output, clip.slots)
                self._note_placed(first.size, shown, done)
            else:
                for frame in kept:
                    if self._place_kept(frame, shown[frame], meter):
                        done.add(frame)
        except FastclipsError:  # a frame of another size than the clip may show
            pass
        meter.lap(KERNEL)
        meter.add(HELD, len(done))
        return done

    def share_frame(
        self,
        frame: int,
        data: Any,  # noqa: ANN401 - as stored
        size: tuple[int, int],
        shown_at: list[int],
        meter: Meter,
        *,
        waits: bool,
    ) -> bool | None:
        """Place a frame from its frame slot, decoded whole into it where it must be.

        Returns
        -------
        bool or None
            Whether it was placed; if not, `place_frame` does it. None if another worker decodes it: ask
            again, with `waits`.
        """
        frames, clip = self._frames, self._clip
        if frames is None or frame not in clip.slots:
            return False
        if self._place_kept(frame, shown_at, meter):
            meter.add(HELD, 1)
            return True
        (scale, *others) = self.scales(size, shown_at)
        if others or not frames.area.fits(*size, scale):
            return False

        def decode() -> Decoded:
            return self._setup.decoder.decode(data, None, scale)

        found = frames.fill(clip.slots[frame], clip.video, frame, size, scale, decode, waits=waits)
        if found is True and self._place_kept(frame, shown_at, meter):
            meter.add(HELD, 1)
            return True
        if not isinstance(found, Decoded):
            return None if found is None else False
        self.count(found, size, meter)
        meter.add(FILLED, 1)
        meter.lap(DECODE)
        self.place_whole(found, scale, size, shown_at, meter)
        return True

    def _place_kept(self, frame: int, shown_at: list[int], meter: Meter) -> bool:
        """Place a frame from its slot, if it is there and stays there."""
        frames, clip = self._frames, self._clip
        slot = clip.slots[frame]
        kept = None if frames is None else frames.look(slot, clip.video, frame)
        if frames is None or kept is None or not self._fits(kept.size, {frame: shown_at}):
            return False
        if self.scales(kept.size, shown_at) != {kept.scale}:
            return False
        self.place_whole(kept.frame, kept.scale, kept.size, shown_at, meter)
        if not frames.unchanged(slot, kept):
            return False
        self._note_size(kept.size, (frame,))
        return True

    def _crop(
        self, size: tuple[int, int], shown: Mapping[int, list[int]], scale: int | None = None
    ) -> Crop | None:
        """Return what one call is told of frames of a size; None if they need more, or do not fit."""
        setup, fill = self._setup, self._recipe.border.fill
        if self._recipe.by_frame or setup.stream.is_field:
            return None
        self._resolve_source(size, 0)
        geometry = self._geometry
        if (setup.stream.mask and geometry.warp is not None) or not self._fits(size, shown):
            return None
        return make_crop(
            geometry,
            size,
            find_source(geometry, *size, fill) if self._source is None else self._source,
            self._scale if scale is None else scale,
            fill,
            nearest=setup.stream.mask,
            table=self._table_at(0),
            channels_first=setup.channels_first and self._scratch is None,
            bypass_cache=self._bypass_cache,
        )

    def _note_placed(
        self, size: tuple[int, int], shown: Mapping[int, list[int]], done: Collection[int]
    ) -> None:
        """Do what is left for frames of a size that one call has placed at the first time step of each."""
        self._note_size(size, done)
        output = self._output
        if len(shown) < len(output):
            for frame, (first, *others) in shown.items():
                if others and frame in done:
                    output[others] = output[first]
        if self._hole is not None:
            for frame in done:
                self._holes.update(dict.fromkeys(shown[frame], self._hole))

    def _fits(self, size: tuple[int, int], shown: Mapping[int, list[int]]) -> bool:
        """Whether frames of a size fit those of the other streams of the group."""
        joint, own = self._setup.joint(size), self._setup.group
        known = ((frame, fit) for (group, frame), (fit, _) in self._clip.sizes.items() if group == own)
        return joint is None or all(fit == joint for frame, fit in known if frame in shown)

    def _note_size(self, size: tuple[int, int], frames: Collection[int]) -> None:
        """Note the size of frames that were placed, for the other streams of the group."""
        group, joint = self._setup.group, self._setup.joint(size)
        if joint is not None:
            places = [(group, frame) for frame in frames]
            self._clip.sizes.update(dict.fromkeys(places, (joint, self._setup.stream.name)))

    def finish(self) -> None:
        """Fill masks without labels, run the pixel steps, and fill what lies outside the frames."""
        setup, stream = self._setup, self._setup.stream
        unlabelled = self._clip.unlabelled(stream.name) if stream.marks_ignored else ()
        if setup.pixel_steps is not None and self._scratch is not None:
            if unlabelled:
                self._scratch[unlabelled] = stream.ignored
            draws = self._draws[self._recipe.geometry_draws :]
            out = np.moveaxis(self._batch, 1, -1) if setup.channels_first else self._batch
            setup.pixel_steps.run(self._scratch, draws, out)
        if unlabelled:
            self._batch[unlabelled] = stream.ignored
        for at, hole in self._holes.items():
            hole.fill(self._batch[at])

    def _place(self, part: Decoded, shown_at: list[int]) -> None:
        """Place a decoded part, of the source that was resolved last, at some time steps."""
        which = _PartShape(part.top, part.left, part.scale, part.pixels.shape)
        if self._placer is None or self._placer[0] != which:
            self._placer = which, self._make_placer(which, shown_at[0])
        first = self._output[shown_at[0]]
        self._placer[1](part.pixels, first)
        for at in shown_at[1:]:
            self._output[at] = first
        if self._hole is not None:
            self._holes.update(dict.fromkeys(shown_at, self._hole))

    def _resolve_source(self, size: tuple[int, int], at: int) -> Source | None:
        """Return the part of a frame that the map needs at a time step; None for the whole frame."""
        at = at if self._recipe.by_frame else 0
        if self._resolved != (size, at):
            self._resolve(size, at)
            self._resolved = size, at
        return self._source

    def _resolve(self, size: tuple[int, int], at: int) -> None:
        """Find the map of frames of a size at a time step, and the part of the frame that it needs."""
        stream, border = self._setup.stream, self._recipe.border
        self._geometry = geometry = self._map(size, at)
        self._source = find_source(geometry, *size, border.fill) if stream.kind == "image" else None
        self._placer = None
        if border.fill == "constant":
            value = stream.ignore if stream.mask else border.value
            self._hole = find_hole(
                geometry, size, self._batch[0], value, channels_first=self._setup.channels_first
            )

    def _make_placer(self, part: _PartShape, at: int) -> Callable[[NDArray[np.uint8], NDArray[Any]], None]:
        """Return the function that places parts of this shape at a time step."""
        setup, geometry, source = self._setup, self._geometry, self._source
        moves_channels = setup.channels_first and self._scratch is None
        if setup.stream.is_field:
            fill, vectors = self._recipe.border.fill, setup.stream.kind == "flow"
            size = part.shape[0], part.shape[1]
            return make_field_placer(geometry, size, fill, vectors=vectors, channels_first=moves_channels)
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
            self._table_at(at),
            nearest=setup.stream.mask,
            channels_first=moves_channels,
            bypass_cache=self._bypass_cache,
        )
        return put if inner is None else lambda pixels, output: put(pixels[inner], output)

    def _map(self, shape: tuple[int, int], at: int) -> Geometry:
        """Return the geometry map of frames of a size at a time step."""
        size = self._setup.size
        geometry = self._recipe.geometry(*shape, self._draws, self._clip.view, at)
        if size != (geometry.y.size, geometry.x.size):
            raise FrameError(
                f"is {size_text(shape)} and would come out as {geometry.y.size}x{geometry.x.size} (height x "
                f"width) in a batch of {size_text(size)}; frames of mixed sizes need a transform that fixes "
                "the size, such as RandomCrop(224) or Resize((256, 340))"
            )
        return geometry

    def _table_at(self, at: int) -> NDArray[Any] | None:
        """Return the table to look up at a time step: a mask has another one where it is mirrored."""
        swapping = self._recipe.swapping
        if self._setup.mirrored_table is None or swapping is None:
            return self._table
        mirrored = swapping.flip.mirrors(self._draws[swapping.column(at)])
        return self._setup.mirrored_table if mirrored else self._table


def size_text(shape: tuple[int, ...]) -> str:
    """Return a size as text, such as ``"48x64"``."""
    return f"{shape[0]}x{shape[1]}"
