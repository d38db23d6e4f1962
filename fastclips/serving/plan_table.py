"""The clips of an epoch as a table, to map predictions back to videos and files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.storage import absent_picture, opened
from fastclips.errors import FrameError
from fastclips.pixels.decoding.decoder import frame_size
from fastclips.reserved import SET

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastclips.data.dataset import Dataset
    from fastclips.planning.plan import Plan
    from fastclips.serving.served_labels import ServedLabels

__all__ = ["PlanTable"]


class PlanTable(Mapping[str, "NDArray[Any]"]):
    """The clips of an epoch in served order, a mapping of columns. A column is computed on first access.

    =========== ========================================================================================
    position    int64 (rows,): place in the epoch, over all ranks
    video       int64 (rows,): row of ``dataset.index``
    name        object (rows,): name of the video
    start       int64 (rows,): first frame, counted as ``frames`` are
    view        int64 (rows,): number of the view, 0 if there is one
    padding     bool (rows,): whether the row only fills the batch; its weight is 0
    label       target ``"label"`` as it is served; absent if the dataset has no such labels
    other names other labels of the dataset, as they are served
    frames      int32 (rows, T): the clip's frames; ``~frame`` (below 0) where a frame is repeated
    paths       object (rows, T): path of each of these frames in the first stream
    size        int64 (rows, 2): height and width of the video's first frame, which is read for it
    set         int64 (rows,): number of the data set, from 0; absent unless the dataset is a mix
    =========== ========================================================================================

    ``start`` and ``frames`` count from the first frame of the row of ``dataset.index``, as ``frame_labels``
    do. If a list has ``start``, frame f of a row is frame ``dataset.index.starts[video] + f`` of the folder.

    Parameters
    ----------
    plan : Plan
        The plan of the epoch.
    dataset : Dataset
        The dataset of the plan's videos.
    labels : ServedLabels
        The labels after the recipe.
    epoch : int
        At least 0.
    rank : int, optional
        Another rank than the plan's.
    """

    def __init__(
        self, plan: Plan, dataset: Dataset, labels: ServedLabels, epoch: int, rank: int | None = None
    ) -> None:
        self._dataset, self._labels = dataset, labels
        self._plan, self._epoch, self._rank = plan, epoch, rank
        self._columns: dict[str, NDArray[Any]] = plan.table(epoch, rank)
        if dataset.mixed is not None:
            self._columns[SET] = dataset.mixed.of(self._columns["video"])
        self._names = dict.fromkeys((*self._columns, "name", *labels.labels, *_MADE))

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._columns:
            if name not in self._names:
                raise KeyError(f"there is no column {name!r}; there are {', '.join(self)}")
            self._columns[name] = _MADE[name](self) if name in _MADE else self._label(name)
        return self._columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    __hash__ = None  # type: ignore[assignment] # a table of arrays

    def __eq__(self, other: object) -> bool:
        return self is other

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"<PlanTable: {len(self['video'])} rows of {', '.join(self)}>"

    def _per_video(self, of: Callable[[int], Any], dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:  # noqa: ANN401 - NumPy's
        """Return a column whose values are computed once per video."""
        videos, rows = np.unique(self["video"], return_inverse=True)
        found = np.empty((len(videos), *shape), dtype)
        for number, video in enumerate(videos.tolist()):
            found[number] = of(video)
        return found[rows]

    def _label(self, name: str) -> NDArray[Any]:
        labels = self._labels
        frames = self["frames"] if labels.per_frame(name) else np.zeros((len(self["video"]), 0), np.int32)
        videos = self["video"]
        draws = self._plan.recipe_draws(self._epoch, self["position"], videos, labels.columns)
        return labels.targets(name, videos, frames, draws)

    def _name(self) -> NDArray[Any]:
        return self._per_video(self._dataset.index.names.__getitem__, object, ())

    def _sizes(self) -> NDArray[Any]:
        return self._per_video(self._size, np.int64, (2,))

    def _frames(self) -> NDArray[Any]:
        return self._plan.frames(self._epoch, self._rank)

    def _size(self, video: int) -> tuple[int, int]:
        index, storage = self._dataset.index, self._dataset.storage
        place = int(index.keys[video]), int(index.starts[video])
        for stream in self._dataset.streams:
            frame = stream.name, *place
            data = opened(storage).read(*frame)
            if data is not None:  # a mask may be missing
                break
        else:
            raise absent_picture(storage, *frame)
        try:
            return frame_size(data)
        except FrameError as error:
            raise FrameError(f"{storage.where(*frame)}: {error}") from None

    def _paths(self) -> NDArray[Any]:
        index, storage, stream = self._dataset.index, self._dataset.storage, self._dataset.streams[0].name
        frames = self["frames"]
        shown = np.where(frames < 0, ~frames, frames) + index.starts[self["video"]][:, None]
        keys = index.keys[self["video"]].tolist()
        paths = np.empty(frames.shape, object)
        for row, (key, steps) in enumerate(zip(keys, shown.tolist(), strict=True)):
            paths[row] = [storage.where(stream, key, frame) for frame in steps]
        return paths


# Functions, since bound methods would keep a table alive until a garbage collection.
_MADE: dict[str, Callable[[PlanTable], Any]] = {
    "name": PlanTable._name,  # noqa: SLF001 - of this module
    "frames": PlanTable._frames,  # noqa: SLF001
    "paths": PlanTable._paths,  # noqa: SLF001
    "size": PlanTable._sizes,  # noqa: SLF001
}
