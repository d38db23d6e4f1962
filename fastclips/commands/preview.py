"""`fastclips preview`: a folder's clips on a contact sheet, before anything is trained on them.

::

    folders --open--> ClipLoader of as many clips as asked for --sheet.py--> PNG, renamed when it is whole
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fastclips.data.opening import open_dataset
from fastclips.errors import OptionError
from fastclips.loader import ClipLoader
from fastclips.options import checked_int
from fastclips.pixels.geometry.crops import RandomCrop, RandomFlip, Resize
from fastclips.planning.samplers import Windows
from fastclips.reserved import LABEL

if TYPE_CHECKING:
    import argparse

    from PIL import Image

__all__ = ["add_arguments", "run"]

_MANUAL = """\
The clips are the first ones of a shuffled epoch, with one random crop and flip per clip if asked for: what
ClipLoader(..., shuffle=True, seed=SEED) serves. Other transforms: loader.preview() in a script or notebook.

examples:
  fastclips preview frames/ --time-steps 8 --crop 224 --flip
  fastclips preview frames/ --mask masks/ --clips 8 -o sheet.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Given its arguments and its manual.
    """
    parser.description = "Draw clips as the model will see them, with labels and masks, on one PNG."
    parser.epilog = _MANUAL
    parser.add_argument("folder", metavar="DIR", help="folder of class/video/frame.jpg")
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="preview.png", help="what to write (%(default)s)"
    )
    parser.add_argument("--mask", metavar="DIR", help="masks of the frames, laid out alike")
    parser.add_argument(
        "--stream",
        metavar="NAME=DIR",
        action="append",
        default=[],
        help="more pictures of the frames, laid out alike; may be repeated",
    )
    parser.add_argument("--time-steps", type=int, default=16, help="frames in a clip (%(default)s)")
    parser.add_argument("--step", type=int, default=8, help="frames between starts of clips (%(default)s)")
    parser.add_argument(
        "--short-side", type=int, help="shorter side that frames are resized to (as they are)"
    )
    parser.add_argument("--crop", type=int, help="side of the random crop (none)")
    parser.add_argument("--flip", action="store_true", help="mirror half of the clips")
    parser.add_argument("--clips", type=int, default=4, help="clips on the sheet (%(default)s)")
    parser.add_argument("--epoch", type=int, default=0, help="which epoch, from 0 (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of order, crops and flips (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Parameters
    ----------
    args : argparse.Namespace
        From a parser that `add_arguments` prepared.

    Returns
    -------
    int
        Exit code, 0.

    Raises
    ------
    FastclipsError
        If the folders and the options do not go together, or the file cannot be written.
    """
    output = _checked_output(args.output)
    clips = checked_int(args.clips, "clips", 1)
    dataset = open_dataset(_sources(args))
    transforms: list[Any] = []
    if args.short_side is not None:
        transforms.append(Resize(short_side=args.short_side))
    if args.crop is not None:
        transforms.append(RandomCrop(args.crop))
    if args.flip:
        transforms.append(RandomFlip())
    pictures = [stream.name for stream in dataset.streams if not stream.mask]
    targets = [LABEL] * (dataset.index.labels is not None)
    targets += [stream.name for stream in dataset.streams if stream.mask]
    with ClipLoader(
        dataset,
        Windows(args.time_steps, step=args.step),
        transforms,
        batch_size=min(clips, 8),
        shuffle=True,
        seed=args.seed,
        workers=0,
        inputs=pictures,
        targets=targets or None,
    ) as loader:
        sheet = loader.preview(clips, args.epoch)
        total = len(loader.plan_table(args.epoch)["video"])
    _write(sheet, output)
    print(
        f"{args.output}: {sheet.width}x{sheet.height} pixels, {min(clips, total)} of {total:,} clips of "
        f"{len(dataset):,} videos ({', '.join([*pictures, *targets])})"
    )
    return 0


def _checked_output(output: str) -> Path:
    path = Path(output)
    if path.suffix.lower() != ".png":
        raise OptionError(f"output={output!r}: the sheet is a PNG; give a name that ends in .png")
    if not path.parent.is_dir():
        raise OptionError(f"output={output!r}: there is no folder {str(path.parent)!r}; make it first")
    return path


def _sources(args: argparse.Namespace) -> dict[str, str]:
    sources = {"image": args.folder}
    for name, folder in [("mask", args.mask), *(text.partition("=")[::2] for text in args.stream)]:
        if folder is None:
            continue
        if not name or not folder or name in sources:
            raise OptionError(
                f"stream={name}={folder}: must be NAME=DIR, with a name that is not taken "
                f"({', '.join(sources)})"
            )
        sources[name] = folder
    return sources


def _write(sheet: Image.Image, path: Path) -> None:
    """Write a PNG that is there whole or not at all."""
    beside = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with beside.open("xb") as file:
            sheet.save(file, "PNG")
        beside.replace(path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OptionError(f"output={str(path)!r} cannot be written: {error.strerror or error}") from None
        raise
