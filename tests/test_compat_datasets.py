"""Windows of arrays, and clips of folders, beside what Keras's own functions give."""

import itertools
import shutil

import numpy as np
import pytest
from helpers import make_frames, picture, write_jpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import fastclips as fc
from fastclips.compat import image_dataset_from_directory, timeseries_dataset_from_array

quiet = {"verbose": False, "workers": 0}


@pytest.fixture(scope="module")
def keras():
    """Keras on TensorFlow, whose functions are the reference."""
    pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras's functions return a tf.data.Dataset")
    return keras


def folder(root, *names):
    """A directory with small pictures of these names, each of a size of its own."""
    for number, name in enumerate(names):
        path = root / name
        pixels = picture(number, 20 + number % 5, 30 - number % 7)
        if path.suffix.lower() in (".jpg", ".jpeg"):
            write_jpeg(path, pixels)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return root


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    names = ["b/2.jpg", "b/10.jpeg", "b/x/1.png", "a/1.JPG", "a/2.bmp", "a/3.jpg", "c/1.png", "c/y/2.jpg"]
    root = folder(tmp_path_factory.mktemp("images"), *names)
    (root / ".hidden").mkdir()
    (root / "a" / "notes.txt").write_text("no picture")
    return root


# --- windows of arrays


@settings(max_examples=120)
@given(data=st.data())
def test_windows_are_slices(data):
    """Each window, its target, and all of them once: against slices."""
    items = data.draw(st.integers(1, 30))
    length, stride, rate = (data.draw(st.integers(1, 5)) for _ in range(3))
    start = data.draw(st.none() | st.integers(0, items - 1))
    end = data.draw(st.none() | st.integers((start or 0) + 1, items))
    targets = data.draw(st.none() | st.integers(1, items + 5))
    batch_size, shuffle = data.draw(st.integers(1, 7)), data.draw(st.booleans())
    x = np.random.default_rng(items).integers(0, 255, (items, 3, 2)).astype(np.uint8)
    y = None if targets is None else np.arange(targets) * 10
    span = (length - 1) * rate + 1
    last = (items if end is None else end) - span
    starts = range(start or 0, (last if y is None else min(last, targets - 1)) + 1, stride)

    def make():
        return timeseries_dataset_from_array(
            x, y, length, stride, rate, batch_size, shuffle, 0, start_index=start, end_index=end
        )

    if not starts:
        with pytest.raises(fc.OptionError, match="no window fits"):
            make()
        return
    with make() as dataset:
        assert len(dataset) == -(-len(starts) // batch_size)
        for _ in range(2):
            batches = list(dataset)
            assert len(batches) == len(dataset)
            found = np.concatenate([batch if y is None else batch[0] for batch in batches])
            want = np.stack([x[first : first + span : rate] for first in starts])
            if y is not None:
                beside = np.concatenate([batch[1] for batch in batches])
                np.testing.assert_array_equal(np.sort(beside), 10 * np.array(starts))
                want = np.stack([x[first : first + span : rate] for first in (beside // 10).tolist()])
            elif shuffle:
                found, want = (np.unique(array, axis=0) for array in (found, want))
            np.testing.assert_array_equal(found, want)
            if y is not None and not shuffle:
                assert (np.diff(beside) > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "int64"])
def test_windows_are_those_of_keras(keras, dtype):
    x = np.random.default_rng(0).uniform(0, 255, (40, 6, 5, 3)).astype(dtype)
    y = np.arange(80).reshape(40, 2).astype(dtype)
    for length, stride, rate, start, end, batch in [
        (4, 1, 1, None, None, 8),
        (3, 2, 4, 5, 33, 4),
        (1, 3, 1, 0, 39, 64),
    ]:
        arguments = (x, y, length, stride, rate, batch, False, None, start, end)
        want = [
            tuple(map(np.asarray, pair)) for pair in keras.utils.timeseries_dataset_from_array(*arguments)
        ]
        with timeseries_dataset_from_array(*arguments) as dataset:
            for pair, expected in itertools.zip_longest(dataset, want):
                for a, b in zip(pair, expected, strict=True):
                    assert a.dtype == b.dtype
                    np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [1, 3])
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_windows_of_files_and_for_any_number_of_workers(tmp_path, rate, workers):
    x, y = np.random.default_rng(0).normal(size=(30, 4, 3)), np.arange(30)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    options = {"sampling_rate": rate, "batch_size": 4, "shuffle": True, "seed": 7}
    with timeseries_dataset_from_array(x, y, 5, **options) as dataset:
        want = [*dataset, *dataset]
    for sources in [(x, y), (tmp_path / "x.npy", tmp_path / "y.npy"), (np.load(tmp_path / "x.npy", "r"), y)]:
        with timeseries_dataset_from_array(*sources, 5, workers=workers, **options) as dataset:
            for pair, expected in zip([*dataset, *dataset], want, strict=True):
                for a, b in zip(pair, expected, strict=True):
                    np.testing.assert_array_equal(a, b)


def test_a_loop_that_is_broken_off_begins_anew():
    with timeseries_dataset_from_array(np.arange(20), None, 4, batch_size=5, shuffle=True, seed=0) as dataset:
        next(iter(dataset))
        assert sorted(int(row[0]) for batch in dataset for row in batch) == list(range(17))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"sequence_length": 0}, "sequence_length=0"),
        ({"sequence_stride": 0}, "sequence_stride=0"),
        ({"sampling_rate": -1}, "sampling_rate=-1"),
        ({"sequence_length": 11}, "sequence_length=11.*spans 11 items.*10 from 0 to 10.*no window"),
        ({"sampling_rate": 5}, "sampling_rate=5 spans 11"),
        ({"start_index": 10}, "start_index=10"),
        ({"start_index": 5, "end_index": 5}, "end_index=5"),
        ({"end_index": 11}, "end_index=11"),
        ({"batch_size": None}, "batch_size=None.*batch_size=1"),
        ({"format": "torch"}, "format='torch'"),
        ({"targets": []}, "targets"),
        ({"targets": ["a"]}, "targets"),
        ({"data": 3}, "data"),
        ({"shuffle": 1}, "shuffle=1"),
    ],
)
def test_mistakes_about_arrays_are_told(arguments, says):
    options = {"data": np.arange(10), "targets": np.arange(10), "sequence_length": 3} | arguments
    with pytest.raises(fc.OptionError, match=says):
        timeseries_dataset_from_array(**options)


# --- images of folders, as in Keras


def by_path(dataset):
    """What a dataset serves for each path, if it is not shuffled."""
    rows = [
        row
        for batch in dataset
        for row in zip(*(batch if isinstance(batch, tuple) else (batch,)), strict=True)
    ]
    return list(zip(dataset.file_paths, rows, strict=True))


@pytest.mark.filterwarnings("ignore:validation_split=.* leaves no file of:UserWarning")
@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"label_mode": "categorical"},
        {"label_mode": None},
        {"labels": None},
        {"labels": [3, 1, 4, 1, 5, 9, 2, 6]},
        {"labels": [1, 0, 2, 1, 0, 2, 1, 0], "label_mode": "categorical"},
        {"class_names": ["c", "a"], "label_mode": "binary"},
        {"class_names": ["c", "b", "a"]},
        {"interpolation": "bicubic"},
        {"interpolation": "nearest", "crop_to_aspect_ratio": True},
        {"pad_to_aspect_ratio": True, "image_size": 24},
        {"validation_split": 0.4, "subset": "training"},
        {"validation_split": 0.4, "subset": "validation"},
        {"validation_split": 0.3, "subset": "training", "labels": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", [None, 3])
def test_images_are_those_of_keras(keras, images, options, seed):
    """With a seed, the split is shuffled: the same files on each side."""
    shuffle = seed is not None
    options = {"image_size": (17, 21), "batch_size": 3, "shuffle": shuffle, "seed": seed} | options
    want = keras.utils.image_dataset_from_directory(str(images), **options, verbose=False)
    with image_dataset_from_directory(images, **options, **quiet) as dataset:
        assert dataset.class_names == want.class_names
        assert dataset.file_paths == want.file_paths
        batches = list(dataset)
        assert len(batches) == len(dataset) == len(want)
        if shuffle:
            return
        for batch, expected in zip(batches, want, strict=True):
            for a, b in zip(*(x if isinstance(x, tuple) else (x,) for x in (batch, expected)), strict=True):
                assert a.dtype == (np.float32 if a.ndim == 4 else b.dtype.as_numpy_dtype)
                np.testing.assert_allclose(a, b, atol=0.01, rtol=0)


@pytest.mark.filterwarnings("ignore:validation_split=.* leaves no file of:UserWarning")
@pytest.mark.slow
def test_both_parts_at_once(keras, images):
    options = {"validation_split": 0.4, "subset": "both", "seed": 1, "image_size": 9, "batch_size": 2}
    ours = image_dataset_from_directory(images, **options, **quiet)
    theirs = keras.utils.image_dataset_from_directory(str(images), **options, verbose=False)
    assert [part.file_paths for part in ours] == [part.file_paths for part in theirs]
    assert [part._shuffled for part in ours] == [True, False]
    for one, other in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(one[0], other[0], atol=0.01)
    for part in ours:
        part.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["grayscale", "rgb"])
def test_colours_are_those_of_keras(keras, tmp_path, kind):
    folder(tmp_path, "a/1.jpg", "a/2.jpg", "b/1.jpg")
    options = {"color_mode": kind, "shuffle": False, "image_size": (16, 16)}
    want = next(iter(keras.utils.image_dataset_from_directory(str(tmp_path), **options, verbose=False)))
    with image_dataset_from_directory(tmp_path, **options, **quiet) as dataset:
        np.testing.assert_allclose(next(dataset)[0], want[0], atol=0.01)


def test_channels_first_and_rgba(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 4)).astype(np.uint8)
    (tmp_path / "a").mkdir()
    Image.fromarray(pixels).save(tmp_path / "a" / "1.png")
    Image.fromarray(pixels[:, :, :3]).save(tmp_path / "a" / "2.gif")
    options = {"image_size": (8, 6), "color_mode": "rgba", "shuffle": False, "label_mode": None, **quiet}
    with image_dataset_from_directory(tmp_path, **options) as dataset:
        x = next(dataset)
        np.testing.assert_array_equal(x[0], pixels)
        assert (x[1, ..., 3] == 255).all()
    with image_dataset_from_directory(tmp_path, data_format="channels_first", **options) as dataset:
        np.testing.assert_array_equal(next(dataset), np.moveaxis(x, -1, 1))


# --- clips of folders


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Two classes of three videos of 7 to 12 frames, numbered without leading zeros from 1."""
    root = tmp_path_factory.mktemp("videos")
    for video in range(6):
        for frame in range(7 + video):
            path = root / f"class_{video % 2}" / f"video_{video}" / f"f{frame + 1}.jpg"
            write_jpeg(path, np.full((16, 24, 3), 20 * video + frame, np.uint8), 100)
    return root


def told(x):
    """Which video and frame each grey of a batch is."""
    return [[divmod(round(float(v)), 20) for v in row] for row in x[..., 0, 0, 0].reshape(len(x), -1)]


@pytest.mark.parametrize(("step", "dilation"), [(None, 1), (1, 1), (2, 3), (5, 2)])
@pytest.mark.parametrize("shuffle", [False, True])
def test_clips_stay_within_videos(videos, step, dilation, shuffle):
    options = {"time_steps": 3, "step": step, "dilation": dilation, "image_size": (8, 12), "batch_size": 4}
    span = 2 * dilation + 1
    want = [
        [(video, first + i * dilation) for i in range(3)]
        for video in (0, 2, 4, 1, 3, 5)
        for first in range(0, 7 + video - span + 1, step or span)
    ]
    with image_dataset_from_directory(videos, shuffle=shuffle, seed=0, **options, **quiet) as dataset:
        assert dataset.n == len(want)
        for _ in range(2):
            batches = list(dataset)
            assert batches[0][0].shape == (4, 3, 8, 12, 3)
            assert batches[0][0].dtype == np.float32
            found = [clip for x, _ in batches for clip in told(x)]
            assert sorted(found) == sorted(want)
            assert (found == want) is not shuffle
            labels = np.concatenate([y for _, y in batches])
            assert labels.tolist() == [clip[0][0] % 2 for clip in found]
        paths = [[f"video_{v}/f{f + 1}.jpg" for v, f in clip] for clip in want]
        listed = [[path.partition("/class_")[2][2:] for path in clip] for clip in dataset.file_paths]
        assert sorted(listed) == sorted(paths)


def test_frames_directly_in_a_class_are_videos_by_name(tmp_path):
    for video, count in [("run", 4), ("jump_", 6), ("x-2_", 5)]:
        for frame in range(count):
            write_jpeg(tmp_path / "a" / f"{video}{frame}.jpg", np.full((8, 8, 3), 40, np.uint8))
    with image_dataset_from_directory(
        tmp_path, time_steps=4, step=1, shuffle=False, image_size=8, **quiet
    ) as dataset:
        names = {
            tuple(path.rpartition("/")[2].rstrip("0123456789.jpg") for path in clip)
            for clip in dataset.file_paths
        }
        assert names == {("run",) * 4, ("jump_",) * 4, ("x-2_",) * 4}
        assert dataset.n == 1 + 3 + 2


@pytest.mark.parametrize("subset", ["training", "validation", "both"])
def test_no_video_is_on_both_sides(videos, subset):
    options = {"time_steps": 3, "step": 1, "seed": 4, "validation_split": 0.4, "image_size": 8}
    made = image_dataset_from_directory(videos, subset=subset, **options, **quiet)
    parts = made if subset == "both" else [made]
    seen = [{path.split("/")[-2] for clip in part.file_paths for path in clip} for part in parts]
    both = image_dataset_from_directory(videos, subset="both", **options, **quiet)
    expected = [{path.split("/")[-2] for clip in part.file_paths for path in clip} for part in both]
    assert seen == {"training": expected[:1], "validation": expected[1:], "both": expected}[subset]
    assert not expected[0] & expected[1]
    assert [len(side) for side in expected] == [4, 2]
    for part in [*parts, *both]:
        part.close()


@pytest.mark.slow
@pytest.mark.parametrize("aspect", ["crop_to_aspect_ratio", "pad_to_aspect_ratio"])
def test_the_same_clips_for_any_number_of_workers(tmp_path, aspect):
    make_frames(tmp_path, videos=4, frames=6)
    batches = []
    for workers in (0, 1, 2):
        options = {
            "time_steps": 3,
            "seed": 5,
            "batch_size": 3,
            "image_size": (20, 20),
            aspect: True,
            "verbose": False,
        }
        with image_dataset_from_directory(tmp_path, workers=workers, **options) as dataset:
            batches.append([next(dataset) for _ in range(5)])
    for other in batches[1:]:
        for one, another in zip(batches[0], other, strict=True):
            for a, b in zip(one, another, strict=True):
                np.testing.assert_array_equal(a, b)


def test_labels_given_for_each_video(videos):
    options = {"time_steps": 7, "shuffle": False, "image_size": 8, **quiet}
    given = [3, 3, 0, 1, 2, 0]
    with image_dataset_from_directory(videos, labels=given, **options) as dataset:
        x, y = next(dataset)
        of_video = dict(zip((0, 2, 4, 1, 3, 5), given, strict=True))
        assert y.tolist() == [of_video[clip[0][0]] for clip in told(x)]
        assert dataset.class_names == ["0", "1", "2", "3"]
    assert given == [3, 3, 0, 1, 2, 0]


def test_what_was_found_is_printed(videos, capsys):
    with image_dataset_from_directory(videos, time_steps=4, image_size=8, workers=0):
        assert capsys.readouterr().out == "Found 57 files of 6 videos belonging to 2 classes.\n"
    with image_dataset_from_directory(videos, labels=None, image_size=8, workers=0):
        assert capsys.readouterr().out == "Found 57 files.\n"


def test_short_videos_and_lost_classes_are_told(videos):
    with pytest.warns(
        UserWarning, match="2 of 6 videos have fewer than 9 frames and give no clip, such as .class_"
    ):
        image_dataset_from_directory(videos, time_steps=9, image_size=8, **quiet).close()
    options = {"time_steps": 3, "validation_split": 0.5, "subset": "training", "shuffle": False}
    with pytest.warns(UserWarning, match="leaves no video of 'class_1' to train on"):
        image_dataset_from_directory(videos, image_size=8, **options, **quiet).close()


def test_a_damaged_frame_is_named(videos, tmp_path):
    shutil.copytree(videos, tmp_path / "videos")
    bad = tmp_path / "videos" / "class_0" / "video_2" / "f2.jpg"
    bad.write_bytes(bad.read_bytes()[:200])
    dataset = image_dataset_from_directory(tmp_path / "videos", time_steps=4, image_size=8, **quiet)
    with dataset, pytest.raises(fc.FrameError, match=r"video_2/f2\.jpg"):
        list(dataset)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"labels": "auto"}, "labels='auto'"),
        ({"labels": [0, 1]}, "labels= has 2 items for 6 videos"),
        ({"labels": ["a"] * 6}, "labels= holds 'a'"),
        ({"labels": 3}, "labels=3"),
        ({"labels": [0] * 6, "class_names": ["a"]}, "class_names"),
        ({"labels": [1, 2] * 3, "label_mode": "binary"}, "without gaps with label_mode='binary'"),
        ({"labels": [0, 1, 2] * 2, "label_mode": "binary"}, "needs 2 classes"),
        ({"label_mode": "sparse"}, "label_mode='sparse'"),
        ({"color_mode": "hsv"}, "color_mode='hsv'"),
        ({"image_size": (8, 8, 3)}, r"image_size=\(8, 8, 3\)"),
        ({"image_size": 0}, "image_size=0"),
        ({"interpolation": "box"}, "interpolation='box'"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "only one may be True"),
        ({"data_format": "last"}, "data_format='last'"),
        ({"validation_split": 0.2}, "validation_split=0.2 and subset=None"),
        ({"subset": "training"}, "validation_split=None and subset='training'"),
        ({"validation_split": 0.2, "subset": "test", "seed": 1}, "subset='test'"),
        ({"validation_split": 2, "subset": "training", "seed": 1}, "validation_split=2"),
        ({"validation_split": 0.2, "subset": "training"}, "seed="),
        ({"validation_split": 0.1, "subset": "training", "seed": 1}, "of 6 videos leaves none"),
        ({"batch_size": None}, "batch_size=None"),
        ({"time_steps": 0}, "time_steps=0"),
        ({"time_steps": None, "step": 2}, "step=2.*time_steps="),
        ({"seed": -1}, "seed=-1"),
        ({"format": "x"}, "format='x'"),
    ],
    ids=str,
)
def test_mistakes_about_folders_are_told(videos, options, says):
    with pytest.raises(fc.OptionError, match=says):
        image_dataset_from_directory(videos, **{"time_steps": 4, **quiet, **options})


def test_videos_that_are_all_too_short_are_told(videos):
    options = {"validation_split": 0.5, "subset": "validation", "seed": 1, **quiet}
    with pytest.raises(fc.DataError, match="time_steps=13: the longest of 3 videos of the validation subset"):
        image_dataset_from_directory(videos, time_steps=13, **options)


def test_missing_folders_are_told(tmp_path):
    with pytest.raises(fc.DataError, match="no such folder"):
        image_dataset_from_directory(tmp_path / "none", **quiet)
    with pytest.raises(fc.DataError, match=r"class_names=\['other'\].*no folder 'other'"):
        image_dataset_from_directory(tmp_path, class_names=["other"], **quiet)
    with pytest.raises(fc.DataError, match="holds no folders"):
        image_dataset_from_directory(tmp_path, **quiet)
    (tmp_path / "a").mkdir()
    with pytest.raises(fc.DataError, match=r"no files of \.bmp.*'a'"):
        image_dataset_from_directory(tmp_path, **quiet)


@pytest.mark.parametrize("follow", [False, True])
def test_links_are_followed_if_asked(tmp_path, follow):
    folder(tmp_path / "there", "1.jpg", "2.jpg")
    folder(tmp_path / "here", "a/0.jpg")
    (tmp_path / "here" / "a" / "link").symlink_to(tmp_path / "there")
    with image_dataset_from_directory(
        tmp_path / "here", image_size=8, follow_links=follow, **quiet
    ) as dataset:
        assert dataset.n == (3 if follow else 1)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_as_a_tf_dataset(keras, videos, workers):  # noqa: ARG001 - skips
    options = {"time_steps": 7, "image_size": 8, "batch_size": 4, "shuffle": False, "verbose": False}
    with image_dataset_from_directory(videos, workers=workers, **options) as dataset:
        want = list(dataset)
        through = dataset.to_tf_dataset().map(lambda x, y: (x / 255, y))
        for _ in range(2):
            for (a, b), (c, d) in zip(through, want, strict=True):
                np.testing.assert_allclose(a, c / 255, rtol=1e-6)
                np.testing.assert_array_equal(b, d)
    with timeseries_dataset_from_array(np.arange(9), None, 3, batch_size=4) as series:
        assert [len(x) for x in series.to_tf_dataset()] == [4, 3]


def test_only_the_box_is_decoded_where_the_aspect_is_cut(tmp_path):
    for frame in range(4):
        write_jpeg(tmp_path / "a" / "video" / f"{frame}.jpg", picture(frame, 64, 256))
    options = {"time_steps": 4, "image_size": (32, 32), "crop_to_aspect_ratio": True, **quiet}
    with image_dataset_from_directory(tmp_path, **options) as dataset:
        next(dataset)
        stats = dataset.stats()
        assert stats.cropped_frames == 4
        assert stats.skipped > 0.5
