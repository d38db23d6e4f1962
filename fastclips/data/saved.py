"""The saved form of a storage and its index: one file that opens at once and that all processes map.

It holds what it was made from, and when some of the folders last changed: the roots, the folders that hold
videos, and a few videos spread over all. If any differs, the folders are scanned again. A frame that is added
to another video goes unnoticed; one that is gone is an error once it is read.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.columns import Columns
from fastclips.data.index import Index
from fastclips.data.labels import Labels
from fastclips.data.storage import FolderStorage
from fastclips.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastclips.data.files import Files

__all__ = ["load_or_scan"]

_PARENTS, _VIDEOS = 1000, 64  # folders whose times are kept, at most
_log = logging.getLogger(__name__)


def load_or_scan(path: str | os.PathLike[str], files: Files) -> tuple[FolderStorage, Index]:
    """Open the saved form, or make it where it is missing or no longer right.

    Parameters
    ----------
    path : path
        The file.
    files : Files
        What to open.

    Returns
    -------
    FolderStorage, Index
        Mapped from the file.

    Raises
    ------
    OptionError
        The file was made with other options.
    DataError
        The file is damaged or none of ours; or as of `Files.open`.
    """
    made_from = files.made_from()
    if Path(path).exists():
        columns = Columns.load(path)
        _check_options(path, columns.meta.get("made_from", {}), made_from)
        changed = _changed(columns.meta, made_from)
        if changed is None:
            return _unpacked(columns)
        _log.info("%s has changed since %r was made: scanning again.", changed, os.fspath(path))
    storage, index = files.open()
    _packed(storage, index, made_from).save(path)
    return _unpacked(Columns.load(path))


def _check_options(path: str | os.PathLike[str], then: dict[str, Any], now: dict[str, Any]) -> None:
    for knob, value in now.items():
        if knob != "list" and then.get(knob) != value:
            raise OptionError(
                f"index={os.fspath(path)!r} was made with {knob}={then.get(knob)!r}, not {value!r}: give "
                "another file, or delete it"
            )


def _changed(meta: dict[str, Any], made_from: dict[str, Any]) -> str | None:
    """Return what has changed since the file was made, if anything has."""
    if meta["made_from"]["list"] != made_from["list"]:
        return "the list"
    return next((repr(folder) for folder, time in meta["times"].items() if _time(folder) != time), None)


def _time(folder: str) -> int | None:
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return None


def _times(storage: FolderStorage, roots: dict[str, str]) -> dict[str, int | None]:
    folders = list(roots.values())
    every = np.unique(np.linspace(0, len(storage.videos) - 1, _VIDEOS).astype(int)).tolist()
    for stream in roots:
        some = np.unique(np.linspace(0, len(storage.videos) - 1, 100 * _PARENTS).astype(int)).tolist()
        parents = dict.fromkeys(storage.folder(stream, video).rpartition("/")[0] for video in some)
        folders += list(parents)[:_PARENTS]
        folders += [storage.folder(stream, video) for video in every]
    return {folder: _time(folder) for folder in folders}


def _packed(storage: FolderStorage, index: Index, made_from: dict[str, Any]) -> Columns:
    arrays: dict[str, NDArray[Any]] = dict(storage.columns)
    meta = {**storage.columns.meta, "made_from": made_from, "classes": list(index.classes)}
    meta["times"] = _times(storage, made_from["roots"])
    for name in ("keys", "starts", "frame_counts", "fps"):
        column = getattr(index, name)
        if column is not None:
            arrays[f"index.{name}"] = column
    meta["labels"] = None
    if index.labels is not None:
        columns, meta["labels"] = index.labels.columns()
        arrays.update({f"labels.{name}": column for name, column in columns.items()})
    return Columns.pack(arrays, meta)


def _unpacked(columns: Columns) -> tuple[FolderStorage, Index]:
    storage, labels = FolderStorage(columns), None
    if columns.meta["labels"] is not None:
        found = {name[7:]: column for name, column in columns.items() if name.startswith("labels.")}
        labels = Labels.from_columns(found, columns.meta["labels"])
    keys = columns["index.keys"]
    whole = len(keys) == len(storage.videos) and bool((keys == np.arange(len(keys))).all())
    index = Index(
        names=storage.videos if whole else storage.videos.take(keys),
        keys=keys,
        starts=columns["index.starts"],
        frame_counts=columns["index.frame_counts"],
        labels=labels,
        classes=tuple(columns.meta["classes"]),
        fps=columns.get("index.fps"),
    )
    return storage, index
