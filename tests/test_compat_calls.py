"""Calls of the originals as their users write them: imports, signatures, and arguments that do not apply."""

import multiprocessing
import types

import numpy as np
import pytest

from fastclips.compat import ImageDataGenerator, paired_random_crop
from fastclips.errors import OptionError

KERAS_2 = """
class Adapter:
    def __init__(self, x, workers, use_multiprocessing):
        self.first = self._peek_and_restore(x)

    @staticmethod
    def _peek_and_restore(x):
        return x[0]


def get_index(x, index):
    return x[index]
"""


@pytest.fixture(scope="module")
def keras_2():
    """How Keras 2 asks: for a batch before it starts processes, and in these."""
    module = types.ModuleType("tf_keras.stand_in")
    exec(KERAS_2, module.__dict__)  # noqa: S102 - the text above
    return module


def crops():
    x = np.zeros((4, 8, 8, 1), np.uint8)
    return paired_random_crop(x, x, 4, 2, seed=0)


def pictures():
    return ImageDataGenerator().flow(np.zeros((4, 8, 8, 1)), batch_size=2, workers=0)


@pytest.mark.parametrize("make", [crops, pictures])
def test_processes_of_keras_2_are_refused(make, keras_2, monkeypatch):
    with make() as it:
        keras_2.Adapter(it, workers=2, use_multiprocessing=False)
        keras_2.Adapter(it, workers=0, use_multiprocessing=True)  # it starts none
        with pytest.raises(
            OptionError, match=r"^use_multiprocessing=True: leave it out .*workers= of the it"
        ):
            keras_2.Adapter(it, workers=1, use_multiprocessing=True)
        keras_2.get_index(it, 1)
        monkeypatch.setattr(multiprocessing.current_process(), "name", "Keras_worker_ForkPoolWorker-1")
        with pytest.raises(OptionError, match=r"^use_multiprocessing=True"):
            keras_2.get_index(it, 1)
        assert len(it[1])  # the user's own request
