"""Users' functions and classes, sent to workers.

They travel by cloudpickle: lambdas, and what is defined in the script or a notebook, by their code; what is
defined in a module, by name, which the worker imports along the trainer's ``sys.path``. They are unpickled
in the worker, after the fork, when they are first needed: their imports then affect no other worker.

The global generators of NumPy and `random` are seeded from the clip's draws before each call of a function,
so that a function that uses them gives the same bits for any number of workers.

An error of theirs in a worker is raised in the trainer without its traceback, which the worker prints. All
workers of a loader share a table of the errors that were printed.
"""

from __future__ import annotations

import mmap
import random
import sys
import traceback
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import cloudpickle
import numpy as np

from fastclips.errors import EngineError, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["UserFunction", "from_script", "print_traceback", "to_worker"]

_printed = mmap.mmap(-1, 4096)  # (digest, count) of errors, uint64; the forks of a process share it


def to_worker(thing: object, knob: str) -> bytes:
    """Pickle an object with users' functions or classes, for `from_script`.

    Parameters
    ----------
    thing : object
        A function, or an object that holds some.
    knob : str
        Name of the option that it was given as, for messages.

    Raises
    ------
    OptionError
        If it cannot be pickled.
    """
    try:
        return bytes(cloudpickle.dumps(thing))
    except OptionError:
        raise
    except Exception as error:
        raise OptionError(
            f"{knob}={thing!r:.200} cannot be sent to workers: {error}. It must not refer to open files, "
            "locks or models; or set workers=0"
        ) from error


def from_script(pickled: bytes, knob: str) -> Any:  # noqa: ANN401 - any object
    """Return the object that `to_worker` pickled.

    Raises
    ------
    EngineError
        If it cannot be unpickled in this process.
    """
    try:
        return cloudpickle.loads(pickled)
    except Exception as error:
        raise EngineError(
            f"{knob} cannot be unpickled in a worker: {type(error).__name__}: {error}. Define its functions "
            "and classes in the script, or in a module that the script can import"
        ) from error


class UserFunction:
    """A user's function that can be called in any process.

    It travels in the state of its last `copy` (each loader copies it to try it out), or else of its first
    pickling. A function that loads a model at its first call may be impossible to pickle from then on: it
    travels in its state before that.

    Parameters
    ----------
    function : callable
        The user's function, or another `UserFunction` to share.
    knob : str
        Name of the option that it was given as, for messages.

    Attributes
    ----------
    name : str
        Name of the function, for messages.
    arrived : bool
        Whether it came from another process.

    Raises
    ------
    OptionError
        If it cannot be called.
    """

    def __init__(self, function: Callable[..., Any], knob: str) -> None:
        if isinstance(function, UserFunction):
            self.__dict__.update(function.__dict__)
            return
        if not callable(function):
            raise OptionError(f"{knob}={function!r}: must be a function")
        self._function: Callable[..., Any] | None = function
        self._pickled: bytes | OptionError | None = None
        self._knob = knob
        self.name = _name(function)
        self.arrived = False

    def __reduce__(self) -> tuple[Any, ...]:
        pickled = self._pickled_or_error()
        if isinstance(pickled, OptionError):
            raise pickled
        return _arrived, (pickled, self._knob, self.name)

    def __repr__(self) -> str:
        return self.name

    def __call__(self, draw: float, *args: Any) -> Any:  # noqa: ANN401 - the user's
        """Return the function's result for some arguments.

        Parameters
        ----------
        draw : float
            In [0, 1): seeds the global generators, which are set back afterwards in the trainer.
        *args
            Passed to the function.

        Raises
        ------
        EngineError
            If the function cannot be unpickled in this process.
        """
        function = self.given
        if self.arrived:
            _seed(draw)
            return function(*args)
        states = np.random.get_state(), random.getstate()  # noqa: NPY002 - the global generator is meant
        _seed(draw)
        try:
            return function(*args)
        finally:
            np.random.set_state(states[0])  # noqa: NPY002 - as above
            random.setstate(states[1])

    def _unpickled(self) -> Callable[..., Any]:
        function: Callable[..., Any] = from_script(self._pickled, f"{self._knob}={self.name}")  # type: ignore[arg-type]
        if self.arrived:
            self._pickled = None  # may be large
        return function

    @property
    def given(self) -> Callable[..., Any]:
        """The user's function.

        Raises
        ------
        EngineError
            If it cannot be unpickled in this process.
        """
        self._function = self._function or self._unpickled()
        return self._function

    def copy(self) -> UserFunction:
        """Return the function as workers will get it from now on; itself, if it could never be pickled."""
        before, self._pickled = self._pickled, None if self._function else self._pickled
        pickled = self._pickled_or_error()
        if isinstance(pickled, OptionError) and isinstance(before, bytes):
            self._pickled = pickled = before
        if isinstance(pickled, OptionError):
            return self
        copy = _arrived(pickled, self._knob, self.name)
        copy.arrived = False
        return copy

    def _pickled_or_error(self) -> bytes | OptionError:
        """Return the pickled function, or the error of pickling it: an error only once it has to travel."""
        if self._pickled is None:
            try:
                self._pickled = to_worker(self._function, self._knob)
            except OptionError as error:
                self._pickled = error
        return self._pickled


def _arrived(pickled: bytes, knob: str, name: str) -> UserFunction:
    function = UserFunction.__new__(UserFunction)
    function._function, function._pickled, function._knob = None, pickled, knob  # noqa: SLF001 - a second constructor
    function.name, function.arrived = name, True
    return function


def _name(function: Callable[..., Any]) -> str:
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


def print_traceback(error: Exception) -> None:
    """Print the traceback of an error of the user's code on standard error, once for all workers.

    Errors of one type from one line are one error, whatever their texts. When it occurs again, only a count
    is printed, at 10, 100, 1000 times. If two workers raise it at the same moment, it may be printed twice,
    and the count is too low.
    """
    steps = traceback.extract_tb(error.__traceback__)
    kind, place = type(error).__name__, f"{steps[-1].filename}:{steps[-1].lineno}" if steps else "?"
    key = np.frombuffer(
        blake2b(f"{kind} {place}".encode(errors="replace"), digest_size=8).digest(), np.uint64
    )
    table = np.frombuffer(_printed, np.uint64).reshape(-1, 2)
    row = next((row for row in table if row[0] in (0, key[0])), None)
    count = 1
    if row is not None:  # the table is not full
        row[0], row[1] = key[0], row[1] + 1
        count = int(row[1])
    if count == 1:
        traceback.print_exception(error)
    elif str(count).strip("0") == "1":
        sys.stderr.write(f"fastclips: {kind} at {place} was raised {count} times so far.\n")
    sys.stderr.flush()


def _seed(draw: float) -> None:
    seed = int(draw * 2**32)
    np.random.seed(seed)  # noqa: NPY002 - the global generator is meant
    random.seed(seed)
