"""What does a pack cost: bytes, time to make it, to open it, and to read it from a cold cache?

    python benchmarks/packing.py
    python benchmarks/packing.py --only growth speed

Four questions, each on frames of film (`frames.py`; quality 88, 4:2:0).

growth   bytes of frames after lossless transcoding, which optimises their Huffman tables, relative to
         before; and the CPU time to decode a random box alone (`Decoder.decode`), relative to the whole
         frame. The interval is in MCUs: a row has 22 for 340 pixels, 29 for 455, which only 1 and 29 divide,
         and 40 for 640
speed    frames packed per second of CPU time in one process: reading, transcoding, writing the tar
open     `fastclips.open` of a pack of 10,000,000 frames in a fresh process. The index is synthetic; its
         shards are sparse files of the right size
cold     milliseconds to read a clip of 16 frames after the page cache has dropped its file
         (``posix_fadvise(DONTNEED)``): from a folder, from a pack frame by frame, and from a pack in one call
         (`Storage.read_many`). The three take turns, with clips in random order. Then the same within a
         loader of two workers (crops of 112, shuffled): a worker's milliseconds of reading, and frames per
         second. "asked for ahead" is the normal loader, which tells the kernel of each batch when it is
         submitted

Result::

    growth:
    340x256, 18,721 bytes; boxes of 224x224
      interval none:  -3.1%, boxes 1.19 times as fast as whole frames
      interval    1:  +2.1%, boxes 1.55 times as fast as whole frames
      interval    2:  -0.5%, boxes 1.52 times as fast as whole frames
      interval    4:  -0.5%, boxes 1.51 times as fast as whole frames
      interval  row:  -2.9%, boxes 1.29 times as fast as whole frames
    340x256, 18,721 bytes; boxes of 112x112
      interval none:  -3.1%, boxes 1.85 times as fast as whole frames
      interval    1:  +2.1%, boxes 4.60 times as fast as whole frames
      interval    2:  -0.5%, boxes 4.57 times as fast as whole frames
      interval    4:  -0.5%, boxes 4.58 times as fast as whole frames
      interval  row:  -2.9%, boxes 2.68 times as fast as whole frames
    455x256, 24,425 bytes; boxes of 224x224
      interval none:  -2.6%, boxes 1.34 times as fast as whole frames
      interval    1:  +2.6%, boxes 1.93 times as fast as whole frames
      interval    2:  +2.6%, boxes 1.95 times as fast as whole frames
      interval    4:  +2.6%, boxes 1.94 times as fast as whole frames
      interval  row:  -2.5%, boxes 1.36 times as fast as whole frames
    640x360, 46,142 bytes; boxes of 224x224
      interval none:  -2.2%, boxes 1.77 times as fast as whole frames
      interval    1:  +3.4%, boxes 3.56 times as fast as whole frames
      interval    2:  +0.6%, boxes 3.50 times as fast as whole frames
      interval    4:  -0.8%, boxes 3.34 times as fast as whole frames
      interval  row:  -2.1%, boxes 2.17 times as fast as whole frames
    speed:
    340x256: 1,332 frames per second of CPU time
    640x360: 598 frames per second of CPU time
    open:
    10,000,200 frames, index of 80 MiB, 8.4 bytes a frame
    opens in 0.027 s, 0.1 MB of private memory
    cold:
    a clip of 16 frames, dilation 1: folder 1.40 ms, pack, frame by frame 0.88 ms, pack, in one go 0.40 ms
    a clip of 16 frames, dilation 4: folder 1.43 ms, pack, frame by frame 1.63 ms, pack, in one go 0.63 ms
    in a loader, folder: 1.43 ms a clip, 9,661 frames/s
    in a loader, pack, not asked for ahead: 0.41 ms a clip, 24,419 frames/s
    in a loader, pack, asked for ahead: 0.12 ms a clip, 29,584 frames/s

So 2 is the default: boxes decode as fast as with 1, for 3% fewer bytes.

2 cores, shared with other work; a virtual disk. Measured on 2026-11-21. Then, frames were decoded with
``fast_dct=True``, packing wrote no headers, and indexes were mapped; now they are copied into shared memory.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg
from frames import film, write_frames

import fastclips as fc
from fastclips._native import transcode
from fastclips.data.columns import Columns
from fastclips.data.index import Index
from fastclips.data.labels import Labels
from fastclips.data.names import FileNames, Names
from fastclips.data.pack_columns import pack_columns
from fastclips.data.pack_storage import BLOCK, INDEX, stream_meta
from fastclips.engine.clip_spec import ClipSpec
from fastclips.pixels.decoding.decoder import Decoder
from fastclips.spec import StreamSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROW = 2**16  # MCUs, more than any row has
LENGTH = 16  # frames of a clip


def growth() -> None:
    """Print the growth of bytes and the speed of decoding boxes."""
    for width, height, crop in ((340, 256, 224), (340, 256, 112), (455, 256, 224), (640, 360, 224)):
        frames = [
            simplejpeg.encode_jpeg(picture, 88, "RGB", "420")
            for seed in range(6)
            for picture in film(height, width, 8, np.random.default_rng(seed))
        ]
        before = sum(map(len, frames))
        print(f"{width}x{height}, {before / len(frames):,.0f} bytes; boxes of {crop}x{crop}")
        for restart in (0, 1, 2, 4, ROW):
            made = [transcode(data, restart) for data in frames]
            faster = box_speed(made, height, width, crop)
            name = {0: "none", ROW: "row"}.get(restart, str(restart))
            grown = sum(map(len, made)) / before - 1
            print(f"  interval {name:>4}: {grown:+6.1%}, boxes {faster:.2f} times as fast as whole frames")


def box_speed(frames: list[bytes], height: int, width: int, crop: int) -> float:
    """Return the CPU time of whole frames over that of boxes, as a median over rounds."""
    whole, part = Decoder(StreamSpec("image")), Decoder(StreamSpec("image"))
    draws = random.Random(0)
    ratios = []
    for number in range(12):
        boxes = []
        for _ in frames:
            top, left = draws.randrange(height - crop + 1), draws.randrange(width - crop + 1)
            boxes.append((top, left, top + crop, left + crop))
        sides: list[Callable[[], object]] = [
            lambda: [whole.decode(data) for data in frames],
            lambda boxes=boxes: [part.decode(data, box) for data, box in zip(frames, boxes, strict=True)],
        ]
        took = [0.0, 0.0]
        for side in (0, 1) if number % 2 else (1, 0):
            began = time.process_time()
            sides[side]()
            took[side] = time.process_time() - began
        ratios.append(took[0] / took[1])
    return statistics.median(ratios)


def speed(top: Path) -> None:
    """Print the speed of packing."""
    for size in ((340, 256), (640, 360)):
        source = top / f"{size[0]}"
        write_frames(source, width=size[0], height=size[1], videos=12, frames=64)
        dataset = fc.open(source)
        rates = []
        for number in range(5):
            began = time.process_time()
            done = fc.pack(dataset, top / f"pack{size[0]}-{number}", workers=0)
            rates.append(done.frames / (time.process_time() - began))
        print(f"{size[0]}x{size[1]}: {statistics.median(rates[1:]):,.0f} frames per second of CPU time")
        print("  " + str(done).replace("\n", "\n  ").replace(f"{top}/", ""))


OPEN = """
import sys, time
from pathlib import Path
import fastclips as fc

def private():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) / 1024

before, began = private(), time.perf_counter()
dataset = fc.open(sys.argv[1])
took = time.perf_counter() - began
print(f"opens in {took:.3f} s, {private() - before:.1f} MB of private memory: {dataset!r}")
"""


def opening(top: Path, videos: int = 33_334, frames: int = 300) -> None:
    """Print the time and the memory to open a large pack."""
    folder = top / "large"
    folder.mkdir()
    draws = np.random.default_rng(0)
    lengths = draws.integers(12_000, 26_000, videos * frames)
    blocks = 1 + -(-lengths // BLOCK)
    starts = (np.cumsum(blocks) - blocks + 1) * BLOCK
    end = int(starts[-1] + blocks[-1] * BLOCK)
    per_shard = -(-videos // -(-end // 2**30))
    edges = [0, *starts[:: per_shard * frames].tolist()[1:], end]
    shards = {f"{number:05d}.tar": high - low for number, (low, high) in enumerate(pairwise(edges))}
    for name, size in shards.items():
        (folder / name).touch()
        os.truncate(folder / name, size)
    names = [f"class_{video % 400:03d}/video_{video:07d}_000010" for video in range(videos)]
    files = {"image": dict.fromkeys(names, FileNames(frames, "%06d.image.jpg"))}
    columns, meta = pack_columns(files, {"image": (starts, lengths)}, shards)
    keys = np.arange(videos)
    labels = Labels.of_classes(keys % 400, 400)
    counts = np.full(videos, frames)
    index = Index(Names.of(names), keys, np.zeros_like(keys), counts, labels, tuple(map(str, range(400))))
    arrays, more = index.columns()
    Columns.pack({**columns, **arrays}, {**meta, **more, "streams": stream_meta([StreamSpec("image")])}).save(
        folder / INDEX
    )
    size = (folder / INDEX).stat().st_size
    per_frame = size / videos / frames
    print(f"{videos * frames:,} frames, index of {size / 2**20:.0f} MiB, {per_frame:.1f} bytes a frame")
    for _ in range(3):
        subprocess.run([sys.executable, "-c", OPEN, str(folder)], check=True)


def drop(paths: Iterable[Path]) -> None:
    """Have the page cache drop files."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def cold(top: Path) -> None:
    """Print the time to read clips that are not in the page cache."""
    write_frames(top / "cold", videos=96, frames=64)
    folder = fc.open(top / "cold")
    fc.pack(folder, top / "packed", workers=2, shard_size="32MiB")
    pack = fc.open(top / "packed")
    os.sync()
    files, shards = list((top / "cold").rglob("*.jpg")), list((top / "packed").glob("*.tar"))
    sides: dict[str, tuple[list[Path], Callable[[int, range], object]]] = {
        "folder": (files, lambda video, frames: folder.storage.read_many("image", video, frames)),
        "pack, frame by frame": (
            shards,
            lambda v, frames: [pack.storage.read("image", v, f) for f in frames],
        ),
        "pack, in one go": (shards, lambda video, frames: pack.storage.read_many("image", video, frames)),
    }
    for dilation in (1, 4):
        span = dilation * (LENGTH - 1) + 1
        took: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(5):
            draws = random.Random(number)
            clips = [(video, draws.randrange(64 - span + 1)) for video in range(96)]
            draws.shuffle(clips)
            for name, (paths, read) in sides.items():
                drop(paths)
                began = time.perf_counter()
                for video, first in clips:
                    read(video, range(first, first + span, dilation))
                took[name].append((time.perf_counter() - began) / len(clips))
        figures = ", ".join(f"{name} {1e3 * statistics.median(times):.2f} ms" for name, times in took.items())
        print(f"a clip of {LENGTH} frames, dilation {dilation}: {figures}")

    in_loaders(folder, pack, files, shards)


def in_loaders(folder: fc.Dataset, pack: fc.Dataset, files: list[Path], shards: list[Path]) -> None:
    """Print the time to read clips in a loader's workers."""

    def keep_quiet(_spec: ClipSpec, _tickets: object) -> None:
        pass

    sides = {
        "folder": (folder, files, ClipSpec.advise),
        "pack, not asked for ahead": (pack, shards, keep_quiet),
        "pack, asked for ahead": (pack, shards, ClipSpec.advise),
    }
    loaders, figures = {}, {}
    asked = ClipSpec.advise
    for name, (data, _, advise) in sides.items():
        ClipSpec.advise = advise  # type: ignore[method-assign] # for one side of a comparison
        loaders[name] = fc.ClipLoader(
            data,
            fc.Windows(LENGTH, step=8),
            [fc.RandomCrop(112)],
            batch_size=8,
            shuffle=True,
            workers=2,
            cache=0,
        )
        next(loaders[name].epoch(1))
        figures[name] = []
    ClipSpec.advise = asked  # type: ignore[method-assign] # as above
    for _ in range(7):
        for name, (_, paths, _) in sides.items():
            loader = loaders[name]
            drop(paths)
            before, began, clips = loader.stats(), time.perf_counter(), 0
            for x, _ in loader.epoch(0):
                clips += len(x)
            took, after = time.perf_counter() - began, loader.stats()
            figures[name].append((1e3 * (after.read_s - before.read_s) / clips, clips * LENGTH / took))
    for name, found in figures.items():
        read, rate = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"in a loader, {name}: {read:.2f} ms a clip, {rate:,.0f} frames/s")
        loaders[name].close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    questions = ("growth", "speed", "open", "cold")
    parser.add_argument("--only", nargs="+", choices=questions, default=questions)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        for question in args.only:
            print(f"{question}:")
            {
                "growth": growth,
                "speed": lambda: speed(top),
                "open": lambda: opening(top),
                "cold": lambda: cold(top),
            }[question]()


if __name__ == "__main__":
    main()
