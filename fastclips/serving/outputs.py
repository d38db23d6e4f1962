"""The structure of a batch: which arrays are x, y and weight.

Small arrays (labels, valid time steps, numbers of frames, weights of clips and time steps) are computed here,
from the plan. Weights of pixels are as large as masks, so workers write them, as `Outputs.weighting` says.

Each target has a weight of its own, of its shape, since losses do not broadcast: (B,) for one label of a
clip, (B, T) for labels and targets of frames, (B, T, H, W) for masks. A weight that only marks rows as
padding has as many axes, of length 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips.data.labels import FrameValues
from fastclips.errors import OptionError
from fastclips.options import first_few
from fastclips.planning.weights import by_class, by_mask_value, by_video
from fastclips.reserved import AUTO, FRAME_INDEX, LABEL, OF_PLAN, TIMESTAMP, VALID, VIDEO_INDEX, WEIGHT
from fastclips.serving.served_labels import ServedLabels
from fastclips.serving.state import digest_of
from fastclips.spec import Weighting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastclips.data.dataset import Dataset

__all__ = ["Outputs"]

_STEPS, _PIXELS = 2, 4  # axes of a weight of time steps, (B, T), and of pixels, (B, T, H, W)


class _Weight(NamedTuple):
    """The weight of a target.

    Parameters
    ----------
    axes : int
        1, `_STEPS` or `_PIXELS`.
    rows : ndarray of float64, (videos,), optional
        Weight of each video.
    table : ndarray of float64, (classes,), optional
        Weight of each class.
    """

    axes: int = 1
    rows: NDArray[np.float64] | None = None
    table: NDArray[np.float64] | None = None


class Outputs:
    """The structure of a loader's batches.

    Parameters
    ----------
    dataset : Dataset
        Its streams and labels may be named, and what the plan knows of each clip.
    inputs : str or sequence of str
        Names for x; a sequence gives a dict.
    targets : str, sequence of str or None
        Names for y; ``"auto"`` is ``"label"``, or None if there are no such labels.
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
    served_labels : tuple of str
        Names of the labels in a batch.

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
            targets = LABEL if LABEL in self._labels.labels else None
        self._inputs, self._targets = _names(inputs, "inputs"), _names(targets, "targets")
        names = dict.fromkeys((*self._inputs[0], *self._targets[0]))
        if LABEL in names and LABEL not in self._labels.labels:
            knob = f"targets={targets!r}" if LABEL in self._targets[0] else f"inputs={inputs!r}"
            others = f" of this name, but {first_few([*self._labels.labels])}" if self._labels.labels else ""
            raise OptionError(
                f"{knob}: this dataset has no labels{others}; must be a stream, or None for no targets"
            )
        self._small = [name for name in names if name in OF_PLAN or name in self._labels.labels]
        self.streams = tuple(name for name in names if name not in self._small)
        self.served_labels = tuple(name for name in self._small if name in self._labels.labels)
        if not self.streams:
            raise OptionError(f"inputs={inputs!r}: must name a stream, here or in targets=")
        if TIMESTAMP in names:
            _check_times(dataset)
        self.weighting: Weighting | None = None
        self._weights: dict[str, _Weight] = {}  # by target; empty for batches without weights
        self._weighted = sample_weight is not None
        if sample_weight is not None:
            self._weights = self._weigh(sample_weight)
        elif marks_padding:
            self._weights = {name: _Weight() for name in self._targets[0]}

    @property
    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the arrays of x, and of y."""
        return self._inputs[0], self._targets[0]

    def described(self) -> dict[str, Any]:
        """Return the structure as fields of a state, as JSON has them."""
        inputs, targets = (
            list(names) if several else names[0] if names else None
            for names, several in (self._inputs, self._targets)
        )
        return {
            "inputs": inputs,
            "targets": targets,
            "sample_weight": self._digest() if self._weighted else None,
        }

    def _digest(self) -> str:
        """Return a digest of the weights."""
        arrays = [array for weight in self._weights.values() for array in (weight.rows, weight.table)]
        table = self.weighting.table if self.weighting else ()
        known = [b"" if array is None else array.astype("<f8").tobytes() for array in arrays]
        return digest_of([repr([*self._weights]).encode(), repr(table).encode(), *known])

    def _weigh(self, sample_weight: object) -> dict[str, _Weight]:
        """Return the weight of each target, as the user gives it."""
        targets, _ = self._targets
        if not targets:
            raise OptionError("sample_weight= needs a target, but targets= names none: name one there")
        if not set(self.streams) <= {stream.name for stream in self._dataset.streams}:
            return {}  # `find_layout` refuses the name
        if len(targets) == 1 and not _is_of_target(sample_weight, targets[0]):
            return {targets[0]: self._weight_of(targets[0], sample_weight, "sample_weight")}
        if not isinstance(sample_weight, Mapping) or not set(sample_weight) <= set(targets):
            raise OptionError(
                f"sample_weight={sample_weight!r:.80}: must be a mapping of names of targets to weights, "
                f"since targets= names {', '.join(targets)}, as in sample_weight={{{targets[0]!r}: ...}}"
            )
        named = {
            name: self._weight_of(name, given, f"sample_weight[{name!r}]")
            for name, given in sample_weight.items()
        }
        for name in targets:
            if name not in named:
                named[name] = self._valid_weight(name)
        return {name: named[name] for name in targets}

    def _valid_weight(self, target: str) -> _Weight:
        """Return the weight of a target beside weighted ones: 0 where there is nothing to learn, else 1."""
        axes = self._axes(target)
        if axes == _PIXELS and self.weighting is not None:
            warnings.warn(
                f"sample_weight=: only one mask can have weights of pixels, and {self.weighting.stream!r} "
                f"has them. Padded and ignored pixels of {target!r} have weight 1: use a loss that leaves "
                "out the value ignore for it",
                stacklevel=5,
            )
            return _Weight()
        if axes == 1 or self._is_averaged(target):
            return _Weight()
        return self._weight_of(target, VALID, f"sample_weight[{target!r}]")

    def _weight_of(self, target: str, given: object, knob: str) -> _Weight:
        axes = self._axes(target)
        rows = table = None
        self._check_steps(target, knob)
        if isinstance(given, str):
            _check_valid(given, target, axes, knob)
        elif not isinstance(given, Mapping):
            rows = by_video(given, self._dataset, knob)
        elif axes != _PIXELS:
            table = self._by_class(given, target, knob)
        if axes == _PIXELS:
            if self.weighting is not None:
                raise OptionError(
                    f"{knob}: only one mask can have weights of pixels, and {self.weighting.stream!r} has "
                    "them; leave out one of the two"
                )
            ignore = next(stream.ignore for stream in self._dataset.streams if stream.name == target)
            values = given if isinstance(given, Mapping) else {}
            self.weighting = Weighting(target, tuple(by_mask_value(values, ignore, knob).tolist()))
        return _Weight(axes, rows, table)

    def _check_steps(self, target: str, knob: str) -> None:
        """Refuse weights of time steps for a target over whose time steps a loss of Keras averages."""
        if self._is_averaged(target):
            raise OptionError(
                f"{knob}: {target!r} is one number for each frame, (B, T), over which losses average before "
                "they are weighted; give its values as (frames, 1), values[:, None], so that it is (B, T, 1)"
            )

    def _is_averaged(self, target: str) -> bool:
        labels = self._labels.labels[target].labels if target in self._labels.labels else None
        return isinstance(labels, FrameValues) and labels.values.ndim == 1

    def _by_class(self, given: Mapping[object, object], target: str, knob: str) -> NDArray[np.float64]:
        """Return the weight of each class of a target."""
        kind = self._labels.kind(target)
        if kind not in ("label", "frame_labels"):
            raise OptionError(
                f"{knob}= by class needs one class for each video or frame; pass an array with a number for "
                "each video instead"
            )
        return by_class(given, self._labels.labels[target].classes, knob)

    def _axes(self, target: str) -> int:
        if self._labels.per_frame(target):
            return _STEPS
        if any(stream.mask for stream in self._dataset.streams if stream.name == target):
            return _PIXELS
        return 1

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
            New arrays by name, and the weights of targets. If workers write weights of pixels, `WEIGHT` is
            the (B,) factor of these.
        """
        arrays = {name: self._array(name, videos, frames, draws) for name in self._small}
        for target, (axes, rows, table) in self._weights.items():
            weight = (~padding).astype(np.float32)
            if rows is not None:
                weight *= rows[videos].astype(np.float32)
            if axes == _STEPS:
                weight = weight[:, None] * (frames >= 0)
            if table is not None:
                weight *= table[arrays[target]].astype(np.float32)
            arrays[self._field(target)] = weight.astype(np.float32, copy=False)
        return arrays

    def _array(
        self, name: str, videos: NDArray[np.int64], frames: NDArray[np.int32], draws: NDArray[np.float64]
    ) -> NDArray[Any]:
        """Return labels, or what the plan knows of clips."""
        if name == VALID:
            return frames >= 0
        if name == FRAME_INDEX:
            return np.where(frames < 0, ~frames, frames).astype(np.int64)
        if name == TIMESTAMP:
            return self._dataset.index.seconds(videos, frames)
        if name == VIDEO_INDEX:
            return videos.astype(np.int64)
        return self._labels.targets(name, videos, frames, draws)

    def _field(self, target: str) -> str:
        """Return the name of the array that holds the weight of a target."""
        written = self.weighting is not None and self.weighting.stream == target
        return WEIGHT if written else f"{WEIGHT} of {target}"

    def assemble(self, arrays: Mapping[str, NDArray[Any]]) -> Any:  # noqa: ANN401 - the user's choice
        """Return ``x``, ``(x, y)`` or ``(x, y, weight)`` of known and rendered arrays."""
        x, y = (
            {name: arrays[name] for name in names} if several else arrays[names[0]] if names else None
            for names, several in (self._inputs, self._targets)
        )
        if y is None:
            return x
        if not self._weights:
            return x, y
        names, several = self._targets
        weights = {name: self._beside(arrays[self._field(name)], name) for name in names}
        return x, y, weights if several else weights[names[0]]

    def _beside(self, weight: NDArray[np.float32], target: str) -> NDArray[np.float32]:
        """Return a weight with as many axes as the weight of a target."""
        return weight.reshape(*weight.shape, *[1] * (self._axes(target) - weight.ndim))


def _check_times(dataset: Dataset) -> None:
    try:
        rows = np.array([0] if dataset.mixed is None else dataset.mixed.begins[:-1])  # a row of each set
        dataset.index.seconds(rows, np.zeros((len(rows), 1), np.int32))
    except OptionError as error:
        raise OptionError(f"{TIMESTAMP!r} in inputs or targets: {error}") from None


def _is_of_target(sample_weight: object, target: str) -> bool:
    """Whether weights of one target are given by its name, and not by class: ``{"label": {"rare": 5}}``."""
    if not isinstance(sample_weight, Mapping) or set(sample_weight) != {target}:
        return False
    return isinstance(sample_weight[target], (str, Mapping)) or np.ndim(sample_weight[target]) > 0


def _check_valid(given: str, target: str, axes: int, knob: str) -> None:
    if given != VALID:
        raise OptionError(f"{knob}={given!r}: must be 'valid', a mapping of classes, or an array")
    if axes == 1:
        raise OptionError(
            f"{knob}='valid': must be None or weights, since {target!r} has no time steps; use labels of "
            "frames or a mask, or add 'valid' to inputs="
        )


def _names(value: str | Sequence[str] | None, knob: str) -> tuple[tuple[str, ...], bool]:
    """Return the names, and whether they give a dict."""
    names = () if value is None or not isinstance(value, Iterable) else tuple(value)
    names = (value,) if isinstance(value, str) else names
    wrong = [name for name in names if not isinstance(name, str)]
    empty = not names and value is not None
    if wrong or empty or len(set(names)) < len(names) or (knob == "inputs" and not names):
        raise OptionError(
            f"{knob}={value!r}: must be the name of a stream or of labels, or a sequence of them"
        )
    return names, value is not None and not isinstance(value, str)
