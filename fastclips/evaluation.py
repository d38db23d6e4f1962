"""Predictions for videos from predictions for clips.

A loader serves a video as several rows: windows or temporal views, each perhaps in several crops. Test
protocols average the predictions over them. The plan knows the video of each row, and the rows that only fill
the last batch of several ranks. So no clip counts twice, and the mean is the same, to the bit, for any batch
size and any number of ranks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import refuse_masked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from fastclips.loader import ClipLoader

__all__ = ["average_views"]


@runtime_checkable
class SupportsPlanTable(Protocol):
    """The part of `ClipLoader` that `average_views` uses."""

    world: int
    shuffle: bool

    def plan_table(self, epoch: int, rank: int | None = None) -> Mapping[str, NDArray[Any]]:
        """Return the clips of a rank: see `ClipLoader.plan_table`."""


def average_views(
    predictions: ArrayLike | Sequence[ArrayLike], loader: ClipLoader, *, epoch: int | None = None
) -> NDArray[Any]:
    """Average a model's predictions over the clips and views of each video.

    Pass probabilities to average probabilities, as most test protocols do, or logits to average logits.

    Parameters
    ----------
    predictions : array_like of float, (rows, ...)
        Predictions for all rows of one epoch, in the order served. With several ranks a list of such arrays,
        one for each rank, in the order of the ranks.
    loader : ClipLoader
        The loader that served the epoch; with several ranks, the loader of any rank.
    epoch : int, optional
        The epoch. Needed if epochs have different orders, as with ``shuffle=True``. Each pass over a loader
        is an epoch: the first ``predict`` reads epoch 0, the second epoch 1.

    Returns
    -------
    ndarray, (videos, ...)
        One row for each video of ``loader.dataset``, float32 if the predictions are, else float64. NaN for a
        video without a clip, such as a video that is too short. Padding rows are left out. Clips that
        ``drop_last`` left out are missing from the mean.

    Raises
    ------
    OptionError
        If the predictions are not those of one whole epoch of this loader.

    Examples
    --------
    Three windows of each of 6 videos; the prediction here is the mean brightness of a clip:

    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Views(4, temporal=3), batch_size=8, workers=0)
    >>> predictions = np.concatenate([x.mean(axis=(1, 2, 3)) for x, y in loader])
    >>> predictions.shape
    (18, 3)
    >>> fc.average_views(predictions, loader).shape
    (6, 3)
    """
    if not isinstance(loader, SupportsPlanTable):
        raise OptionError(f"loader={loader!r}: must be the ClipLoader that served the epoch")
    if epoch is None and loader.shuffle:
        raise OptionError(
            "epoch=None: must be the epoch that was served, since with shuffle=True each has its own order"
        )
    tables = [loader.plan_table(epoch or 0, rank) for rank in range(loader.world)]
    rows = [len(table["video"]) for table in tables]
    ranks = _checked(predictions, rows)
    values = np.concatenate(ranks) if len(ranks) > 1 else ranks[0]
    position, video, padding = (
        np.concatenate([table[name] for table in tables]) for name in ("position", "video", "padding")
    )
    order = np.lexsort((position, video))
    order = order[~padding[order]]
    shown, first, clips = np.unique(video[order], return_index=True, return_counts=True)
    means = np.full((len(loader.dataset), *values.shape[1:]), np.nan)
    sums = np.add.reduceat(values[order], first, axis=0, dtype=np.float64)
    means[shown] = sums / clips.reshape(-1, *[1] * (values.ndim - 1))
    return means.astype(np.float32 if values.dtype == np.float32 else np.float64, copy=False)


def _checked(predictions: ArrayLike | Sequence[ArrayLike], rows: list[int]) -> list[NDArray[Any]]:
    """Return the predictions of each rank, which may differ in the number of rows alone."""
    world = len(rows)
    if world == 1:
        return [_checked_rank(predictions, rows[0], "predictions")]
    if not isinstance(predictions, (list, tuple)) or len(predictions) != world:
        given = f"a {type(predictions).__name__}"
        given += f" of {len(predictions)}" if isinstance(predictions, (list, tuple)) else ""
        raise OptionError(
            f"predictions is {given}: must be a list of {world} arrays in the order of the ranks, since the "
            f"loader is one of {world} ranks; gather the predictions of all ranks"
        )
    ranks = [
        _checked_rank(array, expected, f"predictions[{rank}]")
        for rank, (array, expected) in enumerate(zip(predictions, rows, strict=True))
    ]
    for rank, array in enumerate(ranks):
        if array.shape[1:] != ranks[0].shape[1:]:
            raise OptionError(
                f"predictions[{rank}] of shape {array.shape}: must have the shape of predictions[0], "
                f"{ranks[0].shape}, apart from the number of rows"
            )
    return ranks


def _checked_rank(predictions: object, rows: int, name: str) -> NDArray[Any]:
    refuse_masked(predictions, name)
    try:
        array = np.asarray(predictions)
        if array.dtype.name == "bfloat16":  # of ml_dtypes; NumPy cannot compute with it
            array = array.astype(np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise OptionError(f"{name}: must be an array, one row for each clip ({error})") from error
    if array.ndim == 0 or array.dtype.kind not in "biuf":
        raise OptionError(
            f"{name} of shape {array.shape} and type {array.dtype}: must be numbers, one row for each clip"
        )
    if len(array) != rows:
        raise OptionError(
            f"{name} has {len(array)} rows: must have the {rows} rows of the epoch; predict each batch of "
            "one epoch once, in order"
        )
    return array
