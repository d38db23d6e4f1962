"""Augmentation of clips by any object with the methods of Keras's `ImageDataGenerator`."""

from __future__ import annotations

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
    """Return a value that augments in workers as an object with these two methods does.

    Returns
    -------
    Augmentation or UserFunction
        An Augmentation for an ImageDataGenerator of Keras or compat, so that workers need no Keras; else
        `augmented` for the object.

    Raises
    ------
    OptionError
        If a method is missing, or the object is made for channels first.
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
                f"transformation= with data_format={transformation.data_format!r}: must be channels_last, as "
                "frames of videos are"
            )
        return Augmentation.of(transformation)
    return UserFunction(partial(augmented, transformation), "transformation")


def augmented(transformation: Any, clip: NDArray[np.uint8]) -> NDArray[np.float32]:  # noqa: ANN401 - the user's
    """Draw once from NumPy's global generator and augment every frame of a clip, (T, H, W, C) float32.

    Raises
    ------
    OptionError
        If the shape of a frame changes.
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
                f"transformation={transformation!r}: must keep the shape {into.shape} of a frame, and "
                f"returned {changed.shape}"
            )
        into[...] = changed
    return out
