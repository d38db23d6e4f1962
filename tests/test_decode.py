"""Pixels against Pillow and simplejpeg; damage always raises, whatever is damaged."""

import re
import struct
import zlib
from contextlib import suppress
from io import BytesIO

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from fastclips.errors import FrameError
from fastclips.pixels.decoding.decoder import Decoder, frame_size
from fastclips.pixels.decoding.pictures import convert_picture
from fastclips.spec import StreamSpec

IMAGE, GRAY, MASK = StreamSpec("image"), StreamSpec("gray", channels=1), StreamSpec("mask", kind="mask")


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
KINDS = ["PNG", "BMP", "TIFF"]


def image_of(data):
    return Decoder(IMAGE).decode(data).pixels


def mask_of(data, **options):
    return Decoder(StreamSpec("mask", kind="mask", **options)).decode(data).pixels


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([0, 1, 2]),
    st.booleans(),
    st.sampled_from([30, 75, 95]),
)
@settings(max_examples=60)
def test_pixels_equal_those_of_pillow_and_opencv(height, width, subsampling, progressive, quality):
    data = encoded(picture(height, width), subsampling=subsampling, progressive=progressive, quality=quality)
    assert frame_size(data) == (height, width)
    assert np.array_equal(image_of(data), by_pillow(data))
    assert np.array_equal(
        image_of(data)[..., ::-1], cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    )


def test_fast_dct():
    data = encoded(picture(90, 121), quality=90)
    fast = Decoder(IMAGE, fast_dct=True).decode(data).pixels
    assert np.array_equal(fast, simplejpeg.decode_jpeg(data, "RGB", fastdct=True, fastupsample=False))
    assert np.abs(fast.astype(int) - by_pillow(data)).max() < 8


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("data", [JPEG, PNG, *(encoded(picture(48, 64), kind) for kind in KINDS[1:])])
def test_any_bytes(kind, data):
    assert frame_size(kind(data)) == (48, 64)
    assert np.array_equal(image_of(kind(data)), by_pillow(data))


def test_gray_jpeg():
    data = encoded(picture(33, 50).convert("L"))
    luma = by_pillow(data)
    assert np.array_equal(image_of(data), np.repeat(luma[..., None], 3, axis=2))
    assert np.array_equal(Decoder(GRAY).decode(data).pixels, luma[..., None])
    mapped = StreamSpec("mask", kind="mask", values=tuple(range(256)), smeared=True)
    assert np.array_equal(Decoder(mapped).decode(data).pixels, luma)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_mask_needs_values(mode):
    with pytest.raises(
        FrameError, match=r"a JPEG, which changes the values of a mask: .* give all 256 values="
    ):
        mask_of(encoded(picture(33, 50).convert(mode)), values=tuple(range(256)))  # some of them were given


def gray_png(bits, values):
    """A gray PNG of few bits, which Pillow does not write."""
    rows = b"".join(
        b"\0" + np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - bits :].ravel()).tobytes()
        for row in values
    )

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_values_of_few_bits_are_not_stretched(bits):
    values = np.random.default_rng(0).integers(0, 2**bits, (5, 16), np.uint8)
    assert np.array_equal(mask_of(gray_png(bits, values)), values)


def test_a_bmp_of_bytes_that_pillow_takes_for_bits():
    values = np.random.default_rng(0).integers(0, 2, (4, 8), np.uint8)
    header = struct.pack("<IiiHHIIiiII", 40, 8, 4, 1, 8, 0, 32, 0, 0, 2, 2)
    data = b"BM" + struct.pack("<IHHI", 62 + 32, 0, 0, 62) + header + b"\0\0\0\0\xff\xff\xff\0"
    data += values[::-1].tobytes()
    for decode in (image_of, mask_of):
        with pytest.raises(
            FrameError, match="a BMP of 8 bits with a palette of black and white: make it a PNG"
        ):
            decode(data)


def test_gray_of_a_jpeg_is_its_luma():
    data = encoded(picture(33, 50))
    luma = simplejpeg.decode_jpeg(data, "GRAY", fastupsample=False)
    assert np.array_equal(Decoder(GRAY).decode(data).pixels, luma)
    assert np.array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE), luma[..., 0])
    assert luma.shape == (33, 50, 1)


def test_scratch_is_reused():
    decoder = Decoder(IMAGE)
    large = decoder.decode(encoded(picture(64, 80))).pixels
    small = decoder.decode(encoded(picture(20, 30))).pixels
    assert small.shape == (20, 30, 3)
    assert np.shares_memory(large, small)
    assert decoder.decode(encoded(picture(200, 300))).pixels.shape == (200, 300, 3)


def test_frames_through_pillow_are_counted():
    decoder = Decoder(IMAGE)
    for data in (JPEG, PNG, JPEG, encoded(picture(48, 64), "BMP"), np.zeros((4, 4, 3), np.uint8)):
        decoder.decode(data)
    assert decoder.pillow_frames == 1


@pytest.mark.parametrize("stream", [IMAGE, GRAY, MASK])
def test_arrays_pass(stream):
    shape = (4, 6) if stream.mask else (4, 6, stream.channels)
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    assert frame_size(pixels) == (4, 6)
    assert np.shares_memory(Decoder(stream).decode(pixels).pixels, pixels)
    turned = pixels[:, ::-1]
    assert Decoder(stream).decode(turned).pixels.flags.c_contiguous
    assert np.array_equal(Decoder(stream).decode(turned).pixels, turned)


@pytest.mark.parametrize(
    ("stream", "pixels", "message"),
    [
        (
            IMAGE,
            np.zeros((4, 6), np.uint8),
            "an array of uint8, (4, 6): must be uint8, (height, width, 3)",
        ),
        (IMAGE, np.zeros((4, 6, 3), np.float32), "an array of float32, (4, 6, 3)"),
        (GRAY, np.zeros((4, 6, 3), np.uint8), "must be uint8, (height, width, 1)"),
        (
            MASK,
            np.zeros((4, 6, 1), np.uint8),
            "an array of uint8, (4, 6, 1): must be uint8, (height, width)",
        ),
    ],
)
def test_arrays_refused(stream, pixels, message):
    with pytest.raises(FrameError, match=re.escape(message)):
        Decoder(stream).decode(pixels)


def test_an_array_without_a_size():
    with pytest.raises(FrameError, match=r"an array of shape \(7,\)"):
        frame_size(np.zeros(7, np.uint8))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [(mode, kind) for mode in ("RGB", "RGBA", "L", "P", "1") for kind in KINDS]
    + [("LA", "PNG"), ("LA", "TIFF")],
)
def test_a_picture_in_other_formats(mode, kind):
    image = picture(13, 17).convert(mode)
    data = encoded(image, kind)
    assert frame_size(data) == (13, 17)
    for stream, to in ((IMAGE, "RGB"), (GRAY, "L")):
        decoded = Decoder(stream).decode(data).pixels
        assert decoded.flags.c_contiguous
        expected = np.asarray(image.convert(to)).reshape(13, 17, stream.channels)
        assert np.array_equal(decoded, expected)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_deflate", "packbits", "group4"])
def test_tiff_is_tiff(compression):
    """Of several pages, the first."""
    image = Image.fromarray(LABELS > 7)
    pages = {"save_all": True, "append_images": [image.crop((0, 0, 3, 3))]}
    data = encoded(image, "TIFF", compression=compression, **pages)
    assert frame_size(data) == LABELS.shape
    assert np.array_equal(mask_of(data), LABELS > 7)


def tiff(*entries, size=400, order="<", kind=4):
    """A header alone, of tags and values."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    number = {3: "H2x", 4: "I"}[kind]
    table = b"".join(struct.pack(f"{order}HHI{number}", tag, kind, 1, value) for tag, value in entries)
    data = start + struct.pack(f"{order}IH", 8, len(entries)) + table + bytes(4)
    return data + bytes(size - len(data))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4])
def test_tiff_of_either_order(order, kind):
    size = {256: 14, 257: 9, 258: 8, 259: 1, 262: 1, 273: 200, 277: 1, 278: 9, 279: 126}
    data = tiff(*size.items(), size=200, order=order, kind=kind) + LABELS.tobytes()
    assert frame_size(data) == LABELS.shape
    assert np.array_equal(mask_of(data), LABELS)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_tiff(orientation):
    data = encoded(picture(13, 17), "TIFF", tiffinfo={274: orientation})
    turned = Image.open(BytesIO(data))
    turned.load()
    assert np.array_equal(image_of(data), np.asarray(turned))
    assert frame_size(data) == ((13, 17) if orientation < 5 else (17, 13))


def bmp(bits, height, width, pixels, packed=0, palette=b""):
    start = 54 + len(palette)
    head = struct.pack(
        "<2sIIIIiiHHIIIIII", b"BM", 0, 0, start, 40, width, height, 1, bits, packed, 0, 0, 0, 0, 0
    )
    return head + palette + pixels


def test_bmp_is_bmp():
    rows = bytes(range(12)), bytes(range(50, 62))
    top_down, bottom_up = bmp(24, -2, 4, rows[0] + rows[1]), bmp(24, 2, 4, rows[1] + rows[0])
    blue_first = np.frombuffer(rows[0] + rows[1], np.uint8).reshape(2, 4, 3)
    for data in (top_down, bottom_up):
        assert frame_size(data) == (2, 4)
        assert np.array_equal(image_of(data), blue_first[..., ::-1])
    oldest = struct.pack("<2sIIIIHHHH", b"BM", 0, 0, 26, 12, 4, 2, 1, 24) + rows[1] + rows[0]
    assert frame_size(oldest) == (2, 4)
    assert np.array_equal(image_of(oldest), blue_first[..., ::-1])
    colors = bytes([9, 8, 7, 0] * 256)
    runs = bmp(8, 1, 200, bytes([199, 3, 1, 5, 0, 1]), packed=1, palette=colors)
    assert frame_size(runs) == (1, 200)
    assert mask_of(runs).tolist() == [[3] * 199 + [5]]


def test_png_image_with_transparent_palette():
    data = encoded(PALETTE, "PNG", transparency=bytes(range(21)))
    assert np.array_equal(image_of(data), np.asarray(PALETTE.convert("RGB")))


@pytest.mark.parametrize(
    ("image", "labels", "kinds"),
    [
        (PALETTE, LABELS, KINDS),
        (Image.fromarray(LABELS), LABELS, KINDS),
        (Image.fromarray(LABELS > 7), LABELS > 7, KINDS),
        (Image.fromarray(LABELS.astype(np.uint16)), LABELS, ["PNG", "TIFF"]),
    ],
    ids=["palette", "gray", "1 bit", "16 bits"],
)
def test_mask(image, labels, kinds):
    for kind in kinds:
        data = encoded(image, kind)
        mask = mask_of(data)
        assert mask.dtype == np.uint8
        assert mask.flags.c_contiguous
        assert np.array_equal(mask, labels)
        assert frame_size(data) == labels.shape


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_mask_with_several_channels(mode):
    image = PALETTE.convert("RGB").convert(mode)
    first = tuple(np.asarray(image.convert("RGB"))[0, 0].tolist())
    said = f"a mask of mode {mode}, with the colours {first}, "
    with pytest.raises(FrameError, match=re.escape(said) + r".*, \.\.\.: .* by colors=, .* masks="):
        mask_of(encoded(image, "PNG"))


COLORS = tuple(((3 * i, 3 * i + 1, 3 * i + 2), (7 * i) % 256) for i in range(21))


@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=300, unique=True), st.randoms())
@settings(max_examples=40)
def test_colors_become_values(colors, random):
    table = tuple((color, random.randrange(256)) for color in colors)
    indices = np.array([random.randrange(len(colors)) for _ in range(6 * 11)]).reshape(6, 11)
    pixels = np.array(colors, np.uint8)[indices]
    expected = np.array([value for _, value in table])[indices]
    assert np.array_equal(mask_of(encoded(Image.fromarray(pixels), "PNG"), colors=table), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["P", "RGB", "RGBA"])
def test_colors_in_any_file(mode, kind):
    """Of a palette, its colours count; transparency never does."""
    image = PALETTE.convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(LABELS))
    expected = np.array([value for _, value in COLORS])[LABELS]
    assert np.array_equal(mask_of(encoded(image, kind), colors=COLORS), expected)


def test_colors_of_a_gray_file_are_grays():
    data = encoded(Image.fromarray(np.uint8([[0, 255], [7, 0]])), "PNG")
    colors = (((0, 0, 0), 1), ((255, 255, 255), 2), ((7, 7, 7), 3))
    assert mask_of(data, colors=colors).tolist() == [[1, 2], [3, 1]]


def test_a_color_that_means_nothing():
    pixels = np.array([color for color, _ in COLORS], np.uint8)[LABELS]
    pixels[5, 9:] = (1, 2, 200)
    with pytest.raises(
        FrameError, match=r"colour \(1, 2, 200\) at row 5, column 9 is none of the 21 in colors="
    ):
        mask_of(encoded(Image.fromarray(pixels), "PNG"), colors=COLORS)


COLORED = StreamSpec("mask", kind="mask", colors=COLORS)


def sixteen_bits(value, kind="PNG"):
    return encoded(Image.fromarray(np.full((4, 4), value, np.uint16)), kind)


def patched(marker, offset, value):
    """Return `JPEG` with one byte changed, `offset` bytes after a marker."""
    data = bytearray(JPEG)
    data[JPEG.index(marker) + offset] = value
    return bytes(data)


@pytest.mark.parametrize(
    ("stream", "data", "message"),
    [
        (IMAGE, b"", "empty"),
        (
            IMAGE,
            b"GIF89a" + bytes(50),
            r"neither JPEG, PNG, BMP, TIFF nor WebP: it starts with b'GIF89a\x00\x00'",
        ),
        (IMAGE, b"\xff\xd8", "neither JPEG, PNG, BMP, TIFF nor WebP"),
        (IMAGE, JPEG[:30], "header of a JPEG of 30 bytes"),
        (IMAGE, JPEG[:-40], f"truncated or damaged JPEG of {len(JPEG) - 40} bytes: Premature end"),
        (IMAGE, PNG[:20], "header of a PNG of 20 bytes"),
        (IMAGE, PNG[:-400], "damaged or unusual PNG"),
        (IMAGE, PNG[:16] + bytes(4) + PNG[20:], "header of a PNG of"),
        (IMAGE, PNG[:16] + b"\0\1\0\0" * 2 + PNG[24:], "cannot hold the 65536 x 65536 pixels of its header"),
        (IMAGE, bmp(24, 2, 4, b""), "damaged or unusual BMP of 54 bytes"),
        (IMAGE, bmp(24, 20, 40, b""), "54 bytes cannot hold the 20 x 40 pixels of its header"),
        (IMAGE, bmp(24, 0, 4, bytes(99)), "header of a BMP of 153 bytes"),
        (IMAGE, bmp(24, 2, -4, bytes(99)), "header of a BMP"),
        (IMAGE, bmp(24, 2, 4, bytes(99), packed=4), "unusual BMP of 153 bytes: Unsupported BMP compression"),
        (IMAGE, b"BM" + bytes(9), "header of a BMP of 11 bytes"),
        (IMAGE, b"II*\0\xff\0\0\0", "header of a TIFF of 8 bytes"),
        (IMAGE, tiff((256, 9)), "header of a TIFF of 400 bytes"),
        (IMAGE, tiff((256, 9), (257, 0)), "header of a TIFF of 400 bytes"),
        (IMAGE, tiff((256, 90), (257, 90)), "400 bytes cannot hold the 90 x 90 pixels of its header"),
        (
            IMAGE,
            tiff((256, 9000), (257, 9000), (259, 5), size=5000),
            "a TIFF of 9000 x 9000 pixels: must be at most",
        ),
        (IMAGE, tiff((256, 9), (257, 9)), "damaged or unusual TIFF of 400 bytes"),
        (IMAGE, encoded(picture(9, 9), "TIFF")[:-20], "TIFF"),
        (IMAGE, patched(b"\xff\xc0", 4, 12), "precision 12"),
        (IMAGE, patched(b"\xff\xc0", 5, 255), "cannot hold the 65328 x 64"),
        (IMAGE, sixteen_bits(7), "16-bit PNG: frames must have 8 bits per channel; convert it once"),
        (GRAY, sixteen_bits(7, "TIFF"), "16-bit TIFF: frames must have 8 bits"),
        (
            MASK,
            sixteen_bits(256),
            "256: must be from 0 to 255; if it is depth, declare the stream by Stream(path, kind='depth')",
        ),
        (MASK, sixteen_bits(256, "TIFF"), "a mask of values 256 to 256: must be from 0 to 255"),
        (IMAGE, encoded(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"), "32-bit TIFF"),
        (
            MASK,
            encoded(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"),
            "a mask of floating-point values: must be whole",
        ),
        (
            MASK,
            encoded(Image.fromarray(np.full((4, 4), -1, np.int32)), "TIFF"),
            "a mask of values -1 to -1: must be from 0 to 255",
        ),
        (COLORED, sixteen_bits(7), "16-bit PNG: frames must have 8 bits"),
        (COLORED, JPEG, "a JPEG, which changes the colours that colors= maps"),
    ],
)
def test_refused(stream, data, message):
    with pytest.raises(FrameError, match=re.escape(message)):
        Decoder(stream).decode(data)


JPEGS = [JPEG, encoded(picture(40, 56), progressive=True), encoded(picture(17, 33).convert("L"))]
OTHERS = [
    PNG,
    encoded(PALETTE, "PNG"),
    encoded(picture(9, 12), "BMP"),
    encoded(PALETTE, "BMP"),
    encoded(PALETTE, "TIFF"),
    encoded(picture(9, 12), "TIFF", compression="tiff_lzw"),
    encoded(picture(9, 12), "TIFF", compression="tiff_deflate"),
    encoded(Image.fromarray(LABELS > 7), "TIFF", compression="group4"),
]


@given(st.sampled_from(JPEGS), st.floats(0, 1, exclude_max=True))
@example(JPEG, 1 - 1 / len(JPEG))
@example(JPEG, 1 - 2 / len(JPEG))
@settings(max_examples=300)
def test_truncated_jpeg_raises(data, part):
    cut = data[: int(part * len(data))]
    for stream in (IMAGE, GRAY, MASK):
        with pytest.raises(FrameError):
            Decoder(stream).decode(cut)


@given(st.sampled_from(OTHERS), st.floats(0, 1, exclude_max=True))
@settings(max_examples=300)
def test_other_truncated_files_raise_or_are_whole(data, part):
    cut = data[: int(part * len(data))]
    try:
        pixels = image_of(cut)
    except FrameError:
        return
    assert np.array_equal(pixels, image_of(data))  # only the file's last bytes, not pixels, are gone


@given(st.sampled_from(JPEGS + OTHERS), st.data())
@settings(max_examples=300)
def test_damage_raises_frame_error_or_nothing(data, draws):
    damaged = bytearray(data)
    for _ in range(draws.draw(st.integers(1, 4))):
        damaged[draws.draw(st.integers(0, len(data) - 1))] = draws.draw(st.integers(0, 255))
    for method in (*(Decoder(stream).decode for stream in (IMAGE, GRAY, MASK, COLORED)), frame_size):
        with suppress(FrameError):
            method(bytes(damaged))


def test_cmyk_becomes_rgb():
    """As Pillow converts it, but for a rounding."""
    data = encoded(picture(19, 23).convert("CMYK"))
    expected = np.asarray(Image.open(BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(image_of(data) - expected).max() <= 1
    assert Decoder(GRAY).decode(data).pixels.shape == (19, 23, 1)


@pytest.mark.parametrize("mode", ["P", "CMYK", "RGBA", "LA", "1", "L", "RGB"])
@pytest.mark.parametrize("to", ["L", "RGB"])
def test_large_pictures_are_converted_in_parts(monkeypatch, mode, to):
    image = picture(31, 17).convert(mode)
    expected = np.asarray(image.convert(to))
    for at_once in (1, 17 * 8, 10**6):
        monkeypatch.setattr("fastclips.pixels.decoding.pictures._AT_ONCE", at_once)
        assert np.array_equal(convert_picture(image, to), expected)
