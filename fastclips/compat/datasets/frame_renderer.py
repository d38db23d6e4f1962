"""How a ticket of frames becomes a row of a batch. Runs in workers.

::

    picture   bytes -> uint8 (H, W, C) -> resized, unrounded -> * scale -> "x"
    mask      bytes -> uint8 (H, W) -> resized by nearest neighbour -> what its values mean -> "y"
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base import legacy_pictures
from fastclips.compat._base.files import CHANNELS
from fastclips.compat.datasets.resizing import Resizer
from fastclips.engine.arena import COUNTERS
from fastclips.errors import FastclipsError, FrameError
from fastclips.pixels.decoding.decoder import Decoded, Decoder, Rung
from fastclips.pixels.geometry.affine import Axis, Geometry
from fastclips.pixels.geometry.resample import resample
from fastclips.spec import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from fastclips.compat._base.files import FileList
    from fastclips.compat.datasets.frame_spec import FrameSpec, Masks

__all__ = ["FrameRenderer"]

_READ, _DECODE, _KERNEL, _CLIPS, _FRAMES, _BYTES, _SLICED, _PIXELS, _DECODED = map(
    COUNTERS.index,
    ("read_s", "decode_s", "kernel_s", "clips", "frames", "bytes", "sliced", "pixels", "decoded_pixels"),
)


class FrameRenderer:
    """Turns a ticket into a row.

    Parameters
    ----------
    spec : FrameSpec
        What to read and what to make of it.
    single_threaded : bool
        Makes no difference.
    """

    def __init__(self, spec: FrameSpec, *, single_threaded: bool = False) -> None:  # noqa: ARG002 - the contract
        self._spec = spec
        self._channels = CHANNELS[spec.color_mode]
        channels = 1 if spec.color_mode == "grayscale" else 3
        self._decoder = Decoder(Stream("image", channels=channels))
        self._resizer: Resizer | None = None  # of the last frame's size: most are alike
        self._frame = np.empty((*spec.size, self._channels), np.float32)
        self._masks = None if spec.masks is None else _MaskRenderer(spec.masks, spec.size)

    def render(self, ticket: np.void, row: Mapping[str, NDArray[Any]], counters: NDArray[np.float64]) -> None:
        """Write a row: see `fastclips.engine.worker.AnyRenderer`.

        Raises
        ------
        FrameError
            If a file is missing, damaged or not what it should be; the message holds its path.
        """
        numbers = ticket["frames"].tolist()
        self._stream(self._spec.files, numbers, self._write, row["x"], counters)
        if self._spec.masks is not None and self._masks is not None:
            self._stream(self._spec.masks.files, numbers, self._masks.write, row["y"], counters)
        counters[_FRAMES] += len(numbers)
        counters[_CLIPS] += 1

    def _stream(
        self,
        files: FileList,
        numbers: list[int],
        write: Callable[[bytes, NDArray[Any], NDArray[np.float64]], None],
        row: NDArray[Any],
        counters: NDArray[np.float64],
    ) -> None:
        for number, out in zip(numbers, row if self._spec.clips else row[None], strict=True):
            began = perf_counter()
            data = files.read(number)
            counters[_BYTES] += len(data)
            counters[_READ] += perf_counter() - began
            try:
                write(data, out, counters)
            except FastclipsError as error:
                raise FrameError(f"{files.where(number)}: {error}") from None

    def _write(self, data: bytes, out: NDArray[np.float32], counters: NDArray[np.float64]) -> None:
        spec, began = self._spec, perf_counter()
        frame, resizer = self._decoded(data)
        decoded = perf_counter()
        target = self._frame if spec.channels_first else out
        resizer(frame.pixels, target, frame.top, frame.left)
        if spec.scale != 1:
            target *= np.float32(spec.scale)
        if target is not out:
            out[:] = np.moveaxis(target, -1, 0)
        counters[_DECODE] += decoded - began
        counters[_KERNEL] += perf_counter() - decoded
        counters[_PIXELS] += resizer.frame[0] * resizer.frame[1]
        _count(frame, counters)

    def _decoded(self, data: bytes) -> tuple[Decoded, Resizer]:
        """Return what is needed of a frame, and what resizes it."""
        spec = self._spec
        if spec.color_mode == "rgba" or data[:3] == b"GIF":
            pixels = legacy_pictures.load(data, spec.color_mode, None, "nearest", keep_aspect=False)
            return Decoded(pixels, 0, 0, 1, Rung.PILLOW), self._resizer_of(pixels.shape[:2])
        if spec.aspect == "crop":
            resizer = self._resizer_of(self._decoder.size(data))
            return self._decoder.decode(data, resizer.box), resizer
        frame = self._decoder.decode(data)
        return frame, self._resizer_of(frame.pixels.shape[:2])

    def _resizer_of(self, size: tuple[int, ...]) -> Resizer:
        spec = self._spec
        if self._resizer is None or self._resizer.frame != size:
            self._resizer = Resizer((size[0], size[1]), spec.size, spec.interpolation, spec.aspect)
        return self._resizer


class _MaskRenderer:
    """Writes masks: by one table, from the values in the file to what is served."""

    def __init__(self, masks: Masks, size: tuple[int, int]) -> None:
        self._classes, self._size = masks.classes, size
        self._decoder = Decoder(masks.stream)
        meant = np.array(masks.stream.values or range(256), np.uint8)
        ignored = meant == (-1 if masks.ignore is None else masks.ignore)
        if masks.classes == 1:
            meant = np.where(ignored, meant, meant != 0).astype(np.uint8)
        self._meant, self._wrong = meant, (meant >= max(masks.classes, 2)) & ~ignored
        self._table: NDArray[Any] = meant
        if masks.one_hot:
            classes = np.arange(masks.classes) + (masks.classes == 1)
            self._table = ((meant[:, None] == classes) & ~ignored[:, None]).astype(np.float32)

    def write(self, data: bytes, out: NDArray[Any], counters: NDArray[np.float64]) -> None:
        began = perf_counter()
        frame = self._decoder.decode(data)
        decoded, mask = perf_counter(), frame.pixels
        counters[_PIXELS] += mask.size
        _count(frame, counters)
        picked = np.empty(self._size, np.uint8)
        (height, width), (rows, columns) = self._size, mask.shape
        whole = Geometry(Axis(height, 0.0, float(rows)), Axis(width, 0.0, float(columns)))
        resample(mask, whole, nearest=True, out=picked)
        if self._wrong[picked].any():
            value = int(self._meant[picked[self._wrong[picked]]].max())
            raise FrameError(
                f"is a mask with the value {value}, but n_classes={self._classes}: give "
                f"n_classes={value + 1}, say what it means by values={{{value}: 1}}, or that it means "
                f"nothing by ignore={value}"
            )
        np.take(self._table, picked, axis=0, out=out, mode="clip")
        counters[_DECODE] += decoded - began
        counters[_KERNEL] += perf_counter() - decoded


def _count(frame: Decoded, counters: NDArray[np.float64]) -> None:
    counters[_SLICED + frame.rung] += 1
    counters[_DECODED] += frame.pixels.shape[0] * frame.pixels.shape[1]
