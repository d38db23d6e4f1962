"""Pixel steps on their way through a loader: after the geometry, on pictures alone, the same everywhere."""

import numpy as np
import pytest
from helpers import make_frames, make_masks

import fastclips as fc
from fastclips.pixels.steps import CompiledSteps

GEOMETRY = [fc.RandomCrop(32), fc.RandomFlip()]
TABLE = [fc.Brightness(0.3), fc.Contrast(0.5, p=0.5), fc.Gamma(0.5, 2)]
TABLE_BY_FRAME = [fc.Brightness(0.3, per="frame")]
FRAMES = [
    fc.Brightness(0.3),
    fc.Hue(40),
    fc.GaussianNoise(8),
    fc.Blur((0.5, 2), p=0.5, per="frame"),
    fc.Cutout(9),
]
STANDARD = [fc.ChannelShift(20), fc.Saturation(0.5, per="frame"), fc.PerSample()]
LISTS = {
    "table": TABLE,
    "table by frame": TABLE_BY_FRAME,
    "frames": FRAMES,
    "standardised": STANDARD,
    "table, then floats": [*TABLE, fc.Normalize(0.5, 0.25, dtype="float16")],
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    root = make_frames(tmp_path_factory.mktemp("frames"), videos=3, frames=6)
    return fc.open({"image": root, "mask": make_masks(tmp_path_factory.mktemp("masks"), root)})


def serve(data, steps, workers=0, **options):
    """An epoch's batches, and the tickets' draws of each."""
    settings = {"clips": fc.Windows(4, tail="pad"), "batch_size": 2, "shuffle": True, "seed": 5, **options}
    settings = {
        "inputs": ("image", "mask"),
        "transforms": [*GEOMETRY, *steps],
        "workers": workers,
        **settings,
    }
    with fc.ClipLoader(data, **settings) as loader:
        draws = [loader._plan.tickets(1, batch)[0]["draws"] for batch in range(len(loader))]
        return [{name: array.copy() for name, array in x.items()} for x, _ in loader.epoch(1)], draws


@pytest.mark.parametrize("steps", LISTS.values(), ids=LISTS)
def test_steps_follow_the_geometry(pairs, steps):
    plain, _ = serve(pairs, [])
    found, draws = serve(pairs, steps)
    compiled = CompiledSteps(steps, 3)
    for before, after, numbers in zip(plain, found, draws, strict=True):
        np.testing.assert_array_equal(after["mask"], before["mask"])
        assert after["image"].dtype == compiled.dtype
        for clip, shown, own in zip(before["image"], after["image"], numbers, strict=True):
            expected = np.empty(clip.shape, compiled.dtype)
            compiled.run(clip, own[3:], expected)  # after two draws of the crop and one of the flip
            np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize("steps", LISTS.values(), ids=LISTS)
def test_workers_and_layouts_make_no_difference(pairs, steps):
    expected, _ = serve(pairs, steps)
    for options in ({"workers": 2}, {"channels_first": True}, {"channels_first": True, "workers": 1}):
        found, _ = serve(pairs, steps, **options)
        for one, other in zip(expected, found, strict=True):
            image = np.moveaxis(other["image"], 2, -1) if options.get("channels_first") else other["image"]
            np.testing.assert_array_equal(image, one["image"])


def test_a_repeated_frame_has_noise_of_its_own(pairs):
    (batch, *_), _ = serve(pairs, [fc.GaussianNoise(20)], shuffle=False)
    padded = batch["image"][1]  # frames 4, 5, 5, 5
    assert not np.array_equal(padded[1], padded[2])
    (batch, *_), _ = serve(pairs, [fc.GaussianNoise(20, fixed=True)], shuffle=False)
    np.testing.assert_array_equal(batch["image"][1][1], batch["image"][1][2])


def test_gray_pictures(pairs):
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 40, 40, 1), np.uint8)
    gray = fc.open(images=images)
    with fc.ClipLoader(
        gray, fc.Windows(4), [*TABLE, fc.GaussianNoise(3), fc.Rescale()], batch_size=2, workers=0
    ) as loader:
        (x,) = loader
    assert (x.shape, x.dtype) == (images.shape, np.float32)
    assert 0 <= x.min() < x.max() <= 1
    with pytest.raises(fc.OptionError, match="is about colours, but gray pictures have none"):
        fc.ClipLoader(gray, fc.Windows(4), [fc.Hue(20)], batch_size=2, workers=0)
    del pairs


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([fc.Rescale(), fc.Brightness(0.2)], "Brightness.* stands after Rescale"),
        ([fc.Normalize(), fc.Normalize()], "Normalize stands more than once"),
        ([fc.Brightness], "is no transform; use instances"),
    ],
)
def test_lists_that_cannot_be(pairs, steps, text):
    with pytest.raises(fc.OptionError, match=text):
        serve(pairs, steps)


def test_what_does_not_suit_the_size_of_the_frames(pairs):
    for workers in (0, 1):
        with pytest.raises((fc.OptionError, fc.FrameError), match="Cutout"):
            serve(pairs, [fc.Cutout(33)], workers)


def test_fitted_to_a_dataset(pairs):
    with fc.ClipLoader(pairs, fc.Windows(6), batch_size=2, workers=0) as loader:
        step = fc.fit_feature_wise(x for x, _ in loader)
    with fc.ClipLoader(pairs, fc.Windows(6), [step], batch_size=3, workers=0) as loader:
        ((x, _),) = loader
    np.testing.assert_allclose(x.mean(axis=(0, 1, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(x.std(axis=(0, 1, 2, 3)), 1, atol=1e-3)
