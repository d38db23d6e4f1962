"""Turns of loaders that are measured beside something else, and rates of rounds of such turns."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips.engine.arena import COUNTERS
from fastclips.errors import EngineError
from fastclips.loader import ClipLoader
from fastclips.pixels.geometry.crops import RandomCrop
from fastclips.pixels.geometry.flips import RandomFlip
from fastclips.planning.samplers import Windows

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

    from fastclips.data.dataset import Dataset

__all__ = ["LEAST_BATCHES", "TURN_S", "Engine", "Turn", "loader_of", "rates"]

TURN_S = 0.25
LEAST_BATCHES = 3  # in a turn of a loader
_SETTLE_S = 60.0  # how long the workers may take to finish what was submitted
_CLIPS = COUNTERS.index("clips")


def loader_of(data: Dataset, args: Namespace, cache: str | int = 0) -> ClipLoader:
    """Return the loader that the command's options ask for; without a cache, decoding is measured."""
    return ClipLoader(
        data,
        Windows(args.time_steps, step=args.step),
        [RandomCrop(args.crop), RandomFlip()],
        batch_size=args.batch_size,
        shuffle=True,
        repeat=True,
        rank=0,
        workers=args.workers,
        memory=args.memory,
        cache=cache,
    )


class Turn(NamedTuple):
    """The result of a turn."""

    frames_per_s: float
    cpu_ms: float  # per frame
    seconds: float


class Engine:
    """The loader's side: batches are received and thrown away."""

    def __init__(self, loader: ClipLoader, time_steps: int) -> None:
        self._loader = loader
        self._batches = iter(loader)
        self._time_steps = time_steps

    def take(self) -> int:
        """Receive a batch and return its number of frames."""
        batch = next(self._batches)
        x = batch[0] if isinstance(batch, tuple) else batch  # without labels
        return len(x) * self._time_steps

    def settle(self) -> int:
        """Wait until the workers have nothing left to do; return how many batches are ready."""
        if not self._loader.workers:
            return 0
        loader, deadline = self._loader, perf_counter() + _SETTLE_S
        ahead = loader._pending  # noqa: SLF001 - only a benchmark needs the batches in flight
        rows = loader._layout.ticket_rows  # noqa: SLF001
        submitted = loader._served + rows * sum(len(batch.batch.tickets) for batch in ahead)  # noqa: SLF001
        while loader._engine.counters[:, _CLIPS].sum() < submitted:  # noqa: SLF001
            if perf_counter() > deadline:
                raise EngineError(f"the workers did not come to rest in {_SETTLE_S:.0f} s")
            sleep(0.002)
        return len(ahead)

    def turn(self) -> Turn:
        """Receive batches for the time of a turn."""
        ready, pids = self.settle(), [os.getpid(), *self._loader.pids]
        cpu = _cpu_s(pids)
        untimed = sum(self.take() for _ in range(ready + 1))
        began = now = perf_counter()
        frames = batches = 0
        while now - began < TURN_S or batches < LEAST_BATCHES:
            frames += self.take()
            batches += 1
            now = perf_counter()
        self.settle()
        cpu = _cpu_s(pids) - cpu
        return Turn(frames / (now - began), 1e3 * cpu / (untimed + frames), now - began)


def rates(name: str, rounds: Sequence[Any], figure: Callable[[Any], float], digits: int) -> dict[str, Any]:
    """Return the median of a figure of rounds, and its quartiles, by their names in the output."""
    quartiles = np.quantile([figure(turns) for turns in rounds], (0.25, 0.5, 0.75)).tolist()
    low, middle, high = (round(value, digits) for value in quartiles)
    return {name: middle, f"{name}_quartiles": [low, high]}


def _cpu_s(pids: Sequence[int]) -> float:
    ticks = 0
    for pid in pids:
        with suppress(OSError):  # it died and was replaced
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # user, system
    return ticks / os.sysconf("SC_CLK_TCK")
