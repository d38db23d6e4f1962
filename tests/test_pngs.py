"""Usual PNGs, decoded natively, against Pillow; all others are left to Pillow."""

import io
import zlib

import numpy as np
import pytest
from helpers import picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pngs import chunk, write_png

import fastclips as fc
from fastclips._native import PngDecoder
from fastclips.pixels.decoding.decoder import Decoder, Rung
from fastclips.spec import StreamSpec

PALETTE = bytes(range(256)) * 3
STREAMS = {
    "mask": StreamSpec("mask", "mask"),
    "gray": StreamSpec("image", channels=1),
    "rgb": StreamSpec("image"),
}


def native(data, shape, indices=False):
    """Return a file's pixels if they are decoded natively, else None."""
    output = np.zeros(shape, np.uint8)
    return output if PngDecoder().decode(data, output, indices) else None


def outcome(data, stream):
    """Return the pixels of a file, or the error, and whether Pillow decoded it."""
    decoder = Decoder(STREAMS[stream])
    try:
        return decoder.decode(data).pixels.copy(), decoder.pillow_frames
    except fc.FastclipsError as error:
        return str(error), decoder.pillow_frames


def by_pillow(data, stream, monkeypatch):
    """Return the outcome without native code."""
    with monkeypatch.context() as patch:
        patch.setattr(Decoder, "_png", lambda *_: None)
        return outcome(data, stream)[0]


@st.composite
def pngs(draw):
    """A PNG and its pixels: any filters, blocks of any kind, and data in parts."""
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    channels = draw(st.sampled_from([1, 3]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    pixels = random.integers(0, draw(st.sampled_from([2, 256])), (height, width, channels), np.uint8)
    filters = draw(st.lists(st.integers(0, 4), min_size=height, max_size=height))
    kind = draw(st.sampled_from([0, 3])) if channels == 1 else 2
    return pixels, write_png(
        pixels,
        filters,
        kind=kind,
        palette=PALETTE if kind == 3 else None,
        parts=draw(st.integers(1, 3)),
        level=draw(st.sampled_from([0, 1, 9])),
        strategy=draw(st.sampled_from([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_RLE])),
        asides=draw(st.sampled_from([(), ((b"tEXt", b"Title\0a frame"),), ((b"gAMA", b"\0\0\xb1\x8f"),)])),
    )


@given(pngs())
def test_pixels_are_those_of_pillow(drawn):
    pixels, data = drawn
    np.testing.assert_array_equal(native(data, pixels.shape, indices=True), pixels)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))).reshape(pixels.shape), pixels)


@pytest.mark.parametrize("size", [(1, 1), (48, 64), (360, 640)])
@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
@pytest.mark.parametrize("options", [{}, {"compress_level": 1}, {"optimize": True}], ids=str)
def test_files_of_pillow(size, mode, options):
    pixels = picture(3, *size)
    image = Image.fromarray(pixels if mode == "RGB" else pixels[:, :, 0] // 16)
    if mode == "P":
        image.putpalette(PALETTE)
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    stream = {"L": "gray", "P": "mask", "RGB": "rgb"}[mode]
    decoded = Decoder(STREAMS[stream]).decode(file.getvalue())
    assert decoded.rung == Rung.WHOLE
    np.testing.assert_array_equal(decoded.pixels.reshape(np.asarray(image).shape), np.asarray(image))


@given(pngs(), st.data())
def test_damaged_files_come_out_as_by_pillow(drawn, data):
    """Whatever native code makes of them, as a mask or a picture."""
    pixels, file = drawn
    damaged = bytearray(file)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(8, len(file) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged = bytes(damaged[: data.draw(st.sampled_from([len(file), len(file) - 1, len(file) // 2]))])
    found = native(damaged, pixels.shape, indices=True)
    if found is not None:
        expected = np.asarray(Image.open(io.BytesIO(damaged))).reshape(pixels.shape)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("stream", STREAMS)
def test_each_outcome_is_that_of_pillow(stream, monkeypatch):
    random = np.random.default_rng(0)
    for channels in (1, 3):
        file = write_png(picture(1, 9, 13)[:, :, :channels], [4] * 9)
        for _ in range(150):
            damaged = bytearray(file)
            damaged[random.integers(8, len(file))] ^= 1 << random.integers(0, 8)
            found, expected = (
                outcome(bytes(damaged), stream)[0],
                by_pillow(bytes(damaged), stream, monkeypatch),
            )
            if isinstance(expected, str):
                assert found == expected
            else:
                np.testing.assert_array_equal(found, expected)


def _saved(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


SMALL = picture(1, 9, 8)[:, :, :1]
USUAL = write_png(SMALL[:8], [0] * 8)
BODY = USUAL.index(b"IDAT") - 4
LONGER = write_png(SMALL, [0] * 9)
UNUSUAL = {
    "16 bits": _saved(Image.fromarray(SMALL[:8, :, 0].astype(np.uint16) * 200)),
    "one bit": _saved(Image.fromarray(SMALL[:8, :, 0] > 99)),
    "transparent": _saved(Image.fromarray(np.repeat(SMALL[:8], 4, 2))),
    "no palette": write_png(SMALL[:8], [0] * 8, kind=3),
    "a profile": USUAL[:BODY] + chunk(b"iCCP", b"x\0\0" + zlib.compress(b"y")) + USUAL[BODY:],
    "a wrong checksum": USUAL[:BODY] + chunk(b"tEXt", b"a\0b")[:-1] + b"?" + USUAL[BODY:],
    "no end": USUAL[:-12],
    "a row more": USUAL[:BODY] + LONGER[LONGER.index(b"IDAT") - 4 :],
    "no data": USUAL[:BODY] + USUAL[-12:],
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_files_are_left_to_pillow(name):
    assert native(USUAL, (8, 8, 1)) is not None
    assert native(UNUSUAL[name], (8, 8, 1), indices=True) is None


def test_another_size_and_another_kind_are_left_to_pillow():
    data = write_png(picture(1, 8, 8)[:, :, :1], [0] * 8)
    assert native(data, (8, 8, 1)) is not None
    assert native(data, (8, 9, 1)) is None
    assert native(data, (8, 8, 3)) is None
    indexed = write_png(picture(1, 8, 8)[:, :, :1], [0] * 8, kind=3, palette=PALETTE)
    assert native(indexed, (8, 8, 1)) is None
    with pytest.raises(ValueError, match="output must be"):
        native(data, (8, 8, 2))


def test_memory_of_a_large_file_is_given_back():
    """A decoder that has seen a large frame still decodes the next."""
    decoder = PngDecoder()
    for side in (1500, 8):
        pixels = np.random.default_rng(0).integers(0, 9, (side, side, 3), np.uint8)
        output = np.zeros_like(pixels)
        assert decoder.decode(_saved(Image.fromarray(pixels)), output, False)
        np.testing.assert_array_equal(output, pixels)
