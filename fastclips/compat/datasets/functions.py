"""Keras's `timeseries_dataset_from_array` and `image_dataset_from_directory`, for clips.

The arguments are those of Keras 3, with a few more. What differs:

======================================  ===============================================================
Keras                                   here
======================================  ===============================================================
a `tf.data.Dataset`                     an iterator that ``fit``, ``evaluate`` and ``predict`` take on every
                                        backend; a loop over it serves one epoch, ``len()`` tells its
                                        batches. It reads ahead by itself; for ``map`` and the like there
                                        is ``to_tf_dataset()``
only images                             ``time_steps=8`` makes clips (B, T, H, W, C) of the frames of a
                                        folder, split by video; without it, images as in Keras
``shuffle`` within 8 batches            over everything, in an order of each epoch's own
arrays become one big constant          one in memory is used where it is, a .npy file stays on disk
labels in a list are shuffled in place  the caller's list is left alone
``start_index`` reads past targets      windows end where data or targets do
``end_index=len(data)`` is refused      it is the end
a split of 0 files trains on none       is refused
``batch_size=None``                     refused: a batch of 1 is ``batch_size=1``
``format="grain"``                      makes no difference
"nearest" gives uint8                   all interpolations give float32
gray of a PNG by libpng's formula       by Pillow's; of a JPEG its own luma, as in Keras
rgba refuses JPEG                       its alpha is 255
an error of TensorFlow's for a file     `fastclips.FrameError` with the file's path
======================================  ===============================================================

Pixels of `image_dataset_from_directory` agree with Keras's to 0.01, of 0 to 255, for every interpolation.
"""

from __future__ import annotations

import os
import sys
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from fastclips.compat._base.files import CHANNELS
from fastclips.compat.arrays.parts import Item, Part, Window, open_source
from fastclips.compat.datasets.frame_spec import INTERPOLATIONS
from fastclips.compat.datasets.iterators import FolderDataset, Picture, SeriesDataset
from fastclips.compat.datasets.listing import find_videos
from fastclips.errors import OptionError
from fastclips.options import checked_bool, checked_choice, checked_int, checked_workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = ["FolderDataset", "SeriesDataset", "image_dataset_from_directory", "timeseries_dataset_from_array"]


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
    """Serve windows of an array of frames, or of anything else that follows each other in time.

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
        Windows in a batch; the last one may be smaller.
    shuffle : bool
        Whether each epoch has an order of its own.
    seed : int, optional
        Of the order, 0 to 2**32 - 1. Without it, one is drawn.
    start_index, end_index : int, optional
        The first item that windows may hold, and the first one after it that they may not.
    format : {"tf", "grain"}
        Makes no difference.
    workers : int, optional
        Worker processes. A window is a copy, so by default it is made in the caller, straight from `data`;
        workers read ahead from slow disks. None is as many as there are cores.
    memory : str or int
        Ceiling for the workers' batches in shared memory.

    Returns
    -------
    SeriesDataset
        Batches x (B, sequence_length, ...) or (x, y), y (B, ...), in the dtypes of `data` and `targets`.

    Raises
    ------
    OptionError
        An argument is out of range, or no window fits.
    DataError
        A file cannot be read.

    Examples
    --------
    >>> dataset = timeseries_dataset_from_array("frames.npy", labels, 16, batch_size=8)  # doctest: +SKIP
    >>> model.fit(dataset, epochs=10)  # doctest: +SKIP
    """
    checked_choice(format, "format", ("tf", "grain"))
    shared = checked_workers(workers) > 0
    length = checked_int(sequence_length, "sequence_length", 1)
    stride = checked_int(sequence_stride, "sequence_stride", 1)
    rate = checked_int(sampling_rate, "sampling_rate", 1)
    source = open_source(data, "data", shared=shared)
    items = source.shape[0]
    start = checked_int(0 if start_index is None else start_index, "start_index", 0, items)
    end = checked_int(items if end_index is None else end_index, "end_index", start + 1, items + 1)
    stop = end - (length - 1) * rate  # windows begin before it
    parts: dict[str, Part] = {"x": Window(source, length)}
    beside = ""
    if targets is not None:
        other = open_source(targets, "targets", shared=shared)
        parts["y"], stop = Item(other), min(stop, other.shape[0])
        beside = f" and {other.shape[0]} targets"
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
    """Serve clips, or images, of a folder whose folders are classes.

    With `time_steps`, a video is a folder of frames, ``class/video/frame.jpg``, in natural order; frames that
    lie directly in a class are told apart by their names without the number at the end.

    Parameters
    ----------
    directory : path
        The folder.
    labels : "inferred", None or list of int
        The folders in it; nothing; or a label for each video (without `time_steps` each file), in the order
        of their paths.
    label_mode : {"int", "categorical", "binary"} or None
        int32 (B,), float32 (B, classes) one-hot, float32 (B, 1) of two classes, or no labels.
    class_names : list of str, optional
        The classes' folders in the order of their labels; others are left out.
    color_mode : {"rgb", "grayscale", "rgba"}
        3, 1 or 4 channels.
    batch_size : int
        Clips in a batch; the last one may be smaller.
    image_size : int or (int, int)
        Side, or (height, width), of the frames, in pixels.
    shuffle : bool
        Whether each epoch has an order of its own.
    seed : int, optional
        Of the order and of the split, 0 to 2**32 - 1. Without it, one is drawn.
    validation_split : float, optional
        Share of the videos, or files, to validate on, rounded down; those that come last, after they were
        shuffled if `shuffle` is on. The same files as in Keras, where there is no `time_steps`.
    subset : {"training", "validation", "both"}, optional
        Which part; both as a list, of which validation is not shuffled.
    interpolation : str
        ``"bilinear"``, ``"nearest"``, ``"bicubic"``, ``"area"``, ``"lanczos3"``, ``"lanczos5"``,
        ``"gaussian"`` or ``"mitchellcubic"``, as `tf.image.resize` has them.
    follow_links : bool
        Whether links to folders are followed.
    crop_to_aspect_ratio, pad_to_aspect_ratio : bool
        Whether the aspect is kept by cutting off what is too much, or by zeros around the frame.
    data_format : {"channels_last", "channels_first"}, optional
        As Keras is set, where it is imported; otherwise last.
    format : {"tf", "grain"}
        Makes no difference.
    verbose : bool
        Whether to print how much was found.
    time_steps : int, optional
        Frames in a clip; None serves images.
    step : int, optional
        Frames from the start of one clip of a video to the start of the next; by default clips neither
        overlap nor leave gaps.
    dilation : int
        Frames from one frame of a clip to the next.
    workers : int, optional
        Worker processes; as many as there are cores by default; 0 does the work in the caller.
    memory : str or int
        Ceiling for the workers' batches in shared memory.

    Returns
    -------
    FolderDataset, or list of two
        Batches x or (x, y), x float32 0 to 255, (B, T, H, W, C), or (B, H, W, C) without `time_steps`.

    Raises
    ------
    OptionError
        An argument is out of range or does not go with another, or a part has no clip.
    DataError
        The folder, or a file in it, is not there.

    Examples
    --------
    >>> training, validation = image_dataset_from_directory(  # doctest: +SKIP
    ...     "frames/", time_steps=8, validation_split=0.2, subset="both", seed=0
    ... )
    >>> model.fit(training, validation_data=validation)  # doctest: +SKIP
    """
    checked_choice(format, "format", ("tf", "grain"))
    batch_size, seed = _checked_batch(batch_size), _checked_seed(seed)
    shuffle = checked_bool(shuffle, "shuffle")
    share = _checked_split(validation_split, subset)
    if share and shuffle and seed is None:
        raise OptionError(
            "validation_split= of shuffled videos needs a seed=, so that its two parts do not overlap"
        )
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    picture = Picture(
        checked_choice(color_mode, "color_mode", tuple(CHANNELS)),
        _checked_size(image_size),
        checked_choice(interpolation, "interpolation", INTERPOLATIONS),
        _checked_aspect(crop_to_aspect_ratio, pad_to_aspect_ratio),
        _checked_format(data_format),
    )
    clips = time_steps is not None
    if not clips and (step is not None or dilation != 1):
        raise OptionError(f"step={step!r} and dilation={dilation!r} are of clips: give time_steps= too")
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
        raise OptionError("batch_size=None: batches of one sample are batch_size=1")
    return checked_int(batch_size, "batch_size", 1)


def _checked_seed(seed: int | None) -> int | None:
    return None if seed is None else checked_int(seed, "seed", 0, 2**32)


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
        raise OptionError(f"validation_split={share!r}: must lie between 0 and 1")
    return float(share)


def _checked_size(size: object) -> tuple[int, int]:
    pair = tuple(size) if isinstance(size, (list, tuple)) else (size, size)
    if len(pair) != 2:  # noqa: PLR2004 - height and width
        raise OptionError(f"image_size={size!r}: must be one integer, or (height, width)")
    return checked_int(pair[0], "image_size", 1), checked_int(pair[1], "image_size", 1)


def _checked_aspect(crop: object, pad: object) -> str | None:
    crop, pad = checked_bool(crop, "crop_to_aspect_ratio"), checked_bool(pad, "pad_to_aspect_ratio")
    if crop and pad:
        raise OptionError("crop_to_aspect_ratio=True and pad_to_aspect_ratio=True: choose one")
    return "crop" if crop else "pad" if pad else None


def _checked_format(data_format: str | None) -> bool:
    """Return whether channels come first."""
    keras = sys.modules.get("keras")
    if data_format is None and keras is not None:
        data_format = keras.config.image_data_format()
    choices = ("channels_last", "channels_first")
    return checked_choice(data_format or choices[0], "data_format", choices) == choices[1]
