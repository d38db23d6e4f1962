"""A run of one video's frames -> a file of tar members, which are then put behind one another.

What is in it is a function of the frames and the options alone, never of who makes it.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol, runtime_checkable

import numpy as np

from fastclips.data.pack_storage import BLOCK, member_folder
from fastclips.data.storage import count_bytes
from fastclips.errors import FrameError
from fastclips.packing.encoder import KINDS, Encoded, Encoder, kind_of
from fastclips.pixels.geometry.resample import use_one_thread

if TYPE_CHECKING:
    from fastclips.data.names import Names
    from fastclips.data.storage import Storage
    from fastclips.packing.encoder import Encoding
    from fastclips.pixels.decoding.decoder import Stored
    from fastclips.spec import Stream

__all__ = ["Job", "Part", "PartMaker", "Problem", "Task", "member_name", "padding"]


@dataclass(frozen=True)
class Job:
    """What all tasks of a pack have in common.

    Parameters
    ----------
    storage : Storage
        Where frames come from.
    streams : tuple of Stream
        What each video has a frame of at every place.
    encoding : Encoding
        How frames are encoded.
    names : Names
        Of the videos, by their numbers in the pack.
    folder : str
        Where files of members go.
    """

    storage: Storage
    streams: tuple[Stream, ...]
    encoding: Encoding
    names: Names
    folder: str


class Task(NamedTuple):
    """A run of frames of one video.

    Parameters
    ----------
    number : int
        Which task, from 0.
    video : int
        The video's number in the pack.
    key : int
        Its number in the storage.
    first : int
        The first frame's number.
    frames : int
        How many there are; -1 for all of a video file from there on.
    last : bool
        Whether the video ends with it.
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
        What is wrong with it.
    """

    video: str
    where: str
    why: str


@dataclass
class Part:
    """What became of a task; of frames frame by frame, of each its streams.

    Parameters
    ----------
    task : Task
        The task.
    path : str
        The file of members.
    size : int
        Its bytes.
    starts, lengths, kinds : list of int
        Where each frame's data begin in the file, their bytes, and their places in `KINDS`.
    source : int
        Bytes that were read.
    kept : int
        Pictures that went in as they were.
    problems : list of Problem
        Frames that could not be read. They are in the file as they are, or empty; of a video file there is
        nothing then.
    fps : float
        Frames per second that a video file tells; 0 if it is none, or does not.
    """

    task: Task
    path: str
    size: int = 0
    starts: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    source: int = 0
    kept: int = 0
    problems: list[Problem] = field(default_factory=list)
    fps: float = 0.0


@runtime_checkable
class VideoFiles(Protocol):
    """A storage whose videos are files: how many frames they have is known once they are opened."""

    def open_video(self, video: int) -> tuple[int, float, int]:
        """Return how many frames a video has, how many a second (0 if unknown), and its bytes."""


def member_name(frame: int, stream: str, kind: int) -> str:
    """Return the name of a frame's file, without its folder."""
    return f"{frame:06d}.{stream}.{KINDS[kind]}"


def padding(size: int) -> int:
    """Return how many bytes fill up a tar file's last block."""
    return -size % BLOCK


class PartMaker:
    """Makes one part after the other.

    Parameters
    ----------
    job : Job
        What they have in common.
    """

    def __init__(self, job: Job) -> None:
        use_one_thread()
        self._job = job
        self._encoders = {stream.name: Encoder(stream, job.encoding) for stream in job.streams}

    def make(self, task: Task) -> Part:
        """Do a task.

        Parameters
        ----------
        task : Task
            Which.

        Returns
        -------
        Part

        Raises
        ------
        OSError
            The file cannot be written.
        """
        part = Part(task, str(Path(self._job.folder, f"{task.number}.part")))
        with Path(part.path).open("wb") as file:
            storage = self._job.storage
            if isinstance(storage, VideoFiles):
                self._movie(storage, task, part, file)
            else:
                for frame in range(task.first, task.first + task.frames):
                    self._frame(task, frame, part, file)
        return part

    def _frame(self, task: Task, frame: int, part: Part, file: BinaryIO) -> None:
        """Add a frame of all streams; of one that cannot be read, what there is."""
        storage = self._job.storage
        for stream in self._job.streams:
            data: Stored = b""
            try:
                data = storage.read(stream.name, task.key, frame)
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
        # The standard's own form where the name fits; otherwise with a header of its own for the name.
        header = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        part.starts.append(part.size + len(header))
        part.lengths.append(len(encoded.data))
        part.kinds.append(encoded.kind)
        part.kept += encoded.kept
        part.size += file.write(b"".join((header, encoded.data, bytes(padding(len(encoded.data))))))

    def _movie(self, storage: VideoFiles, task: Task, part: Part, file: BinaryIO) -> None:
        """Add all frames of a video file, or none if one cannot be read: what follows it has no number."""
        (stream,) = self._job.streams
        encoder = self._encoders[stream.name]
        try:
            count, part.fps, part.source = storage.open_video(task.key)
            if count <= task.first:
                raise FrameError(f"it has {count} frames")  # noqa: TRY301 - as what the file itself says
            for frame in range(task.first, count if task.frames < 0 else task.first + task.frames):
                encoded = encoder.encode(self._job.storage.read(stream.name, task.key, frame))
                self._add(task, member_name(frame, stream.name, encoded.kind), encoded, part, file)
        except FrameError as error:
            where = self._job.storage.where(stream.name, task.key, task.first)
            empty = Part(task, part.path, problems=[Problem(self._job.names[task.video], where, str(error))])
            vars(part).update(vars(empty))
            file.seek(0)
            file.truncate()
