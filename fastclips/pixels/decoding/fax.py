"""Whether a TIFF with the codes of fax machines is whole.

Pillow decodes these with libtiff, which makes pixels of damaged codes, too: it prints what is wrong with some
of them, and says nothing of others. But an encoder has no choice among the codes of a picture. So the pixels
are encoded once more, and the codes must be those of the file.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from PIL import ImageChops
from PIL.TiffImagePlugin import TiffImageFile

if TYPE_CHECKING:
    Encoded = bytes | bytearray | memoryview

__all__ = ["FAX", "is_whole_fax"]

FAX = {"tiff_ccitt", "group3", "group4"}  # of Pillow's names of compressions

_ORIENTATION, _MEANING, _OPTIONS, _STRIP_ROWS = 274, 262, 292, 278  # TIFF's tags
_BIT_ORDER, _STRIPS, _STRIP_BYTES = 266, 273, 279
_WHITE_IS_1 = 1
_TURNED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))  # with the last bit first


def is_whole_fax(image: TiffImageFile, data: Encoded) -> bool:
    """Whether the codes of a file are those of its pixels, as libtiff writes them.

    Parameters
    ----------
    image : TiffImageFile
        The file, loaded. Its compression is one of `FAX`.
    data : bytes-like
        The file.

    Returns
    -------
    bool
        False for a damaged file, for a turned one, and for one of an encoder that adds to the codes.
    """
    tags = image.tag_v2
    if tags.get(_ORIENTATION, 1) != 1 or image.mode != "1":
        return False
    # Without the file's tags, which Pillow would write, too.
    bits = image.copy() if tags.get(_MEANING) == _WHITE_IS_1 else ImageChops.invert(image)
    again = BytesIO()
    options = {_STRIP_ROWS: tags.get(_STRIP_ROWS, image.height), _OPTIONS: tags.get(_OPTIONS, 0)}
    bits.save(again, "TIFF", compression=image.info["compression"], tiffinfo=options)
    first_bit_last = tags.get(_BIT_ORDER, 1) != 1
    again.seek(0)
    made = _strips(TiffImageFile(again), again.getvalue())
    return _strips(image, data) == [strip.translate(_TURNED) if first_bit_last else strip for strip in made]


def _strips(image: TiffImageFile, data: Encoded) -> list[bytes]:
    places = zip(image.tag_v2.get(_STRIPS, ()), image.tag_v2.get(_STRIP_BYTES, ()), strict=False)
    return [bytes(data[start : start + size]) for start, size in places]
