"""Pixels against Pillow and simplejpeg; damage always raises, whatever is damaged."""

import re
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
import simplejpeg
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from fastclips.decode import Decoder, frame_size
from fastclips.errors import FrameError


def picture(height, width):
    """Draw something smooth with edges, as frames are."""
    y, x = np.mgrid[:height, :width]
    waves = [128 + 60 * np.sin(x / 7 + c) + 50 * np.cos(y / (5 + c)) for c in range(3)]
    pixels = np.stack(waves, axis=-1)
    pixels[height // 3 : height // 2, width // 4 : width // 2] = (250, 20, 90)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encoded(image, kind="JPEG", **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def by_pillow(data):
    return np.asarray(Image.open(BytesIO(data)))


LABELS = np.random.default_rng(0).integers(0, 21, (9, 14), np.uint8)
PALETTE = Image.fromarray(LABELS)
PALETTE.putpalette(list(range(63)))
JPEG = encoded(picture(48, 64))
PNG = encoded(picture(48, 64), "PNG")


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([0, 1, 2]),
    st.booleans(),
    st.sampled_from([30, 75, 95]),
)
@settings(max_examples=60)
def test_exact_equals_pillow(height, width, subsampling, progressive, quality):
    data = encoded(picture(height, width), subsampling=subsampling, progressive=progressive, quality=quality)
    assert frame_size(data) == (height, width)
    assert np.array_equal(Decoder(fast_dct=False).image(data), by_pillow(data))


def test_fast_dct():
    data = encoded(picture(90, 121), quality=90)
    fast = Decoder().image(data)
    assert np.array_equal(fast, simplejpeg.decode_jpeg(data, "RGB", fastdct=True, fastupsample=False))
    assert np.abs(fast.astype(int) - by_pillow(data)).max() < 8


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("data", [JPEG, PNG])
def test_any_bytes(kind, data):
    assert frame_size(kind(data)) == (48, 64)
    assert np.array_equal(Decoder(fast_dct=False).image(kind(data)), by_pillow(data))


def test_gray_jpeg():
    data = encoded(picture(33, 50).convert("L"))
    decoder = Decoder(fast_dct=False)
    assert np.array_equal(decoder.image(data), np.repeat(by_pillow(data)[..., None], 3, axis=2))
    assert np.array_equal(decoder.mask(data), by_pillow(data))


def test_scratch_is_reused():
    decoder = Decoder()
    large = decoder.image(encoded(picture(64, 80)))
    small = decoder.image(encoded(picture(20, 30)))
    assert small.shape == (20, 30, 3)
    assert small.flags.c_contiguous
    assert np.shares_memory(large, small)
    kept = small.copy()
    decoder.mask(encoded(picture(64, 80).convert("L")))
    assert np.array_equal(small, kept)
    assert decoder.image(encoded(picture(200, 300))).shape == (200, 300, 3)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_png_image(mode):
    image = picture(13, 17).convert(mode)
    decoded = Decoder().image(encoded(image, "PNG"))
    assert decoded.shape == (13, 17, 3)
    assert decoded.flags.c_contiguous
    assert np.array_equal(decoded, np.asarray(image.convert("RGB")))


def test_png_image_with_transparent_palette():
    data = encoded(PALETTE, "PNG", transparency=bytes(range(21)))
    assert np.array_equal(Decoder().image(data), np.asarray(PALETTE.convert("RGB")))


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        (PALETTE, LABELS),
        (Image.fromarray(LABELS), LABELS),
        (Image.fromarray(LABELS > 7), LABELS > 7),
        (Image.fromarray(LABELS.astype(np.uint16)), LABELS),
    ],
    ids=["palette", "gray", "1 bit", "16 bits"],
)
def test_png_mask(image, labels):
    data = encoded(image, "PNG")
    mask = Decoder().mask(data)
    assert mask.dtype == np.uint8
    assert mask.flags.c_contiguous
    assert np.array_equal(mask, labels)
    assert frame_size(data) == labels.shape


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_mask_with_several_channels(mode):
    with pytest.raises(FrameError, match=f"single channel, not {mode}: .* masks="):
        Decoder().mask(encoded(picture(9, 9).convert(mode), "PNG"))


def sixteen_bits(top):
    return encoded(Image.fromarray(np.full((4, 4), top, np.uint16)), "PNG")


def patched(marker, offset, value):
    """Return `JPEG` with one byte changed, `offset` bytes after a marker."""
    data = bytearray(JPEG)
    data[JPEG.index(marker) + offset] = value
    return bytes(data)


@pytest.mark.parametrize(
    ("method", "data", "message"),
    [
        ("image", b"", "empty"),
        ("image", b"GIF89a" + bytes(50), r"neither JPEG nor PNG: it starts with b'GIF89a\x00\x00'"),
        ("image", b"\xff\xd8", "neither JPEG nor PNG"),
        ("image", JPEG[:30], "header of a JPEG of 30 bytes"),
        ("image", JPEG[:-40], f"truncated or damaged JPEG of {len(JPEG) - 40} bytes: Premature end"),
        ("image", PNG[:20], "header of a PNG of 20 bytes"),
        ("image", PNG[:-400], "truncated or damaged PNG"),
        ("image", patched(b"\xff\xc0", 4, 12), "precision 12"),
        ("image", patched(b"\xff\xc0", 5, 255), "cannot hold the 65328 x 64"),
        ("image", sixteen_bits(7), "16-bit"),
        ("mask", sixteen_bits(256), "0 to 255, not 256"),
    ],
)
def test_refused(method, data, message):
    with pytest.raises(FrameError, match=re.escape(message)):
        getattr(Decoder(), method)(data)


JPEGS = [JPEG, encoded(picture(40, 56), progressive=True), encoded(picture(17, 33).convert("L"))]
PNGS = [PNG, encoded(PALETTE, "PNG")]


@given(st.sampled_from(JPEGS), st.floats(0, 1, exclude_max=True))
@example(JPEG, 1 - 1 / len(JPEG))
@example(JPEG, 1 - 2 / len(JPEG))
@settings(max_examples=300)
def test_truncated_jpeg_raises(data, part):
    cut = data[: int(part * len(data))]
    for method in (Decoder().image, Decoder().mask):
        with pytest.raises(FrameError):
            method(cut)


@given(st.sampled_from(PNGS), st.floats(0, 1, exclude_max=True))
@settings(max_examples=300)
def test_truncated_png_raises_or_is_whole(data, part):
    cut = data[: int(part * len(data))]
    try:
        pixels = Decoder().image(cut)
    except FrameError:
        return
    assert np.array_equal(pixels, Decoder().image(data))  # only the file's last bytes, not pixels, are gone


@given(st.sampled_from(JPEGS + PNGS), st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_damage_raises_frame_error_or_nothing(data, draws):
    damaged = bytearray(data)
    for _ in range(draws.draw(st.integers(1, 4))):
        damaged[draws.draw(st.integers(0, len(data) - 1))] = draws.draw(st.integers(0, 255))
    for method in (Decoder().image, Decoder().mask, frame_size):
        with suppress(FrameError):
            method(bytes(damaged))


def test_cmyk_becomes_rgb():
    """As Pillow converts it, but for a rounding."""
    data = encoded(picture(19, 23).convert("CMYK"))
    expected = np.asarray(Image.open(BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(Decoder(fast_dct=False).image(data) - expected).max() <= 1
