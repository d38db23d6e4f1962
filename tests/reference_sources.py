"""Recipes of `reference_epochs` for masks, lists, arrays, packs, and the generators of `fastclips.compat`."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from reference_recipes import (
    CROP,
    FIT,
    OF_0_1_0,
    RECIPES,
    SHUFFLED,
    WINDOWS,
    folder,
    pairs,
    recipe,
    recipes,
    serve,
)

import fastclips as fc
from fastclips import compat

__all__ = ["RECIPES"]

# Masks


@recipes(
    plain={},
    values={"values": {255: 0, 3: 7}},
    ignore={"ignore": 9},
    colors={
        "mask": "colors",
        "colors": {(0, 0, 0): 0, (220, 20, 60): 1, (0, 128, 255): 2, (250, 250, 10): 5},
        "unpaired": "drop",
    },
)
def masks(root, workers, given):
    steps = [fc.RandomShift(0.2, fill="constant"), CROP, fc.RandomFlip(mask_map={1: 2})]
    options = {"targets": "mask", "workers": workers, **SHUFFLED}
    return serve(pairs(root, **given), fc.Windows(3, step=2, short="pad"), steps, **options)


@recipes(weighted={"sample_weight": {1: 3.0, 2: 0.5}}, valid={"sample_weight": "valid"})
def mask_weights(root, workers, given):
    options = {"targets": "mask", "workers": workers, **SHUFFLED, **given}
    return serve(pairs(root), fc.Windows(5, short="pad", tail="pad"), [FIT, fc.RandomFlip()], **options)


# Lists and arrays


@recipe
def text_list(root, workers=0):
    columns = {"columns": "path length label", "frames": "img_{:05d}.jpg"}
    dataset = fc.open(root / "list.txt", root=root / "frames", **columns)
    return serve(dataset, WINDOWS, [CROP], workers=workers, **SHUFFLED)


@recipe
def table_list(root, workers=0):
    """Parts of videos, sampled by time."""
    dataset = fc.open(root / "parts.csv", root=root / "frames")
    return serve(dataset, fc.Windows(3, step=1, fps=12.5), [CROP], workers=workers, **SHUFFLED)


@recipe
def rows_with_several_labels(root, workers=0):
    rows = [
        {"path": "dive/v1", "labels": ["wet", "high"], "start": 0, "length": 6},
        {"path": "swim/a", "labels": ["wet"], "start": 2, "length": 6},
        {"path": "dive/v2", "labels": ["high"], "start": 1, "length": 5},
    ]
    return serve(fc.open(rows, root=root / "frames"), WINDOWS, [CROP], workers=workers, **SHUFFLED)


@recipe
def labels_of_frames(root, workers=0):
    rows = [
        {"path": "dive/v1", "frame_labels": [0, 0, 1, 1, 1, 2, 2, 0, 0]},
        {"path": "dive/v2", "frame_labels": [2, 1, 0, 2, 1, 0, 2]},
    ]
    dataset = fc.open(rows, root=root / "frames")
    options = {"sample_weight": {1: 2.0}, "workers": workers, **SHUFFLED}
    return serve(dataset, fc.Windows(4, step=2, tail="pad"), [CROP, fc.Reverse()], **options)


@recipe
def split(root, workers=0):
    for part in folder(root).split(validation=0.34, seed=3):
        yield from serve(part, WINDOWS, [CROP], workers=workers)


@recipe
def png(root, workers=0):
    return serve(fc.open(root / "png"), fc.Windows(2, step=1), [fc.Resize((15, 17))], workers=workers)


@recipes(memory=False, mapped=True)
def arrays(root, workers, given):
    paths = {"image": root / "images.npy", "mask": root / "masks.npy"}
    streams = paths if given else {name: np.load(path) for name, path in paths.items()}
    options = {"inputs": ("image", "mask"), "targets": "label", "workers": workers, **SHUFFLED}
    dataset = fc.open(images=streams, labels=["b", "a", "b"])
    return serve(dataset, fc.Windows(2, step=1), [fc.RandomResizedCrop(18), fc.RandomFlip()], **options)


# Packs and tar files


@recipes(jpeg="packs/jpeg", small="packs/small", raw="packs/raw")
def pack(root, workers, given):
    steps = [fc.RandomCrop(24), fc.RandomFlip()]
    return serve(fc.open(root / given), fc.Windows(2), steps, workers=workers, **SHUFFLED)


@recipe
def pack_scaled(root, workers=0):
    return serve(fc.open(root / "packs" / "jpeg"), WINDOWS, [FIT], workers=workers, **SHUFFLED)


@recipe
def pack_masked(root, workers=0):
    options = {"targets": "mask", "workers": workers, **SHUFFLED}
    return serve(
        fc.open(root / "packs" / "masked"), fc.Windows(2, step=1), [CROP, fc.RandomFlip()], **options
    )


@recipe
def foreign_tar(root, workers=0):
    return serve(fc.open(root / "foreign.tar"), WINDOWS, [CROP], workers=workers, **SHUFFLED)


# Generators of compat


def epochs(generator, count=1):
    """So many epochs of a generator without end, which is closed behind them."""
    with generator:
        yield from islice(generator, count * len(generator))


TURNED = {
    "rotation_range": 25,
    "width_shift_range": 0.2,
    "height_shift_range": [-4, 0, 4],
    "shear_range": 12,
    "zoom_range": 0.3,
    "horizontal_flip": True,
}


@recipes(
    plain={},
    clips={"time_steps": 3},
    turned=TURNED,
    turned_clips={**TURNED, "time_steps": 3, "fill_mode": "reflect"},
    coloured={"brightness_range": (0.5, 1.5), "channel_shift_range": 30.0, "rescale": 1 / 255},
    standardized={"samplewise_center": True, "samplewise_std_normalization": True},
    constant={**TURNED, "fill_mode": "constant", "cval": 77.0, "vertical_flip": True},
)
def image_generator(root, workers, given):
    options = {"target_size": (24, 30), "batch_size": 8, "seed": 3, "workers": workers}
    generator = compat.ImageDataGenerator(**given)
    return epochs(generator.flow_from_directory(root / "frames", **options))


@recipes(plain={}, turned={**TURNED, "fill_mode": "wrap"}, feature_wise={"featurewise_center": True})
def image_generator_of_arrays(root, workers, given):
    x = np.load(root / "images.npy").reshape(-1, 20, 28, 3)
    generator = compat.ImageDataGenerator(**given)
    if "featurewise_center" in given:
        generator.fit(x)
    return epochs(generator.flow(x, np.arange(15) % 4, 4, seed=9, workers=workers), 2)


@recipe
def image_generator_of_a_table(root, workers=0):
    files = [f"{video}/img_{number:05d}.jpg" for video in ("dive/v1", "swim/a") for number in range(1, 6)]
    table = {"filename": files, "class": [file[:4] for file in files]}
    generator = compat.ImageDataGenerator(validation_split=0.3)
    options = {"target_size": (24, 30), "batch_size": 3, "seed": 5, "subset": "training"}
    return epochs(generator.flow_from_dataframe(table, root / "frames", workers=workers, **options))


@recipes(
    plain={"labels": "clip"},
    labels_of_frames={"labels": "frame", "step": 2},
    turned={**TURNED, "labels": "clip", "rescale": 1 / 255},
    legacy={"legacy": True},
    legacy_split={"legacy": True, "validation_split": 0.4, "rescale": 1 / 255},
)
def time_distributed(root, workers, given):
    generator = compat.TimeDistributedImageDataGenerator.TimeDistributedImageDataGenerator(
        time_steps=3, **given
    )
    subset = "training" if "validation_split" in given else None
    options = {"target_size": (24, 30), "batch_size": 8, "seed": 3, "subset": subset, "workers": workers}
    return epochs(generator.flow_from_directory(root / "frames", **options))


@recipes(clip={"per": "clip"}, batch={"per": "batch", "drop_last": True})
def paired_crops(root, workers, given):
    paths = root / "images.npy", root / "masks.npy"
    return epochs(compat.paired_random_crop(*paths, (12, 16), 2, seed=4, workers=workers, **given), 2)


@recipes(one_hot={"n_classes": 5, "ignore": 255}, values={"one_hot": False, "rescale": None, "ignore": 255})
def sequence(root, workers, given):
    names = [f"dive/v1/img_{number:05d}" for number in range(1, 8)]
    options = {"dim": (24, 32), "n_channels": 3, "batch_size": 3, "seed": 6, "workers": workers, **given}
    with compat.DataGenerator(names, root / "frames", root / "masks", **options) as batches:
        yield from (batches[number] for number in range(len(batches)))


@recipes(images={}, clips={"time_steps": 3}, cubic={"interpolation": "bicubic", "label_mode": "categorical"})
def image_dataset(root, workers, given):
    options = {"image_size": (22, 34), "batch_size": 8, "seed": 3, "verbose": False, "workers": workers}
    with compat.image_dataset_from_directory(root / "frames", **options, **given) as dataset:
        yield from dataset


@recipe
def series(root, workers=0):
    data = np.load(root / "images.npy").reshape(-1, 20, 28, 3)
    options = {"batch_size": 3, "shuffle": True, "seed": 8, "workers": workers}
    with compat.timeseries_dataset_from_array(data, np.arange(15), 3, 2, 2, **options) as dataset:
        yield from dataset


@recipes(spread="VideoFrameGenerator", sliding="SlidingFrameGenerator", flow="OpticalFlowGenerator")
def movies(root, workers, given):
    pytest.importorskip("av", reason="video extra")
    options = {"nb_frames": 4, "batch_size": 2, "target_shape": (24, 32), "seed": 5, "workers": workers}
    pattern = f"{root}/movies/{{classname}}/*.mp4"
    return epochs(getattr(compat.keras_video, given)(glob_pattern=pattern, **options))


@recipe
def keras_sequence(root, workers=0):
    """What ``fit`` is given."""
    pytest.importorskip("keras")
    from fastclips.adapters.keras import ClipSequence  # noqa: PLC0415 - Keras is an extra

    options = {"batch_size": 4, "workers": workers, **SHUFFLED, **OF_0_1_0}
    with fc.ClipLoader(folder(root), WINDOWS, [CROP, fc.RandomFlip()], **options) as loader:
        batches = ClipSequence(loader)
        yield from (batches[number] for number in range(len(batches)))
