"""The plan of a mix with shares, against a slow version that is obviously right."""

from __future__ import annotations

import doctest
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_mix import mixed_options, naive_mixed_epochs, naive_shares
from slow_plan import all_batches, by_row, naive_positions

import fastclips as fc
import fastclips.planning.shares
from fastclips.data.sets import Sets
from fastclips.errors import OptionError
from fastclips.planning.clips import Videos
from fastclips.planning.draws import Draws, Purpose
from fastclips.planning.per_set import checked_sampler
from fastclips.planning.plan import Plan
from fastclips.planning.shares import divide


def plan_of(counts, clips=None, weights=None, samplers=None, **options):
    """A plan of sets of so many videos of 8 frames, each two clips."""
    sets = Sets(tuple(counts), weights, clips)
    settings_ = {"draws": 1, "batch_size": 4, "shuffle": True} | options
    sampler = checked_sampler(fc.Windows(4) if samplers is None else samplers, sets)
    return Plan([8] * sum(counts), sampler, shares=sets, **settings_)


@settings(max_examples=40, deadline=None)
@given(mixed_options(), st.integers(1, 3), st.integers(1, 4), st.integers(1, 2), st.booleans())
def test_the_plan_is_the_naive_plan(options, size, world, draws_per_clip, drop_last):
    expected, counts, _ = naive_mixed_epochs(**options, epochs=3)
    if 0 in [
        count for count, weight in zip(counts, options["shares"].weights or counts, strict=True) if weight
    ]:
        with pytest.raises(OptionError, match="none of them would be of set"):
            Plan(**options, batch_size=1)
        return
    try:
        ranks = [
            Plan(
                **options,
                batch_size=size * draws_per_clip,
                draws_per_clip=draws_per_clip,
                rank=rank,
                world=world,
                drop_last=drop_last,
            )
            for rank in range(world)
        ]
    except OptionError:
        assert drop_last
        assert sum(counts) < world * size
        return
    groups = sum(counts)
    runs = naive_positions(groups, size, world, drop_last)
    for rank, plan in enumerate(ranks):
        assert plan.shares == counts
        assert plan.clips_per_epoch == groups * draws_per_clip
        assert len(plan) == len(runs[rank])
        for epoch in (2, 0, 1):  # no epoch depends on those asked for before
            for clips, run in zip(all_batches(plan, epoch), runs[rank], strict=True):
                rows = by_row(clips)
                for number, (position, padding, row) in enumerate(rows):
                    group = run[number // draws_per_clip]
                    assert position == group * draws_per_clip + number % draws_per_clip
                    assert padding == (group >= groups)
                    video, _, view, frames = expected[epoch][group % groups]
                    own = Draws(options["seed"], epoch).units(Purpose.RECIPE, position, 1, plan.draws)[0]
                    assert row == (video, view, own.tolist(), frames)
            table = plan.table(epoch)
            shown = [expected[epoch][group % groups] for run in runs[rank] for group in run]
            shown = [row for row in shown for _ in range(draws_per_clip)]
            assert table["video"].tolist() == [video for video, *_ in shown]
            assert table["view"].tolist() == [view for _, view, *_ in shown]
            assert plan.frames(epoch).tolist() == [frames for *_, frames in shown]


@given(st.integers(1, 10**6), st.lists(st.integers(0, 5) | st.floats(0, 1e6), min_size=1, max_size=6))
def test_shares_are_exact(total, weights):
    if not any(weights):
        return
    parts = divide(total, weights)
    assert parts == naive_shares(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - total * weight / sum(weights)) <= 1


@pytest.mark.parametrize("clips", [3, 7, 20, 100])
def test_each_clip_comes_once_before_any_comes_twice(clips):
    plan = plan_of([5, 3, 1], clips, weights=(3.0, 2.0, 1.0) if clips > 3 else (1.0, 1.0, 1.0))
    served = [[], [], []]
    for epoch in range(12):
        table = plan.table(epoch)
        sets = np.searchsorted([5, 8], table["video"], side="right")
        assert np.bincount(sets, minlength=3).tolist() == plan.shares
        for number, video, start in zip(sets, table["video"], table["start"], strict=True):
            served[number].append((int(video), int(start)))
    for rows, size in zip(served, (10, 6, 2), strict=True):
        passes = [rows[first : first + size] for first in range(0, len(rows), size)]
        assert all(len({*of_pass}) == len(of_pass) for of_pass in passes)
        assert {len({*of_pass}) for of_pass in passes[:-1]} <= {size}
        orders = {tuple(of_pass) for of_pass in passes[:-1]}
        assert len(orders) > len(passes) // 3 or size == 2  # not one order again and again


def test_large_passes_are_those_of_small_ones(monkeypatch):
    small = plan_of([300, 5], 450, (2.0, 1.0))
    monkeypatch.setattr(fastclips.planning.shares, "_TOGETHER", 7)
    large = plan_of([300, 5], 450, (2.0, 1.0))
    for epoch in (5, 0, 1, 2, 3):
        for name, column in small.table(epoch).items():
            np.testing.assert_array_equal(large.table(epoch)[name], column)


def test_a_sampler_draws_anew_in_each_pass_and_for_each_set():
    videos = Videos(np.array([1000, 1000]))
    sets = Sets((1, 1), (4.0, 4.0), 8)
    sampler = checked_sampler(fc.RandomWindow(4), sets)
    plan = Plan(videos, sampler, shares=sets, draws=0, batch_size=8, shuffle=True)
    starts = np.concatenate([plan.table(epoch)["start"] for epoch in range(3)])
    assert len({*starts.tolist()}) > 20


def test_far_epochs_can_be_asked_for():
    plan = plan_of([3, 2], 10, (1.0, 1.0))
    table = plan.table(2**62)
    assert Counter((table["video"] >= 3).tolist()) == {True: 5, False: 5}


def test_a_large_set_takes_no_list_and_little_memory():
    """8 epochs of 1000 clips of a set of 3 million take one order of them, and windows take none."""
    sets = Sets((3000, 10), (3.0, 1.0), 1000)
    sampler = checked_sampler(fc.Windows(16, step=1), sets)
    plan = Plan([1015] * 3010, sampler, shares=sets, draws=0, batch_size=100, shuffle=True)
    for epoch in range(8):
        assert len(plan.clips(epoch, 3).video) == 100
    (_, kept), *others = plan._epochs._orders[0]._known
    assert (kept.nbytes, others) == (12_000_000, [])
    assert plan._epochs._clips.sets[0]._ends.nbytes == 24_000


def test_a_state_of_other_shares_has_another_fingerprint():
    prints = {
        plan_of(counts, 12, weights).fingerprint
        for counts, weights in [([4, 2], (1.0, 1.0)), ([4, 2], (2.0, 1.0)), ([3, 3], (1.0, 1.0))]
    }
    assert len(prints) == 3
    assert plan_of([4, 2], 12, (2.0, 2.0)).fingerprint in prints


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shuffle": False}, "shuffle=False: must be True with the shares of a mix"),
        ({"weights": (1.0, 0.001)}, "clips_per_epoch=8: by weights, none of them would be of set 1.*=1001"),
        ({"interleave": 2}, "interleave= must be None with the shares of a mix"),
    ],
)
def test_what_does_not_go_together(options, message):
    weights = options.pop("weights", (1.0, 1.0))
    with pytest.raises(OptionError, match=message):
        plan_of([4, 2], 8, weights, **options)


def test_the_least_clips_that_a_message_gives_are_enough():
    plan_of([4, 2], 1001, (1.0, 0.001))


def test_a_set_without_a_clip():
    sets = Sets((1, 1), (1.0, 1.0), None)
    sampler = checked_sampler(fc.Windows(16), sets)
    with pytest.raises(OptionError, match=r"set 1 has the weight 1, but none of its 1 videos gives a clip"):
        Plan([32, 8], sampler, shares=sets, draws=0, batch_size=1, shuffle=True)
    sets = Sets((1, 1), (1.0, 0.0), None)
    assert Plan([32, 8], sampler, shares=sets, draws=0, batch_size=1, shuffle=True).shares == [2, 0]
    sets = Sets((1, 1), None, 5)
    with pytest.raises(OptionError, match="no video gives a clip of Windows"):
        Plan([8, 8], sampler, shares=sets, draws=0, batch_size=1, shuffle=True)


def test_all_sets_that_are_left_have_weight_0():
    with pytest.raises(OptionError, match="all sets that were selected have weight 0"):
        plan_of([2], 4, (0.0,))


class Turned(fc.Clips):
    """Clips with a column of their own: which are shown backwards."""

    def __init__(self, clips, turned):
        super().__init__(clips.video, clips.start, clips.view)
        object.__setattr__(self, "turned", turned)

    def rows(self, which):
        return Turned(super().rows(which), self.turned[which])


class EverySecondTurned(fc.ClipSampler):
    time_steps, varies = 4, True

    def clips(self, videos, draws):
        clips = fc.Windows(4).clips(videos, draws).rows(np.arange(2 * len(videos)))
        return Turned(clips, (np.arange(len(clips)) + draws.epoch) % 2 == 1)

    def frames(self, clips, videos):
        frames = fc.Windows(4).frames(clips, videos)
        return np.where(clips.turned[:, None], frames[:, ::-1], frames)


def test_a_sampler_of_the_users_gets_its_own_clips():
    plan = plan_of([3, 2], 20, (1.0, 1.0), [fc.Windows(4), EverySecondTurned()])
    table = plan.table(0)
    turned = np.sign(plan.frames(0)[:, 1] - plan.frames(0)[:, 0]) < 0
    assert not turned[table["video"] < 3].any()
    second = [*zip(table["video"].tolist(), (table["start"] // 4).tolist(), turned.tolist(), strict=True)]
    second = [(video, start, back) for video, start, back in second if video >= 3]
    for of_pass, first in enumerate((0, 4)):
        assert {back for video, start, back in second[first : first + 4]} == {False, True}, of_pass


def test_a_sampler_of_the_users_that_lists_wrong_frames():
    class Floats(EverySecondTurned):
        def frames(self, clips, videos):
            return super().frames(clips, videos).astype(float)

    plan = plan_of([3, 2], 20, (1.0, 1.0), [fc.Windows(4), Floats()])
    with pytest.raises(OptionError, match=r"Floats.frames\(\) returned float64 \(4, 4\): must return int32"):
        plan.frames(0)


def test_the_order_of_a_mix_stays():
    plan = plan_of([3, 2], 8, (2.0, 1.0), [fc.Windows(4), fc.RandomWindow(4)], seed=7)
    videos = {epoch: plan.table(epoch)["video"].tolist() for epoch in (0, 1, 5)}
    assert videos == {
        0: [4, 0, 0, 2, 1, 1, 3, 3],
        1: [2, 4, 2, 4, 3, 1, 2, 0],
        5: [1, 2, 3, 0, 4, 1, 2, 3],
    }
    assert plan.table(1)["start"].tolist() == [0, 3, 4, 2, 0, 0, 0, 4]


def test_examples_of_the_module():
    assert doctest.testmod(fastclips.planning.shares).failed == 0
