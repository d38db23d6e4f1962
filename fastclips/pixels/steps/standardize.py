"""Pixel steps that leave the scale of bytes: what a model wants to see of the numbers, once for all.

`Normalize`, in a module of its own, is the fifth of them. They come last, none draws anything, and each says
which dtype the batch has; of several in a row the last one's holds. A standard deviation is never divided by
alone but with 0.000001 added, as in Keras, so that what never varies becomes 0.

How a table or a matrix is learnt from frames is in `fastclips.serving.fitting`.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import checked_bool, checked_dtype, checked_number
from fastclips.pixels.steps.base import PixelStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["ZCA", "FeatureWise", "PerSample", "Rescale"]

_EPSILON = 1e-6
_PIXEL_WISE = 3  # axes: height, width, channels
_MIXED = 64  # rows of a matrix at a time, which stay in a cache for all frames of a clip


@dataclass(frozen=True)
class Rescale(PixelStep):
    """Turn bytes into value * scale + offset.

    Parameters
    ----------
    scale, offset : float
        ``Rescale()`` gives 0 to 1, ``Rescale(1 / 127.5, -1)`` gives -1 to 1.
    dtype : {"float32", "float16"}
        Type of the batch.
    """

    kind = "table"
    scale: float = 1 / 255
    offset: float = 0.0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name in ("scale", "offset"):
            object.__setattr__(self, name, checked_number(getattr(self, name), f"Rescale's {name}"))
        object.__setattr__(self, "dtype", checked_dtype(self.dtype, "Rescale"))
        _check_reach(self, max(abs(self.offset), abs(255 * self.scale + self.offset)), self.dtype)

    def values(self, values: NDArray[Any], draws: Sequence[float] = ()) -> NDArray[Any]:  # noqa: ARG002 - protocol
        """Apply to a (C, n) table of values."""
        return values * self.scale + self.offset


@dataclass(frozen=True)
class PerSample(PixelStep):
    """Subtract from each clip its own mean and divide by its own standard deviation.

    Both are over all frames, pixels and channels of the clip, and are taken from the values that reach this
    step.

    Parameters
    ----------
    dtype : {"float32", "float16"}
        Type of the batch.
    """

    kind = "clip"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", checked_dtype(self.dtype, "PerSample"))

    def apply_clip(self, frames: NDArray[np.float32], draws: Sequence[float] = ()) -> None:  # noqa: ARG002 - none
        """Apply to a clip, (T, H, W, C), in place."""
        from fastclips.pixels.steps.filters import mean_and_variance  # noqa: PLC0415 - OpenCV is the workers'

        means, variances = np.array([mean_and_variance(np.ascontiguousarray(frame)) for frame in frames]).T
        std = np.sqrt(variances.mean() + means.var())
        mean, share = np.float32(means.mean()), np.float32(1 / (std + _EPSILON))
        for frame in frames:
            frame -= mean  # noqa: PLW2901 - in place
            frame *= share  # noqa: PLW2901 - in place


@dataclass(frozen=True, eq=False, repr=False)
class FeatureWise(PixelStep):
    """Subtract a mean and divide by a standard deviation that were learnt from a data set.

    Parameters
    ----------
    mean, std : float or array_like
        For all values, for each channel, (C,), or for each pixel, (H, W, C); in the units of the values that
        reach this step, which are bytes if it comes first.
    dtype : {"float32", "float16"}
        Type of the batch.
    of_bytes : bool
        Whether `mean` and `std` are those of bytes, as if they were fitted: no step before it may then leave
        that scale.

    See Also
    --------
    fastclips.serving.fitting.fit_feature_wise : Learns it from frames.
    """

    kind = "table"
    mean: ArrayLike
    std: ArrayLike
    dtype: str = "float32"
    _: KW_ONLY
    of_bytes: bool = False

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            numbers = _numbers(getattr(self, name), f"FeatureWise's {name}")
            if numbers.ndim != _PIXEL_WISE and numbers.shape not in ((1,), (3,)):
                raise OptionError(
                    f"FeatureWise's {name} must be one number, three, or an array (height, width, channels), "
                    f"not of shape {numbers.shape}"
                )
            object.__setattr__(self, name, numbers)
        mean, std = self._pair
        if std.min() < 0:
            raise OptionError(f"FeatureWise's std must not be negative, as {std.min():g} is")
        try:
            shape = np.broadcast_shapes(mean.shape, std.shape)
        except ValueError:
            shape = ()
        if shape not in (mean.shape, std.shape):
            raise OptionError(f"FeatureWise's mean {mean.shape} and std {std.shape} must be of one shape")
        object.__setattr__(self, "dtype", checked_dtype(self.dtype, "FeatureWise"))
        checked_bool(self.of_bytes, "FeatureWise's of_bytes")
        largest = (np.maximum(np.abs(mean), np.abs(255 - mean)) / (std + _EPSILON)).max()
        _check_reach(self, largest, self.dtype)
        if len(shape) == _PIXEL_WISE:
            object.__setattr__(self, "kind", "frame")
            # float32: half the size on the way to the workers
            object.__setattr__(self, "mean", mean.astype(np.float32))
            object.__setattr__(self, "std", std.astype(np.float32))

    def __repr__(self) -> str:
        mean, std = self._pair
        return f"FeatureWise(mean={_shown(mean)}, std={_shown(std)}, dtype={self.dtype!r})"

    @property
    def _pair(self) -> tuple[NDArray[Any], NDArray[Any]]:
        return self.mean, self.std  # type: ignore[return-value]  # made arrays

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its numbers: (1,), (C,) or (H, W, C)."""
        mean, std = self._pair
        return np.broadcast_shapes(mean.shape, std.shape)

    def check_channels(self, channels: int) -> None:
        """Refuse pictures of other channels than there are numbers for."""
        if len(self.shape) == _PIXEL_WISE:
            _check_pixel_wise(self, self.shape, channels)
        elif self.shape[0] not in (1, channels):
            raise OptionError(
                f"{self!r} is for red, green and blue, but gray pictures have one channel: give one number"
            )

    def values(self, values: NDArray[Any], draws: Sequence[float] = ()) -> NDArray[Any]:  # noqa: ARG002 - protocol
        """Apply to a (C, n) table of values, if there are numbers for channels."""
        mean, std = (numbers[:, None].astype(values.dtype) for numbers in self._pair)
        return np.asarray((values - mean) / (std + _EPSILON), values.dtype)

    def check_frame(self, shape: tuple[int, ...]) -> None:
        """Refuse frames, (H, W, C), if there are numbers for pixels of others."""
        _check_size(self, self.shape, shape)

    def apply(
        self,
        frame: NDArray[np.float32],
        draws: Sequence[float],  # noqa: ARG002 - protocol
        number: int,  # noqa: ARG002 - protocol
    ) -> NDArray[np.float32]:
        """Apply to a frame, (H, W, C), which is overwritten, if there are numbers for pixels."""
        mean, std = self._pair
        frame -= mean
        frame /= std + np.float32(_EPSILON)
        return frame


@dataclass(frozen=True, eq=False, repr=False)
class ZCA(PixelStep):
    """Whiten small frames: subtract the mean frame, then mix all values so that none goes with another.

    A frame of n values takes a matrix of n x n, so 32x32 in colour takes 36 MiB; each worker holds it.

    Parameters
    ----------
    matrix : array_like
        (n, n): row by row, what a value adds to each value of the result.
    mean : array_like
        (H, W, C) with H * W * C = n; in the units of the values that reach this step.
    dtype : {"float32", "float16"}
        Type of the batch.
    of_bytes : bool
        Whether they are those of bytes, as if they were fitted: no step before it may then leave that scale.

    See Also
    --------
    fastclips.serving.fitting.fit_zca : Learns it from frames.
    """

    kind = "clip"
    matrix: ArrayLike
    mean: ArrayLike
    dtype: str = "float32"
    _: KW_ONLY
    of_bytes: bool = False

    def __post_init__(self) -> None:
        matrix, mean = _numbers(self.matrix, "ZCA's matrix"), _numbers(self.mean, "ZCA's mean")
        if mean.ndim != _PIXEL_WISE:
            raise OptionError(f"ZCA's mean must be (height, width, channels), not of shape {mean.shape}")
        if matrix.shape != (mean.size, mean.size):
            raise OptionError(
                f"ZCA's matrix must be {(mean.size, mean.size)} for a mean of {mean.shape}, not "
                f"{matrix.shape}"
            )
        object.__setattr__(self, "dtype", checked_dtype(self.dtype, "ZCA"))
        checked_bool(self.of_bytes, "ZCA's of_bytes")
        largest = (np.maximum(np.abs(mean), np.abs(255 - mean)).ravel() @ np.abs(matrix)).max()
        _check_reach(self, largest, self.dtype)
        object.__setattr__(self, "matrix", matrix.astype(np.float32))
        object.__setattr__(self, "mean", mean.astype(np.float32))

    def __repr__(self) -> str:
        matrix, mean = self._pair
        return f"ZCA(matrix={_shown(matrix)}, mean={_shown(mean)}, dtype={self.dtype!r})"

    @property
    def _pair(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self.matrix, self.mean  # type: ignore[return-value]  # made arrays

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the frames: (H, W, C)."""
        return self._pair[1].shape

    def check_channels(self, channels: int) -> None:
        """Refuse pictures of other channels."""
        _check_pixel_wise(self, self.shape, channels)

    def check_frame(self, shape: tuple[int, ...]) -> None:
        """Refuse frames, (H, W, C), of another shape."""
        _check_size(self, self.shape, shape)

    def apply_clip(self, frames: NDArray[np.float32], draws: Sequence[float] = ()) -> None:  # noqa: ARG002 - none
        """Apply to a clip, (T, H, W, C), in place."""
        matrix, mean = self._pair
        rows = (frames - mean).reshape(len(frames), -1)
        mixed = np.zeros_like(rows)
        for first in range(0, len(matrix), _MIXED):
            some = slice(first, first + _MIXED)
            # Not by BLAS, which rounds otherwise with other numbers of threads.
            mixed += np.einsum("ti,ij->tj", rows[:, some], matrix[some], optimize=False)
        frames[:] = mixed.reshape(frames.shape)


def _numbers(value: object, knob: str) -> NDArray[np.float64]:
    try:
        numbers = np.array(value, np.float64, ndmin=1)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if not numbers.size or not np.isfinite(numbers).all():
        raise OptionError(f"{knob}={value!r:.80}: must be finite numbers")
    return numbers


def _check_reach(step: object, largest: float, dtype: str) -> None:
    """Refuse numbers that take bytes out of the dtype's range."""
    if float(largest) > float(np.finfo(dtype).max):  # not in NumPy's types, of which one is small
        raise OptionError(f"{type(step).__name__}'s values reach {largest:.3g}, too much for dtype={dtype!r}")


def _check_pixel_wise(step: PixelStep, shape: tuple[int, ...], channels: int) -> None:
    if shape[2] != channels:
        raise OptionError(f"{step!r} is for frames of {shape[2]} channels, but the pictures have {channels}")


def _check_size(step: object, shape: tuple[int, ...], frame: tuple[int, ...]) -> None:
    if len(shape) == _PIXEL_WISE and frame != shape:
        height, width, channels = shape
        raise OptionError(
            f"{type(step).__name__} has numbers for frames of {height}x{width}x{channels} (height x width x "
            f"channels), not {frame[0]}x{frame[1]}x{frame[2]}: fit it to frames of that size, or put "
            f"Resize(({height}, {width})) into the transforms"
        )


def _shown(numbers: NDArray[Any]) -> str:
    """Tell arrays apart, in few letters."""
    if numbers.ndim == 1:
        return repr(tuple(numbers.tolist()))
    return f"<{'x'.join(map(str, numbers.shape))}, crc {crc32(numbers.tobytes()):08x}>"
