"""Files of a folder that are not one sequence of frames: what the message says about them.

A folder may hold several sequences of frames (``img_*``, ``flow_x_*``), a cover, or a browser's copy
(``00002 (1).png``). A pattern ``frames=`` is offered only if it selects a whole sequence and nothing else.
"""

from __future__ import annotations

import fnmatch
import re
from glob import escape
from typing import TYPE_CHECKING

from fastclips.data.names import natural_key, sequences, stem, template_of
from fastclips.errors import DataError, OptionError
from fastclips.options import first_few

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["matcher", "refuse", "twins"]

_DIGIT = re.compile("[0-9]")
_SECONDS = re.compile(r"(.*[^0-9])?[0-9]+\.").fullmatch  # before the fraction of a second


def matcher(frames: str | None) -> Callable[[str], object] | None:
    """Return a function that matches the file names that a pattern selects; None for all."""
    if frames is None:
        return None
    if not isinstance(frames, str):
        raise OptionError(f"frames={frames!r}: must be a pattern of file names, such as 'img_*.jpg'")
    template = template_of(frames)
    if template is None:
        return re.compile(fnmatch.translate(frames)).match
    width = int(re.search(r"%0(\d+)d", template)[1])  # type: ignore[index] # template_of always writes it
    before, after = (re.escape(part.replace("%%", "%")) for part in template.split(f"%0{width}d"))
    return re.compile(rf"{before}(?:[0-9]{{{width}}}|[1-9][0-9]{{{width},}}){after}").fullmatch


def refuse(folder: str, by_text: Mapping[str, str]) -> None:
    """Raise DataError unless a folder's frames are one sequence, or none has a number.

    Parameters
    ----------
    folder : str
        Path of the folder.
    by_text : mapping of str to str
        Each frame's name by its stem.
    """
    found = sequences(by_text)
    odd = [name for text, name in by_text.items() if not _DIGIT.search(text)]
    if not found or (len(found) == 1 and not odd):
        return
    shown = sorted(found, key=lambda ends: natural_key("*".join(ends)))
    largest = max(reversed(shown), key=lambda ends: len(found[ends]))
    before, after = largest
    members = {by_text[f"{before}{number}{after}"] for number in found[largest]}
    others = sorted((name for name in by_text.values() if name not in members), key=natural_key)
    select = _selecting(before, after, members, by_text.values())
    counts = [len(numbers) for numbers in found.values()]
    if odd or max(counts) > sorted(counts)[-2] == 1:
        remedy = f", or set frames={select!r}" if select else ""
        raise DataError(
            f"{folder!r} holds the numbered frames {before + '*' + after!r} and others, {first_few(others)}: "
            f"move the others to another folder{remedy}."
        )
    globs = [f"{first}*{last}" for first, last in shown]
    remedy = (
        f"select one with frames=, such as frames={select!r}" if select else "move each to its own folder"
    )
    if all(map(_SECONDS, (first for first, _ in shown))):
        remedy = "if they are one video, set frames='*'; otherwise " + remedy
    raise DataError(
        f"{folder!r} holds {len(globs)} sequences of numbered frames, {first_few(globs)}: {remedy}."
    )


def twins(folder: str, names: list[str], first: str, second: str) -> str:
    """Return the message about two frames with one stem."""
    stems = set(map(stem, names))
    patterns = sorted({f"*{name[len(stem(name)) :]}" for name in (first, second)})
    whole = [
        pattern
        for pattern in patterns
        if sorted(stem(name) for name in fnmatch.filter(names, pattern)) == sorted(stems)
    ]
    remedy = f", or select with frames=, such as frames={whole[0]!r}" if whole else ""
    return (
        f"{folder!r} holds two frames with one stem, {min(first, second)!r} and {max(first, second)!r}: "
        f"remove one{remedy}."
    )


def _selecting(before: str, after: str, members: set[str], names: Iterable[str]) -> str | None:
    """Return a pattern that matches the members and no other name; None if there is none."""
    numbers = [name[len(before) : len(stem(name)) - len(after)] for name in members]
    extensions = {name[len(stem(name)) :] for name in members}
    patterns = [f"{escape(before)}*{escape(after)}.*"]
    if len(extensions) == 1:
        patterns.append(f"{before}{{:0{min(map(len, numbers))}d}}{after}{extensions.pop()}")
    for pattern in patterns:
        matches = matcher(pattern)
        if matches is not None and set(filter(matches, names)) == members:
            return pattern
    return None
