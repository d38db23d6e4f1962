"""Requests of a forked process: a fresh interpreter makes them, because a fork has none of obstore's threads.

::

    Deputy().call(function, *arguments)   pickled by cloudpickle  --stdin-->   serve
                                          result, or the error    <--stdout--

Only a process that was forked from one that had used obstore needs it, such as a process of `multiprocessing`
in which a loader with ``workers=0`` reads. It ends when its standard input is closed, so with that process.
"""

from __future__ import annotations

import atexit
import os
import pickle
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import cloudpickle

from fastclips.data.store_errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Deputy", "deputy", "serve"]

_BOOT = (
    "import sys; sys.path[:] = sys.argv[1:]; sys.argv[1:] = []; "
    "from fastclips.data.store_deputy import serve; serve()"
)
_LENGTH = struct.Struct("<Q")
_deputies: dict[int, Deputy] = {}  # by process: at most the own one, and those that a fork has inherited
_starting = threading.Lock()


class Deputy:
    """A fresh interpreter that calls functions for this process."""

    def __init__(self) -> None:
        path = [entry or str(Path.cwd()) for entry in sys.path]
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, *path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        atexit.register(self.close)

    def call(self, function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - what it returns
        """Return what a function returns there, or raise its error; StoreError if the process has died."""
        with self._lock:
            assert self._process.stdin is not None  # noqa: S101 - for mypy
            assert self._process.stdout is not None  # noqa: S101 - as above
            try:
                _send(self._process.stdin, cloudpickle.dumps((function, arguments)))
                result, error = pickle.loads(_receive(self._process.stdout))  # noqa: S301 - our own process
            except (EOFError, BrokenPipeError):
                raise StoreError(
                    "the process that reads from the store for this one has died: start it again"
                ) from None
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def deputy() -> Deputy:
    """Return the deputy of this process, started by the first call."""
    with _starting:
        found = _deputies.get(os.getpid())
        if found is None:
            _deputies.clear()
            found = _deputies[os.getpid()] = Deputy()
    return found


def serve() -> None:
    """Be the deputy: call functions until standard input is closed."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed does not mix with the answers
    while True:
        try:
            function, arguments = pickle.loads(_receive(sys.stdin.buffer))  # noqa: S301 - our own process
        except EOFError:
            return
        try:
            answer: tuple[Any, Exception | None] = function(*arguments), None
        except Exception as error:  # noqa: BLE001 - raised in the other process
            answer = None, error
        _send(answers, pickle.dumps(answer))


def _send(file: Any, data: bytes) -> None:  # noqa: ANN401 - a binary file
    file.write(_LENGTH.pack(len(data)) + data)
    file.flush()


def _receive(file: Any) -> bytes:  # noqa: ANN401 - as above
    (length,) = _LENGTH.unpack(_exactly(file, _LENGTH.size))
    return _exactly(file, length)


def _exactly(file: BinaryIO | Any, size: int) -> bytes:  # noqa: ANN401 - as above
    data: bytes = file.read(size)
    if len(data) < size:
        raise EOFError
    return data
