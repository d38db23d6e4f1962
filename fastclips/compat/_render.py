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

from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastclips.compat._augment import PARAMETERS, Augmentation, Standardization, brightness_table
from fastclips.compat._files import ArrayList, FileList
from fastclips.compat._iterator import sample_ticket
from fastclips.engine.arena import COUNTERS
from fastclips.errors import FastclipsError, FrameError
from fastclips.pixels import legacy_kernels, legacy_pictures
from fastclips.pixels.decode import Decoder
from fastclips.spec import Field, SlotLayout, Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["FIELD", "Picture", "PictureSpec", "Renderer", "probe"]

FIELD = "x"
_READ, _DECODE, _KERNEL, _CLIPS, _FRAMES, _BYTES, _PILLOW = (
    COUNTERS.index(name) for name in ("read_s", "decode_s", "kernel_s", "clips", "frames", "bytes", "pillow")
)
_BYTE = 255
_CLIP_AXES = 4  # of a row of frames, (T, H, W, C)
_CMYK = 4
_CACHED = 2**20  # bytes: a larger batch is not in any cache when it is read


@dataclass(frozen=True)
class Picture:
    """How a file becomes a frame.

    Parameters
    ----------
    target_size : (int, int)
        Height and width.
    color_mode : str
        ``"rgb"``, ``"rgba"`` or ``"grayscale"``.
    interpolation : str
        One of `fastclips.pixels.legacy_pictures.INTERPOLATIONS`.
    keep_aspect_ratio : bool
        Whether the middle is cut out in the target's proportions before.
    """

    target_size: tuple[int, int]
    color_mode: str = "rgb"
    interpolation: str = "nearest"
    keep_aspect_ratio: bool = False

    @property
    def channels(self) -> int:
        """Of a frame."""
        return {"rgb": 3, "rgba": 4, "grayscale": 1}[self.color_mode]


@dataclass(frozen=True)
class PictureSpec:
    """All that is needed to render samples of pictures.

    Parameters
    ----------
    storage : FileList or ArrayList
        Where frames come from, by the ticket's file numbers. An array's row is one frame, or one clip.
    layout : SlotLayout
        One field, `FIELD`: (H, W, C) or (T, H, W, C) a row, or what the user's function makes of a frame.
    time_steps : int
        File numbers in a ticket.
    draws : int
        Numbers in a ticket: `PARAMETERS` and one for the user's function, once or for each frame; then
        whatever else.
    augmentation : Augmentation
        How what was drawn is done.
    standardization : Standardization
        What follows.
    picture : Picture or None
        How files become frames.
    working : str
        The dtype that rows of an array are worked on in.
    channels_first : bool
        How the user's axes lie, in arrays too.
    per_frame : bool
        Whether each frame has draws of its own.
    """

    storage: FileList | ArrayList
    layout: SlotLayout
    time_steps: int
    draws: int
    augmentation: Augmentation
    standardization: Standardization
    picture: Picture | None = None
    working: str = "float32"
    channels_first: bool = False
    per_frame: bool = False
    renderer: ClassVar[str] = "fastclips.compat._render:Renderer"

    @property
    def ticket_dtype(self) -> np.dtype[np.void]:
        """Of the tickets."""
        return sample_ticket(self.time_steps, self.draws)


class Renderer:
    """Turns a ticket into a row of pictures.

    Parameters
    ----------
    spec : PictureSpec
        What to do.
    single_threaded : bool
        Whether no other thread of this process renders, so that kernels may use a buffer of theirs.
    """

    def __init__(self, spec: PictureSpec, *, single_threaded: bool = False) -> None:
        self._spec = spec
        self._past_caches = single_threaded and spec.layout.nbytes > _CACHED
        self._decoder = Decoder(Stream("image"), fast_dct=False)
        self._channels = spec.picture.channels if spec.picture else 0
        table = None
        if spec.picture and self._channels != _CMYK:
            table = spec.standardization.table(self._channels, channels_first=spec.channels_first)
        dtype = np.dtype(spec.layout.fields[0].dtype)
        self._table = None if table is None or dtype not in (np.uint8, np.float32) else _cast(table, dtype)
        self._bytes = np.broadcast_to(
            np.arange(_BYTE + 1, dtype=np.uint8), (max(self._channels, 1), _BYTE + 1)
        ).copy()

    def render(self, ticket: np.void, row: Mapping[str, NDArray[Any]], counters: NDArray[np.float64]) -> None:
        """Write a sample.

        Parameters
        ----------
        ticket : numpy.void
            Of `fastclips.compat._iterator.sample_ticket`.
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
        clip = spec.time_steps > 1 or out.ndim == _CLIP_AXES
        steps: list[tuple[int, Any, Any]] = []  # file, its frame if it is there already, where it goes
        if isinstance(spec.storage, ArrayList) and clip and spec.time_steps == 1:
            whole = spec.storage.read(numbers[0])
            steps = [(numbers[0], frame, out[step]) for step, frame in enumerate(whole)]
        else:
            steps = [(number, None, out[step] if clip else out) for step, number in enumerate(numbers)]
        for step, (number, frame, target) in enumerate(steps):
            first = step * width if spec.per_frame else 0
            vector = draws[first : first + width]
            try:
                self._frame(number, frame, vector, target, counters)
            except FastclipsError as error:
                where = spec.storage.where(number)
                if where in str(error):
                    raise
                raise FrameError(f"{where}: {error}") from None
        counters[_FRAMES] += len(steps)
        counters[_CLIPS] += 1

    def _frame(
        self,
        number: int,
        given: Any,
        vector: list[float],
        out: NDArray[Any],
        counters: NDArray[np.float64],  # noqa: ANN401 - an array or None
    ) -> None:
        began = perf_counter()
        spec = self._spec
        parameters = spec.augmentation.from_vector(vector[:-1])
        data = spec.storage.read(number) if given is None else given
        counters[_BYTES] += data.nbytes if isinstance(data, np.ndarray) else len(data)
        read = perf_counter()
        counters[_READ] += read - began
        if isinstance(data, np.ndarray):
            frame = np.moveaxis(data, 0, -1) if spec.channels_first else data
            frame = frame.astype(spec.working)
            decoded = read
        else:
            pixels = self._decoded(data, counters)
            decoded = perf_counter()
            counters[_DECODE] += decoded - read
            if self._table is not None and pixels is not None and self._direct(pixels, parameters, out):
                counters[_KERNEL] += perf_counter() - decoded
                return
            frame = self._picture(data, pixels)
        frame = spec.augmentation.apply(frame, parameters)
        if frame.dtype == np.uint8 and not isinstance(data, np.ndarray):
            frame = frame.astype(np.float32)
        frame = np.moveaxis(frame, -1, 0) if spec.channels_first else frame
        frame = np.ascontiguousarray(frame)
        frame = spec.standardization.apply(frame if frame.flags.writeable else frame.copy(), vector[-1])
        self._put(frame, out)
        counters[_KERNEL] += perf_counter() - decoded

    def _put(self, frame: NDArray[Any], out: NDArray[Any]) -> None:
        if frame.shape != out.shape:
            raise FrameError(
                f"has become {frame.shape} where the batch has {out.shape}; frames of one batch must have one "
                "shape, so preprocessing_function must give the same for each"
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
            return loaded if loaded.dtype == np.uint8 else loaded.astype(np.float32)
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
