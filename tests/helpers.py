"""Small data sets and the frames they hold, shared by tests."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from PIL import Image

import fastclips as fc


def picture(seed, height=48, width=64):
    """A picture with coarse and fine detail, like a photograph's, so that a wrong pixel shows."""
    random = np.random.default_rng(seed)
    coarse = cv2.resize(random.uniform(30, 220, (5, 6, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(coarse + random.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)


def write_jpeg(path, pixels, quality=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGB", "420"))


def make_frames(root, videos=6, frames=12, height=48, width=64, classes=2):
    """class_c/video_v/frame_00001.jpg; every frame of every video is different."""
    root = Path(root)
    for video in range(videos):
        folder = root / f"class_{video % classes}" / f"video_{video}"
        for frame in range(frames):
            path = folder / f"frame_{frame + 1:05d}.jpg"
            write_jpeg(path, picture(1000 * video + frame, height, width))
    return root


def make_masks(root, like, height=48, width=64):
    """A palette PNG beside every frame of `like`, whose indices tell its place."""
    root, like = Path(root), Path(like)
    for number, path in enumerate(sorted(like.rglob("*.jpg"))):
        indices = (np.add.outer(np.arange(height), np.arange(width)) + number) % 21
        image = Image.fromarray(indices.astype(np.uint8), mode=None).convert("P")
        image.putdata(indices.ravel().tolist())
        image.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
        target = root / path.relative_to(like).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        image.save(target)
    return root


def make_manual_data(root):
    """What the README and the pages in docs/ read.

    frames/, masks/, packed/, videos/, train.txt, testlist01.txt; right/, depth/ and flow/ for each frame.
    """
    root = Path(root)
    make_frames(root / "frames", videos=10, frames=24, height=256, width=340)
    indices = np.add.outer(np.arange(256), np.arange(340)) % 21
    mask = Image.fromarray(indices.astype(np.uint8))
    mask.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    for path in (root / "frames").rglob("*.jpg"):
        target = root / "masks" / path.relative_to(root / "frames").with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        mask.save(target)
    depth, file = np.add.outer(100 * np.arange(256), 3 * np.arange(340)).astype(np.uint16), io.BytesIO()
    Image.fromarray(depth).save(file, "PNG")
    flow = b"PIEH" + np.array([85, 64], "<i4").tobytes() + np.ones((64, 85, 2), "<f4").tobytes()
    right = simplejpeg.encode_jpeg(picture(0, 120, 160), 90, "RGB", "420")
    files = {"right": (".jpg", right), "depth": (".png", file.getvalue()), "flow": (".flo", flow)}
    for path in (root / "frames").rglob("*.jpg"):
        for stream, (extension, content) in files.items():
            target = root / stream / path.relative_to(root / "frames").with_suffix(extension)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    names = sorted(str(path.relative_to(root / "frames")) for path in (root / "frames").glob("*/*"))
    (root / "train.txt").write_text("".join(f"{name} 24 {n % 2}\n" for n, name in enumerate(names)))
    (root / "testlist01.txt").write_text("".join(f"{name}.avi\n" for name in names[:3]))
    fc.pack(fc.open({"image": root / "frames", "mask": root / "masks"}), root / "packed", workers=0)
    if find_spec("av"):
        from videos import show, write_movie  # noqa: PLC0415 - needs av

        for number, name in enumerate(names):
            frames = [show(number + frame, 256, 340) for frame in range(24)]
            write_movie(root / "videos" / f"{name}.mp4", frames)
    return root


def decode(path):
    """A frame's pixels, straight from the library."""
    return simplejpeg.decode_jpeg(Path(path).read_bytes(), "RGB", fastdct=False)


def make_loader(root, workers=0, **options):
    settings = {"clips": fc.Windows(4), "transforms": [fc.RandomCrop(32), fc.RandomFlip()], "batch_size": 4}
    return fc.ClipLoader(fc.open(root), workers=workers, **{**settings, **options})


def neighbour(step, intact):
    """The nearest step before that is intact, else the nearest one after; None without any."""
    before = [other for other in intact if other <= step]
    after = [other for other in intact if other > step]
    return before[-1] if before else after[0] if after else None


def alive(pid):
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def threads(pid="self"):
    """The numbers of a process's threads."""
    return {int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()}


def wait_until(condition, seconds=20.0):
    """Poll until something holds; say so if it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {seconds} s"
        time.sleep(0.01)


def run_python(code, *arguments, timeout=120, cwd=Path(__file__).parent, **options):
    """Run a script in an interpreter of its own and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
        cwd=cwd,  # by default not where the package's source lies unbuilt
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def touch(root, *paths):
    """Files that only have names."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")
    return root


def frames_of(root, video, count, name="img_{:05d}.jpg", first=1):
    return touch(root, *(f"{video}/{name.format(first + number)}" for number in range(count)))


def labels(data):
    """The class of each video."""
    return data.index.labels.per_video.tolist()


def parts(data):
    """Name, start and count of each row."""
    index = data.index
    return list(zip(index.names, index.starts.tolist(), index.frame_counts.tolist(), strict=True))


def no_listing(monkeypatch):
    """Make it an error to list a directory."""

    def refuse(*_):
        raise AssertionError("a directory was listed")

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, refuse)
