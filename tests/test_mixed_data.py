"""The data of a mix: labels, times and streams of several datasets as one, and what cannot be mixed."""

import numpy as np
import pytest
from helpers import make_frames, make_masks
from hypothesis import given
from hypothesis import strategies as st
from labelled import arrays, several

import fastclips as fc
from fastclips.data.frame_times import FrameTimes, Timing
from fastclips.testing import check_storage


def loader_of(data, **options):
    settings = {"batch_size": 4, "workers": 0, "shuffle": True} | options
    return fc.ClipLoader(data, fc.Windows(4, step=2), **settings)


@given(st.floats(0.05, 0.95), st.integers(0, 99))
def test_a_split_has_its_share_of_every_class_of_every_set(validation, seed):
    """Of 20 and 40 videos of two classes each."""
    sets = [fc.open(images=np.zeros((n, 2, 1, 1, 3), np.uint8), labels=[0, 1] * (n // 2)) for n in (20, 40)]
    mixed = fc.mix(sets, [5, 1])
    parts = mixed.split(validation, seed)
    assert [part.mixed.weights for part in parts] == [(5, 1)] * 2
    for number, count in enumerate((10, 20)):
        labels = [part.sets[number].index.labels.per_video for part in parts if len(part.sets) == 2]
        for of_part, share in zip(labels, (1 - validation, validation), strict=False):
            assert np.abs(np.bincount(of_part, minlength=2) - share * count).max() < 1
    keys = np.concatenate([part.index.keys for part in parts])
    assert sorted(keys.tolist()) == [*range(60)]


def test_labels_are_united_by_name():
    first = several()  # label, verb, state
    second = fc.Dataset.of(
        arrays().storage, frame_counts=[8] * 6, labels=[1, 3, 1, 3, 3, 1], streams=("image", "mask")
    )
    second = second.with_labels("state", np.full((6, 8, 2), 9, np.float32), kind="frame_target")
    second = second.with_labels("verb", ["walk", "open"] * 3, kind="label")
    mixed = fc.mix([first, second.select(["4", "1"])], [1, 1])
    assert mixed.classes == ("0", "1", "2", "3")
    assert mixed.classes_of("verb") == ("close", "cut", "open", "walk")
    rows, frames = np.array([0, 6, 7]), np.array([[0, ~1]] * 3, np.int32)
    labels = mixed.index.every_label
    assert labels["label"].labels.targets(rows, frames).tolist() == [2, 3, 3]
    assert labels["verb"].labels.targets(rows, frames).tolist() == [2, 3, 2]
    states = labels["state"].labels.targets(rows, frames)
    np.testing.assert_array_equal(states[0], first.index.named["state"].labels.targets(rows[:1], frames)[0])
    assert (states[1:] == 9).all()


def test_streams_and_labels_that_not_all_have_are_left_out(caplog):
    masked = fc.open(images=MASKED, labels=[0, 1])
    plain = data_of().with_labels("hand", [1, 0], kind="label")
    mixed = fc.mix([masked, plain, masked])
    assert repr(mixed) == "<Dataset: 6 videos, 24 frames, 0 classes; image; 3 sets>"
    assert [record.getMessage().split(" are left")[0] for record in caplog.records] == [
        "The frames of the stream 'mask' of datasets[0]",
        "The labels 'label' of datasets[0]",
        "The labels 'hand' of datasets[1]",
    ]
    assert next(iter(loader_of(mixed))).shape == (4, 4, 8, 8, 3)
    with pytest.raises(fc.OptionError, match="'mask' in inputs or targets is no stream of this dataset"):
        loader_of(mixed, targets="mask")


KINDS = {
    "labels": ([["a"], ["a", "b"], []], [["c", "b"], ["a"], ["b"]]),
    "frame_labels": ([[0, 1], [1, 1], [0, 0]], [[1, 0], [1, 1], [0, 1]]),  # of a b, and of b c
    "target": (np.arange(6.0).reshape(3, 2), np.arange(6.0, 12.0).reshape(3, 2)),
    "frame_target": (np.arange(12.0).reshape(3, 2, 2), np.arange(12.0, 24.0).reshape(3, 2, 2)),
}


def test_numbers_beside_names_of_classes_warn(caplog):
    numbers, names = data_of(labels=[0, 1]), data_of(labels=["run", "walk"])
    assert fc.mix([names, numbers]).classes == ("run", "walk", "0", "1")
    (record,) = caplog.records
    assert "are numbers in datasets[1] and names in datasets[0]" in record.getMessage()
    caplog.clear()
    assert fc.mix([numbers, data_of(labels=[0, 2])]).classes == ("0", "1", "2")
    named = data_of(labels=[0, 1], classes=names.classes)
    assert fc.mix([names, named]).index.labels.numbers.tolist() == [0, 1, 0, 1]
    assert not caplog.records


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_every_kind_are_those_of_each_set(kind):
    def of(values, classes):
        data = fc.open(images=np.zeros((3, 2, 1, 1, 3), np.uint8))
        named = [*classes] if kind == "frame_labels" else None
        return data.with_labels("x", values, kind=kind, classes=named).select(["2", "0", "1"])

    sets = [of(*given) for given in zip(KINDS[kind], ("ab", "bc"), strict=True)]
    mixed = fc.mix([sets[0], sets[1].select(["1", "0"]), sets[0]])
    classes = mixed.classes_of("x")
    assert classes == (("a", "b", "c") if "labels" in kind else ())
    frames = np.array([[0, 1]] * 8, np.int32)
    found = mixed.index.named["x"].labels.targets(np.arange(8), frames)
    expected = []
    for one in (sets[0], sets[1].select(["1", "0"]), sets[0]):
        labels, own = one.index.named["x"]
        targets = labels.targets(np.arange(len(one)), frames[: len(one)])
        if kind == "labels":
            targets = targets[:, [own.index(name) if name in own else -1 for name in classes]] * np.isin(
                classes, own
            )
        elif kind == "frame_labels":
            targets = np.array([classes.index(name) for name in own])[targets]
        expected.append(targets)
    np.testing.assert_array_equal(found, np.concatenate(expected))


@given(st.lists(st.lists(st.integers(0, 3), max_size=4) | st.none(), min_size=1, max_size=4))
def test_times_of_several_storages(several_):
    """Each number is a video: of unknown times, of a rate, or of times of its own."""
    kinds = [
        Timing(1, (0, 1)),
        Timing(3, (1, 10)),
        Timing(np.array([0, 4, 5]), (1, 7)),
        Timing(np.array([0, 1, 9]), (1, 2)),
    ]
    parts = [
        (None if part is None else FrameTimes(FrameTimes.pack([kinds[k] for k in part])), len(part or ()) + 2)
        for part in several_
    ]
    joined = FrameTimes.joined(parts)
    if all(part is None for part in several_):
        assert joined is None
        return
    flat = [k for part in several_ for k in [*(part or ()), 0, 0]]
    assert len(joined) == len(flat)
    assert joined.known(np.arange(len(flat))).tolist() == [k > 0 for k in flat]
    for number, k in enumerate(flat):
        alone = FrameTimes(FrameTimes.pack([kinds[k]]))
        assert joined.ticks(number, 3).tolist() == alone.ticks(0, 3).tolist()
        assert joined.unit(number) == kinds[k].unit


def test_a_mixed_storage_keeps_the_contract(frames, masks, tmp_path):
    made = make_frames(tmp_path / "frames", videos=2, frames=5)
    sources = [
        {"image": frames, "mask": masks},
        {"image": made, "mask": make_masks(tmp_path / "masks", made)},
    ]
    fc.pack(fc.open(sources[1]), tmp_path / "pack", workers=0)
    mixed = fc.mix([fc.open(sources[0]), fc.open(tmp_path / "pack")])
    counts = mixed.index.frame_counts.tolist()
    check_storage(mixed.storage, streams=["image", "mask"], frame_counts=counts)
    with pytest.raises(IndexError, match="there is no video 8"):
        mixed.storage.read("image", 8, 0)


class Told(fc.Storage):
    """Notes what it is told, and wants advice or not."""

    def __init__(self, *, wants):
        self.wants, self.told = wants, []

    def read(self, stream, video, frame):  # noqa: ARG002 - as Storage
        return np.full((8, 8, 3), 10 * video + frame, np.uint8)

    def needs_advice(self):
        return self.wants

    def advise(self, stream, video, frames):
        self.told.append((stream, video, *frames))


def test_advice_goes_to_storages_that_want_it():
    parts = [Told(wants=True), Told(wants=False)]
    mixed = fc.mix([fc.Dataset.of(part, frame_counts=[4, 4]) for part in parts])
    with loader_of(mixed, workers=1, cache=0, shuffle=False) as loader:
        assert [x[0, 0, 0, 0, 0] for x in loader] == [0]
    assert {*parts[0].told} == {("image", 0, 0, 1, 2, 3), ("image", 1, 0, 1, 2, 3)}
    assert parts[1].told == []


def data_of(**options):
    return fc.open(images=np.zeros((2, 4, 8, 8, 3), np.uint8), **options)


MASKED = {"image": np.zeros((2, 4, 8, 8, 3), np.uint8), "mask": np.zeros((2, 4, 8, 8), np.uint8)}
REFUSED = [
    (lambda: fc.mix(data_of()), "datasets= is a Dataset: must be several"),
    (lambda: fc.mix([]), r"datasets=\[\]: must hold datasets"),
    (lambda: fc.mix(7), "datasets=7: must hold datasets"),
    (lambda: fc.mix([data_of(), "frames/"]), r"datasets\[1\]='frames/': must be a Dataset"),
    (lambda: fc.mix([data_of()], [1, 2]), r"weights=\[1, 2\]: must hold a number for each of the 1 datasets"),
    (lambda: fc.mix([data_of()], ["x"]), r"weights=\['x'\]: must hold a number"),
    (lambda: fc.mix([data_of()], [-1]), r"weights\[0\]=-1.0: must be finite and not negative"),
    (lambda: fc.mix([data_of()], [np.nan]), r"weights\[0\]=nan: must be finite"),
    (lambda: fc.mix([data_of()] * 2, [0, 0]), "must be above 0 for a dataset"),
    (lambda: fc.mix([data_of()], clips_per_epoch=0), "clips_per_epoch=0: must be"),
    (lambda: fc.mix([data_of()], clips_per_epoch=True), "clips_per_epoch=True: must be"),
    (
        lambda: fc.mix([data_of(), fc.mix([data_of()], [1])]),
        r"datasets\[1\] is a mix with shares of its own.*\*datasets\[1\].sets",
    ),
    (
        lambda: fc.mix([data_of(), fc.open(images={"left": MASKED["image"], "right": MASKED["image"]})]),
        "the datasets have the streams 'image'; 'left', 'right': must have a stream of one name",
    ),
    (
        lambda: fc.mix([fc.open(images=MASKED), fc.open(images=MASKED, ignore=0)]),
        r"stream 'mask' has ignore=255 in datasets\[0\] and ignore=0 in datasets\[1\]",
    ),
    (
        lambda: fc.mix([data_of(labels=[0.5, 1]), data_of(labels=[0, 1])]),
        r"labels 'label' are of the kind 'target', float32 \(\) of each video in datasets\[0\] and of",
    ),
    (
        lambda: fc.mix([data_of().with_labels("set", [0, 1], kind="label")]),
        "there are labels called 'set': must have another name in a mix",
    ),
    (
        lambda: fc.pack(fc.mix([data_of()]), "packed", workers=0),
        "is a mix, or a set of one, which cannot be packed",
    ),
    (
        lambda: loader_of(fc.mix([data_of()], [1]), weights=[1, 1]),
        r"weights= must be None with the shares of a mix.*fc.mix\(dataset.sets\)",
    ),
    (
        lambda: loader_of(fc.mix([data_of()], [1]), shuffle=False),
        "shuffle=False: must be True with the shares",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_refusals_say_what_is_wrong(call, message):
    with pytest.raises(fc.OptionError, match=message):
        call()
