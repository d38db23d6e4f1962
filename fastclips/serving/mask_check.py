"""A warning for masks that teach nothing, from a look at a few of them.

Masks whose pixels all have one value, apart from `ignore`, train a model to nothing and raise no error. The
usual cause are binary masks of 0 and 255, where 255 is `ignore`.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from fastclips.data.storage import opened
from fastclips.errors import FrameError
from fastclips.pixels.decoding.decoder import MAX_PIXELS, Decoder
from fastclips.serving.frame_check import next_frame, spread_frames
from fastclips.spec import StreamSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from fastclips.data.dataset import Dataset

__all__ = ["describe_useless", "warn_of_useless_masks"]

_MOST = 32  # masks to look at; two values in the first one end the search


def warn_of_useless_masks(dataset: Dataset, names: Iterable[str], stacklevel: int = 1) -> None:
    """Warn of each mask stream, among the names, whose masks hold less than two values besides `ignore`."""
    used = set(names)
    for stream in dataset.streams:
        message = _warning(dataset, stream) if stream.mask and stream.name in used else None
        if message is not None:
            warnings.warn(message, stacklevel=stacklevel + 1)


def _warning(dataset: Dataset, stream: StreamSpec) -> str | None:
    """Look at masks until two values are found; return the warning if there are none."""
    index, storage, decoder = dataset.index, opened(dataset.storage), Decoder(stream, max_pixels=MAX_PIXELS)
    table = np.arange(256) if stream.values is None else np.array(stream.values)
    found, looked, where = np.zeros(256, bool), 0, ""
    for row, frame in spread_frames(index, _MOST, dataset.mixed):
        try:
            place, data = next_frame(index, storage, stream.name, row, frame)
            if data is None:
                continue
            pixels = decoder.decode(data).pixels
        except FrameError:  # raised or replaced when it is served
            continue
        found[table[np.bincount(pixels.ravel(), minlength=256) > 0]] = True
        where, looked = where or storage.where(*place), looked + 1
        if np.count_nonzero(found) - found[stream.ignore] > 1:
            return None
    return describe_useless(stream, found, looked, int(index.frame_counts.sum()), where)


def describe_useless(
    stream: StreamSpec, found: NDArray[np.bool_], looked: int, total: int, where: str = ""
) -> str | None:
    """Return the warning about masks that hold less than two values besides `ignore`, or None if they do.

    Parameters
    ----------
    stream : Stream
        The masks.
    found : ndarray of bool, (256,)
        Which values they hold.
    looked, total : int
        Number of masks that were looked at, and of frames.
    where : str
        Path of the first.
    """
    if not looked or np.count_nonzero(found) - found[stream.ignore] > 1:
        return None
    values = np.flatnonzero(found).tolist()
    shown = " and ".join(f"{value} (ignore)" if value == stream.ignore else str(value) for value in values)
    seen = f"all {looked:,} masks" if looked == total else f"all {looked:,} of {total:,} masks looked at"
    first = f" (first: {where})" if where else ""
    return (
        f"{stream.name!r}: {seen} hold nothing but {shown}{first}, so a model learns nothing from them; "
        f"{_remedy(stream, values)}"
    )


def _remedy(stream: StreamSpec, values: list[int]) -> str:
    changed = [knob for knob in ("colors", "values") if getattr(stream, knob) is not None]
    if changed:
        return f"check the values that {' and '.join(f'{knob}=' for knob in changed)} give to classes"
    if stream.ignore not in values:
        return "check the mask files"
    ignore = stream.ignore
    if ignore != StreamSpec.ignore:
        return f"if {ignore} is a class, open the dataset with another ignore="
    knob = f"values={{{ignore}: {1 if 1 not in values else 2}}}"
    if stream.own_size:
        knob = f"Stream(path, kind='mask', {knob})"
    return f"if {ignore} marks objects, open the dataset with {knob}"
