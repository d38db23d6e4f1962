"""What does a crop cost if only its part of a JPEG is decoded, compared with decoding the whole frame?

    python benchmarks/regions.py

One process, bytes in memory, 24 frames of film (`frames.py`; quality 88, 4:2:0), a new random box for each
decode. Full: simplejpeg decodes the frame into one reused buffer. Region: `Decoder.decode` with the box. Both
include Python's time; neither copies the crop. Restart: MCUs between restart markers, 0 for a plain JPEG.
Lines with 1/2 decode at half the size.

Result::

    simplejpeg 1.9.0; CPU time in us per decode, medians
    crop of frame          restart    bytes    full  region   full / region        rung
    112 of 340x256               2   19,426   242.2    45.5   5.39 (5.23-5.45)   SLICED
    224 of 640x360               2   47,371   637.7   143.7   4.36 (4.29-4.45)   SLICED
    224 of 340x256               2   19,426   249.8   134.7   1.85 (1.81-1.87)   SLICED
    112 of 340x256               0   18,914   237.0    96.8   2.45 (2.38-2.48)   CROPPED
    224 of 640x360               0   45,990   584.1   255.6   2.27 (2.24-2.29)   CROPPED
    224 of 340x256               0   18,914   233.8   153.9   1.51 (1.49-1.53)   CROPPED
    224 of 340x256              22   18,952   239.6   152.8   1.57 (1.55-1.59)   SLICED
    224 of 640x360, 1/2          2   47,371   491.4   103.7   4.69 (4.64-4.74)   SLICED
    224 of 640x360, 1/2          0   45,990   469.5   220.4   2.13 (2.12-2.15)   CROPPED
    all of 340x256               0   18,914   233.3   191.3   1.22 (1.21-1.23)   WHOLE
    all of 640x360               0   45,990   570.8   450.4   1.27 (1.25-1.28)   WHOLE
    all of 340x256, 1/2          0   18,914   192.5   140.6   1.37 (1.35-1.39)   WHOLE

2 cores of a virtual machine whose host has other work.

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
