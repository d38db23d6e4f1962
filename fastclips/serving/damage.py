"""The damaged frames of served batches: which they are, and when there are too many.

The share is counted in the order of the batches, from the first batch of an epoch on, so it is the same for
any number of workers. Epochs of less than `LEAST` frames are counted together.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastclips.engine.arena import note_to_damage
from fastclips.errors import FrameError, OptionError
from fastclips.options import checked_int, checked_number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

__all__ = ["Damage", "checked_limit"]

LEAST = 100  # frames before a share counts
SHARE = 0.1
_SHOWN = 3  # frames in the error
_log = logging.getLogger("fastclips.serving.batches")  # its name when 0.1.0 logged there


class Damage:
    """Damaged frames that were replaced.

    Parameters
    ----------
    where : callable
        Returns the path of a frame from the number of its stream, video and frame.
    time_steps, streams : int
        Frames of a clip, and streams that have them.
    limit : float or int
        As `damaged_limit` of `fastclips.ClipLoader`.
    file_of : callable, optional
        Returns the path of a video's file from its number, if the frames of a video are in one file: its
        damage is then logged once.

    Attributes
    ----------
    reasons : dict of str to str
        The reason of each damaged frame, by its path, in order of discovery.
    """

    def __init__(
        self,
        where: Callable[[int, int, int], str],
        time_steps: int,
        streams: int,
        limit: float,
        file_of: Callable[[int], str | None] | None = None,
    ) -> None:
        self.where = where
        self.reasons: dict[str, str] = {}
        self._file_of = file_of
        self._logged: set[str] = set()  # files of videos
        self._time_steps, self._streams, self._limit = time_steps, streams, limit
        self._epoch, self._served, self._replaced = 0, 0, 0

    def note(self, notes: Sequence[tuple[np.void, bytes]]) -> int:
        """Record and log damaged frames that the engine noted; return how many frames were replaced."""
        replaced = 0
        of_files: dict[str, dict[str, str]] = {}  # frames of files that were not logged before
        for ticket, text in notes:
            damage, rest = note_to_damage(text)
            replaced += len(damage) + rest
            video = int(ticket["video"])
            file = None if self._file_of is None else self._file_of(video)
            for stream, frame, reason in damage:
                path = self.where(stream, video, frame)
                more = f"; {rest} more of its clip are not listed" if rest else ""
                if file is not None and file not in self._logged:
                    of_files.setdefault(file, {})[path] = f"{reason}{more}"
                elif file is None and path not in self.reasons:
                    _log.warning("Damaged frame %r is replaced: %s%s", path, reason, more)
                self.reasons.setdefault(path, reason)
        for file, frames in of_files.items():
            path, why = next(iter(frames.items()))
            line = "Damaged frames of %r are replaced, %d in this batch, such as %r: %s (logged once)."
            _log.warning(line, file, len(frames), path, why)
            self._logged.add(file)
        return replaced

    def count(self, epoch: int, clips: int, replaced: int) -> None:
        """Count a batch that is about to be served.

        Raises
        ------
        FrameError
            More frames were replaced than the limit allows.
        """
        if epoch != self._epoch and self._served >= LEAST:
            self._served = self._replaced = 0
        self._epoch = epoch
        self._served += clips * self._time_steps * self._streams
        self._replaced += replaced
        if isinstance(self._limit, int):
            if len(self.reasons) > self._limit:
                frames = "1 frame is" if len(self.reasons) == 1 else f"{len(self.reasons):,} frames are"
                raise self._error(f"{frames} damaged")
        elif self._served >= LEAST and self._replaced > self._limit * self._served:
            share = f"{self._replaced:,} of {self._served:,} frames, {self._replaced / self._served:.0%},"
            raise self._error(f"{share} were damaged and replaced in epoch {epoch}")

    def _error(self, what: str) -> FrameError:
        first = "; ".join(f"{path}: {why}" for path, why in list(self.reasons.items())[:_SHOWN])
        path, why = next(iter(self.reasons.items()))
        return FrameError(
            f"{what}, more than damaged_limit={self._limit!r} allows. The first: {first}. `fastclips check` "
            "lists all. Repair the files, or raise damaged_limit= (1.0 is no limit); damaged='error' stops "
            "at the first.",
            path=path,
            reason=why,
        )


def checked_limit(limit: object, *, repeats_damaged: bool) -> float | int:
    """Return `damaged_limit` as an int, a number of frames, or as a float, a share."""
    if limit is None:
        return SHARE
    if not repeats_damaged:
        raise OptionError(
            f"damaged_limit={limit!r}: is for damaged='repeat'; with damaged='error' any damaged frame is an "
            "error"
        )
    if isinstance(limit, float):
        return checked_number(limit, "damaged_limit", 0, 1)
    try:
        return checked_int(limit, "damaged_limit", 0)
    except OptionError:
        raise OptionError(
            f"damaged_limit={limit!r}: must be a float from 0 to 1, a share of the frames, or an int, a "
            "number of frames"
        ) from None
