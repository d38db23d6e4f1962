"""Maps that turn, shear, shift and zoom, and every other with them, against a slow renderer of positions."""

import math
import re

import cv2
import numpy as np
import pytest
from helpers import write_jpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rendering import IGNORE, MODES, render, scene
from slow_geometry import SlowMap

import fastclips as fc
from fastclips.pixels.recipe import compile_recipe
from fastclips.reserved import WEIGHT

PADDING = {"nearest": "edge", "reflect": "symmetric", "wrap": "wrap"}
units = st.floats(0, 1, exclude_max=True)
PLAIN, LABELS = scene(24, 36)


@pytest.mark.parametrize("fill", MODES)
@pytest.mark.parametrize(("down", "across"), [(3, 5), (-24, 0), (0, -40), (60, -75)])
def test_a_shift_by_whole_pixels_is_what_padding_shows(fill, down, across):
    """Beyond the frame by more than its size, too."""
    shift = fc.RandomShift(80, 80, fill=fill, fill_value=9 if fill == "constant" else 0)
    row = render([shift], PLAIN, LABELS, draws=[down / 160 + 0.5, across / 160 + 0.5])
    for name, whole, value in (("image", PLAIN[0], 9), ("mask", LABELS[0], IGNORE)):
        around = [(80, 80), (80, 80), (0, 0)][: whole.ndim]
        options = {"constant_values": value} if fill == "constant" else {}
        padded = np.pad(whole, around, PADDING.get(fill, fill), **options)
        np.testing.assert_array_equal(row[name][0], padded[80 - down :, 80 - across :][:24, :36])


@pytest.mark.parametrize(("degrees", "quarters"), [(90, 1), (-90, 3), (180, 2), (360, 0)])
def test_quarter_turns_take_whole_pixels(degrees, quarters):
    """Counterclockwise, as seen."""
    pixels, labels = scene(30, 30)
    row = render([fc.RandomRotation((degrees, degrees))], pixels, labels)
    np.testing.assert_array_equal(row["image"][0], np.rot90(pixels[0], quarters))
    np.testing.assert_array_equal(row["mask"][0], np.rot90(labels[0], quarters))


def test_a_shear_leans_to_the_right():
    labels = np.zeros((1, 9, 21), np.uint8)
    labels[:, :, 10] = 1
    row = render([fc.RandomShear((45, 45))], np.repeat(labels[..., None], 3, 3), labels)
    assert row["mask"][0].argmax(axis=1).tolist() == [14, 13, 12, 11, 10, 9, 8, 7, 6]


def test_zooming_in_stretches_the_middle():
    row = render([fc.RandomZoom(2, 2)], PLAIN, LABELS)
    np.testing.assert_array_equal(row["image"][0], cv2.resize(PLAIN[0, 6:18, 9:27], (36, 24)))
    np.testing.assert_array_equal(row["mask"][0], LABELS[0, 6:18, 9:27].repeat(2, 0).repeat(2, 1))


def test_zooming_out_by_axis_leaves_the_other_alone():
    row = render([fc.RandomZoom(height=0.5, fill="constant")], PLAIN, LABELS)
    assert np.flatnonzero((row["mask"][0] != IGNORE).any(axis=1)).tolist() == list(range(6, 18))
    np.testing.assert_array_equal(row["mask"][0, 6:18], LABELS[0, 1::2])
    assert not row["image"][0, :6].any()


def test_nothing_is_drawn_from_nothing():
    still = [fc.RandomRotation(0), fc.RandomShear(0), fc.RandomShift(), fc.RandomZoom(0)]
    recipe = compile_recipe(still)
    assert (recipe.draws, recipe.fixes_size) == (5, False)
    assert recipe.geometry(20, 30, [0.9] * 5).is_crop
    assert compile_recipe([fc.RandomZoom(height=(0.5, 1))]).draws == 2


def test_a_crop_that_comes_back_into_the_frame_is_a_crop():
    """What counts is the whole map: a shift by less than the crop leaves."""
    recipe = compile_recipe([fc.RandomShift(4, 4), fc.CenterCrop((16, 20))])
    geometry = recipe.geometry(24, 36, [0.75, 0.0])
    assert geometry.is_crop
    assert (geometry.y.box, geometry.x.box) == ((2, 18), (12, 32))
    assert compile_recipe([fc.RandomShift(4, 4)]).geometry(24, 36, [0.75, 0.0]).warp is not None


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [0, 1])
def test_top_and_bottom_change_places(channels_first, normalize, channels, side):
    pixels = PLAIN[..., :channels].copy()
    transforms = [fc.RandomCrop((10, 12)), fc.RandomFlip(side, vertical=1)]
    steps = [fc.Normalize(0.5, 0.25)] if normalize else []
    row = render(
        [*transforms, *steps], pixels, LABELS, draws=[0.3, 0.6, 0.5, 0.5], channels_first=channels_first
    )
    top, left = math.floor(0.3 * 15), math.floor(0.6 * 25)
    box = (slice(top, top + 10), slice(left, left + 12))
    expected = pixels[0][box][::-1, :: 1 - 2 * side]
    if normalize:
        expected = compile_recipe(steps).compiled(channels).table([])[np.arange(channels), expected]
    np.testing.assert_array_equal(
        row["image"][0], np.moveaxis(expected, -1, 0) if channels_first else expected
    )
    np.testing.assert_array_equal(row["mask"][0], LABELS[0][box][::-1, :: 1 - 2 * side])


def test_a_stretched_frame_upside_down():
    row = render([fc.Resize((48, 30)), fc.RandomFlip(0, vertical=1)], PLAIN, LABELS)
    np.testing.assert_array_equal(row["image"][0], cv2.resize(PLAIN[0], (30, 48))[::-1])


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize(
    "step", [fc.Normalize(0.5, 0.25), fc.Brightness(3, 3), fc.Blur(1), fc.PerSample(dtype="float16")]
)
def test_what_is_outside_is_filled_after_the_steps(step, channels_first):
    """By the value as it is, on every frame, and on those of padding; what is inside is as without fill."""
    pixels, labels = scene(24, 36, frames=3)
    rotation, frames = (40, 40), [0, 2, ~2, 2]
    options = {"frames": frames, "channels_first": channels_first}
    filled = render(
        [fc.RandomRotation(rotation, fill="constant", fill_value=(3, 0, 250)), step],
        pixels,
        labels,
        **options,
    )
    plain = render([fc.RandomRotation(rotation), step], pixels, labels, **options)
    outside = SlowMap([fc.RandomRotation(rotation)], [0.5], (24, 36)).outside
    assert 0.1 < outside.mean() < 0.6
    images = [np.moveaxis(row["image"], 1, -1) if channels_first else row["image"] for row in (filled, plain)]
    assert images[0].dtype == (step.dtype or "uint8")
    assert (images[0][:, outside] == [3, 0, 250]).all()
    np.testing.assert_array_equal(images[0][:, ~outside], images[1][:, ~outside])
    mask, weights = filled["mask"], filled[WEIGHT]
    assert (mask[:, outside] == IGNORE).all()
    np.testing.assert_array_equal(mask[::3, ~outside], plain["mask"][::3, ~outside])
    assert (mask[2] == IGNORE).all()
    assert not weights[2].any()
    assert (weights[[0, 1, 3]][:, outside] == np.float32(IGNORE / 7)).all()


def test_gray_is_filled_and_warped_as_in_colour():
    gray = np.ascontiguousarray(PLAIN[..., :1])
    turned = [fc.RandomRotation((25, 25), fill="constant", fill_value=8)]
    colour = render(turned, PLAIN)["image"][..., :1]
    np.testing.assert_array_equal(render(turned, gray)["image"], colour)
    with pytest.raises(fc.OptionError, match=r"fill_value=\(1, 2, 3\) is for red, .* give one number"):
        render([fc.RandomRotation(9, fill="constant", fill_value=(1, 2, 3))], gray)


@given(st.integers(1, 60), st.integers(1, 60), st.lists(units, min_size=4, max_size=4), st.data())
def test_a_resized_crop_covers_its_share(height, width, draws, data):
    area = tuple(sorted(data.draw(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)))))
    aspect = tuple(sorted(data.draw(st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)))))
    recipe = compile_recipe([fc.RandomResizedCrop((7, 9), area, aspect)])
    assert (recipe.draws, recipe.fixes_size) == (4, True)
    geometry = recipe.geometry(height, width, draws)
    (top, bottom), (left, right) = geometry.y.box, geometry.x.box
    assert (geometry.y.size, geometry.x.size) == (7, 9)
    assert 0 <= top < bottom <= height
    assert 0 <= left < right <= width
    tall, wide = bottom - top, right - left
    if 1 < tall < height and 1 < wide < width:  # neither was cut: each lies within half a pixel of its side
        assert (tall - 0.5) * (wide - 0.5) <= area[1] * height * width * (1 + 1e-9)
        assert (tall + 0.5) * (wide + 0.5) >= area[0] * height * width * (1 - 1e-9)
        assert (wide - 0.5) / (tall + 0.5) <= aspect[1] * (1 + 1e-9)
        assert (wide + 0.5) / (tall - 0.5) >= aspect[0] * (1 - 1e-9)


def test_a_resized_crop_reaches_both_ends():
    recipe = compile_recipe([fc.RandomResizedCrop(8, area=0.25, aspect=1)])
    boxes = [recipe.geometry(40, 40, [0, 0, at, at]) for at in (0.0, 0.999999)]
    assert [box.y.box for box in boxes] == [box.x.box for box in boxes] == [(0, 20), (20, 40)]


def test_a_multi_scale_crop_draws_from_its_scales():
    recipe = compile_recipe([fc.MultiScaleCrop(8, scales=[1, 0.5])])
    assert (recipe.draws, recipe.fixes_size) == (3, True)
    boxes = [recipe.geometry(40, 60, draws) for draws in ([0, 0.9, 0], [0.49, 0, 0.99], [0.5, 0.99, 0.99])]
    assert [(box.y.box, box.x.box) for box in boxes] == [
        ((0, 40), (0, 40)),
        ((0, 40), (20, 60)),
        ((20, 40), (40, 60)),
    ]


def test_long_side_keeps_the_aspect():
    recipe = compile_recipe([fc.Resize(long_side=256)])
    for height, width, expected in [(360, 640, (144, 256)), (640, 360, (256, 144)), (600, 1, (256, 1))]:
        geometry = recipe.geometry(height, width, [])
        assert (geometry.y.size, geometry.x.size) == expected
    assert not recipe.fixes_size


def test_the_second_draw_of_a_flip_is_for_the_vertical_one():
    assert [compile_recipe([fc.RandomFlip(*p)]).draws for p in [(), (0.5, 0.0), (0.5, 0.1)]] == [1, 1, 2]
    geometry = compile_recipe([fc.RandomFlip(0.5, 0.1)]).geometry(20, 30, [0.6, 0.05])
    assert (geometry.flip, geometry.flip_vertical, geometry.is_crop) == (False, True, True)


def test_one_border_for_all():
    same = [fc.RandomShift(2, fill="wrap"), fc.RandomFlip(), fc.RandomZoom(0.2, fill="wrap")]
    assert compile_recipe(same).border == ("wrap", 0)
    for other in (
        fc.RandomRotation(3),
        fc.RandomRotation(3, fill="constant"),
    ):
        said = f"{same[0]!r} and {other!r} fill the pixels outside the frame by different rules"
        with pytest.raises(fc.OptionError, match=re.escape(said)):
            compile_recipe([*same, other])
    one, two = (fc.RandomShear(3, fill="constant", fill_value=value) for value in (1, 2))
    with pytest.raises(fc.OptionError, match=r"fill_value=1.* and .*fill_value=2.* the same fill"):
        compile_recipe([one, two])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: fc.RandomRotation(361), "RandomRotation's degrees=361: must be a number from 0 to 360"),
        (lambda: fc.RandomRotation(-3), "=-3: must be a number from 0 to 360"),
        (lambda: fc.RandomRotation((5, -5)), r"=\(5, -5\): must .* a pair \(low, high\) of them"),
        (lambda: fc.RandomShear(81), "RandomShear's degrees=81: must be a number from 0 to 80"),
        (lambda: fc.RandomShear("x"), "RandomShear's degrees='x': must"),
        (lambda: fc.RandomShift(-0.1), r"RandomShift's height=-0\.1: must be a number from 0 to 10000"),
        (lambda: fc.RandomShift(0.1, True), "RandomShift's width=True: must"),
        (fc.RandomZoom, "RandomZoom's low=None: must be .*; or give low and high, or height and"),
        (lambda: fc.RandomZoom(1.2), r"=1\.2: .* from 0 to 0\.9"),
        (lambda: fc.RandomZoom(1.2, 0.8), r"RandomZoom's low=1\.2: must be at most its high=0\.8"),
        (lambda: fc.RandomZoom(0.01, 1), r"low=0\.01: must be a number from 0\.1 to 10"),
        (lambda: fc.RandomZoom(0.2, width=2), r"low=0\.2, .* and width=2: must be either low and high, "),
        (lambda: fc.RandomZoom(height=11), "RandomZoom's height=11: must be a number from .*"),
        (lambda: fc.RandomShift(2, fill="black"), "RandomShift's fill='black': must be one of 'nearest', 'c"),
        (
            lambda: fc.RandomZoom(0.1, fill="constant", fill_value=256),
            "fill_value=256: must be a byte.*",
        ),
        (
            lambda: fc.RandomShear(2, fill="constant", fill_value=(1, 2)),
            r"=\(1, 2\): must be a byte, 0 to 255, or three",
        ),
        (
            lambda: fc.RandomShear(2, fill="constant", fill_value=0.5),
            r"=0\.5: must be a byte, 0 to 255, or three",
        ),
        (lambda: fc.RandomShift(2, fill_value=3), "fill='nearest': must be 'constant' with fill_value=3"),
        (lambda: fc.RandomFlip(vertical=2), "RandomFlip's vertical=2: must be a number from 0 to 1"),
        (lambda: fc.RandomResizedCrop(0), "RandomResizedCrop's size=0: must be a positive int"),
        (lambda: fc.RandomResizedCrop(8, area=(0, 1)), r"area=\(0, 1\): must be above 0"),
        (
            lambda: fc.RandomResizedCrop(8, area=1.5),
            r"RandomResizedCrop's area=1\.5: must be a number from 0 to 1",
        ),
        (lambda: fc.RandomResizedCrop(8, aspect=(2, 1)), r"RandomResizedCrop's aspect=\(2, 1\): must"),
        (lambda: fc.MultiScaleCrop((1, 2, 3)), r"MultiScaleCrop's size=\(1, 2, 3\): must"),
        (lambda: fc.MultiScaleCrop(8, scales=[]), r"scales=\[\]: must be a list of numbers .*"),
        (lambda: fc.MultiScaleCrop(8, scales=[1, 0]), r"=\[1, 0\]: must .* above 0 and at most 1"),
        (lambda: fc.MultiScaleCrop(8, scales=1), "=1: must .* at most 1"),
        (lambda: fc.Resize(short_side=3, long_side=4), "size=None, short_side=3 and long_side=4"),
        (lambda: fc.Resize(long_side=0), "Resize's long_side=0: must be "),
    ],
)
def test_what_cannot_be_declared(make, said):
    with pytest.raises(fc.OptionError, match=said):
        make()


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Videos of coloured tiles, and masks that number them."""
    root = tmp_path_factory.mktemp("tiles")
    tiles = np.add.outer(4 * (np.arange(48) // 16), np.arange(64) // 16)
    for video in range(3):
        for frame in range(6):
            labels = ((tiles + video + frame) % 12).astype(np.uint8)
            path = root / "frames" / "c" / f"{video}" / f"{frame}.jpg"
            write_jpeg(path, np.repeat(20 * labels[..., None] + 10, 3, 2), quality=100)
            mask = root / "masks" / "c" / f"{video}" / f"{frame}.png"
            mask.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(labels).save(mask)
    return fc.open({"image": root / "frames", "mask": root / "masks"})


def test_through_the_loader(pairs):
    """Workers make no difference, pictures and masks move alike, and padding is what it always was."""
    border = {"fill": "constant", "fill_value": 2}
    transforms = [
        fc.RandomFlip(vertical=0.5),
        fc.RandomRotation(30, **border),
        fc.RandomZoom(0.7, 1.3, **border),
        fc.RandomShift(0.1, 6, **border),
        fc.Normalize(),
    ]
    served = {}
    for workers in (0, 2):
        with fc.ClipLoader(
            pairs,
            fc.Windows(4, tail="pad"),
            transforms,
            inputs=("image", "mask"),
            batch_size=2,
            seed=3,
            workers=workers,
        ) as loader:
            served[workers] = [{name: x.copy() for name, x in batch.items()} for batch, _ in loader]
            planned = [loader._plan.clips(0, batch) for batch in range(len(loader))]
    outside = padded = 0
    for one, other, clips in zip(served[0], served[2], planned, strict=True):
        for name in ("image", "mask"):
            np.testing.assert_array_equal(one[name], other[name])
        rows = zip(one["image"], one["mask"], clips.draws.tolist(), clips.frames, strict=True)
        for image, mask, draws, frames in rows:
            hole = SlowMap(transforms[:4], draws, (48, 64)).outside
            assert (image[:, hole] == 2).all()
            assert (mask[:, hole] == 255).all()
            shown = frames >= 0
            tile = (image[:, ~hole, 0] * 255 - 10) / 20
            assert (np.abs(tile - mask[:, ~hole])[shown] < 0.3).mean() > 0.85, "but between two tiles"
            assert (mask[~shown] == 255).all()
            outside += hole.sum()
            padded += (~shown).sum()
    assert outside
    assert padded
