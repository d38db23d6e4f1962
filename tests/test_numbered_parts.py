"""Rows that give the numbers of their first and last frame, as EPIC-KITCHENS does."""

import tarfile

import numpy as np
import pytest
from helpers import frames_of, parts, touch
from hypothesis import given
from hypothesis import strategies as st

import fastclips as fc
from fastclips.data.names import FileNames
from fastclips.errors import DataError, OptionError


@pytest.fixture
def root(tmp_path):
    frames_of(tmp_path, "P01/v", 20, "frame_{:010d}.jpg", first=1)
    frames_of(tmp_path, "P01/w", 5, "{}.jpg", first=100)
    touch(tmp_path, *(f"P02/gap/{number:04d}.jpg" for number in (3, 4, 5, 20, 21)))
    touch(tmp_path, *(f"P02/fifth/{number:04d}.jpg" for number in range(0, 50, 5)))
    return tmp_path


def opened(rows, root, columns="path first last", **options):
    return fc.open(rows, root=root, columns=columns, **options)


def refusal(*arguments, **options):
    with pytest.raises(DataError) as caught:
        opened(*arguments, **options)
    return str(caught.value)


def test_frames_go_by_their_numbers(root):
    (root / "train.txt").write_text("P01/v 1 3 0\nP01/v 20 20 1\nP01/w 101 104 0\nP02/fifth 4 16 2\n")
    data = fc.open(root / "train.txt", columns="path first last label")
    assert parts(data) == [("P01/v", 0, 3), ("P01/v", 19, 1), ("P01/w", 1, 4), ("P02/fifth", 1, 3)]
    assert data.storage.where("image", 1, 1) == f"{root}/P01/w/101.jpg"
    assert data.classes == ("0", "1", "2")


@given(
    st.lists(st.integers(0, 60), min_size=2, unique=True).map(sorted),
    st.integers(0, 70),
    st.integers(0, 70),
)
def test_parts_agree_with_a_slow_reference(numbers, one, other):
    first, last = sorted((one, other))
    names = FileNames.of([f"img_{number:05d}.jpg" for number in numbers])
    assert list(names.frame_numbers()) == numbers
    shown = [number for number in numbers if first <= number <= last]
    from fastclips.data.parts import find_parts  # noqa: PLC0415
    from fastclips.data.records import read_records  # noqa: PLC0415

    records = read_records([("v", first, last)], "path first last")
    count, key = np.array([len(numbers)]), np.zeros(1, np.int64)
    if shown:
        (start,), (found,) = find_parts(records, [0], count, key, None, [names])
        assert numbers[start : start + found] == shown
    else:
        with pytest.raises(DataError, match=rf"first={first} to last={last}"):
            find_parts(records, [0], count, key, None, [names])


def test_one_of_them_leaves_the_other_end_open(root):
    assert parts(opened([("P01/v", 18)], root, "path first")) == [("P01/v", 17, 3)]
    assert parts(opened([("P01/v", 2)], root, "path last")) == [("P01/v", 0, 2)]
    assert parts(fc.open([{"path": "P01/w", "last": 102.0}], root=root)) == [("P01/w", 0, 3)]


def test_gaps_and_ends_warn(root, caplog):
    assert parts(opened([("P02/gap", 4, 20)], root)) == [("P02/gap", 1, 3)]
    assert [message.partition(",")[0] for message in caplog.messages] == [
        "Frame numbers are missing in 1 of 1 videos"
    ]
    caplog.clear()
    assert parts(opened([("P01/v", 1, 3), ("P01/v", 0, 3), ("P01/v", 18, 25)], root)) == [
        ("P01/v", 0, 3),
        ("P01/v", 0, 3),
        ("P01/v", 17, 3),
    ]
    (message,) = caplog.messages
    assert message == (
        "2 of 3 rows begin before the first frame or end after the last frame of their videos, such as row 1 "
        "(from 0): 0 to 3 of 1 to 20. Frames that do not exist are left out."
    )


def test_a_range_without_frames(root):
    assert refusal([("P01/v", 1, 2), ("P01/w", 1, 99)], root) == (
        "row 1 (from 0): no frame of 'P01/w' has a number from first=1 to last=99. Its frames have the "
        "numbers 100 to 104."
    )
    assert refusal([("P02/gap", 6, 19)], root).endswith("the numbers 3 to 21, and none between 5 and 20.")
    (root / "l.txt").write_text("P01/v 30 40\n")
    assert refusal(root / "l.txt", root).startswith(f"line 1 of '{root}/l.txt': no frame of 'P01/v'")


@pytest.mark.parametrize(
    "names",
    [
        ["0.10", "0.15", "0.20"],
        ["0.1", "0.2", "0.3"],
        ["a_5.0", "a_5.5", "a_6.0"],
        ["a", "b"],
        ["v1_2"],
    ],
)
def test_names_without_a_number_of_the_frame(tmp_path, names):
    touch(tmp_path, *(f"k/v/{name}.jpg" for name in names))
    options = {"frames": "*"} if len(names) > 1 else {}
    message = refusal([("k/v", 0, 3)], tmp_path, **options)
    assert message.startswith("row 0 (from 0): first and last are whole numbers in the names of frames, but")
    assert "use start and length" in message


def test_one_kind_of_part_in_a_list(root):
    with pytest.raises(
        OptionError, match="column 'first' is a number in names of frames, but 'length' counts"
    ):
        opened([("P01/v", 1, 2)], root, "path first length")
    with pytest.raises(DataError, match="'last' is a number in names of frames, but 'start' counts frames"):
        fc.open([{"path": "P01/v", "start": 1, "last": 3}], root=root)
    assert "last 2 must be at least first, which is 3" in refusal([("P01/v", 3, 2)], root)
    assert "first -1 must be an integer from 0" in refusal([("P01/v", -1, 2)], root)
    (root / "l.txt").write_text("P01/v\t1\n")
    assert parts(fc.open(root / "l.txt", columns="path start")) == [("P01/v", 1, 19)]


def test_labels_of_frames_and_streams(root):
    touch(root, *(f"masks/P01/v/frame_{number:010d}.png" for number in range(1, 21)))
    row = {"path": "P01/v", "first": 4, "last": 6, "frame_labels": [0, 1, 1]}
    data = fc.open([row], root={"image": root, "mask": root / "masks"})
    assert parts(data) == [("P01/v", 3, 3)]
    with pytest.raises(DataError, match="frame_labels"):
        fc.open([{**row, "last": 7}], root=root)


def test_dropped_frames_keep_their_numbers(root):
    touch(root, *(f"masks/P01/v/frame_{number:010d}.png" for number in range(2, 21, 2)))
    data = opened([("P01/v", 3, 8)], {"image": root, "mask": root / "masks"}, unpaired="drop")
    assert parts(data) == [("P01/v", 1, 3)]
    assert data.storage.where("image", 0, 1) == f"{root}/P01/v/frame_0000000004.jpg"
    data = opened([("P01/v", 3, 8)], {"image": root, "mask": root / "masks"}, unpaired="ignore")
    assert parts(data) == [("P01/v", 2, 6)]


def test_tars_patterns_groups_and_saved_indexes(root):
    (root / "l.txt").write_text("P01/w 101 103\n")
    expected = [("P01/w", 1, 3)]
    with tarfile.open(root / "f.tar", "w") as tar:
        tar.add(root / "P01", "P01")
    assert parts(opened(root / "l.txt", root / "f.tar")) == expected
    assert parts(opened(root / "l.txt", root, frames="{:d}.jpg")) == expected
    for _ in range(2):
        assert parts(opened(root / "l.txt", root, index=root / "i")) == expected
    touch(root, *(f"flat/clip{clip}_{frame:03d}.jpg" for clip in (1, 2) for frame in range(5, 9)))
    data = opened([("flat/clip2", 6, 7)], root, videos=r"clip\d")
    assert parts(data) == [("flat/clip2", 1, 2)]


def test_video_files_have_no_such_numbers(tmp_path):
    pytest.importorskip("av")
    from videos import show, write_movie  # noqa: PLC0415 - needs av

    from fastclips.packing.video_sources import open_video_files  # noqa: PLC0415

    write_movie(tmp_path / "v/a.mp4", [show(number) for number in range(3)])
    with pytest.raises(DataError, match="which video files do not have: use start and length"):
        open_video_files(tmp_path / "v", records=[("a", 1, 2)], columns="path first last")


def test_the_loader_shows_the_part(frames):
    data = opened([("class_0/video_0", 3, 6)], frames)
    with fc.ClipLoader(data, fc.Windows(2), batch_size=2, workers=0) as loader:
        table = loader.plan_table(0)
    assert [path.rpartition("_")[2] for path in table["paths"].ravel()] == [
        f"{number:05d}.jpg" for number in range(3, 7)
    ]
    np.testing.assert_array_equal(table["start"], [0, 2])
