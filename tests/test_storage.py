"""Every frame is read from its own file, whatever it is called; what cannot be read says where it lies."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastclips.data.listed import scan_folders
from fastclips.data.names import FileNames
from fastclips.data.scan import FrameTree, scan_tree
from fastclips.data.storage import FolderStorage
from fastclips.errors import FrameError


def write(root, *paths, data=None):
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(path.encode() if data is None else data)
    return root


def stored(root):
    return FolderStorage.of({"image": scan_tree(root)})


@pytest.fixture
def paired(tmp_path):
    for video, count in (("a/v2", 3), ("a/v10", 1), ("ü/v", 12)):
        write(tmp_path, *(f"image/{video}/f{n}.jpg" for n in range(count)))
        write(tmp_path, *(f"mask/{video}/f{n}.png" for n in range(count)))
    return tmp_path, {name: scan_tree(tmp_path / name) for name in ("image", "mask")}


def test_every_frame_is_read_from_its_own_file(paired):
    root, trees = paired
    storage = FolderStorage.of(trees)
    assert list(storage.videos) == ["a/v2", "a/v10", "ü/v"]
    assert storage.frame_counts.tolist() == [3, 1, 12]
    assert storage.frame_counts.dtype == np.int64
    for stream, extension in (("image", "jpg"), ("mask", "png")):
        for video, name in enumerate(storage.videos):
            assert storage.folder(stream, video) == f"{root}/{stream}/{name}"
            for frame in range(storage.frame_counts[video]):
                path = f"{stream}/{name}/f{frame}.{extension}"
                assert storage.read(stream, video, frame) == path.encode()
                assert storage.where(stream, video, frame) == f"{root}/{path}"


even = st.builds(
    lambda before, first, count, stride: [f"{before}{first + n * stride:03d}.jpg" for n in range(count)],
    st.sampled_from(["", "f", "50%_", "%d_", "é_"]),
    st.integers(0, 1100),
    st.integers(1, 5),
    st.integers(1, 7),
)
uneven = st.lists(st.text(st.sampled_from("aé%0.\udcff"), min_size=1, max_size=4), min_size=1, max_size=4)


@pytest.mark.slow
@given(st.lists(even | uneven, min_size=1, max_size=5), st.lists(even | uneven, min_size=5, max_size=5))
def test_where_names_every_file(images, masks):
    masks = [names[:1] * len(like) for names, like in zip(masks, images, strict=False)]
    streams = {"image": images, "mask": masks}
    trees = {
        stream: FrameTree(f"/root/{stream}", {f"v{n}": FileNames.of(names) for n, names in enumerate(videos)})
        for stream, videos in streams.items()
    }
    storage = FolderStorage.of(trees)
    for stream, videos in streams.items():
        for video, names in enumerate(videos):
            shown = [storage.where(stream, video, frame) for frame in range(len(names))]
            assert shown == [f"/root/{stream}/v{video}/{name}" for name in names]


def test_numpy_numbers_read_the_same(paired, tmp_path):
    storage = FolderStorage.of(paired[1])
    assert storage.read("mask", np.int64(2), np.int32(11)) == storage.read("mask", 2, 11)
    many = stored(write(tmp_path / "many", *(f"n/v/{n:06d}.jpg" for n in range(100, 400))))
    assert many.read("image", 0, np.uint8(200)) == many.read("image", 0, 200)


@pytest.mark.parametrize(("video", "frame"), [(0, 3), (1, -1), (-1, 0), (-2, 0), (2, 12), (3, 0), (0, 4)])
def test_a_frame_outside_its_video_is_never_another_frame(paired, video, frame):
    storage = FolderStorage.of(paired[1])
    with pytest.raises(IndexError, match=f"there is no frame {frame} of video {video} in the storage"):
        storage.read("image", video, frame)
    with pytest.raises(IndexError, match=f"there is no frame {frame} of video {video} in the storage"):
        storage.where("image", video, frame)


def test_a_storage_survives_pickling(paired):
    storage = FolderStorage.of(paired[1])
    again = pickle.loads(pickle.dumps(storage))
    assert again.where("mask", 2, 11) == storage.where("mask", 2, 11)
    assert again.read("mask", 2, 11) == b"mask/\xc3\xbc/v/f11.png"


def test_a_relative_root_is_read_from_any_working_directory(tmp_path, monkeypatch):
    write(tmp_path, "data/a/v/1.jpg", data=b"pixels")
    monkeypatch.chdir(tmp_path)
    storage = stored("data")
    monkeypatch.chdir("/")
    assert storage.read("image", 0, 0) == b"pixels"


def test_a_loose_root_is_read(tmp_path):
    write(tmp_path, "1.jpg", data=b"pixels")
    storage = FolderStorage.of({"image": scan_tree(tmp_path, loose=True)})
    assert storage.read("image", 0, 0) == b"pixels"


def test_an_absolute_folder_is_below_no_root(tmp_path):
    write(tmp_path, "elsewhere/v/1.jpg", data=b"pixels")
    (tmp_path / "root").mkdir()
    tree, _ = scan_folders(tmp_path / "root", [f"{tmp_path}/elsewhere/v", "../elsewhere/v"])
    storage = FolderStorage.of({"image": tree})
    assert storage.where("image", 0, 0) == f"{tmp_path}/elsewhere/v/1.jpg"
    assert [storage.read("image", video, 0) for video in (0, 1)] == [b"pixels"] * 2


@pytest.mark.parametrize("name", [b"a/\xff/\xfe.jpg", b"a/\xff/\xfe_01.jpg"])
def test_a_name_that_is_not_utf8(tmp_path, name):
    root = tmp_path / os.fsdecode(b"\xfd")
    write(root, os.fsdecode(name), data=b"pixels")
    assert pickle.loads(pickle.dumps(stored(root))).read("image", 0, 0) == b"pixels"


def test_an_empty_frame_names_its_path(tmp_path):
    write(tmp_path, "a/v/1.jpg", data=b"")
    with pytest.raises(FrameError) as caught:
        stored(tmp_path).read("image", 0, 0)
    assert str(caught.value) == f"frame '{tmp_path}/a/v/1.jpg' is empty (0 bytes): extract it again."


def test_a_frame_that_vanished_names_its_path(tmp_path):
    write(tmp_path, "a/v/1.jpg")
    storage = stored(tmp_path)
    (tmp_path / "a/v/1.jpg").unlink()
    with pytest.raises(FrameError) as caught:
        storage.read("image", 0, 0)
    assert str(caught.value) == (
        f"cannot read frame '{tmp_path}/a/v/1.jpg': No such file or directory. "
        "If files changed since the dataset was opened, open it again, with a new index= file if there is "
        "one; if frames= has a placeholder for the number, set it to a pattern such as 'img_*.jpg', which "
        "matches the existing files."
    )


def test_a_link_to_a_file_that_is_gone_names_its_path(tmp_path):
    write(tmp_path, "a/v/1.jpg")
    (tmp_path / "a/v/2.jpg").symlink_to(tmp_path / "gone")
    with pytest.raises(FrameError, match=f"cannot read frame '{tmp_path}/a/v/2.jpg': No such file"):
        stored(tmp_path).read("image", 0, 1)


@given(st.lists(st.integers(0, 49), min_size=1))
def test_many_are_read_as_each(many, frames):
    found = many.read_many("image", 1, frames)
    assert [bytes(data) for data in found] == [Path(many.where("image", 1, n)).read_bytes() for n in frames]


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Videos of 50 files, each of its own length."""
    root = tmp_path_factory.mktemp("many")
    for video in "ab":
        for n in range(50):
            write(root, f"{video}/f{n:02d}.jpg", data=video.encode() * (1 + 997 * n))
    return stored(root)


@pytest.mark.parametrize("frame", [0, 15, 16, 49])
@pytest.mark.parametrize(
    ("harm", "why", "number"),
    [
        (Path.unlink, "No such file", errno.ENOENT),
        (lambda path: (path.unlink(), path.mkdir()), "Is a directory", errno.EISDIR),
        (lambda path: path.write_bytes(b""), "is empty", None),
    ],
)
def test_of_many_the_one_that_cannot_be_read_is_named(tmp_path, frame, harm, why, number):
    write(tmp_path, *(f"a/v/{n}.jpg" for n in range(50)))
    storage = stored(tmp_path)
    harm(tmp_path / f"a/v/{frame}.jpg")
    with pytest.raises(FrameError, match=rf"'{tmp_path}/a/v/{frame}.jpg'.*{why}") as caught:
        storage.read_many("image", 0, range(50))
    assert getattr(caught.value.__cause__, "errno", None) == number
    with pytest.raises(IndexError, match="there is no frame 50 of video 0"):
        storage.read_many("image", 0, range(51))


def test_a_folder_that_vanished(tmp_path):
    write(tmp_path, "a/v/1.jpg", "a/v/2.jpg")
    storage = stored(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(FrameError, match=f"cannot read frame '{tmp_path}/a/v/1.jpg': No such file"):
        storage.read_many("image", 0, (0, 1))


def test_a_file_that_is_shorter_than_the_system_says(tmp_path):
    """As one that is cut short while it is read."""
    source = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not source.exists() or source.stat().st_size <= len(source.read_bytes()):
        pytest.skip("no such file here")
    write(tmp_path, "a/v/1.jpg", "a/v/3.jpg")
    (tmp_path / "a/v/2.jpg").symlink_to(source)
    found = stored(tmp_path).read_many("image", 0, (0, 1, 2))
    assert [bytes(data) for data in found] == [b"a/v/1.jpg", source.read_bytes(), b"a/v/3.jpg"]


@pytest.mark.slow
def test_more_files_than_a_process_may_open(many):
    code = """
import pickle, resource, sys
storage = pickle.load(sys.stdin.buffer)
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]),) * 2)
print(len(storage.read_many("image", 0, range(50))))
"""
    run = partial(subprocess.run, input=pickle.dumps(many), capture_output=True, check=False)
    assert run([sys.executable, "-c", code, "64"]).stdout == b"50\n"
    few = run([sys.executable, "-c", code, "12"])
    assert b"FrameError: cannot read frame" in few.stderr
    assert b"Too many open files" in few.stderr


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int calls = 0;

static int interrupted(void) {
    if (++calls % 3 != 0) return 0;
    if (getenv("SHIM_SIGNAL")) raise(SIGINT);
    errno = EINTR;
    return 1;
}

int openat(int at, const char* name, int flags, ...) {
    int (*real)(int, const char*, int, ...) = dlsym(RTLD_NEXT, "openat");
    if (strstr(name, ".jpg") && interrupted()) return -1;
    return real(at, name, flags);
}

ssize_t read(int fd, void* to, size_t size) {
    ssize_t (*real)(int, void*, size_t) = dlsym(RTLD_NEXT, "read");
    char link[32], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    if (!strstr(path, ".jpg")) return real(fd, to, size);
    return interrupted() ? -1 : real(fd, to, size < 1000 ? size : 1000);
}
"""


@pytest.mark.slow
def test_short_and_interrupted_reads_are_continued(many, tmp_path):
    if not (compiler := shutil.which("cc")):
        pytest.skip("no C compiler")
    (tmp_path / "shim.c").write_text(SHIM)
    build = [compiler, "-shared", "-fPIC", "-o", tmp_path / "shim.so", tmp_path / "shim.c", "-ldl"]
    subprocess.run(build, check=True)
    code = """
import pickle, sys
from hashlib import sha256
storage = pickle.load(sys.stdin.buffer)
print(sha256(b"".join(storage.read_many("image", 0, range(50)))).hexdigest())
"""
    run = partial(subprocess.run, [sys.executable, "-c", code], input=pickle.dumps(many), capture_output=True)
    environment = {**os.environ, "LD_PRELOAD": str(tmp_path / "shim.so")}
    whole = sha256(b"".join(many.read("image", 0, n) for n in range(50))).hexdigest()
    assert run(env=environment, check=True).stdout.decode().split() == [whole]
    assert b"KeyboardInterrupt" in run(env={**environment, "SHIM_SIGNAL": "1"}, check=False).stderr


def test_sizes_that_nothing_can_hold():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as root:
        write(Path(root), *(f"a/v/{n}.jpg" for n in range(3)))
        storage = stored(root)
        try:
            for n in range(3):
                os.truncate(f"{root}/a/v/{n}.jpg", 2**62 - 1)
        except OSError:
            pytest.skip("this file system has no such files")
        with pytest.raises(FrameError, match=r"cannot read frame .*a/v/1.jpg': File too large") as caught:
            storage.read_many("image", 0, range(3))
        assert caught.value.__cause__.errno == errno.EFBIG


def test_reading_leaves_no_file_open(tmp_path):
    write(tmp_path, "a/v/1.jpg")
    write(tmp_path, "a/v/2.jpg", data=b"")
    storage = stored(tmp_path)
    storage.read("image", 0, 0)
    with pytest.raises(FrameError):
        storage.read_many("image", 0, (0, 1))
    open_files = {os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}
    assert not any(file.startswith(str(tmp_path)) for file in open_files)


# What it costs


def pickled(frames, videos=1, name="frame_{:08d}.jpg"):
    files = [FileNames.of([name.format(n) for n in range(frames)]) for _ in range(videos)]
    tree = FrameTree("/data", {f"a/v{n:07d}": files[n] for n in range(videos)})
    return len(pickle.dumps(FolderStorage.of({"image": tree})))


def test_a_numbered_frame_costs_nothing():
    assert pickled(100_000) == pickled(10)


def test_a_video_costs_its_name_and_forty_bytes():
    per_video = (pickled(3, 20_000) - pickled(3, 10_000)) / 10_000
    assert per_video == pytest.approx(len("a/v0000000") + 1 + 40, abs=0.1)


def test_any_other_frame_costs_its_name_and_nine_bytes():
    per_frame = (pickled(20_000, name="{0:08d}_{0}.jpg") - pickled(10_000, name="{0:08d}_{0}.jpg")) / 10_000
    assert per_frame == pytest.approx(len("00000000_00000.jpg") + 9, abs=0.1)


def test_what_lies_beside_the_columns_does_not_grow():
    names = {f"a/v{n}": FileNames.of([f"v{n}_{f}_{f}.jpg" for f in range(1 + n % 2)]) for n in range(3000)}
    names |= {f"b/v{n}": FileNames(9, f"v{n}_%05d.jpg", 1) for n in range(3000)}
    storage = FolderStorage.of({"image": FrameTree("/data", names)})
    assert storage.where("image", 2999, 1) == "/data/a/v2999/v2999_1_1.jpg"
    assert storage.where("image", 5999, 8) == "/data/b/v2999/v2999_00009.jpg"
    assert len(storage.columns.meta["roots"]) == len(storage.columns.meta) == 1
    assert len(pickle.dumps(storage.columns.meta)) < 100
