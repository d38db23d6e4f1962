"""Damaged JPEGs with a box: what the whole frame would show, or the error that it would raise."""

import random
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jpegs import SAMPLINGS, check, encode, markers, natural, whole

from fastclips._native import RegionDecoder, jpeg_size
from fastclips.errors import FrameError
from fastclips.pixels.decoding.decoder import Decoder, Rung, frame_size
from fastclips.spec import StreamSpec

FRAME = natural(np.random.default_rng(0), 40, 72)
BOX = (2, 5, 14, 30)  # near the top, so that damage further down is not in the way
INTERVALS = [0, 1, 2, 5, 10, 3]
DECODER = Decoder(StreamSpec("image"))
FINDINGS = Path(__file__).parent / "fuzz" / "findings"


def agrees(data, box=BOX):
    """Decode a box of what may be damaged: right, or the error of the whole frame."""
    try:
        full = whole(data)
    except (ValueError, OverflowError):
        full = None
    try:
        decoded = DECODER.decode(data, box)
    except FrameError:
        assert full is None
        return None
    assert full is not None
    bottom, right = min(box[2], full.shape[0]), min(box[3], full.shape[1])
    if box[0] < bottom and box[1] < right:
        check(decoded, full, (box[0], box[1], bottom, right))
    return decoded


@pytest.mark.parametrize("interval", INTERVALS)
def test_cut_short_anywhere(interval):
    """Also where nothing that the box needs is missing."""
    data = encode(FRAME, restart=interval)
    for size in range(len(data)):
        for given_box in (BOX, (0, 0, 40, 72)):
            with pytest.raises(FrameError):
                DECODER.decode(data[:size], given_box)
    assert agrees(data)


@pytest.mark.parametrize("interval", [1, 2, 5])
def test_markers_removed_swapped_doubled_renamed(interval):
    data = encode(FRAME, restart=interval)
    for number, at in enumerate(markers(data)):
        gone = data[:at] + data[at + 2 :]
        doubled = data[:at] + data[at : at + 2] + data[at:]
        renamed = data[: at + 1] + bytes([0xD0 + (number + 3) % 8]) + data[at + 2 :]
        stuffed = data[: at + 1] + b"\0" + data[at + 2 :]
        for damaged in (gone, doubled, renamed, stuffed):
            found = agrees(damaged)
            assert found is None or found.rung is Rung.WHOLE


def test_segments_out_of_order_are_a_frame_of_their_own():
    """Two of them swapped, markers in order: nothing says that it is not so."""
    data = encode(FRAME, restart=1)
    first, second, third = markers(data)[:3]
    swapped = data[: first + 2] + data[second + 2 : third] + data[second : second + 2]
    swapped += data[first + 2 : second] + data[third:]
    assert agrees(swapped).rung is Rung.SLICED


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("interval", [*INTERVALS, 20])
@pytest.mark.parametrize(("height", "width"), [(24, 72), (56, 72), (40, 40), (40, 88), (400, 720), (1, 1)])
def test_a_header_that_lies_about_the_size(interval, height, width, optimize):
    """Found out, even if the box lies where the lie does not matter yet."""
    data = bytearray(encode(FRAME, restart=interval, optimize=optimize))
    struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, height, width)
    lying = bytes(data)
    with pytest.raises(ValueError, match=r"Corrupt|Premature"):
        whole(lying)
    with pytest.raises(FrameError):
        DECODER.decode(lying, BOX)


@pytest.mark.parametrize("sampling", ["gray", "444"])
def test_a_lie_that_makes_whole_segments_of_parts(sampling):
    """Segments of 4 and 3 MCUs become two rows of 4: only the last can tell."""
    data = bytearray(encode(natural(np.random.default_rng(0), 8, 56), sampling, 4))
    struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, 16, 32)
    with pytest.raises(FrameError):
        DECODER.decode(data, (0, 0, 8, 32))


@pytest.mark.parametrize("name", [0x13, 0x10])
def test_a_table_of_too_many_symbols(name):
    """Refused even where nobody reads by it, or another of that name follows."""
    data = encode(FRAME)
    body = bytes([name, *[0] * 14, 200, 100, *bytes(300)])
    at = data.index(b"\xff\xc4")
    damaged = data[:at] + b"\xff\xc4" + struct.pack(">H", 2 + len(body)) + body + data[at:]
    with pytest.raises(FrameError):
        DECODER.decode(damaged, BOX)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("sampling", [0x13, 0x14, 0x24, 0x42, 0x44])
def test_a_header_that_lies_about_the_subsampling(sampling, padded):
    """0x14 is 4:4:1, which simplejpeg decodes and has no name for."""
    data = bytearray(encode(FRAME))
    data[data.index(b"\xff\xc0") + 11] = sampling
    lying = bytes(data[:2] + b"\xff" * padded + data[2:])
    with pytest.raises(FrameError):
        DECODER.decode(lying, BOX)
    if padded:
        with pytest.raises(FrameError):
            frame_size(lying)


def test_a_header_that_swaps_height_and_width():
    """As many MCUs in other rows: nobody can tell."""
    data = bytearray(encode(natural(np.random.default_rng(0), 48, 96)))
    struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, 96, 48)
    check(DECODER.decode(data, BOX), whole(data), BOX)


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("marker", [b"\xff\xdb", b"\xff\xc4"])
def test_tables_of_the_frame_before_are_not_taken(marker, interval):
    data = encode(FRAME, restart=interval)
    at = -1
    while (at := data.find(marker, at + 1)) >= 0:
        check(DECODER.decode(data, BOX), whole(data), BOX)
        (length,) = struct.unpack_from(">H", data, at + 2)
        found = agrees(data[:at] + data[at + 2 + length :])
        assert found is None or found.rung is Rung.WHOLE


@pytest.mark.parametrize("value", [0, 1, 2, 7, 500, 65535])
@pytest.mark.parametrize("interval", [2, 5])
def test_a_header_that_lies_about_the_interval(interval, value):
    data = bytearray(encode(FRAME, restart=interval))
    struct.pack_into(">H", data, data.index(b"\xff\xdd") + 4, value if value != interval else 3)
    found = agrees(bytes(data))
    assert found is None or found.rung is Rung.WHOLE


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", bytes(100)]
)
def test_hardly_anything(data):
    assert jpeg_size(data) is None
    assert RegionDecoder(gray=False, fast_dct=True).decode(data, np.empty(9, np.uint8), BOX, 1) is None
    with pytest.raises(FrameError):
        DECODER.decode(data, BOX)
    with pytest.raises(FrameError):
        frame_size(data)


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("tail", [b"\0", b"\xff", b"\xff\xd8\xff\xe0", bytes(1000), b"\xff\xd9"])
def test_what_follows_the_end_does_not_matter(interval, tail):
    data = encode(FRAME, restart=interval)
    decoded = DECODER.decode(data + tail, BOX)
    assert decoded.rung in (Rung.SLICED, Rung.CROPPED)
    check(decoded, whole(data), BOX)


@pytest.mark.parametrize("interval", INTERVALS)
def test_an_end_that_comes_too_soon(interval):
    """Something is missing, but not the end."""
    data = encode(FRAME, restart=interval)
    for size in range(len(data) // 2, len(data) - 4):
        with pytest.raises(FrameError):
            DECODER.decode(data[:size] + b"\xff\xd9", (20, 40, 40, 72))


def test_several_scans_and_fill_bytes_are_for_the_whole_frame():
    """Legal, rare, and not worth a way of their own."""
    data = encode(FRAME, restart=2)
    first = markers(data)[0]
    filled = data[:first] + b"\xff" + data[first:]
    padded = data[:2] + b"\xff" + data[2:]
    for unusual in (filled, padded):
        assert agrees(unusual).rung is Rung.WHOLE


DAMAGED = [encode(FRAME, sampling, restart) for sampling in SAMPLINGS for restart in (0, 1, 6)]


@pytest.mark.slow
@given(st.sampled_from(DAMAGED), st.integers(0, 2**32), st.integers(1, 4), st.sampled_from([1, 2, 4, 8]))
@settings(max_examples=1000)
def test_changed_bytes(data, seed, count, scale):
    """What the whole frame shows without a complaint, its parts show too."""
    draws = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(count):
        damaged[draws.randrange(len(data))] = draws.choice([0, 0xFF, 0xD0, 0xD9, draws.randrange(256)])
    try:
        full = whole(damaged, scale=scale)
    except (ValueError, AssertionError):  # or it is another size that has such scaled ones
        full = None
    try:
        decoded = DECODER.decode(damaged, BOX, scale)
    except FrameError:
        assert full is None or max(full.shape) * scale < 1000
        return
    if full is not None and decoded.scale == scale:
        height, width = full.shape[0] * scale, full.shape[1] * scale
        check(decoded, full, (*BOX[:2], min(BOX[2], height), min(BOX[3], width)), scale)


@pytest.mark.parametrize("path", sorted(FINDINGS.glob("*")), ids=lambda path: path.name)
def test_findings_of_the_fuzzer(path):
    """Its first 9 bytes ask for a box, a scale and a kind of decoder; see fuzz/jpeg.cpp."""
    data = path.read_bytes()
    top, left, bottom, right, mode = struct.unpack_from("<4HB", data)
    decoder = Decoder(
        StreamSpec("gray", channels=1) if mode & 4 else StreamSpec("image"), fast_dct=bool(mode & 8)
    )
    try:
        decoder.decode(data[9:], (top, left, bottom, right), 1 << (mode & 3))
    except FrameError as error:
        assert str(error)  # noqa: PT017 - either way is right, as long as it comes back


def test_there_are_findings():
    assert any(FINDINGS.iterdir())
