"""ConvLSTM in Keras: the class is the direction in which things move.

A single frame does not tell it. Windows of 8 frames are cropped at random for training, and in the middle for
validation. The videos are split, so that no video is in both parts.
"""

import argparse
from pathlib import Path

import keras

import fastclips as fc
from fastclips.adapters.keras import ClipSequence
from fastclips.testing import write_frames


def main(data: str, epochs: int) -> None:
    """Train on the frames of `data`, class/video/frame.jpg."""
    if not Path(data).exists():
        write_frames(data, height=64, width=64)  # made-up frames: give a folder of yours instead

    dataset = fc.open(data)
    training, validation = dataset.split(validation=0.25, seed=0)
    windows = fc.Windows(8, step=2)
    # No RandomFlip: a mirrored motion to the left goes to the right.
    train = fc.ClipLoader(training, windows, [fc.RandomCrop(56)], batch_size=8, shuffle=True)
    val = fc.ClipLoader(validation, windows, [fc.CenterCrop(56)], batch_size=8)
    print(f"classes {', '.join(dataset.classes)}; batches {len(train)} and {len(val)}")

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 56, 56, 3), dtype="uint8"),
            keras.layers.Rescaling(1 / 64, offset=-2),  # here, so that batches stay bytes
            keras.layers.TimeDistributed(keras.layers.Conv2D(8, 5, strides=3, activation="relu")),
            keras.layers.ConvLSTM2D(8, 3, padding="same"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(len(dataset.classes), activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(ClipSequence(train), validation_data=ClipSequence(val), epochs=epochs, verbose=0)
    for epoch in range(epochs):
        print(f"epoch {epoch + 1}:", *(f"{name} {x[epoch]:.2f}" for name, x in history.history.items()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", default="frames")
    parser.add_argument("--epochs", type=int, default=2)
    main(**vars(parser.parse_args()))
