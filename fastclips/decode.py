"""Encoded bytes of one frame -> pixels. The only importer of simplejpeg and of Pillow.

What a frame is shows in its first bytes, never in its name. JPEG goes to simplejpeg (libjpeg-turbo, without
the GIL) and PNG to Pillow, which keeps the indices of a palette where OpenCV makes colours of them.

A `Decoder` owns its memory: JPEGs are decoded into a scratch buffer that only ever grows, so that a worker
allocates nothing per frame. The buffer that the last frame fitted is tried first, and the header read only
when that fails.

Damage is never shown as pixels: whatever the decoder complains of, libjpeg's warnings included, raises
`FrameError` with the reason; who knows the path adds it.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg
from PIL.PngImagePlugin import PngImageFile

from fastclips.errors import FrameError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Decoder", "frame_size"]

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
# A header that promises more pixels than this per byte belongs to a truncated file; believing it could take
# all memory. JPEG: one bit for a block of 8 x 8, by Huffman's code. PNG: deflate's limit, at 1 bit per pixel.
_JPEG_PIXELS_PER_BYTE = 8 * 64
_PNG_PIXELS_PER_BYTE = 8 * 1032


class Decoder:
    """Decodes frames, one after the other, into memory of its own.

    Each method returns an array that its next call may overwrite. Copy what must live longer, and do not
    write to it.

    Parameters
    ----------
    fast_dct : bool, optional
        Whether to use libjpeg-turbo's faster, less exact inverse transform. Without it, pixels equal
        Pillow's.
    """

    def __init__(self, fast_dct: bool = True) -> None:
        self._fast_dct = fast_dct
        self._image = np.empty(0, np.uint8)
        self._mask = np.empty(0, np.uint8)

    def image(self, data: bytes | bytearray | memoryview) -> NDArray[np.uint8]:
        """Decode a picture.

        Parameters
        ----------
        data : bytes-like
            A whole JPEG or PNG file. Gray and CMYK become RGB, a palette its colours; transparency is
            dropped.

        Returns
        -------
        ndarray of uint8
            (H, W, 3), RGB, C-contiguous; valid until the next call of this method.

        Raises
        ------
        FrameError
            If `data` is neither JPEG nor PNG, is damaged, or holds 16-bit gray.
        """
        try:
            return self._jpeg(data, "RGB", self._image)
        except ValueError:  # another format, more pixels than before, or damage
            height, width = frame_size(data)
        if _is_png(data):
            return _png_image(data)
        self._image = _grown(self._image, height * width * 3)
        return self._whole_jpeg(data, "RGB", self._image)

    def mask(self, data: bytes | bytearray | memoryview) -> NDArray[np.uint8]:
        """Decode a label map.

        Parameters
        ----------
        data : bytes-like
            A whole PNG file with one channel, read as indices of its palette, as 0 and 1 if it has 1 bit,
            or as its values (of 2 or 4 bits: stretched to 0..255, as by Pillow); or a whole JPEG file, of
            which the luma is taken.

        Returns
        -------
        ndarray of uint8
            (H, W), C-contiguous; valid until the next call of this method.

        Raises
        ------
        FrameError
            If `data` is neither JPEG nor PNG, is damaged, has several channels (PNG) or values above 255.
        """
        height, width = frame_size(data)
        if _is_png(data):
            return _png_mask(data)
        self._mask = _grown(self._mask, height * width)
        return self._whole_jpeg(data, "GRAY", self._mask).reshape(height, width)

    def _jpeg(
        self, data: bytes | bytearray | memoryview, colorspace: str, scratch: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, colorspace, fastdct=self._fast_dct, fastupsample=False, buffer=scratch
        )
        return pixels

    def _whole_jpeg(
        self, data: bytes | bytearray | memoryview, colorspace: str, scratch: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        try:
            return self._jpeg(data, colorspace, scratch)
        except ValueError as error:
            raise FrameError(f"truncated or damaged JPEG of {len(data)} bytes: {error}") from error


def frame_size(data: bytes | bytearray | memoryview) -> tuple[int, int]:
    """Read a frame's size from its header.

    Parameters
    ----------
    data : bytes-like
        A whole JPEG or PNG file.

    Returns
    -------
    tuple of int
        Height and width in pixels. A rotation noted in Exif is ignored, as it is in decoding.

    Raises
    ------
    FrameError
        If `data` is neither JPEG nor PNG, or its header is damaged.
    """
    if _is_png(data):
        header = bytes(data[:24])
        height, width = int.from_bytes(header[20:24], "big"), int.from_bytes(header[16:20], "big")
        if header[12:16] != b"IHDR" or height == 0 or width == 0:
            raise FrameError(f"truncated or damaged header of a PNG of {len(data)} bytes: {header!r}")
        limit = _PNG_PIXELS_PER_BYTE
    elif data[:3] == _JPEG:
        try:
            height, width, _, _ = simplejpeg.decode_jpeg_header(data)
        except ValueError as error:
            raise FrameError(
                f"truncated, damaged or unusual header of a JPEG of {len(data)} bytes: {error}"
            ) from error
        limit = _JPEG_PIXELS_PER_BYTE
    elif len(data) == 0:
        raise FrameError("empty file")
    else:
        raise FrameError(f"neither JPEG nor PNG: it starts with {bytes(data[:8])!r}")
    if height * width > limit * len(data):
        raise FrameError(f"truncated: {len(data)} bytes cannot hold the {height} x {width} of its header")
    return height, width


def _is_png(data: bytes | bytearray | memoryview) -> bool:
    return data[:8] == _PNG


def _grown(scratch: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return scratch if scratch.size >= size else np.empty(size, np.uint8)


def _open_png(data: bytes | bytearray | memoryview) -> PngImageFile:
    try:
        image = PngImageFile(BytesIO(data))
        image.load()
    except (EOFError, OSError, SyntaxError, ValueError) as error:
        raise FrameError(f"truncated or damaged PNG of {len(data)} bytes: {error}") from error
    return image


def _png_image(data: bytes | bytearray | memoryview) -> NDArray[np.uint8]:
    image = _open_png(data)
    if image.mode.startswith("I"):
        raise FrameError("16-bit gray PNG: images must have 8 bits per channel; convert it once")
    image.info.pop("transparency", None)  # Pillow warns when it drops a palette's
    return np.asarray(image.convert("RGB"))


def _png_mask(data: bytes | bytearray | memoryview) -> NDArray[np.uint8]:
    image = _open_png(data)
    if len(image.getbands()) != 1:
        raise FrameError(
            f"a mask must have a single channel, not {image.mode}: save label maps as gray or palette PNG, "
            "or take this stream out of masks="
        )
    values = np.asarray(image)
    if values.max() > np.iinfo(np.uint8).max:
        raise FrameError(f"a mask's values must be 0 to 255, not {values.max()}")
    return values.astype(np.uint8, copy=False)
