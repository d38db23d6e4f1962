"""What users wrote, on its way to workers: functions, and classes of transforms.

It travels by cloudpickle: what stands in the script itself, in a notebook, or is a lambda, by its code; what
stands in a module, by its name, which the worker imports along the trainer's ``sys.path``. It is unpickled
when it is first asked for: in the worker, after the fork, so that whatever it imports is not in the way of
the others.

The global generators of NumPy and `random` are seeded before each call of a function, from the clip's draws,
so that one that uses them gives the same bits for any number of workers.
"""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any

import cloudpickle
import numpy as np

from fastclips.errors import EngineError, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["UserFunction", "from_script", "to_worker"]


def to_worker(thing: object, knob: str) -> bytes:
    """Pickle what a user wrote.

    Parameters
    ----------
    thing : object
        A function, or anything that holds some.
    knob : str
        What it was given as, for messages.

    Returns
    -------
    bytes
        For `from_script`.

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
            f"{knob}={thing!r:.200} cannot be sent to workers: {error}. Keep open files, locks and models "
            "out of what it refers to, or set workers=0"
        ) from error


def from_script(pickled: bytes, knob: str) -> Any:  # noqa: ANN401 - whatever was pickled
    """Unpickle what `to_worker` pickled.

    Parameters
    ----------
    pickled : bytes
        From there.
    knob : str
        What it was given as, for messages.

    Returns
    -------
    object
        Its like in this process.

    Raises
    ------
    EngineError
        If it cannot be unpickled here.
    """
    try:
        return cloudpickle.loads(pickled)
    except Exception as error:
        raise EngineError(
            f"{knob} cannot be unpickled in a worker: {type(error).__name__}: {error}. Define what it is "
            "made of in the script, or in a module that the script can import"
        ) from error


class UserFunction:
    """A function that may be called in any process.

    It travels as it is when it was last copied, as each loader does to try it out, or else when it is first
    sent. A function that loads a model when it first needs it may be one that nobody can send from then on:
    it travels as it was before.

    Parameters
    ----------
    function : callable
        The user's; or another `UserFunction`, whose function it is then.
    knob : str
        What it was given as, for messages.

    Attributes
    ----------
    name : str
        The function's, for messages.
    arrived : bool
        Whether it came here from another process.

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
        pickled = self._kept()
        if isinstance(pickled, OptionError):
            raise pickled
        return _arrived, (pickled, self._knob, self.name)

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
        function = self._function = self._function or self._unpickled()
        if self.arrived:
            _seed(draw)
            return function(*args)
        states = np.random.get_state(), random.getstate()  # noqa: NPY002 - the global one is meant
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

    def copy(self) -> UserFunction:
        """Return one as it will arrive in workers from now on; if it never could be sent, itself."""
        before, self._pickled = self._pickled, None if self._function else self._pickled
        pickled = self._kept()
        if isinstance(pickled, OptionError) and isinstance(before, bytes):
            self._pickled = pickled = before
        if isinstance(pickled, OptionError):
            return self
        copy = _arrived(pickled, self._knob, self.name)
        copy.arrived = False
        return copy

    def _kept(self) -> bytes | OptionError:
        """Pickle it as it is now; that it cannot be is no fault before it has to."""
        if self._pickled is None:
            try:
                self._pickled = to_worker(self._function, self._knob)
            except OptionError as error:
                self._pickled = error
        return self._pickled


def _arrived(pickled: bytes, knob: str, name: str) -> UserFunction:
    function = UserFunction.__new__(UserFunction)
    function._function, function._pickled, function._knob = None, pickled, knob  # noqa: SLF001 - its other maker
    function.name, function.arrived = name, True
    return function


def _name(function: Callable[..., Any]) -> str:
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


def _seed(draw: float) -> None:
    seed = int(draw * 2**32)
    np.random.seed(seed)  # noqa: NPY002 - the global one is meant
    random.seed(seed)
