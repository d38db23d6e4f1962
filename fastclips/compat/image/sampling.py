"""How samples are cut out of a list of files: as clips of videos, or flat, as single pictures are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastclips.compat._base.gaps import warn_gaps
from fastclips.compat._base.videos import VIDEOS, Clips, group
from fastclips.compat._base.warn import warn
from fastclips.errors import OptionError
from fastclips.options import checked_choice, first_few

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Sampling"]


@dataclass(frozen=True)
class Sampling:
    """How samples are cut out of a list of files.

    Parameters
    ----------
    time_steps : int
        Frames of a clip.
    step, dilation : int
        Frames from window to window, and from frame to frame.
    flat : bool
        Whether each file is the newest frame of a clip, videos or not.
    per_frame : bool
        Whether each frame has a target; else a clip has that of its newest frame, and ends where the class
        changes.
    """

    time_steps: int = 1
    step: int = 1
    dilation: int = 1
    flat: bool = False
    per_frame: bool = False

    def clips(
        self,
        names: Sequence[str],
        codes: NDArray[np.int64],
        *,
        folders: bool,
        fraction: float,
        subset: str | None,
    ) -> Clips:
        """Cut clips.

        Parameters
        ----------
        names : sequence of str
            Paths of the files, with ``/`` between folders; if flat, those of the subset.
        codes : ndarray of int64, (files,)
            Equal for files of one class.
        folders : bool
            As for `fastclips.compat._base.videos.group`.
        fraction : float
            The validation split.
        subset : str or None
            Which part of the videos.

        Raises
        ------
        DataError
            If no video is long enough.
        OptionError
            If the subset does not exist, or there are too few files.
        """
        if self.flat:
            if self.time_steps > len(names) + 1:
                raise OptionError(
                    f"time_steps={self.time_steps}: must be at most the number of files plus 1 with "
                    f"legacy=True; there are {len(names)} files"
                )
            return Clips.flat(len(names), self.time_steps)
        runs = group(names, folders=folders)
        divided: dict[int, str] = {}
        if subset is not None:
            subset = checked_choice(subset, "subset", ("training", "validation"))
            runs, divided = runs.share(codes, fraction, subset)
        if not self.per_frame:
            runs = runs.cut(codes)
        if divided:
            warn(
                f"subset={subset!r}: {first_few(list(divided.values()))} is the only video of its class, so "
                "its first frames validate and the others train, and frames at the cut are alike; give more "
                f"videos of a class. {VIDEOS}"
            )
        if self.time_steps > 1:
            warn_gaps(runs, names)
        return runs.clips(self.time_steps, self.step, self.dilation, subset)
