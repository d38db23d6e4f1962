"""`fastclips bench`: how close a folder's loader comes to the fastest that its frames can be decoded.

The ceiling is the *bare loop*: simplejpeg over frames of the same folder, their bytes already in memory,
into one reused buffer, with the engine's own settings, in as many processes as there are workers. It reads no
file, cuts no clip and hands nothing over, so a loader that decodes whole frames cannot beat it. ::

    round 1   engine, bare        a *turn* is a fraction of a second; only one side works in it, the other
    round 2   bare, engine        is blocked. A round gives one ratio, engine over bare, of two turns that
    round 3   engine, bare        met the same machine; the efficiency is the median of the ratios
    ...

The engine's turn begins with all the batches that it could prepare ahead, which nobody timed. These are
taken and thrown away, and one more: from then on the workers keep up a steady pace, and the clock runs from
one batch to the last one of the turn. Then everything submitted is left to finish, so that the CPU time
between two such rests belongs to exactly the batches that were taken. The consumer does nothing with a
batch but receive it.

The bare loop's processes are fresh interpreters that read commands from standard input: they end at its
end, whichever way this process does.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import json
import os
import pickle
import platform
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import simplejpeg  # decode.py is its only importer in the engine; here stands what the engine is held against
from tqdm import tqdm

from fastclips.arena import COUNTERS
from fastclips.decode import frame_size
from fastclips.errors import EngineError, OptionError
from fastclips.index import open_dataset
from fastclips.loader import ClipLoader
from fastclips.samplers import Windows
from fastclips.stats import resident_bytes
from fastclips.transforms import RandomCrop, RandomFlip

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from fastclips.index import Dataset

__all__ = ["add_arguments", "run"]

_TURN_S = 0.25
_LEAST_BATCHES = 3  # of a turn of the engine
_SAMPLE = 512  # frames of the bare loop, more than any cache near the cores holds
_SETTLE_S = 60.0  # how long the workers may take over what they are on
_CLIPS = COUNTERS.index("clips")
_FAST_DCT = True  # ClipLoader's default

_MANUAL = """\
figures:
  efficiency            frames_per_s / ceiling_frames_per_s, taken within each round; the median of the
                        rounds. It depends on the machine's load far less than either of the two
  frames_per_s          frames that the loader delivers: read, decoded, cropped, flipped, in shared memory
                        that the consumer sees as an array; the consumer does nothing but receive it
  ceiling_frames_per_s  frames that bare loops of simplejpeg decode, one in each of as many processes as
                        there are workers, of bytes that are in memory, into one reused buffer each
  cpu_ms_per_frame      CPU time of all processes, user and system, in the engine's turns, per frame
  first_batch_s         from before the ClipLoader is made to its first batch; the folder was scanned before,
                        in open_s. The files may come from the disk or from the page cache: run it twice
  peak_rss_mb           sum of each process's peak resident memory; shared pages count in every process
  pss_mb                memory at the end, shared pages counted once: what the machine really gives
  turns                 rounds of two turns, a quarter of a second each, one of the engine and one bare, in
                        alternating order; while one side has its turn, the other is blocked
  *_quartiles           of the rounds: half of them lie between these two

Units: MB are 2**20 bytes. Training data is shuffled, with one random crop and flip per clip, as uint8.

examples:
  fastclips bench frames/
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
        "Measure the loader on a folder of frames, and in the same minute the fastest that these frames can "
        "be decoded: how much of that reaches the training loop?"
    )
    parser.epilog = _MANUAL
    parser.add_argument("folder", metavar="DIR", help="folder of class/video/frame.jpg")
    parser.add_argument("--time-steps", type=int, default=16, help="frames in a clip (%(default)s)")
    parser.add_argument("--step", type=int, default=8, help="frames between starts of clips (%(default)s)")
    parser.add_argument("--crop", type=int, default=224, help="side of the random crop (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=8, help="clips in a batch (%(default)s)")
    parser.add_argument("--workers", type=int, help="worker processes, 0 for none (one per core)")
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
    if not args.seconds > 0:
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
        fast_dct=_FAST_DCT,
    )
    with loader:
        engine = _Engine(loader, args.time_steps)
        engine.take()
        first_batch_s = perf_counter() - opened
        frames = _sample(dataset)
        with _bare_loops(frames, max(1, loader.workers)) as bare:
            rounds = _measure(engine, bare, args.seconds, show=not args.json)
        result = {
            "frames_per_s": round(median(turn.engine for turn in rounds), 1),
            "cpu_ms_per_frame": round(1e3 * engine.cpu_s / engine.frames, 4),
            "first_batch_s": round(first_batch_s, 3),
            "peak_rss_mb": round(_peak_rss(engine.pids) / 2**20, 1),
            "ceiling_frames_per_s": round(median(turn.bare for turn in rounds), 1),
            "efficiency": round(median(turn.ratio for turn in rounds), 4),
            "pss_mb": round(resident_bytes(engine.pids) / 2**20, 1),
            "open_s": round(opened - began, 3),
            "frames_per_s_quartiles": _quartiles([turn.engine for turn in rounds], 1),
            "ceiling_quartiles": _quartiles([turn.bare for turn in rounds], 1),
            "efficiency_quartiles": _quartiles([turn.ratio for turn in rounds], 4),
            "turns": len(rounds),
            "ceiling": "simplejpeg.decode_jpeg into one reused buffer, bytes in memory",
            "ceiling_processes": max(1, loader.workers),
            "data": _summary(dataset, frames),
            "options": {
                "time_steps": args.time_steps,
                "step": args.step,
                "crop": args.crop,
                "batch_size": args.batch_size,
                "workers": loader.workers,
                "seconds": args.seconds,
                "fast_dct": _FAST_DCT,
                "fast_upsample": False,
            },
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("fastclips", "numpy", "numba", "simplejpeg")},
            },
            "cores": len(os.sched_getaffinity(0)),
        }
    print(json.dumps(result) if args.json else _table(result))
    return 0


class _Engine:
    """The loader's side: batches are received and thrown away."""

    def __init__(self, loader: ClipLoader, time_steps: int) -> None:
        self._loader = loader
        self._batches = iter(loader)
        self._time_steps = time_steps
        self.pids = [os.getpid(), *loader.pids]
        self.frames = 0  # taken in all turns, and the CPU time that they cost
        self.cpu_s = 0.0

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
        submitted = loader._served + sum(len(batch.labels) for batch in ahead)  # noqa: SLF001
        while loader._engine.counters[:, _CLIPS].sum() < submitted:  # noqa: SLF001
            if perf_counter() > deadline:
                raise EngineError(f"the workers did not come to rest in {_SETTLE_S:.0f} s")
            sleep(0.002)
        return len(ahead)

    def turn(self) -> float:
        """Work for a while; return frames per second."""
        ready = self.settle()
        self.pids = [os.getpid(), *self._loader.pids]
        cpu = _cpu_s(self.pids)
        taken = sum(self.take() for _ in range(ready + 1))
        began = now = perf_counter()
        timed = batches = 0
        while now - began < _TURN_S or batches < _LEAST_BATCHES:
            timed += self.take()
            batches += 1
            now = perf_counter()
        self.settle()
        self.cpu_s += _cpu_s(self.pids) - cpu
        self.frames += taken + timed
        return timed / (now - began)


class _Bare:
    """The bare loop's side: processes that wait for a command, work for as long as it says, and answer."""

    def __init__(self, processes: list[subprocess.Popen[bytes]]) -> None:
        self._processes = processes

    def turn(self) -> float:
        """Work for a while; return frames per second of all processes."""
        self._tell(_TURN_S)
        return sum(frames / seconds for frames, seconds in self._answers())

    def _tell(self, seconds: float) -> None:
        for process in self._processes:
            assert process.stdin is not None  # noqa: S101 - it was asked for
            pickle.dump(seconds, process.stdin)
            process.stdin.flush()

    def _answers(self) -> list[tuple[int, float]]:
        answers = []
        for process in self._processes:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            try:
                answers.append(pickle.load(process.stdout))  # noqa: S301 - our own process wrote it
            except EOFError:
                raise EngineError(
                    f"a process of the bare loop ended with code {process.wait()}; what it printed is on "
                    "standard error"
                ) from None
        return answers


@contextmanager
def _bare_loops(frames: Sequence[bytes], processes: int) -> Iterator[_Bare]:
    code = "import sys; sys.path[:] = sys.argv[1:]; from fastclips.bench import _serve; _serve()"
    path = [entry or str(Path.cwd()) for entry in sys.path if isinstance(entry, str)]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(processes):
            process = subprocess.Popen(
                [sys.executable, "-c", code, *path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # an interrupt at the terminal is for the one that reads it
            )
            started.append(process)
        for number, process in enumerate(started):
            assert process.stdin is not None  # noqa: S101 - it was asked for
            first = number * len(frames) // processes
            pickle.dump([*frames[first:], *frames[:first]], process.stdin)
            process.stdin.flush()
        bare = _Bare(started)
        bare.turn()  # not counted: whoever answers is ready
        yield bare
    finally:
        for process in started:
            process.kill()
            process.communicate()


def _serve() -> None:
    """Be a process of the bare loop."""
    commands, answers = sys.stdin.buffer, sys.stdout.buffer
    frames: list[bytes] = pickle.load(commands)  # noqa: S301 - our own parent wrote it
    buffer = np.empty(3 * max(height * width for height, width in map(frame_size, frames)), np.uint8)
    decode = simplejpeg.decode_jpeg
    number = 0
    while True:
        try:
            seconds = pickle.load(commands)  # noqa: S301 - as above
        except EOFError:
            return
        first, began = number, perf_counter()
        while (now := perf_counter()) - began < seconds:
            decode(
                frames[number % len(frames)], "RGB", fastdct=_FAST_DCT, fastupsample=False, buffer=buffer
            )
            number += 1
        pickle.dump((number - first, now - began), answers)
        answers.flush()


@dataclass(frozen=True)
class _Round:
    engine: float
    bare: float

    @property
    def ratio(self) -> float:
        return self.engine / self.bare


def _measure(engine: _Engine, bare: _Bare, seconds: float, *, show: bool) -> list[_Round]:
    rounds: list[_Round] = []
    engine.turn()  # not counted: slots are touched for the first time
    engine.frames, engine.cpu_s = 0, 0.0
    count = max(2, round(seconds / (2 * _TURN_S)))
    for number in tqdm(range(count), "rounds", leave=False, disable=not show):
        if number % 2:
            decoded = bare.turn()
            rounds.append(_Round(engine.turn(), decoded))
        else:
            rounds.append(_Round(engine.turn(), bare.turn()))
    return rounds


class _Frame(NamedTuple):
    data: bytes
    where: str


def _sample(dataset: Dataset) -> list[bytes]:
    """Read frames from all over the dataset."""
    ends = np.cumsum(dataset.index.frame_counts)
    total = int(ends[-1])
    numbers = np.random.default_rng(0).choice(total, min(_SAMPLE, total), replace=False)
    videos = np.searchsorted(ends, numbers, side="right")
    stream = dataset.streams[0].name
    frames = []
    for video, number in zip(videos.tolist(), numbers.tolist(), strict=True):
        place = stream, int(dataset.index.keys[video]), int(number - ends[video] + dataset.index.frame_counts[video])
        data = dataset.storage.read(*place)
        if not data.startswith(b"\xff\xd8"):
            raise OptionError(f"{dataset.storage.where(*place)}: bench compares the decoding of JPEGs, and this is none")
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


def _quartiles(values: Sequence[float], digits: int) -> list[float]:
    low, high = np.quantile(values, (0.25, 0.75)).tolist()
    return [round(low, digits), round(high, digits)]


def _cpu_s(pids: Sequence[int]) -> float:
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it died and was replaced
        ticks += int(fields[11]) + int(fields[12])  # user, system
    return ticks / os.sysconf("SC_CLK_TCK")


def _peak_rss(pids: Sequence[int]) -> int:
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return total * 1024


def _table(result: dict[str, Any]) -> str:
    data, options = result["data"], result["options"]
    rates, ceilings, ratios = (
        "quartiles " + " to ".join(f"{value:{form}}" for value in result[name])
        for name, form in (
            ("frames_per_s_quartiles", ",.0f"),
            ("ceiling_quartiles", ",.0f"),
            ("efficiency_quartiles", ".3f"),
        )
    )
    rows = [
        ("efficiency", f"{result['efficiency']:.3f}", f"{ratios}, {result['turns']} rounds"),
        ("frames/s", f"{result['frames_per_s']:,.0f}", rates),
        ("ceiling, frames/s", f"{result['ceiling_frames_per_s']:,.0f}", ceilings),
        ("CPU per frame", f"{result['cpu_ms_per_frame']:.3f} ms", "all processes"),
        ("first batch", f"{result['first_batch_s']:.2f} s", f"after {result['open_s']:.2f} s to scan"),
        ("peak memory", f"{result['peak_rss_mb']:,.0f} MB", f"sum of processes; {result['pss_mb']:,.0f} MB shared fairly"),
    ]
    size = data["frame_size"]
    size = size if isinstance(size, str) else f"{len(size)} sizes"
    head = (
        f"{data['frames']:,} frames of {size}, {data['mean_jpeg_bytes']:,} bytes on average\n"
        f"batches of {options['batch_size']} clips of {options['time_steps']} frames, crop {options['crop']}, "
        f"{options['workers']} workers on {result['cores']} cores"
    )
    lines = [f"{name:<18}{value:>12}  {note}" for name, value, note in rows]
    return "\n".join([head, *lines])
