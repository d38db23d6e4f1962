"""Splits are by video or by group, fair to every class, and the same everywhere."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fastclips.data.dataset import Dataset
from fastclips.data.index import Index
from fastclips.data.labels import Labels
from fastclips.data.names import Names
from fastclips.errors import OptionError
from fastclips.spec import StreamSpec


def dataset(labels, classes, names=None, keys=None):
    """One row for each label; rows with one key are parts of one video. None for no labels."""
    count = len(labels if names is None else names)
    keys = np.arange(count) + 100 if keys is None else np.array(keys, np.int64)
    if names is None:
        names = [f"{label}/{key}" for label, key in zip(labels, keys, strict=True)]
    index = Index(
        names=Names.of(names),
        keys=keys,
        starts=np.zeros(count, np.int64),
        frame_counts=keys % 7 + 1,
        labels=None if labels is None else Labels.of_classes(np.array(labels, np.int64), classes),
        classes=tuple(map(str, range(classes))),
    )
    return Dataset(None, index, (StreamSpec("image"),))


shares = st.sampled_from([0.1, 0.2, 0.25, 0.29, 0.3, 0.5, 0.7, 0.9]) | st.floats(0.01, 0.99)
seeds = st.integers(0, 2**64 - 1)


@st.composite
def splits(draw):
    classes = draw(st.integers(1, 6))
    data = dataset(draw(st.lists(st.integers(0, classes - 1), min_size=2, max_size=60)), classes)
    share = draw(shares)
    assume(0 < round(share * len(data)) < len(data))
    return data, share, draw(seeds)


@given(splits())
def test_the_halves_are_disjoint_and_whole_and_in_order(case):
    data, share, seed = case
    training, validation = data.split(share, seed)
    assert len(validation) == round(share * len(data))
    assert sorted([*training.index.keys, *validation.index.keys]) == data.index.keys.tolist()
    for half in (training, validation):
        rows = half.index.keys - 100
        assert (np.diff(rows) > 0).all()
        assert list(half.index.names) == [data.index.names[row] for row in rows]
        assert half.index.labels.per_video.tolist() == data.index.labels.per_video[rows].tolist()
        assert half.index.frame_counts.tolist() == data.index.frame_counts[rows].tolist()
        assert half.classes == data.classes
        assert half.storage is data.storage
        assert half.streams == data.streams


@given(splits())
def test_every_class_gives_its_share(case):
    data, share, seed = case
    taken = Counter(data.split(share, seed)[1].index.labels.per_video.tolist())
    for label, size in Counter(data.index.labels.per_video.tolist()).items():
        exact = Fraction(share) * size
        assert floor(exact) <= taken[label] <= ceil(exact)


@given(splits(), st.randoms(use_true_random=False))
def test_every_class_gives_its_share_in_any_order_of_rows(case, random):
    data, share, seed = case
    rows = list(range(len(data)))
    random.shuffle(rows)
    one, other = (some.split(share, seed)[1] for some in (data, data._take(np.array(rows))))
    labels = data.index.labels.per_video
    assert other.index.labels.per_video.tolist() == [labels[key - 100] for key in other.index.keys]
    assert [rows.index(key - 100) for key in other.index.keys] == sorted(
        rows.index(key - 100) for key in other.index.keys
    )
    for label, size in Counter(labels.tolist()).items():
        taken = other.index.labels.per_video.tolist().count(label)
        assert floor(Fraction(share) * size) <= taken <= ceil(Fraction(share) * size)
    assert len(one) == len(other)


@given(splits())
def test_one_seed_gives_one_split(case):
    data, share, seed = case
    one, other = (data.split(share, seed)[1].index.keys for _ in range(2))
    assert one.tolist() == other.tolist()


def test_seeds_differ_and_every_video_has_its_turn():
    data = dataset([0] * 10 + [1] * 10, 2)
    halves = [data.split(0.2, seed)[1].index.keys.tolist() for seed in range(60)]
    assert len(set(map(tuple, halves))) > 50
    assert set(np.concatenate(halves)) == set(data.index.keys)


def test_classes_of_one_video_are_drawn_by_lot():
    data = dataset(range(10), 10)
    chosen = {key for seed in range(60) for key in data.split(0.2, seed)[1].index.keys}
    assert chosen == set(data.index.keys)


def test_a_split_is_the_same_on_every_machine_and_version():
    data = dataset([0] * 8 + [1] * 5 + [2] * 3, 3)
    rows = {seed: (data.split(0.25, seed)[1].index.keys - 100).tolist() for seed in (0, 7)}
    assert rows == {0: [2, 3, 8, 13], 7: [3, 7, 12, 13]}
    assert data.split(0.25)[1].index.keys.tolist() == data.split(0.25, 0)[1].index.keys.tolist()


def test_videos_without_labels_are_split_as_those_of_one_class():
    names = [f"v{n}" for n in range(20)]
    unlabelled, labelled = dataset(None, 0, names), dataset([0] * 20, 1, names)
    for seed in range(5):
        one, other = (data.split(0.3, seed)[1].index for data in (unlabelled, labelled))
        assert one.keys.tolist() == other.keys.tolist()
        assert one.labels is None


def test_a_half_can_be_split_again():
    data = dataset([0] * 10 + [1] * 10 + [2], 3)
    rest, test = data.split(0.2, 1)
    training, validation = rest.split(0.25, 1)
    assert len(training) + len(validation) + len(test) == 21
    assert training.classes == ("0", "1", "2")


@pytest.mark.parametrize("share", [0, 1, 1.5, -0.1, float("nan"), True, "0.2"])
def test_a_share_out_of_range(share):
    with pytest.raises(OptionError, match=rf"validation={share!r}: must be between 0 and 1"):
        dataset([0, 0], 1).split(share)


@pytest.mark.parametrize(("share", "training", "validation"), [(0.1, 3, 0), (0.9, 0, 3)])
def test_a_half_that_would_be_empty(share, training, validation):
    with pytest.raises(OptionError) as caught:
        dataset([0, 0, 1], 2).split(share)
    assert str(caught.value) == (
        f"validation={share} of 3 videos leaves {training} for training and {validation} for validation, but "
        "both need at least 1: change validation=, or add videos"
    )


@pytest.mark.parametrize("seed", [-1, 2**64, 0.5, True])
def test_a_seed_out_of_range(seed):
    with pytest.raises(OptionError, match=rf"seed={seed}: must be an integer from 0 to {2**64 - 1}"):
        dataset([0, 0], 1).split(0.5, seed)


# Groups


@st.composite
def grouped(draw):
    """Rows of a few videos, some in parts, whose videos belong to groups."""
    of_video = draw(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=20))
    keys = draw(st.lists(st.integers(0, len(of_video) - 1), min_size=2, max_size=40))
    groups = [of_video[key] for key in keys]
    names = [f"{of_video[key]}/g{ord(of_video[key]) % 4:02d}_v{key}" for key in keys]
    labels = draw(st.none() | st.lists(st.integers(0, 2), min_size=len(keys), max_size=len(keys)))
    return dataset(labels, 0 if labels is None else 3, names, keys), keys, groups


def rows_of(data, half):
    """Check that the half holds whole groups of keys, in order, and return its rows."""
    wanted = set(half.index.keys.tolist())
    rows = [row for row, key in enumerate(data.index.keys.tolist()) if key in wanted]
    assert half.index.keys.tolist() == data.index.keys[rows].tolist()
    return rows


@pytest.mark.slow
@given(grouped(), shares, seeds)
def test_parts_of_one_video_stay_together(case, share, seed):
    data, keys, _ = case
    total = round(share * len(set(keys)))
    assume(0 < total < len(set(keys)))
    training, validation = (rows_of(data, half) for half in data.split(share, seed))
    assert sorted(training + validation) == list(range(len(keys)))
    assert not {keys[row] for row in training} & {keys[row] for row in validation}
    assert len({keys[row] for row in validation}) == total


KINDS = {
    "pattern": lambda _: r"^(\w)/g\d\d_v\d",
    "whole pattern": lambda _: r"^\w",
    "function": lambda _: lambda name: name[0],
    "list": lambda groups: groups,
    "tuples": lambda groups: [(group, 1) for group in groups],
    "array": lambda groups: np.array([ord(group) for group in groups]),
    "array of str": np.array,
}


@pytest.mark.slow
@given(grouped(), shares, seeds)
def test_groups_stay_together(case, share, seed):
    data, _, groups = case
    total = round(share * len(set(groups)))
    assume(0 < total < len(set(groups)))
    halves = {}
    for kind, group in KINDS.items():
        training, validation = (rows_of(data, half) for half in data.split(share, seed, group=group(groups)))
        assert sorted(training + validation) == list(range(len(groups)))
        assert not {groups[row] for row in training} & {groups[row] for row in validation}
        assert len({groups[row] for row in validation}) == total
        halves[kind] = validation
    assert all(validation == halves["list"] for validation in halves.values())


def test_every_class_gives_its_share_of_groups():
    labels = [label for label in range(3) for _ in range(40)]
    groups = [(label, row // 4) for row, label in enumerate(labels)]
    for seed in range(5):
        validation = dataset(labels, 3).split(0.3, seed, group=groups)[1]
        assert Counter(validation.index.labels.per_video.tolist()) == {0: 12, 1: 12, 2: 12}


def test_groups_of_one_video_each_split_as_videos_do():
    data = dataset([0] * 8 + [1] * 5 + [2] * 3, 3)
    one, other = (data.split(0.25, 7, group=group)[1] for group in (None, r"\d+$"))
    assert one.index.keys.tolist() == other.index.keys.tolist()


def test_groups_of_a_pattern_count_all_its_groups():
    names = ["x/g1_c1", "x/g2_c1", "y/g1_c1", "y/g1_c2"]
    data = dataset(None, 0, names)
    sides = {
        tuple(name in data.split(0.34, seed, group=r"(\w)/g(\d)")[1].index.names for name in names)
        for seed in range(40)
    }
    assert sides == {(True, False, False, False), (False, True, False, False), (False, False, True, True)}


def test_too_few_groups():
    with pytest.raises(OptionError) as caught:
        dataset([0, 0, 1], 2).split(0.2, group=[1, 1, 2])
    assert str(caught.value) == (
        "validation=0.2 of 2 groups leaves 2 for training and 0 for validation, but both need at least 1: "
        "change validation=, or add videos"
    )


def test_too_few_videos_in_many_parts():
    with pytest.raises(OptionError, match=r"^validation=0\.5 of 1 videos leaves 1 for training and 0 for"):
        dataset(None, 0, ["v"] * 9, [3] * 9).split(0.5)


def refusal(group, names=("a/v1", "b/v2", "c/v3"), keys=None):
    with pytest.raises(OptionError) as caught:
        dataset(None, 0, names, keys).split(0.5, group=group)
    return str(caught.value)


def test_a_group_that_is_no_pattern():
    assert refusal("(").startswith(
        "group='(': must be a regular expression (missing ), unterminated subpattern"
    )


def test_a_pattern_that_finds_nothing_in_a_name():
    assert refusal(r"v[12]") == "group='v[12]': must match every name, but does not match 'c/v3'"


@pytest.mark.parametrize("group", [[1, 2], np.arange(4), ()])
def test_groups_of_another_length(group):
    assert refusal(group) == f"group= has {len(group)} values for 3 videos; give one for each video"


def test_groups_that_tear_a_video_apart():
    assert refusal([1, 1, 2], ["a/v", "b/v", "b/v"], [0, 1, 1]) == (
        "group= puts parts of 'b/v' into several groups, but parts of one video must be in one group"
    )


@pytest.mark.parametrize("group", [lambda name: name.split("/")[:1], [["a"]] * 3, np.array([["a"]] * 3)])
def test_groups_that_cannot_be_compared(group):
    assert refusal(group) == "group= gives ['a'] for a video: must be a number, a str or a tuple of these"


@pytest.mark.parametrize("group", [3, re.compile("v")])
def test_a_group_that_is_nothing_of_these(group):
    assert refusal(group) == (
        f"group={group!r}: must be a str (a regular expression), a function, or a value for each video"
    )
