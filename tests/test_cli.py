import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import make_frames, run_python

import fastclips
from fastclips.commands.cli import main
from fastclips.errors import DataError


def test_alone_it_prints_help(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: fastclips")
    assert "demo" in out
    assert "preview" in out
    assert "bench" in out
    assert "examples:" in out


@pytest.mark.parametrize("command", [[], ["demo"], ["preview"], ["check"], ["pack"], ["unpack"], ["bench"]])
def test_help(capsys, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(" ".join(["usage: fastclips", *command]))
    assert "--help" in out
    assert max(map(len, out.splitlines())) <= 80


def test_help_of_bench_explains_every_figure(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    out = capsys.readouterr().out
    for figure in ("efficiency", "ceiling_frames_per_s", "cpu_ms_per_frame", "first_batch_s", "peak_rss_mb"):
        assert f"\n  {figure} " in out
    assert "The consumer does nothing" in " ".join(out.split())


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    first, python, jpeg, *packages = capsys.readouterr().out.splitlines()
    assert first == f"fastclips {fastclips.__version__}"
    assert python.startswith(f"Python {platform.python_version()} on Linux-")
    assert re.fullmatch(r"libjpeg-turbo \d+(\.\d+)+", jpeg)
    assert {"numpy", "numba", "simplejpeg", "pillow"} <= {line.split()[0] for line in packages}
    assert f"numpy {np.__version__}" in packages


@pytest.mark.parametrize("wrong", [["benhc"], ["bench"], ["bench", "x", "--crop", "y"], ["--nothing"]])
def test_wrong_usage(capsys, wrong):
    with pytest.raises(SystemExit) as stop:
        main(wrong)
    assert stop.value.code == 2
    assert "usage: fastclips" in capsys.readouterr().err


def test_help_imports_nothing_heavy():
    script = """
import sys
from pathlib import Path
from fastclips.commands.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
heavy = {"tensorflow", "keras", "torch", "jax", "numba", "cv2", "PIL.ImageDraw"}
heavy |= {f"fastclips.commands.{name}" for name in ("bench", "check", "demo", "preview")}
heavy |= {"fastclips.preview.sheet"}
print(sorted(heavy & set(sys.modules)))
"""
    assert run_python(script).splitlines()[-1] == "[]"


def test_errors_are_one_line(monkeypatch, capsys):
    monkeypatch.setattr(
        "fastclips.commands.bench.run", lambda _: (_ for _ in ()).throw(DataError("first\nsecond"))
    )
    assert main(["bench", "frames"]) == 1
    assert capsys.readouterr().err == "fastclips: error: first second\n"


def test_an_output_that_cannot_be_written_is_one_line(frames):
    code = "import sys; from fastclips.commands.cli import main; sys.exit(main(sys.argv[1:]))"
    for option in ([], ["--json"]):
        with Path("/dev/full").open("w") as full:
            command = [sys.executable, "-c", code, "check", frames, "--workers", "0", *option]
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr == "fastclips: error: cannot write the output: No space left on device\n"


def test_warnings_are_one_line_and_bad_frames_have_a_hint(tmp_path):
    """As at a terminal, where no test catches warnings."""
    frames = make_frames(tmp_path / "frames", videos=2)
    for path in frames.glob("*/*/*[2-9].jpg"):
        path.write_bytes(path.read_bytes()[:600])
    code = "import sys; from fastclips.commands.cli import main; sys.stderr = sys.stdout; main(sys.argv[1:])"
    warning, error = run_python(code, "preview", frames, "--time-steps", 4, cwd=tmp_path).splitlines()
    assert warning.startswith("fastclips: warning: 'image': ")
    assert error.startswith(f"fastclips: error: {frames}/class_")
    assert error.endswith("`fastclips check` lists all such frames.")


def test_interrupt(monkeypatch):
    monkeypatch.setattr("fastclips.commands.bench.run", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["bench", "frames"]) == 130


def test_other_errors_keep_their_traceback(monkeypatch):
    monkeypatch.setattr("fastclips.commands.bench.run", lambda _: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        main(["bench", "frames"])


def test_a_folder_that_is_not_there(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "fastclips.commands.cli", "bench", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert not done.stdout
    assert done.stderr.startswith("fastclips: error: ")
    assert done.stderr.count("\n") == 1
