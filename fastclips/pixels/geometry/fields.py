"""Place frames of numbers in the batch, through the geometry map: depth by nearest neighbour, flow linearly.

A flow is a displacement in pixels of its own frame. The map leads from output pixels to the frame, so the
inverse of its linear part turns displacements in the frame into displacements in the output: mirroring
changes signs, scaling changes lengths, rotation turns. Where the border rule reflects the frame, it reflects
the displacement too.

All is computed element by element in float32, so the bits are the same on every CPU. Positions are those of
`resample`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastclips.pixels.geometry.resample import apply_border, find_sources, positions

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastclips.pixels.geometry.affine import Geometry

    Place: TypeAlias = Callable[[NDArray[Any], NDArray[Any]], None]

__all__ = ["make_field_placer"]

_DIGITS = 7  # after the point of a position: where nothing is resampled, positions are whole numbers


def make_field_placer(
    geometry: Geometry, size: tuple[int, int], fill: str, *, vectors: bool, channels_first: bool = False
) -> Place:
    """Return a function that places frames of one size in the batch.

    Parameters
    ----------
    geometry : Geometry
        The map, settled, to whole frames.
    size : (int, int)
        Height and width of the frames.
    fill : {"nearest", "constant", "reflect", "wrap"}
        Pixels outside the frame; ``"constant"`` does the same as ``"nearest"`` here.
    vectors : bool
        Whether frames are flow, (H, W, 2) float32, x before y, instead of depth, (H, W, 1) of any type.
    channels_first : bool
        Whether the output is (C, h, w).

    Returns
    -------
    callable
        ``place(frame, output)``: the output has the frame's type.
    """
    look_up = _interpolator(geometry, size, fill) if vectors else _picker(geometry, size, fill)

    def place(frame: NDArray[Any], output: NDArray[Any]) -> None:
        target = np.moveaxis(output, 0, -1) if channels_first else output
        target[...] = look_up(frame)

    return place


def _picker(geometry: Geometry, size: tuple[int, int], fill: str) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return a function that takes the nearest pixel."""
    sources = find_sources(geometry, *size, fill)
    return lambda frame: frame.reshape(-1, frame.shape[2])[sources]


def _interpolator(
    geometry: Geometry, size: tuple[int, int], fill: str
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return a function that interpolates flow and maps its displacements."""
    indices, shares, signs = [], [], []
    axes = zip(positions(geometry), size, (geometry.y, geometry.x), strict=True)
    for centers, length, axis in axes:
        low, high = (0, length) if geometry.warp is not None else map(int, axis.box)
        at = np.round(centers - 0.5, _DIGITS)
        first = np.floor(at)
        share = (at - first).astype(np.float32)
        near = first.astype(np.intp)
        rule = "nearest" if geometry.warp is None else fill
        indices.append([apply_border(near + step - low, high - low, rule) + low for step in (0, 1)])
        shares.append(share[..., None])
        turned = np.floor(centers).astype(np.intp) // length % 2 if rule == "reflect" else np.zeros((), int)
        signs.append((1 - 2 * turned).astype(np.float32))
    (top, bottom), (left, right) = indices
    down, across = shares
    inverse = _inverse(geometry.matrix[:, :2].tolist())

    def look_up(frame: NDArray[Any]) -> NDArray[Any]:
        upper = frame[top, left] * (1 - across) + frame[top, right] * across
        lower = frame[bottom, left] * (1 - across) + frame[bottom, right] * across
        flow = upper * (1 - down) + lower * down
        x, y = flow[..., 0] * signs[1], flow[..., 1] * signs[0]
        return np.stack([inverse[1, 1] * x + inverse[1, 0] * y, inverse[0, 0] * y + inverse[0, 1] * x], -1)

    return look_up


def _inverse(matrix: list[list[float]]) -> NDArray[np.float32]:
    """Return the inverse of a matrix, (2, 2); LAPACK's last bits depend on the CPU.

    A zero has the sign of the other number of its row, as LAPACK's has: it shows in displacements of 0.
    """
    (a, b), (c, d) = matrix
    area = a * d - b * c
    first, last = d / area, a / area
    rows = [[first, -b / area or math.copysign(0.0, first)], [-c / area or math.copysign(0.0, last), last]]
    return np.array(rows, np.float32)
