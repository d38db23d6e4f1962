"""Arrays of a batch as pictures: bytes as they are, other numbers stretched, masks in colours.

The shape and type of a clip's array decide how it is drawn::

    mask                            (T, H, W)                       colours by value
    flow                            (T, H, W, 2), (T, 2, H, W)      hue by direction, saturation by length
    (T, H, W, C), (T, C, H, W)      pictures if C is 1 or 3         bytes as they are, others stretched
                                    else a strip for each channel
    (T, H, W)                       gray pictures
    (H, W, C), (H, W), (W,)         one picture for the clip
    anything else                   words

Channels are axis 3 if its length is 1 or 3, else axis 1 if its length is 1 or 3, else the shorter of both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Reach", "Span", "Strip", "mask_colors", "paint_mask", "strips"]

# Okabe and Ito, "Color Universal Design", 2008: distinct with any kind of colour vision.
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
_SHADES = ((1.0, 0.0), (0.55, 0.0), (0.5, 127.5))  # (factor, summand): full, dark, pale
_NOTHING = (32, 32, 32)  # value 0, usually the background
_HATCH = ((250, 250, 250), (150, 150, 150))  # stripes of ignored pixels
_STRIPE = 4  # pixels
_NOT_FINITE = (255, 0, 255)
_CHANNELS = (1, 3)  # numbers of channels that one picture can show
_MOST_CHANNELS = 4  # strips of one array
_BAR = 12  # height in pixels of the picture of a one-dimensional array
_PICTURE = 3  # axes: height, width, channels
_CLIP = 4  # axes: time, height, width, channels


class Span(NamedTuple):
    """The range of values that is drawn from black to white.

    Parameters
    ----------
    low, high : float
        Minimum and maximum of the finite values.
    finite : bool
        Whether all values are finite.
    """

    low: float
    high: float
    finite: bool

    @classmethod
    def of(cls, array: NDArray[Any]) -> Span:
        """Return the range of an array; 0 to 0 if no value is finite."""
        finite = np.isfinite(array)
        if not finite.any():
            return cls(0.0, 0.0, finite=not array.size)
        values = array[finite]
        return cls(float(values.min()), float(values.max()), finite=bool(finite.all()))

    def stretch(self, array: NDArray[Any]) -> NDArray[np.uint8]:
        """Return bytes from 0 at the minimum to 255 at the maximum; 128 everywhere if both are equal."""
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


class Reach(NamedTuple):
    """The length of a flow's displacements that is drawn in full colour.

    Parameters
    ----------
    longest : float
        In pixels.
    """

    longest: float

    @classmethod
    def of(cls, flow: NDArray[Any]) -> Reach:
        """Return the longest displacement of a flow, (..., 2)."""
        return cls(float(np.nan_to_num(np.hypot(flow[..., 0], flow[..., 1])).max(initial=0)))

    def paint(self, flow: NDArray[Any]) -> NDArray[np.uint8]:
        """Return a flow, (..., 2), as colours, (..., 3): white is 0, red points to the right."""
        x, y = np.nan_to_num(flow[..., 0].astype(np.float64)), np.nan_to_num(flow[..., 1].astype(np.float64))
        saturation = np.hypot(x, y) / (self.longest or np.inf)
        sector = np.arctan2(y, x) * 3 / np.pi  # six sectors of hues
        parts = []
        for shift in (5, 3, 1):  # red, green, blue of the HSV colour of value 1
            place = (sector + shift) % 6
            parts.append(1 - np.clip(saturation, 0, 1) * np.clip(np.minimum(place, 4 - place), 0, 1))
        return (np.stack(parts, -1) * 255 + 0.5).astype(np.uint8)

    def __str__(self) -> str:
        return f"white is 0, full colour a length of {self.longest:.4g}; red points right, cyan left"


class Strip(NamedTuple):
    """Pictures of one clip, side by side.

    Parameters
    ----------
    name : str
        Name of the array.
    pictures : ndarray of uint8, (n, H, W, 3), or (n, H, W) for masks
        Colours, or values of masks.
    ignore : int or None
        Value of ignored pixels in a mask; None for pictures.
    """

    name: str
    pictures: NDArray[np.uint8]
    ignore: int | None = None


def strips(name: str, array: NDArray[Any], span: Span | Reach, ignore: int | None = None) -> list[Strip]:
    """Return an array of one clip as strips of pictures.

    Parameters
    ----------
    name : str
        Name of the array.
    array : ndarray
        Array of any shape: see the table above.
    span : Span or Reach
        Range to draw, if the array is not bytes; a `Reach` for flow, (T, H, W, 2).
    ignore : int, optional
        Value of ignored pixels; given for masks alone.

    Returns
    -------
    list of Strip
        Empty if the array cannot be drawn.
    """
    if ignore is not None:
        return [Strip(name, array, ignore)]
    if isinstance(span, Reach):
        return [Strip(name, span.paint(array))]
    if not 1 <= array.ndim <= _CLIP or not array.size:
        return []
    if array.ndim == 1:
        array = np.tile(array, (_BAR, 1))
    single = array.ndim == 2 or (array.ndim == _PICTURE and array.shape[2] in _CHANNELS)  # noqa: PLR2004 - (H, W)
    if single:
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
    """Return colours, (n, H, W, 3), of pictures, (n, H, W, 1 or 3)."""
    pixels = array if array.dtype == np.uint8 else span.stretch(array)
    pixels = np.repeat(pixels, 3, axis=3) if pixels.shape[3] == 1 else np.array(pixels)
    if not span.finite:
        pixels[~np.isfinite(array).all(axis=3)] = _NOT_FINITE
    return pixels


def mask_colors() -> NDArray[np.uint8]:
    """Return the colour of each value of a mask.

    Returns
    -------
    ndarray of uint8, (256, 3)
        0 is nearly black. Values 1 to 7 are distinct with any kind of colour vision. Values 8 to 14 are the
        same hues darker, 15 to 21 paler. From 22 on colours repeat.
    """
    values = np.arange(255)
    times, plus = np.array(_SHADES)[values // len(_HUES) % len(_SHADES)].T
    shades = _HUES[values % len(_HUES)] * times[:, None] + plus[:, None]
    colors: NDArray[np.uint8] = np.concatenate([[_NOTHING], shades]).round().astype(np.uint8)
    return colors


def paint_mask(mask: NDArray[np.uint8], ignore: int) -> NDArray[np.uint8]:
    """Return a mask, (H, W), in `mask_colors`, (H, W, 3), with pixels of the value `ignore` hatched."""
    painted: NDArray[np.uint8] = mask_colors()[mask]
    stripe = np.add.outer(*map(np.arange, mask.shape)) // _STRIPE % 2
    ignored = mask == ignore
    painted[ignored] = np.array(_HATCH, np.uint8)[stripe[ignored]]
    return painted
