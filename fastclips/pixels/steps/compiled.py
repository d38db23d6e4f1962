"""`CompiledSteps`: the ordered list of pixel steps of a recipe, ready to run on clips.

A pixel step is a `fastclips.pixels.steps.base.PixelStep`, of one of four kinds: *table* (value by value),
*frame* (frame by frame), *clip* (the whole clip), and *function* (a user's function, `Apply`, which may
return any shape and dtype; both are known from a `Trial`).

*Picture steps* have no dtype and keep the scale of bytes: their results are clipped to [0, 255].
*Standardising steps* have a dtype and leave that scale, so only standardising steps may follow. All compute
in floating point. Without a standardising step, values are rounded to the nearest integer, halves up, once
after the last step and once before each function.

A clip takes the cheapest way::

    uint8 --(table of the leading table steps)--> float32 --(steps, frame by frame)--> --(round)--> dtype
      ^                                              |                            ^        |
      |                                              +--(clip step: all frames)---+        |
      +----------------------------------(function: any shape and dtype)-------------------+

The leading table steps fuse into one table, computed in float64 from the clip's draws. If the list holds
nothing else (`one_table`), the kernel that crops also looks up the table. After a frame step, table steps
are computed for each pixel in float32, so they belong at the front of the list where there is a choice.

The draws of a clip stand in the order of the list: those of a step that draws per clip once; those of a step
that draws per frame for the first frame, for the second, and so on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.errors import FrameError, OptionError
from fastclips.pixels.steps import stages
from fastclips.pixels.steps.stages import ListedStep, Stage, list_steps, map_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from fastclips.pixels.steps.base import PixelStep, Trial

__all__ = ["CompiledSteps", "count_draws", "try_functions"]


def count_draws(steps: Iterable[PixelStep], time_steps: int) -> int:
    """Return how many numbers in [0, 1) a list of pixel steps uses per clip, whatever the channels."""
    return stages.count_draws(list_steps(steps), time_steps)


def try_functions(steps: Sequence[PixelStep], channels: int, frames: NDArray[Any]) -> tuple[Trial, ...]:
    """Call each user's function in a list once, on a clip that went through the steps before it.

    Parameters
    ----------
    steps : sequence of PixelStep
        In order.
    channels : int
        Of the pictures: 3, or 1 for gray.
    frames : ndarray, (T, H, W, C)
        The clip after its geometry, C-contiguous; may be overwritten. uint8, of depth or flow another type.

    Returns
    -------
    tuple of Trial
        One for each function.

    Raises
    ------
    FrameError
        If a function raises an exception, or returns no array of numbers.
    OptionError
        If the list is invalid: see `CompiledSteps`.
    """
    trials: list[Trial] = []
    for number, listed in enumerate(list_steps(steps)):
        if listed.kind == "function":
            if trials:
                stages.check_after_function(listed, frames.shape, steps[number - 1], trials[-1])
            before = CompiledSteps(steps[:number], channels, trials, frames.dtype.name)
            given = before.function_input(frames)
            trials.append(listed.step.try_out(given))
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
        Results of trying out the user's functions in the list, in order.
    given : str
        Type of the clips: ``"uint8"``, or another one, of depth or flow, on which no picture step works.

    Attributes
    ----------
    dtype : str
        Of the result: ``"uint8"``, the dtype of the last standardising step, or that of a function.
    one_table : bool
        Whether each clip has one `table`, so that nothing has to be `run`.

    Raises
    ------
    OptionError
        If an item is no pixel step, a step stands after one that leaves the scale of bytes, or a step does
        not suit the channels or the result of a function.
    """

    def __init__(
        self,
        steps: Iterable[PixelStep],
        channels: int,
        trials: Sequence[Trial] = (),
        given: str = "uint8",
    ) -> None:
        self._steps = list_steps(steps)
        self._given = given
        self._channels = channels
        self._trials = tuple(trials)
        self._stages, self._function_dtype = stages.cut_into_stages(
            self._steps, channels, self._trials, given
        )
        first = self._stages[0]
        self.one_table = len(first.tables) == len(self._steps) and not first.table_per_frame
        standardises = bool(self._steps) and not self._steps[-1].picture
        self.dtype = str(self._steps[-1].step.dtype) if standardises else self._function_dtype

    def shape(self, given: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the result for a clip of a shape, (T, H, W, C); only functions change it.

        Raises
        ------
        OptionError
            If a pixel step does not suit the size of the frames.
        """
        trials = iter(self._trials)
        for listed in self._steps:
            if listed.kind == "function":
                given = next(trials).returned
            else:
                listed.step.check_frame(given[1:])
        return given

    def draws(self, time_steps: int) -> int:
        """Return how many numbers in [0, 1) the list uses per clip."""
        return stages.count_draws(self._steps, time_steps)

    def table(self, draws: Sequence[float]) -> NDArray[Any] | None:
        """Return the result for each byte, if each clip has one table.

        Parameters
        ----------
        draws : sequence of float
            The clip's numbers in [0, 1).

        Returns
        -------
        ndarray of `dtype`, (C, 256), or None
            C-contiguous. None where the clip has to be `run`.
        """
        if not self.one_table:
            return None
        return _table(self._stages[0], [float(draw) for draw in draws], 0, 1, self.dtype)

    def run(self, frames: NDArray[Any], draws: Sequence[float], out: NDArray[Any]) -> None:
        """Take a clip through all pixel steps.

        Parameters
        ----------
        frames : ndarray of the given type, (T, H, W, C)
            The clip after its geometry, C-contiguous. Floats may be overwritten.
        draws : sequence of float
            The clip's numbers in [0, 1), ``draws(T)`` of them.
        out : ndarray of `dtype`, (T, H, W, C)
            Filled with the result; may be a transposed view, with channels first in memory. Must not overlap
            `frames`.

        Raises
        ------
        OptionError
            If a pixel step does not suit the size of the frames.
        ValueError
            If the arrays do not fit each other, or there are more or fewer draws.
        """
        time_steps, shape = len(frames), self.shape(frames.shape)
        given = self._trials[0].given if self._trials else (*frames.shape[:3], self._channels)
        if frames.shape != given or frames.dtype != self._given:
            raise ValueError(f"frames must be {self._given} {given}, not {frames.dtype} {frames.shape}")
        if out.shape != shape or out.dtype != self.dtype:
            raise ValueError(f"out must be {self.dtype} {shape}, not {out.dtype} {out.shape}")
        numbers = [float(draw) for draw in draws]
        if len(numbers) != self.draws(time_steps):
            raise ValueError(f"{len(numbers)} draws for a clip that uses {self.draws(time_steps)}")
        self._run(frames, numbers, out)

    def function_input(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Return what a function appended to the list would get, with all draws 0.

        Parameters
        ----------
        frames : ndarray
            As for `run`.

        Returns
        -------
        ndarray
            As given; float32 after a standardising step; or the result of a function.
        """
        out = np.empty(self.shape(frames.shape), self._function_dtype)
        self._run(frames, [0.0] * self.draws(len(frames)), out)
        return out

    def _run(self, frames: NDArray[Any], draws: list[float], out: NDArray[Any]) -> None:
        time_steps, source = len(frames), frames
        *_, end = self._stages
        functions = len(self._trials)  # still to come
        target: NDArray[Any]
        for stage in self._stages:
            if stage.trial is not None and stage.then is not None:
                functions -= 1
                given = source
                if stage.changes_frames or (stage.picture and source.dtype != np.uint8):
                    given = np.empty(source.shape, np.uint8 if stage.picture else np.float32)
                    self._run_frames(stage, source, draws, time_steps, given)
                last = stage is self._stages[-2] and not end.changes_frames
                target = out if last else np.empty(stage.trial.returned, stage.trial.dtype)
                _call_function(stage.then, given, draws, time_steps, target)
            else:
                aside = functions or (stage.then is not None and out.dtype != np.float32)
                target = np.empty(source.shape, np.float32) if aside else out
                if stage.changes_frames or source is not target:
                    self._run_frames(stage, source, draws, time_steps, target)
                if stage.then is not None:
                    _apply_clip(stage.then, target, draws, time_steps)
            source = target

    def _run_frames(
        self, stage: Stage, source: NDArray[Any], draws: list[float], time_steps: int, target: NDArray[Any]
    ) -> None:
        """Take each frame through a stage; frames in `source` that are float32 may be overwritten."""
        scratch = np.empty(source.shape[1:], np.float32)
        table: NDArray[Any] | None = None
        for number in range(len(source)):
            pixels = source[number]
            if stage.tables and (table is None or stage.table_per_frame):
                dtype = "float32" if stage.rest else str(target.dtype)
                table = _table(stage, draws, number, time_steps, dtype)
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
            for listed in stage.rest:
                own = listed.own_draws(draws, number, time_steps)
                if own is not None:
                    frame = _apply(listed, frame, own, number)
            if target.dtype == np.uint8:
                frame += np.float32(0.5)  # no value is negative, so truncating rounds
            np.copyto(target[number], frame, casting="unsafe")


def _table(stage: Stage, draws: list[float], number: int, time_steps: int, dtype: str) -> NDArray[Any]:
    """Fuse the leading table steps of a stage for a frame."""
    values = np.tile(np.arange(256, dtype=np.float64), (stage.channels, 1))
    for listed in stage.tables:
        own = listed.own_draws(draws, number, time_steps)
        if own is not None:
            values = map_values(listed, values, own)
    return (np.floor(values + 0.5) if dtype == "uint8" else values).astype(dtype, order="C")


def _call_function(
    listed: ListedStep, given: NDArray[Any], draws: list[float], time_steps: int, out: NDArray[Any]
) -> None:
    """Take a clip through a user's function."""
    step = listed.step
    calls = [(given, out)]
    if listed.per_frame:
        calls = [(given[number], out[number, ...]) for number in range(len(given))]
    for number, (array, target) in enumerate(calls):
        own = listed.own_draws(draws, number, time_steps)
        result = array if own is None else step.call_function(array, own[0])
        if result.shape != target.shape or result.dtype.name != out.dtype.name:
            raise FrameError(
                f"Apply's function {step.function} returned {result.dtype} {result.shape}, but {out.dtype} "
                f"{target.shape} when it was tried out as the loader was made: it must always return the same"
            )
        target[...] = result


def _apply(
    listed: ListedStep, frame: NDArray[np.float32], own_draws: list[float], number: int
) -> NDArray[np.float32]:
    """Apply a table or frame step to a frame, which may be overwritten."""
    if listed.kind == "table":
        channels = frame.reshape(-1, frame.shape[2]).T  # a view; NumPy keeps its order in memory
        values = map_values(listed, channels, own_draws)
        return np.asarray(values.T.reshape(frame.shape), np.float32, order="C")
    frame = listed.step.apply(frame, own_draws, number)
    return np.clip(frame, 0, 255, out=frame) if listed.picture else frame


def _apply_clip(listed: ListedStep, frames: NDArray[np.float32], draws: list[float], time_steps: int) -> None:
    """Apply a clip step in place."""
    own = listed.own_draws(draws, 0, time_steps)
    if own is not None:
        returned: object = listed.step.apply_clip(frames, own)
        if returned is not None:
            name = type(listed.step).__name__
            raise OptionError(
                f"{name}.apply_clip() returned a value: must overwrite `frames` and return None"
            )
        if listed.picture:
            np.clip(frames, 0, 255, out=frames)


def _look_up(frame: NDArray[np.uint8], table: NDArray[Any], out: NDArray[Any]) -> None:
    from fastclips.pixels.geometry.kernels import crop_table  # noqa: PLC0415 - numba is the workers'

    contiguous = out if out.flags.c_contiguous else np.empty(frame.shape, out.dtype)
    crop_table(frame, 0, 0, False, table, contiguous)
    if contiguous is not out:
        out[:] = contiguous
