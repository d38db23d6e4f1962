"""A storage and its index in one file, which opens immediately and which all processes share.

The file holds the options it was made with, and the modification times of some folders. If an option differs,
that is an error; if a time or the list differs, the folders are scanned again.

**Noticed changes.** Additions to and removals from a watched folder: folders without frames (the roots, the
classes, empty folders and those between), up to 10,000 of a stream, and 1,000 videos, evenly spread; of a
list, its roots, 1,000 videos, and 1,000 .npy files that it names. Of video files, the times of 1,000 files.
Any change of the list itself.

**Changes not noticed.** Frames added to or removed from other videos (reading a removed frame is an error),
and overwritten frames. A video file that has changed is an error when it is read.

**Times** are taken before folders are listed, so a change during the listing is noticed the next time.
Writing the file changes the time of its own folder, so for that folder a digest of the names in it is
compared.
"""

from __future__ import annotations

import logging
import os
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastclips.data.bounds import check_files, check_index, check_movies, check_paths, is_paged
from fastclips.data.columns import MAGIC, REMEDY, Columns
from fastclips.data.index import Index
from fastclips.data.scan import time_of
from fastclips.data.storage import FolderStorage
from fastclips.data.video_storage import VideoStorage
from fastclips.errors import DataError, OptionError, why_failed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastclips.data.files import Files

    Watched = Mapping[str, int | str | None]  # by folder: its time, or a digest of the names in it

__all__ = ["load_or_scan"]

_FORMAT = 2
_log = logging.getLogger(__name__)


def load_or_scan(path: str | os.PathLike[str], files: Files) -> tuple[FolderStorage | VideoStorage, Index]:
    """Open a saved index; make it if it is missing or out of date.

    Parameters
    ----------
    path : path
        The file.
    files : Files
        The options.

    Returns
    -------
    FolderStorage or VideoStorage, Index
        The columns are shared by all processes. Those of frames stay in the file if they are large.

    Raises
    ------
    OptionError
        `path` cannot be written, or was made with other options.
    DataError
        The file is damaged or is not a saved index; or as from `Files.open`.
    """
    file = _checked(path)
    if isinstance(files.records, (str, os.PathLike)) and Path(files.records).is_fifo():
        raise OptionError(
            f"index={str(file)!r}: needs a list in a file, but {str(files.records)!r} is a FIFO, which can "
            "be read only once; remove index="
        )
    made_from = files.made_from()
    if file.exists():
        columns = _loaded(file)
        opened = _unpacked(columns, file)
        _check_options(file, columns.meta["made_from"], made_from)
        changed = _changed(columns.meta, made_from, file)
        if changed is None:
            return opened
        _log.info("%s has changed since %r was made: scanning again.", changed, str(file))
    _check_writable(file)
    names = _names_beside(file)
    storage, index, times = files.open()
    if not isinstance(storage, (FolderStorage, VideoStorage)):
        raise OptionError(
            f"index={str(file)!r}: a listing is already saved beside each tar file; remove index="
        )
    watched = {folder: names if _is_folder_of(file, folder) else time for folder, time in times.items()}
    try:
        _packed(storage, index, made_from, watched).save(file)
    except OSError as error:
        raise OptionError(f"index={str(file)!r}: cannot be written: {why_failed(error)}") from error
    return _unpacked(_loaded(file), file)


def _checked(path: object) -> Path:
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise OptionError(f"index={path!r}: must be the path of a file")
    if not os.fspath(path) or "\0" in os.fspath(path):
        raise OptionError(f"index={path!r}: must be the path of a file, such as index='frames.index'")
    file = Path(path)
    try:
        file = file.resolve()  # a link is kept, and its target is written
        folder = file.is_dir()
    except OSError as error:
        raise OptionError(f"index={str(file)!r}: {why_failed(error)}; give another file") from error
    if file.exists() and not folder and not file.is_file():
        raise OptionError(f"index={str(file)!r}: must be a regular file")
    if folder:
        raise OptionError(f"index={str(file)!r}: is a folder; give a file, such as {str(file / 'index')!r}")
    return file


def _check_writable(file: Path) -> None:
    """Raise OptionError before the scan if the file could not be written after it."""
    folder = file.absolute().parent
    if not folder.is_dir():
        raise OptionError(
            f"index={str(file)!r}: the folder {str(folder)!r} does not exist; make it, or give another file"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OptionError(
            f"index={str(file)!r}: the folder {str(folder)!r} is not writeable; give a file in another folder"
        )


def _loaded(file: Path) -> Columns:
    try:
        with file.open("rb") as opened:
            ours = opened.read(len(MAGIC)) == MAGIC
        if ours:
            return Columns.load(file, paged=is_paged)
    except OSError as error:
        raise OptionError(
            f"index={str(file)!r}: cannot be read: {why_failed(error)}; give another file, or make it "
            "readable"
        ) from error
    raise DataError(f"{str(file)!r} is not an index of fastclips; give another file as index=")


def _check_options(file: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    if (then.get("list") is None) != (now["list"] is None):
        was, given = ("folders", "a list") if then.get("list") is None else ("a list", "folders")
        raise OptionError(
            f"index={str(file)!r} was made from {was}, not from {given}: give another file, or delete it"
        )
    for knob, value in now.items():
        old, new = then.get(knob), value
        if knob == "list" or old == new:
            continue
        if knob == "roots":
            old, new = _source(old), _source(new)
        made = "from " if knob == "roots" else f"with {knob}="
        raise OptionError(
            f"index={str(file)!r} was made {made}{old!r}, not {new!r}: give another file, or delete it"
        )


def _source(roots: Any) -> object:  # noqa: ANN401 - as a file has it
    return roots["image"] if roots and list(roots) == ["image"] else roots


def _changed(meta: Mapping[str, Any], made_from: Mapping[str, Any], file: Path) -> str | None:
    """Return the name of the list or folder that has changed since the file was made, or None."""
    if meta["made_from"].get("list") != made_from["list"]:
        return "the list"
    for folder, then in meta["times"].items():
        if (_names_in(folder, file.name) if isinstance(then, str) else time_of(folder)) != then:
            return repr(folder)
    return None


def _names_beside(file: Path) -> str | None:
    return _names_in(str(file.absolute().parent), file.name)


def _names_in(folder: str, but: str) -> str | None:
    """Return a digest of the names in a folder, except a file's name and its temporary names."""
    try:
        names = sorted(
            os.fsencode(entry.name) for entry in os.scandir(folder) if not _is_own(entry.name, but)
        )
    except OSError:
        return None
    return blake2b(b"\0".join(names), digest_size=16).hexdigest()


def _is_own(name: str, file: str) -> bool:
    return name == file or name.startswith(f".{file}.")


def _is_folder_of(file: Path, folder: str) -> bool:
    try:
        return file.absolute().parent.samefile(folder)
    except OSError:
        return False


def _packed(
    storage: FolderStorage | VideoStorage,
    index: Index,
    made_from: dict[str, Any],
    watched: Watched | None = None,
) -> Columns:
    arrays, meta = index.columns()
    meta |= {**storage.columns.meta, "made_from": made_from, "index_format": _FORMAT}
    meta["times"] = dict(watched or {})
    return Columns.pack({**storage.columns, **arrays}, meta)


def _check_columns(columns: Columns) -> None:
    """Raise DataError unless the columns are those of a saved index; see `fastclips.data.bounds`."""
    times, made_from = columns.meta["times"], columns.meta["made_from"]
    of_movies = "movies" in columns.meta
    roots = {"image": columns.meta["movies"]} if of_movies else columns.meta["roots"]
    for name, value in (("roots", roots), ("times", times), ("made_from", made_from)):
        if not isinstance(value, dict):
            raise DataError(f"{name} is {value!r:.80}, but must be an object")
    for root in roots.values():
        check_paths("roots", [root])
    check_paths("times", list(times))
    if not roots or not all(time is None or type(time) in (int, str) for time in times.values()):
        raise DataError("roots or times have wrong values")
    made_of = made_from.get("roots")
    if not isinstance(made_of, dict) or not (of_movies or list(made_of) == list(roots)):
        raise DataError(f"made_from has roots={made_from.get('roots')!r:.80}")
    if of_movies:
        check_movies(columns)
    else:
        check_files(columns, tuple(roots))
    check_index(columns)


def _unpacked(columns: Columns, file: Path) -> tuple[FolderStorage | VideoStorage, Index]:
    try:
        if columns.meta["index_format"] == _FORMAT and {"times", "made_from"} <= columns.meta.keys():
            _check_columns(columns)
            storage = VideoStorage(columns) if "movies" in columns.meta else FolderStorage(columns)
            return storage, Index.from_columns(columns, storage.videos)
        reason = "was made by another version of fastclips"
    except (AttributeError, DataError, IndexError, KeyError, TypeError, ValueError) as error:
        reason = f"is not a complete index ({error})"
    raise DataError(f"{str(file)!r} {reason}: {REMEDY}")
