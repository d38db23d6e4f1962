"""Folders as Keras's `image_dataset_from_directory` lists them: which files and videos, of which class.

::

    directory/class/.../frame.jpg     labels="inferred": the folders directly in it are the classes
    directory/.../frame.jpg           labels=None, or given by the user

Classes and folders come in plain order of their paths, and files of their names, as in Keras; the frames of a
video in natural order (`fastclips.compat._base.videos`).
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from fastclips.compat._base.files import FileList
from fastclips.compat._base.folders import listed_files
from fastclips.compat._base.videos import Runs, group
from fastclips.errors import DataError, OptionError
from fastclips.options import checked_choice, checked_classes, first_few

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["FORMATS", "Found", "find_videos"]

FORMATS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")  # in any case
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Listing:
    """What a directory holds.

    Parameters
    ----------
    files : list of str
        Paths from the directory, class by class.
    labels : list of int or None
        The class of each file, where the folders tell it.
    class_names : list of str or None
        Likewise.
    """

    files: list[str]
    labels: list[int] | None = None
    class_names: list[str] | None = None


def _list(top: str, class_names: Sequence[str] | None, *, inferred: bool, follow_links: bool) -> _Listing:
    if not os.path.isdir(top):  # noqa: PTH112 - a Path would change how paths are written
        raise DataError(f"directory={top!r}: there is no such folder")
    if not inferred:
        found = _Listing(listed_files(top, "", follow_links=follow_links, formats=FORMATS))
    else:
        folders = _class_folders(top, checked_classes(class_names))
        by_class = [
            listed_files(top, folder, follow_links=follow_links, formats=FORMATS) for folder in folders
        ]
        labels = [number for number, some in enumerate(by_class) for _ in some]
        found = _Listing(list(chain.from_iterable(by_class)), labels, folders)
    if not found.files:
        where = f" in {first_few(found.class_names)}" if found.class_names else ""
        raise DataError(f"directory={top!r}: there are no files of {', '.join(FORMATS)}{where}")
    return found


def _checked_labels(labels: object, expected: int, unit: str) -> list[int]:
    """Return labels that were given as a list of int, one for each of so many units."""
    if not isinstance(labels, (list, tuple)):
        raise OptionError(
            f'labels={labels!r}: must be "inferred", None, or a list of integers, one for each {unit}'
        )
    wrong = [label for label in labels if isinstance(label, bool) or not hasattr(label, "__index__")]
    if wrong:
        raise OptionError(f"labels= holds {wrong[0]!r}, but must hold integers")
    if len(labels) != expected:
        raise OptionError(
            f"labels= has {len(labels)} items for {expected} {unit}s: give one for each, in the order of "
            "their paths"
        )
    return [int(label) for label in labels]


def _class_folders(top: str, names: tuple[str, ...] | None) -> list[str]:
    with os.scandir(top) as entries:
        folders = sorted(one.name for one in entries if one.is_dir() and not one.name.startswith("."))
    if not folders:
        raise DataError(
            f'directory={top!r}: holds no folders, but labels="inferred" takes each for a class; give '
            "labels=None if there are no classes"
        )
    unknown = [name for name in names or () if name not in folders]
    if unknown:
        raise OptionError(
            f"class_names= names {unknown[0]!r}, which is no folder in {top!r}; there are "
            f"{first_few(folders)}"
        )
    return folders if names is None else list(names)


class Found:
    """A directory's files, videos and labels.

    Parameters
    ----------
    top : str
        The directory.
    names : list of str
        Paths of the files from there.
    clips : bool
        Whether a video is a folder of frames; otherwise each file is one.

    Attributes
    ----------
    runs : Runs
        The videos, by numbers of files.
    unit : str
        What messages call a video.
    files : FileList
        The same files, for workers.
    labels : ndarray of int32, (files,), or None
        The class of each.
    label_mode : str or None
        As given.
    class_names : list of str or None
        Of the labels.
    """

    def __init__(self, top: str, names: list[str], *, clips: bool) -> None:
        self.top, self.names, self.clips = top, names, clips
        self.unit = "video" if clips else "file"
        numbers = np.arange(len(names))
        self.runs = group(names, folders=True) if clips else Runs(numbers, numbers, numbers + 1, tuple(names))
        self.files = FileList.of(names, top)
        self.labels: NDArray[np.int32] | None = None  # of each file
        self.label_mode: str | None = None
        self.class_names: list[str] | None = None

    def told(self) -> str:
        """Return how much was found, as a sentence."""
        files = f"{len(self.names)} files" + f" of {len(self.runs.begins)} videos" * self.clips
        classes = "" if self.class_names is None else f" belonging to {len(self.class_names)} classes"
        return f"Found {files}{classes}."

    def split(self, share: float, seed: int | None) -> dict[str, list[int]]:
        """Choose the videos to train and to validate on: the files that Keras chooses, where each is a video.

        Parameters
        ----------
        share : float
            Of the videos, to validate on; 0 trains on all.
        seed : int or None
            Of their order; None leaves it.

        Returns
        -------
        dict of str to list of int
            ``"training"`` and, with a share, ``"validation"``.

        Raises
        ------
        OptionError
            There are too few videos for one of them.
        """
        videos = list(range(len(self.runs.begins)))
        if seed is not None:
            np.random.RandomState(seed).shuffle(videos)
        if not share:
            return {"training": videos}
        last = int(share * len(videos))
        if last == 0:
            raise OptionError(
                f"validation_split={share} of {len(videos)} {self.unit}s leaves none to validate on: raise "
                "it, or add some"
            )
        parts = {"training": videos[:-last], "validation": videos[-last:]}
        trained, validated = (self._classes(some) for some in parts.values())
        if validated - trained:
            _log.warning(
                "validation_split= leaves no %s of %s to train on; shuffle=True or another seed= mixes them.",
                self.unit,
                first_few(sorted(validated - trained)),
            )
        return parts

    def _classes(self, videos: list[int]) -> set[str]:
        if self.labels is None or self.class_names is None:
            return set()
        labels = self.labels[self.runs.files[self.runs.begins[videos]]]
        return {self.class_names[label] for label in labels.tolist() if label < len(self.class_names)}

    def cut(
        self, videos: list[int], time_steps: int, step: int, dilation: int, span: int
    ) -> NDArray[np.int64]:
        """Cut clips out of some videos.

        Parameters
        ----------
        videos : sequence of int
            Which.
        time_steps, step, dilation : int
            As for `fastclips.compat.datasets.functions.image_dataset_from_directory`.
        span : int
            Frames from the first of a clip to its last, both included.

        Returns
        -------
        ndarray of int64, (clips,)
            Where each begins in `runs.files`.

        Raises
        ------
        OptionError
            There is none.
        """
        runs = self.runs
        begins, ends = runs.begins[videos], runs.ends[videos]
        names = tuple(runs.names[video] for video in videos)
        starts = Runs(runs.files, begins, ends, names).windows(time_steps, step, dilation)
        short = np.flatnonzero(ends - begins < span).tolist()
        if not len(starts):
            raise OptionError(
                f"time_steps={time_steps} with dilation={dilation} spans {span} frames, but the longest of "
                f"{len(videos)} videos has {int((ends - begins).max())}: lower time_steps="
            )
        if short:
            _log.warning(
                "%d of %d videos are shorter than the %d frames a clip spans and give no clip: %s",
                len(short),
                len(videos),
                span,
                first_few([names[video] for video in short]),
            )
        return starts


def find_videos(
    top: str,
    labels: str | Sequence[int] | None,
    label_mode: str | None,
    class_names: Sequence[str] | None,
    *,
    follow_links: bool,
    clips: bool,
) -> Found:
    """List a directory, and find its videos and their labels.

    Parameters
    ----------
    top : str
        The directory.
    labels, label_mode, class_names, follow_links
        As for `fastclips.compat.datasets.functions.image_dataset_from_directory`.
    clips : bool
        Whether a video is a folder of frames; otherwise each file is one.

    Returns
    -------
    Found

    Raises
    ------
    OptionError
        The arguments do not go together, or not with the directory.
    DataError
        There is no such directory, no class in it, or no file.
    """
    if label_mode is not None:
        checked_choice(label_mode, "label_mode", ("int", "categorical", "binary"))
    labels = None if label_mode is None else labels
    inferred = isinstance(labels, str)
    if inferred:
        checked_choice(labels, "labels", ("inferred",))
    elif class_names is not None:
        raise OptionError(
            f'class_names={class_names!r}: orders the folders of labels="inferred", so it goes neither with '
            "other labels= nor with label_mode=None; leave it out"
        )
    listing = _list(top, class_names, inferred=inferred, follow_links=follow_links)
    found = Found(top, listing.files, clips=clips)
    if labels is None:
        return found
    runs = found.runs
    found.label_mode, found.class_names = label_mode, listing.class_names
    if inferred:
        found.labels = np.array(listing.labels, np.int32)
    else:
        given = _checked_labels(labels, len(runs.begins), found.unit)
        found.class_names = [str(label) for label in sorted(set(given))]
        found.labels = np.empty(len(runs.files), np.int32)
        found.labels[runs.files] = np.repeat(np.array(given, np.int32), runs.ends - runs.begins)
        if label_mode != "int" and sorted(set(given)) != list(range(len(set(given)))):
            raise OptionError(
                f"labels= are {first_few(sorted(set(given)))}, but label_mode={label_mode!r} needs all from "
                "0 on, without gaps"
            )
    if label_mode == "binary" and len(found.class_names or ()) != 2:  # noqa: PLR2004 - binary
        raise OptionError(
            f"label_mode='binary' needs two classes, but there are {len(found.class_names or ())}: "
            f"{first_few(found.class_names or ())}"
        )
    return found
