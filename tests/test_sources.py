"""Frames decoded only where a map reads them, and as finely: one batch, whichever way it is decoded."""

import numpy as np
import pytest
from helpers import make_masks
from hypothesis import given, settings
from hypothesis import strategies as st
from jpegs import encode, natural, whole
from rendering import Store, compositions, render
from slow_geometry import SlowMap

import fastclips as fc
from fastclips.pixels.geometry.affine import Axis, Geometry
from fastclips.pixels.geometry.regions import find_source, localize
from fastclips.pixels.recipe import compile_recipe

SIZE = (90, 132)
PIXELS = natural(np.random.default_rng(4), *SIZE)
JPEGS = [
    encode(PIXELS, "420", 0),
    encode(PIXELS, "420", 3),  # 9 MCUs in a row
    encode(PIXELS, "420", 9),
    encode(PIXELS, "420", 0, progressive=True),
]


def test_the_jpegs_hold_the_same_pixels():
    assert all(np.array_equal(whole(data), whole(JPEGS[0])) for data in JPEGS[1:])


@pytest.mark.slow
@given(st.data(), st.booleans())
@settings(max_examples=120)
def test_any_composition_of_every_kind_of_jpeg(data, dct_scaling):
    """Cut, cropped, whole: bit for bit the same."""
    transforms, _ = data.draw(compositions(*SIZE))
    options = {"frames": [0, 0], "dct_scaling": dct_scaling}
    recipe = compile_recipe(transforms, time_steps=2)
    options["draws"] = data.draw(
        st.lists(st.floats(0, 1, exclude_max=True), min_size=recipe.draws, max_size=recipe.draws)
    )
    options["view"] = data.draw(st.integers(0, recipe.views - 1))
    rows = [
        render(transforms, PIXELS[None], stored=Store(image=[data]), **options)["image"] for data in JPEGS
    ]
    for row in rows[1:]:
        assert np.array_equal(row, rows[0])
    if not dct_scaling:  # and the same as of pixels
        given_whole = render(transforms, whole(JPEGS[0])[None], **options)["image"]
        assert np.array_equal(given_whole, rows[0])


@given(st.data(), st.sampled_from(["nearest", "constant", "reflect", "wrap"]), st.integers(1, 3))
@settings(max_examples=200)
def test_a_warp_reads_nothing_outside_its_source(data, fill, log_scale):
    """What lies there may be anything."""
    angle, zoom = data.draw(st.floats(-180, 180)), data.draw(st.floats(0.1, 8))
    turn, size = np.radians(angle), data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    linear = tuple(
        tuple(row)
        for row in (zoom * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])).tolist()
    )
    geometry = Geometry(Axis(size[0], 10.0, 80.0), Axis(size[1], 4.0, 124.0)).map_about_center(linear)
    geometry = geometry.settle(*SIZE)
    source = find_source(geometry, *SIZE, fill)
    assert 0 <= source.top < source.bottom <= SIZE[0]
    assert 0 <= source.left < source.right <= SIZE[1]
    rows, columns = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5, indexing="ij")
    places = geometry.matrix @ np.stack([rows.ravel(), columns.ravel(), np.ones(rows.size)])
    for at, length, first, last in zip(places, SIZE, source[:2], source[2:], strict=True):
        for corner in (np.floor(at - 0.5), np.floor(at - 0.5) + 1):
            if fill == "wrap":
                index = corner % length
            elif fill == "reflect":
                index = corner % (2 * length)
                index = np.minimum(index, 2 * length - 1 - index)
            else:
                index = np.clip(corner, 0, length - 1)
            assert index.min() >= first
            assert index.max() < last
    scale = 2**log_scale
    near = localize(geometry, 3, 5, scale).matrix @ np.stack(
        [rows.ravel(), columns.ravel(), np.ones(rows.size)]
    )
    np.testing.assert_allclose(near, places / scale - [[3], [5]], atol=1e-9)


boxes = st.tuples(st.integers(1, 90), st.integers(1, 132))


@given(st.integers(1, 400), st.integers(1, 400), boxes, st.lists(st.floats(0, 0.999), min_size=4, max_size=4))
def test_a_scaled_box(height, width, size, draws):
    """It begins and ends with pixels of the smaller frame, holds enough of them, and has not moved far."""
    transforms = [fc.RandomResizedCrop(size, area=(0.2, 1), aspect=(0.3, 3))]
    plain = compile_recipe(transforms).geometry(height, width, draws)
    scaled = compile_recipe(transforms, dct_scaling=True).geometry(height, width, draws)
    assert (plain.scale, scaled.y.size, scaled.x.size) == (1, *size)
    scale = scaled.scale
    if scale == 1:
        assert scaled == plain
        shrinks = [(axis.stop - axis.start) / axis.size for axis in (plain.y, plain.x)]
        assert min(shrinks) < 2 + 4 / min(size)  # else it might have been scaled
        return
    for axis, before, length in ((scaled.y, plain.y, height), (scaled.x, plain.x, width)):
        low, high = axis.box
        assert low % scale == high % scale == 0
        assert 0 <= low < high <= length
        assert (high - low) / scale >= axis.size
        assert abs(low - before.box[0]) <= scale / 2
        assert abs(high - before.box[1]) <= max(scale / 2, length % scale)


@pytest.mark.parametrize(
    ("transforms", "scale"),
    [
        ([fc.Resize((40, 60))], 2),
        ([fc.Resize((22, 33))], 4),
        ([fc.Resize((11, 15)), fc.RandomFlip(1, 1)], 8),
        ([fc.Resize((46, 60))], 1),
        ([fc.CenterCrop((80, 80)), fc.Resize(40)], 2),
        ([fc.Resize((20, 30)), fc.RandomRotation((20, 20), fill="constant")], 2),
    ],
)
def test_scaled_pixels_are_those_of_the_scaled_frame(transforms, scale):
    """And a mask is cut by the same box."""
    recipe = compile_recipe(transforms, dct_scaling=True)
    geometry = recipe.geometry(*SIZE, [0.5] * recipe.draws)
    assert geometry.scale == scale
    labels = np.random.default_rng(0).integers(0, 256, (1, *SIZE), np.uint8)
    store = Store(image=[JPEGS[1]], mask=labels)
    row = render(transforms, PIXELS[None], labels, stored=store, dct_scaling=True)
    small = whole(JPEGS[1], scale=scale)
    local = localize(geometry, 0, 0, scale)
    outside = SlowMap(transforms, [0.5] * recipe.draws, SIZE).outside
    if geometry.warp is None:
        box = (slice(*map(int, axis.box)) for axis in (local.y, local.x))
        np.testing.assert_allclose(row["image"][0].astype(int), bilinear(small[tuple(box)], geometry), atol=1)
        assert not outside.any()
    else:
        expected = sample(small, local)[~outside]
        assert np.abs(row["image"][0][~outside] - expected).mean() < 0.5
    plain = render([*transforms], PIXELS[None], labels, dct_scaling=True)
    np.testing.assert_array_equal(row["mask"], plain["mask"])
    assert (geometry.scale > 1) == (
        not np.array_equal(row["image"], render(transforms, whole(JPEGS[1])[None])["image"])
    )


@pytest.mark.parametrize("scale", [4, 8])
def test_scaled_pixels_are_means(scale):
    """All of the frame counts, where interpolating in the whole frame leaves most of it out."""
    height, width = SIZE[0] // scale, SIZE[1] // scale
    pixels = np.ascontiguousarray(PIXELS[: height * scale, : width * scale])
    data = encode(pixels, "444", quality=95)
    means = whole(data).reshape(height, scale, width, scale, 3).mean(axis=(1, 3))
    errors = []
    for dct_scaling in (True, False):
        row = render(
            [fc.Resize((height, width))], pixels[None], stored=Store(image=[data]), dct_scaling=dct_scaling
        )
        errors.append(np.sqrt(np.square(row["image"][0] - means).mean()))
    assert errors[0] < 1.5
    assert errors[1] > 4 * errors[0]


def bilinear(box, geometry):
    """A box stretched to the output, clamped at its edges, in floating point."""
    pixels = box.astype(float)
    for axis, size in enumerate((geometry.y.size, geometry.x.size)):
        length = pixels.shape[axis]
        at = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        low = np.floor(at).astype(int)
        share = (at - low).reshape([-1 if one == axis else 1 for one in range(3)])
        pixels = (
            np.take(pixels, low, axis) * (1 - share)
            + np.take(pixels, np.minimum(low + 1, length - 1), axis) * share
        )
    if geometry.flip:
        pixels = pixels[:, ::-1]
    return pixels[::-1] if geometry.flip_vertical else pixels


def sample(pixels, geometry):
    """The four pixels around each position, in floating point, clamped at the edges."""
    rows, columns = np.meshgrid(
        np.arange(geometry.y.size) + 0.5, np.arange(geometry.x.size) + 0.5, indexing="ij"
    )
    down, across = (
        np.einsum("ij,jhw->ihw", geometry.matrix, np.stack([rows, columns, np.ones(rows.shape)])) - 0.5
    )
    top, left = np.floor(down).astype(int), np.floor(across).astype(int)
    total = 0.0
    for y, x in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = abs(1 - y - (down - top)) * abs(1 - x - (across - left))
        taken = pixels[np.clip(top + y, 0, pixels.shape[0] - 1), np.clip(left + x, 0, pixels.shape[1] - 1)]
        total = total + share[..., None] * taken
    return total


@pytest.fixture
def folders(tmp_path):
    """The same frames three times: plain, with markers that slices need, progressive."""
    random = np.random.default_rng(0)
    frames = [natural(random, *SIZE) for _ in range(6)]
    kinds = {"plain": {}, "marked": {"restart": 3}, "progressive": {"progressive": True}}
    for kind, options in kinds.items():
        for number, pixels in enumerate(frames):
            path = tmp_path / kind / f"class/video_{number // 3}/frame_{number % 3}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(pixels, **options))
    make_masks(tmp_path / "masks", tmp_path / "plain", *SIZE)
    return tmp_path


def served(folders, kind, workers=0, **options):
    dataset = fc.open({"image": folders / kind, "mask": folders / "masks"})
    transforms = [fc.RandomResizedCrop(20, area=(0.1, 1)), fc.RandomFlip()]
    with fc.ClipLoader(
        dataset, fc.Windows(3), transforms, batch_size=2, targets="mask", workers=workers, **options
    ) as loader:
        return [
            (x.tobytes(), y.tobytes()) for epoch in range(4) for x, y in loader.epoch(epoch)
        ], loader.stats()


@pytest.mark.slow
def test_a_batch_does_not_depend_on_how_it_is_decoded(folders):
    plain, stats = served(folders, "plain")
    assert (stats.sliced_frames, stats.pillow_frames) == (0, 0)
    assert stats.whole_frames == 24  # masks
    assert stats.cropped_frames > 0
    marked, stats = served(folders, "marked", workers=2, cache=0)
    assert stats.sliced_frames > 0
    assert min(stats.sliced_frames + stats.cropped_frames, stats.whole_frames) >= 24
    assert 0 < stats.skipped < 0.9
    assert "by restart markers" in str(stats)
    progressive, stats = served(folders, "progressive", workers=1, cache=0)
    assert (stats.sliced_frames, stats.cropped_frames) == (0, 0)
    assert stats.whole_frames >= 48
    assert plain == marked == progressive
    unscaled, _ = served(folders, "plain", dct_scaling=False)
    assert unscaled != plain
    assert unscaled == served(folders, "marked", dct_scaling=False)[0]
