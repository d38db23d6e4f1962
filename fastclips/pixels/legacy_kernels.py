"""Pixel loops for `fastclips.compat`, compiled: Pillow's nearest neighbour, SciPy's affine transform.

They give the bits of what they stand for: a gather through tables, which is a frame resized and standardised
in one pass; and splines of order 0 and 1, computed in float64 in SciPy's order. As in `kernels`, counts are
unsigned and the number of channels is a constant where it matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import boolean, float32, float64, int64, uint8, uint32, uint64, void

from fastclips.pixels.kernels import _array as array_type
from fastclips.pixels.kernels import _compile as compile_kernel
from fastclips.pixels.kernels import _inline as inline
from fastclips.pixels.kernels import _LINE, _finish_lines, _staging, _store_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Array = NDArray[Any]

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


def _gather(
    frame: _Array,
    rows: _Array,
    columns: _Array,
    tables: _Array,
    output: _Array,
    gray: bool,
    staging: _Array,
    stream: bool,
) -> None:
    source, table, out = frame.reshape(-1), tables.reshape(-1), output.reshape(-1)
    channels = np.uint64(frame.shape[2])
    pitch = np.uint64(frame.shape[1]) * channels
    row = np.uint64(len(columns)) * np.uint64(output.shape[2])
    items = _LINE // np.uint64(output.itemsize)
    staged = stream and row <= len(staging) and row % items == 0 and output.ctypes.data % 64 == 0
    target = staging if staged else out
    for y in range(np.uint64(len(rows))):
        start = rows[y] * pitch
        put = np.uint64(0) if staged else y * row
        if gray:
            _gather_gray_row(source, start, columns, table, target, put)
        elif channels == _THREE:
            _gather_row(source, start, columns, table, target, put, _THREE)
        else:
            _gather_row(source, start, columns, table, target, put, channels)
        if staged:
            for line in range(row // items):
                _store_line(out, y * row + line * items, staging, line * items, items)
    if staged:
        _finish_lines()


@inline
def _mapped(at: float, size: int, mode: int) -> float:
    """Bring a coordinate into the frame, as SciPy does; -1 where the constant goes."""
    if at < 0:
        if mode == _NEAREST:
            return 0.0
        if mode == _CONSTANT:
            return -1.0
        if size <= 1:
            return 0.0
        if mode == _REFLECT:
            period = 2 * size
            if at < -period:
                at = period * np.int64(-at / period) + at
            if at < -size:
                return at + period
            return max(-at, 1e-15) - 1  # above -1, which would mean the constant
        period = size - 1
        return at + period * (np.int64(-at / period) + 1)
    if at > size - 1:
        if mode == _NEAREST:
            return float(size - 1)
        if mode == _CONSTANT:
            return -1.0
        if size <= 1:
            return 0.0
        if mode == _REFLECT:
            period = 2 * size
            at -= period * np.int64(at / period)
            return period - at - 1 if at >= size else at
        period = size - 1
        return at - period * np.int64(at / period)
    return at


@inline
def _held(index: int, size: int, mode: int) -> int:
    """Bring a neighbour's index into the frame; where it lies outside, its weight is 0 or it is mirrored."""
    if 0 <= index < size:
        return index
    if mode == _REFLECT:
        return np.int64(_mapped(float(index), size, mode))
    return min(max(index, 0), size - 1)


@inline
def _blend(
    source: _Array, corners: tuple[int, int, int, int], low: float, right: float, out: _Array, put: int, channels: int
) -> None:
    """Mix four pixels, (row, column), (row, next), (next, column) and (next, next), in SciPy's order."""
    high, near = 1.0 - low, 1.0 - right
    first, second, third, fourth = corners
    for c in range(channels):
        value = float(source[first + c]) * high * near
        value += float(source[second + c]) * high * right
        value += float(source[third + c]) * low * near
        value += float(source[fourth + c]) * low * right
        out[put + c] = value


@inline
def _warp_pixel(
    source: _Array,
    at: tuple[float, float],
    size: tuple[int, int],
    order: int,
    mode: int,
    fill: float,
    out: _Array,
    put: int,
    channels: int,
) -> None:
    """Make a pixel of the output whose place may be anywhere."""
    down, across = _mapped(at[0], size[0], mode), _mapped(at[1], size[1], mode)
    if down <= -1.0 or across <= -1.0:
        for c in range(channels):
            out[put + c] = fill
    elif order == 0:
        row = _held(np.int64(np.floor(down + 0.5)), size[0], mode)
        column = _held(np.int64(np.floor(across + 0.5)), size[1], mode)
        take = np.uint64(row * size[1] + column) * channels
        for c in range(channels):
            out[put + c] = source[take + c]
    else:
        top, left = np.int64(np.floor(down)), np.int64(np.floor(across))
        row = _held(top, size[0], mode) * size[1]
        below = _held(top + 1, size[0], mode) * size[1]
        column, beside = _held(left, size[1], mode), _held(left + 1, size[1], mode)
        corners = (
            np.uint64(row + column) * channels,
            np.uint64(row + beside) * channels,
            np.uint64(below + column) * channels,
            np.uint64(below + beside) * channels,
        )
        _blend(source, corners, down - top, across - left, out, put, channels)


@inline
def _warp(
    source: _Array,
    size: tuple[int, int],
    matrix: _Array,
    order: int,
    mode: int,
    fill: float,
    out: _Array,
    height: int,
    width: int,
    channels: int,
) -> None:
    pitch = np.uint64(size[1]) * channels
    last_row, last_column = float(size[0] - 1), float(size[1] - 1)
    put = np.uint64(0)
    for y in range(height):
        for x in range(width):
            down = y * matrix[0, 0] + x * matrix[0, 1] + matrix[0, 2]
            across = y * matrix[1, 0] + x * matrix[1, 1] + matrix[1, 2]
            if order == 1 and 0.0 <= down < last_row and 0.0 <= across < last_column:
                top, left = np.uint64(down), np.uint64(across)
                take = top * pitch + left * channels
                corners = (take, take + channels, take + pitch, take + pitch + channels)
                _blend(source, corners, down - top, across - left, out, put, channels)
            else:
                _warp_pixel(source, (down, across), size, order, mode, fill, out, put, channels)
            put += channels


def _affine(frame: _Array, matrix: _Array, order: int, mode: int, fill: float, output: _Array) -> None:
    source, out = frame.reshape(-1), output.reshape(-1)
    size = (frame.shape[0], frame.shape[1])
    height, width, channels = output.shape
    if channels == 3:
        _warp(source, size, matrix, order, mode, fill, out, height, width, _THREE)
    else:
        _warp(source, size, matrix, order, mode, fill, out, height, width, np.uint64(channels))


_FRAME = array_type(uint8, 3, readonly=True)
_INDEX = array_type(uint64, 1, readonly=True)
_gather = compile_kernel(
    _gather,
    *(
        void(
            _FRAME,
            _INDEX,
            _INDEX,
            array_type(item, 2, readonly=True),
            array_type(item, 3),
            boolean,
            array_type(item, 1),
            boolean,
        )
        for item in (uint8, uint32)
    ),
)
_affine = compile_kernel(
    _affine,
    *(
        void(
            array_type(given, 3, readonly=True),
            array_type(float64, 2, readonly=True),
            int64,
            int64,
            float64,
            array_type(made, 3),
        )
        for given, made in ((uint8, float32), (float32, float32), (float64, float64))
    ),
)
_BITS = {1: "u1", 4: "u4"}  # unsigned integers, by their bytes


def nearest_indices(size: int, first: int, extent: int) -> NDArray[np.uint64]:
    """Return which pixels Pillow takes along an axis, by nearest neighbour.

    Parameters
    ----------
    size : int
        Pixels of the output.
    first, extent : int
        The pixels of the frame that are stretched over it.

    Returns
    -------
    ndarray of uint64, (size,)
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
    *,
    stream: bool = False,
) -> None:
    """Take pixels of a frame by rows and columns, each value through its channel's table.

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
    stream : bool
        Whether to write past the caches, as in `fastclips.pixels.kernels.crop`.
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
    _gather(source, rows, columns, table.view(bits), out.view(bits), gray, _staging[bits], stream)


def affine(
    source: NDArray[Any], matrix: NDArray[np.float64], order: int, fill_mode: str, cval: float
) -> NDArray[Any]:
    """Take a frame through an affine map, as `scipy.ndimage.affine_transform` does.

    Parameters
    ----------
    source : ndarray of uint8, float32 or float64
        (H, W, C), C-contiguous.
    matrix : ndarray of float64, (2, 3)
        From row, column and 1 of the output to row and column of the frame.
    order : {0, 1}
        Nearest or linear.
    fill_mode : str
        One of `FILL_MODES`.
    cval : float
        The value outside with ``"constant"``.

    Returns
    -------
    ndarray of float32 or float64, (H, W, C)
        float32 for uint8.
    """
    out = np.empty(source.shape, np.float32 if source.dtype == np.uint8 else source.dtype)
    _affine(source, np.ascontiguousarray(matrix), order, FILL_MODES.index(fill_mode), cval, out)
    return out
