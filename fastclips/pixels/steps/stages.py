"""A list of pixel steps, checked and cut up: what `fastclips.pixels.steps.compiled` then takes clips through.

The list is cut behind each step that needs the whole clip. Up to there, frames walk one by one: a *stage*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from fastclips.pixels.steps.base import PixelStep
    from fastclips.spec import Trial

__all__ = [
    "FUNCTION",
    "Placed",
    "Stage",
    "check_returned",
    "count",
    "cut_up",
    "is_picture",
    "is_step",
    "kind_of",
    "map_values",
    "place_steps",
]

FUNCTION = "call_function"  # the method of a user's function
_PIXEL_WISE = 3  # axes: height, width, channels


class Placed(NamedTuple):
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


class Stage(NamedTuple):
    """What is done frame by frame, up to what needs the whole clip, or the end of the list."""

    channels: int  # of the pictures, if it is pictures that come in
    tables: list[Placed]  # of pictures in bytes: they make the table
    rest: list[Placed]
    picture: bool  # whether what comes out is on the scale of bytes
    then: Placed | None  # a clip step or a function
    trial: Trial | None  # of the function

    @property
    def walks(self) -> bool:
        """Whether anything is done frame by frame."""
        return bool(self.tables or self.rest)

    @property
    def varies(self) -> bool:
        """Whether each frame has a table of its own."""
        return any(one.per_frame for one in self.tables)


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
    return known and not isinstance(step, type) and kind_of(step) is not None


def is_picture(shape: tuple[int, ...]) -> bool:
    """Say whether a clip of a shape is one of pictures: (T, H, W, C), of one or three channels."""
    return len(shape) == 1 + _PIXEL_WISE and shape[-1] in (1, 3)


def kind_of(step: object) -> str | None:
    """Return the name of the method that makes something a step."""
    pixel_wise = len(getattr(step, "shape", ())) == _PIXEL_WISE
    kinds = ("apply_clip", "apply") if pixel_wise else (FUNCTION, "apply_clip", "values", "apply")
    return next((kind for kind in kinds if callable(getattr(step, kind, None))), None)


def place_steps(steps: Iterable[PixelStep]) -> list[Placed]:
    """Find out what each step of a list says of itself, and where its draws are.

    Raises
    ------
    OptionError
        If something in it is no step.
    """
    placed = []
    clip_draws = frame_draws = 0
    for step in steps:
        if not is_step(step):
            raise OptionError(f"{step!r} is no pixel step; use instances, such as Brightness(0.2)")
        p = getattr(step, "p", None)
        per_frame = getattr(step, "per", "clip") == "frame"
        draws = getattr(step, "draws", 0) + (p is not None)
        picture = not hasattr(step, "dtype")
        placed.append(Placed(step, str(kind_of(step)), picture, p, per_frame, draws, clip_draws, frame_draws))
        if per_frame:
            frame_draws += draws
        else:
            clip_draws += draws
    return placed


def count(placed: list[Placed], time_steps: int) -> int:
    """Return how many numbers in [0, 1) the steps use up per clip."""
    return sum(one.draws * (time_steps if one.per_frame else 1) for one in placed)


def cut_up(placed: list[Placed], channels: int, trials: Sequence[Trial]) -> tuple[list[Stage], str]:
    """Cut the list behind each clip step and function, checking that each step can do with what it gets.

    Returns
    -------
    stages : list of Stage
        The last one with nothing behind it.
    handed_on : str
        Type of what a function behind the list would get.

    Raises
    ------
    OptionError
        If a step does not suit the channels or what comes before it.
    """
    _check_scales(placed)
    stages: list[Stage] = []
    tables: list[Placed] = []
    rest: list[Placed] = []
    trial: Trial | None = None  # of the last function
    picture = in_bytes = True  # what comes out so far is on the scale of bytes; what comes in is bytes
    handed_on = "uint8"
    coming = iter(trials)
    for number, one in enumerate(placed):
        if trial is not None:
            check_returned(one, trials[0].given[0], placed[number - 1].step, trial)
        if one.kind == FUNCTION:
            trial = next(coming)
            _check_share(one, handed_on, trial)
            stages.append(Stage(channels, tables, rest, picture, one, trial))
            tables, rest = [], []
            channels, handed_on = trial.returned[-1] if is_picture(trial.returned) else 0, trial.dtype
            picture = in_bytes = handed_on == "uint8"
            continue
        if not picture and (one.picture or getattr(one.step, "of_bytes", False)):
            raise OptionError(
                f"{one.step!r} stands after {placed[number - 1].step!r}, which leaves the scale of bytes "
                "that it works on: put it before"
            )
        _check_channels(one, channels)
        picture = one.picture
        handed_on = "uint8" if picture else "float32"
        if one.kind == "apply_clip":
            stages.append(Stage(channels, tables, rest, picture, one, None))
            tables, rest, in_bytes = [], [], False
        elif one.kind == "values" and in_bytes and not rest:
            tables.append(one)
        else:
            rest.append(one)
    return [*stages, Stage(channels, tables, rest, picture, None, None)], handed_on


def map_values(placed: Placed, values: NDArray[Any], own: list[float]) -> NDArray[Any]:
    """Return what a table step makes of a (C, n) table."""
    step = placed.step
    values = step.values(values, own)
    return np.clip(values, 0, 255, out=values) if placed.picture else values


def _check_scales(placed: list[Placed]) -> None:
    """Refuse to divide by 255 twice."""
    kinds = {type(one.step).__name__: one.step for one in placed}
    if "Normalize" in kinds and "Rescale" in kinds:
        raise OptionError(
            f"Normalize divides by 255 itself, so {kinds['Rescale']!r} beside it would do so twice: "
            "leave it out"
        )


def _check_channels(placed: Placed, channels: int) -> None:
    step = placed.step
    shape: tuple[int, ...] = getattr(step, "shape", ())
    if channels == 1 and getattr(step, "needs_color", False):
        raise OptionError(f"{step!r} is about colours, but gray pictures have none: leave it out")
    if len(shape) == _PIXEL_WISE and shape[2] != channels:
        raise OptionError(f"{step!r} is for frames of {shape[2]} channels, but the pictures have {channels}")
    if placed.kind == "values":  # it refuses what does not suit it
        map_values(placed, np.zeros((channels, 1)), [0.0] * placed.draws)


def check_returned(one: Placed, time_steps: int, before: object, trial: Trial) -> None:
    """Refuse a step behind a function whose result it cannot work on.

    Parameters
    ----------
    one : Placed
        The step.
    time_steps : int
        Frames of a clip.
    before : PixelStep
        What stands right before it, for the message.
    trial : Trial
        Of the last function before it.

    Raises
    ------
    OptionError
        If it does not suit the shape or type of what was returned.
    """
    said = (
        f"{one.step!r} stands after {before!r}, whose function makes {trial.dtype} {trial.returned} of a clip"
    )
    fits = is_picture(trial.returned) and (trial.dtype == "uint8" or np.dtype(trial.dtype).kind == "f")
    if one.kind != FUNCTION and not fits:
        raise OptionError(
            f"{said}, but it works on (T, H, W, C) of one or three channels, uint8 or floating: put it "
            "before, or let the function do its work"
        )
    if one.per_frame and trial.returned[:1] != (time_steps,):
        raise OptionError(f"{said}, but draws something for each of its {time_steps} frames: give per='clip'")


def _check_share(one: Placed, given: str, trial: Trial) -> None:
    """Refuse a function that acts on some clips alone and changes what they are."""
    if one.p is not None and one.p < 1 and (trial.given, given) != (trial.returned, trial.dtype):
        raise OptionError(
            f"{one.step!r} acts on a share of all, but its function makes {trial.dtype} {trial.returned} of "
            f"{given} {trial.given}: let it return what it gets, or give p=1"
        )
