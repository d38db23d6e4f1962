"""A pack in an object store: its index, fetched once, and its shards, read by ranges.

::

    RemotePack.at(url, ...)          lists the index and the shards, with sizes and ETags
    pack.index(remedy, paged)        Columns: of the copy on disk with this ETag, or fetched
    pack.shard(name, size)           a shard, with `read` as `fastclips.data.members.Shard`

**The copy of the index** is in ``$XDG_CACHE_HOME/fastclips``, or ``~/.cache/fastclips``, under digests of its
URL and its ETag, one for each URL. If nothing can be written there, the index is fetched each time.

**Identity.** Sizes and ETags of all shards are those of one listing at the opening, and every process asks
for them. Plain web servers have no listing: there, each process takes what its first read of a shard says.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fastclips.data.block_cache import BlockCache
from fastclips.data.columns import Columns
from fastclips.data.store_errors import StoreError
from fastclips.data.stores import RemoteFolder
from fastclips.errors import DataError, OptionError
from fastclips.options import checked_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastclips.data.stores import Found

__all__ = ["RemotePack", "RemoteShard"]

_INDEX = "pack.index"
_UNFINISHED = ".packing/"
_PIECE = 8 * 2**20  # bytes of the index that are fetched by one request


class RemotePack:
    """A pack in an object store.

    Parameters
    ----------
    folder : RemoteFolder
        Where it lies.
    found : mapping of str to Found
        What is known of its objects, by name.
    cache : BlockCache, optional
        Keeps what is read on a local disk.
    listed : bool
        Whether `found` has all objects.
    """

    __slots__ = ("_cache", "_folder", "_found", "_listed")

    def __init__(
        self, folder: RemoteFolder, found: Mapping[str, Found], cache: BlockCache | None, *, listed: bool
    ) -> None:
        self._folder, self._found, self._cache, self._listed = folder, dict(found), cache, listed

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._folder, self._found, self._cache, self._listed)

    @classmethod
    def at(
        cls,
        url: str,
        storage_options: Mapping[str, Any] | None = None,
        local: str | os.PathLike[str] | None = None,
        limit: str | int | None = None,
    ) -> RemotePack:
        """Find the pack at a URL; the arguments are those of `fastclips.open`.

        Raises
        ------
        OptionError
            The URL or an option is wrong, or obstore is missing.
        DataError
            There is no pack, or the store does not answer.
        """
        most = None if limit is None else checked_bytes(limit, "limit")
        if local is None and limit is not None:
            raise OptionError(f"limit={limit!r}: is for a cache on a local disk; give its folder as local=")
        folder = RemoteFolder.of(url, storage_options)
        return cls._found_in(folder, None if local is None else BlockCache.of(local, most))

    @classmethod
    def _found_in(cls, folder: RemoteFolder, cache: BlockCache | None) -> RemotePack:
        try:
            objects = folder.list()
            found = folder.look(_INDEX) if objects is None else objects.get(_INDEX)
        except StoreError as error:
            if error.missing and "bucket" not in str(error):
                raise _no_pack(folder, {}) from error
            raise DataError(f"cannot open {folder.url!r}: {error.strerror}") from error
        if found is None:
            raise _no_pack(folder, objects or {})
        shards = {name: one for name, one in (objects or {}).items() if name.endswith(".tar")}
        return cls(folder, {**shards, _INDEX: found}, cache, listed=objects is not None)

    @property
    def url(self) -> str:
        """The pack's URL, without secrets."""
        return self._folder.url

    def check(self, sizes: Mapping[str, int]) -> None:
        """Raise DataError unless all shards exist and have their sizes, as far as a listing says."""
        for name, size in sizes.items() if self._listed else ():
            found = self._found.get(name)
            where = repr(self._folder.at(name))
            if found is None:
                raise DataError(f"{where} is missing: the pack was not fully uploaded; {_UPLOAD}")
            if found.size != size:
                raise DataError(f"{where} has {found.size} bytes, but its index says {size}; {_UPLOAD}")

    def shard(self, name: str, size: int) -> RemoteShard:
        """Return a shard, of which the index says the size."""
        return RemoteShard(self._folder, name, size, self._found.get(name), self._cache)

    def index(self, remedy: str, paged: Callable[[str], bool]) -> Columns:
        """Return the content of ``pack.index``.

        Parameters
        ----------
        remedy, paged
            As of `Columns.load`.

        Raises
        ------
        DataError
            It is damaged, or the store does not give it.
        """
        found, url = self._found[_INDEX], self._folder.url
        kept = _kept_index(url, found.tag) if found.tag else None
        if kept is not None and kept.exists():
            with suppress(OSError, DataError):  # damaged: it is fetched again
                return Columns.load(kept, paged=paged)
        fetched = _beside(kept)
        try:
            self._fetch(fetched, found)
            columns = Columns.load(fetched, remedy=remedy, paged=paged)
            if kept is not None and fetched.parent == kept.parent:
                with suppress(OSError):
                    fetched.rename(kept)
                    _remove_older(kept)
        except DataError as error:
            message = str(error).replace(repr(str(fetched)), repr(self._folder.at(_INDEX)))
            raise DataError(message) from None
        except OSError as error:
            why = error.strerror or error
            raise DataError(f"cannot fetch {self._folder.at(_INDEX)!r}: {why}") from error
        else:
            return columns
        finally:
            fetched.unlink(missing_ok=True)

    def _fetch(self, file: Path, found: Found) -> None:
        """Write the index to a file."""
        with file.open("wb") as out:
            for start in range(0, found.size, _PIECE):
                length = min(_PIECE, found.size - start)
                out.write(self._folder.read(_INDEX, start, length, found, patiently=True)[0])


_UPLOAD = "upload it again, or run the same packing again"


def _unpickled(
    folder: RemoteFolder, found: Mapping[str, Found], cache: BlockCache | None, listed: bool
) -> RemotePack:
    return RemotePack(folder, found, cache, listed=listed)


class RemoteShard:
    """A shard of a pack in an object store, read by ranges.

    Parameters
    ----------
    folder : RemoteFolder
        The pack's folder.
    name : str
        The shard's name.
    size : int
        The size that it must have, in bytes.
    found : Found, optional
        What it was when the pack was opened.
    cache : BlockCache, optional
        Keeps what is read.
    """

    __slots__ = ("_cache", "_folder", "_found", "_name", "_size")

    def __init__(
        self, folder: RemoteFolder, name: str, size: int, found: Found | None, cache: BlockCache | None
    ) -> None:
        self._folder, self._name, self._size, self._cache = folder, name, size, cache
        self._found = found

    def read(self, start: int, length: int) -> bytes | memoryview:
        """Return the bytes of a range; raise StoreError if the store does not give them."""
        if self._cache is None:
            return self._fetch(start, length)
        if self._found is None:
            self._take(self._folder.look(self._name))
        key = f"{self._folder.at(self._name)}\n{self._found.tag if self._found else ''}"
        return self._cache.read(key, self._size, start, length, self._fetch)

    def _fetch(self, start: int, length: int) -> memoryview:
        data, found = self._folder.read(self._name, start, length, self._found)
        self._take(found)
        return data

    def _take(self, found: Found) -> None:
        if self._found is None:
            if found.size != self._size:
                raise StoreError(
                    f"the shard has {found.size} bytes, but its index says {self._size}; {_UPLOAD}"
                )
            self._found = found


def _no_pack(folder: RemoteFolder, objects: Mapping[str, Found]) -> DataError:
    if any(name.startswith(_UNFINISHED) for name in objects):
        return DataError(f"{folder.url!r} is an unfinished pack: run the same packing again")
    if any(name.endswith(".tar") for name in objects):
        return DataError(
            f"{folder.url!r} has tar files, but no {_INDEX!r}: if it is a pack that was copied, copy the "
            "index, too; other tar files are opened from a local disk, or packed there"
        )
    what = f"has {len(objects)} objects, but" if objects else "has"
    return DataError(
        f"{folder.url!r} {what} no {_INDEX!r}, so there is no pack: correct the URL, or make a pack there by "
        "`fastclips pack`. Only packs are read from object stores"
    )


def _kept_index(url: str, tag: str) -> Path | None:
    """Return the path of the copy of an index; None if the user has no home."""
    top = os.environ.get("XDG_CACHE_HOME", "")
    try:
        folder = Path(top) if top.startswith("/") else Path.home() / ".cache"
    except RuntimeError:
        return None
    return folder / "fastclips" / f"{_digest(url)}-{_digest(tag)}.index"


def _beside(kept: Path | None) -> Path:
    """Return a new file in the folder of a path, or a temporary one if that is not possible."""
    if kept is not None:
        with suppress(OSError):
            kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = kept.with_name(f".{kept.name}.{uuid4().hex}")
            file.touch()
            return file
    fd, path = tempfile.mkstemp(prefix="fastclips-")
    os.close(fd)
    return Path(path)


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=12).hexdigest()


def _remove_older(kept: Path) -> None:
    """Remove the copies of earlier contents; a process that reads one keeps it."""
    for path in kept.parent.glob(f"{kept.name.partition('-')[0]}-*.index"):
        if path != kept:
            path.unlink(missing_ok=True)
