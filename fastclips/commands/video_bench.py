"""`fastclips bench` of video files: how much faster the same clips are loaded from a pack.

A sample of the videos is packed into a temporary folder. Two loaders of the same clips take turns, one of the
video files and one of the pack. While one has its turn, the other is at rest.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from fastclips.commands.played_step import play, step_rows
from fastclips.commands.turns import Engine, Turn, loader_of, rates
from fastclips.cores import usable_cores
from fastclips.data.dataset import Dataset
from fastclips.data.opening import open_dataset
from fastclips.data.scan import evenly
from fastclips.errors import OptionError
from fastclips.packing.pack import pack

if TYPE_CHECKING:
    import argparse

    from fastclips.data.video_storage import VideoStorage
    from fastclips.serving.stats import Stats

__all__ = ["bench_videos"]

_VIDEOS, _FRAMES = 16, 256  # of the sample: videos, and frames of each, from its middle
_LEAST_ROUNDS = 2  # one in each order
_BAR = "{desc} |{bar}| {n:.0f}/{total:.0f} s"


class _Round(NamedTuple):
    videos: Turn
    packed: Turn


def bench_videos(args: argparse.Namespace, dataset: Dataset, storage: VideoStorage) -> int:
    """Run the command for video files and return its exit code, 0.

    Raises
    ------
    FastclipsError
        If the videos and the options do not go together.
    """
    sample = _sample(dataset, args.time_steps)
    with TemporaryDirectory(prefix="fastclips-bench-") as folder, ExitStack() as stack:
        done = pack(sample, f"{folder}/pack")
        loaders = [loader_of(data, args) for data in (sample, open_dataset(f"{folder}/pack"))]
        for loader in loaders:
            stack.enter_context(loader)
        engines = [Engine(loader, args.time_steps) for loader in loaders]
        for engine in engines:
            engine.take()
        rounds = _measure(*engines, seconds=args.seconds, show=not args.json)
        result = {
            **rates("video_frames_per_s", rounds, lambda turn: turn.videos.frames_per_s, 1),
            **rates("pack_frames_per_s", rounds, lambda turn: turn.packed.frames_per_s, 1),
            **rates(
                "pack_is_faster",
                rounds,
                lambda turn: turn.packed.frames_per_s / turn.videos.frames_per_s,
                2,
            ),
            "video_cpu_ms_per_frame": round(median(turn.videos.cpu_ms for turn in rounds), 4),
            "pack_cpu_ms_per_frame": round(median(turn.packed.cpu_ms for turn in rounds), 4),
            "decoding_share": round(_share(loaders[0].stats()), 4),
            "pack_bytes": round(done.bytes_after / _bytes(sample, storage), 2),
            "rounds": len(rounds),
            "sampled_videos": len(sample),
            "sampled_frames": int(sample.index.frame_counts.sum()),
            "workers": loaders[0].workers,
            "cores": usable_cores(shared=True),
        }
    result |= play(dataset, args) if args.step_ms else {}
    print(json.dumps(result) if args.json else _table(result, args))
    return 0


def _sample(dataset: Dataset, time_steps: int) -> Dataset:
    """Return some videos, of each the frames in the middle."""
    index = dataset.index
    long = np.flatnonzero(index.frame_counts >= time_steps)
    if not len(long):
        raise OptionError(
            f"time_steps={time_steps}: the longest video has {index.frame_counts.max()} frames; give fewer"
        )
    some = index.take(np.array(evenly(long.tolist(), _VIDEOS), np.int64))
    counts = np.minimum(some.frame_counts, max(_FRAMES, time_steps))
    starts = some.starts + (some.frame_counts - counts) // 2
    part = replace(some, starts=starts, frame_counts=counts, labels=None, classes=())
    return Dataset(dataset.storage, part, dataset.streams)


def _bytes(sample: Dataset, storage: VideoStorage) -> float:
    """Return the bytes of the sample's frames in their files, if all frames of a file took the same."""
    keys = sample.index.keys
    shares = sample.index.frame_counts / storage.frame_counts[keys]
    return float((storage.columns["movies.sizes"][keys] * shares).sum())


def _measure(videos: Engine, packed: Engine, *, seconds: float, show: bool) -> list[_Round]:
    """Give the loaders turns until the time is spent, and return the rounds."""
    sides = {"videos": videos, "packed": packed}
    for engine in sides.values():
        engine.turn()  # not counted: it touches slots for the first time
    rounds: list[_Round] = []
    spent = 0.0
    with tqdm(total=seconds, desc="measuring", leave=False, disable=not show, bar_format=_BAR) as bar:
        while spent < seconds or len(rounds) < _LEAST_ROUNDS:
            order = reversed(sides) if len(rounds) % 2 else iter(sides)
            turns = _Round(**{name: sides[name].turn() for name in order})
            rounds.append(turns)
            spent += sum(turn.seconds for turn in turns)
            bar.update(min(spent, seconds) - bar.n)
    return rounds


def _share(stats: Stats) -> float:
    busy = stats.read_s + stats.decode_s + stats.kernel_s
    return stats.decode_s / busy if busy else 0.0


def _table(result: dict[str, Any], args: argparse.Namespace) -> str:
    head = (
        f"a sample of {result['sampled_videos']} videos, {result['sampled_frames']:,} frames\n"
        f"batches of {args.batch_size} clips of {args.time_steps} frames, crop {args.crop}, "
        f"{result['workers']} workers on {result['cores']} cores\n"
    )
    rows = [head]
    for name, title in (("video", "video files"), ("pack", "a pack")):
        low, high = result[f"{name}_frames_per_s_quartiles"]
        cpu = result[f"{name}_cpu_ms_per_frame"]
        rate = f"{result[f'{name}_frames_per_s']:>10,.0f} frames/s"
        rows.append(f"{title:<13}{rate}, quartiles {low:,.0f} to {high:,.0f}; CPU {cpu:.3f} ms per frame")
    faster, (low, high) = result["pack_is_faster"], result["pack_is_faster_quartiles"]
    rows.append(
        f"\ndecoding video takes {result['decoding_share']:.0%} of the workers' time: "
        f"`fastclips pack {args.folder} packed/` is {faster:.1f} times as fast for these clips "
        f"(quartiles {low:.1f} to {high:.1f}), and takes {result['pack_bytes']:.1f} times the bytes"
    )
    rows += [f"{title:<13}{value:>10}  {note}" for title, value, note in step_rows(result)]
    return "\n".join(rows)
