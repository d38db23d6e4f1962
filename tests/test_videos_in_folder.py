"""Several videos in one folder, told apart by `videos=`: against a dict, and as data sets are published."""

import os
import re
import tarfile

import numpy as np
import pytest
from helpers import labels, make_frames, parts, picture, touch, write_jpeg
from hypothesis import given
from hypothesis import strategies as st
from packing import check_same, content

import fastclips as fc
from fastclips.commands.cli import main
from fastclips.data.names import natural_key, stem
from fastclips.data.several import group
from fastclips.errors import DataError, OptionError


def files_of(data, stream="image"):
    """The files of each video, relative to nothing."""
    index = data.index
    return {
        index.names[row]: [
            data.storage.where(stream, index.keys.item(row), frame)
            for frame in range(index.frame_counts.item(row))
        ]
        for row in range(len(data))
    }


def refusal(*arguments, **options):
    with pytest.raises(DataError) as caught:
        fc.open(*arguments, **options)
    return str(caught.value)


@pytest.fixture
def flat(tmp_path):
    """Two classes; in each folder two clips of 4 and 5 frames, which show their numbers."""
    for label, clips in (("run", (1, 2)), ("walk", (3, 10))):
        for at, clip in enumerate(clips):
            for frame in range(4 + at):
                path = tmp_path / f"flat/{label}/clip{clip}_{frame + 1:04d}.jpg"
                write_jpeg(path, picture(100 * clip + frame))
                write_jpeg(
                    tmp_path / f"deep/{label}/clip{clip}/{frame + 1:04d}.jpg", picture(100 * clip + frame)
                )
    return tmp_path


CLIP = r"(clip\d+)_"


# Against a dict


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b_1", "b 2", "c-"]), st.integers(0, 3), st.integers(0, 30)),
        min_size=1,
        unique=True,
    ),
    st.sampled_from([r"(.+)_s(\d)_\d+", r".+(?=_\d+_x)", r"s(\d)"]),
)
def test_groups_agree_with_a_dict(rows, pattern):
    names = [f"{scene}_s{shot}_{frame:03d}_x.png" for scene, shot, frame in rows]
    slow = {}
    for name in names:
        found = re.search(pattern, name[:-4])
        slow.setdefault("_".join(found.groups()) or found.group(), []).append(name)
    assert group(re.compile(pattern), "/f", names) == slow


@given(st.dictionaries(st.sampled_from(["a", "b7", "c_9", "d-2"]), st.integers(2, 6), min_size=2))
def test_a_pattern_that_is_offered_makes_each_sequence_a_video(tmp_path_factory, videos):
    root = tmp_path_factory.mktemp("offered")
    touch(root, *(f"k/{name}_{frame:03d}.jpg" for name, count in videos.items() for frame in range(count)))
    message = refusal(root)
    offered = re.search(r"if each is a video, set videos='(.*?)'; otherwise", message)
    pattern = offered[1].replace("\\\\", "\\")
    data = fc.open(root, videos=pattern)
    assert sorted(data.index.frame_counts.tolist()) == sorted(videos.values())
    assert {name: len(files) for name, files in files_of(data).items()} == {
        f"k/{name}": count for name, count in videos.items()
    }


# Every way to open them


def test_a_folder_of_clips_is_a_folder_of_folders(flat):
    data = fc.open(flat / "flat", videos=CLIP)
    assert parts(data) == [
        ("run/clip1", 0, 4),
        ("run/clip2", 0, 5),
        ("walk/clip3", 0, 4),
        ("walk/clip10", 0, 5),
    ]
    assert (data.classes, labels(data)) == (("run", "walk"), [0, 0, 1, 1])
    assert files_of(data)["walk/clip3"][1] == f"{flat}/flat/walk/clip3_0002.jpg"
    assert data.storage.folder("image", 0) == f"{flat}/flat/run"
    check_same(data, fc.open(flat / "deep"))
    train, rest = data.split(0.5, seed=1)
    assert len(train) == len(rest) == 2
    assert len(data.select(["walk/clip10"])) == 1


def test_clips_in_the_root(flat):
    data = fc.open(flat / "flat/run", videos=CLIP, labels=None)
    assert parts(data) == [("clip1", 0, 4), ("clip2", 0, 5)]
    assert files_of(data)["clip1"][0] == f"{flat}/flat/run/clip1_0001.jpg"
    check_same(data, fc.open(flat / "deep/run", labels=None))
    assert "itself holds frames" in refusal(flat / "flat/run", videos=CLIP)


def test_a_saved_index_keeps_the_videos(flat):
    options = {"videos": CLIP, "index": flat / "i"}
    made, again = fc.open(flat / "flat", **options), fc.open(flat / "flat", **options)
    assert files_of(made) == files_of(again) == files_of(fc.open(flat / "flat", videos=CLIP))
    write_jpeg(flat / "flat/run/clip7_0001.jpg", picture(7))
    os.utime(flat / "flat/run", ns=(1, 1))
    assert len(fc.open(flat / "flat", **options)) == 5
    with pytest.raises(OptionError, match=r"was made with videos='\(clip\\\\d\+\)_', not 'clip\\\\d\+'"):
        fc.open(flat / "flat", videos=r"clip\d+", index=flat / "i")


def test_tars_hold_the_same_videos(flat):
    with tarfile.open(flat / "flat.tar", "w") as tar:
        tar.add(flat / "flat", ".")
    data = fc.open(flat / "flat.tar", videos=CLIP)
    assert data.storage.where("image", 3, 0) == f"{flat}/flat.tar:walk/clip10_0001.jpg"
    check_same(data, fc.open(flat / "deep"))
    rows = [("walk/clip10", 1), ("run/clip1.mp4", 0)]
    listed = fc.open(rows, root=flat / "flat.tar", videos=CLIP)
    check_same(listed, fc.open(rows, root=flat / "deep"))


def test_a_pack_of_them(flat):
    fc.pack(fc.open(flat / "flat", videos=CLIP), flat / "pack", workers=0)
    check_same(fc.open(flat / "pack"), fc.open(flat / "deep"))
    arguments = ["pack", flat / "flat", flat / "command", "--videos", CLIP, "--workers", "0"]
    assert main(list(map(str, arguments))) == 0
    assert content(flat / "command") == content(flat / "pack")


def test_a_list_names_the_folder_and_the_video(flat):
    (flat / "train.txt").write_text("walk/clip10 1 3 5\nrun/clip1 0 2 6\nrun/clip1.avi 2 2 5\n")
    options = {"columns": "path start length label"}
    data = fc.open(flat / "train.txt", root=flat / "flat", videos=CLIP, **options)
    assert parts(data) == [("walk/clip10", 1, 3), ("run/clip1", 0, 2), ("run/clip1", 2, 2)]
    check_same(data, fc.open(flat / "train.txt", root=flat / "deep", **options), fc.Windows(2))
    absolute = [(f"{flat}/flat/walk/clip3",)]
    check_same(
        fc.open(absolute, root=flat / "flat", videos=CLIP), fc.open([("walk/clip3",)], root=flat / "deep")
    )
    message = refusal([("run/clip1",), ("run/clip3",), ("no/clip3",)], root=flat / "flat", videos=CLIP)
    assert message.startswith("row 1 (from 0): there is no video 'run/clip3' below ")
    assert "With videos=, a path is that of a folder, then / and the name of a video" in message
    kept = fc.open([("run/clip1",), ("no/x",)], root=flat / "flat", videos=CLIP, unpaired="drop")
    assert parts(kept) == [("run/clip1", 0, 4)]


def test_cityscapes(tmp_path):
    kinds = {"leftImg8bit/aachen": "leftImg8bit", "gtFine/aachen": "gtFine_labelIds"}
    for folder, kind in kinds.items():
        touch(
            tmp_path,
            *(f"{folder}/aachen_{s:06d}_{f:06d}_{kind}.png" for s in (0, 1) for f in range(19, 22)),
        )
    streams = {"image": tmp_path / "leftImg8bit", "mask": tmp_path / "gtFine"}
    data = fc.open(streams, videos=r"(\w+_\d+)_\d+", match=r"\w+?_\d+_\d+")
    assert parts(data) == [("aachen/aachen_000000", 0, 3), ("aachen/aachen_000001", 0, 3)]
    for stream, kind in zip(streams, kinds.values(), strict=True):
        assert [stem(path).rpartition("/")[2] for path in files_of(data, stream)["aachen/aachen_000001"]] == [
            f"aachen_000001_{f:06d}_{kind}" for f in range(19, 22)
        ]


# What is refused


def test_names_that_do_not_match_are_named(flat):
    touch(flat, "flat/run/cover.jpg")
    assert refusal(flat / "flat", videos=CLIP) == (
        f"videos='(clip\\\\d+)_' finds no video in 1 names of '{flat}/flat/run': 'cover.jpg'. Correct it, or "
        "select the frames by frames=."
    )
    assert len(fc.open(flat / "flat", videos=CLIP, frames="clip*")) == 4


def test_groups_whose_joined_names_are_equal(tmp_path):
    touch(tmp_path, "k/a_b-c-1.jpg", "k/a-b_c-1.jpg")
    message = refusal(tmp_path, videos=r"(.+)-(.+)-")
    assert "would be one video 'a_b_c': change the groups" in message


def test_a_video_of_two_sequences_is_refused(tmp_path):
    touch(tmp_path, *(f"k/v1_{kind}_{frame}.jpg" for kind in ("img", "flow") for frame in range(3)))
    message = refusal(tmp_path, videos=r"v\d")
    assert "holds 2 sequences" in message
    assert "videos=" not in message
    assert parts(fc.open(tmp_path, videos=r"v\d", frames="*_img_*")) == [("k/v1", 0, 3)]


@pytest.mark.parametrize(
    ("videos", "why"), [("(", r"\(missing \)"), (7, "as a str"), (re.compile("x"), "as a str")]
)
def test_a_pattern_that_is_none(flat, videos, why):
    with pytest.raises(OptionError, match=rf"^videos=.*: must be a regular expression.*{why}"):
        fc.open(flat / "flat", videos=videos)


def test_other_sources_have_no_such_names(flat):
    with pytest.raises(OptionError, match="videos= is for frames in files"):
        fc.open(images=np.zeros((1, 2, 4, 4, 3), "u1"), videos="x")
    fc.pack(make_frames(flat / "frames", 2, 2), flat / "pack", workers=0)
    with pytest.raises(OptionError, match="videos= is for frames in files"):
        fc.open(flat / "pack", videos="x")


def test_the_order_within_a_video_is_natural(tmp_path):
    touch(tmp_path, *(f"k/c{clip}_{frame}.jpg" for frame in (10, 9, 1) for clip in (2, 11)))
    data = fc.open(tmp_path, videos=r"c\d+")
    assert data.index.names[:] == sorted(data.index.names, key=natural_key) == ["k/c2", "k/c11"]
    assert [path.rpartition("_")[2] for path in files_of(data)["k/c2"]] == ["1.jpg", "9.jpg", "10.jpg"]
