"""Video files -> frames, by number; the only importer of PyAV.

The number of a frame is its place in what a decoder gives that reads the file from its first byte to its
last: that is meant wherever a frame of a video file is named, whatever headers and time stamps say. ::

    Movie(path).frames([0, 8, 16])   decode on, or from the key frame before
    for frame in Movie(path)         all of them

**Seeking.** A seek goes by time and lands on a key frame, whose number must be known. Reading all packets
without decoding them (one pass over the file) gives their presentation times, and the rank of a packet's time
is its frame's number, provided that

- the codec shows one frame for each packet (`_FRAME_PER_PACKET`; MPEG-4 in AVI has packets that say "as
  before" and show nothing, and VP8 has hidden frames);
- every packet has a time of its own, none is cut off by an edit list, none is shown before the first;
- the times are no decoding times in disguise, which is what AVI holds: then they only rise, though frames are
  decoded in another order than they are shown.

Otherwise the file is decoded from its start. After a seek, frames are passed over up to the first key frame;
that one's rank gives its number, and each that follows must have the next rank. Where one does not (refreshed
pictures that are no whole key frames, a frame that was damaged), times are not gone by any more, and the file
is decoded from its start.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips.errors import FrameError, OptionError
from fastclips.options import checked_bool, checked_int

try:
    import av
    from av.video.reformatter import VideoReformatter
except ImportError as error:
    raise ImportError(f'reading video files needs PyAV: pip install "fastclips[video]" ({error})') from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

__all__ = ["Movie"]

_FRAME_PER_PACKET = frozenset(
    {"av1", "libaom-av1", "libdav1d", "h264", "hevc", "vp9", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg"}
    | {"prores", "dnxhd", "ffv1", "ffvhuff", "huffyuv", "rawvideo"}
)
_SHOWS_NOTHING = 32  # bytes: no packet of MPEG-4 that says "as before" is as large
_WORTH_SEEKING = 32  # frames to decode that cost more than a seek and the pass over the file before the first
_ATTEMPTS = 3  # key frames to seek
_TURN = 90  # degrees


class Movie:
    """A video file.

    Frames are decoded in this thread; a movie is for one thread at a time, and none is shared with a forked
    process.

    Parameters
    ----------
    path : path-like
        Any file that FFmpeg reads; of several video streams the first is taken, cover pictures aside.
    use_headers : bool
        Whether `frame_count` may be what the file's header says: nothing else is read then, and it is often
        wrong.

    Attributes
    ----------
    path : str
        As given.

    Raises
    ------
    FrameError
        The file is missing, damaged, or holds no video; so do the methods, where it is damaged further on.
    """

    def __init__(self, path: str | os.PathLike[str], *, use_headers: bool = False) -> None:
        self.path = os.fspath(path)
        self._use_headers = checked_bool(use_headers, "use_headers")
        self._count: int | None = None
        self._times: _Times | None = None
        self._looked = False  # for times, which may not be good enough
        self._next: int  # number of the frame that is decoded next
        self._last: Any  # the frame before it
        self._checked: bool  # whether numbers are known by times alone, since the last seek
        self._converter = VideoReformatter()  # one for all: its tables take longer to set up than a frame
        self._start()

    @property
    def fps(self) -> float | None:
        """Frames per second on average, or None where the header does not say."""
        rate = self._stream.average_rate or self._stream.guessed_rate
        return float(rate) if rate else None

    @property
    def frame_count(self) -> int:
        """How many frames there are: exactly, unless ``use_headers=True`` and the header says something else.

        The first time, all packets are read, and where they do not tell for sure, decoded.
        """
        if self._use_headers and self._stream.frames > 0:
            return int(self._stream.frames)
        return self.count_frames()

    def count_frames(self) -> int:
        """Return how many frames there are, exactly, whatever the header says."""
        if self._count is None:
            times = self._find_times()
            self._count = sum(1 for _ in self._all()) if times is None else len(times.shown)
        return self._count

    def frames(self, indices: Iterable[int]) -> list[NDArray[np.uint8]]:
        """Decode some frames.

        Parameters
        ----------
        indices : iterable of int
            Their numbers, from 0, none less than the one before. Those that follow the last call's are
            decoded on from there.

        Returns
        -------
        list of ndarray of uint8, (H, W, 3)
            RGB, turned upright where the file says how; the same array again where a number is repeated.

        Raises
        ------
        OptionError
            A number is negative, or less than the one before.
        FrameError
            There is no such frame, it is damaged, or the file is so damaged before it that decoding ends.
        """
        wanted = [checked_int(index, "index", 0) for index in indices]
        for before, index in pairwise(wanted):
            if index < before:
                raise OptionError(f"indices={wanted}: must ascend, but {index} follows {before}")
        found: list[NDArray[np.uint8]] = []
        for place, index in enumerate(wanted):
            repeated = place > 0 and wanted[place - 1] == index
            found.append(found[-1] if repeated else self._pixels(self._frame(index), index))
        return found

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Decode all frames, from the first; calls of `frames` meanwhile do no harm."""
        return map(self._pixels, self._all(), count())

    def close(self) -> None:
        """Close the file; arrays stay good, and closing twice is fine."""
        self._last = None
        self._decoded.close()
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Movie({self.path!r})"

    def _start(self) -> None:
        self._container, self._stream = self._open()
        self._decoded = self._container.decode(self._stream)
        self._next, self._last, self._checked = 0, None, False

    def _open(self) -> tuple[Any, Any]:
        with self._named("cannot be opened as a video"):
            container = av.open(self.path)
        streams = [stream for stream in container.streams.video if not _is_cover(stream)]
        if not streams:
            container.close()
            raise FrameError(f"{self.path!r} holds no video")
        stream = streams[0]
        stream.codec_context.thread_count = 1  # processes are the parallelism, and fork
        stream.codec_context.thread_type = "NONE"
        return container, stream

    @contextmanager
    def _named(self, what: str) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise FrameError(f"{self.path!r} {what}: {error.strerror or error}") from None

    def _all(self) -> Iterator[Any]:
        """Decode the file apart from what else is done with it."""
        container, stream = self._open()
        with container, self._named("is damaged"):
            yield from container.decode(stream)

    def _frame(self, index: int) -> Any:  # noqa: ANN401 - PyAV's frame
        if index == self._next - 1 and self._last is not None:
            return self._last
        if index < self._next or index - self._next >= _WORTH_SEEKING:
            self._approach(index)
        while self._next <= index:
            try:
                frame = next(self._decoded, None)
            except av.FFmpegError as error:
                if not self._checked:
                    where = f"behind frame {self._next - 1}" if self._next else "where it begins"
                    self._restart()
                    raise FrameError(f"{self.path!r} is damaged {where}: {error.strerror}") from None
                self._distrust()
                continue
            if self._checked and not self._is_next(frame):
                self._distrust()
                continue
            if frame is None:
                self._count = self._next
                raise FrameError(f"{self.path!r} has {self._next} frames, so there is no frame {index}")
            self._last, self._next = frame, self._next + 1
        return self._last

    def _approach(self, index: int) -> None:
        """Go on to the key frame at or before a frame; to the start where that is not possible."""
        times = self._find_times()
        if times is not None:
            place = int(np.searchsorted(times.keys, index, "right")) - 1
            if index < self._next or self._next < times.keys[place]:
                self._seek(times, place)
        elif index < self._next:
            self._restart()

    def _seek(self, times: _Times, place: int) -> None:
        """Go to a key frame; where the container finds it only from further back, to one before it."""
        number = times.keys[place].item()
        self._checked = True
        for key in times.keys[: place + 1][::-1][:_ATTEMPTS].tolist():
            self._decoded.close()
            try:
                self._container.seek(times.shown[key].item(), stream=self._stream)
                self._decoded = self._container.decode(self._stream)
                frame = next((frame for frame in self._decoded if frame.key_frame), None)
            except av.FFmpegError:
                break
            first = None if frame is None else times.number(frame)
            if first is not None and first <= number:
                self._last, self._next = frame, first + 1
                return
        self._distrust()

    def _pixels(self, frame: Any, number: int) -> NDArray[np.uint8]:  # noqa: ANN401 - as above
        if frame.is_corrupt:
            raise FrameError(f"frame {number} of {self.path!r} is damaged: convert or cut the file")
        rgb: Any = self._converter.reformat(frame, format="rgb24", threads=1)
        pixels: NDArray[np.uint8] = rgb.to_ndarray()
        turns = round(frame.rotation / _TURN) % 4
        return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels

    def _is_next(self, frame: Any) -> bool:  # noqa: ANN401 - as above
        """Whether a frame, None at the end, is that of which times say that it is next."""
        times = self._times
        assert times is not None  # noqa: S101 - for mypy: there was a seek
        return self._next == (len(times.shown) if frame is None else times.number(frame))

    def _distrust(self) -> None:
        """Go by times no more."""
        self._times = self._count = None
        self._restart()

    def _restart(self) -> None:
        self._container.close()
        self._start()

    def _find_times(self) -> _Times | None:
        if not self._looked:
            container, stream = self._open()
            with container, self._named("is damaged"):
                packets = [
                    _Packet(
                        packet.pts, packet.is_keyframe, packet.size, packet.is_corrupt or packet.is_discard
                    )
                    for packet in container.demux(stream)
                    if packet.size
                ]
            self._times = _times(packets, stream.codec_context.name, bool(stream.codec_context.has_b_frames))
            self._looked = True
        return self._times


class _Packet(NamedTuple):
    shown: int | None  # its time
    key: bool
    size: int  # bytes
    refused: bool  # damaged or cut off


class _Times(NamedTuple):
    shown: NDArray[np.int64]  # when each frame is shown, ascending
    keys: NDArray[np.int64]  # numbers of key frames, ascending

    def number(self, frame: Any) -> int | None:  # noqa: ANN401 - as above
        """Return the number of a decoded frame, if it is whole and its time is that of one."""
        if frame.pts is None or frame.is_corrupt:
            return None
        place = int(np.searchsorted(self.shown, frame.pts))
        return place if place < len(self.shown) and self.shown[place] == frame.pts else None


def _times(packets: list[_Packet], codec: str, reordered: bool) -> _Times | None:
    """Return the frames' times if these tell their numbers: see the module's documentation."""
    given = [packet.shown for packet in packets if packet.shown is not None]
    if (
        not packets
        or codec not in _FRAME_PER_PACKET
        or (codec == "mpeg4" and min(packet.size for packet in packets) <= _SHOWS_NOTHING)
        or len(set(given)) < len(packets)
        or any(packet.refused for packet in packets)
        or not packets[0].key
        or min(given) < given[0]
        or (reordered and given == sorted(given))
    ):
        return None
    shown = np.array(given, np.int64)
    keys = shown[[packet.key for packet in packets]]
    shown.sort()
    return _Times(shown, np.sort(np.searchsorted(shown, keys)))


def _is_cover(stream: Any) -> bool:  # noqa: ANN401 - as above
    return bool(stream.disposition & av.stream.Disposition.attached_pic)
