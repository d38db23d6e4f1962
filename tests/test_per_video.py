"""per="video": a transform's draws are the same for all clips of a video in an epoch."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastclips as fc
from fastclips.planning.draws import Draws, Purpose
from fastclips.planning.plan import Plan

GEOMETRY = [
    fc.RandomCrop(8, per="video"),
    fc.RandomFlip(vertical=0.5, per="video"),
    fc.RandomResizedCrop(8, per="video"),
    fc.RandomRotation(20, per="video"),
    fc.RandomShear(20, per="video"),
    fc.RandomShift(0.3, 0.3, per="video"),
    fc.RandomZoom(0.5, 1.5, per="video"),
    fc.MultiScaleCrop(8, per="video"),
]
STEPS = [
    fc.Brightness(0.5, per="video"),
    fc.Contrast(0.5, per="video"),
    fc.GaussianNoise(9, per="video"),
    fc.Cutout(3, per="video"),
    fc.Apply(lambda clip: clip + np.random.randint(99), per="video"),  # noqa: NPY002 - as users write it
]


@given(
    columns=st.integers(1, 9),
    by_video=st.sets(st.integers(0, 8)),
    asked=st.integers(0, 9),
    seed=st.integers(0, 2**64 - 1),
    lanes=st.none() | st.integers(1, 20),
)
def test_draws_by_video(columns, by_video, asked, seed, lanes):
    by_video, asked = {column for column in by_video if column < columns}, min(asked, columns)
    options = {"draws": columns, "batch_size": 5, "seed": seed, "shuffle": True, "interleave": lanes}
    plan = Plan([9, 3, 20], fc.Windows(3, step=1), by_video=sorted(by_video), **options)
    clips = plan.clips(4, 1)
    draws = Draws(seed, 4)
    for row, (position, video) in enumerate(zip(clips.position.tolist(), clips.video.tolist(), strict=True)):
        own = draws.units(Purpose.RECIPE, position, 1, columns)[0]
        of_video = draws.units(Purpose.VIDEO, video, 1, columns)[0]
        expected = [of_video[c] if c in by_video else own[c] for c in range(columns)]
        assert clips.draws[row].tolist() == expected
    few = plan.recipe_draws(4, clips.position, clips.video, asked)
    assert few.tolist() == clips.draws[:, :asked].tolist()


def serve(transforms, epoch=0, **options):
    """The clips of an epoch, by video, where all frames of all videos are the same picture."""
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    data = fc.open(images=np.broadcast_to(picture, (6, 12, 16, 16, 3)).copy())
    settings = {"batch_size": 18, "workers": 0, "targets": None, "shuffle": True} | options
    with fc.ClipLoader(data, fc.Windows(4), transforms, **settings) as loader:
        table, batch = loader.plan_table(epoch), loader.batch(epoch, 0)
    batch = batch["image"] if isinstance(batch, dict) else batch
    return [[clip.tobytes() for clip in batch[table["video"] == video]] for video in range(6)]


@pytest.mark.parametrize("transform", [*GEOMETRY, *STEPS], ids=lambda transform: type(transform).__name__)
def test_clips_of_a_video_are_alike(transform):
    by_video = serve([transform])
    assert all(len(clips) == 3 for clips in by_video)
    assert all(len(set(clips)) == 1 for clips in by_video)
    assert len({clips[0] for clips in by_video}) > 1
    assert by_video != serve([transform], epoch=1)
    assert by_video == serve([transform], interleave=6)  # whatever the order
    by_clip = serve([replace(transform, per="clip")])
    assert any(len(set(clips)) > 1 for clips in by_clip)


def test_other_transforms_keep_their_draws():
    draws = {}
    for per in ("clip", "video"):
        transforms = [fc.RandomShift(0.2, 0.2), fc.RandomCrop(8, per=per), fc.Brightness(0.5)]
        with fc.ClipLoader(
            fc.open(images=np.zeros((2, 12, 16, 16, 3), np.uint8)), fc.Windows(4), transforms, batch_size=6
        ) as loader:
            draws[per] = next(loader.schedule.run(0, 0, 1)).tickets["draws"]
    differ = (draws["clip"] != draws["video"]).any(axis=0)
    assert differ.tolist() == [False, False, True, True, False, False]


def test_on_and_labels_follow(frames, masks):
    data = fc.open({"image": frames, "mask": masks})
    flip = fc.RandomFlip(per="video", label_map={"class_0": "class_1"})
    transforms = [flip, fc.RandomCrop(32, per="video"), fc.On("image", fc.Brightness(0.5, per="video"))]
    options = {"batch_size": 36, "shuffle": True, "inputs": ("image", "mask")}
    served = {}
    for workers in (0, 1):
        with fc.ClipLoader(data, fc.Windows(2), transforms, workers=workers, **options) as loader:
            x, y = next(iter(loader))
            served[workers] = (x["image"].tobytes(), x["mask"].tobytes(), y.tolist())
            table = loader.plan_table(0)
    assert served[0] == served[1]
    assert table["label"].tolist() == y.tolist()
    by_video = [set(y[table["video"] == video].tolist()) for video in range(6)]
    assert all(len(labels) == 1 for labels in by_video)
    plain = [0, 0, 0, 1, 1, 1]
    assert 0 < sum(labels != {label} for labels, label in zip(by_video, plain, strict=True)) < 6


@pytest.mark.parametrize("make", [fc.RandomCrop, lambda _, per: fc.Brightness(0.2, per=per)])
def test_other_words_are_refused(make):
    with pytest.raises(fc.OptionError, match="per='epoch': must be one of 'clip', 'frame', 'video'"):
        make(8, per="epoch")
