"""The same box of several JPEGs, decoded into a batch in one call: what `decode` and a copy would give."""

from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from jpegs import SAMPLINGS, encode, natural, random_box, whole
from PIL import Image
from rendering import Store, render

import fastclips as fc
from fastclips._native import Crop
from fastclips.pixels.decoding.decoder import Decoder, Rung
from fastclips.spec import StreamSpec

SIZE = (96, 160)
FRAMES = [natural(np.random.default_rng(seed), *SIZE) for seed in range(4)]
BOX = (20, 33, 60, 93)
UNTOUCHED = 0xA5


def output(rows, height, width, channels, offset=0):
    """An array that begins some bytes after a cache line."""
    memory = np.full(rows * height * width * channels + 128, UNTOUCHED, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    return memory, memory[start : start + rows * height * width * channels].reshape(
        rows, height, width, channels
    )


def png(pixels):
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def decoder(channels=3, *, fast_dct=False):
    return Decoder(StreamSpec("image", channels=channels), fast_dct=fast_dct)


@pytest.mark.slow
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_any_box(sampling):
    random = np.random.default_rng(sorted(SAMPLINGS).index(sampling))
    rungs = Counter()
    for _ in range(60):
        channels, fast = int(random.choice([1, 3])), bool(random.integers(2))
        mirrored, bypass_cache = random.integers(0, 2, 2, bool).tolist()
        files = [encode(frame, sampling, int(random.choice([0, 1, 10]))) for frame in FRAMES]
        made = decoder(channels, fast_dct=fast)
        for scale in (1, 2, 4, 8):
            top, left, bottom, right = random_box(random, *SIZE)
            y, x = slice(top // scale, -(-bottom // scale)), slice(left // scale, -(-right // scale))
            rows = random.permutation(6)[: len(files)].tolist()
            memory, out = output(
                6, y.stop - y.start, x.stop - x.start, channels, int(random.choice([0, 64, 1, 48]))
            )
            before = memory.copy()
            expected = out.copy()
            crop = Crop(SIZE, (top, left, bottom, right), scale, mirrored=mirrored, bypass_cache=bypass_cache)
            found = made.decode_crops(files, rows, crop, out)
            assert len(found) == len(files)
            for data, row, rung in zip(files, rows, found, strict=True):
                rungs[rung] += 1
                if rung <= Rung.WHOLE:
                    expected[row] = whole(data, channels == 1, fast, scale)[y, x][:, :: -1 if mirrored else 1]
            assert np.array_equal(out, expected)
            outside = np.ones(memory.size, bool)
            start = out.ctypes.data - memory.ctypes.data
            outside[start : start + out.size] = False
            assert np.array_equal(memory[outside], before[outside])
    assert rungs.keys() >= {Rung.SLICED, Rung.CROPPED}
    assert sum(rungs[rung] for rung in (Rung.SLICED, Rung.CROPPED)) > 200, rungs


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("bypass_cache", [False, True])
def test_rows_of_any_width(channels, mirrored, bypass_cache):
    data = encode(FRAMES[0], "420", 1)
    full = whole(data, channels == 1)
    for width in range(1, 60):
        _, out = output(1, 5, width, channels)
        box = (20, 33, 25, 33 + width)
        crop = Crop(SIZE, box, mirrored=mirrored, bypass_cache=bypass_cache)
        found = decoder(channels).decode_crops([data], [0], crop, out)
        assert found == b"\0"
        assert np.array_equal(out[0], full[20:25, 33 : 33 + width][:, :: -1 if mirrored else 1])


def test_what_is_for_decode_is_left():
    """Other sizes, formats and kinds of JPEG; damage."""
    good = encode(FRAMES[0], "420", 1)
    larger = natural(np.random.default_rng(9), SIZE[0] + 16, SIZE[1])
    files = [
        good,
        memoryview(good),
        bytearray(encode(FRAMES[1])),
        encode(larger, "420", 1),
        png(FRAMES[0]),
        encode(FRAMES[0], progressive=True),
        good[: len(good) // 2],
        good[:20],
        b"",
    ]
    _, out = output(len(files), 40, 60, 3)
    found = decoder().decode_crops(files, list(range(len(files))), Crop(SIZE, BOX), out)
    assert found[:3] == bytes([Rung.SLICED, Rung.SLICED, Rung.CROPPED])
    assert min(found[3:]) > Rung.WHOLE
    top, left, bottom, right = BOX
    for row, data in enumerate(files[:3]):
        assert np.array_equal(out[row], whole(bytes(data))[top:bottom, left:right])
    assert (out[3:] == UNTOUCHED).all()


def test_a_box_that_leaves_the_frame_is_left():
    _, out = output(1, 40, 60, 3)
    crop = Crop(SIZE, (80, 33, 120, 93))
    assert min(decoder().decode_crops([encode(FRAMES[0])], [0], crop, out)) > Rung.WHOLE
    assert (out == UNTOUCHED).all()


@pytest.mark.parametrize(
    ("error", "files", "rows", "scale", "shape"),
    [
        (IndexError, 1, [2], 1, (2, 40, 60, 3)),
        (ValueError, 2, [0], 1, (2, 40, 60, 3)),
        (ValueError, 1, [0], 3, (2, 40, 60, 3)),
        (ValueError, 1, [0], 1, (2, 40, 60, 1)),
        (TypeError, 1, [0], 1, (2, 40, 60)),
        (TypeError, 1, [-1], 1, (2, 40, 60, 3)),
    ],
)
def test_refused(error, files, rows, scale, shape):
    with pytest.raises(error):
        decoder().decode_crops(
            [encode(FRAMES[0])] * files, rows, Crop(SIZE, BOX, scale), np.empty(shape, np.uint8)
        )


@pytest.mark.parametrize("order", ["strided", "F", "int16"])
def test_an_output_that_would_be_copied_is_refused(order):
    out = {
        "strided": np.zeros((1, 40, 120, 3), np.uint8)[:, :, ::2],
        "F": np.zeros((1, 40, 60, 3), np.uint8, order="F"),
        "int16": np.zeros((1, 40, 60, 3), np.int16),
    }[order]
    with pytest.raises(TypeError):
        decoder().decode_crops([encode(FRAMES[0])], [0], Crop(SIZE, BOX), out)


def test_no_files():
    assert decoder().decode_crops([], [], Crop(SIZE, BOX), np.zeros((0, 40, 60, 3), np.uint8)) == b""


def test_an_output_that_may_not_be_written_is_refused():
    out = np.zeros((1, 40, 60, 3), np.uint8)
    out.flags.writeable = False
    with pytest.raises(TypeError):
        decoder().decode_crops([encode(FRAMES[0])], [0], Crop(SIZE, BOX), out)


@pytest.mark.parametrize(
    "transforms",
    [
        [fc.CenterCrop((40, 60))],
        [fc.CenterCrop((40, 60)), fc.RandomFlip(1.0)],
        [fc.CenterCrop((40, 60)), fc.Resize((20, 30))],
        [fc.CenterCrop((40, 60)), fc.Blur(1.0)],
    ],
)
@pytest.mark.parametrize("first", range(5))
def test_a_clip_of_all_kinds_of_frames(transforms, first):
    """Whichever comes first; with padding and repeats."""
    stored = [
        encode(FRAMES[0], "420", 1),
        encode(FRAMES[1]),
        png(FRAMES[2]),
        encode(FRAMES[3], progressive=True),
        encode(FRAMES[0], "444", 2),
    ]
    pixels = np.stack([np.asarray(FRAMES[2]) if data[:1] == b"\x89" else whole(data) for data in stored])
    frames = [(first + step) % 5 for step in (0, 1, 2, 2, 0, 3, 4)] + [~((first + 4) % 5)]
    made = render(transforms, pixels, stored=Store(image=stored), frames=frames, dct_scaling=False)
    expected = render(transforms, pixels, frames=frames, dct_scaling=False)
    assert np.array_equal(made["image"], expected["image"])
