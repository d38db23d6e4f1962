"""A cache of objects' bytes on a local disk: blocks of 1 MiB, each a file, the least recently used go first.

::

    <folder>/blocks/<object>/<number>   a block; <object> is a digest of the URL and the ETag
    <folder>/usage                      uint64: bytes of all blocks, or more; locked while it changes
    <folder>/evicting                   locked by the process that removes blocks

Blocks, and not whole shards: the first clip of a shard of 1 GiB would wait for all of it. And not the ranges
that were read: other clips of the same frames would be kept twice. A block holds some clips, so over an epoch
each byte is fetched once.

**Any process may be killed at any instruction.** A block is written under another name, synced and renamed.
Its bytes are counted in `usage` before, so the limit holds; a process that is killed in between leaves a
number that is too large, and the next eviction, which counts the files, corrects it. Locks are those of
flock, which the kernel releases with the process. What the cache holds never changes what is read: a block
that is missing, of another size or cannot be read is fetched.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import time
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fastclips.errors import OptionError, why_failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["BLOCK", "BlockCache"]

BLOCK = 2**20  # bytes
_FEWEST = 64  # blocks that a cache must have room for
_FRESH_S = 30.0  # a use of a block is noted at most so often
_STALE_S = 600.0  # after which half a block is one of a process that was killed
_KEPT = 0.9  # of the limit, after an eviction
_USAGE = struct.Struct("<Q")
_log = logging.getLogger(__name__)


class BlockCache:
    """The cache in a folder, which processes share.

    Parameters
    ----------
    folder : str
        Absolute path of a folder that exists.
    limit : int, optional
        Most bytes of all blocks; None for no limit.
    block : int
        Bytes of a block.
    """

    __slots__ = ("_block", "_blocks", "_folder", "_limit", "_warned")

    def __init__(self, folder: str, limit: int | None, block: int = BLOCK) -> None:
        self._folder, self._limit, self._block = folder, limit, block
        self._blocks = f"{folder}/blocks"
        self._warned = False

    @classmethod
    def of(cls, local: str | os.PathLike[str], limit: int | None) -> BlockCache:
        """Make the folder, and return the cache; raise OptionError if that is not possible."""
        if limit is not None and limit < _FEWEST * BLOCK:
            raise OptionError(f"limit={limit}: must be at least {_FEWEST} MiB, such as limit='200GiB'")
        folder = Path(local).absolute()
        try:
            (folder / "blocks").mkdir(parents=True, exist_ok=True)
            with _locked(f"{folder}/usage"):
                pass
        except OSError as error:
            raise OptionError(
                f"local={str(folder)!r}: cannot be written to ({why_failed(error)}); give another folder"
            ) from error
        return cls(str(folder), limit)

    def __reduce__(self) -> tuple[Any, ...]:
        return BlockCache, (self._folder, self._limit, self._block)

    def read(
        self, name: str, size: int, start: int, length: int, fetch: Callable[[int, int], memoryview]
    ) -> bytes | memoryview:
        """Return a range of an object; fetch the blocks that are missing, and keep them.

        Parameters
        ----------
        name : str
            Tells the object and its content: its URL and its ETag.
        size : int
            Bytes of the object.
        start, length : int
            The range.
        fetch : callable
            Returns a range of the object, given its start and its length.
        """
        folder = f"{self._blocks}/{blake2b(name.encode(), digest_size=16).hexdigest()}"
        block, end = self._block, start + length
        parts: list[bytes | memoryview] = []
        number, last = start // block, (end - 1) // block
        while number <= last:
            data = self._held(folder, number, size, start, end)
            if data is not None:
                parts.append(data)
                number += 1
                continue
            beyond = number + 1
            while beyond <= last and self._held(folder, beyond, size, beyond * block, beyond * block) is None:
                beyond += 1
            low, high = number * block, min(beyond * block, size)
            fetched = fetch(low, high - low)
            for at in range(number, beyond):
                self._keep(folder, at, fetched[at * block - low : (at + 1) * block - low])
            parts.append(fetched[max(start, low) - low : min(end, high) - low])
            number = beyond
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _held(self, folder: str, number: int, size: int, start: int, end: int) -> bytes | None:
        """Return the part of a range that lies in a block; None if the block is not here."""
        begin = number * self._block
        whole = min(self._block, size - begin)
        low, high = max(start - begin, 0), min(end - begin, whole)
        try:
            fd = os.open(f"{folder}/{number}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            status = os.fstat(fd)
            if status.st_size != whole:
                return None
            if time.time() - status.st_mtime > _FRESH_S:
                with suppress(OSError):  # of another user: then it is evicted as if it were not used
                    os.utime(fd)
            data = os.pread(fd, high - low, low) if high > low else b""
        except OSError:
            return None
        finally:
            os.close(fd)
        return data if len(data) == high - low else None

    def _keep(self, folder: str, number: int, data: memoryview) -> None:
        """Write a block, if there is room for it."""
        beside = f"{folder}/.{uuid4().hex}"
        try:
            if not self._reserve(len(data)):
                return
            for attempt in range(2):
                os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - paths are text here, for speed
                try:
                    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
                    break
                except FileNotFoundError:  # an eviction has removed the empty folder
                    if attempt:
                        raise
            try:
                while data:
                    data = data[os.write(fd, data) :]
                os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(beside, f"{folder}/{number}")  # noqa: PTH104 - as above
        except OSError as error:
            with suppress(OSError):
                os.unlink(beside)  # noqa: PTH108 - as above
            if not self._warned:
                self._warned = True
                _log.warning(
                    "local=%r: cannot keep what was fetched: %s. Reading goes on without.",
                    self._folder,
                    why_failed(error),
                )

    def _reserve(self, size: int) -> bool:
        """Count a block before it is written; return False if there is no room."""
        if self._count(size):
            return True
        with _locked(f"{self._folder}/evicting", wait=False) as got:
            if not got:
                return False
            if not self._count(size):  # another process may have evicted meanwhile
                self._evict(size)
                return self._count(size)
        return True

    def _count(self, size: int) -> bool:
        """Add to the bytes of all blocks, unless they would exceed the limit."""
        with _locked(f"{self._folder}/usage") as fd:
            data = os.pread(fd, _USAGE.size, 0)
            used = _USAGE.unpack(data)[0] if len(data) == _USAGE.size else self._scan()[0]
            if self._limit is not None and used + size > self._limit:
                return False
            os.pwrite(fd, _USAGE.pack(used + size), 0)
        return True

    def _scan(self) -> tuple[int, list[tuple[float, int, str]]]:
        """Return the bytes of all files, and the time of the last use, the size and the path of each."""
        found = []
        os.makedirs(self._blocks, exist_ok=True)  # noqa: PTH103 - as below
        for folder in os.scandir(self._blocks):
            with suppress(OSError):
                for entry in os.scandir(folder.path):
                    with suppress(OSError):
                        status = entry.stat(follow_symlinks=False)
                        found.append((status.st_mtime, status.st_size, entry.path))
        return sum(size for _, size, _ in found), found

    def _evict(self, size: int) -> None:
        """Remove blocks, the least recently used first, to a part of the limit."""
        with _locked(f"{self._folder}/usage") as fd:
            before = os.pread(fd, _USAGE.size, 0)
        total, found = self._scan()
        wanted = int(_KEPT * (self._limit or 0)) - size
        now = time.time()
        for used, length, path in sorted(found):
            half = os.path.basename(path).startswith(".")  # noqa: PTH119 - as above
            if half and now - used < _STALE_S:
                continue
            if total > wanted or half:
                with suppress(OSError):
                    os.unlink(path)  # noqa: PTH108 - as above
                    total -= length
        for folder in os.scandir(self._blocks):
            with suppress(OSError):
                os.rmdir(folder.path)  # noqa: PTH106 - as above; it fails for those with blocks
        with _locked(f"{self._folder}/usage") as fd:
            after = os.pread(fd, _USAGE.size, 0)
            if len(before) == len(after) == _USAGE.size:  # what others have counted meanwhile is theirs
                total += max(_USAGE.unpack(after)[0] - _USAGE.unpack(before)[0], 0)
            os.pwrite(fd, _USAGE.pack(total), 0)


@contextmanager
def _locked(path: str, *, wait: bool = True) -> Iterator[int]:
    """Hold the lock of a file; yield its descriptor, or 0 if another process holds it and `wait` is False."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield 0
        else:
            yield fd
    finally:
        os.close(fd)
