"""What the package must not do to a process that imports it, and where imports may point."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import run_python, threads, wait_until

import fastclips as fc

ROOT = Path(__file__).parents[1]
FRAMEWORKS = ("tensorflow", "keras", "torch", "jax", "ray")


def test_importing_is_light():
    """No framework, and not even numba or OpenCV: those are the workers'."""
    out = run_python("import sys, fastclips; print(*sys.modules)")
    loaded = {name.split(".")[0] for name in out.split()}
    assert not loaded & {*FRAMEWORKS, "numba", "cv2"}


def test_importing_compat_is_light():
    """Keras is imported when an iterator is made; pandas and SciPy are left to those who use them."""
    code = """
import sys
import fastclips.compat
from fastclips.compat.image import ImageDataGenerator
from fastclips.compat.TimeDistributedImageDataGenerator import TimeDistributedImageDataGenerator
print(*sys.modules)"""
    loaded = {name.split(".")[0] for name in run_python(code).split()}
    assert not loaded & {*FRAMEWORKS, "numba", "cv2", "pandas", "scipy"}


@pytest.mark.slow
def test_a_trainer_with_workers_never_imports_numba(frames):
    code = """
import sys, fastclips as fc
with fc.ClipLoader(fc.open(sys.argv[1]), fc.Windows(4), batch_size=4, workers=1) as loader:
    print(len(list(loader)), "numba" in sys.modules)
"""
    assert run_python(code, frames) == "5 False\n"


@pytest.mark.slow
def test_workers_import_no_framework(frames, tmp_path):
    """Even if the trainer has: each of them, if imported, says so by a file that a worker would touch."""
    for name in FRAMEWORKS:
        (tmp_path / f"{name}.py").write_text(
            f"open({str(tmp_path / 'touched')!r} + str(__import__('os').getpid()), 'w')"
        )
    code = """
import os, sys
sys.path.insert(0, sys.argv[2])
import tensorflow, keras, torch, jax, ray
import fastclips as fc
with fc.ClipLoader(fc.open(sys.argv[1]), fc.Windows(4), batch_size=4, workers=2) as loader:
    list(loader)
print(os.getpid())
"""
    trainer = run_python(code, frames, tmp_path).strip()
    assert [path.name for path in tmp_path.glob("touched*")] == [f"touched{trainer}"]


def test_workers_are_single_threaded(frames):
    """A process with threads must not fork: the nursery has one, and so have its workers."""
    with fc.ClipLoader(fc.open(frames), fc.Windows(4), [fc.Resize(40)], batch_size=4, workers=2) as loader:
        list(loader)
        wait_until(lambda: len(loader.pids) == 3)
        assert [threads(pid) for pid in loader.pids] == [{pid} for pid in loader.pids]


@pytest.mark.skipif(
    shutil.which("lint-imports", path=Path(sys.executable).parent) is None, reason="lint extra"
)
def test_imports_point_down_only():
    lint = shutil.which("lint-imports", path=Path(sys.executable).parent)
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("library", "owners"),
    [
        ("numba", ["compat/_base/legacy_kernels", "pixels/geometry/kernels"]),
        ("simplejpeg", ["packing/encoder", "pixels/decoding/decoder", "pixels/decoding/tiff_jpeg"]),
        (
            "cv2",  # PNGs of 3 x 16 bits; WebP; optical flow; its threads
            [
                "compat/keras_video/motion",
                "pixels/decoding/numbers",
                "pixels/decoding/pictures",
                "pixels/geometry/resample",
            ],
        ),
        (
            "PIL",  # frames that are no JPEG; writing them; Keras's resizing; types of results; sheets
            [
                "compat/_base/legacy_pictures",
                "compat/image/pictures",
                "loader",
                "packing/encoder",
                "pixels/decoding/fax",
                "pixels/decoding/pictures",
                "preview/sheet",
            ],
        ),
        ("av", ["data/video_files"]),
    ],
)
def test_a_library_has_its_importers(library, owners):
    """What the commands and `fastclips.testing` import is their own affair."""
    package = ROOT / "fastclips"
    engine = [
        path
        for path in package.rglob("*.py")
        if path.relative_to(package).parts[0] not in ("commands", "testing")
    ]
    importers = [
        str(path.relative_to(package).with_suffix(""))
        for path in engine
        if any(
            line.split()[:2] in (["import", library], ["from", library])
            or line.startswith(f"from {library}.")
            for line in path.read_text().splitlines()
        )
    ]
    assert sorted(importers) == owners


def test_files_are_rooms_not_halls():
    for path in [*ROOT.glob("fastclips/**/*.py"), *ROOT.glob("native/*.h"), *ROOT.glob("tests/*.py")]:
        assert len(path.read_text().splitlines()) <= 500, path.name


def test_the_package_docstring_names_every_public_name():
    assert set(fc.__all__) <= set(re.findall(r"`(\w+)`", fc.__doc__))


def test_one_version():
    assert importlib.metadata.version("fastclips") == fc.__version__
    assert f"## {fc.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_elsewhere_than_linux_one_sentence():
    code = "import sys; sys.platform = 'darwin'\ntry:\n import fastclips\nexcept ImportError as e: print(e)"
    assert run_python(code) == "fastclips runs on Linux only (memfd, futex, pidfd), not on darwin.\n"
