"""RandomFlip's label_map and mask_map: what is left of a mirrored clip is called right."""

import numpy as np
import pytest
from rendering import IGNORE, render, scene

import fastclips as fc
from fastclips.pixels.recipe import compile_recipe

VIDEOS, FRAMES = 12, 4
CLASSES = ["straight", "left", "right", "u-turn"]
NUMBERS = np.arange(VIDEOS) % 4
SWAP = {"left": "right"}
SWAPPED = np.array([0, 2, 1, 3])


def videos(labels, classes=CLASSES, mask=None, **options):
    """Pictures that are bright on the right, so that it shows which are mirrored."""
    images = np.zeros((VIDEOS, FRAMES, 6, 8, 3), np.uint8)
    images[..., 4:, :] = 200
    streams = {"image": images} if mask is None else {"image": images, "mask": mask}
    return fc.open(images=streams, labels=labels, classes=classes, **options)


def mirrored(x):
    return x[:, 0, 0, 0, 0] == 200


def serve(data, flip, workers=0, **options):
    """All batches of an epoch, each part in one array, and the plan's table."""
    options = {"batch_size": 5, "shuffle": True, "seed": 3, **options}
    with fc.ClipLoader(data, fc.Windows(2, step=1), [flip], workers=workers, **options) as loader:
        parts = [np.concatenate(part) for part in zip(*loader.epoch(1), strict=True)]
        table = loader.plan_table(1)
        label = table.get("label")
    return parts, table, label


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("vertical", [0, 0.5])
@pytest.mark.parametrize("pairs", [SWAP, {2: 1}, {"left": 2}, (("right", "left"),)])
def test_a_label_follows_the_pixels(workers, vertical, pairs):
    (x, y), table, label = serve(videos(NUMBERS), fc.RandomFlip(0.5, vertical, label_map=pairs), workers)
    turned, classes = mirrored(x), NUMBERS[table["video"]]
    assert 0.2 < turned.mean() < 0.8
    np.testing.assert_array_equal(y, np.where(turned, SWAPPED[classes], classes))
    np.testing.assert_array_equal(label, y)
    assert y.dtype == np.int64


def test_labels_of_frames():
    labels = np.random.default_rng(0).integers(0, 4, (VIDEOS, FRAMES))
    (x, y), table, label = serve(videos(labels), fc.RandomFlip(label_map=SWAP))
    shown = labels[table["video"][:, None], table["frames"]]
    np.testing.assert_array_equal(y, np.where(mirrored(x)[:, None], SWAPPED[shown], shown))
    np.testing.assert_array_equal(label, y)


def test_several_labels_of_a_clip():
    labels = np.random.default_rng(0).random((VIDEOS, 4)) < 0.5
    (x, y), table, label = serve(videos(labels), fc.RandomFlip(label_map=SWAP))
    expected = labels[table["video"]]
    np.testing.assert_array_equal(y, np.where(mirrored(x)[:, None], expected[:, SWAPPED], expected))
    np.testing.assert_array_equal(label, y)


def test_weights_by_class_weigh_the_label_as_it_is_served():
    by = np.array([1, 5, 0.5, 1])
    weights = {"left": 5, "right": 0.5}
    flip = fc.RandomFlip(label_map=SWAP)
    (_, y, weight), _, _ = serve(videos(NUMBERS), flip, sample_weight=weights)
    np.testing.assert_array_equal(weight, by[y])
    labels = np.random.default_rng(0).integers(0, 4, (VIDEOS, FRAMES))
    (_, y, weight), _, _ = serve(videos(labels), flip, sample_weight=weights)
    np.testing.assert_array_equal(weight, by[y])


def test_every_rank_says_what_it_serves():
    data, flip = videos(NUMBERS), fc.RandomFlip(label_map=SWAP)
    for rank in range(2):
        (_, y, _), _, label = serve(data, flip, rank=rank, world=2)
        np.testing.assert_array_equal(label, y)
        with fc.ClipLoader(
            data, fc.Windows(2, step=1), [flip], batch_size=5, shuffle=True, seed=3, world=2, workers=0
        ) as other:
            np.testing.assert_array_equal(other.plan_table(1, rank=rank)["label"], y)


def test_behind_transforms_and_steps_that_draw():
    """Which draw decides depends on the list; a view more changes nothing."""
    data = videos(NUMBERS)
    crop, noise = fc.RandomCrop((6, 8), per="frame"), fc.GaussianNoise(1)
    options = {"clips": fc.Windows(2), "batch_size": 5, "workers": 0, "shuffle": True}
    flip = fc.RandomFlip(label_map=SWAP)
    with fc.ClipLoader(data, transforms=[crop, fc.ThreeCrop((6, 8)), flip, noise], **options) as loader:
        x, y = (np.concatenate(part) for part in zip(*loader, strict=True))
        classes = NUMBERS[loader.plan_table(0)["video"]]
    turned = x[:, 0, 0, 0, 0] > 100
    assert 0.2 < turned.mean() < 0.8
    np.testing.assert_array_equal(y, np.where(turned, SWAPPED[classes], classes))


def test_without_a_map_nothing_is_swapped():
    (x, y), table, _ = serve(videos(NUMBERS), fc.RandomFlip(1))
    assert mirrored(x).all()
    np.testing.assert_array_equal(y, NUMBERS[table["video"]])
    for empty in ({}, ()):
        assert fc.RandomFlip(label_map=empty, mask_map=empty) == fc.RandomFlip()


@pytest.mark.parametrize(
    ("labels", "pairs", "said"),
    [
        (
            NUMBERS,
            {"left": "wright"},
            "label_map names 'wright': must be a class of the dataset, which has 'straight', 'left'",
        ),
        (NUMBERS, {1: 4}, "a class in RandomFlip's label_map=4: must be an integer from 0 to 3"),
        (NUMBERS, {"left": "right", 1: 3}, "must name a class once, but names 'left' by name and by number"),
        (
            np.zeros((VIDEOS, 2), np.float32),
            SWAP,
            "needs classes, but this dataset has targets that are numbers",
        ),
        (None, SWAP, "needs classes, but this dataset has no labels"),
    ],
)
def test_labels_that_cannot_be_swapped(labels, pairs, said):
    classes = None if labels is None or labels.dtype.kind == "f" else CLASSES
    with pytest.raises(fc.OptionError, match=said):
        serve(videos(labels, classes), fc.RandomFlip(label_map=pairs))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"label_map": {"a": "b", "b": "c"}},
            r"label_map={'a': 'b', 'b': 'c'}: must pair 'b' with one other",
        ),
        ({"label_map": {"a": "c", "b": "c"}}, "must pair 'c' with one other"),
        ({"label_map": {"a": "a"}}, "must pair 'a' with one other"),
        ({"label_map": {"a": 1.5}}, r"a class in RandomFlip's label_map=1\.5"),
        ({"label_map": ["a", "b"]}, r"label_map=\['a', 'b'\]: must be a mapping"),
        ({"label_map": SWAP, "per": "frame"}, "per='frame': must be 'clip' or 'video' with label_map="),
        ({"mask_map": {3: 256}}, "a value in RandomFlip's mask_map=256: must be an integer from 0 to 255"),
        ({"mask_map": {"left": "right"}}, "a value in RandomFlip's mask_map='left'"),
        ({"mask_map": {3: 4, 4: 5}}, "must pair 4 with one other"),
    ],
)
def test_maps_that_cannot_be(options, said):
    with pytest.raises(fc.OptionError, match=said):
        fc.RandomFlip(**options)


@pytest.mark.parametrize("maps", [{"label_map": SWAP}, {"mask_map": {3: 4}}])
@pytest.mark.parametrize("other", [fc.RandomFlip(), fc.TenCrop(4), fc.RandomFlip(mask_map={1: 2})])
def test_two_that_mirror(maps, other):
    with pytest.raises(fc.OptionError, match=r"swaps labels or mask values .* leave one of them out"):
        compile_recipe([other, fc.RandomFlip(**maps)])
    compile_recipe([fc.RandomFlip(0, vertical=0.5), fc.RandomFlip(**maps), fc.ThreeCrop(4)])


def test_there_must_be_masks_to_map():
    data = fc.open(images=np.zeros((1, 2, 6, 6, 3), np.uint8))
    with pytest.raises(fc.OptionError, match=r"mask_map=\{3: 4\} swaps values of masks, but .* has no masks"):
        fc.ClipLoader(data, fc.Windows(2), [fc.RandomFlip(mask_map={3: 4})], batch_size=1, workers=0)


def test_both_ways_may_be_said():
    assert fc.RandomFlip(mask_map={3: 4, 4: 3}) == fc.RandomFlip(mask_map={3: 4})
    assert fc.RandomFlip(label_map={"a": "b"}).label_map == (("a", "b"),)


# Masks


@pytest.mark.parametrize("more", [[], [fc.Resize((20, 40))], [fc.RandomRotation((30, 30), fill="constant")]])
def test_values_of_masks_change_places(more):
    """In crops, stretched and turned frames alike."""
    pixels, labels = scene(24, 36, frames=2)
    table = np.arange(256)
    table[[3, 4, 9, 200]] = 4, 3, 200, 9
    flips = [fc.RandomFlip(mask_map={3: 4, 200: 9}), fc.RandomFlip()]
    for draw in (0.0, 0.9):
        draws = [draw] + [0.5] * sum(one.draws for one in more)
        swapped, plain = (
            render([flip, *more], pixels, labels, frames=[0, 1, ~1], draws=draws) for flip in flips
        )
        mask = plain["mask"].copy()
        inside = mask != IGNORE
        mask[inside] = table[mask[inside]] if draw < 0.5 else mask[inside]
        np.testing.assert_array_equal(swapped["mask"], mask)
        np.testing.assert_array_equal(swapped["image"], plain["image"])
    assert inside.any()


def test_values_of_masks_change_places_frame_by_frame():
    pixels, labels = scene(12, 14)
    labels[:] = 3
    row = render(
        [fc.RandomFlip(mask_map={3: 4}, per="frame")],
        pixels,
        labels,
        frames=[0] * 4,
        draws=[0.0, 0.7, 0.2, 0.5],
    )
    assert [np.unique(mask).tolist() for mask in row["mask"]] == [[4], [3], [4], [3]]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_masks_behind_their_values(workers):
    """It is served values that are swapped, and weighed."""
    masks = np.random.default_rng(0).integers(0, 3, (VIDEOS, FRAMES, 6, 8), np.uint8)
    data = videos(NUMBERS, mask=masks, values={0: 2, 2: 0})
    flip = fc.RandomFlip(label_map=SWAP, mask_map={1: 2})
    (x, y, weight), table, _ = serve(data, flip, workers, targets="mask", sample_weight={1: 5})
    turned = mirrored(x)
    plain = 2 - masks[table["video"][:, None], table["frames"]]
    table = np.array([0, 2, 1])
    expected = np.where(turned[:, None, None, None], table[plain[..., ::-1]], plain)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(weight, np.where(expected == 1, 5, 1))


def test_what_is_ignored_is_not_swapped():
    data = videos(NUMBERS, mask=np.zeros((VIDEOS, FRAMES, 6, 8), np.uint8))
    with pytest.raises(
        fc.OptionError, match="mask_map swaps 255, which in 'mask' means that there is nothing"
    ):
        serve(data, fc.RandomFlip(mask_map={1: 255}), targets="mask")
