"""Two streams in Keras: a network for pictures and one for optical flow, whose probabilities are averaged.

`data` holds frames/class/video/0001.jpg and flow/class/video/0001.flo. Both streams of a clip get the same
crop and the same flip, which also negates the horizontal displacements. The flip swaps the classes left and
right.
"""

import argparse
from pathlib import Path

import keras
import numpy as np

import fastclips as fc
from fastclips.adapters.keras import ClipSequence
from fastclips.testing import write_frames


def network(inputs: keras.KerasTensor, name: str, classes: int) -> keras.KerasTensor:
    """Return the class probabilities of one stream."""
    x = keras.layers.Conv3D(8, (3, 5, 5), strides=(1, 3, 3), activation="relu")(inputs)
    x = keras.layers.GlobalAveragePooling3D()(x)
    return keras.layers.Dense(classes, activation="softmax", name=name)(x)


def main(data: str, epochs: int) -> None:
    """Train on the frames and the flow of `data`."""
    frames, flow = Path(data, "frames"), Path(data, "flow")
    if not frames.exists():
        write_frames(frames, height=64, width=64, flow=flow)  # made up: give a folder of yours instead

    dataset = fc.open({"image": frames, "flow": fc.Stream(flow, kind="flow")})
    training, validation = dataset.split(validation=0.25, seed=0)
    options = {"batch_size": 4, "inputs": ("image", "flow")}
    flip = fc.RandomFlip(label_map={"left": "right", "right": "left"})
    train = fc.ClipLoader(training, fc.Windows(4), [fc.RandomCrop(48), flip], shuffle=True, **options)
    val = fc.ClipLoader(validation, fc.Windows(4), [fc.CenterCrop(48)], **options)

    keras.utils.set_random_seed(0)
    image = keras.Input((4, 48, 48, 3), name="image", dtype="uint8")
    motion = keras.Input((4, 48, 48, 2), name="flow")
    outputs = {
        "appearance": network(keras.layers.Rescaling(1 / 64, -2)(image), "appearance", len(dataset.classes)),
        "motion": network(motion, "motion", len(dataset.classes)),
    }
    model = keras.Model({"image": image, "flow": motion}, outputs)
    model.compile(keras.optimizers.Adam(0.01), dict.fromkeys(outputs, "sparse_categorical_crossentropy"))
    sequence = ClipSequence(train, map=lambda x, y: (x, dict.fromkeys(outputs, y)))  # one label for both
    history = model.fit(sequence, epochs=epochs, verbose=0)
    print("losses:", *(f"{loss:.2f}" for loss in history.history["loss"]))

    found = model.predict(ClipSequence(val), verbose=0)
    found["both"] = (found["appearance"] + found["motion"]) / 2
    labels = np.concatenate([y for _, y in val])
    for name, probabilities in found.items():
        print(f"{name}: accuracy {np.mean(probabilities.argmax(1) == labels):.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", default="motions")
    parser.add_argument("--epochs", type=int, default=4)
    main(**vars(parser.parse_args()))
