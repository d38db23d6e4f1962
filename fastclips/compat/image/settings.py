"""Settings of an `ImageDataGenerator`: its options, their effect on one frame, and its statistics.

`Settings.augmentation` and `Settings.standardization` return the options as values that travel to workers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base.augmentation import Augmentation, Standardization
from fastclips.compat._base.folders import checked_fraction
from fastclips.compat._base.keras import checked_data_format, keras_setting
from fastclips.compat._base.warn import warn
from fastclips.compat.image.sampling import Sampling
from fastclips.errors import OptionError
from fastclips.functions import UserFunction
from fastclips.options import checked_choice, checked_int

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    _Range = float | Sequence[float]

__all__ = ["Settings", "warn_channels"]

_FRAME, _PICTURES, _CLIPS = 3, 4, 5  # axes
_PICTURE_CHANNELS = (1, 3, 4)
_FILL_MODES = (
    "nearest",
    "constant",
    "reflect",
    "wrap",
    "mirror",
    "grid-constant",
    "grid-mirror",
    "grid-wrap",
)  # from the fifth on by SciPy
_INCLUDED = {
    "zca_whitening": "featurewise_center",
    "featurewise_std_normalization": "featurewise_center",
    "samplewise_std_normalization": "samplewise_center",
}


@dataclass(eq=False, repr=False)
class Settings:
    """Options of `ImageDataGenerator`, in Keras's order, and their effects."""

    featurewise_center: bool = False
    samplewise_center: bool = False
    featurewise_std_normalization: bool = False
    samplewise_std_normalization: bool = False
    zca_whitening: bool = False
    zca_epsilon: float = 1e-6
    rotation_range: float = 0
    width_shift_range: _Range = 0.0
    height_shift_range: _Range = 0.0
    brightness_range: Sequence[float] | None = None
    shear_range: float = 0.0
    zoom_range: _Range = 0.0
    channel_shift_range: float = 0.0
    fill_mode: str = "nearest"
    cval: float = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False
    rescale: float | None = None
    preprocessing_function: Callable[[Any], Any] | None = None
    data_format: str | None = None
    validation_split: float = 0.0
    interpolation_order: int = 1
    dtype: DTypeLike | None = None
    time_steps: int | None = field(default=None, kw_only=True)
    mean: Any = field(default=None, init=False)
    std: Any = field(default=None, init=False)
    zca_whitening_matrix: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        for name in ("rotation_range", "shear_range", "channel_shift_range", "rescale"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, Real):
                raise OptionError(f"{name}={value!r}: must be a number")
        zoom: Any = self.zoom_range
        self.zoom_range = _pair((1 - zoom, 1 + zoom) if isinstance(zoom, Real) else zoom, "zoom_range")
        if self.brightness_range is not None:
            self.brightness_range = _pair(self.brightness_range, "brightness_range")
        checked_choice(self.fill_mode, "fill_mode", _FILL_MODES)
        self.data_format = checked_data_format(self.data_format)
        self.dtype = np.dtype(keras_setting("floatx", "float32") if self.dtype is None else self.dtype).name
        self.channel_axis, self.row_axis, self.col_axis = (1, 2, 3) if self.channels_first else (3, 1, 2)
        self.validation_split = checked_fraction(self.validation_split, "validation_split")
        if self.time_steps is not None:
            self.time_steps = checked_int(self.time_steps, "time_steps", 1)
        if self.zca_whitening and self.featurewise_std_normalization:
            self.featurewise_std_normalization = False
            warn("zca_whitening=True replaces featurewise_std_normalization=True, which is off now")
        for name, center in _INCLUDED.items():
            if getattr(self, name) and not getattr(self, center):
                setattr(self, center, True)
                warn(f"{name}=True includes {center}=True, which is on now")

    @property
    def channels_first(self) -> bool:
        """Whether frames are (C, H, W)."""
        return self.data_format == "channels_first"

    @property
    def per_frame(self) -> bool:
        """Whether each frame of a clip of files is augmented on its own."""
        return False

    def sampling_of(self, class_mode: str | None) -> Sampling:  # noqa: ARG002 - a subclass looks at it
        """Return how samples are cut out of files."""
        return Sampling(flat=True) if self.time_steps is None else Sampling(self.time_steps)

    def steps_of(self, shape: tuple[int, ...]) -> int | None:
        """Return how many frames the clips of an array have; None for pictures. Refuse other axes."""
        steps = self.time_steps
        if steps is None and len(shape) != _PICTURES:
            clips = len(shape) == _CLIPS
            hint = f"; for clips give ImageDataGenerator(time_steps={shape[1]})" if clips else ""
            raise OptionError(f"x of shape {shape}: must have 4 axes, (N, H, W, C){hint}")
        if steps is not None and (len(shape) != _CLIPS or shape[1] != steps):
            raise OptionError(f"x of shape {shape}: must be (N, {steps}, H, W, C) with time_steps={steps}")
        return steps

    @property
    def augmentation(self) -> Augmentation:
        """The random part, as a value."""
        return Augmentation.of(self)

    def standardization(self, *, say: bool = False) -> Standardization:
        """Return the last part, as a value, without statistics that are not fitted; `say` warns of these."""
        wanted = {
            "featurewise_center": (self.featurewise_center, self.mean),
            "featurewise_std_normalization": (self.featurewise_std_normalization, self.std),
            "zca_whitening": (self.zca_whitening, self.zca_whitening_matrix),
        }
        missing = [name for name, (on, fitted) in wanted.items() if on and fitted is None]
        if say and missing:
            warn(f"{' and '.join(missing)} is left out: fit the generator first, by generator.fit(x)")
        mean, std, matrix = (fitted if on else None for on, fitted in wanted.values())
        given = self.preprocessing_function
        return Standardization(
            UserFunction(given, "preprocessing_function") if given else None,
            self.rescale,
            self.samplewise_center,
            self.samplewise_std_normalization,
            mean,
            std,
            matrix,
        )

    def check_fitted(self, shape: tuple[int, ...]) -> None:
        """Refuse statistics that were fitted on frames of another shape."""
        matrix = self.zca_whitening_matrix if self.zca_whitening else None
        if matrix is not None and len(matrix) != int(np.prod(shape)):
            raise OptionError(
                f"zca_whitening was fitted on frames of {len(matrix)} values, these have the shape {shape}: "
                "fit the generator on frames of this size"
            )
        for name, fitted in (("mean", self.mean), ("std", self.std)):
            try:
                fits = fitted is None or np.broadcast_shapes(np.shape(fitted), shape) == shape
            except ValueError:
                fits = False
            if not fits:
                raise OptionError(f"{name} of shape {np.shape(fitted)} does not fit frames of {shape}")

    def refuse_overrides(self) -> None:
        """Refuse overrides of the methods below, in a subclass or on this object, that no flow would call."""
        for name, own in _HOOKS.items():
            found = getattr(self, name)
            if getattr(found, "__func__", None) is not own or found.__self__ is not self:
                raise OptionError(
                    f"{type(self).__name__}.{name} is overridden, but flows do not call it: workers augment "
                    "and standardise by the settings alone. Give the change as "
                    "ImageDataGenerator(preprocessing_function=), or use fastclips.ClipLoader with "
                    "transforms=[..., fastclips.Apply(function)]"
                )

    # --- one frame at a time

    def get_random_transform(self, img_shape: Sequence[int], seed: int | None = None) -> dict[str, Any]:
        """Draw the parameters of one frame.

        Parameters
        ----------
        img_shape : sequence of int
            Shape of the frame, in this generator's data format.
        seed : int, optional
            Equal seeds give equal parameters; those of Keras after ``numpy.random.seed(seed)``.

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
        """Augment a frame.

        Parameters
        ----------
        x : ndarray
            (H, W, C), or (C, H, W) with ``data_format="channels_first"``. Not changed.
        transform_parameters : mapping
            From `get_random_transform`; the effects of missing parameters are left out.

        Returns
        -------
        ndarray
            Of the same shape.

        Raises
        ------
        OptionError
            If `x` has other axes.

        Examples
        --------
        >>> generator = fc.compat.ImageDataGenerator()
        >>> generator.apply_transform(np.arange(6).reshape(2, 3, 1), {"flip_horizontal": True})[..., 0]
        array([[2, 1, 0],
               [5, 4, 3]])
        """
        x = np.asarray(x)
        if x.ndim != _FRAME:
            raise OptionError(f"x of shape {x.shape}: must be one frame, with 3 axes")
        frame = np.moveaxis(x, 0, -1) if self.channels_first else x
        done = self.augmentation.apply(frame, transform_parameters)
        done = np.moveaxis(done, -1, 0) if self.channels_first else done
        return done.copy() if np.may_share_memory(done, x) else done

    def random_transform(self, x: NDArray[Any], seed: int | None = None) -> NDArray[Any]:
        """Draw parameters and augment a frame: `get_random_transform`, then `apply_transform`."""
        return self.apply_transform(x, self.get_random_transform(np.shape(x), seed))

    def standardize(self, x: NDArray[Any]) -> NDArray[Any]:
        """Standardise a frame or a batch of floats, in place where possible, and return it."""
        return self.standardization(say=True).apply(x, float(self._random.random_sample()))

    def fit(self, x: ArrayLike, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Compute the mean, the standard deviation and the ZCA matrix of samples.

        Parameters
        ----------
        x : array_like
            Frames (N, H, W, C), or clips (N, T, H, W, C); lists of them are fine.
        augment : bool
            Whether to augment the frames first.
        rounds : int
            With `augment`, how often each frame is augmented.
        seed : int, optional
            Seed of the augmentation.

        Raises
        ------
        OptionError
            If `x` has other axes.

        Examples
        --------
        >>> generator = fc.compat.ImageDataGenerator(featurewise_center=True)
        >>> generator.fit(np.full((2, 4, 4, 1), 5))
        >>> generator.mean.item()
        5.0
        """
        try:
            given = np.asarray(x, self.dtype)
        except ValueError as error:
            raise OptionError(f"x: frames must have one shape ({error}); resize them") from error
        if given.ndim == _CLIPS:
            given = given.reshape(-1, *given.shape[2:])
        if given.ndim != _PICTURES:
            raise OptionError(f"x of shape {given.shape}: must have 4 axes, (N, H, W, C), or 5 with time")
        warn_channels(given.shape, self.channel_axis, self.data_format)
        data = given.astype(self.dtype, copy=True)
        if self.rescale:
            data *= self.rescale
        if augment:
            self.refuse_overrides()
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


_HOOKS = {
    name: vars(Settings)[name] for name in ("get_random_transform", "apply_transform", "standardize")
}  # of these, Keras's flows call overrides


def warn_channels(shape: tuple[int, ...], axis: int, data_format: str | None) -> None:
    """Warn if frames cannot be pictures."""
    if shape[axis] not in _PICTURE_CHANNELS:
        warn(
            f"frames of shape {shape[1:]} have {shape[axis]} channels with data_format={data_format!r}; "
            "pictures have 1, 3 or 4"
        )


def _pair(value: Any, name: str) -> tuple[float, float]:  # noqa: ANN401 - the user's
    numbers = tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else ()
    if len(numbers) != 2 or not all(isinstance(number, Real) for number in numbers):  # noqa: PLR2004 - from, to
        raise OptionError(f"{name}={value!r}: must be two numbers")
    return numbers
