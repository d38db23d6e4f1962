"""A FIFO where a file is expected never makes anybody wait; a list may be one, as in a shell's <(command)."""

import os
import tarfile
import threading

import pytest
from helpers import make_frames

import fastclips as fc
from fastclips.errors import DataError, FrameError, OptionError


@pytest.fixture
def frames(tmp_path):
    return make_frames(tmp_path / "frames", videos=2, frames=3)


def fed(path, text):
    """Make a FIFO that a thread writes to once somebody reads."""
    os.mkfifo(path)
    threading.Thread(target=path.write_text, args=(text,), daemon=True).start()
    return path


def test_a_list(frames, tmp_path):
    path = fed(tmp_path / "list", "path,label\nclass_0/video_0,a\nclass_1/video_1,b\n")
    assert len(fc.open(path, root=frames)) == 2
    path = fed(tmp_path / "list.txt", "class_0/video_0 a\n")
    assert len(fc.open(path, root=frames, columns="path label")) == 1


def test_a_list_and_a_saved_index(frames, tmp_path):
    os.mkfifo(tmp_path / "list")
    with pytest.raises(OptionError, match=r"needs a list in a file, but '.*list' is a FIFO.*remove index="):
        fc.open(tmp_path / "list", root=frames, index=tmp_path / "index")


def test_a_tar(frames, tmp_path):
    os.mkfifo(tmp_path / "x.tar")
    with pytest.raises(DataError, match=r"x.tar' is a FIFO, in which frames have no offset"):
        fc.open(tmp_path / "x.tar")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder" / "x.tar")
    with pytest.raises(DataError, match="no frames in"):
        fc.open(tmp_path / "folder")
    assert len(fc.open(frames)) == 2


def test_a_listing_beside_a_tar(frames, tmp_path, caplog):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.add(frames, "")
    os.mkfifo(tmp_path / "x.tar.index")
    assert len(fc.open(tmp_path / "x.tar")) == 2
    assert "it is a file of another kind" in caplog.text


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_an_index(frames, tmp_path, make):
    (tmp_path / "packed").mkdir()
    make(tmp_path / "packed" / "pack.index")
    with pytest.raises(DataError, match="no frames in"):
        fc.open(tmp_path / "packed")
    make(tmp_path / "index")
    with pytest.raises(OptionError, match=r"index'?: (must be a regular file|is a folder)"):
        fc.open(frames, index=tmp_path / "index")


@pytest.mark.parametrize("name", ["x.tar", "list.csv"])
def test_a_folder_with_the_name_of_a_file(frames, tmp_path, name):
    frames.rename(tmp_path / name)
    assert len(fc.open(tmp_path / name)) == 2


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.avi"])
def test_a_video_file(tmp_path, name):
    pytest.importorskip("av", reason="video extra")
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match=rf"{name}' is no file, but a FIFO, a socket or a device"):
        fc.open(tmp_path / name)


def test_a_video_file_that_was_not_scanned(tmp_path):
    pytest.importorskip("av", reason="video extra")
    from fastclips.data.video_files import Movie  # noqa: PLC0415 - needs av

    os.mkfifo(tmp_path / "x.mp4")
    with pytest.raises(FrameError, match="is no file, but a FIFO"):
        Movie(tmp_path / "x.mp4")
