"""`paired_random_crop`: its arguments, checked, and the iterator that draws the boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base.arrays import ArrayRows
from fastclips.compat._base.iterator import Iterator
from fastclips.compat._base.videos import Clips
from fastclips.compat.arrays.parts import Crop, CutSpec
from fastclips.errors import OptionError
from fastclips.options import checked_bool, checked_choice, checked_size, checked_workers

if TYPE_CHECKING:
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
    """Cut the same random boxes out of images or clips and out of their masks.

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
        Samples in a batch; the last batch of an epoch may be smaller.
    per : {"clip", "batch"}
        Whether each sample has a box of its own, the same in all of its frames, or each batch has one.
    shuffle : bool
        Whether each epoch has an order of its own.
    seed : int, optional
        0 to 2**32 - 1; equal seeds give equal batches, for any number of workers. By default, a seed is
        drawn.
    drop_last : bool
        Whether a last, smaller batch is left out.
    workers : int, optional
        Worker processes. By default 0: a crop is only a copy, so the caller makes it, straight from `x` and
        `y`. Workers help with slow disks, as they read ahead; arrays in memory are copied once for them. None
        stands for the number of cores.
    memory : str or int
        Ceiling for the workers' batches in shared memory.

    Returns
    -------
    PairedCrops
        Batches (x, y) without end, for ``next()`` and ``fit``: (B, h, w, C) or (B, T, h, w, C) and the same
        of the masks, in the dtypes of `x` and `y`. ``len()`` is the number of batches in an epoch, which
        ``fit`` trains on without ``steps_per_epoch``.

    Raises
    ------
    OptionError
        If an argument is out of range, or the arrays do not fit each other.
    DataError
        If a file cannot be read.

    Examples
    --------
    >>> x = np.arange(2 * 4 * 4).reshape(2, 4, 4, 1)
    >>> crops = fc.compat.paired_random_crop(x, x[..., 0] % 2, crop=2, batch_size=2, seed=0)
    >>> images, masks = next(crops)
    >>> images.shape, masks.shape, bool((images[..., 0] % 2 == masks).all())
    ((2, 2, 2, 1), (2, 2, 2), True)
    """
    shared = checked_workers(workers, shared=True) > 0
    per_batch = checked_choice(per, "per", ("clip", "batch")) == "batch"
    rows = {name: ArrayRows.open(value, name, shared=shared) for name, value in (("x", x), ("y", y))}
    shape = rows["x"].shape
    _check_shapes(shape, rows["y"].shape)
    clips = len(shape) == _CLIPS
    steps, frame = shape[1] if clips else 1, shape[1 + clips : 3 + clips]
    size = checked_size(crop, "crop")
    if size[0] > frame[0] or size[1] > frame[1]:
        raise OptionError(
            f"crop={crop!r}: must fit into the frames, which are {frame[0]}x{frame[1]} (height x width)"
        )
    return PairedCrops(
        {name: Crop(array, size, clips) for name, array in rows.items()},
        per_batch,
        Clips(np.arange(shape[0] * steps), steps * np.arange(shape[0]), np.arange(steps)),
        batch_size,
        shuffle,
        seed,
        draws=2,
        drop_last=checked_bool(drop_last, "drop_last"),
        workers=workers,
        memory=memory,
    )


class PairedCrops(Iterator):
    """Batches (x, y) of crops; made by `paired_random_crop`.

    Parameters
    ----------
    parts : dict of str to Crop
        ``"x"`` and ``"y"``.
    per_batch : bool
        Whether all samples of a batch have one box.
    *arguments, **options
        As for `fastclips.compat._base.iterator.Iterator`.

    Attributes
    ----------
    n, samples, batch_size, shuffle, seed, epoch, batch_index
        As of all iterators: samples in an epoch, the arguments, the seed in use, the epoch that is served,
        and the batch that ``next()`` serves next.
    """

    _ends_without_steps = True  # it replaces a generator without end

    def __init__(self, parts: dict[str, Crop], per_batch: bool, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - passed on
        self._parts, self._per_batch = parts, per_batch
        crop = parts["x"]
        height, width = crop.rows.shape[1 + crop.clips : 3 + crop.clips]
        self._room = height - crop.size[0] + 1, width - crop.size[1] + 1
        super().__init__(*arguments, **options)

    def draw(self, random: np.random.RandomState, samples: NDArray[np.int64]) -> NDArray[np.float64]:
        """Draw the first row and column of each box, (B, 2)."""
        drawn = random.random_sample((1 if self._per_batch else len(samples), 2))
        return np.broadcast_to(np.floor(drawn * self._room), (len(samples), 2))

    def spec(self) -> CutSpec:
        """Return how a batch is rendered."""
        return CutSpec(self._parts, self.rows, self.ticket_dtype)


def _check_shapes(x: tuple[int, ...], y: tuple[int, ...]) -> None:
    if len(x) not in (_IMAGES, _CLIPS):
        raise OptionError(f"x of shape {x}: must be images (N, H, W, C) or clips (N, T, H, W, C)")
    if y[: len(x) - 1] != x[:-1] or len(y) not in (len(x) - 1, len(x)):
        axes = "N, H, W" if len(x) == _IMAGES else "N, T, H, W"
        raise OptionError(
            f"y of shape {y} with x of shape {x}: must be ({axes}) or ({axes}, C), with the same {axes}"
        )
