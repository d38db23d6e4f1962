"""What counts how much: weights of samples in the loss, and chances of clips to be drawn.

Users give them by class or by video; here they become flat arrays: one number for each video, or one for
each class, or one for each of the 256 values of a mask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import checked_int, first_few, refuse_masked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastclips.data.index import Dataset

__all__ = ["by_class", "by_mask_value", "by_video", "clip_chances"]

_VALUES = 256  # of a mask
_LARGEST = float(np.finfo(np.float32).max)  # weights are float32 in a batch
_MUST = "must be a number from 0 that float32 can hold"


def by_video(weights: object, dataset: Dataset, knob: str) -> NDArray[np.float64]:
    """Check one weight for each video.

    Parameters
    ----------
    weights : array_like
        A number from 0 for each video.
    dataset : Dataset
        The videos.
    knob : str
        The option's name.

    Returns
    -------
    ndarray of float64, (videos,)
        The same.

    Raises
    ------
    OptionError
        If they are not so.
    """
    refuse_masked(weights, knob)
    try:
        values = np.array(weights)
    except (TypeError, ValueError):  # ragged
        values = np.empty(())
    values = values.astype(np.float64) if values.dtype.kind in "biuf" else np.empty(())
    if values.shape != (len(dataset),):
        raise OptionError(
            f"{knob}= must map classes to numbers or hold one number for each of the {len(dataset)} videos, "
            f"not {_shown(weights)}"
        )
    wrong = np.flatnonzero(~((values >= 0) & (values <= _LARGEST)))
    if len(wrong):
        raise OptionError(f"{knob}[{wrong[0]}]={values[wrong[0]]}: {_MUST}")
    return values


def by_class(weights: Mapping[object, object], dataset: Dataset, knob: str) -> NDArray[np.float64]:
    """Make a table of weights of classes; those that are not named weigh 1.

    Parameters
    ----------
    weights : mapping
        From a class's name or number to a number from 0.
    dataset : Dataset
        Whose classes.
    knob : str
        The option's name.

    Returns
    -------
    ndarray of float64, (classes,)
        The weight of each.

    Raises
    ------
    OptionError
        If a class is unknown, or a weight is no such number.
    """
    table, seen = np.ones(len(dataset.classes)), set()
    number = {name: row for row, name in enumerate(dataset.classes)}
    for key, weight in weights.items():
        if isinstance(key, str):
            if key not in number:
                raise OptionError(
                    f"{knob}= names the class {key!r}; the dataset's are {first_few(dataset.classes)}"
                )
            row = number[key]
        else:
            row = checked_int(key, f"{knob}= for class", 0, len(table))
        if row in seen:
            raise OptionError(
                f"{knob}= names the class {dataset.classes[row]!r} twice, by name and by number"
            )
        seen.add(row)
        table[row] = _weight(weight, key, knob)
    return table


def by_mask_value(weights: Mapping[object, object], ignore: int, knob: str) -> NDArray[np.float64]:
    """Make a table of weights of a mask's values; those that are not named weigh 1, what is ignored 0.

    Parameters
    ----------
    weights : mapping of int to float
        From a value to a number from 0.
    ignore : int
        The value where there is nothing to learn.
    knob : str
        The option's name.

    Returns
    -------
    ndarray of float64, (256,)
        The weight of each.

    Raises
    ------
    OptionError
        If a value is no mask's, or a weight is no such number.
    """
    table = np.ones(_VALUES)
    table[ignore] = 0
    for key, weight in weights.items():
        value = checked_int(key, f"{knob}= for a mask's value", 0, _VALUES)
        if value == ignore:
            raise OptionError(
                f"{knob}= weighs {value}, which means there is nothing to learn; leave it out, or open the "
                "dataset with another ignore="
            )
        table[value] = _weight(weight, key, knob)
    return table


def clip_chances(
    weights: object, dataset: Dataset, cut: Callable[[], NDArray[np.int64]]
) -> NDArray[np.float64]:
    """Return how likely each clip of a video is drawn, relative to others.

    Parameters
    ----------
    weights : "balanced", mapping or array_like
        Classes alike often, whatever their numbers of clips; or the chance of each clip of a class; or of
        each clip of a video.
    dataset : Dataset
        The videos.
    cut : callable
        Returns the video of each clip; called where the numbers of clips count.

    Returns
    -------
    ndarray of float64, (videos,)
        Numbers from 0.

    Raises
    ------
    OptionError
        If they are not as described, or there is no one class for each video.
    """
    named = isinstance(weights, str)
    if named and weights != "balanced":
        raise OptionError(f"weights={weights!r}: must be 'balanced', a mapping of classes, or an array")
    if not (named or isinstance(weights, Mapping)):
        return by_video(weights, dataset, "weights")
    labels = None if dataset.index.labels is None else dataset.index.labels.per_video
    if labels is None:
        raise OptionError(
            f"weights={weights!r}: needs one class for each video; give an array with a number for each"
        )
    if isinstance(weights, Mapping):
        return np.asarray(by_class(weights, dataset, "weights")[labels])
    clips = np.bincount(labels[cut()], minlength=len(dataset.classes))
    return np.asarray(1 / np.maximum(clips, 1)[labels])


def _weight(weight: object, key: object, knob: str) -> float:
    number = np.asarray(weight)
    if number.shape != () or number.dtype.kind not in "biuf" or not 0 <= number <= _LARGEST:
        raise OptionError(f"{knob}= gives {key!r} the weight {weight!r}: {_MUST}")
    return float(number)


def _shown(weights: object) -> str:
    shape = np.shape(weights) if isinstance(weights, (np.ndarray, list, tuple)) else None
    return repr(weights) if shape is None else f"an array of shape {shape}"
