"""Size, channels and interpolation of the frames that files become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastclips.errors import OptionError
from fastclips.options import checked_int

__all__ = ["CHANNELS", "Picture", "checked_size"]

CHANNELS = {"rgb": 3, "rgba": 4, "grayscale": 1}  # by color_mode


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


def checked_size(value: Any, name: str, *, square: bool = False) -> tuple[int, int]:  # noqa: ANN401 - the user's
    """Return a height and a width.

    Parameters
    ----------
    value : object
        A sequence of two integers; with `square`, also one integer for both.
    name : str
        Name of the option, for messages.
    square : bool
        Whether one integer will do.

    Raises
    ------
    OptionError
        If it is something else, or below 1.
    """
    try:
        height, width = (value, value) if square and hasattr(value, "__index__") else value
        return checked_int(height, name, 1), checked_int(width, name, 1)
    except (TypeError, ValueError):  # OptionError is a ValueError
        either = "an integer from 1 up, or " if square else ""
        raise OptionError(
            f"{name}={value!r}: must be {either}(height, width) in pixels, integers from 1 up"
        ) from None
