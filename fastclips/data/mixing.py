"""``fastclips.mix``: several datasets -> one `Dataset`, with a share of the clips for each.

::

    datasets --streams are compared--> one tuple of streams
             --united.py-------------> one Index, rows set by set
             --mixed_storage.py------> one Storage
             --sets.py---------------> Sets: rows and weight of each, from which the plan takes its shares
"""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from fastclips.data.dataset import Dataset
from fastclips.data.mixed_storage import MixedStorage
from fastclips.data.sets import Sets
from fastclips.data.united import in_all, unite
from fastclips.errors import OptionError
from fastclips.options import checked_int

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastclips.data.storage import Storage
    from fastclips.spec import StreamSpec

__all__ = ["mix"]

_MOST_CLIPS = 2**40  # of an epoch
_SHOWN = 4  # datasets in a message


def mix(
    datasets: Iterable[Dataset], weights: Sequence[float] | None = None, clips_per_epoch: int | None = None
) -> Dataset:
    """Join datasets into one, and say how many clips of an epoch come from each.

    With `weights` or `clips_per_epoch`, each set has a fixed share of every epoch, and goes through shuffled
    epochs of its own: a set that is smaller than its share begins anew within an epoch, and a larger one
    continues where it stopped. So each clip of a set comes once before any of them comes twice, over all
    epochs. Without both, an epoch holds each clip of all sets once.

    Parameters
    ----------
    datasets : iterable of Dataset
        At least one, in folders, packs, stores, video files or arrays. Streams and labels of one name must
        be alike in kind and options. Those that not all datasets have are left out, with a warning in the
        log. Datasets that were split or selected from one, such as ``(data, data.select(rare))``, share
        decoded frames.
    weights : sequence of float, optional
        Relative number of clips of each set in an epoch, 0 or more: ``(3, 1)`` takes three quarters from the
        first set. Each number of clips is rounded so that all add up. By default the numbers of clips that
        the sampler makes of the sets, so that all clips come equally often.
    clips_per_epoch : int, optional
        Clips of an epoch on all ranks together, each crop of `ThreeCrop` or `TenCrop` counted, and draws of
        `draws_per_clip` not. By default as many as the sampler makes of all sets.

    Returns
    -------
    Dataset
        The videos of all sets, set by set. `Dataset.sets` are the sets, with the classes of all.
        `Dataset.classes` are united by name: those of the first set in their order, then those that each
        further set adds. `Dataset.split` and `Dataset.select` keep the shares.

    Raises
    ------
    OptionError
        There is no dataset, streams or labels of one name differ, or a weight or `clips_per_epoch` is out of
        range.

    See Also
    --------
    Dataset.sets : The sets, such as to evaluate each by itself.
    ClipLoader : Takes a sampler for all sets, or a list of one for each.

    Notes
    -----
    A mix with shares needs ``shuffle=True``, and neither `weights` nor `interleave` of `ClipLoader`, which
    order clips by themselves. For evaluation, mix without shares, or make a loader for each of
    `Dataset.sets`.

    Examples
    --------
    Three quarters of each epoch are clips of the first set, whose 12 clips then last for two epochs; the 6
    clips of the second set last for three:

    >>> data = fc.open("frames")
    >>> first, second = data.split(1 / 3)
    >>> mixed = fc.mix([first, second], weights=[3, 1], clips_per_epoch=8)
    >>> mixed
    <Dataset: 6 videos, 72 frames, 2 classes; image; 2 sets, weights 3:1, 8 clips per epoch>
    >>> loader = fc.ClipLoader(mixed, fc.Windows(4), batch_size=4, shuffle=True, workers=0)
    >>> len(loader), [np.bincount(loader.plan_table(epoch)["set"]).tolist() for epoch in range(3)]
    (2, [[6, 2], [6, 2], [6, 2]])

    Overlapping windows of the second set alone:

    >>> samplers = [fc.Windows(4), fc.Windows(4, step=1)]
    >>> loader = fc.ClipLoader(mixed, samplers, batch_size=4, shuffle=True, workers=0)

    Every clip of both once, such as for validation:

    >>> loader = fc.ClipLoader(fc.mix(mixed.sets), fc.Windows(4), batch_size=6, workers=0)
    >>> len(loader)
    3
    """
    sets = _checked(datasets)
    counts = tuple(map(len, sets))
    divided = Sets(
        counts,
        None if weights is None else _checked_weights(weights, len(sets)),
        None if clips_per_epoch is None else checked_int(clips_per_epoch, "clips_per_epoch", 1, _MOST_CLIPS),
    )
    streams = _common_streams([one.streams for one in sets])
    storages = {id(one.storage): one.storage for one in sets}
    number = {storage: place for place, storage in enumerate(storages)}
    of_set = [number[id(one.storage)] for one in sets]
    videos = [0] * len(storages)
    for one, place in zip(sets, of_set, strict=True):
        videos[place] = max(videos[place], _videos(one))
    storage: Storage = next(iter(storages.values()))
    if len(storages) > 1:
        storage = MixedStorage.of([*storages.values()], videos)
    return Dataset(storage, unite([one.index for one in sets], of_set, videos), streams, divided)


def _checked(datasets: object) -> list[Dataset]:
    """Return the datasets as a list; raise OptionError if there is none, or they cannot be mixed."""
    if isinstance(datasets, Dataset):
        raise OptionError("datasets= is a Dataset: must be several, as in fc.mix([first, second])")
    try:
        sets = [*datasets]  # type: ignore[misc] # of any type
    except TypeError:
        sets = []
    if not sets:
        raise OptionError(f"datasets={datasets!r:.200}: must hold datasets, as in fc.mix([first, second])")
    for number, one in enumerate(sets):
        if not isinstance(one, Dataset):
            raise OptionError(
                f"datasets[{number}]={one!r:.200}: must be a Dataset, such as fastclips.open(folder) returns"
            )
        if one.mixed is not None and one.mixed.has_shares:
            raise OptionError(
                f"datasets[{number}] is a mix with shares of its own: must have none; mix its sets with the "
                f"others, as in fc.mix([*datasets[{number}].sets, ...], weights=...)"
            )
    return sets


def _checked_weights(weights: object, sets: int) -> tuple[float, ...]:
    """Return weights as a tuple; raise OptionError unless there is a number of at least 0 for each set."""
    try:
        values = np.asarray(weights, np.float64)
    except (TypeError, ValueError):
        values = np.empty(())
    if values.shape != (sets,):
        raise OptionError(
            f"weights={weights!r:.200}: must hold a number for each of the {sets} datasets, such as "
            f"{[1.0] * sets}"
        )
    found = tuple(values.tolist())
    for number, weight in enumerate(found):
        if not 0 <= weight < math.inf:
            raise OptionError(f"weights[{number}]={weight}: must be finite and not negative")
    if not any(found):
        raise OptionError(f"weights={weights!r:.200}: must be above 0 for a dataset; all have weight 0")
    return found


def _common_streams(several: Sequence[tuple[StreamSpec, ...]]) -> tuple[StreamSpec, ...]:
    """Return the streams that all datasets have; raise OptionError if they differ, or there is none."""
    by_name = [{stream.name: stream for stream in streams} for streams in several]
    common = in_all("frames of the stream", by_name)
    if not common:
        had = "; ".join(", ".join(map(repr, streams)) for streams in by_name[:_SHOWN])
        raise OptionError(
            f"the datasets have the streams {had}: must have a stream of one name in all of them"
        )
    for name in common:
        for number, streams in enumerate(by_name):
            for field in fields(streams[name]):
                before, now = getattr(by_name[0][name], field.name), getattr(streams[name], field.name)
                if before != now:
                    raise OptionError(
                        f"stream {name!r} has {field.name}={before!r:.80} in datasets[0] and "
                        f"{field.name}={now!r:.80} in datasets[{number}]: must be the same in all data sets "
                        "of a mix; open them with the same options"
                    )
    return tuple(by_name[0][name] for name in common)


def _videos(dataset: Dataset) -> int:
    """Return how many numbers of videos the storage of a dataset has at least."""
    storage, times = dataset.storage, dataset.index.times
    if isinstance(storage, MixedStorage):
        return storage.videos
    return max(int(dataset.index.keys.max()) + 1, 0 if times is None else len(times))
