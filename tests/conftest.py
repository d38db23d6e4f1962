"""Data that many tests read, made once."""

import pytest
from helpers import frames_of, make_frames, make_masks


@pytest.fixture(scope="session")
def frames(tmp_path_factory):
    """Six videos of 12 frames, 48x64 (height x width), in two classes."""
    return make_frames(tmp_path_factory.mktemp("frames"))


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
