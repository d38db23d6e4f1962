"""Keras's functions for single pictures: `load_img`, `img_to_array` and `array_to_img`."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base.keras import checked_data_format, keras_setting
from fastclips.compat._base.pictures import CHANNELS, FILTERS, Picture
from fastclips.compat._base.warn import warn
from fastclips.errors import FrameError, OptionError
from fastclips.options import checked_bool, checked_choice, checked_size

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray
    from PIL import Image

__all__ = ["PictureError", "array_to_img", "img_to_array", "load_img"]

_AXES = 3  # of a picture
_CHANNELS = tuple(sorted(CHANNELS.values()))


class PictureError(FrameError, OSError):
    """A file is no picture: a `fastclips.FrameError` that is also an OSError, as Pillow's are."""


def load_img(
    path: str | os.PathLike[str] | bytes | BytesIO,
    color_mode: str = "rgb",
    target_size: int | tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
    *,
    grayscale: bool = False,
) -> Image.Image:
    """Read a picture, as Keras's function of this name does.

    Parameters
    ----------
    path : path or BytesIO
        The file, of any format that Pillow reads.
    color_mode : {"rgb", "rgba", "grayscale"}
        3, 4 or 1 channels. Gray pictures of 16 and 32 bits keep their depth with ``"grayscale"``.
    target_size : int or (int, int), optional
        Side, or height and width, in pixels; by default the picture's own.
    interpolation : {"nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"}
        Pillow's filter for resizing.
    keep_aspect_ratio : bool
        Whether to cut out the middle of the picture, in the proportions of the target, before resizing.
    grayscale : bool
        Old name of ``color_mode="grayscale"``.

    Returns
    -------
    PIL.Image.Image
        The picture, decoded.

    Raises
    ------
    OptionError
        If an argument is out of range.
    OSError
        If the file cannot be read.
    PictureError
        If the file cannot be decoded; it is a `fastclips.FrameError` and an OSError.

    Examples
    --------
    >>> image = fc.compat.load_img("frames/class_0/video_0/frame_00001.jpg", target_size=(32, 40))
    >>> image.size, fc.compat.img_to_array(image).shape
    ((40, 32), (32, 40, 3))
    """
    if checked_bool(grayscale, "grayscale"):
        warn("grayscale=True is now called color_mode='grayscale'", DeprecationWarning)
        color_mode = "grayscale"
    checked_choice(color_mode, "color_mode", tuple(CHANNELS))
    checked_choice(interpolation, "interpolation", FILTERS)
    aspect = "crop" if checked_bool(keep_aspect_ratio, "keep_aspect_ratio") else None
    picture = None
    if target_size is not None:
        picture = Picture(checked_size(target_size, "target_size"), color_mode, interpolation, aspect)
    if isinstance(path, BytesIO):
        name, data = repr(path), path.read()
    elif isinstance(path, (str, bytes, os.PathLike)):
        name = os.fsdecode(path)
        data = Path(name).read_bytes()
    else:
        raise OptionError(f"path={path!r}: must be a path or an io.BytesIO")
    from fastclips.compat._base import legacy_pictures  # noqa: PLC0415 - imports Pillow

    try:
        return legacy_pictures.opened(data, color_mode, picture)
    except FrameError as error:
        raise PictureError(f"{name} {error}", path=name, reason=str(error)) from error


def img_to_array(img: Any, data_format: str | None = None, dtype: DTypeLike | None = None) -> NDArray[Any]:  # noqa: ANN401 - whatever NumPy takes
    """Return a picture as an array, as Keras's function of this name does.

    Parameters
    ----------
    img : PIL.Image.Image or array_like
        The picture.
    data_format : {"channels_last", "channels_first"}, optional
        Order of axes; by default Keras's setting.
    dtype : dtype, optional
        Dtype of the array; by default Keras's ``floatx``.

    Returns
    -------
    ndarray
        (H, W, C) or (C, H, W); gray pictures have an axis of one channel.

    Raises
    ------
    OptionError
        If `img` has neither 2 nor 3 axes, or `data_format` is unknown.

    Examples
    --------
    >>> image = fc.compat.array_to_img(np.zeros((2, 3, 1)))
    >>> fc.compat.img_to_array(image).shape
    (2, 3, 1)
    """
    first = checked_data_format(data_format) == "channels_first"
    pixels = np.asarray(img, keras_setting("floatx", "float32") if dtype is None else dtype)
    if pixels.ndim == _AXES - 1:
        return pixels[None] if first else pixels[:, :, None]
    if pixels.ndim != _AXES:
        raise OptionError(f"img of shape {pixels.shape}: must be a picture, (H, W) or (H, W, C)")
    return pixels.transpose(2, 0, 1) if first else pixels


def array_to_img(
    x: ArrayLike, data_format: str | None = None, scale: bool = True, dtype: DTypeLike | None = None
) -> Image.Image:
    """Return an array as a picture, as Keras's function of this name does.

    Parameters
    ----------
    x : array_like
        (H, W, C) or (C, H, W), with 1, 3 or 4 channels.
    data_format : {"channels_last", "channels_first"}, optional
        Order of axes; by default Keras's setting.
    scale : bool
        Whether values are stretched, so that the smallest is 0 and the largest 255. Else they must be 0 to
        255.
    dtype : dtype, optional
        Dtype to compute in; by default Keras's ``floatx``.

    Returns
    -------
    PIL.Image.Image
        Gray, RGB or RGBA. Gray values above 255 give a picture of 32 bits.

    Raises
    ------
    OptionError
        If `x` is no picture, or `data_format` is unknown.

    Examples
    --------
    >>> x, y = next(fc.compat.ImageDataGenerator().flow(np.eye(4)[None, :, :, None], y=[0], workers=0))
    >>> image = fc.compat.array_to_img(x[0])
    >>> image.mode, image.size, image.getextrema()
    ('L', (4, 4), (0, 255))
    """
    first = checked_data_format(data_format) == "channels_first"
    values = np.asarray(x, keras_setting("floatx", "float32") if dtype is None else dtype)
    frame = values.transpose(1, 2, 0) if first and values.ndim == _AXES else values
    if frame.ndim != _AXES or frame.shape[2] not in _CHANNELS:
        axes = "(C, H, W)" if first else "(H, W, C)"
        raise OptionError(f"x of shape {values.shape}: must be one picture, {axes} with C = 1, 3 or 4")
    from fastclips.compat._base import legacy_pictures  # noqa: PLC0415 - imports Pillow

    return legacy_pictures.image_of(legacy_pictures.stretched(frame) if scale else frame)
