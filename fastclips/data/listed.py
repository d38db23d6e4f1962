"""Folders of frames and video files that a list names.

::

    scan_folders(root, names, frames)    the folders are listed
    scan_groups(..., videos)             the same, where a folder holds several videos
    name_folders(...)                    the same, from lengths in the list: no directory is read
    choose_folders(tree, names)          of a tree that was scanned, such as that of a tar file
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from fastclips.data.movie_paths import find_movie, refuse_mixed, without_video_extension
from fastclips.data.names import FileNames, natural_key, template_of
from fastclips.data.scan import (
    FrameTree,
    checked_folder,
    choose,
    entries_of,
    evenly,
    folder_of,
    in_order,
    path_below,
    time_of,
    videos_in,
    watched,
)
from fastclips.data.several import matcher
from fastclips.errors import DataError, OptionError, why_failed

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["choose_folders", "describe_missing", "name_folders", "scan_folders", "scan_groups"]

_LISTED = "the folder that the list's paths are relative to, root="
_PROBED = 1000  # videos that are checked if lengths are given, and whose times are kept


def scan_folders(
    root: str | os.PathLike[str], names: Sequence[str], frames: str | None = None
) -> tuple[FrameTree, dict[str, str]]:
    """List the folders that a list names, unless they are video files.

    Parameters
    ----------
    root : path
        The folder that names are relative to.
    names : sequence of str
        Distinct folders of frames, or files. If ``clip.mp4`` is missing, the folder ``clip`` is used; if the
        folder ``clip`` is missing, the file ``clip.mp4`` or one with another extension of a video file.
    frames : str, optional
        As in `scan_tree`. If it is given, files are ignored.

    Returns
    -------
    tree : FrameTree
        The videos and video files that exist, in the list's order.
    folders : dict of str to str
        The folder or video file of each name. Names without either, or without a frame, are left out.

    Raises
    ------
    DataError
        The root is not a folder; a folder cannot be listed, holds several sequences, or two frames with the
        same stem; a name means both a file and a folder.
    """
    top = checked_folder(root, _LISTED)
    matches = matcher(frames)
    videos: dict[str, FileNames] = {}
    folders: dict[str, str] = {}
    unmatched: dict[str, str] = {}
    movies: dict[str, None] = {}
    times: dict[str, int | None] = {"": time_of(str(top))}
    timed = frozenset(evenly(names, _PROBED))
    for name in watched(names, f"scanning {top}", " videos"):
        listed = _list_first(top, name, times if name in timed else None, files=frames is not None)
        if listed is None:
            movie = None if frames is not None else find_movie(str(top), name)
            if movie is not None:
                movies[movie] = None
                folders[name] = movie
                if name in timed:
                    times[movie] = time_of(path_below(top, movie))
            continue
        folder, found = listed
        path = path_below(top, folder)
        chosen = choose(found, matches)
        if chosen:
            videos[folder] = in_order(path, chosen, chosen=frames is not None)
            folders[name] = folder
        elif found:
            unmatched[name] = min(found, key=natural_key)
    refuse_mixed(str(top), movies, videos)
    return FrameTree(str(top), videos, times, unmatched, movies=tuple(movies)), folders


def _list_first(
    top: Path, name: str, times: dict[str, int | None] | None, *, files: bool
) -> tuple[str, list[str]] | None:
    """Return the first folder that a name may mean, and its frames; None if there is none.

    The times of the folders are kept. A file of that name is passed over if `files` is True.
    """
    for folder in dict.fromkeys((name, without_video_extension(name))):
        path = path_below(top, folder)
        if times is not None:
            times[folder] = time_of(path)
        try:
            return folder, entries_of(path, lambda _: None)[0]
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            if not files:
                return None
        except OSError as error:
            raise DataError(f"cannot list {path!r}: {why_failed(error)}.") from error
    return None


def scan_groups(
    root: str | os.PathLike[str], names: Sequence[str], frames: str | None, videos: re.Pattern[str]
) -> tuple[FrameTree, dict[str, str]]:
    """List the folders of videos that a list names as ``folder/video``; otherwise as `scan_folders`."""
    top, matches = checked_folder(root, _LISTED), matcher(frames)
    times: dict[str, int | None] = {"": time_of(str(top))}
    found: dict[str, FileNames] = {}
    for folder in watched(dict.fromkeys(map(folder_of, names)), f"scanning {top}", " folders"):
        path = path_below(top, folder)
        if len(times) < _PROBED:
            times[folder] = time_of(path)
        chosen = list(filter(matches, _frames_in(path) or ()))
        found |= videos_in(path, folder, chosen, chosen=frames is not None, videos=videos)
    return choose_folders(FrameTree(str(top), found, times, grouped=True), names)


def _frames_in(path: str) -> list[str] | None:
    """Return the names of the frames in a folder, or None if there is no such folder."""
    try:
        return entries_of(path, lambda _: None)[0]
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
    top = checked_folder(root, _LISTED)
    template = template_of(frames)
    if template is None:
        raise OptionError(f"frames={frames!r}: must have one placeholder, as in 'img_{{:05d}}.jpg'")
    times: dict[str, int | None] = {"": time_of(str(top))}
    probed = evenly(list(lengths), _PROBED)
    files = [name for name in probed if without_video_extension(name) != name]
    stripped = [time_of(path_below(top, without_video_extension(name))) for name in files]
    bare = any(stripped) and not any(os.path.isdir(path_below(top, name)) for name in files)  # noqa: PTH112 - never raises
    folders = {name: without_video_extension(name) if bare else name for name in lengths}
    first_of: dict[int, str] = {}
    for name in probed:
        path = path_below(top, folders[name])
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


def describe_missing(tree: FrameTree, missing: list[str], of: int, pattern: str | None) -> str:
    """Return the message about folders of a list that hold no frames."""
    name = missing[0]
    others = f", nor in {len(missing) - 1} other folders of {of}" if len(missing) > 1 else ""
    if name in tree.unmatched and pattern is None:
        return (
            f"the frames in {name!r} are optical flow, such as {tree.unmatched[name]!r}{others}: declare the "
            "stream, as in root={'flow': Stream(path, kind='flow')}."
        )
    if name in tree.unmatched:
        return (
            f"frames={pattern!r} matches no frame in {name!r}, such as {tree.unmatched[name]!r}{others}: "
            "it must match the whole name, and case matters."
        )
    if tree.grouped:
        return (
            f"there is no video {name!r} below {tree.root!r}{others}. With videos=, a path is that of "
            "a folder, then / and the name of a video in it. Set root=, correct the list or videos=, or drop "
            "such rows with unpaired='drop'."
        )
    if name.startswith("/"):
        where, remedy = repr(name), "Correct the list"
    else:
        where, remedy = f"{name!r} below {tree.root!r}", "Set root=, correct the list"
    paths = tree.path(name), tree.path(without_video_extension(name))
    if tree.times and not any(map(os.path.lexists, paths)):  # trees of tar files have no times
        found = f"there is no file or folder {where}{others.replace('nor', 'nor are there frames')}"
    else:
        found = f"there are no frames in {where}{others}"
    return f"{found}. {remedy}, or drop such rows with unpaired='drop'."
