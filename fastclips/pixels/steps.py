"""The ordered list of pixel steps of a recipe, and the way of a clip through it.

A step is a frozen declaration that holds no random state. It is one of three kinds, by its method:

- a *table step* has ``values(values, draws)``: what becomes of each value of each channel, anywhere;
- a *frame step* has ``apply(frame, draws, number)``: what becomes of a frame of float32, which it may
  overwrite; `number` counts the frames of the clip from 0;
- a *clip step* has ``apply_clip(frames)``: it needs the whole clip at once, and overwrites it.

What else it says of itself are attributes; what is not there is what stands in brackets::

    draws         numbers in [0, 1) that it uses up (0)
    p             share of clips or frames on which it acts (always); needs one more draw
    per           "clip" or "frame": how often it draws ("clip")
    dtype         it standardises, to this dtype (none: a *picture step*)
    needs_color   whether gray pictures make no sense to it (False)
    shape         of the arrays that it holds: with three axes, they are for frames of this shape (none)

Picture steps keep the scale of bytes: what leaves one is clipped to [0, 255]. Standardising steps leave that
scale, so nothing but one of their kind may follow them. All are computed in floating point, and rounded once,
at the end: to the nearest integer, halves up, if nothing standardises.

A clip takes the cheapest way::

    uint8 --(table of the leading table steps)--> float32 --(steps, frame by frame)--> --(round)--> dtype
                                                     |                            ^
                                                     +--(clip step: all frames)---+

The leading table steps melt into one table, computed in float64 from the clip's draws. Where nothing else is
in the list (`one_table`), the kernel that crops does the lookup on its way. Behind a frame step, table steps
are computed for each pixel in float32, so they belong to the front of the list where there is a choice.

The draws of a clip stand in the order of the list: of a step that draws per clip, its own once; of one that
draws per frame, its own for the first frame, for the second, and so on.
"""

from __future__ import annotations

from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from fastclips.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["ClipStep", "CompiledSteps", "FrameStep", "PixelStep", "TableStep", "count_draws", "is_step"]

_PIXEL_WISE = 3  # axes: height, width, channels


class TableStep(Protocol):
    """A step that looks at one value at a time."""

    def values(self, values: NDArray[Any], draws: Sequence[float]) -> NDArray[Any]:
        """Return what becomes of a (C, n) table of values, float64 or float32, which is left as it is."""


class FrameStep(Protocol):
    """A step that looks at one frame at a time."""

    def apply(self, frame: NDArray[np.float32], draws: Sequence[float], number: int) -> NDArray[np.float32]:
        """Return what becomes of a C-contiguous (H, W, C) frame, which may be overwritten."""


class ClipStep(Protocol):
    """A step that looks at a whole clip; it draws nothing, and standardises."""

    @property
    def dtype(self) -> str:
        """Type of the batch."""

    def apply_clip(self, frames: NDArray[np.float32]) -> None:
        """Overwrite a clip, (T, H, W, C)."""


PixelStep: TypeAlias = TableStep | FrameStep | ClipStep


class _Placed(NamedTuple):
    """A step at its place in the list, and all that it says of itself."""

    step: Any
    kind: str  # the method
    picture: bool
    p: float | None
    per_frame: bool
    draws: int  # the one for `p` included
    clip_draws: int  # of the steps before it that draw per clip, in all
    frame_draws: int  # of those that draw per frame, for one frame

    def own(self, draws: list[float], number: int, time_steps: int) -> list[float] | None:
        """Return the step's numbers for a frame, or None if it does not act there."""
        first = self.clip_draws + time_steps * self.frame_draws + number * self.draws * self.per_frame
        mine = draws[first : first + self.draws]
        if self.p is None:
            return mine
        return mine[1:] if mine[0] < self.p else None


class _Leg(NamedTuple):
    """What is done frame by frame, up to a clip step or the end of the list."""

    tables: list[_Placed]  # of the first leg: they make the table
    rest: list[_Placed]
    then: ClipStep | None


def is_step(step: object) -> bool:
    """Say whether something is a pixel step.

    Parameters
    ----------
    step : object
        A declaration, such as ``Brightness(0.2)``; a class is none.

    Returns
    -------
    bool
        Whether it has a step's method, and says what it draws or standardises to.
    """
    known = hasattr(step, "draws") or hasattr(step, "dtype")
    return known and not isinstance(step, type) and _kind(step) is not None


def count_draws(steps: Iterable[PixelStep], time_steps: int) -> int:
    """Return how many numbers in [0, 1) a list of steps uses up per clip.

    Parameters
    ----------
    steps : iterable of PixelStep
        In order.
    time_steps : int
        Frames of a clip.

    Returns
    -------
    int
        The same for pictures in colour and in gray.
    """
    return _count(_place(steps), time_steps)


class CompiledSteps:
    """A checked list of pixel steps for pictures of a number of channels.

    Parameters
    ----------
    steps : iterable of PixelStep
        In order.
    channels : int
        Of the pictures: 3, or 1 for gray.

    Attributes
    ----------
    dtype : str
        Of the result: ``"uint8"``, or what the last standardising step says.
    one_table : bool
        Whether each clip has one `table`, so that nothing need be `run`.

    Raises
    ------
    OptionError
        If something in the list is no step, a step stands after one that leaves the scale of bytes, or a step
        does not suit the channels.
    """

    def __init__(self, steps: Iterable[PixelStep], channels: int) -> None:
        placed = _place(steps)
        _check_order(placed)
        _check_scales(placed)
        for one in placed:
            _check_channels(one, channels)
        self._channels = channels
        self._placed = placed
        self._legs = _cut(placed)
        tables = self._legs[0].tables
        self._varies = any(one.per_frame for one in tables)
        self.one_table = len(tables) == len(placed) and not self._varies
        self.dtype = "uint8" if not placed or placed[-1].picture else str(placed[-1].step.dtype)

    def draws(self, time_steps: int) -> int:
        """Return `count_draws` of the list.

        Parameters
        ----------
        time_steps : int
            Frames of a clip.

        Returns
        -------
        int
            Numbers in [0, 1) per clip.
        """
        return _count(self._placed, time_steps)

    def table(self, draws: Sequence[float]) -> NDArray[Any] | None:
        """Return what becomes of each byte of a clip, if that is all there is to say.

        Parameters
        ----------
        draws : sequence of float
            The clip's numbers in [0, 1).

        Returns
        -------
        ndarray or None
            (C, 256) of `dtype`, C-contiguous; None where the clip has to be `run`.
        """
        return self._table([float(draw) for draw in draws], 0, 1, self.dtype) if self.one_table else None

    def run(self, frames: NDArray[np.uint8], draws: Sequence[float], out: NDArray[Any]) -> None:
        """Take a clip through all steps.

        Parameters
        ----------
        frames : ndarray of uint8
            The clip after its geometry, (T, H, W, C), C-contiguous.
        draws : sequence of float
            The clip's numbers in [0, 1), ``draws(T)`` of them.
        out : ndarray of `dtype`
            Filled with the result, (T, H, W, C); a transposed view, with channels first in memory, will do.
            Must not overlap `frames`.

        Raises
        ------
        OptionError
            If a step does not suit the size of the frames.
        ValueError
            If the arrays do not fit each other, or there are more or fewer draws.
        """
        steps = len(frames)
        if frames.shape != out.shape or out.dtype != self.dtype or frames.shape[3] != self._channels:
            raise ValueError(
                f"out must be {self.dtype} {(*frames.shape[:3], self._channels)}, not {out.dtype} {out.shape}"
            )
        numbers = [float(draw) for draw in draws]
        if len(numbers) != self.draws(steps):
            raise ValueError(f"{len(numbers)} draws for a clip that uses up {self.draws(steps)}")
        source: NDArray[Any] = frames
        for leg in self._legs:
            target = out
            if leg.then is not None and out.dtype != np.float32:
                target = np.empty(out.shape, np.float32)
            if leg.tables or leg.rest or source is not target:
                self._walk(leg, source, numbers, target)
            if leg.then is not None:
                leg.then.apply_clip(target)
            source = target

    def _walk(self, leg: _Leg, source: NDArray[Any], draws: list[float], target: NDArray[Any]) -> None:
        """Take each frame along a leg; one that is float32 already may be overwritten in `source`."""
        steps = len(source)
        scratch = np.empty(source.shape[1:], np.float32)
        table: NDArray[Any] | None = None
        for number in range(steps):
            pixels = source[number]
            if leg.tables and (table is None or self._varies):
                table = self._table(draws, number, steps, "float32" if leg.rest else str(target.dtype))
            if table is not None and not leg.rest:
                _look_up(pixels, table, target[number])
                continue
            if table is not None:
                _look_up(pixels, table, scratch)
                frame = scratch
            elif pixels.dtype == np.float32:
                frame = np.ascontiguousarray(pixels)
            else:
                scratch[:] = pixels
                frame = scratch
            for one in leg.rest:
                own = one.own(draws, number, steps)
                if own is not None:
                    frame = _apply(one, frame, own, number)
            if target.dtype == np.uint8:
                frame += np.float32(0.5)  # no value is negative: to cut off is to round
            np.copyto(target[number], frame, casting="unsafe")

    def _table(self, draws: list[float], number: int, time_steps: int, dtype: str) -> NDArray[Any]:
        """Melt the leading table steps for a frame."""
        values = np.tile(np.arange(256, dtype=np.float64), (self._channels, 1))
        for one in self._legs[0].tables:
            own = one.own(draws, number, time_steps)
            if own is not None:
                values = _values(one, values, own)
        return (np.floor(values + 0.5) if dtype == "uint8" else values).astype(dtype, order="C")


def _kind(step: object) -> str | None:
    """Return the name of the method that makes something a step."""
    pixel_wise = len(getattr(step, "shape", ())) == _PIXEL_WISE
    kinds = ("apply_clip", "apply") if pixel_wise else ("apply_clip", "values", "apply")
    return next((kind for kind in kinds if callable(getattr(step, kind, None))), None)


def _place(steps: Iterable[PixelStep]) -> list[_Placed]:
    placed = []
    clip_draws = frame_draws = 0
    for step in steps:
        if not is_step(step):
            raise OptionError(f"{step!r} is no pixel step; use instances, such as Brightness(0.2)")
        p = getattr(step, "p", None)
        per_frame = getattr(step, "per", "clip") == "frame"
        draws = getattr(step, "draws", 0) + (p is not None)
        picture = not hasattr(step, "dtype")
        placed.append(_Placed(step, str(_kind(step)), picture, p, per_frame, draws, clip_draws, frame_draws))
        if per_frame:
            frame_draws += draws
        else:
            clip_draws += draws
    return placed


def _count(placed: list[_Placed], time_steps: int) -> int:
    return sum(one.draws * (time_steps if one.per_frame else 1) for one in placed)


def _check_order(placed: list[_Placed]) -> None:
    for before, after in pairwise(placed):
        if after.picture and not before.picture:
            raise OptionError(
                f"{after.step!r} stands after {before.step!r}, which leaves the scale of bytes that it works "
                "on: put it before"
            )


def _check_scales(placed: list[_Placed]) -> None:
    """Refuse to divide by 255 twice."""
    kinds = {type(one.step).__name__: one.step for one in placed}
    if "Normalize" in kinds and "Rescale" in kinds:
        raise OptionError(
            f"Normalize divides by 255 itself, so {kinds['Rescale']!r} beside it would do so twice: "
            "leave it out"
        )


def _check_channels(placed: _Placed, channels: int) -> None:
    step = placed.step
    shape: tuple[int, ...] = getattr(step, "shape", ())
    if channels == 1 and getattr(step, "needs_color", False):
        raise OptionError(f"{step!r} is about colours, but gray pictures have none: leave it out")
    if len(shape) == _PIXEL_WISE and shape[2] != channels:
        raise OptionError(f"{step!r} is for frames of {shape[2]} channels, but the pictures have {channels}")
    if placed.kind == "values":  # it refuses what does not suit it
        _values(placed, np.zeros((channels, 1)), [0.0] * placed.draws)


def _cut(placed: list[_Placed]) -> list[_Leg]:
    """Cut the list behind each clip step."""
    tables = list(takewhile(lambda one: one.kind == "values", placed))
    legs: list[_Leg] = []
    rest: list[_Placed] = []
    for one in placed[len(tables) :]:
        if one.kind == "apply_clip":
            legs.append(_Leg([] if legs else tables, rest, one.step))
            rest = []
        else:
            rest.append(one)
    return [*legs, _Leg([] if legs else tables, rest, None)]


def _values(placed: _Placed, values: NDArray[Any], own: list[float]) -> NDArray[Any]:
    """Apply a table step to a (C, n) table."""
    step = placed.step
    values = step.values(values, own)
    return np.clip(values, 0, 255, out=values) if placed.picture else values


def _apply(placed: _Placed, frame: NDArray[np.float32], own: list[float], number: int) -> NDArray[np.float32]:
    """Apply a step to a frame, which may be overwritten."""
    if placed.kind == "values":
        channels = frame.reshape(-1, frame.shape[2]).T  # a view; NumPy keeps its order in memory
        return np.asarray(_values(placed, channels, own).T.reshape(frame.shape), np.float32, order="C")
    frame = placed.step.apply(frame, own, number)
    return np.clip(frame, 0, 255, out=frame) if placed.picture else frame


def _look_up(frame: NDArray[np.uint8], table: NDArray[Any], out: NDArray[Any]) -> None:
    from fastclips.pixels.kernels import crop_table  # noqa: PLC0415 - numba is the workers'

    placed = out if out.flags.c_contiguous else np.empty(frame.shape, out.dtype)
    crop_table(frame, 0, 0, False, table, placed)
    if placed is not out:
        out[:] = placed
