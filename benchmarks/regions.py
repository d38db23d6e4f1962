"""What does a crop cost if only its part of a JPEG is decoded, compared with decoding the whole frame?

    python benchmarks/regions.py

One process, bytes in memory, 24 frames of film (`frames.py`; quality 88, 4:2:0), a new random box for each
decode. Full: simplejpeg decodes the frame into one reused buffer. Region: `Decoder.decode` with the box. Both
include Python's time; neither copies the crop. Restart: MCUs between restart markers, 0 for a plain JPEG.
Lines with 1/2 decode at half the size.

Result::

    simplejpeg 1.9.0; CPU time in us per decode, medians
    crop of frame          restart    bytes    full  region   full / region        rung
    112 of 340x256               2   19,426   287.9    48.0   5.87 (5.72-6.05)   SLICED
    224 of 640x360               2   47,371   713.3   141.6   4.90 (4.82-4.99)   SLICED
    224 of 340x256               2   19,426   292.4   140.1   2.07 (2.03-2.11)   SLICED
    112 of 340x256               0   18,914   265.3   101.5   2.60 (2.55-2.62)   CROPPED
    224 of 640x360               0   45,990   635.2   258.6   2.44 (2.39-2.46)   CROPPED
    224 of 340x256               0   18,914   268.1   156.5   1.68 (1.66-1.71)   CROPPED
    224 of 340x256              22   18,952   280.2   156.7   1.75 (1.73-1.78)   SLICED
    224 of 640x360, 1/2          2   47,371   554.2   114.0   4.66 (4.59-4.72)   SLICED
    224 of 640x360, 1/2          0   45,990   515.7   236.0   2.13 (2.09-2.17)   CROPPED
    all of 340x256               0   18,914   272.0   194.8   1.36 (1.35-1.38)   WHOLE
    all of 640x360               0   45,990   662.7   465.5   1.38 (1.37-1.39)   WHOLE
    all of 340x256, 1/2          0   18,914   210.2   151.9   1.36 (1.34-1.37)   WHOLE

2 cores of a virtual machine that had much other work.

How to read: the sides take turns of one decode each, in alternating order. Times are medians; a ratio is the
median over rounds of 24 frames, with quartiles. With restart markers a crop costs less than its share of the
frame's MCUs (18,900 of 87,000 pixels in the first line), because its coefficients are read faster than
libjpeg-turbo reads them. In a plain JPEG all codes before the crop are passed, which takes a quarter of the
time to decode it.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
import simplejpeg
from box_turns import Crop, ratios, time_boxes
from frames import jpegs_of

from fastclips.pixels.decoding.decoder import Decoder
from fastclips.spec import StreamSpec

FRAMES = 24


class Work(NamedTuple):
    """A line of the table.

    Parameters
    ----------
    crop : Crop
        What is decoded.
    restart : int
        MCUs from one restart marker to the next; 0 for a plain JPEG.
    scale : int
        Frames are decoded at 1/scale of their size.
    """

    crop: Crop
    restart: int
    scale: int = 1


WORKS = (
    Work(Crop(112, 340, 256), 2),
    Work(Crop(224, 640, 360), 2),
    Work(Crop(224, 340, 256), 2),
    Work(Crop(112, 340, 256), 0),
    Work(Crop(224, 640, 360), 0),
    Work(Crop(224, 340, 256), 0),
    Work(Crop(224, 340, 256), 22),  # whole rows: 352 / 16
    Work(Crop(224, 640, 360), 2, 2),
    Work(Crop(224, 640, 360), 0, 2),
    Work(Crop(0, 340, 256), 0),
    Work(Crop(0, 640, 360), 0),
    Work(Crop(0, 340, 256), 0, 2),
)


def measure(work: Work, rounds: int) -> None:
    """Measure and print a line of the table."""
    _, width, height = work.crop
    files = jpegs_of("film", height, width, FRAMES, restart=work.restart)
    decoder = Decoder(StreamSpec("image"))
    buffer = np.empty(height * width * 3, np.uint8)
    least = (height // work.scale, width // work.scale) if work.scale > 1 else (0, 0)
    rungs = set()

    def full(number: int, _: object) -> None:
        simplejpeg.decode_jpeg(files[number], "RGB", False, False, *least, buffer=buffer)

    def region(number: int, box: tuple[int, int, int, int] | None) -> None:
        rungs.add(decoder.decode(files[number], box, work.scale).rung.name)

    taken = time_boxes([full, region], work.crop, FRAMES, rounds)
    (ratio,) = ratios(taken)
    whole, part = np.median(taken, axis=(0, 1))
    name = f"{work.crop}" + (f", 1/{work.scale}" if work.scale > 1 else "")
    print(
        f"{name:22} {work.restart:7} {np.mean([len(f) for f in files]):8,.0f} {whole:7.1f} {part:7.1f}"
        f"   {ratio}   {'/'.join(sorted(rungs))}"
    )


def _main() -> None:
    parser = argparse.ArgumentParser(description="Region decode against full decode and crop.")
    parser.add_argument("--rounds", type=int, default=60)
    args = parser.parse_args()
    print(f"simplejpeg {simplejpeg.__version__}; CPU time in us per decode, medians")
    print("crop of frame          restart    bytes    full  region   full / region        rung")
    for work in WORKS:
        measure(work, args.rounds)


if __name__ == "__main__":
    _main()
