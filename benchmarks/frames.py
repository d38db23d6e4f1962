"""Writes frames that cost as much to decode as real ones, as class/video/frame_00001.jpg.

    python benchmarks/frames.py /tmp/frames                          # 340x256
    python benchmarks/frames.py /tmp/frames640 --size 640x360

Decoding time grows with the number of coefficients: flat drawings decode twice as fast as film, noise half
as fast. These frames are like those of film: texture with the same contrast in every octave, over which the
camera drifts; moving shapes; sensor noise that differs in each frame and is stronger in bright areas. As
baseline JPEGs of quality 88, 4:2:0, frames of 340x256 have 19 kB, like frames taken from video.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import simplejpeg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["film", "write_frames"]

DRIFT = 96  # pixels that the camera moves at most


def film(height: int, width: int, frames: int, random: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
    """Make the frames of one video.

    Parameters
    ----------
    height, width : int
        Size in pixels.
    frames : int
        Number of frames.
    random : numpy.random.Generator
        Source of all random values.

    Yields
    ------
    ndarray of uint8
        (height, width, 3).
    """
    scene = _texture(height + DRIFT, width + DRIFT, random)
    path = np.cumsum(random.normal(0, 0.8, (frames, 2)) + random.uniform(-1, 1, 2), axis=0)
    path = np.clip(path + DRIFT / 2, 0, DRIFT).astype(int)
    shapes = [_Shape(height, width, random) for _ in range(6)]
    for frame, (y, x) in enumerate(path):
        picture = scene[y : y + height, x : x + width].copy()
        for shape in shapes:
            shape.draw(picture, frame)
        light = np.clip(picture.mean(axis=2, keepdims=True), 1, 255)
        picture += random.standard_normal(light.shape, np.float32) * np.sqrt(light) * 0.22
        picture += random.standard_normal(picture.shape, np.float32) * 1.2
        yield np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def _texture(height: int, width: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Return noise of several octaves, mostly gray, as in real scenes."""
    total = np.full((height, width, 3), 118, np.float32)
    for grain, contrast in ((3, 3), (6, 7), (12, 10), (24, 13), (48, 17), (120, 26)):
        rows, columns = height // grain + 3, width // grain + 3
        gray = random.standard_normal((rows, columns, 1), np.float32)
        color = random.standard_normal((rows, columns, 3), np.float32)
        total += cv2.resize((gray + 0.4 * color) * contrast, (width, height), interpolation=cv2.INTER_CUBIC)
    return total


class _Shape:
    """An ellipse or a box that moves and rotates; it leaves on one side and comes back on the other."""

    def __init__(self, height: int, width: int, random: np.random.Generator) -> None:
        self._area = np.array([width, height])
        self._start = random.uniform(0, self._area)
        self._speed = random.normal(0, height / 90, 2)
        self._radius = random.uniform(0.05, 0.16, 2) * height
        self._rotation = random.uniform(0, 360), random.normal(0, 4)
        self._color = tuple(random.uniform(15, 240, 3).tolist())
        self._round = bool(random.integers(2))

    def draw(self, picture: NDArray[np.float32], frame: int) -> None:
        """Paint over a picture."""
        centre = (self._start + self._speed * frame) % self._area
        box = (tuple(centre), tuple(2 * self._radius), self._rotation[0] + self._rotation[1] * frame)
        if self._round:
            cv2.ellipse(picture, box, self._color, -1)
        else:
            cv2.fillConvexPoly(picture, cv2.boxPoints(box).astype(np.int32), self._color)


def write_frames(
    root: Path,
    *,
    height: int = 256,
    width: int = 340,
    videos: int = 24,
    frames: int = 64,
    classes: int = 4,
    quality: int = 88,
) -> int:
    """Write videos as folders of JPEG files.

    Parameters
    ----------
    root : Path
        Folder, made if it does not exist.
    height, width : int
        Size of the frames in pixels.
    videos, classes : int
        Total numbers of videos and classes.
    frames : int
        Frames of each video.
    quality : int
        Quality of the JPEGs.

    Returns
    -------
    int
        Number of bytes written.
    """
    total = 0
    for video in range(videos):
        folder = root / f"class_{video % classes}" / f"video_{video:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(film(height, width, frames, np.random.default_rng(video)), 1):
            data = simplejpeg.encode_jpeg(picture, quality, "RGB", "420")
            total += (folder / f"frame_{number:05d}.jpg").write_bytes(data)
    return total


def _main() -> None:
    parser = argparse.ArgumentParser(description="Write frames that decode as slowly as real ones.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", default="340x256", help="width x height (%(default)s)")
    parser.add_argument("--videos", type=int, default=24)
    parser.add_argument("--frames", type=int, default=64, help="frames of each video (%(default)s)")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    total = write_frames(args.folder, height=height, width=width, videos=args.videos, frames=args.frames)
    count = args.videos * args.frames
    print(f"{count} frames of {width}x{height}, {total / count:,.0f} bytes each, in {args.folder}")


if __name__ == "__main__":
    _main()
