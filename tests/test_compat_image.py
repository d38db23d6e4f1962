"""ImageDataGenerator without Keras: what is served, in which order, and what a beginner gets wrong."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from helpers import alive, picture, run_python, wait_until, write_jpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import greys, make_classes, make_kinds, make_videos
from PIL import Image

from fastclips.compat import ImageDataGenerator
from fastclips.errors import ClosedError, DataError, FrameError, OptionError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    return make_classes(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return make_videos(tmp_path_factory.mktemp("videos"))


def serve(directory, workers=0, settings=None, **options):
    options = {"target_size": (16, 20), "batch_size": 3, "seed": 5, "workers": workers, **options}
    return ImageDataGenerator(**(settings or {})).flow_from_directory(directory, **options)


def equal(one, other):
    parts = [value if isinstance(value, tuple) else (value,) for value in (one, other)]
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(*parts, strict=True))


# --- what is found


def test_classes_and_files_in_plain_order(classes, capsys):
    it = serve(classes, shuffle=False)
    assert capsys.readouterr().out == "Found 10 images belonging to 2 classes.\n"
    assert it.class_indices == {"ant": 0, "bee": 1}
    assert it.classes.tolist() == [0] * 5 + [1] * 5
    assert it.filenames[4:6] == ["ant/f_4.jpg", "bee/f_0.jpg"]
    assert it.filepaths[0] == f"{classes}/ant/f_0.jpg"
    assert (it.n, it.samples, it.batch_size, len(it), it.num_classes) == (10, 10, 3, 4, 2)
    x, y = it.next()
    assert x.shape == (3, 16, 20, 3)
    assert y.tolist() == [[1, 0]] * 3


def test_only_files_with_an_extension_of_pictures(tmp_path):
    for name in ("a.jpg", "B.PNG", "c.txt", "xjpg", "d.jpeg"):
        (tmp_path / "k" / "deep").mkdir(parents=True, exist_ok=True)
        (tmp_path / "k" / "deep" / name).write_bytes(b"x")
    assert serve(tmp_path).filenames == ["k/deep/B.PNG", "k/deep/a.jpg", "k/deep/d.jpeg"]


def test_links_are_followed_if_asked(tmp_path, classes):
    (tmp_path / "k").mkdir()
    write_jpeg(tmp_path / "k" / "own.jpg", picture(0))
    (tmp_path / "k" / "linked").symlink_to(classes / "ant")
    assert serve(tmp_path).n == 1
    assert serve(tmp_path, follow_links=True).n == 6


def test_the_first_files_of_each_class_validate(classes):
    split = {"settings": {"validation_split": 0.4}, "shuffle": False}
    validation = serve(classes, subset="validation", **split)
    training = serve(classes, subset="training", **split)
    assert validation.filenames == [f"{name}/f_{file}.jpg" for name in ("ant", "bee") for file in (0, 1)]
    assert sorted(validation.filenames + training.filenames) == serve(classes).filenames


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["ant", "cat"]}, "has no folder 'cat'"),
        ({"subset": "validation"}, "validation_split"),
        ({"subset": "test"}, "subset='test'"),
        ({"class_mode": "raw"}, "class_mode='raw'"),
        ({"color_mode": "gray"}, "color_mode='gray'"),
        ({"interpolation": "cubic"}, "interpolation='cubic'"),
        ({"target_size": (224,)}, r"target_size=\(224,\)"),
        ({"target_size": (0, 4)}, r"target_size=\(0, 4\)"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"seed": -1}, "seed=-1"),
        ({"save_to_dir": "/nowhere"}, "'/nowhere'"),
        ({"classes": "ant"}, "classes='ant': must be a sequence of names"),
        ({"classes": ["bee", "bee"]}, "but 'bee' is there twice"),
    ],
)
def test_what_cannot_work_is_said_at_once(classes, options, message):
    with pytest.raises(ValueError, match=message):
        serve(classes, **options)


def test_a_missing_folder_is_a_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        serve(tmp_path / "none")
    with pytest.raises(DataError, match="each class is one"):
        serve(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no \.png.* files below 'empty'"):
        serve(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"zoom_range": (1, 2, 3)}, "zoom_range"),
        ({"brightness_range": 0.5}, "brightness_range"),
        ({"validation_split": 1.0}, "validation_split"),
        ({"data_format": "last"}, "data_format"),
        ({"time_steps": 0}, "time_steps"),
        ({"fill_mode": "zeros"}, "fill_mode='zeros': must be one of 'nearest'"),
        ({"rotation_range": "30"}, "rotation_range='30': must be a number"),
        ({"preprocessing_function": 3}, "preprocessing_function"),
    ],
)
def test_settings_that_cannot_work(settings, message):
    with pytest.raises(OptionError, match=message):
        ImageDataGenerator(**settings).standardization()


@pytest.mark.parametrize(
    "settings",
    [
        {"zca_whitening": True},
        {"featurewise_std_normalization": True},
        {"samplewise_std_normalization": True},
    ],
)
def test_a_setting_that_includes_another_turns_it_on(settings):
    with pytest.warns(UserWarning, match="includes"):
        generator = ImageDataGenerator(**settings)
    assert generator.featurewise_center or generator.samplewise_center


# --- order and serving


@given(n=st.integers(1, 9), batch_size=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_each_sample_once_an_epoch_in_the_seeds_order(n, batch_size, seed):
    x = np.arange(n, dtype=np.float32).reshape(n, 1, 1, 1)
    it = ImageDataGenerator().flow(x, batch_size=batch_size, seed=seed, workers=0)
    for epoch in range(3):
        order = np.random.RandomState((seed + epoch * len(it)) % 2**32).permutation(n)
        served = np.concatenate([batch.ravel() for batch in islice(it, len(it))])
        assert served.tolist() == order.tolist()
        assert it.index_array.tolist() == order.tolist()


def test_the_global_generators_are_left_alone(classes):
    np.random.seed(0)  # noqa: NPY002 - the global one is meant
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - as above
    it = serve(classes, settings={"rotation_range": 5, "preprocessing_function": add_noise})
    it.next()
    it.image_data_generator.random_transform(np.zeros((4, 4, 3)))
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002 - as above


def test_without_a_seed_each_iterator_has_its_own():
    x = np.zeros((50, 1, 1, 1))
    seeds = {ImageDataGenerator().flow(x, workers=0).seed for _ in range(4)}
    assert len(seeds) == 4


def test_any_batch_by_its_index(classes):
    it, other = serve(classes), serve(classes)
    epoch = list(islice(other, len(other)))
    assert all(equal(it[index], epoch[index]) for index in (2, 0, -1, 3, -4, 1))
    assert it[-1][0].shape[0] == 1
    for index in (4, -5):
        with pytest.raises(OptionError, match=rf"it\[{index}\]"):
            it[index]
    it.on_epoch_end()
    assert all(equal(it[index], next(other)) for index in range(4))
    assert it.total_batches_seen == 6 + 1 + 4


def test_reset_begins_an_epoch_anew(classes):
    it, other = serve(classes), serve(classes)
    it.reset()  # at a beginning already
    assert equal(next(it), next(other))
    assert it.batch_index == 1
    it.reset()
    for _ in range(3):
        next(other)
    assert it.batch_index == 0
    assert equal(next(it), next(other))


AUGMENTED = {
    "rotation_range": 20,
    "zoom_range": 0.2,
    "brightness_range": (0.5, 1.5),
    "horizontal_flip": True,
    "rescale": 1 / 255,
}


@pytest.mark.slow
@pytest.mark.parametrize("time_steps", [None, 3])
def test_the_same_bits_for_any_number_of_workers(classes, time_steps):
    settings = {**AUGMENTED, "time_steps": time_steps, "preprocessing_function": add_noise}
    reference = list(islice(serve(classes, settings=settings), 6))
    for workers in (1, 2):
        with serve(classes, workers, settings=settings) as it:
            assert all(equal(batch, expected) for batch, expected in zip(it, reference, strict=False))
            assert equal(it[0], serve(classes, settings=settings)[0]) == (it.epoch == 0)


def add_noise(frame):
    return frame + np.random.normal(size=frame.shape).astype(np.float32)  # noqa: NPY002 - as users do


@pytest.mark.slow
def test_processes_end_with_the_iterator(classes):
    it = serve(classes, workers=1)
    kept = next(it)[0]
    pids = it._batches.pids
    before = kept.copy()
    it.close()
    it.close()
    wait_until(lambda: not any(map(alive, pids)))
    assert np.array_equal(kept, before)
    with pytest.raises(ClosedError, match="closed"):
        next(it)
    it = serve(classes, workers=1)
    next(it)
    pids = it._batches.pids
    del it
    wait_until(lambda: not any(map(alive, pids)))


@pytest.mark.slow
def test_a_damaged_file_is_named(tmp_path):
    root = make_classes(tmp_path, files=2)
    (root / "bee" / "f_1.jpg").write_bytes((root / "bee" / "f_1.jpg").read_bytes()[:300])
    for workers in (0, 1):
        with serve(root, workers, shuffle=False, batch_size=2) as it:
            next(it)
            with pytest.raises(FrameError, match=r"bee/f_1\.jpg"):
                next(it)
            assert next(it)[1].tolist() == [[1, 0]] * 2  # the next epoch
    (root / "bee" / "f_1.jpg").unlink()
    it = serve(root, shuffle=False, batch_size=2)
    (root / "ant" / "f_0.jpg").unlink()
    with pytest.raises(FrameError, match=r"cannot read .*ant/f_0\.jpg.*make it again"):
        next(it)


# --- pixels


@pytest.mark.parametrize(("color_mode", "mode"), [("rgb", "RGB"), ("rgba", "RGBA"), ("grayscale", "L")])
def test_every_kind_of_file_is_as_pillow_opens_it(tmp_path, color_mode, mode):
    it = serve(make_kinds(tmp_path), color_mode=color_mode, batch_size=20, shuffle=False, class_mode=None)
    assert it.n == 12
    for path, frame in zip(it.filepaths, next(it), strict=True):
        image = Image.open(path)
        keep = mode == "L" and image.mode in ("L", "I;16", "I")
        expected = (image if keep else image.convert(mode)).resize((20, 16), Image.Resampling.NEAREST)
        assert np.array_equal(frame, np.asarray(expected, np.float32).reshape(frame.shape)), path


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64"])
def test_batches_have_the_dtype_asked_for(classes, dtype):
    plain = serve(classes)[0][0]
    x, y = serve(classes, settings={"dtype": dtype})[0]
    assert x.dtype == y.dtype == dtype
    assert np.array_equal(x, plain)


def half(frame):
    return frame[::2, ::2].mean(axis=-1)


def test_a_function_may_change_the_shape(classes):
    whole = serve(classes, class_mode=None)[0]
    halves = serve(classes, class_mode=None, settings={"preprocessing_function": half, "rescale": 0.5})[0]
    assert halves.shape == (3, 8, 10)
    assert np.array_equal(halves, whole[:, ::2, ::2].mean(axis=-1) * np.float32(0.5))
    clips = serve(classes, class_mode=None, settings={"preprocessing_function": half, "time_steps": 2})[0]
    assert clips.shape == (3, 2, 8, 10)


@pytest.mark.slow
def test_a_function_of_the_script_reaches_the_workers(classes):
    code = """
import sys
from fastclips.compat import ImageDataGenerator
if __name__ == "__main__":
    generator = ImageDataGenerator(preprocessing_function=lambda frame: 0 * frame + 7)
    with generator.flow_from_directory(sys.argv[1], class_mode=None, workers=1) as it:
        print(next(it).min(), next(it).max())
"""
    assert run_python(code, classes).splitlines()[-1] == "7.0 7.0"


@pytest.mark.parametrize("time_steps", [None, 2])
def test_what_is_served_is_saved(classes, tmp_path, time_steps):
    settings = {"time_steps": time_steps, "rescale": 1 / 255}
    it = serve(classes, save_to_dir=tmp_path, save_prefix="p", settings=settings, shuffle=False)
    x = next(it)[0].reshape(-1, 16, 20, 3)
    saved = sorted(tmp_path.iterdir(), key=lambda path: (int(path.name.split("_")[1]), path.name))
    assert len(saved) == len(x)
    for frame, path in zip(x, saved, strict=True):
        stretched = (frame - frame.min()) / (frame - frame.min()).max() * 255
        assert np.abs(np.asarray(Image.open(path)) - stretched).max() <= 1


# --- clips


def test_clips_stay_in_their_video_oldest_first(videos):
    it = serve(videos, settings={"time_steps": 3}, shuffle=False, batch_size=100)
    x, y = next(it)
    assert x.shape == (10, 3, 16, 20, 3)
    expected = [
        [[video, first + step] for step in range(3)]
        for video, count in ((0, 7), (2, 3), (1, 6))  # class by class
        for first in range(count - 2)
    ]
    assert greys(x) == expected
    assert it.classes.tolist() == np.argmax(y, axis=1).tolist() == [video % 2 for (video, _), *_ in expected]
    assert it.filenames[0] == "a/video_0/img_3.jpg"


def test_frames_count_as_people_do(tmp_path):
    for frame in (1, 2, 10):
        write_jpeg(tmp_path / "k" / "v" / f"f{frame}.jpg", np.full((8, 8, 3), 20 * frame, np.uint8))
    with pytest.warns(UserWarning, match="Frame numbers are missing in 1 of 1 videos, such as 'k/v/'"):
        it = serve(tmp_path, settings={"time_steps": 3}, class_mode=None, batch_size=1)
    assert np.round(it[0][0, :, 0, 0, 0]).tolist() == [20, 40, 200]


def test_one_draw_for_a_clip(videos):
    same = {"time_steps": 3, "brightness_range": (0.2, 2)}
    x = serve(videos, settings=same, class_mode=None, batch_size=100, shuffle=False)[0]
    plain = serve(videos, settings={"time_steps": 3}, class_mode=None, batch_size=100, shuffle=False)[0]
    bright = plain.min(axis=(1, 2, 3, 4)) > 40  # or rounding decides
    factors = (x / np.maximum(plain, 1)).mean(axis=(2, 3, 4))[bright]
    assert len(factors) == 5
    assert np.ptp(factors, axis=1).max() < 0.05 < np.ptp(factors[:, 0])


def test_no_video_is_long_enough(videos):
    with pytest.raises(DataError, match=r"time_steps=8.* has 7 frames"):
        serve(videos, settings={"time_steps": 8})


# --- arrays


def test_arrays_with_all_that_goes_beside():
    random = np.random.default_rng(0)
    x, other = random.integers(0, 256, (7, 4, 5, 3), dtype=np.uint8), random.normal(size=(7, 2))
    y, weight = np.arange(7), random.uniform(size=7)
    it = ImageDataGenerator().flow((x, [other, y]), y, 4, sample_weight=weight, seed=1, workers=0)
    (images, others, numbers), targets, weights = next(it)
    assert np.array_equal(images, x[targets].astype(np.float32))
    assert np.array_equal(others, other[targets])
    assert np.array_equal(numbers, targets)
    assert np.array_equal(weights, weight[targets])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_of_an_array_stays_on_disk(tmp_path, workers):
    x = np.random.default_rng(0).integers(0, 256, (7, 4, 5, 3), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    split = {"subset": "training", "batch_size": 4, "seed": 3, "workers": workers}
    batches = [
        next(ImageDataGenerator(validation_split=0.3).flow(source, **split))
        for source in (x, mapped, tmp_path / "x.npy")
    ]
    assert equal(batches[0], batches[1])
    assert equal(batches[0], batches[2])


def test_clips_of_arrays():
    x = np.arange(4 * 3 * 2 * 2, dtype=np.float32).reshape(4, 3, 2, 2, 1)
    it = ImageDataGenerator(time_steps=3, horizontal_flip=True).flow(x, np.arange(4), workers=0, seed=0)
    clips, y = next(it)
    for clip, number in zip(clips, y, strict=True):
        assert any(np.array_equal(clip, x[number][:, :, ::turn]) for turn in (1, -1))
    with pytest.raises(OptionError, match=r"ImageDataGenerator\(time_steps=3\)"):
        ImageDataGenerator().flow(x)
    with pytest.raises(OptionError, match=r"\(N, 4, H, W, C\)"):
        ImageDataGenerator(time_steps=4).flow(x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.arange(3)}, r"y of shape \(3,\)"),
        ({"sample_weight": np.ones(3)}, r"sample_weight of shape \(3,\)"),
        ({"x": np.zeros((4, 2, 2))}, "must have 4 axes"),
        ({"x": (np.zeros((4, 2, 2, 3)), np.zeros(5))}, r"x\[1\]\[0\] of shape \(5,\)"),
        ({"x": [np.zeros((2, 2, 3)), np.zeros((3, 2, 3))]}, "must have one shape"),
        ({"x": np.array([["a"]])}, "array of numbers"),
        ({"y": None, "sample_weight": np.ones(4)}, "without y="),
        ({"subset": "training"}, "other classes in the validation part"),
    ],
)
def test_arrays_that_do_not_go_together(change, message):
    right = {"x": np.zeros((4, 2, 2, 3)), "y": [0, 0, 1, 1], "workers": 0}
    with pytest.raises(ValueError, match=message):
        ImageDataGenerator(validation_split=0.5).flow(**{**right, **change})


# --- fitting


def test_fit_takes_lists_and_clips_and_counts_after_flow():
    x = np.random.default_rng(0).uniform(0, 255, (6, 4, 5, 3)).astype(np.float32)
    generator = ImageDataGenerator(featurewise_center=True)
    it = generator.flow(x, shuffle=False, workers=0)
    generator.fit([list(map(np.ndarray.tolist, frame)) for frame in x])
    assert np.allclose(next(it).mean(axis=(0, 1, 2)), 0, atol=1e-3)
    generator.fit(x + 10)
    assert np.allclose(next(it).mean(axis=(0, 1, 2)), -10, atol=1e-3)
    other = ImageDataGenerator(featurewise_center=True)
    other.fit(x.reshape(2, 3, 4, 5, 3) + 10)
    assert np.array_equal(other.mean, generator.mean)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_settings_changed_after_a_flow_began_count_from_the_next_batch_on(classes, workers):
    """As in Keras, and however many batches workers were ahead."""
    generator = ImageDataGenerator()
    options = {"target_size": (16, 20), "batch_size": 3, "shuffle": False, "seed": 5, "class_mode": None}
    with generator.flow_from_directory(classes, workers=workers, **options) as it:
        plain = [next(it).copy() for _ in range(2 * len(it))]
        next(it)
        generator.rescale, generator.vertical_flip, generator.channel_shift_range = 0.5, True, 20.0
        changed = [next(it).copy() for _ in range(len(it))]
        generator.rescale, generator.vertical_flip, generator.channel_shift_range = None, False, 0.0
        assert equal(it[0], plain[0])
    other = ImageDataGenerator(rescale=0.5, vertical_flip=True, channel_shift_range=20.0)
    with other.flow_from_directory(classes, workers=0, **options) as it:
        expected = list(islice(it, 3 * len(it) + 1))[2 * len(it) + 1 :]
    assert all(map(equal, changed, expected))
    assert not equal(changed[0], plain[1])


def test_each_array_that_is_fitted_counts_though_another_had_its_place_in_memory():
    x = np.full((1, 2, 2, 3), 9, np.float32)
    generator = ImageDataGenerator(featurewise_center=True)
    it = generator.flow(x, workers=0)
    for value in range(9):  # a freed object's id is soon another's
        generator.mean = None
        generator.mean = np.full((1, 1, 3), value, np.float32)
        assert np.array_equal(next(it), x - value)


def test_what_is_not_fitted_is_left_out_with_a_warning():
    x = np.ones((2, 4, 4, 3))
    it = ImageDataGenerator(featurewise_center=True).flow(x, workers=0)
    with pytest.warns(UserWarning, match="featurewise_center is left out: fit"):
        assert np.array_equal(next(it), x.astype(np.float32))


def test_what_was_fitted_on_other_frames_is_refused():
    with pytest.warns(UserWarning, match="includes"):
        generator = ImageDataGenerator(zca_whitening=True)
    generator.fit(np.random.default_rng(0).uniform(size=(5, 3, 3, 3)))
    with pytest.raises(OptionError, match="27 values"):
        next(generator.flow(np.ones((2, 4, 4, 3)), workers=0))
    generator = ImageDataGenerator(featurewise_center=True)
    generator.mean = np.zeros((1, 1, 4))
    with pytest.raises(OptionError, match="does not fit"):
        next(generator.flow(np.ones((2, 4, 4, 3)), workers=0))
    with pytest.raises(OptionError, match="4 axes"):
        generator.fit(np.zeros((3, 3)))


def test_it_works_where_no_keras_is(classes):
    code = """
import sys
sys.modules["keras"] = sys.modules["tensorflow"] = None
from fastclips.compat import ImageDataGenerator
with ImageDataGenerator().flow_from_directory(sys.argv[1], workers=1) as it:
    print(next(it)[0].shape, sorted({c.__module__.split(".")[0] for c in type(it).__mro__}))
"""
    assert run_python(code, classes).splitlines()[-1] == "(10, 256, 256, 3) ['builtins', 'fastclips']"
