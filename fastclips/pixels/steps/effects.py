"""Pixel steps that degrade frames, so that a model learns to ignore it: noise, blur, boxes cut out or erased.

The result depends on a pixel's place or neighbours, so each is a pass over the frame in float32. Values are
on the scale of bytes, 0 to 255; the engine clips the results (`fastclips.pixels.steps.compiled`).

By default each frame of a clip has noise of its own, as from a sensor, of one strength for the clip. With
``fixed=True`` all frames of a clip have the same noise, as from dirt on the lens.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import (
    check_chance,
    checked_bool,
    checked_int,
    checked_number,
    checked_range,
    checked_size,
)
from fastclips.pixels.ranges import pick, pick_power
from fastclips.pixels.steps.base import PixelStep
from fastclips.pixels.steps.filters import blur
from fastclips.pixels.steps.noise import normal_field, word_field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Blur", "Cutout", "GaussianNoise", "RandomErasing", "SaltAndPepper"]

_TRIES = 10  # boxes of RandomErasing, of which the first that fits is taken
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as torchvision states them
_NO_BLUR = 0.05  # pixels: a neighbour weighs exp(-200)


@dataclass(frozen=True)
class GaussianNoise(PixelStep):
    """Add normally distributed noise, independent in each channel.

    Computes ``value + s * n``, with n of a standard normal distribution for each value and s uniform in the
    range `std`. A frame step.

    Parameters
    ----------
    std : float or (float, float)
        Standard deviation in levels of a byte, 0 to 255, or the range to draw it from.
    p : float
        Probability that the step acts on a clip (on a frame, with ``per="frame"``), 0 to 1.
    per : {"clip", "frame", "video"}
        Whether all frames of a clip share one `std`, each frame draws its own, or all clips of a
        video share one draw in each epoch.
    fixed : bool
        Whether all frames of a clip get the same noise.

    Examples
    --------
    >>> gray = np.full((64, 64, 3), 100, np.float32)
    >>> noisy = fc.GaussianNoise(8).apply(gray, [0.0, 0.5], 0)
    >>> round(float(noisy.mean())), round(float(noisy.std()))
    (100, 8)
    """

    kind = "frame"
    std: float | tuple[float, float]
    _: KW_ONLY
    p: float = 1.0
    per: str = "clip"
    fixed: bool = False
    draws = 2  # std, the field's key

    def __post_init__(self) -> None:
        object.__setattr__(self, "std", checked_range(self.std, "GaussianNoise's std", 0, 255))
        _check_fixed(self)

    def apply(self, frame: NDArray[np.float32], draws: Sequence[float], number: int) -> NDArray[np.float32]:
        """Change a frame, (H, W, C) on the scale of bytes, in place."""
        noise = normal_field(draws[1], 0 if self.fixed else number, frame.shape)
        low, high = self.std  # type: ignore[misc]  # a pair
        noise *= np.float32(pick(low, high, draws[0]))
        frame += noise
        return frame


@dataclass(frozen=True)
class SaltAndPepper(PixelStep):
    """Make some pixels white and as many black, in all channels.

    A pixel becomes 255 or 0 with probability s / 2 each, with s uniform in the range `share`. A frame step.

    Parameters
    ----------
    share : float or (float, float)
        Share of white and black pixels together, 0 to 1, or the range to draw it from.
    p : float
        Probability that the step acts on a clip (on a frame, with ``per="frame"``), 0 to 1.
    per : {"clip", "frame", "video"}
        Whether all frames of a clip share one `share`, each frame draws its own, or all clips of a
        video share one draw in each epoch.
    fixed : bool
        Whether it is the same pixels in all frames of a clip.

    Examples
    --------
    >>> gray = np.full((100, 100, 1), 100, np.float32)
    >>> spoilt = fc.SaltAndPepper(0.1).apply(gray, [0.0, 0.5], 0)
    >>> np.bincount(spoilt.astype(int).ravel())[[0, 100, 255]].round(-2)
    array([ 500, 9000,  500])
    """

    kind = "frame"
    share: float | tuple[float, float]
    _: KW_ONLY
    p: float = 1.0
    per: str = "clip"
    fixed: bool = False
    draws = 2  # share, the field's key

    def __post_init__(self) -> None:
        object.__setattr__(self, "share", checked_range(self.share, "SaltAndPepper's share", 0, 1))
        _check_fixed(self)

    def apply(self, frame: NDArray[np.float32], draws: Sequence[float], number: int) -> NDArray[np.float32]:
        """Change a frame, (H, W, C) on the scale of bytes, in place."""
        height, width, channels = frame.shape
        words = word_field(draws[1], 0 if self.fixed else number, (height * width,))
        low, high = self.share  # type: ignore[misc]  # a pair
        each = round(pick(low, high, draws[0]) * 2**31)
        pixels = frame.reshape(-1, channels)
        pixels[np.flatnonzero(words < each)] = 255
        pixels[np.flatnonzero(words > 2**32 - 1 - each)] = 0
        return frame


@dataclass(frozen=True)
class Blur(PixelStep):
    """Blur frames by a Gaussian.

    Each pixel becomes the mean of its neighbours with weights ``exp(-d**2 / (2 * sigma**2))`` of the distance
    d along each axis, cut off at ``3 * sigma``, with sigma uniform in its range. The frame is mirrored at its
    border, without repeating the border. Below 0.05 nothing is blurred: a neighbour would weigh exp(-200).
    A frame step.

    Parameters
    ----------
    sigma : float or (float, float)
        Standard deviation in pixels, 0 to 100, or the range to draw it from.
    p : float
        Probability that the step acts on a clip (on a frame, with ``per="frame"``), 0 to 1.
    per : {"clip", "frame", "video"}
        Whether all frames of a clip share one `sigma`, each frame draws its own, or all clips of a
        video share one draw in each epoch.

    Examples
    --------
    >>> line = np.array([[[0], [0], [90], [0], [0]]], np.float32)
    >>> fc.Blur((0.5, 1.5)).apply(line, [0.5], 0).ravel().round(1)
    array([ 9.7, 22.2, 35.9, 22.2,  9.7], dtype=float32)
    """

    kind = "frame"
    sigma: float | tuple[float, float]
    _: KW_ONLY
    p: float = 1.0
    per: str = "clip"
    draws = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigma", checked_range(self.sigma, "Blur's sigma", 0, 100))
        check_chance(self)

    def apply(
        self,
        frame: NDArray[np.float32],
        draws: Sequence[float],
        number: int,  # noqa: ARG002 - PixelStep's
    ) -> NDArray[np.float32]:
        """Return the result for a frame, (H, W, C) on the scale of bytes."""
        low, high = self.sigma  # type: ignore[misc]  # a pair
        sigma = pick(low, high, draws[0])
        return blur(frame, sigma) if sigma > _NO_BLUR else frame


@dataclass(frozen=True)
class Cutout(PixelStep):
    """Fill boxes with one value.

    The boxes lie anywhere inside the frame, uniformly, and may overlap. A frame step.

    Parameters
    ----------
    size : int or (int, int)
        Side, or (height, width), of the boxes in pixels.
    count : int
        Number of boxes, 1 to 64.
    value : float or (float, float, float)
        What fills the boxes, 0 to 255: one number for all channels, or red, green and blue.
    p : float
        Probability that the step acts on a clip (on a frame, with ``per="frame"``), 0 to 1.
    per : {"clip", "frame", "video"}
        Whether all frames of a clip share the boxes, each frame draws its own, or all clips of a
        video share one draw in each epoch.

    Examples
    --------
    >>> frame = np.full((2, 5, 1), 7, np.float32)
    >>> fc.Cutout((1, 2)).apply(frame, [0.9, 0.3], 0)[..., 0]
    array([[7., 7., 7., 7., 7.],
           [7., 0., 0., 7., 7.]], dtype=float32)
    """

    kind = "frame"
    size: int | tuple[int, int]
    count: int = 1
    value: float | tuple[float, float, float] = 0.0
    _: KW_ONLY
    p: float = 1.0
    per: str = "clip"

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", checked_size(self.size, "Cutout's size"))
        object.__setattr__(self, "count", checked_int(self.count, "Cutout's count", 1, 65))
        value = _checked_value(self.value, "Cutout")
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "draws", 2 * self.count)  # top and left of each box
        object.__setattr__(self, "needs_color", isinstance(value, tuple))
        check_chance(self)

    def check_frame(self, shape: tuple[int, ...]) -> None:
        """Raise `OptionError` if the boxes are larger than frames of a shape, (H, W, C)."""
        height, width = self.size  # type: ignore[misc]  # a pair
        if height > shape[0] or width > shape[1]:
            raise OptionError(
                f"Cutout's size={self.size}: must not be larger than the frame's {shape[0]}x{shape[1]} "
                "(height x width) at that point; make it smaller"
            )

    def apply(
        self,
        frame: NDArray[np.float32],
        draws: Sequence[float],
        number: int,  # noqa: ARG002 - PixelStep's
    ) -> NDArray[np.float32]:
        """Change a frame, (H, W, C) on the scale of bytes, in place."""
        height, width = self.size  # type: ignore[misc]  # a pair
        down, across = frame.shape[0] - height + 1, frame.shape[1] - width + 1
        for box in range(self.count):
            top = min(int(draws[2 * box] * down), down - 1)
            left = min(int(draws[2 * box + 1] * across), across - 1)
            frame[top : top + height, left : left + width] = self.value
        return frame


@dataclass(frozen=True)
class RandomErasing(PixelStep):
    """Fill a box of random area, aspect and position: random erasing of Zhong et al.

    The box is drawn as in torchvision: up to 10 times, until its sides are shorter than those of the frame;
    if none is, nothing is erased. All frames of a clip share the box. A frame step.

    torchvision and timm erase after they standardise. This step works on bytes, so it stands before
    `Normalize`: the values are on the scale of bytes. ``value="random"`` is normally distributed noise of the
    mean and the standard deviation of ImageNet, which `Normalize` of the same numbers makes standard normal
    noise, but cut off at black and white. Each pixel has noise of its own, in each frame.

    Parameters
    ----------
    p : float
        Probability that the step acts on a clip (on a frame, with ``per="frame"``), 0 to 1.
    area : float or (float, float)
        Area of the box as a share of the frame, above 0 and at most 1; from a pair, drawn uniformly.
    aspect : float or (float, float)
        Height of the box over its width, 0.01 to 100; from a pair, drawn so that its logarithm is uniform.
    value : float, (float, float, float) or "random"
        What fills the box, 0 to 255: one number for all channels, or red, green and blue; or noise.
    per : {"clip", "frame", "video"}
        Whether all frames of a clip share the box, each frame draws its own, or all clips of a
        video share one draw in each epoch.

    Examples
    --------
    >>> frame = np.full((4, 6, 1), 7, np.float32)
    >>> step = fc.RandomErasing(p=1, area=0.25, aspect=1.5)
    >>> step.apply(frame, [0.0] * 20 + [0.5, 0.9, 0.0], 0)[..., 0]
    array([[7., 7., 7., 7., 7., 7.],
           [7., 7., 7., 7., 0., 0.],
           [7., 7., 7., 7., 0., 0.],
           [7., 7., 7., 7., 0., 0.]], dtype=float32)
    """

    kind = "frame"
    p: float = 0.5
    area: float | tuple[float, float] = (0.02, 0.33)
    aspect: float | tuple[float, float] = (0.3, 3.3)
    value: float | tuple[float, float, float] | str = 0.0
    _: KW_ONLY
    per: str = "clip"
    draws = 2 * _TRIES + 3  # area and aspect of each box, top, left, the key of the noise

    def __post_init__(self) -> None:
        area = checked_range(self.area, "RandomErasing's area", 0, 1)
        if area[0] == 0:
            raise OptionError(f"RandomErasing's area={self.area!r}: must be above 0")
        object.__setattr__(self, "area", area)
        aspect = checked_range(self.aspect, "RandomErasing's aspect", 0.01, 100)
        object.__setattr__(self, "aspect", aspect)
        if self.value != "random":
            object.__setattr__(self, "value", _checked_value(self.value, "RandomErasing", " or 'random'"))
        object.__setattr__(self, "needs_color", isinstance(self.value, tuple))
        check_chance(self)

    def box(self, height: int, width: int, draws: Sequence[float]) -> tuple[int, int, int, int] | None:
        """Return top, left, height and width of the box in a frame of a size; None if no box fits."""
        for attempt in range(_TRIES):
            share, ratio = draws[2 * attempt : 2 * attempt + 2]
            low, high = self.area  # type: ignore[misc]  # a pair
            area = pick(low, high, share) * height * width
            low, high = self.aspect  # type: ignore[misc]  # a pair
            aspect = pick_power(low, high, ratio)
            tall, wide = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if tall < height and wide < width:
                top, left = draws[2 * _TRIES : 2 * _TRIES + 2]
                return int(top * (height - tall + 1)), int(left * (width - wide + 1)), tall, wide
        return None

    def apply(self, frame: NDArray[np.float32], draws: Sequence[float], number: int) -> NDArray[np.float32]:
        """Change a frame, (H, W, C) on the scale of bytes, in place."""
        box = self.box(frame.shape[0], frame.shape[1], draws)
        if box is not None:
            top, left, tall, wide = box
            inside = frame[top : top + tall, left : left + wide]
            if self.value == "random":
                mean, std = (np.array(numbers, np.float32) for numbers in (_MEAN, _STD))
                if len(mean) != frame.shape[2]:
                    mean, std = mean.mean(), std.mean()
                inside[...] = 255 * (mean + std * normal_field(draws[-1], number, inside.shape))
            else:
                inside[...] = self.value
        return frame


def _checked_value(value: object, owner: str, instead: str = "") -> float | tuple[float, ...]:
    """Return a value of pixels: a number from 0 to 255, or three."""
    if not isinstance(value, (tuple, list)):
        return checked_number(value, f"{owner}'s value", 0, 255)
    if len(value) != 3:  # noqa: PLR2004 - red, green, blue
        raise OptionError(f"{owner}'s value={value!r}: must be one number or three{instead}")
    return tuple(checked_number(part, f"{owner}'s value", 0, 255) for part in value)


def _check_fixed(step: GaussianNoise | SaltAndPepper) -> None:
    check_chance(step)
    checked_bool(step.fixed, f"{type(step).__name__}'s fixed")
    if step.fixed and step.per == "frame":
        raise OptionError(
            f"{type(step).__name__}'s fixed=True: all frames share the noise, but per='frame' draws it for "
            "each: choose one"
        )
