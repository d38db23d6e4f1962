"""TimeDistributedImageDataGenerator: right by default, the original with ``legacy=True``."""

import warnings
from itertools import chain, islice

import numpy as np
import pytest
from numbered import (
    LENGTHS,
    SIZE,
    an_epoch,
    flow,
    make,
    paths,
    pixels,
    same,
    table_of,
    windows,
    write,
    write_classes,
)
from PIL import Image

from fastclips.compat import TimeDistributedImageDataGenerator as M
from fastclips.compat.image import ImageDataGenerator
from fastclips.compat.TimeDistributedImageDataGenerator import TimeDistributedImageDataGenerator
from fastclips.errors import DataError, FrameError, OptionError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("images"))


@pytest.fixture
def table(root):
    return table_of(root)


short = pytest.mark.filterwarnings("ignore:time_steps=")


# --- by default


@pytest.mark.filterwarnings("ignore:class_mode='categorical'")
def test_the_import_and_the_example(tmp_path):
    for number in range(70):
        write(tmp_path / "one" / f"v_{number // 10}_{number % 10}.jpg", np.full((8, 8, 3), number))
        write(tmp_path / "two" / f"v_{number // 10}_{number % 10}.jpg", np.full((8, 8, 3), number))
    batches = M.TimeDistributedImageDataGenerator(validation_split=0.2, time_steps=5).flow_from_directory(
        tmp_path, batch_size=48, subset="training", workers=0
    )
    x, y = batches.next()
    assert x.shape == (48, 5, 256, 256, 3)
    assert x.dtype == np.float32
    assert y.shape == (48, 5, 2)
    assert batches.n == 2 * 6 * 6  # six of seven videos, six windows of ten frames each
    assert M.TimeDistributedImageDataGenerator is TimeDistributedImageDataGenerator


@short
@pytest.mark.parametrize(("step", "dilation"), [(1, 1), (3, 1), (2, 2)])
def test_clips_are_the_windows_of_videos_oldest_frame_first(root, step, dilation):
    batches = flow(make(step=step, dilation=dilation), root, shuffle=False)
    clips = windows(4, step=step, dilation=dilation)
    assert len(clips) == batches.n == batches.samples
    assert len(batches) == -(-len(clips) // 5)
    assert sorted(LENGTHS) == list(LENGTHS) == list(batches.class_indices)
    served = list(chain.from_iterable(zip(*batch, strict=True) for batch in an_epoch(batches)))
    for (x, y), clip in zip(served, clips, strict=True):
        same(x, pixels(root, clip))
        same(y, np.eye(3, dtype=np.float32)[[list(LENGTHS).index(clip[0])] * 4])


@short
def test_what_is_told_of_samples_agrees_with_what_is_served(root):
    batches = flow(make(), root, seed=3, class_mode="sparse")
    clips = windows(4)
    assert batches.filenames == [paths(clip)[-1] for clip in clips]
    assert batches.filepaths == [str(root / name) for name in batches.filenames]
    assert batches.classes.dtype == np.int32
    order = batches.index_array.copy()
    assert sorted(order) == list(range(batches.n))
    served = an_epoch(batches)
    same(np.concatenate([x for x, _ in served]), np.stack([pixels(root, clips[sample]) for sample in order]))
    same(np.concatenate([y for _, y in served])[:, -1], batches.classes[order].astype(np.float32))
    assert batches.batch_size == 5
    next(batches)
    assert not np.array_equal(batches.index_array, order), "another epoch, another order"


@short
def test_the_order_is_that_of_the_batch_just_served(root):
    """Also after an epoch's last batch, as in Keras: samples are found by it."""
    batches = flow(make(labels="clip"), root, seed=3, class_mode="sparse")
    for _ in range(2):
        shown = []
        for _ in range(len(batches)):
            y = next(batches)[1]
            rows = batches.index_array[len(shown) : len(shown) + len(y)]
            assert batches.classes[rows].tolist() == y.tolist()
            shown += y.tolist()
    batches.on_epoch_end()
    assert batches.classes[batches.index_array[:5]].tolist() == batches[0][1].tolist()


@short
def test_indexing_and_reset(root):
    batches = flow(make(), root, shuffle=False)
    epoch = an_epoch(batches)
    batches.next()
    batches.reset()
    same(batches.next(), epoch[0])
    same(batches[2], epoch[2])
    same(batches[-1], epoch[-1])
    assert len(batches[-1][0]) == len(windows(4)) % 5
    with pytest.raises(ValueError, match=r"it\[8\]: there are 8 batches"):
        batches[8]


def test_folders_in_class_folders_are_videos(tmp_path):
    for video in ("x/v2", "x/v10", "y/deep/v1"):
        for frame in (1, 2, 3, 10):
            write(tmp_path / video / f"{frame}.jpg", np.full((8, 8, 3), 20 * frame))
    with pytest.warns(UserWarning, match="Frame numbers are missing in 3 of 3 videos"):
        batches = flow(make(time_steps=2), tmp_path, shuffle=False)
    assert batches.filenames == [
        f"{video}/{frame}.jpg" for video in ("x/v10", "x/v2", "y/deep/v1") for frame in (2, 3, 10)
    ]
    x, y = batches.next()
    assert (x[:3, :, 0, 0, 0] // 20).tolist() == [[1, 2], [2, 3], [3, 10]]
    assert y[:, 0].argmax(-1).tolist() == [0] * 5


@short
@pytest.mark.parametrize("mode", ["categorical", "sparse", "binary"])
def test_labels_of_clips_and_of_frames(root, mode):
    codes = {"classes": ["a_run", "b_sit"]}
    by_clip = flow(make(labels="clip"), root, class_mode=mode, shuffle=False, **codes)
    by_frame = flow(make(labels="frame"), root, class_mode=mode, shuffle=False, **codes)
    for (_, one), (_, each) in zip(an_epoch(by_clip), an_epoch(by_frame), strict=True):
        assert one.dtype == each.dtype == np.float32
        same(each, np.repeat(one[:, None], 4, axis=1))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "class_mode='categorical'")
        default = flow(TimeDistributedImageDataGenerator(time_steps=4), root, class_mode=mode, **codes)
    assert default[0][1].shape == (by_frame if mode == "categorical" else by_clip)[0][1].shape


@short
def test_the_shape_of_labels_is_told(root):
    flow(make(), root)
    flow(TimeDistributedImageDataGenerator(legacy=True), root)
    flow(TimeDistributedImageDataGenerator(), root, class_mode="sparse")
    with pytest.warns(UserWarning, match="labels='clip'") as caught:
        TimeDistributedImageDataGenerator().flow_from_directory(root, target_size=(8, 8), workers=0)
    assert {warning.filename for warning in caught} == {__file__}


@short
def test_no_labels_and_clips_as_labels(root):
    assert flow(make(), root, class_mode=None)[0].shape == (5, 4, *SIZE, 3)
    x, y = flow(make(), root, class_mode="input")[0]
    same(y, x)
    assert not np.may_share_memory(x, y)


def served_files(root, subset, split=0.3):
    """The numbers of the frames of each clip, by class and video."""
    with pytest.warns() as seen:
        batches = flow(make(validation_split=split), root, subset=subset, shuffle=False)
    frames = set()
    for clip in batches.frames(np.arange(batches.n)):
        frames |= {batches._storage.where("x", 0, int(file)) for file in clip}
    return batches, frames, [str(one.message) for one in seen]


def test_videos_are_split_and_the_only_one_of_a_class_in_time(tmp_path):
    for name, videos in {"many": 10, "one": 1}.items():
        for video in range(videos):
            for frame in range(20):
                write(tmp_path / name / f"v{video}_{frame:02d}.jpg", np.full((8, 8, 3), frame))
    training, trained, said = served_files(tmp_path, "training")
    validation, validated, also = served_files(tmp_path, "validation")
    assert not trained & validated
    assert len(trained | validated) == 11 * 20
    assert "one/v0_" in said[0] + also[0]
    assert "the only video of its class" in said[0]
    assert {name.split("_")[0] for name in validation.filenames if "many" in name} == {
        f"many/v{n}" for n in range(3)
    }
    assert validation.filenames[-3:] == [f"one/v0_{n:02d}.jpg" for n in (3, 4, 5)]
    assert training.filenames[-11:] == [f"one/v0_{n:02d}.jpg" for n in range(9, 20)]
    assert (training.n, validation.n) == (7 * 17 + 11, 3 * 17 + 3)


def test_short_videos_are_named(root):
    with pytest.warns(UserWarning, match=r"time_steps=4: 1 of 7 videos .* 'c_walk/v_c_walk_g02_c01_'"):
        flow(make(), root)


@pytest.mark.slow
def test_a_bad_file_raises_with_its_path(tmp_path):
    for number in range(9):
        write(tmp_path / "a" / f"{number}.jpg", np.zeros((8, 8, 3)))
    (tmp_path / "a" / "5.jpg").write_bytes(b"no picture")
    for workers in (0, 1):
        with flow(make(), tmp_path, batch_size=1, shuffle=False, workers=workers) as batches:
            next(batches)
            with pytest.raises(FrameError, match=r"a/5\.jpg"):
                an_epoch(batches)


@pytest.mark.slow
@short
@pytest.mark.parametrize("legacy", [False, True])
def test_the_same_bits_for_any_number_of_workers(root, legacy):
    generator = make(legacy=legacy, rotation_range=20, horizontal_flip=True, rescale=1 / 255)
    epochs = []
    for workers in (0, 1, 2):
        with flow(generator, root, seed=4, workers=workers) as batches:
            epochs.append(list(islice(batches, len(batches) + 3)))
    same(epochs[1], epochs[0])
    same(epochs[2], epochs[0])


@short
@pytest.mark.parametrize(
    ("per", "legacy"), [("clip", False), ("frame", False), ("frame", True), ("clip", True)]
)
def test_frames_of_a_clip_are_augmented_alike_or_each_for_itself(root, per, legacy):
    plain = flow(make(legacy=legacy), root, seed=1)
    flipped = flow(make(legacy=legacy, per=per, horizontal_flip=True), root, seed=1)
    alike = []
    for (x, _), (other, _) in zip(an_epoch(plain), an_epoch(flipped), strict=True):
        for clip, changed in zip(x, other, strict=True):
            mirrored = [np.array_equal(a[:, ::-1], b) for a, b in zip(clip, changed, strict=True)]
            assert [np.array_equal(a, b) for a, b in zip(clip, changed, strict=True)] == [
                not m for m in mirrored
            ]
            alike.append(len(set(mirrored)) == 1)
    assert all(alike) is (per == "clip")
    again = flow(make(legacy=legacy, per=per, horizontal_flip=True), root, seed=1)
    default = flow(make(legacy=legacy, horizontal_flip=True), root, seed=1)
    assert np.array_equal(default[0][0], again[0][0]) is (per == ("frame" if legacy else "clip"))


# --- tables


def expected_of(table, batches):
    """The rows of the newest frames, and of all frames, in the order of samples."""
    rows = {name: row for row, name in enumerate(table["filename"])}
    storage = batches._storage
    clips = [
        [rows[storage.names[file]] for file in clip] for clip in batches.frames(np.arange(batches.n)).tolist()
    ]
    return np.array(clips)[:, -1], np.array(clips)


@pytest.mark.slow
@short
@pytest.mark.parametrize("labels", ["clip", "frame"])
@pytest.mark.parametrize(
    ("mode", "column"),
    [
        ("categorical", "class"),
        ("categorical", "tags"),
        ("sparse", "class"),
        ("raw", "place"),
        ("raw", ["place", "speed"]),
        ("multi_output", ["place", "speed"]),
    ],
)
def test_every_class_mode_of_a_table(root, table, mode, column, labels):
    if mode == "categorical" and column == "tags" and labels == "clip":
        table["tags"] = [[name] for name in table["class"]]  # they change from frame to frame
    options = {
        "directory": root,
        "y_col": column,
        "class_mode": mode,
        "weight_col": "weight",
        "shuffle": False,
    }
    batches = flow(make(labels=labels), table, **options)
    assert batches.filenames == [paths(clip)[-1] for clip in windows(4)]
    newest, clips = expected_of(table, batches)
    rows = newest if labels == "clip" else clips
    got = an_epoch(batches)
    same(np.concatenate([x for x, *_ in got]), np.stack([pixels(root, clip) for clip in windows(4)]))
    same(np.concatenate([weights for *_, weights in got]), table["weight"][newest])
    if mode == "multi_output":
        for place, name in enumerate(column):
            assert isinstance(got[0][1], tuple)
            same(np.concatenate([y[place] for _, y, _ in got]), table[name][rows])
        return
    y = np.concatenate([y for _, y, _ in got])
    if mode == "raw":
        both = [table[name] for name in ([column] if isinstance(column, str) else column)]
        same(y, both[0][rows] if isinstance(column, str) else np.stack(both, axis=1)[rows])
        return
    names = batches.class_indices
    if mode == "sparse":
        same(y, np.vectorize(lambda row: names[table["class"][row]])(rows).astype(np.float32))
        return
    for row, found in zip(rows.reshape(-1), y.reshape(-1, len(names)), strict=True):
        given = table[column][row]
        present = {given} if isinstance(given, str) else set(given)
        assert found.tolist() == [float(name in present) for name in names]


@short
def test_a_table_without_targets(root, table):
    assert flow(make(), table, directory=root, class_mode=None)[0].shape == (5, 4, *SIZE, 3)
    x, y, weights = flow(make(), table, directory=root, class_mode="input", weight_col="weight")[0]
    same(y, x)
    assert weights.shape == (5,)


def test_no_clip_of_one_label_goes_beyond_a_change_of_class(tmp_path):
    for number in range(10):
        write(tmp_path / f"take_{number}.jpg", np.full((8, 8, 3), 20 * number))
    table = {"filename": [f"take_{n}.jpg" for n in range(10)], "class": ["still"] * 6 + ["moving"] * 4}
    by_clip = flow(make(labels="clip"), table, directory=tmp_path, shuffle=False)
    assert by_clip.filenames == [f"take_{n}.jpg" for n in (3, 4, 5, 9)]
    by_frame = flow(make(labels="frame"), table, directory=tmp_path, shuffle=False, batch_size=7)
    assert by_frame.n == 7
    assert by_frame[0][1].argmax(-1).tolist() == [[int(n < 6) for n in range(s, s + 4)] for s in range(7)]


def test_a_file_named_twice_is_one_frame(tmp_path):
    for number in range(6):
        write(tmp_path / f"take_{number}.jpg", np.full((8, 8, 3), 20 * number))
    names = [f"take_{n}.jpg" for n in (5, 0, 1, 1, 2, 3, 4, 4)]
    table = {"filename": names, "value": [n * 10 for n in range(8)]}
    options = {"directory": tmp_path, "class_mode": "raw", "y_col": "value", "shuffle": False}
    with pytest.warns(UserWarning, match="2 rows name a file that another row names"):
        batches = flow(make(labels="clip"), table, **options)
    x, y = batches[0]
    assert (x[:, :, 0, 0, 0] / 20).round().tolist() == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]]
    assert y.tolist() == [50, 60, 0]
    assert flow(make(legacy=True), table, **options).n == 8


# --- arrays


def test_arrays_of_clips_and_of_frames():
    x = np.random.default_rng(0).integers(0, 256, (6, 4, 8, 8, 3)).astype(np.float32)
    y = np.arange(6)
    generator = make(rescale=0.5)
    clips, labels = generator.flow(x, y, batch_size=6, shuffle=False, workers=0)[0]
    same(clips, x * np.float32(0.5))
    same(labels, y)
    frames, labels = generator.flow(x[:, 0], y, batch_size=6, shuffle=False, workers=0)[0]
    same(frames, x[:, 0] * np.float32(0.5))
    plain = ImageDataGenerator(rescale=0.5, horizontal_flip=True).flow(x[:, 0], y, seed=1, workers=0)
    ours = make(rescale=0.5, horizontal_flip=True).flow(x[:, 0], y, seed=1, workers=0)
    same(ours[0], plain[0])


def test_what_is_fitted_after_the_flow_still_counts():
    x = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3)).astype(np.float32)
    generator = make(featurewise_center=True)
    batches = generator.flow(x, batch_size=6, workers=0)
    generator.fit(x)
    np.testing.assert_allclose(batches[0].mean(axis=(0, 1, 2)), 0, atol=1e-4)


# --- mistakes


@short
@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({"time_steps": 0}, {}, "time_steps=0: must be an integer from 1"),
        ({"time_steps": 2.5}, {}, "time_steps=2.5"),
        ({"time_steps": 13}, {}, "time_steps=13: the longest of 7 videos has 12 frames. A video is a folder"),
        ({"dilation": 5}, {}, r"time_steps=4 and dilation=5 \(a span of 16\): the longest"),
        ({"step": 0}, {}, "step=0: must be"),
        ({"labels": "video"}, {}, "labels='video': must be one of 'clip', 'frame'"),
        ({"per": "batch"}, {}, "per='batch': must be one of"),
        ({"legacy": "yes"}, {}, "legacy='yes': must be True or False"),
        ({"legacy": True, "dilation": 2}, {}, "dilation=2: must be 1 with legacy=True"),
        ({"legacy": True, "time_steps": 62}, {}, "time_steps=62: .* with legacy=True; there are 60 files"),
        ({"validation_split": 1.2}, {}, "validation_split=1.2"),
        ({}, {"subset": "training"}, "subset='training' with validation_split=0.0 leaves no sample"),
        (
            {"validation_split": 0.2},
            {"subset": "test"},
            "subset='test': must be one of 'training', 'validation'",
        ),
        ({}, {"class_mode": "raw"}, "class_mode='raw': must be one of"),
        ({}, {"classes": ["a_run", "nobody"]}, "no folder 'nobody'"),
        ({}, {"batch_size": 0}, "batch_size=0"),
        ({}, {"target_size": (64,)}, r"target_size=\(64,\): must be a positive int or \(height, width\)"),
    ],
)
def test_mistakes_are_named(root, settings, options, message):
    with pytest.raises(ValueError, match=message):
        flow(make(**settings), root, **options)


def test_a_directory_without_class_folders(tmp_path):
    write(tmp_path / "1.jpg", np.zeros((8, 8, 3)))
    with pytest.raises(DataError, match="holds no folders, and each class is one"):
        flow(make(), tmp_path)
    with pytest.raises(DataError, match="there is no such folder"):
        flow(make(), tmp_path / "nowhere")


def test_class_folders_without_frames(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "film.mp4").write_bytes(b"x")
    with pytest.raises(DataError, match=r"no \.png, .* files below 'a'"):
        flow(make(), tmp_path)


def test_pictures_that_are_no_frames_of_a_video(tmp_path):
    """Names that share nothing: every file is a video of one frame."""
    for name in ("red", "green", "blue"):
        write(tmp_path / "colours" / f"{name}.jpg", np.zeros((8, 8, 3)))
    with pytest.raises(DataError, match=r"the longest of 3 videos has 1 frames.* differ only in the number"):
        flow(make(), tmp_path)


def test_a_subset_in_which_no_video_is_long_enough(tmp_path):
    for number in range(6):
        write(tmp_path / "a" / f"{number}.jpg", np.zeros((8, 8, 3)))
    with (
        pytest.warns(UserWarning, match="only video of its class"),
        pytest.raises(
            DataError, match="time_steps=4: the longest of 1 videos of the validation subset has 1 frames"
        ),
    ):
        flow(make(validation_split=0.2), tmp_path, subset="validation")


def test_options_are_refused_as_values(root):
    with pytest.raises(OptionError):
        flow(make(), root, color_mode="bgr")


@short
def test_saved_frames(root, tmp_path):
    batches = flow(make(), root, save_to_dir=tmp_path, save_prefix="seen", batch_size=2, shuffle=False)
    x, _ = batches[0]
    saved = sorted(tmp_path.iterdir())
    assert len(saved) == 8
    assert all(path.name.startswith("seen_") for path in saved)
    assert np.asarray(Image.open(saved[0])).shape == (*SIZE, 3)
    assert x.shape == (2, 4, *SIZE, 3)


# --- files that are no videos


@pytest.mark.parametrize("subset", [None, "training", "validation"])
def test_files_without_numbers_are_clips_of_the_original_alone(tmp_path, subset):
    """The error offers legacy=True only where that works."""
    for name in ("ant", "bee", "cat", "dog"):
        write(tmp_path / "class" / f"{name}.png", np.zeros((8, 8, 3)))

    def batches(time_steps, **options):
        generator = make(time_steps=time_steps, validation_split=0.5, **options)
        return flow(generator, tmp_path, subset=subset, class_mode=None)

    fits = 4 if subset is None else 2
    with pytest.raises(
        DataError, match=f"has 1 frames.* a video of its own; legacy=True .* any {fits} files"
    ):
        batches(fits)
    assert len(batches(fits, legacy=True)) > 0
    for time_steps, options in ((fits + 1, {}), (2, {"step": 2}), (2, {"dilation": 2})):
        with pytest.raises(DataError, match="has 1 frames") as raised:
            batches(time_steps, **options)
        assert "legacy" not in str(raised.value)


def test_short_videos_are_no_reason_for_the_original(tmp_path):
    for number in range(3):
        write(tmp_path / "class" / f"run_{number}.png", np.zeros((8, 8, 3)))
    with pytest.raises(DataError, match="has 3 frames") as raised:
        flow(make(time_steps=4), tmp_path)
    assert "legacy" not in str(raised.value)
