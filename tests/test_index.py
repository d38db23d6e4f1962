from __future__ import annotations

import logging
import pickle
from collections import Counter
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fastclips.errors import DataError, OptionError
from fastclips.index import Dataset, Index, open_dataset
from fastclips.spec import Stream


def write(root, *paths):
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(path.encode())
    return root


# Opening


def test_a_folder_becomes_columns(tmp_path):
    write(tmp_path, "c10/v1/1.jpg", "c9/v10/1.jpg", "c9/v9/1.jpg", "c9/v9/2.jpg", "c9/deep/er/1.jpg")
    data = open_dataset(tmp_path)
    assert data.index.names == ("c9/deep/er", "c9/v9", "c9/v10", "c10/v1")
    assert data.classes == ("c9", "c10")
    assert data.index.labels.tolist() == [0, 0, 0, 1]
    assert data.index.frame_counts.tolist() == [1, 2, 1, 1]
    assert data.index.keys.tolist() == [0, 1, 2, 3]
    assert {column.dtype for column in (data.index.labels, data.index.frame_counts, data.index.keys)} == {
        np.dtype(np.int64)
    }
    assert data.streams == (Stream("image"),)
    assert len(data) == 4
    assert data.storage.read("image", 1, 1) == b"c9/v9/2.jpg"


def test_each_class_is_one_run_of_videos(tmp_path):
    # As plain strings, "a-b/v" would come between "a" and "a/v".
    write(tmp_path, "a/v/1.jpg", "a/1.jpg", "a-b/v/1.jpg", "A/v/1.jpg")
    data = open_dataset(str(tmp_path))
    assert data.classes == ("A", "a", "a-b")
    assert data.index.labels.tolist() == [0, 1, 1, 2]


def test_repr_is_one_line_that_says_what_there_is(tmp_path):
    write(tmp_path, "i/a/v/1.jpg", "i/a/v/2.jpg", "m/a/v/1.png", "m/a/v/2.png")
    data = open_dataset({"image": tmp_path / "i", "mask": tmp_path / "m"})
    assert repr(data) == "<Dataset: 1 videos, 2 frames, 1 classes; image, mask (mask)>"


def test_a_pattern_holds_for_every_stream(tmp_path):
    write(tmp_path, "i/a/v/img_1.jpg", "i/a/v/flow_1.jpg", "m/a/v/img_1.png")
    data = open_dataset({"image": tmp_path / "i", "mask": tmp_path / "m"}, frames="img_*")
    assert data.index.frame_counts.tolist() == [1]


def test_class_folders_that_hold_frames_are_videos_and_logged(tmp_path, caplog):
    write(tmp_path, "bear/1.jpg", "camel/1.jpg")
    data = open_dataset(tmp_path)
    assert data.index.names == data.classes == ("bear", "camel")
    (message,) = caplog.messages
    assert message == (
        f"Each of the 2 classes in '{tmp_path}' is a single video, since frames lie in the class folders. "
        "If these folders are videos of one class, open the folder above."
    )


def test_nothing_is_logged_when_some_video_has_a_class_of_its_own(tmp_path, caplog):
    write(tmp_path, "bear/1.jpg", "camel/v/1.jpg")
    with caplog.at_level(logging.DEBUG):
        open_dataset(tmp_path)
    assert not caplog.messages


def test_errors_of_the_scan_pass_through(tmp_path):
    write(tmp_path, "a/v/1.jpg")
    with pytest.raises(DataError, match=f"'{tmp_path}/no' does not exist"):
        open_dataset({"image": tmp_path, "mask": tmp_path / "no"})


# Streams


def test_streams_pair_by_stem_whatever_the_extension(tmp_path):
    write(tmp_path, "i/a/v/f9.jpg", "i/a/v/f10.jpeg", "i/a/v/f1.png", "i/a/v10/1.jpg", "i/a/v9/1.jpg")
    write(tmp_path, "m/a/v/f9.png", "m/a/v/f10.png", "m/a/v/f1.jpg", "m/a/v10/1.PNG", "m/a/v9/1.png")
    data = open_dataset({"rgb": tmp_path / "i", "labels": tmp_path / "m"}, masks=["labels"])
    assert data.streams == (Stream("rgb"), Stream("labels", mask=True))
    for video, count in enumerate(data.index.frame_counts):
        for frame in range(count):
            rgb, labels = (data.storage.where(s.name, video, frame) for s in data.streams)
            assert rgb.rpartition(".")[0].replace("/i/", "/m/") == labels.rpartition(".")[0]


PAIRED = (
    "Streams are paired by the videos' folders and the frames' names without extension: "
    "add what is missing, or remove its partners."
)


@pytest.mark.parametrize(("full", "lacking"), [("image", "mask"), ("mask", "image")])
def test_a_missing_frame_names_its_stream(tmp_path, full, lacking):
    write(tmp_path, *(f"{full}/a/v/{n}.jpg" for n in range(12)), f"{full}/a/w/1.jpg")
    write(tmp_path, *(f"{lacking}/a/v/{n}.png" for n in range(5)), f"{lacking}/a/w/1.jpg")
    with pytest.raises(DataError) as caught:
        open_dataset({"image": tmp_path / "image", "mask": tmp_path / "mask"})
    assert str(caught.value) == (
        f"stream '{lacking}' in '{tmp_path}/{lacking}' lacks 7 of the 13 frames of all streams: "
        f"'a/v/5', 'a/v/6', 'a/v/7', 'a/v/8', 'a/v/9', .... {PAIRED}"
    )


@pytest.mark.parametrize(("full", "lacking"), [("image", "mask"), ("mask", "image")])
def test_a_missing_video_names_its_stream(tmp_path, full, lacking):
    write(tmp_path, *(f"{full}/a/v{n}/1.jpg" for n in (1, 2, 10)), f"{lacking}/a/v2/1.jpg")
    with pytest.raises(DataError) as caught:
        open_dataset({"image": tmp_path / "image", "mask": tmp_path / "mask"})
    assert str(caught.value) == (
        f"stream '{lacking}' in '{tmp_path}/{lacking}' lacks 2 of the 3 videos of all streams: "
        f"'a/v1', 'a/v10'. {PAIRED}"
    )


def test_equal_counts_of_different_frames_do_not_pair(tmp_path):
    write(tmp_path, "i/a/v/1.jpg", "i/a/v/2.jpg", "m/a/v/2.png", "m/a/v/3.png")
    with pytest.raises(
        DataError, match=r"stream 'image' in .* lacks 1 of the 3 frames of all streams: 'a/v/3'"
    ):
        open_dataset({"image": tmp_path / "i", "mask": tmp_path / "m"})


def test_no_stream():
    with pytest.raises(OptionError, match=r"source=\{\} names no stream"):
        open_dataset({})


@pytest.mark.parametrize("masks", ["label", ["label"]])
def test_a_mask_that_is_no_stream(tmp_path, masks):
    write(tmp_path, "a/v/1.jpg")
    with pytest.raises(OptionError, match=r"names 'label', but the streams are image\."):
        open_dataset(tmp_path, masks=masks)


def test_one_mask_may_be_a_string(tmp_path):
    write(tmp_path, "a/v/1.png")
    assert open_dataset(tmp_path, masks="image").streams == (Stream("image", mask=True),)


# Splitting


def dataset(labels, classes):
    labels = np.array(labels, np.int64)
    keys = np.arange(len(labels)) + 100
    names = tuple(f"{label}/{key}" for label, key in zip(labels, keys, strict=True))
    index = Index(names, keys, keys % 7 + 1, labels, tuple(map(str, range(classes))))
    return Dataset(None, index, (Stream("image"),))


@st.composite
def splits(draw):
    classes = draw(st.integers(1, 6))
    data = dataset(draw(st.lists(st.integers(0, classes - 1), min_size=2, max_size=60)), classes)
    share = draw(st.sampled_from([0.1, 0.2, 0.25, 0.29, 0.3, 0.5, 0.7, 0.9]) | st.floats(0.01, 0.99))
    assume(0 < round(share * len(data)) < len(data))
    return data, share, draw(st.integers(0, 2**64 - 1))


@given(splits())
def test_the_halves_are_disjoint_and_whole_and_in_order(case):
    data, share, seed = case
    training, validation = data.split(share, seed)
    assert len(validation) == round(share * len(data))
    assert sorted([*training.index.keys, *validation.index.keys]) == data.index.keys.tolist()
    for half in (training, validation):
        rows = half.index.keys - 100
        assert (np.diff(rows) > 0).all()
        assert half.index.names == tuple(data.index.names[row] for row in rows)
        assert half.index.labels.tolist() == data.index.labels[rows].tolist()
        assert half.index.frame_counts.tolist() == data.index.frame_counts[rows].tolist()
        assert half.classes == data.classes
        assert half.storage is data.storage
        assert half.streams == data.streams


@given(splits())
def test_every_class_gives_its_share(case):
    data, share, seed = case
    taken = Counter(data.split(share, seed)[1].index.labels.tolist())
    for label, size in Counter(data.index.labels.tolist()).items():
        exact = Fraction(share) * size
        assert floor(exact) <= taken[label] <= ceil(exact)


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


def test_a_half_can_be_split_again():
    data = dataset([0] * 10 + [1] * 10 + [2], 3)
    rest, test = data.split(0.2, 1)
    training, validation = rest.split(0.25, 1)
    assert len(training) + len(validation) + len(test) == 21
    assert training.classes == ("0", "1", "2")


@pytest.mark.parametrize("share", [0, 1, 1.5, -0.1, float("nan")])
def test_a_share_out_of_range(share):
    with pytest.raises(OptionError, match=rf"validation={share} must lie between 0 and 1"):
        dataset([0, 0], 1).split(share)


@pytest.mark.parametrize(("share", "training", "validation"), [(0.1, 3, 0), (0.9, 0, 3)])
def test_a_half_that_would_be_empty(share, training, validation):
    with pytest.raises(OptionError) as caught:
        dataset([0, 0, 1], 2).split(share)
    assert str(caught.value) == (
        f"validation={share} of 3 videos leaves {training} to train on and {validation} to validate on: "
        "each needs one or more. Change validation= or add videos."
    )


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range(seed):
    with pytest.raises(OptionError, match=rf"seed={seed} must be at least 0 and below 2\*\*64"):
        dataset([0, 0], 1).split(0.5, seed)


def test_a_dataset_survives_pickling(tmp_path):
    write(tmp_path, *(f"{c}/v{n}/{f}.jpg" for c in "ab" for n in range(4) for f in range(3)))
    _, validation = open_dataset(tmp_path).split(0.25)
    again = pickle.loads(pickle.dumps(validation))
    assert repr(again) == repr(validation) == "<Dataset: 2 videos, 6 frames, 2 classes; image>"
    for name, key in zip(again.index.names, again.index.keys, strict=True):
        assert again.storage.read("image", key, 2) == f"{name}/2.jpg".encode()
