"""Resizing as in TensorFlow, for Keras's `image_dataset_from_directory`: to float32, unrounded.

With pixel centres at halves, an output pixel lies at ``at = (output + 0.5) * size / taken`` of the source.
Its value is a weighted sum along each axis::

    nearest        the pixel that contains `at`
    bilinear       the two pixels around `at`, clamped at the edges
    area           the pixels that the output pixel covers, weighted by the covered part
    bicubic        Keys's kernel with a = -0.5, looked up in 1/1024 of a pixel
    mitchellcubic  kernel of Mitchell and Netravali, B = C = 1/3
    lanczos3, lanczos5, gaussian (sigma 0.5, cut at 1.5)

Kernels do not widen when a frame shrinks. Weights of pixels beyond the frame are dropped, and the others
divided by their sum. Bilinear is native (`stretch_floats`). The kernels below are summed tap by tap in one
order, so that the bits are the same on every CPU.
"""

from __future__ import annotations

from math import exp, floor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastclips._native import stretch_floats

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Resizer"]

_SUMMED = ("bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic")
_float = np.float32  # as in TensorFlow: its rounding decides on which side of an edge a pixel lies
_TABLE = 1024  # entries of TensorFlow's table of the cubic kernel, for one pixel


class _Box(NamedTuple):
    top: int
    left: int
    height: int
    width: int

    def of(self, frame: NDArray[Any], top: int = 0, left: int = 0) -> NDArray[Any]:
        top, left = self.top - top, self.left - left
        return frame[top : top + self.height, left : left + self.width]


class Resizer:
    """Resizes frames of one size to another.

    Parameters
    ----------
    frame, size : (int, int)
        Height and width of the input and of the output, in pixels.
    interpolation : str
        One of `fastclips.compat.datasets.spec.INTERPOLATIONS`.
    aspect : {"crop", "pad"}, optional
        How the proportions are kept: by cutting out the largest box in the middle that has those of `size`,
        or by zeros around the frame.
    """

    def __init__(
        self,
        frame: tuple[int, int],
        size: tuple[int, int],
        interpolation: str = "bilinear",
        aspect: str | None = None,
    ) -> None:
        self.frame = frame
        self._source, self._target = _Box(0, 0, *frame), _Box(0, 0, *size)
        if aspect == "crop":
            self._source = _cut(frame, size)
        elif aspect == "pad":
            self._target = _placed(frame, size)
        source, target = self._source, self._target
        self._margin = target != _Box(0, 0, *size)
        sides = (source.height, target.height), (source.width, target.width)
        self._nearest = [_nearest(*side) for side in sides] if interpolation == "nearest" else None
        self._taps = [_taps(*side, interpolation) for side in sides] if interpolation in _SUMMED else None
        self._box = np.empty(0, np.float32)  # the input as float32

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Top, left, bottom and right of the part of a frame that is needed, in pixels."""
        top, left, height, width = self._source
        return top, left, top + height, left + width

    def __call__(
        self, pixels: NDArray[np.uint8], out: NDArray[np.float32], top: int = 0, left: int = 0
    ) -> None:
        """Resize a frame.

        Parameters
        ----------
        pixels : ndarray of uint8, (H, W, C)
            The frame, or a part that contains `box`.
        out : ndarray of float32, (h, w, C)
            Receives the result: 0 to 255, and with negative weights beyond.
        top, left : int
            First row and column of the part.
        """
        if self._margin:
            out[:] = 0
        box, out = self._source.of(pixels, top, left), self._target.of(out)
        if self._nearest is not None:
            rows, columns = self._nearest
            out[:] = np.take(np.take(box, rows, axis=0), columns, axis=1)
            return
        if self._taps is not None:
            down, across = self._taps
            if self._box.shape != box.shape:
                self._box = np.empty(box.shape, np.float32)
            np.copyto(self._box, box)
            out[:] = across.sum(down.sum(self._box, 0), 1)
            return
        resized = out if out.flags.c_contiguous else np.empty(out.shape, np.float32)
        stretch_floats(box, resized)
        if resized is not out:
            out[:] = resized


class _Taps(NamedTuple):
    """Source pixels of each output pixel along an axis, and their weights."""

    places: NDArray[np.intp]  # (taps, taken)
    weights: NDArray[np.float32]

    def sum(self, box: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
        shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
        total: NDArray[np.float32] | None = None
        for places, weight in zip(self.places, self.weights, strict=True):
            part = np.take(box, places, axis=axis)
            part *= weight.reshape(shape)
            total = part if total is None else np.add(total, part, out=total)
        return np.asarray(total)


def _cut(frame: tuple[int, int], size: tuple[int, int]) -> _Box:
    """Return the largest box in the middle of a frame with the proportions of a size."""
    height = min(frame[0], max(int(_float(frame[1] * size[0]) / _float(size[1])), 1))
    width = min(frame[1], max(int(_float(frame[0] * size[1]) / _float(size[0])), 1))
    return _Box((frame[0] - height) // 2, (frame[1] - width) // 2, height, width)


def _placed(frame: tuple[int, int], size: tuple[int, int]) -> _Box:
    """Return the largest box in the middle of a size with the proportions of the frame."""
    ratio = max(_float(side) / _float(full) for side, full in zip(frame, size, strict=True))
    sides = [_float(side) / ratio for side in frame]
    top, left = (max(floor((_float(full) - side) / 2), 0) for full, side in zip(size, sides, strict=True))
    return _Box(top, left, max(floor(sides[0]), 1), max(floor(sides[1]), 1))


def _nearest(size: int, taken: int) -> NDArray[np.intp]:
    """Return the pixel, of `size`, that contains each of `taken` output pixels."""
    at = (np.arange(taken, dtype=_float) + _float(0.5)) * _float(size / taken)
    return np.asarray(np.minimum(np.floor(at), size - 1), np.intp)


def _taps(size: int, taken: int, interpolation: str) -> _Taps:
    """Return the source pixels of each output pixel, the same number for each, some of weight 0."""
    source, output = np.arange(size), np.arange(taken)[:, None]
    if interpolation == "area":
        edges = size / taken * output, size / taken * (output + 1)
        weights = np.minimum(edges[1], source + 1) - np.maximum(edges[0], source)
    else:
        weights = _KERNELS[interpolation](_distances(size, taken, exact=interpolation != "bicubic"))
    weights = np.maximum(weights, 0) if interpolation == "area" else weights
    weights /= weights.sum(axis=1, keepdims=True)
    first = np.argmax(weights != 0, axis=1)
    last = size - 1 - np.argmax(weights[:, ::-1] != 0, axis=1)
    many = int((last - first).max()) + 1
    index = np.minimum(first, size - many)[:, None] + np.arange(many)
    return _Taps(index.T.copy(), np.take_along_axis(weights, index, axis=1).T.astype(np.float32, order="C"))


def _distances(size: int, taken: int, *, exact: bool) -> NDArray[np.float64]:
    """Return the distance of each pixel, of `size`, from each of `taken` output pixels."""
    at = (np.arange(taken, dtype=_float) + _float(0.5)) * (_float(1) / (_float(taken) / _float(size)))
    if exact:
        return np.asarray(np.arange(size, dtype=_float) + _float(0.5) - at[:, None], np.float64)
    at = at - _float(0.5)
    whole = np.floor(at)
    at = whole + np.rint((at - whole) * _TABLE) / _TABLE
    return np.asarray(np.arange(size) - at[:, None].astype(np.float64))


def _keys(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.abs(x)
    return _pieces(x, (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2)


def _mitchell(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.abs(x)
    near = (7 * x - 12) * x * x / 6 + 8 / 9
    return _pieces(x, near, (((-7 / 3 * x + 12) * x - 20) * x + 32 / 3) / 6)


def _pieces(
    x: NDArray[np.float64], near: NDArray[np.float64], far: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))  # noqa: PLR2004 - a cubic kernel's radius


def _lanczos(radius: int) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    return lambda x: np.where(np.abs(x) <= radius, np.sinc(x) * np.sinc(x / radius), 0.0)


def _gaussian(x: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = [exp(power) for power in (-2 * x * x).ravel().tolist()]  # NumPy's exp depends on the CPU
    return np.where(np.abs(x) < 1.5, np.reshape(weights, x.shape), 0.0)  # noqa: PLR2004 - three times sigma


_KERNELS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "bicubic": _keys,
    "mitchellcubic": _mitchell,
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
    "gaussian": _gaussian,
}
