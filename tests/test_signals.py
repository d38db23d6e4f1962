"""A signal handler may use the loader that it interrupts: it never waits for itself."""

import signal
import time

import numpy as np
import pytest

import fastclips as fc


def slow(clip):
    time.sleep(0.4)
    return clip


@pytest.fixture
def loader():
    data = fc.open(images=np.zeros((4, 4, 16, 16, 3), np.uint8))
    with fc.ClipLoader(data, fc.Windows(4), [fc.Apply(slow)], batch_size=1, workers=1) as made:
        yield made


@pytest.mark.parametrize(
    "use",
    [lambda it: it.batch(0, 0), lambda it: next(iter(it)), lambda it: it.preview(1), lambda it: it.stats()],
)
def test_a_handler_that_uses_the_loader_does_not_wait_for_itself(loader, use):
    seen = []

    def handler(*_):
        try:
            seen.append(use(loader))
        except fc.EngineError as error:
            seen.append(str(error))

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        batches = list(loader)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(batches) == 4
    assert len(seen) == 1
    assert isinstance(seen[0], type(loader.stats())) or "which a signal handler has interrupted" in seen[0]


def test_a_handler_that_closes_the_loader_ends_the_loop(loader):
    before = signal.signal(signal.SIGALRM, lambda *_: loader.close())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(fc.EngineError, match="the loader was closed"):
            list(loader)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
