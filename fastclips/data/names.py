"""Names by number, held as bytes, and the order in which people count.

A dataset has a name for each video, and for each frame whose file is not simply numbered: too many for Python
strings, which take 60 bytes each and whose reference counts would copy every page that workers share.

::

    Names      any texts: one blob, and where each begins
    FileNames  the files of one video: ``img_00001.jpg ... img_00163.jpg`` is a template and three numbers
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, Any, overload

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["FileNames", "Names", "natural_key", "sequences", "stem", "template_of"]

_END = "\0"  # ends a name in a blob: the one character that no path can hold
_RUNS = re.compile("([0-9]+)")
_DIGITS = 18  # more may not fit into 64 bits
_BLANK = re.compile(r"\{(?:\w*:)?0?([1-9][0-9]*)?d?\}|%0?([1-9][0-9]*)?d")


def natural_key(path: str) -> list[tuple[list[Any], str]]:
    """Return the sort key of natural order, in which ``f2`` comes before ``f10``.

    Paths are compared folder by folder. Within one name, runs of the digits 0-9 compare as numbers and the
    text between them by casefolded code points; where all that is equal (``f1``, ``F1``, ``f01``), the plain
    strings decide, so the order is total and the same on every machine and in every locale.

    Parameters
    ----------
    path : str
        A name, or names joined by ``/``.

    Returns
    -------
    list
        Compares with the key of any other path.
    """
    return [(_number_runs(name.casefold()), name) for name in path.split("/")]


def _number_runs(text: str) -> list[Any]:
    parts: list[Any] = _RUNS.split(text)
    parts[1::2] = map(int, parts[1::2])  # text stands at even places, so only like compares with like
    return parts


def stem(name: str) -> str:
    """Return a file's name without its extension.

    Parameters
    ----------
    name : str
        Such as ``"img_00001.jpg"``.

    Returns
    -------
    str
        Such as ``"img_00001"``.
    """
    text, dot, _ = name.rpartition(".")
    return text if dot else name


def template_of(pattern: str) -> str | None:
    """Read a pattern with a place for the frame's number.

    Parameters
    ----------
    pattern : str
        Such as ``"img_{:05d}.jpg"``, ``"img_{i:05}.jpg"`` or ``"img_%05d.jpg"``; all else in it stands for
        itself.

    Returns
    -------
    str or None
        As `FileNames.template`; None if there is no such place, or several.
    """
    parts = _BLANK.split(pattern)
    if len(parts) != 4:  # noqa: PLR2004 - before, one of two widths, after
        return None
    before, *widths, after = parts
    width = int(next(filter(None, widths), "1"))
    return _template(before, width, after) if width <= _DIGITS else None


def _template(before: str, width: int, after: str) -> str:
    return f"{before.replace('%', '%%')}%0{width}d{after.replace('%', '%%')}"


class Names(Sequence[str]):
    """Texts by number, in one blob.

    Parameters
    ----------
    blob : ndarray of uint8
        All texts, in the file system's encoding, each ended by a zero byte.
    starts : ndarray of int64, shape (texts + 1,)
        Where each text begins, then where the blob ends.
    order : ndarray of int64, optional
        Which text each number means; all of them in order by default.
    """

    __slots__ = ("_bytes", "_order", "blob", "starts")

    def __init__(
        self, blob: NDArray[np.uint8], starts: NDArray[np.int64], order: NDArray[np.int64] | None = None
    ) -> None:
        self.blob = blob
        self.starts = starts
        self._order = order
        self._bytes = memoryview(blob)  # type: ignore[arg-type] # NumPy's arrays are buffers

    @classmethod
    def of(cls, texts: Iterable[str]) -> Names:
        """Hold some texts.

        Parameters
        ----------
        texts : iterable of str
            None with a zero character.

        Returns
        -------
        Names
        """
        blob = np.frombuffer(os.fsencode("".join(text + _END for text in texts)), np.uint8)
        ends = np.flatnonzero(blob == 0)
        return cls(blob, np.concatenate(([0], ends + 1)).astype(np.int64))

    def __reduce__(self) -> tuple[Any, ...]:
        return Names, (self.blob, self.starts, self._order)

    def __len__(self) -> int:
        return len(self.starts) - 1 if self._order is None else len(self._order)

    @overload
    def __getitem__(self, number: int) -> str: ...
    @overload
    def __getitem__(self, number: slice) -> list[str]: ...
    def __getitem__(self, number: int | slice) -> str | list[str]:
        if isinstance(number, slice):
            return [self[item] for item in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(f"there is no name {number} of {len(self)}")
        return os.fsdecode(self.encoded(number % len(self)))

    def encoded(self, number: int) -> bytes:
        """Return one text as it is stored.

        Parameters
        ----------
        number : int
            From 0; not checked.

        Returns
        -------
        bytes
            Without the zero byte.
        """
        if self._order is not None:
            number = self._order.item(number)
        start = self.starts.item
        return bytes(self._bytes[start(number) : start(number + 1) - 1])

    def take(self, rows: NDArray[np.int64]) -> Names:
        """Return some of the texts; the blob is shared.

        Parameters
        ----------
        rows : ndarray of int64
            Their numbers.

        Returns
        -------
        Names
        """
        return Names(self.blob, self.starts, rows if self._order is None else self._order[rows])

    def digest(self) -> bytes:
        """Return 16 bytes that differ where texts, their order, or what they are a part of differ."""
        digest = blake2b(self._bytes, digest_size=16)
        if self._order is not None and not np.array_equal(self._order, np.arange(len(self.starts) - 1)):
            digest.update(self._order.tobytes())
        return digest.digest()


@dataclass(frozen=True, slots=True)
class FileNames:
    """The names of one video's frames, in order.

    Parameters
    ----------
    count : int
        How many there are.
    template : str or None
        With a place for the number, as ``%`` takes it: ``"img_%05d.jpg"``. None if `listed` holds the names.
    first, stride : int
        The first frame's number, and from one frame's to the next's.
    listed : str
        The names, one after the other.
    """

    count: int
    template: str | None = None
    first: int = 0
    stride: int = 1
    listed: str = ""

    @classmethod
    def of(cls, names: list[str]) -> FileNames:
        """Hold names that are in order.

        Parameters
        ----------
        names : list of str
            At least one.

        Returns
        -------
        FileNames
            With a template if they are evenly numbered.
        """
        return _numbered(names) or cls(len(names), listed=_END.join(names))

    def names(self) -> list[str]:
        """Return the names, in order."""
        if self.template is None:
            return self.listed.split(_END)
        return list(map(self.template.__mod__, self.numbers()))

    def numbers(self) -> range:
        """Return the frames' numbers, where there is a template."""
        return range(self.first, self.first + self.count * self.stride, self.stride)

    def stems(self) -> list[str]:
        """Return the names without extension, in order."""
        return [stem(name) for name in self.names()]

    def has_gap(self) -> bool:
        """Whether numbers of frames are missing: one sequence whose numbers have several distances."""
        if self.template is not None or self.count < 3:  # noqa: PLR2004 - two are always even
            return False
        found = list(sequences(self.stems()).values())
        if len(found) != 1 or len(found[0]) != self.count:
            return False
        return len({int(b) - int(a) for a, b in pairwise(found[0])}) > 1


def sequences(texts: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """Tell apart the sequences that numbered texts form.

    Of several numbers in a text, the last one counts that is not the same in all texts like it: in
    ``aachen_000019_leftImg8bit`` not the 8.

    Parameters
    ----------
    texts : iterable of str
        Such as the stems of one folder.

    Returns
    -------
    dict of (str, str) to list of str
        What stands before and after the number, and the numbers; without the texts that have none.
    """
    alike: dict[tuple[str, ...], list[list[str]]] = {}
    for text in texts:
        parts = _RUNS.split(text)
        if len(parts) > 1:
            alike.setdefault(tuple(parts[::2]), []).append(parts)
    found: dict[tuple[str, str], list[str]] = {}
    for rows in alike.values():
        place = max(_differing(rows), default=len(rows[0]) - 2)
        for parts in rows:
            key = "".join(parts[:place]), "".join(parts[place + 1 :])
            found.setdefault(key, []).append(parts[place])
    return found


def _differing(rows: list[list[str]]) -> list[int]:
    """Return at which places numbers are not the same; text stands at the even ones."""
    return [place for place in range(1, len(rows[0]), 2) if len({row[place] for row in rows}) > 1]


def _numbered(names: list[str]) -> FileNames | None:
    """Return evenly numbered names as a template, if that is what they are."""
    first, second = _RUNS.split(names[0]), _RUNS.split(names[min(1, len(names) - 1)])
    if len(first) == 1 or first[::2] != second[::2]:
        return None
    place = max(_differing([first, second]), default=len(first) - 2)
    number, other = first[place], second[place]
    if max(len(number), len(other)) > _DIGITS:
        return None
    template = _template("".join(first[:place]), len(number), "".join(first[place + 1 :]))
    stride = int(other) - int(number) if len(names) > 1 else 1
    if stride < 1:
        return None
    found = FileNames(len(names), template, int(number), stride)
    if template % found.numbers()[-1] != names[-1]:
        return None
    return found if found.names() == names else None
