"""The table of `ImageDataGenerator.flow_from_dataframe`: file names, and targets by row.

A table is any object that returns a column for its name: a pandas DataFrame, or a dict. Nothing here imports
pandas.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base.folders import FORMATS
from fastclips.compat._base.warn import warn
from fastclips.errors import DataError, OptionError
from fastclips.options import first_few

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["Table", "WrongTypeError"]

_BINARY = 2


class WrongTypeError(OptionError, TypeError):
    """An argument has a wrong type: an `OptionError` that is also a TypeError, as in Keras."""


class Table:
    """Rows of a table, without those that were left out.

    Parameters
    ----------
    frame : pandas.DataFrame, or mapping of str to sequence
        The user's table.
    x_col : str
        Column of file names.
    directory : str
        Folder that they start from.

    Attributes
    ----------
    names : list of str
        Names of the files.
    classes : list or None
        By row, the number of the class, or a list of numbers; None if targets are no classes.
    """

    def __init__(self, frame: Any, x_col: str, directory: str) -> None:  # noqa: ANN401 - see above
        self._frame, self._x_col, self._directory = frame, x_col, directory
        names = self._whole(x_col)
        wrong = [name for name in names if not isinstance(name, str)]
        if wrong:
            raise WrongTypeError(f"x_col={x_col!r}: must hold names of files, not {wrong[0]!r}")
        self._rows = np.arange(len(names))
        self.names: list[str] = [str(name) for name in names]
        self.classes: list[Any] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def _whole(self, name: str) -> NDArray[Any]:
        try:
            column = self._frame[name]
        except (KeyError, TypeError, IndexError):
            raise OptionError(
                f"the table has no column {name!r}; its columns are {first_few(list(self._frame))}"
            ) from None
        if hasattr(column, "dtype"):
            return np.asarray(column)
        made = np.empty(len(column), object)
        made[:] = list(column)
        return made

    def column(self, name: str) -> NDArray[Any]:
        """Return a column."""
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

    def columns(self, names: Any) -> tuple[NDArray[Any], ...]:  # noqa: ANN401 - a list, if right
        """Return several columns, the targets of ``"multi_output"``."""
        if not isinstance(names, (list, tuple)):
            raise WrongTypeError(f"y_col={names!r}: must be a list of columns with class_mode='multi_output'")
        return tuple(np.array(self.column(name).tolist()) for name in names)

    def keep(self, places: Iterable[int]) -> None:
        """Keep some of the rows."""
        places = list(places)
        self._rows = self._rows[places]
        self.names = [self.names[place] for place in places]
        if self.classes is not None:
            self.classes = [self.classes[place] for place in places]

    def keep_files(self) -> None:
        """Keep the rows whose file exists and is a picture by its name."""
        good = [
            name.lower().endswith(FORMATS) and os.path.isfile(os.path.join(self._directory, name))  # noqa: PTH113, PTH118 - as given
            for name in self.names
        ]
        if good and not any(good):
            where = f"directory={self._directory!r}" if self._directory else "the working directory"
            raise DataError(
                f"x_col={self._x_col!r}: none of {len(good)} names is a picture in {where}, such as "
                f"{self.names[0]!r}; give directory=, the folder that the names start from. Names end in "
                f"{', '.join(FORMATS)}"
            )
        if not all(good):
            missing = self.names[good.index(False)]
            warn(
                f"x_col={self._x_col!r}: {good.count(False)} of {len(good)} names are no picture in "
                f"{self._directory!r}, such as {missing!r}; their rows are left out"
            )
            self.keep(np.flatnonzero(good).tolist())

    def keep_first(self) -> None:
        """Keep the first of the rows with the same file: a video shows each of its frames once."""
        first = {name: place for place, name in reversed(list(enumerate(self.names)))}
        if len(first) < len(self):
            warn(
                f"{len(self) - len(first)} rows name a file that another row names; each frame is taken once"
            )
            self.keep(sorted(first.values()))

    def classify(self, y_col: Any, mode: str | None, given: Sequence[str] | None) -> dict[str, int]:  # noqa: ANN401 - a name, if right
        """Set `classes` from a column, without rows of other classes; return the numbers of the classes."""
        if not isinstance(y_col, str):
            raise WrongTypeError(f"y_col={y_col!r}: must be one column with class_mode={mode!r}")
        labels = self.column(y_col).tolist()
        allowed, hint = (
            ((str, list, tuple), "names, or lists of names") if mode == "categorical" else (str, "names")
        )
        wrong = [label for label in labels if not isinstance(label, allowed)]
        if wrong:
            raise WrongTypeError(
                f"y_col={y_col!r}: must hold {hint} with class_mode={mode!r}, not {wrong[0]!r}; give "
                f"dataframe[{y_col!r}].astype(str), or class_mode='raw' for numbers"
            )
        if isinstance(given, str):
            raise WrongTypeError(f"classes={given!r}: must be a list of names")
        several = [[label] if isinstance(label, str) else label for label in labels]
        names = list(dict.fromkeys(given)) if given else sorted({name for some in several for name in some})
        numbers = {name: number for number, name in enumerate(names)}
        known = [[numbers[name] for name in some if name in numbers] for some in several]
        self.classes = [
            some[0] if isinstance(label, str) and some else some
            for label, some in zip(labels, known, strict=True)
        ]
        if given:
            self.keep(place for place, some in enumerate(known) if some)
        if mode == "binary" and len(names) != _BINARY:
            raise OptionError(f"class_mode='binary': needs 2 classes, not {len(names)}: {first_few(names)}")
        return numbers

    def codes(self) -> NDArray[np.int64]:
        """Return a number for each row; rows of the same class have the same number."""
        if self.classes is None:
            return np.zeros(len(self), np.int64)
        known: dict[Any, int] = {}
        keys = (tuple(value) if isinstance(value, list) else value for value in self.classes)
        return np.asarray([known.setdefault(key, len(known)) for key in keys], np.int64)


def _numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Return a column as numbers, if it holds numbers."""
    if values.dtype != object:
        return values
    made = np.array(values.tolist())
    return made if made.ndim == 1 and made.dtype.kind in "biufc" else values
