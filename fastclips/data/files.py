"""Videos whose frames are files: folders, or a list of them, to a storage and an index.

::

    folders ----scan_tree----> FrameTree ──┐
    lists --read_records--> scan_folders ──┼──pair──> FolderStorage + Index
                            name_folders ──┘

**Classes** of folders: a video's class is the first folder of its name; classes are in natural order and a
label is a class's place among them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.index import Index
from fastclips.data.labels import Labels, encode
from fastclips.data.names import natural_key, template_of
from fastclips.data.pairing import pair
from fastclips.data.records import read_records
from fastclips.data.scan import FrameTree, name_folders, scan_folders, scan_tree
from fastclips.data.storage import FolderStorage
from fastclips.errors import DataError, OptionError
from fastclips.options import first_few

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastclips.data.records import Records

__all__ = ["Files"]

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
        """
        digest = None
        if self.records is not None:
            if not isinstance(self.records, (str, os.PathLike)):
                raise OptionError("index= keeps folders and list files; rows in memory have no saved form")
            digest = blake2b(Path(self.records).read_bytes(), digest_size=16).hexdigest()
        return {
            "format": 1,
            "roots": {name: str(Path(root).absolute()) for name, root in self.roots.items()},
            "list": digest,
            "columns": self.columns,
            "frames": dict(self.frames) if isinstance(self.frames, Mapping) else self.frames,
            "labels": self.labelled,
            "classes": None if self.classes is None else list(self.classes),
            "match": self.match,
            "unpaired": self.drop,
        }

    def open(self) -> tuple[FolderStorage, Index]:
        """Look at the folders.

        Returns
        -------
        FolderStorage, Index
            Both new.

        Raises
        ------
        OptionError, DataError
            As of `fastclips.open`.
        """
        if self.records is None:
            return self._open_folders()
        return self._open_records(read_records(self.records, self.columns))

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

    def _open_folders(self) -> tuple[FolderStorage, Index]:
        loose = not self.labelled
        trees = self._pair(
            {name: scan_tree(root, self._pattern(name), loose=loose) for name, root in self.roots.items()}
        )
        storage = FolderStorage.of(trees)
        labels, classes = None, self.classes or ()
        if self.labelled:
            labels, classes = self._classes_of(next(iter(trees.values())))
        return storage, _index(storage, labels, classes)

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

    def _open_records(self, records: Records) -> tuple[FolderStorage, Index]:
        paths = list(dict.fromkeys(records.paths))
        ends = _ends(records)
        trees: dict[str, FrameTree] = {}
        folders: dict[str, dict[str, str]] = {}
        for stream, root in self.roots.items():
            frames = self._pattern(stream)
            if ends is not None and isinstance(frames, str) and template_of(frames):
                trees[stream], folders[stream] = name_folders(root, ends, frames)
            else:
                trees[stream], folders[stream] = scan_folders(root, paths, frames)
                missing = [path for path in paths if path not in folders[stream]]
                if missing and not self.drop:
                    row = records.paths.index(missing[0])
                    raise DataError(
                        f"{records.where(row)}: there are no frames in {missing[0]!r} below "
                        f"{trees[stream].root!r}, nor in {len(missing) - 1} other folders of {len(paths)}. "
                        "Set root=, correct the list, or leave such rows out with unpaired='drop'."
                    )
        first = next(iter(trees))
        if not all(tree.videos for tree in trees.values()):
            raise DataError(
                f"none of the list's {len(paths)} folders below {trees[first].root!r} holds frames."
            )
        whole = trees[first].videos
        trees = self._pair(trees)
        storage = FolderStorage.of(trees)
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
        starts, counts = _parts(records, kept, storage.frame_counts[keys])
        if records.start is not None or records.length is not None:
            left = trees[first].videos
            torn = [row for row, name in zip(kept, names, strict=True) if left[name] != whole[name]]
            if torn:
                raise DataError(
                    f"{records.where(torn[0])}: unpaired='drop' leaves out frames of this video, so start "
                    "and length would mean other ones: complete the streams, or leave these columns out."
                )
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
        return storage, table


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


def _index(storage: FolderStorage, labels: Labels | None, classes: tuple[str, ...]) -> Index:
    videos = len(storage.videos)
    return Index(
        names=storage.videos,
        keys=np.arange(videos, dtype=np.int64),
        starts=np.zeros(videos, np.int64),
        frame_counts=storage.frame_counts,
        labels=labels,
        classes=classes,
    )
