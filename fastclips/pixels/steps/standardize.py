"""Standardising steps: pixel steps that leave the scale of bytes.

`Normalize`, in a module of its own, is another. Standardising steps come last and draw nothing. Each has a
dtype; the last one's is the dtype of the batch. Standard deviations are divided by with 0.000001 added, as in
Keras' ImageDataGenerator, so that values that never vary become 0.

`fastclips.serving.fitting` learns a table or a matrix from frames.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from fastclips._native import multiply
from fastclips.errors import OptionError
from fastclips.options import checked_bool, checked_dtype, checked_number
from fastclips.pixels.steps.base import PixelStep
from fastclips.pixels.steps.filters import mean_and_variance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["ZCA", "FeatureWise", "PerSample", "Rescale"]

_EPSILON = 1e-6
_PIXEL_WISE = 3  # axes: height, width, channels


@dataclass(frozen=True)
class Rescale(PixelStep):
    """Scale and shift values.

    Computes ``value * scale + offset`` and makes batches floating point. A table step: free if only table
    steps come before it.

    Parameters
    ----------
    scale, offset : float
        ``Rescale()`` maps bytes to [0, 1]; ``Rescale(1 / 127.5, -1)`` maps them to [-1, 1].
    dtype : {"float32", "float16"}
        Type of the batch.

    Examples
    --------
    >>> fc.Rescale(1 / 127.5, -1).values(np.array([[0.0, 127.5, 255.0]]))
    array([[-1.,  0.,  1.]])
    >>> images = np.zeros((2, 4, 8, 8, 3), np.uint8)
    >>> steps = [fc.Rescale(dtype="float16")]
    >>> with fc.ClipLoader(fc.open(images=images), fc.Windows(4), steps, batch_size=2, workers=0) as loader:
    ...     print(next(iter(loader)).dtype)
    float16
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

    def values(self, values: NDArray[Any], draws: Sequence[float] = ()) -> NDArray[Any]:  # noqa: ARG002 - PixelStep's
        """Map a (C, n) table of values."""
        return values * self.scale + self.offset


@dataclass(frozen=True)
class PerSample(PixelStep):
    """Subtract the mean of each clip and divide by its standard deviation.

    Computes ``(value - mean) / (std + 0.000001)`` over all frames, pixels and channels of a clip, as they
    reach this step; a clip of one value becomes 0. The constant is that of Keras' ImageDataGenerator. A clip
    step: it takes two passes over the clip.

    Parameters
    ----------
    dtype : {"float32", "float16"}
        Type of the batch.

    Examples
    --------
    >>> clip = np.array([0, 2, 4, 6], np.float32).reshape(2, 1, 2, 1)
    >>> fc.PerSample().apply_clip(clip)
    >>> clip.ravel().round(2)
    array([-1.34, -0.45,  0.45,  1.34], dtype=float32)
    """

    kind = "clip"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", checked_dtype(self.dtype, "PerSample"))

    def apply_clip(self, frames: NDArray[np.float32], draws: Sequence[float] = ()) -> None:  # noqa: ARG002 - PixelStep's
        """Overwrite a clip, (T, H, W, C)."""
        means, variances = np.array([mean_and_variance(np.ascontiguousarray(frame)) for frame in frames]).T
        std = np.sqrt(variances.mean() + means.var())
        mean, share = np.float32(means.mean()), np.float32(1 / (std + _EPSILON))
        for frame in frames:
            frame -= mean  # noqa: PLW2901 - in place
            frame *= share  # noqa: PLW2901 - in place


@dataclass(frozen=True, eq=False, repr=False)
class FeatureWise(PixelStep):
    """Subtract the mean of a data set and divide by its standard deviation.

    Computes ``(value - mean) / (std + 0.000001)``; what never varies becomes 0. The constant is that of
    Keras' ImageDataGenerator. With one number or one for each channel, a table step; with numbers for each
    pixel, a frame step. `fastclips.fit_feature_wise` learns the numbers from frames.

    Parameters
    ----------
    mean, std : float or array_like
        One number, one for each channel, (C,), or one for each pixel, (H, W, C). In the units of the values
        that reach this step: bytes, if it comes first.
    dtype : {"float32", "float16"}
        Type of the batch.
    of_bytes : bool
        Whether the numbers are those of bytes, as fitted ones are: then no step before it may leave the
        scale of bytes.

    Examples
    --------
    >>> step = fc.FeatureWise((100, 110, 120), 50)
    >>> step
    FeatureWise(mean=(100.0, 110.0, 120.0), std=(50.0,), dtype='float32')
    >>> step.values(np.full((3, 1), 150.0)).round(2)
    array([[1. ],
           [0.8],
           [0.6]])
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
                    f"FeatureWise's {name} of shape {numbers.shape}: must be one number, three, or an array "
                    "(height, width, channels)"
                )
            object.__setattr__(self, name, numbers)
        mean, std = self._pair
        if std.min() < 0:
            raise OptionError(f"FeatureWise's std={std.min():g}: must not be negative")
        try:
            shape = np.broadcast_shapes(mean.shape, std.shape)
        except ValueError:
            shape = ()
        if shape not in (mean.shape, std.shape):
            raise OptionError(f"FeatureWise's mean {mean.shape} and std {std.shape}: must have one shape")
        object.__setattr__(self, "dtype", checked_dtype(self.dtype, "FeatureWise"))
        checked_bool(self.of_bytes, "FeatureWise's of_bytes")
        largest = (np.maximum(np.abs(mean), np.abs(255 - mean)) / (std + _EPSILON)).max()
        _check_reach(self, largest, self.dtype)
        if len(shape) == _PIXEL_WISE:
            object.__setattr__(self, "kind", "frame")
            # float32 halves what travels to the workers.
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
        """Shape of the numbers: (1,), (C,) or (H, W, C)."""
        mean, std = self._pair
        return np.broadcast_shapes(mean.shape, std.shape)

    def check_channels(self, channels: int) -> None:
        """Raise `OptionError` for pictures with other channels than there are numbers for."""
        if len(self.shape) == _PIXEL_WISE:
            _check_pixel_wise(self, self.shape, channels)
        elif self.shape[0] not in (1, channels):
            raise OptionError(
                f"{self!r} is for red, green and blue, but gray pictures have one channel: give one number"
            )

    def values(self, values: NDArray[Any], draws: Sequence[float] = ()) -> NDArray[Any]:  # noqa: ARG002 - PixelStep's
        """Map a (C, n) table of values, if there are numbers for channels."""
        mean, std = (numbers[:, None].astype(values.dtype) for numbers in self._pair)
        return np.asarray((values - mean) / (std + _EPSILON), values.dtype)

    def check_frame(self, shape: tuple[int, ...]) -> None:
        """Raise `OptionError` if there are numbers for pixels of frames of another shape, (H, W, C)."""
        _check_size(self, self.shape, shape)

    def apply(
        self,
        frame: NDArray[np.float32],
        draws: Sequence[float],  # noqa: ARG002 - PixelStep's
        number: int,  # noqa: ARG002 - PixelStep's
    ) -> NDArray[np.float32]:
        """Change a frame, (H, W, C), in place, if there are numbers for pixels."""
        mean, std = self._pair
        frame -= mean
        frame /= std + np.float32(_EPSILON)
        return frame


@dataclass(frozen=True, eq=False, repr=False)
class ZCA(PixelStep):
    """Whiten small frames: subtract the mean frame, then mix all values by a matrix.

    Computes ``(frame - mean).ravel() @ matrix`` for each frame. A frame of n values takes a matrix of n x n
    in each worker: 36 MiB for 32x32 in colour. A clip step. `fastclips.fit_zca` learns the matrix from
    frames.

    Parameters
    ----------
    matrix : array_like, (n, n)
        Row by row, what a value adds to each value of the result.
    mean : array_like, (H, W, C)
        Mean frame, with H * W * C = n, in the units of the values that reach this step.
    dtype : {"float32", "float16"}
        Type of the batch.
    of_bytes : bool
        Whether matrix and mean are those of bytes, as fitted ones are: then no step before it may leave the
        scale of bytes.

    Examples
    --------
    >>> step = fc.ZCA(np.eye(2) / 50, np.full((1, 2, 1), 100))
    >>> clip = np.array([150, 200], np.float32).reshape(1, 1, 2, 1)
    >>> step.apply_clip(clip)
    >>> clip.ravel()
    array([1., 2.], dtype=float32)
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
            raise OptionError(f"ZCA's mean of shape {mean.shape}: must be (height, width, channels)")
        if matrix.shape != (mean.size, mean.size):
            raise OptionError(
                f"ZCA's matrix of shape {matrix.shape}: must be {(mean.size, mean.size)} for a mean of "
                f"{mean.shape}"
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
        """Shape of the frames: (H, W, C)."""
        return self._pair[1].shape

    def check_channels(self, channels: int) -> None:
        """Raise `OptionError` for pictures with other channels."""
        _check_pixel_wise(self, self.shape, channels)

    def check_frame(self, shape: tuple[int, ...]) -> None:
        """Raise `OptionError` for frames of another shape, (H, W, C)."""
        _check_size(self, self.shape, shape)

    def apply_clip(self, frames: NDArray[np.float32], draws: Sequence[float] = ()) -> None:  # noqa: ARG002 - PixelStep's
        """Overwrite a clip, (T, H, W, C)."""
        matrix, mean = self._pair
        rows = (frames - mean).reshape(len(frames), -1)
        mixed = np.empty_like(rows)
        multiply(rows, matrix, mixed)  # not by BLAS or NumPy, whose sums differ between CPUs
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
    """Raise `OptionError` if the results for bytes exceed the range of a dtype."""
    if float(largest) > float(np.finfo(dtype).max):  # as Python floats: float16 would overflow
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
    """Return a short text that differs between arrays."""
    if numbers.ndim == 1:
        return repr(tuple(numbers.tolist()))
    return f"<{'x'.join(map(str, numbers.shape))}, crc {crc32(numbers.tobytes()):08x}>"
