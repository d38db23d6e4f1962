"""Size, channels and interpolation of the frames that files become."""

from __future__ import annotations

from dataclasses import dataclass

from fastclips.errors import OptionError
from fastclips.options import checked_int

__all__ = ["CHANNELS", "FILTERS", "Picture", "checked_channels"]

CHANNELS = {"rgb": 3, "rgba": 4, "grayscale": 1}  # by color_mode
FILTERS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")  # Pillow's, for resizing


@dataclass(frozen=True)
class Picture:
    """How a file becomes a frame.

    Parameters
    ----------
    size : (int, int)
        Height and width.
    color_mode : str
        One of `CHANNELS`.
    interpolation : str
        Name of the interpolation, in the words of the library that is replaced.
    aspect : {"crop", "pad"}, optional
        How the proportions are kept: by cutting out the largest box in the middle of the frame, or by zeros
        around the frame. By default, the frame is stretched.
    channels_first : bool
        Whether frames are (C, H, W).
    """

    size: tuple[int, int]
    color_mode: str = "rgb"
    interpolation: str = "nearest"
    aspect: str | None = None
    channels_first: bool = False

    @property
    def channels(self) -> int:
        """Channels of a frame."""
        return CHANNELS[self.color_mode]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of a frame, in the user's axes."""
        height, width = self.size
        return (self.channels, height, width) if self.channels_first else (height, width, self.channels)


def checked_channels(value: object, name: str) -> int:
    """Return a number of channels, 1 or 3."""
    channels = checked_int(value, name, 1, 4)
    if channels == 2:  # noqa: PLR2004 - gray with alpha
        raise OptionError(f"{name}={value!r}: must be 1 (gray) or 3 (RGB)")
    return channels
