"""Frames resized as TensorFlow does it, beside TensorFlow."""

import numpy as np
import pytest
from helpers import picture
from hypothesis import given, settings
from hypothesis import strategies as st

from fastclips.compat.datasets.resizing import Resizer
from fastclips.compat.datasets.spec import INTERPOLATIONS


@pytest.mark.slow
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@settings(max_examples=25)
@given(
    frame=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    size=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    channels=st.sampled_from([1, 3, 4]),
)
def test_resizing_is_tensorflows(interpolation, frame, size, channels):
    tf = pytest.importorskip("tensorflow")

    x = np.random.default_rng(0).integers(0, 256, (*frame, channels)).astype(np.uint8)
    out = np.full((*size, channels), np.nan, np.float32)
    Resizer(frame, size, interpolation)(x, out)
    want = tf.image.resize(x, size, method=interpolation).numpy()
    np.testing.assert_allclose(out, want, atol=0 if interpolation == "nearest" else 0.01, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "lanczos3"])
@pytest.mark.parametrize("frame", [(30, 50), (50, 30), (9, 27), (64, 64), (33, 46)])
@pytest.mark.parametrize("size", [(20, 20), (55, 25), (27, 81)])
def test_aspects_are_kept_as_keras_does(interpolation, frame, size):
    tf, keras = pytest.importorskip("tensorflow"), pytest.importorskip("keras")

    x = np.random.default_rng(0).integers(0, 256, (*frame, 3)).astype(np.uint8)
    wanted = {
        "pad": tf.image.resize_with_pad(x, *size, method=interpolation).numpy(),
        "crop": keras.preprocessing.image.smart_resize(x, size, interpolation=interpolation),
    }
    for aspect, want in wanted.items():
        out = np.full((*size, 3), np.nan, np.float32)
        Resizer(frame, size, interpolation, aspect)(x, out)
        np.testing.assert_allclose(out, want, atol=0.01, rtol=0)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_resizing_by_sums_written_out(interpolation):
    """Without TensorFlow: constant frames stay constant, and a frame of its own size stays as it is."""
    x = np.full((9, 13, 3), 77, np.uint8)
    out = np.empty((14, 7, 3), np.float32)
    Resizer((9, 13), (14, 7), interpolation)(x, out)
    np.testing.assert_allclose(out, 77, atol=1e-4)
    if interpolation not in ("gaussian", "mitchellcubic"):  # these blur
        x = picture(0, 9, 13)
        out = np.empty(x.shape, np.float32)
        Resizer((9, 13), (9, 13), interpolation)(x, out)
        np.testing.assert_allclose(out, x, atol=1e-4)
