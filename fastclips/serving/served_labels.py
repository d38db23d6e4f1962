"""Labels of a batch: those of the dataset, with classes swapped for mirrored clips.

The worker that mirrors a clip reads the same draw of its ticket, so labels agree with pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastclips.errors import OptionError
from fastclips.options import checked_int, first_few
from fastclips.pixels.geometry.flips import swap_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastclips.data.dataset import Dataset
    from fastclips.pixels.recipe import Recipe

__all__ = ["ServedLabels"]


class ServedLabels:
    """The labels of a dataset's clips after a recipe.

    Parameters
    ----------
    dataset : Dataset
        The dataset with the labels.
    recipe : Recipe, optional
        The recipe, which may mirror clips; by default none does.

    Attributes
    ----------
    kind : str or None
        As in `fastclips.data.labels.Labels`; None if there are no labels.
    columns : int
        Number of a clip's first draws that `targets` needs.

    Raises
    ------
    OptionError
        If the recipe swaps classes that the dataset does not have.
    """

    def __init__(self, dataset: Dataset, recipe: Recipe | None = None) -> None:
        self._labels = dataset.index.labels
        self.kind = None if self._labels is None else self._labels.kind
        self._swapping = None if recipe is None else recipe.swapping
        if self._swapping is not None and not self._swapping.flip.label_pairs:
            self._swapping = None
        self.columns = 0
        if self._swapping is not None:
            self._swapped = _swapped_classes(self._swapping.flip.label_pairs, dataset, self.kind)
            self.columns = self._swapping.column() + 1

    def targets(
        self, videos: NDArray[np.int64], frames: NDArray[np.int32], draws: NDArray[np.float64]
    ) -> NDArray[Any]:
        """Return the labels of clips.

        Parameters
        ----------
        videos : ndarray of int64, (N,)
            Rows of the index.
        frames : ndarray of int32, (N, T)
            Frames within each video, ``~frame`` where a frame is repeated; read for ``frame_labels`` alone.
        draws : ndarray of float64, (N, n)
            Draws of each clip for the recipe, at least the first `columns`.

        Returns
        -------
        ndarray, (N, ...)
            A new array.
        """
        targets: NDArray[Any] = self._labels.targets(videos, frames)  # type: ignore[union-attr] # of some kind
        if self._swapping is None:
            return targets
        mirrored = self._swapping.flip.mirrors(draws[:, self._swapping.column()])
        if self.kind == "labels":
            targets[mirrored] = targets[mirrored][:, self._swapped]
        else:
            targets[mirrored] = self._swapped[targets[mirrored]]
        return targets


def _swapped_classes(
    pairs: tuple[tuple[str | int, str | int], ...], dataset: Dataset, kind: str | None
) -> NDArray[np.intp]:
    """Return the class that each class becomes in a mirrored clip."""
    if kind in (None, "target"):
        why = "no labels" if kind is None else "targets that are numbers"
        raise OptionError(
            f"RandomFlip's label_map={dict(pairs)!r}: needs classes, but this dataset has {why}"
        )
    numbers = [(_number(first, dataset), _number(second, dataset)) for first, second in pairs]
    named = [number for pair in numbers for number in pair]
    for number in named:
        if named.count(number) > 1:
            raise OptionError(
                f"RandomFlip's label_map={dict(pairs)!r}: must name a class once, but names "
                f"{dataset.classes[number]!r} by name and by number"
            )
    return swap_table(numbers, len(dataset.classes))


def _number(given: str | int, dataset: Dataset) -> int:
    if not isinstance(given, str):
        return checked_int(given, "a class in RandomFlip's label_map", 0, len(dataset.classes))
    if given not in dataset.classes:
        raise OptionError(
            f"RandomFlip's label_map names {given!r}: must be a class of the dataset, which has "
            f"{first_few(dataset.classes)}"
        )
    return dataset.classes.index(given)
