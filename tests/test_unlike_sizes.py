"""`Stream` and `On`: streams of several sizes, and which transforms suit them."""

import numpy as np
import pytest
from helpers import decode, make_frames
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
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
    random,
    resized,
    whole,
)

import fastclips as fc
from fastclips.pixels.recipe import compile_recipe
from fastclips.serving.mask_check import warn_of_useless_masks
from fastclips.spec import StreamSpec

units = st.floats(0, 1, exclude_max=True)


# Sizes


@given(
    sizes=st.tuples(st.integers(9, 40), st.integers(9, 40), st.integers(4, 20), st.integers(4, 20)),
    draws=st.tuples(units, units, units),
)
@settings(max_examples=60)
def test_a_small_mask_is_resized_and_cropped_as_one_map(sizes, draws):
    """The recipe's map takes the pixels that a nearest resize and then a crop take."""
    height, width, own_height, own_width = sizes
    size = (min(8, height), min(8, width))
    transforms = [fc.On("mask", fc.Resize((height, width))), fc.RandomCrop(size), fc.RandomFlip()]
    mask = np.arange(own_height * own_width).reshape(own_height, own_width)
    recipe = compile_recipe(transforms)
    own = recipe.of(StreamSpec("mask", "mask"))
    whole = recipe.of(StreamSpec("image"))
    geometry = whole.geometry(height, width, whole.own_draws(draws))
    (top, bottom), (left, right) = (tuple(map(int, axis.box)) for axis in (geometry.y, geometry.x))
    expected = resized(mask, height, width)[top:bottom, left:right]
    expected = expected[:, ::-1] if geometry.flip else expected
    from fastclips.pixels.geometry.resample import find_sources  # noqa: PLC0415 - needs OpenCV

    mapped = own.geometry(own_height, own_width, own.own_draws(draws))
    assert np.array_equal(mask.reshape(-1)[find_sources(mapped, own_height, own_width, "nearest")], expected)


@pytest.mark.parametrize("kind", ["mask", "depth"])
def test_half_the_size(kind):
    """The crop of the resized frames, of every frame of a batch."""
    streams = {"image": IMAGES, "it": fc.Stream(HALF, kind=kind)}
    transforms = [fc.On("it", fc.Resize((HEIGHT, WIDTH))), fc.RandomCrop((10, 12)), fc.RandomFlip()]
    found = batch(streams, transforms, batch_size=4, seed=3)
    large = resized(HALF, HEIGHT, WIDTH)
    for clip in range(4):
        video, first = divmod(3 * clip, FRAMES)
        corners = [
            (y, x, flip)
            for y in range(HEIGHT - 9)
            for x in range(WIDTH - 11)
            for flip in (1, -1)
            if np.array_equal(
                IMAGES[video, first, y : y + 10, x : x + 12][:, ::flip], found["image"][clip, 0]
            )
        ]
        ((y, x, flip),) = corners
        expected = large[video, first : first + 3, y : y + 10, x : x + 12][..., ::flip]
        assert np.array_equal(found["it"][clip].reshape(expected.shape), expected)


@given(draws=st.tuples(units, units), sizes=st.tuples(st.integers(8, 50), st.integers(8, 50)))
@settings(max_examples=60)
def test_crops_of_two_cameras_lie_at_the_same_fraction(draws, sizes):
    recipe = compile_recipe([fc.RandomCrop(8)])
    for size in ((24, 32), sizes):
        geometry = recipe.of(StreamSpec("camera", own_size=True)).geometry(*size, draws)
        corner = tuple(int(draw * (side - 7)) for draw, side in zip(draws, size, strict=True))
        assert (geometry.y.start, geometry.x.start) == corner
        assert (geometry.y.size, geometry.x.size) == (8, 8)


def test_cameras_of_two_sizes():
    right = random.integers(0, 256, (VIDEOS, FRAMES, 40, 20, 3), np.uint8)
    found = batch({"image": IMAGES, "right": fc.Stream(right)}, [fc.CenterCrop(8)])
    assert np.array_equal(found["right"], right[:1, :, 16:24, 6:14].reshape(2, 3, 8, 8, 3))
    assert np.array_equal(found["image"], IMAGES[:1, :, 8:16, 12:20].reshape(2, 3, 8, 8, 3))
    found = batch({"image": IMAGES, "right": fc.Stream(right)})
    assert (found["image"].shape, found["right"].shape) == ((2, 3, 24, 32, 3), (2, 3, 40, 20, 3))
    with pytest.raises(fc.OptionError, match=r"declare them by Stream\(array\)"):
        batch({"image": IMAGES, "right": right})


def test_mixed_sizes_within_a_stream_are_found_at_the_frame():
    """A mask that fits its picture in the first frame and not in a later one."""

    class Growing(fc.Storage):
        def read(self, stream, video, frame):
            if not (0 <= video < 2 and 0 <= frame < 6):
                raise IndexError(frame)
            size = (12, 16) if stream == "mask" else (24 + 2 * (video == 1), 32)
            return np.zeros((*size, 3)[: 3 - (stream == "mask")], np.uint8)

    data = fc.Dataset.of(Growing(), frame_counts=[6, 6], streams={"image": "image", "mask": "mask"})
    transforms = [fc.On("mask", fc.Resize((24, 32))), fc.RandomCrop(8)]
    options = {"inputs": ("image", "mask"), "targets": None, "batch_size": 2, "workers": 0}
    with pytest.warns(UserWarning, match="a model learns nothing"):
        opened = fc.ClipLoader(data, fc.Windows(3), transforms, **options)
    batches = iter(opened)
    next(batches)
    with pytest.raises(
        fc.FrameError, match="is 24x32 at a transform that acts on all streams, while its image is 26x32"
    ):
        next(batches)


# On


MASKS = {"image": IMAGES, "mask": fc.Stream(HALF, kind="mask")}
FITS = fc.On("mask", fc.Resize((HEIGHT, WIDTH)))


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        ([fc.RandomCrop(8)], r"24x32 before RandomCrop.*put On\('mask', Resize\(\(24, 32\)\)\) before it"),
        (
            [],
            r"\(mask\) are 12x16 .* those of 'image' 24x32, but .* add On\('mask', Resize\(\(24, 32\)\)\)",
        ),
        (
            [FITS, fc.On("mask", fc.RandomFlip()), fc.RandomCrop(8)],
            r"On\(\('image', 'mask'\), RandomFlip\(\)\)",
        ),
        ([FITS, fc.On("image", fc.RandomFlip()), fc.RandomCrop(8)], "random geometry"),
        ([fc.On("maks", fc.RandomFlip())], "'maks' is no stream of this dataset; it has 'image', 'mask'"),
        ([FITS, fc.On("mask", fc.Normalize())], "'mask' is a mask, whose values are classes"),
        ([FITS, fc.RandomCrop(8), fc.On("mask", fc.Resize(4)), fc.RandomFlip()], "after the last transform"),
        (
            [FITS, fc.On("image", fc.RandomRotation(3, fill="wrap")), fc.RandomShift(1, 1)],
            "by different rules",
        ),
    ],
)
def test_what_does_not_fit(transforms, message):
    with pytest.raises(fc.OptionError, match=message):
        loader(MASKS, transforms)


def test_a_crop_that_is_too_large_for_the_mask_alone():
    """The remedy is On, and not another crop or a resize of both."""
    with pytest.raises(fc.OptionError, match=r"put On\('mask', Resize\(\(24, 32\)\)\) before it"):
        loader(MASKS, [fc.RandomCrop(20)])
    with pytest.raises(fc.OptionError, match=r"RandomCrop's size=\(30, 30\): must be at most"):
        loader(MASKS, [FITS, fc.RandomCrop(30)])


def test_the_remedy_of_an_error_is_right():
    loader(MASKS, [FITS, fc.RandomCrop(8)])
    loader(MASKS, [FITS])
    loader(MASKS, [FITS, fc.On(("image", "mask"), fc.RandomFlip()), fc.RandomCrop(8)])
    loader(MASKS, [FITS, fc.RandomCrop(8), fc.RandomFlip(), fc.On("mask", fc.Resize(4))])
    loader(MASKS, [fc.On("mask", fc.RandomFlip())], inputs="mask")  # no partner


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fc.On("mask", fc.ThreeCrop(8)), "views and frame choices act on all streams"),
        (lambda: fc.On("mask", fc.Reverse()), "views and frame choices act on all streams"),
        (lambda: fc.On("mask", fc.On("mask", fc.Resize(8))), "without views or a pixel step"),
        (lambda: fc.On("mask", fc.Resize), "must be one transform"),
        (lambda: fc.On("mask", [fc.Resize(8)]), "must be one transform"),
        (lambda: fc.On((), fc.Resize(8)), "must be the name of a stream"),
        (lambda: fc.On(3, fc.Resize(8)), "must be the name of a stream"),
        (lambda: fc.On("image", fc.RandomFlip(mask_map={1: 2})), "must not swap"),
    ],
)
def test_what_on_refuses(make, message):
    with pytest.raises(fc.OptionError, match=message):
        make()


def test_on_changes_no_draw_of_other_transforms():
    """Draws are counted in the order of the list, whichever streams they are for."""
    streams = {"image": IMAGES, "right": fc.Stream(IMAGES[:, :, ::-1])}
    before = [fc.RandomCrop(10), fc.RandomFlip()]
    steps = [fc.Brightness(0.5), fc.GaussianNoise(5)]
    plain = batch(streams, before)
    more = batch(streams, [*before, fc.On("right", fc.RandomShift(3, 3))])
    assert np.array_equal(plain["image"], more["image"])
    assert not np.array_equal(plain["right"], more["right"])
    plain = batch(streams, steps)
    more = batch(streams, [*steps, fc.On("right", fc.Contrast(0.5))])
    assert np.array_equal(plain["image"], more["image"])
    both = batch(streams, [fc.On(("image", "right"), step) for step in steps])
    assert np.array_equal(plain["image"], both["image"])
    assert np.array_equal(plain["right"], both["right"])


def test_draws_per_frame():
    streams = {"image": IMAGES, "depth": fc.Stream(DEPTH, kind="depth")}
    transforms = [
        fc.RandomCrop(8, per="frame"),
        fc.On("depth", fc.Rescale(1)),
        fc.Brightness(0.3, per="frame"),
    ]
    found = batch(streams, transforms, batch_size=1)
    recipe = compile_recipe(transforms, time_steps=3)
    assert recipe.draws > 6
    assert recipe.of(StreamSpec("depth", "depth")).columns == tuple(range(6))
    assert recipe.of(StreamSpec("image")).columns == tuple(range(recipe.draws))
    assert found["depth"].shape == (1, 3, 8, 8, 1)
    for step in range(3):
        corners = [
            (y, x)
            for y in range(HEIGHT - 7)
            for x in range(WIDTH - 7)
            if np.array_equal(DEPTH[0, step, y : y + 8, x : x + 8], found["depth"][0, step, :, :, 0])
        ]
        assert len(corners) == 1


# Stream


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fc.Stream("x", kind="boxes"), "Stream's kind='boxes'"),
        (lambda: fc.Stream("x", values={1: 2}), "is for masks, but kind='image'"),
        (lambda: fc.Stream("x", kind="depth", colors={(0, 0, 0): 1}), "is for masks, but kind='depth'"),
        (lambda: fc.Stream("x", kind="flow", ignore=3), "is for masks and depth, but kind='flow'"),
        (lambda: fc.Stream("x", kind="mask", values={1: 300}), "300"),
        (lambda: fc.Stream("x", kind="depth", ignore="no"), "ignore"),
        (lambda: fc.Stream("x", frames=3), "must be a pattern"),
        (lambda: fc.Stream("x", frames=("a", "b")), "two, of x and of y, for kind='flow'"),
        (lambda: fc.Stream("x", kind="flow", frames=("a",)), "two, of x and of y"),
        (lambda: fc.Stream("x", kind="flow", frames="*", bound=3), "bound=3: is for flow in two series"),
        (lambda: fc.Stream("x", kind="flow", frames=("a", "b"), bound=0), "above 0"),
        (
            lambda: fc.open({"f": fc.Stream("x", kind="flow", frames=("a", "b")), "f.y": "z"}),
            "'f.y' is the name of the series of y of 'f'",
        ),
        (lambda: fc.Stream(fc.Stream("x")), "not a Stream"),
        (lambda: fc.open(fc.Stream("x")), "stands alone"),
        (
            lambda: fc.open({"mask": fc.Stream("x")}),
            "'mask' is a mask as a path, but a picture as Stream",
        ),
        (
            lambda: fc.open(
                {"image": "x", "mask": fc.Stream("y", kind="mask", values={1: 2})}, values={3: 4}
            ),
            r"values= .*'mask' is declared by Stream.*Stream\(path, kind='mask', values=",
        ),
        (
            lambda: fc.open({"mask": fc.Stream("y", kind="mask")}, ignore=0),
            "ignore= is for masks that masks=",
        ),
        (
            lambda: fc.open({"a": fc.Stream("x"), "b": "y"}, masks=("a",)),
            r"masks=\('a',\) and Stream\(kind='image'\) both declare 'a'",
        ),
        (
            lambda: fc.open({"a": fc.Stream("x", frames="*.jpg"), "b": "y"}, frames="*.png"),
            r"frames='\*.png' and Stream\(frames='\*.jpg'\) both select frames of 'a'",
        ),
        (
            lambda: fc.open(images={"d": fc.Stream(DEPTH.astype(np.int32), kind="depth")}),
            "depth must be uint8",
        ),
        (lambda: fc.open(images={"d": fc.Stream(DEPTH, kind="flow")}), "flow must be float32"),
        (lambda: fc.open(images={"d": fc.Stream(FLOW[..., :1], kind="flow")}), r"must be \(N, T, H, W, 2\)"),
        (lambda: fc.open(images={"d": fc.Stream(DEPTH[0], kind="depth")}), r"must be \(N, T, H, W\)"),
        (
            lambda: fc.open(images={"i": IMAGES, "d": fc.Stream(DEPTH[:1], kind="depth")}),
            r"must agree in \(N, T\)",
        ),
        (lambda: fc.open(images={"i": fc.Stream(IMAGES, frames="*")}), r"Stream\(frames=\) of 'i'"),
    ],
)
def test_what_stream_refuses(make, message):
    with pytest.raises(fc.OptionError, match=message):
        make()


def test_two_masks_of_different_values():
    streams = {
        "image": IMAGES,
        "objects": fc.Stream(HALF.repeat(2, 2).repeat(2, 3) % 3, kind="mask", values={2: 9}),
        "parts": fc.Stream(HALF.repeat(2, 2).repeat(2, 3) % 4, kind="mask", ignore=3),
        "mask": HALF.repeat(2, 2).repeat(2, 3),
    }
    data = fc.open(images=streams, values={5: 6})
    assert [stream.ignore for stream in data.streams] == [255, 255, 3, 255]
    found = whole(data)
    assert set(np.unique(found["objects"])) == {0, 1, 9}
    assert set(np.unique(found["parts"])) == {0, 1, 2, 3}
    assert 5 not in found["mask"]
    warn_of_useless_masks(data, ["objects", "parts", "mask"])


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_declared_streams_of_one_size_are_served_as_plain_ones(frames, masks, workers):
    plain = fc.open({"image": frames, "mask": masks})
    declared = fc.open({"image": fc.Stream(frames), "mask": fc.Stream(masks, kind="mask")})
    transforms = [fc.RandomCrop(24), fc.RandomFlip(), fc.RandomRotation(9), fc.Brightness(0.3)]
    for some in (transforms, transforms[:2], [fc.Resize((20, 30)), *transforms[1:]]):
        one, other = (
            whole(data, transforms=some, workers=workers, shuffle=True) for data in (plain, declared)
        )
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_jpegs_of_two_sizes(tmp_path):
    """Crops in one call for all frames of a clip, of each camera by itself."""
    for number, (height, width) in enumerate([(48, 64), (30, 40)]):
        make_frames(tmp_path / str(number), videos=2, frames=3, height=height, width=width)
    streams = {"left": fc.Stream(tmp_path / "0"), "right": fc.Stream(tmp_path / "1")}
    with fc.ClipLoader(
        fc.open(streams),
        fc.Windows(3),
        [fc.RandomCrop(16)],
        batch_size=2,
        inputs=("left", "right"),
        targets=None,
        workers=0,
        seed=2,
    ) as opened:
        found = next(iter(opened))
    corners = {}
    for number, name in enumerate(("left", "right")):
        files = sorted((tmp_path / str(number)).rglob("*.jpg"))
        pixels = np.stack([decode(file) for file in files]).reshape(2, 3, *decode(files[0]).shape)
        height, width = pixels.shape[2:4]
        for video in range(2):
            (corner,) = [
                (y, x)
                for y in range(height - 15)
                for x in range(width - 15)
                if np.array_equal(pixels[video, :, y : y + 16, x : x + 16], found[name][video])
            ]
            corners[name, video] = np.array(corner) / (height - 15, width - 15)
    for video in range(2):
        # Both are the whole number below the same draw's share of the places.
        assert np.all(abs(corners["left", video] - corners["right", video]) < 1 / 15)


def test_values_of_a_mask_of_its_own_size():
    """Values, and values that a mirror swaps, after a resize of the mask alone."""
    table = [(3 * value + 1) % 256 for value in range(256)]
    streams = {"image": IMAGES, "mask": fc.Stream(HALF, kind="mask", values=table, ignore=0)}
    plain = batch(streams, [FITS, fc.RandomFlip(1)])
    large = np.array(table, np.uint8)[resized(HALF, HEIGHT, WIDTH)][0].reshape(2, 3, HEIGHT, WIDTH)
    assert np.array_equal(plain["mask"], large[..., ::-1])
    swapped = batch(streams, [FITS, fc.RandomFlip(1, mask_map={4: 7})])["mask"]
    expected = large[..., ::-1].copy()
    expected[large[..., ::-1] == 4], expected[large[..., ::-1] == 7] = 7, 4
    assert np.array_equal(swapped, expected)


def test_weights_of_a_mask_of_its_own_size():
    streams = {"image": IMAGES, "mask": fc.Stream(HALF % 3, kind="mask")}
    options = {"targets": "mask", "inputs": "image", "sample_weight": {1: 0.5}}
    _, y, weight = batch(streams, [FITS, fc.CenterCrop(12)], **options)
    assert np.array_equal(weight, np.where(y == 1, 0.5, 1).astype(np.float32))


def test_damage_of_one_of_two_sizes(tmp_path):
    """A frame that is replaced is replaced in both cameras, and their sizes still need not agree."""
    for number, size in enumerate([(48, 64), (30, 40)]):
        make_frames(tmp_path / str(number), videos=2, frames=3, height=size[0], width=size[1])
    path = sorted((tmp_path / "1").rglob("*.jpg"))[1]
    path.write_bytes(path.read_bytes()[:300])
    data = fc.open({"left": fc.Stream(tmp_path / "0"), "right": fc.Stream(tmp_path / "1")})
    found = whole(data, damaged="repeat", transforms=[fc.CenterCrop(16)])
    for name in ("left", "right"):
        assert np.array_equal(found[name][0, 0], found[name][0, 1])
        assert not np.array_equal(found[name][0, 0], found[name][0, 2])


def test_on_draws_after_all_others():
    """Wherever it stands, and of geometry too."""
    streams = {"image": IMAGES, "right": fc.Stream(IMAGES[:, :, ::-1])}
    before = [fc.RandomCrop(10), fc.Brightness(0.5), fc.GaussianNoise(5, per="frame")]
    alone = batch(streams, before)
    for at in range(4):
        own = [fc.On("right", fc.RandomShift(3, 3, per="frame")), fc.On("right", fc.Contrast(0.5))]
        found = batch(streams, [*before[:at], *own, *before[at:]])
        assert np.array_equal(alone["image"], found["image"])
        assert not np.array_equal(alone["right"], found["right"])


def test_the_remedy_for_useless_masks_of_their_own():
    masks = np.where(HALF > 99, 255, 0).astype(np.uint8)
    streams = {"image": IMAGES, "mask": fc.Stream(masks, kind="mask")}
    with pytest.warns(
        UserWarning, match=r"open the dataset with Stream\(path, kind='mask', values=\{255: 1\}\)"
    ):
        loader(streams, [FITS])
    batch({**streams, "mask": fc.Stream(masks, kind="mask", values={255: 1})}, [FITS])


def test_a_mask_belongs_to_the_first_picture_that_fits_or_to_the_one_that_on_names():
    masks = fc.Stream(IMAGES[..., 0] % 9, kind="mask")
    streams = {"image": IMAGES, "right": fc.Stream(IMAGES), "mask": masks}
    loader(streams, [fc.On("right", fc.RandomFlip())])
    loader(streams, [fc.On(("right", "mask"), fc.RandomFlip())])
    loader(streams, [fc.On(("image", "mask"), fc.RandomFlip())])
    for names in ("image", ("image", "right"), "mask"):
        with pytest.raises(fc.OptionError, match="belong together, pixel by pixel: name both"):
            loader(streams, [fc.On(names, fc.RandomFlip())])


def test_a_first_mask_of_another_size_may_be_missing(tmp_path):
    """The size of masks is then that of the next one."""
    from fastclips.testing import write_frames  # noqa: PLC0415

    write_frames(tmp_path / "rgb", videos=1, frames=4, height=48, width=64)
    names = sorted(path.relative_to(tmp_path / "rgb") for path in (tmp_path / "rgb").rglob("*.jpg"))
    for name in names[2:]:
        path = (tmp_path / "masks" / name).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        mask = np.full((24, 32), 3, np.uint8)
        mask[:, :2] = 1
        Image.fromarray(mask).save(path)
    data = fc.open({"image": tmp_path / "rgb", "mask": tmp_path / "masks"}, unpaired="ignore")
    steps = [fc.On("mask", fc.Resize((48, 64))), fc.RandomCrop(32)]
    with fc.ClipLoader(
        data, fc.Windows(4), steps, batch_size=1, workers=0, inputs=("image", "mask"), targets=None
    ) as loader:
        first = next(iter(loader))["mask"]
    assert first.shape == (1, 4, 32, 32)
    assert (first[:, :2] == 255).all()
    assert (first[:, 2:, :, -20:] == 3).all()
