"""Random lists of transforms and steps, drawn per clip and per frame, against the slow renderers.

"If only one test file is run" for the recipe, this is the one.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from helpers import make_frames, make_masks
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rendering import IGNORE, WEIGHTS, compositions, render, scene
from slow_geometry import SlowMap
from slow_steps import slow_run

import fastclips as fc
from fastclips.pixels.recipe import compile_recipe
from fastclips.reserved import WEIGHT

pytestmark = pytest.mark.slow

when = {"p": st.sampled_from([0, 0.5, 1]), "per": st.sampled_from(["clip", "frame"])}
picture_steps = st.one_of(
    st.builds(fc.Brightness, st.just(0.3), **when),
    st.builds(fc.ChannelShift, st.floats(0, 60), **when),
    st.builds(fc.Gamma, st.just(0.7), st.just(1.4), **when),
    st.builds(fc.Saturation, st.just(0.5), **when),
    st.builds(fc.GaussianNoise, st.floats(0, 20), **when),
)
last_steps = st.sampled_from([[], [fc.Rescale()], [fc.PerSample()], [fc.Normalize(0.5, 0.25)]])


@st.composite
def numbers(draw, count):
    """Draws in [0, 1), some of them its ends."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    drawn = random.random(count)
    ends = random.random(count)
    drawn[ends < 0.1], drawn[ends > 0.9] = 0, 1 - 2**-53
    return drawn.tolist()


@given(st.integers(1, 40), st.integers(1, 40), st.lists(st.integers(0, 1), min_size=1, max_size=3), st.data())
@settings(max_examples=100)
def test_any_composition(height, width, frames, data):
    """Pictures within rounding (and OpenCV's, before 5.0, to a 32nd of a pixel), masks exactly."""
    transforms, border = data.draw(compositions(height, width))
    recipe = compile_recipe(transforms, time_steps=len(frames))
    draws, view = data.draw(numbers(recipe.draws)), data.draw(st.integers(0, recipe.views - 1))
    maps = [
        SlowMap(transforms, draws, (height, width), view, step, len(frames)) for step in range(len(frames))
    ]
    assume(not any(one.near_half for one in maps))
    pixels, labels = scene(height, width, frames=2)
    row = render(transforms, pixels, labels, frames=frames, draws=draws, view=view)
    for step, (slow, frame) in enumerate(zip(maps, frames, strict=True)):
        fill, sure = border["fill"], ~slow.tied
        expected, mask = slow.bilinear(pixels[frame], fill), slow.nearest(labels[frame], fill)
        if fill == "constant":
            expected[slow.outside], mask[slow.outside] = border["fill_value"], IGNORE
        off = np.abs(row["image"][step] - expected)[sure]
        assert (off > 2).sum() <= 0.01 * off.size
        assert off.max(initial=0) <= 8
        np.testing.assert_array_equal(row["mask"][step][sure], mask[sure])
    np.testing.assert_array_equal(row[WEIGHT], np.array(WEIGHTS, np.float32)[row["mask"]])


@given(st.lists(st.integers(0, 1), min_size=1, max_size=3), st.data())
@settings(max_examples=50)
def test_steps_behind_any_composition(frames, data):
    """They see what the geometry gives without them; what lies outside is filled behind them."""
    transforms, border = data.draw(compositions(20, 26))
    steps = data.draw(st.lists(picture_steps, max_size=3)) + data.draw(last_steps)
    count = compile_recipe(transforms, time_steps=len(frames)).draws
    recipe = compile_recipe([*transforms, *steps], time_steps=len(frames))
    draws = data.draw(numbers(recipe.draws))
    pixels, _ = scene(20, 26, frames=2)
    maps = [SlowMap(transforms, draws, (20, 26), 0, step, len(frames)) for step in range(len(frames))]
    fills = border["fill"] == "constant"
    nearest = {"fill": "nearest", "fill_value": 0, "pad": "nearest"}
    unfilled = [
        replace(one, **{name: nearest[name] for name in vars(one) if name in nearest})
        if getattr(one, "fill", None)
        else one
        for one in transforms
    ]
    placed = render(unfilled if fills else transforms, pixels, frames=frames, draws=draws[:count])["image"]
    found = render([*transforms, *steps], pixels, frames=frames, draws=draws)["image"]
    expected = slow_run(steps, placed, draws[count:])
    tolerance = 1 if found.dtype == np.uint8 else 1e-3 * np.abs(expected).max() + 1e-6
    if fills:
        expected[np.array([one.outside for one in maps])] = border["fill_value"]
    sure = ~np.array([one.tied for one in maps]) | (not fills)
    assert np.abs(found - expected)[sure].max(initial=0) <= tolerance


# Drawn per frame


def test_each_step_has_its_own_box():
    """Also where the same frame is shown again, and where it is padding; a mask's padding stays so."""
    pixels, labels = scene(24, 36, frames=2)
    frames, draws = [0, 1, 0, ~0], [0.0, 0.0, 0.5, 0.5, 0.99, 0.0, 0.25, 0.75]
    row = render([fc.RandomCrop((10, 12), per="frame")], pixels, labels, frames=frames, draws=draws)
    for step, frame in enumerate([0, 1, 0, 0]):
        top, left = math.floor(draws[2 * step] * 15), math.floor(draws[2 * step + 1] * 25)
        box = np.s_[frame, top : top + 10, left : left + 12]
        np.testing.assert_array_equal(row["image"][step], pixels[box])
        np.testing.assert_array_equal(row["mask"][step], labels[box] if step < 3 else IGNORE)


def test_draws_stand_in_the_order_of_the_list():
    """Of a transform per clip once, of one per frame for the first step, the second, and so on."""
    transforms = [fc.RandomFlip(0.5, per="frame"), fc.RandomCrop((24, 30)), fc.RandomFlip(0.5, per="frame")]
    recipe = compile_recipe([*transforms, fc.Brightness(0.1)], time_steps=2)
    assert (recipe.geometry_draws, recipe.draws, recipe.by_frame) == (6, 8, True)
    draws = [0.0, 0.9, 0.0, 0.5, 0.9, 0.0, 0.0, 0.5]
    first, second = (recipe.geometry(24, 36, draws, step=step) for step in (0, 1))
    assert (first.flip, second.flip) == (True, True)
    assert (first.x.box, second.x.box) == ((3, 33), (3, 33))
    plain = compile_recipe([fc.RandomFlip(), fc.RandomCrop(5)], time_steps=2)
    assert (plain.draws, plain.by_frame) == (3, False)
    assert plain.geometry(9, 9, draws, step=1) == plain.geometry(9, 9, draws)


EVERY = [
    fc.RandomResizedCrop(30, per="frame"),
    fc.RandomFlip(0.5, 0.5, per="frame"),
    fc.RandomRotation(20, per="frame"),
    fc.RandomShear(10, per="frame"),
    fc.RandomShift(0.1, 0.1, per="frame"),
    fc.RandomZoom(0.1, per="frame"),
    fc.MultiScaleCrop(24, per="frame"),
    fc.RandomCrop(20, per="frame"),
]


@pytest.mark.parametrize("transform", EVERY, ids=lambda one: type(one).__name__)
def test_what_can_be_drawn_per_frame(transform):
    """A still clip is one no more."""
    pixels, _ = scene(40, 40)
    random = np.random.default_rng(0)
    draws = random.random(4 * transform.draws)
    moving = render([transform], pixels, frames=[0] * 4, draws=draws)["image"]
    assert len({frame.tobytes() for frame in moving}) > 1
    still = render([type(transform)(**{**vars(transform), "per": "clip"})], pixels, frames=[0] * 4)["image"]
    assert len({frame.tobytes() for frame in still}) == 1
    with pytest.raises(fc.OptionError, match=r"per='step': must be one of 'clip', 'frame'"):
        type(transform)(**{**vars(transform), "per": "step"})


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("steps", [[], [fc.Brightness(0.3, per="frame")], [fc.GaussianNoise(9)]])
def test_per_frame_in_any_number_of_workers(tmp_path, steps, channels_first):
    root = make_frames(tmp_path / "frames", videos=3, frames=6)
    data = fc.open({"image": root, "mask": make_masks(tmp_path / "masks", root)})
    options = {"targets": "mask", "batch_size": 2, "shuffle": True, "channels_first": channels_first}
    served = []
    for workers in (0, 1, 2):
        with fc.ClipLoader(
            data, fc.Windows(4, tail="pad"), [*EVERY, *steps], workers=workers, **options
        ) as loader:
            served.append([(x.tobytes(), y.tobytes()) for x, y in loader])
    assert served[0] == served[1] == served[2]
