"""Kernels in place of functions of OpenCV and NumPy whose last bits depend on the CPU or on the version.

Each has the bits of its reference, on each path of the CPU, and of the function that it replaced where that
one runs by the instructions of x86-64 with AVX2 and FMA.
"""

import ctypes
import math
import platform

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from slow_filters import moments, product, shrunk, to_hsv, to_rgb, turned

from fastclips import _native
from fastclips.pixels.geometry.fields import _inverse
from fastclips.pixels.geometry.resample import shrink
from fastclips.pixels.steps.filters import mean_and_variance, power, power_saturation_value, rotate_hue

X86 = platform.machine() == "x86_64"
FUSES = X86 and "*AVX2" in cv2.getCPUFeaturesLine().split()
sides = st.one_of(st.integers(1, 9), st.integers(1, 70))
seeds = st.integers(0, 2**32)


@pytest.fixture(params=["", "AVX2"])
def without(request, monkeypatch):
    """Switches instructions off."""
    monkeypatch.setenv("FASTCLIPS_CPU_DISABLE", request.param)


def colours(seed, height, width):
    """Bytes, values between them and beyond, grays, and equal channels."""
    random = np.random.default_rng(seed)
    frame = random.integers(0, 256, (height, width, 3)).astype(np.float32)
    frame *= random.choice(np.array([1, 0.731, 1.9], np.float32), (height, width, 1))
    same = random.random((height, width)) < 0.1
    frame[same] = frame[same][:, :1]
    frame[..., 1] = np.where(random.random((height, width)) < 0.1, frame[..., 2], frame[..., 1])
    return frame


@given(sides, sides, seeds, st.floats(-360, 360))
@example(3, 70, 0, 0.0)
@settings(max_examples=60, deadline=None)
@pytest.mark.usefixtures("without")
def test_a_hue_turns_as_the_formula_says(height, width, seed, degrees):
    frame = colours(seed, height, width)
    expected = turned(frame, degrees % 360)
    np.testing.assert_array_equal(rotate_hue(frame.copy(), degrees), expected)
    if FUSES:
        hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
        hsv[..., 0] += np.float32(degrees % 360)
        hsv[..., 0] -= np.float32(360) * (hsv[..., 0] >= 360)
        np.testing.assert_array_equal(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), expected)


@given(sides, sides, seeds, st.sampled_from([0.25, 0.5, 1.0, 1.37, 2.0, 4.0]), st.floats(0.25, 4))
@settings(max_examples=40, deadline=None)
@pytest.mark.usefixtures("without")
def test_saturation_and_value_are_raised(height, width, seed, first, second):
    frame = colours(seed, height, width)
    hue, saturation, value = to_hsv(frame)
    saturation = power(saturation * (saturation > np.float32(1e-5)), first)
    value = power(value / np.float32(255), second) * np.float32(255)
    expected = to_rgb(hue, saturation, value)
    np.testing.assert_array_equal(power_saturation_value(frame, first, second), expected)


@pytest.mark.parametrize("exponent", [0.25, 0.5, 1, 1.37, 2, 3, 3.99])
def test_powers_are_those_of_the_c_library(exponent):
    values = np.random.default_rng(0).random((3, 400))
    exact = {0.5: np.sqrt, 1: np.copy, 2: np.square}.get(exponent)
    if exact:
        np.testing.assert_array_equal(power(values, exponent), exact(values))
        np.testing.assert_array_equal(power(values.astype(np.float32), exponent), exact(values.astype("f4")))
        return
    doubles = [[math.pow(value, exponent) for value in row] for row in values]
    np.testing.assert_array_equal(power(values, exponent), doubles)
    powf = ctypes.CDLL("libm.so.6").powf
    powf.restype, powf.argtypes = ctypes.c_float, (ctypes.c_float, ctypes.c_float)
    floats = values.T.astype(np.float32).T  # not C-contiguous
    expected = [[powf(float(value), exponent) for value in row] for row in floats]
    np.testing.assert_array_equal(power(floats, exponent), np.array(expected, np.float32))


@given(sides, sides, st.sampled_from([1, 3]), seeds)
@settings(max_examples=60, deadline=None)
def test_moments_are_summed_in_order(height, width, channels, seed):
    frame = np.random.default_rng(seed).random((height, width, channels)).astype(np.float32) * 255
    mean, deviation = moments(frame)
    assert mean_and_variance(frame) == (mean, deviation**2)


@given(st.integers(0, 5), st.one_of(st.integers(1, 9), st.integers(60, 200)), seeds)
@settings(max_examples=40, deadline=None)
def test_products_are_summed_in_order(count, size, seed):
    random = np.random.default_rng(seed)
    rows, matrix = (random.normal(size=(n, size)).astype(np.float32) for n in (count, size))
    out = np.full_like(rows, np.nan)
    _native.multiply(rows, matrix, out)
    np.testing.assert_array_equal(out, product(rows, matrix))


@given(sides, sides, sides, sides, st.sampled_from([1, 2, 3]), seeds, st.sampled_from([0, 1, 2, 3, 5]))
@example(60, 60, 7, 7, 3, 0, 0)
@example(49, 98, 1, 2, 3, 0, 0)  # the scale is no whole number by a bit
@settings(max_examples=150, deadline=None)
def test_areas_are_those_of_opencv(height, width, tall, wide, channels, seed, whole):
    height, width = min(height, tall), min(width, wide)
    if whole:
        tall, wide = whole * height, whole * width
    frame = np.random.default_rng(seed).integers(0, 256, (tall, wide + 1, channels), np.uint8)
    box = frame[:, 1:]  # rows with a gap between them
    made = shrink(box, height, width, nearest=False)
    np.testing.assert_array_equal(made, shrunk(box, height, width))
    if channels == 1:
        np.testing.assert_array_equal(shrink(box[..., 0], height, width, nearest=False), made[..., 0])
    if X86:  # elsewhere OpenCV fuses products with sums
        there = cv2.resize(box, (width, height), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(made, there.reshape(made.shape))


def test_an_inverse_is_that_of_lapack_up_to_rounding():
    random = np.random.default_rng(0)
    for _ in range(200):
        matrix = random.uniform(0.3, 3, (2, 2)) * random.choice([-1, 1], (2, 2))
        matrix[0, 1] *= random.random() < 0.5
        matrix[1, 0] *= random.random() < 0.5
        if abs(np.linalg.det(matrix)) > 0.1:
            found, expected = _inverse(matrix.tolist()), np.linalg.inv(matrix)
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-15)
    for diagonal in ((2.0, 3.0), (-2.0, 3.0), (2.0, -3.0), (-2.0, -3.0)):
        found, expected = _inverse(np.diag(diagonal).tolist()), np.linalg.inv(np.diag(diagonal))
        np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: _native.rotate_hue(f[..., :1].copy(), 3.0), "3 channels"),
        (lambda f: _native.raise_saturation_value(f[..., :1].copy(), 1.0, 1.0), "3 channels"),
        (lambda f: _native.find_moments(f[:0]), "empty"),
        (lambda f: _native.multiply(f[0], np.eye(4, dtype="f4"), f[1]), "square"),
        (lambda f: _native.multiply(f[0], np.eye(3, dtype="f4"), f[1, :2]), "one shape"),
        (lambda f: _native.multiply(f[0], np.eye(3, dtype="f4"), f[0]), "cannot be the output"),
        (lambda f: _native.shrink(f.astype("u1"), np.empty((5, 4, 3), "u1")), "larger than the frame"),
    ],
)
def test_other_arrays_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.zeros((4, 5, 3), np.float32))
