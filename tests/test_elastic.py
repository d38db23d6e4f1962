"""An epoch that changes its number of ranks and its batch size midway: every clip once, the same bits."""

from __future__ import annotations

import json
from math import ceil

import numpy as np
import pytest
from helpers import make_frames
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_plan import by_row, naive_epoch, plan_options

import fastclips as fc
from fastclips.errors import OptionError
from fastclips.planning.cut import Cut
from fastclips.planning.plan import Plan

STAGES = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(0, 4)), min_size=1, max_size=5)
"""(world, batch size in draws, batches before the next change), until the epoch ends."""


def global_batch(plans, epoch, batch):
    """Return the rows of a batch of all ranks, in the order of their positions."""
    return [row for plan in plans for row in by_row(plan.clips(epoch, batch))]


@settings(max_examples=60)
@given(plan_options(), STAGES, st.integers(1, 3), st.booleans())
def test_every_clip_comes_once_over_all_changes(given_options, stages, draws_per_clip, drop_last):
    epoch, position, served, padding = 2, 0, [], 0
    groups = len(naive_epoch(**given_options, epoch=epoch))
    clips = groups * draws_per_clip
    stages = [*stages, (1, 1, clips)]  # the last loader serves the rest
    for world, size, batches in stages:
        batch_size = size * draws_per_clip
        try:
            plans = [
                Plan(
                    **given_options,
                    draws_per_clip=draws_per_clip,
                    batch_size=batch_size,
                    drop_last=drop_last,
                    rank=rank,
                    world=world,
                )
                for rank in range(world)
            ]
        except OptionError:
            assert clips < world * batch_size
            continue
        for plan in plans:
            plan.resume(epoch, position)
        left = clips - position
        together = world * batch_size
        count = left // together if drop_last else ceil(ceil(left / draws_per_clip / world) / size)
        assert [plan.batches(epoch) for plan in plans] == [count] * world
        assert plans[0].batches(epoch + 1) == len(plans[0])
        for batch in range(min(batches, count)):
            sizes = {len(plan.clips(epoch, batch).video) for plan in plans}
            assert len(sizes) == 1
            rows = global_batch(plans, epoch, batch)
            assert [row[0] for row in rows] == list(range(position, position + len(rows)))
            served += [row for row in rows if not row[1]]
            padding += len(rows) - sum(not row[1] for row in rows)
            position += len(rows)
            if position >= clips:
                break
        if position >= clips:
            break
    assert [row[0] for row in served] == list(range(clips))
    assert padding < world * draws_per_clip
    whole = Plan(**given_options, draws_per_clip=draws_per_clip, batch_size=draws_per_clip * groups)
    assert served == by_row(whole.clips(epoch, 0))


@settings(max_examples=60)
@given(plan_options(), st.sampled_from([(12, 1), (6, 2), (4, 3), (3, 4), (2, 6), (1, 12)]), st.integers(0, 6))
def test_global_batches_do_not_depend_on_their_split(given_options, split, after):
    size, world = split
    alone = Plan(**given_options, batch_size=12)
    ranks = [Plan(**given_options, batch_size=size, rank=rank, world=world) for rank in range(world)]
    position = min(after * 5, alone.clips_per_epoch)
    for plan in (alone, *ranks):
        plan.resume(1, position)
    assert {plan.batches(1) for plan in ranks} == {alone.batches(1)}
    for batch in range(alone.batches(1)):
        expected = by_row(alone.clips(1, batch))
        rows = global_batch(ranks, 1, batch)
        assert rows[: len(expected)] == expected
        assert all(padding for _, padding, _ in rows[len(expected) :])


def test_a_position_within_the_draws_of_a_clip_is_refused():
    cut = Cut(12, 3, batch_size=6, world=1, drop_last=False)
    assert cut.begun_at(9).batches == 1
    with pytest.raises(OptionError, match=r"position=4: must be a multiple of draws_per_clip=3"):
        cut.begun_at(4)
    with pytest.raises(OptionError, match="position=13"):
        cut.begun_at(13)


# Loaders

OPTIONS = {
    "shuffle": {"shuffle": True},
    "views": {"transforms": [fc.ThreeCrop(24)]},
    "lanes": {"shuffle": True, "interleave": 4},
    "weights": {"shuffle": True, "weights": "balanced"},
    "draws": {"shuffle": True, "draws_per_clip": 2},
}


CROP = (fc.RandomCrop(24),)


class Numbers(fc.Storage):
    """Frames that show their video and number."""

    def read(self, stream, video, frame):  # noqa: ARG002 - as Storage
        y, x = np.mgrid[:32, :40]
        return np.stack([y + 8 * video, x + frame, y ^ x], axis=-1).astype(np.uint8)


def make(batch_size, *, world=1, transforms=CROP, **options):
    dataset = fc.Dataset.of(Numbers(), frame_counts=[9, 14, 5, 11], labels=[0, 1, 1, 0])
    return [
        fc.ClipLoader(
            dataset,
            fc.Windows(2, step=1),
            transforms,
            batch_size=batch_size,
            seed=3,
            rank=rank,
            world=world,
            **({"workers": 0} | options),
        )
        for rank in range(world)
    ]


def rows_of(loaders):
    """Yield, for each batch, the rows of all ranks: pixels and label, without padding."""
    for batches in zip(*loaders, strict=True):
        parts = [(*batch, np.ones(len(batch[1])))[:3] for batch in batches]
        x, y, weight = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        yield [(x[row].tobytes(), int(y[row])) for row in range(len(x)) if weight[row]]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_loaders_continue_in_other_batches(options):
    (whole,) = make(4, **options)
    expected = [row for batch in rows_of([whole]) for row in batch]
    following = next(rows_of([whole]))
    served, state = [], None
    for size, world, batches in ((4, 2, 1), (6, 1, 1), (2, 3, 2), (4, 1, 1), (8, 2, 99)):
        loaders = make(size, world=world, **options)
        if state is not None:
            for loader in loaders:
                loader.load_state_dict(state)
            assert len({len(loader) for loader in loaders}) == 1
        left = len(loaders[0])
        ranks = [iter(loader) for loader in loaders]
        for number, batch in enumerate(rows_of(ranks)):
            served += batch
            states = [json.loads(json.dumps(loader.state_dict())) for loader in loaders]
            assert all(state == states[0] for state in states)
            state = states[0]
            if number + 1 == batches:
                break
        else:
            assert number + 1 == left
    assert served == expected
    assert (state["epoch"], state["position"]) == (1, 0)
    assert len(loaders[0]) == ceil(ceil(len(expected) / 2) / 8)
    assert next(rows_of(loaders))[:4] == following  # the next epoch begins at its start


def test_a_resumed_epoch_counts_from_its_place_until_another_is_asked_for():
    (saved,) = make(5)
    state = saved.state_dict(2, 3)
    assert (state["batch"], state["position"]) == (3, 15)
    (loader,) = make(4)
    loader.load_state_dict(state)
    rows = len(saved.plan_table(2)["position"]) - 15
    assert len(loader) == ceil(rows / 4)
    assert loader.plan_table(2)["position"].tolist() == list(range(15, 15 + rows))
    again = [[row for batch in rows_of([loader.epoch(2)]) for row in batch] for _ in range(2)]
    assert again[0] == again[1]
    assert len(again[0]) == rows
    assert (loader.state_dict(2, 1)["batch"], loader.state_dict(2, 1)["position"]) == (1, 19)
    next(loader.epoch(3))
    assert loader.state_dict(2, 1)["position"] == 4
    assert sum(map(len, rows_of([loader.epoch(2)]))) == rows + 15


def test_the_same_batches_keep_their_numbers():
    (saved,), (loader,) = make(5), make(5)
    loader.load_state_dict(saved.state_dict(0, 3))
    assert loader.state_dict()["batch"] == 3
    assert len(loader) == len(saved)
    loader.load_state_dict(
        {**saved.state_dict(0, 3), "position": 17, "start": 2}
    )  # as saved in an epoch that was cut anew
    assert (loader.state_dict()["batch"], loader.state_dict()["position"]) == (0, 17)


@pytest.mark.parametrize("size", [20, 4])
def test_the_end_of_an_epoch_with_drop_last(size):
    (saved,) = make(5, drop_last=True)
    clips = len(make(1)[0].plan_table(0)["position"])
    (loader,) = make(size, drop_last=True)
    loader.load_state_dict(saved.state_dict(0, len(saved) - 1))
    left = clips - 5 * (len(saved) - 1)
    rest = [len(x) for x, _ in loader] if left >= size else []
    assert rest == [size] * (left // size)
    assert loader.state_dict()["epoch"] == 1


def test_a_place_that_does_not_exist_changes_nothing():
    (saved,), (loader,) = make(5), make(4)
    before = loader.state_dict(), next(rows_of([iter(loader)]))
    for changed, message in (
        ({"batch": 3}, "batch=3 and position=10 of the state are two places"),
        ({"start": 10**6, "position": 10**6 + 10}, "position=1000010: must be an integer from 0 to 35"),
        ({"batch_size": 4, "batch": 50, "position": 200}, "batch=50: must be an integer from 0 to 9"),
    ):
        with pytest.raises(fc.OptionError, match=message):
            loader.load_state_dict({**saved.state_dict(0, 2), **changed})
    loader.load_state_dict(before[0])
    assert next(rows_of([loader])) == before[1]


@pytest.mark.parametrize("cache", [0, "auto"])
def test_batches_in_flight_are_discarded(tmp_path, cache):
    make_frames(tmp_path / "frames", videos=3)
    dataset = fc.open(tmp_path / "frames")
    options = {"shuffle": True, "seed": 1, "batch_size": 4}
    crop = [fc.RandomCrop(32)]
    with (
        fc.ClipLoader(dataset, fc.Windows(3, step=1), crop, **options, workers=0) as plain,
        fc.ClipLoader(dataset, fc.Windows(3, step=1), crop, **options, workers=2, cache=cache) as loader,
    ):
        expected = [row for batch in rows_of([plain]) for row in batch]
        for position in (6, 2, 0, 11, 8):
            state = {**plain.state_dict(0, 0), "position": position, "start": position}
            loader.load_state_dict(state)
            batches = rows_of([iter(loader)])
            assert next(batches) + next(batches) == expected[position : position + 8]
        assert [row for batch in batches for row in batch] == expected[16:]
