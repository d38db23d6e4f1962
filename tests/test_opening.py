"""Data sets as people have them, opened as docs/data.md says."""

import re

import numpy as np
import pytest
from helpers import frames_of, labels, make_frames, make_masks, no_listing, parts, touch

import fastclips as fc
from fastclips.errors import DataError, OptionError

# Lists


def test_mmaction2_lists_without_reading_a_directory(rawframes, monkeypatch):
    (rawframes / "train.txt").write_text("dive/a 5 0\ndive/b 6 0\nswim/c 7 1\n")
    no_listing(monkeypatch)
    data = fc.open(
        rawframes / "train.txt",
        root=rawframes / "rawframes",
        columns="path length label",
        frames="img_{:05d}.jpg",
    )
    assert parts(data) == [("dive/a", 0, 5), ("dive/b", 0, 6), ("swim/c", 0, 7)]
    assert (labels(data), data.classes) == ([0, 0, 1], ("0", "1"))
    assert data.storage.where("image", 2, 6) == f"{rawframes}/rawframes/swim/c/img_00007.jpg"


def test_mmaction2_lists_with_offsets(rawframes):
    (rawframes / "train.txt").write_text("dive/a 0 3 0\ndive/a 2 3 1\nswim/c 4 3 1\n")
    for frames in (None, "img_*.jpg", "img_{:05}.jpg"):
        data = fc.open(
            rawframes / "train.txt",
            root=rawframes / "rawframes",
            columns="path start length label",
            frames=frames,
        )
        assert parts(data) == [("dive/a", 0, 3), ("dive/a", 2, 3), ("swim/c", 4, 3)]
        assert data.index.keys.tolist() == [0, 0, 1]


def test_several_labels(rawframes):
    (rawframes / "train.txt").write_text("dive/a 5 0 2\ndive/b 6 1\nswim/c 7 0 1 2\n")
    data = fc.open(rawframes / "train.txt", root=rawframes / "rawframes", columns="path length labels")
    y = data.index.labels.targets(np.arange(3), np.zeros((3, 2), np.int32))
    assert (y.dtype, y.tolist()) == (np.float32, [[1, 0, 1], [0, 1, 0], [1, 1, 1]])


def test_slowfast_lists_of_extracted_frames(rawframes):
    (rawframes / "train.csv").write_text("dive/a.mp4 3\nswim/c.mp4 0\n")
    data = fc.open(rawframes / "train.csv", root=rawframes / "rawframes", columns="path label")
    assert (list(data.index.names), labels(data)) == (["dive/a", "swim/c"], [3, 0])


def test_jester_lists(tmp_path):
    for video in ("34870", "56557"):
        frames_of(tmp_path, video, 4, "{:05d}.jpg")
    (tmp_path / "train.csv").write_text("34870;Drumming Fingers\n56557;Sliding Two Fingers Right\n")
    data = fc.open(tmp_path / "train.csv", columns="path;label")
    assert data.classes == ("Drumming Fingers", "Sliding Two Fingers Right")
    assert (list(data.index.names), labels(data)) == (["34870", "56557"], [0, 1])


def test_two_lists_agree_by_classes(rawframes):
    root = rawframes / "rawframes"
    train = fc.open([{"path": "dive/a", "label": "dive"}, {"path": "swim/c", "label": "swim"}], root=root)
    val = fc.open([{"path": "swim/c", "label": "swim"}], root=root, classes=train.classes)
    assert (labels(train), labels(val), val.classes) == ([0, 1], [1], ("dive", "swim"))
    with pytest.raises(DataError, match="'jump'"):
        fc.open([{"path": "swim/c", "label": "jump"}], root=root, classes=train.classes)


def test_a_csv_with_a_header_finds_its_own_folder(rawframes):
    (rawframes / "rawframes" / "all.csv").write_text("path,label,fps\ndive/a,x,25\nswim/c,y,29.97\n")
    data = fc.open(rawframes / "rawframes" / "all.csv")
    assert data.index.fps.tolist() == [25, 29.97]
    assert data.select(["swim/c"]).index.fps.tolist() == [29.97]


def test_ucf101_split_files(tmp_path):
    videos = [f"{c}/v_{c}_g0{g}_c01" for c in ("Archery", "Basketball") for g in (1, 2, 8)]
    for video in videos:
        frames_of(tmp_path / "UCF-101", video, 3)
    (tmp_path / "trainlist01.txt").write_text(
        "".join(f"{v}.avi {1 + (v[0] == 'B')}\n" for v in videos if "g08" in v)
    )
    (tmp_path / "testlist01.txt").write_text("".join(f"{v}.avi\n" for v in videos if "g08" not in v))
    data = fc.open(tmp_path / "UCF-101")
    train, test = data.select(tmp_path / "trainlist01.txt"), data.select(tmp_path / "testlist01.txt")
    assert (labels(train), labels(test)) == ([0, 1], [0, 0, 1, 1])
    one, other = data.split(0.34, group=r"_(g\d+)_")
    groups = [{name.split("_")[2] for name in half.index.names} for half in (one, other)]
    assert not groups[0] & groups[1]
    assert len(groups[1]) == 1


def test_rows_of_one_path_stay_on_one_side(rawframes):
    rows = [(path, 0, start, 1) for path in ("dive/a", "dive/b", "swim/c") for start in range(5)]
    data = fc.open(rows, root=rawframes / "rawframes")
    for seed in range(5):
        train, val = data.split(0.4, seed)
        assert (len(train), len(val)) == (10, 5)
        assert not set(train.index.names) & set(val.index.names)


@pytest.mark.parametrize("drop", [False, True])
def test_a_row_without_frames(rawframes, drop, caplog):
    rows = [("dive/a", 0), ("dive/gone", 1), ("swim/c", 1)]
    if drop:
        data = fc.open(rows, root=rawframes / "rawframes", unpaired="drop")
        assert (list(data.index.names), labels(data)) == (["dive/a", "swim/c"], [0, 1])
        assert "Dropped 1 of the list's 3 rows, whose frames are missing." in caplog.messages
    else:
        with pytest.raises(DataError, match=r"row 1 .*no file or folder 'dive/gone' below [^,]*\. Set root="):
            fc.open(rows, root=rawframes / "rawframes")


@pytest.mark.parametrize(("start", "length"), [(0, 6), (5, 1), (4, 2)])
def test_a_part_beyond_the_video(rawframes, start, length):
    with pytest.raises(
        DataError, match=rf"start={start} and length={length} exceed the 5 frames of 'dive/a'"
    ):
        fc.open([("dive/a", 0, start, length)], root=rawframes / "rawframes")


def test_a_list_that_is_longer_than_its_folders(rawframes):
    with pytest.raises(
        DataError, match=r"img_00009\.jpg' does not exist, but the list gives its folder at least 9"
    ):
        fc.open([("dive/a", 0, 0, 9)], root=rawframes / "rawframes", frames="img_{:05d}.jpg")


@pytest.mark.parametrize("other", ["dive//a", "dive/./a", "./dive/a/", "{root}/dive/a", "{root}/dive//a/."])
def test_one_folder_has_one_name(rawframes, other):
    root = rawframes / "rawframes"
    data = fc.open([("dive/a", 0), (other.format(root=root), 0), ("swim/c", 1)], root=root)
    assert list(data.index.names) == ["dive/a", "dive/a", "swim/c"]
    assert data.index.keys.tolist() == [0, 0, 1]
    for seed in range(8):
        one, two = data.split(0.5, seed)
        assert not set(one.index.names) & set(two.index.names)


def test_absolute_paths_stay_where_streams_have_several_roots(tmp_path):
    frames_of(tmp_path / "image", "v", 2)
    frames_of(tmp_path / "mask", "v", 2)
    roots = {"image": tmp_path / "image", "mask": tmp_path / "mask"}
    with pytest.raises(DataError, match="would show the same files"):
        fc.open([(f"{tmp_path}/image/v", 0)], root=roots)


def test_numbered_rows_without_a_folder(rawframes):
    root = rawframes / "rawframes"
    rows = [("dive/gone", 0, 0, 5), ("dive/a", 1, 0, 5)]
    with pytest.raises(
        DataError, match=r"row 0 .*cannot read the folder '.*/dive/gone': No such file .*; set root=, correct"
    ):
        fc.open(rows, root=root, frames="img_{:05d}.jpg")
    with pytest.raises(DataError, match="No such file or directory; correct the list"):
        fc.open([("/nowhere/v", 0, 0, 5)], root=root, frames="img_{:05d}.jpg")
    data = fc.open(rows, root=root, frames="img_{:05d}.jpg", unpaired="drop")
    assert (parts(data), labels(data)) == ([("dive/a", 0, 5)], [1])


@pytest.mark.parametrize("pattern", ["IMG_*.jpg", "img_{:05x}.jpg", "*.JPG", "", "img_{:06d}.jpg"])
def test_a_pattern_that_matches_nothing(rawframes, pattern):
    match = (
        rf"row 0 .*frames={re.escape(repr(pattern))} matches no frame in 'dive/a', such as 'img_00001.jpg'"
    )
    with pytest.raises(DataError, match=match) as caught:
        fc.open([("dive/a", 0)], root=rawframes / "rawframes", frames=pattern)
    assert "root=" not in str(caught.value)
    with pytest.raises(DataError, match=r"none of the list's 1 folders holds frames: frames=.* matches no"):
        fc.open([("dive/a", 0)], root=rawframes / "rawframes", frames=pattern, unpaired="drop")


def test_rows_without_frames_are_counted(rawframes):
    (rawframes / "rawframes/empty").mkdir()
    for rows, said in (
        (
            ["gone", "away", "swim/c"],
            r"'gone' below [^,]*, nor are there frames in 1 other folders of 3",
        ),
        (["empty", "gone"], r"no frames in 'empty' below [^,]*, nor in 1 other folders of 2\. Set"),
        (["empty"], r"no frames in 'empty' below [^,]*\. Set root="),
    ):
        with pytest.raises(DataError, match=said):
            fc.open({"path": rows}, root=rawframes / "rawframes")


def test_an_absolute_folder_without_frames_needs_no_root(tmp_path):
    with pytest.raises(DataError, match=r"there is no file or folder '/nowhere/v'\. Correct the list") as e:
        fc.open([("/nowhere/v", 0)], root=tmp_path)
    assert "root=" not in str(e.value)


@pytest.mark.parametrize("place", ["{0:05d}", "{i:05d}"])
def test_places_for_the_number_by_name(rawframes, place, monkeypatch):
    no_listing(monkeypatch)
    data = fc.open([("dive/a", 0, 0, 5)], root=rawframes / "rawframes", frames=f"img_{place}.jpg")
    assert data.storage.where("image", 0, 4).endswith("img_00005.jpg")


@pytest.mark.parametrize(("text", "expected"), [("1 v 1", [0]), ("1 v 3\n2 v 1", [2, 0])])
def test_numeric_names_of_classes(tmp_path, text, expected):
    for video in ("1/v", "2/v", "3/v"):
        frames_of(tmp_path / "train", video, 2)
    train = fc.open(tmp_path / "train")
    (tmp_path / "val.txt").write_text("".join(f"{line[0]}/v {line[-1]}\n" for line in text.split("\n")))
    val = fc.open(tmp_path / "val.txt", root=tmp_path / "train", columns="path label", classes=train.classes)
    assert (train.classes, labels(val)) == (("1", "2", "3"), expected)


def test_frame_labels_and_dropped_frames(tmp_path):
    frames_of(tmp_path / "image", "v", 4)
    frames_of(tmp_path / "mask", "v", 3)
    roots = {"image": tmp_path / "image", "mask": tmp_path / "mask"}
    with pytest.raises(DataError, match=r"row 0 .*unpaired='drop' drops frames of this video"):
        fc.open([{"path": "v", "frame_labels": [0, 1, 0, 1]}], root=roots, unpaired="drop")


def test_gaps_are_reported(rawframes, caplog):
    (rawframes / "rawframes" / "dive" / "b" / "img_00003.jpg").unlink()
    data = fc.open(rawframes / "rawframes")
    assert data.index.frame_counts.tolist() == [5, 5, 7]
    assert "Frame numbers are missing in 1 of 3 videos, such as 'dive/b'" in caplog.text


def test_rows_that_name_frames(tmp_path):
    with pytest.raises(DataError, match="each row must name a folder of frames"):
        fc.open([("dive/a/img_00001.jpg", 0)], root=tmp_path)


# Labels


def test_no_labels_make_every_folder_a_video(rawframes):
    touch(rawframes / "rawframes", "1.jpg")
    data = fc.open(rawframes / "rawframes", labels=None)
    assert list(data.index.names) == [".", "dive/a", "dive/b", "swim/c"]
    assert (data.index.labels, data.classes) == (None, ())
    assert data.storage.where("image", 0, 0).endswith("rawframes/./1.jpg")


def test_folders_with_given_classes(rawframes):
    data = fc.open(rawframes / "rawframes", classes=["swim", "fly", "dive"])
    assert (labels(data), data.classes) == ([2, 2, 0], ("swim", "fly", "dive"))
    with pytest.raises(DataError, match=r"classes= must name 'dive', folders in .*; it has 'swim'"):
        fc.open(rawframes / "rawframes", classes=["swim"])


# Streams


def test_davis(tmp_path):
    for video in ("bear", "camel"):
        frames_of(tmp_path / "JPEGImages/480p", video, 3, "{:05d}.jpg", 0)
        frames_of(tmp_path / "Annotations/480p", video, 3, "{:05d}.png", 0)
    touch(tmp_path, "ImageSets/2017/train.txt")
    (tmp_path / "ImageSets/2017/train.txt").write_text("camel\n")
    roots = {"image": tmp_path / "JPEGImages/480p", "mask": tmp_path / "Annotations/480p"}
    data = fc.open(roots, labels=None)
    assert list(data.index.names) == ["bear", "camel"]
    assert list(data.select(tmp_path / "ImageSets/2017/train.txt").index.names) == ["camel"]
    assert (
        fc.open([["camel"]], root=roots, columns="path")
        .storage.where("mask", 0, 2)
        .endswith("camel/00002.png")
    )


def test_youtube_vos_with_masks_for_some(tmp_path, caplog):
    frames_of(tmp_path / "JPEGImages", "0a2f", 11, "{:05d}.jpg", 0)
    touch(tmp_path / "Annotations", *(f"0a2f/{number:05d}.png" for number in (0, 5, 10)))
    roots = {"image": tmp_path / "JPEGImages", "mask": tmp_path / "Annotations"}
    with pytest.raises(DataError, match=r"stream 'mask' .* lacks 8 of the 11 frames .*unpaired='drop'"):
        fc.open(roots, labels=None)
    data = fc.open(roots, labels=None, unpaired="drop")
    assert data.index.frame_counts.tolist() == [3]
    assert data.storage.where("image", 0, 1).endswith("0a2f/00005.jpg")
    assert "Dropped 0 videos (none) and 8 frames without a partner." in caplog.messages


def test_cityscapes_names(tmp_path):
    for number in (19, 20):
        touch(tmp_path / "left", f"train/aachen/aachen_000000_{number:06d}_leftImg8bit.png")
        touch(tmp_path / "fine", f"train/aachen/aachen_000000_{number:06d}_gtFine_labelIds.png")
    data = fc.open({"image": tmp_path / "left", "mask": tmp_path / "fine"}, match=r"(\w+?_\d+_\d+)_")
    assert data.index.frame_counts.tolist() == [2]
    assert data.storage.where("mask", 0, 1).endswith("aachen_000000_000020_gtFine_labelIds.png")


def test_dropped_frames_and_parts_do_not_mix(tmp_path):
    frames_of(tmp_path / "image", "v", 5)
    frames_of(tmp_path / "mask", "v", 4)
    roots = {"image": tmp_path / "image", "mask": tmp_path / "mask"}
    with pytest.raises(DataError, match="start, length, frame_labels and frame_target would refer to other"):
        fc.open([{"path": "v", "start": 1, "length": 2}], root=roots, unpaired="drop")


# Arguments


def test_arguments_that_cannot_work(tmp_path, rawframes):
    root = rawframes / "rawframes"
    refused = [
        (OptionError, {"source": root, "root": "x"}, "root='x': is for lists of videos"),
        (OptionError, {"source": root, "columns": "path"}, "columns='path': is for lists of videos"),
        (OptionError, {}, "source=None: give a folder"),
        (
            OptionError,
            {"source": root, "unpaired": "skip"},
            "unpaired='skip': must be one of 'error', 'drop'",
        ),
        (OptionError, {"source": root, "labels": [0, 1]}, "labels= takes an array only with images="),
        (
            OptionError,
            {"source": root, "labels": "folder"},
            "labels='folder': must be 'auto' or None",
        ),
        (
            OptionError,
            {"source": root, "labels": ["verb", "noun"]},
            r"its columns and their kinds, as in labels={'verb': 'label', 'noun': 'label'}\.",
        ),
        (
            OptionError,
            {"source": np.zeros((2, 3, 4, 4, 3), np.uint8)},
            r"4, 4, 3\): give .* images=",
        ),
        (DataError, {"source": ["a.mp4", "b.mp4"]}, r"give them as a column, \{'path': \[...\]\}"),
        (OptionError, {"source": root, "match": "("}, r"match='\(': must be a regular expression"),
        (
            OptionError,
            {"source": root, "frames": {"mask": "*"}},
            "frames= has the key 'mask', but the streams are",
        ),
        (OptionError, {"source": root, "values": [1, 2]}, "values= has 2 entries; give all 256"),
        (OptionError, {"source": root, "values": 5}, "values=5: must be a mapping, or a sequence of 256"),
        (OptionError, {"source": root, "labels": None, "classes": ["a"]}, "cannot be used with labels=None"),
        (OptionError, {"source": root, "values": {0: 256}}, "a mask's value in values=256"),
        (OptionError, {"source": root, "colors": {}}, r"colors=\{\}: must map colours"),
        (OptionError, {"source": root, "colors": {(1, 2): 1}}, "must map colours"),
        (
            OptionError,
            {"source": root, "colors": {(0, 0, 300): 1}},
            r"a part of colour \(0, 0, 300\) in colors=300",
        ),
        (
            OptionError,
            {"source": root, "colors": {(0, 0, 0): 1}},
            "colors= is for masks, but none of the streams image is in masks=",
        ),
        (OptionError, {"images": np.zeros((1, 1, 4, 4, 3), "u1"), "values": {0: 1}}, "values= is for masks"),
        (OptionError, {"source": root, "masks": 5}, "masks=5: must be names of streams"),
        (OptionError, {"source": {"": root}}, "a stream cannot be named ''"),
        (
            OptionError,
            {"images": {"mask": np.zeros((1, 1, 4, 4), "u1")}, "colors": {(0, 0, 0): 1}},
            "colors= is for masks in files",
        ),
        (OptionError, {"source": root, "ignore": -1}, "ignore=-1"),
        (OptionError, {"source": {"valid": root}}, "a stream cannot be named 'valid'"),
        (OptionError, {"source": [("dive/a", 0)], "root": root, "index": tmp_path / "i"}, "rows in memory"),
        (OptionError, {"images": np.zeros(1), "source": root}, "source= is for frames in files"),
        (OptionError, {"source": root, "classes": "ab"}, "classes='ab'"),
        (DataError, {"source": tmp_path / "gone"}, "does not exist"),
    ]
    for error, options, text in refused:
        with pytest.raises(error, match=text):
            fc.open(**options)


# Into batches


def test_a_list_and_its_folders_give_the_same_batches(frames, masks):
    roots = {"image": frames, "mask": masks}
    folders = fc.open(roots)
    rows = [{"path": name, "label": int(name[6])} for name in folders.index.names]
    listed = fc.open(rows, root=roots)
    options = {"clips": fc.Windows(4), "transforms": [fc.RandomCrop(32)], "batch_size": 5, "workers": 0}
    options |= {"inputs": ("image", "mask"), "shuffle": True}
    with fc.ClipLoader(folders, **options) as one, fc.ClipLoader(listed, **options) as other:
        for (x, y), (u, v) in zip(one, other, strict=True):
            np.testing.assert_array_equal(y, v)
            for name in ("image", "mask"):
                np.testing.assert_array_equal(x[name], u[name])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_part_of_a_video_shows_its_frames(tmp_path, workers):
    root = make_frames(tmp_path / "frames", videos=2)
    whole = fc.open(root)
    part = fc.open([("class_0/video_0", 0, 3, 5), ("class_1/video_1", 1, 0, 2)], root=root)
    options = {"transforms": [fc.CenterCrop(32)], "batch_size": 3, "workers": workers}
    with (
        fc.ClipLoader(whole, fc.Windows(12), **options) as every,
        fc.ClipLoader(part, fc.Windows(2, tail="pad"), inputs=("image", "valid"), **options) as some,
    ):
        all_frames = next(iter(every))[0]
        (first, y), (second, z) = some
        assert [*y, *z] == [0, 0, 0, 1]
        for row, (video, frames) in enumerate([(0, (3, 4)), (0, (5, 6)), (0, (7, 7)), (1, (0, 1))]):
            x = [*first["image"], *second["image"]][row]
            np.testing.assert_array_equal(x, all_frames[video][list(frames)])
        assert [*first["valid"].tolist(), *second["valid"].tolist()] == [
            [True] * 2,
            [True] * 2,
            [True, False],
            [True] * 2,
        ]
        table = some.plan_table(0)
        assert table["paths"][2].tolist() == [f"{root}/class_0/video_0/frame_00008.jpg"] * 2
        assert table["frames"][2].tolist() == [4, ~4]


def test_masks_keep_pairs_through_the_loader(tmp_path):
    root = make_frames(tmp_path / "frames", videos=2)
    other = make_masks(tmp_path / "masks", root)
    for path in other.rglob("*.png"):
        path.rename(path.with_name(f"m{int(path.stem[-5:])}.png"))
    plain = make_masks(tmp_path / "plain", root)
    options = {"clips": fc.Windows(3), "batch_size": 4, "workers": 0, "inputs": "mask"}
    renamed = fc.open({"image": root, "mask": other}, match=r"(\d+)$")
    with (
        fc.ClipLoader(renamed, **options) as one,
        fc.ClipLoader(fc.open({"image": root, "mask": plain}), **options) as two,
    ):
        for (x, _), (y, _) in zip(one, two, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("values", "smeared"), [({255: 1}, False), ([0] * 128 + [1] * 128, True), (None, False)]
)
def test_masks_may_be_jpeg_where_every_value_has_a_meaning(tmp_path, values, smeared):
    roots = {name: touch(tmp_path / name, "a/v/1.jpg") for name in ("image", "mask")}
    assert fc.open(roots, values=values).streams[1].smeared == smeared


@pytest.mark.parametrize("names", [["train", "val"], ["test", "TRAINING"], ["validation"]])
def test_classes_with_the_names_of_splits_warn(tmp_path, caplog, names):
    for name in names:
        touch(tmp_path, f"{name}/jump/v/1.jpg")
    assert fc.open(tmp_path).classes == tuple(sorted(names, key=str.lower))
    (warning,) = [record.getMessage() for record in caplog.records if "splits" in record.getMessage()]
    assert warning.endswith(
        f"If they are splits, open each by itself, such as '{tmp_path}/{min(names, key=str.lower)}'."
    )
    assert fc.open(tmp_path / min(names)).classes == ("jump",)


@pytest.mark.parametrize("options", [{"classes": ["train", "bus"]}, {"labels": None}])
def test_classes_that_are_meant_do_not_warn(tmp_path, caplog, options):
    touch(tmp_path, "train/v/1.jpg", "bus/v/1.jpg")
    fc.open(tmp_path, **options)
    fc.open(tmp_path)
    assert "splits" not in caplog.text


def test_a_plan_table_counts_from_the_start_of_a_list_row(tmp_path):
    make_frames(tmp_path, videos=1, frames=12, classes=1)
    data = fc.open([{"path": "class_0/video_0", "start": 4, "length": 6, "label": 0}], root=tmp_path)
    loader = fc.ClipLoader(data, fc.Windows(2, step=3), batch_size=1, shuffle=False, workers=0)
    table = loader.plan_table(epoch=0)
    assert table["start"].tolist() == table["frames"][:, 0].tolist() == [0, 3]
    files = data.index.starts[table["video"]][:, None] + table["frames"]
    storage = data.storage
    assert table["paths"].tolist() == [[storage.where("image", 0, f) for f in row] for row in files.tolist()]
    assert table["paths"][1, 0].endswith("frame_00008.jpg")
