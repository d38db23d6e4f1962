"""What restores JPEGs byte for byte from the dct frames of a shard: ``00000.headers`` beside ``00000.tar``.

A dct frame has the coefficients of a JPEG. The rest of the file, which no pixel depends on, is its *around*:
all that stands before its scan and behind it, Huffman tables included. Files that were written by one program
have few different ones, which are kept once, numbered by first use. Only `fastclips.unpack` reads them, so a
pack works without these files, too.

A file has `Columns`::

    headers.numbers    uint32 (members,)    number of each member's around, from 1; 0 for none. Members are in
                                            the shard's order; a frame without a mask counts as a member
    headers.ends       int64 (arounds,)     end of each around
    headers.bytes      uint8                all arounds, one after the other, compressed by zlib

Its header holds ``headers`` (the version), ``made`` (as that of the pack's index), ``shard``, the name of the
tar, and ``size``, its bytes.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.columns import Columns
from fastclips.errors import DataError, why_failed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Headers", "ShardHeaders", "headers_name"]

_VERSION = 1


def headers_name(shard: str) -> str:
    """Return the name of the file beside a shard."""
    return f"{shard.removesuffix('.tar')}.headers"


class Headers:
    """Collects the arounds of a shard that is being written."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._known: dict[bytes, int] = {b"": 0}

    def __bool__(self) -> bool:
        return bool(self._numbers)

    def add(self, arounds: Iterable[bytes]) -> None:
        """Add the arounds of the next members."""
        known = self._known
        self._numbers += [known.setdefault(around, len(known)) for around in arounds]

    def columns(self, made: str, shard: str, size: int) -> Columns:
        """Return the content of the file, with what its header holds."""
        arounds = [*self._known][1:]
        columns: dict[str, NDArray[Any]] = {
            "headers.numbers": np.array(self._numbers, np.uint32),
            "headers.ends": np.cumsum([0, *map(len, arounds)], dtype=np.int64)[1:],
            "headers.bytes": np.frombuffer(zlib.compress(b"".join(arounds), 9), np.uint8),
        }
        return Columns.pack(columns, {"headers": _VERSION, "made": made, "shard": shard, "size": size})


class ShardHeaders:
    """The arounds of a shard, read from its file.

    Parameters
    ----------
    folder : Path
        The pack's folder.
    made : str
        That of the pack's index.
    shard : str
        Name of the tar.
    size : int
        Its bytes.
    members : int
        Number of its members, with those of frames without a mask.

    Raises
    ------
    DataError
        The file is damaged, of another version, or belongs to another shard.
    """

    def __init__(self, folder: Path, made: str, shard: str, size: int, members: int) -> None:
        path = folder / headers_name(shard)
        self._numbers = np.zeros(members, np.uint32)
        self._arounds: list[bytes] = [b""]
        if not path.exists():
            return
        try:
            columns = Columns.load(path)
        except OSError as error:
            raise DataError(f"cannot read {str(path)!r}: {why_failed(error)}") from error
        meta = columns.meta
        if meta.get("headers") != _VERSION:
            raise _refused(path, f"has version {meta.get('headers')}, but this fastclips reads {_VERSION}")
        if (meta.get("made"), meta.get("shard"), meta.get("size")) != (made, shard, size):
            raise _refused(path, "belongs to another shard")
        try:
            numbers, ends = columns["headers.numbers"], columns["headers.ends"].tolist()
            data = zlib.decompress(columns["headers.bytes"].tobytes())
        except (KeyError, zlib.error) as error:
            raise _refused(path, f"is damaged ({error})") from error
        in_order = all(one < other for one, other in zip([0, *ends], ends, strict=False))
        if (
            (numbers.dtype, numbers.shape) != (np.dtype("<u4"), (members,))
            or int(numbers.max(initial=0)) > len(ends)
            or not in_order
            or (ends[-1] if ends else 0) != len(data)
        ):
            raise _refused(path, "is damaged (its numbers do not fit each other)")
        self._numbers = numbers
        self._arounds += [data[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]

    def around(self, member: int) -> bytes:
        """Return the around of a member; empty if there is none."""
        return self._arounds[int(self._numbers[member])]


def _refused(path: Path, why: str) -> DataError:
    return DataError(
        f"{str(path)!r} {why}: delete it, and JPEGs with the same coefficients are written instead"
    )
