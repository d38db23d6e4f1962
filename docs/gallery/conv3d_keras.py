"""Conv3D in Keras: trained on random windows, evaluated on several views of each video.

Training takes one random window of each video in each epoch. Evaluation takes three windows that are spread
evenly, each in three crops, and averages the predictions for each video.
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
    training, test = dataset.split(validation=0.25, seed=0)
    augment = [fc.RandomResizedCrop(48, area=(0.5, 1)), fc.Brightness(0.2), fc.Contrast(0.8, 1.2)]
    train = fc.ClipLoader(training, fc.RandomWindow(8), augment, batch_size=4, shuffle=True)
    views = fc.ClipLoader(
        test, fc.Views(8, temporal=3), [fc.Resize((48, 64)), fc.ThreeCrop(48)], batch_size=4
    )

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 48, 48, 3), dtype="uint8"),
            keras.layers.Rescaling(1 / 64, offset=-2),
            keras.layers.Conv3D(8, (3, 5, 5), strides=(1, 3, 3), activation="relu"),
            keras.layers.Conv3D(16, 3, strides=2, activation="relu"),
            keras.layers.GlobalAveragePooling3D(),
            keras.layers.Dense(len(dataset.classes), activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(ClipSequence(train), epochs=epochs, verbose=0)
    print("losses:", *(f"{loss:.2f}" for loss in history.history["loss"]))

    predictions = model.predict(ClipSequence(views), verbose=0)
    videos = fc.average_views(predictions, views)  # one row for each video of test
    print(f"predictions for {len(predictions)} views, averaged for {len(videos)} videos")
    right = videos.argmax(1) == test.index.labels.per_video
    print(f"accuracy {right.mean():.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", default="frames")
    parser.add_argument("--epochs", type=int, default=2)
    main(**vars(parser.parse_args()))
