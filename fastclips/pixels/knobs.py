"""Checks of what pixel steps are told, and how a draw picks from a range.

Numbers are kept as plain floats: a step's repr is part of what a run is known by.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from fastclips.errors import OptionError
from fastclips.options import checked_choice

__all__ = [
    "check_chance",
    "checked_dtype",
    "checked_factors",
    "checked_number",
    "checked_powers",
    "checked_range",
    "pick",
    "pick_power",
]


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
    raise OptionError(f"{knob} must be {allowed}, not {value!r}")


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
            f"{knob} must be a number from {low:g} to {high:g}, or a pair (low, high) of them, not {value!r}"
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
                f"{name}'s low, given alone, is how far the factor may lie from 1: it must be a number from "
                f"0 to 1, not {low!r}; or give low and high"
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
        raise OptionError(f"{name}'s low={low} must not be above its high={number}")
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
    raise OptionError(f"{name}'s dtype must be 'float32' or 'float16', not {value!r}")


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


def pick(low: float, high: float, draw: float) -> float:
    """Return the number of a range that a draw in [0, 1) means: uniform."""
    return low + (high - low) * draw


def pick_power(low: float, high: float, draw: float) -> float:
    """Return the power of a range that a draw in [0, 1) means: its logarithm is uniform."""
    return low * math.pow(high / low, draw)
