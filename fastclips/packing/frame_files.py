"""Frames of packs and tar files -> files in folders: the work of `fastclips.unpack` in its workers.

::

    dct frame               -> the JPEG that it was made of, or one with the same coefficients
    any other file          -> itself; a flow in two series as its two files
    picture, mask           -> PNG, if it is an array
    depth                   -> PNG, if it is an array of integers; TIFF, if of float32
    flow                    -> .flo, if it is an array

All of these are without loss, and `fastclips.open` reads all of them.
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips._native import DCT_MAGIC, from_dct
from fastclips.data.names import stem
from fastclips.data.pack_storage import BLOCK, PackStorage
from fastclips.data.series import SeriesStorage, split_pair
from fastclips.data.storage import SentStorage, absent_picture, opened
from fastclips.errors import FrameError
from fastclips.packing.encoder import KINDS, file_of_array, kind_of
from fastclips.packing.headers import ShardHeaders
from fastclips.packing.opening_call import SERIES
from fastclips.packing.parts import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from fastclips.data.names import Names
    from fastclips.data.storage import Storage
    from fastclips.data.stored import Run
    from fastclips.spec import StreamSpec

__all__ = ["FILES", "FOLDER", "FileJob", "FileMaker", "Made", "check_free", "make_folder", "write_file"]

FILES = "files"
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BEGUN = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHER_STARTS = {b"RIFF": "webp", b"PIEH": "flo"}  # of formats that packs call bin


@dataclass(frozen=True)
class FileJob:
    """Data that all tasks of a call of `unpack` have in common.

    Parameters
    ----------
    storage : Storage
        Source of the frames: a `PackStorage`, or a `SeriesStorage` of one.
    streams : tuple of StreamSpec
        The streams. If there are several, each gets a folder.
    names, folders : Names
        Name of each video, and the folder that it gets, by the numbers of the tasks.
    work : str
        Folder of the work in progress: the files lie below its folder `FILES`.
    begun : bool
        Whether files may exist that a killed process has begun; they are replaced.
    """

    storage: Storage
    streams: tuple[StreamSpec, ...]
    names: Names
    folders: Names
    work: str
    begun: bool

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "storage": SentStorage.of(self.storage)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, storage=state["storage"].unpickled())

    def doer(self) -> Callable[[Run], Made]:
        """Return the function that writes a run of frames, for `fastclips.packing.workers`."""
        return FileMaker(self).make

    def name_of(self, task: Run) -> str:
        """Return the name of a task's video."""
        return self.names[task.video]


class Made(NamedTuple):
    """The result of a task; JSON can hold its fields.

    Parameters
    ----------
    video : int
        The task's video.
    restored, same_coefficients, as_stored, arrays : int
        Numbers of files, as in `fastclips.Unpacked`.
    left_out : list of int
        Frames that were not written in any stream.
    lacks_masks : bool
        Whether a frame was written without its mask.
    pairs : list of str
        Streams of flow in two series of files.
    problems : list of Problem
        Frames that could not be read.
    """

    video: int
    restored: int = 0
    same_coefficients: int = 0
    as_stored: int = 0
    arrays: int = 0
    left_out: list[int] = []  # noqa: RUF012 - never changed
    lacks_masks: bool = False
    pairs: list[str] = []  # noqa: RUF012 - likewise
    problems: list[Problem] = []  # noqa: RUF012 - likewise


class _File(NamedTuple):
    """A file to be written: which of the counts of `Made` it is in, its name before the number, and more."""

    of: str
    before: str
    extension: str
    content: bytes | memoryview


class FileMaker:
    """Does the tasks of a job, one after the other."""

    def __init__(self, job: FileJob) -> None:
        storage = opened(job.storage)
        files = storage.files if isinstance(storage, SeriesStorage) else storage
        assert isinstance(files, PackStorage)  # noqa: S101 - `unpack` has checked it
        self._job, self._storage, self._tars = job, storage, files
        self._own_names = not files.is_pack and len(job.streams) == 1
        self._headers = _Headers(files) if files.is_pack else None

    def make(self, task: Run) -> Made:
        """Write a run of frames; raise OSError if a file cannot be written."""
        job, counts = self._job, dict.fromkeys(("restored", "same_coefficients", "as_stored", "arrays"), 0)
        left_out: list[int] = []
        problems: list[Problem] = []
        lacks, pairs = False, set()
        with ExitStack() as stack:
            work = stack.enter_context(_opened(job.work))
            folders = [
                stack.enter_context(make_folder(work, "/".join((FILES, *below, job.folders[task.video]))))
                for below in ([stream.name] if len(job.streams) > 1 else [] for stream in job.streams)
            ]
            for frame in range(task.first, task.first + task.frames):
                found, wrong = self._frame(task, frame)
                problems += wrong
                if found is None:
                    left_out.append(frame)
                    continue
                for stream, folder, files in zip(job.streams, folders, found, strict=True):
                    lacks = lacks or not files
                    for file in files:
                        if file.before:
                            pairs.add(stream.name)
                        name = self._name(file, stream, task.key, frame)
                        write_file(work, folder, name, file.content, replace=job.begun)
                        counts[file.of] += file.before != SERIES[1]
        return Made(
            task.video,
            **counts,
            left_out=left_out,
            lacks_masks=lacks,
            pairs=sorted(pairs),
            problems=problems,
        )

    def _frame(self, task: Run, frame: int) -> tuple[list[list[_File]] | None, list[Problem]]:
        """Return the files of each stream, none for a missing mask; None if the frame is left out."""
        streams = self._job.streams
        optional = not all(stream.mask for stream in streams)
        found, problems, left_out = [], [], False
        for stream in streams:
            files: list[_File] = []
            try:
                data: Any = self._storage.read(stream.name, task.key, frame)
                if data is not None:
                    files = list(self._files(data, stream, task.key, frame))
                elif not (stream.mask and optional):
                    raise absent_picture(self._storage, stream.name, task.key, frame)
            except FrameError as error:
                where = self._storage.where(stream.name, task.key, frame)
                problems.append(Problem(self._job.names[task.video], where, error.reason or str(error)))
                left_out = left_out or not (stream.mask and optional)
            found.append(files)
        return None if left_out else found, problems

    def _files(
        self, data: bytes | NDArray[Any], stream: StreamSpec, video: int, frame: int
    ) -> Iterator[_File]:
        """Yield the files of a frame."""
        if isinstance(data, np.ndarray):
            yield _File("arrays", "", *file_of_array(data, stream.kind))
            return
        pair = split_pair(data)
        for before, content in (("", data),) if pair is None else zip(SERIES, pair, strict=True):
            if content[:4] != DCT_MAGIC:
                kind = KINDS[kind_of(content)]
                repacked = kind == "jpg" and self._headers is not None and not before
                extension = _OTHER_STARTS.get(bytes(content[:4]), kind) if kind == "bin" else kind
                yield _File("same_coefficients" if repacked else "as_stored", before, extension, content)
                continue
            around = self._headers.around(stream.name, video, frame) if self._headers is not None else b""
            try:
                jpeg = from_dct(bytes(content), around or None)
            except ValueError as error:
                raise FrameError(f"cannot be written as a JPEG: {error}") from error
            yield _File("restored" if around else "same_coefficients", before, "jpg", jpeg)

    def _name(self, file: _File, stream: StreamSpec, video: int, frame: int) -> str:
        if not self._own_names or file.before:
            return f"{file.before}{frame:06d}.{file.extension}"
        name = self._tars.file_name(stream.name, video, frame)
        return name if file.of == "as_stored" else f"{stem(name)}.{file.extension}"


class _Headers:
    """What restores the JPEGs of a pack, read shard by shard."""

    def __init__(self, storage: PackStorage) -> None:
        self._storage = storage
        columns = storage.columns
        self._streams = [stream["name"] for stream in columns.meta["streams"]]
        self._ends = columns["pack.ends"]
        bases = [columns[f"pack.{stream}.bases"] for stream in self._streams]
        self._shards = np.searchsorted(self._ends, np.max(bases, axis=0) - BLOCK, side="right")
        self._shard, self._begin = -1, 0  # whose headers these are, and the first row of its frames
        self._headers: ShardHeaders | None = None

    def around(self, stream: str, video: int, frame: int) -> bytes:
        """Return what a frame's JPEG has beside its scan; empty if it is not known."""
        columns = self._storage.columns
        shard = int(self._shards[video])
        begins = columns["pack.begins"]
        if shard != self._shard or self._headers is None:
            first, last = np.flatnonzero(self._shards == shard)[[0, -1]].tolist()
            self._shard, self._begin = shard, int(begins[first])
            frames = int(begins[last] + self._storage.frame_counts[last]) - self._begin
            size = int(self._ends[shard]) - (int(self._ends[shard - 1]) if shard else 0)
            name, made = columns.meta["shards"][shard], columns.meta.get("made", "")
            members = frames * len(self._streams)
            self._headers = ShardHeaders(Path(self._storage.folder), made, name, size, members)
        row = int(begins[video]) - self._begin + frame - int(columns["pack.firsts"][video])
        return self._headers.around(row * len(self._streams) + self._streams.index(stream))


# Files


class _opened:  # noqa: N801 - used as a function
    """A descriptor of a folder, closed at the end of a with block."""

    def __init__(self, path: str, above: int | None = None) -> None:
        self._fd = os.open(path, FOLDER, dir_fd=above)

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def make_folder(top: int, path: str) -> _opened:
    """Make a folder below another, unless it exists, and open it; follow no link.

    Parameters
    ----------
    top : int
        Descriptor of the folder above.
    path : str
        Names of folders, joined by slashes.
    """
    folder = _opened(".", top)
    for part in path.split("/"):
        if part in ("", "."):
            continue
        with folder as above:
            with suppress(FileExistsError):  # of another video, or of an earlier run
                os.mkdir(part, dir_fd=above)
            folder = _opened(part, above)
    return folder


def write_file(work: int, folder: int, name: str, content: bytes | memoryview, *, replace: bool) -> None:
    """Write a file, which gets its name when it is complete.

    Parameters
    ----------
    work : int
        Descriptor of a folder for files that are not complete, in the same file system.
    folder : int
        Descriptor of the file's folder.
    name : str
        The file's name.
    content : bytes or memoryview
        What it holds.
    replace : bool
        Whether a file of this name is replaced; otherwise it is an error.
    """
    begun = f"{os.getpid()}.part"
    file = os.open(begun, _BEGUN, 0o666, dir_fd=work)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(file, view) :]
    finally:
        os.close(file)
    if not replace:
        check_free(folder, name)
    os.rename(begun, name, src_dir_fd=work, dst_dir_fd=folder)


def check_free(folder: int, name: str) -> None:
    """Raise FileExistsError if a folder has a file of some name."""
    with suppress(FileNotFoundError):
        os.lstat(name, dir_fd=folder)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
