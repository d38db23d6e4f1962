"""Recipes of `reference_epochs` over folders of frames: which clips, and what is done to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import fastclips as fc

RECIPES = {}


def recipe(function):
    """Enter a recipe under its name."""
    RECIPES[function.__name__] = function
    return function


def recipes(**variants):
    """Enter a recipe once for each variant, as ``function_variant``."""

    def enter(function):
        for variant, given in variants.items():
            RECIPES[f"{function.__name__}_{variant}"] = lambda root, workers=0, given=given: function(
                root, workers, given
            )
        return function

    return enter


# Data and loaders


def folder(root, **options):
    return fc.open(root / "frames", **options)


def pairs(root, mask="masks", **options):
    return fc.open({"image": root / "frames", "mask": root / mask}, **options)


OF_0_1_0 = {"fast_dct": True}  # defaults that have changed since


def serve(dataset, clips, transforms=(), **options):
    """An epoch of a loader, which is closed behind it."""
    with fc.ClipLoader(dataset, clips, transforms, **{"batch_size": 4, **OF_0_1_0, **options}) as loader:
        yield from loader


CROP = fc.RandomCrop(32)
FIT = fc.Resize((24, 32))
WINDOWS = fc.Windows(3, step=2)
SHUFFLED = {"shuffle": True, "seed": 11}


@recipes(
    plain={},
    shuffled=SHUFFLED,
    seeded={"shuffle": True, "seed": 2**63 + 5},
    drop_last={"drop_last": True, "batch_size": 3},
)
def windows(root, workers, given):
    return serve(folder(root), fc.Windows(4), [fc.CenterCrop((40, 48))], workers=workers, **given)


@recipes(first=0, second=1)
def rank(root, workers, given):
    options = {**SHUFFLED, "rank": given, "world": 2, "workers": workers}
    return serve(folder(root), WINDOWS, [CROP, fc.RandomFlip()], **options)


@recipes(
    segments=fc.Segments(4),
    still_segments=fc.Segments(3, jitter=False),
    random_window=fc.RandomWindow(4),
    dilated=fc.Windows(3, step=1, dilation=2),
    short_pad=fc.Windows(5, short="pad", tail="pad"),
    short_loop=fc.RandomWindow(10, short="loop"),
    temporal_views=fc.Views(3, temporal=3),
)
def clips(root, workers, given):
    options = {"inputs": ("image", "valid"), "workers": workers, "seed": 5}
    return serve(folder(root), given, [CROP, fc.RandomFlip()], **options)


@recipes(
    three=(fc.Views(3, temporal=2), [fc.ThreeCrop(32)]), ten=(fc.Segments(2, jitter=False), [fc.TenCrop(24)])
)
def crops(root, workers, given):
    return serve(folder(root), given[0], given[1], batch_size=7, workers=workers)


# Geometry


@recipes(
    random_crop=[CROP, fc.RandomFlip(0.5, 0.3)],
    random_crop_of_frames=[fc.RandomCrop((30, 41), per="frame"), fc.RandomFlip(per="frame")],
    random_resized_crop=[fc.RandomResizedCrop(28, (0.3, 1.0))],
    multi_scale_crop=[fc.MultiScaleCrop(24, (1.0, 0.8, 0.6))],
    resize=[fc.Resize((37, 53))],
    resize_short_side=[fc.Resize(short_side=40), fc.CenterCrop(36)],
    shrink=[FIT, fc.RandomFlip()],
)
def geometry(root, workers, given):
    return serve(folder(root), WINDOWS, given, workers=workers, **SHUFFLED)


@recipes(
    rotation_nearest=[fc.RandomRotation(20)],
    rotation_constant=[fc.RandomRotation((-30, 5), fill="constant", fill_value=(9, 90, 200))],
    shift_reflect=[fc.RandomShift(0.3, 0.2, fill="reflect")],
    shift_wrap=[fc.RandomShift(0.3, 0.2, fill="wrap")],
    shear_constant=[fc.RandomShear(15, fill="constant")],
    zoom_nearest=[fc.RandomZoom(0.7, 1.4)],
    zoom_of_frames=[fc.RandomZoom(0.3, fill="wrap", per="frame")],
    all_reflect=[
        fc.RandomRotation(15, fill="reflect"),
        fc.RandomShear(5, fill="reflect"),
        fc.RandomZoom(0.2, fill="reflect"),
        fc.RandomFlip(),
    ],
)
def warp(root, workers, given):
    options = {"inputs": ("image", "mask"), "targets": "label", "workers": workers, **SHUFFLED}
    return serve(pairs(root), WINDOWS, [*given, CROP], **options)


# Pixel steps


@recipes(
    brightness=[fc.Brightness(0.4)],
    contrast=[fc.Contrast(0.5, 1.5)],
    channel_shift=[fc.ChannelShift(30)],
    gamma=[fc.Gamma(0.6, 1.7)],
    rescale=[fc.Rescale(1 / 127.5, -1)],
    normalize=[fc.Normalize((0.47, 0.43, 0.4), (0.2, 0.22, 0.24))],
    saturation=[fc.Saturation(0.5)],
    saturation_value=[fc.SaturationValue(0.5, 2.0)],
    hue=[fc.Hue(25, p=0.6)],
    grayscale=[fc.Grayscale(p=0.5)],
    gaussian_noise=[fc.GaussianNoise((2, 12))],
    fixed_noise=[fc.GaussianNoise(8, fixed=True)],
    salt_and_pepper=[fc.SaltAndPepper(0.05)],
    blur=[fc.Blur((0.4, 2.0))],
    cutout=[fc.Cutout((10, 14), 2, (5.0, 100.0, 250.0))],
    per_sample=[fc.PerSample()],
    feature_wise=[fc.FeatureWise((120.0, 110.0, 100.0), (50.0, 55.0, 60.0))],
    of_frames=[fc.Brightness(0.3, per="frame"), fc.Hue(20, per="frame"), fc.Cutout(9, per="frame")],
    many=[fc.Gamma(0.8, 1.2), fc.Contrast(0.2), fc.Saturation(0.3), fc.GaussianNoise(3), fc.Rescale()],
)
def pixels(root, workers, given):
    return serve(folder(root), WINDOWS, [fc.RandomCrop(24), *given], workers=workers, **SHUFFLED)


@recipe
def pixels_zca(root, workers=0):
    whitening = fc.ZCA(np.eye(8 * 8 * 3) - 0.003, np.full((8, 8, 3), 117.0))
    steps = [fc.RandomCrop(8), whitening]
    return serve(folder(root), WINDOWS, steps, workers=workers, **SHUFFLED)


@recipe
def pixels_fitted(root, workers=0):
    """Standardised by what an epoch of the data says."""
    options = {"batch_size": 4, "workers": workers, **OF_0_1_0}
    with fc.ClipLoader(folder(root), WINDOWS, [fc.CenterCrop(24)], **options) as loader:
        step = fc.fit_feature_wise(loader)
    yield step.mean, step.std
    yield from serve(folder(root), WINDOWS, [fc.RandomCrop(24), step], workers=workers)


def soften(frame):
    return frame // 2 + np.random.randint(64, dtype=np.uint8)  # noqa: NPY002 - the seeded global one


def thin_out(clip):
    return clip[:, ::2, ::3] / 255


@recipes(frames=[fc.Apply(soften, per="frame", p=0.5)], clip=[fc.Brightness(0.2), fc.Apply(thin_out)])
def apply(root, workers, given):
    return serve(folder(root), WINDOWS, [CROP, *given], workers=workers, **SHUFFLED)


@recipes(
    reverse=[fc.Reverse()],
    frame_drop=[fc.FrameDrop(0.3)],
    speed_jitter=[fc.SpeedJitter(0.6, 1.8)],
    all=[fc.SpeedJitter(0.7, 1.5), fc.Reverse(), fc.FrameDrop(0.2)],
)
def choices(root, workers, given):
    return serve(folder(root), fc.Windows(4, step=1), [CROP, *given], workers=workers, **SHUFFLED)


# How batches are made


@recipes(
    channels_first={"channels_first": True},
    slow_dct={"fast_dct": False},
    unscaled={"dct_scaling": False},
    unscaled_slow_dct={"dct_scaling": False, "fast_dct": False},
    scaled={"dct_scaling": True},
    damaged={"damaged": "repeat"},
    two_inputs={"inputs": ("image", "valid")},
    no_targets={"targets": None},
    weights_of_classes={"sample_weight": {"dive": 2.0, "swim": 0.5}},
    weights_of_videos={"sample_weight": [1, 2, 3, 4, 5, 6]},
    balanced={"weights": "balanced"},
    drawn={"weights": {"dive": 1, "swim": 5}},
)
def option(root, workers, given):
    if "damaged" in given:
        dataset, sampler = fc.open(root / "damaged"), fc.Windows(2, step=1)
    else:
        dataset, sampler = folder(root), fc.Windows(3, step=2, short="pad", tail="pad")
    steps = [fc.Resize((20, 26)), fc.RandomFlip()]
    return serve(dataset, sampler, steps, workers=workers, **{**SHUFFLED, **given})


@recipe
def two_epochs(root, workers=0):
    options = {"batch_size": 4, "workers": workers, **SHUFFLED, **OF_0_1_0}
    with fc.ClipLoader(folder(root), fc.RandomWindow(3), [CROP, fc.RandomFlip()], **options) as loader:
        yield from loader
        yield from loader


COLUMNS = ("position", "video", "name", "start", "view", "padding", "frames", "size")


@recipes(plain={"labels": "auto"}, unlabelled={"labels": None})
def plan_table(root, _, given):
    """What was served, with paths from the data's folder."""
    dataset = folder(root, **given)
    options = {"batch_size": 4, "workers": 0, "world": 2, "rank": 1, **SHUFFLED}
    steps = [fc.ThreeCrop(32), fc.Reverse()]
    with fc.ClipLoader(dataset, fc.Views(3, temporal=2, short="pad"), steps, **options) as loader:
        for epoch in range(2):
            table = loader.plan_table(epoch)
            paths = [[str(Path(path).relative_to(root)) for path in row] for row in table["paths"]]
            label = [table["label"]] if dataset.classes else []
            yield np.array(paths, object), [table[name] for name in COLUMNS], label
