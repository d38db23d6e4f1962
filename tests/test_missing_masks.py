"""Partly annotated videos, `unpaired="ignore"`: against the same data with full masks that hold `ignore`."""

import shutil
import tarfile

import numpy as np
import pytest
from helpers import make_frames, make_masks, parts, touch
from hypothesis import given, settings
from hypothesis import strategies as st
from packing import content
from PIL import Image

import fastclips as fc
from fastclips.data.storage import FolderStorage
from fastclips.errors import DataError, FrameError, OptionError
from fastclips.testing import check_storage

IGNORE = 7
FRAMES = 6  # of each of 3 videos


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    make_frames(root / "frames", 3, FRAMES)
    make_masks(root / "masks", root / "frames")
    return root


def mask_files(root):
    return sorted((root / "masks").rglob("*.png"))


def lacking(whole, root, missing, *, rename=None):
    """Copy masks: without those of some places into ``some``, and with `ignore` there into ``full``."""
    for number, path in enumerate(mask_files(whole)):
        below = path.relative_to(whole / "masks")
        full, some = root / "full" / below, root / "some" / below
        full.parent.mkdir(parents=True, exist_ok=True)
        if number in missing:
            with Image.open(path) as image:
                Image.fromarray(np.full((image.height, image.width), IGNORE, np.uint8)).save(full)
        else:
            shutil.copy(path, full)
            some.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, some.with_name(rename(some.name)) if rename else some)
    return root


def opened(whole, masks, **options):
    return fc.open({"image": whole / "frames", "mask": masks}, ignore=IGNORE, unpaired="ignore", **options)


def batches(data, workers=0, **options):
    settings = {
        "transforms": [fc.RandomCrop(24), fc.RandomFlip(mask_map={1: 2})],
        "targets": "mask",
        "batch_size": 4,
        "sample_weight": {3: 2.5},
        "seed": 5,
        "shuffle": True,
        **options,
    }
    clips = settings.pop("clips", fc.Windows(4, step=3, short="pad", tail="pad"))
    with fc.ClipLoader(data, clips, workers=workers, **settings) as loader:
        return list(loader)


def same(one, other):
    assert len(one) == len(other) > 0
    for left, right in zip(one, other, strict=True):
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            np.testing.assert_array_equal(a, b)


# Against full masks


@given(st.sets(st.integers(0, 3 * FRAMES - 1), max_size=3 * FRAMES - 1))
@settings(max_examples=15)
def test_a_missing_mask_is_a_mask_of_ignore(whole, tmp_path_factory, missing):
    root = lacking(whole, tmp_path_factory.mktemp("m"), missing)
    data = opened(whole, root / "some")
    assert parts(data) == parts(fc.open(whole / "frames"))
    full = fc.open({"image": whole / "frames", "mask": root / "full"}, ignore=IGNORE)
    expected = batches(full)
    same(batches(data), expected)
    fc.pack(data, root / "pack", workers=0)
    same(batches(fc.open(root / "pack")), expected)


MISSING = {0, 1, 3, *range(FRAMES, 2 * FRAMES), 2 * FRAMES + 5}  # all of the second video


@pytest.fixture(scope="module")
def some(whole, tmp_path_factory):
    return lacking(whole, tmp_path_factory.mktemp("some"), MISSING)


@pytest.mark.slow
@given(st.sets(st.integers(0, 3 * FRAMES - 1), min_size=3, max_size=3 * FRAMES - 1))
@settings(max_examples=3)
def test_workers_serve_the_same(whole, tmp_path_factory, missing):
    root = lacking(whole, tmp_path_factory.mktemp("w"), missing)
    full = fc.open({"image": whole / "frames", "mask": root / "full"}, ignore=IGNORE)
    same(batches(opened(whole, root / "some"), workers=2), batches(full, workers=2))


def test_weights_are_0_where_a_mask_is_missing(whole, some):
    options = {"transforms": [], "clips": fc.Windows(FRAMES), "batch_size": 3, "shuffle": False}
    ((x, y, weight),) = batches(opened(whole, some / "some"), **options)
    gone = np.isin(np.arange(3 * FRAMES), list(MISSING)).reshape(3, FRAMES)
    assert (y[gone] == IGNORE).all()
    assert (weight[gone] == 0).all()
    np.testing.assert_array_equal(weight[~gone] == 0, y[~gone] == IGNORE)
    assert (y[~gone] != IGNORE).any()
    assert x.shape[:2] == (3, FRAMES)


@pytest.mark.parametrize("inputs", ["mask", ("image", "mask", "valid")])
def test_a_mask_may_be_the_input(whole, some, inputs):
    full = fc.open({"image": whole / "frames", "mask": some / "full"}, ignore=IGNORE)
    options = {"inputs": inputs, "targets": None, "sample_weight": None, "transforms": []}
    one, other = (batches(data, **options) for data in (opened(whole, some / "some"), full))
    for left, right in zip(one, other, strict=True):
        for name in left if isinstance(left, dict) else [...]:
            np.testing.assert_array_equal(left[name], right[name])


def test_a_selection_without_any_mask(whole, some):
    data = opened(whole, some / "some").select(["class_0/video_2"])
    for x, y in batches(data, sample_weight=None, transforms=[]):
        assert (y == IGNORE).all()
        assert x.max() > 0
    fc.pack(data, some / "none", workers=0)
    again = fc.open(some / "none")
    assert again.storage.read("mask", 0, 3) is None
    assert "(no mask of frame 3)" in again.storage.where("mask", 0, 3)
    again.storage.advise("mask", 0, range(FRAMES))


def test_damaged_frames_beside_missing_masks(whole, some, tmp_path):
    shutil.copytree(whole / "frames", tmp_path / "frames")
    shutil.copytree(some / "some", tmp_path / "some")
    shutil.copytree(some / "full", tmp_path / "full")
    (tmp_path / "frames/class_0/video_0/frame_00003.jpg").write_bytes(b"")
    for masks in ("some", "full"):
        (tmp_path / masks / "class_1/video_1/frame_00002.png").write_bytes(b"none")
    data = opened(tmp_path, tmp_path / "some")
    full = fc.open({"image": tmp_path / "frames", "mask": tmp_path / "full"}, ignore=IGNORE)
    same(batches(data, damaged="repeat"), batches(full, damaged="repeat"))


def test_masks_that_teach_nothing_are_found_among_few(whole, tmp_path):
    for video in ("class_0/video_0", "class_1/video_1"):
        path = tmp_path / "masks" / video / f"frame_{FRAMES:05d}.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.full((48, 64), 9, np.uint8)).save(path)
    with pytest.warns(UserWarning, match=r"'mask': all .* hold nothing but 9 \(first: .*frame_00006.png\)"):
        batches(opened(whole, tmp_path / "masks"), transforms=[])


# Every way to open them


def test_mapping_order_does_not_matter(whole, some):
    data = fc.open({"mask": some / "some", "image": whole / "frames"}, ignore=IGNORE, unpaired="ignore")
    assert parts(data) == parts(fc.open(whole / "frames"))
    same(batches(data), batches(opened(whole, some / "some")))
    with fc.ClipLoader(data, fc.Windows(2), targets="mask", batch_size=2, workers=0) as loader:
        table = loader.plan_table(0)
        assert table["size"].tolist() == [[48, 64]] * len(table["size"])
        assert table["paths"][0, 0].endswith("/some/class_0/video_0 (no file of frame 0)")


def test_the_sum_is_said(whole, some, caplog):
    opened(whole, some / "some")
    assert caplog.messages == [
        "Stream 'mask' has masks for 8 of 18 frames, in 2 of 3 videos; the others are ignore."
    ]


def test_the_sum_of_a_list_is_that_of_its_folders(whole, some, caplog):
    roots = {"image": whole / "frames", "mask": some / "some"}
    fc.open({"path": ["class_0/video_0"], "length": [3]}, root=roots, ignore=IGNORE, unpaired="ignore")
    (message,) = caplog.messages
    assert "of 6 frames of the list's folders, in 1 of 1 videos" in message


def test_where_names_missing_masks(whole, some):
    storage = opened(whole, some / "some").storage
    assert storage.where("mask", 0, 0) == f"{some}/some/class_0/video_0 (no file of frame 0)"
    assert storage.where("mask", 0, 2) == f"{some}/some/class_0/video_0/frame_00003.png"
    assert storage.read("mask", 0, 0) is None
    found = storage.read_many("mask", 0, [3, 2, 0, 2])
    assert [data is None for data in found] == [True, False, True, False]
    assert bytes(found[1]) == (some / "some/class_0/video_0/frame_00003.png").read_bytes()
    with pytest.raises(IndexError):
        storage.read("mask", 0, FRAMES)


def test_a_saved_index_keeps_them(whole, some, tmp_path):
    options = {"index": tmp_path / "i"}
    made, again = (opened(whole, some / "some", **options) for _ in range(2))
    assert isinstance(again.storage, FolderStorage)
    expected = batches(opened(whole, some / "some"))
    same(batches(made), expected)
    same(batches(again), expected)
    with pytest.raises(OptionError, match="was made with unpaired='ignore', not 'drop'"):
        fc.open({"image": whole / "frames", "mask": some / "some"}, unpaired="drop", index=tmp_path / "i")


def test_tars_may_lack_masks(whole, some, tmp_path):
    for name, folder in (("frames", whole / "frames"), ("some", some / "some")):
        with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
            tar.add(folder, ".")
    streams = {"image": tmp_path / "frames.tar", "mask": tmp_path / "some.tar"}
    data = fc.open(streams, ignore=IGNORE, unpaired="ignore")
    same(batches(data), batches(opened(whole, some / "some")))
    check_storage(data.storage, streams=["image", "mask"], frame_counts=[FRAMES] * 3)


def test_lists_and_other_names(whole, tmp_path):
    root = lacking(whole, tmp_path, MISSING, rename=lambda name: f"m{name[6:]}")
    rows = [("class_1/video_1", 4, 1, 4), ("class_0/video_2", 0, 0, 3)]
    roots = {"image": whole / "frames", "mask": root / "some"}
    options = {"ignore": IGNORE, "unpaired": "ignore", "match": r"\d+$"}
    data = fc.open(rows, root=roots, **options)
    full = fc.open(rows, root={"image": whole / "frames", "mask": root / "full"}, ignore=IGNORE)
    assert parts(data) == parts(full)
    same(batches(data), batches(full))


@pytest.mark.slow
def test_a_pack_keeps_them(whole, some, tmp_path):
    data = opened(whole, some / "some")
    done = fc.pack(data, tmp_path / "a", workers=0)
    assert (done.frames, done.problems) == (18, [])
    fc.pack(data, tmp_path / "b", workers=2, shard_size=1)
    for pack in ("a", "b"):
        again = fc.open(tmp_path / pack)
        same(batches(again), batches(data))
        check_storage(again.storage, streams=["image", "mask"], frame_counts=[FRAMES] * 3)
    fc.pack(tmp_path / "a", tmp_path / "again", workers=0)
    shards = [
        {name: data for name, data in content(tmp_path / pack).items() if name != "pack.index"}
        for pack in ("a", "again")
    ]
    assert shards[0] == shards[1]
    fc.pack(data, tmp_path / "raw", workers=0, codec="raw")
    assert fc.open(tmp_path / "raw").storage.read("mask", 0, 0) is None


def test_the_storage_keeps_the_contract(whole, some):
    check_storage(opened(whole, some / "some").storage, streams=["image", "mask"], frame_counts=[FRAMES] * 3)


class Pictures(fc.Storage):
    """Frames without content, in every stream."""

    def read(self, stream, video, frame):
        if (stream, video, frame) != ("image", 0, 0):
            raise IndexError(frame)


def test_none_is_for_masks_alone():
    with pytest.raises(
        AssertionError, match=r"^read\('image', 0, 0\) returned None, but 'image' is not in masks="
    ):
        check_storage(Pictures(), streams=["image"], frame_counts=[1])
    check_storage(Pictures(), streams=["image"], frame_counts=[1], masks="image")
    data = fc.Dataset.of(Pictures(), frame_counts=[1])
    with pytest.raises(FrameError, match=r"None for it, but 'image' is no mask: only masks may be missing"):
        fc.ClipLoader(data, fc.Windows(1), batch_size=1, workers=0)


# What is refused


def test_the_error_about_missing_masks_offers_to_ignore_them(whole, some, tmp_path):
    streams = {"image": whole / "frames", "mask": some / "some"}
    with pytest.raises(DataError, match=r"lacks .* To keep frames without a mask, set unpaired='ignore'\.$"):
        fc.open(streams)
    rows = [("class_0/video_0",), ("class_0/video_2",)]
    with pytest.raises(DataError, match=r"^row 1 .* To keep frames without a mask, set unpaired='ignore'\.$"):
        fc.open(rows, root=streams)
    assert len(fc.open(rows, root=streams, unpaired="ignore")) == 2
    with pytest.raises(DataError, match=r"^row 2 .*'gone' below '.*/frames'.* unpaired='drop'\.$"):
        fc.open([*rows, ("gone",)], root={"mask": some / "some", "image": whole / "frames"})
    shutil.copytree(some / "some", tmp_path / "more")
    touch(tmp_path, "more/class_0/video_0/frame_00099.png")  # of no image, so ignoring would fail as well
    with pytest.raises(DataError, match=r"with unpaired='drop'\.$"):
        fc.open({**streams, "mask": tmp_path / "more"})
    with pytest.raises(DataError, match=r"with unpaired='drop'\.$"):
        fc.open({"image": whole / "frames", "other": some / "some"})


def test_pictures_must_be_there(whole, tmp_path):
    root = lacking(whole, tmp_path, ())
    touch(root, "some/class_0/video_0/frame_00009.png")
    with pytest.raises(
        DataError, match=r"stream 'image' in .* lacks 1 of the 19 frames .*'ignore' is for missing"
    ):
        opened(whole, root / "some")
    touch(root, "some/class_0/video_9/frame_00009.png")
    with pytest.raises(DataError, match=r"stream 'image' in .* lacks 1 of the 4 videos"):
        opened(whole, root / "some")
    touch(tmp_path, "flow/class_0/video_0/frame_00001.jpg")
    with pytest.raises(DataError, match=r"stream 'flow' in .* lacks 2 of the 3 videos"):
        fc.open(
            {"image": whole / "frames", "flow": tmp_path / "flow", "mask": tmp_path / "full"},
            unpaired="ignore",
        )


def test_without_masks_or_pictures_nothing_can_be_ignored(whole):
    for source, options in ((whole / "frames", {}), ({"image": whole / "frames", "a": whole / "masks"}, {})):
        with pytest.raises(
            OptionError,
            match=r"none of the streams .* is a mask: name it in masks=, or declare it as",
        ):
            fc.open(source, unpaired="ignore", **options)
    with pytest.raises(OptionError, match="unpaired='ignore': needs a stream of pictures"):
        fc.open({"mask": whole / "masks"}, unpaired="ignore")


def test_masks_of_other_videos_are_no_masks(whole, tmp_path):
    touch(tmp_path, "other/class_7/v/frame_00001.png")
    with pytest.raises(DataError, match=r"stream 'image' in .* lacks 1 of the 4 videos"):
        opened(whole, tmp_path / "other")
