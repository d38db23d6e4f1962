"""Files that are no JPEG, as pictures of Pillow.

Pillow decodes PNG, BMP and TIFF: it keeps the indices of a palette, where OpenCV returns colours. OpenCV
decodes WebP, in half of Pillow's memory.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL.BmpImagePlugin import BmpImageFile
from PIL.Image import fromarray
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from fastclips.errors import DamageError, FrameError
from fastclips.pixels.decoding.fax import FAX, is_whole_fax
from fastclips.pixels.decoding.headers import is_animated_webp
from fastclips.pixels.decoding.mask_colors import first_colors
from fastclips.pixels.decoding.tiff_jpeg import JPEG, is_whole_tiff_jpeg

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

    from fastclips.pixels.decoding.headers import Header

    Encoded = bytes | bytearray | memoryview

__all__ = ["convert_picture", "load_picture", "picture_labels", "picture_mode"]

_DEPTH = "; if it is depth, declare the stream by Stream(path, kind='depth')"
_WIDE = {"CMYK", "RGBA", "RGBX", "F", "I"}  # modes of 4 bytes a pixel
_MOST_WIDE = 2**24  # pixels of such a TIFF, of which libtiff and Pillow hold several copies
_AT_ONCE = 2**22  # pixels that are converted at a time
_READERS: dict[str, type[ImageFile]] = {
    "PNG": PngImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
    "WebP": WebPImageFile,
}


def load_picture(data: Encoded, header: Header) -> Image:
    """Decode a PNG, BMP, TIFF or WebP file.

    Parameters
    ----------
    data : bytes-like
        The whole file.
    header : Header
        Its header, from `read_header`.

    Returns
    -------
    Image
        Of the size that the header gives, in the file's mode; of a WebP, in RGB.

    Raises
    ------
    DamageError
        If the file is truncated or damaged.
    FrameError
        If it is an animated WebP.
    """
    image = _webp(data) if header.kind == "WebP" else _by_pillow(data, header)
    if (image.height, image.width) != (header.height, header.width):
        raise DamageError(f"damaged {header.kind} of {len(data)} bytes: its headers give two sizes")
    return image


def picture_mode(data: Encoded, kind: str) -> str:
    """Return Pillow's mode of a file, such as ``"P"``, from its header; raise DamageError if it has none."""
    try:
        return _READERS[kind](BytesIO(data)).mode
    except Exception as error:  # damage makes Pillow raise errors of any type
        raise _damaged(data, kind, error) from error


def convert_picture(image: Image, mode: str) -> NDArray[np.uint8]:
    """Return the pixels of a picture in ``"RGB"`` or ``"L"``; raise FrameError if it cannot be converted."""
    if image.mode == mode:
        return np.asarray(image)
    image.info.pop("transparency", None)  # Pillow warns if it drops that of a palette
    height, width = image.height, image.width
    pixels = np.empty((height, width, 3) if mode == "RGB" else (height, width), np.uint8)
    rows = max(_AT_ONCE // width, 1)  # since Pillow keeps 4 bytes for each pixel of a colour
    try:
        for top in range(0, height, rows):
            part = image.crop((0, top, width, min(top + rows, height))) if rows < height else image
            pixels[top : top + rows] = np.asarray(part.convert(mode))
    except ValueError as error:
        raise FrameError(f"a picture of mode {image.mode}: must be convertible to {mode}: {error}") from error
    return pixels


def picture_labels(image: Image, instead: str) -> NDArray[np.uint8]:
    """Return the values of a mask, (H, W); raise FrameError, which offers `instead`, if it is none."""
    if len(image.getbands()) > 1:
        colors = first_colors(convert_picture(image, "RGB"))
        raise DamageError(
            f"a mask of mode {image.mode}, with the colours {colors}: must "
            f"have a single channel; give each colour's value by colors=, or {instead}"
        )
    values = np.asarray(image)
    if values.dtype.kind == "f":
        raise FrameError(f"a mask of floating-point values: must be whole numbers from 0 to 255{_DEPTH}")
    if values.min() < 0 or values.max() > np.iinfo(np.uint8).max:
        depth = _DEPTH if image.format == "PNG" or image.mode.startswith("I;16") else ""
        raise FrameError(f"a mask of values {values.min()} to {values.max()}: must be from 0 to 255{depth}")
    return values.astype(np.uint8, copy=False)


def _by_pillow(data: Encoded, header: Header) -> Image:
    pixels = header.height * header.width
    whole = True
    try:
        image = _READERS[header.kind](BytesIO(data))
        _refuse_wide(image.mode, header)
        if image.width * image.height == pixels:  # otherwise it is refused
            image.load()
            if isinstance(image, TiffImageFile) and image.info.get("compression") in FAX:
                whole = is_whole_fax(image, data)
            if isinstance(image, TiffImageFile) and image.info.get("compression") == JPEG:
                whole = is_whole_tiff_jpeg(image, data)
    except FrameError:
        raise
    except Exception as error:  # damage makes Pillow raise errors of any type
        raise _damaged(data, header.kind, error) from error
    if not whole:
        raise DamageError(
            f"a TIFF of {len(data)} bytes whose {image.info['compression']} codes are damaged, or of an "
            "unusual encoder; if it is not damaged, write it again as PNG"
        )
    return image


def _refuse_wide(mode: str, header: Header) -> None:
    if header.kind == "TIFF" and mode in _WIDE and header.height * header.width > _MOST_WIDE:
        raise FrameError(
            f"a TIFF of {header.height} x {header.width} pixels of 4 bytes: must be at most {_MOST_WIDE} "
            "pixels; make it smaller, or give it fewer bytes a pixel (RGB, or 16 bits)"
        )


def _webp(data: Encoded) -> Image:
    """Return the picture of a WebP file in RGB."""
    if is_animated_webp(data):
        raise FrameError("an animated WebP: must be a single picture; write each to its own file")
    import cv2  # noqa: PLC0415 - only for such files, and not with the package

    pixels: NDArray[np.uint8] | None = None
    reason: object = "it has no complete picture"
    try:
        mode = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error as error:
        reason = error
    if pixels is None:
        raise _damaged(data, "WebP", reason)
    return fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels))


def _damaged(data: Encoded, kind: str, reason: object) -> DamageError:
    return DamageError(f"truncated, damaged or unusual {kind} of {len(data)} bytes: {reason}")
