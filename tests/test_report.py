"""`loader.report()`: frames replaced, workers restarted with their causes, clips retried, long waits."""

import ctypes
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import make_frames, wait_until

import fastclips as fc
from fastclips.engine import pool
from fastclips.serving.report import Replaced, Restarted, Waited


def once(path, action):
    """A function of clips that does something at the first clip with a mark, once."""

    def act(clip):
        if (clip[0, 0, 0] == 77).all():
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return clip
            action()
        return clip

    return act


def loader(function, **options):
    pixels = np.random.default_rng(0).integers(0, 255, (4, 6, 16, 16, 3), dtype=np.uint8)
    pixels[2, 3:, 0, 0] = 77  # the second clip of video 2
    given = {"batch_size": 2, "workers": 2} | options
    return fc.ClipLoader(fc.open(images=pixels), fc.Windows(3), [fc.Apply(function)], **given)


def test_nothing_happened(frames):
    for workers in (0, 2):
        with fc.ClipLoader(fc.open(frames), fc.Windows(4), batch_size=4, workers=workers) as made:
            assert made.report() == fc.Report()
            list(made)
            report = made.report()
        assert report == fc.Report()
        assert str(report).startswith("No frame was replaced")


def test_replaced_frames(tmp_path):
    frames = make_frames(tmp_path / "frames", videos=2)
    data = fc.open(frames)
    path = frames / "class_0/video_0/frame_00002.jpg"
    path.write_bytes(b"no picture")
    with fc.ClipLoader(data, fc.Windows(4), batch_size=4, workers=0, damaged="repeat") as made:
        list(made)
        report = made.report()
    assert [frame.path for frame in report.replaced] == [str(path)]
    assert report.replaced == [Replaced(*frame) for frame in made.damaged]
    assert "replaced frames: 1" in str(report)


CAUSES = [
    (lambda: ctypes.string_at(0), {}, "by SIGSEGV"),
    (lambda: os._exit(7), {}, "with exit code 7"),
    (lambda: time.sleep(1000), {"timeout": 0.5}, "after timeout=0.5 seconds"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("action", "options", "cause"), CAUSES, ids=["crash", "exit", "stuck"])
def test_a_worker_that_dies_once(tmp_path, action, options, cause):
    with loader(once(str(tmp_path / "mark"), action), **options) as made:
        list(made)
        report = made.report()
    assert (report.retried, report.restarts) == (1, 1)
    ((death),) = report.restarted
    assert death.cause == cause
    assert "[2, 3" in death.clip
    assert made.report() == report  # after the loader was closed
    assert json.loads(json.dumps(report.to_dict()))["restarted"] == [{"cause": cause, "clip": death.clip}]
    assert f"  died {cause}\n    {death.clip}" in str(report)


def test_a_worker_that_is_killed_while_it_waits(frames):
    with fc.ClipLoader(fc.open(frames), fc.Windows(4), batch_size=4, workers=1) as made:
        list(made)
        wait_until(lambda: made.stats().worker_states == ("waits for work",))
        os.kill(made.pids[1], signal.SIGKILL)
        wait_until(lambda: made.report().restarts == 1)
        report = made.report()
    assert report.retried == 0
    (death,) = report.restarted
    assert death.cause.startswith("by SIGKILL")
    assert death.clip == ""


@pytest.mark.slow
def test_a_clip_that_is_given_up_was_retried():
    """Of three deaths, two clips are rendered again; then it is an error."""

    def crash(clip):
        if (clip[0, 0, 0] == 77).all():
            ctypes.string_at(0)
        return clip

    with loader(crash) as made:
        with pytest.raises(fc.FrameError, match="3 workers died"):
            list(made)
        report = made.report()
    assert (report.retried, report.restarts) == (2, 3)
    assert 1 <= len(report.restarted) <= 3
    assert {death.cause for death in report.restarted} == {"by SIGSEGV"}


@pytest.mark.slow
def test_a_long_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "_WORD_S", 0.2)
    told = Path(tmp_path / "told")

    def slow():
        while not told.exists():
            time.sleep(0.01)

    tell = pool.Pool._tell

    def see(self, seconds):
        doing = tell(self, seconds)
        if "runs the pixel steps of" in doing and seconds > 0.4:
            told.touch()
        return doing

    monkeypatch.setattr(pool.Pool, "_tell", see)
    with loader(once(str(tmp_path / "mark"), slow), batch_size=1) as made:
        list(made)
        report = made.report()
    waits = [wait for wait in report.waited if "runs the pixel steps of" in wait.doing]
    assert waits
    assert waits[0].seconds >= 0.4
    assert "long waits: " in str(report)


def test_the_table_shows_the_first():
    report = fc.Report(
        replaced=[Replaced(f"/data/{number}.jpg", "it is empty") for number in range(9)],
        retried=2,
        restarts=3,
        restarted=[Restarted("by SIGSEGV", "/data/1.jpg"), Restarted("by SIGBUS", "")],
        waited=[Waited(31.4, "worker 7 reads the clip of '/data/1.jpg' for 31 s; " * 2)],
    )
    text = str(report)
    assert text.count("it is empty") == 1
    assert "  /data/4.jpg\n  and 4 more\n" in text
    assert "restarted workers: 3; clips rendered again: 2" in text
    assert "  and 1 more" in text
    assert max(map(len, text.splitlines())) <= 80
