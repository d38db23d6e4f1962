"""Lets the peers take turns, and writes a line of JSON for each that was started and for each turn."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from loader_turns import Loader, serve

from peers.common import Clips, task_of
from peers.environments import python_of, why_absent
from peers.registry import PEERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TextIO

LEAD_S = 0.5
BARE_S, BARE_THREADS, BARE_FRAMES = 0.25, 2, 64


class Side(NamedTuple):
    """A peer that reads a form of the data in a task."""

    peer: str
    form: str
    task: str


def sides_of(task: str, names: Iterable[str]) -> Iterator[Side]:
    """Yield the sides of a task."""
    for name in names:
        for form, tasks in PEERS[name].forms.items():
            if task in tasks:
                yield Side(name, form, task)


def serve_side(side: Side, work: Path, began: float, first: Path) -> None:
    """Be the process of a side; write its first batch to a file."""
    task = task_of(side.task, work / "data")

    def make() -> tuple[Any, Callable[[], int]]:
        peer = import_module(f"peers.peer_{side.peer}")
        batches = iter(peer.batches(task, side.form))
        batch = next(batches)
        first_s = time.time() - began
        np.savez(first, *(np.asarray(part) for part in batch))

        def take() -> int:
            x = next(batches)[0]
            assert tuple(x.shape) == (task.batch, x.shape[1], task.size, task.size, 3)
            return task.batch * x.shape[1]

        return {"version": peer.VERSION, "first_s": round(first_s, 3)}, take

    serve(make, LEAD_S)


def measure(tasks: Sequence[str], names: Sequence[str], work: Path, *, rounds: int, seconds: float) -> None:
    """Measure all sides of each task in turns, and append to ``results.jsonl``."""
    with (work / "results.jsonl").open("a") as results:
        for task in tasks:
            bare = BareDecoding(Clips(task_of("train", work / "data")))
            running = dict(started(sides_of(task, names), work, results))
            try:
                for number in range(rounds):
                    for side, loader in list(running.items())[:: -1 if number % 2 else 1]:
                        take_turn(side, loader, bare, seconds, results)
            finally:
                for loader in running.values():
                    loader.close()


def started(sides: Iterable[Side], work: Path, results: TextIO) -> Iterator[tuple[Side, Loader]]:
    """Start the sides; yield those whose first batch shows what it must."""
    for side in sides:
        wrong = why_absent(side.peer, work)
        task = task_of(side.task, work / "data")
        source = task.frames if side.form == "folder" else task.packed(side.form)
        if not wrong and not source.exists():
            wrong = f"{source.name} is missing"
        if not wrong:
            try:
                loader, wrong = start(side, work)
            except ChildProcessError as error:
                wrong = str(error) or "its process died"
        if wrong:
            write(results, side, kind="absent", reason=wrong)
            continue
        from peers.data import bytes_of  # noqa: PLC0415

        size = bytes_of(source)
        if task.masks and side.form == "folder":
            size += bytes_of(task.mask_folder)
        write(results, side, kind="started", bytes=size, **loader.version)
        yield side, loader


def start(side: Side, work: Path) -> tuple[Loader, str | None]:
    """Start a side and compare its first batch; return it, and what is wrong."""
    from peers.check import problem  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "first.npz"
        loader = Loader(
            [
                *(python_of(side.peer, work), str(Path(__file__).parent), "serve", str(work)),
                *("--side", *side, "--began", str(time.time()), "--first", str(first)),
            ]
        )
        with np.load(first) as batch:
            wrong = problem(Clips(task_of(side.task, work / "data")), tuple(batch.values()))
    if wrong:
        loader.close()
    return loader, wrong


def take_turn(side: Side, loader: Loader, bare: BareDecoding, seconds: float, results: TextIO) -> None:
    """Let a side work, after bare decoding."""
    bare_rate = bare.rate()
    loader.turn(seconds)
    write(
        results,
        side,
        kind="turn",
        frames_per_s=round(loader.rates[-1], 1),
        cpu_ms=round(loader.cpu_ms[-1], 4),
        pss_mb=round(loader.pss_mb(), 1),
        bare_frames_per_s=round(bare_rate, 1),
    )


def write(results: TextIO, side: Side, **values: Any) -> None:  # noqa: ANN401 - JSON
    """Append a line."""
    print(json.dumps({**side._asdict(), **values}), file=results, flush=True)
    print(side.task, side.peer, side.form, values, file=sys.stderr)


class BareDecoding:
    """Two threads that decode whole frames of 340x256 in memory by simplejpeg: what the machine gives now."""

    def __init__(self, clips: Clips) -> None:
        from peers.decoding import jpeg_frame, read  # noqa: PLC0415

        self._decode = jpeg_frame
        self._jpegs = [read(video.files[0]) for video in clips.videos][:BARE_FRAMES]

    def rate(self) -> float:
        """Return frames per second."""

        def count(began: float) -> int:
            frames = 0
            while time.perf_counter() - began < BARE_S:
                self._decode(self._jpegs[frames % len(self._jpegs)])
                frames += 1
            return frames

        with ThreadPoolExecutor(BARE_THREADS) as threads:
            began = time.perf_counter()
            frames = sum(threads.map(count, [began] * BARE_THREADS))
            return frames / (time.perf_counter() - began)
