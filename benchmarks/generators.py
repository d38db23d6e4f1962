"""What do existing generators cost per frame, and what do their replacements cost?

    python benchmarks/frames.py /tmp/frames
    python benchmarks/generators.py /tmp/frames --distributed-python PYTHON --video-python PYTHON

Each line compares a call, as users write it, with its replacement, on the same folder of 340x256 JPEGs
(keras-video-generators: on videos of the same frames, which are written beside the folder):

- TimeDistributedImageDataGenerator 0.4: clips of 5 frames resized to 256x256, float32, batches of 16, without
  augmentation and with rotation, zoom, flip and rescale. If the original is not installed, a re-creation of
  its loop with Keras 3's own classes is measured, and the table says so;
- Keras 3's ImageDataGenerator: frames resized to 256x256, float32, batches of 64;
- a typical Keras Sequence: OpenCV reads a clip of 16 frames, one random crop of 224, uint8, batches of 8,
  two of Keras's threads, through ``fit`` of a model that reads one pixel; replaced by ClipLoader and
  ClipSequence;
- keras-video-generators 1.0.14: 5 frames of a video, 224x224, float32, batches of 8. It keeps all frames that
  it has served in memory, without a limit, so a first epoch is measured every time;
- tf.data with `decode_and_crop_jpeg`, as in `peers/`.

Two originals need their own interpreters, because they cannot be imported with Keras 3. The first needs Keras
2.8, the last version with all that it imports: Python 3.10 with ``tensorflow-cpu==2.8.* 'protobuf<3.21'
'numpy<1.24' 'scipy<1.12' pandas pillow``. keras-video-generators needs Keras 2.15: Python 3.11 with
``tensorflow-cpu==2.15.* scipy opencv-python-headless``. Both packages are installed with ``--no-deps``.

Result::

                                                                   frames/s  CPU ms/frame (quartiles)
    TimeDistributedImageDataGenerator(time_steps=5).flow_from_directory(d)
      original (0.4)                                                  1,138  0.891 (0.885-0.902)
      compat.TimeDistributedImageDataGenerator: the same call        26,432  0.075 (0.073-0.076)
      CPU time, original / replacement                                       11.84 (11.48-12.11)
    the first again
      original (0.4)                                                  1,124  0.891 (0.885-0.915)
      with cache=0: each frame decoded whenever it is shown           6,628  0.298 (0.287-0.312)
      CPU time, original / replacement                                       3.02 (2.88-3.08)
    the same with rotation, zoom, flip, rescale
      original (0.4)                                                    176  5.789 (5.723-5.922)
      the same call                                                   2,107  0.946 (0.942-0.966)
      CPU time, original / replacement                                       6.09 (5.97-6.22)
    ImageDataGenerator().flow_from_directory(d)
      original (3.15.1)                                               2,058  0.485 (0.480-0.505)
      compat.ImageDataGenerator: the same call                       23,345  0.087 (0.085-0.089)
      CPU time, original / replacement                                       5.54 (5.46-5.84)
    fit(a Sequence: cv2.imread, crop, stack; workers=2)
      original (5.0.0)                                                1,677  0.876 (0.819-1.051)
      fit(ClipSequence(ClipLoader(..., [RandomCrop(224)])))           7,858  0.222 (0.219-0.227)
      CPU time, original / replacement                                       3.92 (3.75-4.47)
    keras_video.VideoFrameGenerator(nb_frames=5)
      original (1.0.14)                                                 338  3.809 (3.671-4.009)
      compat.keras_video: the same call                                 957  2.072 (2.048-2.096)
      CPU time, original / replacement                                       1.83 (1.75-1.93)
    tf.data: decode_and_crop_jpeg
      original (2.21.0)                                               6,120  0.351 (0.342-0.385)
      ClipLoader(..., [RandomCrop(224), RandomFlip()])                12,017  0.165 (0.162-0.168)
      CPU time, original / replacement                                       2.10 (2.03-2.38)

2 cores of a virtual machine whose host has other work. Measured on 2026-11-21; decoding is faster since.

The first and the fourth replacement decode each frame once, because all frames, 302 MB, fit into
``cache="1GiB"``; so these figures include no decoding. Without a cache (the second), decoding is two thirds
of the CPU time: it takes 0.2 ms a frame.

How to read: compare the two sides of a line. They have their own processes and take turns, in an order that
is reversed from round to round. Rates depend on the load of the machine, CPU time hardly does. It is the
time of all processes of a side, user and system, from rest to rest, per frame that was served: median and
quartiles over the rounds. Every replacement has 2 workers; every original has its usual threads.
"""  # noqa: D400 - a question

# ruff: noqa: PLC0415, ANN401 - each process imports only the loader that it serves; Keras has no types

from __future__ import annotations

import argparse
import os
import random
import sys
from contextlib import redirect_stdout
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Made = tuple[str, Callable[[], int]]  # a version, and a function that receives frames and counts them

WORKERS = 2
AUGMENTED: dict[str, Any] = {
    "rotation_range": 10,
    "zoom_range": 0.1,
    "horizontal_flip": True,
    "rescale": 1 / 255,
}
TIME_STEPS, BATCH, CROP = 16, 8, 224  # of the Sequence and its replacement


def from_iterator(version: str, batches: Iterator[Any], shape: tuple[int, ...]) -> Made:
    """Receive batches and check the shape of x; the last batch of an epoch may be smaller."""

    def take() -> int:
        batch = next(batches)
        x = batch[0] if isinstance(batch, tuple) else batch
        assert tuple(x.shape[1:]) == shape[1:]
        return int(np.prod(x.shape[:-3]))

    return version, take


def time_distributed(folder: Path, **options: Any) -> Made:
    """Return the original TimeDistributedImageDataGenerator or, if not installed, its re-creation."""
    try:
        from TimeDistributedImageDataGenerator.TimeDistributedImageDataGenerator import (
            TimeDistributedImageDataGenerator as maker,  # noqa: N813 - a class, chosen here
        )

        version = "0.4"
    except ImportError:
        version, maker = "re-creation", recreated()
    batches = maker(time_steps=5, **options).flow_from_directory(str(folder), batch_size=16, seed=0)
    return from_iterator(version, batches, (16, 5, 256, 256, 3))


def recreated() -> type:
    """Return TimeDistributedImageDataGenerator's loop over Keras 3's classes."""
    from keras.src.legacy.preprocessing import image
    from keras.utils import img_to_array, load_img

    class Batches(image.DirectoryIterator):
        def _get_batches_of_transformed_samples(self, index_array: Any) -> Any:
            generator = self.image_data_generator
            time_steps = generator.time_steps
            x = np.zeros((len(index_array), time_steps, *self.image_shape), "float32")
            y = np.zeros((len(index_array), time_steps, len(self.class_indices)), "float32")
            for row, sample in enumerate(index_array):
                for time_step in reversed(range(time_steps)):
                    loaded = load_img(self.filepaths[sample - time_step], target_size=self.target_size)
                    frame = img_to_array(loaded)
                    frame = generator.apply_transform(frame, generator.get_random_transform(frame.shape))
                    x[row, time_step] = generator.standardize(frame)
                    y[row, time_step, self.classes[sample - time_step]] = 1
            return x, y

    class Generator(image.ImageDataGenerator):
        def __init__(self, *, time_steps: int, **options: Any) -> None:
            super().__init__(**options)
            self.time_steps = time_steps

        def flow_from_directory(self, directory: str, **options: Any) -> Batches:
            return Batches(directory, self, **options)

    return Generator


def fastclips_time_distributed(folder: Path, *, cache: Any = "1GiB", **options: Any) -> Made:
    """Return the replacement."""
    import fastclips
    from fastclips.compat import TimeDistributedImageDataGenerator as module  # noqa: N813 - a module

    batches = module.TimeDistributedImageDataGenerator(time_steps=5, **options).flow_from_directory(
        str(folder), batch_size=16, seed=0, workers=WORKERS, cache=cache
    )
    return from_iterator(fastclips.__version__, batches, (16, 5, 256, 256, 3))


def keras_images(folder: Path) -> Made:
    """Return Keras 3's ImageDataGenerator."""
    import keras
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    batches = ImageDataGenerator().flow_from_directory(str(folder), batch_size=64, seed=0)
    return from_iterator(keras.__version__, batches, (64, 256, 256, 3))


def fastclips_images(folder: Path) -> Made:
    """Return the replacement."""
    import fastclips
    from fastclips.compat import ImageDataGenerator

    batches = ImageDataGenerator().flow_from_directory(str(folder), batch_size=64, seed=0, workers=WORKERS)
    return from_iterator(fastclips.__version__, batches, (64, 256, 256, 3))


def through_fit(sequence: Any) -> Callable[[], int]:
    """Receive epochs of a sequence of batches of 8 clips by ``fit`` of a model that costs almost nothing."""
    import keras

    model = keras.Sequential(
        [
            keras.layers.Input((TIME_STEPS, CROP, CROP, 3), dtype="uint8"),
            keras.layers.Cropping3D(((0, TIME_STEPS - 1), (0, CROP - 1), (0, CROP - 1))),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    def take() -> int:
        model.fit(sequence, epochs=2, verbose=0)
        return 2 * len(sequence) * BATCH * TIME_STEPS

    return take


def opencv_sequence(folder: Path) -> Made:
    """Return a typical Sequence of clips, with two threads, through fit."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    import cv2
    import keras
    from peers.common import Clips, Task

    windows = Clips(Task(folder))
    height, width = windows.shape
    clips, labels = ([call(n) for n in range(len(windows))] for call in (windows.files, windows.label))

    class Clips(keras.utils.PyDataset):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.order = list(range(len(clips)))
            self.on_epoch_end()

        def __len__(self) -> int:
            return len(clips) // BATCH

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            chosen = self.order[index * BATCH : (index + 1) * BATCH]
            return np.stack([self.clip(clips[number]) for number in chosen]), np.array(
                [labels[number] for number in chosen]
            )

        def clip(self, files: list[str]) -> Any:
            top, left = random.randrange(height - CROP + 1), random.randrange(width - CROP + 1)
            frames = []
            for file in files:
                frame = cv2.cvtColor(cv2.imread(file), cv2.COLOR_BGR2RGB)
                frames.append(frame[top : top + CROP, left : left + CROP])
            return np.stack(frames)

        def on_epoch_end(self) -> None:
            random.shuffle(self.order)

    return cv2.__version__, through_fit(Clips(workers=2))


def fastclips_sequence(folder: Path) -> Made:
    """Return the replacement."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    import fastclips as fc
    from fastclips.adapters.keras import ClipSequence

    loader = fc.ClipLoader(
        fc.open(folder),
        fc.Windows(TIME_STEPS),
        [fc.RandomCrop(CROP)],
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        workers=WORKERS,
        cache=0,
    )
    return fc.__version__, through_fit(ClipSequence(loader))


def pattern(folder: Path) -> str:
    """Return the glob pattern of the videos of a folder's frames; write those that do not exist."""
    import cv2

    root = folder.with_name(folder.name + "-videos")
    for source in sorted(path for path in folder.glob("*/*") if path.is_dir()):
        path = root / source.parent.name / f"{source.name}.avi"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{os.getpid()}-{path.name}")
        frames = [cv2.imread(str(file)) for file in sorted(source.glob("*.jpg"))]
        writer = cv2.VideoWriter(str(beside), cv2.VideoWriter.fourcc(*"mp4v"), 25, frames[0].shape[1::-1])
        for frame in frames:
            writer.write(frame)
        writer.release()
        beside.replace(path)
    return str(root / "{classname}" / "*.avi")


def keras_video(folder: Path) -> Made:
    """Return keras-video-generators' VideoFrameGenerator, with a new object for each epoch."""
    from keras_video import VideoFrameGenerator

    def epochs() -> Iterator[Any]:
        while True:
            with redirect_stdout(None):
                sequence = VideoFrameGenerator(nb_frames=5, batch_size=8, glob_pattern=pattern(folder))
            for index in range(len(sequence)):
                yield sequence[index]

    return from_iterator("1.0.14", epochs(), (8, 5, 224, 224, 3))


def fastclips_video(folder: Path) -> Made:
    """Return the replacement."""
    import fastclips
    from fastclips.compat.keras_video import VideoFrameGenerator

    sequence = VideoFrameGenerator(nb_frames=5, batch_size=8, glob_pattern=pattern(folder), workers=WORKERS)
    return from_iterator(fastclips.__version__, sequence, (8, 5, 224, 224, 3))


def crops(name: str) -> Callable[[Path], Made]:
    """Return a loader of `peers/`, over the folder."""

    def make(folder: Path) -> Made:
        from importlib import import_module

        from peers.common import Task

        peer = import_module(f"peers.peer_{name}")
        task = Task(folder)
        shape = (task.batch, TIME_STEPS, task.size, task.size, 3)
        return from_iterator(peer.VERSION, iter(peer.batches(task, "folder")), shape)

    return make


class Line(NamedTuple):
    """A call and its replacement."""

    original: str
    replacement: str
    sides: tuple[Callable[[Path], Made], Callable[[Path], Made]]
    python: str | None = None  # the option that names the original's interpreter


LINES = {
    "tdidg": Line(
        "TimeDistributedImageDataGenerator(time_steps=5).flow_from_directory(d)",
        "compat.TimeDistributedImageDataGenerator: the same call",
        (time_distributed, fastclips_time_distributed),
        "distributed_python",
    ),
    "tdidg-augmented": Line(
        "the same with rotation, zoom, flip, rescale",
        "the same call",
        (
            lambda folder: time_distributed(folder, **AUGMENTED),
            lambda folder: fastclips_time_distributed(folder, **AUGMENTED),
        ),
        "distributed_python",
    ),
    "tdidg-uncached": Line(
        "the first again",
        "with cache=0: each frame decoded whenever it is shown",
        (time_distributed, lambda folder: fastclips_time_distributed(folder, cache=0)),
        "distributed_python",
    ),
    "images": Line(
        "ImageDataGenerator().flow_from_directory(d)",
        "compat.ImageDataGenerator: the same call",
        (keras_images, fastclips_images),
    ),
    "sequence": Line(
        "fit(a Sequence: cv2.imread, crop, stack; workers=2)",
        "fit(ClipSequence(ClipLoader(..., [RandomCrop(224)])))",
        (opencv_sequence, fastclips_sequence),
    ),
    "video": Line(
        "keras_video.VideoFrameGenerator(nb_frames=5)",
        "compat.keras_video: the same call",
        (keras_video, fastclips_video),
        "video_python",
    ),
    "tf.data": Line(
        "tf.data: decode_and_crop_jpeg",
        "ClipLoader(..., [RandomCrop(224), RandomFlip()])",
        (crops("tfdata"), crops("fastclips")),
    ),
}


def measure(name: str, line: Line, args: argparse.Namespace) -> None:
    """Let both sides of a line take turns, and print the line."""
    from loader_turns import Loader

    loaders: list[Loader] = []
    try:
        for side in range(2):
            python = getattr(args, line.python) if line.python and not side else sys.executable
            loaders.append(Loader([python, __file__, "--serve", name, "--side", str(side), str(args.folder)]))
        for number in range(args.rounds):
            for loader in loaders[:: -1 if number % 2 else 1]:
                loader.turn(args.seconds)
    except ChildProcessError as error:
        print(f"{line.original}\n  left out: {error}")
    else:
        print(line.original)
        for side, loader in zip(("original", line.replacement), loaders, strict=True):
            label = f"  {side} ({loader.version})"
            print(f"{label:<66}{median(loader.rates):>7,.0f}  {spread(loader.cpu_ms, '.3f')}")
        ratios = [a / b for a, b in zip(*(loader.cpu_ms for loader in loaders), strict=True)]
        print(f"{'  CPU time, original / replacement':<75}{spread(ratios, '.2f')}")
    finally:
        for loader in loaders:
            loader.close()


def spread(values: list[float], form: str) -> str:
    """Return a median and quartiles as text."""
    low, high = np.quantile(values, (0.25, 0.75))
    return f"{median(values):{form}} ({low:{form}}-{high:{form}})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Generators beside their replacements.")
    parser.add_argument("folder", type=Path, help="folder of class/video/frame.jpg")
    parser.add_argument(
        "--distributed-python",
        default=sys.executable,
        help="interpreter that has TimeDistributedImageDataGenerator",
    )
    parser.add_argument(
        "--video-python", default=sys.executable, help="interpreter that has keras-video-generators"
    )
    parser.add_argument("--only", choices=LINES, nargs="+", default=list(LINES), help="lines to measure")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=2.0, help="time of each turn (%(default)s)")
    parser.add_argument("--serve", choices=LINES, help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        from loader_turns import serve

        serve(lambda: LINES[args.serve].sides[args.side](args.folder))
    print(f"{'':66}{'frames/s':>7}  CPU ms/frame (quartiles)")
    for name in args.only:
        measure(name, LINES[name], args)


if __name__ == "__main__":
    main()
