"""Write JPEGs of every kind, each after a request, as seeds for libFuzzer: `seeds.py FOLDER [dct]`.

With `dct`, each JPEG becomes a dct frame.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from jpegs import SAMPLINGS, encode, mcus, natural

from fastclips._native import to_dct


def main(folder: Path, kind: str = "jpeg") -> None:
    """Write the files."""
    made = bytes if kind == "jpeg" else to_dct
    folder.mkdir(parents=True, exist_ok=True)
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


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
