"""Whether a TIFF of JPEG strips or tiles is whole.

Pillow decodes these with libtiff, which makes pixels of damaged strips, too. So each strip is decoded once
more, as a JPEG file of its own, by a decoder that reports damage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import simplejpeg

if TYPE_CHECKING:
    from PIL.TiffImagePlugin import TiffImageFile

    Encoded = bytes | bytearray | memoryview

__all__ = ["JPEG", "is_whole_tiff_jpeg"]

JPEG = "jpeg"  # Pillow's name of the compression
_TABLES = 347  # TIFF's tag: the tables that the strips share, as a JPEG without a picture
_PLACES = ((273, 279), (324, 325))  # tags of starts and numbers of bytes: of strips, of tiles
_MARKER = 2  # bytes of a marker, such as that of the start or the end of a JPEG
_INKS = 4  # channels of CMYK
_TILE = 2**22  # pixels of a tile at most; it may be larger than the picture


def is_whole_tiff_jpeg(image: TiffImageFile, data: Encoded) -> bool:
    """Whether all strips or tiles of a file, whose compression is `JPEG`, can be decoded without a warning.

    Those of a sampling that the decoder lacks are not looked at.

    Parameters
    ----------
    image : TiffImageFile
        The file.
    data : bytes-like
        The file.
    """
    tags = image.tag_v2
    tables = tags.get(_TABLES, b"")[:-_MARKER]
    for starts, sizes in _PLACES:
        for start, size in zip(tags.get(starts, ()), tags.get(sizes, ()), strict=False):
            strip = bytes(data[start : start + size])
            jpeg = tables + strip[_MARKER:] if tables else strip
            try:
                height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
                if height * width > max(image.height * image.width, _TILE):
                    return False  # libtiff would refuse it, too
                simplejpeg.decode_jpeg(jpeg, "CMYK" if len(image.getbands()) == _INKS else "GRAY")
            except KeyError:  # a sampling that simplejpeg has no name for
                continue
            except ValueError as error:
                if "subsampling" not in str(error):
                    return False
    return True
