"""`image_dataset_from_directory`, and the iterator over clips or images of a folder that it returns."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastclips.compat._base.epochs import TensorFlowMethods
from fastclips.compat._base.fixed import AGAIN, AS_ARGUMENT
from fastclips.compat._base.folders import checked_fraction
from fastclips.compat._base.iterator import checked_batch, drawn_seed
from fastclips.compat._base.keras import checked_data_format
from fastclips.compat._base.pictures import CHANNELS, Picture
from fastclips.compat.datasets.listing import find_videos
from fastclips.compat.datasets.spec import INTERPOLATIONS, FrameSpec
from fastclips.errors import OptionError
from fastclips.options import checked_bool, checked_choice, checked_int, checked_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.compat._base.videos import Clips
    from fastclips.compat.datasets.listing import Found

__all__ = ["FolderDataset", "image_dataset_from_directory"]


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
        Batches x or (x, y), x float32 0 to 255, (B, T, H, W, C), or (B, H, W, C) without `time_steps`. Each
        loop serves an epoch of its own, as NumPy arrays. The methods of a `tf.data.Dataset`, such as
        ``cache()`` and ``prefetch(n)``, return one, of tensors.

    Raises
    ------
    OptionError
        If an argument is out of range or does not go with another, or a part has no video.
    DataError
        If the folder, or a file in it, is missing, or no video of a part is long enough.

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
    batch_size, shuffle = checked_batch(batch_size), checked_bool(shuffle, "shuffle")
    share = _checked_split(validation_split, subset)
    if share and shuffle and seed is None:
        raise OptionError(
            f"validation_split={validation_split!r} with shuffle=True: needs a seed=, so that training and "
            "validation do not overlap"
        )
    seed = drawn_seed() if seed is None else checked_int(seed, "seed", 0, 2**32)
    picture = Picture(
        checked_size(image_size, "image_size"),
        checked_choice(color_mode, "color_mode", tuple(CHANNELS)),
        checked_choice(interpolation, "interpolation", INTERPOLATIONS),
        _checked_aspect(crop_to_aspect_ratio, pad_to_aspect_ratio),
        checked_data_format(data_format) == "channels_first",
    )
    clips = time_steps is not None
    if not clips and (step is not None or dilation != 1):
        raise OptionError(f"step={step!r}, dilation={dilation!r}: need time_steps=, since they are for clips")
    steps = checked_int(time_steps, "time_steps", 1) if clips else 1
    dilation = checked_int(dilation, "dilation", 1)
    every = dilation * (steps - 1) + 1 if step is None else checked_int(step, "step", 1)
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
            found.runs.take(parts[name]).clips(steps, every, dilation, subset and name),
            picture,
            clips,
            batch_size,
            shuffle and not (subset == "both" and name == "validation"),
            seed,
            workers=workers,
            memory=memory,
        )
        for name in wanted
    ]
    return made if subset == "both" else made[0]


class FolderDataset(TensorFlowMethods):
    """Batches of clips or images of a folder; made by `image_dataset_from_directory`.

    Parameters
    ----------
    found : Found
        Content of the folder.
    clips : Clips
        The files of each sample.
    picture : Picture
        How files become frames.
    timed : bool
        Whether samples have an axis of time.
    *arguments, **options
        As for `fastclips.compat._base.iterator.Iterator`.

    Attributes
    ----------
    class_names : list of str or None
        Names of the classes, in the order of the labels.
    file_paths : list
        The path of each sample, in the order without `shuffle`; for clips, lists of the paths of their
        frames.
    """

    _fixed: ClassVar[Mapping[str, str]] = {
        "class_names": AS_ARGUMENT,
        "file_paths": AGAIN,
    }

    def __init__(
        self,
        found: Found,
        clips: Clips,
        picture: Picture,
        timed: bool,
        *arguments: Any,  # noqa: ANN401 - passed on
        **options: Any,  # noqa: ANN401 - passed on
    ) -> None:
        self._found, self._picture, self._timed = found, picture, timed
        self.class_names = found.class_names
        self._labels = None if found.labels is None else found.labels[clips.newest]
        super().__init__(clips, *arguments, **options)

    @cached_property
    def file_paths(self) -> list[Any]:
        """The path of each sample, or the paths of its frames."""
        names, top = self._found.names, self._found.top
        rows = self.frames(np.arange(self.n)).tolist()
        paths = [[os.path.join(top, names[number]) for number in row] for row in rows]  # noqa: PTH118 - as given
        return paths if self._timed else [row[0] for row in paths]

    def spec(self) -> FrameSpec:
        """Return how a batch is rendered."""
        return FrameSpec(
            self._found.files, self.rows, self.ticket_dtype, self._picture, self._timed, fast_dct=True
        )

    def assemble(self, arrays: Mapping[str, NDArray[Any]]) -> Any:  # noqa: ANN401 - Iterator's
        """Return x or (x, y)."""
        x, mode = arrays["x"], self._found.label_mode
        if self._labels is None:
            return x
        labels = self._labels[arrays["samples"]]
        if mode == "categorical":
            return x, np.eye(len(self.class_names or ()), dtype=np.float32)[labels]
        return x, labels[:, None].astype(np.float32) if mode == "binary" else labels


def _checked_split(share: float | None, subset: str | None) -> float:
    if not share and subset is None:
        return 0.0
    if not share or subset is None:
        raise OptionError(
            f"validation_split={share!r} and subset={subset!r}: give both, as in validation_split=0.2, "
            'subset="training", or neither'
        )
    checked_choice(subset, "subset", ("training", "validation", "both"))
    return checked_fraction(share, "validation_split")


def _checked_aspect(crop: object, pad: object) -> str | None:
    crop, pad = checked_bool(crop, "crop_to_aspect_ratio"), checked_bool(pad, "pad_to_aspect_ratio")
    if crop and pad:
        raise OptionError("crop_to_aspect_ratio=True, pad_to_aspect_ratio=True: only one may be True")
    return "crop" if crop else "pad" if pad else None
