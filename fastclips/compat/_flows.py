"""The three flows of `ImageDataGenerator`: over arrays, over a directory, over a table of files.

Each finds its samples and their targets as Keras does, and leaves the rest to `PictureIterator`. With
clips (`fastclips.compat._clips`), `classes` and `filenames` have an item for each: those of its newest frame.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._clips import ClipTargets
from fastclips.compat._files import ArrayList, FileList
from fastclips.compat._pictures import PictureIterator, Targets, checked_picture, frame_shape
from fastclips.errors import DataError, OptionError
from fastclips.options import checked_choice, first_few

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastclips.compat._clips import Clips, Sampling
    from fastclips.compat.image import ImageDataGenerator

__all__ = [
    "DataFrameIterator",
    "DirectoryIterator",
    "NoFolderError",
    "NumpyArrayIterator",
    "WrongTypeError",
    "warn_channels",
]

FORMATS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff")
_DIRECTORY_MODES = ("categorical", "binary", "sparse", "input", None)
_TABLE_MODES = ("categorical", "binary", "sparse", "input", "multi_output", "raw", None)
_CLASS_MODES = ("categorical", "binary", "sparse")
_FRAMES, _CLIPS = 4, 5  # axes
_PICTURE_CHANNELS = (1, 3, 4)
_BINARY = 2


class WrongTypeError(OptionError, TypeError):
    """An argument is of a type that cannot work; as `OptionError`, and a TypeError as in Keras."""


class NoFolderError(DataError, FileNotFoundError):
    """A folder is missing; as `DataError`, and a FileNotFoundError as in Keras."""


class NumpyArrayIterator(PictureIterator):
    """Samples that are rows of an array.

    Parameters
    ----------
    x : array_like, path or (array_like, array_like or list)
        Pictures (N, H, W, C), or clips (N, T, H, W, C) where the generator has `time_steps`; a .npy file by its
        path; or a pair with further inputs, (N, ...) each.
    y, sample_weight : array_like, optional
        (N, ...).
    image_data_generator : ImageDataGenerator
        What is done to them.
    batch_size, shuffle, seed, save_to_dir, save_prefix, save_format, subset, ignore_class_split
        As for `ImageDataGenerator.flow`.

    Attributes
    ----------
    x, x_misc, y, sample_weight
        As given, of the subset.
    """

    _hashes = 10_000

    def __init__(
        self,
        x: Any,  # noqa: ANN401 - see above
        y: Any,  # noqa: ANN401 - as above
        image_data_generator: ImageDataGenerator,
        *,
        sample_weight: Any = None,  # noqa: ANN401 - as above
        subset: str | None = None,
        ignore_class_split: bool = False,
        **options: Any,  # noqa: ANN401 - passed on
    ) -> None:
        generator = image_data_generator
        extra: list[NDArray[Any]] = []
        if isinstance(x, (tuple, list)) and len(x) == 2 and _is_batch(x[0]):  # noqa: PLR2004 - pictures, others
            extra = [np.asarray(one) for one in (x[1] if isinstance(x[1], list) else [x[1]])]
            x = x[0]
        rows = ArrayList.of(x, "x")
        count = len(rows)
        y = None if y is None else np.asarray(y)
        weights = None if sample_weight is None else np.asarray(sample_weight)
        beside = {f"x[1][{place}]": one for place, one in enumerate(extra)}
        for name, one in {**beside, "y": y, "sample_weight": weights}.items():
            if one is not None and (not one.ndim or len(one) != count):
                raise OptionError(
                    f"{name} of shape {one.shape} goes with x of shape {rows.shape}: each needs {count} rows"
                )
        if weights is not None and y is None:
            raise OptionError("sample_weight= is given without y=: weights weigh targets")
        if subset is not None:
            middle = subset_range("validation", generator._validation_split, count)[1]  # noqa: SLF001 - its maker
            if (
                y is not None
                and not ignore_class_split
                and not np.array_equal(np.unique(y[:middle]), np.unique(y[middle:]))
            ):
                raise OptionError(
                    "subset=: y has other classes in the validation part, its first "
                    f"{middle} rows, than in the rest; shuffle x and y alike first, or give ignore_class_split=True"
                )
            first, last = subset_range(subset, generator._validation_split, count)  # noqa: SLF001 - as above
            rows = rows.part(first, last)
            extra = [one[first:last] for one in extra]
            y = None if y is None else y[first:last]
            weights = None if weights is None else weights[first:last]
        steps = _checked_axes(rows.shape, generator)
        shape = rows.shape[1:] if steps is None else rows.shape[2:]
        warn_channels((1, *shape), generator.channel_axis, generator.data_format)
        _refuse_empty(len(rows), subset, generator)
        self.x, self.x_misc, self.y, self.sample_weight = rows, extra, y, weights
        targets = Targets(None if y is None else "arrays", y, weights=weights)
        super().__init__(
            generator, rows, shape, targets, n=len(rows), time_steps=steps, extra=extra, **options
        )


class DirectoryIterator(PictureIterator):
    """Samples that are files in folders, one folder for each class.

    Parameters
    ----------
    directory : path
        Holds the classes' folders.
    image_data_generator : ImageDataGenerator
        What is done to them.
    target_size, color_mode, classes, class_mode, follow_links, subset, interpolation, keep_aspect_ratio
        As for `ImageDataGenerator.flow_from_directory`.

    Attributes
    ----------
    directory, class_mode, subset, target_size, color_mode, interpolation
        As given.
    class_indices : dict of str to int
        Number of each class.
    num_classes : int
        How many there are.
    classes : ndarray of int32, (n,)
        The class of each sample.
    filenames, filepaths : list of str
        The file of each sample, or of a clip's newest frame: relative to the directory, and with it.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        image_data_generator: ImageDataGenerator,
        *,
        target_size: Sequence[int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        **options: Any,  # noqa: ANN401 - passed on
    ) -> None:
        generator = image_data_generator
        picture = checked_picture(target_size, color_mode, interpolation, keep_aspect_ratio)
        _check_mode(class_mode, _DIRECTORY_MODES)
        sampling = generator.sampling_of(class_mode)
        self.directory = os.fspath(directory)
        names = listed_classes(self.directory, classes)
        files: list[str] = []
        numbers: list[int] = []
        for number, name in enumerate(names):
            found = listed_files(self.directory, name, follow_links=follow_links)
            if sampling is None or sampling.flat:
                first, last = subset_range(subset, generator._validation_split, len(found))  # noqa: SLF001 - its maker
                found = found[first:last]
            files += found
            numbers += [number] * len(found)
        self.class_mode, self.subset = class_mode, subset
        self.target_size, self.color_mode, self.interpolation = picture.target_size, color_mode, interpolation
        self.keep_aspect_ratio, self.split = keep_aspect_ratio, subset
        self.num_classes = len(names)
        self.class_indices = {name: number for number, name in enumerate(names)}
        codes = np.asarray(numbers, np.int32)
        if not files and subset is None:
            raise DataError(
                f"directory={self.directory!r}: no {', '.join(FORMATS)} files below {first_few(names)}; the "
                "layout is directory/class/frame.jpg"
            )
        clips = _clips(files, codes, generator, sampling, subset)
        self._files_of = files if clips is None else [files[place] for place in clips.newest.tolist()]
        self.classes = codes if clips is None else codes[clips.newest]
        targets = _targets(class_mode, codes, clips, generator, sampling, classes=len(names))
        _say(len(self._files_of), len(names), clips=clips is not None)
        super().__init__(
            generator,
            FileList.of(files, self.directory),
            frame_shape(picture, channels_first=generator.channels_first),
            targets,
            n=len(self._files_of),
            picture=picture,
            time_steps=generator.time_steps,
            clips=clips,
            **options,
        )

    @property
    def filenames(self) -> list[str]:
        """The file of each sample, relative to the directory."""
        return self._files_of

    @property
    def filepaths(self) -> list[str]:
        """The file of each sample."""
        return [os.path.join(self.directory, name) for name in self._files_of]  # noqa: PTH118 - as given

    @property
    def labels(self) -> NDArray[np.int32]:
        """The class of each sample."""
        return self.classes


class DataFrameIterator(PictureIterator):
    """Samples that are files named in a table.

    Parameters
    ----------
    dataframe : pandas.DataFrame, or mapping of str to sequence
        Its columns.
    directory : path, optional
        What file names are relative to.
    image_data_generator : ImageDataGenerator
        What is done to them.
    x_col, y_col, weight_col, target_size, color_mode, classes, class_mode, subset, interpolation,
    keep_aspect_ratio, validate_filenames
        As for `ImageDataGenerator.flow_from_dataframe`.

    Attributes
    ----------
    class_indices : dict of str to int
        Where targets are classes.
    classes : list
        Of each sample, the number of its class or the list of its classes.
    filenames, filepaths : list of str
        The file of each sample, or of a clip's newest frame.
    """

    def __init__(
        self,
        dataframe: Any,  # noqa: ANN401 - pandas is no dependency
        directory: str | os.PathLike[str] | None,
        image_data_generator: ImageDataGenerator,
        *,
        x_col: str = "filename",
        y_col: Any = "class",  # noqa: ANN401 - a name or several
        weight_col: str | None = None,
        target_size: Sequence[int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        validate_filenames: bool = True,
        **options: Any,  # noqa: ANN401 - passed on
    ) -> None:
        generator = image_data_generator
        picture = checked_picture(target_size, color_mode, interpolation, keep_aspect_ratio)
        _check_mode(class_mode, _TABLE_MODES)
        sampling = generator.sampling_of(class_mode)
        self.directory, self.class_mode, self.subset = os.fspath(directory or ""), class_mode, subset
        self.target_size, self.color_mode, self.interpolation = picture.target_size, color_mode, interpolation
        table = _Table(dataframe, x_col, self.directory)
        if validate_filenames:
            table.keep_files()
        values: Any = None
        found: list[str] = []
        if class_mode in _CLASS_MODES:
            found, labels = _classes_of(table, y_col, class_mode, classes)
            self.class_indices = {name: number for number, name in enumerate(found)}
            values = [_numbered(label, self.class_indices) for label in labels]
        elif classes:
            _warn(f"classes= is ignored with class_mode={class_mode!r}")
        if sampling is None or sampling.flat:
            table.keep(range(*subset_range(subset, generator._validation_split, len(table))))  # noqa: SLF001 - its maker
            values = None if values is None else [values[place] for place in table.last_kept]
        elif len(set(table.names)) < len(table):
            values = _without_repeats(table, values)
        clips = _clips(table.names, _run_codes(values, len(table)), generator, sampling, subset, folders=False)
        if class_mode == "multi_output":
            values = tuple(np.array(table.column(name).tolist()) for name in _several(y_col))
        elif class_mode == "raw":
            values = table.matrix(y_col)
        weights = None if weight_col is None else table.column(weight_col)
        if weights is not None and weights.dtype.kind not in "iuf":
            raise WrongTypeError(f"weight_col={weight_col!r}: must hold numbers, not {weights.dtype}")
        targets = _targets(class_mode, values, clips, generator, sampling, classes=len(found), weights=weights)
        self._files_of, self._values = table.names, values
        if clips is not None:
            self._files_of = [table.names[place] for place in clips.newest.tolist()]
            self._values = _taken(values, clips.newest)
        if class_mode in _CLASS_MODES:
            self.classes = self._values
        _say(len(self._files_of), len(found) if class_mode in _CLASS_MODES else None, clips=clips is not None)
        super().__init__(
            generator,
            FileList.of(table.names, self.directory or "."),
            frame_shape(picture, channels_first=generator.channels_first),
            targets,
            n=len(self._files_of),
            picture=picture,
            time_steps=generator.time_steps,
            clips=clips,
            **options,
        )

    @property
    def filenames(self) -> list[str]:
        """The file of each sample, as the table has it."""
        return self._files_of

    @property
    def filepaths(self) -> list[str]:
        """The file of each sample."""
        return [os.path.join(self.directory, name) for name in self._files_of]  # noqa: PTH118 - as given

    @property
    def labels(self) -> Any:  # noqa: ANN401 - see Targets
        """The targets of each sample, before they are put into arrays."""
        return self._values

    @property
    def sample_weight(self) -> NDArray[Any] | None:
        """The weight of each sample."""
        return self._targets.weights


class _Table:
    """The columns of a table, and which of its rows are kept."""

    def __init__(self, frame: Any, x_col: str, directory: str) -> None:  # noqa: ANN401 - see DataFrameIterator
        self._frame, self._x_col, self._directory = frame, x_col, directory
        names = self._whole(x_col)
        self._rows = np.arange(len(names))
        wrong = [name for name in names if not isinstance(name, str)]
        if wrong:
            raise WrongTypeError(f"x_col={x_col!r}: must hold names of files, not {wrong[0]!r}")
        self.names: list[str] = [str(name) for name in names]
        self.last_kept: list[int] = list(range(len(names)))

    def __len__(self) -> int:
        return len(self._rows)

    def _whole(self, name: str) -> Any:  # noqa: ANN401 - a column
        try:
            column = self._frame[name]
        except (KeyError, TypeError, IndexError):
            raise OptionError(
                f"the table has no column {name!r}; it has {first_few(list(self._frame))}"
            ) from None
        return np.asarray(column) if hasattr(column, "dtype") else _objects(column)

    def column(self, name: str) -> NDArray[Any]:
        """Return a column's rows that are kept."""
        found: NDArray[Any] = self._whole(name)[self._rows]
        return found

    def matrix(self, names: Any) -> NDArray[Any]:  # noqa: ANN401 - a name or several
        """Return a column, or several side by side."""
        if isinstance(names, str):
            return _numbers(self.column(names))
        return np.stack([_numbers(self.column(name)) for name in names], axis=1)

    def keep(self, places: Sequence[int]) -> None:
        """Keep some of the rows."""
        self.last_kept = list(places)
        self._rows = self._rows[self.last_kept]
        self.names = [self.names[place] for place in self.last_kept]

    def keep_files(self) -> None:
        """Keep rows whose file is there and a picture by its name."""
        good = [
            place
            for place, name in enumerate(self.names)
            if name.lower().endswith(FORMATS) and os.path.isfile(os.path.join(self._directory, name))  # noqa: PTH113, PTH118 - as given
        ]
        bad = len(self.names) - len(good)
        if bad:
            missing = next(name for place, name in enumerate(self.names) if place not in set(good))
            _warn(
                f"x_col={self._x_col!r}: {bad} of {len(self.names)} names are no picture in "
                f"{self._directory!r}, such as {missing!r}; these rows are left out"
            )
            self.keep(good)


def _objects(values: Any) -> NDArray[Any]:  # noqa: ANN401 - any sequence
    made = np.empty(len(values), object)
    made[:] = list(values)
    return made


def _numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Return a column as numbers, if that is what it holds."""
    if values.dtype != object:
        return values
    made = np.array(values.tolist())
    return made if made.ndim == 1 and made.dtype.kind in "biufc" else values


def _classes_of(
    table: _Table, y_col: Any, mode: str | None, given: Sequence[str] | None
) -> tuple[list[str], list[Any]]:  # noqa: ANN401 - a name, if right
    """Return the names of classes, and each row's; rows without a known class are left out."""
    if not isinstance(y_col, str):
        raise WrongTypeError(f"y_col={y_col!r}: class_mode={mode!r} takes one column")
    labels = table.column(y_col).tolist()
    allowed = (str, list, tuple) if mode == "categorical" else (str,)
    wrong = [label for label in labels if not isinstance(label, allowed)]
    if wrong:
        hint = "names, or lists of names" if mode == "categorical" else "names"
        raise WrongTypeError(
            f"y_col={y_col!r}: class_mode={mode!r} takes {hint}, not {wrong[0]!r}; give "
            f"dataframe[{y_col!r}].astype(str), or class_mode='raw' for numbers"
        )
    if given:
        names = list(dict.fromkeys(given))
        labels = [_known(label, names) for label in labels]
        kept = [place for place, label in enumerate(labels) if label]
        table.keep(kept)
        labels = [labels[place] for place in kept]
    else:
        names = sorted({name for label in labels for name in ([label] if isinstance(label, str) else label)})
    if mode == "binary" and len(names) != _BINARY:
        raise OptionError(f"class_mode='binary' needs 2 classes, not {len(names)}: {first_few(names)}")
    return names, labels


def _known(label: Any, names: list[str]) -> Any:  # noqa: ANN401 - a name, or several
    if isinstance(label, str):
        return label if label in names else None
    return [name for name in label if name in names] or None


def _numbered(label: Any, numbers: dict[str, int]) -> Any:  # noqa: ANN401 - as above
    return numbers[label] if isinstance(label, str) else [numbers[name] for name in label]


def _several(y_col: Any) -> list[str]:  # noqa: ANN401 - a list, if right
    if not isinstance(y_col, (list, tuple)):
        raise WrongTypeError(f"y_col={y_col!r}: class_mode='multi_output' takes a list of columns")
    return list(y_col)


def _run_codes(values: Any, count: int) -> NDArray[np.int64]:  # noqa: ANN401 - as Targets
    """Return a number for each row that is the same where classes are."""
    if values is None:
        return np.zeros(count, np.int64)
    known: dict[Any, int] = {}
    keys = (tuple(value) if isinstance(value, list) else value for value in values)
    return np.asarray([known.setdefault(key, len(known)) for key in keys], np.int64)


def _without_repeats(table: _Table, values: Any) -> Any:  # noqa: ANN401 - as Targets
    """Keep the first of rows with the same file, since a video shows each of its frames once."""
    first = {name: place for place, name in reversed(list(enumerate(table.names)))}
    kept = sorted(first.values())
    _warn(f"{len(table) - len(kept)} rows name a file that another one names; each frame is taken once, as there")
    table.keep(kept)
    return None if values is None else [values[place] for place in kept]


def _taken(values: Any, places: NDArray[np.int64]) -> Any:  # noqa: ANN401 - as Targets
    if values is None:
        return None
    if isinstance(values, tuple):
        return tuple(one[places] for one in values)
    return [values[place] for place in places.tolist()] if isinstance(values, list) else values[places]


def _clips(
    files: list[str],
    codes: NDArray[Any],
    generator: ImageDataGenerator,
    sampling: Sampling | None,
    subset: str | None,
    *,
    folders: bool = True,
) -> Clips | None:
    """Return the clips of a subset; None if samples are pictures."""
    fraction = generator._validation_split  # noqa: SLF001 - its maker
    _refuse_empty(len(files) if subset is None or fraction else 0, subset, generator)
    if sampling is None:
        return None
    names = [name.replace(os.sep, "/") for name in files]
    return sampling.clips(names, codes.astype(np.int64), folders=folders, fraction=fraction, subset=subset)


def _targets(
    mode: str | None,
    values: Any,  # noqa: ANN401 - see Targets
    clips: Clips | None,
    generator: ImageDataGenerator,
    sampling: Sampling | None,
    *,
    classes: int,
    weights: NDArray[Any] | None = None,
) -> Targets:
    if clips is None or sampling is None:
        return Targets(mode, values, classes=classes, weights=weights, dtype=generator.dtype)
    return ClipTargets(
        mode,
        values,
        clips=clips,
        labels=sampling.labels,
        classes=classes,
        weights=weights,
        dtype=generator.dtype,
    )


def _checked_axes(shape: tuple[int, ...], generator: ImageDataGenerator) -> int | None:
    """Return how many frames a clip has; None for pictures."""
    steps = generator.time_steps
    if steps is None and len(shape) != _FRAMES:
        hint = f"; for clips give ImageDataGenerator(time_steps={shape[1]})" * (len(shape) == _CLIPS)
        raise OptionError(f"x of shape {shape}: must have 4 axes, (N, H, W, C){hint}")
    if steps is not None and (len(shape) != _CLIPS or shape[1] != steps):
        raise OptionError(f"x of shape {shape}: with time_steps={steps} it must be (N, {steps}, H, W, C)")
    return steps


def warn_channels(shape: tuple[int, ...], axis: int, data_format: str) -> None:
    """Warn of frames that cannot be pictures."""
    if shape[axis] not in _PICTURE_CHANNELS:
        _warn(
            f"frames of shape {shape[1:]} have {shape[axis]} channels with data_format={data_format!r}, where "
            "pictures have 1, 3 or 4"
        )


def _refuse_empty(count: int, subset: str | None, generator: ImageDataGenerator) -> None:
    if count:
        return
    split = generator._validation_split  # noqa: SLF001 - its maker
    if subset is not None:
        raise OptionError(
            f"subset={subset!r} with validation_split={split!r} leaves no sample; give "
            "ImageDataGenerator(validation_split=0.2), or more data"
        )
    raise DataError("there are no samples")


def _check_mode(mode: object, modes: tuple[str | None, ...]) -> None:
    if mode not in modes:
        raise OptionError(f"class_mode={mode!r}: must be one of {', '.join(map(repr, modes))}")


def _is_batch(x: Any) -> bool:  # noqa: ANN401 - the user's
    """Whether this is an array of pictures, and not one picture of a list of them."""
    return isinstance(x, (str, os.PathLike)) or np.ndim(x) >= _FRAMES


def _say(samples: int, classes: int | None, *, clips: bool) -> None:
    what = "clips" if clips else "images"
    of = "" if classes is None else f" belonging to {classes} classes"
    print(f"Found {samples} {what}{of}.")  # noqa: T201 - as Keras does


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)


def listed_classes(directory: str, classes: Sequence[str] | None) -> list[str]:
    """Return the folders of classes.

    Raises
    ------
    NoFolderError
        The directory, or a class's folder, is missing.
    """
    if not os.path.isdir(directory):  # noqa: PTH112 - as the user wrote it
        raise NoFolderError(f"directory={directory!r}: there is no such folder")
    if classes:
        names = list(classes)
        missing = [name for name in names if not os.path.isdir(os.path.join(directory, name))]  # noqa: PTH112, PTH118 - as above
        if missing:
            raise NoFolderError(f"classes={names!r}: {directory!r} has no folder {first_few(missing)}")
        return names
    with os.scandir(directory) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
    if not names:
        raise DataError(
            f"directory={directory!r}: holds no folders, and each class is one: directory/class/frame.jpg. "
            "For pictures without classes put them into one folder there and give class_mode=None"
        )
    return names


def listed_files(directory: str, name: str, *, follow_links: bool) -> list[str]:
    """Return a class's pictures, relative to the directory: folders, then files, in plain order."""
    base = os.path.join(directory, name)  # noqa: PTH118 - names are kept as they are
    found = []
    for folder, _, files in sorted(os.walk(base, followlinks=follow_links), key=lambda walked: walked[0]):
        inside = os.path.relpath(folder, base)
        prefix = name if inside == "." else os.path.join(name, inside)  # noqa: PTH118 - as above
        found += [os.path.join(prefix, file) for file in sorted(files) if file.lower().endswith(FORMATS)]  # noqa: PTH118 - as above
    return found


def subset_range(subset: object, fraction: float, count: int) -> tuple[int, int]:
    """Return which of so many samples in a row belong to a subset, as Keras divides them."""
    if subset is None:
        return 0, count
    name = checked_choice(subset, "subset", ("training", "validation"))
    middle = int(fraction * count)
    return (0, middle) if name == "validation" else (middle, count)
