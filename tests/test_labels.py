import logging
import pickle

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import fastclips as fc
from fastclips.data.encoding import encode, from_array
from fastclips.data.labels import Labels
from fastclips.errors import DataError, OptionError

TIME_STEPS = 3


def where(row):
    return f"line {row + 1}"


def encoded(kind, values, classes=None, lengths=None, key=None):
    if lengths is None:
        lengths = [TIME_STEPS] * len(values)
    return encode(kind, values, classes, np.array(lengths, np.int64), where, key=key)


def targets(labels, rows, frames=None):
    rows = np.array(rows, np.int64)
    if frames is None:
        frames = np.zeros((len(rows), TIME_STEPS))
    return labels.targets(rows, np.array(frames, np.int32))


def arrays(values):
    return [np.array(value, np.int64) for value in values]


# Targets, against what is plain to see


def reference(kind, values, classes, row, frames):
    """The target of one clip, by the words that were written."""
    if kind == "label":
        return classes.index(str(values[row]))
    if kind == "labels":
        return [float(name in map(str, values[row])) for name in classes]
    if kind in ("frame_labels", "frame_target"):
        return [values[row][frame if frame >= 0 else ~frame] for frame in frames]
    return values[row].tolist()


DTYPES = {"label": np.int64, "labels": np.float32, "frame_labels": np.int64, "target": np.int64}
DTYPES["frame_target"] = np.float32
numbers = st.integers(0, 300)


@st.composite
def written(draw):
    """A kind, values as in `Records.labels`, and frames of each row."""
    kind = draw(st.sampled_from([*DTYPES]))
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    videos = len(lengths)
    one = draw(st.sampled_from([numbers, st.sampled_from(["run", "walk", "sit", "éa"])]))
    if kind == "label":
        values = draw(st.lists(one, min_size=videos, max_size=videos))
    elif kind == "labels":
        values = draw(st.lists(st.lists(one, max_size=4).map(tuple), min_size=videos, max_size=videos))
        assume(any(values))
    elif kind == "frame_labels":
        values = arrays(draw(st.lists(numbers, min_size=length, max_size=length)) for length in lengths)
    elif kind == "frame_target":
        values = [np.array(draw(st.lists(numbers, min_size=n, max_size=n)), np.float32) for n in lengths]
    else:
        shape = draw(st.sampled_from([(), (2,), (1, 3)]))
        values = [np.full(shape, draw(numbers)) for _ in lengths]
    return kind, values, lengths


@pytest.mark.slow
@given(written(), st.data())
def test_targets_are_what_was_written(case, data):
    kind, values, lengths = case
    labels, classes = encoded(kind, values, lengths=lengths)
    taken = data.draw(st.lists(st.integers(0, len(values) - 1), max_size=9))
    everything = list(range(len(values)))
    for one, origin in ((labels, everything), (labels.take(np.array(taken, np.int64)), taken)):
        columns, meta = one.columns()
        for same in (one, pickle.loads(pickle.dumps(one)), Labels.from_columns(columns, meta)):
            assert (len(same), same.kind, same.classes_count) == (len(origin), kind, len(classes))
            rows = data.draw(st.lists(st.integers(0, len(origin) - 1), max_size=9)) if origin else []
            frames = [
                [f if data.draw(st.booleans()) else ~f for f in np.arange(TIME_STEPS) % lengths[origin[row]]]
                for row in rows
            ]
            found = targets(same, rows, np.reshape(frames, (len(rows), TIME_STEPS)))
            assert found.dtype == DTYPES[kind]
            assert found.tolist() == [
                reference(kind, values, classes, origin[row], clip)
                for row, clip in zip(rows, frames, strict=True)
            ]
            if kind == "label":
                assert same.per_video.tolist() == [classes.index(str(values[row])) for row in origin]
            else:
                assert same.per_video is None


@given(written())
def test_targets_are_the_callers_own(case):
    kind, values, lengths = case
    labels, _ = encoded(kind, values, lengths=lengths)
    zeros = np.zeros((1, TIME_STEPS))
    before = targets(labels, [0], zeros)
    targets(labels, [0], zeros)[:] += 1
    np.testing.assert_array_equal(targets(labels, [0], zeros), before)


def test_saved_arrays_hold_numbers_alone_and_classes_of_frames_are_small():
    for kind, values in (
        ("label", [0, 1]),
        ("labels", [("a",), ()]),
        ("frame_labels", arrays([[0, 1, 1], [1, 1, 0]])),
        ("target", [np.float32(1), np.float32(2)]),
    ):
        columns, _ = encoded(kind, values)[0].columns()
        assert {array.dtype.kind for array in columns.values()} <= set("iuf")
        assert kind != "frame_labels" or columns["numbers"].dtype == np.uint8


def test_saved_labels_that_are_unknown_are_refused():
    columns, meta = encoded("label", [0, 1])[0].columns()
    with pytest.raises(DataError, match="saved labels have the unknown kind 'other' or columns 'numbers'"):
        Labels.from_columns(columns, {**meta, "kind": "other"})
    with pytest.raises(DataError, match="saved labels have the unknown kind 'labels' or columns 'numbers'"):
        Labels.from_columns(columns, {**meta, "kind": "labels"})


def test_classes_of_folders():
    labels = Labels.of_classes(np.array([2, 0]), 5)
    assert (labels.kind, labels.classes_count, len(labels)) == ("label", 5, 2)
    assert targets(labels, [1, 0, 0]).tolist() == [0, 2, 2]


# Classes


def test_names_are_sorted_as_asked():
    values = ["c10", "c9", "c10"]
    labels, classes = encoded("label", values)
    assert (classes, labels.per_video.tolist()) == (("c10", "c9"), [0, 1, 0])
    labels, classes = encoded("label", values, key=lambda name: int(name[1:]))
    assert (classes, labels.per_video.tolist()) == (("c9", "c10"), [1, 0, 1])


def test_given_classes_decide():
    labels, classes = encoded("label", ["sit", "run"], classes=["run", "walk", "sit"])
    assert (classes, labels.per_video.tolist()) == (("run", "walk", "sit"), [2, 0])
    labels, classes = encoded("label", [1, 0], classes=np.array(["run", "walk", "sit"]))
    assert (classes, labels.classes_count) == (("run", "walk", "sit"), 3)
    assert {type(name) for name in classes} == {str}
    labels, classes = encoded("labels", [(), ()], classes=["run", "walk"])
    assert targets(labels, [0, 1]).tolist() == [[0, 0], [0, 0]]


def test_numbers_name_the_classes_up_to_the_highest():
    assert encoded("label", [0, 11])[1] == tuple(map(str, range(12)))


@pytest.mark.parametrize(
    ("kind", "values"), [("label", [1, 2]), ("labels", [(1,), (2, 1)]), ("frame_labels", arrays([[1, 2, 1]]))]
)
def test_numbers_that_leave_out_0_are_reported_once(kind, values, caplog):
    encoded(kind, values)
    (message,) = caplog.messages
    assert message == ("The lowest class is 1, not 0: classes are numbered from 0, so there are 3 classes.")


def test_the_report_names_labels_with_names(frames, caplog):
    fc.open(frames).with_labels("verb", [1, 2] * 3, kind="label")
    assert caplog.messages[0].startswith("The lowest class of 'verb' is 1, not 0")


def test_nothing_is_reported_otherwise(caplog):
    with caplog.at_level(logging.DEBUG):
        encoded("label", [1, 0])
        encoded("label", [1, 2], classes=["a", "b", "c"])
        encoded("label", ["a"])
        encoded("target", [np.int64(1)])
    assert not caplog.messages


def test_targets_without_classes():
    labels, classes = encoded("target", [np.float32(1), np.float16(2), np.int64(3)])
    found = targets(labels, [2, 1])
    assert (classes, found.dtype, found.tolist()) == ((), np.float32, [3.0, 2.0])
    assert targets(encoded("target", [np.float64([1, 2])])[0], [0]).dtype == np.float64


@pytest.mark.parametrize(
    ("kind", "values", "classes", "message"),
    [
        ("label", [0, -1, 3], None, "line 2: class -1 is negative; classes are numbered from 0"),
        (
            "label",
            [0, 3, 2],
            ["a", "b", "c"],
            "line 2: class 3, but classes= has 3 names, for classes 0 to 2",
        ),
        ("label", [0, 34870123], None, "line 2: class 34870123 would make 34870124 classes. If the numbers"),
        ("label", [0, 10**30], None, "would make 1000000000000000000000000000001 classes"),
        ("label", ["a", "x", "y"], ["a", "b"], "line 2: 'x' is not one of the 2 classes 'a', 'b'"),
        ("labels", [(0,), (), (1, -4)], None, "line 3: class -4 is negative"),
        (
            "labels",
            [(), ("a",), ("a", "x")],
            list("abcdefgh"),
            "line 3: 'x' is not one of the 8 classes .*'e', ...",
        ),
        ("labels", [(), ()], None, "no row has a class: name the classes in classes="),
        ("frame_labels", arrays([[0, 1, 2], [0, 1]]), None, "line 2: 2 frame_labels for 3 frames; give one"),
        (
            "frame_labels",
            arrays([[0, 1, 2], [0, 1, 7]]),
            list("abc"),
            "line 2: class 7, but classes= has 3 names",
        ),
        ("frame_labels", arrays([[0, 1, 2], [0, -1, 7]]), None, "line 2: class -1 is negative"),
    ],
)
def test_values_that_cannot_be_are_refused(kind, values, classes, message):
    with pytest.raises(DataError, match=message):
        encoded(kind, values, classes)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("run", "classes='run': must be a sequence of names, as in"),
        ({"run", "walk"}, "must be a sequence of names"),
        ({"run": 0}, "must be a sequence of names"),
        (5, "classes=5: must be a sequence of names"),
        ([], r"classes=\[\]: must be a sequence of names"),
        (["run", ""], "must be a sequence of names"),
        (["run", 3], "must be a sequence of names"),
        (["run", "walk", "run"], "must be different names, but 'run' is there twice"),
    ],
)
def test_classes_that_cannot_be_are_refused(classes, message):
    with pytest.raises(OptionError, match=message):
        encoded("label", [0], classes)
    with pytest.raises(OptionError, match=message):
        from_array([0], classes, time_steps=TIME_STEPS)


def test_classes_of_what_has_none_are_refused():
    message = r"classes=\('a', 'b'\): these targets are numbers, not classes; remove classes="
    with pytest.raises(OptionError, match=message):
        encoded("target", [np.float32(1)], ["a", "b"])
    with pytest.raises(OptionError, match=message):
        from_array([0.5], ["a", "b"], time_steps=TIME_STEPS)


# Arrays


@pytest.mark.parametrize(
    ("array", "kind", "classes", "expected"),
    [
        ([2, 0], "label", "012", [2, 0]),
        (np.array([2, 0], np.uint8), "label", "012", [2, 0]),
        (["b", "a"], "label", "ab", [1, 0]),
        (np.array(["b", "a"], object), "label", "ab", [1, 0]),
        ([[0, 1, 2], [1, 1, 1]], "frame_labels", "012", [[0, 1, 2], [1, 1, 1]]),
        ([[True, False], [True, True]], "labels", "01", [[1, 0], [1, 1]]),
        (np.zeros((2, 4), bool), "labels", "0123", [[0] * 4] * 2),
        (np.float16([[1], [2]]), "target", "", [[1], [2]]),
        ([[0.5, 1], [1, 2]], "target", "", [[0.5, 1], [1, 2]]),
    ],
)
def test_arrays_say_by_shape_and_dtype_what_they_are(array, kind, classes, expected):
    labels, names = from_array(array, time_steps=TIME_STEPS)
    frames = [[0, 1, 2], [0, 1, ~1]]
    assert (labels.kind, names, len(labels)) == (kind, tuple(classes), 2)
    assert targets(labels, [0, 1], frames).tolist() == expected


def test_the_dtype_of_floats_is_kept_and_that_of_python_is_float32():
    for dtype in (np.float16, np.float32, np.float64):
        labels, _ = from_array(np.ones((2, 3), dtype), time_steps=TIME_STEPS)
        assert targets(labels, [0]).dtype == dtype
    assert targets(from_array([1.5], time_steps=TIME_STEPS)[0], [0]).dtype == np.float32


def test_arrays_are_copied():
    for array in (np.zeros(2), np.zeros(2, np.int64), np.zeros((2, TIME_STEPS), np.uint8)):
        labels, _ = from_array(array, time_steps=TIME_STEPS)
        array[:] = 1
        assert not targets(labels, [0, 1]).any()


def test_arrays_take_names_for_their_classes():
    assert from_array([0, 1], ["a", "b", "c"], time_steps=TIME_STEPS)[0].classes_count == 3
    assert from_array(["c", "a"], ["a", "b", "c"], time_steps=TIME_STEPS)[1] == ("a", "b", "c")
    assert from_array([[True, False]], ["a", "b"], time_steps=TIME_STEPS)[1] == ("a", "b")
    assert from_array(["c10", "c9"], key=len, time_steps=TIME_STEPS)[1] == ("c9", "c10")


@pytest.mark.parametrize(
    ("error", "array", "classes", "message"),
    [
        (
            OptionError,
            np.zeros((2, 4), int),
            None,
            r"labels= is int64 of shape \(2, 4\): must be .* \(videos, 3\)",
        ),
        (OptionError, np.zeros((2, 1), int), None, r"labels= of shape \(2, 1\) has one axis too many"),
        (OptionError, np.zeros((2, 3, 1), int), None, r"labels= is int64 of shape \(2, 3, 1\)"),
        (OptionError, np.zeros(2, bool), None, r"labels= is bool of shape \(2,\)"),
        (OptionError, np.zeros(2, complex), None, "labels= is complex128"),
        (OptionError, np.array([1, "a"], object), None, "labels= is object"),
        (OptionError, [["a"]], None, r"labels= of shape \(1, 1\) has one axis too many"),
        (OptionError, [[1, 2], [1]], None, "labels= is not an array "),
        (OptionError, [], None, r"labels= of shape \(0,\) is empty"),
        (OptionError, 3, None, "labels=3: must be an array with one item for each video"),
        (OptionError, [[True, False]], ["a"], "classes= has 1 names, but labels= has 2 columns"),
        (DataError, [0, -1], None, r"labels\[1\]: class -1 is negative"),
        (
            DataError,
            np.array([0, 2**64 - 1], np.uint64),
            None,
            r"labels\[1\]: class 18446744073709551615 would",
        ),
        (DataError, [[0, 0, 0], [0, 5, 0]], ["a"], r"labels\[1\]: class 5, but classes= has 1 names"),
        (DataError, ["a", "b"], ["a"], r"labels\[1\]: 'b' is not one of the 1 classes 'a'"),
        (DataError, ["a", ""], None, r"labels\[1\]: '' is not one of the 1 classes 'a'"),
    ],
)
def test_arrays_that_cannot_be_are_refused(error, array, classes, message):
    with pytest.raises(error, match=message):
        from_array(array, classes, time_steps=TIME_STEPS)


@pytest.mark.parametrize(
    ("labels", "error", "text"),
    [
        ([0, 1, float("nan"), 1], DataError, r"labels\[2\]=nan: a target must be finite"),
        (np.array([[1, np.inf]] * 2), DataError, r"labels\[0, 1\]=inf: a target must be finite"),
        (
            np.ma.masked_array([0, 1], [0, 1]),
            OptionError,
            "labels: must be a plain array; the mask of a masked array",
        ),
        (["a", float("nan"), "b"], OptionError, "labels= mixes names with other"),
        ([0, "a", 1], OptionError, "labels= mixes names with other"),
        (
            np.zeros((3, 1), int),
            OptionError,
            r"labels= of shape \(3, 1\) has one axis too many: give labels\[:, 0\]",
        ),
        ([[0, 1], [2]], OptionError, r"for several classes per video, give bools \(videos, classes\)"),
    ],
)
def test_arrays_that_would_be_misread(labels, error, text):
    with pytest.raises(error, match=text):
        from_array(labels, time_steps=TIME_STEPS)


def test_text_in_an_array_means_what_it_means_in_a_list():
    for labels, classes, expected in [
        (["10", "2", "2"], None, [10, 2, 2]),
        (["10", "2", "2"], ["2", "10"], [1, 0, 0]),
        (["1", "0"], ["x", "y"], [1, 0]),
        (["10", "x"], None, [0, 1]),
    ]:
        assert from_array(labels, classes, time_steps=TIME_STEPS)[0].per_video.tolist() == expected


def test_numbers_that_name_other_classes():
    with pytest.raises(
        DataError,
        match=r"labels\[0\]: class 1, but in classes= '1' is the name of class 0: give labels as str",
    ):
        from_array([1, 2], ["1", "2", "3"], time_steps=TIME_STEPS)
    assert from_array([1, 2], ["0", "1", "2"], time_steps=TIME_STEPS)[0].per_video.tolist() == [1, 2]


def test_whole_numbers_as_text_are_classes_by_number():
    labels, classes = from_array(["5.0", "2.0"], time_steps=4)
    assert labels.per_video.tolist() == [5, 2]
    assert classes == ("0", "1", "2", "3", "4", "5")
