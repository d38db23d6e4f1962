"""TimeDistributedImageDataGenerator (PyPI, 0.4): clips of frames for ``TimeDistributed`` layers.

::

    from TimeDistributedImageDataGenerator import TimeDistributedImageDataGenerator as M     # before
    from fastclips.compat import TimeDistributedImageDataGenerator as M                      # after
    M.TimeDistributedImageDataGenerator(time_steps=5).flow_from_directory("images/")

or ``from fastclips.compat.TimeDistributedImageDataGenerator import TimeDistributedImageDataGenerator``.

Frames lie in ``images/class/video/``, or directly in ``images/class/``: then files that are called alike but
for the number at the end (``v_Dive_g01_c01_0001.jpg``) are one video. In a table, that rule holds in each
folder.

What a user may notice:

====================  ======================================  ============================================
what                  here                                    in the original, and with ``legacy=True``
====================  ======================================  ============================================
samples               each window that fits into its video,   one per file: ``n`` is the number of files
                      every `step` frames; ``n``,
                      ``samples``, ``len`` count these
frames of a sample    oldest first                            newest first
borders               no clip goes beyond a video             clips go on into the files listed before:
                                                              another video, another class, and from the
                                                              first file on to the last one
order of frames       by number: ``f2`` before ``f10``        by text: ``f10`` before ``f2``
``validation_split``  the first videos of each class; of a    the first files of each class; of a table,
                      class with one video, its first         its first rows
                      frames, with a warning
augmentation          drawn once for a clip (`per`)           drawn for each frame
categorical labels    (B, T, classes), one for each frame,    the same, in the order of the frames
                      or (B, classes) with
                      ``labels="clip"``
other labels          those of the newest frame, (B,), or     those of the newest frame
                      with ``labels="frame"`` (B, T)
``classes``,          one item for each sample: the class     the same
``filenames``         and the path of its newest frame
a file that cannot    raises `FrameError` with its path       is passed over in silence: the frame before
be read                                                       is shown again, standardised once more
file named twice in   taken once, with a warning              taken twice
a table
``dtype``             of batches                              has no effect
decoded frames        kept if all of them fit into            decoded each time they are shown (kept with
                      ``cache="1GiB"``                        ``legacy=True``)
several targets       a tuple                                 a list (a tuple also with ``legacy=True``)
``save_to_dir``       a file for each frame                   fails (works with ``legacy=True``)
====================  ======================================  ============================================

For all else see `fastclips.compat.image`, in whose table the rows on randomness, folders and errors hold here
too.
"""

# ruff: noqa: N999 - the original is a module of this name

from __future__ import annotations

import logging
import os
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base.augmentation import PARAMETERS
from fastclips.compat.image.clips import Sampling
from fastclips.compat.image.flows import DataFrameIterator, DirectoryIterator, NumpyArrayIterator
from fastclips.compat.image.generator import ImageDataGenerator
from fastclips.compat.image.iterator import PictureIterator
from fastclips.errors import OptionError
from fastclips.options import checked_bool, checked_choice, checked_int

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import DTypeLike, NDArray

    from fastclips.spec import RenderSpec

__all__ = [
    "TimeDistributedDataFrameIterator",
    "TimeDistributedDirectoryIterator",
    "TimeDistributedImageDataGenerator",
]

_log = logging.getLogger(__name__)
_CLIP_AXES = 5
_PAIR = 2  # frames, and further inputs
_EITHER = ("clip", "frame")


class _ClipIterator(PictureIterator):
    """What both flows over files share."""

    image_data_generator: TimeDistributedImageDataGenerator

    def draw(self, random: np.random.RandomState, samples: NDArray[np.int64]) -> NDArray[np.float64]:
        """Draw for each frame in the original's order, which begins with the oldest."""
        draws = super().draw(random, samples)
        if self.image_data_generator.legacy:
            width = len(PARAMETERS) + 1
            frames = draws[:, : width * self.image_data_generator.time_steps]
            frames[...] = frames.reshape(len(draws), -1, width)[:, ::-1].reshape(frames.shape)
        return draws

    def spec(self) -> RenderSpec:
        """Return how a batch is rendered."""
        spec: Any = super().spec()
        if not self.image_data_generator.legacy:
            return spec  # type: ignore[no-any-return] # what it was
        from fastclips.compat.image.repeating import RepeatingSpec  # noqa: PLC0415 - the workers' modules

        return RepeatingSpec(
            **{field.name: getattr(spec, field.name) for field in fields(spec)},
            samples=self.n,
            batch_size=self.batch_size,
            seed=self.seed if self.shuffle else None,
        )


class TimeDistributedDirectoryIterator(DirectoryIterator, _ClipIterator):
    """Clips of files in folders; see `DirectoryIterator`.

    Parameters
    ----------
    directory : path
        Holds the classes' folders.
    image_data_generator : TimeDistributedImageDataGenerator
        How clips are cut and augmented.
    **options
        As for `TimeDistributedImageDataGenerator.flow_from_directory`.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        image_data_generator: TimeDistributedImageDataGenerator,
        **options: Any,  # noqa: ANN401 - passed on
    ) -> None:
        per_frame = image_data_generator.per == "frame"
        super().__init__(directory, image_data_generator, per_frame=per_frame, **options)


class TimeDistributedDataFrameIterator(DataFrameIterator, _ClipIterator):
    """Clips of files in a table; see `DataFrameIterator`.

    Parameters
    ----------
    dataframe : pandas.DataFrame, or mapping of str to sequence
        Its columns.
    directory : path, optional
        What file names are relative to.
    image_data_generator : TimeDistributedImageDataGenerator
        How clips are cut and augmented.
    **options
        As for `TimeDistributedImageDataGenerator.flow_from_dataframe`.
    """

    def __init__(
        self,
        dataframe: Any,  # noqa: ANN401 - pandas is no dependency
        directory: str | os.PathLike[str] | None,
        image_data_generator: TimeDistributedImageDataGenerator,
        **options: Any,  # noqa: ANN401 - passed on
    ) -> None:
        per_frame = image_data_generator.per == "frame"
        super().__init__(dataframe, directory, image_data_generator, per_frame=per_frame, **options)


class TimeDistributedImageDataGenerator(ImageDataGenerator):
    """Clips from folders and tables, (B, T, H, W, C), augmented and standardised on their way to ``fit``.

    Up to `time_steps`, arguments are those of the original, in its order; `ImageDataGenerator` says what they
    mean.

    Parameters
    ----------
    featurewise_center, samplewise_center, featurewise_std_normalization, samplewise_std_normalization,
    zca_whitening, zca_epsilon, rotation_range, width_shift_range, height_shift_range, brightness_range,
    shear_range, zoom_range, channel_shift_range, fill_mode, cval, horizontal_flip, vertical_flip, rescale,
    preprocessing_function, data_format, validation_split, dtype, interpolation_order
        As for `ImageDataGenerator`.
    time_steps : int
        Frames of a clip.
    step, dilation : int
        Frames from the start of one window to the next, and from frame to frame of a clip.
    labels : {"clip", "frame"}, optional
        Whether targets are those of the newest frame, (B, ...), or there is one for each frame, (B, T, ...).
        By default ``"frame"`` with ``class_mode="categorical"``, as in the original, and else ``"clip"``.
        With ``"clip"``, no clip goes beyond a change of class inside a video of a table.
    per : {"clip", "frame"}, optional
        Whether the frames of a clip are augmented alike; by default they are, but for ``legacy=True``.
    legacy : bool
        Whether clips are the original's, with its faults: see the table in the module's documentation.

    Raises
    ------
    OptionError
        If an argument cannot work; it is a ValueError.

    Examples
    --------
    >>> generator = TimeDistributedImageDataGenerator(rescale=1 / 255, validation_split=0.2, time_steps=5)
    >>> train = generator.flow_from_directory("images/", batch_size=8, subset="training")  # doctest: +SKIP
    >>> model.fit(train, epochs=10)  # doctest: +SKIP
    """

    _directory_iterator = TimeDistributedDirectoryIterator
    _dataframe_iterator = TimeDistributedDataFrameIterator

    time_steps: int

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rotation_range: float = 0,
        width_shift_range: float | Sequence[float] = 0.0,
        height_shift_range: float | Sequence[float] = 0.0,
        brightness_range: Sequence[float] | None = None,
        shear_range: float = 0.0,
        zoom_range: float | Sequence[float] = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[Any], Any] | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        dtype: DTypeLike | None = None,
        time_steps: int = 5,
        *,
        interpolation_order: int = 1,
        step: int = 1,
        dilation: int = 1,
        labels: str | None = None,
        per: str | None = None,
        legacy: bool = False,
    ) -> None:
        self.legacy = checked_bool(legacy, "legacy")
        self.step, self.dilation = checked_int(step, "step", 1), checked_int(dilation, "dilation", 1)
        self.labels = None if labels is None else checked_choice(labels, "labels", _EITHER)
        self.per = checked_choice(("frame" if legacy else "clip") if per is None else per, "per", _EITHER)
        if legacy and (self.step > 1 or self.dilation > 1):
            raise OptionError(
                f"step={step} and dilation={dilation}: with legacy=True each file ends a clip of the files "
                "before it; leave legacy=True out"
            )
        super().__init__(
            featurewise_center=featurewise_center,
            samplewise_center=samplewise_center,
            featurewise_std_normalization=featurewise_std_normalization,
            samplewise_std_normalization=samplewise_std_normalization,
            zca_whitening=zca_whitening,
            zca_epsilon=zca_epsilon,
            rotation_range=rotation_range,
            width_shift_range=width_shift_range,
            height_shift_range=height_shift_range,
            brightness_range=brightness_range,
            shear_range=shear_range,
            zoom_range=zoom_range,
            channel_shift_range=channel_shift_range,
            fill_mode=fill_mode,
            cval=cval,
            horizontal_flip=horizontal_flip,
            vertical_flip=vertical_flip,
            rescale=rescale,
            preprocessing_function=preprocessing_function,
            data_format=data_format,
            validation_split=validation_split,
            interpolation_order=interpolation_order,
            dtype=None if legacy else dtype,
            time_steps=checked_int(time_steps, "time_steps", 1),
        )

    def sampling_of(self, class_mode: str | None) -> Sampling:
        """Return how clips are cut out of files."""
        labels = self.labels
        if labels is None:
            labels = "frame" if class_mode == "categorical" else "clip"
            if class_mode == "categorical":
                _say_shape()
        return Sampling(self.time_steps, self.step, self.dilation, self.legacy, labels)

    def flow(self, x: Any, *args: Any, **options: Any) -> NumpyArrayIterator:  # noqa: ANN401 - passed on
        """Serve an array: clips (N, T, H, W, C), or as in the original single frames (N, H, W, C).

        Parameters
        ----------
        x : array_like or path
            The frames; or a pair with further inputs.
        *args, **options
            As for `ImageDataGenerator.flow`.

        Returns
        -------
        NumpyArrayIterator

        Raises
        ------
        OptionError
            If arguments do not go together.
        """
        paired = isinstance(x, (tuple, list)) and len(x) == _PAIR and np.ndim(x[0]) >= _CLIP_AXES - 1
        first = x[0] if paired else x
        axes = np.load(first, mmap_mode="r").ndim if isinstance(first, (str, os.PathLike)) else np.ndim(first)
        if axes == _CLIP_AXES:
            return super().flow(x, *args, **options)
        pictures: Any = _Pictures(self)
        return ImageDataGenerator.flow(pictures, x, *args, **options)


class _Pictures:
    """A generator for single frames that shares all else with another."""

    time_steps = None

    def __init__(self, generator: ImageDataGenerator) -> None:
        self._generator = generator

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever it is
        return getattr(self._generator, name)


@lru_cache(maxsize=1)
def _say_shape() -> None:
    """Say, once, which of two shapes labels have."""
    _log.warning(
        "class_mode='categorical' gives a label for each frame, (B, T, classes), as this generator always "
        "has: TimeDistributedImageDataGenerator(labels='clip') gives one for each clip, (B, classes), and "
        "labels='frame' these, without this message"
    )
