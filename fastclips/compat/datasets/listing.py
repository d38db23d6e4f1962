"""Files, videos and classes of a folder, as Keras's `image_dataset_from_directory` lists them.

::

    directory/class/.../frame.jpg     labels="inferred": the folders directly in the directory are classes
    directory/.../frame.jpg           labels=None, or given by the user

Classes and folders are sorted by their paths, and files by their names, as in Keras; the frames of a video
are in natural order (`fastclips.compat._base.videos`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from fastclips.compat._base.files import FileList
from fastclips.compat._base.folders import check_folder, listed_classes, listed_files
from fastclips.compat._base.gaps import warn_gaps
from fastclips.compat._base.videos import Runs, group
from fastclips.compat._base.warn import warn
from fastclips.errors import DataError, OptionError
from fastclips.options import checked_choice, first_few

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["FORMATS", "Found", "find_videos"]

_UNCLASSED = "give labels=None if there are no classes"
FORMATS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")  # in any case


def _checked_labels(labels: object, expected: int, unit: str) -> list[int]:
    """Return given labels, a list of int, one for each unit."""
    if not isinstance(labels, (list, tuple)):
        raise OptionError(
            f'labels={labels!r}: must be "inferred", None, or a list of integers, one for each {unit}'
        )
    wrong = [label for label in labels if isinstance(label, bool) or not hasattr(label, "__index__")]
    if wrong:
        raise OptionError(f"labels= holds {wrong[0]!r}: must hold integers")
    if len(labels) != expected:
        raise OptionError(
            f"labels= has {len(labels)} items for {expected} {unit}s: must have one for each, in the order "
            "of their paths"
        )
    return [int(label) for label in labels]


@dataclass(frozen=True)
class Found:
    """Files, videos and labels of a directory.

    Parameters
    ----------
    top : str
        The directory.
    names : list of str
        Paths of the files from there.
    runs : Runs
        The videos, by numbers of files.
    unit : "video" or "file"
        What a video is called in messages: a folder of frames, or a single file.
    labels : ndarray of int32, (files,), or None
        The class of each file.
    label_mode : str or None
        As given.
    class_names : list of str or None
        Names of the classes.
    """

    top: str
    names: list[str]
    runs: Runs
    unit: str
    labels: NDArray[np.int32] | None = None
    label_mode: str | None = None
    class_names: list[str] | None = None

    @cached_property
    def files(self) -> FileList:
        """The files, for workers."""
        return FileList.of(self.names, self.top)

    def told(self) -> str:
        """Return how much was found, as a sentence."""
        files = f"{len(self.names)} files" + f" of {len(self.runs.begins)} videos" * (self.unit == "video")
        classes = "" if self.class_names is None else f" belonging to {len(self.class_names)} classes"
        return f"Found {files}{classes}."

    def split(self, share: float, seed: int | None) -> dict[str, list[int]]:
        """Return the videos for ``"training"`` and, unless `share` is 0, for ``"validation"``.

        If each file is a video, they are the files that Keras chooses. A seed shuffles the videos first.

        Raises
        ------
        OptionError
            If there are too few videos.
        """
        videos = list(range(len(self.runs.begins)))
        if seed is not None:
            np.random.RandomState(seed).shuffle(videos)
        if not share:
            return {"training": videos}
        last = int(share * len(videos))
        if last == 0:
            raise OptionError(
                f"validation_split={share}: of {len(videos)} {self.unit}s leaves none to validate on; give a "
                "larger one, or more data"
            )
        parts = {"training": videos[:-last], "validation": videos[-last:]}
        trained, validated = (self._classes(some) for some in parts.values())
        if validated - trained:
            warn(
                f"validation_split={share} leaves no {self.unit} of {first_few(sorted(validated - trained))} "
                "to train on; give shuffle=True, or another seed="
            )
        return parts

    def _classes(self, videos: list[int]) -> set[str]:
        if self.labels is None or self.class_names is None:
            return set()
        labels = self.labels[self.runs.files[self.runs.begins[videos]]]
        return {self.class_names[label] for label in labels.tolist() if label < len(self.class_names)}


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
        As for `fastclips.compat.image_dataset_from_directory`.
    clips : bool
        Whether a video is a folder of frames; otherwise each file is a video.

    Raises
    ------
    OptionError
        If the arguments do not fit each other, or the directory.
    DataError
        If the directory is missing, or has no class or no file.
    """
    if label_mode is not None:
        checked_choice(label_mode, "label_mode", ("int", "categorical", "binary"))
    labels = None if label_mode is None else labels
    inferred = isinstance(labels, str)
    if inferred:
        checked_choice(labels, "labels", ("inferred",))
    elif class_names is not None:
        raise OptionError(
            f'class_names={class_names!r}: needs labels="inferred" and a label_mode, as it orders the '
            "folders of classes"
        )
    check_folder(top)
    folders = [""]
    if inferred:
        folders = listed_classes(top, class_names, "class_names", _UNCLASSED, hidden=False)
    by_class = [listed_files(top, name, follow_links=follow_links, formats=FORMATS) for name in folders]
    names = [*chain.from_iterable(by_class)]
    if not names:
        where = f" in {first_few(folders)}" if inferred else ""
        raise DataError(f"directory={top!r}: there are no files of {', '.join(FORMATS)}{where}")
    every = np.arange(len(names))
    runs = _videos(names) if clips else Runs(every, every, every + 1, tuple(names))
    unit = "video" if clips else "file"
    if labels is None:
        return Found(top, names, runs, unit)
    if inferred:
        codes = np.repeat(np.arange(len(folders), dtype=np.int32), [*map(len, by_class)])
    else:
        given = _checked_labels(labels, len(runs.begins), unit)
        classes = sorted(set(given))
        folders = [str(label) for label in classes]
        codes = np.empty(len(names), np.int32)
        codes[runs.files] = np.repeat(np.array(given, np.int32), runs.ends - runs.begins)
        if label_mode != "int" and classes != list(range(len(classes))):
            raise OptionError(
                f"labels= are {first_few(classes)}: must be 0, 1, 2, ... without gaps with "
                f"label_mode={label_mode!r}"
            )
    if label_mode == "binary" and len(folders) != 2:  # noqa: PLR2004 - binary
        raise OptionError(
            f"label_mode='binary': needs 2 classes, and there are {len(folders)}: {first_few(folders)}"
        )
    return Found(top, names, runs, unit, codes, label_mode, folders)


def _videos(names: Sequence[str]) -> Runs:
    """Return files as videos; warn of missing frames."""
    runs = group(names, folders=True)
    warn_gaps(runs, names)
    return runs
