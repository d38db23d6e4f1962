from __future__ import annotations

import os
import pickle
import string
from functools import cmp_to_key
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastclips.errors import DataError, FrameError
from fastclips.storage import FolderStorage, FrameTree, natural_key, scan_frames


def write(root, *paths, data=None):
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(path.encode() if data is None else data)
    return root


def found(root, pattern=None):
    tree = scan_frames(root, pattern)
    return {video: tree.frames(video) for video in tree.videos}


# Natural order


def slowly_less(a, b):
    """Compare as the docstring of natural_key says, reading one character or number at a time."""
    for one, other in zip(a.split("/"), b.split("/"), strict=False):
        order = compare_names(one.casefold(), other.casefold()) or (one > other) - (one < other)
        if order:
            return order
    return a.count("/") - b.count("/")


def compare_names(a, b):
    while a and b:
        if a[0] in string.digits and b[0] in string.digits:
            one, other = leading_number(a), leading_number(b)
            if int(one) != int(other):
                return int(one) - int(other)
            a, b = a[len(one) :], b[len(other) :]
            continue
        if (a[0] in string.digits) != (b[0] in string.digits):
            # The run of text before a number has ended in one of them: the shorter run comes first.
            return -1 if a[0] in string.digits else 1
        if a[0] != b[0]:
            return -1 if a[0] < b[0] else 1
        a, b = a[1:], b[1:]
    return len(a) - len(b)


def leading_number(text):
    return text[: len(text) - len(text.lstrip(string.digits))]


names = st.text(st.sampled_from("aAbf019_-./ß²"), max_size=8)


@given(st.lists(names, max_size=8))
@example(["f10", "f2", "F2", "f02", "f2a", "f", "a/v1", "a-b/v1", "a/v10", "a/v9"])
def test_natural_key_agrees_with_a_slow_reference(paths):
    assert sorted(paths, key=natural_key) == sorted(paths, key=cmp_to_key(slowly_less))


def test_natural_order_of_known_names():
    names = ["f1", "F1", "f01", "f2", "f10", "F9", "g1", "f", "f10b", "f10a"]
    assert sorted(names, key=natural_key) == ["f", "F1", "f01", "f1", "f2", "F9", "f10", "f10a", "f10b", "g1"]


# Scan


def test_videos_and_frames_are_found_in_natural_order(tmp_path):
    write(tmp_path, "b10/v/1.jpg", "b9/v10/f10.jpg", "b9/v10/f9.JPG", "b9/v10/f1.jpeg", "b9/v9/1.PNG")
    assert list(found(tmp_path).items()) == [
        ("b9/v9", ["1.PNG"]),
        ("b9/v10", ["f1.jpeg", "f9.JPG", "f10.jpg"]),
        ("b10/v", ["1.jpg"]),
    ]


def test_videos_lie_at_any_depth_and_within_each_other(tmp_path):
    write(tmp_path, "a/x/y/z/1.jpg", "a/x/1.jpg", "a/1.jpg")
    assert list(found(tmp_path)) == ["a", "a/x", "a/x/y/z"]


def test_other_and_hidden_files_are_skipped(tmp_path):
    write(tmp_path, "a/v/1.jpg", "a/v/Thumbs.db", "a/v/jpg", "a/v/.2.jpg", "a/.v/1.jpg", "__MACOSX/a/v/1.jpg")
    write(tmp_path, "readme.txt", "a/w/notes.txt", "a/folder.jpg/1.jpg")
    assert found(tmp_path) == {"a/folder.jpg": ["1.jpg"], "a/v": ["1.jpg"]}


def test_a_pattern_selects_by_file_name_and_case(tmp_path):
    write(tmp_path, "a/v/img_1.jpg", "a/v/IMG_2.jpg", "a/v/flow_1.jpg", "a/w/flow_1.jpg")
    assert found(tmp_path, "img_*.jpg") == {"a/v": ["img_1.jpg"]}


def test_a_pattern_takes_what_has_several_prefixes(tmp_path):
    write(tmp_path, "a/v/3fa9.jpg", "a/v/b2.jpg")
    assert found(tmp_path, "*") == {"a/v": ["3fa9.jpg", "b2.jpg"]}


def test_names_without_numbers_are_no_prefixes(tmp_path):
    write(tmp_path, "a/v/cover.jpg", "a/v/end.jpg", "a/v/img_1.jpg", "a/v/img_20.jpg")
    assert found(tmp_path) == {"a/v": ["cover.jpg", "end.jpg", "img_1.jpg", "img_20.jpg"]}


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
        f"Skipped '{root}/a/out/root', a link to a folder that holds it.",
        f"Skipped '{root}/a/v/up', a link to a folder that holds it.",
    ]


def test_a_link_to_a_file_that_is_gone_is_a_frame(tmp_path):
    write(tmp_path, "a/v/1.jpg")
    (tmp_path / "a" / "v" / "2.jpg").symlink_to(tmp_path / "gone")
    assert found(tmp_path) == {"a/v": ["1.jpg", "2.jpg"]}
    storage = FolderStorage.from_trees({"image": scan_frames(tmp_path)})
    with pytest.raises(FrameError, match="No such file"):
        storage.read("image", 0, 1)


# What the scan refuses


def refusal(root, pattern=None):
    with pytest.raises(DataError) as caught:
        scan_frames(root, pattern)
    return str(caught.value)


def test_a_root_that_is_not_there(tmp_path):
    assert (
        refusal(tmp_path / "no") == f"'{tmp_path}/no' does not exist: expected a folder of class/video/frame."
    )


def test_a_root_that_is_a_file(tmp_path):
    write(tmp_path, "clip.mp4")
    path = tmp_path / "clip.mp4"
    assert refusal(path) == f"'{path}' is a file: expected a folder of class/video/frame."


def test_frames_in_the_root(tmp_path):
    write(tmp_path, "2.jpg", "1.jpg", "a/v/1.jpg")
    assert refusal(tmp_path) == (
        f"'{tmp_path}' itself holds frames, such as '1.jpg', but the layout is class/video/frame: "
        "open the folder that holds the class folders, or move the frames."
    )


def test_no_frames_says_what_was_found(tmp_path):
    write(tmp_path, "a/1.mp4", "a/2.MP4", "b/3.mp4", "b/README")
    assert refusal(tmp_path) == (
        f"no frames in '{tmp_path}': expected class/video/frame with files that end in .jpg, .jpeg, .png; "
        "found 3 .mp4 files, 1 extensionless file."
    )


def test_an_empty_root(tmp_path):
    assert refusal(tmp_path).endswith("found no files.")


def test_a_pattern_that_matches_none(tmp_path):
    write(tmp_path, "a/v/f10.jpg", "a/v/f9.jpg", "a/w/f11.jpg")
    assert refusal(tmp_path, "img_*") == (
        f"frames='img_*' matches none of the 3 frames in '{tmp_path}', such as 'f9.jpg'."
    )


def test_several_numbered_prefixes(tmp_path):
    write(tmp_path, "a/v/img_1.jpg", "a/v/flow_x_1.jpg", "a/v/flow_y_1.jpg", "a/v/7.jpg")
    assert refusal(tmp_path) == (
        f"'{tmp_path}/a/v' holds numbered frames with 4 prefixes, '', 'flow_x_', 'flow_y_', 'img_': "
        "choose with frames=, such as frames='img_*', or frames='*' for all as one video."
    )


@pytest.mark.parametrize("pattern", [None, "*"])
def test_two_frames_with_one_stem(tmp_path, pattern):
    write(tmp_path, "a/v/0001.png", "a/v/0001.jpg")
    assert refusal(tmp_path, pattern) == (
        f"'{tmp_path}/a/v' holds two frames with one name, '0001.jpg' and '0001.png': "
        "remove one, or choose with frames=, such as frames='*.jpg'."
    )


def test_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    write(tmp_path, "a/v/1.jpg")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("/v"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert refusal(tmp_path) == f"cannot list '{tmp_path}/a/v': Permission denied."


def test_a_link_to_itself(tmp_path):
    write(tmp_path, "a/v/1.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a" / "loop")
    assert refusal(tmp_path).startswith(f"cannot list '{tmp_path}/a/loop': ")


# Storage


@pytest.fixture
def paired(tmp_path):
    for video, count in (("a/v2", 3), ("a/v10", 1), ("ü/v", 12)):
        write(tmp_path, *(f"image/{video}/f{n}.jpg" for n in range(count)))
        write(tmp_path, *(f"mask/{video}/f{n}.png" for n in range(count)))
    return tmp_path, {name: scan_frames(tmp_path / name) for name in ("image", "mask")}


def test_every_frame_is_read_from_its_own_file(paired):
    root, trees = paired
    storage = FolderStorage.from_trees(trees)
    assert storage.frame_counts.tolist() == [3, 1, 12]
    assert storage.frame_counts.dtype == np.int64
    for stream, extension in (("image", "jpg"), ("mask", "png")):
        for video, name in enumerate(["a/v2", "a/v10", "ü/v"]):
            for frame in range(storage.frame_counts[video]):
                path = f"{stream}/{name}/f{frame}.{extension}"
                assert storage.read(stream, video, frame) == path.encode()
                assert storage.where(stream, video, frame) == f"{root}/{path}"


def test_numpy_numbers_read_the_same(paired):
    storage = FolderStorage.from_trees(paired[1])
    assert storage.read("mask", np.int64(2), np.int32(11)) == storage.read("mask", 2, 11)


@pytest.mark.parametrize(("video", "frame"), [(0, 3), (1, -1), (-1, 0), (-2, 0), (2, 12), (3, 0), (0, 4)])
def test_a_frame_outside_its_video_is_never_another_frame(paired, video, frame):
    storage = FolderStorage.from_trees(paired[1])
    with pytest.raises(IndexError):
        storage.read("image", video, frame)


def test_a_storage_survives_pickling(paired):
    storage = FolderStorage.from_trees(paired[1])
    again = pickle.loads(pickle.dumps(storage))
    assert again.where("mask", 2, 11) == storage.where("mask", 2, 11)
    assert again.read("mask", 2, 11) == b"mask/\xc3\xbc/v/f11.png"


def test_a_relative_root_is_read_from_any_working_directory(tmp_path, monkeypatch):
    write(tmp_path, "data/a/v/1.jpg", data=b"pixels")
    monkeypatch.chdir(tmp_path)
    storage = FolderStorage.from_trees({"image": scan_frames("data")})
    monkeypatch.chdir("/")
    assert storage.read("image", 0, 0) == b"pixels"


def test_a_name_that_is_not_utf8(tmp_path):
    write(tmp_path, os.fsdecode(b"a/\xff/\xfe.jpg"), data=b"pixels")
    storage = FolderStorage.from_trees({"image": scan_frames(tmp_path)})
    assert storage.read("image", 0, 0) == b"pixels"


def test_an_empty_frame_names_its_path(tmp_path):
    write(tmp_path, "a/v/1.jpg", data=b"")
    storage = FolderStorage.from_trees({"image": scan_frames(tmp_path)})
    with pytest.raises(FrameError) as caught:
        storage.read("image", 0, 0)
    assert str(caught.value) == f"frame '{tmp_path}/a/v/1.jpg' is empty (0 bytes): extract it again."


def test_a_frame_that_vanished_names_its_path(tmp_path):
    write(tmp_path, "a/v/1.jpg")
    storage = FolderStorage.from_trees({"image": scan_frames(tmp_path)})
    (tmp_path / "a/v/1.jpg").unlink()
    with pytest.raises(FrameError) as caught:
        storage.read("image", 0, 0)
    assert str(caught.value) == (
        f"cannot read frame '{tmp_path}/a/v/1.jpg': No such file or directory. "
        "If files changed since the dataset was opened, open it again."
    )


def test_a_short_read_is_continued(tmp_path, monkeypatch):
    write(tmp_path, "a/v/1.jpg", data=bytes(range(256)) * 40)
    storage = FolderStorage.from_trees({"image": scan_frames(tmp_path)})
    read = os.read
    monkeypatch.setattr(os, "read", lambda file, size: read(file, min(size, 1000)))
    assert storage.read("image", 0, 0) == bytes(range(256)) * 40


def test_reading_leaves_no_file_open(tmp_path):
    write(tmp_path, "a/v/1.jpg")
    write(tmp_path, "a/v/2.jpg", data=b"")
    storage = FolderStorage.from_trees({"image": scan_frames(tmp_path)})
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        storage.read("image", 0, 0)
        with pytest.raises(FrameError):
            storage.read("image", 0, 1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_frame_costs_its_name_and_nine_bytes(tmp_path):
    def size(frames):
        files = "\0".join(f"frame_{n:08d}.jpg" for n in range(frames))
        tree = FrameTree(str(tmp_path), {"a/v": files})
        return len(pickle.dumps(FolderStorage.from_trees({"image": tree})))

    per_frame = (size(100_000) - size(10_000)) / 90_000
    assert per_frame == pytest.approx(len("frame_00000000.jpg") + 9, abs=0.1)
