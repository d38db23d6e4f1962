"""What OpenCV does for pixel steps: colour spaces, blur, moments; it and `resample` are its only importers.

Frames are float32, (H, W, C), C-contiguous, on the scale of bytes. OpenCV drops an axis of one channel, so
such frames are handed to it without that axis.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Frame = NDArray[np.float32]

__all__ = ["blur", "gaussian", "mean_and_variance", "mix_channels", "power_saturation_value", "rotate_hue"]

_SPECK = 1e-5  # a saturation below this is float32's rounding: a power would make colour of it
_REACH = 3  # where a Gaussian is cut off, in standard deviations


def mix_channels(frame: _Frame, matrix: NDArray[np.float64]) -> _Frame:
    """Make each channel a weighted sum of all.

    Parameters
    ----------
    frame : ndarray of float32, (H, W, 3)
        Not changed.
    matrix : ndarray of float64, (3, 3)
        Row by row, the weights of red, green and blue.

    Returns
    -------
    ndarray of float32, (H, W, 3)
        Not clipped.
    """
    mixed: _Frame = cv2.transform(frame, matrix)
    return mixed


def rotate_hue(frame: _Frame, degrees: float) -> _Frame:
    """Turn the hue of HSV; saturation and value stay.

    Parameters
    ----------
    frame : ndarray of float32, (H, W, 3)
        RGB; overwritten.
    degrees : float
        From -360 to 360.

    Returns
    -------
    ndarray of float32, (H, W, 3)
        In the memory of `frame`.
    """
    hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
    hue = hsv[:, :, 0] + np.float32(degrees % 360)
    hue -= np.float32(360) * (hue >= 360)  # noqa: PLR2004 - degrees
    hsv[:, :, 0] = hue
    turned: _Frame = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, dst=frame)
    return turned


def power_saturation_value(frame: _Frame, saturation: float, value: float) -> _Frame:
    """Raise saturation and value of HSV, both scaled to [0, 1], to powers; the hue stays.

    Parameters
    ----------
    frame : ndarray of float32, (H, W, 3)
        RGB; overwritten.
    saturation, value : float
        The powers, above 0.

    Returns
    -------
    ndarray of float32, (H, W, 3)
        In the memory of `frame`.
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
    """Return the weights of a Gaussian, cut off at 3 `sigma`, rounded up to whole pixels; their sum is 1.

    Parameters
    ----------
    sigma : float
        Standard deviation in pixels, above 0.

    Returns
    -------
    ndarray of float32, (2 * reach + 1,)
        Not to be written to.
    """
    reach = math.ceil(_REACH * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.asarray(weights / weights.sum(), np.float32)


def blur(frame: _Frame, sigma: float) -> _Frame:
    """Weigh each pixel's neighbours by a Gaussian; beyond the border lies the mirrored frame.

    Parameters
    ----------
    frame : ndarray of float32, (H, W, C)
        Not changed.
    sigma : float
        Standard deviation in pixels, above 0.

    Returns
    -------
    ndarray of float32, (H, W, C)
        The border's pixels themselves are not repeated in the mirror (reflect101).
    """
    weights = gaussian(sigma)
    blurred: _Frame = cv2.sepFilter2D(
        _plain(frame), -1, weights, weights, borderType=cv2.BORDER_REFLECT_101
    ).reshape(frame.shape)
    return blurred


def mean_and_variance(frame: _Frame) -> tuple[float, float]:
    """Return the mean and the variance over all pixels and channels, summed in float64.

    Parameters
    ----------
    frame : ndarray of float32, (H, W, C)
        Of any scale.

    Returns
    -------
    tuple of float
        On the scale of `frame`, and its square.
    """
    mean, std = cv2.meanStdDev(frame.reshape(frame.shape[0], -1))
    return float(mean.item()), float(std.item()) ** 2


def _plain(frame: _Frame) -> _Frame:
    return frame[:, :, 0] if frame.shape[2] == 1 else frame
