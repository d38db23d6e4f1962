"""Frames of arrays equal plain indexing, wherever the array lies; what is no such array is refused."""

import os
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastclips.data.arrays import ArrayStorage
from fastclips.data.columns import dump
from fastclips.engine.clip_spec import ClipSpec
from fastclips.engine.inline import Inline
from fastclips.engine.pool import Pool
from fastclips.errors import DataError, FrameError, OptionError
from fastclips.pixels.recipe import compile_recipe
from fastclips.spec import Field, SlotLayout, StreamSpec, ticket_dtype

SHAPE = (3, 4, 5, 6, 3)


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape or SHAPE, np.uint8)


def saved(path, array):
    np.save(path, array)
    return path


def mapped(path, array, mode="r"):
    np.save(path, array)
    return np.load(path, mmap_mode=mode)


def in_file(storage):
    return storage.where(storage.streams[0], 0, 0).startswith("/")


def assert_equal(storage, array, stream="image"):
    assert (storage.videos, storage.frames) == array.shape[:2]
    for video, frame in np.ndindex(array.shape[:2]):
        read = storage.read(stream, video, frame)
        assert (read.dtype, read.flags.c_contiguous) == (np.uint8, True)
        np.testing.assert_array_equal(read, array[video, frame])


@given(
    st.tuples(*[st.integers(1, 4)] * 4, st.sampled_from([1, 3, None])),
    st.sampled_from(["array", "list", "path", "mapped", "turned", "strided"]),
    st.sampled_from(["as it is", "pickled"]),
)
def test_frames_equal_plain_indexing(tmp_path_factory, shape, kind, way):
    """A last axis of None is a mask's."""
    mask = shape[-1] is None
    array = pixels(*filter(None, shape))
    path = tmp_path_factory.mktemp("arrays") / "x.npy"
    source = {
        "array": lambda: array,
        "list": lambda: list(array),
        "path": lambda: saved(path, array),
        "mapped": lambda: mapped(path, array),
        "turned": lambda: np.asfortranarray(array),
        "strided": lambda: np.repeat(array, 2, axis=2)[:, :, ::2],
    }[kind]()
    storage = ArrayStorage.open({"it": source}, {"it": "mask"} if mask else {})
    if way == "pickled":
        storage = pickle.loads(pickle.dumps(storage))
    assert_equal(storage, array, "it")
    assert in_file(storage) == (kind in ("path", "mapped"))
    assert storage.streams == ("it",)
    assert storage.channels("it") == (1 if mask else shape[-1])


def test_streams_may_lie_in_different_places(tmp_path):
    image, mask, depth = pixels(), pixels(*SHAPE[:4]), pixels(*SHAPE[:4], 1)
    sources = {"image": image, "mask": saved(tmp_path / "m.npy", mask), "depth": depth}
    storage = ArrayStorage.open(sources, kinds={"mask": "mask"})
    for stream, array in (("image", image), ("mask", mask), ("depth", depth)):
        assert_equal(storage, array, stream)
    assert storage.streams == ("image", "mask", "depth")
    assert [storage.channels(stream) for stream in storage.streams] == [3, 1, 1]
    assert storage.where("image", 2, 3) == "images['image'][2, 3]"
    assert storage.where("mask", 2, 3) == f"{tmp_path}/m.npy[2, 3]"


def test_bool_masks_become_0_and_1(tmp_path):
    mask = pixels(*SHAPE[:4]) > 128
    turned = mask.transpose(1, 0, 2, 3)
    for source, expected in [
        (mask, mask),
        (turned, turned),
        (saved(tmp_path / "a.npy", mask), mask),
        (mapped(tmp_path / "b.npy", mask), mask),
    ]:
        assert_equal(
            ArrayStorage.open({"mask": source}, kinds={"mask": "mask"}), expected.astype(np.uint8), "mask"
        )


def test_one_stream_is_called_image():
    storage = ArrayStorage.open(pixels())
    assert storage.streams == ("image",)
    assert storage.where("image", 12, 3) == "images[12, 3]"


def test_a_relative_path_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(Path("x.npy"), pixels())
    storage = ArrayStorage.open("x.npy")
    monkeypatch.chdir("/")
    assert_equal(storage, pixels())


def test_what_is_in_memory_is_shared_and_not_pickled():
    storage = ArrayStorage.open({"image": pixels(), "mask": pixels(*SHAPE[:4])}, {"mask": "mask"})
    with Path(os.devnull).open("wb") as file:
        (columns,) = dump(storage, file)
    assert np.shares_memory(columns["image"], storage.read("image", 0, 0))
    assert np.shares_memory(columns["mask"], storage.read("mask", 0, 0))


def test_the_array_may_change_afterwards():
    array = pixels()
    storage = ArrayStorage.open(array)
    array[:] = 0
    assert_equal(storage, pixels())


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_engines_serve_arrays(tmp_path, workers):
    """One stream from memory, one from a file, through to a batch."""
    image, mask = pixels(), pixels(*SHAPE[:4])
    spec = ClipSpec(
        ArrayStorage.open({"image": image, "mask": saved(tmp_path / "m.npy", mask)}, {"mask": "mask"}),
        (StreamSpec("image"), StreamSpec("mask", kind="mask")),
        compile_recipe(()),
        {},
        SlotLayout(3, (Field("image", (2, 5, 6, 3), "uint8"), Field("mask", (2, 5, 6), "uint8"))),
        time_steps=2,
        sizes={"image": (5, 6), "mask": (5, 6)},
        fast_dct=False,
    )
    tickets = np.zeros(3, ticket_dtype(2, 0))
    tickets["video"], tickets["frames"], tickets["weight"] = [2, 0, 1], [[0, 1], [2, 3], [3, 0]], 1
    engine = Pool(spec, workers=workers, memory=2**22) if workers else Inline(spec)
    try:
        batch = engine.collect(engine.submit(tickets))
        for stream, array in (("image", image), ("mask", mask)):
            np.testing.assert_array_equal(batch[stream], array[tickets["video"][:, None], tickets["frames"]])
    finally:
        engine.close()


# Files


def test_a_map_of_a_whole_file_is_read_from_the_file(tmp_path):
    array, path = pixels(), tmp_path / "x.npy"
    whole = mapped(path, array)
    offset = path.stat().st_size - array.nbytes
    by_hand = np.memmap(path, np.uint8, "r", offset, SHAPE)
    gray = mapped(tmp_path / "gray.npy", array[..., 0].copy())
    for source, expected in [
        (whole, array),
        (by_hand, array),
        (mapped(tmp_path / "y.npy", array, "r+"), array),
        (gray[..., None], array[..., :1]),
        (whole.reshape(1, 12, 5, 6, 3), array.reshape(1, 12, 5, 6, 3)),
    ]:
        storage = ArrayStorage.open(source)
        assert in_file(storage)
        assert_equal(storage, expected)


def test_any_other_map_is_copied(tmp_path):
    array, path = pixels(4, 4, 6, 6, 3), tmp_path / "x.npy"
    whole = mapped(path, array)
    offset = path.stat().st_size - array.nbytes
    changed = np.load(path, mmap_mode="c")
    changed[0] = 7
    array.tofile(tmp_path / "raw")
    with (tmp_path / "longer.npy").open("wb") as file:
        np.save(file, array[:3])
        file.write(array[3].tobytes())
    longer = np.memmap(tmp_path / "longer.npy", np.uint8, "r", offset, array.shape)
    gone = mapped(tmp_path / "gone.npy", array)
    (tmp_path / "gone.npy").unlink()
    fortran = mapped(tmp_path / "f.npy", np.asfortranarray(array))
    for source, expected in [
        (whole[1:], array[1:]),
        (whole[::-1], array[::-1]),
        (whole[:, :, ::-1], array[:, :, ::-1]),
        (whole.swapaxes(0, 1), array.swapaxes(0, 1)),
        (whole ^ 1, array ^ 1),
        (changed, np.concatenate([np.full_like(array[:1], 7), array[1:]])),
        (np.memmap(tmp_path / "raw", np.uint8, "r", 0, array.shape), array),
        (np.memmap(path, np.uint8, "r", offset - 3, array.shape), None),
        (longer[1:], array[1:]),
        (gone, array),
        (fortran, array),
    ]:
        storage = ArrayStorage.open(source)
        assert not in_file(storage)
        assert_equal(storage, np.asarray(source) if expected is None else expected)


def test_a_file_is_opened_when_read_and_never_twice(tmp_path):
    def opened():
        links = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return links.count(path)

    path = saved(tmp_path / "x.npy", pixels())
    storage = ArrayStorage.open(path)
    assert opened() == 0
    storage.read("image", 0, 0)
    storage.read("image", 2, 3)
    assert opened() == 1
    again = pickle.loads(pickle.dumps(storage))
    assert opened() == 1
    again.read("image", 0, 0)
    assert opened() == 2
    del storage, again
    assert opened() == 0


def test_after_a_fork_both_read_on(tmp_path):
    array = pixels(40, 5, 16, 16, 3)
    storage = ArrayStorage.open(saved(tmp_path / "x.npy", array))
    storage.read("image", 0, 0)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            assert_equal(storage, array)
            status = 0
        finally:
            os._exit(status)
    assert_equal(storage, array)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_threads_read_together(tmp_path):
    array = pixels(20, 5, 8, 8, 3)
    storage = ArrayStorage.open(saved(tmp_path / "x.npy", array))
    good = []

    def read():
        assert_equal(storage, array)
        good.append(True)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(good) == 4


@pytest.mark.parametrize("already_read", [False, True])
def test_a_file_that_is_cut_short_later(tmp_path, already_read):
    path = saved(tmp_path / "x.npy", pixels())
    storage = ArrayStorage.open(path)
    if already_read:
        storage.read("image", 0, 0)
    os.truncate(path, path.stat().st_size - 1)
    said = "the file was truncated" if already_read else "is truncated: 1207 bytes of 1208"
    with pytest.raises(FrameError, match=rf"cannot read frame {path}\[2, 3\]: .*{said}.* Open the dataset"):
        storage.read("image", 2, 3)
    if already_read:
        np.testing.assert_array_equal(storage.read("image", 2, 2), pixels()[2, 2])


def test_a_file_that_becomes_another(tmp_path):
    path = saved(tmp_path / "x.npy", pixels())
    storage = ArrayStorage.open(path)
    saved(path, pixels(3, 4, 6, 5, 3))
    for _ in range(2):
        with pytest.raises(FrameError, match=r"now holds \(3, 4, 6, 5, 3\), no longer \(3, 4, 5, 6, 3\)"):
            storage.read("image", 0, 0)
    path.unlink()
    with pytest.raises(FrameError, match=rf"frame {path}\[0, 0\]: cannot open '{path}': No such file"):
        storage.read("image", 0, 0)


@pytest.mark.parametrize(("video", "frame"), [(-1, 0), (3, 0), (0, -1), (0, 4)])
def test_there_is_no_such_frame(tmp_path, video, frame):
    for source in (pixels(), saved(tmp_path / "x.npy", pixels())):
        with pytest.raises(IndexError, match=f"there is no frame {frame} of video {video} in images"):
            ArrayStorage.open(source).read("image", video, frame)


# Refusals


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            pixels() / 255,
            r"images of shape \(3, 4, 5, 6, 3\): float64, but pictures must be uint8: scale .*Normalize",
        ),
        (pixels().astype(np.int64), "int64, but pictures must be uint8"),
        (pixels() > 3, "bool, but pictures must be uint8"),
        (["a.npy", "b.npy"], "<U5, but pictures must be uint8"),
        (None, "images=None: must be an array"),
        (pixels(3, 4, 5, 6), r"\(3, 4, 5, 6\): pictures must be \(N, T, H, W, C\); give images\[..., None\]"),
        (pixels(5, 6, 3), r"^images of shape \(5, 6, 3\): pictures must be \(N, T, H, W, C\)$"),
        (pixels(3, 4, 5, 6, 4), r"\(N, T, H, W, C\) with C = 3 \(RGB\) or 1 \(gray\)$"),
        (pixels(3, 4, 3, 5, 6), r"or 1 \(gray\); give np.moveaxis\(images, 2, -1\)"),
        (pixels(0, 4, 5, 6, 3), r"\(0, 4, 5, 6, 3\): empty, but must be \(N, T, H, W, C\)"),
        (
            [pixels(4, 5, 6, 3), pixels(2, 5, 6, 3)],
            r"shapes, \(4, 5, 6, 3\), \(2, 5, 6, 3\), but must make an array",
        ),
        ({}, r"images=\{\}: must name a stream"),
    ],
)
def test_what_is_no_picture(source, said):
    with pytest.raises(OptionError, match=said):
        ArrayStorage.open(source)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            pixels(*SHAPE[:4]).astype(int),
            r"images\['mask'\] .* int64, but masks must be uint8 or bool: convert",
        ),
        (pixels(), r"\(3, 4, 5, 6, 3\): masks must be \(N, T, H, W\)$"),
        (pixels(3, 4, 5, 6, 1), r"masks must be \(N, T, H, W\); give images\['mask'\]\[..., 0\]"),
        (pixels(3, 4, 0, 6), r"empty, but must be \(N, T, H, W\)"),
    ],
)
def test_what_is_no_mask(source, said):
    with pytest.raises(OptionError, match=said):
        ArrayStorage.open({"mask": source}, kinds={"mask": "mask"})


def test_a_refused_file_is_named(tmp_path):
    path = saved(tmp_path / "x.npy", pixels(3, 4, 5, 6))
    said = rf"in '{path}': pictures must be .* give np.load\('{path}', mmap_mode='r'\)\[..., None\]"
    with pytest.raises(OptionError, match=said):
        ArrayStorage.open(path)


def test_streams_must_agree():
    said = r"images\['a'\] is \(3, 4, 5, 6, 3\) and images\['b'\] is \(3, 4, 6, 5\): streams must agree"
    with pytest.raises(OptionError, match=said):
        ArrayStorage.open({"a": pixels(), "b": pixels(3, 4, 6, 5)}, kinds={"b": "mask"})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a .npy file: EOF"),
        (b"PK\3\4 and so on", "is not a .npy file: the magic string is not correct"),
        (b"\x93NUMPY\1\0\xff\0", "is not a .npy file: EOF"),
        (b"\x93NUMPY\1\0\xff\xff", "its header of 65535 bytes is longer than 10000"),
        (None, "cannot open '.*': No such file or directory"),
    ],
)
def test_what_is_no_npy_file(tmp_path, content, said):
    path = tmp_path / "x.npy"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        ArrayStorage.open(path)


def test_fortran_order_is_refused(tmp_path):
    path = saved(tmp_path / "x.npy", np.asfortranarray(pixels()))
    with pytest.raises(DataError, match=rf"'{path}' is in Fortran order, .* np.ascontiguousarray\(array\)"):
        ArrayStorage.open(path)


def test_a_file_that_is_cut_short_already(tmp_path):
    path = saved(tmp_path / "x.npy", pixels())
    os.truncate(path, 1000)
    with pytest.raises(DataError, match=rf"'{path}' is truncated: 1000 bytes of 1208. Write it again"):
        ArrayStorage.open(path)


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (
            np.ma.masked_array(np.zeros((1, 2, 4, 4, 3), np.uint8)),
            "is a masked array, whose mask would be lost",
        ),
        (np.array([np.zeros((2, 4, 4, 3)), np.zeros((3, 4, 4, 3))], object), "videos have different shapes"),
    ],
)
def test_arrays_that_hold_more_than_pixels(images, text):
    with pytest.raises(OptionError, match=text):
        ArrayStorage.open(images)
