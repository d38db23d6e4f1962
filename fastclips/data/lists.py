"""Lists of videos in any common form -> raw columns.

::

    text file with a header    commas, semicolons or tabs ──┐
    text file and columns=     blanks or one character ─────┼──> Table: values by column, unparsed
    rows                       dicts or tuples ─────────────┤
    columns                    a mapping or a DataFrame ────┘

This module checks only the shape of a list: which columns there are, and that each row has all of them.
`records` parses the values.

A text file is split by the csv module, with quotes, unless blanks separate its fields. Blank lines are
skipped, but still counted in line numbers. There are no comments: ``#`` has no special meaning.
"""

from __future__ import annotations

import codecs
import csv
import io
import logging
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from fastclips.errors import DataError, OptionError, why_failed
from fastclips.options import first_few

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["VIDEO", "Table", "Where", "read_table"]

VIDEO = (
    "path",
    "start",
    "length",
    "first",
    "last",
    "start_time",
    "end_time",
    "fps",
)  # which frames a row has
_TUPLES = "path label start length"  # the default columns of tuples
_LOOKED_AT = 4096  # bytes that tell a binary file from a text
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]").search  # bytes that no text holds
_BLANKS = " "  # the separator that stands for any run of blanks
_PART = re.compile(  # names of columns that look like parts of videos, without "_" and in lower case
    "(?:start|end|first|last).*|time(?:start|end)|begin|stop|from|to|length|numframes|frames|nframes"
).fullmatch
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Where:
    """The name of a row in messages: ``"line 7 of 'train.txt'"``, or ``"row 7 (from 0)"`` of a Python list.

    Parameters
    ----------
    source : str, optional
        The text file, as given.
    lines : ndarray of int64, shape (rows,), optional
        Line number of each row in the text file, from 1.
    """

    source: str | None = None
    lines: NDArray[np.int64] | None = None

    def __call__(self, row: int) -> str:
        """Return the name of a row, given its number from 0."""
        if self.lines is None:
            return f"row {row} (from 0)"
        return f"line {self.lines[row]} of {self.source!r}"


@dataclass(frozen=True, eq=False)
class Table:
    """Unparsed values by column: strings if they come from a text file.

    Parameters
    ----------
    columns : dict of str to list
        The columns. All have the same length, at least 1.
    where : callable
        Returns the name of a row in messages: a `Where` if it is a list.
    blanks : bool
        Whether blanks separate the fields, so that no field can hold a blank.
    kinds : mapping of str to str
        The kind of each column of labels.
    """

    columns: dict[str, list[Any]]
    where: Callable[[int], str]
    blanks: bool = False
    kinds: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(self.columns.values()):
            name = "the list of videos" if self.source is None else repr(self.source)
            raise DataError(f"{name} has no rows.")

    @property
    def source(self) -> str | None:
        """The text file, as given."""
        return self.where.source if isinstance(self.where, Where) else None

    @property
    def text(self) -> bool:
        """Whether all values are strings, from a text file."""
        return self.source is not None

    def refuse(self, row: int, name: str, must: str) -> NoReturn:
        """Raise a DataError that names a value, its row, and what it must be."""
        raise DataError(f"{self.where(row)}: {name} {_shown(self.columns[name][row])} {must}.")


@dataclass(frozen=True)
class _Labels:
    """The columns of labels that a list may have.

    Parameters
    ----------
    kinds : mapping of str to str
        The kind of each column.
    named : bool
        Whether the user named the columns, and wants all of them; else a list has at most one.
    """

    kinds: Mapping[str, str]
    named: bool

    def known(self, names: Sequence[object]) -> list[str]:
        """Return the columns to read, each once."""
        return [name for name in (*VIDEO, *self.kinds) if name in names]

    def check(self, names: Sequence[object], of: str, error: type[ValueError]) -> None:
        """Raise unless the known columns are usable together; log the unknown ones."""
        known = self.known(names)
        if twice := [name for name in known if list(names).count(name) > 1]:
            raise error(f"{of}: column {twice[0]!r} occurs twice")
        labels = [name for name in self.kinds if name in known]
        if len(labels) > 1 and not self.named:
            every = {name: self.kinds[name] for name in labels}
            kinds = f"{len(labels)} kinds of target"
            raise error(f"{of}: {first_few(labels)} are {kinds}; keep one, or set labels={every}")
        counted = [name for name in ("start", "length") if name in known]
        numbered = [name for name in ("first", "last") if name in known]
        if counted and numbered:
            raise error(
                f"{of}: column {numbered[0]!r} is a number in names of frames, but {counted[0]!r} counts "
                "frames; keep start and length, or first and last"
            )
        if "path" not in known:
            raise error(f"{of}: no column is named 'path'; rename the column that holds the videos' paths")
        missing = [name for name in self.kinds if name not in known]
        if self.named and missing:
            there = first_few(names, 20)
            raise error(f"{of}: no column is named {missing[0]!r}, which labels= names; there are {there}")
        ignored = [name for name in names if name not in (*known, "_")]
        if parts := [name for name in ignored if _PART(str(name).lower().replace("_", ""))]:
            _log.warning(
                "Ignored %s of %s. If rows are parts of videos, name the columns start and length (counted "
                "frames), first and last (numbers in names of frames), or start_time and end_time (seconds).",
                first_few(parts, 20),
                of,
            )
        if ignored and not labels:
            _log.warning(
                "Ignored %s of %s. No column is named %s, so there are no labels.",
                first_few(ignored, 20),
                of,
                " or ".join(map(repr, self.kinds)),
            )
        elif ignored:
            _log.info("Ignored %s of %s.", first_few(ignored, 20), of)


def read_table(source: object, columns: str | None, kinds: Mapping[str, str], *, named: bool) -> Table:
    """Read a list of videos.

    Parameters
    ----------
    source, columns
        As for `fastclips.data.records.read_records`.
    kinds : mapping of str to str
        The kinds of the columns of labels.
    named : bool
        Whether all of these columns are wanted; else at most one may be there.

    Raises
    ------
    OptionError, DataError
        As `fastclips.data.records.read_records`.
    """
    labels = _Labels(kinds, named)
    if isinstance(source, (str, os.PathLike)):
        return _read_text(source, columns, labels)
    if isinstance(source, Mapping) or hasattr(source, "columns"):
        return _read_columns(source, columns, labels)
    if isinstance(source, Iterable) and not isinstance(source, (bytes, bytearray)):
        return _read_rows(list(source), columns, labels)
    raise OptionError(
        f"source={_shown(source)}: must be a folder or a list of videos: the path of a text file, rows "
        "(dicts or tuples), columns (a mapping), or a DataFrame"
    )


def _shown(value: object, most: int = 80) -> str:
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of {value.dtype} of shape {value.shape}"
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."


def _parse_columns(columns: object, labels: _Labels) -> tuple[list[str], str]:
    """Return the names in columns=, and their separator."""
    if not isinstance(columns, str):
        raise OptionError(f"columns={columns!r}: must be a str, such as columns='path length label'")
    names = re.findall(r"\w+", columns)
    outside, *gaps = re.split(r"\w+", columns.strip())
    outside += gaps.pop() if gaps else ""
    separators = {gap.strip(_BLANKS) or _BLANKS for gap in gaps}
    known = (*VIDEO, *labels.kinds)
    if unknown := [name for name in names if name not in (*known, "_")]:
        raise OptionError(
            f"columns={columns!r}: {unknown[0]!r} is not a column; columns are {', '.join(known)}, and _ to "
            "skip a field. Labels of your own names need labels=, as in labels={'verb': 'label'}"
        )
    if outside or len(separators) > 1 or any(len(text) > 1 or text in '"\r\n\0' for text in separators):
        raise OptionError(
            f"columns={columns!r}: must separate all names by blanks, or all by the same single character, "
            "as in columns='path length label' or columns='path;label'"
        )
    labels.check(names, f"columns={columns!r}", OptionError)
    return names, next(iter(separators), _BLANKS)


# Text


def _read_text(source: str | os.PathLike[str], columns: str | None, labels: _Labels) -> Table:
    path = os.fsdecode(source)
    if columns is None:
        lines = _lines(path)
        names, separator, numbers, rows = _split_below_header(path, lines, labels)
    else:
        names, separator = _parse_columns(columns, labels)
        lines = _lines(path)
        several = [name for name in names if labels.kinds.get(name) == "labels"]
        numbers, rows = _split_lines(path, lines, names, separator, several)
    for number, fields in zip(numbers, rows, strict=True):
        if len(fields) != len(names):
            line = _shown(lines[number - 1].rstrip())
            raise DataError(
                f"line {number} of {path!r}: {line} has {len(fields)} fields, expected {len(names)}: "
                f"{separator.join(names)}."
            )
    found: dict[str, list[Any]] = {}
    for name in labels.known(names):
        found[name] = list(map(str.strip, map(itemgetter(names.index(name)), rows)))
        # A line break is allowed in columns that are not read, such as notes.
        torn = next((row for row, value in enumerate(found[name]) if "\n" in value), None)
        if torn is not None:
            value = f"{name} {_shown(found[name][torn])}"
            raise DataError(
                f"line {numbers[torn]} of {path!r}: {value} holds a line break; is a quote left open?"
            )
    where = Where(path, np.fromiter(numbers, np.int64, len(rows)))
    return Table(found, where, separator == _BLANKS, labels.kinds)


def _lines(path: str) -> list[str]:
    """Return a file's lines, each with a newline as its end."""
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: the path holds a NUL
        reason = why_failed(error) if isinstance(error, OSError) else error
        raise DataError(f"cannot read the list of videos {path!r}: {reason}.") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if _CONTROL(data[:_LOOKED_AT]) and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise DataError(
                f"{path!r} is a binary file that begins with {data[:8]!r}, but no folder, tar, pack, video "
                "file or text list: unpack an archive, and give the folder of its frames."
            ) from error
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = f"byte {error.object[error.start]:#04x}"
        raise DataError(f"line {line} of {path!r}: {byte} is not UTF-8; save the file as UTF-8.") from error
    if not text.strip():
        raise DataError(f"{path!r} has no rows.")
    return list(io.StringIO(text, newline=None))


def _split_below_header(
    path: str, lines: list[str], labels: _Labels
) -> tuple[list[str], str, Sequence[int], list[list[str]]]:
    """Return the names in the header, the separator, the line number of each row, and the rows."""
    above, header = next((at, line) for at, line in enumerate(lines) if line.strip())
    found: list[tuple[list[str], str]] = []
    for separator in ",;\t":
        _, rows = _split_at(separator, [header], [above + 1], path)
        names = [name.strip() for fields in rows for name in fields]
        if "path" in names:
            found.append((names, separator))
    if not found and "path" in (words := header.split()):
        raise DataError(
            f"the first line of {path!r} is {_shown(header.rstrip())}: a header must be separated by commas, "
            "semicolons or tabs. Separate all lines this way, or remove this line and set "
            f"columns={' '.join(words)!r}."
        )
    if not found:
        raise DataError(
            f"the first line of {path!r} is {_shown(header.rstrip())}: no column is named 'path'. If it is a "
            "header, rename the column that holds the paths, or read the file into rows yourself; if it is "
            'not, set columns=, such as columns="path length label".'
        )
    names, separator = max(found, key=lambda header: len(header[0]))
    labels.check(names, repr(path), DataError)
    below = range(above + 2, len(lines) + 1)
    return names, separator, *_split_at(separator, lines[above + 1 :], below, path)


def _split_lines(
    path: str, lines: list[str], names: list[str], separator: str, several: list[str]
) -> tuple[Sequence[int], list[list[str]]]:
    """Return the line number of each row, and the rows, of a file without a header.

    `several` are the columns with several classes, which the separator of the fields may separate.
    """
    numbers: Sequence[int] = [number for number, line in enumerate(lines, 1) if line.strip()]
    kept = [lines[number - 1] for number in numbers]
    if separator != _BLANKS:
        numbers, rows = _split_at(separator, kept, numbers, path)
    elif names[0] == "path" and not several:
        rows = [line.strip().rsplit(None, len(names) - 1) for line in kept]
    else:
        rows = [line.split() for line in kept]
    last = len(names) - 1
    if names[last] in several:
        between = separator if separator in " ,;|" else ";"  # `records` splits labels at it
        rows = [row if len(row) < last else [*row[:last], between.join(row[last:])] for row in rows]
    return numbers, rows


def _split_at(
    separator: str, lines: Sequence[str], numbers: Sequence[int], path: str
) -> tuple[Sequence[int], list[list[str]]]:
    """Return the first line number and the fields of each row; a quoted field may span several lines."""
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    rows: list[list[str]] = []
    first_lines: list[int] = []
    line = 0
    try:
        for row in reader:
            if len(row) > 1 or (row and row[0].strip()):
                rows.append(row)
                first_lines.append(numbers[line])
            line = reader.line_num
    except csv.Error as error:
        raise DataError(f"line {numbers[line]} of {path!r}: {error}. Is a quote left open?") from error
    return first_lines, rows


# Python


def _read_columns(source: Any, columns: str | None, labels: _Labels) -> Table:  # noqa: ANN401 - a mapping or a DataFrame
    if columns is not None:
        raise OptionError(f"columns={columns!r}: is for text files and tuples; these columns have names")
    names = list(source if isinstance(source, Mapping) else source.columns)
    labels.check(names, f"columns {first_few(names)}", DataError)
    found: dict[str, list[Any]] = {}
    for name in labels.known(names):
        values = source[name]
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise DataError(f"column {name!r} is {_shown(values)}: must be a sequence, one value per row.")
        found[name] = list(values)
    if len({len(values) for values in found.values()}) > 1:
        lengths = ", ".join(f"{name!r} has {len(values)}" for name, values in found.items())
        raise DataError(f"columns differ in length: {lengths}.")
    return Table(found, Where(), kinds=labels.kinds)


def _read_rows(rows: list[Any], columns: str | None, labels: _Labels) -> Table:
    named = bool(rows) and isinstance(rows[0], Mapping)
    for row, value in enumerate(rows):
        if not isinstance(value, Mapping if named else (tuple, list)):
            must = (
                f"must be a {type(rows[0]).__name__} like row 0"
                if row
                else "must be a tuple, a list or a dict"
            )
            if not row and isinstance(value, (str, os.PathLike)):
                must += ". If the list holds paths alone, give them as a column, {'path': [...]}"
            raise DataError(f"row {row} (from 0) is {_shown(value)}: {must}.")
    if named:
        if columns is not None:
            raise OptionError(f"columns={columns!r}: is for text files and tuples; these rows have names")
        names = list(dict.fromkeys(chain.from_iterable(rows)))
        labels.check(names, f"rows with {first_few(names)}", DataError)
        found = {name: [row.get(name) for row in rows] for name in labels.known(names)}
        return Table(found, Where(), kinds=labels.kinds)
    if columns is None and labels.named:
        raise OptionError(
            "columns=None: must name the fields of tuples where labels= names columns, as in "
            f"columns={' '.join(['path', *labels.kinds])!r}"
        )
    names, _ = _parse_columns(_TUPLES if columns is None else columns, labels)
    width = len(rows[0]) if rows else len(names)
    for row, value in enumerate(rows):
        if len(value) != width:
            raise DataError(
                f"row {row} (from 0): {_shown(value)} has {len(value)} values, but row 0 has {width}."
            )
    if width > len(names):
        raise DataError(f"rows have {width} values, but columns={' '.join(names)!r} names {len(names)}.")
    names = names[:width]
    labels.check(names, f"rows with {first_few(names)}", DataError)
    found = {name: list(map(itemgetter(names.index(name)), rows)) for name in labels.known(names)}
    return Table(found, Where(), kinds=labels.kinds)
