"""Keras's ``ImageDataGenerator``, whose batches come from worker processes.

::

    from keras.src.legacy.preprocessing.image import ImageDataGenerator    # before
    from tensorflow.keras.preprocessing.image import ImageDataGenerator    # before, Keras 2
    from fastclips.compat import ImageDataGenerator                        # after

The same arguments give the same batches: files, classes, order, numbers drawn and what is done with them.
With ``time_steps=`` batches are clips, (B, T, H, W, C), each of consecutive frames of one video, with one
draw for all its frames.

What a user may notice:

================================  ==========================================================================
here                              in Keras
================================  ==========================================================================
randomness is the iterator's own  NumPy's global generator is seeded, and so is all else that uses it
epochs are shuffled by the seed   under ``fit`` the order of later epochs depends on the global generator
without a seed, none is shared    what `numpy.random.seed` was given counts
affine maps agree to 1e-3 of 255  SciPy computes them; here a kernel does, and SciPy for orders above 1
a folder of a class must exist    it gives no images
an extension begins with a dot    ``picturejpg`` is one too
``it[-1]`` is the last batch      an empty one
a damaged file raises its path    Pillow's error does not name the file
several inputs are a tuple        a list, which ``fit`` refuses on TensorFlow
several targets are a tuple       a list
``preprocessing_function``        may not change the frame's shape
may change the frame's shape
``workers=`` are processes        ``fit(workers=...)``: threads or processes that copy batches
subset of no picture: an error    an iterator of length 0
================================  ==========================================================================
"""

from __future__ import annotations

import sys
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastclips.compat._augment import Augmentation, Standardization
from fastclips.compat._clips import Sampling
from fastclips.compat._flows import DataFrameIterator, DirectoryIterator, NumpyArrayIterator, warn_channels
from fastclips.errors import OptionError
from fastclips.functions import UserFunction
from fastclips.options import checked_choice, checked_int

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    _Range = float | Sequence[float]

__all__ = ["ImageDataGenerator"]

_FRAME_AXES, _BATCH_AXES, _CLIP_AXES = 3, 4, 5
_PICTURE_CHANNELS = (1, 3, 4)


class ImageDataGenerator:
    """Pictures from arrays, folders and tables, augmented and standardised on their way to ``fit``.

    Arguments, their order, defaults and meanings are those of Keras's class; see its documentation.

    Parameters
    ----------
    featurewise_center, featurewise_std_normalization, zca_whitening : bool
        Standardise by what `fit` has learnt from data.
    samplewise_center, samplewise_std_normalization : bool
        Standardise each frame by its own mean and standard deviation.
    zca_epsilon : float
        For ZCA.
    rotation_range : float
        Degrees.
    width_shift_range, height_shift_range : float, int or 1-D array_like
        A fraction of the size if below 1, else pixels; an int n: a whole number from -n + 1 to n - 1; several
        values: one of them.
    brightness_range : (float, float), optional
        Factors.
    shear_range : float
        Degrees.
    zoom_range : float or (float, float)
        Factors, drawn for both axes; one number z means (1 - z, 1 + z).
    channel_shift_range : float
        In units of pixel values.
    fill_mode : {"nearest", "constant", "reflect", "wrap"}
        What lies beyond the frame; other modes of SciPy's, where it is installed.
    cval : float
        For ``"constant"``.
    horizontal_flip, vertical_flip : bool
        Whether one frame in two is mirrored.
    rescale : float, optional
        Factor for pixel values.
    preprocessing_function : callable, optional
        From a frame (H, W, C) to a frame, of any shape as long as all have it. Runs in the workers, with
        NumPy's global generator seeded for each frame.
    data_format : {"channels_last", "channels_first"}, optional
        Keras's setting by default.
    validation_split : float
        Which part of the data ``subset="validation"`` takes.
    interpolation_order : int
        0 or 1; 2 to 5 need SciPy.
    dtype : str, optional
        Of batches; Keras's ``floatx`` by default.
    time_steps : int, optional
        Frames of a clip; without it, batches are of single pictures.

    Raises
    ------
    OptionError
        If an argument cannot work; it is a ValueError.

    Examples
    --------
    >>> generator = ImageDataGenerator(rescale=1 / 255, horizontal_flip=True)
    >>> batches = generator.flow_from_directory("frames/", target_size=(224, 224))  # doctest: +SKIP
    >>> model.fit(batches, epochs=10)  # doctest: +SKIP
    """

    _directory_iterator: ClassVar[type[DirectoryIterator]] = DirectoryIterator
    _dataframe_iterator: ClassVar[type[DataFrameIterator]] = DataFrameIterator

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rotation_range: float = 0,
        width_shift_range: _Range = 0.0,
        height_shift_range: _Range = 0.0,
        brightness_range: Sequence[float] | None = None,
        shear_range: float = 0.0,
        zoom_range: float | Sequence[float] = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[Any], Any] | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        interpolation_order: int = 1,
        dtype: DTypeLike | None = None,
        *,
        time_steps: int | None = None,
    ) -> None:
        self.featurewise_center, self.samplewise_center = featurewise_center, samplewise_center
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening, self.zca_epsilon = zca_whitening, zca_epsilon
        self.rotation_range, self.shear_range = rotation_range, shear_range
        self.width_shift_range, self.height_shift_range = width_shift_range, height_shift_range
        self.zoom_range = _pair_around_one(zoom_range)
        self.brightness_range = (
            None if brightness_range is None else _pair(brightness_range, "brightness_range")
        )
        self.channel_shift_range = channel_shift_range
        self.fill_mode, self.cval, self.interpolation_order = fill_mode, cval, interpolation_order
        self.horizontal_flip, self.vertical_flip = horizontal_flip, vertical_flip
        self.rescale, self.preprocessing_function = rescale, preprocessing_function
        self.data_format = checked_choice(
            _setting("image_data_format", "channels_last") if data_format is None else data_format,
            "data_format",
            ("channels_last", "channels_first"),
        )
        self.dtype = np.dtype(_setting("floatx", "float32") if dtype is None else dtype).name
        self.channel_axis, self.row_axis, self.col_axis = (1, 2, 3) if self.channels_first else (3, 1, 2)
        if validation_split and not 0 < validation_split < 1:
            raise OptionError(f"validation_split={validation_split!r}: must be between 0 and 1")
        self._validation_split = validation_split
        self.time_steps = None if time_steps is None else checked_int(time_steps, "time_steps", 1)
        self.mean: Any = None
        self.std: Any = None
        self.zca_whitening_matrix: Any = None
        self._settle_conflicts()

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

    def sampling_of(self, class_mode: str | None) -> Sampling | None:  # noqa: ARG002 - for those that care
        """Return how clips are cut out of files; None for pictures."""
        return None if self.time_steps is None else Sampling(self.time_steps)

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

    @cached_property
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
                f"zca_whitening was fitted on frames of {len(matrix)} values, but these have {shape}: fit the "
                "generator on frames of this size"
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

    # --- flows

    def flow(
        self,
        x: Any,  # noqa: ANN401 - arrays of many kinds
        y: ArrayLike | None = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: ArrayLike | None = None,
        seed: int | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        ignore_class_split: bool = False,
        subset: str | None = None,
        **options: Any,  # noqa: ANN401 - passed on
    ) -> NumpyArrayIterator:
        """Serve pictures from an array.

        Parameters
        ----------
        x : array_like or path
            (N, H, W, C), or with `time_steps` (N, T, H, W, C); a .npy file by its path or as a map is left on
            disk. Or ``(x, others)``: further inputs, an array or a list of arrays (N, ...).
        y, sample_weight : array_like, optional
            (N, ...).
        batch_size : int
            Samples in a batch.
        shuffle : bool
            Whether each epoch has an order of its own.
        seed : int, optional
            Of order and draws.
        save_to_dir, save_prefix, save_format
            Where what is served is written as pictures too.
        ignore_class_split : bool
            Whether training and validation may have different classes.
        subset : {"training", "validation"}, optional
            Which part; validation is the first rows.
        **options
            ``workers`` and ``memory``, as for `fastclips.ClipLoader`.

        Returns
        -------
        NumpyArrayIterator
            Of ``x``, ``(x, y)`` or ``(x, y, weight)``; several inputs are a tuple.

        Raises
        ------
        OptionError
            If arguments do not go together.
        """
        return NumpyArrayIterator(
            x,
            y,
            self,
            batch_size=batch_size,
            shuffle=shuffle,
            sample_weight=sample_weight,
            seed=seed,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            ignore_class_split=ignore_class_split,
            subset=subset,
            **options,
        )

    def flow_from_directory(
        self,
        directory: str | os.PathLike[str],
        target_size: Sequence[int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        **options: Any,  # noqa: ANN401 - passed on
    ) -> DirectoryIterator:
        """Serve pictures from folders, one for each class.

        Parameters
        ----------
        directory : path
            ``directory/class/.../frame.jpg``.
        target_size : (int, int)
            Height and width that frames are resized to.
        color_mode : {"rgb", "rgba", "grayscale"}
            Channels of a frame: 3, 4 or 1.
        classes : sequence of str, optional
            Folders, in the order of their numbers; all of them by default, in plain order.
        class_mode : {"categorical", "binary", "sparse", "input", None}
            Targets: (B, classes) of 0 and 1; (B,) class numbers for the next two; x itself; none.
        batch_size, shuffle, seed, save_to_dir, save_prefix, save_format
            As for `flow`.
        follow_links : bool
            Whether links to folders are followed.
        subset : {"training", "validation"}, optional
            Which part of each class; validation is its first files, or with `time_steps` its first videos.
        interpolation : {"nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"}
            How frames are resized, by Pillow.
        keep_aspect_ratio : bool
            Whether the middle of a frame is cut out in the target's proportions first.
        **options
            ``workers`` and ``memory``, as for `fastclips.ClipLoader`.

        Returns
        -------
        DirectoryIterator

        Raises
        ------
        OptionError
            If an argument cannot work.
        DataError
            If the directory or a class is missing, or there are no files.
        """
        return self._directory_iterator(
            directory,
            self,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            follow_links=follow_links,
            subset=subset,
            interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
            **options,
        )

    def flow_from_dataframe(
        self,
        dataframe: Any,  # noqa: ANN401 - pandas is no dependency
        directory: str | os.PathLike[str] | None = None,
        x_col: str = "filename",
        y_col: Any = "class",  # noqa: ANN401 - a name or several
        weight_col: str | None = None,
        target_size: Sequence[int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        validate_filenames: bool = True,
        **options: Any,  # noqa: ANN401 - passed on
    ) -> DataFrameIterator:
        """Serve pictures from files that a table names.

        Parameters
        ----------
        dataframe : pandas.DataFrame, or mapping of str to sequence
            A row for each file.
        directory : path, optional
            What the names are relative to.
        x_col, weight_col : str
            Columns of the names, and of weights.
        y_col : str or list of str
            Column of targets, or several for ``"multi_output"`` and ``"raw"``.
        class_mode : {"categorical", "binary", "sparse", "input", "multi_output", "raw", None}
            Targets: as for `flow_from_directory`, where a row may have a list of classes with
            ``"categorical"``; a tuple of columns; the columns' values. Of a clip, the last frame's values.
        classes : sequence of str, optional
            Which classes, in the order of their numbers; rows of others are left out.
        subset : {"training", "validation"}, optional
            Which part; validation is the first rows, or with `time_steps` the first videos.
        validate_filenames : bool
            Whether rows without a file are left out, with a warning.
        target_size, color_mode, interpolation, batch_size, shuffle, seed, save_to_dir, save_prefix, save_format
            As for `flow_from_directory`.
        **options
            ``workers`` and ``memory``, as for `fastclips.ClipLoader`; what Keras ignores with a warning.

        Returns
        -------
        DataFrameIterator

        Raises
        ------
        OptionError
            If an argument cannot work; where the table's values have a wrong type, it is a TypeError too.
        """
        for name in ("has_ext", "sort", "drop_duplicates"):
            if options.pop(name, None) is not None:
                warnings.warn(f"{name}= is ignored, as in Keras", DeprecationWarning, stacklevel=2)
        if class_mode == "other":
            warnings.warn('class_mode="other" is called "raw" now', DeprecationWarning, stacklevel=2)
            class_mode = "raw"
        return self._dataframe_iterator(
            dataframe,
            directory,
            self,
            x_col=x_col,
            y_col=y_col,
            weight_col=weight_col,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            subset=subset,
            interpolation=interpolation,
            validate_filenames=validate_filenames,
            **options,
        )


def _setting(name: str, default: str) -> str:
    """Return a setting of the Keras that is imported."""
    for package in ("keras", "tf_keras"):
        backend = getattr(sys.modules.get(package), "backend", None)
        if hasattr(backend, name):
            return str(getattr(backend, name)())
    return default


def _pair(value: Any, name: str) -> tuple[float, float]:  # noqa: ANN401 - the user's
    numbers = tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else ()
    if len(numbers) != 2 or not all(isinstance(number, (float, int, np.number)) for number in numbers):  # noqa: PLR2004 - from, to
        raise OptionError(f"{name}={value!r}: must be two numbers")
    return numbers


def _pair_around_one(value: Any) -> tuple[float, float]:  # noqa: ANN401 - as above
    if isinstance(value, (float, int, np.number)):
        return (1 - value, 1 + value)  # type: ignore[return-value] # NumPy's numbers are numbers
    return _pair(value, "zoom_range")


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)
