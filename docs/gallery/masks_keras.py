"""Segmentation in Keras: a mask for each frame, cropped, scaled and flipped as the frame is.

`data` holds frames/class/video/0001.jpg and masks/class/video/0001.png, a class per pixel. Pixels outside the
frame get the class 255, which the loss leaves out. Pixels of the rare class count five times.
"""

import argparse
from pathlib import Path

import keras
import numpy as np

import fastclips as fc
from fastclips.adapters.keras import ClipSequence
from fastclips.testing import write_frames

CLASSES = 2  # still, moving


def main(data: str, epochs: int) -> None:
    """Train on the frames and masks of `data`."""
    frames, masks = Path(data, "frames"), Path(data, "masks")
    if not frames.exists():
        write_frames(frames, height=64, width=64, masks=masks)  # made up: give a folder of yours instead

    training, validation = fc.open({"image": frames, "mask": masks}).split(validation=0.25, seed=0)
    augment = [fc.RandomRotation(10, fill="constant"), fc.RandomCrop(48), fc.RandomFlip()]
    options = {"batch_size": 4, "targets": "mask"}
    train = fc.ClipLoader(
        training, fc.Windows(4), augment, shuffle=True, sample_weight={"mask": {1: 5.0}}, **options
    )
    val = fc.ClipLoader(validation, fc.Windows(4), [fc.CenterCrop(48)], **options)

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4, 48, 48, 3), dtype="uint8"),
            keras.layers.Rescaling(1 / 64, offset=-2),
            keras.layers.Conv3D(8, (3, 5, 5), padding="same", activation="relu"),
            keras.layers.Conv3D(CLASSES, (3, 5, 5), padding="same"),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255))
    history = model.fit(ClipSequence(train), epochs=epochs, verbose=0)
    print("losses:", *(f"{loss:.2f}" for loss in history.history["loss"]))

    both = either = 0
    for x, y in val:  # a loader is an iterable of arrays
        guess = model.predict_on_batch(x).argmax(-1)
        both += np.sum((guess == 1) & (y == 1))
        either += np.sum((guess == 1) | (y == 1))
    print(f"masks {y.shape} {y.dtype}; intersection over union of what moves: {both / either:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", default="scenes")
    parser.add_argument("--epochs", type=int, default=2)
    main(**vars(parser.parse_args()))
