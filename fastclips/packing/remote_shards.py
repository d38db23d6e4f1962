"""Shards of a pack in an object store: each is made in a temporary folder, uploaded, and removed there.

The store holds, while the pack is made, what a local folder holds (see `fastclips.packing.shards`)::

    00000.tar  00000.headers   a complete shard
    .packing/made              digest of the data and the options
    .packing/00000.record      written after the shard, so a shard with a record was uploaded whole
    pack.index                 last; then .packing/ is deleted

An object appears when all of it has arrived, so a run that is killed leaves whole objects, and perhaps parts
of an upload that the store does not show. A resumed run, on any machine, keeps the shards that have a record
and their size. A store has no locks: two runs of the same packing write the same bytes, and a run of another
packing is noticed by `made` before the index is written.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastclips.data.pack_storage import INDEX, RESTORE
from fastclips.data.remote_pack import RemotePack
from fastclips.data.store_errors import StoreError
from fastclips.data.tars import UNFINISHED
from fastclips.errors import DataError, OptionError
from fastclips.packing.headers import headers_name
from fastclips.packing.shards import SHARD, Shards, check_made, record_name, shard_name

if TYPE_CHECKING:
    from types import TracebackType

    from fastclips.data.columns import Columns
    from fastclips.data.stores import Found, RemoteFolder

__all__ = ["RemoteShards"]

_MADE = f"{UNFINISHED}/made"


def _is_ours(name: str) -> bool:
    """Whether packing makes objects of this name."""
    return SHARD(name) is not None or name.startswith(f"{UNFINISHED}/")


class RemoteShards(Shards):
    """The shards of a pack that is being made in an object store; a context manager, as `Shards`.

    Parameters
    ----------
    target : RemoteFolder
        The pack's folder.
    made, streams, shard_bytes, drop
        As of `Shards`.

    Raises
    ------
    OptionError
        The folder has other content.
    StoreError
        The store does not answer.
    """

    def __init__(
        self, target: RemoteFolder, made: str, *, streams: int, shard_bytes: int, drop: bool
    ) -> None:
        self._target = target
        self._index: Columns | None = None
        self._there = self._listed()
        self._check_content(made)
        self._staged = Path(tempfile.mkdtemp(prefix="fastclips-pack-"))
        try:
            if self._index is None:
                self._fetch_records()
            super().__init__(
                self._staged, made, streams=streams, shard_bytes=shard_bytes, drop=drop, name=target.url
            )
            self.complete = self._index is not None
            if not self.complete:
                target.put(_MADE, made.encode())
                target.delete(name for name in self._there if self._is_stray(name))
        except BaseException:
            shutil.rmtree(self._staged, ignore_errors=True)
            raise

    def _listed(self) -> dict[str, Found]:
        """Return what is in the pack's folder."""
        there = self._target.list()
        if there is None:
            raise StoreError(
                "access is denied: packing needs permission to list, read, write and delete objects"
            )
        if f"{UNFINISHED}/" in there:
            del there[f"{UNFINISHED}/"]
            there |= self._target.list(UNFINISHED) or {}
        return there

    def _check_content(self, made: str) -> None:
        """Raise OptionError if the folder cannot become this pack; fetch the index if it is one."""
        url = self._target.url
        if INDEX in self._there:
            with suppress(DataError):  # a damaged index is as good as another pack's
                pack = RemotePack(self._target, self._there, None, listed=True)
                self._index = pack.index(RESTORE, lambda _: False)
            check_made(self._index, made, url)
            assert self._index is not None  # noqa: S101 - as just checked
            ends = [0, *self._index["pack.ends"].tolist()]
            names = self._index.meta["shards"]
            pack.check({name: ends[at + 1] - ends[at] for at, name in enumerate(names)})
        elif self._there and _MADE not in self._there:
            first = next(iter(self._there))
            raise OptionError(f"dst={url!r}: is not empty (it has {first!r}); give a new folder")

    def _fetch_records(self) -> None:
        """Fetch what an earlier run has noted."""
        work = self._staged / UNFINISHED
        work.mkdir()
        for name, found in self._there.items():
            if name.startswith(f"{UNFINISHED}/"):
                (work / Path(name).name).write_bytes(self._read(name, found))

    def _read(self, name: str, found: Found) -> bytes:
        return bytes(self._target.read(name, 0, found.size, found)[0]) if found.size else b""

    def _is_stray(self, name: str) -> bool:
        """Whether an object is of a shard without a record, or a record of another run."""
        kept = {shard_name(number) for number in range(len(self._records))}
        kept |= {headers_name(shard) for shard in kept}
        kept |= {f"{UNFINISHED}/{record_name(number)}" for number in range(len(self._records))}
        return _is_ours(name) and name not in {*kept, _MADE}

    def _shard_size(self, number: int) -> int:
        found = self._there.get(shard_name(number))
        if found is None:
            raise FileNotFoundError
        return found.size

    def _end_shard(self, next_video: int) -> None:
        """Finish a shard, and upload it."""
        number = len(self._records)
        super()._end_shard(next_video)
        shard = self._staged / shard_name(number)
        for file in (shard, self._staged / headers_name(shard.name)):
            if file.exists():
                self._target.put(file.name, file)
                file.unlink()
        record = record_name(number)
        self._target.put(f"{UNFINISHED}/{record}", self._staged / UNFINISHED / record)

    def totals_made(self) -> dict[str, Any]:
        """Return the totals in the index of a complete pack."""
        assert self._index is not None  # noqa: S101 - it is complete
        totals: dict[str, Any] = self._index.meta["totals"]
        return totals

    def save(self, columns: Columns) -> None:
        """Upload the pack's index, after a look whether all shards are there: then it is a pack."""
        super().save(columns)
        there = self._listed()
        for number, record in enumerate(self._records):
            name, size = shard_name(number), record.meta["size"]
            if name not in there or there[name].size != size:
                raise DataError(f"{self._target.at(name)!r} was deleted or replaced: pack again")
        if _MADE not in there or self._read(_MADE, there[_MADE]) != self._made.encode():
            raise OptionError(
                f"dst={self._target.url!r}: another process packs into it; delete it, and pack again"
            )
        self._target.put(INDEX, self._staged / INDEX)
        self._target.delete(name for name in there if name.startswith(f"{UNFINISHED}/"))

    def discard(self) -> None:
        """Delete all that was written, so that another run reads the frames again."""
        self._target.delete(filter(_is_ours, self._listed()))
        super().discard()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
        finally:
            shutil.rmtree(self._staged, ignore_errors=True)
