"""``ClipSequence(map=...)``: a user's function of each batch."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras_model import VIDEOS, grey_loader, make_greys, planned  # noqa: E402 - needs keras

from fastclips.adapters.keras import ClipSequence  # noqa: E402 - as above
from fastclips.errors import OptionError  # noqa: E402 - as above

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras's
]


@pytest.fixture(scope="module")
def greys(tmp_path_factory):
    return make_greys(tmp_path_factory.mktemp("greys"))


def test_a_function_of_each_batch(greys):
    """One-hot labels and two pathways, in fit, by index and in a loop; the plan's order stays."""

    def split(x, y):
        return {"all": x, "slow": x[:, ::2]}, np.eye(2, dtype=np.float32)[y]

    every, slow = keras.Input((4, 32, 32, 3), name="all"), keras.Input((2, 32, 32, 3), name="slow")
    both = [keras.layers.GlobalAveragePooling3D()(part) for part in (every, slow)]
    model = keras.Model({"all": every, "slow": slow}, keras.layers.Dense(2)(keras.layers.Concatenate()(both)))
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile=False)
    sequence, other = (ClipSequence(grey_loader(greys), map=split) for _ in range(2))
    model.fit(sequence, validation_data=other, epochs=2, verbose=0)
    assert model.predict(sequence, verbose=0).shape == (VIDEOS, 2)
    for batch, index in zip(sequence, range(7), strict=True):
        (x, y), plan = batch, planned(sequence.loader, 3)[3 * index :][:3]
        for part in x["all"], x["slow"], sequence[index][0]["slow"]:
            assert (part[:, 0, 0, 0, 0] // 12).tolist() == plan
        assert y.argmax(axis=1).tolist() == [video // 10 for video in plan]


def test_a_function_is_given_the_parts_that_the_loader_serves(greys):
    def shapes(*arrays):
        given.append([array.shape for array in arrays])
        return arrays

    given = []
    for options in {"targets": None}, {}, {"rank": 2, "world": 3}:
        assert len(ClipSequence(grey_loader(greys, **options), map=shapes)[0]) == len(given[-1])
    assert given == [[(3, 4, 32, 32, 3), (3,), (3,)][:parts] for parts in (1, 2, 3)]


def test_next_frames_as_targets(greys):
    sequence = ClipSequence(grey_loader(greys, targets=None), map=lambda x: (x[:, :-1], x[:, 1:]))
    model = keras.Sequential([keras.Input((3, 32, 32, 3)), keras.layers.Dense(3)])
    model.compile("sgd", "mse", jit_compile=False)
    assert len(model.fit(sequence, epochs=2, verbose=0).history["loss"]) == 2


@pytest.mark.parametrize(
    ("returned", "given"), [(None, "None"), ((), "a tuple of 0"), ((1,) * 4, "a tuple of 4")]
)
def test_a_function_that_returns_no_batch(greys, returned, given):
    loader = grey_loader(greys)
    with pytest.raises(
        OptionError, match=rf"map= returned {given}: must return x, \(x, y\) or \(x, y, weight\)"
    ):
        ClipSequence(loader, map=lambda *_: returned)[0]
    with pytest.raises(OptionError, match="map='categorical': must be a function of x, of x and y, or"):
        ClipSequence(loader, map="categorical")
