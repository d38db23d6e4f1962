"""Frames in files: folders, lists of videos or tar files -> a storage and an index.

::

    folders ----scan_tree----> FrameTree ──┐
    lists --read_records--> scan_folders ──┼──pair──> FolderStorage + Index
                            name_folders ──┘
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
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.cells import read_arrays
from fastclips.data.encoding import encode
from fastclips.data.index import Index
from fastclips.data.labels import FRAMED, Labels, NamedLabels
from fastclips.data.names import find_gaps, natural_key, template_of
from fastclips.data.pack_storage import PackStorage
from fastclips.data.pairing import pair
from fastclips.data.parts import find_parts, least_frames
from fastclips.data.records import read_records
from fastclips.data.scan import (
    FrameTree,
    choose_folders,
    evenly,
    name_folders,
    scan_folders,
    scan_groups,
    scan_tree,
    time_of,
)
from fastclips.data.storage import FolderStorage
from fastclips.data.tars import Tars
from fastclips.errors import DataError, OptionError, why_failed
from fastclips.options import checked_pattern, first_few
from fastclips.reserved import LABEL

if TYPE_CHECKING:
    import re

    from numpy.typing import NDArray

    from fastclips.data.records import Records
    from fastclips.data.roots import Root

    Times = dict[str, int | None]  # modification times of folders, by path; None if a folder is missing

__all__ = ["Files"]

_PARENTS, _VIDEOS = 10_000, 1000  # the most folders without and with frames whose times are kept
_SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing")
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
        What to do with videos and frames without a partner.
    masks : frozenset of str
        The streams that are masks.
    kinds : mapping of str to str, optional
        Of a list: the columns of labels and their kinds.
    named_classes : mapping of str to tuple of str
        Names of the classes of further labels, by their names.
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

    def __post_init__(self) -> None:
        if self.unpaired == "ignore" and not self._optional:
            raise OptionError(
                f"unpaired='ignore': is for missing masks, but none of the streams {', '.join(self.roots)} "
                "is in masks=: name the streams of images and masks, as in {'image': ..., 'mask': ...}"
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

    def open(self) -> tuple[FolderStorage | PackStorage, Index, Times]:
        """Read the folders or tar files.

        Returns
        -------
        FolderStorage or PackStorage, Index
            A new storage and its index.
        times : dict of str to int or None
            Modification times of folders, taken before they were listed: in each stream, up to 10,000 folders
            without frames and 1,000 videos; of a list, the roots, 1,000 videos and 1,000 .npy files.

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
        try:
            paired = pair(trees, self.match, drop=self.unpaired == "drop", optional=self._optional)
        except DataError as error:
            raise self._offering_ignore(error, trees) from None
        for stream in self._optional:
            _report_masks(stream, trees[stream], paired[stream])
        return paired

    def _offering_ignore(self, error: DataError, trees: dict[str, FrameTree]) -> DataError:
        """Return an error that offers ``unpaired="ignore"`` if the streams pair so, else the error itself."""
        masks = [name for name in trees if name in self.masks]
        if self.unpaired != "error" or not 0 < len(masks) < len(trees):
            return error
        try:
            pair(trees, self.match, optional=masks)
        except DataError:
            return error
        return DataError(f"{error} To keep frames without a mask, set unpaired='ignore'.")

    def _read_tars(self) -> dict[str, Tars]:
        """Return the tar files of each stream; an empty dict if the roots are folders of frames."""
        folders = [name for name, root in self.roots.items() if not root.tars]
        if folders and len(folders) < len(self.roots):
            raise OptionError(
                f"the stream {folders[0]!r} is not a tar file, but other streams are: unpack the tars, or "
                "pack the folder"
            )
        return {} if folders else {name: Tars(str(root), root.tars) for name, root in self.roots.items()}

    def _open_folders(self) -> tuple[FolderStorage | PackStorage, Index, Times]:
        loose, tars = not self.labelled, self._read_tars()
        scanned = {
            name: tars[name].tree(self._pattern(name), loose=loose, videos=self._grouping)
            if tars
            else scan_tree(root.path, self._pattern(name), loose=loose, videos=self._grouping)
            for name, root in self.roots.items()
        }
        trees = self._pair(scanned)
        storage = _storage(trees, tars)
        labels, classes = None, self.classes or ()
        if self.labelled:
            labels, classes = self._classes_of(trees[self._leader])
        return storage, _index(storage, labels, classes), {} if tars else _times(scanned)

    def _classes_of(self, tree: FrameTree) -> tuple[Labels, tuple[str, ...]]:
        """Label each video by the first folder of its name."""
        of_video = [name.partition("/")[0] for name in tree.videos]
        found = sorted(set(of_video), key=natural_key)
        classes = self.classes if self.classes is not None else tuple(found)
        number = {name: number for number, name in enumerate(classes)}
        unknown = [name for name in found if name not in number]
        if unknown:
            raise DataError(
                f"classes= must name {first_few(unknown)}, folders in {tree.root!r}; it has "
                f"{first_few(classes)}."
            )
        if self.classes is None and all(name.casefold() in _SPLITS for name in found):
            _log.warning(
                "The classes in %r are %s, which are usual names of splits. If they are splits, open each by "
                "itself, such as %r.",
                tree.root,
                first_few(found),
                f"{tree.root}/{found[0]}",
            )
        if not any("/" in name for name in tree.videos):
            _log.warning(
                "Each of the %d classes in %r is a single video, since the class folders hold frames. If "
                "these folders are videos of one class, open the parent folder, or set labels=None.",
                len(classes),
                tree.root,
            )
        return Labels.of_classes(
            np.array([number[name] for name in of_video], np.int64), len(classes)
        ), classes

    def _open_records(self, records: Records) -> tuple[FolderStorage | PackStorage, Index, Times]:
        records = replace(records, paths=self._below_root(records.paths))
        paths = list(dict.fromkeys(records.paths))
        trees, folders, tars = self._look_up(records, paths)
        first, times = self._leader, _times(trees, listed=True)
        for stream, tree in trees.items():
            if not tree.videos and stream not in self._optional:
                reason = _missing(tree, paths, len(paths), self._pattern(stream))
                raise DataError(f"none of the list's {len(paths)} folders holds frames: {reason}")
        whole = trees[first].videos
        trees = self._pair(trees)
        storage = _storage(trees, tars)
        number = {folder: key for key, folder in enumerate(trees[first].videos)}
        kept = [row for row, path in enumerate(records.paths) if folders[first].get(path) in number]
        if len(kept) < len(records.paths):
            _log.warning(
                "Dropped %d of the list's %d rows, whose frames are missing.",
                len(records.paths) - len(kept),
                len(records.paths),
            )
        names = [folders[first][records.paths[row]] for row in kept]
        keys = np.array([number[name] for name in names], np.int64)
        framed = self.labelled and any(kind in FRAMED for kind, _ in records.every_label.values())
        if records.start is not None or records.length is not None or framed:
            left = trees[first].videos
            torn = [row for row, name in zip(kept, names, strict=True) if left[name] != whole[name]]
            if torn:
                columns = f"start, length, {' and '.join(FRAMED)}"
                raise DataError(
                    f"{records.where(torn[0])}: unpaired='drop' drops frames of this video, so {columns} "
                    "would refer to other frames: add the missing frames, or remove these columns."
                )
        starts, counts = find_parts(records, kept, [trees[first].videos[name] for name in names])
        labels = self._labels_of(records, kept, counts, times) if self.labelled else {}
        default, classes = labels.pop(LABEL, (None, self.classes or ()))
        fps = None if records.fps is None else np.array([records.fps[row] for row in kept], np.float64)
        table = Index(storage.videos.take(keys), keys, starts, counts, default, classes, fps, labels)
        return storage, table, times

    def _labels_of(
        self, records: Records, kept: list[int], counts: NDArray[np.int64], times: Times
    ) -> dict[str, NamedLabels]:
        """Return the labels of the rows that are kept, by name; `times` gets the times of .npy files."""

        def where(row: int) -> str:
            return records.where(kept[row])

        labels: dict[str, NamedLabels] = {}
        for name, (kind, values) in records.every_label.items():
            own = [values[row] for row in kept]
            if kind == "frame_target":
                top = next(iter(self.roots.values())).folder
                files = [os.path.join(top, path) for path in evenly(own, _VIDEOS) if isinstance(path, str)]  # noqa: PTH118 - as all paths here
                times.update({file: time_of(file) for file in files})
                own = read_arrays(name if self.kinds is not None else kind, own, top, where)
            classes = self.classes if name == LABEL else self.named_classes.get(name)
            labels[name] = NamedLabels(*encode(kind, own, classes, counts, where, key=natural_key))
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
                lacking = DataError(f"{row}: {_missing(trees[stream], missing, len(paths), frames)}")
                if stream not in self.masks:
                    raise lacking
        if lacking is not None:
            raise self._offering_ignore(lacking, trees)
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
    return PackStorage.of_tars(trees, tars) if tars else FolderStorage.of(trees)


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


def _missing(tree: FrameTree, missing: list[str], of: int, pattern: str | None) -> str:
    """Return the message about folders of a list that hold no frames."""
    name = missing[0]
    others = f"nor in {len(missing) - 1} other folders of {of}"
    if name in tree.unmatched:
        return (
            f"frames={pattern!r} matches no frame in {name!r}, such as {tree.unmatched[name]!r}, {others}: "
            "it must match the whole name, and case matters."
        )
    if tree.grouped:
        return (
            f"there is no video {name!r} below {tree.root!r}, {others}. With videos=, a path is that of "
            "a folder, then / and the name of a video in it. Set root=, correct the list or videos=, or drop "
            "such rows with unpaired='drop'."
        )
    if name.startswith("/"):
        where, remedy = repr(name), "Correct the list"
    else:
        where, remedy = f"{name!r} below {tree.root!r}", "Set root=, correct the list"
    return f"there are no frames in {where}, {others}. {remedy}, or drop such rows with unpaired='drop'."


def _report_masks(stream: str, found: FrameTree, paired: FrameTree) -> None:
    """Say how many frames have a mask, where masks may be missing."""
    total = sum(files.count for files in paired.videos.values())
    masks = sum(files.count for name, files in found.videos.items() if name in paired.videos)
    if not masks:
        raise DataError(
            f"unpaired='ignore': no frame has a mask of {stream!r} in {found.root!r}. Videos are paired by "
            "folder, frames by name or by match=."
        )
    videos = sum(name in found.videos for name in paired.videos)
    _log.warning(
        "Stream %r has masks for %d of %d frames, in %d of %d videos; the others are ignore.",
        stream,
        masks,
        total,
        videos,
        len(paired.videos),
    )


def _index(storage: FolderStorage | PackStorage, labels: Labels | None, classes: tuple[str, ...]) -> Index:
    videos = len(storage.videos)
    return Index(
        names=storage.videos,
        keys=np.arange(videos, dtype=np.int64),
        starts=np.zeros(videos, np.int64),
        frame_counts=storage.frame_counts,
        labels=labels,
        classes=classes,
    )
