"""Motion between two frames, by OpenCV: optical flow as colours, differences, and either as a mask.

Frames are (H, W, C), RGB or gray, on the scale of bytes, and so is what comes of them, (H, W, C) float32::

    flow        the hue says where a pixel moved, the brightness how far, from the least to the farthest
    difference  how much the gray value changed
    either as a mask    over 255, blurred, times the mean of the two frames

The flow is that of G. Farneback, "Two-Frame Motion Estimation Based on Polynomial Expansion" (2003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DIFFERENCE", "DIFFERENCE_MASK", "FLOW", "FLOW_MASK", "Motion", "to_gray"]

FLOW, FLOW_MASK, DIFFERENCE_MASK, DIFFERENCE = 1, 2, 3, 4
_BLUR = (15, 15)  # pixels: the window of the Gaussian by which masks are blurred
_PYRAMID = 0.5  # each level of the pyramid to the one below it
_NEIGHBOURS, _SIGMA = 5, 1.1  # pixels: of the polynomial expansion


@dataclass(frozen=True)
class Motion:
    """What is shown of the motion between two frames.

    Parameters
    ----------
    method : {FLOW, FLOW_MASK, DIFFERENCE_MASK, DIFFERENCE}
        See the module's documentation.
    levels : int
        Of Farneback's pyramid.
    iterations : int
        On each level.
    window : int
        Pixels over which the flow is averaged.
    """

    method: int
    levels: int = 3
    iterations: int = 3
    window: int = 15

    def between(self, before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float32]:
        """Show the motion.

        Parameters
        ----------
        before, after : ndarray of uint8 or float32, (H, W, C)
            Two frames, from 0 to 255.

        Returns
        -------
        ndarray of float32, (H, W, C)
            From 0 to 255.
        """
        show = self._flow if self.method in (FLOW, FLOW_MASK) else _difference
        shown = show(before, after)
        if self.method in (FLOW, DIFFERENCE):
            return shown
        mask = cv2.GaussianBlur(shown / np.float32(255), _BLUR, 0).reshape(shown.shape)
        mean = (before.astype(np.float32) + after.astype(np.float32)) / 2
        return np.asarray(mean * mask, np.float32)

    def _flow(self, before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float32]:
        first, second = (_bytes(to_gray(frame)) for frame in (before, after))
        if np.array_equal(first, second):
            return np.zeros(before.shape, np.float32)  # else errors at the borders would show as motion
        flow = cv2.calcOpticalFlowFarneback(
            first,
            second,
            None,
            _PYRAMID,
            self.levels,
            self.window,
            self.iterations,
            _NEIGHBOURS,
            _SIGMA,
            0,
        )
        length, angle = cv2.cartToPolar(flow[..., 0], flow[..., 1])
        hsv = np.full((*length.shape, 3), 255, np.uint8)
        hsv[..., 0] = angle * (90 / np.pi)  # OpenCV's bytes hold half a hue's degrees
        hsv[..., 2] = cv2.normalize(length, None, 0, 255, cv2.NORM_MINMAX)
        colours = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
        return np.asarray(to_gray(colours) if before.shape[2] == 1 else colours, np.float32)


def to_gray(frame: NDArray[Any]) -> NDArray[Any]:
    """Return a frame's gray values, by OpenCV's weights: 0.299 red, 0.587 green, 0.114 blue.

    Parameters
    ----------
    frame : ndarray of uint8 or float32, (H, W, C)
        RGB, or gray already.

    Returns
    -------
    ndarray, (H, W, 1)
        Of the same type.
    """
    gray: NDArray[Any] = frame if frame.shape[2] == 1 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None]
    return gray


def _difference(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float32]:
    grays = [to_gray(frame.astype(np.float32)) for frame in (before, after)]
    difference = np.abs(grays[1] - grays[0])
    return np.ascontiguousarray(np.broadcast_to(difference, before.shape))


def _bytes(gray: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a frame as Farneback's method wants it."""
    return gray if gray.dtype == np.uint8 else np.clip(np.rint(gray), 0, 255).astype(np.uint8)
