"""Times of frames: those of the file, else f / fps; parts of videos in seconds."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastclips as fc
from fastclips.data.frame_times import FrameTimes, Timing, covered
from fastclips.errors import DataError, OptionError


@st.composite
def shown_times(draw):
    """Ascending presentation times; a unit; and a rate, (0, 1) if unknown."""
    steps = draw(st.one_of(st.lists(st.integers(1, 2**20), max_size=8), st.just([512] * 5)))
    first = draw(st.integers(-(2**33), 2**33))
    unit = draw(st.sampled_from([(1, 12800), (1, 90000), (1001, 30000), (1, 1000)]))
    rate = draw(st.sampled_from([(0, 1), (25, 1), (30000, 1001)]))
    return first + np.cumsum([0, *steps], dtype=np.int64), unit, rate


@given(videos=st.lists(shown_times(), min_size=1, max_size=5), data=st.data())
def test_seconds_are_exact(videos, data):
    """The nearest float64 to (shown - first) * unit, after a round trip through columns and `take`."""
    times = FrameTimes(FrameTimes.pack([Timing.of(*video) for video in videos]))
    chosen = data.draw(st.lists(st.integers(0, len(videos) - 1), min_size=1, max_size=4))
    for held, numbers in ((times, range(len(videos))), (times.take(np.array(chosen)), chosen)):
        for number, (shown, unit, _) in enumerate(videos[video] for video in numbers):
            frames = np.arange(len(shown))
            exact = [float((int(time) - int(shown[0])) * Fraction(*unit)) for time in shown]
            found = held.seconds(np.full(len(shown), number), frames)
            assert found.tolist() == exact
            assert held.known(np.array([number])).all()
            start, end = sorted(data.draw(st.tuples(st.floats(0, 200), st.floats(0, 200))))
            inside = [f for f, time in enumerate(exact) if start - 1e-6 <= time < end - 1e-6]
            first, beyond = held.covered(number, len(shown), start, end)
            assert list(range(first, beyond)) == inside


def test_times_by_the_rate():
    times = FrameTimes(
        FrameTimes.pack([Timing.of(None, (1, 90000), (30000, 1001)), Timing.of(None, (1, 1), (0, 1))])
    )
    assert times.seconds(np.array([0]), np.array([3])).tolist() == [3 * 1001 / 30000]
    assert times.known(np.array([0, 1, 0])).tolist() == [True, False, True]
    assert covered(10.0, 20, 0.3, 0.6) == (3, 6)  # not one frame more for the error of 0.3 * 10


# The index


def test_frames_that_are_files(frames):
    rows = [
        {"path": "class_0/video_0", "start": 2, "length": 6, "fps": 10},
        {"path": "class_1/video_1", "start": 0, "length": 12, "fps": 30},
    ]
    index = fc.open(rows, root=frames).index
    assert index.seconds([0, 1], [[0, 5, ~5], [0, 6, ~0]]).tolist() == [[0.2, 0.7, 0.7], [0.0, 0.2, 0.0]]
    assert index.seconds(1, 3) == 0.1
    assert index.seconds([1, 0], [3, 3]).tolist() == [0.1, 0.5]
    assert index.take(np.array([1])).seconds([0], [3]).tolist() == [0.1]
    with pytest.raises(
        OptionError, match=r"the times of the frames of 'class_0/video_0' are unknown: add the column fps"
    ):
        fc.open(frames).index.seconds(0, 0)
    with pytest.raises(
        OptionError, match=r"rows of shape \(3,\): must be the first dimensions of frames, \(2, 3\)"
    ):
        index.seconds([0, 0, 0], np.zeros((2, 3), int))
    with pytest.raises(OptionError, match="rows: 2 is not a row of an index of 2 videos"):
        index.seconds(2, 0)
    with pytest.raises(OptionError, match="frames: 6 is not a frame of row 0, which has 6 frames"):
        index.seconds([1, 0], [11, 6])


# Parts in seconds


def parts(rows, **options):
    index = fc.open(rows, **options).index
    return list(zip(index.starts.tolist(), index.frame_counts.tolist(), strict=True))


def test_parts_of_frames_that_are_files(frames):
    row = {"path": "class_0/video_0", "fps": 10}
    for given_times, expected in (
        ({"start_time": 0.3, "end_time": 0.6}, (3, 3)),
        ({"start_time": 0.3}, (3, 9)),
        ({"end_time": 0.6}, (0, 6)),
        ({"start_time": 0.31, "end_time": 0.59}, (4, 2)),
        ({"start_time": 1.0, "end_time": 99}, (10, 2)),
        ({"start_time": 1.0, "end_time": math.inf}, (10, 2)),
        ({"start_time": 1.0, "end_time": "inf"}, (10, 2)),
    ):
        assert parts([{**row, **given_times}], root=frames) == [expected]


def test_parts_of_a_text_file(frames, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("class_0/video_0 0 0.5 10 run\nclass_0/video_0 0.5 1.2 10 walk\n")
    columns = "path start_time end_time fps label"
    data = fc.open(listed, root=frames, columns=columns)
    assert data.index.starts.tolist() == [0, 5]
    assert data.index.frame_counts.tolist() == [5, 7]
    assert data.classes == ("run", "walk")


def test_a_text_file_without_an_end(frames, tmp_path):
    listed = tmp_path / "list.csv"
    listed.write_text("path,end_time,fps\nclass_0/video_0,0.5,10\nclass_0/video_0,inf,10\n")
    assert fc.open(listed, root=frames).index.frame_counts.tolist() == [5, 12]
    listed.write_text("path,end_time,fps\nclass_0/video_0,,10\n")
    with pytest.raises(DataError, match="end_time '' must not be empty: write inf for the end of the video"):
        fc.open(listed, root=frames)


def test_ends_beyond_the_video_warn_once(frames, caplog):
    """12 frames at 10 or 100 frames a second: a frame, or 0.1 s, more is no reason to warn."""
    row = {"path": "class_0/video_0"}
    silent = [{**row, "fps": 10, "end_time": 1.3}, {**row, "fps": 100, "end_time": 0.22}]
    silent += [{**row, "fps": 5, "end_time": 2.6}, {**row, "fps": 10, "end_time": math.inf}]
    assert parts(silent, root=frames) == [(0, 12)] * 4
    assert not caplog.messages
    late = [{**row, "fps": 10, "end_time": 1.31}, {**row, "fps": 100, "end_time": 0.221}]
    assert parts([silent[0], *late], root=frames) == [(0, 12)] * 3
    (message,) = caplog.messages
    assert message.startswith("2 of 3 rows begin before the first frame or end after the last frame of")
    assert "such as row 1 (from 0): end_time=1.31 of 1.2 seconds. Frames that do not exist are" in message


@given(st.lists(st.integers(1, 100), min_size=1, max_size=20), st.integers(1, 1000))
def test_durations(steps, rate):
    """The last frame of a variable rate counts as the average of the others."""
    shown = np.cumsum([0, *steps])
    times = FrameTimes(FrameTimes.pack([Timing.of(shown, (1, rate), (0, 1))]))
    expected = (sum(steps) + sum(steps) / len(steps)) / rate
    assert times.duration(0, len(shown)) == pytest.approx(expected)


def test_a_single_frame_without_a_rate_has_no_end():
    times = FrameTimes(FrameTimes.pack([Timing.of(np.array([7]), (1, 25), (0, 1))]))
    assert times.duration(0, 1) == math.inf


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"start_time": 1.2},
            r"row 0 .*: 'class_0/video_0' shows no frame from start_time=1.2 up to end_time=inf",
        ),
        (
            {"start_time": 0.31, "end_time": 0.39},
            r"row 0 .* shows no frame from start_time=0.31 up to end_time=0.39",
        ),
        ({"start_time": -1}, r"row 0 .*: start_time -1 must be 0 or more seconds"),
        ({"end_time": 0}, r"row 0 .*: end_time 0 must be above the start, 0 seconds"),
        ({"start_time": 2, "end_time": 1}, r"row 0 .*: end_time 1 must be above the start, 2 seconds"),
        ({"end_time": "x"}, r"row 0 .*: end_time 'x' must be a finite number: write inf for the end of the"),
        ({"end_time": -math.inf}, r"row 0 .*: end_time -inf must be a finite number: write inf for the end"),
        ({"end_time": math.nan}, r"row 0 .*: end_time nan is missing: write inf for the end of the video"),
        ({"start_time": math.inf}, r"row 0 .*: start_time inf must be a finite number(?!:)"),
        (
            {"start_time": 0, "start": 0},
            r"start_time 0 is in seconds, but the list also has start, in frames",
        ),
        ({"end_time": 1, "length": 3}, r"end_time 1 is in seconds, but the list also has length, in frames"),
    ],
)
def test_parts_that_cannot_be(frames, columns, said):
    with pytest.raises(DataError, match=said):
        fc.open([{"path": "class_0/video_0", "fps": 10, **columns}], root=frames)


def test_seconds_need_a_rate(frames):
    said = r"row 0 .*need the times of the frames of 'class_0/video_0': add the column fps"
    with pytest.raises(DataError, match=said):
        fc.open([{"path": "class_0/video_0", "start_time": 0}], root=frames)


# Video files


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    """A file at 25 frames a second, one of a variable rate, and one whose first frame has not the time 0."""
    pytest.importorskip("av")
    from videos import show, write_kind, write_movie  # noqa: PLC0415 - needs av

    root = tmp_path_factory.mktemp("timed")
    frames = [show(number) for number in range(40)]
    write_movie(root / "even.mp4", frames, "libx264", {"bf": "3"}, 3)
    write_movie(root / "odd.mkv", frames, "libx264", {"bf": "3"}, 3, rate=1000, times=TIMES)
    write_kind(root / "late.ts", "open-gop.ts", frames)
    return root


TIMES = (7 + np.cumsum(np.random.default_rng(1).integers(10, 90, 40))).tolist()  # ms


def test_times_of_video_files(movies):
    import av  # noqa: PLC0415 - may be missing

    data = fc.open(movies, labels=None)
    names = dict(enumerate(data.index.names))
    for row, name in names.items():
        (path,) = movies.glob(f"{name}.*")
        with av.open(str(path)) as container:
            shown = [frame.time for frame in container.decode(video=0)]
        found = data.index.seconds(row, np.arange(40))
        np.testing.assert_allclose(found, np.array(shown) - shown[0], atol=1e-9)
    odd = [row for row, name in names.items() if name == "odd"]
    expected = (np.array(TIMES) - TIMES[0]) / 1000
    np.testing.assert_array_equal(data.index.seconds(odd, [[3, ~30]]), [expected[[3, 30]]])


def test_parts_of_video_files(movies, caplog):
    """Several episodes in one file, and the frames of a variable rate that are shown in a time."""
    rows = [("even.mp4", 0, 0.4), ("even.mp4", 0.4, 1.2), ("even.mp4", 1.2, 60), ("late.ts", 0.1 + 0.2, 0.6)]
    assert parts(rows, root=movies, columns="path start_time end_time") == [
        (0, 10),
        (10, 20),
        (30, 10),
        (8, 7),
    ]
    (message,) = caplog.messages
    assert message.startswith("1 of 4 rows begin before")
    assert "row 2 (from 0): end_time=60 of 1.6 seconds" in message
    times = (np.array(TIMES) - TIMES[0]) / 1000
    index = fc.open([("odd", times[5], times[21])], root=movies, columns="path start_time end_time").index
    assert (index.starts.item(), index.frame_counts.item()) == (5, 16)
    np.testing.assert_array_equal(index.seconds([0], [range(16)])[0], times[5:21])
    with pytest.raises(DataError, match=r"row 0 .*: 'even.mp4' shows no frame from start_time=1.6 up to"):
        fc.open([("even.mp4", 1.6, 2)], root=movies, columns="path start_time end_time")


def test_a_pack_keeps_the_times(movies, tmp_path):
    data = fc.open([("odd", 0, 0.5), ("even", 0.2, 1.0)], root=movies, columns="path start_time end_time")
    fc.pack(data, tmp_path / "pack", workers=0)
    packed = fc.open(tmp_path / "pack")
    for row, count in enumerate(data.index.frame_counts.tolist()):
        frames = np.arange(count)
        np.testing.assert_array_equal(packed.index.seconds(row, frames), data.index.seconds(row, frames))
    assert packed.index.frame_counts.tolist() == data.index.frame_counts.tolist()
    shards = sorted(path.name for path in (tmp_path / "pack").iterdir())
    assert shards == ["00000.tar", "pack.index"]


def test_names_of_kinetics_columns_are_said(frames, caplog):
    rows = [{"path": "class_0/video_0", "label": "x", "time_start": 0, "time_end": 1}]
    assert parts(rows, root=frames) == [(0, 12)]
    assert "or start_time and end_time (seconds)" in caplog.text
