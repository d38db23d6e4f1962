"""What every renderer does besides rendering: it measures its work, and names file or clip in its errors.

::

    with Meter(counters) as meter:     the clock starts
        data = files.read(number)
        meter.lap(READ)                seconds since the last lap
        meter.add(BYTES, len(data))
        ...
        meter.add_clip(frames=16)      leaving the block adds all of it to the counters, after an error too
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from fastclips.engine.arena import COUNTERS
from fastclips.errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "BYTES",
    "DECODE",
    "FILLED",
    "HELD",
    "KERNEL",
    "MOVIE_FRAMES",
    "PILLOW",
    "READ",
    "STEPS",
    "Meter",
    "at_path",
    "clip_name",
    "in_words",
    "of_clip",
]

READ, DECODE, KERNEL, BYTES, PILLOW, MOVIE_FRAMES = map(
    COUNTERS.index, ("read_s", "decode_s", "kernel_s", "bytes", "pillow", "movie_frames")
)
HELD, FILLED = COUNTERS.index("held"), COUNTERS.index("filled")
_CLIPS, _FRAMES, _RUNGS, _PIXELS, _DECODED_PIXELS = map(
    COUNTERS.index, ("clips", "frames", "sliced", "pixels", "decoded_pixels")
)
_STAGE = COUNTERS.index("stage")
STEPS = KERNEL  # as a stage: the pixel steps, which are timed as kernels
_STAGES = {READ: 2.0, DECODE: 3.0, STEPS: 4.0}  # indices of `STAGES`
_NOTHING = [0.0] * len(COUNTERS)


class Meter:
    """Measures the time and the work of one clip and adds them to a worker's counters.

    Sums are kept in Python floats: adding to an array's entry takes three times as long.

    Parameters
    ----------
    counters : ndarray of float64
        One entry per name in `COUNTERS`. Only entries with something to add are written, because the nursery
        writes ``pid`` from another process.
    """

    __slots__ = ("_counters", "_lap", "_sums")

    def __init__(self, counters: NDArray[np.float64]) -> None:
        self._counters, self._sums = counters, _NOTHING.copy()
        self._lap = perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for counter, total in enumerate(self._sums):
            if total:
                self._counters[counter] += total

    def begin(self, stage: int) -> None:
        """Show others what this process is about to do: READ, DECODE or STEPS."""
        self._counters[_STAGE] = _STAGES[stage]

    def lap(self, counter: int) -> None:
        """Add the seconds since the last lap, or since the meter was made, to a counter."""
        now = perf_counter()
        self._sums[counter] += now - self._lap
        self._lap = now

    def add(self, counter: int, amount: float) -> None:
        """Add to a counter."""
        self._sums[counter] += amount

    def add_decoded(self, rung: int, pixels: float, decoded_pixels: float, frames: int = 1) -> None:
        """Add frames decoded in one way.

        Parameters
        ----------
        rung : int
            A `fastclips.pixels.decoding.decoder.Rung`.
        pixels, decoded_pixels : float
            Pixels of each frame, at the scale at which it was decoded; and those of them that were decoded.
        frames : int
            How many frames.
        """
        sums = self._sums
        sums[_RUNGS + rung] += frames
        sums[_PIXELS] += frames * pixels
        sums[_DECODED_PIXELS] += frames * decoded_pixels

    def add_clip(self, frames: int) -> None:
        """Add one clip of so many frames."""
        self._sums[_CLIPS] += 1
        self._sums[_FRAMES] += frames


def at_path(error: Exception, path: str, *, video: int | None = None, frame: int | None = None) -> FrameError:
    """Return an error that names a frame's file: a new one, unless `error` has a path already.

    Raise it ``from error.__cause__``: the new error says all that `error` says.

    Parameters
    ----------
    error : Exception
        Its text becomes the reason.
    path : str
        Path of the frame, as the storage names it.
    video, frame : int, optional
        The storage's own numbers.
    """
    if isinstance(error, FrameError) and error.path is not None:
        return error
    reason = str(error)
    return FrameError(f"{path}: {reason}", path=path, reason=reason, video=video, frame=frame)


def in_words(error: Exception) -> str:
    """Return the type and the text of an error of the user's code."""
    return f"{type(error).__name__}: {error}"


def of_clip(name: str, reason: str, ticket: np.void) -> FrameError:
    """Return the error of a ticket's clip, of which no frame is known to be at fault.

    Parameters
    ----------
    name : str
        From `clip_name`.
    reason : str
        What happened to the clip, such as `in_words` of an error.
    ticket : numpy.void
        The clip's ticket.
    """
    return FrameError(f"{name}: {reason}", reason=reason, video=int(ticket["video"]))


def clip_name(where: Callable[[int, int, int], str] | None, ticket: np.void, time_steps: int = 0) -> str:
    """Return the name of a ticket's clip in messages.

    Parameters
    ----------
    where : callable, optional
        Returns the path of a frame from the number of its stream, video and frame.
    ticket : numpy.void
        The clip's ticket.
    time_steps : int
        Frames of the clip.
    """
    video, frames = int(ticket["video"]), ticket["frames"][: time_steps or None].tolist()
    frames = [frame if frame >= 0 else ~frame for frame in frames]
    shown = f"frames {min(frames)} to {max(frames)}" if len(frames) > 1 else f"frame {frames[0]}"
    try:
        first = None if where is None else where(0, video, frames[0])
    except Exception:  # noqa: BLE001 - of the user's storage, which may be what the message is about
        first = None
    clip = f"a clip of epoch {ticket['epoch']}" if first is None else f"the clip of {first!r}"
    return f"{clip} (video {video}, {shown})"
