"""Storages that harm whoever reads them; in a module that workers can import."""

import os
import signal
import threading
import time

import fastclips as fc
from fastclips.data.pack_storage import PackStorage
from fastclips.data.storage import Storage
from fastclips.errors import FrameError


class Poison(Storage):
    """A storage in which reading one frame kills the process."""

    def __init__(self, storage, video):
        self.storage, self.video = storage, video

    def read(self, stream, video, frame):
        if video == self.video and frame == 5:
            os.kill(os.getpid(), signal.SIGSEGV)
        return self.storage.read(stream, video, frame)

    def where(self, stream, video, frame):
        return self.storage.where(stream, video, frame)


class Unloadable(Poison):
    def __init__(self, storage):
        super().__init__(storage, -1)

    def __reduce__(self):
        return _no_luck, ()


class DiesOnce(Poison):
    """A storage of which the first one to read what cannot be read dies, and leaves a file that says so."""

    def __init__(self, storage, told):
        super().__init__(storage, -1)
        self.told = told

    def read(self, stream, video, frame):
        try:
            return super().read(stream, video, frame)
        except FrameError:
            if not os.path.exists(self.told):  # noqa: PTH110 - a text
                os.close(os.open(self.told, os.O_CREAT))
                os.kill(os.getpid(), signal.SIGKILL)
            raise


def _no_luck():
    raise RuntimeError("no luck here")


class FarPack(PackStorage):
    """A pack whose reads take a while, as those of an object store do.

    With `ahead`, reads fail or kill the process in fetchers, whose threads have that name.
    """

    __slots__ = ("ahead", "delay_s")

    def __init__(self, columns, folder, delay_s=0.0, ahead=""):
        super().__init__(columns, folder)
        self.delay_s, self.ahead = delay_s, ahead

    def __reduce__(self):
        return FarPack, (self.columns, self.folder, self.delay_s, self.ahead)

    @property
    def is_remote(self):
        return True

    def read_range(self, start, end):
        time.sleep(self.delay_s)
        if self.ahead and threading.current_thread().name == "reads ahead":
            if self.ahead == "dies":
                os.kill(os.getpid(), signal.SIGSEGV)
            raise OSError("no answer")
        return super().read_range(start, end)

    @classmethod
    def of(cls, dataset, delay_s=0.0, ahead=""):
        """A data set of a pack, far away."""
        near = dataset.storage
        return fc.Dataset(cls(near.columns, near.folder, delay_s, ahead), dataset.index, dataset.streams)
