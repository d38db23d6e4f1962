"""Decoded frames that clips share: frame slots, as one worker uses them.

A ticket names a frame slot for each frame that several clips show. What a slot holds is a hint: a worker
looks whether it is its frame, places it, and looks again. If it is not, the worker decodes the frame whole,
into the slot if nobody else writes it. `native/README.md` tells why a worker may die meanwhile.

Frame slots are in the arena, where a plan gives them to one frame after another; or in the memory of a
`fastclips.FrameCache`, where each frame has a place that it keeps.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips._native import FrameArea
from fastclips.engine.kept_frames import Segment
from fastclips.errors import FastclipsError
from fastclips.pixels.decoding.decoder import Decoded, Rung

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fastclips.engine.arena import Arena
    from fastclips.engine.clip_spec import ClipSpec
    from fastclips.spec import StreamSpec

__all__ = ["Kept", "SharedFrames", "StreamFrames"]

_PATIENCE_MS = 5  # how long to wait for a worker that fills a slot
_FAST_DCT = 2**16  # in the format of an area


class Kept(NamedTuple):
    """A frame in a slot.

    Parameters
    ----------
    word : int
        For `StreamFrames.unchanged`.
    size : (int, int)
        Height and width of the frame at scale 1.
    scale : int
        The scale that was asked for.
    frame : Decoded
        The whole frame, in the memory of the slot, which another worker may write at any time.
    """

    word: int
    size: tuple[int, int]
    scale: int
    frame: Decoded


class StreamFrames:
    """The frames of one stream.

    Parameters
    ----------
    area : FrameArea
        The stream's area of all slots.
    nbytes : int
        Bytes of the area in each slot.
    stream : StreamSpec
        The stream.
    """

    def __init__(self, area: FrameArea, nbytes: int, stream: StreamSpec) -> None:
        self.area, self._nbytes = area, nbytes
        self._dtype = np.dtype(stream.decoded_dtype)
        self._channels = () if stream.mask else (stream.frame_channels,)

    def look(self, slot: int, video: int, frame: int) -> Kept | None:
        """Return a frame if it is in a slot."""
        found = self.area.look(slot, video, frame)
        if found is None:
            return None
        word, height, width, asked, scale, rung = found
        pixels = self._pixels(slot, (-(-height // scale), -(-width // scale), *self._channels))
        return Kept(word, (height, width), asked, Decoded(pixels, 0, 0, scale, Rung(rung)))

    def unchanged(self, slot: int, kept: Kept) -> bool:
        """Whether all that was read of a frame since `look` was that frame."""
        return self.area.unchanged(slot, kept.word)

    def fill(
        self,
        slot: int,
        video: int,
        frame: int,
        size: tuple[int, int],
        scale: int,
        decode: Callable[[], Decoded],
        *,
        waits: bool,
    ) -> Decoded | bool | None:
        """Decode a frame whole, into a slot if it has room.

        Returns
        -------
        Decoded, bool or None
            The frame, in the decoder's memory. True if another worker has filled the slot meanwhile, False if
            the frame is to be decoded without it: also if it could not be decoded, which says nothing about
            the part that a clip needs. None if another worker fills the slot, and not `waits`.
        """
        claimed = self.area.claim(slot)
        if claimed is None and waits:
            self.area.wait(slot, _PATIENCE_MS)
            return True
        if not claimed:
            return claimed
        try:
            whole = decode()
            fits = whole.pixels.nbytes <= self._nbytes
            if fits:
                self._pixels(slot, whole.pixels.shape)[...] = whole.pixels
        except BaseException as error:
            self.area.abandon(slot)
            if isinstance(error, FastclipsError):
                return False
            raise
        if fits:
            self.area.finish(slot, video, frame, size, scale, whole.scale, int(whole.rung))
        else:
            self.area.abandon(slot)
        return whole

    def _pixels(self, slot: int, shape: tuple[int, ...]) -> NDArray[Any]:
        return np.ndarray(shape, self._dtype, self.area.pixels(slot))


class SharedFrames:
    """The frame slots of a loader.

    Parameters
    ----------
    segments : sequence of Segment
        Where they are.
    spec : ClipSpec
        What is decoded.
    worker : int
        The number of the worker.
    loader : int, optional
        Of a `KeptFrames`, where a frame keeps its slot.
    """

    def __init__(
        self, segments: Sequence[Segment], spec: ClipSpec, worker: int, loader: int | None = None
    ) -> None:
        streams = {stream.name: stream for stream in spec.streams}
        self._firsts = [segment.first for segment in segments]
        self._areas: list[dict[str, StreamFrames]] = []
        for slots, layout, _ in segments:
            areas = {}
            for number, (name, nbytes) in enumerate(layout.areas):
                stream = streams[name]
                pixel = stream.frame_channels * np.dtype(stream.decoded_dtype).itemsize
                area = FrameArea(
                    slots,
                    area=number,
                    offset=layout.offsets[number],
                    bytes=nbytes,
                    pixel=pixel,
                    format=number + 2**8 * pixel + _FAST_DCT * spec.fast_dct,
                    worker=worker,
                    loader=loader,
                )
                areas[name] = StreamFrames(area, nbytes, stream)
            self._areas.append(areas)
        self._segment, self._stay = 0, loader is not None

    @classmethod
    def of(cls, spec: ClipSpec, worker: int, arena: Arena | None = None) -> SharedFrames | None:
        """Return the frame slots that a spec or its arena has; None if there are none."""
        if spec.kept is not None:  # without segments if other loaders have filled the cache
            kept = spec.kept
            return cls(kept.segments, spec, worker, kept.loader) if kept.segments else None
        if arena is None or spec.shared is None or not len(arena.frame_slots):
            return None
        return cls([Segment(arena.frame_slots, spec.shared)], spec, worker)

    def begin(self, number: int) -> None:
        """Render the ticket of a number from now on."""
        if self._stay:
            return
        for areas in self._areas:
            for stream in areas.values():
                stream.area.set_number(number)

    def enter(self, slots: Sequence[int]) -> dict[int, int]:
        """Take the slots of a clip's time steps from its ticket, -1 for none.

        All that are used are in one segment. Only where loaders of a cache show overlapping parts of a video
        may a clip have slots in several: the segment that has most of them is used.

        Returns
        -------
        dict of int to int
            The slot in the segment, of each time step that has one.
        """
        if len(self._firsts) == 1:
            return {at: slot for at, slot in enumerate(slots) if slot >= 0}
        segments = [bisect_right(self._firsts, slot) - 1 for slot in slots]
        there = [segment for segment in segments if segment >= 0]
        if not there:
            return {}
        self._segment = there[0] if there[0] == there[-1] else Counter(there).most_common(1)[0][0]
        first = self._firsts[self._segment]
        return {at: slot - first for at, slot in enumerate(slots) if segments[at] == self._segment}

    def of_stream(self, stream: str) -> StreamFrames | None:
        """Return the frames of a stream of the clip; None if they are not shared."""
        return self._areas[self._segment].get(stream)
