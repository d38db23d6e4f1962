"""The errors that fastclips raises.

::

    FastclipsError
    ├── OptionError (ValueError)      an argument has a wrong value; nothing was started
    ├── DataError (ValueError)        files have a wrong layout or content
    │   └── FrameError                a frame is missing, damaged or of another size
    │       └── DamageError           a frame's bytes cannot be decoded
    └── EngineError (RuntimeError)    worker processes failed
        └── ClosedError               the loader was closed

Each message names the offending value and the remedy. All errors can be pickled.
"""

from __future__ import annotations

import errno
import resource

__all__ = [
    "ClosedError",
    "DamageError",
    "DataError",
    "EngineError",
    "FastclipsError",
    "FrameError",
    "OptionError",
    "why_failed",
]

_FILES = 64  # that a process of fastclips has open at most, without those of a pack or of the user


class FastclipsError(Exception):
    """Base class of all errors of fastclips.

    Examples
    --------
    >>> try:
    ...     fc.open("missing")
    ... except fc.FastclipsError as error:
    ...     print(type(error).__name__)
    DataError
    """


class OptionError(FastclipsError, ValueError):
    """An argument has a wrong value, alone or with the others. Nothing was started or written.

    Examples
    --------
    >>> fc.Windows(time_steps=0)
    Traceback (most recent call last):
        ...
    fastclips.errors.OptionError: time_steps=0: must be an integer from 1 to 1048575
    """


class DataError(FastclipsError, ValueError):
    """Files have another layout or content than expected, such as a folder without frames."""


class FrameError(DataError):
    """A frame is missing, damaged or of another size than the others, or code of yours failed on a clip.

    Any other exception of a storage or a pixel step of yours becomes a `FrameError` that names the clip. With
    ``workers=0`` it is the ``__cause__``; workers print its traceback on standard error.

    Parameters
    ----------
    message : str
        Full text, with the path and the remedy.
    path : str, optional
        Path of the frame, as from `Storage.where`; None for errors of a whole clip.
    reason : str, optional
        The cause without the path, such as ``"No such file or directory"``. By default, `message`.
    video, frame : int, optional
        The storage's own numbers of the video and the frame.

    Examples
    --------
    A storage raises it for a frame that it cannot read:

    >>> error = fc.FrameError("cannot read 'v/7.jpg': it is empty", path="v/7.jpg", reason="it is empty")
    >>> str(error), error.path, error.reason
    ("cannot read 'v/7.jpg': it is empty", 'v/7.jpg', 'it is empty')
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
    """A frame's bytes cannot be decoded: they are no picture, truncated, damaged, or no mask.

    The decoder raises it without a path. Its callers raise it again as a `FrameError` with the path.
    """


class EngineError(FastclipsError, RuntimeError):
    """Worker processes failed, and starting them again does not help."""


class ClosedError(EngineError):
    """The loader is closed, so it has no more batches."""


def why_failed(error: OSError) -> str:
    """Return why a system call failed, and which limit of the process or the machine was reached."""
    why = error.strerror or str(error)
    if error.errno == errno.EMFILE:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return (
            f"{why}: the limit is {limit} (ulimit -n), and a process needs up to {_FILES}, and 64 more "
            "for the shards of a pack. Raise it, as by ulimit -n 1024, or close files of your own"
        )
    if error.errno == errno.ENFILE:
        return f"{why}: the limit of the machine is in /proc/sys/fs/file-max. Close files of other programs"
    if error.errno == errno.EFBIG:
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if limit != resource.RLIM_INFINITY:
            return f"{why}: the limit is {limit} bytes (ulimit -f). Raise it, as by ulimit -f unlimited"
    return why
