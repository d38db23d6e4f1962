"""TimeDistributedImageDataGenerator's clips through fit, evaluate and predict, on any backend."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras_model import VIDEOS, counts, make_greys, make_model  # noqa: E402 - needs keras

from fastclips.compat import TimeDistributedImageDataGenerator as M  # noqa: E402 - as above

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras's
]


@pytest.fixture(scope="module")
def greys(tmp_path_factory):
    """Videos of 4 frames of one grey."""
    return make_greys(tmp_path_factory.mktemp("greys"))


def flow(root, labels=None, time_steps=4, rescale=None, validation_split=0.0, legacy=False, **options):
    generator = M.TimeDistributedImageDataGenerator(
        time_steps=time_steps,
        labels=labels,
        rescale=rescale,
        validation_split=validation_split,
        legacy=legacy,
    )
    options = {"target_size": (32, 32), "batch_size": 3, "workers": 0, **options}
    return generator.flow_from_directory(root, **options)


def test_each_epoch_trains_and_validates_on_every_clip_once(greys):
    model = make_model()
    train, test = flow(greys, class_mode="sparse"), flow(greys, class_mode="sparse", workers=1)
    with train, test:
        model.fit(train, validation_data=test, epochs=3, verbose=0)
    assert counts(model, "trained") == counts(model, "tested") == [3] * VIDEOS


@pytest.mark.parametrize(("labels", "legacy"), [("frame", False), ("clip", False), (None, True)])
def test_the_model_of_the_tutorials_trains(greys, labels, legacy):
    """Per frame and per clip; and what was written for the original goes on."""
    keras.utils.set_random_seed(0)
    each = labels != "clip"
    model = keras.Sequential(
        [
            keras.layers.Input((2, 32, 32, 3)),
            keras.layers.TimeDistributed(keras.layers.Conv2D(4, 3, strides=4, activation="tanh")),
            keras.layers.ConvLSTM2D(4, 3, return_sequences=each),
            keras.layers.TimeDistributed(keras.layers.Flatten()) if each else keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.03), "categorical_crossentropy", metrics=["accuracy"])
    options = {"labels": labels, "time_steps": 2, "rescale": 1 / 128, "legacy": legacy, "seed": 0}
    train = flow(greys, validation_split=0.2, subset="training", batch_size=8, **options)
    test = flow(greys, validation_split=0.2, subset="validation", shuffle=False, **options)
    assert train[0][1].shape == ((8, 2, 2) if each else (8, 2))
    history = model.fit(train, validation_data=test, epochs=10, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert np.isfinite(model.evaluate(test, verbose=0)[0])


def test_predictions_line_up_with_file_names(greys):
    mean = keras.Sequential([keras.layers.Input((4, 32, 32, 3)), keras.layers.GlobalAveragePooling3D()])
    batches = flow(greys, class_mode=None, shuffle=False)
    found = mean.predict(batches, verbose=0).mean(axis=1)
    assert [round(float(value) / 12) for value in found] == [
        int(name.split("video_")[1][:2]) for name in batches.filenames
    ]
