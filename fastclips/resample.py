"""Pixels through a geometry map that is no plain crop; the only importer of OpenCV.

Positions follow one rule, with pixel centres at halves: ``source = scale * (output + 0.5) + offset - 0.5``,
clamped at the frame's edge. Pictures are interpolated bilinearly between the four pixels around it, masks
take the nearest. Neither is smoothed before it shrinks, as in TensorFlow and OpenCV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastclips.transforms import Axis, Geometry

__all__ = ["resample"]

cv2.setNumThreads(1)  # the workers are the parallelism


def resample(pixels: NDArray[np.uint8], geometry: Geometry, *, nearest: bool) -> NDArray[np.uint8]:
    """Sample a frame at the positions of a map, leaving out its mirroring.

    Parameters
    ----------
    pixels : ndarray of uint8
        A frame, (H, W, C) or (H, W).
    geometry : Geometry
        The map; only its box and size are used.
    nearest : bool
        Whether to take the nearest pixel instead of interpolating.

    Returns
    -------
    ndarray of uint8
        (h, w, C) or (h, w), C-contiguous.
    """
    if nearest:
        rows = _nearest(geometry.y, pixels.shape[0])
        columns = _nearest(geometry.x, pixels.shape[1])
        return pixels[rows[:, None], columns]
    y, x = abs(geometry.y.scale), abs(geometry.x.scale)
    centres = np.array(
        [
            [x, 0.0, geometry.x.box[0] + x / 2 - 0.5],
            [0.0, y, geometry.y.box[0] + y / 2 - 0.5],
        ]
    )
    return cast(
        "NDArray[np.uint8]",
        cv2.warpAffine(
            pixels,
            centres,
            (geometry.x.size, geometry.y.size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
    )


def _nearest(axis: Axis, size: int) -> NDArray[np.intp]:
    positions = np.floor((np.arange(axis.size) + 0.5) * abs(axis.scale) + axis.box[0])
    clipped: NDArray[np.intp] = np.clip(positions, 0, size - 1).astype(np.intp)
    return clipped
