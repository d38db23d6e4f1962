"""A run of one video's frames -> what was seen in it. Worker processes do this; the caller adds it up.

What is sent back is small: sums, sizes, 8 bytes for each frame, and the places of defects.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.names import FileNames
from fastclips.data.storage import SentStorage, absent_picture, count_bytes, opened
from fastclips.errors import FrameError
from fastclips.pixels.decoding.decoder import MAX_PIXELS, Decoder
from fastclips.pixels.geometry.resample import use_one_thread
from fastclips.processes import answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastclips.data.storage import Storage
    from fastclips.data.stored import Run
    from fastclips.pixels.decoding.decoder import Stored
    from fastclips.spec import StreamSpec

__all__ = ["Job", "Looker", "Place", "Seen", "main"]

Place = tuple[int, str, str]  # a frame's number in the storage, its path, what is wrong with it
DIGEST_BYTES = 8  # of a frame: among a million frames, two differ and look equal once in 40 million times


@dataclass(frozen=True)
class Job:
    """Data that all runs have in common.

    Parameters
    ----------
    storage : Storage
        Source of the frames.
    streams : tuple of StreamSpec
        Streams of every video.
    firsts : ndarray of int64, shape (videos,)
        As of `StoredVideos`.
    mask_classes : int or None
        Number of classes of masks, if other values are defects.
    """

    storage: Storage
    streams: tuple[StreamSpec, ...]
    firsts: NDArray[np.int64]
    mask_classes: int | None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "storage": SentStorage.of(self.storage)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, storage=state["storage"].unpickled())


@dataclass
class Seen:
    """What was seen in a run of frames.

    Parameters
    ----------
    run : Run
        The run.
    frames : int
        Frames that were looked at; a frame of several streams counts once.
    nbytes : int
        Bytes that were read.
    sizes : dict of (str, (int, int)) to [int, int]
        Number of frames and number of the first frame, for each stream and height and width.
    damaged, unlike, strange : list of Place
        Frames that cannot be read or decoded; whose streams differ in size; masks with values of no class.
    values : dict of str to ndarray of int64, (256,)
        Pixels of each value, for each stream of masks.
    masks : dict of str to int
        Masks that were decoded, for each stream of masks.
    digests : bytes
        A digest of the pictures of each frame that is not damaged.
    gap : bool
        Whether numbers in the names of the video's frames are missing. Known for the last run of a video.
    """

    run: Run
    frames: int = 0
    nbytes: int = 0
    sizes: dict[tuple[str, tuple[int, int]], list[int]] = field(default_factory=dict)
    damaged: list[Place] = field(default_factory=list)
    unlike: list[Place] = field(default_factory=list)
    strange: list[Place] = field(default_factory=list)
    values: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    masks: dict[str, int] = field(default_factory=dict)
    digests: bytes = b""
    gap: bool = False


class Looker:
    """Looks at the runs of a job, one after the other."""

    def __init__(self, job: Job) -> None:
        use_one_thread()
        self._job, self._storage = job, opened(job.storage)
        self._decoders = {stream.name: Decoder(stream, max_pixels=MAX_PIXELS) for stream in job.streams}
        identity = np.arange(256)
        self._tables = {
            stream.name: identity if stream.values is None else np.array(stream.values)
            for stream in job.streams
            if stream.mask
        }

    def look(self, run: Run) -> Seen:
        """Return what is seen in a run."""
        seen, frames = Seen(run), run.frames
        if frames < 0:
            try:
                count = self._storage.open_video(run.key)[0]  # type: ignore[attr-defined]
            except FrameError as error:
                self._note(seen, seen.damaged, self._job.streams[0], run.first, error.reason)
                return seen
            frames = count - run.first
        for frame in range(run.first, run.first + frames):
            self._frame(seen, frame)
        if run.last and not hasattr(self._storage, "open_video"):  # all frames of a file have one path
            seen.gap = self._has_gap(run)
        return seen

    def _frame(self, seen: Seen, frame: int) -> None:
        """Look at one frame of all streams."""
        seen.frames += 1
        sizes: dict[str, tuple[int, int]] = {}
        digest, intact = blake2b(digest_size=DIGEST_BYTES), 0
        for stream in self._job.streams:
            try:
                data = self._storage.read(stream.name, seen.run.key, frame)
                if data is None and not stream.mask:
                    raise absent_picture(self._storage, stream.name, seen.run.key, frame)
                if data is None:
                    continue
                seen.nbytes += count_bytes(data)
                sizes[stream.name] = self._decode(seen, stream, frame, data)
                if not stream.mask:
                    digest.update(np.ascontiguousarray(data).data if isinstance(data, np.ndarray) else data)
                    intact += 1
            except FrameError as error:
                self._note(seen, seen.damaged, stream, frame, error.reason)
        if intact and intact == sum(not stream.mask for stream in self._job.streams):
            seen.digests += digest.digest()
        for name, size in sizes.items():
            seen.sizes.setdefault((name, size), [0, frame])[0] += 1
        if len(set(sizes.values())) > 1:
            shown = ", ".join(f"{name} {_size(size)}" for name, size in sizes.items())
            self._note(seen, seen.unlike, self._job.streams[0], frame, shown)

    def _decode(self, seen: Seen, stream: StreamSpec, frame: int, data: Stored) -> tuple[int, int]:
        """Decode a frame, count the values of a mask, and return the height and width."""
        pixels = self._decoders[stream.name].decode(data).pixels
        if stream.mask:
            stored = np.bincount(pixels.ravel(), minlength=256)
            values = np.zeros(256, np.int64)
            np.add.at(values, self._tables[stream.name], stored)
            seen.values[stream.name] = seen.values.get(stream.name, 0) + values
            seen.masks[stream.name] = seen.masks.get(stream.name, 0) + 1
            if self._job.mask_classes is not None:
                beyond = [
                    value
                    for value in np.flatnonzero(values).tolist()
                    if value >= self._job.mask_classes and value != stream.ignore
                ]
                if beyond:
                    shown = ", ".join(map(str, beyond[:5])) + ", ..." * (len(beyond) > 5)  # noqa: PLR2004
                    self._note(seen, seen.strange, stream, frame, f"has the values {shown}")
        return pixels.shape[:2]

    def _note(self, seen: Seen, places: list[Place], stream: StreamSpec, frame: int, why: str) -> None:
        places.append((frame, self._storage.where(stream.name, seen.run.key, frame), why))

    def _has_gap(self, run: Run) -> bool:
        """Whether numbers are missing in the names of a whole video's frames."""
        stream = self._job.streams[0].name
        every = range(self._job.firsts.item(run.video), run.first + run.frames)
        paths = (self._storage.where(stream, run.key, frame) for frame in every)
        return FileNames.of([PurePath(path).name for path in paths]).has_gap()


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def main(load: Callable[[], Job], answers: int) -> None:
    """Be a worker: look at each run, until there are no more.

    Parameters
    ----------
    load : callable
        Returns the job.
    answers : int
        Descriptor to which what was seen, and errors, are written.
    """
    answer(Looker(load()).look, answers)
