"""Options of papers: each preset makes a loader, whose clips are those of the paper's code."""

import math

import numpy as np
import pytest
from helpers import make_frames

import fastclips as fc
from fastclips.pixels.recipe import compile_recipe

CASES = {
    ("slowfast", True): (32, 224, 6, True, True),
    ("slowfast", False): (32, 256, 6 * 30, False, False),
    ("videomae", True): (16, 224, 6, True, True),
    ("videomae", False): (16, 224, 6 * 15, False, False),
    ("tsn", True): (3, 224, 6, True, False),
    ("tsn", False): (25, 224, 6 * 10, False, False),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fc.open(make_frames(tmp_path_factory.mktemp("frames")))


@pytest.mark.parametrize(("name", "train"), CASES)
def test_a_preset_makes_a_loader(dataset, name, train):
    steps, side, clips, shuffle, drop_last = CASES[name, train]
    options = getattr(fc.presets, name)(train)
    assert options.keys() == {"clips", "transforms", "shuffle", "drop_last"}
    assert (options["shuffle"], options["drop_last"]) == (shuffle, drop_last)
    with fc.ClipLoader(dataset, **options, batch_size=2, workers=0) as loader:
        assert 2 * len(loader) == clips
        x, _ = next(iter(loader))
    assert (x.shape, x.dtype) == ((2, steps, side, side, 3), np.float32)


def test_slowfast_crops_what_scaling_and_cropping_shows():
    """The boxes of `random_short_side_scale_jitter` and `random_crop`, to half a pixel of the frame."""
    (crop, *_) = fc.presets.slowfast(True)["transforms"]
    recipe, height, width = compile_recipe([crop]), 256, 340
    for place, side in enumerate(range(256, 321)):
        for draw in (0.0, 0.37, 1 - 2**-53):
            box = recipe.geometry(height, width, [(place + 0.5) / 65, draw, draw])
            scaled = side, math.floor(width / height * side)
            for axis, one in zip((box.y, box.x), scaled, strict=True):
                offset = math.floor(draw * (one - 224 + 1)) * height / side
                assert abs(axis.box[0] - offset) <= 1.5
                assert abs(axis.box[1] - axis.box[0] - 224 * height / side) <= 0.5


@pytest.mark.parametrize(("name", "options"), [("tsn", {}), ("videomae", {}), ("slowfast", {"fps": 30})])
def test_what_presets_refuse(name, options):
    with pytest.raises(fc.OptionError, match="train='yes': must be True or False"):
        getattr(fc.presets, name)("yes", **options)
