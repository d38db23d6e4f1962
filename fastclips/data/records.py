"""Lists of videos -> checked and parsed columns. Frames are never read.

::

    any list --lists.read_table--> raw columns --read_records--> Records

**Columns.** Each row has a ``path``. It may have ``fps``; ``start`` and ``length`` in frames, ``first`` and
``last`` in numbers of files, or ``start_time`` and ``end_time`` in seconds; and one kind of target, in a
column of that name; or several targets, in columns whose names and kinds the user gives:

============  =======================================  ==================================================
kind          in Python                                in text
============  =======================================  ==================================================
label         one class: an int or a name              one class
labels        list, tuple or set of classes            several, separated by ``,`` ``;`` ``|`` or blanks
frame_labels  an int for each frame of the row         path of a .npy file with such an array
target        number or array, all of one shape        a number, or the path of a .npy file
frame_target  array (frames, ...) of the row's         path of a .npy file with such an array
              frames, all of one shape per frame
============  =======================================  ==================================================

**Text** is the content of a file, or a column of str in Python: the rows of a csv.DictReader are parsed like
the file itself. Classes in text are names if all of them are in ``classes=``; otherwise numbers if all are
integers; otherwise names. Blanks separate ``labels`` if they separate the fields of the line, or if all
labels are integers: ``playing guitar, singing`` are two labels.

**Whole numbers** such as ``5.0`` are integers, in text and in Python.

**Missing values.** If one row has a column, every row must have it. A gap is an error, since no default is
right for all users.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from re import compile as regex
from typing import TYPE_CHECKING, Any

from fastclips.data.cells import check_gaps, first, floats, integer_of, integer_of_text, label_values
from fastclips.data.labels import KINDS
from fastclips.data.lists import read_table
from fastclips.reserved import LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastclips.data.lists import Table

__all__ = ["Records", "read_records"]

_FRAMES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".jfif", ".webp", ".fcd")
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
    first, last : list of int, optional
        Least and largest number in the names of each row's frames, at least 0.
    start_time, end_time : list of float, optional
        The part [start, end) of each row in seconds, at least 0; each end is above its start, and inf is the
        end of the video.
    fps : list of float, optional
        Frames per second, above 0.
    kind : {"label", "labels", "frame_labels", "target", "frame_target"}, optional
        Kind of the labels called ``"label"``.
    labels : list, optional
        Their values: int or str for ``label``; tuples of these, possibly empty, for ``labels``; ndarrays of
        int64, (frames,), for ``frame_labels``; ndarrays of int64 or float, all of one shape, for ``target``;
        ndarrays of float, (frames, ...), for ``frame_target``; of the last three kinds, instead of ndarrays
        the path of a .npy file for each row. Numbers and names are never mixed.
    folder : str, optional
        Absolute path of the text file's folder, to which paths are relative by default.
    where : callable
        Returns the name of a row in messages.
    named : dict of str to (kind, values)
        Further labels by name.
    """

    paths: list[str]
    start: list[int] | None
    length: list[int] | None
    first: list[int] | None
    last: list[int] | None
    start_time: list[float] | None
    end_time: list[float] | None
    fps: list[float] | None
    kind: str | None
    labels: list[Any] | None
    folder: str | None
    where: Callable[[int], str]
    named: Mapping[str, tuple[str, list[Any]]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def every_label(self) -> dict[str, tuple[str, list[Any]]]:
        """Kind and values of all labels by name, of which ``"label"`` is the first, if there is one."""
        if self.kind is None or self.labels is None:
            return dict(self.named)
        return {LABEL: (self.kind, self.labels), **self.named}


def read_records(
    source: object,
    columns: str | None = None,
    classes: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    kinds: Mapping[str, str] | None = None,
) -> Records:
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
    classes : sequence of str, or mapping of str to these, optional
        Names of the classes, of the labels ``"label"`` or by name. Labels in text are looked up among them
        first.
    kinds : mapping of str to str, optional
        The columns of labels and their kinds, by the names of the labels. By default, one of the columns
        that are named like a kind holds the labels ``"label"``.

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
    any_kind = {kind: kind for kind in KINDS}
    table = read_table(source, columns, any_kind if kinds is None else kinds, named=kinds is not None)
    for name in table.columns:
        check_gaps(table, name)
    low, high = _integers(table, "first", 0), _integers(table, "last", 0)
    for row, (begin, end) in enumerate(zip(low or (), high or (), strict=False)):
        if begin > end:
            table.refuse(row, "last", f"must be at least first, which is {begin}")
    start_time, end_time = _part_in_seconds(table)
    given = classes if isinstance(classes, Mapping) else {LABEL: classes or ()}
    labels: dict[str, tuple[str, list[Any]]] = {}
    for column, kind in table.kinds.items():
        if column in table.columns:
            name = LABEL if kinds is None else column
            labels[name] = kind, label_values(table, column, tuple(given.get(name, ())))
    default_kind, values = labels.pop(LABEL, (None, None))
    return Records(
        paths=_paths(table),
        start=_integers(table, "start", 0),
        length=_integers(table, "length", 1),
        first=low,
        last=high,
        start_time=start_time,
        end_time=end_time,
        fps=_rates(table),
        kind=default_kind,
        labels=values,
        folder=None if table.source is None else str(Path(table.source).absolute().parent),
        where=table.where,
        named=labels,
    )


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


def _integers(table: Table, name: str, least: int) -> list[int] | None:
    if name not in table.columns:
        return None
    values = table.columns[name]
    numbers: list[int] = []
    for row, number in enumerate(map(integer_of_text if table.text else integer_of, values)):
        if number is None or not least <= number < _BELOW:
            hint = ""
            if table.blanks and "labels" in map(table.kinds.get, table.columns):
                hint = ". A path must not hold a blank here: separate the fields by another character"
            table.refuse(row, name, f"must be an integer from {least} to {_BELOW - 1}{hint}")
        numbers.append(number)
    return numbers


def _rates(table: Table) -> list[float] | None:
    if "fps" not in table.columns:
        return None
    numbers = floats(table, "fps")
    if (row := first(number <= 0 for number in numbers)) is not None:
        table.refuse(row, "fps", "must be above 0")
    return numbers


def _part_in_seconds(table: Table) -> tuple[list[float] | None, list[float] | None]:
    """Return the columns ``start_time`` and ``end_time``."""
    starts, ends = (
        floats(table, name) if name in table.columns else None for name in ("start_time", "end_time")
    )
    for name in ("start", "length", "first", "last"):
        if name in table.columns and not (starts is None and ends is None):
            timed = "start_time" if starts is not None else "end_time"
            table.refuse(
                0, timed, f"is in seconds, but the list also has {name}, in frames: keep one of them"
            )
    for name, values in (("start_time", starts), ("end_time", ends)):
        if values is not None and (row := first(value < 0 for value in values)) is not None:
            table.refuse(row, name, "must be 0 or more seconds")
    if ends is not None:
        begins = [0.0] * len(ends) if starts is None else starts
        row = first(end <= start for start, end in zip(begins, ends, strict=True))
        if row is not None:
            table.refuse(row, "end_time", f"must be above the start, {begins[row]:g} seconds")
    return starts, ends
