"""The kinds of pixel steps; `compiled` says what each of them may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fastclips.pixels.steps.apply import Apply

__all__ = ["ClipStep", "FrameStep", "PixelStep", "TableStep"]


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


PixelStep: TypeAlias = "TableStep | FrameStep | ClipStep | Apply"
