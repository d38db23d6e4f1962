"""One call at a time: other threads wait for it, and the thread itself is refused, as in a signal handler."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from fastclips.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

__all__ = ["OneCall"]


class OneCall:
    """A lock, as a context manager.

    Raises
    ------
    EngineError
        If a call within the block asks for the lock again: a signal handler or a finalizer that runs there
        would wait for itself.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # one that is not reentrant would wait for its own thread
        self._inside = False

    def __enter__(self) -> Self:
        self._lock.acquire()
        if self._inside:
            self._lock.release()
            raise EngineError(
                "this loader is in the middle of a call of the same thread, which a signal handler has "
                "interrupted: set a flag in the handler, and use the loader after the call"
            )
        self._inside = True
        return self

    def __exit__(self, *error: object) -> None:
        self._inside = False
        self._lock.release()

    def if_free(self, then: Callable[[], object], seconds: float) -> None:
        """Call a function if no other call runs, or if it ends within so many seconds."""
        if self._lock.acquire(timeout=seconds):
            try:
                if not self._inside:
                    then()
            finally:
                self._lock.release()
