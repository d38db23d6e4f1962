"""Depth and flow through the geometry, the pixel steps and a sheet."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unlike import (
    DEPTH,
    FLOW,
    FRAMES,
    HALF,
    HEIGHT,
    IMAGES,
    VIDEOS,
    WIDTH,
    batch,
    loader,
    placed,
    random,
    whole,
)

import fastclips as fc
from fastclips.pixels.recipe import compile_recipe
from fastclips.testing import check_storage

units = st.floats(0, 1, exclude_max=True)


# Depth


def test_depth_is_cropped_with_its_picture_and_not_touched_by_pixel_steps():
    picture = np.repeat((DEPTH % 251).astype(np.uint8)[..., None], 3, -1)
    streams = {"image": picture, "depth": fc.Stream(DEPTH, kind="depth")}
    found = batch(streams, [fc.RandomCrop(12), fc.RandomFlip(), fc.RandomRotation(0)])
    assert (found["depth"].shape, found["depth"].dtype) == ((2, 3, 12, 12, 1), np.uint16)
    assert np.array_equal(found["depth"][..., 0] % 251, found["image"][..., 0])
    bright = batch(streams, [fc.RandomCrop(12), fc.RandomFlip(), fc.Brightness(0.5), fc.Blur(1)])
    assert np.array_equal(found["depth"], bright["depth"])


@pytest.mark.parametrize(
    "transforms",
    [
        [fc.RandomResizedCrop((9, 13), (0.1, 0.9)), fc.RandomFlip(0.5, 0.5)],
        [fc.Resize(5), fc.RandomFlip()],
        [fc.Resize((50, 77)), fc.RandomCrop(30)],
        [fc.RandomRotation(40, fill="reflect"), fc.RandomZoom(0.4, fill="reflect")],
        [fc.RandomShift(0.5, 0.5, fill="wrap"), fc.CenterCrop(11)],
        [fc.RandomShear(30, per="frame"), fc.RandomCrop(10, per="frame")],
    ],
    ids=repr,
)
def test_depth_of_bytes_shows_the_pixels_of_a_mask(transforms):
    """Both take the nearest pixel, by different code."""
    values = np.repeat(np.repeat(HALF, 2, 2), 2, 3)
    for own in ([], [fc.On(("mask", "depth"), fc.Resize((30, 31)))]):
        streams = {"mask": fc.Stream(values, kind="mask"), "depth": fc.Stream(values, kind="depth")}
        found = batch(streams, [*own, *transforms], batch_size=4)
        assert np.array_equal(found["mask"], found["depth"][..., 0])


@pytest.mark.parametrize("channels_first", [False, True])
def test_pixel_steps_of_depth_and_flow(channels_first):
    streams = {"depth": fc.Stream(DEPTH, kind="depth"), "flow": fc.Stream(FLOW, kind="flow")}
    steps = [
        fc.On("depth", fc.Rescale(0.001, -1)),
        fc.On("flow", fc.Apply(lambda clip: np.clip(clip, -1, 1))),
        fc.On("flow", fc.FeatureWise(0.5, 2)),
    ]
    found = batch(streams, steps, channels_first=channels_first)
    found = {name: np.moveaxis(a, 2, -1) if channels_first else a for name, a in found.items()}
    assert {a.dtype.name for a in found.values()} == {"float32"}
    clips = (2, 3, HEIGHT, WIDTH)
    assert np.allclose(found["depth"], DEPTH[0].reshape(*clips, 1) * 0.001 - 1, atol=1e-4)
    assert np.allclose(found["flow"], (np.clip(FLOW[0], -1, 1).reshape(*clips, 2) - 0.5) / 2, atol=1e-5)
    whole = batch(streams, [fc.On("depth", fc.PerSample())])["depth"]
    assert abs(whole.mean()) < 1e-3
    assert abs(whole.std() - 1) < 1e-3


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (fc.Normalize(), "works on bytes, 0 to 255, but these frames are uint16.*Rescale"),
        (fc.Blur(1), "works on bytes"),
        (fc.Hue(0.1), "works on bytes"),
        (fc.Rescale(1, dtype="float16"), "float16"),
    ],
)
def test_pixel_steps_that_do_not_suit_numbers(step, message):
    with pytest.raises(fc.OptionError, match=message):
        loader({"depth": fc.Stream(DEPTH, kind="depth")}, [fc.On("depth", step)])


def test_depth_of_bytes_takes_steps_of_bytes():
    depth = (DEPTH % 256).astype(np.uint8)
    found = batch({"depth": fc.Stream(depth, kind="depth")}, [fc.On("depth", fc.Normalize(0.5, 0.5))])
    assert np.allclose(found["depth"][0, :, :, :, 0], (depth[0, :3] / 255 - 0.5) / 0.5, atol=1e-6)


def test_what_is_outside_and_padding():
    depth = DEPTH[..., None] // 2 + 1
    plain, marked = fc.Stream(depth, kind="depth"), fc.Stream(depth, kind="depth", ignore=65535)
    shift = fc.RandomShift(8, 8, fill="constant", fill_value=9)
    options = {"batch_size": 3}
    windows = fc.Windows(4, tail="pad")
    data = fc.open(
        images={"image": IMAGES, "plain": plain, "marked": marked, "flow": fc.Stream(FLOW, kind="flow")}
    )
    names = ("image", "plain", "marked", "flow")
    with fc.ClipLoader(data, windows, [shift], inputs=names, workers=0, seed=5, **options) as opened:
        found = next(iter(opened))
    outside = (found["image"][:2] == 9).all(-1)
    assert 0 < outside.mean() < 0.9
    first = outside[0]
    assert (found["plain"][0][first] == 0).all()
    assert (found["marked"][0][first] == 65535).all()
    assert (found["flow"][0][first] == 0).all()
    assert (found["marked"][1, 2:] == 65535).all()  # padding, as in masks
    assert np.array_equal(found["plain"][1, 2], found["plain"][1, 1])  # a repeated frame, as in pictures


def test_steps_of_padded_depth_are_the_same_each_time():
    """Nothing of an earlier clip shines through."""
    data = fc.open(images={"depth": fc.Stream(DEPTH, kind="depth", ignore=0)})
    options = {"inputs": "depth", "batch_size": 4, "workers": 0, "targets": None}
    with fc.ClipLoader(
        data, fc.Windows(4, tail="pad"), [fc.On("depth", fc.PerSample())], **options
    ) as opened:
        batches = [next(iter(opened)).copy() for _ in range(2)]
    assert np.array_equal(*batches)


def test_storages_of_numbers():
    class Numbers(fc.Storage):
        def read(self, stream, video, frame):
            if not (0 <= video < VIDEOS and 0 <= frame < FRAMES):
                raise IndexError(frame)
            return {"image": IMAGES, "depth": DEPTH, "flow": FLOW[:, :, ::2, ::2]}[stream][video, frame]

    kinds = {"image": "image", "depth": "depth", "flow": "flow"}
    check_storage(Numbers(), streams=kinds, frame_counts=[FRAMES] * VIDEOS)
    with pytest.raises(AssertionError, match="float32"):
        check_storage(Numbers(), streams={**kinds, "flow": "image"}, frame_counts=[FRAMES] * VIDEOS)
    data = fc.Dataset.of(Numbers(), frame_counts=[FRAMES] * VIDEOS, streams=kinds)
    found = whole(data, transforms=[fc.On("flow", fc.Resize((HEIGHT, WIDTH)))])
    assert np.array_equal(found["depth"][..., 0], DEPTH.reshape(4, 3, HEIGHT, WIDTH)[:2])
    assert found["flow"].shape == (2, 3, HEIGHT, WIDTH, 2)
    with pytest.raises(fc.OptionError, match="kind of 'image' in streams='picture'"):
        fc.Dataset.of(Numbers(), frame_counts=[1], streams={"image": "picture"})
    with pytest.raises(fc.OptionError, match="give the kind 'mask' there"):
        fc.Dataset.of(Numbers(), frame_counts=[1], streams=kinds, masks="image")


@pytest.mark.parametrize(
    ("ignore", "array"), [(-1, DEPTH), (0.5, DEPTH), (65536, DEPTH), (1e39, FLOW[..., 0])]
)
def test_ignore_must_fit_the_type(ignore, array):
    with pytest.raises(fc.OptionError, match=r"ignore=.* of 'depth': must be a number of (uint16|float32)"):
        loader({"depth": fc.Stream(array, kind="depth", ignore=ignore)})


def test_a_sheet_shows_flow_in_hues():
    from fastclips.preview.painting import Reach  # noqa: PLC0415 - beside its use

    right, down, none = Reach(2.0).paint(np.array([[2, 0], [0, 2], [0, 0]], np.float32))
    assert right.tolist() == [255, 0, 0]
    assert down.tolist() == [128, 255, 0]
    assert none.tolist() == [255, 255, 255]
    streams = {"image": IMAGES, "flow": fc.Stream(FLOW, kind="flow"), "depth": fc.Stream(DEPTH, kind="depth")}
    for channels_first in (False, True):
        with loader(streams, channels_first=channels_first) as opened:
            assert opened.preview(1).width > 300


# Flow


FRAME = random.normal(0, 4, (14, 18, 2)).astype(np.float32)


@given(
    transforms=st.lists(
        st.sampled_from(
            [
                fc.RandomFlip(0.5, 0.5),
                fc.RandomCrop((6, 7)),
                fc.Resize((9, 20)),
                fc.On("it", fc.Resize((20, 15))),
                fc.RandomRotation(40),
                fc.RandomZoom(0.3),
                fc.RandomShear(20),
                fc.RandomShift(3, 3),
                fc.RandomResizedCrop((8, 8), (0.3, 0.8)),
            ]
        ),
        max_size=4,
    ),
    draws=st.lists(units, min_size=16, max_size=16),
    fill=st.sampled_from(["nearest", "reflect", "wrap", "constant"]),
    kind=st.sampled_from(["flow", "depth"]),
)
@settings(max_examples=150)
def test_flow_and_depth_equal_the_reference(transforms, draws, fill, kind):
    from dataclasses import replace  # noqa: PLC0415 - beside its use

    crops = [t for t in transforms if isinstance(t, fc.RandomCrop)]
    transforms = [replace(t, fill=fill) if "fill" in vars(t) else t for t in transforms]
    transforms = [t for t in transforms if t not in crops[1:]]
    frame = FRAME if kind == "flow" else np.arange(14 * 18, dtype=np.uint16).reshape(14, 18, 1)
    count = compile_recipe(transforms).draws
    found, expected = placed(frame, transforms, draws[:count], kind)
    if kind == "depth":
        assert np.mean(found != expected) < 0.02  # ties between two pixels
    else:
        assert np.allclose(found, expected, atol=2e-4)


def test_mirrors_negate_and_scales_scale():
    found, _ = placed(FRAME, [fc.RandomFlip(1)], [0.0], "flow")
    assert np.array_equal(found, FRAME[:, ::-1] * [-1, 1])
    found, _ = placed(FRAME, [fc.RandomFlip(0, 1)], [0.0, 0.0], "flow")
    assert np.array_equal(found, FRAME[::-1] * [1, -1])
    still = np.full((14, 18, 2), [3, 5], np.float32)
    found, _ = placed(still, [fc.Resize((28, 18))], [], "flow")
    assert np.allclose(found, np.broadcast_to([3, 10], found.shape))


def test_rotation_turns_a_displacement_as_it_turns_points():
    """A point and the point it moves to, both rotated: the rotated flow leads from one to the other."""
    still = np.full((21, 21, 2), [4, 0], np.float32)
    transforms = [fc.RandomRotation((30, 30), fill="reflect")]
    recipe = compile_recipe(transforms)
    matrix = recipe.geometry(21, 21, [0.5]).matrix
    whole = np.vstack([matrix, [0, 0, 1]])
    start, end = (np.linalg.inv(whole) @ [10.5, x, 1] for x in (10.5, 14.5))
    found, _ = placed(still, transforms, [0.5], "flow")
    assert np.allclose(found[10, 10], (end - start)[[1, 0]], atol=1e-4)


@pytest.mark.slow
def test_keras_and_tensorflow_take_them():
    pytest.importorskip("tensorflow")
    from fastclips.adapters.keras import ClipSequence  # noqa: PLC0415 - needs Keras

    streams = {
        "image": IMAGES,
        "depth": fc.Stream(DEPTH, kind="depth"),
        "flow": fc.Stream(FLOW, kind="flow"),
        "mask": fc.Stream(HALF, kind="mask"),
    }
    transforms = [fc.On("mask", fc.Resize((HEIGHT, WIDTH))), fc.RandomCrop(8), fc.RandomFlip()]
    options = {"inputs": ("image", "depth", "flow"), "targets": "mask"}
    expected = batch(streams, transforms, **options)
    dtypes = {"image": "uint8", "depth": "uint16", "flow": "float32"}
    with loader(streams, transforms, **options) as opened:
        dataset = opened.to_tf_dataset()
        assert {name: spec.dtype.name for name, spec in dataset.element_spec[0].items()} == dtypes
        x, y = next(iter(dataset))
        for name in dtypes:
            assert np.array_equal(x[name].numpy(), expected[0][name])
        assert np.array_equal(y.numpy(), expected[1])
    with loader(streams, transforms, **options) as opened:
        x, y = ClipSequence(opened)[0]
        assert all(np.array_equal(x[name], expected[0][name]) for name in dtypes)
        assert np.array_equal(y, expected[1])
