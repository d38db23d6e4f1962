"""Errors in a user's storage and pixel steps: one type in every engine, one traceback for all workers."""

import os
import threading
import time

import numpy as np
import pytest

import fastclips as fc
from fastclips.compat.image import ImageDataGenerator
from fastclips.engine.rendering import clip_name
from fastclips.functions import print_traceback
from fastclips.spec import ticket_dtype


class Failing(fc.Storage):
    """Reads pixels, and fails at frame 3 of each video."""

    def __init__(self, wrong):
        self.wrong = wrong

    def read(self, stream, video, frame):  # noqa: ARG002 - as Storage
        if frame == 3:  # of which the loader makes no sample
            raise self.wrong(f"no frame {frame}")
        return np.full((8, 8, 3), frame, np.uint8)

    def where(self, stream, video, frame):  # noqa: ARG002 - as Storage
        return f"camera {video}, {frame}"


class Fails(fc.PixelStep):
    """Fails on frames of value 3."""

    kind = "frame"

    def __repr__(self):
        return "Fails()"

    def apply(self, frame, draws, number):  # noqa: ARG002 - as PixelStep
        if frame[0, 0, 0] == 3:
            raise ZeroDivisionError("three")
        return frame


class Plain(fc.Storage):
    def read(self, stream, video, frame):  # noqa: ARG002 - as Storage
        return np.full((8, 8, 3), frame, np.uint8)

    def where(self, stream, video, frame):  # noqa: ARG002 - as Storage
        return f"camera {video}, {frame}"


def caught(storage, workers, transforms=(), **options):
    """The errors of an epoch whose every second batch fails. They are kept, and the loader goes on."""
    dataset, found = fc.Dataset.of(storage, frame_counts=[8] * 12), []
    with fc.ClipLoader(
        dataset, fc.Windows(4), transforms, batch_size=1, workers=workers, **options
    ) as loader:
        for batch in range(len(loader)):
            try:
                next(loader.epoch(0, batch))
            except fc.FrameError as error:
                found.append(error)
    assert len(found) == 12
    return found


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("wrong", [ValueError, KeyError, IndexError, RuntimeError, OSError])
def test_an_error_of_a_storage_is_a_frame_error_that_names_the_clip(workers, wrong, capfd):
    errors = caught(Failing(wrong), workers)
    for video, error in enumerate(errors):
        text = f"the clip of 'camera {video}, 0' (video {video}, frames 0 to 3): {wrong.__name__}: "
        assert str(error).startswith(text)
        assert "no frame 3" in error.reason
        assert error.video == video
        assert isinstance(error.__cause__, wrong if workers == 0 else type(None))
    printed = capfd.readouterr().err
    assert printed.count("Traceback") == bool(workers)
    assert ("was raised 10 times so far" in printed) == bool(workers)


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("damaged", ["error", "repeat"])
def test_an_error_of_a_pixel_step(workers, damaged, capfd):
    errors = caught(Plain(), workers, [Fails()], damaged=damaged)
    assert str(errors[1]).startswith(
        "the clip of 'camera 1, 0' (video 1, frames 0 to 3): ZeroDivisionError: three"
    )
    assert capfd.readouterr().err.count("Traceback") == workers


@pytest.mark.slow
def test_an_error_of_a_function_is_printed_once(capfd):
    def fails(frame):
        if frame[0, 0, 0] == 3:
            raise ZeroDivisionError("three")
        return frame

    errors = caught(Plain(), 1, [fc.Apply(fails, per="frame")])
    assert "fails raised ZeroDivisionError: three (the traceback is on standard error)" in str(errors[0])
    assert capfd.readouterr().err.count("Traceback") == 1


def test_a_storage_that_fails_to_name_a_frame():
    def where(*place):
        raise RuntimeError(f"no name of {place}")

    ticket = np.zeros((), ticket_dtype(3, 0))[()]
    ticket["epoch"], ticket["video"], ticket["frames"] = 4, 2, [7, 8, ~8, 0]
    assert clip_name(where, ticket, 3) == "a clip of epoch 4 (video 2, frames 7 to 8)"
    assert clip_name(None, ticket, 1) == "a clip of epoch 4 (video 2, frame 7)"
    assert (
        clip_name(lambda *place: str(place), ticket, 3) == "the clip of '(0, 2, 7)' (video 2, frames 7 to 8)"
    )


def fail(kind):
    try:
        raise kind("text")  # noqa: TRY301 - for its traceback
    except kind as error:
        print_traceback(error)


def test_forked_processes_share_what_was_printed(capfd):
    fail(BufferError)
    child = os.fork()
    if child == 0:
        try:
            fail(BufferError)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert capfd.readouterr().err.count("Traceback") == 1


def test_each_place_and_type_is_printed_once(capfd):
    for _ in range(11):
        fail(ValueError)
    fail(KeyError)
    lines = capfd.readouterr().err.splitlines()
    assert [
        line for line in lines if line.startswith(("Traceback", "ValueError", "KeyError", "fastclips:"))
    ] == [
        "Traceback (most recent call last):",
        "ValueError: text",
        next(line for line in lines if line.startswith("fastclips: ValueError at ")),
        "Traceback (most recent call last):",
        "KeyError: 'text'",
    ]
    assert next(line for line in lines if line.startswith("fastclips:")).endswith(
        "was raised 10 times so far."
    )


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_function_of_a_generator_of_compat(workers, capfd):
    def fails(frame):
        if frame[0, 0, 0] == 3:
            raise ZeroDivisionError("three")
        return frame

    pictures = np.arange(8.0)[:, None, None, None] * np.ones((8, 8, 8, 3))
    made = ImageDataGenerator(preprocessing_function=fails)
    flow = made.flow(pictures, batch_size=4, shuffle=False, workers=workers)
    try:
        with pytest.raises(
            fc.FrameError, match=r"a clip of epoch 0 \(video 3, frame 3\): ZeroDivisionError: three"
        ):
            next(flow)
    finally:
        flow.close()
    assert capfd.readouterr().err.count("Traceback") == workers


def test_a_function_that_does_not_return_is_told(monkeypatch, caplog):
    monkeypatch.setattr("fastclips.serving.layout._PATIENCE_S", 0.01)
    called = threading.Event()
    caplog.set_level("WARNING")

    def slow(clip):
        while not called.is_set() and not caplog.records:
            time.sleep(0.01)
        called.set()
        return clip

    data = fc.open(images=np.zeros((1, 8, 8, 8, 3), np.uint8))
    fc.ClipLoader(data, fc.Windows(4), [fc.Apply(slow)], batch_size=1, workers=0)
    assert "a function in transforms works on its first clip, of" in caplog.text
    assert not any(isinstance(thread, threading.Timer) for thread in threading.enumerate())
