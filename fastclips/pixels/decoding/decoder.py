"""Decode a stored frame to pixels, on the cheapest `Rung`.

The first bytes of a frame tell its format, never its name. Native code decodes the requested box of usual
JPEGs and of dct frames, in which packs keep the coefficients of JPEGs; simplejpeg decodes unusual and damaged
JPEGs. Neither holds the GIL. simplejpeg lets libjpeg-turbo decode; the native code reads the coefficients
itself, and with the accurate transform and AVX2 it makes the pixels, too, which are the same. Native code
also decodes usual PNGs. Pillow decodes the others, BMP and TIFF: it keeps the indices of a palette, where
OpenCV returns colours. OpenCV decodes WebP, in half of Pillow's memory. A frame that is an array already is
checked and returned.

A `Decoder` serves one stream and owns its memory: JPEGs are decoded into a scratch buffer that only grows, so
that a worker allocates nothing per frame.

Damage never becomes pixels: each complaint of a decoder, warnings of libjpeg included, raises `DamageError`
with the reason, and the caller adds the path. Two kinds of damage are found whatever box is requested: a file
that ends too soon, and restart markers that do not agree with the header. Damage within the data is found
only if that data is decoded.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import simplejpeg

from fastclips._native import (
    DCT_MAGIC,
    JPEG_PIXELS_PER_BYTE,
    SMALLEST_JPEG,
    Files,
    PngDecoder,
    RegionDecoder,
    Rung,
    dct_size,
    jpeg_size,
)
from fastclips.data.series import split_pair
from fastclips.errors import DamageError, FrameError
from fastclips.pixels.decoding.headers import (
    PNG_START,
    Header,
    check_size,
    is_lossy_webp,
    jpeg_sampling,
    read_header,
)
from fastclips.pixels.decoding.mask_colors import ColorMap
from fastclips.pixels.decoding.numbers import check_given, depth_of, flow_of, join_series
from fastclips.pixels.decoding.pictures import convert_picture, load_picture, picture_labels, picture_mode
from fastclips.spec import StreamSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastclips._native import Crop, FrameArea

    Encoded = bytes | bytearray | memoryview
    Box = tuple[int, int, int, int]  # top, left, bottom, right
    Stored = Encoded | NDArray[Any]

__all__ = ["FAST_DCT", "MAX_PIXELS", "Decoded", "Decoder", "Rung", "frame_mode", "frame_size"]

_JPEG = b"\xff\xd8\xff"
_DCT = slice(len(DCT_MAGIC))
_ALL = (0, 0, 2**16, 2**16)  # larger than any JPEG
_BYTE = 8  # bits per channel
_STRETCHED = {2: np.uint8(85), 4: np.uint8(17)}  # by bits per value: Pillow's factor to fill a byte
FAST_DCT = False
"""Whether JPEGs are decoded by the faster, less exact inverse DCT where nobody says so."""
MAX_PIXELS = 2**25
"""Pixels of a frame that a loader takes by default: more than those of an 8K frame, 7680 x 4320."""
_REMEMBERED = 64  # calls before scratch memory may shrink
_MUCH = 2  # times what they used
_KEPT = 2**20  # bytes that are always kept


class Decoded(NamedTuple):
    """The pixels of a frame, or of a part of it.

    Parameters
    ----------
    pixels : ndarray of uint8
        (H, W, C), RGB or gray, or (H, W) for a mask; of depth, (H, W, 1) of its type; of flow, (H, W, 2)
        float32. The pixels of a row are adjacent; between rows there may
        be a gap of whole pixels. The memory is the decoder's: do not write to it, and copy it to keep it, as
        the next call may overwrite it.
    top, left : int
        Position of the first pixel in the scaled frame.
    scale : int
        The pixels show the frame at 1 / `scale` of its size, each side rounded up. 1 if no other scale was
        requested, if the file is no JPEG, or if both its sides are shorter than 8 pixels.
    rung : Rung
        How the pixels were decoded.
    """

    pixels: NDArray[Any]
    top: int
    left: int
    scale: int
    rung: Rung


class Decoder:
    """Decodes the frames of one stream into its own memory. Not thread-safe.

    Parameters
    ----------
    stream : StreamSpec
        The stream of the frames. Its `values` are not applied.
    fast_dct : bool, optional
        Whether to use libjpeg-turbo's faster, less exact inverse transform. Without it, pixels of RGB and
        gray JPEGs equal Pillow's and OpenCV's.
    max_pixels : int, optional
        Frames of more pixels are refused before memory is taken for them; None for no limit.

    Attributes
    ----------
    pillow_frames : int
        How many frames Pillow has decoded.
    """

    def __init__(
        self, stream: StreamSpec, *, fast_dct: bool = FAST_DCT, max_pixels: int | None = None
    ) -> None:
        self._stream = stream
        self._mask = stream.mask
        self._channels = 1 if stream.mask else stream.channels
        self._colors = ColorMap(stream.colors) if stream.mask and stream.colors else None
        self._takes_jpegs = not stream.mask or (stream.smeared and not stream.colors)
        self._colorspace = "RGB" if self._channels == 3 else "GRAY"  # noqa: PLR2004 - red, green, blue
        self._fast_dct = fast_dct
        self._regions = RegionDecoder(gray=self._channels == 1, fast_dct=fast_dct)
        self._pngs = PngDecoder()
        self._scratch = np.empty(0, np.uint8)
        self._series = None
        if stream.kind == "flow":
            gray = StreamSpec(stream.name, channels=1)
            self._series = tuple(Decoder(gray, fast_dct=fast_dct, max_pixels=max_pixels) for _ in "xy")
        self._max_pixels = max_pixels
        self._used, self._calls = 0, 0  # bytes of scratch memory that recent calls used, and these calls
        self.pillow_frames = 0

    def size(self, data: Stored) -> tuple[int, int]:
        """Return a frame's height and width, as `frame_size` does; refuse a frame of too many pixels.

        Raises
        ------
        DamageError, FrameError
            As from `frame_size`; or the frame has more than `max_pixels`.
        """
        height, width = frame_size(data)
        if self._max_pixels is not None and height * width > self._max_pixels:
            raise FrameError(
                f"has {height} x {width} = {height * width:,} pixels, more than max_pixels="
                f"{self._max_pixels:,}: raise max_pixels= if the file is right"
            )
        return height, width

    def decode(self, data: Stored, box: Box | None = None, scale: int = 1) -> Decoded:
        """Decode a frame, or a part of it.

        The pixels equal those of the whole frame at that scale, bit for bit.

        Parameters
        ----------
        data : bytes-like, or ndarray
            A whole JPEG, PNG, BMP, TIFF or WebP file; or pixels, (H, W, C), or (H, W) for a mask. For flow
            and depth, see `fastclips.pixels.decoding.numbers`.

            In an RGB stream, gray and CMYK files become RGB, palettes become colours, and transparency is
            dropped. A gray stream takes the luma: the Y channel of a JPEG, Pillow's luma of other formats.

            A mask has one channel, read as its values or as the indices of its palette; or, if the stream has
            `colors`, its colours (those of its palette, if it has one) are mapped to values. JPEG changes
            values, so a mask may be a JPEG only if the stream gives a meaning to each of the 256 values.
        box : tuple of int, optional
            Top, left, bottom, right of the pixels needed, in pixels of the full frame, bottom and right
            excluded; None for the whole frame. The result holds at least these pixels.
        scale : int, optional
            1, 2, 4 or 8: decode a JPEG at 1 / `scale` of its size, by inverse transforms of fewer points
            (libjpeg's DCT scaling). This is cheaper than decoding and resampling, and gives other pixels.

        Returns
        -------
        Decoded

        Raises
        ------
        DamageError
            If `data` is no such file, a damaged one, or a mask of several channels without `colors`.
        FrameError
            If the frame does not suit the stream: for example more than 8 bits per channel, or values above
            255 in a mask with one channel.
        """
        if self._max_pixels is not None and box is None:
            self.size(data)
        self._shrink()
        if self._stream.is_field:
            return self._field(data)
        if isinstance(data, np.ndarray):
            return Decoded(self._given(data), 0, 0, 1, Rung.ARRAY)
        if self._takes_jpegs and (part := self._region(data, box or _ALL, scale)) is not None:
            return part
        return self._whole(data, scale)

    def _field(self, data: Stored) -> Decoded:
        """Decode a whole frame of flow or depth."""
        kind = self._stream.kind
        if isinstance(data, np.ndarray):
            found, rung = check_given(data, kind), Rung.ARRAY
        elif self._series is not None and (files := split_pair(data)) is not None:
            series = [decoder.decode(file) for decoder, file in zip(self._series, files, strict=True)]
            x, y = (part.pixels[:, :, 0] for part in series)
            found, rung = join_series(x, y, self._stream.bound), series[0].rung
        else:
            header, rung = _header(data), Rung.PILLOW
            if header.kind in ("JPEG", "dct") or is_lossy_webp(data):
                raise FrameError(
                    f"a lossy {header.kind}, which changes the numbers of {kind}: write PNG files"
                )
            self.pillow_frames += 1
            if kind == "depth" and header.kind != "flo":
                found = depth_of(load_picture(data, header), header)
            else:
                found = flow_of(data, header)
        if kind == "depth" and self._stream.dtype not in (None, found.dtype.name):
            raise FrameError(
                f"depth of {found.dtype}, while the first frame is {self._stream.dtype}: must all have one "
                "type; convert the files"
            )
        return Decoded(found, 0, 0, 1, rung)

    def _whole(self, data: Encoded, scale: int) -> Decoded:
        """Decode a whole frame of any format: natively, with simplejpeg, Pillow or OpenCV."""
        if data[_DCT] == DCT_MAGIC:
            return self._whole_dct(data, scale)
        if data[:8] == PNG_START and (pixels := self._png(data)) is not None:
            return Decoded(pixels[:, :, 0] if self._mask else pixels, 0, 0, 1, Rung.WHOLE)
        least = (0, 0)
        if scale != 1:
            scale, least = _scaling(data, scale)
        try:
            pixels = self._jpeg(data, least)
        except ValueError:  # another format, damage, or a buffer that is too small
            header = _header(data)
            if header.kind == "flo":
                raise FrameError(
                    "a .flo file, which holds flow: open it as Stream(path, kind='flow')"
                ) from None
            if header.kind != "JPEG":
                self.pillow_frames += 1
                return Decoded(self._picture(data, header), 0, 0, 1, Rung.PILLOW)
            self._room(header)
            try:
                pixels = self._jpeg(data, least)
            except ValueError as error:
                _refuse_sampling(data, error)
                raise DamageError(f"truncated or damaged JPEG of {len(data)} bytes: {error}") from error
        self._refuse_jpegs()
        return Decoded(pixels[:, :, 0] if self._mask else pixels, 0, 0, scale, Rung.WHOLE)

    def _room(self, header: Header) -> NDArray[np.uint8]:
        """Return scratch memory for a whole frame, (H, W, C)."""
        size = header.height * header.width * self._channels
        if size > self._scratch.size:
            self._scratch = np.empty(size, np.uint8)
        self._used = max(self._used, size)
        return self._scratch[:size].reshape(header.height, header.width, self._channels)

    def _png(self, data: Encoded) -> NDArray[np.uint8] | None:
        """Decode a usual, undamaged PNG; None for any other."""
        header = _header(data)
        if header.bits != _BYTE or self._colors is not None:
            return None
        shape = header.height, header.width, self._channels
        pixels = self._room(header) if math.prod(shape) <= _KEPT else np.empty(shape, np.uint8)
        return pixels if self._pngs.decode(data, pixels, self._mask) else None

    def _whole_dct(self, data: Encoded, scale: int) -> Decoded:
        """Decode a whole dct frame; only native code reads these."""
        _header(data)  # raises if it is damaged
        self._refuse_jpegs()
        part = self._region(data, _ALL, scale)
        if part is None:
            raise DamageError(f"damaged dct frame of {len(data)} bytes: its coefficients cannot be read")
        return part

    def _refuse_jpegs(self) -> None:
        """Raise FrameError if the stream takes no JPEGs."""
        if self._colors is not None:
            raise FrameError("a JPEG, which changes the colours that colors= maps: make the masks PNG files")
        if not self._takes_jpegs:
            raise FrameError(
                "a JPEG, which changes the values of a mask: make the masks PNG files, or give all 256 "
                "values=, such as [0] * 128 + [1] * 128"
            )

    def reads_boxes(self, data: Encoded) -> bool:
        """Whether decoding a part of a frame may take less time than decoding all of it."""
        return self._takes_jpegs and (data[:3] == _JPEG or data[_DCT] == DCT_MAGIC)

    def decode_crops(
        self, files: Files | Sequence[Encoded], rows: list[int], crop: Crop, output: NDArray[Any]
    ) -> bytes:
        """Decode the same box of several JPEGs into rows of an array, in one call.

        Each row of pixels is resampled, looked up in a table and written as soon as it is decoded. No Python
        runs between frames. Frames that cannot be decoded so are left to `decode`.

        Parameters
        ----------
        files : Files or sequence of bytes-like
            Whole files.
        rows : list of int
            Row of `output` for each file.
        crop : Crop
            The size that the frames must have, the box, and how it is written. If the box has not the size of
            the output, it is resampled as `fastclips.pixels.geometry.resample.resample` does.
        output : ndarray of uint8, uint16 or uint32
            (rows, h, w, C), or with channels first (rows, C, h, w), C-contiguous; of the type of the crop's
            table, or of bytes.

        Returns
        -------
        bytes
            For each file, the `Rung` on which its row was decoded. A number above `Rung.WHOLE` leaves the
            file to `decode`, as its size or format differs or it is damaged; its row then holds anything.
        """
        given = files if isinstance(files, Files) else list(files)
        return self._regions.decode_crops(given, rows, crop, output)

    def share_crops(self, area: FrameArea, files: Sequence[Encoded], *crops: Any) -> bytes:  # noqa: ANN401 - as there
        """Decode files whole into frame slots, and a box of them into rows: `RegionDecoder.share_crops`."""
        return self._regions.share_crops(area, list(files), *crops)

    def _region(self, data: Encoded, box: Box, scale: int) -> Decoded | None:
        """Decode a part of a usual, undamaged JPEG; None for any other frame."""
        found = self._regions.decode(data, self._scratch, box, scale)
        if isinstance(found, int):
            self._scratch = np.empty(found, np.uint8)
            found = self._regions.decode(data, self._scratch, box, scale)
        if not isinstance(found, tuple):
            return None
        rung, top, left, height, width, offset, stride = found
        self._used = max(self._used, offset + height * stride)
        channels = self._channels
        pixels: NDArray[np.uint8] = np.ndarray(
            (height, width, channels), np.uint8, self._scratch, offset, (stride, channels, 1)
        )
        return Decoded(pixels[:, :, 0] if self._mask else pixels, top, left, scale, Rung(rung))

    def _shrink(self) -> None:
        """Give scratch memory back if a frame was much larger than those after it."""
        self._calls += 1
        if self._calls == _REMEMBERED:
            if self._scratch.size > max(_MUCH * self._used, _KEPT):
                self._scratch = np.empty(0, np.uint8)
            self._used, self._calls = 0, 0

    def _jpeg(self, data: Encoded, least: tuple[int, int]) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, self._colorspace, self._fast_dct, False, *least, buffer=self._scratch
        )
        return pixels

    def _given(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        expected = () if self._mask else (self._channels,)
        if pixels.dtype != np.uint8 or pixels.ndim != 2 + len(expected) or pixels.shape[2:] != expected:
            wanted = "(height, width)" if self._mask else f"(height, width, {self._channels})"
            raise FrameError(f"an array of {pixels.dtype}, {pixels.shape}: must be uint8, {wanted}")
        return np.ascontiguousarray(pixels)

    def _picture(self, data: Encoded, header: Header) -> NDArray[np.uint8]:
        image = load_picture(data, header)
        mapped = self._colors is not None
        if self._mask and is_lossy_webp(data):
            raise FrameError("a lossy WebP, which changes the values of a mask: make the masks PNG files")
        if header.bits > _BYTE and (mapped or not self._mask or len(image.getbands()) > 1):
            several = self._mask or len(image.getbands()) > 1
            remedy = "" if several else ", or open it as Stream(path, kind='depth')"
            raise FrameError(
                f"{header.bits}-bit {header.kind}: frames must have 8 bits per channel; convert it once"
                + remedy
            )
        if self._colors is not None:
            return self._colors.values(convert_picture(image, "RGB"))
        if image.mode == "1" and header.kind == "BMP" and data[28] == _BYTE:
            # Pillow reads its bytes as bits.
            raise FrameError(
                f"a {header.kind} of 8 bits with a palette of black and white: make it a PNG file"
            )
        if self._mask:
            # Pillow stretches values of 2 or 4 bits to a byte.
            instead = "give it another kind=" if self._stream.own_size else "take this stream out of masks="
            return picture_labels(image, instead) // np.uint8(
                _STRETCHED.get(header.bits, 1) if image.mode == "L" else 1
            )
        pixels = convert_picture(image, "L" if self._channels == 1 else "RGB")
        return pixels.reshape(*pixels.shape[:2], self._channels)


def frame_size(data: Stored) -> tuple[int, int]:
    """Return a frame's height and width, from its header if it is encoded.

    Parameters
    ----------
    data : bytes-like, or ndarray
        A whole JPEG, PNG, BMP, TIFF or WebP file; or pixels, (H, W, ...).

    Returns
    -------
    tuple of int
        Height and width in pixels. A rotation in Exif is ignored, as in decoding; a TIFF's orientation tag is
        applied.

    Raises
    ------
    DamageError
        If `data` is no such file, or its header is damaged.
    FrameError
        If it is an array of another shape, a TIFF or WebP of too many pixels, or a JPEG of unusual sampling.
    """
    if isinstance(data, np.ndarray):
        if data.ndim < 2:  # noqa: PLR2004 - height and width
            raise FrameError(f"an array of shape {data.shape}: must be (height, width, ...)")
        return data.shape[0], data.shape[1]
    if (files := split_pair(data)) is not None:
        data = files[0]
    header = _header(data)
    return header.height, header.width


def frame_mode(data: Stored) -> str:
    """Return a frame's mode from its header: ``"JPEG"``, ``"array"``, or Pillow's mode, such as ``"P"``.

    The mode of a dct frame is ``"JPEG"``.

    Raises
    ------
    DamageError
        If `data` is no picture, or its header is damaged.
    """
    if isinstance(data, np.ndarray):
        return "array"
    kind = _header(data).kind
    if kind in ("JPEG", "dct"):
        return "JPEG"
    return picture_mode(data, kind)


def _scaling(data: Encoded, scale: int) -> tuple[int, tuple[int, int]]:
    """Return the scale at which a whole file can be decoded, and the least size that selects it."""
    if data[:3] == _JPEG:
        height, width = frame_size(data)
        if max(height, width) >= SMALLEST_JPEG:  # for smaller ones simplejpeg picks another scale
            return scale, (-(-height // scale), -(-width // scale))
    return 1, (0, 0)


def _header(data: Encoded) -> Header:
    if data[_DCT] == DCT_MAGIC:
        try:
            return Header("dct", *dct_size(data))
        except ValueError as error:
            raise DamageError(f"truncated or damaged dct frame of {len(data)} bytes: {error}") from error
    if data[:3] != _JPEG:
        return read_header(data)
    if (size := jpeg_size(data)) is not None:
        return Header("JPEG", *size)
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    except (ValueError, KeyError) as error:
        _refuse_sampling(data, error)
        why = "subsampling 4:4:1" if isinstance(error, KeyError) else error  # simplejpeg lacks its name
        raise DamageError(
            f"truncated, damaged or unusual header of a JPEG of {len(data)} bytes: {why}"
        ) from error
    check_size(height, width, JPEG_PIXELS_PER_BYTE * len(data), len(data))
    return Header("JPEG", height, width)


def _refuse_sampling(data: Encoded, error: Exception) -> None:
    """Raise FrameError if a JPEG has its end, but a sampling that libjpeg-turbo's interface lacks."""
    if "subsampling" in str(error) and data[-2:] == b"\xff\xd9" and (sampling := jpeg_sampling(data)):
        raise FrameError(
            f"a JPEG of unusual sampling, {sampling}: must be 4:4:4, 4:2:2, 4:2:0, 4:4:0 or 4:1:1; write it "
            "again, for example as PNG"
        ) from error
