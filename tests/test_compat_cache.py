"""Frames are decoded once, as many as fit into the cache, and nobody sees a difference."""

import gc
import weakref
from collections import Counter
from itertools import islice
from math import prod

import numpy as np
import pytest
from helpers import write_jpeg
from PIL import Image

from fastclips._native import FrameSlots
from fastclips.compat._base.cache import KeptArrays
from fastclips.compat._base.files import FileList
from fastclips.compat.image import ImageDataGenerator
from fastclips.errors import OptionError

SIZE, FILES = (20, 24), 24


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """JPEGs, and a few files that Pillow must read: some of them not of bytes."""
    root = tmp_path_factory.mktemp("frames")
    random = np.random.default_rng(0)
    for number in range(FILES):
        pixels = random.integers(0, 256, (30, 40, 3), np.uint8)
        path = root / "class" / f"frame_{number:02d}.jpg"
        write_jpeg(path, pixels)
        if number % 8 == 5:
            path.unlink()
            Image.fromarray(pixels).save(path.with_suffix(".png"))
    return root


def flow(root, generator=None, **options):
    options = {"target_size": SIZE, "batch_size": 5, "workers": 0, "seed": 2, "class_mode": None, **options}
    return (generator or ImageDataGenerator(time_steps=3)).flow_from_directory(root, **options)


def served(batches, epochs):
    with batches:
        return [x.copy() for x in islice(batches, epochs * len(batches))]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, {}),
        ({}, {"interpolation": "bicubic"}),
        ({}, {"keep_aspect_ratio": True}),
        ({}, {"color_mode": "grayscale"}),
        ({"data_format": "channels_first", "rescale": 1 / 255}, {}),
        ({"rotation_range": 30, "horizontal_flip": True, "brightness_range": (0.5, 1.5)}, {}),
        ({"preprocessing_function": lambda frame: np.clip(frame, 9, 99), "dtype": "float64"}, {}),
    ],
)
def test_a_cache_changes_no_bit(root, settings, options, workers):
    generator = ImageDataGenerator(time_steps=3, **settings)
    plain = served(flow(root, generator, cache=0, **options), 3)
    for one, other in zip(served(flow(root, generator, workers=workers, **options), 3), plain, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def reads(monkeypatch):
    counted = Counter()
    read = FileList.read
    monkeypatch.setattr(
        FileList, "read", lambda self, *frame: counted.update([frame[2]]) or read(self, *frame)
    )
    return counted


@pytest.mark.parametrize("mode", ["rgb", "grayscale", "rgba"])
@pytest.mark.parametrize("kept", [FILES, FILES // 2, 1, 0])
def test_each_file_is_read_once_if_it_fits(root, reads, kept, mode):
    frame = (20, 24, {"rgb": 3, "grayscale": 1, "rgba": 4}[mode])
    room = FrameSlots.nbytes_of(frames=kept, areas=1, frame_bytes=prod(frame)) if kept else 4096
    arrays = KeptArrays.within(room, FILES, frame)
    served(flow(root, cache=room, color_mode=mode), 3)
    assert set(reads) == set(range(FILES))
    assert (0 if arrays is None else arrays.places) == kept
    assert {file for file, times in reads.items() if times == 1} == set(range(kept))


def test_what_was_fitted_anew_is_served(root):
    generator = ImageDataGenerator(featurewise_center=True)
    with flow(root, generator, shuffle=False) as batches:
        generator.fit(np.full((2, *SIZE, 3), 10.0))
        first = served_epoch(batches)
        again = served_epoch(batches)
        generator.fit(np.full((2, *SIZE, 3), 30.0))
        later = served_epoch(batches)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first - 20, later)


def served_epoch(batches):
    return np.concatenate([next(batches).copy() for _ in range(len(batches))])


def test_only_what_was_written_is_there():
    cache = KeptArrays(3, (2, 2, 3))
    frame = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    cache.put(1, frame)
    cache.put(2, frame.astype(np.float32))
    cache.put(0, frame[:1])
    assert cache.get(0) is None
    assert cache.get(2) is None
    np.testing.assert_array_equal(cache.get(1), frame)


def test_mistakes_are_named(root):
    with pytest.raises(OptionError, match="cache='lots': must be a number of bytes"):
        flow(root, cache="lots")


def test_what_was_kept_stays_though_its_file_changes():
    cache = KeptArrays(2, (2, 3, 3))
    cache.put(1, np.full((2, 3, 3), 7, np.uint8))
    kept = cache.get(1)
    cache.put(1, np.full((2, 3, 3), 8, np.uint8))
    assert kept.tolist() == np.full((2, 3, 3), 7).tolist()
    assert cache.get(0) is None


def test_closing_frees_what_was_kept(root, monkeypatch):
    made = []

    class Noted(KeptArrays):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(weakref.ref(self))

    monkeypatch.setattr("fastclips.compat.image.iterator.KeptArrays", Noted)
    batches = flow(root)
    next(batches)
    assert [cache() is None for cache in made] == [False]
    batches.close()
    gc.collect()
    assert [cache() is None for cache in made] == [True]
