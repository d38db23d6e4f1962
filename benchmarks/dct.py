"""What does a pack of dct frames save over a pack of JPEGs, and what does it cost in bytes?

    python benchmarks/dct.py

One process, bytes in memory, 24 frames of film (`frames.py`; 4:2:0) as `fastclips pack` stores them with
`--codec jpeg` and with `--codec dct`. Each is decoded by `Decoder.decode` with a new random box; the sides
take turns. Sizes are bytes of the packed frames over those of the original JPEGs, headers included.

Result::

    crop of frame, quality jpeg    dct      JPEG   AVX2, pdep         AVX2               plain
    224 of 340x256, 75    1.000  1.075    132.6   1.47 (1.45-1.48)   1.32 (1.31-1.33)   1.31 (1.30-1.32)
    112 of 340x256, 75    1.000  1.075     47.1   1.35 (1.32-1.39)   1.25 (1.23-1.29)   1.24 (1.21-1.28)
    all of 340x256, 75    1.000  1.075    199.6   1.46 (1.44-1.47)   1.30 (1.29-1.31)   1.30 (1.28-1.31)
    224 of 340x256, 88    0.996  1.025    157.8   1.66 (1.61-1.69)   1.47 (1.44-1.50)   1.36 (1.33-1.38)
    112 of 340x256, 88    0.996  1.025     55.6   1.49 (1.45-1.54)   1.39 (1.36-1.42)   1.30 (1.28-1.32)
    all of 340x256, 88    0.996  1.025    234.6   1.64 (1.61-1.67)   1.44 (1.41-1.46)   1.33 (1.31-1.36)
    224 of 340x256, 95    0.977  1.012    205.6   1.87 (1.85-1.89)   1.61 (1.59-1.63)   1.42 (1.40-1.43)
    112 of 340x256, 95    0.977  1.012     69.7   1.64 (1.60-1.66)   1.46 (1.43-1.48)   1.32 (1.29-1.36)
    all of 340x256, 95    0.977  1.012    297.8   1.82 (1.81-1.83)   1.55 (1.54-1.56)   1.38 (1.37-1.39)
    224 of 640x360, 88    1.007  1.048    156.3   1.59 (1.55-1.61)   1.42 (1.40-1.44)   1.32 (1.31-1.34)

2 cores of a virtual machine with other work, AMD EPYC (Zen 4).

How to read: `JPEG` is the CPU time in us per decode of the pack of JPEGs. The last three columns are how many
times faster dct frames are decoded by each reader: medians over rounds of 24 frames, with quartiles. On all
sides libjpeg-turbo makes the pixels, which is most of what remains. The checksum is verified.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
import os
from io import BytesIO
from time import thread_time_ns
from typing import NamedTuple

import numpy as np
from frames import film
from PIL import Image

from fastclips._native import to_dct, transcode
from fastclips.pixels.decoding.decoder import Decoder
from fastclips.spec import StreamSpec

FRAMES = 24
OLD = "FUSED"  # libjpeg-turbo makes the pixels
SIDES = {"AVX2, pdep": "", "AVX2": "PDEP", "libjpeg": OLD, "plain": "AVX2,SSE4_2"}  # and what is switched off


class Work(NamedTuple):
    """A line of the table.

    Parameters
    ----------
    crop : int
        Side of the crop in pixels; 0 for the whole frame.
    width, height : int
        Size of the frames in pixels.
    quality : int
        Of the JPEGs.
    """

    crop: int
    width: int
    height: int
    quality: int


WORKS = (
    *(Work(crop, 340, 256, quality) for quality in (75, 88, 95) for crop in (224, 112, 0)),
    Work(224, 640, 360, 88),
)


def decoder_of(switched_off: str) -> Decoder:
    """Return a decoder without some features of the CPU."""
    os.environ["FASTCLIPS_CPU_DISABLE"] = switched_off
    return Decoder(StreamSpec("image"), fast_dct=False)


def packed(work: Work, frames: int) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Return a frame of each of so many videos: the JPEG, and as packs store it."""
    files = []
    for number in range(frames):
        pixels = next(film(work.height, work.width, 1, np.random.default_rng(number)))
        file = BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=work.quality, subsampling=2)
        files.append(file.getvalue())
    coded = [data for data in map(to_dct, files) if data is not None]
    return files, [transcode(data, 2) for data in files], coded


def measure(work: Work, rounds: int) -> None:
    """Measure and print a line of the table."""
    files, jpegs, coded = packed(work, FRAMES)
    sides = [(decoder_of(OLD), jpegs), (decoder_of(""), jpegs)]
    sides += [(decoder_of(off), coded) for off in SIDES.values()]
    random = np.random.default_rng(0)
    taken = np.zeros((rounds, FRAMES, len(sides)))
    for round_ in range(rounds + 1):  # the first warms up
        for number in range(FRAMES):
            top = int(random.integers(0, work.height - work.crop + 1))
            left = int(random.integers(0, work.width - work.crop + 1))
            box = (top, left, top + work.crop, left + work.crop) if work.crop else None
            for side in np.roll(range(len(sides)), round_ + number).tolist():
                decoder, frames = sides[side]
                began = thread_time_ns()
                decoder.decode(frames[number], box)
                taken[round_ - 1, number, side] = (thread_time_ns() - began) / 1000
    ratios = taken[..., :1].sum(axis=1) / taken[..., 1:].sum(axis=1)
    low, middle, high = np.percentile(ratios, (25, 50, 75), axis=0)
    sizes = [sum(map(len, made)) / sum(map(len, files)) for made in (jpegs, coded)]
    name = f"{work.crop or 'all'} of {work.width}x{work.height}, {work.quality}"
    columns = (f"{m:.2f} ({lo:.2f}-{hi:.2f})" for lo, m, hi in zip(low, middle, high, strict=True))
    print(
        f"    {name:20} {sizes[0]:6.3f} {sizes[1]:6.3f}   {np.median(taken[..., 0]):6.1f}   "
        + "   ".join(columns)
    )


def _main() -> None:
    parser = argparse.ArgumentParser(description="Dct frames against JPEGs with restart markers.")
    parser.add_argument("--rounds", type=int, default=40)
    args = parser.parse_args()
    names = ("fused JPEG", *SIDES)
    print("    crop of frame, quality jpeg    dct      JPEG   " + "".join(f"{name:19}" for name in names))
    for work in WORKS:
        measure(work, args.rounds)


if __name__ == "__main__":
    _main()
