"""What TimeDistributedImageDataGenerator 0.4 does, one frame after the other, without Keras.

Checked by hand against the original on Keras 2.8: batch by batch, the same bits.
"""

import os
from contextlib import suppress

import numpy as np
from PIL import Image

FILTERS = {"nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR}
MODES = {"rgb": "RGB", "grayscale": "L", "rgba": "RGBA"}


def listed(root, *, classes=None, split=None):
    """Return the files, relative to the root, and their classes: a range of each class's sorted walk."""
    names = classes or sorted(path.name for path in root.iterdir() if path.is_dir())
    files, codes = [], []
    for code, name in enumerate(names):
        found = [
            os.path.relpath(f"{folder}/{file}", root)
            for folder, _, inside in sorted(os.walk(root / name), key=lambda entry: entry[0])
            for file in sorted(inside)
            if file.lower().endswith(("png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff"))
        ]
        first, last = split or (0, 1)
        found = found[int(first * len(found)) : int(last * len(found))]
        files += found
        codes += [code] * len(found)
    return files, np.array(codes, "int32"), names


def loaded(path, size, color_mode, interpolation):
    image = Image.open(path).convert(MODES[color_mode])
    if image.size != size[::-1]:
        image = image.resize(size[::-1], FILTERS[interpolation])
    array = np.array(image, "float32")
    return array[:, :, None] if array.ndim == 2 else array


def original(  # noqa: C901, PLR0912 - as it is
    paths,
    codes,
    count,
    *,
    time_steps=5,
    batch_size=32,
    shuffle=True,
    seed=None,
    target_size=(256, 256),
    color_mode="rgb",
    class_mode="categorical",
    interpolation="nearest",
    data_format="channels_last",
    rescale=None,
    weights=None,
    targets=None,
):
    """Yield its batches without end; `count` classes, `targets` for ``raw`` and ``multi_output``."""
    n, seen = len(paths), 0
    while True:
        for start in range(0, n, batch_size):
            if start == 0:
                order = np.random.RandomState(seed + seen).permutation(n) if shuffle else np.arange(n)
            seen += 1
            chosen = order[start : start + batch_size]
            x = []
            for j in chosen:
                frames = [None] * time_steps
                for k in reversed(range(time_steps)):
                    with suppress(OSError):  # then it is the frame before, again
                        frame = loaded(paths[j - k], target_size, color_mode, interpolation)
                    if rescale:
                        frame *= rescale
                    frames[k] = frame.copy()
                x.append(np.stack(frames))
            x = np.stack(x)
            del frame
            if data_format == "channels_first":
                x = np.moveaxis(x, -1, 2)
            batch = [x]
            if class_mode == "input":
                batch.append(x.copy())
            elif class_mode in {"binary", "sparse"}:
                batch.append(np.array([codes[j] for j in chosen], "float32"))
            elif class_mode == "categorical":
                y = np.zeros((len(chosen), time_steps, count), "float32")
                for row, j in enumerate(chosen):
                    for k in range(time_steps):
                        y[row, k, codes[j - k]] = 1
                batch.append(y)
            elif class_mode == "multi_output":
                batch.append([target[chosen] for target in targets])
            elif class_mode == "raw":
                batch.append(targets[chosen])
            if class_mode is not None and weights is not None:
                batch.append(weights[chosen])
            yield tuple(batch) if len(batch) > 1 else x
