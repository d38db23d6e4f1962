"""Cells of the columns of a list, or values of labels -> checked and parsed values.

`fastclips.data.records` has the table of what each kind of labels looks like.
"""

from __future__ import annotations

import math
import os
from itertools import chain, islice
from math import prod
from numbers import Real
from operator import index
from pathlib import Path
from re import compile as regex
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.arrays import open_npy, read_header
from fastclips.data.lists import Table
from fastclips.errors import DataError, why_failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

__all__ = [
    "IN_FILES",
    "check_gaps",
    "first",
    "floats",
    "integer_of",
    "integer_of_text",
    "label_values",
    "read_arrays",
    "read_values",
]

IN_FILES = ("frame_labels", "target", "frame_target")  # kinds whose text may be the path of a .npy file
_INTEGER = regex(r"(-?[0-9]{1,18})(?:\.0+)?").fullmatch  # at most 18 digits, so that it fits into 64 bits
_WORDS = regex(r"[^\s,;|]+").findall
_PHRASES = regex(r"[^,;|]+").findall
_SEPARATOR = regex("[,;|]").search
_EXACT = 2**24  # float32 holds all integers up to this one
_LARGEST = float(np.finfo(np.float32).max)
_DOUBLE = 8  # bytes of a float64
_FILL = "fill it in, or remove this row or the whole column"
_HELD = {  # what an array of each kind in a file holds
    "frame_labels": "the classes of the row's frames",
    "target": "the row's numbers",
    "frame_target": "the numbers of the row's frames",
}
_OPEN_ENDED = {"end_time": ": write inf for the end of the video"}  # columns that may hold inf


def first(wrong: Iterable[object]) -> int | None:
    """Return the number of the first true value, or None."""
    return next((row for row, is_wrong in enumerate(wrong) if is_wrong), None)


def check_gaps(table: Table, name: str, remedy: str = _FILL) -> None:
    """Raise DataError, with a remedy, if a row has no value in a column."""
    values = table.columns[name]
    if table.text:
        if table.kinds.get(name) != "labels" and "" in values:
            table.refuse(values.index(""), name, f"must not be empty{_OPEN_ENDED.get(name, '')}")
    elif (row := first(map(_is_gap, values))) is not None:
        table.refuse(row, name, f"is missing{_OPEN_ENDED.get(name, f': {remedy}')}")


def _is_gap(value: object) -> bool:
    if isinstance(value, (float, np.floating)):
        return math.isnan(value)
    return value is None or type(value).__name__ in {"NAType", "NaTType"}  # the types of pandas' gaps


def integer_of_text(value: str) -> int | None:
    """Return a text as an integer, ``"5.0"`` as 5, or None if it is none."""
    found = _INTEGER(value)
    return int(found[1]) if found else None


def integer_of(value: Any) -> int | None:  # noqa: ANN401 - a row may hold anything
    """Return a value of Python as an integer, 5.0 as 5, or None if it is none."""
    if isinstance(value, str):
        return integer_of_text(value.strip())
    if isinstance(value, (float, np.floating)) and value.is_integer():
        return int(value)
    try:
        return None if isinstance(value, bool) else index(value)
    except TypeError:
        return None


def label_values(table: Table, name: str, classes: Sequence[str]) -> list[Any]:
    """Return a column of labels as `fastclips.data.records.Records.labels` has them.

    Parameters
    ----------
    table : Table
        The list, which knows the kind of the column.
    name : str
        The column.
    classes : sequence of str
        Names of the classes, in which text is looked up first.
    """
    return _CLEANED[table.kinds[name]](table, name, classes)


def read_values(
    name: str,
    values: list[Any],
    kind: str,
    classes: Sequence[str] | None,
    where: Callable[[int], str],
) -> list[Any]:
    """Return values as `Records.labels` has them.

    Parameters
    ----------
    name : str
        Name of the labels.
    values : list
        One value for each row, as in a Python column of this kind.
    kind : str
        Kind of the labels.
    classes : sequence of str, optional
        Names of the classes, in which values that are text are looked up first.
    where : callable
        Returns the name of a row in messages.

    Raises
    ------
    DataError
        A value is missing, or not of this kind.
    """
    table = Table({name: values}, where, kinds={name: kind})
    check_gaps(table, name, "give a value for this video, or leave the video out with select() before")
    cleaned = label_values(table, name, tuple(classes or ()))
    return read_arrays(name, kind, cleaned, Path.cwd(), where) if kind in IN_FILES else cleaned


def read_arrays(
    name: str, kind: str, values: list[Any], root: str | os.PathLike[str], where: Callable[[int], str]
) -> list[NDArray[Any]]:
    """Return the arrays of a column of one of the kinds `IN_FILES`, which may be paths of .npy files.

    Parameters
    ----------
    name : str
        Name of the labels.
    kind : str
        Their kind.
    values : list of ndarray or str
        The column, from `Records`.
    root : path
        The folder that paths are relative to.
    where : callable
        Returns the name of a row in messages.

    Raises
    ------
    DataError
        A file cannot be read, or its array is none of this kind, or has another shape than the others.
    """
    if not values or not isinstance(values[0], str):
        return values
    arrays: list[Any] = []
    for row, path in enumerate(values):
        file = Path(root, path)
        if not path.lower().endswith(".npy") and not file.exists():
            must = f"must be the path of a .npy file with {_HELD[kind]}, relative to"
            raise DataError(f"{where(row)}: {name} {path!r} {must} {str(Path(root).absolute())!r}.")
        try:
            arrays.append(_read_npy(file))
        except (OSError, ValueError, EOFError, MemoryError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                reason = why_failed(error)
            else:
                reason = f"it is not a complete .npy file of numbers ({error})"
            raise DataError(f"{where(row)}: {name} {str(file)!r} cannot be read: {reason}.") from error
    table = Table({name: arrays}, lambda row: f"{where(row)}: {values[row]!r}", kinds={name: kind})
    return label_values(table, name, ())


def _read_npy(path: Path) -> NDArray[Any]:
    with open_npy(path) as file:
        shape, _, dtype = read_header(file)
        size, needed = os.fstat(file.fileno()).st_size, file.tell() + prod(shape) * dtype.itemsize
        if size < needed:
            raise ValueError(f"{size} bytes of {needed}")
        file.seek(0)
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def floats(table: Table, name: str) -> list[float]:
    """Return a column of finite numbers, or inf where it means no end; raise DataError otherwise."""
    endless = name in _OPEN_ENDED
    numbers: list[float] = []
    for row, value in enumerate(table.columns[name]):
        is_number = isinstance(value, (str, Real)) and not isinstance(value, bool)
        try:
            number = float(value) if is_number else math.nan
        except (ValueError, OverflowError):
            number = math.nan
        if not (math.isfinite(number) or (endless and number > 0)):
            table.refuse(row, name, f"must be a finite number{_OPEN_ENDED.get(name, '')}")
        numbers.append(number)
    return numbers


def _is_text(table: Table, name: str) -> bool:
    return table.text or all(isinstance(value, str) for value in table.columns[name])


def _label(table: Table, name: str, names: Sequence[str]) -> list[Any]:
    values = table.columns[name]
    if not _is_text(table, name):
        return _classes(table, name, values, lambda place: place)
    texts = list(map(str.strip, values))
    if "" in texts:
        table.refuse(texts.index(""), name, "must not be empty")
    return _classes_of_text(table, name, texts, names, lambda place: place)


def _labels(table: Table, name: str, names: Sequence[str]) -> list[Any]:
    values = table.columns[name]
    text = _is_text(table, name)
    if text:
        rows = _split_labels(table, values)
    else:
        for row, value in enumerate(values):
            if not (isinstance(value, (list, tuple, set, frozenset)) or getattr(value, "ndim", 0) == 1):
                table.refuse(row, name, "must be a list, tuple or set of classes")
        rows = [list(value) for value in values]
    ends = np.cumsum([len(row) for row in rows])
    flat = list(chain.from_iterable(rows))

    def row_of(place: int) -> int:
        return int(np.searchsorted(ends, place, side="right"))

    if text or (flat and all(isinstance(value, str) and value for value in flat)):
        classes = iter(_classes_of_text(table, name, flat, names, row_of))
    else:
        classes = iter(_classes(table, name, flat, row_of))
    parsed = [tuple(islice(classes, len(row))) for row in rows]
    for row, several in enumerate(parsed):
        if len(set(several)) < len(several):
            twice = next(value for place, value in enumerate(several) if value in several[:place])
            remedy = "if these are zeros and ones, one per class, name the column target, or give this kind"
            table.refuse(row, name, f"has {twice!r} twice; {remedy}")
    # The order of a set may differ from process to process.
    return [
        tuple(sorted(row)) if isinstance(value, (set, frozenset)) else row
        for row, value in zip(parsed, values, strict=True)
    ]


def _split_labels(table: Table, values: list[str]) -> list[list[str]]:
    """Return the classes in each row of text."""
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
    clean = [str(value) if isinstance(value, str) else integer_of(value) for value in flat]
    for place, value in enumerate(clean):
        if value is None or value == "":
            table.refuse(row_of(place), name, "must be an integer, or a name (a str that is not empty)")
        if type(value) is not type(clean[0]):
            must = f"mixes numbers and names: an earlier row has {clean[0]!r}"
            table.refuse(row_of(place), name, must)
    return clean


def _frame_labels(table: Table, name: str, _: Sequence[str]) -> list[Any]:
    if _is_text(table, name):
        return list(map(str.strip, table.columns[name]))
    rows: list[NDArray[np.int64]] = []
    for row, value in enumerate(table.columns[name]):
        array = _array(value)
        if array is None or array.ndim != 1 or array.dtype.kind not in "iu":
            table.refuse(
                row, name, "must be integers, one for each frame, or all must be paths of .npy files"
            )
        rows.append(array.astype(np.int64, copy=False))
    return rows


def _target(table: Table, name: str, _: Sequence[str]) -> list[Any]:
    if _is_text(table, name):
        texts = list(map(str.strip, table.columns[name]))
        if all(text.lower().endswith(".npy") for text in texts):
            return texts
        return [np.array(number, np.float32) for number in floats(table, name)]
    rows: list[Any] = []
    for row, value in enumerate(table.columns[name]):
        array = _array(value)
        if array is None or array.dtype.kind not in "fiu":
            table.refuse(row, name, "must be a number or an array of numbers")
        if not np.isfinite(array).all():
            table.refuse(row, name, "must be finite")
        if array.dtype.kind != "f":
            array = array.astype(np.int64, copy=False)
        elif not hasattr(value, "dtype"):
            array = array.astype(np.float32)
        if rows and array.shape != rows[0].shape:
            table.refuse(row, name, f"has shape {array.shape}, but row 0 has shape {rows[0].shape}")
        rows.append(array)
    return rows


def _frame_target(table: Table, name: str, _: Sequence[str]) -> list[Any]:
    if _is_text(table, name):
        return list(map(str.strip, table.columns[name]))
    rows: list[Any] = []
    for row, value in enumerate(table.columns[name]):
        array = _array(value)
        if (
            array is None
            or array.ndim == 0
            or array.dtype.kind not in "fiu"
            or array.dtype.itemsize > _DOUBLE
        ):
            table.refuse(
                row, name, "must be an array (frames, ...) of floats, or all must be paths of .npy files"
            )
        wrong = np.argwhere(~np.isfinite(array))
        if len(wrong):
            at = tuple(wrong[0].tolist())
            table.refuse(row, name, f"holds {array[at]} at {list(at)}, of frame {at[0]}: must be finite")
        if array.dtype.kind != "f" and array.size and int(np.abs(array.astype(object)).max()) > _EXACT:
            table.refuse(row, name, f"has integers above {_EXACT}, which float32 cannot hold: give float64")
        if array.dtype.kind != "f" or not hasattr(value, "dtype"):
            if array.size and np.abs(array).max() > _LARGEST:
                table.refuse(row, name, "has numbers that float32 cannot hold: give an array of float64")
            array = array.astype(np.float32)
        if rows and array.shape[1:] != rows[0].shape[1:]:
            shapes = f"has shape {array.shape[1:]} for each frame, but row 0 has {rows[0].shape[1:]}"
            table.refuse(row, name, shapes)
        rows.append(array)
    return rows


def _array(value: object) -> NDArray[Any] | None:
    if isinstance(value, np.ma.MaskedArray):  # asarray would lose its mask
        return None
    try:
        return np.asarray(value)
    except (TypeError, ValueError):  # such as lists of different lengths
        return None


_CLEANED: dict[str, Callable[[Table, str, Sequence[str]], list[Any]]] = {
    "label": _label,
    "labels": _labels,
    "frame_labels": _frame_labels,
    "target": _target,
    "frame_target": _frame_target,
}
