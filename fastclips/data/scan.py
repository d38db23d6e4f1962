"""Find videos and the names of their frames in folders, and video files. Only directories are read.

::

    scan_tree(root, frames)    every folder below the root that holds frames is a video

`fastclips.data.listed` reads the folders that a list names.

**Layout.** ``root/class/.../video/frame.jpg``: a video is a folder that directly holds frames, at any depth
below the root; its name is its path from the root.

**Order.** Natural: see `natural_key`. Frames are ordered by stem, the file name without its extension, so
``0007.jpg`` and its mask ``0007.png`` have the same place. Decimal numbers, such as seconds, compare as
numbers: see `fastclips.data.decimals`.

**Times.** A tree keeps the modification times of its folders, taken before they were listed. A saved index
compares them.

**One sequence.** A folder may hold several sequences of frames (``img_*``, ``flow_x_*``). Reading them as one
video would be a silent mistake, so such a folder needs a pattern that selects one (``frames=``) or that tells
the videos apart (``videos=``); a video's name is then ``folder/video``.

**Video files.** A tree has folders of frames or video files, not both. If a pattern selects frames, video
files are ignored.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fastclips.data import several
from fastclips.data.decimals import find_decimals
from fastclips.data.movie_paths import VIDEO_EXTENSIONS, refuse_mixed, without_video_extension
from fastclips.data.names import FileNames, natural_key, stem
from fastclips.data.several import matcher
from fastclips.errors import DataError, why_failed
from fastclips.options import bar_disabled

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Iterator, Sequence

    T = TypeVar("T")

__all__ = [
    "FRAME_EXTENSIONS",
    "SELECTED_EXTENSIONS",
    "SKIPPED",
    "VIDEO_EXTENSIONS",
    "FrameTree",
    "checked_folder",
    "choose",
    "entries_of",
    "evenly",
    "folder_of",
    "gather_videos",
    "in_order",
    "path_below",
    "scan_tree",
    "time_of",
    "videos_in",
    "watched",
    "without_video_extension",
]

FRAME_EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".jfif", ".webp", ".fcd")  # in any case
SELECTED_EXTENSIONS = (".flo",)  # of frames that only a pattern selects

SKIPPED = ("__MACOSX", "@eaDir")  # left in folders by archives and servers
_SHOW_AFTER = 2.0  # seconds before a progress bar appears
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FrameTree:
    """One stream's videos.

    Parameters
    ----------
    root : str
        Absolute path.
    videos : dict of str to FileNames
        The frames of each video, by the video's folder relative to the root.
    times : dict of str to int or None
        Modification times of folders in nanoseconds, by path relative to the root; None if a folder was
        missing. `scan_tree` keeps those of all folders that it lists, the other functions those of some
        videos.
    unmatched : dict of str to str
        Folders of a list in which the pattern matches no frame, each with the name of a frame.
    grouped : bool
        Whether a folder may hold several videos, so that the last part of a video's name is not a folder.
    movies : tuple of str
        Paths of video files relative to the root, in natural order or that of the list.
    """

    root: str
    videos: dict[str, FileNames]
    times: dict[str, int | None] = field(default_factory=dict, compare=False, repr=False)
    unmatched: dict[str, str] = field(default_factory=dict, compare=False, repr=False)
    grouped: bool = False
    movies: tuple[str, ...] = ()

    def folder(self, video: str) -> str:
        """Return the folder of a video's frames, relative to the root."""
        return folder_of(video) if self.grouped else video

    def path(self, name: str) -> str:
        """Return the path of a folder or video file."""
        return path_below(Path(self.root), name)


def folder_of(video: str) -> str:
    """Return the folder of a video that shares it with others; an empty str for the root."""
    return video.rpartition("/")[0]


def evenly(items: Sequence[T], most: int) -> list[T]:
    """Return at most `most` items, evenly spread from the first to the last."""
    if len(items) <= most:
        return list(items)
    return [items[place * (len(items) - 1) // (most - 1)] for place in range(most)]


def time_of(folder: str) -> int | None:
    """Return a folder's modification time in nanoseconds, or None if it does not exist."""
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return None


def scan_tree(
    root: str | os.PathLike[str],
    frames: str | None = None,
    *,
    loose: bool = False,
    videos: re.Pattern[str] | None = None,
) -> FrameTree:
    """Find the videos below a folder.

    Hidden files and folders, ``__MACOSX``, ``@eaDir``, pipes and sockets are skipped. Links to folders are
    followed, unless they lead to a folder that holds the link. Broken links to files count as frames: reading
    them fails, instead of silently shortening the video. No file is opened or queried for its size.

    Parameters
    ----------
    root : path
        The folder of class folders.
    frames : str, optional
        Select frames by file name: a pattern of `fnmatch.fnmatchcase`, or a name with a placeholder for the
        number (see `fastclips.data.names.template_of`).
    loose : bool
        Whether videos need no class folder. The root itself may then be a video, named ``"."``.
    videos : re.Pattern, optional
        Tells apart the videos in a folder, as in `fastclips.data.several.group`.

    Returns
    -------
    FrameTree
        At least one video or video file, in natural order.

    Raises
    ------
    OptionError
        `frames` is not a str.
    DataError
        The root is not a folder, cannot be listed, or holds frames itself; no video was found; there are both
        frames and video files; a folder holds several sequences, or two frames with the same stem.
    """
    top, movies = str(checked_folder(root, "a folder of class/video/frame, or of video files")), list[str]()
    folders = watched(_walk(top, movies), f"scanning {top}", " folders")
    return gather_videos(top, folders, frames, loose=loose, videos=videos, movies=movies)


def gather_videos(
    root: str,
    folders: Iterable[tuple[str, list[str], list[str], int | None]],
    frames: str | None = None,
    *,
    loose: bool = False,
    videos: re.Pattern[str] | None = None,
    movies: Sequence[str] = (),
) -> FrameTree:
    """Return the videos in folders that were listed, on disk or in tar files.

    Parameters
    ----------
    root : str
        Absolute path of the folder or tar.
    folders : iterable of (str, list of str, list of str, int or None)
        Each folder's path relative to the root, the names of its frames, the extensions of its other files,
        and its modification time.
    frames, loose, videos
        As in `scan_tree`, as are the errors.
    movies : sequence of str
        Paths of video files, known when all folders were taken.

    Returns
    -------
    FrameTree
        As from `scan_tree`.
    """
    matches = matcher(frames)
    found: dict[str, FileNames] = {}
    unmatched: list[str] = []
    others: Counter[str] = Counter()
    times: dict[str, int | None] = {}
    for folder, names, extensions, times[folder] in folders:
        others.update(extensions)
        chosen = choose(names, matches)
        if not chosen:
            if matches is None:
                others.update(name[name.rfind(".") :].lower() for name in names)  # .flo
            else:
                unmatched += names[:1]
            continue
        if not folder and not loose and not movies:
            raise DataError(
                f"{root!r} itself holds frames, such as {min(chosen)!r}, but the layout must be "
                "class/video/frame: open the folder that holds the class folders, move the frames, or set "
                "labels=None to make every folder of frames a video."
            )
        found |= videos_in(
            path_below(Path(root), folder), folder, chosen, chosen=frames is not None, videos=videos
        )
    if movies and frames is None:
        refuse_mixed(root, movies, found)
        return FrameTree(root, {}, times, movies=tuple(sorted(movies, key=natural_key)))
    if not found and movies and not unmatched:
        raise DataError(
            f"frames={frames!r}: is for frames in folders, but {root!r} has video files alone, such as "
            f"{movies[0]!r}; remove frames="
        )
    if not found:
        raise DataError(
            several.nothing_found(root, frames, unmatched, others, FRAME_EXTENSIONS, SELECTED_EXTENSIONS)
        )
    in_order = {video: found[video] for video in sorted(found, key=natural_key)}
    return FrameTree(root, in_order, times, grouped=videos is not None)


def videos_in(
    path: str, folder: str, names: list[str], *, chosen: bool, videos: re.Pattern[str] | None
) -> dict[str, FileNames]:
    """Return the videos of a folder, at least one frame each, by name."""
    if videos is None:
        return {folder or ".": in_order(path, names, chosen=chosen)}
    above = f"{folder}/" if folder else ""
    return {
        f"{above}{video}": in_order(path, files, chosen=chosen, grouped=True)
        for video, files in several.group(videos, path, names).items()
    }


def choose(names: list[str], matches: Callable[[str], object] | None) -> list[str]:
    """Return the names of frames that a pattern selects, or of all usual frames."""
    if matches is not None:
        return list(filter(matches, names))
    return [name for name in names if not name.lower().endswith(SELECTED_EXTENSIONS)]


def path_below(top: Path, name: str) -> str:
    """Return the path of a folder that is relative to another, or absolute."""
    return name if name.startswith("/") else f"{top}/{name}".rstrip("/")


def checked_folder(root: str | os.PathLike[str], what: str) -> Path:
    """Return the absolute path of a folder; raise DataError, with what it is for, if it is none."""
    top = Path(root).absolute()
    if not top.is_dir():
        found = "is a file" if top.exists() else "does not exist"
        raise DataError(f"{str(top)!r} {found}: expected {what}.")
    return top


def watched(items: Iterable[T], doing: str, unit: str, total: int | None = None) -> Iterable[T]:
    """Iterate with a progress bar, which a terminal shows after `_SHOW_AFTER` seconds."""
    from tqdm import tqdm  # noqa: PLC0415 - needed only for scans

    shown: Iterable[T] = tqdm(
        items, doing, total, unit=unit, delay=_SHOW_AFTER, disable=bar_disabled(), leave=False
    )
    return shown


def entries_of(path: str, folder: Callable[[str], None]) -> tuple[list[str], list[str], list[str]]:
    """Return a folder's frames, video files and other files' extensions; call `folder` for each subfolder."""
    frames: list[str] = []
    movies: list[str] = []
    extensions: list[str] = []
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name
            extension = name[name.rfind(".") :].lower() if "." in name else ""
            if name.startswith(".") or name in SKIPPED:
                continue
            if entry.is_dir():
                folder(name)
            elif not (entry.is_symlink() or entry.is_file()):
                if extension in FRAME_EXTENSIONS or extension in VIDEO_EXTENSIONS:
                    _log.warning("Skipped %r: it is no file, but a FIFO, a socket or a device.", entry.path)
            elif extension in FRAME_EXTENSIONS or extension in SELECTED_EXTENSIONS:
                frames.append(name)
            else:
                extensions.append(extension)
                if extension in VIDEO_EXTENSIONS:
                    movies.append(name)
    return frames, movies, extensions


def _walk(top: str, movies: list[str]) -> Iterator[tuple[str, list[str], list[str], int]]:
    """Yield each folder's path relative to the top, frame names, other files' extensions, and time.

    The paths of video files are added to `movies`.
    """
    pending: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while pending:
        folder, above = pending.pop()
        path = f"{top}/{folder}" if folder else top
        below: list[str] = []
        try:
            status = Path(path).stat()
            identity = (status.st_dev, status.st_ino)
            if identity in above:
                _log.warning("Skipped %r: it links to a folder that holds it.", path)
                continue
            frames, found, extensions = entries_of(path, below.append)
        except OSError as error:
            raise DataError(f"cannot list {error.filename or path!r}: {why_failed(error)}.") from error
        within = above | {identity}
        movies += [f"{folder}/{name}" if folder else name for name in found]
        pending += [(f"{folder}/{name}" if folder else name, within) for name in below]
        yield folder, frames, extensions, status.st_mtime_ns


def in_order(folder: str, names: list[str], *, chosen: bool, grouped: bool = False) -> FileNames:
    """Check the frame names of a video and return them in natural order."""
    names.sort()
    found = FileNames.of(names)
    if found.template is not None:  # evenly numbered, so one ordered sequence
        return found
    by_stem: dict[str, str] = {}
    for name in names:
        twin = by_stem.setdefault(stem(name), name)
        if twin is not name:
            raise DataError(several.twins(folder, names, twin, name))
    decimals = find_decimals(by_stem)
    decimals.refuse_unclear(folder)
    if not chosen:
        numbered = {decimals.joined(text) if decimals else text: name for text, name in by_stem.items()}
        several.refuse(folder, numbered, grouped=grouped)
    key = decimals.key if decimals else natural_key
    return FileNames.of([by_stem[text] for text in sorted(by_stem, key=key)])
