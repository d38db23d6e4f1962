"""The data sets of a mix: consecutive rows of one index, and the share of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Sets"]


@dataclass(frozen=True)
class Sets:
    """How the rows of an index are divided into data sets.

    Parameters
    ----------
    counts : tuple of int
        Rows of each set, at least 1, in order.
    weights : tuple of float, optional
        Relative number of clips of each set in an epoch.
    clips_per_epoch : int, optional
        Clips of an epoch.
    """

    counts: tuple[int, ...]
    weights: tuple[float, ...] | None = None
    clips_per_epoch: int | None = None

    @property
    def has_shares(self) -> bool:
        """Whether an epoch holds a share of each set, and not each clip once."""
        return self.weights is not None or self.clips_per_epoch is not None

    @property
    def begins(self) -> list[int]:
        """First row of each set, and the number of rows."""
        return [0, *np.cumsum(self.counts).tolist()]

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """First row of each set, and the row after its last."""
        return [*pairwise(self.begins)]

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the set of each row."""
        return np.searchsorted(self.begins[1:], rows, side="right")

    def take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], Sets]:
        """Return some rows, those of each set together, and how they are divided.

        A set without a row is left out, with its weight.
        """
        of = self.of(rows)
        counts = np.bincount(of, minlength=len(self.counts))
        kept = np.flatnonzero(counts)
        weights = self.weights and tuple(self.weights[number] for number in kept.tolist())
        return rows[np.argsort(of, kind="stable")], replace(
            self, counts=tuple(counts[kept].tolist()), weights=weights
        )
