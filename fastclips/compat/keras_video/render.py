"""Clips of video files, rendered: what a worker of `fastclips.compat.keras_video.generators` does.

::

    ticket: video, frames -> Movie -> resized, gray or RGB, uint8 -> kept, if there is a cache
                          -> augmented -> motion between frames -> rescaled, float32

A ticket's ``video`` is the number of a file. Its ``frames`` are frames of that, or all of them `EVENLY`: then
they are spread over the whole video, whose length only the worker looks up.
"""

from __future__ import annotations

import os
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastclips.compat._base.augmentation import Augmentation
from fastclips.compat._base.iterator import sample_ticket
from fastclips.compat.keras_video.motion import Motion, to_gray
from fastclips.data.video_files import Movie
from fastclips.engine.arena import COUNTERS
from fastclips.errors import FrameError
from fastclips.pixels.geometry.affine import Axis, Geometry
from fastclips.pixels.geometry.resample import resample
from fastclips.spec import Field, SlotLayout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.compat._base.files import FileList
    from fastclips.functions import UserFunction

__all__ = ["EVENLY", "ClipCache", "MovieRenderer", "MovieSpec", "spread"]

EVENLY = -1  # in place of frames' numbers
_DECODE, _KERNEL, _CLIPS, _FRAMES = map(COUNTERS.index, ("decode_s", "kernel_s", "clips", "frames"))
_OPEN = 4  # files that a worker keeps open: each holds some frames of its own
_FILLED = 2**32  # beyond any CRC-32


def spread(count: int, frames: int) -> list[int]:
    """Choose frames evenly, from the first to the last; of fewer than are wanted, some repeatedly."""
    return [place * (count - 1) // max(frames - 1, 1) for place in range(frames)]


@dataclass(frozen=True)
class MovieSpec:
    """What a worker does.

    Parameters
    ----------
    files : FileList
        The videos.
    rows : int
        Clips in a batch.
    time_steps : int
        Frames to read for a clip; one more than it has where `motion` is shown.
    shape : (int, int, int)
        Height, width and channels, 1 or 3, of its frames.
    rescale : float
        What bytes are multiplied by at the end.
    use_headers : bool
        Whether a video's length may be what its header says, if frames of that can be read.
    draws : int
        Of a ticket.
    augmentation : Augmentation or UserFunction or None
        The first takes what was drawn from a ticket; the second is `augmented` for an object, and draws.
    motion : Motion or None
        What to show instead of frames.
    cache : str or None
        Where a `ClipCache` lies.
    """

    files: FileList
    rows: int
    time_steps: int
    shape: tuple[int, int, int]
    rescale: float
    use_headers: bool
    draws: int
    augmentation: Augmentation | UserFunction | None = None
    motion: Motion | None = None
    cache: str | None = None
    renderer: ClassVar[str] = "fastclips.compat.keras_video.render:MovieRenderer"

    @property
    def layout(self) -> SlotLayout:
        """Where a batch's clips lie."""
        shown = self.time_steps - (self.motion is not None)
        return SlotLayout(self.rows, (Field("image", (shown, *self.shape), "float32"),))

    @property
    def ticket_dtype(self) -> np.dtype[np.void]:
        """Of the tickets."""
        return sample_ticket(self.time_steps, self.draws)


class MovieRenderer:
    """Turns a ticket into a clip.

    Parameters
    ----------
    spec : MovieSpec
        What to do.
    single_threaded : bool
        Taken as any renderer takes it, and of no use here.
    """

    def __init__(self, spec: MovieSpec, *, single_threaded: bool = False) -> None:
        del single_threaded
        self._spec = spec
        self._movies: OrderedDict[int, Movie] = OrderedDict()
        self._cache = ClipCache.at(spec.cache, (spec.time_steps, *spec.shape)) if spec.cache else None
        self._rescale = np.float32(spec.rescale)

    def render(self, ticket: np.void, row: Mapping[str, NDArray[Any]], counters: NDArray[np.float64]) -> None:
        """Write a clip.

        Parameters
        ----------
        ticket : numpy.void
            Of `fastclips.compat._base.iterator.sample_ticket`.
        row : mapping of str to ndarray
            ``image``, (T, H, W, C) float32.
        counters : ndarray of float64
            One per name in `COUNTERS`; what this clip took is added to them.

        Raises
        ------
        FrameError
            If the video cannot be read; the message holds its path.
        OptionError
            If what augments changes the shape.
        """
        spec = self._spec
        began = perf_counter()
        sample = int(ticket["sample"])
        clip: NDArray[Any] | None = self._cache.get(sample) if self._cache else None
        if clip is None:
            clip = self._decoded(int(ticket["video"]), ticket["frames"].tolist())
            if self._cache:
                self._cache.put(sample, clip)
        decoded = perf_counter()
        if isinstance(spec.augmentation, Augmentation):
            drawn = spec.augmentation.from_vector(ticket["draws"].tolist())
            clip = np.stack([np.asarray(spec.augmentation.apply(frame, drawn), np.float32) for frame in clip])
        elif spec.augmentation is not None:
            clip = spec.augmentation(float(ticket["draws"][0]), clip)
        if spec.motion is not None:
            clip = np.stack([spec.motion.between(*pair) for pair in pairwise(clip)])
        np.multiply(clip, self._rescale, out=row["image"])
        counters[_DECODE] += decoded - began
        counters[_KERNEL] += perf_counter() - decoded
        counters[_FRAMES] += len(ticket["frames"])
        counters[_CLIPS] += 1

    def _decoded(self, file: int, frames: list[int]) -> NDArray[np.uint8]:
        """Return frames of a file in their shape."""
        height, width, channels = self._spec.shape
        movie = self._movie(file)
        found = self._spread(movie, len(frames)) if frames[0] == EVENLY else movie.frames(frames)
        clip = np.empty((len(frames), *self._spec.shape), np.uint8)
        resized = np.empty((height, width, 3), np.uint8)
        for step, pixels in enumerate(found):
            into = clip[step] if channels != 1 else resized
            whole = Geometry(
                Axis(height, 0.0, float(pixels.shape[0])), Axis(width, 0.0, float(pixels.shape[1]))
            )
            resample(pixels, whole, nearest=False, out=into)
            if channels == 1:
                clip[step] = to_gray(resized)
        return clip

    def _spread(self, movie: Movie, frames: int) -> Sequence[NDArray[np.uint8]]:
        count = movie.frame_count
        try:
            return movie.frames(spread(count, frames))
        except FrameError:
            if not self._spec.use_headers or movie.count_frames() == count:
                raise
        return movie.frames(spread(movie.count_frames(), frames))

    def _movie(self, file: int) -> Movie:
        if file in self._movies:
            self._movies.move_to_end(file)
        else:
            while len(self._movies) >= _OPEN:
                self._movies.popitem(last=False)[1].close()
            path = self._spec.files.where(file)
            self._movies[file] = Movie(path, use_headers=self._spec.use_headers)
        return self._movies[file]


class ClipCache:
    """Clips of one shape, in memory that all processes share; each is written by whoever decodes it first.

    A clip counts once its CRC-32 is written beside it, and only if it has that: two processes that write the
    same one write the same bytes, and one that reads in between sees that it is not whole.

    Parameters
    ----------
    memory : ndarray of uint8
        The memory.
    shape : tuple of int
        Of a clip.
    clips : int
        How many.
    """

    def __init__(self, memory: NDArray[np.uint8], shape: tuple[int, ...], clips: int) -> None:
        self._checks = memory[: clips * 8].view("<u8")
        self._clips = memory[clips * 8 :].reshape(clips, *shape)

    @classmethod
    def at(cls, path: str, shape: tuple[int, ...]) -> ClipCache | None:
        """Map what `make` has made; None where this process may not."""
        clip = int(np.prod(shape))
        try:
            memory: NDArray[np.uint8] = np.memmap(path, np.uint8, "r+")
        except OSError:
            return None
        return cls(memory, shape, memory.size // (clip + 8))

    @staticmethod
    def make(clips: int, shape: tuple[int, ...]) -> tuple[int, str]:
        """Make room for clips.

        Parameters
        ----------
        clips : int
            How many.
        shape : tuple of int
            Of a clip, of bytes.

        Returns
        -------
        fd : int
            A descriptor, to be closed when they are not needed any more; memory is taken as clips come.
        path : str
            For `at`, as long as the descriptor is open.
        """
        fd = os.memfd_create("fastclips-clips", os.MFD_CLOEXEC)
        os.ftruncate(fd, clips * (int(np.prod(shape)) + 8))
        return fd, str(Path("/proc", str(os.getpid()), "fd", str(fd)))

    def get(self, clip: int) -> NDArray[np.uint8] | None:
        """Return a clip, not to be written into, or None if it is not there."""
        check = int(self._checks[clip])
        found = self._clips[clip]
        return found if check >= _FILLED and check - _FILLED == zlib.crc32(found.data) else None

    def put(self, clip: int, pixels: NDArray[np.uint8]) -> None:
        """Keep a clip."""
        self._clips[clip] = pixels
        self._checks[clip] = _FILLED + zlib.crc32(pixels.data)
