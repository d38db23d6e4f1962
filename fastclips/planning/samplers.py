"""The samplers of the library.

**Positions.** A sampler counts in positions. Without ``fps=`` positions are frames. With ``fps=`` positions
are 1 / fps seconds apart, whatever the video's own rate: position p shows frame
``floor(p * rate / fps + 1e-6)``, and a video of N frames has ``ceil(N * fps / rate - 1e-6)`` positions, at
least one. Starts, steps, dilations and spans are positions, so a clip lasts equally long in every video. (The
1e-6 corrects rounding of the division: 3 * 29.97 / 29.97 is frame 3.)

**Padding.** A time step without a frame of its own repeats the last frame shown. It is marked: its number is
``~frame``, below 0.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import checked_bool, checked_choice, checked_int, first_few
from fastclips.planning.clips import Clips, ClipSampler, EvenClips, Videos
from fastclips.planning.draws import Draws, Purpose, to_units

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

_STEPS = ("time_steps", "n")
_MOST_STEPS = 2**20  # frames in a clip, all listed in its ticket

__all__ = ["RandomWindow", "Segments", "Views", "Windows"]

Short = Literal["drop", "pad", "loop", "error"]
_DRAWN = 2**18  # numbers drawn at a time, to bound memory
_SLOWEST, _FASTEST = 1e-9, 1e9  # frames per second: products of these with positions stay finite


class _ShortAware(ClipSampler):
    """Base of all samplers here: the treatment of videos that are too short."""

    short: Short

    @property
    @abstractmethod
    def span(self) -> int:
        """Positions that a video needs to fill a clip."""

    @property
    def pads(self) -> bool:
        """Whether a clip may repeat a frame as padding."""
        return self.short == "pad"

    def _check(self, *knobs: str) -> None:
        for knob in knobs:
            # A Python int, since the repr enters the plan's fingerprint.
            object.__setattr__(
                self,
                knob,
                checked_int(getattr(self, knob), knob, 1, _MOST_STEPS if knob in _STEPS else 2**31),
            )
        checked_choice(self.short, "short", get_args(Short))

    def _needed(self) -> str:
        return f"{self.span} frames"

    def _lengths(self, videos: Videos) -> NDArray[np.int64]:
        """Return the positions of each video."""
        return videos.frame_counts

    def _useful(self, videos: Videos, lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which videos give clips."""
        short = lengths < self.span
        if self.short == "error" and short.any():
            rows = np.flatnonzero(short)
            few = [videos.called(row) for row in rows[:6].tolist()]
            raise OptionError(
                f"{len(rows)} of {len(videos)} videos are shorter than the {self._needed()} a clip spans: "
                f'{first_few(few)}; leave them out, or pass short="drop", "pad" or "loop"'
            )
        return ~short if self.short == "drop" else videos.frame_counts > 0

    def shortage(self, videos: Videos) -> str:
        """Return a message on short videos: see `ClipSampler.shortage`."""
        short = int(np.count_nonzero(self._lengths(videos) < self.span))
        empty = 0 if self.short == "drop" else int(np.count_nonzero(videos.frame_counts == 0))
        fate = {"pad": "are padded", "loop": "are looped"}.get(self.short, "give no clip")
        news = []
        if short > empty:
            news.append(
                f"{short - empty} of {len(videos)} videos are shorter than the {self._needed()} a clip spans "
                f"and {fate}"
            )
        if empty:
            news.append(f"{empty} of {len(videos)} videos have no frames and give no clip")
        return "; ".join(news)


class _Spaced(_ShortAware):
    """Base of samplers whose clips are evenly spaced positions."""

    time_steps: int
    dilation: int
    fps: float | None

    def _check(self, *knobs: str) -> None:
        super()._check(*knobs)
        if self.fps is not None:
            object.__setattr__(self, "fps", _checked_rate(self.fps))

    @property
    def span(self) -> int:
        """Positions from the first to the last time step of a clip, both included."""
        return self.dilation * (self.time_steps - 1) + 1

    def _needed(self) -> str:
        return f"{self.span} frames" if self.fps is None else f"{self.span / self.fps:.4g} seconds"

    def _lengths(self, videos: Videos) -> NDArray[np.int64]:
        if self.fps is None:
            return videos.frame_counts
        if videos.fps is None:
            raise OptionError(
                f"fps={self.fps}: needs the frames per second of each video; "
                "open a list of videos with a column fps, or leave fps= out"
            )
        wrong = np.flatnonzero(~((videos.fps >= _SLOWEST) & (videos.fps <= _FASTEST)))
        if len(wrong):
            raise OptionError(
                f"fps={self.fps}: video {videos.called(int(wrong[0]))!r} has fps {videos.fps[wrong[0]]}; "
                'the column "fps" must have a positive number for each video'
            )
        most = np.argmax(videos.frame_counts / videos.fps)
        if videos.frame_counts[most] * self.fps / videos.fps[most] >= 2**31:
            raise OptionError(
                f"fps={self.fps}: must be lower, so that a video has fewer than {2**31} positions; video "
                f"{videos.called(int(most))!r} has {videos.frame_counts[most]} frames at {videos.fps[most]} "
                "per second"
            )
        return self._timed(videos.frame_counts, videos.fps)

    def _timed(self, counts: NDArray[np.int64], rates: NDArray[np.float64]) -> NDArray[np.int64]:
        lengths = np.ceil(counts * cast("float", self.fps) / rates - 1e-6).astype(np.int64)
        return np.maximum(lengths, counts > 0)

    def frames(self, clips: Clips, videos: Videos) -> NDArray[np.int32]:
        """Return the frames of some clips: see `ClipSampler.frames`."""
        counts, start = videos.frame_counts[clips.video][:, None], clips.start[:, None]
        position = start + np.arange(self.time_steps) * self.dilation
        fps, lengths = self.fps, counts
        if fps is not None:
            rates = cast("NDArray[np.float64]", videos.fps)[clips.video][:, None]
            lengths = self._timed(counts, rates)
        loops = self.short == "loop" and lengths < self.span
        padded = self.pads and (position >= lengths) & ~np.asarray(loops)
        if self.pads:
            last = start + (lengths - 1 - start) // self.dilation * self.dilation
            position = np.where(padded, last, position)
        if fps is not None:
            shown = np.floor(position * rates / fps + 1e-6)
            frame = np.where(loops, shown % counts, np.minimum(shown, counts - 1)).astype(np.int32)
        else:
            frame = np.where(loops, position % counts, position).astype(np.int32)
        return np.where(padded, ~frame, frame)


@dataclass(frozen=True)
class Windows(_Spaced):
    """All windows of each video, at a fixed distance.

    Parameters
    ----------
    time_steps : int
        Frames in a clip.
    step : int, optional
        Positions from the start of one window to the start of the next. By default the span of a clip, so
        windows neither overlap nor leave gaps.
    dilation : int
        Positions from one frame of a clip to the next.
    fps : float, optional
        Positions per second; by default positions are frames. Needs the frames per second of each video.
    tail : {"drop", "pad"}
        Frames after the last full window are left out (``"drop"``), or give one more window, padded
        (``"pad"``). This window starts one `step` after the last full window, if a frame is left there.
    short : {"drop", "pad", "loop", "error"}
        A video shorter than a window gives no clip (``"drop"``), one padded clip (``"pad"``), one clip that
        starts over at the first frame (``"loop"``), or an error.

    Raises
    ------
    OptionError
        If an option is out of range.

    Examples
    --------
    >>> dataset = fc.open("frames/")  # videos of 12 frames
    >>> loader = fc.ClipLoader(dataset, fc.Windows(4, step=5, tail="pad"), batch_size=3, workers=0)
    >>> loader.plan_table(0)["frames"][:3]  # ~11 is -12: frame 11 repeated as padding
    array([[  0,   1,   2,   3],
           [  5,   6,   7,   8],
           [ 10,  11, -12, -12]], dtype=int32)
    """

    time_steps: int
    step: int | None = None
    dilation: int = 1
    _: KW_ONLY
    fps: float | None = None
    tail: Literal["drop", "pad"] = "drop"
    short: Short = "drop"

    def __post_init__(self) -> None:
        self._check("time_steps", "dilation")
        checked_choice(self.tail, "tail", ("drop", "pad"))
        step = self.span if self.step is None else checked_int(self.step, "step", 1)
        object.__setattr__(self, "step", step)

    @property
    def pads(self) -> bool:
        """Whether a clip may repeat a frame as padding."""
        return "pad" in (self.tail, self.short)

    def clips(self, videos: Videos, draws: Draws) -> Clips:  # noqa: ARG002 - draws nothing
        """Cut all videos into clips, in order: see `ClipSampler.clips`."""
        step = self.step or self.span
        lengths = self._lengths(videos)
        beyond = lengths - self.span  # the last start that leaves a full window
        windows = np.where(beyond >= 0, beyond // step + 1, 1)
        if self.tail == "pad":
            following = windows * step
            windows += (beyond > following - step) & (following < lengths)
        windows *= self._useful(videos, lengths)
        return EvenClips(windows, step)


@dataclass(frozen=True)
class RandomWindow(_Spaced):
    """One random window of each video, another one in each epoch; all starts are equally likely.

    Parameters
    ----------
    time_steps, dilation, fps, short
        As for `Windows`.

    Raises
    ------
    OptionError
        If an option is out of range.

    Examples
    --------
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.RandomWindow(4), batch_size=6, workers=0)
    >>> [loader.plan_table(epoch)["start"].tolist() for epoch in (0, 1)]
    [[5, 7, 6, 5, 3, 1], [8, 1, 0, 7, 2, 4]]
    """

    time_steps: int
    dilation: int = 1
    _: KW_ONLY
    fps: float | None = None
    short: Short = "drop"

    def __post_init__(self) -> None:
        self._check("time_steps", "dilation")

    @property
    def varies(self) -> bool:
        """True: each epoch has windows of its own."""
        return True

    def clips(self, videos: Videos, draws: Draws) -> Clips:
        """Cut all videos into clips, in order: see `ClipSampler.clips`."""
        lengths = self._lengths(videos)
        video = np.flatnonzero(self._useful(videos, lengths))
        starts = np.maximum(lengths[video] - (self.span - 1), 1)
        units = to_units(draws.first_words(Purpose.WINDOW, len(videos))[video])
        return Clips(video, (units * starts).astype(np.int64), _one_view(video))


@dataclass(frozen=True)
class Views(_Spaced):
    """A fixed number of windows of each video, evenly spread from its first frame to its last, for testing.

    Starts are rounded to the nearest position, halves down. A short video that is padded or looped gives as
    many views as the others, all equal.

    Parameters
    ----------
    time_steps, dilation, fps, short
        As for `Windows`.
    temporal : int
        Windows of each video; a single window is taken from the middle.

    Raises
    ------
    OptionError
        If an option is out of range.

    Examples
    --------
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Views(4, temporal=3), batch_size=6, workers=0)
    >>> loader.plan_table(0)["frames"][:3]
    array([[ 0,  1,  2,  3],
           [ 4,  5,  6,  7],
           [ 8,  9, 10, 11]], dtype=int32)
    """

    time_steps: int
    dilation: int = 1
    temporal: int = 10
    _: KW_ONLY
    fps: float | None = None
    short: Short = "drop"

    def __post_init__(self) -> None:
        self._check("time_steps", "dilation", "temporal")

    def clips(self, videos: Videos, draws: Draws) -> Clips:  # noqa: ARG002 - draws nothing
        """Cut all videos into clips, in order: see `ClipSampler.clips`."""
        lengths = self._lengths(videos)
        video = np.flatnonzero(self._useful(videos, lengths))
        room = np.maximum(lengths[video] - self.span, 0)[:, None]
        view = np.arange(self.temporal)
        share, parts = (view, self.temporal - 1) if self.temporal > 1 else (np.ones(1, np.int64), 2)
        start = (2 * share * room + parts - 1) // (2 * parts)
        return Clips(np.repeat(video, self.temporal), start.reshape(-1), np.tile(view, len(video)))


@dataclass(frozen=True)
class Segments(_ShortAware):
    """One frame from each of n equal parts of a video, as in temporal segment networks.

    Part i of a video of N frames reaches from ``i * N / n`` up to ``(i + 1) * N / n``. A frame on a border
    belongs to two parts and may come twice.

    Parameters
    ----------
    n : int
        Parts of a video, and frames in a clip.
    jitter : bool
        Whether the frame of each part is random, another one in each epoch. Otherwise view v of V takes the
        frame at ``(v + 0.5) / V`` of the part: the middle if there is one view.
    views : int
        Clips of each video.
    short : {"drop", "pad", "loop", "error"}
        A video of fewer than n frames gives no clip (``"drop"``), its frames and then the last one repeated
        as padding (``"pad"``), its frames over and over (``"loop"``), or an error.

    Raises
    ------
    OptionError
        If an option is out of range.

    Examples
    --------
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Segments(3, jitter=False), batch_size=6, workers=0)
    >>> loader.plan_table(0)["frames"][0]  # the middles of 0-3, 4-7 and 8-11
    array([ 2,  6, 10], dtype=int32)
    """

    n: int
    _: KW_ONLY
    jitter: bool = True
    views: int = 1
    short: Short = "pad"

    def __post_init__(self) -> None:
        self._check("n", "views")
        object.__setattr__(self, "jitter", checked_bool(self.jitter, "jitter"))
        checked_int(self.n * self.views, "n * views", 1)

    @property
    def time_steps(self) -> int:
        """Frames in a clip: n."""
        return self.n

    @property
    def span(self) -> int:
        """Frames that a video needs so that each part has a frame of its own: n."""
        return self.n

    @property
    def varies(self) -> bool:
        """Whether frames are drawn: `jitter`."""
        return self.jitter

    def clips(self, videos: Videos, draws: Draws) -> Clips:
        """Cut all videos into clips, in order: see `ClipSampler.clips`."""
        useful = np.flatnonzero(self._useful(videos, videos.frame_counts))
        video, view = np.repeat(useful, self.views), np.tile(np.arange(self.views), len(useful))
        start = np.zeros_like(video)
        if not self.jitter:
            return Clips(video, start, view)
        drawn = np.empty((len(useful), self.views, self.n), np.int32)
        some = max(1, _DRAWN // (self.n * self.views))
        for first in range(0, len(videos), some):
            begin, end = np.searchsorted(useful, (first, first + some))
            items = min(some, len(videos) - first)
            units = draws.units(Purpose.WINDOW, first, items, self.n * self.views)
            units = units[useful[begin:end] - first].reshape(end - begin, self.views, self.n)
            drawn[begin:end] = self._drawn(units, videos.frame_counts[useful[begin:end], None, None])
        return _DrawnClips(video, start, view, drawn.reshape(len(video), self.n))

    def _drawn(self, units: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
        part = np.arange(self.n)
        last: NDArray[np.int64] = ((part + 1) * counts - 1) // self.n  # the sum below may round up
        return np.minimum(((part + units) * counts / self.n).astype(np.int64), last)

    def frames(self, clips: Clips, videos: Videos) -> NDArray[np.int32]:
        """Return the frames of some clips: see `ClipSampler.frames`."""
        counts = videos.frame_counts[clips.video][:, None]
        part = np.arange(self.n)
        if self.jitter:
            frame: NDArray[Any] = cast("_DrawnClips", clips).drawn
        else:
            within = 2 * clips.view[:, None] + 1  # in half views
            frame = (2 * self.views * part + within) * counts // (2 * self.views * self.n)
        if self.short == "pad":
            frame = np.where(counts < self.n, np.where(part < counts, part, ~(counts - 1)), frame)
        if self.short == "loop":
            frame = np.where(counts < self.n, part % counts, frame)
        return frame.astype(np.int32)


@dataclass(frozen=True, eq=False)
class _DrawnClips(Clips):
    drawn: NDArray[np.int32]  # (N, n): frames, regardless of `short`

    def rows(self, which: NDArray[np.int64]) -> _DrawnClips:
        return _DrawnClips(self.video[which], self.start[which], self.view[which], self.drawn[which])


def _one_view(video: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a column of zeros that uses no memory."""
    return np.broadcast_to(np.int64(0), video.shape)


def _checked_rate(value: object) -> float:
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if number and _SLOWEST <= cast("float", value) <= _FASTEST:
        return float(cast("float", value))
    raise OptionError(
        f"fps={value!r}: must be a number of frames per second, from {_SLOWEST:g} to {_FASTEST:g}"
    )
