"""What of a frame a geometry map reads, so that nothing else need be decoded.

A *source* is a box of whole pixels of the frame and the scale at which they are decoded, both functions of
the map alone: whichever way a decoder takes to these pixels, the same ones are resampled.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastclips.pixels.geometry import Axis, Geometry

__all__ = ["Source", "find_source"]

_MARGIN = 1  # pixels: interpolation between centres, and rounding


class Source(NamedTuple):
    """A part of a frame.

    Parameters
    ----------
    top, left, bottom, right : int
        Its edges in pixels of the frame, not empty.
    scale : int
        What the decoder divides both sides by: 1, 2, 4 or 8. The edges are multiples of it, but for the
        frame's own.
    """

    top: int
    left: int
    bottom: int
    right: int
    scale: int = 1

    def localize(self, geometry: Geometry, top: int = 0, left: int = 0) -> Geometry:
        """Return a map of the same output from pixels that were decoded.

        Parameters
        ----------
        geometry : Geometry
            The map from the frame.
        top, left : int
            Where the first of the pixels lies in the frame, in pixels as decoded.

        Returns
        -------
        Geometry
            In pixels as decoded.
        """
        scale = self.scale
        if scale == 1 and top == left == 0:
            return geometry

        def moved(axis: Axis, by: int) -> Axis:
            return replace(axis, start=axis.start / scale - by, stop=axis.stop / scale - by)

        if geometry.warp is None:
            return replace(geometry, y=moved(geometry.y, top), x=moved(geometry.x, left))
        rows, columns = (
            (down / scale, across / scale, offset / scale - by)
            for (down, across, offset), by in zip(geometry.warp, (top, left), strict=True)
        )
        return replace(geometry, warp=(rows, columns))


def find_source(geometry: Geometry, height: int, width: int, fill: str) -> Source:
    """Find what of a frame a map reads.

    Parameters
    ----------
    geometry : Geometry
        The map, settled.
    height, width : int
        Size of the frame in pixels.
    fill : {"nearest", "constant", "reflect", "wrap"}
        What lies beyond the frame.

    Returns
    -------
    Source
        Of a map without a warp, its box. Of a warp, all pixels that it may interpolate between; with
        ``"reflect"`` and ``"wrap"`` the whole of an axis beyond which it reads.
    """
    if geometry.warp is None:
        top, bottom = map(int, geometry.y.box)
        left, right = map(int, geometry.x.box)
        return Source(top, left, bottom, right, geometry.scale)
    ends = geometry.matrix @ [
        [0.0, 0.0, geometry.y.size, geometry.y.size],
        [0.0, geometry.x.size, 0.0, geometry.x.size],
        [1.0, 1.0, 1.0, 1.0],
    ]
    (top, bottom), (left, right) = (
        _reach(row.min(), row.max(), size, turns_back=fill in {"reflect", "wrap"})
        for row, size in zip(ends, (height, width), strict=True)
    )
    return Source(top, left, bottom, right)


def _reach(low: float, high: float, size: int, *, turns_back: bool) -> tuple[int, int]:
    """Return the first and the last edge of the pixels of an axis that positions between two may need."""
    first, last = math.floor(low) - _MARGIN, math.ceil(high) + _MARGIN
    if turns_back and (first < 0 or last > size):
        return 0, size
    first = min(max(first, 0), size - 1)
    return first, max(min(last, size), first + 1)
