"""Bytes of a frame, by (stream, video, frame): layer A.

A storage is a small immutable value: it is pickled once to the nursery and shared by every forked worker,
so it holds no Python object per video or frame (their reference counts would copy each page that they lie
on). What it does hold lies in `Columns`, which all processes share.

::

    FolderStorage.of({stream: FrameTree})         frames that are files
    ArrayStorage (arrays.py)                      frames that are parts of arrays
    PackStorage (pack_storage.py)                 frames that are members of tar files
    storage.read(stream, video, frame) -> bytes
    storage.read_many(stream, video, frames)      in one go, where the storage can
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips._native import read_files
from fastclips.data.columns import Columns
from fastclips.data.names import Names
from fastclips.errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.data.names import FileNames
    from fastclips.data.scan import FrameTree

__all__ = ["FileTable", "FolderStorage", "Storage", "count_bytes"]


class Storage(ABC):
    """Source of frames: the base class of every storage.

    A storage is immutable. The trainer makes it and pickles it once; workers are forked with it and read from
    it, each in its own process.
    """

    __slots__ = ()

    @abstractmethod
    def read(self, stream: str, video: int, frame: int) -> bytes | NDArray[np.uint8]:
        """Return one frame.

        Parameters
        ----------
        stream : str
            Name of the stream.
        video, frame : int
            The storage's own numbers, from 0.

        Returns
        -------
        bytes or ndarray of uint8
            An encoded frame, at least one byte; or decoded pixels, (H, W, C), or (H, W) for masks.

        Raises
        ------
        FrameError
            If the frame is missing, empty or cannot be read.
        """

    def where(self, stream: str, video: int, frame: int) -> str:
        """Return the path of a frame, for messages; the file need not exist."""
        return f"{stream}, video {video}, frame {frame}"

    def read_many(
        self, stream: str, video: int, frames: Collection[int]
    ) -> Sequence[bytes | memoryview | NDArray[np.uint8]]:
        """Return several frames of a video; by default, `read` is called for each.

        Parameters
        ----------
        stream, video
            As for `read`.
        frames : collection of int
            As for `read`, at least one.

        Returns
        -------
        sequence of bytes, memoryview or ndarray of uint8
            As `read` returns each, or views of it.

        Raises
        ------
        FrameError
            As `read`.
        """
        return [self.read(stream, video, frame) for frame in frames]

    def advise(self, stream: str, video: int, frames: Collection[int]) -> None:  # noqa: B027 - a default
        """Learn in the trainer which frames workers will read soon; by default, do nothing."""

    def open_in_worker(self) -> None:  # noqa: B027 - a default
        """Start in a worker, after the fork, what needs threads or connections; by default, do nothing."""


def count_bytes(data: bytes | bytearray | memoryview | NDArray[Any]) -> int:
    """Return how many bytes a frame has, encoded or decoded."""
    return data.nbytes if isinstance(data, np.ndarray) else len(data)


class FolderStorage(Storage):
    """Frames that are files, in one folder for each video and stream.

    Made by `of`. A video takes its name, 8 bytes for where that begins and 8 for its count of frames, and in
    each stream 24 for the numbers of its files; what numbers stand in is held once for all videos alike, and
    names only where files are not evenly numbered.

    Parameters
    ----------
    columns : Columns
        As `of` lays it out; it may hold more beside.
    """

    __slots__ = ("_streams", "columns", "frame_counts", "videos")

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.videos = Names(columns["storage.videos"], columns["storage.starts"])
        self.frame_counts: NDArray[np.int64] = columns["storage.frame_counts"]
        self._streams = {
            stream: (os.fsencode(root), FileTable(columns, stream))
            for stream, root in columns.meta["roots"].items()
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return FolderStorage, (self.columns,)

    @classmethod
    def of(cls, trees: Mapping[str, FrameTree]) -> FolderStorage:
        """Make a storage whose video numbers are the order of the trees' videos.

        Parameters
        ----------
        trees : mapping of str to FrameTree
            For each stream, the same videos with as many frames.

        Returns
        -------
        FolderStorage
        """
        videos = {stream: tree.videos for stream, tree in trees.items()}
        arrays = FileTable.columns(list(next(iter(videos.values()))), videos)
        return cls(Columns.pack(arrays, {"roots": {stream: tree.root for stream, tree in trees.items()}}))

    def _paths(self, stream: str, video: int, frames: Collection[int]) -> tuple[bytes, list[bytes]]:
        """Return the folder of a video, and names of files in it."""
        count = self.frame_counts.item(video) if 0 <= video < len(self.videos) else 0
        if min(frames) < 0 or max(frames) >= count:
            wrong = next(frame for frame in frames if not 0 <= frame < count)
            raise IndexError(f"there is no frame {wrong} of video {video} in the storage")
        return self._folder(stream, video), self._streams[stream][1].names(video, frames)

    def _folder(self, stream: str, video: int) -> bytes:
        name = self.videos.encoded(video)
        return name if name.startswith(b"/") else b"%b/%b" % (self._streams[stream][0], name)

    def read(self, stream: str, video: int, frame: int) -> bytes:
        """Return one whole encoded frame, as `Storage.read`."""
        return bytes(self.read_many(stream, video, (frame,))[0])

    def read_many(self, stream: str, video: int, frames: Collection[int]) -> list[memoryview]:
        """Return several frames of a video, as `Storage.read_many`."""
        folder, names = self._paths(stream, video, frames)
        found = read_files(folder, names)
        if isinstance(found, list):
            return found
        place, number = found
        path = b"%b/%b" % (folder, names[place])
        if not number:
            raise FrameError(f"frame {os.fsdecode(path)!r} is empty (0 bytes): extract it again.")
        error = OSError(number, os.strerror(number), path)
        raise FrameError(
            f"cannot read frame {os.fsdecode(path)!r}: {error.strerror}. "
            "If files changed since the dataset was opened, open it again, with a new index= file if "
            "there is one; if frames= has a place for the number, a pattern such as 'img_*.jpg' takes "
            "the files that are there."
        ) from error

    def where(self, stream: str, video: int, frame: int) -> str:
        """Return the frame's path, as `Storage.where`."""
        folder, (name,) = self._paths(stream, video, (frame,))
        return os.fsdecode(b"%b/%b" % (folder, name))

    def folder(self, stream: str, video: int) -> str:
        """Return the folder of a video."""
        return os.fsdecode(self._folder(stream, video))


class FileTable:
    """Names of one stream's files, by video and frame, in columns whose names begin with ``storage.``.

    Parameters
    ----------
    columns : Columns
        As `columns` lays them out, with whatever else.
    stream : str
        Which stream.
    """

    __slots__ = ("_first", "_listed", "_stride", "_template", "_templates")

    def __init__(self, columns: Columns, stream: str) -> None:
        self._template = columns[f"storage.{stream}.template"]
        self._first = columns[f"storage.{stream}.first"]
        self._stride = columns[f"storage.{stream}.stride"]
        self._templates = Names(columns[f"storage.{stream}.templates"], columns[f"storage.{stream}.begins"])
        self._listed = Names(columns[f"storage.{stream}.listed"], columns[f"storage.{stream}.starts"])

    @staticmethod
    def columns(
        videos: Sequence[str], streams: Mapping[str, Mapping[str, FileNames]]
    ) -> dict[str, NDArray[Any]]:
        """Return the columns of all streams' files, and of the videos.

        Parameters
        ----------
        videos : sequence of str
            Their names.
        streams : mapping of str to mapping of str to FileNames
            For each stream the files of each video, in that order; as many in all streams.

        Returns
        -------
        dict of str to ndarray
        """
        names = Names.of(videos)
        counts = [files.count for files in next(iter(streams.values())).values()]
        arrays: dict[str, NDArray[Any]] = {
            "storage.videos": names.blob,
            "storage.starts": names.starts,
            "storage.frame_counts": np.array(counts, np.int64),
        }
        for stream, files in streams.items():
            columns = _columns(list(files.values()))
            arrays.update({f"storage.{stream}.{name}": array for name, array in columns.items()})
        return arrays

    def names(self, video: int, frames: Collection[int]) -> list[bytes]:
        """Return names of files; not checked."""
        template, first = self._template.item(video), self._first.item(video)
        if template < 0:
            return [self._listed.encoded(first + int(frame)) for frame in frames]
        name, stride = self._templates.encoded(template), self._stride.item(video)
        return [name % (first + int(frame) * stride) for frame in frames]


def _columns(videos: list[FileNames]) -> dict[str, NDArray[Any]]:
    """Return the columns of one stream's files."""
    templates: dict[str, int] = {}
    listed, places = [], 0
    rows = np.empty((len(videos), 3), np.int64)
    for row, files in enumerate(videos):
        if files.template is None:
            rows[row] = -1, places, 1
            places += files.count
            listed.append(files.listed)
        else:
            rows[row] = templates.setdefault(files.template, len(templates)), files.first, files.stride
    numbered, names = Names.of(templates), Names.of(listed)  # of FileNames, whose names end alike
    return {
        "template": rows[:, 0],
        "first": rows[:, 1],
        "stride": rows[:, 2],
        "templates": numbered.blob,
        "begins": numbered.starts,
        "listed": names.blob,
        "starts": names.starts,
    }
