"""Checks of what users pass, and the words for what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "checked_bool",
    "checked_bytes",
    "checked_choice",
    "checked_classes",
    "checked_int",
    "first_few",
    "refuse_masked",
]

_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b)?\s*")
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def checked_int(value: object, knob: str, minimum: int, below: int = 2**31) -> int:
    """Return an option as a Python int.

    Parameters
    ----------
    value : object
        What the user gave; NumPy's integers are fine, booleans are not.
    knob : str
        The option's name.
    minimum, below : int
        The range: ``minimum <= value < below``.

    Returns
    -------
    int
        The same number.

    Raises
    ------
    OptionError
        If it is no integer, or out of range.
    """
    try:
        number = minimum - 1 if isinstance(value, bool) else index(value)  # type: ignore[arg-type]
    except TypeError:
        number = minimum - 1
    if minimum <= number < below:
        return number
    raise OptionError(f"{knob}={value!r}: must be an integer from {minimum} to {below - 1}")


def checked_bool(value: object, knob: str) -> bool:
    """Return an option as a Python bool.

    Parameters
    ----------
    value : object
        What the user gave; NumPy's bools are fine, nothing else is.
    knob : str
        The option's name.

    Returns
    -------
    bool
        The same value.

    Raises
    ------
    OptionError
        If it is no bool.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise OptionError(f"{knob}={value!r}: must be True or False")
    return bool(value)


def checked_classes(classes: object) -> tuple[str, ...] | None:
    """Return names of classes as a tuple.

    Parameters
    ----------
    classes : object
        What the user gave for ``classes=``; None stays None.

    Returns
    -------
    tuple of str or None
        At least one name.

    Raises
    ------
    OptionError
        It is no sequence of different names.
    """
    if classes is None:
        return None
    unordered = isinstance(classes, (str, bytes, set, frozenset, Mapping))
    names: tuple[Any, ...] = tuple(classes) if isinstance(classes, Iterable) and not unordered else ()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise OptionError(f"classes={classes!r}: must be a sequence of names, as in classes=['run', 'walk']")
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise OptionError(f"classes= names {twice!r} twice; each class has one name")
    return tuple(map(str, names))


def refuse_masked(value: object, name: str) -> None:
    """Refuse a masked array, whose mask NumPy's functions would lose.

    Parameters
    ----------
    value : object
        What the user gave.
    name : str
        What it is.

    Raises
    ------
    OptionError
        If it is one.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise OptionError(f"{name} is a masked array, whose mask would be lost: give what is not masked")


def checked_bytes(value: object, knob: str) -> int:
    """Return an option that is an amount of memory.

    Parameters
    ----------
    value : object
        What the user gave: bytes, or a text such as ``"512MiB"``, whose units are powers of 1024.
    knob : str
        The option's name.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    OptionError
        If it is neither.
    """
    if isinstance(value, str):
        match = _AMOUNT.fullmatch(value.lower())
        if match:
            return int(float(match[1]) * _UNITS[match[2]])
    elif isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value > 0:
        return int(value)
    raise OptionError(f"{knob}={value!r}: must be a number of bytes, or a text such as '512MiB' or '2GiB'")


def checked_choice(value: object, knob: str, choices: Sequence[str]) -> str:
    """Return an option that is one of a few words.

    Parameters
    ----------
    value : object
        What the user gave.
    knob : str
        The option's name.
    choices : sequence of str
        The words.

    Returns
    -------
    str
        The same word.

    Raises
    ------
    OptionError
        If it is none of them.
    """
    if isinstance(value, str) and value in choices:
        return value
    raise OptionError(f"{knob}={value!r}: must be one of {', '.join(map(repr, choices))}")


def first_few(names: Sequence[object], most: int = 5) -> str:
    """Return values as a message should show them.

    Parameters
    ----------
    names : sequence
        What to show.
    most : int
        How many of them.

    Returns
    -------
    str
        Their reprs, and dots where some were left out.
    """
    return ", ".join(map(repr, names[:most])) + ", ..." * (len(names) > most)
