"""What of a frame a geometry map reads, so that nothing else need be decoded.

A *source* is a box of whole pixels of the frame, a function of the map alone: whichever way a decoder takes
to these pixels, the same ones are resampled, and in the same way. Interpolation of a warp rounds positions
that it counts from the corner of what it gets, so a warp gets its source and no pixel more.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastclips.pixels.geometry.affine import Axis, Geometry

__all__ = ["Source", "find_source", "localize"]


class Source(NamedTuple):
    """A part of a frame, not empty.

    Parameters
    ----------
    top, left, bottom, right : int
        Its edges in pixels of the frame: multiples of the map's scale, or the frame's own edges.
    """

    top: int
    left: int
    bottom: int
    right: int


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
        return Source(top, left, bottom, right)
    tall, wide = geometry.y.size, geometry.x.size
    corners = geometry.matrix @ [[0.0, 0.0, tall, tall], [0.0, wide, 0.0, wide], [1.0, 1.0, 1.0, 1.0]]
    (top, bottom), (left, right) = (
        _reach(row.min(), row.max(), size, geometry.scale, turns_back=fill in {"reflect", "wrap"})
        for row, size in zip(corners, (height, width), strict=True)
    )
    return Source(top, left, bottom, right)


def localize(geometry: Geometry, top: int, left: int, scale: int) -> Geometry:
    """Return the same map, from pixels that were decoded.

    Parameters
    ----------
    geometry : Geometry
        The map from the frame, settled.
    top, left : int
        Where the first of the pixels lies in the frame at that scale.
    scale : int
        At which part of its size, 1 / `scale`, the frame was decoded.

    Returns
    -------
    Geometry
        Exact, since all this divides by powers of 2.
    """
    if scale == 1 and top == left == 0:
        return geometry

    def moved(axis: Axis, by: int) -> Axis:
        return axis._replace(start=axis.start / scale - by, stop=axis.stop / scale - by)

    if geometry.warp is None:
        return geometry._replace(y=moved(geometry.y, top), x=moved(geometry.x, left))
    rows, columns = (
        (down / scale, across / scale, offset / scale - by)
        for (down, across, offset), by in zip(geometry.warp, (top, left), strict=True)
    )
    return geometry._replace(warp=(rows, columns))


def _reach(low: float, high: float, size: int, step: int, *, turns_back: bool) -> tuple[int, int]:
    """Return the edges of the pixels of an axis that positions from `low` to `high` may need."""
    first, last = (math.floor(low / step) - 1) * step, (math.ceil(high / step) + 1) * step
    if turns_back and (first < 0 or last > size):
        return 0, size
    first = min(max(first, 0), (size - 1) // step * step)
    return first, min(max(last, first + step), size)
