"""Lossless transcoding: the same pixels, restart markers where they are wanted, and no damage passed on."""

import io
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from helpers import picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fastclips._native import transcode

FINDINGS = Path(__file__).parent / "fuzz" / "findings"
SUBSAMPLINGS = ("444", "422", "420", "440", "411", "Gray")


def jpeg(height=90, width=131, subsampling="420", quality=88, seed=0):
    pixels = picture(seed, height, width)
    if subsampling == "Gray":
        return simplejpeg.encode_jpeg(pixels[:, :, :1].copy(), quality, "GRAY", "Gray")
    return simplejpeg.encode_jpeg(pixels, quality, "RGB", subsampling)


def by_pillow(mode="RGB", height=90, width=131, **options):
    file = io.BytesIO()
    Image.fromarray(picture(0, height, width)).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def pixels(data, space="RGB", **options):
    return simplejpeg.decode_jpeg(data, space, **options)


def same(one, other):
    for options in ({}, {"fastdct": True}, {"fastupsample": True}):
        for space in ("RGB", "GRAY"):
            np.testing.assert_array_equal(pixels(one, space, **options), pixels(other, space, **options))


def segments(data):
    """Markers before the scan, as (kind, content); then the restart markers within it."""
    found, at = [], 2
    while data[at + 1] != 0xDA:
        length = struct.unpack_from(">H", data, at + 2)[0]
        found.append((data[at + 1], data[at + 4 : at + 2 + length]))
        at += 2 + length
    scan = data[at:]
    markers = [scan[i + 1] for i in range(len(scan) - 1) if scan[i] == 0xFF and 0xD0 <= scan[i + 1] <= 0xD7]
    return found, markers


def interval(data):
    return next((struct.unpack(">H", content)[0] for kind, content in segments(data)[0] if kind == 0xDD), 0)


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_pixels_are_the_same(subsampling):
    for height, width in ((1, 1), (8, 8), (17, 33), (90, 131), (16, 340)):
        data = jpeg(height, width, subsampling)
        for restart in (0, 1, 2, 5, 10**6):
            same(transcode(data, restart), data)


@settings(max_examples=60)
@given(
    st.integers(1, 70),
    st.integers(1, 200),
    st.sampled_from(SUBSAMPLINGS),
    st.integers(1, 100),
    st.integers(0, 30),
)
def test_any_size_and_interval(height, width, subsampling, quality, restart):
    data = jpeg(height, width, subsampling, quality)
    made = transcode(data, restart)
    same(made, data)
    across = {"422": 16, "420": 16, "411": 32}.get(subsampling, 8)
    down = 16 if subsampling in ("420", "440") else 8
    row, rows = -(-width // across), -(-height // down)
    divisors = [d for d in range(1, row + 1) if row % d == 0]
    wanted = min(divisors, key=lambda d: (abs(d - restart), -d)) if restart else 0
    assert interval(made) == wanted
    markers = segments(made)[1]
    count = row * rows // wanted - 1 if wanted else 0
    assert markers == [0xD0 + number % 8 for number in range(count)]
    assert transcode(made, restart) == made  # once is enough


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_progressive_becomes_baseline(mode):
    data = by_pillow(mode, progressive=True, quality=88)
    made = transcode(data, 2)
    assert [kind for kind, _ in segments(made)[0] if 0xC0 <= kind <= 0xC2] == [0xC0]
    same(made, data)


def test_other_restart_markers_are_replaced():
    data = by_pillow(restart_marker_blocks=3, quality=88)
    assert interval(data) == 3
    assert interval(transcode(data, 1)) == 1
    assert interval(transcode(data, 0)) == 0
    same(transcode(data, 1), data)


def test_cmyk_is_kept():
    data = by_pillow("CMYK", quality=88)
    made = transcode(data, 1)
    for one in (data, made):
        assert Image.open(io.BytesIO(one)).mode == "CMYK"
    np.testing.assert_array_equal(*(np.asarray(Image.open(io.BytesIO(one))) for one in (data, made)))
    np.testing.assert_array_equal(pixels(made), pixels(data))


def test_what_decides_colours_is_kept_and_nothing_else():
    exif = Image.Exif()
    exif[0x010E] = "a long description" * 100
    data = by_pillow(exif=exif, icc_profile=b"p" * 3000, comment=b"c" * 500, quality=88)
    made = transcode(data, 0)
    kinds = [kind for kind, _ in segments(made)[0] if kind >= 0xE0]
    assert kinds == [0xE0]  # JFIF
    assert len(made) < len(data) - 5000
    same(made, data)
    rgb = by_pillow(keep_rgb=True, quality=88)  # stored as RGB, which Adobe's marker says
    made = transcode(rgb, 1)
    assert [kind for kind, _ in segments(made)[0] if kind >= 0xE0] == [0xEE]
    same(made, rgb)


def without(data, kind):
    """The file without its segments of a kind."""
    at, out = 2, data[:2]
    while data[at + 1] != 0xDA:
        length = 2 + struct.unpack_from(">H", data, at + 2)[0]
        out += b"" if data[at + 1] == kind else data[at : at + length]
        at += length
    return out + data[at:]


def test_no_marker_at_all():
    """Without JFIF and Adobe, components 1 to 3 are YCbCr; the file made says so."""
    data = without(jpeg(), 0xE0)
    same(transcode(data, 2), data)


def test_tables_of_the_last_file_are_not_used():
    """Quantisation tables that a file lacks are those of none: it is damaged, whatever came before it."""
    data = jpeg()
    transcode(data, 2)
    with pytest.raises(ValueError, match="uantization table"):
        transcode(without(data, 0xDB), 2)
    plain = without(data, 0xC4)  # as in motion JPEG: decoders take the standard's tables then
    transcode(by_pillow(optimize=True, quality=50), 2)
    made = transcode(plain, 2)
    assert made == transcode(data, 2)
    first = transcode(data, 2)
    transcode(jpeg(seed=1), 2)
    assert transcode(data, 2) == first


def test_gray_with_factors():
    """One component is coded block by block, whatever its sampling factors say."""
    data = jpeg(40, 70, "Gray")
    at = data.index(b"\xff\xc0")
    odd = data[: at + 11] + b"\x22" + data[at + 12 :]
    assert data[at + 11] == 0x11
    made = transcode(odd, 3)
    assert made[made.index(b"\xff\xc0") + 11] == 0x11
    assert interval(made) == 3
    np.testing.assert_array_equal(pixels(made, "GRAY"), pixels(odd, "GRAY"))


def test_an_unfinished_progressive_file_is_refused():
    """Decoders guess what its last scans would have said, and would not in a baseline file."""
    data = by_pillow(progressive=True, quality=88)
    last = data.rindex(b"\xff\xda")
    with pytest.raises(ValueError, match="without its last scans"):
        transcode(data[:last] + b"\xff\xd9", 2)


def test_damage_is_an_error():
    data = jpeg(40, 70)
    for end in range(len(data) - 1):
        with pytest.raises(ValueError, match=r"\w+"):
            transcode(data[:end], 2)
    for wrong in (b"", b"\x89PNG\r\n\x1a\n" + bytes(50), data[:-60] + data[-30:]):
        with pytest.raises(ValueError, match=r"\w+"):
            transcode(wrong, 2)
    assert transcode(data, 2)  # and the next file is none the worse


def test_a_header_that_lies_takes_no_memory():
    data = jpeg(40, 70)
    at = data.index(b"\xff\xc0")
    lie = data[: at + 5] + struct.pack(">HH", 65500, 65500) + data[at + 9 :]
    with pytest.raises(ValueError, match="has more pixels"):
        transcode(lie, 2)


def scans(count):
    """A gray block of progressive scans, one for each bit of each coefficient, all of them 0."""

    def segment(kind, content):
        return b"\xff" + bytes([kind]) + struct.pack(">H", len(content) + 2) + content

    one_code = bytes([1] + [0] * 15 + [0])  # of one bit, for "nothing here"
    data = b"\xff\xd8" + segment(0xDB, bytes([0] + [1] * 64))
    data += segment(0xC2, struct.pack(">BHHBBBB", 8, 8, 8, 1, 1, 0x11, 0))
    data += segment(0xC4, b"\0" + one_code) + segment(0xC4, b"\x10" + one_code)
    order = [(0, 0, 0)]
    order += [(k, (bit + 1) % 11, bit) for bit in range(10, -1, -1) for k in range(1, 64)]
    heads = (bytes([1, 1, 0, k, k, high << 4 | low]) for k, high, low in order[:count])
    return data + b"".join(segment(0xDA, head) + b"\x7f" for head in heads) + b"\xff\xd9"


def test_scans_without_end():
    with pytest.raises(ValueError, match="too many scans"):
        transcode(scans(64 * 11), 2)
    with pytest.raises(ValueError, match="without its last scans"):
        transcode(scans(90), 2)


@pytest.mark.parametrize("path", sorted(FINDINGS.iterdir()), ids=lambda path: path.name)
def test_what_the_fuzzer_found(path):
    """A coefficient that no table can hold was once written as garbage."""
    data = path.read_bytes()[9:]
    try:
        made = transcode(data, 2)
    except ValueError:
        return
    same(made, data)
    assert transcode(made, 2) == made


def test_random_damage():
    """Bytes that are overwritten give an error, or the pixels that a decoder makes of them."""
    random = np.random.default_rng(0)
    for data in (jpeg(60, 80), by_pillow(progressive=True), by_pillow("CMYK", restart_marker_rows=1)):
        for _ in range(300):
            wrong = bytearray(data)
            for _ in range(random.integers(1, 6)):
                wrong[random.integers(len(wrong))] = random.integers(256)
            try:
                made = transcode(bytes(wrong), 2)
            except ValueError:
                continue
            np.testing.assert_array_equal(pixels(made), pixels(bytes(wrong)))


def test_threads_do_not_share_a_transcoder():
    files = [jpeg(60 + number, 100, quality=50 + number) for number in range(8)]
    wanted = [transcode(data, 2) for data in files]
    wrong = []

    def run(number):
        made = {transcode(files[number], 2) for _ in range(50)}
        wrong.extend(made - {wanted[number]})

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
