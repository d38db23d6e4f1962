"""An epoch's positions, cut into batches of ranks.

::

    positions   0 ............ start ........................... end
                served before  | global batch | global batch | shared |

``world * batch_size`` consecutive positions are a global batch, and each rank takes its run of ``batch_size``
of them. Nothing but the place of the cuts depends on the batch size and the world, so an epoch may be cut
anew from any position on: the global batches that follow hold the clips that come next.

The end of an epoch. With ``drop_last`` an incomplete global batch is left out. Otherwise positions are added
until the world divides their number. The added positions show the first clips again and are marked as
padding: fewer than ``world``, none on a single rank. The last batch is shared equally, so all ranks have
equal numbers of batches of equal sizes.

Nine clips need a tenth position on two ranks:

>>> cut = Cut(9, 1, batch_size=3, world=2, drop_last=False)
>>> [cut.positions(0, cut.rows, rank).tolist() for rank in (0, 1)]
[[0, 1, 2, 6, 7], [3, 4, 5, 8, 9]]

The same from the fourth position on, as three ranks continue it:

>>> cut = Cut(9, 1, batch_size=1, world=3, drop_last=False, start=4)
>>> [cut.positions(0, cut.rows, rank).tolist() for rank in (0, 1, 2)]
[[4, 7], [5, 8], [6, 9]]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import checked_int

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

__all__ = ["Cut"]


class Cut(NamedTuple):
    """How an epoch is cut into batches, equally many and of equal sizes on each rank.

    Parameters
    ----------
    clips : int
        Clips of the epoch, a multiple of `draws_per_clip`.
    draws_per_clip : int
        Consecutive positions that stay in one batch; divides `batch_size` and `start`.
    batch_size, world : int
        Clips in a batch of each rank, and number of ranks.
    drop_last : bool
        Whether an incomplete global batch at the end is left out.
    start : int
        The first position, at most `clips`.
    """

    clips: int
    draws_per_clip: int
    batch_size: int
    world: int
    drop_last: bool
    start: int = 0

    def checked(self) -> Self:
        """Return this cut; raise OptionError if it has no batch."""
        if not self.batches:
            raise OptionError(
                f"drop_last=True leaves no batch: {self.clips} clips are fewer than the "
                f"{self.world * self.batch_size} of one batch of all ranks (batch_size={self.batch_size}, "
                f"world={self.world}); lower batch_size, or keep the last batch with drop_last=False"
            )
        return self

    def begun_at(self, position: object) -> Self:
        """Return the cut from a position on.

        Raises
        ------
        OptionError
            If the epoch has no such position, or it is within the draws of a clip.
        """
        start = checked_int(position, "position", 0, self.clips + 1)
        if start % self.draws_per_clip:
            raise OptionError(
                f"position={start}: must be a multiple of draws_per_clip={self.draws_per_clip}, since all "
                "draws of a clip are in one batch"
            )
        return self._replace(start=start)

    @property
    def rows(self) -> int:
        """Clips in all batches of a rank, padding included."""
        left = self.clips - self.start
        if self.drop_last:
            return left // (self.world * self.batch_size) * self.batch_size
        return -(-(left // self.draws_per_clip) // self.world) * self.draws_per_clip

    @property
    def batches(self) -> int:
        """Batches of each rank."""
        return -(-self.rows // self.batch_size)

    def positions(self, first: int, end: int, rank: int) -> NDArray[np.int64]:
        """Return the positions of some consecutive rows of a rank, numbered over its batches."""
        served = np.arange(first, end)
        if self.world > 1:
            batch, row = np.divmod(served, self.batch_size)
            size = np.minimum(self.batch_size, self.rows - batch * self.batch_size)
            served = batch * self.batch_size * self.world + rank * size + row
        return served + self.start
