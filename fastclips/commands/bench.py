"""`fastclips bench`: how close a folder's loader comes to the fastest that its frames can be decoded.

The ceiling is the *bare loop*: `Decoder.decode` of as many random boxes of the same size, from frames of the
same folder whose bytes are in memory, with the engine's own settings, in as many processes as there are
workers. What of a frame need not be decoded, neither side decodes. But the loop reads no file, cuts no clip
and hands nothing over, so the loader cannot beat it. The *whole loop* is the same with simplejpeg, which
decodes every frame whole: what a loader could reach at best that does so. ::

    round 1   engine, bare, whole    a *turn* is a fraction of a second; only one side works in it, the
    round 2   whole, bare, engine    others are blocked. A round gives ratios of turns that met the same
    round 3   engine, bare, whole    machine; the efficiency is the median of engine over bare
    ...

The engine's turn begins with all the batches that it could prepare ahead, which nobody timed. These are
taken and thrown away, and one more: from then on the workers keep up a steady pace, and the clock runs from
one batch to the last one of the turn. Then everything submitted is left to finish, so that the CPU time
between two such rests belongs to exactly the batches that were taken.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import json
import os
import pickle
import platform
import subprocess
import sys
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, sleep
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import simplejpeg  # what the engine is compared with
from tqdm import tqdm

from fastclips.data.opening import open_dataset
from fastclips.data.storage import opened
from fastclips.engine.arena import COUNTERS
from fastclips.errors import EngineError, OptionError
from fastclips.loader import ClipLoader
from fastclips.pixels.decoding.decoder import Decoder, frame_size
from fastclips.pixels.geometry.crops import RandomCrop
from fastclips.pixels.geometry.flips import RandomFlip
from fastclips.planning.samplers import Windows
from fastclips.serving.stats import resident_bytes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from fastclips.data.index import Dataset
    from fastclips.serving.stats import Stats
    from fastclips.spec import Stream

__all__ = ["add_arguments", "run"]

_TURN_S = 0.25
_LEAST_BATCHES = 3  # of a turn of the engine
_LEAST_ROUNDS = 2  # one in each order
_SAMPLE = 512  # frames of the bare loops, more than any cache near the cores holds
_BOXES = 4  # of each of them
_SETTLE_S = 60.0  # how long the workers may take over what they are on
_CLIPS = COUNTERS.index("clips")
_FAST_DCT = True  # ClipLoader's default
_OPTIONS = ("time_steps", "step", "crop", "batch_size", "seconds")
_PACKAGES = ("fastclips", "numpy", "numba", "simplejpeg")
_BAR = "{desc} |{bar}| {n:.0f}/{total:.0f} s"

_MANUAL = """\
figures:
  efficiency            frames_per_s / ceiling_frames_per_s, taken within each round; the median of the
                        rounds. A loaded machine moves it less than it moves either of the two
  frames_per_s          frames that the loader delivers: read, decoded, cropped, flipped, in shared memory
                        that the consumer sees as an array; the consumer does nothing but receive it
  ceiling_frames_per_s  random boxes, as large as the crop, that bare loops decode, one loop in each of as
                        many processes as there are workers, of bytes that are in memory, into one reused
                        buffer each, decoding as little as the loader does
  whole_frames_per_s    frames that the same processes decode whole, by simplejpeg
  over_whole            frames_per_s / whole_frames_per_s, as the efficiency. Above 1, the loader is faster
                        than any that decodes whole frames can be
  cpu_ms_per_frame      CPU time per frame of all processes, user and system, in the engine's turns;
                        ceiling_cpu_ms_per_frame and whole_cpu_ms_per_frame in the bare loops'. Even on a
                        busy machine these compare
  ways                  which part of the loader's frames was decoded in each way, from 0 to 1: sliced
                        (around the crop, by restart markers, which `fastclips pack` adds), cropped (around
                        the crop, all codes before it passed), whole
  skipped               which part of all the frames' pixels was not decoded, from 0 to 1
  first_batch_s         from before the ClipLoader is made to its first batch; the folder was scanned before,
                        in open_s. The files may come from the disk or from the page cache: run it twice
  peak_rss_mb           sum of each process's peak resident memory; shared pages count in every process
  pss_mb                memory at the end, shared pages counted once: what the machine really gives
  rounds                of three turns, a quarter of a second each: of the engine, of the bare loops, of the
                        same with whole frames, in alternating order; who has no turn is blocked
  *_quartiles           half of the rounds lie between these two

Units: MB are 2**20 bytes. Training data is shuffled, with one random crop and flip per clip, as uint8.

examples:
  fastclips bench frames/ --time-steps 32 --step 16 --crop 112 --workers 8 --seconds 20
  fastclips bench frames/ --json >> history.jsonl
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Given its arguments and its manual.
    """
    parser.description = (
        "Measure the loader on a folder of frames or a pack and, in turn, the fastest that the frames can be "
        "decoded."
    )
    parser.epilog = _MANUAL
    parser.add_argument("folder", metavar="DIR", help="folder of class/video/frame.jpg, or a pack")
    parser.add_argument("--time-steps", type=int, default=16, help="frames in a clip (%(default)s)")
    parser.add_argument("--step", type=int, default=8, help="frames between starts of clips (%(default)s)")
    parser.add_argument("--crop", type=int, default=224, help="side of the random crop (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=8, help="clips in a batch (%(default)s)")
    parser.add_argument("--workers", type=int, help="worker processes, 0 for none (one per core)")
    parser.add_argument("--memory", default="1GiB", help="ceiling for batches (%(default)s)")
    parser.add_argument("--seconds", type=float, default=6.0, help="time of all turns together (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON and no progress")


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Parameters
    ----------
    args : argparse.Namespace
        From a parser that `add_arguments` prepared.

    Returns
    -------
    int
        Exit code, 0.

    Raises
    ------
    FastclipsError
        If the folder and the options do not go together.
    """
    if not 0 < args.seconds < float("inf"):
        raise OptionError(f"seconds={args.seconds!r}: must be more than 0")
    began = perf_counter()
    dataset = open_dataset(args.folder)
    opened = perf_counter()
    loader = ClipLoader(
        dataset,
        Windows(args.time_steps, step=args.step),
        [RandomCrop(args.crop), RandomFlip()],
        batch_size=args.batch_size,
        shuffle=True,
        repeat=True,
        workers=args.workers,
        memory=args.memory,
        fast_dct=_FAST_DCT,
    )
    with loader:
        engine = _Engine(loader, args.time_steps)
        engine.take()
        first_batch_s = perf_counter() - opened
        frames = _sample(dataset)
        loops = _Loops(frames, max(1, loader.workers), dataset.streams[0], args.crop)
        with closing(loops):
            rounds = _measure(engine, loops, args.seconds, show=not args.json)
        pids = [os.getpid(), *loader.pids]
        result = {
            **_rates("frames_per_s", rounds, lambda one: one.engine.frames_per_s, 1),
            **_rates("ceiling_frames_per_s", rounds, lambda one: one.bare.frames_per_s, 1),
            **_rates("whole_frames_per_s", rounds, lambda one: one.whole.frames_per_s, 1),
            **_rates("efficiency", rounds, lambda one: one.engine.frames_per_s / one.bare.frames_per_s, 4),
            **_rates("over_whole", rounds, lambda one: one.engine.frames_per_s / one.whole.frames_per_s, 4),
            "rounds": len(rounds),
            "cpu_ms_per_frame": round(median(one.engine.cpu_ms for one in rounds), 4),
            "ceiling_cpu_ms_per_frame": round(median(one.bare.cpu_ms for one in rounds), 4),
            "whole_cpu_ms_per_frame": round(median(one.whole.cpu_ms for one in rounds), 4),
            **_ways(loader.stats()),
            "first_batch_s": round(first_batch_s, 3),
            "open_s": round(opened - began, 3),
            "peak_rss_mb": round(_peak_rss(pids) / 2**20, 1),
            "pss_mb": round(resident_bytes(pids) / 2**20, 1),
        }
    options = {name: value for name, value in vars(args).items() if name in _OPTIONS}
    result |= {
        "ceiling": "Decoder.decode of random boxes of bytes in memory, into one reused buffer",
        "whole": "simplejpeg.decode_jpeg of bytes in memory, into one reused buffer",
        "ceiling_processes": max(1, loader.workers),
        "data": _summary(dataset, frames),
        "options": {**options, "workers": loader.workers, "fast_dct": _FAST_DCT, "fast_upsample": False},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "cores": len(os.sched_getaffinity(0)),
    }
    print(json.dumps(result) if args.json else _table(result))
    return 0


class _Turn(NamedTuple):
    frames_per_s: float
    cpu_ms: float  # per frame
    seconds: float


class _Round(NamedTuple):
    engine: _Turn
    bare: _Turn
    whole: _Turn


class _Engine:
    """The loader's side: batches are received and thrown away."""

    def __init__(self, loader: ClipLoader, time_steps: int) -> None:
        self._loader = loader
        self._batches = iter(loader)
        self._time_steps = time_steps

    def take(self) -> int:
        """Receive a batch; return its frames."""
        x, _ = next(self._batches)
        return len(x) * self._time_steps

    def settle(self) -> int:
        """Wait until the workers have nothing left to do; return how many batches are ready."""
        if not self._loader.workers:
            return 0
        loader, deadline = self._loader, perf_counter() + _SETTLE_S
        ahead = loader._pending  # noqa: SLF001 - what is in flight is nobody's business but a benchmark's
        submitted = loader._served + sum(len(batch.batch.tickets) for batch in ahead)  # noqa: SLF001
        while loader._engine.counters[:, _CLIPS].sum() < submitted:  # noqa: SLF001
            if perf_counter() > deadline:
                raise EngineError(f"the workers did not come to rest in {_SETTLE_S:.0f} s")
            sleep(0.002)
        return len(ahead)

    def turn(self) -> _Turn:
        """Work for a while."""
        ready, pids = self.settle(), [os.getpid(), *self._loader.pids]
        cpu = _cpu_s(pids)
        untimed = sum(self.take() for _ in range(ready + 1))
        began = now = perf_counter()
        frames = batches = 0
        while now - began < _TURN_S or batches < _LEAST_BATCHES:
            frames += self.take()
            batches += 1
            now = perf_counter()
        self.settle()
        cpu = _cpu_s(pids) - cpu
        return _Turn(frames / (now - began), 1e3 * cpu / (untimed + frames), now - began)


class _Loops:
    """The bare loops' side: fresh interpreters that work when a pipe says so, and end when it does."""

    def __init__(self, frames: Sequence[bytes], processes: int, stream: Stream, crop: int) -> None:
        # An interrupt is for the parent. Not kept off by sessions: the kernel may share out cores by these.
        code = (
            "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); "
            "sys.path[:] = sys.argv[1:]; from fastclips.commands.bench import _serve; _serve()"
        )
        path = [entry or str(Path.cwd()) for entry in sys.path if isinstance(entry, str)]
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-c", code, *path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            for _ in range(processes)
        ]
        try:
            for number in range(processes):
                first = number * len(frames) // processes
                self._send(number, ([*frames[first:], *frames[:first]], stream, crop))
            for whole in (False, True):
                self.turn(_TURN_S, whole=whole)  # not counted: whoever answers is ready
        except BaseException:
            self.close()
            raise

    def turn(self, seconds: float, *, whole: bool) -> _Turn:
        """Work for a while; the rate is that of all processes together."""
        for number in range(len(self._processes)):
            self._send(number, (seconds, whole))
        answers = [self._receive(number) for number in range(len(self._processes))]
        frames, _, cpu = map(sum, zip(*answers, strict=True))
        return _Turn(sum(frames / wall for frames, wall, _ in answers), 1e3 * cpu / frames, seconds)

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()
            process.communicate()

    def _send(self, number: int, value: object) -> None:
        pipe = cast("IO[bytes]", self._processes[number].stdin)
        with suppress(BrokenPipeError):  # receiving will say so
            pickle.dump(value, pipe)
            pipe.flush()

    def _receive(self, number: int) -> Any:  # noqa: ANN401 - what the process sends is up to it
        pipe = cast("IO[bytes]", self._processes[number].stdout)
        try:
            return pickle.load(pipe)  # noqa: S301 - our own process wrote it
        except EOFError:
            code = self._processes[number].wait()
            raise EngineError(f"a bare loop ended with code {code}; standard error may say why") from None


def _serve() -> None:
    """Be a process of the bare loops, until the other end is gone."""
    commands, answers = sys.stdin.buffer, sys.stdout.buffer
    with suppress(EOFError, BrokenPipeError, pickle.UnpicklingError):
        frames, stream, crop = pickle.load(commands)  # noqa: S301 - our own parent wrote it
        decoder = Decoder(stream, fast_dct=_FAST_DCT)
        sizes = [frame_size(data) for data in frames]
        random = np.random.default_rng(0)
        places = [random.integers(0, np.array(sizes) - crop + 1).tolist() for _ in range(_BOXES)]
        boxes = [(top, left, top + crop, left + crop) for turn in places for top, left in turn]
        buffer = np.empty(stream.channels * max(height * width for height, width in sizes), np.uint8)
        color = "RGB" if stream.channels == 3 else "GRAY"  # noqa: PLR2004 - red, green, blue
        number = 0
        while True:
            seconds, whole = pickle.load(commands)  # noqa: S301 - as above
            first, began, cpu = number, perf_counter(), process_time()
            while (now := perf_counter()) - began < seconds:
                data = frames[number % len(frames)]
                if whole:
                    simplejpeg.decode_jpeg(data, color, _FAST_DCT, False, buffer=buffer)
                else:
                    decoder.decode(data, boxes[number % len(boxes)])
                number += 1
            pickle.dump((number - first, now - began, process_time() - cpu), answers)
            answers.flush()
    os._exit(0)  # whatever is left to flush, nobody reads it


def _measure(engine: _Engine, loops: _Loops, seconds: float, *, show: bool) -> list[_Round]:
    """Return the rounds."""
    rounds: list[_Round] = []
    length = engine.turn().seconds  # its rate is not counted: it touches slots for the first time
    sides: dict[str, Callable[[], _Turn]] = {
        "engine": engine.turn,
        "bare": lambda: loops.turn(length, whole=False),
        "whole": lambda: loops.turn(length, whole=True),
    }
    spent = 0.0
    with tqdm(total=seconds, desc="measuring", leave=False, disable=not show, bar_format=_BAR) as bar:
        while spent < seconds or len(rounds) < _LEAST_ROUNDS:
            order = reversed(sides) if len(rounds) % 2 else iter(sides)
            one = _Round(**{name: sides[name]() for name in order})
            rounds.append(one)
            spent += sum(turn.seconds for turn in one)
            bar.update(min(spent, seconds) - bar.n)
    return rounds


def _sample(dataset: Dataset) -> list[bytes]:
    """Read frames from all over the dataset."""
    ends = np.cumsum(dataset.index.frame_counts)
    total = int(ends[-1])
    numbers = np.random.default_rng(0).choice(total, min(_SAMPLE, total), replace=False)
    videos = np.searchsorted(ends, numbers, side="right")
    stream = dataset.streams[0].name
    frames = []
    for video, number in zip(videos.tolist(), numbers.tolist(), strict=True):
        place = (
            stream,
            int(dataset.index.keys[video]),
            int(number - ends[video] + dataset.index.frame_counts[video]),
        )
        data = opened(dataset.storage).read(*place)
        if not isinstance(data, bytes) or not data.startswith(b"\xff\xd8"):
            raise OptionError(
                f"{dataset.storage.where(*place)}: bench compares the decoding of JPEGs, and this is none"
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


def _rates(
    name: str, rounds: Sequence[_Round], figure: Callable[[_Round], float], digits: int
) -> dict[str, Any]:
    quartiles = np.quantile([figure(one) for one in rounds], (0.25, 0.5, 0.75)).tolist()
    low, middle, high = (round(value, digits) for value in quartiles)
    return {name: middle, f"{name}_quartiles": [low, high]}


def _ways(stats: Stats) -> dict[str, Any]:
    ways = {"sliced": stats.sliced_frames, "cropped": stats.cropped_frames, "whole": stats.whole_frames}
    total = sum(ways.values())
    return {
        "ways": {name: round(frames / total, 4) for name, frames in ways.items()},
        "skipped": round(stats.skipped, 4),
    }


def _cpu_s(pids: Sequence[int]) -> float:
    ticks = 0
    for pid in pids:
        with suppress(OSError):  # it died and was replaced
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # user, system
    return ticks / os.sysconf("SC_CLK_TCK")


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
    return "\n".join([head, *(f"{title:<18}{value:>12}  {note}" for title, value, note in rows)])
