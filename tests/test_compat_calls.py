"""Calls of the originals as their users write them: imports, signatures, and arguments that do not apply."""

import copy
import importlib
import inspect
import itertools
import multiprocessing
import pickle
import pydoc
import re
import sys
import types

import cloudpickle
import numpy as np
import pytest
from helpers import run_python

from fastclips import compat
from fastclips.compat import (
    ImageDataGenerator,
    TimeDistributedImageDataGenerator,
    keras_video,
    paired_random_crop,
    time_distributed,
)
from fastclips.errors import OptionError

# --- a class in place of its module

NAME = "fastclips.compat.TimeDistributedImageDataGenerator"
IMPORTS = {
    f"import {NAME}": NAME,
    f"import {NAME} as renamed": "renamed",
    "from fastclips.compat import TimeDistributedImageDataGenerator as M": "M",
    f"from {NAME} import TimeDistributedImageDataGenerator": "TimeDistributedImageDataGenerator",
    "import fastclips.compat.time_distributed as home": "home.TimeDistributedImageDataGenerator",
    f"from {NAME} import *": "TimeDistributedImageDataGenerator",
}


@pytest.mark.slow
@pytest.mark.parametrize("first", IMPORTS)
def test_each_import_gives_the_class_in_any_order(first):
    """In a fresh process for each import that may be the first; the others follow in all orders of two."""
    rest = [line for line in IMPORTS if line != first]
    code = [first, f"first = {IMPORTS[first]}"]
    for line in [line for pair in itertools.permutations(rest, 2) for line in pair]:
        code += [line, f"assert {IMPORTS[line]} is first"]
    code += [
        f"import {NAME}",
        "assert first.TimeDistributedImageDataGenerator is first",
        "assert first.TimeDistributedImageDataGenerator(time_steps=3).time_steps == 3",
        "print(first.__name__, first.__module__)",
    ]
    printed = run_python("\n".join(code))
    assert printed == "TimeDistributedImageDataGenerator fastclips.compat.time_distributed\n"


def test_the_class_in_place_of_its_module_is_a_class_like_others():
    kind = TimeDistributedImageDataGenerator
    assert (
        kind is kind.TimeDistributedImageDataGenerator is sys.modules[NAME] is importlib.import_module(NAME)
    )
    assert kind.TimeDistributedDirectoryIterator is time_distributed.TimeDistributedDirectoryIterator
    assert issubclass(kind, ImageDataGenerator)
    assert inspect.isclass(kind)
    made = kind(time_steps=3)
    for again in (
        pickle.loads(pickle.dumps(made)),
        cloudpickle.loads(cloudpickle.dumps(made)),
        copy.deepcopy(made),
    ):
        assert isinstance(again, kind)
        assert type(again) is kind
        assert again.time_steps == 3
    assert pickle.loads(pickle.dumps(kind)) is cloudpickle.loads(cloudpickle.dumps(kind)) is kind
    assert "class TimeDistributedImageDataGenerator(ImageDataGenerator):" in inspect.getsource(kind)
    assert inspect.getmodule(kind) is time_distributed
    assert "time_steps : int" in pydoc.render_doc(kind)
    assert "time_steps : int" in pydoc.render_doc(NAME)


def test_a_pickle_of_0_1_0_finds_the_class():
    """It names the module that the class was in."""
    old = b"".join((b"c", NAME.encode(), b"\nTimeDistributedImageDataGenerator\n."))
    assert pickle.loads(old) is TimeDistributedImageDataGenerator


def test_a_subclass_of_the_class_in_place_of_its_module():
    class Longer(TimeDistributedImageDataGenerator):
        def __init__(self, **options):
            super().__init__(time_steps=9, **options)

    assert Longer(rescale=2.0).time_steps == 9
    assert isinstance(Longer(), TimeDistributedImageDataGenerator)
    assert [Longer.__name__, Longer.__module__] == ["Longer", __name__]


def test_reloading_keeps_the_class(monkeypatch):
    kind = TimeDistributedImageDataGenerator
    importlib.reload(compat)
    assert compat.TimeDistributedImageDataGenerator is kind
    with pytest.raises(ImportError):  # as of any class
        importlib.reload(kind)
    monkeypatch.delitem(sys.modules, NAME)
    assert importlib.import_module(NAME) is kind
    assert kind.__name__ == "TimeDistributedImageDataGenerator"


# --- signatures

VIDEOS = """
rescale nb_frames classes batch_size use_frame_cache target_shape shuffle transformation split_test split_val
nb_channel glob_pattern use_headers"""
PICTURES = """
featurewise_center samplewise_center featurewise_std_normalization samplewise_std_normalization
zca_whitening zca_epsilon rotation_range width_shift_range height_shift_range brightness_range shear_range
zoom_range channel_shift_range fill_mode cval horizontal_flip vertical_flip rescale preprocessing_function
data_format validation_split"""
FLOW = """
self x y batch_size shuffle sample_weight seed save_to_dir save_prefix save_format ignore_class_split
subset"""
FILES = "classes class_mode batch_size shuffle seed save_to_dir save_prefix save_format"
FROM_DIRECTORY = f"""
self directory target_size color_mode {FILES} follow_links subset interpolation keep_aspect_ratio"""
FROM_DATAFRAME = f"""
self dataframe directory x_col y_col weight_col target_size color_mode {FILES} subset interpolation
validate_filenames"""
FOLDER = """
directory labels label_mode class_names color_mode batch_size image_size shuffle seed validation_split subset
interpolation follow_links crop_to_aspect_ratio pad_to_aspect_ratio data_format format verbose"""
SERIES = """
data targets sequence_length sequence_stride sampling_rate batch_size shuffle seed start_index end_index
format"""
PAIRS = "list_IDs image_path mask_path to_fit batch_size dim n_channels n_classes shuffle"
POSITIONAL = {  # names of the originals' arguments, in order
    compat.DataGenerator: PAIRS,
    compat.ImageDataGenerator: f"{PICTURES} interpolation_order dtype",
    compat.TimeDistributedImageDataGenerator: f"{PICTURES} dtype time_steps",
    compat.ImageDataGenerator.flow: FLOW,
    compat.ImageDataGenerator.flow_from_directory: FROM_DIRECTORY,
    compat.ImageDataGenerator.flow_from_dataframe: FROM_DATAFRAME,
    compat.image_dataset_from_directory: FOLDER,
    compat.timeseries_dataset_from_array: SERIES,
    compat.paired_random_crop: "x y crop batch_size per shuffle seed",
    compat.load_img: "path color_mode target_size interpolation keep_aspect_ratio",
    compat.img_to_array: "img data_format dtype",
    compat.array_to_img: "x data_format scale dtype",
    keras_video.VideoFrameGenerator: VIDEOS,
    keras_video.SlidingFrameGenerator: VIDEOS,
    keras_video.OpticalFlowGenerator: VIDEOS,
}


@pytest.mark.parametrize("called", POSITIONAL, ids=lambda called: called.__qualname__)
def test_signatures_name_every_argument(called):
    parameters = inspect.signature(called).parameters.values()
    positional = [given.name for given in parameters if given.kind is given.POSITIONAL_OR_KEYWORD]
    assert positional == POSITIONAL[called].split()
    kinds = {given.name for given in parameters if given.kind in (given.VAR_POSITIONAL, given.VAR_KEYWORD)}
    assert kinds <= ({"ignored"} if "dataframe" in positional else set())
    assert all(given.default is not given.empty for given in parameters if given.kind is given.KEYWORD_ONLY)
    documented = re.search(r"Parameters\n-+\n(.*?)\n\n(?=\w+\n---)", inspect.getdoc(called), re.DOTALL)[1]
    named = set(re.findall(r"\w+", " ".join(re.findall(r"^\S.*", documented, re.MULTILINE))))
    assert {given.name for given in parameters} - {"self"} <= named


def test_no_public_function_is_left_out():
    homes = (compat, keras_video)
    things = {getattr(home, name) for home in homes for name in home.__all__}
    things -= {compat.Iterator, compat.NumpyArrayIterator, compat.DirectoryIterator, compat.DataFrameIterator}
    assert {thing for thing in things if callable(thing)} <= POSITIONAL.keys()  # flows make iterators


def test_signatures_of_ones_own_generators():
    class Own(keras_video.SlidingFrameGenerator):
        def __init__(self, *args, margin=3, **kwargs):
            super().__init__(*args, **kwargs)
            self.margin = margin

    class Other(Own):
        def __init__(self, path):
            super().__init__(glob_pattern=path)

    assert list(inspect.signature(Own).parameters)[-2:] == ["sequence_time", "margin"]
    assert list(inspect.signature(Other).parameters) == ["path"]


# --- use_multiprocessing

KERAS_2 = """
class Adapter:
    def __init__(self, x, workers, use_multiprocessing):
        self.first = self._peek_and_restore(x)

    @staticmethod
    def _peek_and_restore(x):
        return x[0]


def get_index(x, index):
    return x[index]
"""


@pytest.fixture(scope="module")
def keras_2():
    """How Keras 2 asks: for a batch before it starts processes, and in these."""
    module = types.ModuleType("tf_keras.stand_in")
    exec(KERAS_2, module.__dict__)  # noqa: S102 - the text above
    return module


def crops():
    x = np.zeros((4, 8, 8, 1), np.uint8)
    return paired_random_crop(x, x, 4, 2, seed=0)


def pictures():
    return ImageDataGenerator().flow(np.zeros((4, 8, 8, 1)), batch_size=2, workers=0)


def test_workers_of_keras_are_ignored_with_a_warning_at_the_call():
    with pytest.warns(UserWarning, match="ignores use_multiprocessing=True") as caught:
        it = ImageDataGenerator().flow(np.zeros((4, 8, 8, 1)), use_multiprocessing=True, workers=0)
    with it, pytest.warns(UserWarning, match="ignores workers=4") as later:
        it.workers = 4
    assert {warning.filename for warning in (*caught, *later)} == {__file__}


@pytest.mark.parametrize("make", [crops, pictures])
def test_processes_of_keras_2_are_refused(make, keras_2, monkeypatch):
    with make() as it:
        keras_2.Adapter(it, workers=2, use_multiprocessing=False)
        keras_2.Adapter(it, workers=0, use_multiprocessing=True)  # it starts none
        with pytest.raises(
            OptionError, match=r"^use_multiprocessing=True: leave it out .*workers= of the it"
        ):
            keras_2.Adapter(it, workers=1, use_multiprocessing=True)
        keras_2.get_index(it, 1)
        monkeypatch.setattr(multiprocessing.current_process(), "name", "Keras_worker_ForkPoolWorker-1")
        with pytest.raises(OptionError, match=r"^use_multiprocessing=True"):
            keras_2.get_index(it, 1)
        assert len(it[1])  # the user's own request
