"""Names by number, held as bytes, and natural order.

A dataset has a name for each video, and for each frame whose file is not simply numbered. Python strings
would take 60 bytes each, and their reference counts would copy the pages that workers share. ::

    Names      any texts: one blob and the start of each text
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

from fastclips.data.decimals import find_decimals
from fastclips.data.file_column import FileColumn
from fastclips.options import first_few

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

__all__ = ["FileNames", "Names", "find_gaps", "natural_key", "sequences", "stem", "template_of"]

_END = "\0"  # ends a name in a blob; no path can hold this character
_RUNS = re.compile("([0-9]+)")
_DOTTED = re.compile(r"[0-9]\.$").search  # before the fraction of a second, or a second counter
_SPREAD = 4  # texts in a file are read in one call if at most so many lie between per wanted text
_BLOCK = 2**16  # names at a time, to bound memory
_DIGITS = 18  # a number of more digits may not fit into 64 bits
_BLANK = re.compile(r"\{(?:\w*:)?0?([1-9][0-9]*)?d?\}|%0?([1-9][0-9]*)?d")


def natural_key(path: str) -> list[tuple[list[Any], str]]:
    """Return the sort key of natural order, in which ``f2`` comes before ``f10``.

    Paths are compared folder by folder. Within a name, runs of the digits 0-9 compare as numbers and the text
    between them by casefolded code points. If all of these are equal (``f1``, ``F1``, ``f01``), the plain
    strings decide. So the order is total, and the same on every machine and in every locale. Frames named by
    decimal numbers have another order: see `fastclips.data.decimals`.
    """
    return [(_number_runs(name.casefold()), name) for name in path.split("/")]


def _number_runs(text: str) -> list[Any]:
    parts: list[Any] = _RUNS.split(text)
    parts[1::2] = map(int, parts[1::2])  # texts have even places, so texts never compare with numbers
    return parts


def stem(name: str) -> str:
    """Return a file's name without its extension: ``"img_00001"`` for ``"img_00001.jpg"``."""
    text, dot, _ = name.rpartition(".")
    return text if dot else name


def template_of(pattern: str) -> str | None:
    """Parse a pattern with a placeholder for the frame's number.

    Parameters
    ----------
    pattern : str
        Such as ``"img_{:05d}.jpg"``, ``"img_{i:05}.jpg"`` or ``"img_%05d.jpg"``. All other characters are
        literal.

    Returns
    -------
    str or None
        A template as in `FileNames.template`, or None unless there is exactly one placeholder.
    """
    parts = _BLANK.split(pattern)
    if len(parts) != 4:  # noqa: PLR2004 - text before, two alternative widths, text after
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
    blob : ndarray or FileColumn of uint8
        All texts in the file system's encoding, each followed by a zero byte.
    starts : ndarray or FileColumn of int64, shape (texts + 1,)
        Offset of each text in the blob, then the blob's size.
    order : ndarray of int64, optional
        The text of each number. By default, number n is text n.
    """

    __slots__ = ("_bytes", "_order", "blob", "starts")

    def __init__(
        self, blob: NDArray[np.uint8], starts: NDArray[np.int64], order: NDArray[np.int64] | None = None
    ) -> None:
        self.blob = blob
        self.starts = starts
        self._order = order
        self._bytes: memoryview | None = None if isinstance(blob, FileColumn) else blob.data

    @classmethod
    def of(cls, texts: Iterable[str]) -> Names:
        """Return the names of an iterable of str without zero characters."""
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
        """Return a text as it is stored, without its zero byte; `number` is not checked."""
        if self._bytes is None:
            return self.several((number,))[0]
        if self._order is not None:
            number = self._order.item(number)
        start = self.starts.item
        return bytes(self._bytes[start(number) : start(number + 1) - 1])

    def several(self, numbers: Sequence[int]) -> list[bytes]:
        """Return texts as they are stored, read from a file in one call if they lie close together."""
        if self._bytes is not None:
            return list(map(self.encoded, numbers))
        low, high = min(numbers), max(numbers)
        if len(numbers) > 1 and high - low >= _SPREAD * len(numbers):
            return [self.several((number,))[0] for number in numbers]
        starts = self.starts[low : high + 2].tolist()
        text = self.blob[starts[0] : starts[-1]].tobytes()
        places = [place - starts[0] for place in starts]
        return [text[places[number - low] : places[number - low + 1] - 1] for number in numbers]

    def take(self, rows: NDArray[np.int64]) -> Names:
        """Return the texts of some numbers; the blob is shared."""
        return Names(self.blob, self.starts, rows if self._order is None else self._order[rows])

    def joined(self, first: int, end: int) -> bytes:
        """Return the texts of the numbers from `first` below `end`, each with a zero byte after it."""
        if self._order is None:
            return self.blob[self.starts[first] : self.starts[end]].tobytes()
        rows = self._order[first:end]
        begins = self.starts[rows]
        lengths = self.starts[rows + 1] - begins
        ends = np.cumsum(lengths)
        at = np.repeat(begins - ends + lengths, lengths) + np.arange(lengths.sum())
        return bytes(self.blob[at])

    @classmethod
    def of_all(cls, several: Iterable[Names]) -> Names:
        """Return the names of several in their order, as one."""
        blocks = [
            np.frombuffer(names.joined(first, min(first + _BLOCK, len(names))), np.uint8)
            for names in several
            for first in range(0, len(names), _BLOCK)
        ]
        blob = np.concatenate(blocks)
        ends = [np.flatnonzero(block == 0) + 1 for block in blocks]
        begins = np.cumsum([0, *map(len, blocks)])
        starts = [np.zeros(1, np.int64), *(end + begin for end, begin in zip(ends, begins, strict=False))]
        return cls(blob, np.concatenate(starts))

    def digest(self) -> bytes:
        """Return a 16-byte digest of the whole blob and of the order."""
        digest = blake2b(np.asarray(self.blob).data, digest_size=16)
        if self._order is not None and not np.array_equal(self._order, np.arange(len(self.starts) - 1)):
            digest.update(self._order.tobytes())
        return digest.digest()


@dataclass(frozen=True, slots=True)
class FileNames:
    """The names of one video's frames, in order.

    Parameters
    ----------
    count : int
        Number of frames.
    template : str or None
        A printf-style template of the names, such as ``"img_%05d.jpg"``. None if `listed` holds the names.
    first, stride : int
        The first frame's number, and the difference between successive numbers.
    listed : str
        The names, joined by zero characters. An empty name says that the frame has no file.
    """

    count: int
    template: str | None = None
    first: int = 0
    stride: int = 1
    listed: str = ""

    @classmethod
    def of(cls, names: list[str]) -> FileNames:
        """Return the file names of an ordered list of at least one name; a template if evenly numbered.

        An empty name stands for a frame without a file.
        """
        return _numbered(names) or cls(len(names), listed=_END.join(names))

    def names(self) -> list[str]:
        """Return the names, in order."""
        if self.template is None:
            return self.listed.split(_END)
        return list(map(self.template.__mod__, self.numbers()))

    def numbers(self) -> range:
        """Return the frames' numbers; there must be a template."""
        return range(self.first, self.first + self.count * self.stride, self.stride)

    def stems(self) -> list[str]:
        """Return the names without extensions, in order."""
        return [stem(name) for name in self.names()]

    def frame_numbers(self) -> Sequence[int] | None:
        """Return the number in each name, in order; None unless the names are one sequence of whole numbers.

        A number after a number and a dot, such as ``0.15``, may be a part of a second.
        """
        if self.count > 1 and self.template is not None:
            before = self.template[: self.template.rindex("%0")]
            return None if _DOTTED(before) else self.numbers()
        stems = self.stems()
        found = sequences(stems)
        if len(found) != 1 or any(map(_DOTTED, (before for before, _ in found))):
            return None
        (numbers,) = found.values()
        unclear = self.count == 1 and len(_RUNS.findall(stems[0])) > 1  # which one is the frame's?
        return None if len(numbers) != self.count or unclear else list(map(int, numbers))

    def has_gap(self) -> bool:
        """Whether frame numbers are missing: one sequence whose numbers have unequal differences."""
        if self.template is not None or self.count < 3:  # noqa: PLR2004 - two numbers have one difference
            return False
        if find_decimals(self.stems()):  # rounded seconds have unequal differences
            return False
        found = list(sequences(self.stems()).values())
        if len(found) != 1 or len(found[0]) != self.count:
            return False
        return len({int(b) - int(a) for a, b in pairwise(found[0])}) > 1


def find_gaps(videos: Mapping[str, FileNames]) -> str | None:
    """Return a warning about videos with missing frame numbers, or None if there are none."""
    gaps = [video for video, files in videos.items() if files.has_gap()]
    if not gaps:
        return None
    return (
        f"Frame numbers are missing in {len(gaps)} of {len(videos)} videos, such as {first_few(gaps, 3)}. "
        "Frames are counted as they exist, so clips continue across a gap."
    )


def sequences(texts: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """Group numbered texts, such as the stems of a folder, into sequences.

    A text may hold several numbers. Its frame number is the last number that differs between texts that are
    otherwise alike: in ``aachen_000019_leftImg8bit`` this is 000019, not 8.

    Parameters
    ----------
    texts : iterable of str
        The texts. Those without a number are ignored.

    Returns
    -------
    dict of (str, str) to list of str
        The numbers of each sequence, by the text before and after the number.
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
    """Return the places at which numbers differ; texts have even places, numbers odd ones."""
    return [place for place in range(1, len(rows[0]), 2) if len({row[place] for row in rows}) > 1]


def _numbered(names: list[str]) -> FileNames | None:
    """Return evenly numbered names as a template; None if they are not evenly numbered."""
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
