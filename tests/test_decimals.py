"""Frames named by decimals are in the order of time, or refused where counters are as likely."""

from pathlib import Path

import numpy as np
import pytest
from helpers import write_jpeg
from hypothesis import given
from hypothesis import strategies as st

import fastclips as fc
from fastclips.compat._base.videos import group
from fastclips.data.decimals import find_decimals
from fastclips.data.names import FileNames
from fastclips.errors import DataError


def stems_of(folder):
    """Return the stems of the frames that are opened, in order, after writing nothing but names."""
    dataset = fc.open(folder, labels=None)
    return [
        Path(dataset.storage.where("image", 0, frame)).stem for frame in range(dataset.index.frame_counts[0])
    ]


def write(folder, stems):
    folder.mkdir(parents=True, exist_ok=True)
    for name in stems:
        (folder / f"{name}.jpg").touch()
    return folder


ORDERED = [
    ["0.1", "0.15", "0.2", "0.25"],
    ["0", "0.25", "0.5", "0.75", "1", "1.25"],
    ["0.05", "0.1", "0.25", "1.5", "1.75"],
    ["0.033", "0.067", "0.1", "0.133", "1.0", "1.067", "10.0"],
    ["0.1", "0.15", "0.3"],
    ["t0.1s", "t0.15s", "t0.2s"],
    ["cam1_0.5_rgb", "cam1_0.75_rgb", "cam1_0.8_rgb"],
    ["1.8", "1.9", "1.10", "1.11"],
    ["1.1", "1.3", "1.5", "1.7", "1.9", "1.11", "1.13"],
    ["v1.9_1", "v1.9_2", "v1.9_10"],
    ["1.2.9", "1.2.10", "1.2.11"],
    ["clip2.0001", "clip2.0002", "clip2.0003"],
]


@pytest.mark.parametrize("expected", ORDERED)
def test_frames_named_by_decimals_are_in_the_order_of_time(tmp_path, expected):
    assert stems_of(write(tmp_path / "v", reversed(expected))) == expected


@pytest.mark.parametrize("expected", ORDERED)
def test_compat_has_the_order_of_the_core(expected):
    names = [f"class/video/{name}.jpg" for name in reversed(expected)]
    assert [names[file] for file in group(names, folders=True).files] == names[::-1]


UNCLEAR = [
    (["0.5", "1.25", "1.5", "2.75"], "1.25", "1.5"),
    (["a1.5", "a1.11", "a2.7"], "a1.11", "a1.5"),
    (["0.05", "0.10", "0.2"], "0.10", "0.2"),
]


@pytest.mark.parametrize(("names", "first", "second"), UNCLEAR)
@pytest.mark.parametrize("frames", [None, "*"])
def test_names_of_unclear_order_are_refused_and_the_remedy_works(tmp_path, names, first, second, frames):
    folder = write(tmp_path / "v", names)
    message = f"{first!r} and {second!r}, whose order is unclear: .* that a single number counts them"
    with pytest.raises(DataError, match=message):
        fc.open(folder, labels=None, frames=frames)
    counted = [f"{number:05d}" for number in range(1, len(names) + 1)]
    for name, number in zip(sorted(names), counted, strict=True):
        (folder / f"{name}.jpg").rename(folder / f"{number}.jpg")
    assert stems_of(folder) == counted


@pytest.mark.parametrize(("names", "first", "second"), UNCLEAR)
@pytest.mark.parametrize("folder", ["class/video", "class"])
def test_compat_refuses_names_of_unclear_order(names, first, second, folder):
    with pytest.raises(DataError, match=f"{first}' and .*{second}', whose order is unclear"):
        group([f"{folder}/{name}.jpg" for name in names], folders=True)


def test_compat_keeps_videos_of_one_folder_whose_names_hold_decimals():
    names = ["c/s0.5_1.png", "c/s0.25_1.png", "c/s1.5_2.png", "c/s1.5_10.png", "c/t0.9.png", "c/t1.0.png"]
    runs = group(names, folders=True)
    assert runs.names == ("c/s0.5_", "c/s0.25_", "c/s1.5_", "c/t0.", "c/t1.")
    assert runs.files.tolist() == [0, 1, 2, 3, 4, 5]


def test_seconds_in_a_flat_folder_are_one_video():
    names = [f"c/{name}.jpg" for name in ("1.5", "1.25", "1.0", "0.75")]
    runs = group(names, folders=True)
    assert (runs.names, runs.files.tolist()) == (("c/",), [3, 2, 1, 0])


def test_scenes_and_frames_of_one_width_are_still_several_sequences(tmp_path):
    folder = write(tmp_path / "v", ["1.01", "1.02", "2.01", "2.02"])
    with pytest.raises(DataError, match=r"holds 2 sequences of numbered frames, '1\.\*', '2\.\*'"):
        fc.open(folder, labels=None)


def test_seconds_have_no_gaps():
    assert not FileNames.of(["0.03.jpg", "0.1.jpg", "0.15.jpg", "0.2.jpg"]).has_gap()
    assert FileNames.of(["1.0001.jpg", "1.0002.jpg", "1.0004.jpg"]).has_gap()


@given(st.sets(st.integers(0, 400), min_size=1), st.sampled_from([0.25, 0.04, 1 / 30, 0.5, 0.1]))
def test_printed_seconds_are_in_order_or_refused(numbers, period):
    seconds = [number * period for number in sorted(numbers)]
    names = list(map(str, seconds))
    decimals = find_decimals(names)
    if decimals.unclear is None and decimals:
        assert sorted(names, key=decimals.key) == names


@given(st.integers(0, 30), st.integers(3, 40), st.integers(1, 7), st.integers(1, 3))
def test_even_counters_are_never_decimals(first, count, stride, scenes):
    names = [
        f"{scene}.{number}"
        for scene in range(1, scenes + 1)
        for number in range(first, first + count * stride, stride)
    ]
    assert not find_decimals(names)


def test_the_pixels_of_decimal_frames_are_in_order(tmp_path):
    names = ["0.1", "0.15", "0.2", "0.25"]
    for number, name in enumerate(names):
        path = tmp_path / "a/v" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_jpeg(path, np.full((16, 16, 3), 60 * number, np.uint8))
    x, _ = next(iter(fc.ClipLoader(fc.open(tmp_path), fc.Windows(4), batch_size=1, workers=0)))
    assert np.all(np.diff(x[0, :, 0, 0, 0].astype(int)) > 40)
