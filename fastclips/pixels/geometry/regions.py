"""The part of a frame that a geometry map reads: nothing else need be decoded.

A *source* is a box of whole pixels of the frame, and depends on the map alone: on every rung of decoding, the
same pixels are resampled in the same way. A warp's interpolation rounds positions counted from the corner of
its input, so its input must be exactly its source.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastclips.pixels.geometry.affine import Axis, Geometry

__all__ = ["Source", "find_source", "localize"]


class Source(NamedTuple):
    """A box of a frame, not empty.

    Parameters
    ----------
    top, left, bottom, right : int
        Edges in pixels of the frame: multiples of the map's scale, or the frame's own edges.
    """

    top: int
    left: int
    bottom: int
    right: int


def find_source(geometry: Geometry, height: int, width: int, fill: str) -> Source:
    """Find the part of a frame that a map reads.

    Parameters
    ----------
    geometry : Geometry
        The map, settled.
    height, width : int
        Size of the frame in pixels.
    fill : {"nearest", "constant", "reflect", "wrap"}
        Pixels outside the frame.

    Returns
    -------
    Source
        For a map without a warp, its box. For a warp, all pixels that it may interpolate between; with
        ``"reflect"`` or ``"wrap"``, the whole length of an axis whose ends it crosses.
    """
    if geometry.warp is None:
        top, bottom = map(int, geometry.y.box)
        left, right = map(int, geometry.x.box)
        return Source(top, left, bottom, right)
    tall, wide = geometry.y.size, geometry.x.size
    (top, bottom), (left, right) = (
        _reach(
            offset + min(down * tall, 0.0) + min(across * wide, 0.0),
            offset + max(down * tall, 0.0) + max(across * wide, 0.0),
            size,
            geometry.scale,
            reenters=fill in {"reflect", "wrap"},
        )
        for (down, across, offset), size in zip(geometry.matrix.tolist(), (height, width), strict=True)
    )
    return Source(top, left, bottom, right)


def localize(geometry: Geometry, top: int, left: int, scale: int) -> Geometry:
    """Return the same map, from output pixels to the pixels of a decoded part of the frame.

    Parameters
    ----------
    geometry : Geometry
        The map to the whole frame, settled.
    top, left : int
        Position of the first decoded pixel in the scaled frame.
    scale : int
        The frame was decoded at 1 / `scale` of its size.

    Returns
    -------
    Geometry
        Exact, since scales are powers of 2.
    """
    if scale == 1 and top == left == 0:
        return geometry

    def localized(axis: Axis, first: int) -> Axis:
        return axis._replace(start=axis.start / scale - first, stop=axis.stop / scale - first)

    if geometry.warp is None:
        return geometry._replace(y=localized(geometry.y, top), x=localized(geometry.x, left))
    rows, columns = (
        (down / scale, across / scale, offset / scale - first)
        for (down, across, offset), first in zip(geometry.warp, (top, left), strict=True)
    )
    return geometry._replace(warp=(rows, columns))


def _reach(low: float, high: float, size: int, scale: int, *, reenters: bool) -> tuple[int, int]:
    """Return the edges of the pixels of an axis that positions from `low` to `high` may need.

    With `reenters`, positions outside the frame read pixels from anywhere on the axis.
    """
    first, last = (math.floor(low / scale) - 1) * scale, (math.ceil(high / scale) + 1) * scale
    if reenters and (first < 0 or last > size):
        return 0, size
    first = min(max(first, 0), (size - 1) // scale * scale)
    return first, min(max(last, first + scale), size)
