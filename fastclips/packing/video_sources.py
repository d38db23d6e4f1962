"""Datasets of video files, to be packed: each file is a video, whose frames are decoded in order.

The number of frames of a file is known only once a worker opens it; until then it is -1 in the index. So
these datasets are for packing alone; a loader reads the pack.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.data.cells import read_arrays
from fastclips.data.dataset import Dataset
from fastclips.data.encoding import encode
from fastclips.data.index import Index
from fastclips.data.labels import FRAMED, Labels
from fastclips.data.names import Names, natural_key
from fastclips.data.records import read_records
from fastclips.data.scan import FRAME_EXTENSIONS, SKIPPED, VIDEO_EXTENSIONS, without_video_extension
from fastclips.data.storage import Storage
from fastclips.errors import DataError, FrameError, OptionError
from fastclips.options import first_few
from fastclips.spec import StreamSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fastclips.data.records import Records
    from fastclips.data.video_files import Movie

__all__ = [
    "VideoFileStorage",
    "holds_video_files",
    "lists_video_files",
    "open_video_files",
    "warn_of_video_files",
]

_log = logging.getLogger(__name__)


class VideoFileStorage(Storage):
    """Frames of video files, read one after the other.

    Parameters
    ----------
    paths : Names
        Absolute paths of the files.
    """

    def __init__(self, paths: Names) -> None:
        self._paths = paths
        self._reader: Movie | None = None
        self._video = -1

    def __reduce__(self) -> tuple[type[VideoFileStorage], tuple[Names]]:
        return VideoFileStorage, (self._paths,)

    def open_video(self, video: int) -> tuple[int, float, int]:
        """Return a video's number of frames, its frames per second (0 if unknown) and its bytes.

        Raises
        ------
        FrameError
            The file cannot be read, or it is a Matroska file (mkv, webm) that is cut short, which a decoder
            does not notice.
        """
        reader = self._open(video)
        size = Path(reader.path).stat().st_size
        whole = _matroska_size(reader.path)
        if size < whole:
            raise FrameError(f"{reader.path!r} is cut short: it has {size} bytes of {whole}")
        return reader.frame_count, reader.fps or 0.0, size

    def read(self, stream: str, video: int, frame: int) -> NDArray[np.uint8]:  # noqa: ARG002 - there is one stream
        """Return a decoded frame, as `Storage.read`; reading in order is fastest."""
        return self._open(video).frames([frame])[0]

    def where(self, stream: str, video: int, frame: int) -> str:  # noqa: ARG002 - as above
        """Return the file's path."""
        return self._paths[video]

    def _open(self, video: int) -> Movie:
        from fastclips.data.video_files import Movie  # noqa: PLC0415 - PyAV is an extra

        if self._reader is None or video != self._video:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
            self._reader, self._video = Movie(self._paths[video]), video
        return self._reader


def holds_video_files(source: str | os.PathLike[str]) -> bool:
    """Whether a path is a video file, or a folder whose first frame or video file is a video file."""
    path = Path(source)
    if not path.is_dir():
        return path.is_file() and path.suffix.lower() in VIDEO_EXTENSIONS
    return next((is_video for _, is_video in _media(path)), False)


def lists_video_files(records: str | os.PathLike[str], columns: str | None) -> bool:
    """Whether the first row of a list of videos names a video file that exists, relative to the list."""
    try:
        first = read_records(records, columns).paths[0]
    except (DataError, OptionError):
        return False
    return (Path(records).parent / first).is_file() and without_video_extension(first) != first


def warn_of_video_files(source: str | os.PathLike[str]) -> None:
    """Warn if a folder whose frames are packed has video files, which are left out."""
    video = next((name for name, is_video in _media(Path(source)) if is_video), None)
    if video is not None:
        _log.warning(
            "Left out video files in %r, such as %r: pack them into another folder.", str(source), video
        )


def open_video_files(
    source: str | os.PathLike[str],
    *,
    records: str | os.PathLike[str] | None = None,
    columns: str | None = None,
    labelled: bool = True,
) -> Dataset:
    """Open video files as a dataset, whose videos are named by their paths without the extensions.

    Parameters
    ----------
    source : path
        A folder of class/video.mp4, or a video file.
    records, columns
        A list of videos with paths relative to `source`, and its columns, as in `fastclips.open`.
    labelled : bool
        Whether the dataset has labels.

    Raises
    ------
    OptionError
        PyAV is missing.
    DataError
        There are no video files, there are frames too, or the list does not fit.
    """
    try:
        import fastclips.data.video_files  # noqa: F401, PLC0415 - only to see whether PyAV is there
    except ImportError as error:
        raise OptionError(str(error)) from error
    top = Path(source).absolute()
    if top.is_file():
        return _dataset([str(top)], [top.stem], None, ())
    if records is not None:
        return _of_records(top, read_records(records, columns), labelled=labelled)
    media = sorted(_media(top), key=lambda found: natural_key(found[0]))
    frame = next((name for name, is_video in media if not is_video), None)
    if frame is not None:
        raise DataError(
            f"{str(top)!r} has video files and frames, such as {frame!r}: move them into separate folders"
        )
    if not media:
        raise DataError(f"no video files in {str(top)!r}: expected class/video.mp4")
    names = [without_video_extension(name) for name, _ in media]
    _refuse_twins(names)
    below = ["/" in name for name in names]
    labels: Labels | None = None
    classes: tuple[str, ...] = ()
    if labelled and any(below):
        if not all(below):
            raise DataError(
                f"{names[below.index(False)]!r} is in no class folder, but other videos are: move it, or "
                "pack without labels"
            )
        of_video = [name.partition("/")[0] for name in names]
        classes = tuple(sorted(set(of_video), key=natural_key))
        number = {name: label for label, name in enumerate(classes)}
        labels = Labels.of_classes(np.array([number[name] for name in of_video], np.int64), len(classes))
    return _dataset([f"{top}/{name}" for name, _ in media], names, labels, classes)


def _of_records(top: Path, records: Records, *, labelled: bool) -> Dataset:
    if records.first is not None or records.last is not None:
        raise DataError(
            "first and last are numbers in the names of frames, which video files do not have: use start and "
            "length, which count frames from 0"
        )
    files: dict[str, str] = {}
    for path in dict.fromkeys(records.paths):
        spellings = (path, *(f"{path}{extension}" for extension in VIDEO_EXTENSIONS))
        found = next((name for name in spellings if (top / name).is_file()), None)
        if found is None:
            row = records.where(records.paths.index(path))
            raise DataError(f"{row}: there is no video file {path!r} in {str(top)!r}")
        files[path] = found
    number = {file: key for key, file in enumerate(dict.fromkeys(files.values()))}
    names = [without_video_extension(file) for file in number]
    _refuse_twins(names)
    keys = np.array([number[files[path]] for path in records.paths], np.int64)
    counts = np.full(len(keys), -1, np.int64)
    values = records.labels
    if records.kind == "frame_target" and labelled and values is not None:
        values = read_arrays(records.kind, values, top, records.where)
    if records.length is not None:
        counts = np.array(records.length, np.int64)
    elif records.kind in FRAMED and labelled and values is not None:
        counts = np.array([len(row) for row in values], np.int64)
    labels: Labels | None = None
    classes: tuple[str, ...] = ()
    if labelled and records.kind is not None and values is not None:
        labels, classes = encode(records.kind, values, None, counts, records.where, key=natural_key)
    data = _dataset([str(top / file) for file in number], names, labels, classes, keys, counts)
    more: dict[str, Any] = {}
    if records.start is not None:
        more["starts"] = np.array(records.start, np.int64)
    if records.fps is not None:
        more["fps"] = np.array(records.fps, np.float64)
    return Dataset(data.storage, Index(**{**vars(data.index), **more}), data.streams)


def _dataset(
    paths: list[str],
    names: list[str],
    labels: Labels | None,
    classes: tuple[str, ...],
    keys: NDArray[np.int64] | None = None,
    counts: NDArray[np.int64] | None = None,
) -> Dataset:
    if keys is None:
        keys = np.arange(len(paths), dtype=np.int64)
    index = Index(
        names=Names.of(names).take(keys),
        keys=keys,
        starts=np.zeros(len(keys), np.int64),
        frame_counts=np.full(len(keys), -1, np.int64) if counts is None else counts,
        labels=labels,
        classes=classes,
    )
    return Dataset(VideoFileStorage(Names.of(paths)), index, (StreamSpec("image"),))


def _refuse_twins(names: list[str]) -> None:
    twins = [name for name, count in Counter(names).items() if count > 1]
    if twins:
        raise DataError(
            f"several video files would have the names {first_few(twins)}: rename all but one of each"
        )


def _media(top: Path) -> Iterator[tuple[str, bool]]:
    """Yield the relative path of each frame and video file in a folder, and whether it is a video file."""
    for folder, below, files in os.walk(top, followlinks=True):
        below[:] = sorted((name for name in below if not _hidden(name)), key=natural_key)
        start = folder[len(str(top)) :].lstrip("/")
        for name in sorted(files, key=natural_key):
            is_video = name.lower().endswith(VIDEO_EXTENSIONS)
            if not _hidden(name) and (is_video or name.lower().endswith(FRAME_EXTENSIONS)):
                yield f"{start}/{name}" if start else name, is_video


def _matroska_size(path: str) -> int:
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


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in SKIPPED
