"""States: what is refused, what warns and what has no effect when a loader resumes."""

import inspect
import json
import warnings
from functools import partial

import numpy as np
import pytest
from helpers import make_frames, picture, write_jpeg
from hypothesis import given
from hypothesis import strategies as st
from reference_epochs import DATA
from reference_recipes import folder

import fastclips as fc
from fastclips.data.names import Names
from fastclips.serving.state import Identity

REFUSED, WARNED, NO_EFFECT = "refused", "warned", "no effect"
CROP = fc.RandomCrop(32)


class Grey(fc.Storage):
    """Pixels, or None, which says nothing of sizes."""

    def __init__(self, size=(48, 64)):
        self.size = size

    def read(self, stream, video, frame):  # noqa: ARG002 - as Storage
        return np.full((*self.size, 3), 10 * video + frame, np.uint8)


def greys(size=(48, 64), videos=6):
    return fc.Dataset.of(Grey(size), frame_counts=[12] * videos, labels=[0, 1] * (videos // 2))


def make(dataset=None, clips=None, transforms=(CROP,), **options):
    settings = {"batch_size": 4, "workers": 0, "shuffle": True} | options
    return fc.ClipLoader(dataset or greys(), clips or fc.Windows(4), transforms, **settings)


def state_of(**options):
    with make(**options) as loader:
        return json.loads(json.dumps(loader.state_dict(1, 2)))


def resume(state, **options):
    """What happens when a state is loaded: (outcome, message)."""
    with make(**options) as loader, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            loader.load_state_dict(state)
        except fc.OptionError as error:
            return REFUSED, str(error)
        place = loader.state_dict()
        assert (place["epoch"], place["position"]) == (state["epoch"], state["position"])
        assert len(caught) <= 1
        return (WARNED, str(caught[0].message)) if caught else (NO_EFFECT, "")


TWO = greys().with_labels("hand", [0, 1, 2] * 2, kind="label")

# For each option of ClipLoader: options of the saved loader, changed options, outcome, part of the message.
CASES = {
    "dataset": [
        ({}, {"dataset": greys(videos=4)}, REFUSED, "data.videos was 6 and is 4"),
        ({}, {"dataset": greys((50, 64))}, WARNED, "data.sizes['image'] of 8 of 8 frames looked at differ"),
    ],
    "clips": [
        ({}, {"clips": fc.Windows(4, step=2)}, REFUSED, "clips.sampler was Windows(time_steps=4, step=4")
    ],
    "transforms": [
        (
            {},
            {"transforms": [fc.RandomCrop(24)]},
            WARNED,
            "had RandomCrop(size=(32, 32), per='clip') and has",
        ),
        ({}, {"transforms": [CROP, fc.RandomFlip()]}, WARNED, "transforms.steps has RandomFlip(p=0.5"),
        (
            {},
            {"transforms": []},
            WARNED,
            "transforms.steps had RandomCrop(size=(32, 32), per='clip'), now gone",
        ),
        ({}, {"transforms": [CROP, fc.Reverse()]}, REFUSED, "clips.choices has Reverse(p=0.5), which is new"),
        ({}, {"transforms": [fc.ThreeCrop(32)]}, REFUSED, "order.views was 1 and is 3"),
    ],
    "batch_size": [({}, {"batch_size": 3}, NO_EFFECT, "")],
    "shuffle": [({}, {"shuffle": False}, REFUSED, "order.shuffle was True and is False")],
    "interleave": [
        ({}, {"interleave": 2}, REFUSED, "order.interleave was not given, and is given now"),
        ({"interleave": 2}, {}, REFUSED, "order.interleave was given, and is not given now"),
        ({"interleave": 2}, {"interleave": 3}, REFUSED, "order.interleave was 2 and is 3"),
    ],
    "draws_per_clip": [
        ({}, {"draws_per_clip": 2}, REFUSED, "order.draws_per_clip was not given, and is given now"),
        ({"draws_per_clip": 4}, {"draws_per_clip": 2}, REFUSED, "order.draws_per_clip was 4 and is 2"),
    ],
    "drop_last": [({}, {"drop_last": True}, REFUSED, "order.drop_last was False and is True")],
    "repeat": [({}, {"repeat": True}, NO_EFFECT, "")],
    "seed": [({}, {"seed": 2**64 - 1}, REFUSED, "order.seed was 0 and is 18446744073709551615")],
    "rank": [({"rank": 0, "world": 2}, {"rank": 1, "world": 2}, NO_EFFECT, "")],
    "world": [({}, {"rank": 0, "world": 2}, NO_EFFECT, "")],
    "workers": [({}, {"workers": 1}, NO_EFFECT, "")],
    "memory": [({}, {"memory": "2GiB"}, NO_EFFECT, "")],
    "cache": [({}, {"cache": 0}, NO_EFFECT, "")],
    "inputs": [
        ({}, {"inputs": ("image", "valid")}, WARNED, "outputs.inputs was image and is ['image', 'valid']"),
    ],
    "targets": [
        ({}, {"targets": None}, WARNED, "outputs.targets was label and is None"),
        (
            {"dataset": TWO},
            {"dataset": TWO, "targets": "hand"},
            WARNED,
            "outputs.targets was label and is hand",
        ),
    ],
    "sample_weight": [
        ({}, {"sample_weight": [1.0] * 6}, WARNED, "outputs.sample_weight was not given, and is given now"),
        (
            {"sample_weight": {0: 2.0}},
            {"sample_weight": {0: 3.0}},
            WARNED,
            "outputs.sample_weight: sample_weight= differ",
        ),
    ],
    "weights": [
        ({}, {"weights": "balanced"}, REFUSED, "order.weights was not given, and is given now"),
        (
            {"weights": [1, 1, 1, 1, 1, 2]},
            {"weights": [1, 1, 1, 1, 1, 3]},
            REFUSED,
            "order.weights: weights= differ",
        ),
    ],
    "channels_first": [({}, {"channels_first": True}, WARNED, "channels_first was False and is True")],
    "fast_dct": [
        (
            {"fast_dct": True},
            {},
            WARNED,
            "transforms.fast_dct was True and is False (fast_dct=True gives the saved pixels)",
        ),
        ({}, {"fast_dct": True}, WARNED, "(fast_dct=False gives the saved pixels)"),
    ],
    "dct_scaling": [({}, {"dct_scaling": False}, WARNED, "(dct_scaling=True gives the saved pixels)")],
    "damaged": [({}, {"damaged": "repeat"}, WARNED, "outputs.damaged was error and is repeat")],
    "damaged_limit": [({"damaged": "repeat"}, {"damaged": "repeat", "damaged_limit": 0.5}, NO_EFFECT, "")],
    "timeout": [({}, {"timeout": 100.0}, NO_EFFECT, "")],
    "max_pixels": [({}, {"max_pixels": 10_000}, NO_EFFECT, "")],
    "max_deaths": [({}, {"max_deaths": 5}, NO_EFFECT, "")],
}


def test_every_option_has_a_case():
    assert set(inspect.signature(fc.ClipLoader).parameters) == set(CASES)


@pytest.mark.parametrize(
    ("saved", "changed", "outcome", "text"),
    [pytest.param(*case, id=f"{name}-{number}") for name in CASES for number, case in enumerate(CASES[name])],
)
def test_a_changed_option(saved, changed, outcome, text):
    state = state_of(**saved)
    assert resume(state, **saved) == (NO_EFFECT, "")
    found, message = resume(state, **changed)
    assert found == outcome
    assert text in message


def test_differences_are_told_together():
    state = state_of()
    _, message = resume(state, transforms=[fc.CenterCrop(32)], fast_dct=True, targets=None)
    assert message.startswith(
        "The batches may differ from those before the state was saved: transforms.steps"
    )
    assert "fast_dct" in message
    assert "outputs.targets" in message
    _, message = resume(state, seed=3, shuffle=False, fast_dct=True)
    assert "order.seed was 0 and is 3; order.shuffle was True and is False" in message


# Data


@pytest.fixture
def copy(tmp_path):
    return make_frames(tmp_path / "frames")


def renamed(root):
    (root / "class_0/video_2/frame_00003.jpg").rename(root / "class_0/video_2/frame_00099.jpg")


def resized(root):
    for path in root.rglob("*.jpg"):
        write_jpeg(path, picture(0, 64, 80))


def rewritten(root):
    for path in root.rglob("*.jpg"):
        write_jpeg(path, picture(0), quality=50)


def moved(root):
    (root / "class_0/video_2").rename(root / "class_0/video_7")


def shortened(root):
    (root / "class_1/video_1/frame_00012.jpg").unlink()


def relabelled(root):
    (root / "class_1").rename(root / "class_z")


@pytest.mark.parametrize(
    ("change", "outcome", "text"),
    [
        (renamed, WARNED, "data.files: the names of the frames' files differ"),
        (
            resized,
            WARNED,
            "data.sizes['image'] of 8 of 8 frames looked at differ, one was 48x64 and is 64x80",
        ),
        (rewritten, WARNED, "data.bytes['image'] of 8 of 8 frames looked at differ"),
        (moved, REFUSED, "data.names: the names of the videos, or their order differ"),
        (shortened, REFUSED, "data.frames was 72 and is 71"),
        (relabelled, REFUSED, "data.names"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*frame numbers are missing")
def test_changed_files(copy, change, outcome, text):
    state = state_of(dataset=fc.open(copy))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gaps in the numbers
        change(copy)
        dataset = fc.open(copy)
    found, message = resume(state, dataset=dataset)
    assert found == outcome
    assert text in message


def test_other_labels_of_the_same_videos():
    labels = greys().with_labels("hand", [0, 1, 2] * 2, kind="label")
    other = greys().with_labels("hand", [0, 1, 2, 0, 2, 1], kind="label")
    state = state_of(dataset=labels, targets="hand")
    outcome, message = resume(state, dataset=other, targets="hand")
    assert outcome == WARNED
    assert "outputs.labels['hand']: what it holds differ" in message
    assert resume(state_of(dataset=labels), dataset=other) == (NO_EFFECT, "")  # it is not served


def test_numbers_of_frames_and_other_masks(pairs):
    values = np.zeros((6, 12, 7), np.float32)
    state = state_of(dataset=greys().with_labels("state", values, kind="frame_target"), targets="state")
    other = greys().with_labels("state", values + 1, kind="frame_target")
    assert resume(state, dataset=other, targets="state")[0] == WARNED
    images, masks = pairs
    state = state_of(dataset=fc.open({"image": images, "mask": masks}), targets="mask")
    swapped = fc.open({"image": images, "mask": masks}, values={1: 2})
    outcome, message = resume(state, dataset=swapped, targets="mask")
    assert outcome == WARNED
    assert "outputs.streams['mask'] was masks, ignore=255 and is masks, ignore=255, values #" in message


@pytest.fixture
def pairs(frames, masks):
    return frames, masks


def test_a_folder_and_its_pack_have_one_state(frames, masks, tmp_path):
    dataset = fc.open({"image": frames, "mask": masks})
    fc.pack(dataset, tmp_path / "packed", workers=0)
    options = {"targets": "mask", "transforms": [CROP]}
    packed = fc.open(tmp_path / "packed")
    assert resume(state_of(dataset=dataset, **options), dataset=packed, **options) == (NO_EFFECT, "")
    assert resume(state_of(dataset=packed, **options), dataset=dataset, **options) == (NO_EFFECT, "")


def test_videos_that_are_not_used_do_not_count(frames, tmp_path):
    names = [f"class_{video % 2}/video_{video}" for video in (0, 3, 4)]
    state = state_of(dataset=fc.open(frames).select(names))
    more = fc.open(make_frames(tmp_path / "more", videos=8)).select(names)
    assert resume(state, dataset=more) == (NO_EFFECT, "")
    assert resume(state, dataset=fc.open(frames).select(names[::-1]))[0] == REFUSED


def test_sizes_that_are_unknown_are_not_compared():
    state = state_of()
    assert state["parts"]["data"]["bytes"] == {"image": [None] * 8}
    state["parts"]["data"]["sizes"] = {"image": [None] * 8}
    state["parts"]["data"]["files"] = None
    assert resume(state, dataset=greys((50, 64))) == (NO_EFFECT, "")


# Places


def test_positions_count_the_clips_of_all_ranks():
    states = [state_of(rank=rank, world=2, batch_size=3) for rank in (0, 1)]
    assert states[0] == states[1]
    assert [states[0][key] for key in ("version", "epoch", "batch", "position")] == [2, 1, 2, 12]
    assert (states[0]["batch_size"], states[0]["world"]) == (3, 2)


def test_a_state_is_small_and_ones_own():
    transforms = [fc.Apply(partial(np.add, number), per="frame") for number in range(40)]
    labels = {f"label {number} {'of a long name' * 9}": [0, 1] * 3 for number in range(20)}
    dataset = greys()
    for name, values in labels.items():
        dataset = dataset.with_labels(name, values, kind="label")
    with make(dataset, transforms=[CROP, *transforms], targets=tuple(labels)) as loader:
        state = loader.state_dict()
        assert len(json.dumps(state)) < 4096
        assert json.loads(json.dumps(state)) == state
        state["parts"]["order"]["seed"] = 5
        assert loader.state_dict()["parts"]["order"]["seed"] == 0
        with pytest.raises(fc.OptionError, match=r"order.seed was 5 and is 0"):
            loader.load_state_dict(state)
    transforms[30] = fc.Apply(partial(np.add, 99), per="frame")
    changed = {"dataset": dataset, "transforms": [CROP, *transforms], "targets": tuple(labels)}
    outcome, message = resume(loader.state_dict(), **changed)
    assert outcome == WARNED
    assert "transforms.steps had 35 more #" in message


def test_a_place_that_does_not_exist():
    with make() as loader:
        for epoch, batch, text in (
            (-1, 0, "epoch=-1"),
            (0, 6, "batch=6"),
            (None, 3, "batch=3: needs epoch="),
        ):
            with pytest.raises(fc.OptionError, match=text):
                loader.state_dict(epoch, batch)
        with pytest.raises(fc.OptionError, match="batch=9"):
            loader.load_state_dict({**loader.state_dict(), "batch": 9})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"version": 3}, "version=3 of the state: must be 2; update fastclips"),
        ({"epoch": "2"}, "epoch='2'"),
        ({"parts": 1}, "parts= must be a dict of dicts"),
        ({"world": None}, "world=None"),
    ],
)
def test_what_is_no_state(change, text):
    with pytest.raises(fc.OptionError, match=text), make() as loader:
        loader.load_state_dict({**loader.state_dict(), **change})


@pytest.mark.parametrize("state", [None, 3, {}, {"epoch": 1, "batch": 2}, {"version": 2}, {"plan": "0"}])
def test_what_is_no_state_at_all(state):
    with make() as loader, pytest.raises(fc.OptionError, match=r"must be the state of a loader"):
        loader.load_state_dict(state)


def test_fields_that_one_state_does_not_have_are_not_compared():
    state = state_of()
    del state["parts"]["order"]["drop_last"], state["parts"]["outputs"]
    state["parts"]["order"]["later"] = 1
    assert resume(state, drop_last=True, targets=None) == (NO_EFFECT, "")


texts = st.text("ab#é", max_size=200)
steps = st.lists(texts, max_size=9)
fields = st.fixed_dictionaries(
    {
        "steps": steps,
        "fast_dct": st.booleans(),
        "text": texts,
        "many": st.fixed_dictionaries({str(number): texts for number in range(9)}),
    }
)


@given(fields, fields, st.sampled_from(["clips", "transforms"]), st.integers(0, 9), st.integers(0, 9))
def test_every_difference_is_told_and_no_other(before, now, part, epoch, batch):
    """However long texts and lists are."""
    saved, own = (Identity(3, 2, {part: found}, "") for found in (before, now))
    state = json.loads(json.dumps(saved.state(epoch, batch, 6 * batch)))
    assert saved.place(state) == (epoch, batch, None, "")
    if before == now:
        assert own.place(state) == (epoch, batch, None, "")
    elif part == "clips":
        with pytest.raises(fc.OptionError, match=r"the state is of another plan: clips\."):
            own.place(state)
    else:
        place = own.place(state)
        assert place[:2] == (epoch, batch)
        for field in before:
            assert (f"transforms.{field}" in place.changed) == (before[field] != now[field])


def test_the_first_state_of_version_2_is_taken_up():
    """As written by the first version that has parts, of files at another place."""
    state = json.loads((DATA.parent / "states_2.json").read_text())
    clips = fc.Segments(3)
    options = {
        "transforms": [CROP, fc.SpeedJitter(0.5, 2.0), fc.Apply(np.flip)],
        "weights": "balanced",
        "batch_size": 2,
        "fast_dct": True,  # the default at that time
    }
    assert resume(state, dataset=folder(DATA), clips=clips, **options) == (NO_EFFECT, "")
    with make(folder(DATA), clips, **options) as loader:
        assert loader.state_dict(1, 1) == state


# Descriptions


@given(st.lists(st.text("ab/é", max_size=4), min_size=1, max_size=8), st.data())
def test_joined_names(texts, data):
    names = Names.of(texts)
    rows = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=12))
    for found in (names, names.take(np.array(rows, np.int64))):
        first = data.draw(st.integers(0, len(found)))
        end = data.draw(st.integers(first, len(found)))
        assert found.joined(first, end) == b"".join(name.encode() + b"\0" for name in found[first:end])
