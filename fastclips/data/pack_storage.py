"""Frames that are members of tar files: the format of a pack, and its storage.

A pack is a folder::

    00000.tar  00001.tar  ...    shards: POSIX tar files whose members are the frames
    pack.index                   `Columns`: the place of each frame, and the `Index`

**Members** are named ``video/000012.image.jpg``: the video's name, the frame's number in the video from 0,
its stream and its format (``fcd`` for a dct frame). WebDataset's readers use a file's name up to the first
dot as the sample, so all streams of a frame are one sample. The frames of a video are consecutive, the
streams of a frame adjacent, and a video is in one shard. A video whose name is not allowed in a tar (it
begins with ``/``, or holds ``..``) is put below ``_`` and its number. A frame without a mask has no member:
its name in ``storage.*`` is empty, and its length and its blocks are 0.

**Places.** Offsets count through all shards, as if they were concatenated, so each byte has one number. ::

    storage.*                 names of videos and of frames, as in `FolderStorage`
    pack.ends                 int64 (shards,)   end of each shard, which also gives its size
    pack.firsts               int64 (videos,)   number of the first frame in the pack
    pack.begins               int64 (videos,)   first row of the video in the columns of frames below
    pack.<stream>.bases       int64 (videos,)   offset of the video's first byte
    pack.<stream>.blocks      uint32 (frames,)  blocks of 512 bytes from there to the frame's data
    pack.<stream>.lengths     uint32 (frames,)  bytes of the frame
    index.*, labels.*         as from `Index.columns`

So a frame takes 8 bytes per stream. The header holds ``pack`` (the format's version), ``shards`` (names),
``streams``, ``classes``, ``labels``, and ``made``, by which the packer recognises its own earlier work.

**Reads** use pread, not mapping: truncating a mapped file kills its readers. The header before a member is
read with it and must hold the member's length; the header before the first member read must also hold its
name. This detects an index beside the wrong tar, even if all frames are raw pixels of one length.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from contextlib import suppress
from dataclasses import asdict
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips._native import TAR_BLOCK as BLOCK
from fastclips._native import Files, MemberRun, MemberTable
from fastclips.data.file_column import FileColumn
from fastclips.data.members import REMEDY, MemberError, Shard, contents
from fastclips.data.names import Names
from fastclips.data.ranges import join
from fastclips.data.storage import FileTable, Storage
from fastclips.data.store_errors import StoreError
from fastclips.errors import DataError, FrameError, why_failed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.data.columns import Columns
    from fastclips.data.ranges import Held
    from fastclips.data.remote_pack import RemotePack, RemoteShard
    from fastclips.spec import StreamSpec

    Frame = bytes | memoryview | NDArray[np.uint8]

__all__ = [
    "BLOCK",
    "INDEX",
    "PackStorage",
    "is_pack",
    "member_folder",
    "stream_meta",
]

INDEX = "pack.index"
_OPEN = 64  # shards that a process keeps open
_NAME = 100  # bytes of a name in a header
_SPREAD = 2  # a range is read in one call if it has at most so many bytes per wanted byte
_SPAN = 8  # rows of a column in a file are read in one call if they are at most so many per wanted row
_SURE, _LOOK = 64, 8  # calls and batches, as described in `PackStorage.needs_advice`
_PLACES = 5  # bytes of a range that are checked, including its ends
_PIECE = 2**20  # frames whose lengths are looked at together
RESTORE = "restore it, or pack again"


class PackStorage(Storage):
    """Frames that are members of tar files.

    Parameters
    ----------
    columns : Columns
        Those of `pack_columns`; it may hold others.
    folder : str
        Absolute path to which the shards' names are relative.
    remote : RemotePack, optional
        The pack, if it is in an object store; `folder` is then its URL.
    """

    __slots__ = (
        *("_batches", "_begins", "_ends", "_files", "_firsts", "_folder", "_held", "_in_memory", "_named"),
        *("_open", "_places", "_remote", "_tables", "columns", "frame_counts", "videos"),
    )

    def __init__(self, columns: Columns, folder: str, remote: RemotePack | None = None) -> None:
        self.columns = columns
        self._remote = remote
        self.videos = Names(columns["storage.videos"], columns["storage.starts"])
        self.frame_counts: NDArray[np.int64] = columns["storage.frame_counts"]
        self._folder = folder
        self._ends: list[int] = columns["pack.ends"].tolist()
        self._firsts = columns["pack.firsts"]
        self._named = "made" in columns.meta  # other programs' tars may write a name in several ways
        self._begins = columns["pack.begins"]
        names = [stream["name"] for stream in columns.meta["streams"]]
        self._files = {name: FileTable(columns, name) for name in names}
        self._places = {
            name: tuple(columns[f"pack.{name}.{column}"] for column in ("bases", "blocks", "lengths"))
            for name in names
        }
        self._tables = {name: self._table(*self._places[name]) for name in names}
        self._open: dict[int, Shard | RemoteShard] = {}
        self._held: Sequence[Held] = ()
        self._batches = 0  # calls of `needs_advice`
        self._in_memory: dict[str, int] = {}  # by stream: calls of `advise` since frames were not in memory

    def __reduce__(self) -> tuple[Any, ...]:
        return PackStorage, (self.columns, self._folder, self._remote)

    def _table(self, *places: NDArray[Any]) -> MemberTable | None:
        """Return a stream's places for native code; None if they are in a file."""
        columns = self._firsts, self.frame_counts, self._begins, *places
        if any(isinstance(column, FileColumn) for column in columns):
            return None
        return MemberTable(self._ends, *columns)

    @property
    def folder(self) -> str:
        """Absolute path to which the shards' names are relative, or the pack's URL."""
        return self._folder

    @property
    def is_remote(self) -> bool:
        """Whether the pack is in an object store, so that a read takes as long as a request."""
        return self._remote is not None

    @property
    def is_pack(self) -> bool:
        """Whether `fastclips.pack` has made the tar files."""
        return self._named

    def file_name(self, stream: str, video: int, frame: int) -> str:
        """Return the name of a frame's file, without its folder; empty for a frame without a mask."""
        (name,) = self._files[stream].names(video, (frame - self._firsts.item(video),))
        return os.fsdecode(name)

    def check(self, remedy: str = RESTORE) -> None:
        """Raise DataError, with a remedy, unless all shards exist and have the right size."""
        names = self.columns.meta["shards"]
        if self._remote is not None:
            begins = [0, *self._ends]
            self._remote.check({name: self._ends[at] - begins[at] for at, name in enumerate(names)})
            return
        begin = 0
        for name, end in zip(names, self._ends, strict=True):
            path = Path(self._folder, name)
            try:
                size = path.stat().st_size
            except OSError as error:
                raise DataError(f"{str(path)!r}: {why_failed(error)}; {remedy}") from error
            if size != end - begin:
                raise DataError(f"{str(path)!r} has {size} bytes, but its index says {end - begin}; {remedy}")
            begin = end

    def read(self, stream: str, video: int, frame: int) -> bytes | NDArray[np.uint8] | None:
        """Return a frame, as `Storage.read`."""
        (data,) = self.read_many(stream, video, (frame,))
        return bytes(data) if isinstance(data, memoryview) else data

    def read_many(
        self, stream: str, video: int, frames: Collection[int]
    ) -> Files | Sequence[memoryview | NDArray[np.uint8] | None]:
        """Return several frames of a video, as `Storage.read_many`.

        Frames that lie close together are read in one call, together with the bytes between them. Otherwise,
        the kernel is told of all ranges before the first of them is read.
        """
        if (together := self._read_together(stream, video, frames)) is not None:
            return together
        there = self._with_member(stream, video, frames)
        if there is frames:
            return self._read_members(stream, video, frames)
        held = {*there}
        found = iter(self._read_members(stream, video, there) if there else ())
        return [next(found) if frame in held else None for frame in frames]

    def _read_together(self, stream: str, video: int, frames: Collection[int]) -> Files | None:
        """Return frames that one call reads; None if they need several, or anything is unusual or wrong."""
        table = self._tables[stream]
        run = table.find(video, [*frames]) if table is not None and video >= 0 else None
        if run is None:
            return None
        try:
            data = self._read(run.begin, run.end)
        except StoreError as error:
            raise self._store_error(stream, video, next(iter(frames)), error) from error
        except (OSError, DataError):
            return None
        found = run.cut(data)
        if found is None:  # arrays, as are most others of the stream then; or other members
            self._tables[stream] = None
            return None
        if self._named and not self._is_named(data, run, stream, video, next(iter(frames))):
            return None
        return found

    def _is_named(
        self, data: bytes | memoryview, run: MemberRun, stream: str, video: int, frame: int
    ) -> bool:
        """Whether the header of a run's first frame has the usual name, in ASCII and short enough."""
        (name,) = self._files[stream].names(video, (frame - self._firsts.item(video),))
        name = b"%b/%b" % (self.videos.encoded(video), name)
        at = run.first - BLOCK
        return data[at : at + _NAME] == name.ljust(_NAME, b"\0")

    def _with_member(self, stream: str, video: int, frames: Collection[int]) -> Collection[int]:
        """Return those of some frames that have a member; the argument itself if all have."""
        table = self._files[stream]
        if not table.has_missing:
            return frames
        self._find(stream, video, frames)  # refuses numbers that do not exist
        first = self._firsts.item(video)
        names = table.names(video, [frame - first for frame in frames])
        if all(names):
            return frames
        return [frame for frame, name in zip(frames, names, strict=True) if name]

    def _read_members(
        self, stream: str, video: int, frames: Collection[int]
    ) -> Sequence[memoryview | NDArray[np.uint8]]:
        """Return several frames that have members."""
        starts, lengths = self._find(stream, video, frames)
        runs = self._runs(starts, lengths)
        try:
            if len(runs) > 1 and self._remote is None:
                for start, end in runs:
                    self._advise(start, end)
            held = [(start, self._read(start, end)) for start, end in runs]
        except (OSError, DataError) as error:
            if isinstance(error, StoreError):
                raise self._store_error(stream, video, next(iter(frames)), error) from error
            if len(starts) > 1:  # read one by one to find the frame for the message
                return [self._read_members(stream, video, (frame,))[0] for frame in frames]
            reason = why_failed(error) if isinstance(error, OSError) else str(error)
            (frame,) = frames
            path = self.where(stream, video, frame)
            message = f"cannot read frame {path!r}: {reason}; {REMEDY}"
            raise FrameError(message, path=path, reason=reason, video=video, frame=frame) from error
        if self._named:
            self._check_name(*held[0], starts[0], stream, video, next(iter(frames)))
        found: list[memoryview | NDArray[np.uint8]] = []
        try:
            for begin, data in held:
                run = slice(len(found), len(found) + len(starts) // len(held))
                found += contents(data, [start - begin for start in starts[run]], lengths[run])
        except MemberError as error:
            frame = list(frames)[len(found) + error.number]
            raise self._error(stream, video, frame, error.reason) from None
        return found

    def _store_error(self, stream: str, video: int, frame: int, error: StoreError) -> DataError:
        """Return the error that the store did not give a frame: no FrameError, as no frame is damaged."""
        return DataError(f"cannot read frame {self.where(stream, video, frame)!r}: {why_failed(error)}")

    def _error(self, stream: str, video: int, frame: int, reason: str) -> FrameError:
        path = self.where(stream, video, frame)
        return FrameError(f"frame {path!r}: {reason}", path=path, reason=reason, video=video, frame=frame)

    def needs_advice(self) -> bool:
        """Return whether `advise` should be called for the next batch, as `Storage.needs_advice`.

        `advise` takes long even if the frames are in the page cache. Once `_SURE` calls in a row for each
        stream found them there, it is needed for every `_LOOK`-th batch, until a call finds frames missing.
        """
        if self._remote is not None:
            return False
        self._batches += 1
        return self._batches % _LOOK == 0 or min(self._in_memory.values(), default=0) < _SURE

    def advise(self, stream: str, video: int, frames: Collection[int]) -> None:
        """Tell the kernel which frames will be read soon, as `Storage.advise`; errors are ignored."""
        if self._remote is not None:
            return
        self._in_memory[stream] = self._in_memory.get(stream, 0) + 1
        with suppress(OSError, DataError):
            frames = self._with_member(stream, video, frames)
            if not frames:
                return
            runs = self._runs(*self._find(stream, video, frames))
            if all(self._is_in_memory(*run) for run in runs):
                return
            self._in_memory[stream] = 0
            for start, end in runs:
                self._advise(start, end)

    def _check_name(
        self, begin: int, data: bytes | memoryview, start: int, stream: str, video: int, frame: int
    ) -> None:
        """Compare the name in a member's header, which is ASCII and truncated, with the name in the index."""
        header = start - BLOCK - begin
        name = self._member(stream, video, frame).encode("ascii", "replace")[:_NAME]
        if bytes(data[header : header + _NAME]).rstrip(b"\0") != name:
            raise self._error(stream, video, frame, f"its tar has another member at its place: {REMEDY}")

    def _member(self, stream: str, video: int, frame: int) -> str:
        name = self.file_name(stream, video, frame)
        folder = self.videos[video]
        if self.columns.meta.get("grouped"):  # of tars: the last part of the video's name is no folder
            above, slash, _ = folder.rpartition("/")
            return f"{above}{slash}{name}"
        return f"{member_folder(folder, video)}/{name}"

    def where(self, stream: str, video: int, frame: int) -> str:
        """Return the frame's shard and member, as ``/data/pack/00000.tar:video/000012.image.jpg``."""
        ((start,), _) = self._find(stream, video, (frame,))
        shards = self.columns.meta["shards"]
        shard = min(bisect_right(self._ends, start - BLOCK), len(shards) - 1)
        path = f"{self._folder}/{shards[shard]}" if self._remote else Path(self._folder, shards[shard])
        if not self._with_member(stream, video, (frame,)):
            return f"{path}:{member_folder(self.videos[video], video)} (no {stream} of frame {frame})"
        return f"{path}:{self._member(stream, video, frame)}"

    def _find(self, stream: str, video: int, frames: Collection[int]) -> tuple[list[int], list[int]]:
        """Return the offsets of frames, counted through the shards, and their bytes."""
        known = 0 <= video < len(self._begins)
        first = self._firsts.item(video) if known else 0
        beyond = first + self.frame_counts.item(video) if known else 0
        if min(frames) < first or max(frames) >= beyond:
            wrong = next(frame for frame in frames if not first <= frame < beyond)
            raise IndexError(f"there is no frame {wrong} of video {video} in the pack")
        bases, blocks, lengths = self._places[stream]
        if isinstance(blocks, FileColumn) and (span := max(frames) + 1 - min(frames)) <= _SPAN * len(frames):
            low, base = min(frames), bases.item(video)
            begin = self._begins.item(video) - first + low
            block, length = blocks.span(begin, span), lengths.span(begin, span)
            places = [frame - low for frame in frames]
            return [base + BLOCK * block[at] for at in places], [length[at] for at in places]
        rows = np.array([*frames], np.int64)  # one array: this is called for every clip
        rows += self._begins.item(video) - first
        base = bases.item(video)
        return [base + BLOCK * block for block in blocks[rows].tolist()], lengths[rows].tolist()

    def _runs(self, starts: list[int], lengths: list[int]) -> list[tuple[int, int]]:
        """Return the ranges to read for frames and their headers: one for all, or one for each frame."""
        low, high = min(starts) - BLOCK, max(map(add, starts, lengths))
        if high - low <= _SPREAD * (sum(lengths) + BLOCK * len(lengths)):
            shard = bisect_right(self._ends, low)
            if shard < len(self._ends) and high <= self._ends[shard]:
                return [(low, high)]
        return [(start - BLOCK, start + length) for start, length in zip(starts, lengths, strict=True)]

    def _advise(self, start: int, end: int) -> None:
        file, begin = self._shard(bisect_right(self._ends, start))
        assert isinstance(file, Shard)  # noqa: S101 - remote packs have no page cache
        file.advise(start - begin, end - start)

    def _is_in_memory(self, start: int, end: int) -> bool:
        """Whether a range is in the page cache, judged by several bytes: others may read its ends."""
        file, begin = self._shard(bisect_right(self._ends, start))
        assert isinstance(file, Shard)  # noqa: S101 - as above
        last, steps = end - start - 1, range(_PLACES)
        return all(file.holds(start - begin + last * step // (_PLACES - 1)) for step in steps)

    def _read(self, start: int, end: int) -> bytes | memoryview:
        for first, last, data in self._held:
            if first <= start and end <= last:
                return data[start - first : end - first]
        return self.read_range(start, end)

    def read_range(self, start: int, end: int) -> bytes | memoryview:
        """Read a range from its shard, as `RangeStorage.read_range`."""
        file, begin = self._shard(bisect_right(self._ends, start))
        return file.read(start - begin, end - start)

    def lend(self, held: Sequence[Held]) -> None:
        """Take the next reads from ranges, as `RangeStorage.lend`."""
        self._held = held

    def clip_ranges(self, video: int, wanted: Mapping[str, Collection[int]]) -> list[tuple[int, int]]:
        """Return the ranges to read for frames of a video, as `RangeStorage.clip_ranges`."""
        ranges: list[tuple[int, int]] = []
        for stream, frames in wanted.items():
            if there := self._with_member(stream, video, frames):
                ranges += self._runs(*self._find(stream, video, there))
        return join(ranges, self._ends)

    def clip_bytes(self, streams: Iterable[str], time_steps: int) -> int:
        """Return the most bytes of consecutive frames, as `RangeStorage.clip_bytes`."""
        total = 0
        for stream in streams:
            lengths, most = self._places[stream][2], 0
            for first in range(0, len(lengths), _PIECE):
                piece = lengths[first : first + _PIECE + time_steps - 1]
                blocks = np.cumsum(-(-piece.astype(np.int64) // BLOCK) + 1)  # each with its header
                steps = min(time_steps, len(blocks))
                most = max(most, int((blocks[steps - 1 :] - np.concatenate(([0], blocks[:-steps]))).max()))
            total += most * BLOCK
        return total

    def _shard(self, number: int) -> tuple[Shard | RemoteShard, int]:
        """Return an open shard and the offset of its first byte."""
        if number == len(self._ends):
            raise DataError("the index names an offset after the end of the last tar")
        begin = self._ends[number - 1] if number else 0
        shard = self._open.get(number)
        if shard is None:
            name, size = self.columns.meta["shards"][number], self._ends[number] - begin
            if self._remote is not None:
                shard = self._remote.shard(name, size)
            else:
                shard = Shard(os.path.join(self._folder, name), size)  # noqa: PTH118 - called often
            while len(self._open) >= _OPEN:
                self._open.pop(next(iter(self._open)), None)
            self._open[number] = shard
        return shard, begin


def member_folder(name: str, number: int) -> str:
    """Return the folder of a video in a tar: its name if a tar may hold it, else one made of its number."""
    parts = name.split("/")
    if parts[0] and ".." not in parts:
        return name
    return "/".join([f"_{number}", *(part for part in parts if part not in ("", ".", ".."))])


def stream_meta(streams: Sequence[StreamSpec]) -> list[dict[str, Any]]:
    """Return streams as a pack's header has them, as in fastclips 0.1.0 where it knew the kind."""
    found = []
    for stream in streams:
        meta = asdict(stream)
        new = {name: meta.pop(name) for name in ("kind", "own_size", "unknown", "bound")}
        del meta["dtype"]
        meta = {"name": meta.pop("name"), "mask": stream.mask, **meta}
        found.append({**meta, **new} if stream.own_size else meta)
    return found


def is_pack(folder: Path) -> bool:
    """Whether a path is the folder of a pack."""
    return (folder / INDEX).is_file()
