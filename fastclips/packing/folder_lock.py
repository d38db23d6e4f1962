"""A lock on a folder into which one process writes at a time."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from fastclips.errors import OptionError, why_failed

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["lock_folder"]


def lock_folder(work: Path, target: Path, does: str) -> int:
    """Make a folder for the work in progress, and return the descriptor whose closing unlocks it.

    Parameters
    ----------
    work : Path
        The folder. It gets a file ``lock``, which the process that holds the lock may remove at the end.
    target : Path
        The user's ``dst``, for messages.
    does : str
        What a process does that holds the lock, such as ``"packs"``.

    Raises
    ------
    OptionError
        The folder cannot be written to, or another process holds the lock.
    """
    try:
        work.mkdir(parents=True, exist_ok=True)
        fd = os.open(work / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise OptionError(f"dst={str(target)!r}: cannot be written to ({why_failed(error)})") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The process that held the lock removes its file at the end; a removed file locks nobody out.
        if not os.path.samestat(os.fstat(fd), (work / "lock").stat()):
            raise BlockingIOError
    except OSError as error:
        os.close(fd)
        raise OptionError(
            f"dst={str(target)!r}: another process {does} into it; wait until it ends"
        ) from error
    return fd
