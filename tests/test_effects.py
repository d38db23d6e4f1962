import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slow_steps import ON_FRAMES

from fastclips.errors import OptionError
from fastclips.pixels.steps.effects import Blur, Cutout, GaussianNoise, RandomErasing, SaltAndPepper
from fastclips.pixels.steps.filters import gaussian
from fastclips.pixels.steps.noise import normal_field, word_field

units = st.floats(0, 1, exclude_max=True)
sides = st.integers(1, 9)


def gray(height=64, width=64, channels=3):
    return np.full((height, width, channels), 100, np.float32)


def agrees(step, shape, draws, number=0, atol=0.01):
    frame = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    expected = ON_FRAMES[type(step).__name__](step, frame.astype(np.float64), draws, number)
    np.testing.assert_allclose(step.apply(frame, draws, number), expected, atol=atol)


@given(st.tuples(sides, sides, st.sampled_from([1, 3])), units, units, st.integers(0, 300), st.booleans())
def test_noise_is_what_its_words_say(shape, strength, key, number, fixed):
    agrees(GaussianNoise((2, 40), fixed=fixed), shape, [strength, key], number)
    agrees(SaltAndPepper((0.1, 0.9), fixed=fixed), shape, [strength, key], number)


@given(st.tuples(sides, sides, st.sampled_from([1, 3])), units)
def test_blur(shape, draw):
    """Also where the frame is smaller than the reach, so that the mirror is mirrored again."""
    agrees(Blur((0, 4)), shape, [draw])


@given(st.tuples(sides, sides), st.data())
def test_cutout(shape, data):
    size = tuple(data.draw(st.integers(1, side)) for side in shape)
    draws = data.draw(st.lists(units, min_size=4, max_size=4))
    agrees(Cutout(size, 2, (1, 2, 3)), (*shape, 3), draws)
    agrees(Cutout(size, 2, 77), (*shape, 1), draws)


@given(st.tuples(sides, sides, st.sampled_from([1, 3])), st.lists(units, min_size=23, max_size=23))
def test_random_erasing(shape, draws):
    """Also where the first boxes are too large, and where all are."""
    agrees(RandomErasing(1, (0.3, 1.0), (0.2, 5)), shape, draws)
    agrees(RandomErasing(1, (0.1, 0.4), value="random"), shape, draws, number=3, atol=0.05)


def test_erased_noise_is_that_of_imagenet():
    """Once it is normalised, it is standard normal."""
    step = RandomErasing(1, 0.9, 1.0, "random")
    frame = step.apply(gray(200, 200), [0.5] * 23, 0)
    top, left, tall, wide = step.box(200, 200, [0.5] * 23)
    box = frame[top : top + tall, left : left + wide] / 255
    np.testing.assert_allclose(box.mean((0, 1)), (0.485, 0.456, 0.406), atol=0.005)
    np.testing.assert_allclose(box.std((0, 1)), (0.229, 0.224, 0.225), atol=0.005)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"area": 0}, "area=0: must be above 0"),
        ({"aspect": (2, 1)}, "aspect=(2, 1): must be"),
        ({"value": (1, 2)}, "three or 'random'"),
        ({"value": "noise"}, "value='noise': must be"),
    ],
)
def test_what_random_erasing_refuses(options, message):
    with pytest.raises(OptionError, match=re.escape(message)):
        RandomErasing(**options)


def test_normal_numbers_are_normal():
    """Moments of 300,000 numbers, within some four of their own standard errors."""
    field = normal_field(0.123, 7, (100, 1000, 3)).astype(np.float64)
    assert abs(field.mean()) < 4 / 300_000**0.5
    assert abs(field.var() - 1) < 4 * (2 / 300_000) ** 0.5
    assert abs((field**3).mean()) < 4 * (15 / 300_000) ** 0.5
    assert abs((field**4).mean() - 3) < 4 * (96 / 300_000) ** 0.5
    for bound, share in [(-2, 0.022750), (-1, 0.158655), (0, 0.5), (1, 0.841345), (2, 0.977250)]:
        assert abs((field < bound).mean() - share) < 4 * (share * (1 - share) / 300_000) ** 0.5


def test_neighbours_frames_and_keys_have_nothing_in_common():
    field = normal_field(0.5, 0, (300, 300))
    others = [
        normal_field(0.5, 1, (300, 300)),
        normal_field(0.5 + 2**-53, 0, (300, 300)),
        np.roll(field, 1, axis=0),
        np.roll(field, 1, axis=1),
        np.roll(field.ravel(), 4).reshape(field.shape),
    ]
    for other in others:
        assert abs(np.corrcoef(field.ravel(), other.ravel())[0, 1]) < 4 / 300


def test_fields_do_not_depend_on_their_size():
    np.testing.assert_array_equal(normal_field(0.7, 3, (50,)), normal_field(0.7, 3, (7, 13)).ravel()[:50])
    np.testing.assert_array_equal(word_field(0.7, 3, (51,)), word_field(0.7, 3, (7, 13)).ravel()[:51])


def test_the_stream_of_noise_stays():
    """Written down once: what was trained with a seed can be trained again."""
    assert word_field(0.25, 2, (3,)).tolist() == [2023708318, 2245625845, 912266650]
    np.testing.assert_allclose(normal_field(0.25, 2, (3,)), [-0.416954, -0.072294, 0.07801], atol=1e-6)


@pytest.mark.parametrize("step", [GaussianNoise(5), SaltAndPepper(0.2)])
def test_frames_get_their_own_noise_unless_fixed(step):
    first, second, again = (step.apply(gray(), [0.5, 0.5], number) for number in (0, 1, 0))
    assert (first != second).any()
    np.testing.assert_array_equal(first, again)
    fixed = type(step)(getattr(step, "std", None) or step.share, fixed=True)
    for number in (0, 1):
        np.testing.assert_array_equal(fixed.apply(gray(), [0.5, 0.5], number), first)


@pytest.mark.parametrize("std", [0.0, 1.0, 30.0])
def test_noise_has_its_strength(std):
    added = GaussianNoise((0, 2 * std)).apply(gray(300, 300), [0.5, 0.1], 0) - 100
    assert abs(added.std() - std) <= 0.01 * std
    assert abs(added.mean()) <= 0.01 * std


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_salt_and_pepper_in_equal_parts(share):
    frame = SaltAndPepper((0, share)).apply(gray(500, 500), [1 - 2**-53, 0.3], 0)
    np.testing.assert_array_equal(frame, frame[:, :, :1].repeat(3, axis=2))
    margin = 4 * (share / 2 * (1 - share / 2) / 250_000) ** 0.5
    for value in (0, 255):
        assert abs((frame == value).mean() - share / 2) <= margin
    assert abs((frame == 100).mean() - (1 - share)) <= 2 * margin


def test_the_weights_of_a_blur():
    np.testing.assert_allclose(gaussian(0.7).sum(), 1, rtol=1e-6)
    assert [len(gaussian(sigma)) for sigma in (0.1, 0.34, 1.0, 1.1)] == [3, 5, 7, 9]


def test_no_blur_is_no_change():
    frame = np.random.default_rng(1).uniform(0, 255, (9, 9, 3)).astype(np.float32)
    np.testing.assert_array_equal(Blur(0).apply(frame.copy(), [0.5], 0), frame)


def test_boxes_lie_anywhere_within():
    """The corners are reached, and each box has its size."""
    highest = 1 - 2**-53
    for draws, corner in [([0.0, 0.0], (0, 0)), ([highest, highest], (60, 59)), ([0.5, 0.0], (30, 0))]:
        frame = Cutout((4, 5)).apply(gray(), draws, 0)
        rows, columns = np.nonzero(frame[:, :, 0] == 0)
        assert (rows.min(), columns.min(), len(rows)) == (*corner, 20)


def test_what_is_declared_is_shown():
    assert repr(GaussianNoise(np.float64(3), p=0.5)) == (
        "GaussianNoise(std=(3.0, 3.0), p=0.5, per='clip', fixed=False)"
    )
    assert repr(Cutout(np.int32(9))) == "Cutout(size=(9, 9), count=1, value=0.0, p=1.0, per='clip')"
    assert Blur([1, 2]) == Blur((1.0, 2.0))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: GaussianNoise(-1),
            r"GaussianNoise's std=-1: must be a number from 0 to 255, or a pair .*",
        ),
        (lambda: GaussianNoise((5, 1)), r"GaussianNoise's std=\(5, 1\): must"),
        (lambda: GaussianNoise((1, 2, 3)), r"GaussianNoise's std=\(1, 2, 3\): must"),
        (lambda: GaussianNoise("some"), "GaussianNoise's std='some': must"),
        (lambda: GaussianNoise(3, p=-1), "GaussianNoise's p=-1: must be a number from 0 to 1"),
        (lambda: GaussianNoise(3, fixed=1), "GaussianNoise's fixed=1: must be True or False"),
        (lambda: GaussianNoise(3, fixed=True, per="frame"), "fixed=True: .* but per='frame' .* choose one"),
        (lambda: SaltAndPepper(0.2, fixed=True, per="frame"), "SaltAndPepper's fixed=True: all frames"),
        (lambda: SaltAndPepper(1.5), r"SaltAndPepper's share=1\.5: must be a number from 0 to 1.*"),
        (lambda: Blur(101), "Blur's sigma=101: must be a number from 0 to 100.*"),
        (lambda: Blur(None), "Blur's sigma=None: must"),
        (lambda: Blur(1, per="step"), "Blur's per='step': must be one of 'clip', 'frame'"),
        (lambda: Cutout(0), r"Cutout's size=0: must be a positive int or \(height, width\)"),
        (lambda: Cutout((1, 2, 3)), r"Cutout's size=\(1, 2, 3\): must"),
        (lambda: Cutout(2.5), r"Cutout's size=2\.5: must"),
        (lambda: Cutout(3, 0), "Cutout's count=0: must be an integer from 1 to 64"),
        (lambda: Cutout(3, value=256), "Cutout's value=256: must be a number from 0 to 255"),
        (lambda: Cutout(3, value=(1, 2)), r"Cutout's value=\(1, 2\): must be one number or three"),
        (lambda: Cutout(3, value=(1, 2, "red")), "Cutout's value='red': must be a number from 0 to 255"),
    ],
)
def test_what_cannot_be_declared(make, said):
    with pytest.raises(OptionError, match=said):
        make()
