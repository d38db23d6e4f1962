"""How long from starting Python to the first batch?

    python benchmarks/frames.py /tmp/frames
    python benchmarks/first_batch.py /tmp/frames

Fresh processes run one after the other, with files in the page cache and compiled kernels in numba's cache.
Batches of (8, 16, 224, 224, 3) uint8. Medians (minimum-maximum) in ms::

    workers          python           import            open       first batch            in all
    0         200 (166-242)    287 (236-379)      11 (8-18)   1,016 (865-1,486) 1,468 (1,330-2,107)
    1         192 (171-304)    255 (201-551)     12 (10-50) 1,381 (1,070-1,896) 1,847 (1,541-2,521)
    2         189 (134-296)    272 (178-417)      16 (8-32) 1,251 (1,148-2,440) 1,726 (1,514-3,031)

2 cores, shared with other work for four processes, so a quiet machine takes about half of these times; 24
videos of 64 frames. Python's own cache of compiled modules must be on (``PYTHONDONTWRITEBYTECODE`` unset).

How to read: "python" is the interpreter with NumPy, which every loader needs. "import" is the further time of
`import fastclips`. "open" scans the folder. "first batch" runs from before `ClipLoader(...)` to its first
batch. With workers, most of it is the nursery's import of numba and of the kernels, once for all workers.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

PART = """
import json, sys, time
import numpy
numpy_s = time.clock_gettime(time.CLOCK_MONOTONIC) - float(sys.argv[3])
began = time.perf_counter()
import fastclips as fc
imported = time.perf_counter()
dataset = fc.open(sys.argv[1])
opened = time.perf_counter()
loader = fc.ClipLoader(
    dataset, fc.Windows(16), [fc.RandomCrop(224), fc.RandomFlip()], batch_size=8, workers=int(sys.argv[2])
)
x, y = next(iter(loader))
done = time.perf_counter()
loader.close()
assert x.shape == (8, 16, 224, 224, 3)
print(json.dumps([numpy_s, imported - began, opened - imported, done - opened, numpy_s + done - began]))
"""
PARTS = ("python", "import", "open", "first batch", "in all")


def once(folder: Path, workers: int) -> list[float]:
    """Run a fresh process and return the time of each part in s."""
    began = time.clock_gettime(time.CLOCK_MONOTONIC)
    done = subprocess.run(
        [sys.executable, "-c", PART, str(folder), str(workers), str(began)],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time to the first batch, in fresh processes.")
    parser.add_argument("folder", type=Path, help="folder of class/video/frame.jpg")
    parser.add_argument(
        "--repeats", type=int, default=9, help="processes for each number of workers (%(default)s)"
    )
    args = parser.parse_args()
    kinds = (0, 1, 2)
    once(args.folder, 1)  # warms the caches
    times: dict[int, list[list[float]]] = {workers: [] for workers in kinds}
    for _ in range(args.repeats):
        for workers in kinds:
            times[workers].append(once(args.folder, workers))
    print(f"{'workers':<8}" + "".join(f"{part:>18}" for part in PARTS))
    for workers in kinds:
        columns = [[1e3 * value for value in column] for column in zip(*times[workers], strict=True)]
        cells = (f"{median(c):,.0f} ({min(c):,.0f}-{max(c):,.0f})" for c in columns)
        print(f"{workers:<8}" + "".join(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    main()
