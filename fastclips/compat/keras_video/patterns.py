"""Files that a pattern of `glob.glob` finds, and their classes, from ``{classname}`` in the pattern.

::

    videos/{classname}/*.avi       a folder is a class
    videos/v_{classname}_g*.avi    a part of the name is a class

The name of a class is as short as possible and contains no slash. If ``{classname}`` occurs twice, both must
be the same. Given classes are inserted into the pattern one by one; a file that several of them find belongs
to the class with the longest name.
"""

from __future__ import annotations

import os
import re
from glob import escape, iglob
from typing import TYPE_CHECKING

from fastclips.errors import DataError, OptionError
from fastclips.options import first_few

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["find_videos"]

_CLASS = "{classname}"
_TOKEN = re.compile(r"\{classname\}|\*\*/|\*\*|\*|\?|\[!?\]?[^]]*\]|(?s:.)")
_NAMED = "(?P<classname>[^/]+?)"
_WILD = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def find_videos(pattern: str, classes: Sequence[str] | None) -> dict[str, str]:
    """Return the class of each file that a pattern finds, by path, sorted by class and path.

    Raises
    ------
    OptionError
        If the pattern contains no ``{classname}``.
    DataError
        If it finds no file.
    """
    if not isinstance(pattern, str) or _CLASS not in pattern:
        raise OptionError(f"glob_pattern={pattern!r}: must contain {_CLASS} in place of the class")
    if classes is None:
        known = _regex(pattern)
        paths = iglob(pattern.replace(_CLASS, "*"), recursive=True)  # noqa: PTH207 - paths that begin as it does
        classes = tuple({match["classname"] for match in map(known.fullmatch, paths) if match})
    found: dict[str, str] = {}
    for name in sorted(classes, key=len):  # of "jump" and "jumping", the longer one wins
        paths = iglob(pattern.replace(_CLASS, escape(name)), recursive=True)  # noqa: PTH207 - as above
        found.update(dict.fromkeys(paths, name))
    if not found:
        raise DataError(
            f"glob_pattern={pattern!r} finds no file"
            + (f" of {first_few(sorted(classes))}" if classes else "")
            + f", seen from {os.getcwd()!r}"  # noqa: PTH109 - a str
        )
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))


def _regex(pattern: str) -> re.Pattern[str]:
    """Return a regular expression for the paths that a pattern finds, with their class as a group."""
    parts: list[str] = []
    for token in _TOKEN.findall(pattern):
        if token == _CLASS:
            parts.append("(?P=classname)" if _NAMED in parts else _NAMED)
        elif token in _WILD:
            parts.append(_WILD[token])
        elif len(token) > 1:
            inner = token[1:-1].replace("\\", r"\\").replace("[", r"\[")
            parts.append(f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]")
        else:
            parts.append(re.escape(token))
    return re.compile("".join(parts), re.DOTALL)
