"""Filters for pixel steps: blur and mixtures of channels, and by OpenCV colour spaces and moments.

Frames are float32, (H, W, C), C-contiguous, on the scale of bytes. OpenCV's blur and mixtures would differ
between CPUs, since some fuse products with sums; those of `fastclips._native` do not.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fastclips._native import blur as blur_pixels
from fastclips._native import mix_channels as mix_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Frame = NDArray[np.float32]

__all__ = ["blur", "gaussian", "mean_and_variance", "mix_channels", "power_saturation_value", "rotate_hue"]

_SPECK = 1e-5  # a smaller saturation is float32's rounding, which a low power would turn into colour
_REACH = 3  # standard deviations at which a Gaussian is cut off


def mix_channels(frame: _Frame, matrix: NDArray[np.float64]) -> _Frame:
    """Return a frame in which each channel is a weighted sum of all channels, not clipped.

    Parameters
    ----------
    frame : ndarray of float32, (H, W, 3)
        Not changed.
    matrix : ndarray of float64, (3, 3)
        For each channel of the result, a row of weights of red, green and blue.
    """
    mixed = np.empty_like(frame)
    mix_pixels(frame, matrix.ravel().tolist(), mixed)
    return mixed


def rotate_hue(frame: _Frame, degrees: float) -> _Frame:
    """Turn the hue of an RGB frame, (H, W, 3), in place, by -360 to 360 degrees; return the frame."""
    hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
    hue = hsv[:, :, 0] + np.float32(degrees % 360)
    hue -= np.float32(360) * (hue >= 360)  # noqa: PLR2004 - degrees
    hsv[:, :, 0] = hue
    turned: _Frame = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, dst=frame)
    return turned


def power_saturation_value(frame: _Frame, saturation: float, value: float) -> _Frame:
    """Raise saturation and value of an RGB frame's HSV to powers, in place; return the frame.

    Both are scaled to [0, 1] before; the powers are above 0. The hue stays.
    """
    hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
    planes = [hsv[:, :, 0], *(np.ascontiguousarray(hsv[:, :, channel]) for channel in (1, 2))]
    planes[1] *= planes[1] > _SPECK
    np.power(planes[1], np.float32(saturation), out=planes[1])
    planes[2] /= np.float32(255)
    np.power(planes[2], np.float32(value), out=planes[2])
    planes[2] *= np.float32(255)
    hsv[:, :, 1], hsv[:, :, 2] = planes[1:]
    raised: _Frame = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, dst=frame)
    return raised


@lru_cache(maxsize=64)
def gaussian(sigma: float) -> NDArray[np.float32]:
    """Return the weights of a Gaussian, (2 * ceil(3 * sigma) + 1,), with sum 1; not to be written to."""
    reach = math.ceil(_REACH * sigma)
    weights = [math.exp(-0.5 * (at / sigma) ** 2) for at in range(-reach, reach + 1)]
    return np.array([weight / math.fsum(weights) for weight in weights], np.float32)


def blur(frame: _Frame, sigma: float) -> _Frame:
    """Return a frame blurred by a Gaussian with a standard deviation in pixels, above 0.

    The frame is mirrored at its border, without repeating the border (reflect101).
    """
    blurred = np.empty_like(frame)
    blur_pixels(frame, gaussian(sigma).tolist(), blurred)
    return blurred


def mean_and_variance(frame: _Frame) -> tuple[float, float]:
    """Return the mean and the variance over all pixels and channels of a frame, summed in float64."""
    mean, std = cv2.meanStdDev(frame.reshape(frame.shape[0], -1))
    return float(mean.item()), float(std.item()) ** 2
