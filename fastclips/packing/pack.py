"""`fastclips.pack`: write a dataset as a pack, JPEG frames in tar shards with an index."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from fastclips.data.index import Dataset
from fastclips.errors import DataError, OptionError
from fastclips.options import checked_bool, checked_bytes, checked_choice, checked_int, checked_workers
from fastclips.packing.video_sources import holds_movies, open_movies

if TYPE_CHECKING:
    import os

    from fastclips.packing.encoder import Encoding
    from fastclips.packing.parts import Problem

__all__ = ["RESTART", "Packed", "pack"]

RESTART = 2  # MCUs: as fast as 1, and the files hardly grow
_ROW = 2**16  # more MCUs than a row has


@dataclass(frozen=True)
class Packed:
    """What `pack` did; print it.

    Parameters
    ----------
    path : str
        The pack's folder.
    videos, frames : int
        What it holds; a frame of two streams is one.
    bytes_before, bytes_after : int
        Of the frames alone, without what file systems and tar files add.
    bytes_shards : int
        Of the tar files.
    kept : int
        Pictures that are in as they were, since they are no JPEGs that can be transcoded.
    problems : list of Problem
        Frames that could not be read: (video, where, why).
    dropped : list of str
        Names of videos that were left out for it.
    resumed : bool
        Whether some of it had been there before.
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

    def __str__(self) -> str:
        overhead = self.bytes_shards - self.bytes_after
        earlier = "; what an earlier run packed is kept as it is" if self.resumed else ""
        before, after = _amount(self.bytes_before), _amount(self.bytes_after)
        growth = self.bytes_after / self.bytes_before - 1 if self.bytes_before else 0.0
        heads = f"{self.path}: {self.videos:,} videos, {self.frames:,} frames{earlier}"
        share = overhead / max(self.bytes_shards, 1)
        sizes = f"{before} of frames before, {after} now ({growth:+.1%})"
        lines = [heads, f"{sizes}; tar files add {_amount(overhead)} ({share:.1%})"]
        if self.kept:
            lines.append(f"{self.kept:,} pictures are in as they were: they are no JPEGs to transcode")
        return "\n".join(lines)


def pack(
    dataset: Dataset | str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    short_side: int | None = None,
    quality: int | None = None,
    restart: int | str | None = None,
    codec: str = "jpeg",
    skip_damaged: bool = False,
    shard_size: str | int = "1GiB",
    workers: int | None = None,
) -> Packed:
    """Write a dataset as a pack: JPEG frames in tar files, from which a crop is decoded at a crop's cost.

    JPEG frames are transcoded without loss: `fastclips.open` of the pack gives the same clips, labels and
    pixels as the dataset. Pictures of other formats and masks are stored as they are; arrays become JPEGs and
    PNG masks. The same dataset and options give the same bytes, whatever the number of workers.

    What is interrupted goes on, when called again, after the last complete shard. Other data or options are
    refused then; data are other data if names, lengths or labels differ, or the first frames of up to 1,000
    videos, evenly spread (of video files, sizes and times). A change of another frame is not noticed: after
    that, delete `dst`.

    Parameters
    ----------
    dataset : Dataset or path
        From `fastclips.open`. Of videos of which a list names parts, all is stored from the first part's
        beginning to the last one's end. Or a folder of video files, class/video.mp4, or one of these: their
        frames are decoded in order, which takes the extra ``video``.
    dst : path
        A new folder, or one where this was interrupted.
    short_side : int, optional
        Pixels: larger frames are shrunk to it, and encoded anew.
    quality : int, optional
        Of JPEGs, 1 to 100: all are encoded anew. Without it that is done only where pixels must be encoded,
        at 90.
    restart : int or "row", optional
        MCUs (blocks of 16x16 pixels, for 4:2:0) from one restart marker to the next: what is decoded for a
        crop is rounded up to so many. The divisor of the MCUs in a row that is nearest is taken; 2 by
        default; 0 for no markers.
    codec : {"jpeg", "raw"}
        ``"raw"`` stores the pixels that a loader with ``fast_dct=True`` decodes: large, and fast to read.
        Where a loader shrinks them by 2 or more, the result is that of JPEGs with ``dct_scaling=False``.
    skip_damaged : bool
        Whether videos with a frame that cannot be read are left out. Without it such a frame stays in its
        place as it is, so that it is an error when it is loaded, as it is now.
    shard_size : str or int
        A shard is closed with the video that brings it to so many bytes.
    workers : int, optional
        Processes; as many as there are cores by default; 0 does the work in the caller.

    Returns
    -------
    Packed
        What was stored, and what could not be read.

    Raises
    ------
    OptionError
        An argument cannot work, or `dst` holds something else.
    DataError
        Nothing could be read, or the pack cannot be written.
    EngineError
        A worker process died.
    """
    if isinstance(dataset, (str, PathLike)) and holds_movies(dataset):
        dataset = open_movies(dataset)
    if not isinstance(dataset, Dataset):
        raise OptionError(
            f"pack takes a dataset, as fastclips.open returns it, or a folder of video files, not {dataset!r}"
        )
    from fastclips.packing.make_pack import Options, make_pack  # noqa: PLC0415 - OpenCV and more, for this alone

    options = Options(
        _encoding(short_side, quality, restart, codec),
        checked_bytes(shard_size, "shard_size"),
        checked_bool(skip_damaged, "skip_damaged"),
    )
    folder = Path(dst).absolute()
    try:
        totals, resumed = make_pack(dataset, folder, options, checked_workers(workers))
    except OSError as error:
        mend = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "mend that"
        at = f" ({error.filename})" if error.filename else ""
        raise DataError(
            f"cannot write the pack into {str(folder)!r}: {error.strerror}{at}; what is complete of it "
            f"stays: {mend} and run the same again"
        ) from error
    from fastclips.packing.parts import Problem  # noqa: PLC0415 - as above

    return Packed(
        path=str(folder),
        videos=totals["videos"],
        frames=totals["frames"],
        bytes_before=totals["source"],
        bytes_after=totals["packed"],
        bytes_shards=totals["shards"],
        kept=totals["kept"],
        problems=[Problem(*problem) for problem in totals["problems"]],
        dropped=totals["dropped"],
        resumed=resumed,
    )


def _encoding(short_side: int | None, quality: int | None, restart: int | str | None, codec: str) -> Encoding:
    from fastclips.packing.encoder import Encoding  # noqa: PLC0415 - as above

    raw = checked_choice(codec, "codec", ("jpeg", "raw")) == "raw"
    if short_side is not None:
        short_side = checked_int(short_side, "short_side", 1, 2**16)
    if quality is not None:
        quality = checked_int(quality, "quality", 1, 101)
    for knob, value in (("quality", quality), ("restart", restart)):
        if raw and value is not None:
            raise OptionError(f"{knob}={value!r} is for JPEGs; codec='raw' stores none: leave one out")
    if isinstance(restart, str) and restart != "row":
        raise OptionError(f"restart={restart!r}: must be a number of MCUs, or 'row'")
    every = _ROW if restart == "row" else checked_int(RESTART if restart is None else restart, "restart", 0)
    return Encoding(min(every, _ROW), short_side, quality, raw)


def _amount(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:  # noqa: PLR2004 - of the next unit
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"
