"""Random crops of images and their masks: `paired_random_crop`, for arrays in memory and in .npy files.

It takes the place of the generator functions that people write for ``fit_generator``: a loop without end over
batches of two arrays, in which a box is drawn and cut out of both. What differs from most of these:

====================================  =================================================================
what they do                          here
====================================  =================================================================
draw samples with replacement         each sample once in every epoch, in an order of the epoch's own
leave out the last, smaller batch,    it is served with as many samples as are left; ``drop_last=True``
or serve an empty one                 leaves it out
one box for a batch                   one for each sample; ``per="batch"`` draws one for all
``steps_per_epoch`` must be given     it has a length, so ``fit`` knows; it may be given
NumPy's global generator              one of its own: equal seeds give equal batches
two ``generator.next()`` at a time    safe in several threads
mask and image drift apart            never: there is one box
====================================  =================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base.iterator import Iterator
from fastclips.compat.arrays.parts import Crop, CutSpec, open_source
from fastclips.errors import OptionError
from fastclips.options import checked_bool, checked_choice, checked_int, checked_workers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

__all__ = ["PairedCrops", "paired_random_crop"]

_IMAGES, _CLIPS = 4, 5  # axes


def paired_random_crop(
    x: ArrayLike | str | PathLike[str],
    y: ArrayLike | str | PathLike[str],
    crop: int | tuple[int, int],
    batch_size: int,
    per: str = "clip",
    shuffle: bool = True,
    seed: int | None = None,
    *,
    drop_last: bool = False,
    workers: int | None = 0,
    memory: str | int = "1GiB",
) -> PairedCrops:
    """Cut boxes out of images or clips, and the same ones out of their masks.

    Parameters
    ----------
    x : array_like or path
        Images (N, H, W, C) or clips (N, T, H, W, C), of any dtype. A .npy file, given by its path or as
        ``np.load(path, mmap_mode="r")``, stays on disk.
    y : array_like or path
        A mask for each frame, with or without an axis of channels, of any dtype.
    crop : int or (int, int)
        Side, or (height, width), of the box in pixels.
    batch_size : int
        Samples in a batch; the last one of an epoch may be smaller.
    per : {"clip", "batch"}
        Whether each sample has a box of its own, the same in all of its frames, or each batch has one.
    shuffle : bool
        Whether each epoch has an order of its own.
    seed : int, optional
        0 to 2**32 - 1: equal seeds give equal batches, for any number of workers. Without it, one is drawn.
    drop_last : bool
        Whether a last, smaller batch is left out.
    workers : int, optional
        Worker processes. A crop is a copy, so by default it is made in the caller, straight from `x` and
        `y`. Workers read ahead from slow disks; for them, arrays in memory are copied once. None is as many
        as there are cores.
    memory : str or int
        Ceiling for the workers' batches in shared memory.

    Returns
    -------
    PairedCrops
        Batches (x, y) without end, for ``next()`` and ``fit``; ``len()`` of them are an epoch.

    Raises
    ------
    OptionError
        An argument is out of range, or the arrays do not fit each other.
    DataError
        A file cannot be read.

    Examples
    --------
    >>> generator = paired_random_crop("x.npy", "y.npy", 224, batch_size=8)  # doctest: +SKIP
    >>> model.fit(generator, epochs=10)  # doctest: +SKIP
    """
    return PairedCrops(
        x, y, crop, batch_size, per, shuffle, seed, drop_last=drop_last, workers=workers, memory=memory
    )


class PairedCrops(Iterator):
    """What `paired_random_crop` returns; its parameters are that function's.

    Attributes
    ----------
    n, samples, batch_size, shuffle, seed, epoch, batch_index
        As `fastclips.compat.Iterator` has them.
    """

    def __init__(
        self,
        x: ArrayLike | str | PathLike[str],
        y: ArrayLike | str | PathLike[str],
        crop: int | tuple[int, int],
        batch_size: int,
        per: str = "clip",
        shuffle: bool = True,
        seed: int | None = None,
        *,
        drop_last: bool = False,
        workers: int | None = 0,
        memory: str | int = "1GiB",
    ) -> None:
        shared = checked_workers(workers) > 0
        self._per_batch = checked_choice(per, "per", ("clip", "batch")) == "batch"
        sources = {name: open_source(value, name, shared=shared) for name, value in (("x", x), ("y", y))}
        shape = sources["x"].shape
        _check_shapes(shape, sources["y"].shape)
        clips = len(shape) == _CLIPS
        size = _checked_crop(crop, shape[1 + clips : 3 + clips])
        self._parts = {name: Crop(source, size, clips) for name, source in sources.items()}
        self._room = shape[1 + clips] - size[0] + 1, shape[2 + clips] - size[1] + 1
        self._steps = shape[1] if clips else 1
        super().__init__(
            shape[0],
            batch_size,
            shuffle,
            seed,
            time_steps=self._steps,
            draws=2,
            drop_last=checked_bool(drop_last, "drop_last"),
            workers=workers,
            memory=memory,
        )

    def frames(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of samples' frames, (B, T)."""
        return samples[:, None] * self._steps + np.arange(self._steps)

    def draw(self, random: np.random.RandomState, samples: NDArray[np.int64]) -> NDArray[np.float64]:
        """Draw the first row and column of each box, (B, 2)."""
        drawn = random.random_sample((1 if self._per_batch else len(samples), 2))
        return np.broadcast_to(np.floor(drawn * self._room), (len(samples), 2))

    def spec(self) -> CutSpec:
        """Return how a batch is rendered."""
        return CutSpec(self._parts, self.rows, self.ticket_dtype)

    def assemble(
        self,
        arrays: Mapping[str, NDArray[Any]],
        rows: NDArray[np.int64],  # noqa: ARG002 - Iterator's
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return (x, y)."""
        return arrays["x"], arrays["y"]


def _check_shapes(x: tuple[int, ...], y: tuple[int, ...]) -> None:
    if len(x) not in (_IMAGES, _CLIPS):
        raise OptionError(f"x is {x}: must be images (N, H, W, C) or clips (N, T, H, W, C)")
    if y[: len(x) - 1] != x[:-1] or len(y) not in (len(x) - 1, len(x)):
        axes = "N, H, W" if len(x) == _IMAGES else "N, T, H, W"
        raise OptionError(
            f"x is {x} and y is {y}: masks must be ({axes}) or ({axes}, C), with the same {axes}"
        )


def _checked_crop(crop: object, frame: tuple[int, ...]) -> tuple[int, int]:
    try:
        height, width = crop if isinstance(crop, (tuple, list)) else (crop, crop)
        size = checked_int(height, "crop", 1), checked_int(width, "crop", 1)
    except ValueError:  # OptionError is one
        raise OptionError(f"crop={crop!r}: must be an integer of 1 or more, or (height, width)") from None
    if size[0] > frame[0] or size[1] > frame[1]:
        raise OptionError(
            f"crop={crop!r}: is larger than the frames, which are {frame[0]}x{frame[1]} (height x width)"
        )
    return size
