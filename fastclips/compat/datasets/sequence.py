"""`DataGenerator`: the `Sequence` over images and masks that tutorials hand on, for Keras 2 and 3.

Its arguments are ``list_IDs, image_path, mask_path, to_fit=True, batch_size=32, dim=(256, 256), n_channels=1,
n_classes=10, shuffle=True``, or the same with ``labels`` after `list_IDs`, where ids are keys or places of
file names. What differs from most of its copies:

======================================  ===============================================================
what they do                            here
======================================  ===============================================================
``image_path + name``                   the folder's files, with or without a ``/`` at its end; ids with or
                                        without an extension; a mask may have another one than its image
pictures must have the size `dim`       they are resized to it: images bilinearly, masks to the nearest
x float64, ``/ 255``                    float32, ``/ 255``; ``rescale=None`` leaves 0 to 255
gray by OpenCV's formula, from RGB      of a JPEG its own luma, else Pillow's formula: up to 2 of 255 apart
y is ``mask / 255`` as int, so          one-hot, float32 (B, H, W, n_classes), by the values in the file;
`n_classes` is never used               ``one_hot=False`` serves these, uint8 (B, H, W)
0 and 255 are one class and another     for ``n_classes=1``, or with ``values={255: 1}``; else an error
the last, smaller batch is left out     it is served; ``drop_last=True`` leaves it out
``to_fit=False`` shuffles, so that      it keeps the order of `list_IDs`, and every id
predictions belong to nobody
NumPy's global generator                one of its own, with ``seed=``
JPEG masks                              refused, since JPEG changes values; all 256 ``values=`` allow them
======================================  ===============================================================

``keras.utils.to_categorical`` on y is not needed any more.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base.epochs import Epochs
from fastclips.compat._base.files import FileList
from fastclips.compat.datasets.frame_spec import FrameSpec, Masks
from fastclips.data.names import stem
from fastclips.data.opening import mask_options
from fastclips.data.scan import FRAME_EXTENSIONS
from fastclips.errors import DataError, OptionError
from fastclips.options import checked_bool, checked_int, first_few
from fastclips.spec import Stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["DataGenerator"]

_COLOR_MODES = {1: "grayscale", 3: "rgb"}


class DataGenerator(Epochs):
    """Images and masks by their ids, as batches for ``fit`` and ``predict``.

    Parameters
    ----------
    list_IDs : iterable of str or int
        Which images, in order: file names in `image_path`, with or without their extension, perhaps with
        folders before them. The mask of an image has its name, perhaps with another extension.
    labels : mapping or sequence, optional
        File names by id, ``labels[id]``. May stand after `list_IDs`, as in the tutorial.
    image_path : path
        Folder of the images: JPEG, PNG, BMP or TIFF.
    mask_path : path, optional
        Folder of the masks; needed with `to_fit`.
    to_fit : bool
        Whether batches are (x, y); otherwise x alone, in the order of `list_IDs`.
    batch_size : int
        Images in a batch; the last one of an epoch may be smaller.
    dim : (int, int)
        Height and width that images and masks are resized to, in pixels.
    n_channels : {1, 3}
        Gray or RGB.
    n_classes : int
        Values of masks: 0 to ``n_classes - 1``. With 1, whatever is not 0 is that class.
    shuffle : bool
        Whether each epoch has an order of its own; for `to_fit` alone.
    one_hot : bool
        Whether y is float32 (B, H, W, n_classes), rather than uint8 (B, H, W).
    values : mapping or sequence of 256 int, optional
        What becomes of each value of a mask, as for `fastclips.open`: ``{255: 1}``.
    colors : mapping of (int, int, int) to int, optional
        What each colour of RGB masks means, likewise.
    ignore : int, optional
        A value that is no class: all zeros in one-hot masks, and left as it is in others.
    rescale : float or None
        What x is multiplied by; None leaves 0 to 255.
    seed : int, optional
        Of the order, 0 to 2**32 - 1. Without it, one is drawn.
    drop_last : bool
        Whether a last, smaller batch is left out.
    workers : int, optional
        Worker processes; as many as there are cores by default; 0 does the work in the caller.
    memory : str or int
        Ceiling for the workers' batches in shared memory.

    Attributes
    ----------
    list_IDs : list
        As given.
    indexes : ndarray of int64
        The present epoch's order: places in `list_IDs`.

    Raises
    ------
    OptionError
        An argument is out of range or does not go with another, or `labels` lack an id.
    DataError
        A folder is not there, or lacks files.

    Examples
    --------
    >>> training = DataGenerator(ids, "images/", "masks/", batch_size=8, n_channels=3)  # doctest: +SKIP
    >>> model.fit(training, epochs=10)  # doctest: +SKIP
    >>> model.predict(DataGenerator(others, "images/", to_fit=False, n_channels=3))  # doctest: +SKIP
    """

    def __init__(self, list_IDs: Iterable[Any], *arguments: Any, **options: Any) -> None:  # noqa: ANN401, N803 - the tutorial's
        if arguments and not isinstance(arguments[0], (str, os.PathLike)):
            options["labels"], *arguments = arguments  # type: ignore[assignment] # a list will do
        self._set(list_IDs, *arguments, **options)

    def _set(
        self,
        list_IDs: Iterable[Any],  # noqa: N803 - the tutorial's
        image_path: str | os.PathLike[str],
        mask_path: str | os.PathLike[str] | None = None,
        to_fit: bool = True,
        batch_size: int = 32,
        dim: tuple[int, int] = (256, 256),
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
        self.to_fit = checked_bool(to_fit, "to_fit")
        self.dim, self.n_classes = _checked_dim(dim), checked_int(n_classes, "n_classes", 1, 257)
        if n_channels not in _COLOR_MODES:
            raise OptionError(f"n_channels={n_channels!r}: must be 1 (gray) or 3 (RGB)")
        self.n_channels, self._color_mode = int(n_channels), _COLOR_MODES[n_channels]
        self._scale = 1.0 if rescale is None else _checked_scale(rescale)
        one_hot, shuffle = checked_bool(one_hot, "one_hot"), checked_bool(shuffle, "shuffle")
        drop_last = checked_bool(drop_last, "drop_last")
        names = _names(self.list_IDs, labels)
        images = find_files(names, image_path, "image_path")
        self._files, self._masks = FileList.of(images, os.curdir), None
        if self.to_fit:
            if mask_path is None:
                raise OptionError("mask_path=None: masks are needed to fit; to_fit=False serves images alone")
            options = mask_options(colors, values, 255 if ignore is None else ignore)
            stream = Stream("mask", mask=True, **options)
            masks = FileList.of(find_files(names, mask_path, "mask_path"), os.curdir)
            self._masks = Masks(masks, stream, self.n_classes, one_hot, ignore)
        super().__init__(
            len(names),
            batch_size,
            shuffle and self.to_fit,
            seed,
            drop_last=drop_last and self.to_fit,
            workers=workers,
            memory=memory,
        )

    @property
    def indexes(self) -> NDArray[np.int64]:
        """The present epoch's order: places in `list_IDs`."""
        return self.index_array

    def spec(self) -> FrameSpec:
        """Return how a batch is rendered."""
        return FrameSpec(
            self._files,
            self.rows,
            self.ticket_dtype,
            self.dim,
            clips=False,
            color_mode=self._color_mode,
            scale=self._scale,
            masks=self._masks,
        )

    def assemble(
        self,
        arrays: Mapping[str, NDArray[Any]],
        rows: NDArray[np.int64],  # noqa: ARG002 - Iterator's
    ) -> Any:  # noqa: ANN401 - as above
        """Return x or (x, y)."""
        return (arrays["x"], arrays["y"]) if self.to_fit else arrays["x"]


def find_files(names: Sequence[str], folder: str | os.PathLike[str], knob: str) -> list[str]:
    """Find files by their names, with or without an extension, or with that of a partner.

    Parameters
    ----------
    names : sequence of str
        Names, perhaps with folders before them.
    folder : path
        Where they lie.
    knob : str
        What it was given as.

    Returns
    -------
    list of str
        A path for each name.

    Raises
    ------
    DataError
        There is no such folder, or there is no file, or more than one, for a name.
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
                f"{knob}={top!r}: {first_few(choices)} could all be {name!r}; give ids with their extension, "
                "or remove all but one"
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
    """Return a folder's pictures: by ``/`` and their name, and by their name without extension."""
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
        return [str(one) for one in ids]
    names = []
    for one in ids:
        try:
            names.append(os.fspath(labels[one]))
        except (LookupError, TypeError) as error:
            raise OptionError(
                f"labels= has no file name for the id {one!r} ({type(error).__name__}: {error})"
            ) from error
    return names


def _checked_ids(ids: Iterable[Any]) -> list[Any]:
    if isinstance(ids, (str, bytes)):
        raise OptionError(f"list_IDs={ids!r}: must be a list of ids, as from os.listdir(image_path)")
    try:
        found = list(ids.tolist() if isinstance(ids, np.ndarray) else ids)
    except TypeError:
        raise OptionError(f"list_IDs={ids!r}: must be a list of ids") from None
    if not found:
        raise OptionError("list_IDs is empty: there is nothing to serve")
    return found


def _checked_dim(dim: object) -> tuple[int, int]:
    pair = tuple(dim) if isinstance(dim, (tuple, list)) else ()
    if len(pair) != 2:  # noqa: PLR2004 - height and width
        raise OptionError(f"dim={dim!r}: must be (height, width)")
    return checked_int(pair[0], "dim", 1), checked_int(pair[1], "dim", 1)


def _checked_scale(rescale: object) -> float:
    try:
        scale = float(rescale)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        scale = np.nan
    if not np.isfinite(scale) or isinstance(rescale, bool):
        raise OptionError(f"rescale={rescale!r}: must be a number, or None")
    return scale
