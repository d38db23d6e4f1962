"""Data that many tests read, made once; and how properties are tested.

They are tried with the same examples each time, so that a change that is right never fails for another's
fault, and without a deadline, since a busy machine is no failure. To look for more::

    pytest --hypothesis-profile explore
"""

import shutil

import pytest
from helpers import frames_of, make_frames, make_masks
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

import fastclips as fc

settings.register_profile(
    "fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "explore",
    settings.get_profile("fixed"),
    derandomize=False,
    database=DirectoryBasedExampleDatabase(".hypothesis/examples"),
)
settings.load_profile("fixed")


@pytest.fixture(scope="session")
def frames(tmp_path_factory):
    """Six videos of 12 frames, 48x64 (height x width), in two classes."""
    return make_frames(tmp_path_factory.mktemp("frames"))


@pytest.fixture(scope="session")
def coded(tmp_path_factory, frames):
    """A pack of the coefficients of `frames`, in several shards."""
    folder = tmp_path_factory.mktemp("coded") / "pack"
    fc.pack(frames, folder, codec="dct", shard_size="20KiB", workers=0)
    return folder


@pytest.fixture
def coded_copy(coded, tmp_path):
    """A copy to be harmed."""
    return shutil.copytree(coded, tmp_path / "pack")


@pytest.fixture(scope="session")
def masks(tmp_path_factory, frames):
    """A mask for every frame of `frames`."""
    return make_masks(tmp_path_factory.mktemp("masks"), frames)


@pytest.fixture
def rawframes(tmp_path):
    """Two classes, three videos of 5, 6 and 7 frames, counted from 1."""
    for number, video in enumerate(("dive/a", "dive/b", "swim/c")):
        frames_of(tmp_path / "rawframes", video, 5 + number)
    return tmp_path


@pytest.fixture(scope="session")
def movie_files(tmp_path_factory):
    """The pattern that finds some video files, 48x64, whose frames show their numbers: `videos.LENGTHS`."""
    pytest.importorskip("av", reason="video extra")
    from videos import LENGTHS, show, write_movie  # noqa: PLC0415 - needs av

    root = tmp_path_factory.mktemp("movies")
    for name, length in LENGTHS.items():
        write_movie(root / f"{name}.mp4", [show(number) for number in range(length)], "libx264", {"crf": "5"})
    return f"{root}/{{classname}}/*.mp4"


@pytest.fixture
def make_movies(movie_files):
    """Makes generators of compat.keras_video, which are closed at the end."""
    from fastclips.compat import keras_video  # noqa: PLC0415 - needs what few tests need

    made = []

    def make(kind=keras_video.VideoFrameGenerator, **options):
        small = {
            "target_shape": (48, 64),
            "batch_size": 3,
            "glob_pattern": movie_files,
            "workers": 0,
            "seed": 5,
        }
        made.append(kind(**{**small, **options}))
        return made[-1]

    yield make
    for generator in made:
        generator.close()
