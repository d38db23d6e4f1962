"""A path that is opened is asked once what it is."""

from collections import Counter

import pytest

import fastclips as fc
from fastclips.data import roots
from fastclips.data.roots import Root


@pytest.fixture
def asked(monkeypatch):
    """Counts how often each path is asked whether it is a pack or tar files."""
    counts = Counter()
    for name in ("is_pack", "find_tars"):
        ask = getattr(roots, name)
        monkeypatch.setattr(
            roots, name, lambda path, name=name, ask=ask: counts.update([(name, str(path))]) or ask(path)
        )
    return counts


def test_folders(asked, frames, masks):
    fc.open(frames)
    fc.open({"image": frames, "mask": masks})
    assert asked == {(name, str(frames)): 2 for name in ("is_pack", "find_tars")} | {
        (name, str(masks)): 1 for name in ("is_pack", "find_tars")
    }


def test_a_list(asked, frames, tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("class_0/video_0 0\n")
    fc.open(path, root=frames, columns="path label")
    assert asked == {(name, str(at)): 1 for name in ("is_pack", "find_tars") for at in (path, frames)}


def test_a_pack(asked, frames, tmp_path):
    fc.pack(fc.open(frames), tmp_path / "pack", workers=0)
    asked.clear()
    fc.open(tmp_path / "pack")
    assert asked == {("is_pack", str(tmp_path / "pack")): 1}


def test_a_root_that_is_nothing_yet(tmp_path):
    root = Root(tmp_path / "none")
    assert (root.is_pack, root.is_file, root.tars) == (False, False, [])
    assert (str(root), root.absolute) == (f"{tmp_path}/none", f"{tmp_path}/none")
