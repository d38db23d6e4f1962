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
import simplejpeg  # decode.py is its only importer in the engine; here stands what the engine is held against
from tqdm import tqdm

from fastclips.data.opening import open_dataset
from fastclips.engine.arena import COUNTERS
from fastclips.errors import EngineError, OptionError
from fastclips.loader import ClipLoader
from fastclips.pixels.crops import RandomCrop, RandomFlip
from fastclips.pixels.decode import frame_size
from fastclips.planning.samplers import Windows
from fastclips.stats import resident_bytes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from fastclips.data.index import Dataset

__all__ = ["add_arguments", "run"]

_TURN_S = 0.25
_LEAST_BATCHES = 3  # of a turn of the engine
_LEAST_ROUNDS = 2  # one in each order
_SAMPLE = 512  # frames of the bare loop, more than any cache near the cores holds
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
  ceiling_frames_per_s  frames that bare loops of simplejpeg decode, one in each of as many processes as
                        there are workers, of bytes that are in memory, into one reused buffer each
  cpu_ms_per_frame      CPU time per frame of all processes, user and system, in the engine's turns;
                        ceiling_cpu_ms_per_frame in the bare loop's. Even on a busy machine the two compare
  first_batch_s         from before the ClipLoader is made to its first batch; the folder was scanned before,
                        in open_s. The files may come from the disk or from the page cache: run it twice
  peak_rss_mb           sum of each process's peak resident memory; shared pages count in every process
  pss_mb                memory at the end, shared pages counted once: what the machine really gives
  rounds                of two turns, a quarter of a second each, one of the engine and one of the bare
                        loops, in alternating order; while one side has its turn, the other is blocked
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
        "Measure the loader on a folder of frames and, in turn, the fastest that they can be decoded."
    )
    parser.epilog = _MANUAL
    parser.add_argument("folder", metavar="DIR", help="folder of class/video/frame.jpg")
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
        with closing(_Bare(frames, max(1, loader.workers))) as bare:
            rounds = _measure(engine, bare, args.seconds, show=not args.json)
        pids = [os.getpid(), *loader.pids]
        result = {
            **_spread("frames_per_s", [a.frames_per_s for a, _ in rounds], 1),
            **_spread("ceiling_frames_per_s", [b.frames_per_s for _, b in rounds], 1),
            **_spread("efficiency", [a.frames_per_s / b.frames_per_s for a, b in rounds], 4),
            "rounds": len(rounds),
            "cpu_ms_per_frame": round(median(a.cpu_ms for a, _ in rounds), 4),
            "ceiling_cpu_ms_per_frame": round(median(b.cpu_ms for _, b in rounds), 4),
            "first_batch_s": round(first_batch_s, 3),
            "open_s": round(opened - began, 3),
            "peak_rss_mb": round(_peak_rss(pids) / 2**20, 1),
            "pss_mb": round(resident_bytes(pids) / 2**20, 1),
        }
    options = {name: value for name, value in vars(args).items() if name in _OPTIONS}
    result |= {
        "ceiling": "simplejpeg.decode_jpeg of bytes in memory, into one reused buffer",
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


class _Bare:
    """The bare loop's side: fresh interpreters that work when a pipe says so, and end when it does."""

    def __init__(self, frames: Sequence[bytes], processes: int) -> None:
        # An interrupt is for the parent. Not kept off by sessions: the kernel may share out cores by these.
        code = (
            "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); "
            "sys.path[:] = sys.argv[1:]; from fastclips.bench import _serve; _serve()"
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
                self._send(number, [*frames[first:], *frames[:first]])
            self.turn(_TURN_S)  # not counted: whoever answers is ready
        except BaseException:
            self.close()
            raise

    def turn(self, seconds: float) -> _Turn:
        """Work for a while; the rate is that of all processes together."""
        for number in range(len(self._processes)):
            self._send(number, seconds)
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
    """Be a process of the bare loop, until the other end is gone."""
    commands, answers = sys.stdin.buffer, sys.stdout.buffer
    with suppress(EOFError, BrokenPipeError, pickle.UnpicklingError):
        frames = pickle.load(commands)  # noqa: S301 - our own parent wrote it
        buffer = np.empty(3 * max(height * width for height, width in map(frame_size, frames)), np.uint8)
        options = {"fastdct": _FAST_DCT, "fastupsample": False, "buffer": buffer}
        number = 0
        while True:
            seconds = pickle.load(commands)  # noqa: S301 - as above
            first, began, cpu = number, perf_counter(), process_time()
            while (now := perf_counter()) - began < seconds:
                simplejpeg.decode_jpeg(frames[number % len(frames)], "RGB", **options)
                number += 1
            pickle.dump((number - first, now - began, process_time() - cpu), answers)
            answers.flush()
    os._exit(0)  # whatever is left to flush, nobody reads it


def _measure(engine: _Engine, bare: _Bare, seconds: float, *, show: bool) -> list[tuple[_Turn, _Turn]]:
    """Return the rounds: a turn of the engine and one of the bare loop."""
    rounds: list[tuple[_Turn, _Turn]] = []
    length = engine.turn().seconds  # its rate is not counted: it touches slots for the first time
    spent = 0.0
    with tqdm(total=seconds, desc="measuring", leave=False, disable=not show, bar_format=_BAR) as bar:
        while spent < seconds or len(rounds) < _LEAST_ROUNDS:
            if len(rounds) % 2:
                b, a = bare.turn(length), engine.turn()
            else:
                a, b = engine.turn(), bare.turn(length)
            rounds.append((a, b))
            spent += a.seconds + b.seconds
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
        data = dataset.storage.read(*place)
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


def _spread(name: str, values: Sequence[float], digits: int) -> dict[str, Any]:
    low, middle, high = (round(value, digits) for value in np.quantile(values, (0.25, 0.5, 0.75)).tolist())
    return {name: middle, f"{name}_quartiles": [low, high]}


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
    ):
        low, high = result[f"{name}_quartiles"]
        rows.append((title, f"{result[name]:{form}}", f"quartiles {low:{form}} to {high:{form}}"))
    bare, pss = f"{result['ceiling_cpu_ms_per_frame']:.3f} ms", f"{result['pss_mb']:,.0f} MB"
    rows += [
        ("CPU per frame", f"{result['cpu_ms_per_frame']:.3f} ms", f"the bare loop takes {bare}"),
        ("first batch", f"{result['first_batch_s']:.2f} s", f"after {result['open_s']:.2f} s of scanning"),
        ("peak memory", f"{result['peak_rss_mb']:,.0f} MB", f"{pss} with shared pages counted once"),
    ]
    return "\n".join([head, *(f"{title:<18}{value:>12}  {note}" for title, value, note in rows)])
