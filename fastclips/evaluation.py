"""From what a model said of clips to what it says of videos.

A loader serves a video as several rows: its windows or temporal views, each perhaps in several crops. A model
is judged by the mean over them. Which rows belong to which video is the plan's knowledge, and so is which are
there only to fill up the last batch of several ranks. So nothing is counted twice, and the mean is the same,
to the bit, for any batch size and any number of ranks.
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
    """What is asked of a loader."""

    world: int
    shuffle: bool

    def plan_table(self, epoch: int, rank: int | None = None) -> Mapping[str, NDArray[Any]]:
        """Return the rows of a rank: see `ClipLoader.plan_table`."""


def average_views(
    predictions: ArrayLike | Sequence[ArrayLike], loader: ClipLoader, *, epoch: int | None = None
) -> NDArray[Any]:
    """Average a model's predictions over the clips and views of each video.

    What is averaged is the caller's choice: probabilities, as most test protocols have it, or logits.

    Parameters
    ----------
    predictions : array_like of float, (rows, ...)
        What the model gave for each row of an epoch, in the order served. With several ranks a list of one
        such array for each rank, in the order of the ranks.
    loader : ClipLoader
        Who served them; with several ranks, that of any one.
    epoch : int, optional
        Which epoch it was; needed where epochs have different orders, as with ``shuffle=True``. Each pass
        over a loader is an epoch, so the first ``predict`` shows epoch 0 and the second epoch 1.

    Returns
    -------
    ndarray, (videos, ...)
        One row for each video of ``loader.dataset``, float32 if the predictions are, else float64. NaN for a
        video that gave no clip, as one that is too short. Rows that only fill up the last batch are left
        out; clips that ``drop_last`` left out are missing from the mean.

    Raises
    ------
    OptionError
        If the predictions are not those of one whole epoch of this loader.

    Examples
    --------
    Ten windows of each video, three crops of each:

    >>> loader = ClipLoader(
    ...     test, Views(16, temporal=10), [Resize(short_side=256), ThreeCrop(256)], batch_size=8
    ... )  # doctest: +SKIP
    >>> of_clips = model.predict(ClipSequence(loader))  # doctest: +SKIP
    >>> of_videos = average_views(of_clips, loader)  # doctest: +SKIP
    >>> (of_videos.argmax(axis=1) == labels).mean()  # doctest: +SKIP
    """
    if not isinstance(loader, SupportsPlanTable):
        raise OptionError(f"loader={loader!r}: must be the ClipLoader that served what was predicted")
    if epoch is None and loader.shuffle:
        raise OptionError("with shuffle=True each epoch has an order of its own: say which it was by epoch=")
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
    """Return the predictions of each rank, of one shape but for their rows."""
    world = len(rows)
    if world == 1:
        return [_checked_rank(predictions, rows[0], "predictions")]
    if not isinstance(predictions, (list, tuple)) or len(predictions) != world:
        given = f"a {type(predictions).__name__}"
        given += f" of {len(predictions)}" if isinstance(predictions, (list, tuple)) else ""
        raise OptionError(
            f"predictions is {given}, and the loader one of {world} ranks: gather what each rank predicted "
            f"and pass a list of {world} arrays, in the order of the ranks"
        )
    ranks = [
        _checked_rank(one, expected, f"predictions[{rank}]")
        for rank, (one, expected) in enumerate(zip(predictions, rows, strict=True))
    ]
    for rank, one in enumerate(ranks):
        if one.shape[1:] != ranks[0].shape[1:]:
            raise OptionError(
                f"predictions[{rank}] of shape {one.shape} does not go with predictions[0] of shape "
                f"{ranks[0].shape}: all ranks must predict alike"
            )
    return ranks


def _checked_rank(predictions: object, rows: int, name: str) -> NDArray[Any]:
    refuse_masked(predictions, name)
    try:
        array = np.asarray(predictions)
        if array.dtype.name == "bfloat16":  # ml_dtypes' own, which NumPy's arithmetic does not know
            array = array.astype(np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise OptionError(f"{name}: must be an array, one row for each clip ({error})") from error
    if array.ndim == 0 or array.dtype.kind not in "biuf":
        raise OptionError(
            f"{name} of shape {array.shape} and type {array.dtype}: must be numbers, one row for each clip"
        )
    if len(array) != rows:
        raise OptionError(
            f"{name} has {len(array)} rows and the epoch {rows}: predict all batches of one epoch, "
            "each once and in order"
        )
    return array
