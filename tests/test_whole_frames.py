"""Frames that are decoded whole are placed as frames of which only a part is decoded: bit for bit."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from jpegs import SAMPLINGS, encode, natural
from rendering import Store, compositions, render

import fastclips as fc
from fastclips.engine.clip_placer import ClipPlacer
from fastclips.errors import FrameError
from fastclips.pixels.recipe import compile_recipe

FRAMES = 2


def place_whole(placer, data, size, shown_at, meter):
    for scale in placer.scales(size, shown_at):
        whole = placer._setup.decoder.decode(data, None, scale)
        assert whole.top == whole.left == 0
        placer.place_whole(whole, scale, size, shown_at, meter)


def check(transforms, size, sampling, restart, seed, frames=(0, 1, ~1)):
    random = np.random.default_rng(seed)
    pixels = np.stack([natural(random, *size) for _ in range(FRAMES)])
    stored = Store(image=[encode(frame, sampling, restart) for frame in pixels])
    draws = random.random(compile_recipe(transforms, time_steps=len(frames)).draws).tolist()
    given = {"stored": stored, "frames": frames, "draws": draws, "dct_scaling": True}
    try:
        row = render(transforms, pixels, **given)
    except FrameError:
        assume(False)
    with (
        patch.object(ClipPlacer, "place_crops", lambda *_: ()),
        patch.object(ClipPlacer, "place_frame", place_whole),
    ):
        whole = render(transforms, pixels, **given)
    np.testing.assert_array_equal(row["image"], whole["image"])


sides, seeds = st.integers(16, 100), st.integers(0, 2**32)


@pytest.mark.slow
@given(sides, sides, st.sampled_from([*SAMPLINGS][:-1]), st.sampled_from([0, 1, 10]), seeds, st.data())
@settings(max_examples=200)
def test_any_composition(height, width, sampling, restart, seed, data):
    transforms, _ = data.draw(compositions(height, width))
    check(transforms, (height, width), sampling, restart, seed)


@given(
    st.sampled_from([(64, 96), (61, 97)]),
    st.sampled_from([*SAMPLINGS][:-1]),
    st.sampled_from([0, 1, 10]),
    st.sampled_from(["clip", "frame"]),
    seeds,
)
@example((64, 96), "420", 1, "clip", 0)
@example((61, 97), "420", 0, "frame", 3)
@settings(max_examples=30)
def test_scaled_frames(size, sampling, restart, per, seed):
    """The maps shrink by 2 and more, and interpolate."""
    check([fc.RandomResizedCrop(12, area=(0.2, 1.0), per=per)], size, sampling, restart, seed)
    check(
        [fc.CenterCrop(48), fc.RandomRotation(30, fill="reflect"), fc.Resize(16)], size, sampling, restart, 1
    )
