"""`fastclips pack`: the command line of `fastclips.pack`."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastclips.data.opening import open_dataset
from fastclips.errors import DataError, OptionError
from fastclips.options import first_few
from fastclips.packing.pack import RESTART, pack
from fastclips.packing.video_sources import holds_movies, lists_movies, open_movies, without_movies

if TYPE_CHECKING:
    import argparse

    from fastclips.data.index import Dataset

__all__ = ["add_arguments", "run"]

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
