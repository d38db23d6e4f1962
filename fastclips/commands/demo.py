"""`fastclips demo`: things drift over a background, and a network learns which way.

::

    write_frames --JPEG files--> open --split--> two ClipLoaders --ClipSequence--> Keras fit --> accuracy

**The class is the motion and nothing else.** In each made video some things drift one way. Places, speeds,
sizes and textures are drawn alike in every class, and what leaves the picture on one side comes back on the
other, so a thing is equally likely to be anywhere at any time: one frame tells nothing about the class.
Backgrounds have contrast in every octave, as photographs do, and every frame has a noise of its own, as a
camera's: files and networks behave differently on smooth pictures.

**One way for all data.** With ``--data`` only the frames differ. What depends on them is worked out in
`_choose`: the length of the clips, how far apart their frames are, and how many a video gives.

Keras is imported last, so that what is wrong with the data is said at once.
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

from fastclips.data.index import Dataset
from fastclips.data.opening import open_dataset
from fastclips.errors import DataError, FastclipsError, FrameError
from fastclips.loader import ClipLoader
from fastclips.options import checked_int
from fastclips.pixels.geometry.crops import CenterCrop, RandomCrop, Resize
from fastclips.planning.samplers import Windows
from fastclips.testing.frames import write_frames

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping


__all__ = ["add_arguments", "run"]

VIDEOS = 80  # of each class
TIME_STEPS = 8
SHORT_SIDE, CROP = 96, 80  # of what the network sees, before and after the crop
BATCH_SIZE = 16
SEED = 0

_CLIPS = 1000  # an epoch has about so many at most, or one of each video if these are more
_DILATION = 4  # at most
_FEW = 30  # validation clips
_INTERRUPTED = 130  # as a shell reports it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Given its arguments.
    """
    parser.description = (
        "Write a small set of labelled videos as JPEG frames, train a Keras model to tell\n"
        "which way things move in them, and say how well it does and what the loader did:\n"
        "a minute or two. What was written is removed."
    )
    parser.add_argument(
        "--data", metavar="DIR", help="train on your own frames instead, a folder of class/video/frame.jpg"
    )
    parser.add_argument("--epochs", type=int, default=8, help="passes over the data (%(default)s)")
    parser.add_argument("--workers", type=int, help="worker processes, 0 for none (one per core)")


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Parameters
    ----------
    args : argparse.Namespace
        From a parser that `add_arguments` prepared.

    Returns
    -------
    int
        Exit code, 0, or 130 if interrupted.

    Raises
    ------
    FastclipsError
        If the data cannot be trained on, or Keras is missing.
    """
    try:
        with ExitStack() as stack:
            _demo(args, stack)
    except KeyboardInterrupt:
        print("\nInterrupted; nothing is left behind.", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _demo(args: argparse.Namespace, stack: ExitStack) -> None:
    checked_int(args.epochs, "epochs", 1)
    folder = args.data
    if folder is None:
        print("Which way do things move? No single frame tells; a clip does.", flush=True)
        keras = _import_keras()
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fastclips-demo-"))
        began = perf_counter()
        size = write_frames(folder, videos=VIDEOS, seed=SEED)
        print(
            f"Wrote {size / 2**20:.0f} MiB of frames in {perf_counter() - began:.1f} s, removed at the end:"
        )
        print(f"  {folder}/class/video/frame.jpg")
        dataset, clips = _choose(open_dataset(folder))
    else:
        dataset, clips = _choose(open_dataset(folder))
        keras = _import_keras()

    training, held_out = dataset.split(validation=0.25, seed=SEED)
    # No RandomFlip here: it would turn what moves left into what moves right, and keep the label.
    resize = Resize(short_side=SHORT_SIDE)  # costs nothing for frames that have this size
    options: dict[str, Any] = {"batch_size": BATCH_SIZE, "seed": SEED}
    train = stack.enter_context(
        ClipLoader(training, clips, [resize, RandomCrop(CROP)], shuffle=True, workers=args.workers, **options)
    )
    workers = 1 if args.workers is None else min(1, args.workers)
    validation = stack.enter_context(
        ClipLoader(held_out, clips, [resize, CenterCrop(CROP)], workers=workers, **options)
    )

    model = _model(keras, clips.time_steps, len(dataset.classes), steps=args.epochs * len(train))
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
    print(f"\nValidation accuracy: {accuracy:.1%}. Always naming the commonest class gives {guess:.1%}.")
    if len(labels) < _FEW:
        print(f"With only {len(labels)} validation clips, this is a rough figure.")
    print(f"\nThe training clips' loader, print(loader.stats()):\n\n{train.stats()}\n")
    print(_snippet(args, clips))


def _choose(dataset: Dataset) -> tuple[Dataset, Windows]:
    """Leave out what cannot be trained on, and choose how to cut the rest; print both."""
    index = dataset.index
    labels = np.zeros(len(index), np.int64)
    if index.labels is not None and index.labels.per_video is not None:
        labels = index.labels.per_video
    usable = index.frame_counts > 1
    usable &= np.bincount(labels[usable], minlength=len(index.classes))[labels] > 1
    classes = [index.classes[label] for label in np.unique(labels[usable])]
    if len(classes) < 2:  # noqa: PLR2004 - else there is nothing to tell apart
        raise DataError(
            f"{len(classes)} of the {len(index.classes)} classes found ({_names(index.classes)}) can "
            "be trained on: the demo needs two class folders, each with two videos of two frames, or more"
        )
    dataset = Dataset(dataset.storage, index.take(np.flatnonzero(usable)), dataset.streams)
    counts = dataset.index.frame_counts
    print(f"{len(dataset)} videos, {counts.sum():,} frames, {len(classes)} classes: {_names(classes)}.")
    if not usable.all():
        print(f"Left out: {(~usable).sum()} videos of a single frame, or the only ones of their class.")

    shortest = int(counts.min())
    time_steps = min(TIME_STEPS, shortest)
    dilation = min(_DILATION, (shortest - 1) // (time_steps - 1))
    span = dilation * (time_steps - 1) + 1
    clips = Windows(time_steps, step=max(1, span // 4, int(counts.sum()) // _CLIPS), dilation=dilation)
    if time_steps < TIME_STEPS:
        print(
            f"Clips have {time_steps} frames instead of {TIME_STEPS}, since the shortest video, "
            f"{dataset.index.names[int(counts.argmin())]}, has no more."
        )
    return dataset, clips


def _names(classes: tuple[str, ...] | list[str], most: int = 6) -> str:
    return ", ".join(classes[:most]) + ", ..." * (len(classes) > most)


def _import_keras() -> Any:  # noqa: ANN401 - a module without types
    """Import Keras, on TensorFlow unless the environment says otherwise, and without the log of either."""
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
            f'the demo trains with Keras on {backend}: pip install "fastclips[{extra}]" ({error})'
        ) from error
    return keras


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what is written to standard error, by C++ too: TensorFlow logs before it reads its settings."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - no path of anyone's
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _model(keras: Any, time_steps: int, classes: int, steps: int) -> Any:  # noqa: ANN401 - Keras has no types
    """Build a network that finds, anywhere in the picture, something that moves in a way it knows."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((time_steps, CROP, CROP, 3), dtype="uint8"),
            layers.Rescaling(1 / 64, offset=-2),  # here, so that the batches stay bytes
            layers.TimeDistributed(layers.Conv2D(16, 5, strides=2, activation="relu")),
            layers.TimeDistributed(layers.MaxPooling2D(2)),
            layers.ConvLSTM2D(16, 3, padding="same"),
            layers.Conv2D(32, 1, activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(classes, activation="softmax"),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(4e-3, steps)
    model.compile(
        keras.optimizers.Adam(rate, clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def _fit(keras: Any, model: Any, train: ClipLoader, validation: ClipLoader, epochs: int) -> float:  # noqa: ANN401
    """Train, with a bar and then a line for each epoch; return the last validation accuracy."""
    from fastclips.adapters.keras import ClipSequence  # noqa: PLC0415 - Keras is an extra

    bar = tqdm(total=len(train), unit=" batches", leave=False, disable=None, ncols=80)
    began = perf_counter()

    def on_epoch_begin(epoch: int, logs: object) -> None:  # noqa: ARG001 - Keras's
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
            verbose=0,  # Keras's own bar is wider than a terminal
        )
    except Exception as error:
        # TensorFlow keeps of an error in the loader no more than its text.
        if found := re.search(r"^(?:fastclips\.errors\.)?FrameError: (.+)", str(error), re.MULTILINE):
            raise FrameError(found[1]) from None
        raise
    finally:
        bar.close()
    return float(history.history["val_accuracy"][-1])


def _snippet(args: argparse.Namespace, clips: Windows) -> str:
    """Say what the same takes in a script."""
    apart = f", dilation={clips.dilation}" if clips.dilation > 1 else ""
    source, transforms = "frames/", f"[fc.RandomCrop({CROP})]"
    if args.data is not None:
        source, transforms = args.data, f"[fc.Resize(short_side={SHORT_SIDE}), fc.RandomCrop({CROP})]"
    script = f"""\
In a script of your own:

  import fastclips as fc
  from fastclips.adapters.keras import ClipSequence

  clips = fc.Windows({clips.time_steps}, step={clips.step}{apart})
  transforms = {transforms}
  loader = fc.ClipLoader(
      fc.open("{source}"), clips, transforms, batch_size={BATCH_SIZE}, shuffle=True
  )
  model.fit(ClipSequence(loader), epochs={args.epochs})"""
    if args.data is None:
        script += "\n\nThis demo on your frames/class/video/frame.jpg:\n\n  fastclips demo --data frames/"
    return script
