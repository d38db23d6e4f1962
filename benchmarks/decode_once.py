"""What does it save to decode each frame once, where several clips show it?

    python benchmarks/decode_once.py

A loader is measured over the same loader with ``cache=0``, in turns: CPU time of the workers for each clip,
so that other work on the machine matters little. Frames are 340x256 JPEGs, as folders and as a pack; clips
have 16 frames, cropped to 224x224; 2 workers. The last line compares decodes alone.

Result::

                                      faster              ms/clip  cached decodes
    folder, step 4                      2.60  (2.32-2.60)    3.98    1.55   0.253
    pack, step 4                        1.96  (1.86-2.24)    3.48    1.74   0.250
    folder, step 1                      4.37  (3.92-5.38)    4.01    0.92   0.066
    pack, step 1                        4.45  (3.37-4.59)    3.46    0.78   0.065
    folder, fits, third epoch           7.43  (6.90-8.94)    3.86    0.50   0.000
    pack, fits, third epoch             6.19  (5.96-8.28)    3.84    0.56   0.000
    image and mask 640x360, step 4      2.37  (2.37-2.45)   21.51    8.83   0.251
    folder, step 4, lanes               2.35  (2.23-2.52)    4.03    1.69   0.239
    pack, step 4, lanes                 1.96  (1.94-2.06)    3.40    1.75   0.240
    folder, step 1, lanes               5.04  (one round)    3.81    0.76   0.060
    pack, step 1, lanes                 4.82  (one round)    3.30    0.69   0.060
    videos, step 4                      2.94  (2.94-2.94)   16.26    5.53   0.346
    videos, fits, third epoch          34.88  (33.54-36.21)   16.21    0.47   0.000
    folder, no overlap                  1.03  (0.94-1.09)    4.00    3.89   0.918
    global shuffle, step 4, room for a quarter: 13824 frames shown, 3600 distinct; least recently used
    0.821 decodes per frame, planned 0.574, measured 0.578

    several draws of a clip     frames/s               times    CPU ms per frame          times less
    folder                4,294 -> 11,557    2.79 (2.65-2.93)      0.248 -> 0.091    2.71 (2.63-2.76)
    pack                  7,335 -> 15,193    2.47 (2.42-2.51)      0.207 -> 0.083    2.51 (2.50-2.55)

The last lines compare ``draws_per_clip=4`` with equally many rows of clips of their own, in turns; "times" is
the median ratio of a round, with quartiles, and CPU is that of all processes.

2 cores of a virtual machine whose host has other work; medians of 3 rounds, and their spread. Measured on
2026-11-28; decoding is faster since, so there is less of it to save.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import OrderedDict
from pathlib import Path
from statistics import median

import av
import cv2
import numpy as np

import fastclips as fc
from fastclips.commands.turns import Engine, Turn
from fastclips.testing import write_frames

TIME_STEPS, BATCH, DRAWS = 16, 8, 4
TICK = os.sysconf("SC_CLK_TCK")
CROP = [fc.RandomCrop(224), fc.RandomFlip()]


def cpu_s(loader: fc.ClipLoader) -> float:
    """Return the CPU time of the workers so far."""
    spent = 0
    for pid in loader.pids[1:]:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(") ")[2].split()
        spent += int(fields[11]) + int(fields[12])
    return spent / TICK


def run(data: fc.Dataset, sampler: object, skip: int = 0, **options: object) -> tuple[float, float]:
    """Serve an epoch after others that are skipped; return CPU seconds of a clip, and decodes per frame."""
    options = {"batch_size": 8, "workers": 2, "transforms": CROP, **options}
    with fc.ClipLoader(data, sampler, **options) as loader:
        for epoch in range(skip):
            for _ in loader.epoch(epoch):
                pass
        batches = loader.epoch(skip)
        while any(state == "is starting" for state in loader.stats().worker_states) or len(loader.pids) < 3:
            time.sleep(0.01)
        before, began = cpu_s(loader), loader.stats()
        for _ in batches:
            pass
        ended = loader.stats()
        decoded, held = (
            getattr(ended, name) - getattr(began, name) for name in ("decoded_frames", "cache_hits")
        )
        return (cpu_s(loader) - before) / (ended.clips - began.clips), decoded / (decoded + held)


def compare(name: str, rounds: int, data: fc.Dataset, sampler: object, **options: object) -> None:
    """Print how much faster a loader is with a cache than without."""
    with_cache, without = [], []
    cache = options.pop("cache", "auto")
    for _ in range(rounds):
        one, decodes = run(data, sampler, cache=cache, **options)
        with_cache.append(one)
        other, _ = run(data, sampler, cache=0, **options)
        without.append(other)
    ratios = sorted(b / a for a, b in zip(with_cache, without, strict=True))
    print(
        f"{name:<34}{median(ratios):6.2f}  ({ratios[0]:.2f}-{ratios[-1]:.2f}){1e3 * median(without):8.2f}"
        f"{1e3 * median(with_cache):8.2f}{decodes:8.3f}",
        flush=True,
    )


def write_masks(folder: Path, frames: Path) -> None:
    """Write a PNG mask for each frame."""
    rng = np.random.default_rng(0)
    for path in sorted(frames.rglob("*.jpg")):
        height, width = cv2.imread(str(path)).shape[:2]
        coarse = rng.integers(0, 20, (height // 40, width // 40), np.uint8)
        mask = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
        target = folder / path.relative_to(frames).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(target), mask)


def write_videos(folder: Path, frames: Path) -> Path:
    """Write each folder of frames as a video, H.264 with a key frame in every 12 frames."""
    for path in sorted({path.parent for path in frames.rglob("*.jpg")}):
        target = folder / path.relative_to(frames).with_suffix(".mp4")
        target.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(target), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"crf": "20"})
            stream.height, stream.width = 256, 340
            stream.pix_fmt, stream.codec_context.gop_size = "yuv420p", 12
            for name in sorted(path.glob("*.jpg")):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(cv2.imread(str(name)), "bgr24")))
            container.mux(stream.encode())
    return folder


def link_copies(frames: Path, folder: Path, copies: int) -> Path:
    """Make a folder with several times as many videos, of the same files."""
    for path in frames.rglob("*.jpg"):
        video, name = path.parent, path.name
        for copy in range(copies):
            target = folder / video.parent.name / f"{video.name}_{copy}"
            target.mkdir(parents=True, exist_ok=True)
            (target / name).hardlink_to(path)
    return folder


def count_lru(frames: np.ndarray, slots: int) -> int:
    """Return the decodes of a cache that gives up the frame that was used least recently."""
    kept: OrderedDict[int, None] = OrderedDict()
    decodes = 0
    for clip in frames.tolist():
        for frame in clip:
            if frame in kept:
                kept.move_to_end(frame)
                continue
            decodes += 1
            kept[frame] = None
            if len(kept) > slots:
                kept.popitem(last=False)
    return decodes


def compare_with_lru(data: fc.Dataset) -> None:
    """Print the decodes of a global shuffle with room for a quarter of the frames."""
    frames = int(data.index.frame_counts.sum())
    slots = frames // 4
    nbytes = slots * 2**18
    sampler = fc.Windows(16, step=4)
    options = {"shuffle": True, "transforms": CROP, "batch_size": 8, "workers": 2}
    with fc.ClipLoader(data, sampler, cache=nbytes, memory=nbytes + 2**29, **options) as loader:
        table = loader.plan_table(0)
        starts = np.cumsum([0, *data.index.frame_counts[:-1]])
        shown = table["frames"] + starts[table["video"]][:, None]
        for _ in loader.epoch(0):
            pass
        stats = loader.stats()
        uses, planned = loader._frame_plan.counts["uses"], loader._frame_plan.counts["hits"]  # noqa: SLF001
    print(
        f"global shuffle, step 4, room for a quarter: {shown.size} frames shown, {frames} distinct; least "
        f"recently used {count_lru(shown, slots) / shown.size:.3f} decodes per frame, "
        f"planned {1 - planned / uses:.3f}, measured {stats.decodes_per_frame:.3f}"
    )


def rounds_of(loaders: dict[str, fc.ClipLoader], rounds: int) -> list[dict[str, Turn]]:
    """Let loaders take turns, in alternating order; return the turns of each round."""
    engines = {name: Engine(loader, TIME_STEPS) for name, loader in loaders.items()}
    found = []
    for number in range(rounds + 1):
        order = list(engines)[:: 1 if number % 2 else -1]
        found.append({name: engines[name].turn() for name in order})
    return found[1:]


def spread(values: list[float]) -> str:
    """Return the median and the quartiles of ratios as text."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def draws_per_clip(sources: dict[str, fc.Dataset], workers: int, rounds: int) -> None:
    """Print what several draws of a clip cost beside clips of their own."""
    print(f"    {'':<18}{'frames/s':>18}{'times':>20}{'CPU ms per frame':>20}{'times less':>20}")
    for name, data in sources.items():
        options = {
            "batch_size": BATCH,
            "shuffle": True,
            "repeat": True,
            "rank": 0,
            "workers": workers,
            "cache": 0,
        }
        transforms = [fc.RandomCrop(224), fc.RandomFlip()]
        with (
            fc.ClipLoader(data, fc.RandomWindow(TIME_STEPS), transforms, **options) as single,
            fc.ClipLoader(
                data, fc.RandomWindow(TIME_STEPS), transforms, draws_per_clip=DRAWS, **options
            ) as several,
        ):
            turns = rounds_of({"single": single, "several": several}, rounds)
        rates, cpu = (
            {side: [getattr(turn[side], figure) for turn in turns] for side in ("single", "several")}
            for figure in ("frames_per_s", "cpu_ms")
        )
        rate = " -> ".join(f"{np.median(rates[side]):,.0f}" for side in rates)
        ms = " -> ".join(f"{np.median(cpu[side]):.3f}" for side in cpu)
        faster = [b / a for a, b in zip(rates["single"], rates["several"], strict=True)]
        less = [a / b for a, b in zip(cpu["single"], cpu["several"], strict=True)]
        print(f"    {name:<18}{rate:>18}{spread(faster):>20}{ms:>20}{spread(less):>20}")


def main() -> None:  # noqa: C901, PLR0912 - one measurement after the other
    """Measure all, or what is asked for."""
    parser = argparse.ArgumentParser(description="Decoding once.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--videos", type=int, default=3)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_frames(root / "frames", videos=given.videos, frames=given.frames, height=256, width=340)
        write_frames(root / "large", videos=1, frames=100, height=360, width=640)
        write_masks(root / "masks", root / "large")
        fc.pack(fc.open(root / "frames"), root / "pack")
        many = fc.open(link_copies(root / "frames", root / "many", 24))
        folder, pack = fc.open(root / "frames"), fc.open(root / "pack")
        both = fc.open({"image": root / "large", "mask": root / "masks"})
        rounds = given.rounds
        print(f"{'':<34}{'faster':>6}  {'':<11}{'ms/clip':>8}{'cached':>8}{'decodes':>8}")
        for step in (4, 1):
            for name, data in (("folder", folder), ("pack", pack)):
                if given.only in (title := f"{name}, step {step}"):
                    sampler = fc.Windows(16, step=step)
                    near = {"memory": "512MiB", "cache": "64MiB"}  # in order
                    compare(title, rounds, data, sampler, skip=1, **near)
        lanes = fc.open(link_copies(root / "frames", root / "lanes", 4))  # several times what the cache holds
        fc.pack(lanes, root / "lanes_pack")
        for step in (4, 1):
            for name, data in (("folder", lanes), ("pack", fc.open(root / "lanes_pack"))):
                if given.only in (title := f"{name}, step {step}, lanes"):
                    near = {"memory": "768MiB", "cache": "320MiB", "shuffle": True, "interleave": 8}
                    compare(title, rounds, data, fc.Windows(16, step=step), skip=1, **near)
        videos = fc.open(write_videos(root / "videos", root / "frames"))
        for name, data in (("folder", folder), ("pack", pack), ("videos", videos)):
            if given.only in (title := f"{name}, fits, third epoch"):
                compare(title, rounds, data, fc.Windows(16, step=8), skip=2, memory="2GiB", shuffle=True)
        if given.only in (title := "videos, step 4"):
            near = {"memory": "512MiB", "cache": "64MiB"}
            compare(title, rounds, videos, fc.Windows(16, step=4), skip=1, **near)
        if given.only in (title := "image and mask 640x360, step 4"):
            mixed = {"skip": 1, "targets": "mask", "memory": "1GiB", "cache": "64MiB"}
            compare(title, rounds, both, fc.Windows(16, step=4), **mixed)
        for name, data in (("folder", many),):
            if given.only in (title := f"{name}, no overlap"):
                compare(title, rounds, data, fc.RandomWindow(16), skip=4, memory="512MiB", shuffle=True)
        if given.only in "lru":
            compare_with_lru(folder)
        if given.only in "draws_per_clip":
            draws_per_clip({"folder": folder, "pack": pack}, 2, 3 * rounds)


if __name__ == "__main__":
    main()
