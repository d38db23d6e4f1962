import math

import numpy as np
import pytest
from helpers import decode, make_frames, make_loader, make_masks
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import fastclips as fc
from fastclips.pixels.geometry.crops import TenCrop, ThreeCrop
from fastclips.pixels.geometry.resample import resample
from fastclips.pixels.recipe import compile_recipe

sizes = st.integers(1, 300)
units = st.floats(0, 1, exclude_max=True)


def positions(axis):
    """Source positions of an axis's output pixels, in pixels counted from the first one's centre."""
    return axis.scale * (np.arange(axis.size) + 0.5) + axis.start - 0.5


def bilinear(pixels, geometry):
    """The composed map on the original frame, in floating point, clamped at the box."""
    out = pixels.astype(np.float64)
    for number, axis in enumerate((geometry.y, geometry.x)):
        low, high = axis.box
        at = np.clip(positions(axis), low, high - 1)
        before = np.clip(np.floor(at).astype(int), 0, high - 1).astype(int)
        after = np.minimum(before + 1, int(high) - 1)
        share = (at - before).reshape(-1, *[1] * (out.ndim - 1))
        out = np.moveaxis(out, number, 0)
        out = np.moveaxis(out[before] * (1 - share) + out[after] * share, 0, number)
    return out


def nearest(pixels, geometry):
    rows, columns = (  # the ninth decimal decides nothing but ties
        np.floor(positions(axis) + 0.5 + 1e-9).astype(int) for axis in (geometry.y, geometry.x)
    )
    return pixels[rows[:, None], columns]


@given(sizes, sizes, units, units, units, st.data())
def test_crop_and_flip_take_whole_pixels(height, width, down, across, side, data):
    size = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    recipe = compile_recipe([fc.RandomCrop(size), fc.RandomFlip()])
    geometry = recipe.geometry(height, width, [down, across, side])
    assert geometry.is_crop
    assert geometry.flip == (side < 0.5)
    top, left = math.floor(down * (height - size[0] + 1)), math.floor(across * (width - size[1] + 1))
    assert geometry.y.box == (top, top + size[0])
    assert geometry.x.box == (left, left + size[1])
    flipped_first = compile_recipe([fc.RandomFlip(), fc.RandomCrop(size)])
    other = flipped_first.geometry(height, width, [side, down, across])
    mirrored = (width - left - size[1], width - left)
    assert other.x.box == (mirrored if geometry.flip else geometry.x.box)


@given(sizes, sizes, st.integers(1, 64), st.lists(units, min_size=4, max_size=4))
def test_a_box_stays_within_the_frame(height, width, side, draws):
    recipe = compile_recipe(
        [fc.Resize(short_side=side + 3), fc.RandomCrop(side), fc.RandomFlip(), fc.Resize((20, 30))]
    )
    geometry = recipe.geometry(height, width, draws)
    assert (geometry.y.size, geometry.x.size) == (20, 30)
    for axis, size in ((geometry.y, height), (geometry.x, width)):
        low, high = axis.box
        assert low.is_integer()
        assert high.is_integer()
        assert 0 <= low < high <= size


@pytest.mark.parametrize(
    "transforms",
    [
        [fc.Resize((30, 50))],
        [fc.Resize(short_side=40), fc.RandomCrop(32)],
        [fc.RandomCrop(33), fc.Resize(48), fc.RandomFlip()],
        [fc.Resize(short_side=100), fc.RandomCrop(64), fc.RandomFlip(p=1)],
        [fc.RandomFlip(p=1), fc.Resize((24, 32))],
    ],
)
def test_the_loader_agrees_with_the_composed_map(tmp_path, transforms):
    """Through files, decoder, OpenCV and kernels: within a rounding of the floating-point reference."""
    root = make_frames(tmp_path / "frames", videos=2, frames=2)
    make_masks(tmp_path / "masks", root)
    dataset = fc.open({"image": root, "mask": tmp_path / "masks"})
    recipe = compile_recipe(transforms)
    with fc.ClipLoader(
        dataset,
        fc.Windows(2),
        transforms,
        batch_size=2,
        workers=0,
        targets=("mask",),
        seed=5,
        dct_scaling=False,
    ) as loader:
        x, y = next(iter(loader))
        draws = loader._plan.clips(0, 0).draws
    for row, own in enumerate(draws.tolist()):
        geometry = recipe.geometry(48, 64, own)
        folder = root / f"class_{row}" / f"video_{row}"
        for step in range(2):
            pixels = decode(folder / f"frame_{step + 1:05d}.jpg")
            assert np.abs(x[row, step] - bilinear(pixels, geometry)).max() <= 1.0
            indices = np.add.outer(np.arange(48), np.arange(64)) + 2 * row + step
            np.testing.assert_array_equal(y["mask"][row, step], nearest(indices % 21, geometry))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_nearest_takes_the_nearest(height, width, tall, wide):
    pixels = np.arange(height * width, dtype=np.uint32).reshape(height, width).astype(np.uint8)
    geometry = compile_recipe([fc.Resize((tall, wide))]).geometry(height, width, [])
    out = np.empty((tall, wide), np.uint8)
    resample(pixels, geometry, nearest=True, out=out)
    rows = np.clip([(2 * y + 1) * height // (2 * tall) for y in range(tall)], 0, height - 1)
    columns = np.clip([(2 * x + 1) * width // (2 * wide) for x in range(wide)], 0, width - 1)
    np.testing.assert_array_equal(out, pixels[rows[:, None], columns])


def test_short_side_keeps_the_aspect():
    recipe = compile_recipe([fc.Resize(short_side=256)])
    for height, width, expected in [(360, 640, (256, 455)), (640, 360, (455, 256)), (100, 100, (256, 256))]:
        geometry = recipe.geometry(height, width, [])
        assert (geometry.y.size, geometry.x.size) == expected
    assert not recipe.fixes_size
    assert compile_recipe([fc.Resize(short_side=256), fc.CenterCrop(224)]).fixes_size


def test_normalize_makes_one_table():
    table = compile_recipe([fc.Normalize(0.5, (0.1, 0.2, 0.4))]).compiled(3).table([])
    assert (table.shape, table.dtype) == ((3, 256), "float32")
    np.testing.assert_allclose(table[:, 255], [5.0, 2.5, 1.25], rtol=1e-6)
    np.testing.assert_allclose(table[:, 0], [-5.0, -2.5, -1.25], rtol=1e-6)


def test_a_table_of_one_channel():
    table = compile_recipe([fc.Normalize(0.5, 0.1)]).compiled(1).table([])
    assert (table.shape, table.dtype) == ((1, 256), "float32")
    np.testing.assert_allclose(table[0, [0, 255]], [-5.0, 5.0], rtol=1e-6)


@given(sizes, sizes, st.data())
def test_three_views(height, width, data):
    """Both ends and the middle of the longer side; on the other, as CenterCrop."""
    size = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    recipe, center = compile_recipe([ThreeCrop(size)]), compile_recipe([fc.CenterCrop(size)])
    start, middle, end = (recipe.geometry(height, width, [], view) for view in range(3))
    assert (recipe.views, recipe.draws, recipe.fixes_size) == (3, 0, True)
    assert middle == center.geometry(height, width, [])
    longer, other = ("y", "x") if height > width else ("x", "y")
    assert getattr(start, longer).box[0] == 0
    assert getattr(end, longer).box[1] == max(height, width)
    for view in (start, end):
        assert getattr(view, other) == getattr(middle, other)
        assert getattr(view, longer).size == getattr(middle, longer).size
        assert not view.flip


@given(sizes, sizes, st.data())
def test_ten_views(height, width, data):
    tall, wide = size = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    recipe, center = compile_recipe([TenCrop(size)]), compile_recipe([fc.CenterCrop(size)])
    views = [recipe.geometry(height, width, [], view) for view in range(10)]
    assert (recipe.views, recipe.draws, recipe.fixes_size) == (10, 0, True)
    corners = [(view.y.box[0], view.x.box[0]) for view in views[:4]]
    assert corners == [(0, 0), (0, width - wide), (height - tall, 0), (height - tall, width - wide)]
    assert views[4] == center.geometry(height, width, [])
    for plain, mirrored in zip(views[:5], views[5:], strict=True):
        assert (plain.flip, mirrored.flip) == (False, True)
        assert (plain.y, plain.x.mirror()) == (mirrored.y, mirrored.x)


def test_views_and_draws_mix():
    """Views multiply, the first transform's changing slowest; draws go to the transforms that use some."""
    recipe = compile_recipe([fc.RandomFlip(1), ThreeCrop((8, 20)), fc.RandomCrop(6), TenCrop(4)])
    assert (recipe.views, recipe.draws) == (30, 3)
    lefts = [recipe.geometry(8, 40, [0.0, 0.0, 0.0], view).x.box[1] for view in range(30)]
    assert lefts == [40 - left - inner for left in (0, 10, 20) for inner in (0, 2, 0, 2, 1) * 2]
    assert compile_recipe([fc.RandomFlip()]).views == 1


@pytest.mark.parametrize("crop", [ThreeCrop, TenCrop])
def test_views_larger_than_the_frame(crop):
    said = rf"{crop.__name__}'s size=\(30, 30\): must be at most the frame's 20x40 .* Resize"
    with pytest.raises(fc.OptionError, match=said):
        compile_recipe([crop(30)]).geometry(20, 40, [], 1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: fc.RandomCrop(0), "RandomCrop's size=0: must be a positive int or .*"),
        (lambda: fc.RandomCrop((1, 2, 3)), r"=\(1, 2, 3\): must"),
        (lambda: fc.CenterCrop(2.5), r"=2\.5: must"),
        (lambda: ThreeCrop(0), "ThreeCrop's size=0: must be a positive int or .*"),
        (lambda: TenCrop((1, 2, 3)), r"TenCrop's size=\(1, 2, 3\): must"),
        (lambda: fc.RandomFlip(1.5), r"p=1\.5: must be a number from 0 to 1"),
        (fc.Resize, "must be exactly one of the three"),
        (lambda: fc.Resize(3, short_side=4), "must be exactly one of the three"),
        (lambda: fc.Resize(short_side=-1), "=-1: must"),
        (lambda: fc.Normalize((1, 2)), "one number or three"),
        (lambda: fc.Normalize(std=0), "must be positive"),
        (lambda: fc.Normalize("x"), "one number or three"),
        (lambda: fc.Normalize((123.675, 116.28, 103.53)), "divide it by 255"),
        (lambda: fc.Normalize(0, 1e-9, "float16"), "too much for dtype='float16'"),
        (lambda: fc.Resize(short_side=(3, 4)), r"=\(3, 4\): must"),
        (lambda: fc.RandomFlip("0.5"), "='0.5': must"),
        (lambda: fc.Normalize(dtype="int32"), "dtype='int32': must be 'float32' or 'float16'"),
    ],
)
def test_what_cannot_be_declared(make, said):
    with pytest.raises(fc.OptionError, match=said):
        make()


def test_a_masks_size_must_be_its_images(tmp_path):
    root = make_frames(tmp_path / "frames", videos=2, frames=4)
    make_masks(tmp_path / "masks", root, height=24, width=32)
    data = fc.open({"image": root, "mask": tmp_path / "masks"})
    options = {"targets": "mask", "batch_size": 2, "workers": 0}
    with pytest.raises(
        fc.OptionError, match=r"'mask' \(mask\) are 24x32 .* put On\('mask', Resize\(\(48, 64\)\)\)"
    ):
        fc.ClipLoader(data, fc.Windows(4), [fc.CenterCrop(20)], **options)
    for path in sorted((tmp_path / "masks").rglob("*.png"))[:1]:  # the loader looks at the first frame alone
        Image.open(root / path.relative_to(tmp_path / "masks").with_suffix(".jpg")).convert("L").save(path)
    with (
        fc.ClipLoader(data, fc.Windows(4), [fc.CenterCrop(20)], **options) as loader,
        pytest.raises(fc.FrameError, match=r"masks.*\.png: is 24x32 while its image is 48x64"),
    ):
        list(loader)


def test_no_transform_leaves_frames_as_they_are(frames):
    with make_loader(frames, transforms=[]) as loader:
        assert next(iter(loader))[0].shape == (4, 4, 48, 64, 3)
