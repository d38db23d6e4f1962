"""Videos of arrays with several labels, and the batches of an epoch, as tests of labels use them."""

import numpy as np

import fastclips as fc

VIDEOS, FRAMES = 6, 8
VERBS = ["open", "close", "open", "cut", "cut", "open"]
NOUNS = [2, 0, 1, 1, 2, 0]
STATES = np.random.default_rng(0).normal(size=(VIDEOS, FRAMES, 2)).astype(np.float32)


def images():
    return np.random.default_rng(1).integers(0, 256, (VIDEOS, FRAMES, 8, 8, 3), np.uint8)


def masks():
    return np.random.default_rng(2).integers(0, 3, (VIDEOS, FRAMES, 8, 8), np.uint8)


def arrays(**options):
    return fc.open(images={"image": images(), "mask": masks()}, **options)


def several(data=None):
    data = arrays(labels=NOUNS) if data is None else data
    data = data.with_labels("verb", VERBS, kind="label")
    return data.with_labels("state", STATES, kind="frame_target")


def batches(data, clips=None, **options):
    options = {"batch_size": 4, "workers": 0, **options}
    with fc.ClipLoader(
        data, clips or fc.Windows(4, tail="pad"), options.pop("transforms", ()), **options
    ) as it:
        return list(it.epoch(0)), it.plan_table(0)


def joined(parts):
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
