"""Flow in two series of gray pictures, one of x and one of y: a storage that reads both as one frame.

The frame is a *pair*: the bytes ``FCXY``, the length of the first file as 8 bytes, least first, then both
files. A pack keeps it as it is.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from fastclips.data.ranges import RangeStorage
from fastclips.data.storage import Storage, opened

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from fastclips.data.ranges import Held

    Encoded = bytes | bytearray | memoryview

__all__ = ["BY_NUMBER", "SeriesStorage", "split_pair", "y_of"]

BY_NUMBER = "[0-9]+$"  # pairs ``flow_x_00001`` with ``flow_y_00001`` and ``img_00001``
_START, _FILES = b"FCXY", 12  # first bytes of a pair, and where its files begin


def y_of(stream: str) -> str:
    """Return the name by which a storage knows the series of y of a stream."""
    return f"{stream}.y"


def split_pair(data: Encoded) -> tuple[memoryview, memoryview] | None:
    """Return the two files of a pair; None if the bytes are none."""
    if bytes(data[:4]) != _START:
        return None
    view = memoryview(data)
    end = _FILES + int.from_bytes(view[4:_FILES], "little")
    return view[_FILES:end], view[end:]


class SeriesStorage(Storage):
    """Frames of another storage, in which some streams are two series of files.

    Parameters
    ----------
    storage : Storage
        Has the series of x by the name of the stream, and that of y by the name `y_of`.
    streams : collection of str
        Names of these streams.
    """

    __slots__ = ("_storage", "_streams")

    def __init__(self, storage: Storage, streams: Collection[str]) -> None:
        self._storage = storage
        self._streams = tuple(streams)

    @property
    def files(self) -> Storage:
        """The storage of the files."""
        return self._storage

    def __reduce__(self) -> tuple[Any, ...]:
        return SeriesStorage, (self._storage, self._streams)

    def read(self, stream: str, video: int, frame: int) -> Any:  # noqa: ANN401 - as the other storage
        """Return a frame, as `Storage.read`."""
        if stream not in self._streams:
            return self._storage.read(stream, video, frame)
        return self.read_many(stream, video, (frame,))[0]

    def read_many(self, stream: str, video: int, frames: Collection[int]) -> Any:  # noqa: ANN401 - likewise
        """Return several frames of a video, as `Storage.read_many`."""
        found: Any = self._storage.read_many(stream, video, frames)
        if stream not in self._streams:
            return found
        others: Any = self._storage.read_many(y_of(stream), video, frames)
        return [_join(*files) for files in zip(found, others, strict=True)]

    def where(self, stream: str, video: int, frame: int) -> str:
        """Return the path of a frame, as `Storage.where`; of two series, that of x."""
        return self._storage.where(stream, video, frame)

    def needs_advice(self) -> bool:
        """Ask the other storage."""
        return self._storage.needs_advice()

    def advise(self, stream: str, video: int, frames: Collection[int]) -> None:
        """Pass the advice on."""
        self._storage.advise(stream, video, frames)
        if stream in self._streams:
            self._storage.advise(y_of(stream), video, frames)

    def open_in_worker(self) -> None:
        """Open the other storage."""
        opened(self._storage)

    @property
    def is_remote(self) -> bool:
        """Whether the other storage is."""
        return isinstance(self._storage, RangeStorage) and self._storage.is_remote

    def clip_ranges(self, video: int, wanted: Mapping[str, Collection[int]]) -> list[tuple[int, int]]:
        """Return the ranges to read for frames of a video, as `RangeStorage.clip_ranges`."""
        both = {name: frames for stream, frames in wanted.items() for name in self._names(stream)}
        return self._ranged.clip_ranges(video, both)

    def clip_bytes(self, streams: Iterable[str], time_steps: int) -> int:
        """Return the most bytes of consecutive frames, as `RangeStorage.clip_bytes`."""
        return self._ranged.clip_bytes(chain.from_iterable(map(self._names, streams)), time_steps)

    def read_range(self, start: int, end: int) -> bytes | memoryview:
        """Read a range, as `RangeStorage.read_range`."""
        return self._ranged.read_range(start, end)

    def lend(self, held: Sequence[Held]) -> None:
        """Lend the other storage ranges, as `RangeStorage.lend`."""
        self._ranged.lend(held)

    @property
    def _ranged(self) -> RangeStorage:
        assert isinstance(self._storage, RangeStorage)  # noqa: S101 - else it is not remote
        return self._storage

    def _names(self, stream: str) -> list[str]:
        return [stream, y_of(stream)] if stream in self._streams else [stream]


def _join(x: Encoded, y: Encoded) -> bytes:
    return b"".join((_START, len(x).to_bytes(8, "little"), x, y))
