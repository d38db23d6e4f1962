"""What `fc.unpack` has written opens as the same data: of packs, and of tar files that others have made."""

import runpy
import tarfile

import numpy as np
import pytest
from helpers import make_frames, make_masks, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from packing import packed
from PIL import Image

import fastclips as fc
from fastclips.commands.cli import main
from fastclips.errors import DataError, OptionError
from fastclips.pixels.decoding.decoder import Decoder

pytestmark = pytest.mark.slow


def unpacked(source, folder):
    """Unpack, and open by the call that is printed and by the script; the two must agree."""
    done = fc.unpack(source, folder, workers=0)
    opened = eval(done.call, {"fc": fc})  # noqa: S307 - of our own
    same_data(opened, runpy.run_path(str(folder / "open_dataset.py"))["dataset"])
    return done, opened


def same_data(one, other):
    """Hold two datasets to the same videos, parts, labels, streams and decoded frames."""
    assert list(one.index.names) == list(other.index.names)
    assert one.streams == other.streams
    np.testing.assert_array_equal(one.index.frame_counts, other.index.frame_counts)
    np.testing.assert_array_equal(one.index.fps, other.index.fps)
    assert [*one.index.every_label] == [*other.index.every_label]
    for name, (labels, classes) in one.index.every_label.items():
        again, same_classes = other.index.every_label[name]
        assert (labels.kind, classes) == (again.kind, same_classes)
        for row, count in enumerate(one.index.frame_counts.tolist()):
            frames = np.arange(count, dtype=np.int32)[None]
            values = labels.targets(np.array([row]), frames)
            np.testing.assert_array_equal(values, again.targets(np.array([row]), frames))
            assert values.dtype == again.targets(np.array([row]), frames).dtype
    for stream in one.streams:
        decoder = Decoder(stream)
        for row in range(len(one)):
            pictures = []
            for data in (one, other):
                video, first, count = (
                    int(column[row])
                    for column in (data.index.keys, data.index.starts, data.index.frame_counts)
                )
                read = [data.storage.read(stream.name, video, first + frame) for frame in range(count)]
                pictures.append(
                    [None if data is None else decoder.decode(data).pixels.copy() for data in read]
                )
            for left, right in zip(*pictures, strict=True):
                np.testing.assert_array_equal(left, right)


def write_tar(path, root, names=None):
    with tarfile.open(path, "w") as tar:
        for name in names or sorted(str(file.relative_to(root)) for file in root.rglob("*.*")):
            tar.add(root / name, name)
    return path


@pytest.fixture
def small(tmp_path):
    """Four videos of 3 frames in two classes."""
    return make_frames(tmp_path / "small", videos=4, frames=3)


LABELS = {
    "verb": ("label", ["open", " odd\n", "open", "shut"]),
    "several": ("labels", [["b", "a"], [], ["a;c"], ["b"]]),
    "state": ("frame_labels", [[0, 1, 1], [2, 0, 0], [1, 1, 1], [0, 0, 2]]),
    "place": ("target", np.arange(8, dtype=np.float64).reshape(4, 2)),
    "weight": ("target", np.array([0.1, 2, 3, 4], np.float32)),
    "angle": ("frame_target", np.arange(24, dtype=np.float32).reshape(4, 3, 2)),
}


@pytest.mark.parametrize("streams", [1, 2])
def test_labels_of_every_kind(small, tmp_path, streams):
    roots = {"image": small, "other": small} if streams == 2 else small
    data = fc.open(roots)
    for name, (kind, values) in LABELS.items():
        data = data.with_labels(name, values, kind=kind)
    _, pack = packed(data, tmp_path / "pack")
    _, again = unpacked(pack, tmp_path / "files")
    same_data(pack, again)
    assert again.split(0.5, seed=3)[1].index.names[:] == pack.split(0.5, seed=3)[1].index.names[:]
    part = pack.select(["class_1/video_3", "class_0/video_2"])
    _, again = unpacked(part, tmp_path / "part")
    same_data(part, again)


@settings(max_examples=25)
@given(st.data())
def test_any_names_and_classes(tmp_path_factory, data):
    """Names that cannot be folders or fields of a list are changed, and never lead out of the folder."""
    top = tmp_path_factory.mktemp("names")
    texts = st.text("ab.\n/ é1;,'\"\\", min_size=1, max_size=6) | st.sampled_from(
        [
            "..",
            "/",
            "../x",
            "a/../..",
            "list.csv",
            "x.jpg",
            "é" * 200,
            "\udcff",
            "open_dataset.py/x",
            ".unpacking",
        ]
    )
    names = data.draw(st.lists(texts, min_size=2, max_size=4, unique=True))
    classes = data.draw(st.lists(texts.map(str.strip).filter(bool), min_size=1, max_size=3, unique=True))
    kind = data.draw(st.sampled_from(["label", "labels"]))
    rows = [data.draw(st.sampled_from(classes)) for _ in names]
    arrays = fc.open(images=np.zeros((len(names), 1, 8, 8, 3), np.uint8))
    source = fc.Dataset.of(arrays.storage, frame_counts=[1] * len(names), names=names).with_labels(
        "label", rows if kind == "label" else [[row] for row in rows], kind=kind, classes=classes
    )
    _, pack = packed(source, top / "pack")
    said = None
    try:
        _, again = unpacked(pack, top / "in" / "files")
    except DataError as error:
        said = str(error)
    if said is not None:
        assert "a list cannot hold the class" in said
        assert not (top / "in").exists()
        return
    assert {path.name for path in top.iterdir()} == {"pack", "in"}
    assert [path.name for path in (top / "in").iterdir()] == ["files"]
    assert again.classes == pack.classes
    assert len(again) == len(pack)
    columns = [labels.columns()[0] for labels in (pack.index.labels, again.index.labels)]
    np.testing.assert_array_equal(*(found["numbers"] for found in columns))
    for given_name, name in zip(names, again.index.names, strict=True):
        assert name == given_name or name.startswith("_")


def test_parts_of_videos_and_fps(small, tmp_path):
    rows = [
        {"path": "class_1/video_1", "start": 1, "length": 2, "fps": 12.5, "label": "late"},
        {"path": "class_0/video_0", "start": 0, "length": 1, "fps": 0.1, "label": "early"},
        {"path": "class_0/video_0", "start": 1, "length": 2, "fps": 0.1, "label": "late"},
    ]
    _, pack = packed(fc.open(rows, root=small), tmp_path / "pack")
    _, again = unpacked(pack, tmp_path / "files")
    same_data(pack, again)
    assert (tmp_path / "files/class_1/video_1/000001.jpg").exists()


def test_pixels_and_numbers(tmp_path):
    """Of arrays and of raw packs, as files of pictures, masks, depth and flow."""
    random = np.random.default_rng(0)
    shape = 2, 3, 20, 24
    images = {
        "image": random.integers(0, 256, (*shape, 3), np.uint8),
        "mask": random.integers(0, 9, shape, np.uint8),
        "near": fc.Stream(random.integers(0, 2**16, shape, np.uint16), kind="depth", ignore=0.5),
        "far": fc.Stream(random.standard_normal(shape, np.float32), kind="depth"),
        "flow": fc.Stream(random.standard_normal((*shape, 2), np.float32), kind="flow"),
    }
    data = fc.open(images=images, values={3: 255}, ignore=4, labels=[1, 0])
    _, pack = packed(data, tmp_path / "pack", codec="raw")
    done, again = unpacked(pack, tmp_path / "files")
    assert (done.arrays, done.as_stored) == (30, 0)
    assert "30 files hold the same numbers as stored arrays" in str(done)
    one, other = ({stream.name: stream for stream in opened.streams} for opened in (pack, again))
    assert one == other
    same_frames = {path.parent.parent.name: path.suffix for path in (tmp_path / "files").rglob("*000001.*")}
    assert same_frames == {"image": ".png", "mask": ".png", "near": ".png", "far": ".tif", "flow": ".flo"}
    read = Decoder(again.streams[0]).decode(again.storage.read("image", 1, 2)).pixels
    np.testing.assert_array_equal(read, images["image"][1, 2])
    same_data(pack, again)


def test_video_files(tmp_path):
    pytest.importorskip("av", reason="video extra")
    from videos import show, write_movie  # noqa: PLC0415 - needs av

    for name in ("a/v0.mp4", "b/v1.mp4"):
        write_movie(tmp_path / "videos" / name, [show(number) for number in range(4)])
    fc.pack(tmp_path / "videos", tmp_path / "pack", workers=0)
    pack = fc.open(tmp_path / "pack")
    _, again = unpacked(pack, tmp_path / "files")
    same_data(pack, again)
    assert again.index.fps.tolist() == pack.index.fps.tolist()


def test_frames_that_cannot_be_read(small, tmp_path):
    """A picture is left out with its mask and its labels; a mask leaves its picture."""
    roots = {"image": small, "mask": tmp_path / "masks"}
    make_masks(tmp_path / "masks", small)
    data = fc.open(roots).with_labels("at", np.arange(12.0).reshape(4, 3, 1), kind="frame_target")
    fc.pack(data, tmp_path / "pack", workers=0)
    shard = tmp_path / "pack" / "00000.tar"
    content = bytearray(shard.read_bytes())
    with tarfile.open(shard) as tar:
        for name in (
            "class_0/video_0/000001.image.jpg",
            "class_1/video_3/000002.mask.png",
            *(f"class_0/video_2/00000{frame}.image.jpg" for frame in range(3)),
        ):
            content[tar.getmember(name).offset_data - 512] ^= 1  # of the header before it
    shard.write_bytes(content)
    done, again = unpacked(tmp_path / "pack", tmp_path / "files")
    assert done.videos == 3
    assert [problem.where.rpartition("/")[2] for problem in done.problems] == [
        "000001.image.jpg",
        "000000.image.jpg",
        "000001.image.jpg",
        "000002.image.jpg",
        "000002.mask.png",
    ]
    assert list(again.index.names) == ["class_0/video_0", "class_1/video_1", "class_1/video_3"]
    assert again.index.frame_counts.tolist() == [2, 3, 3]
    angles = again.index.named["at"].labels
    assert angles.targets(np.array([0]), np.array([[0, 1]], np.int32))[0, :, 0].tolist() == [0, 2]
    assert again.storage.read("mask", 2, 2) is None


def test_tars_of_others(small, tmp_path):
    """Their files keep names and bytes."""
    tar = write_tar(tmp_path / "frames.tar", small)
    done, again = unpacked(tar, tmp_path / "files")
    assert (done.as_stored, done.restored, done.same_coefficients) == (12, 0, 0)
    same_data(fc.open(tar), again)
    for path in small.rglob("*.jpg"):
        assert (tmp_path / "files" / path.relative_to(small)).read_bytes() == path.read_bytes()
    part = fc.open([{"path": "class_1/video_1", "start": 1, "label": 7}], root=tar)
    _, again = unpacked(part, tmp_path / "part")
    same_data(part, again)
    grouped = fc.open(tar, videos=r"_0*([123])$", labels=None)
    _, again = unpacked(grouped, tmp_path / "grouped")
    same_data(grouped, again)
    assert (tmp_path / "grouped/class_0/video_0/1/frame_00001.jpg").exists()


def test_pairs_of_tars(small, tmp_path, capsys):
    """With masks for some of the frames, and with flow in two series."""
    masks = make_masks(tmp_path / "masks", small)
    (masks / "class_0/video_0/frame_00002.png").unlink()
    roots = {
        "image": write_tar(tmp_path / "frames.tar", small),
        "mask": write_tar(tmp_path / "masks.tar", masks),
    }
    pairs = fc.open(roots, unpaired="ignore", values={1: 0}, ignore=3)
    _, again = unpacked(pairs, tmp_path / "files")
    same_data(pairs, again)
    arguments = [tmp_path / "frames.tar", tmp_path / "command", "--mask", tmp_path / "masks.tar"]
    command = ["unpack", *map(str, arguments), "--unpaired", "ignore", "--workers", "0"]
    assert main(command) == 0
    assert "unpaired='ignore'" in capsys.readouterr().out
    for path in [*masks.rglob("*.png")]:
        for axis in "xy":
            series = (
                tmp_path / "series" / path.parent.relative_to(masks) / f"flow_{axis}_{path.stem[-5:]}.png"
            )
            series.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(len(axis))[:, :, 0]).save(series)
    (tmp_path / "series/class_0/video_0/flow_y_00001.png").unlink()
    (tmp_path / "series/class_0/video_0/flow_x_00001.png").unlink()
    flow = fc.Stream(
        write_tar(tmp_path / "flow.tar", tmp_path / "series"),
        kind="flow",
        frames=("flow_x_*", "flow_y_*"),
        bound=5,
    )
    data = fc.open({"image": roots["image"], "flow": flow}, unpaired="drop")
    for number, source in enumerate((data, packed(data, tmp_path / "pack")[1])):
        _, again = unpacked(source, tmp_path / f"flows{number}")
        same_data(source, again)


def test_what_cannot_be_unpacked(small, tmp_path):
    with pytest.raises(OptionError, match="is no pack and no tar file"):
        fc.unpack(small, tmp_path / "files")
    with pytest.raises(OptionError, match="in no pack and no tar files, but in FolderStorage"):
        fc.unpack(fc.open(small), tmp_path / "files")
    _, pack = packed(fc.open(small).with_labels("length", [1, 2, 3, 4], kind="label"), tmp_path / "pack")
    with pytest.raises(DataError, match="cannot have a column of labels called 'length'"):
        fc.unpack(pack, tmp_path / "files")
    assert not (tmp_path / "files").exists()
