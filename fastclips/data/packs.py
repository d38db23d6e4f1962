"""A pack, in a folder or in an object store -> its storage, index and streams, all checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastclips.data.bounds import check_files, check_index, check_members, check_streams, is_paged
from fastclips.data.columns import Columns
from fastclips.data.index import Index
from fastclips.data.pack_columns import PACK_VERSION
from fastclips.data.pack_storage import INDEX, RESTORE, PackStorage
from fastclips.errors import DataError, why_failed
from fastclips.spec import StreamSpec

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from fastclips.data.remote_pack import RemotePack

__all__ = ["open_pack", "open_remote_pack"]


def open_pack(folder: str | os.PathLike[str]) -> tuple[PackStorage, Index, tuple[StreamSpec, ...]]:
    """Open a pack.

    Parameters
    ----------
    folder : path
        The folder that holds ``pack.index``.

    Returns
    -------
    PackStorage, Index, tuple of StreamSpec
        The columns are shared by all processes. Those of frames stay in the file if they are large.

    Raises
    ------
    DataError
        The index cannot be read, is damaged or of another version; a shard is missing or has another size.
    """
    top = Path(folder).absolute()
    file = top / INDEX
    try:
        columns = Columns.load(file, remedy=RESTORE, paged=is_paged)
    except OSError as error:
        raise DataError(f"cannot read {str(file)!r}: {why_failed(error)}") from error
    return _opened(columns, str(top), str(file))


def open_remote_pack(pack: RemotePack) -> tuple[PackStorage, Index, tuple[StreamSpec, ...]]:
    """Open a pack in an object store.

    Parameters
    ----------
    pack : RemotePack
        As its `open` returns it.

    Returns
    -------
    PackStorage, Index, tuple of StreamSpec
        As `open_pack` returns them.

    Raises
    ------
    DataError
        As from `open_pack`, or the store does not answer.
    """
    return _opened(pack.index(RESTORE, is_paged), pack.url, f"{pack.url}/{INDEX}", pack)


def _opened(
    columns: Columns, folder: str, file: str, remote: RemotePack | None = None
) -> tuple[PackStorage, Index, tuple[StreamSpec, ...]]:
    """Return the content of a pack's index, checked; `file` is its name in messages."""
    version = columns.meta.get("pack")
    if version != PACK_VERSION or type(version) is not int:
        reason = f"has pack format version {version}, but this fastclips reads version {PACK_VERSION}"
        raise DataError(f"{file!r} {reason}: pack again")
    try:
        _check_columns(columns)
        storage = PackStorage(columns, folder, remote)
        streams = tuple(map(_stream, columns.meta["streams"]))
        index = Index.from_columns(columns, storage.videos)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file!r} is not a complete index of a pack ({error}): pack again") from error
    storage.check()
    return storage, index, streams


def _check_columns(columns: Columns) -> None:
    """Raise DataError unless the columns are those of a pack; see `fastclips.data.bounds`."""
    streams: Any = columns.meta.get("streams")
    check_streams(streams)
    names = [stream["name"] for stream in streams]
    masks = [stream["name"] for stream in streams if stream.get("mask")]
    check_files(columns, names, masks=masks)
    check_members(columns, names, columns.meta.get("shards"))
    check_index(columns, columns["pack.firsts"])


def _stream(meta: Mapping[str, Any]) -> StreamSpec:
    colors, values = meta["colors"], meta["values"]
    known = {
        "colors": None if colors is None else tuple((tuple(color), value) for color, value in colors),
        "values": None if values is None else tuple(values),
    }
    given = {"kind": "mask" if meta["mask"] else "image", **meta, **known}
    return StreamSpec(**{name: value for name, value in given.items() if name != "mask"})
