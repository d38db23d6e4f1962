"""Storages that harm whoever reads them; in a module that workers can import."""

import os
import signal


class Poison:
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


def _no_luck():
    raise RuntimeError("no luck here")
