"""The plan, against slow versions that are obviously right."""

from __future__ import annotations

import doctest
import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slow_plan import all_batches, by_row, content, naive_epoch, naive_positions, plan_options

import fastclips.planning.plan
from fastclips.errors import OptionError
from fastclips.planning.clips import Videos
from fastclips.planning.draws import Draws, Purpose
from fastclips.planning.plan import Plan, PlannedClips
from fastclips.planning.samplers import RandomWindow, Windows


@pytest.mark.slow
@given(plan_options(), st.integers(0, 3), st.integers(1, 6), st.integers(1, 5), st.booleans())
def test_plan_is_the_naive_plan(given_options, epoch, batch_size, world, drop_last):
    expected = naive_epoch(**given_options, epoch=epoch)
    runs = naive_positions(len(expected), batch_size, world, drop_last)
    sampler, columns, seed = (given_options[name] for name in ("sampler", "draws", "seed"))
    for rank in range(world):
        arguments = {
            **given_options,
            "batch_size": batch_size,
            "drop_last": drop_last,
            "rank": rank,
            "world": world,
        }
        if not runs[rank]:
            with pytest.raises(OptionError, match="drop_last=True leaves no batch"):
                Plan(**arguments)
            continue
        plan = Plan(**arguments)
        assert len(plan) == len(runs[rank])
        assert plan.clips_per_epoch == len(expected)
        assert plan.rows_per_epoch == sum(map(len, runs[rank]))
        for clips, run in zip(all_batches(plan, epoch), runs[rank], strict=True):
            assert clips.epoch == epoch
            assert [column.dtype.str for column in clips[1:]] == ["<i8", "<i8", "<i8", "<f8", "<i4", "|b1"]
            assert clips.frames.shape == (len(run), sampler.time_steps)
            for row, position in zip(by_row(clips), run, strict=True):
                video, _, view, frames = expected[position % len(expected)]
                own = Draws(seed, epoch).units(Purpose.RECIPE, position, 1, columns)[0]
                assert row == (position, position >= len(expected), (video, view, own.tolist(), frames))


@given(plan_options(), st.integers(0, 3), st.integers(1, 6), st.integers(1, 5), st.booleans())
def test_ranks_share_an_epoch(given_options, epoch, batch_size, world, drop_last):
    try:
        plans = [
            Plan(**given_options, batch_size=batch_size, drop_last=drop_last, rank=rank, world=world)
            for rank in range(world)
        ]
    except OptionError:
        assert drop_last
        return
    sizes = [[len(clips.video) for clips in all_batches(plan, epoch)] for plan in plans]
    assert all(size == sizes[0] for size in sizes)
    tables = [plan.table(epoch) for plan in plans]
    positions = np.concatenate([table["position"] for table in tables])
    padding = np.concatenate([table["padding"] for table in tables])
    clips = plans[0].clips_per_epoch
    assert len(set(positions.tolist())) == len(positions)
    if drop_last:
        assert not padding.any()
        assert sorted(positions) == list(range(clips - clips % (world * batch_size)))
        assert set(sizes[0]) == {batch_size}
    else:
        assert padding.sum() < world
        assert sorted(positions[~padding]) == list(range(clips))
        served = [row for table in tables for row in served_clips(table)]
        expected = naive_epoch(**given_options, epoch=epoch)
        assert sorted(served) == sorted((video, view, frames[0]) for video, view, _, frames in expected)


def served_clips(table):
    real = ~table["padding"]
    return list(zip(*(table[name][real].tolist() for name in ("video", "view", "start")), strict=True))


@pytest.mark.slow
@given(plan_options(), st.integers(1, 6), st.integers(1, 5))
def test_table_is_the_batches(given_options, batch_size, world):
    plans = [Plan(**given_options, batch_size=batch_size, rank=rank, world=world) for rank in range(world)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fastclips.planning.plan, "_BLOCK", 3)
        for rank, plan in enumerate(plans):
            columns = zip(*(clips[1:] for clips in all_batches(plan, 1)), strict=True)
            clips = PlannedClips(1, *map(np.concatenate, columns))
            for table in (plan.table(1), plans[0].table(1, rank)):
                assert table["position"].tolist() == clips.position.tolist()
                assert table["video"].tolist() == clips.video.tolist()
                assert table["start"].tolist() == clips.frames[:, 0].tolist()
                assert (table["view"] % plan.views).tolist() == clips.view.tolist()
                assert table["padding"].tolist() == clips.padding.tolist()
            for frames in (plan.frames(1), plans[0].frames(1, rank)):
                assert frames.dtype == np.int32
                assert frames.tolist() == clips.frames.tolist()


@pytest.mark.slow
@given(plan_options(), st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))
def test_a_clip_does_not_depend_on_how_the_epoch_is_cut(given_options, batch_size, other_size, world):
    whole = {}
    for clips in all_batches(Plan(**given_options, batch_size=batch_size), 2):
        whole |= {position: row for position, _, row in by_row(clips)}
    for rank in range(world):
        plan = Plan(**given_options, batch_size=other_size, rank=rank, world=world)
        for clips in all_batches(plan, 2):
            for position, padding, row in by_row(clips):
                assert padding or row == whole[position]


@pytest.mark.slow
@given(plan_options(), st.randoms(use_true_random=False))
def test_random_access_equals_sequential(given_options, random):
    plan = Plan(**given_options, batch_size=2)
    places = [(epoch, batch) for epoch in range(4) for batch in range(len(plan))]
    in_order = {place: content(plan.clips(*place)) for place in places}
    random.shuffle(places)
    fresh = Plan(**given_options, batch_size=2)
    for place in places:
        assert content(fresh.clips(*place)) == in_order[place]


@pytest.mark.slow
@given(plan_options(), st.integers(1, 4), st.integers(1, 3), st.integers(1, 9))
def test_a_run_is_its_batches(given_options, batch_size, world, most):
    for rank in range(world):
        plan = Plan(**given_options, batch_size=batch_size, rank=rank, world=world)
        for first in range(len(plan)):
            alone = [by_row(plan.clips(1, number)) for number in range(first, min(first + most, len(plan)))]
            assert by_row(plan.clips(1, first, most)) == [row for batch in alone for row in batch]


def shuffled(**changed):
    arguments = {"draws": 3, "batch_size": 50, "shuffle": True, "seed": 5} | changed
    return Plan(np.full(100, 40), arguments.pop("sampler", RandomWindow(4)), **arguments)


def test_epochs_and_seeds_differ_and_repeat():
    plan = shuffled()
    first, second = plan.clips(0, 0), plan.clips(1, 0)
    for name in ("video", "frames", "draws"):
        assert (getattr(first, name) != getattr(second, name)).any()
    assert (first.video != shuffled(seed=6).clips(0, 0).video).any()
    assert content(first) == content(shuffled().clips(0, 0))


def test_extreme_seeds_and_epochs():
    plan = shuffled(seed=2**64 - 1)
    assert plan.clips(2**63 - 1, 1).epoch == 2**63 - 1


def test_golden_plan():
    # If this fails, every user's batches change: do not mend the numbers, mend the plan.
    plan = Plan([40, 3, 25, 9], RandomWindow(3, dilation=2), draws=2, batch_size=2, shuffle=True, seed=1234)
    clips = plan.clips(7, 0, len(plan))
    assert clips.video.tolist() == [3, 2, 0]
    assert clips.frames.tolist() == [[4, 6, 8], [9, 11, 13], [22, 24, 26]]
    assert clips.draws.tolist() == [
        [0.33818636680971526, 0.37080871748557176],
        [0.5563245148458794, 0.9069453224911497],
        [0.8535373637945111, 0.816420586950307],
    ]
    assert plan.fingerprint == "b91935343f51dec1"
    windows = Plan([20], Windows(2), draws=0, batch_size=10, shuffle=True)
    assert (windows.clips(0, 0).frames[:, 0] // 2).tolist() == [1, 0, 6, 3, 5, 9, 8, 2, 4, 7]


def test_each_clip_is_as_likely_at_each_place():
    plan = Plan([8], Windows(1), draws=0, batch_size=8, shuffle=True)
    seen = np.zeros((8, 8))
    for epoch in range(4000):
        seen[np.arange(8), plan.table(epoch)["start"]] += 1
    assert ((seen - 500) ** 2 / 500).sum() < 90  # chi-square, 49 degrees of freedom


def test_windows_are_cut_once_and_two_epochs_are_kept(monkeypatch):
    calls = []
    for sampler in (Windows, RandomWindow):
        original = sampler.clips

        def counted(self, videos, draws, original=original):
            calls.append(draws.epoch)
            return original(self, videos, draws)

        monkeypatch.setattr(sampler, "clips", counted)
    plan = shuffled(sampler=Windows(4))
    for epoch in range(3):
        plan.clips(epoch, 0)
    assert calls == [0]
    plan = shuffled()
    calls.clear()
    for epoch in (4, 5, 4, 5, 4, 6, 5, 6, 4):
        plan.clips(epoch, 0)
    assert calls == [4, 5, 6, 4]


def test_caller_may_change_the_frame_counts_afterwards():
    frame_counts = np.array([9, 9])
    plan = Plan(frame_counts, RandomWindow(3), draws=0, batch_size=2)
    before = content(plan.clips(3, 0))
    frame_counts[:] = 3
    assert content(plan.clips(3, 0)) == before


def test_fingerprint():
    videos = Videos(np.array([9, 12]), np.array([25.0, 25.0]))
    arguments = {
        "videos": videos,
        "sampler": Windows(3),
        "draws": 2,
        "batch_size": 2,
        "views": 1,
        "weights": [1, 2],
        "shuffle": True,
        "drop_last": False,
        "seed": 0,
        "world": 1,
    }
    changes = [
        {"videos": Videos(np.array([9, 13]), videos.fps)},
        {"videos": Videos(videos.frame_counts, np.array([25.0, 30.0]))},
        {"videos": videos.frame_counts},
        {"sampler": Windows(3, step=2)},
        {"sampler": Windows(3, tail="pad")},
        {"batch_size": 1},
        {"views": 3},
        {"weights": [1, 3]},
        {"weights": None},
        {"weights": None, "shuffle": False},
        {"weights": None, "interleave": 1},
        {"weights": None, "interleave": 2},
        {"weights": None, "shuffle": False, "interleave": 2},
        {"drop_last": True},
        {"seed": 1},
        {"world": 2},
    ]
    prints = [Plan(**(arguments | changed)).fingerprint for changed in changes]
    prints.append(Plan(**arguments).fingerprint)
    assert len(set(prints)) == len(prints)
    assert all(len(text) == 16 for text in prints)
    same = {
        "videos": Videos(np.array([9, 12], np.uint8), np.float32([25, 25]), ["a", "b"]),
        "sampler": Windows(3, step=3),
        "weights": [0.5, 1.0],
    }
    assert Plan(**(arguments | same)).fingerprint == prints[-1]
    assert Plan(**(arguments | {"world": 2, "rank": 1})).fingerprint == prints[-2]


@pytest.mark.parametrize(
    ("short", "fate"),
    [
        ("drop", "3 of 120 videos are shorter than the 16 frames a clip spans and give no clip"),
        (
            "pad",
            (
                "2 of 120 videos are shorter than the 16 frames a clip spans and are padded; "
                "1 of 120 videos have no frames and give no clip"
            ),
        ),
    ],
)
def test_short_videos_are_counted(caplog, short, fate):
    for rank in (0, 1):
        Plan([20] * 117 + [15, 3, 0], Windows(16, short=short), draws=0, batch_size=1, rank=rank, world=2)
    assert caplog.messages == [fate]
    assert caplog.records[0].levelno == logging.WARNING


def test_no_news_when_no_video_is_short(caplog):
    shuffled()
    assert not caplog.messages


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 0}, "batch_size=0: must be an integer from 1 to 2147483647"),
        ({"batch_size": True}, "batch_size=True: must be an integer from 1 to 2147483647"),
        ({"batch_size": 2.0}, "batch_size=2.0: must be an integer from 1 to 2147483647"),
        ({"draws": -1}, "draws=-1: must be an integer from 0 to 2147483647"),
        ({"shuffle": 1}, "shuffle=1: must be True or False"),
        ({"drop_last": "no"}, "drop_last='no': must be True or False"),
        ({"seed": -1}, "seed=-1: must be an integer from 0 to 18446744073709551615"),
        ({"seed": 2**64}, "seed=18446744073709551616: must be an integer from 0 to 18446744073709551615"),
        ({"seed": None}, "seed=None: must be an integer from 0 to 18446744073709551615"),
        ({"world": 0}, "world=0: must be an integer from 1 to 2147483647"),
        ({"rank": -1}, "rank=-1: must be an integer from 0 to 2147483647"),
        ({"rank": 2, "world": 2}, "rank=2: must be below world=2; ranks count from 0"),
        (
            {"videos": []},
            "frame_counts of shape (0,) and type float64: must be integers, one per video",
        ),
        (
            {"videos": [[4]]},
            "frame_counts of shape (1, 1) and type int64: must be integers, one per video",
        ),
        ({"videos": [4, -2]}, "frame_counts[1]=-2: must be a number of frames, from 0 to 2147483647"),
        (
            {"videos": np.array([2**63], np.uint64)},
            "frame_counts[0]=9223372036854775808: must be a number of frames, from 0 to 2147483647",
        ),
        (
            {"videos": [12, 5], "sampler": Windows(16, dilation=2)},
            (
                "no video gives a clip of Windows(time_steps=16, step=31, dilation=2, fps=None, tail='drop', "
                "short='drop'): the longest of 2 has 12 frames (2 of 2 videos are shorter than the 31 frames "
                'a clip spans and give no clip); ask for fewer frames, or pass short="pad"'
            ),
        ),
        ({"views": 0}, "views=0: must be an integer from 1 to 2147483647"),
        (
            {"weights": [1.0], "shuffle": False},
            (
                "shuffle=False: must be True with weights=, which draws clips at random; "
                "pass shuffle=True, or no weights"
            ),
        ),
        (
            {"weights": [1.0, 2.0], "shuffle": True},
            "weights of shape (2,) and type float64: must be numbers, one for each of 1 videos",
        ),
        (
            {"weights": ["1"], "shuffle": True},
            "weights of shape (1,) and type <U1: must be numbers, one for each of 1 videos",
        ),
        ({"weights": [-1], "shuffle": True}, "weights[0]=-1.0: must be finite and not negative"),
        ({"weights": [np.nan], "shuffle": True}, "weights[0]=nan: must be finite and not negative"),
        ({"weights": [np.inf], "shuffle": True}, "weights[0]=inf: must be finite and not negative"),
        (
            {"videos": [10, 1], "weights": [0, 1], "shuffle": True},
            "weights=: must be above 0 for a video that gives a clip; all these videos have weight 0",
        ),
        (
            {"drop_last": True, "batch_size": 3, "world": 2},
            (
                "drop_last=True leaves no batch: 5 clips are fewer than the 6 of one batch of all ranks "
                "(batch_size=3, world=2); lower batch_size, or keep the last batch with drop_last=False"
            ),
        ),
    ],
)
def test_plan_refuses(changed, message):
    arguments = {"videos": [10], "sampler": Windows(2), "draws": 0, "batch_size": 1} | changed
    with pytest.raises(OptionError) as error:
        Plan(**arguments)
    assert str(error.value) == message


def test_numpy_plan_options():
    plan = Plan(
        np.array([10], np.uint16),
        Windows(2),
        draws=np.int64(0),
        batch_size=np.int32(2),
        shuffle=np.True_,
        seed=np.uint64(2**64 - 1),
        rank=np.int8(1),
        world=np.int8(2),
    )
    assert len(plan.clips(np.int64(0), np.int64(0)).video) == 2


@pytest.mark.parametrize(
    ("epoch", "batch", "message"),
    [
        (0, 2, "batch=2: must be an integer from 0 to 1"),
        (0, -1, "batch=-1: must be an integer from 0 to 1"),
        (-1, 0, "epoch=-1: must be an integer from 0 to 9223372036854775807"),
        (True, 0, "epoch=True: must be an integer from 0 to 9223372036854775807"),
    ],
)
def test_no_such_batch(epoch, batch, message):
    with pytest.raises(OptionError) as error:
        shuffled().clips(epoch, batch)
    assert str(error.value) == message


@pytest.mark.parametrize("method", [Plan.table, Plan.frames])
def test_no_such_rank(method):
    with pytest.raises(OptionError, match=r"^rank=1: must be below world=1; ranks count from 0$"):
        method(shuffled(), 0, 1)


def test_example_in_the_module():
    results = doctest.testmod(fastclips.planning.plan)
    assert results.attempted > 0
    assert results.failed == 0
