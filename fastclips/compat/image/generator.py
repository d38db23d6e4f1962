"""`ImageDataGenerator`: the settings, and a flow for each source of data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fastclips.compat._base.warn import warn
from fastclips.compat.image.flows import DataFrameIterator, DirectoryIterator, NumpyArrayIterator
from fastclips.compat.image.settings import Settings

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

__all__ = ["ImageDataGenerator"]


class ImageDataGenerator(Settings):
    """Batches of pictures or clips from arrays, folders and tables, augmented and standardised.

    Arguments, their order, defaults and meanings are those of Keras's class.

    Parameters
    ----------
    featurewise_center, featurewise_std_normalization, zca_whitening : bool
        Standardise by the statistics that `fit` computes.
    samplewise_center, samplewise_std_normalization : bool
        Standardise each frame by its own mean and standard deviation.
    zca_epsilon : float
        Epsilon of ZCA whitening.
    rotation_range : float
        Largest rotation, in degrees.
    width_shift_range, height_shift_range : float, int or 1-D array_like
        Largest shift: a fraction of the size if below 1, else pixels; an integer n: a whole number from -n +
        1 to n - 1; several values: one of them.
    brightness_range : (float, float), optional
        Range of the factor of brightness.
    shear_range : float
        Largest shear, in degrees.
    zoom_range : float or (float, float)
        Range of the factors for both axes; one number z means (1 - z, 1 + z).
    channel_shift_range : float
        Largest shift of values, in units of pixel values.
    fill_mode : {"nearest", "constant", "reflect", "wrap"}
        Pixels beyond the frame; with SciPy installed, also its other modes.
    cval : float
        Value beyond the frame with ``"constant"``.
    horizontal_flip, vertical_flip : bool
        Whether half of the frames are mirrored.
    rescale : float, optional
        Factor for pixel values.
    preprocessing_function : callable, optional
        From a frame (H, W, C) to a frame, of any shape as long as all frames have it. Runs in the workers,
        with NumPy's global generator seeded for each frame.
    data_format : {"channels_last", "channels_first"}, optional
        Order of axes; by default Keras's setting.
    validation_split : float
        Fraction of the data that ``subset="validation"`` takes. With `time_steps`, it takes the first videos
        of each class: the fraction, rounded, but at least one and never all. Of two videos, 0.25 takes one.
    interpolation_order : int
        Order of the splines: 0 or 1; 2 to 5 need SciPy.
    dtype : str, optional
        Dtype of batches; by default Keras's ``floatx``.
    time_steps : int, optional
        Frames of a clip, T; by default, batches are of single pictures.

    Raises
    ------
    OptionError
        If an argument is out of range; it is a ValueError.

    Examples
    --------
    >>> generator = fc.compat.ImageDataGenerator(rescale=1 / 255, horizontal_flip=True)
    >>> train = generator.flow_from_directory("frames/", target_size=(32, 32), batch_size=4, workers=0)
    Found ... images belonging to 2 classes.
    >>> x, y = next(train)
    >>> x.shape, x.dtype, y.shape
    ((4, 32, 32, 3), dtype('float32'), (4, 2))

    Clips of 3 frames:

    >>> generator = fc.compat.ImageDataGenerator(time_steps=3)
    >>> x, y = next(generator.flow_from_directory("frames/", batch_size=4, seed=1, workers=0))
    Found ... clips belonging to 2 classes.
    >>> x.shape
    (4, 3, 256, 256, 3)
    """

    _directory_iterator: ClassVar[type[DirectoryIterator]] = DirectoryIterator
    _dataframe_iterator: ClassVar[type[DataFrameIterator]] = DataFrameIterator

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
        *,
        workers: int | None = None,
        memory: str | int = "1GiB",
        cache: str | int = "1GiB",
        use_multiprocessing: bool = False,
        max_queue_size: int = 10,
    ) -> NumpyArrayIterator:
        """Return batches of an array.

        Parameters
        ----------
        x : array_like or path
            (N, H, W, C), or with `time_steps` (N, T, H, W, C). A .npy file, given by its path or as
            ``np.load(path, mmap_mode="r")``, stays on disk. Or ``(x, others)``: further inputs, an array or a
            list of arrays (N, ...).
        y, sample_weight : array_like, optional
            (N, ...).
        batch_size : int
            Samples in a batch.
        shuffle : bool
            Whether each epoch has an order of its own.
        seed : int, optional
            Seed of order and draws, 0 to 2**32 - 1.
        save_to_dir, save_prefix, save_format
            Where the pictures of each batch are saved, too.
        ignore_class_split : bool
            Whether training and validation may have different classes.
        subset : {"training", "validation"}, optional
            Part of the rows; validation is the first ones.
        workers : int, optional
            Worker processes; by default as many as cores; with 0 the caller does the work.
        memory : str or int
            Ceiling for the workers' batches in shared memory.
        cache : str or int
            Has no effect on arrays.
        use_multiprocessing, max_queue_size
            Arguments of Keras, without effect: there are worker processes anyway.

        Returns
        -------
        NumpyArrayIterator
            Batches ``x``, ``(x, y)`` or ``(x, y, weight)`` without end, for ``next()`` and ``fit``. x is
            (B, H, W, C) or (B, T, H, W, C), of `dtype`; several inputs are a tuple.

        Raises
        ------
        OptionError
            If an argument is out of range, or arrays differ in N.

        Examples
        --------
        >>> frames = np.arange(32).reshape(2, 4, 4, 1)
        >>> batches = fc.compat.ImageDataGenerator().flow(frames, y=[0, 1], shuffle=False, workers=0)
        >>> x, y = next(batches)
        >>> x.shape, x.dtype, y
        ((2, 4, 4, 1), dtype('float32'), array([0, 1]))
        """
        return NumpyArrayIterator(image_data_generator=self, **_arguments(locals()))

    def flow_from_directory(
        self,
        directory: str | os.PathLike[str],
        target_size: int | Sequence[int] = (256, 256),
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
        *,
        workers: int | None = None,
        memory: str | int = "1GiB",
        cache: str | int = "1GiB",
        use_multiprocessing: bool = False,
        max_queue_size: int = 10,
    ) -> DirectoryIterator:
        """Return batches of the files in folders, one folder for each class.

        Parameters
        ----------
        directory : path
            Holds ``class/.../frame.jpg``.
        target_size : int or (int, int)
            Side, or height and width, that frames are resized to.
        color_mode : {"rgb", "rgba", "grayscale"}
            3, 4 or 1 channels.
        classes : sequence of str, optional
            Folders, in the order of their class numbers; by default all, in alphabetical order.
        class_mode : {"categorical", "binary", "sparse", "input", None}
            Targets: one-hot (B, classes); class numbers (B,) for the next two; x itself; none.
        batch_size, shuffle, seed, save_to_dir, save_prefix, save_format
            As for `flow`.
        follow_links : bool
            Whether links to folders are followed.
        subset : {"training", "validation"}, optional
            Part of each class; validation is its first files, or with `time_steps` its first videos.
        interpolation : {"nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"}
            Pillow's filter for resizing.
        keep_aspect_ratio : bool
            Whether to cut out the middle of a frame, in the proportions of the target, before resizing.
        cache : str or int
            So much memory holds decoded, resized frames, so that they are not decoded again; 0 keeps none.
        workers, memory, use_multiprocessing, max_queue_size
            As for `flow`.

        Returns
        -------
        DirectoryIterator
            Batches ``x`` or ``(x, y)`` without end, for ``next()`` and ``fit``. x is (B, H, W, C) or
            (B, T, H, W, C), of `dtype`, and so are one-hot and class numbers.

        Raises
        ------
        OptionError
            If an argument is out of range.
        DataError
            If the directory or a class is missing, or there are no files.

        Examples
        --------
        >>> generator = fc.compat.ImageDataGenerator(validation_split=0.25)
        >>> batches = generator.flow_from_directory("frames/", subset="validation", workers=0)
        Found ... images belonging to 2 classes.
        >>> batches.class_indices, batches.filenames[0]
        ({'class_0': 0, 'class_1': 1}, 'class_0/video_0/frame_00001.jpg')
        """
        return self._directory_iterator(image_data_generator=self, **_arguments(locals()))

    def flow_from_dataframe(
        self,
        dataframe: Any,  # noqa: ANN401 - pandas is no dependency
        directory: str | os.PathLike[str] | None = None,
        x_col: str = "filename",
        y_col: Any = "class",  # noqa: ANN401 - a name or several
        weight_col: str | None = None,
        target_size: int | Sequence[int] = (256, 256),
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
        *,
        workers: int | None = None,
        memory: str | int = "1GiB",
        cache: str | int = "1GiB",
        use_multiprocessing: bool = False,
        max_queue_size: int = 10,
        **ignored: Any,  # noqa: ANN401 - arguments of old versions of Keras
    ) -> DataFrameIterator:
        """Return batches of the files that a table names.

        Parameters
        ----------
        dataframe : pandas.DataFrame, or mapping of str to sequence
            A row for each file.
        directory : path, optional
            Folder that names start from.
        x_col, weight_col : str
            Columns of names, and of sample weights.
        y_col : str or list of str
            Column of targets, or several for ``"multi_output"`` and ``"raw"``.
        class_mode : {"categorical", "binary", "sparse", "input", "multi_output", "raw", None}
            Targets: as for `flow_from_directory`, and with ``"categorical"`` a row may hold a list of
            classes; a tuple of columns; the values of the columns. A clip has the target of its last frame.
        classes : sequence of str, optional
            Classes, in the order of their numbers; rows of others are left out.
        subset : {"training", "validation"}, optional
            Part of the rows; validation is the first ones, or with `time_steps` the first videos.
        validate_filenames : bool
            Whether rows without a file are left out, with a warning.
        target_size, color_mode, interpolation, batch_size, shuffle, seed, save_to_dir, save_prefix,
        save_format, workers, memory, cache, use_multiprocessing, max_queue_size
            As for `flow_from_directory`.
        **ignored
            ``has_ext``, ``sort`` and ``drop_duplicates`` of old versions of Keras, with a warning.

        Returns
        -------
        DataFrameIterator
            Batches ``x``, ``(x, y)`` or ``(x, y, weight)`` without end, for ``next()`` and ``fit``. x is
            (B, H, W, C) or (B, T, H, W, C), of `dtype`.

        Raises
        ------
        OptionError
            If an argument is out of range; a TypeError, too, if values of the table have a wrong type.

        Examples
        --------
        >>> table = {"filename": ["class_0/video_0/frame_00001.jpg"], "angle": [0.5]}
        >>> batches = fc.compat.ImageDataGenerator().flow_from_dataframe(
        ...     table, "frames/", y_col="angle", class_mode="raw", workers=0
        ... )
        Found 1 images.
        >>> x, y = next(batches)
        >>> x.shape, y
        ((1, 256, 256, 3), array([0.5]))
        """
        _drop_ignored(ignored)
        if class_mode == "other":
            warn("class_mode='other' is now called 'raw'", DeprecationWarning)
            class_mode = "raw"
        return self._dataframe_iterator(image_data_generator=self, **_arguments(locals()))


def _arguments(scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments of a flow, from its ``locals()``."""
    given = {name: value for name, value in scope.items() if name not in ("self", "ignored")}
    return {**given, **scope.get("ignored", {})}


def _drop_ignored(options: dict[str, Any]) -> None:
    for name in ("has_ext", "sort", "drop_duplicates"):
        if options.pop(name, None) is not None:
            warn(f"{name}= is ignored, as in Keras", DeprecationWarning)
