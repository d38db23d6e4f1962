"""`timeseries_dataset_from_array`, and the iterator over windows of arrays that it returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base.arrays import ArrayRows
from fastclips.compat._base.epochs import TensorFlowMethods
from fastclips.compat._base.iterator import checked_batch
from fastclips.compat._base.videos import Clips
from fastclips.compat.arrays.parts import CutSpec, Item, Part, Window
from fastclips.errors import OptionError
from fastclips.options import checked_choice, checked_int, checked_workers

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

__all__ = ["SeriesDataset", "timeseries_dataset_from_array"]


def timeseries_dataset_from_array(
    data: ArrayLike | str | os.PathLike[str],
    targets: ArrayLike | str | os.PathLike[str] | None,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",  # noqa: A002 - Keras's
    *,
    workers: int | None = 0,
    memory: str | int = "1GiB",
) -> SeriesDataset:
    """Return batches of windows of an array, such as frames or other items in order of time.

    Parameters
    ----------
    data : array_like or path
        (N, ...), such as frames (N, H, W, C), of any dtype. A .npy file, given by its path or as
        ``np.load(path, mmap_mode="r")``, stays on disk.
    targets : array_like, path or None
        (M, ...): ``targets[i]`` belongs to the window that starts at ``data[i]``. None serves windows alone.
    sequence_length : int
        Items in a window.
    sequence_stride : int
        Items from the start of one window to the start of the next.
    sampling_rate : int
        Items from one item of a window to the next.
    batch_size : int
        Windows in a batch; the last batch may be smaller.
    shuffle : bool
        Whether each epoch has an order of its own.
    seed : int, optional
        Seed of the order, 0 to 2**32 - 1. By default, a seed is drawn.
    start_index, end_index : int, optional
        The first item of windows, and the first item after them.
    format : {"tf", "grain"}
        Makes no difference.
    workers : int, optional
        Worker processes. By default 0: a window is only a copy, so the caller makes it, straight from `data`.
        Workers help with slow disks, as they read ahead. None stands for the number of cores.
    memory : str or int
        Ceiling for the workers' batches in shared memory.

    Returns
    -------
    SeriesDataset
        Batches x (B, sequence_length, ...) or (x, y), y (B, ...), in the dtypes of `data` and `targets`. Each
        loop serves an epoch of its own, as NumPy arrays. The methods of a `tf.data.Dataset`, such as
        ``take(2)`` and ``map(function)``, return one, of tensors.

    Raises
    ------
    OptionError
        If an argument is out of range, or no window fits.
    DataError
        If a file cannot be read.

    Examples
    --------
    >>> dataset = fc.compat.timeseries_dataset_from_array(np.arange(6), np.arange(6) * 10, 3, batch_size=2)
    >>> for x, y in dataset:
    ...     print(x.tolist(), y.tolist())
    [[0, 1, 2], [1, 2, 3]] [0, 10]
    [[2, 3, 4], [3, 4, 5]] [20, 30]
    """
    checked_choice(format, "format", ("tf", "grain"))
    shared = checked_workers(workers, shared=True) > 0
    length = checked_int(sequence_length, "sequence_length", 1)
    stride = checked_int(sequence_stride, "sequence_stride", 1)
    rate = checked_int(sampling_rate, "sampling_rate", 1)
    rows = ArrayRows.open(data, "data", shared=shared)
    start = checked_int(0 if start_index is None else start_index, "start_index", 0, len(rows))
    end = checked_int(len(rows) if end_index is None else end_index, "end_index", start + 1, len(rows) + 1)
    stop = end - (length - 1) * rate  # windows begin before it
    parts: dict[str, Part] = {"x": Window(rows, length)}
    beside = ""
    if targets is not None:
        other = ArrayRows.open(targets, "targets", shared=shared)
        parts["y"], stop = Item(other), min(stop, len(other))
        beside = f" and {len(other)} targets"
    if stop <= start:
        raise OptionError(
            f"sequence_length={length} with sampling_rate={rate} spans {(length - 1) * rate + 1} items, but "
            f"there are {end - start} from {start} to {end}{beside}, so no window fits"
        )
    return SeriesDataset(
        parts,
        Clips(np.arange(len(rows)), np.arange(start, stop, stride), rate * np.arange(length)),
        checked_batch(batch_size),
        shuffle,
        seed,
        workers=workers,
        memory=memory,
    )


class SeriesDataset(TensorFlowMethods):
    """Batches of windows of arrays; made by `timeseries_dataset_from_array`.

    Parameters
    ----------
    parts : mapping of str to Part
        ``"x"``, and perhaps ``"y"``.
    *arguments, **options
        As for `fastclips.compat._base.iterator.Iterator`.
    """

    def __init__(self, parts: Mapping[str, Part], *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - passed on
        self._parts = parts
        super().__init__(*arguments, **options)

    def spec(self) -> CutSpec:
        """Return how a batch is rendered."""
        return CutSpec(self._parts, self.rows, self.ticket_dtype)
