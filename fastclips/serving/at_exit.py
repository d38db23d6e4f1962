"""Loaders are closed when the interpreter ends, so that no thread waits in native code any more.

By then only daemon threads are left besides the main one. Those that ask a loader for a batch end in silence;
those in other native code sleep until the process is gone (native/unlocked.h).
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import TYPE_CHECKING, Protocol

from fastclips._native import end_threads

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["close_at_exit", "leave_ended_thread"]


class Closable(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """Close it; closing again does nothing."""


_open: dict[int, tuple[weakref.ref[Closable], int]] = {}  # by id: the loader, and its process
_ended = False  # whether the interpreter ends


def close_at_exit(loader: Closable) -> None:
    """Close a loader when the interpreter of this process ends, if it still exists."""
    _open[id(loader)] = weakref.ref(loader, _removal(id(loader))), os.getpid()


def _removal(key: int) -> Callable[[weakref.ref[Closable]], object]:
    return lambda _: _open.pop(key, None)


def leave_ended_thread() -> None:
    """End this thread in silence if the interpreter ends and this is not the main thread."""
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
