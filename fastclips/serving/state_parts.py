"""The parts of a loader's state: what its data and options are, in fields that can be compared.

Each field is the same in every process, and for the same data at another path. `fastclips.serving.state`
says how fields are compared. Parts are made once for each loader, when its state is first asked for. Large
labels and names of files are read for a spread of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.mixed_storage import MixedStorage
from fastclips.planning.per_set import PerSet
from fastclips.serving.descriptions import column_digest, describe
from fastclips.serving.state import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.data.dataset import Dataset
    from fastclips.data.index import Index
    from fastclips.data.labels import NamedLabels
    from fastclips.data.names import Names
    from fastclips.data.storage import Storage
    from fastclips.pixels.recipe import Recipe
    from fastclips.planning.clips import ClipSampler
    from fastclips.planning.plan import Plan
    from fastclips.serving.frame_check import Looked
    from fastclips.serving.outputs import Outputs
    from fastclips.spec import StreamSpec

__all__ = ["parts_of", "transforms_part"]

_BLOCK = 2**16  # rows at a time, to bound memory
_LOOKED = 32  # frames whose sizes a state holds
_VIDEOS, _FRAMES = 128, 16  # whose files' names are read: of so many videos so many frames
_LABEL_BYTES = 2**24  # of labels to read
_LABEL_ROWS = 4096  # whose labels are read at least


def parts_of(
    dataset: Dataset,
    plan: Plan,
    transforms: Mapping[str, Any],
    outputs: Outputs,
    looked: Mapping[str, Sequence[Looked]],
    *,
    damaged: str,
) -> dict[str, Mapping[str, Any]]:
    """Return the parts of a loader's state.

    Parameters
    ----------
    dataset : Dataset
        The loader's dataset, as all that follow are the loader's.
    plan, outputs
        Made from its options.
    transforms : mapping of str to object
        From `transforms_part`.
    looked : mapping of str to sequence of Looked
        The frames of each stream that were looked at.
    damaged : str
        As given.
    """
    index, names = dataset.index, outputs.streams
    labels = {name: index.every_label[name] for name in outputs.served_labels}
    return {
        "data": {
            "names": _names_digest(index.names),
            "videos": len(index),
            "frames": int(index.frame_counts.sum()),
            "counts": column_digest(index.frame_counts),
            "fps": None if index.fps is None else column_digest(index.fps),
            "starts": column_digest(index.starts),
            "storage": _kind_of(dataset.storage),
            **_sample(looked),
            "files": _files_digest(index, dataset.storage, names),
        },
        "clips": {"sampler": _described(plan.sampler), "choices": [*map(describe, plan.choices)]},
        "order": {
            "seed": plan.seed,
            "shuffle": plan.shuffle,
            **({} if plan.interleave is None else {"interleave": plan.interleave}),
            **({} if plan.draws_per_clip == 1 else {"draws_per_clip": plan.draws_per_clip}),
            **({} if plan.shares is None else {"shares": _shares(plan, dataset)}),
            "drop_last": plan.drop_last,
            "views": plan.views,
            "weights": None if plan.weights is None else column_digest(plan.weights),
        },
        "transforms": transforms,
        "outputs": {
            **outputs.described(),
            "damaged": damaged,
            "labels": {name: _labels_digest(index, named) for name, named in labels.items()},
            "streams": {s.name: _stream_text(s) for s in dataset.streams if s.name in names},
        },
    }


def transforms_part(recipe: Recipe, *, fast_dct: bool) -> dict[str, Any]:
    """Return the part of a state that describes transforms, and how frames are decoded."""
    return {
        "steps": [describe(step) for step in (*recipe.transforms, *recipe.steps)],
        "dct_scaling": recipe.dct_scaling,
        "fast_dct": fast_dct,
        "channels_first": recipe.channels_first,
    }


def _kind_of(storage: Storage) -> str:
    """Return the kind of a storage; of a mixed one, the kinds of its parts."""
    if isinstance(storage, MixedStorage):
        return " + ".join(type(part).__qualname__ for part in storage.parts)
    return type(storage).__qualname__


def _described(sampler: ClipSampler) -> str | list[str]:
    """Return the description of a sampler, or of each if the sets of a mix have unlike ones."""
    if not isinstance(sampler, PerSet):
        return describe(sampler)
    texts = [*map(describe, sampler.samplers)]
    if len({*texts}) == 1:
        return texts[0]
    return [f"{text} for {count} videos" for text, count in zip(texts, sampler.counts, strict=True)]


def _shares(plan: Plan, dataset: Dataset) -> list[str]:
    """Return the clips of each set in an epoch, and where sets begin, as texts."""
    counts = dataset.mixed.counts if dataset.mixed else ()
    pairs = enumerate(zip(plan.shares or (), counts, strict=True))
    return [f"{clips} clips of set {number} ({videos} videos)" for number, (clips, videos) in pairs]


def _names_digest(names: Names) -> str:
    """Return a digest of the names in their order, whatever names are held beside them."""
    blocks = range(0, len(names), _BLOCK)
    return digest_of(names.joined(first, min(first + _BLOCK, len(names))) for first in blocks)


def _sample(looked: Mapping[str, Sequence[Looked]]) -> dict[str, Any]:
    """Return sizes of frames in pixels, (height, width), and in bytes, by stream."""
    most = max(_LOOKED // max(len(looked), 1), 1)
    streams = {name: frames[:most] for name, frames in [*looked.items()][:_LOOKED]}
    return {
        "sizes": {name: [f.size and [*f.size] for f in frames] for name, frames in streams.items()},
        "bytes": {name: [f.nbytes for f in frames] for name, frames in streams.items()},
    }


def _stream_text(stream: StreamSpec) -> str:
    if stream.kind == "image":
        return f"pictures of {stream.channels} channels"
    if stream.is_field:
        return f"{stream.kind}, ignore={stream.unknown}"
    changed = stream.colors, stream.values, stream.smeared
    values = f", values {digest_of([repr(changed).encode()])}" if any(changed) else ""
    return f"masks, ignore={stream.ignore}{values}"


def _spread(count: int, most: int) -> list[int]:
    """Return numbers below `count`, all or `most` of them at even distances, with the first and the last."""
    return [int(number) for number in np.linspace(0, count - 1, min(count, most))]


def _files_digest(index: Index, storage: Storage, streams: Sequence[str]) -> str | None:
    """Return a digest of the names of frames' files, of some videos; None if there are none."""
    names = []
    try:
        for row in _spread(len(index), _VIDEOS):
            key, start = index.keys.item(row), index.starts.item(row)
            for frame in _spread(index.frame_counts.item(row), _FRAMES):
                names += [storage.where(name, key, start + frame).rpartition("/")[2] for name in streams]
    except Exception:  # noqa: BLE001 - of a storage of the user, for messages alone: it may be wrong
        return None
    return digest_of(name.encode("utf-8", "surrogateescape") for name in names)


def _labels_digest(index: Index, named: NamedLabels) -> str:
    """Return a digest of labels: of some rows if they are large, of three frames if frames have labels."""
    labels, classes = named
    per_frame = labels.per_frame

    def targets(rows: list[int]) -> NDArray[Any]:
        at = np.array(rows, np.int64)
        last = index.frame_counts[at] - 1
        frames = np.stack([0 * last, last // 2, last] if per_frame else [0 * last], axis=1)
        return labels.targets(at, frames.astype(np.int32))

    row_bytes = max(targets([0]).nbytes, 1)
    rows = _spread(len(index), max(_LABEL_ROWS, _LABEL_BYTES // row_bytes))
    head = f"{labels.kind} {list(classes)}".encode("utf-8", "surrogatepass")
    blocks = range(0, len(rows), _BLOCK)
    found = (column_digest(targets(rows[first : first + _BLOCK])).encode() for first in blocks)
    return digest_of([head, *found])
