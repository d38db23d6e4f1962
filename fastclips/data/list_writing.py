"""An index -> a list of videos as text, with the arguments by which `fastclips.open` reads the same again.

::

    index, a path for each row --written_list--> text of a CSV file, .npy files of labels, options

`fastclips.data.records` describes what a list may hold. Text holds classes and float32 numbers; other numbers
and the classes of frames go into .npy files.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips.data.labels import FrameClasses, FrameValues, NamedLabels, OneClass, SeveralClasses, Values
from fastclips.data.lists import VIDEO
from fastclips.data.names import natural_key
from fastclips.errors import DataError
from fastclips.reserved import LABEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastclips.data.index import Index
    from fastclips.data.labels import Labels

__all__ = ["WrittenList", "fits_text", "is_plain", "label_options", "written_list"]

_INTEGER = re.compile(r"-?[0-9]+(?:\.0+)?").fullmatch
_SEPARATORS = re.compile(r"[,;|]").search
_BREAKS = re.compile(r"[\r\n\0]").search
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


class WrittenList(NamedTuple):
    """A list of videos, to be written as files.

    Parameters
    ----------
    text : str
        A CSV file with a header.
    arrays : dict of str to ndarray
        The .npy files that it names, by the paths in it without the folder given to `written_list`.
    options : dict of str to object
        `labels` and `classes` of `fastclips.open`, if the list needs them.
    """

    text: str
    arrays: dict[str, NDArray[Any]]
    options: dict[str, Any]


def fits_text(labels: Labels) -> bool:
    """Whether a column of a text file alone can hold labels."""
    return isinstance(labels, OneClass) or (isinstance(labels, Values) and labels.values.ndim == 1)


def is_plain(text: str) -> bool:
    """Whether a field of a list can hold a text as it is."""
    if not text or text != text.strip() or _BREAKS(text):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:  # a name that is no UTF-8
        return False
    return True


def written_list(
    index: Index,
    paths: Sequence[str],
    *,
    parts: bool,
    folder: str | None = None,
    shown: Sequence[NDArray[np.int64]] | None = None,
) -> WrittenList:
    """Return an index as a list.

    Parameters
    ----------
    index : Index
        The rows.
    paths : sequence of str
        The path of each row's video; each must be plain.
    parts : bool
        Whether rows are parts of their videos, so that the list has the columns ``start`` and ``length``.
    folder : str, optional
        Folder of the .npy files, relative to the root of the list, with a slash at its end. Without it, all
        labels must fit into text.
    shown : sequence of ndarray of int64, optional
        For each row, which of its frames its labels of frames are of; all by default.

    Raises
    ------
    DataError
        A list cannot hold the labels: their name is that of another column, or classes have names that are
        neither plain nor told apart from numbers.
    """
    columns: dict[str, list[Any]] = {"path": list(paths)}
    if parts:
        columns["start"] = index.starts.tolist()
        columns["length"] = index.frame_counts.tolist()
    if index.fps is not None:
        columns["fps"] = index.fps.tolist()
    arrays: dict[str, NDArray[Any]] = {}
    every = index.every_label
    safe = [_UNSAFE.sub("_", name) for name in every]
    for number, (name, held) in enumerate(every.items()):
        column = name if index.named else held.labels.kind
        if column in VIDEO or not is_plain(column):
            raise DataError(f"a list cannot have a column of labels called {column!r}: rename the labels")
        texts = _texts(held, name, text_alone=folder is None)
        if texts is None:
            below = safe[number] if safe.count(safe[number]) == 1 else str(number)
            files = {f"{below}/{row:08d}.npy": array for row, array in enumerate(_arrays(index, held, shown))}
            arrays |= files
            texts = [f"{folder}{path}" for path in files]
        columns[column] = texts
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return WrittenList(file.getvalue(), arrays, label_options(index))


def _texts(held: NamedLabels, name: str, *, text_alone: bool) -> list[Any] | None:
    """Return a column of text, or None if the labels must be in files."""
    labels, classes = held
    if isinstance(labels, OneClass):
        names = _class_texts(classes, name, several=False)
        return [names[number] for number in labels.numbers.tolist()]
    if isinstance(labels, SeveralClasses):
        names = _class_texts(classes, name, several=True)
        ends = labels.starts + labels.counts
        rows = zip(labels.starts.tolist(), ends.tolist(), strict=True)
        return [";".join(names[number] for number in labels.numbers[low:high].tolist()) for low, high in rows]
    if fits_text(labels) and isinstance(labels, Values) and (text_alone or labels.values.dtype == np.float32):
        numbers: list[Any] = labels.values.tolist()
        return numbers
    return None


def _class_texts(classes: Sequence[str], name: str, *, several: bool) -> Sequence[str]:
    """Return the text of each class: its name, or its number if a list would change the name."""

    def fits(text: str) -> bool:
        if not several:
            return is_plain(text)
        return is_plain(text) and not _SEPARATORS(text) and not (" " in text and _all_integers(text))

    if all(map(fits, classes)):
        return classes
    numbers = [str(number) for number in range(len(classes))]
    if not {*numbers}.isdisjoint(classes):
        wrong = next(text for text in classes if not fits(text))
        raise DataError(
            f"a list cannot hold the class {wrong!r} of {name!r}, since other classes are called by numbers: "
            "rename it"
        )
    return numbers


def _all_integers(text: str) -> bool:
    return all(map(_INTEGER, text.split()))


def _arrays(index: Index, held: NamedLabels, shown: Sequence[NDArray[np.int64]] | None) -> list[NDArray[Any]]:
    """Return the labels of each row as an array."""
    labels = held.labels
    if isinstance(labels, Values):
        return list(labels.values)
    assert isinstance(labels, (FrameClasses, FrameValues))  # noqa: S101 - the others fit into text
    frames = [np.arange(count) for count in index.frame_counts] if shown is None else shown
    return [
        labels.targets(np.array([row]), of_row[None].astype(np.int32))[0] for row, of_row in enumerate(frames)
    ]


def label_options(index: Index) -> dict[str, Any]:
    """Return the arguments with which a list has the labels of an index."""
    options: dict[str, Any] = {}
    every = index.every_label
    if index.named:
        options["labels"] = {name: held.labels.kind for name, held in every.items()}
    classes = {name: list(held.classes) for name, held in every.items() if not _by_default(held)}
    if classes:
        options["classes"] = classes if index.named else classes[LABEL]
    return options


def _by_default(held: NamedLabels) -> bool:
    """Whether labels that are read from a list get the same classes without `classes`."""
    labels, classes = held
    if not classes:
        return True
    if not isinstance(labels, (OneClass, SeveralClasses)) or all(map(_INTEGER, classes)):
        return False
    if isinstance(labels, OneClass):
        used = labels.numbers
    else:
        runs = zip(labels.starts.tolist(), labels.counts.tolist(), strict=True)
        used = np.concatenate([labels.numbers[low : low + count] for low, count in runs])
    if len(np.unique(used)) < len(classes) or list(classes) != sorted(classes, key=natural_key):
        return False
    return _class_texts(classes, "", several=isinstance(labels, SeveralClasses)) is classes
