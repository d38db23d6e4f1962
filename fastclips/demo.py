# ruff: noqa: T201 - this file talks to a person at a terminal
"""The command ``fastclips demo``: moving things are filmed, a network learns which way they move.

::

    write_frames --JPEG files--> open --split--> two ClipLoaders --ClipSequence--> Keras fit --> accuracy

**The class is the motion and nothing else.** Each video shows some things drifting over a background, all
one way. Places, speeds, sizes and textures are drawn from the same distributions in every class, and what
leaves the picture on one side comes back on the other, so that a thing is equally likely to be anywhere at
any time, whatever the class: one frame tells nothing about it. Backgrounds have the spectrum of photographs
(as much contrast in each octave) and each frame has a noise of its own, as a camera's, since files and
networks behave differently on smooth pictures.

**One way for all data.** With ``--data`` only the frames differ. What has to fit the data follows from it in
`_choose`: the length of the clips, how far apart their frames are, and how many are cut from a video.

Keras is imported only when the data is known to be fit for use, so that errors come at once.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from fastclips.errors import DataError, FastclipsError
from fastclips.index import open_dataset
from fastclips.loader import ClipLoader
from fastclips.samplers import Windows
from fastclips.transforms import CenterCrop, RandomCrop, Resize

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fastclips.index import Dataset

__all__ = ["add_arguments", "run", "write_frames"]

MOTIONS = {"down": (0, 1), "left": (-1, 0), "right": (1, 0), "up": (0, -1)}  # x, y
VIDEOS = 60  # of each class
FRAMES = 16  # of each video
HEIGHT, WIDTH = 96, 128
TIME_STEPS = 8
CROP = 80
BATCH = 16
EPOCHS = 8
SEED = 0

_CLIPS = 500  # an epoch has at most about so many, or one of each video
_SPREAD = 4  # the most frames from one frame of a clip to the next
_ROUGH = 30  # fewer validation clips than these give a rough figure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Of the command.
    """
    parser.add_argument(
        "--data", metavar="DIR", type=Path, help="your own frames, DIR/class/video/frame.jpg, instead of made ones"
    )
    parser.add_argument("--epochs", metavar="N", type=int, default=EPOCHS, help="default: %(default)s")
    parser.add_argument("--workers", metavar="N", type=int, help="worker processes; default: one per core")


def run(args: argparse.Namespace) -> int:
    """Make or open the data, train on it, and say what came out.

    Parameters
    ----------
    args : argparse.Namespace
        With what `add_arguments` adds.

    Returns
    -------
    int
        Exit code: 0, 1 after an error, or 130 when interrupted.
    """
    try:
        with ExitStack() as stack:
            _demo(args, stack)
    except KeyboardInterrupt:
        print("\nInterrupted." + " The frames were removed." * (args.data is None))
        return 130
    except FastclipsError as error:
        print(f"fastclips demo: {error}")
        return 1
    return 0


def write_frames(folder: Path, *, videos: int, frames: int, seed: int) -> int:
    """Write a data set in which the class is the way things move.

    Parameters
    ----------
    folder : Path
        Where ``class/video/frame.jpg`` come to lie.
    videos : int
        How many of each class.
    frames : int
        How many of each video.
    seed : int
        The same seed gives the same pictures.

    Returns
    -------
    int
        Bytes written.
    """
    import cv2  # noqa: PLC0415 - keeps the start of every other command short

    written = 0
    for number, (name, direction) in enumerate(MOTIONS.items()):
        for video in range(1, videos + 1):
            place = folder / name / f"video_{video:03d}"
            place.mkdir(parents=True)
            pictures = film(np.random.default_rng([seed, number, video]), direction, frames)
            for frame, picture in enumerate(pictures, start=1):
                _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
                (place / f"frame_{frame:05d}.jpg").write_bytes(jpeg)
                written += jpeg.size
    return written


def film(rng: np.random.Generator, direction: tuple[int, int], frames: int) -> NDArray[np.uint8]:
    """Make one video; its first frame does not depend on the direction.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of everything but the direction.
    direction : (int, int)
        Unit vector, x and y, in which all things drift.
    frames : int
        How many.

    Returns
    -------
    ndarray of uint8, (frames, height, width, 3)
        Pictures.
    """
    import cv2  # noqa: PLC0415 - as above

    background = _texture(rng, spread=28)
    things = [_thing(rng) for _ in range(rng.integers(3, 6))]
    noise = rng.uniform(3, 6)
    pictures = np.empty((frames, HEIGHT, WIDTH, 3), np.uint8)
    for frame in range(frames):
        picture = background
        for layer, start, speed in things:
            (x, y), (dx, dy) = start, direction
            move = np.array([[1, 0, x + dx * speed * frame], [0, 1, y + dy * speed * frame]])
            moved = cv2.warpAffine(layer, move, (WIDTH, HEIGHT), borderMode=cv2.BORDER_WRAP)
            picture = picture + (moved[..., :3] - picture) * moved[..., 3:]
        grain = rng.standard_normal(picture.shape, np.float32) * noise
        pictures[frame] = np.clip(picture + grain, 0, 255)
    return pictures


def _texture(rng: np.random.Generator, spread: float) -> NDArray[np.float32]:
    """Draw a picture with as much contrast in each octave, mostly in brightness."""
    import cv2  # noqa: PLC0415 - as above

    total = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for cell in (2, 4, 8, 16, 32):
        coarse = rng.standard_normal((HEIGHT // cell, WIDTH // cell, 4), np.float32)
        fine = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        total += fine[..., 3:] + 0.4 * fine[..., :3]
    mean = rng.uniform(80, 175, 3).astype(np.float32)
    return mean + total * np.float32(spread / total.std())


def _thing(rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float64], float]:
    """Draw a textured ellipse: its layer of colours and opacity, where it starts, and its speed."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] - np.array([HEIGHT, WIDTH])[:, None, None] / 2
    turn, size, slim = rng.uniform(0, np.pi), rng.uniform(8, 15), rng.uniform(0.6, 1)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    opacity = np.clip(size - np.hypot(along, across / slim), 0, 1)
    layer = np.concatenate([_texture(rng, spread=40), opacity[..., None]], axis=2, dtype=np.float32)
    return layer, rng.uniform(0, (WIDTH, HEIGHT)), rng.uniform(2.5, 5)


class _Clips(NamedTuple):
    """How an own data set is cut."""

    dataset: Dataset
    windows: Windows
    said: list[str]


def _choose(dataset: Dataset, given: str) -> _Clips:
    raise NotImplementedError


def _demo(args: argparse.Namespace, stack: ExitStack) -> None:
    raise NotImplementedError
