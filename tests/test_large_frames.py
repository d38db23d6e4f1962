"""Frames of too many pixels are refused before memory is taken for them, and memory is given back."""

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import picture, wait_until, write_jpeg
from PIL import Image

import fastclips as fc
from fastclips.pixels.decoding.decoder import MAX_PIXELS, Decoder
from fastclips.spec import StreamSpec

MIB = 2**20
MOST, KEPT = 350, 64  # MiB of its own that a worker may have: over a large frame, and after it
LARGE = (5000, 6700)  # nearly MAX_PIXELS


def png(height, width, color=2):
    """A PNG of one value, which is small, whatever its size."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    squeeze = zlib.compressobj(9)
    row = bytes(1 + width * (3 if color == 2 else 1))
    rows = b"".join(squeeze.compress(row) for _ in range(height)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def saved(height, width, kind, mode="RGB", **options):
    file = io.BytesIO()
    Image.new(mode, (width, height), (90, 160, 30, 9)[: len(mode)]).save(file, kind, **options)
    return file.getvalue()


def folder(root, data, suffix):
    """A video of small frames, of which the second is `data`."""
    video = root / "a" / "v"
    for number in range(4):
        write_jpeg(video / f"{number}.jpg", picture(number))
    (video / "1.jpg").unlink()
    (video / f"1.{suffix}").write_bytes(data)
    return fc.open(root)


def own_memory(pid):
    """Private memory of a process in MiB: now, and the most that it had, if what it shares did not change."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    now = sum(int(found) for found in re.findall(r"^Private_\w+: +(\d+) kB", text, re.MULTILINE)) / 1024
    status = Path(f"/proc/{pid}/status").read_text()
    most, resident = (int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) / 1024 for name in ("VmHWM", "VmRSS"))
    return now, now + most - resident


@pytest.mark.parametrize(
    ("make", "suffix"),
    [
        (lambda: png(9000, 9000), "png"),
        (lambda: saved(9000, 9000, "JPEG", quality=30), "jpg"),
        (lambda: saved(9000, 9000, "JPEG", quality=30, progressive=True), "jpg"),
        (lambda: saved(6000, 6000, "TIFF", compression="tiff_adobe_deflate"), "tif"),
        (lambda: saved(6000, 6000, "BMP"), "bmp"),
        (lambda: saved(6000, 6000, "WebP", lossless=True, method=0), "webp"),
    ],
    ids=["png", "jpeg", "progressive", "tiff", "bmp", "webp"],
)
def test_too_many_pixels_name_the_knob(tmp_path, make, suffix):
    data = folder(tmp_path, make(), suffix)
    refused = r"1\.\w+.* pixels, more than max_pixels=33,554,432: raise max_pixels="
    with fc.ClipLoader(data, fc.Windows(4), [fc.RandomCrop(32)], batch_size=1, workers=1) as loader:
        with pytest.raises(fc.FrameError, match=refused):
            list(loader)
        wait_until(lambda: own_memory(loader.pids[1])[0] < KEPT)  # batches ahead hold the file, too
        _, peak = own_memory(loader.pids[1])
    assert peak < MOST
    with (
        fc.ClipLoader(data, fc.Windows(4), [fc.Resize(8)], batch_size=1, workers=0, max_pixels=100) as loader,
        pytest.raises(fc.FrameError, match="48 x 64 = 3,072 pixels, more than max_pixels=100"),
    ):
        list(loader)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "suffix"),
    [
        (lambda: png(*LARGE), "png"),
        (lambda: saved(*LARGE, "JPEG", quality=30, progressive=True, subsampling=0), "jpg"),
        (lambda: saved(*LARGE, "JPEG", quality=30), "jpg"),
        (lambda: saved(*LARGE, "WebP", lossless=True, method=0), "webp"),
        (lambda: saved(4096, 4096, "TIFF", compression="packbits", mode="CMYK"), "tif"),
    ],
    ids=["png", "progressive", "jpeg", "webp", "cmyk"],
)
def test_memory_is_bounded_and_given_back(tmp_path, make, suffix):
    assert LARGE[0] * LARGE[1] <= MAX_PIXELS
    folder(tmp_path, make(), suffix)
    for number in range(4):
        write_jpeg(tmp_path / "a" / "small" / f"{number}.jpg", picture(number))
    data, transforms = fc.open(tmp_path), [fc.Resize((24, 32))]
    with fc.ClipLoader(data, fc.Segments(4), transforms, batch_size=1, workers=1, cache=0) as loader:
        small, large = np.argsort(loader.plan_table(0)["name"] == "a/v")
        for epoch in range(3):
            loader.batch(epoch, large)
        for epoch in range(30):
            loader.batch(epoch, small)
        now, peak = own_memory(loader.pids[1])
    assert now < KEPT
    assert peak < MOST, peak


def test_scratch_memory_shrinks_again():
    decoder = Decoder(StreamSpec("image"))
    large, small = saved(3000, 3000, "JPEG"), saved(48, 64, "JPEG")
    decoder.decode(large)
    assert decoder._scratch.nbytes >= 25 * MIB
    for _ in range(200):
        decoder.decode(small)
    assert decoder._scratch.nbytes <= MIB
    for _ in range(100):
        decoder.decode(large)
    kept = decoder._scratch
    decoder.decode(large)
    assert decoder._scratch is kept


def test_a_large_tiff_of_four_bytes_a_pixel_is_refused():
    data = saved(4096, 4100, "TIFF", compression="packbits", mode="CMYK")
    with pytest.raises(
        fc.FrameError, match="a TIFF of 4096 x 4100 pixels of 4 bytes: must be at most 16777216"
    ):
        Decoder(StreamSpec("image")).decode(data)
