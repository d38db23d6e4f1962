"""Clips in which a file that cannot be read is the frame before it again.

TimeDistributedImageDataGenerator 0.4 reads the clips of a batch in turn, each from its oldest frame to its
newest, into one variable. A file that cannot be read leaves there what was there, already standardised, and
it is standardised again. So what such a frame becomes depends on the files read before it in its batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastclips.compat._base.augmentation import PARAMETERS
from fastclips.compat.image.render import Renderer, file_of
from fastclips.compat.image.spec import FIELD, PictureSpec
from fastclips.errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Repeating", "RepeatingSpec"]


@dataclass(frozen=True)
class RepeatingSpec(PictureSpec):
    """As `PictureSpec`, for clips of which clip j shows the files j, j - 1, ... of all.

    Parameters
    ----------
    samples : int
        Clips, as many as files.
    batch_size : int
        Of them.
    seed : int or None
        From which their order comes; None: none was drawn.
    """

    samples: int = 0
    batch_size: int = 1
    seed: int | None = None
    renderer: ClassVar[str] = "fastclips.compat.image.repeating:Repeating"

    def before(self, epoch: int, sample: int) -> list[int]:
        """Return the files that are read before a sample's in its batch, in order."""
        order = np.arange(self.samples)
        if self.seed is not None:
            batches = -(-self.samples // self.batch_size)
            order = np.random.RandomState((self.seed + epoch * batches) % 2**32).permutation(self.samples)
        place = int(np.flatnonzero(order == sample)[0])
        others = order[place - place % self.batch_size : place]
        files = (others[:, None] - np.arange(self.time_steps)[::-1]) % self.samples
        return [int(file) for file in files.reshape(-1)]


class Repeating(Renderer):
    """Renders a sample; one with a file that cannot be read as the original did.

    Parameters
    ----------
    spec : RepeatingSpec
        What to do.
    single_threaded : bool
        As for `Renderer`.
    """

    _spec: RepeatingSpec

    def render(self, ticket: np.void, row: Mapping[str, NDArray[Any]], counters: NDArray[np.float64]) -> None:
        """Write a sample; see `Renderer.render`.

        Raises
        ------
        FrameError
            If a file cannot be read before which its batch has read none.
        """
        try:
            super().render(ticket, row, counters)
        except FrameError as error:
            self._repeat(ticket, row[FIELD], counters, error)

    def _repeat(
        self, ticket: np.void, out: NDArray[Any], counters: NDArray[np.float64], error: FrameError
    ) -> None:
        spec, width = self._spec, len(PARAMETERS) + 1
        files = spec.before(int(ticket["epoch"]), int(ticket["sample"]))
        numbers, draws = [file_of(number) for number in ticket["frames"].tolist()], ticket["draws"].tolist()
        for step in reversed(range(spec.time_steps)):
            files.append(numbers[step])
            first = step * width if spec.per_frame else 0
            again = self._last_readable(files, draws[first : first + width], out[step], counters)
            if again is None:
                raise FrameError(
                    f"{error}. With legacy=True the frame before is shown instead, but no file was read "
                    "before this one in its batch"
                )
            for _ in range(again):
                out[step] = spec.standardization.apply(out[step].copy(), draws[first + width - 1])

    def _last_readable(
        self, files: list[int], vector: list[float], out: NDArray[Any], counters: NDArray[np.float64]
    ) -> int | None:
        """Write the last file that can be read; return how many after it cannot."""
        for again, number in enumerate(reversed(files)):
            try:
                self._frame(number, None, vector, out, counters)
            except FrameError:
                continue
            return again
        return None
