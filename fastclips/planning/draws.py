"""Counter-based random numbers.

A random word is a function of (seed, purpose, epoch, item, column) and of nothing else, so it is the same in
any process, in any order, for any batch size. The generator is Philox4x64-10. NumPy guarantees its raw words
but not the streams of ``Generator``'s methods, so this module maps words to numbers itself. A block of Philox
is 4 words::

    key      seed, purpose
    counter  item, column // 4, epoch, 0        columns 0-3 of neighbouring items are neighbouring blocks

The purpose says what ``item`` is, such as a video or a position in the plan. The number of columns asked for
does not change any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["Draws", "Purpose", "order_of", "to_units"]

_PIECE = 2**16  # items drawn at a time, so that their blocks fit in cache
_HALF = np.uint64(32)  # bits


class Purpose(IntEnum):
    """The use of random words. Values are part of the stream: never change or reuse a value."""

    ORDER = 0  # item: a clip of the sampler's table
    WINDOW = 1  # item: a video
    RECIPE = 2  # item: a position in the plan
    CHOICE = 3  # item: a position in the plan
    FRAMES = 4  # item: a position in the plan
    LINE = 5  # item: a run of clips, for lanes
    SEGMENT = 6  # item: a segment of a lane
    VIDEO = 7  # item: a video, for transforms
    SPREAD = 8  # item: a clip of a mix's epoch, counted set by set
    STREAM = 9  # item: a place in the stream of a set, whose number is in place of the epoch's


@dataclass(frozen=True)
class Draws:
    """The random words of one epoch.

    Parameters
    ----------
    seed : int
        At least 0 and below 2**64.
    epoch : int
        At least 0 and below 2**63.
    first_video : int
        Added to the items of `Purpose.WINDOW`: the first video of a set, among those of a mix.
    """

    seed: int
    epoch: int
    first_video: int = 0

    def words(self, purpose: Purpose, first: int, items: int, columns: int) -> NDArray[np.uint64]:
        """Return the words of consecutive items.

        Parameters
        ----------
        purpose : Purpose
            The use of the words.
        first : int
            The first item.
        items, columns : int
            Number of items, and of words for each item.

        Returns
        -------
        ndarray of uint64, (items, columns)
            Raw words.
        """
        first += self.first_video if purpose == Purpose.WINDOW else 0
        blocks = -(-columns // 4)
        out = np.empty((items, blocks, 4), np.uint64)
        # NumPy increments the counter before each block. Start one earlier, so blocks equal Random123's.
        counter = ((self.epoch << 128) + first - 1) % 2**256
        philox = np.random.Philox(key=self.seed | purpose << 64, counter=counter)
        for block in range(blocks):
            out[:, block] = philox.random_raw(4 * items).reshape(items, 4)
            philox.advance(2**64 - items)  # the same items in the next block
        return out.reshape(items, 4 * blocks)[:, :columns]

    def units(self, purpose: Purpose, first: int, items: int, columns: int) -> NDArray[np.float64]:
        """Return numbers in [0, 1) of consecutive items, (items, columns): `to_units` of the same `words`."""
        return to_units(self.words(purpose, first, items, columns))

    def of_videos(self, videos: int, columns: int) -> NDArray[np.float64]:
        """Return numbers in [0, 1) for each video, for samplers.

        Parameters
        ----------
        videos : int
            Number of videos.
        columns : int
            Numbers for each video.

        Returns
        -------
        ndarray of float64, (videos, columns)
            Uniform numbers, the same for a video whatever the number of videos and columns.
        """
        return self.units(Purpose.WINDOW, 0, videos, columns)

    def units_at(self, purpose: Purpose, items: NDArray[np.int64], columns: int) -> NDArray[np.float64]:
        """Return numbers in [0, 1) of any items; fast for runs of consecutive items.

        Parameters
        ----------
        purpose : Purpose
            The use of the numbers.
        items : ndarray of int64, (n,)
            The items, in any order.
        columns : int
            Numbers for each item.

        Returns
        -------
        ndarray of float64, (n, columns)
            Uniform numbers.
        """
        out = np.empty((len(items), columns))
        ends = [*(np.flatnonzero(np.diff(items) != 1) + 1).tolist(), len(items)]
        start = 0
        for end in ends if len(items) else ():
            out[start:end] = self.units(purpose, int(items[start]), end - start, columns)
            start = end
        return out

    def first_words(self, purpose: Purpose, items: int) -> NDArray[np.uint64]:
        """Return the first word of each item from 0 on, (items,), in little memory for millions of items."""
        out = np.empty(items, np.uint64)
        for first, piece in self._pieces(purpose, items):
            out[first : first + len(piece)] = piece
        return out

    def order(self, purpose: Purpose, items: int, begin: int = 0) -> NDArray[np.integer[Any]]:
        """Return consecutive items in random order, (items,), sorted by their first words, minus the first.

        Takes 16 bytes of memory per item, of which 4 are returned.
        """
        return order_of(self._pieces(purpose, items, begin), items)

    def _pieces(
        self, purpose: Purpose, items: int, begin: int = 0
    ) -> Iterable[tuple[int, NDArray[np.uint64]]]:
        """Yield the place and the first words of consecutive items, from the item `begin` on."""
        for first in range(0, items, _PIECE):
            yield first, self.words(purpose, begin + first, min(_PIECE, items - first), 1)[:, 0]


def order_of(pieces: Iterable[tuple[int, NDArray[np.uint64]]], items: int) -> NDArray[np.integer[Any]]:
    """Return the order that sorts words, as a stable `numpy.argsort` of them all, faster and in less memory.

    An item's key is the upper half of its word, and its number. Sorted keys hold the order, except among
    items whose upper halves are equal, which are then sorted by their whole words.

    Parameters
    ----------
    pieces : iterable of (int, ndarray of uint64)
        The first item and the words of consecutive items.
    items : int
        Number of items.

    Returns
    -------
    ndarray of uint32, (items,)
        Numbers of items; int64 from 2**32 items on.
    """
    if items >= 2**32:
        return np.argsort(np.concatenate([words for _, words in pieces]), kind="stable")
    keys, lower = np.empty(items, np.uint64), np.empty(items, np.uint32)
    for first, words in pieces:
        end = first + len(words)
        lower[first:end] = words.astype(np.uint32)  # the lower half
        keys[first:end] = (words >> _HALF << _HALF) + np.arange(first, end, dtype=np.uint64)
    keys.sort()
    order = keys.astype(np.uint32)
    first = 0
    while first < items:
        last = keys[min(first + _PIECE, items) - 1] | np.uint64(2**32 - 1)  # of its upper half
        end = int(np.searchsorted(keys, last, side="right"))
        upper = keys[first:end] >> _HALF
        equal = np.flatnonzero(upper[1:] == upper[:-1])
        if len(equal):
            tied = np.union1d(equal, equal + 1)
            among = order[first:end][tied]
            whole = (upper[tied] << _HALF) + lower[among]
            order[first:end][tied] = among[np.argsort(whole, kind="stable")]
        first = end
    return order


def to_units(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return numbers in [0, 1) of the same shape: the upper 53 bits of each word, so they are exact."""
    units: NDArray[np.float64] = np.multiply(words >> np.uint64(11), 2.0**-53, dtype=np.float64)
    return units
