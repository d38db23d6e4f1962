"""The iterators that `fastclips.compat.datasets` returns: windows of arrays, and clips of folders."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base.epochs import Epochs
from fastclips.compat.arrays.parts import CutSpec
from fastclips.compat.datasets.frame_spec import FrameSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fastclips.compat._base.pictures import Picture
    from fastclips.compat.arrays.parts import Part
    from fastclips.compat.datasets.listing import Found

__all__ = ["FolderDataset", "SeriesDataset"]


class SeriesDataset(Epochs):
    """Batches of windows of arrays; made by `timeseries_dataset_from_array`.

    Parameters
    ----------
    parts : mapping of str to Part
        ``"x"``, and perhaps ``"y"``.
    starts, offsets : ndarray of int64
        The first item of each window, and from there to each of its items.
    *arguments, **options
        As for `fastclips.compat._base.iterator.Iterator`.
    """

    def __init__(
        self,
        parts: Mapping[str, Part],
        starts: NDArray[np.int64],
        offsets: NDArray[np.int64],
        *arguments: Any,  # noqa: ANN401 - passed on
        **options: Any,  # noqa: ANN401 - passed on
    ) -> None:
        self._parts, self._starts, self._offsets = parts, starts, offsets
        super().__init__(len(starts), *arguments, time_steps=len(offsets), **options)

    def frames(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the items of windows, (B, T)."""
        return self._starts[samples, None] + self._offsets

    def spec(self) -> CutSpec:
        """Return how a batch is rendered."""
        return CutSpec(self._parts, self.rows, self.ticket_dtype)


class FolderDataset(Epochs):
    """Batches of clips or images of a folder; made by `image_dataset_from_directory`.

    Parameters
    ----------
    found : Found
        Content of the folder.
    starts : ndarray of int64, (N,)
        Where each clip begins among the frames of all videos.
    offsets : ndarray of int64, (T,), or None
        From there to each of its frames; None for images.
    picture : Picture
        How files become frames.
    *arguments, **options
        As for `fastclips.compat._base.iterator.Iterator`.

    Attributes
    ----------
    class_names : list of str or None
        Names of the classes, in the order of the labels.
    file_paths : list
        The path of each sample, in the order without `shuffle`; for clips, lists of the paths of their
        frames.
    """

    def __init__(
        self,
        found: Found,
        starts: NDArray[np.int64],
        offsets: NDArray[np.int64] | None,
        picture: Picture,
        *arguments: Any,  # noqa: ANN401 - passed on
        **options: Any,  # noqa: ANN401 - passed on
    ) -> None:
        self._found, self._starts, self._picture = found, starts, picture
        self._clips = offsets is not None
        self._offsets = np.zeros(1, np.int64) if offsets is None else offsets
        self.class_names = found.class_names
        self._labels = None if found.labels is None else found.labels[found.runs.files[starts]]
        super().__init__(len(starts), *arguments, time_steps=len(self._offsets), **options)

    @cached_property
    def file_paths(self) -> list[Any]:
        """The path of each sample, or the paths of its frames."""
        names, top = self._found.names, self._found.top
        rows = self.frames(np.arange(self.n)).tolist()
        paths = [[os.path.join(top, names[number]) for number in row] for row in rows]  # noqa: PTH118 - as given
        return paths if self._clips else [row[0] for row in paths]

    def frames(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the files of clips, (B, T)."""
        return np.asarray(self._found.runs.files[self._starts[samples, None] + self._offsets])

    def spec(self) -> FrameSpec:
        """Return how a batch is rendered."""
        return FrameSpec(self._found.files, self.rows, self.ticket_dtype, self._picture, self._clips)

    def assemble(self, arrays: Mapping[str, NDArray[Any]], rows: NDArray[np.int64]) -> Any:  # noqa: ANN401 - Iterator's
        """Return x or (x, y)."""
        x, mode = arrays["x"], self._found.label_mode
        if self._labels is None:
            return x
        labels = self._labels[rows]
        if mode == "categorical":
            return x, np.eye(len(self.class_names or ()), dtype=np.float32)[labels]
        return x, labels[:, None].astype(np.float32) if mode == "binary" else labels
