"""Which files are frames of one video, which videos of a subset, and which windows fit."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastclips.compat._base.videos import Runs, group


def runs_of(lengths, shuffled=False):
    """Runs of given lengths, over files numbered as they come."""
    ends = np.cumsum(lengths, dtype=np.int64)
    files = np.arange(sum(lengths), dtype=np.int64)
    if shuffled:
        files = np.random.default_rng(0).permutation(files)
    return Runs(files, ends - lengths, ends, tuple(f"video {n}" for n in range(len(lengths))))


def as_lists(runs):
    return [runs.files[a:b].tolist() for a, b in zip(runs.begins, runs.ends, strict=True)]


def test_frames_in_a_class_folder_are_videos_by_name_without_the_number():
    names = [
        "dive/v_Dive_g01_c01_0001.jpg",
        "dive/v_Dive_g01_c01_0002.jpg",
        "dive/v_Dive_g01_c01_0010.jpg",
        "dive/v_Dive_g01_c02_0001.jpg",
        "jump/v_Dive_g01_c01_0003.jpg",
    ]
    runs = group(names, folders=True)
    assert as_lists(runs) == [[0, 1, 2], [3], [4]]
    assert runs.names == ("dive/v_Dive_g01_c01_", "dive/v_Dive_g01_c02_", "jump/v_Dive_g01_c01_")


def test_frames_are_in_natural_order_however_they_are_listed():
    names = [f"c/frame{n}.jpg" for n in (1, 10, 11, 2, 3)]
    assert as_lists(group(names, folders=True)) == [[0, 3, 4, 1, 2]]


def test_a_folder_in_a_class_folder_is_one_video_whatever_its_frames_are_called():
    names = ["c/v1/a_1.jpg", "c/v1/b_1.jpg", "c/v2/a_1.jpg", "c/p/v1/1.jpg", "c/a_1.jpg", "c/b_1.jpg"]
    runs = group(names, folders=True)
    assert as_lists(runs) == [[0, 1], [2], [3], [4], [5]]
    assert runs.names == ("c/v1/", "c/v2/", "c/p/v1/", "c/a_", "c/b_")


def test_in_a_table_names_decide_in_every_folder():
    names = ["a_1.jpg", "x/v/a_1.jpg", "x/v/b_1.jpg", "a_2.jpg", "x/v/a_2.jpg"]
    assert as_lists(group(names, folders=False)) == [[0, 3], [1, 4], [2]]


@pytest.mark.parametrize(
    "names", [["c/1.jpg", "c/2.png"], ["c/img (1).jpg", "c/img (2).jpg"], ["c/x1", "c/x2"]]
)
def test_names_that_are_alike(names):
    assert as_lists(group(names, folders=True)) == [[0, 1]]


def test_names_without_a_number_are_each_a_video():
    assert as_lists(group(["c/red.jpg", "c/green.jpg"], folders=True)) == [[0], [1]]


def slow_windows(runs, time_steps, step, dilation):
    clips = []
    for files in as_lists(runs):
        start = 0
        while start + dilation * (time_steps - 1) < len(files):
            clips.append(files[start : start + dilation * (time_steps - 1) + 1 : dilation])
            start += step
    return clips


lengths = st.lists(st.integers(1, 12), min_size=1, max_size=6)


@given(lengths, st.integers(1, 6), st.integers(1, 4), st.integers(1, 3))
def test_windows_are_all_that_fit(lengths, time_steps, step, dilation):
    runs = runs_of(lengths, shuffled=True)
    starts = runs.windows(time_steps, step, dilation)
    clips = runs.files[starts[:, None] + dilation * np.arange(time_steps)]
    assert clips.tolist() == slow_windows(runs, time_steps, step, dilation)


@given(lengths, st.data())
def test_runs_end_where_a_code_changes(lengths, data):
    runs = runs_of(lengths, shuffled=True)
    codes = np.array(data.draw(st.lists(st.integers(0, 2), min_size=sum(lengths), max_size=sum(lengths))))
    expected = []
    for files in as_lists(runs):
        for number in files:
            if number != files[0] and codes[number] == codes[expected[-1][-1]]:
                expected[-1].append(number)
            else:
                expected.append([number])
    assert as_lists(runs.cut(codes)) == expected


@given(lengths, st.floats(0.01, 0.99), st.data())
def test_subsets_divide_the_frames_between_them(lengths, fraction, data):
    runs = runs_of(lengths)
    of_video = data.draw(st.lists(st.integers(0, 2), min_size=len(lengths), max_size=len(lengths)))
    codes = np.repeat(of_video, lengths)
    (training, cut), (validation, same) = (
        runs.share(codes, fraction, subset) for subset in ("training", "validation")
    )
    assert cut == same
    assert set(cut) == {code for code in of_video if of_video.count(code) == 1}
    parts = [set(chain.from_iterable(as_lists(part))) for part in (training, validation)]
    assert parts[0] | parts[1] == set(range(sum(lengths)))
    assert not parts[0] & parts[1]
    for code in set(of_video):
        videos = [set(files) for files, its in zip(as_lists(runs), of_video, strict=True) if its == code]
        if len(videos) > 1:
            taken = [video <= parts[1] for video in videos]
            assert taken == sorted(taken, reverse=True), "validation takes the first ones"
            assert all(video <= parts[1] or video <= parts[0] for video in videos)
            assert 1 <= sum(taken) < len(videos)
            assert abs(sum(taken) - fraction * len(videos)) <= 1
        else:
            assert len(parts[1] & videos[0]) == int(fraction * len(videos[0]))
