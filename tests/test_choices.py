"""Frame choices against loops over clips; the plan that follows them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastclips as fc
from fastclips.errors import OptionError
from fastclips.planning.choices import FrameChoice, FrameDrop, Reverse, SpeedJitter, split_choices
from fastclips.planning.plan import Plan
from fastclips.planning.samplers import RandomWindow, Segments, Windows

UNITS = st.floats(0, 1, exclude_max=True, width=32)


@st.composite
def cases(draw):
    """Frames of some clips as samplers give them, the last ones perhaps padded, and frame counts."""
    steps, clips = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    frames, counts = [], []
    for _ in range(clips):
        count = draw(st.integers(1, 40))
        row = sorted(draw(st.lists(st.integers(0, count - 1), min_size=steps, max_size=steps)))
        padded = draw(st.integers(0, steps - 1))
        row[steps - padded :] = [~row[steps - padded - 1]] * padded
        frames.append(row)
        counts.append(count)
    return np.array(frames, np.int32), np.array(counts)


def units_for(data, choice, frames):
    shape = len(frames), choice.choice_draws(frames.shape[1])
    numbers = data.draw(st.lists(UNITS, min_size=math.prod(shape), max_size=math.prod(shape)))
    return np.array(numbers, np.float64).reshape(shape)


def slow_reverse(frames, units, _, p):
    return frames[::-1] if units[0] < p else frames


def slow_drop(frames, units, _, p):
    shown = frames[:1]
    for frame, unit in zip(frames[1:], units, strict=True):
        shown.append(shown[-1] if unit < p else frame)
    return shown


def slow_jitter(frames, units, count, low, high):
    factor = low * math.exp(units[0] * math.log(high / low))
    plain = [~frame if frame < 0 else frame for frame in frames]
    moved = [plain[0] + math.floor((frame - plain[0]) * factor + 0.5) for frame in plain]
    shift = 0
    if max(moved) > count - 1:
        shift = count - 1 - max(moved)
    elif min(moved) < 0:
        shift = -min(moved)
    moved = [min(max(frame + shift, 0), count - 1) for frame in moved]
    return [~new if old < 0 else new for old, new in zip(frames, moved, strict=True)]


CHOICES = [
    (Reverse(0.5), lambda *clip: slow_reverse(*clip, 0.5)),
    (FrameDrop(0.3), lambda *clip: slow_drop(*clip, 0.3)),
    (SpeedJitter(0.5, 3), lambda *clip: slow_jitter(*clip, 0.5, 3)),
]


@settings(max_examples=60)
@given(cases(), st.data(), st.booleans())
@pytest.mark.parametrize(("choice", "slowly"), CHOICES)
def test_choices_agree_with_a_loop(choice, slowly, case, data, backwards):
    frames, counts = case
    if backwards:
        frames = frames[:, ::-1]
    units = units_for(data, choice, frames)
    found = choice.choose(frames, units, counts)
    assert found.dtype == np.int32
    expected = [slowly(f.tolist(), u.tolist(), int(c)) for f, u, c in zip(frames, units, counts, strict=True)]
    assert found.tolist() == expected
    assert isinstance(choice, FrameChoice)


@pytest.mark.parametrize("sampler", [Windows(4, 2, tail="pad"), RandomWindow(4, 2), Segments(5)])
def test_the_plan_follows_choices_everywhere(sampler):
    choices = [Reverse(0.5), FrameDrop(0.2), SpeedJitter(0.5, 2)]
    options = {"draws": 3, "batch_size": 3, "shuffle": True, "seed": 2}
    plan, plain = (Plan([17, 9, 30], sampler, choices=some, **options) for some in (choices, ()))
    served = np.concatenate([plan.clips(4, batch).frames for batch in range(len(plan))])
    np.testing.assert_array_equal(plan.frames(4), served)
    first = plan.frames(4)[:, 0]
    np.testing.assert_array_equal(plan.table(4)["start"], np.where(first < 0, ~first, first))
    assert not np.array_equal(plan.frames(4), plain.frames(4))
    for batch in range(len(plan)):  # nothing else is drawn otherwise
        for name in ("video", "draws", "position"):
            changed, same = (getattr(some.clips(4, batch), name) for some in (plan, plain))
            np.testing.assert_array_equal(changed, same)
    assert plan.fingerprint != plain.fingerprint


def test_ranks_and_batch_sizes_change_no_choice():
    def frames(**options):
        plan = Plan([40] * 6, Windows(4), draws=0, choices=[Reverse(), SpeedJitter(0.5, 2)], **options)
        return {
            int(p): row.tolist() for p, row in zip(plan.table(0)["position"], plan.frames(0), strict=True)
        }

    whole = frames(batch_size=7)
    for rank in range(3):
        for position, row in frames(batch_size=2, rank=rank, world=3).items():
            assert whole.get(position, row) == row


def test_shares_are_as_asked():
    plan = Plan([16] * 400, Windows(16), draws=0, batch_size=50, choices=[Reverse(0.25)])
    assert abs(np.mean(plan.frames(0)[:, 0] > 0) - 0.25) < 0.06
    plan = Plan([16] * 400, Windows(16), draws=0, batch_size=50, choices=[FrameDrop(0.25)])
    assert abs(np.mean(np.diff(plan.frames(0), axis=1) == 0) - 0.25) < 0.02
    assert (plan.frames(0)[:, 0] == 0).all()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Reverse(2), "Reverse's p=2: must be a number from 0 to 1"),
        (lambda: FrameDrop("0.1"), "FrameDrop's p='0.1': must be a number from 0 to 1"),
        (lambda: FrameDrop(True), "FrameDrop's p=True: must be a number from 0 to 1"),
        (lambda: SpeedJitter(0, 2), "SpeedJitter's low=0: must be a number from 0.015625 to 64"),
        (lambda: SpeedJitter(1, 65), "SpeedJitter's high=65: must be a number from .* to 64.*"),
        (lambda: SpeedJitter(2, 1), r"SpeedJitter's low=2.0: must not be above high=1.0"),
    ],
)
def test_refused(make, text):
    with pytest.raises(OptionError, match=text):
        make()


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_show_what_the_table_says(workers):
    images = np.arange(3 * 12, dtype=np.uint8).reshape(3, 12, 1, 1, 1) * np.ones((1, 1, 8, 8, 3), np.uint8)
    labels = np.arange(3 * 12).reshape(3, 12)
    choices = [fc.Reverse(0.5), fc.CenterCrop(4), fc.SpeedJitter(0.5, 2), fc.FrameDrop(0.2), fc.RandomFlip()]
    data = fc.open(images=images, labels=labels)
    with fc.ClipLoader(data, fc.RandomWindow(5), choices, batch_size=2, workers=workers, seed=1) as loader:
        for epoch in range(3):
            table = loader.plan_table(epoch)
            frames, videos = table["frames"], table["video"]
            x, y = (np.concatenate(arrays) for arrays in zip(*loader.epoch(epoch), strict=True))
            np.testing.assert_array_equal(x[:, :, 0, 0, 0], 12 * videos[:, None] + frames)
            np.testing.assert_array_equal(y, labels[videos[:, None], frames])


def test_transforms_that_are_no_list():
    with pytest.raises(OptionError, match=r"transforms=3: must be a list, as in \[RandomCrop\(224\)\]"):
        split_choices(3)
