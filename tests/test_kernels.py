"""Every kernel against NumPy slicing, compiled and, in a process of its own, as plain Python."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import config

from fastclips.pixels.geometry import kernels

GUARD = 64  # elements around the output that no kernel may touch
compiled_only = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="about compiling")


@st.composite
def boxes(draw):
    """Draw a frame and a box in it."""
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 90))  # wide enough to reach vector code
    top, left = draw(st.integers(0, 3)), draw(st.integers(0, 5))
    frame_height, frame_width = top + height + draw(st.integers(0, 3)), left + width + draw(st.integers(0, 5))
    channels = draw(st.sampled_from([None, 1, 2, 3, 4]))
    shape = (frame_height, frame_width) if channels is None else (frame_height, frame_width, channels)
    apart = draw(st.integers(0, 3))  # pixels between rows
    wider = (shape[0], shape[1] + apart, *shape[2:])
    source = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, wider, np.uint8)
    source = source[:, draw(st.integers(0, apart)) :][:, : shape[1]]
    return source, top, left, height, width


def naive_crop(source, top, left, height, width, flip):
    box = source[top : top + height, left : left + width]
    return box[:, ::-1] if flip else box


def naive_look_up(box, table):
    if box.ndim == 2:
        return table[0][box]
    return np.stack([table[c][box[..., c]] for c in range(box.shape[2])], axis=-1)


def guarded(shape, dtype):
    """Return an array to fill, and the memory around it."""
    size = int(np.prod(shape))
    memory = np.full(size + 2 * GUARD, 77, np.uint8).astype(dtype)
    return memory[GUARD : GUARD + size].reshape(shape), (memory[:GUARD], memory[GUARD + size :])


def out_for(expected, dtype, channels_first):
    shape = np.moveaxis(expected, -1, 0).shape if channels_first and expected.ndim == 3 else expected.shape
    return guarded(shape, dtype)


def as_last(out, channels_first):
    return np.moveaxis(out, 0, -1) if channels_first and out.ndim == 3 else out


@given(boxes(), st.booleans(), st.booleans())
def test_crop(box, flip, channels_first):
    source, top, left, height, width = box
    expected = naive_crop(source, top, left, height, width, flip)
    out, around = out_for(expected, np.uint8, channels_first)
    kernels.crop(source, top, left, flip, out, channels_first=channels_first)
    assert np.array_equal(as_last(out, channels_first), expected)
    assert all((memory == 77).all() for memory in around)


@given(boxes(), st.booleans(), st.booleans(), st.sampled_from(["u1", "i1", "u2", "f2", "f4", "i4"]))
def test_crop_table(box, flip, channels_first, dtype):
    source, top, left, height, width = box
    channels = 1 if source.ndim == 2 else source.shape[2]
    table = np.random.default_rng(1).integers(-100, 100, (channels, 256)).astype(dtype)
    expected = naive_look_up(naive_crop(source, top, left, height, width, flip), table)
    out, around = out_for(expected, dtype, channels_first)
    kernels.crop_table(source, top, left, flip, table, out, channels_first=channels_first)
    assert np.array_equal(as_last(out, channels_first), expected)
    assert all((memory == np.array(77, dtype)).all() for memory in around)


def test_table_moves_bits():
    """A NaN's payload and a negative zero come through as they are."""
    table = np.arange(256, dtype=np.uint32)[None] | np.uint32(0x7FA00000)
    table[0, 0] = 0x80000000
    source = np.arange(256, dtype=np.uint8).reshape(1, 256)
    out = np.empty((1, 256), np.float32)
    kernels.crop_table(source, 0, 0, False, table.view(np.float32), out)
    assert np.array_equal(out.view(np.uint32), table)


def test_read_only_source():
    source = np.frombuffer(bytes(range(48)), np.uint8).reshape(4, 4, 3)
    out = np.empty((2, 2, 3), np.uint8)
    kernels.crop(source, 1, 1, True, out)
    assert np.array_equal(out, source[1:3, 1:3][:, ::-1])


@pytest.mark.parametrize(
    ("top", "left", "height", "width"),
    [(-1, 0, 2, 2), (0, -1, 2, 2), (7, 0, 2, 2), (0, 9, 2, 2), (0, 0, 9, 2), (0, 0, 2, 11), (2**63, 0, 1, 1)],
)
@pytest.mark.parametrize("flip", [False, True])
def test_box_outside(top, left, height, width, flip):
    source = np.zeros((8, 10, 3), np.uint8)
    out = np.zeros((height, width, 3), np.uint8)
    with pytest.raises(ValueError, match="leaves the frame of 8 x 10"):
        kernels.crop(source, top, left, flip, out)


SOURCE = np.zeros((8, 10, 3), np.uint8)
READ_ONLY = np.frombuffer(bytes(12), np.uint8).reshape(2, 2, 3)


@compiled_only  # by the kernels' signatures
@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        (SOURCE[:, ::2], np.zeros((2, 2, 3), np.uint8), "pixels of a row together"),
        (SOURCE.astype(np.int16), np.zeros((2, 2, 3), np.uint8), "source of int16"),
        (SOURCE[None], np.zeros((2, 2, 3), np.uint8), r"source of uint8 .*: must be"),
        (SOURCE, np.zeros((2, 2, 3), np.float32), "crop_table converts"),
        (SOURCE, np.zeros((2, 2), np.uint8), "have 3 axes"),
        (SOURCE, np.zeros((2, 4, 3), np.uint8)[:, ::2], "C-contiguous"),
        (SOURCE, READ_ONLY, "must be writable"),
        (SOURCE, np.zeros((3, 2, 2), np.uint8), "the 3 channels"),
    ],
)
def test_wrong_arrays(source, out, message):
    with pytest.raises(ValueError, match=message):
        kernels.crop(source, 0, 0, False, out)


@pytest.mark.parametrize(
    ("table", "out_dtype", "message"),
    [
        (np.zeros((1, 256), "f4"), "f4", r"\(1, 256\): must be C-contiguous, \(3, 256\)"),
        (np.zeros((3, 512), "f4")[:, ::2], "f4", "C-contiguous"),
        (np.zeros((3, 256), "f4"), "f2", "of float32 and out of float16"),
        (np.zeros((3, 256), "f8"), "f8", "1, 2 or 4 bytes"),
    ],
)
def test_wrong_tables(table, out_dtype, message):
    with pytest.raises(ValueError, match=message):
        kernels.crop_table(SOURCE, 0, 0, False, table, np.zeros((2, 2, 3), out_dtype))


@given(boxes(), st.booleans(), st.booleans(), st.sampled_from([None, "u1", "f2", "f4"]), st.booleans())
def test_streaming_changes_nothing(box, flip, channels_first, dtype, whole):
    """Into memory that starts on a cache line, whether or not the output is whole lines."""
    source, top, left, _, _ = box
    height, width = (4, 64) if whole else (3, 37)
    source = np.tile(source, (4, 64, 1)[: source.ndim])
    expected = naive_crop(source, top, left, height, width, flip)
    if dtype:
        channels = 1 if source.ndim == 2 else source.shape[2]
        table = np.random.default_rng(1).integers(0, 200, (channels, 256)).astype(dtype)
        expected = naive_look_up(expected, table)
    shape = np.moveaxis(expected, -1, 0).shape if channels_first and source.ndim == 3 else expected.shape
    memory = np.full(expected.nbytes + 192, 77, np.uint8)
    start = -memory.ctypes.data % 64 + 64
    out = memory[start : start + expected.nbytes].view(expected.dtype).reshape(shape)
    if dtype:
        kernels.crop_table(
            source, top, left, flip, table, out, channels_first=channels_first, bypass_cache=True
        )
    else:
        kernels.crop(source, top, left, flip, out, channels_first=channels_first, bypass_cache=True)
    assert np.array_equal(as_last(out, channels_first), expected)
    assert (memory[:start] == 77).all()
    assert (memory[start + expected.nbytes :] == 77).all()


def test_a_large_picture_is_staged_in_blocks():
    source = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    memory = np.zeros(3 * 256 * 320 + 64, np.uint8)
    start = -memory.ctypes.data % 64
    for channels_first in (False, True):
        out = memory[start : start + 3 * 256 * 320].reshape(
            (3, 256, 320) if channels_first else (256, 320, 3)
        )
        for flip in (False, True):
            kernels.crop(source, 11, 13, flip, out, channels_first=channels_first, bypass_cache=True)
            expected = naive_crop(source, 11, 13, 256, 320, flip)
            assert np.array_equal(as_last(out, channels_first), expected)


# The module imports nothing but constants, so a copy of it alone stands in for one installed elsewhere.
CHECK = """
import numpy, kernels
source = numpy.arange(60, dtype=numpy.uint8).reshape(4, 5, 3)
out = numpy.empty((2, 3, 3), numpy.uint8)
kernels.crop(source, 1, 1, True, out)
assert (out == source[1:3, 1:4][:, ::-1]).all()
"""
UNCACHED = "assert kernels._copy.stats.cache_path is None"


@pytest.fixture
def copied(tmp_path):
    folder = tmp_path / "installed"
    folder.mkdir()
    (folder / "kernels.py").write_bytes(Path(kernels.__file__).read_bytes())
    return folder


def start(folder, code, **environment):
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True)


def finish(process):
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors


@pytest.mark.slow
@compiled_only
def test_four_processes_fill_the_cache_at_once(copied, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    for process in [start(copied, CHECK, NUMBA_CACHE_DIR=str(cache)) for _ in range(4)]:
        finish(process)
    hits = "assert kernels._copy.stats.cache_hits and kernels._look_up.stats.cache_hits"
    finish(start(copied, CHECK + hits, NUMBA_CACHE_DIR=str(cache)))


@pytest.mark.slow
@compiled_only
def test_no_place_for_a_cache(copied, tmp_path):
    no_folder = tmp_path / "file"
    no_folder.touch()
    (copied / "__pycache__").touch()  # what is a file cannot be filled, not even by root
    finish(start(copied, CHECK + UNCACHED, HOME=str(no_folder), XDG_CACHE_HOME=str(no_folder)))


@pytest.mark.slow
@compiled_only
def test_disk_full(copied, tmp_path):
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"
    finish(start(copied, full + CHECK + UNCACHED, NUMBA_CACHE_DIR=str(tmp_path)))


@pytest.mark.slow
@compiled_only
def test_same_as_plain_python():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    root = Path(__file__).parents[1]
    run = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
