"""`fastclips check`: the command line of `fastclips.check`, and a list of the videos without defects."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.checking.check import Check
from fastclips.commands.pack import add_data_arguments, open_source, options_of, roots_of
from fastclips.data.list_writing import fits_text, is_plain, label_options, written_list
from fastclips.data.opening import open_dataset
from fastclips.data.scan import FRAME_EXTENSIONS, SKIPPED, VIDEO_EXTENSIONS
from fastclips.data.storage import FolderStorage
from fastclips.errors import DataError, OptionError

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from fastclips.data.dataset import Dataset

__all__ = ["add_arguments", "run"]

_MANUAL = """\
what is found:
  damaged         files that are missing, unreadable, or no whole picture/mask
  sizes           videos with frames of several sizes
  stream_sizes    frames whose streams differ in size
  mask_values     masks with values of no class (--mask-classes)
  mask_one_value  masks with one value besides ignore, as those of 0 and 255
  short           videos shorter than a clip (--time-steps)
  gaps            videos in whose frames' names numbers are missing
  equal           videos with the same pictures as an earlier video
  shared          pictures that another video has too, byte for byte
  empty           folders without frames
  classes         classes without a video

--fix-list leaves out the videos of the first four kinds, short ones, and those
that equal an earlier video. In Python: fc.check(fc.open("frames/")).

examples:
  fastclips check frames/
  fastclips check frames/ --mask masks/ --mask-classes 21
  fastclips check frames/ --list train.txt --columns "path length label"
  fastclips check frames/ --time-steps 16 --fix-list good.csv
  fastclips check packed/ --json > found.json

exit code: 0 if nothing was found, 1 if something was found or the data cannot
be opened, 2 for wrong options, 130 after an interrupt, which prints what was
found.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments, description and manual to a parser."""
    parser.description = "Read and decode every frame, and list what would harm training."
    parser.epilog = _MANUAL
    parser.set_defaults(wrong_option=2)
    parser.add_argument(
        "source",
        metavar="SRC",
        help="folder of class/video/frame.jpg or class/video.mp4, list of videos, pack, tar or .npy file",
    )
    add_data_arguments(parser)
    checks = parser.add_argument_group("what to check")
    checks.add_argument("--time-steps", metavar="N", type=int, help="list videos of less than N frames")
    checks.add_argument("--mask-classes", metavar="N", type=int, help="list masks with values from N on")
    parser.add_argument(
        "--workers", metavar="N", type=int, help="worker processes; 0 for none (default: one per usable core)"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON and no progress")
    parser.add_argument(
        "--fix-list", metavar="FILE", help="write a new list of the videos that training can use"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Returns
    -------
    int
        0 if nothing was found, else 1.

    Raises
    ------
    FastclipsError
        If the data cannot be opened, or an option is wrong.
    """
    if not Path(args.source).exists():
        raise OptionError(f"SRC {args.source!r}: there is no such file or folder")
    _check_new(args.fix_list)
    dataset = _open(args)
    empty = _empty_folders(args, dataset)
    check = Check(dataset, time_steps=args.time_steps, mask_classes=args.mask_classes, empty=empty)
    try:
        check.run(args.workers, show=not args.json)
    except KeyboardInterrupt:
        _print(args, check)
        raise
    found = _print(args, check)
    if args.fix_list is not None:
        _write_list(args, dataset, check.sound_rows())
    return 1 if found else 0


def _print(args: argparse.Namespace, check: Check) -> bool:
    """Print the result; return whether something was found."""
    result = check.result()
    if args.json:
        print(json.dumps({"source": args.source, **result.to_dict()}))
    else:
        print(f"{args.source}: {result}")
    return bool(result.findings)


def _is_array(args: argparse.Namespace) -> bool:
    return str(args.source).lower().endswith(".npy")


def _open(args: argparse.Namespace) -> Dataset:
    if not _is_array(args):
        return open_source(args)
    for knob in ("list", "columns", "frames", "videos", "match"):
        if getattr(args, knob) is not None:
            raise OptionError(f"--{knob} is for frames that are files, but {args.source!r} is an array")
    roots = roots_of(args)
    return open_dataset(images=roots if isinstance(roots, dict) else Path(roots), labels=None)


def _empty_folders(args: argparse.Namespace, dataset: Dataset) -> list[str]:
    """Return the folders below the source that hold neither frames nor folders."""
    if args.list is not None or not isinstance(dataset.storage, FolderStorage) or Path(args.source).is_file():
        return []
    found = []
    for folder, below, files in os.walk(args.source):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in SKIPPED)
        media = (name for name in files if name.lower().endswith((*FRAME_EXTENSIONS, *VIDEO_EXTENSIONS)))
        if not below and next(media, None) is None:
            found.append(folder)
    return found


# The list of sound videos


def _check_new(path: str | None) -> None:
    """Raise OptionError unless a file can be written under a new name."""
    if path is None:
        return
    if Path(path).exists():
        raise OptionError(f"--fix-list {path!r}: the file exists; give a new name, or remove it")
    if not Path(path).parent.is_dir():
        raise OptionError(f"--fix-list {path!r}: the folder {str(Path(path).parent)!r} does not exist")


def _write_list(args: argparse.Namespace, dataset: Dataset, rows: NDArray[np.int64]) -> None:
    """Write the rows without defects, and say how to open them."""
    to = sys.stderr if args.json else sys.stdout
    if not len(rows):
        print(f"\n{args.fix_list} was not written: no video is without defects.", file=to)
        return
    if _by_name(dataset):
        bad = set(dataset.index.names.take(np.setdiff1d(np.arange(len(dataset)), rows)))
        names = [name for name in dict.fromkeys(dataset.index.names.take(rows)) if name not in bad]
        text = "".join(f"{_plain(name)}\n" for name in names)
        opening, left = f"{_call(args, dataset)}.select({args.fix_list!r})", len(names)
    else:
        text = _table(dataset, rows)
        opening, left = _call(args, dataset, rows), len(rows)
    try:
        Path(args.fix_list).write_text(text, "utf-8")
    except (OSError, UnicodeEncodeError) as error:
        Path(args.fix_list).unlink(missing_ok=True)
        raise DataError(f"cannot write the list {args.fix_list!r}: {error}") from None
    print(f"\n{args.fix_list}: {left:,} of {len(dataset):,} videos. To open them:\n  {opening}", file=to)


def _by_name(dataset: Dataset) -> bool:
    """Whether the list must be names for `Dataset.select`: a text file cannot hold the data as they are."""
    labels = [labels for labels, _ in dataset.index.every_label.values()]
    return not isinstance(dataset.storage, FolderStorage) or not all(map(fits_text, labels))


def _table(dataset: Dataset, rows: NDArray[np.int64]) -> str:
    """Return a list of some rows as text, for `fastclips.open`."""
    index, storage = dataset.index, dataset.storage
    assert isinstance(storage, FolderStorage)  # noqa: S101 - see `_by_name`
    parts = index.starts.any() or (index.frame_counts != storage.frame_counts[index.keys]).any()
    left = index.take(rows)
    return written_list(left, list(map(_plain, left.names)), parts=bool(parts)).text


def _plain(name: str) -> str:
    """Return a name, if a line of a list can hold it."""
    if not is_plain(name):
        raise DataError(f"--fix-list: a list cannot hold the name {name!r}; rename the folder")
    return name


def _call(args: argparse.Namespace, dataset: Dataset, rows: NDArray[np.int64] | None = None) -> str:
    """Return the call that opens the source, or the written list of some of its rows."""
    if _is_array(args):
        return f"fc.open(images={roots_of(args)!r})"
    options: dict[str, Any] = {}
    source = roots_of(args)
    if rows is not None:
        own = args.list is None and Path(args.source).is_file()  # a list whose folder is the root
        source, options["root"] = args.fix_list, str(Path(args.source).parent) if own else source
    elif args.list is not None:
        source, options["root"], options["columns"] = args.list, source, args.columns
    else:
        options["columns"] = args.columns
    defaults = {"unpaired": "error", "labels": "auto", "frames": None, "videos": None, "match": None}
    options |= {name: value for name, value in options_of(args).items() if value != defaults[name]}
    if rows is not None:
        options |= label_options(dataset.index.take(rows))
    shown = [
        repr(source),
        *(f"{name}={value!r}" for name, value in options.items() if value is not None or name == "labels"),
    ]
    return f"fc.open({', '.join(shown)})"
