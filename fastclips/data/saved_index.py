"""The saved form of a storage and its index: one file that opens at once and that all processes map.

It holds what it was made from, and when some of the folders last changed. If any differs, the folders are
scanned again.

**What is noticed.** Whatever comes to, or goes from, a folder whose time is kept: of scanned folders those
that hold no frames (the roots, the classes, empty folders and those between), up to 10,000 of a stream, and
1,000 videos, evenly spread; of a list its roots and 1,000 videos. Any change of the list itself.

**What is not.** A frame that comes to or goes from another video (one that is gone is an error once it is
read), and a frame that is written over.

**Times** are those of before the listing, so that what comes meanwhile is noticed the next time. The folder
that the file itself lies in changes as the file is written, so of that one the names in it are compared.
"""

from __future__ import annotations

import logging
import os
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastclips.data.columns import MAGIC, Columns
from fastclips.data.index import Index
from fastclips.data.scan import time_of
from fastclips.data.storage import FolderStorage
from fastclips.errors import DataError, OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastclips.data.files import Files

    Watched = Mapping[str, int | str | None]  # times of folders, or a digest of the names in one

__all__ = ["load_or_scan"]

_FORMAT = 2
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
        `path` cannot be such a file, or is one that was made with other options.
    DataError
        The file is damaged or none of ours; or as of `Files.open`.
    """
    file = _checked(path)
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
    if not isinstance(storage, FolderStorage):
        raise OptionError(f"index={str(file)!r}: tar files keep what they hold beside them; leave index= out")
    watched = {folder: names if _is_folder_of(file, folder) else time for folder, time in times.items()}
    try:
        _packed(storage, index, made_from, watched).save(file)
    except OSError as error:
        raise OptionError(f"index={str(file)!r}: cannot be written: {error.strerror}") from error
    return _unpacked(Columns.load(file), file)


def _checked(path: object) -> Path:
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise OptionError(f"index={path!r}: must be the path of a file")
    if not os.fspath(path) or "\0" in os.fspath(path):
        raise OptionError(f"index={path!r}: is no path of a file; give one, such as index='frames.index'")
    file = Path(path)
    try:
        file = file.resolve()  # a link stays, and what it leads to is written
        folder = file.is_dir()
    except OSError as error:
        raise OptionError(f"index={str(file)!r}: {error.strerror}; give another file") from error
    if file.exists() and not folder and not file.is_file():
        raise OptionError(f"index={str(file)!r}: is no regular file; give another")
    if folder:
        raise OptionError(f"index={str(file)!r}: is a folder; give a file, such as {str(file / 'index')!r}")
    return file


def _check_writable(file: Path) -> None:
    """Refuse, before anything is scanned, what could not be written after it."""
    folder = file.absolute().parent
    if not folder.is_dir():
        raise OptionError(
            f"index={str(file)!r}: there is no folder {str(folder)!r}; make it, or give another"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OptionError(
            f"index={str(file)!r}: cannot write into {str(folder)!r}; give a file in a folder that you may "
            "write into"
        )


def _loaded(file: Path) -> Columns:
    try:
        with file.open("rb") as opened:
            ours = opened.read(len(MAGIC)) == MAGIC
        if ours:
            return Columns.load(file)
    except OSError as error:
        raise OptionError(
            f"index={str(file)!r}: cannot be read: {error.strerror}; give another file, or make it readable"
        ) from error
    raise DataError(f"{str(file)!r} is no index of fastclips; give index= another file")


def _check_options(file: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    if (then.get("list") is None) != (now["list"] is None):
        what = ("folders", "a list") if then.get("list") is None else ("a list", "folders")
        raise OptionError(
            f"index={str(file)!r} was made from {what[0]}, not from {what[1]}: give another file, or "
            "delete it"
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
    """Return what has changed since the file was made, if anything has."""
    if meta["made_from"].get("list") != made_from["list"]:
        return "the list"
    for folder, then in meta["times"].items():
        if (_names_in(folder, file.name) if isinstance(then, str) else time_of(folder)) != then:
            return repr(folder)
    return None


def _names_beside(file: Path) -> str | None:
    return _names_in(str(file.absolute().parent), file.name)


def _names_in(folder: str, but: str) -> str | None:
    """Return a digest of the names in a folder, without one and what it is called while it is written."""
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
    storage: FolderStorage, index: Index, made_from: dict[str, Any], watched: Watched | None = None
) -> Columns:
    arrays, meta = index.columns()
    meta |= {**storage.columns.meta, "made_from": made_from, "index_format": _FORMAT}
    meta["times"] = dict(watched or {})
    return Columns.pack({**storage.columns, **arrays}, meta)


def _unpacked(columns: Columns, file: Path) -> tuple[FolderStorage, Index]:
    try:
        if columns.meta["index_format"] == _FORMAT and {"times", "made_from"} <= columns.meta.keys():
            storage = FolderStorage(columns)
            return storage, Index.from_columns(columns, storage.videos)
        why = "was made by another version of fastclips"
    except (AttributeError, DataError, IndexError, KeyError, TypeError, ValueError) as error:
        why = f"is no whole index ({error})"
    raise DataError(f"{str(file)!r} {why}: delete it, so that it is made again")
