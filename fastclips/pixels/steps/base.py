"""`PixelStep`: the contract between a pixel step and the engine.

`fastclips.pixels.steps.compiled` describes how a list of pixel steps runs.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias

from fastclips.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["METHODS", "Kind", "PixelStep", "Trial", "check_declaration"]

Kind: TypeAlias = Literal["table", "frame", "clip", "function"]

METHODS: dict[str, str] = {
    "table": "values",
    "frame": "apply",
    "clip": "apply_clip",
    "function": "call_function",  # internal: `Apply`
}
"""The method that each kind of pixel step overrides."""

_DTYPES = (None, "float32", "float16")


class PixelStep:
    """Base class of pixel steps: operations on pixels after the geometry.

    .. note:: The contract is provisional: it may change in a minor version.

    Subclass `PixelStep`, set `kind`, and override the
    method of that kind. Make the subclass a frozen dataclass: an instance holds options and no random state,
    must pickle, and its repr must name every option, because error messages show it.
    `fastclips.testing.check_pixel_step` checks an instance against this contract.

    ==========  ================================================  ==========================================
    kind        method to override                                cost
    ==========  ================================================  ==========================================
    ``table``   ``values(values, draws)``, value by value         free before the first step of another kind
    ``frame``   ``apply(frame, draws, number)``, frame by frame   one pass over each frame
    ``clip``    ``apply_clip(frames, draws)``, the whole clip     one pass, and a float32 copy of the clip
    ==========  ================================================  ==========================================

    Values are on the scale of bytes, 0 to 255, until the first step that sets `dtype`. The engine clips the
    result of a step without `dtype` to [0, 255], and rounds once, after the last step. The same input and
    draws must give the same bits in every process; a result must not depend on earlier calls.

    Attributes
    ----------
    kind : {"table", "frame", "clip"}
        Class attribute; it has no default.
    draws : int
        Uniform random numbers in [0, 1) that the method takes, per clip or per frame. Default 0.
    p : float or None
        Probability that the step acts on a clip (on a frame, with ``per="frame"``). A number takes one more
        draw, which the engine keeps to itself. Default None: the step always acts.
    per : {"clip", "frame", "video"}
        Whether all frames of a clip share their draws, each frame has draws of its own (not for kind
        ``clip``), or all clips of a video share them in an epoch. Default ``"clip"``.
    dtype : {None, "float32", "float16"}
        The type of the batch, of a step that leaves the scale of bytes. Only steps with a `dtype` may follow
        it; the last one's is the type of the batch. Default None.
    of_bytes : bool
        Whether a step with a `dtype` needs values on the scale of bytes. Default False.
    needs_color : bool
        Whether the step refuses gray pictures. Default False.

    Examples
    --------
    A table step, and a frame step with one draw per clip:

    >>> from dataclasses import dataclass
    >>> class Invert(fc.PixelStep):
    ...     kind = "table"
    ...     def __repr__(self):
    ...         return "Invert()"
    ...     def values(self, values, draws):
    ...         return 255 - values
    >>> @dataclass(frozen=True)
    ... class Shade(fc.PixelStep):
    ...     strength: float
    ...     kind = "frame"
    ...     draws = 1
    ...     def apply(self, frame, draws, number):
    ...         end = 1 - self.strength * draws[0]
    ...         frame *= np.linspace(1, end, frame.shape[1], dtype=np.float32)[:, None]
    ...         return frame
    >>> steps = [fc.RandomCrop(32), Invert(), Shade(0.5)]
    >>> dataset = fc.open("frames/")
    >>> with fc.ClipLoader(dataset, fc.Windows(4), steps, batch_size=2, workers=0) as loader:
    ...     x, y = next(iter(loader))
    >>> x.shape, x.dtype
    ((2, 4, 32, 32, 3), dtype('uint8'))
    """

    kind: ClassVar[Kind]
    draws: int = 0
    p: float | None = None
    per: str = "clip"
    dtype: str | None = None
    of_bytes: bool = False
    needs_color: bool = False

    def __init_subclass__(cls, **options: Any) -> None:  # noqa: ANN401 - as object's
        """Check that a class with a `kind` overrides the method of that kind."""
        super().__init_subclass__(**options)
        if hasattr(cls, "kind"):
            _check_method(cls, cls.kind)

    def values(self, values: NDArray[Any], draws: Sequence[float]) -> NDArray[Any]:
        """Map values; the method of kind ``table``.

        Parameters
        ----------
        values : ndarray, (C, n)
            Values of each channel, float64 or float32. Must not be written to.
        draws : sequence of float
            `draws` numbers in [0, 1).

        Returns
        -------
        ndarray, (C, n)
            A new array of the type of `values`; the engine may overwrite it.
        """
        raise NotImplementedError

    def apply(self, frame: NDArray[np.float32], draws: Sequence[float], number: int) -> NDArray[np.float32]:
        """Change one frame; the method of kind ``frame``.

        Parameters
        ----------
        frame : ndarray of float32, (H, W, C)
            C-contiguous; may be overwritten.
        draws : sequence of float
            `draws` numbers in [0, 1).
        number : int
            The frame's time step in its clip, from 0.

        Returns
        -------
        ndarray of float32, (H, W, C)
            C-contiguous; `frame` itself or a new array. The engine may overwrite it.
        """
        raise NotImplementedError

    def apply_clip(self, frames: NDArray[np.float32], draws: Sequence[float]) -> None:
        """Overwrite a clip with the result; the method of kind ``clip``.

        Parameters
        ----------
        frames : ndarray of float32, (T, H, W, C)
            May be a view with other strides, where channels come first in memory.
        draws : sequence of float
            `draws` numbers in [0, 1).
        """
        raise NotImplementedError

    def check_channels(self, channels: int) -> None:
        """Raise `OptionError` if the step cannot work on pictures of so many channels, 1 or 3."""
        if channels == 1 and self.needs_color:
            raise OptionError(f"{self!r} needs colour, but the pictures are gray: leave it out")

    def check_frame(self, shape: tuple[int, ...]) -> None:
        """Raise `OptionError` if the step cannot work on frames of a shape, (H, W, C)."""


class Trial(NamedTuple):
    """What a user's function returned when it was tried out on a clip.

    Parameters
    ----------
    given : tuple of int
        Shape of the clip that reached the function: (T, H, W, C), if it is the first function.
    returned : tuple of int
        Shape of the clip after the function.
    dtype : str
        Type of the clip after the function.
    """

    given: tuple[int, ...]
    returned: tuple[int, ...]
    dtype: str


def check_declaration(step: PixelStep) -> None:
    """Raise `OptionError` if the attributes of a pixel step break the contract."""
    name, kind = type(step).__name__, getattr(step, "kind", None)
    _check_method(type(step), kind)
    draws, p = step.draws, step.p
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 0:
        raise OptionError(f"{name}'s draws={draws!r}: must be an int, at least 0")
    if p is not None and not (isinstance(p, (int, float)) and isfinite(p) and 0 <= p <= 1):
        raise OptionError(f"{name}'s p={p!r}: must be a number from 0 to 1, or None")
    if step.per not in ("clip", "video") and (step.per != "frame" or kind == "clip"):
        allowed = "'clip' or 'video' for kind='clip'" if kind == "clip" else "'clip', 'frame' or 'video'"
        raise OptionError(f"{name}'s per={step.per!r}: must be {allowed}")
    if step.dtype not in _DTYPES:
        raise OptionError(f"{name}'s dtype={step.dtype!r}: must be 'float32', 'float16' or None")


def _check_method(cls: type[PixelStep], kind: object) -> None:
    """Raise `OptionError` unless a class overrides the method of a kind."""
    method = METHODS.get(kind) if isinstance(kind, str) else None
    if method is None:
        raise OptionError(f"{cls.__name__}'s kind={kind!r}: must be 'table', 'frame' or 'clip'")
    if getattr(cls, method, None) is getattr(PixelStep, method, None):
        raise OptionError(f"{cls.__name__}'s kind={kind!r}: must override the method {method}()")
