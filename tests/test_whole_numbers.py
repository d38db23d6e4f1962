"""Whole numbers such as 5.0 in lists are integers."""

import pytest

from fastclips.data.records import read_records


def content(records):
    names = ("start", "length", "label")
    return {
        "path": records.paths,
        **{n: records.labels if n == "label" else getattr(records, n) for n in names},
    }


def test_whole_numbers_are_integers_in_text_and_in_python(tmp_path):
    numbers = {"path": ["a", "b"], "start": [1, 0], "length": [4, 2], "label": [5, 2]}
    floats = {
        name: values if name == "path" else list(map(float, values)) for name, values in numbers.items()
    }
    (tmp_path / "train.csv").write_text("path,start,length,label\na,1.0,4.0,5.0\nb,0.0,2.00,2\n")
    for source in (tmp_path / "train.csv", floats, {**floats, "label": ["5.0", "2.0"]}):
        assert content(read_records(source)) == numbers
    several = {"path": ["a", "b"], "labels": ["5.0 2.0", "3.0"]}
    assert read_records(several).labels == [(5, 2), (3,)]
    assert read_records({"path": ["a", "b"], "label": ["5.0", "2.5"]}).labels == ["5.0", "2.5"]


@pytest.mark.parametrize(
    ("classes", "expected"),
    [(["5.0", "2.0"], ["5.0", "2.0"]), (["2", "5"], ["5", "2"]), (["a"] * 6, [5, 2])],
)
def test_whole_numbers_in_text_are_looked_up_in_classes(classes, expected):
    records = read_records({"path": ["a", "b"], "label": ["5.0", "2.0"]}, None, classes)
    assert records.labels == expected
