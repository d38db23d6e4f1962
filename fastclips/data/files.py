"""Videos whose frames are files: folders, or a list of them, to a storage and an index.

::

    folders ----scan_tree----> FrameTree ──┐
    lists --read_records--> scan_folders ──┼──pair──> FolderStorage + Index
                            name_folders ──┘
    tar files ---tars.py--> the same ────────pair──> PackStorage + Index

**Classes** of folders: a video's class is the first folder of its name; classes are in natural order and a
label is a class's place among them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.index import Index
from fastclips.data.labels import Labels, encode
from fastclips.data.names import natural_key, template_of
from fastclips.data.pack_storage import PackStorage
from fastclips.data.pairing import pair
from fastclips.data.records import read_records
from fastclips.data.scan import FrameTree, choose_folders, evenly, name_folders, scan_folders, scan_tree
from fastclips.data.storage import FolderStorage
from fastclips.data.tars import Tars, find_tars
from fastclips.errors import DataError, OptionError
from fastclips.options import first_few

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastclips.data.records import Records

    Times = dict[str, int | None]  # when folders last changed, by their paths; None where there is none

__all__ = ["Files"]

_PARENTS, _VIDEOS = 10_000, 1000  # folders whose times are kept, at most: without and with frames
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Files:
    """What to open: options of `fastclips.open`, by which nothing was looked at yet.

    Parameters
    ----------
    roots : mapping of str to path
        The folder of each stream.
    records : object
        The list, or None where the folders themselves say which videos there are.
    columns, frames, match
        As for `fastclips.open`.
    labelled : bool
        Whether labels are taken from where they are.
    classes : tuple of str or None
        Their names, if they are given.
    drop : bool
        Whether what has no partner is left out.
    """

    roots: Mapping[str, str | os.PathLike[str]]
    records: object
    columns: str | None
    frames: str | Mapping[str, str] | None
    labelled: bool
    classes: tuple[str, ...] | None
    match: str | None
    drop: bool

    def made_from(self) -> dict[str, Any]:
        """Return what decides the index, JSON-able; a list file is there by its content.

        Raises
        ------
        OptionError
            The list is no file.
        DataError
            It cannot be read.
        """
        digest = None
        if self.records is not None:
            if not isinstance(self.records, (str, os.PathLike)):
                raise OptionError("index= keeps folders and list files; rows in memory have no saved form")
            try:
                digest = blake2b(Path(self.records).read_bytes(), digest_size=16).hexdigest()
            except OSError as error:
                path = os.fsdecode(self.records)
                raise DataError(f"cannot read the list of videos {path!r}: {error.strerror}.") from error
        return {
            "roots": {name: str(Path(root).absolute()) for name, root in self.roots.items()},
            "list": digest,
            "columns": self.columns,
            "frames": dict(self.frames) if isinstance(self.frames, Mapping) else self.frames,
            "labels": "auto" if self.labelled else None,
            "classes": None if self.classes is None else list(self.classes),
            "match": self.match,
            "unpaired": "drop" if self.drop else "error",
        }

    def open(self) -> tuple[FolderStorage | PackStorage, Index, Times]:
        """Look at the folders, or into the tar files.

        Returns
        -------
        FolderStorage or PackStorage, Index
            Both new.
        times : dict of str to int or None
            When some of the folders last changed, taken before they were listed: those without frames, up to
            10,000 of them, and 1,000 videos in each stream; of a list, the roots and 1,000 videos.

        Raises
        ------
        OptionError, DataError
            As of `fastclips.open`.
        """
        if self.records is None:
            return self._open_folders()
        return self._open_records(read_records(self.records, self.columns, self.classes))

    def _pattern(self, stream: str) -> str | None:
        if isinstance(self.frames, Mapping):
            unknown = [name for name in self.frames if name not in self.roots]
            if unknown:
                raise OptionError(
                    f"frames= names {unknown[0]!r}, but the streams are {', '.join(map(repr, self.roots))}"
                )
            return self.frames.get(stream)
        return self.frames

    def _pair(self, trees: dict[str, FrameTree]) -> dict[str, FrameTree]:
        _report_gaps(next(iter(trees.values())))
        if len(trees) == 1 and self.match is None:
            return trees
        return pair(trees, self.match, drop=self.drop)

    def _find_tars(self) -> dict[str, Tars]:
        """Return the tar files of each stream, if that is what the roots are."""
        paths = {name: find_tars(root) for name, root in self.roots.items()}
        lacking = [name for name, some in paths.items() if not some]
        if lacking and len(lacking) < len(paths):
            raise OptionError(
                f"the stream {lacking[0]!r} is no tar file, but others are: pack or unpack all alike"
            )
        return {} if lacking else {name: Tars(str(self.roots[name]), some) for name, some in paths.items()}

    def _open_folders(self) -> tuple[FolderStorage | PackStorage, Index, Times]:
        loose, tars = not self.labelled, self._find_tars()
        scanned = {
            name: tars[name].tree(self._pattern(name), loose=loose)
            if tars
            else scan_tree(root, self._pattern(name), loose=loose)
            for name, root in self.roots.items()
        }
        trees = self._pair(scanned)
        storage = _storage(trees, tars)
        labels, classes = None, self.classes or ()
        if self.labelled:
            labels, classes = self._classes_of(next(iter(trees.values())))
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
                f"classes= lacks {first_few(unknown)}, folders in {tree.root!r}; it has {first_few(classes)}."
            )
        if not any("/" in name for name in tree.videos):
            _log.warning(
                "Each of the %d classes in %r is a single video, since frames lie in the class folders. If "
                "these folders are videos of one class, open the folder above, or give labels=None.",
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
        first, times = next(iter(trees)), _times(trees, listed=True)
        for stream, tree in trees.items():
            if not tree.videos:
                said = _missing(tree, paths, len(paths), self._pattern(stream))
                raise DataError(f"none of the list's {len(paths)} folders holds frames: {said}")
        whole = trees[first].videos
        trees = self._pair(trees)
        storage = _storage(trees, tars)
        number = {folder: key for key, folder in enumerate(trees[first].videos)}
        kept = [row for row, path in enumerate(records.paths) if folders[first].get(path) in number]
        if len(kept) < len(records.paths):
            _log.warning(
                "Left out %d of the list's %d rows, whose frames are not there.",
                len(records.paths) - len(kept),
                len(records.paths),
            )
        names = [folders[first][records.paths[row]] for row in kept]
        keys = np.array([number[name] for name in names], np.int64)
        framed = self.labelled and records.kind == "frame_labels"
        if records.start is not None or records.length is not None or framed:
            left = trees[first].videos
            torn = [row for row, name in zip(kept, names, strict=True) if left[name] != whole[name]]
            if torn:
                raise DataError(
                    f"{records.where(torn[0])}: unpaired='drop' leaves out frames of this video, so start, "
                    "length and frame_labels would mean other ones: complete the streams, or leave these "
                    "columns out."
                )
        starts, counts = _parts(records, kept, storage.frame_counts[keys])
        labels, classes = None, self.classes or ()
        if self.labelled and records.kind is not None and records.labels is not None:
            labels, classes = encode(
                records.kind,
                [records.labels[row] for row in kept],
                self.classes,
                counts,
                lambda row: records.where(kept[row]),
                key=natural_key,
            )
        fps = None if records.fps is None else np.array([records.fps[row] for row in kept], np.float64)
        table = Index(storage.videos.take(keys), keys, starts, counts, labels, classes, fps)
        return storage, table, times

    def _look_up(
        self, records: Records, paths: list[str]
    ) -> tuple[dict[str, FrameTree], dict[str, dict[str, str]], dict[str, Tars]]:
        """Find the folders that a list names, in each stream."""
        ends = None if self.drop else _ends(records)
        named = ends if ends and all(map(self._is_named, self.roots)) else None
        tars = {} if named else self._find_tars()
        trees: dict[str, FrameTree] = {}
        folders: dict[str, dict[str, str]] = {}
        for stream, root in self.roots.items():
            frames = self._pattern(stream)
            if tars:
                found = choose_folders(tars[stream].tree(frames, loose=True), paths)
            elif ends is not None and self._is_named(stream):
                found = name_folders(
                    root, ends, str(frames), lambda name: records.where(records.paths.index(name))
                )
            else:
                found = scan_folders(root, paths, frames)
            trees[stream], folders[stream] = found
            missing = [path for path in paths if path not in folders[stream]]
            if missing and not self.drop:
                row = records.where(records.paths.index(missing[0]))
                raise DataError(f"{row}: {_missing(trees[stream], missing, len(paths), frames)}")
        return trees, folders, tars

    def _is_named(self, stream: str) -> bool:
        """Whether names of a stream's frames follow from their numbers."""
        frames = self._pattern(stream)
        return (
            isinstance(frames, str) and bool(template_of(frames)) and not Path(self.roots[stream]).is_file()
        )

    def _below_root(self, paths: list[str]) -> list[str]:
        """Return paths from the root, where streams have the same one: a video has one name, not two."""
        roots = {str(Path(root).absolute()) for root in self.roots.values()}
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
    """Return the times that a saved index keeps; of a list, all that its trees have."""
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
    """Return what to say of folders that a list names and in which there are no frames."""
    name = missing[0]
    others = f"nor in {len(missing) - 1} other folders of {of}"
    if name in tree.unmatched:
        return (
            f"frames={pattern!r} matches no frame in {name!r}, such as {tree.unmatched[name]!r}, {others}: "
            "upper and lower case are different, and all of the name must match."
        )
    if name.startswith("/"):
        where, mend = repr(name), "Correct the list"
    else:
        where, mend = f"{name!r} below {tree.root!r}", "Set root=, correct the list"
    return f"there are no frames in {where}, {others}. {mend}, or leave such rows out with unpaired='drop'."


def _ends(records: Records) -> dict[str, int] | None:
    """Return how many frames each path has at least, if every row says so."""
    if records.length is None:
        return None
    ends: dict[str, int] = {}
    for row, (path, length) in enumerate(zip(records.paths, records.length, strict=True)):
        end = length + (0 if records.start is None else records.start[row])
        ends[path] = max(end, ends.get(path, 0))
    return ends


def _parts(
    records: Records, kept: list[int], available: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each row begins in its video, and how many frames it has."""
    starts = np.zeros(len(kept), np.int64)
    if records.start is not None:
        starts = np.array([records.start[row] for row in kept], np.int64)
    counts = available - starts
    if records.length is not None:
        counts = np.array([records.length[row] for row in kept], np.int64)
    wrong = np.flatnonzero((counts < 1) | (starts + counts > available))
    if len(wrong):
        at = int(wrong[0])
        asked = f"start={starts[at]}" + ("" if records.length is None else f" and length={counts[at]}")
        raise DataError(
            f"{records.where(kept[at])}: {asked} go beyond the {available[at]} frames of "
            f"{records.paths[kept[at]]!r}. start counts positions from 0, not the numbers of the files."
        )
    return starts, counts


def _report_gaps(tree: FrameTree) -> None:
    gaps = [video for video, files in tree.videos.items() if files.has_gap()]
    if gaps:
        _log.warning(
            "Numbers of frames are missing in %d of %d videos, such as %s: positions count what is there, "
            "so clips run on over a gap.",
            len(gaps),
            len(tree.videos),
            first_few(gaps, 3),
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
