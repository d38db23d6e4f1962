"""Columns come back bit for bit, by every way there is, and never as a copy where they can be shared."""

import gc
import json
import mmap
import os
import pickle
import struct
import subprocess
import sys
import threading
import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers import decode, make_frames, wait_until
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import fastclips as fc
from fastclips.data.columns import _PREFIX, Columns, dump, load
from fastclips.engine.clip_spec import ClipSpec
from fastclips.engine.pool import Pool
from fastclips.errors import DataError
from fastclips.pixels.recipe import compile_recipe
from fastclips.spec import Field, SlotLayout, StreamSpec, ticket_dtype

LARGE = 192 * 2**20  # bytes: several times what a worker has of its own
SMALL = {"a": np.arange(10), "b": np.array([True, False])}


def descriptors():
    gc.collect()  # what earlier tests left in cycles
    return len(list(Path("/proc/self/fd").iterdir()))


def memory(pid, *fields):
    """Bytes of a process by the kernel's count."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return sum(int(line.split()[1]) * 1024 for line in lines if line.split(":")[0] in fields)


def assert_equal(columns, arrays):
    assert list(columns) == list(arrays)
    for name, array in arrays.items():
        assert columns[name].shape == array.shape
        assert columns[name].dtype == array.dtype.newbyteorder("<")
        assert columns[name].tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes()


def slowly_read(block):
    """Read a block as the module's docstring describes it."""
    magic, version, length, total, checksum = struct.unpack("<8sQQQQ", block[:40])
    assert (magic, version, total) == (b"fcolumns", 2, len(block))
    assert checksum == zlib.crc32(block[40:])
    header = json.loads(block[40 : 40 + length])
    start = 40 + length
    while start % 64:
        assert block[start] == 0
        start += 1
    arrays = {}
    for name, (dtype, shape, offset) in header["arrays"].items():
        assert offset % 64 == 0
        size = np.dtype(dtype).itemsize * int(np.prod(shape))
        array = np.frombuffer(block[start + offset :][:size], dtype) if size else np.empty(0, dtype)
        arrays[name] = array.reshape(shape)
    return arrays, header["meta"]


@st.composite
def any_array(draw):
    """Numbers of any kind, byte order, shape and strides."""
    dtype = draw(st.sampled_from(["?", "u1", "<i2", ">i4", "<i8", ">u8", "<f2", ">f4", "<f8", "<c16", ">c8"]))
    shape = draw(npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    array = (np.arange(np.prod(shape)) % 3 * 85).reshape(shape).astype(dtype)
    steps = tuple(slice(None, None, draw(st.sampled_from([1, -1, 2]))) for _ in shape)
    return array.transpose(draw(st.permutations(range(len(shape)))))[steps]


@pytest.mark.slow
@given(st.dictionaries(st.text(max_size=5), any_array(), max_size=4))
def test_arrays_come_back(tmp_path_factory, arrays):
    meta = {"names": ["ä", "\udce9"], "count": len(arrays)}
    packed = Columns.pack(arrays, meta)
    path = tmp_path_factory.mktemp("columns") / "c"
    packed.save(path)
    ways = [packed, Columns.load(path), Columns.attach(packed.fd), pickle.loads(pickle.dumps(packed))]
    for columns in ways:
        assert_equal(columns, arrays)
        assert columns.meta == meta
        assert columns.nbytes == packed.nbytes == path.stat().st_size
        assert all(array.ctypes.data % 64 == 0 for array in columns.values() if array.size)
    by_hand, meta_by_hand = slowly_read(path.read_bytes())
    assert_equal(packed, by_hand)
    assert meta_by_hand == meta


def test_large_arrays_are_cut_into_pieces(tmp_path):
    """Larger than a piece in every way: by rows, within a row, one long strided row, mapped, swapped."""
    large = np.random.default_rng(0).integers(0, 2**63, (3, 1500, 500))
    np.save(tmp_path / "x.npy", large)
    arrays = {
        "whole": large,
        "turned": large.transpose(2, 0, 1),
        "mirrored": large[:, ::-1],
        "strided": large.reshape(-1)[::2],
        "swapped": large.astype(">i8"),
        "mapped": np.load(tmp_path / "x.npy", mmap_mode="r"),
    }
    assert_equal(Columns.pack(arrays), arrays)


def test_packing_makes_no_second_copy():
    large = np.ones((64, 2**20), np.uint8).T
    tracemalloc.start()
    try:
        columns = Columns.pack({"x": large, "y": large.astype(bool).T})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert columns.nbytes > 2 * large.nbytes
    assert peak < large.nbytes * 1.5, "the bools are one copy, made by the test"


def test_loading_takes_no_memory(tmp_path):
    Columns.pack({"x": np.zeros(2**26, np.uint8)}).save(tmp_path / "c")
    before = memory("self", "Rss")
    columns = Columns.load(tmp_path / "c")
    assert columns["x"].nbytes == 2**26
    assert memory("self", "Rss") - before < 2**23


@given(st.data())
def test_a_flipped_bit_is_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("columns") / "c"
    Columns.pack(SMALL, {"word": "yes"}).save(path)
    block = bytearray(path.read_bytes())
    block[data.draw(st.integers(0, len(block) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(block)
    with pytest.raises(DataError):
        Columns.load(path)


def test_arrays_are_read_only():
    columns = Columns.pack(SMALL)
    with pytest.raises(ValueError, match="read-only"):
        columns["a"][0] = 1
    with pytest.raises(ValueError, match="cannot set WRITEABLE flag"):
        columns["a"].flags.writeable = True
    with pytest.raises(TypeError):
        columns["a"] = columns["a"]


def test_a_packed_block_is_sealed():
    """Not even whoever holds the descriptor can change it."""
    columns = Columns.pack(SMALL)
    for attempt in (
        lambda: os.pwrite(columns.fd, b"x", 0),
        lambda: os.ftruncate(columns.fd, 10),
        lambda: mmap.mmap(columns.fd, columns.nbytes),
    ):
        with pytest.raises(PermissionError):
            attempt()


def test_arrays_outlive_their_columns():
    part = Columns.pack({"a": np.arange(1000)})["a"][::2]
    np.testing.assert_array_equal(part, np.arange(0, 1000, 2))


@pytest.mark.slow
def test_no_descriptor_is_left(tmp_path):
    before = descriptors()
    columns = Columns.pack(SMALL)
    columns.save(tmp_path / "c")
    more = [Columns.load(tmp_path / "c"), Columns.attach(columns.fd), pickle.loads(pickle.dumps(columns))]
    file = BytesIO()
    left_out = dump(more, file)
    file.seek(0)
    again = load(file, [columns.fds for columns in left_out])
    with pytest.raises(TypeError):
        Columns.pack({"a": "text"})
    (tmp_path / "c").write_bytes(b"other")
    with pytest.raises(DataError):
        Columns.load(tmp_path / "c")
    assert descriptors() > before
    del columns, more, left_out, again
    assert descriptors() == before


def test_columns_are_equal_to_themselves_alone():
    columns, same = Columns.pack(SMALL), Columns.pack(SMALL)
    assert columns == columns  # noqa: PLR0124 - what is tested
    assert columns != same
    assert len({columns, same}) == 2


def test_repr_tells_what_there_is():
    assert repr(Columns.pack(SMALL)) == "<Columns of 320 bytes: a: int64(10,), b: bool(2,)>"
    assert repr(Columns.pack({})).endswith("bytes: none>")


@pytest.mark.parametrize(
    ("arrays", "meta", "said"),
    [
        ({"x": np.array(["a"])}, None, "column 'x' must hold numbers or bools, not <U1"),
        ({"x": np.array([None])}, None, "column 'x' must hold numbers or bools, not object"),
        ({"x": np.zeros(2, "M8[s]")}, None, r"column 'x' must hold numbers or bools, not datetime64\[s\]"),
        ({3: np.zeros(2)}, None, "the name of a column must be a str, not 3"),
        ({}, {"x": np.zeros(2)}, "not JSON serializable"),
    ],
)
def test_what_cannot_be_packed(arrays, meta, said):
    with pytest.raises(TypeError, match=said):
        Columns.pack(arrays, meta)


# Files


def test_a_file_is_there_as_a_whole_or_not_at_all(tmp_path):
    columns = Columns.pack(SMALL)
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        columns.save(tmp_path / "taken")
    with pytest.raises(FileNotFoundError):
        columns.save(tmp_path / "none" / "c")
    columns.save(tmp_path / "c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "taken"]
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o666 & ~umask()


def umask():
    return int(Path("/proc/self/status").read_text().split("Umask:")[1].split()[0], 8)


def test_replacing_a_file_leaves_its_readers_alone(tmp_path):
    Columns.pack({"a": np.arange(9)}).save(tmp_path / "c")
    first = Columns.load(tmp_path / "c")
    Columns.pack({"a": np.arange(1)}).save(tmp_path / "c")
    np.testing.assert_array_equal(first["a"], np.arange(9))
    np.testing.assert_array_equal(Columns.load(tmp_path / "c")["a"], [0])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda _: b"", r"does not hold saved columns \(it begins with b''\)"),
        (lambda _: b"\x93NUMPY and more", r"does not hold saved columns \(it begins with b'.x93NUMPY a'"),
        (lambda block: block[:5], "is truncated to 5 bytes"),
        (lambda block: block[:39], "is truncated to 39 bytes"),
        (lambda block: block[:60], "has 60 bytes, but its header says 320"),
        (lambda block: block[:-1], "has 319 bytes, but its header says 320"),
        (lambda block: block + b"x", "has 321 bytes, but its header says 320"),
        (lambda block: block[:8] + b"\1" + block[9:], "has format version 1, .* reads version 2"),
        (lambda block: block[:40] + bytes(280), "has a damaged header"),
        (lambda block: block[:-1] + b"\7", "is damaged: its checksum does not match"),
        (lambda block: block.replace(b'"<i8"', b'"<i9"'), "has a damaged header"),
        (lambda block: block.replace(b'"|b1"', b'"|S1"'), "has a damaged header"),
        (lambda block: block.replace(b"[10]", b"[99]"), r"has a damaged header \(an array of <i8 \[99\]"),
        (lambda block: block.replace(b"[10]", b"[-1]"), r"has a damaged header \(an array of <i8 \[-1\]"),
        (lambda block: block.replace(b"128", b"127"), r"an array of .b1 \[2\] cannot begin at byte 127"),
        (lambda block: block.replace(b'"meta"', b'"mota"'), "has a damaged header"),
        (lambda block: block[:16] + b"\xff" * 8 + block[24:], "has a damaged header"),
    ],
)
def test_what_cannot_be_loaded(tmp_path, damage, said):
    path = tmp_path / "c"
    Columns.pack(SMALL).save(path)
    block = damage(path.read_bytes())
    if len(block) > _PREFIX.size and "checksum" not in said:  # whoever wrote it so wrote its checksum too
        block = (
            _PREFIX.pack(*_PREFIX.unpack_from(block)[:-1], zlib.crc32(block[_PREFIX.size :]))
            + block[_PREFIX.size :]
        )
    path.write_bytes(block)
    with pytest.raises(DataError, match=said) as caught:
        Columns.load(path)
    assert str(caught.value).startswith(repr(str(path)))
    ours = path.read_bytes()[:5] == b"fcolu"
    assert str(caught.value).endswith("delete it, and it is made again") == ours


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        Columns.load(tmp_path / "c")
    with pytest.raises(DataError, match="does not hold saved columns"):
        Columns.load(tmp_path)


# From process to process


def test_each_block_is_left_out_once():
    first, second = Columns.pack(SMALL), Columns.pack({"x": np.zeros(2**20)})
    file = BytesIO()
    left_out = dump({"again": [first, second, first], "else": "text"}, file)
    assert left_out == [first, second]
    assert len(file.getvalue()) < 1000
    file.seek(0)
    value = load(file, [columns.fds for columns in left_out])
    assert value["again"][0] is value["again"][2]
    assert_equal(value["again"][0], first)
    assert_equal(value["again"][1], second)


def test_another_process_attaches():
    columns = Columns.pack({"x": np.arange(1000)}, {"word": "yes"})
    code = "import sys; from fastclips.data.columns import Columns; c = Columns.attach(int(sys.argv[1])); "
    done = subprocess.run(
        [sys.executable, "-c", code + "print(c['x'].sum(), c.meta['word'])", str(columns.fd)],
        pass_fds=[columns.fd],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    assert done.stdout == "499500 yes\n"


class BlobStorage(fc.Storage):
    """Frames in one column, each beginning where another column says; two blocks."""

    def __init__(self, files, size):
        blob = np.zeros(size, np.uint8)
        joined = np.frombuffer(b"".join(files), np.uint8)
        blob[-len(joined) :] = joined
        ends = size - len(joined) + np.cumsum([len(file) for file in files])
        self.blob = Columns.pack({"bytes": blob})
        self.places = Columns.pack({"ends": ends, "sizes": np.array([len(file) for file in files])})

    def read(self, _stream, _video, frame):
        blob = self.blob["bytes"]
        assert blob[::4096].sum() > 0, "every page is looked at"
        end, size = self.places["ends"][frame], self.places["sizes"][frame]
        return blob[end - size : end].tobytes()

    def where(self, _stream, _video, frame):
        return f"frame {frame}"


def make_spec(storage):
    streams = (StreamSpec("image"),)
    layout = SlotLayout(2, (Field("image", (2, 48, 64, 3), "uint8"),))
    return ClipSpec(storage, streams, compile_recipe(()), {}, layout, 2, {"image": (48, 64)}, fast_dct=False)


@pytest.mark.slow
def test_workers_share_what_the_trainer_holds(tmp_path):
    """Frames come out right, and nobody has a copy: not the nursery, not a worker."""
    files = sorted(make_frames(tmp_path, videos=1, frames=4).rglob("*.jpg"))
    storage = BlobStorage([file.read_bytes() for file in files], LARGE)
    assert storage.blob["bytes"][::4096].sum() > 0, "mapped here too, so that no worker is its only user"
    tickets = np.zeros(2, ticket_dtype(2, 0))
    tickets["frames"] = [[0, 1], [2, 3]]
    pool = Pool(make_spec(storage), workers=2, memory=2**24)
    try:
        served = [pool.collect(pool.submit(tickets))["image"].copy() for _ in range(4)]
        wait_until(lambda: len(pool.pids) == 3)
        private = [memory(pid, "Private_Clean", "Private_Dirty") for pid in pool.pids]
        shared = [memory(pid, "Shared_Clean", "Shared_Dirty") for pid in pool.pids]
        together = sum(memory(pid, "Pss_Shmem") for pid in (os.getpid(), *pool.pids))
    finally:
        pool.close()
    expected = np.stack([decode(file) for file in files]).reshape(2, 2, 48, 64, 3)
    for batch in served:
        np.testing.assert_array_equal(batch, expected)
    assert max(shared) > LARGE
    assert max(private) < LARGE / 2
    assert LARGE <= together < LARGE * 1.5, "shared pages, each counted once among all that map it"


def test_a_pool_leaves_no_descriptor(tmp_path):
    files = sorted(make_frames(tmp_path, videos=1, frames=1).rglob("*.jpg"))
    before = descriptors()
    storage = BlobStorage([file.read_bytes() for file in files], 2**20)
    pool = Pool(make_spec(storage), workers=1, memory=2**24)
    pool.close()
    pool.release()
    del storage, pool
    assert descriptors() == before


class Unpicklable(BlobStorage):
    def __init__(self):
        self.lock = threading.Lock()


def test_what_cannot_be_pickled_says_so():
    before = descriptors()
    with pytest.raises(
        fc.OptionError, match=r"cannot be sent to workers: cannot pickle '_thread\.lock' object"
    ):
        Pool(make_spec(Unpicklable()), workers=1, memory=2**24)
    assert descriptors() == before


@pytest.mark.slow
def test_numbers_in_sys_path_are_no_descriptors(monkeypatch, tmp_path):
    """The trainer's path follows the numbers among the nursery's arguments."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["7", "", *sys.path])
    files = sorted(make_frames(tmp_path, videos=1, frames=4).rglob("*.jpg"))
    storage = BlobStorage([file.read_bytes() for file in files], 2**20)
    pool = Pool(make_spec(storage), workers=1, memory=2**24)
    try:
        tickets = np.zeros(2, ticket_dtype(2, 0))
        assert pool.collect(pool.submit(tickets))["image"].any()
    except fc.EngineError:
        pytest.fail("the nursery took a folder for a descriptor")
    finally:
        pool.close()
