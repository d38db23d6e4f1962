"""Frames of video files in frame slots: the same batches, and nothing is decoded twice where all fit."""

import numpy as np
import pytest
from stress import digest

import fastclips as fc

pytest.importorskip("av", reason="video extra")

from videos import show, write_movie

TRANSFORMS = {
    "crop": [fc.RandomCrop(40), fc.RandomFlip()],
    "half": [fc.Resize((24, 32))],
    "zoom": [fc.RandomResizedCrop(20)],
    "warp": [fc.RandomRotation(20), fc.Rescale()],
    "moves": [fc.RandomCrop(40, per="frame")],
}


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    root = tmp_path_factory.mktemp("movies")
    for number, frames in enumerate((30, 18, 24)):
        write_movie(root / "a" / f"{number}.mp4", [show(50 * number + frame) for frame in range(frames)])
    return fc.open(root)


def epochs(loader, count=3):
    found, decoded = [], []
    for epoch in range(count):
        found.append([digest(batch) for batch in loader.epoch(epoch)])
        decoded.append(loader.stats().movie_frames)
    return found, decoded


def loader_of(movies, transforms, cache, **options):
    return fc.ClipLoader(
        movies, fc.Windows(4, step=2), transforms, batch_size=4, shuffle=True, cache=cache, **options
    )


@pytest.mark.parametrize("draws", [1, 2])
@pytest.mark.parametrize("transforms", TRANSFORMS.values(), ids=TRANSFORMS)
def test_the_same_batches_of_frames_decoded_once(movies, transforms, draws):
    with loader_of(movies, transforms, 0, workers=0, draws_per_clip=draws) as plain:
        expected, _ = epochs(plain)
    with loader_of(movies, transforms, fc.FrameCache("64MiB"), workers=0, draws_per_clip=draws) as kept:
        found, decoded = epochs(kept)
        assert found == expected
        assert decoded == [movies.index.frame_counts.sum()] * 3
    with loader_of(movies, transforms, "auto", workers=2, draws_per_clip=draws) as planned:
        found, decoded = epochs(planned)
        assert found == expected
        # Workers may decode a frame at the same time; in the last epoch, none is left to decode
        assert decoded[-1] - decoded[-2] == 0
        assert decoded[-1] < 2 * movies.index.frame_counts.sum()


def test_frames_larger_than_those_looked_at_are_decoded_each_time(tmp_path):
    for number in range(9):
        height = 96 if number == 1 else 48  # of nine, the first, third, sixth and last are looked at
        frames = [np.full((height, 64, 3), 20 * frame, np.uint8) for frame in range(8)]
        write_movie(tmp_path / "a" / f"{number}.mp4", frames)
    movies = fc.open(tmp_path)
    transforms = [fc.Resize((30, 40))]
    with loader_of(movies, transforms, 0, workers=0) as plain:
        expected, _ = epochs(plain)
    with loader_of(movies, transforms, fc.FrameCache("64MiB"), workers=0) as kept:
        found, decoded = epochs(kept)
    assert found == expected
    assert np.diff(decoded).tolist() == [3 * 4] * 2  # the three windows of the second video
