"""`fastclips demo`: a network learns in which direction things drift over a background.

::

    write_frames --JPEG files--> open --split--> two ClipLoaders --ClipSequence--> Keras fit --> accuracy

**The class is the direction and nothing else.** In each synthetic video some things drift in one direction.
Positions, speeds, sizes and textures have the same distribution in every class. A thing that leaves the frame
on one side comes back on the other, so it is equally likely to be anywhere at any time, and a single frame
tells nothing about the class. Backgrounds have contrast in every octave, as photographs do, and every frame
has its own noise, as a camera's frames have: files and networks behave differently on smooth pictures.

**The same code for all data.** With ``--data`` only the frames differ. `_choose` derives three values from
them: the length of the clips, the dilation, and the number of clips per video.

Keras is imported after the data is checked, so that errors in the data are reported at once.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import os
import re
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from fastclips.data.dataset import Dataset
from fastclips.data.opening import open_dataset
from fastclips.errors import DataError, FastclipsError, FrameError
from fastclips.loader import ClipLoader
from fastclips.options import bar_disabled, checked_int
from fastclips.pixels.geometry.crops import CenterCrop, RandomCrop, Resize
from fastclips.planning.samplers import Windows
from fastclips.testing.frames import write_frames

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping


__all__ = ["add_arguments", "run"]

VIDEOS = 80  # of each class
TIME_STEPS = 8
SHORT_SIDE, CROP = 96, 80  # pixels, before and after the crop
BATCH_SIZE = 16
SEED = 0

_CLIPS = 1000  # clips of an epoch at most, about; a video always gives at least one
_DILATION = 4  # at most
_FEW = 30  # validation clips; with fewer, the accuracy is rough
_INTERRUPTED = 130  # the exit code that shells report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments and description to a parser."""
    parser.description = (
        "Write a small set of labelled videos as JPEG frames, train a Keras model to tell\n"
        "in which direction things move in them, and print the accuracy and the loader's\n"
        "statistics. This takes a minute or two. The frames are removed at the end."
    )
    parser.add_argument(
        "--data", metavar="DIR", help="train on your own frames instead: a folder of class/video/frame.jpg"
    )
    parser.add_argument(
        "--epochs", metavar="N", type=int, default=8, help="passes over the data (default: %(default)s)"
    )
    parser.add_argument(
        "--workers", metavar="N", type=int, help="worker processes; 0 for none (default: one per usable core)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit code: 0, or 130 if interrupted.

    Raises
    ------
    FastclipsError
        If the data cannot be trained on, or Keras is missing.
    """
    try:
        with ExitStack() as stack:
            _demo(args, stack)
    except KeyboardInterrupt:
        print("\nInterrupted; all files are removed.", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _demo(args: argparse.Namespace, stack: ExitStack) -> None:
    checked_int(args.epochs, "epochs", 1)
    folder = args.data
    if folder is None:
        print("In which direction do things move? A single frame does not tell; a clip does.", flush=True)
        keras = _import_keras()
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fastclips-demo-"))
        began = perf_counter()
        size = write_frames(folder, videos=VIDEOS, seed=SEED)
        print(
            f"Wrote {size / 2**20:.0f} MiB of frames in {perf_counter() - began:.1f} s, "
            "to be removed at the end:"
        )
        print(f"  {folder}/class/video/frame.jpg")
        dataset, clips = _choose(open_dataset(folder))
    else:
        dataset, clips = _choose(open_dataset(folder))
        keras = _import_keras()

    training, held_out = dataset.split(validation=0.25, seed=SEED)
    # No RandomFlip here: it would mirror a motion to the left into one to the right and keep the label.
    resize = Resize(short_side=SHORT_SIDE)  # free for frames that have this size
    options: dict[str, Any] = {"batch_size": BATCH_SIZE, "seed": SEED, "rank": 0}
    train = stack.enter_context(
        ClipLoader(training, clips, [resize, RandomCrop(CROP)], shuffle=True, workers=args.workers, **options)
    )
    workers = 1 if args.workers is None else min(1, args.workers)
    validation = stack.enter_context(
        ClipLoader(held_out, clips, [resize, CenterCrop(CROP)], workers=workers, **options)
    )

    model = _model(keras, clips.time_steps, len(dataset.classes), updates=args.epochs * len(train))
    labels = validation.plan_table(0)["label"]
    print(
        f"Training on {len(train.plan_table(0)['video']):,} clips of {len(training)} videos, "
        f"validating on {len(labels):,} clips of {len(held_out)} others.\n"
        f"Model: TimeDistributed(Conv2D), ConvLSTM2D; {model.count_params():,} weights; "
        f"Keras on {keras.backend.backend()}.\n",
        flush=True,
    )
    accuracy = _fit(keras, model, train, validation, args.epochs)

    guess = np.bincount(labels).max() / len(labels)
    print(f"\nValidation accuracy: {accuracy:.1%}. The most frequent class is {guess:.1%} of the clips.")
    if len(labels) < _FEW:
        print(f"With only {len(labels)} validation clips, the accuracy is a rough figure.")
    print(f"\nStatistics of the training loader, from loader.stats():\n\n{train.stats()}\n")
    print(_snippet(args, clips))


def _choose(dataset: Dataset) -> tuple[Dataset, Windows]:
    """Leave out videos that cannot be used, choose how to cut the others into clips, and print both."""
    index = dataset.index
    labels = np.zeros(len(index), np.int64)
    if index.labels is not None and index.labels.per_video is not None:
        labels = index.labels.per_video
    usable = index.frame_counts > 1
    usable &= np.bincount(labels[usable], minlength=len(index.classes))[labels] > 1
    classes = [index.classes[label] for label in np.unique(labels[usable])]
    if len(classes) < 2:  # noqa: PLR2004 - a classifier needs two classes
        raise DataError(
            f"{len(classes)} of the {len(index.classes)} classes found ({_names(index.classes)}) can be "
            "used: the demo needs at least two class folders, each with two videos of two frames"
        )
    dataset = Dataset(dataset.storage, index.take(np.flatnonzero(usable)), dataset.streams)
    counts = dataset.index.frame_counts
    print(f"{len(dataset)} videos, {counts.sum():,} frames, {len(classes)} classes: {_names(classes)}.")
    if not usable.all():
        print(f"Left out {(~usable).sum()} videos: a single frame, or the only video of their class.")

    shortest = int(counts.min())
    time_steps = min(TIME_STEPS, shortest)
    dilation = min(_DILATION, (shortest - 1) // (time_steps - 1))
    span = dilation * (time_steps - 1) + 1
    clips = Windows(time_steps, step=max(1, span // 4, int(counts.sum()) // _CLIPS), dilation=dilation)
    if time_steps < TIME_STEPS:
        print(
            f"Clips have {time_steps} frames instead of {TIME_STEPS}, because the shortest video, "
            f"{dataset.index.names[int(counts.argmin())]}, has no more."
        )
    return dataset, clips


def _names(classes: tuple[str, ...] | list[str], most: int = 6) -> str:
    return ", ".join(classes[:most]) + ", ..." * (len(classes) > most)


def _import_keras() -> Any:  # noqa: ANN401 - a module without types
    """Import Keras without its log and TensorFlow's; on TensorFlow unless the environment says otherwise."""
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with _quiet():
            keras = import_module("keras")
            import_module("fastclips.adapters.keras")
            keras.utils.set_random_seed(SEED)
    except ImportError as error:
        extra = "tensorflow" if backend == "tensorflow" else "keras"
        raise FastclipsError(
            f'the demo needs Keras on {backend}: pip install "fastclips[{extra}]" ({error})'
        ) from error
    return keras


@contextmanager
def _quiet() -> Iterator[None]:
    """Discard standard error, also of C++ code: TensorFlow logs before it reads its settings."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a file
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _model(keras: Any, time_steps: int, classes: int, updates: int) -> Any:  # noqa: ANN401 - Keras has no types
    """Build a network that finds one of the known motions anywhere in the picture."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((time_steps, CROP, CROP, 3), dtype="uint8"),
            layers.Rescaling(1 / 64, offset=-2),  # in the model, so that batches stay uint8
            layers.TimeDistributed(layers.Conv2D(16, 5, strides=2, activation="relu")),
            layers.TimeDistributed(layers.MaxPooling2D(2)),
            layers.ConvLSTM2D(16, 3, padding="same"),
            layers.Conv2D(32, 1, activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(classes, activation="softmax"),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(4e-3, updates)
    model.compile(
        keras.optimizers.Adam(rate, clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def _fit(keras: Any, model: Any, train: ClipLoader, validation: ClipLoader, epochs: int) -> float:  # noqa: ANN401
    """Train with a progress bar and a line for each epoch; return the last validation accuracy."""
    from fastclips.adapters.keras import ClipSequence  # noqa: PLC0415 - Keras is an extra

    bar = tqdm(total=len(train), unit=" batches", leave=False, disable=bar_disabled(), ncols=80)
    began = perf_counter()

    def on_epoch_begin(epoch: int, logs: object) -> None:  # noqa: ARG001 - Keras passes it
        nonlocal began
        began = perf_counter()
        bar.reset()
        bar.set_description(f"epoch {epoch + 1}/{epochs}")

    def on_train_batch_end(batch: int, logs: object) -> None:  # noqa: ARG001 - as above
        bar.update()

    def on_epoch_end(epoch: int, logs: Mapping[str, float]) -> None:
        bar.clear()
        print(
            f"epoch {epoch + 1:{len(str(epochs))}}/{epochs}   loss {logs['loss']:.3f}   "
            f"accuracy {logs['accuracy']:6.1%}   validation {logs['val_accuracy']:6.1%}   "
            f"{perf_counter() - began:.1f} s",
            flush=True,
        )

    lines = keras.callbacks.LambdaCallback(
        on_epoch_begin, on_epoch_end, on_train_batch_end=on_train_batch_end
    )
    try:
        history = model.fit(
            ClipSequence(train),
            validation_data=ClipSequence(validation),
            epochs=epochs,
            callbacks=[lines],
            verbose=0,  # Keras's own progress bar is wider than a terminal
        )
    except Exception as error:
        # TensorFlow keeps only the text of an error in the loader.
        if found := re.search(r"^(?:fastclips\.errors\.)?FrameError: (.+)", str(error), re.MULTILINE):
            raise FrameError(found[1]) from None
        raise
    finally:
        bar.close()
    return float(history.history["val_accuracy"][-1])


def _snippet(args: argparse.Namespace, clips: Windows) -> str:
    """Return the code of a script that does the same."""
    apart = f", dilation={clips.dilation}" if clips.dilation > 1 else ""
    source, transforms = "frames/", f"[fc.RandomCrop({CROP})]"
    if args.data is not None:
        source, transforms = args.data, f"[fc.Resize(short_side={SHORT_SIDE}), fc.RandomCrop({CROP})]"
    script = f"""\
In your own script:

  import fastclips as fc
  from fastclips.adapters.keras import ClipSequence

  clips = fc.Windows({clips.time_steps}, step={clips.step}{apart})
  transforms = {transforms}
  loader = fc.ClipLoader(
      fc.open("{source}"), clips, transforms, batch_size={BATCH_SIZE}, shuffle=True
  )
  model.fit(ClipSequence(loader), epochs={args.epochs})"""
    if args.data is None:
        script += (
            "\n\nThe demo with your own frames/class/video/frame.jpg:\n\n  fastclips demo --data frames/"
        )
    return script
