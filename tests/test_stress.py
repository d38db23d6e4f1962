"""A short run of `stress.py`, with seeds of its own each time: it prints them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 10


@pytest.mark.slow
def test_disturbed_loaders_serve_the_same_bytes():
    done = subprocess.run(
        [sys.executable, Path(__file__).parent / "stress.py", "--seconds", str(SECONDS)],
        capture_output=True,
        text=True,
        timeout=SECONDS + 260,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    counts = {
        what: int(count.replace(",", "")) for count, what in re.findall(r"([\d,]+) ([a-zA-Z ]+)", done.stdout)
    }
    assert counts["rounds"] > 0
    assert counts["batches"] > 0
