"""`fastclips unpack`: the command line of `fastclips.unpack`."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from fastclips.packing.unpack import unpack

if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "run"]

_SHOWN = 20  # problems that are printed
_MANUAL = """\
examples:
  fastclips unpack packed/ frames/
      files of the pack's frames: frames/video/000012.jpg

JPEGs of a pack made with --codec dct are restored byte for byte, if they were
usual ones; others get the same coefficients in another file. A pack of JPEGs
gives its JPEGs as they are. The command says how many files are of which kind.

exit code: 0, or 1 if a frame could not be read; such frames are left out.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments, description and manual to a parser."""
    parser.description = "Write the frames of a pack as files."
    parser.epilog = _MANUAL
    parser.add_argument("pack", metavar="PACK", help="the pack's folder")
    parser.add_argument("target", metavar="DST", help="a new or empty folder")


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
    done = unpack(args.pack, args.target)
    print(done)
    for problem in done.problems[:_SHOWN]:
        print(f"{problem.where}: {problem.why}", file=sys.stderr)
    return 1 if done.problems else 0
