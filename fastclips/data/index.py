"""The videos of a dataset: columnar arrays over a storage. Layer B.

The `Index` has one row per video, or per part of a video if a list names parts. Its `keys` are the storage's
own video numbers, so an index of some rows (a split, a selection) has the same storage, and the tickets of
both name the same frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.frame_times import FrameTimes, frames_of_rows, seconds_of
from fastclips.data.labels import Labels, from_array, of_frames
from fastclips.data.names import Names, natural_key
from fastclips.data.splits import select_rows, split_rows
from fastclips.data.storage import Storage
from fastclips.data.streams import MASKS, make_streams, mask_options
from fastclips.errors import DataError, OptionError
from fastclips.options import checked_classes, checked_int, checked_number, first_few

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Hashable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from fastclips.data.columns import Columns
    from fastclips.spec import Stream

__all__ = ["Dataset", "Index"]

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
            times=self.times,
        )

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

    def renamed(self, classes: tuple[str, ...]) -> Index:
        """Return the same videos with labels numbered by `classes`.

        Parameters
        ----------
        classes : tuple of str
            Names of classes, in the order of their numbers. If the present names are numbers and none of them
            is in `classes`, the labels keep their numbers, which `classes` then names.

        Raises
        ------
        OptionError
            The index has no labels of classes.
        DataError
            The class of a video is not in `classes`.
        """
        if self.labels is None or not self.classes:
            raise OptionError(f"classes={classes!r}: the dataset has no labels of classes; remove classes=")
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
        labels = Labels.from_columns(columns, {**meta, "classes_count": len(classes)})
        return replace(self, labels=labels, classes=classes)

    def columns(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the content without the names, which the storage's columns hold, as arrays and JSON."""
        arrays = {f"index.{name}": getattr(self, name) for name in _SAVED if getattr(self, name) is not None}
        meta: dict[str, Any] = {"classes": list(self.classes), "labels": None}
        if self.labels is not None:
            columns, meta["labels"] = self.labels.columns()
            arrays.update({f"labels.{name}": column for name, column in columns.items()})
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
            times=FrameTimes.of(columns),
        )


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Videos with labels, from which a `ClipLoader` takes clips.

    Made by `fastclips.open`, or by `Dataset.of` from a `Storage` of your own. Immutable and picklable.

    Parameters
    ----------
    storage : Storage
        Source of the frames.
    index : Index
        The videos: ``names``, ``frame_counts``, ``labels``, ``classes``, ``fps``; and the times of
        their frames, ``seconds(rows, frames)``.
    streams : tuple of Stream
        The streams of each video, which have the same number of frames.

    Examples
    --------
    >>> data = fc.open("frames")
    >>> data
    <Dataset: 6 videos, 72 frames, 2 classes; image>
    >>> len(data), data.classes, data.index.names[0]
    (6, ('class_0', 'class_1'), 'class_0/video_0')
    >>> training, validation = data.split(validation=1 / 3)
    >>> len(training), len(validation)
    (4, 2)
    """

    storage: Storage
    index: Index
    streams: tuple[Stream, ...]

    @classmethod
    def of(
        cls,
        storage: Storage,
        *,
        frame_counts: Sequence[int] | NDArray[np.integer[Any]],
        names: Iterable[str] | None = None,
        labels: ArrayLike | None = None,
        classes: Iterable[str] | None = None,
        streams: str | Iterable[str] = ("image",),
        masks: str | Iterable[str] = MASKS,
        channels: int | Mapping[str, int] = 3,
        ignore: int = 255,
        fps: float | Sequence[float] | None = None,
    ) -> Dataset:
        """Return a dataset of the videos in a storage.

        Video n of the dataset is video n of the storage, whose frames have the numbers from 0 up to
        ``frame_counts[n] - 1``. No frame is read.

        Parameters
        ----------
        storage : Storage
            Source of the frames.
        frame_counts : sequence of int
            Frames of each video, at least 1.
        names : iterable of str, optional
            Name of each video, all different, such as ``"run/video_7"``. By default ``"0"``, ``"1"``, ...
        labels : array_like, optional
            One item per video: a class number or name, several classes (bools, (videos, classes)), or a float
            target of any shape. Or classes of frames: integers, (videos, frames), or a list of one integer
            array per video.
        classes : iterable of str, optional
            Names of the classes in the order of their numbers. By default, the names in `labels` in natural
            order, or the numbers themselves.
        streams : str or iterable of str
            Names of the streams, as `storage` knows them.
        masks : str or iterable of str
            Names of the streams that are masks, (H, W); the others are pictures, (H, W, C).
        channels : int or mapping of str to int
            Channels of pictures, 3 (RGB) or 1 (gray): of all streams, or by stream.
        ignore : int
            Value of mask pixels without a label, 0 to 255: padding and fill have it.
        fps : float or sequence of float, optional
            Frames per second of all videos, or of each.

        Returns
        -------
        Dataset

        Raises
        ------
        OptionError
            An argument has the wrong type, length or range.
        DataError
            A label is not in `classes`, or out of range.

        See Also
        --------
        Storage : The contract of a storage, with a complete example.
        fastclips.testing.check_storage : Tests a storage.

        Examples
        --------
        >>> class Counting(fc.Storage):
        ...     def read(self, stream, video, frame):
        ...         if not 0 <= frame < 12:
        ...             raise IndexError(frame)
        ...         return np.full((48, 64, 3), 10 * video + frame, np.uint8)
        >>> data = fc.Dataset.of(Counting(), frame_counts=[12] * 10, labels=["run", "walk"] * 5)
        >>> data
        <Dataset: 10 videos, 120 frames, 2 classes; image>
        >>> loader = fc.ClipLoader(data, fc.Windows(4), batch_size=3, shuffle=False, workers=0)
        >>> x, y = next(iter(loader))
        >>> x.shape, y.tolist()
        ((3, 4, 48, 64, 3), [0, 0, 0])
        """
        if not isinstance(storage, Storage):
            raise OptionError(
                f"storage={storage!r:.200}: must be an instance of a subclass of fastclips.Storage"
            )
        counts = _checked_counts(frame_counts)
        stream_names = (streams,) if isinstance(streams, str) else tuple(streams)
        made = make_streams(stream_names, masks, mask_options(None, None, ignore))
        given = channels if isinstance(channels, Mapping) else dict.fromkeys(stream_names, channels)
        made = tuple(s if s.mask else replace(s, channels=_checked_channels(given, s.name)) for s in made)
        found, class_names = None, checked_classes(classes)
        if labels is not None:
            found, class_names = _labels_of(labels, class_names, counts)
            if len(found) != len(counts):
                raise OptionError(
                    f"labels= has {len(found)} items for {len(counts)} videos; give one for each video"
                )
        index = Index(
            names=_checked_names(names, len(counts)),
            keys=np.arange(len(counts), dtype=np.int64),
            starts=np.zeros(len(counts), np.int64),
            frame_counts=counts,
            labels=found,
            classes=class_names or (),
            fps=None if fps is None else _checked_fps(fps, len(counts)),
        )
        return cls(storage, index, made)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of their numbers; empty without labels of classes."""
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
        """Select videos by name, such as the names in the file of an official split.

        Parameters
        ----------
        names : iterable of str, or path
            Names as in ``dataset.index.names``; the extension of a video file, such as ``.avi``, is ignored.
            Or the path of a text file with a name on each line; a label after the name is ignored.

        Returns
        -------
        Dataset
            The videos in the order of the names. A repeated name counts once. If a list names parts of a
            video, all parts of it are selected.

        Raises
        ------
        OptionError
            There is no name, or a name is not a str.
        DataError
            A name matches no video, or the file cannot be read.

        Examples
        --------
        >>> data = fc.open("frames")
        >>> data.select(["class_1/video_3", "class_0/video_0.avi"]).index.names[:]
        ['class_1/video_3', 'class_0/video_0']
        >>> len(data.select("train.txt"))
        6
        """
        return self._take(select_rows(self.index.names, names))

    def split(
        self,
        validation: float,
        seed: int = 0,
        *,
        group: str | Callable[[str], Hashable] | Sequence[Hashable] | None = None,
    ) -> tuple[Dataset, Dataset]:
        """Split the videos at random into training and validation videos.

        Every class gives its share of videos, rounded down or up so that the total is rounded to the nearest
        video. The same videos and seed give the same split on every machine.

        Parameters
        ----------
        validation : float
            Share of validation videos, above 0 and below 1. With `group`, the share of groups.
        seed : int
            From 0 to 2**64 - 1.
        group : str, callable or sequence, optional
            Groups of videos that stay together on one side: a regular expression that is searched in each
            name (the tuple of its groups, or the whole match, is the group's key), a function of the name, or
            a value for each video. Parts of one video always stay together. The class of a group is that of
            its first video.

        Returns
        -------
        training, validation : Dataset
            Both in the order of this dataset, with its storage and its classes.

        Raises
        ------
        OptionError
            An argument is out of range, `group` puts parts of one video into several groups, or one side
            would be empty.

        Examples
        --------
        >>> data = fc.open("frames")
        >>> training, validation = data.split(0.34, seed=1)
        >>> len(training), len(validation), validation.index.labels.per_video.tolist()
        (4, 2, [0, 1])
        >>> sides = data.split(1 / 3, group=lambda name: int(name[-1]) // 2)  # three pairs of videos
        >>> [len(side) for side in sides]
        [4, 2]
        """
        labels = self.index.labels
        numbers = None if labels is None else labels.per_video
        chosen = split_rows(
            self.index.names,
            self.index.keys,
            None if numbers is None else (numbers, len(self.classes)),
            validation,
            seed,
            group,
        )
        return self._take(np.flatnonzero(~chosen)), self._take(np.flatnonzero(chosen))


def _checked_counts(frame_counts: object) -> NDArray[np.int64]:
    if not isinstance(frame_counts, Iterable) or isinstance(frame_counts, (str, Mapping)):
        raise OptionError(f"frame_counts={frame_counts!r}: must be a sequence of int, one for each video")
    counts = [checked_int(count, f"frame_counts[{at}]", 1) for at, count in enumerate(frame_counts)]
    if not counts:
        raise OptionError("frame_counts is empty: must have an item for each video, at least one")
    return np.array(counts, np.int64)


def _checked_names(names: object, videos: int) -> Names:
    if names is None:
        return Names.of(map(str, range(videos)))
    if not isinstance(names, Iterable) or isinstance(names, str):
        raise OptionError(f"names={names!r}: must be a sequence of str, one for each video")
    found: dict[str, int] = {}
    for at, name in enumerate(names):
        if not isinstance(name, str) or not name or "\0" in name:
            raise OptionError(f"names[{at}]={name!r}: must be a str that is not empty and holds no NUL")
        if name in found:
            raise OptionError(f"names[{at}]={name!r}: names[{found[name]}] is the same; names must differ")
        found[name] = at
    if len(found) != videos:
        raise OptionError(
            f"names= has {len(found)} items for {videos} videos of frame_counts=; give one for each"
        )
    return Names.of(found)


def _checked_channels(channels: Mapping[str, int], stream: str) -> int:
    count = channels.get(stream, 3)
    if isinstance(count, bool) or count not in (1, 3):
        raise OptionError(f"channels={count!r} of stream {stream!r}: must be 3 (RGB) or 1 (gray)")
    return int(count)


def _checked_fps(fps: object, videos: int) -> NDArray[np.float64]:
    if not isinstance(fps, Iterable):
        fps = [fps] * videos
    rates = [checked_number(rate, f"fps[{at}]") for at, rate in enumerate(fps)]
    wrong = next((at for at, rate in enumerate(rates) if rate <= 0), None)
    if wrong is not None:
        raise OptionError(f"fps[{wrong}]={rates[wrong]!r}: must be above 0")
    if len(rates) != videos:
        raise OptionError(
            f"fps= has {len(rates)} items for {videos} videos; give one number, or one for each"
        )
    return np.array(rates, np.float64)


def _labels_of(
    labels: object, classes: tuple[str, ...] | None, counts: NDArray[np.int64]
) -> tuple[Labels, tuple[str, ...]]:
    if isinstance(labels, (list, tuple)) and len({np.shape(item) for item in labels if np.ndim(item)}) > 1:
        return of_frames(labels, classes, counts, key=natural_key)
    alike = counts.min() == counts.max()
    return from_array(labels, classes, time_steps=int(counts[0]) if alike else -1, key=natural_key)
