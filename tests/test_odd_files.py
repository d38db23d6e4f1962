"""Files that no frame can be: they are refused by name, and nobody waits for them."""

import os

import pytest

import fastclips as fc
from fastclips.compat._base.files import FileList
from fastclips.testing import write_frames


def become_fifo(path):
    path.unlink()
    os.mkfifo(path)


def become_folder(path):
    path.unlink()
    path.mkdir()


def become_device(path):
    path.unlink()
    path.symlink_to("/dev/null")


@pytest.mark.parametrize(
    ("become", "reason"),
    [
        (become_fifo, "is no file, but a FIFO"),
        (become_device, "is no file, but a FIFO, a socket or a device"),
        (become_folder, "Is a directory"),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_a_frame_that_is_no_file_is_damaged(tmp_path, become, reason, workers):
    write_frames(tmp_path / "frames")
    path = sorted((tmp_path / "frames").rglob("*.jpg"))[1]
    data = fc.open(tmp_path / "frames")
    become(path)
    options = {"batch_size": 2, "workers": workers}
    with fc.ClipLoader(data, fc.Windows(4), **options) as loader:
        with pytest.raises(fc.FrameError, match=reason) as caught:
            loader.batch(0, 0)
        assert str(path) in str(caught.value)
    with fc.ClipLoader(data, fc.Windows(4), damaged="repeat", **options) as loader:
        loader.batch(0, 0)
        ((found, why),) = loader.damaged
        assert found == str(path)
        assert reason in why
    files = FileList.of([path.name], path.parent)
    with pytest.raises(fc.FrameError, match=reason) as caught:
        files.read("", 0, 0)
    assert caught.value.path == str(path)


def test_files_are_read_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"content")
    monkeypatch.chdir(tmp_path)
    for name in ("a", "./a", str(tmp_path / "a"), f"//{tmp_path}/a"):
        assert FileList.of([name]).read("", 0, 0) == b"content"
