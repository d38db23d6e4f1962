"""A pack gives what the folder, list or array gave that it was made of: clips, labels and pixels."""

import io
import subprocess

import cv2
import numpy as np
import pytest
import simplejpeg
from helpers import picture, write_jpeg
from jpegs import SAMPLINGS, encode, natural
from packing import check_same, content, members, packed, same_index
from PIL import Image

import fastclips as fc
from fastclips.errors import DataError, OptionError
from fastclips.packing.encoder import Encoding

pytestmark = pytest.mark.slow


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
    check_same(dataset, pack, fast_dct=True)


def test_pixels_are_those_of_other_decoders(tmp_path):
    """Of Pillow, OpenCV and simplejpeg, for a folder and for every pack."""
    random = np.random.default_rng(0)
    options = [{"sampling": sampling} for sampling in SAMPLINGS] + [{"progressive": True}, {"restart": 2}]
    frames = [encode(natural(random, 43, 61), **given) for given in options]
    (tmp_path / "f" / "v").mkdir(parents=True)
    for number, data in enumerate(frames):
        (tmp_path / "f" / "v" / f"{number}.jpg").write_bytes(data)
    wanted = [simplejpeg.decode_jpeg(data, fastdct=False, fastupsample=False) for data in frames]
    for data, pixels in zip(frames, wanted, strict=True):
        np.testing.assert_array_equal(Image.open(io.BytesIO(data)).convert("RGB"), pixels)
        np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), 1)[..., ::-1], pixels)
    folder = fc.open(tmp_path / "f", labels=None)
    packs = [packed(folder, tmp_path / codec, codec=codec)[1] for codec in ("jpeg", "dct", "raw")]
    for dataset in (folder, *packs):
        with fc.ClipLoader(dataset, fc.Windows(len(frames)), batch_size=1, workers=0) as loader:
            np.testing.assert_array_equal(next(iter(loader))[0], wanted)


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
    """Its readers take a name up to the first dot of its last part for the sample."""
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
    train, _ = dataset.split(0.5, seed=0)
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


@pytest.mark.slow
def test_several_ranks_and_workers(frames, tmp_path):
    dataset = fc.open(frames)
    _, pack = packed(dataset, tmp_path / "pack", shard_size="20KiB")
    for rank in range(3):
        for drop_last in (True, False):
            check_same(dataset, pack, rank=rank, world=3, drop_last=drop_last)
    check_same(dataset, pack, workers=2)


@pytest.mark.slow
def test_the_same_bytes_for_any_number_of_workers(pairs, tmp_path):
    for workers in (0, 1, 3):
        fc.pack(pairs, tmp_path / str(workers), workers=workers, shard_size="30KiB")
    assert content(tmp_path / "0") == content(tmp_path / "1") == content(tmp_path / "3")
    assert len(content(tmp_path / "0")) > 3


def test_names_of_all_kinds(tmp_path):
    """Long ones, outside ASCII, outside Unicode, with dots and per cent signs."""
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
    subprocess.run(["/bin/tar", "xf", tmp_path / "pack" / "00000.tar", "-C", tmp_path], check=True)
    for row, name in enumerate(dataset.index.names):
        data = (tmp_path / name / "000002.image.jpg").read_bytes()
        assert data == pack.storage.read("image", row, 2)


def test_names_that_would_leave_the_folder(frames, tmp_path):
    rows = [
        {"path": str(frames / "class_0" / "video_0"), "label": 0},
        {"path": "../class_1/video_1", "label": 1},
    ]
    dataset = fc.open(rows, root=frames / "class_0")
    _, pack = packed(dataset, tmp_path / "pack")
    check_same(dataset, pack)
    folders = {name.rpartition("/")[0] for name, _ in members(tmp_path / "pack")}
    assert folders == {"video_0", "_1/class_1/video_1"}
    data = pack.storage.where("image", 1, 3)
    assert data.endswith("00000.tar:_1/class_1/video_1/000003.image.jpg")
    far = fc.open([{"path": str(frames / "class_0" / "video_0"), "label": 0}], root=tmp_path)
    packed(far, tmp_path / "far")
    assert members(tmp_path / "far")[0][0] == f"_0{frames}/class_0/video_0/000000.image.jpg"


def test_the_root_itself(frames, tmp_path):
    dataset = fc.open(frames / "class_0" / "video_0", labels=None)
    _, pack = packed(dataset, tmp_path / "pack")
    assert members(tmp_path / "pack")[0][0] == "./000000.image.jpg"
    check_same(dataset, pack)


# What frames may be


def saved(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def test_frames_of_all_formats(tmp_path):
    root = tmp_path / "frames"
    for frame in range(3):
        pixels = picture(frame, 40, 56)
        for name in ("png/1", "bmp/1", "tif/1"):
            saved(root / name / f"{frame}.{name[:3]}", pixels)
        saved(root / "gray" / "1" / f"{frame}.jpg", pixels[:, :, 0])
        saved(root / "progressive" / "1" / f"{frame}.jpg", pixels, progressive=True)
        saved(root / "mixed" / "1" / f"{frame}.{('jpg', 'png', 'bmp')[frame]}", pixels)
    dataset = fc.open(root)
    done, pack = packed(dataset, tmp_path / "pack")
    assert done.kept == 3 * 3 + 2
    assert "11 pictures are stored unchanged" in str(done)
    check_same(dataset, pack, fc.Windows(2), batch_size=1)
    names = [name for name, _ in members(tmp_path / "pack")]
    assert [name for name in names if name.startswith("mixed")] == [
        f"mixed/1/{frame:06d}.image.{kind}" for frame, kind in enumerate(("jpg", "png", "bmp"))
    ]
    row = list(pack.index.names).index("mixed/1")
    where = [pack.storage.where("image", row, frame).rpartition(":")[2] for frame in range(3)]
    assert where == [name for name in names if name.startswith("mixed")]
    row = list(pack.index.names).index("progressive/1")
    assert b"\xff\xc2" not in pack.storage.read("image", row, 0)[:600]


def test_an_unfinished_progressive_frame_stays_as_it_is(tmp_path):
    saved(tmp_path / "f" / "a" / "b" / "0.jpg", picture(0, 40, 56), progressive=True)
    path = tmp_path / "f" / "a" / "b" / "0.jpg"
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"\xff\xda")] + b"\xff\xd9")
    done, pack = packed(fc.open(tmp_path / "f"), tmp_path / "pack")
    assert done.kept == 1
    assert pack.storage.read("image", 0, 0) == path.read_bytes()


def test_decoded_pixels(pairs, tmp_path):
    _, pack = packed(pairs, tmp_path / "pack", codec="raw")
    data = pack.storage.read("image", 2, 5)
    jpeg = pairs.storage.read("image", 2, 5)
    np.testing.assert_array_equal(data, simplejpeg.decode_jpeg(jpeg, fastdct=False))
    check_same(pairs, pack, targets="mask")
    name, content = members(tmp_path / "pack")[1]
    assert name == "class_0/video_0/000000.mask.npy"
    np.testing.assert_array_equal(np.load(io.BytesIO(content)), pack.storage.read("mask", 0, 0))


def test_colours_of_masks_are_mapped_once(frames, tmp_path):
    colors = {(255, 0, 0): 1, (0, 0, 255): 2, (0, 0, 0): 0}
    for path in frames.rglob("*_0000[12].jpg"):
        pixels = np.zeros((48, 64, 3), np.uint8)
        pixels[10:, :20], pixels[:, 30:] = (255, 0, 0), (0, 0, 255)
        saved(tmp_path / "masks" / path.relative_to(frames).with_suffix(".png"), pixels)
    roots = {"image": frames, "mask": tmp_path / "masks"}
    dataset = fc.open(roots, colors=colors, values={2: 7}, ignore=99, unpaired="drop")
    windows = fc.Windows(2)
    _, pack = packed(dataset, tmp_path / "as they are")
    assert pack.streams == dataset.streams
    check_same(dataset, pack, windows, targets="mask")
    check_same(dataset, fc.open(tmp_path / "as they are", colors=colors, values={2: 7}, ignore=99), windows)
    other = fc.open(tmp_path / "as they are", colors={**colors, (0, 0, 0): 5}, ignore=3)
    assert other.streams[1].ignore == 3
    assert np.unique(
        next(iter(fc.ClipLoader(other, windows, batch_size=4, targets="mask", workers=0)))[1]
    ).tolist() == [
        1,
        5,
        7,
    ]
    _, raw = packed(dataset, tmp_path / "raw", codec="raw")
    assert raw.streams[1].colors is None
    check_same(dataset, raw, windows, targets="mask")
    small = fc.open(roots, colors=colors, unpaired="drop")
    _, small = packed(small, tmp_path / "small", short_side=24)
    x, y = next(iter(fc.ClipLoader(small, windows, batch_size=4, targets="mask", workers=0)))
    assert x.shape[2:4] == y.shape[2:4] == (24, 32)
    assert np.unique(y).tolist() == [0, 1, 2]


def test_a_short_side(frames, tmp_path):
    dataset = fc.open(frames)
    done, pack = packed(dataset, tmp_path / "pack", short_side=24, quality=70)
    data = pack.storage.read("image", 1, 2)
    assert simplejpeg.decode_jpeg_header(data)[:2] == (24, 32)
    whole = simplejpeg.decode_jpeg(dataset.storage.read("image", 1, 2))
    small = cv2.resize(whole, (32, 24), interpolation=cv2.INTER_AREA)
    wanted = simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(small, 70, "RGB", "420"))
    np.testing.assert_array_equal(simplejpeg.decode_jpeg(data), wanted)
    assert done.bytes_after < done.bytes_before / 2
    _, same = packed(dataset, tmp_path / "same", short_side=48)  # no frame is larger
    check_same(dataset, same)


def test_a_quality(frames, tmp_path):
    sizes = [packed(fc.open(frames), tmp_path / str(q), quality=q)[0].bytes_after for q in (10, 50, 95)]
    assert sizes == sorted(sizes)


def test_arrays(tmp_path):
    images = np.stack([[picture(10 * video + frame, 40, 48) for frame in range(4)] for video in range(3)])
    masks = (np.arange(3 * 4 * 40 * 48) % 7).reshape(3, 4, 40, 48).astype(np.uint8)
    dataset = fc.open(images={"image": images, "mask": masks}, labels=["b", "a", "b"])
    _, raw = packed(dataset, tmp_path / "raw", codec="raw")
    same_index(dataset, raw)
    check_same(dataset, raw, targets="mask")
    check_same(dataset, raw)
    done, pack = packed(dataset, tmp_path / "pack", quality=95)
    np.testing.assert_array_equal(pack.index.labels.per_video, [1, 0, 1])
    loader = fc.ClipLoader(pack, fc.Windows(4), targets="mask", batch_size=3, workers=0)
    x, y = next(iter(loader))
    np.testing.assert_array_equal(y, masks)
    wanted = simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(images[2, 1], 95, "RGB", "420"))
    np.testing.assert_array_equal(x[2, 1], wanted)
    assert done.bytes_after < done.bytes_before / 2


def test_gray_arrays(tmp_path):
    images = np.stack([[picture(frame, 40, 48)[:, :, :1] for frame in range(4)]])
    dataset = fc.open(images=images, labels=None)
    _, raw = packed(dataset, tmp_path / "raw", codec="raw")
    check_same(dataset, raw)
    _, pack = packed(dataset, tmp_path / "pack")
    (x,) = fc.ClipLoader(pack, fc.Windows(4), batch_size=1, workers=0)
    assert np.asarray(x).shape == (1, 4, 40, 48, 1)


# What may be said when a pack is opened


def test_options_of_opening(frames, tmp_path):
    dataset = fc.open(frames)
    packed(dataset, tmp_path / "pack")
    bare = fc.open(tmp_path / "pack", labels=None)
    assert (bare.index.labels, bare.classes) == (None, ())
    classes = ("other", "class_1", "class_0")
    check_same(fc.open(frames, classes=classes), fc.open(tmp_path / "pack", classes=classes))
    assert fc.open(tmp_path / "pack", classes=classes).classes == classes
    with pytest.raises(DataError, match="classes= must name 'class_1'"):
        fc.open(tmp_path / "pack", classes=["class_0", "x"])
    for knob in ({"root": "x"}, {"columns": "path"}, {"frames": "*"}, {"match": "x"}, {"index": "i"}):
        with pytest.raises(
            OptionError, match=rf"{next(iter(knob))}= is for frames in files, but .* is a pack"
        ):
            fc.open(tmp_path / "pack", **knob)
    packed(bare, tmp_path / "bare")
    with pytest.raises(OptionError, match="the dataset has no labels of classes"):
        fc.open(tmp_path / "bare", classes=["a"])


@pytest.mark.parametrize("kind", ["label", "labels", "frame_labels"])
def test_numbers_get_names(frames, tmp_path, kind):
    values = {"label": [2, 0], "labels": [(2, 1), ()], "frame_labels": [[0, 2] * 6, [1, 0] * 6]}[kind]
    rows = [{"path": f"class_0/video_{2 * number}", kind: value} for number, value in enumerate(values)]
    packed(fc.open(rows, root=frames), tmp_path / "pack")
    classes = ["a", "b", "c", "d"]
    check_same(fc.open(rows, root=frames, classes=classes), fc.open(tmp_path / "pack", classes=classes))
    with pytest.raises(DataError, match="classes= must name '2'"):
        fc.open(tmp_path / "pack", classes=["a", "b"])


def test_targets_have_no_names(frames, tmp_path):
    packed(fc.open([{"path": "class_0/video_0", "target": 0.5}], root=frames), tmp_path / "pack")
    with pytest.raises(OptionError, match="the dataset has no labels of classes"):
        fc.open(tmp_path / "pack", classes=["a"])


# What cannot be


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"short_side": 0}, "short_side=0"),
        ({"quality": 101}, "quality=101"),
        ({"restart": -1}, "restart=-1"),
        ({"restart": "line"}, "restart='line': must be a number of MCUs or 'row'"),
        ({"codec": "png"}, "codec='png'"),
        ({"codec": "raw", "quality": 90}, "quality=90: is for JPEGs"),
        ({"codec": "raw", "restart": 2}, "restart=2: is for JPEGs"),
        ({"shard_size": "big"}, "shard_size='big'"),
        ({"workers": -1}, "workers=-1"),
        ({"skip_damaged": 1}, "skip_damaged=1"),
    ],
)
def test_options_that_cannot_work(frames, tmp_path, options, message):
    with pytest.raises(OptionError, match=message):
        fc.pack(fc.open(frames), tmp_path / "pack", **options)
    assert not (tmp_path / "pack").exists()


def test_what_is_no_dataset(frames, tmp_path):
    with pytest.raises(OptionError, match="source=7: must be a folder or a list of videos"):
        fc.pack(7, tmp_path / "pack")
    with pytest.raises(OptionError, match="stream='a/b': must have no slash"):
        fc.pack(fc.open({"a/b": frames}), tmp_path / "pack")


def test_only_raw_packs_count_as_others_than_in_version_0_1_0():
    """It decoded for them with fast_dct=True, so what it began is not continued."""
    assert Encoding(quality=90).settings() == [2, None, 90, False]
    assert Encoding(raw=True).settings() != [2, None, None, True]
