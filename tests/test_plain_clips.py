"""Usual clips, which are rendered with few objects, against the way that other clips are rendered."""

import shutil

import numpy as np
import pytest
from helpers import make_frames, picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import fastclips as fc
from fastclips.engine.arena import COUNTERS
from fastclips.engine.plain_clips import _PATIENCE
from fastclips.pixels.recipe import compile_recipe

STEPS = 4
SECONDS = {"read_s", "decode_s", "kernel_s", "stage"}


@st.composite
def crops(draw):
    """Transforms that crop and mirror, some of which do not fit, and the size of frames."""
    transforms = []
    for kind in draw(st.lists(st.sampled_from(["random", "center", "flip"]), max_size=5)):
        size = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
        if kind == "flip":
            transforms.append(fc.RandomFlip(0.5, vertical=draw(st.sampled_from([0.0, 0.5]))))
        else:
            transforms.append((fc.RandomCrop if kind == "random" else fc.CenterCrop)(size))
    return transforms, draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))


@given(crops(), st.data())
def test_whole_numbers_say_what_the_map_says(drawn, data):
    transforms, (height, width) = drawn
    recipe = compile_recipe(transforms)
    draws = data.draw(
        st.lists(st.floats(0, 1, exclude_max=True), min_size=recipe.draws, max_size=recipe.draws)
    )
    found = recipe.plain_crops.find(height, width, draws)
    try:
        geometry = recipe.geometry(height, width, draws)
    except fc.OptionError:
        assert found is None
        return
    (top, bottom), (left, right) = geometry.y.box, geometry.x.box
    assert found.box == (top, left, bottom, right)
    assert (found.mirrored, found.flipped) == (geometry.flip, geometry.flip_vertical)


@pytest.mark.parametrize(
    "transform",
    [fc.Resize(20), fc.RandomCrop(20, per="frame"), fc.RandomRotation(5), fc.On("image", fc.RandomCrop(20))],
)
def test_other_geometry_has_none(transform):
    assert compile_recipe([transform], time_steps=STEPS).plain_crops is None


def epoch(dataset, transforms, **options):
    """Return the batches of an epoch, what was counted, and the loader's kind of clips."""
    with fc.ClipLoader(
        dataset, fc.Windows(STEPS), transforms, batch_size=2, seed=1, workers=0, cache=0, **options
    ) as loader:
        renderer = loader._engine._render.__self__
        batches = [[np.array(array) for array in batch] for batch in loader]
        counters = dict(zip(COUNTERS, loader._engine.counters.sum(0), strict=True))
    return batches, {name: count for name, count in counters.items() if name not in SECONDS}, renderer


def check_alike(dataset, transforms, monkeypatch, **options):
    """Compare an epoch with one of which no clip is usual; return the number of usual clips."""
    usual, counted, renderer = epoch(dataset, transforms, **options)
    plain = renderer._plain
    assert plain is not None
    with monkeypatch.context() as patch:
        patch.setattr("fastclips.engine.plain_clips.PlainClips.of", lambda *_, **__: None)
        others, counted_others, other = epoch(dataset, transforms, **options)
    assert other._plain is None
    for batch, expected in zip(usual, others, strict=True):
        for array, wanted in zip(batch, expected, strict=True):
            np.testing.assert_array_equal(array, wanted)
            assert array.dtype == wanted.dtype
    assert counted == counted_others
    return plain


@pytest.mark.parametrize("stored", ["folder", "pack", "dct"])
@pytest.mark.parametrize("options", [{}, {"channels_first": True}], ids=["last", "first"])
@pytest.mark.parametrize("steps", [[], [fc.Normalize(0.4, 0.2)]], ids=["bytes", "floats"])
def test_usual_clips_are_as_others(stored, options, steps, frames, tmp_path, monkeypatch):
    dataset = fc.open(frames)
    if stored != "folder":
        fc.pack(dataset, tmp_path / "pack", codec="jpeg" if stored == "pack" else "dct")
        dataset = fc.open(tmp_path / "pack")
    transforms = [fc.RandomCrop((24, 32)), fc.RandomFlip(vertical=0.5), *steps]
    plain = check_alike(dataset, transforms, monkeypatch, **options)
    assert plain._patience == _PATIENCE


def test_damaged_clips_are_as_others(frames, tmp_path, monkeypatch):
    shutil.copytree(frames, tmp_path / "frames")
    path = sorted(tmp_path.rglob("*.jpg"))[2]
    path.write_bytes(path.read_bytes()[:700])
    options = {"damaged": "repeat", "damaged_limit": 1.0}
    plain = check_alike(fc.open(tmp_path / "frames"), [fc.RandomCrop((24, 32))], monkeypatch, **options)
    assert plain._patience > 0


def test_data_of_unusual_frames_are_not_tried_for_long(tmp_path, monkeypatch):
    make_frames(tmp_path, videos=1, frames=64, classes=1)
    for number, path in enumerate(sorted(tmp_path.rglob("*.jpg"))):
        if number % 2:
            Image.fromarray(picture(number)).save(path, progressive=True)
    plain = check_alike(fc.open(tmp_path), [fc.RandomCrop((24, 32))], monkeypatch)
    assert plain._patience <= 0


def test_a_size_that_does_not_fit_is_the_usual_error(frames):
    with pytest.raises(fc.FastclipsError, match="RandomCrop's size"):
        epoch(fc.open(frames), [fc.RandomCrop(400)])
