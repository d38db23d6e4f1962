"""`fastclips preview`: a folder's clips on a contact sheet, to look at before training.

::

    folders --open--> ClipLoader --loader.preview--> PNG, written beside its name and then renamed
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
from fastclips.pixels.geometry.crops import RandomCrop, Resize
from fastclips.pixels.geometry.flips import RandomFlip
from fastclips.planning.samplers import Windows
from fastclips.reserved import LABEL

if TYPE_CHECKING:
    import argparse

    from PIL import Image

__all__ = ["add_arguments", "run"]

_MANUAL = """\
The sheet shows the first clips of a shuffled epoch, as they are served by
ClipLoader(..., shuffle=True, seed=SEED). With --crop and --flip, each clip has
one random crop and flip. For other transforms, call loader.preview() in a
script or notebook.

examples:
  fastclips preview frames/ --time-steps 8 --crop 224 --flip
  fastclips preview frames/ --mask masks/ --clips 8 -o sheet.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments, description and manual to a parser."""
    parser.description = "Draw clips as the model will see them, with labels and masks, into one PNG."
    parser.epilog = _MANUAL
    parser.add_argument("folder", metavar="DIR", help="folder of class/video/frame.jpg, or a pack")
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="preview.png", help="PNG to write (default: %(default)s)"
    )
    parser.add_argument("--mask", metavar="DIR", help="masks of the frames, in the same layout")
    parser.add_argument(
        "--stream",
        metavar="NAME=DIR",
        action="append",
        default=[],
        help="another stream, in the same layout; may be repeated",
    )
    parser.add_argument(
        "--time-steps", metavar="N", type=int, default=16, help="frames in a clip (default: %(default)s)"
    )
    parser.add_argument(
        "--step",
        metavar="N",
        type=int,
        default=8,
        help="frames from one clip's start to the next (default: %(default)s)",
    )
    parser.add_argument(
        "--short-side", metavar="PIXELS", type=int, help="resize frames to this shorter side (default: none)"
    )
    parser.add_argument("--crop", metavar="PIXELS", type=int, help="side of the random crop (default: none)")
    parser.add_argument("--flip", action="store_true", help="mirror half of the clips")
    parser.add_argument(
        "--clips", metavar="N", type=int, default=4, help="clips on the sheet (default: %(default)s)"
    )
    parser.add_argument(
        "--epoch", metavar="N", type=int, default=0, help="epoch to draw, from 0 (default: %(default)s)"
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=int,
        default=0,
        help="seed of order, crops and flips (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit code, 0.

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
        rank=0,
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
        raise OptionError(f"output={output!r}: must end in .png, because the sheet is a PNG")
    if not path.parent.is_dir():
        raise OptionError(
            f"output={output!r}: the folder {str(path.parent)!r} does not exist; create it first"
        )
    return path


def _sources(args: argparse.Namespace) -> str | dict[str, str]:
    """Return what is to be opened: the folder alone, which may be a pack, or several streams."""
    sources = {"image": args.folder}
    for name, folder in [("mask", args.mask), *(text.partition("=")[::2] for text in args.stream)]:
        if folder is None:
            continue
        if not name or not folder or name in sources:
            raise OptionError(
                f"stream={name}={folder}: must be NAME=DIR, with a name other than {', '.join(sources)}"
            )
        sources[name] = folder
    return sources if len(sources) > 1 else args.folder


def _write(sheet: Image.Image, path: Path) -> None:
    """Write a PNG beside its name and rename it, so that no part of a file is left."""
    beside = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with beside.open("xb") as file:
            sheet.save(file, "PNG")
        beside.replace(path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OptionError(
                f"output={str(path)!r}: cannot be written ({error.strerror or error})"
            ) from None
        raise
