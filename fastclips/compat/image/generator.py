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
affine maps agree to 1e-4 of 255  SciPy computes them; here a kernel does, and SciPy for orders above 1
a folder of a class must exist    it gives no images
an extension begins with a dot    ``picturejpg`` is one too
``it[-1]`` is the last batch      an empty one
a damaged file raises its path    Pillow's error does not name the file
decoded frames are kept if all    each is decoded in each epoch
of them fit into ``cache=``, and
files that change are not seen
settings changed after a flow     they count at once, and cost nothing
began count from the next batch
on; the workers begin anew
several inputs are a tuple        a list, which ``fit`` refuses on TensorFlow
several targets are a tuple       a list
``preprocessing_function``        may not change the frame's shape
may change the frame's shape
``workers=`` are processes        ``fit(workers=...)``: threads or processes that copy batches
subset of no picture: an error    an iterator of length 0
================================  ==========================================================================
"""

from __future__ import annotations

import warnings
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastclips.compat.image.clips import Sampling
from fastclips.compat.image.flows import DataFrameIterator, DirectoryIterator, NumpyArrayIterator
from fastclips.compat.image.settings import Settings, keras_setting, pair, pair_around_one
from fastclips.errors import OptionError
from fastclips.options import checked_choice, checked_int

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, DTypeLike

    _Range = float | Sequence[float]

__all__ = ["ImageDataGenerator"]

_FILL_MODES = (
    "nearest",
    "constant",
    "reflect",
    "wrap",
    "mirror",
    "grid-constant",
    "grid-mirror",
    "grid-wrap",
)  # those after the first four by SciPy


class ImageDataGenerator(Settings):
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
        for name, value in (
            ("rotation_range", rotation_range),
            ("shear_range", shear_range),
            ("channel_shift_range", channel_shift_range),
            ("rescale", rescale),
        ):
            if value is not None and not isinstance(value, Real):
                raise OptionError(f"{name}={value!r}: must be a number")
        self.rotation_range, self.shear_range = rotation_range, shear_range
        self.width_shift_range, self.height_shift_range = width_shift_range, height_shift_range
        self.zoom_range = pair_around_one(zoom_range)
        self.brightness_range = (
            None if brightness_range is None else pair(brightness_range, "brightness_range")
        )
        self.channel_shift_range = channel_shift_range
        self.fill_mode = checked_choice(fill_mode, "fill_mode", _FILL_MODES)
        self.cval, self.interpolation_order = cval, interpolation_order
        self.horizontal_flip, self.vertical_flip = horizontal_flip, vertical_flip
        self.rescale, self.preprocessing_function = rescale, preprocessing_function
        self.data_format = checked_choice(
            keras_setting("image_data_format", "channels_last") if data_format is None else data_format,
            "data_format",
            ("channels_last", "channels_first"),
        )
        self.dtype = np.dtype(keras_setting("floatx", "float32") if dtype is None else dtype).name
        self.channel_axis, self.row_axis, self.col_axis = (1, 2, 3) if self.channels_first else (3, 1, 2)
        if validation_split and not 0 < validation_split < 1:
            raise OptionError(f"validation_split={validation_split!r}: must be between 0 and 1")
        self._validation_split = validation_split
        self.time_steps = None if time_steps is None else checked_int(time_steps, "time_steps", 1)
        self.mean: Any = None
        self.std: Any = None
        self.zca_whitening_matrix: Any = None
        self._settle_conflicts()

    def sampling_of(self, class_mode: str | None) -> Sampling | None:  # noqa: ARG002 - for those that care
        """Return how clips are cut out of files; None for pictures."""
        return None if self.time_steps is None else Sampling(self.time_steps)

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
            ``workers`` and ``memory``, as for `fastclips.ClipLoader`; ``cache="1GiB"``: if all
            frames fit into so much memory, resized, each is decoded once; 0 keeps none.

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
        target_size, color_mode, interpolation, batch_size, shuffle, seed, save_to_dir, save_prefix,
        save_format
            As for `flow_from_directory`.
        **options
            ``workers`` and ``memory``, as for `fastclips.ClipLoader`; ``cache="1GiB"``: if all
            frames fit into so much memory, resized, each is decoded once; 0 keeps none. What Keras
            ignores is ignored, with a warning.

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
