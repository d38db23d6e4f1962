"""Clips of video frames for training, decoded by worker processes into shared memory.

Open a folder of frames, choose clips, iterate::

    import fastclips as fc

    dataset = fc.open("frames/")  # class/video/frame.jpg
    loader = fc.ClipLoader(dataset, fc.Windows(time_steps=16), [fc.RandomCrop(224)], batch_size=8)
    for x, y in loader:
        ...
"""

import sys as _sys

if not _sys.platform.startswith("linux"):
    raise ImportError(f"fastclips runs on Linux only (memfd, futex, pidfd), not on {_sys.platform}.")

from fastclips.data.index import Dataset
from fastclips.data.opening import open_dataset as open  # noqa: A004 - fc.open reads as intended
from fastclips.errors import ClosedError, DataError, EngineError, FastclipsError, FrameError, OptionError
from fastclips.evaluation import average_views
from fastclips.loader import ClipLoader
from fastclips.packing.pack import Packed, pack
from fastclips.pixels.geometry.crops import (
    CenterCrop,
    MultiScaleCrop,
    RandomCrop,
    RandomFlip,
    RandomResizedCrop,
    Resize,
    TenCrop,
    ThreeCrop,
)
from fastclips.pixels.geometry.warps import RandomRotation, RandomShear, RandomShift, RandomZoom
from fastclips.pixels.steps.apply import Apply
from fastclips.pixels.steps.base import PixelStep
from fastclips.pixels.steps.color import (
    Brightness,
    ChannelShift,
    Contrast,
    Gamma,
    Grayscale,
    Hue,
    Saturation,
    SaturationValue,
)
from fastclips.pixels.steps.effects import Blur, Cutout, GaussianNoise, SaltAndPepper
from fastclips.pixels.steps.normalize import Normalize
from fastclips.pixels.steps.standardize import ZCA, FeatureWise, PerSample, Rescale
from fastclips.planning.choices import FrameDrop, Reverse, SpeedJitter
from fastclips.planning.samplers import RandomWindow, Segments, Views, Windows
from fastclips.serving.fitting import fit_feature_wise, fit_zca
from fastclips.serving.stats import Stats

__all__ = [
    "ZCA",
    "Apply",
    "Blur",
    "Brightness",
    "CenterCrop",
    "ChannelShift",
    "ClipLoader",
    "ClosedError",
    "Contrast",
    "Cutout",
    "DataError",
    "Dataset",
    "EngineError",
    "FastclipsError",
    "FeatureWise",
    "FrameDrop",
    "FrameError",
    "Gamma",
    "GaussianNoise",
    "Grayscale",
    "Hue",
    "MultiScaleCrop",
    "Normalize",
    "OptionError",
    "Packed",
    "PerSample",
    "PixelStep",
    "RandomCrop",
    "RandomFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomShear",
    "RandomShift",
    "RandomWindow",
    "RandomZoom",
    "Rescale",
    "Resize",
    "Reverse",
    "SaltAndPepper",
    "Saturation",
    "SaturationValue",
    "Segments",
    "SpeedJitter",
    "Stats",
    "TenCrop",
    "ThreeCrop",
    "Views",
    "Windows",
    "average_views",
    "fit_feature_wise",
    "fit_zca",
    "open",
    "pack",
]
__version__ = "0.1.0"
