"""compat.keras_video through fit, evaluate and predict, on whichever backend KERAS_BACKEND names."""

from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("av", reason="video extra")

from videos import epoch  # noqa: E402 - needs av

from fastclips.compat import keras_video as kv  # noqa: E402 - as above
from fastclips.compat.image import ImageDataGenerator  # noqa: E402 - as above

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras's
]
FRAMEWORKS = ("tensorflow", "jaxlib", "torch")


def make_model(steps=4, classes=2):
    model = keras.Sequential(
        [
            keras.Input((steps, 24, 32, 3)),
            keras.layers.TimeDistributed(keras.layers.Conv2D(2, 5, strides=4, activation="relu")),
            keras.layers.TimeDistributed(keras.layers.GlobalAveragePooling2D()),
            keras.layers.GRU(4),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    return model


class Steps(keras.callbacks.Callback):
    """Counts the batches of each epoch."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_begin(self, *_, **__):
        self.epochs.append(0)

    def on_train_batch_end(self, *_, **__):
        self.epochs[-1] += 1


@pytest.mark.parametrize("kind", ["VideoFrameGenerator", "SlidingFrameGenerator", "OpticalFlowGenerator"])
def test_fit_with_validation(make_movies, kind):
    train = make_movies(
        getattr(kv, kind), nb_frames=4, target_shape=(24, 32), batch_size=2, split_val=0.4, workers=1
    )
    validation = train.get_validation_generator()
    steps = Steps()
    history = (
        make_model().fit(train, validation_data=validation, epochs=2, callbacks=[steps], verbose=0).history
    )
    assert len(history["val_loss"]) == 2
    assert np.isfinite(history["loss"]).all()
    assert steps.epochs == [len(train)] * 2
    assert train.epoch == 2
    validation.close()


def test_predictions_line_up_with_files(make_movies):
    generator = make_movies(nb_frames=4, target_shape=(24, 32), shuffle=False)
    model = make_model()
    clips = np.concatenate([x for x, _ in epoch(generator)])
    expected = model.predict(clips, verbose=0)
    np.testing.assert_allclose(model.predict(generator, verbose=0), expected, atol=1e-5)
    labels = np.eye(2)[[int("/b/" in path) for path in generator.files]]
    accuracy = (expected.argmax(1) == labels.argmax(1)).mean()
    assert model.evaluate(generator, verbose=0)[1] == pytest.approx(accuracy)


def test_kerass_own_augmentation_needs_no_keras_in_workers(make_movies):
    """Keras's generator and ours do the same, and are drawn alike."""
    legacy = pytest.importorskip("keras.src.legacy.preprocessing.image")
    options = {
        "rotation_range": 10,
        "width_shift_range": 0.1,
        "zoom_range": 0.2,
        "horizontal_flip": True,
        "brightness_range": (0.5, 1.5),
        "fill_mode": "constant",
        "cval": 7.0,
    }
    theirs, ours = (
        make_movies(transformation=kind(**options), workers=workers)
        for kind, workers in ((legacy.ImageDataGenerator, 1), (ImageDataGenerator, 0))
    )
    for (x, _), (other, _) in zip(epoch(theirs), epoch(ours), strict=True):
        np.testing.assert_array_equal(x, other)
    for pid in theirs._batches.pids:
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert "cv2" in maps
        assert not [name for name in FRAMEWORKS if f"/site-packages/{name}/" in maps]
