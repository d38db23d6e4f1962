"""A look at the headers of a few frames, before training: damaged files and masks of several modes.

A frame that is served late in an epoch would be found late. So a few frames of each stream, spread over the
videos, are read when a loader is made, and their headers are compared. Only masks are decoded, one for each
mode.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastclips.data.mixed_storage import are_decoded
from fastclips.data.storage import opened
from fastclips.errors import DamageError, FrameError
from fastclips.pixels.decoding.decoder import MAX_PIXELS, Decoder, frame_mode, frame_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fastclips.data.dataset import Dataset
    from fastclips.data.index import Index
    from fastclips.data.sets import Sets
    from fastclips.data.storage import Storage
    from fastclips.pixels.decoding.decoder import Stored
    from fastclips.spec import StreamSpec

__all__ = ["Looked", "check_frames", "next_frame", "spread_frames"]

_MOST = 8  # frames of each stream to look at
_GOLDEN = 0.6180339887498949  # its multiples, modulo 1, spread evenly, however many there are


class Looked(NamedTuple):
    """A frame that was looked at.

    Parameters
    ----------
    size : tuple of int, optional
        Height and width in pixels; None if the frame cannot be read, or there is no mask.
    nbytes : int, optional
        Length of its file; None for pixels too.
    """

    size: tuple[int, int] | None = None
    nbytes: int | None = None


def check_frames(
    dataset: Dataset, names: Iterable[str], *, repeats_damaged: bool = False, stacklevel: int = 1
) -> dict[str, list[Looked]]:
    """Look at a few frames of each stream among the names; warn of what an epoch would stop at.

    Parameters
    ----------
    dataset : Dataset
        The frames.
    names : iterable of str
        Streams; other names are passed over.
    repeats_damaged : bool
        Whether damaged frames are replaced, so that they need no warning.
    stacklevel : int
        As of `warnings.warn`.

    Returns
    -------
    dict of str to list of Looked
        The frames that were looked at, by stream: the same places for the same index.

    Raises
    ------
    FrameError
        No mask that was looked at has a mode that masks of this stream may have.
    """
    if dataset.storage.decodes:  # a look would take as long as clips, and opening has looked at all files
        return {}
    used = set(names)
    looked: dict[str, list[Looked]] = {}
    for stream in dataset.streams:
        if stream.name in used:
            frames = looked[stream.name] = []
            for message in _problems(dataset, stream, frames, repeats_damaged=repeats_damaged):
                warnings.warn(message, stacklevel=stacklevel + 1)
    return looked


def _problems(
    dataset: Dataset, stream: StreamSpec, frames: list[Looked], *, repeats_damaged: bool
) -> Iterator[str]:
    """Yield what is wrong with the frames that are looked at, and add them to `frames`."""
    index, storage = dataset.index, opened(dataset.storage)
    unread: list[str] = []
    modes: dict[str, tuple[str, Stored]] = {}
    for row, frame in spread_frames(index, _MOST, dataset.mixed):
        frames.append(Looked())
        if are_decoded(storage, index.keys[row : row + 1])[0]:  # a video file of a mix
            continue
        try:
            place, data = next_frame(index, storage, stream.name, row, frame)
        except FrameError as error:
            unread.append(str(error))
            continue
        if data is None:
            continue
        where = storage.where(*place)
        try:
            frames[-1] = Looked(frame_size(data), None if isinstance(data, np.ndarray) else len(data))
            mode = frame_mode(data) if stream.mask else ""
        except FrameError as error:
            unread.append(f"{where}: {error}")
            continue
        modes.setdefault(mode, (where, data))
    if unread and not repeats_damaged:
        yield (
            f"{stream.name!r}: {len(unread)} of {len(frames)} frames looked at cannot be read, so an epoch "
            f"will stop at them. The first: {unread[0]} Repair the files, or set damaged='repeat'."
        )
    if stream.mask and modes:
        yield from _unusable_modes(stream, modes, repeats_damaged=repeats_damaged)


def _unusable_modes(
    stream: StreamSpec, modes: dict[str, tuple[str, Stored]], *, repeats_damaged: bool
) -> Iterator[str]:
    """Yield a warning for each mode that masks cannot have; raise FrameError if there is no other mode."""
    decoder = Decoder(stream, max_pixels=MAX_PIXELS)
    refused: dict[str, FrameError] = {}
    for mode, (_, data) in modes.items():
        try:
            decoder.decode(data)
        except FrameError as error:
            refused[mode] = error
    usable = [mode for mode in modes if mode not in refused]
    for mode, why in refused.items():
        where, _ = modes[mode]
        if not usable:
            raise FrameError(f"{where}: {why}", path=where, reason=str(why))
        effect = "An epoch will stop at it"
        if isinstance(why, DamageError):
            effect = "It is ignored" if repeats_damaged else f"{effect}, or ignore it with damaged='repeat'"
        yield (
            f"{stream.name!r}: {where} is of mode {mode}, while others are of mode {usable[0]} (such as "
            f"{modes[usable[0]][0]}): {why}. {effect}."
        )


def spread_frames(index: Index, most: int, mixed: Sets | None = None) -> Iterator[tuple[int, int]]:
    """Yield up to so many (row, frame), spread over videos and over the frames of videos; all if so few.

    Of a mix, one frame follows for each set that has none of these, up to as many again.
    """
    counts = index.frame_counts
    if counts.sum() <= most:
        yield from ((row, frame) for row, count in enumerate(counts.tolist()) for frame in range(count))
        return
    places: dict[tuple[int, int], None] = {}
    for number in range(most):
        row = number * len(counts) // most
        fraction = (0.5 + number * _GOLDEN) % 1
        places[row, int(fraction * counts.item(row))] = None
    yield from places
    if mixed is not None:
        seen = {*mixed.of(np.array([row for row, _ in places])).tolist()}
        unseen = [first for number, first in enumerate(mixed.begins[:-1]) if number not in seen]
        yield from ((first, counts.item(first) // 2) for first in unseen[:most])


def next_frame(
    index: Index, storage: Storage, stream: str, row: int, frame: int
) -> tuple[tuple[str, int, int], Stored | None]:
    """Return the place and content of a row's first frame from a number on that exists; None if none does.

    Only masks may be missing.
    """
    data = None
    for at in range(frame, index.frame_counts.item(row)):
        place = stream, index.keys.item(row), index.starts.item(row) + at
        data = storage.read(*place)
        if data is not None:
            break
    return place, data
