"""TimeDistributedImageDataGenerator (PyPI, 0.4): clips of frames for ``TimeDistributed`` layers.

::

    from TimeDistributedImageDataGenerator import TimeDistributedImageDataGenerator as M     # before
    from fastclips.compat import TimeDistributedImageDataGenerator as M                      # after
    M.TimeDistributedImageDataGenerator(time_steps=5).flow_from_directory("images/")

Here M is the class itself, and ``M(time_steps=5)`` does the same. So does
``from fastclips.compat.TimeDistributedImageDataGenerator import TimeDistributedImageDataGenerator``.

Frames lie in ``images/class/video/``, or directly in ``images/class/``. In the second case, and in each
folder of a table, the files whose names differ only in the number at the end (``v_Dive_g01_c01_0001.jpg``)
are one video.

What you may notice:

====================  ======================================  ============================================
subject               here                                    in the original, and with ``legacy=True``
====================  ======================================  ============================================
samples               each window that fits into its video,   one per file: ``n`` is the number of files
                      every `step` frames; ``n``,
                      ``samples``, ``len`` count these
frames of a sample    oldest first                            newest first
borders               clips stay within one video             clips go on into the files listed before:
                                                              another video, another class, and from the
                                                              first file on to the last one
order of frames       by number: ``f2`` before ``f10``        by text: ``f10`` before ``f2``
``validation_split``  the first videos of each class, its     the first files of each class; of a table,
                      fraction of them rounded, but at least  its first rows
                      one and never all (of two videos, 0.25
                      takes one); for a class with one
                      video, its first frames, with a
                      warning
augmentation          one draw per clip (`per`)               one draw per frame
categorical labels    (B, T, classes), one for each frame,    the same, in the order of the frames
                      or (B, classes) with
                      ``labels="clip"``
other labels          of the newest frame, (B,), or with      of the newest frame
                      ``labels="frame"`` (B, T)
``classes``,          one item per sample: the class and the  the same
``filenames``         path of its newest frame
a file that cannot    raises `FrameError` with its path       is skipped without a message: the frame
be read                                                       before is shown again, standardised twice
a file named twice    is taken once, with a warning           is taken twice
in a table
``dtype``             the dtype of batches                    has no effect
decoded frames        kept, as many as fit into               decoded each time they are shown (kept with
                      ``cache="1GiB"``                        ``legacy=True``)
several targets       a tuple                                 a list (a tuple also with ``legacy=True``)
``save_to_dir``       a file for each frame                   fails (works with ``legacy=True``)
====================  ======================================  ============================================

`fastclips.compat.image` lists further differences; its rows on randomness, folders and errors apply
here, too.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from fastclips.compat._base.folders import subset_range
from fastclips.compat._base.videos import group
from fastclips.compat._base.warn import warn
from fastclips.compat.image.flows import DataFrameIterator, DirectoryIterator
from fastclips.compat.image.generator import ImageDataGenerator
from fastclips.compat.image.iterator import PictureIterator
from fastclips.compat.image.sampling import Sampling
from fastclips.errors import DataError, OptionError
from fastclips.options import checked_bool, checked_choice, checked_int

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fastclips.compat._base.videos import Clips
    from fastclips.spec import RenderSpec

__all__ = [
    "TimeDistributedDataFrameIterator",
    "TimeDistributedDirectoryIterator",
    "TimeDistributedImageDataGenerator",
]

_PICTURES = 4  # axes
_EITHER = ("clip", "frame")


@dataclass(frozen=True)
class _Windows(Sampling):
    """Windows of videos; if each file is a video of its own, the error offers ``legacy=True``."""

    def clips(self, names: Sequence[str], codes: NDArray[np.int64], **options: Any) -> Clips:  # noqa: ANN401 - Sampling's
        """Cut clips."""
        try:
            return super().clips(names, codes, **options)
        except DataError as error:
            if not self._would_be_flat(names, **options):
                raise
            raise DataError(
                f"{error}. Here each file is a video of its own; legacy=True makes a clip of any "
                f"{self.time_steps} files that are listed one after the other, as the original does"
            ) from None

    def _would_be_flat(
        self, names: Sequence[str], *, folders: bool, fraction: float, subset: str | None
    ) -> bool:
        """Whether each file is a video of its own, and ``legacy=True`` would make clips of them."""
        first, last = subset_range(subset, fraction, len(names))
        if self.step > 1 or self.dilation > 1 or self.time_steps > last - first:
            return False
        with suppress(DataError):  # it was the error
            return len(group(names, folders=folders).names) == len(names)
        return False


class _ClipIterator(PictureIterator):
    """Draws and rendering of both flows over files."""

    image_data_generator: TimeDistributedImageDataGenerator

    def draw(self, random: np.random.RandomState, samples: NDArray[np.int64]) -> NDArray[np.float64]:
        """Draw for each frame in the original's order, which begins with the oldest."""
        draws = super().draw(random, samples)
        if self.image_data_generator.legacy:
            sets = self._draws.sets_of(draws)
            sets[...] = sets[:, ::-1].copy()
        return draws

    def spec(self) -> RenderSpec:
        """Return how a batch is rendered."""
        spec: Any = super().spec()
        if not self.image_data_generator.legacy:
            return spec  # type: ignore[no-any-return] # a RenderSpec still
        from fastclips.compat.image.repeating import RepeatingSpec  # noqa: PLC0415 - the workers' modules

        return RepeatingSpec(
            **{field.name: getattr(spec, field.name) for field in fields(spec)},
            samples=self.n,
            batch_size=self.batch_size,
            seed=self.seed if self.shuffle else None,
        )


class TimeDistributedDirectoryIterator(DirectoryIterator, _ClipIterator):
    """Batches of clips of files in folders; made by `TimeDistributedImageDataGenerator.flow_from_directory`.

    Parameters
    ----------
    directory, image_data_generator, **options
        As for `fastclips.compat.image.DirectoryIterator`, whose attributes it has.

    Examples
    --------
    >>> generator = TimeDistributedImageDataGenerator(time_steps=5, labels="clip")
    >>> clips = generator.flow_from_directory("frames/", shuffle=False, workers=0)
    Found ... clips belonging to 2 classes.
    >>> clips.filenames[0]
    'class_0/video_0/frame_00005.jpg'
    """


class TimeDistributedDataFrameIterator(DataFrameIterator, _ClipIterator):
    """Batches of clips of files in a table; made by `TimeDistributedImageDataGenerator.flow_from_dataframe`.

    Parameters
    ----------
    dataframe, directory, image_data_generator, **options
        As for `fastclips.compat.image.DataFrameIterator`, whose attributes it has.

    Examples
    --------
    >>> names = [f"class_0/video_0/frame_{number:05d}.jpg" for number in range(1, 13)]
    >>> table = {"filename": names, "angle": np.arange(12) / 10}
    >>> generator = TimeDistributedImageDataGenerator(time_steps=5)
    >>> clips = generator.flow_from_dataframe(
    ...     table, "frames/", y_col="angle", class_mode="raw", shuffle=False, workers=0
    ... )
    Found 8 clips.
    >>> clips.labels[:3]
    array([0.4, 0.5, 0.6])
    """


@dataclass(eq=False, repr=False)
class TimeDistributedImageDataGenerator(ImageDataGenerator):
    """Batches of clips from folders and tables, (B, T, H, W, C), augmented and standardised.

    Up to `time_steps`, arguments are those of the original, in its order. `flow` takes clips (N, T, H, W, C),
    or single frames (N, H, W, C) as the original does.

    Parameters
    ----------
    featurewise_center, samplewise_center, featurewise_std_normalization, samplewise_std_normalization,
    zca_whitening, zca_epsilon, rotation_range, width_shift_range, height_shift_range, brightness_range,
    shear_range, zoom_range, channel_shift_range, fill_mode, cval, horizontal_flip, vertical_flip, rescale,
    preprocessing_function, data_format, validation_split, dtype, interpolation_order
        As for `ImageDataGenerator`.
    time_steps : int
        Frames of a clip, T.
    step, dilation : int
        Frames from the start of one window to the next, and from frame to frame of a clip.
    labels : {"clip", "frame"}, optional
        Whether targets are those of the newest frame, (B, ...), or of each frame, (B, T, ...). By default
        ``"frame"`` with ``class_mode="categorical"``, as in the original, and else ``"clip"``. With
        ``"clip"``, a clip ends where the class changes within a video of a table.
    per : {"clip", "frame"}, optional
        Whether one draw augments all frames of a clip, or each frame has a draw of its own. By default
        ``"clip"``, and ``"frame"`` with ``legacy=True``.
    legacy : bool
        Whether clips are those of the original, with its faults; see the table in the documentation of the
        module.

    Raises
    ------
    OptionError
        If an argument is out of range; it is a ValueError.

    Examples
    --------
    >>> M = fc.compat.TimeDistributedImageDataGenerator  # or M.TimeDistributedImageDataGenerator
    >>> generator = M(rescale=1 / 255, time_steps=5, labels="clip")
    >>> train = generator.flow_from_directory("frames/", target_size=(32, 32), batch_size=8, workers=0)
    Found ... clips belonging to 2 classes.
    >>> x, y = next(train)
    >>> x.shape, y.shape
    ((8, 5, 32, 32, 3), (8, 2))
    """

    # What a module of this name has; `fastclips.compat.TimeDistributedImageDataGenerator` sets them.
    TimeDistributedImageDataGenerator: ClassVar[Any]
    TimeDistributedDataFrameIterator: ClassVar[Any]
    TimeDistributedDirectoryIterator: ClassVar[Any]

    _directory_iterator = TimeDistributedDirectoryIterator
    _dataframe_iterator = TimeDistributedDataFrameIterator

    # In Keras, interpolation_order is positional and time_steps does not exist.
    time_steps: int = field(default=5, kw_only=False)
    interpolation_order: int = field(default=1, kw_only=True)
    step: int = field(default=1, kw_only=True)
    dilation: int = field(default=1, kw_only=True)
    labels: str | None = field(default=None, kw_only=True)
    per: str | None = field(default=None, kw_only=True)
    legacy: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        self.legacy = checked_bool(self.legacy, "legacy")
        for name in ("time_steps", "step", "dilation"):
            setattr(self, name, checked_int(getattr(self, name), name, 1))
        if self.labels is not None:
            checked_choice(self.labels, "labels", _EITHER)
        default = "frame" if self.legacy else "clip"
        self.per = checked_choice(default if self.per is None else self.per, "per", _EITHER)
        if self.legacy and (self.step > 1 or self.dilation > 1):
            raise OptionError(
                f"step={self.step}, dilation={self.dilation}: must be 1 with legacy=True; leave legacy=True "
                "out"
            )
        self.dtype = None if self.legacy else self.dtype
        super().__post_init__()

    @property
    def per_frame(self) -> bool:
        """Whether each frame of a clip of files is augmented on its own."""
        return self.per == "frame"

    def sampling_of(self, class_mode: str | None) -> Sampling:
        """Return how clips are cut out of files."""
        labels = self.labels
        if labels is None:
            labels = "frame" if class_mode == "categorical" else "clip"
            if class_mode == "categorical" and not self.legacy:
                warn(
                    "class_mode='categorical' serves a label for each frame, (B, T, classes), as the "
                    "original does. labels='clip' serves one for each clip, (B, classes); labels='frame' "
                    "keeps the shape and ends this warning"
                )
        return _Windows(self.time_steps, self.step, self.dilation, self.legacy, labels == "frame")

    def steps_of(self, shape: tuple[int, ...]) -> int | None:
        """Return how many frames the clips of an array have; None for pictures."""
        return None if len(shape) == _PICTURES else super().steps_of(shape)
