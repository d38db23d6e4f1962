"""Arguments of ImageDataGenerator's flows, and what iterators say of their data."""

import numpy as np
import pytest
from helpers import make_frames

import fastclips as fc
from fastclips.compat import ImageDataGenerator

x = np.arange(10 * 4 * 4 * 3, dtype=np.uint8).reshape(10, 4, 4, 3)


@pytest.mark.parametrize(
    "given", [np.arange(32), np.arange(32).reshape(8, 4), [1, 2, 3], x[0], x[None, None]]
)
@pytest.mark.parametrize("time_steps", [None, 2])
def test_arrays_with_other_axes_are_refused_with_their_shape(given, time_steps):
    with pytest.raises(fc.OptionError, match=r"x of shape \(.*\): must (have 4 axes|be \(N, 2)"):
        ImageDataGenerator(time_steps=time_steps).flow(given, workers=0)


def test_channels_that_are_no_pictures_warn():
    with pytest.warns(UserWarning, match="7 channels"):
        ImageDataGenerator().flow(np.zeros((2, 3, 3, 7)), workers=0)


@pytest.mark.parametrize("targets", [None, np.arange(10)])
@pytest.mark.parametrize("subset", ["train", 3, ("training",)])
def test_a_wrong_subset_is_named(targets, subset):
    with pytest.raises(fc.OptionError, match=r"^subset=.*: must be one of 'training', 'validation'"):
        ImageDataGenerator(validation_split=0.2).flow(x, targets, subset=subset, workers=0)


@pytest.mark.parametrize("targets", [[np.arange(10), np.arange(10)], (np.arange(10), np.ones((10, 2)))])
@pytest.mark.parametrize("weights", [None, np.ones(10)])
def test_several_targets_are_refused_as_in_keras(targets, weights):
    with pytest.raises(fc.OptionError, match=r"of 2 arrays: .*np\.stack\(y, axis=1\).*multi_output"):
        ImageDataGenerator().flow(x, targets, sample_weight=weights, workers=0)
    if not isinstance(targets, tuple):
        served = next(ImageDataGenerator().flow(x, np.stack(targets, axis=1), workers=0))
        assert served[1].shape == (10, 2)


def test_targets_of_several_shapes_are_refused():
    with pytest.raises(fc.OptionError, match="y: items must have one shape"):
        ImageDataGenerator().flow(x, [[1], [2, 3]] * 5, workers=0)


def test_several_targets_of_a_table_have_one_weight(tmp_path):
    make_frames(tmp_path, videos=1, frames=4, classes=1)
    names = [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*.jpg"))]
    table = {"filename": names, "a": np.arange(4), "b": np.arange(4) * 2, "weight": np.arange(4) / 4}
    it = ImageDataGenerator().flow_from_dataframe(
        table,
        tmp_path,
        y_col=["a", "b"],
        weight_col="weight",
        class_mode="multi_output",
        target_size=8,
        shuffle=False,
        workers=0,
    )
    _, (a, b), weight = next(it)
    assert (a.tolist(), b.tolist(), weight.tolist()) == ([0, 1, 2, 3], [0, 2, 4, 6], [0, 0.25, 0.5, 0.75])


@pytest.mark.parametrize("directory", [None, "there"])
def test_a_table_without_any_file_hints_at_the_directory(directory, tmp_path):
    make_frames(tmp_path, videos=1, frames=2, classes=1)
    names = [path.name for path in sorted(tmp_path.rglob("*.jpg"))]
    folder = directory and tmp_path / directory
    options = {"class_mode": None, "workers": 0}
    says = (
        rf"x_col='filename': none of 2 names.*{directory or 'working directory'}.*{names[0]}.*give directory="
    )
    with pytest.raises(fc.DataError, match=says):
        ImageDataGenerator().flow_from_dataframe({"filename": names}, folder, **options)
    right = tmp_path / "class_0" / "video_0"
    assert ImageDataGenerator().flow_from_dataframe({"filename": names}, right, **options).n == 2


@pytest.mark.parametrize("subset", [None, "training", "validation"])
def test_x_of_an_iterator_is_an_array_that_cannot_be_written_into(subset, tmp_path):
    np.save(tmp_path / "x.npy", x)
    rows = {None: slice(None), "training": slice(3, None), "validation": slice(3)}[subset]
    for given in (x, x.tolist(), tmp_path / "x.npy", np.load(tmp_path / "x.npy", mmap_mode="r")):
        it = ImageDataGenerator(validation_split=0.3).flow(given, subset=subset, workers=0)
        assert isinstance(it.x, np.ndarray)
        np.testing.assert_array_equal(it.x, x[rows])
        assert np.mean(it.x) == x[rows].mean()
        with pytest.raises(ValueError, match="read-only"):
            it.x[0] = 0
    assert x.flags.writeable


@pytest.mark.parametrize("time_steps", [None, 2])
@pytest.mark.parametrize("first", [False, True])
def test_gray_pictures_have_one_channel(time_steps, first, tmp_path):
    make_frames(tmp_path, videos=1, frames=2, classes=1)
    generator = ImageDataGenerator(
        time_steps=time_steps,
        rotation_range=5,
        brightness_range=(0.5, 1),
        preprocessing_function=lambda frame: frame / 2,
        data_format="channels_first" if first else "channels_last",
    )
    options = {"target_size": (8, 10), "color_mode": "grayscale", "class_mode": "input", "workers": 0}
    it = generator.flow_from_directory(tmp_path, **options)
    frame = (1, 8, 10) if first else (8, 10, 1)
    assert it.image_shape == frame
    for batch in next(it):
        assert batch.shape == ((2, *frame) if time_steps is None else (1, 2, *frame))
