"""Find videos and the names of their frames in folders. Only directories are read.

::

    scan_tree(root, frames)           every folder below the root that holds frames is a video
    scan_folders(root, names, frames) the folders that a list names
    scan_groups(..., videos)          the same, where a folder holds several videos
    name_folders(...)                 the same, from lengths in the list: no directory is read

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
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fastclips.data import several
from fastclips.data.decimals import find_decimals
from fastclips.data.names import FileNames, natural_key, stem, template_of
from fastclips.data.several import matcher
from fastclips.errors import DataError, OptionError, why_failed
from fastclips.options import bar_disabled

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    T = TypeVar("T")

__all__ = [
    "FRAME_EXTENSIONS",
    "SKIPPED",
    "VIDEO_EXTENSIONS",
    "FrameTree",
    "choose_folders",
    "evenly",
    "folder_of",
    "gather_videos",
    "name_folders",
    "scan_folders",
    "scan_groups",
    "scan_tree",
    "time_of",
    "without_video_extension",
]

FRAME_EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".jfif", ".webp")  # in any case
VIDEO_EXTENSIONS = (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")

_LISTED = "the folder that the list's paths are relative to, root="
_PROBED = 1000  # videos that are checked if lengths are given, and whose times are kept
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
    """

    root: str
    videos: dict[str, FileNames]
    times: dict[str, int | None] = field(default_factory=dict, compare=False, repr=False)
    unmatched: dict[str, str] = field(default_factory=dict, compare=False, repr=False)
    grouped: bool = False

    def folder(self, video: str) -> str:
        """Return the folder of a video's frames, relative to the root."""
        return folder_of(video) if self.grouped else video

    def path(self, name: str) -> str:
        """Return the path of a folder."""
        return _below(Path(self.root), name)


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
        At least one video, in natural order.

    Raises
    ------
    OptionError
        `frames` is not a str.
    DataError
        The root is not a folder, cannot be listed, or holds frames itself; no video was found; a folder holds
        several sequences, or two frames with the same stem.
    """
    top = str(_folder(root, "a folder of class/video/frame"))
    return gather_videos(
        top, _watched(_walk(top), f"scanning {top}", " folders"), frames, loose=loose, videos=videos
    )


def gather_videos(
    root: str,
    folders: Iterable[tuple[str, list[str], list[str], int | None]],
    frames: str | None = None,
    *,
    loose: bool = False,
    videos: re.Pattern[str] | None = None,
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
        chosen = names if matches is None else list(filter(matches, names))
        if not chosen:
            unmatched += names[:1]
            continue
        if not folder and not loose:
            raise DataError(
                f"{root!r} itself holds frames, such as {min(chosen)!r}, but the layout must be "
                "class/video/frame: open the folder that holds the class folders, move the frames, or set "
                "labels=None to make every folder of frames a video."
            )
        found |= _videos_in(
            _below(Path(root), folder), folder, chosen, chosen=frames is not None, videos=videos
        )
    if not found:
        raise DataError(several.nothing_found(root, frames, unmatched, others, FRAME_EXTENSIONS))
    in_order = {video: found[video] for video in sorted(found, key=natural_key)}
    return FrameTree(root, in_order, times, grouped=videos is not None)


def _videos_in(
    path: str, folder: str, names: list[str], *, chosen: bool, videos: re.Pattern[str] | None
) -> dict[str, FileNames]:
    """Return the videos of a folder, at least one frame each, by name."""
    if videos is None:
        return {folder or ".": _in_order(path, names, chosen=chosen)}
    above = f"{folder}/" if folder else ""
    return {
        f"{above}{video}": _in_order(path, files, chosen=chosen, grouped=True)
        for video, files in several.group(videos, path, names).items()
    }


def scan_folders(
    root: str | os.PathLike[str], names: Sequence[str], frames: str | None = None
) -> tuple[FrameTree, dict[str, str]]:
    """List the folders that a list names.

    Parameters
    ----------
    root : path
        The folder that names are relative to.
    names : sequence of str
        Distinct folders of frames. If the folder ``clip.mp4`` is missing, the folder ``clip`` is used.
    frames : str, optional
        As in `scan_tree`.

    Returns
    -------
    tree : FrameTree
        The videos that exist, in the list's order.
    folders : dict of str to str
        The folder of each name. Names without a folder, or without a frame in it, are left out.

    Raises
    ------
    DataError
        The root is not a folder; a folder cannot be listed, holds several sequences, or two frames with the
        same stem.
    """
    top = _folder(root, _LISTED)
    matches = matcher(frames)
    videos: dict[str, FileNames] = {}
    folders: dict[str, str] = {}
    unmatched: dict[str, str] = {}
    times: dict[str, int | None] = {"": time_of(str(top))}
    timed = frozenset(evenly(names, _PROBED))
    for name in _watched(names, f"scanning {top}", " videos"):
        for folder in dict.fromkeys((name, without_video_extension(name))):
            path = _below(top, folder)
            if name in timed:
                times[folder] = time_of(path)
            found = _frames_in(path)
            if found is None:
                continue
            chosen = found if matches is None else list(filter(matches, found))
            if chosen:
                videos[folder] = _in_order(path, chosen, chosen=frames is not None)
                folders[name] = folder
            elif found:
                unmatched[name] = min(found, key=natural_key)
            break
    return FrameTree(str(top), videos, times, unmatched), folders


def scan_groups(
    root: str | os.PathLike[str], names: Sequence[str], frames: str | None, videos: re.Pattern[str]
) -> tuple[FrameTree, dict[str, str]]:
    """List the folders of videos that a list names as ``folder/video``; otherwise as `scan_folders`."""
    top, matches = _folder(root, _LISTED), matcher(frames)
    times: dict[str, int | None] = {"": time_of(str(top))}
    found: dict[str, FileNames] = {}
    for folder in _watched(dict.fromkeys(map(folder_of, names)), f"scanning {top}", " folders"):
        path = _below(top, folder)
        if len(times) < _PROBED:
            times[folder] = time_of(path)
        chosen = list(filter(matches, _frames_in(path) or ()))
        found |= _videos_in(path, folder, chosen, chosen=frames is not None, videos=videos)
    return choose_folders(FrameTree(str(top), found, times, grouped=True), names)


def _frames_in(path: str) -> list[str] | None:
    """Return the names of the frames in a folder, or None if there is no such folder."""
    try:
        return _entries(path, lambda _: None)[0]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataError(f"cannot list {path!r}: {why_failed(error)}.") from error


def choose_folders(tree: FrameTree, names: Sequence[str]) -> tuple[FrameTree, dict[str, str]]:
    """Select the videos of a tree that a list names; the result is like that of `scan_folders`."""
    folders: dict[str, str] = {}
    for name in names:
        for folder in (name, without_video_extension(name)):
            if folder in tree.videos:
                folders.setdefault(name, folder)
    videos = {folder: tree.videos[folder] for folder in folders.values()}
    return replace(tree, videos=videos), folders


def name_folders(
    root: str | os.PathLike[str],
    lengths: Mapping[str, int],
    frames: str,
    where: Callable[[str], str] = repr,
) -> tuple[FrameTree, dict[str, str]]:
    """Name the frames of videos of known lengths, without reading a directory.

    Up to 1,000 videos, evenly spread, are checked: their first frame must have number 0 or 1, and their last
    frame must exist. Other videos and other frames are not checked.

    Parameters
    ----------
    root : path
        The folder that names are relative to.
    lengths : mapping of str to int
        Folders of frames, as in `scan_folders`, and their numbers of frames.
    frames : str
        Names of the files, with a placeholder for the number.
    where : callable
        Returns the name of a folder's row in messages.

    Returns
    -------
    tree, folders
        As from `scan_folders`, with every name.

    Raises
    ------
    OptionError
        `frames` has no placeholder for a number.
    DataError
        The root is not a folder; a checked video is not a folder, cannot be read, lacks its first or last
        frame, or its first number differs from that of another video.
    """
    top = _folder(root, _LISTED)
    template = template_of(frames)
    if template is None:
        raise OptionError(f"frames={frames!r}: must have one placeholder, as in 'img_{{:05d}}.jpg'")
    times: dict[str, int | None] = {"": time_of(str(top))}
    probed = evenly(list(lengths), _PROBED)
    files = [name for name in probed if without_video_extension(name) != name]
    stripped = [time_of(_below(top, without_video_extension(name))) for name in files]
    bare = any(stripped) and not any(os.path.isdir(_below(top, name)) for name in files)  # noqa: PTH112 - never raises
    folders = {name: without_video_extension(name) if bare else name for name in lengths}
    first_of: dict[int, str] = {}
    for name in probed:
        path = _below(top, folders[name])
        times[folders[name]] = time_of(path)
        _check_folder(path, where(name), "" if name.startswith("/") else "set root=, ")
        first = next((n for n in (0, 1) if os.path.lexists(f"{path}/{template % n}")), None)
        if first is None:
            raise DataError(
                f"{where(name)}: {path!r} has neither {template % 0!r} nor {template % 1!r}: correct "
                f"frames={frames!r}, or give a pattern such as 'img_*.jpg', so that folders are listed."
            )
        last = f"{path}/{template % (first + lengths[name] - 1)}"
        if not os.path.lexists(last):
            raise DataError(
                f"{where(name)}: {last!r} does not exist, but the list gives its folder at least "
                f"{lengths[name]} frames: correct the list, or set frames= to a pattern such as "
                "'img_*.jpg', so that folders are listed."
            )
        first_of.setdefault(first, path)
    if len(first_of) > 1:
        raise DataError(
            f"frames count from 0 in {first_of[0]!r} and from 1 in {first_of[1]!r}: set frames= to a pattern "
            "such as 'img_*.jpg', so that folders are listed."
        )
    first = next(iter(first_of), 0)
    counts: dict[str, int] = {}
    for name, length in lengths.items():  # clip and clip.mp4 may name the same folder
        counts[folders[name]] = max(length, counts.get(folders[name], 0))
    videos = {folder: FileNames(count, template, first) for folder, count in counts.items()}
    return FrameTree(str(top), videos, times), folders


def _check_folder(path: str, where: str, remedy: str) -> None:
    """Raise DataError unless the path is a readable folder."""
    try:
        os.stat(f"{path}/.")  # noqa: PTH116 - pathlib removes the dot
    except OSError as error:
        raise DataError(
            f"{where}: cannot read the folder {path!r}: {why_failed(error)}; {remedy}correct the list, or "
            "drop such rows with unpaired='drop'."
        ) from error


def _below(top: Path, name: str) -> str:
    return name if name.startswith("/") else f"{top}/{name}".rstrip("/")


def without_video_extension(name: str) -> str:
    """Return a video's name without the extension of a video file, if it has one."""
    text = stem(name)
    return text if name[len(text) :].lower() in VIDEO_EXTENSIONS else name


def _folder(root: str | os.PathLike[str], what: str) -> Path:
    top = Path(root).absolute()
    if not top.is_dir():
        found = "is a file" if top.exists() else "does not exist"
        raise DataError(f"{str(top)!r} {found}: expected {what}.")
    return top


def _watched(items: Iterable[T], doing: str, unit: str) -> Iterable[T]:
    """Iterate with a progress bar, which a terminal shows after `_SHOW_AFTER` seconds."""
    from tqdm import tqdm  # noqa: PLC0415 - needed only for scans

    shown: Iterable[T] = tqdm(items, doing, unit=unit, delay=_SHOW_AFTER, disable=bar_disabled(), leave=False)
    return shown


def _entries(path: str, folder: Callable[[str], None]) -> tuple[list[str], list[str]]:
    """Return the frame names and other files' extensions of a folder; call `folder` for each subfolder."""
    frames: list[str] = []
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
                continue  # a pipe or a socket, on which a reader would block
            elif extension in FRAME_EXTENSIONS:
                frames.append(name)
            else:
                extensions.append(extension)
    return frames, extensions


def _walk(top: str) -> Iterator[tuple[str, list[str], list[str], int]]:
    """Yield each folder's path relative to the top, frame names, other files' extensions, and time."""
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
            frames, extensions = _entries(path, below.append)
        except OSError as error:
            raise DataError(f"cannot list {error.filename or path!r}: {why_failed(error)}.") from error
        within = above | {identity}
        pending += [(f"{folder}/{name}" if folder else name, within) for name in below]
        yield folder, frames, extensions, status.st_mtime_ns


def _in_order(folder: str, names: list[str], *, chosen: bool, grouped: bool = False) -> FileNames:
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
