"""Classes as people write them: numbers or names, one or several, in text or in Python."""

import csv

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fastclips.data.records import read_records
from fastclips.errors import DataError


def read(tmp_path, text, columns=None, classes=None):
    (tmp_path / "train.txt").write_text(text)
    return read_records(tmp_path / "train.txt", columns, classes).labels


def written(labels):
    return "".join(f"v {label}\n" for label in labels)


# Among given names


@pytest.mark.parametrize(
    ("classes", "labels", "expected"),
    [
        (("1", "2", "3"), ["1", "3"], ["1", "3"]),
        (("1", "10", "-"), ["1"], ["1"]),
        (("1", "0"), ["0", "1"], ["0", "1"]),
        (("run", "walk"), ["1", "0"], [1, 0]),
        (("run", "walk"), ["run", "walk"], ["run", "walk"]),
        (("0", "1", "2"), ["01", "2"], [1, 2]),
        (("0", "1", "2"), ["7"], [7]),
        (("007", "bond"), ["007"], ["007"]),
        (None, ["1", "2"], [1, 2]),
    ],
)
def test_text_is_looked_up_among_the_names_first(tmp_path, classes, labels, expected):
    assert read(tmp_path, written(labels), "path label", classes) == expected
    assert read(tmp_path, written(labels), "path labels", classes) == [(label,) for label in expected]
    assert read_records([("v", label) for label in labels], None, classes).labels == expected
    rows = [{"path": "v", "labels": [label]} for label in labels]
    assert read_records(rows, None, classes).labels == [(label,) for label in expected]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["007", "8"], [7, 8]),
        (["-1", "0"], [-1, 0]),
        (["007", "bond"], ["007", "bond"]),
        (["1_0", "2"], ["1_0", "2"]),
        (["9" * 19, "2"], ["9" * 19, "2"]),
    ],
)
def test_text_labels_are_numbers_if_all_are(tmp_path, written, expected):
    text = "".join(f"v {label}\n" for label in written)
    assert read(tmp_path, text, "path label") == expected
    assert read(tmp_path, text, "path labels") == [(label,) for label in expected]


def test_numbers_in_python_are_numbers():
    assert read_records([("v", 1), ("w", np.int64(0))], None, ("1", "0")).labels == [1, 0]


@pytest.mark.parametrize("columns", ["path label", "path labels"])
def test_numbers_and_names_do_not_mix(tmp_path, columns):
    with pytest.raises(
        DataError,
        match=r"line 2 of .* holds '2', which is not in classes=, but '1' is: numbers and names",
    ):
        read(tmp_path, written(["1", "2"]), columns, ("1", "10", "-"))


# Several


PHRASES = [("playing guitar", "singing"), ("singing",), ("playing guitar",), ()]


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ('path,labels\na,"playing guitar, singing"\nb,playing guitar\n', None, PHRASES[::2]),
        ("path,labels\na,playing guitar\n", None, PHRASES[2:3]),
        ("path;labels\na;playing guitar|singing\nb;\n", None, PHRASES[::3]),
        ("path,labels\na,3 1\nb,2\n", None, [(3, 1), (2,)]),
        ('path,labels\na,"3, 1"\nb,2 4\n', None, [(3, 1), (2, 4)]),
        ("path,labels\na,3 x\nb,2\n", None, [("3 x",), ("2",)]),
        ("a playing singing\nb playing\n", "path labels", [("playing", "singing"), ("playing",)]),
        ("a playing guitar, singing\nb singing\n", "path labels", PHRASES[:2]),
        ("a,playing guitar,singing\nb,singing\n", "path,labels", PHRASES[:2]),
        ("a\tplaying guitar\tsinging\nb\tsinging\n", "path\tlabels", PHRASES[:2]),
        ("a:playing guitar:singing\nb:singing\n", "path:labels", PHRASES[:2]),
    ],
)
def test_how_several_classes_are_divided(tmp_path, text, columns, expected):
    assert read(tmp_path, text, columns) == expected


def test_several_classes_of_a_row():
    rows = [{"path": "a", "labels": labels} for labels in ([3, np.int8(1)], (), {9, 2, 5}, np.array([4, 0]))]
    assert read_records(rows).labels == [(3, 1), (), (2, 5, 9), (4, 0)]
    rows = [{"path": "a", "labels": labels} for labels in ({"z", "b", "k"}, ["walk"])]
    assert read_records(rows).labels == [("b", "k", "z"), ("walk",)]


names = st.text(st.sampled_from("abc 12"), min_size=1, max_size=8).map(str.strip).filter(bool)


@given(st.lists(st.lists(names, min_size=2, unique=True), min_size=1), st.sampled_from([",", ";", "|", ", "]))
def test_names_with_blanks_stay_whole(rows, between):
    flat = "".join(part for row in rows for part in row).replace(" ", "")
    assume(not flat.isdigit())  # nothing but numbers may be divided by blanks too
    records = read_records({"path": ["v"] * len(rows), "labels": [between.join(row) for row in rows]})
    assert records.labels == list(map(tuple, rows))


def test_a_class_that_stands_twice(tmp_path):
    twice = r"labels .* has {} twice; if these are zeros and ones, one per class, name the column target"
    with pytest.raises(DataError, match=r"row 1 .*" + twice.format("1")):
        read_records({"path": ["a", "b"], "labels": [[0, 1], [0, 1, 1, 0]]})
    with pytest.raises(DataError, match=r"line 1 of .*" + twice.format("'x'")):
        read(tmp_path, "v x y x\n", "path labels")
    with pytest.raises(DataError, match=twice.format("0")):
        read_records([{"path": "a", "labels": np.zeros(4, int)}])


# The rows of a csv.DictReader


@pytest.mark.parametrize(
    "text",
    [
        "path,start,length,fps,label\na,0,5,25,3\nb,2,6,29.97,1\n",
        "path,label\na,dive\nb,3\n",
        'path,labels\na,"1, 2"\nb,3\n',
        "path,labels\na,playing guitar\nb,\n",
        "path,target\na,0.5\nb,2\n",
    ],
)
def test_rows_of_text_mean_what_the_file_does(tmp_path, text):
    file = tmp_path / "train.csv"
    file.write_text(text)
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    one, other = read_records(file), read_records(rows)
    for name in ("paths", "start", "length", "fps", "kind", "labels"):
        assert getattr(one, name) == getattr(other, name)
