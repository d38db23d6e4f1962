"""Boxes that are stretched: the kernel, and boxes that are stretched while they are decoded.

The kernel has the pixels of its reference and of OpenCV, on each path of the CPU.
"""

import platform
from unittest.mock import patch

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jpegs import SAMPLINGS, encode, natural, random_box, whole
from rendering import Store, render
from slow_geometry import stretched, stretched_floats

import fastclips as fc
from fastclips._native import Crop, Method, stretch, stretch_floats, write_crops
from fastclips.engine.clip_placer import ClipPlacer
from fastclips.pixels.decoding.decoder import Decoder, Rung
from fastclips.pixels.recipe import compile_recipe
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


@given(sides, sides, sides, sides, st.sampled_from([1, 2, 3, 4]), st.integers(0))
@example(1, 1, 7, 9, 3, 0)
@example(64, 90, 32, 45, 3, 0)  # a half, which OpenCV makes in another way
@example(256, 340, 224, 224, 3, 0)
@settings(max_examples=150)
@pytest.mark.usefixtures("without")
def test_floats_are_those_of_opencv_without_ipp(tall, wide, height, width, channels, seed):
    """With IPP, OpenCV's last bits depend on its version and on the CPU."""
    frame = np.random.default_rng(seed).integers(0, 256, (tall + 2, wide + 3, channels), np.uint8)
    box = frame[1 : tall + 1, 2 : wide + 2]  # nothing beside it may show
    made = np.full((height, width, channels), np.nan, np.float32)
    stretch_floats(box, made)
    np.testing.assert_array_equal(made, stretched_floats(box, height, width))
    if platform.machine() != "x86_64":  # OpenCV fuses products with sums elsewhere
        return
    used = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        there = cv2.resize(box.astype(np.float32), (width, height)).reshape(made.shape)
    finally:
        cv2.ipp.setUseIPP(used)
    np.testing.assert_array_equal(made, there)


def test_floats_refuse_what_they_cannot_stretch():
    frame = np.zeros((4, 6, 3), np.uint8)
    for shape, message in (((4, 6, 1), "same channels"), ((0, 6, 3), "empty")):
        with pytest.raises(ValueError, match=message):
            stretch_floats(frame, np.empty(shape, np.float32))
    with pytest.raises(ValueError, match="lie together"):
        stretch_floats(frame[:, ::2], np.empty((4, 3, 3), np.float32))


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
                part = np.ascontiguousarray(whole(data, channels == 1, False, scale)[y, x])
                np.testing.assert_array_equal(out[row], run(part, *out.shape[1:3], **mirrors))
        assert (out[2] == 0xA5).all()


GEOMETRY = [
    [fc.RandomResizedCrop(24, area=(0.3, 1.0)), fc.RandomFlip(1.0, vertical=1.0)],
    [fc.CenterCrop((50, 70)), fc.Resize((60, 90))],
    [fc.Resize((24, 40)), fc.RandomFlip(1.0)],  # at a DCT scale
    [fc.RandomCrop((40, 60)), fc.RandomFlip(0.0, vertical=1.0)],
    [fc.RandomRotation((20, 30), fill="reflect"), fc.RandomCrop((70, 90))],
    [fc.CenterCrop((60, 90)), fc.RandomZoom(0.3, fill="constant", fill_value=9), fc.RandomFlip(1.0)],
    [fc.RandomRotation((5, 9), fill="constant"), fc.Resize((40, 64))],  # at a DCT scale
]
STEPS = [[], [fc.Normalize()], [fc.Rescale(1 / 255, dtype="float16")]]


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("steps", STEPS, ids=repr)
def test_one_call_for_a_clip_gives_the_same_as_frame_by_frame(steps, channels_first):
    """Of frames that native code decodes, and of others between them; of pictures and gray ones."""
    frames = [0, 1, 2, 2, 3, ~0]
    for transforms in GEOMETRY:
        for channels in (3, 1):
            files = [encode(frame, "420", 1) for frame in FRAMES]
            files.insert(2, encode(FRAMES[0], progressive=True))
            store = {"stored": Store(image=files), "frames": frames, "dct_scaling": True}
            shape = np.zeros((4, *SIZE, channels), np.uint8)
            made = [*transforms, *(STEPS[2] if steps and channels == 1 else steps)]
            draws = compile_recipe(made, time_steps=6, dct_scaling=True).draws
            options = {**store, "channels_first": channels_first, "draws": [0.3] * draws}
            calls = []
            with patch.object(ClipPlacer, "place_crops", counted(calls)):
                found = render(made, shape, **options)
            with patch.object(ClipPlacer, "place_crops", lambda *_: ()):
                expected = render(made, shape, **options)
            np.testing.assert_array_equal(found["image"], expected["image"])
            assert calls == [{0, 1, 3}]


def counted(calls):
    place = ClipPlacer.place_crops

    def place_crops(placer, *given):
        done = place(placer, *given)
        calls.append({*done})
        return done

    return place_crops


@pytest.mark.parametrize(
    "transforms",
    [
        [fc.RandomResizedCrop(30, area=(0.3, 1.0)), fc.Normalize()],
        [fc.RandomRotation(20, fill="constant", fill_value=7), fc.CenterCrop(30)],
    ],
    ids=repr,
)
def test_frames_that_are_kept_are_resampled_alike(frames, masks, transforms):
    """Of masks, too, with values and pairs that a mirror swaps."""
    streams = {"image": frames, "mask": fc.Stream(masks, kind="mask", values=[*range(1, 256), 0])}
    data, windows = fc.open(streams), fc.Windows(4)
    transforms = [*transforms, fc.RandomFlip(vertical=0.5, mask_map={1: 2})]
    loaders = [
        fc.ClipLoader(data, windows, transforms, targets="mask", batch_size=4, workers=0, cache=cache, seed=3)
        for cache in (0, fc.FrameCache("64MiB"))
    ]
    for epoch in (0, 1):
        for plain, kept in zip(*(loader.epoch(epoch) for loader in loaders), strict=True):
            for one, other in zip(plain, kept, strict=True):
                np.testing.assert_array_equal(one, other)
    assert loaders[1].stats().cache_hits > 0


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("steps", STEPS, ids=repr)
def test_pixels_that_are_given_take_one_call_as_well(steps, channels_first):
    pixels = np.stack(FRAMES)
    labels = np.random.default_rng(1).integers(0, 256, pixels.shape[:3], np.uint8)
    pixels.flags.writeable = False
    for transforms in GEOMETRY:
        draws = [0.3] * compile_recipe([*transforms, *steps], time_steps=4).draws
        options = {"frames": [0, 2, 1, ~2], "draws": draws, "channels_first": channels_first}
        calls = []
        with patch.object(ClipPlacer, "place_crops", counted(calls)):
            found = render([*transforms, *steps], pixels, labels, **options)
        with patch.object(ClipPlacer, "place_crops", lambda *_: ()):
            expected = render([*transforms, *steps], pixels, labels, **options)
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)
        assert calls[0] == {0, 1, 2}
        assert calls[1] in ({0, 1, 2}, set())  # warps of masks are another way


def test_arrays_that_are_refused():
    """Of another size, type or order, and what is no array; they are left out."""
    good = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    frames = [
        good,
        good[:8],
        good[..., :1],
        good.astype(np.int8),
        good.transpose(1, 0, 2),
        b"file",
        good[:, ::-1],
    ]
    out = np.full((8, 9, 12, 3), 0xA5, np.uint8)
    marks = write_crops([*frames, good[::-1]], [*range(8)], Crop((9, 12), (0, 0, 9, 12)), out)
    assert [mark == Rung.ARRAY for mark in marks] == [True, *[False] * 6, True]
    np.testing.assert_array_equal(out[7], good[::-1])
    assert (out[1:7] == 0xA5).all()
    with pytest.raises(ValueError, match="scale"):
        write_crops([good], [0], Crop((9, 12), (0, 0, 9, 12), 2), out)
    with pytest.raises(ValueError, match="length"):
        write_crops([good], [0, 1], Crop((9, 12), (0, 0, 9, 12)), out)
