"""Random fields for the frames of a clip: functions of a draw and of the frame's number, and of nothing else.

One number in [0, 1) of the clip's draws becomes the key of a Philox4x64-10, of which each frame takes blocks
of its own::

    key      int(draw * 2**53), 2**63     no purpose of the plan's draws is so high, so no words are shared
    counter  block, frame number, 0, 0

Only raw words are used, as in the plan: NumPy promises no stream for the methods of ``Generator``.

Gaussian numbers come from a table of 65536: entry i is the inverse of the normal distribution at
(i + 0.5) / 65536. So they reach from -4.32 to 4.32, their mean is 0 and their standard deviation 0.99999; the
entries themselves are exact to float32 (`statistics.NormalDist` computes them in float64).
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["normal_field", "word_field"]

_NOISE = 2**63
_ENTRIES = 2**16


def normal_field(draw: float, number: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Draw a number of the normal distribution for each entry.

    Parameters
    ----------
    draw : float
        In [0, 1): the field's key.
    number : int
        Of the frame within its clip.
    shape : tuple of int
        Of the field.

    Returns
    -------
    ndarray of float32, `shape`
        Mean 0, variance 1; the caller's to overwrite.
    """
    count = math.prod(shape)
    return np.take(_normal_table(), _words(draw, number, -(-count // 4)).view("<u2")[:count]).reshape(shape)


def word_field(draw: float, number: int, shape: tuple[int, ...]) -> NDArray[np.uint32]:
    """Draw a word of 32 bits for each entry.

    Parameters
    ----------
    draw : float
        In [0, 1): the field's key.
    number : int
        Of the frame within its clip.
    shape : tuple of int
        Of the field.

    Returns
    -------
    ndarray of uint32, `shape`
        Uniform words.
    """
    count = math.prod(shape)
    return _words(draw, number, -(-count // 2)).view("<u4")[:count].reshape(shape)


def _words(draw: float, number: int, count: int) -> NDArray[np.uint64]:
    # NumPy counts up before it makes a block.
    counter = ((number << 64) - 1) % 2**256
    philox = np.random.Philox(key=int(draw * 2**53) | _NOISE << 64, counter=counter)
    return philox.random_raw(count).astype("<u8", copy=False)


@cache
def _normal_table() -> NDArray[np.float32]:
    inverse = NormalDist().inv_cdf
    below = np.array([inverse((entry + 0.5) / _ENTRIES) for entry in range(_ENTRIES // 2)])
    return np.concatenate([below, -below[::-1]]).astype(np.float32)
