"""One worker's loop: a ticket becomes bytes, pixels, the row of a slot.

`Renderer` is that way for one clip and knows nothing of processes; the loader without workers calls it in
the caller. `work` is the loop around it that claims tickets until the process is killed. Everything a
worker does may be done twice or stop at any instruction: it owns the row that it claimed and nothing else.
"""

from __future__ import annotations

import traceback
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips import kernels
from fastclips.arena import COUNTERS, slot_views, ticket_view, to_note
from fastclips.decode import Decoder
from fastclips.errors import FastclipsError, FrameError
from fastclips.resample import resample, use_one_thread
from fastclips.spec import ticket_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from fastclips.arena import Arena
    from fastclips.spec import ClipSpec, Stream

__all__ = ["Renderer", "work"]

READ, DECODE, KERNEL, WAIT, CLIPS, FRAMES, BYTES, _, PILLOW = range(len(COUNTERS))
_CACHED = 2**20  # bytes: a larger batch is not in any cache when it is read
_CLAIM_MS = 1000  # how long a wait for tickets may last before it looks again


class Renderer:
    """Turns a ticket into the row of a slot.

    A clip's files are all read before its first frame is decoded, so that reading is timed once per clip.

    Parameters
    ----------
    spec : ClipSpec
        What to read, how to decode it, what to do with it and where it goes.
    single_threaded : bool
        Whether no other thread of this process renders, so that kernels may use a buffer of theirs.
    """

    def __init__(self, spec: ClipSpec, *, single_threaded: bool = False) -> None:
        self._spec = spec
        self._decoders = [Decoder(fast_dct=spec.fast_dct) for _ in spec.streams]
        self._table = spec.recipe.table()
        self._past_caches = single_threaded and spec.layout.nbytes > _CACHED

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
        spec = self._spec
        video, draws = int(ticket["video"]), ticket["draws"].tolist()
        frames = ticket["frames"][: spec.time_steps].tolist()
        shapes: list[tuple[int, ...]] = []  # of the first stream's frames
        for stream, decoder in zip(spec.streams, self._decoders, strict=True):
            began = perf_counter()
            files = [spec.storage.read(stream.name, video, frame) for frame in frames]
            ended = perf_counter()
            counters[READ] += ended - began
            counters[BYTES] += sum(map(len, files))
            decode, output = decoder.mask if stream.mask else decoder.image, row[stream.name]
            shape: tuple[int, ...] | None = None
            decoding = placing = 0.0
            for step, data in enumerate(files):
                began = ended
                try:
                    pixels = decode(data)
                    if pixels.shape != shape:
                        shape = pixels.shape
                        place = self._placer(stream, shape, draws, output.shape)
                    if stream is spec.streams[0]:
                        shapes.append(shape)
                    elif shape[:2] != shapes[step][:2]:
                        raise FrameError(
                            f"is {_by(shape)} while its {spec.streams[0].name} is {_by(shapes[step])}; "
                            "the frames of aligned streams must have one size"
                        )
                    decoded = perf_counter()
                    place(pixels, output[step])
                except FastclipsError as error:
                    where = spec.storage.where(stream.name, video, frames[step])
                    raise FrameError(f"{where}: {error}") from None
                ended = perf_counter()
                decoding += decoded - began
                placing += ended - decoded
            counters[DECODE] += decoding
            counters[KERNEL] += placing
        counters[FRAMES] += spec.time_steps
        counters[CLIPS] += 1

    def _placer(
        self, stream: Stream, shape: tuple[int, ...], draws: list[float], output: tuple[int, ...]
    ) -> Callable[[NDArray[np.uint8], NDArray[Any]], None]:
        """Return what puts a frame of a shape through the geometry map and the pixel steps into its place."""
        geometry = self._spec.recipe.geometry(shape[0], shape[1], draws)
        table = None if stream.mask else self._table
        channels_first = self._spec.recipe.channels_first and not stream.mask
        size = output[2:] if channels_first else output[1:3]
        if size != (geometry.y.size, geometry.x.size):
            raise FrameError(
                f"is {_by(shape)} and would come out as {geometry.y.size}x{geometry.x.size} (height x width) "
                f"in a batch of {_by(size)}; frames of mixed sizes need a transform that fixes the size, "
                "such as RandomCrop(224) or Resize((256, 340))"
            )
        flip, options = geometry.flip, {"channels_first": channels_first, "stream": self._past_caches}

        def cut(pixels: NDArray[np.uint8], top: int, left: int, output: NDArray[Any]) -> None:
            if table is None:
                kernels.crop(pixels, top, left, flip, output, **options)
            else:
                kernels.crop_table(pixels, top, left, flip, table, output, **options)

        if geometry.is_crop:
            top, left = int(geometry.y.box[0]), int(geometry.x.box[0])
            return lambda pixels, output: cut(pixels, top, left, output)
        if not flip and table is None and not channels_first:
            return lambda pixels, output: resample(pixels, geometry, nearest=stream.mask, out=output)
        stretched = np.empty((*size, *shape[2:]), np.uint8)

        def stretch_and_cut(pixels: NDArray[np.uint8], output: NDArray[Any]) -> None:
            resample(pixels, geometry, nearest=stream.mask, out=stretched)
            cut(stretched, 0, 0, output)

        return stretch_and_cut


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
