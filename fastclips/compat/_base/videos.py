"""Files in a flat list as videos, and windows that stay inside them.

::

    group(filenames)              which files are frames of one video, in order of time   -> Runs
    runs.share(...)               the videos of a subset, or a video's part of one        -> Runs
    runs.cut(codes)               each run ended where a code changes                     -> Runs
    runs.windows(T, step, ...)    where each clip begins                                  -> (samples,)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from fastclips.data.names import natural_key, stem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Runs", "group"]

_NUMBERED = re.compile(r"(.*?)[0-9]+\)?", re.DOTALL)  # "img_0001", and "img (1)"


@dataclass(frozen=True)
class Runs:
    """Runs of frames that follow each other in time.

    Parameters
    ----------
    files : ndarray of int64, shape (frames,)
        The frames' places in the list, run after run, oldest first.
    begins, ends : ndarray of int64, shape (runs,)
        Where each run lies in `files`.
    names : tuple of str
        What to call each run.
    """

    files: NDArray[np.int64]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    names: tuple[str, ...]

    def share(self, codes: NDArray[np.int64], fraction: float, subset: str) -> tuple[Runs, dict[int, str]]:
        """Return the part of the videos that belongs to a subset, each code's videos divided for themselves.

        Validation takes the first videos: as many as `fraction` says, rounded, but one at least and never
        all. Where there is one video only, it takes the frames before a cut.

        Parameters
        ----------
        codes : ndarray of int64, shape (files in the list,)
            Of each file, such as its class; a video's is that of its first frame.
        fraction : float
            Between 0 and 1: validation's part.
        subset : "training" or "validation"
            Which part.

        Returns
        -------
        runs : Runs
            Of the subset.
        cut : dict of int to str
            The names of the videos that were cut in two, by code.
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
        names = tuple(name for name, keep in zip(self.names, kept, strict=True) if keep)
        return Runs(self.files, begins[kept], ends[kept], names), cut

    def cut(self, codes: NDArray[np.int64]) -> Runs:
        """Return the runs ended wherever a code changes from one frame to the next.

        Parameters
        ----------
        codes : ndarray of int64, shape (files in the list,)
            Of each file, such as its class.

        Returns
        -------
        Runs
            As many or more.
        """
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
        """Return where each window begins: all that fit, run by run.

        Parameters
        ----------
        time_steps, step, dilation : int
            Frames in a window, from window to window, from frame to frame.

        Returns
        -------
        ndarray of int64, shape (windows,)
            Places in `files`: the window's frames are `time_steps` places from there on, `dilation` apart.
        """
        counts = (self.ends - self.begins - (dilation * (time_steps - 1) + 1)) // step + 1
        counts = np.maximum(counts, 0)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.asarray(np.repeat(self.begins, counts) + step * within, np.int64)


def group(filenames: Sequence[str], *, folders: bool) -> Runs:
    """Tell which files are frames of one video.

    Parameters
    ----------
    filenames : sequence of str
        Paths, with ``/`` between folders.
    folders : bool
        Whether a folder in a folder, as in ``class/video/0001.jpg``, is one video whatever its frames are
        called. Everywhere else a video is the files of one folder that are called alike but for the number
        at the end of their names.

    Returns
    -------
    Runs
        In the order in which their first files come; inside each, files are in natural order.
    """
    groups: dict[str, list[int]] = {}
    for number, name in enumerate(filenames):
        path = PurePosixPath(name)
        if folders and len(path.parts) > 2:  # noqa: PLR2004 - class/frame.jpg
            key = f"{path.parent}/"
        else:
            text = stem(name)
            numbered = _NUMBERED.fullmatch(text)
            key = numbered[1] if numbered else text
        groups.setdefault(key, []).append(number)
    files = [
        sorted(numbers, key=lambda number: natural_key(filenames[number])) for numbers in groups.values()
    ]
    ends = np.cumsum([len(numbers) for numbers in files], dtype=np.int64)
    begins = np.concatenate([np.zeros(1, np.int64), ends])[:-1]
    return Runs(np.array([*chain.from_iterable(files)], np.int64), begins, ends, tuple(groups))
