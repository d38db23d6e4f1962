"""Arrays that are decoded once and kept in frame slots, each in a place of its own.

Windows overlap and epochs repeat, so each frame is shown many times. Nothing is evicted, and no lock is
needed: see `native/frame_slots.h`. What has no place, cannot be decoded, or is no bytes, is read from its
file again, so the cache changes no pixel. An array that is kept stays as it is, even if its file changes,
since other workers may be reading it. If a worker dies while it writes one, the others decode that one for
themselves.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property, partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips._native import FrameArea, FrameSlots

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KeptArrays"]


class KeptArrays:
    """Room for arrays of one shape.

    The process that unpickles this maps the memory, and the workers that it forks share it. Pages are taken
    when they are first written.

    Parameters
    ----------
    places : int
        Number of arrays, at least 1.
    shape : tuple of int
        Shape of each, uint8.
    """

    def __init__(self, places: int, shape: tuple[int, ...]) -> None:
        self.places, self._shape = places, shape

    @classmethod
    def within(cls, nbytes: int, arrays: int, shape: tuple[int, ...]) -> KeptArrays | None:
        """Return room for as many of the first arrays as fit into some bytes; None if there are none."""
        bytes_of = partial(FrameSlots.nbytes_of, areas=1, frame_bytes=prod(shape))
        places = bisect_right(range(1, arrays + 1), nbytes, key=lambda frames: bytes_of(frames=frames))
        return cls(places, shape) if places else None

    def __reduce__(self) -> tuple[Any, ...]:
        return _mapped, (self.places, self._shape)

    @cached_property
    def _area(self) -> FrameArea:
        """The memory, mapped here and in all processes that are forked from now on."""
        nbytes = prod(self._shape)
        slots = FrameSlots(frames=self.places, areas=1, frame_bytes=nbytes)
        return FrameArea(slots, area=0, offset=0, bytes=nbytes, pixel=1, format=0, worker=1, loader=1)

    def get(self, number: int) -> NDArray[np.uint8] | None:
        """Return an array, not to be written into; None if it is not kept."""
        if number >= self.places or self._area.look(number, 0, number) is None:
            return None
        return self._area.pixels(number).reshape(self._shape)

    def put(self, number: int, given: NDArray[Any]) -> None:
        """Keep an array, if it has a place, the right shape and dtype, and none is kept there yet."""
        if number >= self.places or given.dtype != np.uint8 or given.shape != self._shape:
            return
        if self._area.claim(number):
            self._area.pixels(number).reshape(self._shape)[...] = given
            self._area.finish(number, 0, number, (1, 1), 1, 1, 0)


def _mapped(places: int, shape: tuple[int, ...]) -> KeptArrays:
    arrays = KeptArrays(places, shape)
    _ = arrays._area  # noqa: SLF001 - maps it
    return arrays
