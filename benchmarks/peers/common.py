"""The work that all peers do: tasks, the windows of a data set, the draws of a clip. It needs no package."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

TIME_STEPS = 16
SMALL, LARGE = "340x256", "640x360"


@dataclass(frozen=True)
class Task:
    """What a loader does: clips of 16 frames, one random crop and one random flip per clip, shuffled, uint8.

    Parameters
    ----------
    frames : Path
        Folder of class/video/frame.jpg.
    crop, size : int
        Sides of the square that is cropped, and of the square that it is resized to, in pixels.
    step : int
        Frames from one window to the next.
    draws : int
        Crops and flips that are drawn of each clip that is loaded; each is a row of the batch.
    masks : bool
        Whether each frame has a mask, a PNG, cropped alike.
    batch, workers : int
        Rows of a batch; processes or threads that load.
    """

    frames: Path
    crop: int = 224
    size: int = 224
    step: int = TIME_STEPS
    draws: int = 1
    masks: bool = False
    batch: int = 8
    workers: int = 2

    @property
    def clips(self) -> int:
        """How many clips are loaded for a batch."""
        return self.batch // self.draws

    @property
    def mask_folder(self) -> Path:
        """Folder of class/video/frame.png."""
        return self.frames.with_name(f"{self.frames.name}_masks")

    def packed(self, form: str) -> Path:
        """Return where the frames lie in another form, masks with them if the task has some."""
        kind = "_with_masks" if self.masks else ""
        return self.frames.with_name(f"{self.frames.name}{kind}.{form}")


TASKS = {
    "train": Task(Path(SMALL)),
    "train112": Task(Path(SMALL), crop=112, size=112),
    "train640": Task(Path(LARGE), crop=315),
    "overlap": Task(Path(SMALL), step=4),
    "draws": Task(Path(SMALL), draws=4),
    "masks": Task(Path(SMALL), masks=True),
}


def task_of(name: str, data: Path) -> Task:
    """Return a task on the frames in a folder of data sets."""
    task = TASKS[name]
    return replace(task, frames=data / task.frames)


class Video(NamedTuple):
    """A video as a folder of frames."""

    name: str
    files: list[str]
    label: int


class Box(NamedTuple):
    """The draw of a clip."""

    top: int
    left: int
    flip: bool


class Clips:
    """All windows of a task.

    Parameters
    ----------
    task : Task
        Its frames lie in folders whose name says their size, or in one whose first frame says it.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.videos = []
        classes = sorted(path for path in task.frames.iterdir() if path.is_dir())
        for label, folder in enumerate(classes):
            for video in sorted(folder.iterdir()):
                files = sorted(str(path) for path in video.glob("*.jpg"))
                self.videos.append(Video(f"{folder.name}/{video.name}", files, label))
        self.windows = [
            (number, start)
            for number, video in enumerate(self.videos)
            for start in range(0, len(video.files) - TIME_STEPS + 1, task.step)
        ]

    def __len__(self) -> int:
        return len(self.windows)

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return jpeg_shape(Path(self.videos[0].files[0]).read_bytes())

    def files(self, number: int) -> list[str]:
        """Return the frames of a clip."""
        video, start = self.windows[number]
        return self.videos[video].files[start : start + TIME_STEPS]

    def masks(self, number: int) -> list[str]:
        """Return the masks of a clip; none if the task has none."""
        return [self.mask_of(path) for path in self.files(number)] if self.task.masks else []

    def mask_of(self, path: str) -> str:
        """Return the mask of a frame."""
        inside = Path(path).relative_to(self.task.frames)
        return str(self.task.mask_folder / inside.with_suffix(".png"))

    def label(self, number: int) -> int:
        """Return the class of a clip."""
        return self.videos[self.windows[number][0]].label

    def draw(self) -> Box:
        """Draw a crop and a flip. DataLoader seeds Python's `random` in each of its workers."""
        height, width = self.shape
        side = self.task.crop
        return Box(
            random.randrange(height - side + 1), random.randrange(width - side + 1), random.random() < 0.5
        )


def jpeg_shape(data: bytes) -> tuple[int, int]:
    """Return height and width of a baseline JPEG."""
    place = 2
    while data[place + 1] not in {0xC0, 0xC1, 0xC2}:
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return int.from_bytes(data[place + 5 : place + 7], "big"), int.from_bytes(
        data[place + 7 : place + 9], "big"
    )
