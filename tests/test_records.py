"""Lists of videos, in the formats that people have them in: text of `lists`, values of `records`."""

import csv
import io
import logging
from collections import deque
from pathlib import PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastclips.data.records import read_records
from fastclips.errors import DataError, OptionError


def read(tmp_path, text, columns=None):
    """What the list `text` says, as a dict of the columns that it has."""
    file = tmp_path / "train.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return content(read_records(file, columns))


def content(records):
    columns = {"path": records.paths, "start": records.start, "length": records.length, "fps": records.fps}
    columns[records.kind] = records.labels
    return {name: values for name, values in columns.items() if values is not None}


class Frame:
    """As much of a DataFrame as is used."""

    def __init__(self, **columns):
        self._columns = columns
        self.columns = np.array(list(columns), object)

    def __getitem__(self, name):
        return self._columns[name]


class NAType:
    """Like pandas.NA, of whose comparisons nothing is true or false."""

    def __bool__(self):
        raise TypeError


# Formats in the wild

WILD = {
    "mmaction2": (
        "path length label",
        "some/dir-1 163 1\nsome/dir-2 122 1\nsome/dir-3 258 2\n",
        {"path": ["some/dir-1", "some/dir-2", "some/dir-3"], "length": [163, 122, 258], "label": [1, 1, 2]},
    ),
    "mmaction2 with offset": (
        "path start length label",
        "some/dir-1 12 150 1\nsome/dir-2 0 122 1\n",
        {"path": ["some/dir-1", "some/dir-2"], "start": [12, 0], "length": [150, 122], "label": [1, 1]},
    ),
    "mmaction2 with several classes": (
        "path length labels",
        "some/dir-1 163 1 3 5\nsome/dir-2 122 2\nsome/dir-3 9\n",
        {
            "path": ["some/dir-1", "some/dir-2", "some/dir-3"],
            "length": [163, 122, 9],
            "labels": [(1, 3, 5), (2,), ()],
        },
    ),
    "slowfast": (
        "path label",
        "path/abc.mp4 12\npath/with blanks.mp4 7\n",
        {"path": ["path/abc.mp4", "path/with blanks.mp4"], "label": [12, 7]},
    ),
    "slowfast with commas": ("path,label", "path/abc.mp4,12\n", {"path": ["path/abc.mp4"], "label": [12]}),
    "something-something": (
        "path;label",
        "34870;Drumming Fingers\n56557;Sliding Two Fingers Right\n",
        {"path": ["34870", "56557"], "label": ["Drumming Fingers", "Sliding Two Fingers Right"]},
    ),
    "ucf101": (
        "path label",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\nYoYo/v_YoYo_g25_c05.avi 101\r\n",
        {
            "path": ["ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi", "YoYo/v_YoYo_g25_c05.avi"],
            "label": [1, 101],
        },
    ),
    "csv with quotes, windows line ends and a byte order mark": (
        None,
        '\ufeffpath,label\r\n"a, b/c","say ""hi"", then go"\r\nd/e,stay\r\n',
        {"path": ["a, b/c", "d/e"], "label": ['say "hi", then go', "stay"]},
    ),
    "csv with semicolons": (None, "label;path\nx;a,b\n", {"path": ["a,b"], "label": ["x"]}),
    "csv with tabs": (
        None,
        "path\tfps\tlabels\na b\t29.97\t3,1\nc\t25\t\n",
        {"path": ["a b", "c"], "fps": [29.97, 25.0], "labels": [(3, 1), ()]},
    ),
    "csv with spaces around and blank lines": (
        None,
        '\npath, length, label\n\n a , 3, "x, y"\n',
        {"path": ["a"], "length": [3], "label": ["x, y"]},
    ),
}


@pytest.mark.parametrize(("columns", "text", "expected"), WILD.values(), ids=WILD.keys())
def test_lists_in_the_wild(tmp_path, columns, text, expected):
    assert read(tmp_path, text, columns) == expected


def test_a_csv_without_paths_says_what_can_be_done(tmp_path):
    with pytest.raises(DataError) as caught:
        read(tmp_path, "label,youtube_id,time_start,time_end,split\nabseiling,0347,2,12,train\n")
    assert str(caught.value) == (
        f"the first line of '{tmp_path}/train.txt' is 'label,youtube_id,time_start,time_end,split': no "
        "column is named 'path'. If it is a header, rename the column that holds the paths, or read the file "
        'into rows yourself; if it is not, set columns=, such as columns="path length label".'
    )


# Text


names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=6)
plain = names.filter(
    lambda name: (
        name[0] != '"'
        and name[-1] != "/"
        and not name.startswith(".")
        and "//" not in name
        and "/." not in name
    )
)
label_names = names.filter(lambda name: not name.lstrip("-").isdecimal() and name[0] not in "\"'")
numbers = st.integers(0, 2**31 - 1)


def inner_blanks(words):
    return st.lists(words, min_size=1, max_size=3).map(" ".join)


@pytest.mark.slow
@given(
    st.lists(st.tuples(inner_blanks(plain), numbers, numbers.map(lambda n: n or 1), label_names), min_size=1),
    st.sampled_from([" ", "   ", "\t "]),
)
def test_what_is_divided_by_blanks_reads_as_it_was(tmp_path_factory, rows, blanks):
    text = "".join(blanks.join(map(str, row)) + "\n" for row in rows)
    found = read(tmp_path_factory.mktemp("list"), text, "path start length label")
    assert list(zip(*found.values(), strict=True)) == rows


@pytest.mark.slow
@given(
    st.lists(st.tuples(inner_blanks(plain), inner_blanks(label_names), numbers), min_size=1),
    st.sampled_from([",", ";", "|", "\t"]),
    st.booleans(),
)
def test_what_is_divided_by_a_character_reads_as_it_was(tmp_path_factory, rows, separator, header):
    separator = "\t" if header and separator == "|" else separator
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator)
    columns = ("path", "label", "start")
    writer.writerows([columns, *rows] if header else rows)
    found = read(
        tmp_path_factory.mktemp("list"), text.getvalue(), None if header else separator.join(columns)
    )
    assert list(zip(found["path"], found["label"], found["start"], strict=True)) == rows


@given(
    st.lists(st.lists(st.integers(-9, 99), unique=True), min_size=1),
    st.sampled_from([" ", ",", ";", "|", ":", "\t"]),
)
def test_the_rest_of_a_line_is_labels(tmp_path_factory, rows, separator):
    text = "".join(separator.join(["v", "5", *map(str, row)]) + "\n" for row in rows)
    found = read(tmp_path_factory.mktemp("list"), text, f"path{separator}length{separator}labels")
    assert found["labels"] == list(map(tuple, rows))


def test_blank_lines_alone_are_skipped_but_counted(tmp_path):
    file = tmp_path / "train.txt"
    file.write_text("#1/v 3\n\nv1 3\n   \n#v2 3\nv3 4\n")
    records = read_records(str(file), "path label")
    assert (records.paths, len(records)) == (["#1/v", "v1", "#v2", "v3"], 4)
    assert [records.where(row) for row in range(4)] == [f"line {line} of '{file}'" for line in (1, 3, 5, 6)]
    assert records.folder == str(tmp_path)
    file.write_text("path,label\n#1/v,3\n")
    assert read_records(file).paths == ["#1/v"]


def test_lines_are_counted_through_fields_of_several_lines(tmp_path):
    file = tmp_path / "train.csv"
    file.write_text('path,note,label\nv1,"two\n\nlines",1\nv2,,2\n')
    records = read_records(file)
    assert (records.paths, records.where(1)) == (["v1", "v2"], f"line 5 of '{file}'")


def test_columns_can_be_skipped(tmp_path):
    assert read(tmp_path, "0 v1 x 3\n1 v2 y 4\n", "_ path _ length") == {
        "path": ["v1", "v2"],
        "length": [3, 4],
    }


def test_a_lone_column_is_the_whole_line(tmp_path):
    assert read(tmp_path, "a b,c\n d\n", "path") == {"path": ["a b,c", "d"]}


def test_text_targets_are_float32(tmp_path):
    found = read(tmp_path, "path,target\nv,0.5\nw,2e3\n")["target"]
    assert [(value.dtype, value.shape, value.item()) for value in found] == [
        (np.float32, (), 0.5),
        (np.float32, (), 2000.0),
    ]


def test_columns_that_mean_nothing_are_logged(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        assert read(tmp_path, ",path,label,split\n0,v,1,train\n") == {"path": ["v"], "label": [1]}
    assert caplog.messages == [f"Ignored '', 'split' of '{tmp_path}/train.txt'."]
    assert caplog.records[0].levelname == "INFO"


def test_a_list_whose_labels_are_called_otherwise_warns(tmp_path, caplog):
    assert read(tmp_path, "path,class\nv,1\n") == {"path": ["v"]}
    (message,) = caplog.messages
    assert message == (
        f"Ignored 'class' of '{tmp_path}/train.txt'. No column is named 'label' or 'labels' or "
        "'frame_labels' or 'target' or 'frame_target', so there are no labels."
    )
    assert caplog.records[0].levelname == "WARNING"


@pytest.mark.parametrize(
    ("columns", "text", "message"),
    [
        ("path label", "a 1\nb\n", r"line 2 of '.*': 'b' has 1 fields, expected 2: path label\."),
        ("path,label", "a,1\nb,1,2\n", r"line 2 of '.*': 'b,1,2' has 3 fields, expected 2: path,label\."),
        ("_ path", "1 a b\n", "'1 a b' has 3 fields, expected 2"),
        ("path length labels", "a 3 1\nb\n", "line 2 of '.*': 'b' has 1 fields, expected 3"),
        ("path,length,labels", "a\n", "'a' has 1 fields, expected 3"),
        (None, "path,label\na\n", "line 2 of '.*': 'a' has 1 fields, expected 2"),
        ("path length", "a 3\nb 0\n", "line 2 of '.*': length '0' must be an integer from 1 to 2147483647"),
        ("path length", "a 2147483648\n", "length '2147483648' must be an integer"),
        ("path start", "a -1\n", "start '-1' must be an integer from 0"),
        ("path start", "a 1.5\n", r"start '1\.5' must be an integer"),
        ("path fps", "a x\n", "fps 'x' must be a finite number"),
        ("path fps", "a inf\n", "fps 'inf' must be a finite number"),
        ("path fps", "a 25\nb 0\n", "line 2 of '.*': fps '0' must be above 0"),
        ("path target", "a 1\nb nan\n", "line 2 of '.*': target 'nan' must be a finite number"),
        ("path,label", "a,1\n,2\n", "line 2 of '.*': path '' must not be empty"),
        (None, "path,label\na,1\nb,\n", "line 3 of '.*': label '' must not be empty"),
        (None, "path,fps\na,\n", "line 2 of '.*': fps '' must not be empty"),
        (
            "path label",
            "a/b 1\na/1.JPG 1\nc/2.tiff 2\n",
            r"line 2 of '.*': path 'a/1\.JPG' is a frame; 2 of 3 paths are frames: each row must name",
        ),
        ("path label", "  \n", r"'.*' has no rows\."),
        (None, "path,label\n", r"'.*' has no rows\."),
        (None, "\n \n", r"'.*' has no rows\."),
        (None, b"path,label\nok,1\na\xe4,1\n", r"line 3 of '.*': byte 0xe4 is not UTF-8; save the file as"),
        (None, b"\xef\xbb\xbfpath\n\xff\n", r"line 2 of '.*': byte 0xff is not UTF-8"),
        (None, "path,label\na\0b,1\n", "NUL"),
        (
            "path;label",
            'a;"x\nb;y\nc;z\n',
            r"line 1 of '.*': label 'x\\nb;y\\nc;z' holds a line break; is a quote",
        ),
        ("path;label", 'a;1\nb;"' + "x" * 200_000, r"line 2 of '.*': field larger .* Is a quote left open\?"),
        (None, "path,label,path\na,1,b\n", "column 'path' occurs twice"),
        (None, "path,label,labels\na,1,2\n", "'label', 'labels' are 2 kinds of target; keep one"),
        (None, '""\na\n', "no column is named 'path'"),
        (
            None,
            "path length label\na 3 1\n",
            "is 'path length label': a header must be separated by commas, .* set columns='path length",
        ),
        (
            "path length labels",
            "a b 3 1\n",
            "length 'b' must be .* A path must not hold a blank here: separate the fields by another",
        ),
    ],
)
def test_text_that_cannot_be_is_refused(tmp_path, columns, text, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, text, columns)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            "path lable",
            "'lable' is not a column; columns are path, start, length, first, last, .* and _ to skip",
        ),
        ("path path", "column 'path' occurs twice"),
        ("length label", "no column is named 'path'"),
        ("path label target", "'label', 'target' are 2 kinds of target"),
        ("", "columns='': no column is named 'path'"),
        ("path,length label", "must separate all names by blanks, or all by the same single character"),
        ("path::label", "must separate all names"),
        ("path,label,", "must separate all names"),
        ('path"label', "must separate all names"),
        (["path", "label"], r"columns=\['path', 'label'\]: must be a str"),
    ],
)
def test_columns_that_cannot_be_are_refused(tmp_path, columns, message):
    with pytest.raises(OptionError, match=message):
        read(tmp_path, "a 1\n", columns)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"cannot read the list of videos '.*/no.csv': No such file"):
        read_records(tmp_path / "no.csv")
    with pytest.raises(DataError, match=r"cannot read the list of videos '.*': Is a directory"):
        read_records(tmp_path)
    with pytest.raises(DataError, match=r"cannot read the list of videos 'a\\x00b': embedded null"):
        read_records("a\0b")


# Python

ROWS = [("a/1", 4, 0, 30), ("a/2", 7, 5, 20)]


def test_every_form_of_rows_reads_alike():
    expected = {"path": ["a/1", "a/2"], "label": [4, 7], "start": [0, 5], "length": [30, 20]}
    columns = dict(zip(expected, map(list, zip(*ROWS, strict=True)), strict=True))
    shuffled = [dict(reversed(dict(zip(expected, row, strict=True)).items())) for row in ROWS]
    arrays = {name: np.array(values) for name, values in columns.items()}
    for source in (ROWS, iter(map(list, ROWS)), deque(ROWS), shuffled, columns, arrays, Frame(**arrays)):
        records = read_records(source)
        assert content(records) == expected
        assert {type(value) for value in [*records.labels, *records.start, *records.length]} == {int}
        assert (records.folder, records.where(1)) == (None, "row 1 (from 0)")


def test_tuples_follow_their_columns():
    assert content(read_records([("a",), ("b",)])) == {"path": ["a", "b"]}
    rows = [("x", 5, "a", 29.97), ("y", 6, "b", np.float32(25))]
    assert content(read_records(rows, "_ length path fps")) == {
        "path": ["a", "b"],
        "length": [5, 6],
        "fps": [29.97, 25.0],
    }


def test_pandas_frames(tmp_path):
    pandas = pytest.importorskip("pandas")
    (tmp_path / "train.csv").write_text("path,label,length\na,x,3\nb,y,\n")
    frame = pandas.read_csv(tmp_path / "train.csv")
    with pytest.raises(DataError, match=r"row 1 \(from 0\): length nan is missing"):
        read_records(frame)
    assert content(read_records(frame[:1])) == {"path": ["a"], "length": [3], "label": ["x"]}
    assert content(read_records(frame[["path", "label"]])) == {"path": ["a", "b"], "label": ["x", "y"]}


def test_paths_are_tidied():
    written = [
        "./a/b/",
        ".//c",
        "././d",
        "/e//",
        "/",
        "./",
        ".",
        "..",
        "../f",
        ".hidden",
        PurePosixPath("g/h"),
    ]
    assert read_records([(path,) for path in written]).paths == [
        *("a/b", "c", "d", "/e", "/", ".", ".", "..", "../f", ".hidden", "g/h")
    ]


def test_labels_of_frames_and_targets_become_arrays():
    labels = read_records({"path": ["a", "b"], "frame_labels": [[0, 1, 2], np.array([3], np.uint8)]}).labels
    assert [(row.dtype, row.tolist()) for row in labels] == [(np.int64, [0, 1, 2]), (np.int64, [3])]
    for values, dtype in [
        ([0.5, 1], np.float32),
        ([1, 2], np.int64),
        ([[1.0, 2.0]], np.float32),
        ([np.float64(1)], np.float64),
        ([np.ones(2, np.float16)], np.float16),
        ([np.ones(2, np.uint8)], np.int64),
    ]:
        found = read_records({"path": ["a"] * len(values), "target": values}).labels
        assert found[0].dtype == dtype
        np.testing.assert_array_equal(np.array(found), np.array(values))


def test_ignored_columns_may_hold_anything(caplog):
    expected = {"path": ["a"], "label": [0]}
    with caplog.at_level(logging.INFO):
        assert content(read_records({"path": ["a"], "label": [0], "note": None, 7: 1})) == expected
        assert content(read_records([{"path": "a", "label": 0, "note": 1}])) == expected
    assert caplog.messages == [
        "Ignored 'note', 7 of columns 'path', 'label', 'note', 7.",
        "Ignored 'note' of rows with 'path', 'label', 'note'.",
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "the list of videos has no rows"),
        ({"path": []}, "the list of videos has no rows"),
        (["a/b", "c/d"], r"row 0 \(from 0\) is 'a/b': must be a tuple, a list or a dict"),
        ([("a",), {"path": "b"}], r"row 1 \(from 0\) is \{'path': 'b'\}: must be a tuple like row 0"),
        ([{"path": "b"}, None], r"row 1 \(from 0\) is None: must be a dict like row 0"),
        ([("a", 1), ("b",)], r"row 1 \(from 0\): \('b',\) has 1 values, but row 0 has 2"),
        ([("a", 1, 0, 3, 9)], "rows have 5 values, but columns='path label start length' names 4"),
        ([()], "no column is named 'path'"),
        ([{"file": "a"}], "rows with 'file': no column is named 'path'"),
        ({"file": ["a"]}, "columns 'file': no column is named 'path'"),
        ({"path": ["a", "b"], "label": [1]}, "columns differ in length: 'path' has 2, 'label' has 1"),
        ({"path": ["a"], "label": "x"}, "column 'label' is 'x': must be a sequence, one value per row"),
        ({"path": ["a"], "label": 3}, "column 'label' is 3: must be a sequence"),
        ([("a", 1), (None, 1)], r"row 1 \(from 0\): path None is missing"),
        ([("a",), (3,)], r"row 1 \(from 0\): path 3 must be a str or an os.PathLike"),
        ([(b"a",)], "path b'a' must be a str"),
        ([("",)], "path '' must not be empty"),
        ([("a\0b",)], r"path 'a\\x00b' must not hold a NUL"),
        ([("a/b",), ("a/1.png",)], r"row 1 \(from 0\): path 'a/1.png' is a frame; 1 of 2 paths are frames"),
        ([{"path": "a", "label": 1}, {"path": "b"}], r"row 1 \(from 0\): label None is missing: fill it in"),
        (Frame(path=["a", "b"], label=[1.0, float("nan")]), r"row 1 \(from 0\): label nan is missing"),
        (Frame(path=["a"], label=[NAType()]), r"row 0 \(from 0\): label .* is missing"),
        (
            Frame(path=["a"], label=[1.5]),
            r"label 1\.5 must be an integer, or a name",
        ),
        (
            Frame(path=["a"], start=np.array([1.5])),
            r"start .*1\.5.* must be an integer ",
        ),
        (
            [("a", 1), ("b", "x")],
            r"row 1 \(from 0\): label 'x' mixes numbers and names: an earlier row has 1",
        ),
        ([("a", True)], "label True must be an integer, or a name"),
        ([("a", np.True_)], "label .*True.* must be an integer, or a name"),
        (
            [("a", 1), ("b", "")],
            r"row 1 \(from 0\): label '' must be an integer, or a name \(a str that is not",
        ),
        ([("a", 1, "x")], "start 'x' must be an integer from 0"),
        ([("a", 1, True)], "start True must be an integer"),
        ([("a", 1, 0, 0)], "length 0 must be an integer from 1"),
        ([{"path": "a", "fps": "x"}], "fps 'x' must be a finite number"),
        ([{"path": "a", "label": ""}], "label '' must not be empty"),
        ([{"path": "a", "fps": True}], "fps True must be a finite number"),
        ([{"path": "a", "fps": 10**400}], r"fps 10+\.\.\. must be a finite number"),
        ([{"path": "a", "labels": "1"}, {"path": "b", "labels": [2]}], "labels '1' must be a list, tuple or"),
        (
            {"path": ["a", "b", "c"], "labels": [[], [1], [2, 0.5]]},
            r"row 2 \(from 0\): labels \[2, 0\.5\] must be an integer",
        ),
        ({"path": ["a", "b"], "labels": [[1], ["x"]]}, r"row 1 \(from 0\): labels \['x'\] mixes numbers"),
        ({"path": ["a"], "frame_labels": [[0.0, 1.0]]}, r"frame_labels \[0\.0, 1\.0\] must be integers, one"),
        ({"path": ["a"], "frame_labels": [3]}, "frame_labels 3 must be integers"),
        ({"path": ["a"], "frame_labels": [[[1], 2]]}, "frame_labels .* must be integers"),
        ({"path": ["a"], "target": ["x"]}, "target 'x' must be a finite number"),
        ({"path": ["a"], "target": [True]}, "target True must be a number"),
        ({"path": ["a", "b"], "target": [[1, 2], [1]]}, r"target \[1\] has shape \(1,\), but row 0 has"),
        ({"path": ["a"], "label": [1], "target": [1]}, "'label', 'target' are 2 kinds of target; keep one"),
        (Frame(path=["a"], fps=[None]), "fps None is missing"),
    ],
)
def test_rows_that_cannot_be_are_refused(source, message):
    with pytest.raises(DataError, match=message):
        read_records(source)


@pytest.mark.parametrize("source", [{"path": ["a"]}, [{"path": "a"}], Frame(path=["a"])])
def test_columns_are_not_for_what_has_names(source):
    with pytest.raises(
        OptionError, match=r"columns='path': is for text files and tuples; these .* have names"
    ):
        read_records(source, "path")


@pytest.mark.parametrize("source", [5, None, b"train.txt"])
def test_what_is_no_list_is_refused(source):
    with pytest.raises(
        OptionError, match="must be a folder or a list of videos: the path of a text file, rows"
    ):
        read_records(source)
