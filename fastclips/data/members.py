"""Open shards, and the frames in their members: bytes of a tar -> frames, each checked against its header."""

from __future__ import annotations

import errno
import io
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from fastclips._native import NPY_MAGIC, find_members
from fastclips.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["REMEDY", "MemberError", "Shard", "contents"]

REMEDY = "if the tar has changed, open it again, or pack again"
_AXES = {"|u1": (2, 3), "<u2": (3,), "<f4": (3,)}  # of pixels, and of numbers with their channels
_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)  # some builds of CPython lack it


class MemberError(Exception):
    """A member cannot be used.

    Parameters
    ----------
    number : int
        Its position among the requested members.
    reason : str
        Why it cannot be used.
    """

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(number, reason)
        self.number = number
        self.reason = reason


class Shard:
    """An open tar file. It is closed with the last reference, so never while a thread reads from it.

    Parameters
    ----------
    path : str
        The tar file.
    size : int
        The size that it must have, in bytes.

    Raises
    ------
    OSError
        The file cannot be opened.
    DataError
        The file has another size.
    """

    __slots__ = ("_fd", "_tells")

    def __init__(self, path: str, size: int) -> None:
        self._fd = -1
        self._tells = _NOWAIT > 0
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        found = os.fstat(self._fd).st_size
        if found != size:
            raise DataError(f"the tar has {found} bytes, but its index says {size}")

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def advise(self, start: int, length: int) -> None:
        """Tell the kernel that a range will be read soon."""
        os.posix_fadvise(self._fd, start, length, os.POSIX_FADV_WILLNEED)

    def holds(self, at: int) -> bool:
        """Whether the byte at an offset is in the page cache; False if the kernel cannot tell."""
        if self._tells:
            try:
                return os.preadv(self._fd, [bytearray(1)], at, _NOWAIT) == 1
            except OSError as error:
                self._tells = error.errno != errno.EOPNOTSUPP  # overlayfs and tmpfs lack it
        return False

    def read(self, start: int, length: int) -> bytes:
        """Return the bytes of a range; raise OSError or, if the file ends within it, DataError."""
        data = os.pread(self._fd, length, start)
        while len(data) < length:
            more = os.pread(self._fd, length - len(data), start + len(data))
            if not more:
                raise DataError("the tar was truncated")
            data += more
        return data


def contents(
    data: bytes | memoryview, starts: list[int], lengths: list[int]
) -> list[memoryview] | list[memoryview | NDArray[Any]]:
    """Return the frames in members.

    Parameters
    ----------
    data : bytes or memoryview
        Part of a tar file.
    starts : list of int
        Offset of each member's data; its header is the block before.
    lengths : list of int
        Bytes of each member.

    Returns
    -------
    list of memoryview or ndarray
        The array of a .npy file, of pixels or numbers; the bytes of any other file.

    Raises
    ------
    MemberError
        A member is empty, its header has another length, or its .npy file does not hold pixels.
    """
    members, some_npy = find_members(data, starts, lengths)
    if (number := len(members)) < len(starts):
        if not lengths[number]:
            raise MemberError(number, "is empty (0 bytes): it could not be read when the tar was made")
        reason = f"its tar has no member of {lengths[number]} bytes at its place: {REMEDY}"
        raise MemberError(number, reason)
    return [_pixels(number, member) for number, member in enumerate(members)] if some_npy else members


def _pixels(number: int, data: memoryview) -> memoryview | NDArray[Any]:
    """Return a .npy file as a view of its array, and any other file unchanged."""
    if data[: len(NPY_MAGIC)] != NPY_MAGIC:
        return data
    end = 10 + int.from_bytes(data[8:10], "little")
    try:
        shape, dtype = _form(bytes(data[:end]))
        return np.frombuffer(data, dtype, offset=end).reshape(shape)
    except Exception as error:  # noqa: BLE001 - NumPy evaluates the header as Python, with any error
        raise MemberError(number, f"is not an array of pixels ({error})") from None


@lru_cache  # a dataset has few shapes
def _form(header: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and the type in the header of a .npy file."""
    file = io.BytesIO(header)
    npy.read_magic(file)
    shape, fortran, dtype = npy.read_array_header_1_0(file)
    sized = all(type(size) is int and size > 0 for size in shape)  # reshape would take -1 for any size
    if fortran or not sized or len(shape) not in _AXES.get(dtype.str, ()):
        raise ValueError(f"an array of {dtype}, {shape}")
    return shape, dtype
