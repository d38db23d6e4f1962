"""ImageDataGenerator beside Keras's own, batch for batch, and through fit on any backend."""

from __future__ import annotations

import warnings
from itertools import islice

import numpy as np
import pytest
from pictures import make_classes, make_kinds, make_videos

keras = pytest.importorskip("keras")
original = pytest.importorskip("keras.src.legacy.preprocessing.image")

from fastclips.compat import ImageDataGenerator  # noqa: E402 - needs keras

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras's
    pytest.mark.filterwarnings("ignore:Please (use|import).*scipy.ndimage:DeprecationWarning"),  # as above
    pytest.mark.filterwarnings("ignore:Using .*tiff:UserWarning"),  # as above
    pytest.mark.filterwarnings("ignore:.*overrides setting:UserWarning"),  # as above
    pytest.mark.filterwarnings("ignore:.*includes:UserWarning"),  # ours of the same
    pytest.mark.filterwarnings("ignore:.*(invalid image|are no picture):UserWarning"),
]
WARPS = {
    "rotation_range": 40,
    "width_shift_range": 0.3,
    "height_shift_range": 0.3,
    "shear_range": 20,
    "zoom_range": 0.4,
}
EVERYTHING = {
    **WARPS,
    "channel_shift_range": 30.0,
    "brightness_range": (0.2, 1.9),
    "horizontal_flip": True,
    "vertical_flip": True,
}
needs_scipy = {"rotation_range", "width_shift_range", "height_shift_range", "shear_range", "zoom_range"}


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    return make_kinds(make_classes(tmp_path_factory.mktemp("classes"), files=4))


def both(settings, flow, *args, **options):
    """The same flow of Keras's generator and of ours."""
    if needs_scipy & set(settings):
        pytest.importorskip("scipy")
    options = {"batch_size": 4, "seed": 11, **options}
    theirs = getattr(original.ImageDataGenerator(**settings), flow)(*args, **options)
    ours = getattr(ImageDataGenerator(**settings), flow)(*args, workers=0, **options)
    return theirs, ours


def flat(batch):
    parts = batch if isinstance(batch, (tuple, list)) else [batch]
    return [one for part in parts for one in (part if isinstance(part, (tuple, list)) else [part])]


def agree(theirs, ours, tolerance=0.0, epochs=2):
    """Some epochs under next(), each part of each batch."""
    assert (theirs.n, len(theirs)) == (ours.n, len(ours))
    for batch, other in islice(zip(theirs, ours, strict=False), epochs * len(ours) + 1):
        for expected, got in zip(flat(batch), flat(other), strict=True):
            assert np.shape(expected) == got.shape
            assert np.asarray(expected).dtype == got.dtype
            if tolerance and got.dtype.kind == "f":
                np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)
            else:
                np.testing.assert_array_equal(got, expected)


# --- without augmentation, bit for bit


@pytest.mark.parametrize("color_mode", ["rgb", "rgba", "grayscale"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"])
@pytest.mark.parametrize("keep_aspect_ratio", [False, True])
def test_colour_modes_and_interpolations(classes, color_mode, interpolation, keep_aspect_ratio):
    options = {"color_mode": color_mode, "interpolation": interpolation}
    flow = "flow_from_directory", classes
    agree(*both({}, *flow, target_size=(24, 50), keep_aspect_ratio=keep_aspect_ratio, **options))


@pytest.mark.parametrize("class_mode", ["categorical", "binary", "sparse", "input", None])
@pytest.mark.parametrize("shuffle", [True, False])
def test_class_modes_and_orders(classes, class_mode, shuffle):
    options = {"class_mode": class_mode, "shuffle": shuffle, "target_size": (8, 8)}
    agree(*both({}, "flow_from_directory", classes, **options), epochs=3)


@pytest.mark.parametrize("subset", ["training", "validation"])
@pytest.mark.parametrize("names", [None, ["kinds", "ant"]])
def test_subsets_and_classes(classes, subset, names):
    options = {"subset": subset, "classes": names, "target_size": (8, 8)}
    theirs, ours = both({"validation_split": 0.4}, "flow_from_directory", classes, **options)
    assert theirs.filenames == ours.filenames
    assert theirs.filepaths == ours.filepaths
    assert theirs.class_indices == ours.class_indices
    np.testing.assert_array_equal(theirs.classes, ours.classes)
    agree(theirs, ours)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float64"])
def test_dtypes(classes, dtype):
    agree(*both({"dtype": dtype}, "flow_from_directory", classes, target_size=(16, 16)))


# --- each augmentation alone, and all together


@pytest.mark.parametrize(
    "settings",
    [
        *({name: value} for name, value in EVERYTHING.items()),
        {"width_shift_range": 5, "height_shift_range": [1, -3, 0.5]},
        {"zoom_range": [0.5, 0.9]},
        {"rescale": 1 / 255, "horizontal_flip": True, "brightness_range": [0.5, 1.5]},
        {"samplewise_center": True, "samplewise_std_normalization": True},
        {**WARPS, "interpolation_order": 0},
        {"rotation_range": 30, "interpolation_order": 3},
        *({**WARPS, "fill_mode": mode, "cval": 7.0} for mode in ("constant", "reflect", "wrap", "mirror")),
        EVERYTHING,
        {**EVERYTHING, "rescale": 1 / 127.5, "samplewise_center": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("color_mode", ["rgb", "grayscale", "rgba"])
def test_augmentation_of_files(classes, settings, color_mode):
    """Affine maps to 1e-4 of 255, all else bit for bit."""
    warped = bool(needs_scipy & set(settings))
    options = {"target_size": (20, 31), "color_mode": color_mode}
    agree(*both(settings, "flow_from_directory", classes, **options), 1e-4 if warped else 0.0, epochs=1)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("given", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("settings", [{}, EVERYTHING, {**EVERYTHING, "rescale": 1 / 255}], ids=len)
def test_augmentation_of_arrays(channels, given, settings):
    random = np.random.default_rng(channels)
    x = random.uniform(0, 255, (9, 20, 31, channels)).astype(given)
    y, weight = random.integers(0, 3, (9, 2)), random.uniform(size=9)
    for dtype in (None, "float64"):
        iterators = both({**settings, "dtype": dtype}, "flow", x, y, sample_weight=weight)
        agree(*iterators, 1e-4 if settings else 0.0)


def test_arrays_beyond_bytes_and_with_channels_first():
    random = np.random.default_rng(0)
    agree(*both(EVERYTHING, "flow", random.uniform(-300, 500, (5, 16, 20, 3))), 1e-3)
    settings = {"data_format": "channels_first", "rotation_range": 20, "samplewise_center": True}
    agree(*both(settings, "flow", random.uniform(0, 255, (5, 3, 16, 20))), 1e-3)


def test_a_function_of_the_user(classes):
    settings = {"preprocessing_function": lambda frame: frame[::-1] * 2 - 1, "rescale": 0.5}
    agree(*both(settings, "flow_from_directory", classes, target_size=(8, 9)))


def test_parameters_one_by_one():
    pytest.importorskip("scipy")
    theirs, ours = original.ImageDataGenerator(**EVERYTHING), ImageDataGenerator(**EVERYTHING)
    x = np.random.default_rng(0).uniform(0, 255, (20, 30, 3)).astype(np.float32)
    for seed in range(5):
        assert theirs.get_random_transform(x.shape, seed) == ours.get_random_transform(x.shape, seed)
        np.testing.assert_allclose(
            theirs.random_transform(x, seed), ours.random_transform(x, seed), rtol=0, atol=1e-4
        )


# --- fitted


@pytest.mark.parametrize(
    "settings",
    [
        {"featurewise_center": True},
        {"featurewise_std_normalization": True},
        {"zca_whitening": True, "rescale": 1 / 255},
    ],
    ids=str,
)
@pytest.mark.parametrize("fitting", [{}, {"augment": True, "rounds": 2, "seed": 4}], ids=["plain", "augment"])
def test_fit(settings, fitting):
    x = np.random.default_rng(0).uniform(0, 255, (9, 7, 8, 3))
    theirs, ours = both({**settings, "horizontal_flip": True}, "flow", x)
    theirs.image_data_generator.fit(x, **fitting)
    ours.image_data_generator.fit(x, **fitting)
    for name in ("mean", "std", "zca_whitening_matrix"):
        expected = getattr(theirs.image_data_generator, name)
        assert (expected is None) == (getattr(ours.image_data_generator, name) is None)
        if expected is not None:
            np.testing.assert_array_equal(getattr(ours.image_data_generator, name), expected)
    agree(theirs, ours, 1e-4 if "zca_whitening" in settings else 0.0)


# --- tables


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"class_mode": "binary"},
        {"class_mode": "sparse", "classes": ["bee", "ant"]},
        {"classes": ["bee"]},
        {"class_mode": "raw", "y_col": "number"},
        {"class_mode": "raw", "y_col": ["number", "weight"]},
        {"class_mode": "multi_output", "y_col": ["number", "weight"]},
        {"class_mode": "input"},
        {"class_mode": None},
        {"y_col": "several"},
        {"y_col": "several", "classes": ["bee"]},
        {"weight_col": "weight"},
        {"subset": "training", "weight_col": "weight"},
        {"subset": "validation", "class_mode": "raw", "y_col": "number"},
    ],
    ids=str,
)
def test_tables(classes, options):
    pandas = pytest.importorskip("pandas")
    names = [f"{name}/f_{file}.jpg" for name in ("ant", "bee") for file in range(4)]
    table = pandas.DataFrame(
        {
            "filename": [*names, "missing.jpg"],
            "class": [name[:3] for name in names] + ["ant"],
            "several": [["ant", "bee"], ["ant"], ["bee"]] * 3,
            "number": np.arange(9),
            "weight": np.arange(9) / 2,
        }
    )
    settings = {"validation_split": 0.4}
    flow = "flow_from_dataframe", table, str(classes)
    theirs, ours = both(settings, *flow, target_size=(8, 8), **options)
    assert theirs.filenames == ours.filenames
    assert getattr(theirs, "classes", None) == getattr(ours, "classes", None)
    assert getattr(theirs, "class_indices", None) == getattr(ours, "class_indices", None)
    agree(theirs, ours)


def test_a_dict_is_a_table(classes):
    pandas = pytest.importorskip("pandas")
    names = [f"ant/f_{file}.jpg" for file in range(4)]
    columns = {"filename": names, "class": ["a", "b", "a", "b"], "weight": [1.0, 2, 3, 4]}
    for table in (columns, pandas.DataFrame(columns)):
        theirs, ours = both({}, "flow_from_dataframe", pandas.DataFrame(columns), str(classes))
        ours = ImageDataGenerator().flow_from_dataframe(table, classes, batch_size=4, seed=11, workers=0)
        agree(theirs, ours)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"class_mode": "multi_output", "y_col": "number"}, TypeError),
        ({"y_col": "number"}, TypeError),
        ({"y_col": "number", "class_mode": "sparse"}, TypeError),
        ({"x_col": "number"}, TypeError),
        ({"weight_col": "class"}, TypeError),
        ({"class_mode": "binary", "classes": ["ant"]}, ValueError),
        ({"class_mode": "other one"}, ValueError),
    ],
)
def test_tables_that_cannot_work_raise_what_keras_raises(classes, options, error):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(
        {"filename": ["ant/f_0.jpg", "bee/f_0.jpg"], "class": ["ant", "bee"], "number": [0, 1]}
    )
    for generator in (original.ImageDataGenerator(), ImageDataGenerator()):
        with pytest.raises(error):
            generator.flow_from_dataframe(table, str(classes), **options)


# --- through fit


class Seen(keras.callbacks.Callback):
    """Looks at batches of the iterator in the middle of training."""

    def __init__(self, iterator):
        super().__init__()
        self.iterator = iterator

    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002 - Keras's
        self.iterator[0]


@keras.saving.register_keras_serializable("tests")
class Sum(keras.layers.Layer):
    """Counts frames by their value, which is their number."""

    def build(self, _):
        self.seen = self.add_weight(name="seen", shape=(10,), initializer="zeros", trainable=False)

    def call(self, x):
        number = keras.ops.cast(keras.ops.reshape(x, (-1,)), "int32")
        self.seen.assign_add(keras.ops.sum(keras.ops.one_hot(number, 10), axis=0))
        return keras.ops.reshape(x, (-1, 1))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("workers", [0, 1])
def test_fit_trains_on_each_sample_once_an_epoch(shuffle, workers):
    x = np.arange(10, dtype=np.float32).reshape(10, 1, 1, 1)
    with ImageDataGenerator().flow(x, np.zeros((10, 1)), 3, seed=0, workers=workers) as it:
        next(it)  # someone had a look
        model = keras.Sequential([keras.Input((1, 1, 1)), Sum(), keras.layers.Dense(1)])
        model.compile("sgd", "mse", jit_compile=False)
        model.fit(it, epochs=3, verbose=0, shuffle=shuffle, callbacks=[Seen(it)])
        assert keras.ops.convert_to_numpy(model.layers[0].seen).tolist() == [3] * 10
        assert (it.epoch, it.batch_index) == (3, 0)
        assert isinstance(it, keras.utils.PyDataset)


def test_predictions_line_up(classes):
    it = ImageDataGenerator().flow_from_directory(
        classes, target_size=(4, 4), class_mode=None, batch_size=5, shuffle=False, workers=0
    )
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.GlobalAveragePooling2D()])
    expected = np.concatenate([it[index] for index in range(len(it))]).mean(axis=(1, 2))
    for _ in range(2):
        np.testing.assert_allclose(model.predict(it, verbose=0), expected, rtol=1e-4)


def test_a_model_of_clips_with_several_inputs_and_targets():
    random = np.random.default_rng(0)
    x, size = random.uniform(size=(6, 3, 8, 8, 3)), random.uniform(size=(6, 2))
    clip, beside = keras.Input((3, 8, 8, 3)), keras.Input((2,))
    features = keras.layers.TimeDistributed(keras.layers.Conv2D(2, 3))(clip)
    features = keras.layers.ConvLSTM2D(2, 3)(features)
    features = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(features), beside])
    model = keras.Model((clip, beside), keras.layers.Dense(2)(features))
    model.compile("sgd", "mse")
    generator = ImageDataGenerator(time_steps=3, horizontal_flip=True)
    it = generator.flow((x, size), size, 2, sample_weight=np.ones(6), workers=0)
    assert np.isfinite(model.fit(it, epochs=2, verbose=0).history["loss"]).all()


def test_a_table_with_several_targets(tmp_path):
    make_videos(tmp_path)
    names = [f"a/video_0/img_{frame}.jpg" for frame in range(1, 7)]
    table = {"filename": names, "one": np.arange(6.0), "two": np.arange(6.0)}
    it = ImageDataGenerator().flow_from_dataframe(
        table, tmp_path, y_col=["one", "two"], class_mode="multi_output", target_size=(8, 8), workers=0
    )
    x = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(x, (keras.layers.Dense(1)(pooled), keras.layers.Dense(1)(pooled)))
    model.compile("sgd", ("mse", "mse"))
    assert len(model.fit(it, epochs=1, verbose=0).history["loss"]) == 1


def test_workers_of_keras_are_not_needed():
    x = np.zeros((4, 1, 1, 1))
    with pytest.warns(UserWarning, match="ignores use_multiprocessing=True"):
        it = ImageDataGenerator().flow(x, use_multiprocessing=True, workers=0)
    with pytest.warns(UserWarning, match="ignores workers=4"):
        it.workers = 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        it.workers, it.use_multiprocessing = 1, False
    assert (it.workers, it.use_multiprocessing) == (1, False)
