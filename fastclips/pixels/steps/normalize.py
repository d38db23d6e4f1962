"""Pixel steps: what becomes of each byte of a picture, once it stands where it belongs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import checked_dtype
from fastclips.pixels.steps.base import PixelStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Normalize"]


@dataclass(frozen=True)
class Normalize(PixelStep):
    """Turn bytes into (value / 255 - mean) / std.

    Applies to pictures alone, after their geometry; nothing before it may leave the scale of bytes.

    Parameters
    ----------
    mean, std : float or sequence of 3 float
        For all channels, or for red, green and blue, of values scaled to [0, 1]. Gray takes one number.
    dtype : {"float32", "float16"}
        Type of the batch.
    """

    kind = "table"
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0
    dtype: str = "float32"
    of_bytes = True

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            try:
                value = np.atleast_1d(np.asarray(getattr(self, name), np.float64))
            except (TypeError, ValueError):
                value = np.empty(0)
            given = np.asarray(getattr(self, name)).dtype.kind
            if given not in "iuf" or value.shape not in ((1,), (3,)) or not np.isfinite(value).all():
                raise OptionError(f"Normalize's {name}={getattr(self, name)!r}: must be one number or three")
            object.__setattr__(self, name, tuple(value.tolist()))
        if min(self.std) <= 0:  # type: ignore[arg-type]
            raise OptionError(f"Normalize's std={self.std!r}: must be positive")
        if not 0 <= min(self.mean) <= max(self.mean) <= 1:  # type: ignore[arg-type]
            raise OptionError(
                f"Normalize's mean is of values scaled to [0, 1], not {self.mean!r}: divide by 255"
            )
        object.__setattr__(self, "dtype", checked_dtype(self.dtype, "Normalize"))
        largest = np.abs(self.values(np.tile([0.0, 255.0], (3, 1)))).max()
        if largest > np.finfo(self.dtype).max:
            raise OptionError(f"Normalize's values reach {largest:.3g}, too much for dtype={self.dtype!r}")

    def check_channels(self, channels: int) -> None:
        """Refuse gray pictures if there are numbers for red, green and blue."""
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) > channels:  # type: ignore[arg-type]
                raise OptionError(
                    f"Normalize's {name}={numbers} is for red, green and blue, but gray pictures have one "
                    "channel: give one number"
                )

    def values(self, values: NDArray[Any], draws: Sequence[float] = ()) -> NDArray[Any]:  # noqa: ARG002 - none
        """Apply to a (C, n) table of values on the scale of bytes, float64 or float32."""
        mean, std = (
            np.broadcast_to(np.asarray(v, values.dtype), len(values))[:, None] for v in (self.mean, self.std)
        )
        return np.asarray((values / 255 - mean) / std)
