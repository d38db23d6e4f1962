"""Folders become columns; videos are chosen by name, as official splits list them."""

from __future__ import annotations

import logging
import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastclips.data.dataset import Dataset
from fastclips.data.index import Index
from fastclips.data.labels import Labels
from fastclips.data.names import Names
from fastclips.data.opening import open_dataset
from fastclips.errors import DataError, OptionError
from fastclips.spec import StreamSpec


def write(root, *paths):
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(path.encode())
    return root


# Folders


def test_a_folder_becomes_columns(tmp_path):
    write(tmp_path, "c10/v1/1.jpg", "c9/v10/1.jpg", "c9/v9/1.jpg", "c9/v9/2.jpg", "c9/deep/er/1.jpg")
    data = open_dataset(tmp_path)
    index = data.index
    assert list(index.names) == ["c9/deep/er", "c9/v9", "c9/v10", "c10/v1"]
    assert data.classes == ("c9", "c10")
    assert index.labels.per_video.tolist() == [0, 0, 0, 1]
    assert index.frame_counts.tolist() == [1, 2, 1, 1]
    assert index.keys.tolist() == [0, 1, 2, 3]
    assert index.starts.tolist() == [0, 0, 0, 0]
    assert index.fps is None
    columns = (index.labels.per_video, index.frame_counts, index.keys, index.starts)
    assert {column.dtype for column in columns} == {np.dtype(np.int64)}
    assert data.streams == (StreamSpec("image"),)
    assert len(data) == 4
    assert data.storage.read("image", 1, 1) == b"c9/v9/2.jpg"


def test_each_class_is_one_run_of_videos(tmp_path):
    # As plain strings, "a-b/v" would come between "a" and "a/v".
    write(tmp_path, "a/v/1.jpg", "a/1.jpg", "a-b/v/1.jpg", "A/v/1.jpg")
    data = open_dataset(str(tmp_path))
    assert data.classes == ("A", "a", "a-b")
    assert data.index.labels.per_video.tolist() == [0, 1, 1, 2]


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
    assert list(data.index.names) == list(data.classes) == ["bear", "camel"]
    (message,) = caplog.messages
    assert message == (
        f"Each of the 2 classes in '{tmp_path}' is a single video, since the class folders hold frames. "
        "If these folders are videos of one class, open the parent folder, or set labels=None."
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
    assert data.streams == (StreamSpec("rgb"), StreamSpec("labels", kind="mask"))
    for video, count in enumerate(data.index.frame_counts):
        for frame in range(count):
            rgb, labels = (data.storage.where(s.name, video, frame) for s in data.streams)
            assert rgb.rpartition(".")[0].replace("/i/", "/m/") == labels.rpartition(".")[0]


def test_a_missing_frame_is_an_error_or_dropped(tmp_path, caplog):
    write(tmp_path, *(f"i/a/v/{n}.jpg" for n in range(4)), *(f"m/a/v/{n}.png" for n in (0, 3)))
    streams = {"image": tmp_path / "i", "mask": tmp_path / "m"}
    with pytest.raises(
        DataError,
        match=f"stream 'mask' in '{tmp_path}/m' lacks 2 of the 4 frames of all streams: 'a/v/1.jpg'",
    ):
        open_dataset(streams)
    data = open_dataset(streams, unpaired="drop")
    assert [data.storage.read("image", 0, frame) for frame in (0, 1)] == [b"i/a/v/0.jpg", b"i/a/v/3.jpg"]
    assert "Dropped 0 videos (none) and 2 frames without a partner." in caplog.messages


def test_no_stream():
    with pytest.raises(OptionError, match=r"source=\{\}: must name a stream"):
        open_dataset({})


@pytest.mark.parametrize("masks", ["label", ["label"]])
def test_a_mask_that_is_no_stream(tmp_path, masks):
    write(tmp_path, "a/v/1.jpg")
    with pytest.raises(OptionError, match=r"must name streams, but 'label' is not one of image"):
        open_dataset(tmp_path, masks=masks)


def test_one_mask_may_be_a_string(tmp_path):
    write(tmp_path, "a/v/1.png")
    assert open_dataset(tmp_path, masks="image").streams == (StreamSpec("image", kind="mask"),)


def test_a_dataset_survives_pickling(tmp_path):
    write(tmp_path, *(f"{c}/v{n}/{f}.jpg" for c in "ab" for n in range(4) for f in range(3)))
    _, validation = open_dataset(tmp_path).split(0.25)
    again = pickle.loads(pickle.dumps(validation))
    assert repr(again) == repr(validation) == "<Dataset: 2 videos, 6 frames, 2 classes; image>"
    for name, key in zip(again.index.names, again.index.keys, strict=True):
        assert again.storage.read("image", key, 2) == f"{name}/2.jpg".encode()


# Rows


def dataset(*names, labels=None, keys=None):
    """One row for each name; rows with one key are parts of one video."""
    keys = np.arange(len(names)) if keys is None else np.array(keys)
    index = Index(
        names=Names.of(names),
        keys=keys + 100,
        starts=np.arange(len(names)) * 10,
        frame_counts=np.arange(len(names)) + 1,
        labels=None if labels is None else Labels.of_classes(np.array(labels), max(labels) + 1),
        classes=() if labels is None else tuple(map(str, range(max(labels) + 1))),
        fps=np.arange(len(names)) + 0.5,
    )
    return Dataset(None, index, (StreamSpec("image"),))


@given(st.lists(st.integers(0, 4)))
def test_rows_are_taken_with_all_their_columns(rows):
    index = dataset(*"abcde", labels=[1, 0, 1, 1, 0]).index
    taken = index.take(np.array(rows, np.int64))
    assert len(taken) == len(rows)
    assert list(taken.names) == ["abcde"[row] for row in rows]
    assert taken.keys.tolist() == [100 + row for row in rows]
    assert taken.starts.tolist() == [10 * row for row in rows]
    assert taken.frame_counts.tolist() == [1 + row for row in rows]
    assert taken.labels.per_video.tolist() == [[1, 0, 1, 1, 0][row] for row in rows]
    assert taken.fps.tolist() == [0.5 + row for row in rows]
    assert taken.classes == index.classes


# Choosing by name


def chosen(data, names):
    selected = data.select(names)
    assert selected.storage is data.storage
    assert selected.streams == data.streams
    assert selected.classes == data.classes
    return (selected.index.keys - 100).tolist()


def test_names_are_taken_in_their_order_and_once():
    data = dataset("a/v1", "a/v2", "b/v1", "b/v2")
    assert chosen(data, ["b/v1", "a/v1", "b/v1", "./b/v2/"]) == [2, 0, 3]
    assert chosen(data, iter(("a/v2",))) == [1]
    assert chosen(data, data.index.names) == [0, 1, 2, 3]


def test_a_chosen_dataset_can_be_chosen_from():
    data = dataset("a/v1", "a/v2", "b/v1").select(["b/v1", "a/v1"])
    assert chosen(data, ["a/v1", "b/v1"]) == [0, 2]
    with pytest.raises(DataError, match="'a/v2'"):
        data.select(["a/v2"])


def test_all_parts_of_a_video_are_chosen():
    selected = dataset("a", "b", "a", "c", "a", keys=[0, 1, 0, 2, 0]).select(["c", "a.mp4"])
    assert selected.index.keys.tolist() == [102, 100, 100, 100]
    assert selected.index.starts.tolist() == [30, 0, 20, 40]


def test_extensions_of_video_files_are_ignored_unless_a_video_is_called_so():
    data = dataset("a/clip", "a/clip.avi", "a/other", "a/v.2")
    assert chosen(data, ["a/clip.avi", "a/clip.mp4", "a/other.MPG", "a/v.2", "a/v.2.webm"]) == [1, 0, 2, 3]


UCF101 = ["ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01", "YoYo/v_YoYo_g01_c02", "Archery/v_Archery_g03_c01"]


@pytest.mark.parametrize(
    "text",
    [
        "YoYo/v_YoYo_g01_c02.avi 101\nApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\n",
        "YoYo/v_YoYo_g01_c02.avi\nApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi",
        "\ufeffYoYo/v_YoYo_g01_c02\t101\r\n\r\nApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01 1\r\n",
    ],
)
@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_split_files_of_ucf101(tmp_path, text, kind):
    (tmp_path / "trainlist01.txt").write_bytes(text.encode())
    assert chosen(dataset(*UCF101), kind(tmp_path / "trainlist01.txt")) == [1, 0]


def test_names_with_blanks(tmp_path):
    data = dataset("playing guitar/abc", "playing guitar/abc 12", "playing guitar", "ü/v")
    (tmp_path / "list.txt").write_text(
        "playing guitar/abc 7\nü/v.mp4 3\nplaying guitar/abc 12\nplaying guitar\n", "utf-8"
    )
    assert chosen(data, tmp_path / "list.txt") == [0, 3, 1, 2]
    assert chosen(data, ["playing guitar/abc 12"]) == [1]
    with pytest.raises(DataError, match="'playing guitar/abc 7'"):
        data.select(["playing guitar/abc 7"])


def test_unknown_names():
    data = dataset("a/v1", "a/v2", "b/v1")
    with pytest.raises(DataError) as caught:
        data.select(["a/v1", *(f"x/v{n}.avi" for n in range(6))])
    assert str(caught.value) == (
        "select: 6 of 7 names match no video: 'x/v0.avi', 'x/v1.avi', 'x/v2.avi', 'x/v3.avi', 'x/v4.avi', "
        ".... Names of this dataset look like 'a/v1', 'a/v2'."
    )


def test_an_unknown_line_is_shown_whole(tmp_path):
    (tmp_path / "list.txt").write_text("a/v1 0\nx/v1 5\n")
    with pytest.raises(DataError, match=r"^select: 1 of 2 names match no video: 'x/v1 5'"):
        dataset("a/v1").select(tmp_path / "list.txt")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("gone.txt", "No such file or directory"),
        ("folder", "Is a directory"),
        ("bytes.txt", "'utf-8' codec can't decode"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, name, why):
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes.txt").write_bytes(b"a/\xff\xfe\n")
    with pytest.raises(DataError, match=f"^cannot read '{tmp_path}/{name}': {why}.* select takes names, or"):
        dataset("a").select(tmp_path / name)


@pytest.mark.parametrize("names", [[], ()])
def test_choosing_none(names):
    with pytest.raises(OptionError, match=f"^names={re.escape(repr(names))}: must hold at least one name"):
        dataset("a").select(names)


def test_a_file_without_names(tmp_path):
    (tmp_path / "list.txt").write_text("\n  \n")
    with pytest.raises(OptionError, match=r"^names=.*list\.txt'\)?: must hold at least one name"):
        dataset("a").select(tmp_path / "list.txt")


@pytest.mark.parametrize("names", [3, ["a", 3], np.array([3])])
def test_choosing_by_what_is_no_name(names):
    with pytest.raises(OptionError, match=r"^names=.*3.*: must be names of videos, or the path"):
        dataset("a").select(names)
