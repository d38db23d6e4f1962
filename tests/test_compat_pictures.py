"""load_img, img_to_array and array_to_img: the same as Keras's; and iterators that isinstance knows."""

import io
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import fastclips as fc
from fastclips import compat
from fastclips.compat.image import PictureError

MODES = ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA", "CMYK", "F")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A picture of each mode of Pillow, 30 wide and 20 high, in a format that keeps it."""
    root = tmp_path_factory.mktemp("pictures")
    values = np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8)
    found = {}
    for mode in MODES:
        image = Image.fromarray(values).convert("RGB")
        image = image.convert("L").convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)
        found[mode] = root / f"{MODES.index(mode)}.tif"
        image.save(found[mode])
    return found


def same(found, expected):
    assert (found.mode, found.size) == (expected.mode, expected.size)
    assert found.tobytes() == expected.tobytes()


# --- beside Keras


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("color_mode", ["rgb", "rgba", "grayscale"])
def test_pictures_are_loaded_as_by_keras(files, mode, color_mode):
    keras = pytest.importorskip("keras")
    sizes = [(), ((20, 30), "nearest"), ((7, 9), "bilinear"), ((40, 21), "lanczos"), ((9, 9), "box", True)]
    for arguments in sizes:
        found = compat.load_img(files[mode], color_mode, *arguments)
        same(found, keras.utils.load_img(files[mode], color_mode, *arguments))
        np.testing.assert_array_equal(compat.img_to_array(found), keras.utils.img_to_array(found))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3, 4])),
    seed=st.integers(0, 99),
    scale=st.booleans(),
    first=st.booleans(),
    span=st.sampled_from([0.0, 1.0, 255.0, 70_000.0]),
    dtype=st.sampled_from([None, "float64", "float16"]),
)
def test_arrays_are_pictures_as_by_keras(shape, seed, scale, first, span, dtype):
    keras = pytest.importorskip("keras")
    span = min(span, 255.0) if shape[2] > 1 or dtype == "float16" else span
    x = np.random.default_rng(seed).random(shape) * span
    options = {"data_format": "channels_first" if first else "channels_last", "dtype": dtype}
    x = x.transpose(2, 0, 1) if first else x
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras gives Pillow a mode
        expected = keras.utils.array_to_img(x, scale=scale, **options)
    found = compat.array_to_img(x, scale=scale, **options)
    same(found, expected)
    again = compat.img_to_array(found, **options)
    want = keras.utils.img_to_array(found, **options)
    assert again.dtype == want.dtype
    np.testing.assert_array_equal(again, want)


# --- without Keras


def test_sources_and_sizes(files):
    path = files["RGB"]
    whole = compat.load_img(path)
    for source in (str(path), bytes(path), io.BytesIO(path.read_bytes())):
        same(compat.load_img(source), whole)
    assert whole.size == (30, 20)
    assert compat.load_img(path, target_size=8).size == (8, 8)
    assert compat.load_img(path, target_size=(8, 16)).size == (16, 8)
    assert compat.img_to_array(whole).shape == (20, 30, 3)
    assert compat.img_to_array(whole, "channels_first", "uint8").shape == (3, 20, 30)
    gray = compat.load_img(path, "grayscale")
    assert compat.img_to_array(gray, "channels_first").shape == (1, 20, 30)
    with pytest.warns(DeprecationWarning, match="grayscale=True is now called color_mode='grayscale'"):
        same(compat.load_img(path, grayscale=True), gray)


def test_an_array_and_back():
    x = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.float32)
    np.testing.assert_array_equal(compat.img_to_array(compat.array_to_img(x, scale=False)), x)
    assert compat.array_to_img(x / 255 - 3).getextrema()[0][0] <= 1
    assert compat.array_to_img(np.full((2, 2, 1), 7)).getextrema() == (0, 0)


def test_files_that_are_no_pictures(tmp_path):
    """As with Keras, OSError catches each."""
    with pytest.raises(FileNotFoundError, match="none"):
        compat.load_img(tmp_path / "none.jpg")
    path = tmp_path / "text.jpg"
    path.write_text("no picture")
    with pytest.raises(
        OSError, match=r"text\.jpg is no picture, or truncated or damaged \(10 bytes\)"
    ) as caught:
        compat.load_img(path)
    assert isinstance(caught.value, fc.FrameError)
    assert caught.value.path == str(path)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again), again.path) == (PictureError, str(caught.value), str(path))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"path": 3}, "path=3: must be a path"),
        ({"color_mode": "gray"}, "color_mode='gray'"),
        ({"interpolation": "cubic"}, "interpolation='cubic'"),
        ({"target_size": 0}, "target_size=0"),
    ],
)
def test_bad_arguments_of_load_img(files, options, error):
    with pytest.raises(fc.OptionError, match=error):
        compat.load_img(**{"path": files["RGB"], **options})


@pytest.mark.parametrize(
    ("function", "shape", "data_format", "error"),
    [
        (compat.img_to_array, (3,), None, r"img of shape \(3,\): must be a picture"),
        (compat.img_to_array, (3, 3), "last", "data_format='last'"),
        (compat.array_to_img, (3, 3), None, r"x of shape \(3, 3\): must be one picture"),
        (compat.array_to_img, (3, 3, 2), None, r"x of shape \(3, 3, 2\)"),
        (compat.array_to_img, (9, 9, 3), "channels_first", r"\(C, H, W\)"),
    ],
)
def test_bad_arrays(function, shape, data_format, error):
    with pytest.raises(fc.OptionError, match=error):
        function(np.zeros(shape), data_format)


def test_isinstance_tells_the_flows_apart(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "a" / "0.png")
    generator = compat.ImageDataGenerator()
    flows = {
        compat.NumpyArrayIterator: generator.flow(np.zeros((1, 4, 4, 3)), workers=0),
        compat.DirectoryIterator: generator.flow_from_directory(tmp_path, workers=0),
        compat.DataFrameIterator: generator.flow_from_dataframe(
            {"filename": ["a/0.png"], "class": ["a"]}, tmp_path, workers=0
        ),
    }
    for kind, flow in flows.items():
        assert isinstance(flow, compat.Iterator)
        assert [isinstance(flow, other) for other in flows] == [kind is other for other in flows]
    assert capsys.readouterr().out.count("Found 1 images") == 2
