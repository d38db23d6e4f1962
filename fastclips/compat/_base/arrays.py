"""Rows of an array as frames of a storage.

::

    array or memmap, workers=0     the caller's own array: nothing is copied but the rows of a batch
    array, workers > 0             copied once, into memory that all processes share
    x.npy, or a memmap of it all   left in its file: rows are read by pread, as they are shown
"""

from __future__ import annotations

import os
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.arrays import Npy, find_array
from fastclips.data.columns import Columns
from fastclips.data.storage import Storage
from fastclips.errors import DataError, FrameError, OptionError
from fastclips.options import refuse_masked

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ArrayRows"]

_KINDS = "biufc"  # NumPy's letters of numbers and bools


class ArrayRows(Storage):
    """Rows of an array (N, ...), of numbers or bools; made by `open`. A row is a frame of video 0.

    Parameters
    ----------
    held : ndarray, Columns or Npy
        The array, a block whose only array is ``rows``, or a file.
    name : str
        Name of the array in messages.
    first, length : int
        Which of its rows are meant.

    Attributes
    ----------
    array : ndarray or None
        The rows that are meant; None if they are in a file, which only `cut` and `read` read.
    shape, dtype
        Of the rows that are meant, (length, ...).
    """

    __slots__ = ("_arguments", "_file", "_first", "_name", "_scratch", "array", "dtype", "shape")

    def __init__(self, held: NDArray[Any] | Columns | Npy, name: str, first: int, length: int) -> None:
        self._arguments = held, name, first, length
        self._name, self._first = name, first
        found = held["rows"] if isinstance(held, Columns) else held
        self._file = found if isinstance(found, Npy) else None
        self.array = None if isinstance(found, Npy) else found[first : first + length]
        self.shape: tuple[int, ...] = (length, *found.shape[1:])
        self.dtype: np.dtype[Any] = found.dtype
        self._scratch = np.empty(0, np.uint8)  # of `cut`

    def __reduce__(self) -> tuple[Any, ...]:
        return ArrayRows, self._arguments

    @classmethod
    def open(cls, value: Any, name: str, *, shared: bool = True) -> ArrayRows:  # noqa: ANN401 - the user's
        """Take an array, or the path of a .npy file.

        Parameters
        ----------
        value : array_like, path or memmap
            The user's array.
        name : str
            Name of the argument, for messages.
        shared : bool
            Whether other processes will read it; then an array in memory is copied.

        Raises
        ------
        OptionError
            If it holds no numbers, or nothing, or is a masked array.
        DataError
            If a file cannot be read, is no .npy file, is cut short or is in Fortran order.
        """
        refuse_masked(value, name)
        found: Npy | NDArray[Any]
        if isinstance(value, np.memmap) and not shared:
            found = np.asarray(value)
        elif isinstance(value, (str, os.PathLike, np.memmap)):
            found = find_array(value, name)
        else:
            try:
                found = np.asarray(value)
            except ValueError as error:
                raise OptionError(f"{name}: items must have one shape: {error}") from error
        if found.dtype.kind not in _KINDS:
            raise OptionError(f"{name} of dtype {found.dtype}: must be an array of numbers")
        if not found.shape or 0 in found.shape:
            raise OptionError(f"{name} of shape {found.shape}: must hold at least one item")
        held = Columns.pack({"rows": found}) if shared and not isinstance(found, Npy) else found
        return cls(held, name, 0, found.shape[0])

    def __len__(self) -> int:
        return self.shape[0]

    def part(self, first: int, last: int) -> ArrayRows:
        """Return rows `first` to `last - 1`; nothing is copied."""
        held, name, before, _ = self._arguments
        first, last, _ = slice(first, last).indices(len(self))
        return ArrayRows(held, name, before + first, max(last - first, 0))

    def as_array(self) -> NDArray[Any]:
        """Return the rows that are meant, not to be written into; those in a file as a map of it."""
        found = self.array
        if self._file is not None:
            try:
                found = np.load(self._file.path, mmap_mode="r")[self._first : self._first + len(self)]
            except (OSError, ValueError) as error:
                raise DataError(f"cannot open {self._file.path!r}: {error}") from error
        assert found is not None  # noqa: S101 - one of the two
        view: NDArray[Any] = found.view()
        view.flags.writeable = False
        return view

    def cut(self, lead: tuple[int, ...], first: int, count: int) -> NDArray[Any]:
        """Return ``array[lead][first : first + count]``, not to be written into; the next call overwrites it.

        Raises
        ------
        FrameError
            If the file was changed since it was opened.
        """
        if self.array is not None:
            found: NDArray[Any] = self.array[lead][first : first + count]
            return found
        size = count * prod(self.shape[len(lead) + 1 :]) * self.dtype.itemsize
        if self._scratch.size < size:
            self._scratch = np.empty(size, np.uint8)
        return self._read(self._scratch[:size], lead, first, count)

    def read(self, stream: str, video: int, frame: int) -> NDArray[Any]:  # noqa: ARG002 - one stream, one video
        """Return a row, not to be written into unless it is writeable; see `Storage.read`."""
        if self.array is not None:
            row: NDArray[Any] = self.array[frame]
            return row
        row = self._read(np.empty(prod(self.shape[1:]) * self.dtype.itemsize, np.uint8), (), frame, 1)
        return row.reshape(self.shape[1:])

    def _read(self, out: NDArray[np.uint8], lead: tuple[int, ...], first: int, count: int) -> NDArray[Any]:
        """Read a part of the file into `out`, and return that as an array."""
        file = self._file
        assert file is not None  # noqa: S101 - the callers look
        place = (self._first + first,) if not lead else (self._first + lead[0], *lead[1:], first)
        start = int(np.ravel_multi_index(place, (file.shape[0], *self.shape[1 : len(place)])))
        try:
            file.read_into(out.data, start * out.size // max(count, 1))
        except DataError as error:
            path = f"{file.path}[{', '.join(map(str, place))}]"
            raise FrameError(
                f"cannot read {path}: {error}. Make the generator again", path=path, reason=str(error)
            ) from error
        return out.view(self.dtype).reshape(count, *self.shape[len(lead) + 1 :])

    def where(self, stream: str, video: int, frame: int) -> str:  # noqa: ARG002 - as for read
        """Return the name of a row, such as ``x[12]``."""
        return f"{self._name if self._file is None else self._file.path}[{self._first + frame}]"
