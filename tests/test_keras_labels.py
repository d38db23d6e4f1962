"""Inputs and targets by name through Keras: their structure, and their losses and weights.

A model without weights of its own predicts 0, so the losses are known.
"""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from labelled import NOUNS, STATES, VERBS, VIDEOS, images  # noqa: E402 - after the check for Keras

import fastclips as fc  # noqa: E402 - as above
from fastclips.adapters.keras import ClipSequence  # noqa: E402 - as above

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning"),  # Keras on torch
]

TIME_STEPS, BATCH = 4, 4


def loader(**options):
    data = fc.open(images=images(), labels=NOUNS)
    data = data.with_labels("verb", VERBS, kind="label").with_labels("state", STATES, kind="frame_target")
    return fc.ClipLoader(
        data,
        fc.Windows(TIME_STEPS, step=8, tail="drop"),
        batch_size=BATCH,
        workers=0,
        inputs=("image", "state", "frame_index"),
        targets=("verb", "state"),
        **options,
    )


def model():
    """0 for every class and every number; all inputs have a part."""
    image = keras.Input((TIME_STEPS, 8, 8, 3), name="image", dtype="uint8")
    state = keras.Input((TIME_STEPS, 2), name="state")
    frames = keras.Input((TIME_STEPS,), name="frame_index", dtype="int32")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(0.0)(image))
    numbers = keras.layers.Flatten()(keras.layers.Rescaling(0.0)(frames))
    both = keras.layers.Concatenate()([flat, numbers])
    outputs = {
        "verb": keras.layers.Dense(3, use_bias=False)(both),
        "state": keras.layers.Rescaling(0.0)(state),
    }
    made = keras.Model({"image": image, "state": state, "frame_index": frames}, outputs)
    losses = {
        "verb": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "state": keras.losses.MeanSquaredError(),
    }
    made.compile(keras.optimizers.SGD(0.0), losses, jit_compile=False)
    return made


def expected(weight):
    """The mean over batches of the weighted sum over a batch, divided by its number of values."""
    rows = np.arange(VIDEOS)
    verbs = np.where(np.array(VERBS) == "open", 3.0, 1.0) if weight else np.ones(VIDEOS)
    squares = (STATES[:, :TIME_STEPS] ** 2).mean(-1) * (rows[:, None] if weight else 1)
    found = 0.0
    for first in range(0, VIDEOS, BATCH):
        batch = slice(first, first + BATCH)
        found += len(rows[batch]) * (np.log(3) * verbs[batch].mean() + squares[batch].mean())
    return found / VIDEOS


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_of_two_targets(weighted):
    sample_weight = {"verb": {"open": 3.0}, "state": range(VIDEOS)} if weighted else None
    with loader(sample_weight=sample_weight) as batches:
        made = model()
        loss = made.evaluate(ClipSequence(batches), verbose=0, return_dict=True)["loss"]
        fitted = made.fit(ClipSequence(batches), verbose=0).history["loss"][0]
        predicted = made.predict(ClipSequence(batches), verbose=0)
    np.testing.assert_allclose([loss, fitted], expected(weighted), rtol=1e-4)
    assert {name: array.shape for name, array in predicted.items()} == {
        "verb": (VIDEOS, 3),
        "state": (VIDEOS, TIME_STEPS, 2),
    }


def test_one_of_two_targets_with_weights():
    with loader(sample_weight={"verb": {"open": 0.0}}) as batches:
        loss = model().evaluate(ClipSequence(batches), verbose=0, return_dict=True)["loss"]
    assert np.isfinite(loss)
    assert loss < expected(weight=False)


def test_a_dataset_of_tensorflow():
    tf = pytest.importorskip("tensorflow")
    with loader(sample_weight={"verb": {"open": 3.0}}) as batches:
        dataset = batches.to_tf_dataset()
        x, y, weight = dataset.element_spec
        assert x == {
            "image": tf.TensorSpec((None, TIME_STEPS, 8, 8, 3), tf.uint8),
            "state": tf.TensorSpec((None, TIME_STEPS, 2), tf.float32),
            "frame_index": tf.TensorSpec((None, TIME_STEPS), tf.int64),
        }
        assert y == {
            "verb": tf.TensorSpec((None,), tf.int64),
            "state": tf.TensorSpec((None, TIME_STEPS, 2), tf.float32),
        }
        assert {name: spec.shape.rank for name, spec in weight.items()} == {"verb": 1, "state": 2}
        for served, (_, y, _) in zip(list(batches.epoch(0)), dataset, strict=True):
            np.testing.assert_array_equal(served[1]["state"], y["state"])
