"""An index that is cut short while it is in use kills nobody: the same bytes, or an error that names it."""

import os
import pickle
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from helpers import make_frames, make_masks

import fastclips as fc
from fastclips.data import columns
from fastclips.data.columns import Columns, dump, load
from fastclips.data.file_column import FileColumn

SETTINGS = {"batch_size": 4, "shuffle": True, "seed": 1}


@pytest.fixture
def uneven(tmp_path):
    """Frames whose names are listed, since their numbers have gaps."""
    root = make_frames(tmp_path / "frames", videos=4, frames=12)
    for path in root.glob("*/*/frame_0000[37].jpg"):
        path.unlink()
    return root


@pytest.fixture(params=["copied", "paged"])
def held(request, monkeypatch):
    """Whether columns of frames are copied into memory, or stay in the file, as those of large files do."""
    if request.param == "paged":
        monkeypatch.setattr(columns, "_COPIED", 0)
    return request.param


def opened(kind, root, tmp_path):
    """A dataset, and the file of its index."""
    if kind == "pack":
        fc.pack(root, tmp_path / "packed", workers=0)
        return fc.open(tmp_path / "packed"), tmp_path / "packed" / "pack.index"
    open_ = partial(fc.open, root, index=tmp_path / "frames.index")
    open_()
    return open_(), tmp_path / "frames.index"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Frame numbers are missing")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["pack", "saved"])
def test_cut_while_it_is_used(uneven, tmp_path, kind, workers, held):
    with fc.ClipLoader(fc.open(uneven), fc.Windows(4), **SETTINGS, workers=0) as loader:
        expected = [x.copy() for x, _ in loader]
    dataset, file = opened(kind, uneven, tmp_path)
    with fc.ClipLoader(
        dataset, fc.Windows(4), **SETTINGS, workers=workers, cache=0
    ) as loader:  # reads each time
        np.testing.assert_array_equal(next(iter(loader))[0], expected[0])
        os.truncate(file, 100)
        if held == "copied":
            for (x, _), wanted in zip(loader.epoch(0), expected, strict=True):
                np.testing.assert_array_equal(x, wanted)
        else:
            with pytest.raises(fc.DataError, match=rf"{file.name}' has changed since it was opened"):
                list(chain.from_iterable(map(loader.epoch, range(3))))


@pytest.mark.filterwarnings("ignore:Frame numbers are missing")
def test_columns_in_a_file_serve_the_same(uneven, tmp_path, held):
    dataset, _ = opened("saved", uneven, tmp_path)
    listed = dataset.storage.columns["storage.image.listed"]
    assert isinstance(listed, FileColumn) == (held == "paged")
    plain = fc.open(uneven)
    for frames in ((0,), (9, 0, 3), range(10)):
        many = [bytes(frame) for frame in dataset.storage.read_many("image", 2, frames)]
        assert many == [bytes(plain.storage.read("image", 2, frame)) for frame in frames]
    assert dataset.storage.where("image", 1, 9) == plain.storage.where("image", 1, 9)


def test_a_pack_with_missing_masks_in_a_file(tmp_path, held):
    frames = make_frames(tmp_path / "frames", videos=2, frames=6)
    masks = make_masks(tmp_path / "masks", frames)
    for number in (2, 5):
        (masks / f"class_0/video_0/frame_0000{number}.png").unlink()
    data = fc.open({"image": frames, "mask": masks}, unpaired="ignore")
    fc.pack(data, tmp_path / "packed", workers=0)
    again = fc.open(tmp_path / "packed")
    assert isinstance(again.storage.columns["pack.mask.blocks"], FileColumn) == (held == "paged")
    found = again.storage.read_many("mask", 0, range(6))
    assert [frame is None for frame in found] == [False, True, False, False, True, False]
    assert again.storage.where("image", 1, 5).endswith("00000.tar:class_1/video_1/000005.image.jpg")


def test_what_is_loaded_in_parts_is_whole_elsewhere(tmp_path, monkeypatch):
    """Attached, pickled and saved; the other process reads the same file, even if that has been replaced."""
    monkeypatch.setattr(columns, "_COPIED", 0)
    arrays = {"a": np.arange(5), "big": np.arange(300, dtype=np.uint32), "wide": np.ones((7, 3))}
    Columns.pack(arrays, {"word": "yes"}).save(tmp_path / "c")
    loaded = Columns.load(tmp_path / "c", paged=lambda name: name != "a")
    Columns.pack({}).save(tmp_path / "c")
    with (tmp_path / "value").open("w+b") as file:
        (left_out,) = dump(loaded, file)
        file.seek(0)
        attached = load(file, [left_out.fds])
    loaded.save(tmp_path / "again")
    for again in (loaded, attached, pickle.loads(pickle.dumps(attached)), Columns.load(tmp_path / "again")):
        assert again.meta == {"word": "yes"}
        assert again.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(np.asarray(again[name]), array)
    for rows in (
        np.array([3]),
        np.array([[299, 0], [5, 5]]),
        np.array([], np.int64),
        slice(2, 9),
        slice(9, 2),
    ):
        np.testing.assert_array_equal(attached["big"][rows], arrays["big"][rows])
    np.testing.assert_array_equal(attached["wide"][np.array([6, 0])], arrays["wide"][[6, 0]])
    assert attached["big"].span(3, 4).tolist() == [3, 4, 5, 6]
    for rows in (np.array([-1]), np.array([300])):
        with pytest.raises(IndexError, match="there is no row"):
            attached["big"][rows]


@pytest.mark.usefixtures("held")
def test_no_file_is_mapped(tmp_path, uneven):
    """The reason why nobody dies: no process has a mapping of the index."""
    dataset, file = opened("pack", uneven, tmp_path)
    assert len(dataset) == 4
    maps = Path("/proc/self/maps").read_text()
    assert str(file) not in maps
