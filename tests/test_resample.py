"""Boxes that are stretched: the kernel, and boxes that are stretched while they are decoded.

The kernel has the pixels of its reference and of OpenCV, on each path of the CPU.
"""

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jpegs import SAMPLINGS, encode, natural, random_box, whole
from slow_geometry import stretched

from fastclips._native import Crop, Method, stretch
from fastclips.pixels.decoding.decoder import Decoder, Rung
from fastclips.spec import StreamSpec

SIZE = (96, 160)
FRAMES = [natural(np.random.default_rng(seed), *SIZE) for seed in range(3)]
sides = st.one_of(st.integers(1, 8), st.integers(1, 90))
flips = st.tuples(st.booleans(), st.booleans())


def run(pixels, height, width, *, mirrored=False, flipped=False, method=Method.LINEAR):
    out = np.full((height, width, pixels.shape[2]), 0xA5, np.uint8)
    stretch(pixels, mirrored, flipped, method, out)
    return out


def nearest(pixels, height, width):
    rows, columns = (
        [int((one + 0.5) * size / count) for one in range(count)]
        for size, count in zip(pixels.shape, (height, width), strict=False)
    )
    return pixels[rows][:, columns]


@pytest.fixture(params=["", "AVX2"])
def without(request, monkeypatch):
    """Switches instructions off."""
    monkeypatch.setenv("FASTCLIPS_CPU_DISABLE", request.param)


@given(
    sides,
    sides,
    sides,
    sides,
    st.sampled_from([1, 3]),
    st.tuples(st.booleans(), st.booleans()),
    st.integers(0),
)
@example(1, 1, 7, 9, 3, (False, False), 0)
@example(64, 90, 32, 45, 3, (True, False), 0)  # a half, which OpenCV makes in another way
@example(315, 315, 224, 224, 3, (False, False), 0)
@example(180, 239, 112, 112, 1, (False, True), 0)
@settings(max_examples=150)
@pytest.mark.usefixtures("without")
def test_pixels_are_those_of_opencv(tall, wide, height, width, channels, flips, seed):
    random = np.random.default_rng(seed)
    frame = random.integers(0, 256, (tall + 2, wide + 3, channels), np.uint8)
    box = frame[1 : tall + 1, 2 : wide + 2]  # nothing beside it may show
    mirror = np.s_[:: -1 if flips[1] else 1, :: -1 if flips[0] else 1]
    made = run(box, height, width, mirrored=flips[0], flipped=flips[1])
    np.testing.assert_array_equal(made, stretched(box, height, width)[mirror])
    np.testing.assert_array_equal(made, cv2.resize(box, (width, height)).reshape(made.shape)[mirror])
    picked = run(box, height, width, mirrored=flips[0], flipped=flips[1], method=Method.NEAREST)
    np.testing.assert_array_equal(picked, nearest(box, height, width)[mirror])


def test_other_channels():
    frame = np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8)
    np.testing.assert_array_equal(run(frame, 13, 41), cv2.resize(frame, (41, 13)))


@pytest.mark.parametrize(
    ("frame", "output"),
    [((0, 3, 3), (2, 2, 3)), ((3, 3, 3), (0, 2, 3)), ((3, 3, 3), (2, 2, 1)), ((3, 6, 3), (2, 2, 3))],
)
def test_refused(frame, output):
    pixels = np.zeros(frame, np.uint8)
    with pytest.raises(ValueError, match=r"frame|row"):
        stretch(pixels[:, ::2], False, False, Method.LINEAR, np.empty(output, np.uint8))


@pytest.mark.parametrize("sampling", ["420", "444", "422"])
@pytest.mark.usefixtures("without")
def test_stretched_while_decoded(sampling):
    """Files of all rungs, damaged ones between them."""
    random = np.random.default_rng(sorted(SAMPLINGS).index(sampling))
    for turn in range(12):
        channels, scale = (1, 3)[turn % 2], (1, 2, 4)[turn % 3]
        mirrored, flipped, bypass_cache = random.integers(0, 2, 3, bool).tolist()
        decoder = Decoder(StreamSpec("image", channels=channels))
        files = [encode(frame, sampling, int(random.choice([0, 1, 10]))) for frame in FRAMES]
        files.insert(1, files[0][: len(files[0]) * 2 // 3])
        box = top, left, bottom, right = random_box(random, *SIZE)
        y, x = slice(top // scale, -(-bottom // scale)), slice(left // scale, -(-right // scale))
        out = np.full((5, *random.integers(1, 70, 2), channels), 0xA5, np.uint8)
        mirrors = {"mirrored": mirrored, "flipped": flipped}
        rows = [3, 0, 4, 1]
        crop = Crop(SIZE, box, scale, bypass_cache=bypass_cache, **mirrors)
        found = decoder.decode_crops(files, rows, crop, out)
        assert [rung <= Rung.WHOLE for rung in found] == [True, False, True, True]
        for data, row in zip(files, rows, strict=True):
            if row:
                part = np.ascontiguousarray(whole(data, channels == 1, True, scale)[y, x])
                np.testing.assert_array_equal(out[row], run(part, *out.shape[1:3], **mirrors))
        assert (out[2] == 0xA5).all()
