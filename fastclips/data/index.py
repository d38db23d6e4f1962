"""The videos of a dataset: columnar arrays beside a storage. Layer B.

The `Index` has one row per video, or per part of a video if a list names parts. Its `keys` are the storage's
own video numbers, so an index of some rows (a split, a selection) has the same storage, and the tickets of
both name the same frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.frame_times import FrameTimes, frames_of_rows, seconds_of
from fastclips.data.labels import Labels, NamedLabels
from fastclips.errors import OptionError
from fastclips.reserved import LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from fastclips.data.columns import Columns
    from fastclips.data.names import Names

__all__ = ["Index", "find_runs"]

_FAR = 2**32  # above any number of a frame
_SAVED = ("keys", "starts", "frame_counts", "fps")  # columns without the labels


@dataclass(frozen=True, eq=False)
class Index:
    """Columns with one row per video.

    Parameters
    ----------
    names : Names
        Path of each video relative to the root, such as ``"class_a/v1"``. Parts of one video have the same
        name.
    keys : ndarray of int64, shape (videos,)
        The storage's number of each video.
    starts : ndarray of int64, shape (videos,)
        First frame of each row in the storage's video.
    frame_counts : ndarray of int64, shape (videos,)
        Frames of each row, at least 1.
    labels : Labels or None
        The targets of each row.
    classes : tuple of str
        Names of the classes. After a split, a class may have no video.
    fps : ndarray of float64, shape (videos,), or None
        Frames per second of each row.
    named : dict of str to NamedLabels
        Further labels of each row, by name: their `labels` and `classes`.
    times : FrameTimes or None
        Times of all frames of the storage's videos, by the storage's numbers, as video files have them.
    """

    names: Names = field(repr=False)
    keys: NDArray[np.int64]
    starts: NDArray[np.int64]
    frame_counts: NDArray[np.int64]
    labels: Labels | None
    classes: tuple[str, ...]
    fps: NDArray[np.float64] | None = None
    named: Mapping[str, NamedLabels] = field(default_factory=dict)
    times: FrameTimes | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: NDArray[np.int64]) -> Index:
        """Return an index of some rows, in their order, with the same classes."""
        return Index(
            names=self.names.take(rows),
            keys=self.keys[rows],
            starts=self.starts[rows],
            frame_counts=self.frame_counts[rows],
            labels=None if self.labels is None else self.labels.take(rows),
            classes=self.classes,
            fps=None if self.fps is None else self.fps[rows],
            named={
                name: NamedLabels(labels.take(rows), classes)
                for name, (labels, classes) in self.named.items()
            },
            times=self.times,
        )

    @property
    def every_label(self) -> dict[str, NamedLabels]:
        """All labels by name, of which ``"label"`` is the first, if the index has it."""
        first = {} if self.labels is None else {LABEL: NamedLabels(self.labels, self.classes)}
        return {**first, **self.named}

    def seconds(self, rows: ArrayLike, frames: ArrayLike) -> NDArray[np.float64]:
        """Return when frames are shown, in seconds from the first frame of the whole video.

        The time of a video file's frame is its presentation time minus that of the file's first frame, exact
        for variable rates. Without such times, frame f of the whole video is shown at f / fps.

        Parameters
        ----------
        rows : array_like of int
            Rows of the index, from 0: a number, or the first dimensions of `frames`, such as (clips,).
        frames : array_like of int
            Frames of the rows, such as (clips, T), from the row's first; padding, ``~f``, counts as f.

        Returns
        -------
        ndarray of float64, of the shape of `frames`

        Raises
        ------
        OptionError
            The times are unknown and there is no fps, or a row or a frame does not exist.

        Examples
        --------
        >>> data = fc.open([{"path": "class_0/video_0", "start": 2, "fps": 10}], root="frames")
        >>> data.index.seconds([0], [[0, 5, ~5]])
        array([[0.2, 0.7, 0.7]])
        """
        of, shown = frames_of_rows(rows, frames, self.frame_counts)
        return seconds_of(self.times, self.fps, self.names, of, self.keys[of], self.starts[of] + shown)

    def renamed(self, classes: Mapping[str, tuple[str, ...]]) -> Index:
        """Return the same videos with labels numbered by other classes.

        Parameters
        ----------
        classes : mapping of str to tuple of str
            Names of the classes by the name of the labels, as for `NamedLabels.renamed`.

        Raises
        ------
        OptionError
            The index has no such labels, or they are numbers.
        DataError
            The class of a video is not in `classes`.
        """
        labels = self.every_label
        for name, names in classes.items():
            if name not in labels or not labels[name].classes:
                which = "" if name == LABEL else f" called {name!r}"
                raise OptionError(
                    f"classes={names!r}: the dataset has no labels of classes{which}; remove classes="
                )
            labels[name] = labels[name].renamed(names)
        return self.labelled(labels)

    def labelled(self, labels: Mapping[str, NamedLabels]) -> Index:
        """Return the same videos with these labels, by name, and no others."""
        named = dict(labels)
        first, classes = named.pop(LABEL, (None, self.classes if self.labels is None else ()))
        return replace(self, labels=first, classes=classes, named=named)

    def columns(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the content without the names, which the storage's columns hold, as arrays and JSON."""
        arrays = {f"index.{name}": getattr(self, name) for name in _SAVED if getattr(self, name) is not None}
        meta: dict[str, Any] = {"classes": list(self.classes), "labels": None}
        if self.labels is not None:
            columns, meta["labels"] = self.labels.columns()
            arrays.update({f"labels.{name}": column for name, column in columns.items()})
        for number, (name, (labels, classes)) in enumerate(self.named.items()):
            columns, saved = labels.columns()
            arrays.update({f"named.{number}.{key}": column for key, column in columns.items()})
            meta.setdefault("named", []).append({"name": name, "labels": saved, "classes": list(classes)})
        if self.times is not None:
            arrays.update(self.times.columns())
        return arrays, meta

    @classmethod
    def from_columns(cls, columns: Columns, videos: Names) -> Index:
        """Return the index of a file.

        Parameters
        ----------
        columns : Columns
            Holds what the method `columns` returned. The arrays are not copied.
        videos : Names
            Names of the storage's videos, by its own numbers.

        Raises
        ------
        DataError, KeyError, TypeError, ValueError
            The columns do not hold an index.
        """
        labels = None
        if columns.meta["labels"] is not None:
            labels = _labels_from(columns, "labels.", columns.meta["labels"])
        named = {
            meta["name"]: NamedLabels(
                _labels_from(columns, f"named.{number}.", meta["labels"]), tuple(meta["classes"])
            )
            for number, meta in enumerate(columns.meta.get("named", ()))
        }
        keys = columns["index.keys"]
        whole = len(keys) == len(videos) and bool((keys == np.arange(len(keys))).all())
        return cls(
            names=videos if whole else videos.take(keys),
            keys=keys,
            starts=columns["index.starts"],
            frame_counts=columns["index.frame_counts"],
            labels=labels,
            classes=tuple(columns.meta["classes"]),
            fps=columns.get("index.fps"),
            named=named,
            times=FrameTimes.of(columns),
        )


def _labels_from(columns: Columns, prefix: str, meta: Mapping[str, Any]) -> Labels:
    found = {name.removeprefix(prefix): column for name, column in columns.items() if name.startswith(prefix)}
    return Labels.from_columns(found, meta)


def find_runs(
    videos: NDArray[np.int64], starts: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the runs of frames that rows show, each frame in one of them.

    Parameters
    ----------
    videos, starts, counts : ndarray of int64, (rows,)
        Video, first frame and number of frames of each row; rows may overlap.

    Returns
    -------
    ndarray of int64, (runs, 3)
        Video, first frame, and the frame after the last; ordered.
    """
    order = np.lexsort((starts, videos))
    videos, starts, ends = videos[order], starts[order], (starts + counts)[order]
    _, place = np.unique(videos, return_inverse=True)
    reached = np.maximum.accumulate(place * _FAR + ends)  # no row reaches into the next video
    begins = np.ones(len(videos), np.bool_)
    begins[1:] = place[1:] * _FAR + starts[1:] > reached[:-1]
    firsts = np.flatnonzero(begins)
    lasts = np.append(firsts[1:], len(videos)) - 1
    ends = reached[lasts] - place[firsts] * _FAR
    return np.stack([videos[firsts], starts[firsts], ends], axis=1)
