"""The end of the interpreter: all loaders are closed, so that no thread waits in native code any more."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fastclips._native import end_threads

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["close_at_exit", "leave_ended_thread"]


class _Closing(Protocol):
    def close(self) -> None: ...


class _Open(NamedTuple):
    loader: weakref.ref[_Closing]
    owner: int  # process


_open: dict[int, _Open] = {}  # by id
_ended = False  # whether the interpreter ends


def close_at_exit(loader: _Closing) -> None:
    """Close a loader of this process when the interpreter ends, if it still exists."""
    _open[id(loader)] = _Open(weakref.ref(loader, _removal(id(loader))), os.getpid())


def _removal(key: int) -> Callable[[weakref.ref[_Closing]], object]:
    return lambda _: _open.pop(key, None)


def leave_ended_thread() -> None:
    """End this thread quietly if the interpreter ends: then it is the main thread, or a daemon thread."""
    if _ended and threading.current_thread() is not threading.main_thread():
        raise SystemExit


@atexit.register
def _end() -> None:
    global _ended  # noqa: PLW0603 - the interpreter ends once
    _ended = True
    for reference, owner in list(_open.values()):
        loader = reference()
        if loader is not None and owner == os.getpid():
            loader.close()
    end_threads()
