"""`fastclips bench --step-ms`: a training step is played, and training starves or does not.

A step is a pause of the length given, since a training process waits for its GPU. Between two steps the next
batch is taken. The first steps are not counted: they start the workers and fill the cache.
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.commands.turns import loader_of
from fastclips.errors import OptionError
from fastclips.serving.stats import MUCH

if TYPE_CHECKING:
    import argparse

    from fastclips.data.dataset import Dataset
    from fastclips.serving.stats import Stats

__all__ = ["add_step_argument", "check_step", "play", "step_rows"]

_LEAST_STEPS = 3
_SUMS = ("seconds", "frames_served", "read_s", "decode_s", "kernel_s", "idle_s", "start_s")


def add_step_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--step-ms`` to a parser."""
    parser.add_argument(
        "--step-ms",
        metavar="MS",
        type=float,
        help="also play training steps of so many milliseconds, for --seconds, and say whether they wait",
    )


def check_step(step_ms: float | None) -> None:
    """Raise OptionError if the length of a step is none."""
    if step_ms is not None and not 0 < step_ms < float("inf"):
        raise OptionError(f"step_ms={step_ms!r}: must be more than 0 milliseconds")


def play(dataset: Dataset, args: argparse.Namespace) -> dict[str, Any]:
    """Play training steps, and return the figures of the command.

    Parameters
    ----------
    dataset : Dataset
        What the steps are fed with.
    args : Namespace
        The command's options: `step_ms`, `seconds`, and those of the loader.
    """
    with loader_of(dataset, args, cache="auto") as loader:
        batches = iter(loader)
        _steps(batches, args.step_ms, args.seconds / 2)
        before = loader.stats()
        waits = np.array(_steps(batches, args.step_ms, args.seconds)) * 1e3
        stats = _since(before, loader.stats(), float(waits.sum() / 1e3))
    low, middle, high = np.quantile(waits, (0.25, 0.5, 0.75)).tolist()
    return {
        "step_ms": args.step_ms,
        "steps": len(waits),
        "starves": stats.waiting >= MUCH,
        "waiting": round(stats.waiting, 4),
        "wait_ms": round(middle, 3),
        "wait_ms_quartiles": [round(low, 3), round(high, 3)],
        "longest_wait_ms": round(float(waits.max()), 3),
        "step_workers": stats.workers,
        "suggested_workers": stats.suggested_workers,
        "step_verdict": _verdict(stats),
    }


def _steps(batches: Any, step_ms: float, seconds: float) -> list[float]:  # noqa: ANN401 - of any structure
    """Play steps for some seconds; return the seconds that each waited for its batch."""
    waits: list[float] = []
    began = perf_counter()
    while perf_counter() - began < seconds or len(waits) < _LEAST_STEPS:
        asked = perf_counter()
        next(batches)
        waits.append(perf_counter() - asked)
        sleep(step_ms / 1e3)
    return waits


def _since(before: Stats, after: Stats, waited_s: float) -> Stats:
    """Return the times of the loader since earlier ones, and what the steps waited."""
    spent = {name: getattr(after, name) - getattr(before, name) for name in _SUMS}
    return replace(after, **spent, waited_s=waited_s)


def _verdict(stats: Stats) -> str:
    """Return what to change, in words."""
    if stats.waiting >= MUCH and stats.idles:
        return "the workers wait too: give the training process more CPU time, or more --memory for batches"
    return stats.verdict


def step_rows(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return lines of the command's table: title, figure, and note."""
    if "step_ms" not in result:
        return []
    found = "starves" if result["starves"] else "is fed"
    note = (
        f"waits {result['waiting']:.1%} of the time over {result['steps']} steps, "
        f"{result['longest_wait_ms']:.1f} ms at most"
    )
    return [(f"step of {result['step_ms']:g} ms", found, note), ("", "", result["step_verdict"])]
