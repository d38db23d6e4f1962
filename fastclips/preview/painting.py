"""What arrays of a batch look like: pictures of bytes, stretched numbers, masks in colours.

An array of one clip is told by its shape and type::

    mask                            (T, H, W)                       colours by value
    (T, H, W, C), (T, C, H, W)      pictures where C is 1 or 3      bytes as they are, others stretched
                                    else a strip for each channel
    (T, H, W)                       gray pictures
    (H, W, C), (H, W), (W,)         one picture for the clip
    anything else                   words

Which of axes 1 and 3 holds channels is told by which of them can: 3 or 1 of them, and the last if both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Span", "Strip", "mask_colors", "paint_mask", "strips"]

# Okabe and Ito, "Color Universal Design", 2008: told apart with any kind of colour vision.
_HUES = np.array(
    [
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
        (204, 121, 167),
    ],
    np.float64,
)
_SHADES = ((1.0, 0.0), (0.55, 0.0), (0.5, 127.5))  # times and plus: full, dark, pale; then all over again
_NOTHING = (32, 32, 32)  # value 0, most often the background
_HATCH = ((250, 250, 250), (150, 150, 150))  # what is ignored: stripes, as nothing else has
_STRIPE = 4  # pixels
_NOT_FINITE = (255, 0, 255)
_CHANNELS = (1, 3)  # of what can be shown as one picture
_MOST_CHANNELS = 4  # strips of one array
_BAR = 12  # pixels high: what has no height of its own
_PICTURE = 3  # axes: height, width, channels
_CLIP = 4  # axes: time as well


class Span(NamedTuple):
    """The range of values that is shown as black to white.

    Parameters
    ----------
    low, high : float
        The least and the greatest finite value.
    finite : bool
        Whether all are.
    """

    low: float
    high: float
    finite: bool

    @classmethod
    def of(cls, array: NDArray[Any]) -> Span:
        """Find it in an array of any numbers; 0 to 0 where none is finite."""
        finite = np.isfinite(array)
        if not finite.any():
            return cls(0.0, 0.0, finite=not array.size)
        values = array[finite]
        return cls(float(values.min()), float(values.max()), finite=bool(finite.all()))

    def stretch(self, array: NDArray[Any]) -> NDArray[np.uint8]:
        """Return bytes: 0 at the least value, 255 at the greatest, 128 all over where these are one."""
        with np.errstate(invalid="ignore", over="ignore"):
            share = (array.astype(np.float64) - self.low) / ((self.high - self.low) or np.inf)
        share[np.isnan(share)] = 0
        share += 0.5 * (self.high == self.low)
        return (np.clip(share, 0, 1) * 255 + 0.5).astype(np.uint8)

    def __str__(self) -> str:
        shown = f"black is {self.low:.4g}, white is {self.high:.4g}"
        if self.low == self.high:
            shown = f"gray is {self.low:.4g}"
        return shown if self.finite else f"{shown}, magenta is not finite"


class Strip(NamedTuple):
    """Pictures of one clip, side by side.

    Parameters
    ----------
    name : str
        What they are of.
    pictures : ndarray of uint8, (n, H, W, 3), or (n, H, W) for masks
        Colours, or the masks' values.
    ignore : int or None
        Of a mask, the value where there is nothing to learn; None for pictures.
    """

    name: str
    pictures: NDArray[np.uint8]
    ignore: int | None = None


def strips(name: str, array: NDArray[Any], span: Span, ignore: int | None = None) -> list[Strip]:
    """Turn an array of one clip into strips of pictures.

    Parameters
    ----------
    name : str
        What it is called.
    array : ndarray
        Of any shape: see the table above.
    span : Span
        Of what is not bytes: the range to show.
    ignore : int, optional
        Given for a mask.

    Returns
    -------
    list of Strip
        None where it cannot be shown.
    """
    if ignore is not None:
        return [Strip(name, array, ignore)]
    if not 1 <= array.ndim <= _CLIP or not array.size:
        return []
    if array.ndim == 1:
        array = np.tile(array, (_BAR, 1))
    one = array.ndim == 2 or (array.ndim == _PICTURE and array.shape[2] in _CHANNELS)  # noqa: PLR2004
    if one:
        array = array[None]
    array = array[..., None] if array.ndim == _PICTURE else _channels_last(array)
    channels = array.shape[3]
    if channels in _CHANNELS:
        return [Strip(name, _colors(array, span))]
    shown = min(channels, _MOST_CHANNELS)
    return [
        Strip(f"{name}, channel {channel} of {channels}", _colors(array[..., channel : channel + 1], span))
        for channel in range(shown)
    ]


def _channels_last(array: NDArray[Any]) -> NDArray[Any]:
    first, last = array.shape[1], array.shape[3]
    if last not in _CHANNELS and (first in _CHANNELS or first < last):
        array = np.moveaxis(array, 1, 3)
    return array


def _colors(array: NDArray[Any], span: Span) -> NDArray[np.uint8]:
    """Return (n, H, W, 3) of (n, H, W, 1 or 3)."""
    pixels = array if array.dtype == np.uint8 else span.stretch(array)
    pixels = np.repeat(pixels, 3, axis=3) if pixels.shape[3] == 1 else np.array(pixels)
    if not span.finite:
        pixels[~np.isfinite(array).all(axis=3)] = _NOT_FINITE
    return pixels


def mask_colors() -> NDArray[np.uint8]:
    """Return the colour of each value of a mask, (256, 3).

    Returns
    -------
    ndarray of uint8
        0 is nearly black. The next 7 are told apart with any colour vision; each 7 after them are the same
        hues, darker, then paler; from 22 on colours come again.
    """
    values = np.arange(255)
    times, plus = np.array(_SHADES)[values // len(_HUES) % len(_SHADES)].T
    shades = _HUES[values % len(_HUES)] * times[:, None] + plus[:, None]
    colors: NDArray[np.uint8] = np.concatenate([[_NOTHING], shades]).round().astype(np.uint8)
    return colors


def paint_mask(mask: NDArray[np.uint8], ignore: int) -> NDArray[np.uint8]:
    """Colour a mask at the size at which it is shown.

    Parameters
    ----------
    mask : ndarray of uint8, (H, W)
        Values.
    ignore : int
        The value that is hatched.

    Returns
    -------
    ndarray of uint8, (H, W, 3)
        Colours of `mask_colors`.
    """
    painted: NDArray[np.uint8] = mask_colors()[mask]
    stripe = np.add.outer(*map(np.arange, mask.shape)) // _STRIPE % 2
    ignored = mask == ignore
    painted[ignored] = np.array(_HATCH, np.uint8)[stripe[ignored]]
    return painted
