"""`damaged_limit` stops training on data that are mostly damaged, at the same batch for all workers."""

import numpy as np
import pytest
from helpers import make_frames

import fastclips as fc


def dataset(root, harmed, videos=10):
    """Ten videos of 12 frames, of which the first frames of some are damaged."""
    frames = make_frames(root / "frames", videos=videos)
    data = fc.open(frames)
    for video, count in harmed.items():
        for number in range(1, count + 1):
            (frames / f"class_{video % 2}/video_{video}/frame_{number:05d}.jpg").unlink()
    return data


def loader(data, **options):
    given = {"batch_size": 2, "workers": 0, "damaged": "repeat", "shuffle": False} | options
    return fc.ClipLoader(data, fc.Windows(4), [fc.CenterCrop(32)], **given)


def served(made):
    """Number of batches before an error, and the error."""
    batches = []
    with made, pytest.raises(fc.FrameError) as caught:
        batches.extend(made)
    return len(batches), caught.value


@pytest.mark.slow
def test_a_share_by_default_for_any_number_of_workers(tmp_path):
    data = dataset(tmp_path, {0: 4, 8: 4, 1: 8})
    results = [served(loader(data, workers=workers)) for workers in (0, 1, 2)]
    assert {batches for batches, _ in results} == {12}  # 8 of 96 frames, then 16 of 104
    assert len({str(error) for _, error in results}) == 1
    text = str(results[0][1])
    assert "16 of 104 frames, 15%, were damaged and replaced in epoch 0, more than damaged_limit=0.1" in text
    assert "class_0/video_0/frame_00001.jpg: No such file or directory; " in text
    assert "damaged='error'" in text
    assert "frame_00001.jpg" in results[0][1].path


def test_below_the_share_nothing_stops(tmp_path):
    data = dataset(tmp_path, {0: 10})
    made = loader(data)
    for _ in range(3):
        assert len(list(made)) == 15
    assert len(made.damaged) == 10


def test_a_share_is_of_the_epoch(tmp_path):
    """Many good epochs do not hide a folder that is lost later."""
    data = dataset(tmp_path, {})
    made = loader(data)
    for _ in range(5):
        list(made)
    for video in range(0, 10, 2):
        for path in (tmp_path / f"frames/class_0/video_{video}").iterdir():
            path.unlink()
    with pytest.raises(fc.FrameError, match=r"of 104 frames, .* in epoch 5, more than damaged_limit=0.1"):
        list(made)


def test_short_epochs_are_counted_together(tmp_path):
    data = dataset(tmp_path, {0: 5}, videos=2)  # 24 frames, 5 of them damaged
    made = loader(data)
    for _ in range(4):
        list(made)
    with pytest.raises(fc.FrameError, match=r"25 of 104 frames|2\d of 104 frames"):
        list(made)


def test_a_number_is_of_distinct_frames(tmp_path):
    data = dataset(tmp_path, {0: 2, 3: 1})
    made = loader(data, damaged_limit=3)
    assert [len(list(made)) for _ in range(3)] == [15] * 3
    _, error = served(loader(data, damaged_limit=2))
    assert str(error).startswith("3 frames are damaged, more than damaged_limit=2 allows")
    batches, _ = served(loader(data, damaged_limit=0))
    assert batches == 0


def test_no_limit(tmp_path):
    data = dataset(tmp_path, dict.fromkeys(range(1, 10), 12))
    with loader(data, damaged_limit=1.0) as made:
        x = np.concatenate([x for x, _ in made])
    assert len(made.damaged) == 9 * 12
    assert [bool(clip.any()) for clip in x].count(True) == 3


@pytest.mark.parametrize("value", [-1, -0.1, 1.5, True, "10%", float("nan")])
def test_wrong_values(frames, value):
    with pytest.raises(fc.OptionError, match=r"damaged_limit="):
        loader(fc.open(frames), damaged_limit=value)


def test_it_needs_repeat(frames):
    with pytest.raises(fc.OptionError, match=r"damaged_limit=0.5: is for damaged='repeat'"):
        loader(fc.open(frames), damaged="error", damaged_limit=0.5)
