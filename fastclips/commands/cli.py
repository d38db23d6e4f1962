"""The command line: `fastclips demo`, `fastclips preview`, `fastclips pack` and `fastclips bench`.

A command's module is imported once it is called for, so that help is instant.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from fastclips import __version__
from fastclips.errors import FastclipsError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_COMMANDS = {  # modules of this package with add_arguments(parser) and run(args) -> int
    "demo": "train a small video classifier on made-up or your own frames",
    "preview": "draw clips of your frames as the model will see them",
    "pack": "write frames as a pack: JPEGs in tar files, made for cropping",
    "bench": "measure the loader on your frames against the bare decoding of them",
}
_INTERRUPTED = 130  # as a shell reports it
_MANUAL = """\
examples:
  fastclips demo                      train a video classifier, start to end
  fastclips preview frames/           what does the model see?
  fastclips bench frames/             how fast are my frames loaded, and what is the limit?
  fastclips bench frames/ --json      the same for a script, one line
  fastclips bench --help              what each figure means
  fastclips pack frames/ packed/      JPEGs in tar files, from which crops are decoded at a crop's cost

frames/ is a folder of class/video/frame.jpg. In Python:

  import fastclips as fc
  loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(16), [fc.RandomCrop(224)], batch_size=8)
  for x, y in loader:
      ...
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        Exit code: 0, 1 for an error that is printed as one line, 130 if interrupted. Wrong usage and help
        raise SystemExit, as argparse does.
    """
    argv = sys.argv[1:] if argv is None else argv
    parser = _parser(called=next((word for word in argv if not word.startswith("-")), None))
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return 0
    try:
        code: int = args.run(args)
    except FastclipsError as error:
        print("fastclips: error:", " ".join(str(error).splitlines()), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code


def _parser(called: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastclips",
        description="Clips of video frames for training, decoded by worker processes into shared memory.",
        epilog=_MANUAL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fastclips {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name, summary in _COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == called:
            module = import_module(f"fastclips.commands.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
