"""What does an order cost in decoded frames, and how well does it mix?

    python benchmarks/lanes.py

The benchmark decodes nothing: it counts what plans show. 200 videos of 300 frames, clips of 16 frames whose
windows begin 4 frames apart (or 1 with ``--step 1``), batches of 8. A cache keeps some of the 60,000 frames.
It knows the plan, and gives up the frame whose next use is farthest.

Result::

    frames kept             0    500  1,000  2,000  4,000  videos in a batch              apart
    no shuffle           3.84   1.00   1.00   1.00   1.00                1.0         0 (0 to 0)
    interleave=8         3.84   1.00   1.00   1.00   1.00                8.0        5 (1 to 12)
    interleave=32        3.84   2.14   1.44   1.00   1.00                8.0       20 (4 to 48)
    interleave=128       3.84   3.07   2.64   2.07   1.41                8.0     80 (16 to 192)
    shuffle              3.84   3.44   3.27   3.05   2.74                7.9   529 (91 to 1242)
    --step 1
    no shuffle          15.20   1.00   1.00   1.00   1.00                1.0         0 (0 to 0)
    interleave=8        15.20   1.03   1.02   1.00   1.00                8.0        5 (1 to 12)
    interleave=32       15.20   3.57   1.05   1.01   1.00                8.0       20 (4 to 48)
    interleave=128      15.20  11.50   7.85   3.47   1.05                8.0     80 (16 to 192)
    shuffle             15.20  13.44  12.68  11.63  10.20                7.9 2085 (358 to 4873)

How to read: the first columns are decodes per frame, by the number of frames that the cache keeps. Without a
cache a frame is decoded once for each window that shows it. 1,000 frames of 340x256 are 249 MiB. "videos in a
batch" are distinct. "apart" is the distance in the epoch, in batches, between a window and the next window of
its video: the median, and the 10th and 90th percentile.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
import heapq

import numpy as np

import fastclips as fc
from fastclips.planning.plan import Plan

VIDEOS, FRAMES, BATCH = 200, 300, 8
KEPT = (500, 1000, 2000, 4000)
ORDERS = {
    "no shuffle": {},
    "interleave=8": {"shuffle": True, "interleave": 8},
    "interleave=32": {"shuffle": True, "interleave": 32},
    "interleave=128": {"shuffle": True, "interleave": 128},
    "shuffle": {"shuffle": True},
}


def decodes(shown: list[int], kept: int) -> int:
    """Return how many frames are decoded if so many are kept, those whose next use is nearest."""
    never = len(shown)
    upcoming, next_use = [never] * never, {}
    for at in range(never - 1, -1, -1):
        upcoming[at] = next_use.get(shown[at], never)
        next_use[shown[at]] = at
    cache: dict[int, int] = {}
    farthest: list[tuple[int, int]] = []
    count = 0
    for frame, again in zip(shown, upcoming, strict=True):
        count += cache.pop(frame, None) is None
        if again == never:
            continue
        cache[frame] = again
        heapq.heappush(farthest, (-again, frame))
        while len(cache) > kept:
            use, other = heapq.heappop(farthest)
            if cache.get(other) == -use:
                del cache[other]
    return count


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Counts decoded frames and mixing of several orders.")
    parser.add_argument("--step", type=int, default=4, help="frames from one window to the next")
    step = parser.parse_args().step
    head = "".join(f"{f'{kept:,}':>7}" for kept in KEPT)
    print(f"    {'frames kept':18}{'0':>7}{head}{'videos in a batch':>19}{'apart':>19}")
    for name, order in ORDERS.items():
        plan = Plan([FRAMES] * VIDEOS, fc.Windows(16, step=step), draws=0, batch_size=BATCH, **order)
        table, frames = plan.table(0), plan.frames(0)
        video, start = table["video"], table["start"]
        shown = (video[:, None] * FRAMES + frames).ravel().tolist()
        distinct = len(set(shown))
        counts = "".join(f"{decodes(shown, kept) / distinct:7.2f}" for kept in KEPT)
        whole = video[: len(video) // BATCH * BATCH].reshape(-1, BATCH)
        mixed = np.mean([len(set(of_batch)) for of_batch in whole.tolist()])
        place = np.argsort(video * FRAMES + start)  # of each window, in the order of the videos
        of_one = np.diff(video[place]) == 0
        apart = np.abs(np.diff(place))[of_one] / BATCH
        low, middle, high = np.percentile(apart, [10, 50, 90])
        print(
            f"    {name:18}{len(shown) / distinct:7.2f}{counts}{mixed:19.1f}"
            f"{f'{middle:.0f} ({low:.0f} to {high:.0f})':>19}"
        )


if __name__ == "__main__":
    main()
