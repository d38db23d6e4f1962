"""Workers that hang or crash over a clip: they are named, replaced, and change no byte."""

import ctypes
import logging
import os
import signal
import threading
import time

import numpy as np
import pytest
from helpers import wait_until

import fastclips as fc
from fastclips.engine import nursery, pool

VIDEOS, FRAMES = 4, 6


def dataset():
    pixels = np.random.default_rng(0).integers(0, 255, (VIDEOS, FRAMES, 16, 16, 3), dtype=np.uint8)
    pixels[2, :3, 0, 0] = 77  # the first clip of video 2
    return fc.open(images={"image": pixels, "mask": pixels[..., 0]}, ignore=255)


def is_marked(clip):
    return (clip[0, 0, 0] == 77).all()


def loader(function=None, **options):
    steps = [] if function is None else [fc.Apply(function)]
    given = {"batch_size": 2, "workers": 2, "inputs": ("image", "mask")} | options
    return fc.ClipLoader(dataset(), fc.Windows(3), steps, **given)


def hang(clip):
    if is_marked(clip):
        time.sleep(1000)
    return clip


def crash(clip):
    if is_marked(clip):
        ctypes.string_at(0)
    return clip


def die(clip):
    if is_marked(clip):
        os.kill(os.getpid(), signal.SIGKILL)
    return clip


def same(clip):
    return clip


def epoch(made):
    with made:
        return [{name: array.copy() for name, array in batch.items()} for batch in made]


def test_a_stopped_worker_is_replaced_and_no_byte_changes():
    expected = epoch(loader(same))
    with loader(same, timeout=1, batch_size=1) as made:
        batches = iter(made)
        first = next(batches)
        for pid in made.pids[1:]:
            os.kill(pid, signal.SIGSTOP)
        found = [first, *batches]
    for name in expected[0]:
        np.testing.assert_array_equal(
            np.concatenate([batch[name] for batch in found]),
            np.concatenate([batch[name] for batch in expected]),
        )


def test_a_function_that_never_returns_ends_in_an_error_that_names_the_clip():
    with loader(hang, timeout=0.5) as made, pytest.raises(fc.FrameError) as caught:
        list(made)
    assert "3 workers died over this clip: 3 after timeout=0.5 seconds" in str(caught.value)
    assert "(video 2, frames 0 to 2)" in str(caught.value)


def test_a_clip_that_crashes_workers_is_named():
    with loader(crash, max_deaths=2) as made, pytest.raises(fc.FrameError) as caught:
        list(made)
    assert "2 workers died over this clip: 2 by SIGSEGV" in str(caught.value)
    assert "(video 2, frames 0 to 2)" in str(caught.value)


def test_a_clip_that_crashes_workers_can_count_as_damaged():
    expected = epoch(loader(same))
    with loader(crash, damaged="repeat") as made:
        found = list(made)
        assert len(made.damaged) == 6  # three frames of two streams
        assert all("3 workers crashed over its clip" in why for _, why in made.damaged)
    for number, (batch, other) in enumerate(zip(found, expected, strict=True)):
        if number == 2:
            assert not batch["image"][0].any()
            assert (batch["mask"][0] == 255).all()
        for name in other:
            first = 1 if number == 2 else 0
            np.testing.assert_array_equal(batch[name][first:], other[name][first:])


def test_a_clip_is_never_damaged_because_workers_were_killed():
    with loader(die, damaged="repeat") as made, pytest.raises(fc.FrameError, match="3 by SIGKILL"):
        list(made)


def test_workers_that_are_killed_again_and_again_are_replaced():
    expected = epoch(loader(same))
    with loader(same, max_deaths=50, batch_size=1) as made:
        found = []
        for batch in made:
            found.append(batch)
            for pid in made.pids[1:]:
                os.kill(pid, signal.SIGKILL)
    for name in expected[0]:
        np.testing.assert_array_equal(
            np.concatenate([batch[name] for batch in found]),
            np.concatenate([batch[name] for batch in expected]),
        )


def test_who_waits_says_for_what(monkeypatch, caplog):
    monkeypatch.setattr(pool, "_WORD_S", 0.2)
    made = loader(hang, timeout=3, max_deaths=1)
    with caplog.at_level(logging.WARNING), made, pytest.raises(fc.FrameError):
        list(made)
    texts = [record.getMessage() for record in caplog.records if "Waiting for a batch" in record.message]
    assert len(texts) >= 2
    assert "runs the pixel steps of the clip of" in texts[-1]
    assert "(video 2, frames 0 to 2) for" in texts[-1]
    assert "Workers are replaced over a clip after timeout=3 seconds" in texts[-1]


def test_who_waits_says_that_nobody_can_replace_workers(monkeypatch, caplog):
    monkeypatch.setattr(pool, "_WORD_S", 0.2)
    made = loader(hang)
    pid = made.pids[0]
    os.kill(pid, signal.SIGSTOP)
    threading.Thread(target=lambda: (wait_until(lambda: caplog.records), made.close())).start()
    with caplog.at_level(logging.WARNING), pytest.raises(fc.ClosedError):
        list(made)
    assert f"The process that replaces workers, {pid}, is stopped by a signal." in caplog.text


def test_a_stopped_worker_is_seen_in_stats():
    with loader(same) as made:
        list(made)
        wait_until(lambda: set(made.stats().worker_states) == {"waits for work"})
        os.kill(made.pids[1], signal.SIGSTOP)
        wait_until(lambda: "waits for work, stopped by a signal" in made.stats().worker_states)
    assert made.stats().worker_states == ()


def test_a_process_that_does_not_end_is_given_up():
    """No process can be made unkillable here, so the nursery is told that none has ended."""
    from fastclips.engine.arena import Arena  # noqa: PLC0415

    arena = Arena(slots=3, rows=1, workers=1, ticket_bytes=64, slot_bytes=64)
    made = nursery.Nursery.__new__(nursery.Nursery)
    child = os.fork()
    if not child:
        signal.pause()
    pidfd = os.pidfd_open(child)
    try:
        made._arena, made._timeout_s, made._killed = arena, 0.01, {pidfd: -100.0}
        made._workers = 1
        made._alive = {pidfd: (child, 1, 0)}
        with pytest.raises(RuntimeError, match="has not ended 5 s after SIGKILL"):
            made._kill_stuck()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(pidfd)


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"timeout": -1}, {"timeout": "1"}, {"max_deaths": 0}, {"max_deaths": 1.5}]
)
def test_limits_are_checked(options):
    with pytest.raises(fc.OptionError, match=next(iter(options))):
        loader(same, **options)
