"""Lanes: an order in which windows that overlap come near each other, and each batch mixes many videos.

Position p of an epoch shows the next clip of lane p mod n, as tf.data's ``interleave`` takes elements of n
sources in turn. An order is made in four steps, here of 3 videos of 8 windows and 2 lanes::

    runs      the windows of each video, cut after `RUN` of them       a0-a7  b0-b7  c0-c7
    line      runs end to end, in an order drawn for the epoch         c0 ... c7 a0 ... a7 b0 ... b7
    lanes     the line, cut into n parts of equal length               c0 ... c7 a0-a3 | a4-a7 b0 ... b7
    segments  each lane, permuted within `SEGMENT` neighbours          c2 c0 c3 c1 ... | a6 a4 a7 a5 ...

So windows that overlap stay near each other in their lane, and each frame is needed for a short time only.
A batch has rows of different lanes. Runs bound how long a lane stays in one video: without them, few long
videos would show the same mixtures in each epoch. Lanes change from one segment to the next at different
positions, so that new frames are spread evenly over the batches.

Without shuffling, the line is the sampler's order and nothing is permuted: each lane goes through its part of
the clips in order.

The clip at a position is computed when it is asked for. Memory grows with the number of runs, not of clips.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import checked_int
from fastclips.planning.clips import EvenClips
from fastclips.planning.draws import Draws, Purpose

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastclips.planning.clips import Clips

__all__ = ["RUN", "SEGMENT", "Lanes", "Runs", "checked_lanes"]

SEGMENT = 16
"""Neighbouring clips of a lane that change places."""

RUN = 256
"""Most neighbouring windows of a video that follow each other in a lane."""

_PIECE, _LARGEST = 2**16, 2**20  # positions looked up at a time: all places of segments, but bounded memory


class Runs:
    """The clips of an epoch, cut where the video changes and after `RUN` clips of one video.

    Parameters
    ----------
    clips : Clips
        All clips, in the sampler's order.
    """

    def __init__(self, clips: Clips) -> None:
        stretches = _stretches(clips)
        runs = -(-stretches // RUN)
        first = np.cumsum(runs) - runs  # of each video
        self.lengths = np.full(int(runs.sum()), RUN, np.int64)
        full = runs > 0
        self.lengths[(first + runs - 1)[full]] = (stretches - (runs - 1) * RUN)[full]

    def line(self, draws: Draws) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the line of an epoch.

        Returns
        -------
        ends : ndarray of int64, (runs,)
            Where each run ends, in the order of the line.
        shifts : ndarray of int64, (runs,)
            What to add to a place in the run to get the clip there.
        """
        order = draws.order(Purpose.LINE, len(self.lengths))
        lengths = self.lengths[order]
        ends = np.cumsum(lengths)
        first = (np.cumsum(self.lengths) - self.lengths)[order]
        return ends, first - (ends - lengths)


class Lanes:
    """The order of one epoch in lanes.

    Parameters
    ----------
    rows : int
        Positions of the epoch.
    lanes : int
        From 1 to `rows`.
    views : int
        Rows of each clip, which are neighbours in the line. A segment holds `SEGMENT` clips with all views.
    runs : Runs, optional
        The runs of the clips; None keeps the sampler's order.
    draws : Draws, optional
        Random numbers of the epoch. Needed with `runs`.
    """

    def __init__(
        self, rows: int, lanes: int, views: int = 1, runs: Runs | None = None, draws: Draws | None = None
    ) -> None:
        self._lanes, self._views, self._draws = lanes, views, draws
        self._length, self._longer = divmod(rows, lanes)  # so many lanes, the first, have one row more
        self._segment = min(SEGMENT * views, -(-rows // lanes))
        self._line = None if runs is None or draws is None else runs.line(draws)

    def rows(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row at each position: its clip, times `views`, and its view.

        Parameters
        ----------
        positions : ndarray of int64, (n,)
            Positions below the number of rows, in any order.

        Returns
        -------
        ndarray of int64, (n,)
            The row at each position.
        """
        found = np.empty_like(positions)
        piece = min(max(_PIECE, self._lanes * self._segment), _LARGEST)
        for first in range(0, len(positions), piece):
            place, lane = np.divmod(positions[first : first + piece], self._lanes)
            if self._draws is not None:
                place = self._permuted(lane, place, self._draws)
            at = lane * self._length + np.minimum(lane, self._longer) + place
            if self._line is not None:
                ends, shifts = self._line
                clip, view = np.divmod(at, self._views)
                at = (clip + shifts[np.searchsorted(ends, clip, side="right")]) * self._views + view
            found[first : first + piece] = at
        return found

    def _permuted(self, lane: NDArray[np.int64], place: NDArray[np.int64], draws: Draws) -> NDArray[np.int64]:
        """Return the place in its lane that each place shows.

        The segments of lane i begin i * segment / n places early, and are cut off at both ends of the lane.
        """
        size, lanes = self._segment, self._lanes
        number, at = np.divmod(place + lane * size // lanes, size)
        segments, segment_of = np.unique(number * lanes + lane, return_inverse=True)
        numbers, of = np.divmod(segments, lanes)
        begins = numbers * size - of * size // lanes
        places = begins[:, None] + np.arange(size)
        units = draws.units_at(Purpose.SEGMENT, segments, size)
        units[places < 0] = -1  # stay at the beginning
        units[places >= (self._length + (of < self._longer))[:, None]] = 1  # stay at the end
        order = np.argsort(units, axis=1, kind="stable")
        return np.asarray(order[segment_of, at] + begins[segment_of])


def checked_lanes(interleave: object, most: int, *, weighted: bool) -> int | None:
    """Return the option `interleave`, at most the clips of an epoch; None stays None."""
    if interleave is None:
        return None
    if weighted:
        raise OptionError(
            f"interleave={interleave!r}: must be None with weights=, which draws each clip by itself; "
            "leave out one of the two"
        )
    lanes = checked_int(interleave, "interleave", 1)
    if lanes > most:
        raise OptionError(
            f"interleave={lanes}: must be at most {most}, the clips of an epoch, so that each lane has a "
            "clip; lower it"
        )
    return lanes


def _stretches(clips: Clips) -> NDArray[np.int64]:
    """Return how many clips of one video follow each other, in the sampler's order."""
    if isinstance(clips, EvenClips):
        return clips.windows
    borders = np.flatnonzero(np.diff(clips.video)) + 1
    return np.diff(borders, prepend=0, append=len(clips))
