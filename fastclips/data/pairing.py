"""Pair the streams of a dataset, video by video and frame by frame.

Videos are paired by name, frames by *key*: the stem, or the text that ``match=`` finds in it. A missing video
or frame is an error unless the user allows dropping its partners, or masks to be missing: a clip must never
show a frame with the mask of another frame, nor silently become shorter.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from fastclips.data.names import FileNames, stem
from fastclips.errors import DataError
from fastclips.options import checked_pattern, first_few

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping

    from fastclips.data.scan import FrameTree

__all__ = ["offer_ignore", "pair", "pair_or_offer"]

_log = logging.getLogger(__name__)


def pair(
    trees: Mapping[str, FrameTree],
    match: str | None = None,
    *,
    drop: bool = False,
    optional: Collection[str] = (),
) -> dict[str, FrameTree]:
    """Return streams with the same videos, each with the same frames.

    Parameters
    ----------
    trees : mapping of str to FrameTree
        The streams. The order of videos and frames is that of the first stream that is not optional.
    match : str, optional
        A regular expression that is searched in each stem. A frame's key is the tuple of its groups, or the
        whole match if it has no groups; digits compare as numbers. By default, the key is the stem.
    drop : bool
        Whether videos and frames without a partner are dropped, with a warning, instead of an error.
    optional : collection of str
        Streams, not all, which may lack videos and frames: such a frame has an empty name. It cannot be
        combined with `drop`.

    Returns
    -------
    dict of str to FrameTree
        The paired streams.

    Raises
    ------
    OptionError
        `match` is not a regular expression.
    DataError
        A video or a frame has no partner, a stem does not match, two frames of a video have the same key, two
        streams are the same files, or nothing is left.
    """
    key = _key(match)
    leader = next(stream for stream in trees if stream not in optional)
    order = [leader, *(stream for stream in trees if stream != leader)]
    videos, lacking = _common_videos(
        {stream: trees[stream] for stream in order}, drop=drop, optional=optional
    )
    paired: dict[str, dict[str, FileNames]] = {stream: {} for stream in trees}
    unpaired: dict[str, list[str]] = {stream: [] for stream in trees}
    total = dropped = 0
    for video in videos:
        files = {s: trees[s].videos[video] for s in order if video in trees[s].videos}
        if video.startswith("/") and len(set(files.values())) < len(files):
            raise DataError(_same_files(files, video))
        if key is None and len(files) == len(order) and _alike(list(files.values())):
            total += files[leader].count
        else:
            keys = {s: _keys(f, key, f"{trees[s].root}/{video}") for s, f in files.items()}
            everything, common = _common_frames(keys, video, unpaired, optional)
            total += len(everything)
            dropped += len(everything) - len(common)
            if not common:
                lacking.append(video)
                continue
            files = {s: FileNames.of([keys.get(s, {}).get(k, "") for k in common]) for s in order}
        for stream, names in files.items():
            paired[stream][video] = names
    for stream, missing in unpaired.items():
        if missing and not drop:
            raise DataError(_unpaired(stream, trees[stream].root, missing, f"{total} frames", optional))
    if not all(paired.values()):
        raise DataError(
            f"unpaired='drop' leaves nothing: no frame of {trees[leader].root!r} has a partner in each "
            "stream. Videos are paired by folder, frames by name or by match=."
        )
    if lacking or dropped:
        _log.warning(
            "Dropped %d videos (%s) and %d frames without a partner.",
            len(lacking),
            first_few(lacking, 3) or "none",
            dropped,
        )
    return {
        stream: replace(tree, videos=paired[stream], times={}, unmatched={}) for stream, tree in trees.items()
    }


def _common_videos(
    trees: Mapping[str, FrameTree], *, drop: bool, optional: Collection[str]
) -> tuple[list[str], list[str]]:
    """Return the videos that every stream has, in the order of the first stream, and the other videos."""
    everything = dict.fromkeys(video for tree in trees.values() for video in tree.videos)
    lacking = []
    for stream, tree in trees.items():
        missing = [video for video in everything if video not in tree.videos and stream not in optional]
        if missing and not drop:
            raise DataError(_unpaired(stream, tree.root, missing, f"{len(everything)} videos", optional))
        lacking += missing
    gone = dict.fromkeys(lacking)
    return [video for video in everything if video not in gone], list(gone)


def _common_frames(
    keys: Mapping[str, Mapping[Hashable, str]],
    video: str,
    unpaired: Mapping[str, list[str]],
    optional: Collection[str],
) -> tuple[list[Hashable], list[Hashable]]:
    """Return all keys of a video's frames and the common ones; add missing frames to `unpaired`."""
    names = {key: name for by_key in reversed(list(keys.values())) for key, name in by_key.items()}
    everything = list(dict.fromkeys(key for by_key in keys.values() for key in by_key))
    needed = {stream: by_key for stream, by_key in keys.items() if stream not in optional}
    for stream, by_key in needed.items():
        unpaired[stream] += [f"{video}/{names[key]}" for key in everything if key not in by_key]
    return everything, [key for key in everything if all(key in by_key for by_key in needed.values())]


def _key(match: str | None) -> Callable[[str], Hashable] | None:
    if match is None:
        return None
    search = checked_pattern(match, "match").search

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
        found = text if key is None else key(text)
        if found is None:
            raise DataError(f"match= finds nothing in {name!r} of {folder!r}: every frame's stem must match.")
        twin = names.setdefault(found, name)
        if twin is not name:
            raise DataError(
                f"match= finds the same in {twin!r} and {name!r} of {folder!r}: keys of frames must differ."
            )
    return names


def _alike(files: list[FileNames]) -> bool:
    """Whether numbered names differ only in their extensions, so names need not be listed."""
    first = files[0]
    return first.template is not None and all(
        other.template is not None
        and stem(other.template) == stem(first.template)
        and (other.count, other.first, other.stride) == (first.count, first.first, first.stride)
        for other in files[1:]
    )


def _same_files(files: Mapping[str, FileNames], video: str) -> str:
    return (
        f"two of the streams {', '.join(map(repr, files))} would show the same files in {video!r}: a path "
        "that begins with '/' is not below any root. List paths relative to the roots, or give each stream "
        "its own frames=."
    )


def _unpaired(stream: str, root: str, missing: list[str], of: str, optional: Collection[str]) -> str:
    remedy = "add the missing files, or drop their partners with unpaired='drop'."
    if optional:  # so the others are not optional
        remedy = (
            "add the missing files, or drop their partners with unpaired='drop': unpaired='ignore' is for "
            f"missing files of masks, {', '.join(map(repr, optional))}."
        )
    return (
        f"stream {stream!r} in {root!r} lacks {len(missing)} of the {of} of all streams: "
        f"{first_few(missing)}. Streams are paired by the videos' folders and the frames' names without "
        f"extension, or by match=: {remedy}"
    )


def offer_ignore(
    error: DataError,
    trees: Mapping[str, FrameTree],
    match: str | None,
    unpaired: str,
    masks: Collection[str],
) -> DataError:
    """Return an error that offers ``unpaired="ignore"`` if the streams pair so, else the error itself."""
    of_masks = [name for name in trees if name in masks]
    if unpaired != "error" or not 0 < len(of_masks) < len(trees):
        return error
    try:
        pair(trees, match, optional=of_masks)
    except DataError:
        return error
    return DataError(f"{error} To keep frames without a mask, set unpaired='ignore'.")


def pair_or_offer(
    trees: Mapping[str, FrameTree],
    match: str | None,
    unpaired: str,
    masks: Collection[str],
    *,
    listed: bool = False,
) -> dict[str, FrameTree]:
    """Pair streams by the option ``unpaired=``, and say how many masks there are where some may be missing.

    Parameters
    ----------
    trees, match
        As for `pair`.
    unpaired : {"error", "drop", "ignore"}
        As for `fastclips.open`.
    masks : collection of str
        The streams that are masks.
    listed : bool
        Whether a list names the folders, so that its rows may be parts of them.

    Raises
    ------
    OptionError, DataError
        As from `pair`. The error offers ``unpaired="ignore"`` if the streams pair so.
    """
    of_masks = [name for name in trees if name in masks]
    optional = of_masks if unpaired == "ignore" else ()
    try:
        paired = pair(trees, match, drop=unpaired == "drop", optional=optional)
    except DataError as error:
        raise offer_ignore(error, trees, match, unpaired, masks) from None
    for stream in optional:
        _report_masks(stream, trees[stream], paired[stream], " of the list's folders" if listed else "")
    return paired


def _report_masks(stream: str, found: FrameTree, paired: FrameTree, of: str) -> None:
    """Say how many frames have a mask, where masks may be missing; `of` says whose frames are counted."""
    total = sum(files.count for files in paired.videos.values())
    masks = sum(files.count for name, files in found.videos.items() if name in paired.videos)
    if not masks:
        raise DataError(
            f"unpaired='ignore': no frame has a mask of {stream!r} in {found.root!r}. Videos are paired by "
            "folder, frames by name or by match=."
        )
    videos = sum(name in found.videos for name in paired.videos)
    _log.warning(
        "Stream %r has masks for %d of %d frames%s, in %d of %d videos; the others are ignore.",
        stream,
        masks,
        total,
        of,
        videos,
        len(paired.videos),
    )
