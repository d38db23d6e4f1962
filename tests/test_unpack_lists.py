"""What `fc.unpack` has written opens as the same data: of packs, and of tar files that others have made."""

import runpy
import tarfile

import numpy as np
import pytest
from helpers import make_frames, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from packing import packed

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
                pictures.append([None if data is None else decoder.decode(data).pixels for data in read])
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
    classes = data.draw(st.lists(texts.filter(str.strip), min_size=1, max_size=3, unique=True))
    kind = data.draw(st.sampled_from(["label", "labels"]))
    rows = [data.draw(st.sampled_from(classes)) for _ in names]
    arrays = fc.open(images=np.zeros((len(names), 1, 8, 8, 3), np.uint8))
    source = fc.Dataset.of(arrays.storage, frame_counts=[1] * len(names), names=names).with_labels(
        "label", rows if kind == "label" else [[row] for row in rows], kind=kind, classes=classes
    )
    _, pack = packed(source, top / "pack")
    try:
        _, again = unpacked(pack, top / "in" / "files")
    except DataError as error:
        assert "a list cannot hold the class" in str(error)
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
    assert (done.arrays, done.as_stored) == (24, 6)
    assert "24 files hold the same numbers as stored arrays" in str(done)
    for name in images:
        one, other = (
            [stream for stream in opened.streams if stream.name == name][0] for opened in (pack, again)
        )
        assert (one.kind, one.values, one.ignore, one.unknown) == (
            other.kind,
            other.values,
            other.ignore,
            other.unknown,
        )
    same_frames = {path.parent.parent.name: path.suffix for path in (tmp_path / "files").rglob("*000001.*")}
    assert same_frames == {"image": ".png", "mask": ".png", "near": ".png", "far": ".tif", "flow": ".flo"}
    read = Decoder(again.streams[0]).decode(again.storage.read("image", 1, 2)).pixels
    np.testing.assert_array_equal(read, images["image"][1, 2])
    same_data(pack, again)
