"""Paths of video files: which they are, what the videos are called, and which file a list means."""

from __future__ import annotations

import os
import stat
from collections import Counter
from typing import TYPE_CHECKING

from fastclips.data.names import stem
from fastclips.errors import DataError
from fastclips.options import first_few

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fastclips.data.names import FileNames

__all__ = [
    "VIDEO_EXTENSIONS",
    "find_movie",
    "is_movie",
    "refuse_mixed",
    "video_names",
    "without_video_extension",
]

VIDEO_EXTENSIONS = (
    *(".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"),
)  # in any case


def is_movie(name: str) -> bool:
    """Whether a file's name has the extension of a video file."""
    return name.lower().endswith(VIDEO_EXTENSIONS)


def without_video_extension(name: str) -> str:
    """Return a video's name without the extension of a video file, if it has one."""
    text = stem(name)
    return text if name[len(text) :].lower() in VIDEO_EXTENSIONS else name


def video_names(movies: Iterable[str]) -> list[str]:
    """Return the names of the videos in some files; raise DataError if two would have the same."""
    names = list(map(without_video_extension, movies))
    twins = [name for name, count in Counter(names).items() if count > 1]
    if twins:
        raise DataError(
            f"several video files would have the names {first_few(twins)}: rename all but one of each"
        )
    return names


def refuse_mixed(root: str, movies: Iterable[str], videos: Mapping[str, FileNames]) -> None:
    """Raise DataError if there are both video files and videos of frames."""
    movie, video = next(iter(movies), None), next(iter(videos), None)
    if movie is None or video is None:
        return
    frame = f"{video}/{videos[video].names()[0]}"
    raise DataError(
        f"{root!r} has video files, such as {movie!r}, and frames, such as {frame!r}: move them into "
        "separate folders, or select the frames by frames=, such as frames='*.jpg'"
    )


def find_movie(root: str, name: str) -> str | None:
    """Return the video file that a name of a list means; None if it means a folder, or nothing.

    Parameters
    ----------
    root : str
        The folder that names are relative to.
    name : str
        A file, with any extension; or a file without its extension, if no folder has this name.

    Raises
    ------
    DataError
        The name is that of a file, and without its extension that of a folder.
    """
    found = _mode(root, name)
    bare = without_video_extension(name)
    if stat.S_ISREG(found):
        if bare != name and stat.S_ISDIR(_mode(root, bare)):
            raise DataError(
                f"{name!r} in {root!r} is a video file, and {bare!r} is a folder: write {bare!r} in the list "
                "for the frames in the folder, or move the folder away for the file"
            )
        return name
    if found or bare != name:
        return None
    spellings = (f"{name}{extension}" for extension in VIDEO_EXTENSIONS)
    return next((text for text in spellings if stat.S_ISREG(_mode(root, text))), None)


def _mode(root: str, name: str) -> int:
    """Return the mode of a file or folder, or 0 if it does not exist or cannot be looked at."""
    try:
        return os.stat(os.path.join(root, name)).st_mode  # noqa: PTH116, PTH118 - called for every row
    except (OSError, ValueError):
        return 0
