"""Decoded frames that are kept between clips and epochs, where all frames of the data fit.

Windows overlap and epochs repeat, so each frame is shown again and again. Where there is room for all of
them, each has a place of its own for good: nothing is ever evicted, and no lock is needed. ::

    a worker      decodes frame f, writes it to place f, then its flag; then it completes its row
    the trainer   collects the batch, and from then on writes f as ~f into tickets
    a worker      given ~f, looks at the flag, and takes the frame from place f

That the batch was collected in between is what orders the writing before the reading. Two workers may write
a place at the same time: the same bytes. Once it is written it stays as it is, whatever becomes of the file,
since others may be reading it. A frame that was not written, since it could not be decoded or is no
bytes, has no flag and is read from its file again. So the cache changes no pixel.

The memory is mapped once, in the process that unpickles the spec, and its forked workers share it; pages are
taken when they are first written.
"""

from __future__ import annotations

import mmap
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FrameCache"]


class FrameCache:
    """Room for frames of one shape.

    Parameters
    ----------
    frames : int
        How many.
    shape : tuple of int
        (H, W, C) of each, uint8.
    """

    def __init__(self, frames: int, shape: tuple[int, ...]) -> None:
        self._frames, self._shape = frames, shape
        self._mapped: tuple[NDArray[np.uint8], NDArray[np.bool_]] | None = None

    @staticmethod
    def bytes_of(frames: int, shape: tuple[int, ...]) -> int:
        """Return how many bytes it takes to hold frames."""
        return frames * (prod(shape) + 1)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._frames, self._shape)

    def map(self) -> None:
        """Map the memory, here and in all processes that are forked from now on."""
        if self._mapped is None:
            memory = mmap.mmap(-1, self.bytes_of(self._frames, self._shape))
            size = self._frames * prod(self._shape)
            pixels = np.frombuffer(memory, np.uint8, size).reshape(self._frames, *self._shape)
            self._mapped = pixels, np.frombuffer(memory, np.bool_, self._frames, size)

    def get(self, frame: int) -> NDArray[np.uint8] | None:
        """Return a frame whose batch was collected, (H, W, C); None if it was not kept."""
        self.map()
        assert self._mapped is not None  # noqa: S101 - see map
        pixels, flags = self._mapped
        return pixels[frame] if flags[frame] else None

    def put(self, frame: int, given: NDArray[Any]) -> None:
        """Keep a frame, if it is of the right kind and none is kept yet."""
        self.map()
        assert self._mapped is not None  # noqa: S101 - see map
        pixels, flags = self._mapped
        if not flags[frame] and given.dtype == np.uint8 and given.shape == self._shape:
            pixels[frame] = given
            flags[frame] = True


def _unpickled(frames: int, shape: tuple[int, ...]) -> FrameCache:
    cache = FrameCache(frames, shape)
    cache.map()
    return cache
