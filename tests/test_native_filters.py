"""The native warp, blur and mixture of channels against obvious versions, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastclips import _native
from fastclips._native import POINT_BITS, Fill

ONE = 1 << POINT_BITS
sizes = st.integers(1, 24)
changes = st.floats(-3, 3).map(lambda value: round(value * ONE))
starts = st.one_of(st.floats(-60, 60), st.floats(-(2**24), 2**24)).map(lambda value: round(value * ONE))
lines = st.tuples(changes, changes, starts)


def picture(height, width, channels, seed, dtype=np.uint8):
    random = np.random.default_rng(seed)
    if dtype == np.uint8:
        return random.choice(np.array([0, 1, 128, 254, 255], np.uint8), (height, width, channels))
    return (random.random((height, width, channels)) * 255).astype(dtype)


def inside(index, size, fill):
    if fill == Fill.NEAREST:
        return min(max(index, 0), size - 1)
    if fill == Fill.WRAP:
        return index % size
    index %= 2 * size
    return min(index, 2 * size - 1 - index)


def slow_warp(frame, row, column, fill, shape):
    """Each pixel by itself, in Python's integers."""
    height, width, channels = frame.shape
    out = np.empty((*shape, channels), np.uint8)
    for i in range(shape[0]):
        for j in range(shape[1]):
            y, x = (
                (down * i + across * j + start + (1 << (POINT_BITS - 9))) >> (POINT_BITS - 8)
                for down, across, start in (row, column)
            )
            (y, wy), (x, wx) = divmod(y, 256), divmod(x, 256)
            rows = [inside(y + k, height, fill) for k in range(2)]
            columns = [inside(x + k, width, fill) for k in range(2)]
            for c in range(channels):
                total = sum(
                    int(frame[rows[a], columns[b], c]) * (wy if a else 256 - wy) * (wx if b else 256 - wx)
                    for a in range(2)
                    for b in range(2)
                )
                out[i, j, c] = (total + 2**15) >> 16
    return out


@settings(max_examples=150, deadline=None)
@given(
    frame=st.tuples(sizes, sizes, st.sampled_from([1, 3]), st.integers(0, 99)),
    shape=st.tuples(st.integers(1, 6), st.integers(1, 40)),
    row=lines,
    column=lines,
    fill=st.sampled_from([Fill.NEAREST, Fill.REFLECT, Fill.WRAP]),
    cut=st.integers(0, 2),
)
def test_a_warp_is_that_of_each_pixel(frame, shape, row, column, fill, cut):
    height, width, channels, seed = frame
    whole = picture(height, width + cut, channels, seed)
    part = whole[:, cut:]  # rows with a gap between them
    out = np.empty((*shape, channels), np.uint8)
    _native.warp(part, row, column, fill, out)
    np.testing.assert_array_equal(out, slow_warp(part, row, column, fill, shape))


def test_a_warp_that_changes_nothing_copies():
    frame = picture(40, 50, 3, 0)
    out = np.empty_like(frame)
    _native.warp(frame, (ONE, 0, 0), (0, ONE, 0), Fill.NEAREST, out)
    np.testing.assert_array_equal(out, frame)


@pytest.mark.parametrize(
    ("frame", "out", "message"),
    [
        (np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 2), np.uint8), "1 or 3 channels"),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 1), np.uint8), "1 or 3 channels"),
        (np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8), "is empty"),
        (np.zeros((4, 8, 3), np.uint8)[:, ::2], np.zeros((4, 4, 3), np.uint8), "together"),
    ],
)
def test_a_warp_of_other_arrays_is_refused(frame, out, message):
    with pytest.raises(ValueError, match=message):
        _native.warp(frame, (ONE, 0, 0), (0, ONE, 0), Fill.NEAREST, out)


def reflected(index, size):
    last = size - 1
    if not last:
        return 0
    index = index % (2 * last)
    return min(index, 2 * last - index)


def weighed(frame, weights, axis):
    """A sum in float32, from the middle outwards, mirrored without the border."""
    size, reach = frame.shape[axis], len(weights) // 2

    def at(offset):
        return frame.take([reflected(index + offset, size) for index in range(size)], axis)

    total = weights[reach] * frame
    for j in range(1, reach + 1):
        total = total + weights[reach - j] * (at(-j) + at(j))
    assert total.dtype == np.float32
    return total


@settings(max_examples=80, deadline=None)
@given(
    frame=st.tuples(sizes, sizes, st.sampled_from([1, 3]), st.integers(0, 99)),
    half=st.lists(st.floats(0.0078125, 1, width=32), min_size=1, max_size=9),
)
def test_a_blur_adds_in_one_order(frame, half):
    frame = picture(*frame, np.float32)
    weights = np.array([*half[::-1], *half[1:]], np.float32)
    out = np.empty_like(frame)
    _native.blur(frame, weights.tolist(), out)
    np.testing.assert_array_equal(out, weighed(weighed(frame, weights, 0), weights, 1))


@settings(max_examples=40, deadline=None)
@given(
    frame=st.tuples(sizes, sizes, st.just(3), st.integers(0, 99)),
    matrix=st.lists(st.floats(-2, 2, width=32), min_size=9, max_size=9),
)
def test_channels_are_mixed_from_left_to_right(frame, matrix):
    frame, rows = picture(*frame, np.float32), np.array(matrix, np.float32).reshape(3, 3)
    out = np.empty_like(frame)
    _native.mix_channels(frame, matrix, out)
    r, g, b = np.moveaxis(frame, 2, 0)
    expected = np.stack([row[0] * r + row[1] * g + row[2] * b for row in rows], axis=2)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: _native.blur(f, [0.5, 0.5], np.empty_like(f)), "odd"),
        (lambda f: _native.blur(f, [1.0], f), "cannot be the output"),
        (lambda f: _native.blur(f, [1.0], np.empty((4, 5, 3), np.float32)), "one shape"),
        (lambda f: _native.mix_channels(f, [1.0] * 8, np.empty_like(f)), "3 x 3"),
    ],
)
def test_filters_of_other_arrays_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.zeros((4, 4, 3), np.float32))
