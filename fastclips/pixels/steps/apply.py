"""`Apply`: a user's own function as a pixel step.

Only this step may change the shape of a clip. Shape and dtype of its result are found by calling it once on a
real frame when a loader is made, and a batch has room for just that; later calls must return the same.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.errors import FastclipsError, FrameError
from fastclips.functions import UserFunction, print_traceback
from fastclips.options import check_chance
from fastclips.pixels.steps.base import PixelStep, Trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Apply"]

_KINDS = "biufc"  # NumPy's letters of the dtypes that a batch can hold


@dataclass(frozen=True)
class Apply(PixelStep):
    """Call a function of yours on clips or frames, in its place among the pixel steps.

    The function gets an array that it may overwrite: uint8 if all steps before it keep the scale of bytes,
    float32 after a standardising step, or the result of the `Apply` before it. It returns an array, or what
    NumPy turns into one, of any shape and dtype, which must be the same at each call. The function is called
    once when the loader is made, to find both; if no step follows, they are those of the batch.

    After a uint8 result, picture steps may follow; after floats, standardising steps. They need a clip
    (T, H, W, C) of one or three channels; after any other shape, only another `Apply` may follow.
    ``channels_first=True`` moves the last axis of such a clip and leaves other results as they are. Functions
    never see masks; use a transform for geometry that masks must follow.

    Functions reach the workers by cloudpickle, as they are when the loader is made, with all that they refer
    to: lambdas, and functions of the script, of a notebook or of a module beside the script. With
    ``workers=0`` the function itself is called.

    A function without memory gives the same result for a clip in any process. NumPy's and Python's global
    random generators are seeded for each call from the clip's draws, and put back afterwards in the trainer.
    A ``Generator`` that the function keeps would repeat its numbers in each worker: make it inside the
    function, from ``np.random.randint(2**31)``.

    Parameters
    ----------
    function : callable
        Takes a clip, (T, H, W, C), or with ``per="frame"`` a frame, (H, W, C).
    p : float
        Probability that it acts on a clip (on a frame, with ``per="frame"``), 0 to 1. Below 1, it must return
        the shape and dtype that it gets.
    per : {"clip", "frame", "video"}
        Whether it is called once with the clip, or with each frame. With ``"video"`` it is called with the
        clip, and all clips of a video have the same random numbers in an epoch.

    Examples
    --------
    >>> dataset = fc.open("frames/")
    >>> steps = [fc.RandomCrop(32), fc.Apply(lambda clip: np.diff(clip.astype(np.int16), axis=0))]
    >>> with fc.ClipLoader(dataset, fc.Windows(4), steps, batch_size=2, workers=0) as loader:
    ...     x, y = next(iter(loader))
    >>> x.shape, x.dtype
    ((2, 3, 32, 32, 3), dtype('int16'))
    """

    kind = "function"
    function: Callable[..., Any]  # a UserFunction after __post_init__
    _: KW_ONLY
    p: float = 1.0
    per: str = "clip"
    draws = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "function", UserFunction(self.function, "Apply's function"))
        check_chance(self)

    @property
    def _user_function(self) -> UserFunction:
        return self.function  # type: ignore[return-value]  # as __post_init__ made it

    def call_function(self, given: NDArray[Any], draw: float) -> NDArray[Any]:
        """Return the function's result as an array.

        Parameters
        ----------
        given : ndarray
            A clip or a frame; may be overwritten, and be part of the result.
        draw : float
            In [0, 1): the seed of the global random generators.

        Raises
        ------
        FrameError
            If the function raises an exception, or returns no array of numbers.
        """
        try:
            result = self.function(draw, given)
            array = np.asarray(result)
        except FastclipsError:
            raise
        except Exception as error:
            if self._user_function.arrived:
                print_traceback(error)
            raise FrameError(
                f"Apply's function {self.function} raised {type(error).__name__}: {error}"
                + " (the traceback is on standard error)" * self._user_function.arrived
            ) from error
        if array.dtype.kind not in _KINDS or not array.size:
            is_array = isinstance(result, np.ndarray)
            shown = f"{array.dtype} {array.shape}" if is_array else " ".join(repr(result).split())
            raise FrameError(
                f"Apply's function {self.function} returned {shown:.80}: it must return an array of numbers, "
                "of a type that NumPy has by itself, and not an empty one"
            )
        return array

    def try_out(self, clip: NDArray[Any]) -> Trial:
        """Call a copy of the function once; return the shapes and the dtype before and after it.

        `clip` may be overwritten.

        Raises
        ------
        FrameError
            As for `call_function`.
        """
        per_frame = self.per == "frame"
        tried = replace(self, function=self._user_function.copy())
        result = tried.call_function(clip[0] if per_frame else clip, 0.0)
        shape = (len(clip), *result.shape) if per_frame else result.shape
        return Trial(clip.shape, shape, result.dtype.name)
