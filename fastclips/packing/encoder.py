"""Frames -> the bytes that a pack keeps of them.

::

    JPEG, unchanged       -> the same coefficients with restart markers (native/transcode.h): no pixel changes
    picture, resized, encoded again or an array  -> JPEG, 4:2:0, with restart markers
    either, codec dct     -> the same coefficients as a dct frame (native/dct_writer.h), if they fit
    mask                  -> its own bytes; PNG if it is an array or resized
    flow, depth           -> its own bytes; .npy if it is an array
    any other, codec raw  -> .npy

Every frame in a pack can be decoded. A frame that is stored as its own bytes was decoded once, or it is a PNG
with correct checksums whose depth and colour type were decoded before.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import simplejpeg
from PIL import Image

from fastclips._native import DCT_MAGIC, NPY_MAGIC, around_scan, from_dct, to_dct, transcode
from fastclips.errors import DamageError, FrameError
from fastclips.pixels.decoding.decoder import Decoder, frame_size
from fastclips.pixels.decoding.headers import PNG_START, is_whole_png
from fastclips.pixels.geometry.resample import shrink

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastclips.pixels.decoding.decoder import Stored
    from fastclips.spec import StreamSpec

__all__ = ["KINDS", "Encoded", "Encoder", "Encoding", "file_of_array", "kind_of"]

KINDS = ("jpg", "png", "bmp", "tif", "npy", "bin", "fcd")  # extensions; bin: any other format
QUALITY = 90  # of pixels that must be encoded when no quality is given
_BIN, _DCT = KINDS.index("bin"), KINDS.index("fcd")
_STARTS = {
    b"\xff\xd8\xff": 0,
    PNG_START: 1,
    b"BM": 2,
    b"II*\0": 3,
    b"MM\0*": 3,
    NPY_MAGIC: 4,
    DCT_MAGIC: _DCT,
}
_SUBSAMPLING = "420"
_PNG_DEPTH = slice(24, 26)  # bits per channel and colour type


@dataclass(frozen=True)
class Encoding:
    """How frames are packed.

    Parameters
    ----------
    restart : int
        MCUs between restart markers, rounded to the nearest divisor of the MCUs in a row; 0 for no markers.
    short_side : int, optional
        Pixels: frames with a longer short side are shrunk to this one.
    quality : int, optional
        1 to 100: encode all JPEGs again. Without it, only pixels that must be encoded are, at 90.
    raw : bool
        Whether decoded pixels are kept instead of JPEGs.
    dct : bool
        Whether dct frames are kept instead of JPEGs, where they fit.
    """

    restart: int = 2
    short_side: int | None = None
    quality: int | None = None
    raw: bool = False
    dct: bool = False

    def settings(self) -> list[Any]:
        """Return the options, as a list that is the same as in fastclips 0.1.0 where it packed the same."""
        *known, dct = vars(self).values()
        # Version 0.1.0 decoded for raw packs with fast_dct=True.
        return [*known, *["dct"] * dct, *["exact"] * self.raw]


class Encoded(NamedTuple):
    """A frame as it is packed.

    Parameters
    ----------
    data : bytes
        The content of a file.
    kind : int
        Index of its extension in `KINDS`.
    kept : bool
        Whether it is a picture that should have been transcoded and could not be: it is no JPEG, or its
        coefficients do not fit into a baseline file, or not into a dct frame.
    around : bytes
        For a dct frame, the JPEG that it was made of without its scan, if the two give the JPEG back byte for
        byte. Otherwise empty.
    """

    data: bytes
    kind: int
    kept: bool = False
    around: bytes = b""


class Encoder:
    """Encodes the frames of a stream.

    Parameters
    ----------
    stream : StreamSpec
        The stream.
    encoding : Encoding
        How frames are packed.
    """

    def __init__(self, stream: StreamSpec, encoding: Encoding) -> None:
        self._stream = stream
        self._encoding = encoding
        self._decoded: set[bytes] = set()  # depths and colour types of PNGs that were decoded
        self._decoder = Decoder(stream)

    def encode(self, data: Stored) -> Encoded:
        """Encode a frame as a storage returns it: bytes, or an ndarray.

        Raises
        ------
        FrameError
            It is damaged, or does not fit its stream.
        """
        encoding = self._encoding
        if self._stream.is_field:
            found = self._decoder.decode(data).pixels
            return _as_npy(found) if isinstance(data, np.ndarray) else Encoded(bytes(data), kind_of(data))
        if encoding.raw or isinstance(data, np.ndarray) or self._changes(data):
            pixels = self._shrunk(self._decoder.decode(data).pixels)
            return self._of_pixels(pixels)
        if self._stream.mask:
            return self._as_it_is(data)
        if kind_of(data) == _DCT:
            return self._of_dct(bytes(data))
        if kind_of(data) == 0:
            try:
                return self._of_jpeg(bytes(data))
            except ValueError:
                pass  # damaged, or not expressible as a baseline file
        return self._as_it_is(data)._replace(kept=True)

    def _as_it_is(self, data: bytes | bytearray | memoryview) -> Encoded:
        """Return a frame's own bytes, once they are known to decode to a frame of the stream."""
        kind = kind_of(data)
        if kind != KINDS.index("png"):
            self._decoder.decode(data)
        elif not is_whole_png(data):
            raise FrameError(
                f"truncated or damaged PNG of {len(data)} bytes: a checksum is wrong, or its end is missing"
            )
        elif (depth := bytes(data[_PNG_DEPTH])) not in self._decoded:
            self._decoder.decode(data)
            if depth[0] <= 8 and self._stream.colors is None:  # noqa: PLR2004 - otherwise its values decide
                self._decoded.add(depth)
        return Encoded(bytes(data), kind)

    def _changes(self, data: bytes | bytearray | memoryview) -> bool:
        """Whether a frame's pixels must be encoded again."""
        short_side = self._encoding.short_side
        if self._stream.mask:
            return short_side is not None
        if self._encoding.quality is not None:
            return True
        return short_side is not None and min(frame_size(data)) > short_side

    def _shrunk(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        short_side = self._encoding.short_side
        height, width = pixels.shape[:2]
        if short_side is None or min(height, width) <= short_side:
            return pixels
        scale = short_side / min(height, width)
        size = int(height * scale + 0.5), int(width * scale + 0.5)
        return shrink(pixels, *size, nearest=self._stream.mask)

    def _of_pixels(self, pixels: NDArray[np.uint8]) -> Encoded:
        pixels = np.ascontiguousarray(pixels)
        file = io.BytesIO()
        if self._encoding.raw:
            return _as_npy(pixels)
        if self._stream.mask:
            Image.fromarray(pixels).save(file, "PNG")
            return Encoded(file.getvalue(), KINDS.index("png"))
        space, sampling = ("RGB", _SUBSAMPLING) if pixels.shape[2] == 3 else ("GRAY", "Gray")  # noqa: PLR2004
        quality = QUALITY if self._encoding.quality is None else self._encoding.quality
        data = simplejpeg.encode_jpeg(pixels, quality, space, sampling)
        return self._of_jpeg(data)._replace(around=b"")  # no file of the user's

    def _of_jpeg(self, data: bytes) -> Encoded:
        """Return a JPEG's coefficients as they are packed; raise ValueError if it cannot be transcoded."""
        coded = to_dct(data, usual=True) if self._encoding.dct else None
        if coded is not None:
            return Encoded(coded, _DCT, around=_around(data, coded))
        made = transcode(data, self._encoding.restart)
        if not self._encoding.dct:
            return Encoded(made, 0)
        coded = to_dct(data)
        if coded is not None:
            return Encoded(coded, _DCT, around=_around(data, coded))
        coded = to_dct(made)
        return Encoded(made, 0, kept=True) if coded is None else Encoded(coded, _DCT)

    def _of_dct(self, data: bytes) -> Encoded:
        """Return a dct frame as it is packed; raise DamageError if it is damaged."""
        frame_size(data)
        try:
            jpeg = from_dct(data)
        except ValueError as error:
            raise DamageError(f"damaged dct frame of {len(data)} bytes: {error}") from error
        return Encoded(data, _DCT) if self._encoding.dct else self._of_jpeg(jpeg)


def _around(data: bytes, coded: bytes) -> bytes:
    """Return what a JPEG has beside its scan, if its dct frame and that give its bytes back."""
    around = around_scan(data)
    try:
        return around if around is not None and from_dct(coded, around) == data else b""
    except ValueError:
        return b""


def _as_npy(pixels: NDArray[Any]) -> Encoded:
    file = io.BytesIO()
    np.save(file, pixels)
    return Encoded(file.getvalue(), KINDS.index("npy"))


def file_of_array(data: NDArray[Any], kind: str) -> tuple[str, bytes]:
    """Return the extension and the content of a file with the numbers of a frame, without loss.

    Parameters
    ----------
    data : ndarray
        As `fastclips.Storage.read` returns it.
    kind : {"image", "mask", "flow", "depth"}
        The kind of its stream.
    """
    if kind == "flow":
        size = np.array(data.shape[1::-1], "<i4").tobytes()
        return "flo", b"PIEH" + size + np.ascontiguousarray(data, "<f4").tobytes()
    file = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(data[..., 0] if data.shape[2:] == (1,) else data))
    if data.dtype == np.float32:
        picture.save(file, "TIFF")
        return "tif", file.getvalue()
    picture.save(file, "PNG", compress_level=1)
    return "png", file.getvalue()


def kind_of(data: bytes | bytearray | memoryview) -> int:
    """Return the index in `KINDS` of a file's format, by its first bytes."""
    start = bytes(data[:8])
    return next((kind for begins, kind in _STARTS.items() if start.startswith(begins)), _BIN)
