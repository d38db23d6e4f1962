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

2 cores of a virtual machine with other work, AMD EPYC (Zen 4); packs in a second run.

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
OLD = "FUSED"  # libjpeg-turbo makes the pixels
SIDES = {"AVX2, pdep": "", "AVX2": "PDEP", "libjpeg": OLD, "plain": "AVX2,SSE4_2"}  # and what is switched off


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
    return Decoder(StreamSpec("image"), fast_dct=False)


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
    names = "".join(f"{name:19}" for name in ("fused JPEG", *SIDES))
    print(f"    {'crop of frame, quality':36} jpeg    dct      JPEG   {names}")
    for work in WORKS:
        _, width, height = work.crop
        files = jpegs_of(work.kind, height, width, FRAMES, quality=work.quality)
        jpegs = [transcode(data, 2) for data in files]
        coded = [data for data in map(to_dct, files) if data is not None]
        sides = [(decoder_of(OLD), jpegs), (decoder_of(""), jpegs)]
        sides += [(decoder_of(off), coded) for off in SIDES.values()]
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
