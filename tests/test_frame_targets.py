"""Numbers for each frame are cut with the clip, as the obvious lookup does, by samplers and frame choices."""

import csv

import numpy as np
import pytest
from helpers import make_frames
from hypothesis import given, settings
from hypothesis import strategies as st

import fastclips as fc
from fastclips.errors import DataError, OptionError

FRAMES = 12


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    return make_frames(tmp_path_factory.mktemp("frames"), videos=4, frames=FRAMES, height=8, width=8)


def names(root):
    return [
        f"class_{video % 2}/video_{video}" for video in range(4) if (root / f"class_{video % 2}").is_dir()
    ]


def numbers(lengths, shape=(3,), dtype=np.float32, seed=0):
    random = np.random.default_rng(seed)
    return [random.normal(size=(length, *shape)).astype(dtype) for length in lengths]


def looked_up(values, table):
    """The numbers of each clip, frame by frame."""
    return [
        [values[video][frame if frame >= 0 else ~frame].tolist() for frame in clip]
        for video, clip in zip(table["video"].tolist(), table["frames"].tolist(), strict=True)
    ]


def serve(data, clips, transforms=(), epoch=1, **options):
    options = {"batch_size": 4, "workers": 0, "targets": "state", **options}
    with fc.ClipLoader(data, clips, transforms, **options) as loader:
        return list(loader.epoch(epoch)), loader.plan_table(epoch)


samplers = st.one_of(
    st.builds(
        fc.Windows,
        st.integers(1, 6),
        step=st.integers(1, 4),
        dilation=st.integers(1, 3),
        tail=st.sampled_from(["drop", "pad"]),
        short=st.sampled_from(["pad", "loop"]),
    ),
    st.builds(fc.RandomWindow, st.integers(1, 6), short=st.just("pad")),
    st.builds(fc.Segments, st.integers(1, 6), short=st.just("pad")),
    st.builds(fc.Views, st.integers(1, 5), temporal=st.integers(1, 3), short=st.just("loop")),
)
choices = st.lists(
    st.sampled_from([fc.Reverse(), fc.Reverse(0.5), fc.FrameDrop(0.5), fc.SpeedJitter(0.5, 2)]), max_size=2
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    samplers,
    choices,
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 7), st.integers(1, 5)), min_size=1, max_size=5),
    st.sampled_from([(), (1,), (2, 3)]),
    st.booleans(),
    st.data(),
)
def test_numbers_are_those_of_the_frames_shown(frames, clips, chosen, parts, shape, views, data):
    rows = [
        {"path": names(frames)[video], "start": start, "length": length} for video, start, length in parts
    ]
    values = numbers([length for *_, length in parts], shape)
    opened = fc.open(
        [{**row, "state": value} for row, value in zip(rows, values, strict=True)],
        root=frames,
        labels={"state": "frame_target"},
    )
    taken = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=6)), np.int64)
    some = fc.Dataset(opened.storage, opened.index.take(taken), opened.streams)
    transforms = [*chosen, fc.ThreeCrop(4)] if views else chosen
    found, table = serve(some, clips, transforms, shuffle=data.draw(st.booleans()), seed=3)
    expected = looked_up([values[row] for row in taken.tolist()], table)
    target = np.concatenate([y for _, y in found])
    assert target.dtype == np.float32
    assert target.tolist() == expected
    assert table["state"].tolist() == expected


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_workers_and_ranks_agree(frames, workers):
    values = numbers([FRAMES] * 4)
    data = fc.open(frames).with_labels("state", values, kind="frame_target")
    for rank in (0, 1):
        found, table = serve(
            data,
            fc.Windows(5, tail="pad"),
            [fc.RandomFlip()],
            workers=workers,
            rank=rank,
            world=2,
            inputs=("image", "state"),
            shuffle=True,
        )
        served = np.concatenate([y for _, y, _ in found])
        assert served.tolist() == looked_up(values, table)
        assert np.concatenate([x["state"] for x, *_ in found]).tolist() == served.tolist()
        weight = np.concatenate([weight for *_, weight in found])
        np.testing.assert_array_equal(weight, ~table["padding"][:, None])


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (numbers([FRAMES] * 4, dtype=np.float64), np.float64),
        (numbers([FRAMES] * 4, dtype=np.float16), np.float16),
        ([value.tolist() for value in numbers([FRAMES] * 4, dtype=np.float64)], np.float32),
        (np.arange(4 * FRAMES).reshape(4, FRAMES), np.float32),
        (np.zeros((4, FRAMES, 2, 3), np.float64), np.float64),
    ],
)
def test_floats_keep_their_dtype_and_other_numbers_are_float32(frames, values, dtype):
    data = fc.open(frames).with_labels("state", values, kind="frame_target")
    found, table = serve(data, fc.Windows(4))
    assert {y.dtype for _, y in found} == {np.dtype(dtype)}
    expected = looked_up([np.asarray(value, dtype) for value in values], table)
    assert np.concatenate([y for _, y in found]).tolist() == expected


def test_a_column_of_a_python_list_and_the_label(frames):
    values = numbers([FRAMES, FRAMES])
    rows = [
        {"path": name, "frame_target": value} for name, value in zip(names(frames)[:2], values, strict=True)
    ]
    data = fc.open(rows, root=frames)
    assert (data.index.labels.kind, data.classes) == ("frame_target", ())
    found, table = serve(data, fc.Windows(4), targets="label", sample_weight="valid")
    assert np.concatenate([y for _, y, _ in found]).tolist() == looked_up(values, table)
    assert {weight.shape[1:] for *_, weight in found} == {(4,)}


def text_list(frames, folder, values, column="frame_target"):
    (folder / "states").mkdir()
    with (folder / "list.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", column])
        for name, value in zip(names(frames), values, strict=True):
            path = f"states/{name.rpartition('/')[2]}.npy"
            np.save(folder / path, value)
            writer.writerow([name, path])
    for entry in frames.iterdir():
        (folder / entry.name).symlink_to(entry)
    return folder / "list.csv"


def test_a_text_file_names_npy_files_below_the_root(frames, tmp_path):
    values = numbers([FRAMES] * 4, dtype=np.float64)
    file = text_list(frames, tmp_path, values, "state")
    for index in (None, tmp_path / "index", tmp_path / "index"):
        data = fc.open(file, labels={"state": "frame_target"}, index=index)
        found, table = serve(data, fc.Windows(4))
        assert np.concatenate([y for _, y in found]).tolist() == looked_up(values, table)
    path = tmp_path / "states/video_1.npy"
    np.save(path, values[0])
    found, table = serve(
        fc.open(file, labels={"state": "frame_target"}, index=tmp_path / "index"), fc.Windows(4)
    )
    expected = looked_up([values[0], values[0], *values[2:]], table)
    assert np.concatenate([y for _, y in found]).tolist() == expected


def test_files_that_are_no_numbers_are_named(frames, tmp_path):
    file = text_list(frames, tmp_path, numbers([FRAMES] * 4))
    path = tmp_path / "states/video_2.npy"
    for content, why in (
        (np.zeros((FRAMES, 2), np.float32), r"'states/video_2.npy': frame_target .* has shape \(2,\)"),
        (np.full((FRAMES, 3), np.nan, np.float32), r"video_2.npy': frame_target .* holds nan at \[0, 0\]"),
        (
            np.zeros((FRAMES - 1, 3), np.float32),
            "line 4 .*: 11 frame_target for 12 frames; give one per frame",
        ),
        (
            np.zeros((FRAMES + 1, 3), np.float32),
            "13 frame_target for 12 frames; give one per frame, and only for the frames of the row",
        ),
        (np.array([["a"] * 3] * FRAMES), "must be an array"),
    ):
        np.save(path, content)
        with pytest.raises(DataError, match=why):
            fc.open(file)
    file.write_text(file.read_text().replace("states/video_2.npy", "0.5"))
    with pytest.raises(DataError, match=r"'0.5' must be the path of a .npy file .*row's frames, relative to"):
        fc.open(file)
    file.write_text(file.read_text().replace("0.5", "states/video_2.npy"))
    path.write_bytes(b"state")
    with pytest.raises(
        DataError, match=r"line 4 .*video_2.npy' cannot be read: it is not a complete .npy file"
    ):
        fc.open(file)
    with path.open("wb") as opened:
        np.savez(opened, np.zeros((FRAMES, 3)))
    with pytest.raises(
        DataError, match=r"line 4 .*video_2.npy' cannot be read: it is not a complete .npy file"
    ):
        fc.open(file)
    path.unlink()
    with pytest.raises(DataError, match=r"line 4 .*video_2.npy' cannot be read: No such file"):
        fc.open(file)


def test_refused_numbers(frames):
    data = fc.open(frames)
    good = numbers([FRAMES] * 4)

    def without(at, value):
        changed = good[1].copy()
        changed[at] = value
        return [good[0], changed, *good[2:]]

    refused = [
        (
            without((7, 2), np.nan),
            r"values\[1\] \(video 'class_0/video_2'\): state an array of .* holds nan at \[7, 2\]",
        ),
        (without((3, 0), -np.inf), r"-inf at \[3, 0\], of frame 3: must be finite"),
        ([*good[:3], good[3][:5]], r"values\[3\] .*: 5 frame_target for 12 frames"),
        ([*good[:3], good[3][:, :2]], r"has shape \(2,\) for each frame, but row 0 has \(3,\)"),
        ([*good[:3], None], r"values\[3\] .*is missing"),
        ([1.0] * 4, "must be an array"),
        ([np.zeros(FRAMES, bool)] * 4, "must be an array"),
        ([np.zeros(FRAMES, np.longdouble)] * 4, "must be an array"),
        (
            [np.full(FRAMES, 2**40)] * 4,
            "has integers above 16777216, which float32 cannot hold: give float64",
        ),
        ([[1e300] * FRAMES] * 4, "float32 cannot hold"),
        (["a.npy"] * 4, "a.npy' cannot be read: No such file"),
    ]
    for values, text in refused:
        with pytest.raises(DataError, match=text):
            data.with_labels("state", values, kind="frame_target")
    with pytest.raises(OptionError, match="these targets are numbers, not classes"):
        data.with_labels("state", good, kind="frame_target", classes=["a"])


def test_floats_of_images_and_storages_stay_targets_of_videos():
    images = np.zeros((2, 5, 4, 4, 3), np.uint8)
    values = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    data = fc.open(images=images, labels=values)
    assert data.index.labels.kind == "target"
    found, _ = serve(data.with_labels("state", values, kind="frame_target"), fc.Windows(2), batch_size=9)
    assert found[0][1].shape == (4, 2, 3)
    with pytest.raises(OptionError, match=r"dataset.with_labels\('state', values, kind='frame_target'\)"):
        fc.Dataset.of(data.storage, frame_counts=[5, 4], labels=[values[0], values[1, :4]])


def test_classes_of_frames_and_numbers_of_frames_agree(frames):
    """The two kinds are cut by one rule."""
    classes = [np.arange(FRAMES) for _ in range(4)]
    data = fc.open(frames).with_labels("state", classes, kind="frame_target")
    data = data.with_labels("phase", classes, kind="frame_labels")
    found, _ = serve(data, fc.Windows(5, tail="pad"), [fc.Reverse(0.5)], targets=("state", "phase"))
    for _, y in found:
        np.testing.assert_array_equal(y["state"], y["phase"])


def test_text_files_name_arrays_of_other_kinds(frames, tmp_path):
    for number, (kind, values) in enumerate(
        (("frame_labels", [np.arange(FRAMES) % 3] * 4), ("target", [np.ones((2, 3), np.float64)] * 4))
    ):
        (tmp_path / str(number)).mkdir()
        file = text_list(frames, tmp_path / str(number), values, kind)
        labels = fc.open(file).index.labels
        assert labels.kind == kind
        shown = labels.targets(np.array([2]), np.arange(FRAMES, dtype=np.int32)[None])[0]
        np.testing.assert_array_equal(shown, values[2])
        file.write_text(file.read_text().replace("states/video_2.npy", "5"))
        why = "must be the path of a .npy file with the classes" if number == 0 else "must be a finite number"
        with pytest.raises(DataError, match=why):
            fc.open(file)
