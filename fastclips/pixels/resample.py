"""Pixels through a geometry map that is no plain crop; beside `filters` the only importer of OpenCV.

The map's box is whole source pixels (`Recipe.geometry` sees to that), so it is a view of the frame and one
call stretches it. With pixel centres at halves, ``source = scale * (output + 0.5) - 0.5`` within the box,
clamped at its edges. Pictures are interpolated bilinearly between the four pixels around that position,
masks take the nearest. Neither is smoothed before it shrinks, as in TensorFlow and OpenCV.

`cv2.resize` rather than `cv2.warpAffine`, which takes three times as long and whose pixels differ by as
much as 5 between versions of OpenCV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastclips.pixels.transforms import Geometry

__all__ = ["resample", "use_one_thread"]


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


def _nearest(size: int, taken: int) -> NDArray[np.intp]:
    """Return which of `size` pixels each of `taken` is, exactly; OpenCV errs where two are equally near."""
    return (2 * np.arange(taken) + 1) * size // (2 * taken)
