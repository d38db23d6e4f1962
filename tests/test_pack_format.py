"""Reading from a pack: any damage of it is an error with a name, never another frame."""

import errno
import os
import pickle
import shutil
import struct
import tarfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from helpers import make_frames, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from packing import members, packed
from PIL import Image

import fastclips as fc
from fastclips.data import pack_storage
from fastclips.data.columns import Columns
from fastclips.data.pack_storage import PackStorage, open_pack
from fastclips.data.storage import Storage
from fastclips.errors import DataError, FrameError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A pack of two shards and more, of 6 videos of 9 frames with masks."""
    top = tmp_path_factory.mktemp("made")
    frames = make_frames(top / "frames", videos=6, frames=9)
    fc.pack(fc.open(frames), top / "pack", shard_size="30KiB", workers=0)
    return top / "pack"


@pytest.fixture
def pack(made, tmp_path):
    """A copy to be harmed."""
    return shutil.copytree(made, tmp_path / "pack")


def every_frame(data):
    for video in range(len(data)):
        for frame in range(int(data.index.frame_counts[video])):
            yield video, frame


def test_each_frame_is_its_member(made):
    data = fc.open(made)
    by_name = dict(members(made))
    assert len(by_name) == 54
    for video, frame in every_frame(data):
        where = data.storage.where("image", video, frame)
        shard, _, member = where.partition(".tar:")
        with tarfile.open(f"{shard}.tar") as tar:
            assert tar.extractfile(member).read() == data.storage.read("image", video, frame)
        assert by_name[member] == data.storage.read("image", video, frame)


@settings(max_examples=100)
@given(st.integers(0, 5), st.lists(st.integers(0, 8), min_size=1, max_size=12))
def test_many_are_as_one_by_one(made, video, frames):
    """In any order, near and far, in one read or several."""
    storage = fc.open(made).storage
    alone = [storage.read("image", video, frame) for frame in frames]
    assert list(map(bytes, storage.read_many("image", video, frames))) == alone
    assert list(map(bytes, storage.read_many("image", video, frames))) == alone


def test_close_frames_are_read_in_one_go(made, monkeypatch):
    data = fc.open(made)
    reads, advice = [], []
    pread, advise = os.pread, os.posix_fadvise
    monkeypatch.setattr(os, "pread", lambda fd, n, at: (reads.append((at, n)), pread(fd, n, at))[1])
    monkeypatch.setattr(os, "posix_fadvise", lambda fd, *a: (advice.append(a), advise(fd, *a))[1])
    data.storage.read_many("image", 1, [2, 3, 5, 6])
    assert (len(reads), len(advice)) == (1, 0)
    reads.clear()
    data.storage.read_many("image", 1, [0, 8])
    assert (len(reads), len(advice)) == (2, 2)


@pytest.mark.slow
def test_what_comes_next_is_asked_for_ahead(made, monkeypatch):
    """As batches are submitted, in the caller's process, whose reads these are not."""
    data = fc.open(made)
    advice = []
    monkeypatch.setattr(PackStorage, "advise", lambda _, *place: advice.append(place))
    with fc.ClipLoader(data, fc.Windows(3, step=3), [fc.CenterCrop(8)], batch_size=2, workers=1) as loader:
        table = loader.plan_table(0)
        assert len(list(loader)) == 9
    wanted = [
        ("image", video, frames)
        for video, frames in zip(table["video"], table["frames"].tolist(), strict=True)
    ]
    assert advice[: len(wanted)] == wanted


def test_advice_is_never_an_error(pack):
    data = fc.open(pack)
    data.storage.advise("image", 0, [3, 4, 5])
    data.storage.advise("image", 0, [0, 8])
    (pack / "00001.tar").unlink()
    for video in range(6):
        data.storage.advise("image", video, [1, 2])


def test_what_is_in_memory_is_seldom_asked_for(frames, masks, tmp_path, monkeypatch):
    _, data = packed(fc.open({"image": frames, "mask": masks}), tmp_path / "pack")
    storage, streams = data.storage, ("image", "mask")
    held, asked, looked = True, [], []

    def holds(_, at):
        looked.append(at)
        return held

    monkeypatch.setattr(pack_storage.Shard, "holds", holds)
    monkeypatch.setattr(pack_storage.Shard, "advise", lambda _, *place: asked.append(place))
    for _ in range(1000):
        for stream in streams if storage.needs_advice() else ():
            storage.advise(stream, 0, [0, 1])
    assert not asked
    assert len(looked) < 2 * pack_storage._PLACES * (pack_storage._SURE + 1000 / pack_storage._LOOK + 1)
    held = False
    for stream in streams:
        asked.clear()
        for _ in range(pack_storage._LOOK + 100):
            if storage.needs_advice():
                storage.advise(stream, 0, [0, 1])
        assert len(asked) > 100


@pytest.mark.parametrize("missing", [0.0, 0.3, 0.6, 1.0])
def test_a_part_that_is_not_in_memory_is_asked_for(pack, monkeypatch, missing):
    storage = fc.open(pack).storage
    looked, asked = [], []
    monkeypatch.setattr(pack_storage.Shard, "advise", lambda _, *place: asked.append(place))
    monkeypatch.setattr(pack_storage.Shard, "holds", lambda _, at: looked.append(at) or True)
    storage.advise("image", 0, range(9))
    assert not asked
    first, last = min(looked), max(looked)
    low, high = (first + (last - first) * share for share in (missing - 0.13, missing + 0.13))
    monkeypatch.setattr(pack_storage.Shard, "holds", lambda _, at: not low <= at <= high)
    storage.advise("image", 0, range(9))
    assert asked == [(first, last + 1 - first)]


def test_the_kernel_tells_what_it_has_in_memory(tmp_path):
    path = tmp_path / "x.tar"
    path.write_bytes(bytes(2**20))
    shard = pack_storage.Shard(str(path), 2**20)
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    ends = (0, 2**20 - 1)
    dropped = [shard.holds(at) for at in ends]
    shard.read(0, 2**20)
    if any(dropped) or not shard.holds(0):
        pytest.skip("this file system keeps what it is asked to drop, or does not tell what it has")
    assert all(map(shard.holds, ends))
    assert not shard.holds(2**20)


def test_where_the_kernel_does_not_tell_it_is_not_asked_again(pack, monkeypatch):
    def refuse(*_):
        calls.append(1)
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    calls = []
    monkeypatch.setattr(os, "preadv", refuse)
    shard = pack_storage.Shard(str(pack / "00000.tar"), (pack / "00000.tar").stat().st_size)
    assert not any(shard.holds(at) for at in (0, 1, 2))
    assert len(calls) == 1


def test_a_storage_without_a_read_many_of_its_own(frames):
    class Plain(Storage):
        def __init__(self, storage):
            self.read = storage.read

        def read(self, stream, video, frame):
            raise NotImplementedError

    storage = fc.open(frames).storage
    found = Plain(storage).read_many("image", 1, (3, 5))
    assert found == [storage.read("image", 1, frame) for frame in (3, 5)]


@pytest.mark.parametrize("place", [(0, -1), (0, 9), (-1, 0), (6, 0)])
def test_what_is_not_there(made, place):
    with pytest.raises(IndexError, match="there is no frame"):
        fc.open(made).storage.read("image", *place)


def test_pickles_take_no_frame_with_them(made):
    data = fc.open(made)
    again = pickle.loads(pickle.dumps(data))
    for place in every_frame(data):
        assert again.storage.read("image", *place) == data.storage.read("image", *place)
        assert again.storage.where("image", *place) == data.storage.where("image", *place)


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_few_files_are_open(made, monkeypatch):
    monkeypatch.setattr(pack_storage, "_OPEN", 1)
    data = fc.open(made)
    assert len(data.storage.columns.meta["shards"]) > 2
    before = open_files()
    for place in every_frame(data):
        data.storage.read("image", *place)
    assert open_files() == before + 1
    del data
    assert open_files() < before


def test_a_pack_may_move(made, tmp_path):
    moved = shutil.copytree(made, tmp_path / "elsewhere")
    one, other = fc.open(made), fc.open(moved)
    for place in every_frame(one):
        assert one.storage.read("image", *place) == other.storage.read("image", *place)
    assert other.storage.where("image", 0, 0).startswith(str(moved))


def test_a_relative_path(made, monkeypatch, tmp_path):
    monkeypatch.chdir(made.parent)
    data = fc.open("pack")
    monkeypatch.chdir(tmp_path)
    assert data.storage.read("image", 0, 0)


def test_eight_bytes_a_frame(made):
    columns = open_pack(made)[0].columns
    per_frame = [array for array in columns.values() if len(array) == 54]
    assert sum(array.itemsize for array in per_frame) == 8


# Shards


@pytest.mark.parametrize("size", [0, 511, 5000, -1])
def test_a_shard_cut_short_before_it_is_opened(pack, size):
    path = pack / "00001.tar"
    os.truncate(path, size % path.stat().st_size)
    with pytest.raises(DataError, match=r"00001.tar' has \d+ bytes, but its index says \d+; restore it"):
        fc.open(pack)


def test_a_shard_that_is_gone_before_it_is_opened(pack):
    (pack / "00000.tar").unlink()
    with pytest.raises(DataError, match=r"00000.tar': No such file or directory; restore it, or pack again"):
        fc.open(pack)


@pytest.mark.parametrize("when", ["before the first read", "after it"])
def test_a_shard_cut_short_later(pack, when):
    data = fc.open(pack)
    place = (0, 8)
    if when == "after it":
        data.storage.read("image", 0, 0)
    os.truncate(pack / "00000.tar", 2000)
    with pytest.raises(FrameError, match=r"cannot read frame '.*00000.tar:class_0/video_0/000008.image.jpg'"):
        data.storage.read("image", *place)
    with pytest.raises(
        FrameError, match=r"(000000|000001).image.jpg': (the tar was truncated|the tar has 2000)"
    ):
        data.storage.read_many("image", 0, range(9))


def test_a_shard_that_is_gone_later(pack):
    data = fc.open(pack)
    (pack / "00000.tar").unlink()
    with pytest.raises(FrameError, match=r"00000.tar:class_0/video_0/000003.image.jpg': No such file"):
        data.storage.read("image", 0, 3)


def test_shards_of_another_pack(pack):
    """Of the same size, so that only the members' headers tell."""
    first, second = (pack / f"0000{number}.tar" for number in (0, 1))
    size = max(first.stat().st_size, second.stat().st_size)
    data = fc.open(pack)
    kept = first.stat().st_size
    first.write_bytes(second.read_bytes().ljust(size, b"\0")[:kept])
    for frame in range(9):
        with pytest.raises(
            FrameError, match=r"its tar has (another member|no member of \d+ bytes) at its place"
        ):
            data.storage.read("image", 0, frame)


@pytest.mark.slow
@settings(max_examples=100)
@given(st.integers(1, 200))
def test_an_index_that_is_shifted(made, shift):
    """Whatever place an index names, what comes from there is a member of that length, or an error."""
    data = fc.open(made)
    storage = data.storage
    known = {content for _, content in members(made)}
    arrays = dict(storage.columns)
    blocks = arrays["pack.image.blocks"].copy()
    blocks[5:] += shift
    moved = PackStorage(
        Columns.pack({**arrays, "pack.image.blocks": blocks}, storage.columns.meta), str(made)
    )
    for place in every_frame(data):
        with suppress(FrameError):
            assert moved.read("image", *place) in known


def test_a_frame_that_could_not_be_read(frames, tmp_path):
    root = shutil.copytree(frames / "class_0", tmp_path / "f" / "class_0")
    bad = root / "video_2" / "frame_00004.jpg"
    bad.write_bytes(b"")
    done, data = packed(fc.open(tmp_path / "f"), tmp_path / "pack")
    (problem,) = done.problems
    assert (problem.video, problem.where) == ("class_0/video_2", str(bad))
    with pytest.raises(
        FrameError, match=r"000003.image.jpg': is empty \(0 bytes\): it could not be read when"
    ):
        data.storage.read("image", 1, 3)
    with pytest.raises(FrameError, match=r"000003.image.jpg"):
        list(fc.ClipLoader(data, fc.Windows(4), batch_size=1, workers=0))


# The index


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "other", "version", "columns"])
def test_a_damaged_index(pack, harm):
    path = pack / "pack.index"
    data = path.read_bytes()
    columns = Columns.load(path)
    match harm:
        case "cut":
            path.write_bytes(data[:-100])
        case "flipped":
            path.write_bytes(data[:-100] + b"!" + data[-99:])
        case "empty":
            path.write_bytes(b"")
        case "other":
            path.write_bytes(b"something else" * 100)
        case "version":
            Columns.pack(dict(columns), {**columns.meta, "pack": 99}).save(path)
        case "columns":
            arrays = {name: array for name, array in columns.items() if name != "pack.image.blocks"}
            Columns.pack(arrays, columns.meta).save(path)
    message = {"version": "has pack format version 99", "columns": "is not a complete index of a pack"}.get(
        harm, "pack.index'"
    )
    with pytest.raises(DataError, match=rf"{message}.*pack again"):
        fc.open(pack)


def test_an_index_that_names_streams_it_has_not(pack):
    columns = Columns.load(pack / "pack.index")
    streams = [{**columns.meta["streams"][0], "name": "mask"}]
    Columns.pack(dict(columns), {**columns.meta, "streams": streams}).save(pack / "pack.index")
    with pytest.raises(DataError, match="is not a complete index of a pack"):
        fc.open(pack)


def test_an_index_without_its_shards(pack, tmp_path):
    (tmp_path / "other").mkdir()
    shutil.copy(pack / "pack.index", tmp_path / "other")
    with pytest.raises(DataError, match="No such file"):
        fc.open(tmp_path / "other")


# Raw pixels


def test_raw_members_that_are_wrong(tmp_path):
    images = np.stack([[picture(frame, 40, 48) for frame in range(3)]])
    done, data = packed(fc.open(images=images), tmp_path / "pack", codec="raw")
    assert done.bytes_after == 3 * (128 + 40 * 48 * 3)
    path = tmp_path / "pack" / "00000.tar"
    tar = bytearray(path.read_bytes())
    at = tar.find(b"'|u1'")
    tar[at : at + 5] = b"'<i2'"
    path.write_bytes(tar)
    with pytest.raises(
        FrameError, match=r"000000.image.npy': is not an array of pixels \(an array of int16, "
    ):
        data.storage.read("image", 0, 0)
    np.testing.assert_array_equal(data.storage.read("image", 0, 1), images[0, 1])
    second = tar.find(b"\x93NUMPY", at)
    struct.pack_into("<H", tar, second + 8, 60_000)
    path.write_bytes(tar)
    with pytest.raises(FrameError, match="is not an array of pixels"):
        data.storage.read("image", 0, 1)


@pytest.mark.parametrize("name", ["video", "vidéo", "v" * 120])
def test_shards_that_changed_places(tmp_path, name):
    """Of raw pixels all frames have one length, so only the members' names tell."""
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8, 3), np.uint8)
    for number, frames in enumerate(images):
        for frame, pixels in enumerate(frames):
            path = tmp_path / "f" / f"{number}" / name / f"{frame}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    folder = tmp_path / "pack"
    _, data = packed(fc.open(tmp_path / "f"), folder, codec="raw", shard_size=1)
    for video, frame in every_frame(data):
        np.testing.assert_array_equal(data.storage.read("image", video, frame), images[video, frame])
    (folder / "00000.tar").rename(folder / "kept")
    (folder / "00001.tar").rename(folder / "00000.tar")
    (folder / "kept").rename(folder / "00001.tar")
    data = fc.open(folder)
    for place in every_frame(data):
        with pytest.raises(FrameError, match=rf"{name}/00000\d.image.npy': its tar has another member"):
            data.storage.read("image", *place)
    with pytest.raises(FrameError, match="another member"):
        data.storage.read_many("image", 1, range(3))
