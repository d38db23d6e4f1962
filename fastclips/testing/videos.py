"""Made-up video files, of the frames that `fastclips.testing.write_frames` writes as JPEGs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastclips.data.video_storage import check_pyav
from fastclips.testing.frames import MOTIONS, film

if TYPE_CHECKING:
    import os

__all__ = ["write_videos"]

_RATE = 25  # frames a second
_KEY_FRAMES = 12  # frames from one to the next


def write_videos(
    folder: str | os.PathLike[str],
    *,
    videos: int = 4,
    frames: int = 12,
    height: int = 96,
    width: int = 128,
    seed: int = 0,
) -> int:
    """Write a small dataset of video files whose class is the direction in which things move.

    The files are ``folder/class/video_001.mp4``, H.264 with 25 frames a second and a key frame in every 12
    frames. Classes and pictures are those of `write_frames`. This needs the extra ``video``.

    Parameters
    ----------
    folder : path
        Folder to write to, without these videos.
    videos : int
        Number of videos of each class.
    frames : int
        Number of frames of each video.
    height, width : int
        Size of the frames in pixels, even and each at least 32.
    seed : int
        The same seed gives the same pictures.

    Returns
    -------
    int
        Number of bytes written.

    Raises
    ------
    FileExistsError
        If a file of one of the videos exists.
    OptionError
        If PyAV is missing.

    Examples
    --------
    >>> import fastclips as fc
    >>> from fastclips.testing import write_videos
    >>> written = write_videos("videos_of_motions/", videos=2)
    >>> fc.open("videos_of_motions/")
    <Dataset: 8 videos, 96 frames, 4 classes; image>
    """
    check_pyav()
    import av  # noqa: PLC0415 - an extra

    written = 0
    for number, (name, direction) in enumerate(MOTIONS.items()):
        for video in range(1, videos + 1):
            path = Path(folder) / name / f"video_{video:03d}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(exist_ok=False)
            rng = np.random.default_rng([seed, number, video])
            with av.open(str(path), "w") as container:
                stream = container.add_stream("libx264", rate=_RATE)
                stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
                stream.codec_context.gop_size = _KEY_FRAMES
                for picture in film(rng, direction, frames, height, width):
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
                container.mux(stream.encode())
            written += path.stat().st_size
    return written
