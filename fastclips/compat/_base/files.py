"""Files by number, as the frames of one video of a storage."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fastclips._native import Files, read_files
from fastclips.data.columns import Columns
from fastclips.data.names import Names
from fastclips.data.storage import Storage, reason_of
from fastclips.errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FileList"]


class FileList(Storage):
    """Files in any folders; made by `of`. A file is a frame of video 0, with the same number.

    Parameters
    ----------
    columns : Columns
        Names of the files, ``names`` and ``starts``, as `fastclips.data.names.Names` holds them.
    root : str
        Folder that relative names start from.

    Attributes
    ----------
    names : Names
        The paths as they were given.
    """

    __slots__ = ("_columns", "_root", "names")

    def __init__(self, columns: Columns, root: str) -> None:
        self._columns, self._root = columns, root
        self.names = Names(columns["names"], columns["starts"])

    def __reduce__(self) -> tuple[Any, ...]:
        return FileList, (self._columns, self._root)

    @classmethod
    def of(cls, names: Iterable[str], root: str | os.PathLike[str] = "") -> FileList:
        """Make a list of paths, relative to `root` or absolute."""
        held = Names.of(names)
        columns = Columns.pack({"names": held.blob, "starts": held.starts})
        return cls(columns, os.path.abspath(root) if os.fspath(root) else "")  # noqa: PTH100 - keeps ".." of links

    def __len__(self) -> int:
        return len(self.names)

    def read(self, stream: str, video: int, frame: int) -> bytes:
        """Return the bytes of a file; see `Storage.read`."""
        path = self.where(stream, video, frame)
        folder, _, name = path.rpartition("/")
        found = read_files(
            os.fsencode(f"{folder}/" if folder or path[:1] == "/" else "."), [os.fsencode(name)]
        )
        if isinstance(found, Files):
            return bytes(found[0])
        reason = reason_of(found[1])
        if found[1] <= 0:
            raise FrameError(f"{path!r} {reason}", path=path, reason=reason)
        raise FrameError(
            f"cannot read {path!r}: {reason}. If files changed since the generator was made, make it again",
            path=path,
            reason=reason,
        ) from OSError(found[1], reason, path)

    def where(self, stream: str, video: int, frame: int) -> str:  # noqa: ARG002 - one stream, one video
        """Return the path of a file."""
        return os.path.join(self._root, self.names[frame])  # noqa: PTH118 - as above
