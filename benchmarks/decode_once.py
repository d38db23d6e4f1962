"""How much does it save to decode a frame once that several clips show?

    python benchmarks/frames.py /tmp/frames
    python benchmarks/decode_once.py /tmp/frames

Frames of 340x256 (`frames.py`), clips of 16 frames, random crops of 224 and flips, batches of 8, two workers.

Several draws of a clip, ``draws_per_clip=4``, over the same rows as clips of their own::

                                frames/s               times    CPU ms per frame          times less
    folder                2,595 -> 6,864    2.78 (2.42-2.96)      0.227 -> 0.082    2.68 (2.62-2.75)
    pack                  2,246 -> 6,111    2.32 (2.16-2.80)      0.192 -> 0.086    2.25 (1.98-2.41)

2 cores, shared with other work.

How to read: both sides make equally many frames. They take turns in one run; "times" is the median ratio of a
round, with quartiles, and CPU is that of all processes.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import fastclips as fc
from fastclips.commands.turns import Engine, Turn

TIME_STEPS, BATCH, DRAWS = 16, 8, 4


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
        options = {"batch_size": BATCH, "shuffle": True, "repeat": True, "rank": 0, "workers": workers}
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Frames that are decoded once for several clips.")
    parser.add_argument("folder", type=Path, help="folder of class/video/frame.jpg")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        fc.pack(args.folder, Path(top) / "packed")
        sources = {"folder": fc.open(args.folder), "pack": fc.open(Path(top) / "packed")}
        draws_per_clip(sources, args.workers, args.rounds)


if __name__ == "__main__":
    main()
