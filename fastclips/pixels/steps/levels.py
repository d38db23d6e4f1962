"""Operations of augmentation policies on the values of a frame, as Pillow's `ImageOps` and `ImageEnhance`.

A frame is float32, (H, W, C), C-contiguous. Its values are whole numbers from 0 to 255, as between Pillow's
operations. A result may lie outside of that range, or between whole numbers; the caller clips and rounds.
Pillow cuts off the digits behind the point instead of rounding, so its results may be 1 lower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastclips.pixels.steps.filters import mix_channels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Frame = NDArray[np.float32]

__all__ = [
    "auto_contrast",
    "brightness",
    "color",
    "contrast",
    "equalize",
    "invert",
    "posterize",
    "sharpness",
    "solarize",
    "solarize_add",
]

_MIDDLE = 128  # SolarizeAdd changes darker values
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_COLORS = 3


def brightness(frame: _Frame, factor: float) -> _Frame:
    """Multiply by a factor."""
    return frame * np.float32(factor)


def color(frame: _Frame, factor: float) -> _Frame:
    """Blend with the frame's gray: a factor of 0 leaves gray. Gray frames stay."""
    if frame.shape[2] != _COLORS:
        return frame
    return mix_channels(frame, factor * np.eye(_COLORS) + (1 - factor) * np.tile(_LUMA, (_COLORS, 1)))


def contrast(frame: _Frame, factor: float) -> _Frame:
    """Blend with the mean gray level of the frame, a whole number."""
    means = [frame[:, :, channel].mean(dtype=np.float64) for channel in range(frame.shape[2])]
    mean = means[0] if len(means) != _COLORS else sum(w * m for w, m in zip(_LUMA, means, strict=True))
    gray = np.float32(np.floor(mean + 0.5))
    return gray + (frame - gray) * np.float32(factor)


def sharpness(frame: _Frame, factor: float) -> _Frame:
    """Blend with the mean of 3x3 pixels, of which the middle one weighs 5; the outermost pixels stay."""
    if min(frame.shape[:2]) < _COLORS:
        return frame
    sharp, one = frame.copy(), frame.shape[2]
    rows, out = frame.reshape(len(frame), -1), sharp.reshape(len(frame), -1)  # long rows: NumPy is faster so
    across = rows[:, : -2 * one] + rows[:, one:-one] + rows[:, 2 * one :]
    middle = rows[1:-1, one:-one]
    smooth = across[:-2] + across[1:-1] + across[2:] + 4 * middle
    smooth = np.floor(smooth / np.float32(13) + np.float32(0.5))
    out[1:-1, one:-one] = smooth + (middle - smooth) * np.float32(factor)
    return sharp


def posterize(frame: _Frame, bits: int) -> _Frame:
    """Keep the highest bits of each value, 0 to 8."""
    step = np.float32(2 ** (8 - bits))
    kept: _Frame = np.floor(frame / step) * step
    return kept


def solarize(frame: _Frame, threshold: float) -> _Frame:
    """Invert values from a threshold on."""
    inverted = (255 - 2 * frame) * (frame >= np.float32(threshold))
    return frame + inverted


def solarize_add(frame: _Frame, levels: int) -> _Frame:
    """Add levels to values below 128."""
    return frame + np.float32(levels) * (frame < _MIDDLE).astype(np.float32)


def invert(frame: _Frame) -> _Frame:
    """Invert values."""
    return 255 - frame


def auto_contrast(frame: _Frame) -> _Frame:
    """Stretch each channel to 0 to 255; a channel of one value stays."""
    out = frame.copy()
    for channel in range(frame.shape[2]):
        low, high = float(frame[:, :, channel].min()), float(frame[:, :, channel].max())
        if low < high:
            out[:, :, channel] = (frame[:, :, channel] - np.float32(low)) * np.float32(255 / (high - low))
    return out


def equalize(frame: _Frame) -> _Frame:
    """Equalize the histogram of each channel, by Pillow's rule."""
    out = np.empty_like(frame)
    for channel in range(frame.shape[2]):
        values = frame[:, :, channel].astype(np.uint8)
        counts = np.bincount(values.ravel(), minlength=256)
        step = (values.size - counts[counts > 0][-1]) // 255
        if step:
            table = np.minimum((step // 2 + np.cumsum(counts) - counts) // step, 255)
            out[:, :, channel] = table.astype(np.float32)[values]
        else:
            out[:, :, channel] = frame[:, :, channel]
    return out
