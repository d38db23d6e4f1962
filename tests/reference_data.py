"""The frames, packs and indexes of tests/data/v0_1_0, as they were made by version 0.1.0.

`build` is kept to tell what the files hold. It is not run again: other versions of the encoders write other
bytes, and packs and indexes are there as 0.1.0 wrote them. `python tests/reference_data.py FOLDER` makes such
a folder elsewhere, with the version that is installed.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
from helpers import picture
from jpegs import encode
from PIL import Image

import fastclips as fc

TIME = 1_700_000_000  # seconds: when foreign.tar and the folders of saved/ are said to have changed
PLACE = Path("/tmp/fastclips-0.1.0")  # noqa: S108 - where data lay as they were indexed, nothing is there now
TALL, LOW = (60, 80), (48, 64)
# name: frames, height and width, how its JPEGs are encoded
VIDEOS = {
    "dive/v1": (9, LOW, {"sampling": "420", "quality": 85}),
    "dive/v2": (7, LOW, {"sampling": "444", "quality": 70}),
    "dive/v10": (8, LOW, {"sampling": "gray", "quality": 80}),
    "swim/a": (8, LOW, {"sampling": "420", "restart": 3, "quality": 60}),
    "swim/b": (6, TALL, {"sampling": "422", "quality": 75, "optimize": True}),
    "swim/c": (3, LOW, {"sampling": "420", "quality": 90, "progressive": True}),
}
COLORS = ((0, 0, 0), (220, 20, 60), (0, 128, 255), (250, 250, 10))


def frame(seed, size=LOW):
    """A picture whose noise is that of a camera in daylight."""
    height, width = size
    coarse = picture(seed, height, width)
    return cv2.addWeighted(coarse, 0.6, cv2.GaussianBlur(coarse, (0, 0), 2.0), 0.4, 0)


def label_map(seed, size, values=5):
    """Regions with values from 0, and a border of 255."""
    height, width = size
    coarse = np.random.default_rng(seed).integers(0, values, (4, 5), dtype=np.uint8)
    regions = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
    regions[:2] = 255
    return regions


def build_frames(root):
    for number, (video, (count, size, options)) in enumerate(VIDEOS.items()):
        for place in range(count):
            seed = 100 * number + place
            name = f"{video}/img_{place + 1:05d}"
            write(root / "frames" / f"{name}.jpg", encode(frame(seed, size), **options))
            image = Image.fromarray(label_map(seed, size))
            image.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
            save(root / "masks" / f"{name}.png", image, optimize=True)
            if video in {"dive/v1", "swim/a"} and place < 5:
                colored = np.array(COLORS, np.uint8)[label_map(seed, size, 4) % 4]
                save(root / "colors" / f"{name}.png", Image.fromarray(colored), optimize=True)


def build_others(root):
    for video, count in {"dive/whole": 4, "swim/harmed": 5}.items():
        for place in range(count):
            data = encode(frame(900 + 10 * count + place), quality=60)
            harmed = {1: data[: len(data) * 3 // 4], 3: b""}.get(place, data) if "harmed" in video else data
            write(root / "damaged" / video / f"{place}.jpg", harmed)
    for place in range(4):
        save(root / "png" / "dive" / "p" / f"{place}.png", Image.fromarray(frame(950 + place, (24, 32))))
    images = [[frame(2000 + 10 * video + place, (20, 28)) for place in range(5)] for video in range(3)]
    masks = [[label_map(10 * video + place, (20, 28)) for place in range(5)] for video in range(3)]
    np.save(root / "images.npy", np.array(images))
    np.save(root / "masks.npy", np.array(masks))
    lines = [f"{video} {count} {video.split('/')[0]}\n" for video, (count, *_) in VIDEOS.items()]
    (root / "list.txt").write_text("".join(lines))
    (root / "parts.csv").write_text(
        "path,start,length,fps,label\ndive/v1,1,8,25,b\nswim/a,0,8,12.5,a\nswim/b,2,4,25,a\ndive/v10,0,7,30,b\n"
    )


def build_packs(root):
    frames, masks = root / "frames", root / "masks"
    few = [("dive/v2", "dive", 1, 4), ("swim/a", "swim", 0, 4), ("swim/b", "swim", 0, 3)]
    fc.pack(fc.open(frames), root / "packs" / "jpeg", workers=0)
    both = fc.open(few, root={"image": frames, "mask": masks}, unpaired="drop")
    fc.pack(both, root / "packs" / "masked", workers=0)
    fc.pack(fc.open(few[:2], root=frames), root / "packs" / "raw", codec="raw", workers=0)
    fc.pack(fc.open(frames), root / "packs" / "small", short_side=32, quality=80, workers=0)


def build_arrays(root):
    """Packs of arrays, which know no place: one that is done, and one that was killed on the way."""
    for name in ("arrays", "unfinished"):
        child = os.fork()
        if not child:
            pack_arrays(root, root / "packs" / name)
            os._exit(0)
        records = root / "packs" / name / ".packing"
        while name == "unfinished" and len(list(records.glob("*.record"))) < 2:
            pass
        if name == "unfinished":
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def pack_arrays(root, folder):
    dataset = fc.open(images=np.load(root / "images.npy"), labels=["b", "a", "b"])
    return fc.pack(dataset, folder, quality=90, shard_size="4KiB", workers=0)


def build_foreign(root):
    tar = root / "foreign.tar"
    with tarfile.open(tar, "w", format=tarfile.GNU_FORMAT) as out:
        for video in ("dive/v2", "swim/c"):
            for path in sorted((root / "frames" / video).iterdir()):
                info = tarfile.TarInfo(str(path.relative_to(root / "frames")))
                info.size, info.mtime = path.stat().st_size, TIME
                with path.open("rb") as file:
                    out.addfile(info, file)
    os.utime(tar, (TIME, TIME))
    fc.open(tar)


def build_saved(root):
    """Indexes of frames that lay at `PLACE`, with times that a test can set again."""
    shutil.copytree(root / "frames", PLACE / "frames")
    shutil.copy(root / "list.txt", PLACE)
    set_times(PLACE)
    (root / "saved").mkdir()
    fc.open(PLACE / "frames", index=root / "saved" / "folder.index")
    listed = {"root": PLACE / "frames", "columns": "path length label", "frames": "img_{:05d}.jpg"}
    fc.open(PLACE / "list.txt", **listed, index=root / "saved" / "list.index")
    shutil.rmtree(PLACE)


def build_movies(root):
    from videos import show, write_movie  # noqa: PLC0415 - needs PyAV

    for name, count in {"a/v0": 14, "a/v1": 9, "b/v0": 11}.items():
        frames = [show(number) for number in range(count)]
        write_movie(root / "movies" / f"{name}.mp4", frames, "libx264", {"crf": "30", "bf": "0"})


def set_times(folder):
    """Give a folder and all in it the time `TIME`."""
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (TIME, TIME))


def copied(data, root):
    """Copy a folder, with the times that its files had when they were indexed, to be written into."""
    shutil.copytree(data, root)
    set_times(root)
    return root


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def save(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def build(root):
    root = Path(root)
    for part in (
        build_frames,
        build_others,
        build_packs,
        build_arrays,
        build_foreign,
        build_saved,
        build_movies,
    ):
        part(root)


if __name__ == "__main__":
    build(sys.argv[1])
