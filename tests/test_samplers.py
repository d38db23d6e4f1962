"""Samplers and draws, against slow versions that are obviously right."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastclips.errors import OptionError
from fastclips.options import checked_int
from fastclips.samplers import Clips, Draws, Purpose, RandomWindow, Windows

relaxed = settings(deadline=None)  # a busy machine is no failure
counts = st.lists(st.integers(0, 60), min_size=1, max_size=12).map(np.array)
small = st.integers(1, 7)


def philox(counter, key):
    """Philox4x64-10 as Salmon et al. (2011) print it."""
    low = 2**64 - 1
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        p, q = 0xD2E7470EE14C6C93 * a, 0xCA5A826395121157 * c
        a, b, c, d = q >> 64 ^ b ^ k0, q & low, p >> 64 ^ d ^ k1, p & low
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & low, (k1 + 0xBB67AE8584CAA73B) & low
    return [a, b, c, d]


def naive_words(seed, epoch, purpose, items, columns):
    return [
        [philox((item, column // 4, epoch, 0), (seed, purpose))[column % 4] for column in range(columns)]
        for item in items
    ]


# Random123's kat_vectors, "philox4x64 10".
KNOWN_ANSWERS = [
    ([0] * 4, [0] * 2, [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]),
    (
        [2**64 - 1] * 4,
        [2**64 - 1] * 2,
        [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0],
    ),
    (
        [0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89],
        [0x452821E638D01377, 0xBE5466CF34E90C6C],
        [0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6],
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_reference_is_philox(counter, key, answer):
    assert philox(counter, key) == answer


def test_known_answer_of_draws():
    assert Draws(0, 0).words(Purpose.ORDER, 0, 1, 4).tolist() == [KNOWN_ANSWERS[0][2]]


def test_golden_draws():
    # If this fails, every user's clips change: do not mend the numbers, mend the stream.
    units = Draws(seed=1234, epoch=5).units(Purpose.RECIPE, 100, 2, 5)
    assert units.tolist() == [
        [0.44583523931166835, 0.4812304259102801, 0.8241109124050027, 0.2271889660338522, 0.7933757479690079],
        [
            0.8880236523190069,
            0.29303631761383253,
            0.3914835393392927,
            0.2925941094426209,
            0.08270908080146233,
        ],
    ]
    assert [Draws(1234, 5).words(purpose, 7, 1, 1)[0, 0] for purpose in Purpose] == [
        15164548847608579634,
        9399866438178696935,
        6109591875197920862,
    ]


@relaxed
@given(
    seed=st.integers(0, 2**64 - 1),
    epoch=st.integers(0, 2**63 - 1),
    purpose=st.sampled_from(Purpose),
    first=st.integers(0, 2**62),
    items=st.integers(0, 5),
    columns=st.integers(0, 11),
)
def test_words_are_philox_of_seed_purpose_epoch_item_column(*, seed, epoch, purpose, first, items, columns):
    words = Draws(seed, epoch).words(purpose, first, items, columns)
    assert words.shape == (items, columns)
    assert words.tolist() == naive_words(seed, epoch, purpose, range(first, first + items), columns)


def test_units_are_uniform():
    units = Draws(3, 1).units(Purpose.RECIPE, 0, 50_000, 8)
    assert units.min() >= 0
    assert units.max() < 1
    histogram, _ = np.histogram(units, bins=100, range=(0, 1))
    expected = units.size / 100
    assert ((histogram - expected) ** 2 / expected).sum() < 160  # chi-square, 99 degrees of freedom
    assert abs(np.corrcoef(units, rowvar=False) - np.eye(8)).max() < 5 / math.sqrt(50_000)
    assert abs(np.corrcoef(units[:-1, 0], units[1:, 0])[0, 1]) < 5 / math.sqrt(50_000)


def test_units_take_the_upper_53_bits(monkeypatch):
    words = np.array([[0, 2**11 - 1, 2**11, 2**63, 2**64 - 1]], np.uint64)
    monkeypatch.setattr(Draws, "words", lambda *_: words)
    assert Draws(0, 0).units(Purpose.RECIPE, 0, 1, 5).tolist() == [[0, 0, 2**-53, 0.5, 1 - 2**-53]]


def naive_windows(frame_counts, time_steps, step, dilation):
    clips = []
    for video, count in enumerate(frame_counts):
        start = 0
        while True:
            frames = [start + dilation * i for i in range(time_steps)]
            if frames[-1] >= count:
                break
            clips.append((video, frames))
            start += step
    return clips


def listed(sampler, clips):
    frames = sampler.frames(clips)
    assert frames.dtype == np.int32
    assert frames.shape == (len(clips), sampler.time_steps)
    assert clips.video.dtype == clips.start.dtype == np.int64
    return list(zip(clips.video.tolist(), frames.tolist(), strict=True))


@relaxed
@given(counts, small, small | st.none(), small)
def test_windows(frame_counts, time_steps, step, dilation):
    sampler = Windows(time_steps, step=step, dilation=dilation)
    clips = sampler.clips(frame_counts, Draws(0, 0))
    span = dilation * (time_steps - 1) + 1
    assert sampler.span == span
    assert listed(sampler, clips) == naive_windows(frame_counts, time_steps, step or span, dilation)


@relaxed
@given(counts, small, small, st.integers(0, 2**64 - 1), st.integers(0, 9))
def test_random_window(frame_counts, time_steps, dilation, seed, epoch):
    sampler = RandomWindow(time_steps, dilation)
    expected = []
    for video, count in enumerate(frame_counts.tolist()):
        if count >= sampler.span:
            [[word]] = naive_words(seed, epoch, Purpose.WINDOW, [video], 1)
            start = math.floor((word >> 11) * 2**-53 * (count - sampler.span + 1))
            expected.append((video, [start + dilation * i for i in range(time_steps)]))
            assert expected[-1][1][-1] < count
    assert listed(sampler, sampler.clips(frame_counts, Draws(seed, epoch))) == expected


@relaxed
@given(st.integers(1, 2**31 - 1))
def test_random_window_stays_inside_at_the_largest_draw(count):
    class Largest(Draws):
        def words(self, purpose, first, items, columns):  # noqa: ARG002 - as the method it stands in for
            return np.full((items, columns), 2**64 - 1, np.uint64)

    assert RandomWindow(1).clips(np.array([count]), Largest(0, 0)).start.tolist() == [count - 1]


def test_random_window_reaches_every_place():
    starts = RandomWindow(4).clips(np.full(2000, 13), Draws(0, 0)).start
    assert np.bincount(starts, minlength=10).min() > 140  # 200 each
    assert len(np.bincount(starts)) == 10


def test_random_window_of_a_video_does_not_depend_on_the_others():
    sampler, draws = RandomWindow(4), Draws(11, 2)
    long = sampler.clips(np.array([50, 60, 70, 80]), draws)
    other = sampler.clips(np.array([90, 60, 1, 80, 5]), draws)
    assert long.start[[1, 3]].tolist() == other.start[[1, 2]].tolist()


def test_rows():
    clips = Clips(np.array([4, 5, 6]), np.array([7, 8, 9])).rows(np.array([2, 0, 0]))
    assert clips.video.tolist() == [6, 4, 4]
    assert clips.start.tolist() == [9, 7, 7]


def test_samplers_say_what_they_are():
    assert repr(Windows(16, dilation=np.int64(2))) == "Windows(time_steps=16, step=31, dilation=2)"
    assert repr(RandomWindow(np.uint8(8))) == "RandomWindow(time_steps=8, dilation=1)"
    assert Windows(4) == Windows(4, step=4)
    assert not Windows(4).varies
    assert RandomWindow(4).varies


@pytest.mark.parametrize("value", [0, -1, True, np.True_, 1.0, "1", None, 2**31, np.arange(2)])
@pytest.mark.parametrize(
    ("knob", "make"),
    [
        ("time_steps", Windows),
        ("dilation", lambda value: Windows(4, dilation=value)),
        ("step", lambda value: Windows(4, step=value)),
        ("time_steps", RandomWindow),
        ("dilation", lambda value: RandomWindow(4, value)),
    ],
)
def test_samplers_refuse(knob, make, value):
    if knob == "step" and value is None:
        return
    with pytest.raises(OptionError) as error:
        make(value)
    assert str(error.value) == f"{knob}={value!r}: must be an integer from 1 to 2147483647"


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3)])
def test_checked_int(value):
    number = checked_int(value, "knob", 3, 4)
    assert number == 3
    assert type(number) is int
