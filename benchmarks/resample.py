"""What does resampling cost, beside decoding, and what does one call for a clip save?

    python benchmarks/resample.py

One process, bytes in memory, clips of 16 frames of film (`frames.py`; 640x360, quality 88, 4:2:0), a new
random map for each clip; with the exact inverse DCT. All sides write the same pixels:

by frame    a pack of JPEGs, libjpeg-turbo's pixels; Python calls `Decoder.decode` and `cv2.resize` for each
            frame
plain       JPEGs without restart markers. Here and below, `Decoder.decode_crops` decodes and resamples a
            clip in one call, each row as soon as it is decoded
jpeg, dct   packs of JPEGs and of dct frames
box alone   of the dct frames, not resampled: the call writes the box as it is decoded

Result::

    of 640x360            by frame   plain              jpeg               dct                box alone
    area 0.25 to 1, to 112   340.5   1.00 (0.93-1.11)   1.28 (1.24-1.32)   2.59 (2.38-2.68)   2.92 (2.76-3.17)
    area 0.25 to 1, to 224   510.8   1.20 (1.10-1.26)   1.44 (1.41-1.47)   2.29 (2.22-2.38)   2.83 (2.70-2.95)
    315 square to 224        434.9   1.16 (1.13-1.18)   1.48 (1.46-1.51)   2.38 (2.29-2.47)   3.06 (2.99-3.17)
    whole to 224             771.6   1.46 (1.44-1.49)   1.43 (1.40-1.48)   2.45 (2.39-2.51)   2.67 (2.63-2.72)

2 cores of a virtual machine whose host has other work.

How to read: `by frame` is the CPU time in us per frame, a median. Other columns are how many times faster:
the sides take turns of one clip each, and a ratio is the median over clips, with quartiles. Where the map
shrinks by 2 or more, frames are decoded at a DCT scale, so little is left to resample.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
import os
from time import thread_time_ns
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from frames import jpegs_of

import fastclips as fc
from fastclips._native import to_dct
from fastclips.engine.clip_crops import make_crop
from fastclips.pixels.decoding.decoder import Decoder
from fastclips.pixels.geometry.regions import find_source
from fastclips.pixels.recipe import compile_recipe
from fastclips.spec import StreamSpec

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH, HEIGHT, CLIP = 640, 360, 16
SIZE = HEIGHT, WIDTH
SQUARE = 315**2 / (WIDTH * HEIGHT)
SIDES = ("plain", "jpeg", "dct", "box alone")


class Work(NamedTuple):
    """A line of the table: its name, and the map."""

    name: str
    transform: Any


WORKS = (
    Work("area 0.25 to 1, to 112", fc.RandomResizedCrop(112, area=(0.25, 1))),
    Work("area 0.25 to 1, to 224", fc.RandomResizedCrop(224, area=(0.25, 1))),
    Work("315 square to 224", fc.RandomResizedCrop(224, area=SQUARE, aspect=1)),
    Work("whole to 224", fc.Resize(224)),
)


def decoder_of(switched_off: str) -> Decoder:
    """Return a decoder without some features of the CPU."""
    os.environ["FASTCLIPS_CPU_DISABLE"] = switched_off
    return Decoder(StreamSpec("image"), fast_dct=False)


class Turns:
    """The ways to a clip of a work, each with memory of its own."""

    def __init__(self, work: Work) -> None:
        plain, packed = (jpegs_of("film", HEIGHT, WIDTH, CLIP, restart=restart) for restart in (0, 2))
        coded = [data for data in map(to_dct, plain) if data is not None]
        self.stored = {"plain": plain, "jpeg": packed, "dct": coded, "box alone": coded}
        self.decoder, self.old = decoder_of(""), decoder_of("FUSED")
        side = work.transform.size[0]
        self.outputs = {name: np.empty((CLIP, side, side, 3), np.uint8) for name in ("by frame", *SIDES)}
        self.recipe = compile_recipe([work.transform], time_steps=CLIP, dct_scaling=True)

    def make(self, random: np.random.Generator) -> list[Callable[[], None]]:
        """Return the sides' turns at a clip, all with the same random map."""
        geometry = self.recipe.geometry(*SIZE, random.random(self.recipe.draws).tolist(), 0)
        source, scale = find_source(geometry, *SIZE, "nearest"), geometry.scale
        crop = make_crop(geometry, SIZE, source, scale, "nearest", nearest=False, table=None)
        top, left, bottom, right = (edge // scale for edge in source)
        self.outputs["box alone"] = np.zeros((CLIP, bottom - top, right - left, 3), np.uint8)

        def by_frame() -> None:
            for data, out in zip(self.stored["jpeg"], self.outputs["by frame"], strict=True):
                part = self.old.decode(data, source, scale)
                box = part.pixels[top - part.top : bottom - part.top, left - part.left : right - part.left]
                cv2.resize(box, (out.shape[1], out.shape[0]), dst=out)

        def one_call(name: str) -> None:
            self.decoder.decode_crops(self.stored[name], list(range(CLIP)), crop, self.outputs[name])

        return [by_frame, *(lambda name=name: one_call(name) for name in SIDES)]

    def check(self) -> None:
        """All sides but the last have written the same pixels."""
        for name in SIDES[:-1]:
            np.testing.assert_array_equal(self.outputs[name], self.outputs["by frame"])


def measure(work: Work, rounds: int) -> None:
    """Measure and print a line of the table."""
    turns, random, taken = Turns(work), np.random.default_rng(0), np.zeros((rounds, 1 + len(SIDES)))
    for round_ in range(-1, rounds):  # the first warms up
        runs = turns.make(random)
        for side in np.roll(range(len(runs)), round_).tolist():
            began = thread_time_ns()
            runs[side]()
            taken[round_, side] = (thread_time_ns() - began) / 1000 / CLIP
        turns.check()
    found = np.percentile(taken[:, :1] / taken[:, 1:], (25, 50, 75), axis=0).T.tolist()
    ratios = (f"{middle:.2f} ({low:.2f}-{high:.2f})" for low, middle, high in found)
    print(f"    {work.name:22}{np.median(taken[:, 0]):8.1f}   " + "   ".join(ratios))


def _main() -> None:
    parser = argparse.ArgumentParser(description="Resampling in one call for a clip, and frame by frame.")
    parser.add_argument("--rounds", type=int, default=60, help="clips for each line (%(default)s)")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"    of 640x360            by frame   {''.join(f'{name:19}' for name in SIDES)}")
    for work in WORKS:
        measure(work, args.rounds)


if __name__ == "__main__":
    _main()
