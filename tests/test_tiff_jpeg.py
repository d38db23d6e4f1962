"""TIFFs of JPEG strips: damage that libtiff makes pixels of is an error."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from fastclips.errors import FrameError
from fastclips.pixels.decoding.decoder import Decoder
from fastclips.spec import StreamSpec


def saved(mode, rows=None):
    values = (
        np.random.default_rng(0).integers(0, 255, (12, 16, 4), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    )
    channels = {"L": 0, "RGB": slice(3), "CMYK": slice(4)}[mode]
    file = BytesIO()
    tags = {} if rows is None else {278: rows}
    Image.fromarray(values[..., channels], mode).save(file, "TIFF", compression="jpeg", tiffinfo=tags)
    return file.getvalue()


def pixels_of(data):
    return Decoder(StreamSpec("image")).decode(data).pixels


@pytest.mark.parametrize("rows", [None, 16])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_whole_files(mode, rows):
    data = saved(mode, rows)
    assert np.array_equal(pixels_of(data), np.asarray(Image.open(BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("strip", [0, -1])
@pytest.mark.parametrize("fill", [b"\xff", b"\x00"])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_damaged_strips(mode, fill, strip):
    data = saved(mode)
    tags = Image.open(BytesIO(data)).tag_v2
    start, size = tags[273][strip], tags[279][strip]
    middle, end = start + size // 2, start + size
    damaged = data[:middle] + fill * (end - middle) + data[end:]
    with pytest.raises(FrameError, match="damaged"):
        pixels_of(damaged)


def test_a_strip_that_says_it_is_huge():
    data = bytearray(saved("L"))
    start = Image.open(BytesIO(data)).tag_v2[273][0]
    frame = data.index(b"\xff\xc0", start) + 5  # height and width, 2 bytes each
    data[frame : frame + 4] = b"\xff\xdc\xff\xdc"
    with pytest.raises(FrameError, match="damaged"):
        pixels_of(data)
