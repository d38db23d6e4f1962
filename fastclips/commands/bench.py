"""`fastclips bench`: how close a folder's loader comes to the fastest that its frames can be decoded.

The ceiling is the *bare loop*: `Decoder.decode` of random boxes of the crop's size, on frames of the same
folder whose bytes are in memory, with the engine's own settings, in as many processes as there are workers.
Both sides skip the same parts of a frame. The bare loop reads no file, cuts no clip and hands nothing over,
so the loader cannot be faster. The *whole loop* is the same with simplejpeg, which decodes every frame whole:
the best that a loader could reach that decodes whole frames. ::

    round 1   engine, bare, whole    A *turn* is a fraction of a second in which only one side works; the
    round 2   whole, bare, engine    others are blocked. A round gives ratios of turns that met the same
    round 3   engine, bare, whole    load on the machine; the efficiency is the median of engine over bare
    ...

The engine's turn begins with all the batches that it prepared ahead, untimed. These and one more are taken
and thrown away: from then on the workers keep a steady pace, and the clock runs from one batch to the last
batch of the turn. Then the workers finish everything submitted, so the CPU time between two such rests
belongs to exactly the batches that were taken.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import json
import os
import platform
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import simplejpeg  # the engine is compared with it
from tqdm import tqdm

from fastclips._native import DCT_MAGIC
from fastclips.commands import turns
from fastclips.commands.played_step import add_step_argument, check_step, play, step_rows
from fastclips.commands.turns import Engine, Turn, loader_of, rates
from fastclips.commands.video_bench import bench_videos
from fastclips.cores import usable_cores
from fastclips.data.opening import open_dataset
from fastclips.data.storage import opened
from fastclips.data.video_storage import VideoStorage
from fastclips.errors import EngineError, OptionError
from fastclips.pixels.decoding.decoder import FAST_DCT, Decoder, frame_size
from fastclips.processes import AnsweringProcess, answer
from fastclips.serving.stats import resident_bytes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from fastclips.data.dataset import Dataset
    from fastclips.serving.stats import Stats
    from fastclips.spec import StreamSpec

__all__ = ["add_arguments", "run", "serve"]

_LEAST_ROUNDS = 2  # one in each order
_SAMPLE = 512  # frames of the bare loops, more than any cache near the cores holds
_BOXES = 4  # per frame of the sample
_OPTIONS = ("time_steps", "step", "crop", "batch_size", "seconds")
_PACKAGES = ("fastclips", "numpy", "numba", "simplejpeg")
_BAR = "{desc} |{bar}| {n:.0f}/{total:.0f} s"

_MANUAL = """\
figures:
  efficiency            frames_per_s / ceiling_frames_per_s within each round,
                        the median of the rounds. Other load on the machine
                        changes this ratio less than either of the rates
  frames_per_s          frames that the loader delivers: read, decoded, cropped,
                        flipped and written to shared memory, which the
                        consumer sees as an array. The consumer does nothing
                        but receive the batches
  ceiling_frames_per_s  frames that bare loops decode: random boxes of the
                        crop's size, from bytes in memory, into one reused
                        buffer each, decoding as little as the loader does.
                        There are as many processes as workers
  whole_frames_per_s    frames that the same processes decode whole with
                        simplejpeg
  over_whole            frames_per_s / whole_frames_per_s, as the efficiency.
                        Above 1, the loader is faster than any loader that
                        decodes whole frames can be
  cpu_ms_per_frame      CPU time per frame of all processes, user and system, in
                        the engine's turns. For the bare loops these are
                        ceiling_cpu_ms_per_frame and whole_cpu_ms_per_frame.
                        They can be compared even on a busy machine
  ways                  share of the loader's frames, from 0 to 1, decoded by
                        each rung: sliced (around the crop, using the restart
                        markers that `fastclips pack` adds), cropped (around
                        the crop, after passing all codes before it), whole
  skipped               share of all pixels that were not decoded, from 0 to 1
  cached_frames_per_s   frames that the loader delivers with cache="auto", which
                        keeps decoded frames that are shown again, in --memory.
                        Of these, cached_decodes_per_frame were decoded;
                        cache_mb are the frames kept. Half of --seconds fill the
                        cache before, and a quarter is measured
  first_batch_s         time from before the ClipLoader is made to its first
                        batch. Scanning the folder is not included; it is
                        open_s. The files may come from the disk or from the
                        page cache: run the command twice
  peak_rss_mb           sum of the processes' peak resident memory; shared pages
                        count in every process
  pss_mb                memory at the end, with shared pages counted once: what
                        the machine really gives
  rounds                number of rounds. A round is three turns of a quarter of
                        a second: the engine, the bare loops, and the bare
                        loops with whole frames, in alternating order. While
                        one has its turn, the others are blocked
  *_quartiles           half of the rounds lie between these two values

With --step-ms, training is played: a pause of this length after each batch,
for --seconds, with cache="auto", and for half of that before. Its figures are:
  starves               whether steps wait for 5% of the time or more
  waiting               share of the time that steps wait, from 0 to 1
  wait_ms               wait of a step, the median; longest_wait_ms is the most
  suggested_workers     a number of workers that would keep pace, as measured;
                        step_workers where that is right
  step_verdict          the same in words

Of video files, the same clips are loaded from the files and from a pack of a
sample of them, which is made in a temporary folder. Its figures are:
  video_frames_per_s    frames that the loader delivers from the video files
  pack_frames_per_s     the same from the pack
  pack_is_faster        pack_frames_per_s / video_frames_per_s within each round
  decoding_share        share of the workers' time that decoding video takes
  pack_bytes            bytes of the pack's frames per byte of the video files

An MB is 2**20 bytes. The clips are those of training: shuffled, uint8, with one
random crop and flip per clip.

examples:
  fastclips bench frames/ --time-steps 32 --step 16 --crop 112 --workers 8
  fastclips bench frames/ --step-ms 40
  fastclips bench frames/ --json >> history.jsonl
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments, description and manual to a parser."""
    parser.description = (
        "Measure how fast a folder of frames or a pack is loaded, beside the fastest that\n"
        "its frames can be decoded; or how much faster video files would load as a pack."
    )
    parser.epilog = _MANUAL
    parser.add_argument(
        "folder", metavar="DIR", help="folder of class/video/frame.jpg or of video files, or a pack"
    )
    parser.add_argument(
        "--time-steps", metavar="N", type=int, default=16, help="frames in a clip (default: %(default)s)"
    )
    parser.add_argument(
        "--step",
        metavar="N",
        type=int,
        default=8,
        help="frames from one clip's start to the next (default: %(default)s)",
    )
    parser.add_argument(
        "--crop",
        metavar="PIXELS",
        type=int,
        default=224,
        help="side of the random crop (default: %(default)s)",
    )
    parser.add_argument(
        "--batch-size", metavar="N", type=int, default=8, help="clips in a batch (default: %(default)s)"
    )
    parser.add_argument(
        "--workers", metavar="N", type=int, help="worker processes; 0 for none (default: one per usable core)"
    )
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        default="1GiB",
        help="ceiling for the batches' memory (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        metavar="S",
        type=float,
        default=6.0,
        help="time of all turns together (default: %(default)s)",
    )
    add_step_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one line of JSON and no progress")


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit code, 0.

    Raises
    ------
    FastclipsError
        If the folder and the options do not go together.
    """
    if not 0 < args.seconds < float("inf"):
        raise OptionError(f"seconds={args.seconds!r}: must be more than 0")
    check_step(args.step_ms)
    began = perf_counter()
    dataset = open_dataset(args.folder)
    opened = perf_counter()
    if isinstance(dataset.storage, VideoStorage):
        return bench_videos(args, dataset, dataset.storage)
    loader = loader_of(dataset, args)
    with loader:
        engine = Engine(loader, args.time_steps)
        engine.take()
        first_batch_s = perf_counter() - opened
        frames = _sample(dataset)
        loops = _Loops(frames, max(1, loader.workers), dataset.streams[0], args.crop)
        with closing(loops):
            rounds = _measure(engine, loops, args.seconds, show=not args.json)
        pids = [os.getpid(), *loader.pids]
        result = {
            **rates("frames_per_s", rounds, lambda turn: turn.engine.frames_per_s, 1),
            **rates("ceiling_frames_per_s", rounds, lambda turn: turn.bare.frames_per_s, 1),
            **rates("whole_frames_per_s", rounds, lambda turn: turn.whole.frames_per_s, 1),
            **rates("efficiency", rounds, lambda turn: turn.engine.frames_per_s / turn.bare.frames_per_s, 4),
            **rates("over_whole", rounds, lambda turn: turn.engine.frames_per_s / turn.whole.frames_per_s, 4),
            "rounds": len(rounds),
            "cpu_ms_per_frame": round(median(turn.engine.cpu_ms for turn in rounds), 4),
            "ceiling_cpu_ms_per_frame": round(median(turn.bare.cpu_ms for turn in rounds), 4),
            "whole_cpu_ms_per_frame": round(median(turn.whole.cpu_ms for turn in rounds), 4),
            **_ways(loader.stats()),
            "first_batch_s": round(first_batch_s, 3),
            "open_s": round(opened - began, 3),
            "peak_rss_mb": round(_peak_rss(pids) / 2**20, 1),
            "pss_mb": round(resident_bytes(pids) / 2**20, 1),
        }
    result |= _with_cache(dataset, args) if loader.workers else {}
    result |= play(dataset, args) if args.step_ms else {}
    options = {name: value for name, value in vars(args).items() if name in _OPTIONS}
    result |= {
        "ceiling": "Decoder.decode of random boxes of bytes in memory, into one reused buffer",
        "whole": "simplejpeg.decode_jpeg of bytes in memory, into one reused buffer",
        "ceiling_processes": max(1, loader.workers),
        "data": _summary(dataset, frames),
        "options": {**options, "workers": loader.workers, "fast_dct": FAST_DCT, "fast_upsample": False},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "cores": usable_cores(shared=True),
    }
    print(json.dumps(result) if args.json else _table(result))
    return 0


class _Round(NamedTuple):
    engine: Turn
    bare: Turn
    whole: Turn


class _Loops:
    """The bare loops' side: processes that decode for as long as they are told to."""

    def __init__(self, frames: Sequence[bytes], processes: int, stream: StreamSpec, crop: int) -> None:
        self._processes: list[AnsweringProcess] = []
        try:
            for number in range(processes):
                first = number * len(frames) // processes
                value = ([*frames[first:], *frames[:first]], stream, crop)
                self._processes.append(AnsweringProcess("fastclips.commands.bench:serve", value))
            for whole in (False, True):
                self.turn(
                    turns.TURN_S, whole=whole
                )  # not counted: its answers say that all processes are ready
        except BaseException:
            self.close()
            raise

    def turn(self, seconds: float, *, whole: bool) -> Turn:
        """Decode for some seconds; the rate is that of all processes together."""
        for process in self._processes:
            process.send((seconds, whole))
        answers = list(map(_take, self._processes))
        frames, _, cpu = map(sum, zip(*answers, strict=True))
        return Turn(sum(frames / wall for frames, wall, _ in answers), 1e3 * cpu / frames, seconds)

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.stop()


def _take(process: AnsweringProcess) -> tuple[int, float, float]:
    try:
        answered: tuple[int, float, float] = process.take()
    except EOFError:
        raise EngineError(
            f"a bare loop died {process.cause_of_death()}; what it printed is on standard error"
        ) from None
    return answered


class _BareLoop:
    """A bare loop: decodes frames one after the other, each at one of its boxes."""

    def __init__(self, frames: Sequence[bytes], stream: StreamSpec, crop: int) -> None:
        self._frames = frames
        self._decoder = Decoder(stream)
        sizes = [frame_size(data) for data in frames]
        random = np.random.default_rng(0)
        self._boxes: list[tuple[int, int, int, int]] = []
        for _ in range(_BOXES):
            for top, left in random.integers(0, np.array(sizes) - crop + 1).tolist():
                self._boxes.append((top, left, top + crop, left + crop))
        self._buffer = np.empty(stream.channels * max(height * width for height, width in sizes), np.uint8)
        self._color = "RGB" if stream.channels == 3 else "GRAY"  # noqa: PLR2004 - red, green, blue
        self._number = 0

    def decode(self, task: tuple[float, bool]) -> tuple[int, float, float]:
        """Decode boxes, or whole frames, for some seconds; return frames, wall time and CPU time in s."""
        seconds, whole = task
        frames, boxes = self._frames, self._boxes
        number, began, cpu = self._number, perf_counter(), process_time()
        while (now := perf_counter()) - began < seconds:
            data = frames[number % len(frames)]
            if whole and data.startswith(DCT_MAGIC):  # which only the engine's own code reads
                self._decoder.decode(data)
            elif whole:
                simplejpeg.decode_jpeg(data, self._color, FAST_DCT, False, buffer=self._buffer)
            else:
                self._decoder.decode(data, boxes[number % len(boxes)])
            number += 1
        decoded, self._number = number - self._number, number
        return decoded, now - began, process_time() - cpu


def serve(load: Callable[[], tuple[Sequence[bytes], StreamSpec, int]], answers: int) -> None:
    """Be a process of the bare loops, until the other end of its pipes is closed."""
    answer(_BareLoop(*load()).decode, answers)


def _measure(engine: Engine, loops: _Loops, seconds: float, *, show: bool) -> list[_Round]:
    """Give the sides turns until the time is spent, and return the rounds."""
    rounds: list[_Round] = []
    length = engine.turn().seconds  # not counted: it touches slots for the first time
    sides: dict[str, Callable[[], Turn]] = {
        "engine": engine.turn,
        "bare": lambda: loops.turn(length, whole=False),
        "whole": lambda: loops.turn(length, whole=True),
    }
    spent = 0.0
    with tqdm(total=seconds, desc="measuring", leave=False, disable=not show, bar_format=_BAR) as bar:
        while spent < seconds or len(rounds) < _LEAST_ROUNDS:
            order = reversed(sides) if len(rounds) % 2 else iter(sides)
            turns = _Round(**{name: sides[name]() for name in order})
            rounds.append(turns)
            spent += sum(turn.seconds for turn in turns)
            bar.update(min(spent, seconds) - bar.n)
    return rounds


def _with_cache(dataset: Dataset, args: argparse.Namespace) -> dict[str, Any]:
    """Return what the loader does with its cache, once half of the command's time has filled it."""
    with loader_of(dataset, args, cache="auto") as loader:
        engine = Engine(loader, args.time_steps)
        stats, frames = [], 0
        for seconds in (args.seconds / 2, args.seconds / 4):
            stats.append(loader.stats())
            frames, began = engine.take(), perf_counter()
            while perf_counter() - began < seconds:
                frames += engine.take()
            spent = perf_counter() - began
        stats.append(loader.stats())
    _, before, after = stats
    decoded, held = (
        getattr(after, name) - getattr(before, name) for name in ("decoded_frames", "cache_hits")
    )
    return {
        "cached_frames_per_s": round(frames / spent, 1),
        "cached_decodes_per_frame": round(decoded / max(decoded + held, 1), 4),
        "cache_mb": round(after.cache_bytes / 2**20, 1),
        "cache_advice": after.cache_advice,
    }


def _sample(dataset: Dataset) -> list[bytes]:
    """Read random frames of the dataset."""
    ends = np.cumsum(dataset.index.frame_counts)
    total = int(ends[-1])
    numbers = np.random.default_rng(0).choice(total, min(_SAMPLE, total), replace=False)
    videos = np.searchsorted(ends, numbers, side="right")
    stream = dataset.streams[0].name
    frames = []
    for video, number in zip(videos.tolist(), numbers.tolist(), strict=True):
        frame = (
            stream,
            int(dataset.index.keys[video]),
            int(number - ends[video] + dataset.index.frame_counts[video]),
        )
        data = opened(dataset.storage).read(*frame)
        if not isinstance(data, bytes) or not data.startswith((b"\xff\xd8", DCT_MAGIC)):
            raise OptionError(
                f"{dataset.storage.where(*frame)}: this frame is no JPEG; bench decodes JPEGs alone"
            )
        frames.append(data)
    return frames


def _summary(dataset: Dataset, frames: Sequence[bytes]) -> dict[str, Any]:
    sizes = sorted({f"{width}x{height}" for height, width in map(frame_size, frames)})
    return {
        "videos": len(dataset),
        "frames": int(dataset.index.frame_counts.sum()),
        "classes": len(dataset.classes),
        "sampled_frames": len(frames),
        "mean_jpeg_bytes": round(sum(map(len, frames)) / len(frames)),
        "frame_size": sizes[0] if len(sizes) == 1 else sizes,
    }


def _ways(stats: Stats) -> dict[str, Any]:
    ways = {"sliced": stats.sliced_frames, "cropped": stats.cropped_frames, "whole": stats.whole_frames}
    total = sum(ways.values())
    return {
        "ways": {name: round(frames / total, 4) for name, frames in ways.items()},
        "skipped": round(stats.skipped, 4),
    }


def _peak_rss(pids: Sequence[int]) -> int:
    total = 0
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return total * 1024


def _table(result: dict[str, Any]) -> str:
    data, options = result["data"], result["options"]
    size = data["frame_size"] if isinstance(data["frame_size"], str) else "mixed sizes"
    head = (
        f"{data['frames']:,} frames of {size}, {data['mean_jpeg_bytes']:,} bytes on average\n"
        f"batches of {options['batch_size']} clips of {options['time_steps']} frames, "
        f"crop {options['crop']}, {options['workers']} workers on {result['cores']} cores\n"
    )
    rows = []
    for name, title, form in (
        ("efficiency", "efficiency", ".3f"),
        ("frames_per_s", "frames/s", ",.0f"),
        ("ceiling_frames_per_s", "ceiling, frames/s", ",.0f"),
        ("whole_frames_per_s", "whole, frames/s", ",.0f"),
        ("over_whole", "over whole", ".2f"),
    ):
        low, high = result[f"{name}_quartiles"]
        rows.append((title, f"{result[name]:{form}}", f"quartiles {low:{form}} to {high:{form}}"))
    bare, whole = result["ceiling_cpu_ms_per_frame"], result["whole_cpu_ms_per_frame"]
    note = f"the bare loop takes {bare:.3f} ms, with whole frames {whole:.3f} ms"
    ways = ", ".join(f"{share:.0%} {way}" for way, share in result["ways"].items() if share)
    pss = f"{result['pss_mb']:,.0f} MB"
    rows += [
        ("CPU per frame", f"{result['cpu_ms_per_frame']:.3f} ms", note),
        ("not decoded", f"{result['skipped']:.0%}", f"of all pixels; frames: {ways}"),
        ("first batch", f"{result['first_batch_s']:.2f} s", f"after {result['open_s']:.2f} s of scanning"),
        ("peak memory", f"{result['peak_rss_mb']:,.0f} MB", f"{pss} with shared pages counted once"),
    ]
    if "cache_mb" in result:
        decodes = f"{result['cached_decodes_per_frame']:.2f} decodes per frame"
        note = f"frames/s; {decodes}, {result['cache_mb']:,.0f} MB of frames"
        rows.append(("with a cache", f"{result['cached_frames_per_s']:,.0f}", note))
        if result["cache_advice"]:
            rows.append(("", "", result["cache_advice"]))
    rows += step_rows(result)
    return "\n".join([head, *(f"{title:<18}{value:>12}  {note}" for title, value, note in rows)])
