"""The fused pixel stage makes libjpeg-turbo's pixels: of any box, to the last bit, hostile files included."""

import os
from io import BytesIO
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jpegs import SAMPLINGS, encode, natural, whole
from PIL import Image
from slow_dct import ZIGZAG, Frame, as_jpeg, sealed

from fastclips._native import Crop, to_dct
from fastclips.errors import DamageError
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
    how = Crop(size, box, scale, mirrored=mirrored, bypass_cache=bypass_cache)
    rungs = decoder.decode_crops([frame], [1], how, rows)
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
    restart=st.integers(0, 3),
    quality=st.integers(5, 100),
    scale=st.sampled_from([1, 2]),
    gray=st.booleans(),
    seed=st.integers(0, 3),
)
def test_any_box_of_any_frame(data, sampling, size, restart, quality, scale, gray, seed):
    random = np.random.default_rng(seed)
    pixels = natural(random, *size) if seed % 2 else random.integers(0, 256, (*size, 3), dtype=np.uint8)
    file = encode(pixels, sampling, restart, quality)
    full = whole(file, gray, False, scale)
    box = data.draw(boxes(*size))
    top, left, bottom, right = box
    expected = full[top // scale : -(-bottom // scale), left // scale : -(-right // scale)]
    mirrored = bool(seed // 2)
    frames = [frame for frame in (file, to_dct(file)) if frame]  # noise may leave the bounds of packing
    for decoder, frame in product(DECODERS[gray].values(), frames):
        found = decoder.decode(frame, box, scale)
        assert found.rung <= Rung.WHOLE
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
    row = [k for k in range(64) if ZIGZAG[k] < 8]
    kinds = [range(64), range(10), row, row[:4]]  # anywhere, in the first two groups, in row 0, in both
    blocks = []
    for number in range(3 * 20 * 6):
        block = np.zeros(64, int)
        places = random.permutation(kinds[number % 4])[:5]
        block[places] = random.integers(-2, 3, len(places))
        blocks.append(block.tolist())
    count = 6 if sampling == 0x22 else 4 if sampling == 0x21 else 3
    taken = iter(blocks)
    mcus = [[[next(taken) for _ in range(count)] for _ in range(20)] for _ in range(3)]
    across, down = sampling >> 4, sampling & 15
    return Frame(24 * down, 160 * across, sampling, 1, [[256] * 64] * 3, mcus, [])


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
            for decoder, data in product(DECODERS[gray].values(), (file, forged)):
                found = decoder.decode(data, None, scale).pixels
                np.testing.assert_array_equal(found, whole(file, gray, False, scale))


def colors():
    """JPEGs whose colours are YCbCr or RGB by each of libjpeg's rules."""
    pixels = natural(np.random.default_rng(6), 40, 56)
    plain, red = encode(pixels, "444"), BytesIO()
    Image.fromarray(pixels).save(red, "JPEG", keep_rgb=True, subsampling=0)
    jfif = plain.index(b"\xff\xe0")
    bare = plain[:jfif] + plain[jfif + 18 :]
    yield "JFIF", plain
    yield "JFIF of another version", plain[: jfif + 9] + b"\x02" + plain[jfif + 10 :]
    yield "names 1, 2, 3", bare
    yield "Adobe's RGB", red.getvalue()
    for transform in (0, 1, 7):
        adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform])
        yield f"Adobe's {transform}", bare[:2] + adobe + bare[2:]
        yield f"JFIF and Adobe's {transform}", plain[: jfif + 18] + adobe + plain[jfif + 18 :]
    for names in (b"RGB", b"\0\1\2"):
        named, sof, sos = bytearray(bare), bare.index(b"\xff\xc0"), bare.index(b"\xff\xda")
        for component, name in enumerate(names):
            named[sof + 10 + 3 * component] = named[sos + 5 + 2 * component] = name
        yield f"names {names}", bytes(named)


COLORS = dict(colors())


@pytest.mark.parametrize("kind", COLORS)
def test_colors(kind):
    """As libjpeg decides on them; what it warns of is damage."""
    for gray in (False, True):
        for decoder in DECODERS[gray].values():
            try:
                full = whole(COLORS[kind], gray, False)
            except ValueError:
                with pytest.raises(DamageError):
                    decoder.decode(COLORS[kind], (3, 5, 30, 50))
                continue
            found = decoder.decode(COLORS[kind], (3, 5, 30, 50))
            assert found.rung < Rung.WHOLE
            np.testing.assert_array_equal(found.pixels, full[3:30, 5:50])
