"""Paired crops, images with masks, windows and folders through fit and predict, on any backend of Keras."""

import numpy as np
import pytest
from PIL import Image

keras = pytest.importorskip("keras")

from keras_model import VIDEOS, Count, make_greys  # noqa: E402 - needs keras

from fastclips.compat import (  # noqa: E402 - as above
    DataGenerator,
    image_dataset_from_directory,
    paired_random_crop,
    timeseries_dataset_from_array,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras's
]
EPOCHS = 2


def make_model(shape, head, loss, dtype="uint8"):
    """A model that counts the clips it is given, by their grey, beside what `head` makes of them."""
    x = keras.Input(shape, dtype=dtype)
    counted = Count()(x)  # (B, 1)
    made = head(keras.layers.Rescaling(1 / 255)(x))
    made = made + 0 * keras.ops.reshape(counted, (-1, *[1] * (len(made.shape) - 1)))
    model = keras.Model(x, made)
    model.compile("sgd", loss, jit_compile=False)
    return model


def counts(model, kind="trained"):
    layer = next(layer for layer in model.layers if isinstance(layer, Count))
    return keras.ops.convert_to_numpy(getattr(layer, kind)).astype(int).tolist()


def classify(x):
    return keras.layers.Dense(2)(keras.layers.GlobalAveragePooling3D()(x))


def segment(x):
    return keras.layers.Conv3D(3, 1)(x)


SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
GREYS = np.repeat(12 * np.arange(VIDEOS, dtype=np.uint8), 4 * 40 * 40 * 3).reshape(VIDEOS, 4, 40, 40, 3)


@pytest.mark.parametrize("workers", [0, 1])
def test_paired_crops_train_on_each_clip_once_an_epoch(workers):
    masks = GREYS[..., 0] // 12 % 3
    model = make_model((4, 32, 32, 3), segment, SPARSE)
    training = paired_random_crop(GREYS, masks, 32, 6, seed=0, workers=workers)
    validation = paired_random_crop(GREYS[:5], masks[:5], 32, 2, seed=0, shuffle=False)
    with training, validation:
        history = model.fit(training, epochs=EPOCHS, validation_data=validation, verbose=0).history
    assert counts(model) == [EPOCHS] * VIDEOS
    assert counts(model, "tested")[:5] == [EPOCHS] * 5
    assert np.isfinite(history["loss"] + history["val_loss"]).all()


@pytest.mark.parametrize(("batch_size", "steps"), [(6, 9), (6, 3), (VIDEOS, 3)])
def test_paired_crops_go_on_without_end_where_steps_are_given(batch_size, steps):
    model = make_model((4, 32, 32, 3), segment, SPARSE)
    with paired_random_crop(GREYS, GREYS[..., 0] // 12 % 3, 32, batch_size, seed=0) as training:
        model.fit(training, steps_per_epoch=steps, epochs=2, verbose=0)
        epochs, rest = divmod(2 * steps, len(training))
        assert sum(counts(model)) == epochs * VIDEOS + rest * batch_size
        assert {epochs, epochs + (rest > 0)} == set(counts(model))
        before = counts(model)
        model.fit(training, verbose=0)  # without steps, one epoch
        assert [after - count for after, count in zip(counts(model), before, strict=True)] == [1] * VIDEOS


def test_windows_of_an_array_are_trained_on_once_an_epoch():
    """Frames that tell their number: windows begin at each even frame."""
    frames = np.repeat(12 * np.arange(VIDEOS, dtype=np.uint8), 32 * 32 * 3).reshape(VIDEOS, 32, 32, 3)
    model = make_model((4, 32, 32, 3), classify, SPARSE)
    with timeseries_dataset_from_array(
        frames, np.arange(VIDEOS) % 2, 4, sequence_stride=2, batch_size=4, shuffle=True, seed=0
    ) as dataset:
        model.fit(dataset, epochs=EPOCHS, verbose=0)
    assert counts(model) == [EPOCHS * (start % 2 == 0 and start <= VIDEOS - 4) for start in range(VIDEOS)]


@pytest.mark.parametrize("workers", [0, 1])
def test_clips_of_a_folder_train_and_validate(tmp_path, workers):
    make_greys(tmp_path)
    options = {"time_steps": 4, "image_size": (32, 32), "batch_size": 3, "verbose": False, "workers": workers}
    split = {"validation_split": 0.25, "subset": "both", "seed": 1}
    training, validation = image_dataset_from_directory(tmp_path, **options, **split)
    model = make_model((4, 32, 32, 3), classify, SPARSE, dtype="float32")
    with training, validation:
        model.fit(training, epochs=EPOCHS, validation_data=validation, verbose=0)
        held = [int(paths[0].split("video_")[1][:2]) for paths in validation.file_paths]
    assert len(held) == 5
    assert counts(model) == [EPOCHS * (video not in held) for video in range(VIDEOS)]
    assert counts(model, "tested") == [EPOCHS * (video in held) for video in range(VIDEOS)]


class Peeks(keras.callbacks.Callback):
    """Looks at the data itself while it trains, as callbacks that show predictions do."""

    def __init__(self, dataset):
        super().__init__()
        self.dataset, self.sizes = dataset, []

    def on_train_batch_end(self, batch, logs=None):
        del batch, logs
        next(iter(self.dataset))

    def on_epoch_end(self, epoch, logs=None):
        del epoch, logs
        self.sizes.append(sum(len(x) for x, _ in self.dataset))


@pytest.mark.parametrize("workers", [0, 1])
def test_loops_of_a_callback_leave_the_training_alone(tmp_path, workers):
    make_greys(tmp_path)
    model = make_model((4, 32, 32, 3), classify, SPARSE, dtype="float32")
    options = {"time_steps": 4, "image_size": (32, 32), "batch_size": 3, "verbose": False, "seed": 0}
    with image_dataset_from_directory(tmp_path, workers=workers, **options) as dataset:
        peeks = Peeks(dataset)
        model.fit(dataset, epochs=EPOCHS, callbacks=[peeks], verbose=0)
    assert counts(model) == [EPOCHS] * VIDEOS
    assert peeks.sizes == [VIDEOS] * EPOCHS


def test_cached_and_prefetched_as_in_every_tutorial(tmp_path):
    tf = pytest.importorskip("tensorflow")
    make_greys(tmp_path)
    model = make_model((4, 32, 32, 3), classify, SPARSE, dtype="float32")
    options = {"time_steps": 4, "image_size": (32, 32), "batch_size": 3, "verbose": False, "seed": 0}
    with image_dataset_from_directory(tmp_path, workers=1, **options) as dataset:
        tuned = dataset.cache().shuffle(1000).prefetch(buffer_size=tf.data.AUTOTUNE)
        assert len(tuned) == len(dataset)
        model.fit(tuned, shuffle=False, epochs=EPOCHS, validation_data=dataset.take(2), verbose=0)
    assert counts(model) == [EPOCHS] * VIDEOS
    assert sum(counts(model, "tested")) == EPOCHS * 6


def test_images_and_masks_train_and_predictions_line_up(tmp_path):
    ids = [f"{number:02d}" for number in range(10)]
    for number, name in enumerate(ids):
        Image.fromarray(np.full((16, 16), 20 * number, np.uint8)).save(tmp_path / f"{name}.png")
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(np.full((16, 16), number % 3, np.uint8)).save(tmp_path / "masks" / f"{name}.png")
    options = {"dim": (16, 16), "batch_size": 4, "workers": 0}
    x = keras.Input((16, 16, 1))
    model = keras.Model(x, keras.layers.Conv2D(3, 1)(x))
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile=False)
    with DataGenerator(ids, tmp_path, tmp_path / "masks", n_classes=3, seed=0, **options) as training:
        assert np.isfinite(model.fit(training, epochs=EPOCHS, verbose=0).history["loss"]).all()
        number = keras.ops.round(x[..., 0] * (255 / 20))
        told = keras.Model(x, keras.ops.one_hot(keras.ops.cast(number % 3, "int32"), 3))
        told.compile(loss="mse", metrics=["categorical_accuracy"], jit_compile=False)
        assert told.evaluate(training, verbose=0) == [0, 1]
    mean = keras.Model(x, keras.layers.GlobalAveragePooling2D()(x))
    with DataGenerator(ids[::-1], tmp_path, to_fit=False, **options) as generator:
        for _ in range(2):
            served = mean.predict(generator, verbose=0)[:, 0]
            np.testing.assert_allclose(served, 20 * np.arange(10)[::-1] / 255, atol=1e-5)
