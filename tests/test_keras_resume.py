"""ClipCheckpoint: a training that ends anywhere goes on with exactly the clips it was not trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import run_python

import fastclips as fc

keras = pytest.importorskip("keras")

from keras_model import (  # noqa: E402 - needs keras
    VIDEOS,
    Do,
    counts,
    grey_loader,
    make_greys,
    make_model,
    planned,
    videos,
)

from fastclips.adapters.keras import ClipCheckpoint, ClipSequence  # noqa: E402 - as above

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras's
]


@pytest.fixture(scope="module")
def greys(tmp_path_factory):
    return make_greys(tmp_path_factory.mktemp("greys"))


@pytest.fixture
def loader(greys):
    return grey_loader(greys)


def place(path):
    state = json.loads(path.read_text()) if path.exists() else None
    return state and (state["epoch"], state["batch"])


def test_the_checkpoint_counts_trained_batches(loader, tmp_path):
    path, sequence, saved = tmp_path / "clips.json", ClipSequence(loader), []
    callbacks = [ClipCheckpoint(path, sequence, save_freq=3), Do(lambda: saved.append(place(path)))]
    make_model().fit(sequence, epochs=2, callbacks=callbacks, verbose=0)
    assert saved == [None] * 2 + [(0, 3)] * 3 + [(0, 6)] * 3 + [(1, 2)] * 3 + [(1, 5)] * 3
    assert list(tmp_path.iterdir()) == [path]


def test_the_checkpoint_of_an_epoch(loader, tmp_path):
    path, sequence = tmp_path / "of" / "a" / "run" / "clips.json", ClipSequence(loader, epoch=2)
    make_model().fit(sequence, callbacks=[ClipCheckpoint(path, sequence)], verbose=0)
    assert loader.state_dict(3) == json.loads(path.read_text())
    resumed = ClipSequence.resume(loader, path)
    assert (resumed.epoch, resumed.start, len(resumed)) == (3, 0, 7)
    assert len(ClipSequence.resume(loader, path, map=lambda x, y: (x, y, y))[0]) == 3


@pytest.mark.parametrize("save_freq", [0, -1, 2.5, "batch", True])
def test_a_wrong_save_freq_is_refused(loader, tmp_path, save_freq):
    with pytest.raises(fc.OptionError, match="save_freq"):
        ClipCheckpoint(tmp_path / "clips.json", ClipSequence(loader), save_freq=save_freq)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras has no steps_per_execution on torch")
def test_several_steps_in_one_execution(loader, tmp_path):
    path, sequence = tmp_path / "clips.json", ClipSequence(loader)
    callbacks = [ClipCheckpoint(path, sequence, save_freq=8)]
    make_model(steps_per_execution=4).fit(sequence, callbacks=callbacks, verbose=0)
    assert place(path) == (1, 0)  # 8 steps of 7


def test_a_pass_over_the_plan_in_several_epochs(loader, tmp_path):
    path, sequence = tmp_path / "clips.json", ClipSequence(loader)
    callbacks = [ClipCheckpoint(path, sequence, save_freq=4)]
    make_model().fit(sequence, steps_per_epoch=2, epochs=2, callbacks=callbacks, verbose=0)
    assert place(path) == (0, 4)


def test_a_loader_that_repeats_resumes_without_a_fit_of_its_own(greys, tmp_path):
    path, sequence = tmp_path / "clips.json", ClipSequence(grey_loader(greys, repeat=True))
    options = {"steps_per_epoch": 5, "verbose": 0}
    make_model().fit(sequence, epochs=3, callbacks=[ClipCheckpoint(path, sequence, save_freq=12)], **options)
    assert place(path) == (1, 5)  # 12 batches of epochs of 7
    model, resumed = make_model(), ClipSequence.resume(grey_loader(greys, repeat=True), path)
    model.fit(resumed, epochs=2, callbacks=[ClipCheckpoint(path, resumed)], **options)
    rest, whole, first = (planned(sequence.loader, epoch) for epoch in (1, 2, 3))
    trained = rest[15:] + whole + first[:3]
    assert counts(model) == [trained.count(video) for video in range(VIDEOS)]
    assert place(path) == (3, 1)


def test_what_is_left_of_an_epoch_and_then_the_rest(loader, tmp_path):
    path = tmp_path / "clips.json"
    path.write_text(json.dumps(loader.state_dict(1, 4)))
    sequence = ClipSequence.resume(loader, path)
    assert (sequence.epoch, sequence.start, len(sequence)) == (1, 4, 3)
    assert videos(sequence[0]) == planned(loader, 1)[12:15]
    assert len(list(sequence)) == 3
    model, left = make_model(), planned(loader, 1)[12:]
    callbacks = [ClipCheckpoint(path, sequence, save_freq=2)]
    model.fit(sequence, initial_epoch=1, epochs=2, callbacks=callbacks, verbose=0)
    assert counts(model) == [int(video in left) for video in range(VIDEOS)]
    assert place(path) == (1, 6)
    model.fit(sequence, initial_epoch=2, epochs=4, callbacks=callbacks, verbose=0)
    assert counts(model) == [2 + (video in left) for video in range(VIDEOS)]
    assert place(path) == (3, 6)  # of 3 + 7 + 7 batches, the last but one


@pytest.mark.parametrize("repeat", [False, True])
def test_the_checkpoint_goes_on_in_other_batches(greys, loader, tmp_path, repeat):
    path = tmp_path / "clips.json"
    path.write_text(json.dumps(loader.state_dict(1, 4)))  # 12 of 20 clips
    sequence = ClipSequence.resume(grey_loader(greys, batch_size=5, repeat=repeat), path)
    assert (sequence.epoch, sequence.start, sequence.is_rest, len(sequence)) == (1, 0, True, 2)
    model, left = make_model(), planned(loader, 1)[12:]
    checkpoint = ClipCheckpoint(path, sequence, save_freq=1)
    places, note = [], Do(lambda: places.append((place(path), json.loads(path.read_text())["position"])))
    options = {"callbacks": [checkpoint, note], "verbose": 0, "steps_per_epoch": 2 if repeat else None}
    model.fit(sequence, initial_epoch=1, epochs=2, **options)
    assert counts(model) == [int(video in left) for video in range(VIDEOS)]
    assert places == [((1, 1), 17), ((2, 0), 0)]
    assert (sequence.is_rest, len(sequence)) == (False, 4)
    model.fit(sequence, initial_epoch=2, epochs=3, **options | {"steps_per_epoch": 4 if repeat else None})
    assert counts(model) == [1 + (video in left) for video in range(VIDEOS)]


def test_a_resumed_epoch_in_one_fit_with_the_next_is_refused(loader, tmp_path):
    path = tmp_path / "clips.json"
    path.write_text(json.dumps(loader.state_dict(0, 5)))
    with pytest.raises(Exception, match="call fit for the resumed epoch alone"):
        make_model().fit(ClipSequence.resume(loader, path), epochs=2, verbose=0)


def test_a_checkpoint_of_another_plan_is_refused(greys, loader, tmp_path):
    path = tmp_path / "clips.json"
    path.write_text(json.dumps(grey_loader(greys, seed=1).state_dict()))
    with pytest.raises(fc.OptionError, match="another plan"):
        ClipSequence.resume(loader, path)


KILLED = """
import os, signal, sys
from pathlib import Path
import keras
from keras_model import Do, counts, grey_loader, make_model
from fastclips.adapters.keras import ClipCheckpoint, ClipSequence

run, die_at, batches = Path(sys.argv[2]), int(sys.argv[3]), []

def die():
    batches.append(1)
    if len(batches) == die_at:
        os.kill(os.getpid(), signal.SIGKILL)

loader = grey_loader(sys.argv[1], workers=1)
if (run / "clips.json").exists():
    model = keras.models.load_model(run / "model.keras")
    sequence = ClipSequence.resume(loader, run / "clips.json")
else:
    model, sequence = make_model(), ClipSequence(loader)
callbacks = [
    keras.callbacks.ModelCheckpoint(run / "model.keras", save_freq=2),
    ClipCheckpoint(run / "clips.json", sequence, save_freq=2),
    Do(die),
]
options = {"callbacks": callbacks, "verbose": 0}
if sequence.is_rest:
    model.fit(sequence, initial_epoch=sequence.epoch, epochs=sequence.epoch + 1, **options)
    print(counts(model))
model.fit(sequence, initial_epoch=sequence.epoch, epochs=2, **options)
print(counts(model))
"""


def test_a_killed_training_goes_on_with_the_clips_it_has_not_seen(greys, tmp_path):
    here, path = Path(__file__).parent, tmp_path / "clips.json"
    with pytest.raises(AssertionError):
        run_python(KILLED, greys, tmp_path, 5, cwd=here)
    assert place(path) == (0, 4)  # and so is the model: of its fifth batch, nothing is left
    with pytest.raises(AssertionError):
        run_python(KILLED, greys, tmp_path, 7, cwd=here)  # the last three of this epoch, four of the next
    assert place(path) == (1, 3)
    assert run_python(KILLED, greys, tmp_path, 0, cwd=here).splitlines() == [str([2] * VIDEOS)] * 2
