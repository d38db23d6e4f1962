"""Clips in which a file that cannot be read is replaced by the frame before it.

TimeDistributedImageDataGenerator 0.4 reads the clips of a batch one after the other, each from its oldest
frame to its newest, into one variable. If a file cannot be read, the variable keeps the frame before, which
is already standardised, and it is standardised again. So the replacement depends on the files that were read
before in the same batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastclips.compat.image.render import Renderer
from fastclips.compat.image.spec import FIELD, PictureSpec
from fastclips.errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.engine.rendering import Meter

__all__ = ["Repeating", "RepeatingSpec"]


@dataclass(frozen=True)
class RepeatingSpec(PictureSpec):
    """As `PictureSpec`, for flat clips: clip j shows the files j, j - 1, ... of all.

    Parameters
    ----------
    samples : int
        Number of clips, and of files.
    batch_size : int
        Clips in a batch.
    seed : int or None
        Seed of the order of clips; None without shuffling.
    """

    samples: int = 0
    batch_size: int = 1
    seed: int | None = None
    renderer: ClassVar[str] = "fastclips.compat.image.repeating:Repeating"

    def before(self, epoch: int, sample: int) -> list[int]:
        """Return the files that are read before those of a sample in its batch, in order."""
        order = np.arange(self.samples)
        if self.seed is not None:
            batches = -(-self.samples // self.batch_size)
            order = np.random.RandomState((self.seed + epoch * batches) % 2**32).permutation(self.samples)
        place = int(np.flatnonzero(order == sample)[0])
        others = order[place - place % self.batch_size : place]
        steps = np.arange(self.ticket_dtype["frames"].shape[0])[::-1]
        return [int(file) for file in ((others[:, None] - steps) % self.samples).reshape(-1)]


class Repeating(Renderer):
    """Renders a sample, and replaces frames that cannot be read, as the original did."""

    _spec: RepeatingSpec

    def write(self, ticket: np.void, row: Mapping[str, NDArray[Any]], meter: Meter) -> int:
        """Write a sample; see `Renderer.write`.

        Raises
        ------
        FrameError
            If a file cannot be read and none was read before it in its batch.
        """
        try:
            return super().write(ticket, row, meter)
        except FrameError as error:
            return self._repeat(ticket, row[FIELD], meter, error)

    def _repeat(self, ticket: np.void, out: NDArray[Any], meter: Meter, error: FrameError) -> int:
        spec = self._spec
        files = spec.before(int(ticket["epoch"]), int(ticket["sample"]))
        numbers, draws = ticket["frames"].tolist(), ticket["draws"].tolist()
        for step in reversed(range(len(numbers))):
            files.append(numbers[step])
            vector, draw = spec.draws.of_frame(draws, step)
            again = self._last_readable(files, vector, draw, out[step], meter)
            if again is None:
                raise FrameError(
                    f"{error}. With legacy=True, the frame before is shown instead, but no file was read "
                    "before this one in its batch",
                    path=error.path,
                    reason=error.reason,
                )
            for _ in range(again):
                out[step] = spec.standardization.apply(out[step].copy(), draw)
        return len(numbers)

    def _last_readable(
        self, files: list[int], vector: Sequence[float], draw: float, out: NDArray[Any], meter: Meter
    ) -> int | None:
        """Write the last file that can be read; return how many files after it cannot."""
        for again, number in enumerate(reversed(files)):
            try:
                self._frame(number, None, vector, draw, out, meter)
            except FrameError:
                continue
            return again
        return None
