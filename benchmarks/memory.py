"""Does memory stay flat over 10,000 batches, some of them kept, and how much does each process use?

    python benchmarks/memory.py

The benchmark writes its own small frames and receives batches of (4, 8, 64, 64, 3) uint8. It keeps a random
tenth of them in a ring of 30, which is more than there are slots, so leases end late and out of order, and
copies are made. Memory is allocated memory in MB, anonymous or shared by the processes, with shared pages
counted once. Pages of libraries' files are left out: they belong to the page cache, and other programs share
them.

Result::

     batches  trainer  nursery  workers     all  batches/s
        1000     33.2     25.5     57.2   115.9        449
        2000     33.7     25.5     56.7   115.9        541
        5000     33.7     25.5     56.7   115.9        608
       10000     33.7     25.5     56.7   115.9        640
    private memory: nursery 8.1, workers 9.5, 9.4
    drift per 1,000 batches: +0.001, +0.000, +0.000, +0.001

2 cores, shared with other work.

How to read: memory grows in the first lines, because slots are allocated when they are first used. After that
the columns must not grow; "drift" is the slope of the second half. Private memory is the cost of a further
worker beyond the arena: the interpreter, numba and the kernels are shared with the nursery.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from pathlib import Path

import numpy as np
from frames import write_frames

import fastclips as fc

KEPT = 30
LINES = 10


def memory(pid: int, *entries: str) -> float:
    """Return the sum of some entries of a process's smaps_rollup in MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]
    return sum(int(value) / 1024 for name, value, _ in map(str.split, lines) if name[:-1] in entries)


def held(pid: int) -> float:
    """Return the memory that a process has allocated, with its share of shared pages."""
    return memory(pid, "Pss_Anon", "Pss_Shmem")


def private(pid: int) -> float:
    """Return the memory that only this process has allocated."""
    return memory(pid, "Private_Dirty")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Memory of all processes over many batches.")
    parser.add_argument("--batches", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_frames(Path(folder), height=72, width=96, videos=16, frames=32)
        with fc.ClipLoader(
            fc.open(folder),
            fc.Windows(8, step=4),
            [fc.RandomCrop(64), fc.RandomFlip()],
            batch_size=4,
            shuffle=True,
            repeat=True,
            workers=args.workers,
        ) as loader:
            table = _watch(loader, args.batches)
            nursery, *workers = loader.pids
            print(f"private memory: nursery {private(nursery):.1f}", end=", ")
            print("workers " + ", ".join(f"{private(pid):.1f}" for pid in workers))
    late = table[len(table) // 2 :]
    slopes = np.polyfit(late[:, 0] / 1000, late[:, 1:], 1)[0]
    print("drift per 1,000 batches: " + ", ".join(f"{slope:+.3f}" for slope in slopes))


def _watch(loader: fc.ClipLoader, batches: int) -> np.ndarray:
    """Print and return lines: batches, memory of the trainer, the nursery, the workers and all."""
    print(f"{'batches':>8}{'trainer':>9}{'nursery':>9}{'workers':>9}{'all':>8}{'batches/s':>11}")
    draw = random.Random(0)
    kept = []
    rows = []
    began = time.perf_counter()
    for number, (x, _) in enumerate(loader, 1):
        if draw.random() < 0.1:
            kept.append((x, x[0, 0, 0, 0].copy()))
            if len(kept) > KEPT:
                old, pixel = kept.pop(draw.randrange(KEPT))
                assert (old[0, 0, 0, 0] == pixel).all()
        if number % (batches // LINES) == 0:
            trainer, nursery, *workers = (held(pid) for pid in (os.getpid(), *loader.pids))
            row = (trainer, nursery, sum(workers), trainer + nursery + sum(workers))
            rows.append((number, *row))
            rate = number / (time.perf_counter() - began)
            print(f"{number:>8}{row[0]:>9.1f}{row[1]:>9.1f}{row[2]:>9.1f}{row[3]:>8.1f}{rate:>11,.0f}")
        if number == batches:
            break
    return np.array(rows)


if __name__ == "__main__":
    main()
