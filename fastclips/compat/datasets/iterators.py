"""The iterators that `fastclips.compat.datasets` returns: windows of arrays, and clips of folders."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips.compat._base.epochs import Epochs
from fastclips.compat.arrays.parts import CutSpec
from fastclips.compat.datasets.frame_spec import FrameSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fastclips.compat.arrays.parts import Part
    from fastclips.compat.datasets.listing import Found

__all__ = ["FolderDataset", "Picture", "SeriesDataset"]


class SeriesDataset(Epochs):
    """Windows of arrays; made by `timeseries_dataset_from_array`.

    Parameters
    ----------
    parts : mapping of str to Part
        ``"x"``, and perhaps ``"y"``.
    starts, offsets : ndarray of int64
        Each window's first item, and what to add for each of its items.
    batch_size, shuffle, seed, workers, memory
        As for `timeseries_dataset_from_array`.
    """

    def __init__(
        self,
        parts: Mapping[str, Part],
        starts: NDArray[np.int64],
        offsets: NDArray[np.int64],
        batch_size: int,
        shuffle: bool,
        seed: int | None,
        *,
        workers: int | None,
        memory: str | int,
    ) -> None:
        self._parts, self._starts, self._offsets = parts, starts, offsets
        super().__init__(
            len(starts),
            batch_size,
            shuffle,
            seed,
            time_steps=len(offsets),
            workers=workers,
            memory=memory,
        )

    def frames(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the items of windows, (B, T)."""
        return self._starts[samples, None] + self._offsets

    def spec(self) -> CutSpec:
        """Return how a batch is rendered."""
        return CutSpec(self._parts, self.rows, self.ticket_dtype)

    def assemble(
        self,
        arrays: Mapping[str, NDArray[Any]],
        rows: NDArray[np.int64],  # noqa: ARG002 - Iterator's
    ) -> Any:  # noqa: ANN401 - as above
        """Return x or (x, y)."""
        return (arrays["x"], arrays["y"]) if "y" in arrays else arrays["x"]


class Picture(NamedTuple):
    """How a frame is made, in the order of `FrameSpec`."""

    color_mode: str
    size: tuple[int, int]
    interpolation: str
    aspect: str | None
    channels_first: bool


class FolderDataset(Epochs):
    """Clips or images of a folder; made by `image_dataset_from_directory`.

    Parameters
    ----------
    found : Found
        What the folder holds.
    starts : ndarray of int64, (N,)
        Where each clip begins among the frames of all videos.
    offsets : ndarray of int64, (T,), or None
        What to add for each of its frames; None for images.
    picture : Picture
        How a frame is made.
    batch_size, shuffle, seed, workers, memory
        As for `image_dataset_from_directory`.

    Attributes
    ----------
    class_names : list of str or None
        Of the labels, in order.
    file_paths : list
        The path of each sample, in the order in which they come without `shuffle`; of a clip, a list of the
        paths of its frames.
    """

    def __init__(
        self,
        found: Found,
        starts: NDArray[np.int64],
        offsets: NDArray[np.int64] | None,
        picture: Picture,
        batch_size: int,
        shuffle: bool,
        seed: int,
        *,
        workers: int | None,
        memory: str | int,
    ) -> None:
        self._found, self._starts, self._picture = found, starts, picture
        self._clips = offsets is not None
        self._offsets = np.zeros(1, np.int64) if offsets is None else offsets
        self.class_names = found.class_names
        self._labels = None if found.labels is None else found.labels[found.runs.files[starts]]
        super().__init__(
            len(starts),
            batch_size,
            shuffle,
            seed,
            time_steps=len(self._offsets),
            workers=workers,
            memory=memory,
        )

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
        picture = self._picture
        return FrameSpec(
            self._found.files,
            self.rows,
            self.ticket_dtype,
            picture.size,
            self._clips,
            picture.color_mode,
            picture.interpolation,
            picture.aspect,
            channels_first=picture.channels_first,
        )

    def assemble(self, arrays: Mapping[str, NDArray[Any]], rows: NDArray[np.int64]) -> Any:  # noqa: ANN401 - Iterator's
        """Return x or (x, y)."""
        if self._labels is None:
            return arrays["x"]
        labels = self._labels[rows]
        if self._found.label_mode == "categorical":
            return arrays["x"], np.eye(len(self.class_names or ()), dtype=np.float32)[labels]
        return arrays["x"], labels[:, None].astype(
            np.float32
        ) if self._found.label_mode == "binary" else labels
