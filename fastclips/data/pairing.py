"""The streams of a dataset, frame by frame: which frame of one belongs to which of another.

Videos are paired by name, frames by *key*: the stem, or what ``match=`` finds in it. Anything missing on
either side is an error unless the user says that it may go: a clip must never show one frame and the mask of
another, nor silently become shorter.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from fastclips.data.names import FileNames, stem
from fastclips.data.scan import FrameTree
from fastclips.errors import DataError, OptionError
from fastclips.options import first_few

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

__all__ = ["pair"]

_log = logging.getLogger(__name__)


def pair(
    trees: Mapping[str, FrameTree], match: str | None = None, *, drop: bool = False
) -> dict[str, FrameTree]:
    """Give every stream the same videos, each with the same frames.

    Parameters
    ----------
    trees : mapping of str to FrameTree
        The streams; the first one's order counts.
    match : str, optional
        A regular expression that is searched in each stem. Its groups are the frame's key, or all of it if it
        has none; digits count as numbers. Without it, the stem is.
    drop : bool
        Whether what has no partner is left out, which is logged; otherwise it is an error.

    Returns
    -------
    dict of str to FrameTree
        The streams, paired.

    Raises
    ------
    OptionError
        `match` is no regular expression.
    DataError
        A video or a frame has no partner, a stem does not match, two frames of a video have one key, two
        streams are the same files, or nothing is left.
    """
    key = _key(match)
    videos, lacking = _common_videos(trees, drop=drop)
    paired: dict[str, dict[str, FileNames]] = {stream: {} for stream in trees}
    unpaired: dict[str, list[str]] = {stream: [] for stream in trees}
    total = dropped = 0
    for video in videos:
        files = {stream: tree.videos[video] for stream, tree in trees.items()}
        if video.startswith("/") and len(set(files.values())) < len(files):
            raise DataError(_same_files(files, video))
        if key is None and _alike(list(files.values())):
            total += next(iter(files.values())).count
        else:
            keys = {s: _keys(f, key, f"{trees[s].root}/{video}") for s, f in files.items()}
            everything, common = _common_frames(keys, video, unpaired)
            total += len(everything)
            dropped += len(everything) - len(common)
            if not common:
                lacking.append(video)
                continue
            files = {s: FileNames.of([some[one] for one in common]) for s, some in keys.items()}
        for stream, names in files.items():
            paired[stream][video] = names
    for stream, missing in unpaired.items():
        if missing and not drop:
            raise DataError(_unpaired(stream, trees[stream].root, missing, f"{total} frames"))
    if not all(paired.values()):
        raise DataError(
            f"unpaired='drop' leaves nothing: no frame of {trees[next(iter(trees))].root!r} has a partner in "
            "each stream; videos are paired by their folders, frames by name or by match=."
        )
    if lacking or dropped:
        _log.warning(
            "Left out what has no partner: %d videos (%s) and %d frames.",
            len(lacking),
            first_few(lacking, 3) or "none",
            dropped,
        )
    return {stream: FrameTree(tree.root, paired[stream]) for stream, tree in trees.items()}


def _common_videos(trees: Mapping[str, FrameTree], *, drop: bool) -> tuple[list[str], list[str]]:
    """Return the videos that every stream has, in the first one's order, and the others."""
    everything = dict.fromkeys(video for tree in trees.values() for video in tree.videos)
    lacking = []
    for stream, tree in trees.items():
        missing = [video for video in everything if video not in tree.videos]
        if missing and not drop:
            raise DataError(_unpaired(stream, tree.root, missing, f"{len(everything)} videos"))
        lacking += missing
    gone = dict.fromkeys(lacking)
    return [video for video in everything if video not in gone], list(gone)


def _common_frames(
    keys: Mapping[str, Mapping[Hashable, str]], video: str, unpaired: Mapping[str, list[str]]
) -> tuple[list[Hashable], list[Hashable]]:
    """Return all keys of a video's frames and those that every stream has; note what each lacks."""
    names = {one: name for some in reversed(list(keys.values())) for one, name in some.items()}
    everything = list(dict.fromkeys(one for some in keys.values() for one in some))
    for stream, some in keys.items():
        unpaired[stream] += [f"{video}/{names[one]}" for one in everything if one not in some]
    return everything, [one for one in everything if all(one in some for some in keys.values())]


def _key(match: str | None) -> Callable[[str], Hashable] | None:
    if match is None:
        return None
    if not isinstance(match, str):
        raise OptionError(f"match={match!r}: must be a regular expression, as text")
    try:
        search = re.compile(match).search
    except re.error as error:
        raise OptionError(f"match={match!r}: must be a regular expression ({error})") from None

    def key(text: str) -> Hashable:
        found = search(text)
        if found is None:
            return None
        return tuple(
            int(part) if part and part.isdecimal() else part for part in found.groups() or [found[0]]
        )

    return key


def _keys(files: FileNames, key: Callable[[str], Hashable] | None, folder: str) -> dict[Hashable, str]:
    """Return the names of a video's frames by key, in order."""
    names: dict[Hashable, str] = {}
    for name in files.names():
        text = stem(name)
        one = text if key is None else key(text)
        if one is None:
            raise DataError(f"match= finds nothing in {name!r} of {folder!r}: every frame's stem must match.")
        twin = names.setdefault(one, name)
        if twin is not name:
            raise DataError(
                f"match= finds the same in {twin!r} and {name!r} of {folder!r}: it must tell frames apart."
            )
    return names


def _alike(files: list[FileNames]) -> bool:
    """Whether numbered names differ in their extension alone, so that none need be written out."""
    first = files[0]
    return first.template is not None and all(
        other.template is not None
        and stem(other.template) == stem(first.template)
        and (other.count, other.first, other.stride) == (first.count, first.first, first.stride)
        for other in files[1:]
    )


def _same_files(files: Mapping[str, FileNames], video: str) -> str:
    return (
        f"two of the streams {', '.join(map(repr, files))} would show the same files, those in {video!r}: a "
        "path that begins with '/' is below no root. List paths from the roots, or give each stream its own "
        "frames=."
    )


def _unpaired(stream: str, root: str, missing: list[str], of: str) -> str:
    return (
        f"stream {stream!r} in {root!r} lacks {len(missing)} of the {of} of all streams: "
        f"{first_few(missing)}. Streams are paired by the videos' folders and the frames' names without "
        "extension, or by match=: add what is missing, or leave out its partners with unpaired='drop'."
    )
