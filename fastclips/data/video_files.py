"""Video files -> frames, by number. Needs PyAV.

The number of a frame is its place in the output of a decoder that reads the file from its first byte to its
last, whatever headers and time stamps say. ::

    Movie(path).frames([0, 8, 16])   decodes on, or from the key frame before
    for frame in Movie(path)         decodes all frames
    scan_movie(path)                 number of frames, times, key frames: reads all packets, decodes none

**Seeking.** A seek goes by time and ends at a key frame, whose number must be known. Reading all packets
without decoding them (one pass over the file) gives their presentation times. The rank of a packet's time is
its frame's number if

- the codec shows one frame per packet (`_FRAME_PER_PACKET`; MPEG-4 in AVI has packets that repeat the last
  frame, and VP8 has hidden frames);
- every packet has its own time, and none is shown before the first packet. Packets that an edit list cuts off
  have no rank: they are decoded, but not shown;
- the times are presentation times. AVI holds decoding times, which always increase, although frames are
  decoded and shown in different orders.

Otherwise the file is decoded from its start. After a seek, frames up to the first key frame are skipped. The
rank of the key frame gives its number, and each following frame must have the next rank. If a frame does not
(a partial refresh instead of a key frame, or a damaged frame), times are no longer used, and the file is
decoded from its start.

**Known times.** A movie that is given the result of a scan needs no pass over the file. Each frame that it
returns has the time that the scan gave its number; anything else is damage. So what a number shows does not
depend on the frames that were read before.

**Skipped frames.** With a scan, a B-frame that no other frame refers to is not decoded unless it is wanted
(`_SKIPS`). HEVC is not among these codecs, whose frames of a lower layer may refer to such frames.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips.data.cut_files import refuse_cut, refuse_special
from fastclips.errors import FrameError, OptionError
from fastclips.options import checked_bool, checked_int

try:
    import av
    from av.video.reformatter import VideoReformatter
except ImportError as error:
    raise ImportError(f'reading video files needs PyAV: pip install "fastclips[video]" ({error})') from error

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

__all__ = ["Movie", "Scan", "Times", "scan_movie"]

_FRAME_PER_PACKET = frozenset(
    {"av1", "libaom-av1", "libdav1d", "h264", "hevc", "vp9", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg"}
    | {"prores", "dnxhd", "ffv1", "ffvhuff", "huffyuv", "rawvideo"}
)
_SKIPS = frozenset({"h264", "mpeg4", "mpeg2video"})
_SHOWS_NOTHING = 32  # bytes: MPEG-4 packets that repeat the last frame are smaller
_WORTH_SEEKING = 32  # decoding so many frames costs more than a seek and the pass over the file
_WORTH_SEEKING_SCANNED = 4  # the same without that pass
_ATTEMPTS = 3  # key frames that a seek tries
_TURN = 90  # degrees


class Movie:
    """A video file.

    Frames are decoded in the calling thread. A movie must not be used by two threads at once, nor in a forked
    process.

    Parameters
    ----------
    path : path-like
        Any file that FFmpeg reads. Its first video stream is used, except cover pictures.
    use_headers : bool
        Whether `frame_count` may come from the file's header, which is fast, and often wrong.
    scan : Scan, optional
        The file's scan, so that the file need not be read again. Frames with other times are errors.

    Attributes
    ----------
    path : str
        As given.

    Raises
    ------
    FrameError
        The file is missing, damaged, or holds no video. Methods raise it for damage further on in the file.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, use_headers: bool = False, scan: Scan | None = None
    ) -> None:
        self.path = os.fspath(path)
        self._use_headers = checked_bool(use_headers, "use_headers")
        self._count = None if scan is None else scan.frames
        self._scan = scan
        self._times = None if scan is None else scan.times
        self._looked = scan is not None  # whether times were looked for; they may be unusable
        self._wanted: int | None = None  # time of the frame to decode next, if others may be skipped
        self._next: int  # number of the next frame to decode
        self._last: Any  # the frame before it
        self._checked: bool  # whether frame numbers depend on times, since the last seek
        self._converter = VideoReformatter()  # kept: its tables take longer to set up than a frame
        self._start()

    @property
    def fps(self) -> float | None:
        """Average frames per second, or None if the header does not hold it."""
        rate = self._stream.average_rate or self._stream.guessed_rate
        return float(rate) if rate else None

    @property
    def frame_count(self) -> int:
        """Number of frames: exact, unless ``use_headers=True`` and the header is wrong.

        The first time, all packets are read, and decoded if their times are not sufficient.
        """
        if self._use_headers and self._stream.frames > 0:
            return int(self._stream.frames)
        return self.count_frames()

    def count_frames(self) -> int:
        """Return the exact number of frames, whatever the header says."""
        if self._count is None:
            times = self._find_times()
            self._count = sum(1 for _ in self._all()) if times is None else len(times.shown)
        return self._count

    def frames(self, indices: Iterable[int], *, afresh: bool = False) -> list[NDArray[np.uint8]]:
        """Decode some frames.

        Parameters
        ----------
        indices : iterable of int
            Frame numbers, from 0, in ascending order, possibly repeated. Decoding continues from the last
            call if possible.
        afresh : bool
            Whether each frame is decoded from the last key frame before it, whatever was decoded before.
            Damage before that key frame then does not matter.

        Returns
        -------
        list of ndarray of uint8, (H, W, 3)
            RGB, rotated upright as the file says. A repeated number gives the same array.

        Raises
        ------
        OptionError
            A number is negative, or less than the number before.
        FrameError
            A frame does not exist, is damaged, or follows damage that ends decoding.
        """
        wanted = [checked_int(index, "index", 0) for index in indices]
        for before, index in pairwise(wanted):
            if index < before:
                raise OptionError(f"indices={wanted}: must ascend, but {index} follows {before}")
        found: list[NDArray[np.uint8]] = []
        for place, index in enumerate(wanted):
            repeated = place > 0 and wanted[place - 1] == index
            if repeated:
                found.append(found[-1])
            else:
                found.append(self._pixels(self._frame(index, afresh=afresh), index))
        return found

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Decode all frames from the first; `frames` may be called in between."""
        return map(self._pixels, self._all(), count())

    def close(self) -> None:
        """Close the file. Returned arrays stay valid. It may be called twice."""
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
        self._decoded = self._decode()
        self._next, self._last, self._checked = 0, None, self._scan is not None and self._times is not None

    def _open(self) -> tuple[Any, Any]:
        refuse_special(self.path)
        with self._reported("cannot be opened as a video"):
            container = av.open(self.path)
        streams = [stream for stream in container.streams.video if not _is_cover(stream)]
        if not streams:
            container.close()
            raise self._error("holds no video")
        stream = streams[0]
        stream.codec_context.thread_count = 1  # processes give parallelism, and may fork
        stream.codec_context.thread_type = "NONE"
        return container, stream

    @contextmanager
    def _reported(self, reason: str) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise self._error(f"{reason}: {error.strerror or error}") from None

    def _error(self, reason: str, frame: int | None = None) -> FrameError:
        return FrameError(f"{self.path!r} {reason}", path=self.path, reason=reason, frame=frame)

    def _all(self) -> Iterator[Any]:
        """Decode the whole file from a second opening of it."""
        container, stream = self._open()
        with container, self._reported("is damaged"):
            yield from container.decode(stream)

    def _decode(self) -> Generator[Any]:
        """Decode from where the file is; without frames that nothing refers to before `_wanted`."""
        context = self._stream.codec_context
        skips = context.name in _SKIPS
        for packet in self._container.demux(self._stream):
            if skips:
                early = self._wanted is not None and packet.pts is not None and packet.pts < self._wanted
                context.skip_frame = "NONREF" if early else "DEFAULT"
            yield from packet.decode()

    def _frame(self, index: int, *, afresh: bool = False) -> Any:  # noqa: ANN401 - PyAV's frame
        if index == self._next - 1 and self._last is not None and not afresh:
            return self._last
        self._wanted = None
        if self._scan is not None and self._times is not None and index < len(self._times.shown):
            self._wanted = self._times.shown[index].item()
        far = _WORTH_SEEKING if self._scan is None else _WORTH_SEEKING_SCANNED
        if afresh or index < self._next or index - self._next >= far:
            self._approach(index)
        while self._next <= index:
            try:
                frame = next(self._decoded, None)
            except av.FFmpegError as error:
                if not self._checked:
                    where = f"after frame {self._next - 1}" if self._next else "at its start"
                    self._restart()
                    raise self._error(f"is damaged {where}: {error.strerror}", index) from None
                self._distrust()
                continue
            if self._checked and (number := self._number(frame, index)) is not None:
                self._next = number
            elif self._checked:
                self._distrust()
                continue
            if frame is None:
                self._count = self._next
                raise self._error(f"has {self._next} frames, so there is no frame {index}", index)
            self._last, self._next = frame, self._next + 1
        return self._last

    def _approach(self, index: int) -> None:
        """Seek the key frame at or before a frame; go to the start if that is not possible."""
        times = self._find_times()
        if times is not None:
            place = int(np.searchsorted(times.keys, index, "right")) - 1
            if place < 0:  # an edit list cuts off its key frame
                if index < self._next:
                    self._restart()
            elif index < self._next or self._next < times.keys[place]:
                self._seek(times, place)
        elif index < self._next:
            self._restart()

    def _seek(self, times: Times, place: int) -> None:
        """Seek a key frame; if the container misses it, seek an earlier key frame."""
        number = times.keys[place].item()
        self._checked = True
        for key in times.keys[: place + 1][::-1][:_ATTEMPTS].tolist():
            self._decoded.close()
            try:
                self._container.seek(times.shown[key].item(), stream=self._stream)
                self._decoded = self._decode()
                frame = next((frame for frame in self._decoded if frame.key_frame), None)
            except av.FFmpegError:
                break
            first = None if frame is None else times.number(frame)
            if first is not None and first <= number:
                self._last, self._next = frame, first + 1
                return
        self._distrust()

    def _pixels(self, frame: Any, number: int) -> NDArray[np.uint8]:  # noqa: ANN401 - as above
        known = self._scan.shown if self._scan is not None else None
        if frame.is_corrupt or not (known is None or frame.pts == known[number]):
            raise FrameError(
                f"frame {number} of {self.path!r} is damaged: convert or cut the file",
                path=self.path,
                reason=f"frame {number} is damaged",
                frame=number,
            )
        rgb: Any = self._converter.reformat(frame, format="rgb24", threads=1)
        pixels: NDArray[np.uint8] = rgb.to_ndarray()
        turns = round(frame.rotation / _TURN) % 4
        return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels

    def _number(self, frame: Any, index: int) -> int | None:  # noqa: ANN401 - as above
        """Return a frame's number by its time, or None if it cannot follow; None as frame is the end."""
        times = self._times
        assert times is not None  # noqa: S101 - for mypy: numbers depend on times
        number = len(times.shown) if frame is None else times.number(frame)
        if number == self._next:
            return number
        may_skip = self._wanted is not None and number is not None and self._next < number <= index
        return number if may_skip else None

    def _distrust(self) -> None:
        """Stop using times, and go to the start."""
        self._times = self._count = self._wanted = None
        self._restart()

    def _restart(self) -> None:
        self._container.close()
        self._start()

    def scan(self) -> Scan:
        """Read all packets; decode them if their times are not sufficient. See `scan_movie`."""
        times, keys = self._find_times(), np.zeros(0, np.int64)
        if times is not None:
            shown: NDArray[np.int64] | None = times.shown
            number, keys = len(times.shown), times.keys
        else:
            found = [frame.pts for frame in self._all()]
            number = len(found)
            known = None not in found and all(after > before for before, after in pairwise(found))
            shown = np.array(found, np.int64) if known else None
        if not number:
            raise self._error("holds no frame")
        rate, base = self._stream.average_rate or self._stream.guessed_rate, self._stream.time_base
        return Scan(
            frames=number,
            shown=shown,
            keys=keys,
            time_base=(base.numerator, base.denominator),
            rate=(rate.numerator, rate.denominator) if rate else (0, 1),
        )

    def _find_times(self) -> Times | None:
        if not self._looked:
            container, stream = self._open()
            with container, self._reported("is damaged"):
                packets = [
                    _Packet(packet.pts, packet.is_keyframe, packet.size, packet.is_corrupt, packet.is_discard)
                    for packet in container.demux(stream)
                    if packet.size
                ]
            self._times = _times(packets, stream.codec_context.name, bool(stream.codec_context.has_b_frames))
            self._looked = True
        return self._times


class Scan(NamedTuple):
    """What `scan_movie` found in a file.

    Parameters
    ----------
    frames : int
        Number of frames, at least 1.
    shown : ndarray of int64, (frames,), or None
        Presentation time of each frame in units of `time_base`, ascending; None if unknown.
    keys : ndarray of int64
        Numbers of the key frames; empty if the file cannot be sought, so it is decoded from its start.
    time_base : (int, int)
        Numerator and denominator of the unit of time, in seconds.
    rate : (int, int)
        Numerator and denominator of the average frames per second; (0, 1) if unknown.
    """

    frames: int
    shown: NDArray[np.int64] | None
    keys: NDArray[np.int64]
    time_base: tuple[int, int]
    rate: tuple[int, int]

    @property
    def times(self) -> Times | None:
        """The times by which frames are sought; None if the file cannot be sought."""
        return Times(self.shown, self.keys) if self.shown is not None and len(self.keys) else None


def scan_movie(path: str | os.PathLike[str]) -> Scan:
    """Find the number of frames, their times and the key frames of a file.

    Raises
    ------
    FrameError
        The file cannot be read, holds no frame, or is a Matroska file (mkv, webm), mp4 or mov that is cut
        short, which a decoder may not notice.
    """
    refuse_cut(path)
    with Movie(path) as movie:
        return movie.scan()


class _Packet(NamedTuple):
    shown: int | None  # presentation time
    key: bool
    size: int  # bytes
    damaged: bool
    cut_off: bool  # by an edit list: decoded, but not shown


class Times(NamedTuple):
    """Times whose ranks are the numbers of the frames, so that a seek knows its frame."""

    shown: NDArray[np.int64]  # presentation time of each frame, ascending
    keys: NDArray[np.int64]  # numbers of key frames, ascending

    def number(self, frame: Any) -> int | None:  # noqa: ANN401 - as above
        """Return the number of a decoded frame, or None if it is damaged or its time is unknown."""
        if frame.pts is None or frame.is_corrupt:
            return None
        place = int(np.searchsorted(self.shown, frame.pts))
        return place if place < len(self.shown) and self.shown[place] == frame.pts else None


def _times(packets: list[_Packet], codec: str, reordered: bool) -> Times | None:
    """Return the frames' times if their ranks are the frame numbers; see the module's documentation."""
    given = [packet.shown for packet in packets if packet.shown is not None]
    if (
        not packets
        or codec not in _FRAME_PER_PACKET
        or (codec == "mpeg4" and min(packet.size for packet in packets) <= _SHOWS_NOTHING)
        or len(set(given)) < len(packets)
        or any(packet.damaged for packet in packets)
        or all(packet.cut_off for packet in packets)
        or not packets[0].key
        or min(given) < given[0]
        or (reordered and given == sorted(given))
    ):
        return None
    packets = [packet for packet in packets if not packet.cut_off]
    shown = np.array([packet.shown for packet in packets], np.int64)
    keys = shown[[packet.key for packet in packets]]
    shown.sort()
    return Times(shown, np.sort(np.searchsorted(shown, keys)))


def _is_cover(stream: Any) -> bool:  # noqa: ANN401 - as above
    return bool(stream.disposition & av.stream.Disposition.attached_pic)
