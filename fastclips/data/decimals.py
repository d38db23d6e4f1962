"""Frames named by decimal numbers, such as seconds: ``0.1 0.15 0.2 0.25``.

A dot between digits has two readings. ``1.5 1.25`` are decimals (1.25 is less than 1.5), or two counters, as
in ``1.9 1.10`` (scene 1, frames 9 and 10). If both readings give one order, the natural order is right.
Otherwise the names of all frames of a folder decide:

==============  ====================================================================================
decimals        ``0.05 0.1`` (counters have no such zeros), or even differences as decimals
counters        ``1.9 1.10`` (decimals have no such zeros), or even differences of the second counter
without a sign  decimals if all have the same digits before the dot; otherwise the order is unclear
==============  ====================================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from fastclips.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Decimals", "find_decimals"]

_DOTTED = re.compile(r"[0-9]\.[0-9]").search
_NUMBERS = re.compile(r"([0-9]+(?:\.[0-9]+)*)")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?").fullmatch  # 1.2.3 is no number


@dataclass(frozen=True, slots=True)
class Decimals:
    """Which numbers in names are decimals; false if none are. Made by `find_decimals`.

    Parameters
    ----------
    places : frozenset of (tuple of str, int)
        Each place of a decimal: the casefolded texts around the numbers of a name, and the number's position.
    unclear : tuple of str, optional
        Two names whose order is unclear, in their order as decimals.
    """

    places: frozenset[tuple[tuple[str, ...], int]] = frozenset()
    unclear: tuple[str, str] | None = None

    def __bool__(self) -> bool:
        return bool(self.places)

    def key(self, name: str) -> tuple[list[Any], str]:
        """Return a sort key like that of `natural_key`, except that decimals compare as numbers."""
        parts: list[Any] = _NUMBERS.split(name.casefold())
        texts = tuple(parts[::2])
        parts[1::2] = [
            (Fraction(number),) if (texts, place) in self.places else tuple(map(int, number.split(".")))
            for place, number in enumerate(parts[1::2])
        ]
        return parts, name

    def joined(self, name: str) -> str:
        """Return a name with each decimal as one run of digits: ``a015`` for ``a0.15``."""
        parts = _NUMBERS.split(name)
        texts = tuple(map(str.casefold, parts[::2]))
        for place in range(len(parts) // 2):
            if (texts, place) in self.places:
                parts[2 * place + 1] = parts[2 * place + 1].replace(".", "")
        return "".join(parts)

    def refuse_unclear(self, folder: str) -> None:
        """Raise DataError if the order of a folder's frames is unclear."""
        if self.unclear is not None:
            first, second = self.unclear
            raise DataError(
                f"{folder!r} holds the frames {first!r} and {second!r}, whose order is unclear: the numbers "
                f"may be decimals ({first!r} first) or two counters ({second!r} first). Rename the frames so "
                "that a single number counts them, such as 00001, 00002."
            )


def find_decimals(names: Iterable[str]) -> Decimals:
    """Find the decimals in the names of a folder's frames, given without extensions.

    Of names that are alike except for numbers, the last number that differs is the frame's.
    """
    dotted = list(names)
    if not any(map(_DOTTED, dotted)):
        return Decimals()
    alike: dict[tuple[str, ...], list[tuple[list[str], str]]] = {}
    for name in dotted:
        parts = _NUMBERS.split(name)
        alike.setdefault(tuple(map(str.casefold, parts[::2])), []).append((parts[1::2], name))
    places = set()
    for texts, rows in alike.items():
        columns = list(zip(*(numbers for numbers, _ in rows), strict=True))
        place = max((at for at, column in enumerate(columns) if len(set(column)) > 1), default=None)
        if place is None:
            continue
        first_of = {numbers[place]: name for numbers, name in reversed(rows)}
        if not (all(map(_NUMBER, first_of)) and any("." in number for number in first_of)):
            continue
        decimal = _are_decimals(list(first_of))
        if decimal is None:
            one, other = _swapped(list(first_of))
            return Decimals(unclear=(first_of[one], first_of[other]))
        if decimal:
            places.add((texts, place))
    return Decimals(frozenset(places))


def _counters(number: str) -> tuple[int, int]:
    before, _, after = number.partition(".")
    return int(before), int(after or -1)


def _are_decimals(numbers: list[str]) -> bool | None:
    """Whether different numbers are decimals whose order is not that of counters; None if it is unclear."""
    by_value = sorted(numbers, key=Fraction)
    values, counters = list(map(Fraction, by_value)), list(map(_counters, by_value))
    equal_values, equal_counters = len(set(values)) < len(values), len(set(counters)) < len(values)
    if not (equal_values or equal_counters) and counters == sorted(counters):
        return False
    after = [number.partition(".")[2] for number in numbers]
    long = [digits for digits in after if len(digits) > 1]
    of_decimals = equal_counters or any(digits[0] == "0" for digits in long) or _even(values)
    of_counters = equal_values or any(digits[-1] == "0" for digits in long) or _even_counters(counters)
    if of_decimals or of_counters:
        return None if of_decimals and of_counters else of_decimals
    return True if len({before for before, _ in counters}) == 1 else None


def _even(numbers: Sequence[Fraction | int]) -> bool:
    """Whether at least 3 sorted numbers have equal differences."""
    return len(numbers) > 2 and len({b - a for a, b in pairwise(numbers)}) == 1  # noqa: PLR2004 - as above


def _even_counters(counters: list[tuple[int, int]]) -> bool:
    """Whether the second counter has equal differences for each value of the first."""
    seconds: dict[int, list[int]] = {}
    for first, second in sorted(counters):
        seconds.setdefault(first, []).append(second)
    return all(map(_even, seconds.values()))


def _swapped(numbers: list[str]) -> tuple[str, str]:
    """Return two numbers, in the order of decimals, that counters order the other way if there are any."""
    pairs = list(pairwise(sorted(numbers, key=Fraction)))
    return next((pair for pair in pairs if _counters(pair[0]) > _counters(pair[1])), pairs[0])
