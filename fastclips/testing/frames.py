"""Synthetic videos with the image statistics of film, for examples, tests and the demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from tqdm import tqdm

from fastclips.options import bar_disabled

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["MOTIONS", "film", "write_frames"]

MOTIONS = {"down": (0, 1), "left": (-1, 0), "right": (1, 0), "up": (0, -1)}  # class: direction (x, y)


def write_frames(
    folder: str | os.PathLike[str],
    *,
    videos: int = 4,
    frames: int = 12,
    height: int = 96,
    width: int = 128,
    seed: int = 0,
    masks: str | os.PathLike[str] | None = None,
    flow: str | os.PathLike[str] | None = None,
) -> int:
    """Write a small dataset of JPEG frames whose class is the direction in which things move.

    The files are ``folder/class/video_001/frame_00001.jpg``; the classes are ``down``, ``left``, ``right``
    and ``up``. A single frame does not tell the class. The pictures have texture and noise, so they cost
    about as much to decode as film.

    Parameters
    ----------
    folder : path
        Folder to write to, without these videos.
    videos : int
        Number of videos of each class.
    frames : int
        Number of frames of each video.
    height, width : int
        Size of the frames in pixels, each at least 32.
    seed : int
        The same seed gives the same files.
    masks, flow : path, optional
        Folders for a mask and for the optical flow of each frame, with the names of the frames. Masks are PNG
        files: 1 where something moves, else 0. Flow, as ``.flo`` files, is how far each pixel moves until the
        next frame, in pixels.

    Returns
    -------
    int
        Number of bytes of the frames.

    Raises
    ------
    FileExistsError
        If a folder of one of the videos exists.

    Examples
    --------
    >>> import fastclips as fc
    >>> from fastclips.testing import write_frames
    >>> written = write_frames("motions/", videos=2)
    >>> fc.open("motions/").classes
    ('down', 'left', 'right', 'up')

    With masks:

    >>> written = write_frames("seen/", videos=2, masks="moving/")
    >>> fc.open({"image": "seen/", "mask": "moving/"})
    <Dataset: 8 videos, 96 frames, 4 classes; image, mask (mask)>
    """
    written = 0
    todo = [(number, video) for number in range(len(MOTIONS)) for video in range(1, videos + 1)]
    off = bar_disabled()
    for number, video in tqdm(todo, "writing frames", unit=" videos", leave=False, disable=off, ncols=80):
        name, direction = list(MOTIONS.items())[number]
        video_name = Path(name, f"video_{video:03d}")
        for top in (folder, masks, flow):
            if top is not None:
                Path(top, video_name).mkdir(parents=True)
        rng = np.random.default_rng([seed, number, video])
        for frame, (picture, motion) in enumerate(_film(rng, direction, frames, height, width), 1):
            file = video_name / f"frame_{frame:05d}"
            _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
            written += Path(folder, f"{file}.jpg").write_bytes(jpeg.tobytes())
            if masks is not None:
                cv2.imwrite(str(Path(masks, f"{file}.png")), motion.any(-1).astype(np.uint8))
            if flow is not None:
                cv2.writeOpticalFlow(str(Path(flow, f"{file}.flo")), motion)
    return written


def film(
    rng: np.random.Generator,
    direction: tuple[int, int],
    frames: int = 12,
    height: int = 96,
    width: int = 128,
) -> NDArray[np.uint8]:
    """Make one video: textured ellipses drift over a textured background.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all random values.
    direction : (int, int)
        Unit vector (x, y) along which the ellipses drift. The first frame does not depend on it.
    frames : int
        Number of frames.
    height, width : int
        Size in pixels.

    Returns
    -------
    ndarray of uint8, (frames, height, width, 3)
        The frames.
    """
    return np.stack([picture for picture, _ in _film(rng, direction, frames, height, width)])


def _film(
    rng: np.random.Generator, direction: tuple[int, int], frames: int, height: int, width: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """Yield each frame of `film`, and how far each of its pixels moves, x before y."""
    size = (width, height)
    background = _texture(rng, rng.uniform(80, 175, 3), size, contrast=14)
    things = [_thing(rng, size) for _ in range(rng.integers(4, 7))]
    starts = rng.uniform(0, size, (len(things), 2))
    speeds = rng.uniform(3, 5, (len(things), 1)) * direction
    noise = np.float32(rng.uniform(3, 6))
    for frame in range(frames):
        picture, motion = background, np.zeros((height, width, 2), np.float32)
        for thing, position, speed in zip(things, starts + frame * speeds, speeds, strict=True):
            move = np.column_stack([np.eye(2), position])
            colour, opacity = (
                cv2.warpAffine(layer, move, size, borderMode=cv2.BORDER_WRAP) for layer in thing
            )
            picture = cv2.blendLinear(colour, picture, opacity, 1 - opacity)
            motion[opacity > 0.5] = speed  # noqa: PLR2004 - half covered
        picture = picture + noise * rng.standard_normal(picture.shape, np.float32)
        yield np.clip(picture, 0, 255).astype(np.uint8), motion


def _texture(
    rng: np.random.Generator, colour: NDArray[np.float64], size: tuple[int, int], contrast: float
) -> NDArray[np.float32]:
    """Draw a picture with the same contrast in every octave, mostly in brightness."""
    width, height = size
    total = np.zeros((height, width, 3), np.float32)
    for cell in (2, 4, 8, 16, 32):
        coarse = rng.standard_normal((height // cell, width // cell, 4), np.float32)
        octave = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
        total += octave[..., 3:] + 0.4 * octave[..., :3]
    return np.asarray(colour + total * (contrast / total.std()), np.float32)


def _thing(
    rng: np.random.Generator, size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw a light or dark textured ellipse in the middle; return its colours and its opacity."""
    width, height = size
    y, x = np.mgrid[:height, :width] - np.array([height, width])[:, None, None] / 2
    angle, radius, ratio = rng.uniform(0, np.pi), rng.uniform(8, 15), rng.uniform(0.6, 1)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    opacity = np.clip(radius - np.hypot(along, across / ratio), 0, 1)
    colour = rng.choice([68, 188]) + rng.uniform(-45, 45, 3)
    return _texture(rng, colour, size, contrast=20), opacity.astype(np.float32)
