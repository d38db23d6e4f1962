"""The README's Python is run, block after block, as a reader would."""

import re
from pathlib import Path

import pytest
from helpers import make_frames, make_masks

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_python_blocks_run(tmp_path, monkeypatch, capsys):
    keras = pytest.importorskip("keras")
    make_frames(tmp_path / "frames", videos=10, frames=24, height=256, width=340)
    make_masks(tmp_path / "masks", tmp_path / "frames", height=256, width=340)
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    names = {"__name__": "readme"}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)  # noqa: S102 - our own text
    assert "frames/s" in capsys.readouterr().out
    x, y = names["x"], names["y"]
    assert (x.shape, y.shape) == ((4, 8, 224, 224, 3), (4, 8, 224, 224))
    for name in ("loader", "val_loader", "part"):
        names[name].close()


def test_shell_blocks_name_what_exists():
    for command in ("demo", "bench"):
        assert f"fastclips {command}" in README
    assert README.count("<!-- test -->") == README.count("<!-- install -->") == 1
