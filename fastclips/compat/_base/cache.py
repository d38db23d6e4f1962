"""Frames that are decoded once and kept in shared memory, if there is room for all of them.

Windows overlap and epochs repeat, so each frame is shown many times. Each frame has a place of its own:
nothing is evicted, and no lock is needed. A frame that cannot be decoded, or is no bytes, is not kept and is
read from its file again, so the cache changes no pixel. A checksum beside the frame tells that it is whole: a
worker takes any frame with the right CRC-32, even one that another worker has decoded just now.

Two workers may write a place at the same time: they write the same bytes. A frame that is written stays as it
is, even if its file changes, since other workers may be reading it. The process that unpickles the spec maps
the memory, and its forked workers share it. Pages are taken when they are first written.
"""

from __future__ import annotations

import mmap
import zlib
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FrameCache"]

_WRITTEN = 2**32  # a mark, above any CRC-32
_MARK = np.dtype(np.uint64)
_NORESERVE = 0x4000  # Linux's MAP_NORESERVE, without a name in Python 3.10: only written pages count
_FLAGS = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | _NORESERVE


class FrameCache:
    """Room for frames, or clips, of one shape.

    Parameters
    ----------
    frames : int
        Number of frames.
    shape : tuple of int
        Shape of each, uint8.
    """

    def __init__(self, frames: int, shape: tuple[int, ...]) -> None:
        self._frames, self._shape = frames, shape

    @staticmethod
    def bytes_of(frames: int, shape: tuple[int, ...]) -> int:
        """Return how many bytes a cache takes."""
        return frames * (prod(shape) + _MARK.itemsize)

    def __reduce__(self) -> tuple[Any, ...]:
        return _mapped, (self._frames, self._shape)

    @cached_property
    def _memory(self) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Pixels and marks, mapped here and in all processes that are forked from now on."""
        start = self._frames * _MARK.itemsize
        memory = mmap.mmap(-1, self.bytes_of(self._frames, self._shape), _FLAGS)
        pixels = np.frombuffer(memory, np.uint8, offset=start).reshape(self._frames, *self._shape)
        return pixels, np.frombuffer(memory, _MARK, self._frames)

    def get(self, frame: int) -> NDArray[np.uint8] | None:
        """Return a frame, not to be written into; None if it is not kept."""
        pixels, marks = self._memory
        found, mark = pixels[frame], marks.item(frame)
        return found if mark and mark == _checksum(found) else None

    def put(self, frame: int, given: NDArray[Any]) -> None:
        """Keep a frame, if it has the right shape and dtype and none is kept yet."""
        pixels, marks = self._memory
        if not marks[frame] and given.dtype == np.uint8 and given.shape == self._shape:
            pixels[frame] = given
            marks[frame] = _checksum(pixels[frame])


def _mapped(frames: int, shape: tuple[int, ...]) -> FrameCache:
    cache = FrameCache(frames, shape)
    _ = cache._memory  # noqa: SLF001 - maps it
    return cache


def _checksum(pixels: NDArray[np.uint8]) -> int:
    return _WRITTEN + zlib.crc32(pixels.data)
