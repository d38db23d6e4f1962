"""Clips of video frames for training, decoded by worker processes into shared memory.

Open a folder of frames, choose a sampler and transforms, iterate:

>>> import fastclips as fc
>>> dataset = fc.open("frames/")  # class/video/frame.jpg, or class/video.mp4
>>> loader = fc.ClipLoader(dataset, fc.Windows(time_steps=4), [fc.RandomCrop(32)], batch_size=6, workers=0)
>>> for x, y in loader:
...     print(x.shape, x.dtype, y)
(6, 4, 32, 32, 3) uint8 [0 0 0 0 0 0]
(6, 4, 32, 32, 3) uint8 [0 0 0 1 1 1]
(6, 4, 32, 32, 3) uint8 [1 1 1 1 1 1]

=================== =====================================================================================
data                `open`, `Stream`, `Dataset`, `mix`; `pack`, `Packed`; `unpack`, `Unpacked`; `check`,
                    `Checked`, `Finding`; your own: `Storage`
clips               `Windows`, `RandomWindow`, `Segments`, `Views`; your own: `ClipSampler`, `Clips`
frame choices       `Reverse`, `FrameDrop`, `SpeedJitter`
geometry            `Resize`, `CenterCrop`, `RandomCrop`, `RandomResizedCrop`, `MultiScaleCrop`, `ThreeCrop`,
                    `TenCrop`, `RandomFlip`, `RandomRotation`, `RandomShift`, `RandomShear`, `RandomZoom`
pixel steps         `Brightness`, `ChannelShift`, `Contrast`, `Gamma`, `Grayscale`, `Hue`, `Saturation`,
                    `SaturationValue`, `Blur`, `Cutout`, `RandomErasing`, `GaussianNoise`, `SaltAndPepper`,
                    `Apply`; your own: `PixelStep`
policies            `RandAugment`, `TrivialAugment`
of some streams     `On`
standardising       `Rescale`, `Normalize`, `PerSample`, `FeatureWise`, `ZCA`; `fit_feature_wise`, `fit_zca`
batches             `ClipLoader`, `FrameCache`, `Stats`, `Report`, `average_views`
presets             `presets`: options of `ClipLoader` as papers use them
errors              `FastclipsError`: `OptionError`, `DataError`, `FrameError`, `EngineError`, `ClosedError`
=================== =====================================================================================

Keras and tf.data: `fastclips.adapters`. Checks for classes of your own: `fastclips.testing`.
"""

import sys as _sys

if not _sys.platform.startswith("linux"):
    raise ImportError(f"fastclips runs on Linux only (memfd, futex, pidfd), not on {_sys.platform}.")

from fastclips import presets
from fastclips.checking.check import check
from fastclips.checking.report import Checked, Finding
from fastclips.data.dataset import Dataset
from fastclips.data.mixing import mix
from fastclips.data.opening import open_dataset as open  # noqa: A004 - fc.open reads as intended
from fastclips.data.storage import Storage
from fastclips.data.streams import Stream
from fastclips.engine.frame_cache import FrameCache
from fastclips.errors import ClosedError, DataError, EngineError, FastclipsError, FrameError, OptionError
from fastclips.evaluation import average_views
from fastclips.loader import ClipLoader
from fastclips.packing.pack import Packed, pack
from fastclips.packing.unpack import Unpacked, unpack
from fastclips.pixels.geometry.crops import (
    CenterCrop,
    MultiScaleCrop,
    RandomCrop,
    RandomResizedCrop,
    Resize,
    TenCrop,
    ThreeCrop,
)
from fastclips.pixels.geometry.flips import RandomFlip
from fastclips.pixels.geometry.warps import RandomRotation, RandomShear, RandomShift, RandomZoom
from fastclips.pixels.on import On
from fastclips.pixels.policies import RandAugment, TrivialAugment
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
from fastclips.pixels.steps.effects import Blur, Cutout, GaussianNoise, RandomErasing, SaltAndPepper
from fastclips.pixels.steps.normalize import Normalize
from fastclips.pixels.steps.standardize import ZCA, FeatureWise, PerSample, Rescale
from fastclips.planning.choices import FrameDrop, Reverse, SpeedJitter
from fastclips.planning.clips import Clips, ClipSampler
from fastclips.planning.samplers import RandomWindow, Segments, Views, Windows
from fastclips.serving.fitting import fit_feature_wise, fit_zca
from fastclips.serving.report import Report
from fastclips.serving.stats import Stats

__all__ = [
    "ZCA",
    "Apply",
    "Blur",
    "Brightness",
    "CenterCrop",
    "ChannelShift",
    "Checked",
    "ClipLoader",
    "ClipSampler",
    "Clips",
    "ClosedError",
    "Contrast",
    "Cutout",
    "DataError",
    "Dataset",
    "EngineError",
    "FastclipsError",
    "FeatureWise",
    "Finding",
    "FrameCache",
    "FrameDrop",
    "FrameError",
    "Gamma",
    "GaussianNoise",
    "Grayscale",
    "Hue",
    "MultiScaleCrop",
    "Normalize",
    "On",
    "OptionError",
    "Packed",
    "PerSample",
    "PixelStep",
    "RandAugment",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomShear",
    "RandomShift",
    "RandomWindow",
    "RandomZoom",
    "Report",
    "Rescale",
    "Resize",
    "Reverse",
    "SaltAndPepper",
    "Saturation",
    "SaturationValue",
    "Segments",
    "SpeedJitter",
    "Stats",
    "Storage",
    "Stream",
    "TenCrop",
    "ThreeCrop",
    "TrivialAugment",
    "Unpacked",
    "Views",
    "Windows",
    "average_views",
    "check",
    "fit_feature_wise",
    "fit_zca",
    "mix",
    "open",
    "pack",
    "presets",
    "unpack",
]
__version__ = "0.1.0"
