"""Streams of other sizes and kinds: `Stream` and `On`, from arrays and files to batches."""

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from slow_fields import slow_field

import fastclips as fc
from fastclips.pixels.recipe import compile_recipe
from fastclips.serving.mask_check import warn_of_useless_masks
from fastclips.spec import StreamSpec
from fastclips.testing import check_storage

VIDEOS, FRAMES, HEIGHT, WIDTH = 2, 6, 24, 32
random = np.random.default_rng(0)
SHAPE = (VIDEOS, FRAMES, HEIGHT, WIDTH)
IMAGES = random.integers(0, 256, (*SHAPE, 3), np.uint8)
HALF = random.integers(0, 200, (VIDEOS, FRAMES, HEIGHT // 2, WIDTH // 2), np.uint8)
DEPTH = random.integers(0, 65536, SHAPE, np.uint16)
FLOW = random.normal(0, 3, (*SHAPE, 2)).astype(np.float32)
units = st.floats(0, 1, exclude_max=True)


def loader(streams, transforms=(), **options):
    given_options = {"batch_size": 2, "workers": 0, "inputs": tuple(streams), "targets": None}
    return fc.ClipLoader(fc.open(images=streams), fc.Windows(3), transforms, **{**given_options, **options})


def batch(streams, transforms=(), **options):
    with loader(streams, transforms, **options) as opened:
        return next(iter(opened))


def resized(frames, height, width):
    """Nearest pixels, of (..., H, W)."""
    rows = (2 * np.arange(height) + 1) * frames.shape[-2] // (2 * height)
    columns = (2 * np.arange(width) + 1) * frames.shape[-1] // (2 * width)
    return frames[..., rows[:, None], columns]


def placed(frame, transforms, draws, kind, **options):
    """A frame of a stream, through its recipe."""
    from fastclips.pixels.geometry.fields import make_field_placer  # noqa: PLC0415 - after the fixtures

    stream = StreamSpec("it", kind, **options)
    recipe = compile_recipe(transforms).of(stream)
    geometry = recipe.geometry(*frame.shape[:2], recipe.own_draws(draws))
    out = np.empty((geometry.y.size, geometry.x.size, frame.shape[2]), frame.dtype)
    fill = recipe.border.fill
    make_field_placer(geometry, frame.shape[:2], fill, vectors=kind == "flow")(frame, out)
    box = None
    if geometry.warp is None:
        (top, bottom), (left, right) = geometry.y.box, geometry.x.box
        box = tuple(map(int, (top, left, bottom, right)))
    expected = slow_field(frame, geometry.matrix, out.shape[:2], fill, box, vectors=kind == "flow")
    return out, expected


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


def test_a_plain_path_keeps_one_size(tmp_path):
    for name, size in (("image", (24, 32)), ("mask", (12, 16))):
        for number in range(4):
            path = tmp_path / name / "a/v" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            shape = (*size, 3) if name == "image" else size
            Image.fromarray((np.arange(np.prod(shape)) % 7).astype(np.uint8).reshape(shape)).save(path)
    data = fc.open({name: tmp_path / name for name in ("image", "mask")})
    options = {"targets": "mask", "batch_size": 1, "workers": 0}
    with pytest.raises(fc.FrameError, match=r"On\('mask', Resize\(\(height, width\)\)\).*Stream\(path\)"):
        next(iter(fc.ClipLoader(data, fc.Windows(4), [fc.RandomCrop(8)], **options)))
    transforms = [fc.On("mask", fc.Resize((24, 32))), fc.RandomCrop(8)]
    x, y = next(iter(fc.ClipLoader(data, fc.Windows(4), transforms, **options)))
    assert (x.shape, y.shape) == ((1, 4, 8, 8, 3), (1, 4, 8, 8))


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


# Depth


def test_depth_is_cropped_with_its_picture_and_not_touched_by_pixel_steps():
    picture = np.repeat((DEPTH % 251).astype(np.uint8)[..., None], 3, -1)
    streams = {"image": picture, "depth": fc.Stream(DEPTH, kind="depth")}
    found = batch(streams, [fc.RandomCrop(12), fc.RandomFlip(), fc.RandomRotation(0)])
    assert (found["depth"].shape, found["depth"].dtype) == ((2, 3, 12, 12, 1), np.uint16)
    assert np.array_equal(found["depth"][..., 0] % 251, found["image"][..., 0])
    bright = batch(streams, [fc.RandomCrop(12), fc.RandomFlip(), fc.Brightness(0.5), fc.Blur(1)])
    assert np.array_equal(found["depth"], bright["depth"])


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
    transforms = [replace(t, fill=fill) if hasattr(t, "fill") else t for t in transforms]
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


# Files


def write_flo(path, flow):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"PIEH" + struct.pack("<ii", flow.shape[1], flow.shape[0]) + flow.tobytes())


def write_kitti(path, flow, valid):
    path.parent.mkdir(parents=True, exist_ok=True)
    words = np.concatenate([np.round(np.float64(flow) * 64) + 2**15, valid[..., None]], 2).astype(np.uint16)
    cv2.imwrite(str(path), words[..., ::-1])


@pytest.fixture
def files(tmp_path):
    """Pictures, depth of three types, flow of two formats: 2 videos of 3 frames."""
    for video, frame in np.ndindex(2, 3):
        name = f"class_{video}/v/{frame:03d}"
        for stream in ("image", "png", "tif", "flo", "kitti"):
            (tmp_path / stream / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGES[video, frame]).save(tmp_path / f"image/{name}.png")
        Image.fromarray(DEPTH[video, frame]).save(tmp_path / f"png/{name}.png")
        Image.fromarray(FLOW[video, frame, ..., 0]).save(tmp_path / f"tif/{name}.tif")
        write_flo(tmp_path / f"flo/{name}.flo", FLOW[video, frame])
        write_kitti(
            tmp_path / f"kitti/{name}.png", FLOW[video, frame], HALF[0, 0].repeat(2, 0).repeat(2, 1) > 99
        )
    return tmp_path


def from_files(root, **more):
    return fc.open(
        {
            "image": root / "image",
            "png": fc.Stream(root / "png", kind="depth"),
            "tif": fc.Stream(root / "tif", kind="depth", ignore=-1),
            "flo": fc.Stream(root / "flo", kind="flow"),
            "kitti": fc.Stream(root / "kitti", kind="flow"),
        },
        **more,
    )


def whole(data, **options):
    names = tuple(stream.name for stream in data.streams)
    settings = {"batch_size": 2, "inputs": names, "targets": None, "workers": 0}
    with fc.ClipLoader(data, fc.Windows(3), **{**settings, **options}) as opened:
        return {name: array.copy() for name, array in next(iter(opened)).items()}


def test_files_of_numbers(files):
    data = from_files(files)
    assert "png (depth), tif (depth), flo (flow), kitti (flow)>" in repr(data)
    found = whole(data)
    assert np.array_equal(found["png"][..., 0], DEPTH[:, :3])
    assert np.array_equal(found["tif"][..., 0], FLOW[:, :3, ..., 0])
    assert np.array_equal(found["flo"], FLOW[:, :3])
    valid = HALF[0, 0].repeat(2, 0).repeat(2, 1) > 99
    expected = np.where(valid[..., None], np.round(np.float64(FLOW[:, :3]) * 64) / 64, 0)
    assert np.array_equal(found["kitti"], expected)


@pytest.fixture
def series(tmp_path):
    """One folder for each video, of pictures and of flow in two series, as denseflow writes them."""
    for video, frame in np.ndindex(2, 3):
        folder = tmp_path / f"raw/class_{video}/v"
        folder.mkdir(parents=True, exist_ok=True)
        pictures = {
            "img": IMAGES[video, frame],
            "flow_x": HALF[video, frame],
            "flow_y": HALF[video, frame + 3],
        }
        for name, pixels in pictures.items():
            Image.fromarray(pixels).save(folder / f"{name}_{frame:05d}.{'png' if name == 'img' else 'jpg'}")
    return tmp_path


def of_series(root, **options):
    patterns = ("flow_x_{:05d}.jpg", "flow_y_{:05d}.jpg")
    streams = {
        "image": fc.Stream(root / "raw", frames="img_{:05d}.png"),
        "flow": fc.Stream(root / "raw", kind="flow", frames=patterns, **options),
    }
    return fc.open(streams, match=r"[0-9]+$")


def test_two_series_of_flow(series, tmp_path):
    data = of_series(series, bound=15)
    assert repr(data) == "<Dataset: 2 videos, 6 frames, 2 classes; image, flow (flow)>"
    transforms = [fc.On("flow", fc.Resize((HEIGHT, WIDTH)))]
    with fc.ClipLoader(
        data, fc.Windows(3), batch_size=2, inputs="flow", targets=None, workers=0, fast_dct=False
    ) as opened:
        found = next(iter(opened))
    for video, frame in np.ndindex(2, 3):
        for axis, name in enumerate(("flow_x", "flow_y")):
            path = series / f"raw/class_{video}/v/{name}_{frame:05d}.jpg"
            expected = np.asarray(Image.open(path), np.float64) * 2 * 15 / 255 - 15
            assert np.allclose(found[video, frame, ..., axis], expected, atol=1e-5)
    fc.pack(data, tmp_path / "packed", workers=0)
    packed = fc.open(tmp_path / "packed")
    assert packed.streams[1].bound == 15
    results = [whole(d, transforms=transforms)["flow"] for d in (data, packed)]
    assert np.array_equal(*results)
    assert whole(of_series(series), transforms=transforms)["flow"].max() > results[0].max()  # bound=20
    check_storage(data.storage, streams={"image": "image", "flow": "flow"}, frame_counts=[3, 3])


@pytest.mark.slow
def test_series_in_workers(series):
    data = of_series(series)
    transforms = [fc.On("flow", fc.Resize((HEIGHT, WIDTH))), fc.RandomCrop(12), fc.RandomFlip()]
    results = [whole(data, transforms=transforms, workers=workers)["flow"] for workers in (0, 2)]
    assert np.array_equal(*results)


def test_series_that_do_not_fit(series):
    path = series / "raw/class_0/v/flow_y_00001.jpg"
    Image.fromarray(HALF[0, 0][:6]).save(path)
    with pytest.raises(fc.FrameError, match=r"of x and of y are \(12, 16\) and \(6, 16\)"):
        whole(of_series(series), transforms=[fc.On("flow", fc.Resize((HEIGHT, WIDTH)))])
    path.unlink()
    with pytest.raises(fc.DataError, match=r"lacks 1 of the"):
        of_series(series)


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


@pytest.mark.parametrize("codec", ["jpeg", "raw"])
def test_packs_keep_numbers(files, tmp_path, codec):
    data = from_files(files)
    fc.pack(data, tmp_path / "packed", codec=codec, quality=None, workers=0)
    packed = fc.open(tmp_path / "packed")
    assert [s.kind for s in packed.streams] == [s.kind for s in data.streams]
    assert packed.streams[2].unknown == -1
    one, other = whole(data), whole(packed)
    for name in ("png", "tif", "flo", "kitti"):
        assert np.array_equal(one[name], other[name])
    with pytest.raises(fc.OptionError, match=r"short_side=10: .*'png' \(depth\) are packed as they are"):
        fc.pack(data, tmp_path / "small", short_side=10, workers=0)


def test_packs_of_arrays_keep_numbers(tmp_path):
    streams = {
        "image": IMAGES,
        "depth": fc.Stream(DEPTH, kind="depth"),
        "mask": fc.Stream(HALF, kind="mask", ignore=7),
        "flow": fc.Stream(FLOW, kind="flow"),
    }
    fits = [fc.On("mask", fc.Resize((HEIGHT, WIDTH)))]
    data = fc.open(images=streams)
    fc.pack(data, tmp_path / "packed", workers=0)
    packed = fc.open(tmp_path / "packed")
    assert [(s.name, s.kind, s.ignore) for s in packed.streams] == [
        (s.name, s.kind, s.ignore) for s in data.streams
    ]
    one, other = whole(data, transforms=fits), whole(packed, transforms=fits)
    for name in ("depth", "mask", "flow"):
        assert np.array_equal(one[name], other[name])


def test_an_index_is_saved(files, tmp_path):
    one, other = (from_files(files, index=tmp_path / "index") for _ in range(2))
    assert one.streams == other.streams
    first, second = whole(one), whole(other)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_npy_files(tmp_path):
    for name, array in (("depth", DEPTH), ("flow", FLOW)):
        np.save(tmp_path / f"{name}.npy", array)
    streams = {name: fc.Stream(tmp_path / f"{name}.npy", kind=name) for name in ("depth", "flow")}
    found = whole(fc.open(images=streams))
    assert np.array_equal(
        found["depth"][..., 0].reshape(2, 3, HEIGHT, WIDTH), DEPTH[0].reshape(2, 3, HEIGHT, WIDTH)
    )
    assert np.array_equal(found["flow"], FLOW[0].reshape(2, 3, HEIGHT, WIDTH, 2))


@pytest.mark.slow
def test_any_number_of_workers(files):
    transforms = [
        fc.RandomCrop(12),
        fc.RandomFlip(),
        fc.RandomRotation(20),
        fc.On("png", fc.Rescale(0.01)),
        fc.On("flo", fc.Apply(lambda clip: clip * clip.max())),
    ]
    data = from_files(files)
    results = [whole(data, transforms=transforms, workers=workers, shuffle=True) for workers in (0, 2)]
    assert all(np.array_equal(results[0][name], results[1][name]) for name in results[0])


def test_files_that_do_not_fit(files):
    path = files / "png/class_0/v/001.png"
    Image.fromarray(DEPTH[0, 0].astype(np.float32)).save(path.with_suffix(".tif"))
    path.unlink()
    data = fc.open({"image": files / "image", "depth": fc.Stream(files / "png", kind="depth")})
    with pytest.raises(fc.FrameError, match="depth of float32, while the first frame is uint16"):
        whole(data)
    plain = fc.open(files / "kitti")
    with pytest.raises(
        fc.FrameError, match=r"16-bit PNG: frames must have 8 bits per channel; convert it once$"
    ):
        whole(plain)
    with pytest.raises(fc.FrameError, match=r"or open it as Stream\(path, kind='depth'\)"):
        whole(fc.open(files / "png"))
    with pytest.raises(fc.FrameError, match="depth must have one channel"):
        whole(fc.open({"depth": fc.Stream(files / "image", kind="depth")}))
    with pytest.raises(fc.FrameError, match=r"must be a \.flo file, or a PNG of three channels of 16 bits"):
        whole(fc.open({"flow": fc.Stream(files / "image", kind="flow")}))
    with pytest.raises(fc.DataError, match="no frames in"):
        fc.open(files / "flo")
    with pytest.raises(fc.FrameError, match=r"open it as Stream\(path, kind='flow'\)"):
        whole(fc.open(files / "flo", frames="*.flo"))


@pytest.mark.parametrize("name", ["flo", "kitti", "png", "tif"])
def test_damage_is_found(files, name):
    path = min((files / name).rglob("*.*"))
    data = from_files(files)
    content = path.read_bytes()
    for cut in (3, 10, len(content) // 2):
        path.write_bytes(content[:cut])
        with pytest.raises(fc.FrameError, match=r"truncated|damaged|neither"):
            whole(data)


def test_unknown_flow_is_0(tmp_path):
    flow = FLOW[0, 0].copy()
    flow[0, 0], flow[1, 1, 0], flow[2, 2, 1] = 1e10, np.nan, -2e9
    write_flo(tmp_path / "a/v/0.flo", flow)
    data = fc.open({"flow": fc.Stream(tmp_path, kind="flow")})
    with fc.ClipLoader(data, fc.Windows(1), batch_size=1, inputs="flow", workers=0) as opened:
        x, _ = next(iter(opened))
    assert (x[0, 0, [0, 1, 2], [0, 1, 2]] == 0).all()
    assert np.array_equal(x[0, 0, 3:], flow[3:])


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


def test_patterns(tmp_path):
    """Streams of one folder, each with its own pattern."""
    for frame in range(3):
        for name in (f"img_{frame}.png", f"depth_{frame}.png"):
            path = tmp_path / "a/v" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(IMAGES[0, frame] if "img" in name else DEPTH[0, frame]).save(path)
    streams = {
        "image": fc.Stream(tmp_path, frames="img_*"),
        "depth": fc.Stream(tmp_path, kind="depth", frames="depth_*"),
    }
    found = whole(fc.open(streams, match=r"\d+"), batch_size=1)
    assert np.array_equal(found["depth"][0, ..., 0], DEPTH[0, :3])
    rows = [{"path": "a/v", "label": "x"}]
    assert np.array_equal(
        whole(fc.open(rows, root=streams, match=r"\d+"), batch_size=1)["depth"], found["depth"]
    )


def test_damaged_depth_is_replaced(files):
    path = files / "png/class_0/v/001.png"
    path.write_bytes(path.read_bytes()[:40])
    data = from_files(files)
    found = whole(data, damaged="repeat")
    assert np.array_equal(found["png"][0, 1, ..., 0], DEPTH[0, 0])  # as pictures: all show the frame before
    assert np.array_equal(found["flo"][0, 1], FLOW[0, 0])
    path = files / "tif/class_0/v/002.tif"
    path.write_bytes(path.read_bytes()[:40])
    found = whole(data, damaged="repeat")
    assert (found["tif"][0, 2] == -1).all()  # with ignore=, as masks
    assert np.array_equal(found["flo"][0, 2], FLOW[0, 2])


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
