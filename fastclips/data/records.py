"""Lists of videos -> checked and parsed columns. Frames are never read.

::

    any list --lists.read_table--> raw columns --read_records--> Records

**Columns.** Each row has a ``path``. It may have ``fps``; ``start`` and ``length`` in frames, or
``start_time`` and ``end_time`` in seconds; and one kind of target:

============  ==================================  =======================================================
column        in Python                           in text
============  ==================================  =======================================================
label         one class: an int or a name         one class
labels        list, tuple or set of classes       several, separated by ``,`` ``;`` ``|`` or blanks
frame_labels  an int for each frame of the row    not possible
target        number or array, all of one shape   a number
============  ==================================  =======================================================

**Text** is the content of a file, or a column of str in Python: the rows of a csv.DictReader are parsed like
the file itself. Classes in text are names if all of them are in ``classes=``; otherwise numbers if all are
integers; otherwise names. Blanks separate ``labels`` if they separate the fields of the line, or if all
labels are integers: ``playing guitar, singing`` are two labels.

**Whole numbers** such as ``5.0`` are integers, in text and in Python.

**Missing values.** If one row has a column, every row must have it. A gap is an error, since no default is
right for all users.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from itertools import chain, islice
from numbers import Real
from operator import index
from pathlib import Path
from re import compile as regex
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastclips.data.lists import TARGETS, read_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from fastclips.data.lists import Table, Where

__all__ = ["Records", "read_records"]

_FRAMES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".jfif", ".webp")
_INTEGER = regex(r"(-?[0-9]{1,18})(?:\.0+)?").fullmatch  # at most 18 digits, so that it fits into 64 bits
_WORDS = regex(r"[^\s,;|]+").findall
_PHRASES = regex(r"[^,;|]+").findall
_SEPARATOR = regex("[,;|]").search
_DETOURS = regex(r"/(?:\.?/)+").sub
_BELOW = 2**31


@dataclass(frozen=True, eq=False)
class Records:
    """A list of videos, one row each, in the order of the list. Made by `read_records`.

    Parameters
    ----------
    paths : list of str
        As written, without ``./`` and redundant ``/``. Links and ``..`` are kept.
    start : list of int, optional
        First frame of each row, at least 0.
    length : list of int, optional
        Frames of each row, at least 1.
    start_time, end_time : list of float, optional
        The part [start, end) of each row in seconds, at least 0; each end is above its start.
    fps : list of float, optional
        Frames per second, above 0.
    kind : {"label", "labels", "frame_labels", "target"}, optional
        The column that holds the targets.
    labels : list, optional
        The targets: int or str for ``label``; tuples of these, possibly empty, for ``labels``; ndarrays of
        int64, (frames,), for ``frame_labels``; ndarrays of int64 or float, all of one shape, for ``target``.
        Numbers and names are never mixed.
    folder : str, optional
        Absolute path of the text file's folder, to which paths are relative by default.
    where : Where
        Returns the name of a row in messages.
    """

    paths: list[str]
    start: list[int] | None
    length: list[int] | None
    start_time: list[float] | None
    end_time: list[float] | None
    fps: list[float] | None
    kind: Literal["label", "labels", "frame_labels", "target"] | None
    labels: list[Any] | None
    folder: str | None
    where: Where

    def __len__(self) -> int:
        return len(self.paths)


def read_records(source: object, columns: str | None = None, classes: Sequence[str] | None = None) -> Records:
    """Read a list of videos.

    Parameters
    ----------
    source : path, iterable of dicts or tuples, mapping of str to sequence, or DataFrame
        A path names a text file. Without `columns`, it is a CSV file with a header, separated by commas,
        semicolons or tabs. Unknown columns are ignored and logged.
    columns : str, optional
        Names of the columns of a text file without a header, or of tuples, such as ``"path length label"``;
        ``_`` skips a field. The separator between the names separates the fields: blanks stand for any run of
        blanks; any other character stands for itself, and double quotes enclose fields that hold it. With
        blanks, a path in the first column may hold blanks, unless there is a column ``labels``. If the last
        column is ``labels``, it takes the rest of the line. Blank lines are skipped.
        The default for tuples is ``"path label start length"``; the last fields may be missing.
    classes : sequence of str, optional
        Names of the classes. Labels in text are looked up among them first.

    Returns
    -------
    Records
        At least one row.

    Raises
    ------
    OptionError
        `source` is not a list of videos, or `columns` cannot be parsed.
    DataError
        The file cannot be read, a row does not match the columns, or there is no row.
    """
    table = read_table(source, columns)
    for name in table.columns:
        _check_gaps(table, name)
    start_time, end_time = _part_in_seconds(table)
    file = table.where.source
    kind: Any = next((name for name in TARGETS if name in table.columns), None)
    return Records(
        paths=_paths(table),
        start=_integers(table, "start", 0),
        length=_integers(table, "length", 1),
        start_time=start_time,
        end_time=end_time,
        fps=_rates(table),
        kind=kind,
        labels=None if kind is None else _CLEANED[kind](table, tuple(classes or ())),
        folder=None if file is None else str(Path(file).absolute().parent),
        where=table.where,
    )


def _first(wrong: Iterable[object]) -> int | None:
    """Return the number of the first true value, or None."""
    return next((row for row, is_wrong in enumerate(wrong) if is_wrong), None)


def _check_gaps(table: Table, name: str) -> None:
    values = table.columns[name]
    if table.text:
        if name != "labels" and "" in values:
            table.refuse(values.index(""), name, "must not be empty")
    elif (row := _first(map(_is_gap, values))) is not None:
        table.refuse(row, name, "is missing: fill it in, or remove this row or the whole column")


def _is_gap(value: object) -> bool:
    if isinstance(value, (float, np.floating)):
        return math.isnan(value)
    return value is None or type(value).__name__ in {"NAType", "NaTType"}  # the types of pandas' gaps


def _paths(table: Table) -> list[str]:
    paths: list[str] = []
    frames: list[int] = []
    for row, value in enumerate(table.columns["path"]):
        path = os.fspath(value) if isinstance(value, os.PathLike) else value
        if not isinstance(path, str):
            table.refuse(row, "path", "must be a str or an os.PathLike of a str")
        if not path or "\0" in path:
            table.refuse(row, "path", "must not hold a NUL" if path else "must not be empty")
        if path.lower().endswith(_FRAMES):
            frames.append(row)
        plain = path[0] != "." and path[-1] != "/" and "//" not in path and "/." not in path
        paths.append(str(path) if plain else _tidy(path))
    if frames:
        share = f"is a frame; {len(frames)} of {len(paths)} paths are frames"
        table.refuse(frames[0], "path", f"{share}: each row must name a folder of frames")
    return paths


def _tidy(path: str) -> str:
    short = _DETOURS("/", path).removeprefix("./").removesuffix("/.").rstrip("/")
    return short or path[0]


def _of_text(value: str) -> int | None:
    found = _INTEGER(value)
    return int(found[1]) if found else None


def _of_python(value: Any) -> int | None:  # noqa: ANN401 - a row may hold anything
    if isinstance(value, str):
        return _of_text(value.strip())
    if isinstance(value, (float, np.floating)) and value.is_integer():
        return int(value)
    try:
        return None if isinstance(value, bool) else index(value)
    except TypeError:
        return None


def _integers(table: Table, name: str, least: int) -> list[int] | None:
    if name not in table.columns:
        return None
    values = table.columns[name]
    numbers: list[int] = []
    for row, number in enumerate(map(_of_text if table.text else _of_python, values)):
        if number is None or not least <= number < _BELOW:
            hint = ""
            if table.blanks and "labels" in table.columns:
                hint = ". A path must not hold a blank here: separate the fields by another character"
            table.refuse(row, name, f"must be an integer from {least} to {_BELOW - 1}{hint}")
        numbers.append(number)
    return numbers


def _rates(table: Table) -> list[float] | None:
    if "fps" not in table.columns:
        return None
    numbers = _floats(table, "fps")
    if (row := _first(number <= 0 for number in numbers)) is not None:
        table.refuse(row, "fps", "must be above 0")
    return numbers


def _part_in_seconds(table: Table) -> tuple[list[float] | None, list[float] | None]:
    """Return the columns ``start_time`` and ``end_time``."""
    starts, ends = (
        _floats(table, name) if name in table.columns else None for name in ("start_time", "end_time")
    )
    for name in ("start", "length"):
        if name in table.columns and not (starts is None and ends is None):
            timed = "start_time" if starts is not None else "end_time"
            table.refuse(
                0, timed, f"is in seconds, but the list also has {name}, in frames: keep one of them"
            )
    for name, values in (("start_time", starts), ("end_time", ends)):
        if values is not None and (row := _first(value < 0 for value in values)) is not None:
            table.refuse(row, name, "must be 0 or more seconds")
    if ends is not None:
        begins = [0.0] * len(ends) if starts is None else starts
        row = _first(end <= start for start, end in zip(begins, ends, strict=True))
        if row is not None:
            table.refuse(row, "end_time", f"must be above the start, {begins[row]:g} seconds")
    return starts, ends


def _floats(table: Table, name: str) -> list[float]:
    numbers: list[float] = []
    for row, value in enumerate(table.columns[name]):
        is_number = isinstance(value, (str, Real)) and not isinstance(value, bool)
        try:
            number = float(value) if is_number else math.nan
        except (ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            table.refuse(row, name, "must be a finite number")
        numbers.append(number)
    return numbers


def _is_text(table: Table, name: str) -> bool:
    return table.text or all(isinstance(value, str) for value in table.columns[name])


def _label(table: Table, names: Sequence[str]) -> list[Any]:
    values = table.columns["label"]
    if not _is_text(table, "label"):
        return _classes(table, "label", values, lambda place: place)
    texts = list(map(str.strip, values))
    if "" in texts:
        table.refuse(texts.index(""), "label", "must not be empty")
    return _classes_of_text(table, "label", texts, names, lambda place: place)


def _labels(table: Table, names: Sequence[str]) -> list[Any]:
    values = table.columns["labels"]
    text = _is_text(table, "labels")
    if text:
        rows = _split_labels(table)
    else:
        for row, value in enumerate(values):
            if not (isinstance(value, (list, tuple, set, frozenset)) or getattr(value, "ndim", 0) == 1):
                table.refuse(row, "labels", "must be a list, tuple or set of classes")
        rows = [list(value) for value in values]
    ends = np.cumsum([len(row) for row in rows])
    flat = list(chain.from_iterable(rows))

    def row_of(place: int) -> int:
        return int(np.searchsorted(ends, place, side="right"))

    if text or (flat and all(isinstance(value, str) and value for value in flat)):
        classes = iter(_classes_of_text(table, "labels", flat, names, row_of))
    else:
        classes = iter(_classes(table, "labels", flat, row_of))
    parsed = [tuple(islice(classes, len(row))) for row in rows]
    for row, several in enumerate(parsed):
        if len(set(several)) < len(several):
            twice = next(value for place, value in enumerate(several) if value in several[:place])
            must = f"has {twice!r} twice; if these are zeros and ones, one per class, name the column target"
            table.refuse(row, "labels", must)
    # The order of a set may differ from process to process.
    return [
        tuple(sorted(row)) if isinstance(value, (set, frozenset)) else row
        for row, value in zip(parsed, values, strict=True)
    ]


def _split_labels(table: Table) -> list[list[str]]:
    """Return the classes in each row of text."""
    values = table.columns["labels"]
    words = [_WORDS(value) for value in values]
    if all(map(_INTEGER, chain.from_iterable(words))):
        return words
    if table.blanks and not any(map(_SEPARATOR, values)):
        return words
    return [list(filter(None, map(str.strip, _PHRASES(value)))) for value in values]


def _classes_of_text(
    table: Table, name: str, flat: list[str], names: Sequence[str], row_of: Callable[[int], int]
) -> list[Any]:
    """Return classes, all as names or all as numbers; a mixture would have to be guessed."""
    integers = all(map(_INTEGER, flat))
    given = frozenset(names)
    if integers and given.isdisjoint(flat):
        flat = [text.partition(".")[0] for text in flat]
    known = [text in given for text in flat]
    # If the names are "0", "1", ... themselves, names and numbers agree, and 07 is 7.
    if integers and (not any(known) or tuple(names) == tuple(map(str, range(len(names))))):
        return list(map(int, flat))
    if integers and not all(known):
        place = known.index(False)
        must = (
            f"holds {flat[place]!r}, which is not in classes=, but {flat[known.index(True)]!r} is: numbers "
            "and names are mixed. Name all classes in classes=, or remove classes="
        )
        table.refuse(row_of(place), name, must)
    return flat


def _classes(table: Table, name: str, flat: list[Any], row_of: Callable[[int], int]) -> list[Any]:
    """Return classes, all numbers or all names; `row_of` returns the row of a place in `flat`."""
    clean = [str(value) if isinstance(value, str) else _of_python(value) for value in flat]
    for place, value in enumerate(clean):
        if value is None or value == "":
            table.refuse(row_of(place), name, "must be an integer, or a name (a str that is not empty)")
        if type(value) is not type(clean[0]):
            must = f"mixes numbers and names: an earlier row has {clean[0]!r}"
            table.refuse(row_of(place), name, must)
    return clean


def _frame_labels(table: Table, _: Sequence[str]) -> list[Any]:
    rows: list[NDArray[np.int64]] = []
    for row, value in enumerate(table.columns["frame_labels"]):
        array = _array(value)
        if array is None or array.ndim != 1 or array.dtype.kind not in "iu":
            table.refuse(row, "frame_labels", "must be integers, one for each frame")
        rows.append(array.astype(np.int64, copy=False))
    return rows


def _target(table: Table, _: Sequence[str]) -> list[Any]:
    if _is_text(table, "target"):
        return [np.array(number, np.float32) for number in _floats(table, "target")]
    rows: list[Any] = []
    for row, value in enumerate(table.columns["target"]):
        array = _array(value)
        if array is None or array.dtype.kind not in "fiu":
            table.refuse(row, "target", "must be a number or an array of numbers")
        if not np.isfinite(array).all():
            table.refuse(row, "target", "must be finite")
        if array.dtype.kind != "f":
            array = array.astype(np.int64, copy=False)
        elif not hasattr(value, "dtype"):
            array = array.astype(np.float32)
        if rows and array.shape != rows[0].shape:
            table.refuse(row, "target", f"has shape {array.shape}, but row 0 has shape {rows[0].shape}")
        rows.append(array)
    return rows


def _array(value: object) -> NDArray[Any] | None:
    if isinstance(value, np.ma.MaskedArray):  # asarray would lose its mask
        return None
    try:
        return np.asarray(value)
    except (TypeError, ValueError):  # such as lists of different lengths
        return None


_CLEANED: dict[str, Callable[[Table, Sequence[str]], list[Any]]] = {
    "label": _label,
    "labels": _labels,
    "frame_labels": _frame_labels,
    "target": _target,
}
