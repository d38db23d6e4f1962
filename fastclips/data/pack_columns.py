"""The columns of a pack's index, made of the places of its frames; also for plain tars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips._native import TAR_BLOCK as BLOCK
from fastclips.data.columns import Columns
from fastclips.data.storage import FileTable
from fastclips.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fastclips.data.names import FileNames
    from fastclips.data.scan import FrameTree
    from fastclips.data.tars import Tars

__all__ = ["PACK_VERSION", "pack_columns", "tar_columns"]

PACK_VERSION = 1
"""The version of the format of packs."""
_NOWHERE = np.iinfo(np.int64).max  # after any offset


def pack_columns(
    files: Mapping[str, Mapping[str, FileNames]],
    places: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]],
    shards: Mapping[str, int],
    firsts: NDArray[np.int64] | None = None,
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the columns of a `PackStorage`, described in its module.

    Parameters
    ----------
    files : mapping of str to mapping of str to FileNames
        For each stream the files of each video, as many in all streams.
    places : mapping of str to (ndarray of int64, ndarray of int64)
        For each stream, of all frames, video by video: offset of their data, counted through the shards,
        and bytes. An offset below 0 means that the frame has no member.
    shards : mapping of str to int
        Bytes of each tar file.
    firsts : ndarray of int64, optional
        Number of each video's first frame in the pack; 0 by default.

    Returns
    -------
    columns : dict of str to ndarray
    meta : dict
        JSON-able; it lacks ``"streams"``.

    Raises
    ------
    DataError
        Frames of a video are more than 2 TiB apart, or a frame has 4 GiB or more.
    """
    arrays = FileTable.columns(list(next(iter(files.values()))), files)
    counts = arrays["storage.frame_counts"]
    begins = np.cumsum(counts) - counts
    arrays["pack.ends"] = np.cumsum(np.array(list(shards.values()), np.int64))
    arrays["pack.firsts"] = np.zeros(len(counts), np.int64) if firsts is None else firsts
    arrays["pack.begins"] = begins
    for name, (starts, lengths) in places.items():
        there = starts >= 0
        bases = np.minimum.reduceat(np.where(there, starts, _NOWHERE), begins)
        bases[bases == _NOWHERE] = 0  # no frame of the video has a member
        blocks = np.where(there, starts - np.repeat(bases, counts), 0) // BLOCK
        if max(blocks.max(), lengths.max()) > np.iinfo(np.uint32).max:
            raise DataError("frames of a video are more than 2 TiB apart, or a frame has 4 GiB or more")
        arrays[f"pack.{name}.bases"] = bases
        arrays[f"pack.{name}.blocks"] = blocks.astype(np.uint32)
        arrays[f"pack.{name}.lengths"] = lengths.astype(np.uint32)
    return arrays, {"pack": PACK_VERSION, "shards": list(shards)}


def tar_columns(trees: Mapping[str, FrameTree], tars: Mapping[str, Tars]) -> Columns:
    """Return the columns of a `PackStorage` of plain tar files, whose folder is ``/``.

    Parameters
    ----------
    trees : mapping of str to FrameTree
        For each stream, the same videos with the same numbers of frames. Their order gives the video
        numbers.
    tars : mapping of str to Tars
        The tars of each stream.

    Raises
    ------
    DataError
        As from `pack_columns`.
    """
    shards = {path: size for of_stream in tars.values() for path, size in of_stream.sizes.items()}
    ends = np.cumsum(list(shards.values()))
    begins = dict(zip(shards, (ends - list(shards.values())).tolist(), strict=True))
    places = {}
    for stream, tree in trees.items():
        found = [
            (begins[member.path] + member.start, member.length) if member else (-1, 0)
            for video, names in tree.videos.items()
            for member in tars[stream].members(tree.folder(video), names.names())
        ]
        starts, lengths = np.array(found, np.int64).T
        places[stream] = np.ascontiguousarray(starts), np.ascontiguousarray(lengths)
    files = {stream: tree.videos for stream, tree in trees.items()}
    arrays, meta = pack_columns(files, places, shards)
    meta["streams"] = [{"name": stream} for stream in trees]
    if any(tree.grouped for tree in trees.values()):
        meta["grouped"] = True
    return Columns.pack(arrays, meta)
