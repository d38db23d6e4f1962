"""Checks of what users pass, and the words for what is wrong with it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from numbers import Real
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "check_chance",
    "check_per",
    "checked_bool",
    "checked_bytes",
    "checked_choice",
    "checked_classes",
    "checked_dtype",
    "checked_factors",
    "checked_int",
    "checked_number",
    "checked_powers",
    "checked_range",
    "checked_workers",
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


def checked_number(value: object, knob: str, low: float = -math.inf, high: float = math.inf) -> float:
    """Return an option as a finite float.

    Parameters
    ----------
    value : object
        What the user gave; NumPy's numbers are fine, booleans are not.
    knob : str
        The option's name.
    low, high : float
        The least and the largest number allowed.

    Returns
    -------
    float
        The same number.

    Raises
    ------
    OptionError
        If it is no number, or out of range.
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number) and low <= number <= high:
            return number
    allowed = f"a number from {low:g} to {high:g}" if math.isfinite(high) else "a finite number"
    raise OptionError(f"{knob}={value!r}: must be {allowed}")


def checked_range(value: object, knob: str, low: float, high: float) -> tuple[float, float]:
    """Return an option that is a number, or the least and the largest of those to draw from.

    Parameters
    ----------
    value : object
        What the user gave: a number or a pair.
    knob : str
        The option's name.
    low, high : float
        The least and the largest number allowed.

    Returns
    -------
    tuple of float
        Least and largest; equal if a number was given.

    Raises
    ------
    OptionError
        If it is neither, or out of range or of order.
    """
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    try:
        least, largest = (checked_number(number, knob, low, high) for number in pair)
    except (OptionError, ValueError):
        least, largest = 1.0, 0.0
    if least > largest:
        raise OptionError(
            f"{knob}={value!r}: must be a number from {low:g} to {high:g}, or a pair (low, high) of them"
        )
    return least, largest


def checked_factors(name: str, low: object, high: object) -> tuple[float, float]:
    """Return the least and the largest factor of a step.

    Parameters
    ----------
    name : str
        The step's.
    low, high : object
        What the user gave; without `high`, `low` is how far the factor may lie from 1.

    Returns
    -------
    tuple of float
        Both at least 0 and at most 255.

    Raises
    ------
    OptionError
        If they are not in that range, or not in order.
    """
    if high is None:
        try:
            spread = checked_number(low, "", 0, 1)
        except OptionError:
            raise OptionError(
                f"{name}'s low={low!r}: without high, it is the largest distance of the factor from 1 and "
                "must be a number from 0 to 1; or give low and high"
            ) from None
        return 1 - spread, 1 + spread
    return _in_order(name, checked_number(low, f"{name}'s low", 0, 255), high, 255)


def checked_powers(name: str, low: object, high: object) -> tuple[float, float]:
    """Return the least and the largest power of a step.

    Parameters
    ----------
    name : str
        The step's.
    low, high : object
        What the user gave.

    Returns
    -------
    tuple of float
        Both at least 0.25 and at most 4.

    Raises
    ------
    OptionError
        If they are not in that range, or not in order.
    """
    return _in_order(name, checked_number(low, f"{name}'s low", 0.25, 4), high, 4, least=0.25)


def _in_order(name: str, low: float, high: object, most: float, least: float = 0) -> tuple[float, float]:
    number = checked_number(high, f"{name}'s high", least, most)
    if low > number:
        raise OptionError(f"{name}'s low={low}: must not be above its high={number}")
    return low, number


def checked_dtype(value: object, name: str) -> str:
    """Return the type of a batch as a word.

    Parameters
    ----------
    value : object
        What the user gave: the word, or NumPy's type.
    name : str
        The step's.

    Returns
    -------
    str
        ``"float32"`` or ``"float16"``.

    Raises
    ------
    OptionError
        If it is none of them.
    """
    word = getattr(value, "__name__", None) or str(value)
    if word in ("float32", "float16"):
        return word
    raise OptionError(f"{name}'s dtype={value!r}: must be 'float32' or 'float16'")


def check_chance(step: Any) -> None:  # noqa: ANN401 - any step that has both
    """Check a frozen step's `p` and `per`.

    Parameters
    ----------
    step : object
        Its `p` is made a float.

    Raises
    ------
    OptionError
        If `p` is no number from 0 to 1, or `per` neither ``"clip"`` nor ``"frame"``.
    """
    object.__setattr__(step, "p", checked_number(step.p, f"{type(step).__name__}'s p", 0, 1))
    check_per(step)


def check_per(declaration: Any) -> None:  # noqa: ANN401 - any transform or step that has it
    """Check how often a transform or step draws.

    Raises
    ------
    OptionError
        If its `per` is neither ``"clip"`` nor ``"frame"``.
    """
    checked_choice(declaration.per, f"{type(declaration).__name__}'s per", ("clip", "frame"))


def checked_workers(workers: object) -> int:
    """Return a number of worker processes: as many as there are cores for None.

    Raises
    ------
    OptionError
        If it is no whole number from 0 to 1023.
    """
    return checked_int(len(os.sched_getaffinity(0)) if workers is None else workers, "workers", 0, 2**10)
