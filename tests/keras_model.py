"""Clips that can be told apart and a model that counts them, for the tests of Keras and their scripts.

Every video is one clip of one grey, which tells its number.
"""

from __future__ import annotations

import keras
import numpy as np
from helpers import write_jpeg
from keras import ops
from PIL import Image

import fastclips as fc

VIDEOS = 20


def make_greys(root):
    for video in range(VIDEOS):
        for frame in range(4):
            path = root / f"class_{video // 10}" / f"video_{video:02d}" / f"frame_{frame}.jpg"
            write_jpeg(path, np.full((32, 32, 3), 12 * video, np.uint8))
    return root


def make_grey_masks(root, like):
    """Masks whose index is the video's number."""
    for path in like.rglob("*.jpg"):
        mask = root / path.relative_to(like).with_suffix(".png")
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((32, 32), int(path.parent.name[-2:]), np.uint8)).save(mask)
    return root


def grey_loader(root, **options):
    """Seven batches, the last of two clips."""
    settings = {"batch_size": 3, "workers": 0, "shuffle": True, **options}
    return fc.ClipLoader(fc.open(root), fc.Windows(4), **settings)


def videos(batch):
    return (batch[0][:, 0, 0, 0, 0] // 12).tolist()


def planned(loader, epoch):
    return loader.plan_table(epoch)["video"].tolist()


@keras.saving.register_keras_serializable("tests")
class Count(keras.layers.Layer):
    """Counts how often it was given each video, and returns which these are."""

    def build(self, _):
        options = {"shape": (VIDEOS,), "initializer": "zeros", "trainable": False, "aggregation": "mean"}
        self.trained = self.add_weight(name="trained", **options)
        self.tested = self.add_weight(name="tested", **options)

    def call(self, x, training=False):
        video = ops.round(ops.cast(x[:, 0, 0, 0, 0], "float32") / 12)
        once = ops.sum(ops.one_hot(ops.cast(video, "int32"), VIDEOS), axis=0)
        (self.trained if training else self.tested).assign_add(once)
        return video[:, None]


LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_model(**options):
    x = keras.Input((4, 32, 32, 3), dtype="uint8")
    model = keras.Model(x, keras.layers.Dense(2)(Count()(x)))
    model.compile("sgd", LOSS, **{"jit_compile": False, **options})
    return model


def counts(model, kind="trained", replicas=1):
    return (replicas * ops.convert_to_numpy(getattr(model.layers[1], kind))).astype(int).tolist()


class Do(keras.callbacks.Callback):
    """Calls a function after every batch trained on, or after one of one epoch."""

    def __init__(self, what, epoch=None, batch=None):
        super().__init__()
        self.what, self.epoch, self.batch, self.now = what, epoch, batch, 0

    def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002 - Keras's
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002 - Keras's
        if self.epoch in {None, self.now} and self.batch in {None, batch}:
            self.what()
