"""Batches of pictures: `PictureIterator`, the base of what `ImageDataGenerator`'s three flows return.

A flow says where samples come from; `PictureIterator` renders them and puts targets beside them. A sample is
a picture, or with `time_steps` the pictures of a clip.
"""

from __future__ import annotations

import os
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastclips.compat._base.cache import KeptArrays
from fastclips.compat._base.iterator import Iterator
from fastclips.compat._base.tickets import DrawLayout
from fastclips.compat.image.spec import FIELD, PictureSpec
from fastclips.errors import OptionError
from fastclips.options import checked_bytes
from fastclips.spec import Field, SlotLayout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.compat._base.arrays import ArrayRows
    from fastclips.compat._base.files import FileList
    from fastclips.compat._base.pictures import Picture
    from fastclips.compat._base.videos import Clips
    from fastclips.compat.image.settings import Settings
    from fastclips.compat.image.targets import Targets
    from fastclips.spec import RenderSpec

__all__ = ["PictureIterator"]


class PictureIterator(Iterator):
    """Batches of pictures, augmented and standardised by a generator's settings.

    Parameters
    ----------
    generator : Settings
        Read when the first batch is asked for, and again when it was fitted or a setting was changed.
    storage : FileList or ArrayRows
        Source of frames.
    shape : tuple of int
        Shape of a frame before ``preprocessing_function``, in the user's axes.
    targets : Targets
        Targets of samples.
    clips : Clips
        The files, or rows of an array, of each sample.
    picture : Picture, optional
        How files become frames.
    time_steps : int or None
        Frames of a clip; None if a sample is one picture.
    extra : sequence of ndarray
        Further inputs, by sample.
    per_frame : bool
        Whether each frame of a clip has draws of its own.
    save_to_dir, save_prefix, save_format, cache
        As for `ImageDataGenerator.flow` and ``flow_from_directory``.
    batch_size, shuffle, seed, **options
        As for `Iterator`.
    """

    _fixed: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            (
                "save_to_dir",
                "class_mode",
                "subset",
                "target_size",
                "color_mode",
                "interpolation",
                "keep_aspect_ratio",
                "directory",
                "sample_weight",
                "x",
                "y",
            ),
            "make a new flow with {name}={value}",
        ),
        **dict.fromkeys(("dtype", "data_format"), "make a new generator with {name}={value}, and a new flow"),
        **dict.fromkeys(
            (
                "image_data_generator",
                "image_shape",
                "x_misc",
                "split",
                "labels",
                "classes",
                "class_indices",
                "num_classes",
                "filenames",
                "filepaths",
            ),
            "make a new flow",
        ),
    }
    _uncalled: ClassVar[Mapping[str, str]] = {
        "_get_batches_of_transformed_samples": (
            "change batches in an override of __getitem__, which calls super().__getitem__(index), or frames "
            "by ImageDataGenerator(preprocessing_function=)"
        ),
        **dict.fromkeys(
            ("_set_index_array", "_flow_index"),
            "seed= and shuffle= decide the order; fastclips.ClipLoader(weights=) draws clips by weights",
        ),
        "set_processing_attrs": "give the options of the flow as arguments",
    }
    _hashes = 10_000_000  # numbers in the names of saved pictures
    _clips: Clips

    def __init__(
        self,
        generator: Settings,
        storage: FileList | ArrayRows,
        shape: tuple[int, ...],
        targets: Targets,
        clips: Clips,
        *,
        picture: Picture | None = None,
        time_steps: int | None = None,
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
        generator.refuse_overrides()
        self._cached = checked_bytes(cache, "cache") if cache else 0
        self._generator, self._storage = generator, storage
        self._targets, self._picture, self._extra = targets, picture, tuple(extra)
        self.image_shape, self._leading = shape, () if time_steps is None else (time_steps,)
        self.save_to_dir, self.save_prefix, self.save_format = save_to_dir, save_prefix, save_format
        if save_to_dir is not None and not os.path.isdir(save_to_dir):  # noqa: PTH112 - as the user wrote it
            raise OptionError(
                f"save_to_dir={os.fspath(save_to_dir)!r}: there is no such folder; make it first"
            )
        self._draws = DrawLayout((time_steps or 1) if per_frame else 1, save_to_dir is not None)
        self.image_data_generator = generator
        self.data_format, self.dtype = generator.data_format, generator.dtype
        super().__init__(
            clips, batch_size, shuffle, seed, draws=self._draws.size, time_steps=time_steps or 1, **options
        )

    def draw(self, random: np.random.RandomState, samples: NDArray[np.int64]) -> NDArray[np.float64]:
        """Draw parameters in Keras's order, then names of saved files, then seeds for the user's function."""
        size = self.image_shape[1:] if self._generator.channels_first else self.image_shape[:2]
        draws = self._draws.draw(self._generator.augmentation, random, len(samples), size)
        if self.save_to_dir is not None:
            draws[:, -1] = [random.randint(self._hashes) for _ in samples]
        if self._generator.preprocessing_function:
            numbers = self._draws.sets_of(draws)[:, :, -1]
            numbers[...] = random.random_sample(numbers.shape)
        return draws

    def version(self) -> tuple[object, ...]:
        """Return the generator's settings, and the values that were fitted."""
        self._generator.refuse_overrides()
        return tuple(getattr(self._generator, option.name) for option in fields(self._generator))

    def spec(self) -> RenderSpec:
        """Return how a batch is rendered."""
        generator, dtype = self._generator, np.dtype(self.dtype).name

        def layout(shape: tuple[int, ...]) -> SlotLayout:
            return SlotLayout(self.rows, (Field(FIELD, (*self._leading, *shape), dtype),))

        spec = PictureSpec(
            storage=self._storage,
            layout=layout(self.image_shape),
            ticket_dtype=self.ticket_dtype,
            draws=self._draws,
            augmentation=generator.augmentation,
            standardization=generator.standardization(say=True),
            picture=self._picture,
            working=dtype,
            channels_first=generator.channels_first,
            clip=bool(self._leading),
        )
        if spec.standardization.function is None:
            generator.check_fitted(self.image_shape)
        else:
            from fastclips.compat.image.render import probe  # noqa: PLC0415 - the workers' module

            spec = replace(spec, layout=layout(probe(spec, self._plan(self.epoch, 0).tickets[0])))
        picture = self._picture
        if picture is None or not self._cached:
            return spec
        frame = (*picture.size, picture.channels)
        return replace(spec, cache=KeptArrays.within(self._cached, len(self._storage), frame))

    def assemble(self, arrays: Mapping[str, NDArray[Any]]) -> Any:  # noqa: ANN401 - the user's choice
        """Make ``x``, ``(x, y)`` or ``(x, y, weight)``."""
        image, rows = arrays[FIELD], arrays["samples"]
        if self.save_to_dir is not None:
            self._save(self.save_to_dir, image, rows, arrays["draws"][:, -1].astype(int).tolist())
        x = (image, *(values[rows] for values in self._extra)) if self._extra else image
        return self._targets.beside(x, rows, image)

    def _save(
        self, folder: str | os.PathLike[str], image: NDArray[Any], rows: NDArray[np.int64], hashes: list[int]
    ) -> None:
        from fastclips.compat._base import legacy_pictures  # noqa: PLC0415 - rarely wanted

        clip = bool(self._leading)
        for pixels, row, number in zip(image, rows.tolist(), hashes, strict=True):
            for step, frame in enumerate(pixels if clip else pixels[None]):
                name = f"{self.save_prefix}_{row}_{number}" + f"_{step}" * clip
                legacy_pictures.save(
                    np.moveaxis(frame, 0, -1) if self._generator.channels_first else frame,
                    os.path.join(folder, f"{name}.{self.save_format}"),  # noqa: PTH118 - as given
                )
