"""A list of pixel steps, checked and cut into stages that `fastclips.pixels.steps.compiled` runs.

The list is cut after each pixel step that needs the whole clip. A *stage* runs frame by frame up to the cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips.errors import OptionError
from fastclips.pixels.steps.base import PixelStep, check_declaration
from fastclips.pixels.steps.normalize import Normalize
from fastclips.pixels.steps.standardize import Rescale

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from fastclips.pixels.steps.base import Kind, Trial

__all__ = [
    "ListedStep",
    "Stage",
    "check_after_function",
    "count_draws",
    "cut_into_stages",
    "is_picture",
    "list_steps",
    "map_values",
]

_CLIP_AXES = 4  # time, height, width, channels


class ListedStep(NamedTuple):
    """A pixel step, its attributes, and the place of its draws."""

    step: Any
    kind: Kind
    picture: bool  # whether it keeps the scale of bytes
    p: float | None
    per_frame: bool
    draws: int  # including the one for `p`
    clip_draws: int  # draws per clip of the steps before it
    frame_draws: int  # draws per frame of the steps before it

    def own_draws(self, draws: list[float], number: int, time_steps: int) -> list[float] | None:
        """Return the step's draws for a frame, or None if it does not act on that frame."""
        first = self.clip_draws + time_steps * self.frame_draws + number * self.draws * self.per_frame
        own = draws[first : first + self.draws]
        if self.p is None:
            return own
        return own[1:] if own[0] < self.p else None


class Stage(NamedTuple):
    """Pixel steps that run frame by frame, then at most one that takes the whole clip."""

    channels: int  # of the input, where that is pictures
    tables: list[ListedStep]  # the leading table steps of byte input: they fuse into one table
    rest: list[ListedStep]
    picture: bool  # whether the frames are on the scale of bytes after `rest`
    then: ListedStep | None  # a clip step or a function
    trial: Trial | None  # of the function

    @property
    def changes_frames(self) -> bool:
        """Whether anything runs frame by frame."""
        return bool(self.tables or self.rest)

    @property
    def table_per_frame(self) -> bool:
        """Whether each frame has a table of its own."""
        return any(listed.per_frame for listed in self.tables)


def is_picture(shape: tuple[int, ...]) -> bool:
    """Return whether a clip's shape is that of pictures: (T, H, W, C) with one or three channels."""
    return len(shape) == _CLIP_AXES and shape[-1] in (1, 3)


def list_steps(steps: Iterable[PixelStep]) -> list[ListedStep]:
    """Check the declaration of each pixel step and find the place of its draws.

    Raises
    ------
    OptionError
        If an item is no pixel step, or its attributes break the contract of `PixelStep`.
    """
    listed = []
    clip_draws = frame_draws = 0
    for step in steps:
        if not isinstance(step, PixelStep):
            raise OptionError(f"{step!r} is no pixel step; use instances, such as Brightness(0.2)")
        check_declaration(step)
        per_frame, draws = step.per == "frame", step.draws + (step.p is not None)
        picture = step.dtype is None
        listed.append(ListedStep(step, step.kind, picture, step.p, per_frame, draws, clip_draws, frame_draws))
        if per_frame:
            frame_draws += draws
        else:
            clip_draws += draws
    return listed


def count_draws(steps: list[ListedStep], time_steps: int) -> int:
    """Return how many numbers in [0, 1) the pixel steps use per clip."""
    return sum(listed.draws * (time_steps if listed.per_frame else 1) for listed in steps)


def cut_into_stages(
    steps: list[ListedStep], channels: int, trials: Sequence[Trial], given: str = "uint8"
) -> tuple[list[Stage], str]:
    """Cut the list after each clip step and function; check that each pixel step suits its input.

    Returns
    -------
    stages : list of Stage
        The last one has no clip step or function.
    function_dtype : str
        Type that a function appended to the list would get.

    Raises
    ------
    OptionError
        If a pixel step does not suit the channels or the steps before it.
    """
    _check_scales(steps)
    stages: list[Stage] = []
    tables: list[ListedStep] = []
    rest: list[ListedStep] = []
    trial: Trial | None = None  # of the last function
    picture = given == "uint8"  # whether values are on the scale of bytes here
    in_bytes = picture  # whether the input of this stage is uint8
    function_dtype = given
    remaining = iter(trials)
    for number, listed in enumerate(steps):
        if trial is not None:
            check_after_function(listed, trials[0].given, steps[number - 1].step, trial)
        if listed.kind == "function":
            trial = next(remaining)
            _check_share(listed, function_dtype, trial)
            stages.append(Stage(channels, tables, rest, picture, listed, trial))
            tables, rest = [], []
            channels = trial.returned[-1] if _has_channels(trial, trials[0].given) else 0
            function_dtype = trial.dtype
            picture = in_bytes = function_dtype == "uint8"
            continue
        if not picture and (listed.picture or listed.step.of_bytes):
            if number == 0:
                raise OptionError(
                    f"{listed.step!r} works on bytes, 0 to 255, but these frames are {given}: leave it out, "
                    "or use Rescale(scale, offset), FeatureWise(mean, std) or Apply(function)"
                )
            raise OptionError(
                f"{listed.step!r} stands after {steps[number - 1].step!r}, which leaves the scale of bytes "
                "that it works on: put it before"
            )
        listed.step.check_channels(channels)
        picture = listed.picture
        function_dtype = "uint8" if picture else "float32"
        if listed.kind == "clip":
            stages.append(Stage(channels, tables, rest, picture, listed, None))
            tables, rest, in_bytes = [], [], False
        elif listed.kind == "table" and in_bytes and not rest:
            tables.append(listed)
        else:
            rest.append(listed)
    if given != "uint8" and steps and steps[-1].step.dtype == "float16":
        raise OptionError(
            f"{steps[-1].step!r} makes float16 of {given}, whose values may be too large: give it float32"
        )
    return [*stages, Stage(channels, tables, rest, picture, None, None)], function_dtype


def map_values(listed: ListedStep, values: NDArray[Any], own_draws: list[float]) -> NDArray[Any]:
    """Return the result of a table step for a (C, n) table of values, clipped if it keeps their scale."""
    values = listed.step.values(values, own_draws)
    return np.clip(values, 0, 255, out=values) if listed.picture else values


def _has_channels(trial: Trial, clip: tuple[int, ...]) -> bool:
    """Whether a function returned pictures, or flow of the shape of the clip."""
    return is_picture(trial.returned) or trial.returned == clip


def check_after_function(listed: ListedStep, clip: tuple[int, ...], before: object, trial: Trial) -> None:
    """Raise `OptionError` if a pixel step cannot work on the result of the last function before it.

    Parameters
    ----------
    listed : ListedStep
        The pixel step.
    clip : tuple of int
        Shape of the clip that reached the first function.
    before : PixelStep
        The pixel step right before it, for the message.
    trial : Trial
        Of the function.
    """
    context = (
        f"{listed.step!r} stands after {before!r}, whose function makes {trial.dtype} {trial.returned} of a "
        "clip"
    )
    fits = _has_channels(trial, clip) and (trial.dtype == "uint8" or np.dtype(trial.dtype).kind == "f")
    if listed.kind != "function" and not fits:
        raise OptionError(
            f"{context}, but it works on (T, H, W, C) of one or three channels, uint8 or floating: put it "
            "before the function, or let the function do its work"
        )
    if listed.per_frame and trial.returned[:1] != clip[:1]:
        raise OptionError(f"{context}, but it draws for each of {clip[0]} frames: give it per='clip'")


def _check_scales(steps: list[ListedStep]) -> None:
    """Raise `OptionError` if values would be divided by 255 twice."""
    rescale = next((listed.step for listed in steps if isinstance(listed.step, Rescale)), None)
    if rescale is not None and any(isinstance(listed.step, Normalize) for listed in steps):
        raise OptionError(f"Normalize divides by 255 itself, so {rescale!r} would divide twice: leave it out")


def _check_share(listed: ListedStep, dtype: str, trial: Trial) -> None:
    """Raise `OptionError` if a function acts on some clips only and changes shape or dtype."""
    if listed.p is not None and listed.p < 1 and (trial.given, dtype) != (trial.returned, trial.dtype):
        raise OptionError(
            f"{listed.step!r} acts on a share of all clips, but its function makes {trial.dtype} "
            f"{trial.returned} of {dtype} {trial.given}: return the shape and dtype that it gets, or give p=1"
        )
