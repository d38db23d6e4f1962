"""`fastclips.pack` and `fastclips pack`: a data set -> a pack, JPEG frames in tar shards with an index.

The command is opening and that function; what it prints is what the function returns.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import errno
import sys
from argparse import ArgumentTypeError
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastclips.batches import checked_workers
from fastclips.data.index import Dataset
from fastclips.data.opening import open_dataset
from fastclips.errors import DataError, OptionError
from fastclips.options import checked_bool, checked_bytes, checked_choice, checked_int, first_few
from fastclips.packing.movies import holds_movies, lists_movies, open_movies, without_movies

if TYPE_CHECKING:
    import argparse
    import os

    from fastclips.packing.parts import Problem
    from fastclips.pixels.encode import Encoding

__all__ = ["Packed", "add_arguments", "pack", "run"]

RESTART = 2  # MCUs: as fast as 1, and the files hardly grow
_ROW = 2**16  # more MCUs than a row has
_SHOWN = 20  # frames that could not be read
_MANUAL = """\
examples:
  fastclips pack frames/ packed/                        transcode without loss, a worker for each core
  fastclips pack frames/ packed/ --mask masks/          images with their masks, side by side
  fastclips pack frames/ packed/ --list train.txt --columns "path length label"
  fastclips pack frames/ packed/ --short-side 256 --quality 90
  fastclips pack frames/ packed/ --codec raw            decoded pixels, for sets that fit
  fastclips pack videos/ packed/ --short-side 256       class/video.mp4 (avi, mkv, webm, ...), frame by frame

Interrupted, it goes on after the last complete shard when it is started again, however it ended; if frames
have changed meanwhile, delete DST first. The shards are tar files that any tar reads. In Python:

  dataset = fc.open("packed/")              the same clips, labels and pixels as fc.open("frames/")
  fc.pack(fc.open("frames/"), "packed/")    this command

exit code: 0; 1 if a frame could not be read. Such a frame stays in its place, as it is, and is an error when
it is loaded; of a video file that cannot be read to its end, nothing is packed. With --skip-damaged, videos
with such frames are left out, and the exit code is 0.
"""


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
    from fastclips.packing.packer import Options, make_pack  # noqa: PLC0415 - OpenCV and more, for this alone

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
    from fastclips.pixels.encode import Encoding  # noqa: PLC0415 - as above

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Given its arguments and its manual.
    """
    parser.description = (
        "Write frames as a pack: JPEGs in tar files, from which a crop is decoded at a crop's cost."
    )
    parser.epilog = _MANUAL
    parser.add_argument(
        "source",
        metavar="SRC",
        help="folder of class/video/frame.jpg or class/video.mp4, or a list of videos",
    )
    parser.add_argument("target", metavar="DST", help="folder of the pack, new or interrupted")
    data = parser.add_argument_group("data, as fastclips.open has it")
    data.add_argument("--list", metavar="FILE", help="list of videos, whose paths count from SRC")
    data.add_argument("--columns", metavar="TEXT", help='columns of the list, such as "path label"')
    data.add_argument("--frames", metavar="PATTERN", help="take only frames of such names")
    data.add_argument("--mask", metavar="DIR", help="masks of the frames, laid out alike")
    data.add_argument(
        "--stream",
        metavar="NAME=DIR",
        action="append",
        default=[],
        help="another stream, laid out alike; may be repeated",
    )
    data.add_argument("--match", metavar="REGEX", help="how to pair frames of streams that have other names")
    data.add_argument(
        "--unpaired",
        choices=("error", "drop"),
        default="error",
        help="frames without a partner (%(default)s)",
    )
    data.add_argument("--no-labels", action="store_true", help="folders are no classes")
    how = parser.add_argument_group("frames")
    how.add_argument("--short-side", type=int, help="shrink larger frames to it (as they are)")
    how.add_argument("--quality", type=int, help="encode all JPEGs anew (transcode them without loss)")
    how.add_argument(
        "--restart",
        type=_restart,
        metavar="N",
        help=f"MCUs between restart markers, or 'row'; 0 for none ({RESTART})",
    )
    how.add_argument(
        "--codec", choices=("jpeg", "raw"), default="jpeg", help="or decoded pixels (%(default)s)"
    )
    how.add_argument("--skip-damaged", action="store_true", help="leave out videos with unreadable frames")
    parser.add_argument("--shard-size", default="1GiB", help="about so many bytes in a tar (%(default)s)")
    parser.add_argument("--workers", type=int, help="worker processes, 0 for none (one per core)")


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Parameters
    ----------
    args : argparse.Namespace
        From a parser that `add_arguments` prepared.

    Returns
    -------
    int
        Exit code: 0, or 1 if a frame could not be read and its video was not left out.

    Raises
    ------
    FastclipsError
        If nothing can be packed.
    """
    if args.list is not None and not Path(args.list).is_file():
        raise OptionError(f"--list {args.list!r}: there is no such file")
    dataset = _dataset(args)
    try:
        done = pack(
            dataset,
            args.target,
            short_side=args.short_side,
            quality=args.quality,
            restart=args.restart,
            codec=args.codec,
            skip_damaged=args.skip_damaged,
            shard_size=args.shard_size,
            workers=args.workers,
        )
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on after the last complete shard.", file=sys.stderr)
        raise
    print(done)
    for problem in done.problems[:_SHOWN]:
        named = problem.where in problem.why
        print(problem.why if named else f"{problem.where}: {problem.why}", file=sys.stderr)
    if not done.problems:
        return 0
    more = f" (and {len(done.problems) - _SHOWN} more)" if len(done.problems) > _SHOWN else ""
    videos = len({problem.video for problem in done.problems})
    said = f"Could not read frames: {len(done.problems)} in all{more}, in videos: {videos}. "
    if done.resumed:
        said += (
            f"What was mended since an earlier run is not looked at again: delete {done.path!r} for that. "
        )
    if done.dropped:
        said += f"Left out: {first_few(done.dropped)}."
    else:
        said += (
            "They stay in their places, and are errors when they are loaded; --skip-damaged leaves out "
            "these videos."
        )
    print(said, file=sys.stderr)
    return 0 if args.skip_damaged else 1


def _dataset(args: argparse.Namespace) -> Dataset:
    """Open what is to be packed."""
    if holds_movies(args.source):
        for knob in ("mask", "stream", "frames", "match"):
            if getattr(args, knob):
                raise OptionError(f"--{knob} is for frames that are files, but {args.source!r} holds videos")
        return open_movies(args.source, records=args.list, columns=args.columns, labelled=not args.no_labels)
    streams = {"image": args.source}
    if args.mask is not None:
        streams["mask"] = args.mask
    for text in args.stream:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise OptionError(f"--stream {text!r}: must be a name and a folder, as in --stream mask=masks/")
        streams[name] = folder
    roots: Any = streams if len(streams) > 1 else args.source
    options: dict[str, Any] = {"frames": args.frames, "match": args.match, "unpaired": args.unpaired}
    options["labels"] = None if args.no_labels else "auto"
    if args.list is not None:
        return open_dataset(args.list, root=roots, columns=args.columns, **options)
    if args.columns is not None:
        options["columns"] = args.columns
    without_movies(args.source)
    return _opened(args, roots, options)


def _opened(args: argparse.Namespace, roots: object, options: dict[str, Any]) -> Dataset:
    """Open folders, or a list as the source, which may be meant for video files."""
    try:
        return open_dataset(roots, **options)
    except DataError as error:
        source = Path(args.source)
        if source.is_file() and lists_movies(source, args.columns):
            raise DataError(
                f"{error} If these are video files, give their folder as SRC, and --list {source}."
            ) from error
        raise


def _restart(text: str) -> int | str:
    try:
        return text if text == "row" else int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r}: must be a number of MCUs, or 'row'") from None
