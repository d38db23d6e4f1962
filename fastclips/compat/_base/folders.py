"""Folders of classes, and the pictures in them, in the order in which Keras finds them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fastclips.errors import DataError
from fastclips.options import checked_choice, checked_classes, first_few

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "FORMATS",
    "NoFolderError",
    "check_folder",
    "listed_classes",
    "listed_files",
    "subfolders",
    "subset_range",
]

FORMATS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff")


class NoFolderError(DataError, FileNotFoundError):
    """A folder is missing: a `DataError` that is also a FileNotFoundError, as in Keras."""


def subfolders(directory: str, hint: str) -> list[str]:
    """Return the names of the folders in a directory, sorted.

    Raises
    ------
    NoFolderError
        If the directory is missing.
    DataError
        If it holds no folders; `hint` ends the message.
    """
    check_folder(directory)
    with os.scandir(directory) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
    if not names:
        raise DataError(f"directory={directory!r}: holds no folders, and each class is one; {hint}")
    return names


def check_folder(directory: str) -> None:
    """Raise `NoFolderError` if a directory is missing."""
    if not os.path.isdir(directory):  # noqa: PTH112 - as the user wrote it
        raise NoFolderError(f"directory={directory!r}: there is no such folder")


def listed_classes(directory: str, classes: Sequence[str] | None) -> list[str]:
    """Return the folders of classes: those given, or all.

    Raises
    ------
    NoFolderError
        If the directory, or the folder of a class, is missing.
    OptionError
        If the classes are no sequence of different names.
    """
    names = list(checked_classes(classes) or ()) if classes is not None and len(classes) else []
    if not names:
        return subfolders(
            directory,
            "the layout is directory/class/frame.jpg. Put pictures without classes into one folder there and "
            "give class_mode=None",
        )
    check_folder(directory)
    missing = [name for name in names if not os.path.isdir(os.path.join(directory, name))]  # noqa: PTH112, PTH118 - as above
    if missing:
        raise NoFolderError(f"classes={names!r}: {directory!r} has no folder {first_few(missing)}")
    return names


def listed_files(
    directory: str, name: str, *, follow_links: bool, formats: tuple[str, ...] = FORMATS
) -> list[str]:
    """Return a folder's pictures, relative to the directory, sorted by folder, then by file."""
    base = os.path.join(directory, name)  # noqa: PTH118 - names are kept as they are
    found = []
    for folder, _, files in sorted(os.walk(base, followlinks=follow_links), key=lambda walked: walked[0]):
        inside = os.path.relpath(folder, base)
        prefix = name if inside == "." else os.path.join(name, inside)  # noqa: PTH118 - as above
        found += [os.path.join(prefix, file) for file in sorted(files) if file.lower().endswith(formats)]  # noqa: PTH118 - as above
    return found


def subset_range(subset: object, fraction: float, count: int) -> tuple[int, int]:
    """Return the first and last (exclusive) of `count` samples that belong to a subset, as in Keras."""
    if subset is None:
        return 0, count
    name = checked_choice(subset, "subset", ("training", "validation"))
    middle = int(fraction * count)
    return (0, middle) if name == "validation" else (middle, count)
