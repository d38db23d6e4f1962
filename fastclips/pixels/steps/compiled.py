"""The ordered list of pixel steps of a recipe, and the way of a clip through it.

A step is a frozen declaration that holds no random state. It is one of four kinds, by its method:

- a *table step* has ``values(values, draws)``: what becomes of each value of each channel, anywhere;
- a *frame step* has ``apply(frame, draws, number)``: what becomes of a frame of float32, which it may
  overwrite; `number` counts the frames of the clip from 0;
- a *clip step* has ``apply_clip(frames)``: it needs the whole clip at once, and overwrites it;
- a *function* of the user's (`apply`) has ``call_function(array, draw)``: it may return any
  shape and dtype, which are known from a `Trial`.

What else it says of itself are attributes; what is not there is what stands in brackets::

    draws         numbers in [0, 1) that it uses up (0)
    p             share of clips or frames on which it acts (always); needs one more draw
    per           "clip" or "frame": how often it draws ("clip")
    dtype         it standardises, to this dtype (none: a *picture step*)
    of_bytes      of one that standardises: whether it needs the scale of bytes all the same (False)
    needs_color   whether gray pictures make no sense to it (False)
    shape         of the arrays that it holds: with three axes, they are for frames of this shape (none)
    check_frame   a method that refuses frames of a wrong shape, (H, W, C) (all are right)

Picture steps keep the scale of bytes: what leaves one is clipped to [0, 255]. Standardising steps leave that
scale, so nothing but one of their kind may follow them. All are computed in floating point, and rounded once,
at the end, and before a function: to the nearest integer, halves up, if nothing standardises.

A clip takes the cheapest way::

    uint8 --(table of the leading table steps)--> float32 --(steps, frame by frame)--> --(round)--> dtype
      ^                                              |                            ^        |
      |                                              +--(clip step: all frames)---+        |
      +----------------------------------(function: any shape and dtype)-------------------+

The leading table steps melt into one table, computed in float64 from the clip's draws. Where nothing else is
in the list (`one_table`), the kernel that crops does the lookup on its way. Behind a frame step, table steps
are computed for each pixel in float32, so they belong to the front of the list where there is a choice.

The draws of a clip stand in the order of the list: of a step that draws per clip, its own once; of one that
draws per frame, its own for the first frame, for the second, and so on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.errors import FrameError
from fastclips.pixels.steps.stages import (
    FUNCTION,
    Placed,
    Stage,
    check_returned,
    count,
    cut_up,
    kind_of,
    map_values,
    place_steps,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from fastclips.pixels.steps.base import PixelStep
    from fastclips.spec import Trial

__all__ = ["CompiledSteps", "count_draws", "try_functions"]


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
    return count(place_steps(steps), time_steps)


def try_functions(steps: Sequence[PixelStep], channels: int, frames: NDArray[np.uint8]) -> tuple[Trial, ...]:
    """Run the user's functions in a list of steps once each, on a clip that has gone through what is before.

    Parameters
    ----------
    steps : sequence of PixelStep
        In order.
    channels : int
        Of the pictures: 3, or 1 for gray.
    frames : ndarray of uint8
        The clip after its geometry, (T, H, W, C), C-contiguous; may be overwritten.

    Returns
    -------
    tuple of Trial
        One for each function.

    Raises
    ------
    FrameError
        If one of them raises something, or returns no array of numbers.
    OptionError
        If the list cannot be: see `CompiledSteps`.
    """
    trials: list[Trial] = []
    for number, step in enumerate(steps):
        if kind_of(step) == FUNCTION:
            if trials:
                check_returned(place_steps([step])[0], len(frames), steps[number - 1], trials[-1])
            given = CompiledSteps(steps[:number], channels, trials).handed_on(frames)
            trials.append(step.try_out(given))  # type: ignore[union-attr] # only a function is called
    return tuple(trials)


class CompiledSteps:
    """A checked list of pixel steps for pictures of a number of channels.

    Parameters
    ----------
    steps : iterable of PixelStep
        In order.
    channels : int
        Of the pictures: 3, or 1 for gray.
    trials : sequence of Trial
        What the user's functions in the list returned when they were tried out, in order.

    Attributes
    ----------
    dtype : str
        Of the result: ``"uint8"``, what the last standardising step says, or what a function returns.
    one_table : bool
        Whether each clip has one `table`, so that nothing need be `run`.

    Raises
    ------
    OptionError
        If something in the list is no step, a step stands after one that leaves the scale of bytes, or a step
        does not suit the channels or what a function returned.
    """

    def __init__(self, steps: Iterable[PixelStep], channels: int, trials: Sequence[Trial] = ()) -> None:
        self._placed = place_steps(steps)
        self._channels = channels
        self._trials = tuple(trials)
        self._stages, self._handed_on = cut_up(self._placed, channels, self._trials)
        first = self._stages[0]
        self.one_table = len(first.tables) == len(self._placed) and not first.varies
        standardises = bool(self._placed) and not self._placed[-1].picture
        self.dtype = str(self._placed[-1].step.dtype) if standardises else self._handed_on

    def shape(self, given: tuple[int, ...]) -> tuple[int, ...]:
        """Return what becomes of a clip's shape.

        Parameters
        ----------
        given : tuple of int
            (T, H, W, C).

        Returns
        -------
        tuple of int
            The same, unless a function returned another.

        Raises
        ------
        OptionError
            If a step does not suit the size of the frames.
        """
        trials = iter(self._trials)
        for one in self._placed:
            if one.kind == FUNCTION:
                given = next(trials).returned
            elif check := getattr(one.step, "check_frame", None):
                check(given[1:])
        return given

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
        return count(self._placed, time_steps)

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
        if not self.one_table:
            return None
        return _table(self._stages[0], [float(draw) for draw in draws], 0, 1, self.dtype)

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
        steps, shape = len(frames), self.shape(frames.shape)
        given = self._trials[0].given if self._trials else (*frames.shape[:3], self._channels)
        if frames.shape != given:
            raise ValueError(f"frames must be {given}, not {frames.shape}")
        if out.shape != shape or out.dtype != self.dtype:
            raise ValueError(f"out must be {self.dtype} {shape}, not {out.dtype} {out.shape}")
        numbers = [float(draw) for draw in draws]
        if len(numbers) != self.draws(steps):
            raise ValueError(f"{len(numbers)} draws for a clip that uses up {self.draws(steps)}")
        self._run(frames, numbers, out)

    def handed_on(self, frames: NDArray[np.uint8]) -> NDArray[Any]:
        """Take a clip through all steps for a function to come, whatever would be drawn for it.

        Parameters
        ----------
        frames : ndarray of uint8
            As for `run`.

        Returns
        -------
        ndarray
            uint8, float32 if it is standardised, or what a function returned.
        """
        out = np.empty(self.shape(frames.shape), self._handed_on)
        self._run(frames, [0.0] * self.draws(len(frames)), out)
        return out

    def _run(self, frames: NDArray[np.uint8], draws: list[float], out: NDArray[Any]) -> None:
        steps, source = len(frames), frames
        *_, end = self._stages
        functions = len(self._trials)  # still to come
        target: NDArray[Any]
        for stage in self._stages:
            if stage.trial is not None and stage.then is not None:
                functions -= 1
                given = source
                if stage.walks:
                    given = np.empty(source.shape, np.uint8 if stage.picture else np.float32)
                    self._walk(stage, source, draws, steps, given)
                last = stage is self._stages[-2] and not end.walks
                target = out if last else np.empty(stage.trial.returned, stage.trial.dtype)
                _call(stage.then, given, draws, steps, target)
            else:
                aside = functions or (stage.then is not None and out.dtype != np.float32)
                target = np.empty(source.shape, np.float32) if aside else out
                if stage.walks or source is not target:
                    self._walk(stage, source, draws, steps, target)
                if stage.then is not None:
                    stage.then.step.apply_clip(target)
            source = target

    def _walk(
        self, stage: Stage, source: NDArray[Any], draws: list[float], steps: int, target: NDArray[Any]
    ) -> None:
        """Take each frame along a stage; one that is float32 already may be overwritten in `source`."""
        scratch = np.empty(source.shape[1:], np.float32)
        table: NDArray[Any] | None = None
        for number in range(len(source)):
            pixels = source[number]
            if stage.tables and (table is None or stage.varies):
                table = _table(stage, draws, number, steps, "float32" if stage.rest else str(target.dtype))
            if table is not None and not stage.rest:
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
            for one in stage.rest:
                own = one.own(draws, number, steps)
                if own is not None:
                    frame = _apply(one, frame, own, number)
            if target.dtype == np.uint8:
                frame += np.float32(0.5)  # no value is negative: to cut off is to round
            np.copyto(target[number], frame, casting="unsafe")


def _table(stage: Stage, draws: list[float], number: int, time_steps: int, dtype: str) -> NDArray[Any]:
    """Melt the leading table steps for a frame."""
    values = np.tile(np.arange(256, dtype=np.float64), (stage.channels, 1))
    for one in stage.tables:
        own = one.own(draws, number, time_steps)
        if own is not None:
            values = map_values(one, values, own)
    return (np.floor(values + 0.5) if dtype == "uint8" else values).astype(dtype, order="C")


def _call(
    placed: Placed, given: NDArray[Any], draws: list[float], time_steps: int, out: NDArray[Any]
) -> None:
    """Take a clip through a function."""
    step = placed.step
    parts = [(given, out)]
    if placed.per_frame:
        parts = [(given[number], out[number, ...]) for number in range(len(given))]
    for number, (part, target) in enumerate(parts):
        own = placed.own(draws, number, time_steps)
        result = part if own is None else step.call_function(part, own[0])
        if result.shape != target.shape or result.dtype.name != out.dtype.name:
            raise FrameError(
                f"Apply's function {step.function} returned {result.dtype} {result.shape}, but {out.dtype} "
                f"{target.shape} when it was tried out as the loader was made: it must always return the same"
            )
        target[...] = result


def _apply(placed: Placed, frame: NDArray[np.float32], own: list[float], number: int) -> NDArray[np.float32]:
    """Apply a step to a frame, which may be overwritten."""
    if placed.kind == "values":
        channels = frame.reshape(-1, frame.shape[2]).T  # a view; NumPy keeps its order in memory
        return np.asarray(map_values(placed, channels, own).T.reshape(frame.shape), np.float32, order="C")
    frame = placed.step.apply(frame, own, number)
    return np.clip(frame, 0, 255, out=frame) if placed.picture else frame


def _look_up(frame: NDArray[np.uint8], table: NDArray[Any], out: NDArray[Any]) -> None:
    from fastclips.pixels.geometry.kernels import crop_table  # noqa: PLC0415 - numba is the workers'

    placed = out if out.flags.c_contiguous else np.empty(frame.shape, out.dtype)
    crop_table(frame, 0, 0, False, table, placed)
    if placed is not out:
        out[:] = placed
