"""Write JPEGs of every kind, each after a request, as seeds for libFuzzer: `seeds.py FOLDER [dct | png]`.

With `dct`, each JPEG becomes a dct frame. With `png`, PNGs are written, and compressed data.
"""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from jpegs import SAMPLINGS, encode, mcus, natural
from pngs import FILTERS, write_png

from fastclips._native import to_dct


def main(folder: Path, kind: str = "jpeg") -> None:
    """Write the files."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "png":
        write_pngs(folder)
        return
    made = bytes if kind == "jpeg" else to_dct
    random = np.random.default_rng(0)
    for height, width in ((9, 13), (40, 61)):
        pixels = natural(random, height, width)
        for sampling in SAMPLINGS:
            _, row = mcus((height, width), sampling)
            for restart in {0, 1, row, 2 * row, row + 1}:
                data = encode(pixels, sampling, restart, quality=40)
                for mode in range(0, 16, 3):
                    box = sorted(random.integers(0, height + 1, 2)), sorted(random.integers(0, width + 1, 2))
                    question = struct.pack("<4HB", box[0][0], box[1][0], box[0][1], box[1][1], mode)
                    (folder / f"{height}_{sampling}_{restart}_{mode}").write_bytes(question + made(data))
        for option in ({"progressive": True}, {"optimize": True}):
            question = struct.pack("<4HB", 2, 3, 8, 11, 0)
            if (data := made(encode(pixels, **option))) is not None:
                (folder / f"{height}_{next(iter(option))}").write_bytes(question + data)
    noise = encode(random.integers(0, 256, (20, 300, 3), dtype=np.uint8), quality=100)
    (folder / "noise").write_bytes(struct.pack("<4HB", 0, 270, 20, 300, 0) + made(noise))


def write_pngs(folder: Path) -> None:
    """Write PNGs with each filter, and compressed data of each kind of block."""
    random = np.random.default_rng(0)
    for height, width in ((9, 13), (40, 61)):
        for channels in (1, 3):
            pixels = natural(random, height, width)[:, :, :channels]
            for name in FILTERS:
                request = struct.pack("<HHB", height - 1, width - 1, 6 if channels == 3 else 4)
                data = write_png(pixels, [FILTERS[name]] * height, parts=1 + height % 2)
                (folder / f"{height}_{channels}_{name}").write_bytes(request + data)
    texts = {"runs": bytes(3000), "noise": random.bytes(500), "words": b"to be or not to be, " * 40}
    for name, text in texts.items():
        for level in (0, 1, 9):
            for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY):
                press = zlib.compressobj(level, strategy=strategy)
                data = press.compress(text) + press.flush()
                request = struct.pack("<HHB", len(text), 0, 1)
                (folder / f"{name}_{level}_{strategy}").write_bytes(request + data)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
