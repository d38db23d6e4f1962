"""Which clip is at each position of an epoch that holds all clips, or draws them by weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips.errors import OptionError
from fastclips.planning.clips import cut_videos
from fastclips.planning.draws import Draws, Purpose
from fastclips.planning.lanes import Lanes, Runs, checked_lanes
from fastclips.planning.weights import choose, plan_weights

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from fastclips.planning.clips import Clips, ClipSampler, Videos

__all__ = ["OneOrder"]


class _Epoch(NamedTuple):
    number: int
    clips: Clips
    order: NDArray[np.integer[Any]] | Lanes | None  # the row at each position, if it is not the position


class OneOrder:
    """Epochs in which all clips come once, in an order, or as many are drawn by weights.

    Parameters
    ----------
    videos, sampler, views, shuffle, seed, interleave, weights
        As of `Plan`, as are the errors.

    Attributes
    ----------
    groups : int
        Clips of an epoch, each view counted.
    interleave : int or None
        Number of lanes.
    weights : ndarray of float64, (V,), or None
        The weights, scaled to a maximum of 1.
    """

    def __init__(
        self,
        videos: Videos,
        sampler: ClipSampler,
        *,
        views: int,
        shuffle: bool,
        seed: int,
        interleave: object = None,
        weights: ArrayLike | None = None,
    ) -> None:
        self._videos, self._sampler = videos, sampler
        self._views, self._shuffle, self._seed = views, shuffle, seed
        self._recent: tuple[_Epoch, ...] = ()
        self._clips = cut_videos(sampler, videos, Draws(seed, 0))
        self.groups = len(self._clips) * views
        self.weights: NDArray[np.float64] | None = None
        self.interleave: int | None = None
        self._runs: Runs | None = None
        self._chances: NDArray[np.float64] | None = None
        if self.groups:  # otherwise, `Plan` says why
            self._order_by(interleave, weights)

    def _order_by(self, interleave: object, weights: ArrayLike | None) -> None:
        self.interleave = checked_lanes(interleave, self.groups, weighted=weights is not None)
        if self.interleave and self._shuffle:
            self._runs = Runs(self._clips)
        if weights is None:
            return
        if not self._shuffle:
            raise OptionError(
                "shuffle=False: must be True with weights=, which draws clips at random; "
                "pass shuffle=True, or no weights"
            )
        self.weights = plan_weights(weights, np.bincount(self._clips.video, minlength=len(self._videos)))
        self._chances = np.cumsum(self.weights[self._clips.video])

    def at(self, epoch: int, groups: NDArray[np.int64]) -> tuple[Clips, NDArray[np.int64]]:
        """Return the clips at some positions, and the recipe's view of each.

        Positions beyond the last are padding, which shows the first clips again.
        """
        _, clips, order = self._epoch(epoch)
        which = groups % self.groups
        if self._chances is not None:
            units = Draws(self._seed, epoch).units_at(Purpose.CHOICE, which, 1)[:, 0]
            which = choose(units, self._chances, self._views)
        elif order is not None:
            which = order.rows(which) if isinstance(order, Lanes) else order[which].astype(np.int64)
        clip, view = np.divmod(which, self._views)
        return clips.rows(clip), view

    def _epoch(self, epoch: int) -> _Epoch:
        for known in self._recent:
            if known.number == epoch:
                return known
        draws = Draws(self._seed, epoch)
        order: NDArray[np.integer[Any]] | Lanes | None = None
        clips = cut_videos(self._sampler, self._videos, draws) if self._sampler.varies else self._clips
        if self.interleave:
            shuffled = draws if self._shuffle else None
            order = Lanes(self.groups, self.interleave, self._views, self._runs, shuffled)
        elif self._shuffle and self._chances is None:
            order = draws.order(Purpose.ORDER, self.groups)
        made = _Epoch(epoch, clips, order)
        # Two epochs are kept, because prefetch runs past an epoch's end. The tuple is replaced and never
        # changed, so threads need no lock.
        self._recent = (made, *self._recent[:1])
        return made
