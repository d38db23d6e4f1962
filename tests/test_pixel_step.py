"""The contract of `PixelStep`: what is accepted, what is refused, and what each kind of step is given."""

from dataclasses import dataclass

import numpy as np
import pytest

import fastclips as fc
from fastclips.pixels.steps.compiled import CompiledSteps

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 3, 10, 12, 3), np.uint8)


@dataclass(frozen=True)
class Invert(fc.PixelStep):
    kind = "table"

    def values(self, values, draws):
        assert not draws
        return 255 - values


@dataclass(frozen=True)
class Level(fc.PixelStep):
    """Set every value to the draw, in levels."""

    kind = "frame"
    draws = 1
    p: float = 1.0
    per: str = "clip"

    def apply(self, frame, draws, number):
        frame[:] = 100 * draws[0] + 10 * number
        return frame


@dataclass(frozen=True)
class Fade(fc.PixelStep):
    """Brighten a clip beyond the scale of bytes, in time."""

    kind = "clip"
    draws = 1
    p: float | None = None

    def apply_clip(self, frames, draws):
        for number, frame in enumerate(frames):
            np.add(frame, 200 * draws[0] * number, out=frame)


@dataclass(frozen=True)
class Centre(fc.PixelStep):
    kind = "clip"
    dtype: str = "float32"

    def apply_clip(self, frames, draws):
        assert not draws
        frames -= frames.mean(dtype=np.float64).astype(np.float32)


def run(steps, draws=(), clip=IMAGES[0]):
    compiled = CompiledSteps(steps, 3)
    out = np.empty(clip.shape, compiled.dtype)
    compiled.run(clip, draws, out)
    return out


def test_a_third_party_table_step():
    assert CompiledSteps([Invert()], 3).one_table
    np.testing.assert_array_equal(run([Invert()]), 255 - IMAGES[0])


@pytest.mark.parametrize(("per", "draws"), [("clip", [0.1, 0.5]), ("frame", [0.1, 0.5, 0.9, 0.7, 0.2, 0.9])])
def test_a_third_party_frame_step_gets_the_draws_it_declares(per, draws):
    found = run([Level(0.6, per)], draws)
    for number, (chance, level) in enumerate(list(zip(draws[::2] * 3, draws[1::2] * 3, strict=True))[:3]):
        expected = np.floor(100 * level + 10 * number + 0.5) if chance < 0.6 else IMAGES[0, number]
        np.testing.assert_array_equal(found[number], np.broadcast_to(expected, found[number].shape))


def test_a_clip_step_that_keeps_the_scale_of_bytes_is_clipped_and_rounded():
    expected = np.clip(IMAGES[0] + 100.0 * np.arange(3)[:, None, None, None], 0, 255)
    np.testing.assert_array_equal(run([Fade()], [0.5]), expected)
    np.testing.assert_array_equal(run([Fade(), Invert()], [0.5]), 255 - expected)
    np.testing.assert_array_equal(run([Fade(), Fade()], [0.5, 0.0]), expected)
    np.testing.assert_array_equal(run([Fade(0.3)], [0.3, 0.5]), IMAGES[0])


def test_a_function_gets_bytes_after_a_clip_step_that_keeps_their_scale():
    with fc.ClipLoader(
        fc.open(images=IMAGES), fc.Windows(3), [Fade(), fc.Apply(str_of_dtype)], batch_size=2, workers=0
    ) as loader:
        (x,) = loader
    assert x.tolist() == [[1.0], [1.0]]


def str_of_dtype(clip):
    return [float(clip.dtype == np.uint8)]


def test_a_standardising_clip_step_sets_the_type_of_the_batch():
    assert abs(run([Centre()]).mean()) < 1e-4
    assert run([Centre(), fc.Rescale(dtype="float16")]).dtype == np.float16
    with pytest.raises(fc.OptionError, match=r"Fade\(.* stands after Centre\(.* scale of bytes"):
        run([Centre(), Fade()])


@pytest.mark.parametrize("workers", [0, 1])
def test_third_party_steps_in_a_loader(workers):
    """Classes of a test module reach the workers by value, as a script's do."""
    steps = [Invert(), Level(0.5, "frame"), Fade(0.5)]
    with fc.ClipLoader(fc.open(images=IMAGES), fc.Windows(3), steps, batch_size=2, workers=workers) as loader:
        (found,) = loader.epoch(0)
        draws = next(loader.schedule.run(0, 0, 1)).tickets["draws"]
    for clip, shown, own in zip(IMAGES, found, draws, strict=True):
        np.testing.assert_array_equal(shown, run(steps, own, clip))


class Duck:
    def values(self, values, _draws):
        return values


def test_a_class_with_the_methods_alone_is_told_what_to_subclass():
    with pytest.raises(fc.OptionError, match=r"Duck.* values\(\) must subclass fastclips\.PixelStep"):
        fc.ClipLoader(fc.open(images=IMAGES), fc.Windows(3), [Duck()], batch_size=2, workers=0)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("table", r"Wrong's kind='table': must override the method values\(\)"),
        ("frame", r"Wrong's kind='frame': must override the method apply\(\)"),
        ("clip", r"Wrong's kind='clip': must override the method apply_clip\(\)"),
        ("pixel", "Wrong's kind='pixel': must be 'table', 'frame' or 'clip'"),
        (None, "Wrong's kind=None: must be "),
    ],
)
def test_a_class_that_lacks_its_method(kind, said):
    with pytest.raises(fc.OptionError, match=said):
        type("Wrong", (fc.PixelStep,), {"kind": kind})


def test_a_base_class_needs_no_kind_and_an_instance_does():
    class Base(fc.PixelStep):
        pass

    class Step(Base):
        kind = "table"

        def values(self, values, _draws):
            return values * 1

    run([Step()])
    with pytest.raises(fc.OptionError, match="Base's kind=None: must be 'table', 'frame' or 'clip'"):
        run([Base()])


@pytest.mark.parametrize(
    ("base", "attributes", "said"),
    [
        (Level, {"p": 1.5}, r"p=1\.5: must be a number from 0 to 1, or None"),
        (Level, {"p": "often"}, "p='often': must be a number"),
        (Level, {"per": "batch"}, "per='batch': must be 'clip', 'frame' or 'video'"),
        (Level, {"draws": -1}, "draws=-1: must be an int, at least 0"),
        (Level, {"draws": 1.0}, r"draws=1\.0: must be an int"),
        (Level, {"dtype": "uint8"}, "dtype='uint8': must be 'float32', 'float16' or None"),
        (Fade, {"per": "frame"}, "per='frame': must be 'clip' or 'video' for kind='clip'"),
    ],
)
def test_attributes_that_break_the_contract(base, attributes, said):
    step = base()
    for name, value in attributes.items():
        object.__setattr__(step, name, value)
    with pytest.raises(fc.OptionError, match=f"{base.__name__}'s {said}"):
        CompiledSteps([step], 3)
