"""Means over the clips of each video, against a dict of lists."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastclips.errors import OptionError
from fastclips.evaluation import average_views
from fastclips.planning.plan import Plan
from fastclips.planning.samplers import RandomWindow, Segments, Views, Windows


def loader_of(counts, sampler, **given_options):
    """Return what `average_views` needs of a loader."""
    plan = Plan(counts, sampler, **({"draws": 0, "batch_size": 3} | given_options))
    members = {"world": plan.world, "shuffle": plan.shuffle, "plan_table": plan.table, "plan": plan}
    return SimpleNamespace(dataset=range(len(counts)), **members)


def predictions_of(loader, epoch, predict):
    """Return, for each rank, the rows that a loop over its batches gets."""
    ranks = [loader.plan_table(epoch, rank) for rank in range(loader.world)]
    return [
        np.array(
            [
                predict(*row)
                for row in zip(*(table[name].tolist() for name in ("video", "start", "view")), strict=True)
            ]
        )
        for table in ranks
    ]


def naive(loader, ranks, epoch):
    of_video = defaultdict(list)
    for rank, rows in enumerate(ranks):
        table = loader.plan_table(epoch, rank)
        for row, video, padding in zip(rows, table["video"].tolist(), table["padding"].tolist(), strict=True):
            if not padding:
                of_video[video].append(row.astype(np.float64))
    nothing = np.full(ranks[0].shape[1:], np.nan)
    return np.array(
        [np.mean(of_video[video], axis=0) if of_video[video] else nothing for video in loader.dataset]
    )


@given(
    counts=st.lists(st.integers(0, 20), max_size=8).map(lambda counts: [*counts, 9]),
    sampler=st.sampled_from([Windows(3, step=1), Views(4), RandomWindow(5), Segments(3, views=2)]),
    views=st.integers(1, 3),
    world=st.integers(1, 4),
    batch_size=st.integers(1, 5),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    epoch=st.integers(0, 2),
    shape=st.sampled_from([(), (1,), (4,), (2, 3)]),
    dtype=st.sampled_from([np.float64, np.float32, np.float16, np.int32, np.bool_]),
)
def test_mean_of_each_video(*, counts, sampler, epoch, shape, dtype, world, **given_options):
    try:
        loader = loader_of(counts, sampler, world=world, **given_options)
    except OptionError:
        assert given_options["drop_last"]
        return
    rows = loader.plan.rows_per_epoch
    rng = np.random.RandomState(rows)
    ranks = [(100 * rng.random_sample((rows, *shape)) - 50).astype(dtype) for _ in range(world)]
    means = average_views(ranks if world > 1 else ranks[0], loader, epoch=epoch)
    assert means.shape == (len(counts), *shape)
    assert means.dtype == (np.float32 if dtype == np.float32 else np.float64)
    np.testing.assert_allclose(
        means, naive(loader, ranks, epoch), rtol=1e-6 if dtype == np.float32 else 1e-12
    )


def test_rows_go_to_their_videos_and_padding_to_none():
    loader = loader_of([5, 1, 3], Windows(1), world=5)  # 9 clips and one to fill up: video 0 once more
    ranks = predictions_of(loader, 0, lambda video, start, _: [video, 10.0 * start])
    assert sum(map(len, ranks)) == 10
    assert average_views(ranks, loader).tolist() == [[0, 20], [1, 0], [2, 10]]


def test_the_mean_is_the_same_bits_however_the_epoch_is_cut():
    def predict(video, start, view):
        return [1 / (1 + video + start), np.exp(start - view)]

    means = []
    for world, batch_size in ((1, 4), (1, 7), (3, 4), (4, 1)):
        loader = loader_of(
            [40, 17, 3, 25], Views(4), views=3, world=world, batch_size=batch_size, shuffle=True
        )
        ranks = predictions_of(loader, 3, predict)
        means.append(average_views(ranks if world > 1 else ranks[0], loader, epoch=3).tobytes())
    assert len(set(means)) == 1


def test_lists_of_numbers_will_do():
    loader = loader_of([2, 1], Windows(1))
    assert average_views([[1.0], [2.0], [5.0]], loader).tolist() == [[1.5], [5.0]]


def test_sums_are_float64():
    loader = loader_of([3], Windows(1))
    assert average_views(np.float32([2**24, 1, 1]), loader).tolist() == [np.float32((2**24 + 2) / 3)]


@pytest.mark.parametrize(
    ("world", "predictions", "message"),
    [
        (
            1,
            np.zeros((9, 2)),
            (
                "predictions has 9 rows: must have the 8 rows of the epoch; predict each batch of "
                "one epoch once, in order"
            ),
        ),
        (
            2,
            [np.zeros((4, 2)), np.zeros((3, 2))],
            (
                "predictions[1] has 3 rows: must have the 4 rows of the epoch; predict each batch of "
                "one epoch once, in order"
            ),
        ),
        (
            2,
            np.zeros((8, 2)),
            (
                "predictions is a ndarray: must be a list of 2 arrays in the order of the ranks, since the "
                "loader is one of 2 ranks; gather the predictions of all ranks"
            ),
        ),
        (
            2,
            [np.zeros((4, 2))] * 3,
            (
                "predictions is a list of 3: must be a list of 2 arrays in the order of the ranks, since the "
                "loader is one of 2 ranks; gather the predictions of all ranks"
            ),
        ),
        (
            2,
            (np.zeros((4, 2)), np.zeros((4, 3))),
            (
                "predictions[1] of shape (4, 3): must have the shape of predictions[0], (4, 2), apart from "
                "the number of rows"
            ),
        ),
        (
            1,
            np.array(["a"] * 8),
            "predictions of shape (8,) and type <U1: must be numbers, one row for each clip",
        ),
        (
            1,
            0.5,
            "predictions of shape () and type float64: must be numbers, one row for each clip",
        ),
    ],
)
def test_average_views_refuses(world, predictions, message):
    with pytest.raises(OptionError) as error:
        average_views(predictions, loader_of([8], Windows(1), world=world))
    assert str(error.value) == message


def test_ragged_predictions():
    with pytest.raises(OptionError, match="predictions: must be an array, one row for each clip"):
        average_views([[1.0], [1.0, 2.0]], loader_of([2], Windows(1)))


def test_no_such_epoch():
    with pytest.raises(OptionError, match="epoch=-1: must be an integer from 0"):
        average_views(np.zeros(8), loader_of([8], Windows(1)), epoch=-1)


def test_a_shuffled_epoch_must_be_named():
    loader = loader_of([3, 2], Windows(1), shuffle=True)
    with pytest.raises(OptionError, match="epoch=None: must be the epoch that was served"):
        average_views(np.zeros(5), loader)
    assert average_views(np.zeros(5), loader, epoch=3).tolist() == [0, 0]


def test_a_loader_is_asked_for():
    with pytest.raises(OptionError, match="must be the ClipLoader that served"):
        average_views(np.zeros(5), range(5))


def test_what_numpy_does_not_make_an_array():
    class Graph:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("requires grad")

    with pytest.raises(OptionError, match=r"predictions: must be an array, .*requires grad"):
        average_views(Graph(), loader_of([5], Windows(1)))


def test_bfloat16_is_averaged():
    ml_dtypes = pytest.importorskip("ml_dtypes")  # what Keras predicts with in mixed_bfloat16
    predictions = np.array([1, 2, 3], ml_dtypes.bfloat16)
    found = average_views(predictions, loader_of([3], Windows(1)))
    assert (found.dtype, found.tolist()) == (np.float32, [2])
