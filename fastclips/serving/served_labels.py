"""Labels of a batch: those of the dataset, with classes swapped for mirrored clips.

The worker that mirrors a clip reads the same draw of its ticket, so labels agree with pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastclips.errors import OptionError
from fastclips.options import checked_int, first_few
from fastclips.pixels.geometry.flips import swap_table
from fastclips.reserved import LABEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fastclips.data.dataset import Dataset
    from fastclips.data.labels import NamedLabels
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
    labels : dict of str to NamedLabels
        The dataset's labels by name.
    columns : int
        Number of a clip's first draws that `targets` needs.

    Raises
    ------
    OptionError
        If the recipe swaps classes that the dataset does not have.
    """

    def __init__(self, dataset: Dataset, recipe: Recipe | None = None) -> None:
        self.labels = dataset.index.every_label
        self._swapping = None if recipe is None else recipe.swapping
        if self._swapping is not None and not self._swapping.flip.label_pairs:
            self._swapping = None
        self.columns = 0
        if self._swapping is not None:
            self._swapped = {
                name: _swapped_classes(name, pairs, self.labels.get(name))
                for name, pairs in self._swapping.flip.label_pairs.items()
            }
            self.columns = self._swapping.column() + 1

    def kind(self, name: str) -> str | None:
        """Return the kind of some labels, or None if there are none of this name."""
        return self.labels[name].labels.kind if name in self.labels else None

    def per_frame(self, name: str) -> bool:
        """Whether these are labels with a value for each time step."""
        return name in self.labels and self.labels[name].labels.per_frame

    def targets(
        self,
        name: str,
        videos: NDArray[np.int64],
        frames: NDArray[np.int32],
        draws: NDArray[np.float64],
    ) -> NDArray[Any]:
        """Return the labels of clips.

        Parameters
        ----------
        name : str
            Name of the labels.
        videos : ndarray of int64, (N,)
            Rows of the index.
        frames : ndarray of int32, (N, T)
            Frames within each video, ``~frame`` where a frame is repeated; read for labels `per_frame` alone.
        draws : ndarray of float64, (N, n)
            Draws of each clip for the recipe, at least the first `columns`.

        Returns
        -------
        ndarray, (N, ...)
            A new array.
        """
        targets = self.labels[name].labels.targets(videos, frames)
        if self._swapping is None or name not in self._swapped:
            return targets
        mirrored = self._swapping.flip.mirrors(draws[:, self._swapping.column()])
        if self.kind(name) == "labels":
            targets[mirrored] = targets[mirrored][:, self._swapped[name]]
        else:
            targets[mirrored] = self._swapped[name][targets[mirrored]]
        return targets


def _swapped_classes(
    name: str, pairs: tuple[tuple[str | int, str | int], ...], found: NamedLabels | None
) -> NDArray[np.intp]:
    """Return the class that each class of some labels becomes in a mirrored clip."""
    knob = f"RandomFlip's label_map={dict(pairs)!r}"
    if found is None or not found.classes:
        why = "targets that are numbers"
        if found is None:
            why = "no labels" if name == LABEL else f"no labels called {name!r}"
        raise OptionError(f"{knob}: needs classes, but this dataset has {why}")
    classes = found.classes
    numbers = [(_number(first, classes), _number(second, classes)) for first, second in pairs]
    named = [number for pair in numbers for number in pair]
    for number in named:
        if named.count(number) > 1:
            raise OptionError(
                f"{knob}: must name a class once, but names {classes[number]!r} by name and by number"
            )
    return swap_table(numbers, len(classes))


def _number(given: str | int, classes: Sequence[str]) -> int:
    if not isinstance(given, str):
        return checked_int(given, "a class in RandomFlip's label_map", 0, len(classes))
    if given not in classes:
        raise OptionError(
            f"RandomFlip's label_map names {given!r}: must be a class of the dataset, which has "
            f"{first_few(classes)}"
        )
    return classes.index(given)
