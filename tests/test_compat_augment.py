"""Compat's pixels: the gather agrees with Pillow, the affine map with SciPy, the rest with plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from fastclips.compat._base.augmentation import Augmentation, Standardization, brightness_table
from fastclips.compat._base.legacy_kernels import FILL_MODES, affine, gather, nearest_indices
from fastclips.compat._base.tickets import DrawLayout
from fastclips.compat.image import ImageDataGenerator

IDENTITY = np.arange(256)
sizes = st.integers(1, 70)


def table(channels, dtype=np.float32):
    return np.ascontiguousarray(np.broadcast_to(IDENTITY.astype(dtype), (channels, 256)))


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


# --- nearest neighbour


@given(sizes, sizes, sizes, sizes, st.sampled_from([1, 3, 4]), st.sampled_from([np.uint8, np.float32]))
@settings(max_examples=150)
def test_gather_takes_pillows_pixels(height, width, tall, wide, channels, dtype):
    frame = noise(height * width, height, width, channels)
    out = np.empty((tall, wide, channels), dtype)
    rows, columns = nearest_indices(tall, 0, height), nearest_indices(wide, 0, width)
    gather(frame, rows, columns, table(channels, dtype), out)
    for channel in range(channels):
        image = Image.fromarray(frame[:, :, channel]).resize((wide, tall), Image.Resampling.NEAREST)
        assert np.array_equal(out[:, :, channel], np.asarray(image))


@given(sizes, sizes, sizes, sizes)
@settings(max_examples=50)
def test_gather_makes_pillows_grey(height, width, tall, wide):
    frame = noise(height + width, height, width, 3)
    out = np.empty((tall, wide, 1), np.float32)
    gather(frame, nearest_indices(tall, 0, height), nearest_indices(wide, 0, width), table(1), out)
    image = Image.fromarray(frame).convert("L").resize((wide, tall), Image.Resampling.NEAREST)
    assert np.array_equal(out[:, :, 0], np.asarray(image))


def test_gather_sends_each_channel_through_its_table():
    frame = noise(0, 5, 6, 3)
    tables = np.random.default_rng(1).normal(size=(3, 256)).astype(np.float32)
    out = np.empty((5, 6, 3), np.float32)
    gather(frame, nearest_indices(5, 0, 5), nearest_indices(6, 0, 6)[::-1].copy(), tables, out)
    assert np.array_equal(out, np.stack([tables[c][frame[:, ::-1, c]] for c in range(3)], axis=-1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"rows": np.array([0, 5], np.uint64)},
        {"columns": np.array([0, 6, 1, 1], np.uint64)},
        {"table": table(1)},
        {"table": table(3, np.uint8)},
        {"out": np.empty((2, 3, 3), np.float32)},
        {"out": np.empty((2, 4, 4), np.float32)},
    ],
)
def test_gather_refuses_what_does_not_fit(wrong):
    right = {
        "source": noise(0, 5, 6, 3),
        "rows": np.array([0, 4], np.uint64),
        "columns": np.array([0, 5, 1, 1], np.uint64),
        "table": table(3),
        "out": np.empty((2, 4, 3), np.float32),
    }
    gather(**right)
    with pytest.raises(ValueError, match="source"):
        gather(**{**right, **wrong})


# --- affine maps


@given(
    seed=st.integers(0, 2**31),
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    order=st.sampled_from([0, 1]),
    mode=st.sampled_from(FILL_MODES),
    dtype=st.sampled_from([np.uint8, np.float32, np.float64]),
    whole=st.booleans(),
)
@settings(max_examples=300)
def test_affine_agrees_with_scipy(seed, height, width, order, mode, dtype, whole):
    """To a float32's rounding; where positions fall on pixels exactly, borders included."""
    ndimage = pytest.importorskip("scipy.ndimage")
    random = np.random.default_rng(seed)
    frame = random.uniform(0, 255, (height, width, 2)).astype(dtype)
    matrix = np.column_stack([random.normal(size=(2, 2)), 20 * random.normal(size=2)])
    if whole:
        matrix = np.column_stack([np.eye(2)[:, :: random.choice([-1, 1])], np.round(matrix[:, 2])])
    got = affine(frame, matrix, order, mode, 3.5)
    reference = frame.astype(np.float32) if dtype == np.uint8 else frame
    for channel in range(2):
        expected = ndimage.affine_transform(
            reference[:, :, channel], matrix[:, :2], matrix[:, 2], order=order, mode=mode, cval=3.5
        )
        if order == 0:
            np.testing.assert_array_equal(got[:, :, channel], expected)
        np.testing.assert_allclose(got[:, :, channel], expected, rtol=1e-6, atol=1e-4)


def slow_affine(frame, matrix):
    """Linear, beyond the frame its nearest pixel."""
    out = np.empty(frame.shape)
    bottom, side = frame.shape[0] - 1, frame.shape[1] - 1
    for y, x in np.ndindex(*frame.shape[:2]):
        down, across = np.clip(matrix @ [y, x, 1], 0, [bottom, side])
        top, left = int(down), int(across)
        below, beside = min(top + 1, bottom), min(left + 1, side)
        upper = frame[top, left] * (1 - across + left) + frame[top, beside] * (across - left)
        lower = frame[below, left] * (1 - across + left) + frame[below, beside] * (across - left)
        out[y, x] = upper * (1 - down + top) + lower * (down - top)
    return out


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_affine_agrees_with_plain_python(channels):
    frame = noise(3, 17, 23, channels)
    matrix = np.array([[0.9, 0.3, -2.2], [-0.3, 0.9, 4.1]])
    assert np.abs(affine(frame, matrix, 1, "nearest", 0.0) - slow_affine(frame, matrix)).max() < 1e-4


# --- augmentation


def test_draws_are_numpys_in_a_fixed_order():
    everything = Augmentation(
        rotation_range=10,
        width_shift_range=0.2,
        height_shift_range=3,
        brightness_range=(0.5, 2),
        shear_range=5,
        zoom_range=(0.8, 1.2),
        channel_shift_range=9,
        horizontal_flip=True,
    )
    got = everything.draw(np.random.RandomState(4), 30, 50)
    random = np.random.RandomState(4)
    expected = {"theta": random.uniform(-10, 10)}
    expected["tx"] = random.choice(3) * random.choice([-1, 1])
    expected["ty"] = random.uniform(-0.2, 0.2) * 50
    expected["shear"] = random.uniform(-5, 5)
    expected["zx"], expected["zy"] = random.uniform(0.8, 1.2, 2)
    expected["flip_horizontal"] = random.uniform() < 0.5
    expected["flip_vertical"] = (random.uniform() < 0.5) * False
    expected["channel_shift_intensity"] = random.uniform(-9, 9)
    expected["brightness"] = random.uniform(0.5, 2)
    assert got == expected
    assert Augmentation.from_vector(Augmentation.to_vector(got)) == expected


def test_nothing_on_draws_nothing_but_two_coins():
    random = np.random.RandomState(0)
    parameters = Augmentation().draw(random, 8, 8)
    other = np.random.RandomState(0)
    other.uniform(size=2)
    assert random.uniform() == other.uniform()
    frame = noise(0, 8, 8, 3)
    assert Augmentation().apply(frame, parameters) is frame


@given(st.floats(-0.5, 3), st.sampled_from(["L", "RGB", "RGBA"]))
@settings(max_examples=60)
def test_brightness_is_pillows(factor, mode):
    frame = noise(5, 16, 16, len(mode))
    image = Image.fromarray(frame[:, :, 0] if mode == "L" else frame)
    expected = np.asarray(ImageEnhance.Brightness(image).enhance(factor)).reshape(frame.shape)
    for given_frame in (frame, frame.astype(np.float32)):
        assert np.array_equal(Augmentation().apply(given_frame, {"brightness": factor}), expected)
    assert brightness_table(factor).dtype == np.uint8


def test_brightness_beyond_bytes_keeps_the_range():
    frame = np.linspace(-300, 500, 48, dtype=np.float32).reshape(4, 4, 3)
    same = Augmentation().apply(frame, {"brightness": 1.0})
    assert np.abs(same - frame).max() < 800 / 255
    assert Augmentation().apply(frame, {"brightness": 0.0}).max() == pytest.approx(-300)


# --- standardising


def plainly(frame, mean, std):
    frame = frame.astype(np.float32) * np.float32(1 / 127.5)
    return (frame - mean) / (std + 1e-6)


def test_a_table_gives_the_bits_of_the_steps():
    mean, std = np.float32([[[0.1, 0.2, 0.3]]]), np.float32([[[1.5, 0.5, 0.7]]])
    standard = Standardization(rescale=1 / 127.5, mean=mean, std=std)
    frame = noise(0, 9, 9, 3)
    stepwise = standard.apply(frame.astype(np.float32))
    assert np.array_equal(stepwise, plainly(frame, mean, std))
    by_table = standard.table(3, channels_first=False)
    assert np.array_equal(np.stack([by_table[c][frame[:, :, c]] for c in range(3)], axis=-1), stepwise)
    first = Standardization(rescale=1 / 127.5, mean=mean.reshape(3, 1, 1), std=std.reshape(3, 1, 1))
    assert np.array_equal(first.table(3, channels_first=True), by_table)


@pytest.mark.parametrize(
    "standard",
    [
        Standardization(samplewise_center=True),
        Standardization(samplewise_std_normalization=True),
        Standardization(zca_matrix=np.eye(12)),
        Standardization(mean=np.zeros((2, 2, 3))),
        Standardization(function=lambda _, frame: frame),
    ],
)
def test_what_looks_beyond_one_value_has_no_table(standard):
    assert standard.table(3, channels_first=False) is None


@pytest.mark.parametrize("named", [False, True])
def test_draws_of_each_frame_are_found_again(named):
    layout, augmentation = DrawLayout(3, named), Augmentation(rotation_range=30, horizontal_flip=True)
    draws = layout.draw(augmentation, np.random.RandomState(4), 2, (8, 9))
    assert draws.shape == (2, layout.size)
    layout.sets_of(draws)[:, :, -1] = [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]
    random = np.random.RandomState(4)
    for sample, seeds in zip(draws.tolist(), ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]), strict=True):
        for step, seed in enumerate(seeds):
            vector, found = layout.of_frame(sample, step)
            assert augmentation.from_vector(vector) == augmentation.draw(random, 8, 9)
            assert found == seed


def test_warnings_point_at_the_line_of_the_caller():
    with pytest.warns(UserWarning, match="includes") as seen:
        ImageDataGenerator(samplewise_std_normalization=True)
    with pytest.warns(UserWarning, match="7 channels") as also:
        ImageDataGenerator().flow(np.zeros((2, 4, 4, 7)), workers=0)
    assert {warning.filename for warning in [*seen, *also]} == {__file__}
