"""Options of `ClipLoader` as papers train and test with them: sampler, transforms and order.

Each function returns a dict of options. Pass it with the options of your own, and replace what should differ:

>>> dataset = fc.open("frames/")
>>> preset = {**fc.presets.tsn(train=True), "clips": fc.Segments(8)}
>>> loader = fc.ClipLoader(dataset, **preset, batch_size=2, workers=0)
>>> next(iter(loader))[0].shape
(2, 8, 224, 224, 3)

Each docstring names the commit that the parameters come from, and what differs in the pixels. Common to all:
frames are interpolated once, bilinearly, on 8-bit values; JPEGs that shrink by 2 or more are decoded at a
smaller size; batches are channels last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastclips.options import checked_bool
from fastclips.pixels.geometry.crops import (
    MultiScaleCrop,
    RandomResizedCrop,
    Resize,
    TenCrop,
    ThreeCrop,
)
from fastclips.pixels.geometry.flips import RandomFlip
from fastclips.pixels.policies import RandAugment
from fastclips.pixels.steps.effects import RandomErasing
from fastclips.pixels.steps.normalize import Normalize
from fastclips.planning.samplers import RandomWindow, Segments, Views

if TYPE_CHECKING:
    from fastclips.planning.clips import ClipSampler

__all__ = ["slowfast", "tsn", "videomae"]

_TIMM = (  # the operations of timm's "inc1"
    *("AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "SolarizeAdd"),
    *("Color", "Contrast", "Brightness", "Sharpness", "ShearX", "ShearY", "TranslateX", "TranslateY"),
)
_IMAGENET = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def slowfast(train: bool, *, fps: float | None = None) -> dict[str, Any]:
    """Return the options of SlowFast 8x8 on Kinetics (Feichtenhofer et al., 2019).

    Training: 32 frames, every second one, from a random place; the shorter side scaled to 256 to 320, a
    random crop of 224, mirrored with probability 0.5. Testing: 10 clips of a video, 3 crops of 256 each. The
    fast pathway takes all frames, the slow one every fourth: `map=` of an adapter makes both.

    The parameters are those of facebookresearch/SlowFast at commit 287ec007,
    ``configs/Kinetics/SLOWFAST_8x8_R50.yaml`` and its defaults. What differs:

    - The original scales, then crops. `MultiScaleCrop` cuts the box that this crop shows out of the frame, on
      whole pixels of the frame, and each of the 65 scales is equally likely.
    - The original spreads 32 frames evenly over 64, so that two neighbours are 2.03 frames apart on average;
      here they are 2 apart. It counts frames at 30 per second, as ``fps=30`` does here.
    - Test clips reach from the first to the last frame here. In the original, the last one ends a tenth of
      the remaining time before the end.

    Parameters
    ----------
    train : bool
        Whether the options are those of training, or of testing.
    fps : float, optional
        Frames per second to sample at: 30 in the paper. Needs the frames per second of each video; by default
        frames are counted.

    Returns
    -------
    dict of str to object
        The options `clips`, `transforms`, `shuffle` and `drop_last` of `ClipLoader`.

    Raises
    ------
    OptionError
        If an option is out of range.

    Examples
    --------
    >>> loader = fc.ClipLoader(
    ...     fc.open("frames/"), **fc.presets.slowfast(train=True), batch_size=2, workers=0
    ... )
    >>> x, y = next(iter(loader))
    >>> x.shape, x.dtype
    ((2, 32, 224, 224, 3), dtype('float32'))
    """
    normalize = Normalize(0.45, 0.225)
    if checked_bool(train, "train"):
        scales = [224 / side for side in range(256, 321)]
        crops = [MultiScaleCrop(224, scales), RandomFlip()]
        return _options(RandomWindow(32, 2, fps=fps, short="pad"), [*crops, normalize], train=True)
    views = Views(32, 2, temporal=10, fps=fps, short="pad")
    return _options(views, [Resize(short_side=256), ThreeCrop(256), normalize], train=False)


def videomae(train: bool) -> dict[str, Any]:
    """Return the options of fine-tuning VideoMAE on Kinetics (Tong et al., 2022).

    Training: 16 frames, every fourth one, from a random place; RandAugment, a crop of random area and aspect,
    scaled to 224, mirrored with probability 0.5, random erasing. Testing: 5 clips of a video, 3 crops of 224
    each. The original also mixes clips of a batch (mixup 0.8, cutmix 1.0), which belongs on the device, and
    smooths labels by 0.1.

    The parameters are those of MCG-NJU/VideoMAE at commit 14ef8d85, ``run_class_finetuning.py``,
    ``kinetics.py`` and ``scripts/kinetics/*/finetune.sh``. What differs:

    - RandAugment has the operations, probabilities and strengths of timm's ``rand-m7-n4-mstd0.5-inc1``; but
      Posterize keeps some 5 bits instead of 2. Its shifts, shears and rotations and the crop are one map, and
      its other operations act on the crop instead of the frame. See `RandAugment`.
    - Pixels outside the frame are the mean that `Normalize` subtracts, instead of 128 before the other
      operations.
    - The original interpolates RandAugment's moves bicubically.
    - Noise of random erasing is cut off at black and white. See `RandomErasing`.
    - Frames of a clip are exactly 4 apart.

    Parameters
    ----------
    train : bool
        Whether the options are those of training, or of testing.

    Returns
    -------
    dict of str to object
        The options `clips`, `transforms`, `shuffle` and `drop_last` of `ClipLoader`.

    Raises
    ------
    OptionError
        If `train` is no bool.

    Examples
    --------
    >>> loader = fc.ClipLoader(
    ...     fc.open("frames/"), **fc.presets.videomae(train=False), batch_size=3, workers=0
    ... )
    >>> x, y = next(iter(loader))
    >>> x.shape, len(loader)  # 6 videos, 15 views of each
    ((3, 16, 224, 224, 3), 30)
    """
    if checked_bool(train, "train"):
        transforms = [
            RandAugment(4, 7, levels=10, std=0.5, p=0.5, operations=_TIMM),
            RandomResizedCrop(224, area=(0.08, 1.0), aspect=(0.75, 1.3333)),
            RandomFlip(),
            RandomErasing(0.25, area=(0.02, 1 / 3), aspect=(0.3, 1 / 0.3), value="random"),
            _IMAGENET,
        ]
        return _options(RandomWindow(16, 4, short="pad"), transforms, train=True)
    views = Views(16, 4, temporal=5, short="pad")
    return _options(views, [Resize(short_side=224), ThreeCrop(224), _IMAGENET], train=False)


def tsn(train: bool) -> dict[str, Any]:
    """Return the options of temporal segment networks on RGB frames (Wang et al., 2016).

    Training: a random frame from each of 3 parts of a video; a square of random scale and place, scaled to
    224, mirrored with probability 0.5. Testing: the middles of 25 parts, 10 crops of 224 each.

    The parameters are those of yjxiong/tsn-pytorch at commit 2f0468e0, ``main.py``, ``dataset.py``,
    ``transforms.py`` and ``test_models.py``, with a ResNet. What differs:

    - The original draws width and height of the crop from neighbouring scales, and its place from 13. Here
      the crop is a square, and all places are equally likely.
    - Parts reach to the end of the video. In the original, up to 2 frames there are never drawn.
    - Videos of fewer frames than parts are padded by their last frame. The original takes the first frame.

    Parameters
    ----------
    train : bool
        Whether the options are those of training, or of testing.

    Returns
    -------
    dict of str to object
        The options `clips`, `transforms`, `shuffle` and `drop_last` of `ClipLoader`.

    Raises
    ------
    OptionError
        If `train` is no bool.

    Examples
    --------
    >>> loader = fc.ClipLoader(fc.open("frames/"), **fc.presets.tsn(train=True), batch_size=6, workers=0)
    >>> x, y = next(iter(loader))
    >>> x.shape, x.dtype
    ((6, 3, 224, 224, 3), dtype('float32'))
    """
    if checked_bool(train, "train"):
        crops = [MultiScaleCrop(224, (1.0, 0.875, 0.75, 0.66)), RandomFlip()]
        return {**_options(Segments(3), [*crops, _IMAGENET], train=True), "drop_last": False}
    crops = [Resize(short_side=256), TenCrop(224)]
    return _options(Segments(25, jitter=False), [*crops, _IMAGENET], train=False)


def _options(clips: ClipSampler, transforms: list[Any], *, train: bool) -> dict[str, Any]:
    return {"clips": clips, "transforms": transforms, "shuffle": train, "drop_last": train}
