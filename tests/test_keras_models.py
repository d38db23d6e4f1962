"""The usual models of video learn from what ClipSequence gives them, on whatever backend Keras has.

The videos are made so that each task can be learned, and only by who gets the right pixels with the right
label: textures tell classes of frames, the order of frames tells classes of clips, and shapes tell masks.
Every figure is of videos that were held out.
"""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras import layers  # noqa: E402 - after the check for Keras

import fastclips as fc  # noqa: E402 - as above
from fastclips.adapters.keras import ClipSequence  # noqa: E402 - as above

# Keras's evaluate on torch hands tensors to NumPy, which finds their protocol old.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array:DeprecationWarning"),
]

VIDEOS, FRAMES, SIDE = 48, 6, 36
STEPS, CROP = 4, 32
SHAPE = (STEPS, CROP, CROP, 3)


def noise(random):
    return random.normal(0, 12, (VIDEOS, FRAMES, SIDE, SIDE, 3))


def opened(images, **options):
    return fc.open(images=images, **options).split(validation=0.25)


def as_bytes(values):
    return np.clip(values, 0, 255).astype(np.uint8)


def stripes():
    """Stripes that lie or stand, of any phase and colour; they turn once in half of the videos."""
    random = np.random.default_rng(0)
    turn = random.integers(1, 2 * FRAMES, VIDEOS)[:, None]
    label = (np.arange(FRAMES) >= turn) ^ (random.random((VIDEOS, 1)) < 0.5)
    wave = np.sin(np.arange(SIDE) * 1.3 + random.uniform(0, 6, (VIDEOS, FRAMES, 1)))
    standing = label[:, :, None, None]
    pattern = np.where(standing, wave[:, :, None, :], wave[:, :, :, None])[..., None]
    images = 128 + 60 * pattern * random.uniform(0.6, 1, (VIDEOS, 1, 1, 1, 3)) + noise(random)
    return as_bytes(images), label.astype(np.int64)


def ramps():
    """Videos that get lighter or darker, and begin anywhere: no frame alone tells which."""
    random = np.random.default_rng(1)
    label = np.arange(VIDEOS) % 2
    time = np.arange(FRAMES) - (FRAMES - 1) / 2
    change = (18 * np.where(label, 1, -1)[:, None] * time)[..., None, None, None]
    return as_bytes(random.uniform(90, 166, (VIDEOS, 1, 1, 1, 3)) + change + noise(random)), label


def blobs():
    """A light disc that drifts over the dark, and a mask of it whose border says nothing."""
    random = np.random.default_rng(2)
    y, x = np.mgrid[:SIDE, :SIDE]
    start, way = random.uniform(10, 26, (2, VIDEOS, 1)), random.uniform(-1.5, 1.5, (2, VIDEOS, 1))
    center = (start + way * np.arange(FRAMES))[..., None, None]
    distance = np.hypot(y - center[0], x - center[1])
    masks = np.where(np.abs(distance - 8) < 1, 255, distance < 8).astype(np.uint8)
    return as_bytes(90 + 70 * (distance < 8)[..., None] + noise(random)), masks


def learn(model, data, training, validation, *, epochs=4, ignore=None, **options):
    """Fit a model and judge it; return the loss of each epoch, and the accuracy on what was held out."""
    model.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=ignore),
        jit_compile=keras.backend.backend() == "jax",
    )
    options = {"batch_size": 12, "drop_last": True, "workers": 0, **options}
    clips = fc.Windows(STEPS, step=2)
    loader = fc.ClipLoader(data[0], clips, training, shuffle=True, **options)
    losses = model.fit(ClipSequence(loader), epochs=epochs, verbose=0).history["loss"]
    held_out = fc.ClipLoader(data[1], clips, validation, **options)
    predicted = model.predict(ClipSequence(held_out), verbose=0).argmax(axis=-1)
    targets = np.concatenate([y for _, y in held_out.epoch(0)])
    assert predicted.shape == targets.shape
    counts = targets != ignore
    share = np.bincount(targets[counts]).max() / counts.sum()  # of who always names the commonest
    return losses, (predicted == targets)[counts].mean(), share


def convolution():
    return layers.Conv2D(8, 5, strides=3, activation="relu")


def test_conv_lstm_with_a_label_for_each_frame():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input(SHAPE, dtype="uint8"),
            layers.Rescaling(1 / 64, offset=-2),
            layers.TimeDistributed(convolution()),
            layers.ConvLSTM2D(6, 3, strides=2, return_sequences=True),
            layers.TimeDistributed(layers.GlobalAveragePooling2D()),
            layers.Dense(2),
        ]
    )
    images, labels = stripes()
    crops = [fc.RandomCrop(CROP)], [fc.CenterCrop(CROP)]
    losses, accuracy, share = learn(model, opened(images, labels=labels), *crops)
    assert losses[-1] < 0.6 * losses[0]
    assert accuracy > 0.85 > share + 0.2


def test_conv_lstm_with_a_label_for_each_clip():
    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [
            keras.Input(SHAPE, dtype="uint8"),
            layers.Rescaling(1 / 64, offset=-2),
            layers.TimeDistributed(convolution()),
            layers.ConvLSTM2D(8, 3, strides=2),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    images, labels = ramps()
    crops = [fc.RandomCrop(CROP), fc.RandomFlip()], [fc.CenterCrop(CROP)]
    losses, accuracy, share = learn(model, opened(images, labels=labels), *crops, epochs=6)
    assert losses[-1] < 0.6 * losses[0]
    assert accuracy > 0.85 > share + 0.2


def test_conv_3d_and_lstm():
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv3D(8, 3, strides=(1, 2, 2), padding="same", activation="relu"),
            layers.TimeDistributed(layers.GlobalAveragePooling2D()),
            layers.LSTM(8),
            layers.Dense(2),
        ]
    )
    images, labels = ramps()
    steps = [fc.Brightness(0.05), fc.Normalize(0.5, 0.25)]
    crops = [fc.RandomCrop(CROP), *steps], [fc.CenterCrop(CROP), *steps[1:]]
    losses, accuracy, share = learn(model, opened(images, labels=labels), *crops)
    assert losses[-1] < 0.6 * losses[0]
    assert accuracy > 0.85 > share + 0.2


def test_segmentation_with_pixels_that_are_ignored():
    keras.utils.set_random_seed(4)
    model = keras.Sequential(
        [
            keras.Input(SHAPE, dtype="uint8"),
            layers.Rescaling(1 / 64, offset=-2),
            layers.TimeDistributed(layers.Conv2D(8, 5, padding="same", activation="relu")),
            layers.Conv3D(2, 1),
        ]
    )
    images, masks = blobs()
    data = opened({"image": images, "mask": masks})
    turned = [fc.RandomRotation(20, fill="constant"), fc.RandomCrop(CROP), fc.RandomFlip()]
    losses, accuracy, share = learn(model, data, turned, [fc.CenterCrop(CROP)], targets="mask", ignore=255)
    assert losses[-1] < 0.6 * losses[0]
    assert accuracy > 0.95 > share + 0.05


def test_time_distributed_convolution_equals_that_of_each_frame():
    images, labels = stripes()
    data = fc.open(images=images, labels=labels)
    with fc.ClipLoader(
        data, fc.Windows(STEPS), [fc.RandomCrop(CROP), fc.Rescale()], batch_size=3, workers=0
    ) as loader:
        x, _ = next(iter(loader))
    convolution = layers.Conv2D(5, 3, strides=2)
    of_clips = keras.ops.convert_to_numpy(layers.TimeDistributed(convolution)(x))
    assert of_clips.shape == (3, STEPS, 15, 15, 5)
    for step in range(STEPS):
        of_frames = keras.ops.convert_to_numpy(convolution(x[:, step]))
        np.testing.assert_allclose(of_clips[:, step], of_frames, rtol=1e-4, atol=1e-5)
        assert of_frames.std() > 0.01
