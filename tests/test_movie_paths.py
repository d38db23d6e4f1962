"""Which paths are video files, in folders and in lists."""

import pytest

from fastclips.data.listed import scan_folders
from fastclips.data.scan import scan_tree
from fastclips.errors import DataError


def write(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def listed(tree):
    return {video: files.names() for video, files in tree.videos.items()}


def refusal(root):
    with pytest.raises(DataError) as caught:
        scan_tree(root)
    return str(caught.value)


def test_video_files_are_found(tmp_path):
    write(tmp_path, "b/10.mp4", "b/9.MKV", "a/deep/x.ts", "a/notes.txt", "a/.hidden.mp4")
    tree = scan_tree(tmp_path)
    assert (tree.videos, tree.movies) == ({}, ("a/deep/x.ts", "b/9.MKV", "b/10.mp4"))
    write(tmp_path, "c/v/1.jpg")
    said = refusal(tmp_path)
    assert "has video files, such as '" in said
    assert "and frames, such as 'c/v/1.jpg'" in said
    tree = scan_tree(tmp_path, "*.jpg")
    assert (listed(tree), tree.movies) == ({"c/v": ["1.jpg"]}, ())


def test_a_file_of_a_list_is_a_video_file(tmp_path):
    write(tmp_path, "a.mp4", "b.webm", "c.y4m", "d/1.jpg")
    tree, files = scan_folders(tmp_path, ["a.mp4", "b", "c.y4m", "gone.mp4", "gone"])
    assert files == {"a.mp4": "a.mp4", "b": "b.webm", "c.y4m": "c.y4m"}
    assert (tree.videos, tree.movies) == ({}, ("a.mp4", "b.webm", "c.y4m"))
    with pytest.raises(DataError, match=r"video files, such as 'a.mp4', and frames, such as 'd/1.jpg'"):
        scan_folders(tmp_path, ["a.mp4", "d"])
    write(tmp_path, "a/1.jpg")
    with pytest.raises(DataError, match=r"'a.mp4' in '.*' is a video file, and 'a' is a folder"):
        scan_folders(tmp_path, ["a.mp4"])
    assert scan_folders(tmp_path, ["a.mp4"], "*.jpg")[1] == {"a.mp4": "a"}
    assert scan_folders(tmp_path, ["a"])[1] == {"a": "a"}
