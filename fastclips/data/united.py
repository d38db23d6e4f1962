"""Indexes of several data sets as one: rows in their order, and labels whose classes are united by name."""

from __future__ import annotations

import logging
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from fastclips.data.frame_times import FrameTimes
from fastclips.data.index import Index
from fastclips.data.labels import Labels, NamedLabels, Values
from fastclips.data.names import Names
from fastclips.errors import OptionError
from fastclips.reserved import SET

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["in_all", "unite"]

_log = logging.getLogger(__name__)


def unite(indexes: Sequence[Index], storages: Sequence[int], videos: Sequence[int]) -> Index:
    """Return the rows of several indexes, one after the other.

    Parameters
    ----------
    indexes : sequence of Index
        At least one.
    storages : sequence of int
        The number of the storage of each.
    videos : sequence of int
        How many videos each storage has. They are numbered over all storages.

    Returns
    -------
    Index
        Its classes are those of the first index in their order, then those that each further one adds.

    Raises
    ------
    OptionError
        Labels of one name differ in kind, shape or dtype.
    """
    begins = np.cumsum([0, *videos])
    known = zip(storages, indexes, strict=True)
    times = {storage: index.times for storage, index in known if index.times is not None}
    index = Index(
        names=Names.of_all(index.names for index in indexes),
        keys=np.concatenate(
            [index.keys + begins[storage] for index, storage in zip(indexes, storages, strict=True)]
        ),
        starts=np.concatenate([index.starts for index in indexes]),
        frame_counts=np.concatenate([index.frame_counts for index in indexes]),
        labels=None,
        classes=(),
        fps=_rates(indexes),
        times=FrameTimes.joined([(times.get(storage), count) for storage, count in enumerate(videos)]),
    )
    several = [index.every_label for index in indexes]
    common = in_all("labels", several)
    if SET in common:
        raise OptionError(
            f"there are labels called {SET!r}: must have another name in a mix, whose plan_table() has a "
            "column of this name"
        )
    return index.labelled({name: _united(name, [labels[name] for labels in several]) for name in common})


def in_all(what: str, several: Sequence[Iterable[str]]) -> list[str]:
    """Return the names that all datasets have, in the order of the first; warn of others, which are left out.

    Parameters
    ----------
    what : str
        What has the names, for the warning.
    several : sequence of iterable of str
        The names of each dataset.
    """
    names = [{*of_one} for of_one in several]
    common = [name for name in several[0] if all(name in others for others in names)]
    for name in dict.fromkeys(chain.from_iterable(several)):
        if name not in common:
            having = next(number for number, others in enumerate(names) if name in others)
            missing = next(number for number, others in enumerate(names) if name not in others)
            _log.warning(
                "The %s %r of datasets[%d] are left out of the mix, because datasets[%d] does not have them.",
                what,
                name,
                having,
                missing,
            )
    return common


def _rates(indexes: Sequence[Index]) -> NDArray[np.float64] | None:
    """Return the frames per second of all rows, NaN where they are unknown."""
    if all(index.fps is None for index in indexes):
        return None
    return np.concatenate(
        [np.full(len(index), np.nan) if index.fps is None else index.fps for index in indexes]
    )


def _united(name: str, several: Sequence[NamedLabels]) -> NamedLabels:
    """Return the labels of one name of all rows."""
    classes = tuple(dict.fromkeys(chain.from_iterable(named.classes for named in several)))
    forms = [_form(named.labels) for named in several]
    other = next((number for number, form in enumerate(forms) if form != forms[0]), None)
    if other is not None:
        raise OptionError(
            f"labels {name!r} are {forms[0]} in datasets[0] and {forms[other]} in datasets[{other}]: must be "
            "alike in all data sets of a mix; open one of them with labels=None, which leaves out the labels "
            "of all, or with labels like those of the other"
        )
    numbered = [all(map(str.isdecimal, named.classes)) for named in several]
    if any(numbered) and not all(numbered):
        _log.warning(
            "The classes of labels %r are numbers in datasets[%d] and names in datasets[%d], so they are "
            "other classes of the mix. If they are not, open datasets[%d] with classes=.",
            name,
            numbered.index(True),
            numbered.index(False),
            numbered.index(True),
        )
    return NamedLabels(Labels.joined([named.renamed(classes).labels for named in several]), classes)


def _form(labels: Labels) -> str:
    """Return what labels must have in common, in words."""
    columns, _ = labels.columns()
    if "values" not in columns:
        return f"of the kind {labels.kind!r}"
    values = columns["values"]
    each = "video" if isinstance(labels, Values) else "frame"
    return f"of the kind {labels.kind!r}, {values.dtype} {values.shape[1:]} of each {each}"
