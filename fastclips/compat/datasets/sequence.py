"""`DataGenerator`: the `Sequence` over images and masks that many tutorials use, for Keras 2 and 3.

Its arguments are ``list_IDs, image_path, mask_path, to_fit=True, batch_size=32, dim=(256, 256), n_channels=1,
n_classes=10, shuffle=True``, or the same with ``labels`` after `list_IDs`; then ids are keys or indices of
file names. Differences from most copies of it:

======================================  ===============================================================
they                                    here
======================================  ===============================================================
open ``image_path + name``              the files of the folder, with or without a ``/`` at its end; ids with
                                        or without an extension; a mask may have another one than its image
need pictures of the size `dim`         pictures are resized to it: images bilinearly, masks by nearest
                                        neighbour
serve x as float64, ``/ 255``           float32, ``/ 255``; ``rescale=None`` leaves 0 to 255
convert to gray by OpenCV, from RGB     a JPEG's own luma, else Pillow's formula: a few of 255 apart
serve y as ``mask / 255``, as int, and  one-hot, float32 (B, H, W, n_classes), by the values in the file;
never use `n_classes`                   ``one_hot=False`` serves the values, uint8 (B, H, W)
take 0 and 255 for two classes          with ``n_classes=1``, or ``values={255: 1}``; else an error
leave out the last, smaller batch       it is served; ``drop_last=True`` leaves it out
shuffle with ``to_fit=False``, so       it keeps the order of `list_IDs`, and every id
predictions fit no id
use NumPy's global generator            each has its own, with ``seed=``
take JPEG masks                         refused, since JPEG changes values; all 256 ``values=`` allow them
======================================  ===============================================================

y needs no ``keras.utils.to_categorical``.

A tutorial's class of the same name, ``DataGenerator(list_IDs, labels, batch_size, dim, n_channels, n_classes,
shuffle)``, serves one array file and one class for each id. It becomes
``ImageDataGenerator().flow_from_dataframe`` for pictures, or `fastclips.open` of rows with ``path`` and
``label`` for folders of frames. The error of such a call says the same.
"""

from __future__ import annotations

import os
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastclips.compat._base.epochs import Epochs
from fastclips.compat._base.files import FileList
from fastclips.compat._base.fixed import AS_ARGUMENT
from fastclips.compat._base.pictures import Picture, checked_channels
from fastclips.compat._base.videos import Clips
from fastclips.compat.datasets.spec import FrameSpec, Masks
from fastclips.data.names import stem
from fastclips.data.scan import FRAME_EXTENSIONS
from fastclips.data.streams import mask_options
from fastclips.errors import DataError, OptionError
from fastclips.options import checked_bool, checked_int, checked_number, checked_size, first_few
from fastclips.spec import StreamSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["DataGenerator"]


_CLASSES = (
    "DataGenerator serves images and masks. For pictures with classes, use ImageDataGenerator()"
    ".flow_from_dataframe(table, folder, class_mode='raw'), where the table has columns 'filename' and "
    "'class'; for clips with classes, fastclips.open(rows, root=folder), where rows have 'path' and 'label'"
)


def _labels_may_follow(init: Callable[..., None]) -> Callable[..., None]:
    """Let `labels` follow `list_IDs`, too, as in the tutorial; the signature that is shown stays."""

    @wraps(init)
    def __init__(self: object, list_IDs: Iterable[Any], *arguments: Any, **options: Any) -> None:  # noqa: ANN401, N803, N807 - as `init`
        if arguments and not isinstance(arguments[0], (str, os.PathLike)):
            labels, *arguments = arguments  # type: ignore[assignment] # a list will do
            if "labels" in options:
                raise TypeError("DataGenerator() got multiple values for argument 'labels'")
            options["labels"] = labels
        init(self, list_IDs, *arguments, **options)

    return __init__


class DataGenerator(Epochs):
    """Batches of images and masks by their ids, for ``fit`` and ``predict``.

    Parameters
    ----------
    list_IDs : iterable of str or int
        The images, in order: file names in `image_path`, with or without extension, perhaps with folders
        before them. The mask of an image has its name, perhaps with another extension.
    image_path : path
        Folder of the images: JPEG, PNG, BMP or TIFF.
    mask_path : path, optional
        Folder of the masks; needed with `to_fit`.
    to_fit : bool
        Whether batches are (x, y); else x alone, in the order of `list_IDs`.
    batch_size : int
        Images in a batch; the last batch of an epoch may be smaller.
    dim : int or (int, int)
        Side, or height and width, that images and masks are resized to, in pixels.
    n_channels : {1, 3}
        Gray or RGB.
    n_classes : int
        Values of masks: 0 to ``n_classes - 1``. With 1, every value but 0 is the class.
    shuffle : bool
        Whether each epoch has an order of its own; only with `to_fit`.
    labels : mapping or sequence, optional
        File names by id, ``labels[id]``. May also be the second positional argument, as in the tutorial.
    one_hot : bool
        Whether y is float32 (B, H, W, n_classes), rather than uint8 (B, H, W).
    values : mapping or sequence of 256 int, optional
        New values by values of masks, as for `fastclips.open`: ``{255: 1}``.
    colors : mapping of (int, int, int) to int, optional
        Values by colours of RGB masks, as for `fastclips.open`.
    ignore : int, optional
        A value that is no class: all zeros in one-hot masks, kept in others.
    rescale : float or None
        Factor for x; None leaves 0 to 255.
    seed : int, optional
        Seed of the order, 0 to 2**32 - 1. By default, a seed is drawn.
    drop_last : bool
        Whether a last, smaller batch is left out.
    workers : int, optional
        Worker processes; by default as many as cores; with 0 the caller does the work.
    memory : str or int
        Ceiling for the workers' batches in shared memory.

    Attributes
    ----------
    list_IDs, labels, image_path, mask_path, to_fit, dim, n_channels, n_classes
        As given.
    indexes : ndarray of int64
        Order of the epoch that is served: indices of `list_IDs`.

    Raises
    ------
    OptionError
        If an argument is out of range or does not go with another, or `labels` lacks an id.
    DataError
        If a folder is missing, or lacks files.

    Examples
    --------
    >>> ids = ["frame_00001", "frame_00002", "frame_00003"]
    >>> training = fc.compat.DataGenerator(
    ...     ids, "frames/class_0/video_0", "masks/class_0/video_0", n_channels=3, n_classes=21, workers=0
    ... )
    >>> x, y = training[0]
    >>> x.shape, x.dtype, y.shape, y.dtype
    ((3, 256, 256, 3), dtype('float32'), (3, 256, 256, 21), dtype('float32'))
    """

    _fixed: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            ("list_IDs", "labels", "image_path", "mask_path", "to_fit", "dim", "n_channels", "n_classes"),
            AS_ARGUMENT,
        ),
        "indexes": "seed= and shuffle= decide the order",
    }
    _uncalled: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("_generate_X", "_generate_y", "_load_grayscale_image", "_DataGenerator__data_generation"),
        "change batches in an override of __getitem__, which calls super().__getitem__(index)",
    )  # of the tutorials

    @_labels_may_follow
    def __init__(
        self,
        list_IDs: Iterable[Any],  # noqa: N803 - the tutorial's
        image_path: str | os.PathLike[str] | None = None,
        mask_path: str | os.PathLike[str] | None = None,
        to_fit: bool = True,
        batch_size: int = 32,
        dim: int | tuple[int, int] = (256, 256),
        n_channels: int = 1,
        n_classes: int = 10,
        shuffle: bool = True,
        *,
        labels: Mapping[Any, str] | Sequence[str] | None = None,
        one_hot: bool = True,
        values: Mapping[int, int] | Sequence[int] | None = None,
        colors: Mapping[tuple[int, int, int], int] | None = None,
        ignore: int | None = None,
        rescale: float | None = 1 / 255,
        seed: int | None = None,
        drop_last: bool = False,
        workers: int | None = None,
        memory: str | int = "1GiB",
    ) -> None:
        self.list_IDs = _checked_ids(list_IDs)
        self.labels, self.image_path, self.mask_path = labels, image_path, mask_path
        names = _names(self.list_IDs, labels)
        if image_path is None:
            raise OptionError(f"image_path=None: must be the folder of the images. {_CLASSES}")
        self.to_fit = checked_bool(to_fit, "to_fit")
        self.dim, self.n_classes = checked_size(dim, "dim"), checked_int(n_classes, "n_classes", 1, 257)
        self.n_channels = checked_channels(n_channels, "n_channels")
        self._scale = 1.0 if rescale is None else checked_number(rescale, "rescale")
        one_hot, shuffle = checked_bool(one_hot, "one_hot"), checked_bool(shuffle, "shuffle")
        drop_last = checked_bool(drop_last, "drop_last")
        images = find_files(names, image_path, "image_path")
        self._files, self._masks = FileList.of(images, os.curdir), None
        if self.to_fit:
            if mask_path is None:
                raise OptionError(
                    "mask_path=None: must be a folder with to_fit=True; to_fit=False serves images alone"
                )
            options = mask_options(colors, values, 255 if ignore is None else ignore)
            stream = StreamSpec("mask", kind="mask", **options)
            masks = FileList.of(find_files(names, mask_path, "mask_path"), os.curdir)
            self._masks = Masks(masks, stream, self.n_classes, one_hot, ignore)
        super().__init__(
            Clips.flat(len(names)),
            batch_size,
            shuffle and self.to_fit,
            seed,
            drop_last=drop_last and self.to_fit,
            workers=workers,
            memory=memory,
        )

    @property
    def indexes(self) -> NDArray[np.int64]:
        """Order of the epoch that is served: indices of `list_IDs`."""
        return self.index_array

    def spec(self) -> FrameSpec:
        """Return how a batch is rendered."""
        return FrameSpec(
            self._files,
            self.rows,
            self.ticket_dtype,
            Picture(self.dim, "rgb" if self.n_channels > 1 else "grayscale", "bilinear"),
            clips=False,
            scale=self._scale,
            masks=self._masks,
        )


def find_files(names: Sequence[str], folder: str | os.PathLike[str], knob: str) -> list[str]:
    """Return the path of a file for each name, with or without its extension, or with another one.

    Raises
    ------
    DataError
        If the folder is missing, or there is no file, or more than one, for a name.
    """
    top = os.fspath(folder)
    listings: dict[str, dict[str, list[str]]] = {}
    found, missing = [], []
    for name in names:
        parent, base = os.path.split(name)
        path = os.path.join(top, parent) if parent else top  # noqa: PTH118 - a Path for each would take long
        if path not in listings:
            listings[path] = _listing(path, knob)
        files = listings[path]
        bare = stem(base) if base.lower().endswith(FRAME_EXTENSIONS) else base
        choices = files.get(f"/{base}") or files.get(base) or files.get(bare) or []
        if len(choices) > 1:
            raise DataError(
                f"{knob}={top!r}: {first_few(choices)} could all be {name!r}; give ids with their "
                "extension, or remove all but one"
            )
        missing += [] if choices else [name]
        found += [os.path.join(path, choice) for choice in choices]  # noqa: PTH118 - as above
    if missing:
        there = first_few(sorted(name[1:] for name in listings[path] if name.startswith("/")))
        raise DataError(
            f"{knob}={top!r}: {len(missing)} of {len(names)} ids have no file there: {first_few(missing)}; "
            f"it has {there or 'no pictures'}"
        )
    return found


def _listing(folder: str, knob: str) -> dict[str, list[str]]:
    """Return a folder's pictures by ``/`` and their name, and by their name without extension."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - as above
    except OSError as error:
        raise DataError(f"{knob}={folder!r}: cannot be listed: {error.strerror}") from error
    found: dict[str, list[str]] = {}
    for name in names:
        if name.lower().endswith(FRAME_EXTENSIONS):
            found[f"/{name}"] = [name]
            found.setdefault(stem(name), []).append(name)
    return found


def _names(ids: Sequence[Any], labels: Mapping[Any, str] | Sequence[str] | None) -> list[str]:
    if labels is None:
        return [str(key) for key in ids]
    names = []
    for key in ids:
        try:
            name = labels[key]
        except (LookupError, TypeError) as error:
            raise OptionError(
                f"labels= has no file name for the id {key!r} ({type(error).__name__}: {error}). {_CLASSES}"
            ) from error
        if not isinstance(name, (str, os.PathLike)):
            raise OptionError(f"labels[{key!r}]={name!r}: must be the name of a file. {_CLASSES}")
        names.append(os.fspath(name))
    return names


def _checked_ids(ids: Iterable[Any]) -> list[Any]:
    if isinstance(ids, (str, bytes)):
        raise OptionError(f"list_IDs={ids!r}: must be a list of ids, such as os.listdir(image_path)")
    try:
        found = list(ids.tolist() if isinstance(ids, np.ndarray) else ids)
    except TypeError:
        raise OptionError(f"list_IDs={ids!r}: must be a list of ids") from None
    if not found:
        raise OptionError("list_IDs=[]: must hold at least one id")
    return found
