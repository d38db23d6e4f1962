import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slow_steps import ON_FRAMES

from fastclips.errors import OptionError
from fastclips.pixels.steps.color import (
    Brightness,
    ChannelShift,
    Contrast,
    Gamma,
    Grayscale,
    Hue,
    Saturation,
    SaturationValue,
)

units = st.floats(0, 1, exclude_max=True)
values = np.tile(np.arange(256.0), (3, 1))


def colors(seed):
    """Colours of all kinds, with grays, black, white and full saturation among them."""
    frame = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.float32)
    frame[0] = frame[0, :, :1]
    frame[1] = np.where(frame[1] > 127, 255, 0)
    frame[2, :, 1] = 0
    return frame


def agrees(step, frame, draws):
    expected = np.clip(ON_FRAMES[type(step).__name__](step, frame.astype(np.float64), draws, 0), 0, 255)
    given_back = np.clip(step.apply(frame.copy(), draws, 0), 0, 255)
    assert given_back.dtype == np.float32
    np.testing.assert_allclose(given_back, expected, atol=0.05)


@given(st.integers(0, 99), units, st.floats(0, 3), st.floats(0, 3))
def test_saturation(seed, draw, low, more):
    agrees(Saturation(low, low + more), colors(seed), [draw])


@given(st.integers(0, 99), units, units, st.floats(0.25, 1), st.floats(1, 4))
def test_saturation_value(seed, first, second, low, high):
    agrees(SaturationValue(low, high), colors(seed), [first, second])


@given(st.integers(0, 99), units, st.floats(0, 180))
def test_hue(seed, draw, degrees):
    agrees(Hue(degrees), colors(seed), [draw])


@given(st.integers(0, 99))
def test_grayscale(seed):
    frame = colors(seed)
    agrees(Grayscale(), frame, [])
    gray = Grayscale().apply(frame, [], 0)
    np.testing.assert_array_equal(gray, gray[:, :, :1].repeat(3, axis=2))


def test_saturation_of_gray_makes_no_colour():
    """Rounding leaves channels that differ in the seventh digit; a small power would show it."""
    gray = np.repeat(np.arange(1, 256, dtype=np.float32), 3).reshape(15, 17, 3)
    frame = SaturationValue(0.25, 0.25).apply(Saturation(0.37, 0.37).apply(gray, [0.0], 0), [0.0, 0.0], 0)
    assert np.ptp(frame, axis=2).max() < 0.01


def test_a_turn_of_hue_goes_all_the_way_round():
    red = np.full((1, 1, 3), (200, 0, 0), np.float32)
    turned = [Hue(120).apply(red.copy(), [draw], 0).round().tolist() for draw in (0.0, 0.5, 1 - 2**-53)]
    assert turned == [[[[0, 0, 200]]], [[[200, 0, 0]]], [[[0, 200, 0]]]]


@given(units, st.floats(0, 255))
def test_brightness_from_low_to_high(draw, high):
    step = Brightness(0, high)
    np.testing.assert_allclose(step.values(values, [draw]), values * high * draw, atol=1e-9)


def test_contrast_about_the_middle():
    changed = Contrast(0.5, 1.5).values(values, [0.75])
    np.testing.assert_allclose(changed[0, [0, 127, 128, 255]], [127.5 * -0.25, 126.875, 128.125, 286.875])


def test_channel_shift_draws_for_each_channel():
    np.testing.assert_allclose(
        ChannelShift(20).values(values, [0.0, 0.5, 0.75]) - values, np.repeat([[-20], [0], [10]], 256, axis=1)
    )
    np.testing.assert_allclose(ChannelShift(20).values(values[:1], [0.25, 0.5, 0.75]), values[:1] - 10)


def test_gamma_draws_the_logarithm():
    step = Gamma(0.25, 4)
    np.testing.assert_allclose(step.values(values, [0.5]), values, atol=1e-12)
    np.testing.assert_allclose(step.values(values, [0.0])[0], 255 * (values[0] / 255) ** 0.25)
    np.testing.assert_allclose(step.values(values, [0.75])[0], 255 * (values[0] / 255) ** 2)


def test_gamma_does_not_lift_rounding_into_sight():
    assert Gamma(0.25, 0.25).values(np.full((1, 1), 1e-5, np.float32), [0.0]) == 0


@pytest.mark.parametrize("step", [Brightness(0.3), Contrast(0.3), ChannelShift(9), Gamma(0.5, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tables_keep_what_they_are_given(step, dtype):
    table = values.astype(dtype)
    assert step.values(table, [0.3, 0.4, 0.9][: step.draws]).dtype == dtype
    np.testing.assert_array_equal(table, values)


def test_a_number_alone_is_a_spread():
    """And a repr names every option, with plain numbers."""
    assert Brightness(0.25) == Brightness(0.75, 1.25)
    shown = "Brightness(low=0.75, high=1.25, p=1.0, per='clip')"
    assert repr(Brightness(np.float32(0.25))) == shown == repr(Brightness(0.25, p=np.int64(1)))
    assert repr(Hue(np.int64(30), per="frame")) == "Hue(degrees=30.0, p=1.0, per='frame')"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: Brightness(1.5),
            r"Brightness's low=1\.5: must be a number d from 0 to 1 .*; or give low",
        ),
        (lambda: Contrast("much"), "Contrast's low='much': must be .* where there is no high"),
        (lambda: Saturation(-0.1), r"Saturation's low=-0\.1: must be .* where there is no high"),
        (lambda: Brightness(-1, 1), "Brightness's low=-1: must be a number from 0 to 255"),
        (lambda: Contrast(0, 300), "Contrast's high=300: must be a number from 0 to 255"),
        (lambda: Saturation(2, 1), r"Saturation's low=2\.0: must be at most its high=1\.0"),
        (lambda: Brightness(0, float("nan")), "Brightness's high=nan: must be "),
        (lambda: Brightness(True, 2), "Brightness's low=True: must be "),
        (lambda: Gamma(0.1, 2), r"Gamma's low=0\.1: must be a number from 0\.25 to 4"),
        (lambda: Gamma(1, 5), r"Gamma's high=5: must be a number from 0\.25 to 4"),
        (lambda: SaturationValue(3, 2), r"SaturationValue's low=3\.0: must be at most its high=2\.0"),
        (lambda: ChannelShift(300), "ChannelShift's levels=300: must be a number from 0 to 255"),
        (lambda: Hue(181), "Hue's degrees=181: must be a number from 0 to 180"),
        (lambda: Grayscale(p=2), "Grayscale's p=2: must be a number from 0 to 1"),
        (lambda: Hue(9, p="often"), "Hue's p='often': must be a number from 0 to 1"),
        (lambda: Gamma(1, 2, per="batch"), "Gamma's per='batch': must be one of 'clip', 'frame', 'video'"),
    ],
)
def test_what_cannot_be_declared(make, said):
    with pytest.raises(OptionError, match=said):
        make()
