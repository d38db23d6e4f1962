"""Frames -> the bytes that a pack keeps of them.

::

    JPEG                  -> the same coefficients with restart markers (native/transcode.h): no pixel changes
    pixels, or a picture  -> JPEG, 4:2:0, and the same; that is for what is resized, encoded anew or an array
    that changes size
    mask                  -> as it is; PNG where it is an array or changes size
    anything, decoded     -> .npy

What a decoder makes of a frame is never guessed: bytes that go into a pack as they are were decoded, or are
those of a PNG whose checksums are right and whose depth and colour type a decoder took before.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import simplejpeg
from PIL import Image

from fastclips._native import transcode
from fastclips.errors import FrameError
from fastclips.pixels.decoding.decoder import Decoder, frame_size
from fastclips.pixels.geometry.resample import shrink

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastclips.pixels.decoding.decoder import Stored
    from fastclips.spec import Stream

__all__ = ["KINDS", "Encoded", "Encoder", "Encoding", "kind_of"]

KINDS = ("jpg", "png", "bmp", "tif", "npy", "bin")  # extensions; the last of what is none of the others
QUALITY = 90  # where pixels must be encoded and nobody said how well
_STARTS = {b"\xff\xd8\xff": 0, b"\x89PNG\r\n\x1a\n": 1, b"BM": 2, b"II*\0": 3, b"MM\0*": 3, b"\x93NUMPY": 4}
_SUBSAMPLING = "420"
_PNG_DEPTH = slice(24, 26)  # where a PNG says its bits per channel and its colour type


@dataclass(frozen=True)
class Encoding:
    """How frames are packed.

    Parameters
    ----------
    restart : int
        MCUs between restart markers; the divisor of a row's that is nearest is taken. 0 for none.
    short_side : int, optional
        Pixels: frames with a longer short side are shrunk to it.
    quality : int, optional
        Of JPEGs that are encoded anew, 1 to 100; without it, that is done where it must be, at 90.
    raw : bool
        Whether pixels are kept instead.
    """

    restart: int = 2
    short_side: int | None = None
    quality: int | None = None
    raw: bool = False


class Encoded(NamedTuple):
    """A frame as it is packed.

    Parameters
    ----------
    data : bytes
        A file.
    kind : int
        Place of its extension in `KINDS`.
    kept : bool
        Whether it is a picture that was meant to change and could not: one that is no JPEG, or one whose
        coefficients cannot stand in a baseline file.
    """

    data: bytes
    kind: int
    kept: bool = False


class Encoder:
    """Encodes the frames of a stream.

    Parameters
    ----------
    stream : Stream
        What the frames are.
    encoding : Encoding
        How.
    """

    def __init__(self, stream: Stream, encoding: Encoding) -> None:
        self._stream = stream
        self._encoding = encoding
        self._taken: set[bytes] = set()  # depths and colour types of PNGs that were decoded
        # Raw pixels are those that a loader decodes by default; what is encoded anew deserves the exact ones.
        self._decoder = Decoder(stream, fast_dct=encoding.raw)

    def encode(self, data: Stored) -> Encoded:
        """Encode a frame.

        Parameters
        ----------
        data : bytes, or ndarray of uint8
            As a storage returns it.

        Returns
        -------
        Encoded

        Raises
        ------
        FrameError
            It is damaged, or not what its stream says.
        """
        encoding = self._encoding
        if encoding.raw or isinstance(data, np.ndarray) or self._changes(data):
            pixels = self._shrunk(self._decoder.decode(data).pixels)
            return self._of_pixels(pixels)
        if self._stream.mask:
            return self._as_it_is(data)
        if kind_of(data) == 0:
            try:
                return Encoded(transcode(bytes(data), encoding.restart), 0)
            except ValueError:
                pass  # damaged, or only beyond what a baseline file can say
        return self._as_it_is(data)._replace(kept=True)

    def _as_it_is(self, data: bytes | bytearray | memoryview) -> Encoded:
        """Return a frame's own bytes, which are known to be whole and what its stream takes."""
        kind = kind_of(data)
        if kind != KINDS.index("png"):
            self._decoder.decode(data)
        elif not _is_whole_png(data):
            raise FrameError(
                f"truncated or damaged PNG of {len(data)} bytes: a checksum is wrong, or its end lacks"
            )
        elif (depth := bytes(data[_PNG_DEPTH])) not in self._taken:
            self._decoder.decode(data)
            if depth[0] <= 8 and self._stream.colors is None:  # noqa: PLR2004 - else values decide
                self._taken.add(depth)
        return Encoded(bytes(data), kind)

    def _changes(self, data: bytes | bytearray | memoryview) -> bool:
        """Whether a frame's pixels are to be encoded anew."""
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
        by = short_side / min(height, width)
        size = int(height * by + 0.5), int(width * by + 0.5)
        return shrink(pixels, *size, nearest=self._stream.mask)

    def _of_pixels(self, pixels: NDArray[np.uint8]) -> Encoded:
        pixels = np.ascontiguousarray(pixels)
        file = io.BytesIO()
        if self._encoding.raw:
            np.save(file, pixels)
            return Encoded(file.getvalue(), KINDS.index("npy"))
        if self._stream.mask:
            Image.fromarray(pixels).save(file, "PNG")
            return Encoded(file.getvalue(), KINDS.index("png"))
        space, sampling = ("RGB", _SUBSAMPLING) if pixels.shape[2] == 3 else ("GRAY", "Gray")  # noqa: PLR2004
        quality = QUALITY if self._encoding.quality is None else self._encoding.quality
        data = simplejpeg.encode_jpeg(pixels, quality, space, sampling)
        return Encoded(transcode(data, self._encoding.restart), 0)


def kind_of(data: bytes | bytearray | memoryview) -> int:
    """Return which of `KINDS` a file is, by its first bytes."""
    start = bytes(data[:8])
    return next((kind for begins, kind in _STARTS.items() if start.startswith(begins)), len(KINDS) - 1)


def _is_whole_png(data: bytes | bytearray | memoryview) -> bool:
    """Whether all chunks of a PNG file are there, as their checksums say."""
    view, at = memoryview(data), 8
    while at + 12 <= len(view):
        end = at + 8 + int.from_bytes(view[at : at + 4], "big")
        if end + 4 > len(view) or zlib.crc32(view[at + 4 : end]) != int.from_bytes(
            view[end : end + 4], "big"
        ):
            return False
        if bytes(view[at + 4 : at + 8]) == b"IEND":
            return True
        at = end + 4
    return False
