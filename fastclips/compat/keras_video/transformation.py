"""What augments clips: whatever has the methods of Keras's `ImageDataGenerator` for it."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base.augmentation import Augmentation
from fastclips.errors import OptionError
from fastclips.functions import UserFunction

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["as_augmentation", "augmented"]

_PACKAGES = ("fastclips", "keras", "keras_preprocessing", "tensorflow", "tf_keras")


def as_augmentation(transformation: Any) -> Augmentation | UserFunction:  # noqa: ANN401 - the user's
    """Return what does the same in workers.

    Parameters
    ----------
    transformation : object
        With ``get_random_transform`` and ``apply_transform``.

    Returns
    -------
    Augmentation or UserFunction
        The first for Keras's own ImageDataGenerator, or that of compat, so that workers need no Keras; else
        `augmented`, for the object.

    Raises
    ------
    OptionError
        If it is no such thing, or made for channels first.
    """
    kind = type(transformation)
    if not (hasattr(transformation, "get_random_transform") and hasattr(transformation, "apply_transform")):
        raise OptionError(
            f"transformation={transformation!r}: must have get_random_transform and apply_transform, as "
            "fastclips.compat.ImageDataGenerator and Keras's have"
        )
    if kind.__name__ == "ImageDataGenerator" and kind.__module__.partition(".")[0] in _PACKAGES:
        if transformation.data_format != "channels_last":
            raise OptionError(
                f"transformation= has data_format={transformation.data_format!r}: frames of videos are "
                "channels_last"
            )
        return Augmentation(
            **{field.name: getattr(transformation, field.name) for field in fields(Augmentation)}
        )
    return UserFunction(partial(augmented, transformation), "transformation")


def augmented(transformation: Any, clip: NDArray[np.uint8]) -> NDArray[np.float32]:  # noqa: ANN401 - the user's
    """Draw once for a clip, from NumPy's global generator, and do it to every frame.

    Parameters
    ----------
    transformation : object
        With ``get_random_transform`` and ``apply_transform``.
    clip : ndarray of uint8, (T, H, W, C)
        Not changed.

    Returns
    -------
    ndarray of float32, (T, H, W, C)

    Raises
    ------
    OptionError
        If the shape comes out changed.
    """
    options = {}
    if "seed" in signature(transformation.get_random_transform).parameters:
        options["seed"] = np.random.randint(2**31)  # noqa: NPY002 - the global one is seeded for the clip
    drawn = transformation.get_random_transform(clip.shape[1:], **options)
    out = np.empty(clip.shape, np.float32)
    for frame, into in zip(clip, out, strict=True):
        changed = np.asarray(transformation.apply_transform(frame.astype(np.float32), drawn))
        if changed.shape != into.shape:
            raise OptionError(
                f"transformation={transformation!r} makes {changed.shape} of a frame of {into.shape}, whose "
                "shape it must keep"
            )
        into[...] = changed
    return out
