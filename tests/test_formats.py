"""Frames of formats beyond JPEG, PNG, BMP and TIFF, and JPEGs that are whole but not decoded."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import fastclips as fc
from fastclips.errors import DamageError, FrameError
from fastclips.pixels.decoding.decoder import Decoder, frame_size
from fastclips.spec import StreamSpec

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 33, 3), np.uint8)
IMAGE, MASK = StreamSpec("image"), StreamSpec("mask", kind="mask")


def webp(pixels=PIXELS, **options):
    file = BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", **options)
    return file.getvalue()


ALPHA = np.dstack([PIXELS, PIXELS[:, :, :1]])


@pytest.mark.parametrize("pixels", [PIXELS, ALPHA])
@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("exif", [b"", b"Exif\0\0"])
def test_webp_equals_pillow(pixels, lossless, exif):
    data = webp(pixels, lossless=lossless, exif=exif)
    assert frame_size(data) == (20, 33)
    expected = np.asarray(Image.open(BytesIO(data)).convert("RGB"))
    assert np.array_equal(Decoder(IMAGE).decode(data).pixels, expected)
    assert np.array_equal(Decoder(IMAGE).decode(memoryview(data), (2, 3, 9, 9), 2).pixels, expected)


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([1, 3, 4]), st.booleans(), st.integers(5, 100))
def test_any_webp_equals_pillow(height, width, channels, lossless, quality):
    random = np.random.default_rng(height * 100 + width)
    pixels = (
        random.integers(0, 256, (4, 6, channels), np.uint8).repeat(23, 0)[:height].repeat(16, 1)[:, :width]
    )
    pixels = pixels + random.integers(0, 9, pixels.shape, np.uint8)
    data = webp(pixels[..., 0] if channels == 1 else pixels, lossless=lossless, quality=quality)
    for stream, mode in ((IMAGE, "RGB"), (StreamSpec("gray", channels=1), "L")):
        expected = np.asarray(Image.open(BytesIO(data)).convert(mode))
        assert np.array_equal(Decoder(stream).decode(data).pixels, expected.reshape(height, width, -1))


@pytest.mark.parametrize("lossless", [False, True])
def test_truncated_webp_is_damage(lossless):
    data = webp(lossless=lossless)
    for end in (4, 11, 13, 22, 28, len(data) // 2, len(data) - 1):
        with pytest.raises(DamageError):
            Decoder(IMAGE).decode(data[:end])


def test_webp_that_is_no_frame():
    with pytest.raises(DamageError, match="neither JPEG, PNG, BMP, TIFF nor WebP: it starts with b'RIFF"):
        frame_size(b"RIFF\4\0\0\0WAVE" + bytes(30))
    with pytest.raises(FrameError, match="a WebP of 16000 x 16000 pixels: must be at most"):
        frame_size(b"RIFF\22\0\0\0WEBPVP8X\12\0\0\0\0\0\0\0" + b"\x7f\x3e\0" * 2)
    moving = webp(save_all=True, append_images=[Image.fromarray(255 - PIXELS)], duration=40)
    with pytest.raises(FrameError, match="an animated WebP: must be a single picture"):
        Decoder(IMAGE).decode(moving)


def test_masks_in_webp_need_colours_and_no_loss():
    pixels = np.where(PIXELS[:, :, :1] < 128, (255, 0, 0), (0, 0, 255)).astype(np.uint8)
    colors = Decoder(StreamSpec("mask", kind="mask", colors=(((255, 0, 0), 1), ((0, 0, 255), 2))))
    assert np.array_equal(
        colors.decode(webp(pixels, lossless=True)).pixels, np.where(PIXELS[:, :, 0] < 128, 1, 2)
    )
    for decoder in (colors, Decoder(MASK)):
        with pytest.raises(FrameError, match="a lossy WebP, which changes the values of a mask"):
            decoder.decode(webp(pixels))
    with pytest.raises(FrameError, match="give each colour's value by colors="):
        Decoder(MASK).decode(webp(pixels, lossless=True))


@pytest.mark.parametrize("stream", [IMAGE, StreamSpec("gray", channels=1)])
@pytest.mark.parametrize(("factor", "shown"), [(0x42, "4x2"), (0x24, "2x4"), (0x13, "1x3")])
def test_a_jpeg_of_unusual_sampling_is_not_called_damaged(stream, factor, shown):
    file = BytesIO()
    Image.fromarray(PIXELS).save(file, "JPEG", subsampling=0)
    data = bytearray(file.getvalue())
    data[data.index(b"\xff\xc0") + 11] = factor
    for padding in (b"", b"\xff"):
        with pytest.raises(
            FrameError, match=f"a JPEG of unusual sampling, {shown}, 1x1, 1x1: must be"
        ) as caught:
            Decoder(stream).decode(bytes(data[:2] + padding + data[2:]))
        assert not isinstance(caught.value, DamageError)


@pytest.mark.parametrize("workers", [0, 1])
def test_jfif_and_webp_are_served_packed_and_listed(tmp_path, workers):
    folder = tmp_path / "frames/a/v"
    folder.mkdir(parents=True)
    for number in range(4):
        (folder / f"{number}.webp").write_bytes(webp(PIXELS // 4 * number, lossless=True))
    jpegs = tmp_path / "frames/b/v"
    jpegs.mkdir(parents=True)
    for number in range(4):
        Image.fromarray(PIXELS).save(jpegs / f"{number}.jfif", "JPEG")
    dataset = fc.open(tmp_path / "frames")
    assert dataset.classes == ("a", "b")
    options = {"batch_size": 2, "shuffle": False, "workers": workers}
    with fc.ClipLoader(dataset, fc.Windows(4), **options) as loader:
        x = np.array(next(iter(loader))[0])
    assert np.array_equal(x[0], [PIXELS // 4 * number for number in range(4)])
    fc.pack(dataset, tmp_path / "packed", workers=0)
    with fc.ClipLoader(fc.open(tmp_path / "packed"), fc.Windows(4), **options) as loader:
        assert np.array_equal(next(iter(loader))[0], x)
    with pytest.raises(fc.DataError, match=r"'a/v/0\.webp' is a frame"):
        fc.open([{"path": "a/v/0.webp"}], root=tmp_path / "frames")
