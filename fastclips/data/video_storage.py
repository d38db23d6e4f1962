"""A storage of video files. Frames are decoded by number; nothing is extracted. Needs PyAV where it reads.

::

    scan_movies(root, paths)       number of frames, times and key frames of each file, several at once
    VideoStorage.of(root, ...)     the columns: all processes share them, and no file is scanned twice
    storage.read_many(...)         one seek, then one pass forward over the frames of a clip

**Same pixels.** What a frame shows, and whether it is damaged, does not depend on what was read before. After
an error the file is opened again, and each frame is decoded from the key frame before it.

**Changed files.** Size and modification time are kept. A file that has changed since is an error when it is
opened.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from fastclips.data.columns import Columns
from fastclips.data.cut_files import refuse_cut
from fastclips.data.frame_times import FrameTimes, Timing
from fastclips.data.movie_paths import video_names
from fastclips.data.names import Names
from fastclips.data.scan import watched
from fastclips.data.storage import Storage
from fastclips.errors import DataError, FrameError, OptionError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from fastclips.data.video_files import Movie, Scan

__all__ = ["ScannedMovie", "VideoStorage", "check_pyav", "open_movies", "scan_movies"]

_OPEN = 4  # files that a process keeps open: each holds some frames
_log = logging.getLogger(__name__)
_CHANGED = "has changed since the dataset was opened"


class ScannedMovie(NamedTuple):
    """What is known about a video file.

    Parameters
    ----------
    scan : Scan or None
        Its frames; None if it was not scanned, or cannot be read.
    size, modified : int
        Bytes, and the modification time in nanoseconds, taken before the scan; -1 if unknown.
    error : FrameError or None
        Why it cannot be read.
    """

    scan: Scan | None = None
    size: int = -1
    modified: int = -1
    error: FrameError | None = None


def check_pyav() -> None:
    """Raise OptionError if PyAV is missing, which is an extra."""
    try:
        import fastclips.data.video_files  # noqa: F401, PLC0415 - only to see whether PyAV is there
    except ImportError as error:
        raise OptionError(str(error)) from error


def scan_movies(root: str, movies: Sequence[str]) -> list[ScannedMovie]:
    """Scan video files, several at once, with a progress bar.

    Parameters
    ----------
    root : str
        The folder that paths are relative to.
    movies : sequence of str
        Paths of the files.

    Returns
    -------
    list of ScannedMovie
        In the same order. A file that cannot be read has an error.
    """
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - needed only for scans

    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    try:
        found = pool.map(partial(_scan, root), movies)
        return list(watched(found, "scanning video files", " files", len(movies)))
    finally:
        pool.shutdown(cancel_futures=True)  # after an interrupt, the other files are not scanned


def _scan(root: str, name: str) -> ScannedMovie:
    from fastclips.data.video_files import scan_movie  # noqa: PLC0415 - needs PyAV

    path = os.path.join(root, name)  # noqa: PTH118 - as a text
    size = modified = -1
    try:
        status = os.stat(path)  # noqa: PTH116 - as a text
        size, modified = status.st_size, status.st_mtime_ns
        return ScannedMovie(scan_movie(path), size, modified)
    except FrameError as error:
        return ScannedMovie(None, size, modified, error)
    except OSError as error:
        reason = str(error.strerror)
        return ScannedMovie(error=FrameError(f"{path!r}: {reason}", path=path, reason=reason))


def open_movies(
    root: str, movies: Sequence[str], unreadable: Literal["error", "drop", "keep"] = "error"
) -> VideoStorage:
    """Scan video files and return a storage of them.

    Parameters
    ----------
    root : str
        The folder that paths are relative to.
    movies : sequence of str
        Paths of the files.
    unreadable : {"error", "drop", "keep"}
        What to do with files that cannot be read: raise an error, leave them out with a warning, or keep them
        with -1 frames, which is for callers that report each of them.

    Raises
    ------
    DataError
        A file cannot be read, all files would be left out, or two videos would have the same name.
    """
    video_names(movies)  # refuses twins before the scan
    scanned = scan_movies(root, movies)
    wrong = [number for number, movie in enumerate(scanned) if movie.error is not None]
    if unreadable == "keep":
        return VideoStorage.of(root, movies, scanned)
    _warn_of_slow(root, movies, scanned)
    if not wrong:
        return VideoStorage.of(root, movies, scanned)
    others = f" (and {len(wrong) - 1} other files of {len(movies)})" if len(wrong) > 1 else ""
    reason = f"{scanned[wrong[0]].error}{others}"
    if unreadable == "error" or len(wrong) == len(movies):
        remedy = "" if len(wrong) == len(movies) else ", or leave out such files with unpaired='drop'"
        raise DataError(f"{reason}: repair or replace the file{remedy}")
    _log.warning("Left out %d of %d video files that cannot be read: %s", len(wrong), len(movies), reason)
    kept = [number for number, movie in enumerate(scanned) if movie.error is None]
    return VideoStorage.of(root, [movies[number] for number in kept], [scanned[number] for number in kept])


def _warn_of_slow(root: str, movies: Sequence[str], scanned: Sequence[ScannedMovie]) -> None:
    slow = [
        name
        for name, movie in zip(movies, scanned, strict=True)
        if movie.scan is not None and movie.scan.times is None
    ]
    if slow:
        _log.warning(
            "%d of %d video files in %r cannot be sought, such as %r: each clip of them is decoded from the "
            "start of the file. Convert them, such as to mp4, or pack them.",
            len(slow),
            len(movies),
            root,
            slow[0],
        )


class VideoStorage(Storage):
    """Frames of video files, (H, W, 3) uint8, by their numbers in the order in which they are shown.

    Parameters
    ----------
    columns : Columns
        The columns that `of` makes; it may hold others.
    """

    __slots__ = ("_files", "_keys", "_lock", "_movies", "columns", "frame_counts", "times", "videos")

    decodes = True

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.videos = Names(columns["storage.videos"], columns["storage.starts"])
        self.frame_counts: NDArray[np.int64] = columns["storage.frame_counts"]
        self.times = FrameTimes(columns)
        self._files = Names(columns["movies.files"], columns["movies.starts"])
        self._keys = columns["movies.keys"], columns["movies.key_begins"]
        self.open_in_worker()

    def __reduce__(self) -> tuple[Any, ...]:
        return VideoStorage, (self.columns,)

    @classmethod
    def of(
        cls,
        root: str,
        movies: Sequence[str],
        scanned: Sequence[ScannedMovie] | None = None,
        names: Sequence[str] | None = None,
    ) -> VideoStorage:
        """Return a storage of video files.

        Parameters
        ----------
        root : str
            Absolute path of the folder that paths are relative to.
        movies : sequence of str
            Paths of the files; their order gives the video numbers.
        scanned : sequence of ScannedMovie, optional
            What is known about each file. Without a scan, the number of frames is -1, and the file is scanned
            where it is read.
        names : sequence of str, optional
            Names of the videos; by default, the paths without extensions, which must differ.

        Raises
        ------
        DataError
            Two videos would have the same name.
        """
        if scanned is None:
            scanned = [ScannedMovie()] * len(movies)
        scans = [movie.scan for movie in scanned]
        keys = [np.zeros(0, np.int64) if scan is None else scan.keys for scan in scans]
        called, files = Names.of(video_names(movies) if names is None else names), Names.of(movies)
        arrays: dict[str, NDArray[Any]] = {
            "storage.videos": called.blob,
            "storage.starts": called.starts,
            "storage.frame_counts": np.array(
                [-1 if scan is None else scan.frames for scan in scans], np.int64
            ),
            "movies.files": files.blob,
            "movies.starts": files.starts,
            "movies.sizes": np.array([movie.size for movie in scanned], np.int64),
            "movies.modified": np.array([movie.modified for movie in scanned], np.int64),
            "movies.firsts": np.array([_first(scan) for scan in scans], np.int64),
            "movies.timed": np.array([scan is not None and scan.shown is not None for scan in scans]),
            "movies.rates": np.array([(0, 1) if scan is None else scan.rate for scan in scans], np.int64),
            "movies.keys": np.concatenate([np.zeros(0, np.int64), *keys]),
            "movies.key_begins": np.cumsum([0, *map(len, keys)], dtype=np.int64),
            **FrameTimes.pack([_timing(scan) for scan in scans]),
        }
        return cls(Columns.pack(arrays, {"movies": root}))

    @property
    def rates(self) -> NDArray[np.float64]:
        """Average frames per second of each video; 0 if unknown."""
        rates = self.columns["movies.rates"]
        return np.asarray(rates[:, 0] / rates[:, 1], np.float64)

    def open_in_worker(self) -> None:
        """Forget the files that another process opened, as `Storage.open_in_worker`."""
        self._movies: OrderedDict[int, Movie] = OrderedDict()
        self._lock = threading.Lock()

    def file(self, video: int) -> str:
        """Return the path of a video's file relative to the root."""
        return self._files[video]

    def path(self, video: int) -> str:
        """Return the path of a video's file."""
        return os.path.join(self.columns.meta["movies"], self._files[video])  # noqa: PTH118 - as a text

    def where(self, stream: str, video: int, frame: int) -> str:  # noqa: ARG002 - there is one stream
        """Return the file's path and the frame's number, as ``/data/v1.mp4:17``."""
        return f"{self.path(video)}:{frame}"

    def open_video(self, video: int) -> tuple[int, float, int]:
        """Return a video's number of frames, its frames per second (0 if unknown) and its bytes.

        A file that was not scanned is scanned now.

        Raises
        ------
        FrameError
            The file cannot be read.
        """
        path = self.path(video)
        movie = self.movie(video)
        count = self.frame_counts.item(video)
        if count < 0:
            refuse_cut(path)
            count = movie.frame_count
        return count, movie.fps or 0.0, os.stat(path).st_size  # noqa: PTH116 - as a text

    def read(self, stream: str, video: int, frame: int) -> NDArray[np.uint8]:
        """Return a decoded frame, as `Storage.read`; reading in order is fastest."""
        return self.read_many(stream, video, (frame,))[0]

    def read_many(self, stream: str, video: int, frames: Collection[int]) -> list[NDArray[np.uint8]]:
        """Return several frames of a video in one pass, as `Storage.read_many`."""
        self._check(video, frames)
        wanted = sorted({int(frame) for frame in frames})
        with self._lock:
            try:
                found = self.movie(video).frames(wanted)
            except FrameError:
                self._close(video)
                found = self._read_afresh(stream, video, wanted)
        place = {frame: number for number, frame in enumerate(wanted)}
        return [found[place[int(frame)]] for frame in frames]

    def _read_afresh(self, stream: str, video: int, wanted: list[int]) -> list[NDArray[np.uint8]]:
        """Decode frames in a way that does not depend on what was read before."""
        try:
            return self.movie(video).frames(wanted, afresh=True)
        except FrameError as error:
            self._close(video)
            frame = wanted[0] if error.frame is None else error.frame
            path = self.where(stream, video, frame)
            raise FrameError(
                f"cannot read frame {path!r}: {error.reason}",
                path=path,
                reason=error.reason,
                video=video,
                frame=frame,
            ) from error.__cause__

    def movie(self, video: int, *, use_headers: bool = False) -> Movie:
        """Return a file, opened for this process; the files used last are kept open.

        Parameters
        ----------
        video : int
            Number of the video.
        use_headers : bool
            As for `Movie`; the same in every call.

        Raises
        ------
        FrameError
            The file cannot be read, or has changed since it was scanned.
        """
        found = self._movies.get(video)
        if found is not None:
            self._movies.move_to_end(video)
            return found
        from fastclips.data.video_files import Movie  # noqa: PLC0415 - PyAV is an extra

        path = self.path(video)
        self._refuse_changed(video, path)
        while len(self._movies) >= _OPEN:
            self._movies.popitem(last=False)[1].close()
        found = Movie(path, use_headers=use_headers, scan=self._scan(video))
        self._movies[video] = found
        return found

    def _close(self, video: int) -> None:
        found = self._movies.pop(video, None)
        if found is not None:
            found.close()

    def _scan(self, video: int) -> Scan | None:
        """Return the scan of a file from the columns, or None if it was not scanned."""
        from fastclips.data.video_files import Scan  # noqa: PLC0415 - PyAV is an extra

        count = self.frame_counts.item(video)
        if count < 0:
            return None
        begin, end = self._keys[1][video : video + 2].tolist()
        shown = None
        if self.columns["movies.timed"].item(video):
            shown = self.columns["movies.firsts"].item(video) + self.times.ticks(video, count)
        rate: Any = tuple(self.columns["movies.rates"][video].tolist())
        return Scan(count, shown, self._keys[0][begin:end], self.times.unit(video), rate)

    def _refuse_changed(self, video: int, path: str) -> None:
        size = self.columns["movies.sizes"].item(video)
        if size < 0:
            return
        try:
            status = os.stat(path)  # noqa: PTH116 - as a text
        except OSError:
            return  # opening it says why
        if (status.st_size, status.st_mtime_ns) != (size, self.columns["movies.modified"].item(video)):
            reason = f"{_CHANGED}: open it again, with a new index= file if there is one"
            raise FrameError(f"{path!r} {reason}", path=path, reason=reason, video=video)

    def _check(self, video: int, frames: Collection[int]) -> None:
        count = self.frame_counts.item(video) if 0 <= video < len(self.videos) else 0
        beyond = count if count >= 0 else np.iinfo(np.int64).max
        if min(frames) < 0 or max(frames) >= beyond:
            wrong = next(frame for frame in frames if not 0 <= frame < beyond)
            raise IndexError(f"there is no frame {wrong} of video {video} in the storage")


def _first(scan: Scan | None) -> int:
    return 0 if scan is None or scan.shown is None else int(scan.shown[0])


def _timing(scan: Scan | None) -> Timing:
    if scan is None:
        return Timing(1, (0, 1))
    return Timing.of(scan.shown, scan.time_base, scan.rate)
