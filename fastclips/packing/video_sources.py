"""Datasets of video files, to be packed: opened as by `fastclips.open`, with the unreadable files kept.

Packing leaves out such files and reports each of them; `fastclips.open` refuses them at once.
"""

from __future__ import annotations

import os
from pathlib import Path

from fastclips.data.dataset import Dataset
from fastclips.data.files import Files
from fastclips.data.movie_paths import is_movie
from fastclips.data.names import natural_key
from fastclips.data.roots import Root
from fastclips.data.scan import FRAME_EXTENSIONS, SKIPPED
from fastclips.data.video_storage import VideoStorage
from fastclips.errors import DataError
from fastclips.spec import StreamSpec

__all__ = ["holds_video_files", "open_video_files"]


def holds_video_files(source: str | os.PathLike[str]) -> bool:
    """Whether a path is a video file, or a folder whose first frame or video file is a video file."""
    path = Path(source)
    if not path.is_dir():
        return Root(path).movie is not None
    for _, below, files in os.walk(path, followlinks=True):
        below[:] = sorted((name for name in below if not _hidden(name)), key=natural_key)
        for name in sorted(files, key=natural_key):
            if not _hidden(name) and (is_movie(name) or name.lower().endswith(FRAME_EXTENSIONS)):
                return is_movie(name)
    return False


def open_video_files(
    source: str | os.PathLike[str],
    *,
    records: str | os.PathLike[str] | None = None,
    columns: str | None = None,
    labelled: bool = True,
) -> Dataset:
    """Open video files as a dataset.

    Parameters
    ----------
    source : path
        A folder of class/video.mp4, or a video file.
    records, columns
        A list of videos with paths relative to `source`, and its columns, as in `fastclips.open`.
    labelled : bool
        Whether the dataset has labels.

    Returns
    -------
    Dataset
        Files that cannot be read have -1 frames.

    Raises
    ------
    OptionError
        PyAV is missing.
    DataError
        There are no video files, there are frames too, or the list does not fit.
    """
    files = Files(
        {"image": Root(source)},
        records=records,
        columns=columns,
        frames=None,
        videos=None,
        labelled=labelled,
        classes=None,
        match=None,
        unpaired="error",
        masks=frozenset(),
        keep_unreadable=True,
    )
    storage, table, _ = files.open()
    if not isinstance(storage, VideoStorage):
        raise DataError(f"the list {os.fspath(records or source)!r} names frames, not video files")
    return Dataset(storage, table, (StreamSpec("image"),))


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in SKIPPED
