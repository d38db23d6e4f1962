"""What `ImageDataGenerator` does to one frame at a time, and how it learns from data.

Its constructor sets the attributes; `augmentation` and `standardization` make of them the values that travel
to workers.
"""

from __future__ import annotations

import sys
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base.augmentation import Augmentation, Standardization
from fastclips.errors import OptionError
from fastclips.functions import UserFunction
from fastclips.options import checked_int

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Settings", "keras_setting", "pair", "pair_around_one", "warn_channels"]

_FRAME_AXES, _BATCH_AXES, _CLIP_AXES = 3, 4, 5
_PICTURE_CHANNELS = (1, 3, 4)


class Settings:
    """The settings of an `ImageDataGenerator`, and what they do."""

    featurewise_center: bool
    featurewise_std_normalization: bool
    samplewise_center: bool
    samplewise_std_normalization: bool
    zca_whitening: bool
    zca_epsilon: float
    rotation_range: float
    width_shift_range: float | Sequence[float]
    height_shift_range: float | Sequence[float]
    brightness_range: tuple[float, float] | None
    shear_range: float
    zoom_range: tuple[float, float]
    channel_shift_range: float
    fill_mode: str
    cval: float
    horizontal_flip: bool
    vertical_flip: bool
    interpolation_order: int
    rescale: float | None
    preprocessing_function: Callable[[Any], Any] | None
    data_format: str
    dtype: str
    channel_axis: int
    row_axis: int
    col_axis: int
    mean: Any
    std: Any
    zca_whitening_matrix: Any

    def _settle_conflicts(self) -> None:
        if self.zca_whitening and self.featurewise_std_normalization:
            self.featurewise_std_normalization = False
            _warn("zca_whitening stands in for featurewise_std_normalization, which is left out")
        if self.zca_whitening and not self.featurewise_center:
            self.featurewise_center = True
            _warn("zca_whitening includes featurewise_center, which is now on")
        if self.featurewise_std_normalization and not self.featurewise_center:
            self.featurewise_center = True
            _warn("featurewise_std_normalization includes featurewise_center, which is now on")
        if self.samplewise_std_normalization and not self.samplewise_center:
            self.samplewise_center = True
            _warn("samplewise_std_normalization includes samplewise_center, which is now on")

    @property
    def channels_first(self) -> bool:
        """Whether frames are (C, H, W)."""
        return self.data_format == "channels_first"

    @property
    def augmentation(self) -> Augmentation:
        """What is random, as a value."""
        return Augmentation(
            self.rotation_range,
            self.width_shift_range,
            self.height_shift_range,
            self.brightness_range,
            self.shear_range,
            self.zoom_range,
            self.channel_shift_range,
            self.fill_mode,
            self.cval,
            bool(self.horizontal_flip),
            bool(self.vertical_flip),
            self.interpolation_order,
        )

    def standardization(self, *, warn: bool = False) -> Standardization:
        """Return what is done to values at last, as a value; what is not fitted yet is left out."""
        wanted = {
            "featurewise_center": (self.featurewise_center, self.mean),
            "featurewise_std_normalization": (self.featurewise_std_normalization, self.std),
            "zca_whitening": (self.zca_whitening, self.zca_whitening_matrix),
        }
        missing = [name for name, (on, fitted) in wanted.items() if on and fitted is None]
        if warn and missing:
            _warn(f"{' and '.join(missing)} is left out: fit the generator first, by generator.fit(x)")
        mean, std, matrix = (fitted if on else None for on, fitted in wanted.values())
        return Standardization(
            self._function,
            self.rescale,
            self.samplewise_center,
            self.samplewise_std_normalization,
            mean,
            std,
            matrix,
        )

    @property
    def _function(self) -> UserFunction | None:
        given = self.preprocessing_function
        return UserFunction(given, "preprocessing_function") if given else None

    def check_fitted(self, shape: tuple[int, ...]) -> None:
        """Refuse what was fitted on frames of another shape.

        Parameters
        ----------
        shape : tuple of int
            Of a frame.

        Raises
        ------
        OptionError
            If it does not fit.
        """
        matrix = self.zca_whitening_matrix if self.zca_whitening else None
        if matrix is not None and len(matrix) != int(np.prod(shape)):
            raise OptionError(
                f"zca_whitening was fitted on frames of {len(matrix)} values, but these have {shape}: fit "
                "the generator on frames of this size"
            )
        for name, fitted in (("mean", self.mean), ("std", self.std)):
            try:
                fits = fitted is None or np.broadcast_shapes(np.shape(fitted), shape) == shape
            except ValueError:
                fits = False
            if not fits:
                raise OptionError(f"{name} of shape {np.shape(fitted)} does not fit frames of {shape}")

    # --- one frame at a time

    def get_random_transform(self, img_shape: Sequence[int], seed: int | None = None) -> dict[str, Any]:
        """Draw what is done to a frame.

        Parameters
        ----------
        img_shape : sequence of int
            Of the frame, in this generator's data format.
        seed : int, optional
            Equal seeds give equal draws; those of Keras after ``numpy.random.seed(seed)``.

        Returns
        -------
        dict
            ``theta``, ``tx``, ``ty``, ``shear``, ``zx``, ``zy``, ``flip_horizontal``, ``flip_vertical``,
            ``channel_shift_intensity`` and ``brightness``.
        """
        random = self._random if seed is None else np.random.RandomState(seed)
        return self.augmentation.draw(random, img_shape[self.row_axis - 1], img_shape[self.col_axis - 1])

    @cached_property
    def _random(self) -> np.random.RandomState:
        return np.random.RandomState()

    def apply_transform(self, x: NDArray[Any], transform_parameters: Mapping[str, Any]) -> NDArray[Any]:
        """Do to a frame what was drawn.

        Parameters
        ----------
        x : ndarray
            (H, W, C), or (C, H, W) if the generator is so; not changed.
        transform_parameters : mapping
            From `get_random_transform`; what is missing is not done.

        Returns
        -------
        ndarray
            Of the same shape.
        """
        x = np.asarray(x)
        if x.ndim != _FRAME_AXES:
            raise OptionError(f"x of shape {x.shape}: must be one frame, with 3 axes")
        frame = np.moveaxis(x, 0, -1) if self.channels_first else x
        done = self.augmentation.apply(frame, transform_parameters)
        done = np.moveaxis(done, -1, 0) if self.channels_first else done
        return done.copy() if np.may_share_memory(done, x) else done

    def random_transform(self, x: NDArray[Any], seed: int | None = None) -> NDArray[Any]:
        """Draw, and do it: `get_random_transform`, then `apply_transform`."""
        return self.apply_transform(x, self.get_random_transform(np.shape(x), seed))

    def standardize(self, x: NDArray[Any]) -> NDArray[Any]:
        """Standardise a frame or a batch, in place where that can be.

        Parameters
        ----------
        x : ndarray
            Of float; copy it first if it is still needed.

        Returns
        -------
        ndarray
        """
        return self.standardization(warn=True).apply(x, float(self._random.random_sample()))

    def fit(self, x: ArrayLike, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Learn mean, standard deviation and ZCA matrix from samples.

        Parameters
        ----------
        x : array_like
            Frames (N, H, W, C), or clips (N, T, H, W, C); lists of them are fine.
        augment : bool
            Whether to learn from augmented frames.
        rounds : int
            How often each frame is augmented.
        seed : int, optional
            For augmenting.

        Raises
        ------
        OptionError
            If `x` has other axes.
        """
        try:
            given = np.asarray(x, self.dtype)
        except ValueError as error:
            raise OptionError(f"x: its frames have different shapes ({error}); resize them to one") from error
        if given.ndim == _CLIP_AXES:
            given = given.reshape(-1, *given.shape[2:])
        if given.ndim != _BATCH_AXES:
            raise OptionError(f"x of shape {given.shape}: must have 4 axes, (N, H, W, C), or 5 with time")
        warn_channels(given.shape, self.channel_axis, self.data_format)
        data = given.astype(self.dtype, copy=True)
        if self.rescale:
            data *= self.rescale
        if augment:
            random = self._random if seed is None else np.random.RandomState(seed)
            rounds = checked_int(rounds, "rounds", 1)
            axes = data.shape[self.row_axis], data.shape[self.col_axis]
            augmented = np.zeros((rounds * len(data), *data.shape[1:]), data.dtype)
            for number in range(len(augmented)):
                drawn = self.augmentation.draw(random, *axes)
                augmented[number] = self.apply_transform(data[number % len(data)], drawn)
            data = augmented
        along = (0, self.row_axis, self.col_axis)
        shape = [1, 1, 1]
        shape[self.channel_axis - 1] = data.shape[self.channel_axis]
        if self.featurewise_center:
            self.mean = np.reshape(np.mean(data, axis=along), shape)
            data -= self.mean
        if self.featurewise_std_normalization:
            self.std = np.reshape(np.std(data, axis=along), shape)
            data /= self.std + 1e-6
        if self.zca_whitening:
            flat = np.reshape(data, (len(data), -1))
            u, s, _ = np.linalg.svd(flat.T, full_matrices=False)
            self.zca_whitening_matrix = (u * (np.sqrt(len(data)) / (s + self.zca_epsilon))).dot(u.T)


def warn_channels(shape: tuple[int, ...], axis: int, data_format: str) -> None:
    """Warn of frames that cannot be pictures."""
    if shape[axis] not in _PICTURE_CHANNELS:
        _warn(
            f"frames of shape {shape[1:]} have {shape[axis]} channels with data_format={data_format!r}, "
            "where pictures have 1, 3 or 4"
        )


def keras_setting(name: str, default: str) -> str:
    """Return a setting of the Keras that is imported."""
    for package in ("keras", "tf_keras"):
        backend = getattr(sys.modules.get(package), "backend", None)
        if hasattr(backend, name):
            return str(getattr(backend, name)())
    return default


def pair(value: Any, name: str) -> tuple[float, float]:  # noqa: ANN401 - the user's
    """Return an option that is a pair of numbers."""
    numbers = tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else ()
    if len(numbers) != 2 or not all(isinstance(number, (float, int, np.number)) for number in numbers):  # noqa: PLR2004 - from, to
        raise OptionError(f"{name}={value!r}: must be two numbers")
    return numbers


def pair_around_one(value: Any) -> tuple[float, float]:  # noqa: ANN401 - as above
    """Return ``zoom_range`` as a pair; one number z means (1 - z, 1 + z)."""
    if isinstance(value, (float, int, np.number)):
        return (1 - value, 1 + value)
    return pair(value, "zoom_range")


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)
