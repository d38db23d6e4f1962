"""Missing frame numbers in the runs of frames that clips are cut from."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from fastclips.compat._base.warn import warn
from fastclips.data.names import FileNames, find_gaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastclips.compat._base.videos import Runs

__all__ = ["warn_gaps"]


def warn_gaps(runs: Runs, paths: Sequence[str]) -> None:
    """Warn, by the rule of `fastclips.open`, of runs whose clips continue across missing numbers."""
    files = runs.files.tolist()
    videos: dict[str, FileNames] = {}
    for name, begin, end in zip(runs.names, runs.begins.tolist(), runs.ends.tolist(), strict=True):
        found = FileNames.of([PurePosixPath(paths[number]).name for number in files[begin:end]])
        if name not in videos or found.has_gap():  # runs of one name are parts of one video
            videos[name] = found
    gaps = find_gaps(videos)
    if gaps:
        warn(gaps)
