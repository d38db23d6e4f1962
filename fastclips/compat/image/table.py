"""The table of `ImageDataGenerator.flow_from_dataframe`: its columns, and the classes that a column holds.

A table is any object that returns a column for its name: a pandas DataFrame, or a dict. Nothing here imports
pandas.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base.folders import FORMATS
from fastclips.compat._base.warn import warn
from fastclips.errors import OptionError
from fastclips.options import first_few

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "Table",
    "WrongTypeError",
    "classes_of",
    "numbered",
    "run_codes",
    "several",
    "taken",
    "without_repeats",
]

_BINARY = 2


class WrongTypeError(OptionError, TypeError):
    """An argument has a wrong type: an `OptionError` that is also a TypeError, as in Keras."""


class Table:
    """The columns of a table, without the rows that were left out."""

    def __init__(self, frame: Any, x_col: str, directory: str) -> None:  # noqa: ANN401 - see DataFrameIterator
        self._frame, self._x_col, self._directory = frame, x_col, directory
        names = self._whole(x_col)
        self._rows = np.arange(len(names))
        wrong = [name for name in names if not isinstance(name, str)]
        if wrong:
            raise WrongTypeError(f"x_col={x_col!r}: must hold names of files, not {wrong[0]!r}")
        self.names: list[str] = [str(name) for name in names]
        self.last_kept: list[int] = list(range(len(names)))

    def __len__(self) -> int:
        return len(self._rows)

    def _whole(self, name: str) -> Any:  # noqa: ANN401 - a column
        try:
            column = self._frame[name]
        except (KeyError, TypeError, IndexError):
            raise OptionError(
                f"the table has no column {name!r}; its columns are {first_few(list(self._frame))}"
            ) from None
        return np.asarray(column) if hasattr(column, "dtype") else _objects(column)

    def column(self, name: str) -> NDArray[Any]:
        """Return a column, without the rows that were left out."""
        found: NDArray[Any] = self._whole(name)[self._rows]
        return found

    def weights(self, name: str) -> NDArray[Any]:
        """Return a column of numbers."""
        found = self.column(name)
        if found.dtype.kind not in "iuf":
            raise WrongTypeError(f"weight_col={name!r}: must hold numbers, not {found.dtype}")
        return found

    def matrix(self, names: Any) -> NDArray[Any]:  # noqa: ANN401 - a name or several
        """Return a column, or several side by side."""
        if isinstance(names, str):
            return _numbers(self.column(names))
        return np.stack([_numbers(self.column(name)) for name in names], axis=1)

    def keep(self, places: Sequence[int]) -> None:
        """Keep some of the rows."""
        self.last_kept = list(places)
        self._rows = self._rows[self.last_kept]
        self.names = [self.names[place] for place in self.last_kept]

    def keep_files(self) -> None:
        """Keep the rows whose file exists and is a picture by its name."""
        good = [
            name.lower().endswith(FORMATS) and os.path.isfile(os.path.join(self._directory, name))  # noqa: PTH113, PTH118 - as given
            for name in self.names
        ]
        if not all(good):
            missing = self.names[good.index(False)]
            warn(
                f"x_col={self._x_col!r}: {good.count(False)} of {len(good)} names are no picture in "
                f"{self._directory!r}, such as {missing!r}; their rows are left out"
            )
            self.keep(np.flatnonzero(good).tolist())


def _objects(values: Any) -> NDArray[Any]:  # noqa: ANN401 - any sequence
    made = np.empty(len(values), object)
    made[:] = list(values)
    return made


def _numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Return a column as numbers, if it holds numbers."""
    if values.dtype != object:
        return values
    made = np.array(values.tolist())
    return made if made.ndim == 1 and made.dtype.kind in "biufc" else values


def classes_of(
    table: Table,
    y_col: Any,  # noqa: ANN401 - a name, if right
    mode: str | None,
    given: Sequence[str] | None,
) -> tuple[list[str], list[Any]]:
    """Return the names of the classes, and those of each row; leave out rows without a known class."""
    if not isinstance(y_col, str):
        raise WrongTypeError(f"y_col={y_col!r}: class_mode={mode!r} takes one column")
    labels = table.column(y_col).tolist()
    allowed = (str, list, tuple) if mode == "categorical" else (str,)
    wrong = [label for label in labels if not isinstance(label, allowed)]
    if wrong:
        hint = "names, or lists of names" if mode == "categorical" else "names"
        raise WrongTypeError(
            f"y_col={y_col!r}: class_mode={mode!r} takes {hint}, not {wrong[0]!r}; give "
            f"dataframe[{y_col!r}].astype(str), or class_mode='raw' for numbers"
        )
    if isinstance(given, str):
        raise WrongTypeError(f"classes={given!r}: must be a list of names")
    if given:
        names = list(dict.fromkeys(given))
        labels = [_known(label, names) for label in labels]
        kept = [place for place, label in enumerate(labels) if label]
        table.keep(kept)
        labels = [labels[place] for place in kept]
    else:
        names = sorted({name for label in labels for name in ([label] if isinstance(label, str) else label)})
    if mode == "binary" and len(names) != _BINARY:
        raise OptionError(f"class_mode='binary' needs 2 classes, not {len(names)}: {first_few(names)}")
    return names, labels


def _known(label: Any, names: list[str]) -> Any:  # noqa: ANN401 - a name, or several
    if isinstance(label, str):
        return label if label in names else None
    return [name for name in label if name in names] or None


def numbered(label: Any, numbers: dict[str, int]) -> Any:  # noqa: ANN401 - as above
    """Return the number of a class, or the numbers of several."""
    return numbers[label] if isinstance(label, str) else [numbers[name] for name in label]


def several(y_col: Any) -> list[str]:  # noqa: ANN401 - a list, if right
    """Return ``y_col`` as a list of several columns."""
    if not isinstance(y_col, (list, tuple)):
        raise WrongTypeError(f"y_col={y_col!r}: class_mode='multi_output' takes a list of columns")
    return list(y_col)


def run_codes(values: Any, count: int) -> NDArray[np.int64]:  # noqa: ANN401 - as Targets
    """Return a number for each row; rows of the same class have the same number."""
    if values is None:
        return np.zeros(count, np.int64)
    known: dict[Any, int] = {}
    keys = (tuple(value) if isinstance(value, list) else value for value in values)
    return np.asarray([known.setdefault(key, len(known)) for key in keys], np.int64)


def without_repeats(table: Table, values: Any) -> Any:  # noqa: ANN401 - as Targets
    """Keep the first of the rows with the same file: a video shows each of its frames once."""
    first = {name: place for place, name in reversed(list(enumerate(table.names)))}
    kept = sorted(first.values())
    warn(f"{len(table) - len(kept)} rows name a file that another row names; each frame is taken once")
    table.keep(kept)
    return None if values is None else [values[place] for place in kept]


def taken(values: Any, places: NDArray[np.int64]) -> Any:  # noqa: ANN401 - as Targets
    """Return the targets of some rows."""
    if values is None:
        return None
    if isinstance(values, tuple):
        return tuple(column[places] for column in values)
    return [values[place] for place in places.tolist()] if isinstance(values, list) else values[places]
