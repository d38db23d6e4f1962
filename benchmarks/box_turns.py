"""Times decodes of random boxes by several sides that take turns; `regions.py` and `dct.py` call it."""

from __future__ import annotations

from time import thread_time_ns
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["Crop", "ratios", "time_boxes"]


class Crop(NamedTuple):
    """A box of frames.

    Parameters
    ----------
    side : int
        Pixels; 0 for the whole frame.
    width, height : int
        Size of the frames in pixels.
    """

    side: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.side or 'all'} of {self.width}x{self.height}"


def time_boxes(
    sides: Sequence[Callable[[int, tuple[int, int, int, int] | None], object]],
    crop: Crop,
    frames: int,
    rounds: int,
) -> NDArray[np.float64]:
    """Have each side decode a new random box of each frame, one decode at a time, in alternating order.

    Parameters
    ----------
    sides : sequence of callable
        Each decodes a frame, given its number and the box.
    crop : Crop
        Of the boxes.
    frames : int
        Number of frames in a round.
    rounds : int
        Number of rounds; one more is made before, to warm up.

    Returns
    -------
    ndarray of float64, (rounds, frames, sides)
        CPU time in us.
    """
    random = np.random.default_rng(0)
    taken = np.zeros((rounds, frames, len(sides)))
    for round_ in range(rounds + 1):
        for number in range(frames):
            top = int(random.integers(0, crop.height - crop.side + 1))
            left = int(random.integers(0, crop.width - crop.side + 1))
            box = (top, left, top + crop.side, left + crop.side) if crop.side else None
            for side in np.roll(range(len(sides)), round_ + number).tolist():
                began = thread_time_ns()
                sides[side](number, box)
                taken[round_ - 1, number, side] = (thread_time_ns() - began) / 1000
    return taken


def ratios(taken: NDArray[np.float64]) -> list[str]:
    """Return how many times faster than the first side each other one is: the median and quartiles."""
    found = taken[..., :1].sum(axis=1) / taken[..., 1:].sum(axis=1)
    rows = np.percentile(found, (25, 50, 75), axis=0).T.tolist()
    return [f"{middle:.2f} ({low:.2f}-{high:.2f})" for low, middle, high in rows]
