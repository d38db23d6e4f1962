"""Learns standardising steps from frames, in one pass over them and without keeping any.

Bytes and their products are whole numbers, so sums of them are exact: in 64-bit integers, or in float64 for
the products of a covariance (below 2**53 up to 10**11 frames). Only what is made of the sums is rounded, and
the order of the frames does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import checked_bool
from fastclips.pixels.knobs import checked_number
from fastclips.pixels.standardize import ZCA, FeatureWise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["fit_feature_wise", "fit_zca"]

_MOST_VALUES = 64 * 64 * 3  # per frame, for ZCA: a covariance of 1.1 GiB
_ROWS = 256  # frames that enter the covariance at a time


def fit_feature_wise(
    frames: Iterable[NDArray[np.uint8]], *, per_pixel: bool = False, dtype: str = "float32"
) -> FeatureWise:
    """Learn mean and standard deviation of a data set.

    Parameters
    ----------
    frames : iterable of ndarray of uint8
        Frames, clips or batches of clips, (..., H, W, C).
    per_pixel : bool
        Whether each pixel gets numbers of its own, (H, W, C), rather than each channel, (C,). All frames then
        have one size.
    dtype : {"float32", "float16"}
        Type of the batch.

    Returns
    -------
    FeatureWise
        To stand first among the standardising steps.

    Raises
    ------
    OptionError
        If there is no frame, one is no array of uint8, or they differ in channels, or in size where they must
        not.
    """
    per_pixel = checked_bool(per_pixel, "per_pixel")
    count, total, squares = 0, np.zeros(1, np.uint64), np.zeros(1, np.uint64)
    for stack in _stacks(frames, one_size=per_pixel):
        added = _summed(stack, per_pixel)
        count += stack.size // added.size
        total = total + added
        squares = squares + _summed(np.square(stack, dtype=np.uint16), per_pixel)
    mean = total / count
    return FeatureWise(mean, np.sqrt(np.maximum(squares / count - mean**2, 0)), dtype)


def fit_zca(frames: Iterable[NDArray[np.uint8]], *, eps: float = 1e-6, dtype: str = "float32") -> ZCA:
    """Learn what whitens small frames: ``u @ diag(1 / sqrt(s + eps)) @ u.T`` of their covariance.

    Parameters
    ----------
    frames : iterable of ndarray of uint8
        Frames, clips or batches of clips, (..., H, W, C), of one size with H * W * C up to 12288.
    eps : float
        Added to each variance s, in squared levels, so that what hardly varies is not blown up: with fewer
        frames than values, or smooth ones, take more, such as 10.
    dtype : {"float32", "float16"}
        Type of the batch.

    Returns
    -------
    ZCA
        To stand first among the standardising steps.

    Raises
    ------
    OptionError
        If there is no frame, one is no array of uint8 or too large, or they differ in size.
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
                    f"frames of {shape} have {values} values, more than the {_MOST_VALUES} that ZCA can mix: "
                    "make them smaller, by Resize((32, 32))"
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
    return ZCA(matrix, mean.reshape(shape), dtype)


def _summed(stack: NDArray[Any], per_pixel: bool) -> NDArray[np.uint64]:
    """Add up an (n, H, W, C) stack, per channel or per pixel."""
    if per_pixel:
        return np.asarray(stack.sum(axis=0, dtype=np.uint64))
    rows = stack.reshape(-1, *stack.shape[2:])  # by whole rows first: adding (n, 3) takes ten times as long
    return np.asarray(rows.sum(axis=0, dtype=np.uint64).sum(axis=0))


def _stacks(frames: Iterable[NDArray[np.uint8]], *, one_size: bool) -> Iterator[NDArray[np.uint8]]:
    """Yield what was given as (n, H, W, C), neighbouring frames gathered where they are of one size."""
    if not isinstance(frames, Iterable):
        raise OptionError(
            f"frames={frames!r}: must be arrays, one after the other, as in x for x, _ in ClipLoader(...)"
        )
    gathered: list[NDArray[np.uint8]] = []
    expected: tuple[int, ...] | None = None
    for given in frames:
        if (
            not isinstance(given, np.ndarray)
            or given.dtype != np.uint8
            or given.shape[-1:] not in ((1,), (3,))
        ):
            what = f"{given.dtype} {given.shape}" if isinstance(given, np.ndarray) else f"{given!r:.80}"
            raise OptionError(
                f"frames must hold arrays of uint8, (..., height, width, 1 or 3), not {what}; of a loader "
                "with targets take x alone: x for x, _ in loader"
            )
        if given.ndim < 3 or not given.size:  # noqa: PLR2004 - height, width, channels
            raise OptionError(f"frames must hold arrays (..., height, width, channels), not {given.shape}")
        stack = given.reshape(-1, *given.shape[-3:])
        expected = expected or stack.shape[1:]
        if stack.shape[3] != expected[2] or (one_size and stack.shape[1:] != expected):
            raise OptionError(
                f"frames of {expected} and {stack.shape[1:]} (height, width, channels) do not go together: "
                "put a Resize before, or read them all in colour or all in gray"
            )
        if gathered and (gathered[0].shape[1:] != stack.shape[1:] or sum(map(len, gathered)) >= _ROWS):
            yield np.concatenate(gathered)
            gathered = []
        gathered.append(stack)
    if not gathered:
        raise OptionError("frames holds no frame to learn from")
    yield np.concatenate(gathered)
