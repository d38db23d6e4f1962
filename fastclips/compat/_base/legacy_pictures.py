"""Pictures as Keras's generators read and write them, by the same calls of Pillow."""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from fastclips.errors import FrameError, OptionError

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from fastclips.compat._base.pictures import Picture

__all__ = ["COLOR_MODES", "centre_box", "image_of", "load", "opened", "resize", "save", "stretched"]

COLOR_MODES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}
_GRAYS = ("L", "I;16", "I")  # modes that "grayscale" keeps
_BYTE = 255


def centre_box(height: int, width: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the largest box in the middle of a frame with the proportions of (height, width) `size`.

    Left, top, right and bottom are rounded as in Keras.
    """
    tall = min(height, width * size[0] // size[1])
    wide = min(width, height * size[1] // size[0])
    top, left = (height - tall) // 2, (width - wide) // 2
    return left, top, left + wide, top + tall


def opened(data: bytes, color_mode: str, picture: Picture | None = None) -> Image.Image:
    """Decode a file of any format that Pillow knows, and resize it.

    Parameters
    ----------
    data : bytes
        The file.
    color_mode : str
        One of `COLOR_MODES`. Gray pictures of more than 8 bits keep their mode.
    picture : Picture, optional
        The size, and a filter of Pillow, in lower case; ``aspect="crop"`` cuts out `centre_box` first. None
        keeps the size of the file.

    Raises
    ------
    FrameError
        If it cannot be decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, on lost transparency and odd but readable files
            image: Image.Image = Image.open(BytesIO(data))
            mode = COLOR_MODES[color_mode]
            if image.mode != mode and not (mode == "L" and image.mode in _GRAYS):
                image = image.convert(mode)
            image.load()
            return _resized(image, picture) if picture else image
    except Exception as error:  # damage may raise anything in Pillow
        raise FrameError(f"is no picture, or truncated or damaged ({len(data)} bytes): {error}") from error


def load(data: bytes, color_mode: str, picture: Picture | None = None) -> Any:  # noqa: ANN401 - NDArray of whichever dtype
    """Return `opened` as an array (H, W, C), uint8; int32 or uint16 for gray pictures of more than 8 bits."""
    pixels = np.asarray(opened(data, color_mode, picture))
    return pixels.reshape(*pixels.shape[:2], -1)


def resize(pixels: NDArray[np.uint8], picture: Picture) -> NDArray[np.uint8]:
    """Resize a decoded frame of 1 or 3 channels, as `load` does."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    resized = np.asarray(_resized(image, picture))
    return resized.reshape(*resized.shape[:2], -1)


def _resized(image: Image.Image, picture: Picture) -> Image.Image:
    height, width = picture.size
    if image.size == (width, height):
        return image
    box = centre_box(image.height, image.width, picture.size) if picture.aspect == "crop" else None
    return image.resize((width, height), Image.Resampling[picture.interpolation.upper()], box=box)


def stretched(values: NDArray[Any]) -> NDArray[Any]:
    """Return values stretched to 0 to 255; equal values are 0."""
    values = values - values.min()
    most = values.max()
    return (values / most if most != 0 else values) * _BYTE


def image_of(values: NDArray[Any]) -> Image.Image:
    """Return a frame (H, W, C), C of 1, 3 or 4, as a picture; gray values above 255 as one of 32 bits."""
    deep = values.shape[2] == 1 and values.max() > _BYTE
    pixels = values.astype(np.int32 if deep else np.uint8)
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def save(frame: NDArray[Any], path: str | os.PathLike[str]) -> None:
    """Write a frame (H, W, C) as a picture, its values stretched to 0 to 255, as Keras's ``save_to_dir``.

    Raises
    ------
    OptionError
        If C is not 1, 3 or 4, or the extension of the path is not that of a format.
    """
    values = np.asarray(frame, np.float32)
    if values.ndim != 3 or values.shape[2] not in (1, 3, 4):  # noqa: PLR2004 - rows, columns, channels
        raise OptionError(
            f"save_to_dir= with frames of shape {values.shape}: must be (H, W, C) with C = 1, 3 or 4"
        )
    try:
        image_of(stretched(values)).save(path)
    except (KeyError, ValueError, OSError) as error:
        raise OptionError(f"save_to_dir=: cannot write {str(path)!r}: {error}") from error
