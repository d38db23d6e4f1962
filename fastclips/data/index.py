"""Which videos there are: layer B, columnar arrays over a storage.

The `Index` has one row per video, or per part of a video where a list says so. Its `keys` are the storage's
own numbers, so taking rows (a split, a choice) makes a new index over the same storage, and tickets stay
valid for both.

**Splitting** is by video, or by groups of videos: windows of one video overlap, and parts of one video
resemble each other, so a cut through it would leak frames.
"""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.labels import Labels
from fastclips.data.scan import without_video_extension
from fastclips.errors import DataError, OptionError
from fastclips.options import checked_int, first_few

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fastclips.data.columns import Columns
    from fastclips.data.names import Names
    from fastclips.data.storage import Storage
    from fastclips.spec import Stream

__all__ = ["Dataset", "Index"]

_SAVED = ("keys", "starts", "frame_counts", "fps")  # columns beside the labels
_SPLIT = 0x73706C6974  # second word of the key of a split's draws, so that no other draw shares its stream


@dataclass(frozen=True, eq=False)
class Index:
    """One row per video.

    Parameters
    ----------
    names : Names
        Each video's path under the root, such as ``"class_a/v1"``; parts of one video share it.
    keys : ndarray of int64, shape (videos,)
        The storage's number of each video.
    starts : ndarray of int64, shape (videos,)
        Where each begins in the storage's video.
    frame_counts : ndarray of int64, shape (videos,)
        Frames of each video, at least 1.
    labels : Labels or None
        What there is to learn about each.
    classes : tuple of str
        Names of the classes; after a split some may have no video.
    fps : ndarray of float64, shape (videos,), or None
        Frames of each per second.
    """

    names: Names = field(repr=False)
    keys: NDArray[np.int64]
    starts: NDArray[np.int64]
    frame_counts: NDArray[np.int64]
    labels: Labels | None
    classes: tuple[str, ...]
    fps: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: NDArray[np.int64]) -> Index:
        """Return an index of some rows, in their order, with the same classes.

        Parameters
        ----------
        rows : ndarray of int64
            Row numbers.

        Returns
        -------
        Index
        """
        return Index(
            names=self.names.take(rows),
            keys=self.keys[rows],
            starts=self.starts[rows],
            frame_counts=self.frame_counts[rows],
            labels=None if self.labels is None else self.labels.take(rows),
            classes=self.classes,
            fps=None if self.fps is None else self.fps[rows],
        )

    def renamed(self, classes: tuple[str, ...]) -> Index:
        """Return the same videos, whose labels are numbered by other names of the classes.

        Parameters
        ----------
        classes : tuple of str
            The names. Where none of them is that of a class here, and these are only numbers, the numbers
            stay and get names.

        Returns
        -------
        Index

        Raises
        ------
        OptionError
            There are no labels, or none of classes.
        DataError
            A class that a video has is not among the names.
        """
        if self.labels is None or not self.classes:
            raise OptionError(f"classes={classes!r}: names classes, but there are no labels of classes")
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
            raise DataError(f"classes= lacks {first_few(unknown)}; it has {first_few(classes)}.")
        table = np.array([place.get(name, 0) for name in self.classes], np.int64)
        columns["numbers"] = table[columns["numbers"]]
        labels = Labels.from_columns(columns, {**meta, "classes_count": len(classes)})
        return replace(self, labels=labels, classes=classes)

    def columns(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the content, to be saved beside its storage's, which has the names.

        Returns
        -------
        columns : dict of str to ndarray
            Numbers only.
        meta : dict
            The rest, JSON-able.
        """
        arrays = {f"index.{name}": getattr(self, name) for name in _SAVED if getattr(self, name) is not None}
        meta: dict[str, Any] = {"classes": list(self.classes), "labels": None}
        if self.labels is not None:
            columns, meta["labels"] = self.labels.columns()
            arrays.update({f"labels.{name}": column for name, column in columns.items()})
        return arrays, meta

    @classmethod
    def from_columns(cls, columns: Columns, videos: Names) -> Index:
        """Make an index of what `columns` returned.

        Parameters
        ----------
        columns : Columns
            The arrays, which are not copied, and the rest; there may be more beside.
        videos : Names
            Those of the storage, by its own numbers.

        Returns
        -------
        Index

        Raises
        ------
        DataError, KeyError, TypeError, ValueError
            They are not those of an index.
        """
        labels = None
        if columns.meta["labels"] is not None:
            found = {name[7:]: column for name, column in columns.items() if name.startswith("labels.")}
            labels = Labels.from_columns(found, columns.meta["labels"])
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
        )


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Videos that clips can be taken from. Picklable; made by `fastclips.open`.

    Parameters
    ----------
    storage : Storage
        Where the frames' bytes are.
    index : Index
        The videos.
    streams : tuple of Stream
        What each video has a frame of at every place.
    """

    storage: Storage
    index: Index
    streams: tuple[Stream, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their labels; none where there are no labels of classes."""
        return self.index.classes

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        streams = ", ".join(stream.name + " (mask)" * stream.mask for stream in self.streams)
        frames = int(self.index.frame_counts.sum())
        return f"<Dataset: {len(self)} videos, {frames} frames, {len(self.classes)} classes; {streams}>"

    def _take(self, rows: NDArray[np.int64]) -> Dataset:
        return Dataset(self.storage, self.index.take(rows), self.streams)

    def select(self, names: str | os.PathLike[str] | Iterable[str]) -> Dataset:
        """Choose videos by name, as the files of an official split list them.

        Parameters
        ----------
        names : iterable of str, or path
            Names as in ``dataset.index.names``; the extension of a video file, ``.avi`` say, is ignored. Or a
            text file with a name on each line, and perhaps a label after it, which is ignored too.

        Returns
        -------
        Dataset
            In the order of the names; of a name that stands twice, once; of a video in parts, all parts.

        Raises
        ------
        OptionError
            There are no names, or what is none.
        DataError
            A name is of no video; the file cannot be read.
        """
        wanted = _lines(names) if isinstance(names, (str, os.PathLike)) else _names(names)
        if not wanted:
            raise OptionError(f"select: there are no names in {names!r}")
        rows: dict[str, list[int]] = {}
        for row, name in enumerate(self.index.names):
            rows.setdefault(name, []).append(row)
        chosen: dict[str, list[int]] = {}
        unknown: list[str] = []
        for spellings in wanted:
            found = next((name for text in spellings for name in _spellings(text) if name in rows), None)
            if found is None:
                unknown.append(spellings[0])
            else:
                chosen[found] = rows[found]
        if unknown:
            raise DataError(
                f"select: {len(unknown)} of {len(wanted)} names are of no video: {first_few(unknown)}. Names "
                f"here look like {first_few(self.index.names[:2])}."
            )
        return self._take(np.concatenate([np.array(some, np.int64) for some in chosen.values()]))

    def split(
        self,
        validation: float,
        seed: int = 0,
        *,
        group: str | Callable[[str], Hashable] | Sequence[Hashable] | None = None,
    ) -> tuple[Dataset, Dataset]:
        """Split the videos into those to train on and those to validate on.

        Every class gives its share, rounded down or up so that the whole share is right to half a video.
        The same videos and seed give the same split on every machine.

        Parameters
        ----------
        validation : float
            Share of the videos to validate on, between 0 and 1; of the groups, if there are any.
        seed : int
            At least 0 and below 2**64.
        group : str, callable or sequence, optional
            Which videos belong together, and never come on both sides: a regular expression that is searched
            in each name (its groups count, or all of it if it has none), a function of the name, or a value
            for each video. Parts of one video always belong together. A group counts for the class of its
            first video.

        Returns
        -------
        training, validation : Dataset
            Both in this dataset's order, with its storage and its classes.

        Raises
        ------
        OptionError
            An argument is out of range, `group` puts parts of one video into several groups, or there are too
            few videos for either half.
        """
        if isinstance(validation, bool) or not isinstance(validation, Real) or not 0 < validation < 1:
            raise OptionError(f"validation={validation!r} must lie between 0 and 1, as in validation=0.2.")
        seed = checked_int(seed, "seed", 0, 2**64)
        first, of_row = self._groups(group)
        total, unit = round(validation * len(first)), "videos" if group is None else "groups"
        if total in (0, len(first)):
            raise OptionError(
                f"validation={validation!r} of {len(first)} {unit} leaves {len(first) - total} to train on "
                f"and {total} to validate on: each needs one or more. Change validation= or add videos."
            )
        labels = None if self.index.labels is None else self.index.labels.per_video
        of_group = np.zeros(len(first), np.int64) if labels is None else labels[first]
        classes = max(len(self.classes), 1) if labels is not None else 1
        chosen = _stratified(of_group, classes, float(validation), total, seed)[of_row]
        return self._take(np.flatnonzero(~chosen)), self._take(np.flatnonzero(chosen))

    def _groups(
        self, group: str | Callable[[str], Hashable] | Sequence[Hashable] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first row of each group, and the group of each row; groups count in order of rows."""
        if group is None:
            of_row: NDArray[Any] = self.index.keys
        else:
            numbers: dict[Hashable, int] = {}
            of_row = np.array(
                [numbers.setdefault(key, len(numbers)) for key in self._group_keys(group)], np.int64
            )
            order = np.lexsort((of_row, self.index.keys))
            keys, groups = self.index.keys[order], of_row[order]
            torn = np.flatnonzero((keys[1:] == keys[:-1]) & (groups[1:] != groups[:-1]))
            if len(torn):
                raise OptionError(
                    f"group= puts parts of {self.index.names[order[torn[0]]]!r} into several groups: they "
                    "show the same video and must stay together."
                )
        _, first, inverse = np.unique(of_row, return_index=True, return_inverse=True)
        place = np.argsort(np.argsort(first))
        return np.sort(first), place[inverse]

    def _group_keys(self, group: str | Callable[[str], Hashable] | Sequence[Hashable]) -> list[Hashable]:
        names = self.index.names
        if callable(group):
            return _hashable([group(name) for name in names])
        if isinstance(group, str):
            try:
                search = re.compile(group).search
            except re.error as error:
                raise OptionError(f"group={group!r}: is no regular expression ({error})") from None
            found = [search(name) for name in names]
            if not all(found):
                raise OptionError(f"group={group!r}: finds nothing in {names[found.index(None)]!r}")
            return [match.groups() or match[0] for match in found if match]
        if not isinstance(group, Iterable):
            raise OptionError(
                f"group={group!r}: must be a regular expression, as text, a function, or a value for each "
                "video"
            )
        keys = _hashable(group.tolist() if isinstance(group, np.ndarray) else list(group))
        if len(keys) != len(self):
            raise OptionError(f"group= has {len(keys)} values for {len(self)} videos; give one for each")
        return keys


def _hashable(keys: list[Hashable]) -> list[Hashable]:
    wrong = [key for key in keys if not isinstance(key, Hashable)]
    if wrong:
        raise OptionError(
            f"group= gives {wrong[0]!r} for a video: must be a number, a text or a tuple of these"
        )
    return keys


def _names(names: Iterable[str]) -> list[tuple[str, ...]]:
    try:
        found = list(names)
    except TypeError:
        found = [names]  # type: ignore[list-item]
    wrong = [name for name in found if not isinstance(name, str)]
    if wrong:
        raise OptionError(f"select takes the names of videos or a path, not {wrong[0]!r}")
    return [(name,) for name in found]


def _lines(path: str | os.PathLike[str]) -> list[tuple[str, ...]]:
    """Return what may be the name on each line of a file: all of the line, or without its last word."""
    try:
        text = Path(path).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"cannot read {os.fspath(path)!r}: {why}. select takes names, or a text file with one on a line."
        ) from None
    lines = filter(None, map(str.strip, text.splitlines()))
    return [(line, *line.rsplit(None, 1)[:-1]) for line in lines]


def _spellings(name: str) -> tuple[str, ...]:
    bare = name.removeprefix("./").rstrip("/")
    return bare, without_video_extension(bare)


def _stratified(
    labels: NDArray[np.int64], classes: int, share: float, total: int, seed: int
) -> NDArray[np.bool_]:
    """Choose `total` rows, from each class its share rounded down or up, as a mask."""
    # Raw words, since NumPy promises the same Generator methods for no two of its versions.
    draws = np.random.Philox(key=np.array([seed, _SPLIT], np.uint64)).random_raw(len(labels) + classes)
    of_row, of_class = draws[: len(labels)], draws[len(labels) :]

    sizes = np.bincount(labels, minlength=classes)
    quotas = share * sizes
    takes = np.floor(quotas).astype(np.int64)
    # Largest remainders round up; equal ones by lot, or the first classes would always win.
    most_short = np.lexsort((of_class, takes - quotas))
    takes[most_short[: total - int(takes.sum())]] += 1

    order = np.lexsort((of_row, labels))
    place_in_class = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen = np.zeros(len(labels), np.bool_)
    chosen[order] = place_in_class < takes[labels[order]]
    return chosen
