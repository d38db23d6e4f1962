"""ClipSequence through fit, evaluate and predict, on whichever backend KERAS_BACKEND names."""

from __future__ import annotations

import random
import sys
from importlib import import_module
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from helpers import run_python

keras = pytest.importorskip("keras")

from keras_model import (  # noqa: E402 - needs keras
    LOSS,
    VIDEOS,
    Count,
    Do,
    counts,
    grey_loader,
    make_grey_masks,
    make_greys,
    make_model,
    planned,
    videos,
)

from fastclips.adapters.keras import ClipSequence  # noqa: E402 - as above
from fastclips.errors import OptionError  # noqa: E402 - as above

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras's
]
BACKEND = keras.backend.backend()


@pytest.fixture(scope="module")
def greys(tmp_path_factory):
    return make_greys(tmp_path_factory.mktemp("greys"))


@pytest.fixture(scope="module")
def masks(greys, tmp_path_factory):
    return make_grey_masks(tmp_path_factory.mktemp("masks"), greys)


@pytest.fixture
def loader(greys):
    return grey_loader(greys)


def fit(model, sequence, **options):
    return model.fit(sequence, **{"verbose": 0, **options})


class Watched(ClipSequence):
    """Notes what Keras asks for, and what it gets."""

    log = ()

    def __getitem__(self, index):
        batch = super().__getitem__(index)
        self.log = (*self.log, (index, videos(batch)))
        return batch

    def served(self, batches):
        return list(chain.from_iterable(served for _, served in self.log[batches]))


# --- each clip once


@pytest.mark.parametrize("shuffle", [True, False])
def test_each_epoch_trains_and_validates_on_every_clip_once(greys, shuffle):
    model = make_model()
    sequence, other = ClipSequence(grey_loader(greys)), ClipSequence(grey_loader(greys, batch_size=8))
    history = fit(model, sequence, validation_data=other, epochs=3, shuffle=shuffle)
    assert counts(model, "trained") == counts(model, "tested") == [3] * VIDEOS
    assert (sequence.epoch, other.epoch) == (3, 3)
    assert len(history.history["val_loss"]) == 3


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("workers", [0, 1, 2, 8])
def test_each_clip_once_whatever_workers_are_asked_for(loader, workers, shuffle):
    if workers > 1:
        with pytest.warns(UserWarning, match=f"ignores workers={workers}: .*ClipLoader") as caught:
            sequence = ClipSequence(loader, workers=workers, max_queue_size=3)
        assert caught[0].filename == __file__
    else:
        sequence = ClipSequence(loader, workers=workers, max_queue_size=3)
    model = make_model()
    fit(model, sequence, shuffle=shuffle)
    assert counts(model) == [1] * VIDEOS


@pytest.mark.parametrize(("name", "value"), [("workers", 4), ("use_multiprocessing", True)])
def test_setting_keras_workers_later_is_ignored_as_well(loader, name, value):
    sequence = ClipSequence(loader)
    with pytest.warns(UserWarning, match=f"ignores {name}={value}"):
        setattr(sequence, name, value)
    assert getattr(sequence, name) == 1 - (name == "use_multiprocessing")
    with pytest.warns(UserWarning, match=f"ignores {name}={value}"):
        ClipSequence(loader, **{name: value})


def test_fit_serves_the_plan_in_its_order_whatever_is_asked_for(loader):
    sequence = Watched(loader)
    random.seed(1)
    fit(make_model(), sequence)
    asked = [index for index, _ in sequence.log[-7:]]
    assert sorted(asked) == list(range(7)) != asked
    assert sequence.served(slice(-7, None)) == planned(loader, 0)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="what Keras does on TensorFlow alone")
def test_the_peeked_batches_are_not_taken_from_the_plan(loader):
    sequence = Watched(loader)
    fit(make_model(), sequence)
    assert [index for index, _ in sequence.log[:2]] == [0, 1]
    assert sequence.served(slice(2)) == planned(loader, 0)[:6]
    assert sequence.served(slice(2, None)) == planned(loader, 0)


def test_indexing_gives_any_batch_even_within_an_epoch(loader):
    model, sequence, seen = make_model(), ClipSequence(loader), []
    fit(model, sequence, epochs=2, callbacks=[Do(lambda: seen.extend([sequence[5], sequence[-1]]), 1, 2)])
    assert list(map(videos, seen)) == [planned(loader, 1)[15:18], planned(loader, 1)[18:]]
    assert counts(model) == [2] * VIDEOS
    assert videos(sequence[0]) == planned(loader, 2)[:3]
    with pytest.raises(IndexError):
        sequence[7]


def test_iterating_serves_the_coming_epoch(loader):
    sequence = ClipSequence(loader, epoch=4)
    for _ in range(2):
        assert list(chain.from_iterable(map(videos, sequence))) == planned(loader, 4)


@pytest.mark.parametrize("steps", [4, 7, 17])
def test_a_loader_that_repeats_has_no_end(greys, steps):
    model, sequence = make_model(), Watched(grey_loader(greys, repeat=True))
    assert (len(sequence), len(list(ClipSequence(sequence.loader))), sequence.num_batches) == (7, 7, None)
    fit(model, sequence, steps_per_epoch=steps, epochs=3)
    plan = list(chain.from_iterable(planned(sequence.loader, epoch) for epoch in range(10)))
    batches = [
        plan[20 * epoch + first :][: min(3, 20 - first)] for epoch in range(9) for first in range(0, 20, 3)
    ]
    trained = list(chain.from_iterable(batches[: 3 * steps]))
    assert counts(model) == np.bincount(trained, minlength=VIDEOS).tolist()
    begins = max(place for place, (index, _) in enumerate(sequence.log) if index == 0)
    served = sequence.served(slice(begins, None))
    assert served[: len(trained)] == trained
    assert sequence.epoch == 3
    fit(model, sequence, steps_per_epoch=7)
    assert counts(model) == (np.bincount(trained, minlength=VIDEOS) + 1).tolist()


def test_validation_data_that_repeats(greys):
    model, other = make_model(), ClipSequence(grey_loader(greys, repeat=True))
    sequence = ClipSequence(grey_loader(greys))
    fit(model, sequence, validation_data=other, validation_steps=7, epochs=2)
    assert counts(model, "tested") == [2] * VIDEOS
    assert model.predict(other, steps=9, verbose=0).shape[0] == 26


def test_an_endless_sequence_of_epochs_of_one_batch(greys):
    model, loader = make_model(), grey_loader(greys, batch_size=VIDEOS, repeat=True)
    fit(model, ClipSequence(loader), steps_per_epoch=3)
    assert counts(model) == [3] * VIDEOS


def test_fit_without_steps_on_what_has_no_end_is_refused(greys):
    model, sequence = make_model(), ClipSequence(grey_loader(greys, repeat=True))
    for call in model.fit, model.evaluate, model.predict:
        with pytest.raises(OptionError, match=r"steps_per_epoch=None: must be a number .* steps="):
            call(sequence, verbose=0)


def test_fit_begins_with_the_epoch_that_was_chosen(loader):
    sequence = Watched(loader, epoch=5)
    fit(make_model(), sequence)
    assert sequence.served(slice(-7, None)) == planned(loader, 5)
    assert sequence.epoch == 6


@pytest.mark.parametrize("batch_size", [20, 15, 7])
def test_epochs_of_one_two_and_three_batches(greys, batch_size):
    model = make_model()
    sequence, other = (ClipSequence(grey_loader(greys, batch_size=batch_size)) for _ in range(2))
    fit(model, sequence, validation_data=other, epochs=2)
    assert counts(model) == counts(model, "tested") == [2] * VIDEOS


def test_steps_per_epoch_that_does_not_divide_the_epoch(loader):
    class Note(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002 - Keras's
            trained.append(sum(counts(model)))

    model, sequence, trained = make_model(), ClipSequence(loader), []
    with pytest.warns(UserWarning, match="ran out of data"):  # Keras, where a pass over the data ends
        fit(model, sequence, steps_per_epoch=3, epochs=6, callbacks=[Note()])
    assert trained == [9, 18, 20, 29, 38, 40]
    assert counts(model) == [2] * VIDEOS


@pytest.mark.skipif(BACKEND == "torch", reason="Keras has no steps_per_execution on torch")
def test_steps_per_execution(loader):
    model, sequence = make_model(steps_per_execution=2), ClipSequence(loader)
    fit(model, sequence, epochs=2)
    assert counts(model) == [2] * VIDEOS


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("batch", [0, 6])
def test_an_interrupted_epoch_is_served_again(loader, error, batch):
    def stop():
        raise error

    sequence = ClipSequence(loader)
    with pytest.raises(error) as caught:
        fit(make_model(), sequence, epochs=3, callbacks=[Do(stop, 1, batch)])
    assert sequence.epoch == 1
    model = make_model()
    fit(model, sequence, initial_epoch=1, epochs=3)  # `caught` keeps the first one's frames alive
    assert counts(model) == [2] * VIDEOS
    assert sequence.epoch == 3
    assert caught


def test_training_stopped_within_an_epoch_serves_it_again(loader):
    model, sequence = make_model(), ClipSequence(loader)
    fit(model, sequence, callbacks=[Do(lambda: setattr(model, "stop_training", True), 0, 3)])
    assert sum(counts(model)) == 12
    assert sequence.epoch == 0


def test_one_sequence_cannot_be_trained_and_validated_on_at_once(loader):
    sequence = ClipSequence(loader)
    with pytest.raises(Exception, match="pass validation a ClipSequence"):
        fit(make_model(), sequence, validation_data=sequence, steps_per_epoch=3, epochs=9)


class Twice(Watched):
    """Asks for each batch several times, as an override may."""

    def __getitem__(self, index):
        batch, again = super().__getitem__(index), self.once_more(index)
        assert videos(again) == videos(batch)
        return batch

    def once_more(self, index):
        return super().__getitem__(index)


@pytest.mark.parametrize("shuffle", [True, False])
def test_an_override_that_asks_twice_gets_the_same_batch(greys, shuffle):
    model, sequence, other = make_model(), Twice(grey_loader(greys)), Twice(grey_loader(greys, batch_size=8))
    fit(model, sequence, validation_data=other, epochs=2, shuffle=shuffle)
    assert counts(model) == counts(model, "tested") == [2] * VIDEOS
    assert sequence.served(slice(-14, None, 2)) == planned(sequence.loader, 1)
    assert model.predict(sequence, verbose=0).shape == (VIDEOS, 2)


def test_an_override_that_asks_for_another_index_takes_nothing_from_the_plan(loader):
    class WithFirst(ClipSequence):
        def __getitem__(self, index):
            batch = super().__getitem__(index)
            firsts.append((videos(super().__getitem__(0)), videos(super().__getitem__(-1))))
            return batch

    model, sequence, firsts = make_model(), WithFirst(loader), []
    fit(model, sequence, shuffle=False)
    assert counts(model) == [1] * VIDEOS
    first, last = planned(loader, 0)[:3], planned(loader, 0)[18:]
    assert firsts[-6:] == [(first, last)] * 6


def test_an_override_gets_batches_in_the_plans_order_whatever_it_asks_for(loader):
    class Same(ClipSequence):
        def __getitem__(self, index):
            del index
            return super().__getitem__(0)

    model = make_model()
    fit(model, Same(loader), epochs=2)
    assert counts(model) == [2] * VIDEOS


def test_a_length_beyond_the_epoch_is_an_error(loader):
    class Long(ClipSequence):
        def __len__(self):
            return super().__len__() + 1

    with pytest.raises(Exception, match=r"len\(\)=8 of Long: must be at most the number"):
        fit(make_model(), Long(loader))


# --- evaluate, predict


def test_evaluate_sees_each_clip_once(loader):
    model = make_model()
    model.evaluate(ClipSequence(loader), verbose=0)
    assert counts(model, "tested") == [1] * VIDEOS


def test_predict_lines_up_with_the_plan(greys):
    loader = grey_loader(greys, targets=None)
    sequence = ClipSequence(loader, epoch=3)
    model = keras.Sequential([keras.Input((4, 32, 32, 3), dtype="uint8"), Count()])
    for epoch in 3, 4:
        assert model.predict(sequence, verbose=0)[:, 0].astype(int).tolist() == planned(loader, epoch)


def test_predict_and_evaluate_take_batches_from_the_pipeline(loader, monkeypatch):
    model, sequence, by_index, asked = make_model(), ClipSequence(loader), loader.batch, []
    monkeypatch.setattr(loader, "batch", lambda *place: asked.append(place) or by_index(*place))
    model.evaluate(sequence, verbose=0)
    model.predict(sequence, verbose=0)
    assert asked == ([(0, 0), (0, 1), (1, 0), (1, 1)] if BACKEND == "tensorflow" else [])


# --- structures


class Weights(keras.metrics.Sum):
    """The sum of weights."""

    def update_state(self, y, z, sample_weight=None):  # noqa: ARG002 - Keras's
        return super().update_state(sample_weight)


def test_weights_of_padding_are_zero(greys):
    totals = []
    for rank in range(3):
        model = make_model(weighted_metrics=[Weights(name="weights")])
        history = fit(model, ClipSequence(grey_loader(greys, rank=rank, world=3)))
        totals.append(history.history["weights"][0])
        assert sum(counts(model)) == 7
    assert sum(totals) == VIDEOS


@pytest.mark.parametrize("world", [1, 3])
def test_dicts_of_inputs_and_targets(greys, masks, world):
    options = {"inputs": ["image", "mask"], "targets": ["label", "mask"], "world": world, "rank": world - 1}
    loader = grey_loader({"image": greys, "mask": masks}, **options)
    image, mask = keras.Input((4, 32, 32, 3), name="image"), keras.Input((4, 32, 32), name="mask")
    label = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling3D()(image))
    outputs = {"label": label, "mask": keras.layers.Dense(VIDEOS)(image)}
    model = keras.Model({"image": image, "mask": mask}, outputs)
    model.compile("sgd", {"label": LOSS, "mask": LOSS}, jit_compile=False)
    sequence = ClipSequence(loader)
    assert len(fit(model, sequence, epochs=2).history["loss"]) == 2
    x, y = sequence[0][:2]
    plan = planned(loader, 2)[:3]
    assert x["mask"][:, 0, 0, 0].tolist() == y["mask"][:, 0, 0, 0].tolist() == plan
    assert y["label"].tolist() == [video // 10 for video in plan]


def test_a_clip_of_weight_zero_adds_nothing_to_the_loss_of_a_mask(greys, masks):
    options = {"targets": "mask", "world": 3, "rank": 2, "shuffle": False}
    loader = grey_loader({"image": greys, "mask": masks}, **options)
    x, y, weight = ClipSequence(loader)[-1]
    assert weight.tolist() == [[[[0.0]]]]
    model = keras.Sequential([keras.Input((4, 32, 32, 3)), keras.layers.Dense(VIDEOS)])
    model.compile("sgd", LOSS, jit_compile=False)
    assert model.test_on_batch(x, y, weight) == 0
    assert model.test_on_batch(x, y) > 0
    assert len(fit(model, ClipSequence(loader)).history["loss"]) == 1


def test_inputs_alone_are_a_tuple_of_one(greys):
    (batch,) = ClipSequence(grey_loader(greys, targets=None, inputs=["image"]))[0]
    assert batch["image"].shape == (3, 4, 32, 32, 3)


# --- failure


@pytest.mark.filterwarnings("ignore:.*frames looked at cannot be read")
def test_a_damaged_frames_path_is_in_the_error(tmp_path):
    damaged = sorted(make_greys(tmp_path).rglob("*.jpg"))[50]
    damaged.write_bytes(damaged.read_bytes()[:60])
    with pytest.raises(Exception, match=str(damaged)):
        fit(make_model(), ClipSequence(grey_loader(tmp_path)))


def test_without_keras_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.delitem(sys.modules, "fastclips.adapters.keras")
    with pytest.raises(ImportError, match=r'pip install "fastclips\[tensorflow\]".*fastclips\[keras\].*JAX'):
        import_module("fastclips.adapters.keras")


INTERRUPTED = """
import sys, time
from keras_model import Do, counts, grey_loader, make_model
from fastclips.adapters.keras import ClipSequence

class Slow(ClipSequence):
    def __getitem__(self, index):  # so that the thread of an interrupted fit is in here when the next begins
        batch = super().__getitem__(index)
        time.sleep(0.05)
        return batch

def stop():
    raise KeyboardInterrupt

sequence, kept = Slow(grey_loader(sys.argv[1], batch_size=1, workers=1)), []
for _ in range(3):
    try:
        make_model().fit(sequence, verbose=0, callbacks=[Do(stop, 0, 1)])
    except KeyboardInterrupt as error:
        kept.append(error)  # and with it the fit's frames, and TensorFlow's iterator
model = make_model()
model.fit(sequence, verbose=0)
print(counts(model), sequence.epoch)
"""


def test_fit_after_interrupted_ones_that_still_read(greys):
    done = run_python(INTERRUPTED, greys, timeout=90, cwd=Path(__file__).parent)
    assert done.strip() == f"{[1] * VIDEOS} 1"
