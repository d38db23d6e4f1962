"""FFCV: a .beton file of frames, as the JPEGs or decoded; its decoder, and an operation of ours.

FFCV draws for each image, and shuffles images: so a traversal order of ours gives the frames of clips, one
after the other, and an operation of ours draws once for 16 images. Its guide on customization describes both.
"""

# ruff: noqa: NPY002 - numba compiles the older functions

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from ffcv.fields import IntField, RGBImageField, rgb_image
from ffcv.fields.decoders import IntDecoder, SimpleRGBImageDecoder
from ffcv.libffcv import resize_crop
from ffcv.loader import Loader
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.compiler import Compiler
from ffcv.pipeline.operation import Operation
from ffcv.traversal_order.base import TraversalOrder
from ffcv.writer import DatasetWriter

from peers.common import TIME_STEPS, Clips, jpeg_shape
from peers.decoding import read, rgb_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peers.common import Task

VERSION = version("ffcv")
PASSES = (
    20  # over the set, each shuffled anew, in what FFCV takes for an epoch: it empties its buffers after each
)


class Picture(np.ndarray):
    """A decoded frame that knows its bytes."""

    data_of: bytes


class Frames:
    """All frames and their classes, as the writer wants them."""

    def __init__(self, clips: Clips, *, raw: bool) -> None:
        self.raw = raw
        self.rows = [(path, video.label) for video in clips.videos for path in video.files]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        path, label = self.rows[index]
        if self.raw:
            return rgb_file(path), label
        data = read(path)
        picture = np.zeros((*jpeg_shape(data), 3), np.uint8).view(Picture)
        picture.data_of = data
        return picture, label


def write(task: Task, form: str) -> None:
    """Write the frames, without encoding them again, or decoded."""
    mode = "raw" if form == "raw.beton" else "jpg"
    rgb_image.encode_jpeg = lambda picture, _quality: np.frombuffer(picture.data_of, np.uint8)
    fields = {"image": RGBImageField(write_mode=mode), "label": IntField()}
    writer = DatasetWriter(str(task.packed(form)), fields, num_workers=1)
    writer.from_indexed_dataset(Frames(Clips(task), raw=mode == "raw"))


class ClipOrder(TraversalOrder):
    """Frames of shuffled clips. `Loader` calls it with itself."""

    def __init__(self, clips: Clips) -> None:
        firsts = np.cumsum([0, *(len(video.files) for video in clips.videos)])
        self.starts = np.array([firsts[video] + start for video, start in clips.windows])

    def __call__(self, _loader: Loader) -> ClipOrder:
        """Return itself."""
        return self

    def sample_order(self, epoch: int) -> np.ndarray:
        """Return the frames of an epoch."""
        random = np.random.default_rng(epoch)
        starts = np.concatenate([random.permutation(self.starts) for _ in range(PASSES)])
        return (starts[:, None] + np.arange(TIME_STEPS)).reshape(-1).astype(np.uint64)


class CutClips(Operation):
    """Cuts one box of the frames of a clip, and mirrors it."""

    def __init__(self, task: Task, shape: tuple[int, int]) -> None:
        super().__init__()
        self.task = task
        self.room = tuple(side - task.crop + 1 for side in shape)

    def declare_state_and_memory(self, previous_state: Any) -> tuple[Any, AllocationQuery]:  # noqa: ANN401
        """Declare the shape of what comes out."""
        shape = (self.task.size, self.task.size, 3)
        return replace(previous_state, shape=shape), AllocationQuery(shape, np.dtype("uint8"))

    def generate_code(self) -> Callable[..., Any]:
        """Return what numba compiles."""
        rows, columns = self.room
        side, size = self.task.crop, self.task.size
        frames_of = Compiler.get_iterator()
        resize = Compiler.compile(resize_crop)
        steps = TIME_STEPS

        def cut(images: Any, out: Any) -> Any:  # noqa: ANN401
            count = images.shape[0]
            tops = np.random.randint(0, rows, count // steps)
            lefts = np.random.randint(0, columns, count // steps)
            flips = np.random.randint(0, 2, count // steps)
            for frame in frames_of(count):
                clip = frame // steps
                top, left = tops[clip], lefts[clip]
                if size != side:
                    resize(images[frame], top, top + side, left, left + side, out[frame])
                    if flips[clip]:
                        out[frame] = out[frame][:, ::-1].copy()
                elif flips[clip]:
                    out[frame] = images[frame][top : top + side, left : left + side][:, ::-1]
                else:
                    out[frame] = images[frame][top : top + side, left : left + side]
            return out[:count]

        cut.is_parallel = True  # type: ignore[attr-defined]
        return cut


def batches(task: Task, form: str) -> Iterator[tuple[Any, ...]]:
    """Serve the task's batches."""
    clips = Clips(task)
    loader = Loader(
        str(task.packed(form)),
        batch_size=task.batch * TIME_STEPS,
        num_workers=task.workers,
        os_cache=True,
        order=ClipOrder(clips),
        indices=np.zeros(PASSES * len(clips) * TIME_STEPS, np.uint64),  # for its number of batches
        drop_last=True,
        pipelines={"image": [SimpleRGBImageDecoder(), CutClips(task, clips.shape)], "label": [IntDecoder()]},
    )
    shape = (task.batch, TIME_STEPS, task.size, task.size, 3)
    while True:
        for images, labels in loader:
            yield images.reshape(shape), labels.reshape(-1)[::TIME_STEPS]
