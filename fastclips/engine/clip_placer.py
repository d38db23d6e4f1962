"""The way of a clip's decoded frames of one stream into the batch.

A `Way` knows the clip's map: it says what of each frame is needed, and places what was decoded of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips.engine.arena import COUNTERS
from fastclips.errors import FrameError
from fastclips.pixels.decoding.decoder import Decoded, Decoder, Rung
from fastclips.pixels.geometry.placing import Hole, find_hole, make_placer
from fastclips.pixels.geometry.regions import Source, find_source, localize

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.engine.clip_spec import ClipSpec
    from fastclips.pixels.geometry.affine import Geometry
    from fastclips.pixels.steps.compiled import CompiledSteps
    from fastclips.spec import Stream

__all__ = ["Clip", "Lane", "Way", "by"]

SLICED, PIXELS, DECODED = map(COUNTERS.index, ("sliced", "pixels", "decoded_pixels"))
_LAST = int(Rung.WHOLE)  # of those in which `Decoder.decode_crops` decodes


class Lane(NamedTuple):
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


class Clip(NamedTuple):
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


class Way:
    """The way of a clip's decoded frames of one stream into the batch.

    Parameters
    ----------
    spec : ClipSpec
        What to do.
    lane : Lane
        The stream.
    clip : Clip
        The clip.
    batch : ndarray
        The row's array of the stream.
    room : ndarray of uint8, optional
        Where frames are placed before they go through the pixel steps into the batch.
    bypass_cache : bool
        As for `fastclips.pixels.geometry.kernels.crop`.
    """

    def __init__(
        self,
        spec: ClipSpec,
        lane: Lane,
        clip: Clip,
        batch: NDArray[Any],
        room: NDArray[np.uint8] | None,
        *,
        bypass_cache: bool,
    ) -> None:
        self._spec, self._recipe, self._lane, self._clip = spec, spec.recipe, lane, clip
        self._batch, self._room, self._bypass_cache = batch, room, bypass_cache and room is None
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
        if any(known != size for frame, (known, _) in sizes.items() if frame in shown):
            return ()
        rungs = decoder.decode_crops(
            files,
            [steps[0] for steps in shown.values()],
            size,
            source,
            geometry.scale,
            output,
            mirrored=geometry.flip,
            bypass_cache=self._bypass_cache,
        )
        done: Collection[int] = shown.keys()
        if max(rungs) > _LAST:
            done = {frame for frame, rung in zip(shown, rungs, strict=True) if rung <= _LAST}
        sizes.update(dict.fromkeys(done, (size, name)))
        if len(shown) < len(output):
            for frame, (first, *others) in shown.items():
                if others and frame in done:
                    output[others] = output[first]
        for rung in {*rungs}:
            if rung <= _LAST:
                counters[SLICED + rung] += rungs.count(rung)
        counters[PIXELS] += len(done) * size[0] * size[1] / geometry.scale**2
        counters[DECODED] += len(done) * geometry.y.size * geometry.x.size
        return done

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
            bypass_cache=self._bypass_cache,
        )
        return put if inner is None else lambda pixels, output: put(pixels[inner], output)

    def _map(self, shape: tuple[int, int], step: int) -> Geometry:
        """Return the geometry map of frames of a size at a step."""
        clip, size = self._clip, self._lane.size
        geometry = self._recipe.geometry(*shape, clip.draws, clip.view, step)
        if size != (geometry.y.size, geometry.x.size):
            raise FrameError(
                f"is {by(shape)} and would come out as {geometry.y.size}x{geometry.x.size} (height x width) "
                f"in a batch of {by(size)}; frames of mixed sizes need a transform that fixes the size, "
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


def _channels_last(frames: NDArray[Any], channels_first: bool) -> NDArray[Any]:
    return np.moveaxis(frames, 1, -1) if channels_first else frames


def by(shape: tuple[int, ...]) -> str:
    """Return a size as a word, such as ``"48x64"``."""
    return f"{shape[0]}x{shape[1]}"
