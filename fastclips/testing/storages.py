"""`check_storage`: whether a storage keeps the contract of `fastclips.Storage`."""

from __future__ import annotations

import gc
import os
import pickle
import random
import select
import signal
import threading
import traceback
import warnings
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.scan import evenly
from fastclips.data.storage import SentStorage, Storage, opened
from fastclips.data.streams import MASKS
from fastclips.errors import FastclipsError, FrameError
from fastclips.pixels.decoding.decoder import frame_size
from fastclips.pixels.decoding.numbers import check_given

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Places = list[tuple[str, int, int]]  # stream, video, frame

__all__ = ["check_storage"]

_MOST = 200  # frames of each stream that are read
_PROCESSES = 3
_PATIENCE_S = 120.0
_CHANNELS = (1, 3)


def check_storage(
    storage: Storage,
    *,
    streams: Sequence[str] | Mapping[str, str],
    frame_counts: Sequence[int],
    masks: str | Sequence[str] = MASKS,
) -> None:
    """Check that a storage keeps the contract of `fastclips.Storage`.

    Up to 200 frames of each stream, evenly spread, are read in this process, in a copy made by pickling, and
    in several forked processes at once. All must give the same frames. Frames that do not exist must be
    errors, paths must differ, and copies must leave no file open and no thread running.

    Parameters
    ----------
    storage : Storage
        The storage.
    streams : sequence of str, or mapping of str to str
        Names of its streams; a mapping gives the kind of each, as for `Dataset.of`.
    frame_counts : sequence of int
        Number of frames of each video.
    masks : str or sequence of str
        Names of the streams that are masks, in which a frame may be None: it has no mask. Not with a mapping.

    Raises
    ------
    AssertionError
        The storage breaks the contract. The message says how.

    Examples
    --------
    >>> from fastclips.testing import check_storage
    >>> data = fc.open({"image": "frames", "mask": "masks"})
    >>> check_storage(data.storage, streams=["image", "mask"], frame_counts=[12] * 6)
    >>> class Endless(fc.Storage):
    ...     def read(self, stream, video, frame):
    ...         return np.zeros((48, 64, 3), np.uint8)
    >>> check_storage(Endless(), streams=["image"], frame_counts=[12] * 6)
    Traceback (most recent call last):
        ...
    AssertionError: read('image', 0, 12) returned a frame, but video 0 has 12 frames: raise IndexError
    """
    _require(isinstance(storage, Storage), f"{storage!r:.200} must be an instance of fastclips.Storage")
    _require(len(streams) > 0 and len(frame_counts) > 0, "streams= and frame_counts= must not be empty")
    kinds = streams if isinstance(streams, Mapping) else {}
    masks = (masks,) if isinstance(masks, str) else tuple(masks)
    if kinds:
        masks = tuple(name for name, kind in kinds.items() if kind == "mask")
    streams = tuple(streams)
    places = [
        (stream, *place)
        for stream in streams
        for place in evenly([(v, f) for v, count in enumerate(frame_counts) for f in range(count)], _MOST)
    ]
    unread = _sent(storage, "before its first read")
    opened(storage)
    expected = [_digest(_read(storage, *place)) for place in places]
    for place, digest in zip(places, expected, strict=True):
        is_missing = digest == _digest(None) and place[0] not in masks
        _require(not is_missing, f"{_call(place)} returned None, but {place[0]!r} is not in masks={masks}")
    _check_kinds(storage, places, kinds)
    _check_again(storage, places, expected)
    _check_sizes(storage, places, kinds)
    _check_paths(storage, places)
    _check_many(storage, streams, frame_counts)
    _check_missing(storage, streams, frame_counts)
    read = _sent(storage, "after reads")
    files, threads = _open_files(), threading.active_count()
    for sent, when in ((unread, "before its first read"), (read, "after reads")):
        _check_copy(sent, f"a copy that was pickled {when}", places, expected)
    _check_left(files, threads)
    _check_forked(storage, read, places, expected)


def _require(kept: object, message: str) -> None:
    if not kept:
        raise AssertionError(message)


def _call(place: tuple[str, int, int], method: str = "read") -> str:
    return f"{method}({', '.join(map(repr, place))})"


def _sent(storage: Storage, when: str) -> SentStorage:
    try:
        return SentStorage.of(storage)
    except FastclipsError as error:
        raise AssertionError(f"the storage cannot be pickled {when}: {error}") from error


def _read(storage: Storage, stream: str, video: int, frame: int) -> Any:  # noqa: ANN401 - bytes or pixels
    """Return an existing frame, after checks of its type and shape; None for a missing mask."""
    call = _call((stream, video, frame))
    try:
        data = storage.read(stream, video, frame)
    except Exception as error:
        raise AssertionError(f"{call} raised {type(error).__name__}: {error}") from error
    if data is None:
        return None
    if not isinstance(data, np.ndarray):
        _require(
            isinstance(data, bytes), f"{call} returned {type(data).__name__}: must be bytes or an ndarray"
        )
        _require(data, f"{call} returned no bytes: raise FrameError for an empty frame")
    return data


def _check_kinds(storage: Storage, places: Places, kinds: Mapping[str, str]) -> None:
    """Check the types and shapes of frames that are arrays."""
    for place in places:
        data, call = _read(storage, *place), _call(place)
        if not isinstance(data, np.ndarray):
            continue
        kind = kinds.get(place[0], "image")
        if kind in ("flow", "depth"):
            try:
                check_given(data, kind)
            except FrameError as error:
                raise AssertionError(f"{call} returned {error}") from error
            continue
        _require(data.dtype == np.uint8, f"{call} returned an array of {data.dtype}: must be uint8")
        is_picture = data.ndim == 3 and data.shape[-1] in _CHANNELS  # noqa: PLR2004 - (H, W, C)
        _require(
            data.size and (is_picture or data.ndim == 2),  # noqa: PLR2004 - (H, W)
            f"{call} returned an array of shape {data.shape}: must be (H, W, 3), (H, W, 1), or (H, W)",
        )


def _digest(data: Any) -> str:  # noqa: ANN401 - bytes, a memoryview, or pixels
    if data is None:
        return "None"
    is_array = isinstance(data, np.ndarray)
    digest = blake2b(repr(data.shape if is_array else None).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(data).data if is_array else data)
    return digest.hexdigest()


def _check_again(storage: Storage, places: Places, expected: list[str]) -> None:
    for place, digest in zip(reversed(places), reversed(expected), strict=True):
        _require(
            _digest(_read(storage, *place)) == digest, f"{_call(place)} returned another frame when repeated"
        )


def _check_sizes(storage: Storage, places: Places, kinds: Mapping[str, str]) -> None:
    sizes: dict[tuple[int, int], tuple[str, tuple[int, int]]] = {}
    for place in places:
        stream, *key = place
        data = _read(storage, *place)
        if data is None:
            continue
        try:
            size = frame_size(data)
        except FrameError as error:
            raise AssertionError(f"{_call(place)} returned bytes that are no picture: {error}") from error
        other, known = sizes.setdefault((key[0], key[1]), (stream, size))
        _require(
            size == known or kinds,
            f"{_call(place)} is {size} (H, W), but stream {other!r} is {known}: streams must have one size",
        )


def _check_paths(storage: Storage, places: Places) -> None:
    paths: dict[str, tuple[str, int, int]] = {}
    for place in places:
        path = storage.where(*place)
        _require(isinstance(path, str) and path, f"{_call(place, 'where')} returned {path!r}: must be a str")
        known = paths.setdefault(path, place)
        _require(
            known == place,
            f"{_call(place, 'where')} and {_call(known, 'where')} are both {path!r}: must differ",
        )


def _check_many(storage: Storage, streams: Sequence[str], frame_counts: Sequence[int]) -> None:
    order = random.Random(0)  # noqa: S311 - any order
    for stream in streams:
        for video, count in evenly(list(enumerate(frame_counts)), 20):
            frames = evenly(range(count), 20)
            order.shuffle(frames)
            frames += frames[:2]
            call = f"read_many({stream!r}, {video}, {frames})"
            found = storage.read_many(stream, video, frames)
            _require(len(found) == len(frames), f"{call} returned {len(found)} frames of {len(frames)}")
            for frame, data in zip(frames, found, strict=True):
                alone = _read(storage, stream, video, frame)
                _require(
                    _digest(data) == _digest(alone),
                    f"{call} and {_call((stream, video, frame))} returned different frames",
                )
            storage.advise(stream, video, frames)


def _check_missing(storage: Storage, streams: Sequence[str], frame_counts: Sequence[int]) -> None:
    for stream in streams:
        for video, frame in ((0, frame_counts[0]), (0, -1), (len(frame_counts), 0), (-1, 0)):
            _check_refused(storage.read, stream, video, frame, frame_counts)
            _check_refused(storage.read_many, stream, video, [frame], frame_counts)


def _check_refused(
    read: Callable[[str, int, Any], object],
    stream: str,
    video: int,
    frames: int | list[int],
    frame_counts: Sequence[int],
) -> None:
    call = f"{read.__name__}({stream!r}, {video}, {frames})"
    try:
        read(stream, video, frames)
    except IndexError:
        return
    except FrameError as error:
        _require(error.path, f"{call} raised a FrameError without path=: set it to the frame's path")
        return
    except Exception as error:
        name = type(error).__name__
        raise AssertionError(f"{call} raised {name}: must be IndexError or FrameError") from error
    few = f"video 0 has {frame_counts[0]} frames" if video == 0 else f"there are {len(frame_counts)} videos"
    raise AssertionError(f"{call} returned a frame, but {few}: raise IndexError")


def _check_copy(sent: SentStorage, name: str, places: Places, expected: list[str]) -> None:
    """Read from a copy, which is deleted afterwards."""
    try:
        copy = opened(pickle.loads(pickle.dumps(sent)).unpickled())  # noqa: S301 - of this process
    except FastclipsError as error:
        raise AssertionError(f"{name} cannot be used: {error}") from error
    for place, digest in zip(places, expected, strict=True):
        _require(_digest(_read(copy, *place)) == digest, f"{_call(place)} of {name} returned another frame")


def _open_files() -> dict[str, str]:
    """Return the open descriptors of this process, and what they refer to."""
    found = {}
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found[link.name] = str(link.readlink())
    return found


def _check_left(files: dict[str, str], threads: int) -> None:
    gc.collect()
    left = [target for fd, target in _open_files().items() if fd not in files and "/proc/" not in target]
    _require(not left, f"deleted copies of the storage left files open: {', '.join(left)}")
    running = threading.active_count()
    _require(running <= threads, f"deleted copies of the storage left {running - threads} threads running")


def _check_forked(storage: Storage, sent: SentStorage, places: Places, expected: list[str]) -> None:
    """Read in several forked processes at once: from a copy, as workers do, and from the storage itself."""
    children = [_fork(storage, sent, places, expected) for _ in range(_PROCESSES)]
    errors = [_result(pid, pipe) for pid, pipe in children]
    _require(not any(errors), next(filter(None, errors), ""))


def _fork(storage: Storage, sent: SentStorage, places: Places, expected: list[str]) -> tuple[int, int]:
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks beside threads
        pid = os.fork()
    if pid:
        os.close(theirs)
        return pid, ours
    message = ""
    try:
        _check_copy(sent, "a copy in a forked process", places, expected)
        for place, digest in zip(places, expected, strict=True):
            kept = _digest(_read(opened(storage), *place)) == digest
            _require(kept, f"{_call(place)} returned another frame in a forked process")
    except AssertionError as error:
        message = str(error)
    except BaseException:  # noqa: BLE001 - a forked process must not unwind into the caller's code
        message = traceback.format_exc()
    finally:
        with os.fdopen(theirs, "wb") as file:
            file.write(b"+" + message.encode())
        os._exit(0)


def _result(pid: int, pipe: int) -> str:
    """Return the message of a forked process; an empty string if all its frames were right."""
    message = b""
    with os.fdopen(pipe, "rb") as file:
        if select.select([file], [], [], _PATIENCE_S)[0]:
            message = file.read()
        else:
            os.kill(pid, signal.SIGKILL)
            message = f"+reads in a forked process did not end within {_PATIENCE_S:.0f} s".encode()
    _, status = os.waitpid(pid, 0)
    if not message:
        code = os.waitstatus_to_exitcode(status)
        return f"a forked process that read from the storage died with exit code {code}"
    return message[1:].decode()
