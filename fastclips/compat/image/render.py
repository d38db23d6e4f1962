"""How a sample of pictures is rendered: read, decode, resize, augment, standardise, write. Runs in workers.

::

    FileList     bytes -> uint8 (H, W, C), resized as Pillow does
    ArrayList    a row's frames, in the dtype that Keras works in
                 -> Augmentation -> the user's axes -> Standardization -> the row, in its dtype

A JPEG is decoded to the bits of Pillow's decoder, and resized by nearest neighbour (the default) in the same
pass that standardises and converts it, as long as each value stands alone; every other way is the one that
Keras goes, frame by frame.
"""

from __future__ import annotations

from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base import legacy_kernels, legacy_pictures
from fastclips.compat._base.augmentation import PARAMETERS, brightness_table
from fastclips.compat._base.files import ArrayList
from fastclips.compat.image.spec import FIELD
from fastclips.data.storage import count_bytes
from fastclips.engine.arena import COUNTERS
from fastclips.errors import FastclipsError, FrameError
from fastclips.pixels.decoding.decoder import Decoder
from fastclips.spec import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fastclips.compat.image.spec import Picture, PictureSpec

__all__ = ["Renderer", "file_of", "probe"]

_READ, _DECODE, _KERNEL, _CLIPS, _FRAMES, _BYTES, _PILLOW = (
    COUNTERS.index(name) for name in ("read_s", "decode_s", "kernel_s", "clips", "frames", "bytes", "pillow")
)
_BYTE = 255
_CMYK = 4


class Renderer:
    """Turns a ticket into a row of pictures.

    Parameters
    ----------
    spec : PictureSpec
        What to do.
    single_threaded : bool
        As the engine says; of no use here.
    """

    def __init__(self, spec: PictureSpec, *, single_threaded: bool = False) -> None:
        del single_threaded
        self._spec = spec
        self._decoder = Decoder(Stream("image"), fast_dct=False)
        self._channels = spec.picture.channels if spec.picture else 0
        table = None
        if spec.picture and self._channels != _CMYK:
            table = spec.standardization.table(self._channels, channels_first=spec.channels_first)
        dtype = np.dtype(spec.layout.fields[0].dtype)
        function, matrix = spec.standardization.function, spec.standardization.zca_matrix
        works_in = "float32" if spec.picture else spec.working
        self._in_place = function is None and matrix is None and dtype == works_in and dtype.kind == "f"
        self._table = None if table is None or dtype not in (np.uint8, np.float32) else _cast(table, dtype)
        self._bytes = np.broadcast_to(
            np.arange(_BYTE + 1, dtype=np.uint8), (max(self._channels, 1), _BYTE + 1)
        ).copy()

    def render(self, ticket: np.void, row: Mapping[str, NDArray[Any]], counters: NDArray[np.float64]) -> None:
        """Write a sample.

        Parameters
        ----------
        ticket : numpy.void
            Of `fastclips.compat._base.iterator.sample_ticket`.
        row : mapping of str to ndarray
            The row's array.
        counters : ndarray of float64
            One per name in `COUNTERS`; what this sample took is added to them.

        Raises
        ------
        FrameError
            If a frame is missing, damaged or does not fit; the message holds its path.
        """
        spec, out = self._spec, row[FIELD]
        width = len(PARAMETERS) + 1
        draws = ticket["draws"].tolist()
        numbers = ticket["frames"].tolist()
        steps: list[tuple[int, Any, Any]]  # file, its frame if it is there already, where it goes
        if not spec.clip:
            steps = [(numbers[0], None, out)]
        elif isinstance(spec.storage, ArrayList):
            whole = spec.storage.read(numbers[0])
            steps = [(numbers[0], frame, out[step]) for step, frame in enumerate(whole)]
        else:
            steps = [(number, None, out[step]) for step, number in enumerate(numbers)]
        for step, (number, frame, target) in enumerate(steps):
            first = step * width if spec.per_frame else 0
            vector = draws[first : first + width]
            try:
                self._frame(number, frame, vector, target, counters)
            except FastclipsError as error:
                where = spec.storage.where(file_of(number))
                if where in str(error):
                    raise
                raise FrameError(f"{where}: {error}") from None
        counters[_FRAMES] += len(steps)
        counters[_CLIPS] += 1

    def _frame(
        self,
        number: int,
        given: NDArray[Any] | None,
        vector: list[float],
        out: NDArray[Any],
        counters: NDArray[np.float64],
    ) -> None:
        began = perf_counter()
        spec = self._spec
        parameters = spec.augmentation.from_vector(vector[:-1])
        file = file_of(number)
        pixels = None if number >= 0 or spec.cache is None else spec.cache.get(file)
        data: NDArray[Any] | bytes = b""
        if pixels is None:
            data = spec.storage.read(file) if given is None else given
            counters[_BYTES] += count_bytes(data)
        read = perf_counter()
        counters[_READ] += read - began
        if isinstance(data, np.ndarray):
            frame = np.moveaxis(data, 0, -1) if spec.channels_first else data
            frame = frame.astype(spec.working, copy=False)
            decoded = read
        else:
            if pixels is None:
                pixels = self._decoded(data, counters)
                if spec.cache is not None:
                    frame = self._picture(data, pixels)
                    spec.cache.put(file, frame)
                    pixels = frame if frame.dtype == np.uint8 else pixels
            decoded = perf_counter()
            counters[_DECODE] += decoded - read
            if self._table is not None and pixels is not None and self._direct(pixels, parameters, out):
                counters[_KERNEL] += perf_counter() - decoded
                return
            frame = self._picture(data, pixels)
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
            self._put(spec.standardization.apply(frame, vector[-1]), out)
        counters[_KERNEL] += perf_counter() - decoded

    def _put(self, frame: NDArray[Any], out: NDArray[Any]) -> None:
        if frame.shape != out.shape:
            raise FrameError(
                f"has become {frame.shape} where the batch has {out.shape}; frames of one batch must have "
                "one shape, so preprocessing_function must give the same for each"
            )
        out[...] = frame

    def _decoded(self, data: bytes, counters: NDArray[np.float64]) -> NDArray[np.uint8] | None:
        """Return an RGB frame of a JPEG, (H, W, 3); None for what Pillow itself must decode."""
        if _jpeg_components(data) in (1, 3) and self._channels != _CMYK:
            return self._decoder.decode(data).pixels
        counters[_PILLOW] += 1
        return None

    def _direct(self, pixels: NDArray[np.uint8], parameters: dict[str, Any], out: NDArray[Any]) -> bool:
        """Resize, flip, brighten and standardise in one pass, if that is all."""
        spec, table = self._spec, self._table
        picture = spec.picture
        assert picture is not None and table is not None  # noqa: S101, PT018 - files have one
        if (
            (picture.interpolation != "nearest" and pixels.shape[:2] != picture.target_size)
            or parameters["channel_shift_intensity"] is not None
            or spec.augmentation.is_warp(parameters)
        ):
            return False
        if spec.channels_first and self._channels > 1:
            return False
        if out.size != picture.target_size[0] * picture.target_size[1] * self._channels:
            return False
        if parameters["brightness"] is not None:
            table = np.ascontiguousarray(table[:, brightness_table(parameters["brightness"])])
        rows, columns = _places(pixels.shape[:2], picture)
        rows = rows[::-1].copy() if parameters["flip_vertical"] else rows
        columns = columns[::-1].copy() if parameters["flip_horizontal"] else columns
        legacy_kernels.gather(pixels, rows, columns, table, out.reshape(*picture.target_size, self._channels))
        return True

    def _picture(self, data: bytes, pixels: NDArray[np.uint8] | None) -> NDArray[Any]:
        """Return a frame of the target's size, (H, W, C): uint8, or what is not bytes as float32."""
        picture = self._spec.picture
        assert picture is not None  # noqa: S101 - files have one
        size = picture.target_size
        if pixels is None:
            loaded = legacy_pictures.load(
                data, picture.color_mode, size, picture.interpolation, keep_aspect=picture.keep_aspect_ratio
            )
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
        return legacy_pictures.resize(
            pixels, size, picture.interpolation, keep_aspect=picture.keep_aspect_ratio
        )


@lru_cache(maxsize=64)
def _places(shape: tuple[int, int], picture: Picture) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return which rows and columns of a frame are taken."""
    (height, width), size = shape, picture.target_size
    left, top, right, bottom = 0, 0, width, height
    if picture.keep_aspect_ratio and shape != size:
        left, top, right, bottom = legacy_pictures.centre_box(height, width, size)
    return (
        legacy_kernels.nearest_indices(size[0], top, bottom - top),
        legacy_kernels.nearest_indices(size[1], left, right - left),
    )


def file_of(number: int) -> int:
    """Return the file that a ticket means, which says ~file where the frame was decoded before."""
    return number if number >= 0 else ~number


def _cast(table: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    with np.errstate(invalid="ignore"):
        return np.ascontiguousarray(table.astype(dtype))


def _jpeg_components(data: bytes) -> int:
    """Return how many colour components a JPEG has; 0 for what is none."""
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
    """Return the shape that the user's function makes of a frame.

    Parameters
    ----------
    spec : PictureSpec
        With a function.
    ticket : numpy.void
        Of any sample.

    Returns
    -------
    tuple of int
    """
    renderer = _Probe(spec)
    renderer.render(ticket, {FIELD: np.empty(spec.layout.fields[0].shape)}, np.zeros(len(COUNTERS)))
    return renderer.shape
