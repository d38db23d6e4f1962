"""A dataset of a storage of one's own is like any other."""

import numpy as np
import pytest
from helpers import run_python

import fastclips as fc
from fastclips.spec import StreamSpec

COUNTS = [5, 7, 6, 5, 9, 5, 5, 8, 5, 6]
NAMES = [f"person_{video // 2}/take_{video}" for video in range(10)]


class Numbers(fc.Storage):
    """Videos whose frames show their numbers."""

    def __init__(self, channels=3):
        self.channels = channels

    def read(self, stream, video, frame):
        if not 0 <= frame < COUNTS[video]:
            raise IndexError(f"no frame {frame} of video {video}")
        if stream == "mask":
            return np.full((32, 40), video, np.uint8)
        return np.full((32, 40, self.channels), 10 * video + frame, np.uint8)


def dataset(**options):
    return fc.Dataset.of(Numbers(), **{"frame_counts": COUNTS, **options})


def targets(data):
    return data.index.labels.targets(np.arange(len(data)), np.zeros((len(data), 2), np.int32)).tolist()


def test_defaults():
    data = dataset()
    assert repr(data) == "<Dataset: 10 videos, 61 frames, 0 classes; image>"
    assert list(data.index.names) == [str(video) for video in range(10)]
    assert data.streams == (StreamSpec("image"),)
    assert (data.index.labels, data.index.fps) == (None, None)


@pytest.mark.parametrize("workers", [0, 2])
def test_it_is_served_split_selected_and_tabled(workers):
    labels = ["sit", "walk"] * 5
    data = dataset(names=NAMES, labels=labels, streams=("image", "mask"), fps=25)
    train, val = data.split(0.4, group=r"person_\d")
    assert not {n.split("/")[0] for n in train.index.names} & {n.split("/")[0] for n in val.index.names}
    chosen = data.select(NAMES[4:2:-1])
    assert targets(chosen) == [0, 1]
    with fc.ClipLoader(
        chosen,
        fc.Windows(5, step=5),
        batch_size=2,
        shuffle=False,
        workers=workers,
        inputs="image",
    ) as loader:
        x, y = next(iter(loader))
        table = loader.plan_table(0)
        paths = list(table["paths"][0])
    assert x[:, :, 0, 0, 0].tolist() == [[40, 41, 42, 43, 44], [30, 31, 32, 33, 34]]
    assert y.tolist() == [0, 1]
    assert paths[0] == "image, video 4, frame 0"


@pytest.mark.slow
def test_it_is_packed(tmp_path):
    data = dataset(names=NAMES, labels=["sit", "walk"] * 5, streams=["image", "mask"], fps=[25] * 10)
    fc.pack(data, tmp_path / "pack", codec="raw", workers=2)
    again = fc.open(tmp_path / "pack")
    assert (list(again.index.names), again.classes, targets(again)) == (NAMES, data.classes, targets(data))
    assert [stream.mask for stream in again.streams] == [False, True]
    np.testing.assert_array_equal(again.storage.read("image", 4, 8), data.storage.read("image", 4, 8))


@pytest.mark.parametrize(
    ("labels", "classes", "expected", "names"),
    [
        ([0, 2] * 5, None, [0, 2] * 5, ("0", "1", "2")),
        (["b", "a"] * 5, None, [1, 0] * 5, ("a", "b")),
        (["b", "a"] * 5, ["b", "c", "a"], [0, 2] * 5, ("b", "c", "a")),
        (np.arange(10.0), None, list(np.arange(10.0)), ()),
        (np.eye(10, dtype=bool), None, np.eye(10).tolist(), tuple("0123456789")),
        ([[1] + [0] * (count - 1) for count in COUNTS], None, [[1, 1]] * 10, ("0", "1")),
    ],
)
def test_labels(labels, classes, expected, names):
    data = dataset(labels=labels, classes=classes)
    assert (targets(data), data.classes) == (expected, names)


def test_streams():
    data = dataset(streams=["image", "depth", "gt"], masks="gt", channels={"depth": 1}, ignore=0)
    assert data.streams == (
        StreamSpec("image"),
        StreamSpec("depth", channels=1),
        StreamSpec("gt", kind="mask", ignore=0),
    )
    assert dataset(streams="gray", channels=1).streams == (StreamSpec("gray", channels=1),)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"storage": "x"}, r"storage='x': must be an instance of a subclass of fastclips\.Storage"),
        ({"frame_counts": 5}, "frame_counts=5: must be a sequence of int"),
        ({"frame_counts": []}, "frame_counts is empty"),
        ({"frame_counts": [3, 0]}, r"frame_counts\[1\]=0: must be an integer from 1"),
        ({"names": "abcdefghij"}, "names='abcdefghij': must be a sequence of str"),
        ({"names": ["a"]}, "names= has 1 items for 10 videos"),
        ({"names": ["a", "a"]}, r"names\[1\]='a': names\[0\] is the same"),
        ({"names": ["a", 3]}, r"names\[1\]=3: must be a str"),
        ({"labels": [0, 1]}, "labels= has 2 items for 10 videos"),
        (
            {"labels": ["a"] * 9 + ["x"], "classes": ["a"]},
            r"labels\[9\]: 'x' is not one of the 1 classes 'a'",
        ),
        ({"labels": [[0]] * 9 + [[0, 1]]}, r"labels\[0\]: 1 frame_labels for 5 frames"),
        ({"labels": [[0.5]] * 9 + [[0, 1]]}, r"labels\[0\] is float64 of shape \(1,\): must be integers"),
        ({"classes": []}, r"classes=\[\]: must be a sequence of names"),
        ({"streams": []}, "must name a stream"),
        ({"streams": ["label"]}, "a stream cannot be named 'label'"),
        ({"masks": ["gt"]}, r"masks=\('gt',\): must name streams, but 'gt' is not one of image"),
        ({"channels": 2}, r"channels=2 of stream 'image': must be 3 \(RGB\) or 1 \(gray\)"),
        ({"ignore": 256}, "ignore=256: must be an integer from 0 to 255"),
        ({"fps": 0}, r"fps\[0\]=0.0: must be above 0"),
        ({"fps": [25]}, "fps= has 1 items for 10 videos"),
    ],
)
def test_arguments_that_cannot_work(options, message):
    storage = options.pop("storage", Numbers())
    with pytest.raises((fc.OptionError, fc.DataError), match=message):
        fc.Dataset.of(storage, **{"frame_counts": COUNTS, **options})


@pytest.mark.slow
def test_a_storage_that_a_script_defines_reaches_its_workers(tmp_path):
    """It is not imported there, and may use what the script imports and defines."""
    code = """
import sys
import numpy as np
import fastclips as fc

VALUE = 7

class Mine(fc.Storage):
    def read(self, stream, video, frame):
        return np.full((32, 40, 3), VALUE + frame, np.uint8)

data = fc.Dataset.of(Mine(), frame_counts=[4] * 3)
with fc.ClipLoader(data, fc.Windows(4), batch_size=3, workers=2) as loader:
    print(next(iter(loader))[:, :, 0, 0, 0].tolist())
fc.pack(data, sys.argv[1], codec="raw", workers=1)
print(fc.open(sys.argv[1]).storage.read("image", 2, 3).max())
"""
    assert run_python(code, tmp_path / "pack") == f"{[[7, 8, 9, 10]] * 3}\n10\n"
