"""Folders of small pictures of every kind, and Keras's own generators as the reference for them."""

from __future__ import annotations

import numpy as np
from helpers import picture, write_jpeg
from PIL import Image


def make_classes(root, files=5, classes=("ant", "bee"), height=40, width=60):
    """class/f_0.jpg, ...; each picture is another, their heights differ."""
    for number, name in enumerate(classes):
        for file in range(files):
            write_jpeg(root / name / f"f_{file}.jpg", picture(100 * number + file, height + file, width))
    return root


def make_kinds(root):
    """One class with a file of each kind that Pillow opens differently."""
    folder = root / "kinds"
    folder.mkdir(parents=True)
    pixels = picture(7, 33, 44)
    image = Image.fromarray(pixels)
    image.save(folder / "rgb.png")
    image.save(folder / "UPPER.JPG", quality=90)
    image.save(folder / "plain.bmp")
    image.save(folder / "plain.ppm")
    image.save(folder / "plain.tif")
    image.convert("L").save(folder / "gray.png")
    image.convert("L").save(folder / "gray.jpeg")
    image.convert("P").save(folder / "palette.png")
    image.convert("1").save(folder / "bits.png")
    image.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(np.dstack([pixels, pixels[:, ::-1, 0]])).save(folder / "alpha.png")
    Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 200).save(folder / "deep.png")
    return root


def make_videos(root, frames=(7, 6, 3)):
    """class/video/img_1.jpg ... img_n.jpg of one grey each, which tells video and frame."""
    for video, count in enumerate(frames):
        folder = root / "ab"[video % 2] / f"video_{video}"
        for frame in range(count):
            write_jpeg(folder / f"img_{frame + 1}.jpg", np.full((16, 16, 3), 50 * video + 4 * frame, np.uint8))
    return root


def greys(x):
    """Video and frame of each frame of clips of `make_videos`."""
    value = np.round(x[..., 8, 8, 0]).astype(int)
    return np.stack([value // 50, value % 50 // 4], axis=-1).tolist()
