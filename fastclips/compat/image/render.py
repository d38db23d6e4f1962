"""How a sample of pictures is rendered: read, decode, resize, augment, standardise, write. Runs in workers.

::

    FileList     bytes -> uint8 (H, W, C), resized as Pillow does
    ArrayRows    a row's frames, in the dtype that Keras works in
                 -> Augmentation -> the user's axes -> Standardization -> the row, in its dtype

A JPEG is decoded to the bits of Pillow's decoder. With nearest neighbour (the default), and if each value is
standardised on its own, one pass resizes, standardises and converts the frame. All else is done step by step,
as in Keras.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base import legacy_kernels, legacy_pictures
from fastclips.compat._base.augmentation import brightness_table
from fastclips.compat._base.rendering import SampleRenderer, read_frame
from fastclips.compat.image.spec import FIELD
from fastclips.engine.arena import COUNTERS
from fastclips.engine.rendering import DECODE, KERNEL, PILLOW, READ, Meter, at_path
from fastclips.errors import FastclipsError, FrameError
from fastclips.pixels.decoding.decoder import Decoder
from fastclips.spec import StreamSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.compat._base.pictures import Picture
    from fastclips.compat.image.spec import PictureSpec

__all__ = ["Renderer", "probe"]

_BYTE = 255
_RGBA = 4  # channels


class Renderer(SampleRenderer):
    """Turns a ticket into a row of pictures.

    Parameters
    ----------
    spec : PictureSpec
        What to do.
    single_threaded : bool
        As for `SampleRenderer`.
    """

    _spec: PictureSpec

    def __init__(self, spec: PictureSpec, *, single_threaded: bool = False) -> None:
        super().__init__(spec, single_threaded=single_threaded)
        self._decoder = Decoder(StreamSpec("image"))
        self._target: Picture = spec.picture  # type: ignore[assignment] # only files are looked up
        self._channels = spec.picture.channels if spec.picture else 0
        table = None
        if spec.picture and self._channels != _RGBA:
            table = spec.standardization.table(self._channels, channels_first=spec.channels_first)
        dtype = np.dtype(spec.layout.fields[0].dtype)
        function, matrix = spec.standardization.function, spec.standardization.zca_matrix
        works_in = "float32" if spec.picture else spec.working
        self._in_place = function is None and matrix is None and dtype == works_in and dtype.kind == "f"
        self._table = None if table is None or dtype not in (np.uint8, np.float32) else _cast(table, dtype)
        self._bytes = np.broadcast_to(
            np.arange(_BYTE + 1, dtype=np.uint8), (max(self._channels, 1), _BYTE + 1)
        ).copy()

    def write(self, ticket: np.void, row: Mapping[str, NDArray[Any]], meter: Meter) -> int:
        """Write a sample; see `SampleRenderer`."""
        spec, out = self._spec, row[FIELD]
        draws, numbers = ticket["draws"].tolist(), ticket["frames"].tolist()
        outputs = out if spec.clip else out[None]
        given: Sequence[NDArray[Any] | None] = [None] * len(outputs)
        if spec.picture is None:
            read = read_frame(spec.storage, FIELD, numbers[0], meter)
            given = read if spec.clip else read[None]
            numbers *= len(outputs)
        for step, (number, frame, target) in enumerate(zip(numbers, given, outputs, strict=True)):
            vector, draw = spec.draws.of_frame(draws, step)
            try:
                self._frame(number, frame, vector, draw, target, meter)
            except FastclipsError as error:
                path = spec.storage.where(FIELD, 0, number)
                raise at_path(error, path, frame=number) from error.__cause__
        return len(outputs)

    def _frame(
        self,
        number: int,
        given: NDArray[Any] | None,
        vector: Sequence[float],
        draw: float,
        out: NDArray[Any],
        meter: Meter,
    ) -> None:
        """Write a frame: the one given, of an array, or that of a file."""
        spec = self._spec
        parameters = spec.augmentation.from_vector(vector)
        if given is None:
            frame = self._loaded(number, parameters, out, meter)
            if frame is None:
                return
        else:
            frame = np.moveaxis(given, 0, -1) if spec.channels_first else given
            frame = frame.astype(spec.working, copy=False)
        frame = spec.augmentation.apply(frame, parameters)
        frame = np.moveaxis(frame, -1, 0) if spec.channels_first else frame
        if self._in_place and frame.dtype in (out.dtype, np.uint8):
            self._put(frame, out)
            spec.standardization.apply(out)
        else:
            frame = np.ascontiguousarray(frame)
            if spec.picture is not None and frame.dtype == np.uint8:
                frame = frame.astype(np.float32)
            frame = frame if frame.flags.writeable else frame.copy()
            self._put(spec.standardization.apply(frame, draw), out)
        meter.lap(KERNEL)

    def _loaded(
        self, file: int, parameters: dict[str, Any], out: NDArray[Any], meter: Meter
    ) -> NDArray[Any] | None:
        """Return a file's frame of the target's size; None if one pass has written it."""
        spec = self._spec
        pixels = None if spec.cache is None else spec.cache.get(file)
        data = b""
        if pixels is None:
            data = read_frame(spec.storage, FIELD, file, meter)
            pixels = self._decoded(data, meter)
            if spec.cache is not None:
                frame = self._picture(data, pixels)
                spec.cache.put(file, frame)
                pixels = frame if frame.dtype == np.uint8 else pixels
            meter.lap(DECODE)
        else:
            meter.lap(READ)
        if pixels is not None and self._direct(pixels, parameters, out):
            meter.lap(KERNEL)
            return None
        return self._picture(data, pixels)

    def _put(self, frame: NDArray[Any], out: NDArray[Any]) -> None:
        if frame.shape != out.shape:
            raise FrameError(
                f"has the shape {frame.shape} in a batch of {out.shape}: preprocessing_function= must return "
                "one shape for all frames"
            )
        out[...] = frame

    def _decoded(self, data: bytes, meter: Meter) -> NDArray[np.uint8] | None:
        """Return an RGB frame of a JPEG, (H, W, 3); None for a file that Pillow must decode."""
        if _jpeg_components(data) in (1, 3) and self._channels != _RGBA:
            return self._decoder.decode(data).pixels
        meter.add(PILLOW, 1)
        return None

    def _direct(self, pixels: NDArray[np.uint8], parameters: dict[str, Any], out: NDArray[Any]) -> bool:
        """Resize, flip, brighten and standardise in one pass, if there is nothing else to do."""
        spec, table, picture = self._spec, self._table, self._target
        size = picture.size
        if (
            table is None
            or (picture.interpolation != "nearest" and pixels.shape[:2] != size)
            or parameters["channel_shift_intensity"] is not None
            or spec.augmentation.is_warp(parameters)
            or (spec.channels_first and self._channels > 1)
            or out.size != size[0] * size[1] * self._channels
        ):
            return False
        if parameters["brightness"] is not None:
            table = np.ascontiguousarray(table[:, brightness_table(parameters["brightness"])])
        rows, columns = _places(pixels.shape[:2], picture)
        rows = rows[::-1].copy() if parameters["flip_vertical"] else rows
        columns = columns[::-1].copy() if parameters["flip_horizontal"] else columns
        legacy_kernels.gather(pixels, rows, columns, table, out.reshape(*size, self._channels))
        return True

    def _picture(self, data: bytes, pixels: NDArray[np.uint8] | None) -> NDArray[Any]:
        """Return a frame of the target's size, (H, W, C): uint8, or float32 if the file holds no bytes."""
        picture = self._target
        size = picture.size
        if pixels is None:
            loaded = legacy_pictures.load(data, picture.color_mode, picture)
            return np.asarray(loaded, None if loaded.dtype == np.uint8 else np.float32)
        if picture.interpolation == "nearest" or pixels.shape[:2] == size:
            rows, columns = _places(pixels.shape[:2], picture)
            resized = np.empty((*size, self._channels), np.uint8)
            legacy_kernels.gather(pixels, rows, columns, self._bytes, resized)
            return resized
        if self._channels == 1:
            rows, columns = (np.arange(length, dtype=np.uint64) for length in pixels.shape[:2])
            gray = np.empty((*pixels.shape[:2], 1), np.uint8)
            legacy_kernels.gather(pixels, rows, columns, self._bytes, gray)
            pixels = gray
        return legacy_pictures.resize(pixels, picture)


@lru_cache(maxsize=64)
def _places(shape: tuple[int, int], picture: Picture) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the rows and columns of a frame that the target takes."""
    (height, width), size = shape, picture.size
    left, top, right, bottom = 0, 0, width, height
    if picture.aspect == "crop" and shape != size:
        left, top, right, bottom = legacy_pictures.centre_box(height, width, size)
    return (
        legacy_kernels.nearest_indices(size[0], top, bottom - top),
        legacy_kernels.nearest_indices(size[1], left, right - left),
    )


def _cast(table: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    with np.errstate(invalid="ignore"):
        return np.ascontiguousarray(table.astype(dtype))


def _jpeg_components(data: bytes) -> int:
    """Return how many colour components a JPEG has; 0 for other files."""
    if data[:2] != b"\xff\xd8":
        return 0
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:  # noqa: PLR2004 - a marker
        kind = data[at + 1]
        if kind == 0xFF:  # noqa: PLR2004 - padding
            at += 1
        elif 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # noqa: PLR2004 - a frame begins
            return data[at + 9]
        else:
            at += 2 + (data[at + 2] << 8 | data[at + 3])
    return 0


class _Probe(Renderer):
    shape: tuple[int, ...] = ()

    def _put(self, frame: NDArray[Any], out: NDArray[Any]) -> None:
        del out
        self.shape = frame.shape


def probe(spec: PictureSpec, ticket: np.void) -> tuple[int, ...]:
    """Return the shape that the user's function makes of a frame, tried on the sample of a ticket."""
    renderer = _Probe(spec)
    renderer.render(ticket, {FIELD: np.empty(spec.layout.fields[0].shape)}, np.zeros(len(COUNTERS)))
    return renderer.shape
