"""Frames that are members of tar files: the pack's format, and reading from it.

A pack is a folder::

    00000.tar  00001.tar  ...    shards: POSIX tar files whose members are the frames
    pack.index                   `Columns`: where each frame lies, and the `Index`

**Members** are called ``video/000012.image.jpg``: the video's name, the frame's place in the video from 0,
its stream and its format. Readers of WebDataset take all up to the first dot of a file's name for the sample,
so a frame's streams are one sample. Frames of a video lie one after the other, a frame's streams side by
side, and a video is in one shard. A video whose name cannot be a member's (it begins with ``/``, or holds
``..``) is put below ``_`` and its number.

**Places.** All shards are counted through, as if they lay one after the other: a byte has one number. ::

    storage.*                  names of videos and of frames, as of folders
    pack.ends                 int64 (shards,)   where each shard ends; so also how long it must be
    pack.firsts               int64 (videos,)   number of the first frame that is held
    pack.begins               int64 (videos,)   where its frames begin in the columns below
    pack.<stream>.bases       int64 (videos,)   its first byte
    pack.<stream>.blocks      uint32 (frames,)  blocks of 512 bytes from there to the frame's data
    pack.<stream>.lengths     uint32 (frames,)  bytes of the frame
    index.*, labels.*         as of `Index.columns`

So a frame takes 8 bytes for each stream. The header says ``pack`` (the format's version), ``shards`` (names),
``streams``, ``classes``, ``labels``, and ``made``, by which the command knows what it has made before.

**Reading** is by pread and never by mapping: cutting a mapped file short kills its readers. The header in
front of a member is read with it and must tell its length, and in front of the first that is read, its name:
so an index beside the wrong tar is noticed, though all frames of raw pixels have one length.
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

from fastclips.data.columns import Columns
from fastclips.data.index import Index
from fastclips.data.members import MEND, MemberError, Shard, contents
from fastclips.data.names import Names
from fastclips.data.storage import FileTable, Storage
from fastclips.errors import DataError, FrameError
from fastclips.spec import Stream

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.data.names import FileNames
    from fastclips.data.scan import FrameTree
    from fastclips.data.tars import Tars

    Frame = bytes | memoryview | NDArray[np.uint8]

__all__ = ["BLOCK", "INDEX", "PackStorage", "is_pack", "member_folder", "open_pack", "stream_meta"]

INDEX = "pack.index"
BLOCK = 512  # bytes: of a tar file
VERSION = 1
_OPEN = 64  # shards that a process keeps open
_NAME = 100  # bytes of a name in a header
_SPREAD = 2  # a range is read whole if it has at most so many bytes for each that is wanted
_SURE, _LOOK = 64, 16  # calls of `PackStorage.advise`, which says what for
_PLACES = 5  # of a range, its ends among them


class PackStorage(Storage):
    """Frames that are members of tar files.

    Parameters
    ----------
    columns : Columns
        As `lay_out` says, with whatever else.
    folder : str
        Absolute path, from which the shards' names count.
    """

    __slots__ = (
        *("_begins", "_ends", "_files", "_firsts", "_folder", "_in_memory", "_named", "_open", "_places"),
        *("columns", "frame_counts", "videos"),
    )

    def __init__(self, columns: Columns, folder: str) -> None:
        self.columns = columns
        self.videos = Names(columns["storage.videos"], columns["storage.starts"])
        self.frame_counts: NDArray[np.int64] = columns["storage.frame_counts"]
        self._folder = folder
        self._ends: list[int] = columns["pack.ends"].tolist()
        self._firsts = columns["pack.firsts"]
        self._named = "made" in columns.meta  # of others' tars, names may be written in many ways
        self._begins = columns["pack.begins"]
        names = [stream["name"] for stream in columns.meta["streams"]]
        self._files = {name: FileTable(columns, name) for name in names}
        self._places = {
            name: tuple(columns[f"pack.{name}.{column}"] for column in ("bases", "blocks", "lengths"))
            for name in names
        }
        self._open: dict[int, Shard] = {}
        self._in_memory: dict[str, int] = {}  # by stream: calls of `advise` since it last asked the kernel

    def __reduce__(self) -> tuple[Any, ...]:
        return PackStorage, (self.columns, self._folder)

    @staticmethod
    def lay_out(
        files: Mapping[str, Mapping[str, FileNames]],
        places: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]],
        shards: Mapping[str, int],
        firsts: NDArray[np.int64] | None = None,
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the columns of a storage.

        Parameters
        ----------
        files : mapping of str to mapping of str to FileNames
            For each stream the files of each video, as many in all streams.
        places : mapping of str to (ndarray of int64, ndarray of int64)
            For each stream, of all frames, video by video: where their data begin, counted through the
            shards, and how many bytes they have.
        shards : mapping of str to int
            Bytes of each tar file.
        firsts : ndarray of int64, optional
            Number of the first frame of each video that is held; 0 by default.

        Returns
        -------
        columns : dict of str to ndarray
        meta : dict
            JSON-able; it lacks ``"streams"``.

        Raises
        ------
        DataError
            The frames of a video lie more than 2 TiB apart, or one has 4 GiB or more.
        """
        arrays = FileTable.columns(list(next(iter(files.values()))), files)
        counts = arrays["storage.frame_counts"]
        begins = np.cumsum(counts) - counts
        arrays["pack.ends"] = np.cumsum(np.array(list(shards.values()), np.int64))
        arrays["pack.firsts"] = np.zeros(len(counts), np.int64) if firsts is None else firsts
        arrays["pack.begins"] = begins
        for name, (starts, lengths) in places.items():
            bases = np.minimum.reduceat(starts, begins)
            blocks = (starts - np.repeat(bases, counts)) // BLOCK
            if max(blocks.max(), lengths.max()) > np.iinfo(np.uint32).max:
                raise DataError("frames of a video lie more than 2 TiB apart, or one has 4 GiB or more")
            arrays[f"pack.{name}.bases"] = bases
            arrays[f"pack.{name}.blocks"] = blocks.astype(np.uint32)
            arrays[f"pack.{name}.lengths"] = lengths.astype(np.uint32)
        return arrays, {"pack": VERSION, "shards": list(shards)}

    @classmethod
    def of_tars(cls, trees: Mapping[str, FrameTree], tars: Mapping[str, Tars]) -> PackStorage:
        """Make a storage of tar files that others have made.

        Parameters
        ----------
        trees : mapping of str to FrameTree
            For each stream, the same videos with as many frames.
        tars : mapping of str to Tars
            Where they were found.

        Returns
        -------
        PackStorage
            Its video numbers are the order of the trees' videos.

        Raises
        ------
        DataError
            As `lay_out`.
        """
        shards = {path: size for one in tars.values() for path, size in one.sizes.items()}
        ends = np.cumsum(list(shards.values()))
        begins = dict(zip(shards, (ends - list(shards.values())).tolist(), strict=True))
        places = {}
        for stream, tree in trees.items():
            found = [
                (begins[member.path] + member.start, member.length)
                for video, names in tree.videos.items()
                for member in tars[stream].members(video, names.names())
            ]
            starts, lengths = np.array(found, np.int64).T
            places[stream] = np.ascontiguousarray(starts), np.ascontiguousarray(lengths)
        files = {stream: tree.videos for stream, tree in trees.items()}
        arrays, meta = cls.lay_out(files, places, shards)
        return cls(Columns.pack(arrays, {**meta, "streams": [{"name": stream} for stream in trees]}), "/")

    def check(self, mend: str) -> None:
        """Look whether all shards are there and have the right size.

        Parameters
        ----------
        mend : str
            What to do where one has not.

        Raises
        ------
        DataError
            One is missing or has another size.
        """
        begin = 0
        for name, end in zip(self.columns.meta["shards"], self._ends, strict=True):
            path = Path(self._folder, name)
            try:
                size = path.stat().st_size
            except OSError as error:
                raise DataError(f"{str(path)!r}: {error.strerror}; {mend}") from error
            if size != end - begin:
                raise DataError(f"{str(path)!r} has {size} bytes where its index says {end - begin}; {mend}")
            begin = end

    def read(self, stream: str, video: int, frame: int) -> bytes | NDArray[np.uint8]:
        """Return one whole frame, as `Storage.read`."""
        (data,) = self.read_many(stream, video, (frame,))
        return bytes(data) if isinstance(data, memoryview) else data

    def read_many(
        self, stream: str, video: int, frames: Collection[int]
    ) -> Sequence[memoryview | NDArray[np.uint8]]:
        """Return several frames of a video, as `Storage.read_many`.

        Frames that lie close together are read in one go, with what lies between. Of others, the kernel is
        told first which will be read.
        """
        starts, lengths = self._find(stream, video, frames)
        runs = self._runs(starts, lengths)
        try:
            if len(runs) > 1:
                for start, end in runs:
                    self._advise(start, end)
            held = [(start, self._read(start, end)) for start, end in runs]
        except (OSError, DataError) as error:
            if len(starts) > 1:  # one of them, perhaps: whichever it is, its name belongs in the message
                return [self.read_many(stream, video, (frame,))[0] for frame in frames]
            why = error.strerror if isinstance(error, OSError) else error
            where = self.where(stream, video, next(iter(frames)))
            raise FrameError(f"cannot read frame {where!r}: {why}; {MEND}") from error
        if self._named:
            self._check_name(*held[0], starts[0], stream, video, next(iter(frames)))
        found: list[memoryview | NDArray[np.uint8]] = []
        try:
            for begin, data in held:
                run = slice(len(found), len(found) + len(starts) // len(held))
                found += contents(data, [start - begin for start in starts[run]], lengths[run])
        except MemberError as error:
            frame = list(frames)[len(found) + error.place]
            raise FrameError(f"frame {self.where(stream, video, frame)!r}: {error}") from None
        return found

    def advise(self, stream: str, video: int, frames: Collection[int]) -> None:
        """Tell the kernel that frames will be read soon; what is wrong with them, reading them will say.

        It takes long to hear that it has them in memory already. After `_SURE` calls in a row for which it
        had, only each `_LOOK`-th is looked at, until one is for frames that are not there.

        Parameters
        ----------
        stream, video, frames
            As for `read_many`.
        """
        row = self._in_memory.get(stream, 0)
        self._in_memory[stream] = row + 1
        if row >= _SURE and row % _LOOK:
            return
        with suppress(OSError, DataError):
            runs = self._runs(*self._find(stream, video, frames))
            if all(self._is_in_memory(*run) for run in runs):
                return
            self._in_memory[stream] = 0
            for start, end in runs:
                self._advise(start, end)

    def _check_name(self, begin: int, data: bytes, start: int, stream: str, video: int, frame: int) -> None:
        """Hold a member's header to the name that the index has for it, which is in ASCII there, and cut."""
        header = start - BLOCK - begin
        name = self._member(stream, video, frame).encode("ascii", "replace")[:_NAME]
        if data[header : header + _NAME].rstrip(b"\0") != name:
            where = self.where(stream, video, frame)
            raise FrameError(f"frame {where!r}: its tar has another member at its place: {MEND}")

    def _member(self, stream: str, video: int, frame: int) -> str:
        (name,) = self._files[stream].names(video, (frame - self._firsts.item(video),))
        return f"{member_folder(self.videos[video], video)}/{os.fsdecode(name)}"

    def where(self, stream: str, video: int, frame: int) -> str:
        """Return the frame's shard and member, as ``/data/pack/00000.tar:video/000012.image.jpg``."""
        ((start,), _) = self._find(stream, video, (frame,))
        shards = self.columns.meta["shards"]
        shard = min(bisect_right(self._ends, start - BLOCK), len(shards) - 1)
        path = Path(self._folder, shards[shard])
        return f"{path}:{self._member(stream, video, frame)}"

    def _find(self, stream: str, video: int, frames: Collection[int]) -> tuple[list[int], list[int]]:
        """Return where frames begin, counted through the shards, and how many bytes each has."""
        known = 0 <= video < len(self._begins)
        first = self._firsts.item(video) if known else 0
        beyond = first + self.frame_counts.item(video) if known else 0
        if min(frames) < first or max(frames) >= beyond:
            wrong = next(frame for frame in frames if not first <= frame < beyond)
            raise IndexError(f"there is no frame {wrong} of video {video} in the pack")
        bases, blocks, lengths = self._places[stream]
        rows = np.array([*frames], np.int64)  # in one go: these are looked up for each frame of each clip
        rows += self._begins.item(video) - first
        base = bases.item(video)
        return [base + BLOCK * block for block in blocks[rows].tolist()], lengths[rows].tolist()

    def _runs(self, starts: list[int], lengths: list[int]) -> list[tuple[int, int]]:
        """Return what to read for frames, with the headers before them: all in one go, or each for itself."""
        low, high = min(starts) - BLOCK, max(map(add, starts, lengths))
        if high - low <= _SPREAD * (sum(lengths) + BLOCK * len(lengths)):
            shard = bisect_right(self._ends, low)
            if shard < len(self._ends) and high <= self._ends[shard]:
                return [(low, high)]
        return [(start - BLOCK, start + length) for start, length in zip(starts, lengths, strict=True)]

    def _advise(self, start: int, end: int) -> None:
        file, begin = self._shard(bisect_right(self._ends, start))
        file.advise(start - begin, end - start)

    def _is_in_memory(self, start: int, end: int) -> bool:
        """Whether the kernel has a range, by some places in it: its ends alone may be other clips'."""
        file, begin = self._shard(bisect_right(self._ends, start))
        last, steps = end - start - 1, range(_PLACES)
        return all(file.holds(start - begin + last * step // (_PLACES - 1)) for step in steps)

    def _read(self, start: int, end: int) -> bytes:
        file, begin = self._shard(bisect_right(self._ends, start))
        return file.read(start - begin, end - start)

    def _shard(self, number: int) -> tuple[Shard, int]:
        """Return a shard, open, and the number of its first byte."""
        if number == len(self._ends):
            raise DataError("the index names a place behind the last tar")
        begin = self._ends[number - 1] if number else 0
        shard = self._open.get(number)
        if shard is None:
            path = os.path.join(self._folder, self.columns.meta["shards"][number])  # noqa: PTH118 - called often
            shard = Shard(path, self._ends[number] - begin)
            while len(self._open) >= _OPEN:
                self._open.pop(next(iter(self._open)), None)
            self._open[number] = shard
        return shard, begin


def member_folder(name: str, number: int) -> str:
    """Return where the frames of a video lie in a tar file.

    Parameters
    ----------
    name : str
        The video's.
    number : int
        Its place among the storage's videos.

    Returns
    -------
    str
        The name, where a tar file may hold it.
    """
    parts = name.split("/")
    if parts[0] and ".." not in parts:
        return name
    return "/".join([f"_{number}", *(part for part in parts if part not in ("", ".", ".."))])


def stream_meta(streams: Sequence[Stream]) -> list[dict[str, Any]]:
    """Return streams as a pack's header holds them."""
    return [asdict(stream) for stream in streams]


def _stream(meta: Mapping[str, Any]) -> Stream:
    colors, values = meta["colors"], meta["values"]
    known = {
        "colors": None if colors is None else tuple((tuple(color), value) for color, value in colors),
        "values": None if values is None else tuple(values),
    }
    return Stream(**{**meta, **known})


def is_pack(folder: Path) -> bool:
    """Whether a folder is a pack."""
    return (folder / INDEX).is_file()


def open_pack(folder: str | os.PathLike[str]) -> tuple[PackStorage, Index, tuple[Stream, ...]]:
    """Open a pack.

    Parameters
    ----------
    folder : path
        With a pack's index in it.

    Returns
    -------
    PackStorage, Index, tuple of Stream
        The index is mapped, not read into memory.

    Raises
    ------
    DataError
        The index cannot be read, is damaged or of another version; a shard is missing or of another size.
    """
    top = Path(folder).absolute()
    file = top / INDEX
    try:
        columns = Columns.load(file)
    except OSError as error:
        raise DataError(f"cannot read {str(file)!r}: {error.strerror}") from error
    except DataError as error:
        raise DataError(f"{_without_advice(error)}: restore it, or pack again") from error
    try:
        version = columns.meta.get("pack")
        if version == VERSION:
            storage = PackStorage(columns, str(top))
            streams = tuple(map(_stream, columns.meta["streams"]))
            index = Index.from_columns(columns, storage.videos)
        else:
            why = f"is of version {version} of the format of packs, of which this is version {VERSION}"
            raise DataError(f"{str(file)!r} {why}: pack again")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{str(file)!r} is no whole index of a pack ({error}): pack again") from error
    storage.check("restore it, or pack again")
    return storage, index, streams


def _without_advice(error: DataError) -> str:
    return str(error).removesuffix(": delete it, so that it is made again")
