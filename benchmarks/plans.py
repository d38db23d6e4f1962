"""How long does the plan of a billion clips take, and how much memory, for one rank of 1,024?

    python benchmarks/plans.py
    python benchmarks/plans.py --clips 1e6 1e8

Videos of 100 windows each; batches of 8; 12 numbers drawn for each clip, as crops and flips draw them. Each
line is a process of its own, which makes the plan of one rank and asks for batches as a loader does, 64 at a
time. Nothing is decoded.

Result::

            clips  order         plan s  first s             batch ms  epoch s  memory GiB  peak GiB
        1,000,000  no shuffle      0.00     0.01     0.03 (0.03-0.03)     0.02        0.00      0.00
        1,000,000  interleave      0.00     0.01     0.03 (0.03-0.03)     0.01        0.01      0.01
        1,000,000  shuffle         0.00     0.41     0.03 (0.03-0.03)     0.17        0.03      0.03
      100,000,000  no shuffle      0.03     0.02     0.03 (0.03-0.09)     0.02        0.03      0.03
      100,000,000  interleave      0.24     0.39     0.04 (0.03-0.10)     0.29        0.09      0.09
      100,000,000  shuffle         0.02    22.74     0.04 (0.04-0.10)    20.73        0.78      1.90
    1,000,000,000  no shuffle      0.23     0.01     0.03 (0.03-0.03)     0.01        0.16      0.31
    1,000,000,000  interleave      1.17     1.35     0.03 (0.03-0.03)     1.78        0.53      0.80
    1,000,000,000  shuffle         0.12   271.82     0.11 (0.10-0.12)   319.66        7.61     18.79

How to read: "plan" is the time to make the plan, and "first" from there to the first batch. "batch" is the
time for each further batch (8 clips), the median of blocks of 64 with quartiles. "epoch" is the time to the
first batch of the next epoch. "memory" is what the process has kept then, in all, and "peak" the most that it
ever had, both without the 0.03 GiB of the imports. A loader makes the next epoch before the old one ends, so
both are in memory for a while.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import numpy as np

import fastclips as fc
from fastclips.planning.clips import Videos
from fastclips.planning.plan import Plan

__all__ = ["main"]

BATCH, WINDOWS, BLOCK, DRAWS = 8, 100, 64, 12
ORDERS = ("no shuffle", "interleave", "shuffle")


def memory() -> tuple[float, float]:
    """Return what this process has in memory, and the most that it had, in GiB."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    found = {line.partition(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return int(found["VmRSS"]) / 2**20, int(found["VmHWM"]) / 2**20


def measure(clips: int, order: str, world: int, blocks: int) -> dict[str, float]:
    """Measure the plan of one rank in this process."""
    before = memory()[0]
    options = {"no shuffle": {}, "shuffle": {"shuffle": True}}.get(
        order, {"shuffle": True, "interleave": min(BATCH * world, clips)}
    )
    began = perf_counter()
    videos = Videos(np.full(-(-clips // WINDOWS), 16 * WINDOWS))
    plan = Plan(
        videos, fc.Windows(16), draws=DRAWS, batch_size=BATCH, rank=world // 2, world=world, **options
    )
    made = perf_counter()
    plan.clips(0, 0, 1)
    first = perf_counter()
    spent = []
    for block in range(blocks):
        at = (1 + block * len(plan) // blocks) % max(1, len(plan) - BLOCK)
        started = perf_counter()
        batches = -(-len(plan.clips(0, at, BLOCK).video) // BATCH)
        spent.append((perf_counter() - started) / batches)
    started = perf_counter()
    plan.clips(1, 0, 1)
    low, middle, high = np.quantile(spent, (0.25, 0.5, 0.75)) * 1e3
    kept, peak = memory()
    return {
        "plan_s": made - began,
        "first_s": first - made,
        "batch_ms": middle,
        "batch_ms_quartiles": [low, high],
        "epoch_s": perf_counter() - started,
        "kept_gib": kept - before,
        "peak_gib": peak - before,
    }


def main(words: list[str] | None = None) -> list[dict[str, object]]:
    """Measure, print a table, and return its lines."""
    parser = argparse.ArgumentParser(description="Plans of very many clips.")
    parser.add_argument("--clips", type=float, nargs="*", default=[1e6, 1e8, 1e9])
    parser.add_argument("--world", type=int, default=1024, help="ranks (%(default)s)")
    parser.add_argument("--orders", nargs="*", default=ORDERS, choices=ORDERS)
    parser.add_argument("--blocks", type=int, default=20, help="of 64 batches to time (%(default)s)")
    parser.add_argument("--line", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args(words)
    if args.line:
        clips, order, world, blocks = args.line
        print(json.dumps(measure(int(clips), order, int(world), int(blocks))))
        return []
    print(f"    {'clips':>13}  {'order':12}{'plan s':>8}{'first s':>9}{'batch ms':>21}{'epoch s':>9}"
          f"{'memory GiB':>12}{'peak GiB':>10}")  # fmt: skip
    rows: list[dict[str, object]] = []
    for clips in map(int, args.clips):
        for order in args.orders:
            line = [str(clips), order, str(args.world), str(args.blocks)]
            command = [sys.executable, str(Path(__file__).resolve()), "--line", *line]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                why = (
                    done.stderr.strip().splitlines() or [f"ended by {done.returncode}, such as for memory"]
                )[-1]
                print(f"    {clips:13,}  {order:12}failed: {why}", flush=True)
                rows.append({"clips": clips, "order": order, "failed": why})
                continue
            found = json.loads(done.stdout)
            low, high = found["batch_ms_quartiles"]
            batch = f"{found['batch_ms']:.2f} ({low:.2f}-{high:.2f})"
            print(
                f"    {clips:13,}  {order:12}{found['plan_s']:8.2f}{found['first_s']:9.2f}{batch:>21}"
                f"{found['epoch_s']:9.2f}{found['kept_gib']:12.2f}{found['peak_gib']:10.2f}",
                flush=True,
            )
            rows.append({"clips": clips, "order": order, **found})
    return rows


if __name__ == "__main__":
    main()
