"""Compiled pixel loops: Pillow's nearest neighbour, SciPy's affine transform.

Their bits are those of Pillow and SciPy. `gather` resizes a frame and maps its values through tables in one
pass; `affine` computes splines of order 0 and 1 in float64, in SciPy's order of operations. As in
`fastclips.pixels.geometry.kernels`, counts are unsigned, and 3 channels are a constant of the inner loops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numba import boolean, float32, float64, int64, njit, uint8, uint32, uint64, void

from fastclips.pixels.geometry.kernels import array, compile_kernel, inline

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    _Array = NDArray[Any]
    _Function = TypeVar("_Function", bound=Callable[..., Any])

# Called rather than inlined: there are many of these functions, and they are rarely needed.
_called: Callable[[_Function], _Function] = njit

__all__ = ["FILL_MODES", "affine", "gather", "nearest_indices"]

FILL_MODES = ("nearest", "constant", "reflect", "wrap")
_NEAREST, _CONSTANT, _REFLECT, _WRAP = range(4)
_ONE, _THREE, _ENTRIES = np.uint64(1), np.uint64(3), np.uint64(256)
_RED, _GREEN, _BLUE, _HALF, _SHIFT = (np.uint64(w) for w in (19595, 38470, 7471, 32768, 16))


@inline
def _gather_row(
    source: _Array, start: int, columns: _Array, table: _Array, out: _Array, put: int, channels: int
) -> None:
    for x in range(np.uint64(len(columns))):
        take = start + columns[x] * channels
        for c in range(channels):
            out[put + c] = table[c * _ENTRIES + np.uint64(source[take + c])]
        put += channels


@inline
def _gather_gray_row(
    source: _Array, start: int, columns: _Array, table: _Array, out: _Array, put: int
) -> None:
    for x in range(np.uint64(len(columns))):
        take = start + columns[x] * _THREE
        red, green = np.uint64(source[take]), np.uint64(source[take + _ONE])
        blue = np.uint64(source[take + _ONE + _ONE])
        out[put + x] = table[(_RED * red + _GREEN * green + _BLUE * blue + _HALF) >> _SHIFT]


def _gather(frame: _Array, rows: _Array, columns: _Array, tables: _Array, output: _Array, gray: bool) -> None:
    source, table, out = frame.reshape(-1), tables.reshape(-1), output.reshape(-1)
    channels = np.uint64(frame.shape[2])
    pitch = np.uint64(frame.shape[1]) * channels
    row = np.uint64(len(columns)) * np.uint64(output.shape[2])
    for y in range(np.uint64(len(rows))):
        if gray:
            _gather_gray_row(source, rows[y] * pitch, columns, table, out, y * row)
        elif channels == _THREE:
            _gather_row(source, rows[y] * pitch, columns, table, out, y * row, _THREE)
        else:
            _gather_row(source, rows[y] * pitch, columns, table, out, y * row, channels)


@_called
def _low(at: float, size: int, mode: int) -> float:
    """Bring a coordinate below 0 into the frame, as SciPy does; -1 stands for the constant."""
    if mode == _CONSTANT:
        return -1.0
    if mode == _NEAREST or size <= 1:
        return 0.0
    if mode == _REFLECT:
        period = 2 * size
        if at < -period:
            at += period * np.int64(-at / period)
        return at + period if at < -size else max(-at, 1e-15) - 1  # above -1, which stands for the constant
    period = size - 1
    at += period * (np.int64(-at / period) + 1)
    return at


@_called
def _high(at: float, size: int, mode: int) -> float:
    """Bring a coordinate beyond the last pixel into the frame, as SciPy does."""
    if mode == _CONSTANT:
        return -1.0
    if mode == _NEAREST or size <= 1:
        return float(size - 1)
    period = 2 * size if mode == _REFLECT else size - 1
    at -= period * np.int64(at / period)
    return period - at - 1 if mode == _REFLECT and at >= size else at


@_called
def _mapped(at: float, size: int, mode: int) -> float:
    if at < 0:
        return _low(at, size, mode)
    return _high(at, size, mode) if at > size - 1 else at


@_called
def _held(index: int, size: int, mode: int) -> int:
    """Bring the index of a neighbour into the frame; outside, its weight is 0 or it is mirrored."""
    if 0 <= index < size:
        return index
    if mode == _REFLECT:
        return int(_mapped(float(index), size, mode))
    return min(max(index, 0), size - 1)


@inline
def _blend(
    source: _Array,
    corners: tuple[int, int, int, int],
    low: float,
    right: float,
    out: _Array,
    put: int,
    channels: int,
) -> None:
    """Blend (row, column), (row, next column), (next row, column) and (next, next), in SciPy's order."""
    high, near = 1.0 - low, 1.0 - right
    for c in range(channels):
        value = float(source[corners[0] + c]) * high * near
        value += float(source[corners[1] + c]) * high * right
        value += float(source[corners[2] + c]) * low * near
        value += float(source[corners[3] + c]) * low * right
        out[put + c] = value


def _affine(frame: _Array, matrix: _Array, order: int, mode: int, fill: float, output: _Array) -> None:
    source, out = frame.reshape(-1), output.reshape(-1)
    height, width, deep = frame.shape
    channels = np.uint64(deep)
    put = np.uint64(0)
    for y in range(output.shape[0]):
        for x in range(output.shape[1]):
            down = y * matrix[0, 0] + x * matrix[0, 1] + matrix[0, 2]
            across = y * matrix[1, 0] + x * matrix[1, 1] + matrix[1, 2]
            if not (0.0 <= down <= height - 1 and 0.0 <= across <= width - 1):
                down, across = _mapped(down, height, mode), _mapped(across, width, mode)
            if down <= -1.0 or across <= -1.0:
                for c in range(channels):
                    out[put + c] = fill
            elif order == 0:
                row = _held(np.int64(np.floor(down + 0.5)), height, mode)
                column = _held(np.int64(np.floor(across + 0.5)), width, mode)
                take = np.uint64(row * width + column) * channels
                for c in range(channels):
                    out[put + c] = source[take + c]
            else:
                top, left = np.int64(np.floor(down)), np.int64(np.floor(across))
                row, below = _held(top, height, mode) * width, _held(top + 1, height, mode) * width
                column, beside = _held(left, width, mode), _held(left + 1, width, mode)
                corners = (
                    np.uint64(row + column) * channels,
                    np.uint64(row + beside) * channels,
                    np.uint64(below + column) * channels,
                    np.uint64(below + beside) * channels,
                )
                if channels == _THREE:
                    _blend(source, corners, down - top, across - left, out, put, _THREE)
                else:
                    _blend(source, corners, down - top, across - left, out, put, channels)
            put += channels


_FRAME = array(uint8, 3, readonly=True)
_INDEX = array(uint64, 1, readonly=True)
_gather = compile_kernel(
    _gather,
    *(
        void(
            _FRAME,
            _INDEX,
            _INDEX,
            array(item, 2, readonly=True),
            array(item, 3),
            boolean,
        )
        for item in (uint8, uint32)
    ),
)
_affine = compile_kernel(
    _affine,
    *(
        void(
            array(given, 3, readonly=True),
            array(float64, 2, readonly=True),
            int64,
            int64,
            float64,
            array(made, 3),
        )
        for given, made in ((uint8, float32), (float32, float32), (float64, float64))
    ),
)
_BITS = {1: "u1", 4: "u4"}  # unsigned integers, by their bytes


def nearest_indices(size: int, first: int, extent: int) -> NDArray[np.uint64]:
    """Return the pixels that Pillow takes along an axis by nearest neighbour, uint64 (size,).

    Parameters
    ----------
    size : int
        Pixels of the output.
    first, extent : int
        First pixel of the frame, and number of pixels, that are stretched over the output.
    """
    step = extent / size
    at = np.cumsum([first + step * 0.5, *([step] * (size - 1))])  # summed in this order, as Pillow does
    return at.astype(np.uint64)


def gather(
    source: NDArray[np.uint8],
    rows: NDArray[np.uint64],
    columns: NDArray[np.uint64],
    table: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Copy pixels of a frame by rows and columns, each value through the table of its channel.

    Parameters
    ----------
    source : ndarray of uint8
        (H, W, C), C-contiguous.
    rows, columns : ndarray of uint64
        (h,) below H and (w,) below W.
    table : ndarray
        (C, 256), C-contiguous, of the dtype of `out`, which has 1 or 4 bytes.
    out : ndarray
        (h, w, C), C-contiguous. Or (h, w, 1) for an RGB `source`, and `table` (1, 256): the luma as Pillow
        computes it, ``(19595 R + 38470 G + 7471 B + 32768) >> 16``, through the table.
    """
    bits = _BITS[out.dtype.itemsize]
    height, width, channels = source.shape
    gray = out.shape[2] == 1 and channels == 3  # noqa: PLR2004 - red, green, blue
    fits = (
        out.shape[:2] == (len(rows), len(columns))
        and (gray or out.shape[2] == channels)
        and table.shape == (out.shape[2], 256)
        and table.dtype == out.dtype
        and (not rows.size or int(rows.max()) < height)
        and (not columns.size or int(columns.max()) < width)
    )
    if not fits:
        raise ValueError(
            f"source {source.shape}, table {table.dtype}{table.shape}, out {out.dtype}{out.shape}"
        )
    _gather(source, rows, columns, table.view(bits), out.view(bits), gray)


def affine(
    source: NDArray[Any], matrix: NDArray[np.float64], order: int, fill_mode: str, cval: float
) -> NDArray[Any]:
    """Return a frame after an affine map, as `scipy.ndimage.affine_transform` does.

    Parameters
    ----------
    source : ndarray of uint8, float32 or float64
        (H, W, C), C-contiguous.
    matrix : ndarray of float64, (2, 3)
        From (row, column, 1) of the output to row and column of the frame.
    order : {0, 1}
        Nearest or linear.
    fill_mode : str
        One of `FILL_MODES`.
    cval : float
        Value outside with ``"constant"``.

    Returns
    -------
    ndarray of float32 or float64, (H, W, C)
        float32 for uint8, else the dtype of `source`.
    """
    out = np.empty(source.shape, np.float32 if source.dtype == np.uint8 else source.dtype)
    _affine(source, np.ascontiguousarray(matrix), order, FILL_MODES.index(fill_mode), cval, out)
    return out
