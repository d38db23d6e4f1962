"""Limits of the process, closed standard streams, a deleted folder: it works, or an error names the limit."""

import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from helpers import make_frames

import fastclips as fc

pytestmark = pytest.mark.slow

BEGIN = """
import os, resource, shutil, sys
import fastclips as fc

def load(workers, *source, **options):
    loader = fc.ClipLoader(fc.open(*source, **options), fc.Windows(3), batch_size=4, workers=workers, seed=1)
    with loader:
        return sum(float((batch[0] if isinstance(batch, tuple) else batch).sum()) for batch in loader)

def limited(limit, most, run):
    soft, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (most, hard))
    try:
        return f"done {run()}"
    except fc.FastclipsError as error:
        return f"{type(error).__name__}: {error}"
    finally:
        resource.setrlimit(limit, (soft, hard))

os.chdir(sys.argv[1])
"""

SOURCES = {
    "folder": "'frames'",
    "saved": "'frames', index='frames.index'",
    "list": "'list.csv', root='frames'",
    "tar": "'x.tar'",
    "pack": "'packed'",
    "npy": "images='x.npy'",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The same frames in a folder, a list, a tar, a pack; and an array."""
    top = tmp_path_factory.mktemp("data")
    frames = make_frames(top / "frames", videos=3, frames=6)
    fc.pack(frames, top / "packed", workers=0)
    with tarfile.open(top / "x.tar", "w") as tar:
        tar.add(frames, "")
    (top / "list.csv").write_text(
        "path,label\n" + "".join(f"class_{v % 2}/video_{v},{v}\n" for v in range(3))
    )
    np.save(top / "x.npy", np.zeros((3, 6, 8, 8, 3), np.uint8))
    return top


def printed(code, folder, **options):
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + code, str(folder)],
        text=True,
        check=True,
        timeout=300,
        **{"stdout": subprocess.PIPE, **options},
    )
    return done.stdout.splitlines() if done.stdout else []


FILES = """
load(0, 'frames'), fc.pack('frames', 'made', workers=0), {run}  # imports, and opens what is opened once
used = len(os.listdir("/proc/self/fd")) - 1
for more in range(40):
    for path in ("made", "frames.index", "x.tar.index"):
        shutil.rmtree(path) if os.path.isdir(path) else os.path.exists(path) and os.unlink(path)
    found = limited(resource.RLIMIT_NOFILE, used + more, lambda: {run})
    print(found)
    if found.startswith("done"):
        break
"""


@pytest.mark.parametrize(
    "run",
    [
        *(f"load(0, {source})" for source in SOURCES.values()),
        "load(2, 'packed')",
        "load(2, 'frames')",
        "fc.pack('frames', 'made', workers=0).frames",
        "fc.pack('frames', 'made', workers=2).frames",
    ],
)
def test_few_open_files(data, run):
    """With each number of files up to the one that is enough."""
    *failed, last = printed(FILES.format(run=run), data)
    assert last.startswith("done")
    assert failed
    for error in failed:
        assert "Too many open files: the limit is" in error
        assert "(ulimit -n)" in error
        assert "Raise it, as by ulimit -n 1024" in error


@pytest.mark.parametrize(
    "run",
    [
        "fc.open('frames', index='frames.index')",
        "fc.open('packed')",
        "load(2, 'frames')",
        "fc.pack('frames', 'made2', workers=0)",
        "fc.pack('frames', 'made2', workers=2)",
    ],
)
def test_files_may_not_grow(data, run):
    found = printed(f"print(limited(resource.RLIMIT_FSIZE, 512, lambda: {run}))", data)[-1]
    assert "File too large: the limit is 512 bytes (ulimit -f). Raise it, as by ulimit -f unlimited" in found


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize(
    "run", ["load(2, 'frames')", "load(0, 'x.tar')", "fc.pack('frames', 'made3').frames"]
)
def test_closed_standard_streams(data, closed, run):
    code = f"""
shutil.rmtree("made3", ignore_errors=True)
result = {run}
with open("result", "w") as file:
    file.write(str(result))
"""
    (data / "result").unlink(missing_ok=True)
    close = " ".join({0: "<&-", 1: ">&-", 2: "2>&-"}[number] for number in closed)
    command = ["sh", "-c", f'exec "$@" {close}', "sh", sys.executable, "-c", BEGIN + code, str(data)]
    subprocess.run(command, check=True, timeout=300, cwd=data)
    expected = eval(run, {"load": load, "fc": fc}) if "load" in run else 18  # noqa: S307 - code of this test
    assert float((data / "result").read_text()) == expected


def load(_, source):
    top = Path.cwd()
    with fc.ClipLoader(fc.open(top / source), fc.Windows(3), batch_size=4, workers=0, seed=1) as loader:
        return sum(float(x.sum()) for x, _ in loader)


@pytest.fixture(autouse=True)
def _inside(data, monkeypatch):
    monkeypatch.chdir(data)


def test_a_deleted_folder(data):
    """Absolute paths work, relative paths are refused."""
    code = """
os.mkdir("gone")
os.chdir("gone")
os.rmdir("../gone")
top = sys.argv[1]
for name in ("frames", "packed", "x.tar"):
    for workers in (0, 2):
        print(load(workers, os.path.join(top, name)))
print(fc.pack(os.path.join(top, "frames"), os.path.join(top, "made4"), workers=2).frames)
for source in ("frames", [("class_0/video_0", 0)]):
    try:
        fc.open(source)
    except fc.DataError as error:
        print(error)
"""
    *sums, frames, one, two = printed(code, data)
    assert len(set(sums)) == 1
    assert len(sums) == 6
    assert frames == "18"
    said = "is relative, but the current folder has been deleted: give an absolute path, or root= of a list"
    assert said in one
    assert said in two
    assert (data / "made4").is_dir()
