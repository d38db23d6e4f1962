"""Do memory, descriptors and threads stay flat over 100,000 batches and over 1,000 loaders?

    python benchmarks/memory.py                              10,000 batches of one loader
    python benchmarks/memory.py --batches 100000
    python benchmarks/memory.py --loaders 1000               made, read and closed, one after the other

The benchmark writes its own small frames and receives batches of (4, 8, 64, 64, 3) uint8. It keeps a random
tenth of them in a ring of 30, which is more than there are slots, so leases end late and out of order, and
copies are made. Memory is allocated memory in MB, anonymous or shared by the processes, with shared pages
counted once. Pages of libraries' files are left out: they belong to the page cache, and other programs share
them. Descriptors and threads are those of all processes.

Result::

     batches     trainer     nursery     workers         all descriptors     threads   batches/s
       10000        42.6        29.0        74.2       145.9          35           7      1199.5
       20000        42.6        29.0        74.2       145.9          35           7      1462.0
       50000        42.6        29.0        74.2       145.9          35           7      1243.1
      100000        42.6        29.0        74.2       145.9          35           7      1465.0
    private memory: nursery 4.9, workers 5.5, 5.5
    drift per 1,000 batches: +0.000, -0.000, +0.000, +0.000, +0.000, +0.000

     loaders     trainer     nursery     workers         all descriptors     threads   loaders/s
         100        33.3         0.0         0.0        33.3          18           4         0.5
         200        34.3         0.0         0.0        34.3          18           4         0.4
         500        34.4         0.0         0.0        34.4          18           4         0.5
        1000        34.5         0.0         0.0        34.5          18           4         0.5
    drift per 1,000 loaders: +0.125, +0.000, +0.000, +0.125, +0.000, +0.000

2 cores, shared with much other work.

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
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from frames import write_frames

import fastclips as fc

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT = 30
LINES = 10
WIDTH = 12
COLUMNS = ("trainer", "nursery", "workers", "all", "descriptors", "threads")


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


def count(pids: list[int], what: str) -> int:
    """Return how many descriptors ("fd") or threads ("task") some processes have."""
    return sum(len([*Path(f"/proc/{pid}/{what}").iterdir()]) for pid in pids)


def measure(pids: list[int]) -> tuple[float, ...]:
    """Return the numbers for `COLUMNS`: of this process, a nursery and its workers."""
    trainer, nursery, *workers = (
        (held(pid) for pid in (os.getpid(), *pids)) if pids else (held(os.getpid()), 0)
    )
    everyone = [os.getpid(), *pids]
    total = trainer + nursery + sum(workers)
    return trainer, nursery, sum(workers), total, count(everyone, "fd"), count(everyone, "task")


def make_loader(folder: str, workers: int) -> fc.ClipLoader:
    """Return a loader of random crops."""
    return fc.ClipLoader(
        fc.open(folder),
        fc.Windows(8, step=4),
        [fc.RandomCrop(64), fc.RandomFlip()],
        batch_size=4,
        shuffle=True,
        repeat=True,
        workers=workers,
    )


def after_batches(folder: str, batches: int, workers: int) -> Iterator[tuple[float, ...]]:
    """Receive batches of one loader; yield measures after each."""
    draw, kept = random.Random(0), []
    with make_loader(folder, workers) as loader:
        for number, (x, _) in enumerate(loader, 1):
            if draw.random() < 0.1:
                kept.append((x, x[0, 0, 0, 0].copy()))
                if len(kept) > KEPT:
                    old, pixel = kept.pop(draw.randrange(KEPT))
                    assert (old[0, 0, 0, 0] == pixel).all()
            yield measure(loader.pids) if number % (batches // LINES) == 0 else ()
            if number == batches:
                nursery, *others = loader.pids
                print(f"private memory: nursery {private(nursery):.1f}", end=", ")
                print("workers " + ", ".join(f"{private(pid):.1f}" for pid in others))
                return


def after_loaders(folder: str, loaders: int, workers: int) -> Iterator[tuple[float, ...]]:
    """Make loaders, receive a few batches of each, keep the last, and close; yield measures after each."""
    kept: list[np.ndarray] = []
    for number in range(loaders):
        with make_loader(folder, workers) as loader, closing(iter(loader)) as batches:
            kept = [*kept, *(next(batches)[0] for _ in range(3))][-KEPT:]
        yield measure([]) if (number + 1) % (loaders // LINES) == 0 else ()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Memory, descriptors and threads over time.")
    parser.add_argument("--batches", type=int, default=10_000)
    parser.add_argument("--loaders", type=int, default=0, help="make so many loaders, instead")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_frames(Path(folder), height=72, width=96, videos=16, frames=32)
        what = "loaders" if args.loaders else "batches"
        run = after_loaders if args.loaders else after_batches
        print(f"{what:>8}" + "".join(f"{name:>{WIDTH}}" for name in COLUMNS) + f"{what + '/s':>{WIDTH}}")
        rows, began = [], time.perf_counter()
        for number, row in enumerate(run(folder, args.loaders or args.batches, args.workers), 1):
            if row:
                rows.append((number, *row))
                rate = number / (time.perf_counter() - began)
                shown = "".join(f"{value:>{WIDTH}.1f}" for value in row[:4]) + "".join(
                    f"{value:>{WIDTH}}" for value in row[4:]
                )
                print(f"{number:>8}{shown}{rate:>{WIDTH}.1f}", flush=True)
    late = np.array(rows[len(rows) // 2 :])
    slopes = np.polyfit(late[:, 0] / 1000, late[:, 1:], 1)[0]
    print(f"drift per 1,000 {what}: " + ", ".join(f"{slope:+.3f}" for slope in slopes))


if __name__ == "__main__":
    main()
