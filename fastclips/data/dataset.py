"""`Dataset`: a storage and the index of its videos, from which loaders take clips. Layer B."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.checks import (
    check_label_name,
    check_named_once,
    checked_channels,
    checked_counts,
    checked_fps,
    checked_names,
    labels_of,
    named_labels,
)
from fastclips.data.index import Index
from fastclips.data.splits import select_rows, split_rows
from fastclips.data.storage import Storage
from fastclips.data.streams import MASKS, make_streams, mask_options, streams_of_kinds
from fastclips.errors import OptionError
from fastclips.options import checked_classes
from fastclips.reserved import SET

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Hashable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from fastclips.data.sets import Sets
    from fastclips.spec import StreamSpec

__all__ = ["Dataset"]

_SHOWN = 8  # weights in a repr


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Videos with labels, from which a `ClipLoader` takes clips.

    Made by `fastclips.open`, or by `Dataset.of` from a `Storage` of your own. Immutable and picklable.

    Parameters
    ----------
    storage : Storage
        Source of the frames.
    index : Index
        The videos: ``names``, ``frame_counts``, ``labels``, ``classes``, ``fps``, ``named``.
    streams : tuple of StreamSpec
        The streams of each video, which have the same number of frames.
    mixed : Sets, optional
        How the rows of the index are divided into the sets of a mix.

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
    streams: tuple[StreamSpec, ...]
    mixed: Sets | None = None

    @classmethod
    def of(
        cls,
        storage: Storage,
        *,
        frame_counts: Sequence[int] | NDArray[np.integer[Any]],
        names: Iterable[str] | None = None,
        labels: ArrayLike | None = None,
        classes: Iterable[str] | None = None,
        streams: str | Iterable[str] | Mapping[str, str] = ("image",),
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
            array per video. `with_labels` adds numbers for each frame, and further labels.
        classes : iterable of str, optional
            Names of the classes in the order of their numbers. By default, the names in `labels` in natural
            order, or the numbers themselves.
        streams : str, iterable of str, or mapping of str to str
            Names of the streams, as `storage` knows them. A mapping gives the kind of each, ``"image"``,
            ``"mask"``, ``"flow"`` or ``"depth"``, as for `Stream`; their frames may then differ in size.
        masks : str or iterable of str
            Names of the streams that are masks, (H, W); the others are pictures, (H, W, C). Not with a
            mapping.
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
        counts = checked_counts(frame_counts)
        stream_names = (streams,) if isinstance(streams, str) else tuple(streams)
        mask = mask_options(None, None, ignore)
        if isinstance(streams, Mapping):
            made = streams_of_kinds(streams, masks, mask)
        else:
            made = make_streams(stream_names, masks, mask)
        given = channels if isinstance(channels, Mapping) else dict.fromkeys(stream_names, channels)
        made = tuple(
            replace(s, channels=checked_channels(given, s.name)) if s.kind == "image" else s for s in made
        )
        found, class_names = None, checked_classes(classes)
        if labels is not None:
            found, class_names = labels_of(labels, class_names, counts)
            if len(found) != len(counts):
                raise OptionError(
                    f"labels= has {len(found)} items for {len(counts)} videos; give one for each video"
                )
        index = Index(
            names=checked_names(names, len(counts)),
            keys=np.arange(len(counts), dtype=np.int64),
            starts=np.zeros(len(counts), np.int64),
            frame_counts=counts,
            labels=found,
            classes=class_names or (),
            fps=None if fps is None else checked_fps(fps, len(counts)),
        )
        return cls(storage, index, made)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of ``"label"`` in the order of their numbers; empty without such classes."""
        return self.index.classes

    def classes_of(self, name: str) -> tuple[str, ...]:
        """Return the names of the classes of some labels.

        Parameters
        ----------
        name : str
            Name of the labels, such as ``"verb"``; ``"label"`` has the classes of `classes`.

        Returns
        -------
        tuple of str
            In the order of their numbers; empty for numbers.

        Raises
        ------
        OptionError
            There are no labels of this name.

        Examples
        --------
        >>> data = fc.open("frames").with_labels("hand", ["left", "right"] * 3, kind="label")
        >>> data.classes_of("hand"), data.classes_of("label")
        (('left', 'right'), ('class_0', 'class_1'))
        """
        labels = self.index.every_label
        if name not in labels:
            raise OptionError(
                f"name={name!r}: must be the name of labels; this dataset has "
                f"{', '.join(map(repr, labels)) or 'none'}"
            )
        return labels[name].classes

    def with_labels(
        self,
        name: str,
        values: Sequence[Any] | NDArray[Any] | Mapping[str, Any],
        *,
        kind: str,
        classes: Iterable[str] | None = None,
    ) -> Dataset:
        """Return the dataset with further labels, which `ClipLoader` serves under their name.

        Parameters
        ----------
        name : str
            Name of the labels, such as ``"verb"``; not that of a stream or of other labels. ``"label"`` makes
            them those of `classes`, `split` and ``targets="auto"``, if the dataset has none.
        values : sequence or mapping of str to values
            A value for each row of ``dataset.index``, or a mapping by the names of all videos. A value is as
            in the column of a list: see `fastclips.open`.
        kind : {"label", "labels", "frame_labels", "target", "frame_target"}
            A class of each video, several classes, a class for each frame, an array of numbers for each video
            (all of one shape), or an array (frames, ...) of numbers for each of its frames.
        classes : iterable of str, optional
            Names of the classes in the order of their numbers, such as ``train.classes_of("verb")``. By
            default the names in `values` in natural order, or the numbers themselves.

        Returns
        -------
        Dataset

        Raises
        ------
        OptionError
            The name is taken or reserved, `kind` is unknown, or `classes` does not fit.
        DataError
            There is not one value for each video, or a value is not of this kind or not finite.

        Examples
        --------
        The state of a robot, 7 numbers for each of the 12 frames of 6 videos:

        >>> states = np.zeros((6, 12, 7), np.float32)
        >>> data = fc.open("frames").with_labels("state", states, kind="frame_target")
        >>> data
        <Dataset: 6 videos, 72 frames, 2 classes; image; label, state>
        >>> loader = fc.ClipLoader(data, fc.Windows(4), targets=("label", "state"), batch_size=8, workers=0)
        >>> x, y = next(iter(loader))
        >>> y["label"].shape, y["state"].shape
        ((8,), (8, 4, 7))
        """
        check_label_name(name, [stream.name for stream in self.streams], "name")
        if name in self.index.every_label:
            raise OptionError(f"name={name!r}: the dataset has such labels already; give another name")
        if self.mixed is not None:
            if name == SET:
                raise OptionError(f"name={name!r}: is a column of plan_table() of a mix; give another name")
            if isinstance(values, Mapping):
                check_named_once(self.index.names, self.index.keys)
        made = named_labels(name, values, kind, classes, self.index.names, self.index.frame_counts)
        return replace(self, index=self.index.labelled({**self.index.every_label, name: made}))

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        kinds = (f" ({s.kind})" if s.kind != "image" else "" for s in self.streams)
        streams = ", ".join(stream.name + kind for stream, kind in zip(self.streams, kinds, strict=True))
        frames = int(self.index.frame_counts.sum())
        labels = f"; {', '.join(self.index.every_label)}" if self.index.named else ""
        classes = f"{len(self.classes)} classes"
        return (
            f"<Dataset: {len(self)} videos, {frames} frames, {classes}; {streams}{labels}{self._divided()}>"
        )

    def _divided(self) -> str:
        if self.mixed is None:
            return ""
        shown = f"; {len(self.mixed.counts)} sets"
        if (weights := self.mixed.weights) is not None:
            more = ":..." if len(weights) > _SHOWN else ""
            shown += f", weights {':'.join(f'{weight:g}' for weight in weights[:_SHOWN])}{more}"
        if (clips := self.mixed.clips_per_epoch) is not None:
            shown += f", {clips} clips per epoch"
        return shown

    @property
    def sets(self) -> tuple[Dataset, ...]:
        """The data sets of a mix, each with the classes of all; of another dataset, itself.

        Examples
        --------
        >>> first, second = fc.open("frames").split(1 / 3)
        >>> [len(one) for one in fc.mix([first, second], weights=[1, 1]).sets]
        [4, 2]
        """
        if self.mixed is None:
            return (self,)
        ranges = self.mixed.ranges
        return tuple(
            Dataset(self.storage, self.index.take(np.arange(*rows)), self.streams) for rows in ranges
        )

    def _take(self, rows: NDArray[np.int64]) -> Dataset:
        mixed = None
        if self.mixed is not None:
            rows, mixed = self.mixed.take(rows)
        return Dataset(self.storage, self.index.take(rows), self.streams, mixed)

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
            The videos in the order of the names; of a mix, set by set. A repeated name counts once. If a
            list names parts of a video, or several sets of a mix have the name, all are selected. A set of a
            mix without such a video is left out, and the shares of the others keep their proportions.

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

        Every class, of each set of a mix, gives its share of videos, rounded down or up so that the total is
        rounded to the nearest video. The same videos and seed give the same split on every machine.

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
            Both in the order of this dataset, with its storage, its classes and, of a mix, its weights.

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
        strata = None if numbers is None else (numbers, len(self.classes))
        if self.mixed is not None:
            of_set, sets = self.mixed.of(np.arange(len(self))), len(self.mixed.counts)
            strata = (of_set, sets) if strata is None else (of_set * strata[1] + strata[0], sets * strata[1])
        chosen = split_rows(
            self.index.names,
            self.index.keys,
            strata,
            validation,
            seed,
            group,
        )
        return self._take(np.flatnonzero(~chosen)), self._take(np.flatnonzero(chosen))
