"""Scanning shows how far it is on a terminal, and nothing elsewhere."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

CODE = """
import sys
from fastclips.data import listed, scan
scan._SHOW_AFTER = 0
scan.scan_tree(sys.argv[1])
listed.scan_folders(sys.argv[1], ["class_0/video_0", "class_1/video_1"])
"""


@pytest.mark.slow
@pytest.mark.parametrize("terminal", [True, False])
def test_progress(frames, terminal):
    reader, writer = pty.openpty() if terminal else os.pipe()
    if terminal:
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    arguments = [sys.executable, "-c", CODE, str(frames)]
    done = subprocess.run(arguments, stderr=writer, check=False, cwd=Path(__file__).parent, timeout=60)
    os.close(writer)
    shown = b""
    try:
        while more := os.read(reader, 2**16):
            shown += more
    except OSError:  # a terminal that nobody writes to any more
        pass
    os.close(reader)
    assert done.returncode == 0
    text = shown.decode()
    if terminal:
        assert f"scanning {frames}" in text
        assert "folders/s" in text
        assert "0/2" in text
    else:
        assert text == ""
