import numpy as np
import pytest

from fastclips.engine.arena import COUNTERS
from fastclips.engine.rendering import BYTES, DECODE, READ, Meter, at_path
from fastclips.errors import DamageError, FrameError
from fastclips.pixels.decoding.decoder import Rung


def test_a_meter_adds_to_the_counters_it_has_something_for():
    """The others may be written by another process meanwhile."""
    counters = np.ones(len(COUNTERS))
    with Meter(counters) as meter:
        meter.lap(READ)
        meter.add(BYTES, 700)
        meter.add_decoded(Rung.CROPPED, 100, 40, frames=3)
        meter.add_decoded(Rung.PILLOW, 100, 100)
        meter.add_clip(4)
        assert (counters == 1).all()
        counters[COUNTERS.index("pid")] = 99
    found = dict(zip(COUNTERS, counters.tolist(), strict=True))
    assert 1 < found.pop("read_s") < 60
    assert found.pop("pid") == 99
    expected = {"clips": 2, "frames": 5, "bytes": 701, "cropped": 4, "pillow": 2}
    expected |= {"pixels": 401, "decoded_pixels": 221}
    assert found == {name: expected.get(name, 1) for name in found}


def test_a_meter_counts_the_work_of_a_clip_that_failed():
    counters = np.zeros(len(COUNTERS))

    def fail():
        with Meter(counters) as meter:
            meter.lap(READ)
            meter.lap(DECODE)
            raise FrameError("cut short")

    with pytest.raises(FrameError):
        fail()
    assert counters[[READ, DECODE]].all()
    assert not counters[COUNTERS.index("clips")]


def test_an_error_names_its_file_once():
    cause = DamageError("cut short")
    error = at_path(cause, "a/b.jpg", video=3, frame=5)
    assert (str(error), error.path, error.reason) == ("a/b.jpg: cut short", "a/b.jpg", "cut short")
    assert (error.video, error.frame) == (3, 5)
    assert at_path(error, "elsewhere") is error
