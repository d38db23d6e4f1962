"""TIFFs with the codes of fax machines: served if they are whole."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from fastclips.errors import FrameError
from fastclips.pixels.decoding.decoder import Decoder
from fastclips.spec import StreamSpec


def encoded(image, compression, tags):
    file = BytesIO()
    Image.fromarray(image).save(file, "TIFF", compression=compression, tiffinfo=tags)
    return file.getvalue()


def mask_of(data):
    return Decoder(StreamSpec("mask", kind="mask")).decode(data).pixels


@pytest.mark.parametrize("compression", ["tiff_ccitt", "group3", "group4"])
@pytest.mark.parametrize(
    "tags", [{}, {278: 7}, {262: 0}, {266: 2}, {292: 1}, {278: 5, 266: 2, 262: 0}], ids=str
)
def test_fax_codes(compression, tags):
    """libtiff makes pixels of damaged codes, too. Those that remain are the right codes of other pixels."""

    image = np.random.default_rng(1).integers(0, 9, (40, 61)) > 4
    data, refused = encoded(image, compression, tags), 0
    assert np.array_equal(mask_of(data), image)
    codes = Image.open(BytesIO(data)).tag_v2
    start, end = codes[273][0], codes[273][-1] + codes[279][-1]
    for at in range(start, end):
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        try:
            pixels = mask_of(damaged)
        except FrameError:
            refused += 1
        else:
            assert encoded(pixels > 0, compression, tags) == damaged
    assert refused > 0.9 * (end - start)
    middle, length = (start + end) // 2, (end - start) // 4
    for cut in (data[:middle] + bytes(length) + data[middle + length :], data[:middle] + data[middle + 1 :]):
        with pytest.raises(FrameError, match="damaged"):
            mask_of(cut)


def test_a_fax_that_cannot_be_checked():
    turned = encoded(np.eye(9, 14, dtype=bool), "group4", {274: 6})
    with pytest.raises(FrameError, match="if it is not damaged, write it again as PNG"):
        mask_of(turned)
