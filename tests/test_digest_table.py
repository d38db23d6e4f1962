"""A digest for each recipe, whatever the storage and the number of workers: bits cannot change unnoticed.

`test_reference_epochs` holds the bits of many recipes, and `test_cpu_features` holds them with instructions
of the CPU switched off. CI runs this file and `test_reference_epochs` on each version of Python.

    python tests/test_digest_table.py       the digests on this machine
"""

import json
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from reference_data import copied
from reference_epochs import DATA, digest
from reference_recipes import serve

import fastclips as fc

DIGESTS = {
    "cropped": "6a26679b8414e018924cb358d55545a39ef1dc3bd4eefc3462fd723be216359c",
    "resized": "e30a47f31bfd1ec14c6b792c34916726653e8aebd613fc6ff8a69375bc91bc89",
    "augmented": "d7f40713c92abf7f58cef735bbe3c5057a738e6c1a9da6331b7f7d2590430037",
    "warped": "d740a1fb71734864c2cdbf8e606f181d0e31a5d219f0cc6c558f293b19a66344",
    "coloured": "87871bc65fb1f1a712535671f0c4d6e0b91fb0e883ac40c1b99075d764c30ee2",
    "whitened": "d27d986f342e4a3d63b5fa744504a4d54538b82f11da227eb96c75cc9b10eabc",
}
SHUFFLED = {"shuffle": True, "seed": 5}
RECIPES = {
    "cropped": (
        fc.Windows(3, step=2),
        [fc.RandomCrop(32), fc.RandomFlip(), fc.Brightness(0.6, 1.4)],
        SHUFFLED,
    ),
    "resized": (
        fc.RandomWindow(4, dilation=2, short="loop"),
        [fc.RandomResizedCrop(20, (0.3, 1.0)), fc.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.2))],
        {**SHUFFLED, "weights": "balanced", "inputs": ("image", "valid")},
    ),
    "warped": (
        fc.Segments(3),
        [fc.RandomRotation(20, fill="reflect"), fc.CenterCrop(40), fc.Grayscale(p=0.5), fc.Blur((0.3, 1.5))],
        {**SHUFFLED, "drop_last": True, "channels_first": True},
    ),
    "augmented": (
        fc.Windows(2, step=3),
        [fc.RandAugment(3, 15), fc.Resize(36, pad=0), fc.RandomErasing(0.8, value="random")],
        SHUFFLED,
    ),
    "coloured": (  # floats, so that each last bit shows
        fc.Windows(4, step=3),
        [
            fc.SpeedJitter(0.6, 1.8),
            fc.RandomCrop(27),
            fc.Hue(40),
            fc.SaturationValue(0.5, 2.0),
            fc.Gamma(0.5, 2.0),
            fc.PerSample(),
        ],
        SHUFFLED,
    ),
    "whitened": (
        fc.Windows(3, step=3),
        [
            fc.RandomResizedCrop(9, (0.3, 1.0)),
            fc.Gamma(0.5, 2.0),
            fc.ZCA(np.add.outer(np.arange(243), -np.arange(243)) % 17 / 99 - 0.08, np.full((9, 9, 3), 117.0)),
        ],
        SHUFFLED,
    ),
}


def as_tar(root):
    with tarfile.open(root / "frames.tar", "w") as tar:
        for kind in sorted((root / "frames").iterdir()):
            tar.add(kind, kind.name)
    return fc.open(root / "frames.tar")


STORAGES = {
    "folder": lambda root: fc.open(root / "frames"),
    "pack": lambda root: fc.open(root / "packs" / "jpeg"),
    "tar": as_tar,
    "list": lambda root: fc.open(
        root / "list.txt", root=root / "frames", columns="path length label", frames="img_{:05d}.jpg"
    ),
}


def digests(dataset, workers):
    return {
        name: digest(serve(dataset, clips, transforms, workers=workers, **options))
        for name, (clips, transforms, options) in RECIPES.items()
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return copied(DATA, tmp_path_factory.mktemp("table") / "data")


@pytest.mark.parametrize(
    ("workers", "storage"),
    [*((workers, storage) for workers in (0, 2) for storage in STORAGES), (1, "folder"), (5, "pack")],
)
def test_the_same_bits(root, storage, workers):
    assert digests(STORAGES[storage](root), workers) == DIGESTS


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        here = copied(DATA, Path(folder) / "data")
        print(json.dumps({name: digests(make(here), 0) for name, make in STORAGES.items()}, indent=1))  # noqa: T201 - a command
