"""JPEGs of many kinds, and what the whole frame says of a part of it."""

from __future__ import annotations

import struct
from io import BytesIO

import cv2
import numpy as np
import simplejpeg
from PIL import Image

# Name -> (sampling of luma as (horizontal, vertical), Pillow's name or number)
SAMPLINGS = {"444": (1, 1), "422": (2, 1), "420": (2, 2), "440": (1, 2), "411": (4, 1), "gray": (1, 1)}


def natural(random, height, width):
    """Smooth noise in several octaves, and edges: what photographs are made of."""
    pixels = np.full((height, width, 3), 118, np.float32)
    for grain, contrast in ((3, 8), (8, 14), (24, 22), (60, 30)):
        noise = random.standard_normal((height // grain + 3, width // grain + 3, 3), np.float32) * contrast
        pixels += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    pixels[height // 3 : height // 2, width // 4 : width // 2] = (250, 20, 90)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def mcus(size, sampling):
    """Rows of MCUs, and MCUs in a row."""
    across, down = SAMPLINGS[sampling]
    return -(-size[0] // (8 * down)), -(-size[1] // (8 * across))


def encode(pixels, sampling="420", restart=0, quality=88, *, optimize=False, **options):
    """Write a JPEG with a restart marker every so many MCUs; optimised, with Huffman tables of its own."""
    if sampling in ("440", "411"):
        factors = {"440": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440, "411": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411}
        settings = {
            cv2.IMWRITE_JPEG_QUALITY: quality,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR: factors[sampling],
            cv2.IMWRITE_JPEG_RST_INTERVAL: restart,
            cv2.IMWRITE_JPEG_OPTIMIZE: int(optimize),
        }
        good, data = cv2.imencode(".jpg", pixels[..., ::-1], [n for pair in settings.items() for n in pair])
        assert good
        return data.tobytes()
    image = Image.fromarray(pixels)
    if sampling == "gray":
        image = image.convert("L")
    else:
        options["subsampling"] = {"444": 0, "422": 1, "420": 2}[sampling]
    file = BytesIO()
    image.save(file, "JPEG", quality=quality, restart_marker_blocks=restart, optimize=optimize, **options)
    return file.getvalue()


def whole(data, gray=False, fast_dct=False, scale=1):
    """Decode a frame with simplejpeg, at a scale of libjpeg's."""
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    except KeyError as error:
        raise ValueError(f"simplejpeg has no name for subsampling {error}") from error
    pixels = simplejpeg.decode_jpeg(
        data,
        "GRAY" if gray else "RGB",
        fastdct=bool(fast_dct),
        fastupsample=False,
        min_height=-(-height // scale),
        min_width=-(-width // scale),
    )
    assert pixels.shape[:2] == (-(-height // scale), -(-width // scale))
    return pixels


def check(decoded, full, box, scale=1):
    """Hold a decoded part to the whole frame: it covers the box, and every pixel is right to the last bit."""
    assert decoded.scale == scale
    y, x = decoded.top, decoded.left
    height, width = decoded.pixels.shape[:2]
    assert y <= box[0] // scale
    assert x <= box[1] // scale
    assert (y + height) * scale >= box[2]
    assert (x + width) * scale >= box[3]
    assert np.array_equal(decoded.pixels, full[y : y + height, x : x + width])


def random_box(random, height, width):
    """Any box, as likely at an edge or of one pixel as anywhere."""
    top, bottom = sorted(random.choice([0, height, *random.integers(0, height + 1, 2)], 2).tolist())
    left, right = sorted(random.choice([0, width, *random.integers(0, width + 1, 2)], 2).tolist())
    top, left = min(top, height - 1), min(left, width - 1)
    return top, left, max(bottom, top + 1), max(right, left + 1)


def markers(data):
    """Offsets of the restart markers of a JPEG with one scan."""
    at = data.index(b"\xff\xda")
    at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return [i for i in range(at, len(data) - 1) if data[i] == 0xFF and 0xD0 <= data[i + 1] <= 0xD7]
