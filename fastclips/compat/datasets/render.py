"""How a ticket of frames becomes a row of a batch. Runs in workers.

::

    picture   bytes -> uint8 (H, W, C) -> resized, unrounded -> * scale -> "x"
    mask      bytes -> uint8 (H, W) -> resized by nearest neighbour -> class of each value -> "y"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base import legacy_pictures
from fastclips.compat._base.rendering import SampleRenderer, read_frame
from fastclips.compat.datasets.resizing import Resizer
from fastclips.engine.rendering import DECODE, KERNEL, at_path
from fastclips.errors import FastclipsError, FrameError
from fastclips.pixels.decoding.decoder import Decoded, Decoder, Rung
from fastclips.pixels.geometry.affine import Axis, Geometry
from fastclips.pixels.geometry.resample import resample
from fastclips.spec import StreamSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from fastclips.compat._base.files import FileList
    from fastclips.compat.datasets.spec import FrameSpec, Masks
    from fastclips.engine.rendering import Meter

__all__ = ["FrameRenderer"]


class FrameRenderer(SampleRenderer):
    """Turns a ticket into a row.

    Parameters
    ----------
    spec : FrameSpec
        What to render.
    single_threaded : bool
        As for `SampleRenderer`.
    """

    _spec: FrameSpec

    def __init__(self, spec: FrameSpec, *, single_threaded: bool = False) -> None:
        super().__init__(spec, single_threaded=single_threaded)
        picture = spec.picture
        stream = StreamSpec("image", channels=1 if picture.color_mode == "grayscale" else 3)
        self._decoder = Decoder(stream, fast_dct=spec.fast_dct)
        self._resizer: Resizer | None = None  # of the last frame's size: most are alike
        self._frame = np.empty((*picture.size, picture.channels), np.float32)
        self._masks = None if spec.masks is None else _MaskRenderer(spec.masks, picture.size)

    def write(self, ticket: np.void, row: Mapping[str, NDArray[Any]], meter: Meter) -> int:
        """Write a row; return its number of frames."""
        spec, numbers = self._spec, ticket["frames"].tolist()
        self._write_stream("x", spec.files, numbers, self._write_picture, row, meter)
        if spec.masks is not None and self._masks is not None:
            self._write_stream("y", spec.masks.files, numbers, self._masks.write, row, meter)
        return len(numbers)

    def _write_stream(
        self,
        name: str,
        files: FileList,
        numbers: list[int],
        write: Callable[[bytes, NDArray[Any], Meter], None],
        row: Mapping[str, NDArray[Any]],
        meter: Meter,
    ) -> None:
        for number, out in zip(numbers, row[name] if self._spec.clips else row[name][None], strict=True):
            data = read_frame(files, name, number, meter)
            try:
                write(data, out, meter)
            except FastclipsError as error:
                path = files.where(name, 0, number)
                raise at_path(error, path, frame=number) from error.__cause__

    def _write_picture(self, data: bytes, out: NDArray[np.float32], meter: Meter) -> None:
        spec = self._spec
        frame, resizer = self._decoded(data)
        meter.lap(DECODE)
        target = self._frame if spec.picture.channels_first else out
        resizer(frame.pixels, target, frame.top, frame.left)
        if spec.scale != 1:
            target *= np.float32(spec.scale)
        if target is not out:
            out[:] = np.moveaxis(target, -1, 0)
        meter.lap(KERNEL)
        _count(frame, resizer.frame, meter)

    def _decoded(self, data: bytes) -> tuple[Decoded, Resizer]:
        """Return the part of a frame that is needed, and its resizer."""
        picture = self._spec.picture
        if picture.color_mode == "rgba" or data[:3] == b"GIF":
            pixels = legacy_pictures.load(data, picture.color_mode)
            return Decoded(pixels, 0, 0, 1, Rung.PILLOW), self._resizer_of(pixels.shape[:2])
        if picture.aspect == "crop":
            resizer = self._resizer_of(self._decoder.size(data))
            return self._decoder.decode(data, resizer.box), resizer
        frame = self._decoder.decode(data)
        return frame, self._resizer_of(frame.pixels.shape[:2])

    def _resizer_of(self, size: tuple[int, ...]) -> Resizer:
        picture = self._spec.picture
        if self._resizer is None or self._resizer.frame != size:
            self._resizer = Resizer((size[0], size[1]), picture.size, picture.interpolation, picture.aspect)
        return self._resizer


class _MaskRenderer:
    """Writes masks, by one table from the values in the file to those of a batch."""

    def __init__(self, masks: Masks, size: tuple[int, int]) -> None:
        self._classes, self._size = masks.classes, size
        self._decoder = Decoder(masks.stream)
        values = np.array(masks.stream.values or range(256), np.uint8)
        ignored = values == (-1 if masks.ignore is None else masks.ignore)
        if masks.classes == 1:
            values = np.where(ignored, values, values != 0).astype(np.uint8)
        self._values, self._wrong = values, (values >= max(masks.classes, 2)) & ~ignored
        self._table: NDArray[Any] = values
        if masks.one_hot:
            classes = np.arange(masks.classes) + (masks.classes == 1)
            self._table = ((values[:, None] == classes) & ~ignored[:, None]).astype(np.float32)

    def write(self, data: bytes, out: NDArray[Any], meter: Meter) -> None:
        frame = self._decoder.decode(data)
        meter.lap(DECODE)
        (height, width), (rows, columns) = self._size, frame.pixels.shape
        _count(frame, (rows, columns), meter)
        picked = np.empty(self._size, np.uint8)
        whole = Geometry(Axis(height, 0.0, float(rows)), Axis(width, 0.0, float(columns)))
        resample(frame.pixels, whole, nearest=True, out=picked)
        if self._wrong[picked].any():
            value = int(self._values[picked[self._wrong[picked]]].max())
            raise FrameError(
                f"is a mask with the value {value}, but n_classes={self._classes}: give "
                f"n_classes={value + 1}, its class by values={{{value}: 1}}, or ignore={value} if it is "
                "no class"
            )
        np.take(self._table, picked, axis=0, out=out, mode="clip")
        meter.lap(KERNEL)


def _count(frame: Decoded, size: tuple[int, int], meter: Meter) -> None:
    meter.add_decoded(frame.rung, size[0] * size[1], frame.pixels.shape[0] * frame.pixels.shape[1])
