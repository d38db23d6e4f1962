"""Random words that depend on nothing but what they are for.

Draws are counter-based: a word is a function of (seed, purpose, epoch, item, column) and of nothing else, so
it is the same in any process, in any order, for any batch size. The generator is Philox4x64-10, of which
NumPy promises the raw words; it promises no stream for the methods of ``Generator``, so the mapping to
numbers is ours. One block of Philox is 4 words::

    key      seed, purpose
    counter  item, column // 4, epoch, 0        columns 0-3 of neighbouring items are neighbouring blocks

``item`` is a video or a position in the plan, as the purpose says. How many columns are asked for changes
none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Draws", "Purpose", "to_units"]

_PIECE = 2**16  # items drawn at a time: their whole blocks still fit a cache


class Purpose(IntEnum):
    """What words are drawn for. The values are part of the stream: never change or reuse one."""

    ORDER = 0  # item: a clip of the sampler's table
    WINDOW = 1  # item: a video
    RECIPE = 2  # item: a position in the plan
    CHOICE = 3  # item: a position in the plan
    FRAMES = 4  # item: a position in the plan


@dataclass(frozen=True)
class Draws:
    """The random words of one epoch.

    Parameters
    ----------
    seed : int
        At least 0 and below 2**64.
    epoch : int
        At least 0 and below 2**63.
    """

    seed: int
    epoch: int

    def words(self, purpose: Purpose, first: int, items: int, columns: int) -> NDArray[np.uint64]:
        """Draw for consecutive items.

        Parameters
        ----------
        purpose : Purpose
            What for.
        first : int
            The first item.
        items, columns : int
            How many items, and words for each.

        Returns
        -------
        ndarray of uint64, (items, columns)
            Raw words.
        """
        blocks = -(-columns // 4)
        out = np.empty((items, blocks, 4), np.uint64)
        # NumPy counts up before it makes a block: start one earlier, so that the blocks are Random123's.
        counter = ((self.epoch << 128) + first - 1) % 2**256
        philox = np.random.Philox(key=self.seed | purpose << 64, counter=counter)
        for block in range(blocks):
            out[:, block] = philox.random_raw(4 * items).reshape(items, 4)
            philox.advance(2**64 - items)  # the same items in the next block
        return out.reshape(items, 4 * blocks)[:, :columns]

    def units(self, purpose: Purpose, first: int, items: int, columns: int) -> NDArray[np.float64]:
        """Draw numbers in [0, 1): `to_units` of the same `words`.

        Parameters
        ----------
        purpose, first, items, columns
            As for `words`.

        Returns
        -------
        ndarray of float64, (items, columns)
            Uniform numbers.
        """
        return to_units(self.words(purpose, first, items, columns))

    def units_at(self, purpose: Purpose, items: NDArray[np.int64], columns: int) -> NDArray[np.float64]:
        """Draw for any items, as `units` does; quick where neighbouring ones follow each other.

        Parameters
        ----------
        purpose : Purpose
            What for.
        items : ndarray of int64, (n,)
            The items, in any order.
        columns : int
            Numbers for each.

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
        """Draw the first column of the items from 0 on, in little memory: there may be many millions.

        Parameters
        ----------
        purpose : Purpose
            What for.
        items : int
            How many.

        Returns
        -------
        ndarray of uint64, (items,)
            Raw words.
        """
        out = np.empty(items, np.uint64)
        for first in range(0, items, _PIECE):
            piece = out[first : first + _PIECE]
            piece[:] = self.words(purpose, first, len(piece), 1)[:, 0]
        return out


def to_units(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Map words to numbers in [0, 1): the upper 53 bits of each, so each is exact.

    Parameters
    ----------
    words : ndarray of uint64
        Of any shape.

    Returns
    -------
    ndarray of float64
        Of the same shape.
    """
    units: NDArray[np.float64] = np.multiply(words >> np.uint64(11), 2.0**-53, dtype=np.float64)
    return units
