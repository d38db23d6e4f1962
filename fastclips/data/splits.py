"""Choose videos: by name, as the files of an official split list them, or by a stratified random split.

A split is by video, or by groups of videos: windows of a video overlap, and parts of a video resemble each
other, so a split within a video would leak frames from training to validation.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.scan import without_video_extension
from fastclips.errors import DataError, OptionError, why_failed
from fastclips.options import checked_int, checked_pattern, first_few

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fastclips.data.names import Names

__all__ = ["select_rows", "split_rows"]

_SPLIT = 0x73706C6974  # second word of the key of a split's draws, so that no other draw shares its stream


def select_rows(videos: Names, names: str | os.PathLike[str] | Iterable[str]) -> NDArray[np.int64]:
    """Return the rows that `Dataset.select` chooses by name."""
    if isinstance(names, (str, os.PathLike)):
        try:
            wanted = _lines(names)
        except DataError as error:
            if not isinstance(names, str) or not any(name in videos for name in _spellings(names)):
                raise
            raise DataError(f"{error} To select this video, give a list: select([{names!r}]).") from None
    else:
        wanted = _names(names)
    if not wanted:
        raise OptionError(f"names={names!r}: must hold at least one name")
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(videos):
        rows.setdefault(name, []).append(row)
    chosen: dict[str, list[int]] = {}
    unknown: list[str] = []
    for spellings in wanted:
        found = next((name for text in spellings for name in _spellings(text) if name in rows), None)
        if found is None:
            unknown.append(spellings[0])
        else:
            chosen[found] = rows[found]
    if unknown:
        raise DataError(
            f"select: {len(unknown)} of {len(wanted)} names match no video: {first_few(unknown)}. Names of "
            f"this dataset look like {first_few(videos[:2])}."
        )
    return np.concatenate([np.array(of_name, np.int64) for of_name in chosen.values()])


def _names(names: Iterable[str]) -> list[tuple[str, ...]]:
    try:
        found = list(names)
    except TypeError:
        found = [names]  # type: ignore[list-item]
    wrong = [name for name in found if not isinstance(name, str)]
    if wrong:
        raise OptionError(f"names={wrong[0]!r}: must be names of videos, or the path of a text file")
    return [(name,) for name in found]


def _lines(path: str | os.PathLike[str]) -> list[tuple[str, ...]]:
    """Return the possible names on each line of a file: the whole line, or the line without its last word."""
    try:
        text = Path(path).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = why_failed(error) if isinstance(error, OSError) else str(error)
        raise DataError(
            f"cannot read {os.fspath(path)!r}: {reason}. select takes names, or a text file with a name on "
            "each line."
        ) from None
    lines = filter(None, map(str.strip, text.splitlines()))
    return [(line, *line.rsplit(None, 1)[:-1]) for line in lines]


def _spellings(name: str) -> tuple[str, ...]:
    bare = name.removeprefix("./").rstrip("/")
    return bare, without_video_extension(bare)


def split_rows(
    names: Names,
    keys: NDArray[np.int64],
    classes: tuple[NDArray[np.int64], int] | None,
    validation: float,
    seed: int,
    group: str | Callable[[str], Hashable] | Sequence[Hashable] | None,
) -> NDArray[np.bool_]:
    """Return a mask of the validation rows of `Dataset.split`.

    Parameters
    ----------
    names : Names
        The name of each row.
    keys : ndarray of int64, shape (videos,)
        The video of each row. Rows with the same key are parts of one video.
    classes : (ndarray of int64, int) or None
        The class of each row, and the number of classes; None if rows do not have exactly one class.
    validation, seed, group
        As in `Dataset.split`, as are the errors.
    """
    if isinstance(validation, bool) or not isinstance(validation, Real) or not 0 < validation < 1:
        raise OptionError(f"validation={validation!r}: must be between 0 and 1, as in validation=0.2")
    seed = checked_int(seed, "seed", 0, 2**64)
    first, of_row = _groups(names, keys, group)
    total, unit = round(validation * len(first)), "videos" if group is None else "groups"
    if total in (0, len(first)):
        raise OptionError(
            f"validation={validation!r} of {len(first)} {unit} leaves {len(first) - total} for training and "
            f"{total} for validation, but both need at least 1: change validation=, or add videos"
        )
    of_first, count = (
        (np.zeros(len(first), np.int64), 1) if classes is None else (classes[0][first], classes[1])
    )
    chosen: NDArray[np.bool_] = _stratified(of_first, max(count, 1), float(validation), total, seed)[of_row]
    return chosen


def _groups(
    names: Names, keys: NDArray[np.int64], group: str | Callable[[str], Hashable] | Sequence[Hashable] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first row of each group, and the group of each row. Groups are numbered by first row."""
    if group is None:
        of_row: NDArray[Any] = keys
    else:
        numbers: dict[Hashable, int] = {}
        of_row = np.array(
            [numbers.setdefault(key, len(numbers)) for key in _group_keys(names, group)], np.int64
        )
        order = np.lexsort((of_row, keys))
        videos, groups = keys[order], of_row[order]
        torn = np.flatnonzero((videos[1:] == videos[:-1]) & (groups[1:] != groups[:-1]))
        if len(torn):
            raise OptionError(
                f"group= puts parts of {names[order[torn[0]]]!r} into several groups, but parts of one video "
                "must be in one group"
            )
    _, first, inverse = np.unique(of_row, return_index=True, return_inverse=True)
    number = np.argsort(np.argsort(first))
    return np.sort(first), number[inverse]


def _group_keys(names: Names, group: str | Callable[[str], Hashable] | Sequence[Hashable]) -> list[Hashable]:
    if callable(group):
        return _hashable([group(name) for name in names])
    if isinstance(group, str):
        search = checked_pattern(group, "group").search
        found = [search(name) for name in names]
        if not all(found):
            raise OptionError(
                f"group={group!r}: must match every name, but does not match {names[found.index(None)]!r}"
            )
        return [match.groups() or match[0] for match in found if match]
    if not isinstance(group, Iterable):
        raise OptionError(
            f"group={group!r}: must be a str (a regular expression), a function, or a value for each video"
        )
    keys = _hashable(group.tolist() if isinstance(group, np.ndarray) else list(group))
    if len(keys) != len(names):
        raise OptionError(f"group= has {len(keys)} values for {len(names)} videos; give one for each video")
    return keys


def _hashable(keys: list[Hashable]) -> list[Hashable]:
    wrong = [key for key in keys if not isinstance(key, Hashable)]
    if wrong:
        raise OptionError(
            f"group= gives {wrong[0]!r} for a video: must be a number, a str or a tuple of these"
        )
    return keys


def _stratified(
    labels: NDArray[np.int64], classes: int, share: float, total: int, seed: int
) -> NDArray[np.bool_]:
    """Return a mask of `total` rows; each class gives its share, rounded down or up."""
    # Raw words: NumPy does not promise that methods of Generator stay the same between versions.
    draws = np.random.Philox(key=np.array([seed, _SPLIT], np.uint64)).random_raw(len(labels) + classes)
    of_row, of_class = draws[: len(labels)], draws[len(labels) :]

    sizes = np.bincount(labels, minlength=classes)
    quotas = share * sizes
    takes = np.floor(quotas).astype(np.int64)
    # The largest remainders are rounded up. Ties are drawn, or the first classes would always win.
    most_short = np.lexsort((of_class, takes - quotas))
    takes[most_short[: total - int(takes.sum())]] += 1

    order = np.lexsort((of_row, labels))
    place_in_class = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen = np.zeros(len(labels), np.bool_)
    chosen[order] = place_in_class < takes[labels[order]]
    return chosen
