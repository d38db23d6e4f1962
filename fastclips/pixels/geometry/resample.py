"""Pixels through a geometry map that is no plain crop; beside `filters` the only importer of OpenCV.

With pixel centres at halves, ``source = map(output + 0.5) - 0.5``. Pictures are interpolated bilinearly
between the four pixels around that position, masks take the nearest: the pixel in which it lies. Neither is
smoothed before it shrinks, as in TensorFlow and OpenCV; a JPEG that shrinks much comes here already smaller,
at a DCT scale.

A settled map without a warp has a box of whole source pixels, so that is a view of the frame and one call
stretches it (`resample`), clamped at the box's edges. `cv2.resize` does it in a fraction of the time that
`cv2.warpAffine` takes, whose pixels differ by as much as 5 between versions of OpenCV; so the latter is kept
for maps that turn or leave the frame (`warp`, `pick`). Masks are picked by indices of ours, which no version
changes.

Beyond the frame the border's rule stands for pixels, before interpolation. With ``"constant"`` pictures are
made as with ``"nearest"``, and whoever knows the unit of the batch fills what lies outside afterwards, so
that no value is a blend of the picture and what fills it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastclips.pixels.geometry.affine import Geometry

__all__ = ["find_outside", "find_sources", "pick", "resample", "shrink", "use_one_thread", "warp"]

_BORDERS = {
    "nearest": cv2.BORDER_REPLICATE,
    "constant": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
    "wrap": cv2.BORDER_WRAP,
}
_ROUNDING = 1e-9  # pixels: decides nothing but ties, and those alike everywhere


def use_one_thread() -> None:
    """Keep OpenCV from starting threads in this process: the workers are the parallelism."""
    cv2.setNumThreads(1)


def resample(pixels: NDArray[np.uint8], geometry: Geometry, *, nearest: bool, out: NDArray[np.uint8]) -> None:
    """Stretch the map's box of a frame, leaving out its mirroring.

    Parameters
    ----------
    pixels : ndarray of uint8
        A frame, (H, W, C) or (H, W).
    geometry : Geometry
        The map; only its box is used.
    nearest : bool
        Whether to take the nearest pixel instead of interpolating.
    out : ndarray of uint8
        Filled with the result, whose size it sets: (h, w, C) or (h, w), C-contiguous.
    """
    top, bottom = map(int, geometry.y.box)
    left, right = map(int, geometry.x.box)
    box = pixels[top:bottom, left:right]
    if nearest:
        rows, columns = (_nearest(*sizes) for sizes in zip(box.shape, out.shape, strict=False))
        np.take(np.take(box, rows, axis=0), columns, axis=1, out=out, mode="clip")
    else:
        cv2.resize(box, (out.shape[1], out.shape[0]), dst=out, interpolation=cv2.INTER_LINEAR)


def shrink(pixels: NDArray[np.uint8], height: int, width: int, *, nearest: bool) -> NDArray[np.uint8]:
    """Make a frame smaller for good: each pixel is the mean of the area that it covers, none is left out.

    Parameters
    ----------
    pixels : ndarray of uint8
        A frame, (H, W, C) or (H, W).
    height, width : int
        Of the result, at most those of the frame.
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
    made = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(made.reshape(height, width, *pixels.shape[2:]), np.uint8)


def warp(pixels: NDArray[np.uint8], geometry: Geometry, fill: str, out: NDArray[np.uint8]) -> None:
    """Take a picture through a map, bilinearly.

    Parameters
    ----------
    pixels : ndarray of uint8
        A frame, (H, W, C) or (H, W); the last axis is not of length 1.
    geometry : Geometry
        The map, settled.
    fill : {"nearest", "constant", "reflect", "wrap"}
        What lies beyond the frame; ``"constant"`` is as ``"nearest"`` here.
    out : ndarray of uint8
        Filled with the result, of the map's size: (h, w, C) or (h, w), C-contiguous.
    """
    matrix = geometry.matrix
    matrix[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5  # from edges to centres
    cv2.warpAffine(
        pixels,
        matrix[::-1, [1, 0, 2]],  # OpenCV's first axis is across
        (out.shape[1], out.shape[0]),
        dst=out,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=_BORDERS[fill],
    )


def find_outside(geometry: Geometry, height: int, width: int) -> NDArray[np.bool_]:
    """Say which pixels of the output lie outside the frame, by their centres.

    Parameters
    ----------
    geometry : Geometry
        The map.
    height, width : int
        Size of the frame in pixels.

    Returns
    -------
    ndarray of bool, (h, w)
        True outside.
    """
    rows, columns = _positions(geometry)
    return np.asarray((rows < 0) | (rows >= height) | (columns < 0) | (columns >= width))


def find_sources(geometry: Geometry, height: int, width: int, fill: str) -> NDArray[np.intp]:
    """Return which pixel of the frame each pixel of the output takes, if it takes the nearest.

    Parameters
    ----------
    geometry : Geometry
        The map.
    height, width : int
        Size of the frame in pixels.
    fill : {"nearest", "constant", "reflect", "wrap"}
        What lies beyond the frame; ``"constant"`` is as ``"nearest"`` here.

    Returns
    -------
    ndarray of intp, (h, w)
        Row times `width` plus column.
    """
    rows, columns = (
        _inside(np.floor(at).astype(np.intp), size, fill)
        for at, size in zip(_positions(geometry), (height, width), strict=True)
    )
    return np.asarray(rows * width + columns)


def pick(pixels: NDArray[np.uint8], sources: NDArray[np.intp], out: NDArray[np.uint8]) -> None:
    """Take the pixels of a mask, (H, W), that `find_sources` found, into `out`, (h, w)."""
    np.take(pixels.reshape(-1), sources, out=out, mode="clip")


def _nearest(size: int, taken: int) -> NDArray[np.intp]:
    """Return which of `size` pixels each of `taken` is, exactly; OpenCV errs where two are equally near."""
    return (2 * np.arange(taken) + 1) * size // (2 * taken)


def _positions(geometry: Geometry) -> list[NDArray[Any]]:
    """Return the row and the column, in the frame's edge coordinates, of each output pixel's centre."""
    down = np.arange(geometry.y.size)[:, None] + 0.5
    across = np.arange(geometry.x.size) + 0.5
    return [
        by_row * down + (by_column * across + (offset + _ROUNDING))
        for by_row, by_column, offset in geometry.matrix.tolist()
    ]


def _inside(index: NDArray[np.intp], size: int, fill: str) -> NDArray[np.intp]:
    if fill == "wrap":
        return np.asarray(index % size)
    if fill == "reflect":
        index = index % (2 * size)
        return np.minimum(index, 2 * size - 1 - index)
    return np.clip(index, 0, size - 1)
