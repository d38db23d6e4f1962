"""Streams that are plain paths: their frames have one size, or `On` gives it to them."""

import shutil

import pytest
from helpers import make_masks

import fastclips as fc
from fastclips.testing import write_frames


def plain(tmp_path, **sizes):
    """Write a folder of frames for each stream, as (height, width), and open them."""
    streams = {}
    for name, (height, width) in sizes.items():
        streams[name] = write_frames(tmp_path / name, videos=1, frames=4, height=height, width=width)
    if "mask" in sizes:
        shutil.rmtree(tmp_path / "mask")
        make_masks(tmp_path / "mask", tmp_path / "image", *sizes["mask"])
    return fc.open({name: tmp_path / name for name in streams})


def test_a_plain_mask_of_another_size_is_refused_by_the_loader(tmp_path):
    data = plain(tmp_path, image=(48, 64), mask=(96, 128))
    options = {"batch_size": 1, "workers": 0, "targets": "mask"}
    said = (
        r"frames of 'mask' \(mask\) are 96x128 \(height x width\) and those of 'image' 48x64.* before "
        r"RandomCrop\(.*: put On\('mask', Resize\(\(48, 64\)\)\) before it"
    )
    with pytest.raises(fc.OptionError, match=said):
        fc.ClipLoader(data, fc.Windows(4), [fc.RandomCrop(32)], **options)
    with pytest.raises(fc.OptionError, match=r"pixel by pixel: add On\('mask', Resize\(\(48, 64\)\)\)"):
        fc.ClipLoader(data, fc.Windows(4), **options)
    fc.ClipLoader(data, fc.Windows(4), [fc.RandomCrop(32)], batch_size=1, workers=0)  # the mask is not served
    steps = [fc.On("mask", fc.Resize((48, 64))), fc.RandomCrop(32)]
    x, y = next(iter(fc.ClipLoader(data, fc.Windows(4), steps, **options)))
    assert (x.shape, y.shape) == ((1, 4, 32, 32, 3), (1, 4, 32, 32))


def test_a_plain_picture_of_another_size_is_refused_by_the_loader(tmp_path):
    data = plain(tmp_path, image=(48, 64), left=(40, 56))
    options = {"batch_size": 1, "workers": 0, "inputs": ("image", "left"), "targets": None}
    said = (
        r"frames of 'left' \(image\) are 40x56 .*'image' 48x64.*pictures that are plain paths must have one "
        r"size: "
        r"open 'left' as Stream\(path\) if it is another camera, or put On\('left', Resize\(\(48, 64\)\)\)"
    )
    with pytest.raises(fc.OptionError, match=said):
        fc.ClipLoader(data, fc.Windows(4), [fc.RandomCrop(32)], **options)
    steps = [fc.On("left", fc.Resize((48, 64))), fc.RandomCrop(32)]
    x = next(iter(fc.ClipLoader(data, fc.Windows(4), steps, **options)))
    assert x["left"].shape == (1, 4, 32, 32, 3)
    other = fc.open({"image": tmp_path / "image", "left": fc.Stream(tmp_path / "left")})
    x = next(iter(fc.ClipLoader(other, fc.Windows(4), [fc.RandomCrop(32)], **options)))
    assert x["left"].shape == (1, 4, 32, 32, 3)


def test_an_unreadable_first_mask_is_no_reason_to_refuse(tmp_path):
    data = plain(tmp_path, image=(48, 64), mask=(48, 64))
    next(iter(sorted((tmp_path / "mask").rglob("*.png")))).write_bytes(b"")
    with pytest.warns(UserWarning, match="damaged|cannot"):
        fc.ClipLoader(data, fc.Windows(4), [fc.RandomCrop(32)], batch_size=1, workers=0, targets="mask")
