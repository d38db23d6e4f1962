"""Where each pixel of the output lies in the frame: the map that a recipe composes.

Two axes that never mix, each an even run from one edge of the source to another, so that crops, scales and
mirrors compose in closed form and a pixel is resampled at most once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

__all__ = ["Axis", "Geometry"]


@dataclass(frozen=True)
class Axis:
    """One axis of a map: `size` output pixels that run from one source edge to another, evenly.

    Edges, unlike centres, are whole numbers where nothing is resampled. Running backwards mirrors.
    """

    size: int
    start: float
    stop: float

    @classmethod
    def whole(cls, size: int) -> Axis:
        """Return the map of a frame onto itself."""
        return cls(size, 0.0, float(size))

    @property
    def scale(self) -> float:
        """Source pixels per output pixel; negative if mirrored."""
        return (self.stop - self.start) / self.size

    @property
    def box(self) -> tuple[float, float]:
        """First and last edge of the source that the output covers."""
        return min(self.start, self.stop), max(self.start, self.stop)

    @property
    def is_exact(self) -> bool:
        """Whether every output pixel is one source pixel."""
        return abs(self.stop - self.start) == self.size and self.start.is_integer()

    def crop(self, first: int, size: int) -> Axis:
        """Keep `size` output pixels from `first` on."""
        return Axis(size, self.start + self.scale * first, self.start + self.scale * (first + size))

    def resize(self, size: int) -> Axis:
        """Stretch to `size` output pixels."""
        return replace(self, size=size)

    def mirror(self) -> Axis:
        """Run the other way."""
        return Axis(self.size, self.stop, self.start)

    def snap(self) -> Axis:
        """Move the edges to the nearest whole pixels, one apart at least."""
        low, high = (math.floor(edge + 0.5) for edge in self.box)
        if low == high:
            low = math.floor(sum(self.box) / 2)  # within the frame, as its middle is
            high = low + 1
        edges = (float(low), float(high)) if self.start < self.stop else (float(high), float(low))
        return Axis(self.size, *edges)


@dataclass(frozen=True)
class Geometry:
    """The map of one clip from output pixels to a frame's.

    Parameters
    ----------
    y, x : Axis
        The two axes; they never mix.
    """

    y: Axis
    x: Axis

    @property
    def is_crop(self) -> bool:
        """Whether the map is a crop, mirrored or not, that needs no resampling."""
        return self.y.is_exact and self.x.is_exact

    @property
    def flip(self) -> bool:
        """Whether left and right change places."""
        return self.x.start > self.x.stop
