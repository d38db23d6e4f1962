"""Random fields for the frames of a clip: pure functions of a draw and of the frame's number.

One of the clip's draws becomes the key of a Philox4x64-10 generator; each frame takes blocks of its own::

    key      int(draw * 2**53), 2**63     the plan uses no purpose so high, so no words are shared with it
    counter  block, frame number, 0, 0

Only raw words are used, as in the plan: NumPy does not promise the streams of the methods of ``Generator``.

Normal numbers come from a table of 65536 entries: entry i is the inverse of the normal distribution at
(i + 0.5) / 65536. They reach from -4.32 to 4.32 with mean 0 and standard deviation 0.99999; the entries are
exact to float32 (`statistics.NormalDist` computes them in float64).
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["normal_field", "normal_of", "word_field"]

_NOISE = 2**63
_ENTRIES = 2**16


def normal_field(draw: float, number: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return standard normal numbers, float32, in an array of a shape that may be overwritten.

    Parameters
    ----------
    draw : float
        In [0, 1): the field's key.
    number : int
        The frame's number in its clip.
    shape : tuple of int
        Shape of the field.
    """
    count = math.prod(shape)
    return np.take(_normal_table(), _words(draw, number, -(-count // 4)).view("<u2")[:count]).reshape(shape)


def normal_of(draw: float) -> float:
    """Return the standard normal number that a draw in [0, 1) means."""
    return float(_normal_table()[int(draw * _ENTRIES)])


def word_field(draw: float, number: int, shape: tuple[int, ...]) -> NDArray[np.uint32]:
    """Return uniform words of 32 bits in an array of a shape; parameters as for `normal_field`."""
    count = math.prod(shape)
    return _words(draw, number, -(-count // 2)).view("<u4")[:count].reshape(shape)


def _words(draw: float, number: int, count: int) -> NDArray[np.uint64]:
    # NumPy increments the counter before it makes a block.
    counter = ((number << 64) - 1) % 2**256
    philox = np.random.Philox(key=int(draw * 2**53) | _NOISE << 64, counter=counter)
    return philox.random_raw(count).astype("<u8", copy=False)


@cache
def _normal_table() -> NDArray[np.float32]:
    inverse = NormalDist().inv_cdf
    below = np.array([inverse((entry + 0.5) / _ENTRIES) for entry in range(_ENTRIES // 2)])
    return np.concatenate([below, -below[::-1]]).astype(np.float32)
