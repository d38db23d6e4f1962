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

from fastclips import kernels
from fastclips.arena import COUNTERS, slot_views, ticket_view
from fastclips.decode import Decoder
from fastclips.errors import FastclipsError, FrameError
from fastclips.resample import resample
from fastclips.spec import ticket_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fastclips.arena import Arena
    from fastclips.spec import ClipSpec, Stream
    from fastclips.transforms import Geometry

__all__ = ["Renderer", "work"]

READ, DECODE, KERNEL, WAIT, CLIPS, FRAMES, BYTES, _ = range(len(COUNTERS))
_CACHED = 2**20  # bytes: a larger batch is not in any cache when it is read
_CLAIM_MS = 1000  # how long a wait for tickets may last before it looks again


class _Box(NamedTuple):
    """A map resolved for frames of one size: what each of them needs, worked out once."""

    geometry: Geometry
    is_crop: bool
    top: int
    left: int
    flip: bool
    size: tuple[int, int]

    @classmethod
    def of(cls, geometry: Geometry) -> _Box:
        top, left = int(geometry.y.box[0]), int(geometry.x.box[0])
        size = geometry.y.size, geometry.x.size
        return cls(geometry, geometry.is_crop, top, left, geometry.flip, size)


class Renderer:
    """Turns a ticket into the row of a slot.

    Parameters
    ----------
    spec : ClipSpec
        What to read, how to decode it, what to do with it and where it goes.
    """

    def __init__(self, spec: ClipSpec) -> None:
        self._spec = spec
        self._decoders = [Decoder(fast_dct=spec.fast_dct) for _ in spec.streams]
        self._table = spec.recipe.table()
        self._channels_first = spec.recipe.channels_first
        self._stream = spec.layout.nbytes > _CACHED
        self._scratch: dict[tuple[int, ...], NDArray[np.uint8]] = {}  # of stretched frames, by shape

    def render(self, ticket: np.void, row: Mapping[str, NDArray[Any]], counters: NDArray[np.float64]) -> None:
        """Write a clip.

        Parameters
        ----------
        ticket : numpy.void
            Of `fastclips.spec.ticket_dtype`.
        row : mapping of str to ndarray
            The row's arrays, (T, ...) each, by stream.
        counters : ndarray of float64
            One per name in `COUNTERS`; what this clip took is added to them.

        Raises
        ------
        FrameError
            If a frame is missing, damaged or does not fit; the message holds its path.
        """
        spec, size = self._spec, None
        read = spec.storage.read
        video, draws = int(ticket["video"]), ticket["draws"].tolist()
        outputs = [
            (stream, decoder.mask if stream.mask else decoder.image, row[stream.name])
            for stream, decoder in zip(spec.streams, self._decoders, strict=True)
        ]
        reading = decoding = placing = 0.0
        bytes_read = 0
        for step, frame in enumerate(ticket["frames"][: spec.time_steps].tolist()):
            for stream, decode, output in outputs:
                try:
                    began = perf_counter()
                    data = read(stream.name, video, frame)
                    there = perf_counter()
                    pixels = decode(data)
                    decoded = perf_counter()
                    if pixels.shape[:2] != size:
                        if size is not None and stream is not spec.streams[0]:
                            raise FrameError(
                                f"is {_by(pixels.shape)} while its {spec.streams[0].name} is {_by(size)}; "
                                "the frames of aligned streams must have one size"
                            )
                        size = pixels.shape[:2]
                        box = _Box.of(spec.recipe.geometry(size[0], size[1], draws))
                    self._place(pixels, box, stream, output[step])
                    ended = perf_counter()
                except FastclipsError as error:
                    where = spec.storage.where(stream.name, video, frame)
                    raise error if where in str(error) else FrameError(f"{where}: {error}") from None
                reading += there - began
                decoding += decoded - there
                placing += ended - decoded
                bytes_read += len(data)
        counters[READ] += reading
        counters[DECODE] += decoding
        counters[KERNEL] += placing
        counters[BYTES] += bytes_read
        counters[FRAMES] += spec.time_steps
        counters[CLIPS] += 1

    def _place(self, pixels: NDArray[np.uint8], box: _Box, stream: Stream, output: NDArray[Any]) -> None:
        """Put one frame through the geometry map and the pixel steps into its place."""
        channels_first = self._channels_first and not stream.mask
        size = output.shape[1:] if channels_first else output.shape[:2]
        if size != box.size:
            raise FrameError(
                f"is {_by(pixels.shape)} and would come out as {_by(box.size)} (height x width) in a batch "
                f"of {_by(size)}; frames of mixed sizes need a transform that fixes the size, such as "
                "RandomCrop(224) or Resize((256, 340))"
            )
        table = None if stream.mask else self._table
        top, left = box.top, box.left
        if not box.is_crop:
            direct = not box.flip and table is None and not channels_first
            stretched = output if direct else self._scratch_for((*size, *pixels.shape[2:]))
            resample(pixels, box.geometry, nearest=stream.mask, out=stretched)
            if direct:
                return
            pixels, top, left = stretched, 0, 0
        flip, options = box.flip, {"channels_first": channels_first, "stream": self._stream}
        if table is None:
            kernels.crop(pixels, top, left, flip, output, **options)
        else:
            kernels.crop_table(pixels, top, left, flip, table, output, **options)

    def _scratch_for(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        if shape not in self._scratch:
            self._scratch[shape] = np.empty(shape, np.uint8)
        return self._scratch[shape]


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
    renderer = Renderer(spec)
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
            arena.set_note(cell, str(error))
            arena.finish(cell, worker, False)
        except Exception as error:  # noqa: BLE001 - whatever it is, the trainer must hear of it
            traceback.print_exc()
            ticket = tickets[cell]
            arena.set_note(
                cell,
                f"{type(error).__name__}: {error} (video {ticket['video']}, frames from "
                f"{ticket['frames'][0]}; the traceback is on standard error)",
            )
            arena.finish(cell, worker, False)
        else:
            arena.finish(cell, worker, True)
