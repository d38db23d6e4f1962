"""A user's own function as a pixel step.

It is the one step that may change what a clip is: its shape and its dtype. Both are found by running it once
when a loader is made, on a real frame, and a batch has room for just that; every later call must agree.
"""

from __future__ import annotations

import traceback
from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.errors import FastclipsError, FrameError
from fastclips.functions import UserFunction
from fastclips.options import check_chance
from fastclips.pixels.steps.base import PixelStep, Trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Apply"]

_KINDS = "biufc"  # NumPy's letters of what a batch can hold


@dataclass(frozen=True)
class Apply(PixelStep):
    """Call a function of yours on pictures, at its place among the pixel steps.

    It gets an array that it may overwrite: uint8, as a batch would hold it, where everything before it keeps
    the scale of bytes; float32 behind a step that standardises; behind another `Apply`, what that returned.
    It returns an array, or what NumPy makes one of, of any shape and dtype, always the same: they are found
    by calling it once when the loader is made, and are those of the batch if no step follows.

    uint8 is a picture still, and picture steps may follow. Floats are standardised, and only steps that
    standardise may follow; so is nothing but another `Apply` behind a clip that is not (T, H, W, C) of one or
    three channels. ``channels_first=True`` moves the last axis of such a clip alone, and leaves any other
    result as it is. Masks never see a function; geometry that they must follow belongs to a transform.

    Lambdas and functions of the script, of a notebook or of a module beside the script reach the workers by
    cloudpickle, as they are when the loader is made, with all that they refer to; with ``workers=0`` the
    function itself is called. The same clip gives the same result in any process as long as the function
    remembers nothing: NumPy's and Python's global generators are seeded for each call from what is drawn for
    the clip, and put back afterwards in the trainer. Others are not: a ``Generator`` that the function keeps
    draws the same numbers in each worker, so make it within, of ``np.random.randint(2**31)``.

    Parameters
    ----------
    function : callable
        Takes a clip, (T, H, W, C), or with ``per="frame"`` a frame, (H, W, C).
    p : float
        Share of clips (of frames, with ``per="frame"``) on which it acts; below 1, it has to return the shape
        and dtype that it gets.
    per : {"clip", "frame"}
        What it is called with, and how often.
    """

    kind = "function"
    function: Callable[..., Any]  # a UserFunction, once it is checked
    _: KW_ONLY
    p: float = 1.0
    per: str = "clip"
    draws = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "function", UserFunction(self.function, "Apply's function"))
        check_chance(self)

    @property
    def _own(self) -> UserFunction:
        return self.function  # type: ignore[return-value]  # made one

    def call_function(self, given: NDArray[Any], draw: float) -> NDArray[Any]:
        """Call the function.

        Parameters
        ----------
        given : ndarray
            A clip or a frame; may be overwritten, and be part of the result.
        draw : float
            In [0, 1).

        Returns
        -------
        ndarray
            What it returned.

        Raises
        ------
        FrameError
            If it raises something, or returns no array of numbers.
        """
        try:
            result = self.function(draw, given)
            array = np.asarray(result)
        except FastclipsError:
            raise
        except Exception as error:
            if self._own.arrived:
                traceback.print_exc()
            raise FrameError(
                f"Apply's function {self.function} raised {type(error).__name__}: {error}"
                + " (the traceback is on standard error)" * self._own.arrived
            ) from error
        if array.dtype.kind not in _KINDS or not array.size:
            is_array = isinstance(result, np.ndarray)
            what = f"{array.dtype} {array.shape}" if is_array else " ".join(repr(result).split())
            raise FrameError(
                f"Apply's function {self.function} returned {what:.80}: it must return an array of numbers, "
                "of a type that NumPy has by itself, and not an empty one"
            )
        return array

    def try_out(self, clip: NDArray[Any]) -> Trial:
        """Call the function once and see what it does to a clip, which may be overwritten.

        Raises
        ------
        FrameError
            As for `call_function`.
        """
        per_frame = self.per == "frame"
        tried = replace(self, function=self._own.copy())
        result = tried.call_function(clip[0] if per_frame else clip, 0.0)
        shape = (len(clip), *result.shape) if per_frame else result.shape
        return Trial(clip.shape, shape, result.dtype.name)
