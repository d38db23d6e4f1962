"""Hooks and attributes of the originals that would have no effect in compat are refused."""

import numpy as np
import pytest
from helpers import make_frames

import fastclips as fc
from fastclips.compat import (
    DataGenerator,
    ImageDataGenerator,
    image_dataset_from_directory,
    paired_random_crop,
    timeseries_dataset_from_array,
)
from fastclips.compat.image import DirectoryIterator, NumpyArrayIterator

HOOKS = ("get_random_transform", "apply_transform", "standardize")
x = np.arange(10 * 4 * 4 * 3, dtype=np.uint8).reshape(10, 4, 4, 3)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    return make_frames(tmp_path_factory.mktemp("frames"), videos=2, frames=4)


def overrides(name):
    """Generators on which a method is overridden, in each of the ways in which people do it."""

    def changed(*_):
        raise AssertionError

    class Mixed:
        pass

    setattr(Mixed, name, changed)
    yield type("Mine", (ImageDataGenerator,), {name: changed})()
    yield type("Mine", (Mixed, ImageDataGenerator), {})()
    patched = ImageDataGenerator()
    setattr(patched, name, lambda *_: None)
    yield patched
    other = ImageDataGenerator()
    setattr(other, name, getattr(patched, name, None))
    yield other
    borrowed = ImageDataGenerator()
    setattr(borrowed, name, getattr(ImageDataGenerator(rescale=2), name))
    yield borrowed


@pytest.mark.parametrize("name", HOOKS)
def test_an_override_that_flows_would_not_call_is_refused(frames, name):
    for generator in overrides(name):
        for flow in (
            lambda: generator.flow(x, workers=0),  # noqa: B023 - called at once
            lambda: generator.flow_from_directory(frames, workers=0),  # noqa: B023 - as above
        ):
            with pytest.raises(fc.OptionError, match=rf"\.{name} is overridden.*preprocessing_func.*Apply"):
                flow()


@pytest.mark.parametrize("name", HOOKS)
def test_an_override_made_after_the_flow_is_refused_too(name, monkeypatch):
    generator = ImageDataGenerator()
    it = generator.flow(x, workers=0)
    next(it)
    with monkeypatch.context() as patch:
        patch.setattr(generator, name, lambda *_: None)
        with pytest.raises(fc.OptionError, match=name):
            next(it)
    vars(generator).pop(name, None)
    next(it)
    monkeypatch.setattr(ImageDataGenerator, name, lambda *_: None)
    with pytest.raises(fc.OptionError, match=name):
        it[0]


@pytest.mark.parametrize("name", HOOKS)
def test_the_bases_own_function_is_no_override(name):
    class Mine(ImageDataGenerator):
        def helper(self):
            """Another method is no hook."""

    setattr(Mine, name, getattr(ImageDataGenerator, name))
    generator = Mine(rescale=2)
    setattr(generator, name, getattr(generator, name))
    np.testing.assert_array_equal(next(generator.flow(x, shuffle=False, workers=0)), x * np.float32(2))


def test_fit_with_augmentation_refuses_overrides():
    class Mine(ImageDataGenerator):
        def get_random_transform(self, *_):
            return {}

    generator = Mine(featurewise_center=True)
    generator.fit(x)
    with pytest.raises(fc.OptionError, match="get_random_transform is overridden"):
        generator.fit(x, augment=True)


@pytest.mark.parametrize("base", [DirectoryIterator, NumpyArrayIterator])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("_get_batches_of_transformed_samples", "__getitem__"),
        ("_set_index_array", "ClipLoader"),
        ("filepaths", "argument"),
        ("labels", "argument"),
    ],
)
def test_hooks_of_iterators_are_refused(base, name, says):
    with pytest.raises(fc.OptionError, match=rf"Mine\.{name} would have no effect.*{says}"):
        type("Mine", (base,), {name: lambda self: self})
    mixin = type("Mixin", (), {name: lambda self: self})
    with pytest.raises(fc.OptionError, match=rf"Mixin\.{name} would have no effect"):
        type("Mine", (mixin, base), {})


def test_hooks_of_the_tutorials_sequence_are_refused():
    with pytest.raises(fc.OptionError, match=r"Mine\._generate_X would have no effect.*__getitem__"):
        type("Mine", (DataGenerator,), {"_generate_X": lambda *_: None})


def test_a_patched_hook_of_an_iterator_is_refused():
    it = ImageDataGenerator().flow(x, workers=0)
    with pytest.raises(AttributeError, match=r"_get_batches_of_transformed_samples.*__getitem__"):
        it._get_batches_of_transformed_samples = lambda rows: rows


def test_an_iterator_of_the_users_own_with_more_attributes_is_fine(frames):
    class Mine(DirectoryIterator):
        def __init__(self, *arguments, **options):
            self.asked = 0
            super().__init__(*arguments, **options)
            self.name = "training"

        def __getitem__(self, index):
            self.asked += 1
            x, y = super().__getitem__(index)
            return x + 1, y

    it = Mine(frames, ImageDataGenerator(), target_size=8, shuffle=False, workers=0)
    plain = ImageDataGenerator().flow_from_directory(frames, target_size=8, shuffle=False, workers=0)
    np.testing.assert_array_equal(it[0][0], plain[0][0] + 1)
    assert (it.asked, it.name) == (1, "training")


def iterators(frames):
    names = [str(path.relative_to(frames)) for path in sorted(frames.rglob("*.jpg"))]
    generator = ImageDataGenerator()
    options = {"batch_size": 5, "workers": 0}
    yield generator.flow(x, np.arange(10), **options)
    yield generator.flow_from_directory(frames, **options)
    yield generator.flow_from_dataframe(
        {"filename": names, "class": ["a"] * 4 + ["b"] * 4}, frames, **options
    )
    yield timeseries_dataset_from_array(np.arange(9), None, 1, **options)
    yield image_dataset_from_directory(frames, verbose=False, **options)
    yield DataGenerator(names, frames, to_fit=False, **options)
    yield paired_random_crop(x, x, 2, **options)


CHANGES = {
    "batch_size": 4,
    "shuffle": "no",
    "seed": 1,
    "n": 3,
    "samples": 3,
    "time_steps": 3,
    "index_array": np.arange(3),
    "batch_index": 7,
    "total_batches_seen": 7,
    "class_mode": "sparse",
    "classes": np.arange(8),
    "class_indices": {},
    "labels": [0],
    "target_size": (3, 3),
    "color_mode": "grayscale",
    "interpolation": "box",
    "directory": "there",
    "subset": "training",
    "filenames": [],
    "filepaths": [],
    "image_data_generator": ImageDataGenerator(),
    "image_shape": (1, 1, 1),
    "data_format": "channels_first",
    "dtype": "float16",
    "save_to_dir": "there",
    "sample_weight": np.arange(8),
    "x": x,
    "y": np.arange(3),
    "x_misc": [x],
    "class_names": ["c"],
    "file_paths": [],
    "list_IDs": [1],
    "indexes": [1],
    "dim": 3,
    "image_path": "there",
}


def test_attributes_that_decide_content_cannot_be_changed(frames):
    """Each attribute that an iterator has, and each of its kind."""
    seen = set()
    for it in iterators(frames):
        before = next(it)
        for name, value in CHANGES.items():
            if hasattr(it, name):
                seen.add(name)
                with pytest.raises(AttributeError, match=rf"{name}=.*cannot be changed.*(make|decide|reset)"):
                    setattr(it, name, value)
        again = it.batch(0, 0) if hasattr(it, "batch") else it[0]
        for one, other in zip(*(b if isinstance(b, tuple) else (b,) for b in (before, again)), strict=True):
            np.testing.assert_array_equal(one, other)
    assert seen == set(CHANGES)


def test_the_remedy_names_the_new_value():
    it = ImageDataGenerator().flow(x, batch_size=5, workers=0)
    for value in (4, 16):
        with pytest.raises(AttributeError, match=f"batch_size={value}:.*with batch_size={value}$"):
            it.batch_size = value
    it.batch_size = it.batch_size
    it.save_prefix, it.mine = "other", 1
    assert len(it) == 2
