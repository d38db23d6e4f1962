"""Checks of the options that users pass.

Each ``checked_...`` function returns the option as one plain type, or raises `OptionError` in one style:
``name=value: must be ...``. In a dataclass, `name` says whose option it is: ``"Blur's sigma"``.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Mapping
from numbers import Real
from operator import index
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.cores import usable_cores
from fastclips.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ADDED",
    "bar_disabled",
    "check_chance",
    "check_per",
    "checked_bool",
    "checked_bytes",
    "checked_cache",
    "checked_choice",
    "checked_classes",
    "checked_dtype",
    "checked_factors",
    "checked_int",
    "checked_low_high",
    "checked_number",
    "checked_pattern",
    "checked_range",
    "checked_size",
    "checked_workers",
    "first_few",
    "refuse_masked",
]

ADDED = MappingProxyType({"later": True})
"""Metadata of a dataclass's field that 0.1.0 does not have: at its default, states do not tell it."""

_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b)?\s*")
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_MOST_WORKERS = 2**10


# Texts


def checked_pattern(value: object, name: str) -> re.Pattern[str]:
    """Return an option that is a regular expression, compiled."""
    if not isinstance(value, str):
        raise OptionError(f"{name}={value!r}: must be a regular expression, as a str")
    try:
        return re.compile(value)
    except re.error as error:
        raise OptionError(f"{name}={value!r}: must be a regular expression ({error})") from None


# Integers


def checked_int(value: object, name: str, least: int, below: int = 2**31) -> int:
    """Return an option as an int, ``least <= value < below``; NumPy's integers pass, booleans do not."""
    try:
        number = least - 1 if isinstance(value, bool) else index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if least <= number < below:
        return number
    raise OptionError(f"{name}={value!r}: must be an integer from {least} to {below - 1}")


def checked_size(value: object, name: str) -> tuple[int, int]:
    """Return a size in pixels, given as one side of a square or as (height, width)."""
    pair = tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else (value, value)
    try:
        height, width = (checked_int(side, "", 1) for side in pair)
    except ValueError:  # an OptionError, or another number of sides
        raise OptionError(f"{name}={value!r}: must be a positive int or (height, width)") from None
    return height, width


def checked_bytes(value: object, name: str) -> int:
    """Return an amount of memory in bytes, given so or as a text such as ``"512MiB"``; units are of 1024."""
    if isinstance(value, str):
        match = _AMOUNT.fullmatch(value.lower())
        if match:
            return int(float(match[1]) * _UNITS[match[2]])
    elif isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value > 0:
        return int(value)
    raise OptionError(f"{name}={value!r}: must be a number of bytes, or a text such as '512MiB' or '2GiB'")


def checked_cache(value: object, memory: object) -> int | None:
    """Return the part of `memory` for decoded frames, in bytes; None for ``"auto"``."""
    if value == "auto":
        return None
    try:
        cache = 0 if value == 0 and not isinstance(value, bool) else checked_bytes(value, "cache")
    except OptionError as error:
        raise OptionError(f"{error}, 0, 'auto' or a fastclips.FrameCache") from None
    if cache > (most := checked_bytes(memory, "memory")):
        raise OptionError(
            f"cache={value!r}: must be less than memory={memory!r}, of which it is a part; give "
            f'memory="{-(-(cache + most) // 2**20)}MiB"'
        )
    return cache


def checked_workers(workers: object, *, shared: bool = False) -> int:
    """Return a number of worker processes; None means as many as `usable_cores`."""
    if workers is None:
        workers = min(usable_cores(shared=shared), _MOST_WORKERS - 1)
    return checked_int(workers, "workers", 0, _MOST_WORKERS)


# Real numbers


def checked_number(value: object, name: str, low: float = -math.inf, high: float = math.inf) -> float:
    """Return an option as a finite float from `low` to `high`; NumPy's numbers pass, booleans do not."""
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number) and low <= number <= high:
            return number
    allowed = f"a number from {low:g} to {high:g}" if math.isfinite(high) else "a finite number"
    raise OptionError(f"{name}={value!r}: must be {allowed}")


def checked_range(value: object, name: str, low: float, high: float) -> tuple[float, float]:
    """Return the ends of a range within `low` to `high`, given as a pair or as the one number it holds."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    try:
        least, most = (checked_number(number, name, low, high) for number in pair)
    except ValueError:  # an OptionError, or another number of ends
        least, most = 1.0, 0.0
    if least > most:
        raise OptionError(
            f"{name}={value!r}: must be a number from {low:g} to {high:g}, or a pair (low, high) of them"
        )
    return least, most


def checked_low_high(owner: str, low: object, high: object, least: float, most: float) -> tuple[float, float]:
    """Return the options `low` and `high` of a transform or pixel step, both from `least` to `most`."""
    low = checked_number(low, f"{owner}'s low", least, most)
    high = checked_number(high, f"{owner}'s high", least, most)
    if low > high:
        raise OptionError(f"{owner}'s low={low}: must be at most its high={high}")
    return low, high


def checked_factors(
    owner: str,
    low: object,
    high: object,
    least: float = 0,
    most: float = 255,
    instead: str = "give low and high",
) -> tuple[float, float]:
    """Return `low` and `high` as `checked_low_high` does; without `high`, ``1 - low`` and ``1 + low``.

    `instead` is the error's advice if `low` is no such distance.
    """
    if high is not None:
        return checked_low_high(owner, low, high, least, most)
    try:
        spread = checked_number(low, "", 0, 1 - least)
    except OptionError:
        raise OptionError(
            f"{owner}'s low={low!r}: must be a number d from 0 to {1 - least:g} where there is no high, for "
            f"factors from 1 - d to 1 + d; or {instead}"
        ) from None
    return 1 - spread, 1 + spread


# Words and names


def checked_bool(value: object, name: str) -> bool:
    """Return an option as a bool; NumPy's bools pass, nothing else does."""
    if not isinstance(value, (bool, np.bool_)):
        raise OptionError(f"{name}={value!r}: must be True or False")
    return bool(value)


def checked_choice(value: object, name: str, choices: Sequence[str]) -> str:
    """Return an option that is one of a few words."""
    if isinstance(value, str) and value in choices:
        return value
    raise OptionError(f"{name}={value!r}: must be one of {', '.join(map(repr, choices))}")


def checked_dtype(value: object, owner: str) -> str:
    """Return the dtype of a batch, given as a word or as NumPy's type: ``"float32"`` or ``"float16"``."""
    word = getattr(value, "__name__", None) or str(value)
    if word in ("float32", "float16"):
        return word
    raise OptionError(f"{owner}'s dtype={value!r}: must be 'float32' or 'float16'")


def checked_classes(classes: object) -> tuple[str, ...] | None:
    """Return the names of classes, at least one and none twice, as a tuple; None stays None."""
    if classes is None:
        return None
    unordered = isinstance(classes, (str, bytes, set, frozenset, Mapping))
    names: tuple[Any, ...] = tuple(classes) if isinstance(classes, Iterable) and not unordered else ()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise OptionError(f"classes={classes!r}: must be a sequence of names, as in classes=['run', 'walk']")
    if len(set(names)) < len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise OptionError(f"classes={classes!r}: must be different names, but {twice!r} is there twice")
    return tuple(map(str, names))


# Options that many transforms and pixel steps have


def check_per(declaration: Any) -> None:  # noqa: ANN401 - any transform or pixel step that has it
    """Check that `per`, which says how often is drawn, is ``"clip"``, ``"frame"`` or ``"video"``."""
    checked_choice(declaration.per, f"{type(declaration).__name__}'s per", ("clip", "frame", "video"))


def check_chance(step: Any) -> None:  # noqa: ANN401 - any pixel step that has both
    """Check a frozen pixel step's `p`, which becomes a float from 0 to 1, and its `per`."""
    object.__setattr__(step, "p", checked_number(step.p, f"{type(step).__name__}'s p", 0, 1))
    check_per(step)


# Arrays, lists in messages, and progress bars


def refuse_masked(value: object, name: str) -> None:
    """Refuse a masked array, whose mask NumPy's functions would drop silently."""
    if isinstance(value, np.ma.MaskedArray):
        raise OptionError(f"{name}: must be a plain array; the mask of a masked array would be lost")


def first_few(names: Sequence[object], most: int = 5) -> str:
    """Return values as a message shows them: the first `most`, and dots for the others."""
    return ", ".join(map(repr, names[:most])) + ", ..." * (len(names) > most)


def bar_disabled() -> bool | None:
    """Return `disable` of a progress bar: None, which shows it on a terminal; True without standard error."""
    return True if sys.stderr is None else None
