"""`fastclips.unpack`: write the frames of a pack or of tar files as files, with a list of the videos."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from hashlib import blake2b
from io import BytesIO
from itertools import islice, tee
from os import PathLike, fsencode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from fastclips.data.dataset import Dataset
from fastclips.data.list_writing import is_plain, written_list
from fastclips.data.names import Names
from fastclips.data.opening import open_dataset
from fastclips.data.pack_storage import PackStorage, stream_meta
from fastclips.data.roots import Root
from fastclips.data.scan import FRAME_EXTENSIONS, time_of
from fastclips.data.series import SeriesStorage
from fastclips.data.stored import StoredVideos
from fastclips.data.tars import UNPACKING
from fastclips.errors import DataError, OptionError, why_failed
from fastclips.options import bar_disabled, checked_workers
from fastclips.packing.opening_call import LIST, SCRIPT, Written, call, script
from fastclips.packing.workers import do_tasks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from fastclips.data.list_writing import WrittenList
    from fastclips.packing.frame_files import FileJob
    from fastclips.packing.parts import Problem
    from fastclips.packing.target import TargetFolder

__all__ = ["Unpacked", "unpack"]

_RUN = 64  # frames of a task
_TAKEN = (LIST, SCRIPT, UNPACKING)  # names in the folder
_LABELS = "labels"  # folder of .npy files
_LONGEST = 255  # bytes of a name in a folder
_SHOWN = 300  # characters of a call that is printed
_COUNTS = ("restored", "same_coefficients", "as_stored", "arrays")
_BLANKS = re.compile(r"[\s\0]+")


@dataclass(frozen=True)
class Unpacked:
    """The result of `unpack`; ``print`` it for a summary.

    Parameters
    ----------
    path : str
        The folder.
    videos : int
        Number of videos.
    restored : int
        Files that are, byte for byte, JPEGs that were packed.
    same_coefficients : int
        JPEGs with the coefficients of those that were packed, so with the same pixels.
    as_stored : int
        Files that are in the pack or the tar files as they are, such as masks and pictures of other formats.
    arrays : int
        PNG, TIFF and .flo files with the numbers of arrays.
    problems : list of Problem
        Frames that could not be read, which are left out, as named tuples (video, where, why).
    resumed : bool
        Whether an earlier call had written some of the files.
    call : str
        The call of `open` that gives the same dataset, as Python text. The script ``open_dataset.py`` in the
        folder does the same.

    Examples
    --------
    >>> done = fc.pack("frames/", "coded/", codec="dct", workers=0)
    >>> out = fc.unpack("coded/", "restored/", workers=0)
    >>> out.videos, out.restored, out.same_coefficients, out.as_stored
    (6, 72, 0, 0)
    """

    path: str
    videos: int
    restored: int
    same_coefficients: int
    as_stored: int
    arrays: int
    problems: list[Problem]
    resumed: bool
    call: str

    def __str__(self) -> str:
        counts = (
            (self.restored, "JPEGs are those that were packed, byte for byte"),
            (self.same_coefficients, "JPEGs have the same coefficients as those that were packed"),
            (self.as_stored, "other files are as they were stored"),
            (self.arrays, "files hold the same numbers as stored arrays"),
        )
        earlier = "; files of an earlier run are kept" if self.resumed else ""
        lines = [
            f"{self.path}: {self.videos:,} videos{earlier}",
            *(f"{n:,} {what}" for n, what in counts if n),
        ]
        if self.problems:
            first = self.problems[0]
            lines.append(
                f"unreadable frames, left out: {len(self.problems):,}; all are in .problems, the first is "
                f"{first.where}: {first.why}"
            )
        shown = self.call if len(self.call) <= _SHOWN else f"the script {self.path}/{SCRIPT}"
        return "\n".join([*lines, f"open the same dataset: {shown}"])


def unpack(pack: object, dst: str | PathLike[str], *, workers: int | None = None) -> Unpacked:
    """Write the frames of a pack, or of tar files, as files, with a list of the videos.

    Of a pack with ``codec="dct"``, usual JPEGs are restored byte for byte, with the help of the pack's files
    ``*.headers``. All others, such as progressive ones, become baseline JPEGs with the same coefficients. A
    pack of JPEGs keeps no headers: its JPEGs are written as they lie in it. Decoded pixels, such as those of
    a pack with ``codec="raw"``, become PNG files, arrays of depth and flow PNG, TIFF and .flo files, without
    loss. Files in tar files that others have made are written as they are.

    After an interruption, the same call continues where it stopped. Until all files are complete, they lie in
    ``dst/.unpacking``.

    Parameters
    ----------
    pack : path, mapping of str to path, or Dataset
        The pack's folder; a tar file or a folder of tar files, for each stream if there are several; or such
        data opened by `fastclips.open`, with other labels or some of the videos.
    dst : path
        A new or empty folder, or the folder of an interrupted call. It gets ``video/000012.jpg``, with the
        frame's number in its video; for several streams ``stream/video/000012.jpg``. Files of a single stream
        of tar files keep their names. A video whose name cannot be that of a folder, such as ``../video``,
        gets a folder ``_`` and its number, which is then its name.
    workers : int, optional
        Worker processes; by default as many as CPUs and the quota of a control group allow; 0 does the work
        in the caller.

    Returns
    -------
    Unpacked
        How many files are of which kind, the frames that could not be read, and how to open the files.

    Raises
    ------
    OptionError
        `pack` is neither a pack nor tar files, or `dst` is a file, a link or a folder with other content.
    DataError
        The pack's index or a file ``*.headers`` is damaged, no frame could be read, a list cannot hold the
        labels, or a file cannot be written.
    EngineError
        A worker process died, or could not be started.

    See Also
    --------
    pack : Writes a pack.

    Notes
    -----
    ``list.csv`` has the videos in their order, with the parts that rows are, ``fps`` and the labels; numbers
    that text does not hold exactly are in ``labels/``. ``open_dataset.py`` opens it with the classes and the
    meaning of masks. A frame that cannot be read in one stream is left out in all, but a mask is then
    missing. The times of video files' frames are not kept, nor is that pictures were opened as gray ones.

    Examples
    --------
    >>> done = fc.pack("frames/", "coded/", codec="dct", workers=0)
    >>> print(fc.unpack("coded/", "files/", workers=0))
    /.../files: 6 videos
    72 JPEGs are those that were packed, byte for byte
    open the same dataset: fc.open('/.../files/list.csv')
    >>> fc.open("files/list.csv")
    <Dataset: 6 videos, 72 frames, 2 classes; image>
    """
    dataset = _opened(pack)
    workers = checked_workers(workers)
    videos = StoredVideos.of(dataset.index)
    folders = _folders_of(videos.names)
    for stream in dataset.streams:
        name = stream.name
        if not _is_name(name) or (len(dataset.streams) > 1 and name in _TAKEN):
            raise DataError(f"there is a stream called {name!r}, which is no name of a folder")
    _list_of(dataset, videos, folders, {})  # refuses labels before anything is written
    from fastclips.packing.frame_files import FileJob  # noqa: PLC0415 - imports OpenCV
    from fastclips.packing.target import TargetFolder  # noqa: PLC0415 - likewise

    path = Path(dst).absolute()
    with TargetFolder(path, _digest(dataset)) as target:
        resumed = target.done > 0
        job = FileJob(
            dataset.storage, dataset.streams, videos.names, Names.of(folders), target.work, target.begun
        )
        try:
            _fill(target, job, videos, workers)
            return _finish(target, dataset, videos, folders, str(path), resumed)
        except OSError as error:
            at = f" ({error.filename!r})" if error.filename else ""
            raise DataError(
                f"cannot write into {str(path)!r}: {why_failed(error)}{at}; correct this, and unpack again: "
                "it continues where it stopped"
            ) from error


def _opened(source: object) -> Dataset:
    """Return a dataset of a pack or of tar files; raise OptionError if it is something else."""
    if isinstance(source, Dataset):
        storage = source.storage
        files = storage.files if isinstance(storage, SeriesStorage) else storage
        if not isinstance(files, PackStorage):
            raise OptionError(
                f"pack={source!r}: its frames are in no pack and no tar files, but in "
                f"{type(files).__name__}: give a dataset of these"
            )
        return source
    if isinstance(source, (str, PathLike)):
        root = Root(source)
        if not root.is_pack and not root.tars:
            raise OptionError(
                f"pack={str(source)!r}: is no pack and no tar file; give the folder that fastclips pack has "
                "written, a tar file, or a folder of tar files"
            )
    return _opened(open_dataset(source))


def _digest(dataset: Dataset) -> str:
    """Return a digest of the data but for the frames, by which an interrupted call is continued."""
    storage = dataset.storage
    files = storage.files if isinstance(storage, SeriesStorage) else storage
    assert isinstance(files, PackStorage)  # noqa: S101 - see `_opened`
    held = files.columns
    columns, labels = dataset.index.columns()
    if files.is_pack:
        columns["pack.ends"] = held["pack.ends"]
        known = [held.meta["made"], held.meta["shards"]]
    else:
        columns.update({name: held[name] for name in held})
        known = [[path, time_of(path)] for path in held.meta["shards"]]
    digest = blake2b(digest_size=16)
    described = [known, labels, stream_meta(dataset.streams), [stream.kind for stream in dataset.streams]]
    digest.update(json.dumps(described, sort_keys=True, default=str).encode())
    digest.update(dataset.index.names.digest())
    for name, column in columns.items():
        digest.update(f"{name} {column.dtype} {column.shape}".encode())
        digest.update(np.ascontiguousarray(column).data)
    return digest.hexdigest()


# Folders


def _folders_of(names: Iterable[str]) -> list[str]:
    """Return a folder for each video: its name, or, if it cannot be one, a name with the video's number."""
    given = list(names)
    taken = {name for name in given if _is_folder(name)}
    free = set(taken)
    folders = []
    for number, name in enumerate(given):
        folder = name
        if name in free:
            free.remove(name)
        else:
            parts = [_cleaned(part) for part in name.split("/") if part not in ("", ".", "..")]
            folder = "/".join([f"_{number}", *parts])
            while folder in taken:
                folder = f"_{folder}"
            taken.add(folder)
        folders.append(folder)
    return folders


def _is_name(name: str) -> bool:
    """Whether a name can be that of a folder, and stand in a list."""
    return (
        name not in ("", ".", "..") and "/" not in name and is_plain(name) and len(fsencode(name)) <= _LONGEST
    )


def _is_folder(name: str) -> bool:
    """Whether a video's name can be the path of its folder, without being taken for a frame."""
    parts = name.split("/")
    return (
        is_plain(name)
        and all(map(_is_name, parts))
        and not any(part.lower().endswith(FRAME_EXTENSIONS) for part in parts)
        and parts[0] not in _TAKEN
    )


def _cleaned(part: str) -> str:
    """Return a name that can be that of a folder, and is like another one."""
    text = _BLANKS.sub("_", part).encode("utf-8", "replace").decode("utf-8")
    while len(text.encode()) > _LONGEST - 1:
        text = text[:-1]
    return f"{text}_" if text.lower().endswith(FRAME_EXTENSIONS) else text


# Work


def _fill(target: TargetFolder, job: FileJob, videos: StoredVideos, workers: int) -> None:
    """Do all tasks that are not done."""
    runs = videos.runs(_RUN)
    done = sum(run.frames for run in islice(runs, target.done))
    total = int(videos.counts.sum())
    with tqdm(
        total=total, initial=done, desc="unpacking", unit=" frames", disable=bar_disabled(), leave=False
    ) as bar:
        tasks, given = tee(runs)
        for run, made in zip(tasks, do_tasks(job, given, workers, "unpacking"), strict=True):
            target.add(made)
            bar.update(run.frames)


def _finish(
    target: TargetFolder,
    dataset: Dataset,
    videos: StoredVideos,
    folders: list[str],
    path: str,
    resumed: bool,
) -> Unpacked:
    """Write the list, move all files to their places, and return the result."""
    from fastclips.packing.frame_files import Made  # noqa: PLC0415 - imports OpenCV
    from fastclips.packing.parts import Problem  # noqa: PLC0415 - likewise

    counts, lacks_masks, pairs = dict.fromkeys(_COUNTS, 0), False, set()
    problems: list[Problem] = []
    left_out: dict[int, list[int]] = {}
    for result in target.results():
        made = Made(*result)
        for name in _COUNTS:
            counts[name] += getattr(made, name)
        lacks_masks = lacks_masks or made.lacks_masks
        pairs.update(made.pairs)
        problems += [Problem(*problem) for problem in made.problems]
        if made.left_out:
            left_out.setdefault(made.video, []).extend(made.left_out)
    listed = _list_of(dataset, videos, folders, left_out)
    if listed is None:
        target.discard()
        raise DataError(f"no frame could be read; the first error: {problems[0].where}: {problems[0].why}")
    text, arrays, options = listed
    written = Written(dataset.streams, options, lacks_masks, pairs)
    files = {f"{_LABELS}/{name}": _npy(array) for name, array in arrays.items()}
    files[SCRIPT] = script(written).encode()
    files[LIST] = text.encode()
    target.finish(files)
    empty = [video for video, frames in left_out.items() if len(frames) == videos.counts[video]]
    return Unpacked(
        path,
        len(folders) - len(empty),
        **counts,
        problems=problems,
        resumed=resumed,
        call=call(path, written),
    )


def _npy(array: NDArray[Any]) -> bytes:
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


def _list_of(
    dataset: Dataset, videos: StoredVideos, folders: list[str], left_out: Mapping[int, list[int]]
) -> WrittenList | None:
    """Return the list of a dataset's rows without the frames that were left out; None if none is left."""
    index = dataset.index
    starts = index.starts - videos.firsts[videos.of_row]
    counts, lengths = videos.counts.copy(), index.frame_counts
    shown = None
    if left_out:
        shown = [np.arange(length) for length in lengths]
        starts, lengths = starts.copy(), lengths.copy()
        for video, frames in left_out.items():
            counts[video] -= len(frames)
            gone = np.array(frames) - videos.firsts[video]
            for row in np.flatnonzero(videos.of_row == video).tolist():
                within = np.setdiff1d(shown[row], gone - starts[row])
                starts[row] -= np.count_nonzero(gone < starts[row])
                shown[row], lengths[row] = within, len(within)
    rows = np.flatnonzero(lengths > 0)
    if not len(rows):
        return None
    of_row = videos.of_row[rows]
    parts = bool(starts[rows].any()) or bool((lengths[rows] != counts[of_row]).any())
    left = replace(index, starts=starts, frame_counts=lengths).take(rows)
    paths = [folders[video] for video in of_row.tolist()]
    above = "../" if len(dataset.streams) > 1 else ""
    if shown is not None:
        shown = [shown[row] for row in rows.tolist()]
    return written_list(left, paths, parts=parts, folder=f"{above}{_LABELS}/", shown=shown)
