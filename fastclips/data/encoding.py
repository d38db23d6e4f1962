"""The values of labels as users write them -> `Labels`, and the names of the classes.

::

    columns of a list --records.py--> values --encode--> Labels, classes
    an array ------------------------------from_array--> Labels, classes
    one array for each video ---------------of_frames--> Labels, classes
"""

from __future__ import annotations

import logging
import re
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.labels import FrameClasses, FrameValues, Labels, OneClass, SeveralClasses, Values
from fastclips.errors import DataError, OptionError
from fastclips.options import checked_classes, first_few, refuse_masked
from fastclips.reserved import LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["encode", "from_array", "of_frames"]

_INTEGER = re.compile(r"(-?[0-9]{1,18})(?:\.0+)?")
_MOST = 1_000_000  # classes without names; larger numbers are probably ids
_log = logging.getLogger(__name__)


def encode(
    kind: str,
    values: Sequence[Any],
    classes: Sequence[str] | None,
    lengths: NDArray[np.int64],
    where: Callable[[int], str],
    *,
    key: Callable[[str], Any] | None = None,
    name: str = LABEL,
) -> tuple[Labels, tuple[str, ...]]:
    """Encode the targets of a list of videos.

    Parameters
    ----------
    kind : {"label", "labels", "frame_labels", "target", "frame_target"}
        Kind of the values.
    values : sequence
        One value per row, as in `Records.labels`.
    classes : sequence of str, optional
        Names of the classes, in the order of their numbers. By default, the sorted names in `values`, or
        ``"0"`` up to the highest number.
    lengths : ndarray of int64, shape (rows,)
        Frames of each row.
    where : callable
        Returns the name of a row in messages.
    key : callable, optional
        Sort key of class names.
    name : str
        Name of the labels, for messages.

    Returns
    -------
    labels : Labels
        One row per value.
    classes : tuple of str
        Names of the classes; empty for numbers.

    Raises
    ------
    OptionError
        `classes` is not a sequence of different names, or the values are not classes.
    DataError
        A class is not in `classes`, its number is negative or too high, or a row has another number of values
        of frames than of frames.
    """
    given = checked_classes(classes)
    if kind == "target":
        _refuse_classes(given)
        return Values(0, _stacked(values)), ()
    if kind == "label":
        numbers, names = _numbered(values, given, where, key, name)
        return OneClass(len(names), numbers), names
    counts = np.fromiter(map(len, values), np.int64, len(values))
    ends = np.cumsum(counts)
    if kind == "labels":
        flat: Any = list(chain.from_iterable(values))
    else:
        wrong = np.flatnonzero(counts != lengths)
        if len(wrong):
            row = int(wrong[0])
            more = ", and only for the frames of the row" if counts[row] > lengths[row] else ""
            raise DataError(
                f"{where(row)}: {counts[row]} {kind} for {lengths[row]} frames; give one per frame{more}."
            )
        flat = np.concatenate(values)
    if kind == "frame_target":
        _refuse_classes(given)
        return FrameValues(0, ends - counts, flat), ()

    def where_in_flat(place: int) -> str:
        return where(int(np.searchsorted(ends, place, side="right")))

    numbers, names = _numbered(flat, given, where_in_flat, key, name)
    if kind == "labels":
        return SeveralClasses(len(names), ends - counts, counts, _small(numbers, names)), names
    return FrameClasses(len(names), ends - counts, _small(numbers, names)), names


def from_array(
    labels: object,
    classes: Sequence[str] | None = None,
    *,
    time_steps: int,
    key: Callable[[str], Any] | None = None,
) -> tuple[Labels, tuple[str, ...]]:
    """Encode an array of targets.

    Parameters
    ----------
    labels : array_like
        Integers or strings, (videos,): one class per video, by number or name. Integers, (videos,
        `time_steps`): classes of frames. Bools, (videos, classes): several classes per video. Floats,
        (videos, ...): targets, which keep their dtype; Python floats become float32.
    classes : sequence of str, optional
        Names of the classes, as in `encode`.
    time_steps : int
        Frames of each video; -1 if they differ.
    key : callable, optional
        Sort key of class names.

    Returns
    -------
    labels : Labels
        One row per item.
    classes : tuple of str
        Names of the classes; empty for floats.

    Raises
    ------
    OptionError
        The array has another shape or dtype, or `classes` does not fit.
    DataError
        A class is not in `classes`, or its number is negative or too high.
    """
    array = _array(labels)
    videos = len(array)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        at = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        raise DataError(
            f"labels[{', '.join(map(str, at))}]={array[at]}: a target must be finite; remove such videos"
        )
    given = checked_classes(classes)
    if array.dtype.kind == "f" and array.dtype.itemsize <= np.dtype(np.float64).itemsize:
        _refuse_classes(given)
        return Values(0, np.array(array, array.dtype if hasattr(labels, "dtype") else np.float32)), ()
    if array.dtype.kind == "b" and array.ndim == 2:  # noqa: PLR2004 - (videos, classes)
        names = given if given is not None else tuple(map(str, range(array.shape[1])))
        if len(names) != array.shape[1]:
            raise OptionError(
                f"classes= has {len(names)} names, but labels= has {array.shape[1]} columns; they must agree"
            )
        numbers, counts = np.nonzero(array)[1], np.count_nonzero(array, axis=1)
        starts = np.cumsum(counts) - counts
        return SeveralClasses(len(names), starts, counts, _small(numbers, names)), names
    if array.dtype.kind in "OTU" and array.ndim == 1 and all(isinstance(item, str) for item in array):
        named = given is not None and set(array.tolist()) <= set(given)
        whole = [_INTEGER.fullmatch(item) for item in array]
        if not named and all(whole):
            integers = np.array([int(found[1]) for found in whole if found], np.int64)
            return from_array(integers, given, time_steps=time_steps, key=key)
        numbers, names = _numbered(list(map(str, array)), given, lambda at: f"labels[{at}]", key)
        return OneClass(len(names), numbers), names
    if array.dtype.kind in "iu" and array.shape == (videos,):
        numbers, names = _numbered(array, given, lambda at: f"labels[{at}]", key)
        return OneClass(len(names), numbers), names
    if array.dtype.kind in "iu" and array.shape == (videos, time_steps):
        numbers, names = _numbered(array.ravel(), given, lambda at: f"labels[{at // time_steps}]", key)
        starts = np.arange(videos, dtype=np.int64) * time_steps
        return FrameClasses(len(names), starts, _small(numbers, names)), names
    if array.shape == (videos, 1):
        raise OptionError(f"labels= of shape {array.shape} has one axis too many: give labels[:, 0]")
    frames = "frames" if time_steps < 0 else time_steps
    raise OptionError(
        f"labels= is {array.dtype} of shape {array.shape}: must be integers or strings (videos,), integers "
        f"(videos, {frames}) for classes of frames, bools (videos, classes) for several classes per video, "
        "or floats (videos, ...)"
    )


def of_frames(
    labels: Sequence[Any],
    classes: Sequence[str] | None,
    lengths: NDArray[np.int64],
    *,
    key: Callable[[str], Any] | None = None,
) -> tuple[Labels, tuple[str, ...]]:
    """Encode classes of frames, one integer array per video; the result is like that of `from_array`."""
    rows = [_array(row) for row in labels]
    for at, row in enumerate(rows):
        if row.dtype.kind == "f":
            raise OptionError(
                f"labels[{at}] is {row.dtype} of shape {row.shape}: must be integers (frames,); leave out "
                "labels= and add numbers for each frame by their name, as in "
                "dataset.with_labels('state', values, kind='frame_target')"
            )
        if row.ndim != 1 or row.dtype.kind not in "iu":
            raise OptionError(f"labels[{at}] is {row.dtype} of shape {row.shape}: must be integers (frames,)")
    if len(rows) != len(lengths):
        raise OptionError(f"labels= has {len(rows)} items for {len(lengths)} videos; give one for each video")
    return encode("frame_labels", rows, classes, lengths, lambda at: f"labels[{at}]", key=key)


def _array(labels: object) -> NDArray[Any]:
    refuse_masked(labels, "labels")
    if isinstance(labels, (list, tuple)) and len({isinstance(item, str) for item in labels}) > 1:
        raise OptionError("labels= mixes names with other values: give only names, or only numbers")
    try:
        array = np.asarray(labels)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"labels= is not an array ({error}); for several classes per video, give bools (videos, classes)"
        ) from error
    if not array.size:
        raise OptionError(f"labels= of shape {array.shape} is empty; give one item for each video")
    if not array.ndim:
        raise OptionError(f"labels={labels!r}: must be an array with one item for each video")
    return array


def _refuse_classes(classes: tuple[str, ...] | None) -> None:
    if classes is not None:
        raise OptionError(f"classes={classes!r}: these targets are numbers, not classes; remove classes=")


def _numbered(
    flat: Sequence[Any] | NDArray[Any],
    classes: tuple[str, ...] | None,
    where: Callable[[int], str],
    key: Callable[[str], Any] | None,
    name: str = LABEL,
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return classes, all numbers or all names, as numbers; `where` is called with an index of `flat`."""
    if not len(flat):
        if classes is None:
            raise DataError("no row has a class: name the classes in classes=, or remove the column.")
        return np.zeros(0, np.int64), classes
    if isinstance(flat[0], str):
        return _named(flat, classes, where, key)
    if isinstance(flat, np.ndarray):
        least, most = int(flat.min()), int(flat.max())
    else:
        least, most = min(flat), max(flat)  # Python integers: they may not fit into 64 bits

    def first(number: int) -> str:
        return where(next(at for at, value in enumerate(flat) if value == number))

    _check_numbers(flat, (least, most), classes, first)
    if least > 0 and classes is None:
        _log.warning(
            "The lowest class%s is %d, not 0: classes are numbered from 0, so there are %d classes.",
            "" if name == LABEL else f" of {name!r}",
            least,
            most + 1,
        )
    names = classes if classes is not None else tuple(map(str, range(most + 1)))
    return np.array(flat, np.int64), names


def _check_numbers(
    flat: Sequence[int] | NDArray[Any],
    ends: tuple[int, int],
    classes: tuple[str, ...] | None,
    first: Callable[[int], str],
) -> None:
    """Refuse numbers that are not classes, or are names of other classes; `first` names a number's row."""
    least, most = ends
    if least < 0:
        raise DataError(f"{first(least)}: class {least} is negative; classes are numbered from 0.")
    place = {name: number for number, name in enumerate(classes or ())}
    for number in sorted(map(int, set(flat))) if classes is not None else ():
        if place.get(str(number), number) != number:
            raise DataError(
                f"{first(number)}: class {number}, but in classes= {str(number)!r} is the name of class "
                f"{place[str(number)]}: give labels as str if they are names, or change classes=."
            )
    if classes is not None and most >= len(classes):
        raise DataError(
            f"{first(most)}: class {most}, but classes= has {len(classes)} names, for classes 0 to "
            f"{len(classes) - 1}."
        )
    if most >= _MOST:
        raise DataError(
            f"{first(most)}: class {most} would make {most + 1} classes. If the numbers are ids, give them "
            "as str."
        )


def _named(
    flat: Sequence[Any] | NDArray[Any],
    classes: tuple[str, ...] | None,
    where: Callable[[int], str],
    key: Callable[[str], Any] | None,
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    found = set(flat)
    names = classes if classes is not None else tuple(sorted(found - {""}, key=key))
    number = {name: number for number, name in enumerate(names)}
    if found - number.keys():
        place = next(place for place, name in enumerate(flat) if name not in number)
        raise DataError(
            f"{where(place)}: {flat[place]!r} is not one of the {len(names)} classes {first_few(names)}."
        )
    return np.fromiter(map(number.__getitem__, flat), np.int64, len(flat)), names


def _small(numbers: NDArray[Any], classes: tuple[str, ...]) -> NDArray[Any]:
    """Return classes in the smallest dtype that holds them: there may be one per frame."""
    return numbers.astype(np.min_scalar_type(len(classes)))


def _stacked(values: Sequence[Any]) -> NDArray[Any]:
    floats = {value.dtype for value in values if value.dtype.kind == "f"}
    return np.array(values, np.result_type(*floats) if floats else np.int64)
