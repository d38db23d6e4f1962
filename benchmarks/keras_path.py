"""What does the path through Keras cost the training process per batch?

Batches of 8 clips of 16 frames, 224x224, 19 MB each, come from worker processes. The CPU time of the
training process alone is compared for four paths: the bare loader; the loader through `to_tf_dataset`;
ClipSequence through the dataset that `fit` makes of a PyDataset, in eager code; and the same with every
batch copied, as an array that does not start at a multiple of 64 bytes is. ::

    python benchmarks/keras_path.py DIR [--batches 100] [--training MILLISECONDS]

DIR is made (class/video/frame.jpg, 340x256, 32 videos of 64 frames) if it does not exist.

Two cores, both kept busy by the workers, a pack of the frames of `frames.py`, TensorFlow 2.21, Keras 3.15::

                         own CPU, ms/batch  wall, ms/batch
    bare loader                       0.55            26.4
    to_tf_dataset                     0.73            13.8
    fit's path                        0.89            14.1
    fit's path, copied                5.11            30.3

How to read: the differences are the cost of each layer. Copying adds 4.2 ms. `consumer.py` measures `fit`
itself, with workers that do empty work.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import simplejpeg

import fastclips as fc

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

from fastclips.adapters.keras import ClipSequence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def make_frames(root: Path) -> None:
    """Write frames of noise over smooth colours."""
    random = np.random.default_rng(0)
    for video in range(32):
        folder = root / f"class_{video % 4}" / f"video_{video:02d}"
        folder.mkdir(parents=True)
        coarse = cv2.resize(random.uniform(0, 255, (9, 12, 3)), (340, 256), interpolation=cv2.INTER_CUBIC)
        for frame in range(64):
            pixels = np.clip(coarse + random.normal(0, 12, coarse.shape), 0, 255).astype(np.uint8)
            (folder / f"{frame:05d}.jpg").write_bytes(simplejpeg.encode_jpeg(pixels, 88, "RGB", "420"))


def misaligned(batch: tuple[Any, ...]) -> tuple[Any, ...]:
    """Copy x to the byte after the start of an allocation."""
    x, y = batch
    memory = np.empty(x.nbytes + 1, np.uint8)
    copy = memory[1:].view(x.dtype).reshape(x.shape)
    copy[...] = x
    return copy, y


class Misaligned(ClipSequence):
    """Serves the same array every time, which TensorFlow must copy."""

    copied: tuple[Any, ...] | None = None

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        batch = super().__getitem__(index)
        self.copied = self.copied or misaligned(batch)
        return self.copied


def endless(dataset: Iterable[Any]) -> Iterator[Any]:
    """Iterate over a dataset without an end."""
    while True:
        yield from dataset


def measure(source: Iterable[Any], batches: int, training_s: float) -> tuple[float, float]:
    """Return this process's CPU time and the wall time per batch, in milliseconds."""
    iterator = endless(source)
    for _ in range(10):
        next(iterator)
    began, used = time.perf_counter(), time.process_time()
    for _ in range(batches):
        next(iterator)
        time.sleep(training_s)
    used, took = time.process_time() - used, time.perf_counter() - began
    return 1e3 * used / batches, 1e3 * took / batches


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--training", type=float, default=0, help="milliseconds to sleep after each batch")
    parser.add_argument("--profile", action="store_true", help="profile the bare loader")
    options = parser.parse_args()
    if not options.dir.exists():
        make_frames(options.dir)
    with fc.ClipLoader(
        fc.open(options.dir), fc.Windows(16, step=4), [fc.RandomCrop(224)], batch_size=8, shuffle=True
    ) as loader:
        sources = {
            "bare loader": loader,
            "to_tf_dataset": loader.to_tf_dataset(),
            "fit's path": PyDatasetAdapter(ClipSequence(loader), shuffle=True).get_tf_dataset(),
            "fit's path, copied": PyDatasetAdapter(Misaligned(loader), shuffle=True).get_tf_dataset(),
        }
        print(f"{loader}, TensorFlow {tf.__version__}")
        print(f"{'':20} {'own CPU, ms/batch':>18} {'wall, ms/batch':>15}")
        for name, source in sources.items():
            print(
                "{:20} {:18.2f} {:15.1f}".format(
                    name, *measure(source, options.batches, options.training / 1e3)
                )
            )
        if options.profile:
            profile = cProfile.Profile()
            profile.runcall(measure, loader, options.batches, options.training / 1e3)
            pstats.Stats(profile).sort_stats("tottime").print_stats(15)


if __name__ == "__main__":
    main()
