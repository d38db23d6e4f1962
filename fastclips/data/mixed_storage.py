"""Storages that are joined into one, which gives each video to the storage that has it. Layer A.

::

    numbers of videos    0 ........ 100 ............... 350
                         storage A      storage B
    ranges of bytes      number of the storage * 2**48 + the storage's own

So frame caches, tickets, fetchers and states know videos of a mix by one number, as those of any dataset.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.ranges import Held, RangeStorage
from fastclips.data.storage import Storage, opened
from fastclips.errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["MixedStorage", "are_decoded", "part_of"]

_BYTES = 48  # bits of a storage's own ranges


class MixedStorage(Storage):
    """Several storages as one. Made by `of`.

    Parameters
    ----------
    parts : sequence of Storage
        The storages.
    begins : sequence of int
        The number of the first video of each, from 0 and ascending, and the number after the last.
    """

    __slots__ = ("_begins", "_needy", "_parts", "decodes")

    def __init__(self, parts: Sequence[Storage], begins: Sequence[int]) -> None:
        self._parts, self._begins = tuple(parts), tuple(begins)
        self._needy = [True] * len(self._parts)  # which wanted advice when they were last asked
        # Where only some do, `are_decoded` tells of which videos.
        self.decodes = all(part.decodes for part in parts)  # type: ignore[misc] # of the class elsewhere

    def __reduce__(self) -> tuple[Any, ...]:
        return MixedStorage, (self._parts, self._begins)

    @classmethod
    def of(cls, parts: Sequence[Storage], videos: Sequence[int]) -> MixedStorage:
        """Join storages, of which each has so many videos at most; mixed storages are taken apart."""
        flat: list[Storage] = []
        begins = [0]
        for part, count in zip(parts, videos, strict=True):
            first = begins[-1]
            if isinstance(part, MixedStorage):
                flat += part._parts  # noqa: SLF001 - of this class
                begins += [first + begin for begin in part._begins[1:]]  # noqa: SLF001
            else:
                flat.append(part)
                begins.append(first + count)
        return cls(flat, begins)

    @property
    def parts(self) -> tuple[Storage, ...]:
        """The storages."""
        return self._parts

    @property
    def videos(self) -> int:
        """The number after that of the last video."""
        return self._begins[-1]

    def part(self, video: int) -> tuple[Storage, int]:
        """Return the storage that has a video, and its own number of it; raise IndexError if none has it."""
        number = self._number(video)
        return self._parts[number], int(video) - self._begins[number]

    def _number(self, video: int) -> int:
        number = bisect_right(self._begins, video) - 1
        if not 0 <= number < len(self._parts):
            raise IndexError(f"there is no video {video} in the storage")
        return number

    def are_decoded(self, videos: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each video whether reading is decoding."""
        decodes = np.array([part.decodes for part in self._parts])
        return decodes[np.searchsorted(self._begins, videos, side="right") - 1]

    def read(self, stream: str, video: int, frame: int) -> Any:  # noqa: ANN401 - as the other storage
        """Return a frame, as `Storage.read`."""
        part, own = self.part(video)
        try:
            return part.read(stream, own, frame)
        except FrameError as error:
            _renumber(error, video)
            raise

    def read_many(self, stream: str, video: int, frames: Collection[int]) -> Any:  # noqa: ANN401 - likewise
        """Return several frames of a video, as `Storage.read_many`."""
        part, own = self.part(video)
        try:
            return part.read_many(stream, own, frames)
        except FrameError as error:
            _renumber(error, video)
            raise

    def where(self, stream: str, video: int, frame: int) -> str:
        """Return the path of a frame, as `Storage.where`."""
        part, own = self.part(video)
        return part.where(stream, own, frame)

    def needs_advice(self) -> bool:
        """Ask all storages, some of which count how often they are asked."""
        self._needy = [part.needs_advice() for part in self._parts]
        return any(self._needy)

    def advise(self, stream: str, video: int, frames: Collection[int]) -> None:
        """Pass the advice on, to a storage that wants it."""
        if self._needy[self._number(video)]:
            part, own = self.part(video)
            part.advise(stream, own, frames)

    def open_in_worker(self) -> None:
        """Open all storages."""
        for part in self._parts:
            opened(part)

    @property
    def is_remote(self) -> bool:
        """Whether any storage is, so that reading ahead helps; of the others, nothing is read ahead."""
        return any(True for _ in self._remote())

    def clip_ranges(self, video: int, wanted: Mapping[str, Collection[int]]) -> list[tuple[int, int]]:
        """Return the ranges to read for frames of a video, as `RangeStorage.clip_ranges`."""
        part, own = self.part(video)
        if not (isinstance(part, RangeStorage) and part.is_remote):
            return []
        first = self._number(video) << _BYTES
        return [(first + start, first + end) for start, end in part.clip_ranges(own, wanted)]

    def clip_bytes(self, streams: Iterable[str], time_steps: int) -> int:
        """Return the most bytes of consecutive frames, as `RangeStorage.clip_bytes`."""
        streams = [*streams]
        return max(part.clip_bytes(streams, time_steps) for _, part in self._remote())

    def read_range(self, start: int, end: int) -> bytes | memoryview:
        """Read a range, as `RangeStorage.read_range`."""
        number = start >> _BYTES
        part = self._parts[number]
        assert isinstance(part, RangeStorage)  # noqa: S101 - else no range is asked for
        first = number << _BYTES
        return part.read_range(start - first, end - first)

    def lend(self, held: Sequence[Held]) -> None:
        """Lend each remote storage its ranges, as `RangeStorage.lend`."""
        for number, part in self._remote():
            first = number << _BYTES
            part.lend(
                [
                    Held(start - first, end - first, data)
                    for start, end, data in held
                    if start >> _BYTES == number
                ]
            )

    def _remote(self) -> Iterator[tuple[int, RangeStorage]]:
        for number, part in enumerate(self._parts):
            if isinstance(part, RangeStorage) and part.is_remote:
                yield number, part


def part_of(storage: Storage, video: int) -> tuple[Storage, int]:
    """Return the storage that has a video, and its own number of it: of a mix, one of its storages."""
    return storage.part(video) if isinstance(storage, MixedStorage) else (storage, video)


def are_decoded(storage: Storage, videos: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each video whether reading is decoding, as of video files: in a mix, that of some."""
    if isinstance(storage, MixedStorage):
        return storage.are_decoded(videos)
    return np.full(len(videos), storage.decodes)


def _renumber(error: FrameError, video: int) -> None:
    """Let an error of a storage tell the mix's number of the video."""
    if error.video is not None:
        error.video = int(video)
