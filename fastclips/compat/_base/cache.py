"""Frames that are decoded once and kept in shared memory, if there is room for all of them.

Windows overlap and epochs repeat, so each frame is shown many times. Each frame has a place of its own:
nothing is evicted, and no lock is needed. A frame that cannot be decoded, or is no bytes, is not kept and is
read from its file again, so the cache changes no pixel. There are two ways to know that a frame is whole.

By the ticket, which costs nothing (`ImageDataGenerator`)::

    a worker      decodes frame f, writes it to place f, then its mark; then it completes its row
    the trainer   collects the batch, and from then on writes ~f for f into tickets
    a worker      gets ~f, looks at the mark, and takes the frame from place f

The batch is collected between writing and reading, and that orders the two.

By a checksum beside the frame (``checked=True``; `fastclips.compat.keras_video`): a worker takes whatever has
the right CRC-32, so even a frame that another worker has decoded just now.

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
    checked : bool
        Whether a mark holds a checksum, so that a frame may be taken before its batch is collected.
    """

    def __init__(self, frames: int, shape: tuple[int, ...], *, checked: bool = False) -> None:
        self._frames, self._shape, self._checked = frames, shape, checked

    @staticmethod
    def bytes_of(frames: int, shape: tuple[int, ...]) -> int:
        """Return how many bytes a cache without checksums takes."""
        return frames * (prod(shape) + 1)

    def __reduce__(self) -> tuple[Any, ...]:
        return _mapped, (self._frames, self._shape, self._checked)

    @cached_property
    def _memory(self) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Pixels and marks, mapped here and in all processes that are forked from now on."""
        mark = np.dtype(np.uint64 if self._checked else np.bool_)
        size = self._frames * prod(self._shape)
        start = -(-size // mark.itemsize) * mark.itemsize
        memory = mmap.mmap(-1, start + self._frames * mark.itemsize, _FLAGS)
        pixels = np.frombuffer(memory, np.uint8, size).reshape(self._frames, *self._shape)
        return pixels, np.frombuffer(memory, mark, self._frames, start)

    def get(self, frame: int) -> NDArray[np.uint8] | None:
        """Return a frame, not to be written into; None if it is not kept.

        Without checksums, the batch in which it was first shown must have been collected.
        """
        pixels, marks = self._memory
        found, mark = pixels[frame], marks.item(frame)
        return found if mark and (not self._checked or mark == _checksum(found)) else None

    def put(self, frame: int, given: NDArray[Any]) -> None:
        """Keep a frame, if it has the right shape and dtype and none is kept yet."""
        pixels, marks = self._memory
        if not marks[frame] and given.dtype == np.uint8 and given.shape == self._shape:
            pixels[frame] = given
            marks[frame] = _checksum(pixels[frame]) if self._checked else True


def _mapped(frames: int, shape: tuple[int, ...], checked: bool) -> FrameCache:
    cache = FrameCache(frames, shape, checked=checked)
    _ = cache._memory  # noqa: SLF001 - maps it
    return cache


def _checksum(pixels: NDArray[np.uint8]) -> int:
    return _WRITTEN + zlib.crc32(pixels.data)
