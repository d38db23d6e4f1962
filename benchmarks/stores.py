"""What does a pack on a web server cost, beside the same pack on a local disk?

    apt-get install nginx-light
    python benchmarks/stores.py

nginx serves a pack of JPEGs on loopback. Two loaders over the same clips take turns, with 2 workers each: one
of the local pack, one of its URL; a third reads the URL through a cache on the local disk that is full.
Frames are film of 340x256 (`frames.py`), clips of 16 frames, batches of 8, shuffled, crops of 224, no cache
of decoded frames. The CPU time is that of the trainer, the nursery and the workers; nginx is not counted.
Then a script opens a pack of 10 million frames, whose shards are the same files under many names, and takes a
batch: with no copy of the index, and with one.

Result::

              frames/s  CPU ms  over local
    local        1,976   0.172  1.00 (1.00-1.00)
    remote       4,883   0.202  1.16 (1.07-1.23)
    cached       2,541   0.169  0.96 (0.93-1.03)

    index of 91 MiB      opened  first batch
    cold                 1.45 s       3.41 s
    on disk              0.54 s       2.13 s
    on disk              0.40 s       1.91 s

2 cores of a virtual machine with much other work, so the rates say little. How to read: `over local` is the
CPU time per frame over that of the local pack, a median over rounds, with quartiles. A clip is one request of
some 300 KB, which takes obstore and the kernel 0.2 ms of CPU time, where a read of the page cache takes 0.02.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from frames import write_frames

import fastclips as fc
from fastclips.commands.turns import Engine, Turn
from fastclips.data.columns import Columns
from fastclips.data.index import Index
from fastclips.data.names import FileNames, Names
from fastclips.data.pack_storage import BLOCK, PackStorage

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS, TIME_STEPS, BATCH, FRAMES = 2, 16, 8, 64
OPTIONS = {"allow_http": True}
CONFIG = """
daemon off; pid {top}/nginx.pid; error_log {top}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
    access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000;
    client_body_temp_path {top}/t1; proxy_temp_path {top}/t2; fastcgi_temp_path {top}/t3;
    uwsgi_temp_path {top}/t4; scgi_temp_path {top}/t5;
    server {{ listen 127.0.0.1:{port}; root {top}; }}
}}
"""
FIRST = """
import sys, time
began = time.perf_counter()
import fastclips as fc
imported = time.perf_counter()
data = fc.open(sys.argv[1], storage_options={"allow_http": True})
opened = time.perf_counter()
loader = fc.ClipLoader(data, fc.Windows(16, step=8), [fc.RandomCrop(224)], batch_size=8, workers=2, cache=0)
next(iter(loader))
done = time.perf_counter()
loader.close()
print(opened - imported, done - imported)
"""


@contextmanager
def nginx(top: Path, port: int) -> Iterator[str]:
    """Serve a folder; yield its URL."""
    (top / "nginx.conf").write_text(CONFIG.format(top=top, port=port))
    os.chmod(top, 0o755)  # noqa: S103, PTH101 - nginx's worker has another user
    process = subprocess.Popen(["nginx", "-c", str(top / "nginx.conf"), "-p", str(top)])  # noqa: S607
    time.sleep(0.5)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def write_large(pack: Path, target: Path, frames: int) -> None:
    """Write the index of a pack whose videos are those of another pack, many times under other names."""
    columns = fc.open(pack).storage.columns
    sizes = np.diff(columns["pack.ends"], prepend=0).tolist()
    counts = columns["storage.frame_counts"]
    times = -(-frames // int(counts.sum()))
    lengths = columns["pack.image.lengths"].astype(np.int64)
    blocks = columns["pack.image.blocks"].astype(np.int64)
    starts = np.repeat(columns["pack.image.bases"], counts) + blocks * BLOCK
    starts = np.concatenate([starts + number * sum(sizes) for number in range(times)])
    videos = [f"v{number:07d}" for number in range(times * len(counts))]
    one = [FileNames(count, "%06d.image.jpg", 0) for count in counts.tolist()]
    files = {"image": dict(zip(videos, one * times, strict=True))}
    target.mkdir()
    shards = {}
    for number in range(times):
        for name, size in zip(columns.meta["shards"], sizes, strict=True):
            link = f"{number:05d}-{name}"
            os.link(pack / name, target / link)
            shards[link] = size
    arrays, meta = PackStorage.lay_out(files, {"image": (starts, np.tile(lengths, times))}, shards)
    index = Index(
        names=Names.of(videos),
        keys=np.arange(len(videos), dtype=np.int64),
        starts=np.zeros(len(videos), np.int64),
        frame_counts=np.tile(counts, times),
        labels=None,
        classes=(),
    )
    more, labels = index.columns()
    header: dict[str, Any] = {**labels, **meta, "streams": columns.meta["streams"]}
    Columns.pack({**arrays, **more}, header).save(target / "pack.index")


def compare(local: Path, url: str, cache: Path, seconds: float) -> None:
    """Print the CPU time per frame of each side."""
    cached = fc.open(url, storage_options=OPTIONS, local=cache)
    sides = {"local": fc.open(local), "remote": fc.open(url, storage_options=OPTIONS), "cached": cached}
    with ExitStack() as stack:
        turns = {}
        for name, data in sides.items():
            loader = fc.ClipLoader(
                data,
                fc.Windows(TIME_STEPS, step=8),
                [fc.RandomCrop(224), fc.RandomFlip()],
                batch_size=BATCH,
                shuffle=True,
                workers=WORKERS,
                repeat=True,
                cache=0,
            )
            engine = Engine(stack.enter_context(closing(loader)), TIME_STEPS)
            for _ in range(len(data) * FRAMES // 8 // BATCH + 1):  # an epoch fills the cache
                engine.take()
            engine.turn()
            turns[name] = engine.turn
        rounds: list[dict[str, Turn]] = []
        began = perf_counter()
        while perf_counter() - began < seconds or len(rounds) < 2:
            order = list(turns) if len(rounds) % 2 else list(reversed(turns))
            rounds.append({name: turns[name]() for name in order})
    print(f"{'':10}{'frames/s':>10}{'CPU ms':>8}  over local")
    for name in turns:
        cpu = [done[name].cpu_ms for done in rounds]
        ratios = [done[name].cpu_ms / done["local"].cpu_ms for done in rounds]
        low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
        rate = np.median([done[name].frames_per_s for done in rounds])
        print(f"{name:10}{rate:10,.0f}{np.median(cpu):8.3f}  {middle:.2f} ({low:.2f}-{high:.2f})")


def first_batch(url: str, size: float) -> None:
    """Print how long opening and a first batch take in a fresh process."""
    print(f"index of {size / 2**20:,.0f} MiB      opened  first batch")
    for name in ("cold", "on disk", "on disk"):
        done = subprocess.run(
            [sys.executable, "-c", FIRST, url], stdout=subprocess.PIPE, text=True, check=True
        )
        opened, first = map(float, done.stdout.split())
        print(f"{name:20}{opened:8.2f} s{first:11.2f} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description="A pack on a web server beside the same pack on a local disk."
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="time of the comparison (%(default)s)")
    parser.add_argument("--videos", type=int, default=16, help=f"videos of {FRAMES} frames (%(default)s)")
    parser.add_argument("--frames", type=int, default=10_000_000, help="of the large pack (%(default)s)")
    parser.add_argument("--port", type=int, default=8397)
    args = parser.parse_args()
    if shutil.which("nginx") is None:
        sys.exit("nginx is missing: apt-get install nginx-light")
    with TemporaryDirectory() as made:
        top = Path(made)
        os.environ["XDG_CACHE_HOME"] = str(top / "home")
        write_frames(top / "frames", height=256, width=340, videos=args.videos, frames=FRAMES)
        fc.pack(top / "frames", top / "packed")
        write_large(top / "packed", top / "large", args.frames)
        with nginx(top, args.port) as url:
            compare(top / "packed", f"{url}/packed", top / "cache", args.seconds)
            first_batch(f"{url}/large", (top / "large/pack.index").stat().st_size)


if __name__ == "__main__":
    main()
