"""Folders of classes, and the pictures in them, in the order in which Keras finds them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fastclips.errors import DataError, OptionError
from fastclips.options import checked_choice, checked_classes, checked_number, first_few

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "FORMATS",
    "NoFolderError",
    "check_folder",
    "checked_fraction",
    "listed_classes",
    "listed_files",
    "subset_range",
]

FORMATS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff")


class NoFolderError(DataError, FileNotFoundError):
    """A folder is missing: a `DataError` that is also a FileNotFoundError, as in Keras."""


def check_folder(directory: str) -> None:
    """Raise `NoFolderError` if a directory is missing."""
    if not os.path.isdir(directory):  # noqa: PTH112 - as the user wrote it
        raise NoFolderError(f"directory={directory!r}: there is no such folder")


def listed_classes(
    directory: str, classes: Sequence[str] | None, name: str, hint: str, *, hidden: bool
) -> list[str]:
    """Return the folders of classes: those given, or all, sorted.

    Parameters
    ----------
    directory : str
        Holds the folders.
    classes : sequence of str or None
        The folders that are wanted.
    name, hint : str
        Name of the option `classes`, and advice for a directory without folders, for messages.
    hidden : bool
        Whether all folders include those whose names begin with a dot.

    Raises
    ------
    NoFolderError
        If the directory, or the folder of a class, is missing.
    DataError
        If the directory holds no folders.
    OptionError
        If the classes are no sequence of different names.
    """
    names = list(checked_classes(classes) or ()) if classes is not None and len(classes) else []
    check_folder(directory)
    if not names:
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
        names = [name for name in names if hidden or name[0] != "."]
        if not names:
            raise DataError(f"directory={directory!r}: holds no folders, and each class is one; {hint}")
    missing = [folder for folder in names if not os.path.isdir(os.path.join(directory, folder))]  # noqa: PTH112, PTH118 - as above
    if missing:
        raise NoFolderError(f"{name}={names!r}: {directory!r} has no folder {first_few(missing)}")
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


def checked_fraction(value: object, name: str) -> float:
    """Return a fraction from 0 to below 1; None is 0."""
    try:
        fraction = checked_number(0 if value is None else value, name, 0, 1)
    except OptionError:
        fraction = 1
    if fraction == 1:
        raise OptionError(f"{name}={value!r}: must be a number between 0 and 1")
    return fraction
