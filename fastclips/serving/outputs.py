"""The structure of a batch: which arrays are x, y and weight.

Small arrays (labels, valid time steps, weights of clips and time steps) are computed here, from the plan.
Weights of pixels are as large as masks, so workers write them, as `Outputs.weighting` says.

A weight has the shape of its target, since losses do not broadcast: (B,) for one label of a clip, (B, T) for
labels of frames, (B, T, H, W) for masks. A weight that only marks rows as padding has as many axes, of
length 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.errors import OptionError
from fastclips.planning.weights import by_class, by_mask_value, by_video
from fastclips.reserved import AUTO, LABEL, VALID, WEIGHT
from fastclips.serving.served_labels import ServedLabels
from fastclips.spec import Weighting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastclips.data.dataset import Dataset

__all__ = ["Outputs"]

_STEPS, _PIXELS = 2, 4  # axes of a weight of time steps, (B, T), and of pixels, (B, T, H, W)


class Outputs:
    """The structure of a loader's batches.

    Parameters
    ----------
    dataset : Dataset
        Its streams and labels may be named.
    inputs : str or sequence of str
        Names for x; a sequence gives a dict.
    targets : str, sequence of str or None
        Names for y; ``"auto"`` is the label, or None if there are no labels.
    sample_weight : "valid", mapping, array_like or None
        As for `fastclips.ClipLoader`.
    labels : ServedLabels, optional
        The labels after the recipe; by default those of the dataset.
    marks_padding : bool
        Whether rows that only fill the last batch must get weight 0.

    Attributes
    ----------
    streams : tuple of str
        Streams that workers must write.
    weighting : Weighting or None
        Weights of pixels that workers must write.

    Raises
    ------
    OptionError
        If a name is unknown, or the weights do not suit the target.
    """

    def __init__(
        self,
        dataset: Dataset,
        inputs: str | Sequence[str],
        targets: str | Sequence[str] | None,
        sample_weight: object = None,
        *,
        labels: ServedLabels | None = None,
        marks_padding: bool = False,
    ) -> None:
        self._dataset = dataset
        self._labels = labels or ServedLabels(dataset)
        if isinstance(targets, str) and targets == AUTO:
            targets = None if dataset.index.labels is None else LABEL
        self._inputs, self._targets = _names(inputs, "inputs"), _names(targets, "targets")
        names = dict.fromkeys((*self._inputs[0], *self._targets[0]))
        if LABEL in names and dataset.index.labels is None:
            raise OptionError(
                f"targets={targets!r}: this dataset has no labels; must be a stream, or None for no targets"
            )
        self.streams = tuple(name for name in names if name not in (LABEL, VALID))
        if not self.streams:
            raise OptionError(f"inputs={inputs!r}: must name a stream, here or in targets=")
        self._small = [name for name in names if name in (LABEL, VALID)]
        self.weighting: Weighting | None = None
        self._rows: NDArray[np.float64] | None = None  # weight of each video
        self._table: NDArray[np.float64] | None = None  # weight of each class
        self._weighed: int | None = None  # axes of the weight: 1, _STEPS or _PIXELS
        if sample_weight is not None or marks_padding:
            self._weigh(sample_weight)

    @property
    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the arrays of x, and of y."""
        return self._inputs[0], self._targets[0]

    def _weigh(self, sample_weight: object) -> None:
        """Determine the shape of the weight, and its tables."""
        targets, _ = self._targets
        if sample_weight is None:
            self._weighed = 1 if targets else None
            return
        if len(targets) != 1:
            raise OptionError(
                f"sample_weight= needs exactly one target, but targets= names "
                f"{', '.join(targets) or 'none'}: name one there"
            )
        self._weighed = self._axes(targets[0])
        if isinstance(sample_weight, str):
            self._check_valid(sample_weight, targets[0])
        elif isinstance(sample_weight, Mapping):
            self._weigh_classes(sample_weight, targets[0])
        else:
            self._rows = by_video(sample_weight, self._dataset, "sample_weight")
        if self._weighed == _PIXELS:
            ignore = next(stream.ignore for stream in self._dataset.streams if stream.name == targets[0])
            values = sample_weight if isinstance(sample_weight, Mapping) else {}
            table = by_mask_value(values, ignore, "sample_weight")
            self.weighting = Weighting(targets[0], tuple(table.tolist()))

    def _axes(self, target: str) -> int:
        labels = self._dataset.index.labels
        if target == LABEL and labels is not None and labels.kind == "frame_labels":
            return _STEPS
        if any(stream.mask for stream in self._dataset.streams if stream.name == target):
            return _PIXELS
        return 1

    def _check_valid(self, sample_weight: str, target: str) -> None:
        if sample_weight != VALID:
            raise OptionError(
                f"sample_weight={sample_weight!r}: must be 'valid', a mapping of classes, or an array"
            )
        if self._weighed == 1:
            raise OptionError(
                f"sample_weight='valid': must be None or weights, since {target!r} has no time steps; use "
                "labels of frames or a mask, or add 'valid' to inputs="
            )

    def _weigh_classes(self, table: Mapping[object, object], target: str) -> None:
        labels = self._dataset.index.labels
        if self._weighed == _PIXELS:
            return
        one_per_video = labels is not None and labels.per_video is not None
        if target != LABEL or not (one_per_video or self._weighed == _STEPS):
            raise OptionError(
                "sample_weight= by class needs one class for each video or frame; pass an array with a "
                "number for each video instead"
            )
        self._table = by_class(table, self._dataset, "sample_weight")

    def known(
        self,
        videos: NDArray[np.int64],
        frames: NDArray[np.int32],
        padding: NDArray[np.bool_],
        draws: NDArray[np.float64],
    ) -> dict[str, NDArray[Any]]:
        """Return the arrays of a batch that follow from the plan.

        Parameters
        ----------
        videos : ndarray of int64, (B,)
            Rows of the index.
        frames : ndarray of int32, (B, T)
            Frames within each video, ``~frame`` where a frame is repeated as padding.
        padding : ndarray of bool, (B,)
            Whether a row only fills the batch.
        draws : ndarray of float64, (B, n)
            Draws of each clip for the recipe.

        Returns
        -------
        dict of str to ndarray
            New arrays by name. If workers write weights of pixels, `WEIGHT` is the (B,) factor of these.
        """
        arrays: dict[str, NDArray[Any]] = {}
        targets = self._labels.targets(videos, frames, draws) if LABEL in self._small else np.empty(0)
        if LABEL in self._small:
            arrays[LABEL] = targets
        if VALID in self._small:
            arrays[VALID] = frames >= 0
        if self._weighed is not None:
            weight = (~padding).astype(np.float32)
            if self._rows is not None:
                weight *= self._rows[videos].astype(np.float32)
            if self._weighed == _STEPS:
                weight = weight[:, None] * (frames >= 0)
            if self._table is not None:  # of the label, which is then the target
                weight *= self._table[targets].astype(np.float32)
            arrays[WEIGHT] = weight.astype(np.float32, copy=False)
        return arrays

    def assemble(self, arrays: Mapping[str, NDArray[Any]]) -> Any:  # noqa: ANN401 - the user's choice
        """Return ``x``, ``(x, y)`` or ``(x, y, weight)`` of known and rendered arrays."""
        x, y = (
            {name: arrays[name] for name in names} if several else arrays[names[0]] if names else None
            for names, several in (self._inputs, self._targets)
        )
        if y is None:
            return x
        if self._weighed is None:
            return x, y
        names, several = self._targets
        weights = {name: self._beside(arrays[WEIGHT], name) for name in names}
        return x, y, weights if several else weights[names[0]]

    def _beside(self, weight: NDArray[np.float32], target: str) -> NDArray[np.float32]:
        """Return a weight with as many axes as the weight of a target."""
        return weight.reshape(*weight.shape, *[1] * (self._axes(target) - weight.ndim))


def _names(value: str | Sequence[str] | None, knob: str) -> tuple[tuple[str, ...], bool]:
    """Return the names, and whether they give a dict."""
    names = () if value is None or not isinstance(value, Iterable) else tuple(value)
    names = (value,) if isinstance(value, str) else names
    wrong = [name for name in names if not isinstance(name, str)]
    empty = not names and value is not None
    if wrong or empty or len(set(names)) < len(names) or (knob == "inputs" and (not names or LABEL in names)):
        raise OptionError(f"{knob}={value!r}: must be the name of a stream, or a sequence of different names")
    return names, value is not None and not isinstance(value, str)
