"""A user's functions on their way to workers.

A function travels by cloudpickle: one of the script itself, of a notebook or a lambda by its code, one of
a module by its name, which the worker imports along the trainer's ``sys.path``. It is unpickled when it is
first called: in the worker, after the fork, so that whatever it imports is not in the way of the others.

The global generators of NumPy and `random` are seeded before each call, from the clip's draws, so that a
function that uses them gives the same bits for any number of workers.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import cloudpickle
import numpy as np

from fastclips.errors import EngineError, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["UserFunction"]


class UserFunction:
    """A function that may be called in any process.

    Parameters
    ----------
    function : callable
        The user's.
    knob : str
        What it was given as, for messages.

    Raises
    ------
    OptionError
        If it cannot be called.
    """

    def __init__(self, function: Callable[..., Any], knob: str) -> None:
        if not callable(function):
            raise OptionError(f"{knob}={function!r}: must be a function")
        self._function: Callable[..., Any] | None = function
        self._pickled: bytes | None = None
        self._arrived = False  # from another process
        self._knob = knob
        self.name = getattr(function, "__qualname__", None) or type(function).__qualname__

    def __reduce__(self) -> tuple[Any, ...]:
        if self._pickled is None:
            try:
                self._pickled = cloudpickle.dumps(self._function)
            except Exception as error:
                raise OptionError(
                    f"{self._knob}={self._function!r} cannot be sent to workers: {error}. Keep open files, "
                    "locks and models out of what it refers to, or set workers=0"
                ) from error
        return _arrived, (self._pickled, self._knob, self.name)

    def __repr__(self) -> str:
        return self.name

    def __call__(self, draw: float, *args: Any) -> Any:  # noqa: ANN401 - the user's
        """Call the function.

        Parameters
        ----------
        draw : float
            In [0, 1): the global generators are seeded with it, and in the trainer set back afterwards.
        *args
            For the function.

        Returns
        -------
        object
            What it returned.

        Raises
        ------
        EngineError
            If it cannot be unpickled in this process.
        """
        if self._function is None:
            self._function = self._unpickled()
        if self._arrived:
            _seed(draw)
            return self._function(*args)
        states = np.random.get_state(), random.getstate()  # noqa: NPY002 - the global one is meant
        _seed(draw)
        try:
            return self._function(*args)
        finally:
            np.random.set_state(states[0])  # noqa: NPY002 - as above
            random.setstate(states[1])

    def _unpickled(self) -> Callable[..., Any]:
        try:
            function: Callable[..., Any] = cloudpickle.loads(self._pickled)
        except Exception as error:
            raise EngineError(
                f"{self._knob}={self.name} cannot be unpickled in a worker: {type(error).__name__}: {error}. "
                "Define it in the script or in a module that the script can import"
            ) from error
        return function


def _arrived(pickled: bytes, knob: str, name: str) -> UserFunction:
    function = UserFunction.__new__(UserFunction)
    function._function, function._pickled, function._arrived = None, pickled, True  # noqa: SLF001 - its other maker
    function._knob, function.name = knob, name  # noqa: SLF001 - as above
    return function


def _seed(draw: float) -> None:
    seed = int(draw * 2**32)
    np.random.seed(seed)  # noqa: NPY002 - the global one is meant
    random.seed(seed)
