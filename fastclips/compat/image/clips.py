"""Which files a clip shows, and the targets that go with it.

A sample's files are one formula, whichever way clips are cut::

    files[(starts[sample] + offsets) % len(files)]

    windows of videos     `files` video after video, offsets 0, d, 2d, ...: oldest first, no border crossed
    flat                  all files in a row, offsets 0, -1, -2, ...: newest first, past every border, as
                          TimeDistributedImageDataGenerator 0.4 does
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.compat._base.videos import group
from fastclips.compat.image.iterator import Targets
from fastclips.errors import DataError, OptionError
from fastclips.options import checked_choice, first_few

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["ClipTargets", "Clips", "Sampling"]

_WHAT = (
    "A video is a folder in the class's folder, or files called alike but for the number at the end, as "
    "run_0001.jpg, run_0002.jpg"
)


@dataclass(frozen=True)
class Sampling:
    """How clips are cut out of a list of files.

    Parameters
    ----------
    time_steps : int
        Frames of a clip.
    step, dilation : int
        Frames from window to window, and from frame to frame.
    flat : bool
        Whether each file is the newest frame of a clip, videos or not.
    labels : "clip" or "frame", optional
        Whether targets are those of the newest frame or of each; by default ``"clip"``.
    """

    time_steps: int
    step: int = 1
    dilation: int = 1
    flat: bool = False
    labels: str = "clip"

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
            Paths of the files, with ``/`` between folders.
        codes : ndarray of int64, (files,)
            Equal for files of one class. If targets are of clips, a clip does not go beyond a class.
        folders : bool
            As for `fastclips.compat._base.videos.group`.
        fraction : float
            The validation split.
        subset : str or None
            Which part of the videos; if flat, `names` are those of the subset.

        Returns
        -------
        Clips

        Raises
        ------
        DataError
            If no video is long enough.
        OptionError
            If the subset cannot be had.
        """
        if self.flat:
            return self._flat(len(names))
        runs = group(names, folders=folders)
        divided: dict[int, str] = {}
        if subset is not None:
            subset = checked_choice(subset, "subset", ("training", "validation"))
            runs, divided = runs.share(codes, fraction, subset)
        if self.labels == "clip":
            runs = runs.cut(codes)
        lengths = runs.ends - runs.begins
        span = self.dilation * (self.time_steps - 1) + 1
        if divided:
            _warn(
                f"subset={subset!r}: {first_few(list(divided.values()))} is the only video of its class, so "
                "it is cut in two in time, and frames beside the cut are alike; more videos of a class are "
                f"better. {_WHAT}"
            )
        if not (lengths >= span).any():
            dilated = f" and dilation={self.dilation} (a span of {span})" * (self.dilation > 1)
            of = "" if subset is None else f" of the {subset} subset"
            raise DataError(
                f"time_steps={self.time_steps}{dilated}: the longest of {len(lengths)} videos{of} has "
                f"{lengths.max(initial=0)} frames. {_WHAT}"
            )
        short = int((lengths < span).sum())
        if short:
            first = runs.names[int(np.argmax(lengths < span))]
            _warn(
                f"time_steps={self.time_steps}: {short} of {len(lengths)} videos have fewer than {span} "
                f"frames and give no clip, such as {first!r}"
            )
        starts = runs.windows(self.time_steps, self.step, self.dilation)
        return Clips(runs.files, starts, self.dilation * np.arange(self.time_steps))

    def _flat(self, files: int) -> Clips:
        if self.time_steps > files + 1:
            raise OptionError(
                f"time_steps={self.time_steps}: with legacy=True there must be as many files, and there are "
                f"{files}"
            )
        every = np.arange(files)
        return Clips(every, every, -np.arange(self.time_steps))


@dataclass(frozen=True)
class Clips:
    """Clips by number.

    Parameters
    ----------
    files : ndarray of int64
        Numbers of files, in an order.
    starts : ndarray of int64, (clips,)
        Where in `files` each begins.
    offsets : ndarray of int64, (T,)
        Where its frames are from there.
    """

    files: NDArray[np.int64]
    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def frames(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the files of clips, (B, T), in the order in which they are shown."""
        places = (self.starts[samples][:, None] + self.offsets) % len(self.files)
        return np.asarray(self.files[places], np.int64)

    @cached_property
    def newest(self) -> NDArray[np.int64]:
        """The file of each clip's newest frame, (clips,)."""
        return np.asarray(self.files[self.starts + self.offsets.max()], np.int64)


class ClipTargets(Targets):
    """What stands beside clips.

    Parameters
    ----------
    mode, classes, dtype
        As for `Targets`.
    values : sequence or ndarray or tuple of ndarray
        As for `Targets`, but by file.
    weights : ndarray, optional
        By file; a clip's is that of its newest frame.
    clips : Clips
        The files of each.
    labels : "clip" or "frame"
        Whether a target is that of the newest frame, (B, ...), or there is one for each, (B, T, ...).
    """

    def __init__(
        self,
        mode: str | None,
        values: Any,  # noqa: ANN401 - see Targets
        *,
        clips: Clips,
        labels: str,
        weights: NDArray[Any] | None = None,
        classes: int = 0,
        dtype: str = "float32",
    ) -> None:
        weights = None if weights is None else weights[clips.newest]
        super().__init__(mode, values, classes=classes, weights=weights, dtype=dtype)
        self._clips, self._per_frame = clips, labels == "frame"

    def of(self, rows: NDArray[np.int64]) -> Any:  # noqa: ANN401 - an array, or several
        """Return the targets of samples."""
        if not self._per_frame:
            return super().of(self._clips.newest[rows])
        files = self._clips.frames(rows)
        found = super().of(files.reshape(-1))
        if isinstance(found, tuple):
            return tuple(one.reshape(*files.shape, *one.shape[1:]) for one in found)
        return found.reshape(*files.shape, *found.shape[1:])


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=5)
