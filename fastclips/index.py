"""Which videos there are: layer B, columnar arrays over a storage.

Scanned once by `open_dataset`::

    {stream: path} --scan_frames--> {stream: FrameTree} --paired--> FolderStorage + Index = Dataset

The `Index` has one row per video. Its `keys` are the storage's own numbers, so taking rows (a split, later
a filter) makes a new index over the same storage, and tickets stay valid for both.

**Classes.** A video's class is the first folder of its name; classes are in natural order (`natural_key`) and
a label is a class's place among them.

**Pairing.** The streams of a dataset hold the same videos by name and the same frames by stem. Anything
missing on either side is an error: a clip must never show one frame and the mask of another.

**Splitting** is by video: windows of one video overlap, so a cut through it would leak frames.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from fastclips.errors import DataError, OptionError
from fastclips.options import first_few
from fastclips.spec import Stream
from fastclips.storage import FolderStorage, FrameTree, scan_frames

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from fastclips.storage import Storage

__all__ = ["Dataset", "Index", "open_dataset"]

_SPLIT = 0x73706C6974  # second word of the key of a split's draws, so that no other draw shares its stream
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Index:
    """One row per video, in natural order of the names.

    Parameters
    ----------
    names : tuple of str
        Each video's path under the root, such as ``"class_a/v1"``.
    keys : ndarray of int64, shape (videos,)
        The storage's number of each video.
    frame_counts : ndarray of int64, shape (videos,)
        Frames of each video, at least 1.
    labels : ndarray of int64, shape (videos,)
        Each video's place in `classes`.
    classes : tuple of str
        Names of the classes; after a split some may have no video.
    """

    names: tuple[str, ...] = field(repr=False)
    keys: NDArray[np.int64]
    frame_counts: NDArray[np.int64]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

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
            names=tuple(self.names[row] for row in rows),
            keys=self.keys[rows],
            frame_counts=self.frame_counts[rows],
            labels=self.labels[rows],
            classes=self.classes,
        )


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Videos that clips can be taken from. Picklable; made by `open_dataset`.

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
        """Names of the classes, in the order of their labels."""
        return self.index.classes

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        streams = ", ".join(stream.name + " (mask)" * stream.mask for stream in self.streams)
        frames = int(self.index.frame_counts.sum())
        return f"<Dataset: {len(self)} videos, {frames} frames, {len(self.classes)} classes; {streams}>"

    def split(self, validation: float, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Split the videos into those to train on and those to validate on.

        Every class gives its share, rounded down or up so that the whole share is right to half a video.
        The same videos and seed give the same split on every machine.

        Parameters
        ----------
        validation : float
            Share of the videos to validate on, between 0 and 1.
        seed : int
            At least 0 and below 2**64.

        Returns
        -------
        training, validation : Dataset
            Both in this dataset's order, with its storage and its classes.

        Raises
        ------
        OptionError
            An argument is out of range, or there are too few videos for either half.
        """
        if not isinstance(validation, Real) or not 0 < validation < 1:
            raise OptionError(f"validation={validation!r} must lie between 0 and 1, as in validation=0.2.")
        seed = operator.index(seed)
        if not 0 <= seed < 2**64:
            raise OptionError(f"seed={seed} must be at least 0 and below 2**64.")
        total = round(validation * len(self))
        if total in (0, len(self)):
            raise OptionError(
                f"validation={validation!r} of {len(self)} videos leaves {len(self) - total} to train on and "
                f"{total} to validate on: each needs one or more. Change validation= or add videos."
            )
        chosen = _stratified(self.index.labels, len(self.classes), validation, total, seed)
        training, held_out = (
            Dataset(self.storage, self.index.take(np.flatnonzero(rows)), self.streams)
            for rows in (~chosen, chosen)
        )
        return training, held_out


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


def open_dataset(
    source: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]],
    *,
    frames: str | None = None,
    masks: Iterable[str] = ("mask",),
) -> Dataset:
    """Open videos that are stored as folders of frames: ``class/video/frame``.

    A video is any folder below the root that directly holds .jpg, .jpeg or .png files; the first folder of
    its path is its class. Everything is in natural order: ``f2`` before ``f10``.

    Parameters
    ----------
    source : path, or mapping of str to path
        The folder of class folders, whose one stream is called ``"image"``; or a name and such a folder for
        each stream. Streams are paired by the videos' names and by the frames' names without extension.
    frames : str, optional
        Take only frames whose file name matches this pattern, such as ``"img_*.jpg"``, upper and lower case
        being different. It holds for every stream. Without it, a folder with several numbered sequences is
        an error.
    masks : iterable of str
        Names of the streams whose frames are label maps.

    Returns
    -------
    Dataset
        At least one video, each with at least one frame.

    Raises
    ------
    OptionError
        `source` names no stream, or `masks` names one that `source` does not.
    DataError
        No frames were found, the folders are not laid out as above, or streams do not pair.
    """
    paths = dict(source) if isinstance(source, Mapping) else {"image": source}
    streams = _streams(tuple(paths), masks)
    trees = {name: scan_frames(path, frames) for name, path in paths.items()}
    if len(trees) > 1:
        _check_pairs(trees)
    storage = FolderStorage.from_trees(trees)
    names = tuple(trees[streams[0].name].videos)
    of_video = [name.partition("/")[0] for name in names]
    classes = tuple(dict.fromkeys(of_video))  # in natural order, since names are ordered folder by folder
    if not any("/" in name for name in names):
        _log.warning(
            "Each of the %d classes in %r is a single video, since frames lie in the class folders. If these "
            "folders are videos of one class, open the folder above.",
            len(classes),
            trees[streams[0].name].root,
        )
    label = {name: number for number, name in enumerate(classes)}
    index = Index(
        names=names,
        keys=np.arange(len(names), dtype=np.int64),
        frame_counts=storage.frame_counts,
        labels=np.array([label[name] for name in of_video], np.int64),
        classes=classes,
    )
    return Dataset(storage, index, streams)


def _streams(names: Sequence[str], masks: Iterable[str]) -> tuple[Stream, ...]:
    masks = (masks,) if isinstance(masks, str) else tuple(masks)
    if "label" in names:
        raise OptionError("a stream cannot be called 'label', which is the class as a target; call it 'mask'")
    if not names:
        raise OptionError("source={} names no stream: give a path, or a dict such as {'image': path}.")
    unknown = [mask for mask in masks if mask not in (*names, "mask")]  # "mask" is the default
    if unknown:
        raise OptionError(f"masks={masks!r} names {unknown[0]!r}, but the streams are {', '.join(names)}.")
    return tuple(Stream(name, mask=name in masks) for name in names)


def _check_pairs(trees: Mapping[str, FrameTree]) -> None:
    """Raise DataError unless every stream has the same videos with the same stems."""
    videos = list(dict.fromkeys(video for tree in trees.values() for video in tree.videos))
    for stream, tree in trees.items():
        missing = [video for video in videos if video not in tree.videos]
        if missing:
            raise DataError(_unpaired(stream, tree.root, missing, f"{len(videos)} videos"))

    missing_frames: dict[str, list[str]] = {stream: [] for stream in trees}
    total = 0
    for video in videos:
        stems = {stream: tree.stems(video) for stream, tree in trees.items()}
        everything = dict.fromkeys(stem for some in stems.values() for stem in some)
        total += len(everything)
        for stream, some in stems.items():
            lacking = set(everything).difference(some)
            missing_frames[stream] += [f"{video}/{stem}" for stem in everything if stem in lacking]
    for stream, missing in missing_frames.items():
        if missing:
            raise DataError(_unpaired(stream, trees[stream].root, missing, f"{total} frames"))


def _unpaired(stream: str, root: str, missing: list[str], of: str) -> str:
    return (
        f"stream {stream!r} in {root!r} lacks {len(missing)} of the {of} of all streams: "
        f"{first_few(missing)}. Streams are paired by the videos' folders and the frames' names without "
        "extension: add what is missing, or remove its partners."
    )
