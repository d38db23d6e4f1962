"""Filters for pixel steps: blur, mixtures of channels, hue, powers and moments.

Frames are float32, (H, W, C), C-contiguous, on the scale of bytes. OpenCV and NumPy differ between CPUs: some
fuse products with sums, add in another order, or have powers of their own. `fastclips._native` does not.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips._native import blur as blur_pixels
from fastclips._native import find_moments, raise_saturation_value, raise_to
from fastclips._native import mix_channels as mix_pixels
from fastclips._native import rotate_hue as turn_hue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Frame = NDArray[np.float32]

__all__ = [
    "blur",
    "gaussian",
    "mean_and_variance",
    "mix_channels",
    "power",
    "power_saturation_value",
    "rotate_hue",
]

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
    turn_hue(frame, degrees % 360)
    return frame


def power_saturation_value(frame: _Frame, saturation: float, value: float) -> _Frame:
    """Raise saturation and value of an RGB frame's HSV to powers, in place; return the frame.

    Both are scaled to [0, 1] before; the powers are above 0. The hue stays. A saturation up to 0.00001, which
    is float32's rounding, becomes 0: a low power would turn it into colour.
    """
    raise_saturation_value(frame, saturation, value)
    return frame


def power(values: NDArray[Any], exponent: float) -> NDArray[Any]:
    """Return values, at least 0, raised to a power, float32 or float64 as they are.

    NumPy's powers are the C library's on CPUs without AVX-512, and others with it.
    """
    raised = values.copy(order="C")
    raise_to(raised, exponent)
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
    mean, deviation = find_moments(frame)
    return mean, deviation**2
