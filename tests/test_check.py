"""``fastclips check`` and ``fc.check``: each kind of finding, what is printed, the list of sound videos."""

import json
import shutil
import tarfile

import numpy as np
import pytest
from helpers import make_frames, make_masks, picture, run_python, write_jpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import fastclips as fc
from fastclips.checking.report import KINDS, SCHEMA
from fastclips.commands.cli import main
from fastclips.errors import OptionError


def command(*arguments):
    return main(["check", *map(str, arguments), "--workers", "0"])


def found(checked):
    """Count and videos of each kind."""
    return {finding.kind: (finding.count, finding.videos) for finding in checked.findings}


@pytest.fixture
def data(tmp_path):
    """Four videos of 6 frames with masks, to be harmed."""
    frames = make_frames(tmp_path / "frames", videos=4, frames=6)
    make_masks(tmp_path / "masks", frames)
    return tmp_path


def opened(data):
    return fc.open({"image": data / "frames", "mask": data / "masks"})


def frame(data, video, number):
    return data / f"frames/class_{video % 2}/video_{video}/frame_{number:05d}.jpg"


def mask(data, video, number):
    return data / f"masks/class_{video % 2}/video_{video}/frame_{number:05d}.png"


def cut(data):
    path = frame(data, 0, 3)
    path.write_bytes(path.read_bytes()[:500])


def empty_file(data):
    mask(data, 1, 2).write_bytes(b"")


def resize_one(data):
    write_jpeg(frame(data, 2, 6), picture(7, 32, 40))
    Image.fromarray(np.ones((32, 40), np.uint8)).save(mask(data, 2, 6))


def resize_mask(data):
    Image.fromarray(np.ones((32, 40), np.uint8)).save(mask(data, 3, 4))


def high_value(data):
    pixels = np.asarray(Image.open(mask(data, 1, 1))).copy()
    pixels[0, 0] = 77
    Image.fromarray(pixels).save(mask(data, 1, 1))


def binary_masks(data):
    for path in (data / "masks").rglob("*.png"):
        pixels = np.asarray(Image.open(path))
        Image.fromarray(np.where(pixels > 9, 255, 0).astype(np.uint8)).save(path)


def shorten(data):
    frame(data, 1, 6).unlink()
    mask(data, 1, 6).unlink()


def lose_numbers(data):
    frame(data, 1, 3).unlink()
    mask(data, 1, 3).unlink()


def copy_video(data):
    shutil.rmtree(frame(data, 3, 1).parent)
    shutil.copytree(frame(data, 0, 1).parent, frame(data, 3, 1).parent)


def copy_frame(data):
    shutil.copy(frame(data, 0, 2), frame(data, 1, 5))


CASES = [  # how data are harmed, what is found, and words of the example
    (lambda _: None, {}, ""),
    (cut, {"damaged": (1, 1)}, "frame_00003.jpg"),
    (empty_file, {"damaged": (1, 1)}, "is empty"),
    (resize_one, {"sizes": (2, 1)}, "32x40 (1 from frame_00006.jpg on)"),
    (resize_mask, {"sizes": (1, 1), "stream_sizes": (1, 1)}, "image 48x64, mask 32x40"),
    (high_value, {"mask_values": (1, 1)}, "has the values 77"),
    (binary_masks, {"mask_one_value": (1, 0)}, "values={255: 1}"),
    (shorten, {"short": (1, 1)}, "5 of 6 frames"),
    (lose_numbers, {"short": (1, 1), "gaps": (1, 1)}, "clips continue"),
    (copy_video, {"equal": (1, 1)}, "6 frames, equal to class_0/video_0"),
    (copy_frame, {"shared": (2, 2)}, "frame_00002.jpg"),
]


@pytest.mark.parametrize(("harm", "expected", "words"), CASES)
def test_each_finding(data, harm, expected, words):
    harm(data)
    checked = fc.check(opened(data), time_steps=6, mask_classes=21, workers=0)
    assert found(checked) == expected
    assert checked.complete
    assert all(len(finding.examples) == finding.count for finding in checked.findings)
    shown = " ".join(str(checked).split())
    assert words in shown
    assert max(map(len, str(checked).splitlines())) < 200
    assert ("Nothing was found." in shown) == (not expected)


def test_classes_without_a_video_and_empty_folders(data, capsys):
    (data / "frames/class_2/nothing").mkdir(parents=True)
    assert command(data / "frames") == 1
    out = capsys.readouterr().out
    assert "empty: 1 folder holds no frames" in out
    assert "frames/class_2/nothing" in out
    some = fc.open(data / "frames").select(["class_0/video_0"])
    checked = fc.check(some, workers=0)
    assert found(checked) == {"classes": (1, 0)}
    assert "class 1 of 'label'" in str(checked)


@pytest.mark.slow
def test_the_same_for_any_number_of_workers(data):
    for harm in (cut, resize_one, binary_masks, copy_frame):
        harm(data)
    dataset = opened(data)
    results = [fc.check(dataset, time_steps=7, workers=workers).to_dict() for workers in (0, 1, 3)]
    for result in results:
        for key in ("seconds", "frames_per_s"):
            del result[key]
    assert results[0] == results[1] == results[2]
    assert len(results[0]["findings"]) == 5


def test_every_kind_of_source(data, tmp_path):
    shutil.copy(frame(data, 0, 2), frame(data, 1, 5))
    expected = {"shared": (2, 2)}
    dataset = fc.open(data / "frames")
    fc.pack(dataset, tmp_path / "packed", workers=0)
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(data / "frames", ".")
    (data / "train.txt").write_text("".join(f"{name} 1\n" for name in dataset.index.names))
    listed = fc.open(data / "train.txt", root=data / "frames", columns="path label")
    for source in (dataset, fc.open(tmp_path / "packed"), fc.open(tmp_path / "all.tar")):
        assert found(fc.check(source, workers=0)) == expected
    assert found(fc.check(listed, workers=0)) == {**expected, "classes": (1, 0)}
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 8, 8, 3), np.uint8)
    pixels[2] = pixels[0]
    np.save(tmp_path / "clips.npy", pixels)
    assert found(fc.check(fc.open(images=pixels), workers=0)) == {"equal": (1, 1)}
    assert command(tmp_path / "clips.npy") == 1


def test_parts_of_a_video_are_read_once(data):
    rows = [{"path": "class_0/video_0", "start": start, "length": 3} for start in (0, 1, 3)]
    checked = fc.check(fc.open(rows, root=data / "frames"), time_steps=4, workers=0)
    assert (checked.videos, checked.frames) == (1, 6)
    assert found(checked) == {"short": (3, 1)}


class Shown(fc.Storage):
    """Videos of gray frames."""

    def __init__(self, videos):
        self.videos = videos

    def read(self, _, video, frame):
        return np.full((2, 2, 3), self.videos[video][frame], np.uint8)


@given(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=4), min_size=1, max_size=8))
def test_copies_are_those_of_plain_loops(videos):
    copies = [video for video, frames in enumerate(videos) if frames in videos[:video]]
    left = [video for video in range(len(videos)) if video not in copies]
    shared = [
        (video, frame)
        for video in left
        for frame, color in enumerate(videos[video])
        if any(color in videos[other] for other in left if other != video)
    ]
    data = fc.Dataset.of(Shown(videos), frame_counts=[len(frames) for frames in videos])
    findings = {finding.kind: finding for finding in fc.check(data, workers=0).findings}
    expected = {}
    if copies:
        expected["equal"] = (len(copies), len(copies))
        assert [example.video for example in findings["equal"].examples] == list(map(str, copies))
    if shared:
        expected["shared"] = (len(shared), len({video for video, _ in shared}))
        where = [f"image, video {video}, frame {frame}" for video, frame in shared]
        assert [example.where for example in findings["shared"].examples] == where
    assert {kind: (finding.count, finding.videos) for kind, finding in findings.items()} == expected


@pytest.mark.slow
def test_video_files(tmp_path, capsys):
    """Each frame is decoded once; the number of frames is known afterwards."""
    pytest.importorskip("av", reason="video extra")
    from videos import show, write_movie  # noqa: PLC0415 - needs av

    for number, name in enumerate(("a/x", "a/y", "b/z")):
        pixels = [show(frame + 20 * number) for frame in range(10 + number)]
        (tmp_path / f"videos/{name[0]}").mkdir(parents=True, exist_ok=True)
        write_movie(tmp_path / f"videos/{name}.mp4", pixels, "libx264", {"crf": "5"})
    whole = (tmp_path / "videos/b/z.mp4").read_bytes()
    (tmp_path / "videos/b/cut.mp4").write_bytes(whole[:400])
    assert command(tmp_path / "videos", "--time-steps", 11, "--json") == 1
    result = json.loads(capsys.readouterr().out)
    assert (result["videos"], result["frames"]) == (4, 33)
    kinds = {finding["kind"]: finding for finding in result["findings"]}
    assert set(kinds) == {"damaged", "short"}
    assert [example["video"] for example in kinds["short"]["examples"]] == ["a/x"]
    assert "cut.mp4" in kinds["damaged"]["examples"][0]["where"]


def test_only_the_first_places_are_kept(monkeypatch, data):
    monkeypatch.setattr("fastclips.checking.check._KEPT", 4)
    for path in (data / "frames").rglob("*.jpg"):
        path.write_bytes(b"x")
    (finding,) = fc.check(fc.open(data / "frames"), workers=0).findings
    assert (finding.count, finding.videos, len(finding.examples)) == (24, 4, 4)
    assert str(finding).endswith("and 21 more")


def test_json(data, capsys):
    """The schema that docs/checking.md promises."""
    cut(data)
    assert command(data / "frames", "--json") == 1
    out, err = capsys.readouterr()
    assert err == ""
    result = json.loads(out)
    assert result.pop("source") == str(data / "frames")
    assert {key: type(value) for key, value in result.items()} == {
        "schema": int,
        "complete": bool,
        "videos": int,
        "frames": int,
        "bytes_read": int,
        "seconds": float,
        "frames_per_s": float,
        "findings": list,
        "mask_values": dict,
    }
    assert result["schema"] == SCHEMA == 1
    (finding,) = result["findings"]
    (example,) = finding.pop("examples")
    assert finding == {
        "kind": "damaged",
        "count": 1,
        "unit": "frame",
        "what": "cannot be read or decoded",
        "videos": 1,
    }
    assert example["video"] == "class_0/video_0"
    assert example["where"] == str(frame(data, 0, 3))
    assert set(example) == {"video", "where", "why"}


def test_exit_codes(data, capsys):
    assert command(data / "frames") == 0
    assert "Nothing was found." in capsys.readouterr().out
    for wrong in (
        [data / "missing"],
        [data / "frames", "--time-steps", 0],
        [data / "frames", "--mask-classes", 3],
        [data / "frames", "--fix-list", data / "no" / "good.csv"],
        [data / "frames", "--fix-list", data / "frames"],
        [data / "frames", "--list", data / "missing.txt"],
    ):
        assert command(*wrong) == 2
        assert capsys.readouterr().err.startswith("fastclips: error: ")
    cut(data)
    assert command(data / "frames") == 1


def test_wrong_arguments(data):
    with pytest.raises(OptionError, match="dataset='frames': must be what"):
        fc.check("frames")
    with pytest.raises(OptionError, match="mask_classes=257: must be an integer from 1 to 256"):
        fc.check(opened(data), mask_classes=257)


def written(capsys):
    """The dataset that the printed call opens."""
    call = capsys.readouterr().out.splitlines()[-1]
    assert call.startswith("  fc.open(")
    return eval(call, {"fc": fc})  # noqa: S307 - what users are told to run


@pytest.mark.parametrize("names", [("run", "walk"), ("3", "7")])
def test_fix_list_of_a_folder(data, capsys, names):
    for number, name in enumerate(names):
        (data / f"frames/class_{number}").rename(data / "frames" / name)
    path = data / f"frames/{names[0]}/video_0/frame_00003.jpg"
    path.write_bytes(b"x")
    (data / f"frames/{names[1]}/video_1/frame_00006.jpg").unlink()
    assert command(data / "frames", "--time-steps", 6, "--fix-list", data / "good.csv") == 1
    dataset, whole = written(capsys), fc.open(data / "frames")
    assert dataset.index.names[:] == [f"{names[0]}/video_2", f"{names[1]}/video_3"]
    assert (dataset.classes, whole.classes) == (names, names)
    assert dataset.index.labels.per_video.tolist() == [0, 1]
    assert fc.check(dataset, time_steps=6, workers=0).findings == []


def test_fix_list_without_a_class(data, capsys):
    for video in (1, 3):
        frame(data, video, 1).write_bytes(b"x")
    frames, masks = data / "frames", data / "masks"
    assert command(frames, "--mask", masks, "--fix-list", data / "good.csv") == 1
    dataset = written(capsys)
    assert [stream.name for stream in dataset.streams] == ["image", "mask"]
    assert dataset.classes == ("class_0", "class_1")
    assert dataset.index.names[:] == ["class_0/video_0", "class_0/video_2"]


def test_fix_list_of_a_list(data, capsys):
    cut(data)
    rows = "class_0/video_0 0 6 5\nclass_0/video_2 0 4 9\nclass_0/video_2 2 3 5\nclass_1/video_1 1 5 9\n"
    (data / "train.txt").write_text(rows)
    columns = "path start length label"
    options = ["--list", data / "train.txt", "--columns", columns]
    assert command(data / "frames", *options, "--time-steps", 4, "--fix-list", data / "good.csv") == 1
    dataset = written(capsys)
    whole = fc.open(data / "train.txt", root=data / "frames", columns=columns)
    assert list(zip(dataset.index.names, dataset.index.starts, dataset.index.frame_counts, strict=True)) == [
        ("class_0/video_2", 0, 4),
        ("class_1/video_1", 1, 5),
    ]
    assert dataset.classes == whole.classes
    assert dataset.index.labels.per_video.tolist() == [9, 9]


def test_fix_list_of_a_pack_holds_names(data, tmp_path, capsys):
    copy_video(data)
    fc.pack(fc.open(data / "frames"), tmp_path / "packed", workers=0)
    assert command(tmp_path / "packed", "--fix-list", tmp_path / "good.txt") == 1
    dataset = written(capsys)
    assert dataset.index.names[:] == ["class_0/video_0", "class_0/video_2", "class_1/video_1"]
    assert dataset.index.labels.per_video.tolist() == [0, 0, 1]


def test_fix_list_of_nothing(data, capsys):
    for path in (data / "frames").rglob("*.jpg"):
        path.write_bytes(b"x")
    assert command(data / "frames", "--fix-list", data / "good.csv") == 1
    assert "was not written: no video is without defects" in capsys.readouterr().out
    assert not (data / "good.csv").exists()


@pytest.mark.slow
def test_an_interrupt_prints_what_was_found(data):
    cut(data)
    script = """
import sys
from fastclips.checking import check
from fastclips.commands.cli import main
add = check.Check._add
def interrupt(self, seen):
    add(self, seen)
    if seen.run.video == 1:
        raise KeyboardInterrupt
check.Check._add = interrupt
print("code", main(["check", sys.argv[1], "--workers", "2"]))
"""
    out = run_python(script, data / "frames")
    assert "2 videos, 12 frames" in out
    assert "damaged: 1 frame cannot be read or decoded (1 video)" in out
    assert "interrupted" in out
    assert out.endswith("code 130\n")


@pytest.mark.slow
def test_a_worker_that_dies_is_named():
    script = """
import os, sys
import numpy as np
import fastclips as fc
class Deadly(fc.Storage):
    def read(self, stream, video, frame):
        if video == 2:
            os._exit(3)
        return np.full((8, 8, 3), 10 * video + frame, np.uint8)
dataset = fc.Dataset.of(Deadly(), frame_counts=[5] * 4, names=["a", "b", "c", "d"])
try:
    fc.check(dataset, workers=1)
except fc.EngineError as error:
    print(error)
"""
    assert "a checking process died with exit code 3, at 'c'" in run_python(script)


def test_kinds_are_documented():
    for kind in KINDS:
        assert f"``{kind}``" in fc.check.__doc__


@pytest.mark.slow
def test_help_names_every_kind(capsys):
    with pytest.raises(SystemExit):
        main(["check", "--help"])
    out = capsys.readouterr().out
    assert all(f"\n  {kind} " in out for kind in KINDS)
