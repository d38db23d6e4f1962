"""What does resampling cost, beside decoding, and what does one call for a clip save?

    python benchmarks/resample.py

One process, bytes in memory, clips of 16 frames of film (`frames.py`; 640x360, quality 88, 4:2:0), a new
random map for each clip. One call: `Decoder.decode_crops` resamples each row as it is decoded. Frame by
frame: Python calls `Decoder.decode` and `cv2.resize` for each frame. Not resampled: one call that writes the
box as it is decoded. Restart: MCUs between restart markers, 0 for a plain JPEG.

Result::

    OpenCV 5.0.0; CPU time in us per frame, medians
    frames of 640x360       restart  not resampled  one call  frame by frame   by frame / one call
    area 0.25 to 1, to 112        2          320.1     324.7           362.4   1.12 (1.07-1.19)
    area 0.25 to 1, to 224        2          427.2     457.2           550.1   1.22 (1.16-1.32)
    315 square to 224             2          312.1     344.8           412.0   1.20 (1.17-1.24)
    whole to 224                  2          622.5     617.5           704.0   1.14 (1.13-1.16)
    area 0.25 to 1, to 112        0          352.9     365.7           395.8   1.08 (1.06-1.10)
    area 0.25 to 1, to 224        0          448.6     477.5           539.6   1.14 (1.12-1.17)
    315 square to 224             0          381.1     419.4           479.6   1.15 (1.13-1.16)
    whole to 224                  0          585.8     596.3           657.0   1.10 (1.09-1.11)

2 cores of a virtual machine whose host has other work.

How to read: the sides take turns of one clip each. Times are medians; a ratio is the median over clips, with
quartiles. Where the map shrinks by 2 or more, frames are decoded at a DCT scale, so little is left to
resample. What remains is decoding, most of it reading coefficients.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
from time import thread_time_ns
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from regions import Work as Frames
from regions import encoded

import fastclips as fc
from fastclips.engine.clip_crops import make_crop
from fastclips.pixels.decoding.decoder import Decoder
from fastclips.pixels.geometry.regions import find_source
from fastclips.pixels.recipe import compile_recipe
from fastclips.spec import StreamSpec

if TYPE_CHECKING:
    from fastclips._native import Crop
    from fastclips.pixels.geometry.regions import Source

WIDTH, HEIGHT, CLIP = 640, 360, 16
SIZE = HEIGHT, WIDTH
SQUARE = 315**2 / (WIDTH * HEIGHT)


class Work(NamedTuple):
    """A line of the table.

    Parameters
    ----------
    name : str
        Name of the line.
    transform : Transform
        The map.
    restart : int
        MCUs from one restart marker to the next; 0 for a plain JPEG.
    """

    name: str
    transform: Any
    restart: int


WORKS = [
    Work(name, transform, restart)
    for restart in (2, 0)
    for name, transform in (
        ("area 0.25 to 1, to 112", fc.RandomResizedCrop(112, area=(0.25, 1))),
        ("area 0.25 to 1, to 224", fc.RandomResizedCrop(224, area=(0.25, 1))),
        ("315 square to 224", fc.RandomResizedCrop(224, area=SQUARE, aspect=1)),
        ("whole to 224", fc.Resize(224)),
    )
]


class Sides:
    """The ways to a clip of a work, each with memory of its own."""

    def __init__(self, work: Work) -> None:
        self.files = encoded(Frames(0, WIDTH, HEIGHT, work.restart), CLIP)
        self.decoder = Decoder(StreamSpec("image"))
        side = work.transform.size[0]
        self.outputs = [np.empty((CLIP, side, side, 3), np.uint8) for _ in range(2)]
        self.rows = list(range(CLIP))

    def plain(self, crop: Crop, source: Source, scale: int) -> None:
        """Decode the box and write it as it is."""
        top, left, bottom, right = (edge // scale for edge in source)
        out = np.empty((CLIP, bottom - top, right - left, 3), np.uint8)
        out[:] = 0  # as touched as the others
        self.took = thread_time_ns()
        self.decoder.decode_crops(self.files, self.rows, crop, out)

    def one_call(self, crop: Crop) -> None:
        """Decode and resample in one call."""
        self.took = thread_time_ns()
        self.decoder.decode_crops(self.files, self.rows, crop, self.outputs[0])

    def frame_by_frame(self, source: Source, scale: int) -> None:
        """Decode and resample each frame."""
        self.took = thread_time_ns()
        top, left, bottom, right = (edge // scale for edge in source)
        for data, out in zip(self.files, self.outputs[1], strict=True):
            part = self.decoder.decode(data, source, scale)
            box = part.pixels[top - part.top : bottom - part.top, left - part.left : right - part.left]
            cv2.resize(box, (out.shape[1], out.shape[0]), dst=out)


def measure(work: Work, rounds: int) -> None:
    """Measure and print a line of the table."""
    sides, recipe = Sides(work), compile_recipe([work.transform], time_steps=CLIP, dct_scaling=True)
    random, taken = np.random.default_rng(0), np.zeros((rounds, 3))
    for round_ in range(-1, rounds):  # the first warms up
        geometry = recipe.geometry(*SIZE, random.random(recipe.draws).tolist(), 0)
        source, scale = find_source(geometry, *SIZE, "nearest"), geometry.scale
        crop = make_crop(geometry, SIZE, source, scale, "nearest", nearest=False, table=None)
        runs = [
            lambda crop=crop, of=(source, scale): sides.plain(crop, *of),
            lambda crop=crop: sides.one_call(crop),
            lambda of=(source, scale): sides.frame_by_frame(*of),
        ]
        for side in (0, 1, 2) if round_ % 2 else (2, 1, 0):
            runs[side]()
            taken[round_, side] = (thread_time_ns() - sides.took) / 1000 / CLIP
        np.testing.assert_array_equal(*sides.outputs)
    low, middle, high = np.percentile(taken[:, 2] / taken[:, 1], (25, 50, 75))
    plain, one, each = np.median(taken, axis=0)
    print(
        f"{work.name:24}{work.restart:7}{plain:15.1f}{one:10.1f}{each:16.1f}"
        f"   {middle:.2f} ({low:.2f}-{high:.2f})"
    )


def _main() -> None:
    parser = argparse.ArgumentParser(description="Resampling in one call for a clip, and frame by frame.")
    parser.add_argument("--rounds", type=int, default=60)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"OpenCV {cv2.__version__}; CPU time in us per frame, medians")
    print("frames of 640x360       restart  not resampled  one call  frame by frame   by frame / one call")
    for work in WORKS:
        measure(work, args.rounds)


if __name__ == "__main__":
    _main()
