"""Virtual environments, one for each peer, in a folder of the user's."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from peers.registry import OWN, PEERS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FAILED = "failed.txt"  # in an environment: why its packages do not install


def python_of(name: str, work: Path) -> str:
    """Return the interpreter of a peer."""
    return sys.executable if name in OWN else str(work / "env" / name / "bin" / "python")


def why_absent(name: str, work: Path) -> str | None:
    """Return why a peer has no environment."""
    if name in OWN:
        return None
    folder = work / "env" / name
    if not folder.exists():
        return "not installed: run `setup`"
    failed = folder / FAILED
    return failed.read_text() if failed.exists() else None


def make_all(names: Iterable[str], work: Path) -> None:
    """Make the environments that do not exist yet; what does not install is noted and reported."""
    for name in names:
        folder = work / "env" / name
        if name in OWN or (folder / "bin" / "python").exists():
            continue
        print(f"{name}: {' '.join((*PEERS[name].packages, *PEERS[name].alone))}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        problem = install(python_of(name, work), PEERS[name].packages)
        if not problem and PEERS[name].alone:
            flags = ("--no-deps", "--no-build-isolation")
            problem = install(python_of(name, work), (*flags, *PEERS[name].alone))
        if problem:
            (folder / FAILED).write_text(problem)
            print(f"{name}: not installed: {problem}", flush=True)


def install(python: str, arguments: tuple[str, ...]) -> str | None:
    """Let pip install; return its last error, if any."""
    command = [python, "-m", "pip", "install", "-q", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if not done.returncode:
        return None
    errors = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    return (errors or done.stderr.splitlines() or ["pip failed without a message"])[-1]
