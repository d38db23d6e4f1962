"""Checks of the arguments of `Dataset.of` and `Dataset.with_labels`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.cells import read_values
from fastclips.data.encoding import encode, from_array, of_frames
from fastclips.data.labels import FRAMED, KINDS, NamedLabels
from fastclips.data.names import Names, natural_key
from fastclips.errors import DataError, OptionError
from fastclips.options import (
    checked_choice,
    checked_classes,
    checked_int,
    checked_number,
    first_few,
    refuse_masked,
)
from fastclips.reserved import COLUMNS, LABEL, RESERVED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastclips.data.labels import Labels

__all__ = [
    "check_label_name",
    "checked_channels",
    "checked_counts",
    "checked_fps",
    "checked_names",
    "labels_of",
    "named_labels",
]


def checked_counts(frame_counts: object) -> NDArray[np.int64]:
    """Return the frames of each video, at least 1."""
    if not isinstance(frame_counts, Iterable) or isinstance(frame_counts, (str, Mapping)):
        raise OptionError(f"frame_counts={frame_counts!r}: must be a sequence of int, one for each video")
    counts = [checked_int(count, f"frame_counts[{at}]", 1) for at, count in enumerate(frame_counts)]
    if not counts:
        raise OptionError("frame_counts is empty: must have an item for each video, at least one")
    return np.array(counts, np.int64)


def checked_names(names: object, videos: int) -> Names:
    """Return the names of videos, all different; None gives them numbers."""
    if names is None:
        return Names.of(map(str, range(videos)))
    if not isinstance(names, Iterable) or isinstance(names, str):
        raise OptionError(f"names={names!r}: must be a sequence of str, one for each video")
    found: dict[str, int] = {}
    for at, name in enumerate(names):
        if not isinstance(name, str) or not name or "\0" in name:
            raise OptionError(f"names[{at}]={name!r}: must be a str that is not empty and holds no NUL")
        if name in found:
            raise OptionError(f"names[{at}]={name!r}: names[{found[name]}] is the same; names must differ")
        found[name] = at
    if len(found) != videos:
        raise OptionError(
            f"names= has {len(found)} items for {videos} videos of frame_counts=; give one for each"
        )
    return Names.of(found)


def checked_channels(channels: Mapping[str, int], stream: str) -> int:
    """Return the channels of a picture stream, 3 by default."""
    count = channels.get(stream, 3)
    if isinstance(count, bool) or count not in (1, 3):
        raise OptionError(f"channels={count!r} of stream {stream!r}: must be 3 (RGB) or 1 (gray)")
    return int(count)


def checked_fps(fps: object, videos: int) -> NDArray[np.float64]:
    """Return the frames per second of each video, given as one number or as one for each."""
    if not isinstance(fps, Iterable):
        fps = [fps] * videos
    rates = [checked_number(rate, f"fps[{at}]") for at, rate in enumerate(fps)]
    wrong = next((at for at, rate in enumerate(rates) if rate <= 0), None)
    if wrong is not None:
        raise OptionError(f"fps[{wrong}]={rates[wrong]!r}: must be above 0")
    if len(rates) != videos:
        raise OptionError(
            f"fps= has {len(rates)} items for {videos} videos; give one number, or one for each"
        )
    return np.array(rates, np.float64)


def labels_of(
    labels: object, classes: tuple[str, ...] | None, counts: NDArray[np.int64]
) -> tuple[Labels, tuple[str, ...]]:
    """Return `labels` of `Dataset.of`, encoded, and the names of their classes."""
    if isinstance(labels, (list, tuple)) and len({np.shape(item) for item in labels if np.ndim(item)}) > 1:
        return of_frames(labels, classes, counts, key=natural_key)
    alike = counts.min() == counts.max()
    return from_array(labels, classes, time_steps=int(counts[0]) if alike else -1, key=natural_key)


def check_label_name(name: object, streams: Sequence[str], knob: str) -> None:
    """Raise OptionError unless labels may have this name."""
    if not isinstance(name, str) or not name:
        raise OptionError(f"{knob}={name!r}: must be a str that is not empty")
    reserved = [word for word in (*RESERVED, *COLUMNS) if word != LABEL]
    if name in reserved:
        taken = first_few(reserved, 20)
        raise OptionError(f"{knob}={name!r}: labels must have another name than {taken}")
    if name in streams:
        raise OptionError(f"{knob}={name!r}: is the name of a stream; labels need another name")


def check_named_once(videos: Names, keys: NDArray[np.int64]) -> None:
    """Raise OptionError if several videos of a mix have one name, which a mapping cannot tell apart."""
    known: dict[str, int] = {}
    for name, key in zip(videos, keys.tolist(), strict=True):
        if known.setdefault(name, key) != key:
            raise OptionError(
                f"values= is a mapping, but {name!r} is the name of a video in several sets of the mix: give "
                "a sequence with a value for each row of dataset.index, or add labels before mixing"
            )


def named_labels(
    name: str,
    values: object,
    kind: object,
    classes: Iterable[str] | None,
    videos: Names,
    frame_counts: NDArray[np.int64],
) -> NamedLabels:
    """Return labels of one value for each row of an index; arguments as for `Dataset.with_labels`."""
    kind = checked_choice(kind, "kind", KINDS)
    given = checked_classes(classes)
    rows = _values_by_row(name, values, kind, videos)

    def where(row: int) -> str:
        return f"values[{row}] (video {videos[row]!r})"

    read = read_values(name, rows, kind, given, where)
    return NamedLabels(*encode(kind, read, given, frame_counts, where, key=natural_key, name=name))


def _values_by_row(name: str, values: object, kind: str, videos: Names) -> list[Any]:
    """Return the value of each row."""
    if isinstance(values, Mapping):
        names = videos[:]
        known = set(names)
        if kind in FRAMED and len(known) < len(names):
            raise OptionError(
                f"values of {name!r} are a mapping, but several rows are parts of one video: give a sequence "
                "with the values of each row's own frames"
            )
        if missing := [video for video in dict.fromkeys(names) if video not in values]:
            share = f"{len(missing)} of {len(known)} videos"
            raise DataError(f"values of {name!r} have none for {first_few(missing)}, {share}")
        if extra := [video for video in values if video not in known]:
            raise DataError(
                f"values of {name!r} name {first_few(extra)}, which are no videos of the dataset: it has "
                f"{first_few(names)}. Add labels before select() and split(), or leave these names out."
            )
        return [values[video] for video in names]
    refuse_masked(values, "values")
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes, set, frozenset)):
        raise OptionError(f"values={values!r:.80}: must be a sequence, or a mapping by the names of videos")
    index = getattr(values, "index", None)  # of a Series; that of a list is a method
    if hasattr(values, "columns") or (isinstance(index, Iterable) and any(isinstance(i, str) for i in index)):
        raise OptionError(
            f"values of {name!r} are a {type(values).__name__} with names of its own: give a plain sequence, "
            "such as values.tolist(), or a mapping by the names of videos, such as values.to_dict()"
        )
    rows = list(np.atleast_1d(values) if isinstance(values, np.ndarray) else values)
    if len(rows) != len(videos):
        raise OptionError(
            f"values of {name!r} have {len(rows)} items for {len(videos)} rows; give one for each row"
        )
    return rows
