"""Videos in a flat list of files, and windows that stay inside them.

::

    group(filenames)              the frames of each video, in order of time              -> Runs
    runs.share(...)               the videos of a subset, or a part of one video          -> Runs
    runs.cut(codes)               runs that end where a code changes                      -> Runs
    runs.clips(T, step, ...)      the windows that fit into the runs, or an error         -> Clips

The files of a clip are one formula::

    files[(starts[clip] + offsets) % len(files)]

    windows of videos     `files` video after video, offsets 0, d, 2d, ...: oldest first, within one video
    flat                  all files in a row, offsets 0, -1, -2, ...: newest first, past borders of videos,
                          as in TimeDistributedImageDataGenerator 0.4; with one time step, single pictures
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from fastclips.compat._base.warn import warn
from fastclips.data.decimals import Decimals, find_decimals
from fastclips.data.names import natural_key, stem
from fastclips.errors import DataError
from fastclips.planning.clips import EvenClips

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["VIDEOS", "Clips", "Runs", "group"]

VIDEOS = (
    "A video is a folder in the folder of its class, or the files whose names differ only in the number at "
    "the end, such as run_0001.jpg, run_0002.jpg"
)

_NUMBERED = re.compile(r"(.*?)[0-9]+\)?", re.DOTALL)  # "img_0001", and "img (1)"
_DOTTED = re.compile(r"[0-9]\.[0-9]").search
_DECIMAL = re.compile(r"(.*?)(?<![0-9])(?<![0-9]\.)[0-9]+(?:\.[0-9]+)?\)?", re.DOTALL)  # "img_0.15" too


@dataclass(frozen=True)
class Clips:
    """The files of each sample.

    Parameters
    ----------
    files : ndarray of int64
        Numbers of files, in an order.
    starts : ndarray of int64, (clips,)
        Where each clip begins in `files`.
    offsets : ndarray of int64, (T,)
        Where its frames are from there.
    """

    files: NDArray[np.int64]
    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @classmethod
    def flat(cls, files: int, time_steps: int = 1) -> Clips:
        """Return one clip for each file, which is its newest frame."""
        every = np.arange(files)
        return cls(every, every, -np.arange(time_steps))

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def time_steps(self) -> int:
        """Files of a sample, T."""
        return len(self.offsets)

    def frames(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the files of samples, (B, T), in the order in which they are shown."""
        places = (self.starts[samples][:, None] + self.offsets) % len(self.files)
        return np.asarray(self.files[places], np.int64)

    def videos(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the samples: each is a video of its own in messages."""
        return samples

    @cached_property
    def newest(self) -> NDArray[np.int64]:
        """The file of each clip's newest frame, (clips,)."""
        return np.asarray(self.files[self.starts + self.offsets.max()], np.int64)


@dataclass(frozen=True)
class Runs:
    """Runs of frames that follow each other in time.

    Parameters
    ----------
    files : ndarray of int64, shape (frames,)
        The frames' numbers in the list, run after run, oldest first.
    begins, ends : ndarray of int64, shape (runs,)
        Where each run begins and ends in `files`.
    names : tuple of str
        Name of each run, for messages.
    """

    files: NDArray[np.int64]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    names: tuple[str, ...]

    def share(self, codes: NDArray[np.int64], fraction: float, subset: str) -> tuple[Runs, dict[int, str]]:
        """Return the videos of a subset; the videos of each code are divided separately.

        Validation takes the first videos: `fraction` of them, rounded, but at least one and never all. If a
        code has a single video, validation takes the frames before a cut.

        Parameters
        ----------
        codes : ndarray of int64, shape (files in the list,)
            Code of each file, such as its class; the code of a video is that of its first frame.
        fraction : float
            Validation's fraction, between 0 and 1.
        subset : "training" or "validation"
            Which part.

        Returns
        -------
        runs : Runs
            The runs of the subset.
        cut : dict of int to str
            Names of the videos that were cut in two, by code.
        """
        validation, cut = subset == "validation", {}
        begins, ends = self.begins.copy(), self.ends.copy()
        kept = np.zeros(len(begins), bool)
        video_codes = codes[self.files[begins]]
        for code in np.unique(video_codes).tolist():
            videos = np.flatnonzero(video_codes == code)
            if len(videos) == 1:
                video = int(videos[0])
                middle = begins[video] + int(fraction * (ends[video] - begins[video]))
                (ends if validation else begins)[video] = middle
                cut[code], kept[video] = self.names[video], True
            else:
                first = min(max(round(fraction * len(videos)), 1), len(videos) - 1)
                kept[videos[:first] if validation else videos[first:]] = True
        return Runs(self.files, begins, ends, self.names).take(np.flatnonzero(kept).tolist()), cut

    def take(self, runs: list[int]) -> Runs:
        """Return some of the runs."""
        names = tuple(self.names[run] for run in runs)
        return Runs(self.files, self.begins[runs], self.ends[runs], names)

    def cut(self, codes: NDArray[np.int64]) -> Runs:
        """Return runs that end wherever the code (files in the list,) of a frame differs from the next's."""
        changes = np.flatnonzero(np.diff(codes[self.files])) + 1
        begins, ends, names = [], [], []
        for begin, end, name in zip(self.begins.tolist(), self.ends.tolist(), self.names, strict=True):
            inside = changes[np.searchsorted(changes, begin, "right") : np.searchsorted(changes, end, "left")]
            edges = [begin, *inside.tolist(), end]
            begins += edges[:-1]
            ends += edges[1:]
            names += [name] * (len(edges) - 1)
        return Runs(self.files, np.array(begins, np.int64), np.array(ends, np.int64), tuple(names))

    def windows(self, time_steps: int, step: int, dilation: int) -> NDArray[np.int64]:
        """Return where all windows that fit begin in `files`, run by run, (windows,).

        Parameters
        ----------
        time_steps, step, dilation : int
            Frames in a window, from window to window, from frame to frame.
        """
        counts = (self.ends - self.begins - (dilation * (time_steps - 1) + 1)) // step + 1
        windows = EvenClips(np.maximum(counts, 0), step)
        return np.asarray(self.begins[windows.video] + windows.start, np.int64)

    def clips(self, time_steps: int, step: int, dilation: int, subset: str | None = None) -> Clips:
        """Return all windows that fit, run by run; warn of runs that are too short.

        `subset` is the name of these runs in messages; the other parameters are those of `windows`.

        Raises
        ------
        DataError
            If all runs are too short.
        """
        lengths, span = self.ends - self.begins, dilation * (time_steps - 1) + 1
        short = lengths < span
        if short.all():
            dilated = f" and dilation={dilation} (a span of {span})" * (dilation > 1)
            of = "" if subset is None else f" of the {subset} subset"
            raise DataError(
                f"time_steps={time_steps}{dilated}: the longest of {len(lengths)} videos{of} has "
                f"{lengths.max(initial=0)} frames. {VIDEOS}"
            )
        if short.any():
            warn(
                f"time_steps={time_steps}: {short.sum()} of {len(lengths)} videos have fewer than {span} "
                f"frames and give no clip, such as {self.names[int(np.argmax(short))]!r}"
            )
        starts = self.windows(time_steps, step, dilation)
        return Clips(self.files, starts, dilation * np.arange(time_steps))


def group(filenames: Sequence[str], *, folders: bool) -> Runs:
    """Group files into videos.

    Parameters
    ----------
    filenames : sequence of str
        Paths, with ``/`` between folders.
    folders : bool
        Whether a folder in a folder, as in ``class/video/0001.jpg``, is one video, whatever the names of its
        frames. Everywhere else, a video is the files of a folder whose names differ only in the number at the
        end, which may be a decimal such as ``0.15``.

    Returns
    -------
    Runs
        In the order of their first files; the files of a run are in natural order, decimals as numbers.

    Raises
    ------
    DataError
        The numbers of a video's files may be decimals or counters, which have different orders.
    """
    decimals = _decimals(filenames, folders=folders)
    groups: dict[str, list[int]] = {}
    for number, name in enumerate(filenames):
        key = _video_of(name, _DECIMAL, folders=folders) if decimals else ""
        if key not in decimals:
            key = _video_of(name, _NUMBERED, folders=folders)
        groups.setdefault(key, []).append(number)
    files = [
        sorted(numbers, key=lambda number: decimals[key].key(stem(filenames[number])))
        if key in decimals
        else sorted(numbers, key=lambda number: natural_key(filenames[number]))
        for key, numbers in groups.items()
    ]
    ends = np.cumsum([len(numbers) for numbers in files], dtype=np.int64)
    begins = np.concatenate([np.zeros(1, np.int64), ends])[:-1]
    return Runs(np.array([*chain.from_iterable(files)], np.int64), begins, ends, tuple(groups))


def _video_of(name: str, numbered: re.Pattern[str], *, folders: bool) -> str:
    """Return what the files of one video have in common: the folder, or the text before the number."""
    path = PurePosixPath(name)
    if folders and len(path.parts) > 2:  # noqa: PLR2004 - class/frame.jpg
        return f"{path.parent}/"
    text = stem(name)
    found = numbered.fullmatch(text)
    return found[1] if found else text


def _decimals(filenames: Sequence[str], *, folders: bool) -> dict[str, Decimals]:
    """Return the decimals in the names of each video's files; videos without any are left out."""
    stems: dict[str, list[str]] = {}
    for name in filenames if any(map(_DOTTED, filenames)) else ():
        stems.setdefault(_video_of(name, _DECIMAL, folders=folders), []).append(stem(name))
    found = {video: find_decimals(names) for video, names in stems.items()}
    for video, decimals in found.items():
        decimals.refuse_unclear(video)
    return {video: decimals for video, decimals in found.items() if decimals}
