"""How much of the bare decoding speed reaches the training loop, and what does receiving a batch cost?

    python benchmarks/frames.py /tmp/frames
    python benchmarks/engine.py /tmp/frames

The first part is `fastclips bench` with 2 workers and several crops. The second part receives batches of
(8, 16, 224, 224, 3) uint8, 19 MB, and measures the CPU time of the consumer's thread alone, which is lost for
training. It includes planning and submitting another batch. The last line is the cost of copying the batch.

Result::

    crop      efficiency (quartiles)  frames/s  ceiling   CPU ms/frame (bare)
    224          0.911 (0.895-0.921)   11,561   12,817         0.173 (0.155)
    112          0.881 (0.875-0.907)   18,509   21,015         0.107 (0.095)
    consumer, CPU us per batch: 221 (quartiles 202-257)
    a copy of the batch:        824

2 cores of a virtual machine whose host has other work; measured on 2026-11-21 with ``fast_dct=True``.
Decoding is faster since, so what is around it weighs more: 0.76 of the ceiling at 224 by CPU time, on a busy
machine.

How to read: the efficiency is a ratio within rounds of half a second. It holds on a busy machine too, if its
quartiles are close. The ceiling reads no file, crops nothing and hands nothing over, so the rest to 1 is
reading, cropping and Python. CPU time per frame includes the consumer.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

import fastclips as fc

CROPS = (224, 112)
BATCHES = 40


def bench(folder: Path, crop: int, workers: int, seconds: float) -> dict[str, float]:
    """Run `fastclips bench` and return what it measured."""
    options = {"--crop": crop, "--workers": workers, "--seconds": seconds}
    words = [str(word) for pair in options.items() for word in pair]
    command = [sys.executable, "-m", "fastclips.commands.cli", "bench", str(folder), *words, "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def consumer_us(folder: Path, workers: int) -> list[float]:
    """Receive batches; return the CPU time in us that each cost the receiving thread."""
    with fc.ClipLoader(
        fc.open(folder),
        fc.Windows(16, step=8),
        [fc.RandomCrop(224), fc.RandomFlip()],
        batch_size=8,
        shuffle=True,
        repeat=True,
        workers=workers,
    ) as loader:
        batches = iter(loader)
        spent = []
        for _ in range(BATCHES):
            began = time.thread_time()
            x, y = next(batches)
            spent.append((time.thread_time() - began) * 1e6)
            assert x.shape[1:] == (16, 224, 224, 3)
            assert len(x) == len(y)
    return spent[5:]


def copy_us() -> float:
    """Return the CPU time in us of copying such a batch into memory that was used before."""
    source, target = np.ones((2, 8, 16, 224, 224, 3), np.uint8)
    spent = []
    for _ in range(15):
        began = time.thread_time()
        np.copyto(target, source)
        spent.append((time.thread_time() - began) * 1e6)
    return median(spent)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Engine against the bare decode loop.")
    parser.add_argument("folder", type=Path, help="folder of class/video/frame.jpg")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0, help="time of each line (%(default)s)")
    args = parser.parse_args()
    print(
        f"{'crop':<6}{'efficiency (quartiles)':>26}{'frames/s':>10}{'ceiling':>9}{'CPU ms/frame (bare)':>22}"
    )
    for crop in CROPS:
        result = bench(args.folder, crop, args.workers, args.seconds)
        low, high = result["efficiency_quartiles"]
        print(
            f"{crop:<6}{result['efficiency']:>12.3f} ({low:.3f}-{high:.3f}){result['frames_per_s']:>9,.0f}"
            f"{result['ceiling_frames_per_s']:>9,.0f}"
            f"{result['cpu_ms_per_frame']:>14.3f} ({result['ceiling_cpu_ms_per_frame']:.3f})"
        )
    spent = consumer_us(args.folder, args.workers)
    low, high = np.quantile(spent, (0.25, 0.75))
    print(f"consumer, CPU us per batch: {median(spent):,.0f} (quartiles {low:,.0f}-{high:,.0f})")
    print(f"a copy of the batch:        {copy_us():,.0f}")


if __name__ == "__main__":
    main()
