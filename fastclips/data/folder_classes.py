"""The classes of videos in class folders: class/video."""

from __future__ import annotations

import logging

import numpy as np

from fastclips.data.labels import Labels
from fastclips.data.names import natural_key
from fastclips.errors import DataError
from fastclips.options import first_few

__all__ = ["classes_of_folders"]

_SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing")
_log = logging.getLogger(__name__)


def classes_of_folders(
    names: list[str], root: str, given: tuple[str, ...] | None
) -> tuple[Labels, tuple[str, ...]]:
    """Label each video by the first folder of its name."""
    of_video = [name.partition("/")[0] for name in names]
    found = sorted(set(of_video), key=natural_key)
    classes = given if given is not None else tuple(found)
    number = {name: number for number, name in enumerate(classes)}
    unknown = [name for name in found if name not in number]
    if unknown:
        raise DataError(
            f"classes= must name {first_few(unknown)}, folders in {root!r}; it has {first_few(classes)}."
        )
    if given is None and all(name.casefold() in _SPLITS for name in found):
        _log.warning(
            "The classes in %r are %s, which are usual names of splits. If they are splits, open each by "
            "itself, such as %r.",
            root,
            first_few(found),
            f"{root}/{found[0]}",
        )
    if not any("/" in name for name in names):
        _log.warning(
            "Each of the %d classes in %r is a single video, since the class folders hold frames. If "
            "these folders are videos of one class, open the parent folder, or set labels=None.",
            len(classes),
            root,
        )
    return Labels.of_classes(np.array([number[name] for name in of_video], np.int64), len(classes)), classes
