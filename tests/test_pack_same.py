"""A pack gives what the folder, list or array gave that it was made of: clips, labels and pixels."""

import subprocess
import tarfile

import numpy as np
import pytest
import simplejpeg
from helpers import make_frames, make_masks, picture, write_jpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from packing import check_same, content, members, packed, same_index, streams_of
from PIL import Image

import fastclips as fc
from fastclips.errors import DataError, OptionError


@pytest.fixture(scope="module")
def pairs(frames, masks):
    return fc.open({"image": frames, "mask": masks})


def test_a_folder(frames, tmp_path):
    dataset = fc.open(frames)
    done, pack = packed(dataset, tmp_path / "pack")
    assert (done.videos, done.frames, done.problems, done.dropped, done.kept) == (6, 72, [], [], 0)
    assert repr(pack) == repr(dataset)
    same_index(dataset, pack)
    check_same(dataset, pack)
    check_same(dataset, pack, fc.Windows(4, dilation=3))
    check_same(dataset, pack, fast_dct=False)


@pytest.mark.parametrize("restart", [0, 1, 2, 4, "row"])
def test_any_restart_interval(frames, tmp_path, restart):
    _, pack = packed(fc.open(frames), tmp_path / "pack", restart=restart)
    check_same(fc.open(frames), pack)
    intervals = {"row": 4, 0: None}.get(restart, restart)  # 64 pixels: 4 MCUs
    data = pack.storage.read("image", 0, 0)
    at = data.find(b"\xff\xdd")
    assert (int.from_bytes(data[at + 4 : at + 6], "big") if at >= 0 else None) == intervals


def test_bytes_before_and_after(frames, tmp_path):
    done, _ = packed(fc.open(frames), tmp_path / "pack", shard_size="20KiB")
    found = members(tmp_path / "pack")
    assert done.bytes_before == sum(path.stat().st_size for path in frames.rglob("*.jpg"))
    assert done.bytes_after == sum(len(data) for _, data in found)
    shards = list((tmp_path / "pack").glob("*.tar"))
    assert len(shards) > 2
    assert done.bytes_shards == sum(path.stat().st_size for path in shards)
    assert "6 videos, 72 frames" in str(done)
    assert f"{done.bytes_after / done.bytes_before - 1:+.1%}" in str(done)


def test_images_and_masks(pairs, tmp_path):
    _, pack = packed(pairs, tmp_path / "pack")
    same_index(pairs, pack)
    for clips in (fc.Windows(3), fc.Windows(20, short="pad")):
        check_same(pairs, pack, clips, targets="mask")
    names = [name for name, _ in members(tmp_path / "pack")]
    assert names[:2] == ["class_0/video_0/000000.image.jpg", "class_0/video_0/000000.mask.png"]
    for frame in (0, 7):  # masks are stored as they are
        assert pack.storage.read("mask", 3, frame) == pairs.storage.read("mask", 3, frame)


def test_samples_of_webdataset(pairs, tmp_path):
    """Its readers take names up to the first dot of the last part for the sample, and the rest for a field."""
    packed(pairs, tmp_path / "pack")
    samples = []
    for name, _ in members(tmp_path / "pack"):
        folder, _, file = name.rpartition("/")
        key, _, field = file.partition(".")
        if not samples or samples[-1][0] != f"{folder}/{key}":
            samples.append((f"{folder}/{key}", []))
        samples[-1][1].append(field)
    assert len(samples) == 72
    assert all(fields == ["image.jpg", "mask.png"] for _, fields in samples)
    assert len(dict(samples)) == 72


@pytest.mark.parametrize("kind", ["label", "labels", "frame_labels", "target", "none"])
def test_every_kind_of_label(frames, tmp_path, kind):
    rows = [
        {"path": "class_1/video_3", "start": 2, "length": 7, "fps": 25.0},
        {"path": "class_0/video_0", "start": 0, "length": 6, "fps": 12.5},
        {"path": "class_1/video_3", "start": 5, "length": 6, "fps": 25.0},
        {"path": "class_0/video_4", "start": 1, "length": 11, "fps": 30.0},
    ]
    values = {
        "label": ["run", "walk", "walk", "sit"],
        "labels": [["run", "sit"], [], ["walk"], ["run"]],
        "frame_labels": [np.arange(row["length"]) % 3 for row in rows],
        "target": [[0.5, 1.5], [2, 3], [4, 5], [6, 7]],
    }
    if kind != "none":
        for row, value in zip(rows, values[kind], strict=True):
            row[kind] = value
    dataset = fc.open(rows, root=frames)
    done, pack = packed(dataset, tmp_path / "pack")
    assert list(pack.index.names) == list(dataset.index.names)
    assert pack.classes == dataset.classes
    for name in ("starts", "frame_counts", "fps"):
        np.testing.assert_array_equal(getattr(dataset.index, name), getattr(pack.index, name))
    assert done.frames == 9 + 6 + 11  # of video_3, frames 2 to 10
    check_same(dataset, pack, fc.Windows(3))
    check_same(dataset, pack, fc.Windows(3, fps=12.5), transforms=[fc.CenterCrop(16)])
    one, other = (data.split(0.4, seed=1) for data in (dataset, pack))
    for left, right in zip(one, other, strict=True):
        assert list(left.index.names) == list(right.index.names)


def test_frames_keep_their_numbers(frames, tmp_path):
    """Of parts, what lies before the first and behind the last is not stored."""
    dataset = fc.open([{"path": "class_0/video_0", "start": 4, "length": 3}], root=frames)
    _, pack = packed(dataset, tmp_path / "pack")
    names = [name for name, _ in members(tmp_path / "pack")]
    assert names == [f"class_0/video_0/{frame:06d}.image.jpg" for frame in (4, 5, 6)]
    assert pack.storage.where("image", 0, 5).endswith("/pack/00000.tar:class_0/video_0/000005.image.jpg")
    for frame in (3, 7):
        with pytest.raises(IndexError, match=f"no frame {frame} of video 0"):
            pack.storage.read("image", 0, frame)
    check_same(dataset, pack, fc.Windows(2), batch_size=1)


def test_a_part_of_a_dataset(frames, tmp_path):
    dataset = fc.open(frames)
    train, val = dataset.split(0.5, seed=0)
    _, pack = packed(train, tmp_path / "train")
    assert list(pack.index.names) == list(train.index.names)
    assert pack.classes == dataset.classes
    check_same(train, pack)
    chosen = dataset.select(["class_1/video_5", "class_0/video_2"])
    _, pack = packed(chosen, tmp_path / "chosen")
    assert list(pack.index.names) == ["class_1/video_5", "class_0/video_2"]
    check_same(chosen, pack)
    _, again = packed(pack, tmp_path / "again")  # a pack of a pack
    assert members(tmp_path / "again") == members(tmp_path / "chosen")
    check_same(again, pack)


def test_several_ranks_and_workers(frames, tmp_path):
    dataset = fc.open(frames)
    _, pack = packed(dataset, tmp_path / "pack", shard_size="20KiB")
    for rank in range(3):
        for drop_last in (True, False):
            check_same(dataset, pack, rank=rank, world=3, drop_last=drop_last)
    for workers in (1, 2):
        check_same(dataset, pack, workers=workers)


def test_the_same_bytes_for_any_number_of_workers(pairs, tmp_path):
    for workers in (0, 1, 3):
        fc.pack(pairs, tmp_path / str(workers), workers=workers, shard_size="30KiB")
    assert content(tmp_path / "0") == content(tmp_path / "1") == content(tmp_path / "3")
    assert len(content(tmp_path / "0")) > 3


def test_names_of_all_kinds(tmp_path):
    """Long ones, such as are no ASCII, such as no text can hold, with dots, with per cent signs."""
    names = ["ü/v.1.x", "a/" + "long" * 40, "a/" + "ü" * 120, "b/50%d_100%", "b/\udcff\udcfe", "b/a b'\"\n"]
    root = tmp_path / "frames"
    for number, name in enumerate(names):
        for frame in range(3):
            write_jpeg(root / name / f"{frame}.jpg", picture(10 * number + frame, 32, 32))
    dataset = fc.open(root)
    _, pack = packed(dataset, tmp_path / "pack")
    same_index(dataset, pack)
    check_same(dataset, pack, fc.Windows(2))
    found = [name for name, _ in members(tmp_path / "pack")]
    assert found == [f"{name}/{frame:06d}.image.jpg" for name in dataset.index.names for frame in range(3)]
    subprocess.run(["tar", "xf", tmp_path / "pack" / "00000.tar", "-C", tmp_path], check=True)
    for row, name in enumerate(dataset.index.names):
        data = (tmp_path / name / "000002.image.jpg").read_bytes()
        assert data == pack.storage.read("image", row, 2)


def test_names_that_would_leave_the_folder(frames, tmp_path):
    rows = [str(frames / "class_0" / "video_0"), "class_1/../class_1/video_1"]
    dataset = fc.open([{"path": path, "label": 0} for path in rows], root=tmp_path / ".." / tmp_path.name)
    assert dataset
