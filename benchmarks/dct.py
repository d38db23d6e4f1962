"""What does a pack of dct frames save over a pack of JPEGs, and what does it cost in bytes?

    python benchmarks/dct.py

Frames of film and of photographs under a moving camera (`frames.py`), 4:2:0, as `fastclips pack` stores them
with `--codec jpeg` and with `--codec dct`.

packs     bytes of the packed frames over those of the original JPEGs, headers included; and frames packed per
          second of CPU time in one process, whole calls of `fastclips.pack` in turns
decodes   one process, bytes in memory, 24 frames. Each is decoded by `Decoder.decode` with a new random box;
          the sides take turns

Result::

    340x256, quality       JPEG bytes    jpeg    dct   packed per CPU second: jpeg    dct
    film, 75                   11,586   1.001  1.075                        1,345  1,167
    film, 88                   18,809   0.996  1.027                        1,080    910
    film, 95                   34,695   0.973  1.007                          667    555
    photographs, 75            15,528   1.003  1.061                        1,262  1,062
    photographs, 88            22,977   0.993  1.054                          949    813
    photographs, 95            36,031   0.962  1.040                          785    694

    crop of frame, kind, quality    jpeg    dct    JPEG  AVX2, pdep        AVX2              plain
    224 of 340x256, film 75        1.000  1.075   132.6  1.47 (1.45-1.48)  1.32 (1.31-1.33)  1.31 (1.30-1.32)
    112 of 340x256, film 75        1.000  1.075    47.1  1.35 (1.32-1.39)  1.25 (1.23-1.29)  1.24 (1.21-1.28)
    all of 340x256, film 75        1.000  1.075   199.6  1.46 (1.44-1.47)  1.30 (1.29-1.31)  1.30 (1.28-1.31)
    224 of 340x256, film 88        0.996  1.025   157.8  1.66 (1.61-1.69)  1.47 (1.44-1.50)  1.36 (1.33-1.38)
    112 of 340x256, film 88        0.996  1.025    55.6  1.49 (1.45-1.54)  1.39 (1.36-1.42)  1.30 (1.28-1.32)
    all of 340x256, film 88        0.996  1.025   234.6  1.64 (1.61-1.67)  1.44 (1.41-1.46)  1.33 (1.31-1.36)
    224 of 340x256, film 95        0.977  1.012   205.6  1.87 (1.85-1.89)  1.61 (1.59-1.63)  1.42 (1.40-1.43)
    112 of 340x256, film 95        0.977  1.012    69.7  1.64 (1.60-1.66)  1.46 (1.43-1.48)  1.32 (1.29-1.36)
    all of 340x256, film 95        0.977  1.012   297.8  1.82 (1.81-1.83)  1.55 (1.54-1.56)  1.38 (1.37-1.39)
    224 of 640x360, film 88        1.007  1.048   156.3  1.59 (1.55-1.61)  1.42 (1.40-1.44)  1.32 (1.31-1.34)
    224 of 340x256, photographs 88 0.990  1.053   184.0  1.66 (1.60-1.72)  1.47 (1.40-1.54)  1.36 (1.31-1.39)
    112 of 340x256, photographs 88 0.990  1.053    83.8  1.50 (1.45-1.59)  1.39 (1.28-1.47)  1.29 (1.25-1.33)
    all of 340x256, photographs 88 0.990  1.053   310.9  1.64 (1.58-1.74)  1.45 (1.40-1.54)  1.34 (1.29-1.38)

2 cores of a virtual machine with other work, AMD EPYC (Zen 4); photographs and packs in a second run.

How to read: `JPEG` is the CPU time in us per decode of the pack of JPEGs. The last three columns are how many
times faster dct frames are decoded by each reader: medians over rounds of 24 frames, with quartiles. On all
sides libjpeg-turbo makes the pixels, which is most of what remains. The checksum is verified.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import NamedTuple

import numpy as np
from box_turns import Crop, ratios, time_boxes
from frames import KINDS, jpegs_of, write_frames

import fastclips as fc
from fastclips._native import to_dct, transcode
from fastclips.pixels.decoding.decoder import Decoder
from fastclips.spec import StreamSpec

FRAMES = 24
QUALITIES = 75, 88, 95
READERS = {"AVX2, pdep": "", "AVX2": "PDEP", "plain": "AVX2,SSE4_2"}  # and what is switched off for them


class Work(NamedTuple):
    """Frames, and what is decoded of them.

    Parameters
    ----------
    crop : Crop
        What is decoded.
    kind : {"film", "photographs"}
        What the frames show.
    quality : int
        Of the JPEGs.
    """

    crop: Crop
    kind: str
    quality: int


WORKS = (
    *(Work(Crop(side, 340, 256), "film", quality) for quality in QUALITIES for side in (224, 112, 0)),
    Work(Crop(224, 640, 360), "film", 88),
    *(Work(Crop(side, 340, 256), "photographs", 88) for side in (224, 112, 0)),
)


def decoder_of(switched_off: str) -> Decoder:
    """Return a decoder without some features of the CPU."""
    os.environ["FASTCLIPS_CPU_DISABLE"] = switched_off
    return Decoder(StreamSpec("image"))


def packs(top: Path, videos: int) -> None:
    """Print the bytes of packs, and how fast they are made."""
    print(f"    {'340x256, quality':22} JPEG bytes    jpeg    dct   packed per CPU second: jpeg    dct")
    for kind in KINDS:
        for quality in QUALITIES:
            source = top / f"{kind}-{quality}"
            write_frames(source, videos=videos, frames=32, quality=quality, kind=kind)
            dataset = fc.open(source)
            rates: dict[str, list[float]] = {"jpeg": [], "dct": []}
            sizes = dict.fromkeys(rates, 0.0)
            for _ in range(4):  # the first warms up
                for codec, found in rates.items():
                    began = process_time()
                    done = fc.pack(dataset, top / "pack", codec=codec, workers=0)
                    found.append(done.frames / (process_time() - began))
                    sizes[codec] = done.bytes_after / done.bytes_before
                    shutil.rmtree(top / "pack")
            before = done.bytes_before / done.frames
            jpeg, dct = (median(rate[1:]) for rate in rates.values())
            print(
                f"    {f'{kind}, {quality}':22} {before:10,.0f} {sizes['jpeg']:7.3f} {sizes['dct']:6.3f} "
                f"{jpeg:28,.0f} {dct:6,.0f}"
            )


def decodes(rounds: int) -> None:
    """Print how fast packed frames are decoded."""
    names = "".join(f"{name:18}" for name in READERS)
    print(f"    {'crop of frame, kind, quality':30}  jpeg    dct    JPEG  {names}")
    for work in WORKS:
        _, width, height = work.crop
        files = jpegs_of(work.kind, height, width, FRAMES, quality=work.quality)
        jpegs = [transcode(data, 2) for data in files]
        coded = [data for data in map(to_dct, files) if data is not None]
        sides = [(decoder_of(""), jpegs), *((decoder_of(off), coded) for off in READERS.values())]
        decoders = [
            lambda number, box, decoder=decoder, frames=frames: decoder.decode(frames[number], box)
            for decoder, frames in sides
        ]
        taken = time_boxes(decoders, work.crop, FRAMES, rounds)
        sizes = [sum(map(len, made)) / sum(map(len, files)) for made in (jpegs, coded)]
        name = f"{work.crop}, {work.kind} {work.quality}"
        print(
            f"    {name:30}{sizes[0]:6.3f} {sizes[1]:6.3f}  {np.median(taken[..., 0]):6.1f}  "
            + "  ".join(ratios(taken))
        )


def _main() -> None:
    parser = argparse.ArgumentParser(description="Dct frames against JPEGs with restart markers.")
    parser.add_argument("--rounds", type=int, default=40, help="of decodes (%(default)s)")
    parser.add_argument("--videos", type=int, default=12, help="of 32 frames to pack (%(default)s)")
    parser.add_argument("--only", choices=("packs", "decodes"), help="one of the two tables")
    args = parser.parse_args()
    if args.only != "decodes":
        with TemporaryDirectory() as folder:
            packs(Path(folder), args.videos)
    if args.only != "packs":
        decodes(args.rounds)


if __name__ == "__main__":
    _main()
