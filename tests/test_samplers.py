"""Samplers, against slow versions that take one video at a time."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastclips.planning.samplers
from fastclips.errors import OptionError
from fastclips.options import checked_int
from fastclips.planning.clips import Clips, ClipSampler, Videos
from fastclips.planning.draws import Draws, Purpose
from fastclips.planning.samplers import RandomWindow, Segments, Views, Windows

small = st.integers(1, 7)
shorts = st.sampled_from(["drop", "pad", "loop"])
rates = st.sampled_from([0.5, 7.0, 10.0, 12.5, 24000 / 1001, 25.0, 30000 / 1001, 30.0, 59.94])


@st.composite
def some_videos(draw):
    counts = draw(st.lists(st.integers(0, 60), min_size=1, max_size=12))
    return Videos(np.array(counts), np.array([draw(rates) for _ in counts]))


def videos_of(*counts, fps=None, names=None):
    return Videos(np.array(counts), None if fps is None else np.array(fps, np.float64), names)


def length_of(count, rate, fps):
    """Return the positions of a video."""
    if fps is None or count == 0:
        return count
    return max(math.ceil(count * fps / rate - 1e-6), 1)


def naive_clip(sampler, start, count, rate):
    """List the frames of the clip that begins at a position, step by step."""
    length, frames, padded = length_of(count, rate, sampler.fps), [], False
    for step in range(sampler.time_steps):
        position = start + step * sampler.dilation
        loops = sampler.short == "loop" and length < sampler.span
        if position >= length and not loops:
            if not padded:
                frames.append(~frames[-1])
                padded = True
            else:
                frames.append(frames[-1])
            continue
        frame = position if sampler.fps is None else math.floor(position * rate / sampler.fps + 1e-6)
        frames.append(frame % count if loops else min(frame, count - 1))
    return frames


def naive(sampler, videos, starts):
    """List (video, view, frames) of all clips; `starts` takes a video and its positions."""
    clips = []
    for video, count in enumerate(videos.frame_counts.tolist()):
        rate = None if videos.fps is None else float(videos.fps[video])
        length = length_of(count, rate, sampler.fps)
        if length >= sampler.span:
            begins = starts(video, length)
        elif count and sampler.short != "drop":
            begins = [0] * (sampler.temporal if isinstance(sampler, Views) else 1)
        else:
            begins = []
        views = range(len(begins)) if isinstance(sampler, Views) else [0] * len(begins)
        clips += [
            (video, view, naive_clip(sampler, start, count, rate))
            for view, start in zip(views, begins, strict=True)
        ]
    return clips


def listed(sampler, videos, draws=None):
    clips = sampler.clips(videos, draws or Draws(0, 0))
    assert isinstance(sampler, ClipSampler)
    assert clips.video.dtype == clips.start.dtype == clips.view.dtype == np.int64
    frames = sampler.frames(clips, videos)
    assert frames.dtype == np.int32
    assert frames.shape == (len(clips), sampler.time_steps)
    shown = np.where(frames < 0, ~frames, frames)
    assert (shown < videos.frame_counts[clips.video][:, None]).all()
    assert sampler.pads or (frames >= 0).all()
    backwards = np.arange(len(clips))[::-1]
    assert (sampler.frames(clips.rows(backwards), videos) == frames[::-1]).all()
    return list(zip(clips.video.tolist(), clips.view.tolist(), frames.tolist(), strict=True))


@pytest.mark.slow
@given(
    videos=some_videos(),
    time_steps=small,
    step=small | st.none(),
    dilation=small,
    fps=rates | st.none(),
    tail=st.sampled_from(["drop", "pad"]),
    short=shorts,
)
def test_windows(*, videos, time_steps, step, dilation, fps, tail, short):
    sampler = Windows(time_steps, step=step, dilation=dilation, fps=fps, tail=tail, short=short)
    span = dilation * (time_steps - 1) + 1
    assert sampler.span == span

    def starts(_, length):
        begins = []
        while (begins or [0])[-1] + span <= length:
            begins.append(begins[-1] + sampler.step if begins else 0)
        following = begins.pop() if begins[-1] + span > length else begins[-1] + sampler.step
        uncovered = begins[-1] + span < length
        return [*begins, following] if tail == "pad" and uncovered and following < length else begins

    assert listed(sampler, videos) == naive(sampler, videos, starts)


@given(some_videos(), small, small, rates | st.none(), shorts, st.integers(0, 2**64 - 1), st.integers(0, 9))
def test_random_window(videos, time_steps, dilation, fps, short, seed, epoch):
    sampler = RandomWindow(time_steps, dilation, fps=fps, short=short)
    draws = Draws(seed, epoch)

    def starts(video, length):
        unit = draws.units(Purpose.WINDOW, video, 1, 1)[0, 0]
        return [math.floor(unit * (length - sampler.span + 1))]

    assert listed(sampler, videos, draws) == naive(sampler, videos, starts)


@given(some_videos(), small, small, st.integers(1, 6), rates | st.none(), shorts)
def test_views(videos, time_steps, dilation, temporal, fps, short):
    sampler = Views(time_steps, dilation, temporal, fps=fps, short=short)

    def starts(_, length):
        room = length - sampler.span
        exact = [Fraction(view * room, temporal - 1) for view in range(temporal)] if temporal > 1 else []
        return [math.ceil(place - Fraction(1, 2)) for place in exact or [Fraction(room, 2)]]

    assert listed(sampler, videos) == naive(sampler, videos, starts)


@given(
    videos=some_videos(),
    n=small,
    jitter=st.booleans(),
    views=st.integers(1, 3),
    short=shorts,
    seed=st.integers(0, 2**64 - 1),
    piece=st.integers(1, 40),
)
def test_segments(*, videos, n, jitter, views, short, seed, piece):
    sampler, draws = Segments(n, jitter=jitter, views=views, short=short), Draws(seed, 2)
    expected = []
    for video, count in enumerate(videos.frame_counts.tolist()):
        for view in range(views):
            if count >= n:
                places = [Fraction(2 * view + 1, 2 * views)] * n
                if jitter:
                    units = draws.units(Purpose.WINDOW, video, 1, n * views)[0]
                    places = [Fraction(float(unit)) for unit in units[view * n : (view + 1) * n]]
                frames = [math.floor((part + place) * count / n) for part, place in enumerate(places)]
            elif count and short == "pad":
                frames = [*range(count), *[~(count - 1)] * (n - count)]
            elif count and short == "loop":
                frames = [step % count for step in range(n)]
            else:
                continue
            expected.append((video, view, frames))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fastclips.planning.samplers, "_DRAWN", piece)
        assert listed(sampler, videos, draws) == expected


class Largest(Draws):
    def words(self, purpose, first, items, columns):  # noqa: ARG002 - as the method it stands in for
        return np.full((items, columns), 2**64 - 1, np.uint64)


@given(st.integers(1, 2**31 - 1), st.integers(1, 40))
def test_the_largest_draw_stays_inside(count, n):
    videos = videos_of(count)
    assert RandomWindow(1).clips(videos, Largest(0, 0)).start.tolist() == [count - 1]
    if count >= n:
        sampler = Segments(n)
        frames = sampler.frames(sampler.clips(videos, Largest(0, 0)), videos)
        assert frames.tolist() == [[math.ceil(Fraction((part + 1) * count, n)) - 1 for part in range(n)]]


def test_random_window_reaches_every_place():
    starts = RandomWindow(4).clips(Videos(np.full(2000, 13)), Draws(0, 0)).start
    assert np.bincount(starts, minlength=10).min() > 140  # 200 each
    assert len(np.bincount(starts)) == 10


def test_segments_reach_every_frame_of_their_part():
    sampler, videos = Segments(2), Videos(np.full(2000, 20))
    frames = sampler.frames(sampler.clips(videos, Draws(0, 0)), videos)
    for part in (0, 1):
        seen = np.bincount(frames[:, part], minlength=20)
        assert seen[10 * part : 10 * part + 10].min() > 140  # 200 each
        assert seen.sum() == seen[10 * part : 10 * part + 10].sum()


@pytest.mark.parametrize("sampler", [RandomWindow(4), Segments(4), Segments(3, views=2)])
def test_draws_of_a_video_do_not_depend_on_the_others(sampler):
    draws = Draws(11, 2)
    long, other = videos_of(50, 60, 70, 80), videos_of(90, 60, 0, 80, 5)
    of_long, of_other = (listed(sampler, some, draws) for some in (long, other))
    for video in (1, 3):
        assert [row for row in of_long if row[0] == video] == [row for row in of_other if row[0] == video]


@pytest.mark.parametrize(
    ("sampler", "count", "frames"),
    [
        (Windows(4, step=2, tail="pad"), 7, [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, ~6]]),
        (Windows(2, step=4, dilation=3, tail="pad"), 5, [[0, 3], [4, ~4]]),
        (Windows(2, step=5, tail="pad"), 5, [[0, 1]]),  # nothing is left to begin another
        (Windows(4, dilation=2, short="pad"), 6, [[0, 2, 4, ~4]]),
        (Windows(4, dilation=2, short="loop"), 5, [[0, 2, 4, 1]]),
        (Windows(4, short="pad", tail="pad"), 1, [[0, ~0, ~0, ~0]]),
        (Views(2, temporal=3), 7, [[0, 1], [2, 3], [5, 6]]),  # 2.5 goes down
        (Views(2, temporal=1), 7, [[2, 3]]),
        (Views(3, temporal=2, short="pad"), 2, [[0, 1, ~1]] * 2),
        (Segments(3, jitter=False), 10, [[1, 5, 8]]),
        (Segments(2, jitter=False, views=2), 8, [[1, 5], [3, 7]]),
        (Segments(3), 2, [[0, 1, ~1]]),
        (Windows(3, fps=10), 9, [[0, 3, 6]]),
        (Windows(3, fps=60), 3, [[0, 0, 1], [1, 2, 2]]),
        (Windows(4, fps=10, short="loop"), 8, [[0, 3, 6, 1]]),  # time goes on: frame 9 is 1 again
    ],
)
def test_examples(sampler, count, frames):
    assert [row[2] for row in listed(sampler, videos_of(count, fps=[30]))] == frames


def test_frames_by_time_where_division_rounds():
    videos = videos_of(300, fps=[30000 / 1001])
    same = Windows(300, fps=30000 / 1001)
    assert listed(same, videos) == [(0, 0, list(range(300)))]


def test_positions_where_division_rounds():
    videos = videos_of(27, fps=[29.97])  # 27 * 9.99 / 29.97 is 9.000000000000002
    assert listed(Windows(9, fps=9.99), videos) == [(0, 0, list(range(0, 27, 3)))]
    assert not listed(Windows(10, fps=9.99), videos)


def test_extreme_rates():
    assert listed(Windows(1, fps=1e-6), videos_of(3, 0, fps=[30, 30])) == [(0, 0, [0])]
    last = Views(1, temporal=2, fps=1e7)  # 1e-6 after the last position lies the video's end
    assert listed(last, videos_of(2, fps=[1])) == [(0, 0, [0]), (0, 1, [1])]


def test_rows():
    clips = Clips(np.array([4, 5, 6]), np.array([7, 8, 9]), np.array([1, 2, 3])).rows(np.array([2, 0, 0]))
    assert clips.video.tolist() == [6, 4, 4]
    assert clips.start.tolist() == [9, 7, 7]
    assert clips.view.tolist() == [3, 1, 1]


def test_samplers_say_what_they_are():
    assert repr(Windows(16, dilation=np.int64(2), fps=np.float32(12.5))) == (
        "Windows(time_steps=16, step=31, dilation=2, fps=12.5, tail='drop', short='drop')"
    )
    assert repr(RandomWindow(np.uint8(8))) == "RandomWindow(time_steps=8, dilation=1, fps=None, short='drop')"
    assert repr(Views(8, temporal=np.int8(3), fps=8)) == (
        "Views(time_steps=8, dilation=1, temporal=3, fps=8.0, short='drop')"
    )
    assert repr(Segments(np.int8(8), jitter=np.True_)) == "Segments(n=8, jitter=True, views=1, short='pad')"
    assert Windows(4) == Windows(4, step=4)
    assert Segments(4).time_steps == 4


@pytest.mark.parametrize(
    ("sampler", "varies", "pads"),
    [
        (Windows(4), False, False),
        (Windows(4, tail="pad"), False, True),
        (Windows(4, short="pad"), False, True),
        (RandomWindow(4, short="loop"), True, False),
        (RandomWindow(4, short="pad"), True, True),
        (Views(4), False, False),
        (Segments(4), True, True),
        (Segments(4, jitter=False, short="drop"), False, False),
    ],
)
def test_what_samplers_may_do(sampler, varies, pads):
    assert (sampler.varies, sampler.pads) == (varies, pads)


@pytest.mark.parametrize("value", [0, -1, True, np.True_, 1.0, "1", None, 2**31, np.arange(2)])
@pytest.mark.parametrize(
    ("knob", "make"),
    [
        ("time_steps", Windows),
        ("dilation", lambda value: Windows(4, dilation=value)),
        ("step", lambda value: Windows(4, step=value)),
        ("time_steps", RandomWindow),
        ("dilation", lambda value: RandomWindow(4, value)),
        ("time_steps", Views),
        ("temporal", lambda value: Views(4, temporal=value)),
        ("n", Segments),
        ("views", lambda value: Segments(4, views=value)),
    ],
)
def test_samplers_refuse(knob, make, value):
    if knob == "step" and value is None:
        return
    with pytest.raises(OptionError) as error:
        make(value)
    most = 2**20 - 1 if knob in ("time_steps", "n") else 2**31 - 1
    assert str(error.value) == f"{knob}={value!r}: must be an integer from 1 to {most}"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Windows(4, short="skip"), "short='skip': must be one of 'drop', 'pad', 'loop', 'error'"),
        (lambda: Segments(4, short=None), "short=None: must be one of 'drop', 'pad', 'loop', 'error'"),
        (lambda: Windows(4, tail="loop"), "tail='loop': must be one of 'drop', 'pad'"),
        (lambda: Segments(4, jitter=1), "jitter=1: must be True or False"),
        (
            lambda: Segments(2**16, views=2**15),
            "n * views=2147483648: must be an integer from 1 to 2147483647",
        ),
        *(
            (
                lambda make=make, fps=fps: make(4, fps=fps),
                f"fps={fps!r}: must be a number of frames per second, from 1e-09 to 1e+09",
            )
            for make in (Windows, RandomWindow, Views)
            for fps in (0, -1.0, math.nan, math.inf, "10", True, 1e10)
        ),
    ],
)
def test_samplers_refuse_options(make, message):
    with pytest.raises(OptionError) as error:
        make()
    assert str(error.value) == message


@pytest.mark.parametrize("sampler", [Windows(4, fps=10), RandomWindow(4, fps=10), Views(4, fps=10)])
@pytest.mark.parametrize(
    ("videos", "message"),
    [
        (
            videos_of(9),
            (
                "fps=10.0: needs the frames per second of each video; open a list of videos with a column "
                "fps, or leave fps= out"
            ),
        ),
        *(
            (
                videos_of(9, 9, fps=[25, rate], names=["a/v", "b/v"]),
                (
                    f"fps=10.0: video 'b/v' has fps {float(rate)}; "
                    'the column "fps" must have a positive number for each video'
                ),
            )
            for rate in (math.nan, 0, -1, math.inf)
        ),
        (
            videos_of(9, 2**30, fps=[1, 2]),
            (
                "fps=10.0: must be lower, so that a video has fewer than 2147483648 positions; video 1 has "
                "1073741824 frames at 2.0 per second"
            ),
        ),
    ],
)
def test_fps_needs_the_rate_of_each_video(sampler, videos, message):
    with pytest.raises(OptionError) as error:
        sampler.clips(videos, Draws(0, 0))
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("sampler", "needed", "short"),
    [
        (Windows(4, dilation=2, short="error"), "7 frames", 2),
        (RandomWindow(8, short="error"), "8 frames", 3),
        (Views(3, short="error", fps=10), "0.3 seconds", 2),
        (Segments(5, short="error"), "5 frames", 2),
    ],
)
def test_short_videos_as_an_error(sampler, needed, short):
    counts, names = [9, 4, 7, 0], ["a", "b", "c", "d"]
    few = {2: "'b', 'd'", 3: "'b', 'c', 'd'"}[short]
    with pytest.raises(OptionError) as error:
        sampler.clips(videos_of(*counts, fps=[30] * 4, names=names), Draws(0, 0))
    assert str(error.value) == (
        f"{short} of 4 videos are shorter than the {needed} a clip spans: {few}; "
        'leave them out, or pass short="drop", "pad" or "loop"'
    )
    assert len(sampler.clips(videos_of(9, fps=[9]), Draws(0, 0)))


def test_many_short_videos_are_named_by_number():
    with pytest.raises(OptionError, match=r"^9 of 9 .* spans: 0, 1, 2, 3, 4, \.\.\.; leave"):
        Windows(4, short="error").clips(Videos(np.full(9, 3)), Draws(0, 0))


@pytest.mark.parametrize(
    ("sampler", "news"),
    [
        (Windows(4), "2 of 3 videos are shorter than the 4 frames a clip spans and give no clip"),
        (
            Windows(4, short="pad"),
            (
                "1 of 3 videos are shorter than the 4 frames a clip spans and are padded; "
                "1 of 3 videos have no frames and give no clip"
            ),
        ),
        (
            RandomWindow(31, short="loop", fps=10),
            (
                "2 of 3 videos are shorter than the 3.1 seconds a clip spans and are looped; "
                "1 of 3 videos have no frames and give no clip"
            ),
        ),
        (Segments(1), "1 of 3 videos have no frames and give no clip"),
        (Views(1), "1 of 3 videos are shorter than the 1 frames a clip spans and give no clip"),
    ],
)
def test_shortage(sampler, news):
    assert sampler.shortage(videos_of(90, 3, 0, fps=[30, 30, 30])) == news
    assert sampler.shortage(videos_of(93, fps=[30])) == ""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: videos_of(fps=[]),
            "frame_counts of shape (0,) and type float64: must be integers, one per video",
        ),
        (
            lambda: videos_of(4, -2),
            "frame_counts[1]=-2: must be a number of frames, from 0 to 2147483647",
        ),
        (
            lambda: videos_of(4, fps=[25, 30]),
            "fps of shape (2,) and type float64: must be numbers, one for each of 1 videos",
        ),
        (
            lambda: Videos(np.array([4]), np.array(["25"])),
            "fps of shape (1,) and type <U2: must be numbers, one for each of 1 videos",
        ),
        (lambda: videos_of(4, names=["a", "b"]), "2 names: must be one for each of 1 videos"),
    ],
)
def test_videos_refuse(make, message):
    with pytest.raises(OptionError) as error:
        make()
    assert str(error.value) == message


def test_videos_keep_what_nobody_changes():
    counts, fps = np.array([4, 5]), np.array([25, 30], np.float32)
    videos = Videos(counts, fps)
    counts[0] = fps[0] = 0
    assert videos.frame_counts.tolist() == [4, 5]
    assert videos.fps.tolist() == [25, 30]
    assert videos.fps.dtype == np.float64
    counts.flags.writeable = False
    assert Videos(counts).frame_counts is counts


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3)])
def test_checked_int(value):
    number = checked_int(value, "knob", 3, 4)
    assert number == 3
    assert type(number) is int
