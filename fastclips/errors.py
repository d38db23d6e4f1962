"""Every error that fastclips raises on purpose.

::

    FastclipsError
    ├── OptionError (ValueError)      an argument cannot work; nothing was started
    ├── DataError (ValueError)        the data on disk is not what it should be
    │   └── FrameError                one frame: missing, damaged, of another size
    │       └── DamageError           its file is no picture, cut short or garbled
    └── EngineError (RuntimeError)    worker processes failed
        └── ClosedError               the loader was closed

Each message names the offending value and what to change.
"""

__all__ = [
    "ClosedError",
    "DamageError",
    "DataError",
    "EngineError",
    "FastclipsError",
    "FrameError",
    "OptionError",
]


class FastclipsError(Exception):
    """Base of all errors of this package."""


class OptionError(FastclipsError, ValueError):
    """An argument cannot work; nothing was started."""


class DataError(FastclipsError, ValueError):
    """The data on disk is not what it should be."""


class FrameError(DataError):
    """A frame is missing, damaged or of another size than the others.

    Parameters
    ----------
    message : str
        Full text, with the path and the remedy.
    path : str, optional
        Path of the frame.
    reason : str, optional
        The cause alone, without the path: ``"No such file or directory"``.
    video, frame : int, optional
        The storage's own numbers of the video and the frame.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        reason: str | None = None,
        video: int | None = None,
        frame: int | None = None,
    ) -> None:
        super().__init__(message)
        self.path, self.video, self.frame = path, video, frame
        self.reason = message if reason is None else reason


class DamageError(FrameError):
    """What a file holds is no picture, or a damaged one; whoever knows the path makes it a `FrameError`."""


class EngineError(FastclipsError, RuntimeError):
    """The worker processes failed in a way that starting them again does not mend."""


class ClosedError(EngineError):
    """The loader was closed."""
