"""x, y and weight as the options ask for them; plan tables as the way back."""

import gc
import itertools
import pickle
import weakref

import numpy as np
import pytest
from helpers import decode, make_frames, make_masks

import fastclips as fc
from fastclips.errors import OptionError

VIDEOS, FRAMES = 5, 6


def pixels(channels=3):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (VIDEOS, FRAMES, 8, 10, channels), np.uint8)


def masks():
    values = np.random.default_rng(1).integers(0, 3, (VIDEOS, FRAMES, 8, 10), np.uint8)
    values[:, :, 0] = 255
    return values


def dataset(labels=(0, 1, 2, 0, 0), **options):
    return fc.open(images={"image": pixels(), "mask": masks()}, labels=labels, **options)


def batches(data, clips=None, **options):
    options = {"batch_size": 2, "workers": 0, **options}
    with fc.ClipLoader(data, clips or fc.Windows(FRAMES), **options) as loader:
        return list(loader)


PADDED = fc.Windows(4, tail="pad")  # of each video frames 0 to 3, then 4, 5, 5, 5


# Targets


def test_the_label_where_there_is_one():
    assert [len(batch) for batch in batches(dataset())] == [2, 2, 2]
    assert {batch.shape[1:] for batch in batches(dataset(None))} == {(FRAMES, 8, 10, 3)}
    with pytest.raises(OptionError, match="targets='label': this dataset has no labels"):
        batches(dataset(None), targets="label")


def test_labels_of_frames_follow_the_clip():
    labels = np.arange(VIDEOS * FRAMES).reshape(VIDEOS, FRAMES)
    found = np.concatenate([y for _, y in batches(dataset(labels), PADDED)])
    assert (found.dtype, found.shape) == (np.int64, (2 * VIDEOS, 4))
    np.testing.assert_array_equal(found[0], [0, 1, 2, 3])
    np.testing.assert_array_equal(found[1], [4, 5, 5, 5])


@pytest.mark.parametrize("weight", [None, {0: 2.0}, [1.0] * VIDEOS, "valid"])
def test_an_unknown_target_is_named_whatever_the_weight(weight):
    data = dataset(np.zeros((VIDEOS, FRAMES), int))
    with pytest.raises(OptionError, match=r"'frame_labels' in inputs or targets is no stream .* 'label'"):
        batches(data, targets="frame_labels", sample_weight=weight)


def test_targets_of_any_shape():
    labels = np.random.default_rng(0).normal(size=(VIDEOS, 2, 3)).astype(np.float32)
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches(dataset(labels))]), labels)


def test_several_classes():
    labels = np.random.default_rng(0).random((VIDEOS, 4)) < 0.5
    found = np.concatenate([y for _, y in batches(dataset(labels))])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, labels)


def test_valid_tells_padding():
    for x, _ in batches(dataset(), PADDED, inputs=("image", "valid")):
        assert x["valid"].tolist() == [[True] * 4, [True, True, False, False]]
        np.testing.assert_array_equal(x["image"][1, 2], x["image"][1, 1])


def test_padding_of_masks_is_ignored():
    for mask, _ in batches(dataset(ignore=7), PADDED, inputs="mask"):
        assert (mask[1, 2:] == 7).all()
        assert not (mask[:, :2] == 7).any()


# sample_weight


def weights(data, clips=None, **options):
    return np.concatenate([batch[2] for batch in batches(data, clips, **options)])


def test_a_weight_for_each_video():
    given = [0.5, 1, 2, 3, 0]
    found = weights(dataset(), sample_weight=given)
    assert found.dtype == np.float32
    assert found.tolist() == given


def test_a_weight_for_each_class():
    assert weights(dataset(), sample_weight={0: 0.25, 2: 4}).tolist() == [0.25, 1, 4, 0.25, 0.25]
    named = dataset(["a", "b", "c", "a", "a"])
    assert weights(named, sample_weight={"a": 0.25}).tolist() == [0.25, 1, 1, 0.25, 0.25]


def test_weights_of_labels_of_frames():
    labels = np.random.default_rng(0).integers(0, 3, (VIDEOS, FRAMES))
    by = np.array([1, 5, 0.5])
    steps = [[0, 1, 2, 3], [4, 5, 5, 5]] * VIDEOS
    expected = np.array([by[labels[row // 2, step]] for row, step in enumerate(steps)])
    expected[1::2, 2:] = 0  # padding
    found = weights(dataset(labels), PADDED, sample_weight={1: 5, 2: 0.5})
    np.testing.assert_array_equal(found, expected.astype(np.float32))
    valid = weights(dataset(labels), PADDED, sample_weight="valid")
    assert valid.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]] * VIDEOS
    per_video = weights(dataset(labels), PADDED, sample_weight=range(VIDEOS))
    np.testing.assert_array_equal(per_video, np.repeat(np.arange(VIDEOS), 2)[:, None] * valid)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_weights_of_masks(workers):
    table = np.ones(256, np.float32)
    table[[1, 255]] = 5, 0
    options = {"targets": "mask", "workers": workers, "transforms": [fc.RandomFlip()], "shuffle": True}
    for _, y, weight in batches(dataset(), sample_weight={1: 5}, **options):
        assert (weight.dtype, weight.shape) == (np.float32, y.shape)
        np.testing.assert_array_equal(weight, table[y])
    per_video = batches(dataset(), targets="mask", sample_weight=range(VIDEOS))
    found = np.concatenate([weight for *_, weight in per_video])
    shown = np.concatenate([y for _, y, _ in per_video]) != 255
    np.testing.assert_array_equal(found, np.arange(VIDEOS)[:, None, None, None] * shown)
    for _, y, weight in batches(dataset(), PADDED, targets="mask", sample_weight="valid"):
        np.testing.assert_array_equal(weight, y != 255)
        assert not weight[1, 2:].any()


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("target", ["label", "mask", "frames"])
def test_what_fills_up_a_batch_weighs_nothing(target, asked):
    labels = np.zeros((VIDEOS, FRAMES), int) if target == "frames" else (0, 1, 2, 0, 0)
    options = {"targets": "mask" if target == "mask" else "label", "rank": 1, "world": 2}
    *_, (_, y, weight) = batches(dataset(labels), sample_weight=np.ones(VIDEOS) if asked else None, **options)
    assert weight.shape == (y.shape if asked else (len(y), *[1] * (y.ndim - 1)))
    assert (weight[:-1] == (y[:-1] != 255 if asked else 1)).all()
    assert not weight[-1].any()


def test_refused_weights():
    labels = np.zeros((VIDEOS, 2, 3), np.float32)
    refused = [
        (
            dataset(),
            {"sample_weight": [1, 2]},
            r"one number for each of the 5 videos, but is an array of shape \(2,\)",
        ),
        (
            dataset(),
            {"sample_weight": [1, 2, 3, 4, -1]},
            r"sample_weight\[4\]=-1.0: must be a number from 0 that float32 can hold",
        ),
        (dataset(), {"sample_weight": [1, 2, 3, 4, np.nan]}, r"sample_weight\[4\]=nan"),
        (
            dataset(),
            {"sample_weight": {"dive": 1}},
            "names 'dive': must be a class of the dataset, which has '0', '1', '2'",
        ),
        (dataset(), {"sample_weight": [1, 2, 3, 4, 1e39]}, r"sample_weight\[4\]=1e\+39"),
        (dataset(), {"sample_weight": ["1"] * 5}, "one number for each of the 5 videos"),
        (dataset(), {"sample_weight": [1j] * 5}, "one number for each of the 5 videos"),
        (dataset(), {"sample_weight": {0: 1e39}}, "gives 0 the weight 1e"),
        (
            dataset(),
            {"sample_weight": {0: 1, "0": 2}},
            "must name a class once, but names '0' by name and by number",
        ),
        (
            dataset(),
            {"sample_weight": {255: 1}, "targets": "mask"},
            "must not weigh 255, which is ignored",
        ),
        (
            dataset(),
            {"sample_weight": np.ma.masked_array(np.ones(5))},
            "sample_weight: must be a plain array",
        ),
        (dataset(), {"inputs": 3}, "inputs=3: must be the name of a stream"),
        (dataset(), {"sample_weight": {3: 1}}, "sample_weight= for class=3: must be an integer from 0 to 2"),
        (dataset(), {"sample_weight": {0: "x"}}, "gives 0 the weight 'x'"),
        (dataset(), {"sample_weight": "class"}, "sample_weight='class': must be 'valid', a mapping"),
        (dataset(), {"sample_weight": "valid"}, "'label' has no time steps"),
        (dataset(), {"sample_weight": {300: 1}, "targets": "mask"}, "for a mask's value=300"),
        (
            dataset(),
            {"sample_weight": {0: 1}, "targets": None},
            "sample_weight= needs a target, but targets= names none",
        ),
        (
            dataset(),
            {"sample_weight": {0: 1}, "targets": ("mask", "label")},
            "must be a mapping of names of targets to weights, since targets= names mask, label",
        ),
        (dataset(labels), {"sample_weight": {0: 1}}, "needs one class for each video or frame"),
        (dataset(), {"inputs": "valid"}, "inputs='valid': must name a stream"),
    ]
    for data, options, text in refused:
        with pytest.raises(OptionError, match=text):
            batches(data, **options)


def test_targets_of_several_shapes_are_weighed_each_beside_its_own():
    *_, (_, y, weight) = batches(dataset(), targets=("label", "mask"), rank=1, world=2)
    assert {name: array.shape for name, array in weight.items()} == {
        "label": (len(y["label"]),),
        "mask": (len(y["mask"]), 1, 1, 1),
    }


# weights


def drawn(data, epochs=40, **options):
    """The videos that are drawn in some epochs."""
    options = {"batch_size": 2, "workers": 0, "shuffle": True, **options}
    with fc.ClipLoader(data, options.pop("clips", fc.Windows(FRAMES)), **options) as loader:
        return np.concatenate([loader.plan_table(epoch)["video"] for epoch in range(epochs)])


def test_classes_alike_often():
    labels = np.array([0, 1, 2, 0, 0])
    counts = np.bincount(labels[drawn(dataset(), 300, weights="balanced")], minlength=3)
    assert (np.abs(counts / counts.sum() - 1 / 3) < 0.05).all()


def test_chances_by_class_and_by_video():
    assert set(drawn(dataset(), weights={1: 0, 0: 0})) == {2}
    assert set(drawn(dataset(), weights=[0, 1, 0, 0, 1])) == {1, 4}
    videos = drawn(dataset(), 300, weights=[0, 1, 0, 0, 3])
    assert abs(np.mean(videos == 4) - 0.75) < 0.05


def test_weighted_batches_are_the_same_every_time_and_equal_by_rank():
    one, other = (batches(dataset(), shuffle=True, weights="balanced", seed=3) for _ in range(2))
    for (x, y), (u, v) in zip(one, other, strict=True):
        np.testing.assert_array_equal(x, u)
        np.testing.assert_array_equal(y, v)
    ranks = [drawn(dataset(), 1, weights="balanced", rank=rank, world=2, drop_last=True) for rank in (0, 1)]
    assert [len(videos) for videos in ranks] == [2, 2]


def test_refused_chances():
    frames = np.zeros((VIDEOS, FRAMES), int)
    refused = [
        (dataset(), {"weights": "balanced", "shuffle": False}, "shuffle=True"),
        (dataset(), {"weights": "equal"}, "weights='equal': must be 'balanced'"),
        (dataset(), {"weights": [0] * VIDEOS}, "weights"),
        (
            dataset(frames),
            {"weights": "balanced"},
            "needs one class for each video in the labels called 'label'",
        ),
    ]
    for data, options, text in refused:
        with pytest.raises(OptionError, match=text):
            drawn(data, **options)


def test_a_state_whose_batch_was_set_to_another_place():
    """Which place it is depends on batch_size, so a loader of another one refuses it."""
    with fc.ClipLoader(dataset(), fc.Windows(1), batch_size=1, workers=0) as many:
        state = {**many.state_dict(), "batch": 29}
    with (
        fc.ClipLoader(dataset(), fc.Windows(1), batch_size=6, workers=0) as few,
        pytest.raises(OptionError, match="batch=29 and position=0 of the state are two places"),
    ):
        few.load_state_dict(state)


# Plan tables


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    root = make_frames(tmp_path_factory.mktemp("frames"), videos=4, frames=7)
    return fc.open({"image": root, "mask": make_masks(tmp_path_factory.mktemp("masks"), root)})


def test_a_table_leads_back_to_files(pairs):
    with fc.ClipLoader(pairs, fc.Windows(4, tail="pad"), batch_size=3, workers=0, shuffle=True) as loader:
        table = loader.plan_table(1)
        served = list(loader.epoch(1))
    assert set(table) == {
        *("position", "video", "name", "start", "view", "padding", "label", "frames", "paths", "size")
    }
    assert len(table) == 10
    np.testing.assert_array_equal(table["label"], np.concatenate([y for _, y in served]))
    rows = [row for x, _ in served for row in x]
    for row, paths, name, start in zip(rows, table["paths"], table["name"], table["start"], strict=True):
        np.testing.assert_array_equal(row, [decode(path) for path in paths])
        assert f"/{name}/frame_{start + 1:05d}.jpg" in paths[0]
    assert table["frames"].tolist() == [[0, 1, 2, 3] if not s else [4, 5, 6, ~6] for s in table["start"]]
    assert table["size"].tolist() == [[48, 64]] * 8
    assert "8 rows" in repr(table)


def test_every_rank_knows_the_others_tables(pairs):
    options = {"batch_size": 2, "workers": 0, "world": 3, "shuffle": True}
    loaders = [fc.ClipLoader(pairs, fc.Windows(7), rank=rank, **options) for rank in range(3)]
    for rank, loader in itertools.product(range(3), loaders):
        table, own = loader.plan_table(0, rank), loaders[rank].plan_table(0)
        for name in own:
            np.testing.assert_array_equal(table[name], own[name])
    clips = np.concatenate(
        [loader.plan_table(0)["video"][~loader.plan_table(0)["padding"]] for loader in loaders]
    )
    assert sorted(clips.tolist()) == [0, 1, 2, 3]


def test_columns_are_named_and_made_when_they_are_asked_for(pairs):
    with fc.ClipLoader(pairs, fc.Windows(7), batch_size=2, workers=0) as loader:
        table = loader.plan_table(0)
    assert "size" in table
    assert "sizes" not in table
    assert "size" not in table._columns
    with pytest.raises(KeyError, match="there is no column 'sizes'; there are position, video"):
        table["sizes"]
    assert table == table  # noqa: PLR0124 - arrays would not say
    assert table != dict(table)


def test_a_damaged_frame_is_named_by_the_table(tmp_path):
    root = make_frames(tmp_path, videos=1)
    with fc.ClipLoader(fc.open(root), fc.Windows(12), [fc.CenterCrop(32)], batch_size=2, workers=0) as loader:
        path = root / "class_0" / "video_0" / "frame_00001.jpg"
        path.write_bytes(b"garbage!" * 10)
        with pytest.raises(fc.FrameError, match=f"{path}: neither"):
            loader.plan_table(0)["size"]


# Views


def test_views_average_to_one_row_for_each_video(pairs):
    clips = fc.Views(3, temporal=2)
    with fc.ClipLoader(pairs, clips, [fc.ThreeCrop(32)], batch_size=5, workers=0) as loader:
        table = loader.plan_table(0)
        assert table["video"].tolist() == np.repeat(np.arange(4), 6).tolist()
        assert table["view"].tolist() == list(range(6)) * 4
        assert table["start"].tolist() == [0, 0, 0, 4, 4, 4] * 4
        x = np.concatenate([x for x, _ in loader])
        for spatial, left in enumerate((0, 16, 32)):
            with fc.ClipLoader(pairs, clips, batch_size=8, workers=0) as whole:
                full = next(iter(whole))[0]
            np.testing.assert_array_equal(x[spatial::3], full[:, :, 8:40, left : left + 32])
        predictions = np.random.default_rng(0).random((24, 5))
        averaged = fc.average_views(predictions, loader)
    np.testing.assert_allclose(averaged, predictions.reshape(4, 6, 5).mean(axis=1))


def test_tables_of_dropped_loaders_leave_no_memory(pairs):
    """Not even until the next collection: at a million videos a table takes half a gigabyte."""
    with fc.ClipLoader(pairs, fc.Windows(4), batch_size=2, workers=0) as loader:
        table = loader.plan_table(0)
    _ = table["name"], table["label"]
    gone = weakref.ref(table)
    gc.disable()
    try:
        del table
        assert gone() is None
    finally:
        gc.enable()


def test_a_loader_is_not_pickled(pairs):
    with (
        fc.ClipLoader(pairs, fc.Windows(4), batch_size=2, workers=0) as loader,
        pytest.raises(TypeError, match="pickle its dataset, and make a loader there"),
    ):
        pickle.dumps(loader)
