"""RandAugment and TrivialAugment: pixels against Pillow's, halves that share draws, masks that follow."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from rendering import SHIFTING, render, scene
from slow_geometry import operations

import fastclips as fc
from fastclips.errors import OptionError
from fastclips.pixels.policies import PolicyPixels
from fastclips.pixels.recipe import compile_recipe
from fastclips.spec import StreamSpec
from fastclips.testing import check_pixel_step

MOST = 1 - 2**-53
BLENDING = ("Brightness", "Color", "Contrast", "Sharpness")
CHANGING = (*BLENDING, "Posterize", "Solarize", "AutoContrast", "Equalize", "Invert", "SolarizeAdd")
ALL = (*SHIFTING, *CHANGING)
units = st.floats(0, 1, exclude_max=True)


def by_pillow(name, amount, image, wide):
    """The operation as torchvision and timm carry it out on Pillow's images."""
    strength, factor = abs(amount), 1 + amount * (0.99 if wide else 0.9)
    lifted = [v + int(110 * strength) if v < 128 else v for v in range(256)]
    return {
        "Identity": lambda: image,
        "Brightness": lambda: ImageEnhance.Brightness(image).enhance(factor),
        "Color": lambda: ImageEnhance.Color(image).enhance(factor),
        "Contrast": lambda: ImageEnhance.Contrast(image).enhance(factor),
        "Sharpness": lambda: ImageEnhance.Sharpness(image).enhance(factor),
        "Posterize": lambda: ImageOps.posterize(image, 8 - round(strength * (6 if wide else 4))),
        "Solarize": lambda: ImageOps.solarize(image, 255 * (1 - strength)),
        "AutoContrast": lambda: ImageOps.autocontrast(image),
        "Equalize": lambda: ImageOps.equalize(image),
        "Invert": lambda: ImageOps.invert(image),
        "SolarizeAdd": lambda: image.point(lifted * len(image.getbands())),
    }[name]()


@given(st.sampled_from(["Identity", *CHANGING]), units, units, st.sampled_from("LR"), st.booleans())
@settings(max_examples=60)
def test_an_operation_is_that_of_pillow(name, sign, strength, mode, wide):
    """Within 1 level, where Pillow cuts off digits; it does so twice to blend with what it has computed."""
    pixels = scene(24, 31, channels=3 if mode == "R" else 1)[0][0]
    policy = fc.RandAugment(1, 30 * strength, operations=(name,))
    if wide:
        policy = fc.TrivialAugment(operations=(name,))
    draws = [0.0, 0.0, sign, strength]
    ((_, amount),) = operations(policy, draws)
    image = Image.fromarray(pixels if mode == "R" else pixels[..., 0])
    expected = np.asarray(by_pillow(name, amount, image, wide), np.float32).reshape(pixels.shape)
    found = PolicyPixels(policy).apply(pixels.astype(np.float32), draws, 0)
    found = np.floor(np.clip(found, 0, 255) + 0.5)
    assert np.abs(found - expected).max() <= (2 if name in BLENDING else 1)
    if name in ("Equalize", "Invert", "Posterize", "Solarize", "SolarizeAdd", "Identity"):
        np.testing.assert_array_equal(found, expected)


@given(st.lists(units, min_size=16, max_size=16))
@settings(max_examples=30)
def test_halves_do_what_the_same_draws_say(draws):
    """The picture with all operations is that of the moving ones, and then of the others."""
    pixels, labels = scene(24, 31, frames=2)
    policy = fc.RandAugment(4, 20, p=0.8, operations=ALL, fill="reflect")
    recipe = compile_recipe([policy, fc.RandomFlip()], time_steps=2)
    assert recipe.draws == 17
    both = render([policy, fc.RandomFlip()], pixels, labels, frames=[0, 1], draws=[*draws, 0.2])
    geometry, step = policy.halves
    moved = render([geometry, fc.RandomFlip()], pixels, labels, frames=[0, 1], draws=[*draws, 0.2])
    np.testing.assert_array_equal(both["mask"], moved["mask"])
    for found, frame in zip(both["image"], moved["image"], strict=True):
        expected = step.apply(frame.astype(np.float32), draws, 0)
        np.testing.assert_array_equal(found, np.floor(np.clip(expected, 0, 255) + 0.5))


def test_the_loader_draws_once():
    """Videos that stand still show it: all frames of a clip alike, and with per="video" all its clips."""
    still = np.repeat(scene(48, 64, frames=3)[0][:, None], 8, axis=1)
    data = fc.open(images=still)
    for per, alike in (("clip", False), ("video", True)):
        steps = [fc.RandAugment(3, 20, per=per), fc.RandomErasing(1, per=per)]
        with fc.ClipLoader(data, fc.Windows(2), steps, batch_size=12, targets=None, workers=0) as loader:
            x = next(iter(loader)).reshape(3, 4, 2, 48, 64, 3)
        np.testing.assert_array_equal(x[:, :, 0], x[:, :, 1])
        assert bool((x == x[:, :1]).all()) == alike
    in_on = compile_recipe([fc.RandomCrop(32), fc.On("image", fc.TrivialAugment(per="video")), fc.Hue(9)])
    assert (in_on.by_video, in_on.draws) == ((4, 5, 6, 7), 8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("per", ["clip", "video"])
def test_the_pixels_keep_the_contract_of_steps(per, channels):
    for policy in (fc.RandAugment(3, 12, std=4, p=0.7, operations=ALL, per=per), fc.TrivialAugment(per=per)):
        check_pixel_step(policy.halves[1], channels=channels)


def test_two_policies_have_draws_of_their_own():
    """Each pair of halves shares its own, whatever stands between them, and each stream of `On`."""
    first, second = fc.TrivialAugment(operations=CHANGING), fc.RandAugment(2)
    transforms = [first, fc.RandomCrop(9), fc.On(("a", "b"), fc.TrivialAugment()), second, fc.Hue(9)]
    recipe = compile_recipe(transforms)
    assert recipe.draws == 4 + 2 + 4 + 8 + 2
    image, other = recipe.of(StreamSpec("a", channels=3)), recipe.of(StreamSpec("c", channels=3))
    mask = recipe.of(StreamSpec("m", kind="mask"))
    shared, own, hue = (*range(4), 4, 5, *range(6, 14)), (*range(16, 20),), (14, 15)
    assert other.columns == (*shared, *range(4), *range(6, 14), *hue)
    assert image.columns == (*range(6), *own, *range(6, 14), *range(4), *own, *range(6, 14), *hue)
    assert mask.columns == shared


def test_strengths_vary_around_the_magnitude():
    policy = fc.RandAugment(1, 7, levels=10, std=0.5)
    strengths = [policy.strength(draw) for draw in np.linspace(0, MOST, 2001)]
    assert abs(np.mean(strengths) - 0.7) < 0.001
    assert abs(np.std(strengths) - 0.05) < 0.001
    assert policy.strength(MOST) > 0.9
    assert fc.RandAugment(1, 10, levels=10, std=5).strength(MOST) == 1
    assert [fc.TrivialAugment().strength(draw) for draw in (0, 0.5, MOST)] == [0, 0.5, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fc.RandAugment(0), "RandAugment's n=0"),
        (lambda: fc.RandAugment(2, 31), "magnitude=31: must be a number from 0 to 30"),
        (lambda: fc.RandAugment(operations=["Blur"]), "RandAugment's operations=['Blur']: must be different"),
        (
            lambda: fc.TrivialAugment(per="frame"),
            "TrivialAugment's per='frame': must be one of 'clip', 'video'",
        ),
        (lambda: fc.TrivialAugment(fill="wrap", fill_value=3), "must be 'constant' with fill_value=3"),
        (lambda: compile_recipe([fc.RandAugment(), fc.RandomZoom(0.1)]), "give them the same fill"),
        (lambda: compile_recipe([fc.Resize(9, pad=0), fc.TrivialAugment(fill="wrap")]), "pad= of Resize"),
        (lambda: compile_recipe([fc.Resize(9, pad=(1, 2, 3))]).compiled(1), "as pad= of Resize"),
        (lambda: fc.Resize(short_side=9, pad=0), "Resize's pad=0: needs size="),
        (lambda: fc.Resize(9, pad="constant"), "Resize's pad='constant': must be one of 'nearest'"),
        (lambda: fc.Resize(9, pad=256), "Resize's pad=256: must be a byte"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(OptionError, match=re.escape(message)):
        make()


def test_a_policy_that_moves_nothing_has_no_border_rule():
    compile_recipe([fc.RandAugment(operations=CHANGING), fc.RandomZoom(0.1)])


def test_a_letterbox_shows_the_whole_frame():
    """In the middle, in its aspect; where it fits exactly, as without pad."""
    pixels, labels = scene(20, 40)
    row = render([fc.Resize((30, 30), pad=(1, 2, 3))], pixels, labels)
    plain = render([fc.Resize((15, 30))], pixels, labels)
    np.testing.assert_array_equal(row["image"][0, :7], np.broadcast_to((1, 2, 3), (7, 30, 3)))
    assert np.abs(row["image"][0, 7:22].astype(int) - plain["image"][0]).max() <= 2
    np.testing.assert_array_equal(row["mask"][0, 7:22], plain["mask"][0])
    assert (row["mask"][0, 22:] == 77).all()
    exact = render([fc.Resize((15, 30), pad=0)], pixels, labels)
    np.testing.assert_array_equal(exact["image"], plain["image"])
