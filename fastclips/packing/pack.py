"""`fastclips.pack`: write a dataset as a pack, JPEG frames in tar shards with an index."""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastclips.data.dataset import Dataset
from fastclips.data.mixed_storage import MixedStorage
from fastclips.data.opening import open_dataset
from fastclips.data.stores import RemoteFolder, split_url
from fastclips.errors import DataError, OptionError, why_failed
from fastclips.options import checked_bool, checked_bytes, checked_choice, checked_int, checked_workers
from fastclips.packing.video_sources import holds_video_files, open_video_files
from fastclips.packing.workers import OtherWorkers

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from fastclips.packing.encoder import Encoding
    from fastclips.packing.parts import Problem

__all__ = ["RESTART", "Packed", "pack"]

RESTART = 2  # MCUs: crops decode as fast as with 1, and files hardly grow
_ROW = 2**16  # more MCUs than any row has
_WORDS = re.compile(r"(?<![\w.(])(\w+)=").findall  # arguments that a message names


@dataclass(frozen=True)
class Packed:
    """The result of `pack`; ``print`` it for a summary.

    Parameters
    ----------
    path : str
        The pack's folder or URL.
    videos, frames : int
        Numbers of packed videos and frames; a frame of two streams counts once.
    bytes_before, bytes_after : int
        Bytes of the frames alone, before and after packing, without what file systems and tar files add.
    bytes_shards : int
        Bytes of the tar files.
    kept : int
        Pictures that were packed unchanged because they are no JPEGs that can be transcoded. With
        ``codec="dct"`` also JPEGs that were transcoded, but do not fit that code.
    problems : list of Problem
        Frames that could not be read, as named tuples (video, where, why).
    dropped : list of str
        Names of the videos that were left out for such frames.
    resumed : bool
        Whether an earlier call had packed some of the videos.
    codec : str
        As given to `pack`.

    Examples
    --------
    >>> done = fc.pack(fc.open("frames/"), "small/", short_side=32, workers=0)
    >>> done.videos, done.frames, done.kept, done.problems
    (6, 72, 0, [])
    >>> done.bytes_after < done.bytes_shards
    True
    """

    path: str
    videos: int
    frames: int
    bytes_before: int
    bytes_after: int
    bytes_shards: int
    kept: int
    problems: list[Problem]
    dropped: list[str]
    resumed: bool
    codec: str = "jpeg"

    def __str__(self) -> str:
        overhead = self.bytes_shards - self.bytes_after
        earlier = "; shards of an earlier run are kept" if self.resumed else ""
        before, after = _amount(self.bytes_before), _amount(self.bytes_after)
        growth = self.bytes_after / self.bytes_before - 1 if self.bytes_before else 0.0
        counts = f"{self.path}: {self.videos:,} videos, {self.frames:,} frames{earlier}"
        share = overhead / max(self.bytes_shards, 1)
        sizes = f"{before} of frames before, {after} now ({growth:+.1%})"
        dct = self.codec == "dct"
        lines = [counts, f"{sizes}; tar files add {_amount(overhead)} ({share:.1%})"]
        if self.kept:
            lines.append(
                f"{self.kept:,} pictures are stored unchanged: they are no JPEGs that can be transcoded"
                + (", or stay JPEGs because their coefficients do not fit codec='dct'" if dct else "")
            )
        if self.problems:
            first = self.problems[0]
            left_out = f"; videos left out for them: {len(self.dropped):,}" if self.dropped else ""
            lines.append(
                f"unreadable frames: {len(self.problems):,}{left_out}; all are in .problems, the first is "
                f"{first.where}: {first.why}"
            )
        return "\n".join(lines)


def pack(
    dataset: object,
    dst: str | os.PathLike[str],
    *,
    short_side: int | None = None,
    quality: int | None = None,
    restart: int | str | None = None,
    codec: str = "jpeg",
    skip_damaged: bool = False,
    shard_size: str | int = "1GiB",
    workers: int | OtherWorkers | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Packed:
    """Write a dataset as a pack: frames in tar files, from which crops are decoded fast.

    JPEG frames are transcoded without loss: `fastclips.open` of the pack gives the same clips, labels and
    pixels as the dataset. Pictures of other formats, masks, flow and depth are stored as they are; arrays
    become JPEGs, PNG masks, and .npy files of flow and depth. The same dataset and options give the same
    bytes, for any number of workers.

    After an interruption, the same call continues after the last complete shard. A call with other data or
    options is refused. Data count as other data if names, lengths or labels differ, or the first frames of up
    to 1,000 videos, evenly spread (for video files: sizes and times). If other frames have changed, delete
    `dst` first.

    Parameters
    ----------
    dataset : Dataset, path, mapping of str to path, or list of videos
        From `fastclips.open`, or what `fastclips.open` takes as its source. Open the data first if it needs
        other arguments. If a list names parts of a video, all frames from the first part's start to the last
        part's end are stored. Or the path of a video file or of a folder of video files, class/video.mp4,
        whose frames are decoded in order; this takes the extra ``video``. Video files of such a folder that
        cannot be read are left out and reported. In a list they are an error: open it with
        ``unpaired="drop"``.
    dst : path or URL
        A new folder, or the folder of an interrupted call. Or a URL of one in an object store, ``s3://``,
        ``gs://`` or ``az://``, which takes the extra ``cloud``: each shard is made in a temporary folder
        (`TMPDIR`), which needs room for a shard, and uploaded; the index is uploaded last.
    short_side : int, optional
        Pixels: larger frames are shrunk to this shorter side and encoded again.
    quality : int, optional
        1 to 100: encode all JPEGs again with this quality. Without it, only pixels that must be encoded are,
        at 90.
    restart : int or "row", optional
        MCUs (blocks of 16x16 pixels, for 4:2:0) from one restart marker to the next, 2 by default; 0 for no
        markers. A crop's width is rounded up to this unit when it is decoded. The number is rounded to the
        nearest divisor of the MCUs in a row.
    codec : {"jpeg", "dct", "raw"}
        ``"dct"`` stores the coefficients of JPEGs in a code that is read faster than that of JPEGs and takes
        some 5% more bytes. Pixels are the same. Frames that do not fit the code stay JPEGs. `unpack` writes
        the JPEGs again.
        ``"raw"`` stores decoded pixels, those of ``fast_dct=False``: large files that are fast to read. Where
        a loader shrinks them by 2 or more, the result equals that of JPEGs with ``dct_scaling=False``.
    skip_damaged : bool
        Whether videos with an unreadable frame are left out. If False, a frame that is a file is packed as it
        is and raises an error when it is loaded, as it does from the dataset. A video file with an unreadable
        frame is left out in any case.
    shard_size : str or int
        A shard is closed after the video with which it reaches this size in bytes.
    workers : int or RayWorkers, optional
        Worker processes; by default as many as CPUs and the quota of a control group allow; 0 does the work
        in the caller. A `fastclips.adapters.ray.RayWorkers` spreads the work over a cluster.
    storage_options : mapping of str to object, optional
        Of a URL, as in `fastclips.open`.

    Returns
    -------
    Packed
        What was stored, and the frames that could not be read.

    Raises
    ------
    OptionError
        An argument cannot work, or `dst` has other content.
    DataError
        Nothing could be read, the data cannot be opened, or the pack cannot be written.
    EngineError
        A worker process died, or could not be started.

    Examples
    --------
    >>> print(fc.pack("frames/", "new_pack/", workers=0))
    /.../new_pack: 6 videos, 72 frames
    ... KiB of frames before, ... KiB now (...%); tar files add ... KiB (...%)
    >>> fc.open("new_pack/")
    <Dataset: 6 videos, 72 frames, 2 classes; image>

    Data that need other arguments are opened first:

    >>> pairs = fc.open({"image": "frames/", "mask": "masks/"}, ignore=0)
    >>> fc.pack(pairs, "pairs_pack/", workers=0).frames
    72
    """
    opened = dataset if isinstance(dataset, Dataset) else _opened(dataset)
    if opened.mixed is not None or isinstance(opened.storage, MixedStorage):
        raise OptionError(
            f"{opened!r}: is a mix, or a set of one, which cannot be packed; pack each dataset before it is "
            "mixed, and mix the packs"
        )
    crew = workers if isinstance(workers, OtherWorkers) else checked_workers(workers)
    from fastclips.packing.make_pack import Options, make_pack  # noqa: PLC0415 - imports OpenCV

    options = Options(
        _encoding(short_side, quality, restart, codec),
        checked_bytes(shard_size, "shard_size"),
        checked_bool(skip_damaged, "skip_damaged"),
    )
    target, name = _target(dst, storage_options)
    try:
        totals, resumed = make_pack(opened, target, options, crew)
    except OSError as error:
        remedy = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "correct this"
        at = f" ({error.filename})" if error.filename else ""
        raise DataError(
            f"cannot write the pack into {name!r}: {why_failed(error)}{at}; complete shards are kept: "
            f"{remedy} and pack again"
        ) from error
    from fastclips.packing.parts import Problem  # noqa: PLC0415 - as above

    return Packed(
        path=name,
        videos=totals["videos"],
        frames=totals["frames"],
        bytes_before=totals["source"],
        bytes_after=totals["packed"],
        bytes_shards=totals["shards"],
        kept=totals["kept"],
        problems=[Problem(*problem) for problem in totals["problems"]],
        dropped=totals["dropped"],
        resumed=resumed,
        codec=codec,
    )


def _target(
    dst: str | os.PathLike[str], storage_options: Mapping[str, Any] | None
) -> tuple[Path | RemoteFolder, str]:
    """Return where a pack is written, and its name in messages."""
    given, url = split_url(dst)
    if url is None:
        if storage_options is not None:
            raise OptionError("storage_options= is for the URL of an object store; remove it")
        folder = Path(given).absolute()  # type: ignore[arg-type] # it is a path
        return folder, str(folder)
    if url.lower().startswith("http"):
        raise OptionError(
            "dst= is the URL of a web server, which only gives files: pack into a folder that it serves, or "
            "into a bucket by s3://, gs:// or az://"
        )
    remote = RemoteFolder.of(url, storage_options, "dst")
    return remote, remote.url


def _opened(source: object) -> Dataset:
    """Open what a call of `pack` names."""
    try:
        if isinstance(source, (str, PathLike)) and holds_video_files(source):
            return open_video_files(source)  # files that cannot be read are reported, and packing goes on
        return open_dataset(source)
    except (DataError, OptionError) as error:
        named = _WORDS(str(error))
        named = [name for name in signature(open_dataset).parameters if name in named and name != "source"]
        if not named or type(error) not in (DataError, OptionError):
            raise
        message = str(error).removesuffix(".")
        arguments = ["images=..."] if "images" in named else ["source", *(f"{name}=..." for name in named)]
        raise type(error)(
            f"{message}. pack() has no argument {named[0]}=: open the data with "
            f"fc.open({', '.join(arguments)}) and pack the result."
        ) from error


def _encoding(short_side: int | None, quality: int | None, restart: int | str | None, codec: str) -> Encoding:
    from fastclips.packing.encoder import Encoding  # noqa: PLC0415 - as above

    codec = checked_choice(codec, "codec", ("jpeg", "dct", "raw"))
    raw = codec == "raw"
    if short_side is not None:
        short_side = checked_int(short_side, "short_side", 1, 2**16)
    if quality is not None:
        quality = checked_int(quality, "quality", 1, 101)
    for knob, value, unlike in (("quality", quality, ("raw",)), ("restart", restart, ("raw", "dct"))):
        if codec in unlike and value is not None:
            raise OptionError(
                f"{knob}={value!r}: is for JPEGs, but codec={codec!r} stores none; leave one of them out"
            )
    if isinstance(restart, str) and restart != "row":
        raise OptionError(f"restart={restart!r}: must be a number of MCUs or 'row'")
    every = _ROW if restart == "row" else checked_int(RESTART if restart is None else restart, "restart", 0)
    return Encoding(min(every, _ROW), short_side, quality, raw, codec == "dct")


def _amount(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:  # noqa: PLR2004 - one of the next unit
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"
