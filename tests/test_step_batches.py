"""Pixel steps on their way through a loader: after the geometry, on pictures alone, the same everywhere."""

import pickle

import numpy as np
import pytest
from helpers import make_frames, make_masks

import fastclips as fc
from fastclips.pixels.steps.compiled import CompiledSteps

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
    """An epoch's batches, and the draws of each."""
    settings = {"clips": fc.Windows(4, tail="pad"), "batch_size": 2, "shuffle": True, "seed": 5, **options}
    settings = {
        "inputs": ("image", "mask"),
        "transforms": [*GEOMETRY, *steps],
        "workers": workers,
        **settings,
    }
    with fc.ClipLoader(data, **settings) as loader:
        draws = [loader._plan.clips(1, batch).draws for batch in range(len(loader))]
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


@pytest.mark.slow
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
    with pytest.raises(fc.OptionError, match="needs colour, but the pictures are gray"):
        fc.ClipLoader(gray, fc.Windows(4), [fc.Hue(20)], batch_size=2, workers=0)
    del pairs


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([fc.Rescale(), fc.Brightness(0.2)], "Brightness.* stands after Rescale"),
        ([fc.Normalize(), fc.Normalize()], "Normalize stands more than once"),
        ([fc.Brightness], "is no transform; use instances"),
        ([lambda clip: clip], r"is no transform; put a function into Apply\("),
    ],
)
def test_lists_that_cannot_be(pairs, steps, text):
    with pytest.raises(fc.OptionError, match=text):
        serve(pairs, steps)


def test_what_does_not_suit_the_size_of_the_frames(pairs):
    """It is told before anything is served, however seldom the step acts."""
    wrong = fc.FeatureWise(np.ones((5, 4, 3)), 1)
    for steps in ([fc.Cutout(33, p=0)], [fc.Apply(lambda clip: clip[:, ::2]), fc.Cutout(13)], [wrong]):
        with pytest.raises(
            fc.OptionError, match=r"larger than the frame's|at most the frame's|for frames of 5x4x3"
        ):
            fc.ClipLoader(pairs, fc.Windows(2), [fc.RandomCrop(24), *steps], batch_size=2, workers=0)


def test_fitted_to_a_dataset(pairs):
    with fc.ClipLoader(pairs, fc.Windows(6), batch_size=2, workers=0) as loader:
        step = fc.fit_feature_wise(loader)
    with fc.ClipLoader(pairs, fc.Windows(6), [step], batch_size=3, workers=0) as loader:
        ((x, _),) = loader
    np.testing.assert_allclose(x.mean(axis=(0, 1, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(x.std(axis=(0, 1, 2, 3)), 1, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clips", "options"),
    [
        (fc.Windows(4, tail="pad"), {"targets": None}),
        (fc.Windows(4, step=3, tail="pad"), {"repeat": True, "shuffle": True, "inputs": ("image", "valid")}),
        (fc.Windows(9, short="pad"), {"targets": "mask", "workers": 1}),
    ],
)
def test_fitted_to_an_epoch_of_a_loader(pairs, clips, options):
    """Once, without padding, and without moving the iteration."""
    options = {"batch_size": 2, "workers": 0, **options}
    with fc.ClipLoader(pairs, clips, [fc.Resize((16, 20))], **options) as loader:
        state = loader.state_dict()
        step, whitening = fc.fit_feature_wise(loader, per_pixel=True), fc.fit_zca(loader)
        assert loader.state_dict() == state
        shown = [loader.batch(0, number) for number in range(len(loader))]
        real = loader.plan_table(0)["frames"] >= 0
    shown = [batch[0] if isinstance(batch, tuple) else batch for batch in shown]
    shown = np.concatenate([x["image"] if isinstance(x, dict) else x for x in shown])
    assert real.any()
    assert not real.all()
    np.testing.assert_allclose(step.mean, shown[real].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(step.std, shown[real].std(axis=0), rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(whitening.mean, step.mean, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "steps", "said"),
    [
        ({"world": 2}, [], "world=2: must be 1, as a rank serves a part"),
        ({"inputs": ("image", "mask", "valid"), "channels_first": True}, [], "channels_first=False"),
        ({"inputs": "mask", "targets": None}, [], r"uint8 \(6, 48, 64\): channels come last"),
        ({}, [fc.Rescale()], "float32 .* learn from a loader without standardising steps"),
        ({}, [fc.Apply(lambda clip: clip[1:])], r"padding, which cannot be found in x of \(3, 48, 64, 3\)"),
    ],
)
def test_loaders_that_cannot_be_learnt_from(pairs, options, steps, said):
    options = {"batch_size": 2, "workers": 0, **options}
    with (
        fc.ClipLoader(pairs, fc.Windows(4, tail="pad"), steps, **options) as loader,
        pytest.raises(fc.OptionError, match=said),
    ):
        fc.fit_feature_wise(loader)


def test_streams_that_cannot_be_told_apart(tmp_path):
    root = make_frames(tmp_path, videos=1, frames=2)
    data = fc.open({"image": root, "flow": root})
    with (
        fc.ClipLoader(data, fc.Windows(2), batch_size=1, workers=0, inputs=("image", "flow")) as loader,
        pytest.raises(fc.OptionError, match=r"2 streams of pictures \(image, flow\): .* inputs='image'"),
    ):
        fc.fit_feature_wise(loader)


@pytest.mark.slow
def test_whitening_is_the_same_in_any_process(pairs):
    """However many threads the linear algebra of each may use."""
    clips, small = fc.Windows(6), fc.Resize((20, 24))
    with fc.ClipLoader(pairs, clips, [small], batch_size=2, workers=0) as loader:
        steps = [small, fc.fit_zca(loader, eps=10)]
    found = []
    for workers in (0, 1):
        with fc.ClipLoader(pairs, clips, steps, batch_size=2, workers=workers) as loader:
            found.append(np.concatenate([x for x, _ in loader]))
    np.testing.assert_array_equal(*found)


def test_pixel_steps_are_compiled_once(pairs, monkeypatch):
    """In the layout; renderers here and in workers use that."""
    made = []
    compile_steps = CompiledSteps.__init__
    monkeypatch.setattr(CompiledSteps, "__init__", lambda *args: (made.append(args), compile_steps(*args))[1])
    serve(pairs, FRAMES)
    assert len(made) == 1


def test_a_worker_gets_the_pixel_steps_of_the_recipe_compiled(pairs):
    """In one pickle, so that what a step holds, such as a matrix, travels once."""
    with fc.ClipLoader(pairs, fc.Windows(4), FRAMES, batch_size=2, workers=0) as loader:
        spec = pickle.loads(pickle.dumps(loader._engine._render.__self__._spec))
    assert not {"recipe", "pixel_steps"} & vars(spec).keys()
    compiled = spec.pixel_steps["image"]
    assert [listed.step for listed in compiled._steps] == FRAMES
    assert all(a.step is b for a, b in zip(compiled._steps, spec.recipe.steps, strict=True))
