"""Numbers in the pixels of files: depth, one for each pixel, and flow, two.

Both keep the numbers of the file, bit for bit, unless the format itself says what they mean::

    depth   PNG, BMP or TIFF of one channel      uint8, uint16 or float32, as stored
            TIFF of signed 16 bits               float32, which holds them exactly
    flow    .flo (Middlebury)                    float32; 0 where a component is unknown: not within 10**9
            PNG of 3 x 16 bits (KITTI)           (value - 2**15) / 64; 0 where the third channel is 0
            two gray pictures of 8 bits          value * 2 * bound / 255 - bound, of x and of y
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.errors import DamageError, FrameError
from fastclips.pixels.decoding.headers import FLO_START, is_whole_png

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from fastclips.pixels.decoding.headers import Header

    Encoded = bytes | bytearray | memoryview

__all__ = ["check_given", "depth_of", "flow_of", "join_series"]

_BYTE, _WORD = 8, 16  # bits
_UNKNOWN = 1e9  # pixels: Middlebury's limit
_COLOR_TYPE, _RGB = 25, 2  # of a PNG: place and value
_ZERO, _STEPS = 2**15, 64  # KITTI's value for no displacement, and its values per pixel
_DTYPES = {"depth": ("uint8", "uint16", "float32"), "flow": ("float32",)}
_CHANNELS = {"depth": 1, "flow": 2}


def check_given(pixels: NDArray[Any], kind: str) -> NDArray[Any]:
    """Return a frame of depth or flow that is an array already, (H, W, C); raise FrameError if it is none."""
    channels = _CHANNELS[kind]
    if kind == "depth" and pixels.ndim == 2:  # noqa: PLR2004 - height and width
        pixels = pixels[:, :, None]
    if pixels.dtype.name not in _DTYPES[kind] or pixels.shape[2:] != (channels,):
        raise FrameError(
            f"an array of {pixels.dtype}, {pixels.shape}: {kind} must be {' or '.join(_DTYPES[kind])}, "
            f"(height, width, {channels})"
        )
    return np.ascontiguousarray(pixels)


def depth_of(image: Image, header: Header) -> NDArray[Any]:
    """Return the numbers of a loaded picture of one channel, (H, W, 1).

    Raises
    ------
    FrameError
        If it has several channels, a palette, or another type of numbers.
    """
    kind = header.kind
    if kind == "WebP" or len(image.getbands()) > 1:
        raise FrameError(
            f"a {kind} of mode {image.mode}: depth must have one channel; if three channels code one number, "
            "convert it once to a PNG of 16 bits or a TIFF of float32"
        )
    if image.mode == "F" or (kind == "TIFF" and image.mode == "I" and header.bits == _WORD):
        values = np.asarray(image).astype(np.float32, copy=False)
    elif image.mode.startswith("I") and header.bits == _WORD:
        values = np.asarray(image).astype(np.uint16, copy=False)
    elif image.mode == "L" and header.bits == _BYTE:
        values = np.asarray(image)
    else:
        raise FrameError(
            f"a {kind} of {header.bits} bits, mode {image.mode}: depth must be 8 or 16 bits without a "
            "palette, or a TIFF of float32"
        )
    return np.ascontiguousarray(values)[:, :, None]


def flow_of(data: Encoded, header: Header) -> NDArray[np.float32]:
    """Return the flow in a file, (H, W, 2), x before y.

    Raises
    ------
    DamageError
        If a PNG is damaged.
    FrameError
        If the file holds no flow.
    """
    size = header.height, header.width
    if header.kind == "flo":
        flow = np.frombuffer(data, "<f4", offset=FLO_START).reshape(*size, 2).astype(np.float32)
        known = (np.abs(flow) <= _UNKNOWN).all(axis=2)
    elif header.kind == "PNG" and header.bits == _WORD and data[_COLOR_TYPE] == _RGB:
        values = _words(data, size)
        flow = ((values[..., :2].astype(np.float64) - _ZERO) / _STEPS).astype(np.float32)
        known = values[..., 2] > 0
    else:
        raise FrameError(
            f"a {header.kind} of {header.bits} bits: flow must be a .flo file, or a PNG of three channels of "
            "16 bits, as in KITTI"
        )
    flow[~known] = 0
    return flow


def join_series(x: NDArray[np.uint8], y: NDArray[np.uint8], bound: float) -> NDArray[np.float32]:
    """Return the flow of two gray pictures, (H, W) each; raise FrameError if their sizes differ."""
    if x.shape != y.shape:
        raise FrameError(f"its pictures of x and of y are {x.shape} and {y.shape}: must have one size")
    table = (np.arange(256) * (2 * bound) / 255 - bound).astype(np.float32)
    return table[np.stack([x, y], -1)]


def _words(data: Encoded, size: tuple[int, int]) -> NDArray[np.uint16]:
    """Return the pixels of a PNG of 3 x 16 bits, RGB, of which Pillow keeps only 8 bits."""
    import cv2  # noqa: PLC0415 - only for such files, and not with the package

    found = None
    if is_whole_png(data):  # OpenCV returns a part of a damaged file
        try:
            found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            found = None
    if found is None or found.shape != (*size, 3) or found.dtype != np.uint16:
        raise DamageError(f"truncated or damaged PNG of {len(data)} bytes")
    return np.asarray(found[..., ::-1])
