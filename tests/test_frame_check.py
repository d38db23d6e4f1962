"""Damaged frames and masks of another mode are found when a loader is made, from a look at a few headers."""

import warnings

import numpy as np
import pytest
from helpers import make_frames, make_masks, picture
from PIL import Image

import fastclips as fc
from fastclips.errors import FrameError
from fastclips.pixels.decoding.decoder import frame_mode
from fastclips.serving.frame_check import spread_frames

FOLDER = "class_0/video_0"


@pytest.fixture
def root(tmp_path):
    frames = make_frames(tmp_path / "frames", videos=1, frames=8)  # as many frames as are looked at
    make_masks(tmp_path / "masks", frames)
    return tmp_path


def loader(root, **options):
    data = fc.open({"image": root / "frames", "mask": root / "masks"})
    settings = {"batch_size": 1, "workers": 0, "targets": "mask", **options}
    return fc.ClipLoader(data, fc.Windows(8), **settings)


def test_good_frames_say_nothing(root):
    loader(root)


@pytest.mark.parametrize("stream", ["frames/{}.jpg", "masks/{}.png"])
def test_a_damaged_file_is_found(root, stream):
    path = root / stream.format(f"{FOLDER}/frame_00006")
    path.write_bytes(b"nothing")
    with pytest.warns(UserWarning, match=rf"1 of 8 frames looked at cannot be read.*{path}: neither JPEG"):
        loader(root)
    ((_, y),) = loader(root, damaged="repeat")
    assert (y[0, 5] == 255).all()
    path.unlink()
    with pytest.raises(fc.DataError):  # opening finds it already
        loader(root)


def test_a_file_that_went_away_is_found(root):
    data = fc.open(root / "frames")
    (root / f"frames/{FOLDER}/frame_00006.jpg").unlink()
    with pytest.warns(UserWarning, match=r"1 of 8 frames .*frame_00006.jpg.*No such file"):
        fc.ClipLoader(data, fc.Windows(8), batch_size=1, workers=0)


def as_mode(root, number, mode):
    path = root / f"masks/{FOLDER}/frame_{number:05d}.png"
    with Image.open(path) as image:
        image.convert("L").convert(mode).save(path)
    return path


def test_one_mask_of_another_mode_is_found_and_ignored(root):
    path = as_mode(root, 4, "LA")
    with pytest.warns(UserWarning, match="is of mode LA") as caught:
        loader(root)
    (message,) = [str(warning.message) for warning in caught]
    assert message.startswith(
        f"'mask': {path} is of mode LA, while others are of mode P (such as {root}/masks/"
    )
    assert message.endswith("An epoch will stop at it, or ignore it with damaged='repeat'.")
    with pytest.warns(UserWarning, match="is of mode LA.* It is ignored"):
        repeating = loader(root, damaged="repeat", sample_weight={1: 2.0})
    ((x, y, weight),) = repeating
    assert (y[0] == 255).all(axis=(1, 2)).tolist() == [False] * 3 + [True] + [False] * 4
    assert not weight[0, 3].any()
    assert [path for path, _ in repeating.damaged] == [str(path)]
    plain = fc.ClipLoader(fc.open(root / "frames"), fc.Windows(8), batch_size=1, workers=0)
    np.testing.assert_array_equal(x, next(iter(plain))[0])


@pytest.mark.parametrize("damaged", ["error", "repeat"])
def test_masks_that_are_all_of_a_wrong_mode_are_refused(root, damaged):
    for number in range(1, 9):
        as_mode(root, number, "RGB")
    with pytest.raises(FrameError, match=r"frame_0000\d.png: a mask of mode RGB.* by colors="):
        loader(root, damaged=damaged)


def test_modes_that_masks_may_have_are_no_fault(root):
    as_mode(root, 4, "L")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loader(root)


def test_modes_come_from_headers(tmp_path):
    image = Image.fromarray(picture(1))
    for mode, name in (("RGB", "a.png"), ("LA", "b.png"), ("P", "c.bmp"), ("L", "d.tif"), ("1", "e.png")):
        image.convert(mode).save(tmp_path / name)
        assert frame_mode((tmp_path / name).read_bytes()) == mode
    image.save(tmp_path / "f.jpg")
    assert frame_mode((tmp_path / "f.jpg").read_bytes()) == "JPEG"
    assert frame_mode(np.zeros((2, 2), np.uint8)) == "array"


def test_few_frames_are_looked_at(frames):
    index = fc.open(frames).index
    assert len(list(spread_frames(index, 8))) <= 8
    assert {row for row, _ in spread_frames(index, 8)} == set(range(len(index)))
