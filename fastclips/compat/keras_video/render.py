"""How a clip of a video file is rendered. Runs in workers.

::

    ticket: video, frames -> Movie -> resized, gray or RGB, uint8 -> kept, if there is a cache
                          -> augmented -> motion between frames -> rescaled, float32

A ticket's ``video`` is the number of a file, and ``frames`` are its frames. If all of them are `EVENLY`,
frames are spread over the whole video, because only the worker knows its length.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastclips.compat._base.augmentation import Augmentation
from fastclips.compat._base.rendering import SampleRenderer
from fastclips.compat._base.tickets import DrawLayout
from fastclips.compat.keras_video.motion import Motion, to_gray
from fastclips.compat.keras_video.windows import EVENLY, spread
from fastclips.data.storage import opened
from fastclips.engine.rendering import DECODE, KERNEL
from fastclips.errors import FrameError
from fastclips.pixels.geometry.affine import Axis, Geometry
from fastclips.pixels.geometry.resample import resample
from fastclips.spec import Field, SlotLayout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.compat._base.cache import KeptArrays
    from fastclips.data.video_files import Movie
    from fastclips.data.video_storage import VideoStorage
    from fastclips.engine.rendering import Meter
    from fastclips.functions import UserFunction

__all__ = ["MovieRenderer", "MovieSpec"]

_DRAWS = DrawLayout()


@dataclass(frozen=True)
class MovieSpec:
    """How clips of video files become rows; a `fastclips.spec.RenderSpec`.

    Parameters
    ----------
    files : VideoStorage
        The videos.
    batch_size : int
        Clips in a batch.
    ticket_dtype : numpy.dtype
        Of `fastclips.compat._base.tickets.sample_ticket`. With `motion`, its frames are one more than those
        of a clip.
    shape : (int, int, int)
        Height, width and channels, 1 or 3, of frames.
    rescale : float
        Last factor for pixel values.
    use_headers : bool
        Whether to trust the number of frames in a video's header, if frames up to it can be read.
    augmentation : Augmentation or UserFunction or None
        The first applies a ticket's draws; the second is `augmented` for an object, and draws by itself.
    motion : Motion or None
        What to show instead of frames.
    cache : KeptArrays or None
        Decoded clips, by sample.
    """

    files: VideoStorage
    batch_size: int
    ticket_dtype: np.dtype[np.void]
    shape: tuple[int, int, int]
    rescale: float
    use_headers: bool
    augmentation: Augmentation | UserFunction | None = None
    motion: Motion | None = None
    cache: KeptArrays | None = None
    renderer: ClassVar[str] = "fastclips.compat.keras_video.render:MovieRenderer"

    @property
    def layout(self) -> SlotLayout:
        """``"x"``, (T, H, W, C) float32."""
        shown = self.ticket_dtype["frames"].shape[0] - (self.motion is not None)
        return SlotLayout(self.batch_size, (Field("x", (shown, *self.shape), "float32"),))


class MovieRenderer(SampleRenderer):
    """Turns a ticket into a clip.

    Parameters
    ----------
    spec : MovieSpec
        What to render.
    single_threaded : bool
        As for `SampleRenderer`.
    """

    _spec: MovieSpec

    def __init__(self, spec: MovieSpec, *, single_threaded: bool = False) -> None:
        super().__init__(spec, single_threaded=single_threaded)
        self._rescale = np.float32(spec.rescale)

    def write(self, ticket: np.void, row: Mapping[str, NDArray[Any]], meter: Meter) -> int:
        """Write a clip; return its number of frames.

        Raises
        ------
        FrameError
            If the video cannot be read.
        OptionError
            If the augmentation changes the shape.
        """
        spec = self._spec
        sample, frames = int(ticket["sample"]), ticket["frames"].tolist()
        clip: NDArray[Any] | None = spec.cache.get(sample) if spec.cache else None
        if clip is None:
            clip = self._decoded(int(ticket["video"]), frames)
            if spec.cache:
                spec.cache.put(sample, clip)
        meter.lap(DECODE)
        vector, draw = _DRAWS.of_frame(ticket["draws"].tolist(), 0)
        if isinstance(spec.augmentation, Augmentation):
            drawn = spec.augmentation.from_vector(vector)
            clip = np.stack([np.asarray(spec.augmentation.apply(frame, drawn), np.float32) for frame in clip])
        elif spec.augmentation is not None:
            clip = spec.augmentation(draw, clip)
        if spec.motion is not None:
            clip = np.stack([spec.motion.between(*pair) for pair in pairwise(clip)])
        np.multiply(clip, self._rescale, out=row["x"])
        meter.lap(KERNEL)
        return len(frames)

    def _decoded(self, file: int, frames: list[int]) -> NDArray[np.uint8]:
        """Return frames of a file, (T, H, W, C), resized."""
        height, width, channels = self._spec.shape
        movie = opened(self._spec.files).movie(file, use_headers=self._spec.use_headers)
        found = self._spread(movie, len(frames)) if frames[0] == EVENLY else movie.frames(frames)
        clip = np.empty((len(frames), *self._spec.shape), np.uint8)
        resized = np.empty((height, width, 3), np.uint8)
        for step, pixels in enumerate(found):
            into = clip[step] if channels != 1 else resized
            whole = Geometry(
                Axis(height, 0.0, float(pixels.shape[0])), Axis(width, 0.0, float(pixels.shape[1]))
            )
            resample(pixels, whole, nearest=False, out=into)
            if channels == 1:
                clip[step] = to_gray(resized)
        return clip

    def _spread(self, movie: Movie, frames: int) -> Sequence[NDArray[np.uint8]]:
        count = movie.frame_count
        try:
            return movie.frames(spread(count, frames).tolist())
        except FrameError:
            if not self._spec.use_headers or movie.count_frames() == count:
                raise
        return movie.frames(spread(movie.count_frames(), frames).tolist())
