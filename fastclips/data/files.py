"""Frames in files: folders, lists of videos, video files or tar files -> a storage and an index.

::

    folders ----scan_tree----> FrameTree ──┐
    lists --read_records--> scan_folders ──┼──pair──> FolderStorage + Index
                            name_folders ──┘   │
                                               └────> VideoStorage + Index, if they are video files
    tar files ---tars.py--> FrameTree ───────pair──> PackStorage + Index

**Classes** of folders: the class of a video is the first folder of its name. Classes are in natural order,
and a label is the index of its class.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastclips.data.cells import IN_FILES, read_arrays
from fastclips.data.encoding import encode
from fastclips.data.folder_classes import classes_of_folders
from fastclips.data.index import Index
from fastclips.data.labels import FRAMED, Labels, NamedLabels
from fastclips.data.listed import choose_folders, describe_missing, name_folders, scan_folders, scan_groups
from fastclips.data.names import find_gaps, natural_key, template_of
from fastclips.data.pack_columns import tar_columns
from fastclips.data.pack_storage import PackStorage
from fastclips.data.pairing import offer_ignore, pair_or_offer
from fastclips.data.parts import find_parts, least_frames
from fastclips.data.records import read_records
from fastclips.data.scan import (
    FrameTree,
    evenly,
    scan_tree,
    time_of,
)
from fastclips.data.storage import FolderStorage
from fastclips.data.tars import Tars
from fastclips.data.video_storage import VideoStorage, check_pyav, open_movies
from fastclips.errors import DataError, OptionError, why_failed
from fastclips.options import checked_pattern
from fastclips.reserved import LABEL

if TYPE_CHECKING:
    import re

    from numpy.typing import NDArray

    from fastclips.data.frame_times import FrameTimes
    from fastclips.data.names import FileNames
    from fastclips.data.records import Records
    from fastclips.data.roots import Root

    Times = dict[str, int | None]  # modification times of folders, by path; None if a folder is missing
    Opened = FolderStorage | PackStorage | VideoStorage

__all__ = ["Files"]

_PARENTS, _VIDEOS = 10_000, 1000  # the most folders without and with frames whose times are kept
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Files:
    """Checked options of `fastclips.open` for frames in files; `open` reads the files.

    Parameters
    ----------
    roots : mapping of str to Root
        The folder or tar files of each stream.
    records : object
        The list of videos, or None to open all videos below the roots.
    columns, frames, videos, match
        As in `fastclips.open`.
    labelled : bool
        Whether to take labels from the list or the folders.
    classes : tuple of str or None
        Names of the classes, if given.
    unpaired : {"error", "drop", "ignore"}
        What to do with videos and frames without a partner, and with video files that cannot be read.
    masks : frozenset of str
        The streams that are masks.
    kinds : mapping of str to str, optional
        Of a list: the columns of labels and their kinds.
    named_classes : mapping of str to tuple of str
        Names of the classes of further labels, by their names.
    keep_unreadable : bool
        Whether video files that cannot be read are kept, with -1 frames, for the caller to report.
    """

    roots: Mapping[str, Root]
    records: object
    columns: str | None
    frames: str | Mapping[str, str] | None
    videos: str | None
    labelled: bool
    classes: tuple[str, ...] | None
    match: str | None
    unpaired: str
    masks: frozenset[str]
    kinds: Mapping[str, str] | None = None
    named_classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keep_unreadable: bool = False

    def __post_init__(self) -> None:
        if self.unpaired == "ignore" and not self._optional:
            raise OptionError(
                f"unpaired='ignore': is for missing masks, but none of the streams {', '.join(self.roots)} "
                "is a mask: name it in masks=, or declare it as in {'a': ..., 'b': Stream(path, kind='mask')}"
            )
        if len(self._optional) == len(self.roots):
            raise OptionError(
                "unpaired='ignore': needs a stream of pictures, whose frames are kept, but all streams "
                f"are masks: {', '.join(self.roots)}"
            )

    @property
    def _optional(self) -> tuple[str, ...]:
        """Streams that may lack files."""
        return tuple(name for name in self.roots if name in self.masks) if self.unpaired == "ignore" else ()

    @property
    def _leader(self) -> str:
        """The stream whose videos and frames, and their order, are those of the dataset."""
        return next(name for name in self.roots if name not in self._optional)

    def made_from(self) -> dict[str, Any]:
        """Return a JSON-able dict of all options that decide the index; a list file by its digest.

        Raises
        ------
        OptionError
            The list is not a file.
        DataError
            The list cannot be read.
        """
        digest = None
        if self.records is not None:
            if not isinstance(self.records, (str, os.PathLike)):
                raise OptionError(
                    "index= works with folders and list files, not with rows in memory: remove it"
                )
            try:
                digest = blake2b(Path(self.records).read_bytes(), digest_size=16).hexdigest()
            except OSError as error:
                path = os.fsdecode(self.records)
                raise DataError(f"cannot read the list of videos {path!r}: {why_failed(error)}.") from error
        classes: object = None if self.classes is None else list(self.classes)
        if self.kinds is not None:
            classes = {LABEL: classes, **{name: list(names) for name, names in self.named_classes.items()}}
        ignoring = {"masks": list(self._optional)} if self._optional else {}  # older files lack the key
        return {
            **ignoring,
            "roots": {name: root.absolute for name, root in self.roots.items()},
            "list": digest,
            "columns": self.columns,
            "frames": dict(self.frames) if isinstance(self.frames, Mapping) else self.frames,
            "labels": "auto" if self.labelled and self.kinds is None else self.kinds and dict(self.kinds),
            "classes": classes,
            "videos": self.videos,
            "match": self.match,
            "unpaired": self.unpaired,
        }

    def open(self) -> tuple[Opened, Index, Times]:
        """Read the folders or tar files, and scan the video files.

        Returns
        -------
        FolderStorage, PackStorage or VideoStorage, Index
            A new storage and its index.
        times : dict of str to int or None
            Modification times of folders, taken before they were listed: in each stream, up to 10,000 folders
            without frames and 1,000 videos or video files; of a list, the roots, 1,000 videos and 1,000 .npy
            files.

        Raises
        ------
        OptionError, DataError
            As from `fastclips.open`.
        """
        if self.records is None:
            return self._open_folders()
        classes = {**({} if self.classes is None else {LABEL: self.classes}), **self.named_classes}
        return self._open_records(read_records(self.records, self.columns, classes, self.kinds))

    def _pattern(self, stream: str) -> str | None:
        if isinstance(self.frames, Mapping):
            unknown = [name for name in self.frames if name not in self.roots]
            if unknown:
                raise OptionError(
                    f"frames= has the key {unknown[0]!r}, but the streams are "
                    f"{', '.join(map(repr, self.roots))}"
                )
            return self.frames.get(stream)
        return self.frames

    @property
    def _grouping(self) -> re.Pattern[str] | None:
        return None if self.videos is None else checked_pattern(self.videos, "videos")

    def _pair(self, trees: dict[str, FrameTree]) -> dict[str, FrameTree]:
        gaps = find_gaps(trees[self._leader].videos)
        if gaps:
            _log.warning("%s", gaps)
        if len(trees) == 1 and self.match is None:
            return trees
        return pair_or_offer(trees, self.match, self.unpaired, self.masks, listed=self.records is not None)

    def _read_tars(self) -> dict[str, Tars]:
        """Return the tar files of each stream; an empty dict if the roots are folders of frames."""
        folders = [name for name, root in self.roots.items() if not root.tars]
        if folders and len(folders) < len(self.roots):
            raise OptionError(
                f"the stream {folders[0]!r} is not a tar file, but other streams are: unpack the tars, or "
                "pack the folder"
            )
        return {} if folders else {name: Tars(str(root), root.tars) for name, root in self.roots.items()}

    def _open_folders(self) -> tuple[Opened, Index, Times]:
        loose, tars = not self.labelled, self._read_tars()
        scanned = {
            name: tars[name].tree(self._pattern(name), loose=loose, videos=self._grouping)
            if tars
            else root.movie or scan_tree(root.path, self._pattern(name), loose=loose, videos=self._grouping)
            for name, root in self.roots.items()
        }
        if any(tree.movies for tree in scanned.values()):
            return self._open_movies(scanned)
        trees = self._pair(scanned)
        storage = _storage(trees, tars)
        labels, classes = None, self.classes or ()
        if self.labelled:
            tree = trees[self._leader]
            labels, classes = classes_of_folders(list(tree.videos), tree.root, self.classes)
        return storage, _index(storage, labels, classes), {} if tars else _times(scanned)

    def _open_movies(self, trees: dict[str, FrameTree]) -> tuple[VideoStorage, Index, Times]:
        """Open a folder of video files, or a single one, which has no class."""
        tree = self._only_movies(trees)
        storage = open_movies(tree.root, tree.movies, self._unreadable)
        labels, classes = None, self.classes or ()
        names = storage.videos[:]
        below = ["/" in name for name in names]
        if self.labelled and any(below):
            if not all(below):
                raise DataError(
                    f"{names[below.index(False)]!r} is in no class folder, but other videos are: move it, "
                    "or open the videos without labels, labels=None"
                )
            labels, classes = classes_of_folders(names, tree.root, self.classes)
        elif self.labelled and self.classes is not None:
            raise OptionError(
                f"classes={self.classes!r}: the video files in {tree.root!r} are in no class folders; remove "
                "classes="
            )
        times = _times({"": tree}) if tree.times else {}
        times.update({path: time_of(path) for path in map(tree.path, evenly(tree.movies, _VIDEOS))})
        return storage, _index(storage, labels, classes), times

    @property
    def _unreadable(self) -> Literal["error", "drop", "keep"]:
        return "keep" if self.keep_unreadable else "drop" if self.unpaired == "drop" else "error"

    def _only_movies(self, trees: dict[str, FrameTree]) -> FrameTree:
        """Return the only tree; raise OptionError where options or streams do not go with video files."""
        name, tree = next((name, tree) for name, tree in trees.items() if tree.movies)
        what = f"{tree.path(tree.movies[0])!r} is a video file"
        if len(trees) > 1:
            raise OptionError(
                f"stream {name!r}: {what}, which has one stream: open it alone, or extract the frames of all "
                "streams"
            )
        for knob in ("frames", "videos", "match"):
            if getattr(self, knob) is not None:
                raise OptionError(
                    f"{knob}={getattr(self, knob)!r}: is for frames in files, but {what}; remove {knob}="
                )
        check_pyav()
        return tree

    def _open_records(self, records: Records) -> tuple[Opened, Index, Times]:
        records = replace(records, paths=self._below_root(records.paths))
        paths = list(dict.fromkeys(records.paths))
        trees, folders, tars = self._look_up(records, paths)
        first, times = self._leader, _times(trees, listed=True)
        if any(tree.movies for tree in trees.values()):
            tree = self._only_movies(trees)
            movies = open_movies(tree.root, tree.movies, self._unreadable)
            file_of = folders[first]
            number = {movies.file(key): key for key in range(len(movies.videos))}
            kept = self._kept(records, [file_of.get(path) in number for path in records.paths])
            keys = np.array([number[file_of[records.paths[row]]] for row in kept], np.int64)
            return movies, self._table(records, kept, keys, movies, times), times
        for stream, tree in trees.items():
            if not tree.videos and stream not in self._optional:
                reason = describe_missing(tree, paths, len(paths), self._pattern(stream))
                raise DataError(f"none of the list's {len(paths)} folders holds frames: {reason}")
        whole = trees[first].videos
        trees = self._pair(trees)
        storage = _storage(trees, tars)
        number = {folder: key for key, folder in enumerate(trees[first].videos)}
        kept = self._kept(records, [folders[first].get(path) in number for path in records.paths])
        names = [folders[first][records.paths[row]] for row in kept]
        keys = np.array([number[name] for name in names], np.int64)
        framed = self.labelled and any(kind in FRAMED for kind, _ in records.every_label.values())
        timed = records.start_time is not None or records.end_time is not None
        if records.start is not None or records.length is not None or timed or framed:
            left = trees[first].videos
            torn = [row for row, name in zip(kept, names, strict=True) if left[name] != whole[name]]
            if torn:
                columns = f"start, length, {' and '.join(FRAMED)}"
                raise DataError(
                    f"{records.where(torn[0])}: unpaired='drop' drops frames of this video, so {columns} "
                    "would refer to other frames: add the missing frames, or remove these columns."
                )
        files = [trees[first].videos[name] for name in names]
        return storage, self._table(records, kept, keys, storage, times, files), times

    def _kept(self, records: Records, found: list[bool]) -> list[int]:
        """Return the numbers of the rows whose frames were found; warn of the others."""
        kept = [row for row, is_found in enumerate(found) if is_found]
        if len(kept) < len(found):
            _log.warning(
                "Dropped %d of the list's %d rows, whose frames are missing.",
                len(found) - len(kept),
                len(found),
            )
        if not kept:
            raise DataError(f"none of the list's {len(records)} rows is left: correct the list")
        return kept

    def _table(
        self,
        records: Records,
        kept: list[int],
        keys: NDArray[np.int64],
        storage: Opened,
        times: Times,
        files: list[FileNames] | None = None,
    ) -> Index:
        """Return the index of some rows of a list.

        Parameters
        ----------
        records : Records
            The list.
        kept : list of int
            The rows.
        keys : ndarray of int64, (rows,)
            Number of each row's video in `storage`.
        storage : FolderStorage, PackStorage or VideoStorage
            The frames.
        times : dict of str to int or None
            Gets the modification times of .npy files.
        files : list of FileNames, optional
            The frames of each row's video, unless they are video files.
        """
        shown, rates = _times_of(storage)
        starts, counts = find_parts(records, kept, storage.frame_counts[keys], keys, shown, files)
        labels = self._labels_of(records, kept, counts, times) if self.labelled else {}
        default, classes = labels.pop(LABEL, (None, self.classes or ()))
        fps = None if records.fps is None else np.array([records.fps[row] for row in kept], np.float64)
        if fps is None and rates is not None:
            fps = rates[keys]
        return Index(
            names=storage.videos.take(keys),
            keys=keys,
            starts=starts,
            frame_counts=counts,
            labels=default,
            classes=classes,
            fps=fps,
            named=labels,
            times=shown,
        )

    def _labels_of(
        self, records: Records, kept: list[int], counts: NDArray[np.int64], times: Times
    ) -> dict[str, NamedLabels]:
        """Return the labels of the rows that are kept, by name; `times` gets the times of .npy files."""

        def where(row: int) -> str:
            return records.where(kept[row])

        labels: dict[str, NamedLabels] = {}
        for name, (kind, values) in records.every_label.items():
            own = [values[row] for row in kept]
            if kind in IN_FILES:
                top = next(iter(self.roots.values())).folder
                files = [os.path.join(top, path) for path in evenly(own, _VIDEOS) if isinstance(path, str)]  # noqa: PTH118 - as all paths here
                times.update({file: time_of(file) for file in files})
                own = read_arrays(name if self.kinds is not None else kind, kind, own, top, where)
            classes = self.classes if name == LABEL else self.named_classes.get(name)
            labels[name] = NamedLabels(*encode(kind, own, classes, counts, where, key=natural_key, name=name))
        return labels

    def _look_up(
        self, records: Records, paths: list[str]
    ) -> tuple[dict[str, FrameTree], dict[str, dict[str, str]], dict[str, Tars]]:
        """Return the folders that a list names in each stream, as trees and by name, and the tars."""
        ends = least_frames(records) if self.unpaired == "error" and self.videos is None else None
        named = ends if ends and all(map(self._is_named, self.roots)) else None
        tars = {} if named else self._read_tars()
        trees: dict[str, FrameTree] = {}
        folders: dict[str, dict[str, str]] = {}
        lacking: DataError | None = None
        for stream, root in self.roots.items():
            frames = self._pattern(stream)
            if tars:
                found = choose_folders(tars[stream].tree(frames, loose=True, videos=self._grouping), paths)
            elif self._grouping is not None:
                found = scan_groups(root.path, paths, frames, self._grouping)
            elif ends is not None and self._is_named(stream):
                found = name_folders(
                    root.path, ends, str(frames), lambda name: records.where(records.paths.index(name))
                )
            else:
                found = scan_folders(root.path, paths, frames)
            trees[stream], folders[stream] = found
            missing = [path for path in paths if path not in folders[stream]]
            if missing and self.unpaired != "drop" and stream not in self._optional:
                row = records.where(records.paths.index(missing[0]))
                lacking = DataError(f"{row}: {describe_missing(trees[stream], missing, len(paths), frames)}")
                if stream not in self.masks:
                    raise lacking
        if lacking is not None:
            raise offer_ignore(lacking, trees, self.match, self.unpaired, self.masks)
        return trees, folders, tars

    def _is_named(self, stream: str) -> bool:
        """Whether the names of a stream's frames follow from their numbers."""
        frames = self._pattern(stream)
        return isinstance(frames, str) and bool(template_of(frames)) and not self.roots[stream].is_file

    def _below_root(self, paths: list[str]) -> list[str]:
        """Return paths relative to the root if all streams have the same root, so a video has one name."""
        roots = {root.absolute for root in self.roots.values()}
        above = f"{roots.pop().rstrip('/')}/"
        if roots:
            return paths
        return [
            path if path[0] != "/" else "." if f"{path}/" == above else path.removeprefix(above) or path
            for path in paths
        ]


def _storage(trees: Mapping[str, FrameTree], tars: Mapping[str, Tars]) -> FolderStorage | PackStorage:
    return PackStorage(tar_columns(trees, tars), "/") if tars else FolderStorage.of(trees)


def _times(trees: Mapping[str, FrameTree], *, listed: bool = False) -> Times:
    """Return the times that a saved index keeps; of a list, all times in its trees."""
    times: Times = {}
    for tree in trees.values():
        some = tree.times
        if not listed:
            parents = [name for name in some if name not in tree.videos]
            videos = [name for name in evenly(list(tree.videos), _VIDEOS) if name in some]
            some = {name: tree.times[name] for name in ("", *evenly(parents, _PARENTS), *videos)}
        times.update({tree.path(name): time for name, time in some.items()})
    return times


def _times_of(storage: Opened) -> tuple[FrameTimes | None, NDArray[np.float64] | None]:
    """Return the times of a storage's frames, and the rate of each of its videos, where they are known."""
    if not isinstance(storage, VideoStorage):
        return None, None
    rates = storage.rates
    return storage.times, rates if bool((rates > 0).all()) else None


def _index(storage: Opened, labels: Labels | None, classes: tuple[str, ...]) -> Index:
    videos, (times, rates) = len(storage.videos), _times_of(storage)
    return Index(
        names=storage.videos,
        keys=np.arange(videos, dtype=np.int64),
        starts=np.zeros(videos, np.int64),
        frame_counts=storage.frame_counts,
        labels=labels,
        classes=classes,
        fps=rates,
        times=times,
    )
