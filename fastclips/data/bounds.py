"""Checks of saved columns: an index with a right checksum may be forged, or written by a faulty program.

Every number that an index uses to find something else is checked when the index is opened:

=========================  =================================================================================
``storage.videos``         names end where the starts say, hold no NUL and are not empty
``storage.frame_counts``   at least 1 for each video
``movies.*, times.*``      key frames and times are those of frames that exist
``storage.<stream>.*``     the templates of file names exist and have one number of at most 18 digits; names
                           have no slash; listed names are as many as their frames, in the same order
``index.*``                videos exist; parts lie within their videos; frames per second are above 0
``labels.*, named.*``      a value for each row or frame; classes exist and have names
``pack.ends``              one for each shard, ascending
``pack.begins``            the sum of the frames before
``pack.<stream>.*``        members lie within one shard, follow each other and do not overlap
a listing of a tar         names, and members that lie within the tar
the header                 types of its values; shards have plain names, so they lie in the pack's folder
=========================  =================================================================================

No check finds a number that is wrong but possible, such as another class of a video. The tar's own headers
are compared with the index when a frame is read.

Columns are checked in pieces, so a column in a file is never in memory as a whole. Each check raises a
DataError about the column; its callers name the file.
"""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips._native import TAR_BLOCK as BLOCK
from fastclips.data.file_column import in_pieces
from fastclips.data.labels import KINDS
from fastclips.errors import DataError
from fastclips.reserved import LABEL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from numpy.typing import NDArray

    from fastclips.data.columns import Columns

__all__ = [
    "check_files",
    "check_index",
    "check_listing",
    "check_members",
    "check_movies",
    "check_paths",
    "check_streams",
    "is_paged",
]

_PAGED = re.compile(r"pack\..+\.(blocks|lengths)|storage\..+\.(listed|starts)").fullmatch
_TEXT = rb"(?:[^%/\0]++|%%)*+"
_TEMPLATES = re.compile(rb"(?:" + _TEXT + rb"%0(?:[1-9]|1[0-8])d" + _TEXT + rb"\0)*+").fullmatch
_DIGITS = 18
_ROWS = 2**20  # frames that are checked at a time
_MOST = 2**31  # frames of a video, and values of other small numbers


def is_paged(name: str) -> bool:
    """Whether a column has an entry for each frame, of which few are used at a time."""
    return _PAGED(name) is not None


def _refuse(name: str, why: str) -> DataError:
    return DataError(f"{name} {why}")


def _column(columns: Columns, name: str, dtype: str = "<i8", rows: int | None = None) -> NDArray[Any]:
    """Return a column with one axis and of some dtype, or of some of NumPy's kinds."""
    if name not in columns:
        raise _refuse(name, "is missing")
    column = columns[name]
    right = column.dtype.kind in dtype if dtype.isalpha() else column.dtype == np.dtype(dtype)
    if not right or len(column.shape) != 1 or rows not in (None, len(column)):
        wanted = "" if rows is None else f", ({rows},)"
        raise _refuse(name, f"is {column.dtype}, {column.shape}, but must be {dtype}{wanted}")
    return column


def _check_range(name: str, numbers: NDArray[Any], low: int, below: int) -> None:
    if len(numbers) and not (low <= int(numbers.min()) and int(numbers.max()) < below):
        raise _refuse(name, f"has a number beyond {low} to {below - 1}")


def _check_names(columns: Columns, blob: str, starts: str, *, empty: bool) -> tuple[int, int]:
    """Check names; return how many there are, and how many of them are empty."""
    text, places = _column(columns, blob, "|u1"), _column(columns, starts)
    count = len(places) - 1
    if count < 0 or int(places[:1][0]) != 0 or int(places[count:][0]) != len(text):
        raise _refuse(starts, f"does not lead from 0 to the end of {blob}")
    empties = 0
    for first, piece in in_pieces(places, _ROWS):
        sizes = np.diff(np.concatenate([piece, places[first + len(piece) : first + len(piece) + 1]]))
        if len(sizes) and sizes.min() < 1:
            raise _refuse(starts, "is not ascending")
        empties += int((sizes == 1).sum())
        low, high = int(piece[0]), int(piece[0]) + int(sizes.sum())
        ends = np.flatnonzero(text[low:high] == 0) + low + 1
        if not np.array_equal(ends, np.cumsum(sizes) + low):
            raise _refuse(blob, "has names that do not end where the index says")
    if empties and not empty:
        raise _refuse(blob, "has an empty name")
    return count, empties


def check_files(columns: Columns, streams: Collection[str], *, masks: Collection[str] | None = None) -> None:
    """Check the names of videos and files, ``storage.*``.

    Parameters
    ----------
    columns : Columns
        The columns.
    streams : collection of str
        The streams.
    masks : collection of str, optional
        Streams of which files may be missing; all by default.

    Raises
    ------
    DataError
        The columns are not those of files.
    """
    videos, _ = _check_names(columns, "storage.videos", "storage.starts", empty=False)
    counts = _column(columns, "storage.frame_counts", rows=videos)
    _check_range("storage.frame_counts", counts, 1, _MOST)
    for stream in streams:
        name = f"storage.{stream}"
        template, first, stride = (
            _column(columns, f"{name}.{part}", rows=videos) for part in ("template", "first", "stride")
        )
        templates, _ = _check_names(columns, f"{name}.templates", f"{name}.begins", empty=True)
        _check_range(f"{name}.template", template, -1, templates)
        if not _TEMPLATES(columns[f"{name}.templates"].data):  # in one call: each video may have its own
            raise _refuse(f"{name}.templates", "has a text that is no template of a file's name")
        last = (10**_DIGITS - 1 - first) // np.maximum(counts - 1, 1)
        numbered = template >= 0
        _check_range(f"{name}.first", first, 0, 10**_DIGITS)
        if bool((numbered & ((stride < 1) | ((counts > 1) & (stride > last)))).any()):
            raise _refuse(f"{name}.stride", "has a number below 1, or leads to numbers of too many digits")
        listed, empties = _check_names(columns, f"{name}.listed", f"{name}.starts", empty=True)
        own = counts[~numbered]
        if listed != own.sum() or not np.array_equal(first[~numbered], np.cumsum(own) - own):
            raise _refuse(f"{name}.first", "does not name the files that are listed, in their order")
        for _, piece in in_pieces(columns[f"{name}.listed"], 64 * _ROWS):
            if (piece == ord("/")).any():
                raise _refuse(f"{name}.listed", "has a name with a slash")
        missing = int(_column(columns, f"{name}.missing", rows=1)[0]) if f"{name}.missing" in columns else 0
        if empties != missing or (missing and masks is not None and stream not in masks):
            raise _refuse(f"{name}.missing", f"is {missing}, but {empties} frames have no file")


def check_movies(columns: Columns) -> None:
    """Check the names, frames, key frames and times of video files, ``storage.*``, ``movies.*``, ``times.*``.

    Raises
    ------
    DataError
        The columns are not those of video files.
    """
    videos, _ = _check_names(columns, "storage.videos", "storage.starts", empty=False)
    counts = _column(columns, "storage.frame_counts", rows=videos)
    _check_range("storage.frame_counts", counts, 1, _MOST)
    files, _ = _check_names(columns, "movies.files", "movies.starts", empty=False)
    if files != videos:
        raise _refuse("movies.files", f"names {files} files of {videos} videos")
    for name in ("movies.sizes", "movies.modified", "movies.firsts"):
        _column(columns, name, rows=videos)
    _column(columns, "movies.timed", "|b1", rows=videos)
    _check_fractions(columns, "movies.rates", videos)
    keys, begins = _column(columns, "movies.keys"), _column(columns, "movies.key_begins", rows=videos + 1)
    _check_begins("movies.key_begins", begins, len(keys))
    if len(keys):
        _check_range("movies.keys", keys, 0, _MOST)
        video = np.repeat(np.arange(videos), np.diff(begins))
        ascends = (np.diff(keys) > 0) | (np.diff(video) > 0)
        if (keys >= counts[video]).any() or not ascends.all():
            raise _refuse("movies.keys", "is not ascending within the frames of a video")
    steps = _column(columns, "times.steps", rows=videos)
    _check_range("times.steps", steps, 0, _MOST**2)
    _check_fractions(columns, "times.units", videos)
    ticks, begins = _column(columns, "times.ticks", "iu"), _column(columns, "times.begins", rows=videos + 1)
    _check_begins("times.begins", begins, len(ticks))
    if not np.array_equal(np.diff(begins), np.where(steps == 0, counts, 0)):
        raise _refuse("times.begins", "does not have a time for each frame")


def _check_begins(name: str, begins: NDArray[Any], total: int) -> None:
    if begins[0] != 0 or begins[-1] != total or (np.diff(begins) < 0).any():
        raise _refuse(name, f"does not lead from 0 to {total}")


def _check_fractions(columns: Columns, name: str, rows: int) -> None:
    fractions = columns.get(name)
    if fractions is None or fractions.dtype != np.int64 or fractions.shape != (rows, 2):
        raise _refuse(name, f"must be int64, ({rows}, 2)")
    if rows and (int(fractions[:, 0].min()) < 0 or int(fractions[:, 1].min()) < 1):
        raise _refuse(name, "has a fraction that is negative or without a denominator")


def check_members(columns: Columns, streams: Collection[str], shards: object) -> None:
    """Check the places of a pack's members, ``pack.*``, after `check_files`.

    Raises
    ------
    DataError
        The columns are not those of a pack, or a shard's name is not plain.
    """
    check_paths("shards", shards, plain=True)
    counts = columns["storage.frame_counts"]
    ends = _column(columns, "pack.ends", rows=len(shards))  # type: ignore[arg-type] # it is a list
    if not len(ends) or ends[0] < 1 or (len(ends) > 1 and np.diff(ends).min() < 1) or ends[-1] < 1:
        raise _refuse("pack.ends", "is not ascending")
    _check_range("pack.firsts", _column(columns, "pack.firsts", rows=len(counts)), 0, _MOST)
    begins = _column(columns, "pack.begins", rows=len(counts))
    if not np.array_equal(begins, np.cumsum(counts) - counts):
        raise _refuse("pack.begins", "is not the sum of the frames before")
    for stream in streams:
        _check_stream_members(columns, f"pack.{stream}", counts, begins, ends)


def _check_stream_members(
    columns: Columns, name: str, counts: NDArray[Any], begins: NDArray[Any], ends: NDArray[Any]
) -> None:
    bases = _column(columns, f"{name}.bases", rows=len(counts))
    blocks, lengths = (
        _column(columns, f"{name}.{part}", "<u4", rows=int(counts.sum())) for part in ("blocks", "lengths")
    )
    _check_range(f"{name}.bases", bases, 0, int(ends[-1]))
    if (bases % BLOCK).any():
        raise _refuse(f"{name}.bases", f"is not a multiple of {BLOCK}")
    before = 0  # the end of the last member
    for first, end in _groups(counts):
        rows = slice(int(begins[first]), int(begins[end - 1] + counts[end - 1]))
        size = lengths[rows].astype(np.int64)
        start = blocks[rows].astype(np.int64) * BLOCK
        local = begins[first:end] - begins[first]
        if np.minimum.reduceat(start, local).any():
            raise _refuse(f"{name}.blocks", "does not begin at a video's first byte")
        base = bases[first:end]
        held = base > 0
        high = base + np.maximum.reduceat(start + size, local)
        shard = np.searchsorted(ends, base - BLOCK, side="right")
        inside = (base >= BLOCK) & (high <= ends[np.minimum(shard, len(ends) - 1)])
        if (held & ~inside).any() or np.where(held, 0, high).any():
            raise _refuse(f"{name}.blocks", "leads beyond the end of a shard")
        video = np.repeat(np.arange(len(base)), counts[first:end])
        there = held[video] & ((size > 0) | (start > 0))
        there[local] |= held & (size[local] >= 0) & (start[local] == 0)
        begin, last = (base[video] + start)[there], (base[video] + start + size)[there]
        # A member may be preceded by a member of another stream, and by its own header.
        free = np.concatenate([[before], -(-last // BLOCK) * BLOCK])
        absent = bool((size == 0).any())  # a frame without a member looks like an empty member at the base
        if len(begin) and not absent and (begin - BLOCK < free[:-1]).any():
            raise _refuse(f"{name}.blocks", "has members that overlap, or are not in order")
        before = max(int(free.max()), before)


def _groups(counts: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Yield the first video and the end of groups of about `_ROWS` frames."""
    ends = np.cumsum(counts)
    first = 0
    while first < len(counts):
        done = int(ends[first - 1]) if first else 0
        end = max(int(np.searchsorted(ends, done + _ROWS, side="right")), first + 1)
        yield first, end
        first = end


def check_listing(columns: Columns, size: int) -> None:
    """Raise DataError unless the columns list the members of a tar of `size` bytes."""
    members, _ = _check_names(columns, "names", "begins", empty=False)
    starts, lengths = (_column(columns, name, rows=members) for name in ("starts", "lengths"))
    _check_range("starts", starts, BLOCK, size + 1)
    _check_range("lengths", lengths, 0, size + 1)
    if (starts + lengths > size).any() or (starts % BLOCK).any():
        raise _refuse("starts", "leads beyond the end of the tar, or into a block")


def check_index(columns: Columns, firsts: NDArray[np.int64] | None = None) -> None:
    """Check the rows and labels of an index, ``index.*``, ``labels.*`` and ``named.*``.

    Parameters
    ----------
    columns : Columns
        The columns, which `check_files` has checked.
    firsts : ndarray of int64, optional
        Number of the first frame of each video; 0 by default.

    Raises
    ------
    DataError
        The columns are not those of an index.
    """
    counts = columns["storage.frame_counts"]
    keys = _column(columns, "index.keys")
    _check_range("index.keys", keys, 0, len(counts))
    rows = len(keys)
    starts, lengths = (_column(columns, f"index.{name}", rows=rows) for name in ("starts", "frame_counts"))
    _check_range("index.frame_counts", lengths, 1, _MOST)
    _check_range("index.starts", starts, 0, 2 * _MOST)
    first = 0 if firsts is None else firsts[keys]
    if (starts < first).any() or (starts + lengths > first + counts[keys]).any():
        raise _refuse("index.starts", "names frames beyond those of a video")
    if not rows:
        raise _refuse("index.keys", "is empty")
    if "index.fps" in columns:
        fps = _column(columns, "index.fps", "<f8", rows=rows)
        if not (np.isfinite(fps) & (fps > 0)).all():
            raise _refuse("index.fps", "must be above 0")
    meta = columns.meta
    _check_classes("classes", meta.get("classes"))
    if meta.get("labels") is not None:
        _check_labels(columns, "labels", meta["labels"], meta["classes"], lengths)
    named = meta.get("named", [])
    if not isinstance(named, list) or not all(isinstance(item, dict) for item in named):
        raise _refuse("named", f"is {named!r:.80}")
    names = [item.get("name") for item in named]
    if not all(isinstance(name, str) for name in names) or len({LABEL, *names}) <= len(names):
        raise _refuse("named", f"has the names {names!r:.80}")
    for number, item in enumerate(named):
        _check_classes(f"classes of {names[number]!r}", item.get("classes"))
        _check_labels(columns, f"named.{number}", item.get("labels"), item["classes"], lengths)


def _check_classes(name: str, classes: object) -> None:
    if not isinstance(classes, list) or not all(isinstance(item, str) for item in classes):
        raise _refuse(name, f"is {classes!r:.80}, but must be a list of names")
    if len(set(classes)) < len(classes):
        raise _refuse(name, "names a class twice")


def _check_labels(
    columns: Columns, name: str, meta: object, classes: list[str], lengths: NDArray[np.int64]
) -> None:
    kind, count = (meta.get("kind"), meta.get("classes_count")) if isinstance(meta, dict) else (None, None)
    if not isinstance(kind, str) or kind not in KINDS or type(count) is not int or count != len(classes):
        raise _refuse(name, f"is {meta!r:.80}, which are no labels of {len(classes)} classes")
    rows = len(lengths)
    if kind == "target":
        values = columns.get(f"{name}.values")
        if values is None or not values.ndim or len(values) != rows:
            raise _refuse(f"{name}.values", f"must have {rows} rows")
        return
    if kind == "label":
        _check_range(f"{name}.numbers", _column(columns, f"{name}.numbers", rows=rows), 0, count)
        return
    starts = _column(columns, f"{name}.starts", rows=rows)
    counts = _column(columns, f"{name}.counts", rows=rows) if kind == "labels" else lengths
    if kind == "frame_target":
        flat = columns.get(f"{name}.values")
        if flat is None or not flat.ndim:
            raise _refuse(f"{name}.values", "is missing")
    else:
        flat = _column(columns, f"{name}.numbers", "iu")
        _check_range(f"{name}.numbers", flat, 0, count)
    _check_range(f"{name}.counts", counts, 0, len(flat) + 1)
    _check_range(f"{name}.starts", starts, 0, len(flat) + 1)
    if (starts + counts > len(flat)).any():
        raise _refuse(f"{name}.starts", "leads beyond the last value")


def check_paths(name: str, paths: object, *, plain: bool = False) -> None:
    """Raise DataError unless `paths` is a list of different paths, or of plain names of files."""
    if not isinstance(paths, list):
        raise _refuse(name, f"is {paths!r:.80}, but must be a list")
    for path in paths:
        try:
            right = isinstance(path, str) and b"\0" not in os.fsencode(path) and path not in ("", ".", "..")
        except UnicodeEncodeError:
            right = False
        if not right or (plain and "/" in path):
            raise _refuse(
                name, f"has {path!r:.200}, which is no {'plain name of a file' if plain else 'path'}"
            )
    if len(set(paths)) < len(paths):
        raise _refuse(name, "names a path twice")


def check_streams(streams: Any) -> None:  # noqa: ANN401 - as a file has it
    """Raise DataError unless `streams` has the streams of a pack, each as a mapping of its fields."""
    if (
        not isinstance(streams, list)
        or not streams
        or not all(isinstance(stream, dict) for stream in streams)
    ):
        raise _refuse("streams", f"is {streams!r:.80}, but must be a list of streams")
    names = [stream.get("name") for stream in streams]
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise _refuse("streams", f"has the names {names!r:.80}")
    for stream in streams:
        _check_stream(stream)


def _check_stream(stream: Mapping[str, Any]) -> None:
    colors, values = stream.get("colors"), stream.get("values")
    right = {
        "mask": type(stream.get("mask", False)) is bool,
        "smeared": type(stream.get("smeared", False)) is bool,
        "channels": type(stream.get("channels", 3)) is int and stream.get("channels", 3) in (1, 3),
        "ignore": _is_byte(stream.get("ignore", 255)),
        "kind": stream.get("kind", "image") in ("image", "mask", "flow", "depth")
        and stream.get("mask", False) == (stream.get("kind", "mask" if stream.get("mask") else "") == "mask"),
        "own_size": type(stream.get("own_size", False)) is bool,
        "unknown": stream.get("unknown") is None or _is_number(stream["unknown"]),
        "bound": _is_number(stream.get("bound", 1)) and stream.get("bound", 1) > 0,
        "values": values is None or (_are_bytes(values, 256)),
        "colors": colors is None
        or (
            isinstance(colors, list)
            and all(
                isinstance(pair, list) and len(pair) == 2 and _are_bytes(pair[0], 3) and _is_byte(pair[1])  # noqa: PLR2004 - a colour, a value
                for pair in colors
            )
        ),
    }
    if unknown := stream.keys() - right.keys() - {"name"}:
        raise _refuse(f"stream {stream['name']!r}", f"has {min(unknown)!r}, which is not known")
    for key, fits in right.items():
        if not fits:
            raise _refuse(f"stream {stream['name']!r}", f"has {key}={stream[key]!r:.80}")


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type] # it is one


def _is_byte(value: object) -> bool:
    return type(value) is int and 0 <= value < 256  # noqa: PLR2004 - values of a byte


def _are_bytes(values: object, count: int) -> bool:
    return isinstance(values, list) and len(values) == count and all(map(_is_byte, values))
