"""Arrays in one block of memory that every process maps: an index is held once, however many read it.

A block is a memfd or a file, mapped read-only. The two hold the same bytes: saving is a copy, loading is a
mapping. So an index takes memory once for trainer, nursery and workers together. A file is read through once
as it is opened, since a flipped bit would be another video or another class. ::

    Columns.pack(arrays, meta)   arrays -> memfd
    columns.save(path)           block -> file
    Columns.load(path)           file -> block, mapped and checked
    dump(value, file)            pickles a value without the blocks in it: their descriptors are passed on
    load(file, fds)              unpickles it in the process that was given the descriptors

**The bytes.** All numbers are little-endian. ::

    0      8 bytes       b"fcolumns"
    8      uint64        version, 2
    16     uint64        bytes of the header
    24     uint64        bytes of the block
    32     uint64        in a file, the CRC-32 of all that follows
    40     JSON, UTF-8   the header: {"arrays": {name: [dtype, shape, offset]}, "meta": {...}}
           zeros         up to a multiple of 64, where the data begins
           arrays        C-contiguous; offsets are multiples of 64, counted from where the data begins

A memfd is sealed once it is written. A file is put in place by renaming it, and never written into: whoever
has mapped it keeps what was there. Only cutting a mapped file short kills its readers.
"""

from __future__ import annotations

import json
import mmap
import os
import pickle
import stat
import struct
import weakref
import zlib
from collections.abc import Mapping
from contextlib import suppress
from fcntl import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, fcntl
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, final
from uuid import uuid4

import numpy as np

from fastclips.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["MAGIC", "Columns", "dump", "load"]

MAGIC = b"fcolumns"  # what a block begins with
_VERSION = 2
_PREFIX = struct.Struct("<8sQQQQ")  # magic, version, bytes of the header, bytes of the block, CRC-32
_ALIGNMENT = 64  # bytes: a cache line
_KINDS = "biufc"  # numpy's letters of what is a number or a bool
_PIECE = 2**22  # bytes converted at a time
_F_SEAL_FUTURE_WRITE = 0x10  # as F_SEAL_WRITE, but every kernel lets such a block be mapped shared


@final
class Columns(Mapping[str, "NDArray[Any]"]):
    """Named arrays, read-only, and a few words about them, in one block.

    Made by `pack`, `load` and `attach`. The arrays are views of the mapping and keep it alive; they cannot be
    made writeable. Equal only to itself. Pickling carries the whole block, so that it can go to another
    machine; `dump` does not.

    Parameters
    ----------
    fd : int
        A descriptor of a block, closed with this object, or at once if this raises.
    source : str
        What to call the block in messages.
    verify : bool
        Whether to compare its checksum, which only a saved block has.

    Raises
    ------
    DataError
        The descriptor holds no block, a block of another version, or one that was cut short or damaged.
    """

    __slots__ = ("__weakref__", "_arrays", "_fd", "_memory", "_meta")

    def __init__(self, fd: int, source: str, *, verify: bool = False) -> None:
        try:
            start, header = _read_header(fd, source, verify=verify)
            self._memory = mmap.mmap(fd, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
            try:
                self._meta: dict[str, Any] = header["meta"]
                self._arrays = {
                    name: _view(self._memory, dtype, shape, start, offset)
                    for name, (dtype, shape, offset) in header["arrays"].items()
                }
            except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
                raise _refused(source, f"has a damaged header ({error})") from error
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        weakref.finalize(self, os.close, fd).atexit = False

    @classmethod
    def pack(cls, arrays: Mapping[str, ArrayLike], meta: Mapping[str, Any] | None = None) -> Columns:
        """Copy arrays into a memfd.

        An array is written piece by piece, whether it is contiguous, mapped from a file or of another byte
        order: no second copy of it is made on the way.

        Parameters
        ----------
        arrays : mapping of str to array_like
            Numbers or bools, of any shape.
        meta : mapping, optional
            Whatever JSON can hold; it comes back as JSON has it, a tuple as a list.

        Returns
        -------
        Columns

        Raises
        ------
        TypeError
            An array holds something else than numbers or bools, such as str or objects; a name is no str; or
            `meta` is nothing for JSON.
        """
        given = {name: np.asarray(array) for name, array in arrays.items()}
        entries, end = {}, 0
        for name, array in given.items():
            if not isinstance(name, str):
                raise TypeError(f"the name of a column must be a str, not {name!r}")
            if array.dtype.kind not in _KINDS:
                raise TypeError(f"column {name!r} must hold numbers or bools, not {array.dtype}")
            entries[name] = array.dtype.newbyteorder("<").str, array.shape, end
            end = _aligned(end + array.nbytes)
        header = json.dumps({"arrays": entries, "meta": dict(meta or {})}).encode()
        start = _aligned(_PREFIX.size + len(header))

        def write(fd: int) -> None:
            os.ftruncate(fd, start + end)
            _write(fd, _PREFIX.pack(MAGIC, _VERSION, len(header), start + end, 0) + header, 0)
            for name, (dtype, _, offset) in entries.items():
                place = start + offset
                for piece in _pieces(given[name]):
                    flat = np.ascontiguousarray(piece, dtype).reshape(-1).view(np.uint8)
                    _write(fd, flat.data, place)
                    place += flat.size

        return cls(_memfd(write), "packed columns")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Columns:
        """Map a file that `save` has written.

        Parameters
        ----------
        path : path
            All of it is read once, since it holds its checksum.

        Returns
        -------
        Columns

        Raises
        ------
        OSError
            It cannot be opened, as where there is none.
        DataError
            It is no such file, of another version, or was cut short or damaged.
        """
        return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC), repr(os.fspath(path)), verify=True)

    @classmethod
    def attach(cls, fd: int) -> Columns:
        """Map the block of a descriptor that another process has passed.

        Parameters
        ----------
        fd : int
            Another process's `fd`; still the caller's to close.

        Returns
        -------
        Columns

        Raises
        ------
        DataError
            The descriptor holds no block.
        """
        return cls(os.dup(fd), f"descriptor {fd}")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the block into a file, which is there as a whole or not at all.

        Parameters
        ----------
        path : path
            Replaced if it exists, without harm to whoever has loaded it.

        Raises
        ------
        OSError
            It cannot be written; nothing is left behind.
        """
        target = Path(path)
        beside = target.with_name(f".{target.name}.{uuid4().hex}")
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            try:
                _write(fd, self._memory, 0)
                *start, _ = _PREFIX.unpack_from(self._memory)
                _write(fd, _PREFIX.pack(*start, _checksum(self._fd)), 0)
                os.fsync(fd)
            finally:
                os.close(fd)
            beside.replace(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    @property
    def fd(self) -> int:
        """The block's descriptor, open for as long as this object lives."""
        return self._fd

    @property
    def nbytes(self) -> int:
        """Bytes of the block."""
        return len(self._memory)

    @property
    def meta(self) -> dict[str, Any]:
        """What was packed beside the arrays; not to be changed."""
        return self._meta

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    # Mapping's own would compare arrays, which have no single truth.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        columns = ", ".join(f"{name}: {array.dtype}{array.shape}" for name, array in self._arrays.items())
        return f"<Columns of {self.nbytes} bytes: {columns or 'none'}>"

    def __reduce__(self) -> tuple[Callable[[bytes], Columns], tuple[bytes]]:
        return _from_bytes, (self._memory[:],)


def dump(value: object, file: IO[bytes]) -> list[Columns]:
    """Pickle a value for another process of this machine, leaving out every `Columns` in it.

    Parameters
    ----------
    value : object
        Anything that can be pickled.
    file : file object
        Where to.

    Returns
    -------
    list of Columns
        What was left out, each once: the other process needs their descriptors, in this order.

    Raises
    ------
    Exception
        Whatever pickling `value` raises.
    """
    pickler = _Pickler(file, protocol=5)
    pickler.dump(value)
    return pickler.left_out


def load(file: IO[bytes], fds: Sequence[int]) -> Any:  # noqa: ANN401 - whatever was dumped
    """Unpickle what `dump` has written.

    Parameters
    ----------
    file : file object
        Where from.
    fds : sequence of int
        Descriptors of what was left out, in order; still the caller's to close.

    Returns
    -------
    object
        The value, whose blocks are those of the process that dumped it.
    """
    unpickler = _Unpickler(file)
    unpickler.left_out = [Columns.attach(fd) for fd in fds]
    return unpickler.load()


class _Pickler(pickle.Pickler):
    def __init__(self, file: IO[bytes], protocol: int) -> None:
        super().__init__(file, protocol)
        self.left_out: list[Columns] = []

    def persistent_id(self, thing: object) -> int | None:
        if type(thing) is not Columns:
            return None
        if thing not in self.left_out:
            self.left_out.append(thing)
        return self.left_out.index(thing)


class _Unpickler(pickle.Unpickler):
    left_out: list[Columns]

    def persistent_load(self, place: int) -> Columns:
        return self.left_out[place]


def _from_bytes(block: bytes) -> Columns:
    return Columns(_memfd(lambda fd: _write(fd, block, 0)), "pickled columns")


def _memfd(write: Callable[[int], None]) -> int:
    """Return a memfd that was filled and then sealed."""
    fd = os.memfd_create("fastclips-columns", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        write(fd)
    except BaseException:
        os.close(fd)
        raise
    with suppress(OSError):  # a kernel that cannot: a seal is a guard, nothing rests on it
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | _F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)
    return fd


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def _pieces(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Cut an array into parts of some `_PIECE` bytes, in C order."""
    if array.nbytes <= _PIECE:
        yield array
    elif (row := array[0].nbytes) > _PIECE:
        for part in array:
            yield from _pieces(part)
    else:
        step = _PIECE // row
        for first in range(0, len(array), step):
            yield array[first : first + step]


def _write(fd: int, data: bytes | memoryview | mmap.mmap, offset: int) -> None:
    with memoryview(data) as rest:
        done = 0
        while done < len(rest):  # the kernel takes 2 GiB at a time
            done += os.pwrite(fd, rest[done:], offset + done)


def _checksum(fd: int) -> int:
    """Return the CRC-32 of what follows the prefix; read and not mapped, so that no page counts as used."""
    found, place = 0, _PREFIX.size
    piece = bytearray(_PIECE)
    with memoryview(piece) as view:
        while got := os.preadv(fd, [piece], place):
            found = zlib.crc32(view[:got], found)
            place += got
    return found


def _read_header(fd: int, source: str, *, verify: bool) -> tuple[int, dict[str, Any]]:
    """Check a block's size and return where its data begins and its header."""
    status = os.fstat(fd)
    prefix = os.pread(fd, _PREFIX.size, 0) if stat.S_ISREG(status.st_mode) else b""
    if prefix[: len(MAGIC)] != MAGIC[: len(prefix)] or not prefix:
        raise DataError(f"{source} does not hold saved columns (it begins with {prefix[:8]!r})")
    if len(prefix) < _PREFIX.size:
        raise _refused(source, f"is cut short, at {status.st_size} bytes")
    _, version, length, total, checksum = _PREFIX.unpack(prefix)
    if version != _VERSION:
        raise _refused(source, f"is of version {version} of its format, of which this is version {_VERSION}")
    if status.st_size != total:
        raise _refused(source, f"has {status.st_size} bytes where its header says {total}")
    if verify and checksum != _checksum(fd):
        raise _refused(source, "is damaged: its checksum is another")
    try:
        header: dict[str, Any] = json.loads(os.pread(fd, min(length, total), _PREFIX.size))
    except ValueError as error:
        raise _refused(source, f"has a damaged header ({error})") from error
    return _aligned(_PREFIX.size + length), header


def _view(memory: mmap.mmap, dtype: str, shape: Sequence[int], start: int, offset: int) -> NDArray[Any]:
    kind = np.dtype(dtype)
    fits = min(shape, default=0) >= 0 and 0 <= offset <= len(memory) - start - kind.itemsize * prod(shape)
    if not fits or offset % _ALIGNMENT or kind.kind not in _KINDS:
        raise ValueError(f"no array of {dtype} {shape} can begin at {offset}")
    view: NDArray[Any] = np.ndarray(tuple(shape), kind, memory, start + offset)
    return view


def _refused(source: str, why: str) -> DataError:
    return DataError(f"{source} {why}: delete it, so that it is made again")
