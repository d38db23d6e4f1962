"""Loaders in processes of their own, which take turns; `videos.py`, `generators.py` and `peers/` call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Loader", "processes", "serve", "started"]

LEAD_S = 1.0  # start of each turn, not counted: batches prepared ahead, and finding a pace
REST_S = 0.3  # without CPU time: the process waits for its consumer


def serve(make: Callable[[], tuple[Any, Callable[[], int]]], lead_s: float = LEAD_S) -> None:
    """Be a loader's process: read a number of seconds, load for that long, write frames and time; repeat.

    Parameters
    ----------
    make : callable
        Returns what `Loader.version` shall be, as JSON holds it, and a function that receives a batch or more
        and returns the number of frames.
    lead_s : float
        Seconds at the start of each turn that are not counted.
    """
    answers, sys.stdout = sys.stdout, sys.stderr
    version, take = make()
    take()
    print(json.dumps(version), file=answers, flush=True)
    for line in sys.stdin:
        lead, began = 0, time.perf_counter()
        while time.perf_counter() - began < lead_s:
            lead += take()
        frames, began = 0, time.perf_counter()
        while (now := time.perf_counter()) - began < float(line):
            frames += take()
        print(json.dumps([lead, frames, now - began]), file=answers, flush=True)
    for pid in list(processes(os.getpid()))[1:]:
        os.kill(pid, 9)
    os._exit(0)  # TensorFlow's threads may be anywhere


class Loader:
    """The process of a loader, seen from outside; its command calls `serve`."""

    def __init__(self, command: Sequence[str]) -> None:
        self.rates: list[float] = []
        self.cpu_ms: list[float] = []  # per frame
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.version = self._answer()
        self._rest()

    def turn(self, seconds: float) -> None:
        """Let the loader work for some seconds."""
        before = self._cpu_s()
        print(seconds, file=self._process.stdin, flush=True)
        lead, frames, took = self._answer()
        self.rates.append(frames / took)
        self._rest()
        self.cpu_ms.append(1e3 * (self._cpu_s() - before) / (lead + frames))

    def pss_mb(self) -> float:
        """Return the proportional memory of all its processes, which counts a shared page once."""
        kilobytes = 0
        for pid in processes(self._process.pid):
            rolled = Path(f"/proc/{pid}/smaps_rollup").read_text()
            kilobytes += int(rolled.partition("\nPss:")[2].split()[0])
        return kilobytes / 1e3

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _answer(self) -> Any:  # noqa: ANN401 - JSON
        line = self._process.stdout.readline()
        if not line:
            raise ChildProcessError(self._process.communicate()[1].strip().rpartition("\n")[2])
        return json.loads(line)

    def _cpu_s(self) -> float:
        """Return the CPU time of the process and of all its descendants, in s."""
        total = 0
        for pid in processes(self._process.pid):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    def _rest(self) -> None:
        """Wait until the loader's buffers are full, so that it uses no CPU time in other loaders' turns."""
        deadline = time.monotonic() + 20
        spent = self._cpu_s()
        while time.monotonic() < deadline:
            time.sleep(REST_S)
            before, spent = spent, self._cpu_s()
            if spent - before < REST_S / 20 and not self._runnable():
                return

    def _runnable(self) -> bool:
        """Return whether a thread of a process wants a core: on a busy machine it may wait for one."""
        for pid in processes(self._process.pid):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError):  # it has ended
                    if (thread / "stat").read_text().rpartition(")")[2].split()[0] in "RD":
                        return True
        return False


def processes(pid: int) -> Iterator[int]:
    """Yield a process and all its descendants."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from processes(int(child))


def started(name: str, command: Sequence[str]) -> Loader | None:
    """Start a loader, or print why it is left out."""
    try:
        return Loader(command)
    except ChildProcessError as error:
        print(f"{name}: left out: {error}")
        return None
