from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import decode, make_frames, run_python

import fastclips as fc
from fastclips.commands import demo
from fastclips.commands.cli import main
from fastclips.data.opening import open_dataset
from fastclips.errors import DataError, FastclipsError, OptionError
from fastclips.testing import frames as made

pytestmark = pytest.mark.slow

# Several small demos in one process, which waits for TensorFlow once.
SMALL = """
import json, sys, tempfile
from fastclips.commands import demo
from fastclips.commands.cli import main
from fastclips.testing import frames
frames.MOTIONS = {"left": (-1, 0), "right": (1, 0)}
demo.VIDEOS = 4
tempfile.tempdir = sys.argv[1]
sys.stderr = sys.stdout
for words in json.loads(sys.argv[2]):
    print("exit code", main(words))
    print("END")
"""


def arguments(*words):
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


# The made data


def films(direction, videos, seed):
    return np.stack([made.film(np.random.default_rng([seed, v]), direction) for v in range(videos)])


def test_the_first_frame_is_the_same_in_every_class_and_the_last_is_not():
    videos = [made.film(np.random.default_rng(5), direction) for direction in made.MOTIONS.values()]
    assert all(np.array_equal(videos[0][0], video[0]) for video in videos)
    assert all(not np.array_equal(videos[0][-1], video[-1]) for video in videos[1:])


def test_things_move_as_the_class_says():
    for x, y in made.MOTIONS.values():
        votes = np.zeros(2)
        for video in films((x, y), 12, seed=1):
            first, second = (cv2.GaussianBlur(frame, (5, 5), 0).mean(2) for frame in video[:2])
            fast = {
                (dx, dy): np.abs(np.roll(first, (dy, dx), (0, 1)) - second)[
                    np.abs(first - second) > 30
                ].mean()
                for dx, dy in ((4, 0), (-4, 0), (0, 4), (0, -4))
            }
            votes += min(fast, key=fast.get)
        assert votes @ (x, y) > 0.8 * 4 * 12


def test_single_frames_do_not_tell_the_class():
    """Linear classifiers of what a frame shows where, of its colours and of its contrast stay at chance."""

    def seen(seed, videos):
        frames, labels = [], []
        for label, direction in enumerate(made.MOTIONS.values()):
            some = films(direction, videos, seed=[seed, label])[:, [0, 6, 11]].reshape(-1, 96, 128, 3)
            blocks = some.reshape(-1, 6, 16, 8, 16, 3).astype(float)
            parts = (blocks.mean((2, 4)), blocks.std((2, 4)), np.diff(some.astype(float), axis=1).std((1, 2)))
            frames.append(np.concatenate([part.reshape(len(some), -1) for part in parts], axis=1))
            labels += [label] * len(some)
        return np.concatenate(frames), np.array(labels)

    (x, y), (held_out, truth) = seen(1, 24), seen(2, 24)
    mean, std = x.mean(0), x.std(0)
    x, held_out = (x - mean) / std, (held_out - mean) / std
    weights = np.linalg.solve(x.T @ x + 100 * np.eye(x.shape[1]), x.T @ np.eye(4)[y])
    # Of 96 videos: 0.25 and four standard deviations are 0.43.
    assert ((held_out @ weights).argmax(1) == truth).mean() < 0.43


def test_the_written_frames_are_deterministic_and_decode(tmp_path):
    sizes = [
        made.write_frames(tmp_path / name, videos=2, seed=seed)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    a, b, c = ({p.relative_to(tmp_path / n): p for p in (tmp_path / n).rglob("*.jpg")} for n in "abc")
    assert sizes[0] == sizes[1] == sum(path.stat().st_size for path in a.values())
    assert list(a) == list(b) == list(c)
    assert all(a[name].read_bytes() == b[name].read_bytes() != c[name].read_bytes() for name in a)
    assert {decode(path).shape for path in a.values()} == {(96, 128, 3)}
    assert len({path.read_bytes() for path in a.values()}) == len(a) == 4 * 2 * 12
    data = open_dataset(tmp_path / "a")
    assert data.classes == tuple(made.MOTIONS)
    assert data.index.names[0] == "down/video_001"


def test_flow_leads_to_the_next_frame_and_masks_are_where_it_leads(tmp_path):
    folders = {name: tmp_path / name for name in ("image", "mask", "flow")}
    image, mask, flow = folders.values()
    made.write_frames(image, videos=1, masks=mask, flow=flow)
    data = open_dataset({**folders, "flow": fc.Stream(flow, kind="flow")})
    with fc.ClipLoader(data, fc.Windows(12), batch_size=4, inputs=tuple(folders), workers=0) as loader:
        clips = next(iter(loader))[0]
    moving = clips["mask"] == 1
    assert np.array_equal(moving, clips["flow"].any(-1))
    y, x = np.mgrid[:96, :128].astype(np.float32)
    for frames, there, displacement in zip(clips["image"], moving, clips["flow"], strict=True):
        now, after = frames[:2].astype(np.float32)
        to = x + displacement[0, ..., 0], y + displacement[0, ..., 1]
        led = cv2.remap(after, *to, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        assert 3 * np.abs(led - now)[there[0]].mean() < np.abs(after - now)[there[0]].mean()
    with pytest.raises(FileExistsError):
        made.write_frames(tmp_path / "again", videos=1, masks=tmp_path / "again")


# The whole command


@pytest.fixture(scope="module")
def demos(tmp_path_factory):
    """Folders: for temporary files, with own frames, with damaged ones; and what a demo of each printed."""
    made, own, damaged = (tmp_path_factory.mktemp(name) for name in ("made", "own", "damaged"))
    make_frames(own, videos=12, frames=5, height=60, width=50, classes=3)
    make_frames(own / "wide", videos=2, frames=30, height=40, width=90)
    make_frames(damaged, videos=8, frames=8)
    for path in damaged.rglob("frame_00004.jpg"):
        path.write_bytes(path.read_bytes()[:200])
    commands = (
        ["demo", "--epochs", "1", "--workers", "1"],
        ["demo", "--data", str(own), "--epochs", "2", "--workers", "0"],
        ["demo", "--data", str(damaged), "--workers", "0"],
    )
    outs = run_python(SMALL, made, json.dumps(commands), timeout=300).split("END\n")
    return {"made": (made, outs[0]), "own": (own, outs[1]), "damaged": (damaged, outs[2])}


def test_from_end_to_end(demos):
    folder, out = demos["made"]
    assert out.endswith("exit code 0\n")
    assert f"{folder}/fastclips-demo-" in out
    assert "Training on 18 clips of 6 videos, validating on 6 clips of 2 others." in out
    assert "epoch 1/1   loss " in out
    assert "Validation accuracy: " in out
    assert "the accuracy is a rough figure" in out
    assert "frames/s " in out
    assert "model.fit(ClipSequence(loader), epochs=1)" in out
    verdict = "training waits for data"  # which depends on the machine
    assert max(len(line) for line in out.splitlines() if not line.startswith(verdict)) < 150
    assert not list(folder.iterdir())


def test_own_frames_of_a_class_count_and_sizes_of_their_own(demos):
    folder, out = demos["own"]
    assert out.endswith("exit code 0\n")
    assert "14 videos, 120 frames, 4 classes: class_0, class_1, class_2, wide." in out
    assert (
        "Clips have 5 frames instead of 8, because the shortest video, class_0/video_0, has no more." in out
    )
    assert "epoch 2/2   loss " in out
    assert f'fc.open("{folder}")' in out
    assert "Resize(short_side=96)" in out
    assert len(list(folder.rglob("*.jpg"))) == 120


# How own frames are cut


@pytest.mark.parametrize(
    ("lengths", "time_steps", "dilation"),
    [((8, 30), 8, 1), ((7, 30), 7, 1), ((15, 16), 8, 2), ((300, 400), 8, 4), ((2, 9), 2, 1)],
)
def test_clips_fit_the_shortest_video(tmp_path, lengths, time_steps, dilation):
    for label in "ab":
        for length in lengths:
            place = tmp_path / label / f"v{length}"
            place.mkdir(parents=True)
            for frame in range(length):
                (place / f"{frame}.jpg").touch()
    data, clips = demo._choose(open_dataset(tmp_path))
    assert len(data) == 4
    assert (clips.time_steps, clips.dilation) == (time_steps, dilation)
    assert clips.span <= min(lengths)
    assert clips.step >= 1


def test_what_cannot_be_trained_on_is_left_out(tmp_path, capsys):
    make_frames(tmp_path, videos=4, frames=9)
    for name, frames in (("class_0/still", 1), ("lonely/v", 9), ("stills/v", 1), ("stills/w", 1)):
        (tmp_path / name).mkdir(parents=True)
        for frame in range(frames):
            (tmp_path / name / f"{frame}.jpg").touch()
    data, clips = demo._choose(open_dataset(tmp_path))
    assert tuple(data.index.names) == tuple(
        f"class_{c}/video_{v}" for c, v in ((0, 0), (0, 2), (1, 1), (1, 3))
    )
    assert clips.time_steps == 8
    out = capsys.readouterr().out
    assert "4 videos, 36 frames, 2 classes: class_0, class_1." in out
    assert "Left out 4 videos" in out


# Errors; none of them waits for TensorFlow


def test_one_class_is_too_few(tmp_path):
    make_frames(tmp_path, videos=3, frames=2, classes=1)
    with pytest.raises(
        DataError, match=r"1 of the 1 classes found \(class_0\) .* needs at least two class folders"
    ):
        demo.run(arguments("--data", tmp_path))


def test_single_videos_are_too_few(tmp_path):
    make_frames(tmp_path, videos=3, frames=2, classes=3)
    with pytest.raises(DataError, match=r"0 of the 3 classes found .* each with two videos"):
        demo.run(arguments("--data", tmp_path))


def test_no_such_folder_and_a_wrong_option(tmp_path, capsys):
    assert main(["demo", "--data", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith("fastclips: error: ")
    with pytest.raises(OptionError, match=r"epochs=0"):
        demo.run(arguments("--epochs", 0))


@pytest.mark.parametrize(
    ("backend", "says"),
    [
        ("tensorflow", r'Keras on tensorflow: pip install "fastclips\[tensorflow\]"'),
        ("jax", r'Keras on jax: pip install "fastclips\[keras\]"'),
    ],
)
def test_without_keras_it_says_what_to_install(monkeypatch, tmp_path, backend, says):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(FastclipsError, match=says):
        demo.run(arguments())
    assert not list(tmp_path.iterdir())


def test_an_interrupt_leaves_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(demo, "_import_keras", lambda: None)
    written = []

    def interrupted(folder, **_):
        Path(folder, "frame.jpg").touch()
        written.extend(tmp_path.rglob("*.jpg"))
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "write_frames", interrupted)
    assert main(["demo"]) == 130
    assert written
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().err == "\nInterrupted; all files are removed.\n"


def test_a_damaged_frame_is_one_sentence(demos):
    """However much TensorFlow puts around it."""
    folder, out = demos["damaged"]
    lines = out.splitlines()
    assert lines[-1] == "exit code 1"
    assert lines[-2].startswith(f"fastclips: error: {folder}/class_")
    assert "/frame_00004.jpg: " in lines[-2]
    assert "Traceback" not in out
