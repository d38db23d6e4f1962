"""Iterators over pictures: what `ImageDataGenerator`'s three flows return.

`PictureIterator` knows how pictures are rendered and how targets are put beside them; each flow says where
they come from. A sample is a picture, or with `time_steps` the pictures of a clip.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base.augmentation import PARAMETERS, Augmentation
from fastclips.compat._base.cache import FrameCache
from fastclips.compat._base.files import CHANNELS
from fastclips.compat._base.iterator import Iterator
from fastclips.compat.image.settings import Settings
from fastclips.compat.image.spec import FIELD, Picture, PictureSpec
from fastclips.errors import OptionError
from fastclips.options import checked_bool, checked_bytes, checked_choice, checked_int
from fastclips.spec import Field, SlotLayout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.compat._base.files import ArrayList, FileList
    from fastclips.compat.image.clips import Clips
    from fastclips.compat.image.generator import ImageDataGenerator
    from fastclips.serving.batches import Planned
    from fastclips.spec import RenderSpec

__all__ = ["PictureIterator", "Targets", "checked_picture", "frame_shape"]

_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")
_RGB = 3


class Targets:
    """What stands beside x: made by the flows, asked by sample number.

    Parameters
    ----------
    mode : str or None
        A ``class_mode``; ``"arrays"`` gives `values` as they are.
    values : sequence or ndarray or tuple of ndarray
        By sample: class numbers, or lists of them; or the arrays of ``"raw"`` and ``"multi_output"``.
    classes : int
        How many there are.
    weights : ndarray, optional
        By sample.
    dtype : str
        Of targets that are class numbers.
    """

    def __init__(
        self,
        mode: str | None,
        values: Any = None,  # noqa: ANN401 - see above
        *,
        classes: int = 0,
        weights: NDArray[Any] | None = None,
        dtype: str = "float32",
    ) -> None:
        self.mode, self.values, self.weights = mode, values, weights
        self._classes, self._dtype = classes, dtype

    def beside(self, x: Any, rows: NDArray[np.int64], image: NDArray[Any]) -> Any:  # noqa: ANN401 - the user's choice
        """Return ``x``, ``(x, y)`` or ``(x, y, weight)``.

        Parameters
        ----------
        x : ndarray or tuple of ndarray
            The inputs.
        rows : ndarray of int64, (B,)
            Sample numbers.
        image : ndarray
            The pictures, for ``"input"``.
        """
        if self.mode is None:
            return x
        y = image.copy() if self.mode == "input" else self.of(rows)
        return (x, y) if self.weights is None else (x, y, self.weights[rows])

    def of(self, rows: NDArray[np.int64]) -> Any:  # noqa: ANN401 - an array, or several
        """Return the targets of samples."""
        if self.mode in {"binary", "sparse"}:
            return np.asarray([self.values[row] for row in rows], self._dtype)
        if self.mode == "categorical":
            y = np.zeros((len(rows), self._classes), self._dtype)
            for place, row in enumerate(rows):
                y[place, self.values[row]] = 1
            return y
        if self.mode == "multi_output":
            return tuple(values[rows] for values in self.values)
        return self.values[rows]


class PictureIterator(Iterator):
    """Batches of pictures, augmented and standardised by a generator's settings.

    Parameters
    ----------
    generator : ImageDataGenerator
        Read when the first batch is asked for, and again when it was fitted or a setting was changed.
    storage : FileList or ArrayList
        Where frames come from.
    shape : tuple of int
        Of a frame before ``preprocessing_function``, in the user's axes.
    targets : Targets
        What stands beside them.
    n : int
        Samples.
    picture : Picture, optional
        How files become frames.
    time_steps : int or None
        Frames of a clip; None: a sample is one picture. Then `frames` must be overridden, or `clips` given,
        unless a row of the array is a clip.
    clips : Clips, optional
        The files of each sample.
    extra : sequence of ndarray
        Further inputs, by sample.
    per_frame : bool
        Whether each frame of a clip has draws of its own.
    save_to_dir, save_prefix, save_format
        Where what is served is written as pictures too.
    cache : str or int
        If all frames fit into so much memory, resized but before anything else, each is decoded once.
    batch_size, shuffle, seed, workers, memory
        As for `Iterator`.
    """

    _hashes = 10_000_000  # of names of saved pictures

    def __init__(
        self,
        generator: ImageDataGenerator,
        storage: FileList | ArrayList,
        shape: tuple[int, ...],
        targets: Targets,
        *,
        n: int,
        picture: Picture | None = None,
        time_steps: int | None = None,
        clips: Clips | None = None,
        extra: Sequence[NDArray[Any]] = (),
        per_frame: bool = False,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        cache: str | int = "1GiB",
        **options: Any,  # noqa: ANN401 - passed on
    ) -> None:
        self._cached = checked_bytes(cache, "cache") if cache else 0
        self._decoded: NDArray[np.bool_] | None = None  # files whose frames the cache has
        self._generator, self._storage, self._shape = generator, storage, shape
        self._targets, self._picture, self._clips, self._extra = targets, picture, clips, tuple(extra)
        self.time_steps = time_steps
        self._per_frame = per_frame and time_steps is not None
        self._files = 1 if clips is None or time_steps is None else time_steps
        self._width = len(PARAMETERS) + 1
        self.save_to_dir, self.save_prefix, self.save_format = save_to_dir, save_prefix, save_format
        if save_to_dir is not None and not os.path.isdir(save_to_dir):  # noqa: PTH112 - as the user wrote it
            raise OptionError(
                f"save_to_dir={os.fspath(save_to_dir)!r}: there is no such folder; make it first"
            )
        self._draws = self._width * ((time_steps or 1) if self._per_frame else 1) + (save_to_dir is not None)
        self.image_data_generator = generator
        self.data_format, self.dtype = generator.data_format, generator.dtype
        super().__init__(n, batch_size, shuffle, seed, time_steps=self._files, draws=self._draws, **options)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Of a frame before ``preprocessing_function``, in the user's axes."""
        return self._shape

    def frames(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the file numbers of samples."""
        return samples[:, None] if self._clips is None else self._clips.frames(samples)

    def draw(self, random: np.random.RandomState, samples: NDArray[np.int64]) -> NDArray[np.float64]:
        """Draw parameters in Keras's order, then names of saved files, then seeds for the user's function."""
        draws = np.zeros((len(samples), self._draws))
        axes = self._shape[1:] if self._generator.channels_first else self._shape[:2]
        augmentation = self._generator.augmentation
        places = range(0, self._width * (self._draws // self._width), self._width)
        for row in draws:
            for place in places:
                drawn = augmentation.draw(random, axes[0], axes[1])
                row[place : place + len(PARAMETERS)] = Augmentation.to_vector(drawn)
        if self.save_to_dir is not None:
            draws[:, -1] = [random.randint(self._hashes) for _ in samples]
        if self._generator.preprocessing_function:
            for row in draws:
                row[[place + len(PARAMETERS) for place in places]] = random.random_sample(len(places))
        return draws

    def _plan(self, epoch: int, batch: int) -> Planned:
        planned = super()._plan(epoch, batch)
        if self._decoded is not None:
            files = planned.tickets["frames"]
            planned.tickets["frames"] = np.where(self._decoded[files], ~files, files)
        return planned

    def version(self) -> tuple[object, ...]:
        """Return the generator's settings, and what was fitted."""
        return tuple(getattr(self._generator, name) for name in Settings.__annotations__)

    def spec(self) -> RenderSpec:
        """Return how a batch is rendered."""
        generator = self._generator
        clip = () if self.time_steps is None else (self.time_steps,)

        def layout(shape: tuple[int, ...], rows: int) -> SlotLayout:
            return SlotLayout(rows, (Field(FIELD, (*clip, *shape), np.dtype(self.dtype).name),))

        spec = PictureSpec(
            storage=self._storage,
            layout=layout(self._shape, self.rows),
            time_steps=self._files,
            draws=self._draws,
            augmentation=generator.augmentation,
            standardization=generator.standardization(warn=True),
            picture=self._picture,
            working=np.dtype(self.dtype).name,
            channels_first=generator.channels_first,
            clip=self.time_steps is not None,
            per_frame=self._per_frame,
        )
        if spec.standardization.function is not None:
            from fastclips.compat.image.render import probe  # noqa: PLC0415 - the workers' module

            ticket = self._plan(self.epoch, 0).tickets[0]
            shape = probe(spec, ticket)
            spec = replace(spec, layout=layout(shape, self.rows))
        else:
            generator.check_fitted(self._shape)
        return replace(spec, cache=self._new_cache())

    def _new_cache(self) -> FrameCache | None:
        """Return an empty cache, if there is room for all frames."""
        picture, files = self._picture, len(self._storage)
        self._decoded = None
        if picture is None or picture.channels != _RGB:
            return None
        frame = (*picture.target_size, _RGB)
        if FrameCache.bytes_of(files, frame) > self._cached:
            return None
        self._decoded = np.zeros(files, np.bool_)
        return FrameCache(files, frame)

    def assemble(self, arrays: Mapping[str, NDArray[Any]], rows: NDArray[np.int64]) -> Any:  # noqa: ANN401 - the user's choice
        """Make ``x``, ``(x, y)`` or ``(x, y, weight)``."""
        image = arrays["x"]
        if self._decoded is not None:
            self._decoded[self.frames(rows)] = True
        if self.save_to_dir is not None:
            self._save(image, rows, arrays["draws"][:, -1].astype(int).tolist())
        x = (image, *(values[rows] for values in self._extra)) if self._extra else image
        return self._targets.beside(x, rows, image)

    def _save(self, image: NDArray[Any], rows: NDArray[np.int64], hashes: list[int]) -> None:
        from fastclips.compat._base import legacy_pictures  # noqa: PLC0415 - rarely wanted

        assert self.save_to_dir is not None  # noqa: S101 - or nobody asks
        for pixels, row, number in zip(image, rows.tolist(), hashes, strict=True):
            stem = f"{self.save_prefix}_{row}_{number}"
            for step, frame in enumerate(pixels if self.time_steps is not None else [pixels]):
                name = f"{stem}_{step}" if self.time_steps is not None else stem
                path = os.path.join(self.save_to_dir, f"{name}.{self.save_format}")  # noqa: PTH118 - as given
                legacy_pictures.save(
                    np.moveaxis(frame, 0, -1) if self._generator.channels_first else frame, path
                )


def checked_picture(
    target_size: object, color_mode: object, interpolation: object, keep_aspect_ratio: object
) -> Picture:
    """Return how files become frames.

    Raises
    ------
    OptionError
        If an argument cannot work.
    """
    try:
        given: Any = target_size
        height, width = given
    except (TypeError, ValueError):
        raise OptionError(f"target_size={target_size!r}: must be (height, width) in pixels") from None
    return Picture(
        (checked_int(height, "target_size", 1), checked_int(width, "target_size", 1)),
        checked_choice(color_mode, "color_mode", tuple(CHANNELS)),
        checked_choice(interpolation, "interpolation", _INTERPOLATIONS),
        checked_bool(keep_aspect_ratio, "keep_aspect_ratio"),
    )


def frame_shape(picture: Picture, *, channels_first: bool) -> tuple[int, ...]:
    """Return the shape of a frame in the user's axes."""
    return (
        (picture.channels, *picture.target_size)
        if channels_first
        else (*picture.target_size, picture.channels)
    )
