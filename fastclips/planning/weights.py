"""Weights of samples in the loss, and chances of clips to be drawn.

Users give weights by class or by video. This module turns them into arrays: one number for each video, for
each class, or for each of the 256 values of a mask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import checked_int, first_few, refuse_masked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from fastclips.data.dataset import Dataset

__all__ = ["by_class", "by_mask_value", "by_video", "choose", "clip_chances", "plan_weights"]

_VALUES = 256  # of a mask
_LARGEST = float(np.finfo(np.float32).max)  # weights are float32 in a batch
_MUST = "must be a number from 0 that float32 can hold"


def by_video(weights: object, dataset: Dataset, knob: str) -> NDArray[np.float64]:
    """Return one weight for each video.

    Parameters
    ----------
    weights : array_like
        A number of at least 0 for each video.
    dataset : Dataset
        The dataset of the videos.
    knob : str
        Name of the option, for messages.

    Returns
    -------
    ndarray of float64, (videos,)
        The same numbers.

    Raises
    ------
    OptionError
        If `weights` are no such numbers.
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
            f"but is {_shown(weights)}"
        )
    wrong = np.flatnonzero(~((values >= 0) & (values <= _LARGEST)))
    if len(wrong):
        raise OptionError(f"{knob}[{wrong[0]}]={values[wrong[0]]}: {_MUST}")
    return values


def by_class(weights: Mapping[object, object], classes: Sequence[str], knob: str) -> NDArray[np.float64]:
    """Return the weight of each class; classes that are not named have weight 1.

    Parameters
    ----------
    weights : mapping
        From the name or number of a class to a number of at least 0.
    classes : sequence of str
        Names of the classes.
    knob : str
        Name of the option, for messages.

    Returns
    -------
    ndarray of float64, (classes,)
        Weights in the order of the classes.

    Raises
    ------
    OptionError
        If a class is unknown, or a weight is no such number.
    """
    table, seen = np.ones(len(classes)), set()
    number = {name: row for row, name in enumerate(classes)}
    for key, weight in weights.items():
        if isinstance(key, str):
            if key not in number:
                raise OptionError(
                    f"{knob}= names {key!r}: must be a class of the dataset, which has {first_few(classes)}"
                )
            row = number[key]
        else:
            row = checked_int(key, f"{knob}= for class", 0, len(table))
        if row in seen:
            raise OptionError(
                f"{knob}= must name a class once, but names {classes[row]!r} by name and by number"
            )
        seen.add(row)
        table[row] = _weight(weight, key, knob)
    return table


def by_mask_value(weights: Mapping[object, object], ignore: int, knob: str) -> NDArray[np.float64]:
    """Return the weight of each value of a mask: 0 for `ignore`, 1 for values that are not named.

    Parameters
    ----------
    weights : mapping of int to float
        From a value to a number of at least 0.
    ignore : int
        The value of ignored pixels.
    knob : str
        Name of the option, for messages.

    Returns
    -------
    ndarray of float64, (256,)
        Weights by value.

    Raises
    ------
    OptionError
        If a key is not a value of masks, or a weight is no such number.
    """
    table = np.ones(_VALUES)
    table[ignore] = 0
    for key, weight in weights.items():
        value = checked_int(key, f"{knob}= for a mask's value", 0, _VALUES)
        if value == ignore:
            raise OptionError(
                f"{knob}= must not weigh {value}, which is ignored; leave it out, or open the dataset with "
                "another ignore="
            )
        table[value] = _weight(weight, key, knob)
    return table


def clip_chances(
    weights: object, dataset: Dataset, cut: Callable[[], NDArray[np.int64]]
) -> NDArray[np.float64]:
    """Return the relative chance of each video's clips to be drawn.

    Parameters
    ----------
    weights : "balanced", mapping or array_like
        ``"balanced"`` draws all classes of ``"label"`` equally often. A mapping holds the chance of each clip
        of such a class, an array that of each clip of a video.
    dataset : Dataset
        The dataset of the videos.
    cut : callable
        Returns the video of each clip; called for ``"balanced"`` alone.

    Returns
    -------
    ndarray of float64, (videos,)
        Numbers of at least 0.

    Raises
    ------
    OptionError
        If `weights` are not as described, or videos do not have one class each.
    """
    named = isinstance(weights, str)
    if named and weights != "balanced":
        raise OptionError(f"weights={weights!r}: must be 'balanced', a mapping of classes, or an array")
    if not (named or isinstance(weights, Mapping)):
        return by_video(weights, dataset, "weights")
    labels = None if dataset.index.labels is None else dataset.index.labels.per_video
    if labels is None:
        raise OptionError(
            f"weights={weights!r}: needs one class for each video in the labels called 'label', which this "
            "dataset does not have; pass an array with a number for each video"
        )
    if isinstance(weights, Mapping):
        return np.asarray(by_class(weights, dataset.classes, "weights")[labels])
    clips = np.bincount(labels[cut()], minlength=len(dataset.classes))
    return np.asarray(1 / np.maximum(clips, 1)[labels])


def plan_weights(weights: ArrayLike, clips: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the weights of a plan's videos scaled to a maximum of 1, and 0 for videos without a clip.

    Parameters
    ----------
    weights : array_like of float, (V,)
        Relative chance of each video's clips to be drawn.
    clips : ndarray of int64, (V,)
        Clips of each video.

    Returns
    -------
    ndarray of float64, (V,)
        Numbers from 0 to 1.

    Raises
    ------
    OptionError
        If `weights` are no such numbers, or 0 for all videos that give a clip.
    """
    given = np.asarray(weights)
    if given.shape != clips.shape or given.dtype.kind not in "iufb":
        raise OptionError(
            f"weights of shape {given.shape} and type {given.dtype}: must be numbers, one for each of "
            f"{len(clips)} videos"
        )
    checked = given.astype(np.float64)
    wrong = np.flatnonzero(~((checked >= 0) & np.isfinite(checked)))
    if len(wrong):
        raise OptionError(f"weights[{wrong[0]}]={checked[wrong[0]]}: must be finite and not negative")
    checked[clips == 0] = 0
    if not checked.any():
        raise OptionError(
            "weights=: must be above 0 for a video that gives a clip; all these videos have weight 0"
        )
    checked /= checked.max()  # keeps sums finite
    return checked


def choose(units: NDArray[np.float64], ends: NDArray[np.float64], views: int) -> NDArray[np.int64]:
    """Return the number (clip * views + view) that each draw selects.

    Clips lie end to end on a line, each as long as its weight, and a draw is a point on the line. A clip
    of weight 0 has no length, so no point falls on it.

    Parameters
    ----------
    units : ndarray of float64, (n,)
        Draws in [0, 1).
    ends : ndarray of float64, (clips,)
        Where each clip ends on the line.
    views : int
        Views of each clip, equally likely.
    """
    point = units * ends[-1]  # stays below the last end when rounded: units are at most 1 - 2**-53
    clip = np.searchsorted(ends, point, side="right")
    begin = np.where(clip > 0, ends[clip - 1], 0)
    view = ((point - begin) / (ends[clip] - begin) * views).astype(np.int64)
    chosen: NDArray[np.int64] = clip * views + np.minimum(view, views - 1)  # if rounded up
    return chosen


def _weight(weight: object, key: object, knob: str) -> float:
    number = np.asarray(weight)
    if number.shape != () or number.dtype.kind not in "biuf" or not 0 <= number <= _LARGEST:
        raise OptionError(f"{knob}= gives {key!r} the weight {weight!r}: {_MUST}")
    return float(number)


def _shown(weights: object) -> str:
    shape = np.shape(weights) if isinstance(weights, (np.ndarray, list, tuple)) else None
    return repr(weights) if shape is None else f"an array of shape {shape}"
