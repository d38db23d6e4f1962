"""Labels of frames, masks and their weights through fit and evaluate, on whatever backend Keras has.

A model without weights of its own predicts the same for every pixel, so the loss is known.
"""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import fastclips as fc  # noqa: E402 - after the check for Keras
from fastclips.adapters.keras import ClipSequence  # noqa: E402

# Keras's predict on torch hands tensors to NumPy, which finds their protocol old.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array:DeprecationWarning"),
]

VIDEOS, FRAMES, CLASSES = 6, 6, 3
EVEN = np.log(CLASSES)  # the loss of a model that says nothing


def dataset(labels=None):
    random = np.random.default_rng(0)
    masks = random.integers(0, CLASSES, (VIDEOS, FRAMES, 8, 8), np.uint8)
    masks[:, :, :, 0] = 255
    images = random.integers(0, 256, (VIDEOS, FRAMES, 8, 8, 3), np.uint8)
    return fc.open(images={"image": images, "mask": masks}, labels=labels)


def per_pixel():
    return keras.Sequential([keras.layers.Rescaling(0.0), keras.layers.Conv3D(CLASSES, 1)])


def per_frame():
    flat = keras.layers.TimeDistributed(keras.layers.Flatten())
    return keras.Sequential([keras.layers.Rescaling(0.0), flat, keras.layers.Dense(CLASSES)])


def losses(model, loader, ignore=None):
    """The loss of a fit that learns nothing, then that of an evaluation."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=ignore)
    model.compile(keras.optimizers.SGD(0.0), loss)
    with loader:
        fitted = model.fit(ClipSequence(loader), epochs=1, verbose=0).history["loss"][0]
        return fitted, model.evaluate(ClipSequence(loader), verbose=0)


def mean_weight(loader, ignore=None):
    """The mean weight of each batch's values; Keras counts those that weigh 0, but not the ignored ones."""
    return [weight.sum() / np.count_nonzero(y != ignore) for _, y, weight in loader.epoch(0)]


def test_masks_with_ignored_pixels():
    loader = fc.ClipLoader(dataset(), fc.Windows(4, tail="pad"), targets="mask", batch_size=4, workers=0)
    np.testing.assert_allclose(losses(per_pixel(), loader, ignore=255), [EVEN] * 2, rtol=1e-4)


@pytest.mark.parametrize("sample_weight", [{1: 3.0}, "valid"])
def test_weights_of_masks(sample_weight):
    options = {"targets": "mask", "batch_size": 4, "workers": 0, "sample_weight": sample_weight}
    loader = fc.ClipLoader(dataset(), fc.Windows(4, tail="pad"), **options)
    expected = EVEN * np.mean(mean_weight(loader, ignore=255))
    np.testing.assert_allclose(losses(per_pixel(), loader, ignore=255), [expected] * 2, rtol=1e-4)


@pytest.mark.parametrize("sample_weight", [{1: 3.0}, "valid", [0.5, 1, 2, 0, 1, 1]])
def test_weights_of_labels_of_frames(sample_weight):
    labels = np.random.default_rng(1).integers(0, CLASSES, (VIDEOS, FRAMES))
    options = {"batch_size": 4, "workers": 0, "sample_weight": sample_weight}
    loader = fc.ClipLoader(dataset(labels), fc.Windows(4, tail="pad"), **options)
    expected = EVEN * np.mean(mean_weight(loader))
    np.testing.assert_allclose(losses(per_frame(), loader), [expected] * 2, rtol=1e-4)


def test_views_are_averaged_from_predictions():
    labels = np.arange(VIDEOS)
    clips = fc.Views(3, temporal=2)
    with fc.ClipLoader(dataset(labels), clips, [fc.ThreeCrop(4)], batch_size=5, workers=0) as loader:
        model = keras.Sequential([keras.layers.Rescaling(1 / 255), keras.layers.GlobalAveragePooling3D()])
        predictions = model.predict(ClipSequence(loader), verbose=0)
        averaged = fc.average_views(predictions, loader)
        x = np.concatenate([x for x, _ in loader]) / 255
    expected = x.mean(axis=(1, 2, 3)).reshape(VIDEOS, 6, 3).mean(axis=1)
    assert averaged.shape == (VIDEOS, 3)
    np.testing.assert_allclose(averaged, expected, rtol=1e-4)


def test_a_dataset_is_no_loader():
    with pytest.raises(fc.OptionError, match=r"loader=<Dataset: .*>: must be a fastclips.ClipLoader"):
        ClipSequence(dataset())
