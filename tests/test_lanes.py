"""Lanes: the order, what it is for, and its bounds."""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slow_lanes import naive_lanes

import fastclips as fc
import fastclips.planning.lanes
from fastclips.planning.clips import Clips, EvenClips
from fastclips.planning.draws import Draws
from fastclips.planning.lanes import Lanes, Runs
from fastclips.planning.plan import Plan


def clips_of(stretches):
    video = np.repeat(np.arange(len(stretches)), stretches)
    return Clips(video, np.zeros_like(video), np.zeros_like(video))


@given(
    stretches=st.lists(st.integers(0, 20), min_size=1, max_size=8).filter(any),
    lanes=st.integers(1, 10**6),
    views=st.integers(1, 3),
    run=st.integers(1, 9),
    segment=st.integers(1, 9),
    seed=st.none() | st.integers(0, 2**64 - 1),
    data=st.data(),
)
def test_the_order_is_the_naive_order(stretches, lanes, views, run, segment, seed, data):
    clips = sum(stretches)
    lanes = 1 + lanes % (clips * views)
    draws = None if seed is None else Draws(seed, 3)
    rows = [(video, clip) for video, n in enumerate(stretches) for clip in range(n) for _ in range(views)]
    rows = [(*row, number) for number, row in enumerate(rows)]
    expected = [row[-1] for row in naive_lanes(rows, lanes, views, draws, run, segment)]
    some = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1))), np.int64)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fastclips.planning.lanes, "RUN", run)
        patched.setattr(fastclips.planning.lanes, "SEGMENT", segment)
        patched.setattr(fastclips.planning.lanes, "_PIECE", 5)
        patched.setattr(fastclips.planning.lanes, "_LARGEST", 11)
        for cut in (clips_of(stretches), EvenClips(np.array(stretches), 1)):
            order = Lanes(len(rows), lanes, views, None if draws is None else Runs(cut), draws)
            assert order.rows(np.arange(len(rows))).tolist() == expected
            assert order.rows(some).tolist() == [expected[place] for place in some.tolist()]


def test_the_order_never_changes():
    # If this fails, every user's clips change: do not mend the numbers, mend the order.
    plan = Plan([20, 9, 14], fc.Windows(2, step=1), draws=0, batch_size=8, interleave=4, shuffle=True, seed=7)
    clips = plan.clips(2, 1)
    assert clips.video.tolist() == [1, 0, 0, 2, 1, 0, 0, 2]
    assert clips.frames[:, 0].tolist() == [7, 5, 16, 5, 4, 4, 13, 10]


def served_frames(plan, epoch=0):
    """Each frame that an epoch shows, in order, as one number."""
    table, frames = plan.table(epoch), plan.frames(epoch)
    return (table["video"][:, None] * 10_000 + frames).ravel().tolist()


def decodes(shown, kept):
    """Decodes per distinct frame if the last frames used are kept."""
    cache, count = OrderedDict(), 0
    for frame in shown:
        count += frame not in cache
        cache[frame] = True
        cache.move_to_end(frame)
        if len(cache) > kept:
            cache.popitem(last=False)
    return count / len(set(shown))


@pytest.mark.parametrize("counts", [[100] * 40, [2000, 2000], [3900, 40, 40, 40]])
def test_overlapping_windows_come_near_each_other(counts):
    options = {"draws": 0, "batch_size": 8, "shuffle": True}
    plain = Plan(counts, fc.Windows(16, step=4), **options)
    lanes = Plan(counts, fc.Windows(16, step=4), interleave=8, **options)
    assert decodes(served_frames(plain), 1000) > 2
    assert decodes(served_frames(lanes), 1000) < 1.1


def test_batches_mix_videos_and_epochs_differ():
    plan = Plan([100] * 40, fc.Windows(16, step=4), draws=0, batch_size=8, shuffle=True, interleave=8)
    videos = [plan.clips(0, batch).video for batch in range(len(plan) - 1)]
    assert all(len(set(of_batch.tolist())) == 8 for of_batch in videos)
    mixtures = [{frozenset(plan.clips(epoch, b).video.tolist()) for b in range(40)} for epoch in (0, 1)]
    assert not mixtures[0] & mixtures[1]


@given(
    counts=st.lists(st.integers(2, 60), min_size=1, max_size=9),
    batch_size=st.integers(1, 4),
    world=st.integers(1, 3),
    turns=st.integers(1, 3),
    shuffle=st.booleans(),
)
def test_lanes_of_ranks_are_disjoint(counts, batch_size, world, turns, shuffle):
    lanes = batch_size * world * turns
    options = {"draws": 0, "batch_size": batch_size, "shuffle": shuffle, "world": world, "drop_last": True}
    try:
        plans = [
            Plan(counts, fc.Windows(2, step=1), rank=rank, interleave=lanes, **options)
            for rank in range(world)
        ]
    except fc.OptionError:
        assert sum(count - 1 for count in counts) < lanes
        return
    walked = [set((plan.table(1)["position"] % lanes).tolist()) for plan in plans]
    assert sum(map(len, walked)) == len(set.union(*walked))


@pytest.mark.parametrize("turns", [1, 2])
def test_rows_go_on_in_order_without_shuffling(frames, turns):
    with fc.ClipLoader(
        fc.open(frames), fc.Windows(2), batch_size=3, interleave=3 * turns, drop_last=True, workers=0
    ) as loader:
        table = loader.plan_table(0)
    video, start = (table[name].reshape(-1, turns, 3) for name in ("video", "start"))
    same = video[1:] == video[:-1]
    assert same.any()
    np.testing.assert_array_equal(start[1:][same], start[:-1][same] + 2)
    assert (video[1:][~same] == video[:-1][~same] + 1).all()
    assert (start[1:][~same] == 0).all()


def test_views_of_a_clip_stay_near(frames):
    options = {"batch_size": 6, "interleave": 6, "workers": 0}
    with fc.ClipLoader(fc.open(frames), fc.Windows(2), [fc.ThreeCrop(32)], **options) as loader:
        table = loader.plan_table(0)
    view, start = (table[name].reshape(-1, 6) for name in ("view", "start"))
    assert (view == np.arange(18)[:, None] % 3).all()
    assert (start.reshape(-1, 3, 6) == start.reshape(-1, 3, 6)[:, :1]).all()


@dataclass(frozen=True)
class InTurn(fc.ClipSampler):
    """Windows of all videos in turn, as a sampler of a user's may list them."""

    time_steps: int = 2

    def clips(self, videos, draws):  # noqa: ARG002 - draws nothing
        start = np.repeat(np.arange(5), len(videos))
        video = np.tile(np.arange(len(videos)), 5)
        return fc.Clips(video, start, np.zeros_like(video))

    def frames(self, clips, videos):  # noqa: ARG002 - the contract
        return (clips.start[:, None] + np.arange(2)).astype(np.int32)


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_sampler_that_lists_videos_in_turn(shuffle):
    plan = Plan([9] * 7, InTurn(), draws=0, batch_size=4, shuffle=shuffle, interleave=4)
    table = plan.table(0)
    assert len(set(zip(table["video"].tolist(), table["start"].tolist(), strict=True))) == 35


def test_many_clips_take_little_memory():
    plan = Plan([10_000] * 10_000, fc.Windows(16, step=1), draws=0, batch_size=8, interleave=64, shuffle=True)
    assert len(plan.clips(3, len(plan) // 2).video) == 8
    assert plan._epochs._runs.lengths.nbytes < 2**22


def test_a_resumed_epoch_goes_on(frames):
    def make(workers=0):
        return fc.ClipLoader(
            fc.open(frames),
            fc.Windows(4, step=1),
            [fc.RandomCrop(32)],
            batch_size=4,
            shuffle=True,
            interleave=8,
            workers=workers,
        )

    with make() as loader:
        list(loader)
        whole = list(loader)
        state = loader.state_dict(1, 5)
    with make(workers=1) as loader:
        loader.load_state_dict(state)
        rest = list(loader)
    assert len(rest) == len(whole) - 5
    for (x, y), (again, labels) in zip(whole[5:], rest, strict=True):
        np.testing.assert_array_equal(x, again)
        np.testing.assert_array_equal(y, labels)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"interleave": 0}, "interleave=0: must be an integer from 1 to 2147483647"),
        ({"interleave": -2}, "interleave=-2: must be an integer from 1 to 2147483647"),
        ({"interleave": 2.0}, "interleave=2.0: must be an integer from 1 to 2147483647"),
        ({"interleave": True}, "interleave=True: must be an integer from 1 to 2147483647"),
        (
            {"interleave": 6},
            "interleave=6: must be at most 5, the clips of an epoch, so that each lane has a clip; lower it",
        ),
        (
            {"interleave": 2, "weights": [1.0], "shuffle": True},
            (
                "interleave=2: must be None with weights=, which draws each clip by itself; leave out one of "
                "the two"
            ),
        ),
    ],
)
def test_lanes_that_are_refused(changed, message):
    with pytest.raises(fc.OptionError) as error:
        Plan([10], fc.Windows(2), draws=0, batch_size=1, **changed)
    assert str(error.value) == message
