"""Plain tar files of frames, made by any tar program: list their members once.

::

    tar ──headers──> listing ──saved beside──> frames.tar.index
    listings of a root ──> FrameTree, like that of a folder with the tars' content, and each frame's offset

A tar is read through once, from header to header. Its listing is saved beside the tar and used as long as the
tar's size and time stay the same. A root is a tar, or a folder that holds tars and no other folders. The
content of all tars of a root counts as one folder: a video may begin in one tar and end in another.
"""

from __future__ import annotations

import logging
import os
import re
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastclips._native import TAR_BLOCK
from fastclips.data.bounds import check_listing
from fastclips.data.columns import MAGIC, Columns
from fastclips.data.names import Names, natural_key
from fastclips.data.scan import FRAME_EXTENSIONS, SELECTED_EXTENSIONS, SKIPPED, FrameTree, gather_videos
from fastclips.errors import DataError, why_failed
from fastclips.options import bar_disabled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["UNFINISHED", "UNPACKING", "Member", "Tars", "find_tars"]

UNFINISHED = ".packing"  # the folder of an unfinished pack holds a file of this name
UNPACKING = ".unpacking"  # the folder of an unfinished run of `unpack` holds a folder of this name
_VERSION = 1
_BELOW = 2**63  # for sizes and offsets
_ZEROS = bytes(TAR_BLOCK)
_FORGET = 16  # members that tarfile may keep in memory, each with its extended header
_EXTENDED = 2**20  # bytes of an extended header, which holds a name or a few numbers
_EXTENSIONS = b"xgXLK"  # types of extended headers, of POSIX, Solaris and GNU
_SHOW_AFTER = 2.0  # seconds before a progress bar appears
_COMPRESSIONS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"(\xb5/\xfd", b"\x04\x22M\x18")  # first bytes of files
_COMPRESSED = re.compile(r"\.(tar\.\w+|tgz|tbz2?|txz|tzst)$", re.IGNORECASE).search
_log = logging.getLogger(__name__)


def find_tars(root: str | os.PathLike[str]) -> list[Path]:
    """Return the tar files of a root in natural order; an empty list if the root is not made of tars.

    Raises
    ------
    DataError
        The root is a compressed tar, a pack or a folder that is not finished, or a folder of both tars and
        frames.
    """
    path = Path(root)
    if not path.is_dir():
        return _single_tar(path)
    try:
        with os.scandir(path) as listed:
            names = []
            frame = None
            for entry in listed:
                if entry.name == UNFINISHED:
                    raise DataError(f"{str(path)!r} is an unfinished pack: run the same packing again")
                if entry.name == UNPACKING:
                    raise DataError(f"{str(path)!r} is not complete: run the same unpacking again")
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():  # a large folder of folders ends the loop early
                    return []
                if entry.name.lower().endswith(".tar") and entry.is_file():
                    names.append(entry.name)
                elif entry.name.lower().endswith(FRAME_EXTENSIONS):
                    frame = entry.name
    except OSError:
        return []
    _refuse_both(path, names, frame)
    return [path.absolute() / name for name in sorted(names, key=natural_key)]


def _single_tar(path: Path) -> list[Path]:
    named = path.suffix.lower() == ".tar"
    if named and path.is_fifo():
        raise DataError(f"{str(path)!r} is a FIFO, in which frames have no offset: write it to a file")
    if not path.is_file():
        return []
    if _COMPRESSED(path.name):
        raise _compressed_error(path)
    return [path.absolute()] if named else []


class Member(NamedTuple):
    """A frame in a tar.

    Parameters
    ----------
    path : str
        The tar.
    start : int
        Offset of the frame's data in the tar.
    length : int
        Bytes of the frame.
    """

    path: str
    start: int
    length: int


class Tars:
    """The tar files of one root.

    Parameters
    ----------
    root : str
        The root's name in messages.
    paths : list of Path
        Absolute paths of the tars.

    Attributes
    ----------
    sizes : dict of str to int
        Bytes of each tar.
    videos : dict of str to dict of str to Member
        The frames by folder and by name. Of members with the same name, the last one counts, as it does when
        the tar is unpacked.

    Raises
    ------
    DataError
        A file is not a tar, is truncated, or holds a link among its frames.
    """

    def __init__(self, root: str, paths: list[Path]) -> None:
        self._root = root
        self.sizes: dict[str, int] = {}
        self.videos: dict[str, dict[str, Member]] = {}
        for path in paths:
            listing = _listing(path)
            self.sizes[str(path)] = listing.meta["size"]
            names = Names(listing["names"], listing["begins"])
            rows = zip(names, listing["starts"].tolist(), listing["lengths"].tolist(), strict=True)
            for name, start, length in rows:
                folder, _, file = name.rpartition("/")
                self.videos.setdefault(folder, {})[file] = Member(str(path), start, length)

    def tree(self, frames: str | None, *, loose: bool, videos: re.Pattern[str] | None = None) -> FrameTree:
        """Return the videos, as `fastclips.data.scan.scan_tree` returns those of a folder."""
        extensions: list[str] = []
        found = ((folder, list(members), extensions, None) for folder, members in self.videos.items())
        tree = gather_videos(self._root, found, frames, loose=loose, videos=videos)
        tree.times.clear()
        return tree

    def members(self, folder: str, names: list[str]) -> list[Member | None]:
        """Return the members of some frames of a folder; None for an empty name."""
        members = self.videos.get("" if folder == "." else folder, {})
        return [members[name] if name else None for name in names]


class _Header(tarfile.TarInfo):
    """A header whose sizes are checked before tarfile reads what they say."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        extended = self.type in [bytes([kind]) for kind in _EXTENSIONS]
        if not 0 <= self.size < (_EXTENDED if extended else _BELOW):
            what = f"an extended header of {self.size} bytes, more than {_EXTENDED}" if extended else ""
            what = what or f"a member of {self.size} bytes"
            raise DataError(f"{str(tar.name)!r} is damaged: it has {what}, at byte {self.offset}")
        found: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc] # the types lack it
        return found


def _listing(path: Path) -> Columns:
    """Return the frames of a tar: from a valid listing saved beside it, else from the tar."""
    beside = path.with_name(f"{path.name}.index")
    status = path.stat()
    try:
        known = Columns.load(beside)
        made = {name: known.meta.get(name) for name in ("tar", "size", "time")}
        if made == {"tar": _VERSION, "size": status.st_size, "time": status.st_mtime_ns}:
            check_listing(known, status.st_size)
            return known
    except (OSError, DataError):
        pass  # there is no listing, or it is damaged
    listing = _scan(path, status)
    try:
        if beside.exists() and not _is_listing(beside):
            raise OSError(0, "it is a file of another kind")  # noqa: TRY301 - reported by the same warning
        listing.save(beside)
    except OSError as error:
        _log.warning("Could not save the listing of %r as %r: %s.", str(path), str(beside), why_failed(error))
    return listing


def _is_listing(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _scan(path: Path, status: os.stat_result) -> Columns:
    places: dict[str, tuple[int, int]] = {}
    for name, member in _members(path):
        place = member.offset_data, member.size
        if "\0" in name:
            raise DataError(f"{str(path)!r} is damaged: it has a member named {member.name!r:.200}")
        if member.issparse():
            raise DataError(f"{name!r} in {str(path)!r} is a sparse file: make the tar without --sparse")
        if member.islnk():  # tar stores the second name of a file as a link
            place = places.get(_plain(member.linkname) or "", (-1, 0))
        elif not member.isreg():
            place = -1, 0
        if place[0] < 0:
            raise DataError(
                f"{name!r} in {str(path)!r} is a link, not a regular file: make the tar with --dereference"
            )
        places[name] = place
    held = Names.of(places)
    starts, lengths = np.array(list(places.values()), np.int64).reshape(-1, 2).T
    arrays: dict[str, NDArray[np.int64] | NDArray[np.uint8]] = {"names": held.blob, "begins": held.starts}
    meta = {"tar": _VERSION, "size": status.st_size, "time": status.st_mtime_ns}
    return Columns.pack({**arrays, "starts": starts, "lengths": lengths}, meta)


def _members(path: Path) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Yield all frames of a tar: the path relative to the root, and the member."""
    from tqdm import tqdm  # noqa: PLC0415 - needed only for scans

    try:
        with (
            tarfile.open(path, "r:", encoding="utf-8", errors="surrogateescape", tarinfo=_Header) as tar,
            tqdm(
                tar,
                f"scanning {path}",
                unit=" members",
                delay=_SHOW_AFTER,
                disable=bar_disabled(),
                leave=False,
            ) as bar,
        ):
            for member in bar:
                name = _plain(member.name)
                if not member.isdir() and name is not None:
                    yield name, member
                members: list[tarfile.TarInfo] = vars(tar)["members"]
                if len(members) > _FORGET:  # a tar may have millions
                    members.clear()
            end = tar.offset
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {why_failed(error)}") from error
    except tarfile.TarError as error:
        if _begins_compressed(path):
            raise _compressed_error(path) from error
        raise DataError(f"{str(path)!r} is not a complete tar file: {error}") from error
    except (RecursionError, ValueError) as error:  # of numbers in extended headers, which tarfile trusts
        if isinstance(error, DataError):
            raise
        raise DataError(f"{str(path)!r} is damaged: a header cannot be read: {error!s:.200}") from error
    with path.open("rb") as file:
        file.seek(end)
        if file.read(TAR_BLOCK) != _ZEROS:
            raise DataError(f"{str(path)!r} is not a complete tar file: it has no end marker at byte {end}")


def _refuse_both(path: Path, tars: list[str], frame: str | None) -> None:
    if tars and frame is not None:
        raise DataError(
            f"{str(path)!r} holds both tar files and frames, such as {frame!r}: move them to separate folders"
        )


def _begins_compressed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8).startswith(_COMPRESSIONS)


def _compressed_error(path: Path) -> DataError:
    return DataError(f"{str(path)!r} is compressed, so frames in it have no offset: decompress it")


def _plain(name: str) -> str | None:
    """Return the normalised path of a frame; None if the name is not a frame's, or hidden."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or not parts[-1].lower().endswith((*FRAME_EXTENSIONS, *SELECTED_EXTENSIONS)):
        return None
    return None if any(part.startswith(".") or part in SKIPPED for part in parts) else "/".join(parts)
