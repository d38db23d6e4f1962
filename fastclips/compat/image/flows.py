"""The three flows of `ImageDataGenerator`: over an array, over a directory, over a table of files.

Each finds samples and targets as Keras does; `PictureIterator` does the rest. If samples are clips, `classes`
and `filenames` have one item for each clip: that of its newest frame.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base.arrays import ArrayRows
from fastclips.compat._base.files import FileList
from fastclips.compat._base.folders import FORMATS, listed_classes, listed_files, subset_range
from fastclips.compat._base.pictures import CHANNELS, FILTERS, Picture
from fastclips.compat._base.videos import Clips
from fastclips.compat._base.warn import warn
from fastclips.compat.image.iterator import PictureIterator
from fastclips.compat.image.settings import warn_channels
from fastclips.compat.image.table import Table
from fastclips.compat.image.targets import Targets, taken
from fastclips.errors import DataError, OptionError
from fastclips.options import checked_bool, checked_choice, checked_size, first_few

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastclips.compat.image.sampling import Sampling
    from fastclips.compat.image.settings import Settings

__all__ = ["DataFrameIterator", "DirectoryIterator", "NumpyArrayIterator"]

_CLASS_MODES = ("categorical", "binary", "sparse")
_DIRECTORY_MODES = (*_CLASS_MODES, "input", None)
_TABLE_MODES = (*_CLASS_MODES, "input", "multi_output", "raw", None)
_AXES = 4  # of pictures
_LAYOUT = (
    "the layout is directory/class/frame.jpg. Put pictures without classes into one folder there and give "
    "class_mode=None"
)


class NumpyArrayIterator(PictureIterator):
    """Batches of samples that are rows of an array; made by `ImageDataGenerator.flow`.

    Parameters
    ----------
    x : array_like, path or (array_like, array_like or list)
        Pictures (N, H, W, C), or clips (N, T, H, W, C) if the generator has `time_steps`; the path of a .npy
        file; or a pair with further inputs, (N, ...) each.
    y, sample_weight : array_like, optional
        (N, ...).
    image_data_generator : ImageDataGenerator
        Augments and standardises the samples.
    batch_size, shuffle, seed, save_to_dir, save_prefix, save_format, subset, ignore_class_split
        As for `ImageDataGenerator.flow`.

    Attributes
    ----------
    x, x_misc, y, sample_weight
        Arrays as given, of the subset. x cannot be written into.

    Examples
    --------
    >>> batches = fc.compat.ImageDataGenerator().flow(np.zeros((5, 4, 4, 3)), batch_size=2, workers=0)
    >>> isinstance(batches, fc.compat.NumpyArrayIterator), batches.n, len(batches)
    (True, 5, 3)
    """

    _hashes = 10_000

    def __init__(
        self,
        x: Any,  # noqa: ANN401 - see above
        y: Any,  # noqa: ANN401 - as above
        image_data_generator: Settings,
        *,
        sample_weight: Any = None,  # noqa: ANN401 - as above
        subset: str | None = None,
        ignore_class_split: bool = False,
        **options: Any,  # noqa: ANN401 - passed on
    ) -> None:
        generator = image_data_generator
        extra: list[NDArray[Any]] = []
        if isinstance(x, (tuple, list)) and len(x) == 2 and _is_batch(x[0]):  # noqa: PLR2004 - pictures, others
            extra = [np.asarray(other) for other in (x[1] if isinstance(x[1], list) else [x[1]])]
            x = x[0]
        rows = ArrayRows.open(x, "x")
        count = len(rows)
        y = None if y is None else _targets(y, count)
        weights = None if sample_weight is None else np.asarray(sample_weight)
        beside = {f"x[1][{place}]": other for place, other in enumerate(extra)}
        for name, array in {**beside, "y": y, "sample_weight": weights}.items():
            if array is not None and (not array.ndim or len(array) != count):
                raise OptionError(
                    f"{name} of shape {array.shape} with x of shape {rows.shape}: must have {count} rows"
                )
        if weights is not None and y is None:
            raise OptionError("sample_weight= without y=: weights belong to targets, so give y=")
        split = generator.validation_split
        first, last = subset_range(subset, split, count)
        if subset is not None and y is not None and not ignore_class_split:
            middle = subset_range("validation", split, count)[1]
            if not np.array_equal(np.unique(y[:middle]), np.unique(y[middle:])):
                raise OptionError(
                    f"subset={subset!r}: y has other classes in the validation part, its first {middle} "
                    "rows, than in the rest; shuffle x and y alike first, or give ignore_class_split=True"
                )
        rows, extra = rows.part(first, last), [other[first:last] for other in extra]
        y, weights = (None if array is None else array[first:last] for array in (y, weights))
        steps = generator.steps_of(rows.shape)
        shape = rows.shape[1:] if steps is None else rows.shape[2:]
        warn_channels((1, *shape), generator.channel_axis, generator.data_format)
        _refuse_empty(len(rows), subset, split)
        self._rows, self.x_misc, self.y, self.sample_weight = rows, extra, y, weights
        clips = Clips.flat(len(rows))
        targets = Targets(None if y is None else "arrays", y, clips, weights=weights)
        super().__init__(generator, rows, shape, targets, clips, time_steps=steps, extra=extra, **options)

    @cached_property
    def x(self) -> NDArray[Any]:
        """The pictures or clips, of the subset, as given and not to be written into; a file is mapped."""
        return self._rows.as_array()


class _FileIterator(PictureIterator):
    """Batches of samples that are files: a list of them, with targets (`values`, for `Targets`) by file.

    `codes` are equal for files of one class, `classes` is the number of classes if targets are classes, and
    `folders` whether a folder in a folder is one video. The user's options are those of
    `ImageDataGenerator.flow_from_directory`.
    """

    directory: str
    _storage: FileList

    def __init__(
        self,
        generator: Settings,
        directory: str,
        files: Sequence[str],
        values: Any,  # noqa: ANN401 - see Targets
        codes: NDArray[Any],
        sampling: Sampling,
        *,
        classes: int | None,
        weights: NDArray[Any] | None = None,
        folders: bool = True,
        class_mode: str | None,
        subset: str | None,
        target_size: int | Sequence[int] = (256, 256),
        color_mode: str = "rgb",
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        **options: Any,  # noqa: ANN401 - passed on
    ) -> None:
        picture = Picture(
            checked_size(target_size, "target_size"),
            checked_choice(color_mode, "color_mode", tuple(CHANNELS)),
            checked_choice(interpolation, "interpolation", FILTERS),
            "crop" if checked_bool(keep_aspect_ratio, "keep_aspect_ratio") else None,
            generator.channels_first,
        )
        fraction = generator.validation_split
        _refuse_empty(len(files) if subset is None or fraction else 0, subset, fraction)
        names = [name.replace(os.sep, "/") for name in files]
        clips = sampling.clips(
            names, codes.astype(np.int64), folders=folders, fraction=fraction, subset=subset
        )
        self.directory, self.class_mode, self.subset, self.split = directory, class_mode, subset, subset
        self.target_size, self.color_mode, self.interpolation = picture.size, color_mode, interpolation
        self.keep_aspect_ratio = keep_aspect_ratio
        self.labels = None if values is None else taken(values, clips.newest)
        if class_mode in _CLASS_MODES:
            self.classes = self.labels
        targets = Targets(
            class_mode,
            values,
            clips,
            classes=classes or 0,
            weights=weights,
            dtype=str(generator.dtype),
            per_frame=sampling.per_frame,
        )
        belonging = "" if classes is None else f" belonging to {classes} classes"
        print(f"Found {len(clips)} {'images' if generator.time_steps is None else 'clips'}{belonging}.")  # noqa: T201 - as Keras does
        super().__init__(
            generator,
            FileList.of(files, directory or "."),
            picture.shape,
            targets,
            clips,
            picture=picture,
            time_steps=generator.time_steps,
            per_frame=generator.per_frame,
            **options,
        )

    @cached_property
    def filenames(self) -> list[str]:
        """The file of each sample, relative to the directory or as in the table; of a clip the newest."""
        names = self._storage.names
        return [names[place] for place in self._clips.newest.tolist()]

    @property
    def filepaths(self) -> list[str]:
        """The file of each sample, with the directory."""
        return [os.path.join(self.directory, name) for name in self.filenames]  # noqa: PTH118 - as given


class DirectoryIterator(_FileIterator):
    """Batches of samples that are files in one folder for each class.

    Made by `ImageDataGenerator.flow_from_directory`.

    Parameters
    ----------
    directory : path
        Holds the folders of the classes.
    image_data_generator : ImageDataGenerator
        Augments and standardises the samples.
    classes, class_mode, follow_links, subset, **options
        As for `ImageDataGenerator.flow_from_directory`.

    Attributes
    ----------
    directory, class_mode, subset, target_size, color_mode, interpolation
        As given.
    class_indices : dict of str to int
        Number of each class.
    num_classes : int
        Number of classes.
    classes, labels : ndarray of int32, (n,)
        The class of each sample.
    filenames, filepaths : list of str
        The file of each sample, or of a clip's newest frame: relative to the directory, and with it.

    Examples
    --------
    >>> batches = fc.compat.ImageDataGenerator().flow_from_directory("frames/", workers=0)
    Found ... images belonging to 2 classes.
    >>> isinstance(batches, fc.compat.DirectoryIterator), batches.num_classes
    (True, 2)
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        image_data_generator: Settings,
        *,
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        follow_links: bool = False,
        subset: str | None = None,
        **options: Any,  # noqa: ANN401 - passed on
    ) -> None:
        _check_mode(class_mode, _DIRECTORY_MODES)
        sampling = image_data_generator.sampling_of(class_mode)
        top = os.fspath(directory)
        names = listed_classes(top, classes, "classes", _LAYOUT, hidden=True)
        files: list[str] = []
        numbers: list[int] = []
        for number, name in enumerate(names):
            found = listed_files(top, name, follow_links=follow_links)
            if sampling.flat:
                first, last = subset_range(subset, image_data_generator.validation_split, len(found))
                found = found[first:last]
            files += found
            numbers += [number] * len(found)
        if not files and subset is None:
            raise DataError(
                f"directory={top!r}: no {', '.join(FORMATS)} files below {first_few(names)}; the layout is "
                "directory/class/frame.jpg"
            )
        self.num_classes = len(names)
        self.class_indices = {name: number for number, name in enumerate(names)}
        codes = np.asarray(numbers, np.int32)
        super().__init__(
            image_data_generator,
            top,
            files,
            codes,
            codes,
            sampling,
            classes=len(names),
            class_mode=class_mode,
            subset=subset,
            **options,
        )
        self.classes = self.labels  # whatever the mode


class DataFrameIterator(_FileIterator):
    """Batches of samples that are files named in a table; made by `ImageDataGenerator.flow_from_dataframe`.

    Parameters
    ----------
    dataframe : pandas.DataFrame, or mapping of str to sequence
        The table.
    directory : path, optional
        Folder that file names start from.
    image_data_generator : ImageDataGenerator
        Augments and standardises the samples.
    x_col, y_col, weight_col, classes, class_mode, subset, validate_filenames, **options
        As for `ImageDataGenerator.flow_from_dataframe`.

    Attributes
    ----------
    class_indices : dict of str to int
        Number of each class, if targets are classes.
    classes : list
        The class number of each sample, or the list of its class numbers, if targets are classes.
    labels
        The targets of each sample, before they are put into arrays.
    filenames, filepaths : list of str
        The file of each sample, or of a clip's newest frame.

    Examples
    --------
    >>> table = {"filename": ["class_0/video_0/frame_00001.jpg"], "class": ["run"]}
    >>> batches = fc.compat.ImageDataGenerator().flow_from_dataframe(table, "frames/", workers=0)
    Found 1 images belonging to 1 classes.
    >>> isinstance(batches, fc.compat.DataFrameIterator), batches.class_indices
    (True, {'run': 0})
    """

    def __init__(
        self,
        dataframe: Any,  # noqa: ANN401 - pandas is no dependency
        directory: str | os.PathLike[str] | None,
        image_data_generator: Settings,
        *,
        x_col: str = "filename",
        y_col: Any = "class",  # noqa: ANN401 - a name or several
        weight_col: str | None = None,
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        subset: str | None = None,
        validate_filenames: bool = True,
        **options: Any,  # noqa: ANN401 - passed on
    ) -> None:
        _check_mode(class_mode, _TABLE_MODES)
        sampling = image_data_generator.sampling_of(class_mode)
        top = os.fspath(directory or "")
        table = Table(dataframe, x_col, top)
        if validate_filenames:
            table.keep_files()
        classify = class_mode in _CLASS_MODES
        if classify:
            self.class_indices = table.classify(y_col, class_mode, classes)
        elif classes:
            warn(f"classes= is ignored with class_mode={class_mode!r}")
        if sampling.flat:
            table.keep(range(*subset_range(subset, image_data_generator.validation_split, len(table))))
        else:
            table.keep_first()
        values: Any = table.classes
        if class_mode == "multi_output":
            values = table.columns(y_col)
        elif class_mode == "raw":
            values = table.matrix(y_col)
        super().__init__(
            image_data_generator,
            top,
            table.names,
            values,
            table.codes(),
            sampling,
            classes=len(self.class_indices) if classify else None,
            weights=None if weight_col is None else table.weights(weight_col),
            folders=False,
            class_mode=class_mode,
            subset=subset,
            **options,
        )

    @property
    def sample_weight(self) -> NDArray[Any] | None:
        """The weight of each sample."""
        return self._targets.weights


def _refuse_empty(count: int, subset: str | None, split: float) -> None:
    if count:
        return
    if subset is not None:
        raise OptionError(
            f"subset={subset!r} with validation_split={split!r} leaves no sample; give "
            "ImageDataGenerator(validation_split=0.2), or more data"
        )
    raise DataError("there are no samples")


def _targets(y: Any, count: int) -> NDArray[Any]:  # noqa: ANN401 - the user's
    """Return y as an array."""
    if (
        isinstance(y, (list, tuple))
        and len(y) != count
        and {len(one) for one in y if np.ndim(one)} == {count}
    ):
        raise OptionError(
            f"y={type(y).__name__} of {len(y)} arrays: flow() takes one array of {count} rows, as Keras's "
            "does; stack the arrays by np.stack(y, axis=1), or name the targets in a table, by "
            'flow_from_dataframe(class_mode="multi_output")'
        )
    try:
        return np.asarray(y)
    except ValueError as error:
        raise OptionError(f"y: items must have one shape: {error}") from error


def _check_mode(mode: object, modes: tuple[str | None, ...]) -> None:
    if mode not in modes:
        raise OptionError(f"class_mode={mode!r}: must be one of {', '.join(map(repr, modes))}")


def _is_batch(x: Any) -> bool:  # noqa: ANN401 - the user's
    """Whether this is an array of pictures, and not one picture of a list of them."""
    return isinstance(x, (str, os.PathLike)) or np.ndim(x) >= _AXES
