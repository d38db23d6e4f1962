"""What version 0.1.0 makes of the data in tests/data/v0_1_0, by name: the yardstick of every later version.

What 0.1.0 wrote opens and gives the same bits, or is refused by name. `RECIPES` are functions from the data's
folder and a number of workers to the batches of one epoch; digests.json holds the SHA-256 of each as 0.1.0
served it, and states.json where loaders were on the way (`reference_states`). Bits that change are others for
whoever goes on training. Where that was decided, and the changelog says so, tests/data/changed.json holds the
digest since then, and the means of the outputs still are those of 0.1.0.

Defaults that have changed since then are given as they were (`reference_recipes.OF_0_1_0`). What some recipes
make of today's defaults is in tests/data/defaults.json.

    python tests/reference_epochs.py --write                  digests of recipes that have none yet
    python tests/reference_epochs.py --write --replace NAME   and of this one anew
    python tests/reference_epochs.py --changed NAME ...       digests that a decision has changed
    python tests/reference_epochs.py --defaults NAME ...      digests with the defaults of today
    python tests/reference_epochs.py --print                  all digests on this machine, as JSON

Only what users may import is used here, so that modules can be moved.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import cv2
import numpy as np
import pytest
from reference_data import copied
from reference_recipes import OF_0_1_0
from reference_sources import RECIPES
from reference_states import STATES, begin

DATA = Path(__file__).parent / "data" / "v0_1_0"
CHANGED = DATA.parent / "changed.json"
DEFAULTS = DATA.parent / "defaults.json"
PIECES = 32  # into which an output is cut for its means

# OpenCV's optical flow works on floats in vectors as wide as the CPU's, which may change single values. On a
# CPU with the same instructions as where they were written the bits must be the same; on another, the means.
DEPENDS_ON_CPU = {"movies_flow"}
# Decoding video files and converting their colours is FFmpeg's: with its other versions, likewise.
DEPENDS_ON_FFMPEG = {name for name in RECIPES if name.startswith("movies_")}


def arrays_of(batch):
    """The arrays of a batch in order, those of a dict by name."""
    if isinstance(batch, Mapping):
        return [array for name in sorted(batch) for array in arrays_of(batch[name])]
    if isinstance(batch, (tuple, list)):
        return [array for part in batch for array in arrays_of(part)]
    return [np.asarray(batch)]


def digest(batches):
    """The SHA-256 of all arrays of an epoch: dtype, shape and bytes, in order."""
    found = hashlib.sha256()
    for batch in batches:
        for array in arrays_of(batch):
            found.update(f"{array.dtype.str}{array.shape}".encode())
            if array.dtype == object:  # names
                found.update(json.dumps(array.tolist()).encode())
            else:
                found.update(np.ascontiguousarray(array).data)
        found.update(b"batch")
    return found.hexdigest()


def means(batches):
    """Mean of each piece of each output of an epoch, behind its size and its standard deviation."""
    outputs = zip(*map(arrays_of, batches), strict=True)
    found = []
    for output in outputs:
        values = np.concatenate([array.ravel() for array in output]).astype(np.float64)
        pieces = np.array_split(values, min(PIECES, values.size))
        found.append([values.size, *(round(float(x), 5) for x in (values.std(), *map(np.mean, pieces)))])
    return found


def measure(name, root):
    """What digests.json holds of a recipe."""
    entry = {"sha256": digest(RECIPES[name](root))}
    if depends_on(name):
        entry |= {"depends on": depends_on(name), "means": means(RECIPES[name](root))}
    return entry


def measure_state(name, root):
    """What states.json holds of a loader."""
    state, rest = begin(name, root)
    return {"state": state, "sha256": digest(rest)}


def depends_on(name):
    """What the bits of a recipe depend on beside the version of the library."""
    found = {}
    if name in DEPENDS_ON_CPU:
        found["CPU"] = f"OpenCV's {cv2.getCPUFeaturesLine()}"
    if name in DEPENDS_ON_FFMPEG:
        pytest.importorskip("av", reason="video extra")
        from av import library_versions  # noqa: PLC0415 - needs the extra

        found["FFmpeg"] = ".".join(map(str, library_versions["libavcodec"]))
    return found


def close_to(found, known):
    """Whether means are those that are known, but for single values."""
    for one, other in zip(found, known, strict=True):
        tolerance = 0.01 * other[1] + 1e-6
        if one[0] != other[0] or not np.allclose(one[1:], other[1:], rtol=0, atol=tolerance):
            return False
    return True


def main():
    parser = argparse.ArgumentParser(description="Write what has no digest yet, or what was changed.")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--replace", action="append", default=[], metavar="NAME", choices=[*RECIPES, *STATES])
    parser.add_argument("--changed", nargs="+", default=[], metavar="NAME", choices=list(RECIPES))
    parser.add_argument("--defaults", nargs="+", default=[], metavar="NAME", choices=list(RECIPES))
    parser.add_argument("--print", action="store_true")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        root = copied(DATA, Path(folder) / "data")
        if arguments.print:
            print(json.dumps({name: digest(recipe(root)) for name, recipe in RECIPES.items()}))  # noqa: T201 - a command
        if arguments.changed:
            add_digests(CHANGED, arguments.changed, root)
        if arguments.defaults:
            with mock.patch.dict(OF_0_1_0, clear=True):
                add_digests(DEFAULTS, arguments.defaults, root)
        if not arguments.write:
            return
        for file, names, measured in (("digests", RECIPES, measure), ("states", STATES, measure_state)):
            path = DATA / f"{file}.json"
            known = json.loads(path.read_text()) if path.exists() else {}
            new = {n: measured(n, root) for n in names if n not in known or n in arguments.replace}
            path.write_text(dumps({**known, **new}))
            print(f"{len(new)} written to {path.name}: {', '.join(new)}")  # noqa: T201 - a command


def add_digests(path, names, root):
    """Add the digests of recipes to a file."""
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(dumps({**known, **{name: digest(RECIPES[name](root)) for name in names}}))


def dumps(entries):
    """JSON with a line for each entry."""
    lines = (f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    main()
