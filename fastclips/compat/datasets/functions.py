"""`timeseries_dataset_from_array` and `image_dataset_from_directory`: their arguments, checked."""

from __future__ import annotations

import os
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from fastclips.compat._base.arrays import ArrayRows
from fastclips.compat._base.iterator import drawn_seed
from fastclips.compat._base.keras import keras_setting
from fastclips.compat._base.pictures import CHANNELS, Picture, checked_size
from fastclips.compat.arrays.parts import Item, Part, Window
from fastclips.compat.datasets.frame_spec import INTERPOLATIONS
from fastclips.compat.datasets.iterators import FolderDataset, SeriesDataset
from fastclips.compat.datasets.listing import find_videos
from fastclips.errors import OptionError
from fastclips.options import checked_bool, checked_choice, checked_int, checked_workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = ["image_dataset_from_directory", "timeseries_dataset_from_array"]


def timeseries_dataset_from_array(
    data: ArrayLike | str | os.PathLike[str],
    targets: ArrayLike | str | os.PathLike[str] | None,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",  # noqa: A002 - Keras's
    *,
    workers: int | None = 0,
    memory: str | int = "1GiB",
) -> SeriesDataset:
    """Return batches of windows of an array, such as frames or other items in order of time.

    Parameters
    ----------
    data : array_like or path
        (N, ...), such as frames (N, H, W, C), of any dtype. A .npy file, given by its path or as
        ``np.load(path, mmap_mode="r")``, stays on disk.
    targets : array_like, path or None
        (M, ...): ``targets[i]`` belongs to the window that starts at ``data[i]``. None serves windows alone.
    sequence_length : int
        Items in a window.
    sequence_stride : int
        Items from the start of one window to the start of the next.
    sampling_rate : int
        Items from one item of a window to the next.
    batch_size : int
        Windows in a batch; the last batch may be smaller.
    shuffle : bool
        Whether each epoch has an order of its own.
    seed : int, optional
        Seed of the order, 0 to 2**32 - 1. By default, a seed is drawn.
    start_index, end_index : int, optional
        The first item of windows, and the first item after them.
    format : {"tf", "grain"}
        Makes no difference.
    workers : int, optional
        Worker processes. By default 0: a window is only a copy, so the caller makes it, straight from `data`.
        Workers help with slow disks, as they read ahead. None stands for the number of cores.
    memory : str or int
        Ceiling for the workers' batches in shared memory.

    Returns
    -------
    SeriesDataset
        Batches x (B, sequence_length, ...) or (x, y), y (B, ...), in the dtypes of `data` and `targets`.

    Raises
    ------
    OptionError
        If an argument is out of range, or no window fits.
    DataError
        If a file cannot be read.

    Examples
    --------
    >>> dataset = fc.compat.timeseries_dataset_from_array(np.arange(6), np.arange(6) * 10, 3, batch_size=2)
    >>> for x, y in dataset:
    ...     print(x.tolist(), y.tolist())
    [[0, 1, 2], [1, 2, 3]] [0, 10]
    [[2, 3, 4], [3, 4, 5]] [20, 30]
    """
    checked_choice(format, "format", ("tf", "grain"))
    shared = checked_workers(workers) > 0
    length = checked_int(sequence_length, "sequence_length", 1)
    stride = checked_int(sequence_stride, "sequence_stride", 1)
    rate = checked_int(sampling_rate, "sampling_rate", 1)
    rows = ArrayRows.open(data, "data", shared=shared)
    start = checked_int(0 if start_index is None else start_index, "start_index", 0, len(rows))
    end = checked_int(len(rows) if end_index is None else end_index, "end_index", start + 1, len(rows) + 1)
    stop = end - (length - 1) * rate  # windows begin before it
    parts: dict[str, Part] = {"x": Window(rows, length)}
    beside = ""
    if targets is not None:
        other = ArrayRows.open(targets, "targets", shared=shared)
        parts["y"], stop = Item(other), min(stop, len(other))
        beside = f" and {len(other)} targets"
    if stop <= start:
        raise OptionError(
            f"sequence_length={length} with sampling_rate={rate} spans {(length - 1) * rate + 1} items, but "
            f"there are {end - start} from {start} to {end}{beside}, so no window fits"
        )
    return SeriesDataset(
        parts,
        np.arange(start, stop, stride),
        rate * np.arange(length),
        _checked_batch(batch_size),
        shuffle,
        seed,
        workers=workers,
        memory=memory,
    )


def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: int | tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",  # noqa: A002 - Keras's
    verbose: bool = True,
    *,
    time_steps: int | None = None,
    step: int | None = None,
    dilation: int = 1,
    workers: int | None = None,
    memory: str | int = "1GiB",
) -> FolderDataset | list[FolderDataset]:
    """Return batches of clips, or images, of a folder whose folders are classes.

    With `time_steps`, a video is a folder of frames, ``class/video/frame.jpg``, in natural order. Frames that
    lie directly in the folder of a class belong to one video if their names differ only in the number at the
    end.

    Parameters
    ----------
    directory : path
        The folder.
    labels : "inferred", None or list of int
        The folders in it; none; or a label for each video (without `time_steps` each file), in the order of
        their paths.
    label_mode : {"int", "categorical", "binary"} or None
        int32 (B,), float32 (B, classes) one-hot, float32 (B, 1) of two classes, or no labels.
    class_names : list of str, optional
        Folders of classes in the order of their labels; other folders are left out.
    color_mode : {"rgb", "grayscale", "rgba"}
        3, 1 or 4 channels.
    batch_size : int
        Clips in a batch; the last batch may be smaller.
    image_size : int or (int, int)
        Side, or (height, width), of the frames, in pixels.
    shuffle : bool
        Whether each epoch has an order of its own.
    seed : int, optional
        Seed of the order and of the split, 0 to 2**32 - 1. By default, a seed is drawn.
    validation_split : float, optional
        Fraction of the videos, or files, to validate on, rounded down: the last ones, after shuffling if
        `shuffle` is on. Without `time_steps`, the same files as in Keras.
    subset : {"training", "validation", "both"}, optional
        Which part; both as a list, of which validation is not shuffled.
    interpolation : str
        ``"bilinear"``, ``"nearest"``, ``"bicubic"``, ``"area"``, ``"lanczos3"``, ``"lanczos5"``,
        ``"gaussian"`` or ``"mitchellcubic"``, as in `tf.image.resize`.
    follow_links : bool
        Whether links to folders are followed.
    crop_to_aspect_ratio, pad_to_aspect_ratio : bool
        Whether the proportions are kept, by cropping the frame or by zeros around it.
    data_format : {"channels_last", "channels_first"}, optional
        Order of axes; by default the setting of Keras if it is imported, else channels last.
    format : {"tf", "grain"}
        Makes no difference.
    verbose : bool
        Whether to print how much was found.
    time_steps : int, optional
        Frames of a clip, T; None serves images.
    step : int, optional
        Frames from the start of one clip of a video to the start of the next; by default clips neither
        overlap nor leave gaps.
    dilation : int
        Frames from one frame of a clip to the next.
    workers : int, optional
        Worker processes; by default as many as cores; with 0 the caller does the work.
    memory : str or int
        Ceiling for the workers' batches in shared memory.

    Returns
    -------
    FolderDataset, or list of two
        Batches x or (x, y), x float32 0 to 255, (B, T, H, W, C), or (B, H, W, C) without `time_steps`.

    Raises
    ------
    OptionError
        If an argument is out of range or does not go with another, or a part has no clip.
    DataError
        If the folder, or a file in it, is missing.

    Examples
    --------
    >>> training, validation = fc.compat.image_dataset_from_directory(
    ...     "frames/", image_size=32, time_steps=4, validation_split=0.2, subset="both", seed=0, workers=0
    ... )
    Found ... files of ... videos belonging to 2 classes.
    >>> x, y = next(training)
    >>> x.shape, x.dtype, y.shape, y.dtype
    ((..., 4, 32, 32, 3), dtype('float32'), (...,), dtype('int32'))
    """
    checked_choice(format, "format", ("tf", "grain"))
    batch_size, shuffle = _checked_batch(batch_size), checked_bool(shuffle, "shuffle")
    share = _checked_split(validation_split, subset)
    if share and shuffle and seed is None:
        raise OptionError(
            f"validation_split={validation_split!r} with shuffle=True: needs a seed=, so that training and "
            "validation do not overlap"
        )
    seed = drawn_seed() if seed is None else checked_int(seed, "seed", 0, 2**32)
    picture = Picture(
        checked_size(image_size, "image_size", square=True),
        checked_choice(color_mode, "color_mode", tuple(CHANNELS)),
        checked_choice(interpolation, "interpolation", INTERPOLATIONS),
        _checked_aspect(crop_to_aspect_ratio, pad_to_aspect_ratio),
        _checked_format(data_format),
    )
    clips = time_steps is not None
    if not clips and (step is not None or dilation != 1):
        raise OptionError(f"step={step!r}, dilation={dilation!r}: need time_steps=, since they are for clips")
    steps = checked_int(time_steps, "time_steps", 1) if clips else 1
    dilation = checked_int(dilation, "dilation", 1)
    offsets = dilation * np.arange(steps)
    span = int(offsets[-1]) + 1
    every = span if step is None else checked_int(step, "step", 1)
    found = find_videos(
        os.fspath(directory),
        labels,
        label_mode,
        class_names,
        follow_links=checked_bool(follow_links, "follow_links"),
        clips=clips,
    )
    if verbose:
        print(found.told())  # noqa: T201 - as Keras does
    parts = found.split(share, seed if shuffle else None)
    wanted = list(parts) if subset == "both" else [subset or "training"]
    made = [
        FolderDataset(
            found,
            found.cut(parts[name], steps, every, dilation, span),
            offsets if clips else None,
            picture,
            batch_size,
            shuffle and not (subset == "both" and name == "validation"),
            seed,
            workers=workers,
            memory=memory,
        )
        for name in wanted
    ]
    return made if subset == "both" else made[0]


def _checked_batch(batch_size: int | None) -> int:
    if batch_size is None:
        raise OptionError("batch_size=None: must be an integer from 1; give batch_size=1 for single samples")
    return checked_int(batch_size, "batch_size", 1)


def _checked_split(share: float | None, subset: str | None) -> float:
    if not share and subset is None:
        return 0.0
    if not share or subset is None:
        raise OptionError(
            f"validation_split={share!r} and subset={subset!r}: give both, as in validation_split=0.2, "
            'subset="training", or neither'
        )
    checked_choice(subset, "subset", ("training", "validation", "both"))
    if isinstance(share, bool) or not isinstance(share, Real) or not 0 < share < 1:
        raise OptionError(f"validation_split={share!r}: must be between 0 and 1")
    return float(share)


def _checked_aspect(crop: object, pad: object) -> str | None:
    crop, pad = checked_bool(crop, "crop_to_aspect_ratio"), checked_bool(pad, "pad_to_aspect_ratio")
    if crop and pad:
        raise OptionError("crop_to_aspect_ratio=True, pad_to_aspect_ratio=True: only one may be True")
    return "crop" if crop else "pad" if pad else None


def _checked_format(data_format: str | None) -> bool:
    """Return whether channels come first."""
    choices = ("channels_last", "channels_first")
    data_format = data_format or keras_setting("image_data_format", choices[0])
    return checked_choice(data_format, "data_format", choices) == choices[1]
