"""Compat's iterators through Keras 2, where tf_keras is installed: fit, fit_generator, evaluate, predict."""

from __future__ import annotations

import numpy as np
import pytest

tf_keras = pytest.importorskip("tf_keras")

from fastclips.compat import ImageDataGenerator  # noqa: E402 - needs tf_keras

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*fit_generator:UserWarning"),
]


class Sum(tf_keras.layers.Layer):
    """Counts frames by their value, which is their number."""

    def build(self, _):
        self.seen = self.add_weight(name="seen", shape=(10,), initializer="zeros", trainable=False)

    def call(self, x):
        number = tf_keras.backend.cast(tf_keras.backend.reshape(x, (-1,)), "int32")
        self.seen.assign_add(tf_keras.backend.sum(tf_keras.backend.one_hot(number, 10), axis=0))
        return tf_keras.backend.reshape(x, (-1, 1))


def make_model():
    model = tf_keras.Sequential([Sum(), tf_keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def flow(**options):
    x = np.arange(10, dtype=np.float32).reshape(10, 1, 1, 1)
    return ImageDataGenerator().flow(x, x.reshape(10, 1), 3, **{"seed": 0, "workers": 0, **options})


def test_it_is_a_sequence():
    assert isinstance(flow(), tf_keras.utils.Sequence)


@pytest.mark.parametrize("way", ["fit", "fit_generator"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("workers", [0, 1])
def test_each_sample_once_an_epoch(way, shuffle, workers):
    with flow(workers=workers) as it:
        model = make_model()
        model.build((None, 1, 1, 1))
        getattr(model, way)(it, epochs=3, verbose=0, shuffle=shuffle)
        assert model.layers[0].seen.numpy().tolist() == [3] * 10
        assert it.epoch == 3


def test_validation_and_threads_of_keras():
    it, other = flow(), flow()
    model = make_model()
    model.build((None, 1, 1, 1))
    model.fit(it, epochs=2, verbose=0, workers=2, validation_data=other)
    assert model.layers[0].seen.numpy().tolist() == [4] * 10


@pytest.mark.parametrize("way", ["fit", "fit_generator", "evaluate", "predict"])
@pytest.mark.parametrize("threads", [1, 2])
def test_processes_of_keras_are_refused_before_they_start(way, threads):
    with flow() as it, pytest.raises(ValueError, match=r"^use_multiprocessing=True: leave it out"):
        getattr(make_model(), way)(it, verbose=0, workers=threads, use_multiprocessing=True)


def test_predictions_line_up():
    model = make_model()
    x = np.arange(10, dtype=np.float32).reshape(10, 1, 1, 1)
    expected = model.predict(x, verbose=0)
    it = ImageDataGenerator().flow(x, batch_size=3, shuffle=False, workers=0)
    for _ in range(2):
        np.testing.assert_allclose(model.predict(it, verbose=0), expected, rtol=1e-5)
