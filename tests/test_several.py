"""A pattern that a message offers selects the frames of a sequence, all of them and nothing else."""

import re

import pytest
from helpers import touch

from fastclips.data.scan import scan_tree
from fastclips.errors import DataError


def found(root, frames):
    return {video: files.names() for video, files in scan_tree(root, frames).videos.items()}


def refusal(root):
    with pytest.raises(DataError) as caught:
        scan_tree(root)
    return str(caught.value)


STRAYS = [  # the frames, others, and a pattern that selects the frames
    (["00001.png", "00002.png", "00003.png"], ["00002 (1).png"], "{:05d}.png"),
    (["00001.png", "00002.png", "00003.png"], ["00002 (1).png", "00003 (1).png"], "{:05d}.png"),
    (["1.png", "2.png", "10.png"], ["2 copy.png", "cover.png"], "{:01d}.png"),
    (["1.jpg", "2.png", "10.png"], ["2 (1).png"], None),
    (["img_1.jpg", "img_2.png", "img_3.png"], ["cover.jpg"], "img_*.*"),
    (["a[1]_1.jpg", "a[1]_2.jpg", "a[1]_4.jpg"], ["cover.jpg"], "a[[]1]_*.*"),
]


@pytest.mark.parametrize(("frames", "others", "pattern"), STRAYS)
def test_a_pattern_that_is_offered_selects_the_frames_alone(tmp_path, frames, others, pattern):
    touch(tmp_path, *(f"a/v/{name}" for name in (*frames, *others)))
    message = refusal(tmp_path)
    offered = re.search("frames=('.*')", message)
    assert (offered and offered[1]) == (pattern and repr(pattern))
    if pattern is None:
        assert message.endswith(f"and others, {others[0]!r}: move the others to another folder.")
    else:
        assert found(tmp_path, pattern) == {"a/v": frames}


def test_a_pattern_is_offered_for_twins_only_if_it_selects_every_stem(tmp_path):
    touch(tmp_path, "a/v/0001.png", "a/v/0001.jpg", "a/v/0002.png")
    assert refusal(tmp_path).endswith("remove one, or select with frames=, such as frames='*.png'.")
    touch(tmp_path, "a/v/0003.jpg")
    assert refusal(tmp_path).endswith("'0001.jpg' and '0001.png': remove one.")


def test_seconds_of_one_width_are_offered_as_one_video(tmp_path):
    touch(tmp_path, *(f"a/v/{name}.jpg" for name in ("0.0", "0.5", "1.0", "1.5")))
    assert "if they are one video, set frames='*'; otherwise select one with frames=" in refusal(tmp_path)
    assert found(tmp_path, "*") == {"a/v": ["0.0.jpg", "0.5.jpg", "1.0.jpg", "1.5.jpg"]}
