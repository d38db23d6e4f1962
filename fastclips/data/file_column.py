"""An array in a file, of which rows are read when they are used.

A mapped file that is cut short kills its readers by SIGBUS. A row of a `FileColumn` is read by pread instead,
and a short read is an error that names the file.
"""

from __future__ import annotations

import os
import weakref
from math import prod
from typing import TYPE_CHECKING, Any, final

import numpy as np

from fastclips.errors import DataError, why_failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import DTypeLike, NDArray

__all__ = ["FileColumn", "HeldFile", "in_pieces", "read_into"]

_SPREAD = 4  # a range is read in one call if it has at most so many rows per wanted row
_ROWS = 2**20  # rows of a piece


class HeldFile:
    """A descriptor that is closed with the last reference to it.

    Parameters
    ----------
    fd : int
        The descriptor.
    name : str
        The file's name in messages.
    """

    __slots__ = ("__weakref__", "fd", "name")

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name
        weakref.finalize(self, os.close, fd).atexit = False


def read_into(fd: int, name: str, out: NDArray[Any], place: int) -> None:
    """Fill a C-contiguous array with the bytes of a file from `place` on; `name` is the file's in messages.

    Raises
    ------
    DataError
        The file ends before, or cannot be read.
    """
    flat, done = out.reshape(-1).view(np.uint8), 0
    while done < flat.size:
        try:
            got = os.preadv(fd, [flat[done:].data], place + done)
        except OSError as error:
            raise DataError(f"{name} cannot be read: {why_failed(error)}") from error
        if not got:
            raise DataError(
                f"{name} has changed since it was opened: it ends at byte {place + done} or before. "
                "Restore it, and open it again"
            )
        done += got


@final
class FileColumn:
    """An array in a file. It has the part of an ndarray's methods that its users need.

    Parameters
    ----------
    file : HeldFile
        The file.
    dtype : dtype
        Numbers or bools.
    shape : sequence of int
        At least one axis.
    place : int
        Offset of the array in the file.
    """

    __slots__ = ("_file", "_place", "dtype", "shape")

    def __init__(self, file: HeldFile, dtype: DTypeLike, shape: Sequence[int], place: int) -> None:
        self._file = file
        self._place = place
        self.dtype = np.dtype(dtype)
        self.shape = tuple(shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Return the rows of a slice without a step, or of an array of numbers, each from 0.

        Raises
        ------
        DataError
            The file ends before the rows.
        IndexError
            There is no such row.
        """
        if isinstance(rows, slice):
            first, end, _ = rows.indices(len(self))
            return self._read(first, max(end - first, 0))
        if not rows.size:
            return np.empty((*rows.shape, *self.shape[1:]), self.dtype)
        low, high = int(rows.min()), int(rows.max())
        if low < 0 or high >= len(self):
            raise IndexError(f"there is no row {low if low < 0 else high} of {len(self)}")
        if high - low < _SPREAD * rows.size:
            found: NDArray[Any] = self._read(low, high - low + 1)[rows - low]
            return found
        parts = [self._read(row, 1) for row in rows.reshape(-1).tolist()]
        return np.concatenate(parts).reshape(*rows.shape, *self.shape[1:])

    def span(self, first: int, count: int) -> memoryview[Any]:
        """Return some rows of a column with one axis; faster than an array of few rows."""
        size, place = self.dtype.itemsize, self._place + first * self.dtype.itemsize
        try:
            data = os.pread(self._file.fd, count * size, place)
        except OSError:
            data = b""
        if first < 0 or len(data) < count * size or first + count > len(self):
            return self[np.arange(first, first + count)].data  # reads on, or raises the error
        return memoryview(data).cast(self.dtype.char)  # type: ignore[arg-type] # the characters of struct

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        found = self._read(0, len(self))
        return found if dtype is None else found.astype(dtype)

    def _read(self, first: int, count: int) -> NDArray[Any]:
        found = np.empty((count, *self.shape[1:]), self.dtype)
        if found.size:
            read_into(self._file.fd, self._file.name, found, self._place + first * (found.nbytes // count))
        return found


def in_pieces(column: NDArray[Any] | FileColumn, rows: int = _ROWS) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield the first row and the content of each part of a column, of about a million rows."""
    for first in range(0, len(column), rows):
        yield first, column[first : first + rows]
