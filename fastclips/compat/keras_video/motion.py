"""Motion between two frames, by OpenCV: optical flow as colours, differences, and either as a mask.

Frames are (H, W, C), RGB or gray, from 0 to 255, and so are pictures of motion, (H, W, C) float32::

    flow        the hue is the direction in which a pixel moved, the brightness how far, relative to all
    others difference  absolute change of the gray value either as a mask    divided by 255, blurred, times
    the mean of the two frames

The flow is by G. Farneback, "Two-Frame Motion Estimation Based on Polynomial Expansion" (2003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from fastclips.compat.keras_video.methods import METHOD_ABS_DIFF, METHOD_FLOW_MASK, METHOD_OPTICAL_FLOW

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Motion", "to_gray"]

_BLUR = (15, 15)  # pixels: the window of the Gaussian by which masks are blurred
_PYRAMID = 0.5  # size of each level of the pyramid relative to the level below
_NEIGHBOURS, _SIGMA = 5, 1.1  # pixels: of the polynomial expansion


@dataclass(frozen=True)
class Motion:
    """A way to show the motion between two frames.

    Parameters
    ----------
    method : int
        One of `fastclips.compat.keras_video.methods`.
    levels : int
        Levels of Farneback's pyramid.
    iterations : int
        Iterations on each level.
    window : int
        Pixels over which the flow is averaged.
    """

    method: int
    levels: int = 3
    iterations: int = 3
    window: int = 15

    def between(self, before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float32]:
        """Return the picture of the motion, float32 (H, W, C), between two frames of uint8 or float32."""
        show = self._flow if self.method in (METHOD_OPTICAL_FLOW, METHOD_FLOW_MASK) else _difference
        shown = show(before, after)
        if self.method in (METHOD_OPTICAL_FLOW, METHOD_ABS_DIFF):
            return shown
        mask = cv2.GaussianBlur(shown / np.float32(255), _BLUR, 0).reshape(shown.shape)
        mean = (before.astype(np.float32) + after.astype(np.float32)) / 2
        return np.asarray(mean * mask, np.float32)

    def _flow(self, before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float32]:
        first, second = (_bytes(to_gray(frame)) for frame in (before, after))
        if np.array_equal(first, second):
            return np.zeros(before.shape, np.float32)  # OpenCV finds motion at the borders of equal frames
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
    """Return the gray values (H, W, 1) of a frame, RGB or gray: 0.299 red, 0.587 green, 0.114 blue."""
    gray: NDArray[Any] = frame if frame.shape[2] == 1 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None]
    return gray


def _difference(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float32]:
    grays = [to_gray(frame.astype(np.float32)) for frame in (before, after)]
    difference = np.abs(grays[1] - grays[0])
    return np.ascontiguousarray(np.broadcast_to(difference, before.shape))


def _bytes(gray: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a gray frame as uint8, which Farneback's method needs."""
    return gray if gray.dtype == np.uint8 else np.clip(np.rint(gray), 0, 255).astype(np.uint8)
