"""Labels: the targets of clips, held as a few flat arrays without a Python object per video.

Labels are encoded once, by `fastclips.data.encoding`, and targets are looked up for every batch. ::

    class numbers or names, numbers, arrays --encode, from_array--> Labels, and the names of the classes
    labels.targets(rows, frames)                                --> targets of a batch

============  ===========================================  =======================================
kind          of each video                                targets of B clips
============  ===========================================  =======================================
label         one class                                    int64 (B,)
labels        any number of classes                        float32 (B, classes), 1 for its classes
frame_labels  a class for each frame                       int64 (B, time_steps)
target        a number or array, all of one shape          (B, ...) of the same shape and dtype
frame_target  a number or array for each frame, all of     float (B, time_steps, ...) of the same
              one shape                                    shape and dtype
============  ===========================================  =======================================

A class is a number from 0: its index among the names of the classes. The `Index` holds the names, since
batches do not need them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from fastclips.errors import DataError
from fastclips.options import first_few

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "FRAMED",
    "KINDS",
    "FrameClasses",
    "FrameValues",
    "Labels",
    "NamedLabels",
    "OneClass",
    "SeveralClasses",
    "Values",
]

KINDS = ("label", "labels", "frame_labels", "target", "frame_target")
FRAMED = ("frame_labels", "frame_target")  # kinds with a value for each frame


@dataclass(frozen=True, eq=False)
class Labels(ABC):
    """The targets of videos, one row per video. Immutable; made by `fastclips.data.encoding`.

    Parameters
    ----------
    classes_count : int
        Number of classes; 0 for numbers, that is ``target`` and ``frame_target``.
    """

    kind: ClassVar[str]
    per_frame: ClassVar[bool] = False  # whether a video has a value for each frame
    _per_row: ClassVar[tuple[str, ...]]  # arrays with one item per video; `take` shares the other arrays

    classes_count: int

    @staticmethod
    def of_classes(numbers: NDArray[np.int64], count: int) -> Labels:
        """Return labels of one class per video: `numbers`, int64 (videos,), each below `count`."""
        return OneClass(count, numbers)

    @staticmethod
    def from_columns(columns: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Labels:
        """Return the labels that `columns` saved; raise DataError if they are of an unknown kind."""
        kind = _KINDS.get(meta.get("kind", ""))
        if kind is None or {"classes_count", *columns} != {field.name for field in fields(kind)}:
            raise DataError(
                f"saved labels have the unknown kind {meta.get('kind')!r} or columns "
                f"{first_few(sorted(columns))}: save them again"
            )
        labels: Labels = kind(classes_count=meta["classes_count"], **columns)
        return labels

    def columns(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the content as arrays of numbers and a JSON-able dict."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        return arrays, {"kind": self.kind, "classes_count": arrays.pop("classes_count")}

    def __len__(self) -> int:
        return len(getattr(self, self._per_row[0]))

    def take(self, rows: NDArray[np.int64]) -> Labels:
        """Return the labels of some rows, in their order, with the same classes."""
        return replace(self, **{name: getattr(self, name)[rows] for name in self._per_row})

    @staticmethod
    def joined(several: Sequence[Labels]) -> Labels:
        """Return the labels of the rows of several in their order.

        Parameters
        ----------
        several : sequence of Labels
            At least one; all of one kind, numbered by the same classes, or with values of one shape and
            dtype.
        """
        first = several[0]
        columns: dict[str, Any] = {}
        per_row = first._per_row  # noqa: SLF001 - of this class
        shared = [field.name for field in fields(first) if field.name not in ("classes_count", *per_row)]
        begins = np.zeros(len(several), np.int64)
        for name in shared:  # the one array that `starts` count in, which splits of a dataset share
            arrays = [getattr(labels, name) for labels in several]
            once = {id(array): array for array in arrays}
            places = dict(zip(once, np.cumsum([0, *map(len, once.values())]), strict=False))
            begins = np.array([places[id(array)] for array in arrays])
            columns[name] = np.concatenate([np.asarray(array) for array in once.values()])
        for name in per_row:
            parts = [np.asarray(getattr(labels, name)) for labels in several]
            if name == "starts":
                parts = [part + begin for part, begin in zip(parts, begins, strict=True)]
            columns[name] = np.concatenate(parts)
        return replace(first, **columns)

    @abstractmethod
    def targets(self, rows: NDArray[np.int64], frames: NDArray[np.int32]) -> NDArray[Any]:
        """Return the targets of clips.

        Parameters
        ----------
        rows : ndarray of int64, shape (clips,)
            The row of each clip's video.
        frames : ndarray of int32, shape (clips, time_steps)
            Frames of the video, from 0; ``~frame`` for a frame repeated as padding.

        Returns
        -------
        ndarray
            A new array, as in the module's table.
        """

    @property
    def per_video(self) -> NDArray[np.int64] | None:
        """Class of each video, shape (videos,), or None unless each video has exactly one class."""
        return None


@dataclass(frozen=True, eq=False)
class OneClass(Labels):
    """Class of video v: ``numbers[v]``."""

    kind = "label"
    _per_row = ("numbers",)

    numbers: NDArray[np.int64]

    def targets(self, rows: NDArray[np.int64], frames: NDArray[np.int32]) -> NDArray[Any]:  # noqa: ARG002, D102 - as of all
        return self.numbers[rows]

    @property
    def per_video(self) -> NDArray[np.int64]:  # noqa: D102 - as of all
        return self.numbers


@dataclass(frozen=True, eq=False)
class SeveralClasses(Labels):
    """Classes of video v: ``numbers[starts[v] : starts[v] + counts[v]]``."""

    kind = "labels"
    _per_row = ("starts", "counts")

    starts: NDArray[np.int64]
    counts: NDArray[np.int64]
    numbers: NDArray[Any]

    def targets(self, rows: NDArray[np.int64], frames: NDArray[np.int32]) -> NDArray[Any]:  # noqa: ARG002, D102 - as of all
        counts = self.counts[rows]
        clips = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(len(clips)) - np.repeat(np.cumsum(counts) - counts, counts)
        out = np.zeros((len(rows), self.classes_count), np.float32)
        out[clips, self.numbers[self.starts[rows][clips] + within]] = 1
        return out


@dataclass(frozen=True, eq=False)
class FrameClasses(Labels):
    """Class of frame f of video v: ``numbers[starts[v] + f]``."""

    kind = "frame_labels"
    per_frame = True
    _per_row = ("starts",)

    starts: NDArray[np.int64]
    numbers: NDArray[Any]

    def targets(self, rows: NDArray[np.int64], frames: NDArray[np.int32]) -> NDArray[Any]:  # noqa: D102 - as of all
        shown = np.where(frames < 0, ~frames, frames)
        return self.numbers[self.starts[rows][:, None] + shown].astype(np.int64)


@dataclass(frozen=True, eq=False)
class Values(Labels):
    """Number or array of video v: ``values[v]``."""

    kind = "target"
    _per_row = ("values",)

    values: NDArray[Any]

    def targets(self, rows: NDArray[np.int64], frames: NDArray[np.int32]) -> NDArray[Any]:  # noqa: ARG002, D102 - as of all
        return self.values[rows]


@dataclass(frozen=True, eq=False)
class FrameValues(Labels):
    """Number or array of frame f of video v: ``values[starts[v] + f]``."""

    kind = "frame_target"
    per_frame = True
    _per_row = ("starts",)

    starts: NDArray[np.int64]
    values: NDArray[Any]

    def targets(self, rows: NDArray[np.int64], frames: NDArray[np.int32]) -> NDArray[Any]:  # noqa: D102 - as of all
        shown = np.where(frames < 0, ~frames, frames)
        return self.values[self.starts[rows][:, None] + shown]


_KINDS: dict[str, type[Any]] = {
    kind.kind: kind for kind in (OneClass, SeveralClasses, FrameClasses, Values, FrameValues)
}


class NamedLabels(NamedTuple):
    """Labels, and the names of their classes.

    Parameters
    ----------
    labels : Labels
        The targets.
    classes : tuple of str
        Names of the classes in the order of their numbers; empty for numbers.
    """

    labels: Labels
    classes: tuple[str, ...]

    def renamed(self, classes: tuple[str, ...]) -> NamedLabels:
        """Return the same labels of classes, numbered by `classes`.

        Parameters
        ----------
        classes : tuple of str
            Names of classes, in the order of their numbers. If the present names are numbers and none of them
            is in `classes`, the labels keep their numbers, which `classes` then names.

        Raises
        ------
        DataError
            The class of a video is not in `classes`.
        """
        if classes == self.classes:
            return self
        place = {name: number for number, name in enumerate(classes)}
        numbered = all(name == str(number) for number, name in enumerate(self.classes))
        if numbered and not place.keys() & set(self.classes):
            place = {name: number for number, name in enumerate(self.classes[: len(classes)])}
        columns, meta = self.labels.columns()
        used = np.unique(columns["numbers"]).tolist()
        unknown = [self.classes[number] for number in used if self.classes[number] not in place]
        if unknown:
            raise DataError(f"classes= must name {first_few(unknown)}; it has {first_few(classes)}.")
        table = np.array([place.get(name, 0) for name in self.classes], np.int64)
        columns["numbers"] = table[columns["numbers"]]
        return NamedLabels(Labels.from_columns(columns, {**meta, "classes_count": len(classes)}), classes)
