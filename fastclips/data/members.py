"""An open shard, and what its members hold: bytes that were read -> frames, each held to its header."""

from __future__ import annotations

import errno
import io
import os
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib import format as npy

from fastclips._native import NPY_MAGIC, find_members
from fastclips.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MEND", "MemberError", "Shard", "contents"]

MEND = "if the tar has changed, open it again, or pack again"
_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)  # CPython may have been built without


class MemberError(Exception):
    """A member is not what was asked for.

    Parameters
    ----------
    place : int
        Which of those that were asked for.
    why : str
        What is wrong with it.
    """

    def __init__(self, place: int, why: str) -> None:
        super().__init__(why)
        self.place = place


class Shard:
    """An open tar file, closed with the last reference, so never under a thread that reads from it.

    Parameters
    ----------
    path : str
        Where it lies.
    size : int
        Bytes that it must have.

    Raises
    ------
    OSError
        It cannot be opened.
    DataError
        It has another size.
    """

    __slots__ = ("_fd", "_tells")

    def __init__(self, path: str, size: int) -> None:
        self._fd = -1
        self._tells = _NOWAIT > 0
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        found = os.fstat(self._fd).st_size
        if found != size:
            raise DataError(f"the tar has {found} bytes where its index says {size}")

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def advise(self, start: int, length: int) -> None:
        """Tell the kernel that a range will be read soon."""
        os.posix_fadvise(self._fd, start, length, os.POSIX_FADV_WILLNEED)

    def holds(self, at: int) -> bool:
        """Whether the kernel has a byte in memory; False where it does not tell."""
        if self._tells:
            try:
                return os.preadv(self._fd, [bytearray(1)], at, _NOWAIT) == 1
            except OSError as error:
                self._tells = error.errno != errno.EOPNOTSUPP  # as of overlayfs and tmpfs
        return False

    def read(self, start: int, length: int) -> bytes:
        """Return a range, all of it.

        Raises
        ------
        OSError
            It cannot be read.
        DataError
            The file ends before.
        """
        data = os.pread(self._fd, length, start)
        while len(data) < length:
            more = os.pread(self._fd, length - len(data), start + len(data))
            if not more:
                raise DataError("the tar was cut short")
            data += more
        return data


def contents(
    data: bytes, starts: list[int], lengths: list[int]
) -> list[memoryview] | list[memoryview | NDArray[np.uint8]]:
    """Return what members hold.

    Parameters
    ----------
    data : bytes
        Part of a tar file.
    starts : list of int
        Where each member's data begin in it; their header is the block before.
    lengths : list of int
        Bytes of each.

    Returns
    -------
    list of memoryview or ndarray of uint8
        Files as they are, but the arrays of .npy files.

    Raises
    ------
    MemberError
        A member has no bytes, or another length than its header says, or is an array of something else.
    """
    members, some_npy = find_members(data, starts, lengths)
    if (place := len(members)) < len(starts):
        if not lengths[place]:
            raise MemberError(place, "is empty (0 bytes): it could not be read when the tar was made")
        raise MemberError(place, f"its tar has no member of {lengths[place]} bytes at its place: {MEND}")
    return [_pixels(place, member) for place, member in enumerate(members)] if some_npy else members


def _pixels(place: int, data: memoryview) -> memoryview | NDArray[np.uint8]:
    """View a .npy file as its array; leave others as they are."""
    if data[: len(NPY_MAGIC)] != NPY_MAGIC:
        return data
    end = 10 + int.from_bytes(data[8:10], "little")
    try:
        return np.frombuffer(data, np.uint8, offset=end).reshape(_shape(bytes(data[:end])))
    except Exception as error:  # noqa: BLE001 - NumPy reads a header as Python, and lets out what that leads to
        raise MemberError(place, f"is no array of pixels ({error})") from None


@lru_cache  # there are few
def _shape(header: bytes) -> tuple[int, ...]:
    """Return the shape that the header of a .npy file tells."""
    file = io.BytesIO(header)
    npy.read_magic(file)
    shape, fortran, dtype = npy.read_array_header_1_0(file)
    if fortran or dtype != np.uint8 or len(shape) not in (2, 3):
        raise ValueError(f"an array of {dtype}, {shape}")
    return shape
