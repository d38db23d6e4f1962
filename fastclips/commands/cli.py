"""The command line: `fastclips demo`, `preview`, `check`, `pack`, `unpack` and `bench`.

Only the module of the command that is called is imported, so that help is instant.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import errno
import os
import sys
import warnings
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from fastclips.errors import FastclipsError, FrameError, OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_COMMANDS = {  # modules of this package with add_arguments(parser) and run(args) -> int
    "demo": "train a small video classifier on made-up or your own frames",
    "preview": "draw clips of your frames as the model will see them",
    "check": "read every frame and list what would harm training",
    "pack": "write frames as a pack: tar files, fast to crop from",
    "unpack": "write the frames of a pack as files",
    "bench": "compare the loader's speed on your frames with bare decoding",
}
_OUTPUT_FAILS = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}  # of standard output
_INTERRUPTED = 130  # the exit code that shells report
_MANUAL = """\
examples:
  fastclips demo                    train a video classifier from start to end
  fastclips preview frames/         draw what the model sees
  fastclips check frames/           look for damaged frames, copies, gaps
  fastclips bench frames/           how fast frames are loaded, and the limit
  fastclips bench frames/ --json    the same as one line, for a script
  fastclips bench --help            the meaning of each figure
  fastclips pack frames/ packed/    write JPEGs that are fast to crop from

frames/ is a folder of class/video/frame.jpg. In Python:

  import fastclips as fc

  clips = fc.Windows(16)
  transforms = [fc.RandomCrop(224)]
  loader = fc.ClipLoader(fc.open("frames/"), clips, transforms, batch_size=8)
  for x, y in loader:
      ...
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; the process's own by default.

    Returns
    -------
    int
        Exit code: 0; 1 for an error, printed as one line; 130 if interrupted; of `check`, 1 if something was
        found, and 2 for wrong options. Wrong usage and ``--help`` raise SystemExit.
    """
    argv = sys.argv[1:] if argv is None else argv
    parser = _parser(called=next((word for word in argv if not word.startswith("-")), None))
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return 0
    form, warnings.formatwarning = warnings.formatwarning, _one_line  # type: ignore[assignment]
    try:
        code: int = args.run(args)
        if sys.stdout is not None:
            sys.stdout.flush()
    except FastclipsError as error:
        hint = ["`fastclips check` lists all such frames."] if isinstance(error, FrameError) else []
        print("fastclips: error:", *str(error).splitlines(), *hint, file=sys.stderr)
        return getattr(args, "wrong_option", 1) if isinstance(error, OptionError) else 1
    except OSError as error:
        if error.filename is not None or error.errno not in _OUTPUT_FAILS:
            raise
        print(f"fastclips: error: cannot write the output: {error.strerror or error}", file=sys.stderr)
        _forget_output()
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        warnings.formatwarning = form
    return code


def _forget_output() -> None:
    """Send standard output nowhere: Python writes what is left of it at exit, and would fail again."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _one_line(message: Warning | str, *_: object) -> str:
    """Return a warning as a command prints it, without a place in the code."""
    return f"fastclips: warning: {message}\n"


def _parser(called: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastclips",
        description="Clips of video frames for training, decoded by worker processes into shared\nmemory.",
        epilog=_MANUAL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action=_Versions, nargs=0, help="show the version, and those of what it uses, and exit"
    )
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


class _Versions(argparse.Action):
    """``--version``, which looks up the versions when it is given, not at each start."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print the versions and exit."""
        versions = import_module("fastclips.commands.versions")
        print("\n".join(versions.lines()))
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
