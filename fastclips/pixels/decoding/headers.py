"""Read the headers of PNG, BMP, TIFF, WebP and .flo files: format, size and depth. No pixel is decoded.

A TIFF may hold several pictures; the first is read.

A header with more pixels than its file can hold belongs to a truncated or damaged file, and decoding it could
take all memory. So each format has a limit: pixels per byte of the file.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from fastclips.errors import DamageError, FrameError

__all__ = [
    "FLO_START",
    "PNG_START",
    "Header",
    "check_size",
    "is_animated_webp",
    "is_lossy_webp",
    "is_whole_png",
    "jpeg_sampling",
    "read_header",
]

PNG_START = b"\x89PNG\r\n\x1a\n"
FLO_START = 12  # bytes of a .flo before its flow

# Pixels per byte of a file, at most.
_DEFLATED = 8 * 1032  # deflate's limit, at 1 bit per pixel
_PLAIN = 8  # 1 bit per pixel
_RUNS = 128  # run lengths: two bytes for 255 pixels
_FAXED = 2**16  # 1 bit for a row of any width
_MOST_PIXELS = 2**26  # of a TIFF or WebP: above, Pillow warns
_MOST = 2**62  # a WebP file of one colour has a few bytes, whatever its size

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _ORIENTATION = 256, 257, 258, 259, 274  # TIFF's tags
_NUMBERS = {1: "B", 3: "H", 4: "I"}  # TIFF's types, as formats of struct
_ANIMATED = 2  # bit of a WebP header
_ENTRY = 12  # bytes of a tag in TIFF's table


class Header(NamedTuple):
    """The format, size and depth of a file.

    Parameters
    ----------
    kind : str
        Name of the format.
    height, width : int
        Size in pixels, after decoding.
    bits : int
        Bits per channel.
    """

    kind: str
    height: int
    width: int
    bits: int = 8


def read_header(data: bytes | bytearray | memoryview) -> Header:
    """Read the header of a PNG, BMP, TIFF, WebP or .flo file.

    Parameters
    ----------
    data : bytes-like
        The whole file.

    Returns
    -------
    Header
        Checked against the file's length.

    Raises
    ------
    DamageError
        If the file has another format, or its header is damaged.
    FrameError
        If it is a TIFF or WebP file of too many pixels.
    """
    if not len(data):
        raise DamageError("empty file")
    start = bytes(data[:8])
    kind: str | None = "PNG"
    if start != PNG_START:  # the common case first
        kind = next((kind for kind, starts in _STARTS.items() if start.startswith(starts)), None)
    if kind is None or (kind == "WebP" and data[8:12] != b"WEBP"):
        raise DamageError(f"neither JPEG, PNG, BMP, TIFF nor WebP: it starts with {start!r}")
    try:
        height, width, bits, limit = _READ[kind](data)
    except (IndexError, KeyError, ValueError, struct.error) as error:
        raise DamageError(
            f"truncated or damaged header of a {kind} of {len(data)} bytes: {bytes(data[:24])!r}"
        ) from error
    check_size(height, width, limit * len(data), len(data))
    if kind in ("TIFF", "WebP") and height * width > _MOST_PIXELS:
        raise FrameError(f"a {kind} of {height} x {width} pixels: must be at most {_MOST_PIXELS}")
    return Header(kind, height, width, bits)


def check_size(height: int, width: int, most: int, size: int) -> None:
    """Raise `DamageError` if a header has no pixels, or more than the `most` that its file can hold."""
    if not 0 < height * width <= most:
        raise DamageError(f"truncated: {size} bytes cannot hold the {height} x {width} pixels of its header")


_Read = tuple[int, int, int, int]  # height, width, bits per channel, pixels per byte at most


def _png(data: bytes | bytearray | memoryview) -> _Read:
    length, name, width, height, bits = struct.unpack_from(">I4sIIB", data, 8)
    if name != b"IHDR" or not length or not height or not width:
        raise ValueError
    return height, width, bits, _DEFLATED


def _bmp(data: bytes | bytearray | memoryview) -> _Read:
    (size,) = struct.unpack_from("<I", data, 14)
    if size == 12:  # noqa: PLR2004 - the oldest and shortest header
        width, height = struct.unpack_from("<HH", data, 18)
        packed = 0
    else:
        width, height, packed = struct.unpack_from("<ii4xI", data, 18)
        height = abs(height)  # negative if rows run from top to bottom
    if width <= 0 or height == 0:
        raise ValueError
    return height, width, 8, _RUNS if packed in (1, 2) else _PLAIN


def _tiff(data: bytes | bytearray | memoryview) -> _Read:
    order = "<" if data[:1] == b"I" else ">"
    (table,) = struct.unpack_from(f"{order}I", data, 4)
    (entries,) = struct.unpack_from(f"{order}H", data, table)
    tags = {_BITS: 1, _COMPRESSION: 1, _ORIENTATION: 1}
    for at in range(table + 2, table + 2 + entries * _ENTRY, _ENTRY):
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, at)
        if kind in _NUMBERS and count:  # only the first number counts
            number = f"{order}{_NUMBERS[kind]}"
            inline = count * struct.calcsize(number) <= 4  # noqa: PLR2004 - bytes of an entry's value
            offset = at + 8 if inline else struct.unpack_from(f"{order}I", data, at + 8)[0]
            if tag in (_WIDTH, _LENGTH, _BITS, _COMPRESSION, _ORIENTATION):
                (tags[tag],) = struct.unpack_from(number, data, offset)
    height, width = tags[_LENGTH], tags[_WIDTH]
    if height * width == 0:
        raise ValueError
    if tags[_ORIENTATION] in (5, 6, 7, 8):  # rows are stored as columns, which Pillow swaps
        height, width = width, height
    return height, width, tags[_BITS], _PLAIN if tags[_COMPRESSION] == 1 else _FAXED


def _webp(data: bytes | bytearray | memoryview) -> _Read:
    (size,) = struct.unpack_from("<I", data, 4)
    kind = bytes(data[12:16])
    if size + 8 > len(data):
        raise ValueError
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        (sizes,) = struct.unpack_from("<I", data, 21)
        width, height = (sizes & 0x3FFF) + 1, (sizes >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise ValueError
    return height, width, 8, _MOST


def _flo(data: bytes | bytearray | memoryview) -> _Read:
    width, height = struct.unpack_from("<ii", data, 4)
    if width <= 0 or height <= 0 or len(data) != FLO_START + 8 * width * height:
        raise ValueError
    return height, width, 32, 1


def is_whole_png(data: bytes | bytearray | memoryview) -> bool:
    """Whether all chunks of a PNG file are there, with correct checksums."""
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


def is_lossy_webp(data: bytes | bytearray | memoryview) -> bool:
    """Whether a WebP file has lossy pixels; False for any other file."""
    at = 12
    while bytes(data[:4]) == b"RIFF" and at + 8 <= len(data):
        if data[at : at + 4] == b"VP8 ":
            return True
        (size,) = struct.unpack_from("<I", data, at + 4)
        at += 8 + size + size % 2
    return False


def is_animated_webp(data: bytes | bytearray | memoryview) -> bool:
    """Whether the header of a WebP file announces several pictures."""
    return bytes(data[12:16]) == b"VP8X" and bool(data[20] & _ANIMATED)


def jpeg_sampling(data: bytes | bytearray | memoryview) -> str | None:
    """Return the sampling factors of a JPEG's components, such as ``"4x2, 1x1, 1x1"``; None if not found."""
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:  # noqa: PLR2004 - a marker
        marker = data[at + 1]
        if marker == 0xFF:  # noqa: PLR2004 - padding
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # noqa: PLR2004 - a frame header
            factors = bytes(data[at + 11 : at + 10 + 3 * data[at + 9] : 3])
            return ", ".join(f"{factor >> 4}x{factor & 15}" for factor in factors)
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


_STARTS = {
    "PNG": (PNG_START,),
    "TIFF": (b"II*\0", b"MM\0*"),
    "BMP": (b"BM",),
    "WebP": (b"RIFF",),
    "flo": (b"PIEH",),
}
_READ = {"PNG": _png, "TIFF": _tiff, "BMP": _bmp, "WebP": _webp, "flo": _flo}
