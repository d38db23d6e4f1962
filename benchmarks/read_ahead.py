"""What does the delay of an object store cost, where fetchers read ahead?

    python benchmarks/read_ahead.py /tmp/frames --delay 0.02

A pack of the frames is served by HTTP on loopback, by a server in a process of its own, which waits before it
answers each request. A loader reads it through the delay and without, in turns; and through the delay, but
without fetchers. Clips have 16 frames of 340x256, shuffled, with a random crop; 2 workers. Server and fetcher
share the cores with the workers.

Result::

    frames/s, 20 ms before each answer
      crop    no delay     delay   ratio        spread   no fetchers
       224       4,158     4,515    1.14   (1.03-1.67)           850
        64      18,656    17,038    0.93   (0.70-1.66)         1,128

Medians of 7 rounds, and the spread of their ratios, on 2 cores whose machine had much other work.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from unittest import mock

import fastclips as fc

BATCH, TIME_STEPS = 16, 16


class Handler(BaseHTTPRequestHandler):
    """Answers GET for ranges of files, after a delay."""

    protocol_version = "HTTP/1.1"
    folder = Path()
    delay = 0.0

    def do_GET(self) -> None:
        """Send a range, or a whole file."""
        time.sleep(self.delay)
        path = self.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        size = path.stat().st_size
        first, last = 0, size - 1
        if wanted := self.headers["Range"]:
            first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
            last = min(last, size - 1)
        self.send_response(206 if wanted else 200)
        self.send_header("ETag", f'"{size}"')
        self.send_header("Last-Modified", self.date_time_string(path.stat().st_mtime))
        self.send_header("Content-Length", str(last + 1 - first))
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        self.wfile.flush()
        with path.open("rb") as file:
            while first <= last:
                first += os.sendfile(self.connection.fileno(), file.fileno(), first, last + 1 - first)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Many connections, whose ends are no error."""

    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


def serve(folder: str, delay: float) -> None:
    """Be the server: print its port, and answer until the process ends."""
    Handler.folder, Handler.delay = Path(folder), delay
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


def rate(data: fc.Dataset, crop: int, batches: int, *, ahead: bool = True) -> float:
    """Return the frames per second of a loader, after its first batches."""
    with nullcontext() if ahead else mock.patch("fastclips.loader.find_byte_room", return_value=0):
        loader = fc.ClipLoader(
            data,
            fc.Windows(TIME_STEPS, step=1),
            [fc.RandomCrop(crop)],
            batch_size=BATCH,
            shuffle=True,
            repeat=True,
            cache=0,
            workers=2,
        )
    with loader:
        served = iter(loader)
        for _ in range(8):
            next(served)
        began = time.perf_counter()
        for _ in range(batches):
            next(served)
        return batches * BATCH * TIME_STEPS / (time.perf_counter() - began)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("frames", type=Path)
    parser.add_argument("--delay", type=float, default=0.02)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--crops", type=int, nargs="+", default=[224, 64])
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(str(options.frames), options.serve)
        return
    with tempfile.TemporaryDirectory() as folder:
        fc.pack(options.frames, Path(folder) / "packed")
        servers = [
            subprocess.Popen(
                [sys.executable, __file__, f"{folder}/packed", "--serve", str(delay)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for delay in (0.0, options.delay)
        ]
        try:
            ports = [int(server.stdout.readline()) for server in servers]  # type: ignore[union-attr]
            near, far = (
                fc.open(f"http://127.0.0.1:{port}", storage_options={"allow_http": True}) for port in ports
            )
            print(f"frames/s, {options.delay * 1e3:g} ms before each answer")
            print(f"{'crop':>6}{'no delay':>12}{'delay':>10}{'ratio':>8}{'spread':>14}{'no fetchers':>14}")
            for crop in options.crops:
                rounds = [
                    (rate(near, crop, options.batches), rate(far, crop, options.batches))
                    for _ in range(options.rounds)
                ]
                ratios = sorted(slow / fast for fast, slow in rounds)
                alone = rate(far, crop, max(options.batches // 6, 2), ahead=False)
                print(
                    f"{crop:6}{median(r[0] for r in rounds):12,.0f}{median(r[1] for r in rounds):10,.0f}"
                    f"{median(ratios):8.2f}{f'({ratios[0]:.2f}-{ratios[-1]:.2f})':>14}{alone:14,.0f}",
                    flush=True,
                )
        finally:
            for server in servers:
                server.kill()
                server.wait()


if __name__ == "__main__":
    main()
