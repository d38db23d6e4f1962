"""The three flows of `ImageDataGenerator`: over arrays, over a directory, over a table of files.

Each finds its samples and their targets as Keras does, and leaves the rest to `PictureIterator`. With
clips (`clips`), `classes` and `filenames` have an item for each: those of its newest frame.
"""

from __future__ import annotations

import os
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base.files import ArrayList, FileList
from fastclips.compat._base.folders import FORMATS, NoFolderError, listed_classes, listed_files, subset_range
from fastclips.compat.image.clips import ClipTargets
from fastclips.compat.image.iterator import PictureIterator, Targets, checked_picture, frame_shape
from fastclips.compat.image.settings import warn_channels
from fastclips.compat.image.table import (
    Table,
    WrongTypeError,
    classes_of,
    numbered,
    run_codes,
    several,
    taken,
    without_repeats,
)
from fastclips.errors import DataError, OptionError
from fastclips.options import first_few

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from fastclips.compat.image.clips import Clips, Sampling
    from fastclips.compat.image.generator import ImageDataGenerator

__all__ = [
    "DataFrameIterator",
    "DirectoryIterator",
    "NoFolderError",
    "NumpyArrayIterator",
    "WrongTypeError",
]

_DIRECTORY_MODES = ("categorical", "binary", "sparse", "input", None)
_TABLE_MODES = ("categorical", "binary", "sparse", "input", "multi_output", "raw", None)
_CLASS_MODES = ("categorical", "binary", "sparse")
_FRAMES, _CLIPS = 4, 5  # axes


class NumpyArrayIterator(PictureIterator):
    """Samples that are rows of an array.

    Parameters
    ----------
    x : array_like, path or (array_like, array_like or list)
        Pictures (N, H, W, C), or clips (N, T, H, W, C) where the generator has `time_steps`; a .npy file by
        its path; or a pair with further inputs, (N, ...) each.
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
                    f"subset=: y has other classes in the validation part, its first {middle} rows, than in "
                    "the rest; shuffle x and y alike first, or give ignore_class_split=True"
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


class _FileIterator(PictureIterator):
    """Samples that are files; what both flows over files tell of them."""

    directory: str
    _storage: FileList

    @cached_property
    def filenames(self) -> list[str]:
        """The file of each sample, relative to the directory or as the table has it; of a clip the newest."""
        names = self._storage.names
        return [names[place] for place in self._shown()]

    @property
    def filepaths(self) -> list[str]:
        """The file of each sample."""
        return [os.path.join(self.directory, name) for name in self.filenames]  # noqa: PTH118 - as given

    def _shown(self) -> Iterable[int]:
        return range(self.n) if self._clips is None else self._clips.newest.tolist()


class DirectoryIterator(_FileIterator):
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
        samples = len(files) if clips is None else len(clips)
        self.classes = codes if clips is None else codes[clips.newest]
        targets = _targets(class_mode, codes, clips, generator, sampling, classes=len(names))
        _say(samples, len(names), clips=clips is not None)
        super().__init__(
            generator,
            FileList.of(files, self.directory),
            frame_shape(picture, channels_first=generator.channels_first),
            targets,
            n=samples,
            picture=picture,
            time_steps=generator.time_steps,
            clips=clips,
            **options,
        )

    @property
    def labels(self) -> NDArray[np.int32]:
        """The class of each sample."""
        return self.classes


class DataFrameIterator(_FileIterator):
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
        table = Table(dataframe, x_col, self.directory)
        if validate_filenames:
            table.keep_files()
        values: Any = None
        found: list[str] = []
        if class_mode in _CLASS_MODES:
            found, labels = classes_of(table, y_col, class_mode, classes)
            self.class_indices = {name: number for number, name in enumerate(found)}
            values = [numbered(label, self.class_indices) for label in labels]
        elif classes:
            _warn(f"classes= is ignored with class_mode={class_mode!r}")
        if sampling is None or sampling.flat:
            table.keep(range(*subset_range(subset, generator._validation_split, len(table))))  # noqa: SLF001 - its maker
            values = None if values is None else [values[place] for place in table.last_kept]
        elif len(set(table.names)) < len(table):
            values = without_repeats(table, values)
        clips = _clips(table.names, run_codes(values, len(table)), generator, sampling, subset, folders=False)
        if class_mode == "multi_output":
            values = tuple(np.array(table.column(name).tolist()) for name in several(y_col))
        elif class_mode == "raw":
            values = table.matrix(y_col)
        weights = None if weight_col is None else table.weights(weight_col)
        targets = _targets(
            class_mode, values, clips, generator, sampling, classes=len(found), weights=weights
        )
        samples = len(table) if clips is None else len(clips)
        self._values = values if clips is None else taken(values, clips.newest)
        if class_mode in _CLASS_MODES:
            self.classes = self._values
        _say(samples, len(found) if class_mode in _CLASS_MODES else None, clips=clips is not None)
        super().__init__(
            generator,
            FileList.of(table.names, self.directory or "."),
            frame_shape(picture, channels_first=generator.channels_first),
            targets,
            n=samples,
            picture=picture,
            time_steps=generator.time_steps,
            clips=clips,
            **options,
        )

    @property
    def labels(self) -> Any:  # noqa: ANN401 - see Targets
        """The targets of each sample, before they are put into arrays."""
        return self._values

    @property
    def sample_weight(self) -> NDArray[Any] | None:
        """The weight of each sample."""
        return self._targets.weights


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
