"""How much does the engine save by decoding only what a crop needs, and how close is it to bare decoding?

    python benchmarks/rungs.py
    python benchmarks/rungs.py --only "112 of 340x256, pack" --seconds 20

Two loaders over the same clips take turns, with 2 workers each: the normal loader, and a loader whose
renderer decodes every frame whole with simplejpeg, without DCT scaling, and is otherwise the same. Frames
are film (`frames.py`; quality 88, 4:2:0); packs are made of them by `fastclips pack`. Clips of 16 frames,
batches of 8, shuffled, a random flip for each; uint8. The third side is a bare loop in each of 2 processes:
it reads the frames of random clips in one call each, cuts random boxes of the same size by the same native
call, and writes them to rows of memory as large as the loader's slots, and of the same kind. It has no plan
and no consumer.

Result. Only the lines with `dct` are of the present code. The others are of November 21: with the fast
inverse DCT, a bare loop that read no file and dropped what it decoded, and masks that Pillow decoded::

                                    over whole  by CPU  frames/s  CPU ms        efficiency  by CPU
    112 of 340x256, dct       1.98 (1.90-2.01)    1.96    61,730   0.033  0.88 (0.87-0.90)    0.87
        over JPEGs            1.60 (1.58-1.62)    1.61
    224 of 340x256, dct       2.28 (2.27-2.30)    2.29    23,094   0.086  0.93 (0.92-0.95)    0.93
        over JPEGs            1.87 (1.86-1.90)    1.88
    224 of 640x360, dct       1.82 (1.80-1.85)    1.82    18,722   0.106  0.84 (0.83-0.85)    0.83
        over JPEGs            1.46 (1.45-1.48)    1.46
    0.25..1 to 112, dct       2.25 (2.21-2.35)    2.26    14,807   0.135
        over JPEGs            1.98 (1.96-2.04)    2.00
    315 to 224, dct           1.77 (1.74-1.79)    1.77     9,278   0.215
        over JPEGs            1.54 (1.51-1.58)    1.52
    112 of 340x256, pack      5.15 (4.92-5.20)    5.04    37,873   0.054  0.84 (0.80-0.86)    0.83
    224 of 640x360, pack      4.41 (4.22-4.50)    4.32    13,244   0.151  0.88 (0.85-0.90)    0.87
    224 of 340x256, pack      1.90 (1.84-1.94)    1.89    13,852   0.144  0.92 (0.90-0.94)    0.91
    112 of 340x256, folder    2.46 (2.41-2.51)    2.48    18,684   0.107  0.89 (0.87-0.92)    0.89
    224 of 640x360, folder    2.40 (2.36-2.45)    2.40     7,515   0.266  0.94 (0.92-0.95)    0.92
    0.25..1 to 112, pack      2.56 (2.51-2.62)    2.52     7,448   0.269
    0.25..1 to 112, folder    2.06 (1.90-2.62)    2.07
    315 to 224, pack          2.40 (2.31-2.49)    2.30
    315 to 224, folder        1.57 (1.52-1.61)    1.82
    pairs, 224 of 640x360     1.90 (1.87-1.94)    1.93     3,558   0.553
        the mask takes 73% of a pair's CPU time

2 cores of a virtual machine whose host has other work.

How to read: for dct frames, which others cannot read, the first columns compare with a pack of JPEGs whose
pixels libjpeg-turbo makes, and `over JPEGs` with the same loader's pack of JPEGs. Ratios are medians over
rounds, with quartiles. `over whole` compares frames per second; `by CPU` compares the CPU time per frame of
all processes. The efficiency is frames per second over those of the bare loop; it is left out where frames
are resampled. For pairs, the last line is the mask's share of a pair's CPU time, measured with a third loader
of the images alone: a PNG is always decoded whole. Three lines were measured while the machine was busy, so
they have no rates.

The rest to an efficiency of 1 is planning, handing over, and Python for each clip.
"""  # noqa: D400 - a question

# ruff: noqa: ANN401 - options and data pass through

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any, ClassVar
from unittest import mock

import cv2
import numpy as np
from frames import write_frames
from PIL import Image

import fastclips as fc
from fastclips._native import Crop
from fastclips.commands.turns import TURN_S, Engine, Turn
from fastclips.data.storage import SentStorage, opened
from fastclips.engine.clip_spec import ClipSpec
from fastclips.engine.renderer import Renderer
from fastclips.pixels.decoding.decoder import Decoded, Decoder, Rung, frame_size
from fastclips.processes import AnsweringProcess, answer
from fastclips.spec import StreamSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fastclips.data.dataset import Dataset

WORKERS, TIME_STEPS, BATCH = 2, 16, 8
FRAMES = 64  # of each video
SLOTS, CLIPS = 6, 512  # of a bare loop: batches of memory; clips before they are the same again
SQUARE = 315**2 / (640 * 360)  # a box of 315 x 315 pixels


@dataclass(frozen=True)
class Work:
    """A line of the table.

    Parameters
    ----------
    name : str
        Name of the line.
    size : tuple of int
        Width and height of the frames.
    transform : Transform
        Transform of the clips, before the flip.
    stored : {"folder", "pack", "dct"}
        Whether the frames are in a folder, a pack of JPEGs or a pack of dct frames. The latter is compared
        with packs of JPEGs: the same loader's, and one whose pixels libjpeg-turbo makes.
    crop : int, optional
        Side of the crop, if the line is compared with the bare loop.
    masks : bool, optional
        Whether each frame has a mask.
    """

    name: str
    size: tuple[int, int]
    transform: Any
    stored: str
    crop: int | None = None
    masks: bool = False


WORKS = (
    Work("112 of 340x256, dct", (340, 256), fc.RandomCrop(112), stored="dct", crop=112),
    Work("224 of 340x256, dct", (340, 256), fc.RandomCrop(224), stored="dct", crop=224),
    Work("224 of 640x360, dct", (640, 360), fc.RandomCrop(224), stored="dct", crop=224),
    Work("0.25..1 to 112, dct", (640, 360), fc.RandomResizedCrop(112, area=(0.25, 1)), stored="dct"),
    Work("315 to 224, dct", (640, 360), fc.RandomResizedCrop(224, area=SQUARE, aspect=1), stored="dct"),
    Work("112 of 340x256, pack", (340, 256), fc.RandomCrop(112), stored="pack", crop=112),
    Work("224 of 640x360, pack", (640, 360), fc.RandomCrop(224), stored="pack", crop=224),
    Work("224 of 340x256, pack", (340, 256), fc.RandomCrop(224), stored="pack", crop=224),
    Work("112 of 340x256, folder", (340, 256), fc.RandomCrop(112), stored="folder", crop=112),
    Work("224 of 640x360, folder", (640, 360), fc.RandomCrop(224), stored="folder", crop=224),
    Work("0.25..1 to 112, pack", (640, 360), fc.RandomResizedCrop(112, area=(0.25, 1)), stored="pack"),
    Work("0.25..1 to 112, folder", (640, 360), fc.RandomResizedCrop(112, area=(0.25, 1)), stored="folder"),
    Work("315 to 224, pack", (640, 360), fc.RandomResizedCrop(224, area=SQUARE, aspect=1), stored="pack"),
    Work("315 to 224, folder", (640, 360), fc.RandomResizedCrop(224, area=SQUARE, aspect=1), stored="folder"),
    Work("pairs, 224 of 640x360", (640, 360), fc.RandomCrop(224), stored="pack", masks=True),
)


class WholeDecoder(Decoder):
    """Decodes every frame whole, at its full size, by libjpeg-turbo alone, as other loaders do."""

    def decode(self, data: Any, box: Any = None, scale: int = 1) -> Decoded:  # noqa: ARG002 - not used
        """Decode a whole frame with simplejpeg."""
        return self._whole(data, 1)

    def decode_crops(self, files: Sequence[Any], *_: Any, **__: Any) -> bytes:
        """Leave all frames to `decode`."""
        return bytes([Rung.PILLOW] * len(files))


class WholeRenderer(Renderer):
    """The engine's renderer with a decoder that decodes every frame whole."""

    def __init__(self, spec: ClipSpec, **options: Any) -> None:
        with mock.patch("fastclips.engine.renderer.Decoder", WholeDecoder):
            super().__init__(spec, **options)


@dataclass(frozen=True)
class WholeSpec(ClipSpec):
    """A spec that names the renderer above."""

    renderer: ClassVar[str] = "rungs:WholeRenderer"


class BareLoops:
    """Processes that read and decode clips for as long as they are told to."""

    def __init__(self, dataset: Dataset, crop: int) -> None:
        value = SentStorage.of(dataset.storage), dataset.index.frame_counts, crop
        self._processes = [AnsweringProcess("rungs:serve", (number, *value)) for number in range(WORKERS)]
        self.turn()  # not counted: its answers say that all processes are ready

    def turn(self) -> Turn:
        """Decode for a turn; the rate is that of all processes together."""
        for process in self._processes:
            process.send(TURN_S)
        answers = [process.take() for process in self._processes]
        frames, _, cpu = map(sum, zip(*answers, strict=True))
        return Turn(sum(frames / wall for frames, wall, _ in answers), 1e3 * cpu / frames, TURN_S)

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.stop()


class BareLoop:
    """Reads clips of a storage, and decodes boxes of them."""

    def __init__(self, number: int, sent: SentStorage, frame_counts: Any, crop: int) -> None:
        self._storage, random = opened(sent.unpickled()), np.random.default_rng(number)
        stream = StreamSpec("image")
        self._decoder = Decoder(stream)
        self._output = like_a_ring((SLOTS * BATCH, TIME_STEPS, crop, crop, 3))
        height, width = frame_size(self._storage.read("image", 0, 0))
        self._clips = []
        for _ in range(CLIPS):
            video = int(random.integers(len(frame_counts)))
            first = int(random.integers(frame_counts[video] - TIME_STEPS + 1))
            top, left = map(int, random.integers(0, (height - crop + 1, width - crop + 1)))
            box = top, left, top + crop, left + crop
            what = Crop((height, width), box, mirrored=random.random() < 0.5, bypass_cache=True)
            self._clips.append((video, list(range(first, first + TIME_STEPS)), what))
        self._rows, self._number = list(range(TIME_STEPS)), 0

    def decode(self, seconds: float) -> tuple[int, float, float]:
        """Decode clips for some seconds; return frames, wall time and CPU time in s."""
        number, began, cpu = self._number, perf_counter(), process_time()
        while (now := perf_counter()) - began < seconds:
            video, frames, crop = self._clips[number % len(self._clips)]
            files = self._storage.read_many("image", video, frames)
            row = self._output[number % len(self._output)]
            marks = self._decoder.decode_crops(files, self._rows, crop, row)  # type: ignore[arg-type]
            assert max(marks) <= Rung.WHOLE
            number += 1
        clips, self._number = number - self._number, number
        return clips * TIME_STEPS, now - began, process_time() - cpu


def like_a_ring(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return memory of the kind that batches have, but of this process alone: a memfd, touched."""
    size = int(np.prod(shape))
    file = os.memfd_create("rungs")
    os.ftruncate(file, size)
    memory = np.frombuffer(mmap(file, size), np.uint8).reshape(shape)
    os.close(file)
    memory[...] = 1
    return memory


def serve(load: Callable[[], Any], answers: int) -> None:
    """Be a process of the bare loops, until the other end of its pipes is closed."""
    answer(BareLoop(*load()).decode, answers)


def open_data(work: Work, top: Path, videos: int, stored: str) -> Dataset:
    """Write the data of a line, unless another line has, and open it."""
    width, height = work.size
    folder, masks = top / f"{width}x{height}", top / f"masks{width}x{height}"
    pack = folder.with_name(f"{folder.name}-{'pairs' if work.masks else stored}")
    if not folder.exists():
        write_frames(folder, height=height, width=width, videos=videos, frames=FRAMES)
    if work.masks and not masks.exists():
        write_masks(folder, masks)
    dataset = fc.open({"image": folder, "mask": masks} if work.masks else folder)
    if stored == "folder":
        return dataset
    if not pack.exists():
        fc.pack(dataset, pack, codec="dct" if stored == "dct" else "jpeg")
    return fc.open(pack)


def write_masks(frames: Path, masks: Path) -> None:
    """Write a PNG of indices for each frame: its blurred brightness in 4 levels, so that outlines move."""
    for path in frames.rglob("*.jpg"):
        gray = np.asarray(Image.open(path).convert("L"))
        levels = cv2.GaussianBlur(gray, (0, 0), 4) // 64
        target = (masks / path.relative_to(frames)).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(levels, "P")
        image.putpalette([value for level in range(4) for value in (60 * level, 80, 200 - 50 * level)])
        image.save(target)


def make_loader(dataset: Dataset, work: Work, *, whole: bool = False, **options: Any) -> fc.ClipLoader:
    """Start a loader; `whole`: it decodes whole frames."""
    with mock.patch("fastclips.loader.ClipSpec", WholeSpec if whole else ClipSpec):
        return fc.ClipLoader(
            dataset,
            fc.Windows(TIME_STEPS, step=8),
            [work.transform, fc.RandomFlip()],
            batch_size=BATCH,
            shuffle=True,
            repeat=True,
            workers=WORKERS,
            cache=0,
            dct_scaling=not whole,
            **options,
        )


def start_sides(work: Work, top: Path, videos: int, stack: ExitStack) -> dict[str, Callable[[], Turn]]:
    """Start the sides of a line, which the stack ends; each is a function that runs a turn."""

    def engine(stored: str = work.stored, **options: Any) -> Callable[[], Turn]:
        loader = make_loader(open_data(work, top, videos, stored), work, **options)
        made = Engine(stack.enter_context(loader), TIME_STEPS)
        made.take()
        made.turn()  # touches slots for the first time
        return made.turn

    targets = {"targets": "mask"} if work.masks else {}
    sides = {"parts": engine(**targets)}
    if work.stored == "dct":  # which other decoders do not read
        sides["jpeg"] = engine("pack")
        with mock.patch.dict(os.environ, FASTCLIPS_CPU_DISABLE="FUSED"):  # the workers start in here
            sides["libjpeg"] = engine("pack")
    else:
        sides["whole"] = engine(whole=True, **targets)
    if work.masks:
        sides["images"] = engine()
    if work.crop:
        bare = stack.enter_context(closing(BareLoops(open_data(work, top, videos, work.stored), work.crop)))
        sides["bare"] = bare.turn
    return sides


def measure(work: Work, top: Path, videos: int, seconds: float) -> None:
    """Measure and print a line of the table."""
    with ExitStack() as stack:
        sides = start_sides(work, top, videos, stack)
        rounds: list[dict[str, Turn]] = []
        began = perf_counter()
        while perf_counter() - began < seconds or len(rounds) < 2:
            order = list(sides) if len(rounds) % 2 else list(reversed(sides))
            rounds.append({name: sides[name]() for name in order})

    def ratio(figure: Callable[[dict[str, Turn]], float]) -> str:
        low, middle, high = np.quantile([figure(turns) for turns in rounds], (0.25, 0.5, 0.75))
        return f"{middle:.2f} ({low:.2f}-{high:.2f})"

    def times(side: str) -> str:
        rates = ratio(lambda turns: turns["parts"].frames_per_s / turns[side].frames_per_s)
        return f"{rates:>18}{median(turns[side].cpu_ms / turns['parts'].cpu_ms for turns in rounds):8.2f}"

    over = times("libjpeg" if work.stored == "dct" else "whole")
    rate = median(turns["parts"].frames_per_s for turns in rounds)
    cpu = median(turns["parts"].cpu_ms for turns in rounds)
    line = f"{work.name:24}{over}{rate:10,.0f}{cpu:8.3f}"
    if work.crop:
        line += times("bare")
    print(line)
    if work.stored == "dct":
        print(f"    over JPEGs          {times('jpeg')}")
    if work.masks:
        share = median(1 - turns["images"].cpu_ms / turns["parts"].cpu_ms for turns in rounds)
        print(f"    the mask takes {share:.0%} of a pair's CPU time")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description="The engine, compared with an engine that decodes whole frames."
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="time of each line (%(default)s)")
    parser.add_argument("--videos", type=int, default=16, help=f"videos of {FRAMES} frames (%(default)s)")
    parser.add_argument("--only", nargs="*", help="names of lines")
    parser.add_argument("--folder", type=Path, help="folder that keeps frames and packs between runs")
    args = parser.parse_args()
    print(
        f"{'':24}{'over whole':>18}{'by CPU':>8}{'frames/s':>10}{'CPU ms':>8}{'efficiency':>18}{'by CPU':>8}"
    )
    with tempfile.TemporaryDirectory() as made:
        for work in WORKS:
            if not args.only or work.name in args.only:
                measure(work, args.folder or Path(made), args.videos, args.seconds)


if __name__ == "__main__":
    # The nursery and its workers import this module by its name, so the spec must be of that module here too.
    from rungs import main

    main()
