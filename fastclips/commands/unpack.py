"""`fastclips unpack`: the command line of `fastclips.unpack`."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from fastclips.commands.pack import add_data_arguments, open_source
from fastclips.packing.unpack import unpack

if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "run"]

_SHOWN = 20  # problems that are printed
_MANUAL = """\
examples:
  fastclips unpack packed/ frames/
      files of the pack's frames, frames/video/000012.jpg, and frames/list.csv
  fastclips unpack frames.tar frames/
  fastclips unpack images.tar pairs/ --mask masks.tar
      tar files that other programs have made

JPEGs of a pack made with --codec dct are restored byte for byte, if they were
usual ones; others get the same coefficients in another file. A pack of JPEGs
gives its JPEGs as they are. Decoded pixels, as of --codec raw, become PNG
files. The command says how many files are of which kind, and how to open them:
list.csv has the order of the videos and the labels, open_dataset.py opens it.

After an interruption, run the same command again: it continues. Until all files
are complete, they lie in DST/.unpacking.

exit code: 0, or 1 if a frame could not be read; such frames are left out.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments, description and manual to a parser."""
    parser.description = "Write the frames of a pack or of tar files as files, with a list of the videos."
    parser.epilog = _MANUAL
    parser.add_argument(
        "source", metavar="PACK", help="the pack's folder, a tar file or a folder of tar files"
    )
    parser.add_argument("target", metavar="DST", help="a new or empty folder, or that of an interrupted run")
    add_data_arguments(parser)
    parser.add_argument(
        "--workers", metavar="N", type=int, help="worker processes; 0 for none (default: one per usable core)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Returns
    -------
    int
        0, or 1 if a frame could not be read.

    Raises
    ------
    FastclipsError
        If nothing can be unpacked.
    """
    of_data = ("list", "columns", "frames", "videos", "mask", "stream", "match", "no_labels")
    given = any(getattr(args, name) for name in of_data) or args.unpaired != "error"
    try:
        done = unpack(open_source(args) if given else args.source, args.target, workers=args.workers)
    except KeyboardInterrupt:
        print("Interrupted. The same command continues.", file=sys.stderr)
        raise
    print(done)
    for problem in done.problems[:_SHOWN]:
        print(f"{problem.where}: {problem.why}", file=sys.stderr)
    return 1 if done.problems else 0
