"""Writes frames that cost as much to decode as real ones, as class/video/frame_00001.jpg.

    python benchmarks/frames.py /tmp/frames                          # 340x256
    python benchmarks/frames.py /tmp/frames640 --size 640x360
    python benchmarks/frames.py /tmp/photographs --kind photographs

Decoding time grows with the number of coefficients: flat drawings decode twice as fast as film, noise half
as fast. These frames are like those of film: texture with the same contrast in every octave, over which the
camera drifts; moving shapes; sensor noise that differs in each frame and is stronger in bright areas. As
baseline JPEGs of quality 88, 4:2:0, frames of 340x256 have 19 kB, like frames taken from video.

Photographs under a moving camera have more edges: things of all sizes hide each other ("dead leaves", whose
spectrum falls as 1/f like that of photographs), with texture and shading of their own. A lens blurs them a
little, the camera pans, turns and zooms, and its noise passes its sharpening. Frames of 340x256 have 21 kB.
"""

from __future__ import annotations

import argparse
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import simplejpeg
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["KINDS", "film", "jpegs_of", "photographs", "write_frames", "write_movie"]

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


def photographs(
    height: int, width: int, frames: int, random: np.random.Generator
) -> Iterator[NDArray[np.uint8]]:
    """Make the frames of one video of a photograph under a moving camera, with parameters as of `film`."""
    side = int(1.6 * max(height, width)) + 2 * DRIFT
    scene = _leaves(side, random)
    pan = random.normal(0, 1.2, 2)
    turn, zoom = random.normal(0, 0.15), random.normal(0, 0.001)
    for frame in range(frames):
        shake = random.normal(0, 0.3, 2)
        matrix = cv2.getRotationMatrix2D((side / 2, side / 2), turn * frame, 1 + zoom * frame)
        matrix[:, 2] += np.array([width, height]) / 2 - side / 2 - pan * (frame - frames / 2) + shake
        seen = cv2.warpAffine(
            scene, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        light = np.clip(seen, 0.001, 1)
        noise = random.standard_normal(light.shape, np.float32) * np.sqrt(0.00012 * light + 0.000004)
        taken = light + cv2.GaussianBlur(noise, (0, 0), 0.6)
        sharp = taken + 0.5 * (taken - cv2.GaussianBlur(taken, (0, 0), 1.2))
        yield (255 * np.clip(sharp, 0, 1) ** (1 / 2.2) + 0.5).astype(np.uint8)


def _leaves(side: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Return things that hide each other, with texture and shading: (side, side, 3) in linear light."""
    color = np.full((side, side, 3), 0.2, np.float32)
    texture = np.zeros((side, side), np.float32)
    grown = _fractal(side, random)
    shade = 1 + 0.5 * _fractal(side, random, 2)
    # Sizes with a density of r**-3: each octave covers the same area.
    radii = 1 / np.sqrt(random.uniform(1 / (0.3 * side) ** 2, 1 / 3**2, side * 24))
    mean = random.uniform(0.1, 0.35)
    for radius in radii.tolist():
        gray = mean * np.exp(random.normal(0, 0.7))
        shown = (gray * np.exp(random.normal(0, 0.15, 3))).tolist()
        centre, turn = random.uniform(0, side, 2).tolist(), float(random.uniform(0, 180))
        shape = (tuple(centre), (2 * radius, 2 * radius * float(random.uniform(0.3, 1))), turn)
        rough = float(random.choice([0.02, 0.1, 0.3]))
        if random.integers(2):
            for plane, value in ((color, shown), (texture, rough)):
                cv2.ellipse(plane, shape, value, -1, cv2.LINE_AA if plane is color else cv2.LINE_8)
        else:
            for plane, value in ((color, shown), (texture, rough)):
                cv2.fillConvexPoly(plane, cv2.boxPoints(shape).astype(np.int32), value)
    scene = color * (1 + texture * grown)[..., None] * shade[..., None]
    return cv2.GaussianBlur(np.clip(scene, 0, 1), (0, 0), 0.7)


def _fractal(side: int, random: np.random.Generator, slope: float = 1) -> NDArray[np.float32]:
    """Return noise whose amplitude falls with a power of the frequency, with variance 1."""
    y, x = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    frequency = np.hypot(y, x)
    frequency[0, 0] = 1
    phases = np.exp(2j * np.pi * random.random(frequency.shape)) / frequency**slope
    phases[0, 0] = 0
    noise = np.fft.irfft2(phases, (side, side))
    return (noise / noise.std()).astype(np.float32)


KINDS = {"film": film, "photographs": photographs}


def jpegs_of(
    kind: str, height: int, width: int, videos: int, *, quality: int = 88, restart: int = 0
) -> list[bytes]:
    """Return the first frame of each of some videos as a baseline JPEG, 4:2:0.

    Parameters
    ----------
    kind : {"film", "photographs"}
        What they show.
    height, width : int
        Size in pixels.
    videos : int
        How many.
    quality : int
        Of the JPEGs.
    restart : int
        MCUs from one restart marker to the next; 0 for none.
    """
    files = []
    for number in range(videos):
        pixels = next(iter(KINDS[kind](height, width, 1, np.random.default_rng(number))))
        file = BytesIO()
        Image.fromarray(pixels).save(
            file, "JPEG", quality=quality, subsampling=2, restart_marker_blocks=restart
        )
        files.append(file.getvalue())
    return files


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
    kind: str = "film",
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
    kind : {"film", "photographs"}
        What they show.

    Returns
    -------
    int
        Number of bytes written.
    """
    total = 0
    for video in range(videos):
        folder = root / f"class_{video % classes}" / f"video_{video:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(KINDS[kind](height, width, frames, np.random.default_rng(video)), 1):
            data = simplejpeg.encode_jpeg(picture, quality, "RGB", "420")
            total += (folder / f"frame_{number:05d}.jpg").write_bytes(data)
    return total


def write_movie(
    path: Path, frames: Iterable[NDArray[np.uint8]], *, gop: int, rate: int = 25, options: Mapping[str, str]
) -> None:
    """Write a video file, H.264.

    Parameters
    ----------
    path : Path
        The file; its folder is made if it does not exist.
    frames : iterable of ndarray of uint8
        (height, width, 3).
    gop : int
        Frames from one key frame to the next.
    rate : int
        Frames per second.
    options : mapping of str
        For x264, such as ``{"crf": "23"}``.
    """
    import av  # noqa: PLC0415 - an extra

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        stream.options = {"sc_threshold": "0", **options}
        for number, frame in enumerate(frames):
            if not number:
                stream.height, stream.width = frame.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())


def _main() -> None:
    parser = argparse.ArgumentParser(description="Write frames that decode as slowly as real ones.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", default="340x256", help="width x height (%(default)s)")
    parser.add_argument("--videos", type=int, default=24)
    parser.add_argument("--frames", type=int, default=64, help="frames of each video (%(default)s)")
    parser.add_argument("--kind", choices=KINDS, default="film", help="what they show (%(default)s)")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    total = write_frames(
        args.folder, height=height, width=width, videos=args.videos, frames=args.frames, kind=args.kind
    )
    count = args.videos * args.frames
    print(f"{count} frames of {width}x{height}, {total / count:,.0f} bytes each, in {args.folder}")


if __name__ == "__main__":
    _main()
