"""`fastclips.unpack`: write the frames of a pack as files again."""

from __future__ import annotations

import io
import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from fastclips.data.pack_storage import BLOCK, is_pack, member_folder, open_pack
from fastclips.errors import DataError, FrameError, OptionError, why_failed
from fastclips.options import bar_disabled
from fastclips.packing.headers import ShardHeaders

if TYPE_CHECKING:
    from fastclips.data.pack_storage import PackStorage
    from fastclips.packing.parts import Problem

__all__ = ["Unpacked", "unpack"]

_OTHER_STARTS = {b"RIFF": "webp", b"PIEH": "flo"}  # of formats that packs call bin
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Unpacked:
    """The result of `unpack`; ``print`` it for a summary.

    Parameters
    ----------
    path : str
        The folder.
    videos : int
        Number of videos.
    restored : int
        Files that are, byte for byte, JPEGs that were packed.
    same_coefficients : int
        JPEGs with the coefficients of those that were packed, so with the same pixels.
    as_stored : int
        Files that are in the pack as they are: masks, pictures of other formats, arrays.
    problems : list of Problem
        Frames that could not be read, which are left out, as named tuples (video, where, why).

    Examples
    --------
    >>> done = fc.pack("frames/", "coded/", codec="dct", workers=0)
    >>> out = fc.unpack("coded/", "restored/")
    >>> out.videos, out.restored, out.same_coefficients, out.as_stored
    (6, 72, 0, 0)
    """

    path: str
    videos: int
    restored: int
    same_coefficients: int
    as_stored: int
    problems: list[Problem]

    def __str__(self) -> str:
        counts = (
            (self.restored, "JPEGs are those that were packed, byte for byte"),
            (self.same_coefficients, "JPEGs have the same coefficients as those that were packed"),
            (self.as_stored, "other files are as they were stored"),
        )
        lines = [f"{self.path}: {self.videos:,} videos", *(f"{n:,} {what}" for n, what in counts if n)]
        if self.problems:
            first = self.problems[0]
            lines.append(
                f"unreadable frames, left out: {len(self.problems):,}; all are in .problems, the first is "
                f"{first.where}: {first.why}"
            )
        return "\n".join(lines)


def unpack(pack: str | os.PathLike[str], dst: str | os.PathLike[str]) -> Unpacked:
    """Write the frames of a pack as files: JPEGs, masks and others.

    Of a pack with ``codec="dct"``, usual JPEGs are restored byte for byte, with the help of the pack's files
    ``*.headers``. All others, such as progressive ones, become baseline JPEGs with the same
    coefficients. A pack of JPEGs keeps no headers: its JPEGs are written as they lie in it.

    Parameters
    ----------
    pack : path
        The pack's folder.
    dst : path
        A new or empty folder. It gets ``video/000012.jpg``, with the frame's number in its video; for several
        streams ``stream/video/000012.jpg``. `fastclips.open` opens it. The pack's labels that are not folders
        are not written.

    Returns
    -------
    Unpacked
        How many files are of which kind, and the frames that could not be read.

    Raises
    ------
    OptionError
        `pack` is no pack, or `dst` is a file, a link or a folder with content.
    DataError
        The pack's index or a file ``*.headers`` is damaged, or a file cannot be written.

    Examples
    --------
    >>> done = fc.pack("frames/", "coded/", codec="dct", workers=0)
    >>> print(fc.unpack("coded/", "files/"))
    /.../files: 6 videos
    72 JPEGs are those that were packed, byte for byte
    >>> fc.open("files/")
    <Dataset: 6 videos, 72 frames, 2 classes; image>
    """
    source, target = Path(pack).absolute(), Path(dst).absolute()
    if not is_pack(source):
        raise OptionError(f"pack={str(pack)!r}: is no pack; give the folder that fastclips pack has written")
    storage, _, streams = open_pack(source)
    try:
        top = _new_folder(target)
    except OSError as error:
        raise OptionError(f"dst={str(target)!r}: cannot be made ({why_failed(error)})") from error
    try:
        return _Unpacking(storage, [stream.name for stream in streams], source, target).run(top)
    except OSError as error:
        raise DataError(
            f"cannot write into {str(target)!r}: {why_failed(error)}; correct this, delete the folder and "
            "unpack again"
        ) from error
    finally:
        os.close(top)


def _new_folder(path: Path) -> int:
    """Make a folder and return a descriptor of it; refuse a link, and a folder that is not empty."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise OptionError(f"dst={str(path)!r}: is a file or a link; give a new folder")
    path.mkdir(parents=True, exist_ok=True)
    folder = os.open(path, _FOLDER)
    if any(path.iterdir()):
        os.close(folder)
        raise OptionError(f"dst={str(path)!r}: is not empty; give a new folder")
    return folder


class _Unpacking:
    """One call of `unpack`."""

    def __init__(self, storage: PackStorage, streams: list[str], source: Path, target: Path) -> None:
        self._storage = storage
        self._streams = streams
        self._source = source
        self._target = target
        self._ends = storage.columns["pack.ends"]
        bases = [storage.columns[f"pack.{stream}.bases"] for stream in streams]
        self._shards = np.searchsorted(self._ends, np.max(bases, axis=0) - BLOCK, side="right")
        self._headers: ShardHeaders | None = None
        self._shard, self._begin = -1, 0  # whose headers these are, and the first row of its frames
        self._counts = {"restored": 0, "same_coefficients": 0, "as_stored": 0}
        self._problems: list[Problem] = []

    def run(self, top: int) -> Unpacked:
        """Write all frames below a folder, and return the result."""
        storage = self._storage
        counts = storage.frame_counts.tolist()
        with tqdm(
            total=sum(counts), desc="unpacking", unit=" frames", disable=bar_disabled(), leave=False
        ) as bar:
            for video, count in enumerate(counts):
                self._open_headers(video)
                for place, stream in enumerate(self._streams):
                    below = [stream] if len(self._streams) > 1 else []
                    parts = member_folder(storage.videos[video], video).split("/")
                    self._video(top, [*below, *parts], video, place)
                bar.update(count)
        return Unpacked(str(self._target), len(counts), **self._counts, problems=self._problems)

    def _open_headers(self, video: int) -> None:
        """Read what restores the JPEGs of the video's shard."""
        shard = int(self._shards[video])
        if shard == self._shard:
            return
        columns = self._storage.columns
        begins, counts = columns["pack.begins"], self._storage.frame_counts
        last = int(np.flatnonzero(self._shards == shard)[-1])
        self._shard, self._begin = shard, int(begins[video])
        frames = int(begins[last] + counts[last]) - self._begin
        size = int(self._ends[shard]) - (int(self._ends[shard - 1]) if shard else 0)
        name, made = columns.meta["shards"][shard], columns.meta.get("made", "")
        self._headers = ShardHeaders(self._source, made, name, size, frames * len(self._streams))

    def _video(self, top: int, parts: list[str], video: int, place: int) -> None:
        """Write the frames of a stream of a video into their folder."""
        storage, stream = self._storage, self._streams[place]
        first = int(storage.columns["pack.firsts"][video])
        row = int(storage.columns["pack.begins"][video]) - self._begin
        with ExitStack() as stack:
            folder = top
            for part in parts:
                if part in ("", "."):
                    continue
                if part == "..":
                    raise DataError(f"the pack has a stream called {part!r}, which is no name of a folder")
                with suppress(FileExistsError):  # a folder of an earlier video
                    os.mkdir(part, dir_fd=folder)
                folder = os.open(part, _FOLDER, dir_fd=folder)
                stack.callback(os.close, folder)
            for number in range(int(storage.frame_counts[video])):
                frame = first + number
                try:
                    data = storage.read(stream, video, frame)
                    if data is None:
                        continue
                    content, kind = self._content(data, (row + number) * len(self._streams) + place)
                except FrameError as error:
                    self._add_problem(stream, video, frame, error.reason or str(error))
                    continue
                _write(folder, f"{frame:06d}.{kind}", content)

    def _content(self, data: bytes | np.ndarray[Any, Any], member: int) -> tuple[bytes, str]:
        """Return a file's content and its extension."""
        from fastclips._native import DCT_MAGIC, from_dct  # noqa: PLC0415 - as below
        from fastclips.packing.encoder import KINDS, kind_of  # noqa: PLC0415 - imports OpenCV

        if isinstance(data, np.ndarray):
            file = io.BytesIO()
            np.save(file, data)
            self._counts["as_stored"] += 1
            return file.getvalue(), "npy"
        if not data.startswith(DCT_MAGIC):
            kind = KINDS[kind_of(data)]
            self._counts["same_coefficients" if kind == "jpg" else "as_stored"] += 1
            return data, _OTHER_STARTS.get(data[:4], kind) if kind == "bin" else kind
        around = self._headers.around(member) if self._headers is not None else b""
        try:
            content = from_dct(data, around or None)
        except ValueError as error:
            raise FrameError(f"cannot be written as a JPEG: {error}") from error
        self._counts["restored" if around else "same_coefficients"] += 1
        return content, "jpg"

    def _add_problem(self, stream: str, video: int, frame: int, why: str) -> None:
        from fastclips.packing.parts import Problem  # noqa: PLC0415 - imports OpenCV

        where = self._storage.where(stream, video, frame)
        self._problems.append(Problem(self._storage.videos[video], where, why))


def _write(folder: int, name: str, content: bytes) -> None:
    """Write a new file."""
    file = os.open(name, _NEW_FILE, 0o666, dir_fd=folder)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(file, view) :]
    finally:
        os.close(file)
