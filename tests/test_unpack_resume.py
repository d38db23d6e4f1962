"""`fc.unpack` continues after any end, and no file has its final name before all are complete."""

import os

import pytest
from packing import content

import fastclips as fc
from fastclips.errors import DataError, OptionError
from fastclips.packing import target

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(coded, tmp_path_factory):
    """What an undisturbed call writes."""
    folder = tmp_path_factory.mktemp("whole") / "files"
    fc.unpack(coded, folder, workers=0)
    return content(folder)


class Stopped(BaseException):
    """Ends a call as a signal would."""


def stop_at(monkeypatch, module, name, number, before=lambda *_: None):
    """Make the call of a function raise, after so many calls of it."""
    function, calls = getattr(module, name), []

    def stop(*args, **options):
        calls.append(args)
        if len(calls) == number:
            before(*args)
            raise Stopped
        return function(*args, **options)

    monkeypatch.setattr(module, name, stop)


# The 72 frames are 6 tasks; writes are 3 for each 2 files: `made`, frames, a line after 12 of them, the list.
@pytest.mark.parametrize("number", [1, 2, 13, 14, 15, 40, 79, 80, 81])
def test_a_second_run_finishes(coded, whole, tmp_path, monkeypatch, number):
    """After the write of a part of a file, wherever it stops."""
    with monkeypatch.context() as patch:
        write = os.write
        stop_at(patch, os, "write", number, lambda fd, data: write(fd, bytes(data)[: len(data) // 2]))
        with pytest.raises(Stopped):
            fc.unpack(coded, tmp_path / "files", workers=0)
    assert {path.name for path in (tmp_path / "files").iterdir()} <= {".unpacking"}
    for path, data in content(tmp_path / "files/.unpacking/files").items():
        assert data == whole[path]
    if number > 14:
        with pytest.raises(DataError, match="is not complete: run the same unpacking again"):
            fc.open(tmp_path / "files")
    done = fc.unpack(coded, tmp_path / "files", workers=0)
    assert content(tmp_path / "files") == whole
    assert done.resumed == (number > 14)
    assert ("files of an earlier run are kept" in str(done)) == done.resumed
    assert (done.videos, done.restored) == (6, 72)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_moving_is_finished(coded, whole, tmp_path, monkeypatch, number):
    with monkeypatch.context() as patch:
        stop_at(patch, target, "_move", number)
        with pytest.raises(Stopped):
            fc.unpack(coded, tmp_path / "files", workers=0)
    assert not (tmp_path / "files/list.csv").exists()
    assert fc.unpack(coded, tmp_path / "files", workers=2).restored == 72
    assert content(tmp_path / "files") == whole


def test_other_data_are_refused(coded, frames, whole, tmp_path, monkeypatch):
    fc.pack(frames, tmp_path / "jpeg", workers=0)
    with monkeypatch.context() as patch:
        stop_at(patch, target.TargetFolder, "add", 3)
        with pytest.raises(Stopped):
            fc.unpack(coded, tmp_path / "files", workers=0)
    for other in (tmp_path / "jpeg", fc.open(coded, labels=None), fc.open(coded).split(0.5)[0]):
        with pytest.raises(OptionError, match="has the beginning of the files of other data; delete it"):
            fc.unpack(other, tmp_path / "files", workers=0)
    (tmp_path / "files" / "mine.txt").touch()
    with pytest.raises(OptionError, match=r"has 'mine.txt' beside an unfinished run; remove it"):
        fc.unpack(coded, tmp_path / "files", workers=0)
    (tmp_path / "files" / "mine.txt").unlink()
    busy = pytest.raises(OptionError, match="another process unpacks into it; wait until it ends")
    with target.TargetFolder(tmp_path / "other", "made"), busy:
        fc.unpack(coded, tmp_path / "other", workers=0)
    assert fc.unpack(coded, tmp_path / "files", workers=0).resumed
    assert content(tmp_path / "files") == whole


def test_a_link_in_place_of_the_work(coded, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "files").mkdir()
    (tmp_path / "files/.unpacking").symlink_to(tmp_path / "outside")
    with pytest.raises(OptionError, match="is not empty"):
        fc.unpack(coded, tmp_path / "files", workers=0)
    assert [*(tmp_path / "outside").iterdir()] == []


def test_a_full_disk(coded, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        write, calls = os.write, []

        def full(fd, data):
            calls.append(fd)
            if len(calls) > 20:
                raise OSError(28, os.strerror(28))
            return write(fd, data)

        patch.setattr(os, "write", full)
        with pytest.raises(
            DataError, match="No space left on device; correct this, and unpack again: it cont"
        ):
            fc.unpack(coded, tmp_path / "files", workers=0)
    assert fc.unpack(coded, tmp_path / "files", workers=0).resumed
    assert content(tmp_path / "files") == whole
