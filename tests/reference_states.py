"""Loaders whose states version 0.1.0 has written, by name: what is left of an epoch must be the same.

states.json holds for each what ``state_dict()`` gave after some batches, and the SHA-256 of the others.
"""

from __future__ import annotations

from itertools import islice

from reference_recipes import CROP, OF_0_1_0, SHUFFLED, folder, pairs

import fastclips as fc

STATES = {}


def state(served, epoch=0):
    """Enter a loader, and after how many batches of which epoch its state is taken."""

    def enter(function):
        STATES[function.__name__] = function, served, epoch
        return function

    return enter


def loader(dataset, clips, transforms, workers, **options):
    options = {"batch_size": 3, "workers": workers, **OF_0_1_0, **options}
    return fc.ClipLoader(dataset, clips, transforms, **options)


@state(3)
def frames(root, workers=0, seed=11):
    """Of a folder, shuffled."""
    return loader(
        folder(root), fc.Windows(3, step=1), [CROP, fc.RandomFlip()], workers, shuffle=True, seed=seed
    )


@state(1, epoch=1)
def second_epoch(root, workers=0):
    return loader(folder(root), fc.RandomWindow(3), [fc.RandomResizedCrop(24)], workers, **SHUFFLED)


@state(1)
def masks(root, workers=0):
    clips = fc.Windows(4, short="pad", tail="pad")
    return loader(pairs(root), clips, [CROP, fc.RandomFlip()], workers, targets="mask", **SHUFFLED)


@state(2)
def pack(root, workers=0):
    dataset = fc.open(root / "packs" / "jpeg")
    return loader(dataset, fc.Windows(2), [CROP, fc.Reverse()], workers, **SHUFFLED)


@state(4)
def views(root, workers=0):
    return loader(folder(root), fc.Views(3, temporal=2), [fc.ThreeCrop(32)], workers)


@state(1)
def balanced(root, workers=0):
    return loader(folder(root), fc.Windows(3, step=2), [CROP], workers, weights="balanced", **SHUFFLED)


@state(2)
def weighted(root, workers=0):
    weights = [1, 1, 0.5, 4, 0, 2]
    return loader(folder(root), fc.Windows(3, step=2), [CROP], workers, weights=weights, **SHUFFLED)


@state(1)
def one_of_two_ranks(root, workers=0):
    clips = fc.Windows(3, step=2)
    return loader(folder(root), clips, [CROP, fc.RandomFlip()], workers, rank=1, world=2, **SHUFFLED)


@state(2)
def choices(root, workers=0):
    steps = [CROP, fc.SpeedJitter(0.7, 1.5), fc.FrameDrop(0.2)]
    return loader(folder(root), fc.Windows(3, step=2), steps, workers, drop_last=True, **SHUFFLED)


@state(1)
def parts_of_a_list(root, workers=0):
    dataset = fc.open(root / "parts.csv", root=root / "frames")
    return loader(dataset, fc.Windows(3, step=1, fps=12.5), [CROP], workers, **SHUFFLED)


def begin(name, root):
    """A state of a loader that has served some batches, and the batches that are left of its epoch."""
    make, served, epoch = STATES[name]
    with make(root) as source:
        for _ in range(epoch):
            list(source)
        batches = iter(source)
        list(islice(batches, served))
        return source.state_dict(), list(batches)
