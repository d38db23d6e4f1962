"""What does a pack of dct frames save over a pack of JPEGs, and what does it cost in bytes?

    python benchmarks/dct.py

One process, bytes in memory, 24 frames of film (`frames.py`; 4:2:0) as `fastclips pack` stores them with
`--codec jpeg` and with `--codec dct`. Each is decoded by `Decoder.decode` with a new random box; the sides
take turns. Sizes are bytes of the packed frames over those of the original JPEGs, headers included.

Result::

    crop, frame, quality  jpeg    dct     JPEG   fused JPEG         AVX2, pdep         AVX2   libjpeg   plain
    224 of 340x256, 75   1.000  1.075    144.7   1.26 (1.23-1.31)   2.08 (1.96-2.13)   1.84   1.40      1.31
    112 of 340x256, 75   1.000  1.075     50.3   1.30 (1.25-1.35)   1.96 (1.86-2.05)   1.80   1.28      1.30
    all of 340x256, 75   1.000  1.075    258.9   1.28 (1.25-1.33)   2.04 (1.98-2.11)   1.76   1.34      1.25
    224 of 340x256, 88   0.996  1.025    177.8   1.31 (1.26-1.36)   2.41 (2.34-2.51)   2.10   1.65      1.44
    112 of 340x256, 88   0.996  1.025     58.6   1.29 (1.21-1.34)   2.09 (1.97-2.16)   1.95   1.47      1.35
    all of 340x256, 88   0.996  1.025    253.5   1.26 (1.22-1.29)   2.27 (2.17-2.35)   1.95   1.53      1.31
    224 of 340x256, 95   0.977  1.012    221.0   1.15 (1.13-1.20)   2.29 (2.24-2.36)   1.96   1.67      1.39
    112 of 340x256, 95   0.977  1.012     75.6   1.24 (1.16-1.30)   2.10 (1.95-2.21)   1.95   1.59      1.37
    all of 340x256, 95   0.977  1.012    329.4   1.20 (1.18-1.24)   2.35 (2.26-2.41)   1.97   1.65      1.36
    224 of 640x360, 88   1.007  1.048    174.9   1.29 (1.26-1.32)   2.24 (2.19-2.29)   2.04   1.59      1.37

2 cores of a virtual machine with other work, AMD EPYC (Zen 4).

How to read: `JPEG` is the CPU time in us per decode of the pack of JPEGs, whose pixels libjpeg-turbo makes.
All other columns are how many times faster the same boxes are decoded: medians over rounds of 24 frames, two
with quartiles. `fused JPEG` is that pack, whose pixels fastclips makes in one pass. The next two are dct
frames, by the readers with and without `pdep`, and their pixels are made so, too. `libjpeg` has the first
reader and libjpeg-turbo's pixels. `plain` is for CPUs without AVX2. The transform is the accurate one, the
pixels are the same on all sides, and the checksum is verified.
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
    columns = [f"{m:.2f} ({lo:.2f}-{hi:.2f})" for lo, m, hi in zip(low, middle, high, strict=True)]
    columns[2:] = [f"{m:<{width}.2f}" for m, width in zip(middle[2:], (4, 7, 4), strict=True)]
    print(
        f"    {name:19} {sizes[0]:6.3f} {sizes[1]:6.3f}   {np.median(taken[..., 0]):6.1f}   "
        + "   ".join(columns)
    )


def _main() -> None:
    parser = argparse.ArgumentParser(description="Dct frames against JPEGs with restart markers.")
    parser.add_argument("--rounds", type=int, default=40)
    args = parser.parse_args()
    first, *others = SIDES
    head = f"{'fused JPEG':19}{first:19}" + "   ".join(others)
    print("    crop, frame, quality  jpeg    dct     JPEG   " + head)
    for work in WORKS:
        measure(work, args.rounds)


if __name__ == "__main__":
    _main()
