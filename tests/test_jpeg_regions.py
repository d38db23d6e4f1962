"""A box of a JPEG is what the whole frame has there, bit for bit, however it was decoded."""

from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from jpegs import SAMPLINGS, check, encode, markers, mcus, natural, random_box, whole
from PIL import Image

from fastclips.errors import FrameError
from fastclips.pixels.decoding.decoder import Decoder, Rung, frame_size
from fastclips.spec import StreamSpec

IMAGE, GRAY = StreamSpec("image"), StreamSpec("gray", channels=1)
DECODERS = {
    (gray, fast): Decoder(GRAY if gray else IMAGE, fast_dct=fast)
    for gray in (False, True)
    for fast in (False, True)
}
FRAME = natural(np.random.default_rng(0), 96, 160)
BOX = (40, 52, 70, 100)


def intervals(random, size, sampling):
    """A restart interval of some kind: none, part of a row, whole rows, one that fits neither."""
    _, row = mcus(size, sampling)
    kind = random.integers(4)
    if kind == 0:
        return 0
    if kind == 1:
        return int(random.choice([k for k in range(1, row + 1) if row % k == 0]))
    if kind == 2:
        return row * int(random.integers(1, 4))
    return int(random.integers(1, 2 * row + 1))


@pytest.mark.slow
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_any_box_of_any_frame(sampling):
    """Some 15,000 boxes of each subsampling: odd sizes, all intervals, both transforms, gray and colour."""
    random = np.random.default_rng(sorted(SAMPLINGS).index(sampling))
    rungs = Counter()
    for _ in range(400):
        size = tuple(random.integers(1, 150, 2).tolist())
        interval = intervals(random, size, sampling)
        quality = int(random.choice([50, 88, 97]))
        optimize = bool(random.integers(2))
        data = encode(natural(random, *size), sampling, interval, quality, optimize=optimize)
        for _ in range(4):
            gray, fast = random.integers(0, 2, 2).tolist()
            for scale in (1, 2, 4, 8):
                if scale != 1 and max(size) < 8:
                    continue
                full = whole(data, gray, fast, scale)
                for _ in range(2 if scale != 1 else 4):
                    box = random_box(random, *size)
                    decoded = DECODERS[gray, fast].decode(data, box, scale)
                    rungs[decoded.rung] += 1
                    check(decoded, full, box, scale)
    assert sum(rungs.values()) > 15_000
    assert min(rungs[Rung.SLICED], rungs[Rung.CROPPED], rungs[Rung.WHOLE]) > 500, rungs


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize(
    ("kind", "rung"),
    [
        ("none", Rung.CROPPED),
        ("one", Rung.SLICED),
        ("row", Rung.SLICED),
        ("rows", Rung.CROPPED),
        ("odd", Rung.CROPPED),
    ],
)
def test_the_rung(sampling, kind, rung):
    tall = natural(np.random.default_rng(0), 160, 160)
    row = mcus((160, 160), sampling)[1]
    data = encode(tall, sampling, {"none": 0, "one": 1, "row": row, "rows": 2 * row, "odd": row - 1}[kind])
    assert (len(markers(data)) > 0) is (kind != "none")
    for scale in (1, 2, 4, 8):
        full = whole(data, scale=scale)
        for box, expected in (
            ((40, 66, 70, 94), rung),
            ((70, 0, 100, 160), rung),
            ((0, 0, 160, 160), Rung.WHOLE),
        ):
            decoded = DECODERS[0, 0].decode(data, box, scale)
            assert decoded.rung is expected
            check(decoded, full, box, scale)


def test_a_narrow_box_at_the_right_edge():
    """Colour of at most two samples would be upsampled plainly; the frame's is not."""
    for width in range(33, 40):
        for sampling in ("420", "422"):
            data = encode(natural(np.random.default_rng(width), 40, width), sampling, 1)
            for left in range(28, width):
                box = (10, left, 20, width)
                check(DECODERS[0, 0].decode(data, box), whole(data), box)


@pytest.mark.parametrize(("interval", "rung"), [(1, Rung.SLICED), (2, Rung.SLICED), (3, Rung.CROPPED)])
def test_nothing_but_a_part_is_read(interval, rung):
    """Damage elsewhere does not show."""
    data = bytearray(encode(FRAME, restart=interval))
    full = whole(data)
    end = markers(data)[-1]
    for at in range(end - 60, end - 20):
        if 0xFF not in data[at - 1 : at + 2]:
            data[at] ^= 1
    with pytest.raises((AssertionError, FrameError)):
        assert np.array_equal(DECODERS[0, 0].decode(data).pixels, full)
    decoded = DECODERS[0, 0].decode(data, (8, 20, 24, 60))
    assert decoded.rung is rung
    check(decoded, full, (8, 20, 24, 60))


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_whole_frames_are_scaled_as_their_parts(scale):
    for height, width in ((1, 1), (7, 7), (3, 8), (9, 1), (40, 57)):
        data = encode(natural(np.random.default_rng(0), height, width))
        decoded = DECODERS[0, 0].decode(data, None, scale)
        expected = scale if max(height, width) >= 8 else 1
        assert decoded.scale == expected
        assert decoded.pixels.shape == (-(-height // expected), -(-width // expected), 3)
    image = Image.open(BytesIO(data))  # the last of them
    image.draft("RGB", (width // scale, height // scale))
    assert np.array_equal(decoded.pixels, np.asarray(image))


def test_only_jpegs_are_scaled():
    file = BytesIO()
    Image.fromarray(FRAME).save(file, "PNG")
    for data in (file.getvalue(), FRAME):
        decoded = DECODERS[0, 0].decode(data, BOX, 4)
        assert (decoded.top, decoded.left, decoded.scale) == (0, 0, 1)
        assert np.array_equal(decoded.pixels, FRAME)
    assert DECODERS[0, 0].decode(file.getvalue(), BOX).rung is Rung.WHOLE
    assert DECODERS[0, 0].decode(FRAME, BOX).rung is Rung.ARRAY


def test_a_scale_that_is_none():
    with pytest.raises(ValueError, match="scale must be 1, 2, 4 or 8"):
        DECODERS[0, 0].decode(encode(FRAME), BOX, 3)


def cmyk():
    file = BytesIO()
    Image.fromarray(FRAME).convert("CMYK").save(file, "JPEG", restart_marker_blocks=1)
    return file.getvalue()


@pytest.mark.parametrize("scale", [1, 2, 8])
@pytest.mark.parametrize(
    "data",
    [encode(FRAME, progressive=True), encode(FRAME, progressive=True, restart=2), cmyk()],
    ids=["progressive", "progressive with markers", "CMYK"],
)
def test_kinds_that_are_decoded_whole(data, scale):
    decoded = DECODERS[0, 0].decode(data, BOX, scale)
    assert decoded.rung is Rung.WHOLE
    assert np.array_equal(decoded.pixels, whole(data, scale=scale))
    assert frame_size(data) == (96, 160)


@pytest.mark.parametrize("restart", [0, 1, 5])
def test_colour_spaces(restart):
    """Adobe's marker says RGB; JFIF's outweighs the components' names. A part has both."""
    red = encode(FRAME, "444", restart, keep_rgb=True)
    assert b"Adobe" in red
    named = encode(FRAME, "444", restart)
    at = named.index(b"\xff\xc0")
    named = bytearray(named)
    for component, name in enumerate(b"RGB"):
        named[at + 10 + 3 * component] = name
        named[named.index(b"\xff\xda") + 5 + 2 * component] = name
    unnamed = bytearray(named)
    jfif = unnamed.index(b"\xff\xe0")
    del unnamed[jfif : jfif + 18]
    seen = []
    for data in (red, bytes(named), bytes(unnamed)):
        for gray in (0, 1):
            decoded = DECODERS[gray, 0].decode(data, BOX)
            assert decoded.rung < Rung.WHOLE
            check(decoded, whole(data, gray), BOX)
        seen.append(whole(data))
    assert not np.array_equal(seen[1], seen[2])


@pytest.mark.parametrize(("restart", "rung"), [(1, Rung.SLICED), (0, Rung.CROPPED)])
def test_metadata_are_left_out_and_tables_kept(restart, rung):
    comment = b"\xff\xfe" + (50_000).to_bytes(2, "big") + bytes(49_998)
    exif = b"\xff\xe1" + (60_000).to_bytes(2, "big") + b"Exif\0\0" + b"\xff\xd0" * 29_996
    plain = encode(FRAME, restart=restart, optimize=True)
    data = plain[:2] + exif + plain[2:20] + comment + exif + plain[20:]
    decoded = DECODERS[0, 0].decode(data, BOX)
    assert decoded.rung is rung
    check(decoded, whole(plain), BOX)


def test_huffman_tables_of_few_sizes():
    """Optimised for DC values that hardly differ, while the first in a crop differs much from black."""
    steps = np.linspace(0, 255, 40 * 16).repeat(1)[None].repeat(32, 0).astype(np.uint8)
    for values in (steps, 255 - steps):
        data = encode(np.stack([values] * 3, axis=-1), "420", quality=95, optimize=True)
        at = data.index(b"\xff\xc4") + 5
        assert sum(data[at : at + 16]) < 8, "few sizes"
        for left in (100, 300, 600):
            box = (0, left, 30, left + 30)
            decoded = DECODERS[0, 0].decode(data, box)
            assert decoded.rung is Rung.CROPPED
            check(decoded, whole(data), box)


def test_tables_change_from_frame_to_frame():
    """What is kept of the last file's tables is no other's."""
    files = [
        encode(natural(np.random.default_rng(seed), 96, 160), "420", 0, quality, optimize=optimize)
        for seed, (quality, optimize) in enumerate([(50, True), (95, True), (88, False), (70, True)])
    ]
    for data in files * 2:
        check(DECODERS[0, 0].decode(data, BOX), whole(data), BOX)


def test_masks_of_a_jpeg():
    stream = StreamSpec("mask", kind="mask", values=tuple(range(256)), smeared=True)
    for restart in (0, 2):
        data = encode(FRAME, "gray", restart)
        decoded = Decoder(stream).decode(data, BOX)
        assert decoded.pixels.ndim == 2
        check(decoded, whole(data, gray=True)[:, :, 0], BOX)


def test_the_scratch_grows_and_is_shared():
    decoder = Decoder(IMAGE)
    data = encode(FRAME, restart=2)
    first = decoder.decode(data, BOX)
    kept = first.pixels.copy()
    assert np.shares_memory(first.pixels, decoder.decode(data, BOX).pixels)
    larger = decoder.decode(
        encode(natural(np.random.default_rng(1), 300, 400), restart=5), (10, 20, 290, 200)
    )
    assert not np.shares_memory(first.pixels, larger.pixels)
    assert np.array_equal(first.pixels, kept)


@pytest.mark.parametrize("gray", [False, True])
def test_rows_lie_whole_pixels_apart(gray):
    """So a kernel may see wider rows that lie together, all within the decoder's memory."""
    for restart in (0, 1):
        for box in ((3, 5, 90, 77), (60, 101, 96, 160)):
            pixels = DECODERS[gray, 0].decode(encode(FRAME, restart=restart), box).pixels
            pitch, across, deep = pixels.strides
            assert (across, deep) == (pixels.shape[2], 1)
            assert pitch % across == 0
            memory = DECODERS[gray, 0]._scratch
            start = pixels.ctypes.data - memory.ctypes.data
            assert 0 <= start <= memory.size - pixels.shape[0] * pitch
            wide = memory[start:][: pixels.shape[0] * pitch].reshape(pixels.shape[0], -1, across)
            assert np.array_equal(wide[:, : pixels.shape[1]], pixels)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_bytes(kind):
    data = encode(FRAME, restart=2)
    check(DECODERS[0, 0].decode(kind(data), BOX), whole(data), BOX)
    assert frame_size(kind(data)) == (96, 160)


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (95, 159, 96, 160), (0, 0, 500, 500), (90, 100, 200, 300)])
def test_boxes_at_and_over_the_edge(box):
    for restart in (0, 1, 10):
        data = encode(FRAME, restart=restart)
        decoded = DECODERS[0, 0].decode(data, box)
        check(decoded, whole(data), (*box[:2], min(box[2], 96), min(box[3], 160)))
