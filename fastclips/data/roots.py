"""The path of a stream's data, and what it is: a pack, tar files, a video file, another file, or a folder."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fastclips.data.movie_paths import is_movie
from fastclips.data.pack_storage import is_pack
from fastclips.data.scan import FrameTree
from fastclips.data.tars import find_tars
from fastclips.errors import DataError

if TYPE_CHECKING:
    import os

__all__ = ["Root"]


class Root:
    """A path given by the user. Each property looks at the file system once, when it is first used.

    Parameters
    ----------
    path : path
        As given.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def absolute(self) -> str:
        """The absolute path; raise DataError if it is relative to a folder that has been deleted."""
        try:
            return str(Path(self.path).absolute())
        except FileNotFoundError as error:
            raise DataError(
                f"{str(self.path)!r} is relative, but the current folder has been deleted: give an absolute "
                "path, or root= of a list"
            ) from error

    @property
    def folder(self) -> str:
        """The absolute path, or that of the folder that holds a file."""
        return str(Path(self.absolute).parent) if self.is_file else self.absolute

    @cached_property
    def is_pack(self) -> bool:
        """Whether it is the folder of a pack."""
        return is_pack(Path(self.path))

    @cached_property
    def is_file(self) -> bool:
        """Whether it is a file, such as a list of videos or a tar; a list may be a FIFO."""
        path = Path(self.path)
        return path.is_file() or path.is_fifo()

    @property
    def is_missing(self) -> bool:
        """Whether there is no such file or folder."""
        try:
            Path(self.path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except (OSError, ValueError):  # ValueError: the path holds a NUL
            return False
        return False

    @cached_property
    def movie(self) -> FrameTree | None:
        """The video file alone as a tree; None if it is something else."""
        path = Path(self.absolute)
        if not (is_movie(path.name) and self.is_file):
            return None
        return FrameTree(str(path.parent), {}, movies=(path.name,))

    @cached_property
    def tars(self) -> list[Path]:
        """Its tar files, in natural order: itself, or those in the folder; empty if it is something else."""
        return find_tars(self.path)
