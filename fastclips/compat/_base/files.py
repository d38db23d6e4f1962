"""What frames are read from: files by number, or the rows of an array.

Both are picklable, small beside the data (no Python object per file), and read in the process that wants the
bytes. ``read(i)`` gives a file's bytes or a row's array, ``where(i)`` its name for messages.
"""

from __future__ import annotations

import os
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.arrays import Npy, find_array
from fastclips.data.columns import Columns
from fastclips.data.names import Names
from fastclips.errors import DataError, FrameError, OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

__all__ = ["CHANNELS", "ArrayList", "FileList"]

CHANNELS = {"rgb": 3, "rgba": 4, "grayscale": 1}  # by color_mode


class FileList:
    """Files by number; made by `of`.

    Parameters
    ----------
    columns : Columns
        Their names, ``names`` and ``starts``, as `fastclips.data.names.Names` holds them.
    root : str
        What the names are relative to.
    """

    __slots__ = ("_columns", "_names", "_root")

    def __init__(self, columns: Columns, root: str) -> None:
        self._columns, self._root = columns, root
        self._names = Names(columns["names"], columns["starts"])

    def __reduce__(self) -> tuple[type[FileList], tuple[Columns, str]]:
        return FileList, (self._columns, self._root)

    @classmethod
    def of(cls, names: Iterable[str], root: str | os.PathLike[str] = "") -> FileList:
        """Hold paths of files.

        Parameters
        ----------
        names : iterable of str
            The paths.
        root : path
            What they are relative to; an absolute path stands for itself.

        Returns
        -------
        FileList
        """
        held = Names.of(names)
        columns = Columns.pack({"names": held.blob, "starts": held.starts})
        return cls(columns, os.path.abspath(root) if os.fspath(root) else "")  # noqa: PTH100 - keeps ".." of links

    @property
    def names(self) -> Names:
        """The paths as they were given."""
        return self._names

    def __len__(self) -> int:
        return len(self._names)

    def read(self, number: int) -> bytes:
        """Return a file's bytes.

        Raises
        ------
        FrameError
            If it cannot be read or is empty; the message holds its path.
        """
        path = self.where(number)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                data = os.read(fd, os.fstat(fd).st_size)
            finally:
                os.close(fd)
        except OSError as error:
            raise FrameError(
                f"cannot read {path!r}: {error.strerror}. If files changed since the generator was made, "
                "make it again"
            ) from error
        if not data:
            raise FrameError(f"{path!r} is empty (0 bytes)")
        return data

    def where(self, number: int) -> str:
        """Return a file's path."""
        return os.path.join(self._root, self._names[number])  # noqa: PTH118 - a Path costs more than the rest


class ArrayList:
    """The rows of an array (N, ...), of numbers or bools; made by `of`.

    Parameters
    ----------
    source : Columns or Npy
        A block with the one array ``rows``, or a file.
    name : str
        What to call it in messages.
    first, length : int
        Which of its rows are meant.
    """

    __slots__ = ("_array", "_first", "_length", "_name", "_source")

    def __init__(self, source: Columns | Npy, name: str, first: int, length: int) -> None:
        self._source, self._name, self._first, self._length = source, name, first, length
        self._array = None if isinstance(source, Npy) else source["rows"]

    def __reduce__(self) -> tuple[type[ArrayList], tuple[Columns | Npy, str, int, int]]:
        return ArrayList, (self._source, self._name, self._first, self._length)

    @classmethod
    def of(cls, array: ArrayLike | str | os.PathLike[str], name: str) -> ArrayList:
        """Hold an array.

        What is in memory is copied once, into memory that workers share. What is in a .npy file, given by
        its path or as ``np.load(path, mmap_mode="r")``, stays there.

        Parameters
        ----------
        array : array_like or path
            (N, ...).
        name : str
            What it was given as.

        Returns
        -------
        ArrayList

        Raises
        ------
        OptionError
            If it is no array of numbers.
        DataError
            If a file is none, or cut short.
        """
        if isinstance(array, (str, os.PathLike, np.memmap)):
            found = find_array(array, name)
        else:
            found = _array(array, name)
        source = found if isinstance(found, Npy) else Columns.pack({"rows": found})
        return cls(source, name, 0, found.shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array."""
        return self._source.dtype if isinstance(self._source, Npy) else self._source["rows"].dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the rows that are meant, (N, ...)."""
        whole = self._source.shape if isinstance(self._source, Npy) else self._source["rows"].shape
        return (self._length, *whole[1:])

    def __len__(self) -> int:
        return self._length

    def part(self, first: int, last: int) -> ArrayList:
        """Return rows `first` to `last - 1`; nothing is copied."""
        first, last, _ = slice(first, last).indices(self._length)
        return ArrayList(self._source, self._name, self._first + first, max(last - first, 0))

    def read(self, number: int) -> NDArray[Any]:
        """Return a row, which is not to be written into.

        Raises
        ------
        FrameError
            If the file was changed since it was opened; the message holds its path.
        """
        if self._array is not None:
            row: NDArray[Any] = self._array[self._first + number]
            return row
        file = self._source
        assert isinstance(file, Npy)  # noqa: S101 - the one other kind
        row = np.empty(file.shape[1:], file.dtype)
        size = prod(file.shape[1:]) * file.dtype.itemsize
        try:
            file.read_into(row.reshape(-1).view(np.uint8).data, (self._first + number) * size)
        except DataError as error:
            raise FrameError(
                f"cannot read {self.where(number)}: {error}. Make the generator again"
            ) from error
        return row

    def where(self, number: int) -> str:
        """Return a row's place, such as ``x[12]``."""
        file = self._source
        return f"{file.path if isinstance(file, Npy) else self._name}[{self._first + number}]"


def _array(given: ArrayLike, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise OptionError(f"{name}: its items have different shapes: {error}") from error
    if array.dtype.kind not in "biufc":
        raise OptionError(f"{name}: must be an array of numbers, not of {array.dtype}")
    return array
