"""Tickets, which tell a renderer about a sample, and the layout of the numbers drawn for it.

A clip of pictures is augmented once, or each of its frames is. Each augmentation takes one set of numbers::

    draws    set of frame 0 | set of frame 1 | ... | number in the names of saved files, if there are any
    set      `PARAMETERS` of an `Augmentation` | number in [0, 1) that seeds the user's function
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastclips.compat._base.augmentation import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastclips.compat._base.augmentation import Augmentation

__all__ = ["DrawLayout", "sample_ticket"]

_SET = len(PARAMETERS) + 1


def sample_ticket(time_steps: int, draws: int) -> np.dtype[np.void]:
    """Return the dtype of a ticket.

    Parameters
    ----------
    time_steps : int
        File numbers of a sample.
    draws : int
        Numbers drawn for a sample.

    Returns
    -------
    numpy.dtype
        ``sample`` is the sample's number, ``video`` the same or the number of a video file (for messages),
        ``frames`` (time_steps,) int64 file numbers, ``draws`` (draws,) float64.
    """
    return np.dtype(
        [
            ("epoch", "<i8"),
            ("sample", "<i8"),
            ("video", "<i8"),
            ("draws", "<f8", (draws,)),
            ("frames", "<i8", (time_steps,)),
        ]
    )


@dataclass(frozen=True)
class DrawLayout:
    """Layout of the draws of a sample, as the module's documentation shows it.

    Parameters
    ----------
    sets : int
        Sets of numbers: 1, or one for each frame of a clip.
    named : bool
        Whether a number for file names follows.
    """

    sets: int = 1
    named: bool = False

    @property
    def size(self) -> int:
        """Numbers of a sample."""
        return self.sets * _SET + self.named

    def sets_of(self, draws: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a view of draws (B, size) as sets, (B, sets, 11); the last number is the function's."""
        return draws[:, : self.sets * _SET].reshape(len(draws), self.sets, _SET)

    def draw(
        self, augmentation: Augmentation, random: np.random.RandomState, samples: int, size: Sequence[int]
    ) -> NDArray[np.float64]:
        """Return draws (samples, size) with parameters for frames of a height and width; the rest is 0."""
        draws = np.zeros((samples, self.size))
        for sets in self.sets_of(draws):
            for numbers in sets:
                numbers[:-1] = augmentation.to_vector(augmentation.draw(random, *size))
        return draws

    def of_frame(self, draws: Sequence[float], step: int) -> tuple[Sequence[float], float]:
        """Return the parameters of a frame of a sample, and the number for the user's function."""
        first = step * _SET if self.sets > 1 else 0
        return draws[first : first + _SET - 1], draws[first + _SET - 1]
