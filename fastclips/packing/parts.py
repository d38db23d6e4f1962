"""A run of one video's frames -> a part: a file of tar members, which is then appended to a shard.

A part is a function of the frames and the options alone; it does not depend on the process that makes it.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from fastclips.data.pack_storage import BLOCK, member_folder
from fastclips.data.storage import SentStorage, absent_picture, count_bytes, opened, read_present
from fastclips.data.video_storage import VideoStorage
from fastclips.errors import FrameError
from fastclips.packing.encoder import KINDS, Encoded, Encoder, kind_of
from fastclips.pixels.geometry.resample import use_one_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastclips.data.names import Names
    from fastclips.data.storage import Storage
    from fastclips.packing.encoder import Encoding
    from fastclips.pixels.decoding.decoder import Stored
    from fastclips.spec import StreamSpec

__all__ = ["Job", "Part", "PartMaker", "Problem", "Task", "member_name", "padding"]

_MOST_AROUNDS = 256  # that a worker remembers


@dataclass(frozen=True)
class Job:
    """Data that all tasks of a pack have in common.

    Parameters
    ----------
    storage : Storage
        Source of the frames.
    streams : tuple of StreamSpec
        Streams of every video.
    encoding : Encoding
        How frames are encoded.
    names : Names
        Names of the videos, by their numbers in the pack.
    folder : str
        Folder of the parts' files.
    """

    storage: Storage
    streams: tuple[StreamSpec, ...]
    encoding: Encoding
    names: Names
    folder: str

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "storage": SentStorage.of(self.storage)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, storage=state["storage"].unpickled())

    def doer(self) -> Callable[[Task], Part]:
        """Return the function that makes a part, for `fastclips.packing.workers`."""
        return PartMaker(self).make

    def name_of(self, task: Task) -> str:
        """Return the name of a task's video."""
        return self.names[task.video]


class Task(NamedTuple):
    """A run of frames of one video.

    Parameters
    ----------
    number : int
        Number of the task, from 0.
    video : int
        The video's number in the pack.
    key : int
        The video's number in the storage.
    first : int
        The first frame's number.
    frames : int
        Number of frames; -1 for all frames of a video file from the first on.
    last : bool
        Whether this is the video's last task.
    """

    number: int
    video: int
    key: int
    first: int
    frames: int
    last: bool


class Problem(NamedTuple):
    """A frame that could not be read.

    Parameters
    ----------
    video : str
        The video's name.
    where : str
        The frame's path.
    why : str
        The error's text.
    """

    video: str
    where: str
    why: str


@dataclass
class Part:
    """The result of a task.

    Parameters
    ----------
    task : Task
        The task.
    path : str
        The file of tar members.
    size : int
        Its bytes.
    starts, lengths, kinds : list of int
        Offset in the file, bytes and index in `KINDS` of each frame's data: frame by frame, and within a
        frame stream by stream. The kind of a frame without a mask is -1.
    source : int
        Bytes that were read.
    arounds : list of bytes
        For each frame `Encoded.around`; empty for a pack without dct frames.
    kept : int
        Pictures that were packed unchanged because they could not be transcoded.
    problems : list of Problem
        Frames that could not be read. Their own bytes are in the file, or nothing; a video file with such a
        frame leaves the part empty.
    fps : float
        Frames per second of a video file; 0 if unknown.
    """

    task: Task
    path: str
    size: int = 0
    starts: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    arounds: list[bytes] = field(default_factory=list)
    source: int = 0
    kept: int = 0
    problems: list[Problem] = field(default_factory=list)
    fps: float = 0.0


def member_name(frame: int, stream: str, kind: int) -> str:
    """Return the file name of a frame in a pack, without its folder."""
    return f"{frame:06d}.{stream}.{KINDS[kind]}"


def padding(size: int) -> int:
    """Return how many bytes fill up the last block of a tar member."""
    return -size % BLOCK


class PartMaker:
    """Makes the parts of a job, one after the other."""

    def __init__(self, job: Job) -> None:
        use_one_thread()
        opened(job.storage)
        self._job = job
        self._arounds: dict[bytes, bytes] = {}  # one object for equal ones, which is sent once
        self._encoders = {stream.name: Encoder(stream, job.encoding) for stream in job.streams}

    def make(self, task: Task) -> Part:
        """Make a task's part; raises OSError if its file cannot be written."""
        part = Part(task, str(Path(self._job.folder, f"{task.number}.part")))
        with Path(part.path).open("wb") as file:
            storage = self._job.storage
            if isinstance(storage, VideoStorage):
                self._video_file(storage, task, part, file)
            else:
                for frame in range(task.first, task.first + task.frames):
                    self._frame(task, frame, part, file)
        return part

    def _frame(self, task: Task, frame: int, part: Part, file: BinaryIO) -> None:
        """Add a frame of every stream; if it cannot be read, add the bytes that there are."""
        storage = self._job.storage
        for stream in self._job.streams:
            data: Stored = b""
            try:
                read = storage.read(stream.name, task.key, frame)
                if read is None and not stream.mask:
                    raise absent_picture(storage, stream.name, task.key, frame)
                if read is None:
                    part.starts.append(part.size)
                    part.lengths.append(0)
                    part.kinds.append(-1)
                    self._add_around(b"", part)
                    continue
                data = read
                encoded = self._encoders[stream.name].encode(data)
            except FrameError as error:
                where = storage.where(stream.name, task.key, frame)
                part.problems.append(Problem(self._job.names[task.video], where, str(error)))
                content = b"" if isinstance(data, np.ndarray) else bytes(data)
                kind = kind_of(content) if content else KINDS.index("png" if stream.mask else "jpg")
                encoded = Encoded(content, kind)
            part.source += count_bytes(data)
            self._add(task, member_name(frame, stream.name, encoded.kind), encoded, part, file)

    def _add(self, task: Task, name: str, encoded: Encoded, part: Part, file: BinaryIO) -> None:
        folder = member_folder(self._job.names[task.video], task.video)
        info = tarfile.TarInfo(f"{folder}/{name}")
        info.size = len(encoded.data)
        # A ustar header if the name fits; otherwise a pax header for the name precedes it.
        header = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        part.starts.append(part.size + len(header))
        part.lengths.append(len(encoded.data))
        part.kinds.append(encoded.kind)
        part.kept += encoded.kept
        self._add_around(encoded.around, part)
        part.size += file.write(b"".join((header, encoded.data, bytes(padding(len(encoded.data))))))

    def _add_around(self, around: bytes, part: Part) -> None:
        if not self._job.encoding.dct:
            return
        if len(self._arounds) == _MOST_AROUNDS:
            self._arounds.clear()
        part.arounds.append(self._arounds.setdefault(around, around))

    def _video_file(self, storage: VideoStorage, task: Task, part: Part, file: BinaryIO) -> None:
        """Add a video file's frames, or none if one cannot be read: the frames after it have no numbers."""
        (stream,) = self._job.streams
        encoder = self._encoders[stream.name]
        try:
            count, part.fps, part.source = storage.open_video(task.key)
            if count <= task.first:
                raise FrameError(f"it has {count} frames")  # noqa: TRY301 - handled as an error of the file
            for frame in range(task.first, count if task.frames < 0 else task.first + task.frames):
                encoded = encoder.encode(read_present(self._job.storage, stream.name, task.key, frame))
                self._add(task, member_name(frame, stream.name, encoded.kind), encoded, part, file)
        except FrameError as error:
            where = storage.path(task.key)
            empty = Part(task, part.path, problems=[Problem(self._job.names[task.video], where, str(error))])
            vars(part).update(vars(empty))
            file.seek(0)
            file.truncate()
