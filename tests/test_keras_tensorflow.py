"""ClipSequence on Keras's TensorFlow backend: where tensors lie, and which ways to train take them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import run_python

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter  # noqa: E402 - needs keras
from keras_model import LOSS, VIDEOS, Count, counts, grey_loader, make_greys, make_model  # noqa: E402 - as above

from fastclips.adapters.keras import ClipSequence  # noqa: E402 - as above
from fastclips.errors import FrameError  # noqa: E402 - as above

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras's
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="KERAS_BACKEND is another"),
]


@pytest.fixture(scope="module")
def greys(tmp_path_factory):
    return make_greys(tmp_path_factory.mktemp("greys"))


@pytest.fixture
def loader(greys):
    return grey_loader(greys)


def test_fits_own_path_copies_no_pixels(greys):
    with grey_loader(greys, workers=1) as loader:
        arena = loader._engine._arena
        slots = [arena.slot(number) for number in range(arena.slots)]
        arrays = [
            np.asarray(memoryview(x))
            for x, _ in PyDatasetAdapter(ClipSequence(loader), shuffle=True).get_tf_dataset()
        ]
        assert len(arrays) == 7
        for array in arrays:
            assert array.ctypes.data % 64 == 0
            assert sum(np.shares_memory(array, slot) for slot in slots) == 1


class Traced(keras.Model):
    """Counts how often its step is traced, and on how many rows."""

    traced = ()

    def train_step(self, data):
        self.traced = (*self.traced, data[0].shape[0])
        return super().train_step(data)


def traced_model(kind=Traced, **options):
    x = keras.Input((4, 32, 32, 3), dtype="uint8")
    model = kind(x, keras.layers.Dense(2)(Count()(x)))
    model.compile("sgd", LOSS, **{"jit_compile": False, **options})
    return model


def test_a_smaller_last_batch_is_not_traced_again(loader):
    model = traced_model()
    model.fit(ClipSequence(loader), epochs=2, verbose=0)
    assert model.traced == (None,)
    assert counts(model) == [2] * VIDEOS


class OwnFunction(Traced):
    """Takes from the iterator in a graph of its own."""

    def make_train_function(self, force=False):  # noqa: ARG002 - Keras's
        self.train_function = tf.function(lambda iterator: self.train_step(next(iterator)))


@pytest.mark.parametrize(
    ("kind", "options"),
    [(OwnFunction, {}), (Traced, {"run_eagerly": True}), (Traced, {"steps_per_execution": 3})],
)
def test_other_ways_to_train_get_each_clip_once(loader, kind, options):
    model, sequence = traced_model(kind, **options), ClipSequence(loader)
    model.fit(sequence, epochs=2, verbose=0)
    assert counts(model) == [2] * VIDEOS
    assert sequence.epoch == 2


@pytest.mark.filterwarnings("ignore:.*frames looked at cannot be read")
def test_fit_raises_the_loaders_own_error(tmp_path):
    damaged = sorted(make_greys(tmp_path).rglob("*.jpg"))[50]
    damaged.write_bytes(damaged.read_bytes()[:60])
    with pytest.raises(FrameError, match=str(damaged)):
        make_model().fit(ClipSequence(grey_loader(tmp_path, shuffle=False)), verbose=0)


MIRRORED = """
import sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_model import counts, grey_loader, make_model
from fastclips.adapters.keras import ClipSequence

for batch_size in 6, 10:
    sequences = [ClipSequence(grey_loader(sys.argv[1], batch_size=batch_size)) for _ in range(2)]
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = make_model()
    model.fit(sequences[0], validation_data=sequences[1], epochs=2, verbose=0)
    print(*(counts(model, kind, replicas=2) for kind in ("trained", "tested")), *(s.epoch for s in sequences))
"""


def test_mirrored_strategy(greys):
    done = run_python(MIRRORED, greys, cwd=Path(__file__).parent)
    assert done.splitlines() == [f"{[2] * VIDEOS} {[2] * VIDEOS} 2 2"] * 2
