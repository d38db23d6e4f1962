"""Dct frames: the coefficients of a JPEG in another code, so the same pixels for any box, reader, scale."""

import hashlib
import os
import struct
from collections import Counter
from io import BytesIO

import numpy as np
import pytest
import simplejpeg
from jpegs import SAMPLINGS, check, encode, natural, random_box, whole
from PIL import Image
from slow_dct import SELECTORS, ZIGZAG, as_jpeg, cheapest_selector, crc32c, read, sealed

from fastclips._native import DCT_MAGIC, Crop, RegionDecoder, dct_size, to_dct, transcode
from fastclips.errors import DamageError, FrameError
from fastclips.pixels.decoding.decoder import Decoder, Rung, frame_mode, frame_size
from fastclips.spec import StreamSpec

IMAGE, GRAY = StreamSpec("image"), StreamSpec("gray", channels=1)
MASK = StreamSpec("mask", kind="mask")
# And what is switched off for them; with the exact transform, the first two make pixels by the fused stage.
READERS = {"pdep": "", "shuffles": "PDEP", "libjpeg": "FUSED", "plain": "AVX2,SSE4_2"}


def decoder(stream=IMAGE, reader="pdep", **options):
    before = os.environ.get("FASTCLIPS_CPU_DISABLE")
    os.environ["FASTCLIPS_CPU_DISABLE"] = READERS[reader]
    try:
        return Decoder(stream, **options)
    finally:
        os.environ.pop("FASTCLIPS_CPU_DISABLE")
        if before is not None:
            os.environ["FASTCLIPS_CPU_DISABLE"] = before


DECODERS = {
    (reader, gray, fast): decoder(GRAY if gray else IMAGE, reader, fast_dct=fast)
    for reader in READERS
    for gray in (False, True)
    for fast in (False, True)
}


def coded(data):
    return to_dct(transcode(data, 2))


def any_picture(random, size):
    """A photograph, noise, or a flat area."""
    kind = random.integers(4)
    if kind == 0:
        return random.integers(0, 256, (*size, 3), dtype=np.uint8)
    if kind == 1:
        return np.full((*size, 3), random.integers(0, 256, 3), np.uint8)
    return natural(random, *size)


FRAME = natural(np.random.default_rng(0), 72, 300)
JPEG = encode(FRAME)
DCT = coded(JPEG)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("quality", [1, 30, 75, 95, 100])
def test_the_format(sampling, quality):
    """A reader in plain Python, which knows the documentation only, finds the JPEG's coefficients."""
    random = np.random.default_rng(quality)
    height, width = random.integers(8, 120, 2).tolist()
    size = height, width + 180 * (quality == 75)
    data = encode(any_picture(random, size), sampling, quality=quality)
    frame = read(coded(data))
    assert (frame.height, frame.width) == size
    for gray in (False, True):
        np.testing.assert_array_equal(whole(as_jpeg(frame), gray), whole(data, gray))


def test_the_selectors_are_frozen():
    """The code, which `test_the_format` compares with the page, cannot change."""
    assert len(SELECTORS) == 255
    digest = hashlib.sha256(repr(SELECTORS).encode()).hexdigest()
    assert digest == "95d838516c7b4263960b4e072ec6c47fa92b28db2afade8e0af51bb93d33ca28"


def test_each_block_has_the_cheapest_selector():
    random, found = np.random.default_rng(0), Counter()
    for quality in (10, 50, 88, 97, 100):
        for size in ((8, 40), (31, 24)):
            frame = read(to_dct(encode(any_picture(random, size), "420", 0, quality)))
            blocks = [block for row in frame.blocks for mcu in row for block in mcu]
            assert frame.selectors == [cheapest_selector(block) for block in blocks]
            found.update(frame.selectors)
    assert len(found) > 30
    assert found[255]


@pytest.mark.slow
def test_usual_jpegs_can_be_transcoded():
    """So `pack` need not transcode them to learn that they are whole."""
    random, counts = np.random.default_rng(0), Counter()
    for _ in range(1500):
        data = bytearray(JPEG if random.integers(2) else encode(FRAME[:24, :40], "444", 3, 97))
        for _ in range(random.integers(3)):
            data[int(random.integers(len(data) if random.integers(2) else 640))] ^= 1 << int(
                random.integers(8)
            )
        usual = to_dct(bytes(data), usual=True)
        counts[usual is not None] += 1
        if usual is not None:
            transcode(bytes(data), 2)
            assert usual == to_dct(bytes(data))
    assert min(counts.values()) > 300
    data = bytearray(JPEG)
    data[data.index(b"JFIF\0") + 5] = 2  # a version of which libjpeg warns
    assert to_dct(bytes(data)) is not None
    assert to_dct(bytes(data), usual=True) is None
    with pytest.raises(ValueError, match="JFIF"):
        transcode(bytes(data), 2)


@pytest.mark.slow
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_any_box_of_any_frame(sampling):
    """By each reader, with and without the exact transform, in gray and in colour, at each scale."""
    random = np.random.default_rng(sorted(SAMPLINGS).index(sampling))
    rungs = Counter()
    for _ in range(150):
        size = tuple(random.integers(1, 150, 2).tolist())
        if random.integers(3) == 0:
            size = size[0] % 30 + 1, size[1] + 300  # several anchors
        if max(size) < 8:
            continue
        restart, quality = int(random.integers(0, 9)), int(random.choice([2, 50, 88, 97, 100]))
        data = encode(
            any_picture(random, size), sampling, restart, quality, optimize=bool(random.integers(2))
        )
        frame = coded(data)
        assert dct_size(frame) == frame_size(frame) == size
        for scale in (1, 2, 4, 8):
            gray, fast = random.integers(0, 2, 2).tolist()
            full = whole(data, gray, fast, scale)
            for reader in READERS:
                for _ in range(3):
                    box = random_box(random, *size)
                    found = DECODERS[reader, gray, fast].decode(frame, box, scale)
                    rungs[found.rung] += 1
                    check(found, full, box, scale)
    assert min(rungs[Rung.SLICED], rungs[Rung.WHOLE]) > 300, rungs
    assert set(rungs) == {Rung.SLICED, Rung.WHOLE}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_all_readers_agree(reader, sampling):
    """Noise of the highest quality has every group, and coefficients of every width."""
    random = np.random.default_rng(0)
    for quality, pixels in ((100, random.integers(0, 256, (70, 290, 3), dtype=np.uint8)), (88, FRAME)):
        data = encode(pixels, sampling, quality=quality)
        found = DECODERS[reader, False, False].decode(coded(data))
        np.testing.assert_array_equal(found.pixels, whole(data))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer(kind):
    assert frame_size(kind(DCT)) == (72, 300)
    assert frame_mode(kind(DCT)) == "JPEG"
    np.testing.assert_array_equal(Decoder(IMAGE).decode(kind(DCT)).pixels, whole(JPEG))
    assert Decoder(IMAGE).reads_boxes(kind(DCT))


def test_crops_in_one_call():
    files = [JPEG, DCT, encode(FRAME, "444")]
    files.append(coded(files[2]))
    box, out = (8, 20, 40, 276), np.zeros((2, 4, 32, 256, 3), np.uint8)
    for i, mirrored in enumerate((False, True)):
        crop = Crop((72, 300), box, mirrored=mirrored, bypass_cache=mirrored)
        rungs = Decoder(IMAGE).decode_crops(files, [0, 1, 2, 3], crop, out[i])
        assert max(rungs) <= Rung.WHOLE
    np.testing.assert_array_equal(out[:, [0, 2]], out[:, [1, 3]])
    np.testing.assert_array_equal(out[0], out[1, :, :, ::-1])
    np.testing.assert_array_equal(out[0, 0], whole(JPEG)[8:40, 20:276])


@pytest.mark.slow
def test_long_offsets():
    """Of a frame of 64 KiB or more."""
    noise = np.random.default_rng(1).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    data = encode(noise, "444", quality=100)
    frame = coded(data)
    assert len(frame) > 2**16
    assert frame[6] == 1 | 4
    np.testing.assert_array_equal(Decoder(IMAGE).decode(frame, (100, 150, 140, 190)).pixels.shape[2], 3)
    np.testing.assert_array_equal(whole(as_jpeg(read(frame))), whole(data))
    full = whole(data)
    check(Decoder(IMAGE).decode(frame, (100, 150, 140, 190)), full, (100, 150, 140, 190))


def test_tables_of_their_own():
    """Standard tables take a byte, equal ones are kept once, and entries may have two bytes."""
    assert DCT[7] == 88
    random = np.random.default_rng(2)
    for count in (1, 2, 3):
        tables = [random.integers(1, 40, 64).tolist() for _ in range(count)]
        file = BytesIO()
        Image.fromarray(FRAME).save(file, "JPEG", qtables=tables[:2] if count > 1 else tables)
        frame = coded(file.getvalue())
        assert frame[7] == 0
        assert frame[16] == min(count, 2)
        np.testing.assert_array_equal(Decoder(IMAGE).decode(frame).pixels, whole(file.getvalue()))
    wide = read(DCT)
    wide.tables = [[300 + i + c for i in range(64)] for c in range(3)]
    wide.blocks = [[[[b // 40 for b in block] for block in mcu] for mcu in row] for row in wide.blocks]
    data = as_jpeg(wide)
    frame = coded(data)
    assert frame[16] == 3 | 0x80
    assert read(frame).tables == wide.tables
    np.testing.assert_array_equal(Decoder(IMAGE).decode(frame).pixels, whole(data))


def test_rgb():
    """Without a transform of colours, as Adobe's marker says."""
    rgb = simplejpeg.encode_jpeg(np.ascontiguousarray(FRAME), 90, "RGB", "444")
    file = BytesIO()
    Image.fromarray(FRAME).save(file, "JPEG", quality=90, keep_rgb=True, subsampling=0)
    assert coded(rgb)[6] == 1
    assert coded(file.getvalue())[6] == 2
    for gray in (False, True):
        found = DECODERS["pdep", gray, False].decode(coded(file.getvalue())).pixels
        np.testing.assert_array_equal(found, whole(file.getvalue(), gray))


def test_frames_that_do_not_fit():
    """Coefficients that no picture has, for which transforms of other libraries need not agree."""
    assert coded(encode(FRAME[:7, :7])) is None  # simplejpeg decides on their scale
    assert coded(encode(FRAME[:8, :7])) is not None
    at = JPEG.index(b"\xff\xdb") + 5
    hostile = JPEG[:at] + bytes([255] * 64) + JPEG[at + 64 :]
    assert coded(hostile) is None
    cmyk = BytesIO()
    Image.fromarray(FRAME).convert("CMYK").save(cmyk, "JPEG")
    assert coded(cmyk.getvalue()) is None
    frame = read(DCT)
    frame.tables = [[1] * 64] * 3
    column = [at for at in range(1, 64) if ZIGZAG[at] % 8 == 3]
    for total, fits in ((2952, True), (2953, False)):
        block = [0] * 64
        for place in column[:3]:
            block[place] = 984
        block[column[0]] += total - 3 * 984
        frame.blocks = [[[block] * 6] * 19] * 5
        assert (coded(as_jpeg(frame)) is not None) is fits


def test_the_checksum():
    assert crc32c(b"123456789") == 0xE3069283
    assert sealed(DCT) == DCT
    for reader in READERS:
        DECODERS[reader, False, True].decode(DCT)


@pytest.mark.parametrize(
    "stream", [IMAGE, GRAY, MASK, StreamSpec("depth", kind="depth")], ids=lambda s: s.name
)
def test_every_change_is_found(stream):
    random = np.random.default_rng(3)
    small = coded(encode(FRAME[:17, :20]))
    changed = [
        small[:at] + bytes([small[at] ^ 1 << int(random.integers(8))]) + small[at + 1 :]
        for at in range(len(small))
    ]
    cut = [small[:end] for end in range(4, len(small))]
    for data in (*changed[4:], *cut, small + b"\0"):
        for ask in (lambda d: Decoder(stream).decode(d), frame_size):
            with pytest.raises(DamageError, match="dct frame"):
                ask(data)
        decoded = RegionDecoder(gray=False, fast_dct=True).decode(
            data, np.empty(9, np.uint8), (0, 0, 9, 9), 1
        )
        assert decoded is None
    for data in changed[:4]:
        with pytest.raises(DamageError):
            frame_size(data)


def test_messages():
    with pytest.raises(DamageError, match="its version is 2, but this fastclips reads version 1: update"):
        frame_size(sealed(DCT[:4] + b"\2" + DCT[5:]))
    with pytest.raises(DamageError, match=f"damaged dct frame of {len(DCT)} bytes: its checksum is wrong"):
        Decoder(IMAGE).decode(DCT[:99] + b"\0\1\2" + DCT[102:], (0, 0, 9, 9))
    with pytest.raises(DamageError, match="ends within its header"):
        frame_size(DCT_MAGIC + b"\1")
    with pytest.raises(FrameError, match="a JPEG, which changes the values of a mask"):
        Decoder(MASK).decode(DCT)
    with pytest.raises(FrameError, match="changes the numbers of depth"):
        Decoder(StreamSpec("depth", kind="depth")).decode(DCT)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (5, b"\x13"),  # sampling
        (6, b"\3"),  # colours
        (6, b"\x81"),  # unknown flags
        (7, b"\x65"),  # quality
        (7, b"\0"),  # tables, which are not there
        (8, struct.pack("<H", 97)),  # height, of more rows of MCUs
        (8, struct.pack("<H", 65535)),
        (8, struct.pack("<HH", 7, 7)),
        (10, b"\0\0"),  # width
        (16, b"\xff\xff"),  # the end of the first row: found when it is read
    ],
)
def test_headers_that_cannot_be(at, value):
    wrong = sealed(DCT[:at] + value + DCT[at + len(value) :])
    with pytest.raises(DamageError, match="its header cannot be" if at < 16 else "cannot be read"):
        Decoder(IMAGE).decode(wrong)


@pytest.mark.parametrize("reader", READERS)
def test_wrong_bits_under_a_right_checksum(reader):
    """Whatever they are, nothing outside the frame is read: an error, or pixels. All readers agree."""
    random = np.random.default_rng(4)
    small = coded(encode(FRAME[:40, :280], "420"))
    damaged = 0
    for _ in range(80):
        data = bytearray(small)
        for at in random.integers(16, len(data), random.integers(1, 4)):
            data[at] = random.integers(256)
        wrong = sealed(bytes(data))
        results = []
        for name in {reader, "plain"}:
            try:
                results.append(DECODERS[name, False, True].decode(wrong).pixels.tobytes())
            except DamageError as error:
                results.append(str(error))
        assert len(set(results)) == 1
        damaged += isinstance(results[0], str)
    assert damaged > 5
