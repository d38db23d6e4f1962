"""keras-video-generators over again: splits, patterns and arguments."""

from itertools import chain

import pytest
from helpers import run_python

av = pytest.importorskip("av", reason="video extra")

from fastclips.compat import keras_video as kv  # noqa: E402 - needs av
from fastclips.compat.keras_video.patterns import find_videos  # noqa: E402 - as above
from fastclips.errors import DataError, OptionError  # noqa: E402 - as above


def test_splits_are_disjoint_whole_and_the_same_on_every_run(movie_files, make_movies):
    generator = make_movies(split_val=0.3, split_test=0.5, seed=None)
    parts = generator.files, generator.validation, generator.test
    assert [len(part) for part in parts] == [2 + 2, 0 + 1, 1 + 1]  # of 3 and 4 videos
    assert sorted(chain(*parts)) == list(find_videos(movie_files, None))
    again = make_movies(split_val=0.3, split_test=0.5, seed=None)
    assert (again.files, again.validation, again.test) == parts
    others = [make_movies(split_val=0.3, split_test=0.5, seed=seed) for seed in range(1, 9)]
    assert any(other.files != generator.files for other in others)
    assert generator.get_validation_generator().files == generator.validation
    assert generator.get_test_generator().files == generator.test
    alone = make_movies(split_test=0.5)
    assert (len(alone.files), len(alone.test)) == (4, 3)
    with pytest.warns(DeprecationWarning, match="split=0.3: it is now called split_val"):
        old = make_movies(split=0.3)
    assert old.validation == make_movies(split_val=0.3).validation


def test_a_class_without_videos_is_told(make_movies):
    found = make_movies().classes
    with pytest.warns(UserWarning, match="no video of class 'none' matches glob_pattern=") as caught:
        made = make_movies(classes=[*found, "none"])
    assert made.classes == sorted([*found, "none"])
    assert caught[0].filename.endswith("conftest.py")  # which calls it


def test_the_other_parts_keep_all_options_but_the_augmentation(make_movies):
    class Black:
        def get_random_transform(self, _):
            return 0

        def apply_transform(self, x, drawn):
            return drawn * x

    options = {
        "nb_frames": 3,
        "rescale": 1 / 127,
        "nb_channel": 1,
        "target_shape": (24, 32),
        "use_headers": False,
        "use_frame_cache": True,
        "shuffle": False,
        "batch_size": 2,
        "split_val": 0.4,
        "split_test": 0.4,
        "transformation": Black(),
    }
    kinds = {
        kv.VideoFrameGenerator: {},
        kv.SlidingFrameGenerator: {"sequence_time": 0.5},
        kv.OpticalFlowGenerator: {
            "method": kv.METHOD_ABS_DIFF,
            "flowlevel": 2,
            "iterations": 1,
            "winsize": 7,
        },
    }
    for kind, more in kinds.items():
        generator = make_movies(kind, **options, **more)
        assert not generator[0][0].any()
        for other in (generator.get_validation_generator(), generator.get_test_generator()):
            assert isinstance(other, kind)
            for name in ("nbframe", "rescale", "nb_channel", "target_shape", "use_video_header"):
                assert getattr(other, name) == getattr(generator, name)
            for name in ("use_frame_cache", "shuffle", "batch_size", "glob_pattern", "seed", *more):
                assert getattr(other, name) == getattr(generator, name)
            assert other.classes == ["a", "b"]
            assert other.transformation is None
            x, y = other[0]
            assert x.shape[1:] == (3, 24, 32, 1)
            assert x.any()
            assert y.shape[1] == 2
            other.close()


def test_a_part_that_nothing_was_set_aside_for(make_movies):
    generator = make_movies(split_val=0.01)
    with pytest.raises(OptionError, match="split_val= set no video aside"):
        generator.get_validation_generator()
    with pytest.raises(OptionError, match="split_test= set no video aside"):
        generator.get_test_generator()
    with pytest.raises(OptionError, match=r"split_val=None, split_test=None: leave none of \d+ videos"):
        make_movies(_files=[])


TREE = [
    *("a b/2.avi", "a b/1.avi", "a b/.hidden.avi", "a b/4.txt", "[x]/3.avi", "deep/x/y/1.avi", "deep/0.avi"),
    *("flat/v_jump_1.avi", "flat/v_jump_high_2.avi", "twice/twice_1.avi", "twice/once_1.avi"),
]


@pytest.mark.parametrize(
    ("pattern", "classes", "expected"),
    [
        ("{classname}/*.avi", None, {"a b": ["a b/1.avi", "a b/2.avi"], "[x]": ["[x]/3.avi"]}),
        ("{classname}/*.avi", ["[x]"], {"[x]": ["[x]/3.avi"]}),
        ("{classname}/[12].avi", None, {"a b": ["a b/1.avi", "a b/2.avi"]}),
        ("{classname}/[!13].avi", None, {"a b": ["a b/2.avi"]}),
        ("{classname}/?.avi", ["a b"], {"a b": ["a b/1.avi", "a b/2.avi"]}),
        ("flat/v_{classname}_*.avi", None, {"jump": ["flat/v_jump_1.avi", "flat/v_jump_high_2.avi"]}),
        (
            "flat/v_{classname}_*.avi",
            ["jump_high", "jump"],
            {"jump": ["flat/v_jump_1.avi"], "jump_high": ["flat/v_jump_high_2.avi"]},
        ),
        ("{classname}/{classname}_*.avi", None, {"twice": ["twice/twice_1.avi"]}),
        ("{classname}/**/*.avi", ["deep"], {"deep": ["deep/0.avi", "deep/x/y/1.avi"]}),
        ("de*/{classname}/y/*.avi", None, {"x": ["deep/x/y/1.avi"]}),
    ],
)
def test_patterns(tmp_path, monkeypatch, pattern, classes, expected):
    for path in TREE:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    expected = {path: name for name, paths in sorted(expected.items()) for path in paths}
    monkeypatch.chdir(tmp_path)
    for root in ("", "./", f"{tmp_path}/"):
        found = find_videos(root + pattern, classes)
        kept = {path: name for path, name in found.items() if name in expected.values() or classes}
        assert list(kept.items()) == [(root + path, name) for path, name in expected.items()]


def test_given_classes_are_sorted_and_left_alone(make_movies):
    classes = ["b", "a"]
    assert make_movies(classes=classes).classes == ["a", "b"]
    assert classes == ["b", "a"]
    only = make_movies(classes=("b",))
    assert (only.classes, only.n) == (["b"], 4)
    assert only[0][1].shape == (3, 1)


def test_nothing_found(tmp_path, make_movies):
    with pytest.raises(DataError, match=r"glob_pattern='.*/\{classname\}/\*\.avi' finds no file, seen from"):
        make_movies(glob_pattern=f"{tmp_path}/{{classname}}/*.avi")
    with pytest.raises(DataError, match="finds no file of 'c', 'd'"):
        make_movies(classes=["d", "c"])
    with pytest.raises(DataError, match=r"'other\.mp4' of 1 files do not match"):
        make_movies(_files=["other.mp4"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nb_frames": 0}, "nb_frames=0: must be an integer from 1"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"target_shape": (224,)}, r"target_shape=\(224,\): must be a positive int or \(height, width\)"),
        ({"nb_channel": 2}, r"nb_channel=2: must be 1 \(gray\) or 3 \(RGB\)"),
        ({"split_val": 1.5}, r"split_val=1\.5: must be a number between 0 and 1"),
        ({"split_test": "half"}, "split_test='half': must be a number"),
        ({"glob_pattern": "videos/*.avi"}, r"glob_pattern='videos/\*\.avi': must contain \{classname\}"),
        ({"classes": "ab"}, "classes='ab': must be a sequence of names"),
        ({"classes": ["a", "a"]}, "but 'a' is there twice"),
        ({"use_headers": 1}, "use_headers=1: must be True or False"),
        ({"shuffle": None}, "shuffle=None: must be True or False"),
        (
            {"kind": kv.SlidingFrameGenerator, "sequence_time": 0},
            "sequence_time=0: must be seconds above 0",
        ),
        ({"kind": kv.OpticalFlowGenerator, "method": 5}, "method=5: must be an integer from 1 to 4"),
        ({"kind": kv.OpticalFlowGenerator, "winsize": 0}, "winsize=0: must be an integer from 1"),
    ],
)
def test_wrong_arguments(make_movies, options, message):
    with pytest.raises(OptionError, match=message):
        make_movies(**options)


def test_unknown_arguments_are_refused(make_movies):
    with pytest.raises(TypeError, match="nb_frame"):
        make_movies(nb_frame=3)


def test_positions_are_the_originals(movie_files):
    generator = kv.VideoFrameGenerator(
        1 / 127, 3, ["a", "b"], 4, False, (20, 30), False, None, 0.2, 0.4, 1, movie_files, False, workers=0
    )
    assert generator[0][0].shape == (4, 3, 20, 30, 1)
    assert (len(generator.files), len(generator.validation), len(generator.test)) == (5, 2, 0)
    sliding = kv.SlidingFrameGenerator(
        1 / 127, 3, ["a"], 4, False, (20, 30), False, None, None, None, 1, movie_files, workers=0
    )
    assert sliding[0][0].shape == (4, 3, 20, 30, 1)
    flow = kv.OpticalFlowGenerator(1 / 127, glob_pattern=movie_files, target_shape=(20, 30), workers=0)
    assert flow[0][0].shape == (7, 5, 20, 30, 3)
    assert (kv.VideoFrameGenerator.__init__.__defaults__) == (
        *(1 / 255, 5, None, 16, False, (224, 224), True, None, None, None, 3),
        *("./videos/{classname}/*.avi", True),
    )  # fmt: skip


@pytest.mark.slow
def test_importing_needs_no_pyav_and_no_keras():
    code = """
import sys
sys.modules["av"] = None
from fastclips.compat import keras_video
print(*[name for name in ("keras", "tensorflow", "cv2", "numba") if name in sys.modules])
try:
    keras_video.VideoFrameGenerator(glob_pattern="{classname}")
except ImportError as error:
    print(error)
"""
    none, message = run_python(code).splitlines()
    assert none == ""
    assert message.startswith('reading video files needs PyAV: pip install "fastclips[video]"')
