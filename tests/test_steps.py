import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slow_steps import slow_run

from fastclips.errors import OptionError
from fastclips.pixels.geometry.kernels import crop_table
from fastclips.pixels.steps.color import (
    Brightness,
    ChannelShift,
    Contrast,
    Gamma,
    Grayscale,
    Hue,
    Saturation,
    SaturationValue,
)
from fastclips.pixels.steps.compiled import CompiledSteps, count_draws
from fastclips.pixels.steps.effects import Blur, Cutout, GaussianNoise, RandomErasing, SaltAndPepper
from fastclips.pixels.steps.normalize import Normalize
from fastclips.pixels.steps.standardize import ZCA, FeatureWise, PerSample, Rescale

SIZE = (6, 7)  # of the frames here
units = st.floats(0, 1, exclude_max=True)
when = {"p": st.sampled_from([0, 0.5, 1]), "per": st.sampled_from(["clip", "frame"])}
dtypes = {"dtype": st.sampled_from(["float32", "float16"])}
factors = {"low": st.floats(0.5, 1), "high": st.floats(1, 1.6)}
powers = {"low": st.floats(0.5, 1), "high": st.floats(1, 2)}
noisy = st.one_of(
    st.fixed_dictionaries({**when, "fixed": st.just(False)}),
    st.fixed_dictionaries({"p": when["p"], "fixed": st.booleans()}),
)
tables = st.one_of(
    st.builds(Brightness, **factors, **when),
    st.builds(Contrast, **factors, **when),
    st.builds(ChannelShift, st.floats(0, 60), **when),
    st.builds(Gamma, **powers, **when),
)
on_frames = st.one_of(
    st.builds(lambda std, more: GaussianNoise(std, **more), st.floats(0, 20), noisy),
    st.builds(lambda share, more: SaltAndPepper((0, share), **more), st.floats(0, 0.5), noisy),
    st.builds(Blur, st.tuples(st.floats(0, 1), st.floats(1, 3)), **when),
    st.builds(Cutout, st.tuples(st.integers(1, 3), st.integers(1, 4)), st.integers(1, 3), **when),
    st.builds(RandomErasing, value=st.sampled_from([9, "random"]), **when),
)
on_colors = st.one_of(
    st.builds(Saturation, **factors, **when),
    st.builds(SaturationValue, **powers, **when),
    st.builds(Hue, st.floats(0, 180), **when),
    st.builds(Grayscale, **when),
    st.builds(Cutout, st.just(2), value=st.just((10, 200, 30)), **when),
)


def pixel_wise(seed, channels):
    numbers = np.random.default_rng(seed)
    return numbers.uniform(90, 160, (*SIZE, channels)), numbers.uniform(20, 80, (*SIZE, channels))


def whitening(seed, channels):
    mean, _ = pixel_wise(seed, channels)
    return np.eye(mean.size) + np.random.default_rng(seed).normal(0, 0.02, (mean.size, mean.size)), mean


def standardising_tables(channels):
    return st.one_of(
        st.builds(Rescale, st.floats(0.01, 0.1), st.floats(-1, 1), **dtypes),
        st.builds(Normalize, st.floats(0, 1), st.floats(0.1, 1), **dtypes),
        st.builds(FeatureWise, st.just([9.0, 8.0, 7.0][:channels]), st.floats(3, 99), **dtypes),
    )


def standardising(channels):
    return st.one_of(
        standardising_tables(channels),
        st.builds(PerSample, **dtypes),
        st.builds(lambda seed, dtype: FeatureWise(*pixel_wise(seed, channels), dtype), st.just(3), **dtypes),
        st.builds(lambda seed, dtype: ZCA(*whitening(seed, channels), dtype), st.just(4), **dtypes),
    )


def scaled_once(steps):
    kinds = [type(step) for step in steps]
    return Normalize not in kinds[1:] and not {Normalize, Rescale} <= set(kinds)


def make_clip(seed, time_steps, channels):
    """Noise, a gray row, and pixels of pure colours, black and white."""
    clip = np.random.default_rng(seed).integers(0, 256, (time_steps, *SIZE, channels), np.uint8)
    clip[:, 0] = clip[:, 0, :, :1]
    clip[:, 1] = np.where(clip[:, 1] > 127, 255, 0)
    return clip


def run(steps, clip, draws):
    compiled = CompiledSteps(steps, clip.shape[3])
    out = np.empty(clip.shape, compiled.dtype)
    compiled.run(clip, draws, out)
    return out


@pytest.mark.slow
@given(st.data(), st.integers(1, 3), st.sampled_from([1, 3]), st.integers(0, 99))
def test_any_list_does_what_its_steps_do_one_by_one(data, time_steps, channels, seed):
    some = tables | on_frames | on_colors if channels == 3 else tables | on_frames
    steps = data.draw(st.lists(some, max_size=5)) + data.draw(
        st.lists(standardising(channels), max_size=2).filter(scaled_once)
    )
    compiled = CompiledSteps(steps, channels)
    count = compiled.draws(time_steps)
    draws = data.draw(st.lists(units, min_size=count, max_size=count))
    clip = make_clip(seed, time_steps, channels)
    before = clip.copy()
    # Channels first in memory, as in a batch that wants them so.
    out = np.empty((time_steps, channels, *SIZE), compiled.dtype).transpose(0, 2, 3, 1)
    compiled.run(clip, draws, out)
    np.testing.assert_array_equal(out, run(steps, clip, draws))
    np.testing.assert_array_equal(clip, before)
    expected = slow_run(steps, clip, draws)
    if compiled.dtype == "uint8":
        assert np.abs(out - expected).max() <= 1
    else:
        assert compiled.dtype == steps[-1].dtype
        assert np.abs(out - expected).max() <= 1e-3 * np.abs(expected).max()


@pytest.mark.slow
@given(st.data(), st.sampled_from([1, 3]))
def test_tables_are_bit_equal_to_steps_one_by_one(data, channels):
    steps = data.draw(st.lists(tables, max_size=5))
    steps += data.draw(st.lists(standardising_tables(channels), max_size=2).filter(scaled_once))
    compiled = CompiledSteps(steps, channels)
    count = compiled.draws(2)
    draws = data.draw(st.lists(units, min_size=count, max_size=count))
    every = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(channels, axis=2)
    clip = np.stack([every, every])
    out = np.empty(clip.shape, compiled.dtype)
    compiled.run(clip, draws, out)
    np.testing.assert_array_equal(out, slow_run(steps, clip, draws).astype(compiled.dtype))
    table = compiled.table(draws)
    assert compiled.one_table == (table is not None) == all(getattr(s, "per", "") != "frame" for s in steps)
    if table is not None:
        assert table.shape == (channels, 256)
        cut = np.empty(every.shape, compiled.dtype)
        crop_table(every, 0, 0, False, table, cut)
        np.testing.assert_array_equal(cut, out[1])


def test_a_table_is_rounded_once():
    """Half of 3 is 1.5 and twice that 3: rounding between would make 4 of it."""
    table = CompiledSteps([Brightness(0.5, 0.5), Brightness(2, 2)], 1).table([0.0] * 4)
    np.testing.assert_array_equal(table, [np.arange(256)])
    assert CompiledSteps([Brightness(0.5, 0.5)], 1).table([0.0] * 2)[0, :4].tolist() == [0, 1, 1, 2]


def test_each_step_clips():
    clip = np.full((1, *SIZE, 3), 200, np.uint8)
    assert run([Brightness(2, 2), Brightness(0.5, 0.5)], clip, [0.0] * 4).max() == 128
    assert run([Grayscale(), Brightness(2, 2), Brightness(0.5, 0.5)], clip, [0.0] * 5).max() == 128


def test_nothing_to_do():
    clip = make_clip(0, 2, 3)
    np.testing.assert_array_equal(run([], clip, []), clip)
    np.testing.assert_array_equal(CompiledSteps([], 3).table([]), np.tile(np.arange(256), (3, 1)))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_several_steps_that_need_the_whole_clip(dtype):
    steps = [Gamma(2, 2), PerSample(), Rescale(3, 100), ZCA(*whitening(1, 3)), PerSample(dtype)]
    clip = make_clip(6, 3, 3)
    expected = slow_run(steps, clip, [0.0, 0.0])
    np.testing.assert_allclose(run(steps, clip, [0.0, 0.0]), expected, atol=2e-3)


def test_draws_are_counted_for_clips_and_frames():
    """One more than the step says where there is a share: it decides whether the step acts."""
    steps = [Brightness(0.1), ChannelShift(9, per="frame"), Cutout(2, 3), GaussianNoise(3), Normalize()]
    assert count_draws(steps, 5) == 2 + 5 * 4 + 7 + 3
    assert CompiledSteps(steps, 3).draws(5) == count_draws(steps, 5)
    assert count_draws([], 5) == 0


def test_draws_stand_in_the_order_of_the_list():
    steps = [Brightness(0, 2, per="frame"), Gamma(1, 2, p=0.5), Brightness(0, 2, per="frame", p=0.5)]
    clip = np.full((2, 1, 1, 1), 100, np.uint8)
    #        frame 0     1        clip      frame 0   1
    draws = [0.0, 0.25, 0.0, 0.5, 0.5, 0.9, 0.4, 0.6, 0.6, 0.1]
    assert run(steps, clip, draws).ravel().tolist() == [60, 100]


@pytest.mark.parametrize("kind", [Brightness(0.5, per="clip"), Saturation(0.5, per="clip")])
def test_per_clip_all_frames_are_alike(kind):
    clip = np.repeat(make_clip(3, 1, 3), 3, axis=0)
    out = run([kind], clip, [0.0, 0.9])
    np.testing.assert_array_equal(out, np.repeat(out[:1], 3, axis=0))


def test_a_share_of_clips():
    clip = make_clip(4, 1, 3)
    for step in (Brightness(0, 0, p=0.3), Saturation(0, 0, p=0.3), Blur(2, p=0.3)):
        draws = [0.5] * step.draws
        assert (run([step], clip, [0.29, *draws]) != clip).any()
        np.testing.assert_array_equal(run([step], clip, [0.3, *draws]), clip)


def test_lists_and_steps_travel():
    steps = [Gamma(0.5, 2), Hue(40), GaussianNoise(3), ZCA(*whitening(0, 3))]
    clip, draws = make_clip(5, 2, 3), [0.3] * count_draws(steps, 2)
    out = np.empty(clip.shape, np.float32)
    pickle.loads(pickle.dumps(CompiledSteps(steps, 3))).run(clip, draws, out)
    np.testing.assert_array_equal(out, run(steps, clip, draws))


@pytest.mark.parametrize(
    ("steps", "channels", "said"),
    [
        ([Brightness], 3, "color.Brightness'> is no pixel step; use instances"),
        ([{}], 3, "{} is no pixel step"),
        (
            [Normalize(), Hue(9)],
            3,
            r"Hue\(degrees=9.*stands after Normalize\(.*leaves the scale.*put it before",
        ),
        ([PerSample(), Gamma(1, 2)], 3, r"Gamma\(low=1.*stands after PerSample\(dtype='float32'\)"),
        (
            [Rescale(), Normalize()],
            3,
            r"Normalize divides by 255 itself, .*Rescale\(.* twice: leave it out",
        ),
        ([PerSample(), Normalize()], 3, r"Normalize\(.* stands after PerSample\(.* scale of bytes"),
        ([Hue(9)], 1, r"Hue\(.* needs colour, but the pictures are gray"),
        ([SaturationValue()], 1, r"SaturationValue\(.* needs colour"),
        ([Saturation(0.2)], 1, r"Saturation\(.* needs colour"),
        ([Grayscale()], 1, r"Grayscale\(.* needs colour"),
        ([Cutout(3, value=(1, 2, 3))], 1, r"Cutout\(.*value=\(1.0, 2.0, 3.0\).* needs colour"),
        ([Normalize((0.1, 0.2, 0.3))], 1, "Normalize's mean=.* give one number"),
        ([FeatureWise((1, 2, 3), 4)], 1, r"FeatureWise\(mean=\(1.0, 2.0, 3.0\), .* give one number"),
        (
            [FeatureWise(*pixel_wise(0, 3))],
            1,
            "FeatureWise.* is for frames of 3 channels, but the pictures have 1",
        ),
        ([ZCA(*whitening(0, 1))], 3, r"ZCA\(.* is for frames of 1 channels, but the pictures have 3"),
    ],
)
def test_what_does_not_go_together(steps, channels, said):
    with pytest.raises(OptionError, match=said):
        CompiledSteps(steps, channels)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Cutout((7, 2)), r"Cutout's size=\(7, 2\): must not be larger than the frame's 6x7 .*smaller"),
        (Cutout(SIZE[1]), r"Cutout\'s size=\(7, 7\): must"),
        (FeatureWise(np.zeros((5, 7, 3)), 1), r"for frames of 5x7x3 .*, not 6x7x3: .*Resize\(\(5, 7\)\)"),
        (ZCA(np.eye(12), np.zeros((2, 2, 3))), "ZCA has numbers for frames of 2x2x3"),
    ],
)
def test_frames_of_another_size(step, said):
    compiled = CompiledSteps([step], 3)
    clip = make_clip(0, 1, 3)
    with pytest.raises(OptionError, match=said):
        compiled.run(clip, [0.0] * compiled.draws(1), np.empty(clip.shape, compiled.dtype))


@pytest.mark.parametrize(
    ("out", "draws", "said"),
    [
        (np.empty((2, *SIZE, 3), np.float32), 2, "out must be uint8 (2, 6, 7, 3), not float32"),
        (np.empty((1, *SIZE, 3), np.uint8), 2, "not uint8 (1, 6, 7, 3)"),
        (np.empty((2, *SIZE, 3), np.uint8), 1, "1 draws for a clip that uses 2"),
    ],
)
def test_arrays_that_do_not_fit(out, draws, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        CompiledSteps([Saturation(0.5)], 3).run(make_clip(0, 2, 3), [0.0] * draws, out)
