"""One frame as it is stored -> pixels. The only importer of simplejpeg and of Pillow.

What a frame is shows in its first bytes, never in its name. Of a JPEG of the usual kind, native code decodes
the box that is asked for (`Rung`); other JPEGs, and whatever is wrong with one, are for simplejpeg. In both
libjpeg-turbo makes the pixels, without the GIL; the native code reads the coefficients itself. PNG, BMP and
TIFF go to Pillow, which keeps the indices of a palette where OpenCV makes colours of them. A frame that is an
array already is checked and passed on.

A `Decoder` serves one stream and owns its memory: JPEGs are decoded into a scratch buffer that only ever
grows, so that a worker allocates nothing per frame.

Damage is never shown as pixels: whatever the decoder complains of, libjpeg's warnings included, raises
`DamageError` with the reason; who knows the path adds it. A frame that ends too soon, or whose restart
markers are not those that its header calls for, is found out whatever is asked for; damage within the data
only by who decodes it.
"""

from __future__ import annotations

from enum import IntEnum
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import simplejpeg
from PIL.BmpImagePlugin import BmpImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from fastclips._native import RegionDecoder, jpeg_size
from fastclips.errors import DamageError, FrameError
from fastclips.pixels.decoding.headers import Header, check_size, read_header
from fastclips.pixels.decoding.mask_colors import ColorMap, first_colors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

    from fastclips.spec import Stream

    Encoded = bytes | bytearray | memoryview
    Box = tuple[int, int, int, int]  # top, left, bottom, right
    Stored = Encoded | NDArray[np.uint8]

__all__ = ["Decoded", "Decoder", "Rung", "frame_size"]

_JPEG = b"\xff\xd8\xff"
_ALL = (0, 0, 2**16, 2**16)  # more than a JPEG can have
_JPEG_PIXELS_PER_BYTE = 8 * 64  # one bit for a block of 8 x 8, by Huffman's code
_BYTE = 8  # bits per channel
_STRETCHED = {2: np.uint8(85), 4: np.uint8(17)}  # by bits: what a difference of 1 has become
_READERS: dict[str, type[ImageFile]] = {"PNG": PngImageFile, "BMP": BmpImageFile, "TIFF": TiffImageFile}
_SMALLEST = 8  # pixels of the longer side: simplejpeg picks another scale for smaller JPEGs


class Rung(IntEnum):
    """The ways a frame is decoded, cheapest first.

    All give the same pixels.
    """

    SLICED = 0
    """A JPEG's blocks around the box, from the restart markers before them on."""
    CROPPED = 1
    """A JPEG's blocks around the box; of those before them only code lengths and DC values are read."""
    WHOLE = 2
    """A whole JPEG."""
    PILLOW = 3
    """A whole file of another format."""
    ARRAY = 4
    """Nothing to decode: pixels were given."""


class Decoded(NamedTuple):
    """Part of a frame, or all of it.

    Parameters
    ----------
    pixels : ndarray of uint8
        (H, W, C), RGB or gray, or (H, W) for a mask. Pixels of a row lie together; rows may lie apart, by
        whole pixels, which are the decoder's own. Its next call may overwrite all of it: copy what must live
        longer. Not to be written to.
    top, left : int
        Where `pixels` begins, in pixels of the scaled frame.
    scale : int
        The frame is shown at 1 / `scale` of its size, each side rounded up. 1 unless another was asked for,
        and then for all but JPEGs of which no side has 8 pixels.
    rung : Rung
        How it was decoded.
    """

    pixels: NDArray[np.uint8]
    top: int
    left: int
    scale: int
    rung: Rung


class Decoder:
    """Decodes the frames of a stream, one after the other, into memory of its own. Not thread-safe.

    Parameters
    ----------
    stream : Stream
        What the frames are. Its `values` are not applied.
    fast_dct : bool, optional
        Whether to use libjpeg-turbo's faster, less exact inverse transform. Without it, pixels equal
        Pillow's.

    Attributes
    ----------
    pillow_frames : int
        How many frames have gone through Pillow.
    """

    def __init__(self, stream: Stream, *, fast_dct: bool = True) -> None:
        self._mask = stream.mask
        self._channels = 1 if stream.mask else stream.channels
        self._colors = ColorMap(stream.colors) if stream.mask and stream.colors else None
        self._takes_jpegs = not stream.mask or (stream.smeared and not stream.colors)
        self._colorspace = "RGB" if self._channels == 3 else "GRAY"  # noqa: PLR2004 - red, green, blue
        self._fast_dct = fast_dct
        self._regions = RegionDecoder(gray=self._channels == 1, fast_dct=fast_dct)
        self._scratch = np.empty(0, np.uint8)
        self.pillow_frames = 0

    @staticmethod
    def size(data: Stored) -> tuple[int, int]:
        """Read a frame's size; as `frame_size`, whatever the stream."""
        return frame_size(data)

    def decode(self, data: Stored, box: Box | None = None, scale: int = 1) -> Decoded:
        """Decode a frame, or a part of it.

        The pixels are the same, bit for bit, as those of the whole frame at that scale.

        Parameters
        ----------
        data : bytes-like, or ndarray of uint8
            A whole JPEG, PNG, BMP or TIFF file; or pixels, (H, W, C), (H, W) for a mask.

            Of a picture, gray and CMYK become RGB, a palette its colours; transparency is dropped. Of a gray
            one, the luma is taken: a JPEG's own, of other formats Pillow's.

            A mask has one channel, read as indices of its palette or as its values; or it has colours that
            the stream has values for, those of its palette if there is one. A JPEG smears them, so it is one
            only if the stream says what each of the 256 values of its luma means.
        box : tuple of int, optional
            Top, left, bottom, right: what is needed of the frame, in pixels of its full size, bottom and
            right excluded. All of it if None. What is returned holds at least that.
        scale : int, optional
            1, 2, 4 or 8: show a JPEG at this part of its size, by inverse transforms of fewer points
            (libjpeg's DCT scaling), which is cheaper and not the same as decoding and resampling.

        Returns
        -------
        Decoded

        Raises
        ------
        DamageError
            If `data` is no such file, or a damaged one.
        FrameError
            If it holds what the stream cannot take, such as more than 8 bits per channel (of a mask with one
            channel: values above 255).
        """
        if isinstance(data, np.ndarray):
            return Decoded(self._given(data), 0, 0, 1, Rung.ARRAY)
        if self._takes_jpegs and (part := self._region(data, box or _ALL, scale)) is not None:
            return part
        return self._whole(data, scale)

    def _whole(self, data: Encoded, scale: int) -> Decoded:
        """Decode a frame of any kind, by libraries that know them all."""
        least = (0, 0)
        if scale != 1:
            scale, least = _scaling(data, scale)
        try:
            pixels = self._jpeg(data, least)
        except ValueError:  # another format, more pixels than before, or damage
            header = _header(data)
            if header.kind != "JPEG":
                self.pillow_frames += 1
                return Decoded(self._by_pillow(data, header), 0, 0, 1, Rung.PILLOW)
            size = header.height * header.width * self._channels
            if size > self._scratch.size:
                self._scratch = np.empty(size, np.uint8)
            try:
                pixels = self._jpeg(data, least)
            except ValueError as error:
                raise DamageError(f"truncated or damaged JPEG of {len(data)} bytes: {error}") from error
        if self._colors is not None:
            raise FrameError("a JPEG, which smears the colours that colors= maps: make the masks PNG files")
        if not self._takes_jpegs:
            raise FrameError(
                "a JPEG, which smears the values of a mask: make the masks PNG files, or give all 256 "
                "values=, such as [0] * 128 + [1] * 128"
            )
        return Decoded(pixels[:, :, 0] if self._mask else pixels, 0, 0, scale, Rung.WHOLE)

    def decode_crops(
        self,
        files: Sequence[Encoded],
        rows: list[int],
        size: tuple[int, int],
        box: Box,
        scale: int,
        output: NDArray[np.uint8],
        *,
        mirrored: bool = False,
        bypass_cache: bool = False,
    ) -> bytes:
        """Decode the same box of several JPEGs into rows of an array, as far as that can be done in one call.

        It spares Python between the frames, and a copy of each.

        Parameters
        ----------
        files : sequence of bytes-like
            Whole files.
        rows : list of int
            The row of `output` for each.
        size : tuple of int
            Height and width that the frames should have.
        box, scale
            As for `decode`; within a frame of that size.
        output : ndarray of uint8
            (rows, h, w, C), C-contiguous, h and w being those of the box at that scale, in pixels.
        mirrored : bool, optional
            Whether left and right change places.
        bypass_cache : bool, optional
            Whether to write past the caches, which pays for arrays that are not read again soon.

        Returns
        -------
        bytes
            For each file the `Rung` by which its row was written; or a greater number, and the row holds
            anything: the frame has another size, is of another kind or something is wrong with it, so that
            it is for `decode`.
        """
        return self._regions.decode_crops(list(files), rows, size, box, scale, mirrored, bypass_cache, output)

    def _region(self, data: Encoded, box: Box, scale: int) -> Decoded | None:
        """Decode a part of a JPEG, if it is of the usual kind and there is nothing wrong with it."""
        found = self._regions.decode(data, self._scratch, box, scale)
        if isinstance(found, int):
            self._scratch = np.empty(found, np.uint8)
            found = self._regions.decode(data, self._scratch, box, scale)
        if not isinstance(found, tuple):
            return None
        rung, top, left, height, width, offset, stride = found
        channels = self._channels
        pixels: NDArray[np.uint8] = np.ndarray(
            (height, width, channels), np.uint8, self._scratch, offset, (stride, channels, 1)
        )
        return Decoded(pixels[:, :, 0] if self._mask else pixels, top, left, scale, Rung(rung))

    def _jpeg(self, data: Encoded, least: tuple[int, int]) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, self._colorspace, self._fast_dct, False, *least, buffer=self._scratch
        )
        return pixels

    def _given(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        expected = () if self._mask else (self._channels,)
        if pixels.dtype != np.uint8 or pixels.ndim != 2 + len(expected) or pixels.shape[2:] != expected:
            wanted = "(height, width)" if self._mask else f"(height, width, {self._channels})"
            raise FrameError(f"is an array of {pixels.dtype}, {pixels.shape}; expected uint8, {wanted}")
        return np.ascontiguousarray(pixels)

    def _by_pillow(self, data: Encoded, header: Header) -> NDArray[np.uint8]:
        image = _loaded(data, header)
        mapped = self._colors is not None
        if header.bits > _BYTE and (mapped or not self._mask or len(image.getbands()) > 1):
            raise FrameError(
                f"{header.bits}-bit {header.kind}: frames must have 8 bits per channel; convert it once"
            )
        if self._colors is not None:
            return self._colors.values(_converted(image, "RGB"))
        if (
            image.mode == "1" and header.kind == "BMP" and data[28] == _BYTE
        ):  # Pillow takes its bytes for bits
            raise FrameError(
                f"a {header.kind} of 8 bits with a palette of black and white: make it a PNG file"
            )
        if self._mask:
            # Pillow stretches values of few bits over a byte.
            return _labels(image) // np.uint8(_STRETCHED.get(header.bits, 1) if image.mode == "L" else 1)
        pixels = _converted(image, "L" if self._channels == 1 else "RGB")
        return pixels.reshape(*pixels.shape[:2], self._channels)


def frame_size(data: Stored) -> tuple[int, int]:
    """Read a frame's size, from its header if it is encoded.

    Parameters
    ----------
    data : bytes-like, or ndarray
        A whole JPEG, PNG, BMP or TIFF file; or pixels, (H, W, ...).

    Returns
    -------
    tuple of int
        Height and width in pixels. A rotation noted in Exif is ignored, as it is in decoding; a TIFF's own is
        heeded.

    Raises
    ------
    DamageError
        If `data` is no such file, or its header is damaged.
    FrameError
        If it is an array of another shape, or a TIFF of too many pixels.
    """
    if isinstance(data, np.ndarray):
        if data.ndim < 2:  # noqa: PLR2004 - height and width
            raise FrameError(f"is an array of shape {data.shape}; expected (height, width, ...)")
        return data.shape[0], data.shape[1]
    header = _header(data)
    return header.height, header.width


def _scaling(data: Encoded, scale: int) -> tuple[int, tuple[int, int]]:
    """Return the scale at which a whole file can be decoded, and what makes simplejpeg take that one."""
    if data[:3] == _JPEG:
        height, width = frame_size(data)
        if max(height, width) >= _SMALLEST:
            return scale, (-(-height // scale), -(-width // scale))
    return 1, (0, 0)


def _header(data: Encoded) -> Header:
    if data[:3] != _JPEG:
        return read_header(data)
    if (size := jpeg_size(data)) is not None:
        return Header("JPEG", *size)
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    except (ValueError, KeyError) as error:
        why = "subsampling 4:4:1" if isinstance(error, KeyError) else error  # it has no name for that
        raise DamageError(
            f"truncated, damaged or unusual header of a JPEG of {len(data)} bytes: {why}"
        ) from error
    check_size(height, width, _JPEG_PIXELS_PER_BYTE * len(data), len(data))
    return Header("JPEG", height, width)


def _loaded(data: Encoded, header: Header) -> Image:
    pixels = header.height * header.width
    try:
        image = _READERS[header.kind](BytesIO(data))
        if image.width * image.height == pixels:  # else it is not worth the memory
            image.load()
    except Exception as error:  # Pillow lets out whatever damage leads to
        raise DamageError(
            f"truncated, damaged or unusual {header.kind} of {len(data)} bytes: {error}"
        ) from error
    if (image.height, image.width) != (header.height, header.width):
        raise DamageError(f"damaged {header.kind} of {len(data)} bytes: its header has two sizes")
    return image


def _converted(image: Image, mode: str) -> NDArray[np.uint8]:
    image.info.pop("transparency", None)  # Pillow warns when it drops a palette's
    try:
        return np.asarray(image.convert(mode))
    except ValueError as error:
        raise FrameError(f"no way from {image.mode} to {mode}: {error}") from error


def _labels(image: Image) -> NDArray[np.uint8]:
    if len(image.getbands()) > 1:
        raise FrameError(
            f"a mask must have a single channel, not {image.mode} with the colours "
            f"{first_colors(_converted(image, 'RGB'))}: say what each colour means by colors=, or take this "
            "stream out of masks="
        )
    values = np.asarray(image)
    if values.dtype.kind == "f":
        raise FrameError("a mask's values must be whole numbers from 0 to 255, not floating point")
    if values.min() < 0 or values.max() > np.iinfo(np.uint8).max:
        raise FrameError(f"a mask's values must be 0 to 255, not {values.min()} to {values.max()}")
    return values.astype(np.uint8, copy=False)
