"""Resample pixels by a geometry map that is no plain crop.

Pixel centres lie at halves: ``source = map(output + 0.5) - 0.5``. Pictures are interpolated bilinearly
between the four pixels around that position; masks take the pixel in which the position lies. Neither is
smoothed before it shrinks, as in TensorFlow and OpenCV; a JPEG that shrinks by 2 or more is decoded at a DCT
scale.

A settled map without a warp has a box of whole source pixels: a view of the frame, which is stretched
(`resample`), clamped at the box's edges. The kernel makes the pixels of `cv2.resize`, and also takes rows as
they are decoded (`Decoder.decode_crops`). Maps that rotate, shear or leave the frame take several times as
long. Their kernel (`warp`) has pixels of its own, since those of `cv2.warpAffine` differ between CPUs, and by
up to 5 between versions of OpenCV. Masks are picked by our own indices (`find_sources`, `pick`).

The border rule sets the pixels outside the frame, before interpolation. With ``"constant"``, pictures are
made as with ``"nearest"``, and the pixels outside are overwritten later in the batch's own unit
(`placing.Hole`), so that no value blends the picture with the fill.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from fastclips._native import POINT_BITS, Fill, Method, stretch
from fastclips._native import shrink as shrink_pixels
from fastclips._native import warp as warp_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastclips.pixels.geometry.affine import Geometry

__all__ = [
    "apply_border",
    "find_outside",
    "find_sources",
    "fixed_map",
    "pick",
    "positions",
    "resample",
    "shrink",
    "use_one_thread",
    "warp",
]

_FILLS = {"nearest": Fill.NEAREST, "constant": Fill.NEAREST, "reflect": Fill.REFLECT, "wrap": Fill.WRAP}
_FARTHEST = 2**60  # of a position in the kernel's unit; sums of three stay within 64 bits
_ROUNDING = 1e-9  # pixels: decides ties, in the same way on every CPU


def use_one_thread() -> None:
    """Keep OpenCV from starting threads in this process; the workers run in parallel already."""
    cv2.setNumThreads(1)


def resample(pixels: NDArray[np.uint8], geometry: Geometry, *, nearest: bool, out: NDArray[np.uint8]) -> None:
    """Stretch the map's box of a frame, mirrored as the map says.

    Parameters
    ----------
    pixels : ndarray of uint8
        A frame, (H, W, C) or (H, W), the pixels of a row together.
    geometry : Geometry
        The map, without a warp.
    nearest : bool
        Whether to take the nearest pixel instead of interpolating.
    out : ndarray of uint8
        Receives the result, of the map's size: (h, w, C) or (h, w), C-contiguous, as `pixels`.
    """
    top, bottom = map(int, geometry.y.box)
    left, right = map(int, geometry.x.box)
    box = pixels[top:bottom, left:right]
    if box.ndim == 2:  # noqa: PLR2004 - height and width
        box, out = box[:, :, None], out[:, :, None]
    stretch(box, geometry.flip, geometry.flip_vertical, Method.NEAREST if nearest else Method.LINEAR, out)


def shrink(pixels: NDArray[np.uint8], height: int, width: int, *, nearest: bool) -> NDArray[np.uint8]:
    """Make a frame smaller, for a pack: each pixel becomes the mean of the area that it covers.

    Parameters
    ----------
    pixels : ndarray of uint8
        A frame, (H, W, C) or (H, W).
    height, width : int
        Size of the result, at most that of the frame.
    nearest : bool
        Whether to take the nearest pixel instead.

    Returns
    -------
    ndarray of uint8
        (height, width, C) or (height, width).
    """
    if nearest:
        rows, columns = _nearest(pixels.shape[0], height), _nearest(pixels.shape[1], width)
        return pixels[rows[:, None], columns]
    small = np.empty((height, width, *pixels.shape[2:]), np.uint8)
    shrink_pixels(np.atleast_3d(pixels), np.atleast_3d(small))
    return small


def warp(pixels: NDArray[np.uint8], geometry: Geometry, fill: str, out: NDArray[np.uint8]) -> None:
    """Resample a picture by a map, bilinearly.

    Parameters
    ----------
    pixels : ndarray of uint8
        A frame, (H, W, C), C = 1 or 3, the pixels of a row together.
    geometry : Geometry
        The map, settled.
    fill : {"nearest", "constant", "reflect", "wrap"}
        Pixels outside the frame; ``"constant"`` does the same as ``"nearest"`` here.
    out : ndarray of uint8
        Receives the result, of the map's size: (h, w, C), C-contiguous.
    """
    warp_pixels(pixels, *fixed_map(geometry, fill), out)


def fixed_map(geometry: Geometry, fill: str) -> tuple[tuple[int, int, int], tuple[int, int, int], Fill]:
    """Return a map as the kernel of `warp` takes it: the lines of row and column, and the border rule."""
    height, width = geometry.y.size, geometry.x.size
    row, column = (
        (
            _fixed(down, _FARTHEST // height),
            _fixed(across, _FARTHEST // width),
            _fixed(offset + (down + across) / 2 - 0.5, _FARTHEST),  # from edges to centres
        )
        for down, across, offset in geometry.matrix.tolist()
    )
    return row, column, _FILLS[fill]


def _fixed(value: float, most: int) -> int:
    """Return a length as the kernel takes it; a map that is steeper than `most` shows the border alone."""
    return min(max(round(value * 2.0**POINT_BITS), -most), most)


def find_outside(geometry: Geometry, height: int, width: int) -> NDArray[np.bool_]:
    """Return which pixels of the output have their centres outside a frame of a size: bool, (h, w)."""
    rows, columns = positions(geometry)
    return np.asarray((rows < 0) | (rows >= height) | (columns < 0) | (columns >= width))


def find_sources(geometry: Geometry, height: int, width: int, fill: str) -> NDArray[np.intp]:
    """Return the nearest pixel of the frame for each pixel of the output.

    Parameters
    ----------
    geometry : Geometry
        The map.
    height, width : int
        Size of the frame in pixels.
    fill : {"nearest", "constant", "reflect", "wrap"}
        Pixels outside the frame; ``"constant"`` does the same as ``"nearest"`` here.

    Returns
    -------
    ndarray of intp, (h, w)
        Flat indices: row times `width` plus column.
    """
    rows, columns = (
        apply_border(np.floor(centers).astype(np.intp), size, fill)
        for centers, size in zip(positions(geometry), (height, width), strict=True)
    )
    return np.asarray(rows * width + columns)


def pick(pixels: NDArray[np.uint8], sources: NDArray[np.intp], out: NDArray[np.uint8]) -> None:
    """Copy the pixels of a mask, (H, W), at the indices from `find_sources` to `out`, (h, w)."""
    np.take(pixels.reshape(-1), sources, out=out, mode="clip")


def _nearest(size: int, count: int) -> NDArray[np.intp]:
    """Return the indices that shrink or stretch `size` pixels to `count`; exact, unlike OpenCV's at ties."""
    return (2 * np.arange(count) + 1) * size // (2 * count)


def positions(geometry: Geometry) -> list[NDArray[Any]]:
    """Return row and column of each output pixel's centre, in edge coordinates of the frame.

    Two arrays of float64 that broadcast to (h, w).
    """
    down = np.arange(geometry.y.size)[:, None] + 0.5
    across = np.arange(geometry.x.size) + 0.5
    return [
        by_row * down + (by_column * across + (offset + _ROUNDING))
        for by_row, by_column, offset in geometry.matrix.tolist()
    ]


def apply_border(index: NDArray[np.intp], size: int, fill: str) -> NDArray[np.intp]:
    """Return indices of an axis, those outside replaced by the border rule."""
    if fill == "wrap":
        return np.asarray(index % size)
    if fill == "reflect":
        index = index % (2 * size)
        return np.minimum(index, 2 * size - 1 - index)
    return np.clip(index, 0, size - 1)
