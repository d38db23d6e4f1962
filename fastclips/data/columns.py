"""Named arrays in one block of memory that all processes map, so an index is held in memory once.

A block is a sealed memfd, mapped read-only. Saving copies it to a file, loading copies the file to a memfd.
The trainer, the nursery and the workers share one copy of an index. A file is read through once when it is
opened, to compare its checksum: a flipped bit would name another video or class. ::

    Columns.pack(arrays, meta)   arrays -> memfd
    columns.save(path)           block -> file
    Columns.load(path, paged=)   file -> memfd, checked; the large columns stay in the file
    dump(value, file)            pickles a value without its blocks; their descriptors are passed instead
    load(file, fds)              unpickles the value in the process that received the descriptors

**Files are never mapped**: cutting a mapped file short kills its readers by SIGBUS. Of a file of more than
64 MiB, the columns that the loader names stay in the file: each is a `FileColumn`, whose rows are read when
they are used, and a short read is a DataError.

**The bytes.** All numbers are little-endian. ::

    0      8 bytes       b"fcolumns"
    8      uint64        version, 2
    16     uint64        bytes of the header
    24     uint64        bytes of the block
    32     uint64        in a file, the CRC-32 of the bytes from 40 on
    40     JSON, UTF-8   the header: {"arrays": {name: [dtype, shape, offset]}, "meta": {...}}
           zeros         up to a multiple of 64, where the data begin
           arrays        C-contiguous; offsets are multiples of 64, counted from where the data begin

A memfd is sealed after it is written. If columns stay in a file, its header also has ``file``, the file's
name, and ``paged``, [dtype, shape, offset in the file] of each. A file is put in place by a rename and never
written to again, so a process that has opened the old file keeps the old content.
"""

from __future__ import annotations

import json
import mmap
import os
import pickle
import re
import stat
import struct
import weakref
import zlib
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from fcntl import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, fcntl
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, final
from uuid import uuid4

import cloudpickle
import numpy as np

from fastclips.data.file_column import FileColumn, HeldFile, read_into
from fastclips.errors import DataError, why_failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["MAGIC", "REMEDY", "Columns", "dump", "load", "load_shared"]

MAGIC = b"fcolumns"  # the first bytes of a block
REMEDY = "delete it, and it is made again"
_VERSION = 2
_PREFIX = struct.Struct("<8sQQQQ")  # magic, version, bytes of the header, bytes of the block, CRC-32
_ALIGNMENT = 64  # bytes: a cache line

_KINDS = "biufc"  # NumPy's kinds: bools and numbers
_DTYPE = re.compile(rf"[<|][{_KINDS}][0-9]{{1,2}}").fullmatch
_COPIED = 64 * 2**20  # bytes of a file up to which all columns are copied into memory
_AXES, _BELOW = 32, 2**48  # axes of an array, and items
_PIECE = 2**22  # bytes converted at a time
_F_SEAL_FUTURE_WRITE = 0x10  # like F_SEAL_WRITE, but every kernel allows a shared mapping afterwards


@final
class Columns(Mapping[str, "NDArray[Any]"]):
    """Named read-only arrays and JSON metadata in one block.

    Made by `pack`, `load` and `attach`. The arrays are views of the mapping and keep it alive. Two objects
    are equal only if they are identical. A pickle holds the whole block; `dump` leaves it out.

    Parameters
    ----------
    fd : int
        A descriptor of a block. It is closed with this object, or immediately if the constructor raises.
    source : str
        The block's name in messages.
    file : HeldFile, optional
        The file that holds the columns that are not in the block.
    remedy : str
        What messages tell the user to do about a damaged block.

    Raises
    ------
    DataError
        The descriptor holds no block, a block of another version, or a truncated or damaged block.
    """

    __slots__ = ("__weakref__", "_arrays", "_fd", "_file", "_memory", "_meta")

    def __init__(self, fd: int, source: str, *, file: HeldFile | None = None, remedy: str = REMEDY) -> None:
        try:
            start, header = _read_header(fd, source, remedy)
            self._memory = mmap.mmap(fd, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
            self._meta: dict[str, Any] = header["meta"]
            self._arrays: dict[str, Any] = {
                name: np.ndarray(tuple(shape), dtype, self._memory, start + offset)
                for name, (dtype, shape, offset) in header["arrays"].items()
            }
            if file is not None:
                file.name = header["file"]
                self._arrays |= {name: FileColumn(file, *entry) for name, entry in header["paged"].items()}
        except BaseException as error:
            os.close(fd)
            if isinstance(error, OSError):
                raise DataError(f"cannot hold an index in memory: {why_failed(error)}") from error
            raise
        self._fd, self._file = fd, file
        weakref.finalize(self, os.close, fd).atexit = False

    @classmethod
    def pack(cls, arrays: Mapping[str, ArrayLike], meta: Mapping[str, Any] | None = None) -> Columns:
        """Copy arrays into a memfd.

        An array is written piece by piece, so no second copy of it is made.

        Parameters
        ----------
        arrays : mapping of str to array_like
            Numbers or bools, of any shape.
        meta : mapping, optional
            JSON-able metadata. JSON's types come back: a tuple becomes a list.

        Returns
        -------
        Columns

        Raises
        ------
        TypeError
            An array does not hold numbers or bools, a name is not a str, or `meta` is not JSON-able.
        """
        return cls._packed(arrays, {"meta": dict(meta or {})})

    @classmethod
    def _packed(
        cls, arrays: Mapping[str, ArrayLike], more: dict[str, Any], file: HeldFile | None = None
    ) -> Columns:
        given = {name: np.asarray(array) for name, array in arrays.items()}
        entries, end = {}, 0
        for name, array in given.items():
            if not isinstance(name, str):
                raise TypeError(f"the name of a column must be a str, not {name!r}")
            if array.dtype.kind not in _KINDS:
                raise TypeError(f"column {name!r} must hold numbers or bools, not {array.dtype}")
            entries[name] = array.dtype.newbyteorder("<").str, array.shape, end
            end = _aligned(end + array.nbytes)
        header = json.dumps({"arrays": entries, **more}).encode()
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

        return cls(_memfd(write), "packed columns", file=file)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        remedy: str | None = None,
        paged: Callable[[str], bool] | None = None,
    ) -> Columns:
        """Copy a file that `save` wrote into a memfd.

        Parameters
        ----------
        path : path
            The file. It is read completely once, to compare its checksum.
        remedy : str, optional
            What messages tell the user to do about a damaged file; by default, to delete it.
        paged : callable, optional
            Whether a column, given by its name, stays in the file if the file has more than 64 MiB. It is
            then a `FileColumn`.

        Returns
        -------
        Columns

        Raises
        ------
        OSError
            The file cannot be opened.
        DataError
            The file is no saved columns, is of another version or damaged; or no memory is left for the copy.
        """
        source = repr(os.fspath(path))
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # of a FIFO, open would wait
        file = HeldFile(fd, source)
        total, checksum = _check_prefix(fd, source, remedy)
        remedy = remedy or REMEDY

        def check(copy: int | None = None) -> None:
            if checksum != _copy(fd, source, total, copy):
                raise DataError(f"{source} is damaged: its checksum does not match: {remedy}")

        if paged is None or total <= _COPIED:
            return cls(_memfd(check), source, remedy=remedy)
        check()
        start, header = _read_header(fd, source, remedy)
        kept = {name: entry for name, entry in header["arrays"].items() if paged(name) and entry[1]}
        held = {
            name: FileColumn(file, dtype, shape or (1,), start + offset)[:].reshape(shape)
            for name, (dtype, shape, offset) in header["arrays"].items()
            if name not in kept
        }
        paged_at = {name: (dtype, shape, start + offset) for name, (dtype, shape, offset) in kept.items()}
        return cls._packed(held, {"meta": header["meta"], "paged": paged_at, "file": source}, file)

    @classmethod
    def attach(cls, fd: int, file: int | None = None) -> Columns:
        """Map a block whose `fds` another process passed; the caller still has to close them."""
        held = None if file is None else HeldFile(os.dup(file), "the saved index")
        return cls(os.dup(fd), f"descriptor {fd}", file=held)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the block to a file atomically.

        Parameters
        ----------
        path : path
            The file. An existing file is replaced; processes that loaded the old file keep its content.

        Raises
        ------
        OSError
            The file cannot be written. No partial file is left.
        DataError
            The columns in a file cannot be read.
        """
        if self._file is not None:
            self._whole().save(path)
            return
        target = Path(path)
        beside = target.with_name(f".{target.name}.{uuid4().hex}")
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            try:
                _write(fd, self._memory, 0)
                *start, _ = _PREFIX.unpack_from(self._memory)
                _write(fd, _PREFIX.pack(*start, _copy(self._fd, "the block", self.nbytes)), 0)
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
    def fds(self) -> tuple[int, ...]:
        """The block's descriptor, and that of the file that holds further columns, if there is one."""
        return (self._fd,) if self._file is None else (self._fd, self._file.fd)

    @property
    def nbytes(self) -> int:
        """Bytes of the block."""
        return len(self._memory)

    @property
    def meta(self) -> dict[str, Any]:
        """The metadata that was packed with the arrays; do not modify it."""
        return self._meta

    def __getitem__(self, name: str) -> NDArray[Any]:
        array: NDArray[Any] = self._arrays[name]
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    # Mapping.__eq__ would compare arrays, whose comparison has no single truth value.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        columns = ", ".join(f"{name}: {array.dtype}{array.shape}" for name, array in self._arrays.items())
        return f"<Columns of {self.nbytes} bytes: {columns or 'none'}>"

    def __reduce__(self) -> tuple[Callable[[bytes], Columns], tuple[bytes]]:
        return _from_bytes, (self._memory[:] if self._file is None else self._whole().__reduce__()[1][0],)

    def _whole(self) -> Columns:
        """Return the same columns, all of them in memory."""
        return Columns.pack({name: np.asarray(column) for name, column in self.items()}, self._meta)


def dump(value: object, file: IO[bytes], *, by_value: bool = False) -> list[Columns]:
    """Pickle a value for another process on this machine, without the `Columns` in it.

    Parameters
    ----------
    value : object
        Any picklable object.
    file : file object
        The pickle is written to it.
    by_value : bool
        Whether classes of a script or a notebook are pickled by value, by cloudpickle.

    Returns
    -------
    list of Columns
        The columns that were left out, each once. The other process needs their `fds` in this order.

    Raises
    ------
    Exception
        Any error that pickling `value` raises.
    """
    pickler = (_CloudPickler if by_value else _Pickler)(file, protocol=5)
    pickler.left_out = []
    pickler.dump(value)
    return pickler.left_out


def load(file: IO[bytes], fds: Sequence[Sequence[int]]) -> Any:  # noqa: ANN401 - any dumped value
    """Unpickle a value that `dump` wrote.

    Parameters
    ----------
    file : file object
        The pickle is read from it.
    fds : sequence of sequence of int
        `Columns.fds` of the columns that were left out, in order. The caller still has to close them.

    Returns
    -------
    object
        The value. It shares its blocks with the process that dumped it.
    """
    return load_shared(file, [Columns.attach(*some) for some in fds])


def load_shared(file: IO[bytes], left_out: Sequence[Columns]) -> Any:  # noqa: ANN401 - any dumped value
    """Unpickle a value that `dump` wrote, with the columns that it left out."""
    unpickler = _Unpickler(file)
    unpickler.left_out = left_out
    return unpickler.load()


class _Sharing:
    """Part of a pickler that leaves out columns."""

    left_out: list[Columns]

    def persistent_id(self, value: object) -> int | None:
        if type(value) is not Columns:
            return None
        if value not in self.left_out:
            self.left_out.append(value)
        return self.left_out.index(value)


class _Pickler(_Sharing, pickle.Pickler):
    pass


class _CloudPickler(_Sharing, cloudpickle.Pickler):  # type: ignore[misc] # it has no types
    pass


class _Unpickler(pickle.Unpickler):
    left_out: Sequence[Columns]

    def persistent_load(self, number: int) -> Columns:
        return self.left_out[number]


def _from_bytes(block: bytes) -> Columns:
    return Columns(_memfd(lambda fd: _write(fd, block, 0)), "pickled columns")


def _memfd(write: Callable[[int], None]) -> int:
    """Return a new memfd, filled by `write` and sealed."""
    try:
        fd = os.memfd_create("fastclips-columns", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with ExitStack() as failing:
            failing.callback(os.close, fd)
            write(fd)
            failing.pop_all()
    except OSError as error:
        raise DataError(f"cannot hold an index in memory: {why_failed(error)}") from error
    with suppress(OSError):  # an old kernel: seals are a safeguard that nothing depends on
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | _F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)
    return fd


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def _pieces(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield an array in parts of about `_PIECE` bytes, in C order."""
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
        while done < len(rest):  # the kernel writes at most 2 GiB per call
            done += os.pwrite(fd, rest[done:], offset + done)


def _copy(fd: int, source: str, total: int, copy: int | None = None) -> int:
    """Return the CRC-32 of a block after its prefix, read to keep resident memory low; copy it if asked."""
    found = 0
    piece = np.empty(min(_PIECE, total), np.uint8)
    for place in range(0, total, _PIECE):
        part = piece[: total - place]
        read_into(fd, source, part, place)
        found = zlib.crc32(part[max(_PREFIX.size - place, 0) :].data, found)
        if copy is not None:
            _write(copy, part.data, place)
    return found


def _check_prefix(fd: int, source: str, remedy: str | None) -> tuple[int, int]:
    """Check a file's first bytes and its size; return the bytes of the block, and its checksum."""
    status = os.fstat(fd)
    prefix = os.pread(fd, _PREFIX.size, 0) if stat.S_ISREG(status.st_mode) else b""
    if prefix[: len(MAGIC)] != MAGIC[: len(prefix)] or not prefix:
        reason = f"{source} does not hold saved columns (it begins with {prefix[:8]!r})"
        raise DataError(f"{reason}: {remedy}" if remedy else reason)  # it may be anyone's: not to be deleted
    remedy = remedy or REMEDY
    if len(prefix) < _PREFIX.size:
        raise DataError(f"{source} is truncated to {status.st_size} bytes: {remedy}")
    _, version, _, total, checksum = _PREFIX.unpack(prefix)
    if version != _VERSION:
        raise DataError(
            f"{source} has format version {version}, but this fastclips reads version {_VERSION}: {remedy}"
        )
    if status.st_size != total:
        raise DataError(f"{source} has {status.st_size} bytes, but its header says {total}: {remedy}")
    return total, checksum


def _read_header(fd: int, source: str, remedy: str) -> tuple[int, dict[str, Any]]:
    """Return the offset of a block's data, and its header, checked."""
    total, _ = _check_prefix(fd, source, remedy)
    _, _, length, *_ = _PREFIX.unpack(os.pread(fd, _PREFIX.size, 0))
    try:
        header: dict[str, Any] = json.loads(os.pread(fd, min(length, total), _PREFIX.size))
        start = _aligned(_PREFIX.size + length)
        if not isinstance(header["meta"], dict):
            raise TypeError("meta is no object")  # noqa: TRY301 - reported by the same error
        for dtype, shape, offset in header["arrays"].values():
            _check_entry(dtype, shape, offset, total - start)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        why = f"{error}" if str(error) else type(error).__name__
        raise DataError(f"{source} has a damaged header ({why}): {remedy}") from error
    return start, header


def _check_entry(dtype: object, shape: object, offset: object, most: int) -> None:
    """Raise ValueError unless an array lies within the data, whose bytes are `most`."""
    sizes = shape if isinstance(shape, list) and len(shape) <= _AXES else [-1]
    fits = isinstance(dtype, str) and _DTYPE(dtype) is not None
    fits = fits and all(type(size) is int and size >= 0 for size in (*sizes, offset))
    fits = fits and prod(max(size, 1) for size in sizes) < _BELOW  # NumPy refuses larger arrays, even empty
    if fits and isinstance(dtype, str) and isinstance(offset, int):
        fits = offset <= most - np.dtype(dtype).itemsize * prod(sizes) and not offset % _ALIGNMENT
    if not fits:
        raise ValueError(f"an array of {dtype} {shape} cannot begin at byte {offset}")
