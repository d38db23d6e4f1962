"""Video files that are no files, or are cut short: the bytes that a file states, and those that it has.

A decoder may show a cut file as a shorter video, without an error.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from fastclips.errors import FrameError

__all__ = ["matroska_size", "mp4_size", "refuse_cut", "refuse_special"]

_BOX = 8  # bytes of the head of an mp4's box: a size and a type
_NEEDED = frozenset({b"mdat", b"moov", b"moof"})
_LONG = 1  # instead of the size: it follows the type, in 8 bytes


def refuse_special(path: str | os.PathLike[str]) -> None:
    """Raise FrameError for a FIFO, on which `open` would wait, a socket or a device."""
    name = os.fspath(path)
    try:
        mode = Path(name).stat().st_mode
    except (OSError, ValueError):
        return  # the reader says why
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        reason = "is no file, but a FIFO, a socket or a device"
        raise FrameError(f"{name!r} {reason}", path=name, reason=reason)


def refuse_cut(path: str | os.PathLike[str]) -> None:
    """Raise FrameError if a Matroska file or an mp4 has fewer bytes than it states, or is no file."""
    refuse_special(path)
    name = os.fspath(path)
    try:
        size, whole, least = Path(name).stat().st_size, matroska_size(name), mp4_size(name)
    except OSError as error:
        reason = f"cannot be opened as a video: {error.strerror}"
        raise FrameError(f"{name!r} {reason}", path=name, reason=reason) from None
    if size < max(whole, least):
        reason = f"is cut short: it has {size} bytes of " + (f"{whole}" if whole else f"{least} or more")
        raise FrameError(f"{name!r} {reason}", path=name, reason=reason)


def matroska_size(path: str) -> int:
    """Return the size in bytes that a Matroska file states; 0 for an unknown size or another format.

    The file has two elements, a header and a segment. An element is an identifier of 4 bytes, a size and that
    many bytes. The leading zero bits of a size (RFC 8794) tell how many bytes follow its first byte; all ones
    mean "unknown", as in a streamed file.
    """
    end = 0
    with Path(path).open("rb") as file:
        for identifier in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
            file.seek(end)
            head = file.read(12)
            if head[:4] != identifier or len(head) < 5 or not head[4]:  # noqa: PLR2004 - identifier, size
                return 0
            length = 9 - head[4].bit_length()
            size = int.from_bytes(head[4 : 4 + length], "big") & ((1 << 7 * length) - 1)
            if size == (1 << 7 * length) - 1:
                return 0
            end += 4 + length + size
    return end


def mp4_size(path: str) -> int:
    """Return the size in bytes that an mp4 or mov file states, at least; 0 for another format.

    A file is a run of boxes. A box is its size, a type of 4 bytes, and content; a size of 0 means "to the end
    of the file". A file may end with bytes that are no box: only boxes of frames and their index count.
    """
    end, stated, size = 0, 0, Path(path).stat().st_size
    with Path(path).open("rb") as file:
        while end < size:
            file.seek(end)
            head = file.read(2 * _BOX)
            length, kind = int.from_bytes(head[:4], "big"), head[4:_BOX]
            if end == 0 and kind != b"ftyp":
                return 0
            if length == _LONG and len(head) == 2 * _BOX:
                length = int.from_bytes(head[_BOX:], "big")
            if length < _BOX:
                break
            end += length
            if kind in _NEEDED:
                stated = end
    return stated
