"""Examples in docstrings are run, and every public name has parameters, returns and an example.

An example finds frames/, masks/, packed/, videos/, train.txt and testlist01.txt in the working directory, and
`fc` and `np` in its namespace. frames/ has 6 videos in 2 classes, each of 12 JPEGs of 48x64; videos/ has 2
classes too, and 4 files of 24 frames at 25 a second.
"""

import doctest
import importlib
import inspect
import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from helpers import make_frames, make_masks

import fastclips as fc
from fastclips import compat
from fastclips.compat import TimeDistributedImageDataGenerator, keras_video

ROOT = Path(__file__).parents[1]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "fastclips").rglob("*.py")
    if ">>> " in path.read_text()
)


def public():
    """Name and object of each public class and function; of errors the docstring is all."""
    homes = [fc, fc.presets, compat, TimeDistributedImageDataGenerator, keras_video]
    if find_spec("fastclips.testing"):
        homes.append(importlib.import_module("fastclips.testing"))
    if find_spec("keras"):
        homes.append(importlib.import_module("fastclips.adapters.keras"))
    if find_spec("ray"):
        homes.append(importlib.import_module("fastclips.adapters.ray"))
    for home in homes:
        for name in home.__all__:
            thing = getattr(home, name)
            if inspect.isclass(thing) or inspect.isroutine(thing):
                yield f"{home.__name__}.{name}", thing


def missing(thing):
    """The sections that a docstring lacks."""
    text = inspect.getdoc(thing) or ""
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        return [] if text else ["any docstring"]
    signature = inspect.signature(thing)
    wanted = ["Examples"]
    if signature.parameters:
        wanted.append("Parameters")
    if not inspect.isclass(thing) and signature.return_annotation not in (None, "None", signature.empty):
        wanted.append("Returns")
    lacks = [title for title in wanted if not re.search(rf"^{title}\n-+$", text, re.MULTILINE)]
    if "Examples" not in lacks and ">>> " not in text:
        lacks.append("Examples")
    return lacks


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("examples")
    frames = make_frames(root / "frames")
    masks = make_masks(root / "masks", frames)
    names = sorted(str(path.relative_to(frames)) for path in frames.glob("*/*"))
    (root / "train.txt").write_text("".join(f"{name} {n % 2}\n" for n, name in enumerate(names)))
    (root / "testlist01.txt").write_text("".join(f"{name}.avi\n" for name in names[:3]))
    fc.pack(fc.open({"image": frames, "mask": masks}), root / "packed", workers=0)
    if find_spec("av"):
        from videos import show, write_movie  # noqa: PLC0415 - needs av

        for name in ("a/v0", "a/v1", "b/v0", "b/v1"):
            write_movie(root / f"videos/{name}.mp4", [show(number) for number in range(24)])
    return root


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's
@pytest.mark.filterwarnings("ignore:.*Ray will no longer override:FutureWarning")
@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, data, tmp_path, monkeypatch):
    if ".adapters.ray" in name:
        pytest.importorskip("ray")
    elif ".adapters." in name or ".compat" in name:
        pytest.importorskip("keras")
    if "keras_video" in name or 'open("videos' in Path(importlib.import_module(name).__file__).read_text():
        pytest.importorskip("av")
    shutil.copytree(data, tmp_path, copy_function=os.link, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    report = []
    for test in doctest.DocTestFinder().find(module, name, extraglobs={"fc": fc, "np": np}):
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


def test_examples_are_found():
    """Else the test above would run nothing."""
    assert "fastclips.loader" in MODULES


def test_public_names_are_documented():
    lacking = {name for name, thing in public() if missing(thing)}
    assert not lacking
