"""`Normalize`: bytes to standardised floats, by one table."""

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
    """Scale bytes to [0, 1], subtract a mean and divide by a standard deviation.

    Computes ``(value / 255 - mean) / std`` and makes batches floating point. A table step: free if only table
    steps come before it. No step before it may leave the scale of bytes.

    Parameters
    ----------
    mean, std : float or sequence of 3 float
        Of values scaled to [0, 1]: one number for all channels, or red, green and blue. Gray pictures take
        one number. `mean` is from 0 to 1, `std` above 0.
    dtype : {"float32", "float16"}
        Type of the batch.

    Examples
    --------
    The mean and the standard deviation of ImageNet, as torchvision states them:

    >>> step = fc.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    >>> step.values(np.array([[0.0], [127.5], [255.0]])).round(2)
    array([[-2.12],
           [ 0.2 ],
           [ 2.64]])
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
                f"Normalize's mean={self.mean!r}: must be from 0 to 1, of values / 255: divide it by 255"
            )
        object.__setattr__(self, "dtype", checked_dtype(self.dtype, "Normalize"))
        largest = np.abs(self.values(np.tile([0.0, 255.0], (3, 1)))).max()
        if largest > np.finfo(self.dtype).max:
            raise OptionError(f"Normalize's values reach {largest:.3g}, too much for dtype={self.dtype!r}")

    def check_channels(self, channels: int) -> None:
        """Raise `OptionError` for gray pictures if there are numbers for red, green and blue."""
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) > channels:  # type: ignore[arg-type]
                raise OptionError(
                    f"Normalize's {name}={numbers} is for red, green and blue, but gray pictures have one "
                    "channel: give one number"
                )

    def values(self, values: NDArray[Any], draws: Sequence[float] = ()) -> NDArray[Any]:  # noqa: ARG002 - PixelStep's
        """Apply to a (C, n) table of values on the scale of bytes, float64 or float32."""
        mean, std = (
            np.broadcast_to(np.asarray(v, values.dtype), len(values))[:, None] for v in (self.mean, self.std)
        )
        return np.asarray((values / 255 - mean) / std)
