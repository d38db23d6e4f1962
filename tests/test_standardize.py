import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastclips.errors import OptionError
from fastclips.pixels.steps.compiled import CompiledSteps
from fastclips.pixels.steps.standardize import ZCA, FeatureWise, PerSample, Rescale
from fastclips.serving.fitting import fit_feature_wise, fit_zca

stacks = st.sampled_from([1, 3]).flatmap(
    lambda channels: st.lists(
        hnp.arrays(np.uint8, st.tuples(st.integers(1, 5), st.just(2), st.just(3), st.just(channels))),
        min_size=1,
        max_size=4,
    )
)


def run(step, clip):
    out = np.empty(clip.shape, step.dtype)
    CompiledSteps([step], clip.shape[3]).run(clip, [], out)
    return out


def small_frames(count=400):
    """Smooth ones, whose values go together."""
    random = np.random.default_rng(0)
    coarse = random.uniform(40, 200, (count, 1, 1, 3)) + random.normal(0, 20, (count, 4, 1, 3))
    return np.clip(coarse + random.normal(0, 8, (count, 4, 5, 3)), 0, 255).astype(np.uint8)


def test_rescale():
    clip = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    out = run(Rescale(), clip)
    assert (out.min(), out.max(), out.dtype) == (0, 1, np.float32)
    np.testing.assert_allclose(run(Rescale(1 / 127.5, -1, "float16"), clip)[0, [0, -1], [0, -1], 0], [-1, 1])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_each_clip_has_mean_0_and_variance_1(dtype):
    clip = np.random.default_rng(0).integers(90, 130, (4, 20, 30, 3), np.uint8)
    clip[1] //= 2  # frames differ: their own means must not be what is subtracted
    out = run(PerSample(dtype), clip).astype(np.float64)
    assert abs(out.mean()) < 1e-4
    assert abs(out.std() - 1) < 1e-3
    np.testing.assert_allclose(out, (clip - clip.mean()) / clip.std(), atol=2e-3)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_clip_of_one_value_becomes_0(value):
    assert not run(PerSample(), np.full((3, 17, 19, 3), value, np.uint8)).any()


@given(stacks)
def test_fit_feature_wise(parts):
    """However the frames come: in clips, one by one, or all at once."""
    together = np.concatenate(parts)
    for given_frames in (parts, together, [together[None]]):
        step = fit_feature_wise(given_frames)
        np.testing.assert_allclose(step.mean, together.mean((0, 1, 2)), rtol=1e-12)
        np.testing.assert_allclose(step.std, together.std((0, 1, 2)), atol=1e-6)
        step = fit_feature_wise(given_frames, per_pixel=True)
        np.testing.assert_allclose(step.mean, together.mean(0), rtol=1e-6)
        np.testing.assert_allclose(step.std, together.std(0), rtol=1e-6, atol=1e-5)


def test_fit_feature_wise_takes_frames_of_mixed_sizes():
    frames = [np.full((2, 3, 3), 10, np.uint8), np.full((4, 3, 3), 40, np.uint8)]
    step = fit_feature_wise(iter(frames), dtype="float16")
    assert repr(step) == (
        "FeatureWise(mean=(30.0, 30.0, 30.0), std=(14.142135623730951, 14.142135623730951, "
        "14.142135623730951), dtype='float16')"
    )


@pytest.mark.parametrize("step", [fit_feature_wise(small_frames()), fit_zca(small_frames())])
def test_what_was_fitted_takes_bytes(step):
    """Behind a step that leaves their scale it would be nonsense."""
    for before in (Rescale(), PerSample()):
        with pytest.raises(OptionError, match=rf"stands after {type(before).__name__}\(.* scale of bytes"):
            CompiledSteps([before, step], 3)
    CompiledSteps([step, Rescale(), FeatureWise(0.5, 2)], 3)


@pytest.mark.parametrize("per_pixel", [False, True])
def test_what_was_fitted_comes_out_with_mean_0_and_variance_1(per_pixel):
    frames = small_frames()
    out = run(fit_feature_wise(frames, per_pixel=per_pixel), frames)
    axes = 0 if per_pixel else (0, 1, 2)
    np.testing.assert_allclose(out.mean(axes, np.float64), 0, atol=1e-5)
    np.testing.assert_allclose(out.std(axes, np.float64), 1, atol=1e-5)


def test_fit_zca_whitens():
    frames = small_frames()
    out = run(fit_zca(frames, eps=1e-6), frames).reshape(len(frames), -1).astype(np.float64)
    np.testing.assert_allclose(out.T @ out / len(frames), np.eye(out.shape[1]), atol=1e-3)


def test_fit_zca_is_the_formula():
    frames = small_frames()
    flat = frames.reshape(len(frames), -1) - frames.mean(0).ravel()
    vectors, variances, _ = np.linalg.svd(flat.T @ flat / len(flat))
    expected = vectors @ np.diag(1 / np.sqrt(variances + 3.0)) @ vectors.T
    for given_frames in (frames, list(frames), [frames[:300], frames[300:]]):
        step = fit_zca(given_frames, eps=3.0)
        np.testing.assert_allclose(step.matrix, expected, atol=1e-6)
        np.testing.assert_allclose(step.mean, frames.mean(0), rtol=1e-6)


def test_arrays_are_told_apart_by_repr():
    frames = small_frames(30)
    steps = [fit_feature_wise(frames, per_pixel=True), fit_zca(frames), fit_zca(frames[1:])]
    shown = [repr(step) for step in steps]
    assert shown == [repr(pickle.loads(pickle.dumps(step))) for step in steps]
    assert len(set(shown)) == 3
    assert shown[1].startswith("ZCA(matrix=<60x60, crc ")


def test_what_is_given_is_copied():
    mean = np.full(3, 100.0)
    step = FeatureWise(mean, 1)
    mean[:] = 0
    assert repr(step) == "FeatureWise(mean=(100.0, 100.0, 100.0), std=(1.0,), dtype='float32')"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Rescale("x"), "Rescale's scale='x': must be a finite number"),
        (lambda: Rescale(offset=float("inf")), "Rescale's offset=inf: must be a finite number"),
        (lambda: Rescale(dtype="uint8"), "Rescale's dtype='uint8': must be 'float32' or 'float16'"),
        (
            lambda: Rescale(1000, dtype="float16"),
            r"Rescale's values reach 2\.55e\+05, too much for dtype='float16'",
        ),
        (lambda: PerSample("int"), "PerSample's dtype='int': must be "),
        (lambda: FeatureWise("x", 1), "FeatureWise's mean='x': must be finite numbers"),
        (lambda: FeatureWise([[1], [2, 3]], 1), "FeatureWise's mean=.*: must be finite numbers"),
        (lambda: FeatureWise(0, [1, np.nan, 2]), "FeatureWise's std=.*: must be finite numbers"),
        (
            lambda: FeatureWise((1, 2), 1),
            r"mean of shape \(2,\): must be one number, three, or an array",
        ),
        (lambda: FeatureWise(np.ones((4, 4)), 1), r"of shape \(4, 4\): must be"),
        (lambda: FeatureWise(0, (1, -2, 3)), "FeatureWise's std=-2: must not be negative"),
        (
            lambda: FeatureWise(np.ones((4, 5, 3)), np.ones((5, 4, 3))),
            r"mean \(4, 5, 3\) and std \(5, 4, 3\): must have one shape",
        ),
        (
            lambda: FeatureWise(np.ones((4, 1, 3)), np.ones((1, 4, 3))),
            r"mean \(4, 1, 3\) and std \(1, 4, 3\): must have one shape",
        ),
        (lambda: FeatureWise(0, 0, "float16"), "FeatureWise's values reach .* too much for dtype='float16'"),
        (lambda: FeatureWise(0, 1, "f4"), "FeatureWise's dtype='f4': must be "),
        (
            lambda: ZCA(np.eye(4), np.ones(4)),
            r"ZCA's mean of shape \(4,\): must be \(height, width, channels\)",
        ),
        (
            lambda: ZCA(np.eye(3), np.ones((2, 2, 1))),
            r"matrix of shape \(3, 3\): must be \(4, 4\) for a mean of \(2, 2, 1\)",
        ),
        (lambda: ZCA(None, np.ones((2, 2, 1))), "ZCA's matrix=None: must be finite numbers"),
        (lambda: ZCA(1e4 * np.eye(4), np.ones((2, 2, 1)), "float16"), "ZCA's values reach"),
        (lambda: ZCA(np.eye(4), np.ones((2, 2, 1)), "float64"), "ZCA's dtype='float64': must be "),
        (lambda: fit_feature_wise([]), "frames: must hold at least one frame"),
        (lambda: FeatureWise(0, 1, of_bytes=1), "FeatureWise's of_bytes=1: must be True or False"),
        (lambda: ZCA(np.eye(4), np.ones((2, 2, 1)), of_bytes=None), "ZCA's of_bytes=None: must be True"),
        (lambda: fit_feature_wise(3), "frames=3: must be a ClipLoader, or an iterable of arrays"),
        (
            lambda: fit_feature_wise([np.zeros((4, 4, 3))]),
            r"arrays of uint8, .* not float64 \(4, 4, 3\): learn from a loader without standardising steps",
        ),
        (
            lambda: fit_feature_wise([[1, 2]]),
            r"uint8, .* not \[1, 2\]: pass a loader itself",
        ),
        (
            lambda: fit_feature_wise([np.zeros((4, 4), np.uint8)]),
            r"1 or 3\), not uint8 \(4, 4\): channels come last, .* channels_first=False",
        ),
        (lambda: fit_feature_wise([np.zeros((4, 3), np.uint8)]), r"height, width, channels\), not \(4, 3\)"),
        (lambda: fit_feature_wise([np.zeros((0, 4, 3), np.uint8)]), r"channels\), not \(0, 4, 3\)"),
        (
            lambda: fit_feature_wise([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 1), np.uint8)]),
            r"frames of \(4, 4, 3\) and \(4, 4, 1\) .* all in colour or all in gray",
        ),
        (
            lambda: fit_feature_wise(
                [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)], per_pixel=True
            ),
            r"frames of \(4, 4, 3\) and \(4, 5, 3\) .* add a Resize",
        ),
        (lambda: fit_feature_wise([], per_pixel=1), "per_pixel=1: must be True or False"),
        (lambda: fit_zca([]), "frames: must hold at least one frame"),
        (lambda: fit_zca([], eps=0), r"eps=0: must be a number from 1e-12 to 1e\+12"),
        (
            lambda: fit_zca([np.zeros((65, 64, 3), np.uint8)]),
            r"frames of \(65, 64, 3\) have 12480 values: must be at most 12288 .* Resize\(\(32, 32\)\)",
        ),
    ],
)
def test_what_cannot_be_declared_or_learnt(make, said):
    with pytest.raises(OptionError, match=said):
        make()
