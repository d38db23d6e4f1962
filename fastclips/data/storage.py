"""Storages: the bytes or pixels of a frame, by (stream, video, frame). Layer A.

::

    FolderStorage.of({stream: FrameTree})       frames that are files
    ArrayStorage (arrays.py)                    frames that are parts of arrays
    PackStorage (pack_storage.py)               frames that are members of tar files
    Storage                                     the contract, and the base class of all of these

    storage.read(stream, video, frame)          one frame
    storage.read_many(stream, video, frames)    several frames of a video in one call
    opened(storage)                             ready for reads in this process
    SentStorage.of(storage)                     on its way to another process

The built-in storages hold no Python object per video or frame: the reference counts of such objects would
copy the pages that forked workers share. Their content lies in `Columns`, which all processes map.
"""

from __future__ import annotations

import io
import os
import weakref
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from fastclips._native import Files, read_files
from fastclips.data.columns import Columns, dump, load_shared
from fastclips.data.names import Names
from fastclips.errors import EngineError, FrameError, OptionError, why_failed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.data.names import FileNames
    from fastclips.data.scan import FrameTree

__all__ = [
    "FileTable",
    "FolderStorage",
    "SentStorage",
    "Storage",
    "absent_picture",
    "count_bytes",
    "opened",
    "read_present",
    "reason_of",
]


class Storage(ABC):
    """Base class of storages: where the frames of a dataset come from.

    Subclass it to read frames from a container of your own, and make a dataset with `Dataset.of`. Only `read`
    must be defined; `where` is recommended. `fastclips.testing.check_storage` tests a storage against this
    contract.

    .. note:: The contract is provisional: it may change in a minor version.

    A storage is

    - **immutable**: a frame has the same content whenever and wherever it is read, and an existing frame
      never changes its number;
    - **picklable**, before and after reads: workers receive a copy by cloudpickle, so the class may be
      defined in a script or a notebook. Keep open files, connections and locks out of the pickle (define
      ``__reduce__`` or ``__getstate__``), and keep the pickle small: every worker has its own copy;
    - **safe to read in several processes** at once, and from several threads of the trainer if loaders with
      ``workers=0`` run in them.

    ==================  =============================================================================
    method              called in
    ==================  =============================================================================
    ``read``            workers; the trainer, to learn the size of frames, and for ``workers=0``
    ``read_many``       workers; the trainer for ``workers=0``
    ``where``           all processes, for messages and for `ClipLoader.plan_table`
    ``advise``          the trainer, when a batch is given to the workers, if ``needs_advice`` says so
    ``open_in_worker``  each process before its first read: workers (after the fork) and the trainer
    ==================  =============================================================================

    Examples
    --------
    Frames in a zip file, each process with its own open file:

    >>> import zipfile
    >>> class ZipStorage(fc.Storage):
    ...     def __init__(self, path, names):
    ...         self.path, self.names = path, names
    ...     def __reduce__(self):  # the open file stays in its process
    ...         return ZipStorage, (self.path, self.names)
    ...     def open_in_worker(self):
    ...         self.zip = zipfile.ZipFile(self.path)
    ...     def member(self, video, frame):
    ...         if video < 0:
    ...             raise IndexError(f"there is no video {video}")
    ...         return f"{self.names[video]}/frame_{frame + 1:05d}.jpg"
    ...     def read(self, stream, video, frame):
    ...         try:
    ...             return self.zip.read(self.member(video, frame))
    ...         except KeyError as error:
    ...             path = self.where(stream, video, frame)
    ...             raise fc.FrameError(f"{path}: no such member", path=path) from error
    ...     def where(self, stream, video, frame):
    ...         return f"{self.path}:{self.member(video, frame)}"
    >>> names = ["class_0/video_0", "class_1/video_1"]
    >>> with zipfile.ZipFile("frames.zip", "w") as file:
    ...     for name in names:
    ...         for frame in range(1, 13):
    ...             member = f"{name}/frame_{frame:05d}.jpg"
    ...             file.write(f"frames/{member}", member)
    >>> storage = ZipStorage("frames.zip", names)
    >>> data = fc.Dataset.of(storage, frame_counts=[12, 12], names=names, labels=["walk", "run"])
    >>> from fastclips.testing import check_storage
    >>> check_storage(storage, streams=["image"], frame_counts=[12, 12])
    >>> loader = fc.ClipLoader(data, fc.Windows(4, step=4), batch_size=6, shuffle=False, workers=0)
    >>> x, y = next(iter(loader))
    >>> x.shape, y.tolist(), data.classes
    ((6, 4, 48, 64, 3), [1, 1, 1, 0, 0, 0], ('run', 'walk'))
    """

    __slots__ = ("__weakref__",)

    decodes: ClassVar[bool] = False  # whether reading is decoding, as of video files, in the times of `stats`

    @abstractmethod
    def read(self, stream: str, video: int, frame: int) -> bytes | NDArray[Any] | None:
        """Return one frame, or None if it has no mask.

        Parameters
        ----------
        stream : str
            Name of a stream of the dataset.
        video, frame : int
            The storage's own numbers, from 0.

        Returns
        -------
        bytes, ndarray or None
            An encoded file, at least one byte: JPEG, PNG, BMP, TIFF, WebP or .flo. Or decoded pixels, uint8:
            (H, W, C) of a picture, with C = 3 (RGB) or 1 (gray), (H, W) of a mask. Or numbers: (H, W, 1) of
            depth, uint8, uint16 or float32, (H, W, 2) of flow, float32. The caller does not modify the array.
            The frames of all streams at the same (video, frame) have the same height and width, unless
            `Dataset.of` was given a mapping of streams to kinds. None, in a stream of masks alone, means that
            the frame has no mask: all its pixels are `ignore`.

        Raises
        ------
        FrameError
            The frame is missing, empty or cannot be read. Set ``path=`` to the frame's path.
        DataError
            No FrameError: the source as a whole fails, such as a store that does not answer. Training stops,
            also with ``damaged="repeat"``.
        IndexError
            There is no such video or frame; it never means a frame of another video.
        """

    def where(self, stream: str, video: int, frame: int) -> str:
        """Return the path of a frame: a text for messages that no other frame has.

        It need not be the path of a file. It must not read the frame, and must work for missing files and
        for frames without a mask.
        """
        return f"{stream}, video {video}, frame {frame}"

    def read_many(
        self, stream: str, video: int, frames: Collection[int]
    ) -> Files | Sequence[bytes | memoryview | NDArray[Any] | None]:
        """Return several frames of a video. By default, `read` is called for each.

        Define it if one call is faster than several.

        Parameters
        ----------
        stream, video
            As in `read`.
        frames : collection of int
            At least one frame number, in any order, possibly repeated.

        Returns
        -------
        sequence of bytes, memoryview, ndarray or None
            The frames in the order of `frames`, each as from `read` or a view of the same bytes.

        Raises
        ------
        FrameError, IndexError
            As from `read`, for any of the frames.
        """
        return [self.read(stream, video, frame) for frame in frames]

    def needs_advice(self) -> bool:
        """Return whether `advise` should be called for the next batch. By default, if it is defined."""
        return type(self).advise is not Storage.advise

    def advise(self, stream: str, video: int, frames: Collection[int]) -> None:  # noqa: B027 - a default
        """Learn in the trainer which frames will be read soon. By default, do nothing.

        Parameters are those of `read_many`. The call must be fast, and ignore frames that cannot be read.
        """

    def open_in_worker(self) -> None:  # noqa: B027 - a default
        """Open files and connections, and start threads, in the process that reads. By default, do nothing.

        Each process calls it once before its first read: a worker after the fork, the trainer when it reads
        a frame itself. A process that was forked after the call calls it again; it must then replace the
        files and connections of its parent.
        """


AnyStorage = TypeVar("AnyStorage", bound=Storage)

_opened: dict[int, tuple[weakref.ref[Storage], int]] = {}  # by id: a storage, and the process that opened it


def opened(storage: AnyStorage) -> AnyStorage:
    """Return a storage after calling its `open_in_worker`, once in each process."""
    if type(storage).open_in_worker is not Storage.open_in_worker:
        known, process = _opened.get(id(storage), (None, 0))
        if known is None or known() is not storage or process != os.getpid():
            storage.open_in_worker()
            key = id(storage)
            _opened[key] = weakref.ref(storage, lambda _: _opened.pop(key, None)), os.getpid()
    return storage


@dataclass(frozen=True)
class SentStorage:
    """A storage on its way to another process, which unpickles it when it needs it.

    A worker does so after the fork: modules that the storage imports may start threads.

    Parameters
    ----------
    pickled : bytes
        The storage, pickled by cloudpickle without its `Columns`.
    columns : tuple of Columns
        The columns that were left out. `fastclips.data.columns.dump` passes their descriptors.
    """

    pickled: bytes
    columns: tuple[Columns, ...]

    @classmethod
    def of(cls, storage: Storage) -> SentStorage:
        """Pickle a storage; raise OptionError if that is not possible."""
        file = io.BytesIO()
        try:
            columns = dump(storage, file, by_value=True)
        except Exception as error:
            raise OptionError(
                f"storage={storage!r:.200}: cannot be sent to workers: {error}. Keep open files, connections "
                "and locks out of its pickle, by __reduce__ or __getstate__, or set workers=0"
            ) from error
        return cls(file.getvalue(), tuple(columns))

    def unpickled(self) -> Storage:
        """Return a copy of the storage for this process; raise EngineError if it cannot be unpickled."""
        try:
            storage: Storage = load_shared(io.BytesIO(self.pickled), self.columns)
        except Exception as error:
            raise EngineError(
                f"the storage cannot be unpickled in a worker: {type(error).__name__}: {error}. Define its "
                "class in the script, or in a module that the script can import"
            ) from error
        return storage


def read_present(storage: Storage, stream: str, video: int, frame: int) -> bytes | NDArray[np.uint8]:
    """Return one frame, as `Storage.read`; raise FrameError if it is None, which only masks may be."""
    data = storage.read(stream, video, frame)
    if data is None:
        raise absent_picture(storage, stream, video, frame)
    return data


def absent_picture(storage: Storage, stream: str, video: int, frame: int) -> FrameError:
    """Return the error about a frame that is None although its stream is no mask."""
    path = storage.where(stream, video, frame)
    reason = f"the storage has None for it, but {stream!r} is no mask: only masks may be missing"
    return FrameError(f"{path}: {reason}", path=path, reason=reason, video=video, frame=frame)


def count_bytes(data: bytes | bytearray | memoryview | NDArray[Any]) -> int:
    """Return the number of bytes of an encoded or decoded frame."""
    return data.nbytes if isinstance(data, np.ndarray) else len(data)


def reason_of(number: int) -> str:
    """Return why `fastclips._native.read_files` could not read a file, given the number that it returns."""
    special = {0: "is empty (0 bytes)", -1: "is no file, but a FIFO, a socket or a device"}
    return special.get(number) or os.strerror(number)


class FolderStorage(Storage):
    """Frames that are files, in one folder per video and stream. Made by `of`.

    A video takes the bytes of its name, 16 bytes for the name's offset and the number of frames, and 24 bytes
    per stream for the numbers of its files. Templates of file names are held once for all videos. Names of
    files are held only if the files are not evenly numbered.

    Parameters
    ----------
    columns : Columns
        The columns that `of` makes; it may hold others.
    """

    __slots__ = ("_grouped", "_streams", "columns", "frame_counts", "videos")

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.videos = Names(columns["storage.videos"], columns["storage.starts"])
        self.frame_counts: NDArray[np.int64] = columns["storage.frame_counts"]
        self._grouped = columns.meta.get("grouped", False)
        self._streams = {
            stream: (os.fsencode(root), FileTable(columns, stream))
            for stream, root in columns.meta["roots"].items()
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return FolderStorage, (self.columns,)

    @classmethod
    def of(cls, trees: Mapping[str, FrameTree]) -> FolderStorage:
        """Return a storage of trees that have the same videos with the same numbers of frames.

        The order of the trees' videos gives the video numbers.
        """
        videos = {stream: tree.videos for stream, tree in trees.items()}
        arrays = FileTable.columns(list(next(iter(videos.values()))), videos)
        meta: dict[str, Any] = {"roots": {stream: tree.root for stream, tree in trees.items()}}
        if any(tree.grouped for tree in trees.values()):
            meta["grouped"] = True
        return cls(Columns.pack(arrays, meta))

    def _paths(self, stream: str, video: int, frames: Collection[int]) -> tuple[bytes, list[bytes]]:
        """Return the folder of a video, and the names of some of its files."""
        count = self.frame_counts.item(video) if 0 <= video < len(self.videos) else 0
        if min(frames) < 0 or max(frames) >= count:
            wrong = next(frame for frame in frames if not 0 <= frame < count)
            raise IndexError(f"there is no frame {wrong} of video {video} in the storage")
        return self._folder(stream, video), self._streams[stream][1].names(video, frames)

    def _folder(self, stream: str, video: int) -> bytes:
        name = self.videos.encoded(video)
        if self._grouped:  # the last part of the name is no folder
            name = name.rpartition(b"/")[0]
            if not name:
                return self._streams[stream][0]
        return name if name.startswith(b"/") else b"%b/%b" % (self._streams[stream][0], name)

    def read(self, stream: str, video: int, frame: int) -> bytes | None:
        """Return an encoded frame, as `Storage.read`."""
        (data,) = self.read_many(stream, video, (frame,))
        return None if data is None else bytes(data)

    def read_many(
        self, stream: str, video: int, frames: Collection[int]
    ) -> Files | Sequence[memoryview | None]:
        """Return several frames of a video, as `Storage.read_many`."""
        folder, names = self._paths(stream, video, frames)
        if not self._streams[stream][1].has_missing or b"" not in names:
            return self._read_files(folder, names, video, frames)
        there = [(frame, name) for frame, name in zip(frames, names, strict=True) if name]
        files: Iterator[memoryview] = iter(())
        if there:
            files = iter(self._read_files(folder, [name for _, name in there], video, [f for f, _ in there]))
        return [next(files) if name else None for name in names]

    def _read_files(self, folder: bytes, names: list[bytes], video: int, frames: Collection[int]) -> Files:
        """Return the content of the files of some frames."""
        found = read_files(folder, names)
        if isinstance(found, Files):
            return found
        place, number = found
        path = os.fsdecode(b"%b/%b" % (folder, names[place]))
        frame = [*frames][place]
        if number <= 0:
            why = reason_of(number)
            remedy = "remove it" if number else "extract it again"
            raise FrameError(
                f"frame {path!r} {why}: {remedy}.", path=path, reason=why, video=video, frame=frame
            )
        error = OSError(number, os.strerror(number), path)
        if (why := why_failed(error)) != error.strerror:
            raise FrameError(
                f"cannot read frame {path!r}: {why}.", path=path, reason=why, video=video, frame=frame
            ) from error
        raise FrameError(
            f"cannot read frame {path!r}: {error.strerror}. If files changed since the dataset was opened, "
            "open it again, with a new index= file if there is one; if frames= has a placeholder for the "
            "number, set it to a pattern such as 'img_*.jpg', which matches the existing files.",
            path=path,
            reason=error.strerror,
            video=video,
            frame=frame,
        ) from error

    def where(self, stream: str, video: int, frame: int) -> str:
        """Return the frame's path, as `Storage.where`."""
        folder, (name,) = self._paths(stream, video, (frame,))
        if not name:
            return f"{os.fsdecode(folder)} (no file of frame {frame})"
        return os.fsdecode(b"%b/%b" % (folder, name))

    def folder(self, stream: str, video: int) -> str:
        """Return the folder of a video."""
        return os.fsdecode(self._folder(stream, video))


class FileTable:
    """Names of a stream's files, by video and frame, in columns whose names begin with ``storage.``.

    Parameters
    ----------
    columns : Columns
        The columns of the method `columns`; it may hold others.
    stream : str
        Name of the stream.

    Attributes
    ----------
    has_missing : bool
        Whether frames have no file. Their names are empty.
    """

    __slots__ = ("_first", "_listed", "_stride", "_template", "_templates", "has_missing")

    def __init__(self, columns: Columns, stream: str) -> None:
        self._template = columns[f"storage.{stream}.template"]
        self._first = columns[f"storage.{stream}.first"]
        self._stride = columns[f"storage.{stream}.stride"]
        self._templates = Names(columns[f"storage.{stream}.templates"], columns[f"storage.{stream}.begins"])
        self._listed = Names(columns[f"storage.{stream}.listed"], columns[f"storage.{stream}.starts"])
        self.has_missing = f"storage.{stream}.missing" in columns

    @staticmethod
    def columns(
        videos: Sequence[str], streams: Mapping[str, Mapping[str, FileNames]]
    ) -> dict[str, NDArray[Any]]:
        """Return the columns of the files of all streams, and of the videos.

        Parameters
        ----------
        videos : sequence of str
            Names of the videos.
        streams : mapping of str to mapping of str to FileNames
            For each stream, the files of each video in the same order. All streams have the same numbers of
            files.
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
        """Return the names of some files; the numbers are not checked."""
        template, first = self._template.item(video), self._first.item(video)
        if template < 0:
            return self._listed.several([first + int(frame) for frame in frames])
        name, stride = self._templates.encoded(template), self._stride.item(video)
        return [name % (first + int(frame) * stride) for frame in frames]


def _columns(videos: list[FileNames]) -> dict[str, NDArray[Any]]:
    """Return the columns of the files of one stream."""
    templates: dict[str, int] = {}
    listed, places, missing = [], 0, 0
    rows = np.empty((len(videos), 3), np.int64)
    for row, files in enumerate(videos):
        if files.template is None:
            rows[row] = -1, places, 1
            places += files.count
            missing += files.names().count("")
            listed.append(files.listed)
        else:
            rows[row] = templates.setdefault(files.template, len(templates)), files.first, files.stride
    numbered, names = Names.of(templates), Names.of(listed)  # FileNames separates names as Names does
    found = {"missing": np.array([missing], np.int64)} if missing else {}
    return found | {
        "template": rows[:, 0],
        "first": rows[:, 1],
        "stride": rows[:, 2],
        "templates": numbered.blob,
        "begins": numbered.starts,
        "listed": names.blob,
        "starts": names.starts,
    }
