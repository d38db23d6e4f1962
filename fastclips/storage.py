"""Bytes of a frame, by (stream, video, frame): layer A.

A storage is a small immutable value: it is pickled once to the nursery and shared by every forked worker,
so it holds no Python object per frame (their reference counts would copy each page that they lie on).
File names are one blob and its offsets, about 25 bytes for each frame.

::

    scan_frames(root, pattern) -> FrameTree       which videos there are, and which frames each has
    FolderStorage.from_trees({stream: FrameTree}) one tree per stream, already paired (see index.py)
    storage.read(stream, video, frame) -> bytes   open, fstat, read, close

**Layout.** ``root/class/.../video/frame.jpg``: a video is a folder that directly holds frames, at any depth
below the root; its name is its path from the root.

**Order.** Natural: see `natural_key`. Frames are ordered by stem, the file name without its extension, so
``0007.jpg`` and its mask ``0007.png`` have the same place.
"""

from __future__ import annotations

import fnmatch
import logging
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastclips.errors import DataError, FrameError
from fastclips.options import first_few

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["FRAME_EXTENSIONS", "FolderStorage", "FrameTree", "Storage", "natural_key", "scan_frames"]

FRAME_EXTENSIONS = (".jpg", ".jpeg", ".png")  # in any case

_END = "\0"  # ends a name in a blob: the one character that no path can hold
_DIGITS = "0123456789"
_log = logging.getLogger(__name__)


class Storage(Protocol):
    """What every kind of storage does. Immutable, picklable, and safe to use after a fork."""

    def read(self, stream: str, video: int, frame: int) -> bytes:
        """Return one whole encoded frame.

        Parameters
        ----------
        stream : str
            Name of the stream.
        video, frame : int
            The storage's own numbers, from 0.

        Returns
        -------
        bytes
            At least one byte.

        Raises
        ------
        FrameError
            The frame is missing, empty or cannot be read; the message holds its path.
        """
        ...

    def where(self, stream: str, video: int, frame: int) -> str:
        """Return the frame's path, for messages; it need not exist."""
        ...


class _Names:
    """Names of files by number, in one blob: item i is ``blob[starts[i] : starts[i + 1] - 1]``."""

    __slots__ = ("_blob", "_starts")

    def __init__(self, texts: Iterable[str]) -> None:
        # Every text is one name, or several with _END between them.
        self._blob = os.fsencode("".join(text + _END for text in texts))
        ends = np.flatnonzero(np.frombuffer(self._blob, np.uint8) == 0)
        self._starts = np.concatenate(([0], ends + 1)).astype(np.int64)

    def __getitem__(self, number: int) -> bytes:
        start = self._starts.item
        return self._blob[start(number) : start(number + 1) - 1]


class FolderStorage:
    """Frames that are files, in one folder for each video and stream.

    Made by `from_trees`. Holds millions of frames in three flat arrays per stream.

    Parameters
    ----------
    first : ndarray of int64, shape (videos + 1,)
        Number of each video's first frame among all frames, then the count of all frames.
    folders, files : mapping of str to sequence of bytes
        For each stream, the absolute path of each video's folder and the name of each frame's file.
    """

    __slots__ = ("_files", "_first", "_folders")

    def __init__(
        self, first: NDArray[np.int64], folders: Mapping[str, _Names], files: Mapping[str, _Names]
    ) -> None:
        self._first = first
        self._folders = dict(folders)
        self._files = dict(files)

    @classmethod
    def from_trees(cls, trees: Mapping[str, FrameTree]) -> FolderStorage:
        """Make a storage whose video numbers are the order of the trees' videos.

        Parameters
        ----------
        trees : mapping of str to FrameTree
            For each stream, the same videos with the same frames, but for the files' extensions.

        Returns
        -------
        FolderStorage
        """
        videos = next(iter(trees.values())).videos.values()
        counts = np.fromiter((files.count(_END) + 1 for files in videos), np.int64, len(videos))
        return cls(
            np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
            {stream: _Names(f"{tree.root}/{name}" for name in tree.videos) for stream, tree in trees.items()},
            {stream: _Names(tree.videos.values()) for stream, tree in trees.items()},
        )

    @property
    def frame_counts(self) -> NDArray[np.int64]:
        """Frames of each video, shape (videos,)."""
        return np.diff(self._first)

    def _path(self, stream: str, video: int, frame: int) -> bytes:
        first = self._first.item
        number = first(video) + frame
        if video < 0 or frame < 0 or number >= first(video + 1):
            raise IndexError(f"there is no frame {frame} of video {video} in the storage")
        return b"%b/%b" % (self._folders[stream][video], self._files[stream][number])

    def read(self, stream: str, video: int, frame: int) -> bytes:
        """Return one whole encoded frame, as `Storage.read`."""
        path = self._path(stream, video, frame)
        try:
            file = os.open(path, os.O_RDONLY)
            try:
                size = os.fstat(file).st_size
                data = os.read(file, size)
                while len(data) < size and (more := os.read(file, size - len(data))):
                    data += more
            finally:
                os.close(file)
        except OSError as error:
            raise FrameError(
                f"cannot read frame {os.fsdecode(path)!r}: {error.strerror}. "
                "If files changed since the dataset was opened, open it again."
            ) from error
        if not data:
            raise FrameError(f"frame {os.fsdecode(path)!r} is empty (0 bytes): extract it again.")
        return data

    def where(self, stream: str, video: int, frame: int) -> str:
        """Return the frame's path, as `Storage.where`."""
        return os.fsdecode(self._path(stream, video, frame))


@dataclass(frozen=True)
class FrameTree:
    """One stream's videos, as `scan_frames` found them.

    Parameters
    ----------
    root : str
        Absolute path.
    videos : dict of str to str
        For each video, in natural order, its frames' file names in order, as one string: a list of them
        would take three times the memory. `frames` and `stems` take it apart.
    """

    root: str
    videos: dict[str, str]

    def frames(self, video: str) -> list[str]:
        """Return the file names of a video's frames, in order."""
        return self.videos[video].split(_END)

    def stems(self, video: str) -> list[str]:
        """Return the frames' names without extension, in order; no two are equal."""
        return [_stem(name) for name in self.frames(video)]


def natural_key(path: str) -> list[tuple[list[Any], str]]:
    """Return the sort key of natural order, in which ``f2`` comes before ``f10``.

    Paths are compared folder by folder. Within one name, runs of the digits 0-9 compare as numbers and the
    text between them by casefolded code points; where all that is equal (``f1``, ``F1``, ``f01``), the plain
    strings decide, so the order is total and the same on every machine and in every locale.

    Parameters
    ----------
    path : str
        A name, or names joined by ``/``.

    Returns
    -------
    list
        Compares with the key of any other path.
    """
    return [(_number_runs(name.casefold()), name) for name in path.split("/")]


def _number_runs(text: str) -> list[Any]:
    parts: list[Any] = _RUNS.split(text)
    parts[1::2] = map(int, parts[1::2])  # text stands at even places, so only like compares with like
    return parts


_RUNS = re.compile("([0-9]+)")


def scan_frames(root: str | os.PathLike[str], pattern: str | None = None) -> FrameTree:
    """Find the videos under a folder.

    Hidden files and folders and ``__MACOSX`` are skipped. Links to folders are followed, but not into a
    folder that holds the link. Links to files that are gone count as frames, so that reading them fails
    instead of the video becoming shorter. No file is opened or asked for its size.

    Parameters
    ----------
    root : path
        The folder of class folders.
    pattern : str, optional
        Take only the frames whose file name matches, as `fnmatch.fnmatchcase`. Without it, all the numbered
        frames of a folder must have one prefix.

    Returns
    -------
    FrameTree
        At least one video.

    Raises
    ------
    DataError
        The root is no folder, cannot be listed, or holds frames itself; nothing was found; a folder holds
        several numbered sequences, or two frames with one stem.
    """
    top = Path(root).absolute()
    if not top.is_dir():
        found = "is a file" if top.exists() else "does not exist"
        raise DataError(f"{str(top)!r} {found}: expected a folder of class/video/frame.")
    matches = None if pattern is None else re.compile(fnmatch.translate(pattern)).match
    videos: dict[str, str] = {}
    unmatched: list[str] = []
    others: Counter[str] = Counter()
    for video, names, extensions in _walk(str(top)):
        others.update(extensions)
        frames = names if matches is None else [name for name in names if matches(name)]
        if not frames:
            unmatched += names
            continue
        if not video:
            raise DataError(
                f"{str(top)!r} itself holds frames, such as {min(frames)!r}, but the layout is "
                "class/video/frame: open the folder that holds the class folders, or move the frames."
            )
        videos[video] = _join_frames(f"{top}/{video}", frames, chosen=pattern is not None)
    if not videos:
        raise DataError(_nothing_found(str(top), pattern, unmatched, others))
    return FrameTree(str(top), {video: videos[video] for video in sorted(videos, key=natural_key)})


def _walk(top: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each folder's path from the top, its frames' names and the other files' extensions."""
    pending: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while pending:
        folder, above = pending.pop()
        path = f"{top}/{folder}" if folder else top
        frames: list[str] = []
        extensions: list[str] = []
        try:
            status = Path(path).stat()
            identity = (status.st_dev, status.st_ino)
            if identity in above:
                _log.warning("Skipped %r, a link to a folder that holds it.", path)
                continue
            with os.scandir(path) as entries:
                for entry in entries:
                    name = entry.name
                    extension = name[len(_stem(name)) :].lower()
                    if name.startswith(".") or name == "__MACOSX":
                        continue
                    if entry.is_dir():
                        pending.append((f"{folder}/{name}" if folder else name, above | {identity}))
                    elif extension in FRAME_EXTENSIONS:
                        frames.append(name)
                    else:
                        extensions.append(extension)
        except OSError as error:
            raise DataError(f"cannot list {error.filename or path!r}: {error.strerror}.") from error
        yield folder, frames, extensions


def _stem(name: str) -> str:
    stem, dot, _ = name.rpartition(".")
    return stem if dot else name


def _join_frames(folder: str, names: list[str], *, chosen: bool) -> str:
    """Check one video's frames and return them in natural order, as one string."""
    by_stem: dict[str, str] = {}
    for name in names:
        twin = by_stem.setdefault(_stem(name), name)
        if twin is not name:
            raise DataError(
                f"{folder!r} holds two frames with one name, {min(twin, name)!r} and {max(twin, name)!r}: "
                "remove one, or choose with frames=, such as frames='*.jpg'."
            )
    prefixes = {stem.rstrip(_DIGITS) for stem in by_stem if stem[-1] in _DIGITS}
    if len(prefixes) > 1 and not chosen:
        shown = sorted(prefixes, key=natural_key)
        raise DataError(
            f"{folder!r} holds numbered frames with {len(shown)} prefixes, {first_few(shown)}: choose with "
            f"frames=, such as frames={shown[-1] + '*'!r}, or frames='*' for all as one video."
        )
    return _END.join(by_stem[stem] for stem in sorted(by_stem, key=natural_key))


def _nothing_found(top: str, pattern: str | None, unmatched: list[str], others: Counter[str]) -> str:
    if unmatched:
        return (
            f"frames={pattern!r} matches none of the {len(unmatched)} frames in {top!r}, "
            f"such as {min(unmatched, key=natural_key)!r}."
        )
    found = ", ".join(
        f"{count} {extension or 'extensionless'} file{'s' * (count > 1)}"
        for extension, count in others.most_common(5)
    )
    return (
        f"no frames in {top!r}: expected class/video/frame with files that end in "
        f"{', '.join(FRAME_EXTENSIONS)}; found {found or 'no files'}."
    )
