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
    """One frame is missing, damaged or of another size; the message holds its path."""


class DamageError(FrameError):
    """What a file holds is no picture, or a damaged one; whoever knows the path makes it a `FrameError`."""


class EngineError(FastclipsError, RuntimeError):
    """The worker processes failed in a way that starting them again does not mend."""


class ClosedError(EngineError):
    """The loader was closed."""
