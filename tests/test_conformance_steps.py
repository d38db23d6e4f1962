"""Every pixel step of the library keeps the contract that third parties' steps must keep.

A new pixel step adds one row to `STEPS`.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import fastclips as fc
from fastclips.pixels.steps.base import PixelStep
from fastclips.testing import check_pixel_step

SIZE = (6, 8)
NUMBERS = np.random.default_rng(0).uniform(20, 200, (*SIZE, 3))


def scale_rows(array):
    return array * np.linspace(0, 1, array.shape[-3], dtype=np.float32)[:, None, None]


STEPS = {
    fc.Apply: [fc.Apply(scale_rows), fc.Apply(np.copy, p=0.5, per="frame")],
    fc.Blur: [fc.Blur((0, 2)), fc.Blur(1, per="frame")],
    fc.Brightness: [fc.Brightness(0.5), fc.Brightness(0.5, 2, p=0.5, per="frame")],
    fc.ChannelShift: [fc.ChannelShift(40), fc.ChannelShift(9, per="frame")],
    fc.Contrast: [fc.Contrast(0.5), fc.Contrast(0.5, 2, p=0.5, per="frame")],
    fc.Cutout: [fc.Cutout(3, 2), fc.Cutout((2, 4), value=(1, 2, 3), p=0.5, per="frame")],
    fc.FeatureWise: [fc.FeatureWise((9, 8, 7), 3, "float16"), fc.FeatureWise(NUMBERS, NUMBERS + 1)],
    fc.Gamma: [fc.Gamma(0.5, 2), fc.Gamma(0.25, 4, p=0.5, per="frame")],
    fc.GaussianNoise: [fc.GaussianNoise(9), fc.GaussianNoise((0, 5), fixed=True)],
    fc.Grayscale: [fc.Grayscale(), fc.Grayscale(p=0.5, per="frame")],
    fc.Hue: [fc.Hue(90), fc.Hue(9, p=0.5, per="frame")],
    fc.Normalize: [fc.Normalize((0.5, 0.4, 0.3), 0.2), fc.Normalize(0.5, dtype="float16")],
    fc.PerSample: [fc.PerSample(), fc.PerSample("float16")],
    fc.RandomErasing: [fc.RandomErasing(1), fc.RandomErasing(value="random", per="frame")],
    fc.Rescale: [fc.Rescale(), fc.Rescale(1 / 127.5, -1, "float16")],
    fc.SaltAndPepper: [fc.SaltAndPepper(0.1), fc.SaltAndPepper((0, 0.2), fixed=True)],
    fc.Saturation: [fc.Saturation(0.5), fc.Saturation(0, 2, p=0.5, per="frame")],
    fc.SaturationValue: [fc.SaturationValue(), fc.SaturationValue(0.5, 2, per="frame")],
    fc.ZCA: [fc.ZCA(np.eye(NUMBERS.size), NUMBERS)],
}
CASES = [step for steps in STEPS.values() for step in steps]


def test_the_table_holds_every_public_pixel_step():
    public = {getattr(fc, name) for name in fc.__all__}
    steps = {item for item in public if isinstance(item, type) and issubclass(item, PixelStep)}
    assert steps - {fc.PixelStep} == STEPS.keys()
    assert all(type(step) is kind for kind, steps in STEPS.items() for step in steps)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("step", CASES, ids=repr)
def test_conformance(step, channels):
    if channels == 1 and (step.needs_color or type(step) in {fc.FeatureWise, fc.ZCA} or needs_three(step)):
        with pytest.raises(fc.OptionError, match=r"colour|red, green and blue|of 3 channels"):
            check_pixel_step(step, channels=channels, size=SIZE)
    else:
        check_pixel_step(step, channels=channels, size=SIZE)


def needs_three(step):
    return isinstance(step, fc.Normalize) and len(step.mean) == 3


# Steps that break the contract, each in one way


@dataclass(frozen=True)
class Sound(fc.PixelStep):
    """The step that each broken one differs from."""

    amount: float = 3.0
    kind = "frame"
    draws = 1

    def apply(self, frame, draws, number):
        frame += self.amount * draws[0] + number
        return frame


class SoundTable(fc.PixelStep):
    kind = "table"

    def __repr__(self):
        return "SoundTable()"

    def values(self, values, _draws):
        return values + 1


class Remembers(Sound):
    seen = []  # noqa: RUF012 - the fault

    def apply(self, frame, draws, number):
        self.seen.append(number)
        return super().apply(frame, draws, len(self.seen))


class TakesMore(Sound):
    draws = 0


class Widens(Sound):
    def apply(self, frame, draws, number):
        return super().apply(frame, draws, number).astype(np.float64)


class Transposes(Sound):
    def apply(self, frame, draws, number):
        return np.asfortranarray(super().apply(frame, draws, number))


class Divides(Sound):
    def apply(self, frame, draws, _number):
        with np.errstate(divide="ignore"):
            return np.float32(1) / (frame * np.float32(draws[0]))


class HidesOptions(Sound):
    __repr__ = object.__repr__


class HoldsAFile(Sound):
    def __reduce__(self):
        raise TypeError("cannot pickle an open file")


class Forgets(Sound):
    def __reduce__(self):
        return type(self), ()


class Overwrites(SoundTable):
    def values(self, values, _draws):
        values += 1
        return values


class KeepsItsResult(SoundTable):
    def values(self, values, _draws):
        if not hasattr(self, "kept"):
            self.kept = {}
        return self.kept.setdefault((values.shape, values.dtype), values + 100)


class ReturnsAList(SoundTable):
    def values(self, values, _draws):
        return values.tolist()


class ReturnsTheClip(fc.PixelStep):
    kind = "clip"

    def __repr__(self):
        return "ReturnsTheClip()"

    def apply_clip(self, frames, _draws):
        return frames * 2


def test_the_steps_that_the_broken_ones_derive_from_are_sound():
    check_pixel_step(Sound())
    check_pixel_step(replace(Sound(), amount=-2.0), channels=1)
    check_pixel_step(SoundTable())


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Remembers(), r"Remembers\.apply\(\) gave two results for the same input and draws"),
        (TakesMore(), r"TakesMore\.apply\(\) takes more draws than draws=0"),
        (Widens(), r"Widens\.apply\(\) returned float64 \(24, 32, 3\) for float32 .*: must be the same"),
        (Transposes(), r"Transposes\.apply\(\) returned no C-contiguous array"),
        (Divides(), r"Divides\.apply\(\) gave values that are not finite, for draws \[0\.0\]"),
        (HidesOptions(), "HidesOptions: its repr .* holds an address"),
        (HoldsAFile(), "HoldsAFile: does not reach workers: .* cannot pickle an open file"),
        (Forgets(5.0), r"Forgets: its repr is Forgets\(amount=3\.0\) after pickling, .*amount=5\.0\) before"),
        (Overwrites(), r"Overwrites\.values\(\) wrote to its input"),
        (KeepsItsResult(), r"KeepsItsResult\.values\(\) gave two results"),
        (ReturnsAList(), r"ReturnsAList\.values\(\) returned list: must be an array"),
        (ReturnsTheClip(), r"ReturnsTheClip\.apply_clip\(\) returned ndarray: it must overwrite"),
        (3, r"int: must subclass fastclips\.PixelStep"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_step_that_breaks_the_contract(step, said):
    with pytest.raises(AssertionError, match=said):
        check_pixel_step(step)


def test_a_loader_refuses_a_clip_step_that_returns_its_result(frames):
    with (
        fc.ClipLoader(fc.open(frames), fc.Windows(4), [ReturnsTheClip()], batch_size=2, workers=0) as loader,
        pytest.raises(fc.FrameError, match=r"ReturnsTheClip\.apply_clip\(\) returned a value"),
    ):
        next(iter(loader))
