"""How fast does an index of a million videos open, how much memory does it use, how fast is scanning?

    python benchmarks/index.py
    python benchmarks/index.py --videos 100000 --scanned 100000

Makes the index of 1,000,000 videos with 300 frames each and saves it; only the folders of a first batch of
small frames exist. A fresh process opens it with a loader of two workers, which serves a batch. Then folders
of 300 empty files are scanned, with and without an index.

Result::

    1,000,000 videos, 300,000,000 frames: 98 MiB, 103 bytes a video
    opens in 0.366 s: <Dataset: 1000000 videos, 300000000 frames, 400 classes; image>
    loader made in 0.26 s (4,500,000 batches); first batch 1.97 s later
    PSS of the file 0.0 MB; private memory: trainer 189.0 MB, nursery 4.5, workers 6.6, 6.6
    scanning 300,000 files: 0.41 s (740,661 a second), with index= 0.41 s, again 0.012 s

2 cores, shared with other work for four processes; files in the page cache.

How to read: "opens" is ``fastclips.open(root, index=...)``, including the check of the file's checksum. The
last figure, "again", includes the check that 1,000 folders have not changed. The index is copied into
shared memory, once for all processes of a loader, which counts as the trainer's private memory here. "PSS of
the file" is what processes map of the file itself.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from frames import write_frames

import fastclips as fc
from fastclips.data import saved_index
from fastclips.data.files import Files
from fastclips.data.index import Index
from fastclips.data.labels import Labels
from fastclips.data.names import FileNames
from fastclips.data.roots import Root
from fastclips.data.scan import FrameTree
from fastclips.data.storage import FolderStorage

FRAMES = 300
CLASSES = 400


def make(root: Path, path: Path, videos: int) -> None:
    """Save an index of videos whose folders need not exist."""
    per_class = -(-videos // CLASSES)
    names = [f"class_{video // per_class:03d}/video_{video:07d}_000010" for video in range(videos)]
    for name in names[:4]:
        folder = root / name
        folder.mkdir(parents=True)
        for number, source in enumerate(sorted((root.parent / "real").glob("*/*/*.jpg"))[:FRAMES], 1):
            (folder / f"img_{number:05d}.jpg").symlink_to(source)
    files = FileNames(FRAMES, "img_%05d.jpg", 1)
    storage = FolderStorage.of({"image": FrameTree(str(root), dict.fromkeys(names, files))})
    classes = tuple(dict.fromkeys(name.partition("/")[0] for name in names))
    labels = Labels.of_classes(np.arange(videos, dtype=np.int64) // per_class, len(classes))
    keys = np.arange(videos, dtype=np.int64)
    index = Index(storage.videos, keys, np.zeros_like(keys), storage.frame_counts, labels, classes)
    options = Files({"image": Root(root)}, None, None, None, None, True, None, None, "error", frozenset())
    saved_index._packed(storage, index, options.made_from()).save(path)  # noqa: SLF001 - the folders do not exist


OPEN = """
import sys, time
from pathlib import Path
import numpy as np
import fastclips as fc

root, path = sys.argv[1:]
began = time.perf_counter()
dataset = fc.open(root, index=path)
opened = time.perf_counter()
loader = fc.ClipLoader(dataset, fc.Windows(16), [fc.CenterCrop(64)], batch_size=4, workers=2)
made = time.perf_counter()
next(iter(loader))
ended = time.perf_counter()
print(f"opens in {opened - began:.3f} s: {dataset!r}")
print(f"loader made in {made - opened:.2f} s ({len(loader):,} batches); "
      f"first batch {ended - made:.2f} s later")

def pages(pid):
    mapped, private, ours = 0, 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            ours = path in line
        elif line.startswith("Pss:") and ours:
            mapped += int(line.split()[1])
        elif line.startswith("Private_Dirty:"):
            private += int(line.split()[1])
    return mapped / 1024, private / 1024

rows = [pages(pid) for pid in ("self", *loader.pids)]
print(f"PSS of the file {sum(row[0] for row in rows):.1f} MB; private memory: trainer {rows[0][1]:.1f} MB, "
      f"nursery {rows[1][1]:.1f}, workers " + ", ".join(f"{row[1]:.1f}" for row in rows[2:]))
loader.close()
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=1_000_000)
    parser.add_argument("--scanned", type=int, default=300_000, help="files to scan")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        write_frames(top / "real", videos=1, frames=FRAMES, height=96, width=128)
        root, path = top / "frames", top / "frames.index"
        root.mkdir()
        make(root, path, args.videos)
        size = path.stat().st_size
        print(f"{args.videos:,} videos, {args.videos * FRAMES:,} frames: {size / 2**20:.0f} MiB, "
              f"{size / args.videos:.0f} bytes a video")  # fmt: skip
        subprocess.run([sys.executable, "-c", OPEN, str(root), str(path)], check=True)

        tree = top / "tree"
        for video in range(args.scanned // FRAMES):
            target = tree / f"class_{video % 10}" / f"video_{video:06d}"
            target.mkdir(parents=True)
            for number in range(1, FRAMES + 1):
                (target / f"img_{number:05d}.jpg").touch()
        took = []
        for index in (None, top / "tree.index", top / "tree.index"):
            began = time.perf_counter()
            fc.open(tree, index=index)
            took.append(time.perf_counter() - began)
        print(f"scanning {args.scanned:,} files: {took[0]:.2f} s ({args.scanned / took[0]:,.0f} a second), "
              f"with index= {took[1]:.2f} s, again {took[2]:.3f} s")  # fmt: skip


if __name__ == "__main__":
    main()
