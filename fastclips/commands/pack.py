"""`fastclips pack`: the command line of `fastclips.pack`."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastclips.data.opening import open_dataset
from fastclips.errors import OptionError
from fastclips.options import first_few
from fastclips.packing.pack import RESTART, pack
from fastclips.packing.video_sources import holds_video_files, open_video_files

if TYPE_CHECKING:
    import argparse

    from fastclips.data.dataset import Dataset

__all__ = ["add_arguments", "add_data_arguments", "open_source", "options_of", "roots_of", "run"]

_SHOWN = 20  # problems that are printed
_MANUAL = """\
examples:
  fastclips pack frames/ packed/
      transcode without loss, with a worker for each core
  fastclips pack frames/ packed/ --mask masks/
      images with their masks, side by side
  fastclips pack frames/ packed/ --list train.txt --columns "path length label"
  fastclips pack frames/ packed/ --short-side 256 --quality 90
  fastclips pack frames/ packed/ --codec dct
      the same pixels in a code that is faster to read than that of JPEGs
  fastclips pack frames/ packed/ --codec raw
      decoded pixels, for small sets
  fastclips pack videos/ packed/ --short-side 256
      the frames of class/video.mp4 (avi, mkv, webm, ...)

After an interruption, run the same command again: it continues after the last
complete shard. If frames have changed meanwhile, delete DST first. The shards
are tar files that any tar program reads. In Python:

  dataset = fc.open("packed/")
      the same clips, labels and pixels as fc.open("frames/")
  fc.pack("frames/", "packed/")
      this command

exit code: 0, or 1 if a frame could not be read. Such a frame is packed as it is
and raises an error when it is loaded. A video file that cannot be read to its
end is not packed. With --skip-damaged, videos with such frames are left out and
the exit code is 0.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments, description and manual to a parser."""
    parser.description = (
        "Write frames as a pack: JPEGs in tar files, from which a crop is decoded without\n"
        "decoding the rest of its frame."
    )
    parser.epilog = _MANUAL
    parser.add_argument(
        "source",
        metavar="SRC",
        help="folder of class/video/frame.jpg or class/video.mp4, or a list of videos",
    )
    parser.add_argument("target", metavar="DST", help="the pack's folder: new, or of an interrupted run")
    add_data_arguments(parser)
    encoding = parser.add_argument_group("frames")
    encoding.add_argument(
        "--short-side", metavar="PIXELS", type=int, help="shrink larger frames to this side (default: none)"
    )
    encoding.add_argument(
        "--quality", metavar="N", type=int, help="encode all JPEGs again (default: transcode)"
    )
    encoding.add_argument(
        "--restart",
        type=_restart,
        metavar="N",
        help=f"MCUs between restart markers, or 'row'; 0 for none (default: {RESTART})",
    )
    encoding.add_argument(
        "--codec",
        choices=("jpeg", "dct", "raw"),
        default="jpeg",
        help="store frames as JPEGs, their coefficients in a faster code, or decoded pixels "
        "(default: %(default)s)",
    )
    encoding.add_argument(
        "--skip-damaged", action="store_true", help="leave out videos with unreadable frames"
    )
    parser.add_argument(
        "--shard-size",
        metavar="SIZE",
        default="1GiB",
        help="size at which a tar is closed (default: %(default)s)",
    )
    parser.add_argument(
        "--workers", metavar="N", type=int, help="worker processes; 0 for none (default: one per usable core)"
    )


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `open_source` reads, besides the source."""
    data = parser.add_argument_group("data, as in fastclips.open")
    data.add_argument("--list", metavar="FILE", help="list of videos, with paths relative to SRC")
    data.add_argument("--columns", metavar="TEXT", help='columns of the list, such as "path label"')
    data.add_argument("--frames", metavar="PATTERN", help="pattern of the frames' file names")
    data.add_argument(
        "--videos", metavar="REGEX", help="how names of frames tell apart the videos in one folder"
    )
    data.add_argument("--mask", metavar="DIR", help="masks of the frames, in the same layout")
    data.add_argument(
        "--stream",
        metavar="NAME=DIR",
        action="append",
        default=[],
        help="another stream, in the same layout; may be repeated",
    )
    data.add_argument(
        "--match", metavar="REGEX", help="how to pair frames of streams whose file names differ"
    )
    data.add_argument(
        "--unpaired",
        choices=("error", "drop", "ignore"),
        default="error",
        help="what to do with frames without a partner: refuse or drop them, or ignore missing masks "
        "(default: %(default)s)",
    )
    data.add_argument("--no-labels", action="store_true", help="do not take folders as classes")


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Returns
    -------
    int
        0, or 1 if a frame could not be read and its video was not left out.

    Raises
    ------
    FastclipsError
        If nothing can be packed.
    """
    dataset = open_source(args)
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
        print("Interrupted. The same command continues after the last complete shard.", file=sys.stderr)
        raise
    print(done)
    for problem in done.problems[:_SHOWN]:
        has_path = problem.where in problem.why
        print(problem.why if has_path else f"{problem.where}: {problem.why}", file=sys.stderr)
    if not done.problems:
        return 0
    shown = f", of which the first {_SHOWN} are shown" if len(done.problems) > _SHOWN else ""
    videos = len({problem.video for problem in done.problems})
    summary = f"Unreadable frames: {len(done.problems)}{shown}; videos with such frames: {videos}. "
    if done.resumed:
        summary += (
            f"Frames repaired since an earlier run are not read again: delete {done.path!r} and pack again. "
        )
    if done.dropped:
        summary += f"Left out: {first_few(done.dropped)}."
    else:
        summary += (
            "These frames are packed as they are and raise an error when they are loaded; --skip-damaged "
            "leaves out their videos."
        )
    print(summary, file=sys.stderr)
    return 0 if args.skip_damaged else 1


def open_source(args: argparse.Namespace) -> Dataset:
    """Open the source of a command that has the arguments of `add_data_arguments`."""
    if args.list is not None and not Path(args.list).is_file():
        raise OptionError(f"--list {args.list!r}: the file does not exist")
    if holds_video_files(args.source):
        for knob in ("mask", "stream", "frames", "videos", "match"):
            if getattr(args, knob):
                raise OptionError(
                    f"--{knob} is for frames that are files, but {args.source!r} holds video files"
                )
        return open_video_files(
            args.source, records=args.list, columns=args.columns, labelled=not args.no_labels
        )
    roots = roots_of(args)
    options = options_of(args)
    if args.list is not None:
        return open_dataset(args.list, root=roots, columns=args.columns, **options)
    if args.columns is not None:
        options["columns"] = args.columns
    return open_dataset(roots, **options)


def roots_of(args: argparse.Namespace) -> str | dict[str, str]:
    """Return the source, or the folder of each stream if there are several."""
    streams = {"image": args.source}
    if args.mask is not None:
        streams["mask"] = args.mask
    for text in args.stream:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise OptionError(f"--stream {text!r}: must be NAME=DIR, such as mask=masks/")
        streams[name] = folder
    return streams if len(streams) > 1 else str(args.source)


def options_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `fastclips.open` that do not depend on a list."""
    options = {name: getattr(args, name) for name in ("frames", "videos", "match", "unpaired")}
    return {**options, "labels": None if args.no_labels else "auto"}


def _restart(text: str) -> int | str:
    try:
        return text if text == "row" else int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r}: must be a number of MCUs or 'row'") from None
