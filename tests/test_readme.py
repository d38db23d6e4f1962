"""The README's Python is run, block after block, as a reader would."""

import re
from pathlib import Path

import pytest
from helpers import make_frames, make_masks

import fastclips as fc

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_python_blocks_run(tmp_path, monkeypatch, capsys):
    keras = pytest.importorskip("keras")
    make_frames(tmp_path / "frames", videos=10, frames=24, height=256, width=340)
    make_masks(tmp_path / "masks", tmp_path / "frames", height=256, width=340)
    monkeypatch.chdir(tmp_path)
    names = sorted(str(path.relative_to("frames")) for path in Path("frames").glob("*/*"))
    Path("train.txt").write_text("".join(f"{name} 24 {number % 2}\n" for number, name in enumerate(names)))
    Path("testlist01.txt").write_text("".join(f"{name}.avi\n" for name in names[:3]))
    keras.utils.set_random_seed(0)
    namespace = {"__name__": "readme"}
    fc.pack(fc.open({"image": "frames/", "mask": "masks/"}), "packed/", workers=0)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 13
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)  # noqa: S102 - our own text
    assert "frames/s" in capsys.readouterr().out
    x, y = namespace["x"], namespace["y"]
    assert (x.shape, y.shape) == ((4, 8, 224, 224, 3), (4, 8, 224, 224))
    assert [len(namespace[name]) for name in ("listed", "parts", "chosen")] == [10, 1, 3]
    assert namespace["videos"].shape == (len(namespace["val"]), 2)
    for name in ("loader", "val_loader", "part", "test", "jittered", "turned", "own"):
        namespace[name].close()


def test_shell_blocks_name_what_exists():
    for command in ("demo", "bench", "pack", "preview"):
        assert f"fastclips {command}" in README
    assert README.count("<!-- test -->") == README.count("<!-- install -->") == 1
