"""Targets and sample weights beside x."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastclips.compat._base.videos import Clips

__all__ = ["Targets", "taken"]


class Targets:
    """Targets by file, and those of samples.

    Parameters
    ----------
    mode : str or None
        A ``class_mode``; ``"arrays"`` serves `values` as they are.
    values : sequence or ndarray or tuple of ndarray
        By file: class numbers, or lists of them; or the arrays of ``"raw"`` and ``"multi_output"``.
    clips : Clips
        The files of each sample.
    classes : int
        Number of classes.
    weights : ndarray, optional
        By file; the weight of a clip is that of its newest frame.
    dtype : str
        Dtype of targets that are class numbers.
    per_frame : bool
        Whether there is a target for each frame of a clip, (B, T, ...), or that of the newest one, (B, ...).
    """

    def __init__(
        self,
        mode: str | None,
        values: Any,  # noqa: ANN401 - see above
        clips: Clips,
        *,
        classes: int = 0,
        weights: NDArray[Any] | None = None,
        dtype: str = "float32",
        per_frame: bool = False,
    ) -> None:
        self.weights = None if weights is None else weights[clips.newest]
        self._mode, self._values, self._clips, self._per_frame = mode, values, clips, per_frame
        self._classes, self._dtype = classes, dtype

    def beside(self, x: Any, rows: NDArray[np.int64], image: NDArray[Any]) -> Any:  # noqa: ANN401 - the user's choice
        """Return ``x``, ``(x, y)`` or ``(x, y, weight)`` for samples; `image` is y with ``"input"``."""
        if self._mode is None:
            return x
        y = image.copy() if self._mode == "input" else self._of(rows)
        return (x, y) if self.weights is None else (x, y, self.weights[rows])

    def _of(self, rows: NDArray[np.int64]) -> Any:  # noqa: ANN401 - an array, or several
        files = self._clips.frames(rows) if self._per_frame else self._clips.newest[rows]
        if self._mode in {"multi_output", "raw", "arrays"}:
            return taken(self._values, files)
        labels = [self._values[file] for file in files.reshape(-1)]
        if self._mode == "categorical":
            y = np.zeros((len(labels), self._classes), self._dtype)
            for place, label in enumerate(labels):
                y[place, label] = 1
        else:
            y = np.asarray(labels, self._dtype)
        return y.reshape(*files.shape, *y.shape[1:])


def taken(values: Any, places: NDArray[np.int64]) -> Any:  # noqa: ANN401 - as for Targets
    """Return the targets of some files."""
    if isinstance(values, tuple):
        return tuple(column[places] for column in values)
    return [values[place] for place in places.tolist()] if isinstance(values, list) else values[places]
