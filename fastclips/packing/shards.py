"""Parts in order -> shards, then the pack's index; resumable after any end.

While a pack is made, its folder holds ``.packing``::

    made            digest of the data and the options; a run with another digest does not resume
    lock            held by the process that packs
    00000.record    content of a complete shard, as `Columns`
    00000.headers   of a shard with dct frames, moved beside the shard: see `fastclips.packing.headers`
    shard           the shard that is being written
    parts-*/        the parts of the shard; a folder for each run, because workers may outlive a run

A shard is complete once its record exists: the tar is written under ``.packing``, synced and renamed, and
after it the record. A resumed run keeps the complete shards and removes everything else. The index is
written last, so a folder without an index is no pack.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.columns import Columns
from fastclips.data.names import FileNames
from fastclips.data.pack_columns import pack_columns
from fastclips.data.pack_storage import BLOCK, INDEX, PackStorage, is_pack
from fastclips.data.tars import UNFINISHED
from fastclips.errors import DataError, OptionError
from fastclips.packing.folder_lock import lock_folder
from fastclips.packing.headers import Headers, headers_name
from fastclips.packing.parts import Problem, member_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from fastclips.packing.parts import Part

__all__ = ["SHARD", "Shards", "Totals", "check_made", "record_name", "shard_name"]

SHARD = re.compile(r"([0-9]{5,})\.(?:tar|headers)").fullmatch  # name of a shard, or of the file beside it
_COUNTED = ("videos", "frames", "source", "packed", "kept")
_END = bytes(2 * BLOCK)  # the end of a tar file


@dataclass
class Totals:
    """Totals of all complete shards.

    Parameters
    ----------
    videos, frames : int
        Numbers of videos and frames; a frame of two streams counts once.
    source : int
        Bytes of the frames before packing.
    packed : int
        Bytes of the frames in the pack.
    shards : int
        Bytes of the tar files.
    kept : int
        Pictures that were packed unchanged because they could not be transcoded.
    problems : list of Problem
        Frames that could not be read.
    dropped : list of int
        Numbers of the videos that are left out for such frames.
    """

    videos: int = 0
    frames: int = 0
    source: int = 0
    packed: int = 0
    shards: int = 0
    kept: int = 0
    problems: list[Problem] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)


class Shards:
    """The shards of a pack that is being made; a context manager that removes half-written files.

    Parameters
    ----------
    folder : Path
        The pack's folder.
    made : str
        Digest of the data and the options.
    streams : int
        Number of streams.
    shard_bytes : int
        A shard is closed after the video with which it reaches this size.
    drop : bool
        Whether videos with unreadable frames are left out.
    name : str, optional
        The pack's name in messages; by default, the folder.

    Attributes
    ----------
    next_video : int
        The first video that is in no complete shard.
    totals : Totals
        Totals of the complete shards.
    complete : bool
        Whether the folder is this pack already.

    Raises
    ------
    OptionError
        The folder has other content, cannot be written to, or another process packs into it.
    """

    def __init__(
        self,
        folder: Path,
        made: str,
        *,
        streams: int,
        shard_bytes: int,
        drop: bool,
        name: str | None = None,
    ) -> None:
        self._folder = folder
        self._name = name or str(folder)
        self._work = folder / UNFINISHED
        self._streams = streams
        self._shard_bytes = shard_bytes
        self._drop = drop
        self._fd = self._lock_fd = -1
        self.next_video = 0
        self.totals = Totals()
        self.complete = _is_made(folder, made)
        self._made = made
        self._records: list[Columns] = []
        self._parts: list[tuple[Part, int]] = []  # of the current video, with their offsets in the shard
        if not self.complete:
            try:
                self._lock_fd = lock_folder(self._work, folder, "packs")
                self.complete = _is_made(folder, made)  # another process may have finished it meanwhile
                if not self.complete:
                    self._prepare(made)
            except BaseException:
                self._unlock()
                raise
        self._begin_record()

    def _prepare(self, made: str) -> None:
        file = self._work / "made"
        resumes = file.exists() and file.read_text() == made
        if not resumes and (self._work / record_name(0)).exists():
            raise OptionError(
                f"dst={self._name!r}: has the beginning of a pack of other data or with other options; "
                "delete it, or give another folder"
            )
        if not resumes:
            _write(file, made.encode())
        while (record := self._record(len(self._records))) is not None:
            self._records.append(record)
            self._count(record.meta)
            self.next_video = record.meta["next"]
        for path in self._folder.iterdir():
            shard = SHARD(path.name)
            if shard and int(shard[1]) >= len(self._records):
                path.unlink()
        self._remove_unfinished()
        self._parts_folder = Path(tempfile.mkdtemp(prefix="parts-", dir=self._work))

    def _remove_unfinished(self) -> None:
        """Remove half-written files."""
        (self._work / "shard").unlink(missing_ok=True)
        for path in self._work.glob("parts-*"):
            shutil.rmtree(path, ignore_errors=True)

    def _record(self, number: int) -> Columns | None:
        """Return a shard's record if the shard is complete."""
        try:
            record = Columns.load(self._work / record_name(number))
            size = self._shard_size(number)
        except (OSError, DataError):
            return None
        return record if record.meta["size"] == size else None

    def _shard_size(self, number: int) -> int:
        """Return the bytes of a shard; raise OSError if there is none."""
        return (self._folder / shard_name(number)).stat().st_size

    def _count(self, meta: dict[str, Any]) -> None:
        totals = self.totals
        for name in _COUNTED:
            setattr(totals, name, getattr(totals, name) + meta[name])
        totals.shards += meta["size"]
        totals.problems += [Problem(*problem) for problem in meta["problems"]]
        totals.dropped += meta["dropped"]

    @property
    def parts_folder(self) -> Path:
        """Folder of this run's parts."""
        return self._parts_folder

    def add(self, part: Part) -> None:
        """Append the next task's part to the shard, and close the shard if it is full.

        Raises
        ------
        OSError
            The shard cannot be written.
        """
        if self._fd < 0:
            self._fd = os.open(
                self._work / "shard", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666
            )
        _append(part.path, self._fd, part.size)
        self._parts.append((part, self._size))
        self._size += part.size
        if part.task.last:
            self._end_video()
            if self._size >= self._shard_bytes:
                self._end_shard(part.task.video + 1)

    def _end_video(self) -> None:
        """Enter a video's parts into the shard's record, or remove them from the shard."""
        parts = self._parts
        self._parts = []
        task = parts[0][0].task
        problems = [problem for part, _ in parts for problem in part.problems]
        lengths = np.concatenate([np.array(part.lengths, np.int64) for part, _ in parts])
        self._meta["problems"] += problems
        self._meta["source"] += sum(part.source for part, _ in parts)
        if not len(lengths) or (problems and self._drop):
            self._size = parts[0][1]
            os.ftruncate(self._fd, self._size)
            os.lseek(self._fd, self._size, os.SEEK_SET)
            self._meta["dropped"].append(task.video)
            return
        frames = len(lengths) // self._streams
        self._columns["video"].append(np.array([task.video]))
        self._columns["first"].append(np.array([task.first]))
        self._columns["count"].append(np.array([frames]))
        self._columns["fps"].append(np.array([parts[0][0].fps]))
        self._columns["length"].append(lengths)
        for part, offset in parts:
            self._columns["start"].append(np.array(part.starts, np.int64) + offset)
            self._columns["kind"].append(np.array(part.kinds, np.int64))
            if part.arounds:
                self._headers.add(part.arounds)
        self._meta["videos"] += 1
        self._meta["frames"] += frames
        self._meta["packed"] += int(lengths.sum())
        self._meta["kept"] += sum(part.kept for part, _ in parts)

    def _begin_record(self) -> None:
        """Begin the record of a new shard."""
        names = ("video", "first", "count", "fps", "start", "length", "kind")
        self._columns: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
        self._meta: dict[str, Any] = dict.fromkeys(_COUNTED, 0)
        self._meta |= {"problems": [], "dropped": []}
        self._headers = Headers()
        self._size = 0

    def _end_shard(self, next_video: int) -> None:
        """Move a finished shard into the pack's folder, then write its record."""
        number = len(self._records)
        if self._fd >= 0:
            _write_all(self._fd, _END)
            os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1
            (self._work / "shard").rename(self._folder / shard_name(number))
            self._save_headers(number)
            _sync(self._folder)
        empty = {"fps": np.zeros(0)}
        columns = {
            name: np.concatenate(parts) if parts else empty.get(name, np.zeros(0, np.int64))
            for name, parts in self._columns.items()
        }
        self._meta |= {"size": self._size + len(_END), "next": next_video}
        record = Columns.pack(columns, self._meta)
        record.save(self._work / record_name(number))
        _sync(self._work)
        self._records.append(record)
        self._count(record.meta)
        self.next_video = next_video
        self._begin_record()

    def _save_headers(self, number: int) -> None:
        if not self._headers:
            return
        shard = shard_name(number)
        name = headers_name(shard)
        self._headers.columns(self._made, shard, self._size + len(_END)).save(self._work / name)
        (self._work / name).rename(self._folder / name)

    def totals_made(self) -> dict[str, Any]:
        """Return the totals in the index of a complete pack."""
        totals: dict[str, Any] = Columns.load(self._folder / INDEX).meta["totals"]
        return totals

    def finish(self, videos: int) -> None:
        """Close the last shard; `videos` is the number of all videos, with those that are left out."""
        if self.next_video < videos:
            self._end_shard(videos)

    def lay_out(self, names: Sequence[str], streams: Sequence[str]) -> tuple[Any, ...]:
        """Return the content of all shards.

        Parameters
        ----------
        names : sequence of str
            Names of the videos, by their numbers.
        streams : sequence of str
            Names of the streams.

        Returns
        -------
        numbers : ndarray of int64
            Numbers of the packed videos, in order.
        counts : ndarray of int64
            Number of frames of each.
        fps : ndarray of float64
            Frames per second of each; 0 if unknown.
        columns, meta
            As `pack_columns` returns them.
        """
        every = {name: [record[name] for record in self._records] for name in self._columns}
        sizes = [record.meta["size"] for record in self._records]
        offsets = np.cumsum([0, *sizes])
        every["start"] = [start + offset for start, offset in zip(every["start"], offsets, strict=False)]
        found = {name: np.concatenate(parts) for name, parts in every.items()}
        starts, lengths, kinds = (
            found[name].reshape(-1, len(streams)) for name in ("start", "length", "kind")
        )
        starts = np.where(kinds < 0, -1, starts)
        ends = np.cumsum(found["count"])
        files: dict[str, dict[str, FileNames]] = {stream: {} for stream in streams}
        rows = zip(found["video"].tolist(), found["first"].tolist(), ends.tolist(), strict=True)
        begin = 0
        for video, first, end in rows:
            for column, stream in enumerate(streams):
                files[stream][names[video]] = _file_names(stream, first, kinds[begin:end, column])
            begin = end
        extents = {
            stream: (np.ascontiguousarray(starts[:, column]), np.ascontiguousarray(lengths[:, column]))
            for column, stream in enumerate(streams)
        }
        shards = {shard_name(number): size for number, size in enumerate(sizes)}
        columns, meta = pack_columns(files, extents, shards, found["first"])
        return found["video"], found["count"], found["fps"], columns, meta

    def discard(self) -> None:
        """Remove shards without videos, so that another run reads the frames again."""
        for number in range(len(self._records)):
            (self._folder / shard_name(number)).unlink(missing_ok=True)
            (self._folder / headers_name(shard_name(number))).unlink(missing_ok=True)
        shutil.rmtree(self._work, ignore_errors=True)

    def save(self, columns: Columns) -> None:
        """Write the pack's index: from then on the folder is a pack."""
        columns.save(self._work / INDEX)  # a killed run's file is removed with the folder
        (self._work / INDEX).rename(self._folder / INDEX)
        _sync(self._folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        try:
            if is_pack(self._folder):
                shutil.rmtree(self._work, ignore_errors=True)
            else:
                self._remove_unfinished()
        finally:  # listing the folder may fail, for example if too many files are open
            self._unlock()

    def _unlock(self) -> None:
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1


def _is_made(folder: Path, made: str) -> bool:
    """Whether a folder is this pack already; raise OptionError if it cannot become this pack."""
    if is_pack(folder):
        try:
            columns = Columns.load(folder / INDEX)
        except (OSError, DataError):
            columns = None  # a damaged index is as good as another pack's
        check_made(columns, made, str(folder))
        assert columns is not None  # noqa: S101 - as just checked
        PackStorage(columns, str(folder)).check(f"restore it, or delete {str(folder)!r} and pack again")
        return True
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"dst={str(folder)!r}: is a file; give a folder")
    if folder.is_dir() and not (folder / UNFINISHED).is_dir() and any(folder.iterdir()):
        raise OptionError(f"dst={str(folder)!r}: is not empty; give a new folder")
    return False


def check_made(columns: Columns | None, made: str, name: str) -> None:
    """Raise OptionError unless an index is that of the pack that is to be made."""
    if columns is None or columns.meta.get("made") != made:
        raise OptionError(
            f"dst={name!r}: is a pack of other data or with other options; delete it, or give another folder"
        )


def shard_name(number: int) -> str:
    """Return the name of a shard."""
    return f"{number:05d}.tar"


def record_name(number: int) -> str:
    """Return the name of a shard's record."""
    return f"{number:05d}.record"


def _file_names(stream: str, first: int, kinds: NDArray[np.int64]) -> FileNames:
    """Return the file names of a video's frames in the pack."""
    if kinds[0] >= 0 and (kinds == kinds[0]).all():
        template = member_name(0, stream, int(kinds[0])).replace("%", "%%").replace("000000", "%06d", 1)
        return FileNames(len(kinds), template, first)
    names = [
        member_name(frame, stream, kind) if kind >= 0 else ""
        for frame, kind in enumerate(kinds.tolist(), first)
    ]
    return FileNames.of(names)


def _append(path: str, fd: int, size: int) -> None:
    """Move a file's content to the end of another."""
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        done = 0
        while done < size:
            sent = os.sendfile(fd, source, done, size - done)
            if not sent:
                raise OSError(errno.EIO, f"the file has {done} of {size} bytes", path)
            done += sent
    finally:
        os.close(source)
    Path(path).unlink()


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _write(path: Path, data: bytes) -> None:
    beside = path.with_suffix(".tmp")
    beside.write_bytes(data)
    beside.replace(path)


def _sync(folder: Path) -> None:
    """Sync a folder, so that its entries survive a crash of the machine."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
