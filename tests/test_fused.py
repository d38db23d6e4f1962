"""The fused pixel stage makes libjpeg-turbo's pixels: of any box, to the last bit, hostile files included."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jpegs import SAMPLINGS, encode, natural, whole
from slow_dct import Frame, as_jpeg, sealed

from fastclips._native import to_dct
from fastclips.pixels.decoding.decoder import Decoder, Rung
from fastclips.spec import StreamSpec

IMAGE, GRAY = StreamSpec("image"), StreamSpec("gray", channels=1)
WAYS = {"pdep": "", "shuffles": "PDEP", "libjpeg-turbo": "FUSED"}  # and what is switched off for them


def decoders(stream):
    made, before = {}, os.environ.get("FASTCLIPS_CPU_DISABLE")
    for way, off in WAYS.items():
        os.environ["FASTCLIPS_CPU_DISABLE"] = off
        made[way] = Decoder(stream, fast_dct=False)
    os.environ.pop("FASTCLIPS_CPU_DISABLE")
    if before is not None:
        os.environ["FASTCLIPS_CPU_DISABLE"] = before
    return made


DECODERS = {False: decoders(IMAGE), True: decoders(GRAY)}


def crop(decoder, frame, size, box, scale, channels, *, mirrored, bypass_cache=False):
    """Decode a box into a row between others, which must not change."""
    top, left, bottom, right = box
    height, width = -(-bottom // scale) - top // scale, -(-right // scale) - left // scale
    rows = np.full((3, height, width, channels), 77, np.uint8)
    rungs = decoder.decode_crops(
        [frame], [1], size, box, scale, rows, mirrored=mirrored, bypass_cache=bypass_cache
    )
    assert rungs[0] <= Rung.WHOLE
    assert (rows[::2] == 77).all()
    return rows[1, :, ::-1] if mirrored else rows[1]


@st.composite
def boxes(draw, height, width):
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return top, left, draw(st.integers(top + 1, height)), draw(st.integers(left + 1, width))


@settings(max_examples=150)
@given(
    data=st.data(),
    sampling=st.sampled_from(sorted(SAMPLINGS)),
    size=st.tuples(st.integers(8, 70), st.one_of(st.integers(1, 70), st.integers(250, 330))),
    quality=st.integers(5, 100),
    scale=st.sampled_from([1, 2]),
    gray=st.booleans(),
    seed=st.integers(0, 3),
)
def test_any_box_of_any_frame(data, sampling, size, quality, scale, gray, seed):
    random = np.random.default_rng(seed)
    pixels = natural(random, *size) if seed % 2 else random.integers(0, 256, (*size, 3), dtype=np.uint8)
    file = encode(pixels, sampling, 0, quality)
    full, frame = whole(file, gray, False, scale), to_dct(file)
    box = data.draw(boxes(*size))
    top, left, bottom, right = box
    expected = full[top // scale : -(-bottom // scale), left // scale : -(-right // scale)]
    mirrored = bool(seed // 2)
    for decoder in DECODERS[gray].values():
        found = decoder.decode(frame, box, scale)
        assert (found.top, found.left) == (top // scale, left // scale)
        np.testing.assert_array_equal(found.pixels, expected)
        row = crop(decoder, frame, size, box, scale, full.shape[2], mirrored=mirrored)
        np.testing.assert_array_equal(row, expected)


@pytest.mark.parametrize("left", [15, 16])
@pytest.mark.parametrize("mirrored", [False, True])
def test_rows_past_the_caches(left, mirrored):
    """Of 512 bytes or more, a multiple of 16."""
    file = encode(natural(np.random.default_rng(5), 40, 300))
    expected = whole(file, fast_dct=False)[3:30, left : left + 224]
    for decoder in DECODERS[False].values():
        row = crop(
            *(decoder, to_dct(file), (40, 300), (3, left, 30, left + 224), 1, 3),
            mirrored=mirrored,
            bypass_cache=True,
        )
        np.testing.assert_array_equal(row, expected)


def hostile(random, sampling):
    """A frame of blocks of every kind for tables that make any number of 16 bits of them."""
    blocks = []
    for number in range(3 * 20 * 6):
        block = np.zeros(64, int)
        places = random.permutation([0, 1, 5, 6, 14, 15, 27, 28] if number % 3 == 0 else 64)[:5]
        block[places] = random.integers(-2, 3, len(places))  # row 0 only, or anywhere
        blocks.append(block.tolist())
    count = 6 if sampling == 0x22 else 4 if sampling == 0x21 else 3
    taken = iter(blocks)
    mcus = [[[next(taken) for _ in range(count)] for _ in range(20)] for _ in range(3)]
    across, down = sampling >> 4, sampling & 15
    return Frame(24 * down, 160 * across, sampling, 1, [[256] * 64] * 3, mcus)


@pytest.mark.parametrize("largest", [2**7, 2**12, 2**14, 2**16])
@pytest.mark.parametrize("sampling", [0x22, 0x21, 0x11])
def test_hostile_tables(sampling, largest):
    """Sums overflow and wrap, as in no picture; packing refuses such frames, so they must be forged."""
    random = np.random.default_rng(largest + sampling)
    frame = hostile(random, sampling)
    coded = to_dct(as_jpeg(frame))
    assert coded[16] == 0x81
    table = random.integers(largest // 2, largest, 64)
    forged = sealed(coded[:18] + table.astype("<u2").tobytes() + coded[18 + 128 :])
    frame.tables = [table.tolist()] * 3
    file = as_jpeg(frame)
    if os.environ.get("JSIMD_FORCENONE") or os.uname().machine != "x86_64":
        pytest.skip("libjpeg-turbo's plain code has other overflows than its vectors")
    for scale in (1, 2):
        for gray in (False, True):
            for decoder in DECODERS[gray].values():
                found = decoder.decode(forged, None, scale).pixels
                np.testing.assert_array_equal(found, whole(file, gray, False, scale))
