"""Folders on disk against what the scan says of them, and every refusal with its words."""

from __future__ import annotations

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastclips.data import listed as listed_module
from fastclips.data.listed import name_folders, scan_folders
from fastclips.data.names import FileNames, natural_key
from fastclips.data.scan import (
    FrameTree,
    matcher,
    scan_tree,
    without_video_extension,
)
from fastclips.errors import DataError, OptionError


def write(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def frames_of(root, video, count, first=1, name="img_{:05d}.jpg"):
    return write(root, *(f"{video}/{name.format(number)}" for number in range(first, first + count)))


def listed(tree):
    return {video: files.names() for video, files in tree.videos.items()}


def found(root, frames=None, **options):
    return listed(scan_tree(root, frames, **options))


# What is found


def test_videos_and_frames_are_found_in_natural_order(tmp_path):
    write(tmp_path, "b10/v/1.jpg", "b9/v10/f10.jpg", "b9/v10/f9.JPG", "b9/v10/f1.jpeg", "b9/v9/1.PNG")
    write(tmp_path, "c/v/1.bmp", "c/v/2.tif", "c/v/3.TIFF")
    assert list(found(tmp_path).items()) == [
        ("b9/v9", ["1.PNG"]),
        ("b9/v10", ["f1.jpeg", "f9.JPG", "f10.jpg"]),
        ("b10/v", ["1.jpg"]),
        ("c/v", ["1.bmp", "2.tif", "3.TIFF"]),
    ]


@pytest.mark.slow
@given(st.sets(st.text(st.sampled_from("aB_.-ü019"), min_size=1, max_size=6), min_size=1, max_size=12))
@example({"9", "10", "010", "0010"})
def test_frames_are_in_natural_order_of_their_stems(stems):
    stems = {text for text in stems if not text.startswith(".")} or {"f"}
    with TemporaryDirectory() as root:
        write(Path(root), *(f"a/v/{text}.jpg" for text in stems))
        assert found(root, "*") == {"a/v": [f"{text}.jpg" for text in sorted(stems, key=natural_key)]}


def test_a_root_may_be_relative(tmp_path, monkeypatch):
    write(tmp_path, "data/a/v/1.jpg")
    monkeypatch.chdir(tmp_path)
    assert scan_tree("data") == FrameTree(f"{tmp_path}/data", {"a/v": FileNames(1, "%01d.jpg", 1)})


def test_videos_lie_at_any_depth_and_within_each_other(tmp_path):
    write(tmp_path, "a/x/y/z/1.jpg", "a/x/1.jpg", "a/1.jpg")
    assert list(found(tmp_path)) == ["a", "a/x", "a/x/y/z"]


def test_loose_videos_need_no_class(tmp_path):
    write(tmp_path, "1.jpg", "2.jpg", "v/1.jpg")
    assert found(tmp_path, loose=True) == {".": ["1.jpg", "2.jpg"], "v": ["1.jpg"]}


def test_other_and_hidden_files_are_skipped(tmp_path):
    write(tmp_path, "a/v/1.jpg", "a/v/Thumbs.db", "a/v/jpg", "a/v/.2.jpg", "a/.v/1.jpg", "__MACOSX/a/v/1.jpg")
    write(tmp_path, "readme.txt", "a/w/notes.txt", "a/folder.jpg/1.jpg")
    assert found(tmp_path) == {"a/folder.jpg": ["1.jpg"], "a/v": ["1.jpg"]}


def test_links_to_folders_are_followed(tmp_path):
    write(tmp_path, "elsewhere/v/1.jpg")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").symlink_to(tmp_path / "elsewhere")
    (root / "b").symlink_to(tmp_path / "elsewhere")
    assert list(found(root)) == ["a/v", "b/v"]


def test_a_cycle_of_links_ends_and_is_logged(tmp_path, caplog):
    root = tmp_path / "above" / "root"
    write(root, "a/v/1.jpg")
    (root / "a/v/up").symlink_to(root / "a")
    (root / "a/out").symlink_to(tmp_path / "above")
    assert found(root) == {"a/v": ["1.jpg"]}
    assert sorted(caplog.messages) == [
        f"Skipped '{root}/a/out/root': it links to a folder that holds it.",
        f"Skipped '{root}/a/v/up': it links to a folder that holds it.",
    ]


def test_a_link_to_a_file_that_is_gone_is_a_frame(tmp_path):
    write(tmp_path, "a/v/1.jpg")
    (tmp_path / "a/v/2.jpg").symlink_to(tmp_path / "gone")
    assert found(tmp_path) == {"a/v": ["1.jpg", "2.jpg"]}


# Patterns


def test_a_pattern_selects_by_file_name_and_case(tmp_path):
    write(tmp_path, "a/v/img_1.jpg", "a/v/IMG_2.jpg", "a/v/flow_1.jpg", "a/w/flow_1.jpg")
    assert found(tmp_path, "img_*.jpg") == {"a/v": ["img_1.jpg"]}


def test_a_pattern_takes_what_makes_several_sequences(tmp_path):
    write(tmp_path, "a/v/3fa9.jpg", "a/v/b2.jpg", "a/v/cover.jpg")
    assert found(tmp_path, "*") == {"a/v": ["3fa9.jpg", "b2.jpg", "cover.jpg"]}


@pytest.mark.parametrize("frames", ["f_{:03d}.jpg", "f_%03d.jpg", "f_{:03}.jpg"])
def test_a_pattern_with_a_place_selects_by_number(tmp_path, frames):
    write(tmp_path, *(f"a/v/f_{text}.jpg" for text in ("000", "999", "1000", "0001", "01", "x", "12a")))
    write(tmp_path, "a/v/g_001.jpg", "a/v/f_001.jpgx.jpg", "a/v/F_001.jpg")
    assert found(tmp_path, frames) == {"a/v": ["f_000.jpg", "f_999.jpg", "f_1000.jpg"]}


@given(st.integers(1, 4), st.text(st.sampled_from("0123"), max_size=6), st.sampled_from(["", "x", "%", "."]))
def test_a_place_takes_just_the_names_it_makes(width, digits, around):
    name = f"a{around}{digits}{around}.jpg"
    match = matcher(f"a{around}{{:0{width}d}}{around}.jpg")
    makes = digits != "" and name == f"a{around}{int(digits):0{width}d}{around}.jpg"
    assert bool(match(name)) == makes
    assert not match(name + "\n")


@pytest.mark.parametrize("scan", [scan_tree, lambda root, frames: scan_folders(root, ["a/v"], frames)])
def test_a_pattern_must_be_text(tmp_path, scan):
    with pytest.raises(OptionError, match=r"^frames=\['\*\.jpg'\]: must be a pattern of file names, such as"):
        scan(frames_of(tmp_path, "a/v", 1), ["*.jpg"])


# One sequence


@pytest.mark.parametrize(
    "names",
    [
        ["cover.jpg", "end.jpg"],
        ["1.jpg", "2.jpg", "4.jpg"],
        ["img_9.jpg", "img_10.png", "img_12.JPG"],
        ["aachen_000019_leftImg8bit.png", "aachen_000020_leftImg8bit.png", "aachen_000022_leftImg8bit.png"],
        ["0001_of_9.jpg", "0002_of_9.jpg"],
    ],
)
def test_one_sequence_is_one_video(tmp_path, names):
    write(tmp_path, *(f"a/v/{name}" for name in names))
    assert found(tmp_path) == {"a/v": names}


# What the scan refuses


def refusal(root, frames=None, **options):
    with pytest.raises(DataError) as caught:
        scan_tree(root, frames, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("scan", "expected"),
    [
        (scan_tree, "a folder of class/video/frame, or of video files"),
        (lambda root: scan_folders(root, ["a"]), "the folder that the list's paths are relative to, root="),
        (
            lambda root: name_folders(root, {"a": 1}, "{}.jpg"),
            "the folder that the list's paths are relative to, root=",
        ),
    ],
)
def test_a_root_that_is_no_folder(tmp_path, scan, expected):
    write(tmp_path, "clip.mp4")
    for name, why in (("no", "does not exist"), ("clip.mp4", "is a file")):
        with pytest.raises(DataError) as caught:
            scan(tmp_path / name)
        assert str(caught.value) == f"'{tmp_path}/{name}' {why}: expected {expected}."


def test_frames_in_the_root(tmp_path):
    write(tmp_path, "2.jpg", "1.jpg", "a/v/1.jpg")
    assert refusal(tmp_path) == (
        f"'{tmp_path}' itself holds frames, such as '1.jpg', but the layout must be class/video/frame: open "
        "the folder that holds the class folders, move the frames, or set labels=None to make every folder "
        "of frames a video."
    )


def test_no_frames_says_what_was_found(tmp_path):
    write(tmp_path, "a/1.txt", "a/2.TXT", "b/3.txt", "b/README")
    assert refusal(tmp_path) == (
        f"no frames in '{tmp_path}': expected class/video/frame with the extensions .jpg, .jpeg, .png, "
        ".bmp, .tif, .tiff, .jfif, .webp, .fcd, or class/video.mp4; found 3 .txt files, 1 extensionless file."
    )


def test_an_empty_root(tmp_path):
    assert refusal(tmp_path).endswith("found no files.")


def test_a_pattern_that_matches_none(tmp_path):
    write(tmp_path, "a/v/f10.jpg", "a/w/f9.jpg")
    assert refusal(tmp_path, "img_*") == (
        f"frames='img_*': must match frames in '{tmp_path}', such as 'f9.jpg'."
    )


def test_several_sequences(tmp_path):
    write(tmp_path, "a/v/img_1.jpg", "a/v/flow_x_1.jpg", "a/v/flow_y_1.jpg", "a/v/img_2_l.jpg")
    assert refusal(tmp_path) == (
        f"'{tmp_path}/a/v' holds 4 sequences of numbered frames, 'flow_x_*', 'flow_y_*', 'img_*', 'img_*_l': "
        "select one with frames=, such as frames='img_*_l.*'."
    )


def test_sequences_that_differ_by_a_number(tmp_path):
    write(tmp_path, *(f"a/v/cam{camera}_{frame:02d}_8bit.png" for camera in (1, 2) for frame in range(3)))
    assert refusal(tmp_path) == (
        f"'{tmp_path}/a/v' holds 2 sequences of numbered frames, 'cam1_*_8bit', 'cam2_*_8bit': if each "
        r"is a video, set videos='(.+)_\\d+_8bit$'; otherwise select one with "
        "frames=, such as frames='cam2_*_8bit.*'."
    )
    assert found(tmp_path, "cam2_*_8bit.*") == {"a/v": [f"cam2_{frame:02d}_8bit.png" for frame in range(3)]}


def test_a_name_without_number_among_numbered_ones(tmp_path):
    write(tmp_path, "a/v/img_1.jpg", "a/v/img_2.jpg", "a/v/end.png", "a/v/cover.jpg")
    assert refusal(tmp_path) == (
        f"'{tmp_path}/a/v' holds the numbered frames 'img_*' and others, 'cover.jpg', 'end.png': move the "
        "others to another folder, or set frames='img_*.*'."
    )


@pytest.mark.parametrize("frames", [None, "*"])
def test_two_frames_with_one_stem(tmp_path, frames):
    write(tmp_path, "a/v/0001.png", "a/v/0001.jpg")
    assert refusal(tmp_path, frames) == (
        f"'{tmp_path}/a/v' holds two frames with one stem, '0001.jpg' and '0001.png': "
        "remove one, or select with frames=, such as frames='*.jpg'."
    )


def test_a_loose_root_is_named_as_it_is(tmp_path):
    write(tmp_path, "1.png", "1.jpg")
    assert refusal(tmp_path, loose=True).startswith(f"'{tmp_path}' holds two frames with one stem")


def refuse_listing(monkeypatch, end):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith(end):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)


@pytest.mark.parametrize("scan", [scan_tree, lambda root: scan_folders(root, ["a/v"])])
def test_a_folder_that_cannot_be_listed(tmp_path, monkeypatch, scan):
    write(tmp_path, "a/v/1.jpg")
    refuse_listing(monkeypatch, "/v")
    with pytest.raises(DataError, match=f"^cannot list '{tmp_path}/a/v': Permission denied\\.$"):
        scan(tmp_path)


def test_a_link_to_itself(tmp_path):
    write(tmp_path, "a/v/1.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a" / "loop")
    assert refusal(tmp_path).startswith(f"cannot list '{tmp_path}/a/loop': ")


# Folders that a list names


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("a/clip.mp4", "a/clip"),
        ("clip.AVI", "clip"),
        ("v_g01_c01.webm", "v_g01_c01"),
        ("a.mp4/clip", "a.mp4/clip"),
        ("a/clip", "a/clip"),
        ("clip.jpg", "clip.jpg"),
        ("clip.", "clip."),
    ],
)
def test_extensions_of_videos_go(name, bare):
    assert without_video_extension(name) == bare


def test_listed_folders_are_found_in_the_lists_order(tmp_path):
    write(tmp_path / "root", "b/2.jpg", "b/10.jpg", "c/deep/1.png", "other/1.jpg")
    write(tmp_path, "elsewhere/v/5.jpg")
    names = ["c/deep", f"{tmp_path}/elsewhere/v", "b", "../elsewhere/v"]
    tree, folders = scan_folders(tmp_path / "root", names)
    assert list(listed(tree).items()) == [
        ("c/deep", ["1.png"]),
        (f"{tmp_path}/elsewhere/v", ["5.jpg"]),
        ("b", ["2.jpg", "10.jpg"]),
        ("../elsewhere/v", ["5.jpg"]),
    ]
    assert folders == {name: name for name in names}


def test_the_name_of_a_video_file_means_the_folder_beside_it(tmp_path):
    write(tmp_path, "b/1.jpg", "c.mp4/1.jpg", "c/2.jpg")
    tree, folders = scan_folders(tmp_path, ["b.avi", "c.mp4"])
    assert folders == {"b.avi": "b", "c.mp4": "c.mp4"}
    assert listed(tree) == {"b": ["1.jpg"], "c.mp4": ["1.jpg"]}


def test_listed_folders_without_frames_are_left_out(tmp_path):
    write(tmp_path, "a/img_1.jpg", "b/flow_1.jpg", "c/notes.txt", "d.mp4", "e/deep/img_1.jpg")
    tree, folders = scan_folders(tmp_path, ["gone", "c", "b", "d.mp4", "e", "a"], "img_*")
    assert (listed(tree), folders) == ({"a": ["img_1.jpg"]}, {"a": "a"})


def test_listed_folders_hold_one_sequence(tmp_path):
    write(tmp_path, "a/v/img_1.jpg", "a/v/flow_1.jpg")
    with pytest.raises(DataError, match=f"'{tmp_path}/a/v' holds 2 sequences of numbered frames"):
        scan_folders(tmp_path, ["a/v"])


# Folders whose lengths a list gives


def no_listing(monkeypatch):
    def refuse(*_):
        raise AssertionError("a directory was listed")

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, refuse)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("videos", [2, 100])
def test_lengths_name_the_frames_without_listing(tmp_path, monkeypatch, first, videos):
    lengths = {f"a/v{number}": 1 + number % 3 for number in range(videos)}
    for video, length in lengths.items():
        frames_of(tmp_path, video, length, first)
    no_listing(monkeypatch)
    tree, folders = name_folders(tmp_path, lengths, "img_{:05d}.jpg")
    assert tree.root == str(tmp_path)
    assert listed(tree) == {
        video: [f"img_{first + n:05d}.jpg" for n in range(length)] for video, length in lengths.items()
    }
    assert list(tree.videos) == list(lengths)
    assert folders == {video: video for video in lengths}


def test_lengths_by_the_names_of_video_files(tmp_path):
    frames_of(tmp_path, "a/clip", 2)
    frames_of(tmp_path, "a/other", 1)
    tree, folders = name_folders(tmp_path, {"a/clip.mp4": 2, "a/other.mp4": 1}, "img_%05d.jpg")
    assert folders == {"a/clip.mp4": "a/clip", "a/other.mp4": "a/other"}
    assert listed(tree) == {"a/clip": ["img_00001.jpg", "img_00002.jpg"], "a/other": ["img_00001.jpg"]}


def test_one_folder_by_two_names_has_the_greater_length(tmp_path):
    frames_of(tmp_path, "a/clip", 3)
    tree, folders = name_folders(tmp_path, {"a/clip.mp4": 3, "a/clip": 2}, "img_%05d.jpg")
    assert folders == {"a/clip.mp4": "a/clip", "a/clip": "a/clip"}
    assert {video: files.count for video, files in tree.videos.items()} == {"a/clip": 3}


def test_folders_that_are_named_like_video_files(tmp_path):
    frames_of(tmp_path, "a/clip.mp4", 2)
    tree, folders = name_folders(tmp_path, {"a/clip.mp4": 2}, "img_%05d.jpg")
    assert folders == {"a/clip.mp4": "a/clip.mp4"}
    assert list(tree.videos) == ["a/clip.mp4"]


def test_lengths_of_absolute_folders(tmp_path):
    frames_of(tmp_path, "elsewhere/v", 2)
    (tmp_path / "root").mkdir()
    tree, _ = name_folders(tmp_path / "root", {f"{tmp_path}/elsewhere/v": 2}, "img_%05d.jpg")
    assert list(tree.videos) == [f"{tmp_path}/elsewhere/v"]


def test_a_link_to_a_file_that_is_gone_is_a_first_frame(tmp_path):
    frames_of(tmp_path, "v", 2)
    (tmp_path / "v/img_00001.jpg").unlink()
    (tmp_path / "v/img_00001.jpg").symlink_to(tmp_path / "gone")
    tree, _ = name_folders(tmp_path, {"v": 2}, "img_{:05d}.jpg")
    assert tree.videos["v"].numbers() == range(1, 3)


def test_up_to_1000_videos_are_looked_at_evenly_spread(tmp_path, monkeypatch):
    lengths = {f"v{number}": 1 for number in range(30)}
    for video in lengths:
        frames_of(tmp_path, video, 1)
    (tmp_path / "v29/img_00001.jpg").unlink()
    with pytest.raises(DataError, match=r"'v29': '.*' has neither"):
        name_folders(tmp_path, lengths, "img_{:05d}.jpg")
    monkeypatch.setattr(listed_module, "_PROBED", 4)
    with pytest.raises(DataError, match=r"'v29': '.*' has neither"):
        name_folders(tmp_path, lengths, "img_{:05d}.jpg")
    frames_of(tmp_path, "v29", 1)
    (tmp_path / "v28/img_00001.jpg").unlink()
    assert len(name_folders(tmp_path, lengths, "img_{:05d}.jpg")[0].videos) == 30


def test_one_missing_folder_among_those_named_like_video_files(tmp_path):
    frames_of(tmp_path, "a", 1)
    with pytest.raises(
        DataError, match=r"row 1: cannot read the folder '.*/gone': No such file or directory; set"
    ):
        name_folders(
            tmp_path,
            {"a.mp4": 1, "gone.mp4": 1},
            "img_{:05d}.jpg",
            {"a.mp4": "row 0", "gone.mp4": "row 1"}.get,
        )


def test_pipes_and_what_servers_leave_are_skipped(tmp_path, caplog):
    write(tmp_path, "c/v/1.jpg", "c/v/@eaDir/1.jpg", "@eaDir/v/1.jpg")
    os.mkfifo(tmp_path / "c/v/2.jpg")
    os.mkfifo(tmp_path / "c/v/control")
    assert found(tmp_path) == {"c/v": ["1.jpg"]}
    path = str(tmp_path / "c/v/2.jpg")
    assert f"Skipped {path!r}: it is no file, but a FIFO, a socket or a device." in caplog.text
    assert "control" not in caplog.text
    assert listed(scan_folders(tmp_path, ["c/v"])[0]) == {"c/v": ["1.jpg"]}


@pytest.mark.parametrize("frames", ["img_*.jpg", "{}_{}.jpg"])
def test_lengths_need_a_place_for_the_number(tmp_path, frames):
    with pytest.raises(
        OptionError,
        match=re.escape(f"frames={frames!r}: must have one placeholder, as in 'img_{{:05d}}.jpg'"),
    ):
        name_folders(tmp_path, {"v": 1}, frames)


def test_lengths_without_a_first_frame(tmp_path):
    frames_of(tmp_path, "v", 2, first=2)
    with pytest.raises(DataError) as caught:
        name_folders(tmp_path, {"v": 2}, "img_{:05d}.jpg")
    assert str(caught.value) == (
        f"'v': '{tmp_path}/v' has neither 'img_00000.jpg' nor 'img_00001.jpg': correct "
        "frames='img_{:05d}.jpg', or give a pattern such as 'img_*.jpg', so that folders are listed."
    )


def test_lengths_without_a_last_frame(tmp_path):
    frames_of(tmp_path, "v", 4)
    with pytest.raises(DataError) as caught:
        name_folders(tmp_path, {"v": 5}, "img_{:05d}.jpg")
    assert str(caught.value) == (
        f"'v': '{tmp_path}/v/img_00005.jpg' does not exist, but the list gives its folder at least 5 "
        "frames: correct the list, or set frames= to a pattern such as 'img_*.jpg', so that folders are "
        "listed."
    )


def test_lengths_of_folders_that_count_from_0_and_from_1(tmp_path):
    frames_of(tmp_path, "v", 2, first=1)
    frames_of(tmp_path, "w", 2, first=0)
    with pytest.raises(DataError) as caught:
        name_folders(tmp_path, {"v": 2, "w": 2}, "img_{:05d}.jpg")
    assert str(caught.value) == (
        f"frames count from 0 in '{tmp_path}/w' and from 1 in '{tmp_path}/v': set frames= to a pattern such "
        "as 'img_*.jpg', so that folders are listed."
    )
