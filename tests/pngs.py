"""PNG files of every kind, written by hand: each row with a filter of choice, the data in several chunks."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise

import numpy as np

FILTERS = {"none": 0, "sub": 1, "up": 2, "average": 3, "paeth": 4}
START = b"\x89PNG\r\n\x1a\n"


def chunk(name, data):
    """Return a chunk."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def filtered(row, above, name, channels):
    """Return a row's bytes after a filter, by its definition (PNG specification, section 9)."""
    zeros = np.zeros(channels, np.int64)
    row, above = row.astype(np.int64), above.astype(np.int64)
    left = np.concatenate([zeros, row])[: len(row)]
    corner = np.concatenate([zeros, above])[: len(row)]
    guess = left + above - corner
    near = [abs(guess - part) for part in (left, above, corner)]
    paeth = np.where(
        (near[0] <= near[1]) & (near[0] <= near[2]), left, np.where(near[1] <= near[2], above, corner)
    )
    return ((row - [0 * row, left, above, (left + above) // 2, paeth][name]) % 256).astype(np.uint8).tobytes()


def write_png(pixels, filters, *, kind=None, parts=1, level=6, strategy=0, palette=None, asides=()):
    """Return a PNG of (H, W, C) bytes.

    `filters` has a number for each row; `kind` is the colour type; the data are in so many `parts`; `asides`
    are chunks before them.
    """
    height, width, channels = pixels.shape
    rows = pixels.reshape(height, width * channels)
    above = np.zeros_like(rows[0])
    raw = b""
    for row, name in zip(rows, filters, strict=True):
        raw += bytes([name]) + filtered(row, above, name, channels)
        above = row
    press = zlib.compressobj(level, strategy=strategy)
    data = press.compress(raw) + press.flush()
    kind = {1: 0, 3: 2}[channels] if kind is None else kind
    cut = [len(data) * part // parts for part in range(parts + 1)]
    return b"".join(
        [
            START,
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)),
            *(chunk(name, content) for name, content in asides),
            *([] if palette is None else [chunk(b"PLTE", palette)]),
            *(chunk(b"IDAT", data[begin:end]) for begin, end in pairwise(cut)),
            chunk(b"IEND", b""),
        ]
    )
