"""Standardising steps learnt from frames, in one pass and without keeping any frame.

Bytes and their products are integers, so their sums are exact: in 64-bit integers, or in float64 for the
products of a covariance (below 2**53 up to 10**11 frames). Only the results computed from the sums are
rounded, and the order of the frames does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import checked_bool, checked_number
from fastclips.pixels.steps.standardize import ZCA, FeatureWise

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["fit_feature_wise", "fit_zca"]

_MOST_VALUES = 64 * 64 * 3  # per frame, for ZCA: a covariance of 1.1 GiB
_ROWS = 256  # frames that enter the covariance at a time
_CLIPS = 5  # axes: batch, time, height, width, channels


@runtime_checkable
class SupportsBatches(Protocol):
    """The part of a loader that is used here."""

    world: int

    def batch(self, epoch: int, batch: int) -> Any:  # noqa: ANN401 - the structure is the user's choice
        """Return any batch: see `ClipLoader.batch`."""

    def plan_table(self, epoch: int, rank: int | None = None) -> Mapping[str, NDArray[Any]]:
        """Return the clips of an epoch: see `ClipLoader.plan_table`."""


def fit_feature_wise(
    frames: SupportsBatches | Iterable[NDArray[np.uint8]], *, per_pixel: bool = False, dtype: str = "float32"
) -> FeatureWise:
    """Learn the mean and the standard deviation of a data set.

    Both are over all frames and pixels: for each channel, or for each pixel and channel.

    Parameters
    ----------
    frames : ClipLoader, or iterable of ndarray of uint8
        A loader whose clips are not standardised yet: its pictures of epoch 0 without padding; its iteration
        is not moved. Or an iterable of frames, clips or batches of clips, (..., H, W, C).
    per_pixel : bool
        Whether to learn numbers for each pixel, (H, W, C), instead of each channel, (C,). All frames must
        then have one size.
    dtype : {"float32", "float16"}
        Type of the batch.

    Returns
    -------
    FeatureWise
        Put it first among the standardising steps.

    Raises
    ------
    OptionError
        If there is no frame, a frame is no array of uint8, or frames differ in channels, or in size with
        `per_pixel`; if the loader is one of several ranks, or x holds several streams of pictures.

    Examples
    --------
    >>> with fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=2, workers=0) as loader:
    ...     step = fc.fit_feature_wise(loader)
    >>> step.mean.shape, step.std.shape
    ((3,), (3,))
    >>> fc.fit_feature_wise([np.full((4, 4, 1), 10, np.uint8), np.full((4, 4, 1), 40, np.uint8)])
    FeatureWise(mean=(25.0,), std=(15.0,), dtype='float32')
    """
    per_pixel = checked_bool(per_pixel, "per_pixel")
    count, total, squares = 0, np.zeros(1, np.uint64), np.zeros(1, np.uint64)
    for stack in _stacks(frames, one_size=per_pixel):
        added = _summed(stack, per_pixel)
        count += stack.size // added.size
        total = total + added
        squares = squares + _summed(np.square(stack, dtype=np.uint16), per_pixel)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return FeatureWise(mean, std, dtype, of_bytes=True)


def fit_zca(
    frames: SupportsBatches | Iterable[NDArray[np.uint8]], *, eps: float = 1e-6, dtype: str = "float32"
) -> ZCA:
    """Learn the matrix that whitens small frames.

    Computes ``u @ diag(1 / sqrt(s + eps)) @ u.T``, with u and s the eigenvectors and eigenvalues of the
    covariance of the frames' values.

    Parameters
    ----------
    frames : ClipLoader, or iterable of ndarray of uint8
        As for `fit_feature_wise`, of one size with H * W * C up to 12288 (64x64 in colour).
    eps : float
        Added to each variance s, in squared levels of a byte, so that values that hardly vary are not
        amplified. With fewer frames than values, or smooth frames, take more, such as 10.
    dtype : {"float32", "float16"}
        Type of the batch.

    Returns
    -------
    ZCA
        Put it first among the standardising steps.

    Raises
    ------
    OptionError
        If there is no frame, a frame is no array of uint8 or too large, or frames differ in size; and as for
        `fit_feature_wise`.

    Examples
    --------
    >>> transforms = [fc.Resize((6, 8))]
    >>> dataset = fc.open("frames/")
    >>> with fc.ClipLoader(dataset, fc.Windows(4), transforms, batch_size=2, workers=0) as loader:
    ...     step = fc.fit_zca(loader, eps=10)
    >>> step.matrix.shape, step.mean.shape
    ((144, 144), (6, 8, 3))
    """
    eps = checked_number(eps, "eps", 1e-12, 1e12)
    shape: tuple[int, ...] = ()
    count, total, products = 0, np.zeros(0), np.zeros(0)
    for stack in _stacks(frames, one_size=True):
        if not shape:
            shape = stack.shape[1:]
            values = int(np.prod(shape))
            if values > _MOST_VALUES:
                raise OptionError(
                    f"frames of {shape} have {values} values: must be at most {_MOST_VALUES} for ZCA; "
                    "make them smaller, with Resize((32, 32))"
                )
            total, products = np.zeros(values), np.zeros((values, values))
        for first in range(0, len(stack), _ROWS):
            rows = stack[first : first + _ROWS].reshape(-1, total.size).astype(np.float64)
            count += len(rows)
            total += rows.sum(axis=0)
            products += rows.T @ rows
    mean = total / count
    variances, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
    matrix = vectors / np.sqrt(np.maximum(variances, 0) + eps) @ vectors.T
    return ZCA(matrix, mean.reshape(shape), dtype, of_bytes=True)


def _summed(stack: NDArray[Any], per_pixel: bool) -> NDArray[np.uint64]:
    """Add up an (n, H, W, C) stack, per channel or per pixel."""
    if per_pixel:
        return np.asarray(stack.sum(axis=0, dtype=np.uint64))
    rows = stack.reshape(-1, *stack.shape[2:])  # by whole rows first: adding (n, 3) takes ten times as long
    return np.asarray(rows.sum(axis=0, dtype=np.uint64).sum(axis=0))


def _served(loader: SupportsBatches) -> Iterator[Any]:
    """Yield the pictures of a loader's epoch, (n, H, W, C) or (B, T, H, W, C), without padding."""
    if loader.world > 1:
        raise OptionError(
            f"the loader's world={loader.world}: must be 1, as a rank serves a part of the frames; learn "
            "from a loader with rank=0, world=1, and give all ranks the result"
        )
    shown = loader.plan_table(0)["frames"] >= 0
    number = 0
    while len(shown):
        batch, number = loader.batch(0, number), number + 1
        x = _pictures(batch[0] if isinstance(batch, tuple) else batch)
        own, shown = shown[: len(x)], shown[len(x) :]
        if own.all():
            yield x
        elif x.shape[:2] == own.shape:
            yield x[own]
        else:
            raise OptionError(
                f"clips end with padding, which cannot be found in x of {x.shape[1:]}: learn from a loader "
                "without the function that changes the shape, or without short='pad' and tail='pad'"
            )


def _pictures(x: Any) -> NDArray[Any]:  # noqa: ANN401 - the structure is the user's choice
    """Return the only stream of pictures of x."""
    if not isinstance(x, dict):
        return np.asarray(x)
    found = {name: array for name, array in x.items() if array.ndim == _CLIPS}
    if len(found) != 1:
        raise OptionError(
            f"x holds {len(found)} streams of pictures ({', '.join(found) or 'none'}): must be one; give the "
            "loader inputs='image', or the name of the stream"
        )
    return next(iter(found.values()))


def _advice(given: object) -> str:
    if not isinstance(given, np.ndarray):
        return "pass a loader itself, not its batches"
    if given.dtype != np.uint8:
        return "learn from a loader without standardising steps and functions"
    return "channels come last, as from a loader with channels_first=False"


def _stacks(
    frames: SupportsBatches | Iterable[NDArray[np.uint8]], *, one_size: bool
) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames as (n, H, W, C) arrays; neighbouring frames of one size are gathered."""
    if isinstance(frames, SupportsBatches):
        frames = _served(frames)
    if not isinstance(frames, Iterable):
        raise OptionError(f"frames={frames!r}: must be a ClipLoader, or an iterable of arrays")
    gathered: list[NDArray[np.uint8]] = []
    expected: tuple[int, ...] | None = None
    for given in frames:
        if (
            not isinstance(given, np.ndarray)
            or given.dtype != np.uint8
            or given.shape[-1:] not in ((1,), (3,))
        ):
            shown = f"{given.dtype} {given.shape}" if isinstance(given, np.ndarray) else f"{given!r:.80}"
            raise OptionError(
                f"frames must hold arrays of uint8, (..., height, width, 1 or 3), not {shown}: "
                f"{_advice(given)}"
            )
        if given.ndim < 3 or not given.size:  # noqa: PLR2004 - height, width, channels
            raise OptionError(f"frames must hold arrays (..., height, width, channels), not {given.shape}")
        stack = given.reshape(-1, *given.shape[-3:])
        expected = expected or stack.shape[1:]
        if stack.shape[3] != expected[2] or (one_size and stack.shape[1:] != expected):
            raise OptionError(
                f"frames of {expected} and {stack.shape[1:]} (height, width, channels): must have one shape; "
                "add a Resize, or read all in colour or all in gray"
            )
        if gathered and (gathered[0].shape[1:] != stack.shape[1:] or sum(map(len, gathered)) >= _ROWS):
            yield np.concatenate(gathered)
            gathered = []
        gathered.append(stack)
    if not gathered:
        raise OptionError("frames: must hold at least one frame")
    yield np.concatenate(gathered)
