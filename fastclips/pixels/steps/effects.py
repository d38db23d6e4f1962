"""Pixel steps that spoil a frame so that a model learns not to mind: noise, blur, boxes cut out.

They look at where a pixel stands, or at its neighbours, so each is a pass over the frame in float32. Values
are on the scale of bytes, 0 to 255; who runs the steps clips what comes out (`compiled`).

Noise is a sensor's: each frame of a clip gets its own, however strong it is for the whole clip. With
``fixed=True`` all frames of a clip get the same, as from dirt on the lens.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import check_chance, checked_bool, checked_int, checked_number, checked_range
from fastclips.pixels.ranges import pick
from fastclips.pixels.steps.base import PixelStep
from fastclips.pixels.steps.noise import normal_field, word_field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Blur", "Cutout", "GaussianNoise", "SaltAndPepper"]

_NO_BLUR = 0.05  # pixels: a neighbour weighs exp(-200)


@dataclass(frozen=True)
class GaussianNoise(PixelStep):
    """Add a number of a normal distribution to each value, another one in each channel.

    Parameters
    ----------
    std : float or (float, float)
        Standard deviation in levels, 0 to 255; of a pair, drawn uniformly from the first to the second.
    p : float
        Share of clips (of frames, with ``per="frame"``) on which it acts.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip share `std`, or each has its own.
    fixed : bool
        Whether all frames of a clip get the same noise.
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
        """Apply to a frame, (H, W, C) on the scale of bytes, which is overwritten."""
        noise = normal_field(draws[1], 0 if self.fixed else number, frame.shape)
        low, high = self.std  # type: ignore[misc]  # a pair
        noise *= np.float32(pick(low, high, draws[0]))
        frame += noise
        return frame


@dataclass(frozen=True)
class SaltAndPepper(PixelStep):
    """Make some pixels white and as many black, in all channels.

    Parameters
    ----------
    share : float or (float, float)
        Of the pixels, 0 to 1, white and black ones together; of a pair, drawn uniformly from the first to the
        second.
    p : float
        Share of clips (of frames, with ``per="frame"``) on which it acts.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip have one `share`, or each has its own.
    fixed : bool
        Whether it is the same pixels in all frames of a clip.
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
        """Apply to a frame, (H, W, C) on the scale of bytes, which is overwritten."""
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
    """Weigh each pixel's neighbours by a Gaussian, cut off at 3 `sigma`; the frame is mirrored at its border.

    Parameters
    ----------
    sigma : float or (float, float)
        Standard deviation in pixels, 0 (no blur) to 100; of a pair, drawn uniformly from the first to the
        second.
    p : float
        Share of clips (of frames, with ``per="frame"``) on which it acts.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip share `sigma`, or each has its own.
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
        number: int,  # noqa: ARG002 - protocol
    ) -> NDArray[np.float32]:
        """Apply to a frame, (H, W, C) on the scale of bytes."""
        from fastclips.pixels.steps.filters import blur  # noqa: PLC0415 - OpenCV is the workers'

        low, high = self.sigma  # type: ignore[misc]  # a pair
        sigma = pick(low, high, draws[0])
        return blur(frame, sigma) if sigma > _NO_BLUR else frame


@dataclass(frozen=True)
class Cutout(PixelStep):
    """Fill boxes with one value, anywhere within the frame; they may overlap.

    Parameters
    ----------
    size : int or (int, int)
        Side, or (height, width), of the boxes in pixels.
    count : int
        How many, at most 64.
    value : float or (float, float, float)
        What fills them, 0 to 255: in all channels, or in red, green and blue. Gray takes one number.
    p : float
        Share of clips (of frames, with ``per="frame"``) on which it acts.
    per : {"clip", "frame"}
        What is drawn once: the frames of a clip have the same boxes, or each has its own.
    """

    kind = "frame"
    size: int | tuple[int, int]
    count: int = 1
    value: float | tuple[float, float, float] = 0.0
    _: KW_ONLY
    p: float = 1.0
    per: str = "clip"

    def __post_init__(self) -> None:
        pair = tuple(self.size) if isinstance(self.size, (tuple, list)) else (self.size, self.size)
        try:
            height, width = (checked_int(side, "", 1) for side in pair)
        except ValueError:
            raise OptionError(
                f"Cutout's size={self.size!r}: must be a positive int or (height, width)"
            ) from None
        object.__setattr__(self, "size", (height, width))
        object.__setattr__(self, "count", checked_int(self.count, "Cutout's count", 1, 65))
        if isinstance(self.value, (tuple, list)):
            value: object = tuple(checked_number(part, "Cutout's value", 0, 255) for part in self.value)
            if len(self.value) != 3:  # noqa: PLR2004 - red, green, blue
                raise OptionError(f"Cutout's value={self.value!r}: must be one number or three")
        else:
            value = checked_number(self.value, "Cutout's value", 0, 255)
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "draws", 2 * self.count)  # top and left of each box
        object.__setattr__(self, "needs_color", isinstance(value, tuple))
        check_chance(self)

    def check_frame(self, shape: tuple[int, ...]) -> None:
        """Refuse frames, (H, W, C), in which no box fits."""
        height, width = self.size  # type: ignore[misc]  # a pair
        if height > shape[0] or width > shape[1]:
            raise OptionError(
                f"Cutout of {height}x{width} (height x width) is larger than the frame's "
                f"{shape[0]}x{shape[1]} at that point; make it smaller"
            )

    def apply(
        self,
        frame: NDArray[np.float32],
        draws: Sequence[float],
        number: int,  # noqa: ARG002 - protocol
    ) -> NDArray[np.float32]:
        """Apply to a frame, (H, W, C) on the scale of bytes, which is overwritten."""
        height, width = self.size  # type: ignore[misc]  # a pair
        down, across = frame.shape[0] - height + 1, frame.shape[1] - width + 1
        for box in range(self.count):
            top = min(int(draws[2 * box] * down), down - 1)
            left = min(int(draws[2 * box + 1] * across), across - 1)
            frame[top : top + height, left : left + width] = self.value
        return frame


def _check_fixed(step: GaussianNoise | SaltAndPepper) -> None:
    check_chance(step)
    checked_bool(step.fixed, f"{type(step).__name__}'s fixed")
    if step.fixed and step.per == "frame":
        raise OptionError(
            f"{type(step).__name__} has fixed=True, the same noise in all frames, and per='frame', another "
            "in each: choose one"
        )
